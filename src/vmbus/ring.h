/* vmbus/ring.h - one direction of a VMBus channel: a byte queue that both
 * sides map, one of them writes and the other reads.
 *
 * Shape:   one control page, then `size` bytes of data; size need not be a
 *          power of two. Indices are byte offsets into the data, multiples of
 *          8. read == write means empty, so 8 bytes always stay unused.
 * Packet:  its bytes, padded to 8, then an 8-byte trailer.
 * Trust:   the other side may write anything at any time. Our own indices
 *          live here and the shared copies of them are only written. Each of
 *          the peer's words is loaded once a decision, checked, then used; a
 *          packet is copied out before anyone looks at it.
 * Batches: put any number of packets, then publish once; get any number, then
 *          release once. What is not published is not sent and what is not
 *          released keeps its room: do both before going to sleep.
 * Threads: one writer and one reader a ring, anywhere. Nothing here blocks,
 *          allocates or logs.
 * Source:  Linux include/linux/hyperv.h, struct hv_ring_buffer; the rules are
 *          in doc/wire/vmbus.md.
 */
#ifndef VMBUS_RING_H
#define VMBUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
	RING_CTL = 4096,	/* bytes of control page */
	RING_TRAILER = 8,	/* bytes after each packet */
	RING_PACKET_MIN = 16,	/* bytes of the shortest packet */
};

struct ring_ctl;

/* The writing end. */
struct ring_tx {
	struct ring_ctl *ctl;
	uint8_t *data;
	uint32_t size;		/* bytes of data */
	uint32_t wr;		/* where the next packet goes */
	uint32_t pub;		/* wr as last published */
	uint32_t rd;		/* the peer's read index as last seen */
};

/* The reading end. */
struct ring_rx {
	struct ring_ctl *ctl;
	const uint8_t *data;
	uint32_t size;		/* bytes of data */
	uint32_t rd;		/* the next packet to get */
	uint32_t rel;		/* rd as last released */
	uint32_t wr;		/* the peer's write index as last seen */
};

/* Take mem, `len` bytes with the control page, multiples of 4096 and at least
 * two of them, and reset our half: index 0, nothing pending, feature bit set
 * (tx); index 0, signals masked (rx). 0, or -EINVAL for an impossible size. */
int ring_tx_init(struct ring_tx *r, void *mem, size_t len);
int ring_rx_init(struct ring_rx *r, void *mem, size_t len);

/* Append one packet, gathered from n pieces, without publishing it.
 * 0; -EAGAIN no room now; -EMSGSIZE it never fits; -EBADMSG the peer's index
 * is impossible: close the channel. */
int ring_put(struct ring_tx *r, const struct iovec *iov, unsigned n);

/* Let the peer see what was put. 1: ring the doorbell; 0: no need (nothing
 * new, or the peer is awake or masked signals); -EBADMSG. */
int ring_publish(struct ring_tx *r);

/* Bytes that a packet of `len` bytes takes in the ring. */
size_t ring_space(size_t len);
/* Ask to be signalled when a packet of `len` bytes fits.
 * 0: asked; 1: it fits already, nothing was asked; -EBADMSG. */
int ring_block(struct ring_tx *r, size_t len);
/* Does a packet of `len` bytes fit? 1, 0 or -EBADMSG. */
int ring_fits(struct ring_tx *r, size_t len);
void ring_unblock(struct ring_tx *r);		/* no signal any more */

/* Copy the next packet out of the ring into buf, `cap` bytes long; its length
 * word was loaded once and stands in the copy as it was checked.
 * Returns the packet's length in bytes, trailer left out;
 *         0 when the ring is empty;
 *         -ENOBUFS when it does not fit: it stays in the ring;
 *         -EBADMSG when an index or length is impossible: close the channel. */
ssize_t ring_get(struct ring_rx *r, void *buf, size_t cap);

/* Give the room of what was got back to the writer. 1: it waits for just that,
 * ring the doorbell; 0: no need; -EBADMSG. */
int ring_release(struct ring_rx *r);

/* While masked the writer does not signal new data. After unmasking comes a
 * second look, without which a packet put just before would be slept over:
 * ring_unmask() returns 1 when there is something to get, 0 when one may
 * sleep, -EBADMSG. Release first. */
void ring_mask(struct ring_rx *r);
int ring_unmask(struct ring_rx *r);

#endif
