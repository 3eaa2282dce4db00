/* prog/hvhost_vss.c - hvhost vss: backups from the host's side.
 *
 * A snapshot is a stream of lines from the host. What the operator wants done
 * while the guest is frozen runs here, as our child and in a process group of
 * its own: the host knows nothing of it but that it is over. If we die the
 * connection closes and the host thaws; the child is told by its parent-death
 * signal. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/ctl.h"
#include "hvhost.h"

enum {
	ASK_MS = 1000000,	/* the host gives up on the guest before */
	TELL_MS = 10000,	/* how often to say that it is frozen still */
};

struct opts {
	struct hvhost_args a;
	bool json, no_thaw, production_only, thaw_refused, thaw_unanswered;
	const char *luns, *set, *hold, *exec, *timeout, *order, *freeze_limit,
		*limit, *thaw_again, *offline;
};

/* takes: of each option's group, "j" JSON, "l" LUNs, "s" snapshot set, "n" the
 * snapshot's own. */
static int parse(struct opts *o, const struct options_text *t,
		 const char *takes, int least, int most, int argc, char **argv)
{
	const struct {
		char group;
		struct option_def def;
	} all[] = {
		{ 0, { 0, "dir", "DIR", "where the host's sockets are",
		       &o->a.dir } },
		{ 'l', { 0, "luns", "N", "disks being backed up; default 1",
			 &o->luns } },
		{ 's', { 0, "set", "GUID", "the snapshot set", &o->set } },
		{ 'n', { 0, "hold", "SECONDS", "stay frozen at least so long",
			 &o->hold } },
		{ 'n', { 'c', "exec", "STRING",
			 "run this by sh -c while all is frozen", &o->exec } },
		{ 'n', { 't', "timeout", "SECONDS", "kill what runs then; "
			 "default 300", &o->timeout } },
		{ 'n', { 0, "production-only", NULL, "fail rather than go on "
			 "offline", &o->production_only } },
		{ 'n', { 0, "no-thaw", NULL, "freeze and forget",
			 &o->no_thaw } },
		{ 'n', { 0, "order", "STEP,...", "of check, dm-info, freeze, "
			 "hold, thaw, auto-recover, complete", &o->order } },
		{ 'n', { 0, "freeze-limit", "SECONDS", "patience with freeze",
			 &o->freeze_limit } },
		{ 'n', { 0, "limit", "SECONDS", "patience with all else",
			 &o->limit } },
		{ 'n', { 0, "thaw-refused", NULL,
			 "send thaw after a no to freeze", &o->thaw_refused } },
		{ 'n', { 0, "thaw-unanswered", NULL, "send thaw after a freeze "
			 "without an answer", &o->thaw_unanswered } },
		{ 'n', { 0, "thaw-again", "N", "so often after a failed thaw",
			 &o->thaw_again } },
		{ 'n', { 0, "offline", "WHEN", "goes on offline after a no to: "
			 "never, check, freeze", &o->offline } },
		{ 'j', { 'j', "json", NULL, "print JSON", &o->json } },
	};
	struct option_def defs[sizeof(all) / sizeof(all[0]) + 1] = { { 0 } };
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!all[i].group || strchr(takes, all[i].group))
			defs[n++] = all[i].def;
	return hvhost_parse(&o->a, t, defs, least, most, argc, argv);
}

static const char *text_of(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s ? s : "";
}

static double seconds_of(const json_t *o, const char *member)
{
	return (double)json_integer_value(json_object_get(o, member)) / 1000;
}

/* Print text of the guest's so that it cannot drive the terminal. */
static void print_safe(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			printf("\\x%02x", (unsigned char)*s);
		else
			putchar(*s);
	}
}

/* Options to members ----------------------------------------------------- */

/* Text that is no number goes along as text: the host refuses it and says what
 * it was. */
static void add_number(json_t *request, const char *member, const char *text)
{
	char *end;
	long long n;

	if (!text)
		return;
	n = strtoll(text, &end, 10);
	json_object_set_new(request, member, *end || end == text ?
			    json_string(text) : json_integer(n));
}

