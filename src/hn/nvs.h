/* hn/nvs.h - a network channel from open to close: versions, buffers, and the
 * packets that carry RNDIS messages both ways.
 *
 *   open -> INIT (best version first) -> NDIS config and version
 *        -> receive buffer -> send buffer -> ready
 *
 * It does not know what an RNDIS message says: hn/rndis.h does for control
 * messages, hn/hn_rx.h and hn/hn_tx.h do for frames.
 *
 * Trust: the host writes into the receive buffer at any time, so a message is
 * copied out of it once and only the copy is handed on. Completions name our
 * sends by an id that is looked up, never used as a pointer.
 *
 * Control messages travel in the send buffer, as frames do: nothing of ours
 * outside the shared buffers has an address that a host could read.
 *
 * Callbacks may call anything here but nvs_free().
 */
#ifndef NVS_H
#define NVS_H

#include "base/loop.h"
#include "hn/nvs_wire.h"
#include "vmbus/bus.h"

struct nvs;

enum nvs_state {
	NVS_CLOSED,		/* no channel */
	NVS_NEGOTIATING,	/* asking for versions */
	NVS_BUFFERS,		/* sharing the buffers */
	NVS_READY,
	NVS_FAILED,		/* this channel will not do; close it */
};

struct nvs_cfg {
	size_t recv_buf_len, send_buf_len;	/* bytes, multiples of 4096 */
	uint32_t mtu;			/* without Ethernet header */
	bool sriov;			/* tell the host that we can take a VF */
	unsigned timeout_ms;		/* for each answer of the set-up */
};

struct nvs_ops {
	void (*ready)(void *arg);
	/* The host refuses, is silent or talks nonsense; why is for people. */
	void (*failed)(void *arg, const char *why);
	/* One RNDIS message, a private copy, the callee's during the call. */
	void (*rndis)(void *arg, bool control, uint8_t *msg, size_t len);
	/* All messages of one packet were handed on: write them out. */
	void (*batch_end)(void *arg);
	/* The host is done with a send; its section is free again. */
	void (*sent)(void *arg, uint32_t section, uint32_t status);
	/* A section is free, or the ring has room, after there was none. */
	void (*writable)(void *arg);
	/* The host has, or no longer has, a VF for us. */
	void (*vf)(void *arg, bool present, uint32_t serial);
	/* asked: the host confirms what nvs_switch_path() asked for; else it
	 * tells that it went back by itself. */
	void (*path)(void *arg, enum nvs_path path, bool asked);
};

struct nvs_stats {
	uint64_t rx_packets, rx_messages;	/* of the channel; RNDIS in them */
	uint64_t tx_packets, tx_failed;		/* completed with another status */
	uint64_t bad;			/* messages that could not be */
	uint64_t unknown;		/* types nobody knows */
	uint64_t stray;			/* completions of nothing we sent */
};

/* NULL when out of memory. The bus must outlive it. */
struct nvs *nvs_new(struct loop *l, struct bus *b, const struct nvs_cfg *cfg,
		    const struct nvs_ops *ops, void *arg);
void nvs_free(struct nvs *n);			/* NULL is fine */

/* For the next nvs_open(). */
void nvs_set_mtu(struct nvs *n, uint32_t mtu);

/* The channel opened. Its packets and its room are to be passed on. */
void nvs_open(struct nvs *n, uint32_t relid, struct channel *c);
void nvs_packet(struct nvs *n, const struct packet *p);
void nvs_writable(struct nvs *n);
/* Take the buffers back from the host and free them; the caller closes the
 * channel next. Fine on a closed one. */
void nvs_close(struct nvs *n);
/* The host took the channel away; the bus has freed it and the buffers. */
void nvs_gone(struct nvs *n);

/* Room for RNDIS messages in the send buffer: *mem, *cap bytes. The section's
 * index; -EAGAIN all are in use (writable follows); -ENOTCONN not ready. */
int nvs_section_get(struct nvs *n, uint8_t **mem, size_t *cap);
/* Give it back unused. */
void nvs_section_put(struct nvs *n, uint32_t section);
/* Send `used` bytes of it. 0, and sent() follows unless the channel closes;
 * -EAGAIN the ring is full: the section stays the caller's. */
int nvs_section_send(struct nvs *n, uint32_t section, size_t used,
		     bool control);

/* Ask the host to send our traffic there. 0, and path() follows; -EALREADY one
 * request is under way; -EAGAIN; -ENOTCONN; -EOPNOTSUPP below version 4. */
int nvs_switch_path(struct nvs *n, enum nvs_path path);

enum nvs_state nvs_state_get(const struct nvs *n);
const char *nvs_state_name(enum nvs_state s);
uint32_t nvs_version(const struct nvs *n);	/* 0: none agreed */
size_t nvs_section_size(const struct nvs *n);	/* of the send buffer */
void nvs_stats_get(const struct nvs *n, struct nvs_stats *s);

#endif
