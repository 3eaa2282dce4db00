/* lagg/nl_linux.h - rtnetlink requests, one at a time, and what they are asked
 * for most: links. For the _linux files of this layer.
 *
 * Errors are the kernel's, -errno. A request waits at most a second for an
 * answer that the kernel owes us.
 */
#ifndef LAGG_NL_LINUX_H
#define LAGG_NL_LINUX_H

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>

enum { NL_BUF = 32768 };	/* bytes: the kernel's own for dumps */

struct nl;

/* NULL with errno set. */
struct nl *nl_open(void);
void nl_close(struct nl *nl);		/* NULL is fine */

/* Send what h holds and wait for the acknowledgement; sets flags REQUEST and
 * ACK, and the sequence number. */
int nl_talk(struct nl *nl, struct nlmsghdr *h);

/* The same, and fn sees what is answered before that. */
int nl_ask(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn, void *arg);

/* Ask for a dump; fn sees each message. Taken again, a few times, when it
 * changed meanwhile: restart() forgets what fn gathered; NULL: fn sees it
 * twice. */
int nl_dump(struct nl *nl, struct nlmsghdr *h, mnl_cb_t fn,
	    void (*restart)(void *arg), void *arg);

struct nl_link {
	int index;
	unsigned flags;			/* IFF_ */
	uint32_t mtu;
	uint32_t master;
	char name[16];
	uint8_t mac[6];
	bool has_mac;			/* of Ethernet */
	char kind[16];			/* "tun", "bond", "" */
	char alias[64];
	uint8_t addr_gen;		/* IN6_ADDR_GEN_MODE_ */
	struct rtnl_link_stats64 stats;
};

/* By index, or by name when index is 0. -ENODEV there is none. */
int nl_link_get(struct nl *nl, struct nl_link *l, int index, const char *name);

int nl_link_flags(struct nl *nl, int index, unsigned set, unsigned mask);
int nl_link_mtu(struct nl *nl, int index, uint32_t mtu);
int nl_link_rename(struct nl *nl, int index, const char *name);
int nl_link_delete(struct nl *nl, int index);
/* Address, alias, MTU (0: as it is); and no addresses of the kernel's own. */
int nl_link_dress(struct nl *nl, int index, const uint8_t mac[6],
		  uint32_t mtu, const char *alias);
/* IN6_ADDR_GEN_MODE_. A kernel without IPv6 is fine. */
int nl_link_addr_gen(struct nl *nl, int index, uint8_t mode);
/* Remove the link-local addresses that a link has. */
int nl_link_no_link_local(struct nl *nl, int index);

/* libmnl's loops over attributes, without their implicit conversions. */
#define NL_FOR_EACH(a, first, end)					\
	for ((a) = (first);						\
	     mnl_attr_ok(a, (int)((const char *)(end) - (const char *)(a))); \
	     (a) = mnl_attr_next(a))
#define NL_FOR_EACH_IN_MSG(a, h, body)					\
	NL_FOR_EACH(a, (const struct nlattr *)				\
		    mnl_nlmsg_get_payload_offset(h, body),		\
		    mnl_nlmsg_get_payload_tail(h))
#define NL_FOR_EACH_NESTED(a, outer)					\
	NL_FOR_EACH(a, (const struct nlattr *)				\
		    mnl_attr_get_payload(outer),			\
		    (const char *)mnl_attr_get_payload(outer) +		\
		    mnl_attr_get_payload_len(outer))

#endif
