/* base/wr.h - write little-endian fields into a buffer of fixed size.
 *
 * The mirror of base/rd.h: a write past the end makes the writer bad and
 * changes nothing, so an encoder is a list of fields and one check. The
 * writer never owns the buffer.
 */
#ifndef BASE_WR_H
#define BASE_WR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wr {
	uint8_t *p;		/* next byte */
	size_t left;		/* room from p to the end */
	size_t len;		/* bytes written so far */
	bool bad;		/* somebody wrote past the end */
};

static inline struct wr wr_of(void *buf, size_t cap)
{
	return (struct wr){ .p = buf, .left = cap };
}

/* Room for n bytes that the caller fills in, or NULL when there is less. */
static inline uint8_t *wr_room(struct wr *w, size_t n)
{
	uint8_t *p = w->p;

	if (w->bad || n > w->left) {
		w->bad = true;
		return NULL;
	}
	if (n)
		w->p += n;
	w->left -= n;
	w->len += n;
	return p;
}

static inline void wr_bytes(struct wr *w, const void *src, size_t n)
{
	uint8_t *p = wr_room(w, n);

	if (p && n)
		memcpy(p, src, n);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_room(w, n);

	if (p && n)
		memset(p, 0, n);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	wr_bytes(w, &v, 1);
}

static inline void wr_le16(struct wr *w, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_le32(struct wr *w, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
			 (uint8_t)(v >> 24) };

	wr_bytes(w, b, sizeof(b));
}

static inline void wr_le64(struct wr *w, uint64_t v)
{
	wr_le32(w, (uint32_t)v);
	wr_le32(w, (uint32_t)(v >> 32));
}

#endif
