/* vss/history_rec.c - the record of a backup. The tables below are
 * doc/history.md's, member by member. */
#include "vss/history_rec.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"

enum kind { TEXT, NUMBER, LIST, OBJECT };

struct member {
	const char *name;
	enum kind kind;
	const struct member *of;	/* what a list or an object holds */
	size_t most;			/* entries of a list */
};

static const struct member step_members[] = {
	{ "opt", TEXT, NULL, 0 }, { "at_us", NUMBER, NULL, 0 },
	{ "took_us", NUMBER, NULL, 0 }, { "outcome", TEXT, NULL, 0 },
	{ "why", TEXT, NULL, 0 }, { 0 },
};

static const struct member note_members[] = {
	{ "part", TEXT, NULL, 0 }, { "phase", TEXT, NULL, 0 },
	{ "at_us", NUMBER, NULL, 0 }, { "took_us", NUMBER, NULL, 0 },
	{ "outcome", TEXT, NULL, 0 }, { "why", TEXT, NULL, 0 }, { 0 },
};

static const struct member app_members[] = {
	{ "name", TEXT, NULL, 0 }, { "pid", NUMBER, NULL, 0 },
	{ "uid", NUMBER, NULL, 0 }, { "steps", LIST, step_members, 16 },
	{ "notes", LIST, note_members, 64 }, { 0 },
};

static const struct member host_members[] = {
	{ "op", TEXT, NULL, 0 }, { "at_us", NUMBER, NULL, 0 },
	{ "took_us", NUMBER, NULL, 0 }, { "status", TEXT, NULL, 0 },
	{ "why", TEXT, NULL, 0 }, { 0 },
};

static const struct member mount_members[] = {
	{ "path", TEXT, NULL, 0 }, { "source", TEXT, NULL, 0 },
	{ "type", TEXT, NULL, 0 }, { "device", TEXT, NULL, 0 },
	{ "action", TEXT, NULL, 0 }, { "reason", TEXT, NULL, 0 },
	{ "level", NUMBER, NULL, 0 }, { "flush_at_us", NUMBER, NULL, 0 },
	{ "flush_us", NUMBER, NULL, 0 }, { "freeze_at_us", NUMBER, NULL, 0 },
	{ "freeze_us", NUMBER, NULL, 0 }, { "frozen_us", NUMBER, NULL, 0 },
	{ "thaw_at_us", NUMBER, NULL, 0 }, { "thaw_us", NUMBER, NULL, 0 },
	{ "outcome", TEXT, NULL, 0 }, { "why", TEXT, NULL, 0 }, { 0 },
};

static const struct member window_members[] = {
	{ "flush_at_us", NUMBER, NULL, 0 }, { "flush_us", NUMBER, NULL, 0 },
	{ "frozen_at_us", NUMBER, NULL, 0 }, { "frozen_us", NUMBER, NULL, 0 },
	{ "thawed_by", TEXT, NULL, 0 }, { 0 },
};

static const struct member record_members[] = {
	{ "id", TEXT, NULL, 0 }, { "boot", TEXT, NULL, 0 },
	{ "started", TEXT, NULL, 0 }, { "at_us", NUMBER, NULL, 0 },
	{ "took_us", NUMBER, NULL, 0 }, { "result", TEXT, NULL, 0 },
	{ "why", TEXT, NULL, 0 }, { "host", LIST, host_members, 64 },
	{ "daemon", LIST, step_members, 64 },
	{ "applications", LIST, app_members, HISTORY_APPS_MAX },
	{ "mounts", LIST, mount_members, HISTORY_MOUNTS_MAX },
	{ "window", OBJECT, window_members, 0 },
	{ "left_out", NUMBER, NULL, 0 }, { 0 },
};

/* What others say --------------------------------------------------------- */

