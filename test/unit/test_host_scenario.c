/* test/unit/test_host_scenario.c - a wrong scenario file is refused before
 * anything runs, with the step and the member. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host_scenario_step.h"

static struct host_scenario *load(const char *text, char *err, size_t err_len)
{
	char path[] = "/tmp/test_host_scenario.XXXXXX";
	int fd = mkstemp(path);
	struct host_scenario *s;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	s = host_scenario_load(path, err, err_len);
	unlink(path);
	return s;
}

#define STEPS(s) "{\"name\": \"n\", \"steps\": [" s "]}"

static void refuses_what_it_does_not_know_and_says_where(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "{", ":1: " },
		{ "[]", "\"the object\"" },
		{ "{\"steps\": []}", "\"name\"" },
		{ "{\"name\": \"n\"}", "\"steps\"" },
		{ "{\"name\": \"n\", \"step\": []}", "\"step\"" },
		{ "{\"name\": \"n\", \"profile\": \"x\", \"steps\": []}",
		  "\"profile\"" },
		{ "{\"name\": \"n\", \"personality\": \"x\", \"steps\": []}",
		  "\"personality\"" },
		{ "{\"name\": \"n\", \"require\": {\"x\": 1}, \"steps\": []}",
		  "\"require\"" },
		{ "{\"name\": \"n\", \"items\": [{}], \"steps\": []}",
		  "\"items\"" },
		{ STEPS("{}"), "step 1: no verb" },
		{ STEPS("{\"wait\": \"ready\"}, {\"wait\": \"redy\"}"),
		  "step 2: \"wait\"" },
		{ STEPS("{\"do\": \"kvp-gt\"}"), "step 1: \"do\"" },
		{ STEPS("{\"do\": \"kvp-get\", \"pool\": 0}"),
		  "step 1: \"key\"" },
		{ STEPS("{\"do\": \"kvp-get\", \"key\": \"k\"}"),
		  "step 1: \"pool\"" },
		{ STEPS("{\"do\": \"kvp-set\", \"pool\": \"guest\", "
			"\"key\": \"k\"}"), "step 1: \"value\"" },
		{ STEPS("{\"advance-ms\": 1, \"key\": \"k\"}"),
		  "step 1: \"key\" does not go with \"advance-ms\"" },
		{ STEPS("{\"advance-ms\": -1}"), "step 1: \"advance-ms\"" },
		{ STEPS("{\"do\": \"kvp-list\", \"pool\": 1, "
			"\"fault\": {\"lat-ms\": 1}}"),
		  "step 1: fault: \"lat-ms\": no such fault" },
		{ STEPS("{\"expect\": {\"stauts\": \"ok\"}}"),
		  "step 1: expect: \"stauts\"" },
		{ STEPS("{\"expect\": {\"status\": \"okay\"}}"),
		  "step 1: expect: \"status\"" },
		{ STEPS("{\"expect\": {\"violations\": \"0\"}}"),
		  "step 1: expect: \"violations\"" },
		{ STEPS("{\"repeat\": 2, \"steps\": [{\"x\": 1}]}"),
		  "step 1.1: no verb" },
		{ STEPS("{\"repeat\": 0, \"steps\": []}"),
		  "step 1: \"repeat\"" },
		{ STEPS("{\"rescind\": \"nic\"}"), "step 1: \"rescind\"" },
		{ STEPS("{\"wait\": \"open\", \"ic\": \"nic\"}"),
		  "step 1: \"ic\"" },
		{ STEPS("{\"expect\": {\"ic\": \"nic\"}}"),
		  "step 1: expect: \"ic\"" },
		{ "{\"name\": \"n\", \"ic\": \"nic\", \"steps\": []}",
		  "\"ic\"" },
		{ STEPS("{\"ring\": \"write-index\"}"), "step 1: \"value\"" },
		{ STEPS("{\"do\": \"vss-frieze\"}"), "step 1: \"do\"" },
		{ STEPS("{\"do\": \"vss-send\"}"), "step 1: \"op\"" },
		{ STEPS("{\"do\": \"vss-create\", \"set\": \"x\"}"),
		  "step 1: \"set\"" },
		{ STEPS("{\"do\": \"vss-freeze\", \"luns\": 261}"),
		  "step 1: \"luns\"" },
		{ STEPS("{\"do\": \"vss-freeze\", \"luns\": [{\"lun\": 256}]}"),
		  "step 1: \"luns\"" },
		{ STEPS("{\"do\": \"vss-snapshot\", \"order\": [\"melt\"]}"),
		  "step 1: \"order\"" },
		{ STEPS("{\"do\": \"vss-snapshot\", \"offline\": \"yes\"}"),
		  "step 1: \"offline\"" },
		{ STEPS("{\"do\": \"vss-snapshot\", \"faults\": "
			"{\"melt\": {}}}"), "step 1: \"faults\"" },
		{ STEPS("{\"do\": \"vss-worked\", \"failed\": 1}"),
		  "step 1: \"failed\"" },
		{ STEPS("{\"guest\": 1}"), "step 1: \"guest\"" },
		{ "{\"name\": \"n\", \"backup\": {\"thaw-again\": 9}, "
		  "\"steps\": []}", "\"thaw-again\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char err[400] = "";

		assert_null(load(bad[i].text, err, sizeof(err)));
		if (!strstr(err, bad[i].says))
			fail_msg("\"%s\" does not say %s", err, bad[i].says);
	}
}

static void repeated_steps_are_read_once_and_run_often(void **state)
{
	struct host_scenario *s;
	char err[400];

	(void)state;
	s = load(STEPS("{\"repeat\": 3, \"steps\": [{\"wait\": \"idle\"}, "
		       "{\"repeat\": 2, \"steps\": [{\"restart\": true}]}]}"),
		 err, sizeof(err));
	assert_non_null(s);
	assert_int_equal(s->n_steps, 2);
	assert_int_equal(s->n_order, 9);
	assert_string_equal(s->order[4].label, "1.2.1");
	host_scenario_free(s);
}

static void the_file_changes_its_profile(void **state)
{
	struct host_scenario *s;
	char err[400];

	(void)state;
	s = load("{\"name\": \"n\", \"profile\": \"openvmm\", "
		 "\"personality\": \"lenient\", \"push\": false, "
		 "\"versions\": [\"4.0\"], \"answer-ms\": 7, \"seed\": 5, "
		 "\"steps\": []}", err, sizeof(err));
	assert_non_null(s);
	assert_string_equal(host_scenario_profile(s)->name, "openvmm");
	assert_false(host_scenario_profile(s)->strict);
	assert_false(host_scenario_profile(s)->push);
	assert_int_equal(host_scenario_profile(s)->kvp.n, 1);
	assert_int_equal(host_scenario_profile(s)->kvp.v[0], 0x40000);
	assert_int_equal(host_scenario_profile(s)->answer_ms, 7);
	assert_int_equal(s->seed, 5);
	host_scenario_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_it_does_not_know_and_says_where),
		cmocka_unit_test(repeated_steps_are_read_once_and_run_often),
		cmocka_unit_test(the_file_changes_its_profile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
