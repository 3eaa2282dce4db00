/* kvp/pool.c - keys and values in a pool file, shared with programs that know
 * nothing of us.
 *
 * Nothing of the file is kept in memory but hashes of its keys (pool_index),
 * so a value is never stale; the index may be. When is it still right?
 *
 *   - If nobody but users of this code changed the file last (pool_file's
 *     "known"), the journal's epoch says: it is a new one whenever records
 *     moved or the file was found changed by others. With the epoch that we
 *     know there can be new records at the end, and only they are read.
 *   - Otherwise others changed the file. If it grew and the last record we
 *     knew is where it was, they appended (that is what reporters do): read
 *     the new records. If not, read all keys.
 *   - A file that others changed within the clock's current tick may change
 *     again without its times showing it. An index made then is used for the
 *     operation at hand and made anew for the next one.
 *
 * Whatever the index says, the record's key is compared before it is used.
 */
#include "kvp/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "kvp/pool_file.h"
#include "kvp/pool_index.h"

enum { FIND_TRIES = 3 };

/* The file's clock ticks at least this often; and that of a file system
 * which stores whole seconds. */
#define TICK_NS		((uint64_t)20 * 1000 * 1000)
#define TICK_COARSE_NS	((uint64_t)2 * 1000 * 1000 * 1000)

/* The state of the file that the index belongs to. */
struct stamp {
	bool valid;
	unsigned generation;	/* of the file */
	bool known;		/* it was one that the journal knew */
	bool racy;		/* may have changed without a trace */
	uint64_t epoch;		/* when known */
	uint64_t size, mtime_ns, ctime_ns;
	uint64_t last;		/* hash of the last whole record */
};

struct pool {
	struct pool_file f;
	struct pool_index ix;
	struct stamp stamp;
};

/* Opening ---------------------------------------------------------------- */

struct pool *pool_open(const struct pool_cfg *cfg)
{
	struct pool *p;
	int r;

	if (cfg->id >= KVP_N_POOLS) {
		errno = EINVAL;
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	r = pool_file_open(&p->f, cfg);
	if (r < 0) {
		free(p);
		errno = -r;
		return NULL;
	}
	return p;
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	pool_file_close(&p->f);
	pool_index_clear(&p->ix);
	free(p);
}

/* Records ---------------------------------------------------------------- */

static size_t rec_key_len(const uint8_t *rec)
{
	return strnlen((const char *)rec, KVP_KEY_SIZE);
}

static void copy_field(char *dst, const uint8_t *src, size_t size)
{
	size_t len = strnlen((const char *)src, size);

	memcpy(dst, src, len);
	dst[len] = '\0';
}

static void copy_value(char value[KVP_VALUE_SIZE + 1], const uint8_t *rec)
{
	copy_field(value, rec + KVP_KEY_SIZE, KVP_VALUE_SIZE);
}

static void copy_kv(struct pool_kv *kv, const uint8_t *rec)
{
	copy_field(kv->key, rec, KVP_KEY_SIZE);
	copy_value(kv->value, rec);
}

/* The index -------------------------------------------------------------- */

static void drop_index(struct pool *p)
{
	pool_index_clear(&p->ix);
	p->stamp.valid = false;
}

static int index_record(void *arg, uint32_t recno, const uint8_t *rec)
{
	struct pool *p = arg;

	(void)recno;
	return pool_index_add(&p->ix, pool_index_hash(rec, rec_key_len(rec)));
}

static bool is_racy(const struct stat *st)
{
	uint64_t changed = pool_file_ns(st->st_ctim), now = pool_file_now_ns();
	uint64_t age = now > changed ? now - changed : changed - now;

	return age <= (st->st_ctim.tv_nsec ? TICK_NS : TICK_COARSE_NS);
}

/* Remember the last record, to recognise an append by others. */
static int stamp_last(struct pool *p)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r;

