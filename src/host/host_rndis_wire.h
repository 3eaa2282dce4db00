/* host/host_rndis_wire.h - the host's own reading and writing of RNDIS: what a
 * guest asks, what it is answered, and the frames both ways.
 *
 * Written from doc/wire/rndis.md; see host_nvs_wire.h for why it shares no
 * code with the guest. No state, no log.
 */
#ifndef HOST_RNDIS_WIRE_H
#define HOST_RNDIS_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "hn/rndis_reg.h"

/* What a guest asks. `data` points into the bytes read. */
struct host_rndis_msg {
	uint32_t type;			/* enum rndis_type */
	uint32_t rid;
	uint32_t oid;			/* QUERY, SET */
	uint32_t max_transfer;		/* INITIALIZE: bytes */
	const uint8_t *data;		/* QUERY, SET */
	size_t len;
};

/* 0; -EBADMSG too short, or with data outside of itself; -EOPNOTSUPP a type
 * that guests do not send as control: *why. */
int host_rndis_get(struct host_rndis_msg *m, const void *buf, size_t len,
		   const char **why);

/* What INITIALIZE is answered. */
struct host_rndis_limits {
	uint32_t max_messages;		/* in one transfer */
	uint32_t max_transfer;		/* bytes */
	uint32_t align_log2;
};

/* Each appends one message. */
void host_rndis_put_initialize(struct wr *w, uint32_t rid, uint32_t status,
			       const struct host_rndis_limits *l);
void host_rndis_put_query(struct wr *w, uint32_t rid, uint32_t status,
			  const void *data, size_t len);
/* SET and KEEPALIVE have the same answer. */
void host_rndis_put_done(struct wr *w, enum rndis_type type, uint32_t rid,
			 uint32_t status);
/* uncounted: leave the data out of the message's length, as old hosts do. */
void host_rndis_put_indicate(struct wr *w, uint32_t status, const void *data,
			     size_t len, bool uncounted);

/* A frame and what travels with it. */
struct host_rndis_frame {
	bool has_sum, has_lso, has_vlan, has_hash;
	uint32_t sum;			/* RNDIS_TX_* or RNDIS_RX_* */
	uint32_t mss, lso_l4;		/* LSO: bytes, TCP header's offset */
	bool lso_ipv6;
	uint16_t vlan;			/* TCI as in a tag */
	uint32_t hash;
	const uint8_t *data;		/* Ethernet, no FCS */
	size_t len;
};

/* The first of the messages in buf. Returns its length, padding included, so
 * that the next one begins there; -EBADMSG, -EOPNOTSUPP and *why. */
int host_rndis_get_frame(struct host_rndis_frame *f, const void *buf,
			 size_t len, const char **why);

/* How a frame lies in a receive slot. */
struct host_rndis_room {
	uint32_t front;		/* bytes before the frame, 92 at least */
	uint32_t length;	/* what the message says it is; 0: its length */
	uint32_t reserved;	/* what the reserved fields hold */
};

/* Append a frame, in f->data or, if that is NULL, to be written by the caller:
 * returns where it goes, or NULL when it does not fit. */
uint8_t *host_rndis_put_frame(struct wr *w, const struct host_rndis_frame *f,
			      const struct host_rndis_room *room);

#endif
