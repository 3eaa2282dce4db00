/* test/unit/test_host_vss.c - requests and snapshots, with a guest played by
 * hand: what is asked, in which order, and what becomes of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/host_vss.h"
#include "host_fake.h"

struct rig {
	struct fake f;
	struct host_vss *v;
	struct host_vss_manner how;
	struct host_vss_snapshot_cfg cfg;
	struct host_vss_snapshot *s;
	unsigned ended;			/* requests and snapshots */
	struct host_vss_result result;
	struct host_vss_verdict verdict;
	char steps[256];		/* as they ended */
	bool leave_at_hold;
};

static void on_ready(void *arg)
{
	(void)arg;
}

static void on_lost(void *arg)
{
	host_vss_lost(((struct rig *)arg)->v);
}

static void on_violation(void *arg, const char *text)
{
	fake_violation(&((struct rig *)arg)->f, text);
}

static const struct host_ic_ops ops = { on_ready, on_lost, on_violation };

static void on_progress(void *arg, const struct host_vss_took *t)
{
	struct rig *r = arg;
	size_t n = strlen(r->steps);

	if (t->ended)
		snprintf(r->steps + n, sizeof(r->steps) - n, "%s:%s ",
			 host_vss_step_name(t->step),
			 host_vss_end_name(t->err, t->status));
	else if (r->leave_at_hold && t->step == HOST_VSS_HOLD)
		host_vss_abandon(r->s, "gone");
}

static void on_verdict(void *arg, const struct host_vss_verdict *v)
{
	struct rig *r = arg;

	r->ended++;
	r->verdict = *v;
}

static void setup_at(struct rig *r, uint8_t version)
{
	struct host_ic_cfg cfg = fake_cfg(true, HOST_XACT_ZERO);

	cfg.name = "vss";
	cfg.type = 5;
	*r = (struct rig){ .how = host_profiles[0].backup };
	fake_init(&r->f);
	r->f.ic = host_ic_new(r->f.loop, &cfg, &ops, r);
	r->v = host_vss_new(r->f.loop, r->f.ic, &r->how);
	assert_non_null(r->v);
	r->cfg = (struct host_vss_snapshot_cfg){
		.how = &r->how, .progress = on_progress, .done = on_verdict,
		.arg = r };
	if (!version)
		return;
	fake_open(&r->f);
	fake_choose(&r->f, 3, version);
	r->f.n = 0;
}

static void setup(struct rig *r)
{
	setup_at(r, 5);
}

static void teardown(struct rig *r)
{
	assert_int_equal(r->f.violations, 0);
	host_vss_free(r->v);
	fake_free(&r->f);
}

static void start(struct rig *r)
{
	r->s = host_vss_snapshot(r->v, &r->cfg);
	assert_non_null(r->s);
}

/* The guest answers what was asked last, which was this. */
static void answer_with(struct rig *r, uint8_t op, uint32_t status,
			uint8_t flags)
{
	uint8_t m[28 + 12] = { 0 };

	assert_true(r->f.n > 0);
	assert_int_equal(r->f.sent[r->f.n - 1].bytes[28], op);
	fake_head(m, 5, 3, 5, 12, status, 0);
	m[28] = op;
	m[36] = flags;
	fake_deliver(&r->f, m, sizeof(m), 0);
}

static void ok(struct rig *r, uint8_t op)
{
	answer_with(r, op, 0, op == VSS_HOT_BACKUP ? 5 : 0);
}

static void no(struct rig *r, uint8_t op)
{
	answer_with(r, op, HV_E_FAIL, 0);
}

