/* test/unit/test_host_nic.c - two guests on one switch, each with a whole NIC
 * (hn/hn.c) and its VF behaviour (hn/vf.c) against a whole host's. The VF's
 * device is a counter on the host's side and an interface number on the
 * guest's. */
#include "host/host_nic.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hn/hn.h"
#include "hn/offload.h"
#include "hn/vf.h"
#include "vmbus/msg_wire.h"

enum { RING = 65536, RECV_BUF = 1 << 20, N = 2, IFINDEX = 5, LEN = 100 };

struct side {
	struct rig *g;
	char path[96];
	/* The host. */
	struct host_vmbus *bus;
	struct host_nic *nic;
	unsigned on_vf;			/* frames to the device */
	/* The guest. */
	struct bus *b;
	struct hn *hn;
	struct vf *vf;
	unsigned ups, got, via;		/* via: what transmits, 0 or IFINDEX */
	size_t bytes;
	char news[256];
};

struct rig {
	struct loop *l;
	char dir[64];
	struct host_switch *s;
	struct side sides[N];
};

/* The host ---------------------------------------------------------------- */

static void leg_frame(void *arg, const struct host_frame *f)
{
	(void)f;
	((struct side *)arg)->on_vf++;
}

static const struct host_leg_ops device_ops = { leg_frame, NULL };

static void on_device(void *arg, bool present, uint32_t serial)
{
	struct side *s = arg;

	(void)serial;
	host_port_leg(host_nic_port(s->nic), NVS_PATH_VF,
		      present ? &device_ops : NULL, s);
	vf_set(s->vf, present ? IFINDEX : 0, present);
}

static void on_violation(void *arg, const char *text)
{
	(void)arg;
	fail_msg("the guest %s", text);
}

static void on_guest(void *arg, bool connected, uint32_t version)
{
	(void)arg;
	(void)connected;
	(void)version;
}

static const struct host_nic_ops nic_ops = { on_device, NULL, on_violation };
static const struct host_vmbus_ops bus_host_ops = { on_guest, on_violation };

/* The guest --------------------------------------------------------------- */

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct side *s = arg;

	(void)nic;
	s->ups++;
	hn_set_up(s->hn, true);
	vf_opened(s->vf);
}

static void on_down(void *arg, const char *why)
{
	(void)why;
	vf_closed(((struct side *)arg)->vf);
}

static void on_link(void *arg, bool up)
{
	(void)arg;
	(void)up;
}

static void on_writable(void *arg)
{
	(void)arg;
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	vf_association(((struct side *)arg)->vf, present, serial);
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	vf_path(((struct side *)arg)->vf, path, asked);
}

static const struct hn_ops hn_ops = {
	on_up, on_down, on_link, on_writable, on_vf, on_path,
};

static int on_frame(void *arg, const void *buf, size_t len)
{
	struct side *s = arg;

	(void)buf;
	s->got++;
	s->bytes += len - OFFLOAD_VNET_HDR;
	return 0;
}

static int route_rx(void *arg, unsigned vf)
{
	(void)arg;
	(void)vf;
	return 0;
}

static int switch_path(void *arg, enum nvs_path path)
{
	return hn_switch_path(((struct side *)arg)->hn, path);
}

static void transmit(void *arg, unsigned vf)
{
	((struct side *)arg)->via = vf;
}

static void link_hidden(void *arg, bool pretend_down)
{
	hn_hide_link(((struct side *)arg)->hn, pretend_down);
}

static void filter(void *arg, bool promiscuous)
{
	hn_set_promiscuous(((struct side *)arg)->hn, promiscuous);
}

static void on_news(void *arg, enum vf_news what, unsigned vf)
{
	struct side *s = arg;
	size_t at = strlen(s->news);

	(void)vf;
	if (at + 16 < sizeof(s->news))
		snprintf(s->news + at, sizeof(s->news) - at, "%s%s",
			 at ? " " : "", vf_news_name(what));
}

static const struct vf_ops vf_ops = {
	route_rx, switch_path, transmit, link_hidden, filter, on_news,
};

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	(void)s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	hn_offered(((struct side *)arg)->hn, o->relid);
}

static void on_done(void *arg)
{
	(void)arg;
}

