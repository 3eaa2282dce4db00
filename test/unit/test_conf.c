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
	assert_int_equal(c.vss_frozen_ms, 60000);
	assert_int_equal(c.vss_silent_app_fails, 1);
	assert_int_equal(c.vss_dead_app_fails, 0);
	assert_string_equal(c.vss_metrics_file, "");
	assert_int_equal(c.vss_rules.n, 0);
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

static void vss_values_are_read_by_type(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(load(&c, "[vss]\nmax-applications = 1000\n"
			      "silent-application = go-on\n"
			      "application-device-group = backup\n"
			      "application-device-mode = 0660\n"
			      "frozen-window = 1min\n"
			      "metrics-file = /x/vss.prom\n"), 0);
	assert_int_equal(c.vss_max_apps, 1000);
	assert_int_equal(c.vss_silent_app_fails, 0);
	assert_string_equal(c.vss_app_device_group, "backup");
	assert_int_equal(c.vss_app_device_mode, 0660);
	assert_int_equal(c.vss_frozen_ms, 60000);
	assert_string_equal(c.vss_metrics_file, "/x/vss.prom");
	assert_int_equal(load(&c, "[vss]\nmetrics-file =\n"), 0);
	expect_error("[vss]\nmax-applications = 4097\n",
		     "2: max-applications = \"4097\" is not a number of "
		     "1 to 4096");
	expect_error("[vss]\nmax-applications = many\n",
		     "2: max-applications = \"many\" is not a number of "
		     "1 to 4096");
	expect_error("[vss]\napplication-device-group = two words\n",
		     "2: application-device-group = \"two words\" is not a "
		     "name under 33 bytes");
	expect_error("[vss]\nhooks-dir =\n",
		     "2: hooks-dir = \"\" is not an absolute path under "
		     "108 bytes");
}

static void assert_rule(const struct conf *c, unsigned i, unsigned action,
			unsigned by, const char *pattern)
{
	assert_true(i < c->vss_rules.n);
	assert_int_equal(c->vss_rules.rule[i].action, action);
	assert_int_equal(c->vss_rules.rule[i].by, by);
	assert_string_equal(c->vss_rules.rule[i].pattern, pattern);
}

static void rules_are_kept_in_their_order(void **state)
{
	struct conf c;

	(void)state;
	assert_int_equal(load(&c, "[vss-rules]\n"
			      "skip = path /srv/with space*\n"
			      "sync-only =  type   ntfs3\n"
			      "skip = path /mnt\n"
			      "veto = source /dev/sd[bc]\n"
			      "freeze = type *\n"), 0);
	assert_int_equal(c.vss_rules.n, 5);
	assert_rule(&c, 0, 2, 0, "/srv/with space*");
	assert_rule(&c, 1, 1, 1, "ntfs3");
	assert_rule(&c, 2, 2, 0, "/mnt");
	assert_rule(&c, 3, 3, 2, "/dev/sd[bc]");
	assert_rule(&c, 4, 0, 1, "*");
}

#define NO_RULE "is not one of path|type|source and a pattern under 128 " \
		"bytes, 64 rules at most"

static void a_rule_that_is_none_is_an_error(void **state)
{
	char text[64 * 20 + 64] = "[vss-rules]\n", longest[200];

	(void)state;
	expect_error("[vss-rules]\nskip = /mnt\n",
		     "2: skip = \"/mnt\" " NO_RULE);
	expect_error("[vss-rules]\nskip = path\n",
		     "2: skip = \"path\" " NO_RULE);
	expect_error("[vss-rules]\nskip = pat /mnt\n",
		     "2: skip = \"pat /mnt\" " NO_RULE);
	expect_error("[vss-rules]\nthaw = path /mnt\n",
		     "2: unknown key \"thaw\" in [vss-rules]");
	for (unsigned i = 0; i < 65; i++)
		strcat(text, "skip = path /mnt\n");
	expect_error(text, "66: skip = \"path /mnt\" " NO_RULE);
	snprintf(longest, sizeof(longest), "[vss-rules]\nskip = path /%0127d\n",
		 0);
	assert_int_equal(load(&(struct conf){ 0 }, longest), -EINVAL);
	assert_non_null(strstr(err, NO_RULE));
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
	char line[256], text[16384] = "";
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
	assert_int_equal(settings, 37);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_a_default),
		cmocka_unit_test(values_are_read_by_type),
		cmocka_unit_test(errors_name_file_line_and_input),
		cmocka_unit_test(vss_values_are_read_by_type),
		cmocka_unit_test(rules_are_kept_in_their_order),
		cmocka_unit_test(a_rule_that_is_none_is_an_error),
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
