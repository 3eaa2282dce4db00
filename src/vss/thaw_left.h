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

/* Thaw what is ours in z. said is called for each that was or may have been
 * frozen: err 0 thawed, else why it is left. Returns how many are left. */
unsigned thaw_left(struct frozen *z, const struct freeze_ops *ops,
		   void (*said)(void *arg, const struct frozen_fs *fs, int err),
		   void *arg);

/* A descriptor of the super block, for FITHAW, or -errno (-ENODEV: not
 * found). */
int thaw_left_open(const struct frozen_fs *fs);

#endif
