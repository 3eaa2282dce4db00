/* test/unit/test_nvs_wire.c - NVSP messages against bytes laid out by hand
 * from doc/wire/nvs.md. */
#include "hn/nvs_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RECV_BUF = 1806 * 100 };

/* Read from an exact-size copy, so that ASan sees a read past it. */
static int get(struct nvs_msg *m, const void *bytes, size_t len,
	       uint32_t version)
{
	uint8_t *exact = malloc(len ? len : 1);
	int err;

	memcpy(exact, bytes, len);
	err = nvs_get(m, exact, len, version, RECV_BUF);
	free(exact);
	return err;
}

#define GET(m, bytes, version) get(m, bytes, sizeof(bytes) - 1, version)

/* The padding is zero, whatever was there before. */
static void assert_put(const uint8_t out[NVS_MSG_SIZE], const void *bytes,
		       size_t len)
{
	uint8_t want[NVS_MSG_SIZE] = { 0 };

	memcpy(want, bytes, len);
	assert_memory_equal(out, want, sizeof(want));
}

#define ASSERT_PUT(out, bytes) assert_put(out, bytes, sizeof(bytes) - 1)

static void writes_the_set_up_messages(void **state)
{
	uint8_t out[NVS_MSG_SIZE];

	(void)state;
	memset(out, 0xff, sizeof(out));
	nvs_put_init(out, NVS_V6_1);
	ASSERT_PUT(out, "\1\0\0\0" "\1\0\6\0" "\1\0\6\0");
	nvs_put_ndis_version(out, NVS_V4);
	ASSERT_PUT(out, "\x64\0\0\0" "\6\0\0\0" "\1\0\0\0");
	nvs_put_ndis_version(out, NVS_V5);
	ASSERT_PUT(out, "\x64\0\0\0" "\6\0\0\0" "\x1e\0\0\0");
	nvs_put_ndis_config(out, 1500, NVS_CAP_SRIOV | NVS_CAP_8021Q);
	ASSERT_PUT(out, "\x7d\0\0\0" "\xea\5\0\0" "\0\0\0\0"
		   "\x0c\0\0\0\0\0\0\0");
	nvs_put_recv_buf(out, 0xe1e10001);
	ASSERT_PUT(out, "\x65\0\0\0" "\1\0\xe1\xe1" "\xfe\xca");
	nvs_put_send_buf(out, 7);
	ASSERT_PUT(out, "\x68\0\0\0" "\7\0\0\0" "\xce\xfa");
	nvs_put_subchannel(out, 3);
	ASSERT_PUT(out, "\x85\0\0\0" "\1\0\0\0" "\3\0\0\0");
	nvs_put_revoke_recv_buf(out);
	ASSERT_PUT(out, "\x67\0\0\0" "\xfe\xca");
	nvs_put_revoke_send_buf(out);
	ASSERT_PUT(out, "\x6a\0\0\0" "\xce\xfa");
}

static void writes_the_data_path_messages(void **state)
{
	uint8_t out[NVS_MSG_SIZE];

	(void)state;
	nvs_put_rndis(out, true, NVS_NO_SECTION, 0);
	ASSERT_PUT(out, "\x6b\0\0\0" "\1\0\0\0" "\xff\xff\xff\xff" "\0\0\0\0");
	nvs_put_rndis(out, false, 3, 200);
	ASSERT_PUT(out, "\x6b\0\0\0" "\0\0\0\0" "\3\0\0\0" "\xc8\0\0\0");
	nvs_put_rndis_complete(out, NVS_S_OK);
	ASSERT_PUT(out, "\x6c\0\0\0" "\1\0\0\0");
	nvs_put_switch_data_path(out, NVS_PATH_VF);
	ASSERT_PUT(out, "\x81\0\0\0" "\1\0\0\0");
}

static void reads_what_a_host_answers(void **state)
{
	struct nvs_msg m;

	(void)state;
	assert_int_equal(GET(&m, "\2\0\0\0" "\xff\xff\xff\xff" "\x22\0\0\0"
			     "\1\0\0\0" "\0\0\0\0", 0), 0);
	assert_int_equal(m.type, NVS_INIT_COMPLETE);
	assert_int_equal(m.init.status, NVS_S_OK);
	assert_int_equal(GET(&m, "\x66\0\0\0" "\1\0\0\0" "\1\0\0\0"
			     "\0\0\0\0" "\x0e\7\0\0" "\x64\0\0\0"
			     "\x78\xc1\2\0", NVS_V6_1), 0);
	assert_int_equal(m.recv_buf.section_size, 1806);
	assert_int_equal(m.recv_buf.n_sections, 100);
	assert_int_equal(GET(&m, "\x69\0\0\0" "\1\0\0\0" "\0\x18\0\0",
			     NVS_V6_1), 0);
	assert_int_equal(m.send_buf.section_size, 6144);
	assert_int_equal(GET(&m, "\x85\0\0\0" "\1\0\0\0" "\3\0\0\0", NVS_V5),
			 0);
	assert_int_equal(m.subchannel.count, 3);
	assert_int_equal(GET(&m, "\x6c\0\0\0" "\2\0\0\0", NVS_V1), 0);
	assert_int_equal(m.rndis_complete.status, NVS_S_FAIL);
	assert_int_equal(GET(&m, "\x6b\0\0\0" "\1\0\0\0" "\xff\xff\xff\xff"
			     "\0\0\0\0", NVS_V1), 0);
	assert_true(m.rndis.control);
}

