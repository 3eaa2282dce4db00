/* vss/plan.h - what a backup would do to each file system, and why.
 *
 *   mounts_read() -> struct mounts -> plan_make() -> struct plan
 *   (libmount; what is mounted)    (rules, order; no system call)
 *
 * One entry for each super block, however often and in how many mount
 * namespaces it is mounted. Entries are in the order of freezing: level by
 * level, the highest level first; those of one level may be frozen side by
 * side. A file system that lies on another one (a loop file, device-mapper
 * over a loop, an overlay's layers) has the higher level; the root file system
 * is alone on level 0. Thawing goes the other way.
 */
#ifndef VSS_PLAN_H
#define VSS_PLAN_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/conf.h"

enum plan_action {
	PLAN_FREEZE,	/* flush, then FIFREEZE */
	PLAN_SYNC,	/* flush only */
	PLAN_SKIP,
	PLAN_VETO,	/* the backup cannot be consistent: refuse it */
};

/* One super block that is mounted somewhere. Strings are owned by the list. */
struct mount {
	dev_t dev;		/* the super block, as mountinfo has it. Not
				 * always what stat says: btrfs shows another
				 * one in each subvolume */
	dev_t disk;		/* the block device behind it; 0: none */
	int id;			/* the mount at path: statx's stx_mnt_id says
				 * whether an open descriptor is on it */
	char *path;		/* a reachable, not over-mounted mount point;
				 * NULL: none, it is covered or closed */
	char *source, *type, *options;
	bool read_only;		/* the super block */
	bool root;		/* it holds "/" */
	bool elsewhere;		/* only in other mount namespaces: path is
				 * then below /proc/PID/root */
	bool efi;		/* on an EFI system partition */
	unsigned n_mounts;	/* how often it is mounted here */
	char **paths;		/* ... and where, n_mounts of them; or NULL */
	dev_t backing[8];	/* super blocks that it lies on */
	unsigned n_backing;
};

struct mounts {
	struct mount *m;
	size_t n;
};

/* 0 or -errno. Fills in what is mounted in this namespace and, as far as we
 * may look, in others. No path on a file system is looked up, so a dead
 * network mount cannot hold this up. */
int mounts_read(struct mounts *ms);
/* The same below another directory than "/", for tests: its proc, sys, run. */
int mounts_read_below(struct mounts *ms, const char *root);
void mounts_free(struct mounts *ms);

/* One rule of the configuration: the first that fits decides. Patterns are
 * fnmatch(3)'s, without regard of '/' for types and sources. A path is that of
 * any of the mount points. */
struct plan_rule {
	enum plan_by { PLAN_BY_PATH, PLAN_BY_TYPE, PLAN_BY_SOURCE } by;
	const char *pattern;
	enum plan_action action;
};

/* [vss-rules] as rules: how many. The patterns stay the configuration's. */
size_t plan_rules(struct plan_rule rules[CONF_RULES_MAX],
		  const struct conf_rules *conf);

struct plan_fs {
	const struct mount *mount;
	enum plan_action action;
	char reason[96];	/* for people: "journalling", "rule: path /mnt" */
	unsigned level;
	bool pseudo;		/* proc and the like: of no interest */
};

struct plan {
	struct plan_fs *fs;	/* in the order of freezing; others last */
	size_t n;
	size_t n_freeze, n_sync, n_veto;
	size_t levels;		/* of what is frozen: 0 .. levels - 1 */
};

/* 0; -ENOMEM; -ELOOP file systems that lie on each other. ms must outlive the
 * plan. */
int plan_make(struct plan *p, const struct mounts *ms,
	      const struct plan_rule *rules, size_t n_rules);
void plan_free(struct plan *p);

/* Confinement, for tests: the plan may touch (freeze or flush) nothing but
 * file systems on these block devices. NULL, or the first entry that breaks
 * it. */
const struct plan_fs *plan_outside(const struct plan *p, const dev_t *disks,
				   size_t n_disks);

const char *plan_action_name(enum plan_action a);	/* as in the rules */

/* What `hvctl vss plan` shows: {"consistent": bool, "summary": "one sentence",
 * "file_systems": [{"order", "path", "type", "source", "action", "reason",
 * "level", ...}]}, vetoes first. order is null for what is not frozen. A
 * new reference; NULL when out of memory. */
json_t *plan_json(const struct plan *p);

#endif
