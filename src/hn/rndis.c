/* hn/rndis.c - one request after the other.
 *
 * Bring-up is the list `steps`; what is wanted afterwards (filter, link state)
 * are two flags that are looked at whenever nothing is outstanding, so nothing
 * queues up however often it is asked for. A property that a host does not
 * know keeps its default; only INITIALIZE and the MAC address must succeed. */
#include "hn/rndis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	ETHER_MTU = 1500,
	MAX_MTU = 65521,
	/* The offload object, revision 3 (NDIS 6.30): doc/wire/rndis.md. */
	OFFLOAD_TYPE = 0xa7, OFFLOAD_REV = 3, OFFLOAD_SIZE = 156,
	OFFLOAD_LEAST = 112, OFFLOAD_TX_V4 = 8, OFFLOAD_TX_V6 = 24,
	OFFLOAD_LSO = 80,
	/* Parameters, as the host takes them. */
	PARAMS_TYPE = 0x80, PARAMS_REV = 3, PARAMS_SIZE = 28,
	PARAM_BOTH = 4, PARAM_OFF = 1, PARAM_ON = 2,
	CAP_TCP_OPTIONS = 4, CAP_TCP = 0x10,
};

struct rndis {
	struct loop *loop;
	struct rndis_ops ops;
	void *arg;
	unsigned timeout_ms;
	struct loop_timer timeout;
	bool running, up;
	unsigned step;
	struct rndis_nic nic;
	uint32_t rid;			/* of the one outstanding, 0: none */
	uint32_t expect;		/* type of its answer */
	uint32_t last_rid;
	void (*answered)(struct rndis *r, const struct rndis_control *c);
	bool want_filter, want_link;
	uint32_t filter;
	uint64_t bad;
};

static void advance(struct rndis *r);
static void next_step(struct rndis *r);

/* One request ------------------------------------------------------------ */

static void fail(struct rndis *r, const char *why)
{
	rndis_stop(r, false);
	r->ops.failed(r->arg, why);
}

static void on_timeout(void *arg)
{
	fail(arg, "the host does not answer a control request");
}

static uint32_t next_rid(struct rndis *r)
{
	if (++r->last_rid == 0)
		r->last_rid = 1;
	return r->last_rid;
}

/* -EAGAIN leaves all as it was: rndis_writable() comes back here. */
static int request(struct rndis *r, const uint8_t *msg, int len, uint32_t rid,
		   void (*answered)(struct rndis *r,
				    const struct rndis_control *c))
{
	int err = len < 0 ? len : r->ops.send(r->arg, msg, (size_t)len);
	struct rd type;

	if (err == -EAGAIN)
		return err;
	if (err < 0) {
		fail(r, "a control request cannot be sent");
		return err;
	}
	type = rd_of(msg, 4);
	r->expect = rd_le32(&type) | RNDIS_COMPLETE;
	r->rid = rid;
	r->answered = answered;
	loop_timer_set(&r->timeout, r->timeout_ms);
	return 0;
}

static int query(struct rndis *r, uint32_t oid, const void *data, size_t len,
		 void (*answered)(struct rndis *r,
				  const struct rndis_control *c))
{
	uint8_t msg[RNDIS_REQUEST_HDR + OFFLOAD_SIZE];
	uint32_t rid = next_rid(r);

	return request(r, msg, rndis_put_query(msg, sizeof(msg), rid, oid,
					       data, len), rid, answered);
}

static int set(struct rndis *r, uint32_t oid, const void *data, size_t len,
	       void (*answered)(struct rndis *r, const struct rndis_control *c))
{
	uint8_t msg[RNDIS_REQUEST_HDR + PARAMS_SIZE];
	uint32_t rid = next_rid(r);

	return request(r, msg, rndis_put_set(msg, sizeof(msg), rid, oid, data,
					     len), rid, answered);
}

/* A u32 that the host gave, or else dflt. */
static uint32_t number(const struct rndis_control *c, uint32_t dflt)
{
	struct rd d = rd_of(c->data, c->len);
	uint32_t v = rd_le32(&d);

	return c->status == RNDIS_S_OK && !d.bad ? v : dflt;
}

/* Bring-up --------------------------------------------------------------- */

static void on_initialized(struct rndis *r, const struct rndis_control *c)
{
	if (c->status != RNDIS_S_OK) {
		fail(r, "the host refuses RNDIS");
		return;
	}
	r->nic.max_messages = c->max_messages;
	r->nic.max_transfer = c->max_transfer;
	r->nic.align = c->align;
	next_step(r);
}

static int initialize(struct rndis *r)
{
	uint8_t msg[RNDIS_INITIALIZE_SIZE];
	uint32_t rid = next_rid(r);

	return request(r, msg, rndis_put_initialize(msg, sizeof(msg), rid), rid,
		       on_initialized);
}

static void on_mtu(struct rndis *r, const struct rndis_control *c)
{
	uint32_t mtu = number(c, ETHER_MTU);

	r->nic.mtu = mtu >= 68 && mtu <= MAX_MTU ? mtu : ETHER_MTU;
	next_step(r);
}

