/* host/host_hn_rndis.c - RNDIS control: what a NIC is asked and told.
 *
 * Each object has a row in `oids`. A query writes its value; a set reads one.
 * What has no row, or not the half that is asked for, is not supported.
 *
 * Sources: OpenVMM netvsp (rndisprot.rs, lib.rs). */
#include "host/host_hn_priv.h"

#include <errno.h>
#include <stdlib.h>

enum {
	VALUE_MAX = 512,		/* bytes of an answer */
	ANSWER_HDR = 64,		/* more than any fixed part */
	MAX_MESSAGES = 8,
	ALIGN_LOG2 = 3,
	UNIT_BPS = 100,			/* of link speeds */
	LSO_MAX = 0xf53c, LSO_SEGMENTS = 2,
	OFFLOAD = 0xa7, OFFLOAD_REV1 = 112, OFFLOAD_REV3 = 156,
	ENCAP_802_3 = 2,
	SUMS_V4 = 1 | 4 | 0x10 | 0x40 | 0x100,	/* options, TCP, UDP, IP */
	SUMS_V6 = 1 | 4 | 0x10 | 0x40,
	LSO_V6_OPTIONS = 1 | 4,
	RSS_CAPS = 0x88, RSS_FLAGS = 1 | 0x100 | 0x200,
	RSS_ENTRIES = 128, RSS_KEY = 40, RSS_FIXED = 28, RSS_DISABLE = 0x10,
	OFFLOAD_UNCHANGED = 0, OFFLOAD_OFF = 1, OFFLOAD_BOTH = 4,
	LSO_ON = 2,
};
#define MAX_TRANSFER	0xefffffffu
#define BUFFER_SPACE	(256u << 10)
#define VENDOR		0x0000155du

void host_hn_rndis_reset(struct host_hn *n)
{
	n->initialized = false;
	n->filter = n->cfg.manners.first_filter;
	memcpy(n->mac, n->cfg.mac, sizeof(n->mac));
	memset(n->offload, OFFLOAD_OFF, sizeof(n->offload));
}

/* Out -------------------------------------------------------------------- */

/* Answers that a guest does not fetch are not kept without end. */
static void say(struct host_hn *n, const uint8_t *bytes, const struct wr *w)
{
	struct host_hn_answer **p = &n->answers, *a;

	if (w->bad || n->answers_len + w->len > HOST_HN_CONTROL_QUEUE) {
		host_hn_fail(n, "does not take the answers to its requests");
		return;
	}
	a = malloc(sizeof(*a) + w->len);
	if (!a)
		return;			/* as if it was lost */
	a->next = NULL;
	a->len = w->len;
	memcpy(a->bytes, bytes, w->len);
	while (*p)
		p = &(*p)->next;
	*p = a;
	n->answers_len += a->len;
	host_hn_pump(n);
}

void host_hn_indicate(struct host_hn *n, uint32_t status, const void *data,
		      size_t len)
{
	uint8_t bytes[VALUE_MAX + ANSWER_HDR];
	struct wr w = wr_of(bytes, sizeof(bytes));

	if (n->state != HOST_HN_UP)
		return;
	host_rndis_put_indicate(&w, status, data, len,
				n->cfg.manners.status_uncounted);
	say(n, bytes, &w);
}

static void indicate_u32(struct host_hn *n, uint32_t status, uint32_t value)
{
	uint8_t le[4];
	struct wr w = wr_of(le, sizeof(le));

	wr_le32(&w, value);
	host_hn_indicate(n, status, le, sizeof(le));
}

void host_hn_speed(struct host_hn *n, uint64_t bps)
{
	n->cfg.speed_bps = bps;
	indicate_u32(n, RNDIS_S_LINK_SPEED, (uint32_t)(bps / UNIT_BPS));
}

void host_hn_network_change(struct host_hn *n, uint32_t what)
{
	indicate_u32(n, RNDIS_S_NETWORK_CHANGE, what);
}

/* Objects ---------------------------------------------------------------- */

static void get_max_frame(struct host_hn *n, struct wr *w)
{
	wr_le32(w, n->frame_max - HOST_FRAME_HDR);
}

static void get_total_size(struct host_hn *n, struct wr *w)
{
	wr_le32(w, n->frame_max);
}

static void get_zero(struct host_hn *n, struct wr *w)
{
	(void)n;
	wr_le32(w, 0);
}

static void get_speed(struct host_hn *n, struct wr *w)
{
	wr_le32(w, (uint32_t)(n->cfg.speed_bps / UNIT_BPS));
}

static void get_buffer_space(struct host_hn *n, struct wr *w)
{
	(void)n;
	wr_le32(w, BUFFER_SPACE);
}

static void get_vendor(struct host_hn *n, struct wr *w)
{
	(void)n;
	wr_le32(w, VENDOR);
}

