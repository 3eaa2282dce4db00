/* host/host_vmbus.h - the host's end of the bus: accept one guest, offer
 * channels, take part in their life. The mirror of vmbus/bus.h.
 *
 * The guest is as untrusted here as the host is there: its memory must be a
 * sealed memfd of the size it claims, its ring indices are checked, and a
 * guest that breaks the bus protocol loses its connection and nothing else.
 */
#ifndef HOST_VMBUS_H
#define HOST_VMBUS_H

#include "vmbus/channel.h"
#include "vmbus/guid.h"

struct host_vmbus;
struct host_offer;		/* one offered device */

/* Callbacks of one offered device. */
struct host_offer_ops {
	/* The guest opened it; c lives until closed(). */
	void (*opened)(void *arg, struct channel *c);
	/* The guest closed it, went away or broke it (err = -errno, else 0);
	 * c is freed after the call. */
	void (*closed)(void *arg, int err);
	void (*packet)(void *arg, const struct packet *p);
	void (*writable)(void *arg);	/* may be NULL */
};

struct host_vmbus_ops {
	void (*guest)(void *arg, bool connected, uint32_t version);
	/* Something the guest did that a correct guest does not do. Breaking
	 * the order of things costs it the connection; bad memory, bad
	 * descriptors or a broken ring only the channel. */
	void (*violation)(void *arg, const char *what);
};

struct host_vmbus_cfg {
	const char *path;		/* socket to listen on; replaced if stale */
	const uint32_t *versions;	/* VMBus versions served, major<<16|minor;
					 * the caller's, must outlive the bus */
	unsigned n_versions;		/* 0: any that a guest asks for */
};

/* Callbacks may call anything here but host_vmbus_free(); violation() only
 * takes note. */

/* NULL with errno set (EADDRINUSE: another live host listens there). */
struct host_vmbus *host_vmbus_new(struct loop *l,
				  const struct host_vmbus_cfg *cfg,
				  const struct host_vmbus_ops *ops, void *arg);
/* Drops the guest and frees what was offered; no calls. NULL is fine. */
void host_vmbus_free(struct host_vmbus *h);

/* A host restart: drop the guest without a word; offers stay to be made again
 * at the next contact. */
void host_vmbus_drop_guest(struct host_vmbus *h);

/* Offer a device, now if a guest has asked for offers, else when it does.
 * named_pipe: message-mode pipe, as all integration components are. */
struct host_offer *host_offer_new(struct host_vmbus *h,
				  const struct guid *class_id,
				  const struct guid *instance, bool named_pipe,
				  const struct host_offer_ops *ops, void *arg);
/* Take it back: RESCIND to the guest, closed() if it was open. */
void host_offer_rescind(struct host_offer *o);
/* Offer it again after a rescind, with a new relid; waits for the guest's
 * RELID_RELEASED first. */
void host_offer_again(struct host_offer *o);
/* Refuse the next opens with this status (0 = accept). */
void host_offer_refuse(struct host_offer *o, uint32_t status);
/* Take it back for good. closed() comes first if it was open. */
void host_offer_free(struct host_offer *o);

/* Memory that the guest shared for this device beside the rings, by its GPADL
 * handle. It stays until the guest tears it down, at the latest until its
 * offer or the guest goes: look it up each time. NULL: no such handle. */
void *host_offer_gpadl(struct host_offer *o, uint32_t handle, size_t *len);

/* The open channel's raw ring memory, for faults that no correct program
 * could send; NULL when closed. tx: what the host writes. */
void *host_offer_ring(struct host_offer *o, bool tx, size_t *len);
/* Ring the guest's doorbell, deserved or not. */
void host_offer_kick(struct host_offer *o);

#endif