static void add_seconds(json_t *request, const char *member, const char *text)
{
	double s;
	char *end;

	if (!text)
		return;
	s = strtod(text, &end);
	json_object_set_new(request, member,
			    *end || end == text || !(s >= 0) || s > 1e6 ?
			    json_string(text) :
			    json_integer((json_int_t)(s * 1000)));
}

static void add_text(json_t *request, const char *member, const char *text)
{
	if (text)
		json_object_set_new(request, member, json_string(text));
}

static void add_true(json_t *request, const char *member, bool is)
{
	if (is)
		json_object_set_new(request, member, json_true());
}

static void add_order(json_t *request, const char *list)
{
	json_t *order = json_array();

	for (const char *p = list; p && *p; ) {
		size_t n = strcspn(p, ",");

		json_array_append_new(order, json_stringn(p, n));
		p += n + (p[n] == ',');
	}
	if (list)
		json_object_set(request, "order", order);
	json_decref(order);
}

/* Single requests -------------------------------------------------------- */

static void print_answer(const json_t *r)
{
	const json_t *flags = json_object_get(r, "flags");
	const json_t *cluster = json_object_get(r, "cluster");

	printf("%s after %.3f s", text_of(r, "status"),
	       seconds_of(r, "took_ms"));
	if (flags)
		printf(", flags 0x%llx",
		       (unsigned long long)json_integer_value(flags));
	if (cluster)
		printf(", cluster %s of %lld", text_of(cluster, "id"),
		       (long long)json_integer_value(
			       json_object_get(cluster, "size")));
	printf("\n");
}

static int send_op(const struct opts *o, const char *op)
{
	json_t *req = json_pack("{s:s, s:s}", "cmd", "vss-request", "op", op);
	json_t *r;
	int code;

	add_number(req, "luns", o->luns);
	add_text(req, "set", o->set);
	r = hvhost_ask(o->a.dir, req, ASK_MS, &code);
	if (!r)
		return code;
	if (o->json)
		hvhost_print_json(r);
	else
		print_answer(r);
	json_decref(r);
	return code;
}

static int one_request(const char *program, const char *op, const char *about,
		       const char *takes, int argc, char **argv)
{
	const struct options_text t = { program, "", about };
	struct opts o = { 0 };
	int code = parse(&o, &t, takes, 0, 0, argc, argv);

	return code ? code - 1 : send_op(&o, op);
}

static int vss_check(int argc, char **argv)
{
	return one_request("hvhost vss check", "check",
			   "could the guest be frozen now?", "j", argc, argv);
}

static int vss_freeze(int argc, char **argv)
{
	return one_request("hvhost vss freeze", "freeze",
			   "freeze the guest, until thaw or its own limit",
			   "jl", argc, argv);
}

static int vss_thaw(int argc, char **argv)
{
	return one_request("hvhost vss thaw", "thaw", "thaw the guest", "j",
			   argc, argv);
}

static int vss_complete(int argc, char **argv)
{
	return one_request("hvhost vss complete", "complete",
			   "tell the guest that the backup is done", "j", argc,
			   argv);
}

static int vss_send(int argc, char **argv)
{
	const struct options_text t = { "hvhost vss send", "OPERATION",
		"send dm-info, auto-recover, create, delete, cluster-info, "
		"another, or a number" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "jls", 1, 1, argc, argv);

	return code ? code - 1 : send_op(&o, o.a.operand[0]);
}

/* Snapshots: the work ---------------------------------------------------- */

