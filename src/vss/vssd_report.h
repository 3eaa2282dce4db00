/* vss/vssd_report.h - the daemon's part of a backup's record (doc/history.md),
 * from the plan and from what the shared memory says became of it.
 */
#ifndef VSS_VSSD_REPORT_H
#define VSS_VSSD_REPORT_H

#include <jansson.h>

#include "vss/frozen.h"
#include "vss/plan.h"

/* A freeze. p may be NULL: what an earlier life left. held: it had come to
 * being frozen. why "": nothing went wrong. A new reference. */
json_t *vssd_report_freeze(const struct frozen *z, const struct plan *p,
			   bool held, const char *why);
/* A plan that nothing was done about: a refusal. */
json_t *vssd_report_plan(uint64_t msgid, const struct plan *p, const char *why);

#endif
