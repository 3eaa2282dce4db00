/* prog/hvctl_vss_hold.c - hold something still during backups, from a shell.
 *
 *   hvctl vss hold -- COMMAND ...            run COMMAND freeze, COMMAND thaw
 *   hvctl vss hold --stop -- COMMAND ...     run COMMAND, stop and continue it
 *   hvctl vss hold --signal A,B --pid N      signal a process
 *   hvctl vss hold --freeze CMD --thaw CMD   run shell commands
 *
 * All that is run comes from this command line; of the host and the driver
 * only the phase is heard.
 *
 * A stopped process would stay stopped if we were killed, so a watcher, a
 * process of its own, holds the other end of a pipe and continues it then. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/client.h"
#include "app/proc.h"
#include "base/log.h"
#include "base/loop.h"
#include "hvctl.h"
#include "vss/vss_devmsg.h"

extern char **environ;

enum { DEFAULT_MS = 30000, GRACE_MS = 2000, MAX_STEPS = 2 };

struct hold {
	struct hvctl *c;
	int argc;
	char **argv;			/* COMMAND */
	bool wraps;			/* it runs all the time */
	int freeze_sig, thaw_sig;	/* 0: no process is signalled */
	struct loop *loop;
	struct client *client;
	struct hv_vss_record q;		/* in hand; opt 0: none */
	bool begun;			/* FREEZE was asked, no end yet */
	/* what is left to run for q */
	const char *step[MAX_STEPS];	/* shell command; "": COMMAND phase */
	unsigned n_steps, at;
	struct proc *proc;
	/* the process that is held */
	pid_t child;
	int other;			/* pidfd of --pid's, or -1 */
	struct loop_io *child_io;
	bool held;			/* it was signalled */
	bool stopping;			/* wait until it has stopped */
	int watcher;			/* pipe to it, or -1 */
	int status;			/* the wrapped COMMAND's */
	bool ended;
};

static int chld_pipe[2] = { -1, -1 };

/* The process that is held ------------------------------------------------ */

static void send_signal(const struct hold *h, int sig)
{
	if (h->other >= 0)
		proc_other_signal(h->other, sig);
	else if (h->child > 0)
		kill(-h->child, sig);
}

/* 'f': held; 't': not. */
static void tell_watcher(const struct hold *h, char what)
{
	if (h->watcher >= 0 && write(h->watcher, &what, 1) < 0)
		log_debug("the watcher is gone");
}

static void hold_process(struct hold *h)
{
	if (!h->freeze_sig || h->held)
		return;
	tell_watcher(h, 'f');
	h->held = true;
	/* Only of our own child we learn when it has stopped. */
	h->stopping = h->freeze_sig == SIGSTOP && h->child > 0;
	send_signal(h, h->freeze_sig);
}

static void let_go(struct hold *h)
{
	if (!h->held)
		return;
	send_signal(h, h->thaw_sig);
	tell_watcher(h, 't');
	h->held = h->stopping = false;
}

/* Ends when hvctl does, however that happens. */
__attribute__((noreturn)) static void watch_hvctl(const struct hold *h, int fd)
{
	char what = 't', last = 't';

	setsid();
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	while (read(fd, &what, 1) > 0)
		last = what;
	if (last == 'f')
		send_signal(h, h->thaw_sig);
	_exit(0);
}

static int start_watcher(struct hold *h)
{
	int fd[2];
	pid_t pid;

	if (!h->freeze_sig)
		return 0;
	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	pid = proc_fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(fd[1]);
		watch_hvctl(h, fd[0]);
	}
	close(fd[0]);
	h->watcher = fd[1];
	return 0;
}

/* Answers ----------------------------------------------------------------- */

static void answer(struct hold *h, int status, const char *why)
{
	struct hv_vss_record q = h->q;

	h->q.opt = HV_VSS_NONE;
	if (q.opt == HV_VSS_NONE)
		return;
	client_answer(h->client, &q, status, why);
	if (q.opt != HV_VSS_THAW && q.opt != HV_VSS_ABORT)
		return;
	h->begun = false;
	if (h->c->hold.once && !h->wraps)
		loop_stop(h->loop, HVCTL_DONE);
}

/* Commands ---------------------------------------------------------------- */

