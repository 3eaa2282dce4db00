/* kvp/netif_linux.c - a snapshot of interfaces, addresses and default routes
 * by rtnetlink.
 *
 * Three dumps at most over a socket that lives for the call: some 100 us, so
 * there is no cache that could be wrong. The kernel marks a dump that changed
 * under it (NLM_F_DUMP_INTR); we then take all of it again, a few times.
 *
 * An interface counts as the machine's own when it has a device behind it, or
 * when the kernel gives it no kind, which is how drivers of hardware look; a
 * TAP counts when its name begins with "hn", as hv_netd's do. So do stacked
 * kinds, and bridges that have such a port. */
#include "kvp/netif.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum {
	BUF = 32768,		/* the kernel's own dump buffer; bytes */
	MAX_TRIES = 5,
	TIMEOUT_MS = 1000,	/* for an answer that the kernel owes us */
};

/* libmnl's loops over attributes, without their implicit conversions. */
#define FOR_EACH_ATTR(a, first, end)					\
	for ((a) = (first);						\
	     mnl_attr_ok(a, (int)((const char *)(end) - (const char *)(a))); \
	     (a) = mnl_attr_next(a))
#define FOR_EACH_IN_MSG(a, h, body)					\
	FOR_EACH_ATTR(a, (const struct nlattr *)			\
		      mnl_nlmsg_get_payload_offset(h, body),		\
		      mnl_nlmsg_get_payload_tail(h))
#define FOR_EACH_NESTED(a, outer)					\
	FOR_EACH_ATTR(a, (const struct nlattr *)			\
		      mnl_attr_get_payload(outer),			\
		      (const char *)mnl_attr_get_payload(outer) +	\
		      mnl_attr_get_payload_len(outer))

/* Room for one more element, or NULL. */
static void *grow(void *array, size_t n, size_t size)
{
	/* powers of two: 0 -> 8 -> 16 ... */
	if (n && (n < 8 || (n & (n - 1))))
		return array;
	return realloc(array, (n ? 2 * n : 8) * size);
}

#define APPEND(t, array, count, item)					\
	({								\
		void *p_ = grow((t)->array, (t)->count, sizeof(item));	\
		if (p_) {						\
			(t)->array = p_;				\
			(t)->array[(t)->count++] = (item);		\
		}							\
		p_ ? MNL_CB_OK : MNL_CB_ERROR;				\
	})

/* Interfaces ------------------------------------------------------------- */

static enum netif_kind kind_by_name(const char *kind, const char *name)
{
	static const char *const stacked[] = {
		"bond", "team", "vlan", "macvlan", "ipvlan", "vrf",
	};

	for (size_t i = 0; i < sizeof(stacked) / sizeof(*stacked); i++)
		if (!strcmp(kind, stacked[i]))
			return NETIF_MACHINE;
	if (!strcmp(kind, "tun") && !strncmp(name, "hn", 2))
		return NETIF_MACHINE;
	return NETIF_VIRTUAL;
}

static const char *info_kind(const struct nlattr *linkinfo)
{
	const struct nlattr *a;

	FOR_EACH_NESTED(a, linkinfo)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(a);
	return NULL;
}

static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct netif_table *t = arg;
	struct netif i = { .index = (unsigned)m->ifi_index };
	const char *kind = NULL;
	bool device = false;
	const struct nlattr *a;

	FOR_EACH_IN_MSG(a, h, sizeof(*m))
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(i.name, mnl_attr_get_str(a), NETIF_NAME - 1);
			break;
		case IFLA_ADDRESS:
			if (m->ifi_type != ARPHRD_ETHER ||
			    mnl_attr_get_payload_len(a) != NETIF_MAC)
				break;
			memcpy(i.mac, mnl_attr_get_payload(a), NETIF_MAC);
			i.has_mac = true;
			break;
		case IFLA_MASTER:
			i.master = mnl_attr_get_u32(a);
			break;
		case IFLA_LINKINFO:
			kind = info_kind(a);
			break;
		case IFLA_PARENT_DEV_NAME:
			device = true;
			break;
		}
	i.up = m->ifi_flags & IFF_UP;
	if (m->ifi_flags & IFF_LOOPBACK)
		i.kind = NETIF_LOOPBACK;
	else if (kind && !device)
		i.kind = kind_by_name(kind, i.name);
	return APPEND(t, ifs, n_ifs, i);
}

