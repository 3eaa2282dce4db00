/* kvp/ip_info.h - what the host asks and says about one adapter.
 *
 * An adapter is named by its MAC address ("00:15:5D:01:02:03", also with '-')
 * or by the GUID of its VMBus device, with or without braces; any case, and
 * always the whole of it.
 */
#ifndef KVP_IP_INFO_H
#define KVP_IP_INFO_H

#include "kvp/kvp_msg.h"
#include "kvp/netif.h"

/* Bytes of text that a list may have so that it also passes the stock Linux
 * driver, which sends one UTF-16 unit less than the field holds. */
enum {
	IP_LIST_MAX = 1022,		/* addresses, masks, DNS servers */
	IP_GATEWAYS_MAX = 510,
};

/* Fill ip from ip->adapter_id. root: before /sys, /etc, /run and /var, NULL:
 * none. 0; -ENOENT no such adapter; -EINVAL no adapter id at all; or what the
 * system says. */
int ip_info_get(struct kvp_ip *ip, const char *root);

/* Does the machine have the adapter? 0, -ENOENT or -EINVAL as above; name may
 * be NULL. */
int ip_info_find(const char *adapter_id, const char *root,
		 char name[NETIF_NAME]);

/* Could these settings be applied? 0, or -EINVAL with the reason for people
 * in why. Looks at the text alone. */
int ip_info_check(const struct kvp_ip *ip, char *why, size_t cap);

/* An adapter id in its canonical form. */
enum ip_id { IP_ID_NONE, IP_ID_MAC, IP_ID_GUID };

/* A MAC as 6 bytes in mac, or a GUID as 36 lower-case characters in guid. */
enum ip_id ip_id_parse(const char *text, uint8_t mac[NETIF_MAC],
		       char guid[37]);

/* The interface to report for a matching set: of those that `match` holds
 * (one bool an interface of t) and their masters, one with addresses before
 * one without, the uppermost, then the lowest index. NULL when match is empty. */
const struct netif *ip_info_choose(const struct netif_table *t,
				   const bool *match);

/* The system's half (ip_info_linux.c). */

/* Interfaces whose VMBus device has this GUID: sets match[i]. */
void ip_info_match_guid(const struct netif_table *t, const char *guid,
			const char *root, bool *match);
/* Did the interface's IPv4 address come from DHCP? */
bool ip_info_dhcp(const struct netif_table *t, const struct netif *i,
		  const char *root);
/* The resolver's servers as a list. */
void ip_info_dns(char *out, size_t limit, const char *root);

#endif
