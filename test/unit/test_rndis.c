/* test/unit/test_rndis.c - the control side against a host of a few lines that
 * answers by hand, on a clock that the test moves. */
#include "hn/rndis.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rd.h"
#include "base/wr.h"

enum { TIMEOUT_MS = 5000, NOTHING = 0 };

static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 };

struct rig {
	struct loop *l;
	struct rndis *r;
	/* The last request. */
	uint32_t type, rid, oid;
	uint8_t data[64];
	size_t len;
	unsigned sent, up, failed, links, changes;
	bool link_up;
	int send_err;
	/* OIDs that this host does not know, 0: none. */
	uint32_t unknown;
	bool no_offloads;
};

static int on_send(void *arg, const void *msg, size_t len)
{
	struct rig *g = arg;
	struct rd r = rd_of(msg, len);

	if (g->send_err)
		return g->send_err;
	g->sent++;
	g->type = rd_le32(&r);
	assert_int_equal(rd_le32(&r), len);
	g->rid = rd_le32(&r);
	g->oid = rd_le32(&r);
	rd_skip(&r, 12);
	g->len = r.bad ? 0 : r.left;
	if (g->len && g->len <= sizeof(g->data))
		rd_copy(&r, g->data, g->len);
	return 0;
}

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct rig *g = arg;

	(void)nic;
	g->up++;
}

static void on_failed(void *arg, const char *why)
{
	struct rig *g = arg;

	assert_non_null(why);
	g->failed++;
}

static void on_link(void *arg, bool up)
{
	struct rig *g = arg;

	g->links++;
	g->link_up = up;
}

static void on_change(void *arg)
{
	struct rig *g = arg;

	g->changes++;
}

static void rig_init(struct rig *g)
{
	static const struct rndis_ops ops = {
		on_send, on_up, on_failed, on_link, on_change,
	};

	memset(g, 0, sizeof(*g));
	g->l = loop_new(LOOP_VIRTUAL);
	g->r = rndis_new(g->l, TIMEOUT_MS, &ops, g);
	assert_non_null(g->r);
}

static void rig_free(struct rig *g)
{
	rndis_free(g->r);
	loop_free(g->l);
}

static void say(struct rig *g, const void *msg, size_t len)
{
	uint8_t *exact = malloc(len);

	memcpy(exact, msg, len);
	rndis_message(g->r, exact, len);
	free(exact);
}

static void answer_query(struct rig *g, uint32_t status, const void *data,
			 size_t len)
{
	uint8_t msg[256];
	struct wr w = wr_of(msg, sizeof(msg));

	wr_le32(&w, 0x80000004);
	wr_le32(&w, (uint32_t)(24 + len));
	wr_le32(&w, g->rid);
	wr_le32(&w, status);
	wr_le32(&w, (uint32_t)len);
	wr_le32(&w, 16);
	wr_bytes(&w, data, len);
	say(g, msg, w.len);
}

static void answer_short(struct rig *g, uint32_t type, uint32_t status)
{
	uint8_t msg[16];
	struct wr w = wr_of(msg, sizeof(msg));

	wr_le32(&w, type | 0x80000000);
	wr_le32(&w, 16);
	wr_le32(&w, g->rid);
	wr_le32(&w, status);
	say(g, msg, w.len);
}

static void answer_initialize(struct rig *g)
{
	uint8_t msg[52] = { 2, 0, 0, 0x80, 52 };
	struct wr w = wr_of(msg + 8, 4);

	wr_le32(&w, g->rid);
	msg[32] = 8;
	msg[37] = 0x40;
	msg[40] = 3;
	say(g, msg, sizeof(msg));
}

static void answer_offload_caps(struct rig *g)
{
	uint8_t o[156] = { 0xa7, 3, 156 };

	o[8] = o[24] = 0x14;		/* TCP, with options */
	o[80] = o[92] = 2;		/* LSO v2 on 802.3 */
	o[85] = o[97] = 0xf0;
	answer_query(g, g->no_offloads ? RNDIS_S_NOT_SUPPORTED : 0, o,
		     g->no_offloads ? 0 : sizeof(o));
}

