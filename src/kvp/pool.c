/* kvp/pool.c - a pool file, shared with programs that know nothing of us.
 *
 * Each operation is pool_begin(), work, pool_end(). Begin takes the locks,
 * makes sure that the descriptor is still the file the path names, reads the
 * journal's header, and finishes a change that somebody died over (or, where
 * we may not write, looks at the file through that change: the overlay).
 *
 * Nothing of the file is kept in memory but hashes of its keys (pool_index),
 * so a value is never stale; the index may be. When is it still right?
 *
 *   - The journal's header tells which size and time of change the file had
 *     after the last change made by a user of this code. We set that time
 *     ourselves, to the nanosecond, right after writing: the kernel stamps
 *     with a clock that ticks a few hundred times a second, so whoever else
 *     writes to the file, however soon, leaves another time there. If file
 *     and header agree, we know every change ("known"), and the header's
 *     epoch, which is new whenever records moved or the file was found
 *     changed by others, says whether our record numbers still hold. New
 *     records at the end are then read, and no others.
 *   - Otherwise others changed the file. If it grew and the last record we
 *     knew is where it was, they appended (that is what reporters do): read
 *     the new records. If not, read all keys.
 *   - A file that others changed within the clock's current tick may change
 *     again without its times showing it. An index made then is used for the
 *     operation at hand and made anew for the next one.
 *
 * Whatever the index says, the record's key is compared before it is used.
 */
#include "kvp/pool.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/utf16.h"
#include "kvp/pool_index.h"
#include "kvp/pool_io.h"
#include "kvp/pool_lock.h"
#include "kvp/pool_redo.h"

enum {
	LOCK_TIMEOUT_MS = 2000,
	RECORDS_MAX = 1 << 20,		/* 2.5 GiB; far past any host's limit */
	FIND_TRIES = 3,
};

/* The file's clock ticks at least this often; and that of a file system
 * which stores whole seconds. */
#define TICK_NS		((uint64_t)20 * 1000 * 1000)
#define TICK_COARSE_NS	((uint64_t)2 * 1000 * 1000 * 1000)

/* The state of the file that the index belongs to. */
struct stamp {
	bool valid;
	bool known;		/* it was one that the journal knew */
	bool racy;		/* may have changed without a trace */
	uint64_t epoch;		/* when known */
	uint64_t size, mtime_ns, ctime_ns;
	uint64_t last;		/* hash of the last whole record */
};

struct pool {
	struct pool_cfg cfg;
	char *dir, *path, *redo_path;
	int fd, redo_fd;	/* -1: not open */
	dev_t dev;
	ino_t ino;		/* of fd */

	/* What begin found; valid until end. */
	struct stat st;
	struct redo redo;	/* all zero without a journal */
	bool known;		/* the last change is the journal's */
	bool overlay;		/* see the file through the journal's change */
	bool overlay_back;
	uint64_t size;		/* of the file as we see it */

	struct pool_index ix;
	struct stamp stamp;
};

/* Time ------------------------------------------------------------------- */

static uint64_t ns_of(struct timespec ts)
{
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ns_of(ts);
}

static bool is_racy(const struct stat *st)
{
	uint64_t changed = ns_of(st->st_ctim), now = now_ns();
	uint64_t age = now > changed ? now - changed : changed - now;

	return age <= (st->st_ctim.tv_nsec ? TICK_NS : TICK_COARSE_NS);
}

/* Opening files ---------------------------------------------------------- */

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

