/* vss/frozen.c - the states of what is frozen, and the file they are kept in.
 *
 * Every change of a state is one compare-and-swap; what belongs to a state
 * (times, errno, who) is written before the change by the one who makes it.
 *
 * The two locks on the file are fcntl's, which a fork does not hand on and
 * which end with the process that took them: byte 0 is the guardian's life,
 * byte 1 the worker's. So the next life can tell a guardian that lives (it
 * must not start) from a worker that has lost its guardian (it must thaw what
 * that one may be unable to, stopped for instance). A worker that was just
 * forked has not locked its byte; that it lives is told by the flock, which
 * guardian and workers share. */
#include "vss/frozen.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { TAKE_OVER_US = 1000000 };	/* a FITHAW takes milliseconds */

static const char *const state_names[FREEZE_N_STATES] = {
	[FREEZE_NONE] = "none",
	[FREEZE_ASKING] = "asking",
	[FREEZE_FROZEN] = "frozen",
	[FREEZE_FOREIGN] = "foreign",
	[FREEZE_FAILED] = "failed",
	[FREEZE_REVOKED] = "revoked",
	[FREEZE_THAWING] = "thawing",
	[FREEZE_THAWED] = "thawed",
	[FREEZE_STUCK] = "stuck",
	[FREEZE_CANCELLED] = "cancelled",
};

static const char *const who_names[FREEZE_N_WHO] = {
	[FREEZE_BY_NOBODY] = "nobody",
	[FREEZE_BY_DAEMON] = "daemon",
	[FREEZE_BY_GUARDIAN] = "guardian",
	[FREEZE_BY_RESTART] = "restart",
};

const char *freeze_state_name(enum freeze_state s)
{
	return s < FREEZE_N_STATES ? state_names[s] : "unknown";
}

const char *freeze_who_name(enum freeze_who w)
{
	return w < FREEZE_N_WHO ? who_names[w] : "unknown";
}

enum freeze_state frozen_state(const struct frozen_fs *fs)
{
	return (enum freeze_state)(atomic_load(&fs->state) & 0xff);
}

enum freeze_who frozen_thawer(const struct frozen_fs *fs)
{
	return (enum freeze_who)(atomic_load(&fs->state) >> 8);
}

uint64_t frozen_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* States ------------------------------------------------------------------ */

static bool change(struct frozen_fs *fs, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&fs->state, &from, to);
}

/* A state with the one who is at it. */
static uint32_t by(enum freeze_state s, enum freeze_who who)
{
	return (uint32_t)s | (uint32_t)who << 8;
}

static bool may_be_frozen(enum freeze_state s)
{
	return s == FREEZE_ASKING || s == FREEZE_FROZEN ||
	       s == FREEZE_REVOKED || s == FREEZE_THAWING || s == FREEZE_STUCK;
}

unsigned frozen_count(struct frozen *z)
{
	unsigned n = 0;

	for (unsigned i = 0; i < z->n; i++)
		n += may_be_frozen(frozen_state(&z->fs[i]));
	return n;
}

void frozen_revoke(struct frozen *z)
{
	for (unsigned i = 0; i < z->n; i++) {
		struct frozen_fs *fs = &z->fs[i];

		if (!change(fs, FREEZE_NONE, FREEZE_CANCELLED))
			change(fs, FREEZE_ASKING, FREEZE_REVOKED);
	}
}

/* What is known about the freeze that is to be thawed. */
enum claim {
	CLAIM_NONE,		/* it is not ours to thaw */
	CLAIM_FROZEN,
	CLAIM_ASKED,		/* FIFREEZE may be under way still */
	CLAIM_OVER,		/* it may be frozen or not, but nothing more
				 * will happen to it */
};

/* Thaw what we have claimed. What came of it is the record's state. */
static void thaw_claimed(struct frozen_fs *fs, int fd, enum freeze_who me,
			 enum claim c, const struct freeze_ops *ops)
{
	uint32_t thawing = by(FREEZE_THAWING, me);
	int err;