static void a_snapshot_asks_step_by_step(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	r.cfg.hold_ms = 3000;
	start(&r);
	ok(&r, VSS_HOT_BACKUP);
	ok(&r, VSS_GET_DM_INFO);
	assert_false(host_vss_frozen(r.v, NULL));
	loop_advance(r.f.loop, 50);
	ok(&r, VSS_FREEZE);
	assert_true(host_vss_frozen(r.v, NULL));
	assert_int_equal(r.f.n, 3);
	loop_advance(r.f.loop, 2999);
	assert_int_equal(r.f.n, 3);
	loop_advance(r.f.loop, 1);
	loop_advance(r.f.loop, 7);
	ok(&r, VSS_THAW);
	assert_false(host_vss_frozen(r.v, NULL));
	ok(&r, VSS_BU_COMPLETE);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.verdict.outcome, HOST_VSS_PRODUCTION);
	assert_string_equal(r.verdict.why, "");
	assert_int_equal(r.verdict.frozen_ms, 3007);
	assert_int_equal(r.verdict.took_ms, 3057);
	assert_string_equal(r.steps, "check:ok dm-info:ok freeze:ok hold:ok "
			    "thaw:ok complete:ok ");
	assert_int_equal(host_vss_stats_get(r.v)->frozen_ms, 3007);
	teardown(&r);
}

static void the_order_is_the_profiles_or_the_callers(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	r.how.n_order = 4;
	r.how.order[0] = HOST_VSS_FREEZE;
	r.how.order[1] = HOST_VSS_HOLD;
	r.how.order[2] = HOST_VSS_COMPLETE;
	r.how.order[3] = HOST_VSS_THAW;
	start(&r);
	ok(&r, VSS_FREEZE);
	ok(&r, VSS_BU_COMPLETE);
	ok(&r, VSS_THAW);
	assert_int_equal(r.verdict.outcome, HOST_VSS_PRODUCTION);
	teardown(&r);
}

static void a_guest_that_wants_recovery_is_asked_for_it(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	start(&r);
	answer_with(&r, VSS_HOT_BACKUP, 0, 1);
	ok(&r, VSS_GET_DM_INFO);
	ok(&r, VSS_FREEZE);
	ok(&r, VSS_THAW);
	ok(&r, VSS_AUTO_RECOVER);
	ok(&r, VSS_BU_COMPLETE);
	assert_int_equal(r.verdict.outcome, HOST_VSS_PRODUCTION);
	teardown(&r);
}

static void a_no_to_check_makes_it_offline_or_fails(void **state)
{
	struct rig r;

	(void)state;
	for (unsigned level = HOST_VSS_NEVER; level <= HOST_VSS_NO_FREEZE;
	     level++) {
		setup(&r);
		r.how.offline = (enum host_vss_offline)level;
		start(&r);
		no(&r, VSS_HOT_BACKUP);
		assert_int_equal(r.f.n, 1);
		assert_int_equal(r.verdict.outcome, level ? HOST_VSS_OFFLINE :
				 HOST_VSS_FAILED);
		assert_string_equal(r.verdict.why,
				    "the guest answered fail to check");
		teardown(&r);
	}
}

static void a_guest_that_is_not_there_makes_it_offline(void **state)
{
	struct rig r;

	(void)state;
	setup_at(&r, 0);
	start(&r);
	assert_int_equal(r.ended, 0);	/* not from inside */
	loop_advance(r.f.loop, 0);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.verdict.outcome, HOST_VSS_OFFLINE);
	assert_null(host_vss_running(r.v));
	teardown(&r);
	setup_at(&r, 4);		/* no freeze before 5.0 */
	start(&r);
	loop_advance(r.f.loop, 0);
	assert_int_equal(r.verdict.outcome, HOST_VSS_OFFLINE);
	assert_int_equal(r.f.n, 0);
	teardown(&r);
}

static void a_no_to_freeze_fails_and_thaw_is_a_setting(void **state)
{
	struct rig r;

	(void)state;
	for (unsigned thaw = 0; thaw < 2; thaw++) {
		setup(&r);
		r.how.thaw_refused = thaw;
		start(&r);
		ok(&r, VSS_HOT_BACKUP);
		ok(&r, VSS_GET_DM_INFO);
		no(&r, VSS_FREEZE);
		if (thaw)
			ok(&r, VSS_THAW);
		assert_int_equal(r.ended, 1);
		assert_int_equal(r.verdict.outcome, HOST_VSS_FAILED);
		assert_string_equal(r.verdict.why,
				    "the guest answered fail to freeze");
		teardown(&r);
	}
}

