/* lagg/link.h - a network interface, as the rules for VFs see it. */
#ifndef LAGG_LINK_H
#define LAGG_LINK_H

#include <stdbool.h>
#include <stdint.h>

enum { LINK_NAME = 16, LINK_MAC = 6 };	/* bytes, the NUL in it */

enum link_kind {
	LINK_DEVICE,		/* hardware, as far as anybody can tell */
	LINK_VETH,
	LINK_TAP,
	LINK_STACKED,		/* over others: bond, team, bridge, VLAN ... */
	LINK_OTHER,		/* loopback, tunnel, dummy */
};

struct link {
	unsigned ifindex;
	char name[LINK_NAME];
	enum link_kind kind;
	bool ethernet;			/* it has an address, mac */
	uint8_t mac[LINK_MAC];
	bool has_permanent;		/* what it came with, if that is known */
	uint8_t permanent[LINK_MAC];
	bool has_serial;		/* the host's number for the device */
	uint32_t serial;
	unsigned master;		/* ifindex of what it is a port of, or 0 */
	uint32_t mtu;
	bool ours;			/* hnX, laggX */
	bool up;			/* by the administrator */
	bool running;			/* and there is a signal */
};

#endif