	if (!p->ix.n)
		return 0;
	r = pool_file_read(&p->f, p->ix.n - 1, 1, rec);
	p->stamp.last = pool_index_hash(rec, sizeof(rec));
	return r;
}

/* The index now belongs to the file as begin found it. */
static int stamp_now(struct pool *p)
{
	p->stamp.valid = !p->f.overlay;
	p->stamp.generation = p->f.generation;
	p->stamp.known = p->f.known;
	p->stamp.racy = !p->f.known && is_racy(&p->f.st);
	p->stamp.epoch = p->f.redo.epoch;
	p->stamp.size = p->f.size;
	p->stamp.mtime_ns = pool_file_ns(p->f.st.st_mtim);
	p->stamp.ctime_ns = pool_file_ns(p->f.st.st_ctim);
	return stamp_last(p);
}

static int index_tail(struct pool *p)
{
	int r = pool_file_walk(&p->f, p->ix.n, pool_file_count(&p->f),
			       index_record, p);

	if (r == 0)
		r = stamp_now(p);
	if (r < 0)
		drop_index(p);
	return r;
}

static int index_all(struct pool *p)
{
	drop_index(p);
	return index_tail(p);
}

static bool same_times(const struct pool *p)
{
	return p->stamp.size == p->f.size &&
	       p->stamp.mtime_ns == pool_file_ns(p->f.st.st_mtim) &&
	       p->stamp.ctime_ns == pool_file_ns(p->f.st.st_ctim);
}

static bool last_is_where_it_was(struct pool *p)
{
	uint8_t rec[KVP_RECORD_SIZE];

	return p->ix.n && pool_file_read(&p->f, p->ix.n - 1, 1, rec) == 0 &&
	       pool_index_hash(rec, sizeof(rec)) == p->stamp.last;
}

/* Make the index right for the file as begin found it; see the top. */
static int refresh_index(struct pool *p)
{
	const struct stamp *s = &p->stamp;

	if (!s->valid || s->generation != p->f.generation)
		return index_all(p);
	if (p->f.known && s->known && p->f.redo.epoch == s->epoch &&
	    pool_file_count(&p->f) >= p->ix.n)
		return s->mtime_ns == p->f.redo.mtime_ns ? 0 : index_tail(p);
	if (same_times(p) && !s->racy)
		return 0;
	if (p->f.size > s->size && last_is_where_it_was(p))
		return index_tail(p);
	return index_all(p);
}

/* One search; -ESTALE when the index and the file do not fit together. */
static int find_once(struct pool *p, const char *key, size_t len,
		     uint32_t *recno, uint8_t rec[KVP_RECORD_SIZE])
{
	uint64_t hash = pool_index_hash(key, len);
	uint32_t i = pool_index_first(&p->ix, hash);

	for (; i != POOL_INDEX_NONE; i = pool_index_next(&p->ix, hash, i)) {
		size_t rec_len;
		int r = pool_file_read(&p->f, i, 1, rec);

		if (r < 0)
			return r;
		rec_len = rec_key_len(rec);
		*recno = i;
		if (rec_len == len && memcmp(rec, key, len) == 0)
			return 0;
		if (pool_index_hash(rec, rec_len) != hash)
			return -ESTALE;
	}
	return -ENOENT;
}

/* The first record with this key: its number and what is in it. 0, -ENOENT, or
 * -EBUSY: somebody changes the file and takes no lock. */
static int find(struct pool *p, const char *key, uint32_t *recno,
		uint8_t rec[KVP_RECORD_SIZE])
{
	size_t len = strlen(key);
	int r = refresh_index(p);

	for (int tries = 0; r == 0 && tries < FIND_TRIES; tries++) {
		r = find_once(p, key, len, recno, rec);
		if (r != -ESTALE)
			return r;
		r = index_all(p);
	}
	return r < 0 ? r : -EBUSY;
}

