#include "lagg/move_read_linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct move_item *append(struct move_snap *s, enum move_kind kind,
				uint8_t family)
{
	struct move_item *i;

	if (!s->n || (s->n >= 16 && !(s->n & (s->n - 1)))) {
		i = realloc(s->items, (s->n ? 2 * s->n : 16) * sizeof(*i));
		if (!i)
			return NULL;
		s->items = i;
	}
	i = &s->items[s->n++];
	*i = (struct move_item){ .kind = kind,
				 .family = family == AF_INET ? 4 : 6 };
	return i;
}

static int keep(struct move_item *i, const void *msg, size_t len)
{
	if (!i)
		return MNL_CB_ERROR;
	i->os = malloc(len);
	if (!i->os)
		return MNL_CB_ERROR;
	memcpy(i->os, msg, len);
	i->os_len = len;
	return MNL_CB_OK;
}

/* An address's bytes; the rest of `out` stays zero. */
static void take(uint8_t out[16], const struct nlattr *a)
{
	size_t n = mnl_attr_get_payload_len(a);

	memcpy(out, mnl_attr_get_payload(a), n < 16 ? n : 16);
}

/* Addresses -------------------------------------------------------------- */

static int on_addr(const struct nlmsghdr *h, void *arg)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *local = NULL, *address = NULL;
	uint32_t flags = m->ifa_flags;
	struct move_snap *s = arg;
	struct move_item *i;

	if (m->ifa_index != s->from.index ||
	    (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
		return MNL_CB_OK;
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m))
		switch (mnl_attr_get_type(a)) {
		case IFA_LOCAL:
			local = a;
			break;
		case IFA_ADDRESS:
			address = a;
			break;
		case IFA_FLAGS:
			flags = mnl_attr_get_u32(a);
			break;
		}
	if (!address)
		address = local;
	/* One that is tentative, or known to be a duplicate, is not in use. */
	if (!address || flags & IFA_F_DADFAILED)
		return MNL_CB_OK;
	i = append(s, MOVE_ADDR, m->ifa_family);
	if (!i)
		return MNL_CB_ERROR;
	i->index = m->ifa_index;
	i->prefix = m->ifa_prefixlen;
	take(i->addr, local ? local : address);
	take(i->net, address);
	i->secondary = m->ifa_family == AF_INET && flags & IFA_F_SECONDARY;
	i->no_route = flags & IFA_F_NOPREFIXROUTE;
	return keep(i, h, h->nlmsg_len);
}

/* Routes ----------------------------------------------------------------- */

struct hops {
	bool ours;		/* one of them is `from` */
	unsigned n, index;	/* how many; the last one's link */
	bool gateway;
};

static bool is_gateway(const struct nlattr *a)
{
	return mnl_attr_get_type(a) == RTA_GATEWAY ||
	       mnl_attr_get_type(a) == RTA_VIA;
}

static void read_hops(struct hops *out, const struct nlattr *mp, unsigned from)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(mp);
	int left = mnl_attr_get_payload_len(mp);
	const struct nlattr *a;

	for (; RTNH_OK(nh, left);
	     left -= (int)RTNH_ALIGN(nh->rtnh_len), nh = RTNH_NEXT(nh)) {
		out->ours |= (unsigned)nh->rtnh_ifindex == from;
		out->index = (unsigned)nh->rtnh_ifindex;
		out->n++;
		NL_FOR_EACH(a, (const struct nlattr *)(nh + 1),
			    (const char *)nh + nh->rtnh_len)
			out->gateway |= is_gateway(a);
	}
}

/* What the kernel makes by itself for an address or a link, in the table that
 * is its own, comes and goes with them. */
static bool is_config(const struct rtmsg *m)
{
	return m->rtm_type == RTN_UNICAST && !(m->rtm_flags & RTM_F_CLONED) &&
	       (m->rtm_family == AF_INET || m->rtm_family == AF_INET6);
}

static int on_route(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct hops hops = { 0 };
	struct move_snap *s = arg;
	const struct nlattr *a;
	struct move_item *i;

	if (!is_config(m))
		return MNL_CB_OK;
	i = append(s, MOVE_ROUTE, m->rtm_family);
	if (!i)
		return MNL_CB_ERROR;
	i->table = m->rtm_table;
	i->prefix = m->rtm_dst_len;
	i->tos = m->rtm_tos;
	i->connected = m->rtm_protocol == RTPROT_KERNEL;
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m))
		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			hops.index = mnl_attr_get_u32(a);
			hops.ours = hops.index == s->from.index;
			hops.n++;
			break;
		case RTA_MULTIPATH:
			read_hops(&hops, a, s->from.index);
			break;
		case RTA_GATEWAY:
		case RTA_VIA:
			hops.gateway = true;
			break;
		case RTA_DST:
			take(i->addr, a);
			break;
		case RTA_PRIORITY:
			i->metric = mnl_attr_get_u32(a);
			break;
		case RTA_TABLE:
			i->table = mnl_attr_get_u32(a);
			break;
		}
	i->gateway = hops.gateway;
	i->index = hops.n > 1 ? 0 : hops.index;
	return hops.ours ? keep(i, h, h->nlmsg_len) : MNL_CB_OK;
}

/* Neighbours ------------------------------------------------------------- */

