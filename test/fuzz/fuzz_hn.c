/* test/fuzz/fuzz_hn.c - a whole synthetic NIC in the hands of a hostile host.
 * The bus is made here, of plain memory: rings, buffers of exact size. The
 * input is a list of steps: the host answers as it should (or else no input
 * would get past the set-up), says what the input says, rewrites the shared
 * memory under the guest, takes the NIC away; meanwhile the guest sends. */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hn/frame.h"
#include "hn/hn.h"
#include "hn/offload.h"
#include "vmbus/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RING = 20480, RECV_BUF = 65536, SEND_BUF = 49152, SECTION = 6144,
	SLOT = 2048, RELID = 5, STEPS = 256, GPADLS = 2,
};

struct bus_gpadl {
	struct bus *bus;
	uint8_t *mem;
	size_t len;
	void (*done)(void *arg, int err);
	void *arg;
	struct loop_timer timer;
};

struct bus {
	struct loop *loop;
	uint8_t *rings;			/* the guest's tx, then its rx */
	struct ring_tx to_guest;
	struct ring_rx from_guest;
	int wake_fd;
	struct channel *channel;
	const struct channel_ops *ops;
	void *arg;
	struct loop_timer opening;
	struct bus_gpadl *gpadls[GPADLS];	/* receive, then send */
	struct hn *hn;
	bool refuse, up, link;
};

/* The bus ------------------------------------------------------------------ */

static void ack(void *arg)
{
	struct bus *b = arg;
	eventfd_t n;

	eventfd_read(b->wake_fd, &n);
}

static void keep_quiet(void *arg)
{
	(void)arg;
}

static void on_open(void *arg)
{
	struct bus *b = arg;
	const struct channel_port port = {
		.tx = b->rings, .rx = b->rings + RING,
		.tx_len = RING, .rx_len = RING, .wake_fd = b->wake_fd,
		.ack = ack, .signal = keep_quiet, .arg = b,
	};

	if (b->refuse) {
		b->refuse = false;
		hn_opened(b->hn, NULL, -5);
		return;
	}
	memset(b->rings, 0, (size_t)2 * RING);
	ring_tx_init(&b->to_guest, b->rings + RING, RING);
	ring_rx_init(&b->from_guest, b->rings, RING);
	b->channel = channel_new(b->loop, &port, b->ops, b->arg);
	if (!b->channel)
		abort();
	hn_opened(b->hn, b->channel, 0);
}

int bus_open(struct bus *b, uint32_t relid, size_t tx_len, size_t rx_len,
	     const void *user, size_t user_len, const struct channel_ops *ops,
	     void *arg)
{
	(void)user;
	if (relid != RELID || tx_len != RING || rx_len != RING || user_len ||
	    b->channel || b->opening.set)
		abort();
	b->ops = ops;
	b->arg = arg;
	loop_timer_set(&b->opening, 0);
	return 0;
}

void bus_close(struct bus *b, uint32_t relid)
{
	if (relid != RELID)
		abort();
	loop_timer_cancel(&b->opening);
	channel_free(b->channel);
	b->channel = NULL;
}

static void on_shared(void *arg)
{
	struct bus_gpadl *g = arg;

	g->done(g->arg, 0);
}

struct bus_gpadl *bus_gpadl_new(struct bus *b, uint32_t relid, size_t len,
				void (*done)(void *arg, int err), void *arg)
{
	struct bus_gpadl *g = calloc(1, sizeof(*g));
	unsigned i = b->gpadls[0] != NULL;

	if (relid != RELID || b->gpadls[i])
		abort();
	g->bus = b;
	g->mem = calloc(1, len);
	g->len = len;
	g->done = done;
	g->arg = arg;
	loop_timer_init(&g->timer, b->loop, on_shared, g);
	loop_timer_set(&g->timer, 0);
	b->gpadls[i] = g;
	return g;
}

void bus_gpadl_free(struct bus_gpadl *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < GPADLS; i++) {
		if (g->bus->gpadls[i] == g)
			g->bus->gpadls[i] = NULL;
	}
	loop_timer_cancel(&g->timer);
	free(g->mem);
	free(g);
}

