/* vmbus/shm.c - the guest's end of a bus whose host is hvhost, over a socket.
 *
 * Contact:  connect, offer versions from high to low, ask for offers. When the
 *           host goes, every channel is rescinded and we try again: at once a
 *           few times, then when inotify says that something happened at the
 *           socket's path, and with growing delays only if a host was there
 *           and refused.
 * Open:     a conn is one bus_open(): its GPADL is created, the open is sent,
 *           the result makes the channel. The protocol knows no way to take an
 *           open back, so a conn closed meanwhile is abandoned: it stays until
 *           its answer comes and is undone then; the next one waits for it.
 * Callbacks may free the bus: `depth` counts those under way, and the memory
 * goes when the last one has returned.
 */
#include "vmbus/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/pathwait.h"
#include "base/unix_socket.h"
#include "vmbus/ring.h"
#include "vmbus/shm_mem.h"
#include "vmbus/shm_sock.h"

static const uint32_t versions[] = {	/* best first */
	VMBUS_VERSION(5, 3), VMBUS_VERSION(5, 2), VMBUS_VERSION(5, 1),
	VMBUS_VERSION(5, 0), VMBUS_VERSION(4, 1), VMBUS_VERSION(4, 0),
	VMBUS_VERSION(3, 0), VMBUS_VERSION(2, 4), VMBUS_VERSION(1, 1),
	VMBUS_VERSION(0, 13),
};

enum {
	N_VERSIONS = sizeof(versions) / sizeof(versions[0]),
	MESSAGE_SINT = 2,		/* where a guest takes messages, 5.0 on */
	RETRY_MIN_MS = 100,
	RETRY_MAX_MS = 10000,
	RECONNECTS_MAX = 8,		/* at once, within a RECONNECTS_MS */
	RECONNECTS_MS = 1000,
	OFFERS_MAX = 2048,		/* relids that a host has */
};

enum gpadl_state {
	GPADL_CREATING,			/* the host has not answered yet */
	GPADL_ABANDONED,		/* and nobody wants it any more */
	GPADL_READY,
	GPADL_FAILED,			/* the host has none to tear down */
};

struct bus_gpadl {
	struct bus_gpadl *next;
	struct bus *bus;
	enum gpadl_state state;
	uint32_t relid, handle;
	struct shm_mem mem;
	void (*done)(void *arg, int err);
	void *arg;
};

enum conn_state { CONN_QUEUED, CONN_GPADL, CONN_OPENING, CONN_OPEN };

struct conn {
	struct offer *offer;
	enum conn_state state;
	bool abandoned;
	struct bus_gpadl *rings;
	size_t tx_len, rx_len;
	int wake_fd, bell_fd;		/* host -> us, us -> host */
	uint32_t openid;
	uint8_t user[VMBUS_USER_MAX];
	const struct channel_ops *ops;
	void *arg;
	struct channel *channel;
};

struct offer {
	struct offer *next;
	struct bus *bus;
	struct bus_offer info;
	struct conn *conn, *queued;
};

struct bus {
	struct loop *loop;
	const struct bus_ops *ops;
	void *arg;
	unsigned depth;			/* callbacks under way */
	bool dead;			/* freed in one of them */
	enum bus_state state;
	struct shm_sock *sock;
	struct pathwait *wait;		/* while there is no host */
	struct loop_timer retry;
	unsigned retry_ms;
	uint64_t reconnects_since;
	unsigned reconnects;
	unsigned try;			/* index into versions */
	uint32_t version;
	uint32_t last_handle, last_openid;
	struct offer *offers;
	unsigned n_offers;
	struct bus_gpadl *gpadls;
	char where[128], *path;		/* path points into where */
};

static void enter(struct bus *b)
{
	b->depth++;
}

static void leave(struct bus *b)
{
	if (--b->depth == 0 && b->dead)
		free(b);
}

static void send_fds(struct bus *b, const struct vmbus_msg *m, const int *fds,
		     unsigned n)
{
	if (b->sock)
		shm_sock_send(b->sock, m, fds, n);
}

