/* box_loop.c - loop devices, and whether what is on them is frozen.
 *
 * Frozen or not is found out without a write that would have to wait: reading
 * a directory updates its access time, and the kernel leaves that out, rather
 * than wait, while the file system is frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "box.h"

static int open_node(const char *dev_dir, int number)
{
	char node[4096];

	snprintf(node, sizeof(node), "%s/loop%d", dev_dir, number);
	if (mknod(node, S_IFBLK | 0600,
		  makedev(BOX_LOOP_MAJOR, (unsigned)number)) < 0 &&
	    errno != EEXIST)
		return -errno;
	int fd = open(node, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int box_loop_attach(int control, const char *dev_dir, const char *file, int *fd)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int backing = open(file, O_RDWR | O_CLOEXEC);
	int err = -EBUSY;

	if (backing < 0)
		return -errno;
	config.fd = (unsigned)backing;
	/* Another one may take the free device before we do. */
	for (int tries = 0; tries < 100 && err == -EBUSY; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		int dev = number < 0 ? -errno : open_node(dev_dir, number);

		err = dev;
		if (dev < 0)
			continue;
		if (ioctl(dev, LOOP_CONFIGURE, &config) == 0) {
			close(backing);
			*fd = dev;
			return number;
		}
		err = -errno;
		close(dev);
	}
	close(backing);
	return err;
}

int box_mount_apart(const char *dev)
{
	static const char *const types[] = { "ext4", "xfs", "btrfs", "ext3",
					     "ext2", "f2fs", "vfat" };

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	for (unsigned long ro = 0; ro <= MS_RDONLY; ro += MS_RDONLY)
		for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
			if (mount(dev, "/tmp", types[i], ro | MS_STRICTATIME,
				  NULL) == 0)
				return 0;
	return -ENODEV;
}

int box_thaw_device(const char *dev)
{
	int thawed = 0;
	int err = box_mount_apart(dev);

	if (err < 0)
		return err;
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (ioctl(fd, FITHAW, 0) == 0)
		thawed++;
	close(fd);
	umount2("/tmp", MNT_DETACH);
	return thawed;
}

static bool read_updates_atime(int dir_fd)
{
	struct stat before, after;
	char entries[4096];

	fstat(dir_fd, &before);
	lseek(dir_fd, 0, SEEK_SET);
	syscall(SYS_getdents64, dir_fd, entries, sizeof(entries));
	fstat(dir_fd, &after);
	return before.st_atim.tv_sec != after.st_atim.tv_sec ||
	       before.st_atim.tv_nsec != after.st_atim.tv_nsec;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

bool box_frozen(int dir_fd)
{
	/* The clock that access times are taken from ticks, at 100 Hz at
	 * least. */
	long long end = now_ms() + 40;

	for (;;) {
		bool last = now_ms() >= end;	/* asked before, not after */

		if (read_updates_atime(dir_fd))
			return false;
		if (last)
			return true;
	}
}
