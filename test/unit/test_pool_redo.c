/* test/unit/test_pool_redo.c - what a crash leaves.
 *
 * The system calls that change files are replaced by the linker (--wrap). Each
 * byte written and each other call costs one unit of a budget; when it is
 * used up the program "dies" there: the rest of the write does not happen and
 * a longjmp leaves the operation. Closing the pool drops its locks, as death
 * does. For power loss the calls also record what was synced: the disk then
 * holds any mix, sector by sector, of that and of what was written since. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "kvp/pool.h"
#include "pool_dir.h"

enum { R = KVP_RECORD_SIZE, SECTOR = 512, MIXES = 12 };

/* Death after so many units ---------------------------------------------- */

static struct {
	bool armed;
	long budget, used;
	jmp_buf dead;
	ino_t pool_ino;
	long used_before_pool;	/* when the pool file was first touched, */
	long used_after_pool;	/* when the journal was after that; or -1 */
	void (*after)(void *arg, int fd, bool synced);
	void *arg;
	bool full_disk;		/* no file can grow */
	int broken;		/* so many changes of the pool, then EIO */
} crash = { .broken = -1 };

ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
int __real_ftruncate64(int fd, off_t len);
int __real_fallocate64(int fd, int mode, off_t at, off_t len);
int __real_futimens(int fd, const struct timespec ts[2]);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t len);
int __wrap_futimens(int fd, const struct timespec ts[2]);
int __wrap_fdatasync(int fd);

static void die(void)
{
	crash.armed = false;
	longjmp(crash.dead, 1);
}

static bool is_pool(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == crash.pool_ino;
}

/* Before a call that costs `cost`. Returns what it may spend. */
static long spend(int fd, long cost)
{
	if (crash.used_before_pool < 0 && is_pool(fd))
		crash.used_before_pool = crash.used;
	if (crash.used_before_pool >= 0 && crash.used_after_pool < 0 &&
	    !is_pool(fd))
		crash.used_after_pool = crash.used;
	crash.used += cost;
	if (!crash.armed)
		return cost;
	if (crash.budget < cost)
		return crash.budget;
	crash.budget -= cost;
	return cost;
}

static void spend_one(int fd)
{
	if (spend(fd, 1) < 1)
		die();
}

static bool breaks(int fd)
{
	return crash.broken >= 0 && is_pool(fd) && crash.broken-- == 0;
}

static void tell(int fd, bool synced)
{
	if (crash.after)
		crash.after(crash.arg, fd, synced);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	long may = spend(fd, (long)len);
	struct stat st;
	ssize_t n;

	if (breaks(fd) || (crash.full_disk && fstat(fd, &st) == 0 &&
			   at + (off_t)len > st.st_size)) {
		errno = crash.full_disk ? ENOSPC : EIO;
		return -1;
	}
	n = may > 0 ? __real_pwrite64(fd, buf, (size_t)may, at) : 0;
	if (may < (long)len)
		die();
	tell(fd, false);
	return n;
}

int __wrap_ftruncate64(int fd, off_t len)
{
	int r;

	spend_one(fd);
	r = __real_ftruncate64(fd, len);
	tell(fd, false);
	return r;
}

int __wrap_fallocate64(int fd, int mode, off_t at, off_t len)
{
	int r;

	spend_one(fd);
	if (crash.full_disk) {
		errno = ENOSPC;
		return -1;
	}
	r = __real_fallocate64(fd, mode, at, len);
	tell(fd, false);
	return r;
}

int __wrap_futimens(int fd, const struct timespec ts[2])
{
	spend_one(fd);
	return __real_futimens(fd, ts);
}

int __wrap_fdatasync(int fd)
{
	spend_one(fd);
	if (breaks(fd)) {
		errno = EIO;
		return -1;
	}
	tell(fd, true);
	return 0;
}

/* Changes to try --------------------------------------------------------- */

static int op_replace(struct pool *p)
{
	return pool_set(p, "k2", "a new value");
}

static int op_append(struct pool *p)
{
	return pool_set(p, "new", "value");
}

static int op_delete_first(struct pool *p)
{
	return pool_delete(p, "k0");
}

