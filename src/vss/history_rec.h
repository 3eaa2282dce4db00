/* vss/history_rec.h - the record of a backup as a JSON object: what is taken
 * over from others, how two halves become one, and the sentence for people.
 * doc/history.md has the members. No files, no clock, no log.
 *
 * Trust: hv_utilsd parses the host's bytes, and anybody who may write the file
 * may have written anything. history_rec_clean() comes first.
 */
#ifndef VSS_HISTORY_REC_H
#define VSS_HISTORY_REC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	HISTORY_TEXT_MAX = 1024,	/* bytes of one string */
	HISTORY_APPS_MAX = 256,
	HISTORY_MOUNTS_MAX = 256,
	HISTORY_LINE_MAX = 512 << 10,	/* bytes of one record, about */
};

/* A copy that holds the known members only, of the right types, texts and
 * lists cut to bounds; what was cut from a list is counted in "left_out".
 * NULL: no object, without "id", or no memory. */
json_t *history_rec_clean(const json_t *foreign);

/* Which halves are there? */
bool history_rec_has_driver(const json_t *rec);
bool history_rec_has_daemon(const json_t *rec);
/* Did the driver ask the daemon something of which the daemon has more to
 * tell? */
bool history_rec_wants_daemon(const json_t *rec);

/* Of the same backup, by boot and id. */
bool history_rec_match(const json_t *a, const json_t *b);
/* Is `later` a fuller account of what `earlier` tells, so that earlier goes?
 * Drivers may count their ids from the start again. */
bool history_rec_replaces(const json_t *later, const json_t *earlier);

/* Is the daemon's half, with the same id, of this driver's backup by its time,
 * and not of one by a driver before? */
bool history_rec_fits(const json_t *driver, const json_t *daemon);

/* Put the two together: members of the driver's half count where both have
 * them. A new reference; either may be NULL, and then the other is copied.
 * Without the driver's half the result becomes "interrupted". */
json_t *history_rec_join(const json_t *driver, const json_t *daemon);

/* One line for people: result, how long frozen, of what, why. Foreign texts
 * are quoted. Returns out. */
const char *history_rec_sentence(char *out, size_t cap, const json_t *rec);

/* Members, with what to take when they are absent or of a wrong type. */
const char *history_text(const json_t *o, const char *key);	/* or "" */
json_int_t history_int(const json_t *o, const char *key);	/* or -1 */
/* "started" as seconds since 1970, or -1. */
double history_rec_started(const json_t *rec);

#endif
