/* host/host_run.c - theory of operation of a scenario run.
 *
 * The run is at one step at a time. advance() starts the step, and asks it and
 * its expectation again after everything that happens, until they are
 * fulfilled, contradicted, or patience is over. It is called from the loop
 * through an eventfd, never from inside a callback of the host's.
 *
 * Patience is real time (a timerfd) on both clocks: a virtual clock moves only
 * when a step says so, and a guest that hangs must still end the run. A step
 * that moves a virtual clock first lets everything settle: nothing ready for
 * settle_ms of real time, or the caller, who owns all parties and the loop,
 * says that nothing is. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/host_json.h"
#include "host/host_scenario_step.h"

enum { PATIENCE_MS = 10000, PATIENCE_WAIT_MS = 60000, REAL_SETTLE_MS = 50 };

/* How a request, walk or push ended. */
struct result {
	struct result *next;
	struct host_run *run;
	char as[STEP_NAME];
	bool done;
	int err;
	uint32_t status;
	uint64_t took_ms;
	json_t *item, *items, *ip;	/* what came back, or NULL */
};

enum verdict { WAIT, OK, FAIL };

struct host_run {
	struct host *host;
	const struct host_scenario *s;
	bool virtual_clock;
	struct host_run_cfg cfg;
	uint64_t seed;
	struct host_observer observer;
	int poke_fd, timer_fd;
	struct loop_io *poke_io, *timer_io;
	struct loop_timer clock;	/* "advance-ms" on a real clock */
	size_t at;			/* in s->order; n_order: the settling */
	bool started;			/* the step at `at` */
	bool elapsed;			/* the time it wanted has passed */
	bool out_of_patience;
	bool over;
	struct result *results;		/* the newest first */
	char why[256];
};

/* Saying why ------------------------------------------------------------- */

static enum verdict because(struct host_run *r, enum verdict v,
			    const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static enum verdict because(struct host_run *r, enum verdict v,
			    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return v;
}

static void poke(struct host_run *r)
{
	uint64_t one = 1;

	if (write(r->poke_fd, &one, sizeof(one)) < 0)
		r->out_of_patience = true;	/* cannot be: then end */
}

static void on_changed(void *arg)
{
	poke(arg);
}

/* Requests --------------------------------------------------------------- */

static struct result *new_result(struct host_run *r, const char *as)
{
	struct result *res = calloc(1, sizeof(*res));

	if (!res)
		return NULL;
	res->run = r;
	snprintf(res->as, sizeof(res->as), "%s", as);
	res->next = r->results;
	r->results = res;
	return res;
}

static json_t *item_json(const struct host_kvp_item *it)
{
	struct host_kvp_entry e = { it->type, (char *)it->key,
				    (char *)it->value };

	return host_json_entry(&e);
}

static void on_done(void *arg, const struct host_kvp_result *k)
{
	struct result *res = arg;
	uint8_t op = k->msg ? k->msg->op : KVP_N_OPS;

	res->done = true;
	res->err = k->err;
	res->status = k->status;
	res->took_ms = k->took_ms;
	if (k->err == 0 && k->status == HV_S_OK && k->list)
		res->items = host_json_list(k->list);
	if (k->err == 0 && k->status == HV_S_OK &&
	    (op == KVP_GET || op == KVP_ENUMERATE))
		res->item = item_json(&k->msg->item);
	if (k->err == 0 && k->status == HV_S_OK && op == KVP_GET_IP_INFO)
		res->ip = host_json_ip(&k->msg->ip);
	poke(res->run);
}

static enum verdict start_request(struct host_run *r, const struct step *st)
{
	struct result *res = new_result(r, st->as);
	struct host_kvp *k = host_kvp_of(r->host);
	struct host_fault f = st->fault;
	int err;

	if (!res)
		return because(r, FAIL, "no memory");
	if (st->random_fault)
		host_fault_random(&f, &r->seed);
	if (st->kind == STEP_WALK)
		err = host_kvp_walk(k, st->pool, on_done, res);
	else if (st->kind == STEP_PUSH)
		err = host_kvp_push(k, on_done, res);
	else
		err = host_kvp_request(k, st->msg, &f, on_done, res);
	if (err < 0) {
		res->done = true;	/* it can be expected */
		res->err = err;
	}
	return OK;
}

/* Starting a step -------------------------------------------------------- */

static void set_timer(struct host_run *r, uint64_t ms)
{
	struct itimerspec t = { .it_value = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000 * 1000000),
	} };

	timerfd_settime(r->timer_fd, 0, &t, NULL);
}

