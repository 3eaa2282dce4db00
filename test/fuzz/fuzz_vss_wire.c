/* test/fuzz/fuzz_vss_wire.c - a host's VSS request: read it, and lay its answer
 * over it. The first byte chooses the version. */
#include <stdlib.h>
#include <string.h>

#include "ic/hv_utilreg.h"
#include "vss/vss_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vss_msg m;
	uint8_t *body;

	if (!size)
		return 0;
	size--;
	body = malloc(size ? size : 1);
	memcpy(body, data + 1, size);
	if (vss_wire_get_request(&m, HV_IC_VERSION(data[0] % 9, 0), body,
				 size) == 0) {
		if (m.n_luns > VSS_MAX_LUNS || m.n_luns * VSS_LUN_SIZE > size)
			abort();
		if (vss_wire_put_answer(body, size, &m) > size)
			abort();
	}
	free(body);
	return 0;
}
