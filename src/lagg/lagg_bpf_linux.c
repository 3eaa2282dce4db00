/* lagg/lagg_bpf_linux.c - the aggregate as a TAP with two programs in the
 * kernel (lagg.bpf.c).
 *
 *   guest's stack ── laggX ── egress: ctl.active? ── yes ── VF
 *                                         └── no ── the TAP's queue ── whoever
 *                                                   serves the synthetic path
 *   VF ── ingress ── received on laggX
 *
 * To switch is one store: the map with `active` is mapped into our memory. The
 * order around it is the caller's: to the VF only when the host has confirmed
 * the data path; to the synthetic path first of all.
 *
 * Whoever writes to the TAP drops frames whose source is our own address: a
 * switch returns our own multicast by the other port. The VF's ingress does
 * the same.
 *
 * What survives us. The TAP is persistent. With tcx and a bpffs, links and maps
 * are pinned in <bpffs>/hv_<name>/ and go on working; restore() puts the
 * programs of this build in their place, with the maps as they are. clsact
 * keeps its filters without that. With tcx and no bpffs they end with us, and
 * what is sent until restore() waits in the TAP's queue.
 *
 * The VF under us is mute: no link-local address (and none is made), no ARP,
 * all multicast (the aggregate's memberships do not reach its filter). */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lagg/attach_linux.h"
#include "lagg/lagg.h"
#include "lagg/lagg_bpf.h"
#include "lagg/lagg_linux.h"
#include "lagg/nl_linux.h"
#include "lagg/tap_link_linux.h"
#include "lagg_bpf_o.h"

#define ALIAS	"open-hv-tools aggregate"
enum { ADDR_GEN_NONE = 1, PATH = ATTACH_PATH - 8 };

/* Where programs are attached. The first two are enum lagg_path. */
enum { AT_HN = LAGG_SYNTHETIC, AT_VF = LAGG_VF, AT_TX, N_AT };

static const char *const pin_names[N_AT] = {
	[AT_HN] = "rx_hn", [AT_VF] = "rx_vf", [AT_TX] = "tx",
};
static const char *const map_names[] = { "ctl", "count" };

struct bpf_lagg {
	struct lagg base;
	struct nl *nl;
	struct bpf_object *obj;
	int prog_tx, prog_rx, count_fd;	/* the object's */
	struct lagg_bpf_ctl *ctl;	/* mapped */
	int tap;			/* -1: not ours, or others have it */
	int ifindex;
	enum attach_how how;
	char dir[PATH];			/* of pins; "": none */
	struct attach at[N_AT];
	struct nl_link before;		/* the VF, before we muted it */
};

static struct bpf_lagg *bpf_of(struct lagg *l)
{
	return (struct bpf_lagg *)l;
}

/* Programs and maps ------------------------------------------------------ */

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

static int prog_fd(const struct bpf_object *o, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(o, name));
}

static int map_fd(const struct bpf_object *o, const char *name)
{
	return bpf_map__fd(bpf_object__find_map_by_name(o, name));
}

/* Pinned maps of an earlier process, where there are any. */
static void reuse_maps(struct bpf_lagg *b)
{
	for (size_t i = 0; i < sizeof(map_names) / sizeof(*map_names); i++) {
		char path[ATTACH_PATH];
		int fd;

		snprintf(path, sizeof(path), "%s/%s", b->dir, map_names[i]);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		bpf_map__reuse_fd(bpf_object__find_map_by_name(b->obj,
				  map_names[i]), fd);
		close(fd);
	}
}

static int load(struct bpf_lagg *b, bool reuse)
{
	void *ctl;
	int err;

	libbpf_set_print(quiet);
	b->obj = bpf_object__open_mem(lagg_bpf_o, sizeof(lagg_bpf_o), NULL);
	if (!b->obj)
		return -errno;
	if (reuse && b->dir[0])
		reuse_maps(b);
	err = bpf_object__load(b->obj);
	if (err)
		return err;
	b->prog_tx = prog_fd(b->obj, "lagg_tx");
	b->prog_rx = prog_fd(b->obj, "lagg_rx");
	b->count_fd = map_fd(b->obj, "count");
	ctl = mmap(NULL, sizeof(*b->ctl), PROT_READ | PROT_WRITE, MAP_SHARED,
		   map_fd(b->obj, "ctl"), 0);
	if (ctl == MAP_FAILED)
		return -errno;
	b->ctl = ctl;
	return 0;
}

