/* vss/freeze_linux.c - see freeze.h.
 *
 * One thread a file system, made before anything is frozen and waiting for its
 * next task on a semaphore of its own; the tasks of a step are handed out at
 * once, and an eventfd tells the loop that one is done. All decisions are made
 * in the loop, which never waits: a task that hangs (a dead disk, a backing
 * file system that somebody else froze) only keeps its thread. When a freeze
 * ends with threads that have not come back, it is not forgotten: nothing new
 * begins until they have (freeze_hanging()).
 *
 * How long writers stand still is what FIFREEZE has left to write, so flushing
 * is repeated while it helps: each round writes what came in during the one
 * before. A thread that is done early flushes on until the slowest is done
 * too; otherwise the fast disks would be dirty again by then.
 *
 * What remains are the kernel's three grace periods, some 10 ms each, in every
 * FIFREEZE. In the first of them writers still write. So the root, which comes
 * last, need not wait until all others are frozen: it follows a moment after
 * the last of them was asked, and its writers stand still only after theirs.
 * Not if another file system lies on it: then that one is frozen first. */
#include "vss/freeze.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "vss/fs_open.h"
#include "vss/guardian.h"

enum {
	ARM_MS = 2000,		/* for the guardian's yes */
	THAW_MS = 5000,		/* then what is thawed so far is told */
	FLUSH_ROUNDS = 8,
	FLUSH_SHORT_US = 20000,	/* little is left to write */
	FLUSH_PAUSE_NS = 5000000,
	FOLLOW_NS = 8000000,	/* less than a grace period */
	FOLLOW_LOOK_NS = 200000,
	/* The guardian's deadline is the promise; ours comes a little before,
	 * so that a daemon that is well tells the driver in time. */
	MARGIN_PART = 16, MARGIN_MAX_MS = 500,
};

enum task {
	TASK_OPEN, TASK_FLUSH, TASK_FREEZE, TASK_FOLLOW, TASK_THAW, TASK_EXIT
};

struct job {
	struct freeze *f;
	unsigned i;			/* its record */
	char *path;			/* the plan may be gone before us */
	dev_t dev;
	pthread_t thread;
	bool made;
	sem_t go;
	enum task task;
	unsigned round;
	atomic_bool busy;
	atomic_bool idling;		/* flushes on, for the others' sake */
	int err;			/* of the last task */
};

struct freeze {
	struct freeze_cfg cfg;
	struct frozen *z;
	enum freeze_phase phase;
	struct job *jobs;		/* NULL: none are left of the last */
	unsigned n;
	int fds[FREEZE_MAX_FS];		/* flush and freeze through these */
	int thaw_fds[FREEZE_MAX_FS];	/* of them, those to freeze */
	unsigned round;			/* the step in hand */
	int level;
	bool follow;			/* level 0 may overlap with level 1 */
	atomic_int unflushed;		/* threads in their first flush; < 1:
					 * stop */
	unsigned flushes;
	uint64_t flush_began_us, flush_took_us;
	uint64_t give_up_ms;		/* by the loop's clock */
	uint32_t frozen_ms;
	struct loop_timer timer;	/* the phase's */
	struct loop_timer window;
	int done;			/* eventfd */
	struct loop_io *done_io, *guardian_io;
	bool held;			/* HELD was told */
	bool lost;			/* it is thawed unasked */
	bool locked;
	char why[160];
};

/* The kernel --------------------------------------------------------------- */

static int real_sync(void *arg, int fd)
{
	(void)arg;
	return syncfs(fd) < 0 ? -errno : 0;
}

static int real_freeze(void *arg, int fd)
{
	(void)arg;
	return ioctl(fd, FIFREEZE, 0) < 0 ? -errno : 0;
}

static int real_thaw(void *arg, int fd)
{
	(void)arg;
	return ioctl(fd, FITHAW, 0) < 0 ? -errno : 0;
}

const struct freeze_ops freeze_ops_real = {
	.sync = real_sync, .freeze = real_freeze, .thaw = real_thaw,
};

