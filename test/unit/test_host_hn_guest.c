/* test/unit/test_host_hn_guest.c - both halves of a network channel in one
 * loop: the host's, and the guest's hn/nvs.c and hn/rndis.c, over a real bus
 * and real shared memory. */
#include "host/host_hn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "hn/nvs.h"
#include "hn/offload.h"
#include "hn/rndis.h"
#include "host/host_vmbus.h"
#include "vmbus/msg_wire.h"

enum { RING = 65536, TIMEOUT_MS = 5000, MAX_FRAME = 70000, MAX_KEPT = 64 };

struct frame {
	size_t len;
	struct rndis_meta meta;		/* to the guest */
	uint16_t mss;			/* to the host */
	bool partial;
	uint8_t *data;
};

struct rig {
	struct loop *l;
	char dir[64], path[96];
	/* The host. */
	struct host_vmbus *h;
	struct host_offer *offer;
	struct channel *hc;
	struct host_hn *hn;
	unsigned ups, downs, rooms, paths;
	enum nvs_path path_wanted;
	unsigned n_host_frames;
	struct frame host_frame;		/* the last one */
	/* The guest. */
	struct bus *b;
	uint32_t relid;
	struct nvs *n;
	struct rndis *r;
	struct rndis_nic nic;
	unsigned up, failed, n_frames, links, changes, confirmed;
	bool link, vf;
	uint32_t serial;
	enum nvs_path path_now;
	struct frame frames[MAX_KEPT];
	char why[96];
};

static void keep(struct frame *f, const uint8_t *data, size_t len)
{
	free(f->data);
	f->len = len;
	f->data = malloc(len ? len : 1);
	assert_non_null(f->data);
	memcpy(f->data, data, len);
}

/* The host ---------------------------------------------------------------- */

static int hn_send(void *arg, const struct packet *p)
{
	struct rig *g = arg;

	return g->hc ? channel_send(g->hc, p) : -ENOTCONN;
}

static void hn_pause(void *arg, bool pause)
{
	struct rig *g = arg;

	if (g->hc)
		channel_pause(g->hc, pause);
}

static void *hn_gpadl(void *arg, uint32_t handle, size_t *len)
{
	return host_offer_gpadl(((struct rig *)arg)->offer, handle, len);
}

static void hn_up(void *arg)
{
	((struct rig *)arg)->ups++;
}

static void hn_down(void *arg)
{
	((struct rig *)arg)->downs++;
}

static void hn_frame(void *arg, const struct host_frame *f)
{
	struct rig *g = arg;

	g->n_host_frames++;
	keep(&g->host_frame, f->data, f->len);
	g->host_frame.mss = f->mss;
	g->host_frame.partial = f->partial;
}

static void hn_path(void *arg, enum nvs_path path)
{
	struct rig *g = arg;

	g->paths++;
	g->path_wanted = path;
	host_hn_path_done(g->hn);
}

static void hn_filter(void *arg, uint32_t filter)
{
	(void)arg;
	(void)filter;
}

static void hn_room(void *arg)
{
	((struct rig *)arg)->rooms++;
}

static void hn_violation(void *arg, const char *text)
{
	(void)arg;
	fail_msg("the guest %s", text);
}

static const struct host_hn_ops hn_ops = {
	hn_up, hn_down, hn_frame, hn_path, hn_filter, hn_room, hn_violation,
	NULL,
};

static void offer_opened(void *arg, struct channel *c)
{
	struct rig *g = arg;
	const struct host_hn_port port = {
		hn_send, hn_pause, hn_gpadl, NULL, g,
	};

	g->hc = c;
	host_hn_open(g->hn, &port);
}

static void offer_closed(void *arg, int err)
{
	struct rig *g = arg;

	assert_int_equal(err, 0);
	host_hn_close(g->hn);
	g->hc = NULL;
}

static void offer_packet(void *arg, const struct packet *p)
{
	host_hn_packet(((struct rig *)arg)->hn, p);
}

static void offer_writable(void *arg)
{
	host_hn_writable(((struct rig *)arg)->hn);
}

static const struct host_offer_ops offer_ops = {
	offer_opened, offer_closed, offer_packet, offer_writable,
};

