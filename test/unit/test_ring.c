/* test/unit/test_ring.c - the ring's bytes, its signalling rules, and what a
 * hostile peer can write into it. Offsets are written out as numbers: they are
 * the contract with the other side. */
#include "vmbus/ring.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WRITE_INDEX = 0, READ_INDEX = 4, MASK = 8, PENDING = 12, FEATURES = 64 };

struct rig {
	uint8_t *mem;
	size_t len;
	struct ring_tx tx;
	struct ring_rx rx;
};

static void rig_open(struct rig *g, size_t data)
{
	g->len = 4096 + data;
	g->mem = aligned_alloc(4096, g->len);
	assert_non_null(g->mem);
	memset(g->mem, 0, g->len);
	assert_int_equal(ring_tx_init(&g->tx, g->mem, g->len), 0);
	assert_int_equal(ring_rx_init(&g->rx, g->mem, g->len), 0);
}

static void rig_close(struct rig *g)
{
	free(g->mem);
}

static uint32_t word(struct rig *g, size_t at)
{
	uint32_t v;

	memcpy(&v, g->mem + at, 4);
	return v;
}

static void poke(struct rig *g, size_t at, uint32_t v)
{
	memcpy(g->mem + at, &v, 4);
}

/* A packet of len bytes (multiple of 8, at least 16): descriptor, pattern. */
static void fill(uint8_t *p, size_t len, unsigned seed)
{
	memset(p, 0, 16);
	p[0] = 6;
	p[2] = 2;
	p[4] = (uint8_t)(len / 8);
	p[5] = (uint8_t)(len / 8 >> 8);
	for (size_t i = 16; i < len; i++)
		p[i] = (uint8_t)(i * 7 + seed);
}

static int put(struct rig *g, size_t len, unsigned seed)
{
	uint8_t p[16384];
	struct iovec iov = { p, len };

	fill(p, len, seed);
	return ring_put(&g->tx, &iov, 1);
}

static void get(struct rig *g, size_t len, unsigned seed)
{
	uint8_t want[16384], *got = malloc(len);

	fill(want, len, seed);
	assert_int_equal(ring_get(&g->rx, got, len), len);
	assert_memory_equal(got, want, len);
	free(got);
}

/* Move both ends to where `index` is the next byte. */
static void wind_to(struct rig *g, uint32_t index)
{
	while (g->tx.wr != index) {
		uint32_t left = (index + g->tx.size - g->tx.wr) % g->tx.size;
		uint32_t len = left - 8 < 2048 ? left - 8 : 2048;

		if (left - 8 - len && left - 8 - len < 24)
			len -= 24;
		assert_int_equal(put(g, len, 0), 0);
		assert_true(ring_publish(&g->tx) >= 0);
		get(g, len, 0);
		assert_true(ring_release(&g->rx) >= 0);
	}
}

static void the_control_page_and_a_packet_are_laid_out_as_specified(void **state)
{
	static const uint8_t desc[16] = { 6, 0, 2, 0, 3, 0, 0, 0, 9 };
	static const uint8_t body[5] = { 1, 2, 3, 4, 5 };
	static const uint8_t want[32] = {
		6, 0, 2, 0, 3, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
		1, 2, 3, 4, 5, 0, 0, 0,		/* padded */
		0, 0, 0, 0, 0x20, 0, 0, 0,	/* trailer: starts at 32 */
	};
	struct iovec iov[2] = { { (void *)desc, 16 }, { (void *)body, 5 } };
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	assert_int_equal(word(&g, FEATURES), 1);
	memset(g.mem + 4096, 0xff, 4096);
	assert_int_equal(ring_put(&g.tx, iov, 2), 0);
	assert_int_equal(ring_put(&g.tx, iov, 2), 0);
	assert_int_equal(word(&g, WRITE_INDEX), 0);
	ring_publish(&g.tx);
	assert_int_equal(word(&g, WRITE_INDEX), 64);
	assert_memory_equal(g.mem + 4096 + 32, want, 32);
	assert_int_equal(g.mem[4096 + 64], 0xff);
	rig_close(&g);
}

