/* box_do.c - small things done inside a box, each by a process of its own
 * that a test can leave behind if it hangs in a frozen file system. */
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "box.h"

static int done(int r, const char *what)
{
	if (r >= 0)
		return 0;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

static int on_dir(const char *path, unsigned long request)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -1 : ioctl(fd, request, 0);

	return done(r, path);
}

static int do_freeze(char **a)
{
	return on_dir(a[0], FIFREEZE);
}

static int do_thaw(char **a)
{
	return on_dir(a[0], FITHAW);
}

/* PATH: standard input becomes the file. */
static int do_put(char **a)
{
	int fd = open(a[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char buf[65536];
	ssize_t n;

	if (fd < 0)
		return done(-1, a[0]);
	while ((n = read(0, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			return done(-1, a[0]);
	return done(close(fd), a[0]);
}

/* PATH MEGABYTES: written, and not flushed. */
static int do_dirty(char **a)
{
	int fd = open(a[0], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	static char buf[1 << 20];

	if (fd < 0)
		return done(-1, a[0]);
	memset(buf, 'd', sizeof(buf));
	for (long i = atol(a[1]); i > 0; i--)
		if (write(fd, buf, sizeof(buf)) != sizeof(buf))
			return done(-1, a[0]);
	return done(close(fd), a[0]);
}

/* SOURCE TARGET TYPE FLAGS DATA */
static int do_mount(char **a)
{
	unsigned long flags = 0;

	if (strstr(a[3], "bind"))
		flags |= MS_BIND;
	if (strstr(a[3], "ro"))
		flags |= MS_RDONLY;
	if (strstr(a[3], "remount"))
		flags |= MS_REMOUNT;
	return done(mount(a[0], a[1], a[2], flags, *a[4] ? a[4] : NULL), a[1]);
}

static int do_umount(char **a)
{
	return done(umount2(a[0], strcmp(a[1], "lazy") ? 0 : MNT_DETACH), a[0]);
}

/* FILE: prints the device, and keeps it until killed. */
static int do_loop(char **a)
{
	int fd, n = box_loop_attach(3, "/dev", a[0], &fd);

	errno = -n;
	if (n < 0)
		return done(-1, a[0]);
	printf("/dev/loop%d\n", n);
	fflush(stdout);
	pause();
	return 0;
}

static int do_subvolume(char **a)
{
	struct btrfs_ioctl_vol_args args = { 0 };
	char *name = strrchr(a[0], '/');
	int fd;

	if (!name || strlen(name) > sizeof(args.name))
		return 2;
	*name++ = '\0';
	snprintf(args.name, sizeof(args.name), "%s", name);
	fd = open(a[0], O_RDONLY | O_CLOEXEC);
	return done(fd < 0 ? -1 : ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &args),
		    a[0]);
}

/* DEVICE: exit status 1 when frozen. */
static int do_frozen_device(char **a)
{
	int err = box_mount_apart(a[0]);
	int fd = err < 0 ? err : open("/tmp", O_RDONLY | O_DIRECTORY);

	errno = -err;
	if (fd < 0)
		return 2 + done(-1, a[0]);
	return box_frozen(fd);
}

/* PATH: the same for whatever is mounted there. */
static int do_frozen(char **a)
{
	struct mount_attr attr = { .attr_clr = MOUNT_ATTR__ATIME,
				   .attr_set = MOUNT_ATTR_STRICTATIME };
	int tree = open_tree(AT_FDCWD, a[0],
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0 ||
	    mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return 2 + done(-1, a[0]);
	int fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? 2 + done(-1, a[0]) : box_frozen(fd);
}

/* SOURCE TARGET TYPE: mount it in a mount namespace of our own, say "ready",
 * keep that until killed. */
static int do_mount_elsewhere(char **a)
{
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(a[0], a[1], a[2], 0, NULL) < 0)
		return done(-1, a[1]);
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}

static int do_mkdir(char **a)
{
	return done(mkdir(a[0], 0755), a[0]);
}

int box_do(int argc, char **argv)
{
	static const struct {
		const char *name;
		int n_args;
		int (*run)(char **args);
	} verbs[] = {
		{ "freeze", 1, do_freeze },
		{ "thaw", 1, do_thaw },
		{ "frozen", 1, do_frozen },
		{ "frozen-device", 1, do_frozen_device },
		{ "put", 1, do_put },
		{ "dirty", 2, do_dirty },
		{ "mkdir", 1, do_mkdir },
		{ "mount", 5, do_mount },
		{ "umount", 2, do_umount },
		{ "mount-elsewhere", 3, do_mount_elsewhere },
		{ "loop", 1, do_loop },
		{ "subvolume", 1, do_subvolume },
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(argv[0], verbs[i].name) == 0 &&
		    argc - 1 == verbs[i].n_args)
			return verbs[i].run(argv + 1);
	fprintf(stderr, "%s: no such thing to do\n", argv[0]);
	return 2;
}
