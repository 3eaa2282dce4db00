/* hn/gro.c - a few connections at a time, each with a frame that grows.
 *
 * A segment goes into the frame of its connection when all of its headers but
 * those that count (length, identification, sequence number, sums) are those
 * of the first one and it begins where the last one ended. A shorter segment,
 * or one that says PSH, is the frame's last. Everything else of a connection
 * (SYN, FIN, bare acknowledgements, options that differ) first sends on what
 * was gathered, so that order is kept. */
#include "hn/gro.h"

#include <stdlib.h>
#include <string.h>

enum {
	FLOWS = 8,
	IP_MAX = 65535,
	IPV4_HDR = 20, IPV6_HDR = 40,
	IPV4_LEN = 2, IPV4_ID = 4, IPV4_FLAGS = 6, IPV4_SUM = 10,
	IPV6_LEN = 4, IPV4_DF = 0x40,
	PORTS = 4, SEQ = 4, ACK = 8, LEN = 12, FLAGS = 13, SUM = 16, URGENT = 18,
	F_PSH = 0x08, F_ACK = 0x10,
};

/* A segment, looked at. */
struct piece {
	const uint8_t *f;
	struct frame_layers y;
	size_t head, payload;		/* bytes */
	int tci;
};

struct flow {
	bool used;
	int tci;
	struct frame_layers y;
	size_t head, len;		/* of headers; of all that is there */
	size_t mss;
	unsigned count;
	uint16_t id;			/* of the last one */
	uint8_t *buf, *frame;		/* GRO_ROOM apart */
};

struct gro {
	gro_emit *emit;
	void *arg;
	struct flow flows[FLOWS];
	unsigned next;			/* to be sent on when all are in use */
};

/* Looking ------------------------------------------------------------------ */

/* Is it TCP, with no more in front of it than the least? */
static bool look(struct piece *p, const uint8_t *f, size_t len, int tci)
{
	size_t tcp;

	p->f = f;
	p->tci = tci;
	if (frame_layers(&p->y, f, len, FRAME_TYPE_AT) < 0 ||
	    p->y.proto != FRAME_TCP)
		return false;
	tcp = frame_tcp_len(&p->y, f);
	p->head = p->y.l4 + tcp;
	p->payload = p->y.end - p->head;
	return tcp && p->y.l4 - p->y.ip == (p->y.ipv6 ? IPV6_HDR : IPV4_HDR);
}

static bool ip_sum_good(const struct piece *p)
{
	return p->y.ipv6 ||
	       frame_fold(frame_add(0, p->f + p->y.ip, IPV4_HDR)) == 0xffff;
}

/* Data, and nothing else that the stack must see by itself. */
static bool joinable(const struct piece *p)
{
	const uint8_t *tcp = p->f + p->y.l4;

	return p->payload && (tcp[FLAGS] & ~F_PSH) == F_ACK &&
	       !(tcp[LEN] & 15) && p->y.end - p->y.ip <= IP_MAX &&
	       ip_sum_good(p);
}

static bool same(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
	return memcmp(a + from, b + from, to - from) == 0;
}

static bool same_connection(const struct flow *w, const struct piece *p)
{
	const uint8_t *a = w->frame + w->y.ip, *b = p->f + p->y.ip;

	return w->used && w->tci == p->tci && w->y.ipv6 == p->y.ipv6 &&
	       (p->y.ipv6 ? same(a, b, 8, IPV6_HDR) : same(a, b, 12, IPV4_HDR)) &&
	       same(w->frame + w->y.l4, p->f + p->y.l4, 0, PORTS);
}

/* The identification may count or stand still; where nobody may fragment, it
 * means nothing. */
static bool same_ip(const struct flow *w, const struct piece *p)
{
	const uint8_t *a = w->frame + w->y.ip, *b = p->f + p->y.ip;

	if (p->y.ipv6)
		return same(a, b, 0, IPV6_LEN) && same(a, b, 6, 8);
	if (!same(a, b, 0, IPV4_LEN) || !same(a, b, IPV4_FLAGS, IPV4_SUM))
		return false;
	return b[IPV4_FLAGS] & IPV4_DF ||
	       frame_be16(b + IPV4_ID) == (uint16_t)(w->id + 1);
}

static bool same_tcp(const struct flow *w, const struct piece *p)
{
	const uint8_t *a = w->frame + w->y.l4, *b = p->f + p->y.l4;
	size_t end = p->head - p->y.l4;

	return w->head == p->head && same(a, b, ACK, FLAGS) &&
	       same(a, b, FLAGS + 1, SUM) && same(a, b, URGENT, end) &&
	       frame_be32(b + SEQ) ==
		       frame_be32(a + SEQ) + (uint32_t)(w->len - w->head);
}

static bool continues(const struct flow *w, const struct piece *p)
{
	return same(w->frame, p->f, 0, FRAME_TYPE_AT) && same_ip(w, p) &&
	       same_tcp(w, p) && p->payload <= w->mss &&
	       w->len + p->payload - w->y.ip <= IP_MAX;
}

/* Sending on --------------------------------------------------------------- */

