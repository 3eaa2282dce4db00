/* hn/offload.h - what travels with a frame, in two languages: the virtio-net
 * header in front of each frame of a TAP, and RNDIS packet information.
 *
 *   to the host    TAP's header says "sum from here to there" and "cut into
 *                  segments"; the host wants to know which protocols, and the
 *                  headers prepared in its own way
 *   to the guest   the host says "I have verified it"; the TAP takes that word
 *
 * Frames are changed in place: a VLAN tag moves to the packet information, the
 * headers of a frame to be segmented are prepared. What the host's NIC does
 * not do is done here, in software. No state, no system call.
 */
#ifndef OFFLOAD_H
#define OFFLOAD_H

#include "hn/rndis_wire.h"

enum {
	OFFLOAD_VNET_HDR = 10,	/* bytes, struct virtio_net_hdr, little endian */
};

/* The virtio-net header, as linux/virtio_net.h and the virtio standard have
 * it. */
enum {
	VNET_F_NEEDS_CSUM = 1,
	VNET_F_DATA_VALID = 2,
	VNET_GSO_NONE = 0,
	VNET_GSO_TCPV4 = 1,
	VNET_GSO_TCPV6 = 4,
	VNET_GSO_ECN = 0x80,
};

struct vnet_hdr {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size;
	uint16_t csum_start, csum_offset;	/* from the frame's start */
};

void vnet_get(struct vnet_hdr *h, const uint8_t raw[OFFLOAD_VNET_HDR]);
void vnet_put(uint8_t raw[OFFLOAD_VNET_HDR], const struct vnet_hdr *h);

/* A frame from the TAP, of len bytes at *frame. Fills in m and prepares the
 * frame; *frame and *len change when a VLAN tag is taken out. tx_checksum: the
 * host's NIC sums; without it sums are made here.
 * 0; -EINVAL the header and the frame do not fit together; -EOPNOTSUPP
 * segmentation of something that is not TCP, or while the host does not sum. */
int offload_to_host(struct rndis_meta *m, uint8_t **frame, size_t *len,
		    const struct vnet_hdr *h, bool tx_checksum);

/* Does the host say that the frame's sums are good? Some call good UDP "TCP
 * good", so either word is taken for both. */
bool offload_verified(const struct rndis_meta *m);

/* A frame from the host. A sum that the host calls good although its bytes are
 * not is made here. m->has_vlan is the caller's business (the tag goes in
 * front, offload_push_vlan()). */
void offload_to_guest(struct vnet_hdr *h, uint8_t *frame, size_t len,
		      const struct rndis_meta *m);

/* Put a tag into a frame that has four bytes of room in front of it; returns
 * the new beginning. len is at least 14. */
uint8_t *offload_push_vlan(uint8_t *frame, uint16_t tci);

#endif
