/* test/fuzz/fuzz_ring.c - both ends of a ring whose memory a hostile peer
 * rewrites between any two calls. The input is a list of steps: an opcode byte
 * and its operands. */
#include "vmbus/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/rd.h"

enum { DATA = 4096, STEPS = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void poke_word(uint8_t *mem, struct rd *r)
{
	static const uint16_t at[] = { 0, 4, 8, 12, 64 };
	unsigned which = rd_u8(r) % 5;
	uint32_t v = rd_le32(r);

	memcpy(mem + at[which], &v, 4);
}

static void poke_data(uint8_t *mem, struct rd *r)
{
	size_t at = rd_le16(r) % DATA, n = rd_u8(r);
	const uint8_t *bytes;

	if (n > r->left)
		n = r->left;
	if (n > DATA - at)
		n = DATA - at;
	bytes = rd_bytes(r, n);
	if (bytes && n)
		memcpy(mem + RING_CTL + at, bytes, n);
}

static void put(struct ring_tx *tx, struct rd *r)
{
	static uint8_t body[5000];
	size_t a = rd_u8(r), b = rd_le16(r) % sizeof(body);
	struct iovec iov[2] = { { body, a }, { body, b } };

	(void)ring_put(tx, iov, 2);
}

/* What is read must be what the copy says it is. */
static void get(struct ring_rx *rx, struct rd *r)
{
	size_t cap = (size_t)rd_le16(r) % (2 * DATA) + 1;
	uint8_t *buf = malloc(cap);
	ssize_t len = ring_get(rx, buf, cap);

	if (len > 0 && ((size_t)len > cap || len < 16 ||
			(size_t)(buf[4] | buf[5] << 8) * 8 != (size_t)len))
		abort();
	free(buf);
}

static void step(uint8_t *mem, struct ring_tx *tx, struct ring_rx *rx,
		 struct rd *r)
{
	switch (rd_u8(r) % 10) {
	case 0: poke_word(mem, r); break;
	case 1: poke_data(mem, r); break;
	case 2: put(tx, r); break;
	case 3: get(rx, r); break;
	case 4: (void)ring_publish(tx); break;
	case 5: (void)ring_release(rx); break;
	case 6: (void)ring_block(tx, rd_le16(r)); break;
	case 7: (void)ring_fits(tx, rd_le16(r)); break;
	case 8: (void)ring_unmask(rx); break;
	case 9: ring_mask(rx); break;
	}
	if (tx->wr >= DATA || tx->wr % 8 || rx->rd >= DATA || rx->rd % 8)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *mem = aligned_alloc(4096, RING_CTL + DATA);
	struct rd r = rd_of(data, size);
	struct ring_tx tx;
	struct ring_rx rx;

	memset(mem, 0, RING_CTL + DATA);
	if (ring_tx_init(&tx, mem, RING_CTL + DATA) < 0 ||
	    ring_rx_init(&rx, mem, RING_CTL + DATA) < 0)
		abort();
	for (unsigned n = 0; r.left && n < STEPS; n++)
		step(mem, &tx, &rx, &r);
	free(mem);
	return 0;
}