static void answer(struct rig *g)
{
	static const uint8_t mtu[4] = { 0xdc, 5 }, speed[4] = { 0x80, 0x96, 0x98 };

	if (g->type == RNDIS_INITIALIZE)
		answer_initialize(g);
	else if (g->oid == g->unknown)
		answer_query(g, RNDIS_S_NOT_SUPPORTED, NULL, 0);
	else if (g->type == RNDIS_SET)
		answer_short(g, RNDIS_SET, RNDIS_S_OK);
	else if (g->oid == RNDIS_OID_MAX_FRAME)
		answer_query(g, 0, mtu, 4);
	else if (g->oid == RNDIS_OID_MAC_PERMANENT)
		answer_query(g, 0, mac, 6);
	else if (g->oid == RNDIS_OID_LINK_SPEED)
		answer_query(g, 0, speed, 4);
	else if (g->oid == RNDIS_OID_OFFLOAD_CAPS)
		answer_offload_caps(g);
	else
		answer_query(g, 0, "\0\0\0\0", 4);
}

static void bring_up(struct rig *g)
{
	rndis_start(g->r);
	for (unsigned i = 0; i < 20 && !g->up && !g->failed; i++)
		answer(g);
}

static void comes_up_and_knows_the_nic(void **state)
{
	const struct rndis_nic *nic;
	struct rig g;

	(void)state;
	rig_init(&g);
	assert_null(rndis_nic_get(g.r));
	bring_up(&g);
	assert_int_equal(g.up, 1);
	nic = rndis_nic_get(g.r);
	assert_memory_equal(nic->mac, mac, 6);
	assert_int_equal(nic->mtu, 1500);
	assert_int_equal(nic->max_messages, 8);
	assert_int_equal(nic->align, 8);
	assert_int_equal(nic->speed_bps, 1000000000);
	assert_true(nic->link_up);
	assert_true(nic->tx_checksum && nic->tso4 && nic->tso6);
	assert_int_equal(nic->tso_max, 0xf000);
	rig_free(&g);
}

static void goes_on_without_what_a_host_does_not_know(void **state)
{
	static const uint32_t oids[] = {
		RNDIS_OID_MAX_FRAME, RNDIS_OID_LINK_SPEED,
		RNDIS_OID_MEDIA_STATUS,
	};
	struct rig g;

	(void)state;
	for (unsigned i = 0; i < sizeof(oids) / sizeof(oids[0]); i++) {
		rig_init(&g);
		g.unknown = oids[i];
		bring_up(&g);
		assert_int_equal(g.up, 1);
		assert_int_equal(rndis_nic_get(g.r)->mtu, 1500);
		rig_free(&g);
	}
	rig_init(&g);
	g.no_offloads = true;
	bring_up(&g);
	assert_int_equal(g.up, 1);
	assert_false(rndis_nic_get(g.r)->tx_checksum);
	rig_free(&g);
}

static void a_nic_without_a_mac_is_none(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	g.unknown = RNDIS_OID_MAC_PERMANENT;
	bring_up(&g);
	assert_int_equal(g.up, 0);
	assert_int_equal(g.failed, 1);
	rig_free(&g);
}

static void a_silent_host_is_given_up(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	rndis_start(g.r);
	answer(&g);
	loop_advance(g.l, TIMEOUT_MS - 1);
	assert_int_equal(g.failed, 0);
	loop_advance(g.l, 1);
	assert_int_equal(g.failed, 1);
	answer(&g);			/* too late: nothing happens */
	assert_int_equal(g.failed, 1);
	rig_free(&g);
}

