/* test/unit/test_host_kvp.c - pushes, walks, items and polling, with a guest
 * played by hand. Offsets in bodies are those of doc/wire/kvp.md. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/host_kvp.h"
#include "host_fake.h"

struct rig {
	struct fake f;
	struct host_kvp *k;
	unsigned ended;
	int err;
	uint32_t status;
	size_t listed;
	char changes[256];
};

static void on_ready(void *arg)
{
	host_kvp_ready(((struct rig *)arg)->k);
}

static void on_lost(void *arg)
{
	host_kvp_lost(((struct rig *)arg)->k);
}

static void on_violation(void *arg, const char *text)
{
	fake_violation(&((struct rig *)arg)->f, text);
}

static const struct host_ic_ops ops = { on_ready, on_lost, on_violation };

static void setup(struct rig *r, bool push, bool string_ip)
{
	struct host_ic_cfg cfg = fake_cfg(true, HOST_XACT_ZERO);
	struct host_kvp_cfg kcfg = { .push = push, .string_ip = string_ip,
				     .vm_name = "vm" };

	*r = (struct rig){ 0 };
	fake_init(&r->f);
	r->f.ic = host_ic_new(r->f.loop, &cfg, &ops, r);
	r->k = host_kvp_new(r->f.loop, r->f.ic, &kcfg);
	assert_non_null(r->k);
}

static void connect_at(struct rig *r, uint8_t version)
{
	host_kvp_connected(r->k);
	fake_open(&r->f);
	r->f.n = 0;
	fake_choose(&r->f, 3, version);
}

static void teardown(struct rig *r)
{
	host_kvp_free(r->k);
	fake_free(&r->f);
}

static const uint8_t *last_body(struct rig *r)
{
	return r->f.sent[r->f.n - 1].bytes + 28;
}

static void ok(struct rig *r)
{
	fake_answer(&r->f, 5, "", 0, 0, 0);
}

static void on_done(void *arg, const struct host_kvp_result *res)
{
	struct rig *r = arg;

	r->ended++;
	r->err = res->err;
	r->status = res->status;
	r->listed = res->list ? res->list->n : 0;
}

/* Answer an ENUMERATE with a key and a value of one letter each, or its end. */
static void enumerated(struct rig *r, const char *kv)
{
	uint8_t body[2580] = { 3, 1 };

	if (!kv) {
		fake_answer(&r->f, 5, "", 0, HV_S_CONT, 0);
		return;
	}
	body[8] = 1;
	body[12] = body[16] = 4;
	body[20] = (uint8_t)kv[0];
	body[532] = (uint8_t)kv[1];
	fake_answer(&r->f, 5, body, sizeof(body), 0, 0);
}

static void connecting_pushes_facts_then_items_then_the_ip_once(void **state)
{
	struct host_kvp_item it = { .type = KVP_TYPE_STRING, .key = "a",
				    .value = "b" };
	struct host_kvp_ip ip = { .adapter = "{x}", .dhcp = true };
	struct rig r;

	(void)state;
	setup(&r, true, true);
	assert_int_equal(host_kvp_item_set(r.k, &it), 0);
	host_kvp_ip_at_connect(r.k, &ip);
	connect_at(&r, 5);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(r.f.n, i + 1);
		assert_int_equal(last_body(&r)[0], KVP_SET);
		assert_int_equal(last_body(&r)[1], 3);
		ok(&r);
	}
	assert_int_equal(last_body(&r)[1], 0);
	assert_int_equal(last_body(&r)[16], 'a');
	assert_int_equal(last_body(&r)[528], 'b');
	ok(&r);
	assert_int_equal(last_body(&r)[0], KVP_SET_IP_INFO);
	assert_false(host_kvp_pushed(r.k));
	ok(&r);
	assert_true(host_kvp_pushed(r.k));
	assert_int_equal(r.f.n, 18);
	/* A new negotiation does not push again, a new connection does. */
	host_ic_negotiate(r.f.ic, NULL, NULL, NULL);
	fake_choose(&r.f, 3, 5);
	assert_int_equal(r.f.n, 19);
	host_ic_close(r.f.ic);
	connect_at(&r, 5);
	assert_int_equal(last_body(&r)[1], 3);
	assert_int_equal(r.f.violations, 0);
	teardown(&r);
}

static void a_push_goes_on_after_a_failure_and_reports_the_first(void **state)
{
	struct rig r;

	(void)state;
	setup(&r, false, true);
	connect_at(&r, 5);
	assert_int_equal(host_kvp_push(r.k, on_done, &r), 0);
	fake_answer(&r.f, 5, "", 0, HV_E_FAIL, 0);
	for (unsigned i = 1; i < 16; i++)
		ok(&r);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.err, 0);
	assert_int_equal(r.status, HV_E_FAIL);
	teardown(&r);
}

static void items_replace_by_key_and_are_checked(void **state)
{
	struct host_kvp_item it = { .type = KVP_TYPE_STRING, .key = "k",
				    .value = "1" };
	struct rig r;

	(void)state;
	setup(&r, false, true);
	assert_int_equal(host_kvp_item_set(r.k, &it), 0);
	strcpy(it.value, "2");
	assert_int_equal(host_kvp_item_set(r.k, &it), 0);
	assert_int_equal(host_kvp_items(r.k)->n, 1);
	assert_string_equal(host_kvp_items(r.k)->e[0].value, "2");
	it.type = KVP_TYPE_U32;
	strcpy(it.value, "two");
	assert_int_equal(host_kvp_item_set(r.k, &it), -EINVAL);
	it.key[0] = '\0';
	assert_int_equal(host_kvp_item_set(r.k, &it), -EINVAL);
	assert_int_equal(host_kvp_item_delete(r.k, "k"), 0);
	assert_int_equal(host_kvp_item_delete(r.k, "k"), -ENOENT);
	teardown(&r);
}

