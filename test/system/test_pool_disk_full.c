/* test/system/test_pool_disk_full.c - a pool on a tmpfs of 64 KiB, in a mount
 * namespace of its own: when nothing fits any more, what is there stays, can
 * be read, replaced and deleted. Needs root; else skipped. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "kvp/pool.h"
#include "pool_dir.h"
#include "need.h"

static bool small_disk(const char *path)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", path, "tmpfs", 0, "size=64k") == 0;
}

static int fill(struct pool *p)
{
	char key[32];
	int n = 0, r;

	do {
		snprintf(key, sizeof(key), "key %d", n);
		r = pool_set(p, key, "value");
		n++;
		NEED(n < 100);
	} while (r == 0);
	NEED(r == -ENOSPC);
	return n - 1;
}

static void check(struct pool *p, int n)
{
	char key[32], value[KVP_VALUE_SIZE + 1];

	NEED(pool_count(p) == n);
	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		NEED(pool_get(p, key, value) == 0);
		NEED(!strcmp(value, "value"));
	}
}

static void use_full_disk(struct pool_dir *d)
{
	struct pool *p = pool_dir_open(d, POOL_WRITE);
	static const struct pool_kv more[] = { { "x", "1" }, { "y", "2" } };
	int n = fill(p);

	check(p, n);
	NEED(pool_append(p, "another", "x") == -ENOSPC);
	NEED(pool_import(p, more, 2, false) == -ENOSPC);
	check(p, n);
	NEED(pool_set(p, "key 1", "other") == 0);	/* needs no room */
	NEED(pool_set(p, "key 1", "value") == 0);
	check(p, n);
	pool_close(p);

	p = pool_dir_open(d, POOL_WRITE);
	check(p, n);
	snprintf(d->redo, sizeof(d->redo), "key %d", n - 1);
	NEED(pool_delete(p, d->redo) == 0);
	check(p, n - 1);
	NEED(pool_set(p, d->redo, "value") == 0);
	check(p, n);
	pool_close(p);
	printf("%d records fit\n", n);
}

int main(void)
{
	struct pool_dir d;
	bool mounted;

	pool_dir_make(&d);
	mounted = small_disk(d.path);
	if (mounted) {
		use_full_disk(&d);
		NEED(umount(d.path) == 0);
	}
	pool_dir_remove(&d);
	if (!mounted) {
		puts("needs root, for a mount namespace");
		return 77;
	}
	return 0;
}
