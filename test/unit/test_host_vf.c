/* test/unit/test_host_vf.c - a VF's life, edge by edge, on a virtual clock.
 * Each thing that the automaton does is a word in a line of text, and the
 * claims are about that line. */
#include "host/host_vf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
	struct loop *l;
	struct host_vf *v;
	char did[512];
	bool attach_when_gone;
};

static void did(struct rig *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void did(struct rig *g, const char *fmt, ...)
{
	size_t at = strlen(g->did);
	va_list ap;

	va_start(ap, fmt);
	if (at)
		g->did[at++] = ' ';
	vsnprintf(g->did + at, sizeof(g->did) - at, fmt, ap);
	va_end(ap);
}

static void on_tell(void *arg, bool present, uint32_t serial)
{
	did(arg, "assoc%c%u", present ? '+' : '-', serial);
}

static void on_device(void *arg, bool present, uint32_t serial)
{
	did(arg, "pci%c%u", present ? '+' : '-', serial);
}

static void on_path_done(void *arg)
{
	did(arg, "done");
}

static void on_path_notice(void *arg)
{
	did(arg, "notice");
}

static void on_steer(void *arg, enum nvs_path path)
{
	did(arg, path == NVS_PATH_VF ? "vf" : "synthetic");
}

static void on_changed(void *arg, enum host_vf_state s)
{
	struct rig *g = arg;

	if (s == HOST_VF_UNAVAILABLE && g->attach_when_gone)
		did(g, "again=%d", host_vf_attach(g->v, 99));
}

static struct rig *start(const struct host_vf_manners *m)
{
	static const struct host_vf_ops ops = {
		on_tell, on_device, on_path_done, on_path_notice, on_steer,
		on_changed,
	};
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->l = loop_new(LOOP_VIRTUAL);
	g->v = host_vf_new(g->l, m, &ops, g);
	return g;
}

static void stop(struct rig *g)
{
	host_vf_free(g->v);
	loop_free(g->l);
	free(g);
}

#define IS(g, what, state) do {						      \
	assert_string_equal((g)->did, what);				      \
	assert_string_equal(host_vf_state_name(host_vf_state_get((g)->v)),    \
			    state);					      \
	(g)->did[0] = '\0';						      \
} while (0)

static const struct host_vf_manners real = {
	.offer_ms = 1000, .switch_ms = 20, .revoke_ms = 100,
};

/* As far as the state that the name says. */
static struct rig *start_ready(const struct host_vf_manners *m)
{
	struct rig *g = start(m);

	host_vf_guest(g->v, true);
	assert_int_equal(host_vf_attach(g->v, 7), 0);
	loop_advance(g->l, m->offer_ms);
	assert_int_equal(host_vf_state_get(g->v), HOST_VF_READY);
	g->did[0] = '\0';
	return g;
}

static struct rig *start_switched(const struct host_vf_manners *m)
{
	struct rig *g = start_ready(m);

	host_vf_asked(g->v, NVS_PATH_VF);
	loop_advance(g->l, m->switch_ms);
	assert_int_equal(host_vf_state_get(g->v), HOST_VF_SWITCHED);
	g->did[0] = '\0';
	return g;
}

/* Coming ------------------------------------------------------------------ */

static void the_device_comes_after_the_message(void **state)
{
	struct rig *g = start(&real);

	(void)state;
	assert_int_equal(host_vf_attach(g->v, 7), 0);
	IS(g, "", "available");
	host_vf_guest(g->v, true);
	IS(g, "assoc+7", "advertised");
	loop_advance(g->l, 999);
	IS(g, "", "advertised");
	loop_advance(g->l, 1);
	IS(g, "pci+7", "ready");
	assert_int_equal(host_vf_attach(g->v, 8), -EEXIST);
	stop(g);
}

static void the_device_may_come_first(void **state)
{
	struct rig *g = start(&(struct host_vf_manners){
		.offer_ms = 1000, .device_first = true });

	(void)state;
	host_vf_guest(g->v, true);
	host_vf_attach(g->v, 7);
	IS(g, "pci+7", "available");
	host_vf_asked(g->v, NVS_PATH_VF);	/* it was told nothing yet */
	IS(g, "done", "available");
	loop_advance(g->l, 1000);
	IS(g, "assoc+7", "ready");
	stop(g);
}

