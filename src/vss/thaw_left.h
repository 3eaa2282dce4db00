/* vss/thaw_left.h - recovery: thaw what an earlier life of the daemon left
 * frozen, as its shared memory tells.
 *
 * Descriptors do not outlive a process, so each file system is looked for by
 * its super block among what is mounted; one that is mounted no more, or only
 * under something else, is reached through its block device in a private,
 * detached mount.
 */
#ifndef VSS_THAW_LEFT_H
#define VSS_THAW_LEFT_H

#include "vss/frozen.h"

struct thaw_left {
	const struct freeze_ops *ops;
	/* Nobody of that life is left. Else a FIFREEZE may be under way still,
	 * and what is not frozen yet has to be tried again until this is so. */
	bool over;
	/* Called for each that was or may have been frozen: err 0 thawed, else
	 * why it is left. */
	void (*said)(void *arg, const struct frozen_fs *fs, int err);
	void *arg;
};

/* Thaw what is ours in z. Returns how many are left. May block as long as a
 * FIFREEZE does, when all others are thawed. */
unsigned thaw_left(struct frozen *z, const struct thaw_left *t);

/* A descriptor of the super block, for FITHAW, or -errno (-ENODEV: not
 * found). */
int thaw_left_open(const struct frozen_fs *fs);

#endif