/* Threads ------------------------------------------------------------------ */

static int task_open(struct job *j)
{
	int fd = j->path ? fs_open(j->path, j->dev) : -ENOENT;

	j->f->fds[j->i] = fd < 0 ? -1 : fd;
	return fd < 0 ? fd : 0;
}

static int flush_once(struct job *j)
{
	const struct freeze_ops *ops = j->f->cfg.ops;
	struct frozen_fs *fs = &j->f->z->fs[j->i];
	int err;

	if (!fs->flush_at_us)
		fs->flush_at_us = frozen_now_us();
	err = ops->sync(ops->arg, j->f->fds[j->i]);
	fs->flush_done_us = frozen_now_us();
	return err;
}

static int task_flush(struct job *j)
{
	const struct timespec pause = { .tv_nsec = FLUSH_PAUSE_NS };
	struct freeze *f = j->f;
	int err = flush_once(j);

	atomic_fetch_sub(&f->unflushed, 1);
	atomic_store(&j->idling, true);
	while (!err && atomic_load(&f->unflushed) > 0) {
		nanosleep(&pause, NULL);
		err = flush_once(j);
	}
	return err;
}

static void sweep(struct freeze *f)
{
	const struct frozen_sweep s = {
		.me = FREEZE_BY_DAEMON, .other = FREEZE_BY_GUARDIAN,
		.fds = f->thaw_fds, .ops = f->cfg.ops,
	};

	frozen_sweep(f->z, &s);
}

static void freeze(struct job *j)
{
	frozen_freeze(j->f->z, j->i, j->f->fds[j->i], j->f->cfg.ops);
}

static bool all_asked(const struct freeze *f, unsigned above)
{
	for (unsigned i = 0; i < f->n; i++)
		if (!f->z->fs[i].sync_only && f->z->fs[i].level > above &&
		    frozen_state(&f->z->fs[i]) == FREEZE_NONE)
			return false;
	return true;
}

/* Behind those that go first, and at a distance. */
static void follow(struct job *j)
{
	const struct timespec look = { .tv_nsec = FOLLOW_LOOK_NS };
	const struct timespec distance = { .tv_nsec = FOLLOW_NS };

	while (!all_asked(j->f, j->f->z->fs[j->i].level))
		nanosleep(&look, NULL);
	nanosleep(&distance, NULL);
	freeze(j);
}

static void do_task(struct job *j)
{
	switch (j->task) {
	case TASK_OPEN:
		j->err = task_open(j);
		break;
	case TASK_FLUSH:
		j->err = task_flush(j);
		break;
	case TASK_FREEZE:
		freeze(j);
		break;
	case TASK_FOLLOW:
		follow(j);
		break;
	case TASK_THAW:
		sweep(j->f);
		break;
	case TASK_EXIT:
		break;
	}
}

static void wake_loop(struct freeze *f)
{
	const uint64_t one = 1;

	if (write(f->done, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);	/* it is awake as it is */
}

static void *thread(void *arg)
{
	struct job *j = arg;
	bool last;

	do {
		while (sem_wait(&j->go) < 0)
			;
		last = j->task == TASK_EXIT;
		do_task(j);
		atomic_store(&j->busy, false);
		wake_loop(j->f);
	} while (!last);
	return NULL;
}

/* All signals stay with the loop's thread. */
static int make_thread(struct job *j)
{
	pthread_attr_t a;
	sigset_t all, old;
	int err;

	if (sem_init(&j->go, 0, 0) < 0 || pthread_attr_init(&a))
		return -ENOMEM;
	pthread_attr_setstacksize(&a, FROZEN_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&j->thread, &a, thread, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&a);
	j->made = !err;
	return -err;
}

static void give(struct job *j, enum task t)
{
	j->task = t;
	j->round = j->f->round;
	j->err = 0;
	atomic_store(&j->idling, false);
	atomic_store(&j->busy, true);
	sem_post(&j->go);
}

static bool step_done(const struct freeze *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->jobs[i].round == f->round &&
		    atomic_load(&f->jobs[i].busy))
			return false;
	return true;
}