static void send_msg(struct bus *b, const struct vmbus_msg *m)
{
	send_fds(b, m, NULL, 0);
}

static void send_type(struct bus *b, uint32_t type, uint32_t relid)
{
	send_msg(b, &(struct vmbus_msg){ .type = type, .relid = relid });
}

static void set_state(struct bus *b, enum bus_state s)
{
	if (b->state == s)
		return;
	b->state = s;
	b->ops->state(b->arg, s);
}

static struct offer *find_offer(struct bus *b, uint32_t relid)
{
	struct offer *o = b->offers;

	while (o && o->info.relid != relid)
		o = o->next;
	return o;
}

/* GPADLs. */

static struct bus_gpadl *find_gpadl(struct bus *b, uint32_t handle)
{
	struct bus_gpadl *g = b->gpadls;

	while (g && g->handle != handle)
		g = g->next;
	return g;
}

static void drop_gpadl(struct bus *b, struct bus_gpadl *g)
{
	struct bus_gpadl **at = &b->gpadls;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	shm_mem_free(&g->mem);
	free(g);
}

/* The next n page numbers of memory that is one piece, little endian. */
static struct vmbus_pfns pages(uint8_t *buf, uint32_t first, unsigned n)
{
	struct wr w = wr_of(buf, (size_t)n * 8);

	for (unsigned i = 0; i < n; i++)
		wr_le64(&w, first + i);
	return (struct vmbus_pfns){ buf, n };
}

static void send_gpadl(struct bus_gpadl *g)
{
	uint8_t buf[VMBUS_BODY_PFNS * 8];
	uint32_t total = (uint32_t)(g->mem.len / VMBUS_PAGE), sent;
	struct vmbus_msg m = {
		.type = VMBUS_MSG_GPADL_HEADER,
		.relid = g->relid,
		.gpadl_header = {
			.gpadl = g->handle,
			.range_len = (uint16_t)(8 + total * 8),
			.ranges = 1,
			.len = (uint32_t)g->mem.len,
		},
	};

	sent = total < VMBUS_HEADER_PFNS ? total : VMBUS_HEADER_PFNS;
	m.gpadl_header.pfns = pages(buf, 0, sent);
	send_fds(g->bus, &m, &g->mem.fd, 1);
	for (uint32_t seq = 1; sent < total; seq++) {
		uint32_t n = total - sent;

		if (n > VMBUS_BODY_PFNS)
			n = VMBUS_BODY_PFNS;
		m = (struct vmbus_msg){ .type = VMBUS_MSG_GPADL_BODY };
		m.gpadl_body.seq = seq;
		m.gpadl_body.gpadl = g->handle;
		m.gpadl_body.pfns = pages(buf, sent, n);
		send_msg(g->bus, &m);
		sent += n;
	}
}

