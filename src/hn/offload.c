/* hn/offload.c - see offload.h. Internet checksums are RFC 1071's; the sum of
 * a pseudo header is kept as the complement's complement, folded to 16 bits. */
#include "hn/offload.h"

#include <errno.h>
#include <string.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	ETHER = 14, VLAN_TAG = 4,
	TYPE_VLAN = 0x8100, TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd,
	IPV4_LEAST = 20, IPV6_HDR = 40,
	PROTO_TCP = 6, PROTO_UDP = 17,
	TCP_SUM_AT = 16, UDP_SUM_AT = 6,
	TCP_LEAST = 20, UDP_HDR = 8,
};

void vnet_get(struct vnet_hdr *h, const uint8_t raw[OFFLOAD_VNET_HDR])
{
	struct rd r = rd_of(raw, OFFLOAD_VNET_HDR);

	h->flags = rd_u8(&r);
	h->gso_type = rd_u8(&r);
	h->hdr_len = rd_le16(&r);
	h->gso_size = rd_le16(&r);
	h->csum_start = rd_le16(&r);
	h->csum_offset = rd_le16(&r);
}

void vnet_put(uint8_t raw[OFFLOAD_VNET_HDR], const struct vnet_hdr *h)
{
	struct wr w = wr_of(raw, OFFLOAD_VNET_HDR);

	wr_u8(&w, h->flags);
	wr_u8(&w, h->gso_type);
	wr_le16(&w, h->hdr_len);
	wr_le16(&w, h->gso_size);
	wr_le16(&w, h->csum_start);
	wr_le16(&w, h->csum_offset);
}

