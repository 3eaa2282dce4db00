/* test/scenario/vss_driver.c - what everybody is told, whatever becomes of a
 * backup. The tests named row_NN are the situations in which FreeBSD's driver
 * is known to go wrong, or to go right (doc/defects.md). */
#include "vss_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

/* A rig with a daemon, an application `a` that understands ABORT, and agreed
 * versions. */
static int setup(void **state)
{
	struct vss_rig *g = vss_rig_new(NULL);

	fs_opens(g, VSS_FORM_RECORD);
	app_opens(g, "a", true);
	assert_int_equal(g->line.ready, 1);
	*state = g;
	return 0;
}

static int setup_no_app(void **state)
{
	struct vss_rig *g = vss_rig_new(NULL);

	fs_opens(g, VSS_FORM_RECORD);
	*state = g;
	return 0;
}

static int setup_bare(void **state)
{
	*state = vss_rig_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	struct vss_rig *g = *state;

	assert_int_equal(g->line.violations, 0);
	vss_rig_free(g);
	return 0;
}

static void freeze(struct vss_rig *g)
{
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_yes(&g->fs);
	expect(g, "a:freeze fs:freeze freeze=ok");
	expect_state(g, VSS_FROZEN);
}

/* The eighteen situations ------------------------------------------------ */

static void row_01_daemon_never_there(void **state)
{
	struct vss_rig *g = *state;

	app_opens(g, "a", true);
	rig_advance(g, 49999);
	assert_int_equal(g->line.ready, 0);	/* held for the daemon */
	rig_advance(g, 1);
	assert_int_equal(g->line.ready, 1);
	host_asks(g, VSS_HOT_BACKUP);
	host_asks(g, VSS_FREEZE);
	host_asks(g, VSS_GET_DM_INFO);
	expect(g, "check=fail freeze=fail get-dm-info=ok");
}

