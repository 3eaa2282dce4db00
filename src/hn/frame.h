/* hn/frame.h - an Ethernet frame: where its layers begin, and its Internet
 * checksums (RFC 1071). No state, no system call.
 *
 * Whoever wrote the frame may have lied about every length in it: the offsets
 * found lie inside the frame, or there are none.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_ETHER = 14, FRAME_TYPE_AT = 12, FRAME_VLAN_TAG = 4,
	FRAME_VLAN = 0x8100, FRAME_IPV4 = 0x0800, FRAME_IPV6 = 0x86dd,
	FRAME_TCP = 6, FRAME_UDP = 17,
	FRAME_TCP_LEAST = 20,
	/* A whole IP packet behind a header with two VLAN tags. */
	FRAME_MAX = 65535 + FRAME_ETHER + 2 * FRAME_VLAN_TAG,
};

struct frame_layers {
	bool ipv6;
	uint8_t proto;			/* 0: neither TCP nor UDP */
	size_t ip, l4;			/* offsets in the frame */
	size_t end;			/* of the IP packet in the frame */
};

/* type_at: FRAME_TYPE_AT, or what lies as many tags behind it. A fragment has
 * no protocol. 0, or -EINVAL: no IP, or one that does not fit the frame. */
int frame_layers(struct frame_layers *y, const uint8_t *f, size_t len,
		 size_t type_at);

/* A TCP header's length, options included; 0 when it does not fit. */
size_t frame_tcp_len(const struct frame_layers *y, const uint8_t *f);

/* Where the TCP or UDP sum stands. */
size_t frame_sum_at(const struct frame_layers *y);
/* The pseudo header's sum, for len bytes of TCP or UDP; 0 leaves the length
 * out, as segmentation wants it. */
uint32_t frame_pseudo(const struct frame_layers *y, const uint8_t *f,
		      size_t len);
/* Make a frame's TCP or UDP sum; an IPv4 header's. */
void frame_make_sum(const struct frame_layers *y, uint8_t *f);
void frame_make_ip_sum(const struct frame_layers *y, uint8_t *f);

/* Bytes as they go over the wire, added to a sum; the last one alone counts as
 * the high half of a pair. Then the carries folded in. */
uint32_t frame_add(uint32_t sum, const uint8_t *p, size_t len);
uint16_t frame_fold(uint32_t sum);

static inline uint16_t frame_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t frame_be32(const uint8_t *p)
{
	return (uint32_t)frame_be16(p) << 16 | frame_be16(p + 2);
}

static inline void frame_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void frame_put_be32(uint8_t *p, uint32_t v)
{
	frame_put_be16(p, (uint16_t)(v >> 16));
	frame_put_be16(p + 2, (uint16_t)v);
}

#endif