static struct job *busy_job(const struct freeze *f)
{
	for (unsigned i = 0; f->jobs && i < f->n; i++)
		if (atomic_load(&f->jobs[i].busy))
			return &f->jobs[i];
	return NULL;
}

/* Everybody is idle: end the threads, close, forget. */
static void clean_up(struct freeze *f)
{
	for (unsigned i = 0; f->jobs && i < f->n; i++) {
		struct job *j = &f->jobs[i];

		free(j->path);
		if (!j->made)
			continue;
		give(j, TASK_EXIT);
		pthread_join(j->thread, NULL);
		sem_destroy(&j->go);
	}
	for (unsigned i = 0; i < FREEZE_MAX_FS; i++) {
		if (f->fds[i] >= 0)
			close(f->fds[i]);
		f->fds[i] = f->thaw_fds[i] = -1;
	}
	free(f->jobs);
	f->jobs = NULL;
	f->n = 0;
	if (f->locked)
		munlockall();
	f->locked = false;
}

/* The guardian -------------------------------------------------------------- */

static void tell_guardian(struct freeze *f, enum guardian_op op, uint32_t ms)
{
	const struct guardian_msg m = { .op = op, .ms = ms, .n = f->z->n };

	if (f->cfg.guardian >= 0)
		guardian_send(f->cfg.guardian, &m,
			      op == GUARDIAN_ARM ? f->thaw_fds : NULL);
}

/* The end ------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static void because(struct freeze *f, const char *fmt, ...)
{
	va_list ap;

	if (f->why[0])
		return;			/* the first cause is the one to tell */
	va_start(ap, fmt);
	vsnprintf(f->why, sizeof(f->why), fmt, ap);
	va_end(ap);
}

static const char *name_of(const struct job *j)
{
	return j->f->z->fs[j->i].path;
}

/* What went wrong while thawing, for people. */
static void judge_thaw(struct freeze *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct frozen_fs *fs = &f->z->fs[i];
		enum freeze_state s = frozen_state(fs);

		if (s == FREEZE_STUCK)
			because(f, "%s: cannot be thawed: %s", fs->path,
				strerror(fs->error));
		else if (s == FREEZE_REVOKED || s == FREEZE_THAWING)
			because(f, "%s: %s", fs->path, s == FREEZE_REVOKED ?
				"still busy freezing" : "still busy thawing");
		else if (s == FREEZE_THAWED && fs->error == EINVAL)
			because(f, "%s: somebody else thawed it", fs->path);
	}
}

static void finish(struct freeze *f)
{
	enum freeze_event ev = FREEZE_EV_REFUSED;

	loop_timer_cancel(&f->timer);
	loop_timer_cancel(&f->window);
	judge_thaw(f);
	if (f->lost)
		ev = FREEZE_EV_LOST;
	else if (f->held)
		ev = FREEZE_EV_THAWED;
	f->phase = FREEZE_PH_IDLE;
	/* What is left is the guardian's now, not only at the deadline. */
	if (frozen_count(f->z))
		tell_guardian(f, GUARDIAN_GO, 0);
	else
		tell_guardian(f, GUARDIAN_DISARM, 0);
	f->cfg.event(f->cfg.arg, ev, f->why);
	if (!busy_job(f))
		clean_up(f);
}

static void begin_thaw(struct freeze *f)
{
	if (f->phase == FREEZE_PH_THAW)
		return;
	f->phase = FREEZE_PH_THAW;
	f->round++;
	atomic_store(&f->unflushed, 0);
	frozen_revoke(f->z);
	for (unsigned i = 0; i < f->n; i++)
		if (f->jobs[i].made && !atomic_load(&f->jobs[i].busy))
			give(&f->jobs[i], TASK_THAW);
	loop_timer_set(&f->timer, THAW_MS);
	wake_loop(f);
}

