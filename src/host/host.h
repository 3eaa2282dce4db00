/* host/host.h - a simulated Hyper-V host for one guest: a bus, the integration
 * components of a profile on it, and what may happen to them.
 *
 * Programs and in-process tests make one of these; hvhost(8) adds a control
 * socket, scenario files run on it. Everything happens in the loop's thread.
 */
#ifndef HOST_H
#define HOST_H

#include "host/host_kvp.h"
#include "host/host_trace.h"
#include "host/host_vss.h"
#include "vmbus/guid.h"

struct host;

struct host_cfg {
	const struct host_profile *profile;	/* copied */
	const char *path;		/* the bus' socket */
	const char *vm_name;
	uint32_t poll_ms;		/* KVP polling; 0: none */
	struct host_trace *trace;	/* may be NULL; stays the caller's */
};

/* The components there are. */
enum host_ic_id { HOST_KVP, HOST_VSS, HOST_N_ICS };

/* Told after anything changed: a guest, a channel, a negotiation, an answer, a
 * violation. Lives inside its owner. */
struct host_observer {
	void (*changed)(void *arg);
	void *arg;
	struct host_observer *next;
};

struct host_violation {
	uint64_t t_ms;
	const char *ic;			/* NULL: the bus */
	char text[160];
};
enum { HOST_VIOLATIONS = 64 };		/* as many as are kept */

/* NULL with errno set: EADDRINUSE another host serves this path. */
struct host *host_new(struct loop *l, const struct host_cfg *cfg);
void host_free(struct host *h);		/* NULL is fine */

struct loop *host_loop(const struct host *h);
uint64_t host_now_ms(const struct host *h);	/* since it was made */
const struct host_profile *host_profile_of(const struct host *h);
const char *host_vm_name(const struct host *h);
struct host_ic *host_ic_of(const struct host *h, enum host_ic_id id);
struct host_kvp *host_kvp_of(const struct host *h);
struct host_vss *host_vss_of(const struct host *h);

const char *host_ic_name(enum host_ic_id id);
int host_ic_find(const char *name);		/* its id, or -ENOENT */
/* What it is offered as; the instance is that of every host here. */
const struct guid *host_ic_class(enum host_ic_id id);
const struct guid *host_ic_instance(enum host_ic_id id);
/* Its message versions in a profile. */
struct host_versions *host_ic_messages(struct host_profile *p,
				       enum host_ic_id id);

/* What a component looks like from outside; refused and offered included. */
bool host_ic_offered(const struct host *h, enum host_ic_id id);
bool host_ic_opened(const struct host *h, enum host_ic_id id);
struct host_ic_health host_health(const struct host *h, enum host_ic_id id);

bool host_guest(const struct host *h);		/* one is connected */
uint32_t host_guest_version(const struct host *h);	/* VMBus, 0: none */
uint64_t host_guests(const struct host *h);	/* that ever connected */
uint64_t host_violations(const struct host *h);	/* all of them */
/* The i-th oldest that is kept; NULL past the end. */
const struct host_violation *host_violation_at(const struct host *h,
					       unsigned i);

void host_observe(struct host *h, struct host_observer *o);
void host_unobserve(struct host *h, struct host_observer *o);

/* What may happen. 0; -EALREADY: it is so already; -EOPNOTSUPP: this host
 * does not have that component at all. */
int host_rescind(struct host *h, enum host_ic_id id);
int host_offer(struct host *h, enum host_ic_id id);
void host_refuse(struct host *h, enum host_ic_id id, uint32_t status);
void host_restart(struct host *h);
void host_kick(struct host *h, enum host_ic_id id);

/* Write into the ring that the guest reads, as no correct host does, and ring
 * the doorbell. 0, or -ENOTCONN. */
enum host_ring_fault {
	HOST_RING_WRITE_INDEX,	/* the write index becomes value */
	HOST_RING_READ_INDEX,	/* the index the guest owns becomes value */
	HOST_RING_DESC_LEN,	/* a packet whose length word is value */
	HOST_RING_DESC_OFFSET,	/* a packet whose offset word is value */
};
int host_ring_fault(struct host *h, enum host_ic_id id, enum host_ring_fault f,
		    uint32_t value);

#endif
