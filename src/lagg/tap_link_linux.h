/* lagg/tap_link_linux.h - the TAP that is the aggregate of the bpf back end:
 * Ethernet frames behind virtio-net headers of 12 bytes, with checksum and
 * segmentation offload, non-blocking, and kept by the kernel when its owner
 * dies.
 */
#ifndef LAGG_TAP_LINK_LINUX_H
#define LAGG_TAP_LINK_LINUX_H

#include <stdint.h>

/* A new one. Its descriptor, or -errno: -EEXIST the name is taken. */
int tap_link_make(const char *name);
/* One that is there. -EBUSY somebody has it open; -EINVAL it is no TAP. */
int tap_link_open(const char *name);
/* Whether there could be one: 0 or -errno. */
int tap_link_probe(void);

#endif
