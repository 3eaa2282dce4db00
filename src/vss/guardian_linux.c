/* vss/guardian_linux.c - see guardian.h.
 *
 * One poll() waits for the worker's messages, its end (a pidfd), the deadline
 * (a timerfd), SIGTERM (a signalfd) and the helpers. The helpers are threads
 * made at the start that do nothing but frozen_sweep(): a FITHAW that hangs,
 * on a dead disk say, keeps one of them and none of the other file systems.
 *
 * Nor does it wait for a log while something is frozen, which may be what that
 * log is on: what there is to say by then is said by a thread of its own.
 *
 * Once thawing has begun it goes on until nothing is left, tried again every
 * TRY_AGAIN_MS: a FIFREEZE may be under way still in a worker that is stopped,
 * or in one that was killed and cannot die before it returns. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/service.h"
#include "vss/guardian.h"

enum {
	HELPERS = 4,
	TRY_AGAIN_MS = 100,
	SAY_STUCK_MS = 10000,
	KILL_AFTER_MS = 5000,	/* SIGTERM was not enough */
	MINUTE_US = 60 * 1000000,
};

enum { AT_SOCK, AT_WORKER, AT_DEADLINE, AT_SIGNAL, AT_HELPERS, N_POLL };

struct guardian {
	const struct guardian_cfg *cfg;
	struct frozen *z;
	struct pollfd p[N_POLL];
	int fds[FREEZE_MAX_FS];		/* to thaw with */
	bool next;			/* an ARM came while we thaw: */
	struct guardian_msg next_arm;
	int next_fds[FREEZE_MAX_FS];
	pid_t worker;
	unsigned life;
	uint64_t restarts[GUARDIAN_RESTARTS];	/* when, a ring */
	bool armed;
	bool thawing;
	const char *why;
	uint64_t thaw_began_us, tried_us;
	bool said_stuck;
	bool ending;			/* SIGTERM came */
	uint64_t ending_us;
	int status;			/* of waitpid() */
	atomic_bool dead;		/* the worker */
	pthread_t helpers[HELPERS];
	sem_t go;
	atomic_int out;			/* helpers sent and not back yet */
	pthread_t teller;
	sem_t say;
};

/* Helpers ----------------------------------------------------------------- */

static void *helper(void *arg)
{
	struct guardian *g = arg;
	const uint64_t one = 1;

	for (;;) {
		struct frozen_sweep s = {
			.me = FREEZE_BY_GUARDIAN, .other = FREEZE_BY_DAEMON,
			.force = true, .fds = g->fds, .ops = g->cfg->ops,
		};

		while (sem_wait(&g->go) < 0)
			;
		s.other_dead = atomic_load(&g->dead);
		frozen_sweep(g->z, &s);
		atomic_fetch_sub(&g->out, 1);
		if (write(g->p[AT_HELPERS].fd, &one, sizeof(one)) < 0)
			continue;	/* it is looked at again anyway */
	}
	return NULL;
}

static void say_stuck(const struct frozen *z)
{
	char path[FROZEN_PATH_SIZE];

	for (unsigned i = 0; i < z->n && i < FREEZE_MAX_FS; i++)
		if (frozen_state(&z->fs[i]) == FREEZE_THAWING ||
		    frozen_state(&z->fs[i]) == FREEZE_STUCK)
			log_err("%s cannot be thawed yet; trying on",
				log_quote(path, sizeof(path), z->fs[i].path,
					  sizeof(z->fs[i].path)));
}

static void *teller(void *arg)
{
	struct guardian *g = arg;

	for (;;) {
		while (sem_wait(&g->say) < 0)
			;
		say_stuck(g->z);
	}
	return NULL;
}

static int start_helpers(struct guardian *g)
{
	pthread_attr_t a;
	int err;

	if (sem_init(&g->go, 0, 0) < 0 || sem_init(&g->say, 0, 0) < 0 ||
	    pthread_attr_init(&a))
		return -ENOMEM;
	pthread_attr_setstacksize(&a, FROZEN_STACK_BYTES);
	err = pthread_create(&g->teller, &a, teller, g);
	for (unsigned i = 0; i < HELPERS && !err; i++)
		err = pthread_create(&g->helpers[i], &a, helper, g);
	pthread_attr_destroy(&a);
	return -err;
}

static void try_to_thaw(struct guardian *g)
{
	g->tried_us = frozen_now_us();
	frozen_revoke(g->z);
	while (atomic_load(&g->out) < HELPERS) {
		atomic_fetch_add(&g->out, 1);
		sem_post(&g->go);
	}
}

static void thaw(struct guardian *g, const char *why)
{
	if (!g->thawing) {
		g->why = why;
		g->thaw_began_us = frozen_now_us();
		g->said_stuck = false;
	}
	g->thawing = true;
	try_to_thaw(g);
}

/* Armed, and the deadline -------------------------------------------------- */

