/* host/host_scenario_step.h - a scenario as host_scenario.c has read it and
 * host_run.c runs it. Nobody else includes this. */
#ifndef HOST_SCENARIO_STEP_H
#define HOST_SCENARIO_STEP_H

#include "host/host_scenario.h"

enum step_kind {
	STEP_EXPECT,		/* nothing but an expectation */
	STEP_REQUEST,		/* one KVP message: step->msg */
	STEP_WALK,		/* enumerate step->pool to its end */
	STEP_PUSH,
	STEP_VSS,		/* one VSS message: step->vss */
	STEP_SNAPSHOT,		/* step->snapshot */
	STEP_WORKED,		/* what it held for is done; step->why */
	STEP_ABANDON,		/* the snapshot; step->why */
	STEP_ADVANCE,		/* step->value ms */
	STEP_WAIT,		/* for step->value, enum wait_for, of step->ic */
	STEP_RESCIND,		/* step->ic, and so on down to ring */
	STEP_OFFER,
	STEP_NEGOTIATE,
	STEP_REFUSE,		/* opens get status step->value, 0: no more */
	STEP_KICK,
	STEP_RING,		/* step->ring, step->value */
	STEP_RESTART,
	STEP_ITEM_SET,		/* step->msg.item */
	STEP_ITEM_DELETE,
	STEP_POLL,		/* step->value ms */
	STEP_GUEST,		/* step->guest is for whoever plays the guest */
	STEP_SETTLE,		/* implied at the end */
};

enum wait_for {
	WAIT_GUEST, WAIT_GONE, WAIT_OPEN, WAIT_CLOSED, WAIT_READY, WAIT_PUSHED,
	WAIT_IDLE, WAIT_FROZEN, WAIT_THAWED,
};

/* A snapshot's settings, with what they point to. */
struct step_snapshot {
	struct host_vss_snapshot_cfg cfg;
	struct host_vss_manner how;
	struct host_vss_msg msg;
};

enum { STEP_TEXT = 96, STEP_NAME = 32, STEP_LABEL = 24 };

struct step {
	enum step_kind kind;
	char text[STEP_TEXT];		/* for people */
	char as[STEP_NAME];		/* name of the result, may be "" */
	enum host_ic_id ic;
	uint8_t pool;
	uint64_t value;
	uint64_t within_ms;		/* patience in real time; 0: usual */
	enum host_ring_fault ring;
	bool has_versions, random_fault;
	struct host_versions framework, message;
	struct host_fault fault;
	struct host_kvp_msg *msg;	/* owned; NULL if not of use; these too: */
	struct host_vss_msg *vss;
	struct step_snapshot *snapshot;
	const struct host_vss_manner *how;	/* the profile's, of the file */
	const char *why;		/* into the document; may be NULL */
	const json_t *guest;
	const json_t *expect;		/* into the scenario's document */
};

/* One entry a step to run; those of "repeat" appear several times. */
struct order {
	size_t step;
	char label[STEP_LABEL];		/* "3", "4.1 round 2" */
};

struct host_scenario {
	json_t *doc;
	const char *name;
	struct host_profile profile;
	enum host_ic_id ic;		/* that is meant unless one is named */
	uint64_t seed;
	const json_t *items, *ip_at_connect, *require, *guest;
	uint32_t poll_ms;
	size_t n_steps, cap_steps;
	struct step *steps;
	size_t n_order, cap_order;
	struct order *order;
};

/* Is this an expectation that host_run.c understands? NULL, or the member that
 * it does not. */
const char *host_run_check_expect(const json_t *expect);

#endif
