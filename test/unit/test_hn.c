/* test/unit/test_hn.c - a whole synthetic NIC over a real bus, against a host
 * of a few lines. One loop, a clock that the test moves. */
#include "hn/hn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rd.h"
#include "base/wr.h"
#include "hn/offload.h"
#include "host/host_vmbus.h"
#include "tcp_frames.h"
#include "vmbus/msg_wire.h"

enum {
	RING = 65536, RECV_BUF = 1 << 20, SEND_BUF = 32 * 6144, SLOT = 2048,
	TIMEOUT_MS = 5000, MAX_LOG = 256, KEEP = 128,
};

/* What the host does otherwise than a good one. */
struct manners {
	bool silent_rndis, no_link_answer, hold;
	unsigned refuse_mac;		/* so many times */
	uint32_t refuse_open;		/* status */
};

struct rig {
	struct loop *l;
	char dir[64], path[96];
	/* The host. */
	struct host_vmbus *h;
	struct host_offer *offer;
	struct channel *hc;
	struct manners m;
	uint32_t recv_gpadl, send_gpadl, mtu, filter;
	bool media_down;
	unsigned filters, halts, opens, closes, revokes, link_queries;
	unsigned frames;
	uint8_t last_frame[KEEP];
	size_t last_frame_len;
	uint64_t held[MAX_LOG];
	unsigned n_held, slot, keepalives;
	/* The guest. */
	struct bus *b;
	struct hn *hn;
	unsigned ups, downs, links, writables, vfs, paths, got;
	bool link, vf;
	enum nvs_path now;
	char why[96];
	struct rndis_nic nic;
	uint8_t buf[KEEP];
	size_t len;
};

/* The host ---------------------------------------------------------------- */

static void reply(struct rig *g, uint64_t xact, const uint32_t *words,
		  unsigned n)
{
	uint8_t msg[40] = { 0 };
	struct wr w = wr_of(msg, sizeof(msg));
	struct packet p = { .type = PACKET_COMPLETION, .xact = xact,
			    .data = msg, .len = sizeof(msg) };

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, words[i]);
	assert_int_equal(channel_send(g->hc, &p), 0);
}

/* n messages of the same length in slots of their own, one packet. */
static void deliver(struct rig *g, bool control, const uint8_t *msgs,
		    size_t len, unsigned n)
{
	uint8_t ranges[256], msg[40] = { NVS_RNDIS };
	struct wr w = wr_of(ranges, sizeof(ranges));
	struct packet p = {
		.type = PACKET_XFER_PAGES, .flags = PACKET_WANT_COMPLETION,
		.xact = g->slot, .ranges = ranges, .data = msg, .len = 40,
	};
	size_t size;
	uint8_t *mem = host_offer_gpadl(g->offer, g->recv_gpadl, &size);

	wr_le16(&w, 0xcafe);
	wr_le16(&w, 0);
	wr_le32(&w, n);
	for (unsigned i = 0; i < n; i++) {
		uint32_t at = (g->slot++ % 64) * SLOT;

		memcpy(mem + at, msgs + i * len, len);
		wr_le32(&w, (uint32_t)len);
		wr_le32(&w, at);
	}
	p.ranges_len = w.len;
	msg[4] = control;
	assert_int_equal(channel_send(g->hc, &p), 0);
}

static void words(struct rig *g, const uint32_t *v, unsigned n)
{
	uint8_t msg[64];
	struct wr w = wr_of(msg, sizeof(msg));

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, v[i]);
	deliver(g, true, msg, n * 4, 1);
}

