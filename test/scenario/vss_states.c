/* test/scenario/vss_states.c - each state of the coordinator, and what becomes
 * of it when somebody dies, the host starts over or goes, time passes, or the
 * host asks again. One application `a` that understands ABORT. */
#include "vss_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "vss/vss_priv.h"

/* The shortest way into a state. */
static void reach_frozen(struct vss_rig *g)
{
	host_asks(g, VSS_FREEZE);
	says_yes(app_of(g, "a"));
	says_yes(&g->fs);
}

static void reach(struct vss_rig *g, enum vss_state s)
{
	switch (s) {
	case VSS_IDLE:
		break;
	case VSS_CHECK_APPS:
	case VSS_CHECK_FS:
		host_asks(g, VSS_HOT_BACKUP);
		if (s == VSS_CHECK_FS)
			says_yes(app_of(g, "a"));
		break;
	case VSS_FREEZE_APPS:
		host_asks(g, VSS_FREEZE);
		break;
	case VSS_FREEZE_FS:
	case VSS_ABORT_FS:
		host_asks(g, VSS_FREEZE);
		says_yes(app_of(g, "a"));
		if (s == VSS_ABORT_FS)
			rig_advance(g, 60000);
		break;
	case VSS_FROZEN:
		reach_frozen(g);
		break;
	case VSS_THAW_FS:
	case VSS_THAW_APPS:
		reach_frozen(g);
		host_asks(g, VSS_THAW);
		if (s == VSS_THAW_APPS)
			says_yes(&g->fs);
		break;
	case VSS_BREAK_FS:
	case VSS_BROKEN:
		reach_frozen(g);
		rig_advance(g, 60000);
		if (s == VSS_BROKEN)
			says_yes(&g->fs);
		break;
	case VSS_N_STATES:
		break;
	}
	expect_state(g, s);
	g->trace[0] = '\0';
}

static struct vss_rig *rig_in(enum vss_state s)
{
	struct vss_rig *g = vss_rig_new(NULL);

	fs_opens(g, VSS_FORM_RECORD);
	app_opens(g, "a", true);
	reach(g, s);
	return g;
}

/* What befalls it ------------------------------------------------------- */

static void daemon_dies(struct vss_rig *g)
{
	fs_dies(g);
}

static void application_dies(struct vss_rig *g)
{
	app_dies(app_of(g, "a"));
}

static void host_goes(struct vss_rig *g)
{
	line_close(&g->line);
	g->line.host.channel = NULL;
	rig_settle(g);
}

static void time_passes(struct vss_rig *g)
{
	rig_advance(g, 60000);
}

static void host_checks_again(struct vss_rig *g)
{
	host_asks_at_once(g, VSS_HOT_BACKUP);
}

static void host_thaws_at_once(struct vss_rig *g)
{
	host_asks_at_once(g, VSS_THAW);
}

/* One row a state: where it leads, and what anybody is told. */
struct way {
	enum vss_state next;
	const char *told;
};

static void try_each(void (*befalls)(struct vss_rig *g),
		     const struct way ways[VSS_N_STATES])
{
	for (unsigned s = 0; s < VSS_N_STATES; s++) {
		struct vss_rig *g = rig_in((enum vss_state)s);

		befalls(g);
		if (strcmp(g->trace, ways[s].told) != 0)
			print_message("in \"%s\"\n",
				      vss_state_name((enum vss_state)s));
		expect(g, ways[s].told);
		expect_state(g, ways[s].next);
		vss_rig_free(g);
	}
}

static void the_daemon_dies_in_each_state(void **state)
{
	static const struct way ways[VSS_N_STATES] = {
		[VSS_IDLE] = { VSS_IDLE, "" },
		[VSS_CHECK_APPS] = { VSS_IDLE, "check=fail" },
		[VSS_CHECK_FS] = { VSS_IDLE, "check=fail" },
		[VSS_FREEZE_APPS] = { VSS_IDLE, "a:abort freeze=fail" },
		[VSS_FREEZE_FS] = { VSS_IDLE, "a:abort freeze=fail" },
		[VSS_FROZEN] = { VSS_BROKEN, "a:abort" },
		[VSS_THAW_FS] = { VSS_IDLE, "a:abort thaw=fail" },
		[VSS_THAW_APPS] = { VSS_THAW_APPS, "" },
		[VSS_ABORT_FS] = { VSS_IDLE, "a:abort freeze=fail" },
		[VSS_BREAK_FS] = { VSS_BROKEN, "a:abort" },
		[VSS_BROKEN] = { VSS_BROKEN, "" },
	};

	(void)state;
	try_each(daemon_dies, ways);
}