static int op_delete_middle(struct pool *p)
{
	return pool_delete(p, "k2");
}

static int op_delete_last(struct pool *p)
{
	return pool_delete(p, "k4");
}

static int op_import(struct pool *p)
{
	static const struct pool_kv kv[] = { { "k1", "x" }, { "new", "y" },
					     { "k3", "z" }, { "more", "w" } };

	return pool_import(p, kv, 4, false);
}

static int op_import_fewer(struct pool *p)
{
	static const struct pool_kv kv[] = { { "k1", "x" }, { "k1", "y" } };

	return pool_import(p, kv, 2, true);
}

static int op_import_more(struct pool *p)
{
	static const struct pool_kv kv[] = {
		{ "a", "1" }, { "b", "2" }, { "c", "3" }, { "d", "4" },
		{ "e", "5" }, { "f", "6" }, { "g", "7" },
	};

	return pool_import(p, kv, 7, true);
}

static int op_clear(struct pool *p)
{
	return pool_import(p, NULL, 0, true);
}

struct op {
	const char *name;
	int (*fn)(struct pool *p);
	size_t partial;			/* bytes of garbage at the end before */
	long stride;			/* between crash points */
};

static const struct op ops[] = {
	{ "replace", op_replace, 0, 1 },
	{ "append", op_append, 0, 1 },
	{ "delete middle", op_delete_middle, 0, 1 },
	{ "delete first", op_delete_first, 0, 13 },
	{ "delete last", op_delete_last, 0, 7 },
	{ "replace with partial", op_replace, 99, 13 },
	{ "append over partial", op_append, 99, 7 },
	{ "delete with partial", op_delete_middle, 99, 13 },
	{ "import", op_import, 0, 31 },
	{ "import fewer", op_import_fewer, 0, 31 },
	{ "import more", op_import_more, 0, 31 },
	{ "clear", op_clear, 0, 31 },
};
enum { N_OPS = sizeof(ops) / sizeof(ops[0]) };

/* A pool before and after one change ------------------------------------- */

struct bytes { uint8_t *p; size_t len; };

static struct bytes load(const char *path)
{
	struct bytes b;

	b.p = file_read(path, &b.len);
	return b;
}

static bool same(struct bytes a, struct bytes b)
{
	return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

struct rig {
	struct pool_dir d;
	struct bytes old, new;		/* the pool file */
	struct bytes redo;		/* the journal before the change */
	const struct op *op;
	struct bytes synced_pool, synced_redo;
	long units_to_pool;	/* spent when the pool file is touched */
	long units_to_clear;	/* ... and then the journal again */
	unsigned states, news;
};

static void first_state(struct rig *g, const struct op *op)
{
	struct pool *p = pool_dir_open(&g->d, POOL_WRITE);
	char key[8], value[300];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		value[0] = (char)('0' + i);
		assert_int_equal(pool_set(p, key, value), 0);
	}
	pool_close(p);
	if (op->partial)
		file_append(g->d.pool, value, op->partial);
	g->old = load(g->d.pool);
	g->redo = load(g->d.redo);
}

static void restore(struct rig *g)
{
	file_write(g->d.pool, g->old.p, g->old.len);
	file_write(g->d.redo, g->redo.p, g->redo.len);
}

static struct rig *rig_new(const struct op *op)
{
	struct rig *g = calloc(1, sizeof(*g));
	struct stat st;
	struct pool *p;

	assert_non_null(g);
	g->op = op;
	pool_dir_make(&g->d);
	first_state(g, op);
	assert_int_equal(stat(g->d.pool, &st), 0);
	crash.pool_ino = st.st_ino;
	crash.used = 0;
	crash.used_before_pool = crash.used_after_pool = -1;
	p = pool_dir_open(&g->d, POOL_WRITE);
	assert_int_equal(op->fn(p), 0);
	pool_close(p);
	g->units_to_pool = crash.used_before_pool;
	g->units_to_clear = crash.used_after_pool;
	g->new = load(g->d.pool);
	assert_false(same(g->old, g->new));
	return g;
}

