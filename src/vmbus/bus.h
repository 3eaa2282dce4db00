/* vmbus/bus.h - the guest's end of a VMBus: what the host offers, and channels
 * opened from it. Each transport implements this header: vmbus/shm.c over a
 * Unix socket to hvhost (the simulated host).
 *
 * The bus reconnects by itself: when the host goes away every channel is
 * rescinded and `state` says so; when its socket appears again (inotify, no
 * polling) contact, offers and versions start over.
 */
#ifndef VMBUS_BUS_H
#define VMBUS_BUS_H

#include "vmbus/channel.h"
#include "vmbus/guid.h"

struct bus;
struct bus_gpadl;

struct bus_offer {
	struct guid class_id, instance;
	uint32_t relid;			/* the host's number for the channel */
	uint16_t flags;			/* VMBUS_OFFER_* of vmbus/msg_wire.h */
	uint32_t pipe_mode;		/* 4 = message mode, if a pipe at all */
	uint16_t sub_index;		/* 0 = primary channel */
	uint16_t mmio_mb;
};

enum bus_state {
	BUS_DOWN,		/* no host */
	BUS_CONTACT,		/* agreeing on a version */
	BUS_UP,			/* offers arrive */
};

/* Any callback may call anything here, bus_free() included. */
struct bus_ops {
	/* A change of state. The first one after bus_shm_new() may be UP. */
	void (*state)(void *arg, enum bus_state s);
	void (*offer)(void *arg, const struct bus_offer *o);
	/* All offers that existed at contact were delivered. */
	void (*offers_done)(void *arg);
	/* The channel is gone. If it was open, its struct channel and its
	 * GPADLs were freed just before this call; the relid is released
	 * after it. */
	void (*rescind)(void *arg, uint32_t relid);
	/* Answer to bus_open(): c is ready, or NULL and err = -errno:
	 * -ECONNREFUSED the host refused, -EIO it could not use our memory,
	 * -ENODEV it took the offer back. */
	void (*opened)(void *arg, uint32_t relid, struct channel *c, int err);
};

/* path: the host's socket. Returns at once; everything arrives by ops.
 * NULL with errno set. */
struct bus *bus_shm_new(struct loop *l, const char *path,
			const struct bus_ops *ops, void *arg);
void bus_free(struct bus *b);	/* closes channels, unloads, frees; no calls */

/* Open an offered channel with rings of these sizes (bytes, control page
 * included, multiples of 4096). user is up to 120 bytes for the host, may be
 * NULL. 0 and then opened(), unless closed before; -ENOENT unknown relid;
 * -EBUSY already open; -EINVAL an impossible size; -errno no memory or
 * descriptors. */
int bus_open(struct bus *b, uint32_t relid, size_t tx_len, size_t rx_len,
	     const void *user, size_t user_len, const struct channel_ops *ops,
	     void *arg);
/* Close it: the channel is freed, the offer stays and may be opened again at
 * once. Fine on a closed one. */
void bus_close(struct bus *b, uint32_t relid);

/* Memory shared with the host beside the rings (a GPADL: a receive buffer, for
 * instance), zeroed, len bytes, a multiple of 4096 and below 32 MiB. done(0)
 * when the host can use it, done(-EIO) when it cannot. NULL with errno set
 * (ENOENT: unknown relid). It is freed with its channel's offer at the latest;
 * freeing it before done() means that done() never comes. */
struct bus_gpadl *bus_gpadl_new(struct bus *b, uint32_t relid, size_t len,
				void (*done)(void *arg, int err), void *arg);
void bus_gpadl_free(struct bus_gpadl *g);	/* NULL is fine */
void *bus_gpadl_mem(const struct bus_gpadl *g);
/* The number by which messages to the host name it. */
uint32_t bus_gpadl_handle(const struct bus_gpadl *g);

enum bus_state bus_state_get(const struct bus *b);
uint32_t bus_version(const struct bus *b);	/* major << 16 | minor, 0 = none */
const char *bus_where(const struct bus *b);	/* for people: transport and path */

#endif
