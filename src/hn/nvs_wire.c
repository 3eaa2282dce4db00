/* hn/nvs_wire.c - one function a message, in the order of a channel's life. */
#include "hn/nvs_wire.h"

#include <errno.h>

#include "base/rd.h"
#include "base/wr.h"

/* Reading ---------------------------------------------------------------- */

static int get_init(struct nvs_msg *m, struct rd *r)
{
	rd_skip(r, 8);		/* a version once, and the longest MDL chain */
	m->init.status = rd_le32(r);
	return 0;
}

/* A section smaller than an RNDIS header with one record of packet
 * information could hold no packet: Linux' limit, and ours. */
enum { MIN_SECTION = 68 };

static int get_recv_buf(struct nvs_msg *m, struct rd *r, size_t buf_len)
{
	uint32_t n_sections, offset, end;

	m->recv_buf.status = rd_le32(r);
	if (m->recv_buf.status != NVS_S_OK)
		return 0;
	n_sections = rd_le32(r);
	offset = rd_le32(r);
	m->recv_buf.section_size = rd_le32(r);
	m->recv_buf.n_sections = rd_le32(r);
	end = rd_le32(r);
	if (r->bad)
		return 0;		/* the caller sees it */
	(void)end;			/* hosts differ in what it counts */
	if (n_sections != 1 || offset != 0 || !m->recv_buf.n_sections ||
	    m->recv_buf.section_size < MIN_SECTION ||
	    (uint64_t)m->recv_buf.section_size * m->recv_buf.n_sections >
		    buf_len)
		return -EPROTO;
	return 0;
}

static int get_send_buf(struct nvs_msg *m, struct rd *r)
{
	m->send_buf.status = rd_le32(r);
	if (m->send_buf.status != NVS_S_OK)
		return 0;
	m->send_buf.section_size = rd_le32(r);
	/* FreeBSD goes on without a send buffer then; so do we. */
	if (m->send_buf.section_size % 4)
		m->send_buf.section_size = 0;
	return 0;
}

static int get_rndis(struct nvs_msg *m, struct rd *r)
{
	uint32_t channel = rd_le32(r);

	if (channel > NVS_RNDIS_CONTROL)
		return -EPROTO;
	m->rndis.control = channel == NVS_RNDIS_CONTROL;
	rd_skip(r, 8);			/* a section of ours: not this way */
	return 0;
}

static int get_vf(struct nvs_msg *m, struct rd *r)
{
	uint32_t allocated = rd_le32(r);

	m->vf.present = allocated == 1;
	m->vf.serial = rd_le32(r);
	return allocated > 1 ? -EPROTO : 0;
}

static int get_data_path(struct nvs_msg *m, struct rd *r)
{
	uint32_t path = rd_le32(r);

	m->data_path.path = path ? NVS_PATH_VF : NVS_PATH_SYNTHETIC;
	return path > NVS_PATH_VF ? -EPROTO : 0;
}

static int get_subchannel(struct nvs_msg *m, struct rd *r)
{
	m->subchannel.status = rd_le32(r);
	m->subchannel.count = rd_le32(r);
	return 0;
}

/* Some hosts up to version 6 fill the offset in wrongly; the table of a
 * message that is long enough is then at 40 (Linux knows this too). */
enum { TABLE_AT = 40, TABLE_MSG = 104 };

static int get_indirection(struct nvs_msg *m, struct rd *r, size_t len,
			   uint32_t version)
{
	uint32_t n = rd_le32(r), offset = rd_le32(r);
	const size_t read = 12;		/* type, count and offset */

	if (r->bad)
		return 0;
	if (version <= NVS_V6 && len >= TABLE_MSG)
		offset = TABLE_AT;
	if (n != NVS_INDIRECTIONS || offset < read)
		return -EPROTO;
	rd_skip(r, offset - read);
	for (unsigned i = 0; i < NVS_INDIRECTIONS; i++)
		m->indirection.entry[i] = rd_le32(r);
	return 0;
}

static int get_body(struct nvs_msg *m, struct rd *r, size_t len,
		    uint32_t version, size_t recv_buf_len)
{
	switch (m->type) {
	case NVS_INIT_COMPLETE:
		return get_init(m, r);
	case NVS_RECV_BUF_COMPLETE:
		return get_recv_buf(m, r, recv_buf_len);
	case NVS_SEND_BUF_COMPLETE:
		return get_send_buf(m, r);
	case NVS_RNDIS:
		return get_rndis(m, r);
	case NVS_RNDIS_COMPLETE:
		m->rndis_complete.status = rd_le32(r);
		return 0;
	case NVS_VF_ASSOCIATION:
		return get_vf(m, r);
	case NVS_SWITCH_DATA_PATH:
		return get_data_path(m, r);
	case NVS_SUBCHANNEL:
		return get_subchannel(m, r);
	case NVS_INDIRECTION_TABLE:
		return get_indirection(m, r, len, version);
	default:
		return -EOPNOTSUPP;
	}
}

