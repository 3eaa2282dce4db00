/* vss/freeze.h - the frozen window: opens what the plan names, flushes,
 * freezes side by side, thaws, and sees to it that everything is thawed.
 *
 *   open     descriptors are opened and compared, one thread a file system
 *   arm      the guardian holds the same descriptors and knows the deadline
 *   flush    syncfs() of all, side by side, again and again until little is
 *            left to write; everything still runs
 *   freeze   level by level, the highest first; one thread a file system.
 *            Level 0, the root, follows close behind, unless another file
 *            system lies on it
 *   thaw     the other way round, through the descriptors from before
 *
 * From the first FIFREEZE to the last FITHAW nothing here logs, allocates,
 * forks, looks up a path or writes to a file. What each file system went
 * through is kept in memory shared with the guardian (vss/frozen.h) and told
 * afterwards.
 *
 * Who thaws: the side that comes first, and each file system once. EBUSY means
 * that somebody else froze it: it is not ours, we never thaw it, and since it
 * may be thawed at any moment the freeze fails.
 *
 * The caller's loop is never blocked: a file system that hangs keeps its own
 * thread, and thaw is possible all the same.
 */
#ifndef VSS_FREEZE_H
#define VSS_FREEZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "vss/frozen.h"
#include "vss/plan.h"

struct freeze;

enum freeze_phase {
	FREEZE_PH_IDLE, FREEZE_PH_OPEN, FREEZE_PH_ARM, FREEZE_PH_FLUSH,
	FREEZE_PH_FREEZE, FREEZE_PH_HELD, FREEZE_PH_THAW,
	FREEZE_N_PHASES
};

enum freeze_event {
	FREEZE_EV_HELD,		/* all are frozen */
	FREEZE_EV_REFUSED,	/* it failed, and is rolled back: why */
	FREEZE_EV_THAWED,	/* as asked; why: "" or what went wrong */
	FREEZE_EV_LOST,		/* thawed unasked: deadline, guardian: why */
	FREEZE_EV_ALONE,	/* the guardian died: end, when thawed */
};

struct freeze_cfg {
	struct loop *loop;
	struct frozen *z;
	const struct freeze_ops *ops;
	int guardian;		/* its socket (vss/guardian.h); -1: none */
	/* Each start ends in HELD or REFUSED, given up or not; HELD ends in
	 * THAWED or LOST. Called from the loop, never from within a call
	 * below. */
	void (*event)(void *arg, enum freeze_event ev, const char *why);
	void *arg;
};

/* NULL with errno set. */
struct freeze *freeze_new(const struct freeze_cfg *cfg);
/* Thaws first, if anything is frozen. NULL is fine. */
void freeze_free(struct freeze *f);

/* Begin. answer_ms: what flushing and freezing may take; frozen_ms: the
 * window, from the first FIFREEZE on. 0; -EBUSY one is in hand, or a file
 * system of an earlier one still hangs; -E2BIG more than FREEZE_MAX_FS;
 * -ENOMEM, -EAGAIN no threads. The plan must live until the event that ends
 * it. */
int freeze_start(struct freeze *f, const struct plan *p, uint64_t msgid,
		 uint32_t answer_ms, uint32_t frozen_ms);
/* Thaw, or give up what is in hand. -EALREADY nothing is. */
int freeze_thaw(struct freeze *f);

enum freeze_phase freeze_phase_get(const struct freeze *f);
const char *freeze_phase_name(enum freeze_phase p);
/* A file system whose thread has not come back from an earlier freeze, or
 * NULL. */
const char *freeze_hanging(const struct freeze *f);

#endif
