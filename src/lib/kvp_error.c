#include "lib/kvp_error.h"

#include <hyperv/kvp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static _Thread_local char error_text[512];
static _Thread_local char quoted[160];

__attribute__((visibility("default"))) const char *hv_kvp_error(void)
{
	return error_text;
}

int kvp_fail(int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error_text, sizeof(error_text), fmt, ap);
	va_end(ap);
	return r;
}

const char *kvp_quote(const char *text)
{
	return log_quote(quoted, sizeof(quoted), text, strlen(text));
}