struct bus_gpadl *bus_gpadl_new(struct bus *b, uint32_t relid, size_t len,
				void (*done)(void *arg, int err), void *arg)
{
	struct bus_gpadl *g;
	int err = EINVAL;

	if (!find_offer(b, relid))
		err = ENOENT;
	if (err == ENOENT || !len || len % VMBUS_PAGE ||
	    len / VMBUS_PAGE > VMBUS_GPADL_PFNS_MAX) {
		errno = err;
		return NULL;
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	err = shm_mem_new(&g->mem, len);
	if (err < 0) {
		free(g);
		errno = -err;
		return NULL;
	}
	g->bus = b;
	g->relid = relid;
	g->handle = ++b->last_handle;
	g->done = done;
	g->arg = arg;
	g->next = b->gpadls;
	b->gpadls = g;
	send_gpadl(g);
	return g;
}

static void send_teardown(struct bus_gpadl *g)
{
	struct vmbus_msg m = {
		.type = VMBUS_MSG_GPADL_TEARDOWN,
		.relid = g->relid,
		.gpadl = { .gpadl = g->handle },
	};

	send_msg(g->bus, &m);
}

/* One that the host has not answered yet can only be torn down after that. Our
 * pages may go at once: the host has its own mapping of them. */
void bus_gpadl_free(struct bus_gpadl *g)
{
	if (!g)
		return;
	if (g->state == GPADL_CREATING) {
		g->state = GPADL_ABANDONED;
		return;
	}
	if (g->state == GPADL_READY)
		send_teardown(g);
	drop_gpadl(g->bus, g);
}

void *bus_gpadl_mem(const struct bus_gpadl *g)
{
	return g->mem.mem;
}

uint32_t bus_gpadl_handle(const struct bus_gpadl *g)
{
	return g->handle;
}

static void on_gpadl_created(struct bus *b, const struct vmbus_msg *m)
{
	struct bus_gpadl *g = find_gpadl(b, m->gpadl.gpadl);
	bool ok = m->gpadl.status == 0;

	if (!g)
		return;			/* of a rescinded channel, perhaps */
	if (g->state == GPADL_ABANDONED) {
		if (ok)
			send_teardown(g);
		drop_gpadl(b, g);
	} else if (g->state == GPADL_CREATING) {
		g->state = ok ? GPADL_READY : GPADL_FAILED;
		g->done(g->arg, ok ? 0 : -EIO);
	}
}

/* Conns. */

static void port_ack(void *arg)
{
	shm_eventfd_clear(((struct conn *)arg)->wake_fd);
}

static void port_signal(void *arg)
{
	shm_eventfd_ring(((struct conn *)arg)->bell_fd);
}

static void conn_free(struct conn *k)
{
	channel_free(k->channel);
	if (k->wake_fd >= 0)
		close(k->wake_fd);
	if (k->bell_fd >= 0)
		close(k->bell_fd);
	bus_gpadl_free(k->rings);
	free(k);
}

static void conn_on_gpadl(void *arg, int err);

/* 0 or -errno; the conn stays the caller's to free then. */
static int conn_start(struct conn *k)
{
	struct offer *o = k->offer;

	k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	k->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->wake_fd < 0 || k->bell_fd < 0)
		return -errno;
	k->rings = bus_gpadl_new(o->bus, o->info.relid, k->tx_len + k->rx_len,
				 conn_on_gpadl, k);
	if (!k->rings)
		return -errno;
	k->state = CONN_GPADL;
	return 0;
}

static void report(struct bus *b, uint32_t relid, struct channel *c, int err)
{
	b->ops->opened(b->arg, relid, c, err);
}

/* The offer's conn is over; whoever waited behind it goes next. */
static void next_conn(struct offer *o)
{
	struct conn *k = o->queued;
	int err;

	conn_free(o->conn);
	o->conn = k;
	o->queued = NULL;
	if (!k)
		return;
	err = conn_start(k);
	if (err < 0) {
		struct bus *b = o->bus;
		uint32_t relid = o->info.relid;

		o->conn = NULL;
		conn_free(k);
		report(b, relid, NULL, err);
	}
}

static void conn_failed(struct conn *k, int err)
{
	struct offer *o = k->offer;
	struct bus *b = o->bus;
	uint32_t relid = o->info.relid;
	bool abandoned = k->abandoned;

	next_conn(o);
	if (!abandoned)
		report(b, relid, NULL, err);
}

static void conn_on_gpadl(void *arg, int err)
{
	struct conn *k = arg;
	struct bus *b = k->offer->bus;
	struct vmbus_msg m = {
		.type = VMBUS_MSG_OPEN,
		.relid = k->offer->info.relid,
		.open = {
			.gpadl = k->rings->handle,
			.rx_page = (uint32_t)(k->tx_len / VMBUS_PAGE),
		},
	};
	int fds[2] = { k->wake_fd, k->bell_fd };

	if (err < 0 || k->abandoned) {
		conn_failed(k, err);
		return;
	}
	k->state = CONN_OPENING;
	k->openid = m.open.openid = ++b->last_openid;
	memcpy(m.open.user, k->user, VMBUS_USER_MAX);
	send_fds(b, &m, fds, 2);
}

