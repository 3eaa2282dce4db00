/* test/unit/test_host_frame.c - sums and segments of frames, against packets
 * laid out by hand; sums are checked by adding up, as a receiver does. */
#include "host/host_frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ETH = 14, IP4 = 20, IP6 = 40, TCP_LEN = 32, ROOM = 66000 };

/* A receiver's arithmetic: everything added up, carries folded in. */
static uint32_t total(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static bool ip4_sums_are_right(const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + ETH;
	size_t l4 = len - ETH - IP4;
	uint32_t sum = total((uint32_t)(ip[9] + l4), ip + 12, 8);

	return total(0, ip, IP4) == 0xffff &&
	       total(sum, ip + IP4, l4) == 0xffff;
}

static bool ip6_sum_is_right(const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + ETH;
	size_t l4 = len - ETH - IP6;
	uint32_t sum = total((uint32_t)(ip[6] + l4), ip + 8, 32);

	return total(sum, ip + IP6, l4) == 0xffff;
}

/* TCP as a guest gives it for segmentation: no lengths, the sum of the pseudo
 * header without one. */
static struct host_frame tcp(uint8_t *buf, bool ipv6, size_t payload)
{
	size_t ip = ipv6 ? IP6 : IP4, len = ETH + ip + TCP_LEN + payload;
	uint8_t *p = buf + ETH, *t = p + ip;
	uint32_t sum;

	memset(buf, 0, len);
	memcpy(buf, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12);
	memcpy(buf + 12, ipv6 ? "\x86\xdd" : "\x08\x00", 2);
	if (ipv6) {
		memcpy(p, "\x60\0\0\0\0\0\x06\x40", 8);
		memset(p + 8, 0xfd, 32);
	} else {
		memcpy(p, "\x45\0\0\0\x12\x34\x40\0\x40\x06\0\0", 12);
		memcpy(p + 12, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	}
	memcpy(t, "\x13\x88\x13\x89\xff\xff\xff\xf0\0\0\0\x01\x80\x99", 14);
	sum = ipv6 ? total(6, p + 8, 32) : total(6, p + 12, 8);
	t[16] = (uint8_t)(sum >> 8);
	t[17] = (uint8_t)sum;
	for (size_t i = 0; i < payload; i++)
		t[TCP_LEN + i] = (uint8_t)(i * 7 + 1);
	return (struct host_frame){ .data = buf, .len = len };
}

struct seen {
	unsigned n;
	size_t bytes;
	bool right, ipv6;
	uint32_t seq[64];
	uint16_t id[64];
	uint8_t flags[64];
	size_t len[64];
	uint8_t payload[ROOM];
};

static int see(void *arg, const struct host_frame *f)
{
	struct seen *s = arg;
	size_t l4 = ETH + (s->ipv6 ? IP6 : IP4), at = l4 + TCP_LEN;
	const uint8_t *t = f->data + l4;

	s->seq[s->n] = (uint32_t)t[4] << 24 | (uint32_t)t[5] << 16 |
		       (uint32_t)t[6] << 8 | t[7];
	s->id[s->n] = (uint16_t)(f->data[ETH + 4] << 8 | f->data[ETH + 5]);
	s->flags[s->n] = t[13];
	s->len[s->n++] = f->len;
	s->right &= s->ipv6 ? ip6_sum_is_right(f->data, f->len) :
			      ip4_sums_are_right(f->data, f->len);
	memcpy(s->payload + s->bytes, f->data + at, f->len - at);
	s->bytes += f->len - at;
	return 0;
}

static void cuts_into_segments_that_add_up(void **state)
{
	static struct seen s;
	static uint8_t buf[ROOM];

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct host_frame f = tcp(buf, ipv6, 4000);
		size_t at = ETH + (size_t)(ipv6 ? IP6 : IP4) + TCP_LEN;

		assert_int_equal(host_frame_leave_segments(&f, 1400, ipv6), 0);
		assert_int_equal(f.mss, 1400);
		memset(&s, 0, sizeof(s));
		s.right = true;
		s.ipv6 = ipv6;
		assert_int_equal(host_frame_segment(&f, see, &s), 0);
		assert_int_equal(s.n, 3);
		assert_true(s.right);
		assert_int_equal(s.bytes, 4000);
		assert_memory_equal(s.payload, buf + at, 4000);
		assert_int_equal(s.len[0], at + 1400);
		assert_int_equal(s.len[2], at + 1200);
		assert_int_equal(s.seq[0], 0xfffffff0);
		assert_int_equal(s.seq[1], 0xfffffff0u + 1400u);
		/* FIN and PSH end the last one, CWR stays with the first. */
		assert_int_equal(s.flags[0], 0x90);
		assert_int_equal(s.flags[1], 0x10);
		assert_int_equal(s.flags[2], 0x19);
		if (!ipv6)
			assert_int_equal(s.id[2], 0x1236);
	}
}

static void a_short_one_is_its_own_segment(void **state)
{
	static uint8_t buf[ROOM];
	struct host_frame f = tcp(buf, false, 1400);
	uint16_t sum;

	(void)state;
	assert_int_equal(host_frame_leave_segments(&f, 1400, false), 0);
	assert_int_equal(f.mss, 0);
	assert_true(f.partial);
	sum = host_frame_sum(&f);
	buf[f.sum_start + f.sum_offset] = (uint8_t)(sum >> 8);
	buf[f.sum_start + f.sum_offset + 1] = (uint8_t)sum;
	assert_true(ip4_sums_are_right(buf, f.len));
}

static void the_longest_there_is_can_be_cut(void **state)
{
	static struct seen s;
	static uint8_t buf[ROOM];
	struct host_frame f = tcp(buf, false, 65535 - IP4 - TCP_LEN);

	(void)state;
	assert_int_equal(host_frame_leave_segments(&f, 1448, false), 0);
	memset(&s, 0, sizeof(s));
	s.right = true;
	assert_int_equal(host_frame_segment(&f, see, &s), 0);
	assert_true(s.right);
	assert_int_equal(s.bytes, 65535 - IP4 - TCP_LEN);
	f = tcp(buf, false, 65536 - IP4 - TCP_LEN);
	assert_int_equal(host_frame_leave_segments(&f, 1448, false), -EINVAL);
}

static void what_is_no_tcp_is_not_cut(void **state)
{
	static uint8_t buf[ROOM];
	struct host_frame f = tcp(buf, false, 3000);

	(void)state;
	assert_int_equal(host_frame_leave_segments(&f, 0, false), -EINVAL);
	assert_int_equal(host_frame_leave_segments(&f, 1000, true), -EINVAL);
	buf[ETH + 9] = 17;
	assert_int_equal(host_frame_leave_segments(&f, 1000, false), -EINVAL);
	buf[ETH + 9] = 6;
	buf[ETH + 6] = 0x20;			/* a fragment */
	assert_int_equal(host_frame_leave_segments(&f, 1000, false), -EINVAL);
}

/* Every shorter frame, in a block that ends with it. */
static void headers_that_end_early_are_refused(void **state)
{
	static uint8_t buf[ROOM];

	(void)state;
	for (int ipv6 = 0; ipv6 < 2; ipv6++) {
		struct host_frame whole = tcp(buf, ipv6, 0);

		for (size_t n = 0; n < whole.len; n++) {
			struct host_frame f = { .len = n };

			f.data = malloc(n ? n : 1);
			assert_non_null(f.data);
			memcpy(f.data, buf, n);
			assert_int_equal(host_frame_leave_sum(&f), -EINVAL);
			assert_false(host_frame_is_syn(&f));
			assert_int_equal(host_frame_tci(&f), -1);
			free(f.data);
		}
	}
}

static void a_tag_moves_what_is_behind_it(void **state)
{
	static uint8_t room[ROOM];
	uint8_t *buf = room + HOST_FRAME_TAG;
	struct host_frame f = tcp(buf, false, 10);
	uint16_t start;

	(void)state;
	assert_int_equal(host_frame_leave_sum(&f), 0);
	start = f.sum_start;
	host_frame_push_tag(&f, 0x7064);
	assert_int_equal(host_frame_tci(&f), 0x7064);
	assert_int_equal(f.sum_start, start + 4);
	assert_memory_equal(f.data, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x81\0", 14);
	assert_memory_equal(f.data + 16, "\x08\0\x45", 3);
	assert_int_equal(host_frame_leave_sum(&f), 0);	/* seen through it */
	assert_int_equal(f.sum_start, start + 4);
}

static void knows_a_first_packet(void **state)
{
	static uint8_t buf[ROOM];
	struct host_frame f = tcp(buf, true, 0);

	(void)state;
	assert_false(host_frame_is_syn(&f));
	buf[ETH + IP6 + 13] = 0x12;
	assert_true(host_frame_is_syn(&f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_into_segments_that_add_up),
		cmocka_unit_test(a_short_one_is_its_own_segment),
		cmocka_unit_test(the_longest_there_is_can_be_cut),
		cmocka_unit_test(what_is_no_tcp_is_not_cut),
		cmocka_unit_test(headers_that_end_early_are_refused),
		cmocka_unit_test(a_tag_moves_what_is_behind_it),
		cmocka_unit_test(knows_a_first_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
