/* lagg/move_linux.h - a link's configuration moved to another by rtnetlink, or
 * the two links' names exchanged.
 *
 * To exchange names keeps everything: the link with the configuration becomes
 * laggX. It needs a driver that owns both links, and Linux 6.2 to rename a link
 * that is up (-EBUSY before). Rules that go by name (nft iifname, sysctl files,
 * network managers) then mean the other link.
 *
 * To move, make before break:
 *   moved      addresses v4 and v6 with lifetimes, labels and order; routes of
 *              all tables; neighbours, also permanent ones; MTU; rp_filter
 *   carried    multicast groups: `to` joins those that `from` is in, so that
 *              sockets that take a group from any link go on; as long as the
 *              struct move_hold is kept
 *   left       memberships of sockets that insist on their link
 *              (IP_MULTICAST_ALL off), sockets bound to it, temporary (privacy)
 *              addresses become plain ones until their end, next-hop objects
 *              become plain next hops, other sysctls of the link, rules (ip
 *              rule iif), qdiscs
 */
#ifndef LAGG_MOVE_LINUX_H
#define LAGG_MOVE_LINUX_H

#include "lagg/move.h"

/* Groups that are joined for others. */
struct move_hold;

void move_hold_free(struct move_hold *h);	/* NULL is fine */

struct move_cfg {
	unsigned from, to;
	enum move_way way;
	/* From now on (or, to undo, no longer) what arrives is received on
	 * `to`: a driver's TAP to write to, or an ingress program. 0 or
	 * -errno, which undoes the move. NULL: nothing to do. */
	int (*receive)(void *arg, bool on);
	void *arg;
};

struct move_report {
	size_t steps;		/* of the plan; 0: there was nothing to do */
	size_t n_stuck;		/* groups that could not be joined on `to` */
	const char *failed;	/* the kind of step, when one did; else NULL */
};

/* Move. On success *hold is what keeps groups joined; an old one is freed. On
 * failure all is as before. 0 or -errno: -ENODEV one of the links is gone,
 * -EROFS the reverse path filter is strict and cannot be changed. */
int move_links(const struct move_cfg *cfg, struct move_hold **hold,
	       struct move_report *r);

/* 0; -EBUSY this kernel renames no link that is up; -errno. Both have their
 * names on failure. */
int move_swap_names(unsigned a, unsigned b);

#endif
