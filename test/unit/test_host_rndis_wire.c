/* test/unit/test_host_rndis_wire.c - the host's reading and writing of RNDIS,
 * against bytes laid out by hand from doc/wire/rndis.md. */
#include "host/host_rndis_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LE32(v)								      \
	(uint8_t)(v), (uint8_t)((v) >> 8), (uint8_t)((v) >> 16),	      \
	(uint8_t)((v) >> 24)

static const uint8_t initialize[] = {
	LE32(2), LE32(24), LE32(7), LE32(1), LE32(0), LE32(0x4000),
};
static const uint8_t query[] = {
	LE32(4), LE32(28), LE32(8), LE32(0x01010101), LE32(0), LE32(20), LE32(0),
};
static const uint8_t set[] = {
	LE32(5), LE32(32), LE32(9), LE32(0x0001010e), LE32(4), LE32(20), LE32(0),
	LE32(0x0d),
};
static const uint8_t halt[] = { LE32(3), LE32(12), LE32(10) };

/* 60 bytes with a checksum record: the example of doc/wire/rndis.md, then a
 * VLAN and an LSO record. The frame is 0x11 ... */
#define FRAME_60(n)							      \
	n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,  \
	n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,  \
	n, n, n, n, n, n, n, n, n, n, n, n, n, n
static const uint8_t with_sum[] = {
	LE32(1), LE32(120), LE32(52), LE32(60), LE32(0), LE32(0), LE32(0),
	LE32(36), LE32(16), LE32(0), LE32(0),
	LE32(16), LE32(0), LE32(12), LE32(0x00220005),
	FRAME_60(0x11),
};
static const uint8_t with_all[] = {
	LE32(1), LE32(172), LE32(104), LE32(60), LE32(0), LE32(0), LE32(0),
	LE32(36), LE32(68), LE32(0), LE32(0),
	LE32(16), LE32(6), LE32(12), LE32(0x0000064b),
	/* An LSO record with a gap before its data. */
	LE32(20), LE32(2), LE32(16), LE32(0xdddddddd), LE32(0xc22005b4),
	LE32(16), LE32(8), LE32(12), LE32(0xabcdef01),
	LE32(16), LE32(0x80000001), LE32(12), LE32(0x1),	/* not known */
	FRAME_60(0x22),
};

static int get(struct host_rndis_msg *m, const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	const char *why = NULL;
	int err;

	assert_non_null(copy);
	if (n)
		memcpy(copy, bytes, n);
	err = host_rndis_get(m, copy, n, &why);
	assert_true((err == 0) == (why == NULL));
	if (m->data)
		m->data = bytes + (m->data - copy);
	free(copy);
	return err;
}

static int get_frame(struct host_rndis_frame *f, const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	const char *why = NULL;
	int len;

	assert_non_null(copy);
	if (n)
		memcpy(copy, bytes, n);
	len = host_rndis_get_frame(f, copy, n, &why);
	assert_true((len < 0) == (why != NULL));
	if (f->data)
		f->data = bytes + (f->data - copy);
	free(copy);
	return len;
}

static void reads_control_messages(void **state)
{
	struct host_rndis_msg m;

	(void)state;
	assert_int_equal(get(&m, initialize, sizeof(initialize)), 0);
	assert_int_equal(m.type, RNDIS_INITIALIZE);
	assert_int_equal(m.rid, 7);
	assert_int_equal(m.max_transfer, 0x4000);
	assert_int_equal(get(&m, query, sizeof(query)), 0);
	assert_int_equal(m.oid, RNDIS_OID_MAC_PERMANENT);
	assert_int_equal(m.len, 0);
	assert_int_equal(get(&m, set, sizeof(set)), 0);
	assert_int_equal(m.oid, RNDIS_OID_FILTER);
	assert_int_equal(m.len, 4);
	assert_ptr_equal(m.data, set + 28);
	assert_int_equal(get(&m, halt, sizeof(halt)), 0);
	assert_int_equal(m.rid, 10);
}

static void refuses_every_shorter_control_message(void **state)
{
	struct host_rndis_msg m;

	(void)state;
	for (size_t n = 0; n < sizeof(initialize); n++)
		assert_int_equal(get(&m, initialize, n), -EBADMSG);
	for (size_t n = 0; n < sizeof(query); n++)
		assert_int_equal(get(&m, query, n), -EBADMSG);
	for (size_t n = 0; n < sizeof(set); n++)
		assert_int_equal(get(&m, set, n), -EBADMSG);
	for (size_t n = 0; n < sizeof(halt); n++)
		assert_int_equal(get(&m, halt, n), -EBADMSG);
}

