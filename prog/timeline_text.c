/* prog/timeline_text.c - the timeline in characters. A bar takes at least one
 * cell, so that nothing that happened is invisible; where several share a
 * cell, the kind that matters most is shown. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>
#include <uniwidth.h>

#include "timeline.h"

enum { NAME_MAX_COLUMNS = 26, MARGIN = 2, RESULT_MAX = 18 };

struct pen {
	FILE *f;
	bool utf8;
	size_t name, track;		/* columns */
	struct timeline_scale scale;
};

static const struct { const char *utf8, *ascii; } cells[] = {
	[TIMELINE_ASKED] = { "\xe2\x96\x91", "." },		/* light shade */
	[TIMELINE_SNAPSHOT] = { "\xe2\x94\x81", "=" },	/* heavy line */
	[TIMELINE_FLUSH] = { "\xe2\x96\x92", "o" },		/* medium shade */
	[TIMELINE_FREEZE] = { "\xe2\x96\x93", "+" },	/* dark shade */
	[TIMELINE_FROZEN] = { "\xe2\x96\x88", "#" },	/* full block */
	[TIMELINE_THAW] = { "\xe2\x96\x9a", "-" },		/* quadrants */
	[TIMELINE_FAILED] = { "\xe2\x9c\x97", "!" },	/* ballot x */
	[TIMELINE_N_KINDS] = { " ", " " },
};

static const char *cell(const struct pen *p, enum timeline_kind k)
{
	return p->utf8 ? cells[k].utf8 : cells[k].ascii;
}

static size_t width_of(const char *text)
{
	int w = u8_strwidth((const uint8_t *)text, "UTF-8");

	return w > 0 ? (size_t)w : 0;
}

static void pad(const struct pen *p, size_t n)
{
	fprintf(p->f, "%*s", (int)n, "");
}

/* At most `room` columns of text; returns how many. */
static size_t put(const struct pen *p, const char *text, size_t room)
{
	const uint8_t *at = (const uint8_t *)text;
	bool cut = width_of(text) > room;
	size_t used = 0;

	while (*at) {
		ucs4_t c;
		int n = u8_mbtouc(&c, at, strlen((const char *)at));
		size_t w = (size_t)fmax(uc_width(c, "UTF-8"), 0);

		if (used + w + cut > room)
			break;
		if (p->utf8 || c < 0x80)
			fwrite(at, 1, (size_t)n, p->f);
		else
			fputc('?', p->f);
		used += p->utf8 || c < 0x80 ? w : 1;
		at += n;
	}
	if (cut && used < room) {
		fputs(p->utf8 ? "\xe2\x80\xa6" : "~", p->f);
		used++;
	}
	return used;
}

static size_t indent(const struct timeline_row *r)
{
	return r->depth > 1 ? 2 : 0;
}

static size_t name_columns(const struct timeline *t)
{
	size_t most = 8;

	for (size_t i = 0; i < t->n; i++) {
		size_t w = width_of(t->row[i].name) + indent(&t->row[i]);

		if (w > most)
			most = w;
	}
	return most < NAME_MAX_COLUMNS ? most : NAME_MAX_COLUMNS;
}

static size_t result_columns(const struct timeline *t)
{
	size_t most = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->row[i].result && width_of(t->row[i].result) > most)
			most = width_of(t->row[i].result);
	return most < RESULT_MAX ? most : RESULT_MAX;
}

/* Seconds when the whole is long; the unit stands once, at the end. */
static void tick_text(char out[32], const struct pen *p, size_t i)
{
	const struct timeline_scale *s = &p->scale;
	bool seconds = s->seg[s->n - 1].to_ms >= 2000;

	if (seconds)
		snprintf(out, 32, "%g", s->tick[i] / 1000);
	else
		snprintf(out, 32, "%g", s->tick[i]);
	if (i + 1 == s->n_ticks)
		strcat(out, seconds ? " s" : " ms");
}

static void put_ticks(const struct pen *p)
{
	size_t at = 0;

	pad(p, MARGIN + p->name + 2);
	for (size_t i = 0; i < p->scale.n_ticks; i++) {
		size_t x = (size_t)timeline_at(&p->scale, p->scale.tick[i]);
		char text[32];

		tick_text(text, p, i);
		if (i && x < at + 1)
			continue;
		pad(p, x - at);
		fputs(text, p->f);
		at = x + strlen(text);
	}
	fputc('\n', p->f);
}

static bool is_tick(const struct pen *p, size_t x)
{
	for (size_t i = 0; i < p->scale.n_ticks; i++)
		if ((size_t)timeline_at(&p->scale, p->scale.tick[i]) == x)
			return true;
	return false;
}

