/* host/host_vss.c - theory of operation.
 *
 * A `job` is one request on its way. A snapshot walks through the steps of its
 * manner: each is a job, but for the hold, which is a timer, or work that
 * somebody else does, or both. go_on() takes the next step, or ends it all.
 * Whoever makes a snapshot may be called in the middle of that, and may give it
 * up then: `hurry` is looked at after each call.
 *
 * What can go wrong, and what the host does then:
 *
 *   not ready; no to CHECK   the backup goes on offline, or fails
 *   no to FREEZE             the same, at another setting; THAW if set
 *   FREEZE unanswered        it fails; THAW if set
 *   the work failed          THAW, and it fails
 *   no to THAW, no answer    it fails: nobody can say when the guest went on;
 *                            THAW again as often as is set
 *   channel or versions lost it fails, nothing more can be sent
 *   no to any other step     noted, it goes on
 *
 * "Frozen" is what a host can know: FREEZE was answered ok, and since then
 * neither was THAW answered nor the channel lost. Whether the guest has thawed
 * by itself it hears from THAW's answer.
 *
 * Sources: Linux drivers/hv/hv_snapshot.c, LIS (what a host accepts). */
#include "host/host_vss.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	struct job *next;
	struct host_vss *v;
	host_vss_done done;
	void *arg;
	bool mangled;			/* the guest got something else */
	struct host_vss_msg msg;
};

struct host_vss_snapshot {
	struct host_vss *v;
	struct host_vss_snapshot_cfg cfg;
	struct host_vss_manner how;
	uint64_t start_ms, frozen_at_ms;
	unsigned next;			/* in how.order */
	enum host_vss_step at;
	struct host_vss_took took;	/* the step at hand */
	uint32_t guest_flags;		/* from CHECK */
	bool frozen, hurry;		/* hurry: only thaw and end */
	bool holding;			/* until both its halves are over: */
	bool held, worked;
	unsigned thaws_left;
	struct loop_timer timer;	/* the next step, the hold, its limit */
	void (*fired)(struct host_vss_snapshot *s);
	struct host_vss_msg msg;	/* LUNs for FREEZE */
	struct host_vss_verdict verdict;
};

struct host_vss {
	struct loop *loop;
	struct host_ic *ic;
	struct host_vss_manner how;
	struct job *jobs;
	struct host_vss_snapshot *running;
	bool frozen, any;
	uint64_t frozen_at_ms;
	struct host_vss_verdict last;
	struct host_vss_stats stats;
};

static const char *const step_names[HOST_VSS_N_STEPS] = {
	[HOST_VSS_CHECK] = "check",
	[HOST_VSS_DM_INFO] = "dm-info",
	[HOST_VSS_FREEZE] = "freeze",
	[HOST_VSS_HOLD] = "hold",
	[HOST_VSS_THAW] = "thaw",
	[HOST_VSS_RECOVER] = "auto-recover",
	[HOST_VSS_COMPLETE] = "complete",
};

static const uint8_t step_ops[HOST_VSS_N_STEPS] = {
	[HOST_VSS_CHECK] = VSS_HOT_BACKUP,
	[HOST_VSS_DM_INFO] = VSS_GET_DM_INFO,
	[HOST_VSS_FREEZE] = VSS_FREEZE,
	[HOST_VSS_THAW] = VSS_THAW,
	[HOST_VSS_RECOVER] = VSS_AUTO_RECOVER,
	[HOST_VSS_COMPLETE] = VSS_BU_COMPLETE,
};

const char *host_vss_step_name(enum host_vss_step s)
{
	return step_names[s];
}

int host_vss_step_find(const char *name)
{
	for (int i = 0; i < HOST_VSS_N_STEPS; i++) {
		if (!strcmp(step_names[i], name))
			return i;
	}
	return -ENOENT;
}

const char *host_vss_outcome_name(enum host_vss_outcome o)
{
	static const char *const names[] = {
		[HOST_VSS_PRODUCTION] = "production",
		[HOST_VSS_OFFLINE] = "offline",
		[HOST_VSS_FAILED] = "failed",
		[HOST_VSS_ABANDONED] = "abandoned",
	};

	return names[o];
}