/* OpenVMM answers 0 whatever was set; so do we. */
static uint32_t set_filter(struct host_hn *n, const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	uint32_t filter = rd_le32(&r);

	if (r.bad)
		return RNDIS_S_INVALID_DATA;
	n->filter = filter;
	n->ops->filter(n->arg, filter);
	return RNDIS_S_OK;
}

static void get_media_status(struct host_hn *n, struct wr *w)
{
	n->told_link = n->link;
	wr_le32(w, !n->link);
}

static void get_max_send(struct host_hn *n, struct wr *w)
{
	(void)n;
	wr_le32(w, UINT32_MAX);
}

static uint32_t set_nothing(struct host_hn *n, const uint8_t *data, size_t len)
{
	(void)n;
	(void)data;
	(void)len;
	return RNDIS_S_OK;
}

static void get_rss_caps(struct host_hn *n, struct wr *w)
{
	(void)n;
	wr_u8(w, RSS_CAPS);
	wr_u8(w, 2);
	wr_le16(w, 18);
	wr_le32(w, RSS_FLAGS);
	wr_le32(w, 1);			/* message signalled interrupts */
	wr_le32(w, 1);			/* queues */
	wr_le16(w, RSS_ENTRIES);
}

/* There is one queue: what is set must make sense, and changes nothing. */
static uint32_t set_rss(struct host_hn *n, const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len);
	uint16_t flags, table, key;
	uint32_t table_at, key_at;

	(void)n;
	rd_skip(&r, 4);
	flags = rd_le16(&r);
	rd_skip(&r, 6);
	table = rd_le16(&r);
	rd_skip(&r, 2);
	table_at = rd_le32(&r);
	key = rd_le16(&r);
	rd_skip(&r, 2);
	key_at = rd_le32(&r);
	if (r.bad)
		return RNDIS_S_INVALID_DATA;
	if (flags & RSS_DISABLE)
		return RNDIS_S_OK;
	if (key != RSS_KEY || key_at > len || len - key_at < RSS_KEY ||
	    table % 4 || table_at > len || table > len - table_at)
		return RNDIS_S_INVALID_DATA;
	return RNDIS_S_OK;
}

static void get_max_speed(struct host_hn *n, struct wr *w)
{
	wr_le64(w, n->cfg.speed_bps);
	wr_le64(w, n->cfg.speed_bps);
}

static void get_link_state(struct host_hn *n, struct wr *w)
{
	wr_u8(w, 0x80);
	wr_u8(w, 1);
	wr_le16(w, 40);
	wr_le32(w, n->link ? 1 : 2);	/* connected, disconnected */
	wr_le32(w, 2);			/* full duplex */
	wr_le32(w, 0);
	get_max_speed(n, w);
	wr_le32(w, 1);			/* no pause frames */
	wr_le32(w, 0);
}

/* A fixed field of 255 UTF-16 units and their end. */
static void get_friendly_name(struct host_hn *n, struct wr *w)
{
	const char *name = n->cfg.name;

	for (unsigned i = 0; i < 256; i++) {
		wr_le16(w, i < 255 ? (uint8_t)*name : 0);
		name += *name != 0;
	}
}

static void get_permanent_mac(struct host_hn *n, struct wr *w)
{
	wr_bytes(w, n->cfg.mac, sizeof(n->cfg.mac));
}

static void get_mac(struct host_hn *n, struct wr *w)
{
	wr_bytes(w, n->mac, sizeof(n->mac));
}

