/* test/unit/test_packet.c - descriptors and range lists against bytes laid out
 * by hand from struct vmpacket_descriptor and its relatives. */
#include "vmbus/packet.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A host's negotiate request: 56 bytes of payload. */
static const uint8_t negotiate[72] = {
	0x06, 0, 0x02, 0, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0x01, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0x1c, 0, 0, 0, 0, 0, 0, 0x03, 0, 0, 0x02, 0, 0x03, 0,
	0, 0, 0, 0, 0x01, 0, 0, 0, 0x03, 0, 0, 0, 0x03, 0, 0, 0,
	0x04, 0, 0, 0, 0x05, 0, 0, 0,
};

/* Two received frames in a buffer, set 0xcafe, completion wanted. */
static const uint8_t xfer[80] = {
	0x07, 0, 0x05, 0, 0x0a, 0, 0x01, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0,
	0xfe, 0xca, 0x55, 0xaa, 0x02, 0, 0, 0,
	0x78, 0, 0, 0, 0, 0, 0, 0,
	0xea, 0x05, 0, 0, 0x0e, 0x07, 0, 0,
	0x6b, 0, 0, 0,				/* NVSP 107 */
};

/* A header in one page and a payload that spans two. */
static const uint8_t gpa[64 + 40] = {
	0x09, 0, 0x08, 0, 0x0d, 0, 0x01, 0, 0x07, 0, 0, 0, 0, 0, 0, 0x80,
	0xde, 0xad, 0xbe, 0xef, 0x02, 0, 0, 0,
	0x2c, 0, 0, 0, 0x10, 0, 0, 0, 0x34, 0x12, 0, 0, 0, 0, 0, 0,
	0xea, 0x05, 0, 0, 0xf0, 0x0f, 0, 0,
	0x01, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0x01, 0, 0, 0,
	0x6b, 0, 0, 0,
};

static uint8_t *dup(const void *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	return copy;
}

/* Read a packet from an exact copy with one byte changed. */
static int get_changed(const uint8_t *bytes, size_t n, size_t at, uint8_t to)
{
	uint8_t *copy = dup(bytes, n);
	struct packet p;
	int err;

	copy[at] = to;
	err = packet_get(&p, copy, n);
	free(copy);
	return err;
}

static void reads_an_inband_packet(void **state)
{
	struct packet p;

	(void)state;
	assert_int_equal(packet_get(&p, negotiate, sizeof(negotiate)), 0);
	assert_int_equal(p.type, PACKET_INBAND);
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.xact, 0);
	assert_int_equal(p.ranges_len, 0);
	assert_int_equal(p.len, 56);
	assert_ptr_equal(p.data, negotiate + 16);
}

static void refuses_every_shorter_or_longer_packet(void **state)
{
	struct packet p;

	(void)state;
	for (size_t n = 0; n < sizeof(negotiate); n++) {
		uint8_t *copy = dup(negotiate, n);

		assert_int_equal(packet_get(&p, copy, n), -EBADMSG);
		free(copy);
	}
	uint8_t longer[80] = { 0 };

	memcpy(longer, negotiate, sizeof(negotiate));
	assert_int_equal(packet_get(&p, longer, sizeof(longer)), -EBADMSG);
}

static void refuses_unknown_types_flags_and_offsets(void **state)
{
	(void)state;
	for (int type = 0; type < 256; type++)
		assert_int_equal(get_changed(negotiate, 72, 0, (uint8_t)type),
				 type >= 6 && type <= 11 ? 0 : -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 1, 1), -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 6, 1), 0);
	for (int bit = 1; bit < 8; bit++)
		assert_int_equal(get_changed(negotiate, 72, 6,
					     (uint8_t)(1 << bit)), -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 7, 0x80), -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 2, 0), -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 2, 1), -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 2, 9), 0);	/* no payload */
	assert_int_equal(get_changed(negotiate, 72, 2, 10), -EBADMSG);
	assert_int_equal(get_changed(negotiate, 72, 3, 0xff), -EBADMSG);
}

static void reads_transfer_page_ranges(void **state)
{
	struct packet_xfer x[2];
	struct packet p;
	uint16_t set;

	(void)state;
	assert_int_equal(packet_get(&p, xfer, sizeof(xfer)), 0);
	assert_int_equal(p.flags, PACKET_WANT_COMPLETION);
	assert_int_equal(p.xact, 42);
	assert_int_equal(packet_xfer_get(&set, x, 2, &p), 2);
	assert_int_equal(set, 0xcafe);
	assert_int_equal(x[0].len, 120);
	assert_int_equal(x[0].offset, 0);
	assert_int_equal(x[1].len, 1514);
	assert_int_equal(x[1].offset, 1806);
	assert_int_equal(p.len, 40);
	assert_int_equal(p.data[0], 107);
	assert_int_equal(packet_xfer_get(&set, x, 1, &p), -EBADMSG);
}

