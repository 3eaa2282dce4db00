/* base/loop.h - one thread that waits for descriptors, timers and signals.
 *
 * A thin layer over libevent, so that timers run on a clock that tests can
 * move: with LOOP_VIRTUAL no timer ever fires by itself, loop_advance() moves
 * the clock and fires what became due, in order. Descriptors are real on both.
 * Nothing here is thread-safe; a callback may add and delete anything,
 * including the io or timer it was called for.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct event;
struct loop;
struct loop_io;

enum loop_clock { LOOP_REAL, LOOP_VIRTUAL };

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* NULL with errno set when the machine has no memory or descriptors left. */
struct loop *loop_new(enum loop_clock clock);
void loop_free(struct loop *l);

/* Serve until loop_stop(); returns the status given there, or -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int status);

/* Serve what is ready now; with block, first wait until something is (a
 * descriptor, or on a real clock a timer). Returns callbacks run, or -errno. */
int loop_once(struct loop *l, bool block);

/* Milliseconds since loop_new() (virtual), or of CLOCK_MONOTONIC (real). */
uint64_t loop_now_ms(const struct loop *l);
void loop_advance(struct loop *l, uint64_t ms);	/* LOOP_VIRTUAL only */

/* Watch fd, level-triggered, for LOOP_READ and/or LOOP_WRITE (0: neither).
 * The fd stays the caller's; delete the io before closing it.
 * NULL when out of memory. */
struct loop_io *loop_io_new(struct loop *l, int fd, unsigned events,
			    void (*fn)(void *arg, unsigned events), void *arg);
void loop_io_want(struct loop_io *io, unsigned events);
void loop_io_free(struct loop_io *io);		/* NULL is fine */

/* A one-shot timer that lives inside its owner. Setting a set timer moves it;
 * cancelling an unset one is fine. Timers due at the same moment fire in the
 * order in which they were set. */
struct loop_timer {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	uint64_t due_ms;
	bool set;
	struct loop_timer *next;	/* sorted by due_ms */
};

void loop_timer_init(struct loop_timer *t, struct loop *l,
		     void (*fn)(void *arg), void *arg);
void loop_timer_set(struct loop_timer *t, uint64_t in_ms);
void loop_timer_cancel(struct loop_timer *t);

/* Stop the loop with status 0 on SIGTERM and SIGINT; ignore SIGPIPE.
 * Returns 0 or -errno. */
int loop_stop_on_signals(struct loop *l);

#endif
