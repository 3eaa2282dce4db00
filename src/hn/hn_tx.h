/* hn/hn_tx.h - frames of the guest, each behind a virtio-net header, to the
 * host: RNDIS messages in sections of the send buffer, several in one.
 *
 *   hn_tx_room() -> the caller reads a frame there -> hn_tx_put()
 *   no more to read -> hn_tx_flush()
 *
 * Flow control: while a frame waits for a section there is no room for the
 * next; hn_tx_writable() goes on with it, and then there is room again.
 *
 * A TCP frame to be cut into segments that is too large for a section, or for
 * the host's NIC, is cut here: into pieces that the NIC cuts on if it can.
 */
#ifndef HN_TX_H
#define HN_TX_H

#include "hn/nvs.h"
#include "hn/rndis.h"

struct hn_tx;

struct hn_tx_stats {
	uint64_t frames, bytes;		/* handed over, as the guest sees them */
	uint64_t messages, sends;	/* RNDIS messages; packets with them */
	uint64_t cut, pieces;		/* frames cut here, and into what */
	uint64_t waits;			/* for room */
	/* Dropped: the header does not fit the frame; larger than a section
	 * and not to be cut; not TCP; nobody there to send them to. */
	uint64_t bad, oversize, unsupported, not_running;
};

/* NULL when out of memory. n must outlive it. */
struct hn_tx *hn_tx_new(struct nvs *n);
void hn_tx_free(struct hn_tx *t);		/* NULL is fine */

/* n is ready and the NIC is up. */
void hn_tx_start(struct hn_tx *t, const struct rndis_nic *nic);
/* Before n closes, or when it is gone: what waits is dropped. */
void hn_tx_stop(struct hn_tx *t);

/* Where the next frame goes, with its virtio-net header in front, *cap bytes
 * for both; NULL: none is taken now. While stopped there is room, and frames
 * are dropped, as a NIC without a cable does. */
uint8_t *hn_tx_room(struct hn_tx *t, size_t *cap);
void hn_tx_put(struct hn_tx *t, size_t len);
void hn_tx_flush(struct hn_tx *t);
/* n has sections, or its ring room. */
void hn_tx_writable(struct hn_tx *t);

/* The largest MTU with which every frame fits, by n's sections. */
uint32_t hn_tx_mtu_max(const struct hn_tx *t);
void hn_tx_stats_get(const struct hn_tx *t, struct hn_tx_stats *s);

#endif
