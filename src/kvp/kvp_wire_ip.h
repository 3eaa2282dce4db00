/* kvp/kvp_wire_ip.h - the binary IP form of KVP 5.0: counts and arrays instead
 * of text. Used by kvp/kvp_wire.c only.
 *
 *      0  six u32 counts: v4, v6 addresses; v4, v6 gateways; v4, v6 DNS
 *     24  adapter id, 128 units      280 u8 family, u8 DHCP, u16 zero
 *    284  64 v4 addresses            540 64 v6 addresses
 *   1564  64 v4 masks               1820 64 u32 v6 prefix lengths
 *   2076  5 v4 gateways             2096 5 v6 gateways
 *   2176  64 v4 DNS servers         2432 64 v6 DNS servers
 *   3456  128 u16 origins, the v4 addresses' then the v6 ones', no gap
 *   3712  end
 * Addresses are in network order. Source: OpenVMM hyperv_ic_protocol.
 */
#ifndef KVP_WIRE_IP_H
#define KVP_WIRE_IP_H

#include "base/rd.h"
#include "kvp/kvp_msg.h"

enum { KVP_WIRE_IP_BINARY = 3712 };

/* 0, -EBADMSG, -EILSEQ, -EMSGSIZE as kvp_wire_get_request(). */
int kvp_wire_ip_get(struct kvp_ip *ip, struct rd *r);

/* Text that is no address is -EINVAL; addresses past an array are left out
 * and *cut becomes true. */
int kvp_wire_ip_put(uint8_t *at, size_t len, const struct kvp_ip *ip,
		    bool *cut);

#endif
