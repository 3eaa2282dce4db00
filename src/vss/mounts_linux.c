/* vss/mounts_linux.c - what is mounted, and what lies on what.
 *
 * From mountinfo of our own mount namespace, and of one process in each other
 * namespace that we may look at, libmount makes tables. A super block is known
 * by the device number in there, which all its mounts share, also those of
 * btrfs subvolumes, for each of which stat(2) has a number of its own.
 *
 * Which mounts a path can reach is decided from the table alone: a mount is
 * hidden by a sibling on one of its parent directories, and covered by a child
 * on its very root. What a loop device or an overlay lies on is looked up in
 * the table by path, too. So no directory is ever visited here: stat(2) on a
 * network mount whose server is gone would not come back.
 *
 * Behind a block device: sysfs. loop/backing_file names the file of a loop
 * device (and its parent directory's for a partition of one), slaves/ the
 * devices below device-mapper, md and the like. The file's name is as seen from
 * its own mount namespace, so the device itself is asked first: it knows the
 * file's st_dev, which is the super block's except on btrfs.
 */
#include "vss/plan.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vss/mounts.h"

enum {
	STACK_MAX = 16,			/* devices below each other */
	LOOP_MAJOR = 7,
};

/* One line of mountinfo. The strings are the table's. */
struct entry {
	int id, parent;
	size_t at;			/* its place in the table */
	dev_t dev;
	const char *target, *root, *source, *type, *options;
	struct entry *up;		/* the parent's entry, or NULL */
	bool covered;			/* another mount stands on its root */
	bool hidden;			/* no path leads to it */
	enum { TO_DO, DOING, KNOWN } state;	/* of hidden */
};

struct ns {				/* one mount namespace */
	struct libmnt_table *table;
	struct entry *e;		/* in the order of the table */
	struct entry **by_id, **by_place;
	size_t n;
	int pid;			/* 0: our own */
	bool closed;			/* no way to its paths for us */
};

struct reader {
	const char *root;		/* "" or a test's directory */
	struct mounts *ms;
	size_t cap;
	int *seen;			/* namespaces, by their first mount's ID */
	size_t n_seen;
};

