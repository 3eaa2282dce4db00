/* test/unit/test_vf.c - the VF behaviour of one NIC. The owner writes down what
 * it was told to do; the host confirms when the test lets it; the clock is
 * moved. */
#include "hn/vf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VF = 7, OTHER = 8, SERIAL = 1, LONG_MS = 100000 };

struct rig {
	struct loop *l;
	struct vf *v;
	char trace[512];
	/* What the owner does at this moment. */
	unsigned rx, tx, news_vf;
	bool pretends_down, promiscuous;
	/* What it cannot do. */
	int route_err, switch_err;
	/* The host. */
	bool asked;
	enum nvs_path asked_path, path;
	unsigned n_asked;
	/* For the storm. */
	bool quiet;
	unsigned gone;			/* an interface that is not there */
	unsigned news[4];
};

static void note(struct rig *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void note(struct rig *g, const char *fmt, ...)
{
	size_t n = strlen(g->trace);
	va_list ap;

	if (g->quiet)
		return;
	if (n)
		n += (size_t)snprintf(g->trace + n, sizeof(g->trace) - n, " ");
	va_start(ap, fmt);
	vsnprintf(g->trace + n, sizeof(g->trace) - n, fmt, ap);
	va_end(ap);
}

static int on_route_rx(void *arg, unsigned vf)
{
	struct rig *g = arg;

	note(g, "rx=%u", vf);
	if (vf && g->route_err)
		return g->route_err;
	g->rx = vf;
	return 0;
}

static int on_switch(void *arg, enum nvs_path path)
{
	struct rig *g = arg;

	note(g, "ask=%s", path == NVS_PATH_VF ? "vf" : "synth");
	if (g->switch_err)
		return g->switch_err;
	assert_false(g->asked);
	g->asked = true;
	g->asked_path = path;
	g->n_asked++;
	return 0;
}

static void on_transmit(void *arg, unsigned vf)
{
	struct rig *g = arg;

	note(g, "tx=%u", vf);
	assert_true(!vf || vf != g->gone);
	g->tx = vf;
}

static void on_link(void *arg, bool pretend_down)
{
	struct rig *g = arg;

	note(g, "link=%s", pretend_down ? "down" : "own");
	g->pretends_down = pretend_down;
}

static void on_filter(void *arg, bool promiscuous)
{
	struct rig *g = arg;

	note(g, "filter=%s", promiscuous ? "all" : "own");
	g->promiscuous = promiscuous;
}

static void on_news(void *arg, enum vf_news what, unsigned vf)
{
	struct rig *g = arg;

	note(g, "%s", vf_news_name(what));
	g->news[what]++;
	g->news_vf = vf;
}

static const struct vf_ops ops = {
	.route_rx = on_route_rx, .switch_path = on_switch,
	.transmit = on_transmit, .link = on_link, .filter = on_filter,
	.news = on_news,
};

static struct rig *rig_new(void)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->l = loop_new(LOOP_VIRTUAL);
	g->v = vf_new(g->l, &VF_CFG_DEFAULT, &ops, g);
	assert_non_null(g->v);
	return g;
}

static void rig_free(struct rig *g)
{
	vf_free(g->v);
	assert_int_equal(g->rx, 0);
	assert_int_equal(g->tx, 0);
	assert_false(g->pretends_down);
	assert_int_equal(g->news[VF_NEWS_UP], g->news[VF_NEWS_DOWN]);
	assert_int_equal(g->news[VF_NEWS_ATTACH], g->news[VF_NEWS_DETACH]);
	loop_free(g->l);
	free(g);
}

static void expect(struct rig *g, const char *trace)
{
	assert_string_equal(g->trace, trace);
	g->trace[0] = '\0';
}

static void expect_state(struct rig *g, enum vf_state s)
{
	assert_string_equal(vf_state_name(vf_state_get(g->v)),
			    vf_state_name(s));
}

/* The host confirms what it was asked. */
static void confirm(struct rig *g)
{
	if (!g->asked)
		return;
	g->asked = false;
	g->path = g->asked_path;
	vf_path(g->v, g->asked_path, true);
}