/* A bridge (the only virtual kind with ports) over hardware is the machine's. */
static void adopt_masters(struct netif_table *t)
{
	for (size_t p = 0; p < t->n_ifs; p++)
		for (size_t m = 0; m < t->n_ifs; m++)
			if (t->ifs[p].kind == NETIF_MACHINE &&
			    t->ifs[p].master == t->ifs[m].index &&
			    t->ifs[m].kind == NETIF_VIRTUAL)
				t->ifs[m].kind = NETIF_MACHINE;
}

/* Addresses -------------------------------------------------------------- */

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct netif_addr a = { .index = m->ifa_index,
				.prefix = m->ifa_prefixlen };
	size_t len = m->ifa_family == AF_INET ? 4 : 16;
	const struct nlattr *at, *local = NULL, *address = NULL;
	struct netif_table *t = arg;
	uint32_t flags = m->ifa_flags;

	if (m->ifa_family != AF_INET && m->ifa_family != AF_INET6)
		return MNL_CB_OK;
	a.family = m->ifa_family == AF_INET ? 4 : 6;
	FOR_EACH_IN_MSG(at, h, sizeof(*m))
		switch (mnl_attr_get_type(at)) {
		case IFA_LOCAL:		/* ours; ADDRESS is then the peer's */
			local = at;
			break;
		case IFA_ADDRESS:
			address = at;
			break;
		case IFA_FLAGS:
			flags = mnl_attr_get_u32(at);
			break;
		}
	if (!local)
		local = address;
	if (!local || mnl_attr_get_payload_len(local) != len)
		return MNL_CB_OK;
	memcpy(a.addr, mnl_attr_get_payload(local), len);
	a.dynamic = !(flags & IFA_F_PERMANENT);
	/* IFA_F_SECONDARY is the same bit for IPv4 and means no harm there. */
	a.temporary = a.family == 6 && (flags & IFA_F_TEMPORARY);
	a.unusable = flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED) ||
		     (flags & IFA_F_TENTATIVE && !(flags & IFA_F_OPTIMISTIC));
	return APPEND(t, addrs, n_addrs, a);
}

/* Default routes --------------------------------------------------------- */

/* RTA_GATEWAY, or RTA_VIA for a gateway of the other family. */
static bool gateway_of(struct netif_route *r, const struct nlattr *a)
{
	const uint8_t *p = mnl_attr_get_payload(a);
	size_t len = mnl_attr_get_payload_len(a);

	r->gw_family = r->family;
	if (mnl_attr_get_type(a) == RTA_VIA) {
		uint16_t family;

		if (len < sizeof(family))
			return false;
		memcpy(&family, p, sizeof(family));
		r->gw_family = family == AF_INET ? 4 : 6;
		p += sizeof(family);
		len -= sizeof(family);
	}
	if (len != (r->gw_family == 4 ? 4u : 16u))
		return false;
	memcpy(r->gw, p, len);
	return true;
}

static int add_nexthop(struct netif_table *t, struct netif_route r,
		       const struct rtnexthop *nh)
{
	const char *end = (const char *)nh + nh->rtnh_len;
	const struct nlattr *a;

	r.index = (unsigned)nh->rtnh_ifindex;
	FOR_EACH_ATTR(a, (const struct nlattr *)(nh + 1), end)
		if ((mnl_attr_get_type(a) == RTA_GATEWAY ||
		     mnl_attr_get_type(a) == RTA_VIA) && gateway_of(&r, a))
			return APPEND(t, routes, n_routes, r);
	return MNL_CB_OK;
}

