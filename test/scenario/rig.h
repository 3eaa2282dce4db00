/* test/scenario/rig.h - the whole KVP path in one process: the simulated
 * host's half, a real ring each way with real doorbells, the driver, and a
 * daemon that the test plays. Time is the test's to move.
 */
#ifndef TEST_SCENARIO_RIG_H
#define TEST_SCENARIO_RIG_H

#include "host/host_kvp.h"
#include "kvp/kvp.h"
#include "line.h"

struct rig {
	struct loop *loop;
	struct line line;		/* the host's half is its host_ic */
	struct host_kvp *host_kvp;
	/* the driver, and the daemon as the test plays it */
	struct kvp *kvp;
	enum kvp_form form;
	unsigned asked;			/* messages the daemon got since registering */
	struct kvp_msg request;		/* the last */
	bool daemon_deaf;		/* its queue is full */
	/* how the host's last request ended */
	unsigned answers;
	int err;
	uint32_t status;
	struct host_kvp_msg answer;
};

/* NULL profile: the default one. The channel is open, nothing has run yet. */
struct rig *rig_new(const char *profile, bool push);
void rig_free(struct rig *g);

/* Run everything that can run without time passing; then let time pass. */
void rig_settle(struct rig *g);
void rig_advance(struct rig *g, uint64_t ms);

/* Close the channel at both ends and open it again. */
void rig_reopen(struct rig *g);

/* The daemon's part. */
void rig_daemon_opens(struct rig *g);
void rig_daemon_registers(struct rig *g, enum kvp_form form);
void rig_daemon_replies(struct rig *g, uint32_t status, const char *key,
			const char *value);
void rig_daemon_dies(struct rig *g);

/* The host asks; g->answers counts up when it knows how that ended. */
void rig_host_asks(struct rig *g, unsigned op, unsigned pool, const char *key,
		   const char *value, const struct host_fault *f);
void rig_host_sends(struct rig *g, const struct host_kvp_msg *m,
		    const struct host_fault *f);

#endif
