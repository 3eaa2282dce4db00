/* lagg/attach_linux.h - one program on one link's ingress or egress: by a tcx
 * link where the kernel has them, by clsact and cls_bpf otherwise.
 *
 * tcx: coming and going disturbs nobody; what is attached ends with its last
 *      descriptor, unless it is pinned in a bpffs.
 * clsact: what is attached stays until it is removed. Making the clsact queue
 *      stops the link's other queues for a moment, and frames are lost then:
 *      do it before the link carries any.
 */
#ifndef LAGG_ATTACH_LINUX_H
#define LAGG_ATTACH_LINUX_H

#include <stdbool.h>

enum attach_how { ATTACH_TCX, ATTACH_CLSACT };

enum { ATTACH_PATH = 160 };

struct attach {
	enum attach_how how;
	int ifindex;		/* 0: nothing is attached */
	bool egress;
	int link;		/* tcx; else -1 */
	bool own_queue;		/* clsact: we made it */
	char pin[ATTACH_PATH];	/* tcx: its name in a bpffs; "": none */
};

/* Whether this kernel has tcx: 0 or -errno. prog: any of the two. */
int attach_probe_tcx(int prog);

/* a->how, egress and pin are the caller's; what was there of ours is replaced.
 * 0 or -errno. */
int attach_put(struct attach *a, int ifindex, int prog);
/* Take up what an earlier process pinned or left, with prog in its place at
 * once; on that link alone. -ENOENT there is nothing to take up. */
int attach_take(struct attach *a, int ifindex, int prog);
/* Remove it; a link that is gone is fine. */
void attach_del(struct attach *a);
/* Let go of it without removing it (pinned, or clsact). */
void attach_leave(struct attach *a);

#endif
