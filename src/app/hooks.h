/* app/hooks.h - which programs take part in a backup by being run, and which
 * of them may be run.
 *
 * Three kinds of directories, whose hooks are called as their authors expect:
 *
 *   HOOK_NATIVE         check freeze thaw fail
 *   HOOK_QEMU_GA        qemu-guest-agent's fsfreeze-hook.d: freeze thaw, and
 *                       thaw after a failure, too
 *   HOOK_OPEN_VM_TOOLS  backupScripts.d: freeze thaw freezeFail
 *
 * Trust: a hook runs with our rights, so nobody but root, or whoever we are,
 *        may be able to change it, or to put another in its place: itself,
 *        each directory and each symbolic link on the way have to be owned so
 *        and not be writable for group or others. Sticky directories of
 *        root's, as /tmp, are fine: what is in there cannot be replaced.
 */
#ifndef APP_HOOKS_H
#define APP_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum hook_kind { HOOK_NATIVE, HOOK_QEMU_GA, HOOK_OPEN_VM_TOOLS, HOOK_N_KINDS };

enum hook_phase { HOOK_CHECK, HOOK_FREEZE, HOOK_THAW, HOOK_FAIL };

struct hook {
	char *path;
	const char *name;		/* the last part of it */
	enum hook_kind kind;
	char refused[160];		/* "" or why it may not be run */
};

struct hooks {
	struct hook *h;
	size_t n;
};

/* Append the hooks of a directory in the order of their names (as bytes). A
 * missing directory has none. owner: who besides root is trusted. Left out:
 * names as run-parts(8) and package managers know them, directories, and
 * files that nobody may execute. 0 or -errno; *left_out (may be NULL) counts
 * files that are not executable. */
int hooks_find(struct hooks *hs, const char *dir, enum hook_kind kind,
	       uid_t owner, unsigned *left_out);
/* Append one by its path, which is judged as those that are found. */
int hooks_add(struct hooks *hs, const char *path, enum hook_kind kind,
	      uid_t owner);
void hooks_free(struct hooks *hs);		/* and makes it empty */

/* The first argument; NULL: not called in this phase. */
const char *hook_argument(enum hook_kind kind, enum hook_phase phase);
const char *hook_kind_name(enum hook_kind kind);	/* "native" ... */
/* The kind; -EINVAL. */
int hook_kind_parse(const char *name);

/* A name that is no hook's: ".x", "x~", "x.dpkg-old", ... */
bool hook_name_ignored(const char *name);
/* 0, or -EPERM and which part of the path is not safe, and why; -errno. */
int hook_path_check(const char *path, uid_t owner, char *why, size_t cap);

#endif
