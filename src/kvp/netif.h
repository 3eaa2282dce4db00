/* kvp/netif.h - what the system knows about its network interfaces, at one
 * moment: interfaces, their addresses and their default routes.
 *
 * The OS boundary: netif_linux.c fills a snapshot by netlink; the choices made
 * from it (netif.c) are the same everywhere.
 */
#ifndef KVP_NETIF_H
#define KVP_NETIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum netif_kind {
	NETIF_MACHINE,		/* synthetic, VF, or any other hardware; and
				 * what is stacked on it: bond, team, lagg, VLAN,
				 * a bridge with such a port */
	NETIF_VIRTUAL,		/* container, bridge, tunnel, dummy */
	NETIF_LOOPBACK,
};

enum { NETIF_NAME = 16, NETIF_MAC = 6 };

struct netif {
	unsigned index;
	char name[NETIF_NAME];
	uint8_t mac[NETIF_MAC];
	bool has_mac;			/* it is an Ethernet interface */
	bool up;
	unsigned master;		/* index of the bond or bridge, or 0 */
	enum netif_kind kind;
};

struct netif_addr {
	unsigned index;
	uint8_t family;			/* 4 or 6 */
	uint8_t prefix;			/* bits */
	uint8_t addr[16];		/* network order */
	bool dynamic;			/* it has a lifetime */
	bool temporary;			/* v6 privacy */
	bool unusable;			/* deprecated, tentative or a duplicate */
};

struct netif_route {			/* a default route */
	unsigned index;
	uint8_t family;			/* 4 or 6 */
	uint8_t gw_family;
	uint8_t gw[16];
	uint32_t metric;
};

struct netif_table {
	struct netif *ifs;
	struct netif_addr *addrs;
	struct netif_route *routes;
	size_t n_ifs, n_addrs, n_routes;
};

enum { NETIF_ROUTES = 1 };		/* netif_read(): default routes too */

/* 0, or -errno and an empty table. */
int netif_read(struct netif_table *t, unsigned what);
void netif_free(struct netif_table *t);

const struct netif *netif_by_index(const struct netif_table *t, unsigned index);

/* What to report of the machine's addresses. */
enum netif_link_local { NETIF_LL_NEVER, NETIF_LL_IF_ALONE, NETIF_LL_ALWAYS };

struct netif_choice {
	enum netif_link_local link_local;
	bool virtual_interfaces;	/* report NETIF_VIRTUAL too */
};

/* The machine's addresses of one family as a ';'-separated list in out.
 *
 * Left out: loopback, interfaces that are down, unusable addresses, and
 * according to the choice virtual interfaces (they count when there is no
 * other interface with an address) and link-local addresses.
 * Order: reachable from furthest first (global, v6 unique-local, link-local),
 * then the machine's own interfaces before virtual ones, then lasting
 * addresses before temporary ones, then by interface index, then as the
 * kernel lists them.
 * The list ends before the first address that would make it longer than
 * `limit` bytes. Returns the addresses left out for that. */
size_t netif_list(char *out, size_t limit, const struct netif_table *t,
		  unsigned family, const struct netif_choice *choice);

/* Append ";text" (or text to an empty list) when the whole fits in `limit`
 * bytes. */
bool list_append(char *list, size_t limit, const char *text);

#endif
