/* vmbus/guid.c - GUIDs and the service classes we know. */
#include "vmbus/guid.h"

#include <errno.h>
#include <string.h>

/* Arguments as in the text form: the first three fields are little endian. */
#define GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)			\
	{ { (a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff,		\
	    (a) >> 24 & 0xff, (b) & 0xff, (b) >> 8, (c) & 0xff,		\
	    (c) >> 8, d0, d1, d2, d3, d4, d5, d6, d7 } }

const struct guid guid_class_kvp = GUID(0xa9a0f4e7u, 0x5a45, 0x4d96,
	0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6);
const struct guid guid_class_vss = GUID(0x35fa2e29u, 0xea23, 0x4236,
	0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40);
const struct guid guid_class_shutdown = GUID(0x0e0b6031u, 0x5213, 0x4934,
	0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb);
const struct guid guid_class_heartbeat = GUID(0x57164f39u, 0x9115, 0x4e78,
	0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d);
const struct guid guid_class_timesync = GUID(0x9527e630u, 0xd0ae, 0x497b,
	0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf);
const struct guid guid_class_network = GUID(0xf8615163u, 0xdf3e, 0x46c5,
	0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e);
const struct guid guid_instance_kvp = GUID(0x242ff919u, 0x07db, 0x4180,
	0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55);

static const struct {
	const struct guid *class_id;
	const char *name;
} services[] = {
	{ &guid_class_kvp, "kvp" },
	{ &guid_class_vss, "vss" },
	{ &guid_class_shutdown, "shutdown" },
	{ &guid_class_heartbeat, "heartbeat" },
	{ &guid_class_timesync, "timesync" },
	{ &guid_class_network, "network" },
};

/* Byte of the GUID that each pair of digits in the text stands for. */
static const uint8_t text_order[16] = {
	3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15
};

static bool dash_before(unsigned pair)
{
	return pair == 4 || pair == 6 || pair == 8 || pair == 10;
}

char *guid_text(char out[GUID_TEXT], const struct guid *g)
{
	static const char digits[] = "0123456789abcdef";
	char *o = out;

	for (unsigned i = 0; i < 16; i++) {
		uint8_t b = g->b[text_order[i]];

		if (dash_before(i))
			*o++ = '-';
		*o++ = digits[b >> 4];
		*o++ = digits[b & 15];
	}
	*o = '\0';
	return out;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int guid_parse(struct guid *g, const char *text)
{
	bool braces = *text == '{';
	struct guid out;

	text += braces;
	for (unsigned i = 0; i < 16; i++) {
		int hi, lo;

		if (dash_before(i) && *text++ != '-')
			return -EINVAL;
		hi = hex(text[0]);
		lo = hi < 0 ? -1 : hex(text[1]);
		if (lo < 0)
			return -EINVAL;
		out.b[text_order[i]] = (uint8_t)(hi << 4 | lo);
		text += 2;
	}
	if (strcmp(text, braces ? "}" : ""))
		return -EINVAL;
	*g = out;
	return 0;
}

bool guid_equal(const struct guid *a, const struct guid *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

const char *guid_service(const struct guid *class_id)
{
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (guid_equal(services[i].class_id, class_id))
			return services[i].name;
	return NULL;
}
