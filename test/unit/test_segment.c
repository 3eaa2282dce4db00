/* test/unit/test_segment.c - a frame is cut into the segments that were laid
 * out by hand. */
#include "hn/segment.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_frames.h"

static const struct vnet_hdr cut4 = {
	VNET_F_NEEDS_CSUM, VNET_GSO_TCPV4, 54, 2, 34, 16
};
static const struct vnet_hdr cut6 = {
	VNET_F_NEEDS_CSUM, VNET_GSO_TCPV6, 74, 2, 54, 16
};

static uint8_t *copy(const uint8_t *frame, size_t len)
{
	uint8_t *f = malloc(len ? len : 1);

	memcpy(f, frame, len);
	return f;
}

static void expect(struct segment *s, const uint8_t *want, size_t len,
		   uint8_t gso)
{
	uint8_t *out = malloc(len);
	struct vnet_hdr h;

	assert_int_equal(segment_next(s, out, &h), len);
	assert_memory_equal(out, want, len);
	assert_int_equal(h.flags, VNET_F_NEEDS_CSUM);
	assert_int_equal(h.gso_type, gso);
	assert_int_equal(h.csum_start, s->y.l4);
	assert_int_equal(h.csum_offset, 16);
	free(out);
}

static void expect_end(struct segment *s)
{
	struct vnet_hdr h;
	uint8_t none[1];

	assert_int_equal(segment_next(s, none, &h), 0);
}

static void cuts_ipv4_into_single_segments(void **state)
{
	uint8_t *f = copy(whole4, sizeof(whole4));
	struct segment s;

	(void)state;
	assert_int_equal(segment_begin(&s, f, sizeof(whole4), &cut4, 56, false),
			 0);
	assert_int_equal(segment_count(&s), 3);
	expect(&s, first4, sizeof(first4), VNET_GSO_NONE);
	expect(&s, second4, sizeof(second4), VNET_GSO_NONE);
	expect(&s, third4, sizeof(third4), VNET_GSO_NONE);
	expect_end(&s);
	free(f);
}

static void cuts_ipv6_into_single_segments(void **state)
{
	uint8_t *f = copy(whole6, sizeof(whole6));
	struct segment s;

	(void)state;
	assert_int_equal(segment_begin(&s, f, sizeof(whole6), &cut6, 1514,
				       false), 0);
	expect(&s, first6, sizeof(first6), VNET_GSO_NONE);
	expect(&s, second6, sizeof(second6), VNET_GSO_NONE);
	expect_end(&s);
	free(f);
}

/* Two segments fit in 58 bytes: 4 data bytes, then 1. */
static void pieces_hold_as_many_segments_as_fit(void **state)
{
	static const uint8_t big[58] = {
		ETH4, IP4(44, BYTES2(0xff, 0xfe), BYTES2(0x26, 0xcb)),
		TCP(BYTES4(0xff, 0xff, 0xff, 0xfe), F_ACK, BYTES2(0x14, 0x21)),
		'a', 'b', 'c', 'd',
	};
	uint8_t *f = copy(whole4, sizeof(whole4)), out[58];
	struct vnet_hdr h;
	struct segment s;

	(void)state;
	assert_int_equal(segment_begin(&s, f, sizeof(whole4), &cut4, 58, true),
			 0);
	assert_int_equal(segment_count(&s), 2);
	assert_int_equal(segment_next(&s, out, &h), sizeof(big));
	assert_memory_equal(out, big, sizeof(big));
	assert_int_equal(h.gso_type, VNET_GSO_TCPV4);
	assert_int_equal(h.gso_size, 2);
	assert_int_equal(h.hdr_len, 54);
	expect(&s, third4, sizeof(third4), VNET_GSO_NONE);
	expect_end(&s);
	free(f);
}

static void flags_go_to_the_segment_they_belong_to(void **state)
{
	static const uint8_t want[] = { F_ACK | F_CWR, F_ACK,
					F_ACK | F_PSH | F_FIN };
	uint8_t *f = copy(whole4, sizeof(whole4)), out[56];
	struct vnet_hdr h = cut4;
	struct segment s;

	(void)state;
	f[AT_FLAGS] |= F_FIN | F_CWR;
	h.gso_type |= VNET_GSO_ECN;
	assert_int_equal(segment_begin(&s, f, sizeof(whole4), &h, 56, false), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(segment_next(&s, out, &h) > 0);
		assert_int_equal(out[AT_FLAGS], want[i]);
		assert_int_equal(h.gso_type, VNET_GSO_NONE);
	}
	free(f);
}

