/* host/host_vmbus.c - the host's end of a bus, over a socket.
 *
 * Life of a channel, as the host sees it:
 *
 *   RELEASED   the guest knows no relid of it
 *   CLOSED     offered; the guest may open it
 *   OPEN       the guest has opened it (its rings may be broken by now: then
 *              there is no conn, and all that can come is a close)
 *   REVOKED    rescinded; what the guest still says about it is ignored until
 *              it releases the relid
 *   REOFFERED  rescinded and wanted again: offered under a new relid as soon
 *              as the old one is released
 *
 * Opening and closing need no states of their own: this host does both at
 * once. A handler returns NULL, or what the guest did wrong.
 */
#include "host/host_vmbus.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/unix_socket.h"
#include "host/host_gpadl.h"
#include "vmbus/ring.h"
#include "vmbus/shm_sock.h"

enum {
	RELID_MAX = 2047,
	STATUS_UNSUCCESSFUL = (int)0xc0000001,
	STATUS_INVALID_PARAMETER = (int)0xc000000d,
};

enum offer_state { RELEASED, CLOSED, OPEN, REVOKED, REOFFERED };

/* An open channel and what it stands on. */
struct conn {
	struct channel *channel;
	struct host_gpadl *rings;
	size_t rx_len, tx_len;		/* guest->host ring first in memory */
	int bell_fd, wake_fd;		/* host->guest, guest->host */
};

struct host_offer {
	struct host_offer *next;
	struct host_vmbus *h;
	struct guid class_id, instance;
	bool named_pipe;
	bool wanted;			/* not rescinded by our owner */
	bool orphan;			/* freed; waits for its relid */
	const struct host_offer_ops *ops;
	void *arg;
	enum offer_state state;
	uint32_t relid;
	uint32_t refuse;		/* status for opens */
	struct conn *conn;
};

struct host_vmbus {
	struct loop *loop;
	struct host_vmbus_cfg cfg;
	const struct host_vmbus_ops *ops;
	void *arg;
	struct unix_listener listener;
	struct loop_io *listen_io;
	struct shm_sock *guest;
	uint32_t version;		/* 0: not agreed */
	bool offers_wanted;		/* the guest has asked */
	uint32_t last_relid;
	struct host_offer *offers;
	struct host_gpadls gpadls;
};

static void send_msg(struct host_vmbus *h, const struct vmbus_msg *m)
{
	if (h->guest)
		shm_sock_send(h->guest, m, NULL, 0);
}

static void send_type(struct host_vmbus *h, uint32_t type, uint32_t relid)
{
	send_msg(h, &(struct vmbus_msg){ .type = type, .relid = relid });
}

static void note(struct host_vmbus *h, const char *what)
{
	h->ops->violation(h->arg, what);
}

static struct host_offer *find_relid(struct host_vmbus *h, uint32_t relid)
{
	struct host_offer *o = h->offers;

	while (o && (o->state == RELEASED || o->relid != relid))
		o = o->next;
	return o;
}

/* One after the other, so that a late message for an old one is noticed. */
static uint32_t new_relid(struct host_vmbus *h)
{
	for (unsigned n = 0; n < RELID_MAX; n++) {
		h->last_relid = h->last_relid % RELID_MAX + 1;
		if (!find_relid(h, h->last_relid))
			return h->last_relid;
	}
	return 0;
}

/* Offer what is wanted and can be offered now. */
static void try_offer(struct host_offer *o)
{
	struct vmbus_msg m = { .type = VMBUS_MSG_OFFER };

	if (!o->h->offers_wanted || !o->wanted || o->state != RELEASED)
		return;
	o->relid = new_relid(o->h);
	if (!o->relid)
		return;
	o->state = CLOSED;
	m.relid = o->relid;
	m.offer.class_id = o->class_id;
	m.offer.instance = o->instance;
	m.offer.flags = VMBUS_OFFER_ENUMERATE;
	if (o->named_pipe) {
		m.offer.flags |= VMBUS_OFFER_NAMED_PIPE;
		m.offer.pipe_mode = VMBUS_PIPE_MESSAGE;
	}
	m.offer.connection_id = o->relid;
	send_msg(o->h, &m);
}

/* Conns. */

