/* test/fuzz/fuzz_host_vss.c - a guest's answer to each VSS operation, and a
 * trace's request. The first byte picks operation and strictness, the rest is
 * the body. */
#include <assert.h>
#include <stdint.h>

#include "host/host_vss_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_vss_msg m;
	static uint8_t out[VSS_MSG_MAX];
	struct wr w = wr_of(out, sizeof(out));
	const char *why = NULL;

	if (!size)
		return 0;
	m = (struct host_vss_msg){ .op = data[0] & 15 };
	if (host_vss_get(&m, data + 1, size - 1, data[0] & 16, &why) < 0)
		assert(why);
	assert(m.n_luns <= VSS_MAX_LUNS);
	why = NULL;
	if (host_vss_peek(&m, data + 1, size - 1, &why) < 0) {
		assert(why);
		return 0;
	}
	/* What could be read can be written. */
	assert(host_vss_put(&w, &m, 0x70000) == 0);
	return 0;
}