static int conn_make_channel(struct conn *k)
{
	uint8_t *mem = bus_gpadl_mem(k->rings);
	struct channel_port port = {
		.tx = mem, .tx_len = k->tx_len,
		.rx = mem + k->tx_len, .rx_len = k->rx_len,
		.wake_fd = k->wake_fd,
		.ack = port_ack, .signal = port_signal, .arg = k,
	};

	k->channel = channel_new(k->offer->bus->loop, &port, k->ops, k->arg);
	return k->channel ? 0 : -errno;
}

static struct conn *find_opening(struct bus *b, const struct vmbus_msg *m)
{
	struct offer *o = find_offer(b, m->relid);

	if (!o || !o->conn || o->conn->state != CONN_OPENING ||
	    o->conn->openid != m->open_result.openid)
		return NULL;
	return o->conn;
}

static void on_open_result(struct bus *b, const struct vmbus_msg *m)
{
	struct conn *k = find_opening(b, m);
	int err = 0;

	if (!k)
		return;
	if (m->open_result.status) {
		conn_failed(k, -ECONNREFUSED);
		return;
	}
	if (!k->abandoned)
		err = conn_make_channel(k);
	if (k->abandoned || err < 0) {
		send_type(b, VMBUS_MSG_CLOSE, m->relid);
		conn_failed(k, err);
		return;
	}
	k->state = CONN_OPEN;
	report(b, m->relid, k->channel, 0);
}

static bool ring_len_ok(size_t len)
{
	return len >= 2 * RING_CTL && len % VMBUS_PAGE == 0 &&
	       len / VMBUS_PAGE < VMBUS_GPADL_PFNS_MAX;
}

int bus_open(struct bus *b, uint32_t relid, size_t tx_len, size_t rx_len,
	     const void *user, size_t user_len, const struct channel_ops *ops,
	     void *arg)
{
	struct offer *o = find_offer(b, relid);
	struct conn *k;
	int err;

	if (!o)
		return -ENOENT;
	if (o->queued || (o->conn && !o->conn->abandoned))
		return -EBUSY;
	if (!ring_len_ok(tx_len) || !ring_len_ok(rx_len) ||
	    user_len > VMBUS_USER_MAX)
		return -EINVAL;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	*k = (struct conn){ .offer = o, .tx_len = tx_len, .rx_len = rx_len,
			    .wake_fd = -1, .bell_fd = -1, .ops = ops,
			    .arg = arg };
	if (user_len)
		memcpy(k->user, user, user_len);
	if (o->conn) {
		o->queued = k;
		return 0;
	}
	err = conn_start(k);
	if (err < 0) {
		conn_free(k);
		return err;
	}
	o->conn = k;
	return 0;
}

void bus_close(struct bus *b, uint32_t relid)
{
	struct offer *o = find_offer(b, relid);

	if (!o || !o->conn)
		return;
	if (o->queued) {
		conn_free(o->queued);
		o->queued = NULL;
	} else if (o->conn->state == CONN_OPEN) {
		send_type(b, VMBUS_MSG_CLOSE, relid);
		next_conn(o);
	} else {
		o->conn->abandoned = true;
	}
}

/* Offers. */

/* Free all that hangs on an offer; returns whether an open is unanswered. */
static bool forget_offer(struct bus *b, struct offer *o)
{
	struct offer **at = &b->offers;
	bool unanswered = o->queued || (o->conn && !o->conn->abandoned &&
					o->conn->state != CONN_OPEN);

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	if (o->queued)
		conn_free(o->queued);
	if (o->conn)
		conn_free(o->conn);
	/* The host forgets GPADLs with the relid, unanswered ones too. */
	for (struct bus_gpadl *g = b->gpadls, *next; g; g = next) {
		next = g->next;
		if (g->relid != o->info.relid)
			continue;
		if (g->state == GPADL_READY)
			send_teardown(g);
		drop_gpadl(b, g);
	}
	b->n_offers--;
	free(o);
	return unanswered;
}