static uint64_t patience(const struct host_run *r, const struct step *st)
{
	uint64_t answer = host_profile_of(r->host)->answer_ms;

	if (st->within_ms)
		return st->within_ms;
	if (st->kind == STEP_WAIT)
		return PATIENCE_WAIT_MS;
	/* On a real clock the host's own limit is to pass first. */
	return r->virtual_clock ? PATIENCE_MS : PATIENCE_MS + answer;
}

/* The step waits for a time that is not patience. */
static bool is_timed(const struct step *st)
{
	return st->kind == STEP_ADVANCE || st->kind == STEP_SETTLE;
}

static void start_time(struct host_run *r, const struct step *st)
{
	if (r->virtual_clock) {
		if (r->cfg.settle_ms)
			set_timer(r, r->cfg.settle_ms);
	} else {
		loop_timer_set(&r->clock, st->kind == STEP_SETTLE ?
			       REAL_SETTLE_MS : st->value);
	}
}

static enum verdict act(struct host_run *r, int err)
{
	return err < 0 ? because(r, FAIL, "%s", strerror(-err)) : OK;
}

static enum verdict start_negotiation(struct host_run *r, const struct step *st)
{
	const struct host_profile *p = host_profile_of(r->host);
	struct host_fault f = st->fault;

	if (st->random_fault)
		host_fault_random(&f, &r->seed);
	return act(r, host_ic_negotiate(host_ic_of(r->host, st->ic),
					st->framework.n ? &st->framework :
					&p->framework,
					st->message.n ? &st->message : &p->kvp,
					&f));
}

/* The fault is for the negotiation that the guest's open will start. */
static enum verdict start_offer(struct host_run *r, const struct step *st)
{
	struct host_fault f = st->fault;

	if (st->random_fault)
		host_fault_random(&f, &r->seed);
	host_ic_offer(host_ic_of(r->host, st->ic), NULL, NULL, &f);
	return act(r, host_offer(r->host, st->ic));
}

static enum verdict start_step(struct host_run *r, const struct step *st)
{
	struct host_kvp *k = host_kvp_of(r->host);

	switch (st->kind) {
	case STEP_EXPECT:
	case STEP_WAIT:
		return OK;
	case STEP_REQUEST:
	case STEP_WALK:
	case STEP_PUSH:
		return start_request(r, st);
	case STEP_ADVANCE:
	case STEP_SETTLE:
		start_time(r, st);
		return OK;
	case STEP_RESCIND:
		return act(r, host_rescind(r->host, st->ic));
	case STEP_OFFER:
		return start_offer(r, st);
	case STEP_NEGOTIATE:
		return start_negotiation(r, st);
	case STEP_REFUSE:
		host_refuse(r->host, st->ic, (uint32_t)st->value);
		return OK;
	case STEP_KICK:
		host_kick(r->host, st->ic);
		return OK;
	case STEP_RING:
		return act(r, host_ring_fault(r->host, st->ic, st->ring,
					      (uint32_t)st->value));
	case STEP_RESTART:
		host_restart(r->host);
		return OK;
	case STEP_ITEM_SET:
		return act(r, host_kvp_item_set(k, &st->msg->item));
	case STEP_ITEM_DELETE:
		return act(r, host_kvp_item_delete(k, st->msg->item.key));
	case STEP_POLL:
		host_kvp_poll(k, (uint32_t)st->value);
		return OK;
	}
	return FAIL;
}

/* Expectations ----------------------------------------------------------- */

/* Each looks at one member of "expect". `res` is the request meant, which has
 * ended if `after` is set. */
