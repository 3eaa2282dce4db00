/* lagg/move_linux.c - the steps of a move, each one or two rtnetlink requests.
 *
 * A message for `to` is the one in which the kernel told us of the thing on
 * `from`, with the link exchanged and without what only the kernel may say.
 *
 * An address of IPv6 is added with NODAD, because we know that it is ours; if
 * it did not have that flag, a second request takes it away again, which the
 * kernel allows and does nothing else. So it can be told apart, the way back
 * included, from one that a person set up with it.
 *
 * The kernel answers for a new address of IPv6 only when a work queue of its
 * has run; before that, to take it from `from` would lose what arrives. So we
 * wait until the table of local routes has each of them (settle). */
#include "lagg/move_linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lagg/move_read_linux.h"
#include "lagg/nl_linux.h"

enum { MSG = 8192, LOOSE = 2, STRICT = 1, MAX_GROUPS = 256 };
enum { SETTLE_MS = 2000 };
enum { TICKS_PER_S = 100 };	/* of rta_expires */

struct move_hold {
	size_t n;
	int fd[MAX_GROUPS];
};

struct mover {
	const struct move_cfg *cfg;
	struct move_report *report;
	struct nl *nl;
	struct move_snap snap;
	struct move_hold *hold;
	char from[IFNAMSIZ], to[IFNAMSIZ];
	int rpf_from, rpf_to;	/* as they were; -1: not changed */
};

/* Requests --------------------------------------------------------------- */

/* Type, flags and the fixed part of `item`'s message, in buf. */
static struct nlmsghdr *begin(char *buf, const struct move_item *item,
			      uint16_t type, uint16_t flags, size_t body)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	void *to = mnl_nlmsg_put_extra_header(h, body);

	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	memcpy(to, mnl_nlmsg_get_payload(item->os), body);
	return h;
}

static int put_copy(struct nlmsghdr *h, const struct nlattr *a)
{
	return mnl_attr_put_check(h, MSG, mnl_attr_get_type(a),
				  mnl_attr_get_payload_len(a),
				  mnl_attr_get_payload(a)) ? 0 : -EMSGSIZE;
}

/* What the kernel told, told back to it about the same link. */
static int talk_original(struct mover *m, const struct move_item *item,
			 uint16_t type, uint16_t flags)
{
	char buf[MSG];
	struct nlmsghdr *h = (struct nlmsghdr *)buf;

	if (item->os_len > sizeof(buf))
		return -EMSGSIZE;
	memcpy(buf, item->os, item->os_len);
	h->nlmsg_type = type;
	h->nlmsg_flags = flags;
	h->nlmsg_pid = 0;
	return nl_talk(m->nl, h);
}

/* 1 for done, 0 when the error says that it was so already. */
static int tolerate(int err, int so_already)
{
	return !err ? 1 : err == so_already ? 0 : err;
}

/* Neighbours ------------------------------------------------------------- */

static int neigh(struct mover *m, const struct move_item *item, uint16_t type,
		 uint16_t flags)
{
	char buf[MSG];
	struct nlmsghdr *h = begin(buf, item, type, flags,
				   sizeof(struct ndmsg));
	struct ndmsg *n = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	n->ndm_ifindex = (int)m->snap.to.index;
	n->ndm_flags &= NTF_ROUTER;
	if (!(n->ndm_state & NUD_PERMANENT))
		n->ndm_state = NUD_REACHABLE;
	NL_FOR_EACH_IN_MSG(a, item->os, sizeof(*n))
		if ((mnl_attr_get_type(a) == NDA_DST ||
		     mnl_attr_get_type(a) == NDA_LLADDR) && put_copy(h, a))
			return -EMSGSIZE;
	return nl_talk(m->nl, h);
}

/* Addresses -------------------------------------------------------------- */

static uint32_t flags_of(const struct move_item *item)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(item->os);
	uint32_t flags = m->ifa_flags;
	const struct nlattr *a;

	NL_FOR_EACH_IN_MSG(a, item->os, sizeof(*m))
		if (mnl_attr_get_type(a) == IFA_FLAGS)
			flags = mnl_attr_get_u32(a);
	return flags;
}