static void reads_what_a_host_says_of_the_vf(void **state)
{
	struct nvs_msg m;

	(void)state;
	assert_int_equal(GET(&m, "\x80\0\0\0" "\1\0\0\0" "\x02\x01\0\0",
			     NVS_V6), 0);
	assert_true(m.vf.present);
	assert_int_equal(m.vf.serial, 0x102);
	assert_int_equal(GET(&m, "\x80\0\0\0" "\0\0\0\0" "\x02\x01\0\0",
			     NVS_V6), 0);
	assert_false(m.vf.present);
	assert_int_equal(GET(&m, "\x80\0\0\0" "\2\0\0\0" "\x02\x01\0\0",
			     NVS_V6), -EPROTO);
	assert_int_equal(GET(&m, "\x81\0\0\0" "\0\0\0\0", NVS_V6), 0);
	assert_int_equal(m.data_path.path, NVS_PATH_SYNTHETIC);
	assert_int_equal(GET(&m, "\x81\0\0\0" "\2\0\0\0", NVS_V6), -EPROTO);
}

static void a_refused_buffer_needs_no_numbers(void **state)
{
	struct nvs_msg m;

	(void)state;
	assert_int_equal(GET(&m, "\x66\0\0\0" "\2\0\0\0", NVS_V5), 0);
	assert_int_equal(m.recv_buf.status, NVS_S_FAIL);
	assert_int_equal(GET(&m, "\x69\0\0\0" "\2\0\0\0", NVS_V5), 0);
	assert_int_equal(m.send_buf.status, NVS_S_FAIL);
}

static void refuses_a_receive_buffer_that_cannot_be(void **state)
{
	static const char bad[][29] = {
		/* two sections; not at 0; too small; none; beyond the buffer;
		 * size times count overflows 32 bits */
		"\x66\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\x0e\7\0\0\x64\0\0\0\0\0\0\0",
		"\x66\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\x0e\7\0\0\x64\0\0\0\0\0\0\0",
		"\x66\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\x43\0\0\0\x64\0\0\0\0\0\0\0",
		"\x66\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\x0e\7\0\0\0\0\0\0\0\0\0\0",
		"\x66\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\x0e\7\0\0\x65\0\0\0\0\0\0\0",
		"\x66\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\0\1\0\1\0\1\0\0\0\0\0",
	};
	struct nvs_msg m;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(get(&m, bad[i], 28, NVS_V5), -EPROTO);
}

static void an_odd_send_section_is_no_send_buffer(void **state)
{
	struct nvs_msg m;

	(void)state;
	assert_int_equal(GET(&m, "\x69\0\0\0" "\1\0\0\0" "\1\x18\0\0", NVS_V5),
			 0);
	assert_int_equal(m.send_buf.section_size, 0);
}

/* The offset of the table is wrong on some hosts up to version 6. */
static void finds_the_indirection_table(void **state)
{
	uint8_t msg[104] = { 0x86, 0, 0, 0, 16, 0, 0, 0, 12 };
	struct nvs_msg m;

	(void)state;
	for (unsigned i = 0; i < NVS_INDIRECTIONS; i++)
		msg[40 + 4 * i] = (uint8_t)(i + 1);
	assert_int_equal(get(&m, msg, 104, NVS_V6), 0);
	assert_int_equal(m.indirection.entry[15], 16);
	msg[8] = 40;
	assert_int_equal(get(&m, msg, 104, NVS_V6_1), 0);
	assert_int_equal(m.indirection.entry[0], 1);
	msg[8] = 41;
	assert_int_equal(get(&m, msg, 104, NVS_V6_1), -EMSGSIZE);
	msg[8] = 11;
	assert_int_equal(get(&m, msg, 104, NVS_V6_1), -EPROTO);
	msg[8] = 12;
	msg[4] = 15;
	assert_int_equal(get(&m, msg, 104, NVS_V6_1), -EPROTO);
	memset(&msg[8], 0xff, 4);
	msg[4] = 16;
	assert_int_equal(get(&m, msg, 104, NVS_V6_1), -EMSGSIZE);
}

static void refuses_every_shorter_message(void **state)
{
	static const struct {
		uint8_t type, len;
	} least[] = {
		{ 2, 16 }, { 102, 28 }, { 105, 12 }, { 107, 16 }, { 108, 8 },
		{ 128, 12 }, { 129, 8 }, { 133, 12 }, { 134, 76 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(least) / sizeof(least[0]); i++) {
		uint8_t msg[76] = { least[i].type, 0, 0, 0, 1 };
		struct nvs_msg m;

		if (least[i].type == 134)
			msg[4] = 16, msg[8] = 12;
		for (size_t n = 0; n < least[i].len; n++)
			assert_int_equal(get(&m, msg, n, NVS_V6_1), -EMSGSIZE);
	}
}

static void refuses_what_only_guests_send(void **state)
{
	struct nvs_msg m;

	(void)state;
	assert_int_equal(GET(&m, "\1\0\0\0" "\1\0\6\0" "\1\0\6\0", NVS_V5),
			 -EOPNOTSUPP);
	assert_int_equal(GET(&m, "\x99\0\0\0", NVS_V5), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_the_set_up_messages),
		cmocka_unit_test(writes_the_data_path_messages),
		cmocka_unit_test(reads_what_a_host_answers),
		cmocka_unit_test(reads_what_a_host_says_of_the_vf),
		cmocka_unit_test(a_refused_buffer_needs_no_numbers),
		cmocka_unit_test(refuses_a_receive_buffer_that_cannot_be),
		cmocka_unit_test(an_odd_send_section_is_no_send_buffer),
		cmocka_unit_test(finds_the_indirection_table),
		cmocka_unit_test(refuses_every_shorter_message),
		cmocka_unit_test(refuses_what_only_guests_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
