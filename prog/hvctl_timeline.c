/* prog/hvctl_timeline.c - from a backup's record to rows and bars. Names and
 * reasons come from others: they are quoted where they could do harm. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hvctl_vss.h"
#include "vss/history_rec.h"

struct maker {
	struct timeline *t;
	const json_t *rec;
	json_int_t base_us;
	bool failed;			/* no memory */
};

static double ms_of(const struct maker *m, json_int_t at_us)
{
	return at_us > m->base_us ? (double)(at_us - m->base_us) / 1000 : 0;
}

static struct timeline_row *row(struct maker *m, const char *name,
				unsigned depth)
{
	struct timeline_row *r = timeline_add_row(m->t, hvctl_show(name),
						  depth);

	m->failed |= !r;
	return r;
}

static void bar(struct maker *m, struct timeline_row *r,
		enum timeline_kind kind, json_int_t from_us, json_int_t took_us,
		const char *text)
{
	double from = ms_of(m, from_us);

	if (r && from_us >= 0 && took_us >= 0 &&
	    timeline_add_bar(r, kind, from, from + (double)took_us / 1000,
			     text) < 0)
		m->failed = true;
}

static void result(struct maker *m, struct timeline_row *r, bool bad,
		   const char *text)
{
	if (!r)
		return;
	free(r->result);
	r->result = strdup(text);
	r->bad = bad;
	m->failed |= !r->result;
}

static json_int_t sum(json_int_t a, json_int_t b)
{
	return a < 0 || b < 0 || a > INT64_MAX - b ? -1 : a + b;
}

/* It took that long, and its answer was no. */
static void failed_bar(struct maker *m, struct timeline_row *r,
		       json_int_t from_us, json_int_t took_us, const char *text)
{
	bar(m, r, TIMELINE_ASKED, from_us, took_us, text);
	bar(m, r, TIMELINE_FAILED, sum(from_us, took_us), 0, text);
}

/* "frozen for 84.1 ms" */
static void result_time(struct maker *m, struct timeline_row *r,
			const char *what, json_int_t us)
{
	char text[96], time[32];

	snprintf(text, sizeof(text), "%s %s", what,
		 timeline_time(time, (double)us / 1000));
	result(m, r, false, text);
}

/* An entry's step of that kind, the last one; or NULL. */
static json_t *step_of(const json_t *steps, const char *opt)
{
	for (size_t i = json_array_size(steps); i > 0; i--) {
		json_t *s = json_array_get(steps, i - 1);

		if (!strcmp(history_text(s, "opt"), opt))
			return s;
	}
	return NULL;
}

static json_int_t end_of(const json_t *step)
{
	return sum(history_int(step, "at_us"), history_int(step, "took_us"));
}

static bool said_yes(const json_t *step)
{
	return !strcmp(history_text(step, "outcome"), "yes");
}

/* The host ---------------------------------------------------------------- */

static void host_row(struct maker *m)
{
	json_t *hosts = json_object_get(m->rec, "host"), *h;
	struct timeline_row *r = row(m, "host", 1);
	json_int_t told = -1;
	size_t i;

	json_array_foreach(hosts, i, h) {
		const char *op = history_text(h, "op");
		bool ok = !strcmp(history_text(h, "status"), "ok");
		char text[96];

		snprintf(text, sizeof(text), "%s", hvctl_show(op));
		if (ok)
			bar(m, r, TIMELINE_ASKED, history_int(h, "at_us"),
			    history_int(h, "took_us"), text);
		else
			failed_bar(m, r, history_int(h, "at_us"),
				   history_int(h, "took_us"), text);
		if (!strcmp(op, "thaw") && told >= 0)
			bar(m, r, TIMELINE_SNAPSHOT, told,
			    history_int(h, "at_us") - told, "between the "
			    "guest's word and the host's thaw");
		told = !strcmp(op, "freeze") && ok ? end_of(h) : -1;
		snprintf(text, sizeof(text), "%s: %s", hvctl_show(op),
			 hvctl_show(history_text(h, "status")));
		result(m, r, !ok, text);
	}
}

/* Applications ------------------------------------------------------------ */

/* Asked, and holding until it was told the end. */
static void steps_bars(struct maker *m, struct timeline_row *r,
		       const json_t *steps)
{
	json_t *step;
	size_t i;

	json_array_foreach(steps, i, step) {
		const char *opt = history_text(step, "opt");
		bool end = !strcmp(opt, "thaw") || !strcmp(opt, "abort");
		enum timeline_kind kind = end ? TIMELINE_THAW : TIMELINE_ASKED;
		json_int_t took = history_int(step, "took_us");
		json_int_t at = history_int(step, "at_us");

		if (said_yes(step))
			bar(m, r, kind, at, took < 0 ? 0 : took,
			    hvctl_show(opt));
		else
			failed_bar(m, r, at, took < 0 ? 0 : took,
				   hvctl_show(opt));
	}
}