/* At most max bytes of text, cut at a character. */
static json_t *clean_text(const json_t *v, size_t max)
{
	const char *text = json_string_value(v);
	size_t len = json_string_length(v);

	if (len > max) {
		len = max;
		while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	return json_stringn(text, len);
}

static json_t *clean_object(const json_t *o, const struct member *of,
			    json_int_t *left_out);

static json_t *clean_list(const json_t *v, const struct member *m,
			  json_int_t *left_out)
{
	json_t *out = json_array(), *entry;
	size_t i;

	json_array_foreach(v, i, entry) {
		if (!json_is_object(entry))
			continue;
		if (json_array_size(out) == m->most) {
			*left_out += (json_int_t)(json_array_size(v) - i);
			break;
		}
		json_array_append_new(out, clean_object(entry, m->of,
							left_out));
	}
	return out;
}

static json_t *clean_value(const json_t *v, const struct member *m,
			   json_int_t *left_out)
{
	switch (m->kind) {
	case TEXT:
		return json_is_string(v) ? clean_text(v, HISTORY_TEXT_MAX) :
					   NULL;
	case NUMBER:
		return json_is_integer(v) && json_integer_value(v) >= 0 ?
		       json_integer(json_integer_value(v)) : NULL;
	case LIST:
		return json_is_array(v) ? clean_list(v, m, left_out) : NULL;
	case OBJECT:
		return json_is_object(v) ? clean_object(v, m->of, left_out) :
					   NULL;
	}
	return NULL;
}

static json_t *clean_object(const json_t *o, const struct member *of,
			    json_int_t *left_out)
{
	json_t *out = json_object();

	for (const struct member *m = of; out && m->name; m++) {
		json_t *v = json_object_get(o, m->name);

		v = v ? clean_value(v, m, left_out) : NULL;
		if (v)
			json_object_set_new(out, m->name, v);
	}
	return out;
}

/* Drop what a record can best do without, until a line holds it. */
static void clean_size(json_t *rec, json_int_t *left_out)
{
	static const char *const lists[] = { "applications", "mounts", "host",
					     "daemon" };
	json_t *apps = json_object_get(rec, "applications"), *app;
	size_t i;

	if (json_dumpb(rec, NULL, 0, JSON_COMPACT) <= HISTORY_LINE_MAX)
		return;
	json_array_foreach(apps, i, app) {
		*left_out += (json_int_t)json_array_size(
			json_object_get(app, "notes"));
		json_object_del(app, "notes");
	}
	for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
		json_t *list = json_object_get(rec, lists[l]);
		size_t n;

		while ((n = json_array_size(list)) &&
		       json_dumpb(rec, NULL, 0, JSON_COMPACT) >
		       HISTORY_LINE_MAX) {
			size_t drop = n - n / 2;

			*left_out += (json_int_t)drop;
			while (drop--)
				json_array_remove(list, --n);
		}
	}
}

json_t *history_rec_clean(const json_t *foreign)
{
	json_int_t left_out = 0;
	json_t *rec;

	if (!json_is_object(foreign) || !*history_text(foreign, "id"))
		return NULL;
	rec = clean_object(foreign, record_members, &left_out);
	if (!rec)
		return NULL;
	clean_size(rec, &left_out);
	if (left_out && history_int(rec, "left_out") > 0 &&
	    history_int(rec, "left_out") < 1 << 30)
		left_out += history_int(rec, "left_out");
	if (left_out)
		json_object_set_new(rec, "left_out", json_integer(left_out));
	return rec;
}

/* Members ----------------------------------------------------------------- */

const char *history_text(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

json_int_t history_int(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) && json_integer_value(v) >= 0 ?
	       json_integer_value(v) : -1;
}

double history_rec_started(const json_t *rec)
{
	const char *text = history_text(rec, "started");
	struct tm tm = { 0 };
	unsigned ms = 0;
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!rest || sscanf(rest, ".%3u", &ms) < 0)
		return -1;
	return (double)timegm(&tm) + (double)ms / 1000;
}

/* Halves ------------------------------------------------------------------ */

bool history_rec_has_driver(const json_t *rec)
{
	const char *result = history_text(rec, "result");

	return *result && strcmp(result, "interrupted");
}

bool history_rec_has_daemon(const json_t *rec)
{
	return json_object_get(rec, "mounts") || json_object_get(rec, "window");
}

bool history_rec_wants_daemon(const json_t *rec)
{
	json_t *step, *steps = json_object_get(rec, "daemon");
	size_t i;

	json_array_foreach(steps, i, step) {
		const char *opt = history_text(step, "opt");
		const char *outcome = history_text(step, "outcome");

		if (!strcmp(outcome, "unreached"))
			continue;
		if (!strcmp(opt, "freeze") ||
		    (!strcmp(opt, "check") && strcmp(outcome, "yes")))
			return true;
	}
	return false;
}

bool history_rec_match(const json_t *a, const json_t *b)
{
	return !strcmp(history_text(a, "id"), history_text(b, "id")) &&
	       !strcmp(history_text(a, "boot"), history_text(b, "boot"));
}