static void an_eager_guest_gets_the_device_at_once(void **state)
{
	struct rig *g = start(&real);

	(void)state;
	host_vf_guest(g->v, true);
	host_vf_attach(g->v, 7);
	IS(g, "assoc+7", "advertised");
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "pci+7", "pending");
	loop_advance(g->l, 20);
	IS(g, "vf done", "switched");
	loop_advance(g->l, 5000);		/* the timer is gone */
	IS(g, "", "switched");
	stop(g);
}

static void serial_0_is_none(void **state)
{
	struct rig *g = start(&real);

	(void)state;
	assert_int_equal(host_vf_attach(g->v, 0), -EINVAL);
	assert_int_equal(host_vf_detach(g->v), -ENODEV);
	assert_int_equal(host_vf_yank(g->v), -ENODEV);
	assert_int_equal(host_vf_fall_back(g->v), -EALREADY);
	stop(g);
}

/* The path ----------------------------------------------------------------- */

static void the_path_goes_there_and_back(void **state)
{
	struct rig *g = start_ready(&real);

	(void)state;
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "", "pending");
	loop_advance(g->l, 20);
	IS(g, "vf done", "switched");
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	IS(g, "", "pending");
	assert_int_equal(host_vf_path(g->v), NVS_PATH_VF);
	loop_advance(g->l, 20);
	IS(g, "synthetic done", "ready");
	assert_int_equal(host_vf_stats_get(g->v)->to_vf, 1);
	assert_int_equal(host_vf_stats_get(g->v)->to_synthetic, 1);
	stop(g);
}

static void a_failing_switch_is_completed_and_taken_back(void **state)
{
	struct host_vf_manners m = real;
	struct rig *g;

	(void)state;
	m.to_vf_fails = true;
	g = start_ready(&m);
	host_vf_asked(g->v, NVS_PATH_VF);
	loop_advance(g->l, 20);
	IS(g, "done notice", "ready");
	assert_int_equal(host_vf_stats_get(g->v)->failed, 1);
	host_vf_manners_set(g->v, &real);
	host_vf_asked(g->v, NVS_PATH_VF);
	loop_advance(g->l, 20);
	IS(g, "vf done", "switched");
	m.to_synthetic_fails = true;
	host_vf_manners_set(g->v, &m);
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	loop_advance(g->l, 20);
	IS(g, "done", "switched");
	stop(g);
}

static void what_makes_no_sense_is_completed_and_ignored(void **state)
{
	struct rig *g = start(&real);

	(void)state;
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "done", "unavailable");
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	IS(g, "done", "unavailable");
	host_vf_attach(g->v, 7);
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "done", "available");
	host_vf_guest(g->v, true);
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	IS(g, "assoc+7 done", "advertised");
	loop_advance(g->l, 1000);
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	IS(g, "pci+7 done", "ready");
	assert_int_equal(host_vf_stats_get(g->v)->ignored, 5);
	stop(g);
	g = start_switched(&real);
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "done", "switched");
	stop(g);
}

static void the_host_may_fall_back_by_itself(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	assert_int_equal(host_vf_fall_back(g->v), 0);
	IS(g, "synthetic notice", "ready");
	assert_int_equal(host_vf_fall_back(g->v), -EALREADY);
	host_vf_asked(g->v, NVS_PATH_VF);
	assert_int_equal(host_vf_fall_back(g->v), 0);	/* while pending */
	IS(g, "done notice", "ready");
	loop_advance(g->l, 100);
	IS(g, "", "ready");
	stop(g);
}

/* Going -------------------------------------------------------------------- */

static void messages_come_before_the_device_goes(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	assert_int_equal(host_vf_detach(g->v), 0);
	IS(g, "synthetic notice assoc-7", "unavailable");
	assert_true(host_vf_is_going(g->v));
	assert_int_equal(host_vf_detach(g->v), -ENODEV);
	assert_int_equal(host_vf_attach(g->v, 8), -EBUSY);
	loop_advance(g->l, 100);
	IS(g, "pci-7", "unavailable");
	assert_int_equal(host_vf_attach(g->v, 8), 0);
	loop_advance(g->l, 1000);
	IS(g, "assoc+8 pci+8", "ready");
	assert_int_equal(host_vf_serial(g->v), 8);
	stop(g);
}

