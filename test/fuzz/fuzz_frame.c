/* test/fuzz/fuzz_frame.c - frames that nobody checked: those of the guest's
 * users on their way out (prepared or cut), those of the host on their way in
 * (joined). The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "hn/gro.h"
#include "hn/offload.h"
#include "hn/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *exact(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (len)
		memcpy(copy, p, len);
	return copy;
}

static void to_host(const struct vnet_hdr *h, const uint8_t *p, size_t len,
		    bool sums)
{
	uint8_t *copy = exact(p, len), *frame = copy;
	struct rndis_meta m;

	(void)offload_to_host(&m, &frame, &len, h, sums);
	free(copy);
}

/* Every payload byte is in one piece, and no piece is larger than asked. */
static void cut(const struct vnet_hdr *h, const uint8_t *p, size_t len,
		size_t max, bool gso)
{
	uint8_t *copy = exact(p, len), *out = malloc(max + 1);
	struct vnet_hdr piece;
	struct segment s;
	size_t n, payload = 0;

	if (segment_begin(&s, copy, len, h, max, gso) == 0) {
		while ((n = segment_next(&s, out, &piece))) {
			if (n > max || n <= s.head)
				abort();
			payload += n - s.head;
			to_host(&piece, out, n, gso);
		}
		if (payload != s.payload)
			abort();
	}
	free(copy);
	free(out);
}

static void emitted(void *arg, uint8_t *buf, size_t len, unsigned n)
{
	unsigned *total = arg;

	if (len > OFFLOAD_VNET_HDR + FRAME_MAX || !n)
		abort();
	free(exact(buf, len));
	*total += n;
}

/* What is taken comes out, once. */
static void join(struct rd *r)
{
	unsigned out = 0, taken = 0;
	struct gro *g = gro_new(emitted, &out);
	const uint8_t *p;
	uint8_t *copy;
	size_t len;

	while (r->left) {
		int tci = rd_u8(r) & 1 ? 5 : -1;

		len = rd_u8(r);
		len = len < r->left ? len : r->left;
		p = rd_bytes(r, len);
		copy = exact(p, len);
		taken += gro_take(g, copy, len, tci);
		free(copy);
	}
	gro_flush(g);
	if (out != taken)
		abort();
	gro_free(g);
}

static void from_host(const struct vnet_hdr *h, const uint8_t *p, size_t len)
{
	struct rndis_meta m = {
		.has_checksum = true, .checksum = h->csum_start,
	};
	uint8_t *copy = exact(p, len);
	struct vnet_hdr out;

	offload_to_guest(&out, copy, len, &m);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_of(data, size);
	uint8_t which = rd_u8(&r);
	uint8_t raw[OFFLOAD_VNET_HDR];
	struct vnet_hdr h;

	if (which % 4 == 3) {
		join(&r);
		return 0;
	}
	rd_copy(&r, raw, sizeof(raw));
	if (r.bad)
		return 0;
	vnet_get(&h, raw);
	if (which % 4 == 0)
		to_host(&h, r.p, r.left, which & 4);
	else if (which % 4 == 1)
		cut(&h, r.p, r.left, which * 4u, which & 4);
	else
		from_host(&h, r.p, r.left);
	return 0;
}
