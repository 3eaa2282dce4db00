/* vss/plan.c - rules, defaults and order: from what is mounted to what a
 * backup would do.
 *
 * What to do: the first rule that fits; else what the table of types says;
 * else, a type that nobody here knows is pseudo when nothing is behind it, and
 * vetoes when something is. A wrong veto is a message that names the file
 * system, and a rule settles it; a wrong skip is a broken backup.
 *
 * Order: a graph of "must be frozen before". A file system comes before those
 * that it lies on, and everything before the root file system, except for what
 * that one lies on. A level is the longest way down from there. Levels are
 * computed over all that is mounted (a loop file on an overlay comes before
 * the overlay's layers), and then only those that are frozen count.
 */
#include "vss/plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *plan_action_name(enum plan_action a)
{
	switch (a) {
	case PLAN_FREEZE: return "freeze";
	case PLAN_SYNC: return "sync-only";
	case PLAN_SKIP: return "skip";
	case PLAN_VETO: return "veto";
	}
	return "unknown";
}

/* Types ------------------------------------------------------------------ */

static const char no_storage[] = "no storage";

static const struct kind {
	enum plan_action action;
	const char *reason;
	const char *types;		/* between spaces */
} kinds[] = {
	{ PLAN_FREEZE, "journalling",
	  " ext3 ext4 xfs jfs reiserfs f2fs gfs2 ocfs2 " },
	{ PLAN_FREEZE, "copy-on-write", " btrfs bcachefs nilfs2 " },
	{ PLAN_FREEZE, "can be frozen", " ext2 " },
	{ PLAN_SKIP, "in memory only", " tmpfs ramfs rootfs " },
	{ PLAN_SKIP, "read-only", " squashfs erofs cramfs romfs " },
	{ PLAN_SKIP, "lies on others, which have their own lines",
	  " overlay overlayfs aufs unionfs ecryptfs mhddfs " },
	{ PLAN_SKIP, "not a file system of this machine's disks",
	  " nfs nfs4 cifs smb3 smbfs smb2 ncpfs 9p ceph afs coda lustre"
	  " glusterfs beegfs orangefs pvfs2 virtiofs vboxsf vmhgfs prl_fs"
	  " davfs gpfs panfs " },
	{ PLAN_SKIP, no_storage,
	  " anon_inodefs autofs bdev binder binfmt_misc bpf cgroup cgroup2"
	  " configfs cpuset debugfs devfs devpts devtmpfs dlmfs drm efivarfs"
	  " functionfs fusectl gadgetfs guest_memfd hugetlbfs mqueue none nfsd"
	  " nsfs ocfs2_dlmfs openpromfs pidfs pipefs proc pstore resctrl"
	  " rpc_pipefs secretmem securityfs selinuxfs smackfs sockfs spufs"
	  " sysfs tracefs usbfs xenfs zenfs " },
	{ PLAN_VETO, "ZFS cannot be frozen from outside", " zfs " },
};

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = words; (p = strstr(p, word)); p += n)
		if (p > words && p[-1] == ' ' && p[n] == ' ')
			return true;
	return false;
}

static const struct kind *kind_of(const char *type)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (has_word(kinds[i].types, type))
			return &kinds[i];
	return NULL;
}

static bool is_efi(const struct mount *m)
{
	static const char *const paths[] = { "/boot/efi", "/efi", "/boot" };

	if (strcmp(m->type, "vfat") != 0)
		return false;
	for (size_t i = 0; m->path && i < sizeof(paths) / sizeof(*paths); i++)
		if (strcmp(m->path, paths[i]) == 0)
			return true;
	return m->efi;
}

static void decide(struct plan_fs *fs, enum plan_action action,
		   const char *reason)
{
	fs->action = action;
	snprintf(fs->reason, sizeof(fs->reason), "%s", reason);
}

/* No kind of the table's. */
static void decide_unknown(struct plan_fs *fs)
{
	const struct mount *m = fs->mount;

	if (strcmp(m->type, "fuse") == 0 || strncmp(m->type, "fuse.", 5) == 0)
		decide(fs, PLAN_SKIP, "served by a program, stored elsewhere");
	else if (!m->disk && !strchr(m->source, '/'))
		decide(fs, PLAN_SKIP, "no device behind it");
	else if (snprintf(fs->reason, sizeof(fs->reason),
			  "writable, and %.32s cannot be frozen", m->type) > 0)
		fs->action = PLAN_VETO;
}