static bool is_cut(const struct pen *p, size_t x)
{
	for (size_t i = 0; i < p->scale.n; i++) {
		const struct timeline_segment *g = &p->scale.seg[i];

		if (g->cut && (double)x >= g->from && (double)x + 1 <= g->to)
			return true;
	}
	return false;
}

static void put_axis(const struct pen *p)
{
	pad(p, MARGIN + p->name + 2);
	for (size_t x = 0; x < p->track; x++) {
		if (is_cut(p, x))
			fputs(p->utf8 ? "\xe2\x95\x8c" : "~", p->f);
		else if (is_tick(p, x))
			fputs(p->utf8 ? "\xe2\x94\xb4" : "+", p->f);
		else
			fputs(p->utf8 ? "\xe2\x94\x80" : "-", p->f);
	}
	fputc('\n', p->f);
}

static void fill(const struct pen *p, uint8_t *track,
		 const struct timeline_bar *b)
{
	size_t from = (size_t)timeline_at(&p->scale, b->from_ms);
	size_t to = (size_t)ceil(timeline_at(&p->scale, b->to_ms));

	if (from >= p->track)
		from = p->track - 1;
	if (to <= from)
		to = from + 1;
	for (size_t x = from; x < to && x < p->track; x++)
		if (track[x] == TIMELINE_N_KINDS || track[x] < b->kind)
			track[x] = (uint8_t)b->kind;
}

static void put_row(const struct pen *p, const struct timeline_row *r)
{
	uint8_t track[1024];
	size_t used, last = 0;

	memset(track, TIMELINE_N_KINDS, sizeof(track));
	for (size_t b = 0; b < r->n; b++)
		fill(p, track, &r->bar[b]);
	pad(p, MARGIN + indent(r));
	used = indent(r) + put(p, r->name, p->name - indent(r));
	for (size_t x = 0; x < p->track; x++)
		if (track[x] != TIMELINE_N_KINDS)
			last = x + 1;
	if (last || r->result)
		pad(p, p->name - used + 2);
	if (r->result)
		last = p->track;
	for (size_t x = 0; x < last; x++)
		fputs(cell(p, track[x]), p->f);
	if (r->result) {
		pad(p, 2);
		put(p, r->result, RESULT_MAX);
	}
	fputc('\n', p->f);
}

static bool has_kind(const struct timeline *t, enum timeline_kind k)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t b = 0; b < t->row[i].n; b++)
			if (t->row[i].bar[b].kind == k)
				return true;
	return false;
}

static void put_legend(const struct pen *p, const struct timeline *t,
		       size_t columns)
{
	size_t used = 0;

	for (int k = 0; k < TIMELINE_N_KINDS; k++) {
		const char *name = timeline_kind_name((enum timeline_kind)k);
		size_t w = strlen(name) + 4;

		if (!has_kind(t, (enum timeline_kind)k))
			continue;
		if (used && MARGIN + used + w > columns) {
			fputc('\n', p->f);
			used = 0;
		}
		fprintf(p->f, "  %s %s", cell(p, (enum timeline_kind)k), name);
		used += w;
	}
	for (size_t i = 0; i < p->scale.n; i++)
		if (p->scale.seg[i].cut) {
			fprintf(p->f, "  %s not to scale", p->utf8 ?
				"\xe2\x95\x8c" : "~");
			break;
		}
	fputc('\n', p->f);
}

void timeline_text(const struct timeline *t, FILE *f, size_t columns, bool utf8)
{
	struct pen p = { .f = f, .utf8 = utf8, .name = name_columns(t) };
	size_t result = result_columns(t), rest;

	if (columns < TIMELINE_WIDTH_MIN)
		columns = TIMELINE_WIDTH_MIN;
	rest = MARGIN + p.name + 2 + (result ? result + 2 : 0);
	p.track = columns > rest + 20 ? columns - rest : 20;
	if (p.track > 160)
		p.track = 160;
	timeline_scale_make(&p.scale, t, (double)p.track, 8);
	if (t->title) {
		put(&p, t->title, 4096);
		fputc('\n', f);
	}
	if (t->subtitle) {
		put(&p, t->subtitle, 4096);
		fputc('\n', f);
	}
	fputc('\n', f);
	put_ticks(&p);
	put_axis(&p);
	for (size_t i = 0; i < t->n; i++)
		put_row(&p, &t->row[i]);
	fputc('\n', f);
	put_legend(&p, t, columns);
}