static int hex(uint16_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Twelve UTF-16 hexadecimal digits. */
static uint32_t set_mac(struct host_hn *n, struct rd *value)
{
	uint8_t mac[HOST_FRAME_MAC];

	for (unsigned i = 0; i < sizeof(mac); i++) {
		int hi = hex(rd_le16(value)), lo = hex(rd_le16(value));

		if (hi < 0 || lo < 0)
			return RNDIS_S_INVALID_DATA;
		mac[i] = (uint8_t)(hi << 4 | lo);
	}
	memcpy(n->mac, mac, sizeof(mac));
	return RNDIS_S_OK;
}

static bool piece(struct rd *r, const uint8_t *data, size_t len, uint32_t at,
		  uint32_t n)
{
	if (at > len || n > len - at)
		return false;
	*r = rd_of(data + at, n);
	return true;
}

/* UTF-16 text that is just this. */
static bool is_text(struct rd *r, const char *text)
{
	for (; *text; text++) {
		if (rd_le16(r) != (uint8_t)*text)
			return false;
	}
	return !r->bad && (!r->left || rd_le16(r) == 0);
}

static uint32_t set_config(struct host_hn *n, const uint8_t *data, size_t len)
{
	struct rd r = rd_of(data, len), name, value;
	uint32_t name_at = rd_le32(&r), name_len = rd_le32(&r);
	uint32_t value_at, value_len;

	rd_skip(&r, 4);			/* the value's type */
	value_at = rd_le32(&r);
	value_len = rd_le32(&r);
	if (r.bad || !piece(&name, data, len, name_at, name_len) ||
	    !piece(&value, data, len, value_at, value_len))
		return RNDIS_S_INVALID_DATA;
	if (is_text(&name, "NetworkAddress"))
		return set_mac(n, &value);
	return RNDIS_S_NOT_SUPPORTED;
}

static void put_lso(struct wr *w, bool on, bool ipv6)
{
	wr_le32(w, on ? ENCAP_802_3 : 0);
	wr_le32(w, on ? LSO_MAX : 0);
	wr_le32(w, on ? LSO_SEGMENTS : 0);
	if (ipv6)
		wr_le32(w, on ? LSO_V6_OPTIONS : 0);
}

static void put_sums(struct wr *w, bool on, uint32_t what)
{
	for (unsigned i = 0; i < 2; i++) {	/* sent, received */
		wr_le32(w, on ? ENCAP_802_3 : 0);
		wr_le32(w, on ? what : 0);
	}
}

/* Revision 3; readers of revision 1 take its beginning. */
static void put_offload(struct wr *w, const bool on[4])
{
	wr_u8(w, OFFLOAD);
	wr_u8(w, 3);
	wr_le16(w, OFFLOAD_REV3);
	put_sums(w, on[0], SUMS_V4);
	put_sums(w, on[1], SUMS_V6);
	wr_zero(w, 16 + 28);		/* LSO version 1, IPsec */
	put_lso(w, on[2], false);
	put_lso(w, on[3], true);
	wr_zero(w, OFFLOAD_REV3 - 108);	/* flags, IPsec, RSC, encapsulation */
}

static void get_offload_caps(struct host_hn *n, struct wr *w)
{
	bool on = !n->cfg.manners.no_offloads;

	put_offload(w, (const bool[]){ on, on, on, on });
}

static void indicate_offload(struct host_hn *n)
{
	uint8_t o[OFFLOAD_REV3];
	struct wr w = wr_of(o, sizeof(o));
	const bool on[] = {
		n->offload[1] > OFFLOAD_OFF, n->offload[3] > OFFLOAD_OFF,
		n->offload[5] == LSO_ON, n->offload[6] == LSO_ON,
	};

	put_offload(&w, on);
	host_hn_indicate(n, RNDIS_S_OFFLOAD_CONFIG, o, sizeof(o));
}

static void keep(uint8_t *now, uint8_t asked)
{
	if (asked != OFFLOAD_UNCHANGED)
		*now = asked;
}

static uint32_t set_offload(struct host_hn *n, const uint8_t *data, size_t len)
{
	if (len < 20)
		return RNDIS_S_INVALID_DATA;
	if (n->cfg.manners.no_offloads) {
		for (unsigned i = 0; i < 5; i++) {
			if (data[4 + i] > OFFLOAD_OFF)
				return RNDIS_S_NOT_SUPPORTED;
		}
	}
	for (unsigned i = 0; i < 5; i++) {
		if (data[4 + i] > OFFLOAD_BOTH)
			return RNDIS_S_INVALID_DATA;
		keep(&n->offload[i], data[4 + i]);
	}
	keep(&n->offload[5], data[11]);
	keep(&n->offload[6], data[12]);
	indicate_offload(n);
	return RNDIS_S_OK;
}

static const struct oid {
	uint32_t oid;
	void (*get)(struct host_hn *n, struct wr *w);
	uint32_t (*set)(struct host_hn *n, const uint8_t *data, size_t len);
} oids[] = {
	{ RNDIS_OID_HARDWARE_STATUS, get_zero, NULL },
	{ RNDIS_OID_MEDIA_SUPPORTED, get_zero, NULL },
	{ RNDIS_OID_MEDIA_IN_USE, get_zero, NULL },
	{ RNDIS_OID_MAX_FRAME, get_max_frame, NULL },
	{ RNDIS_OID_LINK_SPEED, get_speed, NULL },
	{ RNDIS_OID_TX_SPACE, get_buffer_space, NULL },
	{ RNDIS_OID_VENDOR_ID, get_vendor, NULL },
	{ RNDIS_OID_FILTER, get_zero, set_filter },
	{ RNDIS_OID_TOTAL_SIZE, get_total_size, NULL },
	{ RNDIS_OID_MEDIA_STATUS, get_media_status, NULL },
	{ RNDIS_OID_MAX_SEND, get_max_send, NULL },
	{ RNDIS_OID_LAYER_ADDRESSES, NULL, set_nothing },
	{ RNDIS_OID_RSS_CAPS, get_rss_caps, NULL },
	{ RNDIS_OID_RSS, NULL, set_rss },
	{ RNDIS_OID_MAX_LINK_SPEED, get_max_speed, NULL },
	{ RNDIS_OID_LINK_STATE, get_link_state, NULL },
	{ RNDIS_OID_CONFIG, NULL, set_config },
	{ RNDIS_OID_FRIENDLY_NAME, get_friendly_name, NULL },
	{ RNDIS_OID_MAC_PERMANENT, get_permanent_mac, NULL },
	{ RNDIS_OID_MAC, get_mac, NULL },
	{ RNDIS_OID_MULTICAST_LIST, NULL, set_nothing },
	{ RNDIS_OID_MULTICAST_MAX, get_zero, NULL },
	{ RNDIS_OID_OFFLOAD, NULL, set_offload },
	{ RNDIS_OID_OFFLOAD_CAPS, get_offload_caps, NULL },
};

enum { N_OIDS = sizeof(oids) / sizeof(oids[0]) };

static const struct oid *find_oid(uint32_t oid)
{
	for (unsigned i = 0; i < N_OIDS; i++) {
		if (oids[i].oid == oid)
			return &oids[i];
	}
	return NULL;
}

static void put_supported(struct wr *w)
{
	for (unsigned i = 0; i < N_OIDS; i++)
		wr_le32(w, oids[i].oid);
}

/* Requests --------------------------------------------------------------- */

static void on_initialize(struct host_hn *n, const struct host_rndis_msg *m)
{
	const struct host_hn_manners *how = &n->cfg.manners;
	const struct host_rndis_limits limits = {
		.max_messages = how->max_messages ? how->max_messages :
						    MAX_MESSAGES,
		.max_transfer = MAX_TRANSFER,
		.align_log2 = how->align_log2_plus_1 ?
			      how->align_log2_plus_1 - 1 : ALIGN_LOG2,
	};
	uint8_t bytes[ANSWER_HDR];
	struct wr w = wr_of(bytes, sizeof(bytes));

	if (n->initialized) {
		host_hn_fail(n, "initialised RNDIS twice");
		return;
	}
	n->initialized = true;
	host_rndis_put_initialize(&w, m->rid, RNDIS_S_OK, &limits);
	say(n, bytes, &w);
	host_hn_up(n);
}

static void on_query(struct host_hn *n, const struct host_rndis_msg *m)
{
	uint8_t value[VALUE_MAX], bytes[VALUE_MAX + ANSWER_HDR];
	struct wr v = wr_of(value, sizeof(value));
	struct wr w = wr_of(bytes, sizeof(bytes));
	const struct oid *o = find_oid(m->oid);
	uint32_t status = RNDIS_S_OK;

	if (m->oid == RNDIS_OID_SUPPORTED)
		put_supported(&v);
	else if (o && o->get)
		o->get(n, &v);
	else
		status = RNDIS_S_NOT_SUPPORTED;
	host_rndis_put_query(&w, m->rid, status, value, v.len);
	say(n, bytes, &w);
}

static void on_set(struct host_hn *n, const struct host_rndis_msg *m)
{
	uint8_t bytes[ANSWER_HDR];
	struct wr w = wr_of(bytes, sizeof(bytes));
	const struct oid *o = find_oid(m->oid);
	uint32_t status = RNDIS_S_NOT_SUPPORTED;

	if (o && o->set)
		status = o->set(n, m->data, m->len);
	host_rndis_put_done(&w, RNDIS_SET, m->rid, status);
	say(n, bytes, &w);
}

static void on_keepalive(struct host_hn *n, const struct host_rndis_msg *m)
{
	uint8_t bytes[ANSWER_HDR];
	struct wr w = wr_of(bytes, sizeof(bytes));

	host_rndis_put_done(&w, RNDIS_KEEPALIVE, m->rid, RNDIS_S_OK);
	say(n, bytes, &w);
}

static void dispatch(struct host_hn *n, const struct host_rndis_msg *m)
{
	switch (m->type) {
	case RNDIS_INITIALIZE:
		on_initialize(n, m);
		break;
	case RNDIS_QUERY:
		on_query(n, m);
		break;
	case RNDIS_SET:
		on_set(n, m);
		break;
	case RNDIS_KEEPALIVE:
		on_keepalive(n, m);
		break;
	case RNDIS_HALT:
		host_hn_halt(n);
		break;
	}
}

void host_hn_control(struct host_hn *n, const uint8_t *msg, size_t len)
{
	struct host_rndis_msg m;
	const char *why = NULL;

	n->stats.requests++;
	if (host_rndis_get(&m, msg, len, &why) < 0)
		host_hn_fail(n, why);
	else if (n->state == HOST_HN_READY && m.type != RNDIS_INITIALIZE)
		host_hn_fail(n, "used RNDIS before initialising it");
	else
		dispatch(n, &m);
}
