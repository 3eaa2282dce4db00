/* hn/rndis_wire.c - control messages, then data. */
#include "hn/rndis_wire.h"

#include <assert.h>
#include <errno.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	OFFSETS_FROM = 8,	/* byte from which offsets count */
	VERSION_MAJOR = 1, VERSION_MINOR = 0,
	MAX_TRANSFER = 0x4000,	/* bytes we can take in one message; Linux' */
	MAX_ALIGN_LOG2 = 12,	/* a page: more makes no sense */
};

/* Control --------------------------------------------------------------- */

/* A piece that the message says is at `offset`, of `len` bytes: is it inside,
 * behind the `least` bytes of fixed fields? An empty one is anywhere. */
static int get_piece(struct rndis_control *c, const uint8_t *msg,
		     size_t msg_len, uint32_t offset, uint32_t len,
		     size_t least)
{
	uint64_t at = (uint64_t)offset + OFFSETS_FROM;

	if (!len)
		return 0;
	if (at < least || at + len > msg_len)
		return -EPROTO;
	c->data = msg + at;
	c->len = len;
	return 0;
}

static int get_initialize(struct rndis_control *c, struct rd *r)
{
	uint32_t log2;

	c->rid = rd_le32(r);
	c->status = rd_le32(r);
	if (c->status != RNDIS_S_OK)
		return 0;
	rd_skip(r, 16);			/* versions, flags, medium */
	c->max_messages = rd_le32(r);
	c->max_transfer = rd_le32(r);
	log2 = rd_le32(r);
	if (r->bad)
		return 0;
	if (!c->max_messages || !c->max_transfer || log2 > MAX_ALIGN_LOG2)
		return -EPROTO;
	c->align = 1u << log2;
	return 0;
}

static int get_query(struct rndis_control *c, struct rd *r, const uint8_t *msg,
		     size_t len)
{
	const size_t fixed = 24;
	uint32_t n, offset;

	c->rid = rd_le32(r);
	c->status = rd_le32(r);
	n = rd_le32(r);
	offset = rd_le32(r);
	return r->bad ? 0 : get_piece(c, msg, len, offset, n, fixed);
}

/* Old hosts do not count the buffer in the message's length: `all` is what
 * came with it. */
static int get_indicate(struct rndis_control *c, struct rd *r,
			const uint8_t *msg, size_t all)
{
	const size_t fixed = 20;
	uint32_t n, offset;

	c->status = rd_le32(r);
	n = rd_le32(r);
	offset = rd_le32(r);
	return r->bad ? 0 : get_piece(c, msg, all, offset, n, fixed);
}

static int get_body(struct rndis_control *c, struct rd *r, const uint8_t *msg,
		    size_t len, size_t all)
{
	switch (c->type) {
	case RNDIS_INITIALIZE | RNDIS_COMPLETE:
		return get_initialize(c, r);
	case RNDIS_QUERY | RNDIS_COMPLETE:
		return get_query(c, r, msg, len);
	case RNDIS_SET | RNDIS_COMPLETE:
	case RNDIS_KEEPALIVE | RNDIS_COMPLETE:
		c->rid = rd_le32(r);
		c->status = rd_le32(r);
		return 0;
	case RNDIS_RESET | RNDIS_COMPLETE:
		c->status = rd_le32(r);
		return 0;
	case RNDIS_KEEPALIVE:		/* hosts may ask, too */
		c->rid = rd_le32(r);
		return 0;
	case RNDIS_INDICATE:
		return get_indicate(c, r, msg, all);
	default:
		return -EOPNOTSUPP;
	}
}

int rndis_get_control(struct rndis_control *c, const void *buf, size_t len)
{
	struct rd r = rd_of(buf, len);
	uint32_t said;
	int err;

	memset(c, 0, sizeof(*c));
	c->type = rd_le32(&r);
	said = rd_le32(&r);
	if (r.bad || said > len || said < RNDIS_HDR)
		return -EMSGSIZE;
	r.left = said - RNDIS_HDR;
	err = get_body(c, &r, buf, said, len);
	return r.bad ? -EMSGSIZE : err;
}