/* One namespace's table --------------------------------------------------- */

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static int compare_id(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* By parent, then by path: where in the parent is something mounted? */
static int compare_place(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	if ((*x)->parent != (*y)->parent)
		return (*x)->parent < (*y)->parent ? -1 : 1;
	return strcmp((*x)->target, (*y)->target);
}

static const struct entry *find_place(const struct ns *ns, int parent,
				      const char *target)
{
	const struct entry key = { .parent = parent, .target = target };
	const struct entry *k = &key, **found;

	found = bsearch(&k, ns->by_place, ns->n, sizeof(*ns->by_place),
			compare_place);
	return found ? *found : NULL;
}

static struct entry *find_id(const struct ns *ns, int id)
{
	const struct entry key = { .id = id };
	const struct entry *k = &key;
	struct entry **found;

	found = bsearch(&k, ns->by_id, ns->n, sizeof(*ns->by_id), compare_id);
	return found ? *found : NULL;
}

static size_t table_entries(struct ns *ns)
{
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	size_t n = 0;

	while (it && mnt_table_next_fs(ns->table, it, &fs) == 0) {
		struct entry *e = &ns->e[n];

		*e = (struct entry){
			.id = mnt_fs_get_id(fs),
			.parent = mnt_fs_get_parent_id(fs),
			.at = n,
			.dev = mnt_fs_get_devno(fs),
			.target = mnt_fs_get_target(fs),
			.root = or_empty(mnt_fs_get_root(fs)),
			.source = or_empty(mnt_fs_get_source(fs)),
			.type = or_empty(mnt_fs_get_fstype(fs)),
			.options = or_empty(mnt_fs_get_fs_options(fs)),
		};
		if (e->target && *e->target == '/')
			n++;
	}
	mnt_free_iter(it);
	return n;
}

/* Is a sibling mounted on one of the directories above it? */
static bool under_sibling(const struct ns *ns, const struct entry *e)
{
	char *path = strdup(e->target);
	bool found = false;

	for (char *slash; path && !found && (slash = strrchr(path, '/')); ) {
		if (slash == path)
			slash++;
		if (!*slash)
			break;			/* it was "/" already */
		*slash = '\0';
		/* The parent's own root is no directory above. */
		if (e->up && strlen(path) <= strlen(e->up->target))
			break;
		found = find_place(ns, e->parent, path) != NULL;
	}
	free(path);
	return found;
}

/* Reachable if the parent is, and neither a sibling nor a cover on the
 * parent's root is in the way. */
static bool is_hidden(const struct ns *ns, struct entry *e)
{
	const struct entry *cover;

	if (e->state == KNOWN)
		return e->hidden;
	if (e->state == DOING)
		return true;			/* a circle: no such thing */
	e->state = DOING;
	if (e->up) {
		cover = find_place(ns, e->parent, e->up->target);
		e->hidden = is_hidden(ns, e->up) || under_sibling(ns, e) ||
			    (cover && cover != e && cover != e->up &&
			     strcmp(e->target, e->up->target) != 0);
	}
	e->state = KNOWN;
	return e->hidden;
}

static void relate(struct ns *ns)
{
	for (size_t i = 0; i < ns->n; i++)
		ns->by_id[i] = ns->by_place[i] = &ns->e[i];
	qsort(ns->by_id, ns->n, sizeof(*ns->by_id), compare_id);
	qsort(ns->by_place, ns->n, sizeof(*ns->by_place), compare_place);
	for (size_t i = 0; i < ns->n; i++) {
		struct entry *e = &ns->e[i];
		const struct entry *on = find_place(ns, e->id, e->target);

		e->up = e->parent == e->id ? NULL : find_id(ns, e->parent);
		e->covered = on && on != e;
	}
	for (size_t i = 0; i < ns->n; i++)
		is_hidden(ns, &ns->e[i]);
}

static void ns_close(struct ns *ns)
{
	mnt_unref_table(ns->table);
	free(ns->e);
	free(ns->by_id);
	free(ns->by_place);
	*ns = (struct ns){ 0 };
}

/* 0 or -errno; the caller closes it in either case. */
static int ns_open(struct ns *ns, FILE *f, const char *name, int pid)
{
	size_t n;

	*ns = (struct ns){ .pid = pid, .table = mnt_new_table() };
	if (!ns->table || mnt_table_parse_stream(ns->table, f, name) != 0)
		return -ENOMEM;
	n = (size_t)mnt_table_get_nents(ns->table) + 1;
	ns->e = calloc(n, sizeof(*ns->e));
	ns->by_id = calloc(n, sizeof(*ns->by_id));
	ns->by_place = calloc(n, sizeof(*ns->by_place));
	if (!ns->e || !ns->by_id || !ns->by_place)
		return -ENOMEM;
	ns->n = table_entries(ns);
	relate(ns);
	return 0;
}

/* The mount that a canonical path leads to. */
static const struct entry *ns_lookup(const struct ns *ns, const char *path)
{
	const struct entry *best = NULL;

	for (size_t i = 0; i < ns->n; i++) {
		const struct entry *e = &ns->e[i];
		size_t len = strlen(e->target);

		if (len == 1)
			len = 0;
		if (e->hidden || e->covered || strncmp(path, e->target, len) ||
		    (path[len] && path[len] != '/'))
			continue;
		if (!best || strlen(best->target) < strlen(e->target))
			best = e;
	}
	return best;
}

/* Behind a device --------------------------------------------------------- */

static void add_backing(struct mount *m, dev_t dev)
{
	size_t max = sizeof(m->backing) / sizeof(*m->backing);

	for (unsigned i = 0; i < m->n_backing; i++)
		if (m->backing[i] == dev)
			return;
	if (m->n_backing < max && dev != m->dev)
		m->backing[m->n_backing++] = dev;
}

static void add_backing_path(struct mount *m, const struct ns *ns,
			     const char *path)
{
	const struct entry *e = *path == '/' ? ns_lookup(ns, path) : NULL;

	if (e)
		add_backing(m, e->dev);
}

/* The first line of a small file, without its end. False: not there. */
static bool read_line(char *buf, size_t cap, const char *path)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)cap, f);

	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	if (f)
		fclose(f);
	return ok;
}

bool mounts_parse_dev(dev_t *dev, const char *s)
{
	unsigned ma, mi;
	char end;

	if (!isdigit((unsigned char)*s) ||
	    sscanf(s, "%9u:%9u%c", &ma, &mi, &end) != 2)
		return false;
	*dev = makedev(ma, mi);
	return true;
}

static bool read_dev(dev_t *dev, const char *path)
{
	char line[32];

	return read_line(line, sizeof(line), path) &&
	       mounts_parse_dev(dev, line);
}