static void on_guest(void *arg, bool connected, uint32_t version)
{
	(void)arg;
	(void)connected;
	(void)version;
}

static const struct host_vmbus_ops host_ops = { on_guest, hn_violation };

/* The guest --------------------------------------------------------------- */

static void on_ready(void *arg)
{
	rndis_start(((struct rig *)arg)->r);
}

static void on_failed(void *arg, const char *why)
{
	struct rig *g = arg;

	g->failed++;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static void on_frame(struct rig *g, const uint8_t *msg, size_t len)
{
	struct frame *f = &g->frames[g->n_frames++ % MAX_KEPT];
	struct rndis_packet p;

	assert_int_equal(rndis_get_packet(&p, msg, len), 0);
	f->meta = p.meta;
	keep(f, p.frame, p.len);
}

static void on_rndis(void *arg, bool control, uint8_t *msg, size_t len)
{
	struct rig *g = arg;

	if (control)
		rndis_message(g->r, msg, len);
	else
		on_frame(g, msg, len);
}

static void on_batch_end(void *arg)
{
	(void)arg;
}

static void on_sent(void *arg, uint32_t section, uint32_t status)
{
	(void)arg;
	(void)section;
	assert_int_equal(status, NVS_S_OK);
}

static void on_writable(void *arg)
{
	rndis_writable(((struct rig *)arg)->r);
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	struct rig *g = arg;

	g->vf = present;
	g->serial = serial;
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	struct rig *g = arg;

	g->path_now = path;
	g->confirmed += asked;
}

static int send_control(void *arg, const void *msg, size_t len)
{
	struct rig *g = arg;
	uint8_t *mem;
	size_t cap;
	int i = nvs_section_get(g->n, &mem, &cap), err;

	if (i < 0)
		return i;
	assert_true(len <= cap);
	memcpy(mem, msg, len);
	err = nvs_section_send(g->n, (uint32_t)i, len, true);
	if (err)
		nvs_section_put(g->n, (uint32_t)i);
	return err;
}

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct rig *g = arg;

	g->up++;
	g->nic = *nic;
	rndis_set_filter(g->r, RNDIS_FILTER_DIRECTED | RNDIS_FILTER_BROADCAST |
			       RNDIS_FILTER_ALL_MULTICAST);
}

static void on_link(void *arg, bool up)
{
	struct rig *g = arg;

	g->links++;
	g->link = up;
}

static void on_change(void *arg)
{
	((struct rig *)arg)->changes++;
}

static const struct rndis_ops rndis_ops = {
	send_control, on_up, on_failed, on_link, on_change,
};

static void chan_packet(void *arg, const struct packet *p)
{
	nvs_packet(((struct rig *)arg)->n, p);
}

static void chan_broken(void *arg, int err)
{
	(void)arg;
	fail_msg("ring broken: %d", err);
}

static void chan_writable(void *arg)
{
	nvs_writable(((struct rig *)arg)->n);
}

static const struct channel_ops chan_ops = {
	chan_packet, chan_broken, chan_writable
};

static void open_channel(struct rig *g)
{
	assert_int_equal(bus_open(g->b, g->relid, RING, RING, NULL, 0,
				  &chan_ops, g), 0);
}

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	(void)s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	struct rig *g = arg;

	g->relid = o->relid;
	open_channel(g);
}

static void on_done(void *arg)
{
	(void)arg;
}

