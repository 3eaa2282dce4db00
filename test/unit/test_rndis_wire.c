/* test/unit/test_rndis_wire.c - RNDIS messages against bytes laid out by hand
 * from doc/wire/rndis.md. */
#include "hn/rndis_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Both read from exact-size copies, so that ASan sees a read past them; what
 * they point to afterwards is copied out first. */
static uint8_t piece[256];

static int control(struct rndis_control *c, const void *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	int err;

	memcpy(exact, bytes, len);
	err = rndis_get_control(c, exact, len);
	if (err == 0 && c->len)
		memcpy(piece, c->data, c->len);
	free(exact);
	return err;
}

static int packet(struct rndis_packet *p, const void *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	int err;

	memcpy(exact, bytes, len);
	err = rndis_get_packet(p, exact, len);
	if (err == 0)
		memcpy(piece, p->frame, p->len);
	free(exact);
	return err;
}

#define CONTROL(c, bytes) control(c, bytes, sizeof(bytes) - 1)
#define PACKET(p, bytes) packet(p, bytes, sizeof(bytes) - 1)

static void writes_requests(void **state)
{
	uint8_t out[64];

	(void)state;
	assert_int_equal(rndis_put_initialize(out, sizeof(out), 5), 24);
	assert_memory_equal(out, "\2\0\0\0\x18\0\0\0\5\0\0\0"
			    "\1\0\0\0\0\0\0\0\0\x40\0\0", 24);
	assert_int_equal(rndis_put_query(out, sizeof(out), 6, RNDIS_OID_MAX_FRAME,
					 NULL, 0), 28);
	assert_memory_equal(out, "\4\0\0\0\x1c\0\0\0\6\0\0\0"
			    "\6\1\1\0\0\0\0\0\x14\0\0\0\0\0\0\0", 28);
	assert_int_equal(rndis_put_set(out, sizeof(out), 7, RNDIS_OID_FILTER,
				       "\x0d\0\0\0", 4), 32);
	assert_memory_equal(out, "\5\0\0\0\x20\0\0\0\7\0\0\0"
			    "\x0e\1\1\0\4\0\0\0\x14\0\0\0\0\0\0\0\x0d\0\0\0",
			    32);
	assert_int_equal(rndis_put_halt(out, sizeof(out), 8), 12);
	assert_memory_equal(out, "\3\0\0\0\x0c\0\0\0\x08\0\0\0", 12);
	assert_int_equal(rndis_put_keepalive(out, sizeof(out), 9), 12);
	assert_memory_equal(out, "\x08\0\0\0\x0c\0\0\0\x09\0\0\0", 12);
}

static void a_request_that_does_not_fit_is_refused(void **state)
{
	static const uint8_t much[RNDIS_CONTROL_MAX];
	static uint8_t out[RNDIS_CONTROL_MAX + 1];

	(void)state;
	assert_int_equal(rndis_put_set(out, sizeof(out), 1, 1, much,
				       RNDIS_CONTROL_MAX - RNDIS_REQUEST_HDR),
			 RNDIS_CONTROL_MAX);
	assert_int_equal(rndis_put_set(out, sizeof(out), 1, 1, much,
				       RNDIS_CONTROL_MAX -
				       RNDIS_REQUEST_HDR + 1), -EMSGSIZE);
	assert_int_equal(rndis_put_set(out, 31, 1, 1, much, 4), -EMSGSIZE);
	assert_int_equal(rndis_put_halt(out, 11, 1), -EMSGSIZE);
}

static void reads_the_answer_to_initialize(void **state)
{
	struct rndis_control c;

	(void)state;
	assert_int_equal(CONTROL(&c, "\2\0\0\x80\x34\0\0\0\5\0\0\0\0\0\0\0"
				 "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
				 "\x08\0\0\0\xff\xff\xff\xef\3\0\0\0"
				 "\0\0\0\0\0\0\0\0"), 0);
	assert_int_equal(c.rid, 5);
	assert_int_equal(c.status, RNDIS_S_OK);
	assert_int_equal(c.max_messages, 8);
	assert_int_equal(c.max_transfer, 0xefffffff);
	assert_int_equal(c.align, 8);
	/* One that says no need not say more. */
	assert_int_equal(CONTROL(&c, "\2\0\0\x80\x10\0\0\0\5\0\0\0\1\0\0\xc0"),
			 0);
	assert_int_equal(c.status, RNDIS_S_FAIL);
}

