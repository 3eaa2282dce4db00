/* vmbus/shm_sock.c - control messages and descriptors over a Unix socket.
 *
 * A long page list is hundreds of messages, more than a socket buffers, so
 * what does not go out at once waits in a queue, with its own duplicates of
 * the descriptors. An error is never reported from inside shm_sock_send():
 * the socket is shut down, which the loop then finds.
 */
#include "vmbus/shm_sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BURST = 64 };		/* messages read a wake-up */

struct queued {
	struct queued *next;
	size_t len;
	unsigned n_fds;
	int fds[SHM_FDS_MAX];
	uint8_t bytes[];
};

struct shm_sock {
	int fd;
	struct loop_io *io;
	const struct shm_sock_ops *ops;
	void *arg;
	int err;			/* why we shut it down, 0 = we did not */
	struct queued *first, **last;
	unsigned n_queued;
	bool *gone;			/* set when freed in a callback */
};

union control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(SHM_FDS_MAX * sizeof(int))];
};

static void on_io(void *arg, unsigned events);

struct shm_sock *shm_sock_new(struct loop *l, int fd,
			      const struct shm_sock_ops *ops, void *arg)
{
	struct shm_sock *s = calloc(1, sizeof(*s));

	if (s) {
		s->fd = fd;
		s->ops = ops;
		s->arg = arg;
		s->last = &s->first;
		s->io = loop_io_new(l, fd, LOOP_READ, on_io, s);
	}
	if (!s || !s->io) {
		free(s);
		close(fd);
		errno = ENOMEM;
		return NULL;
	}
	return s;
}

static void close_fds(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void drop_first(struct shm_sock *s)
{
	struct queued *q = s->first;

	s->first = q->next;
	if (!s->first)
		s->last = &s->first;
	s->n_queued--;
	close_fds(q->fds, q->n_fds);
	free(q);
}

void shm_sock_free(struct shm_sock *s)
{
	if (!s)
		return;
	if (s->gone)
		*s->gone = true;
	while (s->first)
		drop_first(s);
	loop_io_free(s->io);
	close(s->fd);
	free(s);
}

static int send_now(struct shm_sock *s, const void *buf, size_t len,
		    const int *fds, unsigned n)
{
	struct iovec iov = { (void *)buf, len };
	union control control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	if (sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
}

static void fail(struct shm_sock *s, int err)
{
	if (!s->err)
		s->err = err;
	shutdown(s->fd, SHUT_RDWR);
	loop_io_want(s->io, LOOP_READ);
}

static int queue(struct shm_sock *s, const void *buf, size_t len,
		 const int *fds, unsigned n)
{
	struct queued *q;

	if (s->n_queued == SHM_QUEUE_MAX)
		return -ENOBUFS;
	q = calloc(1, sizeof(*q) + len);
	if (!q)
		return -ENOMEM;
	memcpy(q->bytes, buf, len);
	q->len = len;
	for (; q->n_fds < n; q->n_fds++) {
		int fd = fcntl(fds[q->n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0) {
			int err = -errno;

			close_fds(q->fds, q->n_fds);
			free(q);
			return err;
		}
		q->fds[q->n_fds] = fd;
	}
	*s->last = q;
	s->last = &q->next;
	s->n_queued++;
	loop_io_want(s->io, LOOP_READ | LOOP_WRITE);
	return 0;
}

void shm_sock_send(struct shm_sock *s, const struct vmbus_msg *m,
		   const int *fds, unsigned n)
{
	uint8_t buf[VMBUS_MSG_MAX];
	struct wr w = wr_of(buf, sizeof(buf));
	int err = -EAGAIN;

	msg_put(&w, m);
	if (s->err)
		return;
	if (!s->first)
		err = send_now(s, buf, w.len, fds, n);
	if (err == -EAGAIN)
		err = queue(s, buf, w.len, fds, n);
	if (err < 0)
		fail(s, err);
}

static void send_queued(struct shm_sock *s)
{
	while (s->first && !s->err) {
		struct queued *q = s->first;
		int err = send_now(s, q->bytes, q->len, q->fds, q->n_fds);

		if (err == -EAGAIN)
			return;
		if (err < 0)
			fail(s, err);
		drop_first(s);
	}
	loop_io_want(s->io, LOOP_READ);
}

/* Everything SCM_RIGHTS brought; what is over SHM_FDS_MAX the kernel drops. */
static void collect_fds(struct shm_fds *fds, struct msghdr *msg)
{
	fds->n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		fds->n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds->fd, CMSG_DATA(c), fds->n * sizeof(int));
	}
}

/* One packet. 1 received; 0 none there now; -EPIPE the peer left; -errno. */
static int receive(struct shm_sock *s, uint8_t *buf, size_t *len,
		   struct shm_fds *fds)
{
	struct iovec iov = { buf, VMBUS_MSG_MAX };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t got = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	collect_fds(fds, &msg);
	if (got == 0) {			/* or an empty packet: no message */
		close_fds(fds->fd, fds->n);
		return -EPIPE;
	}
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		close_fds(fds->fd, fds->n);
		return -EBADMSG;
	}
	*len = (size_t)got;
	return 1;
}

static int read_one(struct shm_sock *s)
{
	uint8_t buf[VMBUS_MSG_MAX];
	struct vmbus_msg m;
	struct shm_fds fds = { .n = 0 };
	size_t len = 0;
	int err = receive(s, buf, &len, &fds);

	if (err <= 0)
		return err;
	err = msg_get(&m, buf, len);
	if (err == 0)
		s->ops->message(s->arg, &m, &fds);
	close_fds(fds.fd, fds.n);
	return err == -EBADMSG ? err : 1;	/* types of newer peers: skip */
}

static void on_io(void *arg, unsigned events)
{
	struct shm_sock *s = arg;
	bool gone = false;
	int err = 1;

	if (events & LOOP_WRITE)
		send_queued(s);
	s->gone = &gone;
	for (unsigned n = 0; n < BURST && err > 0; n++) {
		err = read_one(s);
		if (gone)
			return;
	}
	s->gone = NULL;
	if (err >= 0)
		return;
	if (s->err)
		err = s->err;
	s->ops->closed(s->arg, err == -EPIPE || err == -ECONNRESET ? 0 : err);
}

bool shm_sock_hung_up(const struct shm_sock *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP);
}

bool shm_is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[64], is[64];
	int flags = fcntl(fd, F_GETFL);
	ssize_t n;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, is, sizeof(is));
	if (n < 0)
		return true;		/* no /proc: nobody can tell */
	return (size_t)n == sizeof(want) - 1 && !memcmp(is, want, (size_t)n);
}

/* O_NONBLOCK is shared with the peer, which may clear it; RWF_NOWAIT is ours. */
void shm_eventfd_clear(int fd)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };

	(void)!preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
}

void shm_eventfd_ring(int fd)
{
	uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));	/* full: it is rung already */
}
