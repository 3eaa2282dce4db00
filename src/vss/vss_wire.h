/* vss/vss_wire.h - the host's VSS messages, as bytes and as struct vss_msg.
 * No state, no channel, no log. Layouts: vss/vss_reg.h, doc/wire/vss.md.
 */
#ifndef VSS_WIRE_H
#define VSS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "vss/vss_reg.h"

struct vss_msg {
	uint8_t op;		/* as the host sent it: may be unknown */
	uint32_t backup_type;	/* FREEZE and AUTO_RECOVER in their long form, */
	uint32_t flags;		/* ... else 0 */
	uint32_t n_luns;	/* checked against what came */
};

/* 0; -EMSGSIZE shorter than the operation needs (m->op is set if there is a
 * first byte); -EPROTO more LUNs than there may be or than came;
 * -EOPNOTSUPP an operation nobody knows, or not of this version. */
int vss_wire_get_request(struct vss_msg *m, uint32_t version, const void *body,
			 size_t len);

/* Lay the answer over the request's body: HOT_BACKUP and GET_DM_INFO carry
 * flags, all others are the request's bytes. Returns the bytes written, at
 * most len. */
size_t vss_wire_put_answer(void *body, size_t len, const struct vss_msg *m);

#endif
