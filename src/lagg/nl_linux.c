/* lagg/nl_linux.c - rtnetlink by libmnl, one request at a time.
 *
 * A dump gets a socket of its own: what is left of one that was given up goes
 * with it, and its answers cannot be taken for an acknowledgement. */
#include "lagg/nl_linux.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { MAX_TRIES = 5, SMALL = 1024 };

struct nl {
	struct mnl_socket *sock;
	unsigned seq;
	char buf[NL_BUF];
};

static struct mnl_socket *open_socket(void)
{
	const struct timeval tv = { .tv_sec = 1 };
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!s)
		return NULL;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &tv,
		       sizeof(tv)) < 0) {
		int err = errno;

		mnl_socket_close(s);
		errno = err;
		return NULL;
	}
	return s;
}

struct nl *nl_open(void)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	if (!nl)
		return NULL;
	nl->sock = open_socket();
	if (!nl->sock) {
		free(nl);
		return NULL;
	}
	return nl;
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	mnl_socket_close(nl->sock);
	free(nl);
}

/* Read answers until one ends the request. */
static int finish(struct nl *nl, struct mnl_socket *s, unsigned seq,
		  mnl_cb_t fn, void *arg)
{
	int r = MNL_CB_OK;

	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(s, nl->buf, sizeof(nl->buf));

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		r = mnl_cb_run(nl->buf, (size_t)n, seq,
			       mnl_socket_get_portid(s), fn, arg);
		/* The answer to a request that we gave up. */
		if (r < 0 && errno == ESRCH && n >= (ssize_t)NLMSG_HDRLEN &&
		    ((struct nlmsghdr *)nl->buf)->nlmsg_seq != seq)
			r = MNL_CB_OK;
	}
	return r < 0 ? -errno : 0;
}

int nl_ask(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg)
{
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, h, h->nlmsg_len) < 0)
		return -errno;
	return finish(nl, nl->sock, h->nlmsg_seq, fn, arg);
}

int nl_talk(struct nl *nl, struct nlmsghdr *h)
{
	return nl_ask(nl, h, NULL, NULL);
}

static int dump_once(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg)
{
	struct mnl_socket *s = open_socket();
	int err;

	if (!s)
		return -errno;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0)
		err = -errno;
	else
		err = finish(nl, s, h->nlmsg_seq, fn, arg);
	mnl_socket_close(s);
	return err;
}

int nl_dump(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn,
	    void (*restart)(void *arg), void *arg)
{
	int err, tries = 0;

	do {
		if (tries && restart)
			restart(arg);
		err = dump_once(nl, h, fn, arg);
	} while (err == -EINTR && ++tries < MAX_TRIES);
	return err;
}

/* Links ------------------------------------------------------------------ */

static void copy_text(char *out, size_t cap, const struct nlattr *a)
{
	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
		return;
	strncpy(out, mnl_attr_get_str(a), cap - 1);
}

static void copy_fixed(void *out, size_t cap, const struct nlattr *a)
{
	size_t n = mnl_attr_get_payload_len(a);

	memcpy(out, mnl_attr_get_payload(a), n < cap ? n : cap);
}

static uint8_t addr_gen_of(const struct nlattr *spec)
{
	const struct nlattr *family, *a;

	NL_FOR_EACH_NESTED(family, spec) {
		if (mnl_attr_get_type(family) != AF_INET6)
			continue;
		NL_FOR_EACH_NESTED(a, family)
			if (mnl_attr_get_type(a) == IFLA_INET6_ADDR_GEN_MODE)
				return mnl_attr_get_u8(a);
	}
	return 0;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct nl_link *l = arg;
	const struct nlattr *a, *i;

	*l = (struct nl_link){ .index = m->ifi_index, .flags = m->ifi_flags };
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m))
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			copy_text(l->name, sizeof(l->name), a);
			break;
		case IFLA_ADDRESS:
			l->has_mac = m->ifi_type == ARPHRD_ETHER &&
				     mnl_attr_get_payload_len(a) == 6;
			copy_fixed(l->mac, sizeof(l->mac), a);
			break;
		case IFLA_MTU:
			copy_fixed(&l->mtu, sizeof(l->mtu), a);
			break;
		case IFLA_MASTER:
			copy_fixed(&l->master, sizeof(l->master), a);
			break;
		case IFLA_IFALIAS:
			copy_text(l->alias, sizeof(l->alias), a);
			break;
		case IFLA_STATS64:
			copy_fixed(&l->stats, sizeof(l->stats), a);
			break;
		case IFLA_AF_SPEC:
			l->addr_gen = addr_gen_of(a);
			break;
		case IFLA_LINKINFO:
			NL_FOR_EACH_NESTED(i, a)
				if (mnl_attr_get_type(i) == IFLA_INFO_KIND)
					copy_text(l->kind, sizeof(l->kind), i);
			break;
		}
	return MNL_CB_OK;
}

