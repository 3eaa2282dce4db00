/* prog/hvctl_kvp.c - hvctl kvp: the pools.
 *
 * Pool files are used directly, through libhyperv, so these commands work with
 * and without a daemon. Only pool auto is computed by hv_kvp_daemon, which is
 * asked for it. */
#include <hyperv/kvp.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/ctl.h"
#include "hvctl.h"

enum { N_POOLS = 5, ANSWER_MS = 3000 };

/* Reading without --pool looks into all files in this order: what the host's
 * administrator said comes before what guest programs say. */
static const unsigned file_pools[] = {
	HV_KVP_EXTERNAL, HV_KVP_GUEST, HV_KVP_AUTO_EXTERNAL,
	HV_KVP_AUTO_INTERNAL,
};
enum { N_FILE_POOLS = sizeof(file_pools) / sizeof(file_pools[0]) };

struct selection { unsigned id[N_POOLS]; size_t n; };

/* Errors ----------------------------------------------------------------- */

static int exit_code(int r)
{
	switch (r) {
	case 0:
		return HVCTL_DONE;
	case -ENOENT:
		return HVCTL_ABSENT;
	case -EINVAL:
	case -EMSGSIZE:
	case -EILSEQ:
		return HVCTL_USAGE;
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return HVCTL_REFUSED;
	default:
		return HVCTL_IO;
	}
}

/* A call of the library failed: say why. */
static int fail_kvp(int r)
{
	return hvctl_fail(exit_code(r), "%s", hv_kvp_error());
}

static int worse(int a, int b)
{
	return a > b ? a : b;
}

/* Choosing pools --------------------------------------------------------- */

static int parse_pool(const char *text, unsigned *id)
{
	int r = hv_kvp_pool_parse(text);

	if (r < 0)
		return fail_kvp(r);
	*id = (unsigned)r;
	return 0;
}

/* The one pool to write, guest unless told otherwise. */
static int pool_to_write(struct hvctl *c, unsigned *id)
{
	*id = HV_KVP_GUEST;
	return c->pool ? parse_pool(c->pool, id) : 0;
}

/* The pools to read: --pool, or the operands, or all that are files. */
static int pools_to_read(struct hvctl *c, int argc, char **argv,
			 struct selection *s)
{
	s->n = 0;
	if (c->pool) {
		s->n = 1;
		return parse_pool(c->pool, &s->id[0]);
	}
	for (int i = 0; i < argc && i < N_POOLS; i++) {
		int r = parse_pool(argv[i], &s->id[s->n++]);

		if (r)
			return r;
	}
	if (!s->n) {
		memcpy(s->id, file_pools, sizeof(file_pools));
		s->n = N_FILE_POOLS;
	}
	return 0;
}

static int may_write(struct hvctl *c, unsigned id)
{
	if (id == HV_KVP_AUTO)
		return hvctl_fail(HVCTL_REFUSED, "pool auto is computed by "
				  "hv_kvp_daemon and cannot be written");
	if (id == HV_KVP_GUEST || c->force)
		return 0;
	return hvctl_fail(HVCTL_REFUSED, "pool %s belongs to the host; "
			  "--force writes to it all the same",
			  hv_kvp_pool_name(id));
}

static int check_state_dir(struct hvctl *c)
{
	struct stat st;

	if (stat(c->conf.state_dir, &st) == 0)
		return 0;
	return hvctl_fail(errno == EACCES ? HVCTL_REFUSED : HVCTL_UNREACHABLE,
			  "%s: %s", hvctl_quote(c->conf.state_dir),
			  strerror(errno));
}

static int open_pool(struct hvctl *c, unsigned id, unsigned flags,
		     struct hv_kvp **h)
{
	int r = check_state_dir(c);

	if (r)
		return r;
	if (!c->conf.kvp_sync)
		flags |= HV_KVP_NO_SYNC;
	r = hv_kvp_open(h, id, flags, c->conf.state_dir);
	if (r == -ENOENT)
		return hvctl_fail(HVCTL_UNREACHABLE, "%s", hv_kvp_error());
	return r < 0 ? fail_kvp(r) : 0;
}