/* "hn0:1" is "lagg0:1" there. */
static void put_label(struct nlmsghdr *h, const struct mover *m,
		      const struct nlattr *a)
{
	const char *label = mnl_attr_get_str(a);
	size_t n = strlen(m->from);
	char out[2 * IFNAMSIZ];

	if (!strncmp(label, m->from, n) && label[n] == ':') {
		snprintf(out, sizeof(out), "%s%s", m->to, label + n);
		/* Too long: it gets the link's name. */
		if (strlen(out) < IFNAMSIZ)
			mnl_attr_put_strz(h, IFA_LABEL, out);
	} else if (strcmp(label, m->from) != 0) {
		mnl_attr_put_strz(h, IFA_LABEL, label);
	}
}

static int new_address(struct mover *m, const struct move_item *item,
		       uint16_t how, uint32_t flags)
{
	char buf[MSG];
	struct nlmsghdr *h = begin(buf, item, RTM_NEWADDR, how,
				   sizeof(struct ifaddrmsg));
	struct ifaddrmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	msg->ifa_index = m->snap.to.index;
	msg->ifa_flags = (uint8_t)flags;
	mnl_attr_put_u32(h, IFA_FLAGS, flags);
	NL_FOR_EACH_IN_MSG(a, item->os, sizeof(*msg)) {
		if (mnl_attr_get_type(a) == IFA_LABEL)
			put_label(h, m, a);
		else if (mnl_attr_get_type(a) != IFA_FLAGS && put_copy(h, a))
			return -EMSGSIZE;
	}
	return nl_talk(m->nl, h);
}

static int address(struct mover *m, const struct move_step *step)
{
	const uint32_t kept = IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR |
			      IFA_F_MCAUTOJOIN | IFA_F_NODAD;
	uint32_t was = flags_of(step->item), flags = was & kept;
	int r;

	if (step->no_route)
		flags |= IFA_F_NOPREFIXROUTE;
	if (step->item->family == 4)
		return tolerate(new_address(m, step->item, NLM_F_CREATE |
				NLM_F_EXCL, flags & ~(uint32_t)IFA_F_NODAD),
				-EEXIST);
	r = tolerate(new_address(m, step->item, NLM_F_CREATE | NLM_F_EXCL,
				 flags | IFA_F_NODAD), -EEXIST);
	if (r > 0 && !(was & IFA_F_NODAD))
		new_address(m, step->item, NLM_F_CREATE | NLM_F_REPLACE, flags);
	return r;
}

/* How many of the addresses of IPv6 that move `to` answers for. */
struct local {
	const struct mover *m;
	size_t n;
};

static bool moves(const struct move_snap *s, const void *addr)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].kind == MOVE_ADDR && s->items[i].family == 6 &&
		    !memcmp(s->items[i].addr, addr, 16))
			return true;
	return false;
}

static int on_local(const struct nlmsghdr *h, void *arg)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *a, *dst = NULL;
	struct local *l = arg;
	unsigned link = 0;

	if (r->rtm_type != RTN_LOCAL || r->rtm_dst_len != 128)
		return MNL_CB_OK;
	NL_FOR_EACH_IN_MSG(a, h, sizeof(*r)) {
		if (mnl_attr_get_type(a) == RTA_DST)
			dst = a;
		if (mnl_attr_get_type(a) == RTA_OIF)
			link = mnl_attr_get_u32(a);
	}
	if (dst && link == l->m->snap.to.index &&
	    moves(&l->m->snap, mnl_attr_get_payload(dst)))
		l->n++;
	return MNL_CB_OK;
}

static void forget_local(void *arg)
{
	((struct local *)arg)->n = 0;
}

static int settle(struct mover *m)
{
	struct local l = { .m = m };
	size_t want = 0;
	int err = 0;

	for (size_t i = 0; i < m->snap.n; i++)
		want += m->snap.items[i].kind == MOVE_ADDR &&
			m->snap.items[i].family == 6;
	/* A link that is down answers for nothing, and receives nothing. */
	if (!m->snap.from.up)
		return 0;
	for (int ms = 0; want && ms < SETTLE_MS; ms++) {
		char buf[256];
		struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
		struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof(*r));

		h->nlmsg_type = RTM_GETROUTE;
		r->rtm_family = AF_INET6;
		l.n = 0;
		err = nl_dump(m->nl, h, on_local, forget_local, &l);
		if (err || l.n >= want)
			return err;
		poll(NULL, 0, 1);
	}
	return want ? -ETIMEDOUT : 0;
}

