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
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/host_json.h"
#include "host/host_run_state.h"

enum { PATIENCE_MS = 10000, PATIENCE_WAIT_MS = 60000, REAL_SETTLE_MS = 50 };

/* Being asked again ------------------------------------------------------ */

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

static void on_vss_done(void *arg, const struct host_vss_result *v)
{
	struct result *res = arg;

	res->done = true;
	res->err = v->err;
	res->status = v->status;
	res->took_ms = v->took_ms;
	res->verdict = json_object();
	if (v->err == 0)
		host_json_vss_answer(res->verdict, v->msg, v->status);
	poke(res->run);
}

static enum verdict start_vss(struct host_run *r, const struct step *st)
{
	struct result *res = new_result(r, st->as);
	struct host_fault f = st->fault;
	int err;

	if (!res)
		return host_run_because(r, FAIL, "no memory");
	if (st->random_fault)
		host_fault_random(&f, &r->seed);
	err = host_vss_request(host_vss_of(r->host), st->vss, &f, on_vss_done,
			       res);
	if (err < 0) {
		res->done = true;	/* it can be expected */
		res->err = err;
	}
	return OK;
}

/* ["check: ok", ...], as a scenario spells what was done. */
static json_t *steps_json(const struct host_vss_verdict *v)
{
	json_t *steps = json_array();

	for (unsigned i = 0; i < v->n; i++)
		json_array_append_new(steps, json_sprintf("%s: %s",
			host_vss_step_name(v->step[i].step),
			host_vss_end_name(v->step[i].err,
					  v->step[i].status)));
	return steps;
}

static void on_verdict(void *arg, const struct host_vss_verdict *v)
{
	struct result *res = arg;

	res->done = true;
	res->took_ms = v->took_ms;
	res->verdict = host_json_vss_verdict(v);
	json_object_set_new(res->verdict, "steps", steps_json(v));
	poke(res->run);
}

/* EBUSY and the like are a result, too. */
static enum verdict start_snapshot(struct host_run *r, const struct step *st)
{
	struct result *res = new_result(r, st->as);
	struct host_vss_snapshot_cfg cfg = st->snapshot->cfg;

	if (!res)
		return host_run_because(r, FAIL, "no memory");
	cfg.how = &st->snapshot->how;
	cfg.luns = st->snapshot->msg.luns;
	cfg.done = on_verdict;
	cfg.arg = res;
	for (unsigned i = 0; st->random_fault && i < HOST_VSS_N_STEPS; i++)
		host_fault_random(&cfg.fault[i], &r->seed);
	if (!host_vss_snapshot(host_vss_of(r->host), &cfg)) {
		res->done = true;
		res->err = -errno;
	}
	return OK;
}

static enum verdict to_snapshot(struct host_run *r, const struct step *st)
{
	struct host_vss_snapshot *s = host_vss_running(host_vss_of(r->host));

	if (!s)
		return host_run_because(r, FAIL, "no snapshot is being made");
	if (st->kind == STEP_WORKED)
		host_vss_worked(s, st->why);
	else
		host_vss_abandon(s, st->why ? st->why : "given up");
	return OK;
}

static enum verdict start_request(struct host_run *r, const struct step *st)
{
	struct result *res = new_result(r, st->as);
	struct host_kvp *k = host_kvp_of(r->host);
	struct host_fault f = st->fault;
	int err;

	if (!res)
		return host_run_because(r, FAIL, "no memory");
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
	if (st->kind == STEP_VSS || st->kind == STEP_SNAPSHOT)
		answer = host_profile_of(r->host)->backup.freeze_ms;
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
	return err < 0 ? host_run_because(r, FAIL, "%s", strerror(-err)) : OK;
}

static enum verdict start_negotiation(struct host_run *r, const struct step *st)
{
	struct host_profile p = *host_profile_of(r->host);
	struct host_fault f = st->fault;

	if (st->random_fault)
		host_fault_random(&f, &r->seed);
	return act(r, host_ic_negotiate(host_ic_of(r->host, st->ic),
					st->framework.n ? &st->framework :
					&p.framework,
					st->message.n ? &st->message :
					host_ic_messages(&p, st->ic), &f));
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

static void tell_guest(struct host_run *r, const json_t *guest)
{
	if (r->cfg.guest && guest)
		r->cfg.guest(r->cfg.arg, guest);
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
	case STEP_VSS:
		return start_vss(r, st);
	case STEP_SNAPSHOT:
		return start_snapshot(r, st);
	case STEP_WORKED:
	case STEP_ABANDON:
		return to_snapshot(r, st);
	case STEP_GUEST:
		tell_guest(r, st->guest);
		return OK;
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

/* Waiting ---------------------------------------------------------------- */

static enum verdict until(struct host_run *r, bool is, const char *what)
{
	return is ? OK : host_run_because(r, WAIT, "%s", what);
}

static enum verdict check_wait(struct host_run *r, const struct step *st)
{
	const struct host_ic *ic = host_ic_of(r->host, st->ic);
	bool open = host_ic_opened(r->host, st->ic);
	bool frozen = host_vss_frozen(host_vss_of(r->host), NULL);

	switch ((enum wait_for)st->value) {
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
	case WAIT_FROZEN:
		return until(r, frozen, "the guest was not frozen");
	case WAIT_THAWED:
		return until(r, !frozen, "the guest stayed frozen");
	}
	return FAIL;
}

static enum verdict check_step(struct host_run *r, const struct step *st)
{
	enum verdict v = OK;

	if (is_timed(st) && !r->elapsed)
		return host_run_because(r, WAIT, "time did not pass");
	if (st->kind == STEP_WAIT)
		v = check_wait(r, st);
	if (v == OK && st->expect)
		v = host_run_expect(r, st->expect);
	if (v == OK && st->kind == STEP_SETTLE)
		v = host_run_require(r);
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
	tell_guest(r, r->s->guest);
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
		host_vss_forget(host_vss_of(r->host), res);
		json_decref(res->verdict);
		json_decref(res->item);
		json_decref(res->items);
		json_decref(res->ip);
		free(res);
	}
	free(r);
}