	fs->thaw_at_us = frozen_now_us();
	err = ops->thaw(ops->arg, fd);
	if (err == -EINVAL && c == CLAIM_ASKED) {
		fs->thaw_at_us = 0;
		change(fs, thawing, FREEZE_REVOKED);
		return;
	}
	fs->thaw_done_us = frozen_now_us();
	if (err && err != -EINVAL) {
		fs->error = -err;
		change(fs, thawing, by(FREEZE_STUCK, me));
		return;
	}
	/* It was frozen and is not: somebody else has thawed it. */
	if (err && c == CLAIM_FROZEN)
		fs->error = EINVAL;
	change(fs, thawing, by(FREEZE_THAWED, err ? FREEZE_BY_NOBODY : me));
}

/* FIFREEZE has returned, and its claim was revoked meanwhile. Frozen: somebody
 * is thawing it, did so, or leaves it to us. Not frozen: say so. Who is just
 * trying to thaw may find that it was too early and hand it back.
 *
 * THAWED may have been somebody else's freeze, before FIFREEZE was entered:
 * then nobody thaws ours any more. Where it was ours this finds nothing. */
static void freeze_revoked(struct frozen_fs *fs, int fd, uint32_t to,
			   const struct freeze_ops *ops)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	bool frozen = to == FREEZE_FROZEN;

	if (frozen)
		to = by(FREEZE_THAWING, FREEZE_BY_DAEMON);
	while (!change(fs, FREEZE_REVOKED, to)) {
		enum freeze_state s = frozen_state(fs);

		if (frozen && s == FREEZE_THAWED)
			ops->thaw(ops->arg, fd);
		if (s != FREEZE_THAWING)
			return;
		nanosleep(&moment, NULL);
	}
	if (frozen)
		thaw_claimed(fs, fd, FREEZE_BY_DAEMON, CLAIM_FROZEN, ops);
}

void frozen_freeze(struct frozen *z, unsigned i, int fd,
		   const struct freeze_ops *ops)
{
	struct frozen_fs *fs = &z->fs[i];
	uint32_t to = FREEZE_FROZEN;
	uint64_t began = frozen_now_us();
	int err;

	if (!change(fs, FREEZE_NONE, FREEZE_ASKING))
		return;
	fs->freeze_at_us = began;
	err = ops->freeze(ops->arg, fd);
	fs->freeze_done_us = frozen_now_us();
	if (err) {
		fs->error = -err;
		to = err == -EBUSY ? FREEZE_FOREIGN : FREEZE_FAILED;
	}
	if (!change(fs, FREEZE_ASKING, to))
		freeze_revoked(fs, fd, to, ops);
}

/* Did the other one claim it for thawing and get no further, being stopped for
 * instance? To thaw what is thawed is no harm. thaw_at_us comes after the
 * claim. */
static bool stands_still(const struct frozen_fs *fs)
{
	return frozen_now_us() - fs->thaw_at_us > TAKE_OVER_US;
}

/* Take a record over for thawing. */
static enum claim claim(struct frozen_fs *fs, const struct frozen_sweep *s)
{
	uint32_t mine = by(FREEZE_THAWING, s->me);

	if (change(fs, FREEZE_FROZEN, mine))
		return CLAIM_FROZEN;
	if (s->force && (change(fs, by(FREEZE_STUCK, s->me), mine) ||
			 change(fs, by(FREEZE_STUCK, s->other), mine)))
		return CLAIM_FROZEN;
	if (s->force && change(fs, FREEZE_REVOKED, mine))
		return s->other_dead ? CLAIM_OVER : CLAIM_ASKED;
	if ((s->other_dead || (s->force && stands_still(fs))) &&
	    change(fs, by(FREEZE_THAWING, s->other), mine))
		return CLAIM_OVER;
	return CLAIM_NONE;
}

