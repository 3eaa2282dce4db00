/* host/host_kvp_wire.h - the host's own reading and writing of key-value
 * messages: the body of an IC message of type 2.
 *
 * Texts are UTF-8 here and UTF-16LE on the wire. A value's text is decimal
 * for the integer types. IP lists are ';'-separated in both wire forms, masks
 * pairing with addresses by position: dotted for IPv4, a number of bits for
 * IPv6. Written without the guest's codec; see doc/wire/kvp.md.
 */
#ifndef HOST_KVP_WIRE_H
#define HOST_KVP_WIRE_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/wr.h"
#include "kvp/kvp_reg.h"

enum {	/* bytes of body */
	HOST_KVP_FIXED = 2580,		/* GET, SET, DELETE, ENUMERATE */
	HOST_KVP_IP = 7428,		/* both IP operations, both forms */
};

enum {	/* room for UTF-8 of what the UTF-16 fields can hold, NUL included */
	HOST_KVP_KEY_TEXT = 255 * 3 + 1,
	HOST_KVP_VALUE_TEXT = 1023 * 3 + 1,
	HOST_KVP_ADAPTER_TEXT = 128 * 3 + 1,
	HOST_KVP_LIST_TEXT = 64 * 16 + 64 * 46 + 1,
};

struct host_kvp_ip {
	char adapter[HOST_KVP_ADAPTER_TEXT];	/* GET: a MAC; SET: a GUID */
	uint8_t family;			/* KVP_IP_V4 | KVP_IP_V6 */
	bool dhcp;
	char addrs[HOST_KVP_LIST_TEXT], masks[HOST_KVP_LIST_TEXT];
	char gateways[HOST_KVP_LIST_TEXT], dns[HOST_KVP_LIST_TEXT];
	char origins[HOST_KVP_LIST_TEXT];	/* binary form: "static;other;..." */
};

struct host_kvp_item {
	uint32_t type;				/* enum kvp_value_type */
	char key[HOST_KVP_KEY_TEXT];
	char value[HOST_KVP_VALUE_TEXT];
};

struct host_kvp_msg {
	uint8_t op, pool;		/* as given, in range or not */
	uint32_t index;			/* ENUMERATE */
	union {
		struct host_kvp_item item;
		struct host_kvp_ip ip;
	};
};

/* Append a request's body for a KVP version; 5.0 and later have the binary IP
 * form. 0; -EMSGSIZE a text too long for its field, or too many addresses;
 * -EILSEQ not UTF-8; -EINVAL no number, no address, or an unknown type. */
int host_kvp_put(struct wr *w, const struct host_kvp_msg *m, uint32_t version);

/* Read the body of a good answer to m, whose op, pool and index stay; the
 * item of GET and ENUMERATE and the IP of GET_IP_INFO are filled in. Strict:
 * sizes even, in range and with the terminator counted, exact UTF-16, whole
 * body, types 1, 2, 4 and 11. Otherwise what can be understood is, except an
 * impossible size. 0, or -EBADMSG and *why. */
int host_kvp_get(struct host_kvp_msg *m, const void *body, size_t len,
		 uint32_t version, bool strict, const char **why);

/* Read a message of operation m->op, request or answer, for people: index,
 * item and IP as far as it has them. Lenient. 0, or -EBADMSG and *why. */
int host_kvp_peek(struct host_kvp_msg *m, const void *body, size_t len,
		  uint32_t version, const char **why);

/* Where in the body of an operation a field is; 0: it has none. */
enum host_kvp_field { HOST_KVP_TYPE, HOST_KVP_KEY_SIZE, HOST_KVP_VALUE_SIZE,
		      HOST_KVP_KEY, HOST_KVP_VALUE };
size_t host_kvp_field_at(uint8_t op, enum host_kvp_field f);

const char *host_kvp_type_name(uint32_t type);		/* "?" if unknown */
int host_kvp_type_parse(uint32_t *type, const char *name);

#endif
