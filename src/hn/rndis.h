/* hn/rndis.h - the control side of a synthetic NIC: brings it up, asks it for
 * its properties, sets its filter, follows its link.
 *
 *   nvs ready -> INITIALIZE -> queries -> offloads -> up
 *
 * One request is outstanding at a time; each has an id of its own that is
 * never 0 and a time limit. What a host indicates is told as it comes.
 * Callbacks may call anything here but rndis_free().
 */
#ifndef RNDIS_H
#define RNDIS_H

#include "base/loop.h"
#include "hn/rndis_wire.h"

struct rndis;

/* What the host's NIC is like. */
struct rndis_nic {
	uint8_t mac[6];
	uint32_t mtu;			/* without Ethernet header */
	bool link_up;
	uint64_t speed_bps;
	uint32_t max_messages;		/* RNDIS messages in one send */
	uint32_t max_transfer;		/* bytes in one send */
	uint32_t align;			/* on which each of them begins */
	bool tx_checksum, tso4, tso6;	/* offloads that are on */
	uint32_t tso_max;		/* bytes of one frame to segment */
};

struct rndis_ops {
	/* Carry a control message to the host: 0, or -errno (-EAGAIN: try
	 * again at rndis_writable()). */
	int (*send)(void *arg, const void *msg, size_t len);
	/* The NIC is up, the filter is 0: no frame comes before
	 * rndis_set_filter(). */
	void (*up)(void *arg, const struct rndis_nic *nic);
	void (*failed)(void *arg, const char *why);
	void (*link)(void *arg, bool up);
	/* The network behind it may be another one now. */
	void (*network_change)(void *arg);
};

/* NULL when out of memory. */
struct rndis *rndis_new(struct loop *l, unsigned timeout_ms,
			const struct rndis_ops *ops, void *arg);
void rndis_free(struct rndis *r);		/* NULL is fine */

/* The channel is ready: begin. */
void rndis_start(struct rndis *r);
/* HALT is sent if orderly; then all is forgotten. */
void rndis_stop(struct rndis *r, bool orderly);
/* One control message; private bytes. */
void rndis_message(struct rndis *r, const void *msg, size_t len);
void rndis_writable(struct rndis *r);

/* RNDIS_FILTER_*; 0 stops reception. The last one wins. Only when up. */
void rndis_set_filter(struct rndis *r, uint32_t filter);
/* Ask for the link's state; link() tells it, also when it is as before. */
void rndis_query_link(struct rndis *r);

const struct rndis_nic *rndis_nic_get(const struct rndis *r);	/* NULL: down */
uint64_t rndis_bad(const struct rndis *r);	/* messages that could not be */

#endif