static void refuses_data_outside_of_a_request(void **state)
{
	static const uint32_t wrong[][2] = {	/* length, offset */
		{ 5, 20 }, { 4, 21 }, { 4, 19 }, { 1, 0 }, { 0xffffffff, 20 },
		{ 4, 0xfffffffc }, { 0xfffffff0, 0xfffffff0 },
	};
	struct host_rndis_msg m;

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bytes[sizeof(set)];
		struct wr w = wr_of(bytes + 16, 8);

		memcpy(bytes, set, sizeof(set));
		wr_le32(&w, wrong[i][0]);
		wr_le32(&w, wrong[i][1]);
		assert_int_equal(get(&m, bytes, sizeof(bytes)), -EBADMSG);
	}
}

static void refuses_what_guests_do_not_send(void **state)
{
	static const uint8_t reset[] = { LE32(6), LE32(12), LE32(1) };
	struct host_rndis_msg m;

	(void)state;
	assert_int_equal(get(&m, reset, sizeof(reset)), -EOPNOTSUPP);
}

static void reads_a_frame_and_its_records(void **state)
{
	struct host_rndis_frame f;

	(void)state;
	assert_int_equal(get_frame(&f, with_sum, sizeof(with_sum)), 120);
	assert_true(f.has_sum);
	assert_int_equal(f.sum, RNDIS_TX_IPV4 | RNDIS_TX_TCP | 34 << 16);
	assert_int_equal(f.len, 60);
	assert_ptr_equal(f.data, with_sum + 60);
	assert_int_equal(get_frame(&f, with_all, sizeof(with_all)), 172);
	assert_true(f.has_vlan && f.has_lso && f.has_hash && !f.has_sum);
	assert_int_equal(f.vlan, 0x7064);	/* priority 3, DEI, id 100 */
	assert_int_equal(f.mss, 1460);
	assert_int_equal(f.lso_l4, 34);
	assert_true(f.lso_ipv6);
	assert_int_equal(f.hash, 0xabcdef01);
	assert_int_equal(f.data[59], 0x22);
}

static void reads_the_first_of_several(void **state)
{
	uint8_t two[sizeof(with_sum) + sizeof(with_all)];
	struct host_rndis_frame f;

	(void)state;
	memcpy(two, with_sum, sizeof(with_sum));
	memcpy(two + sizeof(with_sum), with_all, sizeof(with_all));
	assert_int_equal(get_frame(&f, two, sizeof(two)), 120);
	assert_int_equal(f.data[0], 0x11);
	assert_int_equal(get_frame(&f, two + 120, sizeof(two) - 120), 172);
}

static void refuses_every_shorter_frame(void **state)
{
	struct host_rndis_frame f;

	(void)state;
	for (size_t n = 0; n < sizeof(with_all); n++)
		assert_int_equal(get_frame(&f, with_all, n), -EBADMSG);
}

static void refuses_frames_that_lie(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} wrong[] = {
		{ 4, 119 }, { 4, 43 }, { 4, 0 }, { 4, 0xffffffff },
		{ 8, 53 }, { 8, 35 }, { 8, 0 }, { 8, 0xfffffff8 },
		{ 12, 0 }, { 12, 61 }, { 12, 0xffffffff },
		{ 16, 1 }, { 20, 1 }, { 24, 1 },	/* out-of-band data */
		{ 28, 35 }, { 28, 0xffffffff },
		{ 32, 15 }, { 32, 17 }, { 32, 200 },
		{ 44, 0 }, { 44, 11 }, { 44, 17 },	/* a record's size */
		{ 52, 11 }, { 52, 17 }, { 52, 0xffffffff },
	};
	struct host_rndis_frame f;

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t bytes[sizeof(with_sum)];
		struct wr w = wr_of(bytes + wrong[i].at, 4);

		memcpy(bytes, with_sum, sizeof(bytes));
		wr_le32(&w, wrong[i].value);
		assert_int_equal(get_frame(&f, bytes, sizeof(bytes)), -EBADMSG);
	}
}

static void control_among_frames_is_no_frame(void **state)
{
	uint8_t bytes[sizeof(with_sum)];
	struct host_rndis_frame f;

	(void)state;
	memcpy(bytes, with_sum, sizeof(bytes));
	bytes[0] = RNDIS_KEEPALIVE;
	assert_int_equal(get_frame(&f, bytes, sizeof(bytes)), -EOPNOTSUPP);
}