static void on_rescind(void *arg, uint32_t relid)
{
	struct rig *g = arg;

	(void)relid;
	rndis_stop(g->r, false);
	nvs_gone(g->n);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	assert_int_equal(err, 0);
	nvs_open(((struct rig *)arg)->n, relid, c);
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

static const struct nvs_ops nvs_ops = {
	on_ready, on_failed, on_rndis, on_batch_end, on_sent, on_writable,
	on_vf, on_path,
};

static void new_guest(struct rig *g, uint32_t mtu, size_t recv, size_t send)
{
	const struct nvs_cfg cfg = { recv, send, mtu, true, TIMEOUT_MS };

	g->b = bus_shm_new(g->l, g->path, &bus_ops, g);
	g->n = nvs_new(g->l, g->b, &cfg, &nvs_ops, g);
	g->r = rndis_new(g->l, TIMEOUT_MS, &rndis_ops, g);
	settle(g);
}

static struct rig *start(const struct host_hn_manners *m, uint32_t mtu,
			 size_t recv, size_t send)
{
	static const uint32_t versions[] = { VMBUS_VERSION(5, 3) };
	struct rig *g = calloc(1, sizeof(*g));
	struct host_vmbus_cfg host = { g->path, versions, 1 };
	const struct host_hn_cfg cfg = {
		.name = "Network Adapter", .mac = { 0, 0x15, 0x5d, 1, 2, 3 },
		.speed_bps = 40000000000, .link_gap_ms = 5000, .manners = *m,
	};

	g->l = loop_new(LOOP_VIRTUAL);
	snprintf(g->dir, sizeof(g->dir), "/tmp/test_hn.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/host", g->dir);
	g->h = host_vmbus_new(g->l, &host, &host_ops, g);
	assert_non_null(g->h);
	g->hn = host_hn_new(g->l, &cfg, &hn_ops, g);
	g->offer = host_offer_new(g->h, &guid_class_network,
				  &guid_class_network, false, &offer_ops, g);
	new_guest(g, mtu, recv, send);
	return g;
}

static struct rig *start_usual(const struct host_hn_manners *m)
{
	return start(m, 1500, 1 << 20, 64 * 6144);
}

static void stop(struct rig *g)
{
	rndis_free(g->r);
	nvs_free(g->n);
	bus_free(g->b);
	settle(g);
	host_vmbus_free(g->h);
	host_hn_free(g->hn);
	loop_free(g->l);
	for (unsigned i = 0; i < MAX_KEPT; i++)
		free(g->frames[i].data);
	free(g->host_frame.data);
	rmdir(g->dir);
	free(g);
}

static void pattern(uint8_t *data, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 13 + seed);
	if (len >= 14)
		memcpy(data + 12, "\x88\xb5", 2);	/* no IP, no tag */
}

static struct frame *last(struct rig *g)
{
	assert_true(g->n_frames > 0);
	return &g->frames[(g->n_frames - 1) % MAX_KEPT];
}

static int to_guest(struct rig *g, const struct host_frame *f)
{
	int err = host_hn_deliver(g->hn, f);

	host_hn_flush(g->hn);
	return err;
}

/* One frame of the guest, as n copies in one section. */
static void to_host(struct rig *g, const struct rndis_meta *m, uint8_t *data,
		    size_t len, unsigned n)
{
	uint8_t *mem;
	size_t cap, pad, used = 0;
	int i = nvs_section_get(g->n, &mem, &cap), hdr;

	assert_true(i >= 0);
	while (n--) {
		hdr = rndis_put_packet(mem + used, cap - used, m, len,
				       g->nic.align, &pad);
		assert_true(hdr > 0);
		assert_true(used + (size_t)hdr + len + pad <= cap);
		memcpy(mem + used + hdr, data, len);
		used += (size_t)hdr + len + pad;
	}
	assert_int_equal(nvs_section_send(g->n, (uint32_t)i, used, false), 0);
	settle(g);
}