static void decide_default(struct plan_fs *fs)
{
	const struct mount *m = fs->mount;
	const struct kind *k = kind_of(m->type);

	fs->pseudo = k && k->reason == no_storage;
	if (k && k->action == PLAN_SKIP)
		decide(fs, PLAN_SKIP, k->reason);
	else if (m->read_only)
		decide(fs, PLAN_SKIP, "read-only");
	else if (is_efi(m))
		decide(fs, PLAN_SYNC, "EFI system partition");
	else if (k)
		decide(fs, k->action, k->reason);
	else
		decide_unknown(fs);
}

/* Rules ------------------------------------------------------------------ */

size_t plan_rules(struct plan_rule rules[CONF_RULES_MAX],
		  const struct conf_rules *conf)
{
	for (unsigned i = 0; i < conf->n; i++) {
		rules[i].by = (enum plan_by)conf->rule[i].by;
		rules[i].action = (enum plan_action)conf->rule[i].action;
		rules[i].pattern = conf->rule[i].pattern;
	}
	return conf->n;
}

static bool path_fits(const char *pattern, const struct mount *m)
{
	if (m->path && fnmatch(pattern, m->path, FNM_PATHNAME) == 0)
		return true;
	for (unsigned i = 0; m->paths && i < m->n_mounts; i++)
		if (fnmatch(pattern, m->paths[i], FNM_PATHNAME) == 0)
			return true;
	return false;
}

static bool rule_fits(const struct plan_rule *r, const struct mount *m)
{
	switch (r->by) {
	case PLAN_BY_PATH:
		return path_fits(r->pattern, m);
	case PLAN_BY_TYPE:
		return fnmatch(r->pattern, m->type, 0) == 0;
	case PLAN_BY_SOURCE:
		return fnmatch(r->pattern, m->source, 0) == 0;
	}
	return false;
}

static bool decide_by_rule(struct plan_fs *fs, const struct plan_rule *rules,
			   size_t n)
{
	static const char *const by[] = { "path", "type", "source" };

	for (size_t i = 0; i < n; i++) {
		if (!rule_fits(&rules[i], fs->mount))
			continue;
		fs->action = rules[i].action;
		snprintf(fs->reason, sizeof(fs->reason), "rule: %s %.80s",
			 by[rules[i].by], rules[i].pattern);
		return true;
	}
	return false;
}

static void decide_all(struct plan *p, const struct mounts *ms,
		       const struct plan_rule *rules, size_t n_rules)
{
	for (size_t i = 0; i < ms->n; i++) {
		struct plan_fs *fs = &p->fs[i];

		fs->mount = &ms->m[i];
		if (!decide_by_rule(fs, rules, n_rules))
			decide_default(fs);
		if (!fs->mount->path &&
		    (fs->action == PLAN_FREEZE || fs->action == PLAN_SYNC))
			decide(fs, PLAN_VETO, fs->mount->elsewhere ?
			       "only in another mount namespace: out of reach" :
			       "covered by other mounts: out of reach");
	}
}

/* Order ------------------------------------------------------------------ */

struct order {
	const struct mounts *ms;
	unsigned *level;		/* of each mount; 0: not computed yet */
	enum visit { NEW, OPEN, DONE } *visit;
	bool *under_root;		/* the root file system lies on it */
	const struct mount *root;
};

static size_t find_dev(const struct mounts *ms, dev_t dev)
{
	size_t i = 0;

	while (i < ms->n && ms->m[i].dev != dev)
		i++;
	return i;
}

static int compute_level(struct order *o, size_t i);

/* i has to be frozen before `below`. */
static int level_above(struct order *o, size_t i, size_t below)
{
	int err;

	if (below == o->ms->n || below == i)
		return 0;
	err = compute_level(o, below);
	if (!err && o->level[i] <= o->level[below])
		o->level[i] = o->level[below] + 1;
	return err;
}

static int compute_level(struct order *o, size_t i)
{
	const struct mount *m = &o->ms->m[i];
	int err = 0;

	if (o->visit[i] == OPEN)
		return -ELOOP;
	if (o->visit[i] == DONE)
		return 0;
	o->visit[i] = OPEN;
	for (unsigned b = 0; !err && b < m->n_backing; b++)
		err = level_above(o, i, find_dev(o->ms, m->backing[b]));
	if (!err && o->root && m != o->root && !o->under_root[i])
		err = level_above(o, i, (size_t)(o->root - o->ms->m));
	o->visit[i] = DONE;
	return err;
}

