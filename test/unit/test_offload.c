/* test/unit/test_offload.c - virtio-net headers and packet information. The
 * frames were laid out by hand; their sums were computed by hand, too. */
#include "hn/offload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 10.0.0.1:1 to 10.0.0.2:2, "hi": UDP. Sums: IP 0x66cd, UDP 0x836b; without
 * data the pseudo header alone sums to 0x141e (0x0a00+1+0x0a00+2+17+10). */
static const uint8_t udp4[44] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
	0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0x66, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2,
	0, 1, 0, 2, 0, 10, 0x83, 0x6b, 'h', 'i',
};

/* The same ends over TCP with 4 bytes of data; sums left open. */
static const uint8_t tcp4[58] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
	0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0x26, 0xca, 10, 0, 0, 1,
	10, 0, 0, 2,
	0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
	'd', 'a', 't', 'a',
};

static const uint8_t tcp6[78] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
	0x60, 0, 0, 0, 0, 24, 6, 64,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
	'd', 'a', 't', 'a',
};

/* A sum by the book, for what was not computed by hand: over the bytes, each
 * pair as it goes over the wire. */
static uint16_t book_sum(const uint8_t *p, size_t len, uint32_t start)
{
	uint64_t s = start;

	for (size_t i = 0; i < len; i++)
		s += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (s > 0xffff)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static uint16_t at16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A frame of its own exact size; what is left of it is compared by the test. */
static uint8_t *copy(const uint8_t *frame, size_t len)
{
	uint8_t *f = malloc(len ? len : 1);

	memcpy(f, frame, len);
	return f;
}

static void headers_are_as_virtio_has_them(void **state)
{
	static const uint8_t raw[10] = { 1, 4, 0x42, 0, 0xb4, 5, 0x22, 0, 16, 0 };
	uint8_t out[10];
	struct vnet_hdr h;

	(void)state;
	vnet_get(&h, raw);
	assert_int_equal(h.flags, VNET_F_NEEDS_CSUM);
	assert_int_equal(h.gso_type, VNET_GSO_TCPV6);
	assert_int_equal(h.hdr_len, 66);
	assert_int_equal(h.gso_size, 1460);
	assert_int_equal(h.csum_start, 34);
	assert_int_equal(h.csum_offset, 16);
	vnet_put(out, &h);
	assert_memory_equal(out, raw, sizeof(out));
}

static void a_plain_frame_has_nothing_to_say(void **state)
{
	const struct vnet_hdr h = { 0 };
	uint8_t *f = copy(udp4, sizeof(udp4)), *p = f;
	size_t len = sizeof(udp4);
	struct rndis_meta m;

	(void)state;
	assert_int_equal(offload_to_host(&m, &p, &len, &h, true), 0);
	assert_false(m.has_checksum || m.has_lso || m.has_vlan);
	assert_ptr_equal(p, f);
	assert_memory_equal(f, udp4, sizeof(udp4));
	free(f);
}

static void asks_the_host_for_a_sum(void **state)
{
	const struct vnet_hdr h4 = { .flags = VNET_F_NEEDS_CSUM,
				     .csum_start = 34, .csum_offset = 6 };
	const struct vnet_hdr h6 = { .flags = VNET_F_NEEDS_CSUM,
				     .csum_start = 54, .csum_offset = 16 };
	uint8_t *f = copy(udp4, sizeof(udp4)), *p = f;
	size_t len = sizeof(udp4);
	struct rndis_meta m;

	(void)state;
	assert_int_equal(offload_to_host(&m, &p, &len, &h4, true), 0);
	assert_true(m.has_checksum);
	assert_int_equal(m.checksum, RNDIS_TX_IPV4 | RNDIS_TX_UDP | 34 << 16);
	free(f);
	p = f = copy(tcp6, sizeof(tcp6));
	len = sizeof(tcp6);
	assert_int_equal(offload_to_host(&m, &p, &len, &h6, true), 0);
	assert_int_equal(m.checksum, RNDIS_TX_IPV6 | RNDIS_TX_TCP | 54 << 16);
	free(f);
}

/* The TAP leaves the pseudo header's sum in the field. */
static void sums_itself_for_a_host_that_does_not(void **state)
{
	const struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM,
				    .csum_start = 34, .csum_offset = 6 };
	uint8_t *f = copy(udp4, sizeof(udp4)), *p = f;
	size_t len = sizeof(udp4);
	struct rndis_meta m;

	(void)state;
	f[40] = 0x14;
	f[41] = 0x1e;
	assert_int_equal(offload_to_host(&m, &p, &len, &h, false), 0);
	assert_false(m.has_checksum);
	assert_memory_equal(f, udp4, sizeof(udp4));
	free(f);
}