struct snapshot {
	struct opts o;
	char path[HVHOST_PATH];
	char *const *argv;		/* of the work; NULL: none */
	unsigned timeout_s;
	struct ctl_stream stream;
	sigset_t old_mask;
	int signals;			/* a signalfd */
	json_int_t id;
	bool holding;
	uint64_t held_at_ms, tell_at_ms;
	pid_t child;			/* 0: none runs */
	uint64_t kill_at_ms;
	bool killed;
	int code;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The host shall go on: it was done, or why not. */
static void tell_host(struct snapshot *s, const char *failed)
{
	json_t *reply = NULL;

	ctl_call(s->path, json_pack("{s:s, s:I, s:s*}", "cmd", "vss-worked",
				    "id", s->id, "failed", failed), 5000,
		 &reply);
	json_decref(reply);
}

/* In the child. With --json our output is JSON and nothing else. */
static void run_work(const struct snapshot *s, pid_t parent)
{
	char *const shell[] = { (char *)"sh", (char *)"-c",
				(char *)s->o.exec, NULL };
	char *const *argv = s->argv ? s->argv : shell;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);		/* it died before that */
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	if (s->o.json)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(argv[0], argv);
	fprintf(stderr, "hvhost: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void start_work(struct snapshot *s)
{
	pid_t parent = getpid();

	fflush(stdout);
	s->child = fork();
	if (s->child == 0)
		run_work(s, parent);
	if (s->child < 0) {
		s->child = 0;
		tell_host(s, "the command could not be started");
		return;
	}
	setpgid(s->child, s->child);
	s->kill_at_ms = now_ms() + s->timeout_s * 1000ull;
}

static void stop_work(struct snapshot *s, int sig)
{
	if (s->child)
		kill(-s->child, sig);
}

static void work_ended(struct snapshot *s)
{
	char why[64] = "";
	int status;

	if (!s->child || waitpid(s->child, &status, WNOHANG) != s->child)
		return;
	s->child = 0;
	if (s->killed)
		snprintf(why, sizeof(why), "the command took over %u s",
			 s->timeout_s);
	else if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "the command died of signal %d",
			 WTERMSIG(status));
	else if (WEXITSTATUS(status))
		snprintf(why, sizeof(why), "the command failed with status %d",
			 WEXITSTATUS(status));
	tell_host(s, why[0] ? why : NULL);
}

static bool has_work(const struct snapshot *s)
{
	return s->argv || s->o.exec;
}

/* Snapshots: the lines ---------------------------------------------------- */

static void print_step(const json_t *line)
{
	bool hold = !strcmp(text_of(line, "step"), "hold");

	if (json_is_true(json_object_get(line, "ended")))
		printf("%9.3f  %-13s %-13s %9.3f s\n",
		       seconds_of(line, "at_ms"), text_of(line, "step"),
		       text_of(line, "status"), seconds_of(line, "took_ms"));
	else if (hold)
		printf("%9.3f  %-13s\n", seconds_of(line, "at_ms"), "frozen");
	fflush(stdout);
}

static void print_verdict(const json_t *v)
{
	const char *outcome = text_of(v, "outcome");
	const char *guest = text_of(v, "guest");

	if (!strcmp(outcome, "production"))
		printf("production snapshot: the guest was frozen for %.3f s",
		       seconds_of(v, "frozen_ms"));
	else if (!strcmp(outcome, "abandoned"))
		printf("abandoned: the guest is frozen and was forgotten");
	else
		printf("%s: %s", outcome, text_of(v, "why"));
	if (guest[0]) {
		printf("\nthe guest says: ");
		print_safe(guest);
	}
	if (!strcmp(outcome, "offline"))
		printf("\nthe backup goes on offline: the machine is saved, "
		       "copied and resumed");
	printf("\n");
}

static int code_of(const json_t *verdict)
{
	const char *outcome = text_of(verdict, "outcome");

	if (!strcmp(outcome, "failed"))
		return HVHOST_NO;
	return strcmp(outcome, "offline") ? HVHOST_OK : HVHOST_OFFLINE;
}

/* True when that was the last line. */
static bool take_line(struct snapshot *s, const json_t *line)
{
	bool ended = json_is_true(json_object_get(line, "ended"));

	if (json_object_get(line, "outcome")) {
		if (s->o.json)
			hvhost_print_json(line);
		else
			print_verdict(line);
		s->code = code_of(line);
		return true;
	}
	if (!json_is_true(json_object_get(line, "ok"))) {
		fprintf(stderr, "hvhost: %s\n", text_of(line, "error"));
		s->code = hvhost_code(line);
		return true;
	}
	if (!s->o.json)
		print_step(line);
	if (strcmp(text_of(line, "step"), "hold") != 0)
		return false;
	s->holding = !ended;
	s->held_at_ms = now_ms();
	s->tell_at_ms = s->held_at_ms + TELL_MS;
	if (ended) {
		stop_work(s, SIGKILL);	/* the host did not wait for it */
	} else {
		s->id = json_integer_value(json_object_get(line, "id"));
		if (has_work(s))
			start_work(s);
	}
	return false;
}

/* All lines that are there. True after the last. */
static bool take_lines(struct snapshot *s)
{
	json_t *line;
	bool last;
	int err;

	while ((err = ctl_stream_next(&s->stream, 0, &line)) == 0) {
		last = take_line(s, line);
		json_decref(line);
		if (last)
			return true;
	}
	if (err == -ETIMEDOUT)
		return false;
	fprintf(stderr, "hvhost: the host is gone\n");
	s->code = HVHOST_UNREACHABLE;
	return true;
}

/* True when we are to end. */
static bool take_signals(struct snapshot *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD) {
			work_ended(s);
			continue;
		}
		fprintf(stderr, "hvhost: interrupted; the host thaws\n");
		s->code = HVHOST_NO;
		return true;
	}
	return false;
}