/* Did it hold? Then for how long, in us; else -1. */
static json_int_t held_us(const json_t *steps)
{
	json_t *freeze = step_of(steps, "freeze");
	json_t *end = step_of(steps, "thaw");
	json_int_t us;

	if (!end)
		end = step_of(steps, "abort");
	if (!said_yes(freeze) || !end || end_of(freeze) < 0)
		return -1;
	us = history_int(end, "at_us") - end_of(freeze);
	return us >= 0 ? us : -1;
}

static void app_result(struct maker *m, struct timeline_row *r,
		       const json_t *steps)
{
	json_t *last = json_array_get(steps, json_array_size(steps) - 1);
	json_t *freeze = step_of(steps, "freeze"), *bad = NULL, *step;
	size_t i;

	json_array_foreach(steps, i, step)
		if (!said_yes(step) && !bad)
			bad = step;
	if (bad) {
		char text[128];

		snprintf(text, sizeof(text), "%s: %s",
			 hvctl_show(history_text(bad, "opt")),
			 hvctl_show(history_text(bad, "outcome")));
		result(m, r, true, text);
	} else if (held_us(steps) >= 0) {
		result_time(m, r, "held", held_us(steps));
	} else if (freeze || last) {
		result(m, r, false, freeze ? "held" : "yes");
	}
}

/* A part's row below its application's, made when it is not there. */
static struct timeline_row *note_row(struct maker *m, const char *part)
{
	const char *name = hvctl_show(part);

	for (size_t k = m->t->n; k > 0 && m->t->row[k - 1].depth == 2; k--)
		if (!strcmp(m->t->row[k - 1].name, name))
			return &m->t->row[k - 1];
	return row(m, part, 2);
}

static void note_bar(struct maker *m, struct timeline_row *r, const json_t *n,
		     bool thaw, json_int_t at, json_int_t took)
{
	const char *phase = hvctl_show(history_text(n, "phase"));

	if (said_yes(n)) {
		bar(m, r, thaw ? TIMELINE_THAW : TIMELINE_ASKED, at, took,
		    phase);
		return;
	}
	failed_bar(m, r, at, took, phase);
	result(m, r, true, "failed");
}

/* Parts report how long they took, not when: one after the other, then. */
static void note_rows(struct maker *m, const json_t *app)
{
	static const char *const phases[] = { "check", "freeze", "thaw",
					      "abort" };
	json_t *notes = json_object_get(app, "notes"), *n;
	json_int_t at[4];
	size_t i;

	for (size_t p = 0; p < 4; p++)
		at[p] = history_int(step_of(json_object_get(app, "steps"),
					    phases[p]), "at_us");
	json_array_foreach(notes, i, n) {
		const char *phase = history_text(n, "phase");
		json_int_t took = history_int(n, "took_us");
		size_t p = 3;

		while (p > 0 && strcmp(phases[p], phase))
			p--;
		if (p == 2 && at[p] < 0)
			p = 3;
		if (took < 0)
			took = 0;
		note_bar(m, note_row(m, history_text(n, "part")), n, p >= 2,
			 at[p], took);
		at[p] = sum(at[p], took);
	}
}

static void app_rows(struct maker *m)
{
	json_t *apps = json_object_get(m->rec, "applications"), *app;
	size_t i;

	if (json_array_size(apps))
		row(m, "Applications", 0);
	json_array_foreach(apps, i, app) {
		json_t *steps = json_object_get(app, "steps");
		struct timeline_row *r = row(m, history_text(app, "name"), 1);
		json_t *freeze = step_of(steps, "freeze");

		steps_bars(m, r, steps);
		if (held_us(steps) > 0)
			bar(m, r, TIMELINE_FROZEN, end_of(freeze),
			    held_us(steps), "holding");
		if (r)
			app_result(m, r, steps);
		note_rows(m, app);
	}
}

/* File systems ------------------------------------------------------------ */

