/* lib/hyperv_watch.c - what changed in a pool, by comparing.
 *
 * inotify tells that somebody wrote to the file, or put another in its place;
 * what he did we learn by reading all records and comparing them with those
 * that we read before. Records at both ends which are the same are left out;
 * of what remains, the n-th record with a key is compared with the n-th record
 * that had this key. Changes that follow each other quickly are seen as one.
 */
#include <hyperv/kvp.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "kvp/pool.h"
#include "lib/kvp_error.h"

#define API __attribute__((visibility("default")))

struct record {
	char *key;		/* its value follows it in the same block */
	const char *value;
	size_t at;		/* number in the file */
	bool changed;		/* this one is to be reported */
};

struct state { struct record *rec; size_t n; };

struct hv_kvp_watch {
	struct hv_kvp *kvp;
	int fd, dir_wd, file_wd;
	char name[32];			/* of the file in its directory */
	char path[PATH_MAX];
	bool dirty;			/* compare even without an event */
	struct state old, now;		/* now is empty when all is reported */
	bool reporting;
	size_t next_old, next_now;	/* how far the report has come */
};

/* States ----------------------------------------------------------------- */

static void state_clear(struct state *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->rec[i].key);
	free(s->rec);
	*s = (struct state){ 0 };
}

static int record_copy(struct record *r, const struct hv_kvp_item *item)
{
	size_t key_len = strlen(item->key), value_len = strlen(item->value);

	r->key = malloc(key_len + value_len + 2);
	if (!r->key)
		return -ENOMEM;
	memcpy(r->key, item->key, key_len + 1);
	memcpy(r->key + key_len + 1, item->value, value_len + 1);
	r->value = r->key + key_len + 1;
	return 0;
}

static int state_copy(struct state *s, const struct hv_kvp_item *items,
		      size_t n)
{
	s->n = 0;
	s->rec = calloc(n ? n : 1, sizeof(*s->rec));
	if (!s->rec)
		return kvp_fail(-ENOMEM, "out of memory");
	for (; s->n < n; s->n++) {
		if (record_copy(&s->rec[s->n], &items[s->n]) < 0) {
			state_clear(s);
			return kvp_fail(-ENOMEM, "out of memory");
		}
		s->rec[s->n].at = s->n;
	}
	return 0;
}

static int state_read(struct state *s, struct hv_kvp *kvp)
{
	struct hv_kvp_item *items;
	size_t n;
	int r = hv_kvp_list(kvp, &items, &n);

	if (r < 0)
		return r;
	r = state_copy(s, items, n);
	free(items);
	return r;
}

/* Comparing -------------------------------------------------------------- */

static bool same(const struct record *a, const struct record *b)
{
	return !strcmp(a->key, b->key) && !strcmp(a->value, b->value);
}

static int by_key(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a;
	const struct record *y = *(struct record *const *)b;
	int r = strcmp(x->key, y->key);

	return r ? r : (x->at > y->at) - (x->at < y->at);
}

/* Pointers to n records from r on, sorted by key, then by place. */
static struct record **sorted(struct record *r, size_t n)
{
	struct record **p = calloc(n ? n : 1, sizeof(void *));

	for (size_t i = 0; p && i < n; i++)
		p[i] = &r[i];
	if (p)
		qsort(p, n, sizeof(void *), by_key);
	return p;
}

/* Walk both in order: equal keys pair up, what is left over has changed. */
static void pair_up(struct record **a, size_t na, struct record **b, size_t nb)
{
	size_t i = 0, j = 0;

	while (i < na || j < nb) {
		int order = i == na ? 1 : j == nb ? -1 :
			    strcmp(a[i]->key, b[j]->key);

		if (order < 0) {
			a[i++]->changed = true;
		} else if (order > 0) {
			b[j++]->changed = true;
		} else {
			b[j]->changed = strcmp(a[i]->value, b[j]->value) != 0;
			i++;
			j++;
		}
	}
}

static int compare(struct state *old, struct state *now)
{
	size_t head = 0, tail = 0;
	size_t least = old->n < now->n ? old->n : now->n;
	struct record **a, **b;

	while (head < least && same(&old->rec[head], &now->rec[head]))
		head++;
	while (tail < least - head && same(&old->rec[old->n - 1 - tail],
					   &now->rec[now->n - 1 - tail]))
		tail++;
	a = sorted(old->rec + head, old->n - head - tail);
	b = sorted(now->rec + head, now->n - head - tail);
	if (a && b)
		pair_up(a, old->n - head - tail, b, now->n - head - tail);
	free(a);
	free(b);
	return a && b ? 0 : kvp_fail(-ENOMEM, "out of memory");
}

