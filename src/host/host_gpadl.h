/* host/host_gpadl.h - the guest memory that the host has mapped: lists of page
 * numbers (GPADLs), collected from one header and any number of bodies.
 *
 * The guest is untrusted: the memory must be a sealed memfd, every page number
 * inside it. A list that turns out bad is still collected to its end, so that
 * its creator gets one answer and no message is left over.
 */
#ifndef HOST_GPADL_H
#define HOST_GPADL_H

#include "vmbus/msg_wire.h"

enum {
	HOST_GPADLS_MAX = 1024,		/* of one guest */
	HOST_GPADLS_OPEN_MAX = 16,	/* of them, not yet complete */
};

struct host_gpadl {
	struct host_gpadl *next;
	uint32_t handle, relid;
	bool complete;
	int err;		/* why it cannot be mapped, 0 or -errno */
	void *mem;
	size_t len;		/* bytes */
	unsigned refs;		/* the table's, and an open channel's */
	int fd;
	unsigned n, want;	/* page numbers: here, in all */
	uint64_t *pfns;
};

struct host_gpadls {
	struct host_gpadl *first;
	unsigned n, n_open;
};

/* Take a header and its descriptors, or a body.
 * 0 and *g when the list is complete, mapped unless (*g)->err says why not;
 * 0 and NULL when more bodies are to come; -EPROTO the guest broke the rules. */
int host_gpadl_header(struct host_gpadls *t, const struct vmbus_msg *m,
		      int *fd, struct host_gpadl **g);
int host_gpadl_body(struct host_gpadls *t, const struct vmbus_msg *m,
		    struct host_gpadl **g);

/* A complete and mapped one, or NULL. */
struct host_gpadl *host_gpadl_find(struct host_gpadls *t, uint32_t relid,
				   uint32_t handle);
/* Out of the table; the mapping goes with the last reference. */
void host_gpadl_remove(struct host_gpadls *t, struct host_gpadl *g);
void host_gpadl_unref(struct host_gpadl *g);
/* Remove all of one relid, or all. */
void host_gpadl_remove_relid(struct host_gpadls *t, uint32_t relid);
void host_gpadl_remove_all(struct host_gpadls *t);

#endif
