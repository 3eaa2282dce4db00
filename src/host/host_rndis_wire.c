/* host/host_rndis_wire.c - see doc/wire/rndis.md for the tables this follows.
 * Sources: OpenVMM netvsp (rndisprot.rs, lib.rs), Linux rndis_filter.c. */
#include "host/host_rndis_wire.h"

#include <errno.h>

enum {
	BASE = 8,			/* offsets count from here */
	PPI_AT = RNDIS_PACKET_HDR - BASE,
	CONNECTIONLESS = 1,
	MEDIUM_802_3 = 0,
	MOST_PPI = 3 * RNDIS_PPI_WORD,	/* that we send */
};

/* Control ---------------------------------------------------------------- */

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

/* The data of a request of `said` bytes. */
static int get_data(struct host_rndis_msg *m, const uint8_t *msg, size_t said,
		    uint32_t offset, uint32_t len, const char **why)
{
	if (!len)
		return 0;
	if (offset < RNDIS_REQUEST_HDR - BASE || said < BASE ||
	    offset > said - BASE || len > said - BASE - offset)
		return bad(why, "an RNDIS request with data outside of itself");
	m->data = msg + BASE + offset;
	m->len = len;
	return 0;
}

static int get_request(struct host_rndis_msg *m, struct rd *r,
		       const uint8_t *msg, size_t said, const char **why)
{
	uint32_t len, offset;

	m->oid = rd_le32(r);
	len = rd_le32(r);
	offset = rd_le32(r);
	rd_skip(r, 4);			/* VC handle */
	return r->bad ? 0 : get_data(m, msg, said, offset, len, why);
}

static int get_body(struct host_rndis_msg *m, struct rd *r, const uint8_t *msg,
		    size_t said, const char **why)
{
	m->rid = rd_le32(r);
	switch (m->type) {
	case RNDIS_INITIALIZE:
		rd_skip(r, 8);		/* version, always 1.0 */
		m->max_transfer = rd_le32(r);
		return 0;
	case RNDIS_QUERY:
	case RNDIS_SET:
		return get_request(m, r, msg, said, why);
	case RNDIS_HALT:
	case RNDIS_KEEPALIVE:
	case RNDIS_KEEPALIVE | RNDIS_COMPLETE:
		return 0;
	default:
		*why = "an RNDIS control message that guests do not send";
		return -EOPNOTSUPP;
	}
}

int host_rndis_get(struct host_rndis_msg *m, const void *buf, size_t len,
		   const char **why)
{
	struct rd r = rd_of(buf, len);
	uint32_t said;
	int err;

	*m = (struct host_rndis_msg){ .type = rd_le32(&r) };
	said = rd_le32(&r);
	if (r.bad || said > len || said < RNDIS_HDR)
		return bad(why, "an RNDIS message of an impossible length");
	r.left = said - RNDIS_HDR;
	err = get_body(m, &r, buf, said, why);
	if (r.bad)
		return bad(why, "an RNDIS message shorter than its type");
	return err;
}

void host_rndis_put_initialize(struct wr *w, uint32_t rid, uint32_t status,
			       const struct host_rndis_limits *l)
{
	wr_le32(w, RNDIS_INITIALIZE | RNDIS_COMPLETE);
	wr_le32(w, 52);
	wr_le32(w, rid);
	wr_le32(w, status);
	wr_le32(w, 1);			/* version 1.0 */
	wr_le32(w, 0);
	wr_le32(w, CONNECTIONLESS);
	wr_le32(w, MEDIUM_802_3);
	wr_le32(w, l->max_messages);
	wr_le32(w, l->max_transfer);
	wr_le32(w, l->align_log2);
	wr_zero(w, 8);			/* address families: none */
}

void host_rndis_put_query(struct wr *w, uint32_t rid, uint32_t status,
			  const void *data, size_t len)
{
	wr_le32(w, RNDIS_QUERY | RNDIS_COMPLETE);
	wr_le32(w, (uint32_t)(24 + len));
	wr_le32(w, rid);
	wr_le32(w, status);
	wr_le32(w, (uint32_t)len);
	wr_le32(w, 16);
	wr_bytes(w, data, len);
}

void host_rndis_put_done(struct wr *w, enum rndis_type type, uint32_t rid,
			 uint32_t status)
{
	wr_le32(w, type | RNDIS_COMPLETE);
	wr_le32(w, 16);
	wr_le32(w, rid);
	wr_le32(w, status);
}

void host_rndis_put_indicate(struct wr *w, uint32_t status, const void *data,
			     size_t len, bool uncounted)
{
	wr_le32(w, RNDIS_INDICATE);
	wr_le32(w, (uint32_t)(20 + (uncounted ? 0 : len)));
	wr_le32(w, status);
	wr_le32(w, (uint32_t)len);
	wr_le32(w, len ? 12 : 0);
	wr_bytes(w, data, len);
}

/* Frames ----------------------------------------------------------------- */

static void take_lso(struct host_rndis_frame *f, uint32_t word)
{
	f->has_lso = true;
	f->mss = word & 0xfffff;
	f->lso_l4 = word >> 20 & 0x3ff;
	f->lso_ipv6 = word >> 31;
}

