/* test/fuzz/fuzz_kvp_text.c - text that the daemon reads: the host's IP
 * settings, and the small files behind the automatic items.
 *
 * Byte 0 of the input says which; '\n\n' separates the parts that follow. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kvp/auto.h"
#include "kvp/ip_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_PARTS = 5 };

/* Cut text into parts in place; missing ones are "". */
static void split(char *text, char *parts[N_PARTS])
{
	for (unsigned i = 0; i < N_PARTS; i++) {
		char *end = strstr(text, "\n\n");

		parts[i] = text;
		text = end ? end + 2 : text + strlen(text);
		if (end)
			*end = '\0';
	}
}

static void take(char *dst, size_t cap, const char *src)
{
	size_t n = strnlen(src, cap - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
}

static void settings(char *parts[N_PARTS], uint8_t family)
{
	struct kvp_ip *ip = calloc(1, sizeof(*ip));
	char why[128];

	if (!ip)
		return;
	ip->family = family;
	take(ip->adapter_id, sizeof(ip->adapter_id), parts[0]);
	take(ip->addrs, sizeof(ip->addrs), parts[1]);
	take(ip->masks, sizeof(ip->masks), parts[2]);
	take(ip->gateways, sizeof(ip->gateways), parts[3]);
	take(ip->dns, sizeof(ip->dns), parts[4]);
	if (ip_info_check(ip, why, sizeof(why)) < 0 && !why[0])
		abort();
	free(ip);
}

static void files(char *parts[N_PARTS])
{
	char *out = malloc(64);

	if (!out)
		return;
	(void)os_release_get(parts[0], "NAME", out, 64);
	version_part(out, 64, parts[0], 0);
	version_part(out, 64, parts[0], 1);
	auto_fqdn(out, 64, parts[0], parts[1], parts[2]);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *parts[N_PARTS], *text;

	if (!size)
		return 0;
	text = malloc(size);
	if (!text)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	split(text, parts);
	if (data[0] & 0x80)
		files(parts);
	else
		settings(parts, data[0]);
	free(text);
	return 0;
}