typedef enum verdict look_fn(struct host_run *r, struct result *res,
			     const json_t *want);

static const char *result_name(const struct result *res)
{
	switch (res->err) {
	case 0:
		return "answered";
	case -ETIMEDOUT:
		return "timeout";
	case -EBADMSG:
		return "malformed";
	case -ECANCELED:
		return "cancelled";
	case -ENOTCONN:
		return "not-ready";
	default:
		return strerror(-res->err);
	}
}

static enum verdict look_answered(struct host_run *r, struct result *res,
				  const json_t *want)
{
	bool answered = res->done && res->err == 0;

	if (answered == json_is_true(want))
		return OK;
	if (answered)
		return because(r, FAIL, "it was answered");
	return res->done ? because(r, FAIL, "not answered: %s",
				   result_name(res)) :
		because(r, WAIT, "no answer");
}

static enum verdict look_result(struct host_run *r, struct result *res,
				const json_t *want)
{
	const char *list = json_string_value(want), *name = result_name(res);
	const char *at = strstr(list, name);

	if (at)			/* "timeout|cancelled" allows either */
		return OK;
	return because(r, FAIL, "the request ended as %s, not %s", name, list);
}

static bool status_fits(uint32_t status, const char *want)
{
	uint32_t v;

	if (!strcmp(want, "any"))
		return true;
	if (!strcmp(want, "failure"))
		return status != HV_S_OK;
	return host_status_parse(&v, want) == 0 && v == status;
}

static enum verdict look_status(struct host_run *r, struct result *res,
				const json_t *want)
{
	const char *name = json_string_value(want);

	if (res->err < 0)
		return because(r, FAIL, "no answer: %s", result_name(res));
	if (status_fits(res->status, name))
		return OK;
	return because(r, FAIL, "status is %s, not %s",
		       host_status_name(res->status), name);
}

static enum verdict look_text(struct host_run *r, struct result *res,
			      const json_t *want, const char *member)
{
	const json_t *have = json_object_get(res->item, member);

	if (have && json_equal(have, want))
		return OK;
	if (!have)
		return because(r, FAIL, "there is no %s: %s %s", member,
			       result_name(res),
			       res->err ? "" : host_status_name(res->status));
	return because(r, FAIL, "%s is \"%.80s\", not \"%.80s\"", member,
		       json_string_value(have), json_string_value(want));
}

static enum verdict look_key(struct host_run *r, struct result *res,
			     const json_t *want)
{
	return look_text(r, res, want, "key");
}

static enum verdict look_value(struct host_run *r, struct result *res,
			       const json_t *want)
{
	return look_text(r, res, want, "value");
}

static enum verdict look_type(struct host_run *r, struct result *res,
			      const json_t *want)
{
	return look_text(r, res, want, "type");
}

static enum verdict look_count(struct host_run *r, struct result *res,
			       const json_t *want)
{
	json_int_t have = (json_int_t)json_array_size(res->items);

	if (res->items && have == json_integer_value(want))
		return OK;
	return res->items ? because(r, FAIL, "%lld items, not %lld", have,
				    json_integer_value(want)) :
		because(r, FAIL, "no list: %s %s", result_name(res),
			res->err ? "" : host_status_name(res->status));
}

static bool has_item(const json_t *items, const json_t *want)
{
	const json_t *it;
	size_t i;

	json_array_foreach((json_t *)items, i, it) {
		const char *member;
		json_t *v;
		bool same = true;

		json_object_foreach((json_t *)want, member, v)
			same = same && json_equal(json_object_get(it, member),
						  v);
		if (same)
			return true;
	}
	return false;
}

/* Each of these is in the list, with the members that are named. */
static enum verdict look_items(struct host_run *r, struct result *res,
			       const json_t *want)
{
	const json_t *w;
	size_t i;

	json_array_foreach((json_t *)want, i, w) {
		if (!has_item(res->items, w))
			return because(r, FAIL, "item %zu (\"%.80s\") is not "
				       "in the list", i + 1, json_string_value(
				       json_object_get(w, "key")));
	}
	return OK;
}

