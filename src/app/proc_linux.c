/* app/proc_linux.c - fork, exec, and a pidfd to learn of the end.
 *
 * The pipe of its output stays open until proc_free(): what it left in the
 * background may still write there, and shall not die of that. */
#include "app/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct proc {
	struct loop *loop;
	void (*ended)(void *arg, struct proc *p);
	void *arg;
	pid_t pid;			/* 0: it has ended */
	int pidfd, out;
	struct loop_io *pid_io, *out_io;
	struct loop_timer timer;
	unsigned grace_ms;
	bool late, stopping;
	int status;
	uint64_t started_ms, took_ms;
	size_t len;
	bool cut;
	char text[PROC_OUTPUT_MAX + 1];
};

/* The child -------------------------------------------------------------- */

static void default_signals(void)
{
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
}

pid_t proc_fork(void)
{
	sigset_t all, before, none;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		sigemptyset(&none);
		default_signals();
		sigprocmask(SIG_SETMASK, &none, NULL);
	} else {
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	return pid;
}

__attribute__((noreturn)) static void cannot(const char *what, int err)
{
	dprintf(STDERR_FILENO, "cannot run %s: %s", what, strerror(err));
	_exit(126);
}

__attribute__((noreturn)) static void child(const struct proc_cfg *cfg,
					    pid_t parent, int out)
{
	int null = open("/dev/null", O_RDONLY);

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);		/* it died before we could say so */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0 ||
	    (!cfg->here && chdir("/") < 0))
		_exit(126);
	close_range(3, ~0u, 0);
	execve(cfg->argv[0], (char *const *)cfg->argv,
	       (char *const *)cfg->env);
	cannot(cfg->argv[0], errno);
}

/* Output ----------------------------------------------------------------- */

static void close_output(struct proc *p)
{
	loop_io_free(p->out_io);
	p->out_io = NULL;
	if (p->out >= 0)
		close(p->out);
	p->out = -1;
}

static ssize_t read_some(struct proc *p)
{
	char rest[512];
	ssize_t n;

	if (p->len < PROC_OUTPUT_MAX) {
		n = read(p->out, p->text + p->len, PROC_OUTPUT_MAX - p->len);
		p->len += n > 0 ? (size_t)n : 0;
	} else {
		n = read(p->out, rest, sizeof(rest));
		p->cut |= n > 0;
	}
	return n;
}

static void on_output(void *arg, unsigned events)
{
	struct proc *p = arg;

	(void)events;
	if (read_some(p) == 0)
		close_output(p);
}

static void drain(struct proc *p)
{
	/* bounded: somebody in the background may write without end */
	for (unsigned i = 0; i < 64 && p->out >= 0; i++)
		if (read_some(p) <= 0)
			return;
}

/* The end ---------------------------------------------------------------- */

/* The whole group; there is none yet in the first moments. */
static void signal_group(const struct proc *p, int sig)
{
	if (kill(-p->pid, sig) < 0)
		kill(p->pid, sig);
}

static void on_timer(void *arg)
{
	struct proc *p = arg;

	if (p->stopping) {
		signal_group(p, SIGKILL);
		return;
	}
	p->late = true;
	proc_stop(p);
}

void proc_stop(struct proc *p)
{
	if (!p->pid || p->stopping)
		return;
	p->stopping = true;
	signal_group(p, SIGTERM);
	signal_group(p, SIGCONT);	/* a stopped one has to hear it, too */
	loop_timer_set(&p->timer, p->grace_ms);
}

static void reap(struct proc *p)
{
	/* While the leader is not reaped the group's number is its own. */
	if (p->stopping)
		kill(-p->pid, SIGKILL);
	while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	loop_timer_cancel(&p->timer);
	loop_io_free(p->pid_io);
	p->pid_io = NULL;
	close(p->pidfd);
	p->pidfd = -1;
	p->took_ms = loop_now_ms(p->loop) - p->started_ms;
}

static void on_end(void *arg, unsigned events)
{
	struct proc *p = arg;

	(void)events;
	drain(p);
	reap(p);
	p->ended(p->arg, p);
}

/* Starting --------------------------------------------------------------- */

static int spawn(struct proc *p, const struct proc_cfg *cfg)
{
	pid_t parent = getpid();
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	p->out = fd[0];
	fcntl(p->out, F_SETFL, O_NONBLOCK);
	p->pid = proc_fork();
	if (p->pid == 0)
		child(cfg, parent, fd[1]);
	close(fd[1]);
	if (p->pid < 0) {
		p->pid = 0;
		return -errno;
	}
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	return p->pidfd < 0 ? -errno : 0;
}

struct proc *proc_start(struct loop *l, const struct proc_cfg *cfg,
			void (*ended)(void *arg, struct proc *p), void *arg)
{
	struct proc *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return NULL;
	p->loop = l;
	p->ended = ended;
	p->arg = arg;
	p->pidfd = p->out = -1;
	p->grace_ms = cfg->grace_ms;
	p->started_ms = loop_now_ms(l);
	loop_timer_init(&p->timer, l, on_timer, p);
	err = spawn(p, cfg);
	if (!err) {
		p->pid_io = loop_io_new(l, p->pidfd, LOOP_READ, on_end, p);
		p->out_io = loop_io_new(l, p->out, LOOP_READ, on_output, p);
		err = p->pid_io && p->out_io ? 0 : -ENOMEM;
	}
	if (err) {
		proc_free(p);
		errno = -err;
		return NULL;
	}
	loop_timer_set(&p->timer, cfg->timeout_ms);
	return p;
}

void proc_free(struct proc *p)
{
	if (!p)
		return;
	if (p->pid) {
		signal_group(p, SIGKILL);
		p->stopping = true;
		reap(p);
	}
	close_output(p);
	free(p);
}

bool proc_ok(const struct proc *p)
{
	return !p->stopping && WIFEXITED(p->status) &&
	       WEXITSTATUS(p->status) == 0;
}

const char *proc_how(const struct proc *p, char out[32])
{
	if (p->late)
		return "out of time";
	if (p->stopping)
		return "stopped";
	if (WIFSIGNALED(p->status))
		snprintf(out, 32, "signal %d", WTERMSIG(p->status));
	else
		snprintf(out, 32, "exit status %d", WEXITSTATUS(p->status));
	return out;
}

int proc_status(const struct proc *p)
{
	return p->status;
}

uint64_t proc_took_ms(const struct proc *p)
{
	return p->took_ms;
}

const char *proc_output(const struct proc *p, bool *cut)
{
	*cut = p->cut;
	return p->text;
}

int proc_other(long pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

int proc_other_signal(int fd, int sig)
{
	return syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) < 0 ? -errno :
								      0;
}
