/* hn/vf.c - the table's rows, step by step.
 *
 * Three facts together make a VF wanted: the host's association, which is a
 * gate and may come before or after the interface does; the interface; that it
 * is up. They are kept as they come, in any state; the table hears of them as
 * WANT and LOST. A change from one VF to another is a loss first.
 *
 * The host takes one switch at a time, and its answer does not say which of
 * two it is for. So one that became pointless is waited for (CANCEL) while all
 * else is on the synthetic path already, which works whatever the host does.
 *
 * An action may find that it cannot, or that the next event has happened
 * already, and then steps on from inside; so to step is the last it does.
 */
#include "hn/vf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum vf_ev {
	VF_EV_OPENED,
	VF_EV_CLOSE,
	VF_EV_WANT,
	VF_EV_LOST,
	VF_EV_DONE_VF,
	VF_EV_DONE_SYNTH,
	VF_EV_NOTICE,
	VF_EV_TIMER,
	VF_EV_REFUSED,
	VF_N_EVENTS
};

struct vf {
	struct loop *loop;
	struct vf_cfg cfg;
	const struct vf_ops *ops;
	void *arg;
	enum vf_state state;
	struct loop_timer timer;
	struct {			/* the host's gate */
		bool present;
		uint32_t serial;
		uint64_t generation;	/* one more at each change */
	} host;
	unsigned ifindex;		/* the guest's VF, 0: none */
	bool up;
	bool unable;			/* a host that knows no VF */
	uint64_t asked_generation;	/* when it was asked to switch to the VF */
	unsigned active;		/* what we transmit on, 0: hn */
	uint64_t since_ms;		/* it is active */
	uint64_t hold_ms, not_before_ms;	/* for one that flaps */
	struct vf_stats stats;
};

/* The table -------------------------------------------------------------- */

static void nothing(struct vf *v);
static void tell_synth(struct vf *v);
static void settle(struct vf *v);
static void hold(struct vf *v);
static void retry(struct vf *v);
static void go_vf(struct vf *v);
static void enter_vf(struct vf *v);
static void cancel(struct vf *v);
static void leave(struct vf *v);
static void leave_told(struct vf *v);
static void leave_untold(struct vf *v);
static void come_back(struct vf *v);