static void conn_ack(void *arg)
{
	shm_eventfd_clear(((struct conn *)arg)->wake_fd);
}

static void conn_signal(void *arg)
{
	shm_eventfd_ring(((struct conn *)arg)->bell_fd);
}

static void conn_free(struct conn *k)
{
	channel_free(k->channel);
	close(k->bell_fd);
	close(k->wake_fd);
	host_gpadl_unref(k->rings);
	free(k);
}

/* End what is open. The owner's callback may do anything, to o too. */
static void close_conn(struct host_offer *o, int err)
{
	struct conn *k = o->conn;

	if (!k)
		return;
	o->conn = NULL;
	o->ops->closed(o->arg, err);
	conn_free(k);
}

static void on_packet(void *arg, const struct packet *p)
{
	struct host_offer *o = arg;

	o->ops->packet(o->arg, p);
}

static void on_writable(void *arg)
{
	struct host_offer *o = arg;

	if (o->ops->writable)
		o->ops->writable(o->arg);
}

static void on_broken(void *arg, int err)
{
	struct host_offer *o = arg;

	note(o->h, "a ring index or packet that is impossible");
	close_conn(o, err);
}

static const struct channel_ops channel_ops = {
	on_packet, on_broken, on_writable
};

/* Take the eventfds and the rings; the offer's conn on success. */
static int make_conn(struct host_offer *o, struct host_gpadl *rings,
		     uint32_t rx_page, struct shm_fds *fds)
{
	struct conn *k = calloc(1, sizeof(*k));
	uint8_t *mem = rings->mem;
	struct channel_port port;

	if (!k)
		return -ENOMEM;
	k->rings = rings;
	k->rx_len = (size_t)rx_page * VMBUS_PAGE;
	k->tx_len = rings->len - k->rx_len;
	k->bell_fd = fds->fd[0];
	k->wake_fd = fds->fd[1];
	port = (struct channel_port){
		.rx = mem, .rx_len = k->rx_len,
		.tx = mem + k->rx_len, .tx_len = k->tx_len,
		.wake_fd = k->wake_fd,
		.ack = conn_ack, .signal = conn_signal, .arg = k,
	};
	k->channel = channel_new(o->h->loop, &port, &channel_ops, o);
	if (!k->channel) {
		free(k);
		return -errno;
	}
	rings->refs++;
	fds->fd[0] = fds->fd[1] = -1;
	o->conn = k;
	return 0;
}

/* The status of an open of a closed channel. */
static uint32_t open_status(struct host_offer *o, const struct vmbus_msg *m,
			    struct shm_fds *fds)
{
	struct host_gpadl *rings = host_gpadl_find(&o->h->gpadls, o->relid,
						   m->open.gpadl);
	size_t pages = rings ? rings->len / VMBUS_PAGE : 0;

	if (o->refuse)
		return o->refuse;
	if (fds->n != 2 || !shm_is_eventfd(fds->fd[0]) ||
	    !shm_is_eventfd(fds->fd[1])) {
		note(o->h, "an open without two eventfds");
		return (uint32_t)STATUS_INVALID_PARAMETER;
	}
	if (m->open.rx_page < 2 || m->open.rx_page + 2ull > pages) {
		note(o->h, "an open without memory for its rings");
		return (uint32_t)STATUS_INVALID_PARAMETER;
	}
	if (make_conn(o, rings, m->open.rx_page, fds) < 0)
		return (uint32_t)STATUS_UNSUCCESSFUL;
	return 0;
}

/* Messages. */

static void reset(struct host_vmbus *h);

static bool serves(const struct host_vmbus *h, uint32_t version)
{
	for (unsigned i = 0; i < h->cfg.n_versions; i++)
		if (h->cfg.versions[i] == version)
			return true;
	return h->cfg.n_versions == 0;
}

static const char *on_contact(struct host_vmbus *h, const struct vmbus_msg *m,
			      struct shm_fds *fds)
{
	struct vmbus_msg reply = { .type = VMBUS_MSG_VERSION };

