/* lagg/lagg_bpf.h - what the programs in the kernel and the one that loads
 * them share: two maps of one value each. Included by both, so plain C and
 * Linux' own types.
 */
#ifndef LAGG_LAGG_BPF_H
#define LAGG_LAGG_BPF_H

#include <linux/types.h>

/* Mapped into the owner's memory: to switch is to store `active`. */
struct lagg_bpf_ctl {
	__u32 active;		/* where the aggregate's frames go: the VF's
				 * index, or 0: to its own queue */
	__u32 lagg;		/* the aggregate's index */
	__u8 mac[6];		/* its address: who sends from it is us */
	__u16 lent;		/* the TAP is not ours: lagg_ops.rebase */
	/* For who takes this up later. */
	__u32 port[2];		/* by enum lagg_path */
	__u64 rx_packets, rx_bytes;	/* what the link had counted before */
};

enum lagg_bpf_flow {
	LAGG_BPF_TX_VF, LAGG_BPF_TX_SYNTHETIC, LAGG_BPF_RX_VF,
	LAGG_BPF_RX_HN,		/* by hn's ingress, not by the TAP */
	LAGG_BPF_HEALED, LAGG_BPF_ECHO, LAGG_BPF_N_FLOWS
};

/* One for each processor. */
struct lagg_bpf_count {
	struct { __u64 packets, bytes; } flow[LAGG_BPF_N_FLOWS];
};

#endif
