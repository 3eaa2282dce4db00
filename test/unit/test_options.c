/* test/unit/test_options.c - options from a table. */
#include "base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <cmocka.h>

static bool debug;
static const char *file;

static const struct option_def defs[] = {
	{ 'd', "debug", NULL, "say more", &debug },
	{ 'c', "config", "FILE", "settings", &file },
	{ 0, "run-dir", "DIR", "sockets", &file },
	{ 0, NULL, NULL, NULL, NULL }
};

static int parse(const char *operands, int *first, char **argv)
{
	const struct options_text t = { "prog", operands, "Does things." };
	int argc = 0;

	while (argv[argc])
		argc++;
	debug = false;
	file = NULL;
	optind = 0;		/* glibc: start afresh */
	return options_parse(&t, defs, argc, argv, first);
}

#define PARSE(operands, first, ...) \
	parse(operands, first, (char *[]){ "prog", __VA_ARGS__, NULL })

static void short_and_long_forms_set_the_same(void **state)
{
	(void)state;
	assert_int_equal(PARSE("", NULL, "-d", "-c", "x"), 0);
	assert_true(debug);
	assert_string_equal(file, "x");
	assert_int_equal(PARSE("", NULL, "--run-dir=y"), 0);
	assert_false(debug);
	assert_string_equal(file, "y");
}

static void operands_end_the_options(void **state)
{
	int first;

	(void)state;
	assert_int_equal(PARSE("CMD", &first, "-d", "cmd", "-c"), 0);
	assert_int_equal(first, 2);
	assert_null(file);
}

static void a_text_that_cannot_be_printed_is_a_failure(void **state)
{
	int out = dup(STDOUT_FILENO), full;

	(void)state;
	fflush(stdout);
	full = open("/dev/full", O_WRONLY);
	assert_true(full >= 0 && dup2(full, STDOUT_FILENO) >= 0);
	assert_int_equal(PARSE("", NULL, "--version"), -EIO);
	clearerr(stdout);
	assert_int_equal(PARSE("", NULL, "--help"), -EIO);
	clearerr(stdout);
	__fpurge(stdout);
	assert_true(dup2(out, STDOUT_FILENO) >= 0);
	close(full);
	close(out);
}

static void bad_input_is_refused(void **state)
{
	(void)state;
	fclose(stderr);		/* the complaints are for people */
	assert_int_equal(PARSE("", NULL, "-x"), -EINVAL);
	assert_int_equal(PARSE("", NULL, "--config"), -EINVAL);
	assert_int_equal(PARSE("", NULL, "operand"), -EINVAL);
	assert_int_equal(PARSE("", NULL, "--debug=1"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_and_long_forms_set_the_same),
		cmocka_unit_test(operands_end_the_options),
		cmocka_unit_test(a_text_that_cannot_be_printed_is_a_failure),
		cmocka_unit_test(bad_input_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
