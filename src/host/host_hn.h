/* host/host_hn.h - the host's side of one network channel: NVSP set-up, RNDIS
 * control, frames both ways, what the guest is told of its link and its VF.
 *
 *   closed -> negotiating -> setting-up -> ready -> up -> halted -> over
 *                                   (a serious mistake: failed, until reopened)
 *
 * It knows neither a switch nor a VF (host_switch, host_vf do) nor where its
 * packets go (host_hn_port). Every wait is a timer of the loop.
 *
 * Trust: whatever comes from the guest is copied out of its memory once,
 * checked, then used. A guest that breaks the protocol loses this channel until
 * it opens it again; one that sends a bad frame loses the frame. Both are
 * counted and told as violations.
 */
#ifndef HOST_HN_H
#define HOST_HN_H

#include "base/loop.h"
#include "hn/nvs_reg.h"
#include "hn/rndis_reg.h"
#include "host/host_frame.h"
#include "vmbus/packet.h"

struct host_hn;

enum host_hn_state {
	HOST_HN_CLOSED,
	HOST_HN_NEGOTIATING,	/* waits for a version it takes */
	HOST_HN_SETTING_UP,	/* waits for configuration and buffers */
	HOST_HN_READY,		/* waits for RNDIS to be initialised */
	HOST_HN_UP,
	HOST_HN_HALTED,		/* RNDIS is over, the channel not yet */
	HOST_HN_OVER,		/* the guest takes its buffers back */
	HOST_HN_FAILED,		/* it broke the protocol */
};

/* In what this host differs from a good one; zero is good. Each of these was
 * seen on some host, or guests have code against it. */
struct host_hn_manners {
	uint32_t newest;		/* NVSP version; 0: 6.1 */
	uint32_t init_status;		/* of a refused version; 0 is usual */
	bool short_messages;		/* 28 bytes up to version 6 */
	bool refuse_recv_buf, refuse_send_buf;
	uint32_t section_size;		/* of the send buffer; 0: 6144 */
	uint32_t slots;			/* receive slots at most; 0: no limit */
	uint32_t max_messages;		/* in a send; 0: 8 */
	uint32_t align_log2_plus_1;	/* 1: no alignment; 0: as 4, 8 bytes */
	uint32_t first_filter;		/* before the guest sets one */
	uint32_t complete_ms;		/* sends are completed that late */
	bool whole_slots;		/* ranges and messages as long as a slot */
	uint32_t front;			/* bytes before a frame; 0: 256, even */
	bool garbage;			/* in reserved fields */
	bool no_checksum;		/* frames without checksum information */
	bool udp_as_tcp;		/* UDP found good is called TCP */
	bool local_sums;		/* local frames: good, bytes invalid */
	bool status_uncounted;		/* indications longer than they say */
	bool no_offloads;		/* neither sums nor segmentation */
	enum { HOST_HN_NO_TABLE, HOST_HN_TABLE, HOST_HN_TABLE_WRONG } table;
	bool connect_twice;		/* "connected" again after link_gap_ms */
};

struct host_hn_cfg {
	const char *name;		/* for guests; must outlive the hn */
	uint8_t mac[HOST_FRAME_MAC];
	uint64_t speed_bps;
	uint32_t link_gap_ms;		/* between changes of the link that are
					 * told; real hosts: 5000 */
	struct host_hn_manners manners;
};

/* Where packets go, and the guest's memory. */
struct host_hn_port {
	/* 0; -EAGAIN (host_hn_writable() follows); another error. */
	int (*send)(void *arg, const struct packet *p);
	/* Stop and resume packets from the guest. */
	void (*pause)(void *arg, bool pause);
	void *(*gpadl)(void *arg, uint32_t handle, size_t *len);
	/* Copy from the guest's pages: 0 or -EFAULT. NULL: this bus has no
	 * addresses, and what lies in pages is refused. */
	int (*read)(void *arg, uint64_t addr, void *dst, size_t len);
	void *arg;
};

