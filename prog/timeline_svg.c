/* prog/timeline_svg.c - the timeline as one SVG file: no script, no font or
 * style from elsewhere, colours for light and for dark. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistr.h>

#include "timeline.h"

enum {
	WIDTH = 1000,
	PAD = 28,
	NAME = 196,			/* the names' column */
	RESULT = 150,			/* the results' column */
	TRACK_X = PAD + NAME + 16,
	TRACK = WIDTH - PAD - RESULT - 16 - TRACK_X,
	AXIS_Y = 112,
	ROW = 26,
	HEADING = 32,
	NAME_CHARS = 27,
	RESULT_CHARS = 24,
	TITLE_CHARS = 80,
	SUBTITLE_CHARS = 130,
};

static const char style[] =
	"text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,"
	"'DejaVu Sans',sans-serif;font-size:13px;fill:#1f2937}\n"
	".bg{fill:#ffffff}.t{font-size:20px;font-weight:600}\n"
	".m{fill:#6b7280}.s{font-size:11.5px}.e{text-anchor:end}\n"
	".c{text-anchor:middle}.h{font-size:11.5px;font-weight:600;"
	"letter-spacing:.6px;fill:#6b7280}\n"
	".b{fill:#c81e1e;font-weight:600}.p{font-size:12px;fill:#4b5563}\n"
	".g{stroke:#e5e7eb}.a{stroke:#9ca3af}.cut{stroke:#9ca3af;"
	"stroke-dasharray:2 4}\n"
	".w{fill:#3b82f6;fill-opacity:.09}.wl{stroke:#3b82f6;"
	"stroke-opacity:.55;stroke-dasharray:3 3}.wt{fill:#1d4ed8;"
	"font-weight:600}\n"
	".gap{stroke:#ffffff;stroke-width:3;fill:none}\n"
	".k0{fill:#c3cad5}.k1{fill:#a78bfa}.k2{fill:#f6c343}"
	".k3{fill:#f28c38}.k4{fill:#3b82f6}.k5{fill:#2fb68b}"
	".k6{fill:#e02d2d}\n"
	"@media (prefers-color-scheme:dark){\n"
	"text{fill:#e5e9f0}.bg{fill:#12161f}.m,.h{fill:#94a0b3}"
	".p{fill:#b6c0d0}.b{fill:#ff8a8a}\n"
	".g{stroke:#232a38}.a,.cut{stroke:#566178}.w{fill:#60a5fa;"
	"fill-opacity:.12}.wl{stroke:#60a5fa}.wt{fill:#93c5fd}"
	".gap{stroke:#12161f}\n"
	".k0{fill:#4a5468}.k1{fill:#8b6df0}.k2{fill:#d9a520}"
	".k3{fill:#e07a22}.k4{fill:#4f93ff}.k5{fill:#27a57d}"
	".k6{fill:#ff5252}\n}\n";

struct canvas {
	FILE *f;
	const struct timeline *t;
	struct timeline_scale scale;
	double bottom;
};

/* At most `most` characters, with what XML must not see replaced. */
static void put_text(FILE *f, const char *text, size_t most)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t len = u8_mbsnlen(at, strlen(text));

	for (size_t i = 0; *at && (len <= most || i + 1 < most); i++) {
		ucs4_t c;
		int n = u8_mbtouc(&c, at, strlen((const char *)at));

		if (c == '&')
			fputs("&amp;", f);
		else if (c == '<')
			fputs("&lt;", f);
		else if (c == '>')
			fputs("&gt;", f);
		else if (c == '"')
			fputs("&quot;", f);
		else if (c < 0x20 || c == 0x7f || c == 0xfffd ||
			 (c & 0xfffe) == 0xfffe)
			fputc('?', f);
		else
			fwrite(at, 1, (size_t)n, f);
		at += n;
	}
	if (len > most)
		fputs("\xe2\x80\xa6", f);
}

