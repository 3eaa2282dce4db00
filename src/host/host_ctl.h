/* host/host_ctl.h - a host's control socket: what hvhost(8)'s verbs ask for.
 * One command a verb; each reply has, beside "ok":
 *
 *   result   "answered" with the guest's "status", or "timeout", "malformed",
 *            "cancelled", "not-ready", "refused": how a request ended
 */
#ifndef HOST_CTL_H
#define HOST_CTL_H

#include "host/host.h"

struct host_ctl;

/* virtual_clock: "clock-advance" is served. NULL with errno set. */
struct host_ctl *host_ctl_new(struct host *h, const char *path,
			      bool virtual_clock);
void host_ctl_free(struct host_ctl *hc);	/* NULL is fine */

#endif
