/* test/unit/test_utf16.c - UTF-16LE and UTF-8, all planes, broken input. */
#include "base/utf16.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Convert from an exact-size copy, so that ASan sees a read past it. */
static ssize_t to_utf8(char *dst, size_t cap, const char *src, size_t n,
		       enum utf16_rule rule)
{
	uint8_t *exact = malloc(n ? n : 1);
	ssize_t len;

	memcpy(exact, src, n);
	len = utf16_to_utf8(dst, cap, exact, n, rule);
	free(exact);
	return len;
}

#define TO_UTF8(dst, src, rule) \
	to_utf8(dst, sizeof(dst), src, sizeof(src) - 1, rule)

static void each_code_point_of_all_planes_survives_a_round_trip(void **state)
{
	(void)state;
	for (uint32_t cp = 1; cp <= 0x10ffff; cp++) {
		uint8_t units[4], back[6];
		char text[8];
		size_t n = 2;

		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		if (cp >= 0x10000) {
			uint32_t hi = 0xd800 + ((cp - 0x10000) >> 10);
			uint32_t lo = 0xdc00 + ((cp - 0x10000) & 0x3ff);

			units[0] = (uint8_t)hi;
			units[1] = (uint8_t)(hi >> 8);
			units[2] = (uint8_t)lo;
			units[3] = (uint8_t)(lo >> 8);
			n = 4;
		} else {
			units[0] = (uint8_t)cp;
			units[1] = (uint8_t)(cp >> 8);
		}
		assert_true(utf16_to_utf8(text, sizeof(text), units, n,
					  UTF16_STRICT) > 0);
		assert_int_equal(utf16_from_utf8(back, sizeof(back), text),
				 n + 2);
		assert_memory_equal(back, units, n);
		assert_memory_equal(back + n, "\0\0", 2);
	}
}

static void stops_at_the_first_nul_unit(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(TO_UTF8(text, "a\0b\0\0\0c\0", UTF16_STRICT), 2);
	assert_string_equal(text, "ab");
	assert_int_equal(to_utf8(text, sizeof(text), "", 0, UTF16_STRICT), 0);
	assert_string_equal(text, "");
}

static void lone_surrogates_are_refused_or_replaced_by_rule(void **state)
{
	static const struct {
		const char units[6];
		const char *replaced;
	} lone[] = {
		{ "a\0\x00\xd8" "b", "a\xef\xbf\xbd" "b" },	/* high alone */
		{ "a\0\x00\xdc" "b", "a\xef\xbf\xbd" "b" },	/* low alone */
		{ "a\0b\0\x00\xd8", "ab\xef\xbf\xbd" },		/* high at the end */
		{ "\x00\xdc\x00\xd8" "b", "\xef\xbf\xbd\xef\xbf\xbd" "b" },
	};
	char text[16];

	(void)state;
	for (size_t i = 0; i < sizeof(lone) / sizeof(lone[0]); i++) {
		assert_int_equal(to_utf8(text, sizeof(text), lone[i].units, 6,
					 UTF16_STRICT), -EILSEQ);
		assert_string_equal(text, "");
		assert_true(to_utf8(text, sizeof(text), lone[i].units, 6,
				    UTF16_REPLACE) > 0);
		assert_string_equal(text, lone[i].replaced);
	}
}

static void half_a_unit_is_an_error_unless_replacing(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(TO_UTF8(text, "a\0b", UTF16_STRICT), -EILSEQ);
	assert_int_equal(TO_UTF8(text, "a\0b", UTF16_REPLACE), 1);
	assert_string_equal(text, "a");
}

static void what_does_not_fit_is_an_error_and_never_cut(void **state)
{
	char text[3], none[1];
	uint8_t units[4];

	(void)state;
	assert_int_equal(TO_UTF8(text, "a\0b\0", UTF16_STRICT), 2);
	assert_int_equal(TO_UTF8(text, "a\0b\0c\0", UTF16_STRICT), -EMSGSIZE);
	assert_string_equal(text, "");
	assert_int_equal(TO_UTF8(none, "a\0", UTF16_STRICT), -EMSGSIZE);
	assert_int_equal(TO_UTF8(none, "\0\0", UTF16_STRICT), 0);
	assert_int_equal(utf16_from_utf8(units, sizeof(units), "a"), 4);
	assert_int_equal(utf16_from_utf8(units, sizeof(units), "ab"), -EMSGSIZE);
	assert_int_equal(utf16_from_utf8(units, 0, ""), -EMSGSIZE);
}

static void bad_utf8_is_refused(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xc3", "\xc0\x80",		/* stray, cut, overlong */
		"\xed\xa0\x80",				/* a surrogate */
		"\xf4\x90\x80\x80",			/* above U+10FFFF */
		"\xff",
	};
	uint8_t units[32];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(utf16_from_utf8(units, sizeof(units), bad[i]),
				 -EILSEQ);
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
	}
	assert_true(utf8_valid("\xf0\x9f\x90\xa7", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_point_of_all_planes_survives_a_round_trip),
		cmocka_unit_test(stops_at_the_first_nul_unit),
		cmocka_unit_test(lone_surrogates_are_refused_or_replaced_by_rule),
		cmocka_unit_test(half_a_unit_is_an_error_unless_replacing),
		cmocka_unit_test(what_does_not_fit_is_an_error_and_never_cut),
		cmocka_unit_test(bad_utf8_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
