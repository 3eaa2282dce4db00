/* lagg/lagg_bond_linux.c - the aggregate as a bond of the kernel's, mode
 * active-backup, with hnX and the VF as its ports.
 *
 * State of its tests: the messages are compared with bytes laid out by hand,
 * and the probe runs on a kernel without bonding. It has not carried traffic
 * in our tests yet, because the kernel they run on has no bonding; it has to
 * be tried where one does.
 *
 * A link must be down to become a port. A link that goes down loses its routes
 * and its addresses of IPv6, so for a configured hn the order is:
 *   create; add(LAGG_VF); use(LAGG_VF) and the host's data path to the VF;
 *   move hn's configuration to the bond (move.h); only then add(LAGG_SYNTHETIC)
 *
 * The bond is told which port is active. When that one is lost it chooses the
 * other at its next poll, by itself; use() then only confirms it. Frames that
 * arrive on the port that is not active are received, as hn's must be while
 * the VF is in use. */
#include <errno.h>
#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lagg/lagg_bond_msg_linux.h"
#include "lagg/lagg_linux.h"
#include "lagg/nl_linux.h"

enum { ADDR_GEN_NONE = 1 };

struct bond_lagg {
	struct lagg base;
	struct nl *nl;
	int ifindex;
	unsigned port[2];	/* by enum lagg_path */
	bool was_up[2];		/* before they became ports */
};

static struct bond_lagg *bond_of(struct lagg *l)
{
	return (struct bond_lagg *)l;
}

static void bond_free(struct bond_lagg *b)
{
	nl_close(b->nl);
	free(b);
}

/* NULL with the reason in *err. */
static struct bond_lagg *bond_open(const struct lagg_cfg *cfg, int *err)
{
	struct bond_lagg *b = calloc(1, sizeof(*b));

	*err = -ENOMEM;
	if (!b)
		return NULL;
	b->base = (struct lagg){ .ops = &lagg_bonding_ops, .cfg = *cfg };
	b->nl = nl_open();
	if (b->nl)
		return b;
	*err = -errno;
	free(b);
	return NULL;
}

static int bond_probe(char why[LAGG_WHY])
{
	struct nl *nl = nl_open();
	char buf[BOND_MSG];
	int err;

	if (!nl) {
		snprintf(why, LAGG_WHY, "no netlink: %s", strerror(errno));
		return -EPROTONOSUPPORT;
	}
	err = nl_talk(nl, bond_msg_probe(buf));
	nl_close(nl);
	if (err == -EADDRNOTAVAIL) {
		snprintf(why, LAGG_WHY, "active-backup");
		return 0;
	}
	if (err == -EOPNOTSUPP)
		snprintf(why, LAGG_WHY, "this kernel has no bonding");
	else
		snprintf(why, LAGG_WHY, "bonding: %s",
			 err ? strerror(-err) : "it took what it should refuse");
	return err ? err : -EPROTO;
}

static void bond_leave(struct lagg *l)
{
	if (l)
		bond_free(bond_of(l));
}

static void bond_destroy(struct lagg *l)
{
	struct bond_lagg *b = bond_of(l);

	if (!l)
		return;
	l->ops->remove(l, LAGG_VF);
	l->ops->remove(l, LAGG_SYNTHETIC);
	if (b->ifindex)
		nl_link_delete(b->nl, b->ifindex);
	bond_free(b);
}

/* The new bond gets the mark by which restore() knows it. */
static int furnish(struct bond_lagg *b)
{
	const struct lagg_cfg *cfg = &b->base.cfg;
	struct nl_link link;
	int err = nl_link_get(b->nl, &link, 0, cfg->name);

	if (err)
		return err;
	b->ifindex = link.index;
	err = nl_link_dress(b->nl, link.index, cfg->mac, cfg->mtu, BOND_ALIAS);
	return err ? err : nl_link_addr_gen(b->nl, link.index, ADDR_GEN_NONE);
}

static int bond_create(struct lagg **l, const struct lagg_cfg *cfg)
{
	int err;
	struct bond_lagg *b = bond_open(cfg, &err);
	char buf[BOND_MSG];

	if (!b)
		return err;
	err = nl_talk(b->nl, bond_msg_create(buf, cfg));
	if (!err)
		err = furnish(b);
	if (err) {
		bond_destroy(&b->base);
		return err;
	}
	*l = &b->base;
	return 0;
}

/* Taking up what is there ------------------------------------------------ */

/* A TAP is hn, anything else is the VF. */
static int on_link(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct bond_lagg *b = arg;
	const struct nlattr *a, *i;
	uint32_t master = 0;
	bool tap = false;

	NL_FOR_EACH_IN_MSG(a, h, sizeof(*m)) {
		if (mnl_attr_get_type(a) == IFLA_MASTER)
			master = mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) != IFLA_LINKINFO)
			continue;
		NL_FOR_EACH_NESTED(i, a)
			tap |= mnl_attr_get_type(i) == IFLA_INFO_KIND &&
			       !strcmp(mnl_attr_get_str(i), "tun");
	}
	if (master == (uint32_t)b->ifindex)
		b->port[tap ? LAGG_SYNTHETIC : LAGG_VF] =
			(unsigned)m->ifi_index;
	return MNL_CB_OK;
}

static int find_ports(struct bond_lagg *b)
{
	char buf[BOND_MSG];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = RTM_GETLINK;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	return nl_dump(b->nl, h, on_link, NULL, b);
}

static int find_ours(struct bond_lagg *b)
{
	struct nl_link link;
	int err = nl_link_get(b->nl, &link, 0, b->base.cfg.name);

	if (err)
		return err == -ENODEV ? -ENOENT : err;
	if (strcmp(link.kind, "bond") != 0 ||
	    strcmp(link.alias, BOND_ALIAS) != 0)
		return -EEXIST;
	b->ifindex = link.index;
	return 0;
}

