/* vmbus/shm_wait.h - wait for a path to appear or change, without polling:
 * inotify on its directory, or on the nearest directory above that exists.
 */
#ifndef VMBUS_SHM_WAIT_H
#define VMBUS_SHM_WAIT_H

#include "base/loop.h"

struct shm_wait;

/* changed() means: look again. It may come without need, never too late.
 * path is copied. NULL with errno set. */
struct shm_wait *shm_wait_new(struct loop *l, const char *path,
			      void (*changed)(void *arg), void *arg);
void shm_wait_free(struct shm_wait *w);		/* NULL is fine */

/* Start and stop watching; stopped at first. Start, then look at the path.
 * 0 or -errno, then nothing is watched. */
int shm_wait_start(struct shm_wait *w);
void shm_wait_stop(struct shm_wait *w);

#endif
