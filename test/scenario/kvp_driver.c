/* test/scenario/kvp_driver.c - what the host is told, whatever its daemon or
 * the host itself does. */
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#include <cmocka.h>

/* A rig with a registered daemon and agreed versions. */
static int setup(void **state)
{
	struct rig *g = rig_new(NULL, false);

	rig_daemon_registers(g, KVP_FORM_LINUX);
	assert_int_equal(g->line.ready, 1);
	*state = g;
	return 0;
}

/* A host that asks for IP information below KVP 5.0 too. */
static int setup_string_ip(void **state)
{
	const struct host_profile *p = host_profiles;
	struct rig *g;

	while (p->name && !p->string_ip)
		p++;
	assert_non_null(p->name);
	g = rig_new(p->name, false);
	rig_daemon_registers(g, KVP_FORM_LINUX);
	*state = g;
	return 0;
}

static int setup_bare(void **state)
{
	*state = rig_new(NULL, false);
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	assert_int_equal(g->line.violations, 0);
	rig_free(g);
	return 0;
}

static void a_request_travels_to_the_daemon_and_its_answer_back(void **state)
{
	struct rig *g = *state;

	rig_host_asks(g, KVP_GET, 0, "gr\xc3\xbc\xc3\x9f", NULL, NULL);
	assert_int_equal(g->asked, 1);
	assert_string_equal(g->request.key, "gr\xc3\xbc\xc3\x9f");
	rig_daemon_replies(g, HV_S_OK, NULL, "\xf0\x9f\x90\xa7");
	assert_int_equal(g->answers, 1);
	assert_int_equal(g->status, HV_S_OK);
	assert_string_equal(g->answer.item.value, "\xf0\x9f\x90\xa7");
}

static void every_profile_and_both_forms_work(void **state)
{
	(void)state;
	for (const struct host_profile *p = host_profiles; p->name; p++) {
		for (unsigned form = 0; form < 2; form++) {
			struct rig *g = rig_new(p->name, false);

			rig_daemon_registers(g, (enum kvp_form)form);
			assert_int_equal(g->line.ready, 1);
			rig_host_asks(g, KVP_SET, 3, "k", "v", NULL);
			assert_string_equal(g->request.value, "v");
			rig_daemon_replies(g, HV_S_OK, NULL, NULL);
			assert_int_equal(g->answers, 1);
			assert_int_equal(g->err, 0);
			assert_int_equal(g->line.violations, 0);
			rig_free(g);
		}
	}
}

static void negotiation_waits_for_the_daemon(void **state)
{
	struct rig *g = *state;

	rig_advance(g, 49000);
	assert_int_equal(g->line.ready, 0);
	rig_daemon_registers(g, KVP_FORM_FREEBSD);
	assert_int_equal(g->line.ready, 1);
}

static void negotiation_waits_only_as_long_as_a_host_bears(void **state)
{
	struct rig *g = *state;

	rig_advance(g, 50000);
	assert_int_equal(g->line.ready, 1);
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	assert_int_equal(g->answers, 1);
	assert_int_equal(g->status, HV_E_FAIL);
}

static void without_a_daemon_the_answer_is_no_at_once(void **state)
{
	struct rig *g = *state;

	rig_daemon_dies(g);
	for (unsigned op = 0; op < KVP_N_OPS; op++) {
		struct host_kvp_msg m = { .op = (uint8_t)op };

		if (op < KVP_GET_IP_INFO)
			strcpy(m.item.key, "k");
		m.item.type = op < KVP_GET_IP_INFO ? KVP_TYPE_STRING :
						     m.item.type;
		rig_host_sends(g, &m, NULL);
		assert_int_equal(g->answers, op + 1);
		assert_int_equal(g->status, HV_E_FAIL);
	}
}

static void a_daemon_that_dies_fails_its_request_at_once(void **state)
{
	struct rig *g = *state;

	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	assert_int_equal(g->answers, 0);
	rig_daemon_dies(g);
	assert_int_equal(g->answers, 1);
	assert_int_equal(g->status, HV_E_FAIL);
	rig_daemon_registers(g, KVP_FORM_LINUX);
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, NULL, "back");
	assert_string_equal(g->answer.item.value, "back");
}