int pool_get(struct pool *p, const char *key, char value[KVP_VALUE_SIZE + 1])
{
	uint8_t rec[KVP_RECORD_SIZE];
	uint32_t i;
	int r;

	if (!*key)
		return -EINVAL;
	r = pool_file_begin(&p->f, false);
	if (r < 0)
		return r;
	r = find(p, key, &i, rec);
	pool_file_end(&p->f);
	if (r == 0 && value)
		copy_value(value, rec);
	return r;
}

int pool_at(struct pool *p, uint32_t index, struct pool_kv *kv)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r = pool_file_begin(&p->f, false);

	if (r < 0)
		return r;
	r = index < pool_file_count(&p->f) ?
	    pool_file_read(&p->f, index, 1, rec) : -ENOENT;
	pool_file_end(&p->f);
	if (r == 0)
		copy_kv(kv, rec);
	return r;
}

ssize_t pool_count(struct pool *p)
{
	int r = pool_file_begin(&p->f, false);

	if (r < 0)
		return r;
	pool_file_end(&p->f);
	return (ssize_t)pool_file_count(&p->f);
}

struct each {
	bool (*fn)(void *arg, const struct pool_kv *kv);
	void *arg;
};

static int each_record(void *arg, uint32_t recno, const uint8_t *rec)
{
	struct each *e = arg;
	struct pool_kv kv;

	(void)recno;
	copy_kv(&kv, rec);
	return !e->fn(e->arg, &kv);
}

int pool_each(struct pool *p, bool (*fn)(void *arg, const struct pool_kv *kv),
	      void *arg)
{
	struct each e = { fn, arg };
	int r = pool_file_begin(&p->f, false);

	if (r < 0)
		return r;
	r = pool_file_walk(&p->f, 0, pool_file_count(&p->f), each_record, &e);
	pool_file_end(&p->f);
	return r < 0 ? r : 0;
}

/* Changing --------------------------------------------------------------- */

static int commit(struct pool *p, struct redo *t, bool moved,
		  redo_post_fn post, void *arg)
{
	int r = pool_file_commit(&p->f, t, moved, post, arg);

	if (r < 0)
		drop_index(p);
	return r;
}

/* The index has followed the change t. */
static void stamp_change(struct pool *p, const struct redo *t)
{
	p->stamp.valid = true;
	p->stamp.known = true;
	p->stamp.racy = true;		/* unless known again later */
	p->stamp.epoch = t->epoch;
	p->stamp.size = t->new_size;
	p->stamp.mtime_ns = t->mtime_ns;
	if (stamp_last(p) < 0)
		drop_index(p);
}

static void put_record(uint8_t rec[KVP_RECORD_SIZE], const char *key,
		       const char *value)
{
	memset(rec, 0, KVP_RECORD_SIZE);
	memcpy(rec, key, strlen(key));
	memcpy(rec + KVP_KEY_SIZE, value, strlen(value));
}

static int check_text(const char *key, const char *value)
{
	size_t key_len = strnlen(key, KVP_KEY_SIZE);
	size_t value_len = strnlen(value, KVP_VALUE_SIZE);

	if (!key_len)
		return -EINVAL;
	if (key_len == KVP_KEY_SIZE || value_len == KVP_VALUE_SIZE)
		return -EMSGSIZE;
	if (!utf8_valid(key, key_len) || !utf8_valid(value, value_len))
		return -EILSEQ;
	return 0;
}

static int copy_post(void *arg, uint32_t recno, uint8_t rec[KVP_RECORD_SIZE])
{
	(void)recno;
	memcpy(rec, arg, KVP_RECORD_SIZE);
	return 0;
}

static int replace_record(struct pool *p, uint32_t i, uint8_t *rec)
{
	struct redo t = {
		.offset = (uint64_t)i * KVP_RECORD_SIZE,
		.pre_len = KVP_RECORD_SIZE, .post_len = KVP_RECORD_SIZE,
		.old_size = p->f.size, .new_size = p->f.size,
	};
	int r = commit(p, &t, false, copy_post, rec);

	if (r == 0)
		stamp_change(p, &t);
	return r;
}