static void only_a_piece_with_cwr_says_ecn(void **state)
{
	uint8_t two[59 + 3], out[58];
	struct vnet_hdr h = cut4;
	struct segment s;

	(void)state;
	memcpy(two, whole4, sizeof(whole4));
	memcpy(two + sizeof(whole4), "fgh", 3);
	two[17] = 48;				/* eight data bytes */
	two[AT_FLAGS] |= F_CWR;
	h.gso_type |= VNET_GSO_ECN;
	assert_int_equal(segment_begin(&s, two, sizeof(two), &h, 58, true), 0);
	assert_int_equal(segment_next(&s, out, &h), 58);
	assert_int_equal(h.gso_type, VNET_GSO_TCPV4 | VNET_GSO_ECN);
	assert_int_equal(segment_next(&s, out, &h), 58);
	assert_int_equal(h.gso_type, VNET_GSO_TCPV4);
	expect_end(&s);
}

static void each_piece_has_the_vlan_tag(void **state)
{
	uint8_t tagged[63], out[60];
	struct vnet_hdr h = cut4;
	struct segment s;

	(void)state;
	memcpy(tagged, whole4, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x07", 4);
	memcpy(tagged + 16, whole4 + 12, sizeof(whole4) - 12);
	h.csum_start += 4;
	assert_int_equal(segment_begin(&s, tagged, sizeof(tagged), &h, 60,
				       false), 0);
	assert_int_equal(segment_next(&s, out, &h), 60);
	assert_memory_equal(out, tagged, 16);
	assert_memory_equal(out + 16, first4 + 12, sizeof(first4) - 12);
	assert_int_equal(h.csum_start, 38);
}

static void padding_is_no_data(void **state)
{
	uint8_t padded[70] = { 0 };
	struct segment s;

	(void)state;
	memcpy(padded, whole4, sizeof(whole4));
	assert_int_equal(segment_begin(&s, padded, sizeof(padded), &cut4, 56,
				       false), 0);
	assert_int_equal(segment_count(&s), 3);
}

static void refuses_what_cannot_be_cut(void **state)
{
	struct vnet_hdr none = cut4, v6 = cut4;
	struct segment s;
	uint8_t *f = copy(whole4, sizeof(whole4));

	(void)state;
	none.gso_size = 0;
	v6.gso_type = VNET_GSO_TCPV6;
	assert_int_equal(segment_begin(&s, f, 59, &none, 56, false), -EINVAL);
	assert_int_equal(segment_begin(&s, f, 59, &v6, 56, false), -EOPNOTSUPP);
	assert_int_equal(segment_begin(&s, f, 59, &cut4, 55, false), -EMSGSIZE);
	f[46] = 0xf0;			/* a TCP header longer than the frame */
	assert_int_equal(segment_begin(&s, f, 59, &cut4, 56, false), -EINVAL);
	f[46] = 0x50;
	f[23] = 17;
	assert_int_equal(segment_begin(&s, f, 59, &cut4, 56, false),
			 -EOPNOTSUPP);
	free(f);
}

static void refuses_every_frame_without_data(void **state)
{
	(void)state;
	for (size_t n = 0; n < AT_DATA; n++) {
		uint8_t *f = copy(whole4, n);
		struct segment s;

		assert_true(segment_begin(&s, f, n, &cut4, 56, false) < 0);
		free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_ipv4_into_single_segments),
		cmocka_unit_test(cuts_ipv6_into_single_segments),
		cmocka_unit_test(pieces_hold_as_many_segments_as_fit),
		cmocka_unit_test(flags_go_to_the_segment_they_belong_to),
		cmocka_unit_test(only_a_piece_with_cwr_says_ecn),
		cmocka_unit_test(each_piece_has_the_vlan_tag),
		cmocka_unit_test(padding_is_no_data),
		cmocka_unit_test(refuses_what_cannot_be_cut),
		cmocka_unit_test(refuses_every_frame_without_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