/* What the loop device says its file is on; 0: it was not asked. */
static dev_t loop_file_dev(const struct reader *r, dev_t dev)
{
	struct loop_info64 info = { 0 };
	char node[32];
	struct stat st;
	int fd, err;

	if (*r->root || major(dev) != LOOP_MAJOR)
		return 0;
	snprintf(node, sizeof(node), "/dev/loop%u", minor(dev));
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	err = fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || st.st_rdev != dev ||
	      ioctl(fd, LOOP_GET_STATUS64, &info) < 0;
	close(fd);
	return err ? 0 : (dev_t)info.lo_device;
}

static bool has_dev(const struct ns *ns, dev_t dev)
{
	for (size_t i = 0; i < ns->n; i++)
		if (ns->e[i].dev == dev)
			return true;
	return false;
}

static void add_loop_file(const struct reader *r, struct mount *m,
			  const struct ns *ns, dev_t loop, const char *file)
{
	dev_t on = loop_file_dev(r, loop);

	if (on && (major(on) || has_dev(ns, on)))
		add_backing(m, on);
	else
		add_backing_path(m, ns, file);
}

static void walk_device(const struct reader *r, struct mount *m,
			const struct ns *ns, dev_t dev, int depth);

static void walk_slaves(const struct reader *r, struct mount *m,
			const struct ns *ns, const char *dir, int depth)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];
	dev_t dev;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s/dev", dir, e->d_name) >=
		    (int)sizeof(path))
			continue;
		if (read_dev(&dev, path))
			walk_device(r, m, ns, dev, depth + 1);
	}
	if (d)
		closedir(d);
}

static void walk_device(const struct reader *r, struct mount *m,
			const struct ns *ns, dev_t dev, int depth)
{
	/* A partition's own directory says nothing of what its disk is. */
	static const char *const where[] = { "", "../" };
	char dir[PATH_MAX - 64], path[PATH_MAX], file[PATH_MAX];

	if (depth > STACK_MAX ||
	    snprintf(dir, sizeof(dir), "%s/sys/dev/block/%u:%u", r->root,
		     major(dev), minor(dev)) >= (int)sizeof(dir))
		return;
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%sloop/backing_file", dir,
			 where[i]);
		if (read_line(file, sizeof(file), path))
			add_loop_file(r, m, ns, dev, file);
		snprintf(path, sizeof(path), "%s/%sslaves", dir, where[i]);
		walk_slaves(r, m, ns, path, depth);
	}
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The number of a device that a file system names as its source; file systems
 * with an anonymous number of their own, like btrfs, leave us no other way. */
static dev_t source_dev(const struct reader *r, const char *source)
{
	char path[PATH_MAX];
	struct stat st;
	dev_t dev;

	if (strncmp(source, "/dev/", 5) != 0)
		return 0;
	snprintf(path, sizeof(path), "%s/sys/class/block/%.200s/dev", r->root,
		 last_part(source));
	if (read_dev(&dev, path))
		return dev;
	return !*r->root && stat(source, &st) == 0 && S_ISBLK(st.st_mode)
	       ? st.st_rdev : 0;
}

/* btrfs on several devices: the file system whose list has ours. */
static void walk_btrfs(const struct reader *r, struct mount *m,
		       const struct ns *ns)
{
	char base[PATH_MAX - 600], path[PATH_MAX];
	struct dirent *e;
	dev_t dev;
	DIR *d;

	snprintf(base, sizeof(base), "%.2000s/sys/fs/btrfs", r->root);
	d = opendir(base);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s/devices/%.255s/dev", base,
			 e->d_name, last_part(m->source));
		if (e->d_name[0] == '.' || !read_dev(&dev, path) ||
		    dev != m->disk)
			continue;
		snprintf(path, sizeof(path), "%s/%s/devices", base, e->d_name);
		walk_slaves(r, m, ns, path, 0);
	}
	if (d)
		closedir(d);
}

void mounts_overlay_layers(const char *options,
			   void (*layer)(void *arg, const char *path),
			   void *arg)
{
	static const char *const names[] = { "lowerdir=", "upperdir=",
					     "lowerdir+=", "datadir+=" };
	char path[PATH_MAX];
	size_t n = 0;

	for (const char *p = options; *p; p += *p == ',') {
		bool dirs = false;

		for (size_t i = 0; i < 4 && !dirs; i++)
			if (strncmp(p, names[i], strlen(names[i])) == 0) {
				p += strlen(names[i]);
				dirs = true;
			}
		/* "a:b\:c,": a colon ends a layer, a backslash protects. */
		for (; *p && *p != ','; p++) {
			if (*p == ':' && dirs) {
				path[n] = '\0';
				layer(arg, path);
				n = 0;
				continue;
			}
			if (*p == '\\' && p[1])
				p++;
			if (dirs && n + 1 < sizeof(path))
				path[n++] = *p;
		}
		path[n] = '\0';
		if (dirs)
			layer(arg, path);
		n = 0;
	}
}

