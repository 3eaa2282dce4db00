/* base/ctl_watch.c - a control socket's client inside a loop.
 *
 *   WAITING   no connection: the path is watched, and after a failure or a
 *             lost connection a timer tries again, later each time
 *   OPEN      io is set; every whole line is handed out
 *   paused    either of them, with nothing that could wake us
 *
 * The commands of a connection go out in one write, which a fresh socket
 * takes: the other side runs them back to back, so that a listing followed by
 * a stream leaves no gap between the two. */
#include "base/ctl_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pathwait.h"
#include "base/unix_socket.h"

enum {
	RETRY_MIN_MS = 50,
	RETRY_MAX_MS = 30000,
	LINE_MAX = 16 << 20,
	READ_SIZE = 16384,
	COMMANDS_MAX = 512,		/* bytes; below any socket's buffer */
};

struct ctl_watch {
	struct loop *loop;
	struct ctl_watch_cfg cfg;
	char *path;
	int fd;
	struct loop_io *io;		/* set while connected */
	struct pathwait *wait;
	struct loop_timer retry;
	unsigned retry_ms;
	char *buf;
	size_t len, cap, scanned;	/* scanned: known to hold no newline */
	int said;			/* 1: nothing yet */
	bool paused;
	bool *freed;			/* a call on the stack wants to know */
};

static void say(struct ctl_watch *w, int err)
{
	if (w->said == err)
		return;
	w->said = err;
	if (w->cfg.state)
		w->cfg.state(w->cfg.arg, err);
}

/* WAITING ---------------------------------------------------------------- */

static void on_appeared(void *arg)
{
	struct ctl_watch *w = arg;

	w->retry_ms = RETRY_MIN_MS;
	if (!w->paused && !w->io)
		loop_timer_set(&w->retry, 0);
}

static void try_later(struct ctl_watch *w)
{
	if (!w->wait)
		w->wait = pathwait_new(w->loop, w->path, on_appeared, w);
	loop_timer_set(&w->retry, w->retry_ms);
	w->retry_ms = w->retry_ms * 2 < RETRY_MAX_MS ? w->retry_ms * 2 :
						       RETRY_MAX_MS;
}

static void hang_up(struct ctl_watch *w)
{
	if (!w->io)
		return;
	loop_io_free(w->io);
	w->io = NULL;
	close(w->fd);
	free(w->buf);
	w->buf = NULL;
	w->len = w->cap = w->scanned = 0;
}

static void lost(struct ctl_watch *w, int err)
{
	hang_up(w);
	say(w, err);
	try_later(w);
}

/* OPEN ------------------------------------------------------------------- */

static int ask(struct ctl_watch *w)
{
	char text[COMMANDS_MAX];
	size_t len = 0;

	for (const char *const *c = w->cfg.commands; *c; c++) {
		int n = snprintf(text + len, sizeof(text) - len,
				 "{\"cmd\":\"%s\"}\n", *c);

		if (n < 0 || (size_t)n >= sizeof(text) - len)
			return -EMSGSIZE;
		len += (size_t)n;
	}
	if (send(w->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -EPIPE;
	return 0;
}

/* 0, -EPROTO, or -ECANCELED: the callback freed us. */
static int hand_out(struct ctl_watch *w, const char *line, size_t len)
{
	json_t *j = json_loadb(line, len, 0, NULL);
	bool freed = false;

	if (!json_is_object(j)) {
		json_decref(j);
		return -EPROTO;
	}
	w->freed = &freed;
	w->cfg.line(w->cfg.arg, j);
	json_decref(j);
	if (freed)
		return -ECANCELED;
	w->freed = NULL;
	return 0;
}

/* Every whole line, as long as nobody pauses us. */
static int lines(struct ctl_watch *w)
{
	size_t at = 0;
	char *nl;

	while (!w->paused && w->scanned < w->len &&
	       (nl = memchr(w->buf + w->scanned, '\n', w->len - w->scanned))) {
		size_t end = (size_t)(nl - w->buf);
		int err = hand_out(w, w->buf + at, end - at);

		if (err < 0)
			return err;
		at = w->scanned = end + 1;
	}
	if (!w->paused)
		w->scanned = w->len;
	memmove(w->buf, w->buf + at, w->len - at);
	w->len -= at;
	w->scanned -= at;
	return !w->paused && w->len > w->cfg.line_max ? -EMSGSIZE : 0;
}

static int more_bytes(struct ctl_watch *w)
{
	ssize_t n;

	if (w->cap - w->len < READ_SIZE) {
		size_t cap = w->cap ? 2 * w->cap : 2 * READ_SIZE;
		char *grown = realloc(w->buf, cap);

		if (!grown)
			return -ENOMEM;
		w->buf = grown;
		w->cap = cap;
	}
	n = read(w->fd, w->buf + w->len, READ_SIZE);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	w->len += (size_t)n;
	w->retry_ms = RETRY_MIN_MS;	/* it serves us */
	return 0;
}

static void on_io(void *arg, unsigned events)
{
	struct ctl_watch *w = arg;
	int err;

	(void)events;
	if (w->paused)
		return;
	err = more_bytes(w);
	if (!err)
		err = lines(w);
	if (err == -ECANCELED)
		return;
	if (err < 0)
		lost(w, err);
	else if (w->paused)
		loop_io_want(w->io, 0);
}

static void try_now(void *arg)
{
	struct ctl_watch *w = arg;
	int err = 0;

	if (w->paused || w->io)
		return;
	w->fd = unix_connect(w->path, SOCK_STREAM | SOCK_NONBLOCK);
	if (w->fd < 0) {
		say(w, w->fd);
		try_later(w);
		return;
	}
	w->io = loop_io_new(w->loop, w->fd, LOOP_READ, on_io, w);
	if (!w->io)
		close(w->fd);
	err = w->io ? ask(w) : -ENOMEM;
	if (err < 0) {
		lost(w, err);
		return;
	}
	pathwait_free(w->wait);
	w->wait = NULL;
	say(w, 0);
}

/* ------------------------------------------------------------------------ */

struct ctl_watch *ctl_watch_new(struct loop *l, const struct ctl_watch_cfg *cfg)
{
	struct ctl_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->loop = l;
	w->cfg = *cfg;
	if (!w->cfg.line_max)
		w->cfg.line_max = LINE_MAX;
	w->said = 1;
	w->retry_ms = RETRY_MIN_MS;
	w->path = strdup(cfg->path);
	if (!w->path) {
		free(w);
		return NULL;
	}
	loop_timer_init(&w->retry, l, try_now, w);
	loop_timer_set(&w->retry, 0);
	return w;
}

void ctl_watch_free(struct ctl_watch *w)
{
	if (!w)
		return;
	if (w->freed)
		*w->freed = true;
	hang_up(w);
	loop_timer_cancel(&w->retry);
	pathwait_free(w->wait);
	free(w->path);
	free(w);
}

void ctl_watch_pause(struct ctl_watch *w, bool paused)
{
	if (w->paused == paused)
		return;
	w->paused = paused;
	if (paused) {
		if (w->io)
			loop_io_want(w->io, 0);
		loop_timer_cancel(&w->retry);
		pathwait_free(w->wait);
		w->wait = NULL;
		return;
	}
	if (!w->io) {
		loop_timer_set(&w->retry, 0);
		return;
	}
	loop_io_want(w->io, LOOP_READ);
	if (w->len) {			/* lines that waited with us */
		int err = w->freed ? 0 : lines(w);

		if (err < 0 && err != -ECANCELED)
			lost(w, err);
	}
}

bool ctl_watch_connected(const struct ctl_watch *w)
{
	return w->io != NULL;
}
