/* test/unit/test_host_ic.c - negotiation and transactions as the host judges
 * them, with a guest played by hand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host_fake.h"

static void on_ready(void *arg)
{
	((struct fake *)arg)->ready++;
}

static void on_lost(void *arg)
{
	((struct fake *)arg)->lost++;
}

static const struct host_ic_ops ops = { on_ready, on_lost, fake_violation };

/* How each request ended, in order. */
struct ends {
	unsigned n;
	struct host_ic_answer a[8];
};

static void on_done(void *arg, const struct host_ic_answer *a)
{
	struct ends *e = arg;

	e->a[e->n++] = *a;
}

static void setup(struct fake *f, bool strict, enum host_xact xact)
{
	struct host_ic_cfg cfg = fake_cfg(strict, xact);

	fake_init(f);
	f->ic = host_ic_new(f->loop, &cfg, &ops, f);
	assert_non_null(f->ic);
}

static void setup_ready(struct fake *f, bool strict, enum host_xact xact)
{
	setup(f, strict, xact);
	fake_open(f);
	fake_choose(f, 3, 5);
	assert_int_equal(host_ic_state_get(f->ic), HOST_IC_READY);
	f->n = 0;
}

static void ask(struct fake *f, const struct host_fault *fault, struct ends *e)
{
	assert_int_equal(host_ic_ask(f->ic, "body", 4, fault, on_done, e), 0);
}

static void opening_sends_the_lists_and_a_choice_makes_it_ready(void **state)
{
	static const uint8_t lists[] = { 2, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0 };
	struct fake f;

	(void)state;
	setup(&f, true, HOST_XACT_ZERO);
	fake_open(&f);
	assert_int_equal(f.n, 1);
	assert_int_equal(f.sent[0].len, 56);
	assert_memory_equal(f.sent[0].bytes + 28, lists, sizeof(lists));
	assert_int_equal(f.sent[0].bytes[25], 3);
	fake_choose(&f, 3, 5);
	assert_int_equal(f.ready, 1);
	assert_int_equal(host_ic_version(f.ic), 0x50000);
	assert_int_equal(host_ic_health_get(f.ic).code[0], 2);
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void an_older_version_works_and_is_degraded(void **state)
{
	struct fake f;

	(void)state;
	setup(&f, true, HOST_XACT_ZERO);
	fake_open(&f);
	fake_choose(&f, 3, 4);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_READY);
	assert_int_equal(host_ic_health_get(f.ic).code[0], 3);
	assert_int_equal(host_ic_health_get(f.ic).code[1], 32775);
	fake_free(&f);
}

static void a_choice_that_was_not_offered_is_noted(void **state)
{
	struct fake f;

	(void)state;
	setup(&f, true, HOST_XACT_ZERO);
	fake_open(&f);
	fake_choose(&f, 2, 6);
	assert_int_equal(f.violations, 2);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_READY);
	fake_free(&f);
}

static void counts_of_zero_mean_no_compatible_protocol(void **state)
{
	uint8_t m[44] = { 0 };
	struct fake f;

	(void)state;
	setup(&f, true, HOST_XACT_ZERO);
	fake_open(&f);
	fake_head(m, 0, 0, 0, 16, 0, 0);
	fake_deliver(&f, m, sizeof(m), 0);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_SILENT);
	assert_int_equal(host_ic_health_get(f.ic).code[0], 7);
	assert_int_equal(host_ic_ask(f.ic, "x", 1, NULL, NULL, NULL),
			 -ENOTCONN);
	fake_free(&f);
}