static int make_dir(struct pool *p)
{
	char parent[PATH_MAX];
	char *slash;

	if (mkdir(p->dir, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	if (p->cfg.no_sync)
		return 0;
	snprintf(parent, sizeof(parent), "%s", p->dir);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = '\0';
	return sync_dir(slash ? parent : ".");
}

/* An existing file, or a new one with exactly this mode. */
static int open_file(struct pool *p, const char *path, mode_t mode)
{
	int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd, r;

	if (p->cfg.access == POOL_READ) {
		fd = open(path, flags | O_RDONLY);
		return fd < 0 ? -errno : fd;
	}
	fd = open(path, flags | O_RDWR);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	fd = open(path, flags | O_RDWR | O_CREAT | O_EXCL, mode);
	if (fd < 0)
		return errno == EEXIST ? -EAGAIN : -errno;
	r = fchmod(fd, mode) < 0 ? -errno : 0;
	if (r == 0 && !p->cfg.no_sync)
		r = sync_dir(p->dir);
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

static int open_pool_file(struct pool *p)
{
	struct stat st;

	close_file(&p->fd);
	p->stamp.valid = false;
	do {
		p->fd = open_file(p, p->path, p->cfg.mode);
	} while (p->fd == -EAGAIN);
	if (p->fd < 0)
		return p->fd;
	if (fstat(p->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	p->dev = st.st_dev;
	p->ino = st.st_ino;
	return 0;
}

/* The journal: whoever may read the pool may read it, since it is needed to
 * see a whole state after a crash; it never keeps what the pool no longer
 * holds. Readers do without when there is none. */
static int open_redo(struct pool *p)
{
	mode_t mode = (p->st.st_mode & 0444) | 0600;
	struct stat st;

	if (p->redo_fd >= 0) {
		if (fstat(p->redo_fd, &st) == 0 && st.st_nlink)
			return 0;
		close_file(&p->redo_fd);	/* somebody removed it */
	}
	do {
		p->redo_fd = open_file(p, p->redo_path, mode);
	} while (p->redo_fd == -EAGAIN);
	if (p->redo_fd < 0)
		return p->cfg.access == POOL_READ ? 0 : p->redo_fd;
	if (fstat(p->redo_fd, &st) < 0)
		return -errno;
	if (p->cfg.access == POOL_READ)
		return 0;
	/* Both may fail: then it is ours, and a change may find no room. */
	if (st.st_uid != p->st.st_uid)
		(void)!fchown(p->redo_fd, p->st.st_uid, p->st.st_gid);
	if (st.st_size < POOL_REDO_KEEP)
		(void)!fallocate(p->redo_fd, 0, 0, POOL_REDO_KEEP);
	return 0;
}

static char *join(const char *dir, const char *name, unsigned id)
{
	char *s;

	return asprintf(&s, "%s/%s%u", dir, name, id) < 0 ? NULL : s;
}

static struct pool *alloc(const struct pool_cfg *cfg)
{
	struct pool *p = calloc(1, sizeof(*p));
	const char *dir = cfg->dir ? cfg->dir : POOL_DIR;

	if (!p)
		return NULL;
	p->fd = p->redo_fd = -1;
	p->cfg = *cfg;
	p->cfg.dir = NULL;
	if (!p->cfg.lock_timeout_ms)
		p->cfg.lock_timeout_ms = LOCK_TIMEOUT_MS;
	if (!p->cfg.mode)
		p->cfg.mode = 0644;
	p->dir = strdup(dir);
	p->path = join(dir, ".kvp_pool_", cfg->id);
	p->redo_path = join(dir, ".redo_pool_", cfg->id);
	if (p->dir && p->path && p->redo_path)
		return p;
	pool_close(p);
	errno = ENOMEM;
	return NULL;
}

static int pool_begin(struct pool *p, bool change);
static void pool_end(struct pool *p);

/* Repair now what a crash left, for those who read the file without us. If
 * it cannot be had now, the first operation does it. */
static void repair(struct pool *p)
{
	struct redo t;

	if (fstat(p->fd, &p->st) == 0 && open_redo(p) == 0 &&
	    redo_load(p->redo_fd, &t) == 1 && t.pending &&
	    pool_begin(p, true) == 0)
		pool_end(p);
}

struct pool *pool_open(const struct pool_cfg *cfg)
{
	struct pool *p;
	int r = 0;

	if (cfg->id >= KVP_N_POOLS) {
		errno = EINVAL;
		return NULL;
	}
	p = alloc(cfg);
	if (!p)
		return NULL;
	if (cfg->access == POOL_WRITE)
		r = make_dir(p);
	if (r == 0)
		r = open_pool_file(p);
	if (r < 0) {
		pool_close(p);
		errno = -r;
		return NULL;
	}
	if (cfg->access == POOL_WRITE)
		repair(p);
	return p;
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	close_file(&p->fd);
	close_file(&p->redo_fd);
	pool_index_clear(&p->ix);
	free(p->dir);
	free(p->path);
	free(p->redo_path);
	free(p);
}

/* Begin and end of an operation ------------------------------------------ */

/* Lock the file that the path names now. */
static int lock_current(struct pool *p, bool exclusive, int64_t deadline_ms)
{
	for (;;) {
		int r = p->fd < 0 ? open_pool_file(p) : 0;

		if (r == 0)
			r = pool_lock(p->fd, exclusive, deadline_ms);
		if (r < 0)
			return r;
		if (stat(p->path, &p->st) == 0) {
			if (p->st.st_dev == p->dev && p->st.st_ino == p->ino)
				return 0;
		} else if (errno != ENOENT) {
			r = -errno;
			pool_end(p);
			return r;
		}
		/* Replaced or removed: the descriptor is worth nothing. */
		pool_end(p);
		close_file(&p->fd);
		if (pool_lock_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
	}
}

/* Read the journal's header. 1: a change is pending and its images are whole;
 * 0: nothing to do. */
static int look_at_redo(struct pool *p)
{
	int r = open_redo(p);

	memset(&p->redo, 0, sizeof(p->redo));
	if (r < 0 || p->redo_fd < 0)
		return r;
	r = redo_load(p->redo_fd, &p->redo);
	if (r <= 0) {
		memset(&p->redo, 0, sizeof(p->redo));
		return r;
	}
	if (p->redo.pending) {
		p->redo.mtime_ns = 0;		/* nobody knows it yet */
		return redo_body_ok(p->redo_fd, &p->redo);
	}
	p->known = p->redo.ino == (uint64_t)p->ino &&
		   p->redo.new_size == p->size &&
		   p->redo.mtime_ns == ns_of(p->st.st_mtim);
	return 0;
}

static int sync_file(struct pool *p, int fd)
{
	return p->cfg.no_sync || fdatasync(fd) == 0 ? 0 : -errno;
}

/* Finish the pending change for good; needs the exclusive lock. */
static int recover(struct pool *p, enum redo_verdict v, uint64_t size_after)
{
	struct redo done = p->redo;
	int r = 0;

	if (v != REDO_LEAVE) {
		r = redo_apply(p->redo_fd, &p->redo, p->fd, v == REDO_BACK,
			       p->size, size_after);
		if (r == 0)
			r = sync_file(p, p->fd);
	}
	if (r == 0) {
		done.epoch++;
		r = redo_clear(p->redo_fd, &done);
	}
	if (r < 0)
		return r;
	done.pending = false;
	p->redo = done;
	p->size = size_after;
	return 0;
}

/* See the file as it will be once somebody has recovered it. */
static void look_through(struct pool *p, enum redo_verdict v,
			 uint64_t size_after)
{
	p->overlay = v != REDO_LEAVE;
	p->overlay_back = v == REDO_BACK;
	p->size = size_after;
}

static int handle_pending(struct pool *p, bool exclusive, bool change)
{
	enum redo_verdict v;
	uint64_t size_after;
	int r = redo_judge(p->redo_fd, &p->redo, p->fd, p->size, &v,
			   &size_after);

	if (r < 0)
		return r;
	p->stamp.valid = false;
	if (exclusive) {
		r = recover(p, v, size_after);
		if (r == 0 || change)
			return r;
	}
	look_through(p, v, size_after);
	return 0;
}

static int begin_locked(struct pool *p, bool exclusive, bool change)
{
	int r;

	p->size = (uint64_t)p->st.st_size;
	p->known = p->overlay = false;
	r = look_at_redo(p);
	if (r == 1 && !exclusive && p->cfg.access == POOL_WRITE)
		return 1;			/* come back to repair it */
	if (r == 1)
		r = handle_pending(p, exclusive, change);
	if (r == 0 && p->size / KVP_RECORD_SIZE > RECORDS_MAX)
		r = -EFBIG;
	return r;
}

static int pool_begin(struct pool *p, bool change)
{
	int64_t deadline_ms = pool_lock_now_ms() + p->cfg.lock_timeout_ms;
	bool exclusive = change;
	int r;

	if (change && p->cfg.access == POOL_READ)
		return -EACCES;
	for (;;) {
		r = lock_current(p, exclusive, deadline_ms);
		if (r < 0)
			return r;
		r = begin_locked(p, exclusive, change);
		if (r == 0)
			return 0;
		pool_end(p);
		if (r < 0)
			return r;
		exclusive = true;
	}
}

static void pool_end(struct pool *p)
{
	if (p->fd >= 0)
		pool_unlock(p->fd);
}

/* Reading ---------------------------------------------------------------- */

static uint32_t n_records(const struct pool *p)
{
	return (uint32_t)(p->size / KVP_RECORD_SIZE);
}

/* Put the pending change's bytes over what was read from the file. */
static int read_overlay(struct pool *p, uint8_t *buf, size_t len, uint64_t at)
{
	const struct redo *t = &p->redo;
	uint64_t image_len = p->overlay_back ? t->pre_len : t->post_len;
	uint64_t from = pool_max(at, t->offset);
	uint64_t to = pool_min(at + len, t->offset + image_len);
	ssize_t n;

	if (from >= to)
		return 0;
	n = pool_pread(p->redo_fd, buf + (from - at), (size_t)(to - from),
		       redo_image_at(t, !p->overlay_back) + from - t->offset);
	return n < 0 ? (int)n : 0;
}

/* Records as they stand, without any check of their content. */
static int read_records(struct pool *p, uint32_t first, size_t count,
			uint8_t *buf)
{
	uint64_t at = (uint64_t)first * KVP_RECORD_SIZE;
	size_t len = count * KVP_RECORD_SIZE;
	ssize_t n = pool_pread(p->fd, buf, len, at);

	if (n < 0)
		return (int)n;
	memset(buf + n, 0, len - (size_t)n);
	return p->overlay ? read_overlay(p, buf, len, at) : 0;
}

/* Call fn for records [first, end) in order until it returns nonzero. */
static int walk(struct pool *p, uint32_t first, uint32_t end,
		int (*fn)(void *arg, uint32_t recno, const uint8_t *rec),
		void *arg)
{
	uint8_t buf[POOL_CHUNK];
	int r = 0;

	while (r == 0 && first < end) {
		size_t count = pool_min(sizeof(buf) / KVP_RECORD_SIZE,
					end - first);

		r = read_records(p, first, count, buf);
		for (size_t i = 0; r == 0 && i < count; i++)
			r = fn(arg, first + (uint32_t)i,
			       buf + i * KVP_RECORD_SIZE);
		first += (uint32_t)count;
	}
	return r;
}

static size_t rec_key_len(const uint8_t *rec)
{
	return strnlen((const char *)rec, KVP_KEY_SIZE);
}

static void copy_field(char *dst, const uint8_t *src, size_t size)
{
	size_t len = strnlen((const char *)src, size);

	memcpy(dst, src, len);
	dst[len] = '\0';
}

static void copy_value(char value[KVP_VALUE_SIZE + 1], const uint8_t *rec)
{
	copy_field(value, rec + KVP_KEY_SIZE, KVP_VALUE_SIZE);
}

static void copy_kv(struct pool_kv *kv, const uint8_t *rec)
{
	copy_field(kv->key, rec, KVP_KEY_SIZE);
	copy_value(kv->value, rec);
}

/* The index -------------------------------------------------------------- */

static void drop_index(struct pool *p)
{
	pool_index_clear(&p->ix);
	p->stamp.valid = false;
}

static int index_record(void *arg, uint32_t recno, const uint8_t *rec)
{
	struct pool *p = arg;

	(void)recno;
	return pool_index_add(&p->ix, pool_index_hash(rec, rec_key_len(rec)));
}

/* Remember the last record, to recognise an append by others. */
static int stamp_last(struct pool *p)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r;

	if (!p->ix.n)
		return 0;
	r = read_records(p, p->ix.n - 1, 1, rec);
	p->stamp.last = pool_index_hash(rec, sizeof(rec));
	return r;
}

/* The index now belongs to the file as begin found it. */
static int stamp_now(struct pool *p)
{
	p->stamp.valid = !p->overlay;
	p->stamp.known = p->known;
	p->stamp.racy = !p->known && is_racy(&p->st);
	p->stamp.epoch = p->redo.epoch;
	p->stamp.size = p->size;
	p->stamp.mtime_ns = ns_of(p->st.st_mtim);
	p->stamp.ctime_ns = ns_of(p->st.st_ctim);
	return stamp_last(p);
}

static int index_tail(struct pool *p)
{
	int r = walk(p, p->ix.n, n_records(p), index_record, p);

	if (r == 0)
		r = stamp_now(p);
	if (r < 0)
		drop_index(p);
	return r;
}

static int index_all(struct pool *p)
{
	drop_index(p);
	return index_tail(p);
}

static bool same_times(const struct pool *p)
{
	return p->stamp.size == p->size &&
	       p->stamp.mtime_ns == ns_of(p->st.st_mtim) &&
	       p->stamp.ctime_ns == ns_of(p->st.st_ctim);
}

static bool last_is_where_it_was(struct pool *p)
{
	uint8_t rec[KVP_RECORD_SIZE];

	return p->ix.n && read_records(p, p->ix.n - 1, 1, rec) == 0 &&
	       pool_index_hash(rec, sizeof(rec)) == p->stamp.last;
}

/* Make the index right for the file as begin found it; see the top. */
static int refresh_index(struct pool *p)
{
	const struct stamp *s = &p->stamp;

	if (!s->valid)
		return index_all(p);
	if (p->known && s->known && p->redo.epoch == s->epoch &&
	    n_records(p) >= p->ix.n)
		return s->mtime_ns == p->redo.mtime_ns ? 0 : index_tail(p);
	if (same_times(p) && !s->racy)
		return 0;
	if (p->size > s->size && last_is_where_it_was(p))
		return index_tail(p);
	return index_all(p);
}

/* One search; -ESTALE when the index and the file do not fit together. */
static int find_once(struct pool *p, const char *key, size_t len,
		     uint32_t *recno)
{
	uint64_t hash = pool_index_hash(key, len);
	uint32_t i = pool_index_first(&p->ix, hash);
	uint8_t rec[KVP_RECORD_SIZE];

	for (; i != POOL_INDEX_NONE; i = pool_index_next(&p->ix, hash, i)) {
		size_t rec_len;
		int r = read_records(p, i, 1, rec);

		if (r < 0)
			return r;
		rec_len = rec_key_len(rec);
		*recno = i;
		if (rec_len == len && memcmp(rec, key, len) == 0)
			return 0;
		if (pool_index_hash(rec, rec_len) != hash)
			return -ESTALE;
	}
	return -ENOENT;
}

/* The first record with this key. 0, -ENOENT, or -EBUSY: somebody changes the
 * file and takes no lock. */
static int find(struct pool *p, const char *key, uint32_t *recno)
{
	size_t len = strlen(key);
	int r = refresh_index(p);

	for (int tries = 0; r == 0 && tries < FIND_TRIES; tries++) {
		r = find_once(p, key, len, recno);
		if (r != -ESTALE)
			return r;
		r = index_all(p);
	}
	return r < 0 ? r : -EBUSY;
}

static int read_value(struct pool *p, const char *key, char *value)
{
	uint8_t rec[KVP_RECORD_SIZE];
	uint32_t i;
	int r = find(p, key, &i);

	if (r == 0 && value && (r = read_records(p, i, 1, rec)) == 0)
		copy_value(value, rec);
	return r;
}

int pool_get(struct pool *p, const char *key, char value[KVP_VALUE_SIZE + 1])
{
	int r;

	if (!*key)
		return -EINVAL;
	r = pool_begin(p, false);
	if (r < 0)
		return r;
	r = read_value(p, key, value);
	pool_end(p);
	return r;
}

int pool_at(struct pool *p, uint32_t index, struct pool_kv *kv)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r = pool_begin(p, false);

	if (r < 0)
		return r;
	r = index < n_records(p) ? read_records(p, index, 1, rec) : -ENOENT;
	pool_end(p);
	if (r == 0)
		copy_kv(kv, rec);
	return r;
}

ssize_t pool_count(struct pool *p)
{
	int r = pool_begin(p, false);

	if (r < 0)
		return r;
	pool_end(p);
	return (ssize_t)n_records(p);
}

struct each {
	bool (*fn)(void *arg, const struct pool_kv *kv);
	void *arg;
};

static int each_record(void *arg, uint32_t recno, const uint8_t *rec)
{
	struct each *e = arg;
	struct pool_kv kv;

	(void)recno;
	copy_kv(&kv, rec);
	return !e->fn(e->arg, &kv);
}

int pool_each(struct pool *p, bool (*fn)(void *arg, const struct pool_kv *kv),
	      void *arg)
{
	struct each e = { fn, arg };
	int r = pool_begin(p, false);

	if (r < 0)
		return r;
	r = walk(p, 0, n_records(p), each_record, &e);
	pool_end(p);
	return r < 0 ? r : 0;
}

/* Changing --------------------------------------------------------------- */

/* The time of change by which the journal will know this state again. */
static void set_mtime(struct pool *p, uint64_t ns)
{
	struct timespec ts[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)(ns / 1000000000u),
		  .tv_nsec = (long)(ns % 1000000000u) },
	};

	/* Only an owner may. Without it the file counts as changed by
	 * others: right, and slower. */
	(void)!futimens(p->fd, ts);
}

static int put_into_file(struct pool *p, const struct redo *t)
{
	int r = redo_apply(p->redo_fd, t, p->fd, false, t->old_size,
			   t->new_size);

	if (r < 0)
		return r;
	set_mtime(p, t->mtime_ns);
	return sync_file(p, p->fd);
}

/* The change failed half-way: the old state again. If even that cannot be
 * written, the journal stays pending and whoever can finishes it. */
static void undo(struct pool *p, const struct redo *t)
{
	struct redo nothing = *t;
	struct stat st;

	drop_index(p);
	if (fstat(p->fd, &st) < 0 ||
	    redo_apply(p->redo_fd, t, p->fd, true, (uint64_t)st.st_size,
		       t->old_size) < 0)
		return;
	(void)!sync_file(p, p->fd);
	nothing.mtime_ns = 0;
	nothing.new_size = t->old_size;
	if (redo_clear(p->redo_fd, &nothing) == 0)
		(void)!sync_file(p, p->redo_fd);
}

/* The journal could not be written whole; the file has not been touched. */
static void forget(struct pool *p, const struct redo *t)
{
	struct redo nothing = { .epoch = t->epoch, .ino = t->ino };

	if (redo_clear(p->redo_fd, &nothing) == 0)
		(void)!sync_file(p, p->redo_fd);
}

/* Make the change t, whose sizes and place the caller has filled in. `moved`:
 * records change their numbers. */
static int commit(struct pool *p, struct redo *t, bool moved,
		  redo_post_fn post, void *arg)
{
	int r;

	t->ino = (uint64_t)p->ino;
	t->mtime_ns = now_ns();
	/* Without a journal to go on from, start where nobody has been. */
	t->epoch = (p->redo.epoch ? p->redo.epoch : t->mtime_ns) +
		   (p->known ? 0 : 1) + moved;

	r = redo_store(p->redo_fd, t, p->fd, post, arg);
	if (r == 0)
		r = sync_file(p, p->redo_fd);
	if (r < 0) {
		forget(p, t);
		return r;
	}
	r = put_into_file(p, t);
	if (r < 0) {
		undo(p, t);
		return r;
	}
	/* Should this fail, the change is found finished by the next one. */
	(void)!redo_clear(p->redo_fd, t);
	p->size = t->new_size;
	return 0;
}

/* The index has followed the change t. */
static void stamp_change(struct pool *p, const struct redo *t)
{
	p->stamp.valid = true;
	p->stamp.known = true;
	p->stamp.racy = true;		/* unless known again later */
	p->stamp.epoch = t->epoch;
	p->stamp.size = t->new_size;
	p->stamp.mtime_ns = t->mtime_ns;
	if (stamp_last(p) < 0)
		drop_index(p);
}

static void put_record(uint8_t rec[KVP_RECORD_SIZE], const char *key,
		       const char *value)
{
	memset(rec, 0, KVP_RECORD_SIZE);
	memcpy(rec, key, strlen(key));
	memcpy(rec + KVP_KEY_SIZE, value, strlen(value));
}

static int check_text(const char *key, const char *value)
{
	size_t key_len = strnlen(key, KVP_KEY_SIZE);
	size_t value_len = strnlen(value, KVP_VALUE_SIZE);

	if (!key_len)
		return -EINVAL;
	if (key_len == KVP_KEY_SIZE || value_len == KVP_VALUE_SIZE)
		return -EMSGSIZE;
	if (!utf8_valid(key, key_len) || !utf8_valid(value, value_len))
		return -EILSEQ;
	return 0;
}

static int copy_post(void *arg, uint32_t recno, uint8_t rec[KVP_RECORD_SIZE])
{
	(void)recno;
	memcpy(rec, arg, KVP_RECORD_SIZE);
	return 0;
}

static int replace_record(struct pool *p, uint32_t i, uint8_t *rec)
{
	struct redo t = {
		.offset = (uint64_t)i * KVP_RECORD_SIZE,
		.pre_len = KVP_RECORD_SIZE, .post_len = KVP_RECORD_SIZE,
		.old_size = p->size, .new_size = p->size,
	};
	int r = commit(p, &t, false, copy_post, rec);

	if (r == 0)
		stamp_change(p, &t);
	return r;
}

static int append_record(struct pool *p, uint8_t *rec)
{
	uint64_t end = (uint64_t)n_records(p) * KVP_RECORD_SIZE;
	struct redo t = {
		.offset = end,			/* over a partial record */
		.pre_len = p->size - end, .post_len = KVP_RECORD_SIZE,
		.old_size = p->size, .new_size = end + KVP_RECORD_SIZE,
	};
	int r = n_records(p) < RECORDS_MAX ?
		commit(p, &t, false, copy_post, rec) : -EFBIG;

	if (r < 0)
		return r;
	/* An append does not look anything up, so the index may be behind. */
	if (p->stamp.valid && p->ix.n == t.offset / KVP_RECORD_SIZE &&
	    index_record(p, p->ix.n, rec) == 0)
		stamp_change(p, &t);
	else
		drop_index(p);
	return 0;
}

static int set_locked(struct pool *p, uint8_t *rec, const char *key)
{
	uint32_t i;
	int r = find(p, key, &i);

	if (r == -ENOENT)
		return append_record(p, rec);
	return r < 0 ? r : replace_record(p, i, rec);
}

int pool_set(struct pool *p, const char *key, const char *value)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r = check_text(key, value);

	if (r == 0)
		r = pool_begin(p, true);
	if (r < 0)
		return r;
	put_record(rec, key, value);
	r = set_locked(p, rec, key);
	pool_end(p);
	return r;
}

int pool_append(struct pool *p, const char *key, const char *value)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r = check_text(key, value);

	if (r == 0)
		r = pool_begin(p, true);
	if (r < 0)
		return r;
	put_record(rec, key, value);
	r = p->stamp.valid ? refresh_index(p) : 0;
	if (r == 0)
		r = append_record(p, rec);
	pool_end(p);
	return r;
}