static int del_address_from_to(struct mover *m, const struct move_item *item)
{
	char buf[MSG];
	struct nlmsghdr *h = begin(buf, item, RTM_DELADDR, 0,
				   sizeof(struct ifaddrmsg));
	struct ifaddrmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	msg->ifa_index = m->snap.to.index;
	NL_FOR_EACH_IN_MSG(a, item->os, sizeof(*msg))
		if ((mnl_attr_get_type(a) == IFA_LOCAL ||
		     mnl_attr_get_type(a) == IFA_ADDRESS) && put_copy(h, a))
			return -EMSGSIZE;
	return nl_talk(m->nl, h);
}

/* As it was, but for the route that we see to ourselves. */
static void put_back_address(struct mover *m, const struct move_item *item)
{
	struct mover back = *m;
	const struct move_step step = { .item = item, .no_route = true };

	back.snap.to = m->snap.from;
	memcpy(back.from, m->to, IFNAMSIZ);
	memcpy(back.to, m->from, IFNAMSIZ);
	address(&back, &step);
}

/* Routes ----------------------------------------------------------------- */

static int put_expiry(struct nlmsghdr *h, const struct nlattr *cacheinfo)
{
	struct rta_cacheinfo c = { 0 };
	size_t n = mnl_attr_get_payload_len(cacheinfo);

	memcpy(&c, mnl_attr_get_payload(cacheinfo),
	       n < sizeof(c) ? n : sizeof(c));
	if (c.rta_expires > 0)
		mnl_attr_put_u32(h, RTA_EXPIRES,
				 (uint32_t)c.rta_expires / TICKS_PER_S);
	return 0;
}

/* Each next hop by `from` leads by `to`. */
static int put_hops(struct nlmsghdr *h, const struct mover *m,
		    const struct nlattr *mp)
{
	struct nlattr *copy = mnl_nlmsg_get_payload_tail(h);
	struct rtnexthop *nh;
	int left;

	if (put_copy(h, mp))
		return -EMSGSIZE;
	nh = mnl_attr_get_payload(copy);
	left = mnl_attr_get_payload_len(copy);
	for (; RTNH_OK(nh, left);
	     left -= (int)RTNH_ALIGN(nh->rtnh_len), nh = RTNH_NEXT(nh)) {
		if ((unsigned)nh->rtnh_ifindex == m->snap.from.index)
			nh->rtnh_ifindex = (int)m->snap.to.index;
		nh->rtnh_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
	}
	return 0;
}

static int put_route_attr(struct nlmsghdr *h, const struct mover *m,
			  const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case RTA_OIF:
		mnl_attr_put_u32(h, RTA_OIF, m->snap.to.index);
		return 0;
	case RTA_MULTIPATH:
		return put_hops(h, m, a);
	case RTA_CACHEINFO:
		return put_expiry(h, a);
	case RTA_EXPIRES:
	case RTA_IIF:
	case RTA_NH_ID:
		return 0;
	}
	return put_copy(h, a);
}

static int route(struct mover *m, const struct move_item *item, uint16_t type,
		 uint16_t flags)
{
	char buf[MSG];
	struct nlmsghdr *h = begin(buf, item, type, flags,
				   sizeof(struct rtmsg));
	struct rtmsg *msg = mnl_nlmsg_get_payload(h);
	const struct nlattr *a;

	msg->rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
	NL_FOR_EACH_IN_MSG(a, item->os, sizeof(*msg))
		if (put_route_attr(h, m, a))
			return -EMSGSIZE;
	return nl_talk(m->nl, h);
}

static int put_route(struct mover *m, const struct move_step *step)
{
	uint16_t flags = NLM_F_CREATE |
			 (step->replace ? NLM_F_REPLACE : NLM_F_APPEND);

	return tolerate(route(m, step->item, RTM_NEWROUTE, flags), -EEXIST);
}

/* The original again, as a message for the same link. */
static void put_back_route(struct mover *m, const struct move_item *item,
			   uint16_t how)
{
	struct mover back = *m;

	back.snap.to = m->snap.from;
	route(&back, item, RTM_NEWROUTE, (uint16_t)(NLM_F_CREATE | how));
}

static void undo_route(struct mover *m, const struct move_step *step)
{
	if (step->replace)
		put_back_route(m, step->item, NLM_F_REPLACE);
	else
		route(m, step->item, RTM_DELROUTE, 0);
}

static int del_route(struct mover *m, const struct move_item *item)
{
	struct mover same = *m;

	same.snap.to = m->snap.from;
	return tolerate(route(&same, item, RTM_DELROUTE, 0), -ESRCH);
}

/* Groups ----------------------------------------------------------------- */

