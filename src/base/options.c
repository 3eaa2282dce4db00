/* base/options.c - getopt_long(3), driven by a table. */
#include "base/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { MAX_OPTIONS = 32, LONG_BASE = 256 };

static const struct option_def common[] = {
	{ 'h', "help", NULL, "show this text", NULL },
	{ 'V', "version", NULL, "show the version", NULL },
};

static void print_option(const struct option_def *d)
{
	char form[64];

	snprintf(form, sizeof(form), "%s%s%s", d->name, d->arg ? " " : "",
		 d->arg ? d->arg : "");
	if (d->letter)
		printf("  -%c, --%-20s %s\n", d->letter, form, d->help);
	else
		printf("      --%-20s %s\n", form, d->help);
}

static void print_usage(const struct options_text *t,
			const struct option_def *defs)
{
	printf("usage: %s [options]%s%s\n%s\n\n", t->program,
	       t->operands[0] ? " " : "", t->operands, t->summary);
	for (const struct option_def *d = defs; d->name; d++)
		print_option(d);
	for (unsigned i = 0; i < 2; i++)
		print_option(&common[i]);
}

/* getopt's two tables from ours. */
static void build(const struct option_def *defs, struct option *longs,
		  char *shorts)
{
	unsigned n = 0;

	*shorts++ = '+';		/* stop at the first operand */
	for (; defs[n].name; n++) {
		longs[n] = (struct option){ defs[n].name,
			defs[n].arg ? required_argument : no_argument, NULL,
			LONG_BASE + (int)n };
		if (!defs[n].letter)
			continue;
		*shorts++ = defs[n].letter;
		if (defs[n].arg)
			*shorts++ = ':';
	}
	longs[n++] = (struct option){ "help", no_argument, NULL, 'h' };
	longs[n++] = (struct option){ "version", no_argument, NULL, 'V' };
	longs[n] = (struct option){ 0 };
	strcpy(shorts, "hV");
}

static const struct option_def *find(const struct option_def *defs, int c)
{
	if (c >= LONG_BASE)
		return &defs[c - LONG_BASE];
	while (defs->name && defs->letter != c)
		defs++;
	return defs->name ? defs : NULL;
}

/* Scripts read these texts: what did not get out is a failure. */
static int printed(const struct options_text *t)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 1;
	fprintf(stderr, "%s: cannot write the output\n", t->program);
	return -EIO;
}

int options_parse(const struct options_text *t, const struct option_def *defs,
		  int argc, char **argv, int *first)
{
	struct option longs[MAX_OPTIONS + 3];
	char shorts[2 * MAX_OPTIONS + 4];
	int c;

	build(defs, longs, shorts);
	argv[0] = (char *)t->program;	/* what getopt's errors begin with */
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_def *d = find(defs, c);

		if (d && d->arg) {
			*(const char **)d->dst = optarg;
		} else if (d) {
			*(bool *)d->dst = true;
		} else if (c == 'h') {
			print_usage(t, defs);
			return printed(t);
		} else if (c == 'V') {
			printf("%s (open-hv-tools) %s\n", t->program,
			       HV_VERSION);
			return printed(t);
		} else {
			fprintf(stderr, "Try '%s --help'.\n", t->program);
			return -EINVAL;
		}
	}
	if (!t->operands[0] && optind < argc) {
		fprintf(stderr, "%s: unexpected operand '%s'\n", t->program,
			argv[optind]);
		return -EINVAL;
	}
	if (first)
		*first = optind;
	return 0;
}
