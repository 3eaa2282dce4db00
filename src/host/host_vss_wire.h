/* host/host_vss_wire.h - the host's own reading and writing of the messages of
 * volume snapshots: the body of an IC message of type 5.
 *
 * Written without the guest's codec, from the tables of doc/wire/vss.md. What
 * a request is followed by in its body is zero; AUTO_RECOVER has a second list
 * of LUNs from version 7.0 on (which version brought it is unverified).
 */
#ifndef HOST_VSS_WIRE_H
#define HOST_VSS_WIRE_H

#include <stdbool.h>

#include "base/rd.h"
#include "base/wr.h"
#include "vmbus/guid.h"
#include "vss/vss_reg.h"

struct host_vss_lun {
	uint8_t bus;
	struct guid controller;
	uint8_t port, target, lun;
};

struct host_vss_msg {
	uint8_t op;			/* as given, known or not */
	struct guid set;		/* CREATE, DELETE: the snapshot set's;
					 * CLUSTER_INFO's answer: the cluster's */
	uint32_t backup_type;		/* FREEZE, AUTO_RECOVER */
	uint32_t flags;			/* the same, and of small messages */
	uint32_t cluster_size;
	uint32_t n_luns;
	struct host_vss_lun luns[VSS_MAX_LUNS];
};

/* Append a request's body for a message version. Operations that nobody knows
 * are sent as small messages. 0; -EMSGSIZE too many LUNs, or no room. */
int host_vss_put(struct wr *w, const struct host_vss_msg *m, uint32_t version);

/* Read the body of a good answer to m: the flags of HOT_BACKUP and
 * GET_DM_INFO, the cluster of CLUSTER_INFO. Strict: the body is whole and
 * repeats the operation; otherwise what is missing is zero. 0, or -EBADMSG and
 * *why. */
int host_vss_get(struct host_vss_msg *m, const void *body, size_t len,
		 bool strict, const char **why);

/* Read a request, for people. 0, or -EBADMSG and *why; m then has what could
 * be read. */
int host_vss_peek(struct host_vss_msg *m, const void *body, size_t len,
		  const char **why);

/* "check", "freeze", ...; "unknown". */
const char *host_vss_op_name(unsigned op);
/* The other way round, numbers up to 255 too. 0, or -EINVAL. */
int host_vss_op_parse(uint8_t *op, const char *name);

#endif