/* Callbacks may call anything here but host_hn_free(). */
struct host_hn_ops {
	void (*up)(void *arg);		/* RNDIS is initialised */
	void (*down)(void *arg);	/* it no longer is */
	/* A frame from the guest; valid during the call, with writable bytes
	 * for a VLAN tag in front. Complete sums and segments by need. */
	void (*frame)(void *arg, const struct host_frame *f);
	/* The guest asks for this path; host_hn_path_done() ends it. */
	void (*path)(void *arg, enum nvs_path path);
	void (*filter)(void *arg, uint32_t filter);	/* RNDIS_FILTER_* */
	/* There is room again after host_hn_deliver() gave -ENOBUFS; may be
	 * NULL. */
	void (*room)(void *arg);
	void (*violation)(void *arg, const char *text);
	/* Those were all frames of one send; may be NULL. */
	void (*batch_end)(void *arg);
};

struct host_hn_stats {
	uint64_t from_guest, from_guest_bytes;	/* frames */
	uint64_t to_guest, to_guest_bytes;
	uint64_t sends, batches;		/* packets of the channel */
	uint64_t bad_frames;		/* from the guest, completed as failed */
	uint64_t dropped_down;		/* not up, or the filter is 0 */
	uint64_t dropped_full;		/* neither slot nor ring */
	uint64_t dropped_size;		/* longer than the guest's MTU */
	uint64_t requests;		/* RNDIS control */
	uint64_t violations;
};

/* NULL when out of memory. The link is connected, there is no VF. */
struct host_hn *host_hn_new(struct loop *l, const struct host_hn_cfg *cfg,
			    const struct host_hn_ops *ops, void *arg);
void host_hn_free(struct host_hn *n);	/* nobody is called; NULL is fine */

/* The channel's life. */
void host_hn_open(struct host_hn *n, const struct host_hn_port *port);
void host_hn_close(struct host_hn *n);
void host_hn_packet(struct host_hn *n, const struct packet *p);
void host_hn_writable(struct host_hn *n);

/* A frame for the guest, copied; segments and sums are made as needed. It
 * leaves with the next flush, or when a packet is full.
 * 0; -ENETDOWN not up or the filter is 0; -EMSGSIZE too long for its MTU;
 * -ENOBUFS no slot, or the ring is full (room follows); -EINVAL cannot be
 * segmented. What is not taken is dropped and counted. */
int host_hn_deliver(struct host_hn *n, const struct host_frame *f);
void host_hn_flush(struct host_hn *n);

/* The link. The first change is told at once, a following one after
 * link_gap_ms if it still is one then: guests lose rapid ones. */
void host_hn_link(struct host_hn *n, bool connected);
void host_hn_speed(struct host_hn *n, uint64_t bps);
/* "The network may be another one now": 1 possible, 2 definite, 3 media. */
void host_hn_network_change(struct host_hn *n, uint32_t what);

/* May the guest be told of a VF: up, NVSP 4 or newer, and it said it can? */
bool host_hn_takes_vf(const struct host_hn *n);
/* Tell the guest that it has a VF, or no longer. */
void host_hn_vf(struct host_hn *n, bool present, uint32_t serial);
/* The guest's request for a path is done, or will not be. */
void host_hn_path_done(struct host_hn *n);
/* Tell the guest that the path is the synthetic one, by the host's will. */
void host_hn_path_notice(struct host_hn *n);

enum host_hn_state host_hn_state_get(const struct host_hn *n);
const char *host_hn_state_name(enum host_hn_state s);
uint32_t host_hn_version(const struct host_hn *n);	/* 0: none agreed */
uint32_t host_hn_filter(const struct host_hn *n);
uint32_t host_hn_mtu(const struct host_hn *n);	/* without Ethernet header */
/* As the guest set it, or the permanent one. */
const uint8_t *host_hn_mac(const struct host_hn *n);
uint32_t host_hn_slots_free(const struct host_hn *n);	/* of those for data */
const struct host_hn_stats *host_hn_stats_get(const struct host_hn *n);

#endif