	(void)fds;
	reset(h);			/* contact again is a fresh start */
	if (!h->guest)
		return NULL;		/* dropped by a callback */
	reply.version.supported = serves(h, m->contact.version);
	if (reply.version.supported && m->contact.version >=
	    VMBUS_VERSION(5, 0))
		reply.version.connection_id = 4;
	send_msg(h, &reply);
	if (!reply.version.supported)
		return NULL;
	h->version = m->contact.version;
	h->ops->guest(h->arg, true, h->version);
	return NULL;
}

static const char *on_request_offers(struct host_vmbus *h,
				     const struct vmbus_msg *m,
				     struct shm_fds *fds)
{
	(void)m;
	(void)fds;
	if (!h->version)
		return "a request for offers before contact";
	if (h->offers_wanted)
		return "a second request for offers";
	h->offers_wanted = true;
	for (struct host_offer *o = h->offers; o; o = o->next)
		try_offer(o);
	send_type(h, VMBUS_MSG_OFFERS_DELIVERED, 0);
	return NULL;
}

static const char *on_open(struct host_vmbus *h, const struct vmbus_msg *m,
			   struct shm_fds *fds)
{
	struct host_offer *o = find_relid(h, m->relid);
	struct vmbus_msg reply = {
		.type = VMBUS_MSG_OPEN_RESULT,
		.relid = m->relid,
		.open_result = { .openid = m->open.openid },
	};

	if (!o)
		return "an open of a channel that is not offered";
	if (o->state == OPEN)
		return "an open of an open channel";
	if (o->state != CLOSED)
		return NULL;
	reply.open_result.status = open_status(o, m, fds);
	if (reply.open_result.status == 0)
		o->state = OPEN;
	send_msg(h, &reply);
	if (o->state == OPEN)
		o->ops->opened(o->arg, o->conn->channel);
	return NULL;
}

static const char *on_close(struct host_vmbus *h, const struct vmbus_msg *m,
			    struct shm_fds *fds)
{
	struct host_offer *o = find_relid(h, m->relid);

	(void)fds;
	if (!o)
		return "a close of a channel that is not offered";
	if (o->state == CLOSED)
		return "a close of a closed channel";
	if (o->state == OPEN) {
		o->state = CLOSED;
		close_conn(o, 0);
	}
	return NULL;
}

static void answer_gpadl(struct host_vmbus *h, struct host_gpadl *g)
{
	struct vmbus_msg reply = {
		.type = VMBUS_MSG_GPADL_CREATED,
		.relid = g->relid,
		.gpadl = { .gpadl = g->handle },
	};

	if (g->err) {
		note(h, g->err == -EPERM ? "memory that is not sealed" :
		     g->err == -ERANGE ? "pages that its memory does not have" :
		     "memory that cannot be mapped");
		reply.gpadl.status = (uint32_t)STATUS_INVALID_PARAMETER;
	}
	send_msg(h, &reply);
	if (reply.gpadl.status && h->guest)
		host_gpadl_remove(&h->gpadls, g);
}

static const char *on_gpadl_header(struct host_vmbus *h,
				   const struct vmbus_msg *m,
				   struct shm_fds *fds)
{
	int fd = fds->n == 1 ? fds->fd[0] : -1;
	struct host_gpadl *g = NULL;
	int err;

	if (!find_relid(h, m->relid))
		return "memory for a channel that is not offered";
	err = host_gpadl_header(&h->gpadls, m, &fd, &g);
	if (fds->n == 1)
		fds->fd[0] = fd;
	if (err < 0)
		return "a page list that cannot be";
	if (g)
		answer_gpadl(h, g);
	return NULL;
}

static const char *on_gpadl_body(struct host_vmbus *h,
				 const struct vmbus_msg *m,
				 struct shm_fds *fds)
{
	struct host_gpadl *g = NULL;

	(void)fds;
	if (host_gpadl_body(&h->gpadls, m, &g) < 0)
		return "a page list that goes on too long";
	if (g)
		answer_gpadl(h, g);
	return NULL;
}

static const char *on_gpadl_teardown(struct host_vmbus *h,
				     const struct vmbus_msg *m,
				     struct shm_fds *fds)
{
	struct host_gpadl *g = host_gpadl_find(&h->gpadls, m->relid,
					       m->gpadl.gpadl);
	struct vmbus_msg reply = {
		.type = VMBUS_MSG_GPADL_TORNDOWN,
		.gpadl = { .gpadl = m->gpadl.gpadl },
	};

