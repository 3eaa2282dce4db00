/* prog/timeline.h - a drawing of who did what when: rows of bars over a scale
 * of time, as text for a terminal and as SVG. Knows nothing of backups but the
 * names of the kinds; no files, no JSON.
 *
 * The scale is in proportion, but for stretches in which nothing begins or
 * ends and that would squeeze all else: they are drawn shorter, and marked.
 */
#ifndef TIMELINE_H
#define TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum timeline_kind {		/* later ones are drawn over earlier ones */
	TIMELINE_ASKED,		/* asked, has not answered yet */
	TIMELINE_SNAPSHOT,	/* the host makes its snapshot */
	TIMELINE_FLUSH,
	TIMELINE_FREEZE,
	TIMELINE_FROZEN,
	TIMELINE_THAW,
	TIMELINE_FAILED,
	TIMELINE_N_KINDS
};

struct timeline_bar {
	double from_ms, to_ms;
	enum timeline_kind kind;
	char *text;		/* what it was: SVG's tooltip */
};

struct timeline_row {
	char *name;
	char *result;		/* "84.1 ms frozen", "refused"; may be NULL */
	unsigned depth;		/* 0: a heading's row, 1: below it, 2: a part */
	bool bad;		/* the result is no good one */
	struct timeline_bar *bar;
	size_t n;
};

struct timeline {
	char *title, *subtitle;
	struct timeline_row *row;
	size_t n;
	double window_from_ms, window_to_ms;	/* shaded; equal: none */
	bool failed;		/* a word of the title is to be red */
};

/* Texts are copied; they must be printable UTF-8 (quoted by the caller). NULL
 * or -1: no memory. */
struct timeline_row *timeline_add_row(struct timeline *t, const char *name,
				      unsigned depth);
int timeline_add_bar(struct timeline_row *r, enum timeline_kind kind,
		     double from_ms, double to_ms, const char *text);
void timeline_clear(struct timeline *t);	/* frees all that it holds */

enum { TIMELINE_WIDTH_MIN = 60 };

/* columns: at least TIMELINE_WIDTH_MIN, else that. utf8: block characters;
 * else ASCII, and texts with '?' for what is not. */
void timeline_text(const struct timeline *t, FILE *f, size_t columns,
		   bool utf8);
void timeline_svg(const struct timeline *t, FILE *f);

/* The scale, for both. Positions from 0 to width. */
enum { TIMELINE_SEGMENTS = 7, TIMELINE_TICKS = 64 };

struct timeline_scale {
	struct timeline_segment {
		double from_ms, to_ms, from, to;
		bool cut;	/* drawn shorter than it is */
	} seg[TIMELINE_SEGMENTS];
	size_t n;
	double tick[TIMELINE_TICKS];	/* ms */
	size_t n_ticks;
};

/* least: positions between two ticks, at least. */
void timeline_scale_make(struct timeline_scale *s, const struct timeline *t,
			 double width, double least);
double timeline_at(const struct timeline_scale *s, double ms);
const char *timeline_kind_name(enum timeline_kind k);
/* "12.5 ms", "1.25 s": enough digits, no more. */
const char *timeline_time(char out[32], double ms);

#endif