static int put_end(const struct wr *w)
{
	return w->bad ? -EMSGSIZE : (int)w->len;
}

int rndis_put_initialize(void *out, size_t cap, uint32_t rid)
{
	struct wr w = wr_of(out, cap);

	wr_le32(&w, RNDIS_INITIALIZE);
	wr_le32(&w, RNDIS_INITIALIZE_SIZE);
	wr_le32(&w, rid);
	wr_le32(&w, VERSION_MAJOR);
	wr_le32(&w, VERSION_MINOR);
	wr_le32(&w, MAX_TRANSFER);
	return put_end(&w);
}

static int put_request(void *out, size_t cap, enum rndis_type type,
		       uint32_t rid, uint32_t oid, const void *data, size_t len)
{
	struct wr w = wr_of(out, cap);

	if (len > RNDIS_CONTROL_MAX - RNDIS_REQUEST_HDR)
		return -EMSGSIZE;
	wr_le32(&w, type);
	wr_le32(&w, (uint32_t)(RNDIS_REQUEST_HDR + len));
	wr_le32(&w, rid);
	wr_le32(&w, oid);
	wr_le32(&w, (uint32_t)len);
	/* Also when nothing follows: Hyper-V fails a query with offset 0. */
	wr_le32(&w, RNDIS_REQUEST_HDR - OFFSETS_FROM);
	wr_le32(&w, 0);			/* VC handle */
	wr_bytes(&w, data, len);
	return put_end(&w);
}

int rndis_put_query(void *out, size_t cap, uint32_t rid, uint32_t oid,
		    const void *data, size_t len)
{
	return put_request(out, cap, RNDIS_QUERY, rid, oid, data, len);
}

int rndis_put_set(void *out, size_t cap, uint32_t rid, uint32_t oid,
		  const void *data, size_t len)
{
	return put_request(out, cap, RNDIS_SET, rid, oid, data, len);
}

static int put_short(void *out, size_t cap, enum rndis_type type, uint32_t rid)
{
	struct wr w = wr_of(out, cap);

	wr_le32(&w, type);
	wr_le32(&w, RNDIS_SHORT_SIZE);
	wr_le32(&w, rid);
	return put_end(&w);
}

int rndis_put_halt(void *out, size_t cap, uint32_t rid)
{
	return put_short(out, cap, RNDIS_HALT, rid);
}

int rndis_put_keepalive(void *out, size_t cap, uint32_t rid)
{
	return put_short(out, cap, RNDIS_KEEPALIVE, rid);
}

/* Data ------------------------------------------------------------------ */

uint32_t rndis_vlan_word(uint16_t tci)
{
	return (uint32_t)(tci >> 13) | ((tci >> 12 & 1u) << 3) |
	       (uint32_t)(tci & 0xfff) << 4;
}

uint16_t rndis_vlan_tci(uint32_t word)
{
	return (uint16_t)((word & 7) << 13 | (word >> 3 & 1) << 12 |
			  (word >> 4 & 0xfff));
}

int rndis_lso(uint32_t *word, uint32_t mss, uint32_t l4, bool ipv6)
{
	if (!mss || mss > RNDIS_LSO_MSS_MAX || l4 > RNDIS_TX_L4_MAX)
		return -ERANGE;
	*word = mss | l4 << RNDIS_LSO_L4_SHIFT | RNDIS_LSO_V2 |
		(ipv6 ? RNDIS_LSO_IPV6 : 0);
	return 0;
}

/* What a record says that we know; the others are passed over. */
static void take_ppi(struct rndis_meta *m, uint32_t type, uint32_t word)
{
	switch (type) {
	case RNDIS_PPI_CHECKSUM:
		m->has_checksum = true;
		m->checksum = word;
		break;
	case RNDIS_PPI_LSO:
		m->has_lso = true;
		m->lso = word;
		break;
	case RNDIS_PPI_VLAN:
		m->has_vlan = true;
		m->vlan = rndis_vlan_tci(word);
		break;
	case RNDIS_PPI_HASH_VALUE:
		m->has_hash = true;
		m->hash = word;
		break;
	}
}