static struct nlmsghdr *link_msg(char *buf, uint16_t type, int index)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	h->nlmsg_type = type;
	m->ifi_index = index;
	return h;
}

int nl_link_get(struct nl *nl, struct nl_link *l, int index, const char *name)
{
	char buf[SMALL];
	struct nlmsghdr *h = link_msg(buf, RTM_GETLINK, index);

	*l = (struct nl_link){ 0 };
	if (!index && !name)
		return -ENODEV;
	if (!index)
		mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return nl_ask(nl, h, on_link, l);
}

int nl_link_flags(struct nl *nl, int index, unsigned set, unsigned mask)
{
	char buf[SMALL];
	struct nlmsghdr *h = link_msg(buf, RTM_NEWLINK, index);
	struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

	m->ifi_flags = set;
	m->ifi_change = mask;
	return nl_talk(nl, h);
}

int nl_link_mtu(struct nl *nl, int index, uint32_t mtu)
{
	char buf[SMALL];
	struct nlmsghdr *h = link_msg(buf, RTM_NEWLINK, index);

	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return nl_talk(nl, h);
}

int nl_link_rename(struct nl *nl, int index, const char *name)
{
	char buf[SMALL];
	struct nlmsghdr *h = link_msg(buf, RTM_NEWLINK, index);

	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return nl_talk(nl, h);
}

int nl_link_delete(struct nl *nl, int index)
{
	char buf[SMALL];

	return nl_talk(nl, link_msg(buf, RTM_DELLINK, index));
}

int nl_link_dress(struct nl *nl, int index, const uint8_t mac[6],
		  uint32_t mtu, const char *alias)
{
	char buf[SMALL];
	struct nlmsghdr *h = link_msg(buf, RTM_NEWLINK, index);

	mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	if (mtu)
		mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_strz(h, IFLA_IFALIAS, alias);
	return nl_talk(nl, h);
}

int nl_link_addr_gen(struct nl *nl, int index, uint8_t mode)
{
	char buf[SMALL];
	struct nlmsghdr *h = link_msg(buf, RTM_NEWLINK, index);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *v6 = mnl_attr_nest_start(h, AF_INET6);
	int err;

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, mode);
	mnl_attr_nest_end(h, v6);
	mnl_attr_nest_end(h, spec);
	err = nl_talk(nl, h);
	return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}

/* Link-local addresses --------------------------------------------------- */

struct found {
	int index;
	size_t n;
	uint8_t addr[8][16];
};

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct found *f = arg;
	const struct nlattr *a;

	if (m->ifa_family != AF_INET6 || (int)m->ifa_index != f->index ||
	    m->ifa_scope != RT_SCOPE_LINK)
		return MNL_CB_OK;
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m))
		if (mnl_attr_get_type(a) == IFA_ADDRESS && f->n < 8 &&
		    mnl_attr_get_payload_len(a) == 16)
			copy_fixed(f->addr[f->n++], 16, a);
	return MNL_CB_OK;
}

static void forget(void *arg)
{
	((struct found *)arg)->n = 0;
}

int nl_link_no_link_local(struct nl *nl, int index)
{
	struct found f = { .index = index };
	char buf[SMALL];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	int err;

	h->nlmsg_type = RTM_GETADDR;
	m->ifa_family = AF_INET6;
	err = nl_dump(nl, h, on_addr, forget, &f);
	for (size_t i = 0; i < f.n && !err; i++) {
		h = mnl_nlmsg_put_header(buf);
		m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
		h->nlmsg_type = RTM_DELADDR;
		m->ifa_family = AF_INET6;
		m->ifa_prefixlen = 64;
		m->ifa_index = (unsigned)index;
		mnl_attr_put(h, IFA_LOCAL, 16, f.addr[i]);
		err = nl_talk(nl, h);
		if (err == -EADDRNOTAVAIL)
			err = 0;
	}
	return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}
