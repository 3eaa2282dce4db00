/* vmbus/msg_wire.c - VMBus control messages. */
#include "vmbus/msg_wire.h"

#include <assert.h>
#include <errno.h>

static void get_none(struct vmbus_msg *m, struct rd *r)
{
	(void)m;
	(void)r;
}

static void put_none(const struct vmbus_msg *m, struct wr *w)
{
	(void)m;
	(void)w;
}

static void get_relid(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
}

static void put_relid(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
}

static void get_offer(struct vmbus_msg *m, struct rd *r)
{
	rd_copy(r, m->offer.class_id.b, 16);
	rd_copy(r, m->offer.instance.b, 16);
	rd_skip(r, 16);				/* reserved */
	m->offer.flags = rd_le16(r);
	m->offer.mmio_mb = rd_le16(r);
	m->offer.pipe_mode = rd_le32(r);	/* user data, if no pipe */
	rd_skip(r, VMBUS_USER_MAX - 4);
	m->offer.sub_index = rd_le16(r);
	rd_skip(r, 2);				/* reserved */
	m->relid = rd_le32(r);
	rd_skip(r, 4);		/* monitor id and flag, dedicated interrupt */
	m->offer.connection_id = rd_le32(r);
	if (!(m->offer.flags & VMBUS_OFFER_NAMED_PIPE))
		m->offer.pipe_mode = 0;
}

static void put_offer(const struct vmbus_msg *m, struct wr *w)
{
	bool pipe = m->offer.flags & VMBUS_OFFER_NAMED_PIPE;

	wr_bytes(w, m->offer.class_id.b, 16);
	wr_bytes(w, m->offer.instance.b, 16);
	wr_zero(w, 16);
	wr_le16(w, m->offer.flags);
	wr_le16(w, m->offer.mmio_mb);
	wr_le32(w, pipe ? m->offer.pipe_mode : 0);
	wr_zero(w, VMBUS_USER_MAX - 4);
	wr_le16(w, m->offer.sub_index);
	wr_zero(w, 2);
	wr_le32(w, m->relid);
	wr_u8(w, 0);				/* no monitor page */
	wr_u8(w, 0);
	wr_le16(w, 1);				/* dedicated interrupt */
	wr_le32(w, m->offer.connection_id);
}

static void get_open(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->open.openid = rd_le32(r);
	m->open.gpadl = rd_le32(r);
	m->open.target_vp = rd_le32(r);
	m->open.rx_page = rd_le32(r);
	rd_copy(r, m->open.user, VMBUS_USER_MAX);
}

static void put_open(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->open.openid);
	wr_le32(w, m->open.gpadl);
	wr_le32(w, m->open.target_vp);
	wr_le32(w, m->open.rx_page);
	wr_bytes(w, m->open.user, VMBUS_USER_MAX);
}

static void get_open_result(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->open_result.openid = rd_le32(r);
	m->open_result.status = rd_le32(r);
}

static void put_open_result(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->open_result.openid);
	wr_le32(w, m->open_result.status);
}

/* The rest of the message is page numbers. */
static void get_pfns(struct vmbus_pfns *pfns, struct rd *r)
{
	if (r->left % 8)
		r->bad = true;
	pfns->n = (unsigned)(r->left / 8);
	pfns->le = rd_bytes(r, r->left);
}

static void put_pfns(const struct vmbus_pfns *pfns, struct wr *w)
{
	wr_bytes(w, pfns->le, (size_t)pfns->n * 8);
}

static void get_gpadl_header(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->gpadl_header.gpadl = rd_le32(r);
	m->gpadl_header.range_len = rd_le16(r);
	m->gpadl_header.ranges = rd_le16(r);
	m->gpadl_header.len = rd_le32(r);
	m->gpadl_header.offset = rd_le32(r);
	get_pfns(&m->gpadl_header.pfns, r);
}

static void put_gpadl_header(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->gpadl_header.gpadl);
	wr_le16(w, m->gpadl_header.range_len);
	wr_le16(w, m->gpadl_header.ranges);
	wr_le32(w, m->gpadl_header.len);
	wr_le32(w, m->gpadl_header.offset);
	put_pfns(&m->gpadl_header.pfns, w);
}

static void get_gpadl_body(struct vmbus_msg *m, struct rd *r)
{
	m->gpadl_body.seq = rd_le32(r);
	m->gpadl_body.gpadl = rd_le32(r);
	get_pfns(&m->gpadl_body.pfns, r);
}

static void put_gpadl_body(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->gpadl_body.seq);
	wr_le32(w, m->gpadl_body.gpadl);
	put_pfns(&m->gpadl_body.pfns, w);
}

static void get_gpadl_created(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->gpadl.gpadl = rd_le32(r);
	m->gpadl.status = rd_le32(r);
}

static void put_gpadl_created(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->gpadl.gpadl);
	wr_le32(w, m->gpadl.status);
}

static void get_gpadl_teardown(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->gpadl.gpadl = rd_le32(r);
}

static void put_gpadl_teardown(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->gpadl.gpadl);
}

