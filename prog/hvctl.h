/* prog/hvctl.h - what the parts of hvctl share. */
#ifndef HVCTL_H
#define HVCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"

/* Exit codes; hvctl(8) promises them. */
enum hvctl_exit {
	HVCTL_DONE = 0,
	HVCTL_ABSENT = 1,	/* no such key; the wait timed out */
	HVCTL_USAGE = 2,	/* bad input */
	HVCTL_REFUSED = 3,	/* no permission; the pool is the host's */
	HVCTL_UNREACHABLE = 4,	/* no such directory; nobody answers */
	HVCTL_IO = 5,
};

struct hvctl {
	struct conf conf;
	const char *pool;	/* --pool, or NULL */
	const char *value;	/* --value */
	const char *timeout;	/* --timeout */
	const char *svg;	/* --svg */
	bool json, force, replace, append, all;
	struct {			/* vss hold */
		const char *check, *freeze, *thaw, *abort;
		const char *signal, *pid, *name, *device;
		bool stop, once;
	} hold;
};

/* A command: its own words follow in argv[0..argc). Returns an exit code. */
struct hvctl_command {
	const char *name;	/* "kvp get" */
	const char *operands;
	const char *help;
	int least, most;	/* operands; most -1: any number */
	int (*fn)(struct hvctl *c, int argc, char **argv);
};

extern const struct hvctl_command hvctl_kvp_commands[];	/* end: NULL name */
extern const struct hvctl_command hvctl_vss_commands[];

int hvctl_vss_hold(struct hvctl *c, int argc, char **argv);
int hvctl_status(struct hvctl *c, int argc, char **argv);
/* The members of a program's answer, one a line. */
void hvctl_print_members(int indent, json_t *o);

/* "hvctl: text" on stderr; returns code. */
int hvctl_fail(int code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* `text` in quotes, safe to print; up to four in one line. */
const char *hvctl_quote(const char *text);
/* `text` as it is where that does no harm, else in quotes. */
const char *hvctl_show(const char *text);

/* Print JSON and a newline; drops the reference. */
int hvctl_print_json(json_t *j, bool compact);
/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
json_t *hvctl_json_text(const char *text);

/* A table whose columns line up. On a terminal the last column is cut to its
 * width. Rows are of n_columns strings, shown by hvctl_show(). */
struct hvctl_table {
	size_t n_columns, n_cells, cap;
	char **cell;
};

int hvctl_table_add(struct hvctl_table *t, const char *const *row);
int hvctl_table_print(struct hvctl_table *t);	/* and frees it */

#endif
