/* vss/vssd.h - the file-system daemon's half: what the driver asks on
 * hv_fsvss_dev is planned, frozen, thawed and answered here.
 *
 *   CHECK    make the plan; yes, or a veto by name
 *   FREEZE   plan again, flush, freeze; yes, or why not (all is thawed then)
 *   THAW     thaw; no if it had to be thawed before
 *   ABORT    give up whatever is in hand, thaw
 *
 * One question at a time; an ABORT, or the driver's end, overtakes. When the
 * daemon had to thaw unasked it says so with a record of its own: ABORT, FAIL,
 * the FREEZE's msgid.
 *
 * Between quiet(true) and quiet(false) something may be frozen: who is called
 * there holds back logs and everything else that could wait for a disk.
 */
#ifndef VSS_VSSD_H
#define VSS_VSSD_H

#include <jansson.h>

#include "vss/freeze.h"

struct vssd;

struct vssd_cfg {
	struct loop *loop;
	struct frozen *z;
	const struct freeze_ops *ops;
	int guardian;
	const struct plan_rule *rules;
	size_t n_rules;
	/* Confinement: nothing else may be frozen or flushed. */
	const dev_t *confine;
	size_t n_confine;
	bool confined;
	int (*read_mounts)(struct mounts *ms);	/* mounts_read() */
	/* To the driver: a record's bytes. */
	int (*send)(void *arg, const void *buf, size_t len);
	void (*quiet)(void *arg, bool on);
	/* The daemon's part of doc/history.md: {"id", "boot", "at_us",
	 * "mounts", "window", "why"}, of each freeze as it ends and each check
	 * that it refuses, outside the window. Takes the reference. */
	void (*report)(void *arg, json_t *report);
	/* Why a check or freeze failed, for the host's eyes; NULL: it worked. */
	void (*last_error)(void *arg, const char *why);
	/* The guardian died, everything is thawed: the daemon must end. */
	void (*alone)(void *arg);
	void *arg;
};

/* NULL with errno set. */
struct vssd *vssd_new(const struct vssd_cfg *cfg);
void vssd_free(struct vssd *d);		/* thaws first; NULL is fine */

/* -EINVAL: no record. */
int vssd_message(struct vssd *d, const void *buf, size_t len);
/* The driver is gone: whatever is frozen is thawed at once. */
void vssd_driver_gone(struct vssd *d);
/* Something is, or may be, frozen, or on its way. */
bool vssd_busy(const struct vssd *d);

/* What an earlier life left in the shared memory, thawed by now: report it. */
void vssd_report_left(struct vssd *d);

/* New references. */
json_t *vssd_plan_json(struct vssd *d);		/* or {"error"} */
json_t *vssd_status_json(const struct vssd *d);
/* Would the plan touch anything outside the confinement? 0, or -EPERM and the
 * text; -errno when there is no plan. */
int vssd_confinement(struct vssd *d, char *why, size_t cap);

#endif