int nvs_get(struct nvs_msg *m, const void *buf, size_t len, uint32_t version,
	    size_t recv_buf_len)
{
	struct rd r = rd_of(buf, len);
	int err;

	memset(m, 0, sizeof(*m));
	m->type = rd_le32(&r);
	if (r.bad)
		return -EMSGSIZE;
	err = get_body(m, &r, len, version, recv_buf_len);
	return r.bad ? -EMSGSIZE : err;
}

/* Writing ---------------------------------------------------------------- */

/* The messages are so short that the writer cannot go bad. */
static struct wr begin(uint8_t out[NVS_MSG_SIZE], enum nvs_type type)
{
	struct wr w = wr_of(out, NVS_MSG_SIZE);

	memset(out, 0, NVS_MSG_SIZE);
	wr_le32(&w, type);
	return w;
}

void nvs_put_init(uint8_t out[NVS_MSG_SIZE], uint32_t version)
{
	struct wr w = begin(out, NVS_INIT);

	wr_le32(&w, version);		/* at least */
	wr_le32(&w, version);		/* at most; hosts read only the first */
}

void nvs_put_ndis_version(uint8_t out[NVS_MSG_SIZE], uint32_t version)
{
	struct wr w = begin(out, NVS_NDIS_VERSION);

	wr_le32(&w, 6);
	wr_le32(&w, version >= NVS_V5 ? 30 : 1);
}

void nvs_put_ndis_config(uint8_t out[NVS_MSG_SIZE], uint32_t mtu, uint64_t caps)
{
	struct wr w = begin(out, NVS_NDIS_CONFIG);

	wr_le32(&w, mtu + NVS_ETHER_HDR);
	wr_le32(&w, 0);
	wr_le64(&w, caps);
}

static void put_buffer(uint8_t out[NVS_MSG_SIZE], enum nvs_type type,
		       uint32_t gpadl, uint16_t id)
{
	struct wr w = begin(out, type);

	wr_le32(&w, gpadl);
	wr_le16(&w, id);
}

void nvs_put_recv_buf(uint8_t out[NVS_MSG_SIZE], uint32_t gpadl)
{
	put_buffer(out, NVS_RECV_BUF, gpadl, NVS_RECV_BUF_ID);
}

void nvs_put_send_buf(uint8_t out[NVS_MSG_SIZE], uint32_t gpadl)
{
	put_buffer(out, NVS_SEND_BUF, gpadl, NVS_SEND_BUF_ID);
}

void nvs_put_revoke_recv_buf(uint8_t out[NVS_MSG_SIZE])
{
	struct wr w = begin(out, NVS_REVOKE_RECV_BUF);

	wr_le16(&w, NVS_RECV_BUF_ID);
}

void nvs_put_revoke_send_buf(uint8_t out[NVS_MSG_SIZE])
{
	struct wr w = begin(out, NVS_REVOKE_SEND_BUF);

	wr_le16(&w, NVS_SEND_BUF_ID);
}

void nvs_put_rndis(uint8_t out[NVS_MSG_SIZE], bool control, uint32_t section,
		   uint32_t used)
{
	struct wr w = begin(out, NVS_RNDIS);

	wr_le32(&w, control ? NVS_RNDIS_CONTROL : NVS_RNDIS_DATA);
	wr_le32(&w, section);
	wr_le32(&w, used);
}

void nvs_put_rndis_complete(uint8_t out[NVS_MSG_SIZE], uint32_t status)
{
	struct wr w = begin(out, NVS_RNDIS_COMPLETE);

	wr_le32(&w, status);
}

void nvs_put_switch_data_path(uint8_t out[NVS_MSG_SIZE], enum nvs_path path)
{
	struct wr w = begin(out, NVS_SWITCH_DATA_PATH);

	wr_le32(&w, path);
}

void nvs_put_subchannel(uint8_t out[NVS_MSG_SIZE], uint32_t count)
{
	struct wr w = begin(out, NVS_SUBCHANNEL);

	wr_le32(&w, NVS_SUBCHANNEL_ALLOCATE);
	wr_le32(&w, count);
}

const char *nvs_type_name(uint32_t type)
{
	switch (type) {
	case NVS_INIT: return "init";
	case NVS_INIT_COMPLETE: return "init complete";
	case NVS_NDIS_VERSION: return "NDIS version";
	case NVS_RECV_BUF: return "receive buffer";
	case NVS_RECV_BUF_COMPLETE: return "receive buffer complete";
	case NVS_REVOKE_RECV_BUF: return "revoke receive buffer";
	case NVS_SEND_BUF: return "send buffer";
	case NVS_SEND_BUF_COMPLETE: return "send buffer complete";
	case NVS_REVOKE_SEND_BUF: return "revoke send buffer";
	case NVS_RNDIS: return "RNDIS";
	case NVS_RNDIS_COMPLETE: return "RNDIS complete";
	case NVS_NDIS_CONFIG: return "NDIS config";
	case NVS_VF_ASSOCIATION: return "VF association";
	case NVS_SWITCH_DATA_PATH: return "switch data path";
	case NVS_SUBCHANNEL: return "subchannel";
	case NVS_INDIRECTION_TABLE: return "indirection table";
	default: return "unknown";
	}
}