	(void)fds;
	if (!g)
		return "a teardown of memory that is not there";
	if (g->refs > 1)
		return "a teardown of an open channel's rings";
	host_gpadl_remove(&h->gpadls, g);
	send_msg(h, &reply);
	return NULL;
}

static void unlink_offer(struct host_offer *o)
{
	struct host_offer **at = &o->h->offers;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	free(o);
}

/* The guest holds nothing of o any more. */
static void release(struct host_offer *o)
{
	host_gpadl_remove_relid(&o->h->gpadls, o->relid);
	o->state = RELEASED;
	if (o->orphan)
		unlink_offer(o);
}

static const char *on_relid_released(struct host_vmbus *h,
				     const struct vmbus_msg *m,
				     struct shm_fds *fds)
{
	struct host_offer *o = find_relid(h, m->relid);
	bool again;

	(void)fds;
	if (!o)
		return "a release of a relid that it does not hold";
	if (o->state == OPEN)
		return "a release of an open channel";
	again = o->state == REOFFERED;
	release(o);
	if (again)
		try_offer(o);
	return NULL;
}

static const char *on_unload(struct host_vmbus *h, const struct vmbus_msg *m,
			     struct shm_fds *fds)
{
	(void)m;
	(void)fds;
	reset(h);
	send_type(h, VMBUS_MSG_UNLOADED, 0);
	return NULL;
}

static const char *on_modify(struct host_vmbus *h, const struct vmbus_msg *m,
			     struct shm_fds *fds)
{
	(void)fds;
	if (h->version >= VMBUS_VERSION(5, 3))
		send_type(h, VMBUS_MSG_MODIFIED, m->relid);
	return NULL;
}

static const char *(*const handlers[])(struct host_vmbus *h,
				       const struct vmbus_msg *m,
				       struct shm_fds *fds) = {
	[VMBUS_MSG_REQUEST_OFFERS] = on_request_offers,
	[VMBUS_MSG_OPEN] = on_open,
	[VMBUS_MSG_CLOSE] = on_close,
	[VMBUS_MSG_GPADL_HEADER] = on_gpadl_header,
	[VMBUS_MSG_GPADL_BODY] = on_gpadl_body,
	[VMBUS_MSG_GPADL_TEARDOWN] = on_gpadl_teardown,
	[VMBUS_MSG_RELID_RELEASED] = on_relid_released,
	[VMBUS_MSG_CONTACT] = on_contact,
	[VMBUS_MSG_UNLOAD] = on_unload,
	[VMBUS_MSG_MODIFY] = on_modify,
};

static void on_message(void *arg, const struct vmbus_msg *m,
		       struct shm_fds *fds)
{
	struct host_vmbus *h = arg;
	const char *wrong = "a message that only hosts send";

	if (m->type < sizeof(handlers) / sizeof(handlers[0]) &&
	    handlers[m->type])
		wrong = handlers[m->type](h, m, fds);
	if (!wrong)
		return;
	note(h, wrong);
	host_vmbus_drop_guest(h);
}

static void on_closed(void *arg, int err)
{
	struct host_vmbus *h = arg;

	if (err == -EBADMSG)
		note(h, "a packet that is no message");
	host_vmbus_drop_guest(h);
}

static const struct shm_sock_ops sock_ops = { on_message, on_closed };

/* The guest and its connection. */

static struct host_offer *first_known(struct host_vmbus *h)
{
	struct host_offer *o = h->offers;

	while (o && o->state == RELEASED)
		o = o->next;
	return o;
}

/* Forget all that was agreed with the guest. Callbacks may offer and rescind
 * meanwhile: nothing of that reaches the guest. */
static void reset(struct host_vmbus *h)
{
	bool was_there = h->version != 0;
	struct host_offer *o;

	h->version = 0;
	h->offers_wanted = false;
	while ((o = first_known(h))) {
		struct conn *k = o->conn;

		o->conn = NULL;
		if (k) {
			o->state = CLOSED;
			o->ops->closed(o->arg, 0);
			conn_free(k);
		} else {
			release(o);
		}
	}
	host_gpadl_remove_all(&h->gpadls);
	if (was_there)
		h->ops->guest(h->arg, false, 0);
}

