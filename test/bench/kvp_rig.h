/* test/bench/kvp_rig.h - a KVP daemon, ours or Debian's, with a pool of a
 * given size, and somebody who asks it as the host would.
 */
#ifndef KVP_RIG_H
#define KVP_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "kvp/kvp_msg.h"

enum rig_daemon { RIG_OURS, RIG_DEBIAN };

struct rig_cfg {
	const char *build;		/* the build directory */
	enum rig_daemon daemon;
	bool sync;			/* ours: each change survives power loss */
	unsigned records;		/* in pool 0 when it starts */
};

struct rig;

/* Start the daemon below a new temporary directory and wait until it has
 * registered. NULL: it could not be; why is on standard error. */
struct rig *rig_new(const struct rig_cfg *cfg);
void rig_free(struct rig *r);			/* NULL is fine */
/* Is Debian's daemon, unpacked by tools/peers.sh, there to be started? */
bool rig_debian_present(const char *build);

/* One request and its answer. 0; -ETIMEDOUT; -EPIPE the daemon died. */
int rig_ask(struct rig *r, const struct kvp_msg *request,
	    struct kvp_msg *answer);
/* Record number i of pool 0 as rig_new() wrote it. */
void rig_key(char key[KVP_KEY_SIZE], unsigned i);

pid_t rig_daemon_pid(const struct rig *r);

#endif