const char *host_vss_end_name(int err, uint32_t status)
{
	switch (err) {
	case 0:
		return host_status_name(status);
	case -ETIMEDOUT:
		return "timeout";
	case -EBADMSG:
		return "malformed";
	case -ECANCELED:
		return "cancelled";
	case -ENOTCONN:
		return "not-ready";
	default:
		return strerror(-err);
	}
}

static uint64_t now(const struct host_vss *v)
{
	return loop_now_ms(v->loop);
}

/* Frozen ----------------------------------------------------------------- */

static void set_frozen(struct host_vss *v, bool frozen)
{
	if (v->frozen && !frozen)
		v->stats.frozen_ms += now(v) - v->frozen_at_ms;
	if (frozen && !v->frozen)
		v->frozen_at_ms = now(v);
	v->frozen = frozen;
}

bool host_vss_frozen(const struct host_vss *v, uint64_t *for_ms)
{
	if (for_ms)
		*for_ms = v->frozen ? now(v) - v->frozen_at_ms : 0;
	return v->frozen;
}

/* Requests --------------------------------------------------------------- */

static void free_job(struct job *j)
{
	struct job **p = &j->v->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	free(j);
}

static void note_frozen(struct host_vss *v, const struct job *j,
			const struct host_vss_result *r)
{
	if (j->mangled || r->err < 0)
		return;
	if (j->msg.op == VSS_FREEZE && r->status == HV_S_OK)
		set_frozen(v, true);
	else if (j->msg.op == VSS_THAW)
		set_frozen(v, false);
}

static void answered(void *arg, const struct host_ic_answer *a)
{
	struct job *j = arg;
	struct host_vss *v = j->v;
	struct host_vss_result r = { .err = a->err, .status = a->status,
				     .msg = &j->msg, .took_ms = a->took_ms };
	const char *why = NULL;

	if (r.err == 0 && a->status == HV_S_OK &&
	    host_vss_get(&j->msg, a->body, a->body_len,
			 host_ic_strict(v->ic) && !j->mangled, &why) < 0) {
		if (!j->mangled)
			host_ic_malformed(v->ic, why);
		r.err = -EBADMSG;
	}
	note_frozen(v, j, &r);
	if (j->done)
		j->done(j->arg, &r);
	free_job(j);
}

static uint32_t patience(const struct host_vss_manner *how, uint8_t op)
{
	return op == VSS_FREEZE ? how->freeze_ms : how->other_ms;
}

static int ask(struct host_vss *v, const struct host_vss_msg *m,
	       uint32_t limit_ms, const struct host_fault *f,
	       host_vss_done done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));
	uint8_t body[VSS_MSG_MAX];
	struct wr w = wr_of(body, sizeof(body));
	int err;

	if (!j)
		return -ENOMEM;
	j->v = v;
	j->done = done;
	j->arg = arg;
	j->msg = *m;
	j->mangled = f && host_fault_mangles(f);
	j->next = v->jobs;
	v->jobs = j;
	err = host_vss_put(&w, m, host_ic_version(v->ic));
	if (err == 0)
		err = host_ic_ask_within(v->ic, limit_ms, body, w.len, f,
					 answered, j);
	if (err < 0)
		free_job(j);
	return err;
}

int host_vss_request(struct host_vss *v, const struct host_vss_msg *m,
		     const struct host_fault *f, host_vss_done done, void *arg)
{
	return ask(v, m, patience(&v->how, m->op), f, done, arg);
}

void host_vss_forget(struct host_vss *v, const void *arg)
{
	struct host_vss_snapshot *s = v->running;

	for (struct job *j = v->jobs; j; j = j->next) {
		if (j->arg == arg)
			j->done = NULL;
	}
	if (s && s->cfg.arg == arg) {
		s->cfg.progress = NULL;
		s->cfg.done = NULL;
	}
}

/* Snapshots -------------------------------------------------------------- */

static void go_on(struct host_vss_snapshot *s);

static void timer_fired(void *arg)
{
	struct host_vss_snapshot *s = arg;

	s->fired(s);
}

