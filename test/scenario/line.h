/* test/scenario/line.h - one service's way through one process: a simulated
 * host's IC, a real ring each way with real doorbells, the guest's IC. Several
 * lines may share a loop. What the host asks and the driver behind the
 * guest's end are the caller's.
 */
#ifndef TEST_SCENARIO_LINE_H
#define TEST_SCENARIO_LINE_H

#include "host/host_ic.h"
#include "ic/ic.h"

enum { LINE_RING = 20480 };

struct line_end {
	int wake_fd, peer_fd;		/* eventfds: ours, and the other's */
	struct channel *channel;
};

struct line {
	struct loop *loop;
	uint8_t *rings;			/* two of LINE_RING bytes */
	struct line_end host, guest;
	struct host_ic *host_ic;
	struct ic *ic;			/* the driver's */
	void (*on_ready)(void *arg), (*on_lost)(void *arg);
	void *arg;
	unsigned ready, violations;
	char violation[256];		/* the last */
};

/* The channel is closed; lists and limits are those of cfg. The callbacks may
 * be NULL. */
void line_init(struct line *l, struct loop *loop,
	       const struct host_ic_cfg *cfg, struct ic *ic);
void line_free(struct line *l);		/* before the ic */

void line_open(struct line *l);
void line_close(struct line *l);

/* Run everything that can run without time passing. */
void line_settle(struct loop *loop);

#endif
