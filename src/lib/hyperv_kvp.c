/* lib/hyperv_kvp.c - the pools for programs: kvp/pool.c with texts for people,
 * and missing files that read as empty. */
#include <hyperv/kvp.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/utf16.h"
#include "kvp/pool.h"
#include "lib/kvp_error.h"

#define API __attribute__((visibility("default")))

_Static_assert((int)HV_KVP_KEY_SIZE == KVP_KEY_SIZE + 1, "record's key");
_Static_assert((int)HV_KVP_VALUE_SIZE == KVP_VALUE_SIZE + 1, "... and value");
_Static_assert(sizeof(struct hv_kvp_item) == sizeof(struct pool_kv), "items");

struct hv_kvp {
	struct pool *pool;	/* NULL: there was no file yet; only READ */
	struct pool_cfg cfg;
	char *dir;
};

API int hv_kvp_pool_parse(const char *text)
{
	for (unsigned id = 0; id < KVP_N_POOLS; id++) {
		const char number[] = { (char)('0' + id), '\0' };

		if (!strcmp(text, kvp_pool_name(id)) || !strcmp(text, number))
			return (int)id;
	}
	return kvp_fail(-EINVAL, "no pool is called %s; there are external "
			"(0), guest (1), auto (2), auto-external (3) and "
			"auto-internal (4)", kvp_quote(text));
}

API const char *hv_kvp_pool_name(unsigned pool)
{
	return pool < KVP_N_POOLS ? kvp_pool_name(pool) : NULL;
}

/* Opening ---------------------------------------------------------------- */

static int fail_open(const struct hv_kvp *h, int r)
{
	return kvp_fail(r, "cannot open pool %s in %s: %s",
			kvp_pool_name(h->cfg.id), kvp_quote(h->dir),
			strerror(-r));
}

/* Open the file if there is one by now. 0 also when there is none. */
static int find_file(struct hv_kvp *h)
{
	struct stat st;

	if (h->pool)
		return 0;
	h->pool = pool_open(&h->cfg);
	if (h->pool)
		return 0;
	if (errno == ENOENT && h->cfg.access == POOL_READ &&
	    stat(h->dir, &st) == 0)
		return 0;
	return fail_open(h, -errno);
}

API int hv_kvp_open(struct hv_kvp **out, unsigned pool, unsigned flags,
		    const char *state_dir)
{
	struct hv_kvp *h;
	int r;

	*out = NULL;
	if (pool >= KVP_N_POOLS)
		return kvp_fail(-EINVAL, "there is no pool %u", pool);
	h = calloc(1, sizeof(*h));
	if (!h || !(h->dir = strdup(state_dir ? state_dir : POOL_DIR))) {
		free(h);
		return kvp_fail(-ENOMEM, "out of memory");
	}
	h->cfg.dir = h->dir;
	h->cfg.id = pool;
	h->cfg.access = flags & HV_KVP_WRITE ? POOL_WRITE : POOL_READ;
	h->cfg.no_sync = flags & HV_KVP_NO_SYNC;
	/* What the administrator tells the guest may be secret. */
	h->cfg.mode = pool == KVP_POOL_EXTERNAL ? 0600 : 0644;
	r = find_file(h);
	if (r < 0) {
		hv_kvp_close(h);
		return r;
	}
	*out = h;
	return 0;
}

API void hv_kvp_close(struct hv_kvp *h)
{
	if (!h)
		return;
	pool_close(h->pool);
	free(h->dir);
	free(h);
}

/* Texts ------------------------------------------------------------------ */

static int fail_text(const char *what, const char *text, size_t max, int r)
{
	if (r == -EMSGSIZE)
		return kvp_fail(r, "%s %s is too long: %zu bytes, and %zu fit",
				what, kvp_quote(text), strlen(text), max);
	return kvp_fail(r, "%s %s is not UTF-8", what, kvp_quote(text));
}

static int check_key(const char *key)
{
	if (!*key)
		return kvp_fail(-EINVAL, "the key is empty");
	return 0;
}

/* The pool refused key or value: which of them? */
static int fail_item(const char *key, const char *value, int r)
{
	if (strlen(key) > HV_KVP_KEY_MAX)
		return fail_text("key", key, HV_KVP_KEY_MAX, r);
	if (r == -EMSGSIZE)
		return fail_text("value", value, HV_KVP_VALUE_MAX, r);
	return utf8_valid(key, strlen(key)) ?
	       fail_text("value", value, HV_KVP_VALUE_MAX, r) :
	       fail_text("key", key, HV_KVP_KEY_MAX, r);
}

static int fail_pool(const struct hv_kvp *h, int r)
{
	const char *name = kvp_pool_name(h->cfg.id);

	switch (r) {
	case -EACCES:
		return kvp_fail(r, h->cfg.access == POOL_READ ?
				"pool %s was opened for reading only" :
				"no permission for the files of pool %s", name);
	case -ETIMEDOUT:
		return kvp_fail(r, "another program keeps pool %s locked",
				name);
	default:
		return kvp_fail(r, "pool %s in %s: %s", name,
				kvp_quote(h->dir), strerror(-r));
	}
}

/* Report what an operation on (key, value) came to. */
static int result(const struct hv_kvp *h, const char *key, const char *value,
		  int r)
{
	switch (r) {
	case 0:
		return 0;
	case -ENOENT:
		return kvp_fail(r, "pool %s has no key %s",
				kvp_pool_name(h->cfg.id), kvp_quote(key));
	case -EINVAL:
		return *key ? fail_pool(h, r) : check_key(key);
	case -EMSGSIZE:
	case -EILSEQ:
		return fail_item(key, value, r);
	default:
		return fail_pool(h, r);
	}
}

