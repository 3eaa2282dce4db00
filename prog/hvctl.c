/* prog/hvctl.c - one command line for all of the guest tools. Parse, find the
 * command in the table, run it. The table also prints the usage. */
#include "hvctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"

static const struct hvctl_command general_commands[] = {
	{ "status", "", "what runs, and how it is", 0, 0, hvctl_status },
	{ 0 },
};

static const struct hvctl_command *const commands[] = {
	general_commands, hvctl_kvp_commands, hvctl_vss_commands,
};

enum { N_TABLES = sizeof(commands) / sizeof(commands[0]) };

static void print_commands(FILE *f)
{
	fputs("\nCommands:\n", f);
	for (size_t t = 0; t < N_TABLES; t++)
		for (const struct hvctl_command *c = commands[t]; c->name; c++)
			fprintf(f, "  %-12s %-15s %s\n", c->name, c->operands,
				c->help);
}

/* Does the command's name, of one word or two, begin argv? How many words. */
static int match(const char *name, int argc, char **argv)
{
	const char *space = strchr(name, ' ');
	size_t len = space ? (size_t)(space - name) : strlen(name);

	if (argc < 1 || strncmp(argv[0], name, len) || argv[0][len])
		return 0;
	if (!space)
		return 1;
	return argc > 1 && !strcmp(argv[1], space + 1) ? 2 : 0;
}

static int run(struct hvctl *h, const struct hvctl_command *c, int argc,
	       char **argv)
{
	if (argc < c->least || (c->most >= 0 && argc > c->most))
		return hvctl_fail(HVCTL_USAGE, "usage: hvctl %s%s%s", c->name,
				  *c->operands ? " " : "", c->operands);
	return c->fn(h, argc, argv);
}

/* The first word of commands of two. */
static bool is_group(const char *word)
{
	return !strcmp(word, "kvp") || !strcmp(word, "vss");
}

static int dispatch(struct hvctl *h, int argc, char **argv)
{
	for (size_t t = 0; t < N_TABLES; t++)
		for (const struct hvctl_command *c = commands[t]; c->name;
		     c++) {
			int words = match(c->name, argc, argv);

			if (words)
				return run(h, c, argc - words, argv + words);
		}
	if (argc == 1 && is_group(argv[0]))
		hvctl_fail(HVCTL_USAGE, "%s: which command?", argv[0]);
	else if (argc)
		hvctl_fail(HVCTL_USAGE, "no command is called %s",
			   hvctl_quote(argv[argc > 1 && is_group(argv[0])]));
	else
		hvctl_fail(HVCTL_USAGE, "which command?");
	print_commands(stderr);
	return HVCTL_USAGE;
}

static int take_dir(char dst[CONF_PATH_MAX], const char *dir)
{
	if (conf_take_path(dst, dir, false) < 0)
		return hvctl_fail(HVCTL_USAGE, "%s is too long",
				  hvctl_quote(dir));
	return 0;
}

/* Options may stand before, between and behind the words of a command, which
 * are collected in words[]; "--" ends the options. Returns as options_parse().
 */
static int parse(const struct options_text *text,
		 const struct option_def *defs, int argc, char **argv,
		 char **words, int *n_words)
{
	char *program = argv[0];

	for (;;) {
		int first, r;
		bool ended;

		optind = 0;			/* getopt(3): start again */
		r = options_parse(text, defs, argc, argv, &first);
		if (r != 0 || first >= argc)
			return r;
		ended = !strcmp(argv[first - 1], "--");
		do {
			words[(*n_words)++] = argv[first++];
		} while (ended && first < argc);
		argc -= first - 1;
		argv += first - 1;
		argv[0] = program;
	}
}

static bool asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

/* Done only if what was printed got out. */
static int end(int r)
{
	if (r == HVCTL_DONE && (fflush(stdout) != 0 || ferror(stdout)))
		return hvctl_fail(HVCTL_IO, "cannot write the output");
	return r;
}

int main(int argc, char **argv)
{
	const char *config = NULL, *run_dir = NULL, *state_dir = NULL;
	struct hvctl h = { 0 };
	const struct option_def defs[] = {
		{ 'j', "json", NULL, "print JSON", &h.json },
		{ 'p', "pool", "POOL", "a pool's name or number", &h.pool },
		{ 'f', "force", NULL, "write to a pool of the host's",
		  &h.force },
		{ 'r', "replace", NULL, "import: remove all others",
		  &h.replace },
		{ 'a', "append", NULL, "set: keep a record with this key",
		  &h.append },
		{ 't', "timeout", "SECONDS", "wait: give up after that",
		  &h.timeout },
		{ 'v', "value", "VALUE", "wait: until the key has this value",
		  &h.value },
		{ 0, "all", NULL, "vss history: each check, too", &h.all },
		{ 0, "svg", "FILE", "vss last: write a drawing there", &h.svg },
		{ 0, "stop", NULL, "hold: COMMAND, with SIGSTOP and SIGCONT",
		  &h.hold.stop },
		{ 0, "signal", "A,B", "hold: with these signals instead",
		  &h.hold.signal },
		{ 0, "pid", "N", "hold: this process instead of a COMMAND",
		  &h.hold.pid },
		{ 0, "check", "CMD", "hold: refuse a backup if CMD fails",
		  &h.hold.check },
		{ 0, "freeze", "CMD", "hold: run before the freeze",
		  &h.hold.freeze },
		{ 0, "thaw", "CMD", "hold: run afterwards", &h.hold.thaw },
		{ 0, "abort", "CMD", "hold: ... when it failed",
		  &h.hold.abort },
		{ 0, "name", "NAME", "hold: for the history", &h.hold.name },
		{ 0, "once", NULL, "hold: end after one backup",
		  &h.hold.once },
		{ 0, "device", "PATH", "hold: the driver's device",
		  &h.hold.device },
		{ 0, "state-dir", "DIR", "where the pools are", &state_dir },
		{ 0, "run-dir", "DIR", "where the programs answer", &run_dir },
		{ 'c', "config", "FILE", "instead of " CONF_FILE, &config },
		{ 0 },
	};
	static const struct options_text text = {
		"hvctl", "COMMAND ...", "Look at and steer the Hyper-V guest tools.",
	};
	int r, n_words = 0, asked = asks_for_help(argc, argv);
	char err[512], **words;

	words = calloc((size_t)argc + 1, sizeof(*words));
	if (!words)
		return hvctl_fail(HVCTL_IO, "out of memory");
	r = parse(&text, defs, argc, argv, words, &n_words);
	if (r > 0 && asked)
		print_commands(stdout);
	if (r != 0) {
		free(words);
		return r < 0 ? r == -EIO ? HVCTL_IO : HVCTL_USAGE :
			       end(HVCTL_DONE);
	}
	if (conf_load(&h.conf, config, err, sizeof(err)) < 0)
		r = hvctl_fail(HVCTL_USAGE, "%s", err);
	if (!r)
		r = take_dir(h.conf.run_dir, run_dir);
	if (!r)
		r = take_dir(h.conf.state_dir, state_dir);
	if (!r)
		r = dispatch(&h, n_words, words);
	free(words);
	return end(r);
}
