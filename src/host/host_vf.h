/* host/host_vf.h - a virtual function's life beside a synthetic NIC: when the
 * guest is told of it, when its device appears, where its traffic goes.
 *
 *   unavailable -> available -> advertised -> ready <-> switched
 *                                        (pending between the two)
 *
 * It sends nothing and moves no frame: host_vf_ops do. Every delay is a timer
 * of the loop, so a virtual clock moves it.
 *
 * The VF is the host's, not the channel's: it stays, and with it the path,
 * while the guest closes its channel and opens it again.
 */
#ifndef HOST_VF_H
#define HOST_VF_H

#include "base/loop.h"
#include "hn/nvs_reg.h"

struct host_vf;

enum host_vf_state {
	HOST_VF_UNAVAILABLE,	/* none */
	HOST_VF_AVAILABLE,	/* there is one; the guest was not told */
	HOST_VF_ADVERTISED,	/* told; the device comes later */
	HOST_VF_READY,		/* the device is there; synthetic path */
	HOST_VF_PENDING,	/* the path is being changed for the guest */
	HOST_VF_SWITCHED,	/* the VF carries the traffic */
};

/* How this host goes about it. Zero is a host in a hurry that does all right;
 * real ones have offer_ms 1000. May be changed at any time. */
struct host_vf_manners {
	uint32_t offer_ms;	/* from the association to the device */
	bool device_first;	/* the device comes at once, the association
				 * offer_ms later */
	uint32_t switch_ms;	/* to change the path */
	bool to_vf_fails, to_synthetic_fails;
	uint32_t revoke_ms;	/* from the messages to the device's end */
	bool device_goes_first;	/* surprise: the messages are revoke_ms late */
};

struct host_vf_ops {
	/* The association message, then also when it is over. */
	void (*tell)(void *arg, bool present, uint32_t serial);
	/* The function appears in the guest, or vanishes from it. */
	void (*device)(void *arg, bool present, uint32_t serial);
	/* What the guest asked for is done, or will not be. */
	void (*path_done)(void *arg);
	/* The path is the synthetic one by the host's own will. */
	void (*path_notice)(void *arg);
	/* Steer frames there. */
	void (*steer)(void *arg, enum nvs_path path);
	void (*changed)(void *arg, enum host_vf_state s);	/* may be NULL */
};

struct host_vf_stats {
	uint64_t attached, detached, yanked;
	uint64_t to_vf, to_synthetic;	/* changes for the guest */
	uint64_t failed;		/* of those, not done */
	uint64_t ignored;		/* asked for when it made no sense */
	uint64_t fallbacks;		/* changes by the host's own will */
};

/* NULL when out of memory. Callbacks may call anything but host_vf_free(). */
struct host_vf *host_vf_new(struct loop *l, const struct host_vf_manners *m,
			    const struct host_vf_ops *ops, void *arg);
void host_vf_free(struct host_vf *v);	/* nobody is called; NULL is fine */
void host_vf_manners_set(struct host_vf *v, const struct host_vf_manners *m);

/* What the guest does. listens: its channel is up and it takes VFs. */
void host_vf_guest(struct host_vf *v, bool listens);
void host_vf_asked(struct host_vf *v, enum nvs_path path);

/* What the operator does. A VF appears: 0, -EEXIST there is one, -EBUSY the
 * last one is still going, -EINVAL serial 0. */
int host_vf_attach(struct host_vf *v, uint32_t serial);
/* It is withdrawn in good order: the path first. 0, -ENODEV. */
int host_vf_detach(struct host_vf *v);
/* It vanishes: the device is gone before any word of it. 0, -ENODEV. */
int host_vf_yank(struct host_vf *v);
/* Its NIC fails but stays: back to the synthetic path. 0, -EALREADY. */
int host_vf_fall_back(struct host_vf *v);

enum host_vf_state host_vf_state_get(const struct host_vf *v);
const char *host_vf_state_name(enum host_vf_state s);
uint32_t host_vf_serial(const struct host_vf *v);	/* 0: none */
bool host_vf_has_device(const struct host_vf *v);
bool host_vf_is_going(const struct host_vf *v);
enum nvs_path host_vf_path(const struct host_vf *v);
const struct host_vf_stats *host_vf_stats_get(const struct host_vf *v);

#endif