static void host_goes_back(struct rig *g)
{
	g->path = NVS_PATH_SYNTHETIC;
	vf_path(g->v, NVS_PATH_SYNTHETIC, false);
}

static void channel_closes(struct rig *g)
{
	g->asked = false;
	vf_closed(g->v);
}

static struct vf_stats stats_of(const struct rig *g)
{
	struct vf_stats s;

	vf_stats_get(g->v, &s);
	return s;
}

/* The shortest way into each state. */
static void open_synthetic(struct rig *g)
{
	vf_opened(g->v);
	confirm(g);
}

static void to_vf(struct rig *g)
{
	open_synthetic(g);
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
}

static void on_vf(struct rig *g)
{
	to_vf(g);
	confirm(g);
	loop_advance(g->l, LONG_MS);
}

static struct rig *rig_in(enum vf_state s)
{
	struct rig *g = rig_new();

	switch (s) {
	case VF_CLOSED:
		break;
	case VF_SYNTH:
		open_synthetic(g);
		break;
	case VF_HOLD:
		g->route_err = -EAGAIN;
		to_vf(g);
		g->route_err = 0;
		break;
	case VF_TO_VF:
	case VF_CANCEL:
		to_vf(g);
		if (s == VF_CANCEL)
			vf_set(g->v, VF, false);
		break;
	case VF_ON_VF:
		on_vf(g);
		break;
	case VF_ALONE:
		on_vf(g);
		channel_closes(g);
		break;
	case VF_TO_SYNTH:
		vf_opened(g->v);
		break;
	case VF_RETRY:
		g->switch_err = -EAGAIN;
		vf_opened(g->v);
		g->switch_err = 0;
		break;
	case VF_N_STATES:
		break;
	}
	expect_state(g, s);
	g->trace[0] = '\0';
	return g;
}

/* The seven statements of doc/vf.md ---------------------------------------- */

static void goes_down(struct rig *g)
{
	vf_set(g->v, VF, false);
}

static void is_detached(struct rig *g)
{
	vf_set(g->v, 0, false);
}

static void is_withdrawn(struct rig *g)
{
	vf_association(g->v, false, SERIAL);
}

/* How the use of a VF ends. */
static void (*const ends[])(struct rig *g) = {
	goes_down, is_detached, is_withdrawn, host_goes_back,
};

enum { N_ENDS = sizeof(ends) / sizeof(*ends) };

static void up_all_transmission_goes_through_the_vf(void **state)
{
	struct rig *g = rig_in(VF_TO_VF);

	(void)state;
	/* Not before the host has confirmed, however long that takes. */
	loop_advance(g->l, LONG_MS);
	assert_int_equal(g->tx, 0);
	assert_int_equal(vf_active(g->v), 0);
	confirm(g);
	assert_int_equal(g->tx, VF);
	assert_int_equal(vf_active(g->v), VF);
	rig_free(g);
}

static void up_the_host_sends_through_the_vf(void **state)
{
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
	assert_int_equal(g->path, NVS_PATH_SYNTHETIC);
	confirm(g);
	assert_int_equal(g->path, NVS_PATH_VF);
	rig_free(g);
}

/* What the owner must do while hn is administratively down: nothing here knows
 * of that state, so nothing here depends on it. */
static void up_what_comes_by_hn_is_received_on_the_vf(void **state)
{
	struct rig *g = rig_in(VF_TO_VF);

	(void)state;
	assert_int_equal(g->rx, VF);		/* before the switch */
	assert_true(g->promiscuous);
	confirm(g);
	assert_int_equal(g->rx, VF);
	assert_true(g->promiscuous);
	rig_free(g);
}

static void up_hns_link_is_pretended_down(void **state)
{
	struct rig *g = rig_in(VF_TO_VF);

	(void)state;
	assert_false(g->pretends_down);
	confirm(g);
	assert_true(g->pretends_down);
	rig_free(g);
}

static void down_all_transmission_goes_through_hn(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ENDS; i++) {
		struct rig *g = rig_in(VF_ON_VF);

		ends[i](g);			/* at once */
		assert_int_equal(strncmp(g->trace, "tx=0", 4), 0);
		assert_int_equal(g->tx, 0);
		rig_free(g);
	}
}

