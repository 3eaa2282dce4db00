/* test/unit/test_log.c - levels and quoting of foreign text. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
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

/* All lines that came out, and what the last was. */
struct seen {
	unsigned n;
	bool out_of_order;
	char last[128];
};

static void see_line(void *arg, enum log_level level, const char *line)
{
	struct seen *s = arg;
	unsigned number;

	if (sscanf(line, "line %u", &number) == 1 && number != s->n)
		s->out_of_order = true;
	snprintf(s->last, sizeof(s->last), "%d %s", (int)level, line);
	s->n++;
}

static void held_lines_come_out_in_order(void **state)
{
	struct seen s = { 0 };

	(void)state;
	log_capture(see_line, &s);
	log_hold(true);
	log_err("line %d", 0);
	log_hold(true);			/* does not nest */
	log_info("line %d", 1);
	assert_int_equal(s.n, 0);
	log_hold(false);
	assert_int_equal(s.n, 2);
	assert_false(s.out_of_order);
	assert_string_equal(s.last, "2 line 1");
	log_warn("line %d", 2);
	assert_int_equal(s.n, 3);
	log_hold(false);
	assert_int_equal(s.n, 3);
	log_capture(NULL, NULL);
}

static void what_does_not_fit_is_counted(void **state)
{
	enum { LINES = 2000, TEXT = 98 };	/* 100 bytes each, with level */
	struct seen s = { 0 };

	(void)state;
	log_capture(see_line, &s);
	log_hold(true);
	for (int i = 0; i < LINES; i++)
		log_info("line %-*d", TEXT - 5, i);
	log_info("line 9999");		/* would fit: still lost */
	log_hold(false);
	assert_false(s.out_of_order);
	assert_int_equal(s.n, LOG_HOLD_BYTES / (TEXT + 2) + 1);
	assert_string_equal(s.last, "1 1346 more lines were lost while lines "
			    "could not be written");
	log_hold(true);
	log_info("again");
	log_hold(false);
	assert_string_equal(s.last, "2 again");
	log_capture(NULL, NULL);
}

static void closing_gives_out_what_is_held(void **state)
{
	struct seen s = { 0 };

	(void)state;
	log_capture(see_line, &s);
	log_hold(true);
	log_info("line 0");
	log_close();
	assert_int_equal(s.n, 1);
	log_capture(NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quotes_what_could_forge_a_line_or_drive_a_terminal),
		cmocka_unit_test(cuts_long_text_at_a_whole_character),
		cmocka_unit_test(stops_at_a_nul_and_at_len),
		cmocka_unit_test(a_captured_line_has_its_level_and_text),
		cmocka_unit_test(held_lines_come_out_in_order),
		cmocka_unit_test(what_does_not_fit_is_counted),
		cmocka_unit_test(closing_gives_out_what_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