static int open_to_write(struct hvctl *c, struct hv_kvp **h)
{
	unsigned id;
	int r = pool_to_write(c, &id);

	if (!r)
		r = may_write(c, id);
	return r ? r : open_pool(c, id, HV_KVP_WRITE, h);
}

/* Reading ---------------------------------------------------------------- */

struct items { struct hv_kvp_item *item; size_t n; };

static int items_of_json(json_t *list, struct items *out)
{
	json_t *entry;
	size_t i;

	out->item = calloc(json_array_size(list) + 1, sizeof(*out->item));
	if (!out->item)
		return hvctl_fail(HVCTL_IO, "out of memory");
	json_array_foreach(list, i, entry) {
		struct hv_kvp_item *it = &out->item[out->n];
		const char *key, *value;

		if (json_unpack(entry, "{s:s, s:s}", "key", &key, "value",
				&value) < 0)
			continue;
		snprintf(it->key, sizeof(it->key), "%s", key);
		snprintf(it->value, sizeof(it->value), "%s", value);
		out->n++;
	}
	return 0;
}

/* Pool auto, from the daemon. */
static int read_auto(struct hvctl *c, struct items *out)
{
	char path[CONF_PATH_MAX];
	json_t *reply = NULL;
	int r = conf_path(path, c->conf.run_dir, "hv_kvp_daemon.ctl");

	if (r == 0)
		r = ctl_call(path, json_pack("{s:s}", "cmd", "auto"),
			     ANSWER_MS, &reply);
	if (r == -EACCES)
		return hvctl_fail(HVCTL_REFUSED, "no permission to ask "
				  "hv_kvp_daemon for pool auto");
	if (r < 0)
		return hvctl_fail(HVCTL_UNREACHABLE, "hv_kvp_daemon, which "
				  "computes pool auto, does not answer: %s",
				  strerror(-r));
	r = items_of_json(json_object_get(reply, "items"), out);
	json_decref(reply);
	return r;
}

static int read_pool(struct hvctl *c, unsigned id, struct items *out)
{
	struct hv_kvp *h;
	int r;

	*out = (struct items){ 0 };
	if (id == HV_KVP_AUTO)
		return read_auto(c, out);
	r = open_pool(c, id, HV_KVP_READ, &h);
	if (r)
		return r;
	r = hv_kvp_list(h, &out->item, &out->n);
	hv_kvp_close(h);
	return r < 0 ? fail_kvp(r) : 0;
}

static json_t *json_of_item(unsigned pool, const struct hv_kvp_item *it)
{
	return json_pack("{s:s, s:o, s:o}", "pool", hv_kvp_pool_name(pool),
			 "key", hvctl_json_text(it->key), "value",
			 hvctl_json_text(it->value));
}

static int print_value(struct hvctl *c, unsigned pool,
		       const struct hv_kvp_item *it)
{
	if (c->json)
		return hvctl_print_json(json_of_item(pool, it), false);
	puts(isatty(STDOUT_FILENO) ? hvctl_show(it->value) : it->value);
	return HVCTL_DONE;
}

/* get -------------------------------------------------------------------- */

static int find_in_auto(struct hvctl *c, struct hv_kvp_item *it)
{
	struct items all;
	int r = read_pool(c, HV_KVP_AUTO, &all);

	if (r)
		return r;
	r = HVCTL_ABSENT;
	for (size_t i = 0; i < all.n && r == HVCTL_ABSENT; i++)
		if (!strcmp(all.item[i].key, it->key)) {
			*it = all.item[i];
			r = HVCTL_DONE;
		}
	free(all.item);
	return r;
}

/* HVCTL_ABSENT is not reported; everything else is. */
static int find_in_pool(struct hvctl *c, unsigned id, struct hv_kvp_item *it)
{
	struct hv_kvp *h;
	int r;

	if (id == HV_KVP_AUTO)
		return find_in_auto(c, it);
	r = open_pool(c, id, HV_KVP_READ, &h);
	if (r)
		return r;
	r = hv_kvp_get(h, it->key, it->value);
	hv_kvp_close(h);
	if (r == -ENOENT)
		return HVCTL_ABSENT;
	return r < 0 ? fail_kvp(r) : HVCTL_DONE;
}

