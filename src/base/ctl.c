/* base/ctl.c - the control socket: JSON lines over a Unix stream socket.
 *
 * Each connection collects bytes until a newline, runs the command and sends
 * the reply. Sending never blocks the program: what the kernel does not take
 * at once is kept, up to OUT_MAX bytes; a client that lets more pile up is
 * cut off. Connections that are left open and say nothing must not keep the
 * operator out: the oldest of them makes room for a new one. */
#include "base/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unix_socket.h"

enum {
	MAX_CONNS = 32,
	OUT_MAX = 4 << 20,	/* bytes; a listing of 10,000 keys fits */
};

struct ctl_conn {
	struct ctl *ctl;
	struct ctl_conn *next;
	int fd;
	struct loop_io *io;
	char *in;			/* a partial request line */
	size_t in_len, in_cap;
	char *out;			/* not yet taken by the kernel */
	size_t out_len;
	bool busy;			/* a handler owes a reply, or streams */
	bool kept;			/* not closed to make room */
	bool dead;			/* closed; freed when nobody is inside */
	unsigned inside;		/* calls on the stack that use it */
	void (*on_close)(void *arg, struct ctl_conn *c);
	void *on_close_arg;
};

struct ctl {
	struct loop *loop;
	const struct ctl_command *commands;
	void *arg;
	struct unix_listener listener;
	struct loop_io *io;
	struct ctl_conn *conns;
	unsigned n_conns;
};

static void conn_reap(struct ctl_conn *c)
{
	struct ctl_conn **at = &c->ctl->conns;

	if (!c->dead || c->inside)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->ctl->n_conns--;
	free(c->in);
	free(c->out);
	free(c);
}

static void conn_close(struct ctl_conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	loop_io_free(c->io);
	close(c->fd);
	if (c->on_close) {
		c->inside++;
		c->on_close(c->on_close_arg, c);
		c->inside--;
	}
}

/* Give the kernel what it takes. */
static int conn_flush(struct ctl_conn *c)
{
	while (c->out_len) {
		ssize_t n = write(c->fd, c->out, c->out_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -EPIPE;
		c->out_len -= (size_t)n;
		memmove(c->out, c->out + n, c->out_len);
	}
	loop_io_want(c->io, c->out_len ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return 0;
}

static int conn_append(struct ctl_conn *c, char *text)
{
	size_t len = strlen(text);
	char *grown;

	if (c->out_len + len + 1 > OUT_MAX)
		return -EPIPE;
	grown = realloc(c->out, c->out_len + len + 1);
	if (!grown)
		return -ENOMEM;
	memcpy(grown + c->out_len, text, len);
	grown[c->out_len + len] = '\n';
	c->out = grown;
	c->out_len += len + 1;
	return 0;
}

int ctl_reply(struct ctl_conn *c, json_t *line)
{
	char *text;
	int err = -EPIPE;

	if (json_is_object(line) && !json_object_get(line, "ok"))
		json_object_set_new(line, "ok",
				    json_boolean(!json_object_get(line, "error")));
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (!c->dead && text) {
		err = conn_append(c, text);
		if (!err)
			err = conn_flush(c);
	}
	free(text);
	if (err < 0) {
		conn_close(c);	/* the caller may still hold c: reaped later */
		return -EPIPE;
	}
	c->busy = false;
	if (c->in_len && !c->inside)	/* lines that waited: from the loop */
		loop_io_want(c->io, LOOP_READ | LOOP_WRITE);
	return 0;
}

void ctl_on_close(struct ctl_conn *c, void (*fn)(void *arg, struct ctl_conn *c),
		  void *arg)
{
	c->on_close = fn;
	c->on_close_arg = arg;
}

void ctl_keep(struct ctl_conn *c)
{
	c->kept = true;
}

json_t *ctl_error(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_pack("{s:s}", "error", text);
}

static json_t *dispatch(struct ctl_conn *c, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));

	if (!name)
		return ctl_error("no \"cmd\" in the request");
	for (const struct ctl_command *cmd = c->ctl->commands; cmd->name; cmd++)
		if (!strcmp(cmd->name, name))
			return cmd->fn(c->ctl->arg, c, request);
	return ctl_error("unknown command \"%.64s\"", name);
}

static void run_line(struct ctl_conn *c, const char *line, size_t len)
{
	json_error_t err;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &err);
	json_t *reply;

	c->busy = true;
	if (json_is_object(request))
		reply = dispatch(c, request);
	else
		reply = ctl_error("not a JSON object: %s", request ? "" : err.text);
	json_decref(request);
	if (reply)
		ctl_reply(c, reply);
}