static void text_at(const struct canvas *c, double x, double y,
		    const char *class, const char *text, size_t most)
{
	fprintf(c->f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
	put_text(c->f, text, most);
	fputs("</text>\n", c->f);
}

static double x_of(const struct canvas *c, double ms)
{
	return TRACK_X + timeline_at(&c->scale, ms);
}

static double row_height(const struct timeline_row *r)
{
	return r->n || r->result ? ROW - 4.0 * (r->depth > 1) : HEADING;
}

static void put_window(const struct canvas *c)
{
	double from = x_of(c, c->t->window_from_ms);
	double to = x_of(c, c->t->window_to_ms);
	char text[64], time[32];

	if (c->t->window_to_ms <= c->t->window_from_ms)
		return;
	if (to - from < 2)
		to = from + 2;
	fprintf(c->f, "<rect class=\"w\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
		"height=\"%.1f\"/>\n", from, AXIS_Y - 30, to - from,
		c->bottom - AXIS_Y + 30);
	for (int i = 0; i < 2; i++)
		fprintf(c->f, "<line class=\"wl\" x1=\"%.1f\" y1=\"%d\" "
			"x2=\"%.1f\" y2=\"%.1f\"/>\n", i ? to : from,
			AXIS_Y - 30, i ? to : from, c->bottom);
	snprintf(text, sizeof(text), "file systems frozen %s",
		 timeline_time(time, c->t->window_to_ms -
			       c->t->window_from_ms));
	text_at(c, fmin(fmax((from + to) / 2, TRACK_X + 90),
			TRACK_X + TRACK - 90), AXIS_Y - 36, "wt s c", text, 64);
}

static void put_tick(const struct canvas *c, size_t i, bool seconds)
{
	double x = x_of(c, c->scale.tick[i]);
	char text[48];

	fprintf(c->f, "<line class=\"g\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" "
		"y2=\"%.1f\"/>\n", x, AXIS_Y, x, c->bottom);
	snprintf(text, sizeof(text), "%g%s", seconds ?
		 c->scale.tick[i] / 1000 : c->scale.tick[i],
		 i + 1 < c->scale.n_ticks ? "" : seconds ? " s" : " ms");
	text_at(c, x, AXIS_Y - 8, "m s c", text, 32);
}

static void put_axis(const struct canvas *c)
{
	const struct timeline_scale *s = &c->scale;

	for (size_t i = 0; i < s->n_ticks; i++)
		put_tick(c, i, s->seg[s->n - 1].to_ms >= 2000);
	for (size_t i = 0; i < s->n; i++)
		fprintf(c->f, "<line class=\"%s\" x1=\"%.1f\" y1=\"%d\" "
			"x2=\"%.1f\" y2=\"%d\"/>\n",
			s->seg[i].cut ? "cut" : "a",
			TRACK_X + s->seg[i].from, AXIS_Y,
			TRACK_X + s->seg[i].to, AXIS_Y);
}

static void put_bar(const struct canvas *c, const struct timeline_bar *b,
		    double y, double height)
{
	double from = x_of(c, b->from_ms), to = x_of(c, b->to_ms);
	double least = b->kind == TIMELINE_FAILED ? 6 : 2.5;
	char time[32];

	if (to - from < least)
		to = from + least;
	if (to > TRACK_X + TRACK) {
		from -= to - (TRACK_X + TRACK);
		to = TRACK_X + TRACK;
	}
	fprintf(c->f, "<rect class=\"k%d\" x=\"%.1f\" y=\"%.1f\" "
		"width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\"><title>",
		(int)b->kind, from, y, to - from, height,
		fmin(3, (to - from) / 3));
	put_text(c->f, b->text, 200);
	fprintf(c->f, ": %s, %s", timeline_kind_name(b->kind),
		timeline_time(time, b->to_ms - b->from_ms));
	fprintf(c->f, ", from %s</title></rect>\n",
		timeline_time(time, b->from_ms));
}

static void put_bars(const struct canvas *c, const struct timeline_row *r,
		     double y)
{
	double height = r->depth > 1 ? 9 : 14;

	for (int k = 0; k < TIMELINE_N_KINDS; k++)
		for (size_t b = 0; b < r->n; b++)
			if (r->bar[b].kind == (enum timeline_kind)k)
				put_bar(c, &r->bar[b],
					y + (row_height(r) - height) / 2,
					height);
}

static double put_row(const struct canvas *c, const struct timeline_row *r,
		      double y)
{
	double base = y + row_height(r) / 2 + 4.5;
	const char *class = r->depth > 1 ? "p" : "n";

	if (!r->n && !r->result) {
		text_at(c, PAD, y + HEADING - 9, "h", r->name, NAME_CHARS + 10);
		return y + HEADING;
	}
	text_at(c, PAD + 14.0 * r->depth, base, class, r->name,
		NAME_CHARS - 2 * r->depth);
	put_bars(c, r, y);
	if (r->result)
		text_at(c, WIDTH - PAD, base, r->bad ? "b s e" : "m s e",
			r->result, RESULT_CHARS);
	return y + row_height(r);
}

/* A zigzag through all rows where the scale is cut. */
static void put_cuts(const struct canvas *c)
{
	for (size_t i = 0; i < c->scale.n; i++) {
		const struct timeline_segment *g = &c->scale.seg[i];
		double x = TRACK_X + (g->from + g->to) / 2;
		char text[64], time[32];

		if (!g->cut)
			continue;
		fprintf(c->f, "<path class=\"gap\" d=\"M%.1f %d", x, AXIS_Y);
		for (int y = AXIS_Y + 6, side = 3; y < (int)c->bottom;
		     y += 8, side = -side)
			fprintf(c->f, "L%.1f %d", x + side, y);
		fputs("\"/>\n", c->f);
		snprintf(text, sizeof(text), "\xe2\x80\xa6 %s \xe2\x80\xa6",
			 timeline_time(time, g->to_ms - g->from_ms));
		text_at(c, x, AXIS_Y - 8, "m s c", text, 40);
	}
}

static bool has_kind(const struct timeline *t, int k)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t b = 0; b < t->row[i].n; b++)
			if (t->row[i].bar[b].kind == (enum timeline_kind)k)
				return true;
	return false;
}