/* The same rules for a key that is only looked for. */
static int take_key(const char *key, struct hv_kvp_item *it)
{
	if (!*key)
		return hvctl_fail(HVCTL_USAGE, "the key is empty");
	if (strlen(key) >= sizeof(it->key))
		return hvctl_fail(HVCTL_USAGE, "key %s is too long: %zu bytes, "
				  "and %d fit", hvctl_quote(key), strlen(key),
				  HV_KVP_KEY_MAX);
	strcpy(it->key, key);
	return 0;
}

/* The first of the pools that has the key; *at is its place in s. */
static int find_key(struct hvctl *c, const struct selection *s,
		    struct hv_kvp_item *it, size_t *at)
{
	int result = HVCTL_ABSENT;

	for (*at = 0; *at < s->n; ++*at) {
		int r = find_in_pool(c, s->id[*at], it);

		if (r == HVCTL_DONE)
			return r;
		result = worse(result, r);
		if (r == HVCTL_UNREACHABLE)
			break;
	}
	return result;
}

static int fail_absent(const struct selection *s, const char *key)
{
	if (s->n == 1)
		return hvctl_fail(HVCTL_ABSENT, "pool %s has no key %s",
				  hv_kvp_pool_name(s->id[0]), hvctl_quote(key));
	return hvctl_fail(HVCTL_ABSENT, "no pool has a key %s",
			  hvctl_quote(key));
}

static int kvp_get(struct hvctl *c, int argc, char **argv)
{
	struct hv_kvp_item it;
	struct selection s;
	size_t at;
	int r = take_key(argv[0], &it);

	(void)argc;
	if (!r)
		r = pools_to_read(c, 0, NULL, &s);
	if (r)
		return r;
	r = find_key(c, &s, &it, &at);
	if (r == HVCTL_DONE)
		return print_value(c, s.id[at], &it);
	return r == HVCTL_ABSENT ? fail_absent(&s, argv[0]) : r;
}

/* list, export ------------------------------------------------------------ */

static int add_pool(struct hvctl *c, unsigned id, struct hvctl_table *t,
		    json_t *all)
{
	struct items items;
	int r = read_pool(c, id, &items);

	for (size_t i = 0; !r && i < items.n; i++) {
		const struct hv_kvp_item *it = &items.item[i];
		const char *row[] = { hv_kvp_pool_name(id), it->key,
				      it->value };

		if (all ? json_array_append_new(all, json_of_item(id, it)) < 0
			: hvctl_table_add(t, row) < 0)
			r = hvctl_fail(HVCTL_IO, "out of memory");
	}
	free(items.item);
	return r;
}

/* All pools that can be had; the worst of what happened is the exit code. */
static int print_pools(struct hvctl *c, const struct selection *s, bool json)
{
	static const char *const head[] = { "POOL", "KEY", "VALUE" };
	struct hvctl_table t = { .n_columns = 3 };
	json_t *all = json ? json_array() : NULL;
	int result = HVCTL_DONE;

	if (!json)
		hvctl_table_add(&t, head);
	for (size_t i = 0; i < s->n && result != HVCTL_UNREACHABLE; i++)
		result = worse(result, add_pool(c, s->id[i], &t, all));
	if (json)
		return worse(result, hvctl_print_json(all, false));
	return worse(result, hvctl_table_print(&t));
}

static int kvp_list(struct hvctl *c, int argc, char **argv)
{
	struct selection s;
	int r = pools_to_read(c, argc, argv, &s);

	return r ? r : print_pools(c, &s, c->json);
}

static int kvp_export(struct hvctl *c, int argc, char **argv)
{
	struct selection s;
	int r = pools_to_read(c, argc, argv, &s);

	return r ? r : print_pools(c, &s, true);
}

/* set, del ---------------------------------------------------------------- */

static int kvp_set(struct hvctl *c, int argc, char **argv)
{
	struct hv_kvp *h;
	int r = open_to_write(c, &h);

	(void)argc;
	if (r)
		return r;
	r = c->append ? hv_kvp_append(h, argv[0], argv[1])
		      : hv_kvp_set(h, argv[0], argv[1]);
	hv_kvp_close(h);
	return r < 0 ? fail_kvp(r) : HVCTL_DONE;
}