static void a_late_reply_never_answers_the_next_request(void **state)
{
	struct rig *g = *state;
	struct kvp_stats s;

	rig_host_asks(g, KVP_GET, 2, "OSName", NULL, NULL);
	rig_advance(g, 2499);
	assert_int_equal(g->answers, 0);
	rig_advance(g, 1);
	assert_int_equal(g->status, HV_E_FAIL);

	rig_host_asks(g, KVP_GET, 2, "OSVersion", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, "OSName", "the late one");
	assert_int_equal(g->answers, 1);
	rig_daemon_replies(g, HV_S_OK, "OSVersion", "12");
	assert_int_equal(g->answers, 2);
	assert_string_equal(g->answer.item.value, "12");
	kvp_stats_get(g->kvp, &s);
	assert_int_equal(s.stale, 1);
}

static void a_stuck_daemon_is_not_asked_for_ever(void **state)
{
	struct rig *g = *state;

	for (unsigned i = 0; i < 10; i++) {
		rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
		rig_advance(g, 2500);
		assert_int_equal(g->answers, i + 1);
		assert_int_equal(g->status, HV_E_FAIL);
	}
	assert_int_equal(g->asked, 4);
	for (unsigned i = 0; i < 4; i++)
		rig_daemon_replies(g, HV_S_OK, NULL, "late");
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, NULL, "new");
	assert_string_equal(g->answer.item.value, "new");
}

static void a_daemon_that_does_not_read_costs_one_answer(void **state)
{
	struct rig *g = *state;

	g->daemon_deaf = true;
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	assert_int_equal(g->answers, 1);
	assert_int_equal(g->status, HV_E_FAIL);
	g->daemon_deaf = false;
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, NULL, "v");
	assert_string_equal(g->answer.item.value, "v");
}

static void set_ip_has_a_time_limit_of_its_own(void **state)
{
	struct rig *g = *state;
	struct host_kvp_msg m = { .op = KVP_SET_IP_INFO, .pool = 1 };

	strcpy(m.ip.adapter, "{11111111-2222-3333-4444-555555555555}");
	m.ip.family = KVP_IP_V4;
	strcpy(m.ip.addrs, "192.0.2.1");
	strcpy(m.ip.masks, "255.255.255.0");
	rig_host_sends(g, &m, NULL);
	assert_string_equal(g->request.ip.addrs, "192.0.2.1");
	assert_string_equal(g->request.ip.masks, "255.255.255.0");
	rig_advance(g, 10000);
	assert_int_equal(g->answers, 0);
	rig_daemon_replies(g, HV_ERROR_NOT_SUPPORTED, NULL, NULL);
	assert_int_equal(g->status, HV_ERROR_NOT_SUPPORTED);
}

/* The binary form at 5.0, the string form below. */
static void ip_info_travels_in_both_wire_forms(void **state)
{
	static const struct host_versions messages[] = {
		{ 1, { HV_IC_VERSION(5, 0) } }, { 1, { HV_IC_VERSION(4, 0) } },
	};
	const struct host_kvp_msg ask = {
		.op = KVP_GET_IP_INFO, .pool = 1,
		.ip.adapter = "00:15:5D:01:02:03",
	};
	struct rig *g = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct kvp_ip *ip = &g->request.ip;

		host_ic_negotiate(g->line.host_ic, NULL, &messages[i], NULL);
		rig_settle(g);
		rig_host_sends(g, &ask, NULL);
		assert_string_equal(ip->adapter_id, "00:15:5D:01:02:03");
		ip->family = KVP_IP_V4 | KVP_IP_V6;
		ip->dhcp = true;
		strcpy(ip->addrs, "192.0.2.7;2001:db8::7;");
		strcpy(ip->masks, "255.255.255.128;/64;");
		strcpy(ip->gateways, "192.0.2.1;fe80::1");
		strcpy(ip->dns, "192.0.2.53");
		rig_daemon_replies(g, HV_S_OK, NULL, NULL);
		assert_int_equal(g->answers, i + 1);
		assert_int_equal(g->err, 0);
		assert_int_equal(strncmp(g->answer.ip.addrs,
					 "192.0.2.7;2001:db8::7", 21), 0);
		assert_int_equal(strncmp(g->answer.ip.gateways,
					 "192.0.2.1;fe80::1", 17), 0);
		assert_int_equal(g->answer.ip.family, 3);
		assert_true(g->answer.ip.dhcp);
	}
}