void *bus_gpadl_mem(const struct bus_gpadl *g)
{
	return g->mem;
}

uint32_t bus_gpadl_handle(const struct bus_gpadl *g)
{
	(void)g;
	return 1;
}

/* What the host sends ------------------------------------------------------ */

static void put_packet(struct bus *b, const struct packet *p)
{
	uint8_t raw[2048] = { 0 };
	struct wr w = wr_of(raw, sizeof(raw));
	struct iovec iov = { raw, 0 };

	packet_put(&w, p);
	iov.iov_len = w.len;
	if (!w.bad && b->channel && ring_put(&b->to_guest, &iov, 1) == 0)
		ring_publish(&b->to_guest);
}

static void put_words(struct bus *b, uint16_t type, uint64_t xact,
		      const uint32_t *v, unsigned n)
{
	uint8_t msg[40] = { 0 };
	struct wr w = wr_of(msg, sizeof(msg));
	const struct packet p = { .type = type, .xact = xact, .data = msg,
				  .len = sizeof(msg) };

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, v[i]);
	put_packet(b, &p);
}

/* A range of the receive buffer; n of them when it is to be many. */
static void put_ranges(struct bus *b, bool control, uint32_t len, uint32_t at,
		       unsigned n, uint32_t step)
{
	uint8_t ranges[1024], msg[40] = { NVS_RNDIS, 0, 0, 0, control };
	struct wr w = wr_of(ranges, sizeof(ranges));
	struct packet p = {
		.type = PACKET_XFER_PAGES, .flags = PACKET_WANT_COMPLETION,
		.xact = 7, .ranges = ranges, .data = msg, .len = sizeof(msg),
	};

	wr_le32(&w, 0xcafe);
	wr_le32(&w, n);
	for (unsigned i = 0; i < n; i++) {
		wr_le32(&w, len);
		wr_le32(&w, at + i * step);
	}
	p.ranges_len = w.len;
	put_packet(b, &p);
}

static void put_control(struct bus *b, const uint32_t *v, unsigned n)
{
	struct wr w;

	if (!b->gpadls[0])
		return;
	w = wr_of(b->gpadls[0]->mem, SLOT);
	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, v[i]);
	put_ranges(b, true, n * 4, 0, 1, 0);
}

/* The good host ------------------------------------------------------------ */

static void answer_control(struct bus *b, struct rd *r)
{
	uint32_t type = rd_le32(r), len = rd_le32(r), rid = rd_le32(r);
	uint32_t oid = rd_le32(r), done = type | RNDIS_COMPLETE;

	(void)len;
	if (type == RNDIS_INITIALIZE)
		put_control(b, (uint32_t[]){ done, 52, rid, 0, 1, 0, 1, 0, 8,
					     0xffff, 3, 0, 0 }, 13);
	else if (type == RNDIS_SET)
		put_control(b, (uint32_t[]){ done, 16, rid, 0 }, 4);
	else if (type == RNDIS_QUERY && oid == RNDIS_OID_MAC_PERMANENT)
		put_control(b, (uint32_t[]){ done, 30, rid, 0, 6, 16, 2,
					     0x700 }, 8);
	else if (type == RNDIS_QUERY)
		put_control(b, (uint32_t[]){ done, 28, rid, 0, 4, 16, 0 }, 7);
}

static void answer_rndis(struct bus *b, struct rd *r, uint64_t xact)
{
	uint32_t control = rd_le32(r), section = rd_le32(r), n = rd_le32(r);
	struct rd msg;

	put_words(b, PACKET_COMPLETION, xact,
		  (uint32_t[]){ NVS_RNDIS_COMPLETE, NVS_S_OK }, 2);
	if (!control || !b->gpadls[1])
		return;
	if (section >= SEND_BUF / SECTION || n > SECTION)
		return;			/* the ring was tampered with */
	msg = rd_of(b->gpadls[1]->mem + (size_t)section * SECTION, n);
	answer_control(b, &msg);
}