static int pin_maps(const struct bpf_lagg *b)
{
	for (size_t i = 0; i < sizeof(map_names) / sizeof(*map_names); i++) {
		char path[ATTACH_PATH];

		snprintf(path, sizeof(path), "%s/%s", b->dir, map_names[i]);
		unlink(path);
		if (bpf_obj_pin(map_fd(b->obj, map_names[i]), path) < 0)
			return -errno;
	}
	return 0;
}

static void unpin_all(const struct bpf_lagg *b)
{
	char path[ATTACH_PATH];

	if (!b->dir[0])
		return;
	for (size_t i = 0; i < sizeof(map_names) / sizeof(*map_names); i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, map_names[i]);
		unlink(path);
	}
	for (size_t i = 0; i < N_AT; i++) {
		snprintf(path, sizeof(path), "%s/%s", b->dir, pin_names[i]);
		unlink(path);
	}
	rmdir(b->dir);
}

static bool is_bpffs(const char *path)
{
	struct statfs s;

	return !statfs(path, &s) && s.f_type == BPF_FS_MAGIC &&
	       !access(path, W_OK);
}

static const char *root_of(const struct lagg_cfg *cfg)
{
	return cfg->pin_root ? cfg->pin_root : "/sys/fs/bpf";
}

/* A bpffs takes no dots in names. */
static void choose_dir(struct bpf_lagg *b)
{
	const char *root = root_of(&b->base.cfg);
	int n;

	if (!is_bpffs(root))
		return;
	n = snprintf(b->dir, sizeof(b->dir), "%s/hv_%s", root,
		     b->base.cfg.name);
	if (n < 0 || (size_t)n >= sizeof(b->dir) - 8) {
		b->dir[0] = '\0';
		return;
	}
	for (char *p = strrchr(b->dir, '/'); *p; p++)
		if (*p == '.')
			*p = '_';
}

/* The same for create and restore: all but the link ---------------------- */

static void prepare_attach(struct bpf_lagg *b)
{
	b->how = b->base.cfg.clsact || attach_probe_tcx(b->prog_rx) ?
		 ATTACH_CLSACT : ATTACH_TCX;
	for (size_t i = 0; i < N_AT; i++) {
		struct attach *a = &b->at[i];

		*a = (struct attach){ .how = b->how, .egress = i == AT_TX,
				      .link = -1 };
		if (b->how == ATTACH_TCX && b->dir[0])
			snprintf(a->pin, sizeof(a->pin), "%s/%s", b->dir,
				 pin_names[i]);
	}
}

static void bpf_free(struct bpf_lagg *b)
{
	if (b->ctl)
		munmap(b->ctl, sizeof(*b->ctl));
	bpf_object__close(b->obj);
	if (b->tap >= 0)
		close(b->tap);
	nl_close(b->nl);
	free(b);
}

/* NULL with the reason in *err. */
static struct bpf_lagg *bpf_open(const struct lagg_cfg *cfg, bool reuse,
				 int *err)
{
	struct bpf_lagg *b = calloc(1, sizeof(*b));

	*err = -ENOMEM;
	if (!b)
		return NULL;
	b->base = (struct lagg){ .ops = &lagg_bpf_ops, .cfg = *cfg };
	b->tap = -1;
	b->nl = nl_open();
	if (!b->nl) {
		*err = -errno;
		goto fail;
	}
	choose_dir(b);
	*err = load(b, reuse);
	if (*err)
		goto fail;
	prepare_attach(b);
	return b;
fail:
	bpf_free(b);
	return NULL;
}

static void set_ctl(struct bpf_lagg *b, const struct nl_link *link)
{
	memcpy(b->ctl->mac, b->base.cfg.mac, LAGG_MAC);
	b->ctl->rx_packets = link->stats.rx_packets;
	b->ctl->rx_bytes = link->stats.rx_bytes;
	__atomic_store_n(&b->ctl->lagg, (uint32_t)link->index,
			 __ATOMIC_RELEASE);
}

/* Life ------------------------------------------------------------------- */