static void withdrawn_from_each_state(void **state)
{
	struct rig *g = start(&real);

	(void)state;
	host_vf_attach(g->v, 7);		/* available */
	host_vf_detach(g->v);
	IS(g, "", "unavailable");
	loop_advance(g->l, 2000);
	IS(g, "", "unavailable");
	host_vf_guest(g->v, true);		/* advertised */
	host_vf_attach(g->v, 8);
	host_vf_detach(g->v);
	IS(g, "assoc+8 assoc-8", "unavailable");
	loop_advance(g->l, 2000);		/* no device was there */
	IS(g, "", "unavailable");
	stop(g);
	g = start_ready(&real);			/* ready */
	host_vf_detach(g->v);
	loop_advance(g->l, 100);
	IS(g, "assoc-7 pci-7", "unavailable");
	stop(g);
	g = start_ready(&real);			/* pending to the VF */
	host_vf_asked(g->v, NVS_PATH_VF);
	host_vf_detach(g->v);
	IS(g, "done notice assoc-7", "unavailable");
	loop_advance(g->l, 100);
	IS(g, "pci-7", "unavailable");
	stop(g);
	g = start_switched(&real);		/* pending back */
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	host_vf_detach(g->v);
	IS(g, "synthetic done notice assoc-7", "unavailable");
	stop(g);
}

static void a_late_request_of_a_guest_is_completed(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	host_vf_detach(g->v);
	g->did[0] = '\0';
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	IS(g, "done", "unavailable");
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "done", "unavailable");
	stop(g);
}

static void torn_out_means_device_first_word_later(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	assert_int_equal(host_vf_yank(g->v), 0);
	IS(g, "synthetic pci-7", "switched");
	assert_int_equal(host_vf_yank(g->v), -ENODEV);
	loop_advance(g->l, 100);
	IS(g, "notice assoc-7", "unavailable");
	assert_int_equal(host_vf_stats_get(g->v)->yanked, 1);
	stop(g);
}

static void a_guest_may_be_faster_than_the_word(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	host_vf_yank(g->v);
	g->did[0] = '\0';
	host_vf_asked(g->v, NVS_PATH_SYNTHETIC);
	IS(g, "done", "switched");
	loop_advance(g->l, 100);
	IS(g, "assoc-7", "unavailable");	/* it knows the path */
	stop(g);
}

static void torn_out_while_pending(void **state)
{
	struct rig *g = start_ready(&real);

	(void)state;
	host_vf_asked(g->v, NVS_PATH_VF);
	host_vf_yank(g->v);
	IS(g, "pci-7", "pending");
	loop_advance(g->l, 50);			/* the change never happens */
	IS(g, "", "pending");
	loop_advance(g->l, 50);
	IS(g, "done notice assoc-7", "unavailable");
	stop(g);
}

static void a_host_in_a_hurry_does_all_at_once(void **state)
{
	struct rig *g = start(&(struct host_vf_manners){ 0 });

	(void)state;
	host_vf_guest(g->v, true);
	host_vf_attach(g->v, 7);
	loop_advance(g->l, 0);
	host_vf_asked(g->v, NVS_PATH_VF);
	IS(g, "assoc+7 pci+7 vf done", "switched");
	g->attach_when_gone = true;
	host_vf_detach(g->v);		/* not inside of the withdrawal */
	IS(g, "synthetic notice assoc-7 again=-16 pci-7", "unavailable");
	stop(g);
}

/* The guest ---------------------------------------------------------------- */

static void vf_and_path_outlive_the_channel(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	host_vf_guest(g->v, false);
	IS(g, "", "available");
	assert_int_equal(host_vf_path(g->v), NVS_PATH_VF);
	host_vf_guest(g->v, true);
	IS(g, "assoc+7", "switched");
	stop(g);
}

static void a_channel_that_closes_ends_what_is_pending(void **state)
{
	struct rig *g = start_ready(&real);

	(void)state;
	host_vf_asked(g->v, NVS_PATH_VF);
	host_vf_guest(g->v, false);
	IS(g, "done", "available");
	loop_advance(g->l, 1000);
	IS(g, "", "available");
	host_vf_guest(g->v, true);
	IS(g, "assoc+7", "ready");
	stop(g);
}

static void a_channel_that_closes_early_is_told_again(void **state)
{
	struct rig *g = start(&real);

	(void)state;
	host_vf_guest(g->v, true);
	host_vf_attach(g->v, 7);
	loop_advance(g->l, 500);
	host_vf_guest(g->v, false);
	loop_advance(g->l, 5000);
	IS(g, "assoc+7", "available");
	host_vf_guest(g->v, true);
	loop_advance(g->l, 1000);
	IS(g, "assoc+7 pci+7", "ready");
	stop(g);
}