struct layers {
	struct mount *m;
	const struct ns *ns;
};

static void add_layer(void *arg, const char *path)
{
	struct layers *l = arg;

	add_backing_path(l->m, l->ns, path);
}

/* udev knows the type of the partition. */
static bool on_efi_partition(const struct reader *r, const struct mount *m)
{
	static const char efi[] =
		"E:ID_PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
	char path[PATH_MAX], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/run/udev/data/b%u:%u", r->root,
		 major(m->disk), minor(m->disk));
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = strcmp(line, efi) == 0;
	}
	if (f)
		fclose(f);
	return found;
}

static void look_behind(const struct reader *r, struct mount *m,
			const struct ns *ns)
{
	struct layers layers = { m, ns };

	m->disk = major(m->dev) ? m->dev : source_dev(r, m->source);
	if (m->disk)
		walk_device(r, m, ns, m->disk, 0);
	if (m->disk && strcmp(m->type, "btrfs") == 0)
		walk_btrfs(r, m, ns);
	if (strcmp(m->type, "overlay") == 0)
		mounts_overlay_layers(m->options, add_layer, &layers);
	if (strcmp(m->type, "ecryptfs") == 0)
		add_backing_path(m, ns, m->source);
	if (strcmp(m->type, "vfat") == 0)
		m->efi = on_efi_partition(r, m);
}