static int append_record(struct pool *p, uint8_t *rec)
{
	uint64_t end = (uint64_t)pool_file_count(&p->f) * KVP_RECORD_SIZE;
	struct redo t = {
		.offset = end,			/* over a partial record */
		.pre_len = p->f.size - end, .post_len = KVP_RECORD_SIZE,
		.old_size = p->f.size, .new_size = end + KVP_RECORD_SIZE,
	};
	int r = pool_file_count(&p->f) < POOL_RECORDS_MAX ?
		commit(p, &t, false, copy_post, rec) : -EFBIG;

	if (r < 0)
		return r;
	/* An append does not look anything up, so the index may be behind. */
	if (p->stamp.valid && p->ix.n == t.offset / KVP_RECORD_SIZE &&
	    index_record(p, p->ix.n, rec) == 0)
		stamp_change(p, &t);
	else
		drop_index(p);
	return 0;
}

static int set_locked(struct pool *p, uint8_t *rec, const char *key)
{
	uint8_t old[KVP_RECORD_SIZE];
	uint32_t i;
	int r = find(p, key, &i, old);

	if (r == -ENOENT)
		return append_record(p, rec);
	return r < 0 ? r : replace_record(p, i, rec);
}

int pool_set(struct pool *p, const char *key, const char *value)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r = check_text(key, value);

	if (r == 0)
		r = pool_file_begin(&p->f, true);
	if (r < 0)
		return r;
	put_record(rec, key, value);
	r = set_locked(p, rec, key);
	pool_file_end(&p->f);
	return r;
}

int pool_append(struct pool *p, const char *key, const char *value)
{
	uint8_t rec[KVP_RECORD_SIZE];
	int r = check_text(key, value);

	if (r == 0)
		r = pool_file_begin(&p->f, true);
	if (r < 0)
		return r;
	put_record(rec, key, value);
	r = p->stamp.valid ? refresh_index(p) : 0;
	if (r == 0)
		r = append_record(p, rec);
	pool_file_end(&p->f);
	return r;
}

static int delete_record(struct pool *p, uint32_t i)
{
	uint64_t offset = (uint64_t)i * KVP_RECORD_SIZE;
	uint32_t left = pool_file_count(&p->f) - 1;
	uint64_t new_size = (uint64_t)left * KVP_RECORD_SIZE;
	struct redo t = {
		.shift = true, .offset = offset,
		.pre_len = p->f.size - offset, .post_len = new_size - offset,
		.old_size = p->f.size, .new_size = new_size,
	};
	int r = commit(p, &t, true, NULL, NULL);

	if (r < 0)
		return r;
	pool_index_remove(&p->ix, i);
	stamp_change(p, &t);
	return 0;
}

int pool_delete(struct pool *p, const char *key)
{
	uint8_t old[KVP_RECORD_SIZE];
	uint32_t i;
	int r;

	if (!*key)
		return -EINVAL;
	r = pool_file_begin(&p->f, true);
	if (r < 0)
		return r;
	r = find(p, key, &i, old);
	if (r == 0)
		r = delete_record(p, i);
	pool_file_end(&p->f);
	return r;
}

/* Import ----------------------------------------------------------------- */

/* Which of kv[] ends up in which record. */
struct import {
	struct pool *p;
	const struct pool_kv *kv;
	uint32_t first;		/* record of from[0] */
	uint32_t end;		/* one past the last record of the new state */
	uint32_t *from;		/* number in kv[] plus one, or 0: unchanged */
};

static int import_post(void *arg, uint32_t recno, uint8_t rec[KVP_RECORD_SIZE])
{
	struct import *im = arg;
	uint32_t from = im->from[recno];

	if (!from)
		return pool_file_read(&im->p->f, recno, 1, rec);
	put_record(rec, im->kv[from - 1].key, im->kv[from - 1].value);
	return 0;
}

