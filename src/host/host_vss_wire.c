/* host/host_vss_wire.c - offsets are those of the body. */
#include "host/host_vss_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ic/hv_utilreg.h"

enum { HEAD = 8, SHADOW_SINCE = HV_IC_VERSION(7, 0) };

static const char *const names[VSS_N_OPS] = {
	[VSS_CREATE] = "create",
	[VSS_DELETE] = "delete",
	[VSS_HOT_BACKUP] = "check",
	[VSS_GET_DM_INFO] = "dm-info",
	[VSS_BU_COMPLETE] = "complete",
	[VSS_FREEZE] = "freeze",
	[VSS_THAW] = "thaw",
	[VSS_AUTO_RECOVER] = "auto-recover",
	[VSS_CLUSTER_INFO] = "cluster-info",
};

const char *host_vss_op_name(unsigned op)
{
	return op < VSS_N_OPS ? names[op] : "unknown";
}

int host_vss_op_parse(uint8_t *op, const char *name)
{
	unsigned long n;
	char *end;

	for (unsigned i = 0; i < VSS_N_OPS; i++) {
		if (!strcmp(names[i], name)) {
			*op = (uint8_t)i;
			return 0;
		}
	}
	n = strtoul(name, &end, 10);
	if (name[0] < '0' || name[0] > '9' || *end || n > UINT8_MAX)
		return -EINVAL;
	*op = (uint8_t)n;
	return 0;
}

/* Writing ---------------------------------------------------------------- */

static void put_luns(struct wr *w, const struct host_vss_msg *m)
{
	for (uint32_t i = 0; i < m->n_luns; i++) {
		const struct host_vss_lun *l = &m->luns[i];

		wr_u8(w, l->bus);
		wr_zero(w, 3);
		wr_bytes(w, l->controller.b, sizeof(l->controller.b));
		wr_u8(w, l->port);
		wr_u8(w, l->target);
		wr_u8(w, l->lun);
		wr_u8(w, 0);
	}
	wr_zero(w, (VSS_MAX_LUNS - m->n_luns) * (size_t)VSS_LUN_SIZE);
}

static void put_freeze(struct wr *w, const struct host_vss_msg *m)
{
	wr_le32(w, m->backup_type);
	wr_le32(w, m->flags);
	wr_le32(w, m->n_luns);
	put_luns(w, m);
}

int host_vss_put(struct wr *w, const struct host_vss_msg *m, uint32_t version)
{
	if (m->n_luns > VSS_MAX_LUNS)
		return -EMSGSIZE;
	wr_u8(w, m->op);
	wr_zero(w, HEAD - 1);
	switch (m->op) {
	case VSS_CREATE:
	case VSS_DELETE:
		wr_bytes(w, m->set.b, sizeof(m->set.b));
		break;
	case VSS_FREEZE:
		put_freeze(w, m);
		break;
	case VSS_AUTO_RECOVER:
		put_freeze(w, m);
		if (version >= SHADOW_SINCE)
			put_luns(w, m);
		break;
	case VSS_CLUSTER_INFO:
		wr_zero(w, VSS_CLUSTER_SIZE - HEAD);	/* for the guest */
		break;
	default:
		wr_le32(w, m->flags);
	}
	return w->bad ? -EMSGSIZE : 0;
}

/* Reading ---------------------------------------------------------------- */

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

static void get_guid(struct guid *g, struct rd *r)
{
	const uint8_t *p = rd_bytes(r, sizeof(g->b));

	if (p)
		memcpy(g->b, p, sizeof(g->b));
}

static int get_cluster(struct host_vss_msg *m, struct rd *r, const char **why)
{
	get_guid(&m->set, r);
	m->cluster_size = rd_le32(r);
	m->n_luns = rd_le32(r);
	if (m->n_luns <= VSS_MAX_LUNS)
		return 0;
	m->n_luns = 0;
	return bad(why, "a cluster answer with too many LUNs");
}

int host_vss_get(struct host_vss_msg *m, const void *body, size_t len,
		 bool strict, const char **why)
{
	struct rd r = rd_of(body, len);
	uint8_t op = rd_u8(&r);
	int err = 0;

	rd_skip(&r, HEAD - 1);
	if (strict && !r.bad && op != m->op)
		return bad(why, "an answer to another operation");
	if (m->op == VSS_HOT_BACKUP || m->op == VSS_GET_DM_INFO)
		m->flags = rd_le32(&r);
	else if (m->op == VSS_CLUSTER_INFO)
		err = get_cluster(m, &r, why);
	if (err == 0 && strict && r.bad)
		return bad(why, "a body that ends early");
	return err;
}

static int peek_luns(struct host_vss_msg *m, struct rd *r, const char **why)
{
	uint32_t n;

	m->backup_type = rd_le32(r);
	m->flags = rd_le32(r);
	n = rd_le32(r);
	if (r->bad)
		return bad(why, "it ends before the list of LUNs");
	if (n > VSS_MAX_LUNS || n > r->left / VSS_LUN_SIZE)
		return bad(why, "more LUNs than there is room for");
	m->n_luns = n;
	for (uint32_t i = 0; i < n; i++) {
		struct host_vss_lun *l = &m->luns[i];

		l->bus = rd_u8(r);
		rd_skip(r, 3);
		get_guid(&l->controller, r);
		l->port = rd_u8(r);
		l->target = rd_u8(r);
		l->lun = rd_u8(r);
		rd_skip(r, 1);
	}
	return 0;
}

int host_vss_peek(struct host_vss_msg *m, const void *body, size_t len,
		  const char **why)
{
	struct rd r = rd_of(body, len);

	memset(m, 0, sizeof(*m));
	m->op = rd_u8(&r);
	rd_skip(&r, HEAD - 1);
	if (r.bad)
		return bad(why, "under 8 bytes");
	if (m->op == VSS_FREEZE || m->op == VSS_AUTO_RECOVER)
		return peek_luns(m, &r, why);
	if (m->op == VSS_CREATE || m->op == VSS_DELETE)
		get_guid(&m->set, &r);
	else if (m->op != VSS_CLUSTER_INFO && r.left >= sizeof(uint32_t))
		m->flags = rd_le32(&r);
	return r.bad ? bad(why, "it ends within the snapshot set's id") : 0;
}