/* A TCP frame over IPv4, sums left to the NIC the way a TAP hands it over. */
static size_t tcp(uint8_t *f, struct vnet_hdr *v, size_t payload)
{
	size_t len = 14 + 20 + 20 + payload, sum = 6 + 20 + payload;

	memset(f, 0, len);
	memcpy(f, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0", 14);
	memcpy(f + 14, "\x45\0\0\0\0\x01\x40\0\x40\x06\0\0", 12);
	memcpy(f + 26, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	f[16] = (uint8_t)((len - 14) >> 8);
	f[17] = (uint8_t)(len - 14);
	f[46] = 0x50;
	f[47] = 0x10;
	for (size_t i = 0; i < payload; i++)
		f[54 + i] = (uint8_t)(i * 3 + 1);
	sum += 0x0a00 + 0x0001 + 0x0a00 + 0x0002;
	sum = (sum & 0xffff) + (sum >> 16);
	f[50] = (uint8_t)(sum >> 8);
	f[51] = (uint8_t)sum;
	*v = (struct vnet_hdr){ .flags = VNET_F_NEEDS_CSUM, .csum_start = 34,
				.csum_offset = 16 };
	return len;
}

/* A receiver's check of its TCP sum. */
static bool tcp_is_right(const uint8_t *f, size_t len)
{
	size_t n = len - 34, sum = 6 + n;

	for (size_t i = 26; i < len; i++)
		sum += i & 1 ? f[i] : (size_t)f[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

/* Claims ----------------------------------------------------------------- */

static void comes_up_at_every_version(void **state)
{
	static const uint32_t all[] = {
		NVS_V1, NVS_V2, NVS_V4, NVS_V5, NVS_V6, NVS_V6_1,
	};

	(void)state;
	for (unsigned i = 0; i < 12; i++) {
		struct rig *g = start_usual(&(struct host_hn_manners){
			.newest = all[i % 6], .short_messages = i >= 6 });

		assert_int_equal(g->failed, 0);
		assert_int_equal(g->up, 1);
		assert_int_equal(nvs_version(g->n), all[i % 6]);
		assert_int_equal(host_hn_version(g->hn), all[i % 6]);
		assert_int_equal(host_hn_filter(g->hn), 0x0d);
		stop(g);
	}
}

static void tells_what_its_nic_is_like(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });

	(void)state;
	assert_memory_equal(g->nic.mac, "\x00\x15\x5d\x01\x02\x03", 6);
	assert_int_equal(g->nic.mtu, 1500);
	assert_true(g->nic.link_up);
	assert_int_equal(g->nic.speed_bps, 40000000000);
	assert_int_equal(g->nic.max_messages, 8);
	assert_int_equal(g->nic.align, 8);
	assert_true(g->nic.tx_checksum && g->nic.tso4 && g->nic.tso6);
	assert_int_equal(g->nic.tso_max, 0xf53c);
	stop(g);
	g = start_usual(&(struct host_hn_manners){ .no_offloads = true,
						   .max_messages = 1,
						   .align_log2_plus_1 = 1 });
	assert_false(g->nic.tx_checksum || g->nic.tso4);
	assert_int_equal(g->nic.max_messages, 1);
	assert_int_equal(g->nic.align, 1);
	stop(g);
}

static void frames_of_every_size_arrive(void **state)
{
	static const struct host_hn_manners manners[] = {
		{ 0 }, { .whole_slots = true, .garbage = true },
		{ .front = 255, .no_checksum = true },
	};
	uint8_t data[1514];

	(void)state;
	for (unsigned m = 0; m < 3; m++) {
		struct rig *g = start_usual(&manners[m]);

		for (size_t len = 14; len <= sizeof(data); len += 1 + len / 37) {
			struct host_frame f = { .data = data, .len = len };

			pattern(data, len, (unsigned)len);
			assert_int_equal(to_guest(g, &f), 0);
			settle(g);
			assert_int_equal(last(g)->len, len);
			assert_memory_equal(last(g)->data, data, len);
		}
		stop(g);
	}
}

static void frames_of_every_size_leave(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });
	const struct rndis_meta none = { 0 };
	uint8_t data[1514];

	(void)state;
	for (size_t len = 14; len <= sizeof(data); len += 1 + len / 37) {
		pattern(data, len, (unsigned)len);
		to_host(g, &none, data, len, 1);
		assert_int_equal(g->host_frame.len, len);
		assert_memory_equal(g->host_frame.data, data, len);
	}
	stop(g);
}

static void several_frames_share_a_section(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });
	const struct rndis_meta vlan = { .has_vlan = true, .vlan = 0x7064 };
	uint8_t data[333];

	(void)state;
	pattern(data, sizeof(data), 1);
	to_host(g, &vlan, data, sizeof(data), 8);
	assert_int_equal(g->n_host_frames, 8);
	assert_int_equal(g->host_frame.len, sizeof(data) + 4);
	assert_memory_equal(g->host_frame.data + 12, "\x81\0\x70\x64", 4);
	assert_memory_equal(g->host_frame.data + 16, data + 12, 321);
	stop(g);
}

