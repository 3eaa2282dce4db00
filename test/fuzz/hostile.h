/* test/fuzz/hostile.h - one end of a ring in the hands of a host that does
 * whatever the input says: good and bad packets, the rings' memory rewritten
 * under the guest, time. The guest's end is a channel and somebody's ic; what
 * its clients do is the caller's.
 *
 * Whatever happens, the guest may not send more answers than it got packets.
 */
#ifndef TEST_FUZZ_HOSTILE_H
#define TEST_FUZZ_HOSTILE_H

#include "ic/ic.h"
#include "vmbus/ring.h"

enum { HOSTILE_RING = 20480, HOSTILE_MAX = 13312, HOSTILE_STEPS = 256 };

struct hostile {
	struct loop *loop;
	struct ic *ic;
	size_t sizes[2];		/* of packets, by choice of the input */
	uint8_t *rings;			/* the guest's tx, then its rx */
	struct ring_tx to_guest;
	struct ring_rx from_guest;
	int wake_fd;
	struct channel *channel;
	uint64_t put, answers;
	bool poked;			/* the rings were tampered with */
};

/* The loop first, for the driver to be made with; then its ic and sizes. */
void hostile_init(struct hostile *h);
void hostile_start(struct hostile *h, struct ic *ic, size_t small, size_t large);
/* The input's steps; every eighth kind is the guest's clients'. */
void hostile_run(struct hostile *h, struct rd *r,
		 void (*clients)(void *arg, struct rd *r), void *arg);
void hostile_stop(struct hostile *h);	/* before the driver is freed */
void hostile_free(struct hostile *h);	/* after */

/* Up to want bytes of the input. */
const uint8_t *take(struct rd *r, size_t want, size_t *n);

#endif
