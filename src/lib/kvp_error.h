/* lib/kvp_error.h - the text behind a negative return value. */
#ifndef LIB_KVP_ERROR_H
#define LIB_KVP_ERROR_H

/* Keep the text for hv_kvp_error(); returns r. */
int kvp_fail(int r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* `text`, shortened and safe to print; good until the next call here. */
const char *kvp_quote(const char *text);

#endif