static void down_all_reception_goes_through_hn(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ENDS; i++) {
		struct rig *g = rig_in(VF_ON_VF);

		ends[i](g);
		assert_int_equal(g->rx, 0);
		assert_false(g->promiscuous);
		confirm(g);			/* if it had to be told */
		assert_int_equal(g->path, NVS_PATH_SYNTHETIC);
		rig_free(g);
	}
}

static void down_hns_link_is_its_own_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ENDS; i++) {
		struct rig *g = rig_in(VF_ON_VF);

		ends[i](g);
		assert_false(g->pretends_down);
		assert_int_equal(g->news[VF_NEWS_DOWN], 1);
		rig_free(g);
	}
}

/* Step by step -------------------------------------------------------------- */

static void a_vf_that_comes_up_is_routed_confirmed_and_told(void **state)
{
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	vf_association(g->v, true, SERIAL);
	expect(g, "");
	vf_set(g->v, VF, false);
	expect(g, "VF_ATTACH");
	vf_set(g->v, VF, true);
	expect(g, "rx=7 filter=all ask=vf");
	confirm(g);
	expect(g, "tx=7 link=down VF_UP");
	assert_int_equal(g->news_vf, VF);
	expect_state(g, VF_ON_VF);
	rig_free(g);
}

static void a_vf_that_goes_down_is_left_at_once(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	vf_set(g->v, VF, false);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN");
	expect_state(g, VF_TO_SYNTH);
	confirm(g);
	expect_state(g, VF_SYNTH);
	expect(g, "");
	rig_free(g);
}

static void a_vf_that_is_withdrawn_is_left_at_once(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	/* As hosts do it: their own switch first. */
	host_goes_back(g);
	expect(g, "tx=0 filter=own rx=0 link=own VF_DOWN");
	vf_association(g->v, false, SERIAL);
	vf_set(g->v, 0, false);
	expect(g, "VF_DETACH");
	expect_state(g, VF_SYNTH);
	rig_free(g);

	g = rig_in(VF_ON_VF);
	vf_association(g->v, false, SERIAL);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN");
	rig_free(g);
}

static void a_vf_torn_out_is_left_before_the_host_says_a_word(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	vf_set(g->v, 0, false);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN VF_DETACH");
	confirm(g);
	host_goes_back(g);
	vf_association(g->v, false, SERIAL);
	expect(g, "");
	expect_state(g, VF_SYNTH);
	rig_free(g);
}

static void association_and_interface_come_in_either_order(void **state)
{
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	vf_set(g->v, VF, true);
	expect(g, "VF_ATTACH");
	vf_association(g->v, true, SERIAL);
	expect(g, "rx=7 filter=all ask=vf");
	confirm(g);
	expect_state(g, VF_ON_VF);
	rig_free(g);

	/* Both before the channel is ready, as right after a start. */
	g = rig_in(VF_CLOSED);
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
	expect(g, "VF_ATTACH");
	vf_opened(g->v);
	expect(g, "ask=synth");
	confirm(g);
	expect(g, "rx=7 filter=all ask=vf");
	rig_free(g);
}

/* Flapping ---------------------------------------------------------------- */

static void flap(struct rig *g)
{
	vf_set(g->v, VF, false);
	confirm(g);
	vf_set(g->v, VF, true);
}

static void flapping_is_damped_and_counted(void **state)
{
	static const uint64_t pauses[] = { 1000, 2000, 4000, 8000, 16000, 32000,
					   60000, 60000 };
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(*pauses); i++) {
		confirm(g);
		expect_state(g, VF_ON_VF);
		flap(g);
		expect_state(g, VF_HOLD);
		assert_int_equal(stats_of(g).flaps, i + 1);
		assert_int_equal(vf_held_ms(g->v), pauses[i]);
		loop_advance(g->l, pauses[i] - 1);
		expect_state(g, VF_HOLD);
		loop_advance(g->l, 1);
		expect_state(g, VF_TO_VF);
	}
	rig_free(g);
}