static void host_query(struct rig *g, uint32_t rid, uint32_t oid)
{
	const uint32_t done = RNDIS_QUERY | RNDIS_COMPLETE;

	if (oid == RNDIS_OID_MEDIA_STATUS)
		g->link_queries++;
	if (oid == RNDIS_OID_MAC_PERMANENT && g->m.refuse_mac) {
		g->m.refuse_mac--;
		words(g, (uint32_t[]){ done, 24, rid, RNDIS_S_FAIL, 0, 0 }, 6);
	} else if (oid == RNDIS_OID_MAC_PERMANENT) {
		uint8_t msg[30];
		struct wr w = wr_of(msg, sizeof(msg));
		const uint32_t v[] = { done, 30, rid, 0, 6, 16 };

		for (unsigned i = 0; i < 6; i++)
			wr_le32(&w, v[i]);
		wr_bytes(&w, "\2\0\0\0\0\7", 6);
		deliver(g, true, msg, sizeof(msg), 1);
	} else if (oid == RNDIS_OID_MAX_FRAME) {
		words(g, (uint32_t[]){ done, 28, rid, 0, 4, 16, g->mtu }, 7);
	} else if (oid == RNDIS_OID_MEDIA_STATUS &&
		   (!g->m.no_link_answer || g->link_queries == 1)) {
		words(g, (uint32_t[]){ done, 28, rid, 0, 4, 16, g->media_down },
		      7);
	} else {
		words(g, (uint32_t[]){ done, 24, rid, RNDIS_S_NOT_SUPPORTED, 0,
				       0 }, 6);
	}
}

static void host_set(struct rig *g, uint32_t rid, uint32_t oid, struct rd *r)
{
	const uint32_t done[] = { RNDIS_SET | RNDIS_COMPLETE, 16, rid, 0 };

	rd_skip(r, 12);
	if (oid == RNDIS_OID_FILTER) {
		g->filter = rd_le32(r);
		g->filters++;
	}
	words(g, done, 4);
}

static void host_control(struct rig *g, struct rd *r)
{
	uint32_t type = rd_le32(r), rid;

	rd_skip(r, 4);
	rid = rd_le32(r);
	if (type == RNDIS_HALT)
		g->halts++;
	else if (type == (RNDIS_KEEPALIVE | RNDIS_COMPLETE))
		g->keepalives += rid == 99;
	else if (g->m.silent_rndis)
		return;
	else if (type == RNDIS_INITIALIZE)
		words(g, (uint32_t[]){ type | RNDIS_COMPLETE, 52, rid, 0, 1, 0,
				       1, 0, 8, 0xefffffff, 3, 0, 0 }, 13);
	else if (type == RNDIS_QUERY)
		host_query(g, rid, rd_le32(r));
	else if (type == RNDIS_SET)
		host_set(g, rid, rd_le32(r), r);
}

static void host_frames(struct rig *g, const uint8_t *p, size_t left)
{
	while (left) {
		struct rd r = rd_of(p + 4, 4);
		uint32_t said = rd_le32(&r);
		struct rndis_packet k;

		assert_int_equal(rndis_get_packet(&k, p, left), 0);
		g->frames++;
		g->last_frame_len = k.len;
		memcpy(g->last_frame, k.frame, k.len < KEEP ? k.len : KEEP);
		p += said;
		left -= said;
	}
}

static void host_rndis(struct rig *g, struct rd *r, uint64_t xact)
{
	const uint32_t done[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };
	uint32_t control = rd_le32(r), section = rd_le32(r), n = rd_le32(r);
	size_t size;
	uint8_t *buf = host_offer_gpadl(g->offer, g->send_gpadl, &size);
	struct rd msg = rd_of(buf + (size_t)section * 6144, n);

	assert_true((size_t)section * 6144 + n <= size);
	if (!control && g->m.hold) {
		g->held[g->n_held++] = xact;
		return;
	}
	reply(g, xact, done, 2);
	if (control)
		host_control(g, &msg);
	else
		host_frames(g, msg.p, n);
}

