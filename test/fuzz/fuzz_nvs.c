/* test/fuzz/fuzz_nvs.c - what a host may send on a network channel: an NVSP
 * message, RNDIS control, a frame. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "hn/nvs_wire.h"
#include "hn/rndis_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void touch(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink = (uint8_t)(sink + p[i]);
}

static void one(uint8_t which, const uint8_t *msg, size_t size)
{
	struct rndis_control c;
	struct rndis_packet p;
	struct nvs_msg m;

	switch (which % 4) {
	case 0:
	case 1:
		if (nvs_get(&m, msg, size, which % 2 ? NVS_V6_1 : NVS_V5,
			    1 << 20) == 0 &&
		    m.type == NVS_RECV_BUF_COMPLETE &&
		    m.recv_buf.status == NVS_S_OK &&
		    (uint64_t)m.recv_buf.n_sections *
			    m.recv_buf.section_size > 1 << 20)
			abort();
		break;
	case 2:
		if (rndis_get_control(&c, msg, size) == 0)
			touch(c.data, c.len);
		break;
	case 3:
		if (rndis_get_packet(&p, msg, size) == 0)
			touch(p.frame, p.len);
		break;
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
