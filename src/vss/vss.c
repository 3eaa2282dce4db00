/* vss/vss.c - the coordinator: the table's rows, step by step, and the host.
 *
 * Events come from three sides: the host's requests (ic), the clients (vss_app
 * and vss_fs) and one timer. Each is one step: look up the row, enter its
 * state, do its action. An action may find out at once that the next event
 * has happened already, nobody to ask for instance, and steps on from inside;
 * so to step, or to answer the host, which may bring its next request, is the
 * last that an action does.
 *
 * The request in hand and the state are two things. A request is answered
 * once, by whatever row replies first; when the host starts over it is
 * forgotten, while the state may still have to wind up. One that comes in the
 * meantime waits in HAND_WAITS; any behind it wait in ic.
 */
#include "vss/vss_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

/* The table -------------------------------------------------------------- */

static void nothing(struct vss *v);
static void ask_apps_check(struct vss *v);
static void ask_apps_freeze(struct vss *v);
static void ask_fs_check(struct vss *v);
static void ask_fs_freeze(struct vss *v);
static void ask_fs_thaw(struct vss *v);
static void thaw_apps(struct vss *v);
static void abort_fs(struct vss *v);
static void abort_apps(struct vss *v);
static void abort_apps_reply_fail(struct vss *v);
static void reply_ok(struct vss *v);
static void reply_ok_open_window(struct vss *v);
static void reply_fail(struct vss *v);

struct row {
	enum vss_state next;
	void (*act)(struct vss *v);	/* NULL: no such row */
};