static enum verdict look_ip(struct host_run *r, struct result *res,
			    const json_t *want)
{
	const char *member;
	json_t *v;

	if (!res->ip)
		return because(r, FAIL, "no IP information: %s %s",
			       result_name(res),
			       res->err ? "" : host_status_name(res->status));
	json_object_foreach((json_t *)want, member, v) {
		if (!json_equal(json_object_get(res->ip, member), v))
			return because(r, FAIL, "\"%s\" differs", member);
	}
	return OK;
}

static enum verdict look_took(struct host_run *r, struct result *res,
			      const json_t *want)
{
	if ((json_int_t)res->took_ms <= json_integer_value(want))
		return OK;
	return because(r, FAIL, "it took %llu ms, over %lld",
		       (unsigned long long)res->took_ms,
		       json_integer_value(want));
}

static enum verdict look_number(struct host_run *r, uint64_t have,
				const json_t *want, const char *what)
{
	json_int_t w = json_integer_value(want);

	if (have == (uint64_t)w)
		return OK;
	return because(r, have < (uint64_t)w ? WAIT : FAIL,
		       "%s: %llu, not %lld", what, (unsigned long long)have, w);
}

static enum verdict look_violations(struct host_run *r, struct result *res,
				    const json_t *want)
{
	(void)res;
	return look_number(r, host_violations(r->host), want, "violations");
}

static const struct host_ic_stats *stats(const struct host_run *r)
{
	return host_ic_stats_get(host_ic_of(r->host, HOST_KVP));
}

static enum verdict look_unanswered(struct host_run *r, struct result *res,
				    const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->unanswered, want, "unanswered");
}

static enum verdict look_negotiations(struct host_run *r, struct result *res,
				      const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->negotiations, want, "negotiations");
}

static enum verdict look_late(struct host_run *r, struct result *res,
			      const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->late, want, "late answers");
}

static enum verdict look_stale(struct host_run *r, struct result *res,
			       const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->stale, want, "stale answers");
}

static enum verdict look_name(struct host_run *r, const char *have,
			      const json_t *want, const char *what)
{
	if (!strcmp(have, json_string_value(want)))
		return OK;
	return because(r, WAIT, "%s is %s, not %s", what, have,
		       json_string_value(want));
}

static enum verdict look_state(struct host_run *r, struct result *res,
			       const json_t *want)
{
	(void)res;
	return look_name(r, host_ic_state_name(host_ic_state_get(
			 host_ic_of(r->host, HOST_KVP))), want, "kvp");
}

static enum verdict look_health(struct host_run *r, struct result *res,
				const json_t *want)
{
	(void)res;
	return look_name(r, host_health(r->host, HOST_KVP).name, want,
			 "the status of kvp");
}

static enum verdict look_version(struct host_run *r, struct result *res,
				 const json_t *want)
{
	char v[HOST_VERSION_TEXT];

	(void)res;
	return look_name(r, host_version_text(v, host_ic_version(
			 host_ic_of(r->host, HOST_KVP))), want, "the version");
}

static enum verdict look_framework(struct host_run *r, struct result *res,
				   const json_t *want)
{
	char v[HOST_VERSION_TEXT];

	(void)res;
	return look_name(r, host_version_text(v, host_ic_framework(
			 host_ic_of(r->host, HOST_KVP))), want,
			 "the framework");
}

static enum verdict look_guest(struct host_run *r, struct result *res,
			       const json_t *want)
{
	(void)res;
	return look_name(r, host_guest(r->host) ? "connected" : "gone", want,
			 "the guest");
}

/* "of" is read before any other member; here it is nothing to look at. */
static enum verdict look_of(struct host_run *r, struct result *res,
			    const json_t *want)
{
	(void)r;
	(void)res;
	(void)want;
	return OK;
}

/* `after`: only when the request has ended. Text, whole numbers, ... are what
 * the member's value must be. */