static void one_long_use_forgives_the_flapping(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	flap(g);
	expect_state(g, VF_TO_VF);
	assert_int_equal(stats_of(g).flaps, 0);
	confirm(g);
	flap(g);
	expect_state(g, VF_HOLD);
	loop_advance(g->l, 1000);
	confirm(g);
	loop_advance(g->l, 10000);
	flap(g);
	expect_state(g, VF_TO_VF);
	assert_int_equal(stats_of(g).flaps, 1);
	rig_free(g);
}

static void the_hold_off_can_be_set_and_switched_off(void **state)
{
	struct vf_cfg cfg = VF_CFG_DEFAULT;
	struct rig *g = rig_new();

	(void)state;
	vf_free(g->v);
	cfg.hold_ms = 0;
	g->v = vf_new(g->l, &cfg, &ops, g);
	to_vf(g);
	confirm(g);
	for (int i = 0; i < 10; i++) {
		flap(g);
		expect_state(g, VF_TO_VF);
		confirm(g);
	}
	assert_int_equal(stats_of(g).flaps, 10);
	rig_free(g);
}

static void a_host_that_confirms_and_goes_back_is_not_hammered(void **state)
{
	struct rig *g = rig_in(VF_TO_VF);
	unsigned before = g->n_asked;

	(void)state;
	for (int i = 0; i < 600; i++) {		/* ten minutes */
		if (g->asked) {
			confirm(g);
			host_goes_back(g);
		}
		loop_advance(g->l, 1000);
	}
	assert_in_range(g->n_asked - before, 8, 20);
	rig_free(g);
}

/* What cannot be done ------------------------------------------------------ */

static void what_cannot_be_routed_is_not_switched_and_tried_again(void **state)
{
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	g->route_err = -ENOMEM;
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
	expect(g, "VF_ATTACH rx=7");
	expect_state(g, VF_HOLD);
	g->route_err = 0;
	loop_advance(g->l, 1000);
	expect(g, "rx=7 filter=all ask=vf");
	rig_free(g);
}

static void a_switch_that_cannot_be_sent_is_rolled_back(void **state)
{
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	g->switch_err = -EAGAIN;
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
	expect(g, "VF_ATTACH rx=7 filter=all ask=vf filter=own rx=0");
	loop_advance(g->l, 999);
	expect(g, "");
	g->switch_err = 0;
	loop_advance(g->l, 1);
	expect(g, "rx=7 filter=all ask=vf");
	assert_int_equal(stats_of(g).refused, 1);
	assert_int_equal(stats_of(g).flaps, 0);
	rig_free(g);
}

static void the_host_is_told_in_the_end_when_the_ring_is_full(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	g->switch_err = -EAGAIN;
	vf_set(g->v, 0, false);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN VF_DETACH");
	expect_state(g, VF_RETRY);
	loop_advance(g->l, 1000);
	expect(g, "ask=synth");
	g->switch_err = 0;
	loop_advance(g->l, 1000);
	confirm(g);
	expect_state(g, VF_SYNTH);
	rig_free(g);
}

static void a_host_that_knows_no_vf_is_not_asked(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->switch_err = -EOPNOTSUPP;
	vf_opened(g->v);
	expect(g, "ask=synth");
	expect_state(g, VF_SYNTH);
	vf_set(g->v, VF, true);
	vf_association(g->v, true, SERIAL);
	loop_advance(g->l, LONG_MS);
	expect(g, "VF_ATTACH");
	/* The next channel may be of another host. */
	channel_closes(g);
	g->switch_err = 0;
	open_synthetic(g);
	vf_association(g->v, true, SERIAL);
	expect(g, "ask=synth rx=7 filter=all ask=vf");
	rig_free(g);
}

/* While the host switches -------------------------------------------------- */

static void a_vf_lost_during_the_switch_is_never_used(void **state)
{
	struct rig *g = rig_in(VF_TO_VF);

	(void)state;
	vf_set(g->v, 0, false);
	expect(g, "filter=own rx=0 VF_DETACH");
	vf_set(g->v, VF, true);
	expect(g, "VF_ATTACH");
	confirm(g);
	expect(g, "ask=synth");
	assert_int_equal(stats_of(g).cancelled, 1);
	confirm(g);
	expect_state(g, VF_HOLD);
	loop_advance(g->l, 1000);
	expect(g, "rx=7 filter=all ask=vf");
	rig_free(g);
}