/* Frames: network byte order ---------------------------------------------- */

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t add(uint32_t sum, const uint8_t *p, size_t len)
{
	for (; len > 1; p += 2, len -= 2)
		sum += be16(p);
	return len ? sum + (uint32_t)(p[0] << 8) : sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Where the layers of a frame begin. */
struct layers {
	bool ipv6;
	uint8_t proto;			/* 0: neither TCP nor UDP */
	size_t ip, l4;			/* offsets */
	size_t end;			/* of the IP packet in the frame */
};

static int find_ipv4(struct layers *y, const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + y->ip;
	size_t room = len - y->ip, hdr, total;

	if (room < IPV4_LEAST || ip[0] >> 4 != 4)
		return -EINVAL;
	hdr = (size_t)(ip[0] & 15) * 4;
	total = be16(ip + 2);
	if (hdr < IPV4_LEAST || hdr > room)
		return -EINVAL;
	y->proto = be16(ip + 6) & 0x3fff ? 0 : ip[9];	/* whole, no fragment */
	y->l4 = y->ip + hdr;
	y->end = total >= hdr && total <= room ? y->ip + total : len;
	return 0;
}

/* Extension headers are passed over, but for those that hide what follows. */
static int find_ipv6(struct layers *y, const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + y->ip;
	size_t room = len - y->ip, payload, at = IPV6_HDR;
	uint8_t next;

	if (room < IPV6_HDR || ip[0] >> 4 != 6)
		return -EINVAL;
	payload = be16(ip + 4);
	y->end = payload && IPV6_HDR + payload <= room ?
		 y->ip + IPV6_HDR + payload : len;
	next = ip[6];
	while (next == 0 || next == 43 || next == 60) {
		if (at + 8 > room)
			return -EINVAL;
		next = ip[at];
		at += ((size_t)ip[at + 1] + 1) * 8;
	}
	if (at > room)
		return -EINVAL;
	y->proto = next;
	y->l4 = y->ip + at;
	return 0;
}

static int find_layers(struct layers *y, const uint8_t *f, size_t len)
{
	size_t l4_least;
	int err;

	*y = (struct layers){ .ip = ETHER };
	if (len < ETHER)
		return -EINVAL;
	y->ipv6 = be16(f + 12) == TYPE_IPV6;
	if (!y->ipv6 && be16(f + 12) != TYPE_IPV4)
		return -EINVAL;
	err = y->ipv6 ? find_ipv6(y, f, len) : find_ipv4(y, f, len);
	if (err)
		return err;
	if (y->proto != PROTO_TCP && y->proto != PROTO_UDP)
		y->proto = 0;
	l4_least = y->proto == PROTO_TCP ? TCP_LEAST : UDP_HDR;
	if (y->proto && y->l4 + l4_least > y->end)
		return -EINVAL;
	return 0;
}

static size_t sum_at(const struct layers *y)
{
	return y->l4 + (y->proto == PROTO_TCP ? TCP_SUM_AT : UDP_SUM_AT);
}

/* The pseudo header's sum; len 0 leaves the length out, as segmentation
 * wants it. */
static uint32_t pseudo(const struct layers *y, const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + y->ip;

	return (y->ipv6 ? add(0, ip + 8, 32) : add(0, ip + 12, 8)) + y->proto +
	       (uint32_t)(len >> 16) + (uint32_t)(len & 0xffff);
}

/* Make a frame's TCP or UDP sum. */
static void make_sum(const struct layers *y, uint8_t *f)
{
	size_t n = y->end - y->l4;
	uint16_t sum;

	put_be16(f + sum_at(y), 0);
	sum = (uint16_t)~fold(add(pseudo(y, f, n), f + y->l4, n));
	/* UDP calls a missing sum zero. */
	put_be16(f + sum_at(y), !sum && y->proto == PROTO_UDP ? 0xffff : sum);
}

static void make_ip_sum(const struct layers *y, uint8_t *f)
{
	uint8_t *ip = f + y->ip;

	put_be16(ip + 10, 0);
	put_be16(ip + 10, (uint16_t)~fold(add(0, ip, y->l4 - y->ip)));
}

/* To the host -------------------------------------------------------------- */

static void pull_vlan(struct rndis_meta *m, uint8_t **frame, size_t *len,
		      struct vnet_hdr *h)
{
	uint8_t *f = *frame;

	if (*len < ETHER + VLAN_TAG || be16(f + 12) != TYPE_VLAN)
		return;
	m->has_vlan = true;
	m->vlan = be16(f + 14);
	memmove(f + VLAN_TAG, f, 12);
	*frame += VLAN_TAG;
	*len -= VLAN_TAG;
	if (h->csum_start >= VLAN_TAG)
		h->csum_start = (uint16_t)(h->csum_start - VLAN_TAG);
}

/* "Sum from start on, the result goes to offset": for what is no TCP or UDP
 * that we can see, or without the host's help. */
static int sum_here(uint8_t *f, size_t len, const struct vnet_hdr *h)
{
	size_t at = (size_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start >= len || at + 2 > len)
		return -EINVAL;
	sum = (uint16_t)~fold(add(0, f + h->csum_start, len - h->csum_start));
	put_be16(f + at, sum ? sum : 0xffff);
	return 0;
}

static bool host_can_sum(const struct layers *y, const struct vnet_hdr *h)
{
	return y->proto && y->l4 == h->csum_start &&
	       y->l4 + h->csum_offset == sum_at(y) && y->l4 <= RNDIS_TX_L4_MAX;
}

static int ask_for_sum(struct rndis_meta *m, uint8_t *f, size_t len,
		       const struct vnet_hdr *h, bool tx_checksum)
{
	struct layers y;

	if (!tx_checksum || find_layers(&y, f, len) < 0 ||
	    !host_can_sum(&y, h))
		return sum_here(f, len, h);
	m->has_checksum = true;
	m->checksum = (y.ipv6 ? RNDIS_TX_IPV6 : RNDIS_TX_IPV4) |
		      (y.proto == PROTO_TCP ? RNDIS_TX_TCP : RNDIS_TX_UDP) |
		      (uint32_t)y.l4 << RNDIS_TX_L4_SHIFT;
	return 0;
}

/* The host fills in lengths and sums of each segment: what depends on the
 * length is zero in the frame it gets. */
static int ask_for_segments(struct rndis_meta *m, uint8_t *f, size_t len,
			    const struct vnet_hdr *h)
{
	uint8_t type = h->gso_type & (uint8_t)~VNET_GSO_ECN;
	struct layers y;

	if (find_layers(&y, f, len) < 0)
		return -EINVAL;
	if (y.proto != PROTO_TCP ||
	    type != (y.ipv6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4))
		return -EOPNOTSUPP;
	if (rndis_lso(&m->lso, h->gso_size, (uint32_t)y.l4, y.ipv6) < 0)
		return -EINVAL;
	m->has_lso = true;
	if (y.ipv6) {
		put_be16(f + y.ip + 4, 0);
	} else {
		put_be16(f + y.ip + 2, 0);
		put_be16(f + y.ip + 10, 0);
	}
	put_be16(f + sum_at(&y), fold(pseudo(&y, f, 0)));
	return 0;
}

int offload_to_host(struct rndis_meta *m, uint8_t **frame, size_t *len,
		    const struct vnet_hdr *h, bool tx_checksum)
{
	struct vnet_hdr v = *h;

	*m = (struct rndis_meta){ 0 };
	if (*len < ETHER)
		return -EINVAL;
	pull_vlan(m, frame, len, &v);
	if (v.gso_type != VNET_GSO_NONE)
		return tx_checksum ? ask_for_segments(m, *frame, *len, &v) :
				     -EOPNOTSUPP;
	if (v.flags & VNET_F_NEEDS_CSUM)
		return ask_for_sum(m, *frame, *len, &v, tx_checksum);
	return 0;
}

/* To the guest ------------------------------------------------------------- */

void offload_to_guest(struct vnet_hdr *h, uint8_t *frame, size_t len,
		      const struct rndis_meta *m)
{
	const uint32_t good = RNDIS_RX_TCP_OK | RNDIS_RX_UDP_OK;
	const uint32_t bad = RNDIS_RX_TCP_BAD | RNDIS_RX_UDP_BAD |
			     RNDIS_RX_IP_BAD;
	struct layers y;

	*h = (struct vnet_hdr){ 0 };
	if (!m->has_checksum || m->checksum & bad || !(m->checksum & good))
		return;			/* the stack looks for itself */
	if (find_layers(&y, frame, len) < 0 || !y.proto)
		return;
	/* Some hosts call UDP "TCP good": either word is taken for both. */
	if (m->checksum & RNDIS_RX_TCP_VALUE_INVALID)
		make_sum(&y, frame);
	if (m->checksum & RNDIS_RX_IP_VALUE_INVALID && !y.ipv6)
		make_ip_sum(&y, frame);
	h->flags = VNET_F_DATA_VALID;
}

uint8_t *offload_push_vlan(uint8_t *frame, uint16_t tci)
{
	uint8_t *f = frame - VLAN_TAG;

	memmove(f, frame, 12);
	put_be16(f + 12, TYPE_VLAN);
	put_be16(f + 14, tci);
	return f;
}
