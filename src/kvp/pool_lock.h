/* kvp/pool_lock.h - both kinds of lock that users of a pool file take.
 *
 * Debian's hv_kvp_daemon takes fcntl record locks, cloud-init takes flock, and
 * on Linux the two do not exclude each other, so we hold both. The fcntl lock
 * is an open-file-description lock: it conflicts with the POSIX kind, but is
 * not lost when somebody in this process closes another descriptor of the
 * file. Neither kind is ever waited for inside the kernel: any user who may
 * read the file can flock it for as long as he likes.
 */
#ifndef KVP_POOL_LOCK_H
#define KVP_POOL_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of the monotonic clock, for deadlines. */
int64_t pool_lock_now_ms(void);

/* Both locks on the whole file, shared or exclusive; fd must be open for
 * writing for the latter. 0; -ETIMEDOUT at deadline_ms; -errno. Holds both or
 * neither. */
int pool_lock(int fd, bool exclusive, int64_t deadline_ms);
void pool_unlock(int fd);

#endif
