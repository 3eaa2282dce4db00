/* vmbus/packet.c - packet descriptors and their range lists. */
#include "vmbus/packet.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { PAGE = 4096, LEN8_MAX = 0xffff };

/* The types that a ring carries today; the others are historic. */
static bool type_ok(uint16_t type)
{
	return type >= PACKET_INBAND && type <= PACKET_COMPLETION;
}

int packet_get(struct packet *p, const void *buf, size_t len)
{
	const uint8_t *bytes = buf;
	size_t offset, total;
	uint16_t type, flags;
	uint64_t head, xact;

	if (len < PACKET_DESC)
		return -EBADMSG;
	memcpy(&head, bytes, 8);
	memcpy(&xact, bytes + 8, 8);
	head = le64toh(head);
	type = (uint16_t)head;
	offset = (size_t)(head >> 16 & 0xffff) * 8;
	total = (size_t)(head >> 32 & 0xffff) * 8;
	flags = (uint16_t)(head >> 48);

	if (total != len || offset < PACKET_DESC || offset > total)
		return -EBADMSG;
	if (!type_ok(type) || flags & ~PACKET_WANT_COMPLETION)
		return -EBADMSG;
	*p = (struct packet){
		.type = type,
		.flags = flags,
		.xact = le64toh(xact),
		.ranges = bytes + PACKET_DESC,
		.ranges_len = offset - PACKET_DESC,
		.data = bytes + offset,
		.len = total - offset,
	};
	return 0;
}

size_t packet_size(const struct packet *p)
{
	return PACKET_DESC + p->ranges_len + ((p->len + 7) & ~(size_t)7);
}

int packet_desc_put(uint8_t out[PACKET_DESC], const struct packet *p)
{
	size_t offset = PACKET_DESC + p->ranges_len;
	size_t total = packet_size(p);
	uint64_t word[2];

	if (p->ranges_len % 8 || total / 8 > LEN8_MAX || total < p->len)
		return -EMSGSIZE;
	word[0] = htole64(p->type | (uint64_t)(offset / 8) << 16 |
			  (uint64_t)(total / 8) << 32 |
			  (uint64_t)p->flags << 48);
	word[1] = htole64(p->xact);
	memcpy(out, word, sizeof(word));
	return 0;
}

void packet_put(struct wr *w, const struct packet *p)
{
	uint8_t desc[PACKET_DESC];

	if (packet_size(p) > w->left || packet_desc_put(desc, p) < 0) {
		w->bad = true;
		return;
	}
	wr_bytes(w, desc, sizeof(desc));
	wr_bytes(w, p->ranges, p->ranges_len);
	wr_bytes(w, p->data, p->len);
	wr_zero(w, -p->len & 7);
}

int packet_xfer_get(uint16_t *set_id, struct packet_xfer *x, unsigned max,
		    const struct packet *p)
{
	struct rd r = rd_of(p->ranges, p->ranges_len);
	uint32_t n;

	*set_id = rd_le16(&r);
	rd_skip(&r, 2);			/* reserved, may be garbage */
	n = rd_le32(&r);
	if (r.bad || n == 0 || n > max)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		x[i].len = rd_le32(&r);
		x[i].offset = rd_le32(&r);
	}
	return r.bad ? -EBADMSG : (int)n;
}

int packet_gpa_get(struct packet_gpa *g, unsigned max, const struct packet *p)
{
	struct rd r = rd_of(p->ranges, p->ranges_len);
	uint32_t n;

	rd_skip(&r, 4);			/* reserved, may be garbage */
	n = rd_le32(&r);
	if (r.bad || n == 0 || n > max)
		return -EBADMSG;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t pages;

		g[i].len = rd_le32(&r);
		g[i].offset = rd_le32(&r);
		if (r.bad || g[i].offset >= PAGE)
			return -EBADMSG;
		pages = ((uint64_t)g[i].offset + g[i].len + PAGE - 1) / PAGE;
		g[i].n_pfns = (unsigned)pages;
		g[i].pfns = rd_bytes(&r, (size_t)pages * 8);
	}
	return r.bad ? -EBADMSG : (int)n;
}