static void on_thaw_step(struct freeze *f)
{
	/* A thread still in syncfs() or opening has nothing frozen. */
	if (!frozen_count(f->z))
		finish(f);
}

/* One after the other ------------------------------------------------------- */

static void flush_round(struct freeze *f);

static void refuse(struct freeze *f, const struct job *j, const char *doing,
		   int err)
{
	because(f, "%s: %s: %s", name_of(j), doing, strerror(err));
	begin_thaw(f);
}

static bool any_failed(struct freeze *f, const char *doing)
{
	for (unsigned i = 0; i < f->n; i++) {
		if (!f->jobs[i].err)
			continue;
		if (f->jobs[i].err == -ESTALE)
			because(f, "%s: something else is mounted there now",
				name_of(&f->jobs[i]));
		refuse(f, &f->jobs[i], doing, -f->jobs[i].err);
		return true;
	}
	return false;
}

static uint64_t left_ms(const struct freeze *f)
{
	uint64_t now = loop_now_ms(f->cfg.loop);

	return f->give_up_ms > now ? f->give_up_ms - now : 0;
}

static void on_opened(struct freeze *f)
{
	if (any_failed(f, "cannot be opened"))
		return;
	for (unsigned i = 0; i < f->n; i++)
		f->thaw_fds[i] = f->z->fs[i].sync_only ? -1 : f->fds[i];
	if (f->cfg.guardian < 0) {
		flush_round(f);
		return;
	}
	f->phase = FREEZE_PH_ARM;
	loop_timer_set(&f->timer, ARM_MS);
	tell_guardian(f, GUARDIAN_ARM,
		      (uint32_t)left_ms(f) + ARM_MS + f->frozen_ms);
}

static void flush_round(struct freeze *f)
{
	f->phase = FREEZE_PH_FLUSH;
	f->flushes++;
	f->round++;
	f->flush_began_us = frozen_now_us();
	atomic_store(&f->unflushed, (int)f->n);
	loop_timer_set(&f->timer, left_ms(f) * 3 / 4);
	for (unsigned i = 0; i < f->n; i++)
		give(&f->jobs[i], TASK_FLUSH);
	if (!f->n)
		wake_loop(f);
}

/* Does anything lie on what is frozen last? */
static bool last_is_backing(const struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_fs *last = &p->fs[i];

		if (last->action != PLAN_FREEZE || last->level)
			continue;
		for (size_t k = 0; k < p->n; k++) {
			const struct mount *m = p->fs[k].mount;

			for (unsigned b = 0; b < m->n_backing; b++)
				if (m->backing[b] == last->mount->dev)
					return true;
		}
	}
	return false;
}

/* The level in hand, and the last one if that may follow. */
static bool in_step(const struct freeze *f, const struct frozen_fs *fs)
{
	return !fs->sync_only && (fs->level == (unsigned)f->level ||
				  (f->follow && f->level == 1 && !fs->level));
}

static void freeze_level(struct freeze *f)
{
	f->round++;
	for (unsigned i = 0; i < f->n; i++)
		if (in_step(f, &f->z->fs[i]))
			give(&f->jobs[i],
			     f->z->fs[i].level == (unsigned)f->level ?
			     TASK_FREEZE : TASK_FOLLOW);
}

/* From here on until the last FITHAW: no allocation, no log, no look-up. */
static void open_window(struct freeze *f)
{
	uint32_t margin = f->frozen_ms / MARGIN_PART;
	uint64_t limit = left_ms(f);

	if (margin > MARGIN_MAX_MS)
		margin = MARGIN_MAX_MS;
	if (limit > f->frozen_ms / 2)
		limit = f->frozen_ms / 2;
	f->phase = FREEZE_PH_FREEZE;
	loop_timer_set(&f->timer, limit);
	loop_timer_set(&f->window, f->frozen_ms - margin);
	f->z->window_us = frozen_now_us();
	tell_guardian(f, GUARDIAN_GO, f->frozen_ms);
	freeze_level(f);
	wake_loop(f);		/* a level may be empty */
}