static const struct row rows[VSS_N_STATES][VSS_N_EVENTS] = {
#define ROW(state, event, next, act) \
	[VSS_##state][VSS_EV_##event] = { VSS_##next, act },
#include "vss/vss_fsm.def"
#undef ROW
};

static bool is_over(const struct vss *v)
{
	return v->state == VSS_IDLE || v->state == VSS_BROKEN;
}

static bool winding_up(const struct vss *v)
{
	return v->state == VSS_ABORT_FS || v->state == VSS_BREAK_FS;
}

static void end_work(struct vss *v);
static void take_up(struct vss *v);
static void on_queued(void *arg);

void vss_step(struct vss *v, enum vss_event_kind ev)
{
	const struct row *r = &rows[v->state][ev];

	if (!r->act)
		return;
	v->state = r->next;
	if (is_over(v)) {
		loop_timer_cancel(&v->timer);
		vss_apps_drop(v);
		party_drop(&v->fs);
	}
	r->act(v);
	end_work(v);
	if (v->request.hand == HAND_WAITS && !winding_up(v))
		take_up(v);
}

void vss_step_fail(struct vss *v, enum vss_event_kind ev, const char *who,
		   const char *why)
{
	if (rows[v->state][ev].act)
		vss_fail(v, who, why);
	vss_step(v, ev);
}

/* What is in hand -------------------------------------------------------- */

void vss_tell(struct vss *v, struct vss_event e)
{
	e.at_ms = loop_now_ms(v->loop);
	e.why = e.why ? e.why : "";
	e.part = e.part ? e.part : "";
	if (v->observe)
		v->observe(v->observe_arg, &e);
}

uint64_t vss_next_msgid(struct vss *v)
{
	return ++v->last_msgid;
}

static void keep_cause(struct vss *v, const char *who, const char *why)
{
	if (who)
		snprintf(v->work.why, sizeof(v->work.why), "%s: %s", who, why);
	else
		snprintf(v->work.why, sizeof(v->work.why), "%s", why);
}

void vss_fail(struct vss *v, const char *who, const char *why)
{
	if (!v->work.active || v->work.failed)
		return;
	v->work.failed = true;
	keep_cause(v, who, why);
}

void vss_let_pass(struct vss *v, const char *who, const char *why)
{
	if (!v->work.active || v->work.failed || v->work.let_pass)
		return;
	v->work.let_pass = true;
	keep_cause(v, who, why);
}

static void begin_work(struct vss *v)
{
	v->work = (struct work){
		.active = true,
		.check = v->request.msg.op == VSS_HOT_BACKUP,
		.msgid = v->request.msgid,
	};
}

static enum vss_result result_of(const struct work *w)
{
	if (w->failed)
		return VSS_FAILED;
	if (w->check)
		return VSS_CHECKED;
	return w->n_held && !w->let_pass ? VSS_APP_CONSISTENT :
					   VSS_FS_CONSISTENT;
}

static void count_and_log(struct vss *v, enum vss_result r)
{
	const struct work *w = &v->work;

	v->stats.app_ok += r == VSS_APP_CONSISTENT;
	v->stats.app_fs += r == VSS_FS_CONSISTENT;
	v->stats.app_failed += r == VSS_FAILED && !w->check;
	if (r == VSS_FAILED)
		log_warn("vss: %s failed: %s", w->check ? "check" : "backup",
			 w->why);
	else if (r != VSS_CHECKED)
		log_info("vss: backup done, %s-consistent%s%s",
			 vss_result_name(r), w->why[0] ? ": " : "", w->why);
}

/* In IDLE and BROKEN nothing is in hand any longer. */
static void end_work(struct vss *v)
{
	enum vss_result r = result_of(&v->work);

	if (!v->work.active || !is_over(v))
		return;
	v->work.active = false;
	count_and_log(v, r);
	vss_tell(v, (struct vss_event){
		.what = VSS_ENDED, .msgid = v->work.msgid, .result = r,
		.why = v->work.why,
	});
}

/* Actions ---------------------------------------------------------------- */

static void nothing(struct vss *v)
{
	(void)v;
}

/* Each question of a round has its id; questions of an older one do not. */
static void new_round(struct vss *v, uint64_t msgid, unsigned within_ms)
{
	vss_apps_drop(v);
	v->msgid = msgid;
	loop_timer_set(&v->timer, within_ms);
}

static void ask_apps_check(struct vss *v)
{
	new_round(v, v->request.msgid, v->cfg.check_app_ms);
	vss_apps_ask(v, HV_VSS_CHECK, v->cfg.check_app_ms);
}

static void ask_apps_freeze(struct vss *v)
{
	new_round(v, v->request.msgid, v->cfg.freeze_app_ms);
	vss_apps_ask(v, HV_VSS_FREEZE, v->cfg.freeze_app_ms);
}

static void ask_fs_check(struct vss *v)
{
	loop_timer_set(&v->timer, v->cfg.check_fs_ms);
	vss_fs_ask(v, HV_VSS_CHECK, v->cfg.check_fs_ms);
}

static void ask_fs_freeze(struct vss *v)
{
	loop_timer_set(&v->timer, v->cfg.freeze_fs_ms);
	vss_fs_ask(v, HV_VSS_FREEZE, v->cfg.freeze_fs_ms);
}

static void ask_fs_thaw(struct vss *v)
{
	new_round(v, v->request.msgid, v->cfg.thaw_fs_ms);
	vss_fs_ask(v, HV_VSS_THAW, v->cfg.thaw_fs_ms);
}

static void thaw_apps(struct vss *v)
{
	loop_timer_set(&v->timer, v->cfg.thaw_app_ms);
	vss_apps_end(v, HV_VSS_THAW, v->cfg.thaw_app_ms);
}

static void abort_fs(struct vss *v)
{
	new_round(v, vss_next_msgid(v), v->cfg.thaw_fs_ms);
	vss_fs_ask(v, HV_VSS_ABORT, v->cfg.thaw_fs_ms);
}

static void abort_apps(struct vss *v)
{
	v->msgid = vss_next_msgid(v);
	vss_apps_end(v, HV_VSS_ABORT, v->cfg.thaw_app_ms);
}

static const char *reply_why(const struct vss *v, uint32_t status)
{
	if (status == HV_S_OK)
		return "";
	return v->state == VSS_FROZEN ? "the file systems are frozen already" :
					v->work.why;
}

static void tell_told(struct vss *v, uint32_t status, const char *why)
{
	const struct request *q = &v->request;

	vss_tell(v, (struct vss_event){
		.what = VSS_HOST_TOLD, .msgid = q->msgid, .op = q->msg.op,
		.status = status, .why = why,
		.took_ms = loop_now_ms(v->loop) - q->asked_ms,
	});
}

/* Answer the request in hand, if it is one that the host still waits for. What
 * it ends has ended before the host's next one is here. */
static void reply(struct vss *v, uint32_t status)
{
	struct request *q = &v->request;
	uint64_t ticket = q->ticket;
	uint8_t body[VSS_SMALL_SIZE];
	size_t len;

	if (q->hand != HAND_HOLDS)
		return;
	tell_told(v, status, reply_why(v, status));
	q->hand = HAND_EMPTY;
	memcpy(body, q->body, sizeof(body));
	len = vss_wire_put_answer(body, q->body_len, &q->msg);
	end_work(v);
	ic_reply(v->ic, ticket, status, body, len);
}

static void reply_ok(struct vss *v)
{
	reply(v, HV_S_OK);
}

static void reply_fail(struct vss *v)
{
	reply(v, HV_E_FAIL);
}

static void reply_ok_open_window(struct vss *v)
{
	loop_timer_set(&v->timer, v->cfg.frozen_ms);
	reply(v, HV_S_OK);
}

static void abort_apps_reply_fail(struct vss *v)
{
	abort_apps(v);
	reply(v, HV_E_FAIL);
}

/* Timers ----------------------------------------------------------------- */

static void on_timer(void *arg)
{
	struct vss *v = arg;

	switch (v->state) {
	case VSS_CHECK_APPS:
	case VSS_FREEZE_APPS:
	case VSS_THAW_APPS:
		vss_apps_late(v);
		break;
	case VSS_FROZEN:
		v->stats.window++;
		vss_step_fail(v, VSS_EV_WINDOW, NULL,
			      "the host did not thaw in time");
		break;
	default:
		vss_fs_late(v);
	}
}

/* Those who could not be told the end of a freeze, once more. */
static void on_retry(void *arg)
{
	struct vss *v = arg;

	party_retry_end(&v->fs);
	for (struct vss_app *app = v->apps; app; app = app->next)
		party_retry_end(&app->party);
}

/* The host --------------------------------------------------------------- */

static enum vss_event_kind event_of(const struct vss *v)
{
	uint8_t op = v->request.msg.op;

	if (op == VSS_THAW)
		return VSS_EV_THAW;
	if (is_over(v) && !v->fs_registered)
		return VSS_EV_NOBODY;
	return op == VSS_FREEZE ? VSS_EV_FREEZE : VSS_EV_CHECK;
}

static void tell_asked(struct vss *v)
{
	vss_tell(v, (struct vss_event){
		.what = VSS_HOST_ASKED, .msgid = v->request.msgid,
		.op = v->request.msg.op,
	});
}

/* CHECK, FREEZE or THAW: the table's business. */
static void take_up(struct vss *v)
{
	enum vss_event_kind ev = event_of(v);
	uint64_t given_up = v->request.given_up ? v->request.ticket : 0;

	v->request.hand = HAND_HOLDS;
	v->request.msgid = vss_next_msgid(v);
	tell_asked(v);
	if (is_over(v) && ev != VSS_EV_THAW)
		begin_work(v);
	if (ev == VSS_EV_NOBODY) {
		v->stats.no_daemon++;
		vss_fail(v, NULL, "no file-system daemon is there");
	}
	assert(rows[v->state][ev].act);
	vss_step(v, ev);
	if (given_up && v->request.ticket == given_up)
		on_queued(v);
}

/* Operations that ask for nothing. */
static void answer_at_once(struct vss *v)
{
	v->request.hand = HAND_HOLDS;
	v->request.msgid = 0;
	tell_asked(v);
	reply_ok(v);
}

static uint32_t refusal(const struct vss_msg *m, int err)
{
	log_warn("vss: the host's request %u (%s) is refused: %s", m->op,
		 vss_op_name(m->op), strerror(-err));
	return err == -EOPNOTSUPP ? HV_ERROR_NOT_SUPPORTED : HV_INVALIDARG;
}

static void on_request(void *arg, uint64_t ticket, struct rd body)
{
	struct vss *v = arg;
	struct request *q = &v->request;
	int err;

	assert(q->hand == HAND_EMPTY);
	*q = (struct request){ .ticket = ticket,
			       .asked_ms = loop_now_ms(v->loop) };
	err = vss_wire_get_request(&q->msg, ic_version(v->ic), body.p,
				   body.left);
	v->stats.requests[q->msg.op < VSS_N_OPS ? q->msg.op : VSS_N_OPS]++;
	if (err < 0) {
		v->stats.refused++;
		ic_reply(v->ic, ticket, refusal(&q->msg, err), NULL, 0);
		return;
	}
	q->body_len = body.left < sizeof(q->body) ? body.left : sizeof(q->body);
	rd_copy(&body, q->body, q->body_len);
	if (q->msg.op != VSS_HOT_BACKUP && q->msg.op != VSS_FREEZE &&
	    q->msg.op != VSS_THAW)
		answer_at_once(v);
	else if (winding_up(v))
		q->hand = HAND_WAITS;
	else
		take_up(v);
}

/* A host that asks anew does not wait for the old answer any longer. */
static void on_queued(void *arg)
{
	struct vss *v = arg;

	v->request.given_up = v->request.hand == HAND_WAITS;
	if (v->request.hand == HAND_HOLDS)
		vss_step_fail(v, VSS_EV_CANCEL, NULL,
			      "the host did not wait for the answer");
}

static void on_negotiated(void *arg, uint32_t version)
{
	(void)arg;
	log_info("vss: the host speaks version %u.%u", HV_IC_MAJOR(version),
		 HV_IC_MINOR(version));
}

static void on_reset(void *arg)
{
	struct vss *v = arg;

	v->request.hand = HAND_EMPTY;
	if (v->state == VSS_THAW_APPS)
		vss_step(v, VSS_EV_RESET);	/* it has its snapshot */
	else
		vss_step_fail(v, VSS_EV_RESET, NULL,
			      "the host started over, or is gone");
}

static bool on_ready(void *arg)
{
	struct vss *v = arg;

	return v->fs_registered;
}

/* Life ------------------------------------------------------------------- */

static uint64_t wall_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct vss *vss_new(struct loop *l, const struct vss_cfg *cfg,
		    void (*observe)(void *arg, const struct vss_event *e),
		    void *arg)
{
	static const struct ic_ops ops = {
		.negotiated = on_negotiated, .request = on_request,
		.reset = on_reset, .ready = on_ready, .queued = on_queued,
	};
	struct vss *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->loop = l;
	v->cfg = *cfg;
	v->observe = observe;
	v->observe_arg = arg;
	v->last_msgid = wall_clock_ns();
	loop_timer_init(&v->timer, l, on_timer, v);
	loop_timer_init(&v->retry, l, on_retry, v);
	v->ic = ic_new(l, ic_service_of(&guid_class_vss), cfg->hold_ms, &ops,
		       v);
	if (v->ic)
		return v;
	free(v);
	return NULL;
}

void vss_free(struct vss *v)
{
	if (!v)
		return;
	loop_timer_cancel(&v->timer);
	loop_timer_cancel(&v->retry);
	vss_apps_free(v);
	ic_free(v->ic);
	free(v);
}

struct ic *vss_ic(struct vss *v)
{
	return v->ic;
}

enum vss_state vss_state_get(const struct vss *v)
{
	return v->state;
}

void vss_stats_get(const struct vss *v, struct vss_stats *s)
{
	*s = v->stats;
}