static void set_deadline(struct guardian *g, uint32_t ms)
{
	const struct itimerspec t = {
		.it_value = { .tv_sec = ms / 1000,
			      .tv_nsec = (long)(ms % 1000) * 1000000 + !ms },
	};
	const struct itimerspec off = { 0 };

	timerfd_settime(g->p[AT_DEADLINE].fd, 0, g->armed ? &t : &off, NULL);
}

static void drop_fds(int fds[FREEZE_MAX_FS])
{
	for (unsigned i = 0; i < FREEZE_MAX_FS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static void disarm(struct guardian *g)
{
	g->armed = false;
	set_deadline(g, 0);
	drop_fds(g->fds);
	munlockall();
}

static void arm(struct guardian *g, const struct guardian_msg *m,
		const int fds[FREEZE_MAX_FS])
{
	const struct guardian_msg yes = { .op = GUARDIAN_ARMED };

	drop_fds(g->fds);
	memcpy(g->fds, fds, sizeof(g->fds));
	g->armed = true;
	/* Without the right to lock, a fault reads from our own program's file
	 * at worst, which a freeze does not keep anybody from. */
	mlockall(MCL_CURRENT);
	set_deadline(g, m->ms);
	guardian_send(g->p[AT_SOCK].fd, &yes, NULL);
}

/* While we thaw, the worker may be done with that freeze and at the next one
 * already. Armed for it now, we would forget it with the old one, and the
 * descriptors are in use; so it has to wait for its yes. */
static void arm_next(struct guardian *g, const struct guardian_msg *m,
		     const int fds[FREEZE_MAX_FS])
{
	drop_fds(g->next_fds);
	memcpy(g->next_fds, fds, sizeof(g->next_fds));
	g->next_arm = *m;
	g->next = true;
}

static void take_next(struct guardian *g)
{
	if (!g->next)
		return;
	g->next = false;
	arm(g, &g->next_arm, g->next_fds);
	memset(g->next_fds, -1, sizeof(g->next_fds));	/* they are in g->fds */
}

static void forget_next(struct guardian *g)
{
	g->next = false;
	drop_fds(g->next_fds);
}

static void on_message(struct guardian *g)
{
	int fds[FREEZE_MAX_FS], r;
	struct guardian_msg m;

	while ((r = guardian_recv(g->p[AT_SOCK].fd, &m, fds)) == 1) {
		switch (m.op) {
		case GUARDIAN_READY:
			service_ready();
			break;
		case GUARDIAN_ARM:
			if (g->thawing)
				arm_next(g, &m, fds);
			else
				arm(g, &m, fds);
			break;
		case GUARDIAN_GO:
			if (g->armed)
				set_deadline(g, m.ms);
			break;
		case GUARDIAN_DISARM:
			forget_next(g);
			if (!g->thawing)
				disarm(g);
			break;
		default:
			break;
		}
	}
	if (r == -EPIPE) {		/* its end is the pidfd's news */
		close(g->p[AT_SOCK].fd);
		g->p[AT_SOCK].fd = -1;
	}
}

static void on_deadline(struct guardian *g)
{
	uint64_t n;

	if (read(g->p[AT_DEADLINE].fd, &n, sizeof(n)) > 0 && g->armed)
		thaw(g, "the deadline passed");
}

/* The worker --------------------------------------------------------------- */

static void close_ours(struct guardian *g)
{
	for (unsigned i = 0; i < N_POLL; i++)
		if (g->p[i].fd >= 0)
			close(g->p[i].fd);
	drop_fds(g->fds);
	drop_fds(g->next_fds);
}

__attribute__((noreturn)) static void be_worker(struct guardian *g, int sock)
{
	sigset_t none;

	close_ours(g);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	frozen_lock_worker(g->cfg->file);
	exit(g->cfg->worker(g->cfg->arg, sock, g->life));
}

static int start_worker(struct guardian *g)
{
	int pair[2], err = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, pair) < 0)
		return -errno;
	g->p[AT_SOCK].fd = pair[0];
	g->p[AT_SOCK].events = POLLIN;
	pid = fork();
	if (pid == 0)
		be_worker(g, pair[1]);
	err = errno;
	close(pair[1]);
	if (pid < 0)
		return -err;
	g->worker = pid;
	g->life++;
	atomic_store(&g->dead, false);
	g->p[AT_WORKER].fd = (int)syscall(SYS_pidfd_open, pid, 0);
	g->p[AT_WORKER].events = POLLIN;
	return g->p[AT_WORKER].fd < 0 ? -errno : 0;
}

static bool too_often(struct guardian *g)
{
	uint64_t *slot = &g->restarts[g->life % GUARDIAN_RESTARTS];
	uint64_t now = frozen_now_us();
	bool often = *slot && now - *slot < MINUTE_US;

	*slot = now;
	return often;
}

static void on_worker_end(struct guardian *g)
{
	if (atomic_load(&g->dead) ||
	    waitpid(g->worker, &g->status, WNOHANG) != g->worker)
		return;
	atomic_store(&g->dead, true);
	if (WIFSIGNALED(g->status))
		g->z->worker_signal = WTERMSIG(g->status);
	close(g->p[AT_WORKER].fd);
	if (g->p[AT_SOCK].fd >= 0)
		close(g->p[AT_SOCK].fd);
	g->p[AT_WORKER].fd = g->p[AT_SOCK].fd = -1;
	forget_next(g);
	if (g->armed)
		thaw(g, "the daemon ended");
}