static void mount_bars(struct maker *m, struct timeline_row *r,
		       const json_t *mount)
{
	const json_t *asked = step_of(json_object_get(m->rec, "daemon"),
				      "freeze");
	json_int_t flush_at = history_int(mount, "flush_at_us");
	json_int_t freeze_at = history_int(mount, "freeze_at_us");
	json_int_t freeze = history_int(mount, "freeze_us");
	json_int_t frozen = history_int(mount, "frozen_us");
	json_int_t thaw_at = history_int(mount, "thaw_at_us");
	const char *outcome = history_text(mount, "outcome");

	if (flush_at < 0)
		flush_at = history_int(asked, "at_us");
	if (thaw_at < 0)
		thaw_at = sum(sum(freeze_at, freeze), frozen);
	bar(m, r, TIMELINE_FLUSH, flush_at, history_int(mount, "flush_us"),
	    "flush");
	bar(m, r, !strcmp(outcome, "failed") || !strcmp(outcome, "foreign") ?
	    TIMELINE_FAILED : TIMELINE_FREEZE, freeze_at, freeze, "freeze");
	bar(m, r, TIMELINE_FROZEN, sum(freeze_at, freeze), frozen, "frozen");
	bar(m, r, TIMELINE_THAW, thaw_at, history_int(mount, "thaw_us"),
	    "thaw");
}

static void mount_result(struct maker *m, struct timeline_row *r,
			 const json_t *mount)
{
	const char *outcome = history_text(mount, "outcome");
	json_int_t frozen = history_int(mount, "frozen_us");

	if (!strcmp(outcome, "thawed") && frozen >= 0)
		result_time(m, r, "frozen", frozen);
	else if (!strcmp(outcome, "synced"))
		result(m, r, false, "flushed");
	else if (*outcome)
		result(m, r, strcmp(outcome, "thawed") != 0,
		       !strcmp(outcome, "stuck") ? "STILL FROZEN" :
		       hvctl_show(outcome));
}

static void mount_rows(struct maker *m)
{
	json_t *mounts = json_object_get(m->rec, "mounts"), *mount;
	bool headed = false;
	size_t i;

	json_array_foreach(mounts, i, mount) {
		const char *path = history_text(mount, "path");
		struct timeline_row *r;

		if (!strcmp(history_text(mount, "action"), "skip"))
			continue;
		if (!headed)
			row(m, "File systems", 0);
		headed = true;
		r = row(m, *path ? path : history_text(mount, "source"), 1);
		mount_bars(m, r, mount);
		if (r)
			mount_result(m, r, mount);
	}
}

/* The whole --------------------------------------------------------------- */

static const char *result_text(const char *result)
{
	static const struct { const char *name, *text; } words[] = {
		{ "application", "application-consistent" },
		{ "file-system", "file-system-consistent" },
		{ "failed", "failed" },
		{ "checked", "it could be backed up" },
		{ "interrupted", "interrupted" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(result, words[i].name))
			return words[i].text;
	return "of unknown result";
}

static void titles(struct maker *m)
{
	const json_t *rec = m->rec, *window = json_object_get(rec, "window");
	const char *result = history_text(rec, "result");
	const char *when = hvctl_show(history_text(rec, "started"));
	json_int_t took = history_int(rec, "took_us");
	json_int_t from = history_int(window, "frozen_at_us");
	json_int_t frozen = history_int(window, "frozen_us");
	char text[256], time[32] = "";

	snprintf(text, sizeof(text), "%s: %s", !strcmp(result, "checked") ?
		 "Check" : "Backup", result_text(result));
	m->t->title = strdup(text);
	m->t->failed = !strcmp(result, "failed") ||
		       !strcmp(result, "interrupted");
	snprintf(text, sizeof(text), "%.10s %.12s UTC, id %.40s%s%s%s%s",
		 when, strlen(when) > 11 ? when + 11 : "", hvctl_show(
		 history_text(rec, "id")),
		 took >= 0 ? ", took " : "",
		 took >= 0 ? timeline_time(time, (double)took / 1000) : "",
		 *history_text(rec, "why") ? ". " : "",
		 *history_text(rec, "why") ?
		 hvctl_show(history_text(rec, "why")) : "");
	m->t->subtitle = strdup(text);
	m->failed |= !m->t->title || !m->t->subtitle;
	if (from >= 0 && frozen > 0) {
		m->t->window_from_ms = ms_of(m, from);
		m->t->window_to_ms = m->t->window_from_ms +
				     (double)frozen / 1000;
	}
}

int hvctl_timeline_make(struct timeline *t, const json_t *rec)
{
	struct maker m = { t, rec, 0, false };
	struct timeline_row *r;
	json_t *steps = json_object_get(rec, "daemon");

	*t = (struct timeline){ 0 };
	if (history_int(rec, "at_us") > 0)
		m.base_us = history_int(rec, "at_us");
	titles(&m);
	host_row(&m);
	app_rows(&m);
	mount_rows(&m);
	if (json_array_size(steps) && !json_object_get(rec, "mounts")) {
		row(&m, "File systems", 0);
		r = row(&m, "hv_vss_daemon", 1);
		steps_bars(&m, r, steps);
		if (r)
			app_result(&m, r, steps);
	}
	if (!m.failed)
		return 0;
	timeline_clear(t);
	return -1;
}