void host_vmbus_drop_guest(struct host_vmbus *h)
{
	struct shm_sock *guest = h->guest;

	h->guest = NULL;
	shm_sock_free(guest);
	reset(h);
}

static void on_accept(void *arg, unsigned events)
{
	struct host_vmbus *h = arg;
	int fd = unix_accept(&h->listener);

	(void)events;
	if (fd < 0)
		return;
	if (h->guest && shm_sock_hung_up(h->guest))
		host_vmbus_drop_guest(h);	/* it was started anew */
	if (h->guest)
		close(fd);
	else
		h->guest = shm_sock_new(h->loop, fd, &sock_ops, h);
}

struct host_vmbus *host_vmbus_new(struct loop *l,
				  const struct host_vmbus_cfg *cfg,
				  const struct host_vmbus_ops *ops, void *arg)
{
	struct host_vmbus *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return NULL;
	h->loop = l;
	h->cfg = *cfg;
	h->ops = ops;
	h->arg = arg;
	err = unix_listen(&h->listener, cfg->path, SOCK_SEQPACKET, 0600);
	if (err < 0) {
		free(h);
		errno = -err;
		return NULL;
	}
	h->listen_io = loop_io_new(l, h->listener.fd, LOOP_READ, on_accept, h);
	if (!h->listen_io) {
		unix_unlisten(&h->listener);
		free(h);
		errno = ENOMEM;
		return NULL;
	}
	return h;
}

void host_vmbus_free(struct host_vmbus *h)
{
	if (!h)
		return;
	loop_io_free(h->listen_io);
	unix_unlisten(&h->listener);
	shm_sock_free(h->guest);
	while (h->offers) {
		struct host_offer *o = h->offers;

		if (o->conn)
			conn_free(o->conn);
		unlink_offer(o);
	}
	host_gpadl_remove_all(&h->gpadls);
	free(h);
}

/* Offers, from their owner's side. */

struct host_offer *host_offer_new(struct host_vmbus *h,
				  const struct guid *class_id,
				  const struct guid *instance, bool named_pipe,
				  const struct host_offer_ops *ops, void *arg)
{
	struct host_offer *o = calloc(1, sizeof(*o)), **at = &h->offers;

	if (!o)
		return NULL;
	*o = (struct host_offer){
		.h = h, .class_id = *class_id, .instance = *instance,
		.named_pipe = named_pipe, .wanted = true, .ops = ops,
		.arg = arg,
	};
	while (*at)
		at = &(*at)->next;
	*at = o;
	try_offer(o);
	return o;
}

void host_offer_rescind(struct host_offer *o)
{
	o->wanted = false;
	if (o->state == REOFFERED) {
		o->state = REVOKED;
	} else if (o->state == CLOSED || o->state == OPEN) {
		send_type(o->h, VMBUS_MSG_RESCIND, o->relid);
		o->state = REVOKED;
		close_conn(o, 0);
	}
}

void host_offer_again(struct host_offer *o)
{
	o->wanted = true;
	if (o->state == REVOKED)
		o->state = REOFFERED;
	try_offer(o);
}

void host_offer_refuse(struct host_offer *o, uint32_t status)
{
	o->refuse = status;
}

void host_offer_free(struct host_offer *o)
{
	if (!o)
		return;
	host_offer_rescind(o);
	o->orphan = true;
	if (o->state == RELEASED)
		unlink_offer(o);
}

void *host_offer_ring(struct host_offer *o, bool tx, size_t *len)
{
	uint8_t *mem;

	if (!o->conn)
		return NULL;
	mem = o->conn->rings->mem;
	*len = tx ? o->conn->tx_len : o->conn->rx_len;
	return tx ? mem + o->conn->rx_len : mem;
}

void host_offer_kick(struct host_offer *o)
{
	if (o->conn)
		conn_signal(o->conn);
}

void *host_offer_gpadl(struct host_offer *o, uint32_t handle, size_t *len)
{
	struct host_gpadl *g = o->state == RELEASED ? NULL :
		host_gpadl_find(&o->h->gpadls, o->relid, handle);

	if (!g)
		return NULL;
	*len = g->len;
	return g->mem;
}
