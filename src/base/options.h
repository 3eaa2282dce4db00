/* base/options.h - command-line options from a table that also prints the
 * usage. Every program understands --help and --version besides.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>

/* One option. With arg it takes a value (dst is a const char **), without it
 * is a switch (dst is a bool *). The table ends with a NULL name. */
struct option_def {
	char letter;		/* 0: long form only */
	const char *name;
	const char *arg;	/* what the value is, for the usage: "FILE" */
	const char *help;
	void *dst;
};

struct options_text {
	const char *program;
	const char *operands;	/* "" when there are none */
	const char *summary;	/* one line */
};

/* Parse. operands "" means that none are allowed; else they are left from
 * index *first on (NULL: not wanted).
 * 0: go on; 1: help or version was printed, exit 0; -EINVAL: said what is
 * wrong on stderr, exit EX_USAGE (64); -EIO: help or version could not be
 * printed, which was said too. argv[0] becomes t->program. */
int options_parse(const struct options_text *t, const struct option_def *defs,
		  int argc, char **argv, int *first);

#endif