static void host_packet(void *arg, const struct packet *p)
{
	struct rig *g = arg;
	struct rd r = rd_of(p->data, p->len);
	uint32_t type = rd_le32(&r);

	if (p->type == PACKET_COMPLETION)
		return;
	switch (type) {
	case NVS_INIT:
		reply(g, p->xact, (uint32_t[]){ NVS_INIT_COMPLETE, 0, 34, 1 },
		      4);
		break;
	case NVS_NDIS_CONFIG:
		g->mtu = rd_le32(&r) - 14;
		break;
	case NVS_RECV_BUF:
		g->recv_gpadl = rd_le32(&r);
		reply(g, p->xact, (uint32_t[]){ NVS_RECV_BUF_COMPLETE, 1, 1, 0,
						SLOT, 64, 64 * SLOT }, 7);
		break;
	case NVS_SEND_BUF:
		g->send_gpadl = rd_le32(&r);
		reply(g, p->xact, (uint32_t[]){ NVS_SEND_BUF_COMPLETE, 1, 6144 },
		      3);
		break;
	case NVS_REVOKE_RECV_BUF:
	case NVS_REVOKE_SEND_BUF:
		g->revokes++;
		break;
	case NVS_SWITCH_DATA_PATH:
		reply(g, p->xact, NULL, 0);
		break;
	case NVS_RNDIS:
		host_rndis(g, &r, p->xact);
		break;
	}
}

static void host_opened(void *arg, struct channel *c)
{
	struct rig *g = arg;

	g->hc = c;
	g->opens++;
	g->filter = 0xff;
}

static void host_closed(void *arg, int err)
{
	struct rig *g = arg;

	(void)err;
	g->hc = NULL;
	g->closes++;
}

static const struct host_offer_ops offer_ops = {
	host_opened, host_closed, host_packet, NULL
};

static void on_guest(void *arg, bool connected, uint32_t version)
{
	(void)arg;
	(void)connected;
	(void)version;
}

static void on_violation(void *arg, const char *what)
{
	(void)arg;
	fail_msg("%s", what);
}

static const struct host_vmbus_ops host_ops = { on_guest, on_violation };

/* The guest --------------------------------------------------------------- */

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct rig *g = arg;

	g->ups++;
	g->nic = *nic;
}

static void on_down(void *arg, const char *why)
{
	struct rig *g = arg;

	g->downs++;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static void on_link(void *arg, bool up)
{
	struct rig *g = arg;

	g->links++;
	g->link = up;
}

static void on_writable(void *arg)
{
	((struct rig *)arg)->writables++;
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	struct rig *g = arg;

	g->vfs++;
	g->vf = present && serial == 77;
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	struct rig *g = arg;

	g->paths++;
	g->now = path;
	assert_true(asked);
}

static int on_frame(void *arg, const void *buf, size_t len)
{
	struct rig *g = arg;

	g->got++;
	g->len = len;
	memcpy(g->buf, buf, len < KEEP ? len : KEEP);
	return 0;
}

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	(void)s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	hn_offered(((struct rig *)arg)->hn, o->relid);
}

static void on_done(void *arg)
{
	(void)arg;
}

static void on_rescind(void *arg, uint32_t relid)
{
	struct rig *g = arg;

	(void)relid;
	hn_rescinded(g->hn);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	(void)relid;
	hn_opened(((struct rig *)arg)->hn, c, err);
}

static const struct bus_ops bus_ops = {
	on_state, on_offer, on_done, on_rescind, on_opened
};

/* Both ------------------------------------------------------------------- */

static void settle(struct rig *g)
{
	unsigned turns = 0;

	while (loop_once(g->l, false) > 0)
		assert_true(++turns < 10000);
}

static void after(struct rig *g, uint64_t ms)
{
	loop_advance(g->l, ms);
	settle(g);
}

static const uint32_t versions_of_bus[] = { VMBUS_VERSION(5, 3) };

static void start_host(struct rig *g)
{
	struct host_vmbus_cfg host = { g->path, versions_of_bus, 1 };

	g->h = host_vmbus_new(g->l, &host, &host_ops, g);
	assert_non_null(g->h);
	g->offer = host_offer_new(g->h, &guid_class_network,
				  &guid_class_network, false, &offer_ops, g);
	if (g->m.refuse_open)
		host_offer_refuse(g->offer, g->m.refuse_open);
}