static void refuses_limits_that_cannot_be(void **state)
{
	uint8_t msg[52] = { 2, 0, 0, 0x80, 52, 0, 0, 0, 5 };
	struct rndis_control c;

	(void)state;
	msg[32] = 1;
	msg[36] = 1;
	msg[40] = 12;
	assert_int_equal(control(&c, msg, 52), 0);
	assert_int_equal(c.align, 4096);
	msg[40] = 13;
	assert_int_equal(control(&c, msg, 52), -EPROTO);
	msg[40] = 0;
	msg[36] = 0;
	assert_int_equal(control(&c, msg, 52), -EPROTO);
	msg[36] = 1;
	msg[32] = 0;
	assert_int_equal(control(&c, msg, 52), -EPROTO);
}

static void reads_what_a_query_asked_for(void **state)
{
	struct rndis_control c;

	(void)state;
	assert_int_equal(CONTROL(&c, "\4\0\0\x80\x1e\0\0\0\6\0\0\0\0\0\0\0"
				 "\6\0\0\0\x10\0\0\0\x00\x15\x5d\1\2\3"), 0);
	assert_int_equal(c.rid, 6);
	assert_int_equal(c.len, 6);
	assert_memory_equal(piece, "\x00\x15\x5d\1\2\3", 6);
}

static void refuses_pieces_outside_the_message(void **state)
{
	struct rndis_control c;

	(void)state;
	/* one byte too long; into the fixed fields; offset that wraps */
	assert_int_equal(CONTROL(&c, "\4\0\0\x80\x1e\0\0\0\6\0\0\0\0\0\0\0"
				 "\7\0\0\0\x10\0\0\0\0\0\0\0\0\0"), -EPROTO);
	assert_int_equal(CONTROL(&c, "\4\0\0\x80\x1e\0\0\0\6\0\0\0\0\0\0\0"
				 "\6\0\0\0\x0f\0\0\0\0\0\0\0\0\0"), -EPROTO);
	assert_int_equal(CONTROL(&c, "\4\0\0\x80\x1e\0\0\0\6\0\0\0\0\0\0\0"
				 "\6\0\0\0\xf8\xff\xff\xff\0\0\0\0\0\0"),
			 -EPROTO);
	/* none at all is fine wherever it is */
	assert_int_equal(CONTROL(&c, "\4\0\0\x80\x18\0\0\0\6\0\0\0\0\0\0\0"
				 "\0\0\0\0\xf8\xff\xff\xff"), 0);
	assert_int_equal(c.len, 0);
}

/* Old hosts leave the buffer out of the message's length. */
static void reads_indications(void **state)
{
	struct rndis_control c;

	(void)state;
	assert_int_equal(CONTROL(&c, "\7\0\0\0\x14\0\0\0\x0b\0\1\x40"
				 "\0\0\0\0\0\0\0\0"), 0);
	assert_int_equal(c.status, RNDIS_S_MEDIA_CONNECT);
	assert_int_equal(CONTROL(&c, "\7\0\0\0\x18\0\0\0\x18\0\1\x40"
				 "\4\0\0\0\x0c\0\0\0\1\0\0\0"), 0);
	assert_int_equal(c.status, RNDIS_S_NETWORK_CHANGE);
	assert_int_equal(c.len, 4);
	assert_int_equal(CONTROL(&c, "\7\0\0\0\x14\0\0\0\x13\0\1\x40"
				 "\4\0\0\0\x0c\0\0\0\1\0\0\0"), 0);
	assert_int_equal(c.len, 4);
	assert_int_equal(CONTROL(&c, "\7\0\0\0\x14\0\0\0\x13\0\1\x40"
				 "\5\0\0\0\x0c\0\0\0\1\0\0\0"), -EPROTO);
}

