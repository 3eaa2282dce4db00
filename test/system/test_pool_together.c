/* test/system/test_pool_together.c - many programs on one pool file at once:
 * a reporter that appends as cloud-init does, two writers that use our code,
 * and one that enumerates all the while. Nothing is lost, torn or reordered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvp/pool.h"
#include "pool_dir.h"
#include "need.h"

enum { COUNT = 10000, N_WRITERS = 3 };

static const char *const names[N_WRITERS] = { "reporter", "one", "two" };
static const unsigned counts[N_WRITERS] = { COUNT, COUNT, COUNT / 10 };

static void make(char key[64], char value[64], unsigned who, unsigned i)
{
	snprintf(key, 64, "%s|%u", names[who], i);
	snprintf(value, 64, "%s wrote %u, all of it", names[who], i);
}

/* Open to append, lock, write, flush, unlock: once for each record. */
static void report(struct pool_dir *d)
{
	uint8_t rec[KVP_RECORD_SIZE];
	char key[64], value[64];

	for (unsigned i = 0; i < counts[0]; i++) {
		FILE *f = fopen(d->pool, "ab");

		NEED(f);
		NEED(flock(fileno(f), LOCK_EX) == 0);
		make(key, value, 0, i);
		rec_make(rec, key, value);
		NEED(fwrite(rec, sizeof(rec), 1, f) == 1);
		NEED(fflush(f) == 0);
		NEED(flock(fileno(f), LOCK_UN) == 0);
		fclose(f);
	}
}

static struct pool *open_pool(struct pool_dir *d, enum pool_access access)
{
	struct pool_cfg cfg = { .dir = d->path, .id = 1, .no_sync = true,
				.access = access, .lock_timeout_ms = 60000 };
	struct pool *p = pool_open(&cfg);

	NEED(p);
	return p;
}

static void set_all(struct pool_dir *d, unsigned who)
{
	struct pool *p = open_pool(d, POOL_WRITE);
	char key[64], value[64];

	for (unsigned i = 0; i < counts[who]; i++) {
		int r;

		make(key, value, who, i);
		r = pool_set(p, key, value);
		errno = -r;
		NEED(r == 0);
	}
	pool_close(p);
}

/* The next record of whoever wrote it must be his next one. */
static void check(const struct pool_kv *kv, unsigned next[N_WRITERS])
{
	char key[64], value[64];

	for (unsigned who = 0; who < N_WRITERS; who++) {
		make(key, value, who, next[who]);
		if (strcmp(kv->key, key))
			continue;
		NEED(!strcmp(kv->value, value));
		next[who]++;
		return;
	}
	fprintf(stderr, "unexpected key \"%s\"\n", kv->key);
	abort();
}

/* As the host does: index by index, to the end. */
static unsigned enumerate(struct pool *p)
{
	unsigned next[N_WRITERS] = { 0 };
	struct pool_kv kv;
	uint32_t i;
	int r;

	for (i = 0; (r = pool_at(p, i, &kv)) == 0; i++)
		check(&kv, next);
	NEED(r == -ENOENT);
	return i;
}

static pid_t start(struct pool_dir *d, unsigned who)
{
	pid_t pid = fork();

	NEED(pid >= 0);
	if (pid)
		return pid;
	if (who)
		set_all(d, who);
	else
		report(d);
	_exit(0);
}

int main(void)
{
	unsigned want = 0, total, passes = 0, steps = 0;
	struct timespec from, to;
	pid_t pid[N_WRITERS];
	struct pool_dir d;
	struct pool *p;

	pool_dir_make(&d);
	p = open_pool(&d, POOL_WRITE);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned who = 0; who < N_WRITERS; who++) {
		pid[who] = start(&d, who);
		want += counts[who];
	}
	do {
		total = enumerate(p);
		steps += total;
		passes++;
	} while (total < want);
	for (unsigned who = 0; who < N_WRITERS; who++) {
		int status;

		NEED(waitpid(pid[who], &status, 0) == pid[who]);
		NEED(status == 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	NEED(pool_count(p) == (ssize_t)total);
	NEED(pool_set(p, "two|0", "changed") == 0);
	NEED(pool_count(p) == (ssize_t)total);
	pool_close(p);
	pool_dir_remove(&d);
	printf("%u records, %u steps in %u passes, %.1f s\n", total, steps,
	       passes,
	       (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) / 1e9);
	return 0;
}
