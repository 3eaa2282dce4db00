/* hn/segment.h - cut a large TCP frame into smaller ones, as a NIC would.
 *
 *   one frame of n * mss payload bytes  ->  pieces of k * mss
 *
 * With k > 1 a piece is itself a frame for somebody else to cut (the host's
 * NIC); with k = 1 it is what goes over the wire. No state but struct segment,
 * no allocation, no system call.
 */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "hn/frame.h"
#include "hn/offload.h"

struct segment {
	const uint8_t *frame;		/* the caller's, unchanged */
	struct frame_layers y;
	struct vnet_hdr h;
	size_t head;			/* bytes of headers, in front of each */
	size_t payload, mss;
	size_t step;			/* payload of a piece */
	size_t done;			/* payload that was cut off */
};

/* h: the frame's virtio-net header, which says segments of TCP. max: bytes a
 * piece may have. gso: pieces may hold several segments each. The frame may
 * have a VLAN tag, and must stay until the last piece.
 * 0; -EINVAL frame and header do not fit together; -EOPNOTSUPP not TCP;
 * -EMSGSIZE one segment is more than max. */
int segment_begin(struct segment *s, const uint8_t *frame, size_t len,
		  const struct vnet_hdr *h, size_t max, bool gso);

/* The next piece, at most max bytes, and its virtio-net header: sums are left
 * to be made, as the header says. Its length; 0 there is no more. */
size_t segment_next(struct segment *s, uint8_t *out, struct vnet_hdr *h);

/* How many pieces it makes. */
size_t segment_count(const struct segment *s);

#endif