/* A record that lies about its size ends the packet, not only the record:
 * there is no telling where the next one begins. */
static int get_ppis(struct rndis_meta *m, const uint8_t *p, size_t len)
{
	while (len) {
		struct rd r = rd_of(p, len);
		uint32_t size = rd_le32(&r), type = rd_le32(&r);
		uint32_t at = rd_le32(&r);

		if (r.bad || size < RNDIS_PPI_HDR || size > len ||
		    at < RNDIS_PPI_HDR || at > size)
			return -EPROTO;
		if (size - at >= 4) {
			r = rd_of(p + at, 4);
			take_ppi(m, type, rd_le32(&r));
		}
		p += size;
		len -= size;
	}
	return 0;
}

/* Does [offset, offset + len) lie behind the header, inside the message? */
static bool inside(uint32_t offset, uint32_t len, size_t said)
{
	uint64_t at = (uint64_t)offset + OFFSETS_FROM;

	return at >= RNDIS_PACKET_HDR && at + len <= said;
}

int rndis_get_packet(struct rndis_packet *p, const void *buf, size_t len)
{
	struct rd r = rd_of(buf, len);
	uint32_t type = rd_le32(&r), said = rd_le32(&r);
	uint32_t at = rd_le32(&r), n = rd_le32(&r);
	uint32_t ppi_at, ppi_len;
	const uint8_t *msg = buf;

	memset(p, 0, sizeof(*p));
	if (!r.bad && type != RNDIS_PACKET)
		return -EOPNOTSUPP;
	rd_skip(&r, 12);		/* out-of-band data: nobody sends any */
	ppi_at = rd_le32(&r);
	ppi_len = rd_le32(&r);
	rd_skip(&r, 8);
	if (r.bad || said > len || said < RNDIS_PACKET_HDR)
		return -EMSGSIZE;
	if (!n || !inside(at, n, said) ||
	    (ppi_len && !inside(ppi_at, ppi_len, said)))
		return -EPROTO;
	p->frame = msg + at + OFFSETS_FROM;
	p->len = n;
	return ppi_len ? get_ppis(&p->meta, msg + ppi_at + OFFSETS_FROM,
				  ppi_len) : 0;
}

static void put_ppi(struct wr *w, enum rndis_ppi type, uint32_t word)
{
	wr_le32(w, RNDIS_PPI_WORD);
	wr_le32(w, type);
	wr_le32(w, RNDIS_PPI_HDR);
	wr_le32(w, word);
}

static size_t n_ppis(const struct rndis_meta *m)
{
	return (size_t)m->has_checksum + m->has_lso + m->has_vlan + m->has_hash;
}

int rndis_put_packet(void *out, size_t cap, const struct rndis_meta *m,
		     size_t frame_len, size_t align, size_t *pad)
{
	size_t ppis = n_ppis(m) * RNDIS_PPI_WORD;
	size_t hdr = RNDIS_PACKET_HDR + ppis, len = hdr + frame_len;
	struct wr w = wr_of(out, cap);

	assert(align == 0 || (align & (align - 1)) == 0);
	*pad = align > 1 ? (align - len % align) % align : 0;
	wr_le32(&w, RNDIS_PACKET);
	wr_le32(&w, (uint32_t)(len + *pad));
	wr_le32(&w, (uint32_t)(hdr - OFFSETS_FROM));
	wr_le32(&w, (uint32_t)frame_len);
	wr_zero(&w, 12);
	wr_le32(&w, ppis ? RNDIS_PACKET_HDR - OFFSETS_FROM : 0);
	wr_le32(&w, (uint32_t)ppis);
	wr_zero(&w, 8);
	if (m->has_checksum)
		put_ppi(&w, RNDIS_PPI_CHECKSUM, m->checksum);
	if (m->has_lso)
		put_ppi(&w, RNDIS_PPI_LSO, m->lso);
	if (m->has_vlan)
		put_ppi(&w, RNDIS_PPI_VLAN, rndis_vlan_word(m->vlan));
	if (m->has_hash)
		put_ppi(&w, RNDIS_PPI_HASH_VALUE, m->hash);
	return put_end(&w);
}
