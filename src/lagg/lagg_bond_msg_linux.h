/* lagg/lagg_bond_msg_linux.h - what is said to the kernel's bonding driver, as
 * messages. No socket: tests compare their bytes.
 *
 * Each writes into buf, BOND_MSG bytes, and returns the message in it, without
 * the flags and the number that sending adds.
 */
#ifndef LAGG_LAGG_BOND_MSG_LINUX_H
#define LAGG_LAGG_BOND_MSG_LINUX_H

#include <linux/netlink.h>

#include "lagg/lagg.h"

enum { BOND_MSG = 512 };

#define BOND_ALIAS	"open-hv-tools aggregate"

/* A new bond in mode active-backup, that polls its ports each cfg->poll_ms and
 * takes what arrives on the one that is not active, too. */
struct nlmsghdr *bond_msg_create(char *buf, const struct lagg_cfg *cfg);
/* Make a link a port; bond 0: let it go. */
struct nlmsghdr *bond_msg_port(char *buf, unsigned port, unsigned bond);
/* Send by this port from now on. */
struct nlmsghdr *bond_msg_active(char *buf, unsigned bond, unsigned port);
/* A request that a kernel with bonding refuses with EADDRNOTAVAIL, since its
 * address is a group's, and one without with EOPNOTSUPP. */
struct nlmsghdr *bond_msg_probe(char *buf);

#endif
