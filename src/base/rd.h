/* base/rd.h - read little-endian fields from a private copy of a message.
 *
 * The reader remembers a short read: the first read past the end makes it bad
 * and every later read gives 0, so a decoder is a plain list of fields with
 * one check of `bad` at its end. It never owns the bytes it reads.
 */
#ifndef BASE_RD_H
#define BASE_RD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rd {
	const uint8_t *p;	/* next byte */
	size_t left;		/* bytes from p to the end */
	bool bad;		/* somebody read past the end */
};

static inline struct rd rd_of(const void *buf, size_t len)
{
	return (struct rd){ .p = buf, .left = len };
}

/* The next n bytes in place, or NULL when there are fewer (now bad). */
static inline const uint8_t *rd_bytes(struct rd *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || n > r->left) {
		r->bad = true;
		return NULL;
	}
	if (n)
		r->p += n;
	r->left -= n;
	return p;
}

static inline void rd_skip(struct rd *r, size_t n)
{
	(void)rd_bytes(r, n);
}

/* Copy n bytes to dst; dst is all zero when there are fewer. */
static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	if (p && n)
		memcpy(dst, p, n);
	else if (n)
		memset(dst, 0, n);
}

static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 1);

	return p ? p[0] : 0;
}

static inline uint16_t rd_le16(struct rd *r)
{
	const uint8_t *p = rd_bytes(r, 2);

	return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static inline uint32_t rd_le32(struct rd *r)
{
	uint32_t lo = rd_le16(r);

	return lo | (uint32_t)rd_le16(r) << 16;
}

static inline uint64_t rd_le64(struct rd *r)
{
	uint64_t lo = rd_le32(r);

	return lo | (uint64_t)rd_le32(r) << 32;
}

#endif