/* One record ------------------------------------------------------------- */

API int hv_kvp_get(struct hv_kvp *h, const char *key,
		   char value[HV_KVP_VALUE_SIZE])
{
	int r = check_key(key);

	if (r == 0)
		r = find_file(h);
	if (r < 0)
		return r;
	return result(h, key, "",
		      h->pool ? pool_get(h->pool, key, value) : -ENOENT);
}

/* A handle that may write has its file; one that may not gets told so. */
static int no_file(const struct hv_kvp *h)
{
	return h->pool ? 0 : fail_pool(h, -EACCES);
}

API int hv_kvp_set(struct hv_kvp *h, const char *key, const char *value)
{
	int r = no_file(h);

	return r < 0 ? r : result(h, key, value, pool_set(h->pool, key, value));
}

API int hv_kvp_append(struct hv_kvp *h, const char *key, const char *value)
{
	int r = no_file(h);

	return r < 0 ? r :
	       result(h, key, value, pool_append(h->pool, key, value));
}

API int hv_kvp_delete(struct hv_kvp *h, const char *key)
{
	int r = no_file(h);

	return r < 0 ? r : result(h, key, "", pool_delete(h->pool, key));
}

/* All records ------------------------------------------------------------ */

static int fail_index(const struct hv_kvp *h, uint32_t index)
{
	return kvp_fail(-ENOENT, "pool %s has no record number %u",
			kvp_pool_name(h->cfg.id), index);
}

API int hv_kvp_at(struct hv_kvp *h, uint32_t index, struct hv_kvp_item *item)
{
	struct pool_kv kv;
	int r = find_file(h);

	if (r < 0)
		return r;
	r = h->pool ? pool_at(h->pool, index, &kv) : -ENOENT;
	if (r < 0)
		return r == -ENOENT ? fail_index(h, index) : fail_pool(h, r);
	strcpy(item->key, kv.key);
	strcpy(item->value, kv.value);
	return 0;
}

API ssize_t hv_kvp_count(struct hv_kvp *h)
{
	ssize_t n = find_file(h);

	if (n < 0)
		return n;
	n = h->pool ? pool_count(h->pool) : 0;
	if (n == -ENOENT)
		return 0;
	return n < 0 ? fail_pool(h, (int)n) : n;
}

struct list { struct hv_kvp_item *items; size_t n, cap; bool failed; };

static int list_grow(struct list *l)
{
	size_t cap = l->cap ? l->cap * 2 : 16;
	struct hv_kvp_item *more = reallocarray(l->items, cap, sizeof(*more));

	if (!more)
		return -ENOMEM;
	l->items = more;
	l->cap = cap;
	return 0;
}

static bool list_add(void *arg, const struct pool_kv *kv)
{
	struct list *l = arg;

	if (l->n == l->cap && list_grow(l) < 0) {
		l->failed = true;
		return false;
	}
	strcpy(l->items[l->n].key, kv->key);
	strcpy(l->items[l->n++].value, kv->value);
	return true;
}

API int hv_kvp_list(struct hv_kvp *h, struct hv_kvp_item **items, size_t *n)
{
	struct list l = { 0 };
	int r = find_file(h);

	*items = NULL;
	*n = 0;
	if (r < 0)
		return r;
	r = h->pool ? pool_each(h->pool, list_add, &l) : 0;
	if (l.failed)
		r = -ENOMEM;
	if (r < 0 && r != -ENOENT) {
		free(l.items);
		return fail_pool(h, r);
	}
	*items = l.items;
	*n = l.n;
	return 0;
}

/* Import ----------------------------------------------------------------- */

static int check_item(const struct hv_kvp_item *item)
{
	const char *key = item->key, *value = item->value;
	size_t key_len = strnlen(key, sizeof(item->key));
	size_t value_len = strnlen(value, sizeof(item->value));

	if (!key_len)
		return check_key(key);
	if (key_len > HV_KVP_KEY_MAX)
		return kvp_fail(-EMSGSIZE, "a key is too long: %zu bytes, and "
				"%d fit", key_len, HV_KVP_KEY_MAX);
	if (value_len > HV_KVP_VALUE_MAX)
		return kvp_fail(-EMSGSIZE, "the value of %s is too long: %zu "
				"bytes, and %d fit", kvp_quote(key), value_len,
				HV_KVP_VALUE_MAX);
	if (!utf8_valid(key, key_len) || !utf8_valid(value, value_len))
		return fail_item(key, value, -EILSEQ);
	return 0;
}

API int hv_kvp_import(struct hv_kvp *h, const struct hv_kvp_item *items,
		      size_t n, int replace)
{
	struct pool_kv *kv;
	int r = no_file(h);

	for (size_t i = 0; i < n && r == 0; i++)
		r = check_item(&items[i]);
	if (r < 0)
		return r;
	kv = calloc(n ? n : 1, sizeof(*kv));
	if (!kv)
		return kvp_fail(-ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		strcpy(kv[i].key, items[i].key);
		strcpy(kv[i].value, items[i].value);
	}
	r = pool_import(h->pool, kv, n, replace);
	free(kv);
	return r < 0 ? fail_pool(h, r) : 0;
}