/* Super blocks ------------------------------------------------------------ */

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; *p; p += strcspn(p, ","), p += *p == ',')
		if (strncmp(p, name, len) == 0 && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static struct mount *find_mount(const struct mounts *ms, dev_t dev)
{
	for (size_t i = 0; i < ms->n; i++)
		if (ms->m[i].dev == dev)
			return &ms->m[i];
	return NULL;
}

static struct mount *new_mount(struct reader *r, const struct entry *e)
{
	struct mounts *ms = r->ms;
	struct mount *m;

	if (ms->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;

		m = reallocarray(ms->m, cap, sizeof(*m));
		if (!m)
			return NULL;
		ms->m = m;
		r->cap = cap;
	}
	m = &ms->m[ms->n];
	*m = (struct mount){
		.dev = e->dev,
		.source = strdup(e->source),
		.type = strdup(e->type),
		.options = strdup(e->options),
		.read_only = has_option(e->options, "ro"),
	};
	ms->n++;
	return m->source && m->type && m->options ? m : NULL;
}

/* A better way to the file system than the one found before? The whole of it
 * rather than a directory, or a file, bound somewhere; a short path. */
static bool better(const struct entry *e, const struct entry *than)
{
	bool whole = strcmp(e->root, "/") == 0;

	if (e->hidden || e->covered)
		return false;
	if (!than)
		return true;
	if (whole != (strcmp(than->root, "/") == 0))
		return whole;
	return strlen(e->target) < strlen(than->target);
}

static char *path_of(const struct ns *ns, const struct entry *e)
{
	char *path;

	if (!ns->pid)
		return strdup(e->target);
	return asprintf(&path, "/proc/%d/root%s", ns->pid,
			e->target[1] ? e->target : "") < 0 ? NULL : path;
}

static int add_path(struct mount *m, const struct entry *e)
{
	char **paths = m->paths;

	if ((m->n_mounts & (m->n_mounts + 1)) == 0 || !paths) {
		paths = reallocarray(paths, 2 * (size_t)m->n_mounts + 2,
				     sizeof(*paths));
		if (!paths)
			return -ENOMEM;
		m->paths = paths;
	}
	m->paths[m->n_mounts] = strdup(e->target);
	return m->paths[m->n_mounts] ? (m->n_mounts++, 0) : -ENOMEM;
}

/* The mounts of one super block in one namespace: entries [from, to) of the
 * list sorted by device. */
static int add_group(struct reader *r, const struct ns *ns,
		     struct entry *const *group, size_t n)
{
	struct mount *m = find_mount(r->ms, group[0]->dev);
	const struct entry *best = NULL;
	bool known = m != NULL;
	int err = 0;

	if (known && m->path)
		return 0;			/* nothing new from elsewhere */
	if (!known && !(m = new_mount(r, group[0])))
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (better(group[i], best))
			best = group[i];
	for (size_t i = 0; !err && !known && i < n; i++)
		err = add_path(m, group[i]);
	if (err < 0)
		return err;
	for (size_t i = 0; !ns->pid && i < n; i++)
		m->root |= strcmp(group[i]->target, "/") == 0 &&
			   !group[i]->hidden && !group[i]->covered;
	if (!known)
		m->elsewhere = ns->pid != 0;
	if (best && !ns->closed) {
		m->elsewhere = ns->pid != 0;
		m->path = path_of(ns, best);
		m->id = best->id;
		if (!m->path)
			return -ENOMEM;
	}
	if (!known)
		look_behind(r, m, ns);
	return 0;
}

static int compare_dev(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	if ((*x)->dev != (*y)->dev)
		return (*x)->dev < (*y)->dev ? -1 : 1;
	return ((*x)->at > (*y)->at) - ((*x)->at < (*y)->at);
}

static int add_ns(struct reader *r, const struct ns *ns)
{
	int err = 0;

	/* by_id has served its purpose. */
	qsort(ns->by_id, ns->n, sizeof(*ns->by_id), compare_dev);
	for (size_t i = 0, n; !err && i < ns->n; i += n) {
		for (n = 1; i + n < ns->n &&
			    ns->by_id[i + n]->dev == ns->by_id[i]->dev; n++)
			;
		err = add_group(r, ns, &ns->by_id[i], n);
	}
	return err;
}

/* Namespaces -------------------------------------------------------------- */

int mounts_add_stream(struct mounts *ms, FILE *f, const char *root)
{
	struct reader r = { .root = root, .ms = ms, .cap = ms->n };
	struct ns ns;
	int err = ns_open(&ns, f, "mountinfo", 0);

	if (!err)
		err = add_ns(&r, &ns);
	ns_close(&ns);
	return err;
}

/* Was it not there yet? -ENOMEM, 0, 1. */
static int add_seen(struct reader *r, int id)
{
	int *seen;

	for (size_t i = 0; i < r->n_seen; i++)
		if (r->seen[i] == id)
			return 0;
	seen = reallocarray(r->seen, r->n_seen + 1, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	r->seen = seen;
	r->seen[r->n_seen++] = id;
	return 1;
}

/* Mount IDs are unlike in all namespaces, so the first one tells whether this
 * is a new one. (The link ns/mnt says it too, but only to those who may trace
 * the process.) */
static int is_new_ns(struct reader *r, FILE *f)
{
	int id, n = fscanf(f, "%9d", &id);

	rewind(f);
	return n == 1 ? add_seen(r, id) : 0;
}

static bool may_enter(const struct reader *r, const char *process)
{
	char path[PATH_MAX], to[PATH_MAX];

	snprintf(path, sizeof(path), "%.2000s/proc/%s/root", r->root, process);
	return readlink(path, to, sizeof(to)) > 0;
}

/* A process that is gone by now, or is not for us to see, is no error. */
static int read_ns(struct reader *r, const char *process, int pid)
{
	char path[PATH_MAX];
	struct ns ns = { 0 };
	FILE *f;
	int err;

	snprintf(path, sizeof(path), "%.2000s/proc/%s/mountinfo", r->root,
		 process);
	f = fopen(path, "re");
	if (!f)
		return pid ? 0 : -errno;
	err = is_new_ns(r, f);
	if (err > 0) {
		err = ns_open(&ns, f, path, pid);
		ns.closed = pid && !may_enter(r, process);
		if (!err)
			err = add_ns(r, &ns);
		ns_close(&ns);
	}
	fclose(f);
	return err;
}

static int read_others(struct reader *r)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d;
	int err = 0;

	snprintf(path, sizeof(path), "%.2000s/proc", r->root);
	d = opendir(path);
	if (!d)
		return -errno;
	while (!err && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]))
			err = read_ns(r, e->d_name, atoi(e->d_name));
	closedir(d);
	return err;
}

int mounts_read_below(struct mounts *ms, const char *root)
{
	struct reader r = { .root = root, .ms = ms };
	int err;

	*ms = (struct mounts){ 0 };
	err = read_ns(&r, "self", 0);
	if (!err)
		err = read_others(&r);
	free(r.seen);
	if (err < 0)
		mounts_free(ms);
	return err;
}

int mounts_read(struct mounts *ms)
{
	return mounts_read_below(ms, "");
}

void mounts_free(struct mounts *ms)
{
	for (size_t i = 0; i < ms->n; i++) {
		struct mount *m = &ms->m[i];

		for (unsigned p = 0; m->paths && p < m->n_mounts; p++)
			free(m->paths[p]);
		free(m->paths);
		free(m->path);
		free(m->source);
		free(m->type);
		free(m->options);
	}
	free(ms->m);
	*ms = (struct mounts){ 0 };
}
