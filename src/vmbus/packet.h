/* vmbus/packet.h - the packets that a ring carries: a 16-byte descriptor, for
 * some types a list of ranges, then the payload, padded to 8 bytes. The 8-byte
 * trailer that follows in the ring is the ring's own affair (vmbus/ring.h).
 *
 * Source: Linux include/linux/hyperv.h, struct vmpacket_descriptor and
 * friends; the offsets are in doc/wire/vmbus.md.
 */
#ifndef VMBUS_PACKET_H
#define VMBUS_PACKET_H

#include "base/rd.h"
#include "base/wr.h"

enum packet_type {
	PACKET_INBAND = 6,		/* data in the packet itself */
	PACKET_XFER_PAGES = 7,		/* data in a receive buffer */
	PACKET_GPADL = 8,
	PACKET_GPA_DIRECT = 9,		/* data in guest pages named here */
	PACKET_CANCEL = 0xa,
	PACKET_COMPLETION = 0xb,
};

enum {
	PACKET_DESC = 16,		/* bytes of descriptor */
	PACKET_WANT_COMPLETION = 1,	/* the only flag there is */
};

/* A packet as its reader or writer sees it. `data` and `ranges` point into a
 * private copy that the packet's source owns. */
struct packet {
	uint16_t type;			/* enum packet_type */
	uint16_t flags;
	uint64_t xact;			/* opaque to the peer, echoed by it */
	const uint8_t *ranges;		/* descriptor's end to payload, may be empty */
	size_t ranges_len;		/* bytes, a multiple of 8 */
	const uint8_t *data;		/* payload; on reception with its padding */
	size_t len;			/* bytes; true length may be up to 7 less */
};

/* Look at len bytes that hold exactly one packet without its trailer.
 * 0, or -EBADMSG when type, flags, offset or length are impossible. */
int packet_get(struct packet *p, const void *buf, size_t len);

/* Ring bytes that the packet takes, descriptor and padding included and the
 * trailer left out: a multiple of 8. */
size_t packet_size(const struct packet *p);

/* The descriptor alone, for writers that gather the rest themselves.
 * 0, or -EMSGSIZE when no descriptor can say the packet's lengths. */
int packet_desc_put(uint8_t out[PACKET_DESC], const struct packet *p);

/* Append the packet, padded. w goes bad when it does not fit. */
void packet_put(struct wr *w, const struct packet *p);

/* One range of a transfer-page packet: a piece of a receive buffer. */
struct packet_xfer {
	uint32_t len, offset;		/* bytes */
};

/* The set id of a PACKET_XFER_PAGES and its ranges, at most `max`.
 * Returns how many, or -EBADMSG (count 0, more than fit, or above max). */
int packet_xfer_get(uint16_t *set_id, struct packet_xfer *x, unsigned max,
		    const struct packet *p);

/* One range of a GPA-direct packet: pfns[] is one page frame number a 4 KiB
 * page spanned, little endian and unaligned; read them with rd_le64(). */
struct packet_gpa {
	uint32_t len, offset;		/* bytes; offset into the first page */
	const uint8_t *pfns;
	unsigned n_pfns;
};

int packet_gpa_get(struct packet_gpa *g, unsigned max, const struct packet *p);

#endif