/* Is another round worth it? */
static bool flushed_enough(struct freeze *f, uint64_t took_us)
{
	uint64_t before = f->flush_took_us;

	f->flush_took_us = took_us;
	if (took_us < FLUSH_SHORT_US / 4)
		return true;
	if (f->flushes < 2)
		return false;
	return took_us < FLUSH_SHORT_US || took_us * 4 > before * 3 ||
	       f->flushes == FLUSH_ROUNDS ||
	       took_us / 1000 * 4 > left_ms(f);
}

static void on_flushed(struct freeze *f)
{
	if (any_failed(f, "cannot be flushed"))
		return;
	if (flushed_enough(f, frozen_now_us() - f->flush_began_us))
		open_window(f);
	else
		flush_round(f);
}

/* Did everything of this level freeze? Says which did not. */
static bool level_frozen(struct freeze *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct frozen_fs *fs = &f->z->fs[i];
		enum freeze_state s = frozen_state(fs);

		if (!in_step(f, fs) || s == FREEZE_FROZEN)
			continue;
		if (s == FREEZE_FOREIGN)
			because(f, "%s: frozen by somebody else", fs->path);
		else if (s == FREEZE_FAILED)
			because(f, "%s: cannot be frozen: %s", fs->path,
				strerror(fs->error));
		else
			because(f, "%s: thawed before all were frozen",
				fs->path);
		return false;
	}
	return true;
}

static void on_level(struct freeze *f)
{
	if (!level_frozen(f)) {
		begin_thaw(f);
		return;
	}
	f->level -= f->follow && f->level == 1 ? 2 : 1;
	if (f->level >= 0) {
		freeze_level(f);
		wake_loop(f);
		return;
	}
	loop_timer_cancel(&f->timer);
	f->phase = FREEZE_PH_HELD;
	f->held = true;
	f->cfg.event(f->cfg.arg, FREEZE_EV_HELD, "");
}

static void next_step(struct freeze *f)
{
	switch (f->phase) {
	case FREEZE_PH_OPEN:
		on_opened(f);
		break;
	case FREEZE_PH_FLUSH:
		on_flushed(f);
		break;
	case FREEZE_PH_FREEZE:
		on_level(f);
		break;
	case FREEZE_PH_THAW:
		on_thaw_step(f);
		break;
	case FREEZE_PH_IDLE:		/* somebody came back late */
		if (!busy_job(f)) {
			if (f->jobs && !frozen_count(f->z))
				tell_guardian(f, GUARDIAN_DISARM, 0);
			clean_up(f);
		}
		break;
	case FREEZE_PH_ARM:
	case FREEZE_PH_HELD:
	case FREEZE_N_PHASES:
		break;
	}
}

static void on_done(void *arg, unsigned events)
{
	struct freeze *f = arg;
	uint64_t n;

	(void)events;
	if (read(f->done, &n, sizeof(n)) < 0)
		return;
	if (step_done(f))
		next_step(f);
}

/* The one that is waited for. */
static const struct job *slow_job(const struct freeze *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (atomic_load(&f->jobs[i].busy) &&
		    !atomic_load(&f->jobs[i].idling))
			return &f->jobs[i];
	return NULL;
}

/* A phase took too long. */
static void on_late(void *arg)
{
	struct freeze *f = arg;
	const struct job *j = slow_job(f);

	switch (f->phase) {
	case FREEZE_PH_OPEN:
	case FREEZE_PH_FLUSH:
	case FREEZE_PH_FREEZE:
		/* If we were stopped, all may be done by now, and late. */
		because(f, "%s%s%s takes too long", j ? name_of(j) : "",
			j ? ": " : "", f->phase == FREEZE_PH_OPEN ? "opening" :
			f->phase == FREEZE_PH_FLUSH ? "flushing" : "freezing");
		begin_thaw(f);
		break;
	case FREEZE_PH_ARM:
		because(f, "the guardian does not answer");
		begin_thaw(f);
		break;
	case FREEZE_PH_THAW:
		finish(f);
		break;
	case FREEZE_PH_IDLE:
	case FREEZE_PH_HELD:
	case FREEZE_N_PHASES:
		break;
	}
}

