/* vmbus/shm_sock.h - the wire between a guest and hvhost: a Unix socket of type
 * SOCK_SEQPACKET that carries VMBus control messages, one a packet, some with
 * descriptors (doc/wire/vmbus.md, "The socket transport").
 *
 * Both ends use it. The peer may send anything: a packet that is no message
 * ends the connection, descriptors that nobody takes are closed.
 */
#ifndef VMBUS_SHM_SOCK_H
#define VMBUS_SHM_SOCK_H

#include "base/loop.h"
#include "vmbus/msg_wire.h"

enum {
	SHM_FDS_MAX = 2,	/* descriptors in one packet */
	SHM_QUEUE_MAX = 4096,	/* messages kept for a peer that does not read */
};

struct shm_sock;

/* The descriptors that came with a message. Take one by setting it to -1;
 * the others are closed after the call. */
struct shm_fds {
	int fd[SHM_FDS_MAX];
	unsigned n;
};

struct shm_sock_ops {
	/* m is valid during the call. The callee may free the socket. */
	void (*message)(void *arg, const struct vmbus_msg *m,
			struct shm_fds *fds);
	/* The connection is over: 0 the peer left, -EBADMSG it sent what is no
	 * message, or another -errno. The callee frees the socket. */
	void (*closed)(void *arg, int err);
};

/* Takes fd, a connected and non-blocking socket, in any case. NULL with errno
 * set. */
struct shm_sock *shm_sock_new(struct loop *l, int fd,
			      const struct shm_sock_ops *ops, void *arg);
void shm_sock_free(struct shm_sock *s);		/* NULL is fine */

/* Send m, or keep it until the peer reads; with duplicates of fds. Failure ends
 * the connection, and closed() says so from the loop. */
void shm_sock_send(struct shm_sock *s, const struct vmbus_msg *m,
		   const int *fds, unsigned n);

/* Has the peer left, though closed() was not called yet? */
bool shm_sock_hung_up(const struct shm_sock *s);

/* Is fd an eventfd, as far as /proc can tell? Also makes it non-blocking. */
bool shm_is_eventfd(int fd);
/* Reset an eventfd's counter. Never blocks, whatever the peer did to it. */
void shm_eventfd_clear(int fd);
void shm_eventfd_ring(int fd);

#endif
