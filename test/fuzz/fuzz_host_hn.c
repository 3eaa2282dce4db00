/* test/fuzz/fuzz_host_hn.c - a hostile guest on a network channel: records of
 * an operation, a length and that many bytes. Whatever it says, the host keeps
 * its slots together and stays inside the guest's memory. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/rd.h"
#include "host/host_hn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECV_LEN = 64 * 1024, SEND_LEN = 2 * 6144, PAGES_LEN = 8192 };

struct guest {
	uint8_t *recv, *send;
	const uint8_t *pages;
	size_t pages_len;
	bool full;
	uint64_t seen;
};

static int port_send(void *arg, const struct packet *p)
{
	struct guest *g = arg;

	for (size_t i = 0; i < p->len; i++)
		g->seen += p->data[i];
	return g->full ? -EAGAIN : 0;
}

static void port_pause(void *arg, bool pause)
{
	(void)arg;
	(void)pause;
}

static void *port_gpadl(void *arg, uint32_t handle, size_t *len)
{
	struct guest *g = arg;

	*len = handle == 1 ? RECV_LEN : handle == 2 ? SEND_LEN : 0;
	return handle == 1 ? g->recv : handle == 2 ? g->send : NULL;
}

static int port_read(void *arg, uint64_t addr, void *dst, size_t len)
{
	struct guest *g = arg;

	if (addr > g->pages_len || len > g->pages_len - addr)
		return -EFAULT;
	if (len)
		memcpy(dst, g->pages + addr, len);
	return 0;
}

static void on_event(void *arg)
{
	(void)arg;
}

static int on_segment(void *arg, const struct host_frame *f)
{
	struct guest *g = arg;

	if (f->partial)
		g->seen += host_frame_sum(f);
	for (size_t i = 0; i < f->len; i++)
		g->seen += f->data[i];
	return 0;
}

static void on_frame(void *arg, const struct host_frame *f)
{
	(void)host_frame_segment(f, on_segment, arg);
	(void)host_frame_is_syn(f);
}

static void on_path(void *arg, enum nvs_path path)
{
	(void)arg;
	(void)path;
}

static void on_filter(void *arg, uint32_t filter)
{
	(void)arg;
	(void)filter;
}

static void on_violation(void *arg, const char *text)
{
	assert(text);
	(void)arg;
}

static const struct host_hn_ops ops = {
	on_event, on_event, on_frame, on_path, on_filter, on_event,
	on_violation, on_event,
};

static void packet(struct host_hn *n, uint16_t type, struct rd *r)
{
	struct packet p = { .type = type, .flags = PACKET_WANT_COMPLETION };
	size_t ranges;

	p.xact = rd_u8(r);
	ranges = type == PACKET_GPA_DIRECT ? (size_t)rd_u8(r) * 8 : 0;
	if (ranges > r->left)
		ranges = r->left & ~(size_t)7;
	p.ranges_len = ranges;
	p.ranges = rd_bytes(r, ranges);
	p.len = r->left;
	p.data = rd_bytes(r, p.len);
	if (p.data)
		host_hn_packet(n, &p);
}

static void deliver(struct host_hn *n, struct rd *r)
{
	uint16_t mss = rd_le16(r);
	struct host_frame f = { .len = r->left, .mss = mss };
	uint8_t *copy = malloc(r->left ? r->left : 1);

	f.data = copy;
	rd_copy(r, copy, f.len);
	if (f.len >= HOST_FRAME_HDR)
		f.partial = host_frame_leave_sum(&f) == 0;
	(void)host_hn_deliver(n, &f);
	free(copy);
}

static void step(struct host_hn *n, struct loop *l, struct guest *g,
		 uint8_t op, const uint8_t *bytes, size_t len)
{
	struct rd r = rd_of(bytes, len);

	switch (op % 10) {
	case 0:
	case 1:
		packet(n, PACKET_INBAND, &r);
		break;
	case 2:
		packet(n, PACKET_COMPLETION, &r);
		break;
	case 3:
		g->pages = bytes;
		g->pages_len = len;
		packet(n, PACKET_GPA_DIRECT, &r);
		g->pages_len = 0;
		break;
	case 4:
		if (len)
			memcpy(g->send, bytes, len);
		break;
	case 5:
		deliver(n, &r);
		break;
	case 6:
		host_hn_flush(n);
		loop_advance(l, len);
		break;
	case 7:
		g->full = !g->full;
		host_hn_writable(n);
		break;
	case 8:
		host_hn_path_done(n);
		host_hn_path_notice(n);
		host_hn_vf(n, len & 1, (uint32_t)len);
		break;
	default:
		host_hn_link(n, len & 1);
		break;
	}
}

static void run(struct host_hn *n, struct loop *l, struct guest *g,
		const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);

	while (r.left) {
		uint8_t op = rd_u8(&r), len = rd_u8(&r);
		size_t take = len < r.left ? len : r.left;

		step(n, l, g, op, rd_bytes(&r, take), take);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest g = { .recv = calloc(1, RECV_LEN),
			   .send = calloc(1, SEND_LEN) };
	struct host_hn_port port = {
		port_send, port_pause, port_gpadl, port_read, &g,
	};
	const struct host_hn_cfg cfg = {
		.name = "NIC", .mac = { 2 }, .speed_bps = 1, .link_gap_ms = 5,
		.manners = { .complete_ms = size & 1 },
	};
	struct loop *l = loop_new(LOOP_VIRTUAL);
	struct host_hn *n = host_hn_new(l, &cfg, &ops, &g);

	host_hn_open(n, &port);
	run(n, l, &g, data, size);
	if (host_hn_state_get(n) == HOST_HN_UP)
		assert(host_hn_slots_free(n) <= RECV_LEN / 1806);
	host_hn_close(n);
	host_hn_free(n);
	loop_free(l);
	free(g.recv);
	free(g.send);
	return 0;
}