static int kvp_del(struct hvctl *c, int argc, char **argv)
{
	struct hv_kvp *h;
	int r = open_to_write(c, &h);

	(void)argc;
	if (r)
		return r;
	r = hv_kvp_delete(h, argv[0]);
	hv_kvp_close(h);
	return r < 0 ? fail_kvp(r) : HVCTL_DONE;
}

/* import ------------------------------------------------------------------ */

/* What was read; item[i] goes to pool[i]. */
struct import {
	struct hv_kvp_item *item;
	unsigned *pool;
	size_t n;
	bool named[N_POOLS];
};

static int pool_of_json(json_t *entry, size_t at, unsigned fallback,
			unsigned *id)
{
	json_t *pool = json_object_get(entry, "pool");
	char number[32];
	int r;

	*id = fallback;
	if (!pool)
		return 0;
	snprintf(number, sizeof(number), "%lld",
		 (long long)json_integer_value(pool));
	r = hv_kvp_pool_parse(json_is_string(pool) ? json_string_value(pool)
			      : json_is_integer(pool) ? number : "");
	if (r < 0)
		return hvctl_fail(HVCTL_USAGE, "entry %zu: %s", at,
				  hv_kvp_error());
	*id = (unsigned)r;
	return 0;
}

static int text_of_json(json_t *entry, size_t at, const char *name,
			size_t most, char *out)
{
	json_t *text = json_object_get(entry, name);

	if (!json_is_string(text))
		return hvctl_fail(HVCTL_USAGE, "entry %zu has no text \"%s\"",
				  at, name);
	if (json_string_length(text) > most)
		return hvctl_fail(HVCTL_USAGE, "entry %zu: %s %s is too long: "
				  "%zu bytes, and %zu fit", at, name,
				  hvctl_quote(json_string_value(text)),
				  json_string_length(text), most);
	strcpy(out, json_string_value(text));
	return 0;
}

static int take_entry(struct import *im, json_t *entry, size_t at,
		      unsigned fallback)
{
	struct hv_kvp_item *it = &im->item[at];
	int r = pool_of_json(entry, at, fallback, &im->pool[at]);

	if (r)
		return r;
	im->named[im->pool[at]] = true;
	im->n = at + 1;
	r = text_of_json(entry, at, "key", HV_KVP_KEY_MAX, it->key);
	if (!r && !*it->key)
		r = hvctl_fail(HVCTL_USAGE, "entry %zu: the key is empty", at);
	return r ? r : text_of_json(entry, at, "value", HV_KVP_VALUE_MAX,
				    it->value);
}

static int take_entries(struct hvctl *c, struct import *im, json_t *all)
{
	unsigned fallback;
	json_t *entry;
	size_t i;
	int r = pool_to_write(c, &fallback);

	im->named[fallback] = c->pool != NULL;
	json_array_foreach(all, i, entry)
		if (!r)
			r = take_entry(im, entry, i, fallback);
	for (unsigned id = 0; id < N_POOLS && !r; id++)
		if (im->named[id])
			r = may_write(c, id);
	return r;
}

static int import_one(struct hvctl *c, struct import *im, unsigned id,
		      struct hv_kvp *h)
{
	struct hv_kvp_item *own = calloc(im->n + 1, sizeof(*own));
	size_t n = 0;
	int r;

	if (!own)
		return hvctl_fail(HVCTL_IO, "out of memory");
	for (size_t i = 0; i < im->n; i++)
		if (im->pool[i] == id)
			own[n++] = im->item[i];
	r = hv_kvp_import(h, own, n, c->replace);
	free(own);
	return r < 0 ? fail_kvp(r) : 0;
}

/* Everything is checked and open before the first pool is changed. */
static int import_pools(struct hvctl *c, struct import *im)
{
	struct hv_kvp *h[N_POOLS] = { NULL };
	int r = 0;

	for (unsigned id = 0; id < N_POOLS && !r; id++)
		if (im->named[id])
			r = open_pool(c, id, HV_KVP_WRITE, &h[id]);
	for (unsigned id = 0; id < N_POOLS && !r; id++)
		if (h[id])
			r = import_one(c, im, id, h[id]);
	for (unsigned id = 0; id < N_POOLS; id++)
		hv_kvp_close(h[id]);
	return r;
}