static int ask_mtu(struct rndis *r)
{
	return query(r, RNDIS_OID_MAX_FRAME, NULL, 0, on_mtu);
}

static void on_mac(struct rndis *r, const struct rndis_control *c)
{
	if (c->status != RNDIS_S_OK || c->len != sizeof(r->nic.mac)) {
		fail(r, "the host gives no MAC address");
		return;
	}
	memcpy(r->nic.mac, c->data, sizeof(r->nic.mac));
	next_step(r);
}

static int ask_mac(struct rndis *r)
{
	return query(r, RNDIS_OID_MAC_PERMANENT, NULL, 0, on_mac);
}

/* Linux wants TCP with options before it leaves a checksum to the host. */
static bool has_tcp(uint32_t caps)
{
	return (caps & (CAP_TCP | CAP_TCP_OPTIONS)) ==
	       (CAP_TCP | CAP_TCP_OPTIONS);
}

static void take_offloads(struct rndis_nic *nic, const uint8_t *o)
{
	struct rd v4 = rd_of(o + OFFLOAD_TX_V4, 4);
	struct rd v6 = rd_of(o + OFFLOAD_TX_V6, 4);
	struct rd lso = rd_of(o + OFFLOAD_LSO, 24);
	uint32_t encap4 = rd_le32(&lso), max4 = rd_le32(&lso);
	uint32_t encap6, max6;

	rd_skip(&lso, 4);		/* segments at least */
	encap6 = rd_le32(&lso);
	max6 = rd_le32(&lso);
	nic->tx_checksum = has_tcp(rd_le32(&v4)) && has_tcp(rd_le32(&v6));
	nic->tso4 = nic->tx_checksum && encap4 && max4;
	nic->tso6 = nic->tx_checksum && encap6 && max6;
	nic->tso_max = max4 < max6 ? max4 : max6;
}

static void on_offload_caps(struct rndis *r, const struct rndis_control *c)
{
	if (c->status == RNDIS_S_OK && c->len >= OFFLOAD_LEAST &&
	    c->data[0] == OFFLOAD_TYPE)
		take_offloads(&r->nic, c->data);
	next_step(r);
}

static int ask_offloads(struct rndis *r)
{
	const uint8_t o[OFFLOAD_SIZE] = { OFFLOAD_TYPE, OFFLOAD_REV,
					  OFFLOAD_SIZE, 0 };

	return query(r, RNDIS_OID_OFFLOAD_CAPS, o, sizeof(o), on_offload_caps);
}

static void on_offloads_set(struct rndis *r, const struct rndis_control *c)
{
	if (c->status != RNDIS_S_OK)
		r->nic.tx_checksum = r->nic.tso4 = r->nic.tso6 = false;
	next_step(r);
}

/* Bytes 4 to 8 are checksums (IPv4, TCP4, UDP4, TCP6, UDP6), 11 and 12 LSO. */
static int set_offloads(struct rndis *r)
{
	uint8_t p[PARAMS_SIZE] = { PARAMS_TYPE, PARAMS_REV, PARAMS_SIZE, 0 };
	uint8_t sum = r->nic.tx_checksum ? PARAM_BOTH : PARAM_OFF;

	memset(p + 4, sum, 5);
	p[11] = r->nic.tso4 ? PARAM_ON : PARAM_OFF;
	p[12] = r->nic.tso6 ? PARAM_ON : PARAM_OFF;
	return set(r, RNDIS_OID_OFFLOAD, p, sizeof(p), on_offloads_set);
}

static void on_speed(struct rndis *r, const struct rndis_control *c)
{
	r->nic.speed_bps = (uint64_t)number(c, 0) * 100;
	next_step(r);
}

static int ask_speed(struct rndis *r)
{
	return query(r, RNDIS_OID_LINK_SPEED, NULL, 0, on_speed);
}

static void on_first_link(struct rndis *r, const struct rndis_control *c)
{
	r->nic.link_up = number(c, 0) == 0;
	next_step(r);
}

static int ask_first_link(struct rndis *r)
{
	return query(r, RNDIS_OID_MEDIA_STATUS, NULL, 0, on_first_link);
}

/* Some hosts begin with another filter than 0. */
static void on_first_filter(struct rndis *r, const struct rndis_control *c)
{
	(void)c;
	next_step(r);
}

static int clear_filter(struct rndis *r)
{
	return set(r, RNDIS_OID_FILTER, "\0\0\0\0", 4, on_first_filter);
}

static int (*const steps[])(struct rndis *r) = {
	initialize, clear_filter, ask_mtu, ask_mac, ask_offloads, set_offloads,
	ask_speed, ask_first_link,
};

enum { N_STEPS = sizeof(steps) / sizeof(steps[0]) };

static void next_step(struct rndis *r)
{
	r->step++;
	if (r->step < N_STEPS)
		return;			/* advance() takes it up */
	r->up = true;
	r->ops.up(r->arg, &r->nic);
}

/* Afterwards ------------------------------------------------------------- */

static void on_filter_set(struct rndis *r, const struct rndis_control *c)
{
	if (c->status != RNDIS_S_OK)
		fail(r, "the host refuses the packet filter");
}