/* As find(), among the file's records and those that im adds to them, whose
 * hashes are in the index already. */
static int import_find(struct import *im, uint32_t n_old, const char *key,
		       uint32_t *recno)
{
	struct pool_index *ix = &im->p->ix;
	size_t len = strlen(key);
	uint64_t hash = pool_index_hash(key, len);
	uint32_t i = pool_index_first(ix, hash);
	uint8_t rec[KVP_RECORD_SIZE];

	for (; i != POOL_INDEX_NONE; i = pool_index_next(ix, hash, i)) {
		int r = 0;

		if (i < n_old)
			r = pool_file_read(&im->p->f, i, 1, rec);
		else
			put_record(rec, im->kv[im->from[i] - 1].key, "");
		if (r < 0)
			return r;
		*recno = i;
		if (rec_key_len(rec) == len && memcmp(rec, key, len) == 0)
			return 0;
	}
	return -ENOENT;
}

/* Give each of kv[] its record: pool_set() without the writing. */
static int import_place(struct import *im, uint32_t n_old, size_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		const char *key = im->kv[k].key;
		uint32_t i;
		int r = import_find(im, n_old, key, &i);

		if (r == -ENOENT) {
			i = im->end++;
			r = pool_index_add(&im->p->ix,
					   pool_index_hash(key, strlen(key)));
		}
		if (r < 0)
			return r;
		im->from[i] = k + 1;
		if (i < im->first)
			im->first = i;
	}
	return 0;
}

static int import_commit(struct import *im, bool replace)
{
	struct pool *p = im->p;
	uint64_t offset = (uint64_t)im->first * KVP_RECORD_SIZE;
	uint64_t new_size = (uint64_t)im->end * KVP_RECORD_SIZE;
	struct redo t = {
		.offset = offset,
		.pre_len = p->f.size - offset, .post_len = new_size - offset,
		.old_size = p->f.size, .new_size = new_size,
	};

	return commit(p, &t, replace, import_post, im);
}

static int import_all(struct import *im, size_t n)
{
	for (uint32_t k = 0; k < n; k++)
		im->from[k] = k + 1;
	im->first = 0;
	im->end = (uint32_t)n;
	return import_commit(im, true);
}

static int import_sets(struct import *im, size_t n)
{
	uint32_t n_old = pool_file_count(&im->p->f), any;
	uint8_t rec[KVP_RECORD_SIZE];
	int r = find(im->p, im->kv[0].key, &any, rec);	/* a fresh index */

	if (r < 0 && r != -ENOENT)
		return r;
	im->first = im->end = n_old;
	r = import_place(im, n_old, n);
	return r < 0 ? r : import_commit(im, false);
}

static int import_locked(struct pool *p, const struct pool_kv *kv, size_t n,
			 bool replace)
{
	struct import im = { .p = p, .kv = kv };
	int r;

	if (pool_file_count(&p->f) + n > POOL_RECORDS_MAX)
		return -EFBIG;
	im.from = calloc(pool_file_count(&p->f) + n + 1, sizeof(*im.from));
	if (!im.from)
		return -ENOMEM;
	r = replace ? import_all(&im, n) : import_sets(&im, n);
	drop_index(p);		/* it ran ahead of the file, or is all new */
	free(im.from);
	return r;
}

int pool_import(struct pool *p, const struct pool_kv *kv, size_t n,
		bool replace)
{
	int r = 0;

	if (n > POOL_RECORDS_MAX)
		return -EFBIG;
	for (size_t k = 0; k < n && r == 0; k++)
		r = check_text(kv[k].key, kv[k].value);
	if (r < 0 || (n == 0 && !replace))
		return r;
	r = pool_file_begin(&p->f, true);
	if (r < 0)
		return r;
	r = import_locked(p, kv, n, replace);
	pool_file_end(&p->f);
	return r;
}