static void a_negotiation_has_its_limit(void **state)
{
	struct fake f;

	(void)state;
	setup(&f, false, HOST_XACT_ZERO);
	fake_open(&f);
	loop_advance(f.loop, 59999);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_NEGOTIATING);
	loop_advance(f.loop, 1);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_SILENT);
	assert_int_equal(host_ic_health_get(f.ic).code[0], 12);
	fake_choose(&f, 3, 5);		/* too late: it stays silent */
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_SILENT);
	assert_int_equal(host_ic_stats_get(f.ic)->late, 1);
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void stale_answers_before_the_choice_are_dropped(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	assert_int_equal(host_ic_negotiate(f.ic, NULL, NULL, NULL), 0);
	assert_int_equal(f.lost, 1);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.a[0].err, -ECANCELED);
	fake_answer(&f, 5, "late", 4, 0, 0);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_NEGOTIATING);
	assert_int_equal(host_ic_stats_get(f.ic)->stale, 1);
	fake_choose(&f, 3, 4);
	assert_int_equal(f.ready, 2);
	assert_int_equal(host_ic_version(f.ic), 0x40000);
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void a_strict_host_wants_flags_and_id_in_the_choice(void **state)
{
	static const struct { size_t at; uint8_t v; } flaws[] = {
		{ 25, 4 }, { 25, 1 }, { 24, 1 }, { 18, 15 }, { 0, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
		uint8_t m[44] = { 0 };
		struct fake f;

		setup(&f, true, HOST_XACT_ZERO);
		fake_open(&f);
		fake_head(m, 0, 0, 0, 16, 0, 0);
		m[28] = m[30] = 1;
		m[36] = 3;
		m[40] = 5;
		m[flaws[i].at] = flaws[i].v;
		fake_deliver(&f, m, sizeof(m), 0);
		assert_int_equal(host_ic_state_get(f.ic), HOST_IC_FAILED);
		assert_int_equal(f.violations, 1);
		fake_free(&f);
	}
}

static void one_request_at_a_time_in_order(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	ask(&f, NULL, &e);
	assert_int_equal(f.n, 1);
	loop_advance(f.loop, 7);
	fake_answer(&f, 5, "one", 3, 0, 0);
	assert_int_equal(f.n, 2);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.a[0].took_ms, 7);
	fake_answer(&f, 5, "", 0, HV_E_FAIL, 0);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.a[1].status, HV_E_FAIL);
	assert_false(host_ic_busy(f.ic));
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void an_unanswered_request_is_counted_and_the_next_one_sent(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, false, HOST_XACT_COUNT);
	ask(&f, NULL, &e);
	ask(&f, NULL, &e);
	loop_advance(f.loop, 30000);
	assert_int_equal(e.a[0].err, -ETIMEDOUT);
	assert_int_equal(f.n, 2);
	assert_int_equal(host_ic_stats_get(f.ic)->unanswered, 1);
	assert_int_equal(host_ic_health_get(f.ic).code[1], 32783);
	/* The late answer does not pass for the second's. */
	fake_answer(&f, 5, "", 0, 0, f.sent[0].bytes[24]);
	assert_int_equal(e.n, 1);
	assert_int_equal(host_ic_stats_get(f.ic)->late, 1);
	fake_answer(&f, 5, "", 0, 0, f.sent[1].bytes[24]);
	assert_int_equal(e.n, 2);
	assert_int_equal(host_ic_health_get(f.ic).code[0], 2);
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void with_ids_of_zero_the_next_packet_is_the_answer(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	ask(&f, NULL, &e);
	fake_answer(&f, 5, "", 0, 1, 0);
	fake_answer(&f, 5, "", 0, 1, 0);	/* the guest answers twice */
	assert_int_equal(e.n, 2);
	assert_int_equal(f.violations, 0);
	fake_answer(&f, 5, "", 0, 2, 0);	/* the second one's own */
	assert_int_equal(f.violations, 1);
	assert_non_null(strstr(f.violation, "nobody asked"));
	fake_free(&f);
}

static void a_malformed_answer_ends_the_service_until_reopened(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	ask(&f, NULL, &e);
	fake_deliver(&f, (const uint8_t *)"short", 5, 0);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.a[0].err, -EBADMSG);
	assert_int_equal(e.a[1].err, -ECANCELED);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_FAILED);
	assert_int_equal(host_ic_health_get(f.ic).code[1], 32784);
	host_ic_close(f.ic);
	fake_open(&f);
	fake_choose(&f, 3, 5);
	assert_int_equal(host_ic_state_get(f.ic), HOST_IC_READY);
	fake_free(&f);
}

static void a_lenient_host_goes_on_after_a_malformed_answer(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, false, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	ask(&f, NULL, &e);
	fake_deliver(&f, (const uint8_t *)"short", 5, 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.a[0].err, -EBADMSG);
	assert_int_equal(f.n, 2);
	fake_answer(&f, 5, "", 0, 0, 0);
	assert_int_equal(e.a[1].err, 0);
	assert_int_equal(f.violations, 1);
	fake_free(&f);
}

static void wrong_type_version_and_vmbus_id_are_noted(void **state)
{
	struct fake f;
	struct ends e = { 0 };
	uint8_t m[28];

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	fake_head(m, 5, 3, 4, 0, 0, 0);
	fake_deliver(&f, m, sizeof(m), 77);
	assert_int_equal(f.violations, 3);
	assert_int_equal(e.a[0].err, 0);
	fake_free(&f);
}

static void a_completion_packet_is_no_answer(void **state)
{
	struct packet p = { .type = PACKET_COMPLETION };
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	host_ic_packet(f.ic, &p);
	assert_int_equal(e.n, 0);
	assert_int_equal(f.violations, 1);
	fake_free(&f);
}