static void refuses_impossible_sizes(void **state)
{
	static const size_t bad[] = { 0, 8, 4096, 4104, 8192 + 8,
				      (size_t)1 << 32 };
	struct ring_tx tx;
	struct ring_rx rx;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(ring_tx_init(&tx, NULL, bad[i]), -EINVAL);
		assert_int_equal(ring_rx_init(&rx, NULL, bad[i]), -EINVAL);
	}
}

static void carries_packets_over_every_wrap_position(void **state)
{
	static const size_t sizes[] = { 4096, 12288 };
	struct rig g;

	(void)state;
	for (size_t s = 0; s < 2; s++) {
		rig_open(&g, sizes[s]);
		for (uint32_t back = 8; back <= 96; back += 8) {
			wind_to(&g, (uint32_t)sizes[s] - back);
			assert_int_equal(put(&g, 16, back), 0);
			assert_int_equal(put(&g, 72, back + 1), 0);
			assert_true(ring_publish(&g.tx) >= 0);
			get(&g, 16, back);
			get(&g, 72, back + 1);
			assert_int_equal(ring_get(&g.rx, g.mem, 16), 0);
			assert_int_equal(ring_release(&g.rx), 0);
		}
		rig_close(&g);
	}
}

static void gathers_pieces_across_the_wrap(void **state)
{
	uint8_t p[104], got[104];
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	fill(p, sizeof(p), 3);
	for (size_t a = 1; a < sizeof(p); a++) {
		struct iovec iov[3] = { { p, a }, { NULL, 0 },
					{ p + a, sizeof(p) - a } };

		wind_to(&g, 4096 - 64);
		assert_int_equal(ring_put(&g.tx, iov, 3), 0);
		assert_true(ring_publish(&g.tx) >= 0);
		assert_int_equal(ring_get(&g.rx, got, sizeof(got)), sizeof(p));
		assert_memory_equal(got, p, sizeof(p));
		assert_int_equal(ring_release(&g.rx), 0);
	}
	rig_close(&g);
}

static void eight_bytes_always_stay_free(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g, 12288);
	for (uint32_t at = 0; at < 12288; at += 1024) {
		wind_to(&g, at);
		/* 8 bytes more than ever fits, then the biggest fill. */
		assert_int_equal(put(&g, 12288 - 8, 1), -EMSGSIZE);
		assert_int_equal(put(&g, 12288 - 16, 1), 0);
		assert_int_equal(put(&g, 16, 1), -EAGAIN);
		assert_true(ring_publish(&g.tx) >= 0);
		get(&g, 12288 - 16, 1);
		assert_int_equal(put(&g, 16, 1), -EAGAIN);
		assert_int_equal(ring_release(&g.rx), 0);
		assert_int_equal(put(&g, 16, 2), 0);
		assert_true(ring_publish(&g.tx) >= 0);
		get(&g, 16, 2);
		assert_int_equal(ring_release(&g.rx), 0);
	}
	rig_close(&g);
}

static void nothing_is_seen_before_it_is_published(void **state)
{
	uint8_t buf[64];
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	assert_int_equal(put(&g, 24, 1), 0);
	assert_int_equal(ring_get(&g.rx, buf, sizeof(buf)), 0);
	ring_publish(&g.tx);
	get(&g, 24, 1);
	rig_close(&g);
}

