/* test/unit/test_hyperv_kvp.c - the library as a program sees it. */
#include <hyperv/kvp.h>

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool_dir.h"

struct rig {
	struct pool_dir d;
	struct hv_kvp *h;
	struct hv_kvp_watch *w;
};

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	pool_dir_make(&g->d);
	assert_int_equal(hv_kvp_open(&g->h, HV_KVP_GUEST,
				     HV_KVP_WRITE | HV_KVP_NO_SYNC,
				     g->d.path), 0);
	assert_int_equal(hv_kvp_watch_open(&g->w, HV_KVP_GUEST, g->d.path), 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	hv_kvp_watch_close(g->w);
	hv_kvp_close(g->h);
	pool_dir_remove(&g->d);
	free(g);
	return 0;
}

static void pools_have_names_and_numbers(void **state)
{
	(void)state;
	assert_int_equal(hv_kvp_pool_parse("external"), 0);
	assert_int_equal(hv_kvp_pool_parse("1"), 1);
	assert_int_equal(hv_kvp_pool_parse("auto-internal"), 4);
	assert_int_equal(hv_kvp_pool_parse("5"), -EINVAL);
	assert_int_equal(hv_kvp_pool_parse("gue\x1b"), -EINVAL);
	assert_non_null(strstr(hv_kvp_error(), "\"gue\\x1b\""));
	assert_string_equal(hv_kvp_pool_name(3), "auto-external");
	assert_null(hv_kvp_pool_name(5));
}

