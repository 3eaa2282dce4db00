/* vmbus/channel.h - one end of an open channel: the ring we write, the ring we
 * read, and a doorbell each way. Both ends and every transport share it; how
 * the memory and the doorbells came about is the transport's business.
 *
 * Trust:  a packet is copied out of the ring once and only the copy is looked
 *         at; an impossible index or length breaks this channel, no other.
 * Work:   at most CHANNEL_BURST packets a wake-up, then the loop gets its turn.
 */
#ifndef VMBUS_CHANNEL_H
#define VMBUS_CHANNEL_H

#include "base/loop.h"
#include "vmbus/packet.h"

enum {
	CHANNEL_BURST = 64,
	CHANNEL_PACKET_MAX = 20480,	/* bytes; a pipe message of 16 KiB fits */
};

struct channel;

/* What a transport hands over. Memory and descriptors stay the transport's
 * and must outlive the channel. */
struct channel_port {
	void *tx, *rx;		/* each a control page, then data */
	size_t tx_len, rx_len;	/* bytes, control page included */
	int wake_fd;		/* readable when the peer has signalled */
	void (*ack)(void *arg);		/* make wake_fd unreadable again */
	void (*signal)(void *arg);	/* ring the peer's doorbell */
	void *arg;
};

struct channel_ops {
	/* p and its bytes are valid during the call only. The callee may send,
	 * and may free the channel. */
	void (*packet)(void *arg, const struct packet *p);
	/* The peer broke the ring: nothing more will be read or sent. The
	 * callee closes the channel, now or later. */
	void (*broken)(void *arg, int err);
	/* There is room again after a send that gave -EAGAIN. May be NULL. */
	void (*writable)(void *arg);
};

struct channel_stats {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t signals_sent, signals_got, tx_full;
	uint64_t signals_needless;	/* got, and there was nothing new: hosts
					 * slow down guests that do that */
};

/* Our half of each ring is reset: index 0, feature bit 1, nothing pending. What
 * the peer wrote into its half stays; packets that are there already are
 * delivered from the loop. Needs one eventfd.
 * NULL with errno set (ENOMEM, EMFILE; EINVAL: an impossible ring size). */
struct channel *channel_new(struct loop *l, const struct channel_port *port,
			    const struct channel_ops *ops, void *arg);
void channel_free(struct channel *c);		/* NULL is fine */

/* Send one packet whole. 0; -EAGAIN when the ring has no room now (writable
 * will be called); -EMSGSIZE when it never fits; -EPIPE when broken. The peer
 * sees it at once; or, when sent inside a callback of this channel, at the
 * latest when that round of callbacks is over. */
int channel_send(struct channel *c, const struct packet *p);

/* Stop and resume reading, for flow control towards the peer. */
void channel_pause(struct channel *c, bool pause);

void channel_stats_get(const struct channel *c, struct channel_stats *s);

#endif
