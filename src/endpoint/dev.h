/* endpoint/dev.h - a driver's device file in its socket form: SOCK_SEQPACKET
 * at /run/hyperv/dev/NAME, one packet a message, the same messages that a
 * character device would carry. The server half; clients use endpoint/devc.h.
 *
 * Clients are untrusted: a message longer than max_msg ends the connection,
 * and a client that does not read is told -EAGAIN about, never waited for.
 * When there are no descriptors left, new ones wait a while in the queue.
 */
#ifndef ENDPOINT_DEV_H
#define ENDPOINT_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct dev;
struct dev_client;

struct dev_ops {
	/* Somebody opens: 0, or -EBUSY to refuse (the client reads EOF, behind
	 * what the callee sends it). */
	int (*opened)(void *arg, struct dev_client *c);
	/* One whole message. The callee may close the client. */
	void (*message)(void *arg, struct dev_client *c, const uint8_t *buf,
			size_t len);
	/* The client is gone (not called for refused ones, nor after
	 * dev_client_close()). */
	void (*closed)(void *arg, struct dev_client *c);
};

struct dev_cfg {
	const char *path;
	mode_t mode;			/* of the node; 0: 0600 */
	bool set_group;			/* of the node, to: */
	gid_t group;
	size_t max_msg;			/* bytes */
	unsigned max_clients;		/* the next one reads EOF; 0: 64 */
};

/* NULL with errno set; a stale socket is replaced, a live one is EADDRINUSE. */
struct dev *dev_new(struct loop *l, const struct dev_cfg *cfg,
		    const struct dev_ops *ops, void *arg);
/* Closes clients, removes the node. Not from one of its callbacks. */
void dev_free(struct dev *d);

/* 0; -EAGAIN the client's queue is full; -EPIPE it is gone. */
int dev_send(struct dev_client *c, const void *buf, size_t len);
void dev_client_close(struct dev_client *c);
/* For the owner's use, NULL at first. */
void dev_client_set(struct dev_client *c, void *p);
void *dev_client_get(const struct dev_client *c);
/* Who it was when it opened: the process id or 0, the user or (uid_t)-1. */
pid_t dev_client_pid(const struct dev_client *c);
uid_t dev_client_uid(const struct dev_client *c);

#endif
