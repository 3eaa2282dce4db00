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
};

/* All profiles, ends with a NULL name. The first is the default. */
extern const struct host_profile host_profiles[];

const struct host_profile *host_profile_find(const char *name);	/* or NULL */

#endif
