/* test/unit/test_kvpd.c - the daemon's answers, operation by operation, over
 * pools in a directory of the test's own. */
#include "kvp/kvpd.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "ic/hv_utilreg.h"
#include "pool_dir.h"

struct rig {
	struct pool_dir dir;
	struct kvpd *d;
	char logged[16][512];
	unsigned n_logged;
};

static struct kvpd *open_kvpd(struct rig *g)
{
	const struct kvpd_cfg cfg = { .state_dir = g->dir.path,
				      .no_sync = true };
	unsigned failed;
	struct kvpd *d = kvpd_new(&cfg, &failed);

	assert_non_null(d);
	return d;
}

static void on_line(void *arg, enum log_level level, const char *line)
{
	struct rig *g = arg;

	(void)level;
	if (g->n_logged < 16)
		snprintf(g->logged[g->n_logged++], sizeof(g->logged[0]), "%s",
			 line);
}

static int setup(void **state)
{
	static struct rig g;

	memset(&g, 0, sizeof(g));
	pool_dir_make(&g.dir);
	g.d = open_kvpd(&g);
	log_capture(on_line, &g);
	*state = &g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	log_capture(NULL, NULL);
	kvpd_free(g->d);
	pool_dir_remove(&g->dir);
	return 0;
}

static struct kvp_msg ask(struct rig *g, uint8_t op, uint8_t pool,
			  const char *key, const char *value)
{
	struct kvp_msg m = { .op = op, .pool = pool };

	snprintf(m.key, sizeof(m.key), "%s", key);
	snprintf(m.value, sizeof(m.value), "%s", value);
	assert_int_equal(kvpd_handle(g->d, &m), 0);
	return m;
}

static struct kvp_msg at(struct rig *g, uint8_t pool, uint32_t index)
{
	struct kvp_msg m = { .op = KVP_ENUMERATE, .pool = pool,
			     .index = index };

	assert_int_equal(kvpd_handle(g->d, &m), 0);
	return m;
}

static const uint8_t stored[] = { KVP_POOL_EXTERNAL, KVP_POOL_GUEST,
				  KVP_POOL_AUTO_EXTERNAL,
				  KVP_POOL_AUTO_INTERNAL };

/* vmbus-and-ic 7.11, freebsd-behaviour 6.7 */
static void get_returns_the_value_that_was_set(void **state)
{
	struct rig *g = *state;

	for (unsigned i = 0; i < sizeof(stored); i++) {
		struct kvp_msg m;

		assert_int_equal(ask(g, KVP_SET, stored[i], "k", "value")
				 .status, HV_S_OK);
		m = ask(g, KVP_GET, stored[i], "k", "");
		assert_int_equal(m.status, HV_S_OK);
		assert_string_equal(m.value, "value");
	}
}

static void set_replaces_and_enumerate_keeps_order(void **state)
{
	struct rig *g = *state;

	ask(g, KVP_SET, 0, "a", "a rather long value");
	ask(g, KVP_SET, 0, "b", "2");
	ask(g, KVP_SET, 0, "a", "1");
	assert_string_equal(at(g, 0, 0).key, "a");
	assert_string_equal(at(g, 0, 0).value, "1");
	assert_string_equal(at(g, 0, 1).key, "b");
	assert_int_equal(at(g, 0, 2).status, HV_S_CONT);
	assert_int_equal(at(g, 0, UINT32_MAX).status, HV_S_CONT);
}

static void delete_removes_one_key_exactly(void **state)
{
	struct rig *g = *state;

	ask(g, KVP_SET, 1, "key", "1");
	ask(g, KVP_SET, 1, "key10", "2");
	assert_int_equal(ask(g, KVP_DELETE, 1, "key1", "").status, HV_S_CONT);
	assert_int_equal(ask(g, KVP_DELETE, 1, "key", "").status, HV_S_OK);
	assert_int_equal(ask(g, KVP_DELETE, 1, "key", "").status, HV_S_CONT);
	assert_string_equal(at(g, 1, 0).key, "key10");
}

/* freebsd-behaviour 6.13: an empty key matched the first record */
static void an_empty_key_matches_nothing(void **state)
{
	static const uint8_t ops[] = { KVP_GET, KVP_SET, KVP_DELETE };
	struct rig *g = *state;

	ask(g, KVP_SET, 0, "first", "kept");
	for (unsigned i = 0; i < sizeof(ops); i++)
		assert_int_equal(ask(g, ops[i], 0, "", "x").status,
				 HV_INVALIDARG);
	assert_string_equal(at(g, 0, 0).value, "kept");
	assert_int_equal(at(g, 0, 1).status, HV_S_CONT);
}

/* vmbus-and-ic 7.24, freebsd-behaviour 6.13: the number indexed an array */
static void every_pool_number_has_an_answer(void **state)
{
	struct rig *g = *state;

	for (unsigned op = KVP_GET; op <= KVP_ENUMERATE; op++)
		for (unsigned pool = KVP_N_POOLS; pool < 256; pool++)
			assert_int_equal(ask(g, (uint8_t)op, (uint8_t)pool, "k",
					     "v").status, HV_INVALIDARG);
}

