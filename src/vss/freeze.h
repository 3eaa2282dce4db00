/* vss/freeze.h - the frozen window: opens what the plan names, flushes,
 * freezes side by side, thaws, and sees to it that everything is thawed.
 *
 *   arm      descriptors are opened and compared, threads stand ready, the
 *            guardian holds the same descriptors and knows the deadline
 *   flush    syncfs() of all, side by side; everything still runs
 *   freeze   level by level, the highest first; one thread a file system
 *   thaw     the other way round, through the descriptors from before
 *
 * From the first FIFREEZE to the last FITHAW nothing here logs, allocates,
 * forks, looks up a path or writes to a file. What each file system went
 * through is kept in memory shared with the guardian and told afterwards.
 *
 * Who thaws: the side that comes first, and each file system once. EBUSY means
 * that somebody else froze it: it is not ours and we never thaw it.
 */
#ifndef VSS_FREEZE_H
#define VSS_FREEZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "vss/plan.h"

enum {
	FREEZE_MAX_FS = 128,	/* file systems in one freeze */
};

enum freeze_state {		/* of one file system, in the shared memory */
	FREEZE_NONE,
	FREEZE_ASKING,		/* FIFREEZE is under way */
	FREEZE_FROZEN,		/* by us */
	FREEZE_FOREIGN,		/* EBUSY: by somebody else */
	FREEZE_FAILED,
	FREEZE_REVOKED,		/* thaw it as soon as FIFREEZE returns */
	FREEZE_THAWING,
	FREEZE_THAWED,
	FREEZE_STUCK,		/* FITHAW failed */
};

#endif