static void on_window(void *arg)
{
	struct freeze *f = arg;

	if (f->phase == FREEZE_PH_IDLE || f->phase == FREEZE_PH_THAW)
		return;
	f->lost = f->held;
	because(f, "frozen for longer than %u ms", f->frozen_ms);
	begin_thaw(f);
}

/* The guardian is no more: nobody would thaw if we could not. */
static void on_guardian_gone(struct freeze *f)
{
	loop_io_free(f->guardian_io);
	f->guardian_io = NULL;
	f->cfg.guardian = -1;
	if (f->phase != FREEZE_PH_IDLE) {
		f->lost = f->held;
		because(f, "the guardian died");
		begin_thaw(f);
	}
	f->cfg.event(f->cfg.arg, FREEZE_EV_ALONE, "the guardian died");
}

/* Before it has said ARMED, what it thawed was of an earlier freeze. */
static bool guarded(const struct freeze *f)
{
	return f->phase != FREEZE_PH_IDLE && f->phase != FREEZE_PH_OPEN &&
	       f->phase != FREEZE_PH_ARM;
}

static void on_guardian(void *arg, unsigned events)
{
	struct freeze *f = arg;
	struct guardian_msg m;
	int r;

	(void)events;
	while ((r = guardian_recv(f->cfg.guardian, &m, NULL)) == 1) {
		if (m.op == GUARDIAN_ARMED && f->phase == FREEZE_PH_ARM) {
			flush_round(f);
		} else if (m.op == GUARDIAN_THAWED && guarded(f)) {
			f->lost = f->held;
			because(f, "thawed by the guardian");
			begin_thaw(f);
		}
	}
	if (r == -EPIPE)
		on_guardian_gone(f);
}

/* --------------------------------------------------------------------------- */

struct freeze *freeze_new(const struct freeze_cfg *cfg)
{
	struct freeze *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->cfg = *cfg;
	f->z = cfg->z;
	for (unsigned i = 0; i < FREEZE_MAX_FS; i++)
		f->fds[i] = f->thaw_fds[i] = -1;
	loop_timer_init(&f->timer, cfg->loop, on_late, f);
	loop_timer_init(&f->window, cfg->loop, on_window, f);
	f->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->done >= 0)
		f->done_io = loop_io_new(cfg->loop, f->done, LOOP_READ, on_done,
					 f);
	if (cfg->guardian >= 0)
		f->guardian_io = loop_io_new(cfg->loop, cfg->guardian,
					     LOOP_READ, on_guardian, f);
	if (f->done_io && (cfg->guardian < 0 || f->guardian_io))
		return f;
	freeze_free(f);
	errno = ENOMEM;
	return NULL;
}

void freeze_free(struct freeze *f)
{
	if (!f)
		return;
	loop_timer_cancel(&f->timer);
	loop_timer_cancel(&f->window);
	if (f->phase != FREEZE_PH_IDLE)
		sweep(f);
	loop_io_free(f->done_io);
	loop_io_free(f->guardian_io);
	/* A thread that hangs keeps what it uses; the process ends anyway. */
	if (busy_job(f))
		return;
	clean_up(f);
	if (f->done >= 0)
		close(f->done);
	free(f);
}

static void put(char *dst, size_t size, const char *src)
{
	snprintf(dst, size, "%s", src ? src : "");
}

static void fill(struct frozen_fs *r, const struct plan_fs *p)
{
	const struct mount *m = p->mount;

	r->major = major(m->dev);
	r->minor = minor(m->dev);
	r->disk_major = major(m->disk);
	r->disk_minor = minor(m->disk);
	r->level = p->level;
	r->sync_only = p->action == PLAN_SYNC;
	put(r->path, sizeof(r->path), m->path);
	put(r->source, sizeof(r->source), m->source);
	put(r->type, sizeof(r->type), m->type);
}