static int xfer_with_count(uint32_t count)
{
	struct packet_xfer x[8];
	uint8_t copy[80];
	struct packet p;
	uint16_t set;

	memcpy(copy, xfer, sizeof(copy));
	for (int i = 0; i < 4; i++)
		copy[20 + i] = (uint8_t)(count >> 8 * i);
	assert_int_equal(packet_get(&p, copy, sizeof(copy)), 0);
	return packet_xfer_get(&set, x, 8, &p);
}

static void refuses_impossible_transfer_page_counts(void **state)
{
	(void)state;
	assert_int_equal(xfer_with_count(0), -EBADMSG);
	assert_int_equal(xfer_with_count(1), 1);
	assert_int_equal(xfer_with_count(3), -EBADMSG);
	assert_int_equal(xfer_with_count(0xffffffff), -EBADMSG);
	assert_int_equal(xfer_with_count(0x20000001), -EBADMSG);
}

static void reads_gpa_ranges(void **state)
{
	struct packet_gpa g[4];
	struct packet p;
	struct rd r;

	(void)state;
	assert_int_equal(packet_get(&p, gpa, sizeof(gpa)), 0);
	assert_int_equal(p.xact, 0x8000000000000007ull);
	assert_int_equal(packet_gpa_get(g, 4, &p), 2);
	assert_int_equal(g[0].len, 44);
	assert_int_equal(g[0].offset, 16);
	assert_int_equal(g[0].n_pfns, 1);
	assert_int_equal(g[1].len, 1514);
	assert_int_equal(g[1].offset, 4080);
	assert_int_equal(g[1].n_pfns, 2);
	r = rd_of(g[1].pfns, 16);
	assert_int_equal(rd_le64(&r), 1);
	assert_int_equal(rd_le64(&r), 0x100000002ull);
}

static void refuses_gpa_ranges_that_do_not_fit(void **state)
{
	struct packet_gpa g[4];
	uint8_t copy[sizeof(gpa)];
	struct packet p;

	(void)state;
	memcpy(copy, gpa, sizeof(copy));
	assert_int_equal(packet_get(&p, copy, sizeof(copy)), 0);
	copy[20] = 0;
	assert_int_equal(packet_gpa_get(g, 4, &p), -EBADMSG);
	copy[20] = 3;
	assert_int_equal(packet_gpa_get(g, 4, &p), -EBADMSG);
	copy[20] = 2;
	assert_int_equal(packet_gpa_get(g, 1, &p), -EBADMSG);
	copy[43] = 0xff;		/* a range of nearly 4 GiB */
	assert_int_equal(packet_gpa_get(g, 4, &p), -EBADMSG);
	copy[43] = 0;
	copy[45] = 0x10;		/* offset 4096 + ... */
	assert_int_equal(packet_gpa_get(g, 4, &p), -EBADMSG);
	copy[44] = copy[45] = copy[46] = copy[47] = 0xff;
	assert_int_equal(packet_gpa_get(g, 4, &p), -EBADMSG);
}

static void writes_what_the_sources_lay_out(void **state)
{
	struct packet p = {
		.type = PACKET_GPA_DIRECT,
		.flags = PACKET_WANT_COMPLETION,
		.xact = 0x8000000000000007ull,
		.ranges = gpa + 16,
		.ranges_len = 48,
		.data = gpa + 64,
		.len = 37,		/* padded to 40 */
	};
	uint8_t *out = malloc(sizeof(gpa));
	struct wr w = wr_of(out, sizeof(gpa));

	(void)state;
	assert_int_equal(packet_size(&p), sizeof(gpa));
	packet_put(&w, &p);
	assert_false(w.bad);
	assert_int_equal(w.len, sizeof(gpa));
	assert_memory_equal(out, gpa, sizeof(gpa));
	free(out);
}

static void writes_nothing_that_does_not_fit(void **state)
{
	struct packet p = { .type = PACKET_INBAND, .data = negotiate, .len = 56 };
	uint8_t desc[PACKET_DESC];

	(void)state;
	for (size_t n = 0; n < 72; n++) {
		uint8_t *out = malloc(n ? n : 1);
		struct wr w = wr_of(out, n);

		packet_put(&w, &p);
		assert_true(w.bad);
		assert_int_equal(w.len, 0);
		free(out);
	}
	p.len = 65535 * 8 - 16;
	assert_int_equal(packet_desc_put(desc, &p), 0);
	p.len++;
	assert_int_equal(packet_desc_put(desc, &p), -EMSGSIZE);
	p.len = SIZE_MAX - 3;
	assert_int_equal(packet_desc_put(desc, &p), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_inband_packet),
		cmocka_unit_test(refuses_every_shorter_or_longer_packet),
		cmocka_unit_test(refuses_unknown_types_flags_and_offsets),
		cmocka_unit_test(reads_transfer_page_ranges),
		cmocka_unit_test(refuses_impossible_transfer_page_counts),
		cmocka_unit_test(reads_gpa_ranges),
		cmocka_unit_test(refuses_gpa_ranges_that_do_not_fit),
		cmocka_unit_test(writes_what_the_sources_lay_out),
		cmocka_unit_test(writes_nothing_that_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
