/* hn/hn.h - one synthetic NIC, from its offer to its frames: the channel
 * (hn/nvs.h), its control side (hn/rndis.h) and frames both ways (hn/hn_tx.h,
 * hn/hn_rx.h), joined.
 *
 *   absent --offered--> opening -> setting up -> up
 *                          ^                      |
 *                          +------ waiting <------+  anything that fails
 *
 * What fails is tried again, after pauses that grow from 1 s to 1 min; a
 * rescind ends it until the NIC is offered again. Why it last went down is
 * kept for people.
 *
 * It owns no interface: its user reads frames from somewhere, puts them here,
 * and gives it a sink for what comes in. How a VF beside it is treated is the
 * user's too (hn/vf.h); the functions for that are here.
 *
 * Callbacks may call anything here but hn_free().
 */
#ifndef HN_H
#define HN_H

#include "hn/hn_rx.h"
#include "hn/nvs.h"
#include "hn/rndis.h"

struct hn;

enum hn_state { HN_ABSENT, HN_OPENING, HN_SETUP, HN_UP, HN_WAITING };

enum {
	HN_MTU_MIN = 68, HN_MTU_MAX = 65521,
	HN_NETWORK_CHANGE_MS = 5000,	/* link down, then its true state */
	HN_RETRY_MS = 1000, HN_RETRY_MAX_MS = 60000,
};

struct hn_cfg {
	size_t ring_len;		/* each way, control page included */
	struct nvs_cfg nvs;
};

struct hn_ops {
	/* Frames may go. nic->mtu is what both the host and its send sections
	 * allow. Again after each down(). */
	void (*up)(void *arg, const struct rndis_nic *nic);
	void (*down)(void *arg, const char *why);
	/* Told when it changes; false at first, and while not up. */
	void (*link)(void *arg, bool up);
	/* There is room again after hn_room() gave none. */
	void (*writable)(void *arg);
	/* As in struct nvs_ops. */
	void (*vf)(void *arg, bool present, uint32_t serial);
	void (*path)(void *arg, enum nvs_path path, bool asked);
};

/* NULL when out of memory. The bus must outlive it. */
struct hn *hn_new(struct loop *l, struct bus *b, const struct hn_cfg *cfg,
		  const struct hn_ops *ops, void *arg);
/* An orderly end if it is up: no call. NULL is fine. */
void hn_free(struct hn *h);

/* What the bus says of this NIC: its offer, the answer to hn's own bus_open(),
 * its end, also with the whole bus's. */
void hn_offered(struct hn *h, uint32_t relid);
void hn_opened(struct hn *h, struct channel *c, int err);
void hn_rescinded(struct hn *h);

/* Administratively up: the host's filter lets frames for us in, or none. */
void hn_set_up(struct hn *h, bool up);
/* Everything comes in, also while down: what a VF is to have received. */
void hn_set_promiscuous(struct hn *h, bool on);
/* Say "link down" whatever the host says; off: what it says, asked anew. */
void hn_hide_link(struct hn *h, bool hide);
/* All is negotiated anew with this one. 0 or -EINVAL. */
int hn_set_mtu(struct hn *h, uint32_t mtu);
/* -errno as nvs_switch_path(); path() tells when the host confirms it. */
int hn_switch_path(struct hn *h, enum nvs_path path);
/* Where frames go from now on; NULL: nowhere. */
void hn_set_sink(struct hn *h, const struct hn_rx_sink *sink);

/* Sending, as hn/hn_tx.h has it. */
uint8_t *hn_room(struct hn *h, size_t *cap);
void hn_put(struct hn *h, size_t len);
void hn_flush(struct hn *h);

struct hn_status {
	enum hn_state state;
	const char *why;		/* it last went down; "" it never did */
	uint32_t version;		/* of NVSP; 0 none agreed */
	size_t section;			/* bytes, of the send buffer */
	uint32_t filter;		/* RNDIS_FILTER_* asked for */
	bool link, link_hidden, network_change;
	uint64_t ups, failures, rescinds;
};

void hn_status_get(const struct hn *h, struct hn_status *s);
const char *hn_state_name(enum hn_state s);
const struct rndis_nic *hn_nic(const struct hn *h);	/* NULL: not up */

/* Counters like ethtool's, over the whole life. */
struct hn_counter {
	const char *name;
	uint64_t value;
};

enum { HN_COUNTERS = 27 };

void hn_counters_get(const struct hn *h, struct hn_counter c[HN_COUNTERS]);

#endif
