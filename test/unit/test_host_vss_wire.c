/* test/unit/test_host_vss_wire.c - the host's reading and writing of VSS
 * bodies, against bytes placed by hand: u8 operation, seven reserved, then
 * small: u32 flags; set: a GUID; freeze: u32 type, u32 flags, u32 count, 260
 * records of 24 bytes; a second list of those behind it from 7.0 on. */
#include "host/host_vss_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { V5 = 0x50000, V7 = 0x70000 };

/* Place bytes given as a string literal at an offset. */
#define AT(buf, off, lit) memcpy((buf) + (off), lit, sizeof(lit) - 1)

static const char controller[] = "00112233-4455-6677-8899-aabbccddeeff";

static size_t put(uint8_t *out, const struct host_vss_msg *m, uint32_t version)
{
	struct wr w = wr_of(out, VSS_MSG_MAX);

	memset(out, 0xee, VSS_MSG_MAX);
	assert_int_equal(host_vss_put(&w, m, version), 0);
	return w.len;
}

static int get(struct host_vss_msg *m, const void *body, size_t len,
	       bool strict)
{
	uint8_t *copy = malloc(len ? len : 1);
	const char *why = NULL;
	int err;

	assert_non_null(copy);
	memcpy(copy, body, len);
	err = host_vss_get(m, copy, len, strict, &why);
	free(copy);
	assert_true(err == 0 || why);
	return err;
}

static void small_requests_are_twelve_bytes(void **state)
{
	static const uint8_t ops[] = { 2, 3, 4, 6, 9, 255 };
	uint8_t got[VSS_MSG_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++) {
		struct host_vss_msg m = { .op = ops[i] };
		uint8_t want[12] = { ops[i] };

		assert_int_equal(put(got, &m, V5), sizeof(want));
		assert_memory_equal(got, want, sizeof(want));
	}
}

