/* host/host_scenario.h - scenario files: steps that a host takes and what a
 * correct guest has to answer. The format is hvhost-scenario(5).
 *
 * A run is driven by events. It never blocks, and it takes its next step from
 * the loop, never from inside a call of somebody else's.
 */
#ifndef HOST_SCENARIO_H
#define HOST_SCENARIO_H

#include "host/host.h"

struct host_scenario;
struct host_run;

/* NULL and a sentence with file, step and member in err. */
struct host_scenario *host_scenario_load(const char *path, char *err,
					 size_t err_len);
void host_scenario_free(struct host_scenario *s);	/* NULL is fine */

const char *host_scenario_name(const struct host_scenario *s);
/* The profile to make the host with, the file's changes to it applied. */
const struct host_profile *host_scenario_profile(const struct host_scenario *s);

struct host_run_cfg {
	/* A virtual clock moves when everything has been quiet for so long in
	 * real time. 0: the caller knows and says host_run_idle(). */
	unsigned settle_ms;
	uint64_t seed;			/* 0: the file's, or 1 */
	void (*step)(void *arg, const char *label, const char *text,
		     const char *why);	/* why: NULL = ok; may be NULL */
	void (*done)(void *arg, bool passed);
	/* What the file says to whoever plays the guest: at the start, and at
	 * each "guest" step. May be NULL. */
	void (*guest)(void *arg, const json_t *guest);
	void *arg;
};

/* Start on a host made with the scenario's profile. Both must outlive the
 * run. NULL with errno set. */
struct host_run *host_run_new(struct host *h, const struct host_scenario *s,
			      bool virtual_clock,
			      const struct host_run_cfg *cfg);
void host_run_free(struct host_run *r);		/* NULL is fine */

/* Nothing is ready in the loop: true when the run went on because of that. */
bool host_run_idle(struct host_run *r);

uint64_t host_run_seed(const struct host_run *r);

#endif
