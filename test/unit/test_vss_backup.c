/* test/unit/test_vss_backup.c - the driver's events become records, whatever
 * is in their texts and however many they are. */
#include "vss/vss_backup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ic/hv_utilreg.h"

struct seen {
	unsigned n;
	json_t *last;			/* owned */
};

static void on_ended(void *arg, json_t *backup)
{
	struct seen *s = arg;

	s->n++;
	json_decref(s->last);
	s->last = json_deep_copy(backup);
}

static struct seen seen;
static struct vss_backups *b;
static uint64_t now;
static const struct vss_peer daemon_peer = { .pid = 10, .name = "vssd" };

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	now = 1000;
	b = vss_backups_new(on_ended, &seen);
	return b ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(seen.last);
	vss_backups_free(b);
	return 0;
}

/* Events ------------------------------------------------------------------ */

static void tell(struct vss_event e)
{
	e.at_ms = now;
	e.why = e.why ? e.why : "";
	e.part = e.part ? e.part : "";
	vss_backups_observe(b, &e);
}

static void host(unsigned op, uint64_t msgid)
{
	tell((struct vss_event){ .what = VSS_HOST_ASKED, .op = op,
				 .msgid = msgid });
}

static void told(unsigned op, uint32_t status, const char *why)
{
	tell((struct vss_event){ .what = VSS_HOST_TOLD, .op = op,
				 .status = status, .why = why, .took_ms = 7 });
}

static void party(enum vss_happening what, const struct vss_peer *p,
		  uint64_t id, unsigned opt, enum vss_outcome o,
		  const char *why)
{
	tell((struct vss_event){ .what = what, .party = p, .party_id = id,
				 .opt = opt, .outcome = o, .why = why,
				 .took_ms = what == VSS_ANSWERED ? 5 : 0 });
}

static void ask(const struct vss_peer *p, uint64_t id, unsigned opt)
{
	party(VSS_ASKED, p, id, opt, VSS_YES, "");
}

static void answer(const struct vss_peer *p, uint64_t id, unsigned opt,
		   enum vss_outcome o, const char *why)
{
	now += 5;
	party(VSS_ANSWERED, p, id, opt, o, why);
}

static void note(const struct vss_peer *p, uint64_t id, const char *part)
{
	tell((struct vss_event){ .what = VSS_NOTED, .party = p, .party_id = id,
				 .opt = HV_VSS_FREEZE, .part = part,
				 .took_ms = 3 });
}

static void ended(enum vss_result r, const char *why)
{
	tell((struct vss_event){ .what = VSS_ENDED, .result = r, .why = why });
}

static void one_backup(uint64_t msgid, const struct vss_peer *app)
{
	host(VSS_FREEZE, msgid);
	ask(app, 1, HV_VSS_FREEZE);
	answer(app, 1, HV_VSS_FREEZE, VSS_YES, "");
	ask(&daemon_peer, 0, HV_VSS_FREEZE);
	answer(&daemon_peer, 0, HV_VSS_FREEZE, VSS_YES, "");
	told(VSS_FREEZE, HV_S_OK, "");
	host(VSS_THAW, msgid + 1);
	ask(&daemon_peer, 0, HV_VSS_THAW);
	answer(&daemon_peer, 0, HV_VSS_THAW, VSS_YES, "");
	ask(app, 1, HV_VSS_THAW);
	answer(app, 1, HV_VSS_THAW, VSS_YES, "");
	told(VSS_THAW, HV_S_OK, "");
	ended(VSS_APP_CONSISTENT, "");
}

/* Claims ------------------------------------------------------------------ */

static json_t *entry(const char *list, size_t i)
{
	return json_array_get(json_object_get(seen.last, list), i);
}

static json_t *step(size_t app, size_t i)
{
	return json_array_get(json_object_get(entry("applications", app),
					      "steps"), i);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "(none)";
}

static json_int_t number(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return v ? json_integer_value(v) : -1;
}