static json_t *load_json(const char *path)
{
	bool from_stdin = !path || !strcmp(path, "-");
	FILE *f = from_stdin ? stdin : fopen(path, "re");
	json_error_t err;
	json_t *j;

	if (!f) {
		hvctl_fail(HVCTL_USAGE, "%s: %s", hvctl_quote(path),
			   strerror(errno));
		return NULL;
	}
	j = json_loadf(f, JSON_REJECT_DUPLICATES, &err);
	if (j && !json_is_array(j)) {
		hvctl_fail(HVCTL_USAGE, "%s is no JSON array",
			   from_stdin ? "the input" : hvctl_quote(path));
		json_decref(j);
		j = NULL;
	} else if (!j)
		hvctl_fail(HVCTL_USAGE, "%s, line %d: %s",
			   from_stdin ? "the input" : hvctl_quote(path),
			   err.line, hvctl_show(err.text));
	if (!from_stdin)
		fclose(f);
	return j;
}

static int kvp_import(struct hvctl *c, int argc, char **argv)
{
	json_t *all = load_json(argc ? argv[0] : NULL);
	size_t room = json_array_size(all) + 1;
	struct import im = { calloc(room, sizeof(*im.item)),
			     calloc(room, sizeof(*im.pool)), 0, { false } };
	int r = HVCTL_USAGE;

	if (!im.item || !im.pool)
		r = hvctl_fail(HVCTL_IO, "out of memory");
	else if (all)
		r = take_entries(c, &im, all);
	if (!r)
		r = import_pools(c, &im);
	free(im.item);
	free(im.pool);
	json_decref(all);
	return r;
}

/* watch, wait -------------------------------------------------------------- */

struct watches {
	struct selection s;
	struct hv_kvp_watch *w[N_POOLS];
	struct pollfd poll[N_POOLS];
};

static void watches_close(struct watches *ws)
{
	for (size_t i = 0; i < ws->s.n; i++)
		hv_kvp_watch_close(ws->w[i]);
}

static int watches_open(struct hvctl *c, struct watches *ws)
{
	int r = check_state_dir(c);

	for (size_t i = 0; i < ws->s.n && !r; i++) {
		if (ws->s.id[i] == HV_KVP_AUTO)
			r = hvctl_fail(HVCTL_USAGE, "pool auto is computed "
				       "when asked for and cannot be watched");
		else if ((r = hv_kvp_watch_open(&ws->w[i], ws->s.id[i],
						c->conf.state_dir)) < 0)
			r = fail_kvp(r);
		else
			ws->poll[i] = (struct pollfd){
				hv_kvp_watch_fd(ws->w[i]), POLLIN, 0 };
	}
	return r;
}

static void print_time(char out[40], struct timespec ts)
{
	struct tm tm;
	size_t n;

	localtime_r(&ts.tv_sec, &tm);
	n = strftime(out, 40, "%FT%T", &tm);
	n += (size_t)snprintf(out + n, 40 - n, ".%03ld", ts.tv_nsec / 1000000);
	strftime(out + n, 40 - n, "%z", &tm);
}

static int print_change(struct hvctl *c, unsigned pool,
			const struct hv_kvp_change *change)
{
	const char *what = change->kind == HV_KVP_IS_SET ? "set" : "deleted";
	struct timespec now;
	char when[40];
	json_t *j;

	clock_gettime(CLOCK_REALTIME, &now);
	print_time(when, now);
	if (c->json) {
		j = json_of_item(pool, &change->item);
		json_object_set_new(j, "time", json_string(when));
		json_object_set_new(j, "event", json_string(what));
		return hvctl_print_json(j, true);
	}
	printf("%s  %-13s  %-7s  %s", when, hv_kvp_pool_name(pool), what,
	       hvctl_quote(change->item.key));
	if (change->kind == HV_KVP_IS_SET)
		printf(" = %s", hvctl_quote(change->item.value));
	putchar('\n');
	return fflush(stdout) == 0 ? 0 : HVCTL_IO;
}

