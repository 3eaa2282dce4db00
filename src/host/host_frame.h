/* host/host_frame.h - an Ethernet frame inside the host, and the work that its
 * sender left to the NIC: a sum to be completed, a segmentation to be made.
 *
 *   PARTIAL  the TCP or UDP sum holds the pseudo header's, as the stack leaves
 *            it; somebody completes it before the frame leaves the machine
 *   mss      more than one segment's payload: cut into pieces of that size
 *            before it leaves; such a frame is PARTIAL
 *
 * A VLAN tag is in the frame, where it is on the wire. Frames come from guests
 * and networks: what does not parse is refused, never trusted.
 */
#ifndef HOST_FRAME_H
#define HOST_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HOST_FRAME_MAC = 6,
	HOST_FRAME_HDR = 14,
	HOST_FRAME_TAG = 4,		/* bytes of a VLAN tag */
	HOST_FRAME_MAX = 65535 + 18,	/* bytes, before segmentation */
};

struct host_frame {
	uint8_t *data;			/* no FCS */
	size_t len;
	bool partial;			/* the sum at start + offset */
	bool verified;			/* somebody found the sums right */
	uint16_t sum_start, sum_offset;	/* inside the frame: checked by whoever
					 * sets partial */
	uint16_t mss;			/* bytes; 0: one segment */
};

/* The TCI of a frame with a tag; -1 without. */
int host_frame_tci(const struct host_frame *f);
/* Put a tag in; needs HOST_FRAME_TAG writable bytes in front. */
void host_frame_push_tag(struct host_frame *f, uint16_t tci);

/* "The sum is up to the NIC": find it. -EINVAL no whole TCP or UDP. */
int host_frame_leave_sum(struct host_frame *f);
/* "Segment it": a TCP frame whose IP length and sums are as NDIS wants them for
 * that (zero, and without the length) becomes one as the stack hands it over.
 * -EINVAL no whole TCP of that family, or an mss of 0. */
int host_frame_leave_segments(struct host_frame *f, uint32_t mss, bool ipv6);

/* Make the IPv4 header's sum, if there is one. */
void host_frame_make_ip_sum(struct host_frame *f);

/* What a partial sum has to become. */
uint16_t host_frame_sum(const struct host_frame *f);

/* Make its segments, one after the other, with complete sums; a frame with
 * mss 0 is its own only segment. fn returns 0 to go on; its value is returned.
 * -EINVAL it cannot be cut. */
int host_frame_segment(const struct host_frame *f,
		       int (*fn)(void *arg, const struct host_frame *f),
		       void *arg);

/* The first packet of a TCP connection, either way: SYN is set. */
bool host_frame_is_syn(const struct host_frame *f);

#endif
