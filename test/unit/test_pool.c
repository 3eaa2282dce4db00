/* test/unit/test_pool.c - what a pool does with its own records and with those
 * of others. Crashes: test_pool_redo.c. Costs: test_pool_cost.c. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kvp/pool.h"
#include "pool_dir.h"

struct rig {
	struct pool_dir d;
	struct pool *p;
};

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	pool_dir_make(&g->d);
	g->p = pool_dir_open(&g->d, POOL_WRITE);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	pool_close(g->p);
	pool_dir_remove(&g->d);
	free(g);
	return 0;
}

static void assert_value(struct pool *p, const char *key, const char *value)
{
	char got[KVP_VALUE_SIZE + 1];

	assert_int_equal(pool_get(p, key, got), 0);
	assert_string_equal(got, value);
}

/* The whole pool, as "k=v k=v ..." */
static const char *listing(struct pool *p)
{
	static char text[4096];
	struct pool_kv kv;
	size_t len = 0;

	text[0] = '\0';
	for (uint32_t i = 0; pool_at(p, i, &kv) == 0; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%.9s=%.9s", i ? " " : "", kv.key,
					kv.value);
	return text;
}

static void outsider_appends(struct rig *g, const char *key, const char *value)
{
	uint8_t rec[KVP_RECORD_SIZE];

	rec_make(rec, key, value);
	file_append(g->d.pool, rec, sizeof(rec));
}

/* Our own records -------------------------------------------------------- */

static void a_value_set_is_got(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_get(g->p, "a", NULL), -ENOENT);
	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_int_equal(pool_set(g->p, "b", ""), 0);
	assert_int_equal(pool_set(g->p, "a", "2"), 0);
	assert_value(g->p, "a", "2");
	assert_value(g->p, "b", "");
	assert_string_equal(listing(g->p), "a=2 b=");
	assert_int_equal(pool_count(g->p), 2);
}

static void the_file_has_the_plain_format(void **state)
{
	struct rig *g = *state;
	uint8_t want[2 * KVP_RECORD_SIZE] = { 0 };
	uint8_t *got;
	size_t len;

	memcpy(want, "key", 3);
	memcpy(want + 512, "value", 5);
	memcpy(want + 2560, "\xc3\xa9", 2);
	memcpy(want + 2560 + 512, "x", 1);
	assert_int_equal(pool_set(g->p, "key", "value"), 0);
	assert_int_equal(pool_set(g->p, "\xc3\xa9", "x"), 0);
	got = file_read(g->d.pool, &len);
	assert_int_equal(len, sizeof(want));
	assert_memory_equal(got, want, len);
	free(got);
}

static void a_shorter_value_leaves_no_tail_of_the_old_one(void **state)
{
	struct rig *g = *state;
	char secret[2048];
	uint8_t *got;
	size_t len;

	memset(secret, 's', sizeof(secret) - 1);
	secret[2047] = '\0';
	assert_int_equal(pool_set(g->p, "k", secret), 0);
	assert_int_equal(pool_set(g->p, "k", "x"), 0);
	got = file_read(g->d.pool, &len);
	assert_int_equal(len, KVP_RECORD_SIZE);
	for (size_t i = 513; i < len; i++)
		assert_int_equal(got[i], 0);
	free(got);
}

static void the_journal_keeps_nothing_of_a_finished_change(void **state)
{
	struct rig *g = *state;
	uint8_t *got;
	size_t len;

	assert_int_equal(pool_set(g->p, "k", "secret"), 0);
	assert_int_equal(pool_delete(g->p, "k"), 0);
	got = file_read(g->d.redo, &len);
	assert_non_null(got);
	assert_null(memmem(got, len, "secret", 6));
	free(got);
}

static void duplicates_and_order_are_kept(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_append(g->p, "a", "1"), 0);
	assert_int_equal(pool_append(g->p, "b", "2"), 0);
	assert_int_equal(pool_append(g->p, "a", "3"), 0);
	assert_int_equal(pool_append(g->p, "c", "4"), 0);
	assert_value(g->p, "a", "1");
	assert_int_equal(pool_set(g->p, "a", "9"), 0);
	assert_string_equal(listing(g->p), "a=9 b=2 a=3 c=4");
	assert_int_equal(pool_delete(g->p, "a"), 0);
	assert_string_equal(listing(g->p), "b=2 a=3 c=4");
	assert_value(g->p, "a", "3");
	assert_value(g->p, "c", "4");
	assert_int_equal(pool_delete(g->p, "a"), 0);
	assert_int_equal(pool_delete(g->p, "a"), -ENOENT);
	assert_int_equal(pool_delete(g->p, "c"), 0);
	assert_string_equal(listing(g->p), "b=2");
}