static void on_link_state(struct rndis *r, const struct rndis_control *c)
{
	if (c->status == RNDIS_S_OK)	/* or else what we know stays */
		r->nic.link_up = number(c, 0) == 0;
	r->ops.link(r->arg, r->nic.link_up);
}

static void send_filter(struct rndis *r)
{
	uint8_t le[4];
	struct wr w = wr_of(le, sizeof(le));

	wr_le32(&w, r->filter);
	if (set(r, RNDIS_OID_FILTER, le, sizeof(le), on_filter_set) == 0)
		r->want_filter = false;
}

static void send_link_query(struct rndis *r)
{
	if (query(r, RNDIS_OID_MEDIA_STATUS, NULL, 0, on_link_state) == 0)
		r->want_link = false;
}

/* Nothing is outstanding: what is next? */
static void advance(struct rndis *r)
{
	if (!r->running || r->rid)
		return;
	if (!r->up)
		steps[r->step](r);
	else if (r->want_filter)
		send_filter(r);
	else if (r->want_link)
		send_link_query(r);
}

void rndis_set_filter(struct rndis *r, uint32_t filter)
{
	if (!r->up)
		return;
	r->filter = filter;
	r->want_filter = true;
	advance(r);
}

void rndis_query_link(struct rndis *r)
{
	if (!r->up)
		return;
	r->want_link = true;
	advance(r);
}

/* What the host says ----------------------------------------------------- */

static void on_answer(struct rndis *r, const struct rndis_control *c)
{
	void (*answered)(struct rndis *r, const struct rndis_control *c) =
		r->answered;

	if (!r->rid || c->rid != r->rid || c->type != r->expect) {
		r->bad++;		/* late, or to nothing we asked */
		return;
	}
	r->rid = 0;
	loop_timer_cancel(&r->timeout);
	answered(r, c);
	advance(r);
}

static void on_link(struct rndis *r, bool up)
{
	r->nic.link_up = up;
	if (r->up)
		r->ops.link(r->arg, up);
}

static void on_indication(struct rndis *r, const struct rndis_control *c)
{
	struct rd d = rd_of(c->data, c->len);

	switch (c->status) {
	case RNDIS_S_MEDIA_CONNECT:
		on_link(r, true);
		break;
	case RNDIS_S_MEDIA_DISCONNECT:
		on_link(r, false);
		break;
	case RNDIS_S_LINK_SPEED:
		if (c->len >= 4)
			r->nic.speed_bps = (uint64_t)rd_le32(&d) * 100;
		break;
	case RNDIS_S_NETWORK_CHANGE:
		if (r->up)
			r->ops.network_change(r->arg);
		break;
	}
}

/* Not worth a second try: a host that asks whether we live asks again. */
static void answer_keepalive(struct rndis *r, uint32_t rid)
{
	uint8_t msg[16];
	struct wr w = wr_of(msg, sizeof(msg));

	wr_le32(&w, RNDIS_KEEPALIVE | RNDIS_COMPLETE);
	wr_le32(&w, sizeof(msg));
	wr_le32(&w, rid);
	wr_le32(&w, RNDIS_S_OK);
	r->ops.send(r->arg, msg, sizeof(msg));
}

void rndis_message(struct rndis *r, const void *msg, size_t len)
{
	struct rndis_control c;

	if (!r->running)
		return;
	if (rndis_get_control(&c, msg, len) < 0)
		r->bad++;
	else if (c.type == RNDIS_INDICATE)
		on_indication(r, &c);
	else if (c.type == RNDIS_KEEPALIVE)
		answer_keepalive(r, c.rid);
	else
		on_answer(r, &c);
}

void rndis_writable(struct rndis *r)
{
	advance(r);
}

/* Life ------------------------------------------------------------------- */

struct rndis *rndis_new(struct loop *l, unsigned timeout_ms,
			const struct rndis_ops *ops, void *arg)
{
	struct rndis *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->loop = l;
	r->timeout_ms = timeout_ms;
	r->ops = *ops;
	r->arg = arg;
	loop_timer_init(&r->timeout, l, on_timeout, r);
	return r;
}

void rndis_free(struct rndis *r)
{
	if (!r)
		return;
	rndis_stop(r, false);
	free(r);
}

void rndis_start(struct rndis *r)
{
	rndis_stop(r, false);
	r->running = true;
	r->nic = (struct rndis_nic){ .mtu = ETHER_MTU };
	advance(r);
}

void rndis_stop(struct rndis *r, bool orderly)
{
	uint8_t msg[RNDIS_SHORT_SIZE];

	if (orderly && r->running &&
	    rndis_put_halt(msg, sizeof(msg), next_rid(r)) > 0)
		r->ops.send(r->arg, msg, sizeof(msg));
	loop_timer_cancel(&r->timeout);
	r->running = r->up = r->want_filter = r->want_link = false;
	r->rid = 0;
	r->step = 0;
}

const struct rndis_nic *rndis_nic_get(const struct rndis *r)
{
	return r->up ? &r->nic : NULL;
}

uint64_t rndis_bad(const struct rndis *r)
{
	return r->bad;
}