static void freeze_has_a_limit_of_its_own(void **state)
{
	struct rig r;

	(void)state;
	for (unsigned thaw = 0; thaw < 2; thaw++) {
		setup(&r);
		r.how.thaw_unanswered = thaw;
		start(&r);
		ok(&r, VSS_HOT_BACKUP);
		ok(&r, VSS_GET_DM_INFO);
		loop_advance(r.f.loop, 899999);
		assert_int_equal(r.f.n, 3);
		assert_int_equal(r.ended, 0);
		loop_advance(r.f.loop, 1);
		assert_int_equal(r.f.n, 3 + thaw);
		if (thaw)
			loop_advance(r.f.loop, 30000);
		assert_int_equal(r.ended, 1);
		assert_int_equal(r.verdict.outcome, HOST_VSS_FAILED);
		assert_string_equal(r.verdict.why, "freeze: timeout");
		teardown(&r);
	}
}

static void a_thaw_that_fails_fails_it_and_may_be_sent_again(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	r.how.thaw_again = 1;
	start(&r);
	ok(&r, VSS_HOT_BACKUP);
	ok(&r, VSS_GET_DM_INFO);
	ok(&r, VSS_FREEZE);
	no(&r, VSS_THAW);
	assert_int_equal(r.f.n, 5);
	no(&r, VSS_THAW);
	ok(&r, VSS_BU_COMPLETE);
	assert_int_equal(r.verdict.outcome, HOST_VSS_FAILED);
	assert_non_null(strstr(r.verdict.why, "thaw: fail"));
	teardown(&r);
}

static void work_is_waited_for(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	r.cfg.work = true;
	r.cfg.hold_ms = 100;
	start(&r);
	ok(&r, VSS_HOT_BACKUP);
	ok(&r, VSS_GET_DM_INFO);
	ok(&r, VSS_FREEZE);
	host_vss_worked(r.s, NULL);
	assert_int_equal(r.f.n, 3);
	loop_advance(r.f.loop, 100);
	ok(&r, VSS_THAW);
	ok(&r, VSS_BU_COMPLETE);
	assert_int_equal(r.verdict.outcome, HOST_VSS_PRODUCTION);
	r.s = host_vss_snapshot(r.v, &r.cfg);
	ok(&r, VSS_HOT_BACKUP);
	ok(&r, VSS_GET_DM_INFO);
	ok(&r, VSS_FREEZE);
	loop_advance(r.f.loop, 5000);
	assert_int_equal(r.f.n, 8);
	host_vss_worked(r.s, NULL);
	ok(&r, VSS_THAW);
	ok(&r, VSS_BU_COMPLETE);
	assert_int_equal(r.verdict.frozen_ms, 5000);
	teardown(&r);
}

static void work_that_fails_or_lasts_thaws_at_once(void **state)
{
	struct rig r;

	(void)state;
	for (unsigned late = 0; late < 2; late++) {
		setup(&r);
		r.cfg.work = true;
		r.cfg.work_ms = late ? 2000 : 0;
		start(&r);
		ok(&r, VSS_HOT_BACKUP);
		ok(&r, VSS_GET_DM_INFO);
		ok(&r, VSS_FREEZE);
		if (late)
			loop_advance(r.f.loop, 2000);
		else
			host_vss_worked(r.s, "no space");
		ok(&r, VSS_THAW);
		assert_int_equal(r.ended, 1);
		assert_int_equal(r.verdict.outcome, HOST_VSS_FAILED);
		assert_string_equal(r.verdict.why, late ?
				    "the work took too long" : "no space");
		teardown(&r);
	}
}

static void one_at_a_time(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	start(&r);
	errno = 0;
	assert_null(host_vss_snapshot(r.v, &r.cfg));
	assert_int_equal(errno, EBUSY);
	no(&r, VSS_HOT_BACKUP);
	start(&r);
	no(&r, VSS_HOT_BACKUP);
	assert_int_equal(r.ended, 2);
	teardown(&r);
}

/* Given up at each step: nobody is called, what is frozen is thawed. */
static void who_gives_up_leaves_nothing_frozen(void **state)
{
	static const uint8_t order[] = { VSS_HOT_BACKUP, VSS_GET_DM_INFO,
					 VSS_FREEZE };
	struct rig r;

	(void)state;
	for (unsigned at = 0; at < 5; at++) {
		setup(&r);
		r.cfg.work = true;
		r.leave_at_hold = at == 4;
		start(&r);
		for (unsigned i = 0; i < at && i < 3; i++)
			ok(&r, order[i]);
		if (at < 4)
			host_vss_abandon(r.s, "gone");
		if (at < 3)
			ok(&r, order[at]);
		if (at >= 2)
			ok(&r, VSS_THAW);
		assert_null(host_vss_running(r.v));
		assert_false(host_vss_frozen(r.v, NULL));
		assert_int_equal(r.ended, 0);
		assert_string_equal(host_vss_last(r.v)->why, "gone");
		teardown(&r);
	}
}

