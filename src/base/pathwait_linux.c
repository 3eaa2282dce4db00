/* base/pathwait_linux.c - waiting for a path by inotify.
 *
 * One directory is watched at a time: the deepest that exists. When the next
 * component of the path appears there, or the directory itself goes away, the
 * watch moves. Between looking for the deepest directory and watching it the
 * next component may appear unseen, so arming goes on until nothing moved. */
#include "base/pathwait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	MASK = IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
	       IN_MOVE_SELF | IN_ONLYDIR,
	BUF = 4096,
};

struct pathwait {
	char *path;
	int fd;				/* of inotify */
	int wd;				/* the watch, -1: none */
	size_t dir_len;			/* of path: the directory watched */
	struct loop_io *io;
	void (*fn)(void *arg);
	void *arg;
};

/* End of the component that begins after path[at]. */
static size_t component_end(const char *path, size_t at)
{
	at += strspn(path + at, "/");
	return at + strcspn(path + at, "/");
}

static int watch_prefix(struct pathwait *w, size_t len)
{
	char dir[4096];

	if (len >= sizeof(dir))
		return -1;
	memcpy(dir, w->path, len);
	dir[len] = '\0';
	if (!len)
		strcpy(dir, w->path[0] == '/' ? "/" : ".");
	return inotify_add_watch(w->fd, dir, MASK);
}

/* Watch the deepest directory above the last component. */
static void arm(struct pathwait *w)
{
	size_t len = strlen(w->path);
	int wd;

	do {
		while (len && w->path[len - 1] != '/')
			len--;
		while (len && w->path[len - 1] == '/')
			len--;
		wd = watch_prefix(w, len);
	} while (wd < 0 && len);
	if (w->wd >= 0 && w->wd != wd)
		inotify_rm_watch(w->fd, w->wd);
	w->wd = wd;
	w->dir_len = len;
}

static bool exists(const char *path, size_t len)
{
	char part[4096];

	if (len >= sizeof(part))
		return false;
	memcpy(part, path, len);
	part[len] = '\0';
	return access(part, F_OK) == 0;
}

/* Follow the path down until the next component is missing. True when the
 * whole of it exists. */
static bool arm_deepest(struct pathwait *w)
{
	size_t full = strlen(w->path);
	/* Bounded: somebody may make and remove directories as we look. */
	for (unsigned tries = 0; tries < 64; tries++) {
		size_t next;

		arm(w);
		next = component_end(w->path, w->dir_len);
		if (!exists(w->path, next))
			return false;
		if (next == full)
			return true;
	}
	return false;
}

/* Is the event about the component we wait for, or about the directory? */
static bool concerns(const struct pathwait *w, const struct inotify_event *e)
{
	size_t at = w->dir_len + strspn(w->path + w->dir_len, "/");
	size_t n = component_end(w->path, w->dir_len) - at;

	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED |
		       IN_Q_OVERFLOW))
		return true;
	return e->len && strlen(e->name) == n &&
	       !memcmp(e->name, w->path + at, n);
}

static void on_events(void *arg, unsigned events)
{
	char buf[BUF] __attribute__((aligned(8)));
	struct pathwait *w = arg;
	bool ours = false;
	ssize_t n;

	(void)events;
	while ((n = read(w->fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			ours |= concerns(w, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	if (ours && arm_deepest(w))
		w->fn(w->arg);
}

struct pathwait *pathwait_new(struct loop *l, const char *path,
			      void (*fn)(void *arg), void *arg)
{
	struct pathwait *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return NULL;
	*w = (struct pathwait){ .fd = -1, .wd = -1, .fn = fn, .arg = arg };
	w->path = strdup(path);
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (!w->path || w->fd < 0)
		goto fail;
	w->io = loop_io_new(l, w->fd, LOOP_READ, on_events, w);
	if (!w->io)
		goto fail;
	arm_deepest(w);
	return w;
fail:
	err = errno ? errno : ENOMEM;
	pathwait_free(w);
	errno = err;
	return NULL;
}

void pathwait_free(struct pathwait *w)
{
	if (!w)
		return;
	loop_io_free(w->io);
	if (w->fd >= 0)
		close(w->fd);
	free(w->path);
	free(w);
}