static void a_backup_is_one_record(void **state)
{
	const struct vss_peer app = { .pid = 20, .uid = 1000, .name = "db" };

	(void)state;
	one_backup(77, &app);
	assert_int_equal(seen.n, 1);
	assert_string_equal(text(seen.last, "id"), "77");
	assert_string_equal(text(seen.last, "result"), "application");
	assert_null(json_object_get(seen.last, "why"));
	assert_int_equal(strlen(text(seen.last, "boot")), 36);
	assert_int_equal(strlen(text(seen.last, "started")),
			 strlen("2026-11-22T19:00:00.000Z"));
	assert_int_equal(number(seen.last, "at_us"), 1000000);
	assert_int_equal(number(seen.last, "took_us"), 20000);

	assert_string_equal(text(entry("host", 0), "op"), "freeze");
	assert_string_equal(text(entry("host", 0), "status"), "ok");
	assert_int_equal(number(entry("host", 0), "took_us"), 7000);
	assert_string_equal(text(entry("host", 1), "op"), "thaw");

	assert_string_equal(text(entry("daemon", 0), "opt"), "freeze");
	assert_string_equal(text(entry("daemon", 0), "outcome"), "yes");
	assert_int_equal(number(entry("daemon", 0), "at_us"), 1005000);
	assert_int_equal(number(entry("daemon", 0), "took_us"), 5000);
	assert_string_equal(text(entry("daemon", 1), "opt"), "thaw");

	assert_string_equal(text(entry("applications", 0), "name"), "db");
	assert_int_equal(number(entry("applications", 0), "pid"), 20);
	assert_int_equal(number(entry("applications", 0), "uid"), 1000);
	assert_string_equal(text(step(0, 0), "opt"), "freeze");
	assert_string_equal(text(step(0, 1), "opt"), "thaw");
	assert_null(json_object_get(seen.last, "left_out"));
}

static void the_cause_of_a_failure_is_told(void **state)
{
	const struct vss_peer app = { .name = "db" };

	(void)state;
	host(VSS_HOT_BACKUP, 5);
	ask(&app, 1, HV_VSS_CHECK);
	answer(&app, 1, HV_VSS_CHECK, VSS_NO, "no room");
	told(VSS_HOT_BACKUP, HV_E_FAIL, "db: no room");
	ended(VSS_FAILED, "db: no room");
	assert_string_equal(text(seen.last, "result"), "failed");
	assert_string_equal(text(seen.last, "why"), "db: no room");
	assert_string_equal(text(entry("host", 0), "op"), "check");
	assert_string_equal(text(entry("host", 0), "status"), "fail");
	assert_string_equal(text(entry("host", 0), "why"), "db: no room");
	assert_string_equal(text(step(0, 0), "outcome"), "no");
	assert_string_equal(text(step(0, 0), "why"), "no room");
}

static void an_application_that_dies_while_it_holds_has_a_step_for_it(void **state)
{
	const struct vss_peer app = { .name = "db" };

	(void)state;
	host(VSS_FREEZE, 5);
	ask(&app, 1, HV_VSS_FREEZE);
	answer(&app, 1, HV_VSS_FREEZE, VSS_YES, "");
	answer(&app, 1, HV_VSS_FREEZE, VSS_GONE, "");
	ended(VSS_FS_CONSISTENT, "db: it is gone");
	assert_string_equal(text(step(0, 0), "outcome"), "yes");
	assert_string_equal(text(step(0, 1), "outcome"), "gone");
	assert_string_equal(text(seen.last, "result"), "file-system");
}

static void a_second_request_is_part_of_the_backup_in_hand(void **state)
{
	(void)state;
	host(VSS_FREEZE, 5);
	told(VSS_FREEZE, HV_S_OK, "");
	host(VSS_FREEZE, 6);
	told(VSS_FREEZE, HV_E_FAIL, "the file systems are frozen already");
	host(VSS_GET_DM_INFO, 0);
	told(VSS_GET_DM_INFO, HV_S_OK, "");
	ended(VSS_FS_CONSISTENT, "");
	assert_int_equal(json_array_size(json_object_get(seen.last, "host")), 3);
	assert_string_equal(text(seen.last, "id"), "5");
	assert_string_equal(text(entry("host", 1), "status"), "fail");
	assert_string_equal(text(entry("host", 2), "op"), "get-dm-info");
}

