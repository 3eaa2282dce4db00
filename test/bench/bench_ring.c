/* test/bench/bench_ring.c - what the VMBus ring costs between two processes,
 * beside the least that could do the same work.
 *
 *   16 KiB packets   against memcpy into and out of a shared buffer of the same
 *                    size, cut into slots and handed over by two indices
 *   64-byte packets  against a bare single-producer queue: slots of 64 bytes,
 *                    indices on lines of their own, the other side's cached
 *
 * The ring shows and releases packets in batches, as channel.c does; the bare
 * queue each message by itself, which is what makes it bare, and in a row
 * without a bar in batches too.
 *
 * A child sends and we receive. Each side spins on what it waits for, and
 * gives up the processor after a while, the same way in every contest. All
 * contests take turns for ROUNDS rounds; a row holds medians.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmbus/packet.h"
#include "vmbus/ring.h"

enum {
	ROUNDS = 9,
	DATA = 256 * 1024,		/* bytes of ring data, or of slots */
	BIG = 16384, N_BIG = 40000,
	SMALL = 64, N_SMALL = 4000000,
	BATCH = 64,			/* as channel.c does */
};

/* Slots and two indices that only grow. */
struct queue {
	_Alignas(128) _Atomic uint64_t head;	/* the writer's */
	_Alignas(128) _Atomic uint64_t tail;	/* the reader's */
};

struct contest {
	size_t len;			/* bytes of one message */
	unsigned n;			/* messages a round */
	unsigned batch;			/* messages shown or released at once */
	bool (*send)(struct contest *c);	/* n messages; false: failed */
	bool (*receive)(struct contest *c);
	double rate[ROUNDS];		/* messages a second */
};

/* Shared with the child. */
static struct shared {
	struct queue queue;
	_Alignas(128) _Atomic unsigned start;	/* contests begun so far */
	_Alignas(4096) uint8_t ring[RING_CTL + DATA];
	_Alignas(4096) uint8_t slots[DATA];
} *shared;

static uint8_t source[BIG], sink[BIG + PACKET_DESC];