static void next_step(struct hold *h);

static void show_output(const struct proc *p)
{
	bool cut;
	const char *text = proc_output(p, &cut);

	if (*text)
		fprintf(stderr, "%s%s", text,
			text[strlen(text) - 1] == '\n' ? "" : "\n");
}

static void on_proc_end(void *arg, struct proc *p)
{
	struct hold *h = arg;
	bool ok = proc_ok(p);
	char how[32], why[80];

	snprintf(why, sizeof(why), "%s command: %s",
		 hv_vss_opt_name(h->q.opt), proc_how(p, how));
	show_output(p);
	h->proc = NULL;
	proc_free(p);
	if (!ok && (h->q.opt == HV_VSS_CHECK || h->q.opt == HV_VSS_FREEZE)) {
		h->n_steps = 0;
		answer(h, HV_VSS_FAIL, why);
		return;
	}
	if (!ok)
		log_warn("%s", why);
	next_step(h);
}

static unsigned time_for(const struct hold *h)
{
	uint32_t answer_ms, frozen_ms;

	vss_record_budget(&h->q, &answer_ms, &frozen_ms);
	if (h->q.opt == HV_VSS_ABORT || !answer_ms)
		return DEFAULT_MS;
	return answer_ms > 2 * GRACE_MS ? answer_ms - GRACE_MS :
	       answer_ms / 2;
}

/* The phase in the environment, for who wants to tell an abort from a thaw. */
static char **make_env(const struct hold *h, char var[32])
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, environ, n * sizeof(*env));
	snprintf(var, 32, "HV_VSS_PHASE=%s", hv_vss_opt_name(h->q.opt));
	env[n] = var;
	return env;
}

/* COMMAND phase the rest of its arguments */
static const char **command_argv(const struct hold *h)
{
	const char **argv = calloc((size_t)h->argc + 2, sizeof(*argv));

	if (!argv)
		return NULL;
	argv[0] = h->argv[0];
	argv[1] = h->q.opt == HV_VSS_FREEZE ? "freeze" : "thaw";
	for (int i = 1; i < h->argc; i++)
		argv[i + 1] = h->argv[i];
	return argv;
}

static int run(struct hold *h, const char *step)
{
	const char *shell[] = { "/bin/sh", "-c", step, NULL };
	const char **argv = *step ? shell : command_argv(h);
	char var[32], **env = make_env(h, var);
	const struct proc_cfg cfg = {
		.argv = argv, .env = (const char *const *)env, .here = true,
		.timeout_ms = time_for(h), .grace_ms = GRACE_MS,
	};

	if (argv && env)
		h->proc = proc_start(h->loop, &cfg, on_proc_end, h);
	if (argv != shell)
		free(argv);
	free(env);
	return h->proc ? 0 : -ENOMEM;
}

/* All commands are done. */
static void steps_done(struct hold *h)
{
	if (h->q.opt == HV_VSS_FREEZE)
		hold_process(h);
	if (!h->stopping)
		answer(h, HV_VSS_OK, NULL);
}

static void next_step(struct hold *h)
{
	const char *step;

	if (h->at == h->n_steps) {
		steps_done(h);
		return;
	}
	step = h->step[h->at++];
	if (run(h, step) == 0)
		return;
	if (h->q.opt == HV_VSS_CHECK || h->q.opt == HV_VSS_FREEZE)
		answer(h, HV_VSS_FAIL, "cannot run a command");
	else
		next_step(h);
}

static void add_step(struct hold *h, const char *command)
{
	if (command && *command)
		h->step[h->n_steps++] = command;
}

static void add_command(struct hold *h)
{
	if (h->argc && !h->wraps)
		h->step[h->n_steps++] = "";
}

static void choose_steps(struct hold *h)
{
	const struct hvctl *c = h->c;
	bool aborted = h->q.opt == HV_VSS_ABORT;

	h->n_steps = h->at = 0;
	if (h->q.opt == HV_VSS_CHECK) {
		add_step(h, c->hold.check);
	} else if (h->q.opt == HV_VSS_FREEZE) {
		add_step(h, c->hold.freeze);
		add_command(h);
	} else if (h->begun) {
		add_command(h);
		add_step(h, aborted && c->hold.abort ? c->hold.abort :
			 c->hold.thaw);
	}
}

