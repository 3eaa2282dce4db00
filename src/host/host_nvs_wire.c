/* host/host_nvs_wire.c - see doc/wire/nvs.md for the table this follows.
 * Sources: OpenVMM netvsp (protocol.rs), Linux hyperv_net.h. */
#include "host/host_nvs_wire.h"

#include <errno.h>

enum {
	OBSOLETE = -1,		/* what INIT COMPLETE once said */
	MDL_CHAIN = 34,		/* pages a packet may span, OpenVMM's */
};

static void get_pair(struct rd *r, uint32_t *a, uint32_t *b)
{
	*a = rd_le32(r);
	*b = rd_le32(r);
}

/* false: not one of a guest's. */
static bool get_body(struct host_nvs_msg *m, struct rd *r)
{
	switch (m->type) {
	case NVS_INIT:
		get_pair(r, &m->init.least, &m->init.most);
		return true;
	case NVS_NDIS_VERSION:
		get_pair(r, &m->ndis_version.major, &m->ndis_version.minor);
		return true;
	case NVS_NDIS_CONFIG:
		m->ndis_config.frame = rd_le32(r);
		rd_skip(r, 4);
		m->ndis_config.caps = rd_le64(r);
		return true;
	case NVS_RECV_BUF:
	case NVS_SEND_BUF:
		m->buf.gpadl = rd_le32(r);
		m->buf.id = rd_le16(r);
		return true;
	case NVS_REVOKE_RECV_BUF:
	case NVS_REVOKE_SEND_BUF:
		m->revoke.id = rd_le16(r);
		return true;
	case NVS_RNDIS:
		m->rndis.channel = rd_le32(r);
		get_pair(r, &m->rndis.section, &m->rndis.used);
		return true;
	case NVS_RNDIS_COMPLETE:
		m->rndis_complete.status = rd_le32(r);
		return true;
	case NVS_SWITCH_DATA_PATH:
		m->data_path.path = rd_le32(r);
		return true;
	case NVS_OID_QUERY:
		rd_skip(r, 4);		/* an object header */
		m->oid_query.oid = rd_le32(r);
		return true;
	case NVS_SUBCHANNEL:
		get_pair(r, &m->subchannel.op, &m->subchannel.count);
		return true;
	default:
		return false;
	}
}

int host_nvs_get(struct host_nvs_msg *m, const void *buf, size_t len,
		 const char **why)
{
	struct rd r = rd_of(buf, len);
	bool known;

	*m = (struct host_nvs_msg){ .type = rd_le32(&r) };
	known = !r.bad && get_body(m, &r);
	if (r.bad) {
		*why = "an NVSP message shorter than its type";
		return -EBADMSG;
	}
	if (!known) {
		*why = "an NVSP message that guests do not send";
		return -EOPNOTSUPP;
	}
	return 0;
}

/* One message of n words. */
static void put(struct wr *w, size_t size, const uint32_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		wr_le32(w, words[i]);
	wr_zero(w, size - n * 4);
}

void host_nvs_put_init(struct wr *w, uint32_t status)
{
	const uint32_t m[] = { NVS_INIT_COMPLETE, (uint32_t)OBSOLETE,
			       MDL_CHAIN, status };

	put(w, HOST_NVS_SHORT, m, 4);
}

void host_nvs_put_recv_buf(struct wr *w, size_t size, uint32_t status,
			   uint32_t size_each, uint32_t count)
{
	const uint32_t m[] = { NVS_RECV_BUF_COMPLETE, status, 1, 0, size_each,
			       count, size_each * count };

	put(w, size, m, 7);
}

void host_nvs_put_send_buf(struct wr *w, size_t size, uint32_t status,
			   uint32_t section_size)
{
	const uint32_t m[] = { NVS_SEND_BUF_COMPLETE, status, section_size };

	put(w, size, m, 3);
}

void host_nvs_put_rndis(struct wr *w, size_t size, uint32_t channel)
{
	const uint32_t m[] = { NVS_RNDIS, channel, NVS_NO_SECTION, 0 };

	put(w, size, m, 4);
}

void host_nvs_put_rndis_complete(struct wr *w, size_t size, uint32_t status)
{
	const uint32_t m[] = { NVS_RNDIS_COMPLETE, status };

	put(w, size, m, 2);
}

void host_nvs_put_vf(struct wr *w, size_t size, uint32_t allocated,
		     uint32_t serial)
{
	const uint32_t m[] = { NVS_VF_ASSOCIATION, allocated, serial };

	put(w, size, m, 3);
}

void host_nvs_put_data_path(struct wr *w, size_t size, uint32_t path)
{
	const uint32_t m[] = { NVS_SWITCH_DATA_PATH, path };

	put(w, size, m, 2);
}

void host_nvs_put_oid_query(struct wr *w, size_t size, uint32_t status)
{
	const uint32_t m[] = { NVS_OID_QUERY_COMPLETE, status, 0 };

	put(w, size, m, 3);
}

void host_nvs_put_subchannel(struct wr *w, size_t size, uint32_t status,
			     uint32_t count)
{
	const uint32_t m[] = { NVS_SUBCHANNEL, status, count };

	put(w, size, m, 3);
}

void host_nvs_put_indirection(struct wr *w, uint32_t offset,
			      const uint32_t entry[NVS_INDIRECTIONS])
{
	const uint32_t m[] = { NVS_INDIRECTION_TABLE, NVS_INDIRECTIONS,
			       offset };

	put(w, NVS_TABLE_AT, m, 3);
	for (unsigned i = 0; i < NVS_INDIRECTIONS; i++)
		wr_le32(w, entry[i]);
}
