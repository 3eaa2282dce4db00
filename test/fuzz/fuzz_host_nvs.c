/* test/fuzz/fuzz_host_nvs.c - what a guest may send on a network channel: an
 * NVSP message, RNDIS control, frames one behind the other. The first byte
 * chooses. */
#include <assert.h>
#include <stdlib.h>

#include "host/host_nvs_wire.h"
#include "host/host_rndis_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void frames(const uint8_t *p, size_t left)
{
	struct host_rndis_frame f;
	const char *why = NULL;

	while (left) {
		int n = host_rndis_get_frame(&f, p, left, &why);

		if (n < 0) {
			assert(why);
			return;
		}
		assert(n > 0 && (size_t)n <= left);
		assert(f.data > p && f.data + f.len <= p + n);
		p += n;
		left -= (size_t)n;
	}
}

static void one(uint8_t which, const uint8_t *p, size_t size)
{
	struct host_rndis_msg r;
	struct host_nvs_msg m;
	const char *why = NULL;

	switch (which % 3) {
	case 0:
		assert((host_nvs_get(&m, p, size, &why) == 0) == !why);
		break;
	case 1:
		if (host_rndis_get(&r, p, size, &why) < 0)
			assert(why);
		else if (r.data)
			assert(r.data > p && r.data + r.len <= p + size);
		break;
	default:
		frames(p, size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact;

	if (!size)
		return 0;
	exact = malloc(size);
	memcpy(exact, data + 1, size - 1);
	one(data[0], exact, size - 1);
	free(exact);
	return 0;
}
