/* host/host_vss.h - what a host does to back a running guest up: single
 * requests, and the whole of it as a snapshot.
 *
 *   check -> dm-info -> freeze -> hold -> thaw -> (auto-recover) -> complete
 *
 * Which of these steps a host takes, in which order, how long it waits and
 * what it does when the guest says no is data: struct host_vss_manner. One
 * snapshot is made at a time; single requests may be sent at any moment.
 */
#ifndef HOST_VSS_H
#define HOST_VSS_H

#include "host/host_ic.h"
#include "host/host_vss_wire.h"

struct host_vss;
struct host_vss_snapshot;

/* How a request ended. */
struct host_vss_result {
	int err;			/* of struct host_ic_answer */
	uint32_t status;		/* the guest's */
	const struct host_vss_msg *msg;	/* request, and of a good answer flags
					 * and cluster */
	uint64_t took_ms;
};
/* Everything in the result is valid during the call. */
typedef void (*host_vss_done)(void *arg, const struct host_vss_result *r);

/* A step of a snapshot. */
struct host_vss_took {
	enum host_vss_step step;
	bool ended;			/* false: it begins; err, status and
					 * took_ms say nothing yet */
	int err;
	uint32_t status;
	uint64_t at_ms;			/* since the snapshot began */
	uint64_t took_ms;
};

enum host_vss_outcome {
	HOST_VSS_PRODUCTION,	/* the guest was frozen all the while */
	HOST_VSS_OFFLINE,	/* it goes on without the guest's help */
	HOST_VSS_FAILED,
	HOST_VSS_ABANDONED,	/* frozen and forgotten, as asked */
};

enum { HOST_VSS_WHY = 160, HOST_VSS_TAKEN = 16 };

struct host_vss_verdict {
	enum host_vss_outcome outcome;
	char why[HOST_VSS_WHY];		/* a sentence, unless PRODUCTION */
	uint64_t took_ms;
	uint64_t frozen_ms;		/* from FREEZE's answer to THAW's */
	unsigned n;
	struct host_vss_took step[HOST_VSS_TAKEN];	/* as they ended */
};

struct host_vss_snapshot_cfg {
	const struct host_vss_manner *how;	/* NULL: the profile's */
	uint32_t hold_ms;	/* time to hold; with work: at least */
	bool work;		/* hold until host_vss_worked() */
	uint32_t work_ms;	/* patience with that; 0: any */
	bool no_thaw;		/* the host dies: end with the hold */
	uint32_t backup_type, flags;	/* of FREEZE */
	uint32_t n_luns;
	const struct host_vss_lun *luns;	/* copied */
	/* What goes wrong with the message of a step. */
	struct host_fault fault[HOST_VSS_N_STEPS];
	void (*progress)(void *arg, const struct host_vss_took *t);	/* or NULL */
	/* Called once, the last, never from inside host_vss_snapshot(). May
	 * be NULL. */
	void (*done)(void *arg, const struct host_vss_verdict *v);
	void *arg;
};

struct host_vss_stats {
	uint64_t outcome[HOST_VSS_ABANDONED + 1];	/* snapshots */
	uint64_t frozen_ms;		/* in all */
};

/* The ic must outlive it. NULL when out of memory. */
struct host_vss *host_vss_new(struct loop *l, struct host_ic *ic,
			      const struct host_vss_manner *how);
void host_vss_free(struct host_vss *v);		/* nobody is called; NULL is fine */

/* Its ic is no longer ready: whatever was frozen is not ours any more. */
void host_vss_lost(struct host_vss *v);

/* One request, whatever goes on. done may be NULL, else is called exactly
 * once, not from here. f may be NULL. 0, or as host_ic_ask(), host_vss_put(). */
int host_vss_request(struct host_vss *v, const struct host_vss_msg *m,
		     const struct host_fault *f, host_vss_done done, void *arg);
/* Whoever has this arg is not called any more: it goes away. */
void host_vss_forget(struct host_vss *v, const void *arg);

/* Make a snapshot. NULL with errno set: EBUSY one is being made; ENOMEM. It is
 * valid until done was called. A guest that cannot be asked is no error but a
 * verdict. */
struct host_vss_snapshot *
host_vss_snapshot(struct host_vss *v, const struct host_vss_snapshot_cfg *cfg);
/* What was to be done while the guest is frozen is done. failed: why not, a
 * sentence; NULL: well. May call progress and done. */
void host_vss_worked(struct host_vss_snapshot *s, const char *failed);
/* Give it up: thaw what is frozen, at once or when FREEZE was answered.
 * progress and done are not called any more. */
void host_vss_abandon(struct host_vss_snapshot *s, const char *why);

struct host_vss_snapshot *host_vss_running(struct host_vss *v);	/* or NULL */
/* The step it is at. */
enum host_vss_step host_vss_at(const struct host_vss_snapshot *s);

/* Does this host believe that the guest is frozen, and for how long? */
bool host_vss_frozen(const struct host_vss *v, uint64_t *for_ms);
/* The last snapshot's, NULL before the first. */
const struct host_vss_verdict *host_vss_last(const struct host_vss *v);
const struct host_vss_stats *host_vss_stats_get(const struct host_vss *v);

const char *host_vss_step_name(enum host_vss_step s);
int host_vss_step_find(const char *name);	/* or -ENOENT */
const char *host_vss_outcome_name(enum host_vss_outcome o);
/* "ok", a status, "timeout", ...: how a request ended. May point to a static
 * buffer that the next call overwrites. */
const char *host_vss_end_name(int err, uint32_t status);

#endif