/* Until the next thing to do on our own account; -1: there is none. */
static int wait_ms(const struct snapshot *s)
{
	uint64_t now = now_ms(), at = UINT64_MAX;

	if (s->holding)
		at = s->tell_at_ms;
	if (s->child && !s->killed && s->kill_at_ms < at)
		at = s->kill_at_ms;
	if (at == UINT64_MAX)
		return -1;
	return at > now ? (int)(at - now) : 0;
}

static void time_passed(struct snapshot *s)
{
	uint64_t now = now_ms();

	if (s->holding && now >= s->tell_at_ms) {
		fprintf(stderr, "hvhost: the guest is frozen for %llu s so "
			"far\n", (unsigned long long)
			((now - s->held_at_ms) / 1000));
		s->tell_at_ms += TELL_MS;
	}
	if (s->child && !s->killed && now >= s->kill_at_ms) {
		s->killed = true;
		stop_work(s, SIGKILL);
	}
}

static void follow(struct snapshot *s)
{
	struct pollfd p[2] = {
		{ .fd = s->stream.fd, .events = POLLIN },
		{ .fd = s->signals, .events = POLLIN },
	};

	while (!take_lines(s)) {
		int n = poll(p, 2, wait_ms(s));

		time_passed(s);
		if (n > 0 && p[1].revents && take_signals(s))
			break;
	}
	stop_work(s, SIGTERM);
}

static int catch_signals(struct snapshot *s)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, &s->old_mask) < 0)
		return -errno;
	s->signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signals < 0 ? -errno : 0;
}

static json_t *snapshot_request(const struct snapshot *s)
{
	const struct opts *o = &s->o;
	json_t *r = json_pack("{s:s, s:b}", "cmd", "vss-snapshot", "work",
			      has_work(s));

	add_seconds(r, "hold-ms", o->hold);
	add_seconds(r, "freeze-ms", o->freeze_limit);
	add_seconds(r, "other-ms", o->limit);
	add_number(r, "luns", o->luns);
	add_number(r, "thaw-again", o->thaw_again);
	add_order(r, o->order);
	add_true(r, "no-thaw", o->no_thaw);
	add_true(r, "thaw-refused", o->thaw_refused);
	add_true(r, "thaw-unanswered", o->thaw_unanswered);
	add_text(r, "offline", o->production_only ? "never" : o->offline);
	return r;
}

static int make_snapshot(struct snapshot *s)
{
	int err;

	if (hvhost_path(s->path, s->o.a.dir, "ctl") < 0)
		return HVHOST_USAGE;
	err = catch_signals(s);
	if (err < 0) {
		fprintf(stderr, "hvhost: signals: %s\n", strerror(-err));
		return HVHOST_REFUSED;
	}
	err = ctl_stream_open(&s->stream, s->path, snapshot_request(s));
	if (err < 0)
		return hvhost_unreachable(s->path, err);
	follow(s);
	ctl_stream_close(&s->stream);
	close(s->signals);
	return s->code;
}