static int delete_record(struct pool *p, uint32_t i)
{
	uint64_t offset = (uint64_t)i * KVP_RECORD_SIZE;
	uint64_t new_size = (uint64_t)(n_records(p) - 1) * KVP_RECORD_SIZE;
	struct redo t = {
		.shift = true, .offset = offset,
		.pre_len = p->size - offset, .post_len = new_size - offset,
		.old_size = p->size, .new_size = new_size,
	};
	int r = commit(p, &t, true, NULL, NULL);

	if (r < 0)
		return r;
	pool_index_remove(&p->ix, i);
	stamp_change(p, &t);
	return 0;
}

int pool_delete(struct pool *p, const char *key)
{
	uint32_t i;
	int r;

	if (!*key)
		return -EINVAL;
	r = pool_begin(p, true);
	if (r < 0)
		return r;
	r = find(p, key, &i);
	if (r == 0)
		r = delete_record(p, i);
	pool_end(p);
	return r;
}

/* Import ----------------------------------------------------------------- */

/* Which of kv[] ends up in which record. */
struct import {
	struct pool *p;
	const struct pool_kv *kv;
	uint32_t first;		/* record of from[0] */
	uint32_t end;		/* one past the last record of the new state */
	uint32_t *from;		/* number in kv[] plus one, or 0: unchanged */
};