static struct rig *start(const struct manners *m)
{
	static const struct hn_ops ops = {
		on_up, on_down, on_link, on_writable, on_vf, on_path,
	};
	const struct hn_cfg cfg = {
		RING, { RECV_BUF, SEND_BUF, 1500, true, TIMEOUT_MS },
	};
	struct rig *g = calloc(1, sizeof(*g));
	const struct hn_rx_sink sink = { on_frame, g };

	g->l = loop_new(LOOP_VIRTUAL);
	g->m = *m;
	snprintf(g->dir, sizeof(g->dir), "/tmp/test_hn.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/host", g->dir);
	start_host(g);
	g->b = bus_shm_new(g->l, g->path, &bus_ops, g);
	g->hn = hn_new(g->l, g->b, &cfg, &ops, g);
	hn_set_sink(g->hn, &sink);
	settle(g);
	return g;
}

static struct rig *start_good(void)
{
	return start(&(struct manners){ 0 });
}

static void stop(struct rig *g)
{
	hn_free(g->hn);
	bus_free(g->b);
	settle(g);
	host_vmbus_free(g->h);
	loop_free(g->l);
	rmdir(g->dir);
	free(g);
}

static struct hn_status status(struct rig *g)
{
	struct hn_status s;

	hn_status_get(g->hn, &s);
	return s;
}

static uint64_t counter(struct rig *g, const char *name)
{
	struct hn_counter c[HN_COUNTERS];

	hn_counters_get(g->hn, c);
	for (unsigned i = 0; i < HN_COUNTERS; i++) {
		if (strcmp(c[i].name, name) == 0)
			return c[i].value;
	}
	fail_msg("no counter %s", name);
	return 0;
}

static void indicate(struct rig *g, uint32_t what)
{
	words(g, (uint32_t[]){ RNDIS_INDICATE, 20, what, 0, 0 }, 5);
	settle(g);
}

static bool put(struct rig *g, const uint8_t *frame, size_t len)
{
	size_t cap;
	uint8_t *room = hn_room(g->hn, &cap);

	if (!room)
		return false;
	memset(room, 0, OFFLOAD_VNET_HDR);
	memcpy(room + OFFLOAD_VNET_HDR, frame, len);
	hn_put(g->hn, OFFLOAD_VNET_HDR + len);
	return true;
}

static void deliver_frame(struct rig *g, const uint8_t *frame, size_t len)
{
	const struct rndis_meta m = { 0 };
	uint8_t msg[RNDIS_PACKET_OVERHEAD + KEEP];
	size_t pad;
	int hdr = rndis_put_packet(msg, sizeof(msg), &m, len, 0, &pad);

	memcpy(msg + hdr, frame, len);
	deliver(g, false, msg, (size_t)hdr + len, 1);
	settle(g);
}

/* Claims ------------------------------------------------------------------ */

static void comes_up_with_what_the_host_says(void **state)
{
	struct rig *g = start_good();

	(void)state;
	assert_int_equal(g->ups, 1);
	assert_true(g->link);
	assert_int_equal(g->nic.mtu, 1500);
	assert_memory_equal(g->nic.mac, "\2\0\0\0\0\7", 6);
	assert_int_equal(g->filter, 0);
	assert_int_equal(status(g).state, HN_UP);
	assert_int_equal(status(g).version, NVS_V6_1);
	assert_int_equal(status(g).section, 6144);
	assert_string_equal(status(g).why, "");
	assert_non_null(hn_nic(g->hn));
	stop(g);
}

static void the_filter_follows_the_interface(void **state)
{
	struct rig *g = start_good();

	(void)state;
	hn_set_up(g->hn, true);
	settle(g);
	assert_int_equal(g->filter, 0xd);
	hn_set_up(g->hn, false);
	settle(g);
	assert_int_equal(g->filter, 0);
	hn_set_promiscuous(g->hn, true);	/* also while down */
	settle(g);
	assert_int_equal(g->filter, RNDIS_FILTER_PROMISCUOUS);
	hn_set_up(g->hn, true);
	settle(g);
	assert_int_equal(g->filter, RNDIS_FILTER_PROMISCUOUS);
	hn_set_promiscuous(g->hn, false);
	settle(g);
	assert_int_equal(g->filter, 0xd);
	stop(g);
}