static void on_asked(void *arg, const struct hv_vss_record *q)
{
	struct hold *h = arg;

	h->q = *q;
	if (h->proc) {			/* nobody waits for it any more */
		proc_free(h->proc);
		h->proc = NULL;
	}
	h->begun |= q->opt == HV_VSS_FREEZE;
	if (q->opt == HV_VSS_THAW || q->opt == HV_VSS_ABORT)
		let_go(h);
	choose_steps(h);
	next_step(h);
}

/* The wrapped COMMAND ----------------------------------------------------- */

static void on_sigchld(int sig)
{
	int saved = errno;
	ssize_t n = write(chld_pipe[1], "", 1);

	(void)sig;
	(void)n;
	errno = saved;
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

/* It stopped, went on, or ended. */
static void on_child(void *arg, unsigned events)
{
	struct hold *h = arg;
	char drop[64];
	int status;

	(void)events;
	while (read(chld_pipe[0], drop, sizeof(drop)) > 0)
		;
	while (!h->ended && waitpid(h->child, &status, WNOHANG | WUNTRACED) >
	       0) {
		if (WIFSTOPPED(status)) {
			if (h->stopping) {
				h->stopping = false;
				answer(h, HV_VSS_OK, NULL);
			}
			continue;
		}
		h->ended = true;
		h->status = exit_code(status);
		tell_watcher(h, 't');
		h->held = false;
		loop_stop(h->loop, h->status);
	}
}

static void on_other_end(void *arg, unsigned events)
{
	struct hold *h = arg;

	(void)events;
	log_info("process %s has ended", h->c->hold.pid);
	loop_stop(h->loop, HVCTL_DONE);
}

/* In a session of its own when it has no terminal to lose: then its end of
 * ours does not hang it up. */
__attribute__((noreturn)) static void child(const struct hold *h)
{
	if (isatty(STDIN_FILENO))
		setpgid(0, 0);
	else
		setsid();
	if (isatty(STDIN_FILENO)) {
		signal(SIGTTOU, SIG_IGN);
		tcsetpgrp(STDIN_FILENO, getpgrp());
		signal(SIGTTOU, SIG_DFL);
	}
	execvp(h->argv[0], h->argv);
	fprintf(stderr, "hvctl: %s: %s\n", h->argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int start_child(struct hold *h)
{
	struct sigaction sa = { .sa_handler = on_sigchld,
				.sa_flags = SA_RESTART };
	int running[2];
	char drop;

	if (pipe2(chld_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	sigaction(SIGCHLD, &sa, NULL);
	h->child_io = loop_io_new(h->loop, chld_pipe[0], LOOP_READ, on_child,
				  h);
	if (!h->child_io)
		return -ENOMEM;
	if (pipe2(running, O_CLOEXEC) < 0)
		return -errno;
	h->child = proc_fork();
	if (h->child == 0)
		child(h);
	close(running[1]);
	/* Its end closes when COMMAND runs, in its own process group. */
	if (h->child > 0)
		while (read(running[0], &drop, 1) < 0 && errno == EINTR)
			;
	close(running[0]);
	return h->child < 0 ? -EAGAIN : 0;
}

/* Options ----------------------------------------------------------------- */

static int parse_signal(const char *name, size_t len)
{
	char text[16];
	char *end;
	long n;

	if (len >= 3 && !strncasecmp(name, "SIG", 3)) {
		name += 3;
		len -= 3;
	}
	if (!len || len >= sizeof(text))
		return -EINVAL;
	memcpy(text, name, len);
	text[len] = '\0';
	n = strtol(text, &end, 10);
	if (!*end)
		return n > 0 && n < NSIG ? (int)n : -EINVAL;
	for (int s = 1; s < NSIG; s++) {
		const char *abbrev = sigabbrev_np(s);

		if (abbrev && !strcasecmp(abbrev, text))
			return s;
	}
	return -EINVAL;
}

static int take_signals(struct hold *h)
{
	const char *text = h->c->hold.signal, *comma;

	h->freeze_sig = SIGSTOP;
	h->thaw_sig = SIGCONT;
	if (!text)
		return 0;
	comma = strchr(text, ',');
	if (comma) {
		h->freeze_sig = parse_signal(text, (size_t)(comma - text));
		h->thaw_sig = parse_signal(comma + 1, strlen(comma + 1));
	}
	if (!comma || h->freeze_sig < 0 || h->thaw_sig < 0)
		return hvctl_fail(HVCTL_USAGE, "--signal %s: it is two "
				  "signals, for the freeze and for the end: "
				  "USR1,USR2", hvctl_quote(text));
	return 0;
}

static int take_pid(struct hold *h)
{
	char *end;
	long pid = strtol(h->c->hold.pid, &end, 10);

	if (*end || pid <= 1 || pid > INT32_MAX)
		return hvctl_fail(HVCTL_USAGE, "--pid %s is no process",
				  hvctl_quote(h->c->hold.pid));
	h->other = proc_other(pid);
	if (h->other < 0)
		return hvctl_fail(HVCTL_ABSENT, "process %ld: %s", pid,
				  strerror(-h->other));
	return 0;
}

static int check_usage(struct hold *h)
{
	const struct hvctl *c = h->c;
	bool signals = c->hold.stop || c->hold.signal || c->hold.pid;

	h->wraps = signals && !c->hold.pid;
	if (c->hold.pid && h->argc)
		return hvctl_fail(HVCTL_USAGE,
				  "--pid and a COMMAND: only one of them");
	if (h->wraps && !h->argc)
		return hvctl_fail(HVCTL_USAGE, "which COMMAND, or --pid?");
	if (!h->argc && !c->hold.pid && !c->hold.check && !c->hold.freeze &&
	    !c->hold.thaw && !c->hold.abort)
		return hvctl_fail(HVCTL_USAGE, "hold what? hvctl(8) tells");
	if (!signals)
		return 0;
	return take_signals(h);
}

/* ------------------------------------------------------------------------- */

static int open_parts(struct hold *h)
{
	const struct client_cfg cfg = {
		.name = h->c->hold.name ? h->c->hold.name :
			h->argc ? h->argv[0] : "hvctl vss hold",
		.device = h->c->hold.device,
		.run_dir = h->c->conf.run_dir,
	};
	int r = h->wraps ? start_child(h) : 0;

	if (r == 0 && h->other >= 0) {
		h->child_io = loop_io_new(h->loop, h->other, LOOP_READ,
					  on_other_end, h);
		r = h->child_io ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = start_watcher(h);
	if (r == 0)
		h->client = client_new(h->loop, &cfg, on_asked, h);
	if (r == 0 && !h->client)
		r = -errno;
	return r < 0 ? hvctl_fail(HVCTL_IO, "%s", strerror(-r)) : 0;
}

/* We were told to end: everything goes on, and COMMAND ends before us. */
static void wind_up(struct hold *h)
{
	const struct hv_vss_record q = { .opt = HV_VSS_ABORT };

	if (h->begun || h->held)
		on_asked(h, &q);
	while (h->proc && loop_once(h->loop, true) >= 0)
		;
	if (!h->wraps || h->child <= 0 || h->ended)
		return;
	kill(-h->child, SIGTERM);
	while (!h->ended && loop_once(h->loop, true) >= 0)
		;
}

static void close_parts(struct hold *h)
{
	client_free(h->client);
	proc_free(h->proc);
	loop_io_free(h->child_io);
	loop_free(h->loop);
	if (h->watcher >= 0)
		close(h->watcher);
}

int hvctl_vss_hold(struct hvctl *c, int argc, char **argv)
{
	struct hold h = { .c = c, .argc = argc, .argv = argv, .other = -1,
			  .watcher = -1 };
	int r = check_usage(&h);

	if (!r && c->hold.pid)
		r = take_pid(&h);
	if (r)
		return r;
	log_open("hvctl", LOG_TO_STDERR, true,
		 (enum log_level)c->conf.log_level);
	h.loop = loop_new(LOOP_REAL);
	if (!h.loop || loop_stop_on_signals(h.loop) < 0)
		return hvctl_fail(HVCTL_IO, "event loop: %s", strerror(errno));
	r = open_parts(&h);
	if (!r)
		r = loop_run(h.loop);
	wind_up(&h);
	close_parts(&h);
	return h.ended ? h.status : r < 0 ? HVCTL_IO : r;
}