static void a_new_serial_is_a_new_vf(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	vf_association(g->v, true, SERIAL);
	expect(g, "");
	vf_association(g->v, true, SERIAL + 1);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN");
	confirm(g);
	expect(g, "rx=7 filter=all ask=vf");
	rig_free(g);
}

static void another_interface_is_another_vf(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	vf_set(g->v, OTHER, true);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN VF_DETACH "
		  "VF_ATTACH");
	confirm(g);
	expect(g, "rx=8 filter=all ask=vf");
	rig_free(g);
}

static void a_host_that_never_answers_costs_the_vf_alone(void **state)
{
	struct rig *g = rig_in(VF_TO_VF);

	(void)state;
	vf_set(g->v, VF, false);
	loop_advance(g->l, LONG_MS);
	vf_set(g->v, VF, true);
	assert_int_equal(g->tx, 0);
	assert_int_equal(g->rx, 0);
	expect_state(g, VF_CANCEL);
	rig_free(g);
}

/* The channel -------------------------------------------------------------- */

static void the_vf_carries_on_while_the_channel_is_closed(void **state)
{
	struct rig *g = rig_in(VF_ON_VF);

	(void)state;
	channel_closes(g);		/* the MTU changes */
	expect(g, "");
	assert_int_equal(g->tx, VF);
	/* The host announces its VF before the NIC is up. */
	vf_association(g->v, true, SERIAL);
	expect(g, "");
	vf_opened(g->v);
	expect(g, "tx=0 ask=synth filter=own rx=0 link=own VF_DOWN");
	confirm(g);
	expect(g, "rx=7 filter=all ask=vf");
	confirm(g);
	assert_int_equal(stats_of(g).flaps, 0);
	rig_free(g);
}

static void a_vf_that_goes_without_a_channel_is_left(void **state)
{
	struct rig *g = rig_in(VF_ALONE);

	(void)state;
	vf_set(g->v, 0, false);
	expect(g, "tx=0 filter=own rx=0 link=own VF_DOWN VF_DETACH");
	expect_state(g, VF_CLOSED);
	rig_free(g);
}

static void the_host_is_told_synthetic_first_whenever_we_begin(void **state)
{
	struct rig *g = rig_new();

	(void)state;
	g->path = NVS_PATH_VF;		/* another process left it so */
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
	vf_opened(g->v);
	expect(g, "VF_ATTACH ask=synth");
	confirm(g);
	assert_int_equal(g->path, NVS_PATH_SYNTHETIC);
	rig_free(g);
}

static void an_association_does_not_outlive_its_channel(void **state)
{
	struct rig *g = rig_in(VF_SYNTH);

	(void)state;
	vf_association(g->v, true, SERIAL);
	channel_closes(g);
	open_synthetic(g);
	g->trace[0] = '\0';
	vf_set(g->v, VF, true);
	expect(g, "VF_ATTACH");
	rig_free(g);
}

/* Every pair --------------------------------------------------------------- */

static void ev_opened(struct rig *g)
{
	vf_opened(g->v);
}

static void ev_want(struct rig *g)
{
	vf_association(g->v, true, SERIAL);
	vf_set(g->v, VF, true);
}

static void ev_lost(struct rig *g)
{
	vf_set(g->v, VF, false);
}

static void ev_done_vf(struct rig *g)
{
	g->asked = false;
	vf_path(g->v, NVS_PATH_VF, true);
}

static void ev_done_synth(struct rig *g)
{
	g->asked = false;
	vf_path(g->v, NVS_PATH_SYNTHETIC, true);
}

static void ev_strange_notice(struct rig *g)
{
	vf_path(g->v, NVS_PATH_VF, false);
}

static void ev_timer(struct rig *g)
{
	loop_advance(g->l, LONG_MS);
}

/* Where each pair leads. A notice in ON_VF ends in HOLD: the VF is wanted still,
 * by us. */
