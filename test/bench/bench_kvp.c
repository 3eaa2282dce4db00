/* test/bench/bench_kvp.c - what a SET, a GET and a step of an ENUMERATE cost
 * the host, from its ring to the pool file and back.
 *
 * Three questions: does the cost grow with the number of keys (10,000 against
 * 10)? how much faster than Debian's hv_kvp_daemon is ours at 1,000 keys,
 * neither of them syncing? and what does it cost to make each SET durable,
 * which is our default?
 *
 * All guests run at the same time and are asked in turn, a batch each, for
 * many rounds; a result is the median of the batches' means. Host and guests
 * share one processor: an operation goes through three processes, and waking
 * an idle processor for each, which costs a virtual machine more than all the
 * rest, would hide what the programs themselves take. Where it is allowed they
 * also run before everybody else (SCHED_FIFO): on a busy machine each of the
 * hand-overs could otherwise wait for a stranger's time slice.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "kvp_rig.h"

enum { ROUNDS = 51 };

enum op { OP_SET, OP_GET, OP_ENUMERATE, N_OPS };

static const char *const op_names[N_OPS] = { "set", "get", "enumerate" };

enum { OURS_10, OURS_1000, OURS_10000, OURS_DURABLE, DEBIAN_1000, N_RUNS };

/* One daemon under measurement. */
static struct run {
	struct rig_cfg cfg;
	unsigned batch;			/* operations */
	struct rig *rig;
	unsigned next;			/* record, of the next operation */
	double us[N_OPS][ROUNDS];	/* a batch's mean */
} runs[N_RUNS] = {
	[OURS_10] = { .cfg = { .records = 10 }, .batch = 100 },
	[OURS_1000] = { .cfg = { .records = 1000 }, .batch = 100 },
	[OURS_10000] = { .cfg = { .records = 10000 }, .batch = 100 },
	[OURS_DURABLE] = { .cfg = { .records = 1000, .sync = true },
			   .batch = 4 },
	[DEBIAN_1000] = { .cfg = { .records = 1000, .daemon = RIG_DEBIAN },
			  .batch = 4 },
};

/* Keys are taken in an order that no read-ahead guesses; an enumeration goes
 * from record to record, as a host's does. */
static void make_request(struct host_kvp_msg *m, struct run *r, enum op op)
{
	static const uint8_t kvp_ops[N_OPS] = {
		[OP_SET] = KVP_SET, [OP_GET] = KVP_GET,
		[OP_ENUMERATE] = KVP_ENUMERATE,
	};
	unsigned i = r->next++ % r->cfg.records;

	m->op = kvp_ops[op];
	m->pool = KVP_POOL_EXTERNAL;
	m->index = i;
	m->item.type = KVP_TYPE_STRING;
	rig_key(m->item.key, i * 7919 % r->cfg.records);
	snprintf(m->item.value, sizeof(m->item.value), "changed %u", r->next);
}

static int batch(struct run *r, enum op op, double *us)
{
	uint64_t start = bench_now_ns();
	struct host_kvp_msg m;

	for (unsigned n = 0; n < r->batch; n++) {
		int err;

		make_request(&m, r, op);
		err = rig_ask(r->rig, &m);
		if (err) {
			fprintf(stderr, "bench_kvp: %s: %s\n", op_names[op],
				strerror(-err));
			return -1;
		}
	}
	*us = (double)(bench_now_ns() - start) / 1e3 / r->batch;
	return 0;
}

static int measure(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (enum op op = 0; op < N_OPS; op++) {
			for (struct run *r = runs; r < runs + N_RUNS; r++) {
				if (r->rig && batch(r, op, &r->us[op][round]))
					return -1;
			}
		}
	}
	return 0;
}

static double median_us(struct run *r, enum op op)
{
	return bench_median(r->us[op], ROUNDS);
}

static void print_growth(enum op op)
{
	double few = median_us(&runs[OURS_10], op);
	double many = median_us(&runs[OURS_10000], op);
	char name[64];

	snprintf(name, sizeof(name), "kvp %s, 10,000 keys / 10 keys",
		 op_names[op]);
	bench_print(&(struct bench_row) {
		.name = name, .unit = "us", .ours = many, .peer = few,
		.peer_name = "ours, 10 keys", .ratio = many / few,
		.sense = "<=", .bar = 1.5,
	});
}

static void print_peer(enum op op)
{
	double ours = median_us(&runs[OURS_1000], op);
	char name[64];
	double peer;

	snprintf(name, sizeof(name), "kvp %s, 1,000 keys, times faster",
		 op_names[op]);
	if (!runs[DEBIAN_1000].rig) {
		bench_skip(name, "Debian's hv_kvp_daemon is not in build/peers");
		return;
	}
	peer = median_us(&runs[DEBIAN_1000], op);
	bench_print(&(struct bench_row) {
		.name = name, .unit = "us", .ours = ours, .peer = peer,
		.peer_name = "Debian hv_kvp_daemon", .ratio = peer / ours,
		.sense = ">=", .bar = 20,
	});
}

static void print_durable(void)
{
	bench_print(&(struct bench_row) {
		.name = "kvp set, 1,000 keys, durable (the default)",
		.unit = "us", .ours = median_us(&runs[OURS_DURABLE], OP_SET),
		.peer = BENCH_NONE, .ratio = BENCH_NONE, .bar = BENCH_NONE,
	});
}

/* For us and everybody we start: the processor that we are on now, and nobody
 * else on it while we want it. */
static void share_one_processor(void)
{
	const struct sched_param first = { .sched_priority = 1 };
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu < 0 ? 0u : (unsigned)cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		perror("bench_kvp: sched_setaffinity");
	if (sched_setscheduler(0, SCHED_FIFO, &first) < 0)
		perror("bench_kvp: other programs may disturb: SCHED_FIFO");
}

static int start_all(const char *build)
{
	for (struct run *r = runs; r < runs + N_RUNS; r++) {
		if (r->cfg.daemon == RIG_DEBIAN && !rig_debian_present(build))
			continue;
		r->cfg.build = build;
		r->rig = rig_new(&r->cfg);
		if (!r->rig)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_kvp BUILD\n");
		return 2;
	}
	share_one_processor();
	err = start_all(argv[1]);
	if (!err)
		err = measure();
	for (enum op op = 0; !err && op < N_OPS; op++)
		print_growth(op);
	for (enum op op = 0; !err && op < N_OPS; op++)
		print_peer(op);
	if (!err)
		print_durable();
	for (struct run *r = runs; r < runs + N_RUNS; r++)
		rig_free(r->rig);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