static void rig_free(struct rig *g)
{
	pool_dir_remove(&g->d);
	free(g->old.p);
	free(g->new.p);
	free(g->redo.p);
	free(g->synced_pool.p);
	free(g->synced_redo.p);
	free(g);
}

/* What a reader who may not write sees is what a repair will leave. */
static void read_only_view(struct rig *g, struct bytes *seen)
{
	struct pool *p = pool_dir_open(&g->d, POOL_READ);
	struct pool_kv kv;
	ssize_t n = pool_count(p);

	assert_true(n >= 0);
	seen->len = (size_t)n * R;
	seen->p = calloc(1, seen->len + 1);
	assert_non_null(seen->p);
	for (uint32_t i = 0; i < (uint32_t)n; i++) {
		assert_int_equal(pool_at(p, i, &kv), 0);
		rec_make(seen->p + (size_t)i * R, kv.key, kv.value);
		if (kv.key[0])
			assert_int_equal(pool_get(p, kv.key, NULL), 0);
	}
	pool_close(p);
}

/* Whole records only: a partial one at the end is none. */
static bool same_records(struct bytes a, struct bytes b)
{
	a.len -= a.len % R;
	b.len -= b.len % R;
	return same(a, b);
}

/* The disk holds what some crash left: open it as after a restart. */
static bool recovers_to_new(struct rig *g)
{
	bool look_first = g->states % 8 == 0;
	struct bytes seen = { NULL, 0 }, now;
	bool is_new;

	if (look_first)
		read_only_view(g, &seen);
	pool_close(pool_dir_open(&g->d, POOL_WRITE));
	now = load(g->d.pool);
	is_new = same(now, g->new);
	if (!is_new && !same(now, g->old))
		fail_msg("%s: neither the old nor the new state", g->op->name);
	if (look_first)
		assert_true(same_records(seen, now));
	free(seen.p);
	free(now.p);
	g->states++;
	g->news += is_new;
	return is_new;
}

/* Run the change and die after `budget` units. True when it came through. */
static bool run_until(struct rig *g, long budget, bool no_sync)
{
	struct pool_cfg cfg = { .dir = g->d.path, .id = 1, .no_sync = no_sync,
				.access = POOL_WRITE };
	struct pool *volatile p = pool_open(&cfg);
	volatile bool done = false;

	assert_non_null(p);
	crash.budget = budget;
	if (setjmp(crash.dead) == 0) {
		crash.armed = true;
		assert_int_equal(g->op->fn(p), 0);
		done = true;
	}
	crash.armed = false;
	pool_close(p);
	return done;
}

/* Behind the change only the journal's clearing is left: many zeros. */
static long stride_at(const struct rig *g, long budget)
{
	return budget > g->units_to_clear + SECTOR ? 31 : g->op->stride;
}

static void a_kill_at_any_byte_leaves_the_old_or_the_new(void **state)
{
	(void)state;
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct rig *g = rig_new(op);
		bool done = false, was_new = false;

		for (long b = 0; !done; b += stride_at(g, b)) {
			bool is_new;

			restore(g);
			done = run_until(g, b, b % 2);
			is_new = recovers_to_new(g);
			assert_true(is_new || !was_new);
			assert_true(is_new || !done);
			was_new = is_new;
		}
		print_message("%-22s %u crashes, new after %u\n", op->name,
			      g->states, g->states - g->news);
		rig_free(g);
	}
}

/* The journal is whole, the pool file half changed. */
static void leave_half_done(struct rig *g)
{
	long half = g->units_to_pool;

	if (g->new.len > g->old.len)
		half++;				/* the room was taken */
	if (strcmp(g->op->name, "delete last") && strcmp(g->op->name, "clear"))
		half += 777;
	restore(g);
	assert_false(run_until(g, half, true));
}

/* The next operation of whoever has the pool open repairs it. */
static bool repair_until(struct rig *g, long budget)
{
	struct pool *volatile p = pool_dir_open(&g->d, POOL_WRITE);
	volatile bool done = false;

	leave_half_done(g);
	crash.budget = budget;
	if (setjmp(crash.dead) == 0) {
		crash.armed = true;
		assert_true(pool_count(p) >= 0);
		done = true;
	}
	crash.armed = false;
	pool_close(p);
	return done;
}