static int bond_restore(struct lagg **l, const struct lagg_cfg *cfg)
{
	int err;
	struct bond_lagg *b = bond_open(cfg, &err);

	if (!b)
		return err;
	err = find_ours(b);
	if (!err)
		err = find_ports(b);
	if (err) {
		bond_free(b);
		return err;
	}
	*l = &b->base;
	return 0;
}

/* Ports ------------------------------------------------------------------ */

static int bond_use(struct lagg *l, enum lagg_path path)
{
	struct bond_lagg *b = bond_of(l);
	char buf[BOND_MSG];

	if (!b->port[path])
		return path == LAGG_VF ? -ENOLINK : 0;
	return nl_talk(b->nl, bond_msg_active(buf, (unsigned)b->ifindex,
					      b->port[path]));
}

static int bond_remove(struct lagg *l, enum lagg_path port)
{
	struct bond_lagg *b = bond_of(l);
	unsigned index = b->port[port];
	char buf[BOND_MSG];
	int err;

	if (!index)
		return 0;
	bond_use(l, port == LAGG_VF ? LAGG_SYNTHETIC : LAGG_VF);
	err = nl_talk(b->nl, bond_msg_port(buf, index, 0));
	if (!err && b->was_up[port])
		nl_link_flags(b->nl, (int)index, IFF_UP, IFF_UP);
	b->port[port] = 0;
	return err == -ENODEV ? 0 : err;
}

static int enslave(struct bond_lagg *b, const struct nl_link *link)
{
	char buf[BOND_MSG];
	int err = nl_link_addr_gen(b->nl, link->index, ADDR_GEN_NONE);

	if (!err)
		err = nl_link_flags(b->nl, link->index, 0, IFF_UP);
	if (!err)
		err = nl_talk(b->nl, bond_msg_port(buf, (unsigned)link->index,
						   (unsigned)b->ifindex));
	if (!err)
		return 0;
	nl_link_addr_gen(b->nl, link->index, link->addr_gen);
	nl_link_flags(b->nl, link->index, link->flags & IFF_UP, IFF_UP);
	return err;
}

static int bond_add(struct lagg *l, enum lagg_path port, unsigned ifindex)
{
	struct bond_lagg *b = bond_of(l);
	struct nl_link link;
	int err;

	if (b->port[port] == ifindex && ifindex)
		return 0;
	err = nl_link_get(b->nl, &link, (int)ifindex, NULL);
	if (err)
		return err;
	if (!link.has_mac || memcmp(link.mac, l->cfg.mac, LAGG_MAC) != 0)
		return -EINVAL;
	bond_remove(l, port);
	err = enslave(b, &link);
	if (err)
		return err;
	b->port[port] = ifindex;
	b->was_up[port] = link.flags & IFF_UP;
	return 0;
}

static int bond_tap(const struct lagg *l)
{
	(void)l;
	return -1;
}

/* For people ------------------------------------------------------------- */

static int on_active(const struct nlmsghdr *h, void *arg)
{
	const struct nlattr *a, *i, *d;
	uint32_t *active = arg;

	NL_FOR_EACH_IN_MSG(a, h, sizeof(struct ifinfomsg)) {
		if (mnl_attr_get_type(a) != IFLA_LINKINFO)
			continue;
		NL_FOR_EACH_NESTED(i, a) {
			if (mnl_attr_get_type(i) != IFLA_INFO_DATA)
				continue;
			NL_FOR_EACH_NESTED(d, i)
				if (mnl_attr_get_type(d) ==
				    IFLA_BOND_ACTIVE_SLAVE)
					*active = mnl_attr_get_u32(d);
		}
	}
	return MNL_CB_OK;
}

static int read_active(struct bond_lagg *b, uint32_t *active)
{
	char buf[BOND_MSG];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	h->nlmsg_type = RTM_GETLINK;
	m->ifi_index = b->ifindex;
	return nl_ask(b->nl, h, on_active, active);
}

/* A port's own counters; one that is gone has counted nothing. */
static void read_flows(struct bond_lagg *b, enum lagg_path port,
		       struct lagg_flow *tx, struct lagg_flow *rx)
{
	struct nl_link link;

	if (!b->port[port] ||
	    nl_link_get(b->nl, &link, (int)b->port[port], NULL))
		return;
	*tx = (struct lagg_flow){ link.stats.tx_packets, link.stats.tx_bytes };
	*rx = (struct lagg_flow){ link.stats.rx_packets, link.stats.rx_bytes };
}

static int bond_status(struct lagg *l, struct lagg_status *s)
{
	struct bond_lagg *b = bond_of(l);
	uint32_t active = 0;
	int err = read_active(b, &active);

	if (err)
		return err;
	*s = (struct lagg_status){
		.ifindex = (unsigned)b->ifindex,
		.port = { b->port[0], b->port[1] },
		.path = active && active == b->port[LAGG_VF] ? LAGG_VF :
							       LAGG_SYNTHETIC,
		.how = "bonding",
	};
	read_flows(b, LAGG_VF, &s->count.tx_vf, &s->count.rx_vf);
	read_flows(b, LAGG_SYNTHETIC, &s->count.tx_synthetic,
		   &s->count.rx_synthetic);
	return 0;
}

const struct lagg_ops lagg_bonding_ops = {
	.name = "bonding", .kind = LAGG_BONDING,
	.probe = bond_probe, .create = bond_create, .restore = bond_restore,
	.add = bond_add, .remove = bond_remove, .use = bond_use,
	.tap = bond_tap, .status = bond_status,
	.leave = bond_leave, .destroy = bond_destroy,
};