static void the_application_dies_in_each_state(void **state)
{
	static const struct way ways[VSS_N_STATES] = {
		[VSS_IDLE] = { VSS_IDLE, "" },
		[VSS_CHECK_APPS] = { VSS_CHECK_FS, "fs:check" },
		[VSS_CHECK_FS] = { VSS_CHECK_FS, "" },
		[VSS_FREEZE_APPS] = { VSS_FREEZE_FS, "fs:freeze" },
		[VSS_FREEZE_FS] = { VSS_FREEZE_FS, "" },
		[VSS_FROZEN] = { VSS_FROZEN, "" },
		[VSS_THAW_FS] = { VSS_THAW_FS, "" },
		[VSS_THAW_APPS] = { VSS_IDLE, "thaw=ok" },
		[VSS_ABORT_FS] = { VSS_ABORT_FS, "" },
		[VSS_BREAK_FS] = { VSS_BREAK_FS, "" },
		[VSS_BROKEN] = { VSS_BROKEN, "" },
	};

	(void)state;
	try_each(application_dies, ways);
}

/* It has forgotten what it asked: nothing is answered. */
static const struct way forgotten[VSS_N_STATES] = {
	[VSS_IDLE] = { VSS_IDLE, "" },
	[VSS_CHECK_APPS] = { VSS_IDLE, "" },
	[VSS_CHECK_FS] = { VSS_IDLE, "" },
	[VSS_FREEZE_APPS] = { VSS_IDLE, "a:abort" },
	[VSS_FREEZE_FS] = { VSS_ABORT_FS, "fs:abort" },
	[VSS_FROZEN] = { VSS_ABORT_FS, "fs:abort" },
	[VSS_THAW_FS] = { VSS_ABORT_FS, "fs:abort" },
	[VSS_THAW_APPS] = { VSS_IDLE, "" },
	[VSS_ABORT_FS] = { VSS_ABORT_FS, "" },
	[VSS_BREAK_FS] = { VSS_ABORT_FS, "" },
	[VSS_BROKEN] = { VSS_IDLE, "" },
};

static void the_host_starts_over_in_each_state(void **state)
{
	(void)state;
	try_each(host_renegotiates, forgotten);
}

static void the_host_rescinds_in_each_state(void **state)
{
	(void)state;
	try_each(host_goes, forgotten);
}

/* A minute is more than each budget but the one it is the whole of. */
static void nobody_answers_in_each_state(void **state)
{
	static const struct way ways[VSS_N_STATES] = {
		[VSS_IDLE] = { VSS_IDLE, "" },
		[VSS_CHECK_APPS] = { VSS_IDLE, "check=fail" },
		[VSS_CHECK_FS] = { VSS_IDLE, "check=fail" },
		[VSS_FREEZE_APPS] = { VSS_IDLE, "a:abort freeze=fail" },
		[VSS_FREEZE_FS] = { VSS_ABORT_FS, "fs:abort" },
		[VSS_FROZEN] = { VSS_BREAK_FS, "fs:abort" },
		[VSS_THAW_FS] = { VSS_IDLE, "a:abort thaw=fail" },
		[VSS_THAW_APPS] = { VSS_IDLE, "thaw=ok" },
		[VSS_ABORT_FS] = { VSS_IDLE, "a:abort freeze=fail" },
		[VSS_BREAK_FS] = { VSS_BROKEN, "a:abort" },
		[VSS_BROKEN] = { VSS_BROKEN, "" },
	};

	(void)state;
	try_each(time_passes, ways);
}

static void the_host_checks_behind_each_state(void **state)
{
	static const struct way ways[VSS_N_STATES] = {
		[VSS_IDLE] = { VSS_CHECK_APPS, "a:check" },
		[VSS_CHECK_APPS] = { VSS_CHECK_APPS, "a:check check=fail" },
		[VSS_CHECK_FS] = { VSS_CHECK_APPS, "a:check check=fail" },
		[VSS_FREEZE_APPS] = { VSS_CHECK_APPS,
				      "a:abort a:check freeze=fail" },
		[VSS_FREEZE_FS] = { VSS_ABORT_FS, "fs:abort" },
		[VSS_FROZEN] = { VSS_FROZEN, "check=fail" },
		[VSS_THAW_FS] = { VSS_THAW_FS, "" },
		[VSS_THAW_APPS] = { VSS_THAW_APPS, "" },
		[VSS_ABORT_FS] = { VSS_ABORT_FS, "" },
		[VSS_BREAK_FS] = { VSS_BREAK_FS, "" },
		[VSS_BROKEN] = { VSS_CHECK_APPS, "a:check" },
	};

	(void)state;
	try_each(host_checks_again, ways);
}

static void the_host_thaws_behind_each_state(void **state)
{
	static const struct way ways[VSS_N_STATES] = {
		[VSS_IDLE] = { VSS_IDLE, "thaw=ok" },
		[VSS_CHECK_APPS] = { VSS_IDLE, "check=fail thaw=ok" },
		[VSS_CHECK_FS] = { VSS_IDLE, "check=fail thaw=ok" },
		[VSS_FREEZE_APPS] = { VSS_IDLE, "a:abort freeze=fail thaw=ok" },
		[VSS_FREEZE_FS] = { VSS_ABORT_FS, "fs:abort" },
		[VSS_FROZEN] = { VSS_THAW_FS, "fs:thaw" },
		[VSS_THAW_FS] = { VSS_THAW_FS, "" },
		[VSS_THAW_APPS] = { VSS_THAW_APPS, "" },
		[VSS_ABORT_FS] = { VSS_ABORT_FS, "" },
		[VSS_BREAK_FS] = { VSS_BREAK_FS, "" },
		[VSS_BROKEN] = { VSS_IDLE, "thaw=fail" },
	};

	(void)state;
	try_each(host_thaws_at_once, ways);
}

