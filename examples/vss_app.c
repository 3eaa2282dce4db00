/* vss_app.c - an application that takes part in backups, and can be told to
 * misbehave in each step.
 *
 *   vss_app [--device PATH] [--name NAME] [--STEP=HOW ...] [--once]
 *
 *   STEP   check, freeze, thaw or abort
 *   HOW    ok            yes, at once (the default)
 *          fail[=WHY]    no
 *          delay=S       yes, after S seconds
 *          silent        no answer
 *          die           end without one
 *
 * Prints a line for each question. Exits 0 after --once and one backup, 2 when
 * the driver goes away.
 *
 * Compile: cc vss_app.c $(pkg-config --cflags --libs hyperv)
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hyperv/vss.h>

enum how { OK, FAIL, DELAY, SILENT, DIE };

struct behaviour {
	enum how how;
	const char *why;
	double seconds;
};

static struct behaviour steps[HV_VSS_ABORT + 1];	/* by option */

static int parse_how(struct behaviour *b, const char *text)
{
	if (!strcmp(text, "ok"))
		b->how = OK;
	else if (!strcmp(text, "silent"))
		b->how = SILENT;
	else if (!strcmp(text, "die"))
		b->how = DIE;
	else if (!strncmp(text, "fail", 4) && (!text[4] || text[4] == '='))
		*b = (struct behaviour){ FAIL, text[4] ? text + 5 :
					 "told to fail", 0 };
	else if (!strncmp(text, "delay=", 6))
		*b = (struct behaviour){ DELAY, NULL, atof(text + 6) };
	else
		return -1;
	return 0;
}

/* One question. */
static void act(struct hv_vss *v, const struct hv_vss_record *q)
{
	const struct behaviour *b = &steps[q->opt <= HV_VSS_ABORT ? q->opt : 0];
	int r;

	printf("%s %llu\n", hv_vss_opt_name(q->opt),
	       (unsigned long long)q->msgid);
	if (b->how == DIE)
		_Exit(3);
	if (b->how == SILENT)
		return;
	if (b->how == DELAY)
		poll(NULL, 0, (int)(b->seconds * 1000));
	r = hv_vss_answer(v, q, b->how == FAIL ? HV_VSS_FAIL : HV_VSS_OK,
			  b->why);
	if (r < 0)
		printf("answer to %s: %s\n", hv_vss_opt_name(q->opt),
		       hv_vss_strerror(r));
}

/* Serve until the driver goes away, or one backup was told its end. */
static int serve(struct hv_vss *v, int once)
{
	struct pollfd p = { hv_vss_fd(v), POLLIN, 0 };
	struct hv_vss_record q;
	int r = 0;

	while (r >= 0 && poll(&p, 1, -1) == 1) {
		r = hv_vss_read(v, &q);
		if (r == 1)
			act(v, &q);
		else if (r < 0 && q.opt == HV_VSS_ABORT)
			printf("abort %llu, by the driver's end\n",
			       (unsigned long long)q.msgid);
		if (r == 1 && once && q.opt >= HV_VSS_THAW)
			return 0;
	}
	printf("%s %s\n", hv_vss_strerror(r), hv_vss_reason(v));
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", required_argument, NULL, HV_VSS_CHECK },
		{ "freeze", required_argument, NULL, HV_VSS_FREEZE },
		{ "thaw", required_argument, NULL, HV_VSS_THAW },
		{ "abort", required_argument, NULL, HV_VSS_ABORT },
		{ "device", required_argument, NULL, 'd' },
		{ "name", required_argument, NULL, 'n' },
		{ "once", no_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	const char *device = NULL, *name = NULL;
	struct hv_vss *v;
	int c, r, once = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			device = optarg;
		else if (c == 'n')
			name = optarg;
		else if (c == 'o')
			once = 1;
		else if (c > HV_VSS_ABORT || parse_how(&steps[c], optarg) < 0)
			return fprintf(stderr, "see the head of vss_app.c\n"),
			       64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = hv_vss_open(&v, device, name);
	if (r < 0) {
		fprintf(stderr, "%s\n", hv_vss_strerror(r));
		return 1;
	}
	puts("open");
	r = serve(v, once);
	hv_vss_close(v);
	return r;
}
