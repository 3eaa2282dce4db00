/* endpoint/dev.c - device files as SOCK_SEQPACKET sockets. */
#include "endpoint/dev.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_socket.h"

enum {
	MAX_CLIENTS = 64,
	PAUSE_MS = 500,		/* when a client cannot be accepted */
	BACKLOG = 128,		/* a thousand clients may come at once */
};

struct dev_client {
	struct dev *dev;
	struct dev_client *next;
	int fd;
	struct loop_io *io;
	void *owner;
	struct ucred who;
	unsigned inside;		/* callbacks on the stack that use it */
	bool dead;
};

struct dev {
	struct loop *loop;
	struct dev_ops ops;
	void *arg;
	struct unix_listener listener;
	struct loop_io *io;
	struct loop_timer resume;	/* accepting */
	struct dev_client *clients;
	unsigned n_clients, max_clients;
	size_t max_msg;
	uint8_t *buf;			/* max_msg bytes and one */
};

static void client_reap(struct dev_client *c)
{
	struct dev_client **at = &c->dev->clients;

	if (c->inside)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->dev->n_clients--;
	free(c);
}

/* Messages that nobody read would make the client read an error in place of
 * what we sent last. */
static void close_gently(struct dev *d, int fd)
{
	shutdown(fd, SHUT_RD);
	while (recv(fd, d->buf, d->max_msg, MSG_DONTWAIT) > 0)
		;
	close(fd);
}

void dev_client_close(struct dev_client *c)
{
	if (c->dead)
		return;
	c->dead = true;
	loop_io_free(c->io);
	close_gently(c->dev, c->fd);
	client_reap(c);
}

/* One message, or the end of the client. */
static void on_client(void *arg, unsigned events)
{
	struct dev_client *c = arg;
	struct dev *d = c->dev;
	ssize_t n = recv(c->fd, d->buf, d->max_msg + 1, MSG_TRUNC);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->inside++;
	if (n > 0 && (size_t)n <= d->max_msg)
		d->ops.message(d->arg, c, d->buf, (size_t)n);
	else
		d->ops.closed(d->arg, c);	/* left, or sent nonsense */
	c->inside--;
	if (c->dead)
		client_reap(c);
	else if (n <= 0 || (size_t)n > d->max_msg)
		dev_client_close(c);
}

static struct ucred peer_of(int fd)
{
	struct ucred who = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
	socklen_t len = sizeof(who);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	return who;
}

static struct dev_client *client_new(struct dev *d, int fd)
{
	struct dev_client *c = d->n_clients < d->max_clients ?
		calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->io = loop_io_new(d->loop, fd, LOOP_READ, on_client, c);
	if (!c->io) {
		free(c);
		return NULL;
	}
	c->dev = d;
	c->fd = fd;
	c->who = peer_of(fd);
	c->next = d->clients;
	d->clients = c;
	d->n_clients++;
	return c;
}

/* Out of descriptors: whoever waits to be accepted would wake us for ever. */
static void pause_accepting(struct dev *d)
{
	loop_io_want(d->io, 0);
	loop_timer_set(&d->resume, PAUSE_MS);
}

static void on_resume(void *arg)
{
	struct dev *d = arg;

	loop_io_want(d->io, LOOP_READ);
}

static void on_accept(void *arg, unsigned events)
{
	struct dev *d = arg;
	int fd = unix_accept(&d->listener);
	struct dev_client *c;

	(void)events;
	if (fd < 0) {
		if (fd != -EAGAIN && fd != -ECONNABORTED && fd != -EINTR)
			pause_accepting(d);
		return;
	}
	c = client_new(d, fd);
	if (!c) {
		close(fd);
		return;
	}
	c->inside++;
	if (d->ops.opened(d->arg, c) < 0)
		dev_client_close(c);
	c->inside--;
	if (c->dead)
		client_reap(c);
}

static int listen_at(struct dev *d, const struct dev_cfg *cfg)
{
	int err = unix_listen(&d->listener, cfg->path, SOCK_SEQPACKET,
			      cfg->mode ? cfg->mode : 0600);

	if (err < 0)
		return err;
	if (listen(d->listener.fd, BACKLOG) < 0 ||
	    (cfg->set_group && chown(cfg->path, (uid_t)-1, cfg->group) < 0))
		err = -errno;
	if (!err) {
		d->io = loop_io_new(d->loop, d->listener.fd, LOOP_READ,
				    on_accept, d);
		err = d->io ? 0 : -ENOMEM;
	}
	if (err < 0)
		unix_unlisten(&d->listener);
	return err;
}

struct dev *dev_new(struct loop *l, const struct dev_cfg *cfg,
		    const struct dev_ops *ops, void *arg)
{
	struct dev *d = calloc(1, sizeof(*d));
	int err = -ENOMEM;

	if (!d)
		return NULL;
	d->loop = l;
	d->ops = *ops;
	d->arg = arg;
	d->max_msg = cfg->max_msg;
	d->max_clients = cfg->max_clients ? cfg->max_clients : MAX_CLIENTS;
	loop_timer_init(&d->resume, l, on_resume, d);
	d->buf = malloc(cfg->max_msg + 1);
	if (d->buf)
		err = listen_at(d, cfg);
	if (!err)
		return d;
	free(d->buf);
	free(d);
	errno = -err;
	return NULL;
}

void dev_free(struct dev *d)
{
	if (!d)
		return;
	for (struct dev_client *c = d->clients, *next; c; c = next) {
		next = c->next;
		dev_client_close(c);
	}
	loop_timer_cancel(&d->resume);
	loop_io_free(d->io);
	unix_unlisten(&d->listener);
	free(d->buf);
	free(d);
}

int dev_send(struct dev_client *c, const void *buf, size_t len)
{
	if (c->dead)
		return -EPIPE;
	if (send(c->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	return errno == EAGAIN || errno == ENOBUFS ? -EAGAIN : -EPIPE;
}

void dev_client_set(struct dev_client *c, void *p)
{
	c->owner = p;
}

void *dev_client_get(const struct dev_client *c)
{
	return c->owner;
}

pid_t dev_client_pid(const struct dev_client *c)
{
	return c->who.pid;
}

uid_t dev_client_uid(const struct dev_client *c)
{
	return c->who.uid;
}