static void row_02_daemon_gone(void **state)
{
	struct vss_rig *g = *state;
	static const uint8_t check[] = { 2, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0 };
	static const uint8_t info[] = { 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

	fs_dies(g);
	host_asks(g, VSS_HOT_BACKUP);
	assert_int_equal(g->body_len, sizeof(check));
	assert_memory_equal(g->body, check, sizeof(check));
	host_asks(g, VSS_FREEZE);
	host_asks(g, VSS_GET_DM_INFO);
	assert_memory_equal(g->body, info, sizeof(info));
	host_asks(g, VSS_THAW);			/* nothing is frozen */
	expect(g, "check=fail freeze=fail get-dm-info=ok thaw=ok");
	host_renegotiates(g);
	rig_advance(g, 50000);
	assert_int_equal(g->line.ready, 2);
}

static void row_03_no_application(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_HOT_BACKUP);
	says_yes(&g->fs);
	host_asks(g, VSS_FREEZE);
	says_yes(&g->fs);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	expect(g, "fs:check check=ok fs:freeze freeze=ok fs:thaw thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_FS_CONSISTENT);
	host_asks(g, VSS_HOT_BACKUP);
	says_no(&g->fs, NULL);
	host_asks(g, VSS_FREEZE);
	says_no(&g->fs, NULL);
	expect(g, "fs:check check=fail fs:freeze freeze=fail");
}

static void row_04_all_succeed(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a"), *b = app_opens(g, "b", true);

	host_asks(g, VSS_HOT_BACKUP);
	expect(g, "a:check b:check");
	says_yes(b);
	expect(g, "");
	says_yes(a);
	expect(g, "fs:check");
	says_yes(&g->fs);
	expect(g, "check=ok");
	host_asks(g, VSS_FREEZE);
	says_yes(a);
	says_yes(b);
	says_yes(&g->fs);
	expect(g, "a:freeze b:freeze fs:freeze freeze=ok");
	host_asks(g, VSS_THAW);
	expect(g, "fs:thaw");
	says_yes(&g->fs);
	expect(g, "a:thaw b:thaw");
	says_yes(b);
	says_yes(a);
	expect(g, "thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_APP_CONSISTENT);
	expect_state(g, VSS_IDLE);
}

static void row_05_application_refuses(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a"), *b = app_opens(g, "b", true);

	host_asks(g, VSS_HOT_BACKUP);
	says_no(a, "busy");
	expect(g, "a:check b:check check=fail");
	host_asks(g, VSS_FREEZE);
	says_no(b, "busy");
	expect(g, "a:freeze b:freeze a:abort b:abort freeze=fail");
	assert_int_equal(a->freezes, a->ends);
	assert_string_equal(g->ended_why, "b: busy");
}

static void row_06_application_silent(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");
	struct hv_vss_record late;

	host_asks(g, VSS_FREEZE);
	late = a->asked;
	rig_advance(g, 59999);
	expect(g, "a:freeze");
	rig_advance(g, 1);
	expect(g, "a:abort freeze=fail");
	assert_int_equal(client_sends(a, &late), -ESTALE);
	expect(g, "");
	expect_state(g, VSS_IDLE);
}

static void row_07_application_late_but_in_time(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_FREEZE);
	rig_advance(g, 59999);
	says_yes(app_of(g, "a"));
	rig_advance(g, 59999);		/* the daemon has a budget of its own */
	says_yes(&g->fs);
	expect(g, "a:freeze fs:freeze freeze=ok");
}

static void row_08_daemon_refuses_to_freeze(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_no(&g->fs, "/srv: exfat");
	expect(g, "a:freeze fs:freeze a:abort freeze=fail");
	assert_string_equal(g->ended_why, "file systems: /srv: exfat");
	assert_false(vss_may_be_frozen(g->vss));
}

static void row_09_daemon_silent_on_freeze(void **state)
{
	struct vss_rig *g = *state;
	struct hv_vss_record late;

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	late = g->fs.asked;
	rig_advance(g, 60000);
	expect(g, "a:freeze fs:freeze fs:abort");
	assert_int_equal(client_sends(&g->fs, &late), 0);
	expect_state(g, VSS_ABORT_FS);
	says_yes(&g->fs);
	expect(g, "a:abort freeze=fail");
	host_asks(g, VSS_THAW);
	expect(g, "thaw=ok");
}

static void row_10_daemon_dies_during_freeze(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	fs_dies(g);
	expect(g, "a:freeze fs:freeze a:abort freeze=fail");
}

static void row_11_daemon_dies_while_frozen(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	fs_dies(g);
	expect(g, "a:abort");
	expect_state(g, VSS_BROKEN);
	host_asks(g, VSS_THAW);
	expect(g, "thaw=fail");
	expect_state(g, VSS_IDLE);
}

static void row_12_daemon_comes_back_meanwhile(void **state)
{
	struct vss_rig *g = *state;
	struct hv_vss_record old;

	host_asks(g, VSS_HOT_BACKUP);
	says_yes(app_of(g, "a"));
	old = g->fs.asked;
	fs_dies(g);
	fs_opens(g, VSS_FORM_RECORD);
	expect(g, "a:check fs:check check=fail");
	assert_int_equal(client_sends(&g->fs, &old), 0);
	expect(g, "");
	host_asks(g, VSS_HOT_BACKUP);
	says_yes(app_of(g, "a"));
	client_sends(&g->fs, &old);
	expect(g, "a:check fs:check");
	says_yes(&g->fs);
	expect(g, "check=ok");
}

static void row_13_application_answers_after_the_daemon_died(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");
	struct hv_vss_record late;

	host_asks(g, VSS_FREEZE);
	late = a->asked;
	fs_dies(g);
	expect(g, "a:freeze a:abort freeze=fail");
	assert_int_equal(client_sends(a, &late), -ESTALE);
	rig_advance(g, 600000);
	expect(g, "");
}

static void row_14_application_closes_while_frozen(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	app_dies(app_of(g, "a"));
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	expect(g, "fs:thaw thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_FS_CONSISTENT);
	assert_string_equal(g->ended_why, "a: it is gone");
}

/* It may have died before the snapshot was made: who can tell? */
static void a_death_that_is_found_out_late_counts(void **state)
{
	struct vss_rig *g = *state;
	struct client *b;

	freeze(g);
	host_asks(g, VSS_THAW);
	app_dies(app_of(g, "a"));
	says_yes(&g->fs);
	expect(g, "fs:thaw thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_FS_CONSISTENT);
	b = app_opens(g, "b", true);
	host_asks(g, VSS_FREEZE);
	says_yes(b);
	says_yes(&g->fs);
	expect(g, "b:freeze fs:freeze freeze=ok");
	b->dead = true;
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	expect(g, "fs:thaw thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_FS_CONSISTENT);
	assert_string_equal(g->ended_why, "b: it is gone");
}

static void row_15_application_opens_while_frozen(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	app_opens(g, "b", true);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	says_yes(app_of(g, "a"));
	expect(g, "fs:thaw a:thaw thaw=ok");
	host_asks(g, VSS_HOT_BACKUP);
	expect(g, "a:check b:check");
}

static void row_16_daemon_fails_to_thaw(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	host_asks(g, VSS_THAW);
	says_no(&g->fs, "the deadline had passed");
	expect(g, "fs:thaw a:abort thaw=fail");
	expect_state(g, VSS_IDLE);
	assert_int_equal(g->last_ended.result, VSS_FAILED);
}

static void row_17_application_fails_to_go_on(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	says_no(app_of(g, "a"), "disk full");
	expect(g, "fs:thaw a:thaw thaw=ok");
	freeze(g);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	rig_advance(g, 9999);
	expect(g, "fs:thaw a:thaw");
	rig_advance(g, 1);
	expect(g, "thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_APP_CONSISTENT);
}

static void row_18_request_while_one_is_pending(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_HOT_BACKUP);
	host_asks_at_once(g, VSS_GET_DM_INFO);
	expect(g, "a:check check=fail get-dm-info=ok");
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	host_asks_at_once(g, VSS_THAW);
	expect(g, "a:freeze fs:freeze fs:abort");
	says_yes(&g->fs);
	expect(g, "a:abort freeze=fail thaw=ok");
	assert_int_equal(g->answers, 4);
	g->line.violations = 0;	/* the host notes what it provoked itself */
}

/* The host's operations -------------------------------------------------- */

static void each_operation_has_its_answer(void **state)
{
	static const struct {
		uint8_t op;
		size_t len;
		uint32_t status;
	} cases[] = {
		{ VSS_CREATE, 24, HV_S_OK }, { VSS_DELETE, 24, HV_S_OK },
		{ VSS_BU_COMPLETE, 8, HV_S_OK },
		{ VSS_AUTO_RECOVER, 8, HV_S_OK },
		{ VSS_AUTO_RECOVER, VSS_AUTO_RECOVER_SIZE, HV_S_OK },
		{ VSS_THAW, 8, HV_S_OK }, { VSS_THAW, 40, HV_S_OK },
		{ VSS_CLUSTER_INFO, VSS_CLUSTER_SIZE, HV_ERROR_NOT_SUPPORTED },
		{ 9, 8, HV_ERROR_NOT_SUPPORTED },
		{ 255, 100, HV_ERROR_NOT_SUPPORTED },
		{ VSS_CREATE, 23, HV_INVALIDARG },
		{ VSS_HOT_BACKUP, 11, HV_INVALIDARG },
		{ VSS_GET_DM_INFO, 11, HV_INVALIDARG },
		{ VSS_FREEZE, 7, HV_INVALIDARG },
		{ VSS_THAW, 1, HV_INVALIDARG },
	};
	struct vss_rig *g = *state;
	uint8_t *body = calloc(1, VSS_MSG_MAX);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(body, 0, VSS_MSG_MAX);
		memset(body + 24, 0x77, cases[i].len > 24 ?
		       cases[i].len - 24 : 0);
		body[0] = cases[i].op;
		body[1] = 0xa5;			/* reserved bytes come back */
		host_sends(g, body, cases[i].len, NULL);
		assert_int_equal(g->err, 0);
		assert_int_equal(g->status, cases[i].status);
		assert_int_equal(g->body_len, cases[i].len);
		assert_memory_equal(g->body, body, cases[i].len);
	}
	free(body);
	assert_int_equal(g->answers, sizeof(cases) / sizeof(cases[0]));
	expect_state(g, VSS_IDLE);
}

/* Both directions, through ring, channel and ic. */
static void the_longest_request_and_its_answer_fit(void **state)
{
	struct vss_rig *g = *state;
	uint8_t *body = malloc(VSS_MSG_MAX);

	for (unsigned round = 0; round < 5; round++) {
		for (size_t i = 0; i < VSS_MSG_MAX; i++)
			body[i] = (uint8_t)(i * 31 + round);
		body[0] = VSS_AUTO_RECOVER;
		memcpy(body + VSS_FREEZE_LUNS_AT, "\x04\x01\x00\x00", 4);
		host_sends(g, body, VSS_MSG_MAX, NULL);
		assert_int_equal(g->status, HV_S_OK);
		assert_int_equal(g->body_len, VSS_MSG_MAX);
		assert_memory_equal(g->body, body, VSS_MSG_MAX);
	}
	free(body);
}

static void a_freeze_that_lists_disks_comes_back_as_it_was(void **state)
{
	struct vss_rig *g = *state;
	uint8_t *body = malloc(VSS_FREEZE_SIZE);

	memset(body, 0x3c, VSS_FREEZE_SIZE);
	body[0] = VSS_FREEZE;
	memcpy(body + VSS_FREEZE_LUNS_AT, "\x04\x01\x00\x00", 4);
	host_sends(g, body, VSS_FREEZE_SIZE, NULL);
	says_yes(&g->fs);
	expect(g, "fs:freeze freeze=ok");
	assert_int_equal(g->body_len, VSS_FREEZE_SIZE);
	assert_memory_equal(g->body, body, VSS_FREEZE_SIZE);
	free(body);
}

static void more_disks_than_came_are_refused(void **state)
{
	struct vss_rig *g = *state;
	uint8_t body[20 + 24] = { VSS_FREEZE };

	body[VSS_FREEZE_LUNS_AT] = 2;
	host_sends(g, body, sizeof(body), NULL);
	assert_int_equal(g->status, HV_INVALIDARG);
	expect_state(g, VSS_IDLE);
	memset(body + VSS_FREEZE_LUNS_AT, 0xff, 4);
	host_sends(g, body, sizeof(body), NULL);
	assert_int_equal(g->status, HV_INVALIDARG);
}

static void check_says_flags_5_whatever_the_answer(void **state)
{
	struct vss_rig *g = *state;
	static const uint8_t flags[] = { 5, 0, 0, 0 };

	host_asks(g, VSS_HOT_BACKUP);
	says_yes(app_of(g, "a"));
	says_yes(&g->fs);
	assert_memory_equal(g->body + VSS_FLAGS_AT, flags, 4);
	memset(g->body, 0xee, 12);
	host_asks(g, VSS_HOT_BACKUP);
	says_no(app_of(g, "a"), NULL);
	assert_memory_equal(g->body + VSS_FLAGS_AT, flags, 4);
	expect(g, "a:check fs:check check=ok a:check check=fail");
}

static void frozen_once_is_enough(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	host_asks(g, VSS_FREEZE);
	host_asks(g, VSS_HOT_BACKUP);
	host_asks(g, VSS_GET_DM_INFO);
	host_asks(g, VSS_BU_COMPLETE);
	host_asks(g, VSS_CLUSTER_INFO);
	expect(g, "freeze=fail check=fail get-dm-info=ok complete=ok cluster-info=80070032");
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	says_yes(app_of(g, "a"));
	expect(g, "fs:thaw a:thaw thaw=ok");
	assert_int_equal(g->ended, 1);
	assert_int_equal(g->last_ended.result, VSS_APP_CONSISTENT);
}

/* Each gives up the one before it. */
static void a_host_in_a_hurry_is_answered_in_order(void **state)
{
	static const uint8_t ops[] = { VSS_HOT_BACKUP, VSS_FREEZE, VSS_FREEZE,
				       VSS_GET_DM_INFO, VSS_THAW };
	const struct host_fault no_wait = { .no_wait = 1 };
	struct vss_rig *g = *state;
	uint8_t body[12] = { 0 };

	for (size_t i = 0; i < sizeof(ops); i++) {
		body[0] = ops[i];
		assert_int_equal(host_ic_ask(g->line.host_ic, body,
					     sizeof(body), &no_wait, NULL,
					     NULL), 0);
	}
	rig_settle(g);
	expect_events(g, "check? a:check check=fail [failed] "
		      "freeze? a:freeze a:abort freeze=fail [failed] "
		      "freeze? a:freeze a:abort freeze=fail [failed] "
		      "get-dm-info? get-dm-info=ok thaw? thaw=ok");
	assert_int_equal(host_ic_stats_get(g->line.host_ic)->answered, 5);
	g->line.violations = 0;	/* the host notes what it provoked itself */
}

static void what_waited_with_another_behind_was_given_up(void **state)
{
	struct vss_rig *g = *state;

	freeze(g);
	host_asks(g, VSS_THAW);
	host_asks_at_once(g, VSS_FREEZE);	/* waits in the IC's queue */
	host_asks_at_once(g, VSS_THAW);
	expect(g, "fs:thaw");
	says_yes(&g->fs);
	says_yes(app_of(g, "a"));
	expect(g, "a:thaw a:freeze a:abort thaw=ok freeze=fail thaw=ok");

	freeze(g);
	rig_advance(g, 60000);
	host_asks(g, VSS_FREEZE);		/* waits in the driver */
	host_asks_at_once(g, VSS_THAW);
	expect(g, "fs:abort");
	says_yes(&g->fs);
	expect(g, "a:abort a:freeze a:abort freeze=fail thaw=ok");
	expect_state(g, VSS_IDLE);
	g->line.violations = 0;
}

/* A request that cannot be read is a sign of the same. */
static void nonsense_behind_a_freeze_gives_it_up_too(void **state)
{
	const struct host_fault no_wait = { .no_wait = 1 };
	const uint8_t body[4] = { VSS_THAW };
	struct vss_rig *g = *state;

	host_asks(g, VSS_FREEZE);
	host_sends(g, body, sizeof(body), &no_wait);
	expect(g, "a:freeze a:abort freeze=fail thaw=80070057");
	g->line.violations = 0;
}

static void answers_to_what_was_given_up_are_late(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_HOT_BACKUP);
	host_asks_at_once(g, VSS_THAW);
	assert_int_equal(says_yes(app_of(g, "a")), -ESTALE);
	host_asks(g, VSS_HOT_BACKUP);
	says_yes(app_of(g, "a"));
	host_asks_at_once(g, VSS_THAW);
	g->events_trace[0] = '\0';
	says_yes(&g->fs);
	expect_events(g, "");
	g->line.violations = 0;
}

/* Negotiation ------------------------------------------------------------ */

static void each_version_works(void **state)
{
	(void)state;
	for (uint16_t major = 4; major <= 7; major++) {
		const struct host_versions one = {
			1, { HV_IC_VERSION(major, 0) }
		};
		struct vss_rig *g = vss_rig_new_host(NULL, &one);

		fs_opens(g, VSS_FORM_RECORD);
		assert_int_equal(g->line.ready, 1);
		assert_int_equal(ic_version(vss_ic(g->vss)), one.v[0]);
		host_asks(g, VSS_HOT_BACKUP);
		says_yes(&g->fs);
		expect(g, "fs:check check=ok");
		host_asks(g, VSS_FREEZE);	/* 5.0 brought it */
		if (major >= 5)
			says_yes(&g->fs);
		expect(g, major >= 5 ? "fs:freeze freeze=ok" :
		       "freeze=80070032");
		assert_int_equal(g->line.violations, 0);
		vss_rig_free(g);
	}
}

static void the_best_version_is_chosen(void **state)
{
	struct vss_rig *g = *state;

	fs_opens(g, VSS_FORM_RECORD);
	assert_int_equal(ic_version(vss_ic(g->vss)), HV_IC_VERSION(7, 0));
	assert_int_equal(ic_framework(vss_ic(g->vss)), HV_IC_VERSION(3, 0));
}

static void nothing_in_common_is_said_so(void **state)
{
	const struct host_versions old = { 2, { HV_IC_VERSION(1, 0),
						HV_IC_VERSION(3, 0) } };
	struct vss_rig *g = vss_rig_new_host(NULL, &old);

	(void)state;
	fs_opens(g, VSS_FORM_RECORD);
	assert_int_equal(g->line.ready, 0);
	assert_int_equal(host_ic_state_get(g->line.host_ic), HOST_IC_SILENT);
	vss_rig_free(g);
}

static void a_held_negotiation_is_released_by_the_daemon(void **state)
{
	struct vss_rig *g = *state;

	for (unsigned form = 0; form < 2; form++) {
		rig_advance(g, 40000);
		assert_int_equal(g->line.ready, form);
		assert_true(ic_holding(vss_ic(g->vss)));
		fs_opens(g, (enum vss_form)form);
		assert_int_equal(g->line.ready, form + 1);
		fs_dies(g);
		host_renegotiates(g);
	}
}

/* Applications ----------------------------------------------------------- */

static void messages_carry_budgets_and_ids(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");
	uint32_t answer_ms, frozen_ms;
	uint64_t check_id;

	host_asks(g, VSS_HOT_BACKUP);
	vss_record_budget(&a->asked, &answer_ms, &frozen_ms);
	assert_int_equal(answer_ms, 5000);
	assert_int_equal(frozen_ms, 0);
	check_id = a->asked.msgid;
	says_yes(a);
	vss_record_budget(&g->fs.asked, &answer_ms, &frozen_ms);
	assert_int_equal(answer_ms, 10000);
	assert_true(g->fs.asked.msgid == check_id);
	says_yes(&g->fs);

	host_asks(g, VSS_FREEZE);
	assert_true(a->asked.msgid > check_id);
	vss_record_budget(&a->asked, &answer_ms, &frozen_ms);
	assert_int_equal(answer_ms, 60000);
	assert_int_equal(frozen_ms, 60000);
	says_yes(a);
	vss_record_budget(&g->fs.asked, &answer_ms, &frozen_ms);
	assert_int_equal(answer_ms, 60000);
	assert_int_equal(frozen_ms, 60000);
	says_yes(&g->fs);

	host_asks(g, VSS_THAW);
	vss_record_budget(&g->fs.asked, &answer_ms, &frozen_ms);
	assert_int_equal(answer_ms, 10000);
	assert_int_equal(frozen_ms, 0);
}

static void who_says_no_hello_sees_abort_as_thaw(void **state)
{
	struct vss_rig *g = *state;
	struct client *old = app_opens(g, "old", false);

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_yes(old);
	says_no(&g->fs, NULL);
	expect(g, "a:freeze old:freeze fs:freeze a:abort old:thaw freeze=fail");
	assert_int_equal(says_yes(old), 0);
	assert_int_equal(says_yes(app_of(g, "a")), 0);
	expect(g, "");
}

static void a_daemon_that_says_no_hello_thaws_all_the_same(void **state)
{
	struct vss_rig *g = *state;

	fs_dies(g);
	fs_opens(g, VSS_FORM_LINUX);
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_yes(&g->fs);
	rig_advance(g, 60000);
	expect(g, "a:freeze fs:freeze freeze=ok fs:thaw");
	expect_state(g, VSS_BREAK_FS);
	says_yes(&g->fs);
	expect(g, "a:abort");
}

static void as_many_as_allowed_and_one_more(void **state)
{
	struct vss_rig *g = *state;
	const struct vss_peer p = { .name = "one more" };
	struct vss_app *app;
	char name[16];

	for (unsigned i = 1; i < 256; i++) {
		snprintf(name, sizeof(name), "app%u", i);
		app_opens(g, name, i % 2);
	}
	assert_int_equal(vss_app_open(g->vss, &p, &app), -EUSERS);
	host_asks(g, VSS_FREEZE);
	for (struct client *c = g->apps; c; c = c->next) {
		assert_int_equal(c->freezes, 1);
		says_yes(c);
	}
	says_yes(&g->fs);
	assert_int_equal(g->status, HV_S_OK);
	assert_int_equal(g->answers, 1);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	for (struct client *c = g->apps; c; c = c->next) {
		assert_int_equal(c->ends, 1);
		says_yes(c);
	}
	assert_int_equal(g->answers, 2);
	assert_non_null(vss_app_peer(g->vss, 255));
	assert_null(vss_app_peer(g->vss, 256));
	app_dies(g->apps);
	app_opens(g, "new", true);
}

static void wrong_answers_answer_nothing(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");
	struct hv_vss_record r;
	struct vss_stats s;

	assert_int_equal(says_yes(a), -ESTALE);		/* nobody asked */
	host_asks(g, VSS_FREEZE);
	r = a->asked;
	r.msgid++;
	assert_int_equal(client_sends(a, &r), -ESTALE);
	r = a->asked;
	r.opt = HV_VSS_THAW;
	assert_int_equal(client_sends(a, &r), -ESTALE);
	r.opt = 77;
	assert_int_equal(client_sends(a, &r), -ESTALE);
	expect(g, "a:freeze");
	assert_int_equal(says_yes(a), 0);
	assert_int_equal(says_yes(a), -ESTALE);		/* once is enough */
	expect(g, "fs:freeze");
	assert_int_equal(says_no(a, "twice"), -ESTALE);

	r = g->fs.asked;
	r.msgid++;
	assert_int_equal(client_sends(&g->fs, &r), 0);
	r = g->fs.asked;
	r.opt = HV_VSS_CHECK;
	assert_int_equal(client_sends(&g->fs, &r), 0);
	expect(g, "");
	says_yes(&g->fs);
	says_no(&g->fs, "twice");
	expect(g, "freeze=ok");
	expect_state(g, VSS_FROZEN);
	assert_true(vss_may_be_frozen(g->vss));
	vss_stats_get(g->vss, &s);
	assert_int_equal(s.stale, 6);
	assert_int_equal(s.malformed, 3);
}

static void one_may_not_answer_for_another(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a"), *b = app_opens(g, "b", true);

	host_asks(g, VSS_FREEZE);
	says_yes(a);
	assert_int_equal(client_sends(a, &b->asked), -ESTALE);
	assert_int_equal(client_sends(&g->fs, &b->asked), 0);
	expect(g, "a:freeze b:freeze");
	says_yes(b);
	expect(g, "fs:freeze");
}

static void no_record_ends_the_client(void **state)
{
	static const size_t sizes[] = { 0, 1, 12, 63, 65, 128 };
	struct vss_rig *g = *state;
	uint8_t junk[128] = { 0 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct client *b = app_opens(g, "b", true);

		host_asks(g, VSS_HOT_BACKUP);
		b->open = false;
		assert_int_equal(vss_app_message(b->app, junk, sizes[i]),
				 -EINVAL);
		snprintf(b->name, sizeof(b->name), "dead");
		says_yes(app_of(g, "a"));
		expect(g, "a:check b:check fs:check");
		g->fs.open = false;
		assert_int_equal(vss_daemon_message(g->vss, junk, sizes[i]),
				 -EINVAL);
		rig_settle(g);
		expect(g, "check=fail");
		fs_opens(g, VSS_FORM_RECORD);
	}
}

static void a_status_has_32_bits(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_HOT_BACKUP);
	answers(app_of(g, "a"), 0x100, NULL);
	expect(g, "a:check check=fail");
}

static void one_who_does_not_read_is_a_no(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");

	a->deaf = true;
	host_asks(g, VSS_FREEZE);
	expect(g, "freeze=fail");
	expect_events(g, "freeze? a:freeze=unreached freeze=fail [failed]");
	a->deaf = false;
	g->fs.deaf = true;
	host_asks(g, VSS_FREEZE);
	says_yes(a);
	expect(g, "a:freeze a:abort freeze=fail");
	assert_false(vss_may_be_frozen(g->vss));
}

static void the_end_reaches_even_one_who_did_not_read(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");

	freeze(g);
	a->deaf = true;
	g->fs.deaf = true;
	rig_advance(g, 60000);			/* the window */
	expect(g, "");
	expect_state(g, VSS_BROKEN);
	g->fs.deaf = false;
	rig_advance(g, 200);
	expect(g, "fs:abort");
	says_yes(&g->fs);
	assert_false(vss_may_be_frozen(g->vss));
	host_asks(g, VSS_FREEZE);		/* not before it knows */
	expect(g, "freeze=fail");
	a->deaf = false;
	rig_advance(g, 200);
	expect(g, "a:abort");
	rig_advance(g, 10000);
	expect(g, "");
	freeze(g);
}

static void a_silent_application_may_be_let_pass(void **state)
{
	struct vss_cfg cfg = vss_rig_cfg;
	struct vss_rig *g;

	(void)state;
	cfg.silent_app_fails = false;
	g = vss_rig_new(&cfg);
	fs_opens(g, VSS_FORM_RECORD);
	app_opens(g, "a", true);
	app_opens(g, "b", true);
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	rig_advance(g, 60000);
	says_yes(&g->fs);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	says_yes(app_of(g, "a"));
	says_yes(app_of(g, "b"));
	expect(g, "a:freeze b:freeze fs:freeze freeze=ok fs:thaw a:thaw b:thaw thaw=ok");
	assert_int_equal(g->last_ended.result, VSS_FS_CONSISTENT);
	assert_string_equal(g->ended_why, "b: no answer in time");
	vss_rig_free(g);
}

static void a_dead_application_may_be_a_no(void **state)
{
	struct vss_cfg cfg = vss_rig_cfg;
	struct vss_rig *g;

	(void)state;
	cfg.dead_app_fails = true;
	g = vss_rig_new(&cfg);
	fs_opens(g, VSS_FORM_RECORD);
	app_opens(g, "a", true);
	app_opens(g, "b", true);
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	app_dies(app_of(g, "b"));		/* asked */
	expect(g, "a:freeze b:freeze a:abort freeze=fail");

	app_opens(g, "c", true);
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_yes(app_of(g, "c"));
	app_dies(app_of(g, "c"));		/* the daemon is at work */
	expect(g, "a:freeze c:freeze fs:freeze fs:abort");
	says_yes(&g->fs);
	expect(g, "a:abort freeze=fail");

	app_opens(g, "d", true);
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_yes(app_of(g, "d"));
	says_yes(&g->fs);
	app_dies(app_of(g, "d"));		/* frozen */
	says_yes(&g->fs);
	expect(g, "a:freeze d:freeze fs:freeze freeze=ok fs:abort a:abort");
	host_asks(g, VSS_THAW);
	expect(g, "thaw=fail");
	vss_rig_free(g);
}

static void notes_go_to_the_history(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");
	struct hv_vss_record note = { .opt = HV_VSS_NOTE };

	vss_record_set_note(&note, HV_VSS_FREEZE, 120, "pg");
	assert_int_equal(client_sends(a, &note), -ESTALE);
	host_asks(g, VSS_FREEZE);
	note.msgid = a->asked.msgid;
	assert_int_equal(client_sends(a, &note), 0);
	assert_int_equal(g->last.took_ms, 120);
	note.status = HV_VSS_FAIL;
	says_yes(a);
	assert_int_equal(client_sends(a, &note), 0);
	vss_record_set_note(&note, HV_VSS_HELLO, 120, "pg");
	assert_int_equal(client_sends(a, &note), -ESTALE);
	expect_events(g, "freeze? a:freeze a:freeze/pg=yes a:freeze=yes fs:freeze a:freeze/pg=no");
}

/* The daemon ------------------------------------------------------------- */

static void only_one_daemon(void **state)
{
	const struct vss_peer p = { 0 };
	struct vss_rig *g = *state;

	assert_int_equal(vss_daemon_open(g->vss, &p, VSS_FORM_RECORD), -EBUSY);
	assert_int_equal(vss_daemon_open(g->vss, &p, VSS_FORM_LINUX), -EBUSY);
	freeze(g);
}

static void the_linux_form_works(void **state)
{
	struct vss_rig *g = *state;

	fs_opens(g, VSS_FORM_LINUX);
	assert_int_equal(g->fs.got, 1);		/* the version */
	host_asks(g, VSS_HOT_BACKUP);
	assert_int_equal(g->fs.op, VSS_HOT_BACKUP);
	says_yes(&g->fs);
	host_asks(g, VSS_FREEZE);
	assert_int_equal(g->fs.op, VSS_FREEZE);
	says_yes(&g->fs);
	host_asks(g, VSS_THAW);
	assert_int_equal(g->fs.op, VSS_THAW);
	says_yes(&g->fs);
	expect(g, "fs:check check=ok fs:freeze freeze=ok fs:thaw thaw=ok");
}

static void linux_answers_are_told_apart_by_counting(void **state)
{
	struct vss_rig *g = *state;
	struct vss_stats s;

	fs_opens(g, VSS_FORM_LINUX);
	host_asks(g, VSS_FREEZE);
	rig_advance(g, 60000);
	expect(g, "fs:freeze fs:thaw");
	says_yes(&g->fs);			/* to the FREEZE */
	expect_state(g, VSS_ABORT_FS);
	assert_true(vss_may_be_frozen(g->vss));
	says_yes(&g->fs);			/* to the THAW */
	expect(g, "freeze=fail");
	assert_false(vss_may_be_frozen(g->vss));

	host_asks(g, VSS_HOT_BACKUP);
	rig_advance(g, 10000);
	host_asks(g, VSS_HOT_BACKUP);
	says_no(&g->fs, NULL);			/* to the first */
	expect(g, "fs:check check=fail fs:check");
	says_yes(&g->fs);
	expect(g, "check=ok");
	vss_stats_get(g->vss, &s);
	assert_int_equal(s.stale, 2);
}

static void a_stuck_linux_daemon_is_not_asked_for_ever(void **state)
{
	struct vss_rig *g = *state;

	fs_opens(g, VSS_FORM_LINUX);
	for (unsigned i = 0; i < 10; i++) {
		host_asks(g, VSS_HOT_BACKUP);
		rig_advance(g, 10000);
		assert_int_equal(g->answers, i + 1);
	}
	assert_int_equal(g->fs.got, 1 + 4);
	for (unsigned i = 0; i < 4; i++)
		says_yes(&g->fs);
	g->trace[0] = '\0';
	host_asks(g, VSS_HOT_BACKUP);
	says_yes(&g->fs);
	expect(g, "fs:check check=ok");
}

/* Its low byte is a registration's, which Linux' driver falls for. */
static void a_linux_status_is_no_registration(void **state)
{
	const uint8_t status[VSS_LINUX_SIZE] = { 129, 0, 0, 0x80 };
	struct vss_rig *g = *state;

	fs_opens(g, VSS_FORM_LINUX);
	host_asks(g, VSS_HOT_BACKUP);
	assert_int_equal(vss_daemon_message(g->vss, status, sizeof(status)),
			 0);
	rig_settle(g);
	expect(g, "fs:check check=fail");
}

static void a_registration_that_is_none_is_refused(void **state)
{
	static const size_t sizes[] = { 0, 4, 11, 13, 64, 12 };
	struct vss_rig *g = *state;
	const struct vss_peer p = { 0 };
	uint8_t junk[64] = { 7 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(vss_daemon_open(g->vss, &p, VSS_FORM_LINUX),
				 0);
		assert_null(vss_daemon_peer(g->vss));
		assert_int_equal(vss_daemon_message(g->vss, junk, sizes[i]),
				 -EINVAL);
	}
	fs_opens(g, VSS_FORM_RECORD);
	assert_int_equal(g->line.ready, 1);
}

static void a_daemon_that_thawed_by_itself_says_so(void **state)
{
	struct vss_rig *g = *state;
	struct hv_vss_record r;
	struct vss_stats s;

	freeze(g);
	r = g->fs.asked;
	r.opt = HV_VSS_ABORT;
	r.status = HV_VSS_FAIL;
	vss_record_set_text(&r, "the deadline passed");
	rig_advance(g, 59000);
	assert_int_equal(client_sends(&g->fs, &r), 0);
	expect(g, "a:abort");
	expect_state(g, VSS_BROKEN);
	assert_false(vss_may_be_frozen(g->vss));
	assert_string_equal(g->ended_why, "file systems: the deadline passed");
	client_sends(&g->fs, &r);		/* once more changes nothing */
	host_asks(g, VSS_THAW);
	expect(g, "thaw=fail");
	vss_stats_get(g->vss, &s);
	assert_int_equal(s.app_failed, 1);
}

static void the_window_begins_when_all_is_frozen(void **state)
{
	struct vss_rig *g = *state;
	struct vss_stats s;

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	rig_advance(g, 50000);
	says_yes(&g->fs);
	rig_advance(g, 59999);
	expect(g, "a:freeze fs:freeze freeze=ok");
	rig_advance(g, 1);
	expect(g, "fs:abort");
	assert_int_equal(g->ended, 0);
	says_yes(&g->fs);
	expect(g, "a:abort");
	assert_string_equal(g->ended_why, "the host did not thaw in time");
	vss_stats_get(g->vss, &s);
	assert_int_equal(s.window, 1);
}

/* While it freezes it has an answer to give, and that is what counts. */
static void a_thaw_of_its_own_before_its_answer_is_not_the_answer(void **state)
{
	struct vss_rig *g = *state;
	struct hv_vss_record own;

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	own = g->fs.asked;
	own.opt = HV_VSS_ABORT;
	own.status = HV_VSS_FAIL;
	client_sends(&g->fs, &own);
	expect_state(g, VSS_FREEZE_FS);
	assert_true(vss_may_be_frozen(g->vss));
	says_no(&g->fs, "the deadline passed");
	expect(g, "a:freeze fs:freeze a:abort freeze=fail");
	assert_false(vss_may_be_frozen(g->vss));
}

/* It crosses the THAW: the answer to that is what counts. */
static void a_thaw_of_its_own_may_cross_the_hosts(void **state)
{
	struct vss_rig *g = *state;
	struct hv_vss_record own;

	freeze(g);
	own = g->fs.asked;
	own.opt = HV_VSS_ABORT;
	own.status = HV_VSS_FAIL;
	host_asks(g, VSS_THAW);
	client_sends(&g->fs, &own);
	expect(g, "fs:thaw");
	assert_false(vss_may_be_frozen(g->vss));
	says_no(&g->fs, "the deadline passed");
	expect(g, "a:abort thaw=fail");
}

static void may_be_frozen_is_said_neither_too_early_nor_for_ever(void **state)
{
	struct vss_rig *g = *state;

	host_asks(g, VSS_FREEZE);
	assert_false(vss_may_be_frozen(g->vss));
	says_yes(app_of(g, "a"));
	assert_true(vss_may_be_frozen(g->vss));
	says_yes(&g->fs);
	host_asks(g, VSS_THAW);
	assert_true(vss_may_be_frozen(g->vss));
	rig_advance(g, 10000);			/* no answer */
	expect_state(g, VSS_IDLE);
	assert_true(vss_may_be_frozen(g->vss));
	says_yes(&g->fs);			/* late, but true */
	assert_false(vss_may_be_frozen(g->vss));

	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	rig_advance(g, 70000);
	assert_true(vss_may_be_frozen(g->vss));
	rig_advance(g, 60000);			/* its guardian's deadline */
	assert_false(vss_may_be_frozen(g->vss));

	says_yes(&g->fs);
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	fs_dies(g);
	assert_true(vss_may_be_frozen(g->vss));	/* the guardian thaws now */
	rig_advance(g, 10000);
	assert_false(vss_may_be_frozen(g->vss));
	g->trace[0] = '\0';
}

/* Records and settings --------------------------------------------------- */

static void the_observer_can_tell_the_whole_story(void **state)
{
	struct vss_rig *g = *state;
	struct client *a = app_of(g, "a");
	uint64_t id;

	host_asks(g, VSS_HOT_BACKUP);
	says_yes(a);
	says_yes(&g->fs);
	expect_events(g, "check? a:check a:check=yes fs:check fs:check=yes check=ok [checked]");
	host_asks(g, VSS_FREEZE);
	id = a->asked.msgid;
	rig_advance(g, 700);
	says_yes(a);
	assert_int_equal(g->last.what, VSS_ASKED);
	says_yes(&g->fs);
	host_asks(g, VSS_THAW);
	says_yes(&g->fs);
	rig_advance(g, 30);
	says_yes(a);
	expect_events(g, "freeze? a:freeze a:freeze=yes fs:freeze fs:freeze=yes freeze=ok thaw? fs:thaw fs:thaw=yes a:thaw a:thaw=yes thaw=ok [application]");
	assert_true(g->last_ended.msgid == id);
	host_asks(g, VSS_FREEZE);
	rig_advance(g, 60000);
	says_yes(a);
	expect_events(g, "freeze? a:freeze a:freeze=silent a:abort freeze=fail [failed] a:abort=yes");
	assert_string_equal(g->ended_why, "a: no answer in time");
}

static void ids_go_up_and_never_come_back(void **state)
{
	struct vss_rig *g = *state;
	uint64_t last = 0;

	for (unsigned i = 0; i < 100; i++) {
		host_asks(g, i % 2 ? VSS_FREEZE : VSS_HOT_BACKUP);
		assert_true(app_of(g, "a")->asked.msgid > last);
		last = app_of(g, "a")->asked.msgid;
		says_no(app_of(g, "a"), NULL);
	}
	g->trace[0] = '\0';
}

static void settings_are_held_against_the_hosts_patience(void **state)
{
	static const struct {
		size_t at;
		unsigned bad;
		const char *says[2];
	} cases[] = {
		{ offsetof(struct vss_cfg, check_app_ms), 20000,
		  { "30.000", "30.000" } },
		{ offsetof(struct vss_cfg, check_fs_ms), 25001,
		  { "30.001", "30.000" } },
		{ offsetof(struct vss_cfg, freeze_app_ms), 530000,
		  { "600.000", "600.000" } },
		{ offsetof(struct vss_cfg, freeze_fs_ms), 4294967295u,
		  { "4295037.295", "600.000" } },
		{ offsetof(struct vss_cfg, thaw_app_ms), 20500,
		  { "30.500", "30.000" } },
	};
	char err[160];

	(void)state;
	assert_int_equal(vss_cfg_check(&vss_rig_cfg, err, sizeof(err)), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vss_cfg cfg = vss_rig_cfg;

		memcpy((char *)&cfg + cases[i].at, &cases[i].bad,
		       sizeof(unsigned));
		assert_int_equal(vss_cfg_check(&cfg, err, sizeof(err)),
				 -ERANGE);
		assert_non_null(strstr(err, cases[i].says[0]));
		assert_non_null(strstr(err, cases[i].says[1]));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define NO_APP(f) cmocka_unit_test_setup_teardown(f, setup_no_app, teardown)
#define BARE(f) cmocka_unit_test_setup_teardown(f, setup_bare, teardown)
	const struct CMUnitTest tests[] = {
		BARE(row_01_daemon_never_there),
		T(row_02_daemon_gone),
		NO_APP(row_03_no_application),
		T(row_04_all_succeed),
		T(row_05_application_refuses),
		T(row_06_application_silent),
		T(row_07_application_late_but_in_time),
		T(row_08_daemon_refuses_to_freeze),
		T(row_09_daemon_silent_on_freeze),
		T(row_10_daemon_dies_during_freeze),
		T(row_11_daemon_dies_while_frozen),
		T(row_12_daemon_comes_back_meanwhile),
		T(row_13_application_answers_after_the_daemon_died),
		T(row_14_application_closes_while_frozen),
		T(a_death_that_is_found_out_late_counts),
		T(row_15_application_opens_while_frozen),
		T(row_16_daemon_fails_to_thaw),
		T(row_17_application_fails_to_go_on),
		T(row_18_request_while_one_is_pending),
		T(each_operation_has_its_answer),
		T(the_longest_request_and_its_answer_fit),
		NO_APP(a_freeze_that_lists_disks_comes_back_as_it_was),
		T(more_disks_than_came_are_refused),
		T(check_says_flags_5_whatever_the_answer),
		T(frozen_once_is_enough),
		T(a_host_in_a_hurry_is_answered_in_order),
		T(what_waited_with_another_behind_was_given_up),
		T(nonsense_behind_a_freeze_gives_it_up_too),
		T(answers_to_what_was_given_up_are_late),
		cmocka_unit_test(each_version_works),
		BARE(the_best_version_is_chosen),
		cmocka_unit_test(nothing_in_common_is_said_so),
		BARE(a_held_negotiation_is_released_by_the_daemon),
		T(messages_carry_budgets_and_ids),
		T(who_says_no_hello_sees_abort_as_thaw),
		T(a_daemon_that_says_no_hello_thaws_all_the_same),
		T(as_many_as_allowed_and_one_more),
		T(wrong_answers_answer_nothing),
		T(one_may_not_answer_for_another),
		T(no_record_ends_the_client),
		T(a_status_has_32_bits),
		T(one_who_does_not_read_is_a_no),
		T(the_end_reaches_even_one_who_did_not_read),
		cmocka_unit_test(a_silent_application_may_be_let_pass),
		cmocka_unit_test(a_dead_application_may_be_a_no),
		T(notes_go_to_the_history),
		T(only_one_daemon),
		BARE(the_linux_form_works),
		BARE(linux_answers_are_told_apart_by_counting),
		BARE(a_stuck_linux_daemon_is_not_asked_for_ever),
		BARE(a_linux_status_is_no_registration),
		BARE(a_registration_that_is_none_is_refused),
		T(a_daemon_that_thawed_by_itself_says_so),
		T(the_window_begins_when_all_is_frozen),
		T(a_thaw_of_its_own_before_its_answer_is_not_the_answer),
		T(a_thaw_of_its_own_may_cross_the_hosts),
		T(may_be_frozen_is_said_neither_too_early_nor_for_ever),
		T(the_observer_can_tell_the_whole_story),
		T(ids_go_up_and_never_come_back),
		cmocka_unit_test(settings_are_held_against_the_hosts_patience),
	};

	log_open("scenario", LOG_TO_STDERR, true, LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
