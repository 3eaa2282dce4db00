/* lagg/link_msg_linux.h - what an rtnetlink message says of a link.
 *
 * The bytes are the kernel's, and are checked all the same. State is none.
 */
#ifndef LAGG_LINK_MSG_LINUX_H
#define LAGG_LINK_MSG_LINUX_H

#include <stddef.h>

#include "lagg/link.h"

enum { LINK_PARENT = 32 };	/* bytes, the NUL in it */

struct link_msg {
	bool gone;			/* and nothing but ifindex counts */
	struct link link;		/* ours and serial are not in here */
	char parent[LINK_PARENT];	/* PCI device, "0001:00:02.0"; or "" */
};

/* One message of len bytes, header and all, at an aligned address. 0; -ENOMSG it is of
 * something else, or does not say all there is about a link; -EBADMSG. */
int link_msg_get(struct link_msg *m, const void *msg, size_t len);

#endif