static const struct look {
	const char *name;
	look_fn *fn;
	bool needs_result, after;
	json_type type;
} looks[] = {
	{ "of", look_of, true, false, JSON_STRING },
	{ "answered", look_answered, true, false, JSON_TRUE },
	{ "result", look_result, true, true, JSON_STRING },
	{ "status", look_status, true, true, JSON_STRING },
	{ "key", look_key, true, true, JSON_STRING },
	{ "value", look_value, true, true, JSON_STRING },
	{ "type", look_type, true, true, JSON_STRING },
	{ "count", look_count, true, true, JSON_INTEGER },
	{ "items", look_items, true, true, JSON_ARRAY },
	{ "ip", look_ip, true, true, JSON_OBJECT },
	{ "took-at-most-ms", look_took, true, true, JSON_INTEGER },
	{ "violations", look_violations, false, false, JSON_INTEGER },
	{ "unanswered", look_unanswered, false, false, JSON_INTEGER },
	{ "negotiations", look_negotiations, false, false, JSON_INTEGER },
	{ "late", look_late, false, false, JSON_INTEGER },
	{ "stale", look_stale, false, false, JSON_INTEGER },
	{ "state", look_state, false, false, JSON_STRING },
	{ "health", look_health, false, false, JSON_STRING },
	{ "version", look_version, false, false, JSON_STRING },
	{ "framework", look_framework, false, false, JSON_STRING },
	{ "guest", look_guest, false, false, JSON_STRING },
};

static const struct look *find_look(const char *name)
{
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		if (!strcmp(looks[i].name, name))
			return &looks[i];
	}
	return NULL;
}

const char *host_run_check_expect(const json_t *expect)
{
	const char *member;
	json_t *v;

	if (!json_is_object(expect))
		return "expect";
	json_object_foreach((json_t *)expect, member, v) {
		const struct look *l = find_look(member);
		json_type t = json_typeof(v);
		uint32_t status;

		if (!l || (t == JSON_FALSE ? JSON_TRUE : t) != l->type)
			return member;
		if (!strcmp(member, "status") &&
		    strcmp(json_string_value(v), "any") != 0 &&
		    strcmp(json_string_value(v), "failure") != 0 &&
		    host_status_parse(&status, json_string_value(v)) < 0)
			return member;
	}
	return NULL;
}

static struct result *meant(struct host_run *r, const json_t *expect)
{
	const char *of = json_string_value(json_object_get(expect, "of"));
	struct result *res = r->results;

	while (of && res && strcmp(res->as, of) != 0)
		res = res->next;
	return res;
}

static enum verdict look_at(struct host_run *r, struct result *res,
			    const char *member, const json_t *want)
{
	const struct look *l = find_look(member);

	if (l->needs_result && !res)
		return because(r, FAIL, "no such request was made");
	if (l->after && !res->done)
		return because(r, WAIT, "no answer");
	return l->fn(r, res, want);
}

static enum verdict check_expect(struct host_run *r, const json_t *expect)
{
	struct result *res = meant(r, expect);
	enum verdict all = OK;
	const char *member;
	json_t *want;

	json_object_foreach((json_t *)expect, member, want) {
		enum verdict v = look_at(r, res, member, want);

		if (v == FAIL)
			return FAIL;
		if (v == WAIT)
			all = WAIT;
	}
	return all;
}

/* Waiting ---------------------------------------------------------------- */

static enum verdict until(struct host_run *r, bool is, const char *what)
{
	return is ? OK : because(r, WAIT, "%s", what);
}

static enum verdict check_wait(struct host_run *r, enum wait_for what)
{
	const struct host_ic *ic = host_ic_of(r->host, HOST_KVP);
	bool open = host_ic_opened(r->host, HOST_KVP);

	switch (what) {
	case WAIT_GUEST:
		return until(r, host_guest(r->host), "no guest came");
	case WAIT_GONE:
		return until(r, !host_guest(r->host), "the guest stayed");
	case WAIT_OPEN:
		return until(r, open, "the channel was not opened");
	case WAIT_CLOSED:
		return until(r, !open, "the channel was not closed");
	case WAIT_READY:
		return until(r, host_ic_state_get(ic) == HOST_IC_READY,
			     "the guest never became ready");
	case WAIT_PUSHED:
		return until(r, host_kvp_pushed(host_kvp_of(r->host)),
			     "the push did not end");
	case WAIT_IDLE:
		return until(r, !host_ic_busy(ic), "requests are outstanding");
	}
	return FAIL;
}

