/* base/utf16.h - UTF-16LE, which the host speaks, and UTF-8, which we do.
 * All planes; conversion by libunistring.
 */
#ifndef BASE_UTF16_H
#define BASE_UTF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum utf16_rule {
	UTF16_STRICT,		/* a lone surrogate is an error */
	UTF16_REPLACE,		/* ... becomes U+FFFD */
};

/* n_bytes of UTF-16LE, up to its first NUL unit, as NUL-terminated UTF-8 in
 * dst. Returns the bytes before the NUL; -EILSEQ lone surrogate or half a
 * unit (STRICT; with REPLACE half a unit is ignored); -EMSGSIZE does not fit
 * in cap, NUL included. dst is "" on error. */
ssize_t utf16_to_utf8(char *dst, size_t cap, const void *src, size_t n_bytes,
		      enum utf16_rule rule);

/* NUL-terminated UTF-8 as UTF-16LE with a NUL unit in dst, cap bytes long.
 * Returns the bytes written, NUL unit included; -EILSEQ not UTF-8 (surrogates
 * and overlong forms are not); -EMSGSIZE. */
ssize_t utf16_from_utf8(void *dst, size_t cap, const char *src);

bool utf8_valid(const char *s, size_t n_bytes);

#endif