static void call_later(struct host_vss_snapshot *s, uint64_t ms,
		       void (*fn)(struct host_vss_snapshot *s))
{
	s->fired = fn;
	loop_timer_set(&s->timer, ms);
}

/* The first cause is what people want to know. */
static void verdict(struct host_vss_snapshot *s, enum host_vss_outcome o,
		    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void verdict(struct host_vss_snapshot *s, enum host_vss_outcome o,
		    const char *fmt, ...)
{
	va_list ap;

	if (s->verdict.outcome != HOST_VSS_PRODUCTION)
		return;
	s->verdict.outcome = o;
	va_start(ap, fmt);
	vsnprintf(s->verdict.why, sizeof(s->verdict.why), fmt, ap);
	va_end(ap);
}

static void begin_step(struct host_vss_snapshot *s, enum host_vss_step step)
{
	s->at = step;
	s->took = (struct host_vss_took){
		.step = step, .at_ms = now(s->v) - s->start_ms };
	if (s->cfg.progress)
		s->cfg.progress(s->cfg.arg, &s->took);
}

static void end_step(struct host_vss_snapshot *s, int err, uint32_t status)
{
	s->took.ended = true;
	s->took.err = err;
	s->took.status = status;
	s->took.took_ms = now(s->v) - s->start_ms - s->took.at_ms;
	if (s->verdict.n < HOST_VSS_TAKEN)
		s->verdict.step[s->verdict.n++] = s->took;
	if (s->cfg.progress)
		s->cfg.progress(s->cfg.arg, &s->took);
}

static void finish(struct host_vss_snapshot *s)
{
	struct host_vss *v = s->v;

	loop_timer_cancel(&s->timer);
	s->verdict.took_ms = now(v) - s->start_ms;
	v->last = s->verdict;
	v->any = true;
	v->stats.outcome[s->verdict.outcome]++;
	v->running = NULL;
	if (s->cfg.done)
		s->cfg.done(s->cfg.arg, &s->verdict);
	free(s);
}

static void thawed(struct host_vss_snapshot *s)
{
	if (s->frozen)
		s->verdict.frozen_ms = now(s->v) - s->frozen_at_ms;
	s->frozen = false;
}

/* A guest that said no before anything was frozen. */
static void without_guest(struct host_vss_snapshot *s,
			  enum host_vss_offline level, const char *why)
{
	verdict(s, s->how.offline >= level ? HOST_VSS_OFFLINE :
		HOST_VSS_FAILED, "%s", why);
	s->hurry = true;
}

static void freeze_failed(struct host_vss_snapshot *s, int err,
			  uint32_t status)
{
	bool thaw = err ? s->how.thaw_unanswered : s->how.thaw_refused;
	char why[HOST_VSS_WHY];

	snprintf(why, sizeof(why), err ? "freeze: %s" :
		 "the guest answered %s to freeze",
		 host_vss_end_name(err, status));
	if (err)
		verdict(s, HOST_VSS_FAILED, "%s", why);
	else
		without_guest(s, HOST_VSS_NO_FREEZE, why);
	s->hurry = true;
	s->frozen = thaw;		/* for all the host knows */
	s->frozen_at_ms = now(s->v);
}

/* The step failed: what becomes of the whole? */
static void step_failed(struct host_vss_snapshot *s, int err, uint32_t status)
{
	char why[HOST_VSS_WHY];

	if (err == -ECANCELED || err == -ENOTCONN) {
		thawed(s);		/* nothing can be sent any more */
		s->hurry = true;
	}
	switch (s->at) {
	case HOST_VSS_CHECK:
		snprintf(why, sizeof(why), err ? "check: %s" :
			 "the guest answered %s to check",
			 host_vss_end_name(err, status));
		without_guest(s, HOST_VSS_NO_CHECK, why);
		break;
	case HOST_VSS_FREEZE:
		freeze_failed(s, err, status);
		break;
	case HOST_VSS_THAW:
		verdict(s, HOST_VSS_FAILED, "thaw: %s; nobody can say when "
			"the guest went on", host_vss_end_name(err, status));
		break;
	case HOST_VSS_HOLD:
	case HOST_VSS_DM_INFO:
	case HOST_VSS_RECOVER:
	case HOST_VSS_COMPLETE:
		if (s->hurry)
			verdict(s, HOST_VSS_FAILED, "%s: %s",
				step_names[s->at],
				host_vss_end_name(err, status));
		break;
	case HOST_VSS_N_STEPS:
		break;
	}
}

static void frozen(struct host_vss_snapshot *s)
{
	s->frozen = true;
	s->frozen_at_ms = now(s->v);
}

static void step_answered(void *arg, const struct host_vss_result *r)
{
	struct host_vss_snapshot *s = arg;
	bool good = r->err == 0 && r->status == HV_S_OK;

	end_step(s, r->err, r->status);
	if (good && s->at == HOST_VSS_CHECK)
		s->guest_flags = r->msg->flags;
	if (good && s->at == HOST_VSS_FREEZE)
		frozen(s);
	if (s->at == HOST_VSS_THAW && (good || !s->thaws_left))
		thawed(s);
	if (!good)
		step_failed(s, r->err, r->status);
	go_on(s);
}

/* The hold ---------------------------------------------------------------- */

static void hold_over(struct host_vss_snapshot *s)
{
	loop_timer_cancel(&s->timer);
	s->holding = false;
	end_step(s, 0, HV_S_OK);
	if (s->cfg.no_thaw) {
		verdict(s, HOST_VSS_ABANDONED, "frozen and forgotten");
		thawed(s);
		s->hurry = true;
	}
	go_on(s);
}

static void work_too_long(struct host_vss_snapshot *s)
{
	host_vss_worked(s, "the work took too long");
}

/* Held long enough; the work may still go on. */
static void held(struct host_vss_snapshot *s)
{
	uint32_t left = s->cfg.work_ms > s->cfg.hold_ms ?
		s->cfg.work_ms - s->cfg.hold_ms : 1;

	s->held = true;
	if (s->worked)
		hold_over(s);
	else if (s->cfg.work_ms)
		call_later(s, left, work_too_long);
}

static void hold(struct host_vss_snapshot *s)
{
	s->holding = true;
	s->held = false;
	s->worked = !s->cfg.work;
	if (s->cfg.hold_ms)
		call_later(s, s->cfg.hold_ms, held);
	else
		held(s);
}

void host_vss_worked(struct host_vss_snapshot *s, const char *failed)
{
	if (!s->holding || s->worked)
		return;
	s->worked = true;
	if (failed) {
		verdict(s, HOST_VSS_FAILED, "%s", failed);
		s->hurry = true;
	}
	if (s->held || failed)
		hold_over(s);
}

/* Steps ------------------------------------------------------------------- */

static void load(struct host_vss_snapshot *s, struct host_vss_msg *m)
{
	memset(m, 0, sizeof(*m));
	if (s->at == HOST_VSS_FREEZE || s->at == HOST_VSS_RECOVER)
		*m = s->msg;
	m->op = step_ops[s->at];
}

static void start_request(struct host_vss_snapshot *s)
{
	const struct host_fault *f = &s->cfg.fault[s->at];
	struct host_vss_msg m;
	int err;

	load(s, &m);
	err = ask(s->v, &m, patience(&s->how, m.op), f, step_answered, s);
	if (err == 0)
		return;
	end_step(s, err, 0);
	step_failed(s, err, 0);
	call_later(s, 0, go_on);
}

static bool too_old(const struct host_vss *v)
{
	return host_ic_state_get(v->ic) == HOST_IC_READY &&
		host_ic_version(v->ic) < HV_IC_VERSION(5, 0);
}

static bool left_out(const struct host_vss_snapshot *s,
		     enum host_vss_step step)
{
	return step == HOST_VSS_RECOVER &&
		(s->guest_flags & VSS_HOT_BACKUP_FLAGS) == VSS_HOT_BACKUP_FLAGS;
}

static bool next_step(struct host_vss_snapshot *s, enum host_vss_step *step)
{
	if (s->at == HOST_VSS_THAW && s->took.ended && s->frozen) {
		s->thaws_left--;
		*step = HOST_VSS_THAW;
		return true;
	}
	if (s->hurry) {
		*step = HOST_VSS_THAW;
		return s->frozen;
	}
	while (s->next < s->how.n_order) {
		*step = s->how.order[s->next++];
		if (!left_out(s, *step))
			return true;
	}
	return false;
}

static void go_on(struct host_vss_snapshot *s)
{
	enum host_vss_step step;

	do {
		if (!next_step(s, &step)) {
			finish(s);
			return;
		}
		begin_step(s, step);
	} while (s->hurry && step != HOST_VSS_THAW);
	if (step == HOST_VSS_HOLD)
		hold(s);
	else
		start_request(s);
}

static void begin(struct host_vss_snapshot *s)
{
	const char *why = NULL;

	if (too_old(s->v))
		why = "the guest's version of the service has no freeze";
	else if (host_ic_state_get(s->v->ic) != HOST_IC_READY)
		why = "the guest does not serve backups";
	if (!why) {
		go_on(s);
		return;
	}
	without_guest(s, HOST_VSS_NO_CHECK, why);
	call_later(s, 0, go_on);	/* which ends it, not from in here */
}

struct host_vss_snapshot *
host_vss_snapshot(struct host_vss *v, const struct host_vss_snapshot_cfg *cfg)
{
	struct host_vss_snapshot *s = NULL;

	if (v->running) {
		errno = EBUSY;
		return NULL;
	}
	if (cfg->n_luns <= VSS_MAX_LUNS)
		s = calloc(1, sizeof(*s));
	if (!s) {
		errno = ENOMEM;
		return NULL;
	}
	s->v = v;
	s->cfg = *cfg;
	s->how = cfg->how ? *cfg->how : v->how;
	s->start_ms = now(v);
	s->at = HOST_VSS_N_STEPS;
	s->thaws_left = s->how.thaw_again;
	s->msg.backup_type = cfg->backup_type;
	s->msg.flags = cfg->flags;
	s->msg.n_luns = cfg->n_luns;
	for (uint32_t i = 0; i < cfg->n_luns; i++)
		s->msg.luns[i] = cfg->luns[i];
	loop_timer_init(&s->timer, v->loop, timer_fired, s);
	v->running = s;
	begin(s);
	return s;
}

void host_vss_abandon(struct host_vss_snapshot *s, const char *why)
{
	s->cfg.progress = NULL;
	s->cfg.done = NULL;
	s->cfg.no_thaw = false;
	verdict(s, HOST_VSS_FAILED, "%s", why);
	s->hurry = true;
	if (s->holding)
		hold_over(s);
}

/* Life -------------------------------------------------------------------- */

struct host_vss *host_vss_new(struct loop *l, struct host_ic *ic,
			      const struct host_vss_manner *how)
{
	struct host_vss *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->loop = l;
	v->ic = ic;
	v->how = *how;
	return v;
}

void host_vss_free(struct host_vss *v)
{
	if (!v)
		return;
	if (v->running) {
		loop_timer_cancel(&v->running->timer);
		free(v->running);
	}
	while (v->jobs) {
		struct job *j = v->jobs;

		v->jobs = j->next;
		free(j);
	}
	free(v);
}

/* A request under way is cancelled by the ic; a hold ends here. */
void host_vss_lost(struct host_vss *v)
{
	struct host_vss_snapshot *s = v->running;

	set_frozen(v, false);
	if (!s || !s->holding)
		return;
	verdict(s, HOST_VSS_FAILED, "the guest was lost while it was frozen");
	thawed(s);
	s->hurry = true;
	s->cfg.no_thaw = false;
	hold_over(s);
}

struct host_vss_snapshot *host_vss_running(struct host_vss *v)
{
	return v->running;
}

enum host_vss_step host_vss_at(const struct host_vss_snapshot *s)
{
	return s->at;
}

const struct host_vss_verdict *host_vss_last(const struct host_vss *v)
{
	return v->any ? &v->last : NULL;
}

const struct host_vss_stats *host_vss_stats_get(const struct host_vss *v)
{
	return &v->stats;
}
