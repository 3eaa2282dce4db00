/* app/hooks.c - look into the directories, and judge paths.
 *
 * A path is judged part by part from the root, symbolic links followed by
 * hand, because the link itself has to be safe and not only what it leads to
 * just now. What passes cannot be changed by anybody but those we trust, so
 * there is no race between looking and running. */
#include "app/hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINKS = 40 };

static const char *const arguments[HOOK_N_KINDS][4] = {
	[HOOK_NATIVE] = { "check", "freeze", "thaw", "fail" },
	[HOOK_QEMU_GA] = { NULL, "freeze", "thaw", "thaw" },
	[HOOK_OPEN_VM_TOOLS] = { NULL, "freeze", "thaw", "freezeFail" },
};

static const char *const kind_names[HOOK_N_KINDS] = {
	[HOOK_NATIVE] = "native",
	[HOOK_QEMU_GA] = "qemu-ga",
	[HOOK_OPEN_VM_TOOLS] = "open-vm-tools",
};

const char *hook_argument(enum hook_kind kind, enum hook_phase phase)
{
	return arguments[kind][phase];
}

const char *hook_kind_name(enum hook_kind kind)
{
	return kind_names[kind];
}

int hook_kind_parse(const char *name)
{
	for (int k = 0; k < HOOK_N_KINDS; k++)
		if (!strcmp(name, kind_names[k]))
			return k;
	return -EINVAL;
}

/* What run-parts(8), rpm, and qemu-guest-agent's own script pass over. */
bool hook_name_ignored(const char *name)
{
	static const char *const patterns[] = {
		".*", "*~", "*,", "*.bak", "*.orig", "*.rej", "*.swp",
		"*.sample", "*.disabled", "*.rpmnew", "*.rpmorig",
		"*.rpmsave", "*.dpkg-*", "*.ucf-*", "*.cfsaved", "README*",
	};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (fnmatch(patterns[i], name, 0) == 0)
			return true;
	return false;
}

/* Judging ---------------------------------------------------------------- */

static const char *unsafe(const struct stat *st, uid_t owner)
{
	if (st->st_uid != 0 && st->st_uid != owner)
		return "is not root's";
	if (S_ISLNK(st->st_mode))
		return NULL;		/* its mode says nothing */
	if (!(st->st_mode & 022))
		return NULL;
	if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) && !st->st_uid)
		return NULL;
	return "is writable for others";
}

/* Put what the link says in front of the rest. */
static int follow(char done[PATH_MAX], char rest[PATH_MAX])
{
	char target[PATH_MAX], joined[2 * PATH_MAX];
	ssize_t n = readlink(done, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	snprintf(joined, sizeof(joined), "%s/%s", target, rest);
	if (strlen(joined) >= PATH_MAX)
		return -ENAMETOOLONG;
	strcpy(rest, joined);
	if (target[0] == '/')
		done[0] = '\0';
	else
		*strrchr(done, '/') = '\0';
	return 0;
}

static void drop_last(char done[PATH_MAX])
{
	char *slash = strrchr(done, '/');

	if (slash)
		*slash = '\0';
}

/* Move the first part of rest to the end of done. 1; 0 nothing is left. */
static int next_part(char done[PATH_MAX], char rest[PATH_MAX])
{
	size_t skip = strspn(rest, "/"), n, have;

	n = strcspn(rest + skip, "/");
	if (n == 0)
		return 0;
	if (n == 2 && !strncmp(rest + skip, "..", 2)) {
		drop_last(done);
	} else if (n != 1 || rest[skip] != '.') {
		have = strlen(done);
		if (have + 1 + n >= PATH_MAX)
			return -ENAMETOOLONG;
		done[have] = '/';
		memcpy(done + have + 1, rest + skip, n);
		done[have + 1 + n] = '\0';
	}
	memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
	return 1;
}

static int judge(const char *done, uid_t owner, char *why, size_t cap,
		 struct stat *st)
{
	const char *path = *done ? done : "/", *wrong;

	if (lstat(path, st) < 0) {
		int err = -errno;

		snprintf(why, cap, "%s: %s", path, strerror(-err));
		return err;
	}
	wrong = unsafe(st, owner);
	if (!wrong)
		return 0;
	snprintf(why, cap, "%s %s", path, wrong);
	return -EPERM;
}

int hook_path_check(const char *path, uid_t owner, char *why, size_t cap)
{
	char done[PATH_MAX] = "", rest[PATH_MAX];
	unsigned links = 0;
	struct stat st;
	int r = judge(done, owner, why, cap, &st);

	if (r == 0 && (path[0] != '/' || strlen(path) >= PATH_MAX)) {
		snprintf(why, cap, "the path is not absolute");
		return -EINVAL;
	}
	if (r < 0)
		return r;
	strcpy(rest, path);
	while ((r = next_part(done, rest)) == 1) {
		r = judge(done, owner, why, cap, &st);
		if (r == 0 && S_ISLNK(st.st_mode))
			r = ++links > MAX_LINKS ? -ELOOP : follow(done, rest);
		if (r < 0)
			break;
	}
	if (r < 0 && r != -EPERM)
		snprintf(why, cap, "%s: %s", path, strerror(-r));
	return r;
}

/* Finding ---------------------------------------------------------------- */

int hooks_add(struct hooks *hs, const char *path, enum hook_kind kind,
	      uid_t owner)
{
	struct hook *more = realloc(hs->h, (hs->n + 1) * sizeof(*more));
	struct hook *h;

	if (!more)
		return -ENOMEM;
	hs->h = more;
	h = &more[hs->n];
	*h = (struct hook){ .path = strdup(path), .kind = kind };
	if (!h->path)
		return -ENOMEM;
	h->name = strrchr(h->path, '/') ? strrchr(h->path, '/') + 1 : h->path;
	hook_path_check(path, owner, h->refused, sizeof(h->refused));
	hs->n++;
	return 0;
}

/* 1: a hook; 0: none, or not executable, which is counted. */
static int is_hook(const char *path, unsigned *left_out)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (st.st_mode & 0111)
		return 1;
	if (left_out)
		++*left_out;
	return 0;
}

static int wanted(const struct dirent *e)
{
	return !hook_name_ignored(e->d_name);
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int hooks_find(struct hooks *hs, const char *dir, enum hook_kind kind,
	       uid_t owner, unsigned *left_out)
{
	struct dirent **names;
	char path[PATH_MAX];
	int n = scandir(dir, &names, wanted, by_bytes), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (r == 0 && snprintf(path, sizeof(path), "%s/%s", dir,
				       names[i]->d_name) >= PATH_MAX)
			r = -ENAMETOOLONG;
		if (r == 0 && is_hook(path, left_out))
			r = hooks_add(hs, path, kind, owner);
		free(names[i]);
	}
	free(names);
	return r;
}

void hooks_free(struct hooks *hs)
{
	for (size_t i = 0; i < hs->n; i++)
		free(hs->h[i].path);
	free(hs->h);
	*hs = (struct hooks){ 0 };
}
