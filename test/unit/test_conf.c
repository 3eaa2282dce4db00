/* test/unit/test_conf.c - settings, and errors that name file and line. */
#include "base/conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/test_conf.XXXXXX";
static char main_file[64], err[512];

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int load(struct conf *c, const char *text)
{
	put(main_file, text);
	err[0] = '\0';
	return conf_load(c, main_file, err, sizeof(err));
}

static void expect_error(const char *text, const char *what)
{
	struct conf c;
	char whole[600];

	assert_int_equal(load(&c, text), -EINVAL);
	snprintf(whole, sizeof(whole), "%s:%s", main_file, what);
	assert_string_equal(err, whole);
}

static void everything_has_a_default(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(load(&c, ""), 0);
	assert_string_equal(c.run_dir, "/run/hyperv");
	assert_int_equal(c.kvp_timeout_ms, 2500);
	assert_int_equal(c.kvp_external_mode, 0600);
	assert_true(c.kvp_sync);
}

static void values_are_read_by_type(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(load(&c, "[kvp]\nsync = off ; for tests\n"
			      "request-timeout=3s\nset-ip-timeout = 200 ms\n"
			      "pool-mode = 0640\n"
			      "link-local-addresses = always\n"
			      "[log]\nlevel = debug\n[paths]\nrun-dir = /x y\n"),
			 0);
	assert_false(c.kvp_sync);
	assert_int_equal(c.kvp_timeout_ms, 3000);
	assert_int_equal(c.kvp_set_ip_timeout_ms, 200);
	assert_int_equal(c.kvp_pool_mode, 0640);
	assert_int_equal(c.kvp_link_local, 2);
	assert_int_equal(c.log_level, 3);
	assert_string_equal(c.run_dir, "/x y");
}

static void errors_name_file_line_and_input(void **state)
{
	(void)state;
	expect_error("[kvp]\nsink = no\n", "2: unknown key \"sink\" in [kvp]");
	expect_error("[kpv]\nsync = no\n", "2: unknown section \"kpv\"");
	expect_error("\n[kvp]\n\nsync = maybe\n",
		     "4: sync = \"maybe\" is not yes or no");
	expect_error("[kvp]\nrequest-timeout = 2 weeks\n",
		     "2: request-timeout = \"2 weeks\" is not a time of "
		     "100 to 30000 ms, like 500ms or 2s");
	expect_error("[kvp]\nrequest-timeout = 31s\n",
		     "2: request-timeout = \"31s\" is not a time of "
		     "100 to 30000 ms, like 500ms or 2s");
	expect_error("[kvp]\npool-mode = 0777\n",
		     "2: pool-mode = \"0777\" is not octal permissions "
		     "within 0666");
	expect_error("[log]\nlevel = inf\n",
		     "2: level = \"inf\" is not one of "
		     "error|warning|info|debug");
	expect_error("[paths]\nrun-dir = run\n",
		     "2: run-dir = \"run\" is not an absolute path under "
		     "108 bytes");
	expect_error("[kvp]\nnonsense\n",
		     "2: neither [section] nor key = value");
}

static void later_files_win_in_the_order_of_their_names(void **state)
{
	char d[80], a[128], b[128], ignored[128];
	struct conf c;

	(void)state;
	snprintf(d, sizeof(d), "%s.d", main_file);
	assert_int_equal(mkdir(d, 0700), 0);
	snprintf(a, sizeof(a), "%s/10.conf", d);
	snprintf(b, sizeof(b), "%s/20.conf", d);
	snprintf(ignored, sizeof(ignored), "%s/30.conf.bak", d);
	put(a, "[kvp]\nsync = yes\nlock-timeout = 1s\n");
	put(b, "[kvp]\nlock-timeout = 3s\n");
	put(ignored, "rubbish");
	assert_int_equal(load(&c, "[kvp]\nsync = no\n"), 0);
	assert_true(c.kvp_sync);
	assert_int_equal(c.kvp_lock_timeout_ms, 3000);
	unlink(a);
	unlink(b);
	unlink(ignored);
	rmdir(d);
}

static void a_file_that_was_asked_for_must_exist(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(conf_load(&c, "/nonexistent/x", err, sizeof(err)),
			 -ENOENT);
	assert_string_equal(err, "/nonexistent/x: No such file or directory");
}

/* Un-comment the example: it must parse and change nothing. */
static void the_installed_example_shows_the_defaults(void **state)
{
	struct conf c, dflt;
	char line[256], text[8192] = "";
	unsigned settings = 0;
	FILE *f = fopen(EXAMPLE_CONF, "r");

	(void)state;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		bool setting = line[0] == '#' && line[1] != ' ';

		strcat(text, setting ? line + 1 : line);
		settings += setting;
	}
	fclose(f);
	assert_int_equal(load(&c, text), 0);
	conf_defaults(&dflt);
	assert_memory_equal(&c, &dflt, sizeof(c));
	assert_int_equal(settings, 14);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_a_default),
		cmocka_unit_test(values_are_read_by_type),
		cmocka_unit_test(errors_name_file_line_and_input),
		cmocka_unit_test(later_files_win_in_the_order_of_their_names),
		cmocka_unit_test(a_file_that_was_asked_for_must_exist),
		cmocka_unit_test(the_installed_example_shows_the_defaults),
	};
	int failed;

	assert_non_null(mkdtemp(dir));
	snprintf(main_file, sizeof(main_file), "%s/hvtools.conf", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(main_file);
	rmdir(dir);
	return failed;
}
