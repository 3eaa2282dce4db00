/* test/unit/test_pool_clock.c - changes of others that a file's times do not
 * show, because the clock behind them ticks too slowly. New kernels stamp to
 * the nanosecond whoever has looked; here stat(2) is wrapped to give what
 * older ones (10 ms) and old file systems (1 s) do. */
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

#include "kvp/pool.h"
#include "pool_dir.h"

/* How the file's clock ticks; times that were set are kept exactly, except
 * where the file system has no room for them. */
static struct { long tick_ns; bool keeps_what_was_set; } clock_kind;
static struct timespec was_set;

int __real_futimens(int fd, const struct timespec ts[2]);
int __wrap_futimens(int fd, const struct timespec ts[2]);
int __real_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st);

int __wrap_futimens(int fd, const struct timespec ts[2])
{
	was_set = ts[1];
	return __real_futimens(fd, ts);
}

int __wrap_stat64(const char *path, struct stat *st)
{
	int r = __real_stat64(path, st);
	bool exact = clock_kind.keeps_what_was_set &&
		     st->st_mtim.tv_sec == was_set.tv_sec &&
		     st->st_mtim.tv_nsec == was_set.tv_nsec;

	if (!exact)
		st->st_mtim.tv_nsec -= st->st_mtim.tv_nsec % clock_kind.tick_ns;
	st->st_ctim.tv_nsec -= st->st_ctim.tv_nsec % clock_kind.tick_ns;
	return r;
}

enum clock { KERNEL_10_MS, FILE_SYSTEM_1_S, N_CLOCKS };

static void choose(enum clock c)
{
	clock_kind.tick_ns = c == KERNEL_10_MS ? 10000000 : 1000000000;
	clock_kind.keeps_what_was_set = c == KERNEL_10_MS;
}

static void keys_in_place(int fd, const char *first, const char *second)
{
	uint8_t recs[2 * KVP_RECORD_SIZE];

	rec_make(recs, first, "1");
	rec_make(recs + KVP_RECORD_SIZE, second, "2");
	assert_int_equal(pwrite(fd, recs, sizeof(recs), 0), sizeof(recs));
}

/* Others change keys after we looked, once and again. */
static void a_change_after_a_look_is_seen(void **state)
{
	(void)state;
	for (enum clock c = 0; c < N_CLOCKS; c++) {
		struct pool_dir d;
		struct pool *p;
		int fd;

		choose(c);
		pool_dir_make(&d);
		p = pool_dir_open(&d, POOL_WRITE);
		fd = open(d.pool, O_WRONLY);
		for (int i = 0; i < 100; i++) {
			keys_in_place(fd, "a", "b");
			assert_int_equal(pool_get(p, "c", NULL), -ENOENT);
			assert_int_equal(pool_get(p, "b", NULL), 0);
			keys_in_place(fd, "a", "c");
			assert_int_equal(pool_get(p, "c", NULL), 0);
			assert_int_equal(pool_get(p, "b", NULL), -ENOENT);
		}
		close(fd);
		pool_close(p);
		pool_dir_remove(&d);
	}
}

/* Others change a key right after we changed the file. */
static void a_change_after_ours_is_seen(void **state)
{
	(void)state;
	for (enum clock c = 0; c < N_CLOCKS; c++) {
		struct pool_dir d;
		struct pool *p;
		int fd;

		choose(c);
		pool_dir_make(&d);
		p = pool_dir_open(&d, POOL_WRITE);
		fd = open(d.pool, O_WRONLY);
		keys_in_place(fd, "a", "b");
		for (int i = 0; i < 100; i++) {
			const char *now = i % 2 ? "b" : "c";
			const char *before = i % 2 ? "c" : "b";

			assert_int_equal(pool_set(p, before, "x"), 0);
			assert_int_equal(pool_count(p), 2);
			keys_in_place(fd, "a", now);
			assert_int_equal(pool_set(p, now, "y"), 0);
			assert_int_equal(pool_count(p), 2);
		}
		close(fd);
		pool_close(p);
		pool_dir_remove(&d);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_after_a_look_is_seen),
		cmocka_unit_test(a_change_after_ours_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
