/* hn/hn_rx.h - frames of the host to the guest: RNDIS messages in, frames
 * behind a virtio-net header out.
 *
 * Segments of a TCP connection that came in one batch are joined (hn/gro.h). A
 * frame that the guest itself sent, back from the host's switch, is dropped.
 */
#ifndef HN_RX_H
#define HN_RX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hn_rx;

/* Where frames go: 0, or -errno when this one is lost. buf begins with the
 * virtio-net header. */
struct hn_rx_sink {
	int (*frame)(void *arg, const void *buf, size_t len);
	void *arg;
};

struct hn_rx_stats {
	uint64_t frames, bytes;		/* of the host, without what was lost */
	uint64_t joined;		/* of these, those that became others' */
	/* Lost: no frame in the message; our own; the sink failed; no sink. */
	uint64_t bad, echoes, refused, no_sink;
};

/* NULL when out of memory. There is no sink at first. */
struct hn_rx *hn_rx_new(void);
void hn_rx_free(struct hn_rx *r);		/* NULL is fine */

/* Whose frames are echoes; NULL: none are. */
void hn_rx_set_mac(struct hn_rx *r, const uint8_t mac[6]);
/* From now on; what was gathered goes to the sink before. NULL: nowhere. */
void hn_rx_set_sink(struct hn_rx *r, const struct hn_rx_sink *sink);

/* One data message in memory of the caller's own, which is changed. */
void hn_rx_message(struct hn_rx *r, uint8_t *msg, size_t len);
/* The batch is over: nothing is kept back. */
void hn_rx_batch_end(struct hn_rx *r);

void hn_rx_stats_get(const struct hn_rx *r, struct hn_rx_stats *s);

#endif
