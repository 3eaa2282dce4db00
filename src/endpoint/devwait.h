/* endpoint/devwait.h - be told when a device file may have come into being,
 * without polling: the directory that it will appear in is watched, or, while
 * that does not exist, the nearest one above it.
 */
#ifndef ENDPOINT_DEVWAIT_H
#define ENDPOINT_DEVWAIT_H

#include "base/loop.h"

struct devwait;

/* Call fn whenever the path was created, renamed into place or given other
 * rights. fn may free the devwait. Also once, from the loop, when it turns
 * out to exist while the watch is set up anew. path is copied. NULL with
 * errno set. */
struct devwait *devwait_new(struct loop *l, const char *path,
			    void (*fn)(void *arg), void *arg);
void devwait_free(struct devwait *w);		/* NULL is fine */

#endif
