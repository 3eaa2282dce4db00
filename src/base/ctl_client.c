/* base/ctl_client.c - the asking side of the control socket; blocking, for
 * command-line programs. */
#include "base/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unix_socket.h"

enum { REPLY_MAX = 16 << 20 };	/* bytes of one reply line */

static int write_line(int fd, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0, done = 0;
	int err = 0;

	json_decref(request);
	if (!text)
		return -ENOMEM;
	text[len++] = '\n';		/* in the place of the NUL */
	while (done < len && !err) {
		ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			err = errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	free(text);
	return err;
}

/* Wait until fd is readable. 0, -ETIMEDOUT or -errno. */
static int wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, timeout_ms);

	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

int ctl_stream_open(struct ctl_stream *s, const char *path, json_t *request)
{
	int err;

	s->len = s->scanned = s->cap = 0;
	s->buf = NULL;
	s->fd = unix_connect(path, SOCK_STREAM);
	if (s->fd < 0) {
		err = s->fd;
		json_decref(request);
		s->fd = -1;
		return err;
	}
	err = write_line(s->fd, request);
	if (err < 0)
		ctl_stream_close(s);
	return err;
}

static int more_bytes(struct ctl_stream *s, int timeout_ms)
{
	ssize_t n;
	int err;

	if (s->len == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 4096;
		char *grown = cap > REPLY_MAX ? NULL : realloc(s->buf, cap);

		if (!grown)
			return -ENOMEM;
		s->buf = grown;
		s->cap = cap;
	}
	err = wait_readable(s->fd, timeout_ms);
	if (err < 0)
		return err;
	n = read(s->fd, s->buf + s->len, s->cap - s->len);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	s->len += (size_t)n;
	return 0;
}

int ctl_stream_next(struct ctl_stream *s, int timeout_ms, json_t **line)
{
	char *nl;

	while (!s->len || !(nl = memchr(s->buf + s->scanned, '\n',
					s->len - s->scanned))) {
		int err;

		s->scanned = s->len;
		err = more_bytes(s, timeout_ms);
		if (err < 0)
			return err;
	}
	*line = json_loadb(s->buf, (size_t)(nl - s->buf), 0, NULL);
	s->len -= (size_t)(nl - s->buf) + 1;
	memmove(s->buf, nl + 1, s->len);
	s->scanned = 0;
	return *line ? 0 : -EPROTO;
}

void ctl_stream_close(struct ctl_stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s->buf);
	s->buf = NULL;
	s->fd = -1;
}

int ctl_call(const char *path, json_t *request, int timeout_ms, json_t **reply)
{
	struct ctl_stream s;
	int err = ctl_stream_open(&s, path, request);

	if (err < 0)
		return err;
	err = ctl_stream_next(&s, timeout_ms, reply);
	ctl_stream_close(&s);
	return err;
}