static void renegotiation_cancels_what_was_asked(void **state)
{
	struct rig *g = *state;

	rig_host_asks(g, KVP_GET, 0, "old", NULL, NULL);
	host_ic_negotiate(g->line.host_ic, NULL, NULL, NULL);
	rig_settle(g);
	assert_int_equal(g->answers, 1);	/* the host cancelled it */
	assert_int_equal(g->err, -ECANCELED);
	assert_int_equal(g->line.ready, 2);
	rig_daemon_replies(g, HV_S_OK, "old", "never sent");
	rig_host_asks(g, KVP_GET, 0, "new", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, NULL, "fresh");
	assert_int_equal(g->answers, 2);
	assert_string_equal(g->answer.item.value, "fresh");
	assert_int_equal(host_ic_stats_get(g->line.host_ic)->stale, 0);
}

static void nothing_in_common_ends_in_silence_not_in_guessing(void **state)
{
	static const struct host_versions alien = { 1,
		{ HV_IC_VERSION(7, 7) } };
	struct rig *g = *state;

	host_ic_negotiate(g->line.host_ic, NULL, &alien, NULL);
	rig_settle(g);
	assert_int_equal(g->line.ready, 1);
	assert_int_equal(ic_version(kvp_ic(g->kvp)), 0);
	g->line.violations = 0;		/* counts 0/0, as Linux says it */
	host_ic_negotiate(g->line.host_ic, NULL, NULL, NULL);
	rig_settle(g);
	assert_int_equal(g->line.ready, 2);
}

static void a_host_that_asks_twice_is_answered_twice_in_order(void **state)
{
	const struct host_fault no_wait = { .no_wait = 1 };
	struct rig *g = *state;

	rig_host_asks(g, KVP_GET, 0, "first", NULL, NULL);
	rig_host_asks(g, KVP_GET, 0, "second", NULL, &no_wait);
	assert_int_equal(g->asked, 1);
	assert_string_equal(g->request.key, "first");
	rig_daemon_replies(g, HV_S_OK, NULL, "1");
	assert_int_equal(g->asked, 2);
	assert_string_equal(g->request.key, "second");
	rig_daemon_replies(g, HV_S_OK, NULL, "2");
	assert_int_equal(g->answers, 2);
	assert_string_equal(g->answer.item.value, "2");
}

static void more_at_once_than_the_queue_holds_waits_in_the_ring(void **state)
{
	const struct host_fault no_wait = { .no_wait = 1 };
	struct rig *g = *state;

	for (unsigned i = 0; i < 12; i++)
		rig_host_asks(g, KVP_GET, 0, "k", NULL, &no_wait);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(g->answers, i);
		rig_daemon_replies(g, HV_S_OK, NULL, "v");
	}
	assert_int_equal(g->answers, 12);
	g->line.violations = 0;	/* the host notes what it provoked itself */
}

static void unknown_operations_and_pools_get_an_answer(void **state)
{
	struct rig *g = *state;
	struct ic_stats s;

	rig_host_asks(g, 17, 0, NULL, NULL, NULL);
	assert_int_equal(g->answers, 1);
	assert_int_equal(g->status, HV_ERROR_NOT_SUPPORTED);
	rig_host_asks(g, KVP_GET, 200, "k", NULL, NULL);
	assert_int_equal(g->request.pool, 200);	/* the daemon's to refuse */
	rig_daemon_replies(g, HV_INVALIDARG, NULL, NULL);
	assert_int_equal(g->status, HV_INVALIDARG);
	ic_stats_get(kvp_ic(g->kvp), &s);
	assert_int_equal(s.requests, 2);
}

static void a_second_daemon_is_refused_and_harms_nothing(void **state)
{
	const struct kvp_daemon second = { NULL, NULL };
	struct rig *g = *state;

	assert_int_equal(kvp_daemon_open(g->kvp, &second), -EBUSY);
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, NULL, "v");
	assert_string_equal(g->answer.item.value, "v");
}

static void a_registration_that_is_none_is_refused(void **state)
{
	static const size_t sizes[] = { 0, 1, 4, 7429, 7431, 7433, 7432 };
	struct rig *g = *state;
	uint8_t junk[8000] = { 9 };

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		rig_daemon_opens(g);
		assert_int_equal(kvp_daemon_message(g->kvp, junk, sizes[i]),
				 -EINVAL);
	}
	rig_daemon_registers(g, KVP_FORM_LINUX);
	assert_int_equal(g->line.ready, 1);
}

static void a_daemon_that_talks_nonsense_fails_one_request(void **state)
{
	struct rig *g = *state;
	uint8_t junk[KVP_DEVMSG_LINUX];

	memset(junk, 0xff, sizeof(junk));
	kvp_daemon_message(g->kvp, junk, sizeof(junk));	/* nobody asked */
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	memset(junk, 0, 4);				/* "ok", then garbage */
	kvp_daemon_message(g->kvp, junk, sizeof(junk));
	rig_settle(g);
	assert_int_equal(g->answers, 1);
	assert_int_equal(g->status, HV_E_FAIL);
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	kvp_daemon_message(g->kvp, junk, 100);
	rig_settle(g);
	assert_int_equal(g->status, HV_E_FAIL);
	assert_int_equal(g->answers, 2);
}