static void a_control_message_is_as_long_as_it_says(void **state)
{
	static const uint8_t msg[16] = { 5, 0, 0, 0x80, 16, 0, 0, 0, 1 };
	uint8_t lie[16];
	struct rndis_control c;

	(void)state;
	for (size_t n = 0; n < sizeof(msg); n++)
		assert_int_equal(control(&c, msg, n), -EMSGSIZE);
	assert_int_equal(control(&c, msg, 16), 0);
	memcpy(lie, msg, sizeof(lie));
	for (uint8_t said = 0; said < 16; said++) {
		lie[4] = said;
		assert_int_equal(control(&c, lie, 16), -EMSGSIZE);
	}
	assert_int_equal(CONTROL(&c, "\4\0\0\0\x0c\0\0\0\1\0\0\0"),
			 -EOPNOTSUPP);
}

/* The frame of doc/wire/rndis.md: 60 bytes with a checksum record. */
static void lay_frame(uint8_t msg[120])
{
	memset(msg, 0, 120);
	memcpy(msg, "\1\0\0\0\x78\0\0\0\x34\0\0\0\x3c\0\0\0", 16);
	memcpy(msg + 28, "\x24\0\0\0\x10\0\0\0", 8);
	memcpy(msg + 44, "\x10\0\0\0\0\0\0\0\x0c\0\0\0\x28\0\0\0", 16);
	for (unsigned i = 0; i < 60; i++)
		msg[60 + i] = (uint8_t)i;
}

static void writes_a_frames_header(void **state)
{
	const struct rndis_meta m = { .has_checksum = true,
				      .checksum = 0x28 };
	uint8_t out[RNDIS_PACKET_OVERHEAD], want[120];
	size_t pad;

	(void)state;
	lay_frame(want);
	assert_int_equal(rndis_put_packet(out, sizeof(out), &m, 60, 8, &pad),
			 60);
	assert_int_equal(pad, 0);
	assert_memory_equal(out, want, 60);
	assert_int_equal(rndis_put_packet(out, 59, &m, 60, 8, &pad), -EMSGSIZE);
}

static void pads_to_the_hosts_alignment(void **state)
{
	const struct rndis_meta m = { 0 };
	uint8_t out[RNDIS_PACKET_OVERHEAD];
	size_t pad;

	(void)state;
	assert_int_equal(rndis_put_packet(out, sizeof(out), &m, 61, 8, &pad),
			 44);
	assert_int_equal(pad, 7);
	assert_int_equal(out[4], 44 + 61 + 7);
	assert_memory_equal(out + 28, "\0\0\0\0\0\0\0\0", 8);
	rndis_put_packet(out, sizeof(out), &m, 61, 0, &pad);
	assert_int_equal(pad, 0);
	assert_int_equal(out[4], 44 + 61);
}

static void reads_a_frame(void **state)
{
	struct rndis_packet p;
	uint8_t msg[120];

	(void)state;
	lay_frame(msg);
	assert_int_equal(packet(&p, msg, 120), 0);
	assert_int_equal(p.len, 60);
	assert_memory_equal(piece, msg + 60, 60);
	assert_true(p.meta.has_checksum);
	assert_int_equal(p.meta.checksum, RNDIS_RX_TCP_OK | RNDIS_RX_IP_OK);
	assert_false(p.meta.has_vlan);
	for (size_t n = 0; n < 120; n++)
		assert_int_equal(packet(&p, msg, n), -EMSGSIZE);
}

static void a_frame_lies_inside_its_message(void **state)
{
	struct rndis_packet p;
	uint8_t msg[120];

	(void)state;
	lay_frame(msg);
	msg[12]++;			/* a byte too long */
	assert_int_equal(packet(&p, msg, 120), -EPROTO);
	msg[12] = 0;			/* nothing */
	assert_int_equal(packet(&p, msg, 120), -EPROTO);
	lay_frame(msg);
	msg[8] = 35;			/* into the header */
	assert_int_equal(packet(&p, msg, 120), -EPROTO);
	lay_frame(msg);
	memset(msg + 8, 0xff, 4);
	assert_int_equal(packet(&p, msg, 120), -EPROTO);
	lay_frame(msg);
	msg[0] = 2;
	assert_int_equal(packet(&p, msg, 120), -EOPNOTSUPP);
}

