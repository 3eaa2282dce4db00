/* host/host_ic.h - the host's half of one integration component: negotiate,
 * judge the reply, then one transaction at a time.
 *
 * It knows neither what a request means (host_kvp does) nor where its packets
 * go (host_ic_port): tests give it a port of their own. Every wait is a timer
 * of the loop, so a virtual clock moves it.
 */
#ifndef HOST_IC_H
#define HOST_IC_H

#include "base/loop.h"
#include "host/host_fault.h"
#include "host/host_profile.h"
#include "vmbus/packet.h"

enum host_ic_state {
	HOST_IC_CLOSED,		/* the guest has not opened the channel */
	HOST_IC_NEGOTIATING,	/* asked for versions, no good reply yet */
	HOST_IC_SILENT,		/* gave up on that until the next negotiation */
	HOST_IC_READY,		/* requests may be asked */
	HOST_IC_FAILED,		/* strict: a malformed answer ended it */
};

struct host_ic_cfg {
	const char *name;		/* "kvp"; must outlive the ic */
	uint16_t type;			/* enum hv_ic_type */
	struct host_versions framework, message;
	bool strict;
	enum host_xact xact;
	uint32_t negotiate_ms, answer_ms;
};

struct host_ic_ops {
	void (*ready)(void *arg);	/* versions agreed, again or at first */
	/* No longer ready. Whatever was asked has been told so. */
	void (*lost)(void *arg);
	/* Something the guest did that a correct guest does not do. */
	void (*violation)(void *arg, const char *text);
};

/* Where packets go. send: 0, -EAGAIN (host_ic_writable() follows), or
 * another error; quiet: without ringing the doorbell. */
struct host_ic_port {
	int (*send)(void *arg, const struct packet *p, bool quiet);
	void *arg;
};

struct host_ic_stats {
	uint64_t negotiations;
	uint64_t requests;	/* sent, negotiations left out */
	uint64_t answered;	/* well formed answers to them */
	uint64_t unanswered;	/* not answered in time, negotiations too */
	uint64_t late;		/* answers after we had given up */
	uint64_t stale;		/* answers from before a negotiation: dropped */
	uint64_t violations;
};

/* How a request ended. */
struct host_ic_answer {
	int err;		/* 0 answered; -ETIMEDOUT; -EBADMSG malformed;
				 * -ECANCELED closed, rescinded, re-negotiated;
				 * -EMSGSIZE, -EPIPE not sent */
	uint32_t status;	/* the guest's */
	const uint8_t *body;	/* valid during the call */
	size_t body_len;
	uint64_t took_ms;	/* since it was sent */
};
typedef void (*host_ic_done)(void *arg, const struct host_ic_answer *a);

struct host_ic;

/* NULL when out of memory. A callback must not free the ic. */
struct host_ic *host_ic_new(struct loop *l, const struct host_ic_cfg *cfg,
			    const struct host_ic_ops *ops, void *arg);
void host_ic_free(struct host_ic *ic);	/* nobody is called; NULL is fine */

/* The channel's life. Opening negotiates. */
void host_ic_open(struct host_ic *ic, const struct host_ic_port *port);
void host_ic_close(struct host_ic *ic);
void host_ic_packet(struct host_ic *ic, const struct packet *p);
void host_ic_writable(struct host_ic *ic);

/* Negotiate again, as after a restore: everything asked is cancelled. The
 * lists and the fault may be NULL. 0, or -ENOTCONN when closed. */
int host_ic_negotiate(struct host_ic *ic, const struct host_versions *framework,
		      const struct host_versions *message,
		      const struct host_fault *f);
/* The lists and the fault of the negotiation that the next open starts. */
void host_ic_offer(struct host_ic *ic, const struct host_versions *framework,
		   const struct host_versions *message,
		   const struct host_fault *f);

/* Ask: a body of len bytes, copied. Waits its turn behind what was asked
 * before. done (may be NULL) is called exactly once, never from inside here.
 * f may be NULL. 0; -ENOTCONN when not ready (a fault with no_wait needs only
 * an open channel); -EMSGSIZE; -ENOMEM. */
int host_ic_ask(struct host_ic *ic, const void *body, size_t len,
		const struct host_fault *f, host_ic_done done, void *arg);

/* The same with a time limit of its own, instead of the configured one. */
int host_ic_ask_within(struct host_ic *ic, uint32_t limit_ms, const void *body,
		       size_t len, const struct host_fault *f,
		       host_ic_done done, void *arg);

/* From a done callback: the body of this answer was malformed. Noted as a
 * violation; a strict host gives the service up. */
void host_ic_malformed(struct host_ic *ic, const char *why);

enum host_ic_state host_ic_state_get(const struct host_ic *ic);
const char *host_ic_state_name(enum host_ic_state s);
bool host_ic_busy(const struct host_ic *ic);	/* something is outstanding */
/* What was agreed; 0 when nothing is. */
uint32_t host_ic_framework(const struct host_ic *ic);
uint32_t host_ic_version(const struct host_ic *ic);
bool host_ic_strict(const struct host_ic *ic);
const struct host_ic_stats *host_ic_stats_get(const struct host_ic *ic);

/* What management tools are shown: a pair as WMI's OperationalStatus has it. */
struct host_ic_health {
	uint16_t code[2];
	const char *name;	/* "ok", "degraded", "no-contact", ... */
	const char *text;	/* a sentence */
};
struct host_ic_health host_ic_health_get(const struct host_ic *ic);

#endif
