/* test/unit/test_frame.c - the sums and layers of frames. */
#include "hn/frame.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_frames.h"

/* By the book: each pair as it goes over the wire. */
static uint16_t book_sum(const uint8_t *p, size_t len, uint32_t start)
{
	uint64_t s = start;

	for (size_t i = 0; i < len; i++)
		s += (uint32_t)p[i] << (i % 2 ? 0 : 8);
	while (s > 0xffff)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

static void sums_every_length_as_the_book_does(void **state)
{
	(void)state;
	for (size_t n = 0; n < 70; n++) {
		uint8_t *p = calloc(1, n + 1);

		for (size_t i = 0; i < n; i++)
			p[i + 1] = (uint8_t)(255 - i * 37);
		/* From an odd address, too. */
		assert_int_equal(frame_fold(frame_add(0x1234, p + 1, n)),
				 book_sum(p + 1, n, 0x1234));
		free(p);
	}
}

static void sums_that_run_over_are_carried(void **state)
{
	enum { LEN = 65535 };
	uint8_t *p = malloc(LEN);

	(void)state;
	memset(p, 0xff, LEN);
	assert_int_equal(frame_fold(frame_add(0, p, LEN)), book_sum(p, LEN, 0));
	memset(p, 0, LEN);
	assert_int_equal(frame_fold(frame_add(0, p, LEN)), 0);
	free(p);
}

static void knows_the_example_of_the_rfc(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5,
					 0xf6, 0xf7 };

	(void)state;				/* RFC 1071, 3 */
	assert_int_equal(frame_fold(frame_add(0, bytes, sizeof(bytes))),
			 0xddf2);
}

static void finds_the_layers_behind_a_tag(void **state)
{
	uint8_t tagged[sizeof(first4) + FRAME_VLAN_TAG];
	struct frame_layers y;

	(void)state;
	memcpy(tagged, first4, 12);
	memcpy(tagged + 12, "\x81\x00\x00\x07", 4);
	memcpy(tagged + 16, first4 + 12, sizeof(first4) - 12);
	assert_int_equal(frame_layers(&y, tagged, sizeof(tagged),
				      FRAME_TYPE_AT), -EINVAL);
	assert_int_equal(frame_layers(&y, tagged, sizeof(tagged),
				      FRAME_TYPE_AT + FRAME_VLAN_TAG), 0);
	assert_int_equal(y.ip, 18);
	assert_int_equal(y.l4, 38);
	assert_int_equal(y.proto, FRAME_TCP);
	assert_int_equal(frame_tcp_len(&y, tagged), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_every_length_as_the_book_does),
		cmocka_unit_test(sums_that_run_over_are_carried),
		cmocka_unit_test(knows_the_example_of_the_rfc),
		cmocka_unit_test(finds_the_layers_behind_a_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