static int add_multipath(struct netif_table *t, struct netif_route r,
			 const struct nlattr *mp)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(mp);
	int left = mnl_attr_get_payload_len(mp);

	for (; RTNH_OK(nh, left);
	     left -= (int)RTNH_ALIGN(nh->rtnh_len), nh = RTNH_NEXT(nh))
		if (add_nexthop(t, r, nh) != MNL_CB_OK)
			return MNL_CB_ERROR;
	return MNL_CB_OK;
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct netif_route r = { .family = m->rtm_family == AF_INET ? 4 : 6 };
	const struct nlattr *a, *multipath = NULL;
	struct netif_table *t = arg;
	uint32_t table = m->rtm_table;
	bool found = false;

	if (m->rtm_dst_len || m->rtm_type != RTN_UNICAST ||
	    (m->rtm_family != AF_INET && m->rtm_family != AF_INET6))
		return MNL_CB_OK;
	FOR_EACH_IN_MSG(a, h, sizeof(*m))
		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			r.index = mnl_attr_get_u32(a);
			break;
		case RTA_PRIORITY:
			r.metric = mnl_attr_get_u32(a);
			break;
		case RTA_TABLE:
			table = mnl_attr_get_u32(a);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
			found = gateway_of(&r, a);
			break;
		case RTA_MULTIPATH:
			multipath = a;
			break;
		}
	if (table != RT_TABLE_MAIN)
		return MNL_CB_OK;
	if (multipath)
		return add_multipath(t, r, multipath);
	return found ? APPEND(t, routes, n_routes, r) : MNL_CB_OK;
}

/* Dumps ------------------------------------------------------------------ */

/* The smallest body each request may have; getlink wants its own. */
static const struct dump {
	uint16_t type;
	size_t body;
	mnl_cb_t fn;
} link_dump = { RTM_GETLINK, sizeof(struct ifinfomsg), on_link },
  addr_dump = { RTM_GETADDR, sizeof(struct ifaddrmsg), on_addr },
  route_dump = { RTM_GETROUTE, sizeof(struct rtmsg), on_route };

static int dump(struct mnl_socket *nl, char *buf, const struct dump *d,
		struct netif_table *t)
{
	static unsigned seq;
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	int r = MNL_CB_OK;

	h->nlmsg_type = d->type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = ++seq;
	mnl_nlmsg_put_extra_header(h, d->body);	/* all zero: any family */
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, BUF);

		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl),
			       d->fn, t);
	}
	return r < 0 ? -errno : 0;
}

static struct mnl_socket *open_netlink(void)
{
	const struct timeval tv = { .tv_sec = TIMEOUT_MS / 1000 };
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!nl)
		return NULL;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &tv,
		       sizeof(tv)) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	return nl;
}

/* A socket for each try: what is left of a dump goes with it. */
static int read_once(char *buf, struct netif_table *t, unsigned what)
{
	struct mnl_socket *nl = open_netlink();
	int err;

	if (!nl)
		return -errno;
	err = dump(nl, buf, &link_dump, t);
	if (!err)
		err = dump(nl, buf, &addr_dump, t);
	if (!err && what & NETIF_ROUTES)
		err = dump(nl, buf, &route_dump, t);
	mnl_socket_close(nl);
	return err;
}

int netif_read(struct netif_table *t, unsigned what)
{
	char *buf = malloc(BUF);
	int tries = 0, err;

	do {
		*t = (struct netif_table){ 0 };
		err = buf ? read_once(buf, t, what) : -ENOMEM;
		if (err)
			netif_free(t);
	} while (err == -EINTR && ++tries < MAX_TRIES);
	free(buf);
	adopt_masters(t);
	return err;
}

void netif_free(struct netif_table *t)
{
	free(t->ifs);
	/* The analyser takes what the next try allocates for what this one
	 * freed. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
	free(t->addrs);
	free(t->routes);
	*t = (struct netif_table){ 0 };
}
