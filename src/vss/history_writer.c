/* vss/history_writer.c - one thread, one job at a time.
 *
 * The lock guards all of struct shared but the paths; it is never held over a
 * system call that may block. The thread tells the end of a job through an
 * eventfd that the loop watches. Who comes last, the thread or the owner,
 * frees the shared part. */
#include "vss/history_writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vss/history_file.h"

enum { STACK_SIZE = 256 << 10, METRICS_MODE = 0644 };

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct history_job job;
	struct history_done done;
	bool busy, leaving;
	unsigned users;			/* the owner, the thread */
	int event;
	char *file, *metrics;
};

struct history_writer {
	struct shared *s;
	struct loop_io *io;
	bool owed;			/* a job's end was not told yet */
	void (*done)(void *arg, const struct history_done *d);
	void *arg;
};

static void shared_free(struct shared *s)
{
	if (s->event >= 0)
		close(s->event);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->idle);
	free(s->job.lines);
	free(s->job.metrics);
	free(s->file);
	free(s->metrics);
	free(s);
}

/* The thread -------------------------------------------------------------- */

static struct history_done work(struct shared *s, const struct history_job *j)
{
	struct history_done d = { .n_lines = j->n_lines };

	if (j->lines)
		d.err = history_file_append(s->file, j->lines,
					    strlen(j->lines));
	if (!d.err && j->trim)
		d.trimmed = history_file_trim(s->file, j->trim);
	if (j->metrics && s->metrics)
		d.metrics_err = history_file_replace(s->metrics, j->metrics,
						     strlen(j->metrics),
						     METRICS_MODE, false);
	return d;
}

static void tell(struct shared *s)
{
	const uint64_t one = 1;
	ssize_t n = write(s->event, &one, sizeof(one));

	(void)n;			/* it cannot be full: one job a time */
}

/* With the lock held; gives it away while it works. */
static void do_job(struct shared *s)
{
	struct history_job job = s->job;
	struct history_done d;

	s->job = (struct history_job){ 0 };
	pthread_mutex_unlock(&s->lock);
	d = work(s, &job);
	free(job.lines);
	free(job.metrics);
	pthread_mutex_lock(&s->lock);
	s->done = d;
	s->busy = false;
	pthread_cond_signal(&s->idle);
	tell(s);
}

/* With the lock held. */
static void drop(struct shared *s)
{
	bool last = --s->users == 0;

	pthread_cond_signal(&s->idle);
	pthread_mutex_unlock(&s->lock);
	if (last)
		shared_free(s);
}

static void *run(void *arg)
{
	struct shared *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->leaving || s->busy) {
		if (s->busy)
			do_job(s);
		else
			pthread_cond_wait(&s->work, &s->lock);
	}
	drop(s);
	return NULL;
}

/* Signals are the loop's; a small stack, which may be locked into memory. */
static int start_thread(struct shared *s)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t t;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&t, &attr, run, s);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* The loop's side --------------------------------------------------------- */

void history_writer_reap(struct history_writer *w)
{
	struct history_done d;
	uint64_t n;

	if (read(w->s->event, &n, sizeof(n)) != sizeof(n))
		return;
	pthread_mutex_lock(&w->s->lock);
	d = w->s->done;
	pthread_mutex_unlock(&w->s->lock);
	w->owed = false;
	w->done(w->arg, &d);
}

static void on_event(void *arg, unsigned events)
{
	(void)events;
	history_writer_reap(arg);
}

static struct shared *shared_new(const char *file, const char *metrics)
{
	struct shared *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, &attr);
	pthread_condattr_destroy(&attr);
	s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->file = strdup(file);
	if (metrics && *metrics)
		s->metrics = strdup(metrics);
	if (s->event >= 0 && s->file && (s->metrics || !metrics || !*metrics))
		return s;
	shared_free(s);
	return NULL;
}

struct history_writer *history_writer_new(struct loop *l, const char *file,
	const char *metrics,
	void (*done)(void *arg, const struct history_done *d), void *arg)
{
	struct history_writer *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return NULL;
	w->done = done;
	w->arg = arg;
	w->s = shared_new(file, metrics);
	err = w->s ? 0 : -ENOMEM;
	if (!err) {
		w->io = loop_io_new(l, w->s->event, LOOP_READ, on_event, w);
		w->s->users = 2;
		err = w->io ? start_thread(w->s) : -ENOMEM;
	}
	if (!err)
		return w;
	loop_io_free(w->io);
	if (w->s)
		shared_free(w->s);
	free(w);
	errno = -err;
	return NULL;
}

bool history_writer_start(struct history_writer *w,
			  const struct history_job *job)
{
	if (w->owed)
		return false;
	pthread_mutex_lock(&w->s->lock);
	w->s->job = *job;
	w->s->busy = true;
	w->owed = true;
	pthread_cond_signal(&w->s->work);
	pthread_mutex_unlock(&w->s->lock);
	return true;
}

static struct timespec after(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

bool history_writer_wait(struct history_writer *w, unsigned patience_ms)
{
	const struct timespec until = after(patience_ms);
	bool idle;

	pthread_mutex_lock(&w->s->lock);
	while (w->s->busy && pthread_cond_timedwait(&w->s->idle, &w->s->lock,
						    &until) == 0)
		;
	idle = !w->s->busy;
	pthread_mutex_unlock(&w->s->lock);
	return idle;
}

void history_writer_free(struct history_writer *w, unsigned patience_ms)
{
	const struct timespec until = after(patience_ms);

	if (!w)
		return;
	loop_io_free(w->io);
	pthread_mutex_lock(&w->s->lock);
	w->s->leaving = true;
	pthread_cond_signal(&w->s->work);
	while (w->s->users > 1 && pthread_cond_timedwait(&w->s->idle,
			&w->s->lock, &until) == 0)
		;
	drop(w->s);
	free(w);
}
