/* vss/guardian.h - the process that thaws when the daemon cannot.
 *
 *   guardian (main pid) --forks--> worker: session, plan, freeze
 *            <---- socketpair, SOCK_SEQPACKET ---->
 *   both map vss/frozen.h
 *
 * It holds a copy of every descriptor that is needed to thaw, and thaws what
 * the shared memory says is ours when
 *   - the deadline passes (CLOCK_BOOTTIME: a suspended machine's time counts),
 *   - the worker ends or is killed,
 *   - it gets SIGTERM.
 * A stopped worker is covered by the deadline. A worker that a signal killed
 * is started again, not more often than GUARDIAN_RESTARTS times a minute; it
 * finds in the shared memory what happened and tells it. A worker that exits
 * ends the guardian with the same status.
 *
 * After it has begun it allocates nothing and opens nothing; while something
 * is armed its memory is locked.
 */
#ifndef VSS_GUARDIAN_H
#define VSS_GUARDIAN_H

#include "vss/frozen.h"

enum { GUARDIAN_RESTARTS = 5 };

/* Messages; a worker's ARM comes with the descriptors (SCM_RIGHTS). */
enum guardian_op {
	GUARDIAN_READY,		/* worker: serving; tell the service manager */
	GUARDIAN_ARM,		/* worker: ms until the deadline, if no GO comes */
	GUARDIAN_ARMED,		/* guardian: yes */
	GUARDIAN_GO,		/* worker: the first FIFREEZE is next; ms */
	GUARDIAN_DISARM,	/* worker: all is thawed; forget it */
	GUARDIAN_THAWED,	/* guardian: I had to: why */
};

struct guardian_msg {
	uint32_t op;		/* enum guardian_op */
	uint32_t ms;
	uint32_t n;		/* ARM: records */
	uint32_t have[FREEZE_MAX_FS / 32];	/* ... which of them come with
						 * a descriptor */
};

/* Descriptors that a message can carry: the kernel's limit is 253. fds may
 * hold -1 where there is none; they arrive as they were. 0, or -errno:
 * -EAGAIN, -EPIPE the other side is gone. */
int guardian_send(int sock, const struct guardian_msg *m, const int *fds);
/* 1; -EAGAIN; -EPIPE the other side is gone; -EBADMSG. fds[FREEZE_MAX_FS] is
 * filled for ARM and belongs to the caller; NULL: none are wanted. */
int guardian_recv(int sock, struct guardian_msg *m, int *fds);

struct guardian_cfg {
	struct frozen_file *file;
	const struct freeze_ops *ops;
	/* The worker's life: returns its exit status. life counts from 0. */
	int (*worker)(void *arg, int sock, unsigned life);
	void *arg;
	uint32_t say_stuck_ms;	/* thawing takes so long: say it; 0: 10 s */
};

/* Until the worker exits or SIGTERM comes; the exit status. In the worker it
 * does not return. */
int guardian_run(const struct guardian_cfg *cfg);

#endif