static void rescind(struct offer *o)
{
	struct bus *b = o->bus;
	uint32_t relid = o->info.relid;

	if (forget_offer(b, o))
		report(b, relid, NULL, -ENODEV);
	if (!b->dead)
		b->ops->rescind(b->arg, relid);
	if (!b->dead)
		send_type(b, VMBUS_MSG_RELID_RELEASED, relid);
}

static void on_rescind(struct bus *b, const struct vmbus_msg *m)
{
	struct offer *o = find_offer(b, m->relid);

	if (o)
		rescind(o);
}

static void lose_host(struct bus *b, bool reconnect);

static void on_offer(struct bus *b, const struct vmbus_msg *m)
{
	struct offer *o = NULL;
	struct bus_offer info;

	if (b->state == BUS_UP && !find_offer(b, m->relid) &&
	    b->n_offers < OFFERS_MAX)
		o = calloc(1, sizeof(*o));
	if (!o) {
		lose_host(b, false);
		return;
	}
	o->bus = b;
	o->info = (struct bus_offer){
		.class_id = m->offer.class_id,
		.instance = m->offer.instance,
		.relid = m->relid,
		.flags = m->offer.flags,
		.pipe_mode = m->offer.pipe_mode,
		.sub_index = m->offer.sub_index,
		.mmio_mb = m->offer.mmio_mb,
	};
	o->next = b->offers;
	b->offers = o;
	b->n_offers++;
	info = o->info;			/* the callee may free o */
	b->ops->offer(b->arg, &info);
}

static void on_offers_delivered(struct bus *b, const struct vmbus_msg *m)
{
	(void)m;
	if (b->state == BUS_UP)
		b->ops->offers_done(b->arg);
}

/* Contact. */

static void send_contact(struct bus *b)
{
	struct vmbus_msg m = { .type = VMBUS_MSG_CONTACT };

	m.contact.version = versions[b->try];
	if (m.contact.version >= VMBUS_VERSION(5, 0))
		m.contact.interrupt_page = MESSAGE_SINT;
	send_msg(b, &m);
}

static void on_version(struct bus *b, const struct vmbus_msg *m)
{
	if (b->state != BUS_CONTACT) {
		lose_host(b, false);
	} else if (m->version.supported && m->version.state == 0) {
		b->version = versions[b->try];
		b->retry_ms = RETRY_MIN_MS;
		set_state(b, BUS_UP);
		if (!b->dead)
			send_type(b, VMBUS_MSG_REQUEST_OFFERS, 0);
	} else if (++b->try < N_VERSIONS) {
		send_contact(b);
	} else {
		lose_host(b, false);
	}
}

static void (*const handlers[])(struct bus *b, const struct vmbus_msg *m) = {
	[VMBUS_MSG_OFFER] = on_offer,
	[VMBUS_MSG_RESCIND] = on_rescind,
	[VMBUS_MSG_OFFERS_DELIVERED] = on_offers_delivered,
	[VMBUS_MSG_OPEN_RESULT] = on_open_result,
	[VMBUS_MSG_GPADL_CREATED] = on_gpadl_created,
	[VMBUS_MSG_VERSION] = on_version,
};

static void on_message(void *arg, const struct vmbus_msg *m,
		       struct shm_fds *fds)
{
	struct bus *b = arg;

	(void)fds;			/* a host sends none: closed unused */
	if (m->type >= sizeof(handlers) / sizeof(handlers[0]) ||
	    !handlers[m->type])
		return;			/* torn down, unloaded: nothing to do */
	enter(b);
	handlers[m->type](b, m);
	leave(b);
}

static void on_closed(void *arg, int err)
{
	struct bus *b = arg;

	enter(b);
	lose_host(b, err == 0);
	leave(b);
}

static const struct shm_sock_ops sock_ops = { on_message, on_closed };

