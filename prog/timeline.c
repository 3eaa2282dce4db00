/* prog/timeline.c - rows, bars, and the scale that both drawings share. */
#include "timeline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A stretch without an event is cut when it is more than this part of all that
 * is not cut yet, and then takes that part of the width. */
#define CUT_FROM	0.5
#define CUT_TO		0.12
#define CUT_MARGIN	0.08		/* of the rest: the edges stay readable */
#define LEAST_MS	0.01		/* ... that is left to draw */

enum { CUTS_MAX = 3 };		/* TIMELINE_SEGMENTS holds the rest */

struct timeline_row *timeline_add_row(struct timeline *t, const char *name,
				      unsigned depth)
{
	struct timeline_row *more = reallocarray(t->row, t->n + 1,
						 sizeof(*more));

	if (!more)
		return NULL;
	t->row = more;
	more[t->n] = (struct timeline_row){ .depth = depth };
	more[t->n].name = strdup(name);
	return more[t->n].name ? &more[t->n++] : NULL;
}

int timeline_add_bar(struct timeline_row *r, enum timeline_kind kind,
		     double from_ms, double to_ms, const char *text)
{
	struct timeline_bar *more = reallocarray(r->bar, r->n + 1,
						 sizeof(*more));

	if (!more)
		return -1;
	r->bar = more;
	more[r->n] = (struct timeline_bar){ from_ms, to_ms, kind,
					    strdup(text) };
	return more[r->n].text ? (r->n++, 0) : -1;
}

void timeline_clear(struct timeline *t)
{
	for (size_t i = 0; i < t->n; i++) {
		for (size_t b = 0; b < t->row[i].n; b++)
			free(t->row[i].bar[b].text);
		free(t->row[i].bar);
		free(t->row[i].name);
		free(t->row[i].result);
	}
	free(t->row);
	free(t->title);
	free(t->subtitle);
	*t = (struct timeline){ 0 };
}

const char *timeline_kind_name(enum timeline_kind k)
{
	static const char *const names[] = {
		[TIMELINE_ASKED] = "asked",
		[TIMELINE_SNAPSHOT] = "host's snapshot",
		[TIMELINE_FLUSH] = "flushing",
		[TIMELINE_FREEZE] = "freezing",
		[TIMELINE_FROZEN] = "frozen, holding",
		[TIMELINE_THAW] = "thawing",
		[TIMELINE_FAILED] = "failed",
	};

	return names[k];
}

const char *timeline_time(char out[32], double ms)
{
	if (ms < 10)
		snprintf(out, 32, "%.2f ms", ms);
	else if (ms < 1000)
		snprintf(out, 32, "%.1f ms", ms);
	else
		snprintf(out, 32, "%.2f s", ms / 1000);
	return out;
}

/* The scale --------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Every moment at which something begins or ends; sorted. */
static double *moments(const struct timeline *t, size_t *n)
{
	size_t cap = 1;
	double *at;

	for (size_t i = 0; i < t->n; i++)
		cap += 2 * t->row[i].n;
	at = calloc(cap, sizeof(*at));
	*n = at ? 1 : 0;		/* at[0]: the beginning, 0 */
	for (size_t i = 0; at && i < t->n; i++)
		for (size_t b = 0; b < t->row[i].n; b++) {
			at[(*n)++] = t->row[i].bar[b].from_ms;
			at[(*n)++] = t->row[i].bar[b].to_ms;
		}
	if (at)
		qsort(at, *n, sizeof(*at), by_value);
	return at;
}

static void add_segment(struct timeline_scale *s, double from, double to,
			bool cut)
{
	if (s->n < TIMELINE_SEGMENTS && (to > from || !s->n))
		s->seg[s->n++] = (struct timeline_segment){ from, to, 0, 0,
							    cut };
}

/* The longest stretch that is not cut yet: its end's index; 0: none. */
static size_t longest(const double *at, size_t n, const bool *cut)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (!cut[i] && (!best || at[i] - at[i - 1] >
				at[best] - at[best - 1]))
			best = i;
	return best;
}

static void find_segments(struct timeline_scale *s, const double *at, size_t n)
{
	double total = n ? at[n - 1] : 0, rest = total, from = 0, margin;
	bool *cut = calloc(n + 1, sizeof(*cut));

	for (unsigned cuts = 0; cut && cuts < CUTS_MAX; cuts++) {
		size_t i = longest(at, n, cut);

		if (!i || at[i] - at[i - 1] <= CUT_FROM * rest ||
		    rest - (at[i] - at[i - 1]) < LEAST_MS)
			break;
		cut[i] = true;
		rest -= at[i] - at[i - 1];
	}
	for (size_t i = 1; cut && i < n; i++) {
		if (!cut[i])
			continue;
		margin = fmin(CUT_MARGIN * rest + total * 1e-9,
			      (at[i] - at[i - 1]) * 0.2);
		add_segment(s, from, at[i - 1] + margin, false);
		add_segment(s, at[i - 1] + margin, at[i] - margin, true);
		from = at[i] - margin;
	}
	add_segment(s, from, total > 0 ? total : 1, false);
	free(cut);
}

static void place_segments(struct timeline_scale *s, double width)
{
	double shown = 0, cuts = 0, at = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->seg[i].cut)
			cuts++;
		else
			shown += s->seg[i].to_ms - s->seg[i].from_ms;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct timeline_segment *g = &s->seg[i];
		double part = g->cut ? CUT_TO :
			(g->to_ms - g->from_ms) / shown * (1 - cuts * CUT_TO);

		g->from = at;
		at += part * width;
		g->to = at;
	}
}

double timeline_at(const struct timeline_scale *s, double ms)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct timeline_segment *g = &s->seg[i];

		if (ms <= g->to_ms || i + 1 == s->n) {
			double part = (ms - g->from_ms) /
				      (g->to_ms - g->from_ms);

			return g->from + fmin(fmax(part, 0), 1) *
					 (g->to - g->from);
		}
	}
	return 0;
}

/* 1, 2 or 5 times a power of ten, at least x. */
static double nice(double x)
{
	double p = pow(10, floor(log10(x)));

	return x <= p ? p : x <= 2 * p ? 2 * p : x <= 5 * p ? 5 * p : 10 * p;
}

static void make_ticks(struct timeline_scale *s, double least)
{
	double ms_per = 1, step, last = -INFINITY;

	for (size_t i = 0; i < s->n; i++)
		if (!s->seg[i].cut && s->seg[i].to > s->seg[i].from)
			ms_per = (s->seg[i].to_ms - s->seg[i].from_ms) /
				 (s->seg[i].to - s->seg[i].from);
	step = nice(ms_per * least);
	for (size_t i = 0; i < s->n; i++) {
		const struct timeline_segment *g = &s->seg[i];

		if (g->cut)
			continue;
		for (int k = 0; k < TIMELINE_TICKS; k++) {
			double ms = (ceil(g->from_ms / step) + k) * step;

			if (ms > g->to_ms || s->n_ticks == TIMELINE_TICKS)
				break;
			if (timeline_at(s, ms) - last < least)
				continue;
			last = timeline_at(s, ms);
			s->tick[s->n_ticks++] = ms;
		}
	}
}

void timeline_scale_make(struct timeline_scale *s, const struct timeline *t,
			 double width, double least)
{
	size_t n;
	double *at = moments(t, &n);

	*s = (struct timeline_scale){ 0 };
	find_segments(s, at, n);
	free(at);
	place_segments(s, width);
	make_ticks(s, least);
}