/* Where the command behind "--" begins; argc when there is none. */
static int find_command(int argc, char **argv)
{
	int i = 1;

	while (i < argc && strcmp(argv[i], "--") != 0)
		i++;
	return i;
}

static int vss_snapshot(int argc, char **argv)
{
	const struct options_text t = { "hvhost vss snapshot",
		"[-- COMMAND ...]", "make a production snapshot; run COMMAND "
		"while the guest is frozen" };
	struct snapshot s = { .o.timeout = "300" };
	int split = find_command(argc, argv), code;
	long seconds;
	char *end;

	code = parse(&s.o, &t, "jln", 0, 0, split, argv);
	if (code)
		return code - 1;
	if (split + 1 < argc)
		s.argv = argv + split + 1;
	seconds = strtol(s.o.timeout, &end, 10);
	if (*end || seconds < 1 || seconds > 86400 || (s.argv && s.o.exec)) {
		fprintf(stderr, s.argv && s.o.exec ?
			"hvhost vss snapshot: --exec or a command, not both\n" :
			"hvhost vss snapshot: '%s' is no time of 1 to 86400 "
			"seconds\n", s.o.timeout);
		return HVHOST_USAGE;
	}
	s.timeout_s = (unsigned)seconds;
	return make_snapshot(&s);
}

/* status ------------------------------------------------------------------ */

static void print_last(const json_t *last)
{
	const json_t *step;
	size_t i;

	if (!last)
		return;
	printf("\nThe last snapshot\n");
	json_array_foreach(json_object_get(last, "steps"), i, step)
		print_step(step);
	print_verdict(last);
}

static void print_status(const json_t *v)
{
	const json_t *n = json_object_get(v, "snapshots");
	static const char *const kinds[] = { "production", "offline", "failed",
					     "abandoned" };

	if (json_is_true(json_object_get(v, "frozen")))
		printf("%-10s frozen, for %.3f s\n", "guest",
		       seconds_of(v, "frozen_for_ms"));
	else
		printf("%-10s not frozen\n", "guest");
	if (text_of(v, "step")[0])
		printf("%-10s at %s\n", "snapshot", text_of(v, "step"));
	printf("%-10s", "snapshots");
	for (unsigned i = 0; i < 4; i++)
		printf("%s %lld %s", i ? "," : "", (long long)
		       json_integer_value(json_object_get(n, kinds[i])),
		       kinds[i]);
	printf("; frozen for %.3f s in all\n", seconds_of(v, "frozen_ms"));
	print_last(json_object_get(v, "last"));
}

static int vss_status(int argc, char **argv)
{
	const struct options_text t = { "hvhost vss status", "",
		"what this host knows of the guest's backups" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "j", 0, 0, argc, argv);
	json_t *r;

	if (code)
		return code - 1;
	r = hvhost_ask(o.a.dir, json_pack("{s:s}", "cmd", "status"), ASK_MS,
		       &code);
	if (r && o.json)
		hvhost_print_json(json_object_get(r, "vss"));
	else if (r)
		print_status(json_object_get(r, "vss"));
	json_decref(r);
	return code;
}

static const struct hvhost_verb verbs[] = {
	{ "check", "", "could the guest be frozen now?", vss_check },
	{ "snapshot", "[-- COMMAND]", "the whole of a backup", vss_snapshot },
	{ "freeze", "", "freeze, and nothing else", vss_freeze },
	{ "thaw", "", "thaw", vss_thaw },
	{ "complete", "", "say that the backup is done", vss_complete },
	{ "send", "OPERATION", "send any operation", vss_send },
	{ "status", "", "frozen or not, and the last snapshot", vss_status },
	{ NULL, NULL, NULL, NULL },
};

int hvhost_vss(int argc, char **argv)
{
	return hvhost_dispatch("hvhost vss", "backups from the host's side",
			       verbs, argc, argv);
}