static void set_ip_len(struct flow *w)
{
	uint8_t *ip = w->frame + w->y.ip;

	if (w->y.ipv6) {
		frame_put_be16(ip + IPV6_LEN,
			       (uint16_t)(w->len - w->y.ip - IPV6_HDR));
	} else {
		frame_put_be16(ip + IPV4_LEN, (uint16_t)(w->len - w->y.ip));
		frame_make_ip_sum(&w->y, w->frame);
	}
}

/* The TCP sum is left to be made, with what it needs in its field: the stack
 * takes that as good, and makes it if the frame travels on. */
static void leave_sum(struct flow *w, struct vnet_hdr *h)
{
	frame_put_be16(w->frame + w->y.l4 + SUM,
		       frame_fold(frame_pseudo(&w->y, w->frame,
					       w->len - w->y.l4)));
	h->flags = VNET_F_NEEDS_CSUM;
	h->csum_start = (uint16_t)w->y.l4;
	h->csum_offset = SUM;
}

static void say_segments(const struct flow *w, struct vnet_hdr *h)
{
	h->gso_type = w->y.ipv6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4;
	h->gso_size = (uint16_t)w->mss;
	h->hdr_len = (uint16_t)w->head;
}

static void send_on(struct gro *g, struct flow *w)
{
	struct vnet_hdr h = { 0 };
	uint8_t *frame = w->frame;

	w->used = false;
	leave_sum(w, &h);
	if (w->count > 1) {
		set_ip_len(w);
		say_segments(w, &h);
	}
	if (w->tci >= 0) {
		frame = offload_push_vlan(frame, (uint16_t)w->tci);
		w->len += FRAME_VLAN_TAG;
		h.csum_start += FRAME_VLAN_TAG;
		if (h.hdr_len)
			h.hdr_len += FRAME_VLAN_TAG;
	}
	vnet_put(frame - OFFLOAD_VNET_HDR, &h);
	g->emit(g->arg, frame - OFFLOAD_VNET_HDR, w->len + OFFLOAD_VNET_HDR,
		w->count);
}

/* Gathering ---------------------------------------------------------------- */

static void begin(struct flow *w, const struct piece *p)
{
	w->used = true;
	w->tci = p->tci;
	w->y = p->y;
	w->head = p->head;
	w->len = p->y.end;		/* no padding */
	w->mss = p->payload;
	w->count = 1;
	w->id = frame_be16(p->f + p->y.ip + IPV4_ID);
	memcpy(w->frame, p->f, w->len);
}

static void append(struct flow *w, const struct piece *p)
{
	memcpy(w->frame + w->len, p->f + p->head, p->payload);
	w->len += p->payload;
	w->count++;
	w->id = frame_be16(p->f + p->y.ip + IPV4_ID);
	w->frame[w->y.l4 + FLAGS] |= p->f[p->y.l4 + FLAGS] & F_PSH;
}

static bool is_last(const struct flow *w, const struct piece *p)
{
	return p->payload < w->mss || p->f[p->y.l4 + FLAGS] & F_PSH ||
	       w->len + w->mss - w->y.ip > IP_MAX;
}

static struct flow *find(struct gro *g, const struct piece *p)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		if (same_connection(&g->flows[i], p))
			return &g->flows[i];
	}
	return NULL;
}

static struct flow *free_flow(struct gro *g)
{
	struct flow *w;

	for (unsigned i = 0; i < FLOWS; i++) {
		if (!g->flows[i].used)
			return &g->flows[i];
	}
	w = &g->flows[g->next++ % FLOWS];
	send_on(g, w);
	return w;
}

bool gro_take(struct gro *g, const uint8_t *frame, size_t len, int tci)
{
	struct piece p;
	struct flow *w;

	if (len > FRAME_MAX || !look(&p, frame, len, tci))
		return false;
	w = find(g, &p);
	if (w && joinable(&p) && continues(w, &p)) {
		append(w, &p);
	} else {
		if (w)
			send_on(g, w);
		if (!joinable(&p))
			return false;
		w = free_flow(g);
		begin(w, &p);
	}
	if (is_last(w, &p))
		send_on(g, w);
	return true;
}

void gro_flush(struct gro *g)
{
	for (unsigned i = 0; i < FLOWS; i++) {
		if (g->flows[i].used)
			send_on(g, &g->flows[i]);
	}
}

void gro_drop(struct gro *g)
{
	for (unsigned i = 0; i < FLOWS; i++)
		g->flows[i].used = false;
}

struct gro *gro_new(gro_emit *emit, void *arg)
{
	struct gro *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->emit = emit;
	g->arg = arg;
	for (unsigned i = 0; i < FLOWS; i++) {
		g->flows[i].buf = malloc(GRO_ROOM + FRAME_MAX);
		if (!g->flows[i].buf) {
			gro_free(g);
			return NULL;
		}
		g->flows[i].frame = g->flows[i].buf + GRO_ROOM;
	}
	return g;
}

void gro_free(struct gro *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < FLOWS; i++)
		free(g->flows[i].buf);
	free(g);
}
