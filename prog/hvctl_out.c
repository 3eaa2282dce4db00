/* prog/hvctl_out.c - texts, tables and JSON for people and scripts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <unistr.h>
#include <uniwidth.h>

#include "base/log.h"
#include "base/utf16.h"
#include "hvctl.h"

enum { QUOTED_SIZE = 4 * 2600, QUOTED_SLOTS = 4 };

int hvctl_fail(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("hvctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

const char *hvctl_quote(const char *text)
{
	static char slot[QUOTED_SLOTS][QUOTED_SIZE];
	static unsigned next;

	return log_quote(slot[next++ % QUOTED_SLOTS], QUOTED_SIZE, text,
			 strlen(text));
}

const char *hvctl_show(const char *text)
{
	const char *quoted = hvctl_quote(text);
	size_t len = strlen(text);

	/* Quoting it changed nothing but the quotes? Then it is harmless. */
	if (len && strlen(quoted) == len + 2 &&
	    !memcmp(quoted + 1, text, len) && text[0] != '"')
		return text;
	return len ? quoted : "";
}

/* JSON ------------------------------------------------------------------- */

int hvctl_print_json(json_t *j, bool compact)
{
	size_t flags = JSON_ENCODE_ANY | (compact ? JSON_COMPACT :
			JSON_INDENT(2));
	int r = j ? json_dumpf(j, stdout, flags) : -1;

	json_decref(j);
	putchar('\n');
	if (fflush(stdout) != 0 || ferror(stdout) || r < 0)
		return hvctl_fail(HVCTL_IO, "cannot write the output");
	return HVCTL_DONE;
}

json_t *hvctl_json_text(const char *text)
{
	static const char bad[] = "\xef\xbf\xbd";	/* U+FFFD */
	size_t len = strlen(text), at = 0;
	char *out, *p;
	json_t *j;

	if (utf8_valid(text, len))
		return json_string(text);
	out = p = malloc(3 * len + 1);
	if (!out)
		return NULL;
	while (at < len) {
		int n = u8_mblen((const uint8_t *)text + at, len - at);

		if (n > 0)
			memcpy(p, text + at, (size_t)n);
		else
			memcpy(p, bad, 3);
		p += n > 0 ? n : 3;
		at += n > 0 ? (size_t)n : 1;
	}
	*p = '\0';
	j = json_string(out);
	free(out);
	return j;
}

/* Tables ----------------------------------------------------------------- */

static size_t width_of(const char *text)
{
	int w = u8_strwidth((const uint8_t *)text, "UTF-8");

	return w > 0 ? (size_t)w : 0;
}

int hvctl_table_add(struct hvctl_table *t, const char *const *row)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		if (t->n_cells == t->cap) {
			size_t cap = t->cap ? 2 * t->cap : 64;
			char **more = reallocarray(t->cell, cap,
						   sizeof(*more));

			if (!more)
				return -1;
			t->cell = more;
			t->cap = cap;
		}
		t->cell[t->n_cells] = strdup(hvctl_show(row[i]));
		if (!t->cell[t->n_cells])
			return -1;
		t->n_cells++;
	}
	return 0;
}

static size_t column_width(const struct hvctl_table *t, size_t column)
{
	size_t most = 0;

	for (size_t i = column; i < t->n_cells; i += t->n_columns) {
		size_t w = width_of(t->cell[i]);

		if (w > most)
			most = w;
	}
	return most;
}

/* Columns of the terminal, or 0: the output is no terminal. */
static size_t terminal_width(void)
{
	struct winsize ws;

	if (!isatty(STDOUT_FILENO) ||
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0)
		return 0;
	return ws.ws_col;
}

/* At most `room` columns of text; an ellipsis tells that some is missing. */
static void print_cut(const char *text, size_t room)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t used = 0;

	if (width_of(text) <= room) {
		fputs(text, stdout);
		return;
	}
	while (*p) {
		ucs4_t c;
		int n = u8_mbtouc(&c, p, strlen((const char *)p));
		int w = uc_width(c, "UTF-8");

		if (used + (w > 0 ? (size_t)w : 0) + 1 > room)
			break;
		used += w > 0 ? (size_t)w : 0;
		fwrite(p, 1, (size_t)n, stdout);
		p += n;
	}
	fputs("\xe2\x80\xa6", stdout);
}

static void print_row(const struct hvctl_table *t, size_t row,
		      const size_t *width, size_t room)
{
	char **cell = t->cell + row * t->n_columns;
	size_t last = t->n_columns - 1, used = 0;

	for (size_t i = 0; i < last; i++) {
		printf("%s%*s", cell[i],
		       (int)(width[i] - width_of(cell[i]) + 2), "");
		used += width[i] + 2;
	}
	if (room > used + 8)
		print_cut(cell[last], room - used);
	else
		fputs(cell[last], stdout);
	putchar('\n');
}

int hvctl_table_print(struct hvctl_table *t)
{
	size_t *width = calloc(t->n_columns, sizeof(*width));
	size_t room = terminal_width();

	for (size_t i = 0; width && i < t->n_columns; i++)
		width[i] = column_width(t, i);
	for (size_t r = 0; width && r < t->n_cells / t->n_columns; r++)
		print_row(t, r, width, room);
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cell[i]);
	free(t->cell);
	free(width);
	*t = (struct hvctl_table){ .n_columns = t->n_columns };
	return fflush(stdout) == 0 && !ferror(stdout) ? HVCTL_DONE :
	       hvctl_fail(HVCTL_IO, "cannot write the output");
}