static void frames_go_both_ways(void **state)
{
	struct rig *g = start_good();

	(void)state;
	assert_true(put(g, first4, sizeof(first4)));
	assert_true(put(g, second4, sizeof(second4)));
	hn_flush(g->hn);
	settle(g);
	assert_int_equal(g->frames, 2);
	assert_int_equal(g->last_frame_len, sizeof(second4));
	assert_memory_equal(g->last_frame, second4, sizeof(second4));
	deliver_frame(g, first4, sizeof(first4));
	assert_int_equal(g->got, 1);
	assert_int_equal(g->len, OFFLOAD_VNET_HDR + sizeof(first4));
	assert_memory_equal(g->buf + OFFLOAD_VNET_HDR, first4, sizeof(first4));
	assert_int_equal(counter(g, "tx_packets"), 2);
	assert_int_equal(counter(g, "tx_sends"), 1);
	assert_int_equal(counter(g, "rx_packets"), 1);
	stop(g);
}

static void a_host_that_does_not_keep_up_stops_the_reader(void **state)
{
	const uint32_t done[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };
	struct rig *g = start(&(struct manners){ .hold = true });
	unsigned n = 0;

	(void)state;
	while (put(g, first4, sizeof(first4)))
		n++;
	assert_int_equal(n, 32 * 8 + 1);	/* sections times messages */
	settle(g);
	g->writables = 0;
	reply(g, g->held[0], done, 2);
	settle(g);
	assert_int_equal(g->writables, 1);
	assert_true(put(g, first4, sizeof(first4)));
	stop(g);
}

/* Control needs a section too. */
static void control_gets_through_a_full_send_buffer(void **state)
{
	const uint32_t done[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };
	struct rig *g = start(&(struct manners){ .hold = true });

	(void)state;
	while (put(g, first4, sizeof(first4)))
		;
	settle(g);
	hn_set_up(g->hn, true);
	settle(g);
	assert_int_equal(g->filter, 0);
	reply(g, g->held[0], done, 2);
	settle(g);
	assert_int_equal(g->filter, 0xd);
	stop(g);
}

static void the_link_is_what_the_host_says(void **state)
{
	struct rig *g = start_good();

	(void)state;
	indicate(g, RNDIS_S_MEDIA_DISCONNECT);
	assert_false(g->link);
	indicate(g, RNDIS_S_MEDIA_DISCONNECT);
	assert_int_equal(g->links, 2);		/* told when it changes */
	indicate(g, RNDIS_S_MEDIA_CONNECT);
	assert_true(g->link);
	stop(g);
}

static void another_network_is_a_link_that_goes_and_returns(void **state)
{
	struct rig *g = start_good();
	unsigned asked = g->link_queries;

	(void)state;
	indicate(g, RNDIS_S_NETWORK_CHANGE);
	assert_false(g->link);
	assert_true(status(g).network_change);
	indicate(g, RNDIS_S_MEDIA_CONNECT);	/* does not cut it short */
	after(g, HN_NETWORK_CHANGE_MS - 1);
	assert_false(g->link);
	assert_int_equal(g->link_queries, asked);
	after(g, 1);
	assert_int_equal(g->link_queries, asked + 1);
	assert_true(g->link);
	indicate(g, RNDIS_S_NETWORK_CHANGE);
	g->media_down = true;			/* and now it is really down */
	after(g, HN_NETWORK_CHANGE_MS);
	assert_false(g->link);
	assert_false(status(g).network_change);
	stop(g);
}

