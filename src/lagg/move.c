/* lagg/move.c - the order of a move.
 *
 * Addresses go to `to` without connected routes, since the system would put
 * its own beside those that are there, and remove them again with the address
 * on `from`. The route that is there is replaced in place instead, so that
 * there is no moment without one.
 *
 * To replace is to take the place of whatever has that destination, table and
 * metric. Where other links have a route in the same place (fe80::/64, two
 * links in one subnet), that could be theirs; then ours is added beside, and
 * from's deleted later. To delete what is replaced already is no error, so
 * every route is deleted: what a half-done earlier move left goes, too.
 *
 * On the way back an address makes its connected route again. We know that it
 * did so before from the connected route that is there. */
#include "lagg/move.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void move_snap_free(struct move_snap *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->items[i].os);
	free(s->items);
	*s = (struct move_snap){ 0 };
}

static bool same_net(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(a, b, whole))
		return false;
	return !rest || !((a[whole] ^ b[whole]) >> (8 - rest));
}

static bool same_place(const struct move_item *a, const struct move_item *b)
{
	return a->family == b->family && a->table == b->table &&
	       a->metric == b->metric && a->tos == b->tos &&
	       a->prefix == b->prefix && !memcmp(a->addr, b->addr, 16);
}

/* Whether another link has a route in the same place. */
static bool is_shared(const struct move_snap *s, const struct move_item *r)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].kind == MOVE_ROUTE &&
		    s->items[i].index != r->index &&
		    same_place(&s->items[i], r))
			return true;
	return false;
}

static bool leads_to(const struct move_item *route, const struct move_item *addr)
{
	return route->kind == MOVE_ROUTE && route->connected &&
	       route->index == addr->index && route->family == addr->family &&
	       route->prefix == addr->prefix &&
	       same_net(route->addr, addr->net, addr->prefix);
}

static bool has_connected(const struct move_snap *s,
			  const struct move_item *addr)
{
	for (size_t i = 0; i < s->n; i++)
		if (leads_to(&s->items[i], addr))
			return true;
	return false;
}

/* Whether the system makes this route on the way back. */
static bool comes_by_itself(const struct move_snap *s,
			    const struct move_item *route)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].kind == MOVE_ADDR &&
		    leads_to(route, &s->items[i]))
			return true;
	return false;
}

/* Writing the plan ------------------------------------------------------- */

struct writer {
	struct move_plan *p;
	const struct move_snap *s;
	enum move_way way;
};

static struct move_step *put(struct writer *w, enum move_op op,
			     const struct move_item *item)
{
	struct move_step *step = &w->p->steps[w->p->n++];

	*step = (struct move_step){ .op = op, .item = item };
	return step;
}

static bool is_ours(const struct writer *w, const struct move_item *i,
		    enum move_kind kind)
{
	return i->kind == kind && i->os &&
	       (i->index == w->s->from.index || !i->index);
}

static void put_each(struct writer *w, enum move_op op, enum move_kind kind)
{
	for (size_t i = 0; i < w->s->n; i++)
		if (is_ours(w, &w->s->items[i], kind))
			put(w, op, &w->s->items[i]);
}

static void put_addresses(struct writer *w, bool secondary)
{
	for (size_t i = 0; i < w->s->n; i++) {
		const struct move_item *a = &w->s->items[i];
		bool connected;

		if (!is_ours(w, a, MOVE_ADDR) || a->secondary != secondary)
			continue;
		connected = has_connected(w->s, a);
		put(w, MOVE_OP_ADDR, a)->no_route = w->way == MOVE_BACK ?
			a->no_route && !connected : a->no_route || connected;
	}
}

static void put_routes(struct writer *w, bool gateway)
{
	for (size_t i = 0; i < w->s->n; i++) {
		const struct move_item *r = &w->s->items[i];

		if (!is_ours(w, r, MOVE_ROUTE) || r->gateway != gateway)
			continue;
		if (w->way == MOVE_BACK && r->connected &&
		    comes_by_itself(w->s, r))
			continue;
		put(w, MOVE_OP_ROUTE, r)->replace =
			!r->index || !is_shared(w->s, r);
	}
}

/* Those with several next hops hold others' too: replaced, never deleted. */
static void put_route_deletions(struct writer *w, bool gateway)
{
	for (size_t i = 0; i < w->s->n; i++)
		if (is_ours(w, &w->s->items[i], MOVE_ROUTE) &&
		    w->s->items[i].index && w->s->items[i].gateway == gateway)
			put(w, MOVE_OP_ROUTE_DEL, &w->s->items[i]);
}

