/* app/proc.h - run a program in a session of its own, for a limited time, and
 * keep what it says.
 *
 * Its standard input is /dev/null, its environment what is given, its working
 * directory the root unless told otherwise. When its time is over, its whole process group gets
 * SIGTERM, and SIGKILL when that does not end it. It dies with us. What it
 * leaves behind in the background after a good end is left alone.
 */
#ifndef APP_PROC_H
#define APP_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

enum { PROC_OUTPUT_MAX = 4096 };	/* bytes kept; the rest is dropped */

struct proc;

struct proc_cfg {
	const char *const *argv;	/* argv[0] is a path */
	const char *const *env;
	bool here;			/* stay in our directory */
	unsigned timeout_ms, grace_ms;
};

/* ended() is called once, from the loop, with what waitpid(2) says; a program
 * that cannot be run exits with 126 and says why. NULL with errno set. */
struct proc *proc_start(struct loop *l, const struct proc_cfg *cfg,
			void (*ended)(void *arg, struct proc *p), void *arg);
/* End it early: as when its time is over, but not counted as that. */
void proc_stop(struct proc *p);
/* Kills what runs, at once. Also from within ended(). NULL is fine. */
void proc_free(struct proc *p);

/* Once ended: did it exit with 0, in time; how it ended, for people:
 * "exit status 1", "signal 9", "out of time". */
bool proc_ok(const struct proc *p);
const char *proc_how(const struct proc *p, char out[32]);
/* The wait status. */
int proc_status(const struct proc *p);
uint64_t proc_took_ms(const struct proc *p);
/* NUL-terminated; *cut: there was more. */
const char *proc_output(const struct proc *p, bool *cut);

/* fork(2) for programs with a loop. A signal that reached the child before it
 * has its own handlers would run the loop's, which would tell the parent: the
 * child starts with default handlers, and none comes in between. */
pid_t proc_fork(void);

/* Another's process, by a descriptor that stays with it when it has ended and
 * its number is given away. The descriptor is readable when it has ended. */
int proc_other(long pid);			/* or -errno */
int proc_other_signal(int fd, int sig);		/* 0 or -errno */

#endif