static int on_neigh(const struct nlmsghdr *h, void *arg)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(h);
	const unsigned known = NUD_REACHABLE | NUD_STALE | NUD_DELAY |
			       NUD_PROBE | NUD_PERMANENT;
	struct move_snap *s = arg;
	const struct nlattr *a;
	struct move_item *i;
	bool lladdr = false;

	if ((unsigned)m->ndm_ifindex != s->from.index ||
	    !(m->ndm_state & known) || m->ndm_flags & NTF_PROXY ||
	    (m->ndm_family != AF_INET && m->ndm_family != AF_INET6))
		return MNL_CB_OK;
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m))
		lladdr |= mnl_attr_get_type(a) == NDA_LLADDR;
	if (!lladdr)
		return MNL_CB_OK;
	i = append(s, MOVE_NEIGH, m->ndm_family);
	if (!i)
		return MNL_CB_ERROR;
	i->index = s->from.index;
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m))
		if (mnl_attr_get_type(a) == NDA_DST)
			take(i->addr, a);
	return keep(i, h, h->nlmsg_len);
}

/* Groups ----------------------------------------------------------------- */

static int add_group(struct move_snap *s, uint8_t family, const void *group,
		     size_t len)
{
	struct move_item *i = append(s, MOVE_GROUP, family);

	if (!i)
		return -ENOMEM;
	i->index = s->from.index;
	memcpy(i->addr, group, len);
	return keep(i, "", 1) == MNL_CB_OK ? 0 : -ENOMEM;
}

/* A line for each link that begins with its index, then an indented line for
 * each of its groups, as a number in the machine's order of network bytes. */
static int read_groups4(struct move_snap *s)
{
	FILE *f = fopen("/proc/net/igmp", "re");
	unsigned index = 0;
	char line[256];
	int err = 0;

	while (f && !err && fgets(line, sizeof(line), f)) {
		uint32_t group;

		if (line[0] != '\t')
			index = (unsigned)strtoul(line, NULL, 10);
		else if (index == s->from.index) {
			group = (uint32_t)strtoul(line, NULL, 16);
			if (group != htonl(INADDR_ALLHOSTS_GROUP))
				err = add_group(s, AF_INET, &group, 4);
		}
	}
	if (f)
		fclose(f);
	return err;
}

static bool parse_group6(uint8_t group[16], const char *hex)
{
	for (int i = 0; i < 16; i++)
		if (sscanf(hex + (ptrdiff_t)2 * i, "%2hhx", &group[i]) != 1)
			return false;
	return true;
}

/* All nodes, and what comes with each address. */
static bool is_own_group6(const uint8_t g[16])
{
	static const uint8_t solicited[13] = {
		0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff,
	};
	static const uint8_t all[14];

	return !memcmp(g, solicited, 13) ||
	       (g[0] == 0xff && (g[1] == 1 || g[1] == 2) &&
		!memcmp(g + 2, all, 13) && g[15] == 1);
}

static int read_groups6(struct move_snap *s)
{
	FILE *f = fopen("/proc/net/igmp6", "re");
	char line[256], hex[33];
	uint8_t group[16];
	unsigned index;
	int err = 0;

	while (f && !err && fgets(line, sizeof(line), f))
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
		if (sscanf(line, "%u %*s %32s", &index, hex) == 2 &&
		    index == s->from.index && parse_group6(group, hex) &&
		    !is_own_group6(group))
			err = add_group(s, AF_INET6, group, 16);
	if (f)
		fclose(f);
	return err;
}

/* All of it -------------------------------------------------------------- */

static int read_link(struct move_link *out, struct nl *nl, unsigned index)
{
	struct nl_link l;
	int err = nl_link_get(nl, &l, (int)index, NULL);

	if (!err)
		*out = (struct move_link){ index, l.flags & IFF_UP, l.mtu };
	return err;
}

static void forget(void *arg)
{
	struct move_snap *s = arg;

	move_snap_free(&(struct move_snap){ .items = s->items, .n = s->n });
	s->items = NULL;
	s->n = 0;
}

/* What `part` holds goes to the end of s. */
static int join(struct move_snap *s, struct move_snap *part)
{
	struct move_item *all;

	if (!part->n)
		return 0;
	all = realloc(s->items, (s->n + part->n) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	memcpy(all + s->n, part->items, part->n * sizeof(*all));
	s->items = all;
	s->n += part->n;
	part->n = 0;
	return 0;
}

/* Each dump by itself, so that one that is taken again forgets its own. */
static int dump(struct move_snap *s, struct nl *nl, uint16_t type, size_t body,
		mnl_cb_t fn)
{
	char buf[256] = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct move_snap part = { s->from, s->to, NULL, 0 };
	int err;

	h->nlmsg_type = type;
	mnl_nlmsg_put_extra_header(h, body);	/* zero: any family */
	err = nl_dump(nl, h, fn, forget, &part);
	if (!err)
		err = join(s, &part);
	move_snap_free(&part);
	return err;
}

static int read_groups(struct move_snap *s)
{
	struct move_snap part = { s->from, s->to, NULL, 0 };
	int err = read_groups4(&part);

	if (!err)
		err = read_groups6(&part);
	if (!err)
		err = join(s, &part);
	move_snap_free(&part);
	return err;
}

int move_read(struct move_snap *s, struct nl *nl, unsigned from, unsigned to)
{
	int err;

	*s = (struct move_snap){ 0 };
	err = read_link(&s->from, nl, from);
	if (!err)
		err = read_link(&s->to, nl, to);
	if (!err)
		err = dump(s, nl, RTM_GETNEIGH, sizeof(struct ndmsg), on_neigh);
	if (!err)
		err = dump(s, nl, RTM_GETADDR, sizeof(struct ifaddrmsg),
			   on_addr);
	if (!err)
		err = dump(s, nl, RTM_GETROUTE, sizeof(struct rtmsg), on_route);
	if (!err)
		err = read_groups(s);
	if (err)
		move_snap_free(s);
	return err;
}
