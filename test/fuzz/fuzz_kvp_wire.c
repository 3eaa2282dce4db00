/* test/fuzz/fuzz_kvp_wire.c - a host's KVP request: read it, and write it back
 * as its own answer. The first byte chooses the version. */
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "ic/hv_utilreg.h"
#include "kvp/kvp_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_be_text(const char *s, size_t cap)
{
	size_t n = strnlen(s, cap);

	if (n == cap || !utf8_valid(s, n))
		abort();
}

static void check_text(const struct kvp_msg *m)
{
	if (m->op < KVP_GET_IP_INFO) {
		must_be_text(m->key, sizeof(m->key));
		must_be_text(m->value, sizeof(m->value));
		return;
	}
	must_be_text(m->ip.adapter_id, sizeof(m->ip.adapter_id));
	must_be_text(m->ip.addrs, sizeof(m->ip.addrs));
	must_be_text(m->ip.masks, sizeof(m->ip.masks));
	must_be_text(m->ip.gateways, sizeof(m->ip.gateways));
	must_be_text(m->ip.dns, sizeof(m->ip.dns));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kvp_msg m;
	uint32_t version;
	uint8_t *body;
	bool cut;

	if (!size)
		return 0;
	version = HV_IC_VERSION(data[0] % 2 ? 5 : 4, 0);
	size--;
	body = malloc(size ? size : 1);
	memcpy(body, data + 1, size);
	if (kvp_wire_get_request(&m, version, body, size) == 0) {
		check_text(&m);
		m.status = HV_S_OK;
		if (m.op == KVP_SET_IP_INFO)
			m.op = KVP_GET_IP_INFO;	/* has an answer to write */
		kvp_wire_put_answer(body, size, version, &m, &cut);
	}
	free(body);
	return 0;
}