static void a_snapshot_set_is_named_by_its_guid(void **state)
{
	struct host_vss_msg m = { .op = VSS_CREATE };
	uint8_t want[24] = { 0 }, got[VSS_MSG_MAX];

	(void)state;
	guid_parse(&m.set, controller);
	AT(want, 8, "\x33\x22\x11\x00\x55\x44\x77\x66"
	   "\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
	assert_int_equal(put(got, &m, V5), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	m.op = want[0] = 1;
	assert_int_equal(put(got, &m, V5), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void a_freeze_with_its_luns_byte_for_byte(void **state)
{
	struct host_vss_msg m = { .op = VSS_FREEZE, .backup_type = 1,
		.flags = 0x01020304, .n_luns = 2,
		.luns = { { .bus = 1, .lun = 7 },
			  { .bus = 2, .port = 3, .target = 4, .lun = 5 } } };
	uint8_t want[6260] = { 5 }, got[VSS_MSG_MAX];

	(void)state;
	guid_parse(&m.luns[1].controller, controller);
	AT(want, 8, "\1\0\0\0" "\4\3\2\1" "\2\0\0\0");
	AT(want, 20, "\1");
	AT(want, 20 + 22, "\7");
	AT(want, 44, "\2\0\0\0" "\x33\x22\x11\x00\x55\x44\x77\x66"
	   "\x88\x99\xaa\xbb\xcc\xdd\xee\xff" "\3\4\5\0");
	assert_int_equal(put(got, &m, V7), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void auto_recover_has_shadow_luns_from_seven_on(void **state)
{
	struct host_vss_msg m = { .op = VSS_AUTO_RECOVER, .n_luns = 1,
				  .luns = { { .bus = 9 } } };
	uint8_t got[VSS_MSG_MAX];

	(void)state;
	assert_int_equal(put(got, &m, V5), 6260);
	assert_int_equal(put(got, &m, V7), 12500);
	assert_int_equal(got[20], 9);
	assert_int_equal(got[6260], 9);
	assert_int_equal(got[6261], 0);
}

static void refuses_to_write_what_does_not_fit(void **state)
{
	struct host_vss_msg m = { .op = VSS_FREEZE, .n_luns = 261 };
	uint8_t out[VSS_MSG_MAX];
	struct wr w = wr_of(out, sizeof(out));

	(void)state;
	assert_int_equal(host_vss_put(&w, &m, V7), -EMSGSIZE);
	m.n_luns = 260;
	for (size_t cap = 0; cap < 6260; cap += 313) {
		w = wr_of(out, cap);
		assert_int_equal(host_vss_put(&w, &m, V7), -EMSGSIZE);
	}
}

static void reads_the_flags_of_check_and_dm_info(void **state)
{
	uint8_t body[12] = { 2 };
	struct host_vss_msg m = { .op = 2 };

	(void)state;
	AT(body, 8, "\5\0\0\0");
	assert_int_equal(get(&m, body, sizeof(body), true), 0);
	assert_int_equal(m.flags, 5);
	body[0] = m.op = 3;
	AT(body, 8, "\0\0\0\x80");
	assert_int_equal(get(&m, body, sizeof(body), true), 0);
	assert_int_equal(m.flags, 0x80000000u);
}

static void strict_wants_the_whole_answer_lenient_what_there_is(void **state)
{
	static const uint8_t body[12] = { 2, 0, 0, 0, 0, 0, 0, 0, 5 };

	(void)state;
	for (size_t n = 0; n < sizeof(body); n++) {
		struct host_vss_msg m = { .op = 2, .flags = 77 };

		assert_int_equal(get(&m, body, n, true), -EBADMSG);
		assert_int_equal(get(&m, body, n, false), 0);
		assert_int_equal(m.flags, n > 9 ? 5 : 0);
	}
}

static void strict_wants_the_operation_repeated(void **state)
{
	static const uint8_t body[12] = { 6 };
	struct host_vss_msg m = { .op = VSS_FREEZE };

	(void)state;
	assert_int_equal(get(&m, body, sizeof(body), true), -EBADMSG);
	assert_int_equal(get(&m, body, sizeof(body), false), 0);
	m.op = VSS_THAW;
	assert_int_equal(get(&m, body, sizeof(body), true), 0);
}

static void a_clusters_luns_are_counted(void **state)
{
	uint8_t body[7320] = { 8 };
	struct host_vss_msg m = { .op = VSS_CLUSTER_INFO };

	(void)state;
	AT(body, 8, "\x33\x22\x11\x00");
	AT(body, 24, "\3\0\0\0" "\2\0\0\0");
	assert_int_equal(get(&m, body, sizeof(body), true), 0);
	assert_int_equal(m.set.b[0], 0x33);
	assert_int_equal(m.cluster_size, 3);
	assert_int_equal(m.n_luns, 2);
	AT(body, 28, "\5\1\0\0");		/* 261 */
	assert_int_equal(get(&m, body, sizeof(body), false), -EBADMSG);
	assert_int_equal(m.n_luns, 0);
}

/* What was written can be shown, and what was spoilt says so. */
static void a_request_can_be_read_for_people(void **state)
{
	struct host_vss_msg m = { .op = VSS_FREEZE, .backup_type = 2,
				  .n_luns = 2, .luns = { { 0 }, { .lun = 9 } } };
	struct host_vss_msg seen;
	uint8_t body[VSS_MSG_MAX];
	size_t n = put(body, &m, V5);
	const char *why = NULL;

	(void)state;
	assert_int_equal(host_vss_peek(&seen, body, n, &why), 0);
	assert_int_equal(seen.backup_type, 2);
	assert_int_equal(seen.n_luns, 2);
	assert_int_equal(seen.luns[1].lun, 9);
	AT(body, 16, "\5\1");
	assert_int_equal(host_vss_peek(&seen, body, n, &why), -EBADMSG);
	assert_int_equal(seen.n_luns, 0);
	AT(body, 16, "\1\0");
	for (size_t cut = 0; cut < 44; cut++) {
		uint8_t *copy = malloc(cut + 1);

		memcpy(copy, body, cut);
		why = NULL;
		assert_int_equal(host_vss_peek(&seen, copy, cut, &why),
				 -EBADMSG);
		assert_non_null(why);
		free(copy);
	}
}

static void operations_have_names_and_numbers(void **state)
{
	uint8_t op = 0;

	(void)state;
	for (unsigned i = 0; i < VSS_N_OPS; i++) {
		assert_int_equal(host_vss_op_parse(&op, host_vss_op_name(i)), 0);
		assert_int_equal(op, i);
	}
	assert_string_equal(host_vss_op_name(9), "unknown");
	assert_int_equal(host_vss_op_parse(&op, "200"), 0);
	assert_int_equal(op, 200);
	assert_int_equal(host_vss_op_parse(&op, "256"), -EINVAL);
	assert_int_equal(host_vss_op_parse(&op, "frieze"), -EINVAL);
	assert_int_equal(host_vss_op_parse(&op, ""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_requests_are_twelve_bytes),
		cmocka_unit_test(a_snapshot_set_is_named_by_its_guid),
		cmocka_unit_test(a_freeze_with_its_luns_byte_for_byte),
		cmocka_unit_test(auto_recover_has_shadow_luns_from_seven_on),
		cmocka_unit_test(refuses_to_write_what_does_not_fit),
		cmocka_unit_test(reads_the_flags_of_check_and_dm_info),
		cmocka_unit_test(
			strict_wants_the_whole_answer_lenient_what_there_is),
		cmocka_unit_test(strict_wants_the_operation_repeated),
		cmocka_unit_test(a_clusters_luns_are_counted),
		cmocka_unit_test(a_request_can_be_read_for_people),
		cmocka_unit_test(operations_have_names_and_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