static int bpf_probe(char why[LAGG_WHY])
{
	const struct lagg_cfg cfg = { .name = "probe" };
	struct bpf_lagg *b;
	int err = tap_link_probe();

	if (err) {
		snprintf(why, LAGG_WHY, "no TAP: %s", strerror(-err));
		return err;
	}
	b = bpf_open(&cfg, false, &err);
	if (!b) {
		snprintf(why, LAGG_WHY, "the kernel does not load the "
			 "programs: %s", strerror(-err));
		return err;
	}
	snprintf(why, LAGG_WHY, "%s", b->how == ATTACH_CLSACT ? "clsact" :
		 b->dir[0] ? "tcx, pinned" : "tcx; no bpffs to pin it in");
	bpf_free(b);
	return 0;
}

static void bpf_destroy(struct lagg *l)
{
	struct bpf_lagg *b = bpf_of(l);

	if (!l)
		return;
	l->ops->remove(l, LAGG_VF);
	l->ops->remove(l, LAGG_SYNTHETIC);
	attach_del(&b->at[AT_TX]);
	if (b->ifindex && b->ctl->lent)
		nl_link_dress(b->nl, b->ifindex, l->cfg.mac, 0, "");
	else if (b->ifindex)
		nl_link_delete(b->nl, b->ifindex);
	unpin_all(b);
	bpf_free(b);
}