static void a_host_that_does_not_know_its_link_leaves_it_as_it_was(void **state)
{
	struct rig *g = start(&(struct manners){ .no_link_answer = true });

	(void)state;
	assert_true(g->link);
	indicate(g, RNDIS_S_NETWORK_CHANGE);
	after(g, HN_NETWORK_CHANGE_MS);
	assert_true(g->link);
	stop(g);
}

static void a_hidden_link_is_down_until_shown(void **state)
{
	struct rig *g = start_good();
	unsigned asked = g->link_queries;

	(void)state;
	hn_hide_link(g->hn, true);
	assert_false(g->link);
	indicate(g, RNDIS_S_MEDIA_CONNECT);
	assert_false(g->link);
	assert_true(put(g, first4, sizeof(first4)));	/* frames go on */
	hn_flush(g->hn);
	settle(g);
	assert_int_equal(g->frames, 1);
	hn_hide_link(g->hn, false);
	assert_true(g->link);			/* at once, by what is known */
	settle(g);
	assert_int_equal(g->link_queries, asked + 1);
	stop(g);
}

static void answers_whether_it_lives(void **state)
{
	struct rig *g = start_good();

	(void)state;
	words(g, (uint32_t[]){ RNDIS_KEEPALIVE, 12, 99 }, 3);
	settle(g);
	assert_int_equal(g->keepalives, 1);
	stop(g);
}

static void another_mtu_is_negotiated_from_the_start(void **state)
{
	struct rig *g = start_good();

	(void)state;
	hn_set_up(g->hn, true);
	settle(g);
	assert_int_equal(hn_set_mtu(g->hn, 4000), 0);
	assert_int_equal(g->downs, 1);
	assert_false(g->link);
	settle(g);
	assert_int_equal(g->halts, 1);
	assert_int_equal(g->revokes, 2);
	assert_int_equal(g->closes, 1);
	assert_int_equal(g->opens, 2);
	assert_int_equal(g->ups, 2);
	assert_int_equal(g->nic.mtu, 4000);
	assert_int_equal(g->filter, 0xd);	/* as it was */
	assert_true(g->link);
	assert_int_equal(status(g).failures, 0);
	assert_int_equal(hn_set_mtu(g->hn, 67), -EINVAL);
	stop(g);
}

/* A frame of 9014 bytes cannot be cut and fits in no section of 6144. */
static void the_mtu_is_what_the_sections_carry(void **state)
{
	struct rig *g = start_good();

	(void)state;
	hn_set_mtu(g->hn, 9000);
	settle(g);
	assert_int_equal(g->mtu, 9000);
	assert_true(g->nic.mtu < 6144 && g->nic.mtu > 5900);
	stop(g);
}

static void the_vf_and_the_path_are_told(void **state)
{
	uint8_t msg[40] = { NVS_VF_ASSOCIATION, 0, 0, 0, 1, 0, 0, 0, 77 };
	struct packet p = { .type = PACKET_INBAND, .data = msg, .len = 40 };
	struct rig *g = start_good();

	(void)state;
	assert_int_equal(channel_send(g->hc, &p), 0);
	settle(g);
	assert_int_equal(g->vfs, 1);
	assert_true(g->vf);
	assert_int_equal(hn_switch_path(g->hn, NVS_PATH_VF), 0);
	settle(g);
	assert_int_equal(g->paths, 1);
	assert_int_equal(g->now, NVS_PATH_VF);
	stop(g);
}

static void lives_through_a_rescind_and_says_why(void **state)
{
	struct rig *g = start_good();

	(void)state;
	hn_set_up(g->hn, true);
	settle(g);
	for (unsigned i = 1; i <= 5; i++) {
		put(g, first4, sizeof(first4));	/* not flushed: lost */
		host_offer_rescind(g->offer);
		settle(g);
		assert_int_equal(status(g).state, HN_ABSENT);
		assert_string_equal(g->why, "the host took the NIC back");
		assert_string_equal(status(g).why, g->why);
		assert_false(g->link);
		assert_null(hn_nic(g->hn));
		assert_true(put(g, first4, sizeof(first4)));	/* dropped */
		assert_int_equal(hn_switch_path(g->hn, NVS_PATH_VF), -ENOTCONN);
		host_offer_again(g->offer);
		settle(g);
		assert_int_equal(g->ups, i + 1);
		assert_int_equal(g->filter, 0xd);
	}
	assert_int_equal(status(g).rescinds, 5);
	assert_int_equal(counter(g, "tx_dropped_not_up"), 10);
	stop(g);
}