bool history_rec_fits(const json_t *driver, const json_t *daemon)
{
	const json_int_t slack = 100000;	/* clocks are read at leisure */
	json_int_t from = history_int(driver, "at_us");
	json_int_t took = history_int(driver, "took_us");
	json_int_t at = history_int(daemon, "at_us");

	if (from < 0 || took < 0 || at < 0)
		return true;
	return at >= from ? at - from <= took || at - from - took <= slack :
			    from - at <= slack;
}

bool history_rec_replaces(const json_t *later, const json_t *earlier)
{
	if (!history_rec_match(later, earlier))
		return false;
	if (history_rec_has_driver(later) && !history_rec_has_driver(earlier))
		return history_rec_fits(later, earlier);
	return history_int(later, "at_us") == history_int(earlier, "at_us");
}

json_t *history_rec_join(const json_t *driver, const json_t *daemon)
{
	json_t *rec = driver ? json_deep_copy(driver) : json_deep_copy(daemon);

	if (rec && driver && daemon)
		json_object_update_missing(rec, (json_t *)daemon);
	if (rec && !driver)
		json_object_set_new(rec, "result", json_string("interrupted"));
	return rec;
}

/* For people -------------------------------------------------------------- */

struct line { char *out; size_t cap, len; };

static void add(struct line *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void add(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->out + l->len, l->cap - l->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += (size_t)n;
	if (l->len >= l->cap)
		l->len = l->cap - 1;
}

static void add_why(struct line *l, const json_t *o)
{
	const char *why = history_text(o, "why");
	char quoted[256];

	if (*why)
		add(l, ": %s", log_quote(quoted, sizeof(quoted), why,
					 strlen(why)));
}

static size_t mounts_that(const json_t *rec, const char *outcome)
{
	json_t *m, *mounts = json_object_get(rec, "mounts");
	size_t i, n = 0;

	json_array_foreach(mounts, i, m)
		n += !strcmp(history_text(m, "outcome"), outcome);
	return n;
}

static void add_mounts(struct line *l, const json_t *rec)
{
	static const struct { const char *outcome, *text; } parts[] = {
		{ "thawed", "frozen and thawed" }, { "synced", "flushed" },
		{ "rolled-back", "rolled back" }, { "vetoed", "vetoed" },
		{ "foreign", "frozen by somebody else" },
		{ "failed", "failed" }, { "stuck", "STILL FROZEN" },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t n = mounts_that(rec, parts[i].outcome);

		if (n)
			add(l, ", %zu file system%s %s", n, n == 1 ? "" : "s",
			    parts[i].text);
	}
}

/* Did it hold: its FREEZE was answered with yes. */
static bool app_held(const json_t *app)
{
	json_t *step, *steps = json_object_get(app, "steps");
	size_t i;

	json_array_foreach(steps, i, step)
		if (!strcmp(history_text(step, "opt"), "freeze"))
			return !strcmp(history_text(step, "outcome"), "yes");
	return false;
}

static void add_apps(struct line *l, const json_t *rec)
{
	json_t *app, *apps = json_object_get(rec, "applications");
	size_t i, held = 0, n = json_array_size(apps);

	json_array_foreach(apps, i, app)
		held += app_held(app);
	if (n)
		add(l, ", %zu of %zu application%s held", held, n,
		    n == 1 ? "" : "s");
}

static const char *result_text(const char *result)
{
	if (!strcmp(result, "application"))
		return "application-consistent";
	if (!strcmp(result, "file-system"))
		return "file-system-consistent";
	if (!strcmp(result, "checked"))
		return "only asked whether it could be";
	if (!strcmp(result, "interrupted"))
		return "interrupted, the driver's account is missing";
	return strcmp(result, "failed") ? "of unknown result" : "failed";
}

const char *history_rec_sentence(char *out, size_t cap, const json_t *rec)
{
	const json_t *window = json_object_get(rec, "window");
	const char *by = history_text(window, "thawed_by");
	json_int_t us = history_int(window, "frozen_us");
	struct line l = { out, cap, 0 };
	const char *id = history_text(rec, "id");
	char quoted[64];

	out[0] = '\0';
	add(&l, "backup %s: %s",
	    strspn(id, "0123456789") == strlen(id) ? id :
	    log_quote(quoted, sizeof(quoted), id, strlen(id)),
	    result_text(history_text(rec, "result")));
	add_why(&l, rec);
	if (us >= 0)
		add(&l, ", frozen for %.3f s", (double)us / 1e6);
	if (!strcmp(by, "guardian"))
		add(&l, " and thawed by the guardian");
	else if (!strcmp(by, "restart"))
		add(&l, " and thawed at the next start");
	add_mounts(&l, rec);
	add_apps(&l, rec);
	return out;
}
