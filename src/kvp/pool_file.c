/* kvp/pool_file.c - one pool file: locked, looked at, changed.
 *
 * Begin takes the locks, makes sure that the descriptor is still the file the
 * path names, reads the journal's header, and finishes a change that somebody
 * died over; or, where we may not write, looks at the file through that change:
 * the overlay.
 *
 * A change sets the file's time of modification itself, to the nanosecond,
 * right after writing. The kernel stamps with a clock that ticks a few hundred
 * times a second, so whoever else writes to the file, however soon, leaves
 * another time there. If file and journal agree on it, the last change was one
 * of ours ("known").
 */
#include "kvp/pool_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kvp/pool_io.h"
#include "kvp/pool_lock.h"

enum { LOCK_TIMEOUT_MS = 2000 };

uint64_t pool_file_ns(struct timespec ts)
{
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t pool_file_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return pool_file_ns(ts);
}

/* Opening ---------------------------------------------------------------- */

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

static int make_dir(struct pool_file *f)
{
	char parent[PATH_MAX];
	char *slash;

	if (mkdir(f->dir, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (f->cfg.no_sync)
		return 0;
	snprintf(parent, sizeof(parent), "%s", f->dir);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	return sync_dir(slash ? parent : ".");
}

/* There was nothing to open, and yet there is something: a file that somebody
 * made in between (try again), or a link that leads nowhere. */
static int not_made(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode) ? -ELOOP : -EAGAIN;
}

/* An existing file, or a new one with exactly this mode. */
static int open_file(struct pool_file *f, const char *path, mode_t mode)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd, r;

	if (f->cfg.access == POOL_READ) {
		fd = open(path, flags | O_RDONLY);
		return fd < 0 ? -errno : fd;
	}
	fd = open(path, flags | O_RDWR);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	fd = open(path, flags | O_RDWR | O_CREAT | O_EXCL, mode);
	if (fd < 0)
		return errno == EEXIST ? not_made(path) : -errno;
	r = fchmod(fd, mode) < 0 ? -errno : 0;
	if (r == 0 && !f->cfg.no_sync)
		r = sync_dir(f->dir);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static void close_file(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int open_named(struct pool_file *f)
{
	struct stat st;

	close_file(&f->fd);
	f->generation++;
	do {
		f->fd = open_file(f, f->path, f->cfg.mode);
	} while (f->fd == -EAGAIN);
	if (f->fd < 0)
		return f->fd;
	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		close_file(&f->fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	}
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	return 0;
}

/* The journal: whoever may read the pool may read it, since it is needed to
 * see a whole state after a crash; it never keeps what the pool no longer
 * holds. Readers do without when there is none. */
static int open_redo(struct pool_file *f)
{
	mode_t mode = (f->st.st_mode & 0444) | 0600;
	struct stat st;

	if (f->redo_fd >= 0) {
		if (fstat(f->redo_fd, &st) == 0 && st.st_nlink)
			return 0;
		close_file(&f->redo_fd);	/* somebody removed it */
	}
	do {
		f->redo_fd = open_file(f, f->redo_path, mode);
	} while (f->redo_fd == -EAGAIN);
	if (f->redo_fd < 0)
		return f->cfg.access == POOL_READ ? 0 : f->redo_fd;
	if (fstat(f->redo_fd, &st) < 0)
		return -errno;
	if (f->cfg.access == POOL_READ)
		return 0;
	/* Both may fail: then it is ours, and a change may find no room. */
	if (st.st_uid != f->st.st_uid)
		(void)!fchown(f->redo_fd, f->st.st_uid, f->st.st_gid);
	if (st.st_size < POOL_REDO_KEEP)
		(void)!fallocate(f->redo_fd, 0, 0, POOL_REDO_KEEP);
	return 0;
}

static char *join(const char *dir, const char *name, unsigned id)
{
	char *s;

	return asprintf(&s, "%s/%s%u", dir, name, id) < 0 ? NULL : s;
}

/* Repair now what a crash left, for those who read the file without us. If
 * it cannot be had now, the first operation does it. */
static void repair(struct pool_file *f)
{
	struct redo t;

	if (fstat(f->fd, &f->st) == 0 && open_redo(f) == 0 &&
	    redo_load(f->redo_fd, &t) == 1 && t.pending &&
	    pool_file_begin(f, true) == 0)
		pool_file_end(f);
}

static int init(struct pool_file *f, const struct pool_cfg *cfg)
{
	const char *dir = cfg->dir ? cfg->dir : POOL_DIR;

	memset(f, 0, sizeof(*f));
	f->fd = f->redo_fd = -1;
	f->cfg = *cfg;
	f->cfg.dir = NULL;
	if (!f->cfg.lock_timeout_ms)
		f->cfg.lock_timeout_ms = LOCK_TIMEOUT_MS;
	if (!f->cfg.mode)
		f->cfg.mode = 0644;
	f->dir = strdup(dir);
	f->path = join(dir, ".kvp_pool_", cfg->id);
	f->redo_path = join(dir, ".redo_pool_", cfg->id);
	return f->dir && f->path && f->redo_path ? 0 : -ENOMEM;
}

int pool_file_open(struct pool_file *f, const struct pool_cfg *cfg)
{
	int r = init(f, cfg);

	if (r == 0 && cfg->access == POOL_WRITE)
		r = make_dir(f);
	if (r == 0)
		r = open_named(f);
	if (r < 0)
		pool_file_close(f);
	else if (cfg->access == POOL_WRITE)
		repair(f);
	return r;
}

void pool_file_close(struct pool_file *f)
{
	close_file(&f->fd);
	close_file(&f->redo_fd);
	free(f->dir);
	free(f->path);
	free(f->redo_path);
	f->dir = f->path = f->redo_path = NULL;
}

/* Begin and end of an operation ------------------------------------------ */

/* Lock the file that the path names now. */
static int lock_current(struct pool_file *f, bool exclusive,
			int64_t deadline_ms)
{
	for (;;) {
		int r = f->fd < 0 ? open_named(f) : 0;

		if (r == 0)
			r = pool_lock(f->fd, exclusive, deadline_ms);
		if (r < 0)
			return r;
		if (stat(f->path, &f->st) == 0) {
			if (f->st.st_dev == f->dev && f->st.st_ino == f->ino)
				return 0;
		} else if (errno != ENOENT) {
			r = -errno;
			pool_file_end(f);
			return r;
		}
		/* Replaced or removed: the descriptor is worth nothing. */
		pool_file_end(f);
		close_file(&f->fd);
		if (pool_lock_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
	}
}

/* Read the journal's header. 1: a change is pending and its images are whole;
 * 0: nothing to do. */
static int look_at_redo(struct pool_file *f)
{
	int r = open_redo(f);

	memset(&f->redo, 0, sizeof(f->redo));
	if (r < 0 || f->redo_fd < 0)
		return r;
	r = redo_load(f->redo_fd, &f->redo);
	if (r <= 0) {
		memset(&f->redo, 0, sizeof(f->redo));
		return r;
	}
	if (f->redo.pending) {
		f->redo.mtime_ns = 0;		/* nobody knows it yet */
		return redo_body_ok(f->redo_fd, &f->redo);
	}
	f->known = f->redo.ino == (uint64_t)f->ino &&
		   f->redo.new_size == f->size &&
		   f->redo.mtime_ns == pool_file_ns(f->st.st_mtim);
	return 0;
}

static int sync_file(struct pool_file *f, int fd)
{
	return f->cfg.no_sync || fdatasync(fd) == 0 ? 0 : -errno;
}

/* Finish the pending change for good; needs the exclusive lock. */
static int recover(struct pool_file *f, enum redo_verdict v,
		   uint64_t size_after)
{
	struct redo done = f->redo;
	int r = 0;

	if (v != REDO_LEAVE) {
		r = redo_apply(f->redo_fd, &f->redo, f->fd, v == REDO_BACK,
			       f->size, size_after);
		if (r == 0)
			r = sync_file(f, f->fd);
	}
	if (r == 0) {
		done.epoch++;
		r = redo_clear(f->redo_fd, &done);
	}
	if (r < 0)
		return r;
	done.pending = false;
	f->redo = done;
	f->size = size_after;
	return 0;
}

/* See the file as it will be once somebody has recovered it. */
static void look_through(struct pool_file *f, enum redo_verdict v,
			 uint64_t size_after)
{
	f->overlay = v != REDO_LEAVE;
	f->overlay_back = v == REDO_BACK;
	f->size = size_after;
}

static int handle_pending(struct pool_file *f, bool exclusive, bool change)
{
	enum redo_verdict v;
	uint64_t size_after;
	int r = redo_judge(f->redo_fd, &f->redo, f->fd, f->size, &v,
			   &size_after);

	if (r < 0)
		return r;
	f->generation++;
	if (exclusive) {
		r = recover(f, v, size_after);
		if (r == 0 || change)
			return r;
	}
	look_through(f, v, size_after);
	return 0;
}

static int begin_locked(struct pool_file *f, bool exclusive, bool change)
{
	int r;

	f->size = (uint64_t)f->st.st_size;
	f->known = f->overlay = false;
	r = look_at_redo(f);
	if (r == 1 && !exclusive && f->cfg.access == POOL_WRITE)
		return 1;			/* come back to repair it */
	if (r == 1)
		r = handle_pending(f, exclusive, change);
	if (r == 0 && f->size / KVP_RECORD_SIZE > POOL_RECORDS_MAX)
		r = -EFBIG;
	return r;
}

int pool_file_begin(struct pool_file *f, bool change)
{
	int64_t deadline_ms = pool_lock_now_ms() + f->cfg.lock_timeout_ms;
	bool exclusive = change;
	int r;

	if (change && f->cfg.access == POOL_READ)
		return -EACCES;
	for (;;) {
		r = lock_current(f, exclusive, deadline_ms);
		if (r < 0)
			return r;
		r = begin_locked(f, exclusive, change);
		if (r == 0)
			return 0;
		pool_file_end(f);
		if (r < 0)
			return r;
		exclusive = true;
	}
}

void pool_file_end(struct pool_file *f)
{
	if (f->fd >= 0)
		pool_unlock(f->fd);
}

/* Reading ---------------------------------------------------------------- */

uint32_t pool_file_count(const struct pool_file *f)
{
	return (uint32_t)(f->size / KVP_RECORD_SIZE);
}

/* Put the pending change's bytes over what was read from the file. */
static int read_overlay(struct pool_file *f, uint8_t *buf, size_t len,
			uint64_t at)
{
	const struct redo *t = &f->redo;
	uint64_t image_len = f->overlay_back ? t->pre_len : t->post_len;
	uint64_t from = pool_max(at, t->offset);
	uint64_t to = pool_min(at + len, t->offset + image_len);
	ssize_t n;

	if (from >= to)
		return 0;
	n = pool_pread(f->redo_fd, buf + (from - at), (size_t)(to - from),
		       redo_image_at(t, !f->overlay_back) + from - t->offset);
	return n < 0 ? (int)n : 0;
}

int pool_file_read(struct pool_file *f, uint32_t first, size_t count,
		   uint8_t *buf)
{
	uint64_t at = (uint64_t)first * KVP_RECORD_SIZE;
	size_t len = count * KVP_RECORD_SIZE;
	ssize_t n = pool_pread(f->fd, buf, len, at);

	if (n < 0)
		return (int)n;
	memset(buf + n, 0, len - (size_t)n);
	return f->overlay ? read_overlay(f, buf, len, at) : 0;
}

int pool_file_walk(struct pool_file *f, uint32_t first, uint32_t end,
		   int (*fn)(void *arg, uint32_t recno, const uint8_t *rec),
		   void *arg)
{
	uint8_t buf[POOL_CHUNK];
	int r = 0;

	while (r == 0 && first < end) {
		size_t count = pool_min(sizeof(buf) / KVP_RECORD_SIZE,
					end - first);

		r = pool_file_read(f, first, count, buf);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = fn(arg, first + (uint32_t)i,
			       buf + i * KVP_RECORD_SIZE);
		first += (uint32_t)count;
	}
	return r;
}

/* Changing --------------------------------------------------------------- */

/* The time of change by which the journal will know this state again. */
static void set_mtime(struct pool_file *f, uint64_t ns)
{
	struct timespec ts[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)(ns / 1000000000u),
		  .tv_nsec = (long)(ns % 1000000000u) },
	};

	/* Only an owner may. Without it the file counts as changed by
	 * others: right, and slower. */
	(void)!futimens(f->fd, ts);
}

static int put_into_file(struct pool_file *f, const struct redo *t)
{
	int r = redo_apply(f->redo_fd, t, f->fd, false, t->old_size,
			   t->new_size);

	if (r < 0)
		return r;
	set_mtime(f, t->mtime_ns);
	return sync_file(f, f->fd);
}

/* The change failed half-way: the old state again. If even that cannot be
 * written, the journal stays pending and whoever can finishes it. */
static void undo(struct pool_file *f, const struct redo *t)
{
	struct redo nothing = *t;
	struct stat st;

	if (fstat(f->fd, &st) < 0 ||
	    redo_apply(f->redo_fd, t, f->fd, true, (uint64_t)st.st_size,
		       t->old_size) < 0)
		return;
	(void)!sync_file(f, f->fd);
	nothing.mtime_ns = 0;
	nothing.new_size = t->old_size;
	if (redo_clear(f->redo_fd, &nothing) == 0)
		(void)!sync_file(f, f->redo_fd);
}

/* The journal could not be written whole; the file has not been touched. */
static void forget(struct pool_file *f, const struct redo *t)
{
	struct redo nothing = { .epoch = t->epoch, .ino = t->ino };

	if (redo_clear(f->redo_fd, &nothing) == 0)
		(void)!sync_file(f, f->redo_fd);
}

int pool_file_commit(struct pool_file *f, struct redo *t, bool moved,
		     redo_post_fn post, void *arg)
{
	int r;

	t->ino = (uint64_t)f->ino;
	t->mtime_ns = pool_file_now_ns();
	/* Without a journal to go on from, start where nobody has been. */
	t->epoch = (f->redo.epoch ? f->redo.epoch : t->mtime_ns) +
		   (f->known ? 0 : 1) + moved;

	r = redo_store(f->redo_fd, t, f->fd, post, arg);
	if (r == 0)
		r = sync_file(f, f->redo_fd);
	if (r < 0) {
		forget(f, t);
		return r;
	}
	r = put_into_file(f, t);
	if (r < 0) {
		undo(f, t);
		return r;
	}
	/* Should this fail, the change is found finished by the next one. */
	(void)!redo_clear(f->redo_fd, t);
	f->size = t->new_size;
	return 0;
}
