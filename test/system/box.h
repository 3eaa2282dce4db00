/* box.h - the parts of vssbox, the program behind vssbox.py. */
#ifndef BOX_H
#define BOX_H

#include <stdbool.h>
#include <stddef.h>

enum {
	BOX_SKIP = 77,		/* the kernel or the container says no */
	BOX_LOOP_MAJOR = 7,
};

/* Attach a free loop device to the file; it goes when it is neither open nor
 * mounted any more. control: an open /dev/loop-control. dev_dir is where its
 * node is, and is made if it has to be. Returns its number, *fd keeps it; or
 * -errno. */
int box_loop_attach(int control, const char *dev_dir, const char *file, int *fd);

/* Mount the device once more, in a mount namespace of the caller's own, on
 * /tmp. A frozen file system that is mounted nowhere any more is found like
 * this, too. 0 or -errno. */
int box_mount_apart(const char *dev);

/* Thaw the file system on the device, whoever froze it and however often.
 * Meant for a process of its own: enters a mount namespace. */
int box_thaw_device(const char *dev);

/* Whether writers would have to wait; never waits itself. dir_fd: a directory
 * on the file system, on a mount that keeps strict access times. */
bool box_frozen(int dir_fd);

/* What can be done inside: argv[0] names it. An exit status. */
int box_do(int argc, char **argv);

#endif
