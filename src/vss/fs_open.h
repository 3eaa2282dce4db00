/* vss/fs_open.h - a descriptor on a mounted file system, for FIFREEZE and
 * FITHAW, that is known to be on the super block that was meant.
 */
#ifndef VSS_FS_OPEN_H
#define VSS_FS_OPEN_H

#include <sys/types.h>

/* Open the mount point (a directory, or a file that something is mounted on),
 * and see that the super block is dev: between reading the mount table and now
 * something else may have been mounted, or unmounted, there. A descriptor, or
 * -ESTALE another super block; -ENOTSUP neither directory nor file; -errno.
 * May block: another file system lies on the way, perhaps a dead server's. */
int fs_open(const char *path, dev_t dev);

#endif