static void answer(struct bus *b, const struct packet *p)
{
	struct rd r = rd_of(p->data, p->len);

	switch (rd_le32(&r)) {
	case NVS_INIT:
		put_words(b, PACKET_COMPLETION, p->xact,
			  (uint32_t[]){ NVS_INIT_COMPLETE, 0, 34, 1 }, 4);
		break;
	case NVS_RECV_BUF:
		put_words(b, PACKET_COMPLETION, p->xact,
			  (uint32_t[]){ NVS_RECV_BUF_COMPLETE, 1, 1, 0, SLOT,
					32, 32 * SLOT }, 7);
		break;
	case NVS_SEND_BUF:
		put_words(b, PACKET_COMPLETION, p->xact,
			  (uint32_t[]){ NVS_SEND_BUF_COMPLETE, 1, SECTION }, 3);
		break;
	case NVS_SWITCH_DATA_PATH:
		put_words(b, PACKET_COMPLETION, p->xact, NULL, 0);
		break;
	case NVS_RNDIS:
		answer_rndis(b, &r, p->xact);
		break;
	}
}

static void run(struct bus *b)
{
	eventfd_write(b->wake_fd, 1);
	for (unsigned i = 0; i < 4; i++)
		loop_once(b->loop, false);
	loop_advance(b->loop, 0);
}

/* One turn: what the guest has sent is answered, or only read. */
static void serve(struct bus *b, bool answers)
{
	static uint8_t buf[CHANNEL_PACKET_MAX];
	struct packet p;
	ssize_t n;

	for (unsigned i = 0; i < 16 && b->channel; i++) {
		n = ring_get(&b->from_guest, buf, sizeof(buf));
		if (n <= 0)
			break;
		if (answers && packet_get(&p, buf, (size_t)n) == 0)
			answer(b, &p);
	}
	if (b->channel)
		ring_release(&b->from_guest);
	run(b);
}

/* Steps -------------------------------------------------------------------- */

static const uint8_t *take(struct rd *r, size_t want, size_t *n)
{
	*n = want < r->left ? want : r->left;
	return rd_bytes(r, *n);
}

static void say(struct bus *b, struct rd *r, uint16_t type)
{
	uint64_t xact = rd_le16(r);
	size_t n;
	const uint8_t *bytes = take(r, rd_u8(r), &n);
	const struct packet p = { .type = type, .xact = xact, .data = bytes,
				  .len = n };

	if (bytes)
		put_packet(b, &p);
}

/* Messages of the input in the receive buffer, and ranges that may lie. */
static void say_rndis(struct bus *b, struct rd *r, bool control)
{
	uint32_t at = rd_le16(r), lie = rd_u8(r), n = rd_u8(r) % 8 + 1;
	size_t len;
	const uint8_t *bytes = take(r, rd_u8(r), &len);

	if (!bytes || !b->gpadls[0])
		return;
	for (unsigned i = 0; i < n; i++) {
		if (at + i * SLOT + len <= b->gpadls[0]->len && len)
			memcpy(b->gpadls[0]->mem + at + i * SLOT, bytes, len);
	}
	put_ranges(b, control, (uint32_t)len + (lie > 250 ? lie * 300u : 0),
		   at, n, SLOT);
}

static void poke(struct bus *b, struct rd *r)
{
	unsigned which = rd_u8(r);
	size_t n, at = rd_le16(r);
	const uint8_t *bytes = take(r, rd_u8(r) % 64, &n);
	uint8_t *mem = b->rings;
	size_t len = (size_t)2 * RING;

	if (which % 4 < GPADLS && b->gpadls[which % 4]) {
		mem = b->gpadls[which % 4]->mem;
		len = b->gpadls[which % 4]->len;
	}
	if (bytes && n && at + n <= len)
		memcpy(mem + at, bytes, n);
}

static void send_frame(struct bus *b, struct rd *r)
{
	size_t cap, n, len = rd_le16(r);
	uint8_t *room = hn_room(b->hn, &cap);
	const uint8_t *bytes = take(r, rd_u8(r), &n);

	if (!room || !bytes)
		return;
	len = len < cap ? len : cap;
	n = n < len ? n : len;
	memset(room, 0x55, len);
	if (n)
		memcpy(room, bytes, n);
	hn_put(b->hn, len);
	hn_flush(b->hn);
}