static unsigned wanted(const struct plan *p)
{
	return (unsigned)(p->n_freeze + p->n_sync);
}

static int set_path(struct job *j, const struct mount *m)
{
	j->dev = m->dev;
	j->path = m->path ? strdup(m->path) : NULL;
	return m->path && !j->path ? -ENOMEM : 0;
}

static int make_jobs(struct freeze *f, const struct plan *p)
{
	int err = 0;

	f->n = wanted(p);
	f->jobs = calloc(f->n ? f->n : 1, sizeof(*f->jobs));
	if (!f->jobs)
		return -ENOMEM;
	for (size_t k = 0, i = 0; k < p->n && i < f->n && !err; k++) {
		struct job *j = &f->jobs[i];

		if (p->fs[k].action != PLAN_FREEZE &&
		    p->fs[k].action != PLAN_SYNC)
			continue;
		*j = (struct job){ .f = f, .i = (unsigned)i };
		fill(&f->z->fs[i++], &p->fs[k]);
		err = set_path(j, p->fs[k].mount);
		if (!err)
			err = make_thread(j);
	}
	return err;
}

int freeze_start(struct freeze *f, const struct plan *p, uint64_t msgid,
		 uint32_t answer_ms, uint32_t frozen_ms)
{
	int err;

	if (f->phase != FREEZE_PH_IDLE || f->jobs)
		return -EBUSY;
	if (wanted(p) > FREEZE_MAX_FS)
		return -E2BIG;
	frozen_clear(f->z);
	f->locked = mlockall(MCL_CURRENT | MCL_FUTURE) == 0;
	err = make_jobs(f, p);
	/* Stacks count against RLIMIT_MEMLOCK: rather unlocked than not. */
	if (err == -EAGAIN && f->locked) {
		clean_up(f);
		err = make_jobs(f, p);
	}
	if (err) {
		clean_up(f);
		return err;
	}
	f->z->msgid = msgid;
	f->z->begun_us = frozen_now_us();
	f->z->window_ms = frozen_ms;
	f->z->n = f->n;
	f->why[0] = '\0';
	f->held = f->lost = false;
	f->flushes = 0;
	f->frozen_ms = frozen_ms;
	f->level = (int)p->levels - 1;
	f->follow = !last_is_backing(p);
	/* An answer that comes on the last moment is one that comes late. */
	f->give_up_ms = loop_now_ms(f->cfg.loop) + answer_ms - answer_ms / 8;
	f->phase = FREEZE_PH_OPEN;
	f->round++;
	loop_timer_set(&f->timer, left_ms(f) / 2);
	for (unsigned i = 0; i < f->n; i++)
		give(&f->jobs[i], TASK_OPEN);
	wake_loop(f);
	return 0;
}

int freeze_thaw(struct freeze *f)
{
	if (f->phase == FREEZE_PH_IDLE)
		return -EALREADY;
	if (!f->held)
		because(f, "given up");
	begin_thaw(f);
	return 0;
}

enum freeze_phase freeze_phase_get(const struct freeze *f)
{
	return f->phase;
}

const char *freeze_phase_name(enum freeze_phase p)
{
	static const char *const names[FREEZE_N_PHASES] = {
		[FREEZE_PH_IDLE] = "idle",
		[FREEZE_PH_OPEN] = "opening",
		[FREEZE_PH_ARM] = "arming",
		[FREEZE_PH_FLUSH] = "flushing",
		[FREEZE_PH_FREEZE] = "freezing",
		[FREEZE_PH_HELD] = "frozen",
		[FREEZE_PH_THAW] = "thawing",
	};

	return p < FREEZE_N_PHASES ? names[p] : "unknown";
}

const char *freeze_hanging(const struct freeze *f)
{
	const struct job *j = busy_job(f);

	return f->phase == FREEZE_PH_IDLE && j ? name_of(j) : NULL;
}
