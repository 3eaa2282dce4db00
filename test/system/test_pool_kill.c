/* test/system/test_pool_kill.c - kill -9 a program that changes a pool, 1,000
 * times, wherever it happens to be; each change that it had reported is there,
 * and the one under way is there whole or not at all.
 *
 * The child writes one byte for each change made. The parent kills it when a
 * random number of them has come, counts the rest that came, and replays the
 * same random changes on a plain array. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kvp/pool.h"
#include "pool_dir.h"
#include "need.h"

enum { ROUNDS = 1000, KEYS = 24, RECORDS_MAX = 400, MOST_ACKS = 24 };

/* The array -------------------------------------------------------------- */

struct rec { unsigned key, value; };
struct model { size_t n; struct rec rec[RECORDS_MAX]; };

enum kind { SET, APPEND, DELETE };
struct step { enum kind kind; unsigned key, value; };

/* Step number i of a round; the same in both processes. */
static struct step step_of(unsigned round, unsigned i)
{
	unsigned seed = round * 7919 + i;
	unsigned a = (unsigned)rand_r(&seed), b = (unsigned)rand_r(&seed);
	static const enum kind kinds[] = { SET, SET, SET, APPEND, DELETE,
					   DELETE };

	return (struct step){ kinds[a % 6], b % KEYS,
			      (unsigned)rand_r(&seed) % 100000 };
}

static size_t model_find(const struct model *m, unsigned key)
{
	size_t i = 0;

	while (i < m->n && m->rec[i].key != key)
		i++;
	return i;
}

static void model_step(struct model *m, struct step s)
{
	size_t i = s.kind == APPEND ? m->n : model_find(m, s.key);

	if (s.kind != DELETE) {
		NEED(i < RECORDS_MAX);
		m->rec[i] = (struct rec){ s.key, s.value };
		m->n += i == m->n;
	} else if (i < m->n) {
		m->n--;
		memmove(&m->rec[i], &m->rec[i + 1],
			(m->n - i) * sizeof(m->rec[0]));
	}
}

/* The pool --------------------------------------------------------------- */

static void make_key(char out[KVP_KEY_SIZE + 1], unsigned key)
{
	snprintf(out, KVP_KEY_SIZE + 1, "key %u", key);
}

/* As long as can be for some, so that records cross pages in the middle. */
static void make_value(char out[KVP_VALUE_SIZE + 1], unsigned value)
{
	size_t len = value % 3 ? value % 2048 : 2047;

	memset(out, 'a' + (int)(value % 26), len);
	out[len] = '\0';
	if (len > 8)
		memcpy(out + len - 8, "the end.", 8);
}

static int pool_step(struct pool *p, struct step s)
{
	char key[KVP_KEY_SIZE + 1], value[KVP_VALUE_SIZE + 1];
	int r;

	make_key(key, s.key);
	make_value(value, s.value);
	if (s.kind == SET)
		return pool_set(p, key, value);
	if (s.kind == APPEND)
		return pool_append(p, key, value);
	r = pool_delete(p, key);
	return r == -ENOENT ? 0 : r;
}

static struct pool *open_pool(struct pool_dir *d, bool no_sync)
{
	struct pool_cfg cfg = { .dir = d->path, .id = 1, .no_sync = no_sync,
				.access = POOL_WRITE };
	struct pool *p = pool_open(&cfg);

	NEED(p);
	return p;
}

static bool pool_is(struct pool *p, const struct model *m)
{
	char key[KVP_KEY_SIZE + 1], value[KVP_VALUE_SIZE + 1];
	struct pool_kv kv;

	if (pool_count(p) != (ssize_t)m->n)
		return false;
	for (size_t i = 0; i < m->n; i++) {
		make_key(key, m->rec[i].key);
		make_value(value, m->rec[i].value);
		NEED(pool_at(p, (uint32_t)i, &kv) == 0);
		if (strcmp(kv.key, key) || strcmp(kv.value, value))
			return false;
	}
	return true;
}

/* Rounds ----------------------------------------------------------------- */

static void child(struct pool_dir *d, unsigned round, int out)
{
	struct pool *p = open_pool(d, round % 16 != 0);

	for (unsigned i = 0;; i++) {
		NEED(pool_step(p, step_of(round, i)) == 0);
		NEED(write(out, "", 1) == 1);
	}
}

/* Read until the child is dead; kill it after `most` bytes. */
static unsigned acks_until_killed(pid_t pid, int in, unsigned most)
{
	unsigned acks = 0, spin = (unsigned)rand() % 60000;
	char c;

	while (acks < most && read(in, &c, 1) == 1)
		acks++;
	while (spin--)
		__asm__ volatile("");
	NEED(kill(pid, SIGKILL) == 0);
	while (read(in, &c, 1) == 1)
		acks++;
	return acks;
}

static unsigned run_child(struct pool_dir *d, unsigned round)
{
	int fd[2], status;
	unsigned acks;
	pid_t pid;

	NEED(pipe(fd) == 0);
	pid = fork();
	NEED(pid >= 0);
	if (pid == 0) {
		close(fd[0]);
		child(d, round, fd[1]);
		_exit(1);
	}
	close(fd[1]);
	acks = acks_until_killed(pid, fd[0], (unsigned)rand() % MOST_ACKS);
	close(fd[0]);
	NEED(waitpid(pid, &status, 0) == pid);
	NEED(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return acks;
}

int main(void)
{
	unsigned changes = 0, halves = 0;
	static struct model m;
	struct pool_dir d;

	pool_dir_make(&d);
	srand(3);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned acks = run_child(&d, round);
		struct pool *p = open_pool(&d, true);

		for (unsigned i = 0; i < acks; i++)
			model_step(&m, step_of(round, i));
		if (!pool_is(p, &m)) {		/* the one under way? */
			model_step(&m, step_of(round, acks));
			halves++;
			NEED(pool_is(p, &m));
		}
		/* Keep it small: the array has room for so many. */
		for (unsigned i = 0; m.n > RECORDS_MAX / 2; i++) {
			struct step s = { DELETE, i % KEYS, 0 };

			NEED(pool_step(p, s) == 0);
			model_step(&m, s);
		}
		pool_close(p);
		changes += acks;
	}
	pool_dir_remove(&d);
	printf("%d rounds, %u changes; %u times the one under way was made\n",
	       ROUNDS, changes, halves);
	return 0;
}