static int join(int fd, const struct move_item *item, unsigned index)
{
	struct group_req r = { .gr_interface = index };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&r.gr_group;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&r.gr_group;

	if (item->family == 4) {
		v4->sin_family = AF_INET;
		memcpy(&v4->sin_addr, item->addr, 4);
		return setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r,
				  sizeof(r));
	}
	v6->sin6_family = AF_INET6;
	memcpy(&v6->sin6_addr, item->addr, 16);
	return setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_GROUP, &r, sizeof(r));
}

/* A socket for each, since one may only be in so many. */
static int carry_group(struct mover *m, const struct move_item *item)
{
	int fd = -1;

	if (m->hold->n < MAX_GROUPS)
		fd = socket(item->family == 4 ? AF_INET : AF_INET6,
			    SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !join(fd, item, m->snap.to.index)) {
		m->hold->fd[m->hold->n++] = fd;
		return 1;
	}
	if (fd >= 0)
		close(fd);
	m->report->n_stuck++;
	return 0;
}

void move_hold_free(struct move_hold *h)
{
	if (!h)
		return;
	while (h->n)
		close(h->fd[--h->n]);
	free(h);
}

/* Reverse path filters --------------------------------------------------- */

static int rpf_open(const char *link, int flags)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter",
		 link);
	return open(path, flags | O_CLOEXEC);
}

static int rpf_get(const char *link)
{
	int fd = rpf_open(link, O_RDONLY);
	char digit = '0';

	if (fd < 0)
		return 0;		/* a kernel without: nothing filters */
	if (read(fd, &digit, 1) != 1)
		digit = '0';
	close(fd);
	return digit - '0';
}

