/* host/host_profile.h - host generations as data: which versions they speak,
 * in which order, how strictly they judge and how long they wait.
 */
#ifndef HOST_PROFILE_H
#define HOST_PROFILE_H

#include <stdbool.h>

#include "host/host_ic_wire.h"

enum host_xact {
	HOST_XACT_ZERO,		/* every request has id 0 */
	HOST_XACT_COUNT,	/* 1, 2, 3, ... 255, 1 */
};

/* What a host does in a backup, in its order. */
enum host_vss_step {
	HOST_VSS_CHECK,		/* could you be frozen? */
	HOST_VSS_DM_INFO,	/* directly mapped disks */
	HOST_VSS_FREEZE,
	HOST_VSS_HOLD,		/* it copies the disks */
	HOST_VSS_THAW,
	HOST_VSS_RECOVER,	/* unless the guest's flags say that it need not */
	HOST_VSS_COMPLETE,
	HOST_VSS_N_STEPS
};
enum { HOST_VSS_ORDER = 10 };

/* When a backup goes on offline: saved, copied, resumed. */
enum host_vss_offline {
	HOST_VSS_NEVER,		/* production only: it fails instead */
	HOST_VSS_NO_CHECK,	/* the guest cannot be asked, or says no to CHECK */
	HOST_VSS_NO_FREEZE,	/* ... or to FREEZE */
};

struct host_vss_manner {
	unsigned n_order;
	enum host_vss_step order[HOST_VSS_ORDER];
	uint32_t freeze_ms;	/* patience with FREEZE, */
	uint32_t other_ms;	/* ... and with everything else */
	bool thaw_refused;	/* THAW after the guest said no to FREEZE */
	bool thaw_unanswered;	/* ... or did not answer it */
	unsigned thaw_again;	/* how often after a failed THAW */
	enum host_vss_offline offline;
};

struct host_profile {
	const char *name, *about;
	struct host_versions vmbus;	/* any order; the guest picks one */
	/* In the order they are sent. A service without versions is not
	 * offered. */
	struct host_versions framework, kvp, vss;
	bool strict;
	enum host_xact xact;
	bool string_ip;		/* IP operations also below KVP 5.0 */
	bool push;		/* pool 3 and the administrator's items at connect */
	uint32_t negotiate_ms;	/* patience with a negotiation */
	uint32_t answer_ms;	/* ... and with a request */
	struct host_vss_manner backup;
};

/* All profiles, ends with a NULL name. The first is the default. */
extern const struct host_profile host_profiles[];

const struct host_profile *host_profile_find(const char *name);	/* or NULL */

#endif
