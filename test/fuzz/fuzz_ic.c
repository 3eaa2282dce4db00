/* test/fuzz/fuzz_ic.c - the guest's reading of an IC message. */
#include <errno.h>
#include <stdlib.h>

#include "ic/ic_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t own[] = { HV_IC_VERSION(3, 0),
					HV_IC_VERSION(1, 0) };
	struct rd r = rd_of(data, size);
	static struct ic_versions v;
	struct ic_hdr h;
	int err = ic_hdr_get(&h, &r);

	if (err == -EBADMSG)
		return 0;
	/* What is left is inside the message, whatever its headers say. */
	if (r.left > size - IC_WIRE_HDR || (!err && r.left != h.body_len))
		abort();
	if (ic_versions_get(&v, &r) == 0)
		ic_version_choose(own, 2, v.versions, v.n_versions);
	return 0;
}