static void take(struct host_rndis_frame *f, uint32_t type, uint32_t word)
{
	switch (type) {
	case RNDIS_PPI_CHECKSUM:
		f->has_sum = true;
		f->sum = word;
		break;
	case RNDIS_PPI_LSO:
		take_lso(f, word);
		break;
	case RNDIS_PPI_VLAN:
		f->has_vlan = true;
		f->vlan = (uint16_t)((word & 7) << 13 | (word & 8) << 9 |
				     (word >> 4 & 0xfff));
		break;
	case RNDIS_PPI_HASH_VALUE:
		f->has_hash = true;
		f->hash = word;
		break;
	}
}

/* One record of packet information; its size, or 0 when it is none. */
static uint32_t get_ppi(struct host_rndis_frame *f, const uint8_t *p,
			size_t len)
{
	struct rd r = rd_of(p, len);
	uint32_t size = rd_le32(&r), type = rd_le32(&r), at = rd_le32(&r);

	if (r.bad || size < RNDIS_PPI_HDR || size > len ||
	    at < RNDIS_PPI_HDR || at > size)
		return 0;
	if (size - at < 4)
		return size;		/* nothing that we know is so short */
	r = rd_of(p + at, 4);
	take(f, type, rd_le32(&r));
	return size;
}

static int get_ppis(struct host_rndis_frame *f, const uint8_t *p, size_t len,
		    const char **why)
{
	while (len) {
		uint32_t size = get_ppi(f, p, len);

		if (!size)
			return bad(why, "packet information of a wrong size");
		p += size;
		len -= size;
	}
	return 0;
}

/* Behind the header, inside the message? */
static bool inside(uint32_t at, uint32_t len, uint32_t said)
{
	return at >= PPI_AT && at <= said - BASE && len <= said - BASE - at;
}

int host_rndis_get_frame(struct host_rndis_frame *f, const void *buf,
			 size_t len, const char **why)
{
	struct rd r = rd_of(buf, len);
	uint32_t type = rd_le32(&r), said = rd_le32(&r);
	uint32_t at = rd_le32(&r), n = rd_le32(&r);
	uint32_t oob, ppi, ppi_len;
	const uint8_t *msg = buf;

	*f = (struct host_rndis_frame){ 0 };
	oob = rd_le32(&r);
	oob |= rd_le32(&r);
	oob |= rd_le32(&r);
	ppi = rd_le32(&r);
	ppi_len = rd_le32(&r);
	rd_skip(&r, 8);
	if (r.bad || said > len || said < RNDIS_PACKET_HDR || said > INT32_MAX)
		return bad(why, "a packet message of an impossible length");
	if (type != RNDIS_PACKET) {
		*why = "something else than a packet among packets";
		return -EOPNOTSUPP;
	}
	if (oob)
		return bad(why, "a packet with out-of-band data");
	if (!n || !inside(at, n, said) ||
	    (ppi_len && !inside(ppi, ppi_len, said)))
		return bad(why, "a packet with data outside of itself");
	f->data = msg + BASE + at;
	f->len = n;
	if (ppi_len && get_ppis(f, msg + BASE + ppi, ppi_len, why) < 0)
		return -EBADMSG;
	return (int)said;
}

static void put_ppi(struct wr *w, uint32_t type, uint32_t word)
{
	wr_le32(w, RNDIS_PPI_WORD);
	wr_le32(w, type);
	wr_le32(w, RNDIS_PPI_HDR);
	wr_le32(w, word);
}

static void put_ppis(struct wr *w, const struct host_rndis_frame *f)
{
	if (f->has_sum)
		put_ppi(w, RNDIS_PPI_CHECKSUM, f->sum);
	if (f->has_vlan)
		put_ppi(w, RNDIS_PPI_VLAN, (uint32_t)f->vlan >> 13 |
			(uint32_t)(f->vlan >> 12 & 1) << 3 |
			(uint32_t)(f->vlan & 0xfff) << 4);
	if (f->has_hash)
		put_ppi(w, RNDIS_PPI_HASH_VALUE, f->hash);
}

uint8_t *host_rndis_put_frame(struct wr *w, const struct host_rndis_frame *f,
			      const struct host_rndis_room *room)
{
	size_t ppis = ((size_t)f->has_sum + f->has_vlan + f->has_hash) *
		      RNDIS_PPI_WORD;
	size_t len = room->front + f->len, begin = w->len;
	uint8_t *to;

	if (room->front < RNDIS_PACKET_HDR + MOST_PPI) {
		w->bad = true;
		return NULL;
	}
	wr_le32(w, RNDIS_PACKET);
	wr_le32(w, room->length ? room->length : (uint32_t)len);
	wr_le32(w, room->front - BASE);
	wr_le32(w, (uint32_t)f->len);
	wr_zero(w, 12);
	wr_le32(w, ppis ? PPI_AT : 0);
	wr_le32(w, (uint32_t)ppis);
	wr_le32(w, room->reserved);
	wr_le32(w, room->reserved);
	put_ppis(w, f);
	wr_zero(w, room->front - (w->len - begin));
	to = wr_room(w, f->len);
	if (to && f->data)
		memcpy(to, f->data, f->len);
	return to;
}