static void the_longest_key_and_value_fit_and_no_longer_ones(void **state)
{
	struct rig *g = *state;
	char key[KVP_KEY_SIZE + 1], value[KVP_VALUE_SIZE + 1];
	struct pool_kv kv;

	memset(key, 'k', sizeof(key));
	memset(value, 'v', sizeof(value));
	key[512] = value[2048] = '\0';
	assert_int_equal(pool_set(g->p, key, "x"), -EMSGSIZE);
	assert_int_equal(pool_set(g->p, "x", value), -EMSGSIZE);
	assert_int_equal(pool_append(g->p, key, "x"), -EMSGSIZE);
	key[511] = value[2047] = '\0';
	assert_int_equal(pool_set(g->p, key, value), 0);
	assert_value(g->p, key, value);
	assert_int_equal(pool_at(g->p, 0, &kv), 0);
	assert_string_equal(kv.key, key);
	assert_string_equal(kv.value, value);
	assert_int_equal(pool_at(g->p, 1, &kv), -ENOENT);
}

static void refuses_what_is_not_text(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "", "x"), -EINVAL);
	assert_int_equal(pool_append(g->p, "", "x"), -EINVAL);
	assert_int_equal(pool_get(g->p, "", NULL), -EINVAL);
	assert_int_equal(pool_delete(g->p, ""), -EINVAL);
	assert_int_equal(pool_set(g->p, "a\xff", "x"), -EILSEQ);
	assert_int_equal(pool_set(g->p, "a", "\xed\xa0\x80"), -EILSEQ);
	assert_int_equal(pool_count(g->p), 0);
}

/* A defect of the daemons before us: no key matched the first record, and a
 * key matched every record that begins with it. */
static void a_key_matches_whole_keys_only(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "eth10", "x"), 0);
	assert_int_equal(pool_get(g->p, "eth1", NULL), -ENOENT);
	assert_int_equal(pool_delete(g->p, "eth1"), -ENOENT);
	assert_int_equal(pool_get(g->p, "eth100", NULL), -ENOENT);
	assert_value(g->p, "eth10", "x");
}

static void an_impossible_pool_is_refused(void **state)
{
	struct rig *g = *state;
	struct pool_cfg cfg = { .dir = g->d.path, .id = 5 };

	errno = 0;
	assert_null(pool_open(&cfg));
	assert_int_equal(errno, EINVAL);
	cfg.id = 255;
	assert_null(pool_open(&cfg));
	cfg.id = 3;
	assert_null(pool_open(&cfg));
	assert_int_equal(errno, ENOENT);
}

