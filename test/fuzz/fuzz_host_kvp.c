/* test/fuzz/fuzz_host_kvp.c - a guest's answer to each KVP operation. The
 * first byte picks operation, version and strictness, the rest is the body. */
#include <assert.h>
#include <stdint.h>

#include "base/utf16.h"
#include "host/host_kvp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t cap)
{
	size_t n = strnlen(s, cap);

	assert(n < cap && utf8_valid(s, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_kvp_msg m;
	const char *why = NULL;

	if (!size)
		return 0;
	m = (struct host_kvp_msg){ .op = data[0] & 7 };
	(void)host_kvp_peek(&m, data + 1, size - 1,
			    data[0] & 8 ? 0x50000 : 0x40000, &why);
	m = (struct host_kvp_msg){ .op = data[0] & 7 };
	why = NULL;
	if (host_kvp_get(&m, data + 1, size - 1,
			 data[0] & 8 ? 0x50000 : 0x40000, data[0] & 16,
			 &why) < 0) {
		assert(why);
		return 0;
	}
	if (m.op == KVP_GET_IP_INFO) {
		check_text(m.ip.addrs, sizeof(m.ip.addrs));
		check_text(m.ip.masks, sizeof(m.ip.masks));
		check_text(m.ip.gateways, sizeof(m.ip.gateways));
		check_text(m.ip.dns, sizeof(m.ip.dns));
	} else {
		check_text(m.item.key, sizeof(m.item.key));
		check_text(m.item.value, sizeof(m.item.value));
	}
	return 0;
}
