/* hn/vf.h - the VF of one NIC: when traffic goes through it, and when not.
 *
 *   host has a VF for us, the VF is there and up, the channel is open
 *     -> what the host sends is received on the VF -> host asked to switch
 *     -> it confirms -> transmission through the VF, hn's link "down", VF_UP
 *   any of these ends, or the host says that it went back
 *     -> transmission through hn, host told, hn's link its own, VF_DOWN
 *
 * It decides; its owner acts, by a table of functions. So it needs no channel,
 * no device and no kernel. src/hn/vf_fsm.def has every step that there is.
 *
 * Trust: the host's messages are only facts here: none is believed about a VF
 * that the guest does not have, and one that comes out of turn does nothing.
 */
#ifndef VF_H
#define VF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "hn/nvs_reg.h"

struct vf;

enum vf_state {
	VF_CLOSED,
	VF_SYNTH,
	VF_HOLD,
	VF_TO_VF,
	VF_ON_VF,
	VF_ALONE,
	VF_CANCEL,
	VF_TO_SYNTH,
	VF_RETRY,
	VF_N_STATES
};

enum vf_news { VF_NEWS_ATTACH, VF_NEWS_UP, VF_NEWS_DOWN, VF_NEWS_DETACH };

struct vf_cfg {
	/* After a request that could not be sent, or that the host took back
	 * by itself; > 0. */
	unsigned retry_ms;
	/* A VF that was used for less than flap_ms has flapped: it is left
	 * alone for hold_ms, twice that the next time, hold_max_ms at most.
	 * One use of flap_ms or longer, and it has a clean slate. */
	unsigned flap_ms;
	unsigned hold_ms, hold_max_ms;	/* 0: never wait */
};

#define VF_CFG_DEFAULT							\
	((struct vf_cfg){ .retry_ms = 1000, .flap_ms = 10000,		\
			  .hold_ms = 1000, .hold_max_ms = 60000 })

/* None of them may call anything here. vf is the interface's index, 0: hn. */
struct vf_ops {
	/* What the host sends is received on that interface from now on: 0 or
	 * -errno. The way back to hn always works: its error is not looked at.
	 * On the VF it works while hn is administratively down, too. */
	int (*route_rx)(void *arg, unsigned vf);
	/* Ask the host to send our traffic there: 0, and vf_path() follows
	 * unless the channel closes; or -errno. */
	int (*switch_path)(void *arg, enum nvs_path path);
	/* Send through that interface, or through hn, from now on. */
	void (*transmit)(void *arg, unsigned vf);
	/* Pretend that hn's link is down, whatever the host says of it; or
	 * resume: ask the host and report what it says. */
	void (*link)(void *arg, bool pretend_down);
	/* The VF's filter is not known here: take all; or hn's own again. */
	void (*filter)(void *arg, bool promiscuous);
	void (*news)(void *arg, enum vf_news what, unsigned vf);
};

struct vf_stats {
	uint64_t attached, up;		/* times; detached and down follow */
	uint64_t flaps;			/* uses, or attempts, cut short */
	uint64_t refused;		/* the owner could not act; retried */
	uint64_t cancelled;		/* it ended while the host switched */
	uint64_t notices;		/* the host went back by itself */
	uint64_t associations;		/* the host's, that changed anything */
};

/* NULL when out of memory. */
struct vf *vf_new(struct loop *l, const struct vf_cfg *cfg,
		  const struct vf_ops *ops, void *arg);
/* Leaves the VF first: every VF_UP has its VF_DOWN. NULL is fine. */
void vf_free(struct vf *v);

/* The channel can carry traffic; or it is closed, or about to be. */
void vf_opened(struct vf *v);
void vf_closed(struct vf *v);
/* The host has, or no longer has, a VF for this NIC. */
void vf_association(struct vf *v, bool present, uint32_t serial);
/* The interface that is the NIC's VF, 0: none; up: it can send and receive. */
void vf_set(struct vf *v, unsigned ifindex, bool up);
/* asked: the host confirms that path; else it tells that it went there. */
void vf_path(struct vf *v, enum nvs_path path, bool asked);

enum vf_state vf_state_get(const struct vf *v);
const char *vf_state_name(enum vf_state s);
const char *vf_news_name(enum vf_news n);	/* "VF_UP" ... */
/* The interface that carries our traffic, or 0: hn does. */
unsigned vf_active(const struct vf *v);
/* How long a VF that flapped is still left alone; 0: not at all. */
uint64_t vf_held_ms(const struct vf *v);
void vf_stats_get(const struct vf *v, struct vf_stats *s);

#endif