static void an_existing_directory_and_file_are_kept(void **state)
{
	struct rig *g = *state;
	struct pool *again;
	struct stat st;

	assert_int_equal(chmod(g->d.pool, 0600), 0);
	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	again = pool_dir_open(&g->d, POOL_WRITE);
	assert_value(again, "a", "1");
	pool_close(again);
	assert_int_equal(stat(g->d.pool, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_created_file_has_the_mode_asked_for(void **state)
{
	struct rig *g = *state;
	struct pool_cfg cfg = { .dir = g->d.path, .id = 0, .mode = 0640,
				.access = POOL_WRITE };
	mode_t mask = umask(0077);
	struct pool *p = pool_open(&cfg);
	char path[128];
	struct stat st;

	umask(mask);
	assert_non_null(p);
	snprintf(path, sizeof(path), "%s/.kvp_pool_0", g->d.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(pool_set(p, "a", "1"), 0);
	snprintf(path, sizeof(path), "%s/.redo_pool_0", g->d.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	pool_close(p);
}

static void a_reader_changes_nothing(void **state)
{
	struct rig *g = *state;
	struct pool *r = pool_dir_open(&g->d, POOL_READ);

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_value(r, "a", "1");
	assert_int_equal(pool_set(r, "a", "2"), -EACCES);
	assert_int_equal(pool_append(r, "a", "2"), -EACCES);
	assert_int_equal(pool_delete(r, "a"), -EACCES);
	assert_int_equal(pool_import(r, NULL, 0, true), -EACCES);
	assert_string_equal(listing(r), "a=1");
	pool_close(r);
}

static bool count_two(void *arg, const struct pool_kv *kv)
{
	(void)kv;
	return ++*(int *)arg < 2;
}

static void each_stops_when_told(void **state)
{
	struct rig *g = *state;
	int n = 0;

	for (int i = 0; i < 20; i++)
		assert_int_equal(pool_append(g->p, "k", "v"), 0);
	assert_int_equal(pool_each(g->p, count_two, &n), 0);
	assert_int_equal(n, 2);
}

/* Many keys, checked against a plain array ------------------------------- */

enum { MODEL_KEYS = 40, MODEL_STEPS = 4000 };

struct model { int n, key[MODEL_STEPS], value[MODEL_STEPS]; };

static int model_find(const struct model *m, int key)
{
	for (int i = 0; i < m->n; i++)
		if (m->key[i] == key)
			return i;
	return -1;
}

static void model_remove(struct model *m, int i)
{
	m->n--;
	memmove(m->key + i, m->key + i + 1,
		(size_t)(m->n - i) * sizeof(int));
	memmove(m->value + i, m->value + i + 1,
		(size_t)(m->n - i) * sizeof(int));
}

static void model_add(struct model *m, int key, int value)
{
	m->key[m->n] = key;
	m->value[m->n++] = value;
}

static void model_step(struct model *m, struct pool *p, int step)
{
	int key = rand() % MODEL_KEYS, i = model_find(m, key);
	char k[16], v[16], got[KVP_VALUE_SIZE + 1];

	snprintf(k, sizeof(k), "key %d", key);
	snprintf(v, sizeof(v), "%d", step);
	switch (rand() % 4) {
	case 0:
		assert_int_equal(pool_append(p, k, v), 0);
		model_add(m, key, step);
		break;
	case 1:
		assert_int_equal(pool_set(p, k, v), 0);
		if (i < 0)
			model_add(m, key, step);
		else
			m->value[i] = step;
		break;
	case 2:
		assert_int_equal(pool_delete(p, k), i < 0 ? -ENOENT : 0);
		if (i >= 0)
			model_remove(m, i);
		break;
	default:
		assert_int_equal(pool_get(p, k, got), i < 0 ? -ENOENT : 0);
		if (i >= 0)
			assert_int_equal(atoi(got), m->value[i]);
	}
}

static void assert_model(const struct model *m, struct pool *p)
{
	struct pool_kv kv;
	char k[16];

	assert_int_equal(pool_count(p), m->n);
	for (int i = 0; i < m->n; i++) {
		snprintf(k, sizeof(k), "key %d", m->key[i]);
		assert_int_equal(pool_at(p, (uint32_t)i, &kv), 0);
		assert_string_equal(kv.key, k);
		assert_int_equal(atoi(kv.value), m->value[i]);
	}
}

/* Three handles take turns, so each sees the changes of the others. */
static void any_mix_of_operations_gives_what_an_array_gives(void **state)
{
	struct rig *g = *state;
	struct pool *p[3] = { g->p, pool_dir_open(&g->d, POOL_WRITE),
			      pool_dir_open(&g->d, POOL_WRITE) };
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	srand(1);
	for (int step = 0; step < MODEL_STEPS; step++)
		model_step(m, p[rand() % 3], step);
	assert_model(m, p[0]);
	assert_model(m, p[2]);
	free(m);
	pool_close(p[1]);
	pool_close(p[2]);
}

/* Import ----------------------------------------------------------------- */

static void an_import_sets_in_order(void **state)
{
	struct rig *g = *state;
	static const struct pool_kv kv[] = {
		{ "b", "2" }, { "new", "3" }, { "b", "4" }, { "new", "5" },
		{ "last", "6" },
	};

	assert_int_equal(pool_append(g->p, "a", "1"), 0);
	assert_int_equal(pool_append(g->p, "b", "1"), 0);
	assert_int_equal(pool_append(g->p, "c", "1"), 0);
	assert_int_equal(pool_import(g->p, kv, 5, false), 0);
	assert_string_equal(listing(g->p), "a=1 b=4 c=1 new=5 last=6");
	assert_value(g->p, "last", "6");
	assert_int_equal(pool_import(g->p, NULL, 0, false), 0);
	assert_int_equal(pool_count(g->p), 5);
}

static void a_replacing_import_keeps_duplicates(void **state)
{
	struct rig *g = *state;
	static const struct pool_kv kv[] = { { "b", "1" }, { "b", "2" } };

	for (int i = 0; i < 9; i++)
		assert_int_equal(pool_append(g->p, "a", "1"), 0);
	assert_int_equal(pool_import(g->p, kv, 2, true), 0);
	assert_string_equal(listing(g->p), "b=1 b=2");
	assert_value(g->p, "b", "1");
	assert_int_equal(pool_import(g->p, NULL, 0, true), 0);
	assert_int_equal(pool_count(g->p), 0);
}

static void one_bad_item_spoils_the_whole_import(void **state)
{
	struct rig *g = *state;
	static const struct pool_kv kv[] = { { "b", "1" }, { "", "2" } };

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_int_equal(pool_import(g->p, kv, 2, false), -EINVAL);
	assert_int_equal(pool_import(g->p, kv, 2, true), -EINVAL);
	assert_string_equal(listing(g->p), "a=1");
}

/* Records of others ------------------------------------------------------ */

static void unterminated_fields_are_read_to_their_end(void **state)
{
	struct rig *g = *state;
	uint8_t recs[2 * KVP_RECORD_SIZE];
	struct pool_kv kv;

	memset(recs, 'z', sizeof(recs));
	recs[KVP_RECORD_SIZE] = 'y';
	file_write(g->d.pool, recs, sizeof(recs));
	assert_int_equal(pool_at(g->p, 0, &kv), 0);
	assert_int_equal(strlen(kv.key), 512);
	assert_int_equal(strlen(kv.value), 2048);
	assert_int_equal(pool_at(g->p, 1, &kv), 0);
	assert_int_equal(kv.key[0], 'y');
	assert_int_equal(pool_get(g->p, kv.key, NULL), 0);
	assert_int_equal(pool_delete(g->p, kv.key), 0);
	assert_int_equal(pool_count(g->p), 1);
}

static void a_trailing_partial_record_is_none(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	file_append(g->d.pool, "garbage", 7);
	assert_int_equal(pool_count(g->p), 1);
	assert_int_equal(pool_get(g->p, "garbage", NULL), -ENOENT);
	assert_int_equal(pool_set(g->p, "a", "2"), 0);
	assert_int_equal(pool_set(g->p, "b", "3"), 0);
	assert_string_equal(listing(g->p), "a=2 b=3");
	file_append(g->d.pool, "garbage", 7);
	assert_int_equal(pool_delete(g->p, "a"), 0);
	assert_string_equal(listing(g->p), "b=3");
}

static void what_others_append_is_seen(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	for (int i = 0; i < 100; i++) {
		char key[16];

		snprintf(key, sizeof(key), "out %d", i);
		outsider_appends(g, key, "x");
		assert_int_equal(pool_get(g->p, key, NULL), 0);
		snprintf(key, sizeof(key), "in %d", i);
		assert_int_equal(pool_set(g->p, key, "y"), 0);
	}
	assert_int_equal(pool_count(g->p), 201);
	assert_int_equal(pool_set(g->p, "out 0", "z"), 0);
	assert_int_equal(pool_count(g->p), 201);
}

static void what_others_truncate_is_gone(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_int_equal(pool_set(g->p, "b", "1"), 0);
	assert_int_equal(truncate(g->d.pool, 0), 0);
	assert_int_equal(pool_get(g->p, "a", NULL), -ENOENT);
	assert_int_equal(pool_set(g->p, "b", "2"), 0);
	assert_string_equal(listing(g->p), "b=2");
}

/* Same size, written at once: within the same tick of the file's clock. */
static void what_others_rewrite_is_seen_at_once(void **state)
{
	struct rig *g = *state;
	uint8_t recs[2 * KVP_RECORD_SIZE];

	for (int i = 0; i < 200; i++) {
		rec_make(recs, i % 2 ? "a" : "b", "1");
		rec_make(recs + KVP_RECORD_SIZE, i % 2 ? "b" : "c", "2");
		file_write(g->d.pool, recs, sizeof(recs));
		assert_int_equal(pool_get(g->p, "a", NULL),
				 i % 2 ? 0 : -ENOENT);
		assert_int_equal(pool_get(g->p, "c", NULL),
				 i % 2 ? -ENOENT : 0);
		assert_value(g->p, "b", i % 2 ? "2" : "1");
	}
}

/* Debian's daemon rewrites in place; so nothing but the times can tell. */
static void a_key_changed_in_place_right_after_us_is_seen(void **state)
{
	struct rig *g = *state;
	int fd = open(g->d.pool, O_WRONLY);
	uint8_t rec[KVP_RECORD_SIZE];

	assert_true(fd >= 0);
	for (int i = 0; i < 200; i++) {
		char key[16];

		assert_int_equal(pool_import(g->p, NULL, 0, true), 0);
		assert_int_equal(pool_set(g->p, "a", "1"), 0);
		assert_int_equal(pool_set(g->p, "b", "2"), 0);
		snprintf(key, sizeof(key), "new %d", i);
		rec_make(rec, key, "3");
		assert_int_equal(pwrite(fd, rec, sizeof(rec), 0), sizeof(rec));
		assert_int_equal(pool_get(g->p, key, NULL), 0);
		assert_int_equal(pool_get(g->p, "a", NULL), -ENOENT);
		assert_int_equal(pool_set(g->p, key, "4"), 0);
		assert_int_equal(pool_count(g->p), 2);
	}
	close(fd);
}

static void a_file_renamed_over_ours_is_the_pool_now(void **state)
{
	struct rig *g = *state;
	uint8_t rec[KVP_RECORD_SIZE];
	char other[128];

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	snprintf(other, sizeof(other), "%s/new", g->d.path);
	rec_make(rec, "b", "2");
	file_write(other, rec, sizeof(rec));
	assert_int_equal(rename(other, g->d.pool), 0);
	assert_string_equal(listing(g->p), "b=2");
	assert_int_equal(pool_set(g->p, "c", "3"), 0);
	assert_string_equal(listing(g->p), "b=2 c=3");
}

static void a_file_removed_under_us_is_an_empty_pool(void **state)
{
	struct rig *g = *state;
	struct pool *r = pool_dir_open(&g->d, POOL_READ);

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_int_equal(unlink(g->d.pool), 0);
	assert_int_equal(pool_get(r, "a", NULL), -ENOENT);
	assert_int_equal(pool_get(g->p, "a", NULL), -ENOENT);
	assert_int_equal(pool_set(g->p, "b", "2"), 0);
	assert_string_equal(listing(r), "b=2");
	pool_close(r);
}

static void a_removed_journal_is_made_anew(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_int_equal(unlink(g->d.redo), 0);
	assert_int_equal(pool_set(g->p, "b", "2"), 0);
	assert_int_equal(access(g->d.redo, F_OK), 0);
	assert_string_equal(listing(g->p), "a=1 b=2");
}

/* Locks ------------------------------------------------------------------ */

enum lock_kind { BY_FLOCK, BY_FCNTL, BY_FLOCK_SHARED, BY_FCNTL_SHARED };

static int take_lock(int fd, enum lock_kind kind)
{
	struct flock fl = { .l_whence = SEEK_SET };

	if (kind == BY_FLOCK || kind == BY_FLOCK_SHARED)
		return flock(fd, kind == BY_FLOCK ? LOCK_EX : LOCK_SH);
	fl.l_type = kind == BY_FCNTL ? F_WRLCK : F_RDLCK;
	return fcntl(fd, F_SETLK, &fl);
}

/* Another process which holds a lock on pool 1 until its pipe closes. */
struct holder { pid_t pid; int until; };

static struct holder hold(struct rig *g, enum lock_kind kind)
{
	int ready[2], until[2];
	struct holder h;
	char c = 0;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(until), 0);
	h.pid = fork();
	assert_true(h.pid >= 0);
	if (h.pid == 0) {
		int fd = open(g->d.pool, O_RDWR);

		close(until[1]);
		if (fd < 0 || take_lock(fd, kind) < 0 ||
		    write(ready[1], &c, 1) != 1 || read(until[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(until[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	h.until = until[1];
	return h;
}

static void let_go(struct holder h)
{
	int status;

	close(h.until);
	assert_int_equal(waitpid(h.pid, &status, 0), h.pid);
	assert_int_equal(status, 0);
}

static struct pool *open_impatient(struct rig *g)
{
	struct pool_cfg cfg = { .dir = g->d.path, .id = 1, .no_sync = true,
				.access = POOL_WRITE, .lock_timeout_ms = 20 };
	struct pool *p = pool_open(&cfg);

	assert_non_null(p);
	return p;
}

static void exclusive_locks_of_either_kind_keep_us_out(void **state)
{
	struct rig *g = *state;
	struct pool *p = open_impatient(g);

	for (enum lock_kind k = BY_FLOCK; k <= BY_FCNTL; k++) {
		struct holder h = hold(g, k);

		assert_int_equal(pool_set(p, "a", "1"), -ETIMEDOUT);
		assert_int_equal(pool_get(p, "a", NULL), -ETIMEDOUT);
		assert_int_equal(pool_count(p), -ETIMEDOUT);
		let_go(h);
		assert_int_equal(pool_count(p), k);
		assert_int_equal(pool_append(p, "a", "1"), 0);
	}
	pool_close(p);
}

static void shared_locks_let_us_read_and_not_write(void **state)
{
	struct rig *g = *state;
	struct pool *p = open_impatient(g);

	assert_int_equal(pool_set(p, "a", "1"), 0);
	for (enum lock_kind k = BY_FLOCK_SHARED; k <= BY_FCNTL_SHARED; k++) {
		struct holder h = hold(g, k);

		assert_value(p, "a", "1");
		assert_int_equal(pool_set(p, "a", "2"), -ETIMEDOUT);
		let_go(h);
	}
	assert_value(p, "a", "1");
	pool_close(p);
}

/* POSIX locks go when any descriptor of the file is closed; ours must not. */
static bool probe_locks(void *arg, const struct pool_kv *kv)
{
	struct rig *g = arg;
	int fd = open(g->d.pool, O_RDWR), status;
	pid_t pid;

	(void)kv;
	close(fd);
	pid = fork();
	if (pid == 0) {
		fd = open(g->d.pool, O_RDWR);
		_exit(flock(fd, LOCK_EX | LOCK_NB) == 0 ? 1 :
		      take_lock(fd, BY_FCNTL) == 0 ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return true;
}

static void an_operation_holds_both_kinds_all_the_time(void **state)
{
	struct rig *g = *state;

	assert_int_equal(pool_set(g->p, "a", "1"), 0);
	assert_int_equal(pool_each(g->p, probe_locks, g), 0);
}

#define POOL_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		POOL_TEST(a_value_set_is_got),
		POOL_TEST(the_file_has_the_plain_format),
		POOL_TEST(a_shorter_value_leaves_no_tail_of_the_old_one),
		POOL_TEST(the_journal_keeps_nothing_of_a_finished_change),
		POOL_TEST(duplicates_and_order_are_kept),
		POOL_TEST(the_longest_key_and_value_fit_and_no_longer_ones),
		POOL_TEST(refuses_what_is_not_text),
		POOL_TEST(a_key_matches_whole_keys_only),
		POOL_TEST(an_impossible_pool_is_refused),
		POOL_TEST(an_existing_directory_and_file_are_kept),
		POOL_TEST(a_created_file_has_the_mode_asked_for),
		POOL_TEST(a_reader_changes_nothing),
		POOL_TEST(each_stops_when_told),
		POOL_TEST(any_mix_of_operations_gives_what_an_array_gives),
		POOL_TEST(an_import_sets_in_order),
		POOL_TEST(a_replacing_import_keeps_duplicates),
		POOL_TEST(one_bad_item_spoils_the_whole_import),
		POOL_TEST(unterminated_fields_are_read_to_their_end),
		POOL_TEST(a_trailing_partial_record_is_none),
		POOL_TEST(what_others_append_is_seen),
		POOL_TEST(what_others_truncate_is_gone),
		POOL_TEST(what_others_rewrite_is_seen_at_once),
		POOL_TEST(a_key_changed_in_place_right_after_us_is_seen),
		POOL_TEST(a_file_renamed_over_ours_is_the_pool_now),
		POOL_TEST(a_file_removed_under_us_is_an_empty_pool),
		POOL_TEST(a_removed_journal_is_made_anew),
		POOL_TEST(exclusive_locks_of_either_kind_keep_us_out),
		POOL_TEST(shared_locks_let_us_read_and_not_write),
		POOL_TEST(an_operation_holds_both_kinds_all_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
