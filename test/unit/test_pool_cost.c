/* test/unit/test_pool_cost.c - what an operation costs does not depend on how
 * many records there are. Counted in calls and bytes, by wrapping them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvp/pool.h"
#include "pool_dir.h"

struct cost { size_t reads, read_bytes, writes, written_bytes; };

static struct cost spent;

ssize_t __real_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t at);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at);

ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t at)
{
	spent.reads++;
	spent.read_bytes += len;
	return __real_pread64(fd, buf, len, at);
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t at)
{
	spent.writes++;
	spent.written_bytes += len;
	return __real_pwrite64(fd, buf, len, at);
}

static void fill(struct pool_dir *d, int n)
{
	uint8_t rec[KVP_RECORD_SIZE];
	char key[16];

	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		rec_make(rec, key, "value");
		file_append(d->pool, rec, sizeof(rec));
	}
}

enum { GET, GET_ABSENT, SET, SET_NEW, APPEND, STEP, COUNT, N_KINDS };

static void one(struct pool *p, int kind)
{
	struct pool_kv kv;

	switch (kind) {
	case GET:
		assert_int_equal(pool_get(p, "key 7", NULL), 0);
		break;
	case GET_ABSENT:
		assert_int_equal(pool_get(p, "none", NULL), -ENOENT);
		break;
	case SET:
		assert_int_equal(pool_set(p, "key 7", "other"), 0);
		break;
	case SET_NEW:
		assert_int_equal(pool_set(p, "new", "x"), 0);
		break;
	case APPEND:
		assert_int_equal(pool_append(p, "key 7", "x"), 0);
		break;
	case STEP:
		assert_int_equal(pool_at(p, 9, &kv), 0);
		break;
	case COUNT:
		assert_true(pool_count(p) >= 10);
		break;
	}
}

static void measure(int n, struct cost cost[N_KINDS])
{
	struct pool_dir d;
	struct pool *p;

	pool_dir_make(&d);
	fill(&d, n);
	p = pool_dir_open(&d, POOL_WRITE);
	assert_int_equal(pool_set(p, "key 3", "x"), 0);	/* builds the index */
	for (int kind = 0; kind < N_KINDS; kind++) {
		spent = (struct cost){ 0 };
		one(p, kind);
		cost[kind] = spent;
	}
	pool_close(p);
	pool_dir_remove(&d);
}

static void ten_thousand_records_cost_what_ten_do(void **state)
{
	struct cost few[N_KINDS], many[N_KINDS];

	(void)state;
	measure(10, few);
	measure(10000, many);
	for (int kind = 0; kind < N_KINDS; kind++) {
		print_message("%d: %zu reads %zu bytes, %zu writes %zu\n",
			      kind, many[kind].reads, many[kind].read_bytes,
			      many[kind].writes, many[kind].written_bytes);
		assert_memory_equal(&few[kind], &many[kind],
				    sizeof(few[kind]));
		assert_true(many[kind].read_bytes < 16384);
	}
}

/* Reporters append one by one; each look-up between reads what is new. */
static void what_others_append_is_read_once(void **state)
{
	enum { N = 2000 };
	struct pool_dir d;
	struct pool *p;
	char key[16];

	(void)state;
	pool_dir_make(&d);
	fill(&d, N);
	p = pool_dir_open(&d, POOL_WRITE);
	assert_int_equal(pool_set(p, "key 3", "x"), 0);
	spent = (struct cost){ 0 };
	for (int i = 0; i < N; i++) {
		uint8_t rec[KVP_RECORD_SIZE];

		snprintf(key, sizeof(key), "out %d", i);
		rec_make(rec, key, "x");
		file_append(d.pool, rec, sizeof(rec));
		snprintf(key, sizeof(key), "in %d", i);
		assert_int_equal(pool_set(p, key, "y"), 0);
	}
	assert_true(spent.read_bytes / N < 32768);
	pool_close(p);
	pool_dir_remove(&d);
}

/* Two users of the library, for instance the daemon and hvctl. */
static void a_second_user_does_not_make_us_read_all_again(void **state)
{
	enum { N = 1000 };
	struct pool_dir d;
	struct pool *p[2];
	char key[16];

	(void)state;
	pool_dir_make(&d);
	fill(&d, N);
	p[0] = pool_dir_open(&d, POOL_WRITE);
	p[1] = pool_dir_open(&d, POOL_WRITE);
	assert_int_equal(pool_set(p[0], "key 3", "x"), 0);
	assert_int_equal(pool_set(p[1], "key 3", "x"), 0);
	spent = (struct cost){ 0 };
	for (int i = 0; i < N; i++) {
		snprintf(key, sizeof(key), "%s %d", i % 3 ? "new" : "key", i);
		assert_int_equal(pool_set(p[i % 2], key, "y"), 0);
		assert_int_equal(pool_get(p[!(i % 2)], key, NULL), 0);
	}
	assert_true(spent.read_bytes / N < 32768);
	pool_close(p[0]);
	pool_close(p[1]);
	pool_dir_remove(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_records_cost_what_ten_do),
		cmocka_unit_test(what_others_append_is_read_once),
		cmocka_unit_test(a_second_user_does_not_make_us_read_all_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