/* vmbus-and-ic 7.20 */
static void unknown_operations_are_not_supported(void **state)
{
	struct kvpd_stats st;
	struct rig *g = *state;

	for (unsigned op = KVP_N_OPS; op < 256; op++)
		assert_int_equal(ask(g, (uint8_t)op, 0, "k", "v").status,
				 HV_ERROR_NOT_SUPPORTED);
	kvpd_stats_get(g->d, &st);
	assert_int_equal(st.requests[KVP_N_OPS], 256 - KVP_N_OPS);
	assert_int_equal(st.outcomes[KVPD_REFUSED], 256 - KVP_N_OPS);
}

static void the_automatic_pool_is_computed_and_refuses_changes(void **state)
{
	struct kvp_msg first, same;
	struct rig *g = *state;

	first = at(g, KVP_POOL_AUTO, 0);
	assert_int_equal(first.status, HV_S_OK);
	assert_string_equal(first.key, "FullyQualifiedDomainName");
	same = ask(g, KVP_GET, KVP_POOL_AUTO, "FullyQualifiedDomainName", "");
	assert_int_equal(same.status, HV_S_OK);
	assert_string_equal(same.value, first.value);
	assert_int_equal(ask(g, KVP_GET, KVP_POOL_AUTO, "No", "").status,
			 HV_S_CONT);
	assert_int_equal(ask(g, KVP_SET, KVP_POOL_AUTO, "OSName", "x").status,
			 HV_ERROR_NOT_SUPPORTED);
	assert_int_equal(ask(g, KVP_DELETE, KVP_POOL_AUTO, "OSName", "").status,
			 HV_ERROR_NOT_SUPPORTED);
	assert_int_equal(at(g, KVP_POOL_AUTO, 1000).status, HV_S_CONT);
}

static void the_drivers_version_is_an_item(void **state)
{
	struct rig *g = *state;

	kvpd_set_version(g->d, "3.1");
	assert_string_equal(at(g, KVP_POOL_AUTO, 1).value, "3.1");
}

/* freebsd-behaviour 6.23; ignition writes pool 0 before the daemon starts */
static void what_is_in_the_files_at_start_stays(void **state)
{
	struct rig *g = *state;

	ask(g, KVP_SET, 0, "ignition.config.0", "{}");
	kvpd_free(g->d);
	g->d = open_kvpd(g);
	assert_string_equal(at(g, 0, 0).key, "ignition.config.0");
}

static mode_t mode_of(struct rig *g, unsigned pool)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/.kvp_pool_%u", g->dir.path, pool);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

/* vmbus-and-ic 7.14 */
static void pool_0_is_for_its_owner_alone(void **state)
{
	struct rig *g = *state;

	assert_int_equal(mode_of(g, 0), 0600);
	for (unsigned i = 1; i < KVP_N_POOLS; i++)
		assert_int_equal(mode_of(g, i), 0644);
}

/* vmbus-and-ic 7.13 */
static void a_record_full_to_its_last_byte_is_cut_at_a_character(void **state)
{
	uint8_t rec[KVP_RECORD_SIZE];
	struct rig *g = *state;
	struct kvp_msg m;

	memset(rec, 'k', KVP_KEY_SIZE);
	memset(rec + KVP_KEY_SIZE, 'v', KVP_VALUE_SIZE);
	memcpy(rec + KVP_RECORD_SIZE - 2, "\xc3\xa9", 2);
	file_write(g->dir.pool, rec, sizeof(rec));
	m = at(g, 1, 0);
	assert_int_equal(m.status, HV_S_OK);
	assert_int_equal(strlen(m.key), 511);
	assert_int_equal(strlen(m.value), 2046);
	assert_int_equal(m.value[2045], 'v');
}

static void what_is_not_utf8_in_a_file_is_made_so(void **state)
{
	uint8_t rec[KVP_RECORD_SIZE];
	struct rig *g = *state;

	rec_make(rec, "k\xff", "a\xc3(\xe2\x82\xac\xed\xa0\x80.");
	file_write(g->dir.pool, rec, sizeof(rec));
	assert_string_equal(at(g, 1, 0).key, "k?");
	assert_string_equal(at(g, 1, 0).value, "a?(\xe2\x82\xac???.");
}

static void a_pool_that_cannot_be_read_fails_its_request_only(void **state)
{
	struct kvp_msg m = { .op = KVP_SET, .pool = 1, .key = "k" };
	struct rig *g = *state;
	struct kvpd_stats st;

	/* a directory where the file was: no root may write that either */
	assert_int_equal(remove(g->dir.pool), 0);
	assert_int_equal(mkdir(g->dir.pool, 0700), 0);
	assert_true(kvpd_handle(g->d, &m) < 0);
	assert_int_equal(m.status, HV_E_FAIL);
	assert_int_equal(ask(g, KVP_SET, 0, "k", "v").status, HV_S_OK);
	kvpd_stats_get(g->d, &st);
	assert_int_equal(st.outcomes[KVPD_FAILED], 1);
	assert_int_equal(st.outcomes[KVPD_OK], 1);
	assert_int_equal(remove(g->dir.pool), 0);
}