static void jumbo_frames_go_both_ways(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){
		.section_size = 16384 }, 9000, 1 << 20, 1 << 20);
	const struct rndis_meta none = { 0 };
	uint8_t data[9014];

	(void)state;
	assert_int_equal(g->nic.mtu, 9000);
	pattern(data, sizeof(data), 5);
	to_host(g, &none, data, sizeof(data), 1);
	assert_memory_equal(g->host_frame.data, data, sizeof(data));
	to_guest(g, &(struct host_frame){ .data = data, .len = sizeof(data) });
	settle(g);
	assert_memory_equal(last(g)->data, data, sizeof(data));
	stop(g);
}

static void a_tag_travels_beside_the_frame(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });
	uint8_t data[1518];
	struct host_frame f = { .data = data, .len = sizeof(data) };

	(void)state;
	pattern(data, sizeof(data), 9);
	memcpy(data + 12, "\x81\0\x70\x64\x88\xb5", 6);
	assert_int_equal(to_guest(g, &f), 0);
	settle(g);
	assert_true(last(g)->meta.has_vlan);
	assert_int_equal(last(g)->meta.vlan, 0x7064);
	assert_int_equal(last(g)->len, 1514);
	assert_memory_equal(last(g)->data + 12, data + 16, 1502);
	stop(g);
}

/* From the guest's stack to the guest's NIC to the switch: sums and segments
 * are as a TAP wants them. */
static void sums_and_segments_are_left_to_the_host(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){
		.section_size = 65536 }, 1500, 1 << 20, 1 << 20);
	static uint8_t buf[MAX_FRAME], want[MAX_FRAME];
	uint8_t *f = buf;
	struct rndis_meta m;
	struct vnet_hdr v;
	size_t len;

	(void)state;
	len = tcp(buf, &v, 1000);
	memcpy(want, buf, len);
	assert_int_equal(offload_to_host(&m, &f, &len, &v, true), 0);
	to_host(g, &m, f, len, 1);
	assert_true(g->host_frame.partial);
	assert_int_equal(g->host_frame.mss, 0);
	assert_memory_equal(g->host_frame.data, want, len);
	len = tcp(buf, &v, 60000);
	memcpy(want, buf, len);
	v.gso_type = VNET_GSO_TCPV4;
	v.gso_size = 1460;
	assert_int_equal(offload_to_host(&m, &f, &len, &v, true), 0);
	to_host(g, &m, f, len, 1);
	assert_true(g->host_frame.partial);
	assert_int_equal(g->host_frame.mss, 1460);
	assert_int_equal(g->host_frame.len, len);
	/* All but the IP header's sum, which is filled in. */
	assert_memory_equal(g->host_frame.data, want, 24);
	assert_memory_equal(g->host_frame.data + 26, want + 26, len - 26);
	stop(g);
}

/* From the switch to the guest: whole sums, segments that fit. */
static void the_guest_gets_segments_with_sums(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });
	static uint8_t buf[MAX_FRAME];
	struct host_frame f = { .data = buf, .partial = true, .mss = 1460,
				.sum_start = 34, .sum_offset = 16 };
	struct vnet_hdr v;
	size_t bytes = 0;

	(void)state;
	f.len = tcp(buf, &v, 40000);
	assert_int_equal(to_guest(g, &f), 0);
	settle(g);
	assert_int_equal(g->n_frames, 28);
	for (unsigned i = 0; i < 28; i++) {
		struct frame *s = &g->frames[i];

		assert_true(s->len <= 1514);
		assert_true(tcp_is_right(s->data, s->len));
		assert_memory_equal(s->data + 54, buf + 54 + bytes, s->len - 54);
		bytes += s->len - 54;
		offload_to_guest(&v, s->data, s->len, &s->meta);
		assert_int_equal(v.flags, VNET_F_DATA_VALID);
	}
	assert_int_equal(bytes, 40000);
	stop(g);
}

static void local_frames_may_have_no_valid_sum(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){
		.local_sums = true });
	static uint8_t buf[MAX_FRAME];
	struct host_frame f = { .data = buf, .partial = true, .sum_start = 34,
				.sum_offset = 16 };
	struct vnet_hdr v;

	(void)state;
	f.len = tcp(buf, &v, 100);
	assert_int_equal(to_guest(g, &f), 0);
	settle(g);
	assert_false(tcp_is_right(last(g)->data, last(g)->len));
	offload_to_guest(&v, last(g)->data, last(g)->len, &last(g)->meta);
	assert_true(tcp_is_right(last(g)->data, last(g)->len));
	stop(g);
}

