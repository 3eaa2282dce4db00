/* host/host_run_state.h - a scenario run as host_run.c drives it and
 * host_expect.c looks at it. Nobody else includes this.
 */
#ifndef HOST_RUN_STATE_H
#define HOST_RUN_STATE_H

#include "host/host_scenario_step.h"

/* How a request, walk or push ended. */
struct result {
	struct result *next;
	struct host_run *run;
	char as[STEP_NAME];
	bool done;
	int err;
	uint32_t status;
	uint64_t took_ms;
	json_t *item, *items, *ip;	/* what came back, or NULL */
	json_t *verdict;		/* of a snapshot; a request's flags */
};

enum verdict { WAIT, OK, FAIL };

struct host_run {
	struct host *host;
	const struct host_scenario *s;
	bool virtual_clock;
	struct host_run_cfg cfg;
	uint64_t seed;
	struct host_observer observer;
	int poke_fd, timer_fd;
	struct loop_io *poke_io, *timer_io;
	struct loop_timer clock;	/* "advance-ms" on a real clock */
	size_t at;			/* in s->order; n_order: the settling */
	bool started;			/* the step at `at` */
	bool elapsed;			/* the time it wanted has passed */
	bool out_of_patience;
	bool over;
	struct result *results;		/* the newest first */
	enum host_ic_id about;		/* the expectation looked at */
	char why[256];
};

/* Note why (what a failed step prints) and pass v on. */
enum verdict host_run_because(struct host_run *r, enum verdict v,
			      const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Is a step's "expect" fulfilled, contradicted, or still to be waited for? */
enum verdict host_run_expect(struct host_run *r, const json_t *expect);

/* The same for what the whole scenario requires, at its end. */
enum verdict host_run_require(struct host_run *r);

#endif
