/* lagg/lagg.h - the failover aggregate laggX of hnX and its VF: one link that
 * holds the configuration, and that sends and receives by the VF or by the
 * synthetic path. What makes it is a back end, a table of functions.
 *
 *   bpf      the aggregate is a TAP. Two small programs hand its frames to the
 *            VF and the VF's to it; what they let pass is read from the TAP by
 *            whoever serves the synthetic path (lagg_ops.tap). Switches when
 *            told, in one store; heals by itself when the VF vanishes.
 *   bonding  the kernel's bonding driver, active-backup; hnX and the VF are its
 *            ports. Notices losses by polling (miimon).
 *
 * Ownership: a struct lagg holds its descriptors and, in the system, the link,
 *            the programs and what is pinned. destroy() removes all of it;
 *            leave() frees the memory and lets the rest work on, for restore().
 *            A struct belongs to one thread.
 * Trust:     a link of that name that a back end did not make is never used,
 *            changed or removed: -EEXIST.
 * Errors:    -errno; nothing is logged here.
 */
#ifndef LAGG_LAGG_H
#define LAGG_LAGG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LAGG_NAME = 16,		/* a link's name, with its end */
	LAGG_MAC = 6,
	LAGG_WHY = 160,		/* a reason in words, with its end */
};

/* The setting. */
enum lagg_choice { LAGG_AUTO, LAGG_BPF, LAGG_BONDING };

/* A port, and the path that leads through it. */
enum lagg_path { LAGG_SYNTHETIC, LAGG_VF };

struct lagg_cfg {
	char name[LAGG_NAME];
	uint8_t mac[LAGG_MAC];	/* hn's and the VF's */
	uint32_t mtu;		/* bytes, as links have it; 0: the default */
	const char *pin_root;	/* bpf: a bpffs; NULL: /sys/fs/bpf */
	bool clsact;		/* bpf: even where the kernel has tcx */
	uint32_t poll_ms;	/* bonding: miimon; 0: 100 */
};

struct lagg_flow {
	uint64_t packets;	/* each segment of what segmentation offload
				 * holds together counts */
	uint64_t bytes;		/* with Ethernet headers */
};

struct lagg_counters {
	struct lagg_flow tx_vf, rx_vf, tx_synthetic, rx_synthetic;
	uint64_t healed;	/* sent the other way because the VF was gone */
	uint64_t echoes;	/* our own frames, come back: dropped */
};

struct lagg_status {
	unsigned ifindex;	/* of the aggregate */
	unsigned port[2];	/* by enum lagg_path; 0: none */
	enum lagg_path path;
	const char *how;	/* "tcx, pinned", "clsact", "bonding" */
	struct lagg_counters count;
};

struct lagg;

struct lagg_ops {
	const char *name;
	enum lagg_choice kind;

	/* Whether it can work here. 0 and in why what it will use, or -errno
	 * and in why what is missing. Leaves nothing behind. */
	int (*probe)(char why[LAGG_WHY]);

	/* Make the link, down, without ports and on the synthetic path.
	 * -EEXIST the name is taken. */
	int (*create)(struct lagg **l, const struct lagg_cfg *cfg);

	/* Take up what an earlier process made and did not remove; traffic
	 * goes on as it did meanwhile. -ENOENT there is nothing; -EEXIST the
	 * link is not one of ours; -EBUSY its owner lives. */
	int (*restore)(struct lagg **l, const struct lagg_cfg *cfg);

	/* Make a link a port, in place of the port that was there.
	 *
	 * LAGG_VF: it is kept mute (no link-local address), given the
	 * aggregate's MTU and set up. The path does not change.
	 * LAGG_SYNTHETIC: bpf: what arrives on hn is received on the
	 * aggregate; not needed when the TAP is written to. bonding: see
	 * lagg_bond_linux.c for what enslaving does to hn.
	 *
	 * -ENODEV there is no such link; -EINVAL its MAC address is another.
	 * As it was before, on failure. */
	int (*add)(struct lagg *l, enum lagg_path port, unsigned ifindex);
	/* Undo add(). The path leads elsewhere first. A port that is gone, or
	 * was never there, is fine. */
	int (*remove)(struct lagg *l, enum lagg_path port);

	/* From now on send by this path. What arrives on either is received.
	 * LAGG_VF: -ENOLINK there is no such port. */
	int (*use)(struct lagg *l, enum lagg_path path);

	/* From now on the aggregate is this link, a TAP of the caller's; for
	 * the exchange of identities (move.h), where hn's TAP becomes laggX.
	 * The TAP that create() made is the caller's from then on, and stays.
	 * NULL: cannot. */
	int (*rebase)(struct lagg *l, unsigned ifindex);

	/* The descriptor that reads what goes out by the synthetic path and
	 * takes what comes in by it; virtio-net headers of 12 bytes,
	 * non-blocking. Stays ours: dup() it. -1: there is none. */
	int (*tap)(const struct lagg *l);

	int (*status)(struct lagg *l, struct lagg_status *s);

	/* Both free l; NULL is fine. */
	void (*leave)(struct lagg *l);
	void (*destroy)(struct lagg *l);
};

/* The first member of each back end's own struct. */
struct lagg {
	const struct lagg_ops *ops;
	struct lagg_cfg cfg;
};

/* Those this system has, in the order of preference; with NULL at the end. */
extern const struct lagg_ops *const lagg_back_ends[];

struct lagg_reason {
	const char *name;	/* the back end */
	bool chosen;
	char why[LAGG_WHY];
};

enum { LAGG_MAX_BACK_ENDS = 4 };

/* The first of `from` that the setting allows and that can work, or NULL. For
 * each back end one reason; n_why of them. */
const struct lagg_ops *lagg_choose(const struct lagg_ops *const *from,
				   enum lagg_choice want,
				   struct lagg_reason why[LAGG_MAX_BACK_ENDS],
				   size_t *n_why);

/* "auto", "bpf", "bonding". 0, or -EINVAL. */
int lagg_choice_parse(enum lagg_choice *c, const char *text);

#endif