static int import_post(void *arg, uint32_t recno, uint8_t rec[KVP_RECORD_SIZE])
{
	struct import *im = arg;
	uint32_t from = im->from[recno];

	if (!from)
		return read_records(im->p, recno, 1, rec);
	put_record(rec, im->kv[from - 1].key, im->kv[from - 1].value);
	return 0;
}

/* As find(), among the file's records and those that im adds to them, whose
 * hashes are in the index already. */
static int import_find(struct import *im, uint32_t n_old, const char *key,
		       uint32_t *recno)
{
	struct pool_index *ix = &im->p->ix;
	size_t len = strlen(key);
	uint64_t hash = pool_index_hash(key, len);
	uint32_t i = pool_index_first(ix, hash);
	uint8_t rec[KVP_RECORD_SIZE];

	for (; i != POOL_INDEX_NONE; i = pool_index_next(ix, hash, i)) {
		int r = 0;

		if (i < n_old)
			r = read_records(im->p, i, 1, rec);
		else
			put_record(rec, im->kv[im->from[i] - 1].key, "");
		if (r < 0)
			return r;
		*recno = i;
		if (rec_key_len(rec) == len && memcmp(rec, key, len) == 0)
			return 0;
	}
	return -ENOENT;
}

/* Give each of kv[] its record: pool_set() without the writing. */
static int import_place(struct import *im, uint32_t n_old, size_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		const char *key = im->kv[k].key;
		uint32_t i;
		int r = import_find(im, n_old, key, &i);

		if (r == -ENOENT) {
			i = im->end++;
			r = pool_index_add(&im->p->ix,
					   pool_index_hash(key, strlen(key)));
		}
		if (r < 0)
			return r;
		im->from[i] = k + 1;
		if (i < im->first)
			im->first = i;
	}
	return 0;
}

