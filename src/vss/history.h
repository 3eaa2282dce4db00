/* vss/history.h - what is known of each backup afterwards: a line in the
 * history file, a line in the log, the metrics file.
 *
 *   hv_utilsd's ctl ("vss-backups", "vss-watch")  -> the driver's part  \
 *   the file-system daemon, history_part()        -> mounts, window      > one
 *                                                                    record
 *
 * doc/history.md has the members. Parts meet by boot and id, in either order.
 * A driver's part that never came to asking the daemon to freeze is whole by
 * itself. Half a record waits for its other half for a bounded time and is
 * then written as what it is; should the other half come later, the whole is
 * written once more: of several lines with the same boot and id the last
 * counts.
 *
 * The frozen window: between history_hold() and history_release() nothing here
 * reads a socket, allocates, logs or writes. Files are written by a thread of
 * its own, so that a file system frozen by somebody else, or a dead disk,
 * keeps nobody waiting who has to answer the driver; what could not be written
 * stays in memory and is tried again.
 */
#ifndef VSS_HISTORY_H
#define VSS_HISTORY_H

#include <jansson.h>
#include <stddef.h>

#include "base/loop.h"

#define HISTORY_FILE	"vss_history.jsonl"	/* in the state directory */
#define HISTORY_METRICS	"hyperv_vss.prom"	/* in the run directory */

struct history;

/* Strings are copied. */
struct history_cfg {
	const char *file;	/* STATE_DIR/vss_history.jsonl */
	const char *metrics;	/* the Prometheus text file; NULL or "": none */
	const char *driver_ctl;	/* hv_utilsd's control socket; NULL: nobody
				 * is asked (tests) */
	size_t keep;		/* records; the file is cut back to that when
				 * it holds twice as many. 0: 1000 */
	unsigned wait_ms;	/* half a record waits. 0: 30 s */
	/* Each record as it is made, whole or not, outside of the window
	 * (may be NULL): the KVP items, say. record is borrowed. */
	void (*recorded)(void *arg, json_t *record);
	void *arg;
};

/* Reads the file's end (for the metrics, and to know what is written
 * already). NULL with errno set: no memory, no thread. A file or directory
 * that cannot be used is logged, and tried again. */
struct history *history_new(struct loop *l, const struct history_cfg *cfg);
/* Writes what is waiting, half or whole; does not wait long for a disk that
 * does not answer. NULL is fine. */
void history_free(struct history *h);

/* The daemon's part of a backup, or of a check that it refused; takes the
 * reference. Members of doc/history.md: "id" (decimal string) and, as far as
 * they apply, "mounts", "window", "why" (or "error", as vssd.h's reports);
 * "boot", "started" and "at_us" are filled in when absent. More than one part
 * with an id: later members replace earlier ones. May be called while held,
 * but not inside the window: it allocates. */
void history_part(struct history *h, json_t *part);

/* From before the first FIFREEZE until after the last FITHAW. Not counted:
 * holding twice is holding. history_hold() waits for a write that is under
 * way, at most for patience_ms. */
void history_hold(struct history *h, unsigned patience_ms);
void history_release(struct history *h);

/* For the daemon's "status": {"records", "waiting", "unsaved", "lost",
 * "driver", "file"}; a new reference. */
json_t *history_status(const struct history *h);

#endif