static void a_walk_counts_up_to_the_end(void **state)
{
	struct rig r;

	(void)state;
	setup(&r, false, true);
	connect_at(&r, 5);
	assert_int_equal(host_kvp_walk(r.k, 1, on_done, &r), 0);
	assert_int_equal(last_body(&r)[0], KVP_ENUMERATE);
	assert_int_equal(last_body(&r)[4], 0);
	enumerated(&r, "a1");
	assert_int_equal(last_body(&r)[4], 1);
	enumerated(&r, "b2");
	enumerated(&r, NULL);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.listed, 2);
	assert_string_equal(host_kvp_cache(r.k, 1)->e[1].key, "b");
	teardown(&r);
}

static void a_walk_ends_at_an_error_and_says_which(void **state)
{
	struct rig r;

	(void)state;
	setup(&r, false, true);
	connect_at(&r, 5);
	host_kvp_walk(r.k, 2, on_done, &r);
	enumerated(&r, "a1");
	fake_answer(&r.f, 5, "", 0, HV_E_FAIL, 0);
	assert_int_equal(r.ended, 1);
	assert_int_equal(r.status, HV_E_FAIL);
	assert_int_equal(host_kvp_cache(r.k, 2)->n, 0);
	teardown(&r);
}

static void a_lost_channel_ends_every_job_once(void **state)
{
	struct host_kvp_msg get = { .op = KVP_GET, .item.type = 1,
				    .item.key = "k" };
	struct rig r;

	(void)state;
	setup(&r, false, true);
	connect_at(&r, 5);
	host_kvp_walk(r.k, 2, on_done, &r);
	assert_int_equal(host_kvp_request(r.k, &get, NULL, on_done, &r), 0);
	host_ic_close(r.f.ic);
	assert_int_equal(r.ended, 2);
	assert_int_equal(r.err, -ECANCELED);
	assert_int_equal(host_kvp_request(r.k, &get, NULL, on_done, &r),
			 -ENOTCONN);
	teardown(&r);
}

static void a_strict_host_fails_on_a_malformed_value(void **state)
{
	struct host_kvp_msg get = { .op = KVP_GET, .item.type = 1,
				    .item.key = "k" };
	uint8_t body[2580] = { 0 };
	struct rig r;

	(void)state;
	setup(&r, false, true);
	connect_at(&r, 5);
	assert_int_equal(host_kvp_request(r.k, &get, NULL, on_done, &r), 0);
	body[4] = 1;
	body[12] = 3;
	fake_answer(&r.f, 5, body, sizeof(body), 0, 0);
	assert_int_equal(r.err, -EBADMSG);
	assert_int_equal(r.f.violations, 1);
	assert_int_equal(host_ic_state_get(r.f.ic), HOST_IC_FAILED);
	teardown(&r);
}

static void ip_operations_below_5_depend_on_the_host(void **state)
{
	struct host_kvp_msg m = { .op = KVP_GET_IP_INFO, .pool = 1 };
	struct rig r;

	(void)state;
	setup(&r, false, false);
	connect_at(&r, 4);
	assert_int_equal(host_kvp_request(r.k, &m, NULL, NULL, NULL),
			 -EOPNOTSUPP);
	teardown(&r);
	setup(&r, false, true);
	connect_at(&r, 4);
	assert_int_equal(host_kvp_request(r.k, &m, NULL, NULL, NULL), 0);
	assert_int_equal(r.f.sent[0].len, 28 + 7428);
	teardown(&r);
}

static void on_change(void *arg, unsigned pool, enum host_kvp_change what,
		      const struct host_kvp_entry *e)
{
	struct rig *r = arg;
	size_t n = strlen(r->changes);

	snprintf(r->changes + n, sizeof(r->changes) - n, "%u%c%s%s ", pool,
		 "+=-"[what], e->key, e->value);
}

static void polling_tells_what_changed(void **state)
{
	struct rig r;
	struct host_kvp_watch w = { on_change, &r, NULL };

	(void)state;
	setup(&r, false, true);
	host_kvp_watch(r.k, &w);
	host_kvp_poll(r.k, 1000);
	connect_at(&r, 5);
	assert_int_equal(r.f.n, 0);
	loop_advance(r.f.loop, 1000);
	assert_int_equal(last_body(&r)[1], 1);
	enumerated(&r, "a1");
	enumerated(&r, "b1");
	enumerated(&r, NULL);
	assert_int_equal(last_body(&r)[1], 2);
	enumerated(&r, NULL);
	loop_advance(r.f.loop, 1000);
	enumerated(&r, "b2");
	enumerated(&r, "c1");
	enumerated(&r, NULL);
	assert_string_equal(r.changes, "1+a1 1+b1 1=b2 1+c1 1-a1 ");
	host_kvp_poll(r.k, 0);
	enumerated(&r, NULL);
	r.f.n = 0;
	loop_advance(r.f.loop, 10000);
	assert_int_equal(r.f.n, 0);
	host_kvp_unwatch(r.k, &w);
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connecting_pushes_facts_then_items_then_the_ip_once),
		cmocka_unit_test(a_push_goes_on_after_a_failure_and_reports_the_first),
		cmocka_unit_test(items_replace_by_key_and_are_checked),
		cmocka_unit_test(a_walk_counts_up_to_the_end),
		cmocka_unit_test(a_walk_ends_at_an_error_and_says_which),
		cmocka_unit_test(a_lost_channel_ends_every_job_once),
		cmocka_unit_test(a_strict_host_fails_on_a_malformed_value),
		cmocka_unit_test(ip_operations_below_5_depend_on_the_host),
		cmocka_unit_test(polling_tells_what_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