static void on_rescind(void *arg, uint32_t relid)
{
	(void)relid;
	hn_rescinded(((struct side *)arg)->hn);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	(void)relid;
	hn_opened(((struct side *)arg)->hn, c, err);
}

static const struct bus_ops bus_ops = {
	on_state, on_offer, on_done, on_rescind, on_opened
};

/* Both ------------------------------------------------------------------- */

static void settle(struct rig *g)
{
	unsigned turns = 0;

	while (loop_once(g->l, false) > 0)
		assert_true(++turns < 100000);
}

static void after(struct rig *g, uint64_t ms)
{
	for (; ms; ms--) {
		loop_advance(g->l, 1);
		settle(g);
	}
}

static void start_host(struct side *s, unsigned i,
		       const struct host_nic_cfg *like)
{
	static const uint32_t versions[] = { VMBUS_VERSION(5, 3) };
	const struct host_vmbus_cfg cfg = { s->path, versions, 1 };
	struct host_nic_cfg nic = *like;

	snprintf(s->path, sizeof(s->path), "%s/%u", s->g->dir, i);
	nic.instance = guid_class_network;
	nic.hn.name = "Network Adapter";
	memcpy(nic.hn.mac, "\x02\0\0\0\0", 5);
	nic.hn.mac[5] = (uint8_t)i;
	s->bus = host_vmbus_new(s->g->l, &cfg, &bus_host_ops, s);
	assert_non_null(s->bus);
	s->nic = host_nic_new(s->g->l, s->bus, s->g->s, &nic, &nic_ops, s);
	assert_non_null(s->nic);
}

static void start_guest(struct side *s)
{
	const struct hn_cfg cfg = {
		RING, { RECV_BUF, 1 << 20, 1500, true, 5000 },
	};
	const struct vf_cfg vf = { .retry_ms = 10 };	/* no damping */
	const struct hn_rx_sink sink = { on_frame, s };

	s->b = bus_shm_new(s->g->l, s->path, &bus_ops, s);
	s->vf = vf_new(s->g->l, &vf, &vf_ops, s);
	s->hn = hn_new(s->g->l, s->b, &cfg, &hn_ops, s);
	hn_set_sink(s->hn, &sink);
}

static struct rig *start(const struct host_nic_cfg *like)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->l = loop_new(LOOP_VIRTUAL);
	g->s = host_switch_new(g->l);
	snprintf(g->dir, sizeof(g->dir), "/tmp/test_nic.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	for (unsigned i = 0; i < N; i++) {
		g->sides[i].g = g;
		start_host(&g->sides[i], i, like);
		start_guest(&g->sides[i]);
	}
	settle(g);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(g->sides[i].ups, 1);
	return g;
}

static void stop(struct rig *g)
{
	for (unsigned i = 0; i < N; i++) {
		struct side *s = &g->sides[i];

		vf_free(s->vf);		/* leaves the VF, by way of hn */
		hn_free(s->hn);
		bus_free(s->b);
		settle(g);
		host_nic_free(s->nic);
		host_vmbus_free(s->bus);
	}
	host_switch_free(g->s);
	loop_free(g->l);
	rmdir(g->dir);
	free(g);
}

/* A TCP frame from one to the other, its sum left to the NIC. */
static void fill(uint8_t *f, size_t payload, const uint8_t *to,
		 const uint8_t *from)
{
	size_t len = 54 + payload, sum = 6 + 20 + payload + 0x1403;

	memset(f, 0, len);
	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	memcpy(f + 12, "\x08\0\x45\0\0\0\0\x01\x40\0\x40\x06\0\0", 14);
	memcpy(f + 26, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	f[46] = 0x50;
	f[47] = 0x10;
	f[50] = (uint8_t)(sum >> 8);
	f[51] = (uint8_t)sum;
}

static bool send(struct side *s, const uint8_t *to, size_t payload)
{
	const uint8_t *from = host_hn_mac(host_nic_hn(s->nic));
	struct vnet_hdr v = { .flags = VNET_F_NEEDS_CSUM, .csum_start = 34,
			      .csum_offset = 16, .hdr_len = 54 };
	size_t cap;
	uint8_t *room = hn_room(s->hn, &cap);

	if (!room || cap < OFFLOAD_VNET_HDR + 54 + payload)
		return false;
	if (payload > 1460) {
		v.gso_type = VNET_GSO_TCPV4;
		v.gso_size = 1460;
	}
	vnet_put(room, &v);
	fill(room + OFFLOAD_VNET_HDR, payload, to, from);
	hn_put(s->hn, OFFLOAD_VNET_HDR + 54 + payload);
	hn_flush(s->hn);
	return true;
}

static const uint8_t macs[N][6] = { { 2, 0, 0, 0, 0, 0 }, { 2, 0, 0, 0, 0, 1 } };
static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };

static const struct host_nic_cfg usual = {
	.hn = { .speed_bps = 10000000000, .link_gap_ms = 5000 },
	.port = { .groups_synthetic = true },
	.vf = { .offer_ms = 100, .switch_ms = 5, .revoke_ms = 20 },
};

/* Claims ----------------------------------------------------------------- */

static void frames_go_from_guest_to_guest(void **state)
{
	struct rig *g = start(&usual);
	struct side *a = &g->sides[0], *b = &g->sides[1];

	(void)state;
	for (size_t n = 1; n <= 1460; n += 1 + n / 5) {
		size_t before = b->bytes;

		assert_true(send(a, macs[1], n));
		settle(g);
		assert_int_equal(b->bytes - before, 54 + n);
	}
	assert_int_equal(a->got, 0);
	assert_true(send(b, everybody, 10));
	settle(g);
	assert_int_equal(a->got, 1);
	stop(g);
}

static void segments_go_from_guest_to_guest(void **state)
{
	struct host_nic_cfg big = usual;
	struct rig *g;

	(void)state;
	big.hn.manners.section_size = 65536;
	g = start(&big);
	assert_true(send(&g->sides[0], macs[1], 29200));	/* 20 segments */
	settle(g);
	assert_int_equal(host_hn_stats_get(host_nic_hn(g->sides[1].nic))->
			 to_guest, 20);
	assert_true(g->sides[1].bytes >= 29200 + 54);
	stop(g);
}

static void a_vf_comes_carries_and_goes(void **state)
{
	struct rig *g = start(&usual);
	struct side *a = &g->sides[0], *b = &g->sides[1];
	struct host_vf *vf = host_nic_vf(a->nic);

	(void)state;
	assert_int_equal(host_vf_attach(vf, 77), 0);
	after(g, 120);
	assert_int_equal(host_vf_state_get(vf), HOST_VF_SWITCHED);
	assert_int_equal(a->via, IFINDEX);
	assert_string_equal(a->news, "VF_ATTACH VF_UP");
	assert_true(send(b, macs[0], LEN));
	assert_true(send(b, everybody, LEN));
	settle(g);
	assert_int_equal(a->on_vf, 1);
	assert_int_equal(a->got, 1);		/* the broadcast */
	assert_int_equal(host_vf_detach(vf), 0);
	after(g, 50);
	assert_int_equal(a->via, 0);
	assert_string_equal(a->news, "VF_ATTACH VF_UP VF_DOWN VF_DETACH");
	assert_true(send(b, macs[0], LEN));
	settle(g);
	assert_int_equal(a->got, 2);
	stop(g);
}

static void a_vf_may_come_in_the_other_order(void **state)
{
	struct host_nic_cfg other = usual;
	struct rig *g;

	(void)state;
	other.vf.device_first = true;
	g = start(&other);
	host_vf_attach(host_nic_vf(g->sides[0].nic), 77);
	after(g, 120);
	assert_int_equal(g->sides[0].via, IFINDEX);
	stop(g);
}

static void a_torn_out_vf_loses_nothing_here(void **state)
{
	struct rig *g = start(&usual);
	struct side *a = &g->sides[0], *b = &g->sides[1];
	struct host_vf *vf = host_nic_vf(a->nic);
	unsigned sent = 0;

	(void)state;
	host_vf_attach(vf, 77);
	for (unsigned ms = 0; ms < 400; ms++) {
		if (ms == 200)
			assert_int_equal(host_vf_yank(vf), 0);
		sent += send(b, macs[0], LEN);
		after(g, 1);
	}
	assert_int_equal(sent, 400);
	assert_true(a->on_vf > 50);
	assert_int_equal(a->on_vf + a->got, sent);
	assert_int_equal(host_port_stats_get(host_nic_port(a->nic))->lost, 0);
	assert_string_equal(a->news, "VF_ATTACH VF_UP VF_DOWN VF_DETACH");
	stop(g);
}