static void refuses_headers_that_do_not_fit_the_frame(void **state)
{
	const struct vnet_hdr bad[] = {
		{ .flags = 1, .csum_start = 44, .csum_offset = 0 },
		{ .flags = 1, .csum_start = 34, .csum_offset = 9 },
		{ .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff },
		{ .gso_type = VNET_GSO_TCPV4, .gso_size = 0 },
		{ .gso_type = VNET_GSO_TCPV6, .gso_size = 1000 },
		{ .gso_type = 3, .gso_size = 1000 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const uint8_t *from = bad[i].flags ? udp4 : tcp4;
		size_t len = bad[i].flags ? sizeof(udp4) : sizeof(tcp4);
		uint8_t *f = copy(from, len), *p = f;
		struct rndis_meta m;

		assert_true(offload_to_host(&m, &p, &len, &bad[i], true) < 0);
		free(f);
	}
}

static void prepares_a_frame_for_segmentation(void **state)
{
	const struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM,
				    .gso_type = VNET_GSO_TCPV4 | VNET_GSO_ECN,
				    .gso_size = 1460, .csum_start = 34,
				    .csum_offset = 16 };
	uint8_t *f = copy(tcp4, sizeof(tcp4)), *p = f;
	size_t len = sizeof(tcp4);
	struct rndis_meta m;

	(void)state;
	assert_int_equal(offload_to_host(&m, &p, &len, &h, true), 0);
	assert_true(m.has_lso);
	assert_int_equal(m.lso, 0x422005b4);
	assert_int_equal(at16(f + 16), 0);	/* total length */
	assert_int_equal(at16(f + 24), 0);	/* header sum */
	/* 0x0a00 + 1 + 0x0a00 + 2 + 6 */
	assert_int_equal(at16(f + 50), 0x1409);
	free(f);
	p = f = copy(tcp4, sizeof(tcp4));
	len = sizeof(tcp4);
	assert_int_equal(offload_to_host(&m, &p, &len, &h, false), -EOPNOTSUPP);
	free(f);
}

static void prepares_ipv6_too(void **state)
{
	const struct vnet_hdr h = { .gso_type = VNET_GSO_TCPV6,
				    .gso_size = 1440, .csum_start = 54,
				    .csum_offset = 16 };
	uint8_t *f = copy(tcp6, sizeof(tcp6)), *p = f;
	size_t len = sizeof(tcp6);
	struct rndis_meta m;

	(void)state;
	assert_int_equal(offload_to_host(&m, &p, &len, &h, true), 0);
	assert_int_equal(m.lso, 0xc36005a0);
	assert_int_equal(at16(f + 18), 0);
	assert_int_equal(at16(f + 70), book_sum(tcp6 + 22, 32, 6));
	free(f);
}

static void takes_a_vlan_tag_out_and_puts_it_back(void **state)
{
	const struct vnet_hdr h = { .flags = VNET_F_NEEDS_CSUM,
				    .csum_start = 38, .csum_offset = 6 };
	uint8_t *f = malloc(sizeof(udp4) + 4), *p;
	size_t len = sizeof(udp4);
	struct rndis_meta m;

	(void)state;
	memcpy(f + 4, udp4, sizeof(udp4));
	p = offload_push_vlan(f + 4, 0x6064);
	assert_ptr_equal(p, f);
	assert_memory_equal(f + 12, "\x81\x00\x60\x64\x08\x00", 6);
	len += 4;
	assert_int_equal(offload_to_host(&m, &p, &len, &h, true), 0);
	assert_true(m.has_vlan);
	assert_int_equal(m.vlan, 0x6064);
	assert_int_equal(len, sizeof(udp4));
	assert_memory_equal(p, udp4, sizeof(udp4));
	assert_int_equal(m.checksum >> 16, 34);
	free(f);
}

