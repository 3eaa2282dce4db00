/* vss/fs_open_linux.c - see fs_open.h.
 *
 * st_dev is the super block, but not on btrfs, where each subvolume has a
 * device number of its own and only the mount table has the super block's.
 * Then the descriptor's mount id leads to the line there. */
#include "vss/fs_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A directory is opened as one. Else look first: opening a device node would
 * do things to the device. */
static int open_mount_point(const char *path)
{
	char again[32];
	struct stat st;
	int fd, at;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 || errno != ENOTDIR)
		return fd < 0 ? -errno : fd;
	at = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (at < 0)
		return -errno;
	if (fstat(at, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(at);
		return -ENOTSUP;
	}
	snprintf(again, sizeof(again), "/proc/self/fd/%d", at);
	fd = open(again, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	fd = fd < 0 ? -errno : fd;
	close(at);
	return fd;
}

static int mount_id(int fd)
{
	char path[40], line[128];
	int id = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (id < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = -1;
	fclose(f);
	return id;
}

/* The mount table that path belongs to: another namespace's is reached through
 * /proc/PID/root. */
static void table_of(char *out, size_t cap, const char *path)
{
	unsigned pid;

	if (sscanf(path, "/proc/%u/root", &pid) == 1)
		snprintf(out, cap, "/proc/%u/mountinfo", pid);
	else
		snprintf(out, cap, "/proc/self/mountinfo");
}

static bool table_says(const char *path, int id, dev_t dev)
{
	unsigned major, minor;
	char table[40], line[4096];
	bool start = true, is = false;
	FILE *f;
	int n;

	table_of(table, sizeof(table), path);
	f = fopen(table, "re");
	if (!f)
		return false;
	/* Lines may be longer than ours; what counts comes first. */
	while (!is && fgets(line, sizeof(line), f)) {
		if (start && sscanf(line, "%d %*d %u:%u", &n, &major,
				    &minor) == 3)
			is = n == id && makedev(major, minor) == dev;
		start = strchr(line, '\n') != NULL;
	}
	fclose(f);
	return is;
}

static bool is_on(int fd, const char *path, dev_t dev)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_dev == dev)
		return true;
	return table_says(path, mount_id(fd), dev);
}

int fs_open(const char *path, dev_t dev)
{
	int fd = open_mount_point(path);

	if (fd >= 0 && !is_on(fd, path, dev)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}