static void get_gpadl_torndown(struct vmbus_msg *m, struct rd *r)
{
	m->gpadl.gpadl = rd_le32(r);
}

static void put_gpadl_torndown(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->gpadl.gpadl);
}

static void get_contact(struct vmbus_msg *m, struct rd *r)
{
	m->contact.version = rd_le32(r);
	m->contact.target_vcpu = rd_le32(r);
	m->contact.interrupt_page = rd_le64(r);
	m->contact.monitor_page[0] = rd_le64(r);
	m->contact.monitor_page[1] = rd_le64(r);
}

static void put_contact(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->contact.version);
	wr_le32(w, m->contact.target_vcpu);
	wr_le64(w, m->contact.interrupt_page);
	wr_le64(w, m->contact.monitor_page[0]);
	wr_le64(w, m->contact.monitor_page[1]);
}

static void get_version(struct vmbus_msg *m, struct rd *r)
{
	m->version.supported = rd_u8(r) != 0;
	m->version.state = rd_u8(r);
	rd_skip(r, 2);
	m->version.connection_id = rd_le32(r);
}

static void put_version(const struct vmbus_msg *m, struct wr *w)
{
	wr_u8(w, m->version.supported);
	wr_u8(w, m->version.state);
	wr_zero(w, 2);
	wr_le32(w, m->version.connection_id);
}

static void get_modify(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->modify.target_vp = rd_le32(r);
}

static void put_modify(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->modify.target_vp);
}

static void get_modified(struct vmbus_msg *m, struct rd *r)
{
	m->relid = rd_le32(r);
	m->modify.status = rd_le32(r);
}

static void put_modified(const struct vmbus_msg *m, struct wr *w)
{
	wr_le32(w, m->relid);
	wr_le32(w, m->modify.status);
}

static const struct row {
	const char *name;
	void (*get)(struct vmbus_msg *m, struct rd *r);
	void (*put)(const struct vmbus_msg *m, struct wr *w);
} rows[] = {
	[VMBUS_MSG_OFFER] = { "offer", get_offer, put_offer },
	[VMBUS_MSG_RESCIND] = { "rescind", get_relid, put_relid },
	[VMBUS_MSG_REQUEST_OFFERS] = { "request offers", get_none, put_none },
	[VMBUS_MSG_OFFERS_DELIVERED] = { "offers delivered", get_none,
					 put_none },
	[VMBUS_MSG_OPEN] = { "open", get_open, put_open },
	[VMBUS_MSG_OPEN_RESULT] = { "open result", get_open_result,
				    put_open_result },
	[VMBUS_MSG_CLOSE] = { "close", get_relid, put_relid },
	[VMBUS_MSG_GPADL_HEADER] = { "gpadl header", get_gpadl_header,
				     put_gpadl_header },
	[VMBUS_MSG_GPADL_BODY] = { "gpadl body", get_gpadl_body,
				   put_gpadl_body },
	[VMBUS_MSG_GPADL_CREATED] = { "gpadl created", get_gpadl_created,
				      put_gpadl_created },
	[VMBUS_MSG_GPADL_TEARDOWN] = { "gpadl teardown", get_gpadl_teardown,
				       put_gpadl_teardown },
	[VMBUS_MSG_GPADL_TORNDOWN] = { "gpadl torn down", get_gpadl_torndown,
				       put_gpadl_torndown },
	[VMBUS_MSG_RELID_RELEASED] = { "relid released", get_relid, put_relid },
	[VMBUS_MSG_CONTACT] = { "initiate contact", get_contact, put_contact },
	[VMBUS_MSG_VERSION] = { "version response", get_version, put_version },
	[VMBUS_MSG_UNLOAD] = { "unload", get_none, put_none },
	[VMBUS_MSG_UNLOADED] = { "unload response", get_none, put_none },
	[VMBUS_MSG_MODIFY] = { "modify", get_modify, put_modify },
	[VMBUS_MSG_MODIFIED] = { "modify response", get_modified,
				 put_modified },
};

static const struct row *row_of(uint32_t type)
{
	if (type >= sizeof(rows) / sizeof(rows[0]) || !rows[type].get)
		return NULL;
	return &rows[type];
}

int msg_get(struct vmbus_msg *m, const void *buf, size_t len)
{
	struct rd r = rd_of(buf, len);
	const struct row *row;

	if (len > VMBUS_MSG_MAX)
		return -EBADMSG;
	memset(m, 0, sizeof(*m));
	m->type = rd_le32(&r);
	rd_skip(&r, 4);
	if (r.bad)
		return -EBADMSG;
	row = row_of(m->type);
	if (!row)
		return -EOPNOTSUPP;
	row->get(m, &r);
	return r.bad ? -EBADMSG : 0;
}

void msg_put(struct wr *w, const struct vmbus_msg *m)
{
	const struct row *row = row_of(m->type);

	assert(row);
	wr_le32(w, m->type);
	wr_zero(w, 4);
	row->put(m, w);
}

const char *msg_name(uint32_t type)
{
	const struct row *row = row_of(type);

	return row ? row->name : "unknown";
}