static void trusts_what_the_host_has_verified(void **state)
{
	struct rndis_meta m = { .has_checksum = true,
				.checksum = RNDIS_RX_TCP_OK | RNDIS_RX_IP_OK };
	uint8_t *f = copy(udp4, sizeof(udp4));
	struct vnet_hdr h;

	(void)state;
	offload_to_guest(&h, f, sizeof(udp4), &m);
	assert_int_equal(h.flags, VNET_F_DATA_VALID);
	m.checksum |= RNDIS_RX_UDP_BAD;
	offload_to_guest(&h, f, sizeof(udp4), &m);
	assert_int_equal(h.flags, 0);
	m.has_checksum = false;
	offload_to_guest(&h, f, sizeof(udp4), &m);
	assert_int_equal(h.flags, 0);
	assert_memory_equal(f, udp4, sizeof(udp4));
	free(f);
}

/* From a guest on the same host, which left the sums to its own NIC. */
static void makes_the_sums_that_a_local_sender_left_out(void **state)
{
	const struct rndis_meta m = {
		.has_checksum = true,
		.checksum = RNDIS_RX_UDP_OK | RNDIS_RX_IP_OK |
			    RNDIS_RX_TCP_VALUE_INVALID |
			    RNDIS_RX_IP_VALUE_INVALID,
	};
	uint8_t *f = copy(udp4, sizeof(udp4));
	struct vnet_hdr h;

	(void)state;
	f[24] = f[25] = f[40] = f[41] = 0xaa;
	offload_to_guest(&h, f, sizeof(udp4), &m);
	assert_int_equal(h.flags, VNET_F_DATA_VALID);
	assert_memory_equal(f, udp4, sizeof(udp4));
	free(f);
}

static void fragments_and_strangers_are_left_alone(void **state)
{
	const struct rndis_meta m = {
		.has_checksum = true,
		.checksum = RNDIS_RX_UDP_OK | RNDIS_RX_TCP_VALUE_INVALID,
	};
	uint8_t *f = copy(udp4, sizeof(udp4));
	uint8_t was[sizeof(udp4)];
	struct vnet_hdr h;

	(void)state;
	f[20] = 0x20;			/* more fragments */
	memcpy(was, f, sizeof(was));
	offload_to_guest(&h, f, sizeof(udp4), &m);
	assert_int_equal(h.flags, 0);
	assert_memory_equal(f, was, sizeof(was));
	f[20] = 0;
	f[12] = 0x88;			/* no IP */
	offload_to_guest(&h, f, sizeof(udp4), &m);
	assert_int_equal(h.flags, 0);
	free(f);
}

/* Every cut and every byte changed: nothing is read or written outside. */
static void survives_frames_that_lie(void **state)
{
	static const uint8_t *const frames[] = { udp4, tcp4, tcp6 };
	static const size_t lens[] = { sizeof(udp4), sizeof(tcp4),
				       sizeof(tcp6) };
	const struct rndis_meta m = { .has_checksum = true,
				      .checksum = 0x1b8 };
	const struct vnet_hdr h = { .flags = 1, .gso_type = 1, .gso_size = 9,
				    .csum_start = 34, .csum_offset = 16 };

	(void)state;
	for (unsigned i = 0; i < 3 * 80; i++) {
		size_t full = lens[i / 80], at = i % 80;

		for (unsigned v = 0; at < full && v < 256; v++) {
			size_t len = v == 255 ? at : full;
			uint8_t *f = copy(frames[i / 80], len), *p = f;
			struct rndis_meta out;
			struct vnet_hdr back;

			if (at < len)
				f[at] = (uint8_t)v;
			offload_to_guest(&back, f, len, &m);
			offload_to_host(&out, &p, &len, &h, true);
			free(f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_as_virtio_has_them),
		cmocka_unit_test(a_plain_frame_has_nothing_to_say),
		cmocka_unit_test(asks_the_host_for_a_sum),
		cmocka_unit_test(sums_itself_for_a_host_that_does_not),
		cmocka_unit_test(refuses_headers_that_do_not_fit_the_frame),
		cmocka_unit_test(prepares_a_frame_for_segmentation),
		cmocka_unit_test(prepares_ipv6_too),
		cmocka_unit_test(takes_a_vlan_tag_out_and_puts_it_back),
		cmocka_unit_test(trusts_what_the_host_has_verified),
		cmocka_unit_test(makes_the_sums_that_a_local_sender_left_out),
		cmocka_unit_test(fragments_and_strangers_are_left_alone),
		cmocka_unit_test(survives_frames_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
