/* test/unit/test_log.c - levels and quoting of foreign text. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void quotes_what_could_forge_a_line_or_drive_a_terminal(void **state)
{
	char out[64];

	(void)state;
	assert_string_equal(log_quote(out, sizeof(out), "plain", 5),
			    "\"plain\"");
	assert_string_equal(log_quote(out, sizeof(out), "a\nb\x1b[2J\x7f", 8),
			    "\"a\\x0ab\\x1b[2J\\x7f\"");
	assert_string_equal(log_quote(out, sizeof(out), "\"\\", 2),
			    "\"\\x22\\x5c\"");
	assert_string_equal(log_quote(out, sizeof(out), "\xc3\xa9\xff", 3),
			    "\"\xc3\xa9\\xff\"");
}

static void cuts_long_text_at_a_whole_character(void **state)
{
	char out[12];

	(void)state;
	assert_string_equal(log_quote(out, sizeof(out), "0123456789", 10),
			    "\"012345...\"");
	assert_string_equal(log_quote(out, sizeof(out), "01234\xc3\xa9xyz", 10),
			    "\"01234...\"");
	assert_string_equal(log_quote(out, 8, "\n\n\n", 3), "\"...\"");
}

static void stops_at_a_nul_and_at_len(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(log_quote(out, sizeof(out), "ab\0cd", 5), "\"ab\"");
	assert_string_equal(log_quote(out, sizeof(out), "abcd", 2), "\"ab\"");
}

static void note_line(void *arg, enum log_level level, const char *line)
{
	char *last = arg;

	sprintf(last, "%d %s", (int)level, line);
}

static void a_captured_line_has_its_level_and_text(void **state)
{
	char last[128] = "";

	(void)state;
	log_capture(note_line, last);
	log_warn("%s failed: %d", "x", 7);
	log_capture(NULL, NULL);
	assert_string_equal(last, "1 x failed: 7");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_what_could_forge_a_line_or_drive_a_terminal),
		cmocka_unit_test(cuts_long_text_at_a_whole_character),
		cmocka_unit_test(stops_at_a_nul_and_at_len),
		cmocka_unit_test(a_captured_line_has_its_level_and_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