static void a_value_comes_back(void **state)
{
	struct rig *g = *state;
	char value[HV_KVP_VALUE_SIZE];
	struct hv_kvp_item item, *items;
	size_t n;

	assert_int_equal(hv_kvp_set(g->h, "k", "v"), 0);
	assert_int_equal(hv_kvp_append(g->h, "k", "w"), 0);
	assert_int_equal(hv_kvp_get(g->h, "k", value), 0);
	assert_string_equal(value, "v");
	assert_int_equal(hv_kvp_count(g->h), 2);
	assert_int_equal(hv_kvp_at(g->h, 1, &item), 0);
	assert_string_equal(item.value, "w");
	assert_int_equal(hv_kvp_at(g->h, 2, &item), -ENOENT);
	assert_int_equal(hv_kvp_delete(g->h, "k"), 0);
	assert_int_equal(hv_kvp_list(g->h, &items, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(items[0].value, "w");
	free(items);
}

static void an_error_names_the_bad_input(void **state)
{
	struct rig *g = *state;
	char big[2050];

	memset(big, 'x', sizeof(big));
	big[2048] = '\0';
	assert_int_equal(hv_kvp_set(g->h, "k", big), -EMSGSIZE);
	assert_non_null(strstr(hv_kvp_error(), "value \"xxx"));
	assert_non_null(strstr(hv_kvp_error(), "2048 bytes, and 2047 fit"));
	big[512] = '\0';
	assert_int_equal(hv_kvp_set(g->h, big, "v"), -EMSGSIZE);
	assert_non_null(strstr(hv_kvp_error(), "key \"xxx"));
	assert_int_equal(hv_kvp_set(g->h, "a\xff", "v"), -EILSEQ);
	assert_string_equal(hv_kvp_error(), "key \"a\\xff\" is not UTF-8");
	assert_int_equal(hv_kvp_set(g->h, "a", "\xff"), -EILSEQ);
	assert_string_equal(hv_kvp_error(), "value \"\\xff\" is not UTF-8");
	assert_int_equal(hv_kvp_set(g->h, "", "v"), -EINVAL);
	assert_string_equal(hv_kvp_error(), "the key is empty");
	assert_int_equal(hv_kvp_get(g->h, "none", NULL), -ENOENT);
	assert_string_equal(hv_kvp_error(), "pool guest has no key \"none\"");
}

static void a_missing_file_reads_as_empty_until_it_is_there(void **state)
{
	struct rig *g = *state;
	struct hv_kvp *h, *none;

	assert_int_equal(hv_kvp_open(&h, 0, HV_KVP_READ, g->d.path), 0);
	assert_int_equal(hv_kvp_count(h), 0);
	assert_int_equal(hv_kvp_get(h, "a", NULL), -ENOENT);
	assert_int_equal(hv_kvp_set(h, "a", "1"), -EACCES);
	assert_int_equal(hv_kvp_open(&none, 0, HV_KVP_READ, "/nonexistent"),
			 -ENOENT);
	assert_null(none);
	assert_int_equal(hv_kvp_open(&none, 0, HV_KVP_WRITE, g->d.path), 0);
	assert_int_equal(hv_kvp_set(none, "a", "1"), 0);
	assert_int_equal(hv_kvp_get(h, "a", NULL), 0);
	assert_int_equal(hv_kvp_set(h, "a", "2"), -EACCES);
	hv_kvp_close(none);
	hv_kvp_close(h);
}

static void an_import_is_all_or_nothing(void **state)
{
	struct rig *g = *state;
	struct hv_kvp_item items[2] = { { "a", "1" }, { "b", "\xff" } };

	assert_int_equal(hv_kvp_import(g->h, items, 2, 0), -EILSEQ);
	assert_int_equal(hv_kvp_count(g->h), 0);
	strcpy(items[1].value, "2");
	assert_int_equal(hv_kvp_import(g->h, items, 2, 0), 0);
	assert_int_equal(hv_kvp_import(g->h, items, 1, 1), 0);
	assert_int_equal(hv_kvp_count(g->h), 1);
	memset(items[0].key, 'k', sizeof(items[0].key));
	assert_int_equal(hv_kvp_import(g->h, items, 1, 1), -EMSGSIZE);
}

/* Watching --------------------------------------------------------------- */

/* Wait for the descriptor, then take all changes: "+k=v -k=v ". */
static const char *changes(struct rig *g)
{
	static char text[1024];
	struct pollfd p = { hv_kvp_watch_fd(g->w), POLLIN, 0 };
	struct hv_kvp_change c;
	size_t len = 0;

	text[0] = '\0';
	assert_int_equal(poll(&p, 1, 10000), 1);
	while (hv_kvp_watch_next(g->w, &c) == 1)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%c%s=%s ",
					c.kind == HV_KVP_IS_SET ? '+' : '-',
					c.item.key, c.item.value);
	return text;
}

static void a_watch_reports_what_was_set_and_deleted(void **state)
{
	struct rig *g = *state;
	struct hv_kvp_change c;

	assert_int_equal(hv_kvp_watch_next(g->w, &c), 0);
	assert_int_equal(hv_kvp_set(g->h, "a", "1"), 0);
	assert_int_equal(hv_kvp_set(g->h, "b", "2"), 0);
	assert_string_equal(changes(g), "+a=1 +b=2 ");
	assert_int_equal(hv_kvp_set(g->h, "a", "3"), 0);
	assert_string_equal(changes(g), "+a=3 ");
	assert_int_equal(hv_kvp_delete(g->h, "a"), 0);
	assert_string_equal(changes(g), "-a=3 ");
	assert_int_equal(hv_kvp_watch_next(g->w, &c), 0);
}

static void a_watch_keeps_duplicates_apart(void **state)
{
	struct rig *g = *state;

	for (int i = 0; i < 3; i++) {
		char value[2] = { (char)('1' + i), '\0' };

		assert_int_equal(hv_kvp_append(g->h, "k", value), 0);
	}
	assert_string_equal(changes(g), "+k=1 +k=2 +k=3 ");
	assert_int_equal(hv_kvp_delete(g->h, "k"), 0);
	assert_string_equal(changes(g), "-k=1 ");
}

static void a_watch_sees_what_others_do(void **state)
{
	struct rig *g = *state;
	uint8_t rec[KVP_RECORD_SIZE];
	char other[128];

	rec_make(rec, "reported", "x");
	file_append(g->d.pool, rec, sizeof(rec));
	assert_string_equal(changes(g), "+reported=x ");
	assert_int_equal(truncate(g->d.pool, 0), 0);
	assert_string_equal(changes(g), "-reported=x ");
	snprintf(other, sizeof(other), "%s/new", g->d.path);
	file_write(other, rec, sizeof(rec));
	assert_int_equal(rename(other, g->d.pool), 0);
	assert_string_equal(changes(g), "+reported=x ");
	assert_int_equal(hv_kvp_set(g->h, "reported", "y"), 0);
	assert_string_equal(changes(g), "+reported=y ");
	assert_int_equal(unlink(g->d.pool), 0);
	assert_string_equal(changes(g), "-reported=y ");
}

#define KVP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Put in the place of the pool's file by whoever may write there. */
static void a_thing_that_is_no_file_is_an_error_and_no_success(void **state)
{
	struct rig *g = *state;
	char value[HV_KVP_VALUE_SIZE];
	struct hv_kvp *other;

	assert_int_equal(hv_kvp_set(g->h, "k", "v"), 0);

	assert_int_equal(unlink(g->d.pool), 0);
	assert_int_equal(mkfifo(g->d.pool, 0600), 0);
	assert_int_equal(hv_kvp_set(g->h, "k", "v"), -ENOTSUP);
	assert_int_equal(hv_kvp_get(g->h, "k", value), -ENOTSUP);
	assert_int_equal(hv_kvp_delete(g->h, "k"), -ENOTSUP);

	assert_int_equal(unlink(g->d.pool), 0);
	assert_int_equal(mkdir(g->d.pool, 0700), 0);
	assert_int_equal(hv_kvp_set(g->h, "k", "v"), -EISDIR);
	assert_int_equal(hv_kvp_open(&other, HV_KVP_GUEST, HV_KVP_READ,
				     g->d.path), -EISDIR);

	assert_int_equal(rmdir(g->d.pool), 0);
	assert_int_equal(symlink("nowhere/at/all", g->d.pool), 0);
	assert_int_equal(hv_kvp_set(g->h, "k", "v"), -ELOOP);
	assert_int_equal(hv_kvp_open(&other, HV_KVP_GUEST, HV_KVP_WRITE,
				     g->d.path), -ELOOP);

	assert_int_equal(unlink(g->d.pool), 0);
	assert_int_equal(hv_kvp_set(g->h, "k", "again"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools_have_names_and_numbers),
		KVP_TEST(a_value_comes_back),
		KVP_TEST(an_error_names_the_bad_input),
		KVP_TEST(a_missing_file_reads_as_empty_until_it_is_there),
		KVP_TEST(a_thing_that_is_no_file_is_an_error_and_no_success),
		KVP_TEST(an_import_is_all_or_nothing),
		KVP_TEST(a_watch_reports_what_was_set_and_deleted),
		KVP_TEST(a_watch_keeps_duplicates_apart),
		KVP_TEST(a_watch_sees_what_others_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
