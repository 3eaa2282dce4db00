/* lagg/links.h - the interfaces that there are, kept up to date.
 *
 * The OS boundary: links_linux.c fills the table by rtnetlink, first from a
 * dump and then from each event, in the order in which the kernel tells them.
 * When it tells more than we could take, the table is read anew: what is
 * missed so is the way, not where it led.
 *
 * An interface is known by its index, so a rename is a change like any other;
 * one that moves to another network namespace is gone.
 */
#ifndef LAGG_LINKS_H
#define LAGG_LINKS_H

#include <stddef.h>

#include "base/loop.h"
#include "lagg/link.h"

struct links;

/* They may call anything here but links_free(). */
struct links_ops {
	/* was NULL: it is new. is NULL: it is gone. Else they differ. Both are
	 * valid during the call. */
	void (*changed)(void *arg, const struct link *was,
			const struct link *is);
	/* The table is complete, the first time or again. */
	void (*complete)(void *arg);
	/* Whether it is an hnX or laggX of ours. NULL: none is. */
	bool (*ours)(void *arg, const struct link *l);
};

struct links_stats {
	uint64_t events;		/* that changed anything */
	uint64_t reads;			/* of the whole table */
	uint64_t overruns;		/* the kernel told more than fits */
	uint64_t bad;			/* messages that could not be read */
};

/* Of the caller's network namespace. Everything else comes from the loop.
 * NULL with errno set. */
struct links *links_new(struct loop *l, const struct links_ops *ops, void *arg);
void links_free(struct links *t);		/* NULL is fine */

/* All of them, in no order; valid until the next change. */
const struct link *links_all(const struct links *t, size_t *n);
const struct link *links_find(const struct links *t, unsigned ifindex);
bool links_complete(const struct links *t);
/* Ask ours() again for all, after its answer for some has changed. */
void links_ask_ours(struct links *t);
void links_stats_get(const struct links *t, struct links_stats *s);

#endif
