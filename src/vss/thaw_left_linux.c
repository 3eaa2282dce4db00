/* vss/thaw_left_linux.c - see thaw_left.h.
 *
 * By path where a mount of that super block can be seen, here or through
 * another process's root. Else by its block device: a mount made with
 * fsopen(2) joins the super block that lives, if it has the same read-only
 * flag. Read-only comes first: if nothing lives on that device any more, that
 * mount changes nothing on it, and if something does, the kernel refuses. */
#include "vss/thaw_left.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vss/fs_open.h"

/* \040 and the like become what they stand for. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		unsigned byte;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &byte) == 1 &&
		    strlen(s) >= 4) {
			*to++ = (char)byte;
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* A line of a mount table, if it is of this super block. */
static int open_line(char *line, const char *root, dev_t dev)
{
	char path[PATH_MAX + 64];
	unsigned major, minor;
	int at = 0, end = 0;

	if (sscanf(line, "%*d %*d %u:%u %*s %n%*s%n", &major, &minor, &at,
		   &end) < 2 || !end || makedev(major, minor) != dev)
		return -ENODEV;
	line[end] = '\0';
	unescape(line + at);
	if (snprintf(path, sizeof(path), "%s%s", root, line + at) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	return fs_open(path, dev);
}

static int open_in_table(const char *table, const char *root, dev_t dev)
{
	char *line = NULL;
	int fd = -ENODEV;
	size_t cap = 0;
	FILE *f = fopen(table, "re");

	if (!f)
		return -errno;
	while (fd < 0 && getline(&line, &cap, f) > 0)
		fd = open_line(line, root, dev);
	free(line);
	fclose(f);
	return fd;
}

static int open_elsewhere(dev_t dev)
{
	char table[280], root[280];
	struct dirent *e;
	int fd = -ENODEV;
	DIR *d = opendir("/proc");

	if (!d)
		return -errno;
	while (fd < 0 && (e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(table, sizeof(table), "/proc/%s/mountinfo", e->d_name);
		snprintf(root, sizeof(root), "/proc/%s/root", e->d_name);
		fd = open_in_table(table, root, dev);
	}
	closedir(d);
	return fd;
}

/* The path of the block device, or false. */
static bool device_path(char *out, size_t cap, const struct frozen_fs *fs)
{
	dev_t disk = makedev(fs->disk_major, fs->disk_minor);
	struct stat st;

	if (!disk)
		return false;
	snprintf(out, cap, "%s", fs->source);
	if (stat(out, &st) == 0 && S_ISBLK(st.st_mode) && st.st_rdev == disk)
		return true;
	snprintf(out, cap, "/dev/block/%u:%u", fs->disk_major, fs->disk_minor);
	return stat(out, &st) == 0 && S_ISBLK(st.st_mode) &&
	       st.st_rdev == disk;
}

/* A detached mount of the device; its root, or -errno. */
static int open_device(const char *device, const char *type, bool read_only)
{
	int ctx = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int mnt = -1, fd = -1, err;

	if (ctx < 0)
		return -errno;
	if (syscall(SYS_fsconfig, ctx, FSCONFIG_SET_STRING, "source", device,
		    0) == 0 &&
	    (!read_only || syscall(SYS_fsconfig, ctx, FSCONFIG_SET_FLAG, "ro",
				   NULL, 0) == 0) &&
	    syscall(SYS_fsconfig, ctx, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mnt = (int)syscall(SYS_fsmount, ctx, FSMOUNT_CLOEXEC, 0);
	if (mnt >= 0)
		fd = openat(mnt, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = -errno;
	if (mnt >= 0)
		close(mnt);
	close(ctx);
	return fd < 0 ? err : fd;
}

static int open_by_device(const struct frozen_fs *fs)
{
	char device[sizeof(fs->source) + 32];
	int fd;

	if (!device_path(device, sizeof(device), fs))
		return -ENODEV;
	fd = open_device(device, fs->type, true);
	return fd == -EBUSY ? open_device(device, fs->type, false) : fd;
}

int thaw_left_open(const struct frozen_fs *fs)
{
	dev_t dev = makedev(fs->major, fs->minor);
	int fd = open_in_table("/proc/self/mountinfo", "", dev);

	if (fd < 0)
		fd = open_by_device(fs);
	if (fd < 0) {
		int other = open_elsewhere(dev);

		fd = other < 0 ? fd : other;
	}
	return fd;
}

static bool left(const struct frozen_fs *fs)
{
	switch (frozen_state(fs)) {
	case FREEZE_ASKING:
	case FREEZE_FROZEN:
	case FREEZE_REVOKED:
	case FREEZE_THAWING:
	case FREEZE_STUCK:
		return true;
	default:
		return false;
	}
}

/* Both of the last life may have been at it. */
static void sweep_for_both(struct frozen *z, const int *fds, bool force,
			   const struct thaw_left *t)
{
	struct frozen_sweep s = {
		.me = FREEZE_BY_RESTART, .other_dead = t->over, .force = force,
		.fds = fds, .ops = t->ops,
	};

	for (unsigned who = FREEZE_BY_DAEMON; who < FREEZE_N_WHO; who++) {
		s.other = (enum freeze_who)who;
		frozen_sweep(z, &s);
	}
}

static void thaw_some(struct frozen *z, bool force, const struct thaw_left *t)
{
	int fds[FREEZE_MAX_FS];

	for (unsigned i = 0; i < z->n; i++) {
		bool asked = frozen_state(&z->fs[i]) == FREEZE_REVOKED;

		fds[i] = left(&z->fs[i]) && (force || !asked) ?
			 thaw_left_open(&z->fs[i]) : -EALREADY;
	}
	sweep_for_both(z, fds, force, t);
	for (unsigned i = 0; i < z->n; i++) {
		bool still = left(&z->fs[i]);

		if (fds[i] == -EALREADY)
			continue;
		if (force || !still)
			t->said(t->arg, &z->fs[i], !still ? 0 :
				fds[i] < 0 ? fds[i] : -z->fs[i].error);
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

/* What a FIFREEZE is under way for comes last: it may keep us waiting. */
unsigned thaw_left(struct frozen *z, const struct thaw_left *t)
{
	frozen_revoke(z);
	thaw_some(z, false, t);
	thaw_some(z, true, t);
	return frozen_count(z);
}
