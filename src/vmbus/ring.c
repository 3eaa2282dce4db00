/* vmbus/ring.c - the ring of a VMBus channel.
 *
 * All four control words share a cache line, so every look at the peer's index
 * costs a transfer between processors. Both ends therefore remember the index
 * they saw last and look again only when it says full or empty, and store
 * their own once a batch.
 *
 * Two races decide the barriers. Writer: store write_index, full fence, load
 * mask and read_index; reader: store mask or read_index, full fence, load
 * write_index. Whoever is second sees the other's store, so either the writer
 * signals or the reader does not sleep. The same with pending_send_sz and the
 * roles exchanged.
 */
#include "vmbus/ring.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { FEATURE_PENDING_SEND = 1 };

/* The control page. Words of both sides: only ever touched by atomics. */
struct ring_ctl {
	_Atomic uint32_t write_index;		/* the writer's */
	_Atomic uint32_t read_index;		/* the reader's */
	_Atomic uint32_t interrupt_mask;	/* the reader's */
	_Atomic uint32_t pending_send_sz;	/* the writer's */
	uint32_t reserved[12];
	_Atomic uint32_t feature_bits;		/* the writer's */
};

_Static_assert(offsetof(struct ring_ctl, feature_bits) == 64, "hv_ring_buffer");
_Static_assert(sizeof(_Atomic uint32_t) == 4, "plain 32-bit atomics");