static void what_belongs_to_no_backup_makes_none(void **state)
{
	json_t *all;

	(void)state;
	tell((struct vss_event){ .what = VSS_ENDED, .result = VSS_FAILED });
	host(VSS_THAW, 5);
	told(VSS_THAW, HV_S_OK, "");
	host(VSS_CREATE, 0);
	told(VSS_CREATE, HV_S_OK, "");
	answer(&daemon_peer, 0, HV_VSS_ABORT, VSS_NO, "");
	note(&daemon_peer, 3, "x");
	assert_null(vss_backups_current(b));
	all = vss_backups_json(b);
	assert_int_equal(json_array_size(all), 0);
	json_decref(all);
	assert_int_equal(seen.n, 0);
}

static void an_answer_after_the_end_completes_the_kept_record(void **state)
{
	const struct vss_peer app = { .name = "db" };
	json_t *all, *steps;

	(void)state;
	host(VSS_FREEZE, 5);
	ask(&app, 1, HV_VSS_FREEZE);
	answer(&app, 1, HV_VSS_FREEZE, VSS_YES, "");
	ask(&app, 1, HV_VSS_ABORT);
	ended(VSS_FAILED, "the host did not thaw in time");
	answer(&app, 1, HV_VSS_ABORT, VSS_YES, "");
	all = vss_backups_json(b);
	steps = json_object_get(json_array_get(json_object_get(
		json_array_get(all, 0), "applications"), 0), "steps");
	assert_string_equal(text(json_array_get(steps, 1), "outcome"), "yes");
	json_decref(all);
	assert_null(json_object_get(step(0, 1), "outcome"));
}

static void the_one_in_hand_can_be_looked_at(void **state)
{
	json_t *cur;

	(void)state;
	host(VSS_FREEZE, 5);
	cur = vss_backups_current(b);
	assert_string_equal(text(cur, "id"), "5");
	assert_null(json_object_get(cur, "result"));
	json_decref(cur);
	ended(VSS_FAILED, "x");
	assert_null(vss_backups_current(b));
}

static void names_cannot_carry_controls_or_broken_utf8(void **state)
{
	struct vss_peer app = { .name = "a\x1b[2J\n\xc2\x9b\xff\xc3\xa9\xc3" };
	char long_name[300];

	(void)state;
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	host(VSS_FREEZE, 5);
	ask(&app, 1, HV_VSS_FREEZE);
	note(&app, 1, "\x7f\xe2\x82");
	answer(&app, 1, HV_VSS_FREEZE, VSS_NO, long_name);
	ended(VSS_FAILED, "\x01");
	assert_string_equal(text(entry("applications", 0), "name"),
			    "a?[2J???\xc3\xa9?");
	assert_string_equal(text(seen.last, "why"), "?");
	assert_int_equal(strlen(text(step(0, 0), "why")), 127);
	assert_string_equal(text(json_array_get(json_object_get(
		entry("applications", 0), "notes"), 0), "part"), "???");
}

static void notes_say_what_a_part_did(void **state)
{
	const struct vss_peer app = { .name = "hooks" };
	json_t *n;

	(void)state;
	host(VSS_FREEZE, 5);
	ask(&app, 1, HV_VSS_FREEZE);
	note(&app, 1, "10-db.sh");
	ended(VSS_FAILED, "x");
	n = json_array_get(json_object_get(entry("applications", 0), "notes"),
			   0);
	assert_string_equal(text(n, "part"), "10-db.sh");
	assert_string_equal(text(n, "phase"), "freeze");
	assert_string_equal(text(n, "outcome"), "yes");
	assert_int_equal(number(n, "took_us"), 3000);
}

/* Too many ---------------------------------------------------------------- */

