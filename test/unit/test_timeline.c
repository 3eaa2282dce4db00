/* test/unit/test_timeline.c - the drawings, character by character. */
#include "timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void bar(struct timeline *t, size_t row, enum timeline_kind k,
		double from, double to)
{
	assert_int_equal(timeline_add_bar(&t->row[row], k, from, to, "b"), 0);
}

/* A host, an application, two file systems; the host holds for hold ms. */
static void make(struct timeline *t, double hold)
{
	static const char *const names[] = { "host", "Applications", "pg",
					     "File systems", "/data", "/" };

	*t = (struct timeline){ 0 };
	t->title = strdup("Backup 7");
	for (unsigned i = 0; i < 6; i++)
		assert_non_null(timeline_add_row(t, names[i],
						 i != 1 && i != 3));
	bar(t, 0, TIMELINE_ASKED, 0, 40);
	bar(t, 0, TIMELINE_SNAPSHOT, 40, 40 + hold);
	bar(t, 0, TIMELINE_ASKED, 40 + hold, 60 + hold);
	bar(t, 2, TIMELINE_ASKED, 0, 10);
	bar(t, 2, TIMELINE_FROZEN, 10, 45 + hold);
	bar(t, 2, TIMELINE_THAW, 45 + hold, 60 + hold);
	bar(t, 4, TIMELINE_FLUSH, 10, 25);
	bar(t, 4, TIMELINE_FREEZE, 25, 30);
	bar(t, 4, TIMELINE_FROZEN, 30, 42 + hold);
	bar(t, 5, TIMELINE_FAILED, 39.9, 39.9);
	t->row[4].result = strdup("frozen 52.0 ms");
	t->window_from_ms = 25;
	t->window_to_ms = 42 + hold;
}

static void assert_drawn(double hold, size_t columns, bool utf8,
			 const char *want)
{
	struct timeline t;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	make(&t, hold);
	timeline_text(&t, f, columns, utf8);
	fclose(f);
	timeline_clear(&t);
	assert_string_equal(text, want);
	free(text);
}

static void draws_in_block_characters(void **state)
{
	(void)state;
	assert_drawn(40, 76, true, 
		"Backup 7\n"
		"\n"
		"                0       20       40       60       80       100 ms\n"
		"                ┴───────┴────────┴────────┴────────┴────────\n"
		"  host          ░░░░░░░░░░░░░░░░░━━━━━━━━━━━━━━━━━━━░░░░░░░░\n"
		"  Applications\n"
		"  pg            ░░░░█████████████████████████████████▚▚▚▚▚▚▚\n"
		"  File systems\n"
		"  /data             ▒▒▒▒▒▒▒▓▓████████████████████████         frozen 52.0 ms\n"
		"  /                              ✗\n"
		"\n"
		"  ░ asked  ━ host's snapshot  ▒ flushing  ▓ freezing  █ frozen, holding\n"
		"  ▚ thawing  ✗ failed\n");
}

static void draws_in_ascii(void **state)
{
	(void)state;
	assert_drawn(40, 60, false, 
		"Backup 7\n"
		"\n"
		"                0             50            100 ms\n"
		"                +-------------+-------------\n"
		"  host          ...........============.....\n"
		"  Applications\n"
		"  pg            ..#####################-----\n"
		"  File systems\n"
		"  /data           ooooo+###############       frozen 52.0 ms\n"
		"  /                        !\n"
		"\n"
		"  . asked  = host's snapshot  o flushing  + freezing\n"
		"  # frozen, holding  - thawing  ! failed\n");
}