/* What waited is taken up ------------------------------------------------ */

static void what_waited_is_taken_up_in_the_state_that_follows(void **state)
{
	struct vss_rig *g = rig_in(VSS_BREAK_FS);

	(void)state;
	host_asks(g, VSS_THAW);
	expect(g, "");
	says_yes(&g->fs);
	expect(g, "a:abort thaw=fail");
	vss_rig_free(g);

	g = rig_in(VSS_FROZEN);
	host_renegotiates(g);
	host_asks(g, VSS_THAW);
	expect(g, "fs:abort");
	says_yes(&g->fs);
	expect(g, "a:abort thaw=ok");
	vss_rig_free(g);

	g = rig_in(VSS_BREAK_FS);
	host_asks(g, VSS_FREEZE);
	fs_dies(g);
	expect(g, "a:abort freeze=fail");
	vss_rig_free(g);

	g = rig_in(VSS_BREAK_FS);
	host_asks(g, VSS_FREEZE);
	host_renegotiates(g);			/* it no longer waits */
	says_yes(&g->fs);
	expect(g, "a:abort");
	expect_state(g, VSS_IDLE);
	vss_rig_free(g);
}

/* Operations that need nobody are answered at once all the same. */
static void what_need_not_wait_does_not(void **state)
{
	struct vss_rig *g = rig_in(VSS_BREAK_FS);

	(void)state;
	host_asks(g, VSS_GET_DM_INFO);
	host_asks(g, VSS_CREATE);
	host_asks(g, 200);
	expect(g, "get-dm-info=ok create=ok unknown=80070032");
	vss_rig_free(g);
}

/* The table -------------------------------------------------------------- */

static const enum vss_state next_of[VSS_N_STATES][VSS_N_EVENTS] = {
#define ROW(state, event, next, act) \
	[VSS_##state][VSS_EV_##event] = VSS_##next + 1,
#include "vss/vss_fsm.def"
#undef ROW
};

static void a_pair_without_a_row_changes_nothing(void **state)
{
	unsigned pairs = 0;

	(void)state;
	for (unsigned s = 0; s < VSS_N_STATES; s++) {
		struct vss_rig *g = rig_in((enum vss_state)s);
		unsigned events = g->events, answered = g->answers;

		for (unsigned e = 0; e < VSS_N_EVENTS; e++) {
			if (next_of[s][e])
				continue;
			vss_step(g->vss, (enum vss_event_kind)e);
			rig_settle(g);
			expect_state(g, (enum vss_state)s);
			expect(g, "");
			assert_int_equal(g->events, events);
			assert_int_equal(g->answers, answered);
			pairs++;
		}
		vss_rig_free(g);
	}
	assert_in_range(pairs, 60, 120);
}

/* Those with a row go where it says; the requests are tried above. */
static void a_pair_with_a_row_leads_where_it_says(void **state)
{
	(void)state;
	for (unsigned s = 0; s < VSS_N_STATES; s++) {
		for (unsigned e = VSS_EV_APPS_OK; e < VSS_N_EVENTS; e++) {
			struct vss_rig *g = rig_in((enum vss_state)s);

			vss_step(g->vss, (enum vss_event_kind)e);
			expect_state(g, next_of[s][e] ?
				     (enum vss_state)(next_of[s][e] - 1) :
				     (enum vss_state)s);
			vss_rig_free(g);
		}
	}
}

static void everything_has_a_name(void **state)
{
	(void)state;
	for (unsigned s = 0; s < VSS_N_STATES; s++)
		assert_string_not_equal(vss_state_name((enum vss_state)s),
					"unknown");
	for (unsigned e = 0; e < VSS_N_EVENTS; e++)
		assert_string_not_equal(
			vss_event_name((enum vss_event_kind)e), "unknown");
	assert_string_equal(vss_state_name(VSS_N_STATES), "unknown");
	assert_string_equal(vss_event_name(VSS_N_EVENTS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_daemon_dies_in_each_state),
		cmocka_unit_test(the_application_dies_in_each_state),
		cmocka_unit_test(the_host_starts_over_in_each_state),
		cmocka_unit_test(the_host_rescinds_in_each_state),
		cmocka_unit_test(nobody_answers_in_each_state),
		cmocka_unit_test(the_host_checks_behind_each_state),
		cmocka_unit_test(the_host_thaws_behind_each_state),
		cmocka_unit_test(what_waited_is_taken_up_in_the_state_that_follows),
		cmocka_unit_test(what_need_not_wait_does_not),
		cmocka_unit_test(a_pair_without_a_row_changes_nothing),
		cmocka_unit_test(a_pair_with_a_row_leads_where_it_says),
		cmocka_unit_test(everything_has_a_name),
	};

	log_open("scenario", LOG_TO_STDERR, true, LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