static void the_last_filter_wins(void **state)
{
	struct rig g;
	unsigned before;

	(void)state;
	rig_init(&g);
	bring_up(&g);
	before = g.sent;
	rndis_set_filter(g.r, 1);
	rndis_set_filter(g.r, 2);
	rndis_set_filter(g.r, 0x2d);
	assert_int_equal(g.sent, before + 1);	/* one outstanding */
	assert_int_equal(g.data[0], 1);
	answer(&g);
	assert_int_equal(g.sent, before + 2);
	assert_int_equal(g.oid, RNDIS_OID_FILTER);
	assert_int_equal(g.data[0], 0x2d);
	answer(&g);
	assert_int_equal(g.sent, before + 2);
	rig_free(&g);
}

static void follows_the_link(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	bring_up(&g);
	say(&g, "\7\0\0\0\x14\0\0\0\x0c\0\1\x40\0\0\0\0\0\0\0\0", 20);
	assert_int_equal(g.links, 1);
	assert_false(g.link_up);
	say(&g, "\7\0\0\0\x14\0\0\0\x0b\0\1\x40\0\0\0\0\0\0\0\0", 20);
	assert_true(g.link_up);
	rndis_query_link(g.r);
	answer_query(&g, 0, "\1\0\0\0", 4);
	assert_int_equal(g.links, 3);
	assert_false(g.link_up);
	say(&g, "\7\0\0\0\x18\0\0\0\x18\0\1\x40\4\0\0\0\x0c\0\0\0\1\0\0\0", 24);
	assert_int_equal(g.changes, 1);
	rig_free(&g);
}

static void a_full_ring_delays_a_request(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	bring_up(&g);
	g.send_err = -EAGAIN;
	rndis_set_filter(g.r, 5);
	g.send_err = 0;
	g.oid = NOTHING;
	rndis_writable(g.r);
	assert_int_equal(g.oid, RNDIS_OID_FILTER);
	assert_int_equal(g.data[0], 5);
	rig_free(&g);
}

static void answers_to_nothing_are_counted(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	bring_up(&g);
	answer_query(&g, 0, "\0\0\0\0", 4);	/* nothing is outstanding */
	assert_int_equal(rndis_bad(g.r), 1);
	rndis_query_link(g.r);
	g.rid += 7;
	answer_query(&g, 0, "\1\0\0\0", 4);	/* another one's */
	g.rid -= 7;
	answer_short(&g, RNDIS_SET, 0);		/* another kind of answer */
	say(&g, "\4\0\0\x80", 4);		/* no message */
	assert_int_equal(rndis_bad(g.r), 4);
	assert_int_equal(g.links, 0);
	answer_query(&g, 0, "\0\0\0\0", 4);
	assert_int_equal(g.links, 1);
	rig_free(&g);
}

static void says_that_it_lives(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	bring_up(&g);
	say(&g, "\x08\0\0\0\x0c\0\0\0\x63\0\0\0", 12);
	assert_int_equal(g.type, 0x80000008);
	assert_int_equal(g.rid, 0x63);
	rig_free(&g);
}

static void halts_in_order_and_begins_again(void **state)
{
	struct rig g;

	(void)state;
	rig_init(&g);
	bring_up(&g);
	rndis_stop(g.r, true);
	assert_int_equal(g.type, RNDIS_HALT);
	assert_null(rndis_nic_get(g.r));
	g.up = 0;
	bring_up(&g);
	assert_int_equal(g.up, 1);
	rig_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_and_knows_the_nic),
		cmocka_unit_test(goes_on_without_what_a_host_does_not_know),
		cmocka_unit_test(a_nic_without_a_mac_is_none),
		cmocka_unit_test(a_silent_host_is_given_up),
		cmocka_unit_test(the_last_filter_wins),
		cmocka_unit_test(follows_the_link),
		cmocka_unit_test(a_full_ring_delays_a_request),
		cmocka_unit_test(answers_to_nothing_are_counted),
		cmocka_unit_test(says_that_it_lives),
		cmocka_unit_test(halts_in_order_and_begins_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
