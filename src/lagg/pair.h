/* lagg/pair.h - which interface is the VF of which NIC.
 *
 * An interface is a NIC's VF when it is hardware and has the NIC's MAC address:
 * the one that it came with, if that is known. Where both the host and the
 * interface say a serial number these agree, too. It is nobody else's port.
 *
 * This is a function of the present state alone, so it does not matter who was
 * there first, nor in which order news of them came.
 */
#ifndef LAGG_PAIR_H
#define LAGG_PAIR_H

#include <stddef.h>

#include "lagg/link.h"

struct pair_cfg {
	bool veth;		/* a veth may be a VF: for tests */
};

struct pair_nic {
	unsigned ifindex;		/* hnX itself */
	uint8_t mac[LINK_MAC];		/* zero: not known yet */
	bool has_serial;		/* from the host's association */
	uint32_t serial;
	unsigned vf;			/* its VF's ifindex, 0: none */
	unsigned spare;			/* one more that could be; not used */
};

enum pair_why {
	PAIR_SERIAL,			/* it matches, serial and all */
	PAIR_MAC,			/* it matches, by its address */
	PAIR_NOT_OTHER_MAC,
	PAIR_NOT_OTHER_SERIAL,
	PAIR_NOT_HARDWARE,
	PAIR_NOT_OURS,			/* it is an hn or a lagg itself */
	PAIR_NOT_FREE,			/* a port of somebody's bridge or bond */
	PAIR_N_WHY
};

/* The links of an interface and its master, n of them, in any order. */
enum pair_why pair_why(const struct pair_nic *nic, const struct link *link,
		       const struct link *links, size_t n,
		       const struct pair_cfg *cfg);
const char *pair_why_text(enum pair_why w);	/* "other MAC address" ... */

/* Set vf and spare of each NIC. The vf that it has stays as long as it matches;
 * else the one whose serial agrees; else the one that was made first. No
 * interface is the VF of two. 0: no vf changed. */
size_t pair_links(struct pair_nic *nics, size_t n_nics,
		  const struct link *links, size_t n_links,
		  const struct pair_cfg *cfg);

#endif