/* The writer's decision: mask clear and the reader at the old write index. */
static void signals_new_data_only_to_a_reader_that_may_sleep(void **state)
{
	static const struct { bool masked, was_empty; int signal; } rows[] = {
		{ false, true, 1 }, { false, false, 0 },
		{ true, true, 0 }, { true, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct rig g;

		rig_open(&g, 4096);
		if (!rows[i].was_empty) {
			assert_int_equal(put(&g, 16, 0), 0);
			ring_publish(&g.tx);
		}
		if (rows[i].masked)
			ring_mask(&g.rx);
		else
			assert_int_equal(ring_unmask(&g.rx), !rows[i].was_empty);
		assert_int_equal(put(&g, 16, 0), 0);
		assert_int_equal(put(&g, 16, 0), 0);
		assert_int_equal(ring_publish(&g.tx), rows[i].signal);
		assert_int_equal(ring_publish(&g.tx), 0);	/* nothing new */
		rig_close(&g);
	}
}

static void a_batch_is_judged_by_the_last_publish(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	assert_int_equal(ring_unmask(&g.rx), 0);
	assert_int_equal(put(&g, 16, 0), 0);
	assert_int_equal(put(&g, 16, 1), 0);
	assert_int_equal(ring_publish(&g.tx), 1);
	get(&g, 16, 0);
	assert_int_equal(ring_release(&g.rx), 0);
	/* One of the two is read: the reader is awake. */
	assert_int_equal(put(&g, 16, 2), 0);
	assert_int_equal(ring_publish(&g.tx), 0);
	get(&g, 16, 1);
	get(&g, 16, 2);
	/* All read but not released: as good as awake. */
	assert_int_equal(put(&g, 16, 3), 0);
	assert_int_equal(ring_publish(&g.tx), 0);
	assert_int_equal(ring_unmask(&g.rx), 1);
	rig_close(&g);
}

static void unmasking_looks_again(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	ring_mask(&g.rx);
	assert_int_equal(word(&g, MASK), 1);
	assert_int_equal(ring_unmask(&g.rx), 0);
	assert_int_equal(word(&g, MASK), 0);
	ring_mask(&g.rx);
	assert_int_equal(put(&g, 16, 0), 0);
	assert_int_equal(ring_publish(&g.tx), 0);
	assert_int_equal(ring_unmask(&g.rx), 1);
	rig_close(&g);
}

/* The reader's decision, by room before and after and what is waited for.
 * 4096 bytes hold 42 packets of 96 bytes and 64 bytes more. */
static void signals_room_only_when_it_becomes_enough(void **state)
{
	static const struct {
		uint32_t features, pending;
		unsigned got;		/* packets of 96 bytes, at once */
		int signal;
	} rows[] = {
		{ 1, 0, 1, 0 },		/* nobody waits */
		{ 1, 96, 1, 1 },	/* 64 -> 160: enough now */
		{ 1, 152, 1, 1 },
		{ 1, 159, 1, 1 },	/* low bits do not count */
		{ 1, 160, 1, 0 },	/* 160 > 160 is false */
		{ 1, 160, 2, 1 },
		{ 1, 56, 1, 0 },	/* there was enough before */
		{ 1, 64, 1, 1 },
		{ 1, 4095, 42, 1 },	/* "ring size - 1": when empty */
		{ 1, 4095, 41, 0 },
		{ 1, 4096, 42, 0 },	/* can never be */
		{ 1, 7, 1, 0 },
		{ 1, 0xffffffff, 42, 0 },
		{ 0, 96, 1, 0 },	/* the writer does not wait this way */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig g;

		rig_open(&g, 4096);
		wind_to(&g, 1000);
		for (unsigned n = 0; n < 42; n++)
			assert_int_equal(put(&g, 88, n), 0);
		assert_int_equal(put(&g, 88, 0), -EAGAIN);
		assert_true(ring_publish(&g.tx) >= 0);
		poke(&g, FEATURES, rows[i].features);
		poke(&g, PENDING, rows[i].pending);
		for (unsigned n = 0; n < rows[i].got; n++)
			get(&g, 88, n);
		assert_int_equal(ring_release(&g.rx), rows[i].signal);
		assert_int_equal(ring_release(&g.rx), 0);
		rig_close(&g);
	}
}

static void the_mask_has_no_part_in_signals_for_room(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	ring_mask(&g.rx);
	while (put(&g, 1016, 5) == 0)
		;
	ring_publish(&g.tx);
	assert_int_equal(ring_block(&g.tx, 1016), 0);
	assert_int_equal(word(&g, PENDING), 1024);
	get(&g, 1016, 5);
	assert_int_equal(ring_release(&g.rx), 1);
	rig_close(&g);
}

static void blocking_looks_again(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	while (put(&g, 1016, 5) == 0)
		;
	ring_publish(&g.tx);
	get(&g, 1016, 5);
	assert_int_equal(ring_release(&g.rx), 0);
	assert_int_equal(ring_block(&g.tx, 1016), 1);
	assert_int_equal(word(&g, PENDING), 0);
	rig_close(&g);
}

static const uint32_t bad_indices[] = {
	1, 2, 4, 7, 12, 4095, 4096, 4104, 0x7ffffff8, 0x80000000, 0xfffffff8,
	0xffffffff,
};

static void an_impossible_read_index_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_indices) / sizeof(uint32_t); i++) {
		struct rig g;

		rig_open(&g, 4096);
		poke(&g, MASK, 0);
		poke(&g, READ_INDEX, bad_indices[i]);
		assert_int_equal(ring_block(&g.tx, 16), -EBADMSG);
		assert_int_equal(put(&g, 16, 0), 0);	/* need not look */
		assert_int_equal(ring_publish(&g.tx), -EBADMSG);
		while (put(&g, 1016, 0) == 0)
			;
		assert_int_equal(put(&g, 1016, 0), -EBADMSG);
		rig_close(&g);
	}
}