static void put_legend(const struct canvas *c)
{
	double x = TRACK_X, y = c->bottom + 26;

	for (int k = 0; k < TIMELINE_N_KINDS; k++) {
		const char *name = timeline_kind_name((enum timeline_kind)k);

		if (!has_kind(c->t, k))
			continue;
		fprintf(c->f, "<rect class=\"k%d\" x=\"%.1f\" y=\"%.1f\" "
			"width=\"16\" height=\"10\" rx=\"2.5\"/>\n", k, x,
			y - 9);
		text_at(c, x + 22, y, "s", name, 32);
		x += 46 + 6.4 * (double)strlen(name);
	}
}

void timeline_svg(const struct timeline *t, FILE *f)
{
	struct canvas c = { .f = f, .t = t, .bottom = AXIS_Y + 8 };
	double y = AXIS_Y + 4;
	int height;

	timeline_scale_make(&c.scale, t, TRACK, 64);
	for (size_t i = 0; i < t->n; i++)
		c.bottom += row_height(&t->row[i]);
	height = (int)c.bottom + 44;
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
		"height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
		WIDTH, height, WIDTH, height);
	put_text(f, t->title ? t->title : "timeline", 500);
	fprintf(f, "</title>\n<style>\n%s</style>\n<rect class=\"bg\" "
		"width=\"%d\" height=\"%d\" rx=\"10\"/>\n", style, WIDTH,
		height);
	if (t->title)
		text_at(&c, PAD, 38, t->failed ? "t b" : "t", t->title,
			TITLE_CHARS);
	if (t->subtitle)
		text_at(&c, PAD, 59, "m", t->subtitle, SUBTITLE_CHARS);
	put_window(&c);
	put_axis(&c);
	for (size_t i = 0; i < t->n; i++)
		y = put_row(&c, &t->row[i], y);
	put_cuts(&c);
	put_legend(&c);
	fputs("</svg>\n", f);
}