static void a_lost_guest_ends_it_wherever_it_was(void **state)
{
	struct rig r;

	(void)state;
	for (unsigned at = 0; at < 3; at++) {
		setup(&r);
		r.cfg.hold_ms = 1000;
		start(&r);
		if (at > 0)
			ok(&r, VSS_HOT_BACKUP);
		if (at > 1) {
			ok(&r, VSS_GET_DM_INFO);
			ok(&r, VSS_FREEZE);
		}
		host_ic_close(r.f.ic);
		assert_int_equal(r.ended, 1);
		assert_false(host_vss_frozen(r.v, NULL));
		assert_int_equal(r.verdict.outcome, at ? HOST_VSS_FAILED :
				 HOST_VSS_OFFLINE);
		teardown(&r);
	}
}

static void a_host_may_forget_to_thaw(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	r.cfg.no_thaw = true;
	start(&r);
	ok(&r, VSS_HOT_BACKUP);
	ok(&r, VSS_GET_DM_INFO);
	ok(&r, VSS_FREEZE);
	assert_int_equal(r.f.n, 3);
	assert_int_equal(r.verdict.outcome, HOST_VSS_ABANDONED);
	assert_true(host_vss_frozen(r.v, NULL));
	teardown(&r);
}

static void on_done(void *arg, const struct host_vss_result *res)
{
	struct rig *r = arg;

	r->ended++;
	r->result = *res;
	r->verdict.why[0] = (char)res->msg->flags;
}

static void single_requests_tell_status_and_flags(void **state)
{
	struct host_vss_msg m = { .op = VSS_HOT_BACKUP };
	struct rig r;

	(void)state;
	setup(&r);
	assert_int_equal(host_vss_request(r.v, &m, NULL, on_done, &r), 0);
	ok(&r, VSS_HOT_BACKUP);
	assert_int_equal(r.result.err, 0);
	assert_int_equal(r.verdict.why[0], 5);
	m.op = VSS_THAW;
	assert_int_equal(host_vss_request(r.v, &m, NULL, on_done, &r), 0);
	loop_advance(r.f.loop, 30000);
	assert_int_equal(r.result.err, -ETIMEDOUT);
	m.op = 200;
	assert_int_equal(host_vss_request(r.v, &m, NULL, on_done, &r), 0);
	answer_with(&r, 200, HV_ERROR_NOT_SUPPORTED, 0);
	assert_int_equal(r.result.status, HV_ERROR_NOT_SUPPORTED);
	host_ic_close(r.f.ic);
	assert_int_equal(host_vss_request(r.v, &m, NULL, on_done, &r),
			 -ENOTCONN);
	assert_int_equal(r.ended, 3);
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_asks_step_by_step),
		cmocka_unit_test(the_order_is_the_profiles_or_the_callers),
		cmocka_unit_test(a_guest_that_wants_recovery_is_asked_for_it),
		cmocka_unit_test(a_no_to_check_makes_it_offline_or_fails),
		cmocka_unit_test(a_guest_that_is_not_there_makes_it_offline),
		cmocka_unit_test(a_no_to_freeze_fails_and_thaw_is_a_setting),
		cmocka_unit_test(freeze_has_a_limit_of_its_own),
		cmocka_unit_test(
			a_thaw_that_fails_fails_it_and_may_be_sent_again),
		cmocka_unit_test(work_is_waited_for),
		cmocka_unit_test(work_that_fails_or_lasts_thaws_at_once),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(who_gives_up_leaves_nothing_frozen),
		cmocka_unit_test(a_lost_guest_ends_it_wherever_it_was),
		cmocka_unit_test(a_host_may_forget_to_thaw),
		cmocka_unit_test(single_requests_tell_status_and_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