static void put_address_deletions(struct writer *w, bool secondary)
{
	for (size_t i = w->s->n; i-- > 0;)
		if (is_ours(w, &w->s->items[i], MOVE_ADDR) &&
		    w->s->items[i].secondary == secondary)
			put(w, MOVE_OP_ADDR_DEL, &w->s->items[i]);
}

static size_t n_of(const struct writer *w, enum move_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < w->s->n; i++)
		n += is_ours(w, &w->s->items[i], kind);
	return n;
}

static void write_plan(struct writer *w)
{
	put(w, MOVE_OP_LOOSE, NULL);
	put_each(w, MOVE_OP_NEIGH, MOVE_NEIGH);
	put_addresses(w, false);
	put_addresses(w, true);
	put_routes(w, false);
	put_routes(w, true);
	if (w->way == MOVE_TO_AGGREGATE)
		put_each(w, MOVE_OP_JOIN, MOVE_GROUP);
	if (n_of(w, MOVE_ADDR))
		put(w, MOVE_OP_SETTLE, NULL);
	put(w, MOVE_OP_RECEIVE, NULL);
	put_route_deletions(w, true);
	put_route_deletions(w, false);
	put_address_deletions(w, true);
	put_address_deletions(w, false);
	put(w, MOVE_OP_STRICT, NULL);
}

enum { AROUND = 6 };		/* steps of the links */

int move_plan(struct move_plan *p, const struct move_snap *s, enum move_way way)
{
	struct writer w = { p, s, way };

	*p = (struct move_plan){ 0 };
	p->steps = calloc(2 * s->n + AROUND, sizeof(*p->steps));
	if (!p->steps)
		return -ENOMEM;
	if (s->from.mtu != s->to.mtu)
		put(&w, MOVE_OP_MTU, NULL);
	if (s->from.up && !s->to.up)
		put(&w, MOVE_OP_UP, NULL);
	if (n_of(&w, MOVE_ADDR) + n_of(&w, MOVE_ROUTE) +
	    n_of(&w, MOVE_NEIGH) + n_of(&w, MOVE_GROUP))
		write_plan(&w);
	return 0;
}

void move_plan_free(struct move_plan *p)
{
	free(p->steps);
	*p = (struct move_plan){ 0 };
}

/* Running it ------------------------------------------------------------- */

/* Those of the first n that were done. A run of routes goes forwards. */
static void undo_done(const struct move_plan *p, const struct move_ops *ops,
		      void *arg, const bool *done, size_t n)
{
	while (n > 0) {
		size_t first = n - 1;

		while (first > 0 && p->steps[first].op == MOVE_OP_ROUTE &&
		       p->steps[first - 1].op == MOVE_OP_ROUTE)
			first--;
		for (size_t i = first; i < n; i++)
			if (done[i])
				ops->undo(arg, &p->steps[i]);
		n = first;
	}
}

int move_run(const struct move_plan *p, const struct move_ops *ops, void *arg,
	     size_t *failed)
{
	bool *done = calloc(p->n + 1, sizeof(*done));
	int r = 0;
	size_t i;

	if (!done)
		return -ENOMEM;
	for (i = 0; i < p->n; i++) {
		r = ops->apply(arg, &p->steps[i]);
		if (r < 0)
			break;
		done[i] = r;
	}
	*failed = i;
	if (r < 0)
		undo_done(p, ops, arg, done, i);
	free(done);
	return r < 0 ? r : 0;
}

const char *move_op_name(enum move_op op)
{
	static const char *const names[] = {
		[MOVE_OP_MTU] = "mtu", [MOVE_OP_UP] = "up",
		[MOVE_OP_LOOSE] = "loose reverse path filter",
		[MOVE_OP_NEIGH] = "neighbour", [MOVE_OP_ADDR] = "address",
		[MOVE_OP_ROUTE] = "route", [MOVE_OP_JOIN] = "multicast group",
		[MOVE_OP_SETTLE] = "addresses in use",
		[MOVE_OP_RECEIVE] = "receive",
		[MOVE_OP_ROUTE_DEL] = "route removal",
		[MOVE_OP_ADDR_DEL] = "address removal",
		[MOVE_OP_STRICT] = "reverse path filter as before",
	};

	_Static_assert(sizeof(names) / sizeof(*names) == MOVE_N_OPS,
		       "each step has a name");
	return names[op];
}
