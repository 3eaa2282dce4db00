/* test/fuzz/fuzz_link_msg.c - what rtnetlink may say of a link. */
#include <stdlib.h>
#include <string.h>

#include "lagg/link_msg_linux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct link_msg m;
	uint8_t *exact = malloc(size ? size : 1);

	if (size)
		memcpy(exact, data, size);
	if (link_msg_get(&m, exact, size) == 0 &&
	    (!m.link.ifindex || (!m.gone && !m.link.name[0]) ||
	     strlen(m.link.name) >= LINK_NAME ||
	     strlen(m.parent) >= LINK_PARENT ||
	     (m.link.running && !m.link.up)))
		abort();
	free(exact);
	return 0;
}