/* A size of zero must end the walk, not repeat it. */
static void records_that_lie_end_the_packet(void **state)
{
	static const struct {
		uint8_t at, value;
	} lies[] = {
		{ 44, 0 }, { 44, 11 }, { 44, 17 }, { 52, 11 }, { 52, 17 },
		{ 28, 35 }, { 32, 77 },
	};
	struct rndis_packet p;
	uint8_t msg[120];

	(void)state;
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		lay_frame(msg);
		msg[lies[i].at] = lies[i].value;
		assert_int_equal(packet(&p, msg, 120), -EPROTO);
	}
}

static void passes_over_records_it_does_not_know(void **state)
{
	struct rndis_packet p;
	uint8_t msg[120];

	(void)state;
	lay_frame(msg);
	msg[48] = 99;
	assert_int_equal(packet(&p, msg, 120), 0);
	assert_false(p.meta.has_checksum);
	lay_frame(msg);
	msg[48] = 9;			/* hash info: known, and of no use */
	msg[52] = 16;			/* without data */
	assert_int_equal(packet(&p, msg, 120), 0);
}

static void meta_data_make_the_way_and_back(void **state)
{
	const struct rndis_meta m = {
		.has_checksum = true, .checksum = 0x00220005,
		.has_lso = true, .lso = 0x423005b4,
		.has_vlan = true, .vlan = 0x6064,
		.has_hash = true, .hash = 0xdeadbeef,
	};
	uint8_t msg[RNDIS_PACKET_OVERHEAD + 14] = { 0 };
	struct rndis_packet p;
	size_t pad;

	(void)state;
	assert_int_equal(rndis_put_packet(msg, sizeof(msg), &m, 14, 1, &pad),
			 RNDIS_PACKET_OVERHEAD);
	assert_int_equal(packet(&p, msg, sizeof(msg)), 0);
	assert_int_equal(p.meta.checksum, m.checksum);
	assert_int_equal(p.meta.lso, m.lso);
	assert_int_equal(p.meta.vlan, m.vlan);
	assert_int_equal(p.meta.hash, m.hash);
	assert_int_equal(p.len, 14);
}

static void says_lso_as_the_host_reads_it(void **state)
{
	uint32_t w;

	(void)state;
	assert_int_equal(rndis_lso(&w, 1460, 34, false), 0);
	assert_int_equal(w, 0x422005b4);
	assert_int_equal(rndis_lso(&w, 1440, 54, true), 0);
	assert_int_equal(w, 0xc36005a0);
	assert_int_equal(rndis_lso(&w, 0, 34, false), -ERANGE);
	assert_int_equal(rndis_lso(&w, 1 << 20, 34, false), -ERANGE);
	assert_int_equal(rndis_lso(&w, 1460, 1024, false), -ERANGE);
}

static void a_vlans_bits_change_places(void **state)
{
	(void)state;
	/* priority 3, id 100 */
	assert_int_equal(rndis_vlan_word(0x6064), 0x643);
	assert_int_equal(rndis_vlan_tci(0x643), 0x6064);
	for (uint32_t tci = 0; tci < 0x10000; tci += 7)
		assert_int_equal(rndis_vlan_tci(rndis_vlan_word((uint16_t)tci)),
				 tci);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_requests),
		cmocka_unit_test(a_request_that_does_not_fit_is_refused),
		cmocka_unit_test(reads_the_answer_to_initialize),
		cmocka_unit_test(refuses_limits_that_cannot_be),
		cmocka_unit_test(reads_what_a_query_asked_for),
		cmocka_unit_test(refuses_pieces_outside_the_message),
		cmocka_unit_test(reads_indications),
		cmocka_unit_test(a_control_message_is_as_long_as_it_says),
		cmocka_unit_test(writes_a_frames_header),
		cmocka_unit_test(pads_to_the_hosts_alignment),
		cmocka_unit_test(reads_a_frame),
		cmocka_unit_test(a_frame_lies_inside_its_message),
		cmocka_unit_test(records_that_lie_end_the_packet),
		cmocka_unit_test(passes_over_records_it_does_not_know),
		cmocka_unit_test(meta_data_make_the_way_and_back),
		cmocka_unit_test(says_lso_as_the_host_reads_it),
		cmocka_unit_test(a_vlans_bits_change_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
