/* ic/ic.h - one integration component as the guest runs it: negotiation, one
 * transaction at a time, and the rules that no service should have to know.
 *
 *   channel packet -> ic_packet() -> service's request() -> ic_reply() -> ring
 *
 * What a service may rely on:
 *  - request() is called only after a successful negotiation, with a body of at
 *    least body_min bytes, and not again before ic_reply().
 *  - Each request is answered exactly once, in the order of arrival. A reply
 *    names its request by a ticket, so an answer that comes after the host
 *    started over (re-negotiation, close) answers nothing: -ESTALE.
 *  - A host that asks again before it was answered waits in a queue.
 */
#ifndef IC_H
#define IC_H

#include "ic/ic_wire.h"
#include "vmbus/channel.h"
#include "vmbus/guid.h"

struct ic;

/* What one service is: a row of the table in ic_services.c. */
struct ic_service {
	const char *name;
	enum hv_ic_type type;
	const struct guid *class_id;
	const uint32_t *frameworks;	/* best first, ends with 0 */
	const uint32_t *versions;	/* best first, ends with 0 */
	size_t body_min;		/* bytes of the least request */
	size_t ring_len;		/* bytes a direction, control page included */
};

struct ic_ops {
	/* The host and we agreed; from now on requests are in this version. */
	void (*negotiated)(void *arg, uint32_t version);
	/* A request; body is a private copy, valid until the reply or reset. */
	void (*request)(void *arg, uint64_t ticket, struct rd body);
	/* The host started over or is gone: forget what you were doing. */
	void (*reset)(void *arg);
	/* May negotiation be answered now? When not, it is held until
	 * ic_release(), or until hold_ms have passed. NULL: always. */
	bool (*ready)(void *arg);
	/* Another request has come to wait behind the one that the service is
	 * working on: the host has given up on that. May reply. NULL: the
	 * service does not care. */
	void (*queued)(void *arg);
};

struct ic_stats {
	uint64_t negotiations, requests, replies;
	uint64_t refused;	/* answered by us: bad, unknown or too early */
	uint64_t dropped;	/* no message at all, or one not to be answered */
	uint64_t stale;		/* late answers that were thrown away */
};

/* NULL when out of memory. The channel comes and goes; the ic stays. */
struct ic *ic_new(struct loop *l, const struct ic_service *svc,
		  unsigned hold_ms, const struct ic_ops *ops, void *arg);
void ic_free(struct ic *ic);

/* The channel opened, or (NULL) is gone. */
void ic_channel(struct ic *ic, struct channel *c);
void ic_packet(struct ic *ic, const struct packet *p);
void ic_writable(struct ic *ic);

/* Answer a request. The reply is as long as the request's body and begins
 * with a copy of it, over which body[0..len) is laid, as Linux does: hosts are
 * known to accept that. 0; -ESTALE the ticket is no longer the one waited for
 * (the answer is thrown away); -EMSGSIZE longer than the request. */
int ic_reply(struct ic *ic, uint64_t ticket, uint32_t status, const void *body,
	     size_t len);

/* ready() has become true: answer a held negotiation. */
void ic_release(struct ic *ic);

/* For status displays: 0 while not negotiated. */
uint32_t ic_framework(const struct ic *ic);
uint32_t ic_version(const struct ic *ic);
bool ic_holding(const struct ic *ic);
void ic_stats_get(const struct ic *ic, struct ic_stats *s);

/* The services this guest has, and the row of a class GUID, or NULL. */
const struct ic_service *ic_service_of(const struct guid *class_id);

#endif
