/* kvp/kvpd.h - the daemon's half of KVP: a request in, its answer out.
 *
 * Knows the pools, the automatic items and the machine's addresses, and
 * nothing of devices or sockets: prog/hv_kvp_daemon.c joins it to a driver.
 *
 * Statuses that the host gets:
 *   HV_S_OK                 done
 *   HV_S_CONT               no such key, or past the end of the pool
 *   HV_INVALIDARG           an empty key, a pool above 4, IP settings that
 *                           make no sense
 *   HV_GUID_NOTFOUND        an adapter that this machine does not have
 *   HV_ERROR_NOT_SUPPORTED  an unknown operation, SET_IP_INFO, a change of
 *                           the automatic items
 *   HV_E_FAIL               a pool could not be read or written
 */
#ifndef KVP_KVPD_H
#define KVP_KVPD_H

#include "kvp/auto.h"
#include "kvp/kvp_msg.h"
#include "kvp/pool.h"

struct kvpd;

struct kvpd_cfg {
	const char *state_dir;		/* NULL: POOL_DIR; not copied */
	bool no_sync;
	unsigned lock_timeout_ms;	/* 0: pool.h's default */
	mode_t external_mode;		/* of pool 0's file when we create it;
					 * 0: 0600, it may carry secrets */
	mode_t pool_mode;		/* of the others'; 0: 0644 */
	struct auto_cfg auto_items;
};

enum kvpd_outcome {
	KVPD_OK, KVPD_NOT_FOUND, KVPD_REFUSED, KVPD_FAILED, KVPD_N_OUTCOMES
};

struct kvpd_stats {
	uint64_t requests[KVP_N_OPS + 1];	/* the last: unknown ones */
	uint64_t outcomes[KVPD_N_OUTCOMES];
};

/* Opens all five pools and creates missing files; what is in them stays.
 * NULL with errno set, and *failed_pool the one that could not be opened. */
struct kvpd *kvpd_new(const struct kvpd_cfg *cfg, unsigned *failed_pool);
void kvpd_free(struct kvpd *d);			/* NULL is fine */

/* Turn the request in m into its answer. 0, or the -errno that stands behind
 * an answer of HV_E_FAIL, for the log. */
int kvpd_handle(struct kvpd *d, struct kvp_msg *m);
/* Answer a message that could not be decoded. */
void kvpd_refuse(struct kvpd *d, struct kvp_msg *m);

/* The driver's version, which becomes IntegrationServicesVersion. */
void kvpd_set_version(struct kvpd *d, const char *version);

void kvpd_stats_get(const struct kvpd *d, struct kvpd_stats *s);
const char *kvpd_outcome_name(enum kvpd_outcome o);
/* Records in a pool, or -errno; in KVP_POOL_AUTO the automatic items. */
ssize_t kvpd_count(struct kvpd *d, unsigned pool);
/* An automatic item: 0, or -ENOENT past the last. */
int kvpd_auto_at(struct kvpd *d, uint32_t index, struct kvp_msg *m);

#endif
