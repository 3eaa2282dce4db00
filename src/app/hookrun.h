/* app/hookrun.h - run hooks through a backup: check and freeze in order, thaw
 * or fail in reverse order.
 *
 *   IDLE      nothing is held
 *   CHECKING  hooks are asked, one after the other
 *   FREEZING  hooks freeze, one after the other
 *   HELD      all have frozen
 *   ENDING    thaw or fail is run for each whose freeze was started
 *
 * A hook is told the end if and only if its freeze was started: also when that
 * failed or was killed, for it may have done half of its work. When one fails,
 * the backup is refused with its name, and the end is run at once.
 *
 * What is frozen is written down in a file, before each freeze is started, so
 * that hookrun_recover() can end it when we were killed meanwhile. What the
 * hooks print, and how they ended, is logged when nothing is held.
 */
#ifndef APP_HOOKRUN_H
#define APP_HOOKRUN_H

#include <hyperv/vss.h>
#include <stdbool.h>

#include "app/hooks.h"
#include "base/loop.h"

struct hookrun;

struct hookrun_cfg {
	const char *dir[HOOK_N_KINDS];	/* NULL or "": none of this kind */
	const char *state_path;		/* who is frozen; best on a tmpfs */
	unsigned timeout_ms, grace_ms;	/* of one hook */
	uid_t owner;			/* trusted besides root */
	bool unsafe_skipped;		/* else they refuse the backup */
};

struct hookrun_ops {
	void (*answer)(void *arg, const struct hv_vss_record *q, int status,
		       const char *why);
	void (*note)(void *arg, const struct hv_vss_record *q,
		     const char *part, int status, uint32_t took_ms);
};

/* Strings are borrowed. NULL with errno set. */
struct hookrun *hookrun_new(struct loop *l, const struct hookrun_cfg *cfg,
			    const struct hookrun_ops *ops, void *arg);
/* Kills what runs. What is held stays written down. */
void hookrun_free(struct hookrun *h);		/* NULL is fine */

/* A question of the driver's, answered by ops->answer sooner or later unless
 * the next one takes its place. */
void hookrun_ask(struct hookrun *h, const struct hv_vss_record *q);
/* End what is held or under way, as an ABORT would. */
void hookrun_abort(struct hookrun *h);
/* End what an earlier process left. How many hooks, or -errno: -EPERM the
 * file is not one that we can have written. */
int hookrun_recover(struct hookrun *h);

/* Nothing is held, nothing runs. */
bool hookrun_idle(const struct hookrun *h);
const char *hookrun_state(const struct hookrun *h);	/* "idle" ... */
/* The hooks held now. */
size_t hookrun_held(const struct hookrun *h);

#endif