static void lives_through_a_host_restart(void **state)
{
	struct rig *g = start_good();

	(void)state;
	host_vmbus_drop_guest(g->h);
	settle(g);
	assert_int_equal(g->downs, 1);
	assert_int_equal(g->ups, 2);
	stop(g);
}

static void what_fails_is_tried_again_with_growing_pauses(void **state)
{
	struct rig *g = start(&(struct manners){ .refuse_mac = 2 });

	(void)state;
	assert_int_equal(g->ups, 0);
	assert_int_equal(status(g).state, HN_WAITING);
	assert_string_equal(status(g).why, "the host gives no MAC address");
	after(g, HN_RETRY_MS);
	assert_int_equal(status(g).failures, 2);
	after(g, 2 * HN_RETRY_MS - 1);
	assert_int_equal(g->opens, 2);
	after(g, 1);
	assert_int_equal(g->ups, 1);
	assert_int_equal(g->downs, 0);		/* it never was up */
	stop(g);
}

static void a_silent_host_is_tried_again(void **state)
{
	struct rig *g = start(&(struct manners){ .silent_rndis = true });

	(void)state;
	after(g, TIMEOUT_MS);
	assert_int_equal(status(g).state, HN_WAITING);
	g->m.silent_rndis = false;
	after(g, HN_RETRY_MS);
	assert_int_equal(g->ups, 1);
	stop(g);
}

static void a_refused_channel_is_tried_again(void **state)
{
	struct rig *g = start(&(struct manners){ .refuse_open = 1 });

	(void)state;
	assert_int_equal(status(g).state, HN_WAITING);
	assert_string_equal(status(g).why, "the host refuses the channel");
	host_offer_refuse(g->offer, 0);
	after(g, HN_RETRY_MS);
	assert_int_equal(g->ups, 1);
	stop(g);
}

static void an_end_is_orderly(void **state)
{
	struct rig *g = start_good();

	(void)state;
	hn_free(g->hn);
	g->hn = NULL;
	settle(g);
	assert_int_equal(g->halts, 1);
	assert_int_equal(g->revokes, 2);
	assert_int_equal(g->closes, 1);
	assert_int_equal(g->downs, 0);
	stop(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_with_what_the_host_says),
		cmocka_unit_test(the_filter_follows_the_interface),
		cmocka_unit_test(frames_go_both_ways),
		cmocka_unit_test(a_host_that_does_not_keep_up_stops_the_reader),
		cmocka_unit_test(control_gets_through_a_full_send_buffer),
		cmocka_unit_test(the_link_is_what_the_host_says),
		cmocka_unit_test(another_network_is_a_link_that_goes_and_returns),
		cmocka_unit_test(
			a_host_that_does_not_know_its_link_leaves_it_as_it_was),
		cmocka_unit_test(a_hidden_link_is_down_until_shown),
		cmocka_unit_test(answers_whether_it_lives),
		cmocka_unit_test(another_mtu_is_negotiated_from_the_start),
		cmocka_unit_test(the_mtu_is_what_the_sections_carry),
		cmocka_unit_test(the_vf_and_the_path_are_told),
		cmocka_unit_test(lives_through_a_rescind_and_says_why),
		cmocka_unit_test(lives_through_a_host_restart),
		cmocka_unit_test(what_fails_is_tried_again_with_growing_pauses),
		cmocka_unit_test(a_silent_host_is_tried_again),
		cmocka_unit_test(a_refused_channel_is_tried_again),
		cmocka_unit_test(an_end_is_orderly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
