/* test/fuzz/fuzz_host_ic.c - what a guest's packet may do to the host. */
#include <assert.h>
#include <stdint.h>

#include "host/host_ic_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct host_ic_choice c;
	struct host_ic_msg m;
	const char *why = NULL;

	if (host_ic_get(&m, data, size, &why) < 0) {
		assert(why);
		return 0;
	}
	assert(m.body >= data && m.body + m.body_len <= data + size);
	(void)host_ic_get_choice(&c, m.body, m.body_len);
	return 0;
}