#define STAY VF_N_STATES
static const struct {
	void (*happens)(struct rig *g);
	enum vf_state to[VF_N_STATES];
} pairs[] = {
	/* CLOSED SYNTH HOLD TO_VF ON_VF ALONE CANCEL TO_SYNTH RETRY */
	{ ev_opened,    { VF_TO_SYNTH, STAY, STAY, STAY, STAY, VF_TO_SYNTH,
			  STAY, STAY, STAY } },
	{ channel_closes, { STAY, VF_CLOSED, VF_CLOSED, VF_CLOSED, VF_ALONE,
			  STAY, VF_CLOSED, VF_CLOSED, VF_CLOSED } },
	{ ev_want,      { STAY, VF_TO_VF, STAY, STAY, STAY, STAY, STAY, STAY,
			  STAY } },
	{ ev_lost,      { STAY, STAY, VF_SYNTH, VF_CANCEL, VF_TO_SYNTH,
			  VF_CLOSED, STAY, STAY, STAY } },
	{ ev_done_vf,   { STAY, STAY, STAY, VF_ON_VF, STAY, STAY, VF_TO_SYNTH,
			  STAY, STAY } },
	{ ev_done_synth, { STAY, STAY, STAY, STAY, STAY, STAY, STAY, VF_SYNTH,
			  STAY } },
	{ host_goes_back, { STAY, STAY, STAY, VF_CANCEL, VF_HOLD, STAY, STAY,
			  STAY, VF_SYNTH } },
	{ ev_strange_notice, { STAY, STAY, STAY, STAY, STAY, STAY, STAY, STAY,
			  STAY } },
	{ ev_timer,     { STAY, STAY, VF_TO_VF, STAY, STAY, STAY, STAY, STAY,
			  VF_TO_SYNTH } },
};

static void expect_consistent(const struct rig *g)
{
	enum vf_state s = vf_state_get(g->v);
	bool sends = s == VF_ON_VF || s == VF_ALONE;
	bool receives = sends || s == VF_TO_VF;

	assert_int_equal(g->tx != 0, sends);
	assert_int_equal(g->tx, vf_active(g->v));
	assert_int_equal(g->pretends_down, sends);
	assert_int_equal(g->rx != 0, receives);
	assert_int_equal(g->promiscuous, receives);
	assert_int_equal(g->news[VF_NEWS_UP] - g->news[VF_NEWS_DOWN], sends);
}

static void every_state_takes_every_event(void **state)
{
	(void)state;
	for (size_t e = 0; e < sizeof(pairs) / sizeof(*pairs); e++)
		for (enum vf_state s = 0; s < VF_N_STATES; s++) {
			struct rig *g = rig_in(s);
			enum vf_state to = pairs[e].to[s];

			pairs[e].happens(g);
			expect_state(g, to == STAY ? s : to);
			expect_consistent(g);
			rig_free(g);
		}
}

/* Storms ------------------------------------------------------------------- */

static uint64_t seed = 20261122;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

struct storm {
	bool open, host_vf, up;
	unsigned ifindex;
};

static void vf_changes(struct rig *g, struct storm *t)
{
	unsigned was = t->ifindex;

	t->ifindex = rnd(4) ? (rnd(2) ? VF : OTHER) : 0;
	t->up = rnd(2);
	g->gone = t->ifindex == was && t->up ? 0 : was;
	vf_set(g->v, t->ifindex, t->up);
	g->gone = !t->ifindex || !t->up ? was : 0;
}

static void host_changes(struct rig *g, struct storm *t)
{
	if (!t->open)
		return;
	t->host_vf = rnd(2);
	if (!t->host_vf && g->path == NVS_PATH_VF && rnd(2))
		host_goes_back(g);
	vf_association(g->v, t->host_vf, rnd(3));
}

static void channel_changes(struct rig *g, struct storm *t)
{
	t->open = !t->open;
	if (!t->open) {
		channel_closes(g);
		t->host_vf = false;
		return;
	}
	t->host_vf = rnd(2);
	vf_association(g->v, t->host_vf, rnd(3));
	vf_opened(g->v);
}