/* 0 when a host is there. */
static int dial(struct bus *b)
{
	int fd = unix_connect(b->path, SOCK_SEQPACKET | SOCK_NONBLOCK);

	if (fd < 0)
		return fd;
	b->sock = shm_sock_new(b->loop, fd, &sock_ops, b);
	if (!b->sock)
		return -errno;
	pathwait_free(b->wait);
	b->wait = NULL;
	loop_timer_cancel(&b->retry);
	b->try = 0;
	send_contact(b);
	return 0;
}

static void retry_later(struct bus *b)
{
	loop_timer_set(&b->retry, b->retry_ms);
	b->retry_ms *= 2;
	if (b->retry_ms > RETRY_MAX_MS)
		b->retry_ms = RETRY_MAX_MS;
}

static void look_again(void *arg);

/* Hear of it when the socket appears. */
static bool watch(struct bus *b)
{
	if (!b->wait)
		b->wait = pathwait_new(b->loop, b->path, look_again, b);
	return b->wait;
}

/* Connect, or see to it that we hear of the next chance to. Watch first, so
 * that a socket which appears in between is not missed. */
static int connect_or_wait(struct bus *b)
{
	bool watching = watch(b);
	int err = dial(b);

	if (err < 0 && ((err != -ENOENT && err != -ENOTDIR) || !watching))
		retry_later(b);
	return err;
}

static void connect_again(struct bus *b)
{
	if (!b->sock && connect_or_wait(b) == 0)
		set_state(b, BUS_CONTACT);
}

static void look_again(void *arg)
{
	struct bus *b = arg;

	enter(b);
	connect_again(b);
	leave(b);
}

/* A host that comes and goes all the time must not keep us busy. */
static bool may_reconnect(struct bus *b)
{
	uint64_t now = loop_now_ms(b->loop);

	if (now - b->reconnects_since >= RECONNECTS_MS) {
		b->reconnects_since = now;
		b->reconnects = 0;
	}
	return b->reconnects++ < RECONNECTS_MAX;
}

static void lose_host(struct bus *b, bool reconnect)
{
	bool was_up = b->state == BUS_UP;
	bool refused = b->state == BUS_CONTACT && b->try < N_VERSIONS;

	shm_sock_free(b->sock);
	b->sock = NULL;
	b->version = 0;
	while (b->offers && !b->dead)
		rescind(b->offers);
	if (!b->dead)
		set_state(b, BUS_DOWN);
	if (b->dead || b->sock)
		return;
	if (reconnect && was_up && may_reconnect(b)) {
		connect_again(b);
		return;
	}
	if (!watch(b) || was_up || refused)
		retry_later(b);
}

struct bus *bus_shm_new(struct loop *l, const char *path,
			const struct bus_ops *ops, void *arg)
{
	struct bus *b = calloc(1, sizeof(*b));
	int n;

	if (!b)
		return NULL;
	b->loop = l;
	b->ops = ops;
	b->arg = arg;
	b->retry_ms = RETRY_MIN_MS;
	n = snprintf(b->where, sizeof(b->where), "shm:%s", path);
	b->path = b->where + sizeof("shm:") - 1;
	if (n >= (int)sizeof(b->where)) {
		free(b);
		errno = ENAMETOOLONG;
		return NULL;
	}
	loop_timer_init(&b->retry, l, look_again, b);
	if (connect_or_wait(b) == 0)
		b->state = BUS_CONTACT;	/* no callbacks from in here */
	return b;
}

void bus_free(struct bus *b)
{
	if (!b || b->dead)
		return;
	b->dead = true;
	if (b->version)
		send_type(b, VMBUS_MSG_UNLOAD, 0);
	shm_sock_free(b->sock);
	b->sock = NULL;
	while (b->offers)
		forget_offer(b, b->offers);
	while (b->gpadls)
		drop_gpadl(b, b->gpadls);
	pathwait_free(b->wait);
	loop_timer_cancel(&b->retry);
	if (!b->depth)
		free(b);
}

enum bus_state bus_state_get(const struct bus *b)
{
	return b->state;
}

uint32_t bus_version(const struct bus *b)
{
	return b->version;
}

const char *bus_where(const struct bus *b)
{
	return b->where;
}
