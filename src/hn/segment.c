/* hn/segment.c - each piece has all the headers of the whole; then what
 * differs is set: lengths, the IPv4 identification, the sequence number, and
 * the flags that belong to the first (CWR) or the last (FIN, PSH) alone.
 *
 * Source: RFC 9293 for TCP's fields, RFC 3168 for CWR, RFC 6864 for the
 * identification, which counts segments and not pieces. */
#include "hn/segment.h"

#include <errno.h>
#include <string.h>

enum {
	IPV4_LEN = 2, IPV4_ID = 4, IPV6_LEN = 4, IPV6_HDR = 40,
	SEQ = 4, FLAGS = 13, SUM = 16,
	FIN = 0x01, PSH = 0x08, CWR = 0x80,
};

static int check_type(const struct frame_layers *y, const struct vnet_hdr *h)
{
	uint8_t type = h->gso_type & (uint8_t)~VNET_GSO_ECN;

	if (y->proto != FRAME_TCP ||
	    type != (y->ipv6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4))
		return -EOPNOTSUPP;
	return h->gso_size ? 0 : -EINVAL;
}

int segment_begin(struct segment *s, const uint8_t *frame, size_t len,
		  const struct vnet_hdr *h, size_t max, bool gso)
{
	size_t at = FRAME_TYPE_AT, tcp;
	int err;

	if (len >= FRAME_ETHER + FRAME_VLAN_TAG &&
	    frame_be16(frame + at) == FRAME_VLAN)
		at += FRAME_VLAN_TAG;
	*s = (struct segment){ .frame = frame, .h = *h, .mss = h->gso_size };
	if (frame_layers(&s->y, frame, len, at) < 0)
		return -EINVAL;
	err = check_type(&s->y, h);
	if (err)
		return err;
	tcp = frame_tcp_len(&s->y, frame);
	s->head = s->y.l4 + tcp;
	s->payload = s->y.end - s->head;
	if (!tcp || !s->payload)
		return -EINVAL;
	if (max < s->head + s->mss)
		return -EMSGSIZE;
	s->step = gso ? (max - s->head) / s->mss * s->mss : s->mss;
	return 0;
}

size_t segment_count(const struct segment *s)
{
	return (s->payload + s->step - 1) / s->step;
}

static void set_ip(const struct segment *s, uint8_t *f, size_t len)
{
	uint8_t *ip = f + s->y.ip;
	uint16_t id;

	if (s->y.ipv6) {
		frame_put_be16(ip + IPV6_LEN,
			       (uint16_t)(len - s->y.ip - IPV6_HDR));
		return;
	}
	id = (uint16_t)(frame_be16(ip + IPV4_ID) + s->done / s->mss);
	frame_put_be16(ip + IPV4_LEN, (uint16_t)(len - s->y.ip));
	frame_put_be16(ip + IPV4_ID, id);
	frame_make_ip_sum(&s->y, f);
}

/* The sum's field holds the pseudo header's sum: whoever makes the sum adds
 * the rest. */
static void set_tcp(const struct segment *s, uint8_t *f, size_t len, size_t n)
{
	uint8_t *tcp = f + s->y.l4;
	uint32_t seq = frame_be32(tcp + SEQ);

	frame_put_be32(tcp + SEQ, seq + (uint32_t)s->done);
	if (s->done)
		tcp[FLAGS] &= (uint8_t)~CWR;
	if (s->done + n < s->payload)
		tcp[FLAGS] &= (uint8_t)~(FIN | PSH);
	frame_put_be16(tcp + SUM,
		       frame_fold(frame_pseudo(&s->y, f, len - s->y.l4)));
}

static void set_vnet(const struct segment *s, struct vnet_hdr *h, size_t n,
		     bool cwr)
{
	*h = (struct vnet_hdr){
		.flags = VNET_F_NEEDS_CSUM,
		.csum_start = (uint16_t)s->y.l4, .csum_offset = SUM,
	};
	if (n <= s->mss)
		return;
	h->gso_type = s->y.ipv6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4;
	h->gso_type |= cwr ? VNET_GSO_ECN : 0;
	h->gso_size = (uint16_t)s->mss;
	h->hdr_len = (uint16_t)s->head;
}

size_t segment_next(struct segment *s, uint8_t *out, struct vnet_hdr *h)
{
	size_t left = s->payload - s->done;
	size_t n = left < s->step ? left : s->step, len = s->head + n;

	if (!n)
		return 0;
	memcpy(out, s->frame, s->head);
	memcpy(out + s->head, s->frame + s->head + s->done, n);
	set_ip(s, out, len);
	set_tcp(s, out, len, n);
	set_vnet(s, h, n, out[s->y.l4 + FLAGS] & CWR);
	s->done += n;
	return len;
}
