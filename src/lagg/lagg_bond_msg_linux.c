#include "lagg/lagg_bond_msg_linux.h"

#include <libmnl/libmnl.h>
#include <linux/if_bonding.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

enum { DEFAULT_POLL_MS = 100 };

static struct nlmsghdr *link_msg(char *buf, unsigned index)
{
	struct nlmsghdr *h;
	struct ifinfomsg *m;

	memset(buf, 0, BOND_MSG);	/* what lies between attributes, too */
	h = mnl_nlmsg_put_header(buf);
	m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	h->nlmsg_type = RTM_NEWLINK;
	m->ifi_index = (int)index;
	return h;
}

struct nlmsghdr *bond_msg_create(char *buf, const struct lagg_cfg *cfg)
{
	struct nlmsghdr *h = link_msg(buf, 0);
	struct nlattr *info, *data;

	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	mnl_attr_put_strz(h, IFLA_IFNAME, cfg->name);
	mnl_attr_put(h, IFLA_ADDRESS, LAGG_MAC, cfg->mac);
	if (cfg->mtu)
		mnl_attr_put_u32(h, IFLA_MTU, cfg->mtu);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bond");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u8(h, IFLA_BOND_MODE, BOND_MODE_ACTIVEBACKUP);
	mnl_attr_put_u32(h, IFLA_BOND_MIIMON,
			 cfg->poll_ms ? cfg->poll_ms : DEFAULT_POLL_MS);
	mnl_attr_put_u8(h, IFLA_BOND_ALL_SLAVES_ACTIVE, 1);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return h;
}

struct nlmsghdr *bond_msg_port(char *buf, unsigned port, unsigned bond)
{
	struct nlmsghdr *h = link_msg(buf, port);

	mnl_attr_put_u32(h, IFLA_MASTER, bond);
	return h;
}

struct nlmsghdr *bond_msg_active(char *buf, unsigned bond, unsigned port)
{
	struct nlmsghdr *h = link_msg(buf, bond);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data;

	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bond");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u32(h, IFLA_BOND_ACTIVE_SLAVE, port);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return h;
}

struct nlmsghdr *bond_msg_probe(char *buf)
{
	static const struct lagg_cfg never = {
		.name = "hvprobe", .mac = { 0x01, 0, 0x5e, 0, 0, 0 },
	};

	return bond_msg_create(buf, &never);
}