static void slots_run_out_and_come_back(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ .slots = 100 }, 1500,
			      1 << 20, 64 * 6144);
	uint8_t data[60];
	struct host_frame f = { .data = data, .len = sizeof(data) };
	unsigned taken = 0;

	(void)state;
	pattern(data, sizeof(data), 1);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 120; i++)
			taken += host_hn_deliver(g->hn, &f) == 0;
		host_hn_flush(g->hn);
		settle(g);
		assert_int_equal(host_hn_slots_free(g->hn), 84);
	}
	assert_int_equal(taken, 50 * 84);
	assert_int_equal(g->n_frames, taken);
	assert_int_equal(g->rooms, 50);
	stop(g);
}

static void a_flood_both_ways_loses_nothing_that_was_taken(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){
		.complete_ms = 3 });
	const struct rndis_meta none = { 0 };
	unsigned taken = 0, sent = 0;
	uint8_t data[1514], *mem;
	struct host_frame f = { .data = data, .len = sizeof(data) };
	size_t cap, pad;

	(void)state;
	pattern(data, sizeof(data), 1);
	for (unsigned i = 0; i < 5000; i++) {
		int s = nvs_section_get(g->n, &mem, &cap), hdr;

		taken += to_guest(g, &f) == 0;
		if (s >= 0) {
			hdr = rndis_put_packet(mem, cap, &none, 60, 8, &pad);
			memcpy(mem + hdr, data, 60);
			assert_int_equal(nvs_section_send(g->n, (uint32_t)s,
				(size_t)hdr + 60 + pad, false), 0);
			sent++;
		}
		if (i % 7 == 0)
			loop_once(g->l, false);
		if (i % 100 == 0)
			loop_advance(g->l, 1);
	}
	settle(g);
	loop_advance(g->l, 10);
	settle(g);
	assert_true(taken > 1000 && sent > 500);
	assert_int_equal(g->n_frames, taken);
	assert_int_equal(g->n_host_frames, sent);
	assert_int_equal(host_hn_slots_free(g->hn), (1 << 20) / 1806 - 16);
	stop(g);
}

static void lives_through_close_and_reopen(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });
	uint8_t data[60];
	struct host_frame f = { .data = data, .len = sizeof(data) };

	(void)state;
	pattern(data, sizeof(data), 3);
	for (unsigned i = 1; i < 8; i++) {
		rndis_stop(g->r, i & 1);	/* with and without HALT */
		nvs_close(g->n);
		settle(g);
		assert_int_equal(host_hn_state_get(g->hn), HOST_HN_OVER);
		assert_int_equal(to_guest(g, &f), -ENETDOWN);
		bus_close(g->b, g->relid);
		settle(g);
		assert_int_equal(g->downs, i);
		open_channel(g);
		settle(g);
		assert_int_equal(g->up, i + 1);
		assert_int_equal(to_guest(g, &f), 0);
		settle(g);
		assert_int_equal(g->n_frames, i);
	}
	stop(g);
}

static void lives_through_a_rescind(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });
	uint8_t data[60];
	struct host_frame f = { .data = data, .len = sizeof(data) };

	(void)state;
	pattern(data, sizeof(data), 3);
	for (unsigned i = 1; i < 8; i++) {
		host_hn_deliver(g->hn, &f);	/* and never flushed */
		host_offer_rescind(g->offer);
		settle(g);
		assert_int_equal(host_hn_state_get(g->hn), HOST_HN_CLOSED);
		host_offer_again(g->offer);
		settle(g);
		assert_int_equal(g->up, i + 1);
		assert_int_equal(to_guest(g, &f), 0);
		settle(g);
		assert_int_equal(g->n_frames, i);
	}
	stop(g);
}

static void a_killed_guest_leaves_nothing_behind(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });

	(void)state;
	host_vmbus_drop_guest(g->h);
	rndis_free(g->r);
	nvs_free(g->n);
	bus_free(g->b);
	settle(g);
	assert_int_equal(host_hn_state_get(g->hn), HOST_HN_CLOSED);
	new_guest(g, 1500, 1 << 20, 64 * 6144);
	assert_int_equal(host_hn_state_get(g->hn), HOST_HN_UP);
	stop(g);
}