/* What the whole run is held to, unless the file says otherwise. */
static enum verdict check_require(struct host_run *r)
{
	const json_t *v = json_object_get(r->s->require, "violations");
	const json_t *u = json_object_get(r->s->require, "unanswered");
	uint64_t violations = v ? (uint64_t)json_integer_value(v) : 0;
	uint64_t unanswered = u ? (uint64_t)json_integer_value(u) : 0;
	const struct host_violation *last = host_violation_at(r->host, 0);

	if (!json_is_null(v) && host_violations(r->host) != violations)
		return because(r, FAIL, "%llu violations, not %llu; the first:"
			       " %s", (unsigned long long)
			       host_violations(r->host),
			       (unsigned long long)violations,
			       last ? last->text : "none");
	if (!json_is_null(u) && stats(r)->unanswered != unanswered)
		return because(r, FAIL, "%llu unanswered, not %llu",
			       (unsigned long long)stats(r)->unanswered,
			       (unsigned long long)unanswered);
	return OK;
}

static enum verdict check_step(struct host_run *r, const struct step *st)
{
	enum verdict v = OK;

	if (is_timed(st) && !r->elapsed)
		return because(r, WAIT, "time did not pass");
	if (st->kind == STEP_WAIT)
		v = check_wait(r, (enum wait_for)st->value);
	if (v == OK && st->expect)
		v = check_expect(r, st->expect);
	if (v == OK && st->kind == STEP_SETTLE)
		v = check_require(r);
	return v;
}

/* Going on --------------------------------------------------------------- */

static const struct step settle = { .kind = STEP_SETTLE, .text = "verdict" };

static const struct step *step_at(const struct host_run *r, const char **label)
{
	const struct order *o;

	if (r->at == r->s->n_order) {
		*label = "end";
		return &settle;
	}
	o = &r->s->order[r->at];
	*label = o->label;
	return &r->s->steps[o->step];
}

static void finish(struct host_run *r, bool passed)
{
	r->over = true;
	set_timer(r, 0);
	loop_timer_cancel(&r->clock);
	if (r->cfg.done)
		r->cfg.done(r->cfg.arg, passed);
}

/* One look at the current step; true when the next one's turn has come. */
static bool try_step(struct host_run *r)
{
	const char *label;
	const struct step *st = step_at(r, &label);
	enum verdict v = OK;

	if (!r->started) {
		r->started = true;
		r->elapsed = r->out_of_patience = false;
		if (!is_timed(st))
			set_timer(r, patience(r, st));
		v = start_step(r, st);
	}
	if (v == OK)
		v = check_step(r, st);
	if (v == WAIT && !r->out_of_patience)
		return false;
	if (r->cfg.step)
		r->cfg.step(r->cfg.arg, label, st->text,
			    v == OK ? NULL : r->why);
	if (v != OK) {
		finish(r, false);
		return false;
	}
	r->started = false;
	if (r->at++ == r->s->n_order)
		finish(r, true);
	return !r->over;
}

static void go_on(struct host_run *r)
{
	/* In bursts: a file of a million steps is no reason to starve the
	 * loop. */
	for (unsigned i = 0; i < 64 && !r->over; i++) {
		if (!try_step(r))
			return;
	}
	if (!r->over)
		poke(r);
}

static void on_poke(void *arg, unsigned events)
{
	struct host_run *r = arg;
	uint64_t n;

	(void)events;
	if (read(r->poke_fd, &n, sizeof(n)) == sizeof(n) && !r->over)
		go_on(r);
}

