/* hn/rndis_wire.h - RNDIS messages, as bytes and as structs; the guest's half.
 * No state, no channel, no log. Layouts: doc/wire/rndis.md.
 */
#ifndef RNDIS_WIRE_H
#define RNDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hn/rndis_reg.h"

/* Control --------------------------------------------------------------- */

/* What a host answers or indicates. `data` points into the bytes read. */
struct rndis_control {
	uint32_t type;			/* with RNDIS_COMPLETE in answers */
	uint32_t rid;			/* of the request; 0 in indications */
	uint32_t status;
	/* INITIALIZE: most messages and bytes in one transfer, and the
	 * boundary (bytes, a power of two) on which each of them starts. */
	uint32_t max_messages, max_transfer, align;
	/* QUERY and INDICATE: what came along. */
	const uint8_t *data;
	size_t len;
};

/* 0; -EMSGSIZE shorter than its own length word or than its type needs;
 * -EPROTO offsets or numbers that cannot be; -EOPNOTSUPP a type that a host
 * does not send. */
int rndis_get_control(struct rndis_control *c, const void *buf, size_t len);

/* Bytes written, or -EMSGSIZE when data does not fit in RNDIS_CONTROL_MAX or
 * cap. rid must not be 0: a simple host could take it for no request. */
int rndis_put_initialize(void *out, size_t cap, uint32_t rid);
int rndis_put_query(void *out, size_t cap, uint32_t rid, uint32_t oid,
		    const void *data, size_t len);
int rndis_put_set(void *out, size_t cap, uint32_t rid, uint32_t oid,
		  const void *data, size_t len);
int rndis_put_halt(void *out, size_t cap, uint32_t rid);
int rndis_put_keepalive(void *out, size_t cap, uint32_t rid);

/* Data ------------------------------------------------------------------ */

/* What travels with a frame. Zero: nothing. */
struct rndis_meta {
	bool has_checksum, has_lso, has_vlan, has_hash;
	uint32_t checksum;		/* RNDIS_TX_* or RNDIS_RX_* */
	uint32_t lso;			/* mss, offset, flags; see rndis_lso() */
	uint16_t vlan;			/* TCI as in a VLAN tag */
	uint32_t hash;
};

struct rndis_packet {
	struct rndis_meta meta;
	const uint8_t *frame;		/* Ethernet, no FCS; into the bytes read */
	size_t len;
};

/* One data message. buf holds at least the message; what follows it is none of
 * ours. 0; -EMSGSIZE, -EPROTO as above; -EOPNOTSUPP not RNDIS_PACKET. */
int rndis_get_packet(struct rndis_packet *p, const void *buf, size_t len);

/* The header and the packet information for a frame of frame_len bytes that
 * follows at once, then `pad` bytes so that the message ends on an `align`
 * boundary (a power of two; 0 or 1: none). Returns the header's length, at most
 * RNDIS_PACKET_OVERHEAD; -EMSGSIZE cap is too small. */
int rndis_put_packet(void *out, size_t cap, const struct rndis_meta *m,
		     size_t frame_len, size_t align, size_t *pad);

/* The LSO word: mss bytes a segment, l4 the TCP header's offset in the frame.
 * -ERANGE when it cannot be said. */
int rndis_lso(uint32_t *word, uint32_t mss, uint32_t l4, bool ipv6);

/* A VLAN's TCI (3 bits priority, 1 DEI, 12 id) and the record's word, in which
 * they are in another order. */
uint32_t rndis_vlan_word(uint16_t tci);
uint16_t rndis_vlan_tci(uint32_t word);

#endif