static void a_pool_that_stays_locked_fails_in_time(void **state)
{
	struct kvp_msg m = { .op = KVP_SET, .pool = 1, .key = "k" };
	struct rig *g = *state;
	struct kvpd_cfg cfg = { .state_dir = g->dir.path, .no_sync = true,
				.lock_timeout_ms = 20 };
	int fd = open(g->dir.pool, O_RDWR | O_CLOEXEC);
	unsigned failed;

	kvpd_free(g->d);
	g->d = kvpd_new(&cfg, &failed);
	assert_non_null(g->d);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(kvpd_handle(g->d, &m), -ETIMEDOUT);
	assert_int_equal(m.status, HV_E_FAIL);
	close(fd);
	assert_int_equal(ask(g, KVP_SET, 1, "k", "v").status, HV_S_OK);
}

static struct kvp_msg settings(const char *adapter, const char *addrs)
{
	struct kvp_msg m = { .op = KVP_SET_IP_INFO, .pool = 1 };

	snprintf(m.ip.adapter_id, sizeof(m.ip.adapter_id), "%s", adapter);
	snprintf(m.ip.addrs, sizeof(m.ip.addrs), "%s", addrs);
	snprintf(m.ip.masks, sizeof(m.ip.masks), "%s", "255.255.255.0");
	m.ip.family = KVP_IP_V4;
	return m;
}

/* freebsd-behaviour 6.19: the host's text went through a root shell */
static void hostile_ip_settings_are_quoted_and_refused(void **state)
{
	struct rig *g = *state;
	struct kvp_msg m = settings("{f8615163-df3e-46c5-913f-f2d2f965ed0e}",
				    "1.2.3.4$(reboot)\nroot: ok");

	assert_int_equal(kvpd_handle(g->d, &m), 0);
	assert_int_equal(m.status, HV_INVALIDARG);
	assert_int_equal(g->n_logged, 2);
	assert_non_null(strstr(g->logged[0], "\"1.2.3.4$(reboot)\\x0aroot: ok\""));
	assert_non_null(strstr(g->logged[1], "address 1"));
}

static void ip_settings_for_an_unknown_adapter_are_not_found(void **state)
{
	struct kvp_msg m = settings("{00000000-0000-0000-0000-00000000dead}",
				    "10.0.0.1");
	struct rig *g = *state;

	assert_int_equal(kvpd_handle(g->d, &m), 0);
	assert_int_equal(m.status, HV_GUID_NOTFOUND);
	m = settings("00:00:00:00:00:00", "");
	m.op = KVP_GET_IP_INFO;
	assert_int_equal(kvpd_handle(g->d, &m), 0);
	assert_int_equal(m.status, HV_GUID_NOTFOUND);
}

/* freebsd-behaviour 6.17: an empty MAC matched the first interface */
static void an_empty_adapter_id_is_no_adapter(void **state)
{
	struct kvp_msg m = settings("", "");
	struct rig *g = *state;

	m.op = KVP_GET_IP_INFO;
	assert_int_equal(kvpd_handle(g->d, &m), 0);
	assert_int_equal(m.status, HV_INVALIDARG);
}

static void counts_records_without_waiting_for_a_lock(void **state)
{
	struct rig *g = *state;

	assert_int_equal(kvpd_count(g->d, 1), 0);
	ask(g, KVP_SET, 1, "a", "1");
	ask(g, KVP_SET, 1, "b", "1");
	file_append(g->dir.pool, "half", 4);
	assert_int_equal(kvpd_count(g->d, 1), 2);
	assert_true(kvpd_count(g->d, KVP_POOL_AUTO) >= AUTO_N_FIXED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(get_returns_the_value_that_was_set),
		TEST(set_replaces_and_enumerate_keeps_order),
		TEST(delete_removes_one_key_exactly),
		TEST(an_empty_key_matches_nothing),
		TEST(every_pool_number_has_an_answer),
		TEST(unknown_operations_are_not_supported),
		TEST(the_automatic_pool_is_computed_and_refuses_changes),
		TEST(the_drivers_version_is_an_item),
		TEST(what_is_in_the_files_at_start_stays),
		TEST(pool_0_is_for_its_owner_alone),
		TEST(a_record_full_to_its_last_byte_is_cut_at_a_character),
		TEST(what_is_not_utf8_in_a_file_is_made_so),
		TEST(a_pool_that_cannot_be_read_fails_its_request_only),
		TEST(a_pool_that_stays_locked_fails_in_time),
		TEST(hostile_ip_settings_are_quoted_and_refused),
		TEST(ip_settings_for_an_unknown_adapter_are_not_found),
		TEST(an_empty_adapter_id_is_no_adapter),
		TEST(counts_records_without_waiting_for_a_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
