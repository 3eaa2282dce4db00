/* test/fuzz/fuzz_packet.c - one packet as it came out of a ring. What reads
 * well must write back to the same bytes, but for its padding rules. */
#include "vmbus/packet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void walk_gpa(const struct packet_gpa *g, int n)
{
	for (int i = 0; i < n; i++) {
		struct rd r = rd_of(g[i].pfns, (size_t)g[i].n_pfns * 8);

		for (unsigned k = 0; k < g[i].n_pfns; k++)
			sink += rd_le64(&r);
		if (r.bad)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet_xfer x[32];
	struct packet_gpa g[32];
	struct packet p;
	uint16_t set;
	uint8_t *out;
	struct wr w;

	if (packet_get(&p, data, size) < 0)
		return 0;
	if (packet_xfer_get(&set, x, 32, &p) > 0)
		sink += x[0].len;
	walk_gpa(g, packet_gpa_get(g, 32, &p));
	if (packet_size(&p) != size)
		abort();
	out = malloc(size);
	w = wr_of(out, size);
	packet_put(&w, &p);
	if (w.bad || memcmp(out, data, size))
		abort();
	free(out);
	return 0;
}
