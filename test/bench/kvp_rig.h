/* test/bench/kvp_rig.h - a host in this process, and on its ring a guest of
 * two real ones: hv_utilsd, and a KVP daemon, ours or Debian's, with a pool of
 * a given size.
 *
 *   here: host_kvp -- ring -- hv_utilsd -- hv_kvp_dev -- hv_kvp_daemon
 */
#ifndef KVP_RIG_H
#define KVP_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "host/host_kvp_wire.h"

enum rig_daemon { RIG_OURS, RIG_DEBIAN };

struct rig_cfg {
	const char *build;		/* the build directory, absolute */
	enum rig_daemon daemon;
	bool sync;			/* ours: each change survives power loss */
	unsigned records;		/* in pool 0 when it starts */
};

struct rig;

/* Start the guest below a new directory in $TMPDIR and wait until it has
 * negotiated. NULL: it did not; why is on standard error. */
struct rig *rig_new(const struct rig_cfg *cfg);
void rig_free(struct rig *r);			/* NULL is fine */
/* Is Debian's daemon, unpacked by tools/peers.sh, there to be started? */
bool rig_debian_present(const char *build);

/* One request, and its answer, which the host has decoded and judged. 0, or
 * -errno: -ETIMEDOUT; -EIO the guest answered with a failure, which is on
 * standard error. */
int rig_ask(struct rig *r, const struct host_kvp_msg *m);
/* Record number i of pool 0 as rig_new() wrote it. */
void rig_key(char key[HOST_KVP_KEY_TEXT], unsigned i);

pid_t rig_utilsd_pid(const struct rig *r);
pid_t rig_daemon_pid(const struct rig *r);

#endif
