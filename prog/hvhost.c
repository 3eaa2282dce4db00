/* prog/hvhost.c - the simulated Hyper-V host: a table of verbs. `run` is the
 * host itself, most others talk to a running one over its control socket. */
#include "hvhost.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host_fault.h"
#include "host/host_profile.h"
#include "host/host_vss.h"

static int print_profiles(int argc, char **argv);
static int print_faults(int argc, char **argv);

static const struct hvhost_verb verbs[] = {
	{ "run", "", "be the host, in the foreground", hvhost_run },
	{ "status", "", "the guest and each service it uses", hvhost_status },
	{ "kvp", "VERB ...", "exchange key-value data with the guest",
	  hvhost_kvp },
	{ "vss", "VERB ...", "back the guest up while it runs", hvhost_vss },
	{ "wait", "STATE ...", "until the guest, ready, pushed, frozen, ...",
	  hvhost_wait },
	{ "rescind", "SERVICE", "take a service's device away",
	  hvhost_rescind },
	{ "offer", "SERVICE", "offer it again", hvhost_offer },
	{ "renegotiate", "SERVICE", "negotiate anew on the open channel",
	  hvhost_renegotiate },
	{ "restart", "", "lose the guest as a restarted host does",
	  hvhost_restart },
	{ "clock", "advance MS", "move the virtual clock", hvhost_clock },
	{ "replay", "TRACE", "play a trace's host against a live guest",
	  hvhost_replay },
	{ "trace", "TRACE", "print a trace, a line a packet", hvhost_trace },
	{ "profiles", "", "the host generations that can be simulated",
	  print_profiles },
	{ "faults", "", "what can go wrong with a message", print_faults },
	{ NULL, NULL, NULL, NULL },
};

static void print_list(const char *what, const struct host_versions *v)
{
	char text[HOST_VERSION_TEXT];

	printf("    %-11s", what);
	for (unsigned i = 0; i < v->n; i++)
		printf(" %s", host_version_text(text, v->v[i]));
	printf(v->n ? "\n" : " not offered\n");
}

static void print_backup(const struct host_vss_manner *m)
{
	printf("    %-11s", "backup");
	for (unsigned i = 0; i < m->n_order; i++)
		printf(" %s", host_vss_step_name(m->order[i]));
	printf("; waits %u s for a freeze, %u s for the rest\n",
	       m->freeze_ms / 1000, m->other_ms / 1000);
}

static int print_profiles(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (const struct host_profile *p = host_profiles; p->name; p++) {
		printf("%-10s %s%s\n", p->name, p->about,
		       p == host_profiles ? " (default)" : "");
		print_list("vmbus", &p->vmbus);
		print_list("framework", &p->framework);
		print_list("kvp", &p->kvp);
		print_list("vss", &p->vss);
		if (p->vss.n)
			print_backup(&p->backup);
		printf("    %-11s %s, transaction ids %s, %s; waits %u s for a"
		       " negotiation, %u s for an answer\n", "manner",
		       p->strict ? "strict" : "lenient",
		       p->xact == HOST_XACT_ZERO ? "all 0" : "counting",
		       p->push ? "pushes items" : "pushes nothing",
		       p->negotiate_ms / 1000, p->answer_ms / 1000);
	}
	return HVHOST_OK;
}

static int print_faults(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	host_fault_list(stdout);
	return HVHOST_OK;
}

int hvhost_parse(struct hvhost_args *a, const struct options_text *t,
		 const struct option_def *defs, int least, int most, int argc,
		 char **argv)
{
	int first = 0, err;

	a->program = t->program;
	a->n = 0;
	optind = 1;
	for (;;) {
		err = options_parse(t, defs, argc, argv, &first);
		if (err)
			return err > 0 ? HVHOST_OK + 1 : HVHOST_USAGE + 1;
		if (first >= argc)
			break;
		if (a->n == most) {
			fprintf(stderr, "%s: unexpected operand '%s'\n",
				t->program, argv[first]);
			return HVHOST_USAGE + 1;
		}
		a->operand[a->n++] = argv[first];
		optind = first + 1;
	}
	if (a->n >= least)
		return 0;
	fprintf(stderr, "usage: %s %s\n", t->program, t->operands);
	return HVHOST_USAGE + 1;
}

int hvhost_path(char out[HVHOST_PATH], const char *dir, const char *name)
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	int n;

	if (dir)
		n = snprintf(out, HVHOST_PATH, "%s/%s", dir, name);
	else if (geteuid() == 0)
		n = snprintf(out, HVHOST_PATH, "/run/hyperv/host/%s", name);
	else if (run && run[0])
		n = snprintf(out, HVHOST_PATH, "%s/hvhost/%s", run, name);
	else {
		fprintf(stderr, "hvhost: XDG_RUNTIME_DIR is not set; give a "
			"directory with --dir\n");
		return -1;
	}
	if (n < HVHOST_PATH)
		return 0;
	fprintf(stderr, "hvhost: the directory's name is too long for a "
		"socket's address (107 bytes)\n");
	return -1;
}

static void print_verbs(FILE *out, const char *program, const char *summary,
			const struct hvhost_verb *v)
{
	fprintf(out, "%s - %s\n\nusage: %s VERB [options] [operands]\n\n",
		program, summary, program);
	for (; v->name; v++)
		fprintf(out, "  %-12s %-12s %s\n", v->name, v->operands,
			v->summary);
	fprintf(out, "\n'%s VERB --help' lists a verb's options.\n", program);
}

int hvhost_dispatch(const char *program, const char *summary,
		    const struct hvhost_verb *v, int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
		print_verbs(stdout, program, summary, v);
		return HVHOST_OK;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		printf("%s (open-hv-tools) %s\n", program, HV_VERSION);
		return HVHOST_OK;
	}
	for (const struct hvhost_verb *verb = v; verb->name; verb++) {
		if (!strcmp(verb->name, name))
			return verb->run(argc - 1, argv + 1);
	}
	if (name[0])
		fprintf(stderr, "%s: no such verb: '%s'\n\n", program, name);
	print_verbs(stderr, program, summary, v);
	return HVHOST_USAGE;
}

int main(int argc, char **argv)
{
	int code = hvhost_dispatch("hvhost", "a simulated Hyper-V host", verbs,
				   argc, argv);

	if (code == HVHOST_OK && (fflush(stdout) != 0 || ferror(stdout))) {
		fprintf(stderr, "hvhost: cannot write the output\n");
		return HVHOST_IO;
	}
	return code;
}
