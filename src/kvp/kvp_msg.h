/* kvp/kvp_msg.h - one KVP request or answer as everybody between the wire and
 * the pools sees it: an operation, a pool, and UTF-8 text.
 *
 * kvp/kvp_wire.h translates it from and to the host's bytes, kvp/kvp_devmsg.h
 * from and to the bytes of the device file. Strings are NUL-terminated and
 * valid UTF-8 whoever filled them in.
 */
#ifndef KVP_MSG_H
#define KVP_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include "kvp/kvp_reg.h"

/* Lists are ';'-separated: "10.0.0.1;fe80::1". Masks pair with addresses by
 * position: dotted for IPv4 ("255.255.255.0"), "/64" for IPv6. */
struct kvp_ip {
	char adapter_id[KVP_ADAPTER_SIZE];	/* GET: a MAC; SET: a GUID */
	uint8_t family;				/* KVP_IP_V4 | KVP_IP_V6 */
	bool dhcp;				/* concerns IPv4 only */
	char addrs[KVP_ADDRS_SIZE];
	char masks[KVP_MASKS_SIZE];
	char gateways[KVP_GATEWAYS_SIZE];
	char dns[KVP_DNS_SIZE];
};

struct kvp_msg {
	uint8_t op;			/* enum kvp_op */
	uint8_t pool;			/* as the host sent it: check the range */
	uint32_t index;			/* ENUMERATE */
	uint32_t status;		/* answers: HV_S_OK or an error */
	union {
		struct {
			char key[KVP_KEY_SIZE];
			char value[KVP_VALUE_SIZE];
		};
		struct kvp_ip ip;	/* GET_IP_INFO, SET_IP_INFO */
	};
};

#endif
