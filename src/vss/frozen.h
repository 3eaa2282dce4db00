/* vss/frozen.h - what is frozen, in memory that the daemon, its guardian and
 * whoever starts the daemon next share.
 *
 * The memory is the file RUN_DIR/hv_vss_daemon.frozen, mapped; RUN_DIR is on
 * tmpfs, so writing there is no write to a file system. One record for each
 * file system of the freeze in hand, or of the last one.
 *
 *   NONE ----> ASKING ----> FROZEN ----> THAWING ----> THAWED
 *     |          | | |                    ^  |  \
 *     v          | | +--> REVOKED --------+  |   +---> STUCK ---> THAWING
 *   CANCELLED    | |         ^               |
 *                | +> FAILED +---------------+ (FIFREEZE is still under way)
 *                +--> FOREIGN
 *
 * A state changes by compare-and-swap only. Whoever moves a record to THAWING
 * thaws that file system, and nobody else does: so each is thawed once. Who
 * finds ASKING and wants no more freezing makes it REVOKED, and the thread
 * whose FIFREEZE then returns thaws at once.
 *
 * Trust: the file is ours alone (mode 0600), but it may be an earlier
 * version's, or torn: frozen_check() before anything is used.
 */
#ifndef VSS_FROZEN_H
#define VSS_FROZEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	FREEZE_MAX_FS = 128,		/* file systems in one freeze */
	FROZEN_MAGIC = 0x7a6f7266,	/* "froz" */
	FROZEN_VERSION = 1,
	FROZEN_PATH_SIZE = 256,		/* longer paths are cut: for people */
};

/* Of threads that freeze and thaw: locked memory, so not the usual 8 MiB. */
#if defined(__SANITIZE_ADDRESS__)
#define FROZEN_STACK_BYTES	(256 << 10)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FROZEN_STACK_BYTES	(256 << 10)
#endif
#endif
#ifndef FROZEN_STACK_BYTES
#define FROZEN_STACK_BYTES	(32 << 10)
#endif

enum freeze_state {		/* of one file system */
	FREEZE_NONE,
	FREEZE_ASKING,		/* FIFREEZE is under way */
	FREEZE_FROZEN,		/* by us */
	FREEZE_FOREIGN,		/* EBUSY: by somebody else */
	FREEZE_FAILED,
	FREEZE_REVOKED,		/* thaw it as soon as FIFREEZE returns */
	FREEZE_THAWING,
	FREEZE_THAWED,
	FREEZE_STUCK,		/* FITHAW failed: to be tried again */
	FREEZE_CANCELLED,	/* never asked: it was over before */
	FREEZE_N_STATES
};

enum freeze_who {
	FREEZE_BY_NOBODY,
	FREEZE_BY_DAEMON,
	FREEZE_BY_GUARDIAN,
	FREEZE_BY_RESTART,	/* the next life, both being dead */
	FREEZE_N_WHO
};

/* Times: CLOCK_MONOTONIC in microseconds, 0: not done. */
struct frozen_fs {
	uint32_t major, minor;		/* the super block: st_dev */
	uint32_t disk_major, disk_minor;
	uint32_t level;
	uint32_t sync_only;		/* flushed, never frozen */
	_Atomic uint32_t state;		/* enum freeze_state, and from THAWING
					 * on enum freeze_who << 8 */
	int32_t error;			/* errno of the step that went wrong */
	uint64_t flush_at_us, flush_done_us;
	uint64_t freeze_at_us, freeze_done_us;
	uint64_t thaw_at_us, thaw_done_us;
	char path[FROZEN_PATH_SIZE], source[64], type[32];
};

struct frozen {
	uint32_t magic, version;
	uint32_t size;			/* of this struct */
	uint32_t n;			/* records in use; 0: nothing was begun */
	char boot_id[40];
	uint64_t msgid;			/* of the driver's FREEZE */
	uint64_t begun_us;
	uint64_t window_us;		/* when the first FIFREEZE was made; 0 */
	uint32_t window_ms;		/* how long it may last */
	int32_t worker_signal;		/* that killed the worker; 0 */
	_Atomic uint32_t told;		/* the history knows it */
	uint32_t pad[9];
	struct frozen_fs fs[FREEZE_MAX_FS];	/* in the order of freezing */
};

/* How file systems are frozen; tests play the kernel. 0 or -errno each. */
struct freeze_ops {
	int (*sync)(void *arg, int fd);
	int (*freeze)(void *arg, int fd);
	int (*thaw)(void *arg, int fd);
	void *arg;
};

extern const struct freeze_ops freeze_ops_real;

/* The file. */
struct frozen_file {
	struct frozen *z;
	int fd;			/* its locks say who lives; -1: no file */
	bool persistent;	/* RUN_DIR is on tmpfs: it outlives us */
};

/* Map it, made if missing, contents as they are found (z->magic 0: new or of
 * no use). 0; -EAGAIN another guardian lives; or -errno. */
int frozen_open(struct frozen_file *f, const char *path);
void frozen_close(struct frozen_file *f);
/* The pid of a worker that lives; 0: none. */
pid_t frozen_worker(const struct frozen_file *f);
/* Is nobody of an earlier life left, not even a worker that does not say yet
 * that it lives? If so, there is nobody else until the next life. */
bool frozen_take_over(const struct frozen_file *f);
/* In the worker, after the fork: say that it lives. */
int frozen_lock_worker(struct frozen_file *f);

/* 0; -EBADMSG not ours or torn; -ESTALE of an earlier boot. */
int frozen_check(const struct frozen *z);
/* Nothing was begun. */
void frozen_clear(struct frozen *z);

/* Freeze record i through fd. What became of it is its state. */
void frozen_freeze(struct frozen *z, unsigned i, int fd,
		   const struct freeze_ops *ops);

/* Thaw what is ours, the last frozen first; any number of threads may do this
 * side by side. After it nothing more will freeze. fds[i] < 0: not within our
 * reach. other_dead: the process of `other` is gone, and what it had begun is
 * ours to finish. Returns how many may still be frozen. */
struct frozen_sweep {
	enum freeze_who me, other;
	bool other_dead;
	bool force;		/* also those whose FIFREEZE is under way
				 * (may block until it returns), and those that
				 * `other` claimed a second ago and left so */
	const int *fds;
	const struct freeze_ops *ops;
};

unsigned frozen_sweep(struct frozen *z, const struct frozen_sweep *s);
/* Records that are, or may be, frozen by us. */
unsigned frozen_count(struct frozen *z);
/* No more freezing: what is not frozen yet will not be. Blocks nothing. */
void frozen_revoke(struct frozen *z);

enum freeze_state frozen_state(const struct frozen_fs *fs);
enum freeze_who frozen_thawer(const struct frozen_fs *fs);
const char *freeze_state_name(enum freeze_state s);
const char *freeze_who_name(enum freeze_who w);	/* "daemon" ... */
uint64_t frozen_now_us(void);

#endif