static void an_impossible_write_index_is_refused(void **state)
{
	uint8_t buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad_indices) / sizeof(uint32_t); i++) {
		struct rig g;

		rig_open(&g, 4096);
		poke(&g, WRITE_INDEX, bad_indices[i]);
		assert_int_equal(ring_get(&g.rx, buf, 64), -EBADMSG);
		assert_int_equal(ring_unmask(&g.rx), -EBADMSG);
		rig_close(&g);
	}
}

static void lengths_that_the_ring_does_not_hold_are_refused(void **state)
{
	static const struct { uint32_t wr, len8; ssize_t want; } rows[] = {
		{ 8, 2, -EBADMSG },		/* not even a descriptor */
		{ 16, 2, -EBADMSG },		/* no trailer */
		{ 24, 2, 16 },
		{ 24, 0, -EBADMSG },
		{ 24, 1, -EBADMSG },
		{ 24, 3, -EBADMSG },		/* longer than what is there */
		{ 24, 0xffff, -EBADMSG },
		{ 4088, 510, 4080 },
		{ 4088, 511, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[4096];
		struct rig g;

		rig_open(&g, 4096);
		poke(&g, 4096, 6 | 2 << 16);
		poke(&g, 4100, rows[i].len8);
		poke(&g, WRITE_INDEX, rows[i].wr);
		assert_int_equal(ring_get(&g.rx, buf, sizeof(buf)),
				 rows[i].want);
		rig_close(&g);
	}
}

static void a_packet_too_big_for_the_buffer_stays(void **state)
{
	uint8_t *small = malloc(24);
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	assert_int_equal(put(&g, 32, 9), 0);
	ring_publish(&g.tx);
	assert_int_equal(ring_get(&g.rx, small, 24), -ENOBUFS);
	get(&g, 32, 9);
	free(small);
	rig_close(&g);
}

static void changes_to_our_own_indices_are_not_believed(void **state)
{
	struct rig g;

	(void)state;
	rig_open(&g, 4096);
	assert_int_equal(put(&g, 32, 1), 0);
	ring_publish(&g.tx);
	poke(&g, READ_INDEX, 40);	/* the reader's, from the writer's side */
	get(&g, 32, 1);
	assert_int_equal(ring_release(&g.rx), 0);
	assert_int_equal(word(&g, READ_INDEX), 40);
	poke(&g, WRITE_INDEX, 4000);	/* the writer's, from the reader's */
	assert_int_equal(put(&g, 32, 2), 0);
	ring_publish(&g.tx);
	assert_int_equal(word(&g, WRITE_INDEX), 80);
	get(&g, 32, 2);
	rig_close(&g);
}

/* Two threads, a small ring, sleeping by the rules and by nothing else: a lost
 * signal hangs (the test runner's time limit ends it). */

struct doorbell {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool rung;
};

static void ring_bell(struct doorbell *d)
{
	pthread_mutex_lock(&d->lock);
	d->rung = true;
	pthread_cond_signal(&d->cond);
	pthread_mutex_unlock(&d->lock);
}

static void await_bell(struct doorbell *d)
{
	pthread_mutex_lock(&d->lock);
	while (!d->rung)
		pthread_cond_wait(&d->cond, &d->lock);
	d->rung = false;
	pthread_mutex_unlock(&d->lock);
}

struct pair {
	struct rig g;
	struct doorbell to_reader, to_writer;
	unsigned total;
	unsigned slept_writer, slept_reader;
	bool bad;
};

static size_t length_of(unsigned seq)
{
	return 16 + seq * 2654435761u % 60 * 8;
}

static int put_seq(struct ring_tx *tx, unsigned seq)
{
	uint8_t p[512];
	struct iovec iov = { p, length_of(seq) };

	memset(p, 0, 16);
	p[0] = 6;
	p[2] = 2;
	p[4] = (uint8_t)(iov.iov_len / 8);
	memcpy(p + 8, &seq, 4);
	return ring_put(tx, &iov, 1);
}

static void *writer(void *arg)
{
	struct pair *x = arg;

	for (unsigned seq = 0; seq < x->total; ) {
		int err = put_seq(&x->g.tx, seq);

		if (err == -EAGAIN) {
			if (ring_publish(&x->g.tx) == 1)
				ring_bell(&x->to_reader);
			err = ring_block(&x->g.tx, length_of(seq));
			if (err == 0) {
				x->slept_writer++;
				await_bell(&x->to_writer);
				ring_unblock(&x->g.tx);
			}
		} else if (err == 0) {
			if (++seq % 16 == 0 || seq == x->total)
				if (ring_publish(&x->g.tx) == 1)
					ring_bell(&x->to_reader);
		}
		if (err < 0 && err != -EAGAIN) {
			x->bad = true;
			break;
		}
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct pair *x = arg;
	unsigned seq = 0;

	while (seq < x->total) {
		uint8_t p[512];
		uint32_t got;
		ssize_t len = ring_get(&x->g.rx, p, sizeof(p));

		if (len > 0) {
			memcpy(&got, p + 8, 4);
			x->bad |= got != seq || (size_t)len != length_of(seq);
			seq++;
			if (seq % 8)
				continue;
		}
		if (ring_release(&x->g.rx) == 1)
			ring_bell(&x->to_writer);
		if (len > 0)
			continue;
		if (len < 0) {
			x->bad = true;
			break;
		}
		if (ring_unmask(&x->g.rx) == 0) {
			x->slept_reader++;
			await_bell(&x->to_reader);
		}
		ring_mask(&x->g.rx);
	}
	return NULL;
}

static void no_signal_is_lost_between_two_threads(void **state)
{
	struct pair x = { .total = 1000000 };
	pthread_t w, r;

	(void)state;
	rig_open(&x.g, 12288);
	pthread_mutex_init(&x.to_reader.lock, NULL);
	pthread_mutex_init(&x.to_writer.lock, NULL);
	pthread_cond_init(&x.to_reader.cond, NULL);
	pthread_cond_init(&x.to_writer.cond, NULL);
	assert_int_equal(pthread_create(&r, NULL, reader, &x), 0);
	assert_int_equal(pthread_create(&w, NULL, writer, &x), 0);
	pthread_join(w, NULL);
	pthread_join(r, NULL);
	assert_false(x.bad);
	/* Otherwise it proved nothing. */
	assert_true(x.slept_writer + x.slept_reader > 0);
	rig_close(&x.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_control_page_and_a_packet_are_laid_out_as_specified),
		cmocka_unit_test(refuses_impossible_sizes),
		cmocka_unit_test(carries_packets_over_every_wrap_position),
		cmocka_unit_test(gathers_pieces_across_the_wrap),
		cmocka_unit_test(eight_bytes_always_stay_free),
		cmocka_unit_test(nothing_is_seen_before_it_is_published),
		cmocka_unit_test(signals_new_data_only_to_a_reader_that_may_sleep),
		cmocka_unit_test(a_batch_is_judged_by_the_last_publish),
		cmocka_unit_test(unmasking_looks_again),
		cmocka_unit_test(signals_room_only_when_it_becomes_enough),
		cmocka_unit_test(the_mask_has_no_part_in_signals_for_room),
		cmocka_unit_test(blocking_looks_again),
		cmocka_unit_test(an_impossible_read_index_is_refused),
		cmocka_unit_test(an_impossible_write_index_is_refused),
		cmocka_unit_test(lengths_that_the_ring_does_not_hold_are_refused),
		cmocka_unit_test(a_packet_too_big_for_the_buffer_stays),
		cmocka_unit_test(changes_to_our_own_indices_are_not_believed),
		cmocka_unit_test(no_signal_is_lost_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
