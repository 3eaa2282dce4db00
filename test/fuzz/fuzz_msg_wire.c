/* test/fuzz/fuzz_msg_wire.c - one control message. What reads well must write
 * to bytes that read the same, and write the same again. */
#include "vmbus/msg_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t put(uint8_t *out, const struct vmbus_msg *m)
{
	struct wr w = wr_of(out, VMBUS_MSG_MAX);

	msg_put(&w, m);
	if (w.bad)
		abort();
	return w.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t once[VMBUS_MSG_MAX], twice[VMBUS_MSG_MAX];
	struct vmbus_msg m;
	size_t len;

	if (msg_get(&m, data, size) < 0)
		return 0;
	len = put(once, &m);
	if (len > size || msg_get(&m, once, len) < 0)
		abort();
	if (put(twice, &m) != len || memcmp(once, twice, len))
		abort();
	return 0;
}