unsigned frozen_sweep(struct frozen *z, const struct frozen_sweep *s)
{
	frozen_revoke(z);
	for (unsigned i = z->n; i-- > 0;) {
		enum claim c;

		if (s->fds[i] < 0)
			continue;
		c = claim(&z->fs[i], s);
		if (c != CLAIM_NONE)
			thaw_claimed(&z->fs[i], s->fds[i], s->me, c, s->ops);
	}
	return frozen_count(z);
}

/* The file ---------------------------------------------------------------- */

static bool terminated(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static int boot_id(char out[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	memset(out, 0, 40);
	if (fd < 0)
		return -errno;
	n = read(fd, out, 36);
	close(fd);
	return n == 36 ? 0 : -EIO;
}

int frozen_check(const struct frozen *z)
{
	char boot[40];
	int err;

	if (z->magic != FROZEN_MAGIC || z->version != FROZEN_VERSION ||
	    z->size != sizeof(*z) || z->n > FREEZE_MAX_FS)
		return -EBADMSG;
	for (unsigned i = 0; i < z->n; i++) {
		const struct frozen_fs *fs = &z->fs[i];

		if (frozen_state(fs) >= FREEZE_N_STATES ||
		    frozen_thawer(fs) >= FREEZE_N_WHO ||
		    !terminated(fs->path, sizeof(fs->path)) ||
		    !terminated(fs->source, sizeof(fs->source)) ||
		    !terminated(fs->type, sizeof(fs->type)))
			return -EBADMSG;
	}
	err = boot_id(boot);
	if (err)
		return err;
	return memcmp(boot, z->boot_id, sizeof(boot)) ? -ESTALE : 0;
}

void frozen_clear(struct frozen *z)
{
	memset(z, 0, sizeof(*z));
	z->version = FROZEN_VERSION;
	z->size = sizeof(*z);
	boot_id(z->boot_id);
	z->magic = FROZEN_MAGIC;
}

static int lock_byte(int fd, off_t at)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			   .l_start = at, .l_len = 1 };

	return fcntl(fd, F_SETLK, &l) < 0 ? -errno : 0;
}

pid_t frozen_worker(const struct frozen_file *f)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
			   .l_start = 1, .l_len = 1 };

	if (fcntl(f->fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK)
		return 0;
	return l.l_pid;
}

bool frozen_take_over(const struct frozen_file *f)
{
	return flock(f->fd, LOCK_EX | LOCK_NB) == 0;
}

static bool on_memory(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && (st.f_type == TMPFS_MAGIC ||
					 st.f_type == RAMFS_MAGIC);
}

static int open_locked(struct frozen_file *f, const char *path)
{
	f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (f->fd < 0)
		return -errno;
	if (lock_byte(f->fd, 0) < 0)
		return -EAGAIN;
	f->persistent = on_memory(f->fd);
	return 0;
}

static int map(struct frozen_file *f)
{
	int flags = MAP_SHARED | MAP_POPULATE;
	struct stat st;
	void *at;

	if (f->persistent) {
		if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode))
			return -EBADF;
		if (ftruncate(f->fd, sizeof(*f->z)) < 0 ||
		    posix_fallocate(f->fd, 0, sizeof(*f->z)))
			return -ENOSPC;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	at = mmap(NULL, sizeof(*f->z), PROT_READ | PROT_WRITE, flags,
		  f->persistent ? f->fd : -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	f->z = at;
	return 0;
}

int frozen_open(struct frozen_file *f, const char *path)
{
	int err;

	*f = (struct frozen_file){ .fd = -1 };
	err = open_locked(f, path);
	if (!err)
		err = map(f);
	if (err) {
		frozen_close(f);
		return err;
	}
	if (frozen_check(f->z) < 0)
		f->z->magic = 0;
	return 0;
}

void frozen_close(struct frozen_file *f)
{
	if (f->z)
		munmap(f->z, sizeof(*f->z));
	if (f->fd >= 0)
		close(f->fd);
	*f = (struct frozen_file){ .fd = -1 };
}

int frozen_lock_worker(struct frozen_file *f)
{
	return f->fd >= 0 ? lock_byte(f->fd, 1) : 0;
}