static void a_kill_during_the_repair_changes_nothing(void **state)
{
	(void)state;
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct rig *g = rig_new(op);
		bool done = false;

		for (long b = 0; !done; b += 61) {
			done = repair_until(g, b);
			assert_true(recovers_to_new(g));
		}
		rig_free(g);
	}
}

/* Power loss ------------------------------------------------------------- */

static struct bytes copy_of(struct bytes b)
{
	struct bytes c = { malloc(b.len + 1), b.len };

	assert_non_null(c.p);
	memcpy(c.p, b.p, b.len);
	return c;
}

static void take(struct bytes *slot, struct bytes b)
{
	free(slot->p);
	*slot = b;
}

/* Of each sector one of the two versions, and of the size. */
static struct bytes mix(struct bytes a, struct bytes b, int kind)
{
	size_t longest = a.len > b.len ? a.len : b.len;
	size_t torn = (size_t)rand() % (longest + 1);
	struct bytes m = { calloc(1, longest + 1), 0 };

	assert_non_null(m.p);
	m.len = (kind < 2 ? kind : rand() % 2) ? b.len : a.len;
	for (size_t i = 0; i < m.len; i += SECTOR) {
		bool second = kind < 2 ? kind : rand() % 2;
		struct bytes from = second ? b : a;

		for (size_t j = i; j < m.len && j < i + SECTOR; j++) {
			if (kind == 2 && j == torn)
				from = second ? a : b;
			m.p[j] = j < from.len ? from.p[j] : 0;
		}
	}
	return m;
}

static void power_fails_here(struct rig *g, struct rig *after, int pool_kind,
			     int redo_kind)
{
	struct bytes pool_now = load(g->d.pool), redo_now = load(g->d.redo);
	struct bytes pool = mix(g->synced_pool, pool_now, pool_kind);
	struct bytes redo = mix(g->synced_redo, redo_now, redo_kind);

	file_write(after->d.pool, pool.p, pool.len);
	file_write(after->d.redo, redo.p, redo.len);
	recovers_to_new(after);
	free(pool_now.p);
	free(redo_now.p);
	free(pool.p);
	free(redo.p);
}

struct power { struct rig *g, *after; };

static void after_each_call(void *arg, int fd, bool synced)
{
	struct power *w = arg;

	crash.after = NULL;
	for (int i = 0; i < MIXES && !synced; i++)
		power_fails_here(w->g, w->after, i & 1 ? 3 : i % 3,
				 i & 2 ? 3 : (i / 4) % 3);
	if (synced && is_pool(fd))
		take(&w->g->synced_pool, load(w->g->d.pool));
	else if (synced)
		take(&w->g->synced_redo, load(w->g->d.redo));
	crash.after = after_each_call;
}

static void power_loss_leaves_the_old_or_the_new(void **state)
{
	(void)state;
	srand(2);
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct power w = { rig_new(op), rig_new(op) };
		struct stat st;

		assert_int_equal(stat(w.g->d.pool, &st), 0);
		crash.pool_ino = st.st_ino;
		for (int round = 0; round < 8; round++) {
			restore(w.g);
			take(&w.g->synced_pool, copy_of(w.g->old));
			take(&w.g->synced_redo, copy_of(w.g->redo));
			crash.after = after_each_call;
			crash.arg = &w;
			assert_true(run_until(w.g, 1 << 30, false));
			crash.after = NULL;

			/* Reported done: what is not synced does not count. */
			file_write(w.after->d.pool, w.g->synced_pool.p,
				   w.g->synced_pool.len);
			file_write(w.after->d.redo, w.g->synced_redo.p,
				   w.g->synced_redo.len);
			assert_true(recovers_to_new(w.after));
		}
		print_message("%-22s %u states, %u of them new\n", op->name,
			      w.after->states, w.after->news);
		rig_free(w.g);
		rig_free(w.after);
	}
}

/* Errors that are not death ---------------------------------------------- */

