/* lagg/link_msg_linux.c - attributes of RTM_NEWLINK and RTM_DELLINK.
 *
 * Bridges send messages of these types about their ports (AF_BRIDGE), and a
 * DELLINK of those is no end of a link; wireless drivers send a NEWLINK that
 * has nothing in it but an event of theirs. */
#include "lagg/link_msg_linux.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "lagg/nl_linux.h"

static enum link_kind kind_by_name(const char *kind)
{
	static const char *const stacked[] = {
		"bond", "team", "bridge", "vlan", "macvlan", "macvtap",
		"ipvlan", "ipvtap", "macsec", "vrf", "hsr", "dsa",
	};

	for (size_t i = 0; i < sizeof(stacked) / sizeof(*stacked); i++)
		if (!strcmp(kind, stacked[i]))
			return LINK_STACKED;
	if (!strcmp(kind, "veth"))
		return LINK_VETH;
	return !strcmp(kind, "tun") ? LINK_TAP : LINK_OTHER;
}

/* Drivers of hardware give no kind. */
static enum link_kind kind_of(const struct nlattr *linkinfo)
{
	const struct nlattr *a;

	NL_FOR_EACH_NESTED(a, linkinfo)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			return kind_by_name(mnl_attr_get_str(a));
	return LINK_DEVICE;
}

static int get_text(char *to, size_t cap, const struct nlattr *a)
{
	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0 ||
	    strlen(mnl_attr_get_str(a)) >= cap)
		return -EBADMSG;
	strcpy(to, mnl_attr_get_str(a));
	return 0;
}

static int get_u32(uint32_t *to, const struct nlattr *a)
{
	if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
		return -EBADMSG;
	*to = mnl_attr_get_u32(a);
	return 0;
}

/* Whether it is an address of Ethernet's length; to is set if so. */
static bool get_mac(uint8_t to[LINK_MAC], const struct nlattr *a)
{
	if (mnl_attr_get_payload_len(a) != LINK_MAC)
		return false;
	memcpy(to, mnl_attr_get_payload(a), LINK_MAC);
	return true;
}

struct parent {
	char bus[LINK_PARENT], name[LINK_PARENT];
};

/* A name longer than any of PCI's is another bus's. */
static void get_parent(char to[LINK_PARENT], const struct nlattr *a)
{
	if (get_text(to, LINK_PARENT, a) < 0)
		to[0] = '\0';
}

static int get_attr(struct link *l, struct parent *p, const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		return get_text(l->name, sizeof(l->name), a);
	case IFLA_ADDRESS:
		l->ethernet = get_mac(l->mac, a);
		return 0;
	case IFLA_PERM_ADDRESS:
		l->has_permanent = get_mac(l->permanent, a);
		return 0;
	case IFLA_MASTER:
		return get_u32(&l->master, a);
	case IFLA_MTU:
		return get_u32(&l->mtu, a);
	case IFLA_LINKINFO:
		l->kind = kind_of(a);
		return 0;
	case IFLA_PARENT_DEV_NAME:
		get_parent(p->name, a);
		return 0;
	case IFLA_PARENT_DEV_BUS_NAME:
		get_parent(p->bus, a);
		return 0;
	case IFLA_WIRELESS:
		return -ENOMSG;
	}
	return 0;
}

static int get_attrs(struct link_msg *m, const struct nlmsghdr *h,
		     const struct ifinfomsg *i)
{
	struct parent p = { 0 };
	const struct nlattr *a;

	NL_FOR_EACH_IN_MSG(a, h, sizeof(*i)) {
		int err = get_attr(&m->link, &p, a);

		if (err < 0)
			return err;
	}
	if (i->ifi_type != ARPHRD_ETHER)
		m->link.ethernet = m->link.has_permanent = false;
	if (i->ifi_flags & IFF_LOOPBACK)
		m->link.kind = LINK_OTHER;
	if (!strcmp(p.bus, "pci"))
		memcpy(m->parent, p.name, sizeof(m->parent));
	return m->link.name[0] ? 0 : -EBADMSG;
}

int link_msg_get(struct link_msg *m, const void *msg, size_t len)
{
	const struct nlmsghdr *h = msg;
	const struct ifinfomsg *i;

	*m = (struct link_msg){ 0 };
	if (len < sizeof(*h) || h->nlmsg_len < sizeof(*h) ||
	    h->nlmsg_len > len || h->nlmsg_len % NLMSG_ALIGNTO)
		return -EBADMSG;
	if (h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK)
		return -ENOMSG;
	if (h->nlmsg_len < NLMSG_LENGTH(sizeof(*i)))
		return -EBADMSG;
	i = mnl_nlmsg_get_payload(h);
	if (i->ifi_family != AF_UNSPEC)
		return -ENOMSG;
	if (i->ifi_index <= 0)
		return -EBADMSG;
	m->gone = h->nlmsg_type == RTM_DELLINK;
	m->link.ifindex = (unsigned)i->ifi_index;
	m->link.up = i->ifi_flags & IFF_UP;
	m->link.running = m->link.up && i->ifi_flags & IFF_LOWER_UP;
	return m->gone ? 0 : get_attrs(m, h, i);
}