static void a_failing_switch_leaves_the_synthetic_path(void **state)
{
	struct host_nic_cfg cfg = usual;
	struct rig *g;

	(void)state;
	cfg.vf.to_vf_fails = true;
	g = start(&cfg);
	host_vf_attach(host_nic_vf(g->sides[0].nic), 77);
	after(g, 300);
	send(&g->sides[1], macs[0], LEN);
	settle(g);
	assert_int_equal(g->sides[0].got, 1);
	host_vf_manners_set(host_nic_vf(g->sides[0].nic), &usual.vf);
	after(g, 300);				/* the guest tries again */
	assert_int_equal(g->sides[0].via, IFINDEX);
	stop(g);
}

/* The channel goes, the VF stays and with it the path: traffic goes on. */
static void the_vf_carries_on_without_a_channel(void **state)
{
	struct rig *g = start(&usual);
	struct side *a = &g->sides[0], *b = &g->sides[1];
	struct host_vf *vf = host_nic_vf(a->nic);

	(void)state;
	host_vf_attach(vf, 77);
	after(g, 120);
	host_offer_rescind(host_nic_offer(a->nic));
	settle(g);
	assert_int_equal(a->via, IFINDEX);
	assert_int_equal(host_vf_state_get(vf), HOST_VF_AVAILABLE);
	assert_true(send(b, macs[0], LEN));
	settle(g);
	assert_int_equal(a->on_vf, 1);
	host_offer_again(host_nic_offer(a->nic));
	settle(g);
	after(g, 50);
	assert_int_equal(a->ups, 2);
	assert_int_equal(a->via, IFINDEX);
	assert_int_equal(host_vf_state_get(vf), HOST_VF_SWITCHED);
	stop(g);
}

static void event(struct side *s, unsigned r)
{
	struct host_vf *vf = host_nic_vf(s->nic);

	switch (r % 8) {
	case 0:
	case 1:
		host_vf_attach(vf, 1 + r);
		break;
	case 2:
		host_vf_detach(vf);
		break;
	case 3:
		host_vf_yank(vf);
		break;
	case 4:
		host_vf_fall_back(vf);
		break;
	case 5:
		host_offer_rescind(host_nic_offer(s->nic));
		break;
	default:
		host_offer_again(host_nic_offer(s->nic));
		break;
	}
}

/* At the end of any history both sides agree, and a frame arrives. */
static void any_history_ends_well(void **state)
{
	struct rig *g = start(&usual);
	struct side *a = &g->sides[0], *b = &g->sides[1];
	struct host_vf *vf = host_nic_vf(a->nic);
	unsigned seed = 20260101;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		seed = seed * 1103515245 + 12345;
		event(a, seed >> 16 & 0xff);
		send(b, macs[0], LEN);
		after(g, seed >> 24 & 31);
		if (i % 20 != 19)
			continue;
		host_offer_again(host_nic_offer(a->nic));
		after(g, 200);
		host_vf_attach(vf, 1 + i);
		after(g, 300);
		assert_int_equal(host_vf_state_get(vf), HOST_VF_SWITCHED);
		assert_int_equal(a->via, IFINDEX);
		assert_int_equal(vf_state_get(a->vf), VF_ON_VF);
		a->on_vf = a->got = 0;
		assert_true(send(b, macs[0], LEN));
		settle(g);
		assert_int_equal(a->on_vf, 1);
		assert_int_equal(a->got, 0);
	}
	host_vf_detach(vf);
	after(g, 100);
	assert_int_equal(a->via, 0);
	assert_true(send(b, macs[0], LEN));
	settle(g);
	assert_int_equal(a->got, 1);
	stop(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_from_guest_to_guest),
		cmocka_unit_test(segments_go_from_guest_to_guest),
		cmocka_unit_test(a_vf_comes_carries_and_goes),
		cmocka_unit_test(a_vf_may_come_in_the_other_order),
		cmocka_unit_test(a_torn_out_vf_loses_nothing_here),
		cmocka_unit_test(a_failing_switch_leaves_the_synthetic_path),
		cmocka_unit_test(the_vf_carries_on_without_a_channel),
		cmocka_unit_test(any_history_ends_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