static void a_full_disk_leaves_the_old_state_and_a_usable_pool(void **state)
{
	(void)state;
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct rig *g = rig_new(op);
		struct pool *p;
		struct bytes now;
		int r;

		restore(g);
		p = pool_dir_open(&g->d, POOL_WRITE);
		crash.full_disk = true;
		r = op->fn(p);
		now = load(g->d.pool);
		assert_true(r == 0 || r == -ENOSPC);
		assert_true(same(now, r ? g->old : g->new));
		if (op->fn == op_append)
			assert_int_equal(r, -ENOSPC);
		if (op->fn == op_replace)
			assert_int_equal(r, 0);		/* needs no room */
		assert_int_equal(pool_get(p, "none", NULL), -ENOENT);
		crash.full_disk = false;
		free(now.p);
		if (r < 0)
			assert_int_equal(op->fn(p), 0);
		pool_close(p);
		assert_true(recovers_to_new(g));
		rig_free(g);
	}
}

/* The n-th change of the pool file fails, others before and after do not. */
static void an_io_error_leaves_the_old_state_and_a_usable_pool(void **state)
{
	(void)state;
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct rig *g = rig_new(op);
		int r = -EIO;

		for (int n = 0; r < 0; n++) {
			struct pool_cfg cfg = { .dir = g->d.path, .id = 1,
						.access = POOL_WRITE };
			struct pool *p;
			struct stat st;
			struct bytes now;

			restore(g);
			assert_int_equal(stat(g->d.pool, &st), 0);
			crash.pool_ino = st.st_ino;
			p = pool_open(&cfg);
			assert_non_null(p);
			crash.broken = n;
			r = op->fn(p);
			crash.broken = -1;
			assert_true(r == 0 || r == -EIO);
			now = load(g->d.pool);
			assert_true(same(now, r ? g->old : g->new));
			free(now.p);
			assert_int_equal(pool_get(p, "none", NULL), -ENOENT);
			pool_close(p);
			assert_int_equal(recovers_to_new(g), r == 0);
		}
		rig_free(g);
	}
}

/* Others meet a file that somebody died over ------------------------------ */

static void append_foreign(struct rig *g)
{
	uint8_t rec[R];

	rec_make(rec, "foreign", "record");
	file_append(g->d.pool, rec, sizeof(rec));
}

static void assert_repaired(struct rig *g, struct bytes want, bool foreign)
{
	uint8_t rec[R];
	struct bytes now;

	rec_make(rec, "foreign", "record");
	pool_close(pool_dir_open(&g->d, POOL_WRITE));
	now = load(g->d.pool);
	assert_int_equal(now.len, want.len + (foreign ? R : 0));
	assert_memory_equal(now.p, want.p, want.len);
	if (foreign)
		assert_memory_equal(now.p + want.len, rec, R);
	free(now.p);
}

static bool is_with_record(struct rig *g, struct bytes start)
{
	struct bytes now = load(g->d.pool);
	bool yes = now.len == start.len + R &&
		   memcmp(now.p, start.p, start.len) == 0;

	free(now.p);
	return yes;
}

/* A reporter appends before anybody repairs, wherever we died. */
static void a_record_appended_to_a_torn_file_survives(void **state)
{
	(void)state;
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct rig *g = rig_new(op);
		bool done = false;

		for (long b = 0; !done && !op->partial; b += 37) {
			restore(g);
			done = run_until(g, b, true);
			append_foreign(g);
			pool_close(pool_dir_open(&g->d, POOL_WRITE));
			assert_repaired(g, is_with_record(g, g->new) ?
					g->new : g->old, true);
		}
		rig_free(g);
	}
}

static void a_file_emptied_after_the_crash_stays_empty(void **state)
{
	(void)state;
	for (const struct op *op = ops; op < ops + N_OPS; op++) {
		struct rig *g = rig_new(op);

		leave_half_done(g);
		if (g->new.len) {
			file_write(g->d.pool, "", 0);
			assert_repaired(g, (struct bytes){ NULL, 0 }, false);
			leave_half_done(g);
			file_write(g->d.pool, "", 0);
			append_foreign(g);
			assert_repaired(g, (struct bytes){ NULL, 0 }, true);
		}
		rig_free(g);
	}
}