/* The worker is dead and nothing is frozen: again, or the end. Returns whether
 * to go on. */
static bool next_life(struct guardian *g, int *status)
{
	int err;

	if (WIFEXITED(g->status) || g->ending) {
		*status = WIFEXITED(g->status) ? WEXITSTATUS(g->status) :
			  EXIT_SUCCESS;
		return false;
	}
	*status = EXIT_FAILURE;
	if (too_often(g)) {
		log_err("the daemon was killed by signal %d once too often; "
			"giving up", WTERMSIG(g->status));
		return false;
	}
	log_err("the daemon was killed by signal %d; starting it again",
		WTERMSIG(g->status));
	err = start_worker(g);
	if (err)
		log_err("cannot start the daemon again: %s", strerror(-err));
	return !err;
}

/* Signals ------------------------------------------------------------------ */

static void on_signal(struct guardian *g)
{
	struct signalfd_siginfo si;

	if (read(g->p[AT_SIGNAL].fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (g->armed)
		thaw(g, "the daemon was told to end");
	if (!g->ending)
		g->ending_us = frozen_now_us();
	g->ending = true;
	if (!atomic_load(&g->dead))
		kill(g->worker, SIGTERM);
}

/* ------------------------------------------------------------------------- */

static void have_it_said(struct guardian *g)
{
	const uint64_t patience_us =
		(g->cfg->say_stuck_ms ? g->cfg->say_stuck_ms : SAY_STUCK_MS) *
		1000ULL;

	if (g->said_stuck ||
	    frozen_now_us() - g->thaw_began_us < patience_us)
		return;
	g->said_stuck = true;
	sem_post(&g->say);
}

static void go_on_thawing(struct guardian *g)
{
	const struct guardian_msg m = { .op = GUARDIAN_THAWED };
	uint64_t now = frozen_now_us();

	if (frozen_count(g->z)) {
		if (now - g->tried_us >= TRY_AGAIN_MS * 1000) {
			try_to_thaw(g);
			have_it_said(g);
		}
		return;
	}
	/* A helper that is not back yet could revoke the next freeze. */
	if (atomic_load(&g->out))
		return;
	g->thawing = false;
	disarm(g);
	if (!atomic_load(&g->dead))
		guardian_send(g->p[AT_SOCK].fd, &m, NULL);
	take_next(g);
	if (g->z->window_us)
		log_warn("%s: the guardian thawed what was frozen", g->why);
}

static void kill_late(struct guardian *g)
{
	if (g->ending && !atomic_load(&g->dead) &&
	    frozen_now_us() - g->ending_us > KILL_AFTER_MS * 1000)
		kill(g->worker, SIGKILL);
}

static int serve(struct guardian *g)
{
	int status = EXIT_FAILURE;
	uint64_t n;

	for (;;) {
		if (poll(g->p, N_POLL, g->thawing || g->ending ?
			 TRY_AGAIN_MS : -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (g->p[AT_SIGNAL].revents)
			on_signal(g);
		if (g->p[AT_SOCK].fd >= 0 && g->p[AT_SOCK].revents)
			on_message(g);
		if (g->p[AT_WORKER].fd >= 0 && g->p[AT_WORKER].revents)
			on_worker_end(g);
		if (g->p[AT_DEADLINE].revents)
			on_deadline(g);
		if (g->p[AT_HELPERS].revents &&
		    read(g->p[AT_HELPERS].fd, &n, sizeof(n)) < 0)
			continue;
		if (g->thawing)
			go_on_thawing(g);
		kill_late(g);
		if (atomic_load(&g->dead) && !g->thawing &&
		    !next_life(g, &status))
			return status;
	}
}

static int set_up(struct guardian *g)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	g->p[AT_SIGNAL].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	g->p[AT_DEADLINE].fd = timerfd_create(CLOCK_BOOTTIME,
					      TFD_CLOEXEC | TFD_NONBLOCK);
	g->p[AT_HELPERS].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = AT_DEADLINE; i < N_POLL; i++) {
		g->p[i].events = POLLIN;
		if (g->p[i].fd < 0)
			return -errno;
	}
	return 0;
}

int guardian_run(const struct guardian_cfg *cfg)
{
	static struct guardian g;	/* not on the heap, not on the stack */
	int err;

	memset(&g, 0, sizeof(g));
	g.cfg = cfg;
	g.z = cfg->file->z;
	for (unsigned i = 0; i < FREEZE_MAX_FS; i++)
		g.fds[i] = g.next_fds[i] = -1;
	for (unsigned i = 0; i < N_POLL; i++)
		g.p[i].fd = -1;
	err = set_up(&g);
	/* The worker first: it must not inherit what the helpers hold. */
	if (!err)
		err = start_worker(&g);
	if (!err)
		err = start_helpers(&g);
	if (err) {
		log_err("guardian: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	return serve(&g);
}
