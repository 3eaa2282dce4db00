/* host/host_tap.h - a TAP as a port to the outside: frames of the host's
 * switch into a network interface and back, sums and segments left as they
 * are (virtio-net headers).
 *
 * The interface is made in the network namespace that the program is in. Its
 * addresses, its state and what it is bridged to are the operator's business.
 */
#ifndef HOST_TAP_H
#define HOST_TAP_H

#include "base/loop.h"
#include "host/host_frame.h"

struct host_tap;

struct host_tap_ops {
	/* A frame from the interface; valid during the call, with writable
	 * bytes for a tag in front. */
	void (*frame)(void *arg, const struct host_frame *f);
	void (*batch_end)(void *arg);	/* those were all for now */
};

struct host_tap_stats {
	uint64_t in, out;		/* frames, from and to the interface */
	uint64_t bad;			/* whose header did not fit them */
	uint64_t lost;			/* that the interface did not take */
};

/* name: of the interface, made unless it is there. NULL with errno set (EPERM,
 * EBUSY, ENOENT: no /dev/net/tun, EINVAL: no name for an interface). */
struct host_tap *host_tap_new(struct loop *l, const char *name,
			      const struct host_tap_ops *ops, void *arg);
void host_tap_free(struct host_tap *t);		/* NULL is fine */

void host_tap_send(struct host_tap *t, const struct host_frame *f);
/* Is there a network cable, so to speak? 0 or -errno. */
int host_tap_carrier(struct host_tap *t, bool on);

const struct host_tap_stats *host_tap_stats_get(const struct host_tap *t);

#endif
