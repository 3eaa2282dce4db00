/* test_lagg.c - which back end is chosen, and what is said of the others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lagg/lagg.h"

static unsigned probes;

static int works(char why[LAGG_WHY])
{
	probes++;
	snprintf(why, LAGG_WHY, "with everything");
	return 0;
}

static int lacks(char why[LAGG_WHY])
{
	probes++;
	snprintf(why, LAGG_WHY, "no such thing here");
	return -ENOSYS;
}

static const struct lagg_ops bpf = { .name = "bpf", .kind = LAGG_BPF,
				     .probe = works };
static const struct lagg_ops no_bpf = { .name = "bpf", .kind = LAGG_BPF,
					.probe = lacks };
static const struct lagg_ops bonding = { .name = "bonding",
					 .kind = LAGG_BONDING, .probe = works };
static const struct lagg_ops *const both[] = { &bpf, &bonding, NULL };
static const struct lagg_ops *const second[] = { &no_bpf, &bonding, NULL };

static struct lagg_reason why[LAGG_MAX_BACK_ENDS];
static size_t n_why;

static int begin(void **state)
{
	(void)state;
	probes = 0;
	memset(why, 0x55, sizeof(why));
	return 0;
}

static void takes_the_first_that_works(void **state)
{
	(void)state;
	assert_ptr_equal(lagg_choose(both, LAGG_AUTO, why, &n_why), &bpf);
	assert_int_equal(n_why, 2);
	assert_true(why[0].chosen);
	assert_string_equal(why[0].why, "with everything");
	assert_false(why[1].chosen);
	assert_string_equal(why[1].why, "bpf comes first");
	assert_int_equal(probes, 1);
}

static void goes_on_to_the_next_and_says_what_was_missing(void **state)
{
	(void)state;
	assert_ptr_equal(lagg_choose(second, LAGG_AUTO, why, &n_why), &bonding);
	assert_false(why[0].chosen);
	assert_string_equal(why[0].why, "no such thing here");
	assert_true(why[1].chosen);
}

static void takes_the_one_that_is_named(void **state)
{
	(void)state;
	assert_ptr_equal(lagg_choose(both, LAGG_BONDING, why, &n_why),
			 &bonding);
	assert_string_equal(why[0].why, "the setting is bonding");
	assert_int_equal(probes, 1);
}

static void replaces_a_named_one_by_nothing(void **state)
{
	(void)state;
	assert_null(lagg_choose(second, LAGG_BPF, why, &n_why));
	assert_string_equal(why[0].why, "no such thing here");
	assert_string_equal(why[1].why, "the setting is bpf");
}

static void reads_the_setting(void **state)
{
	enum lagg_choice c = LAGG_AUTO;

	(void)state;
	assert_int_equal(lagg_choice_parse(&c, "bonding"), 0);
	assert_int_equal(c, LAGG_BONDING);
	assert_int_equal(lagg_choice_parse(&c, "bpf"), 0);
	assert_int_equal(c, LAGG_BPF);
	assert_int_equal(lagg_choice_parse(&c, "auto"), 0);
	assert_int_equal(c, LAGG_AUTO);
	assert_int_equal(lagg_choice_parse(&c, "Bond"), -EINVAL);
	assert_int_equal(lagg_choice_parse(&c, ""), -EINVAL);
}

static void this_system_has_a_table(void **state)
{
	(void)state;
	for (size_t i = 0; lagg_back_ends[i]; i++) {
		assert_true(i < LAGG_MAX_BACK_ENDS);
		assert_non_null(lagg_back_ends[i]->probe);
		assert_non_null(lagg_back_ends[i]->create);
		assert_non_null(lagg_back_ends[i]->restore);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(takes_the_first_that_works, begin),
		cmocka_unit_test_setup(
			goes_on_to_the_next_and_says_what_was_missing, begin),
		cmocka_unit_test_setup(takes_the_one_that_is_named, begin),
		cmocka_unit_test_setup(replaces_a_named_one_by_nothing, begin),
		cmocka_unit_test(reads_the_setting),
		cmocka_unit_test(this_system_has_a_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