static void weather(struct rig *g, struct storm *t)
{
	static const int errors[] = { 0, 0, 0, -EAGAIN, -ENOMEM };

	g->route_err = errors[rnd(5)];
	g->switch_err = t->open ? errors[rnd(5)] : -ENOTCONN;
	switch (rnd(8)) {
	case 0:
	case 1:
		vf_changes(g, t);
		break;
	case 2:
		host_changes(g, t);
		break;
	case 3:
		if (!rnd(4))
			channel_changes(g, t);
		break;
	case 4:
		if (t->open)
			host_goes_back(g);
		break;
	case 5:
		loop_advance(g->l, rnd(20000));
		break;
	default:
		confirm(g);
	}
}

/* Everybody in peace until nothing moves: the path is what it should be. */
static void calm(struct rig *g, const struct storm *t)
{
	bool use = t->open && t->host_vf && t->ifindex && t->up;

	g->route_err = 0;
	g->switch_err = t->open ? 0 : -ENOTCONN;
	for (int i = 0; i < 10; i++) {
		confirm(g);
		loop_advance(g->l, LONG_MS);
	}
	if (t->open) {
		expect_state(g, use ? VF_ON_VF : VF_SYNTH);
		assert_int_equal(g->path == NVS_PATH_VF, use);
	}
	expect_consistent(g);
}

static void no_storm_leaves_it_on_a_wrong_path(void **state)
{
	struct storm t = { 0 };
	struct rig *g = rig_new();

	(void)state;
	g->quiet = true;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned i = 0; i < 500000; i++) {
		weather(g, &t);
		expect_consistent(g);
		assert_true(!g->tx || (g->tx == t.ifindex && t.up));
		if (!rnd(50))
			calm(g, &t);
	}
	assert_in_range(stats_of(g).up, 500, 500000);
	assert_in_range(stats_of(g).cancelled, 500, 500000);
	rig_free(g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(up_all_transmission_goes_through_the_vf),
		cmocka_unit_test(up_the_host_sends_through_the_vf),
		cmocka_unit_test(up_what_comes_by_hn_is_received_on_the_vf),
		cmocka_unit_test(up_hns_link_is_pretended_down),
		cmocka_unit_test(down_all_transmission_goes_through_hn),
		cmocka_unit_test(down_all_reception_goes_through_hn),
		cmocka_unit_test(down_hns_link_is_its_own_again),
		cmocka_unit_test(
			a_vf_that_comes_up_is_routed_confirmed_and_told),
		cmocka_unit_test(a_vf_that_goes_down_is_left_at_once),
		cmocka_unit_test(a_vf_that_is_withdrawn_is_left_at_once),
		cmocka_unit_test(
			a_vf_torn_out_is_left_before_the_host_says_a_word),
		cmocka_unit_test(
			association_and_interface_come_in_either_order),
		cmocka_unit_test(flapping_is_damped_and_counted),
		cmocka_unit_test(one_long_use_forgives_the_flapping),
		cmocka_unit_test(the_hold_off_can_be_set_and_switched_off),
		cmocka_unit_test(
			a_host_that_confirms_and_goes_back_is_not_hammered),
		cmocka_unit_test(
			what_cannot_be_routed_is_not_switched_and_tried_again),
		cmocka_unit_test(a_switch_that_cannot_be_sent_is_rolled_back),
		cmocka_unit_test(
			the_host_is_told_in_the_end_when_the_ring_is_full),
		cmocka_unit_test(a_host_that_knows_no_vf_is_not_asked),
		cmocka_unit_test(a_vf_lost_during_the_switch_is_never_used),
		cmocka_unit_test(a_new_serial_is_a_new_vf),
		cmocka_unit_test(another_interface_is_another_vf),
		cmocka_unit_test(a_host_that_never_answers_costs_the_vf_alone),
		cmocka_unit_test(the_vf_carries_on_while_the_channel_is_closed),
		cmocka_unit_test(a_vf_that_goes_without_a_channel_is_left),
		cmocka_unit_test(
			the_host_is_told_synthetic_first_whenever_we_begin),
		cmocka_unit_test(an_association_does_not_outlive_its_channel),
		cmocka_unit_test(every_state_takes_every_event),
		cmocka_unit_test(no_storm_leaves_it_on_a_wrong_path),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
