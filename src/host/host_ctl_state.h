/* host/host_ctl_state.h - what the files of the control socket share. Nobody
 * else includes this.
 */
#ifndef HOST_CTL_STATE_H
#define HOST_CTL_STATE_H

#include "base/ctl.h"
#include "host/host_ctl.h"

struct host_ctl {
	struct host *host;
	struct ctl *ctl;
	bool virtual_clock;
	struct host_observer observer;
	struct pending *pending;	/* host_ctl.c */
	uint64_t snapshots;		/* that were asked for */
};

/* Replies, new references. */
json_t *host_ctl_refused(const char *result, const char *text);
json_t *host_ctl_ended(int err);	/* of struct host_ic_answer */
/* The request's member is not what it should be. */
json_t *host_ctl_bad_member(const json_t *request, const char *member);

/* Commands of host_ctl_vss.c. */
json_t *host_ctl_vss_request(void *hc, struct ctl_conn *c, json_t *r);
json_t *host_ctl_vss_snapshot(void *hc, struct ctl_conn *c, json_t *r);
json_t *host_ctl_vss_worked(void *hc, struct ctl_conn *c, json_t *r);

#endif