/* The link is there, new and down. */
static int furnish(struct bpf_lagg *b)
{
	const struct lagg_cfg *cfg = &b->base.cfg;
	struct nl_link link;
	int err;

	err = nl_link_get(b->nl, &link, 0, cfg->name);
	if (err)
		return err;
	b->ifindex = link.index;
	err = nl_link_dress(b->nl, link.index, cfg->mac, cfg->mtu, ALIAS);
	if (!err)
		err = nl_link_addr_gen(b->nl, link.index, ADDR_GEN_NONE);
	if (err)
		return err;
	if (b->dir[0] && mkdir(b->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (b->dir[0])
		err = pin_maps(b);
	if (err)
		return err;
	set_ctl(b, &link);
	return attach_put(&b->at[AT_TX], link.index, b->prog_tx);
}

static int bpf_create(struct lagg **l, const struct lagg_cfg *cfg)
{
	int err;
	struct bpf_lagg *b = bpf_open(cfg, false, &err);

	if (!b)
		return err;
	b->tap = tap_link_make(cfg->name);
	if (b->tap < 0) {
		err = b->tap;
		bpf_free(b);
		return err;
	}
	err = furnish(b);
	if (err) {
		bpf_destroy(&b->base);
		return err;
	}
	*l = &b->base;
	return 0;
}

static void bpf_leave(struct lagg *l)
{
	struct bpf_lagg *b = bpf_of(l);

	if (!l)
		return;
	for (size_t i = 0; i < N_AT; i++)
		attach_leave(&b->at[i]);
	bpf_free(b);
}

/* Taking up what is there ------------------------------------------------ */

static void take_port(struct bpf_lagg *b, enum lagg_path p)
{
	uint32_t port = b->ctl->port[p];

	if (!port)
		return;
	if (!attach_take(&b->at[p], (int)port, b->prog_rx))
		return;
	b->ctl->port[p] = 0;
	if (p == LAGG_VF)
		__atomic_store_n(&b->ctl->active, 0, __ATOMIC_RELEASE);
}

static int take_up(struct bpf_lagg *b, const struct nl_link *link)
{
	int err;

	b->ifindex = link->index;
	/* Maps of our own making know of nothing yet. */
	if (b->ctl->lagg != (uint32_t)link->index) {
		b->ctl->active = 0;
		set_ctl(b, link);
	}
	if (b->dir[0] && mkdir(b->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	err = b->dir[0] ? pin_maps(b) : 0;
	if (err)
		return err;
	if (!b->ctl->lent)
		b->tap = tap_link_open(b->base.cfg.name);
	if (b->tap < 0 && b->tap != -EBUSY && !b->ctl->lent)
		return b->tap;
	if (b->tap < 0)
		b->tap = -1;		/* who serves it lives */
	take_port(b, LAGG_SYNTHETIC);
	take_port(b, LAGG_VF);
	err = attach_take(&b->at[AT_TX], link->index, b->prog_tx);
	return err == -ENOENT ?
	       attach_put(&b->at[AT_TX], link->index, b->prog_tx) : err;
}

static int find_ours(struct nl_link *link, const char *name)
{
	struct nl *nl = nl_open();
	int err;

	if (!nl)
		return -errno;
	err = nl_link_get(nl, link, 0, name);
	nl_close(nl);
	if (err == -ENODEV)
		return -ENOENT;
	if (!err && (strcmp(link->kind, "tun") || strcmp(link->alias, ALIAS)))
		return -EEXIST;
	return err;
}

static int bpf_restore(struct lagg **l, const struct lagg_cfg *cfg)
{
	struct bpf_lagg *b;
	struct nl_link link = { 0 };
	int err = find_ours(&link, cfg->name);

	if (err)
		return err;
	b = bpf_open(cfg, true, &err);
	if (!b)
		return err;
	err = take_up(b, &link);
	if (err) {
		bpf_leave(&b->base);
		return err;
	}
	*l = &b->base;
	return 0;
}

/* Ports ------------------------------------------------------------------ */

static int check_port(struct bpf_lagg *b, struct nl_link *link, int index)
{
	int err = nl_link_get(b->nl, link, index, NULL);

	if (err)
		return err;
	if (index == b->ifindex || !link->has_mac ||
	    memcmp(link->mac, b->base.cfg.mac, LAGG_MAC))
		return -EINVAL;
	return 0;
}

/* Before it is up: what is up without it has spoken already. */
static int mute(struct bpf_lagg *b, const struct nl_link *vf)
{
	const unsigned flags = IFF_UP | IFF_NOARP | IFF_ALLMULTI;
	struct nl_link lagg;
	int err;

	err = nl_link_get(b->nl, &lagg, b->ifindex, NULL);
	if (!err)
		err = nl_link_addr_gen(b->nl, vf->index, ADDR_GEN_NONE);
	if (!err && vf->mtu != lagg.mtu)
		err = nl_link_mtu(b->nl, vf->index, lagg.mtu);
	if (!err)
		err = nl_link_no_link_local(b->nl, vf->index);
	return err ? err : nl_link_flags(b->nl, vf->index, flags, flags);
}

static void unmute(struct bpf_lagg *b, const struct nl_link *vf)
{
	const unsigned flags = IFF_UP | IFF_NOARP | IFF_ALLMULTI;

	nl_link_flags(b->nl, vf->index, vf->flags & flags, flags);
	nl_link_addr_gen(b->nl, vf->index, vf->addr_gen);
	nl_link_mtu(b->nl, vf->index, vf->mtu);
}

static int bpf_remove(struct lagg *l, enum lagg_path port)
{
	struct bpf_lagg *b = bpf_of(l);

	if (port == LAGG_VF)
		__atomic_store_n(&b->ctl->active, 0, __ATOMIC_RELEASE);
	attach_del(&b->at[port]);
	if (port == LAGG_VF && b->before.index &&
	    b->before.index == (int)b->ctl->port[LAGG_VF])
		unmute(b, &b->before);
	if (port == LAGG_VF)
		b->before.index = 0;
	b->ctl->port[port] = 0;
	return 0;
}

static int bpf_add(struct lagg *l, enum lagg_path port, unsigned ifindex)
{
	struct bpf_lagg *b = bpf_of(l);
	struct nl_link link;
	int err = check_port(b, &link, (int)ifindex);

	if (err)
		return err;
	if (b->ctl->port[port] && b->ctl->port[port] != ifindex)
		bpf_remove(l, port);
	if (port == LAGG_VF)
		err = mute(b, &link);
	if (!err && !b->at[port].ifindex)
		err = attach_put(&b->at[port], link.index, b->prog_rx);
	if (err && !b->ctl->port[port] && port == LAGG_VF)
		unmute(b, &link);
	if (err)
		return err;
	if (port == LAGG_VF && !b->ctl->port[port])
		b->before = link;
	b->ctl->port[port] = ifindex;
	return 0;
}

static int bpf_use(struct lagg *l, enum lagg_path path)
{
	struct lagg_bpf_ctl *c = bpf_of(l)->ctl;

	if (path == LAGG_VF && !c->port[LAGG_VF])
		return -ENOLINK;
	__atomic_store_n(&c->active, path == LAGG_VF ? c->port[LAGG_VF] : 0,
			 __ATOMIC_RELEASE);
	return 0;
}

/* The new link's frames find their way before the VF's find the new link. The
 * old link's program must go before its pin's name can be given again. */
static int bpf_rebase(struct lagg *l, unsigned ifindex)
{
	struct bpf_lagg *b = bpf_of(l);
	int old = b->ifindex;
	struct nl_link link;
	int err = check_port(b, &link, (int)ifindex);

	if (!err && strcmp(link.kind, "tun"))
		err = -EINVAL;
	if (err)
		return err;
	attach_del(&b->at[AT_TX]);
	err = nl_link_dress(b->nl, link.index, l->cfg.mac, 0, ALIAS);
	if (!err)
		err = attach_put(&b->at[AT_TX], link.index, b->prog_tx);
	if (err) {
		nl_link_dress(b->nl, link.index, l->cfg.mac, 0, link.alias);
		attach_put(&b->at[AT_TX], old, b->prog_tx);
		return err;
	}
	nl_link_dress(b->nl, old, l->cfg.mac, 0, "");
	b->ifindex = link.index;
	b->ctl->lent = 1;
	set_ctl(b, &link);
	if (b->tap >= 0)
		close(b->tap);
	b->tap = -1;
	return 0;
}

static int bpf_tap(const struct lagg *l)
{
	return ((const struct bpf_lagg *)l)->tap;
}

/* For people ------------------------------------------------------------- */

static int read_counts(const struct bpf_lagg *b, struct lagg_bpf_count *sum)
{
	int n = libbpf_num_possible_cpus();
	struct lagg_bpf_count *each;
	uint32_t zero = 0;
	int err = 0;

	if (n < 0)
		return n;
	each = calloc((size_t)n, sizeof(*each));
	if (!each)
		return -ENOMEM;
	*sum = (struct lagg_bpf_count){ 0 };
	if (bpf_map_lookup_elem(b->count_fd, &zero, each) < 0)
		err = -errno;
	for (int cpu = 0; cpu < n && !err; cpu++)
		for (int f = 0; f < LAGG_BPF_N_FLOWS; f++) {
			sum->flow[f].packets += each[cpu].flow[f].packets;
			sum->flow[f].bytes += each[cpu].flow[f].bytes;
		}
	free(each);
	return err;
}

static struct lagg_flow flow_of(const struct lagg_bpf_count *c,
				enum lagg_bpf_flow f)
{
	return (struct lagg_flow){ c->flow[f].packets, c->flow[f].bytes };
}

static int bpf_status(struct lagg *l, struct lagg_status *s)
{
	struct bpf_lagg *b = bpf_of(l);
	struct lagg_bpf_count c;
	struct nl_link link;
	int err = read_counts(b, &c);

	if (!err)
		err = nl_link_get(b->nl, &link, b->ifindex, NULL);
	if (err)
		return err;
	*s = (struct lagg_status){
		.ifindex = (unsigned)b->ifindex,
		.port = { b->ctl->port[0], b->ctl->port[1] },
		.path = b->ctl->active ? LAGG_VF : LAGG_SYNTHETIC,
		.how = b->how == ATTACH_CLSACT ? "clsact" :
		       b->dir[0] ? "tcx, pinned" : "tcx",
		.count = {
			.tx_vf = flow_of(&c, LAGG_BPF_TX_VF),
			.tx_synthetic = flow_of(&c, LAGG_BPF_TX_SYNTHETIC),
			.rx_vf = flow_of(&c, LAGG_BPF_RX_VF),
			/* What is redirected to a link is not in its own
			 * counters: these are the frames written to it. */
			.rx_synthetic = {
				link.stats.rx_packets - b->ctl->rx_packets +
				c.flow[LAGG_BPF_RX_HN].packets,
				link.stats.rx_bytes - b->ctl->rx_bytes +
				c.flow[LAGG_BPF_RX_HN].bytes,
			},
			.healed = c.flow[LAGG_BPF_HEALED].packets,
			.echoes = c.flow[LAGG_BPF_ECHO].packets,
		},
	};
	return 0;
}

const struct lagg_ops lagg_bpf_ops = {
	.name = "bpf", .kind = LAGG_BPF,
	.probe = bpf_probe, .create = bpf_create, .restore = bpf_restore,
	.add = bpf_add, .remove = bpf_remove, .use = bpf_use,
	.rebase = bpf_rebase, .tap = bpf_tap, .status = bpf_status,
	.leave = bpf_leave, .destroy = bpf_destroy,
};
