/* test/unit/test_vss_wire.c - the host's VSS messages. The bytes are laid out
 * by hand from Linux' struct hv_vss_msg and OpenVMM's hyperv_ic_protocol
 * (doc/wire/vss.md). */
#include "vss/vss_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ic/hv_utilreg.h"

#define V7 HV_IC_VERSION(7, 0)

static int get(struct vss_msg *m, uint32_t version, const uint8_t *buf,
	       size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, buf, len);
	err = vss_wire_get_request(m, version, copy, len);
	free(copy);
	return err;
}

/* A copy-only backup (2) of two disks. */
static const uint8_t freeze[20 + 2 * 24] = {
	0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,	/* type, flags */
	0x02, 0x00, 0x00, 0x00,				/* LUNs */
	0x01, 0x00, 0x00, 0x00,				/* SCSI */
	0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
	0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00,
	0x00, 0x00, 0x01, 0x00,				/* LUN 1 */
	0x01, 0x00, 0x00, 0x00,
	0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
	0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00,
	0x00, 0x00, 0x02, 0x00,
};

static void a_freeze_says_which_disks(void **state)
{
	struct vss_msg m;

	(void)state;
	assert_int_equal(get(&m, V7, freeze, sizeof(freeze)), 0);
	assert_int_equal(m.op, VSS_FREEZE);
	assert_int_equal(m.backup_type, 2);
	assert_int_equal(m.flags, 1);
	assert_int_equal(m.n_luns, 2);
}

static void the_longest_messages_fit(void **state)
{
	uint8_t *body = calloc(1, VSS_MSG_MAX);
	struct vss_msg m;

	(void)state;
	body[0] = VSS_AUTO_RECOVER;
	body[16] = 260 & 0xff;
	body[17] = 260 >> 8;
	assert_int_equal(get(&m, V7, body, VSS_AUTO_RECOVER_SIZE), 0);
	assert_int_equal(m.n_luns, 260);
	body[0] = VSS_FREEZE;
	assert_int_equal(get(&m, V7, body, VSS_FREEZE_SIZE), 0);
	assert_int_equal(get(&m, V7, body, VSS_FREEZE_SIZE - 1), -EPROTO);
	body[16]++;
	assert_int_equal(get(&m, V7, body, VSS_AUTO_RECOVER_SIZE), -EPROTO);
	memset(body + 16, 0xff, 4);
	assert_int_equal(get(&m, V7, body, VSS_AUTO_RECOVER_SIZE), -EPROTO);
	free(body);
}

static void more_luns_than_came_are_refused(void **state)
{
	struct vss_msg m;

	(void)state;
	for (size_t n = 20; n < sizeof(freeze); n++)
		assert_int_equal(get(&m, V7, freeze, n), -EPROTO);
	for (size_t n = 8; n < 20; n++) {	/* the short form */
		assert_int_equal(get(&m, V7, freeze, n), 0);
		assert_int_equal(m.n_luns, 0);
		assert_int_equal(m.backup_type, 0);
	}
}

static void each_operation_has_its_least_size(void **state)
{
	static const size_t least[] = { 24, 24, 12, 12, 8, 8, 8, 8 };
	uint8_t body[32] = { 0 };
	struct vss_msg m;

	(void)state;
	for (uint8_t op = 0; op < 8; op++) {
		body[0] = op;
		for (size_t n = 1; n < sizeof(body); n++) {
			assert_int_equal(get(&m, V7, body, n),
					 n < least[op] ? -EMSGSIZE : 0);
			assert_int_equal(m.op, op);
		}
	}
	assert_int_equal(get(&m, V7, body, 0), -EMSGSIZE);
}

static void operations_came_with_versions(void **state)
{
	static const uint16_t since[] = { 3, 3, 3, 3, 4, 5, 5, 5 };
	uint8_t body[32] = { 0 };
	struct vss_msg m;

	(void)state;
	for (uint8_t op = 0; op < 8; op++)
		for (uint16_t v = 3; v < 8; v++) {
			body[0] = op;
			assert_int_equal(get(&m, HV_IC_VERSION(v, 0), body,
					     sizeof(body)),
					 v < since[op] ? -EOPNOTSUPP : 0);
		}
}

static void what_nobody_knows_is_not_supported(void **state)
{
	uint8_t body[VSS_CLUSTER_SIZE] = { 0 };
	struct vss_msg m;

	(void)state;
	for (unsigned op = VSS_CLUSTER_INFO; op < 256; op++) {
		body[0] = (uint8_t)op;
		assert_int_equal(get(&m, V7, body, sizeof(body)), -EOPNOTSUPP);
		assert_int_equal(m.op, op);
	}
}

static void answers_carry_flags_where_the_host_looks(void **state)
{
	static const uint8_t check[] = { 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0 };
	static const uint8_t dm[] = { 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
	uint8_t body[12] = { 2, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd };
	struct vss_msg m = { .op = VSS_HOT_BACKUP };

	(void)state;
	assert_int_equal(vss_wire_put_answer(body, 11, &m), 0);
	assert_int_equal(body[8], 0xaa);
	assert_int_equal(vss_wire_put_answer(body, sizeof(body), &m), 12);
	assert_memory_equal(body, check, sizeof(check));
	m.op = body[0] = VSS_GET_DM_INFO;
	assert_int_equal(vss_wire_put_answer(body, sizeof(body), &m), 12);
	assert_memory_equal(body, dm, sizeof(dm));
}

static void all_other_answers_are_the_requests_bytes(void **state)
{
	uint8_t body[32];

	(void)state;
	for (unsigned op = 0; op < 256; op++) {
		struct vss_msg m = { .op = (uint8_t)op };

		if (op == VSS_HOT_BACKUP || op == VSS_GET_DM_INFO)
			continue;
		memset(body, 0x5a, sizeof(body));
		assert_int_equal(vss_wire_put_answer(body, sizeof(body), &m),
				 0);
		for (size_t i = 0; i < sizeof(body); i++)
			assert_int_equal(body[i], 0x5a);
	}
}

static void operations_have_names(void **state)
{
	(void)state;
	assert_string_equal(vss_op_name(VSS_CREATE), "create");
	assert_string_equal(vss_op_name(VSS_DELETE), "delete");
	assert_string_equal(vss_op_name(VSS_HOT_BACKUP), "check");
	assert_string_equal(vss_op_name(VSS_GET_DM_INFO), "get-dm-info");
	assert_string_equal(vss_op_name(VSS_BU_COMPLETE), "complete");
	assert_string_equal(vss_op_name(VSS_FREEZE), "freeze");
	assert_string_equal(vss_op_name(VSS_THAW), "thaw");
	assert_string_equal(vss_op_name(VSS_AUTO_RECOVER), "auto-recover");
	assert_string_equal(vss_op_name(VSS_CLUSTER_INFO), "cluster-info");
	assert_string_equal(vss_op_name(9), "unknown");
	assert_string_equal(vss_op_name(~0u), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_freeze_says_which_disks),
		cmocka_unit_test(the_longest_messages_fit),
		cmocka_unit_test(more_luns_than_came_are_refused),
		cmocka_unit_test(each_operation_has_its_least_size),
		cmocka_unit_test(operations_came_with_versions),
		cmocka_unit_test(what_nobody_knows_is_not_supported),
		cmocka_unit_test(answers_carry_flags_where_the_host_looks),
		cmocka_unit_test(all_other_answers_are_the_requests_bytes),
		cmocka_unit_test(operations_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
