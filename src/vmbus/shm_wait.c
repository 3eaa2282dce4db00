/* vmbus/shm_wait.c - inotify on a path that may not exist yet. */
#include "vmbus/shm_wait.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct shm_wait {
	int fd, wd;			/* wd -1: not watching */
	struct loop_io *io;
	void (*changed)(void *arg);
	void *arg;
	size_t dir_len;			/* of path: the directory watched */
	char path[];
};

static void on_event(void *arg, unsigned events);

struct shm_wait *shm_wait_new(struct loop *l, const char *path,
			      void (*changed)(void *arg), void *arg)
{
	size_t len = strlen(path) + 1;
	struct shm_wait *w = calloc(1, sizeof(*w) + len);
	int err;

	if (!w)
		return NULL;
	memcpy(w->path, path, len);
	w->wd = -1;
	w->changed = changed;
	w->arg = arg;
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd >= 0)
		w->io = loop_io_new(l, w->fd, LOOP_READ, on_event, w);
	if (!w->io) {
		err = w->fd < 0 ? errno : ENOMEM;
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		errno = err;
		return NULL;
	}
	return w;
}

void shm_wait_free(struct shm_wait *w)
{
	if (!w)
		return;
	loop_io_free(w->io);
	close(w->fd);
	free(w);
}

/* Length of the directory part of the first `len` bytes; 0: there is none. */
static size_t parent_len(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	while (len > 1 && path[len - 1] == '/')
		len--;
	return len;
}

static int watch_dir(struct shm_wait *w, size_t len)
{
	char *dir = len ? strndup(w->path, len) : strdup(".");
	int wd;

	if (!dir)
		return -ENOMEM;
	wd = inotify_add_watch(w->fd, dir, IN_ONLYDIR | IN_CREATE |
			       IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF |
			       IN_MOVE_SELF);
	free(dir);
	return wd < 0 ? -errno : wd;
}

/* Watch the deepest directory on the way to the path. */
static int watch_nearest(struct shm_wait *w)
{
	size_t len = parent_len(w->path, strlen(w->path));

	for (;;) {
		int wd = watch_dir(w, len);

		if (wd >= 0) {
			w->wd = wd;
			w->dir_len = len;
			return 0;
		}
		if ((wd != -ENOENT && wd != -ENOTDIR) || len <= 1)
			return wd;
		len = parent_len(w->path, len);
	}
}

/* The next directory may appear just before the watch above it is there, so
 * go on until the same one is found twice. */
int shm_wait_start(struct shm_wait *w)
{
	size_t before;

	w->dir_len = SIZE_MAX;
	do {
		int err;

		before = w->dir_len;
		shm_wait_stop(w);
		err = watch_nearest(w);
		if (err < 0)
			return err;
	} while (w->dir_len != before);
	return 0;
}

void shm_wait_stop(struct shm_wait *w)
{
	if (w->wd >= 0)
		inotify_rm_watch(w->fd, w->wd);
	w->wd = -1;
}

/* Does the event speak of the next name on the way to the path? Events about
 * the directory itself have no name and always count. */
static bool is_ours(const struct shm_wait *w, const struct inotify_event *e)
{
	const char *next = w->path + w->dir_len;
	size_t n;

	if (e->wd != w->wd)
		return false;
	if (!e->len)
		return true;
	next += strspn(next, "/");
	n = strcspn(next, "/");
	return strlen(e->name) == n && !memcmp(next, e->name, n);
}

static bool drain(struct shm_wait *w)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool ours = false;
	ssize_t got;

	while ((got = read(w->fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + got; ) {
			const struct inotify_event *e = (const void *)p;

			ours |= is_ours(w, e) || e->mask & IN_Q_OVERFLOW;
			p += sizeof(*e) + e->len;
		}
	}
	return ours;
}

static void on_event(void *arg, unsigned events)
{
	struct shm_wait *w = arg;

	(void)events;
	if (!drain(w) || w->wd < 0)
		return;
	(void)shm_wait_start(w);	/* perhaps one directory deeper now */
	w->changed(w->arg);
}