/* Watching --------------------------------------------------------------- */

/* The file itself, whichever it is now; there may be none. */
static void watch_file(struct hv_kvp_watch *w)
{
	int wd = inotify_add_watch(w->fd, w->path, IN_MODIFY);

	if (w->file_wd >= 0 && wd != w->file_wd)
		inotify_rm_watch(w->fd, w->file_wd);
	w->file_wd = wd;
}

static int start(struct hv_kvp_watch *w, const char *dir)
{
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return kvp_fail(-errno, "inotify: %s", strerror(errno));
	w->dir_wd = inotify_add_watch(w->fd, dir, IN_ONLYDIR | IN_CREATE |
				      IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE);
	if (w->dir_wd < 0)
		return kvp_fail(-errno, "cannot watch %s: %s", kvp_quote(dir),
				strerror(errno));
	watch_file(w);
	return state_read(&w->old, w->kvp);
}

API int hv_kvp_watch_open(struct hv_kvp_watch **out, unsigned pool,
			  const char *state_dir)
{
	const char *dir = state_dir ? state_dir : POOL_DIR;
	struct hv_kvp_watch *w = calloc(1, sizeof(*w));
	int r;

	*out = NULL;
	if (!w)
		return kvp_fail(-ENOMEM, "out of memory");
	w->fd = w->dir_wd = w->file_wd = -1;
	snprintf(w->name, sizeof(w->name), ".kvp_pool_%u", pool);
	r = snprintf(w->path, sizeof(w->path), "%s/%s", dir, w->name);
	if (r >= (int)sizeof(w->path))
		r = kvp_fail(-ENAMETOOLONG, "%s is too long", kvp_quote(dir));
	else
		r = hv_kvp_open(&w->kvp, pool, HV_KVP_READ, dir);
	if (r == 0)
		r = start(w, dir);
	if (r < 0) {
		hv_kvp_watch_close(w);
		return r;
	}
	*out = w;
	return 0;
}

API void hv_kvp_watch_close(struct hv_kvp_watch *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	hv_kvp_close(w->kvp);
	state_clear(&w->old);
	state_clear(&w->now);
	free(w);
}

API int hv_kvp_watch_fd(const struct hv_kvp_watch *w)
{
	return w->fd;
}

static void take_event(struct hv_kvp_watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW) {
		w->dirty = true;
	} else if (e->wd == w->dir_wd) {
		if (e->len && !strcmp(e->name, w->name)) {
			watch_file(w);
			w->dirty = true;
		}
	} else if (e->wd == w->file_wd) {
		w->dirty = true;
	}
}

static void drain_events(struct hv_kvp_watch *w)
{
	_Alignas(struct inotify_event) char buf[4096];
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0) {
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *e = (struct inotify_event *)p;

			take_event(w, e);
			p += sizeof(*e) + e->len;
		}
	}
}

/* Read the pool again and mark what changed. */
static int look(struct hv_kvp_watch *w)
{
	int r = state_read(&w->now, w->kvp);

	if (r == 0)
		r = compare(&w->old, &w->now);
	if (r < 0) {
		state_clear(&w->now);
		return r;
	}
	w->dirty = false;
	w->reporting = true;
	w->next_old = w->next_now = 0;
	return 0;
}

static bool next_in(const struct state *s, size_t *next,
		    enum hv_kvp_change_kind kind, struct hv_kvp_change *c)
{
	while (*next < s->n) {
		const struct record *r = &s->rec[(*next)++];

		if (!r->changed)
			continue;
		c->kind = kind;
		strcpy(c->item.key, r->key);
		strcpy(c->item.value, r->value);
		return true;
	}
	return false;
}

/* All reported: the new state is the one to compare with. */
static void settle(struct hv_kvp_watch *w)
{
	state_clear(&w->old);
	w->old = w->now;
	w->now = (struct state){ 0 };
	for (size_t i = 0; i < w->old.n; i++)
		w->old.rec[i].changed = false;
	w->reporting = false;
}

API int hv_kvp_watch_next(struct hv_kvp_watch *w, struct hv_kvp_change *c)
{
	for (;;) {
		int r;

		if (w->reporting &&
		    (next_in(&w->old, &w->next_old, HV_KVP_IS_DELETED, c) ||
		     next_in(&w->now, &w->next_now, HV_KVP_IS_SET, c)))
			return 1;
		if (w->reporting)
			settle(w);
		drain_events(w);
		if (!w->dirty)
			return 0;
		r = look(w);
		if (r < 0)
			return r;
	}
}