static void mark_under(struct order *o, const struct mount *m)
{
	for (unsigned b = 0; b < m->n_backing; b++) {
		size_t i = find_dev(o->ms, m->backing[b]);

		if (i == o->ms->n || o->under_root[i] || &o->ms->m[i] == m)
			continue;
		o->under_root[i] = true;
		mark_under(o, &o->ms->m[i]);
	}
}

static int compute_levels(struct order *o)
{
	int err = 0;

	for (size_t i = 0; i < o->ms->n && !o->root; i++)
		if (o->ms->m[i].root)
			o->root = &o->ms->m[i];
	if (o->root)
		mark_under(o, o->root);
	for (size_t i = 0; i < o->ms->n && !err; i++)
		err = compute_level(o, i);
	return err;
}

static int set_levels(struct plan *p, const struct mounts *ms)
{
	struct order o = {
		.ms = ms,
		.level = calloc(ms->n + 1, sizeof(*o.level)),
		.visit = calloc(ms->n + 1, sizeof(*o.visit)),
		.under_root = calloc(ms->n + 1, sizeof(*o.under_root)),
	};
	int err = -ENOMEM;

	if (o.level && o.visit && o.under_root)
		err = compute_levels(&o);
	for (size_t i = 0; !err && i < ms->n; i++)
		p->fs[i].level = o.level[i];
	free(o.level);
	free(o.visit);
	free(o.under_root);
	return err;
}

/* Frozen ones first, from the highest level down; then what is synced, what
 * vetoes, what is skipped; each by path. */
static int compare(const void *va, const void *vb)
{
	const struct plan_fs *a = va, *b = vb;
	static const int rank[] = { [PLAN_FREEZE] = 0, [PLAN_SYNC] = 1,
				    [PLAN_VETO] = 2, [PLAN_SKIP] = 3 };

	if (a->action != b->action)
		return rank[a->action] - rank[b->action];
	if (a->action == PLAN_FREEZE && a->level != b->level)
		return a->level < b->level ? 1 : -1;
	return strcmp(a->mount->path ? a->mount->path : "",
		      b->mount->path ? b->mount->path : "");
}

/* Levels on which nothing is frozen are left out. */
static void close_ranks(struct plan *p)
{
	unsigned was = 0;

	for (size_t i = p->n_freeze; i-- > 0; ) {
		if (p->levels == 0 || p->fs[i].level != was)
			p->levels++;
		was = p->fs[i].level;
		p->fs[i].level = (unsigned)p->levels - 1;
	}
	for (size_t i = p->n_freeze; i < p->n; i++)
		p->fs[i].level = 0;
}

int plan_make(struct plan *p, const struct mounts *ms,
	      const struct plan_rule *rules, size_t n_rules)
{
	int err;

	*p = (struct plan){ .n = ms->n };
	p->fs = calloc(ms->n + 1, sizeof(*p->fs));
	if (!p->fs)
		return -ENOMEM;
	decide_all(p, ms, rules, n_rules);
	err = set_levels(p, ms);
	if (err < 0) {
		plan_free(p);
		return err;
	}
	for (size_t i = 0; i < p->n; i++) {
		p->n_freeze += p->fs[i].action == PLAN_FREEZE;
		p->n_sync += p->fs[i].action == PLAN_SYNC;
		p->n_veto += p->fs[i].action == PLAN_VETO;
	}
	qsort(p->fs, p->n, sizeof(*p->fs), compare);
	close_ranks(p);
	return 0;
}

void plan_free(struct plan *p)
{
	free(p->fs);
	*p = (struct plan){ 0 };
}

const struct plan_fs *plan_outside(const struct plan *p, const dev_t *disks,
				   size_t n_disks)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_fs *fs = &p->fs[i];
		bool inside = false;

		if (fs->action != PLAN_FREEZE && fs->action != PLAN_SYNC)
			continue;
		for (size_t d = 0; d < n_disks; d++)
			inside |= fs->mount->disk && fs->mount->disk == disks[d];
		if (!inside)
			return fs;
	}
	return NULL;
}