static int rpf_set(const char *link, int value)
{
	const char digit = (char)('0' + value);
	int fd = rpf_open(link, O_WRONLY);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, &digit, 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

/* The kernel takes the greater of "all" and the link's own. */
static int loosen(const char *link, int *was)
{
	int value = rpf_get(link), err;

	if (value != STRICT && (value == LOOSE || rpf_get("all") != STRICT))
		return 0;
	err = rpf_set(link, LOOSE);
	if (!err)
		*was = value;
	return err ? err : 1;
}

static void rpf_undo(struct mover *m)
{
	if (m->rpf_from >= 0)
		rpf_set(m->from, m->rpf_from);
	if (m->rpf_to >= 0)
		rpf_set(m->to, m->rpf_to);
	m->rpf_from = m->rpf_to = -1;
}

static int rpf_loose(struct mover *m)
{
	int a = loosen(m->from, &m->rpf_from);
	int b = a < 0 ? a : loosen(m->to, &m->rpf_to);

	if (b < 0) {
		rpf_undo(m);
		return b;
	}
	return a || b;
}

/* `to` filters as `from` did. */
static int rpf_strict(struct mover *m)
{
	int value = m->rpf_from >= 0 ? m->rpf_from : rpf_get(m->from);

	rpf_undo(m);
	if (rpf_get(m->to) != value)
		rpf_set(m->to, value);
	return 0;
}

/* Steps ------------------------------------------------------------------ */

static int receive(const struct mover *m, bool on)
{
	return m->cfg->receive ? m->cfg->receive(m->cfg->arg, on) : 0;
}

static int apply(void *arg, const struct move_step *step)
{
	struct mover *m = arg;
	const int to = (int)m->snap.to.index;

	switch (step->op) {
	case MOVE_OP_MTU:
		return tolerate(nl_link_mtu(m->nl, to, m->snap.from.mtu), 0);
	case MOVE_OP_UP:
		return tolerate(nl_link_flags(m->nl, to, IFF_UP, IFF_UP), 0);
	case MOVE_OP_LOOSE:
		return rpf_loose(m);
	case MOVE_OP_NEIGH:
		return tolerate(neigh(m, step->item, RTM_NEWNEIGH,
				      NLM_F_CREATE | NLM_F_REPLACE), 0);
	case MOVE_OP_ADDR:
		return address(m, step);
	case MOVE_OP_ROUTE:
		return put_route(m, step);
	case MOVE_OP_JOIN:
		return carry_group(m, step->item);
	case MOVE_OP_SETTLE:
		return settle(m);
	case MOVE_OP_RECEIVE:
		return tolerate(receive(m, true), 0);
	case MOVE_OP_ROUTE_DEL:
		return del_route(m, step->item);
	case MOVE_OP_ADDR_DEL:
		return tolerate(talk_original(m, step->item, RTM_DELADDR, 0),
				-EADDRNOTAVAIL);
	case MOVE_OP_STRICT:
		return rpf_strict(m);
	case MOVE_N_OPS:
		break;
	}
	return -EINVAL;
}

static void undo(void *arg, const struct move_step *step)
{
	struct mover *m = arg;
	const int to = (int)m->snap.to.index;

	switch (step->op) {
	case MOVE_OP_MTU:
		nl_link_mtu(m->nl, to, m->snap.to.mtu);
		break;
	case MOVE_OP_UP:
		nl_link_flags(m->nl, to, 0, IFF_UP);
		break;
	case MOVE_OP_LOOSE:
		rpf_undo(m);
		break;
	case MOVE_OP_NEIGH:
		neigh(m, step->item, RTM_DELNEIGH, 0);
		break;
	case MOVE_OP_ADDR:
		del_address_from_to(m, step->item);
		break;
	case MOVE_OP_ROUTE:
		undo_route(m, step);
		break;
	case MOVE_OP_RECEIVE:
		receive(m, false);
		break;
	case MOVE_OP_ROUTE_DEL:
		put_back_route(m, step->item, NLM_F_APPEND);
		break;
	case MOVE_OP_ADDR_DEL:
		put_back_address(m, step->item);
		break;
	case MOVE_OP_JOIN:		/* the hold goes */
	case MOVE_OP_SETTLE:
	case MOVE_OP_STRICT:
	case MOVE_N_OPS:
		break;
	}
}

static int names(struct mover *m)
{
	struct nl_link l;
	int err = nl_link_get(m->nl, &l, (int)m->cfg->from, NULL);

	memcpy(m->from, l.name, IFNAMSIZ);
	if (!err)
		err = nl_link_get(m->nl, &l, (int)m->cfg->to, NULL);
	memcpy(m->to, l.name, IFNAMSIZ);
	return err;
}

static int plan_and_run(struct mover *m)
{
	static const struct move_ops ops = { apply, undo };
	struct move_plan plan;
	size_t failed;
	int err = move_plan(&plan, &m->snap, m->cfg->way);

	if (err)
		return err;
	m->report->steps = plan.n;
	err = move_run(&plan, &ops, m, &failed);
	if (err && failed < plan.n)
		m->report->failed = move_op_name(plan.steps[failed].op);
	move_plan_free(&plan);
	return err;
}

int move_links(const struct move_cfg *cfg, struct move_hold **hold,
	       struct move_report *r)
{
	struct mover m = { .cfg = cfg, .report = r, .rpf_from = -1,
			   .rpf_to = -1 };
	int err;

	*r = (struct move_report){ 0 };
	m.nl = nl_open();
	if (!m.nl)
		return -errno;
	m.hold = calloc(1, sizeof(*m.hold));
	err = m.hold ? names(&m) : -ENOMEM;
	if (!err)
		err = move_read(&m.snap, m.nl, cfg->from, cfg->to);
	if (!err)
		err = plan_and_run(&m);
	/* A second move of the rest must not lose what the first one holds. */
	if (err || (!m.hold->n && cfg->way == MOVE_TO_AGGREGATE)) {
		move_hold_free(m.hold);
	} else {
		move_hold_free(*hold);
		*hold = m.hold;
	}
	move_snap_free(&m.snap);
	nl_close(m.nl);
	return err;
}

/* Names ------------------------------------------------------------------ */

static const char parked[] = "hvswap";

/* In an order that never leaves a half: the first rename is undone when one
 * of the others is refused. */
static int swap(struct nl *nl, const struct nl_link *a, const struct nl_link *b)
{
	int err = nl_link_rename(nl, b->index, parked);

	if (err)
		return err;
	err = nl_link_rename(nl, a->index, b->name);
	if (!err) {
		err = nl_link_rename(nl, b->index, a->name);
		if (err)
			nl_link_rename(nl, a->index, a->name);
	}
	if (err)
		nl_link_rename(nl, b->index, b->name);
	return err;
}

int move_swap_names(unsigned a, unsigned b)
{
	struct nl *nl = nl_open();
	struct nl_link la, lb;
	int err;

	if (!nl)
		return -errno;
	err = nl_link_get(nl, &la, (int)a, NULL);
	if (!err)
		err = nl_link_get(nl, &lb, (int)b, NULL);
	if (!err)
		err = swap(nl, &la, &lb);
	nl_close(nl);
	return err;
}