static void a_record_rewritten_after_the_crash_is_left_alone(void **state)
{
	struct rig *g = rig_new(&ops[0]);
	uint8_t rec[R];
	struct bytes now;

	(void)state;
	leave_half_done(g);
	now = load(g->d.pool);
	rec_make(rec, "k2", "theirs");
	memcpy(now.p + 2 * R, rec, R);
	file_write(g->d.pool, now.p, now.len);
	assert_repaired(g, now, false);
	free(now.p);
	rig_free(g);
}

/* The journal's own format ------------------------------------------------ */

static void put_le(uint8_t *p, uint64_t v, int n)
{
	while (n--) {
		*p++ = (uint8_t)v;
		v >>= 8;
	}
}

/* Laid out by hand from doc/wire/pool.md. */
static void a_journal_by_the_book_is_carried_out(void **state)
{
	struct rig *g = rig_new(&ops[0]);
	uint8_t j[512 + 2 * R] = "HVREDO1";
	struct bytes now;

	(void)state;
	restore(g);
	memcpy(j + 512, g->old.p + 2 * R, R);
	memcpy(j + 512 + R, g->new.p + 2 * R, R);
	put_le(j + 8, 1, 4);			/* pending */
	put_le(j + 12, crc32(0, j + 512, 2 * R), 4);
	put_le(j + 16, 77, 8);			/* epoch */
	put_le(j + 40, 5 * R, 8);		/* new size */
	put_le(j + 48, 5 * R, 8);		/* old size */
	put_le(j + 56, 2 * R, 8);		/* offset */
	put_le(j + 64, R, 8);			/* pre */
	put_le(j + 72, R, 8);			/* post */
	put_le(j + 508, crc32(0, j, 508), 4);
	file_write(g->d.redo, j, sizeof(j));
	assert_true(recovers_to_new(g));

	restore(g);
	j[600] ^= 1;				/* torn */
	file_write(g->d.redo, j, sizeof(j));
	assert_false(recovers_to_new(g));
	now = load(g->d.redo);
	assert_int_equal(now.len, sizeof(j));	/* left for the next change */
	free(now.p);
	rig_free(g);
}

static void what_we_write_is_by_the_book(void **state)
{
	struct rig *g = rig_new(&ops[2]);	/* delete record 2 of 5 */
	uint8_t h[512] = "HVREDO1";
	struct bytes j;

	(void)state;
	restore(g);
	assert_false(run_until(g, g->units_to_pool, true));
	j = load(g->d.redo);
	assert_true(j.len >= 512 + 3 * R);
	put_le(h + 8, 3, 4);			/* pending, shift */
	put_le(h + 12, crc32(0, j.p + 512, 3 * R), 4);
	memcpy(h + 16, j.p + 16, 24);		/* epoch, time, inode */
	put_le(h + 40, 4 * R, 8);
	put_le(h + 48, 5 * R, 8);
	put_le(h + 56, 2 * R, 8);
	put_le(h + 64, 3 * R, 8);
	put_le(h + 72, 2 * R, 8);
	put_le(h + 508, crc32(0, h, 508), 4);
	assert_memory_equal(j.p, h, 512);
	assert_memory_equal(j.p + 512, g->old.p + 2 * R, 3 * R);
	free(j.p);
	rig_free(g);
}

/* An import that dies does not free what it counted with. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:pool_import\n";
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kill_at_any_byte_leaves_the_old_or_the_new),
		cmocka_unit_test(a_kill_during_the_repair_changes_nothing),
		cmocka_unit_test(power_loss_leaves_the_old_or_the_new),
		cmocka_unit_test(
			a_full_disk_leaves_the_old_state_and_a_usable_pool),
		cmocka_unit_test(
			an_io_error_leaves_the_old_state_and_a_usable_pool),
		cmocka_unit_test(a_record_appended_to_a_torn_file_survives),
		cmocka_unit_test(a_file_emptied_after_the_crash_stays_empty),
		cmocka_unit_test(
			a_record_rewritten_after_the_crash_is_left_alone),
		cmocka_unit_test(a_journal_by_the_book_is_carried_out),
		cmocka_unit_test(what_we_write_is_by_the_book),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