static void cuts_the_time_in_which_nothing_happens(void **state)
{
	(void)state;
	assert_drawn(30000, 76, true, 
		"Backup 7\n"
		"\n"
		"                0          0.02       0.04      30.04      30.06 s\n"
		"                ┴──────────┴──────────┴──╌╌╌╌╌──┴──────────┴\n"
		"  host          ░░░░░░░░░░░░░░░░░░░░░░━━━━━━━━━━━░░░░░░░░░░░\n"
		"  Applications\n"
		"  pg            ░░░░░██████████████████████████████▚▚▚▚▚▚▚▚▚\n"
		"  File systems\n"
		"  /data              ▒▒▒▒▒▒▒▒▓▓▓██████████████████            frozen 52.0 ms\n"
		"  /                                   ✗\n"
		"\n"
		"  ░ asked  ━ host's snapshot  ▒ flushing  ▓ freezing  █ frozen, holding\n"
		"  ▚ thawing  ✗ failed  ╌ not to scale\n");
}

/* A check that took one millisecond, and nothing else. */
static void what_is_all_there_is_is_not_cut(void **state)
{
	struct timeline_scale s;
	struct timeline t = { 0 };

	(void)state;
	assert_non_null(timeline_add_row(&t, "host", 0));
	bar(&t, 0, TIMELINE_ASKED, 0, 1);
	assert_non_null(timeline_add_row(&t, "application", 0));
	bar(&t, 1, TIMELINE_ASKED, 0, 0);
	timeline_scale_make(&s, &t, 60, 12);
	assert_int_equal(s.n, 1);
	assert_true(s.n_ticks > 1 && s.tick[1] >= 0.1);
	timeline_clear(&t);
}

static void is_never_narrower_than_it_can_be(void **state)
{
	struct timeline t;
	char *text, *line, *rest;
	size_t len;
	FILE *f;

	(void)state;
	make(&t, 40);
	free(t.row[2].name);
	t.row[2].name = strdup("a name that is much longer than its column \xc3"
			       "\xa9\xc3\xa9");
	f = open_memstream(&text, &len);
	timeline_text(&t, f, 1, false);
	fclose(f);
	assert_non_null(strstr(text, "a name that is much longe~"));
	rest = text;
	while ((line = strsep(&rest, "\n")))
		assert_true(strlen(line) <= 80);
	free(text);
	timeline_clear(&t);
}

static void every_scale_is_monotonous_and_ends(void **state)
{
	static const double ends[][2] = {
		{ 0, 0 }, { 0, 1e-6 }, { 1, 1 }, { 0, 1e15 }, { 9e15, 9.2e15 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
			struct timeline t = { 0 };
			struct timeline_scale s;
			double last = 0, end = ends[k][1];

			timeline_add_row(&t, "r", 1);
			bar(&t, 0, TIMELINE_FLUSH, ends[i][0], ends[i][1]);
			bar(&t, 0, TIMELINE_FLUSH, ends[k][0], ends[k][1]);
			timeline_scale_make(&s, &t, 100, 8);
			for (unsigned x = 0; x <= 50; x++) {
				double at = timeline_at(&s, end / 50 * x);

				assert_true(at + 1e-9 >= last && at <= 100.001);
				last = at;
			}
			assert_true(s.n_ticks <= TIMELINE_TICKS);
			timeline_clear(&t);
		}
}

static void svg_escapes_what_xml_would_take_for_its_own(void **state)
{
	struct timeline t;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	make(&t, 40);
	free(t.row[2].name);
	t.row[2].name = strdup("<script>\"&'\x01\xef\xbf\xbe");
	timeline_svg(&t, f);
	fclose(f);
	assert_non_null(strstr(text, "&lt;script&gt;&quot;&amp;'?" "?<"));
	assert_null(strstr(text, "<script"));
	assert_memory_equal(text, "<svg ", 5);
	assert_string_equal(text + len - 7, "</svg>\n");
	free(text);
	timeline_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draws_in_block_characters),
		cmocka_unit_test(draws_in_ascii),
		cmocka_unit_test(cuts_the_time_in_which_nothing_happens),
		cmocka_unit_test(what_is_all_there_is_is_not_cut),
		cmocka_unit_test(is_never_narrower_than_it_can_be),
		cmocka_unit_test(every_scale_is_monotonous_and_ends),
		cmocka_unit_test(svg_escapes_what_xml_would_take_for_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
