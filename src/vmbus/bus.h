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

struct bus_ops {
	void (*state)(void *arg, enum bus_state s);
	void (*offer)(void *arg, const struct bus_offer *o);
	/* All offers that existed at contact were delivered. */
	void (*offers_done)(void *arg);
	/* The channel is gone. If it was open, its struct channel was freed
	 * just before this call; the relid is released after it. */
	void (*rescind)(void *arg, uint32_t relid);
	/* Answer to bus_open(): c is ready, or NULL and err = -errno. */
	void (*opened)(void *arg, uint32_t relid, struct channel *c, int err);
};

/* path: the host's socket. Returns at once; everything arrives by ops.
 * NULL with errno set. */
struct bus *bus_shm_new(struct loop *l, const char *path,
			const struct bus_ops *ops, void *arg);
void bus_free(struct bus *b);	/* closes channels, unloads, frees; no calls */

/* Open an offered channel with rings of these sizes (bytes, control page
 * included, multiples of 4096). user is up to 120 bytes for the host, may be
 * NULL. 0 and then opened(); -ENOENT unknown relid; -EBUSY already open. */
int bus_open(struct bus *b, uint32_t relid, size_t tx_len, size_t rx_len,
	     const void *user, size_t user_len, const struct channel_ops *ops,
	     void *arg);
/* Close it: the channel is freed, the offer stays. Fine on a closed one. */
void bus_close(struct bus *b, uint32_t relid);

enum bus_state bus_state_get(const struct bus *b);
uint32_t bus_version(const struct bus *b);	/* major << 16 | minor, 0 = none */
const char *bus_where(const struct bus *b);	/* for people: transport and path */

#endif
