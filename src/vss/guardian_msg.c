/* vss/guardian_msg.c - what daemon and guardian tell each other: one packet a
 * message, descriptors beside it. Nothing here allocates. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vss/guardian.h"

union control {
	char buf[CMSG_SPACE(sizeof(int) * FREEZE_MAX_FS)];
	struct cmsghdr align;
};

static bool has(const struct guardian_msg *m, unsigned i)
{
	return m->have[i / 32] >> (i % 32) & 1;
}

/* The descriptors there are, without gaps; which they are goes to m->have. */
static unsigned pack(struct guardian_msg *m, const int *fds, int *out)
{
	unsigned n = 0;

	memset(m->have, 0, sizeof(m->have));
	for (unsigned i = 0; fds && i < m->n; i++) {
		if (fds[i] < 0)
			continue;
		m->have[i / 32] |= 1U << (i % 32);
		out[n++] = fds[i];
	}
	return n;
}

int guardian_send(int sock, const struct guardian_msg *m, const int *fds)
{
	struct guardian_msg copy = *m;
	struct iovec iov = { &copy, sizeof(copy) };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
	int list[FREEZE_MAX_FS];
	unsigned n = pack(&copy, fds, list);
	union control c;

	if (n) {
		struct cmsghdr *cm;

		memset(&c, 0, sizeof(c));
		h.msg_control = c.buf;
		h.msg_controllen = CMSG_SPACE(n * sizeof(int));
		cm = CMSG_FIRSTHDR(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(cm), list, n * sizeof(int));
	}
	if (sendmsg(sock, &h, MSG_NOSIGNAL) == (ssize_t)sizeof(copy))
		return 0;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
}

static unsigned received(struct msghdr *h, int list[FREEZE_MAX_FS])
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(h);
	size_t len;

	if (!cm || cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
		return 0;
	len = cm->cmsg_len - CMSG_LEN(0);
	memcpy(list, CMSG_DATA(cm), len);
	return (unsigned)(len / sizeof(int));
}

/* Put them where they belong; all of them must have come. */
static int unpack(const struct guardian_msg *m, const int *list, unsigned n,
		  int *fds)
{
	unsigned at = 0;

	for (unsigned i = 0; i < FREEZE_MAX_FS; i++) {
		fds[i] = -1;
		if (!has(m, i))
			continue;
		if (at == n)
			return -EBADMSG;
		fds[i] = list[at++];
	}
	return at == n ? 0 : -EBADMSG;
}

int guardian_recv(int sock, struct guardian_msg *m, int *fds)
{
	struct iovec iov = { m, sizeof(*m) };
	union control c;
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1,
			    .msg_control = c.buf,
			    .msg_controllen = sizeof(c.buf) };
	int list[FREEZE_MAX_FS];
	unsigned count;
	ssize_t n = recvmsg(sock, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	count = received(&h, list);
	if ((size_t)n == sizeof(*m) && m->op == GUARDIAN_ARM && fds &&
	    m->n <= FREEZE_MAX_FS && unpack(m, list, count, fds) == 0)
		return 1;
	close_all(list, count);
	if ((size_t)n != sizeof(*m) || m->op == GUARDIAN_ARM || count)
		return -EBADMSG;
	return 1;
}