static int import_commit(struct import *im, bool replace)
{
	struct pool *p = im->p;
	uint64_t offset = (uint64_t)im->first * KVP_RECORD_SIZE;
	uint64_t new_size = (uint64_t)im->end * KVP_RECORD_SIZE;
	struct redo t = {
		.offset = offset,
		.pre_len = p->size - offset, .post_len = new_size - offset,
		.old_size = p->size, .new_size = new_size,
	};

	return commit(p, &t, replace, import_post, im);
}

static int import_all(struct import *im, size_t n)
{
	for (uint32_t k = 0; k < n; k++)
		im->from[k] = k + 1;
	im->first = 0;
	im->end = (uint32_t)n;
	return import_commit(im, true);
}

static int import_sets(struct import *im, size_t n)
{
	uint32_t n_old = n_records(im->p), any;
	int r = find(im->p, im->kv[0].key, &any);	/* a fresh index */

	if (r < 0 && r != -ENOENT)
		return r;
	im->first = im->end = n_old;
	r = import_place(im, n_old, n);
	return r < 0 ? r : import_commit(im, false);
}

static int import_locked(struct pool *p, const struct pool_kv *kv, size_t n,
			 bool replace)
{
	struct import im = { .p = p, .kv = kv };
	int r;

	if (n_records(p) + n > RECORDS_MAX)
		return -EFBIG;
	im.from = calloc(n_records(p) + n + 1, sizeof(*im.from));
	if (!im.from)
		return -ENOMEM;
	r = replace ? import_all(&im, n) : import_sets(&im, n);
	drop_index(p);		/* it ran ahead of the file, or is all new */
	free(im.from);
	return r;
}

int pool_import(struct pool *p, const struct pool_kv *kv, size_t n,
		bool replace)
{
	int r = 0;

	if (n > RECORDS_MAX)
		return -EFBIG;
	for (size_t k = 0; k < n && r == 0; k++)
		r = check_text(kv[k].key, kv[k].value);
	if (r < 0 || (n == 0 && !replace))
		return r;
	r = pool_begin(p, true);
	if (r < 0)
		return r;
	r = import_locked(p, kv, n, replace);
	pool_end(p);
	return r;
}