/* Run every whole line that has arrived; while a reply is owed, wait. */
static void conn_lines(struct ctl_conn *c)
{
	char *nl;

	while (!c->dead && !c->busy && c->in_len &&
	       (nl = memchr(c->in, '\n', c->in_len))) {
		size_t used = (size_t)(nl - c->in) + 1;

		run_line(c, c->in, used - 1);
		c->in_len -= used;
		memmove(c->in, c->in + used, c->in_len);
	}
	if (!c->dead && c->in_len >= CTL_LINE_MAX)
		conn_close(c);
}

static int conn_read(struct ctl_conn *c)
{
	ssize_t n;

	if (c->in_len == c->in_cap) {
		size_t cap = c->in_cap ? 2 * c->in_cap : 512;
		char *grown = realloc(c->in, cap);

		if (!grown)
			return -ENOMEM;
		c->in = grown;
		c->in_cap = cap;
	}
	n = read(c->fd, c->in + c->in_len, c->in_cap - c->in_len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	c->in_len += (size_t)n;
	return 0;
}

static void on_conn(void *arg, unsigned events)
{
	struct ctl_conn *c = arg;

	c->inside++;
	if ((events & LOOP_WRITE) && conn_flush(c) < 0)
		conn_close(c);
	if (!c->dead && (events & LOOP_READ) && conn_read(c) < 0)
		conn_close(c);
	conn_lines(c);
	c->inside--;
	conn_reap(c);
}

/* Free what ctl_reply() found dead while nobody was there to free it. */
static void reap_dead(struct ctl *ctl)
{
	struct ctl_conn *next;

	for (struct ctl_conn *c = ctl->conns; c; c = next) {
		next = c->next;
		conn_reap(c);
	}
}

/* Close the connection that has been open longest of those that wait for
 * nothing from us. */
static void make_room(struct ctl *ctl)
{
	struct ctl_conn *oldest = NULL;

	for (struct ctl_conn *c = ctl->conns; c; c = c->next)
		if (!c->busy && !c->kept && !c->inside)
			oldest = c;	/* new ones are put in front */
	if (!oldest)
		return;
	conn_close(oldest);
	conn_reap(oldest);
}

static void on_accept(void *arg, unsigned events)
{
	struct ctl *ctl = arg;
	int fd = unix_accept(&ctl->listener);
	struct ctl_conn *c;

	(void)events;
	reap_dead(ctl);
	if (fd < 0)
		return;
	if (ctl->n_conns == MAX_CONNS)
		make_room(ctl);
	c = ctl->n_conns < MAX_CONNS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->ctl = ctl;
	c->fd = fd;
	c->io = loop_io_new(ctl->loop, fd, LOOP_READ, on_conn, c);
	if (!c->io) {
		close(fd);
		free(c);
		return;
	}
	c->next = ctl->conns;
	ctl->conns = c;
	ctl->n_conns++;
}

struct ctl *ctl_new(struct loop *l, const char *path, mode_t mode,
		    const struct ctl_command *commands, void *arg)
{
	struct ctl *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return NULL;
	c->loop = l;
	c->commands = commands;
	c->arg = arg;
	err = unix_listen(&c->listener, path, SOCK_STREAM, mode);
	if (!err) {
		c->io = loop_io_new(l, c->listener.fd, LOOP_READ, on_accept, c);
		if (c->io)
			return c;
		unix_unlisten(&c->listener);
		err = -ENOMEM;
	}
	free(c);
	errno = -err;
	return NULL;
}

void ctl_hold(struct ctl *c, bool hold)
{
	loop_io_want(c->io, hold ? 0 : LOOP_READ);
	for (struct ctl_conn *conn = c->conns; conn; conn = conn->next) {
		if (conn->dead)
			continue;
		/* LOOP_WRITE: what is owed, and lines that wait. */
		loop_io_want(conn->io, hold ? 0 : LOOP_READ | LOOP_WRITE);
	}
}

void ctl_free(struct ctl *c)
{
	if (!c)
		return;
	for (struct ctl_conn *conn = c->conns, *next; conn; conn = next) {
		next = conn->next;
		conn_close(conn);
		conn_reap(conn);
	}
	loop_io_free(c->io);
	unix_unlisten(&c->listener);
	free(c);
}
