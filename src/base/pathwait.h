/* base/pathwait.h - be told when a path may have come into being, without
 * polling: the directory that it will appear in is watched, or, while that
 * does not exist, the nearest one above it.
 */
#ifndef BASE_PATHWAIT_H
#define BASE_PATHWAIT_H

#include "base/loop.h"

struct pathwait;

/* Call fn whenever the path was created, renamed into place or given other
 * rights. fn may free the pathwait. Also once, from the loop, when it turns
 * out to exist while the watch is set up anew. path is copied. NULL with
 * errno set. */
struct pathwait *pathwait_new(struct loop *l, const char *path,
			      void (*fn)(void *arg), void *arg);
void pathwait_free(struct pathwait *w);		/* NULL is fine */

#endif