static uint32_t load(_Atomic uint32_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void store(_Atomic uint32_t *word, uint32_t v)
{
	atomic_store_explicit(word, v, memory_order_release);
}

static void fence(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static bool index_ok(uint32_t index, uint32_t size)
{
	return index < size && index % 8 == 0;
}

static uint32_t used(uint32_t rd, uint32_t wr, uint32_t size)
{
	return wr >= rd ? wr - rd : size - rd + wr;
}

static uint32_t advance(uint32_t index, uint32_t by, uint32_t size)
{
	return by >= size - index ? by - (size - index) : index + by;
}

static int check_size(size_t len)
{
	if (len < 2 * RING_CTL || len % 4096 || len > UINT32_MAX)
		return -EINVAL;
	return 0;
}

int ring_tx_init(struct ring_tx *r, void *mem, size_t len)
{
	if (check_size(len) < 0)
		return -EINVAL;
	*r = (struct ring_tx){
		.ctl = mem,
		.data = (uint8_t *)mem + RING_CTL,
		.size = (uint32_t)len - RING_CTL,
	};
	store(&r->ctl->pending_send_sz, 0);
	store(&r->ctl->feature_bits, FEATURE_PENDING_SEND);
	store(&r->ctl->write_index, 0);
	return 0;
}

int ring_rx_init(struct ring_rx *r, void *mem, size_t len)
{
	if (check_size(len) < 0)
		return -EINVAL;
	*r = (struct ring_rx){
		.ctl = mem,
		.data = (const uint8_t *)mem + RING_CTL,
		.size = (uint32_t)len - RING_CTL,
	};
	store(&r->ctl->interrupt_mask, 1);
	store(&r->ctl->read_index, 0);
	return 0;
}

size_t ring_space(size_t len)
{
	return ((len + 7) & ~(size_t)7) + RING_TRAILER;
}

/* Small packets are most of them, and a call to memcpy would be most of their
 * cost: copy up to 128 bytes by 16, the last 16 over again. */
static inline void copy(uint8_t *dst, const void *from, size_t n)
{
	const uint8_t *src = from;

	if (n - 16 > 128 - 16) {
		if (n)
			memcpy(dst, src, n);
		return;
	}
	for (size_t i = 0; i < n - 16; i += 16)
		memcpy(dst + i, src + i, 16);
	memcpy(dst + n - 16, src + n - 16, 16);
}

/* The writer's side. */

static int look_at_reader(struct ring_tx *r)
{
	uint32_t rd = load(&r->ctl->read_index);

	if (!index_ok(rd, r->size))
		return -EBADMSG;
	r->rd = rd;
	return 0;
}

/* By what was last seen of the reader: it can only have moved on since. */
static bool fits(const struct ring_tx *r, size_t space)
{
	return r->size - used(r->rd, r->wr, r->size) > space;
}

int ring_fits(struct ring_tx *r, size_t len)
{
	if (fits(r, ring_space(len)))
		return 1;
	if (look_at_reader(r) < 0)
		return -EBADMSG;
	return fits(r, ring_space(len));
}

/* Copy to offset `at`, over the end if it comes to that; the offset after. */
static uint32_t copy_in(const struct ring_tx *r, uint32_t at, const void *src,
			size_t n)
{
	size_t to_end = r->size - at;

	if (n < to_end) {
		copy(r->data + at, src, n);
		return at + (uint32_t)n;
	}
	copy(r->data + at, src, to_end);
	copy(r->data, (const uint8_t *)src + to_end, n - to_end);
	return (uint32_t)(n - to_end);
}

/* The same for a packet that does not reach the end of the ring: no checks,
 * and the padding is written whole, below the last bytes. */
static void put_straight(struct ring_tx *r, const struct iovec *iov,
			 unsigned n, size_t space, uint64_t trailer)
{
	uint8_t *p = r->data + r->wr;

	memset(p + space - 16, 0, 8);
	memcpy(p + space - 8, &trailer, 8);
	for (unsigned i = 0; i < n; i++) {
		copy(p, iov[i].iov_base, iov[i].iov_len);
		p += iov[i].iov_len;
	}
	r->wr += (uint32_t)space;
}

static void put_around(struct ring_tx *r, const struct iovec *iov, unsigned n,
		       size_t space, uint64_t trailer)
{
	static const uint8_t zero[8];
	uint32_t at = r->wr;
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		at = copy_in(r, at, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	at = copy_in(r, at, zero, space - sizeof(trailer) - len);
	r->wr = copy_in(r, at, &trailer, sizeof(trailer));
}

int ring_put(struct ring_tx *r, const struct iovec *iov, unsigned n)
{
	uint64_t trailer = htole64((uint64_t)r->wr << 32);
	size_t len = 0, space;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	space = ring_space(len);
	if (space >= r->size)
		return -EMSGSIZE;
	if (!fits(r, space)) {
		if (look_at_reader(r) < 0)
			return -EBADMSG;
		if (!fits(r, space))
			return -EAGAIN;
	}
	if (len >= RING_PACKET_MIN && space < r->size - r->wr)
		put_straight(r, iov, n, space, trailer);
	else
		put_around(r, iov, n, space, trailer);
	return 0;
}

int ring_publish(struct ring_tx *r)
{
	uint32_t before = r->pub;

	if (r->wr == before)
		return 0;
	r->pub = r->wr;
	store(&r->ctl->write_index, r->wr);
	fence();
	if (load(&r->ctl->interrupt_mask))
		return 0;
	if (look_at_reader(r) < 0)
		return -EBADMSG;
	return r->rd == before;		/* it had read all there was */
}

int ring_block(struct ring_tx *r, size_t len)
{
	int ok;

	store(&r->ctl->pending_send_sz, (uint32_t)ring_space(len));
	fence();
	if (look_at_reader(r) < 0)
		return -EBADMSG;
	ok = fits(r, ring_space(len));
	if (ok)
		ring_unblock(r);
	return ok;
}

void ring_unblock(struct ring_tx *r)
{
	store(&r->ctl->pending_send_sz, 0);
}

/* The reader's side. */

static int look_at_writer(struct ring_rx *r)
{
	uint32_t wr = load(&r->ctl->write_index);

	if (!index_ok(wr, r->size))
		return -EBADMSG;
	r->wr = wr;
	return 0;
}

static void copy_out(const struct ring_rx *r, uint8_t *dst, size_t n)
{
	size_t to_end = r->size - r->rd;

	if (n <= to_end) {
		copy(dst, r->data + r->rd, n);
	} else {
		copy(dst, r->data + r->rd, to_end);
		copy(dst + to_end, r->data, n - to_end);
	}
}

/* The first 8 bytes of the next packet: indices are multiples of 8, so they
 * lie together and aligned, and one load sees one state of them. */
static uint64_t load_head(const struct ring_rx *r)
{
	const _Atomic uint64_t *at = (const void *)(r->data + r->rd);

	return atomic_load_explicit(at, memory_order_relaxed);
}

ssize_t ring_get(struct ring_rx *r, void *buf, size_t cap)
{
	uint32_t avail, len;
	uint64_t head;

	if (r->rd == r->wr) {
		if (look_at_writer(r) < 0)
			return -EBADMSG;
		if (r->rd == r->wr)
			return 0;
	}
	avail = used(r->rd, r->wr, r->size);
	head = load_head(r);
	len = (uint32_t)(le64toh(head) >> 32 & 0xffff) * 8;	/* len8 */
	if (len < RING_PACKET_MIN || len + RING_TRAILER > avail)
		return -EBADMSG;
	if (len > cap)
		return -ENOBUFS;
	copy_out(r, buf, len);
	memcpy(buf, &head, sizeof(head));
	r->rd = advance(r->rd, len + RING_TRAILER, r->size);
	return (ssize_t)len;
}

int ring_release(struct ring_rx *r)
{
	uint32_t freed = used(r->rel, r->rd, r->size);
	uint32_t pending, room;

	if (!freed)
		return 0;
	r->rel = r->rd;
	store(&r->ctl->read_index, r->rd);
	if (!(load(&r->ctl->feature_bits) & FEATURE_PENDING_SEND))
		return 0;
	fence();
	/* Some writers wait for "ring size - 1". */
	pending = load(&r->ctl->pending_send_sz) & ~(uint32_t)7;
	if (!pending)
		return 0;
	if (look_at_writer(r) < 0)
		return -EBADMSG;
	room = r->size - used(r->rd, r->wr, r->size);
	return room > pending && (freed > room || room - freed <= pending);
}

void ring_mask(struct ring_rx *r)
{
	store(&r->ctl->interrupt_mask, 1);
}

int ring_unmask(struct ring_rx *r)
{
	store(&r->ctl->interrupt_mask, 0);
	fence();
	if (look_at_writer(r) < 0)
		return -EBADMSG;
	return r->rd != r->wr;
}
