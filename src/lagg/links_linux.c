/* lagg/links_linux.c - the table of links by rtnetlink.
 *
 * One socket carries the events and the answer to a dump, so they are in the
 * order in which things happened: what a dump says is true when it is read,
 * and events behind it are newer. During a dump events are taken as ever; at
 * its end whatever was neither in it nor in an event since its first message
 * is gone. Events before that do not count: in front of the dump that follows
 * an overrun there are old ones, of links whose end was not told.
 *
 * A dump that the kernel marks as interrupted, and an overrun of the socket,
 * make it begin anew.
 */
#include "lagg/links.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "lagg/link_msg_linux.h"
#include "lagg/link_slot_linux.h"
#include "lagg/nl_linux.h"

enum {
	RCVBUF = 1 << 20,	/* bytes: some 500 events */
	AT_ONCE = 64,		/* reads before others of the loop get a turn */
	RETRY_MS = 100,		/* when there was no memory for it */
};

struct links {
	struct loop *loop;
	const struct links_ops *ops;
	void *arg;
	struct mnl_socket *sock;
	struct loop_io *io;
	struct loop_timer retry;
	struct link *all;		/* n of them */
	unsigned *told;			/* in which round of reading, each */
	size_t n, cap;
	unsigned round;
	bool reading;			/* a dump is under way */
	bool answered;			/* and its first message was here */
	bool again;			/* and is worth nothing */
	bool complete;
	struct links_stats stats;
	char buf[NL_BUF];
};

/* The table -------------------------------------------------------------- */

static size_t index_of(const struct links *t, unsigned ifindex)
{
	size_t i = 0;

	while (i < t->n && t->all[i].ifindex != ifindex)
		i++;
	return i;
}

static int grow(struct links *t)
{
	size_t cap = t->cap ? 2 * t->cap : 16;
	struct link *all;
	unsigned *told;

	if (t->n < t->cap)
		return 0;
	all = realloc(t->all, cap * sizeof(*all));
	if (all)
		t->all = all;
	told = all ? realloc(t->told, cap * sizeof(*told)) : NULL;
	if (!told)
		return -ENOMEM;
	t->told = told;
	t->cap = cap;
	return 0;
}

static void remove_at(struct links *t, size_t i)
{
	struct link was = t->all[i];

	t->n--;
	t->all[i] = t->all[t->n];
	t->told[i] = t->told[t->n];
	t->stats.events++;
	t->ops->changed(t->arg, &was, NULL);
}

static bool same_device(const struct link *a, const struct link *b)
{
	return a->kind == b->kind && a->ethernet == b->ethernet &&
	       !memcmp(a->mac, b->mac, LINK_MAC) &&
	       a->has_permanent == b->has_permanent &&
	       !memcmp(a->permanent, b->permanent, LINK_MAC) &&
	       a->has_serial == b->has_serial && a->serial == b->serial;
}

static bool same(const struct link *a, const struct link *b)
{
	return same_device(a, b) && !strcmp(a->name, b->name) &&
	       a->master == b->master && a->mtu == b->mtu &&
	       a->ours == b->ours && a->up == b->up &&
	       a->running == b->running;
}

static void mark_told(struct links *t, size_t i)
{
	t->told[i] = t->answered ? t->round : t->round - 1;
}

static void change_at(struct links *t, size_t i, const struct link *is)
{
	struct link was = t->all[i], now = *is;

	if (same(&was, &now))
		return;
	t->all[i] = now;
	t->stats.events++;
	t->ops->changed(t->arg, &was, &now);
}

static void add(struct links *t, const struct link *is)
{
	struct link now = *is;

	if (grow(t) < 0) {
		t->complete = false;
		loop_timer_set(&t->retry, RETRY_MS);
		return;
	}
	t->all[t->n] = now;
	mark_told(t, t->n++);
	t->stats.events++;
	t->ops->changed(t->arg, NULL, &now);
}

static bool is_ours(const struct links *t, const struct link *l)
{
	return t->ops->ours && t->ops->ours(t->arg, l);
}

/* The serial is the device's for its life, so it is looked for once. */
static void take(struct links *t, struct link_msg *m)
{
	size_t i = index_of(t, m->link.ifindex);

	if (m->gone) {
		if (i < t->n)
			remove_at(t, i);
		return;
	}
	m->link.ours = is_ours(t, &m->link);
	if (i == t->n) {
		m->link.has_serial = link_slot_serial(LINK_SLOTS, m->parent,
						      &m->link.serial);
		add(t, &m->link);
		return;
	}
	m->link.has_serial = t->all[i].has_serial;
	m->link.serial = t->all[i].serial;
	mark_told(t, i);
	change_at(t, i, &m->link);
}

/* Whatever this round did not tell is gone. Each removal may change others. */
static void sweep(struct links *t)
{
	for (size_t i = 0; i < t->n;)
		if (t->told[i] == t->round)
			i++;
		else
			remove_at(t, i);
}

