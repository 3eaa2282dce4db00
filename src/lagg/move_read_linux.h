/* lagg/move_read_linux.h - a snapshot (move.h) from rtnetlink and /proc. The
 * `os` of an address, route or neighbour is the message as the kernel sent it,
 * struct nlmsghdr first; of a group there is one byte that means nothing.
 */
#ifndef LAGG_MOVE_READ_LINUX_H
#define LAGG_MOVE_READ_LINUX_H

#include "lagg/move.h"
#include "lagg/nl_linux.h"

/* 0, or -errno and an empty snapshot. */
int move_read(struct move_snap *s, struct nl *nl, unsigned from, unsigned to);

#endif