static void writes_answers_byte_for_byte(void **state)
{
	static const uint8_t initialized[] = {
		LE32(0x80000002), LE32(52), LE32(7), LE32(0), LE32(1), LE32(0),
		LE32(1), LE32(0), LE32(8), LE32(0xefffffff), LE32(3), LE32(0),
		LE32(0),
	};
	static const uint8_t queried[] = {
		LE32(0x80000004), LE32(30), LE32(8), LE32(0), LE32(6), LE32(16),
		0x00, 0x15, 0x5d, 0x01, 0x02, 0x03,
	};
	static const uint8_t done[] = {
		LE32(0x80000005), LE32(16), LE32(9), LE32(0xc00000bbu),
	};
	const struct host_rndis_limits l = { 8, 0xefffffff, 3 };
	uint8_t out[256];
	struct wr w = wr_of(out, sizeof(out));

	(void)state;
	host_rndis_put_initialize(&w, 7, RNDIS_S_OK, &l);
	assert_int_equal(w.len, sizeof(initialized));
	assert_memory_equal(out, initialized, sizeof(initialized));
	w = wr_of(out, sizeof(out));
	host_rndis_put_query(&w, 8, RNDIS_S_OK, queried + 24, 6);
	assert_int_equal(w.len, sizeof(queried));
	assert_memory_equal(out, queried, sizeof(queried));
	w = wr_of(out, sizeof(out));
	host_rndis_put_done(&w, RNDIS_SET, 9, RNDIS_S_NOT_SUPPORTED);
	assert_int_equal(w.len, sizeof(done));
	assert_memory_equal(out, done, sizeof(done));
}

static void writes_indications_of_old_hosts_too(void **state)
{
	static const uint8_t speed[] = {
		LE32(7), LE32(24), LE32(0x40010013), LE32(4), LE32(12),
		LE32(0x05f5e100),
	};
	uint8_t out[64];
	struct wr w = wr_of(out, sizeof(out));

	(void)state;
	host_rndis_put_indicate(&w, RNDIS_S_LINK_SPEED, speed + 20, 4, false);
	assert_int_equal(w.len, sizeof(speed));
	assert_memory_equal(out, speed, sizeof(speed));
	w = wr_of(out, sizeof(out));
	host_rndis_put_indicate(&w, RNDIS_S_LINK_SPEED, speed + 20, 4, true);
	assert_int_equal(w.len, sizeof(speed));
	assert_int_equal(out[4], 20);
	w = wr_of(out, sizeof(out));
	host_rndis_put_indicate(&w, RNDIS_S_MEDIA_CONNECT, NULL, 0, false);
	assert_int_equal(w.len, 20);
	assert_int_equal(out[16], 0);
}

static void writes_a_frame_behind_its_room(void **state)
{
	static const uint8_t head[] = {
		LE32(1), LE32(1806), LE32(248), LE32(60), LE32(0), LE32(0),
		LE32(0), LE32(36), LE32(32), LE32(0x5a5a5a5a), LE32(0x5a5a5a5a),
		LE32(16), LE32(0), LE32(12), LE32(0x28),
		LE32(16), LE32(6), LE32(12), LE32(0x0000064b),
	};
	const struct host_rndis_room room = { 256, 1806, 0x5a5a5a5a };
	struct host_rndis_frame f = {
		.has_sum = true, .sum = RNDIS_RX_TCP_OK | RNDIS_RX_IP_OK,
		.has_vlan = true, .vlan = 0x7064,
		.data = with_sum + 60, .len = 60,
	};
	uint8_t out[316];
	struct wr w = wr_of(out, sizeof(out));

	(void)state;
	assert_ptr_equal(host_rndis_put_frame(&w, &f, &room), out + 256);
	assert_int_equal(w.len, 316);
	assert_memory_equal(out, head, sizeof(head));
	for (size_t i = sizeof(head); i < 256; i++)
		assert_int_equal(out[i], 0);
	assert_memory_equal(out + 256, with_sum + 60, 60);
	w = wr_of(out, sizeof(out) - 1);
	assert_null(host_rndis_put_frame(&w, &f, &room));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_control_messages),
		cmocka_unit_test(refuses_every_shorter_control_message),
		cmocka_unit_test(refuses_data_outside_of_a_request),
		cmocka_unit_test(refuses_what_guests_do_not_send),
		cmocka_unit_test(reads_a_frame_and_its_records),
		cmocka_unit_test(reads_the_first_of_several),
		cmocka_unit_test(refuses_every_shorter_frame),
		cmocka_unit_test(refuses_frames_that_lie),
		cmocka_unit_test(control_among_frames_is_no_frame),
		cmocka_unit_test(writes_answers_byte_for_byte),
		cmocka_unit_test(writes_indications_of_old_hosts_too),
		cmocka_unit_test(writes_a_frame_behind_its_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