void links_ask_ours(struct links *t)
{
	for (size_t i = 0; i < t->n; i++) {
		struct link l = t->all[i];

		l.ours = is_ours(t, &l);
		change_at(t, i, &l);
	}
}

/* Reading it anew --------------------------------------------------------- */

static int request(struct links *t)
{
	char buf[64];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = RTM_GETLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++t->round;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return mnl_socket_sendto(t->sock, h, h->nlmsg_len) < 0 ? -errno : 0;
}

static void read_anew(void *arg)
{
	struct links *t = arg;
	int err;

	if (t->reading) {		/* one at a time */
		t->again = true;
		return;
	}
	loop_timer_cancel(&t->retry);
	t->again = t->answered = false;
	t->stats.reads++;
	err = request(t);
	t->reading = !err;
	if (!err)
		return;
	log_warn("links: cannot ask for the interfaces: %s", strerror(-err));
	loop_timer_set(&t->retry, RETRY_MS);
}

static void read_is_over(struct links *t, int err)
{
	t->reading = false;
	if (err == -EINTR || t->again) {
		read_anew(t);
	} else if (err < 0) {
		log_warn("links: cannot read the interfaces: %s",
			 strerror(-err));
		loop_timer_set(&t->retry, RETRY_MS);
	} else {
		sweep(t);
		t->complete = true;
		if (t->ops->complete)
			t->ops->complete(t->arg);
	}
}

/* It is not complete until it was read anew. */
static void overrun(struct links *t)
{
	t->stats.overruns++;
	t->complete = false;
	read_anew(t);
}

/* Messages --------------------------------------------------------------- */

/* The answer to a dump: an error, or DONE with one. */
static int result_of(const struct nlmsghdr *h)
{
	int err = 0;

	if (mnl_nlmsg_get_payload_len(h) >= sizeof(err))
		memcpy(&err, mnl_nlmsg_get_payload(h), sizeof(err));
	return err;
}

static void on_message(struct links *t, const struct nlmsghdr *h)
{
	bool answer = t->reading && h->nlmsg_seq == t->round &&
		      h->nlmsg_pid == mnl_socket_get_portid(t->sock);
	struct link_msg m;
	int err;

	t->answered |= answer;
	if (answer && h->nlmsg_flags & NLM_F_DUMP_INTR)
		t->again = true;
	if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
		if (answer)
			read_is_over(t, result_of(h));
		return;
	}
	err = link_msg_get(&m, h, h->nlmsg_len);
	if (!err)
		take(t, &m);
	else if (err == -EBADMSG)
		t->stats.bad++;
}

static void on_datagram(struct links *t, size_t len)
{
	const struct nlmsghdr *h = (const void *)t->buf;
	int left = (int)len;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
		on_message(t, h);
}

/* One datagram: its length, 0: not the kernel's, or -errno. */
static ssize_t receive(struct links *t)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { t->buf, sizeof(t->buf) };
	struct msghdr msg = { .msg_name = &from, .msg_namelen = sizeof(from),
			      .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(mnl_socket_get_fd(t->sock), &msg, MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	if (msg.msg_flags & MSG_TRUNC)
		return -ENOBUFS;
	return from.nl_pid ? 0 : n;
}

static void on_readable(void *arg, unsigned events)
{
	struct links *t = arg;

	(void)events;
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n = receive(t);

		if (n == -ENOBUFS)
			overrun(t);
		else if (n < 0)
			return;
		else
			on_datagram(t, (size_t)n);
	}
}

/* Life ------------------------------------------------------------------- */

static int subscribe(struct links *t)
{
	int size = RCVBUF, fd;

	t->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!t->sock || mnl_socket_bind(t->sock, RTMGRP_LINK,
					MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	fd = mnl_socket_get_fd(t->sock);
	/* Without the right to have it this large the usual size must do. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size));
	t->io = loop_io_new(t->loop, fd, LOOP_READ, on_readable, t);
	return t->io ? 0 : -ENOMEM;
}

struct links *links_new(struct loop *l, const struct links_ops *ops, void *arg)
{
	struct links *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return NULL;
	t->loop = l;
	t->ops = ops;
	t->arg = arg;
	loop_timer_init(&t->retry, l, read_anew, t);
	err = subscribe(t);
	if (err < 0) {
		links_free(t);
		errno = -err;
		return NULL;
	}
	read_anew(t);
	return t;
}

void links_free(struct links *t)
{
	if (!t)
		return;
	loop_timer_cancel(&t->retry);
	if (t->io)
		loop_io_free(t->io);
	if (t->sock)
		mnl_socket_close(t->sock);
	free(t->all);
	free(t->told);
	free(t);
}

const struct link *links_all(const struct links *t, size_t *n)
{
	*n = t->n;
	return t->all;
}

const struct link *links_find(const struct links *t, unsigned ifindex)
{
	size_t i = index_of(t, ifindex);

	return i < t->n ? &t->all[i] : NULL;
}

bool links_complete(const struct links *t)
{
	return t->complete;
}

void links_stats_get(const struct links *t, struct links_stats *s)
{
	*s = t->stats;
}