/* The clock of a virtual step moves, and with it all that waits for it. */
static void let_time_pass(struct host_run *r)
{
	const char *label;
	const struct step *st = step_at(r, &label);

	r->elapsed = true;
	if (st->value)
		loop_advance(host_loop(r->host), st->value);
	poke(r);
}

static void on_timer(void *arg, unsigned events)
{
	struct host_run *r = arg;
	const char *label;
	uint64_t n;

	(void)events;
	if (read(r->timer_fd, &n, sizeof(n)) != sizeof(n) || r->over)
		return;
	if (is_timed(step_at(r, &label)) && !r->elapsed) {
		let_time_pass(r);
		set_timer(r, PATIENCE_MS);	/* for its expectation */
		return;
	}
	r->out_of_patience = true;
	go_on(r);
}

static void on_clock(void *arg)
{
	struct host_run *r = arg;

	r->elapsed = true;
	set_timer(r, PATIENCE_MS);
	poke(r);
}

bool host_run_idle(struct host_run *r)
{
	const char *label;

	if (r->over || !r->started || r->elapsed || !r->virtual_clock ||
	    !is_timed(step_at(r, &label)))
		return false;
	let_time_pass(r);
	set_timer(r, PATIENCE_MS);
	return true;
}

uint64_t host_run_seed(const struct host_run *r)
{
	return r->cfg.seed;
}

/* Life ------------------------------------------------------------------- */

static void prepare(struct host_run *r)
{
	struct host_kvp *k = host_kvp_of(r->host);
	struct host_kvp_item it;
	struct host_kvp_ip ip;
	const json_t *j;
	size_t i;

	json_array_foreach((json_t *)r->s->items, i, j) {
		if (!host_json_item(&it, j, true))
			host_kvp_item_set(k, &it);
	}
	if (r->s->ip_at_connect && !host_json_get_ip(&ip, r->s->ip_at_connect))
		host_kvp_ip_at_connect(k, &ip);
	if (r->s->poll_ms)
		host_kvp_poll(k, r->s->poll_ms);
}

static int open_fds(struct host_run *r)
{
	struct loop *l = host_loop(r->host);

	r->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->timer_fd = timerfd_create(CLOCK_MONOTONIC,
				     TFD_CLOEXEC | TFD_NONBLOCK);
	if (r->poke_fd < 0 || r->timer_fd < 0)
		return -1;
	r->poke_io = loop_io_new(l, r->poke_fd, LOOP_READ, on_poke, r);
	r->timer_io = loop_io_new(l, r->timer_fd, LOOP_READ, on_timer, r);
	if (r->poke_io && r->timer_io)
		return 0;
	errno = ENOMEM;
	return -1;
}

struct host_run *host_run_new(struct host *h, const struct host_scenario *s,
			      bool virtual_clock,
			      const struct host_run_cfg *cfg)
{
	struct host_run *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return NULL;
	r->host = h;
	r->s = s;
	r->virtual_clock = virtual_clock;
	r->cfg = *cfg;
	if (!r->cfg.seed)
		r->cfg.seed = s->seed;
	r->seed = r->cfg.seed;
	r->poke_fd = r->timer_fd = -1;
	r->observer = (struct host_observer){ on_changed, r, NULL };
	loop_timer_init(&r->clock, host_loop(h), on_clock, r);
	host_observe(h, &r->observer);
	if (open_fds(r) < 0) {
		err = errno;
		host_run_free(r);
		errno = err;
		return NULL;
	}
	prepare(r);
	poke(r);
	return r;
}

void host_run_free(struct host_run *r)
{
	if (!r)
		return;
	host_unobserve(r->host, &r->observer);
	loop_timer_cancel(&r->clock);
	loop_io_free(r->poke_io);
	loop_io_free(r->timer_io);
	if (r->poke_fd >= 0)
		close(r->poke_fd);
	if (r->timer_fd >= 0)
		close(r->timer_fd);
	while (r->results) {
		struct result *res = r->results;

		r->results = res->next;
		host_kvp_forget(host_kvp_of(r->host), res);
		json_decref(res->item);
		json_decref(res->items);
		json_decref(res->ip);
		free(res);
	}
	free(r);
}
