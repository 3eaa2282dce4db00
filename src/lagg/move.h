/* lagg/move.h - moving a link's configuration to another link while traffic
 * runs: what to move, in which order, and what to do when a step fails.
 *
 * This half knows no system. It is given a snapshot and makes a plan of steps;
 * it runs a plan through two functions. What an item is in full, its lifetimes
 * and options, is bytes of the system's own that only the other half
 * (move_linux.c) looks into.
 *
 * Make before break: at each moment every address is on one of the two links
 * at least, and every destination has a route. The order:
 *   1  `to` has the MTU and is up
 *   2  reverse path filters are loose
 *   3  neighbours
 *   4  addresses, without the routes that the system makes for them
 *   5  routes, replaced in place: connected ones, then those with a gateway
 *   6  multicast groups; and wait until `to` answers for its addresses
 *   7  `to` receives (the caller's part)
 *   8  routes, then addresses, leave `from`; secondaries first
 *   9  reverse path filters are as they were
 *
 * A plan made from a state in which part of it is done does the rest; one with
 * nothing to do is empty.
 */
#ifndef LAGG_MOVE_H
#define LAGG_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum move_kind { MOVE_ADDR, MOVE_ROUTE, MOVE_NEIGH, MOVE_GROUP };

struct move_item {
	enum move_kind kind;
	unsigned index;		/* its link; 0: a route with several next hops,
				 * `from` among them */
	uint8_t family;		/* 4 or 6 */
	uint8_t prefix;		/* bits */
	uint8_t addr[16];	/* address, destination, neighbour or group */

	/* Address. */
	uint8_t net[16];	/* what its connected route leads to */
	bool secondary;
	bool no_route;		/* the system shall make no connected route */

	/* Route. */
	uint32_t table, metric;
	uint8_t tos;
	bool gateway;		/* there is one: other routes lead to it */
	bool connected;		/* the system made it for an address */

	void *os;		/* ours; NULL for others' routes */
	size_t os_len;
};

struct move_link {
	unsigned index;
	bool up;
	uint32_t mtu;
};

struct move_snap {
	struct move_link from, to;
	/* All of `from`. Of others: routes, to know what shares a place. */
	struct move_item *items;
	size_t n;
};

void move_snap_free(struct move_snap *s);

enum move_way {
	MOVE_TO_AGGREGATE,
	MOVE_BACK,		/* connected routes are the system's again */
};

enum move_op {
	MOVE_OP_MTU, MOVE_OP_UP, MOVE_OP_LOOSE, MOVE_OP_NEIGH, MOVE_OP_ADDR,
	MOVE_OP_ROUTE, MOVE_OP_JOIN, MOVE_OP_SETTLE, MOVE_OP_RECEIVE,
	MOVE_OP_ROUTE_DEL, MOVE_OP_ADDR_DEL, MOVE_OP_STRICT, MOVE_N_OPS
};

struct move_step {
	enum move_op op;
	const struct move_item *item;	/* of the snapshot; NULL: of the links */
	bool no_route;		/* ADDR: as move_item's, for `to` */
	bool replace;		/* ROUTE: takes the place of from's; else it
				 * is put beside it, because other links have
				 * routes in that place */
};

struct move_plan {
	struct move_step *steps;
	size_t n;
};

/* The plan points into the snapshot. 0 or -ENOMEM. */
int move_plan(struct move_plan *p, const struct move_snap *s, enum move_way way);
void move_plan_free(struct move_plan *p);

struct move_ops {
	/* 1 done; 0 it was so already; -errno. */
	int (*apply)(void *arg, const struct move_step *step);
	/* Undo what apply did. It may fail; there is nobody to tell. */
	void (*undo)(void *arg, const struct move_step *step);
};

/* Each step in order. When one fails, those that changed something are undone,
 * the last first; routes in their own order, as a gateway needs the route that
 * leads to it. 0; -errno of the step, whose number is in *failed; -ENOMEM
 * before the first. */
int move_run(const struct move_plan *p, const struct move_ops *ops, void *arg,
	     size_t *failed);

const char *move_op_name(enum move_op op);

#endif
