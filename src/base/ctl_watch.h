/* base/ctl_watch.h - follow streams of another program's control socket from
 * a loop: connects when the program is there, asks, hands out line by line,
 * and starts over when it goes away. Never blocks.
 */
#ifndef BASE_CTL_WATCH_H
#define BASE_CTL_WATCH_H

#include <jansson.h>
#include <stdbool.h>

#include "base/loop.h"

struct ctl_watch;

struct ctl_watch_cfg {
	const char *path;		/* of the socket; copied */
	/* Commands, in this order, on each connection; end: NULL. The last
	 * one may be a stream. Must stay valid. */
	const char *const *commands;
	/* A line that came; borrowed. Lines that are no JSON objects, or
	 * longer than line_max, end the connection. fn may free the watch. */
	void (*line)(void *arg, json_t *line);
	/* It is connected (0), or not any more, or still not: -errno. Once a
	 * change. May be NULL; must not free the watch. */
	void (*state)(void *arg, int err);
	void *arg;
	size_t line_max;		/* bytes; 0: 16 MiB */
};

/* NULL with errno set. The first attempt is made from the loop. */
struct ctl_watch *ctl_watch_new(struct loop *l, const struct ctl_watch_cfg *cfg);
void ctl_watch_free(struct ctl_watch *w);		/* NULL is fine */

/* Read nothing, connect nowhere, allocate nothing, until told otherwise; what
 * arrives waits in the socket. */
void ctl_watch_pause(struct ctl_watch *w, bool paused);
bool ctl_watch_connected(const struct ctl_watch *w);

#endif
