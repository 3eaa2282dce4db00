/* kvp/kvp_wire.h - the guest's half of the KVP protocol: read the body of a
 * host's request, write the body of the answer. No state, no I/O.
 *
 * Offsets, from the start of the IC body (doc/wire/kvp.md):
 *   0 u8 operation, 1 u8 pool
 *   GET, SET    4 type, 8 key size, 12 value size, 16 key[512], 528 value[2048]
 *   ENUMERATE   4 index, 8 type, 12 key size, 16 value size, 20 key, 532 value
 *   DELETE      4 key size, 8 key[512]
 *   IP, < 5.0   2 the string form, 7426 bytes
 *   IP, 5.0     4 the binary form, 3712 bytes
 * Sizes are bytes, terminator included; text is UTF-16LE.
 * Sources: Linux include/uapi/linux/hyperv.h; OpenVMM for the binary form.
 */
#ifndef KVP_WIRE_H
#define KVP_WIRE_H

#include <stddef.h>

#include "kvp/kvp_msg.h"

enum {	/* bytes of the whole body */
	KVP_WIRE_EXCHANGE = 2580,	/* operations 0 to 3, whatever the body */
	KVP_WIRE_IP = 7428,
	KVP_WIRE_MAX = KVP_WIRE_IP,
};

/* Read a request; version is the negotiated message version. Integer values
 * become decimal text. m->op and m->pool are set whenever there are two bytes.
 * 0; -EBADMSG too short, a size that is odd, 0 or past its field, an integer
 * of the wrong size, a count past its array; -EILSEQ text with a lone
 * surrogate; -EMSGSIZE text that needs more UTF-8 bytes than a pool record
 * has; -EPROTO unknown value type; -ENOTSUP unknown operation. */
int kvp_wire_get_request(struct kvp_msg *m, uint32_t version, const void *body,
			 size_t len);

/* Lay the answer's fields over body, a copy of the request's. What does not
 * fit the host's fields (1023 units of a value, 255 of a key) is cut at a
 * whole character, because an error would end the host's enumeration; *cut
 * then becomes true. On an error status nothing is written.
 * 0; -EBADMSG body too short for the answer; -EINVAL (IP) an address that is
 * none. */
int kvp_wire_put_answer(void *body, size_t len, uint32_t version,
			const struct kvp_msg *m, bool *cut);

#endif
