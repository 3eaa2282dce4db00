/* base/utf16.c - UTF-16LE and UTF-8. libunistring does the converting; what is
 * ours is the byte order, the limits and the rule for lone surrogates. */
#include "base/utf16.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

enum { MAX_UNITS = 8192 };	/* the longest field of any message is 1024 */

static bool is_high(uint16_t u)
{
	return (u & 0xfc00) == 0xd800;
}

static bool is_low(uint16_t u)
{
	return (u & 0xfc00) == 0xdc00;
}

/* Put U+FFFD in the place of each surrogate that has no partner. */
static void replace_lone(uint16_t *u, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_high(u[i]) && i + 1 < n && is_low(u[i + 1]))
			i++;
		else if (is_high(u[i]) || is_low(u[i]))
			u[i] = 0xfffd;
	}
}

ssize_t utf16_to_utf8(char *dst, size_t cap, const void *src, size_t n_bytes,
		      enum utf16_rule rule)
{
	const uint8_t *b = src;
	uint16_t units[MAX_UNITS];
	size_t n = 0, len = cap ? cap - 1 : 0;
	uint8_t *out;

	if (!cap)
		return -EMSGSIZE;
	dst[0] = '\0';
	if (n_bytes / 2 > MAX_UNITS)
		return -EMSGSIZE;
	for (; n < n_bytes / 2; n++) {
		units[n] = (uint16_t)(b[2 * n] | b[2 * n + 1] << 8);
		if (!units[n])
			break;
	}
	if (n == n_bytes / 2 && n_bytes % 2 && rule == UTF16_STRICT)
		return -EILSEQ;
	if (rule == UTF16_REPLACE)
		replace_lone(units, n);
	if (!n)
		return 0;
	/* u16_to_u8() allocates instead of failing when dst is too small; tell
	 * that apart by the pointer. With no room at all there is no pointer. */
	if (u16_check(units, n))
		return -EILSEQ;
	if (!len)
		return -EMSGSIZE;
	out = u16_to_u8(units, n, (uint8_t *)dst, &len);
	if (out != (uint8_t *)dst) {
		int err = out ? EMSGSIZE : errno;

		free(out);
		dst[0] = '\0';
		return -err;
	}
	dst[len] = '\0';
	return (ssize_t)len;
}

ssize_t utf16_from_utf8(void *dst, size_t cap, const char *src)
{
	size_t src_len = strlen(src), n = MAX_UNITS;
	uint16_t units[MAX_UNITS], *out;
	uint8_t *b = dst;

	if (src_len > 3 * MAX_UNITS)
		return -EMSGSIZE;
	if (u8_check((const uint8_t *)src, src_len))
		return -EILSEQ;
	out = u8_to_u16((const uint8_t *)src, src_len, units, &n);
	if (out != units) {
		int err = out ? EMSGSIZE : errno;

		free(out);
		return -err;
	}
	if (2 * (n + 1) > cap)
		return -EMSGSIZE;
	for (size_t i = 0; i < n; i++) {
		b[2 * i] = (uint8_t)units[i];
		b[2 * i + 1] = (uint8_t)(units[i] >> 8);
	}
	b[2 * n] = b[2 * n + 1] = 0;
	return (ssize_t)(2 * (n + 1));
}

bool utf8_valid(const char *s, size_t n_bytes)
{
	return !u8_check((const uint8_t *)s, n_bytes);
}