static void closing_cancels_what_was_asked(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, NULL, &e);
	host_ic_close(f.ic);
	assert_int_equal(e.a[0].err, -ECANCELED);
	assert_int_equal(f.lost, 1);
	assert_int_equal(host_ic_health_get(f.ic).code[0], 13);
	loop_advance(f.loop, 1000000);
	assert_int_equal(e.n, 1);
	fake_free(&f);
}

/* Faults */

static void late_and_lost_requests(void **state)
{
	struct host_fault late = { .late_ms = 500 }, lost = { .lost = 1 };
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, &late, &e);
	assert_int_equal(f.n, 0);
	loop_advance(f.loop, 500);
	assert_int_equal(f.n, 1);
	fake_answer(&f, 5, "", 0, 0, 0);
	ask(&f, &lost, &e);
	loop_advance(f.loop, 30000);
	assert_int_equal(f.n, 1);
	assert_int_equal(e.a[1].err, -ETIMEDOUT);
	assert_int_equal(host_ic_stats_get(f.ic)->unanswered, 0);
	fake_free(&f);
}

static void a_duplicate_is_answered_before_the_next_is_asked(void **state)
{
	struct host_fault twice = { .duplicate = 1 };
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	ask(&f, &twice, &e);
	ask(&f, NULL, &e);
	assert_int_equal(f.n, 2);
	fake_answer(&f, 5, "", 0, 0, 0);
	assert_int_equal(f.n, 2);
	fake_answer(&f, 5, "", 0, 0, 0);
	assert_int_equal(f.n, 3);
	assert_int_equal(e.n, 1);
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void requests_wait_for_the_answers_to_a_doubled_negotiation(void **state)
{
	struct host_fault twice = { .duplicate = 1 };
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	host_ic_negotiate(f.ic, NULL, NULL, &twice);
	assert_int_equal(f.n, 2);
	fake_choose(&f, 3, 5);
	ask(&f, NULL, &e);
	assert_int_equal(f.n, 2);
	fake_choose(&f, 3, 5);
	assert_int_equal(f.n, 3);
	fake_answer(&f, 5, "", 0, 0, 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(f.violations, 0);
	fake_free(&f);
}

static void a_request_may_be_sent_while_one_is_outstanding(void **state)
{
	struct host_fault now = { .no_wait = 1 };
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, false, HOST_XACT_COUNT);
	ask(&f, NULL, &e);
	ask(&f, &now, &e);
	assert_int_equal(f.n, 2);
	fake_answer(&f, 5, "", 0, 7, f.sent[1].bytes[24]);
	fake_answer(&f, 5, "", 0, 8, f.sent[0].bytes[24]);
	assert_int_equal(e.a[0].status, 7);
	assert_int_equal(e.a[1].status, 8);
	fake_free(&f);
}

static void a_full_ring_delays_and_a_broken_one_fails(void **state)
{
	struct fake f;
	struct ends e = { 0 };

	(void)state;
	setup_ready(&f, true, HOST_XACT_ZERO);
	f.send_err = -EAGAIN;
	ask(&f, NULL, &e);
	f.send_err = 0;
	host_ic_writable(f.ic);
	assert_int_equal(f.n, 1);
	fake_answer(&f, 5, "", 0, 0, 0);
	f.send_err = -EPIPE;
	ask(&f, NULL, &e);
	assert_int_equal(e.n, 1);	/* not from inside the call */
	loop_advance(f.loop, 0);
	assert_int_equal(e.a[1].err, -EPIPE);
	fake_free(&f);
}

static void each_byte_fault_lands_at_its_place(void **state)
{
	static const struct {
		const char *json;
		size_t at;
		uint8_t bytes[4];
	} cases[] = {
		{ "{\"pipe-kind\": 2}", 0, { 2, 0, 0, 0 } },
		{ "{\"pipe-length\": 258}", 4, { 2, 1, 0, 0 } },
		{ "{\"framework\": \"2.1\"}", 8, { 2, 0, 1, 0 } },
		{ "{\"version\": \"9.0\"}", 14, { 9, 0, 0, 0 } },
		{ "{\"status\": \"fail\"}", 20, { 5, 0x40, 0, 0x80 } },
		{ "{\"xact\": 9, \"flags\": 4}", 24, { 9, 4, 0xa5, 0xa5 } },
		{ "{\"op\": 3, \"key-size\": 7}", 40, { 7, 0, 0, 0 } },
		{ "{\"op\": 1, \"key-size\": 7}", 36, { 7, 0, 0, 0 } },
		{ "{\"op\": 2, \"key-size\": 7}", 32, { 7, 0, 0, 0 } },
		{ "{\"op\": 1, \"key-text\": \"lone-surrogate\"}", 44,
		  { 0x3d, 0xd8, 0xa5, 0xa5 } },
		{ "{\"patch\": {\"at\": 100, \"hex\": \"0102fFab\"}}", 100,
		  { 1, 2, 0xff, 0xab } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *j = json_loads(cases[i].json, 0, NULL);
		uint8_t msg[28 + 2580];
		struct host_fault fault;
		char err[128];

		memset(msg, 0xa5, sizeof(msg));
		assert_int_equal(host_fault_parse(&fault, j, err, sizeof(err)),
				 0);
		assert_int_equal(host_fault_apply(&fault, msg, sizeof(msg),
						  sizeof(msg)), sizeof(msg));
		assert_memory_equal(msg + cases[i].at, cases[i].bytes, 4);
		json_decref(j);
	}
}

static void lengths_change_with_and_without_being_declared(void **state)
{
	uint8_t msg[128] = { 1, 0, 0, 0, 24 };
	struct host_fault pad = { .pad = 8 }, over = { .oversize = 8 };
	struct host_fault cut = { .truncate = 1 + 10 };

	(void)state;
	assert_int_equal(host_fault_apply(&pad, msg, 32, sizeof(msg)), 40);
	assert_int_equal(msg[4], 24);
	assert_int_equal(host_fault_apply(&over, msg, 32, sizeof(msg)), 40);
	assert_int_equal(msg[4], 32);
	assert_int_equal(msg[18], 12);
	assert_int_equal(host_fault_apply(&cut, msg, 32, sizeof(msg)), 10);
}

static void a_bad_fault_is_named(void **state)
{
	static const char *const bad[] = { "{\"lat-ms\": 5}", "{\"xact\": -1}",
		"{\"version\": 3}", "{\"key-text\": \"odd\"}", "[]",
		"{\"patch\": {\"at\": 1, \"hex\": \"abc\"}}",
		"{\"patch\": {\"at\": 1}}", "{\"status\": \"fine\"}" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *j = json_loads(bad[i], 0, NULL);
		struct host_fault f;
		char err[128] = "";

		assert_int_equal(host_fault_parse(&f, j, err, sizeof(err)),
				 -EINVAL);
		assert_string_not_equal(err, "");
		json_decref(j);
	}
}

static void the_same_seed_gives_the_same_faults(void **state)
{
	uint64_t a = 42, b = 42;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t msg[2608] = { 0 };
		struct host_fault x, y;

		host_fault_random(&x, &a);
		host_fault_random(&y, &b);
		assert_memory_equal(&x, &y, sizeof(x));
		host_fault_apply(&x, msg, sizeof(msg), sizeof(msg));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_sends_the_lists_and_a_choice_makes_it_ready),
		cmocka_unit_test(an_older_version_works_and_is_degraded),
		cmocka_unit_test(a_choice_that_was_not_offered_is_noted),
		cmocka_unit_test(counts_of_zero_mean_no_compatible_protocol),
		cmocka_unit_test(a_negotiation_has_its_limit),
		cmocka_unit_test(stale_answers_before_the_choice_are_dropped),
		cmocka_unit_test(a_strict_host_wants_flags_and_id_in_the_choice),
		cmocka_unit_test(one_request_at_a_time_in_order),
		cmocka_unit_test(an_unanswered_request_is_counted_and_the_next_one_sent),
		cmocka_unit_test(with_ids_of_zero_the_next_packet_is_the_answer),
		cmocka_unit_test(a_malformed_answer_ends_the_service_until_reopened),
		cmocka_unit_test(a_lenient_host_goes_on_after_a_malformed_answer),
		cmocka_unit_test(wrong_type_version_and_vmbus_id_are_noted),
		cmocka_unit_test(a_completion_packet_is_no_answer),
		cmocka_unit_test(closing_cancels_what_was_asked),
		cmocka_unit_test(late_and_lost_requests),
		cmocka_unit_test(a_duplicate_is_answered_before_the_next_is_asked),
		cmocka_unit_test(requests_wait_for_the_answers_to_a_doubled_negotiation),
		cmocka_unit_test(a_request_may_be_sent_while_one_is_outstanding),
		cmocka_unit_test(a_full_ring_delays_and_a_broken_one_fails),
		cmocka_unit_test(each_byte_fault_lands_at_its_place),
		cmocka_unit_test(lengths_change_with_and_without_being_declared),
		cmocka_unit_test(a_bad_fault_is_named),
		cmocka_unit_test(the_same_seed_gives_the_same_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