static const struct {
	enum vf_state next;
	void (*act)(struct vf *v);	/* NULL: no such row */
} rows[VF_N_STATES][VF_N_EVENTS] = {
#define ROW(state, event, next, act) \
	[VF_##state][VF_EV_##event] = { VF_##next, act },
#include "hn/vf_fsm.def"
#undef ROW
};

static void step(struct vf *v, enum vf_ev ev)
{
	void (*act)(struct vf *v) = rows[v->state][ev].act;

	if (!act)
		return;
	v->state = rows[v->state][ev].next;
	loop_timer_cancel(&v->timer);
	act(v);
}

static void on_timer(void *arg)
{
	step(arg, VF_EV_TIMER);
}

static bool wanted(const struct vf *v)
{
	return v->host.present && v->ifindex && v->up && !v->unable;
}

/* Flapping --------------------------------------------------------------- */

/* A use of the VF is over, or never came to be. */
static void damp(struct vf *v, uint64_t used_ms)
{
	if (used_ms >= v->cfg.flap_ms) {
		v->hold_ms = 0;
	} else {
		v->stats.flaps++;
		v->hold_ms = v->hold_ms ? 2 * v->hold_ms : v->cfg.hold_ms;
		if (v->hold_ms > v->cfg.hold_max_ms)
			v->hold_ms = v->cfg.hold_max_ms;
	}
	v->not_before_ms = loop_now_ms(v->loop) + v->hold_ms;
}

uint64_t vf_held_ms(const struct vf *v)
{
	uint64_t now = loop_now_ms(v->loop);

	return v->not_before_ms > now ? v->not_before_ms - now : 0;
}

static void not_at_once(struct vf *v)
{
	if (vf_held_ms(v) < v->cfg.retry_ms)
		v->not_before_ms = loop_now_ms(v->loop) + v->cfg.retry_ms;
}

/* Actions ---------------------------------------------------------------- */

static void nothing(struct vf *v)
{
	(void)v;
}

static void settle(struct vf *v)
{
	if (wanted(v))
		step(v, VF_EV_WANT);
}

static void hold(struct vf *v)
{
	uint64_t ms = vf_held_ms(v);

	if (ms)
		loop_timer_set(&v->timer, ms);
	else
		step(v, VF_EV_TIMER);
}

static void retry(struct vf *v)
{
	loop_timer_set(&v->timer, v->cfg.retry_ms);
}

/* The host was asked to go to the synthetic path, with that result. */
static void told_synth(struct vf *v, int err)
{
	if (err == -EOPNOTSUPP) {	/* it has no other */
		v->unable = true;
		step(v, VF_EV_DONE_SYNTH);
	} else if (err < 0) {
		v->stats.refused++;
		step(v, VF_EV_REFUSED);
	}
}

static void tell_synth(struct vf *v)
{
	told_synth(v, v->ops->switch_path(v->arg, NVS_PATH_SYNTHETIC));
}

static void unroute(struct vf *v)
{
	v->ops->filter(v->arg, false);
	v->ops->route_rx(v->arg, 0);
}

static int route_and_ask(struct vf *v)
{
	int err = v->ops->route_rx(v->arg, v->ifindex);

	if (err < 0)
		return err;
	v->ops->filter(v->arg, true);
	err = v->ops->switch_path(v->arg, NVS_PATH_VF);
	if (err < 0)
		unroute(v);
	return err;
}

static void go_vf(struct vf *v)
{
	int err = route_and_ask(v);

	assert(wanted(v));
	v->asked_generation = v->host.generation;
	if (!err)
		return;
	v->stats.refused++;
	if (err != -EAGAIN)		/* not a matter of a moment */
		damp(v, 0);
	not_at_once(v);
	step(v, VF_EV_REFUSED);
}

static void enter_vf(struct vf *v)
{
	assert(wanted(v) && v->asked_generation == v->host.generation);
	v->active = v->ifindex;
	v->since_ms = loop_now_ms(v->loop);
	v->stats.up++;
	v->ops->transmit(v->arg, v->active);
	v->ops->link(v->arg, true);
	v->ops->news(v->arg, VF_NEWS_UP, v->active);
}

static void cancel(struct vf *v)
{
	v->stats.cancelled++;
	damp(v, 0);
	unroute(v);
}

/* Everything but to tell the host; transmission has left the VF. */
static void finish_leaving(struct vf *v)
{
	unsigned was = v->active;

	v->active = 0;
	unroute(v);
	v->ops->link(v->arg, false);
	v->ops->news(v->arg, VF_NEWS_DOWN, was);
}

static void come_back(struct vf *v)
{
	int err;

	v->ops->transmit(v->arg, 0);
	err = v->ops->switch_path(v->arg, NVS_PATH_SYNTHETIC);
	finish_leaving(v);
	told_synth(v, err);
}

static void leave(struct vf *v)
{
	damp(v, loop_now_ms(v->loop) - v->since_ms);
	come_back(v);
}

static void leave_untold(struct vf *v)
{
	damp(v, loop_now_ms(v->loop) - v->since_ms);
	v->ops->transmit(v->arg, 0);
	finish_leaving(v);
}

/* The host could not switch, or is about to take the VF away. */
static void leave_told(struct vf *v)
{
	leave_untold(v);
	not_at_once(v);
	settle(v);
}

/* Facts ------------------------------------------------------------------ */

void vf_opened(struct vf *v)
{
	v->unable = false;
	step(v, VF_EV_OPENED);
}

/* The next channel's host announces its VF anew, and may have another. */
void vf_closed(struct vf *v)
{
	step(v, VF_EV_CLOSE);
	v->host.generation += v->host.present;
	v->host.present = false;
}

void vf_association(struct vf *v, bool present, uint32_t serial)
{
	if (present == v->host.present &&
	    (!present || serial == v->host.serial))
		return;
	v->stats.associations++;
	if (v->host.present) {
		v->host.present = false;
		step(v, VF_EV_LOST);
	}
	v->host.generation++;
	v->host.present = present;
	v->host.serial = serial;
	settle(v);
}

/* Up is said of a VF that is there: news of it come in pairs. */
static void replace(struct vf *v, unsigned ifindex)
{
	if (v->ifindex)
		v->ops->news(v->arg, VF_NEWS_DETACH, v->ifindex);
	v->ifindex = ifindex;
	if (!ifindex)
		return;
	v->stats.attached++;
	v->ops->news(v->arg, VF_NEWS_ATTACH, ifindex);
}

void vf_set(struct vf *v, unsigned ifindex, bool up)
{
	bool other = ifindex != v->ifindex;

	if (v->up && (other || !up)) {
		v->up = false;
		step(v, VF_EV_LOST);
	}
	if (other)
		replace(v, ifindex);
	v->up = ifindex && up;
	settle(v);
}

void vf_path(struct vf *v, enum nvs_path path, bool asked)
{
	if (asked) {
		step(v, path == NVS_PATH_VF ? VF_EV_DONE_VF : VF_EV_DONE_SYNTH);
	} else if (path == NVS_PATH_SYNTHETIC) {
		v->stats.notices++;
		step(v, VF_EV_NOTICE);
	}
}

/* Life ------------------------------------------------------------------- */

struct vf *vf_new(struct loop *l, const struct vf_cfg *cfg,
		  const struct vf_ops *ops, void *arg)
{
	struct vf *v = calloc(1, sizeof(*v));

	assert(cfg->retry_ms);
	if (!v)
		return NULL;
	v->loop = l;
	v->cfg = *cfg;
	v->ops = ops;
	v->arg = arg;
	loop_timer_init(&v->timer, l, on_timer, v);
	return v;
}

void vf_free(struct vf *v)
{
	if (!v)
		return;
	vf_set(v, 0, false);
	loop_timer_cancel(&v->timer);
	free(v);
}

enum vf_state vf_state_get(const struct vf *v)
{
	return v->state;
}

const char *vf_state_name(enum vf_state s)
{
	static const char *const names[VF_N_STATES] = {
		[VF_CLOSED] = "closed", [VF_SYNTH] = "synthetic",
		[VF_HOLD] = "held", [VF_TO_VF] = "switching to VF",
		[VF_ON_VF] = "VF", [VF_ALONE] = "VF, without a channel",
		[VF_CANCEL] = "cancelling", [VF_RETRY] = "telling the host",
		[VF_TO_SYNTH] = "switching to synthetic",
	};

	return names[s];
}

const char *vf_news_name(enum vf_news n)
{
	static const char *const names[] = {
		[VF_NEWS_ATTACH] = "VF_ATTACH", [VF_NEWS_UP] = "VF_UP",
		[VF_NEWS_DOWN] = "VF_DOWN", [VF_NEWS_DETACH] = "VF_DETACH",
	};

	return names[n];
}

unsigned vf_active(const struct vf *v)
{
	return v->active;
}

void vf_stats_get(const struct vf *v, struct vf_stats *s)
{
	*s = v->stats;
}
