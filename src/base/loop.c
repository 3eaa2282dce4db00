/* base/loop.c - the event loop: libevent for descriptors and signals, our own
 * sorted list for timers, so that one code path serves both clocks. A daemon
 * has a handful of timers; a list is the shortest thing that is right. */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct loop {
	enum loop_clock clock;
	struct event_base *base;
	struct event *wake;		/* the first timer, real clock only */
	struct event *sigterm, *sigint;
	struct loop_timer *timers;
	uint64_t virtual_ms;
	int status;
	bool stopped;
	int fired;			/* callbacks run by this loop_once() */
};

struct loop_io {
	struct loop *loop;
	struct event ev;
	unsigned want;
	void (*fn)(void *arg, unsigned events);
	void *arg;
};

static void fire_due(struct loop *l);

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	fire_due(arg);
}

struct loop *loop_new(enum loop_clock clock)
{
	struct loop *l = calloc(1, sizeof(*l));
	struct event_config *cfg = event_config_new();

	if (!l || !cfg)
		goto fail;
	l->clock = clock;
	/* No debug or precise-timer extras: one epoll descriptor is all. */
	if (event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK) < 0)
		goto fail;
	l->base = event_base_new_with_config(cfg);
	if (!l->base)
		goto fail;
	l->wake = event_new(l->base, -1, 0, on_wake, l);
	if (!l->wake)
		goto fail;
	event_config_free(cfg);
	return l;
fail:
	if (cfg)
		event_config_free(cfg);
	loop_free(l);
	errno = ENOMEM;
	return NULL;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->sigterm)
		event_free(l->sigterm);
	if (l->sigint)
		event_free(l->sigint);
	if (l->wake)
		event_free(l->wake);
	if (l->base)
		event_base_free(l->base);
	free(l);
}

uint64_t loop_now_ms(const struct loop *l)
{
	struct timespec ts;

	if (l->clock == LOOP_VIRTUAL)
		return l->virtual_ms;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Have libevent wake us for the first timer, or for none. */
static void arm(struct loop *l)
{
	uint64_t now, wait;
	struct timeval tv;

	if (l->clock == LOOP_VIRTUAL)
		return;
	if (!l->timers) {
		event_del(l->wake);
		return;
	}
	now = loop_now_ms(l);
	wait = l->timers->due_ms > now ? l->timers->due_ms - now : 0;
	tv.tv_sec = (time_t)(wait / 1000);
	tv.tv_usec = (suseconds_t)(wait % 1000 * 1000);
	event_add(l->wake, &tv);
}

/* Fire what is due. A callback may set timers again: one that is due at once
 * fires in this round too, which is what a moved clock must show. */
static void fire_due(struct loop *l)
{
	while (l->timers && l->timers->due_ms <= loop_now_ms(l)) {
		struct loop_timer *t = l->timers;

		l->timers = t->next;
		t->set = false;
		l->fired++;
		t->fn(t->arg);
	}
	arm(l);
}

void loop_timer_init(struct loop_timer *t, struct loop *l,
		     void (*fn)(void *arg), void *arg)
{
	*t = (struct loop_timer){ .loop = l, .fn = fn, .arg = arg };
}

static void unlink_timer(struct loop_timer *t)
{
	struct loop_timer **at = &t->loop->timers;

	if (!t->set)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->set = false;
}

void loop_timer_set(struct loop_timer *t, uint64_t in_ms)
{
	struct loop_timer **at = &t->loop->timers;

	unlink_timer(t);
	t->due_ms = loop_now_ms(t->loop) + in_ms;
	while (*at && (*at)->due_ms <= t->due_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	t->set = true;
	arm(t->loop);
}

void loop_timer_cancel(struct loop_timer *t)
{
	if (!t->set)
		return;
	unlink_timer(t);
	arm(t->loop);
}

void loop_advance(struct loop *l, uint64_t ms)
{
	uint64_t end = l->virtual_ms + ms;

	assert(l->clock == LOOP_VIRTUAL);
	while (l->timers && l->timers->due_ms <= end) {
		if (l->timers->due_ms > l->virtual_ms)
			l->virtual_ms = l->timers->due_ms;
		fire_due(l);
	}
	l->virtual_ms = end;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;
	unsigned events = 0;

	(void)fd;
	if (what & EV_READ)
		events |= LOOP_READ;
	if (what & EV_WRITE)
		events |= LOOP_WRITE;
	io->loop->fired++;
	io->fn(io->arg, events);
}

static short to_ev(unsigned events)
{
	int ev = EV_PERSIST;

	if (events & LOOP_READ)
		ev |= EV_READ;
	if (events & LOOP_WRITE)
		ev |= EV_WRITE;
	return (short)ev;
}

struct loop_io *loop_io_new(struct loop *l, int fd, unsigned events,
			    void (*fn)(void *arg, unsigned events), void *arg)
{
	struct loop_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->loop = l;
	io->fn = fn;
	io->arg = arg;
	io->want = events;
	event_assign(&io->ev, l->base, fd, to_ev(events), on_io, io);
	if (events && event_add(&io->ev, NULL) < 0) {
		free(io);
		return NULL;
	}
	return io;
}

void loop_io_want(struct loop_io *io, unsigned events)
{
	evutil_socket_t fd = event_get_fd(&io->ev);

	if (io->want == events)
		return;
	io->want = events;
	event_del(&io->ev);
	event_assign(&io->ev, io->loop->base, fd, to_ev(events), on_io, io);
	if (events)
		event_add(&io->ev, NULL);
}

void loop_io_free(struct loop_io *io)
{
	if (!io)
		return;
	event_del(&io->ev);
	free(io);
}

int loop_once(struct loop *l, bool block)
{
	l->fired = 0;
	if (event_base_loop(l->base,
			    block ? EVLOOP_ONCE : EVLOOP_NONBLOCK) < 0)
		return errno ? -errno : -EIO;
	return l->fired;
}

int loop_run(struct loop *l)
{
	l->stopped = false;
	l->status = 0;
	while (!l->stopped)
		if (event_base_loop(l->base, EVLOOP_ONCE |
				    EVLOOP_NO_EXIT_ON_EMPTY) < 0)
			return errno ? -errno : -EIO;
	return l->status;
}

void loop_stop(struct loop *l, int status)
{
	l->status = status;
	l->stopped = true;
	event_base_loopbreak(l->base);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	loop_stop(arg, 0);
}

int loop_stop_on_signals(struct loop *l)
{
	signal(SIGPIPE, SIG_IGN);
	l->sigterm = evsignal_new(l->base, SIGTERM, on_signal, l);
	l->sigint = evsignal_new(l->base, SIGINT, on_signal, l);
	if (!l->sigterm || !l->sigint || event_add(l->sigterm, NULL) < 0 ||
	    event_add(l->sigint, NULL) < 0)
		return -ENOMEM;
	return 0;
}