static void guest(struct bus *b, struct rd *r)
{
	unsigned what = rd_u8(r);

	switch (what % 6) {
	case 0: send_frame(b, r); break;
	case 1: hn_set_up(b->hn, what & 8); break;
	case 2: hn_set_promiscuous(b->hn, what & 8); break;
	case 3: hn_hide_link(b->hn, what & 8); break;
	case 4: (void)hn_switch_path(b->hn, what & 8 ? NVS_PATH_VF :
						       NVS_PATH_SYNTHETIC);
		break;
	case 5: (void)hn_set_mtu(b->hn, rd_le16(r)); break;
	}
}

static void take_away(struct bus *b)
{
	loop_timer_cancel(&b->opening);
	channel_free(b->channel);
	b->channel = NULL;
	bus_gpadl_free(b->gpadls[0]);
	bus_gpadl_free(b->gpadls[1]);
	hn_rescinded(b->hn);
	if (b->up || b->link)
		abort();
	hn_offered(b->hn, RELID);
}

static void step(struct bus *b, struct rd *r)
{
	unsigned what = rd_u8(r);

	switch (what % 12) {
	case 0: serve(b, true); break;
	case 1: say(b, r, PACKET_COMPLETION); break;
	case 2: say(b, r, PACKET_INBAND); break;
	case 3: say_rndis(b, r, true); break;
	case 4: say_rndis(b, r, false); break;
	case 5: poke(b, r); break;
	case 6: guest(b, r); break;
	case 7: loop_advance(b->loop, rd_u8(r) * 100u); break;
	case 8: take_away(b); break;
	case 9: b->refuse = true; break;
	case 10: serve(b, false); break;
	case 11:
		for (unsigned i = 0; i < 24; i++)
			serve(b, true);
		break;
	}
	run(b);
}

/* What the NIC tells ------------------------------------------------------- */

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct bus *b = arg;

	if (b->up || nic->mtu > SECTION)
		abort();
	b->up = true;
}

static void on_down(void *arg, const char *why)
{
	struct bus *b = arg;

	if (!b->up || b->link || !*why)
		abort();
	b->up = false;
}

static void on_link(void *arg, bool up)
{
	struct bus *b = arg;

	if (up == b->link)
		abort();
	b->link = up;
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	(void)arg;
	(void)present;
	(void)serial;
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	(void)arg;
	(void)asked;
	if (path != NVS_PATH_VF && path != NVS_PATH_SYNTHETIC)
		abort();
}

static int on_frame(void *arg, const void *buf, size_t len)
{
	uint8_t *copy = malloc(len);

	(void)arg;
	if (len < OFFLOAD_VNET_HDR + FRAME_ETHER ||
	    len > OFFLOAD_VNET_HDR + FRAME_MAX + FRAME_VLAN_TAG)
		abort();
	memcpy(copy, buf, len);
	free(copy);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct hn_ops ops = {
		on_up, on_down, on_link, keep_quiet, on_vf, on_path,
	};
	const struct hn_cfg cfg = {
		RING, { RECV_BUF, SEND_BUF, 1500, true, 5000 },
	};
	const struct hn_rx_sink sink = { on_frame, NULL };
	struct rd r = rd_of(data, size);
	struct bus b = { .loop = loop_new(LOOP_VIRTUAL) };

	b.wake_fd = eventfd(0, EFD_NONBLOCK);
	b.rings = mmap(NULL, (size_t)2 * RING, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	loop_timer_init(&b.opening, b.loop, on_open, &b);
	b.hn = hn_new(b.loop, &b, &cfg, &ops, &b);
	hn_set_sink(b.hn, &sink);
	hn_offered(b.hn, RELID);
	run(&b);
	for (unsigned i = 0; i < STEPS && r.left; i++)
		step(&b, &r);
	hn_free(b.hn);
	munmap(b.rings, (size_t)2 * RING);
	close(b.wake_fd);
	loop_free(b.loop);
	return 0;
}
