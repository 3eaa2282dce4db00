/* lagg/lagg.bpf.c - the aggregate's data path inside the kernel.
 *
 *   lagg_tx   egress of laggX: to the VF, or let it pass into the TAP's queue,
 *             which is the synthetic path
 *   lagg_rx   ingress of the VF, or of hn: received on laggX
 *
 * A VF that was torn out is noticed here, by the frame that would be lost to
 * it: the kernel drops what is redirected to an index that is gone, so we ask
 * first. "Present but down" cannot be seen from here; the owner hears of it and
 * stores `active`.
 *
 * -1 (TC_ACT_UNSPEC) lets other programs on the same link run, with tcx and
 * with cls_bpf. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lagg_bpf.h"

#define NEXT	(-1)
#define NO_DEVICE	(-19)	/* -ENODEV */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lagg_bpf_ctl);
} ctl SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lagg_bpf_count);
} count SEC(".maps");

static __always_inline void add(const struct __sk_buff *skb,
				enum lagg_bpf_flow flow)
{
	__u32 zero = 0;
	struct lagg_bpf_count *c = bpf_map_lookup_elem(&count, &zero);

	if (!c)
		return;
	c->flow[flow].packets += skb->gso_segs ? skb->gso_segs : 1;
	c->flow[flow].bytes += skb->len;
}

SEC("tc")
int lagg_tx(struct __sk_buff *skb)
{
	__u32 zero = 0, mtu = 0, to;
	volatile struct lagg_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);

	if (!c)
		return NEXT;
	to = c->active;
	if (to && bpf_check_mtu(skb, to, &mtu, 0, 0) == NO_DEVICE) {
		add(skb, LAGG_BPF_HEALED);
		to = 0;
	}
	if (!to) {
		add(skb, LAGG_BPF_TX_SYNTHETIC);
		return NEXT;
	}
	add(skb, LAGG_BPF_TX_VF);
	return (int)bpf_redirect(to, 0);
}

SEC("tc")
int lagg_rx(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct lagg_bpf_ctl *c = bpf_map_lookup_elem(&ctl, &zero);
	__u8 from[6];

	if (!c || !c->lagg || bpf_skb_load_bytes(skb, 6, from, sizeof(from)))
		return NEXT;
	if (from[0] == c->mac[0] && from[1] == c->mac[1] &&
	    from[2] == c->mac[2] && from[3] == c->mac[3] &&
	    from[4] == c->mac[4] && from[5] == c->mac[5]) {
		add(skb, LAGG_BPF_ECHO);
		return TC_ACT_SHOT;
	}
	add(skb, skb->ifindex == c->port[0] ? LAGG_BPF_RX_HN : LAGG_BPF_RX_VF);
	return (int)bpf_redirect(c->lagg, BPF_F_INGRESS);
}

/* The kernel lends bpf_check_mtu() only to what may be had under the GPL, too;
 * this file may be. */
char _license[] SEC("license") = "Dual BSD/GPL";