static void a_value_longer_than_the_hosts_field_is_cut_not_refused(void **state)
{
	struct rig *g = *state;
	char longest[KVP_VALUE_SIZE], key[KVP_KEY_SIZE];

	memset(longest, 'v', sizeof(longest) - 1);
	memset(key, 'k', sizeof(key) - 1);
	longest[sizeof(longest) - 1] = key[sizeof(key) - 1] = '\0';
	rig_host_asks(g, KVP_ENUMERATE, 1, NULL, NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, key, longest);
	assert_int_equal(g->status, HV_S_OK);
	assert_int_equal(strlen(g->answer.item.value), 1023);
	assert_int_equal(strlen(g->answer.item.key), 255);
}

static void reopening_the_channel_starts_over(void **state)
{
	struct rig *g = *state;

	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	rig_reopen(g);
	assert_int_equal(g->err, -ECANCELED);
	assert_int_equal(g->line.ready, 2);
	rig_daemon_replies(g, HV_S_OK, NULL, "stale");
	rig_host_asks(g, KVP_GET, 0, "k", NULL, NULL);
	rig_daemon_replies(g, HV_S_OK, NULL, "fresh");
	assert_string_equal(g->answer.item.value, "fresh");
}

/* Any one fault of a message's bytes: the host hears exactly one answer if
 * the headers were whole, never two, and service goes on. */
static void mangled_requests_never_stop_the_service(void **state)
{
	struct rig *g = *state;
	uint64_t seed = 20260101;

	for (unsigned i = 0; i < 3000; i++) {
		unsigned asked = g->asked, answers = g->answers;
		struct host_fault f = { 0 };

		host_fault_random(&f, &seed);
		rig_host_asks(g, i % 4, i % 6, "key", i % 4 == 1 ? "v" : NULL,
			      &f);
		if (g->asked != asked)
			rig_daemon_replies(g, HV_S_OK, "key", "v");
		if (g->answers == answers)
			rig_advance(g, 120000);	/* the host's patience */
		assert_int_equal(g->answers, answers + 1);
		host_ic_negotiate(g->line.host_ic, NULL, NULL, NULL);
		rig_settle(g);
		rig_host_asks(g, KVP_GET, 0, "sane", NULL, NULL);
		rig_daemon_replies(g, HV_S_OK, NULL, "sane");
		assert_string_equal(g->answer.item.value, "sane");
	}
	g->line.violations = 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define STRING_IP(f) \
	cmocka_unit_test_setup_teardown(f, setup_string_ip, teardown)
#define BARE(f) cmocka_unit_test_setup_teardown(f, setup_bare, teardown)
	const struct CMUnitTest tests[] = {
		T(a_request_travels_to_the_daemon_and_its_answer_back),
		cmocka_unit_test(every_profile_and_both_forms_work),
		BARE(negotiation_waits_for_the_daemon),
		BARE(negotiation_waits_only_as_long_as_a_host_bears),
		T(without_a_daemon_the_answer_is_no_at_once),
		T(a_daemon_that_dies_fails_its_request_at_once),
		T(a_late_reply_never_answers_the_next_request),
		T(a_stuck_daemon_is_not_asked_for_ever),
		T(a_daemon_that_does_not_read_costs_one_answer),
		T(set_ip_has_a_time_limit_of_its_own),
		STRING_IP(ip_info_travels_in_both_wire_forms),
		T(renegotiation_cancels_what_was_asked),
		T(nothing_in_common_ends_in_silence_not_in_guessing),
		T(a_host_that_asks_twice_is_answered_twice_in_order),
		T(more_at_once_than_the_queue_holds_waits_in_the_ring),
		T(unknown_operations_and_pools_get_an_answer),
		T(a_second_daemon_is_refused_and_harms_nothing),
		BARE(a_registration_that_is_none_is_refused),
		T(a_daemon_that_talks_nonsense_fails_one_request),
		T(a_value_longer_than_the_hosts_field_is_cut_not_refused),
		T(reopening_the_channel_starts_over),
		T(mangled_requests_never_stop_the_service),
	};

	log_open("scenario", LOG_TO_STDERR, true, LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