static void withdrawn_while_nobody_listens(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	host_vf_guest(g->v, false);
	host_vf_detach(g->v);
	loop_advance(g->l, 100);
	/* The notice goes nowhere: there is no channel to take it. */
	IS(g, "synthetic notice pci-7", "unavailable");
	host_vf_guest(g->v, true);
	IS(g, "", "unavailable");
	stop(g);
}

static void the_channel_may_close_while_a_vf_goes(void **state)
{
	struct rig *g = start_switched(&real);

	(void)state;
	host_vf_yank(g->v);
	host_vf_guest(g->v, false);
	host_vf_guest(g->v, true);
	IS(g, "synthetic pci-7", "available");
	loop_advance(g->l, 100);
	IS(g, "", "unavailable");
	assert_int_equal(host_vf_attach(g->v, 8), 0);
	IS(g, "assoc+8", "advertised");
	stop(g);
}

/* Any order of anything: whatever was said to be there is taken back once, and
 * every request is completed. */
static void any_order_adds_up(void **state)
{
	static const struct host_vf_manners manners[] = {
		{ 0 }, { 1000, false, 20, false, false, 100, false },
		{ 300, true, 0, true, false, 50, true },
		{ 10, false, 5, false, true, 0, true },
	};
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct rig *g = start(&manners[i % 4]);
		unsigned plus = 0, minus = 0;

		for (unsigned k = 0; k < 25; k++) {
			seed = seed * 1103515245 + 12345;
			switch (seed >> 16 & 7) {
			case 0:
				host_vf_attach(g->v, 1 + k);
				break;
			case 1:
				host_vf_detach(g->v);
				break;
			case 2:
				host_vf_yank(g->v);
				break;
			case 3:
				host_vf_fall_back(g->v);
				break;
			case 4:
				host_vf_guest(g->v, seed >> 20 & 3);
				break;
			case 5:
				if (host_vf_state_get(g->v) != HOST_VF_PENDING)
					host_vf_asked(g->v, seed >> 20 & 1);
				break;
			default:
				loop_advance(g->l, seed >> 20 & 255);
			}
			for (char *p = g->did; (p = strstr(p, "pci")); p += 3) {
				plus += p[3] == '+';
				minus += p[3] == '-';
			}
			g->did[0] = '\0';
			assert_int_equal(plus - minus,
					 host_vf_has_device(g->v));
			if (host_vf_path(g->v) == NVS_PATH_VF)
				assert_true(host_vf_has_device(g->v));
		}
		host_vf_detach(g->v);
		loop_advance(g->l, 10000);
		assert_false(host_vf_has_device(g->v));
		assert_int_equal(host_vf_path(g->v), NVS_PATH_SYNTHETIC);
		assert_int_equal(host_vf_state_get(g->v), HOST_VF_UNAVAILABLE);
		stop(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_comes_after_the_message),
		cmocka_unit_test(the_device_may_come_first),
		cmocka_unit_test(an_eager_guest_gets_the_device_at_once),
		cmocka_unit_test(serial_0_is_none),
		cmocka_unit_test(the_path_goes_there_and_back),
		cmocka_unit_test(a_failing_switch_is_completed_and_taken_back),
		cmocka_unit_test(what_makes_no_sense_is_completed_and_ignored),
		cmocka_unit_test(the_host_may_fall_back_by_itself),
		cmocka_unit_test(messages_come_before_the_device_goes),
		cmocka_unit_test(withdrawn_from_each_state),
		cmocka_unit_test(a_late_request_of_a_guest_is_completed),
		cmocka_unit_test(torn_out_means_device_first_word_later),
		cmocka_unit_test(a_guest_may_be_faster_than_the_word),
		cmocka_unit_test(torn_out_while_pending),
		cmocka_unit_test(a_host_in_a_hurry_does_all_at_once),
		cmocka_unit_test(vf_and_path_outlive_the_channel),
		cmocka_unit_test(a_channel_that_closes_ends_what_is_pending),
		cmocka_unit_test(a_channel_that_closes_early_is_told_again),
		cmocka_unit_test(withdrawn_while_nobody_listens),
		cmocka_unit_test(the_channel_may_close_while_a_vf_goes),
		cmocka_unit_test(any_order_adds_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
