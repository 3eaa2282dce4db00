/* hn/offload.c - see offload.h. */
#include "hn/offload.h"

#include <errno.h>
#include <string.h>

#include "base/rd.h"
#include "base/wr.h"
#include "hn/frame.h"

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

/* To the host -------------------------------------------------------------- */

static void pull_vlan(struct rndis_meta *m, uint8_t **frame, size_t *len,
		      struct vnet_hdr *h)
{
	uint8_t *f = *frame;

	if (*len < FRAME_ETHER + FRAME_VLAN_TAG ||
	    frame_be16(f + FRAME_TYPE_AT) != FRAME_VLAN)
		return;
	m->has_vlan = true;
	m->vlan = frame_be16(f + 14);
	memmove(f + FRAME_VLAN_TAG, f, 12);
	*frame += FRAME_VLAN_TAG;
	*len -= FRAME_VLAN_TAG;
	if (h->csum_start >= FRAME_VLAN_TAG)
		h->csum_start = (uint16_t)(h->csum_start - FRAME_VLAN_TAG);
}

/* "Sum from start on, the result goes to offset": for what is no TCP or UDP
 * that we can see, or without the host's help. */
static int sum_here(uint8_t *f, size_t len, const struct vnet_hdr *h)
{
	size_t at = (size_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start >= len || at + 2 > len)
		return -EINVAL;
	sum = (uint16_t)~frame_fold(frame_add(0, f + h->csum_start,
					      len - h->csum_start));
	frame_put_be16(f + at, sum ? sum : 0xffff);
	return 0;
}

static bool host_can_sum(const struct frame_layers *y, const struct vnet_hdr *h)
{
	return y->proto && y->l4 == h->csum_start &&
	       y->l4 + h->csum_offset == frame_sum_at(y) &&
	       y->l4 <= RNDIS_TX_L4_MAX;
}

static int ask_for_sum(struct rndis_meta *m, uint8_t *f, size_t len,
		       const struct vnet_hdr *h, bool tx_checksum)
{
	struct frame_layers y;

	if (!tx_checksum || frame_layers(&y, f, len, FRAME_TYPE_AT) < 0 ||
	    !host_can_sum(&y, h))
		return sum_here(f, len, h);
	m->has_checksum = true;
	m->checksum = (y.ipv6 ? RNDIS_TX_IPV6 : RNDIS_TX_IPV4) |
		      (y.proto == FRAME_TCP ? RNDIS_TX_TCP : RNDIS_TX_UDP) |
		      (uint32_t)y.l4 << RNDIS_TX_L4_SHIFT;
	return 0;
}

/* The host fills in lengths and sums of each segment: what depends on the
 * length is zero in the frame it gets. */
static int ask_for_segments(struct rndis_meta *m, uint8_t *f, size_t len,
			    const struct vnet_hdr *h)
{
	uint8_t type = h->gso_type & (uint8_t)~VNET_GSO_ECN;
	struct frame_layers y;

	if (frame_layers(&y, f, len, FRAME_TYPE_AT) < 0)
		return -EINVAL;
	if (y.proto != FRAME_TCP ||
	    type != (y.ipv6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4))
		return -EOPNOTSUPP;
	if (rndis_lso(&m->lso, h->gso_size, (uint32_t)y.l4, y.ipv6) < 0)
		return -EINVAL;
	m->has_lso = true;
	if (y.ipv6) {
		frame_put_be16(f + y.ip + 4, 0);
	} else {
		frame_put_be16(f + y.ip + 2, 0);
		frame_put_be16(f + y.ip + 10, 0);
	}
	frame_put_be16(f + frame_sum_at(&y), frame_fold(frame_pseudo(&y, f, 0)));
	return 0;
}

int offload_to_host(struct rndis_meta *m, uint8_t **frame, size_t *len,
		    const struct vnet_hdr *h, bool tx_checksum)
{
	struct vnet_hdr v = *h;

	*m = (struct rndis_meta){ 0 };
	if (*len < FRAME_ETHER)
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

bool offload_verified(const struct rndis_meta *m)
{
	const uint32_t good = RNDIS_RX_TCP_OK | RNDIS_RX_UDP_OK;
	const uint32_t bad = RNDIS_RX_TCP_BAD | RNDIS_RX_UDP_BAD |
			     RNDIS_RX_IP_BAD;

	return m->has_checksum && !(m->checksum & bad) && m->checksum & good;
}

void offload_to_guest(struct vnet_hdr *h, uint8_t *frame, size_t len,
		      const struct rndis_meta *m)
{
	struct frame_layers y;

	*h = (struct vnet_hdr){ 0 };
	if (!offload_verified(m))
		return;			/* the stack looks for itself */
	if (frame_layers(&y, frame, len, FRAME_TYPE_AT) < 0 || !y.proto)
		return;
	if (m->checksum & RNDIS_RX_TCP_VALUE_INVALID)
		frame_make_sum(&y, frame);
	if (m->checksum & RNDIS_RX_IP_VALUE_INVALID && !y.ipv6)
		frame_make_ip_sum(&y, frame);
	h->flags = VNET_F_DATA_VALID;
}

uint8_t *offload_push_vlan(uint8_t *frame, uint16_t tci)
{
	uint8_t *f = frame - FRAME_VLAN_TAG;

	memmove(f, frame, 12);
	frame_put_be16(f + 12, FRAME_VLAN);
	frame_put_be16(f + 14, tci);
	return f;
}