/* Hand each change of each pool to fn until one returns nonzero. An error of
 * the library ends it too. */
static int take_changes(struct watches *ws, struct hvctl *c,
			int (*fn)(struct hvctl *c, unsigned pool,
				  const struct hv_kvp_change *change))
{
	struct hv_kvp_change change;

	for (size_t i = 0; i < ws->s.n; i++) {
		int r;

		while ((r = hv_kvp_watch_next(ws->w[i], &change)) == 1)
			if (fn && (r = fn(c, ws->s.id[i], &change)))
				return r;
		if (r < 0)
			return fail_kvp(r);
	}
	return 0;
}

static int kvp_watch(struct hvctl *c, int argc, char **argv)
{
	struct watches ws = { 0 };
	int r = pools_to_read(c, argc, argv, &ws.s);

	if (!r)
		r = watches_open(c, &ws);
	while (!r && (poll(ws.poll, ws.s.n, -1) > 0 || errno == EINTR))
		r = take_changes(&ws, c, print_change);
	watches_close(&ws);
	return r;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The deadline of --timeout; -1: none. */
static int take_timeout(struct hvctl *c, int64_t *deadline_ms)
{
	char *end;
	double s;

	*deadline_ms = -1;
	if (!c->timeout)
		return 0;
	s = strtod(c->timeout, &end);
	if (end == c->timeout || *end || !(s >= 0 && s <= 1e9))
		return hvctl_fail(HVCTL_USAGE, "--timeout %s is no number of "
				  "seconds", hvctl_quote(c->timeout));
	*deadline_ms = now_ms() + (int64_t)ceil(s * 1000);
	return 0;
}

/* Milliseconds to wait in poll(2); 0: the time is over. */
static int time_left(int64_t deadline_ms)
{
	int64_t left = deadline_ms - now_ms();

	if (deadline_ms < 0)
		return -1;
	return left <= 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

/* Look, then wait for a change, until the key is there as wanted. */
static int wait_for_key(struct hvctl *c, struct watches *ws,
			struct hv_kvp_item *it, int64_t deadline_ms)
{
	for (;;) {
		size_t at;
		int left, r = find_key(c, &ws->s, it, &at);

		if (r == HVCTL_DONE &&
		    (!c->value || !strcmp(it->value, c->value)))
			return print_value(c, ws->s.id[at], it);
		if (r > HVCTL_ABSENT)
			return r;
		left = time_left(deadline_ms);
		if (left == 0)
			return hvctl_fail(HVCTL_ABSENT, "key %s did not come "
					  "in time", hvctl_quote(it->key));
		(void)poll(ws->poll, ws->s.n, left);
		r = take_changes(ws, c, NULL);
		if (r)
			return r;
	}
}

static int kvp_wait(struct hvctl *c, int argc, char **argv)
{
	struct watches ws = { 0 };
	struct hv_kvp_item it;
	int64_t deadline_ms;
	int r = take_key(argv[0], &it);

	(void)argc;
	if (!r)
		r = take_timeout(c, &deadline_ms);
	if (!r)
		r = pools_to_read(c, 0, NULL, &ws.s);
	if (!r)
		r = watches_open(c, &ws);
	if (!r)
		r = wait_for_key(c, &ws, &it, deadline_ms);
	watches_close(&ws);
	return r;
}

const struct hvctl_command hvctl_kvp_commands[] = {
	{ "kvp get", "KEY", "print a value", 1, 1, kvp_get },
	{ "kvp set", "KEY VALUE", "tell the host something", 2, 2, kvp_set },
	{ "kvp del", "KEY", "remove a key's first record", 1, 1, kvp_del },
	{ "kvp list", "[POOL ...]", "all keys and values", 0, N_POOLS,
	  kvp_list },
	{ "kvp watch", "[POOL ...]", "print changes as they come", 0, N_POOLS,
	  kvp_watch },
	{ "kvp wait", "KEY", "wait until a key is there", 1, 1, kvp_wait },
	{ "kvp import", "[FILE]", "set what a JSON array says", 0, 1,
	  kvp_import },
	{ "kvp export", "[POOL ...]", "print the array to import", 0, N_POOLS,
	  kvp_export },
	{ 0 },
};