static void applications_beyond_256_are_counted(void **state)
{
	struct vss_peer app = { .name = "one of many" };

	(void)state;
	host(VSS_FREEZE, 5);
	for (uint64_t id = 1; id <= 300; id++)
		ask(&app, id, HV_VSS_FREEZE);
	for (uint64_t id = 1; id <= 256; id++)
		answer(&app, id, HV_VSS_FREEZE, VSS_YES, "");
	ended(VSS_APP_CONSISTENT, "");
	assert_int_equal(json_array_size(json_object_get(seen.last,
							 "applications")), 256);
	assert_int_equal(number(seen.last, "left_out"), 44);
	assert_string_equal(text(step(255, 0), "outcome"), "yes");
}

static void notes_beyond_the_limits_are_counted(void **state)
{
	struct vss_peer app = { .name = "chatty" };

	(void)state;
	host(VSS_FREEZE, 5);
	for (uint64_t id = 1; id <= 100; id++) {
		ask(&app, id, HV_VSS_FREEZE);
		for (int i = 0; i < 100; i++)
			note(&app, id, "part");
	}
	ended(VSS_APP_CONSISTENT, "");
	assert_int_equal(json_array_size(json_object_get(
		entry("applications", 0), "notes")), 64);
	assert_int_equal(number(seen.last, "left_out"), 10000 - 1024);
}

static void a_host_that_asks_without_end_is_counted(void **state)
{
	(void)state;
	host(VSS_FREEZE, 5);
	for (int i = 0; i < 5000; i++) {
		host(VSS_GET_DM_INFO, 0);
		told(VSS_GET_DM_INFO, HV_S_OK, "");
		answer(&daemon_peer, 0, HV_VSS_ABORT, VSS_NO, "");
	}
	ended(VSS_FAILED, "");
	assert_int_equal(json_array_size(json_object_get(seen.last, "host")),
			 64);
	assert_int_equal(json_array_size(json_object_get(seen.last, "daemon")),
			 64);
	assert_int_equal(number(seen.last, "left_out"), 5001 - 64 + 5000 - 64);
}

static void the_last_64_are_kept_the_oldest_first(void **state)
{
	const struct vss_peer app = { .name = "db" };
	json_t *all;

	(void)state;
	for (uint64_t i = 1; i <= 70; i++)
		one_backup(i * 10, &app);
	all = vss_backups_json(b);
	assert_int_equal(json_array_size(all), VSS_BACKUPS);
	assert_string_equal(text(json_array_get(all, 0), "id"), "70");
	assert_string_equal(text(json_array_get(all, 63), "id"), "700");
	json_decref(all);
}

/* One answer on the control socket may have 4 MiB. */
static void large_records_push_out_old_ones(void **state)
{
	struct vss_peer app = { .name = "a name as long as a name can be, it "
				       "says so" };
	json_t *all;

	(void)state;
	for (uint64_t i = 1; i <= 64; i++) {
		host(VSS_FREEZE, i);
		for (uint64_t id = 1; id <= 256; id++) {
			ask(&app, id, HV_VSS_FREEZE);
			note(&app, id, "\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"");
			answer(&app, id, HV_VSS_FREEZE, VSS_NO, app.name);
		}
		ended(VSS_FAILED, "x");
	}
	all = vss_backups_json(b);
	assert_in_range(json_array_size(all), 2, 63);
	assert_string_equal(text(json_array_get(all, json_array_size(all) - 1),
				 "id"), "64");
	assert_in_range(json_dumpb(all, NULL, 0, JSON_COMPACT), 1 << 20,
			(2 << 20) + 100);
	json_decref(all);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_backup_is_one_record),
		TEST(the_cause_of_a_failure_is_told),
		TEST(an_application_that_dies_while_it_holds_has_a_step_for_it),
		TEST(a_second_request_is_part_of_the_backup_in_hand),
		TEST(what_belongs_to_no_backup_makes_none),
		TEST(an_answer_after_the_end_completes_the_kept_record),
		TEST(the_one_in_hand_can_be_looked_at),
		TEST(names_cannot_carry_controls_or_broken_utf8),
		TEST(notes_say_what_a_part_did),
		TEST(applications_beyond_256_are_counted),
		TEST(notes_beyond_the_limits_are_counted),
		TEST(a_host_that_asks_without_end_is_counted),
		TEST(the_last_64_are_kept_the_oldest_first),
		TEST(large_records_push_out_old_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