/* Wait a little, the longer the more politely. */
static void pause_once(unsigned *spins)
{
	if (++*spins % 4096 == 0)
		sched_yield();
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static bool ring_send(struct contest *c)
{
	uint8_t desc[PACKET_DESC];
	struct iovec iov[2] = { { desc, sizeof(desc) }, { source, c->len } };
	struct packet p = { .type = PACKET_INBAND, .data = source,
			    .len = c->len };
	struct ring_tx tx;
	unsigned spins = 0;

	if (ring_tx_init(&tx, shared->ring, sizeof(shared->ring)) < 0)
		return false;
	for (unsigned i = 0; i < c->n; ) {
		int err;

		memcpy(source, &i, sizeof(i));
		err = packet_desc_put(desc, &p);
		if (err == 0)
			err = ring_put(&tx, iov, 2);
		if (err == 0)
			i++;
		else if (err != -EAGAIN)
			return false;
		if (err == 0 && i % c->batch)
			continue;
		if (ring_publish(&tx) < 0)
			return false;
		if (err == -EAGAIN)
			pause_once(&spins);
	}
	return ring_publish(&tx) >= 0;
}

static bool ring_receive(struct contest *c)
{
	struct ring_rx rx;
	struct packet p;
	unsigned spins = 0, got = 0;

	memset(shared->ring, 0, RING_CTL);	/* as at each open */
	if (ring_rx_init(&rx, shared->ring, sizeof(shared->ring)) < 0)
		return false;
	atomic_fetch_add(&shared->start, 1);
	for (unsigned i = 0; i < c->n; ) {
		ssize_t len = ring_get(&rx, sink, sizeof(sink));

		if (len > 0) {
			if (packet_get(&p, sink, (size_t)len) < 0 ||
			    memcmp(p.data, &i, sizeof(i)) || p.len != c->len)
				return false;
			i++;
			if (++got % c->batch)
				continue;
		}
		if (len < 0 || ring_release(&rx) < 0)
			return false;
		if (len == 0)
			pause_once(&spins);
	}
	return true;
}

static bool queue_send(struct contest *c)
{
	struct queue *q = &shared->queue;
	uint64_t slots = DATA / c->len, tail = 0;
	unsigned spins = 0;

	for (uint64_t i = 0; i < c->n; i++) {
		memcpy(source, &(unsigned){ (unsigned)i }, sizeof(unsigned));
		while (i - tail == slots) {
			tail = atomic_load_explicit(&q->tail,
						    memory_order_acquire);
			if (i - tail == slots)
				pause_once(&spins);
		}
		memcpy(shared->slots + i % slots * c->len, source, c->len);
		if ((i + 1) % c->batch == 0 || i + 1 - tail == slots)
			atomic_store_explicit(&q->head, i + 1,
					      memory_order_release);
	}
	atomic_store_explicit(&q->head, c->n, memory_order_release);
	return true;
}

static bool queue_receive(struct contest *c)
{
	struct queue *q = &shared->queue;
	uint64_t slots = DATA / c->len, head = 0;
	unsigned spins = 0;

	atomic_store(&q->head, 0);
	atomic_store(&q->tail, 0);
	atomic_fetch_add(&shared->start, 1);
	for (uint64_t i = 0; i < c->n; i++) {
		while (i == head) {
			head = atomic_load_explicit(&q->head,
						    memory_order_acquire);
			if (i == head)
				pause_once(&spins);
		}
		memcpy(sink, shared->slots + i % slots * c->len, c->len);
		if ((i + 1) % c->batch == 0 || i + 1 == head)
			atomic_store_explicit(&q->tail, i + 1,
					      memory_order_release);
		if (memcmp(sink, &(unsigned){ (unsigned)i }, sizeof(unsigned)))
			return false;
	}
	return true;
}

static struct contest contests[] = {
	{ BIG, N_BIG, 1, ring_send, ring_receive, { 0 } },
	{ BIG, N_BIG, 1, queue_send, queue_receive, { 0 } },
	{ SMALL, N_SMALL, BATCH, ring_send, ring_receive, { 0 } },
	{ SMALL, N_SMALL, 1, queue_send, queue_receive, { 0 } },
	{ SMALL, N_SMALL, BATCH, queue_send, queue_receive, { 0 } },
};

enum { N_CONTESTS = sizeof(contests) / sizeof(contests[0]) };

/* The child: whenever the parent is ready to receive, send. */
static int send_all(void)
{
	unsigned spins = 0, begun = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < N_CONTESTS; i++) {
			while (atomic_load(&shared->start) == begun)
				pause_once(&spins);
			begun++;
			if (!contests[i].send(&contests[i]))
				return 1;
		}
	}
	return 0;
}

/* The time includes the child's notice of the start, some microseconds. */
static bool receive_all(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < N_CONTESTS; i++) {
			struct contest *c = &contests[i];
			uint64_t start = bench_now_ns();

			if (!c->receive(c))
				return false;
			c->rate[round] = c->n * 1e9 /
				(double)(bench_now_ns() - start);
		}
	}
	return true;
}

static void print_rows(void)
{
	double rate[N_CONTESTS];

	for (unsigned i = 0; i < N_CONTESTS; i++)
		rate[i] = bench_median(contests[i].rate, ROUNDS);
	bench_print(&(struct bench_row){
		"ring, 16 KiB packets", "MB/s", rate[0] * BIG / 1e6,
		rate[1] * BIG / 1e6, "memcpy, same buffer size",
		rate[0] / rate[1], ">=", 0.7 });
	bench_print(&(struct bench_row){
		"ring, 64-byte packets", "M/s", rate[2] / 1e6, rate[3] / 1e6,
		"bare queue", rate[2] / rate[3], ">=", 0.5 });
	bench_print(&(struct bench_row){
		"ring, 64-byte packets (2)", "M/s", rate[2] / 1e6, rate[4] / 1e6,
		"queue in batches too", rate[2] / rate[4], ">=", BENCH_NONE });
}

int main(void)
{
	pid_t child;
	bool ok;
	int status;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	memset(shared, 0, sizeof(*shared));	/* no page faults later */
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (child == 0)
		_exit(send_all());
	ok = receive_all();
	if (!ok)
		kill(child, SIGKILL);
	if (waitpid(child, &status, 0) < 0 || !ok || status) {
		fprintf(stderr, "bench_ring: a message was lost or broken\n");
		return 1;
	}
	print_rows();
	return 0;
}
