/* vss/vss_wire.c - VSS requests as the host sends them, and the answers.
 *
 * FREEZE and AUTO_RECOVER come in a short form, a header alone, and a long one
 * that lists LUNs. Which host sends which is unverified, so both are taken; of
 * the long form everything that counts records is checked.
 */
#include "vss/vss_wire.h"

#include <errno.h>
#include <string.h>

#include "base/rd.h"
#include "base/wr.h"
#include "ic/hv_utilreg.h"

#define V HV_IC_VERSION

static const struct {
	const char *name;
	uint32_t since;			/* message version */
	size_t min;			/* bytes of the body */
} ops[VSS_N_OPS] = {
	[VSS_CREATE] = { "create", 0, VSS_SET_SIZE },
	[VSS_DELETE] = { "delete", 0, VSS_SET_SIZE },
	[VSS_HOT_BACKUP] = { "check", 0, VSS_SMALL_SIZE },
	[VSS_GET_DM_INFO] = { "get-dm-info", 0, VSS_SMALL_SIZE },
	[VSS_BU_COMPLETE] = { "complete", V(4, 0), VSS_HEADER_SIZE },
	[VSS_FREEZE] = { "freeze", V(5, 0), VSS_HEADER_SIZE },
	[VSS_THAW] = { "thaw", V(5, 0), VSS_HEADER_SIZE },
	[VSS_AUTO_RECOVER] = { "auto-recover", V(5, 0), VSS_HEADER_SIZE },
};

const char *vss_op_name(unsigned op)
{
	return op < VSS_N_OPS && ops[op].name ? ops[op].name :
	       op == VSS_CLUSTER_INFO ? "cluster-info" : "unknown";
}

/* Backup type, flags and the list of LUNs, if there is one. */
static int get_luns(struct vss_msg *m, struct rd *r)
{
	if (r->left < VSS_FREEZE_LUNS_AT + 4 - VSS_HEADER_SIZE)
		return 0;
	m->backup_type = rd_le32(r);
	m->flags = rd_le32(r);
	m->n_luns = rd_le32(r);
	if (m->n_luns > VSS_MAX_LUNS || m->n_luns > r->left / VSS_LUN_SIZE)
		return -EPROTO;
	return 0;
}

int vss_wire_get_request(struct vss_msg *m, uint32_t version, const void *body,
			 size_t len)
{
	struct rd r = rd_of(body, len);

	memset(m, 0, sizeof(*m));
	m->op = rd_u8(&r);
	if (r.bad)
		return -EMSGSIZE;
	if (m->op >= VSS_N_OPS || !ops[m->op].min || version < ops[m->op].since)
		return -EOPNOTSUPP;
	if (len < ops[m->op].min)
		return -EMSGSIZE;
	rd_skip(&r, VSS_HEADER_SIZE - 1);
	if (m->op == VSS_FREEZE || m->op == VSS_AUTO_RECOVER)
		return get_luns(m, &r);
	return 0;
}

size_t vss_wire_put_answer(void *body, size_t len, const struct vss_msg *m)
{
	struct wr w = wr_of(body, len);

	if (m->op != VSS_HOT_BACKUP && m->op != VSS_GET_DM_INFO)
		return 0;
	if (len < VSS_SMALL_SIZE)
		return 0;
	(void)wr_room(&w, VSS_FLAGS_AT);
	wr_le32(&w, m->op == VSS_HOT_BACKUP ? VSS_HOT_BACKUP_FLAGS : 0);
	return w.len;
}
