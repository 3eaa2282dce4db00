/* kvp/kvp.h - the KVP driver: hands each host request to the daemon on the
 * device file and its answer back to the host.
 *
 *   host -> ic -> kvp_request() -> device message -> daemon
 *   host <- ic <- ic_reply()    <- kvp_message()  <- daemon
 *
 * The host always gets one answer to a request, in bounded time: the daemon's,
 * or HV_E_FAIL when there is no daemon, when it dies or is too slow. An answer
 * that comes too late answers nothing.
 *
 * The driver knows its daemon as a function to send with; who listens where is
 * prog/hv_utilsd.c's business.
 */
#ifndef KVP_H
#define KVP_H

#include "base/loop.h"
#include "ic/ic.h"
#include "kvp/kvp_devmsg.h"

struct kvp;

struct kvp_cfg {
	unsigned timeout_ms;		/* for the daemon's answer */
	unsigned set_ip_timeout_ms;	/* SET_IP_INFO takes its time */
	unsigned hold_ms;		/* negotiation waits for the daemon */
};

/* The daemon's end of the device file. */
struct kvp_daemon {
	/* 0; -EAGAIN it does not read; -EPIPE it is gone. */
	int (*send)(void *arg, const void *buf, size_t len);
	void *arg;
};

enum kvp_state {
	KVP_NO_DAEMON,	/* nobody to ask: every request fails at once */
	KVP_READY,	/* a daemon is registered and idle; no timer runs */
	KVP_ASKED,	/* the daemon has the request; the timer runs */
	KVP_N_STATES
};

struct kvp_stats {
	uint64_t requests[KVP_N_OPS + 1];	/* by operation; last: unknown */
	uint64_t answered, refused;	/* by the daemon; by us, the host's fault */
	uint64_t no_daemon, timeouts;	/* answered HV_E_FAIL */
	uint64_t stale;			/* daemon's answers that came too late */
	uint64_t malformed;		/* daemon's messages of no use */
	uint64_t cut;			/* text longer than the host's fields */
};

/* NULL when out of memory. */
struct kvp *kvp_new(struct loop *l, const struct kvp_cfg *cfg);
void kvp_free(struct kvp *k);
struct ic *kvp_ic(struct kvp *k);	/* for the channel to talk to */

/* A daemon opened the device: 0, or -EBUSY when one has it. It becomes the
 * daemon by registering. */
int kvp_daemon_open(struct kvp *k, const struct kvp_daemon *d);
/* One message from it. -EINVAL (a registration that is none) or -EPIPE: close
 * it; the driver has forgotten it already. */
int kvp_daemon_message(struct kvp *k, const void *buf, size_t len);
void kvp_daemon_gone(struct kvp *k);

enum kvp_state kvp_state_get(const struct kvp *k);
const char *kvp_state_name(enum kvp_state s);
/* The registered daemon's form; meaningless without one. */
enum kvp_form kvp_form_get(const struct kvp *k);
void kvp_stats_get(const struct kvp *k, struct kvp_stats *s);

#endif