static void the_guest_hears_of_its_vf(void **state)
{
	struct rig *g = start_usual(&(struct host_hn_manners){ 0 });

	(void)state;
	assert_true(host_hn_takes_vf(g->hn));
	host_hn_vf(g->hn, true, 0x1234);
	settle(g);
	assert_true(g->vf);
	assert_int_equal(g->serial, 0x1234);
	assert_int_equal(nvs_switch_path(g->n, NVS_PATH_VF), 0);
	settle(g);
	assert_int_equal(g->path_wanted, NVS_PATH_VF);
	assert_int_equal(g->confirmed, 1);
	assert_int_equal(g->path_now, NVS_PATH_VF);
	host_hn_path_notice(g->hn);
	host_hn_vf(g->hn, false, 0x1234);
	settle(g);
	assert_int_equal(g->path_now, NVS_PATH_SYNTHETIC);
	assert_int_equal(g->confirmed, 1);
	assert_false(g->vf);
	stop(g);
}

static void the_guest_hears_of_its_link(void **state)
{
	static const struct host_hn_manners manners[] = {
		{ 0 }, { .status_uncounted = true },
	};

	(void)state;
	for (unsigned m = 0; m < 2; m++) {
		struct rig *g = start_usual(&manners[m]);

		host_hn_link(g->hn, false);
		settle(g);
		assert_int_equal(g->links, 1);
		assert_false(g->link);
		host_hn_link(g->hn, true);
		settle(g);
		assert_int_equal(g->links, 1);
		loop_advance(g->l, 5000);
		settle(g);
		assert_true(g->link);
		host_hn_network_change(g->hn, 1);
		host_hn_speed(g->hn, 25000000000);
		settle(g);
		assert_int_equal(g->changes, 1);
		assert_int_equal(rndis_nic_get(g->r)->speed_bps, 25000000000);
		stop(g);
	}
}

static void odd_hosts_are_understood(void **state)
{
	static const struct host_hn_manners odd[] = {
		{ .first_filter = 9 }, { .init_status = 7, .newest = NVS_V5 },
		{ .table = HOST_HN_TABLE },
		{ .table = HOST_HN_TABLE_WRONG, .newest = NVS_V6 },
		{ .section_size = 4096 }, { .complete_ms = 1 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct rig *g = start_usual(&odd[i]);
		struct nvs_stats s;

		assert_int_equal(g->up, 1);
		nvs_stats_get(g->n, &s);
		assert_int_equal(s.bad + s.unknown + s.stray, 0);
		assert_int_equal(rndis_bad(g->r), 0);
		stop(g);
	}
}

static void refused_buffers_are_the_end(void **state)
{
	static const struct host_hn_manners odd[] = {
		{ .refuse_recv_buf = true }, { .refuse_send_buf = true },
	};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct rig *g = start_usual(&odd[i]);

		assert_int_equal(g->failed, 1);
		assert_int_equal(g->up, 0);
		stop(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_up_at_every_version),
		cmocka_unit_test(tells_what_its_nic_is_like),
		cmocka_unit_test(frames_of_every_size_arrive),
		cmocka_unit_test(frames_of_every_size_leave),
		cmocka_unit_test(several_frames_share_a_section),
		cmocka_unit_test(jumbo_frames_go_both_ways),
		cmocka_unit_test(a_tag_travels_beside_the_frame),
		cmocka_unit_test(sums_and_segments_are_left_to_the_host),
		cmocka_unit_test(the_guest_gets_segments_with_sums),
		cmocka_unit_test(local_frames_may_have_no_valid_sum),
		cmocka_unit_test(slots_run_out_and_come_back),
		cmocka_unit_test(a_flood_both_ways_loses_nothing_that_was_taken),
		cmocka_unit_test(lives_through_close_and_reopen),
		cmocka_unit_test(lives_through_a_rescind),
		cmocka_unit_test(a_killed_guest_leaves_nothing_behind),
		cmocka_unit_test(the_guest_hears_of_its_vf),
		cmocka_unit_test(the_guest_hears_of_its_link),
		cmocka_unit_test(odd_hosts_are_understood),
		cmocka_unit_test(refused_buffers_are_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
