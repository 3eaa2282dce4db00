/* test/unit/test_frozen.c - who thaws, and once: the states of what is frozen,
 * with a kernel that the test plays; and the guardian as real processes, with
 * the same kernel. Nothing real is frozen. */
#include "vss/frozen.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "vss/guardian.h"

enum { N = 4 };

/* What the kernel does with each file system; fd is its number. */
struct kernel {
	atomic_int frozen[N], thaws[N];
	atomic_int freeze_err[N], thaw_err[N];
	atomic_int thawed_before[N];
	atomic_int hold;		/* FIFREEZE of 0 hangs while set */
	atomic_int log_blocks, said;
	atomic_int hold_thaw, thawing;	/* FITHAW hangs; how many are in it */
	atomic_int inside;
	atomic_int order[2 * N], calls;
};

static struct kernel *k;		/* shared with children */
static const int fds[FREEZE_MAX_FS] = { 0, 1, 2, 3 };

static struct frozen_file file;

static int fake_freeze(void *arg, int fd)
{
	(void)arg;
	atomic_fetch_add(&k->inside, 1);
	while (fd == 0 && atomic_load(&k->hold))
		poll(NULL, 0, 1);
	if (k->freeze_err[fd])
		return -k->freeze_err[fd];
	if (k->thawed_before[fd])	/* what somebody else had frozen */
		atomic_store(&file.z->fs[fd].state, FREEZE_THAWED |
			     FREEZE_BY_GUARDIAN << 8);
	return atomic_exchange(&k->frozen[fd], 1) ? -EBUSY : 0;
}

static int fake_thaw(void *arg, int fd)
{
	(void)arg;
	if (k->thaw_err[fd])
		return -k->thaw_err[fd];
	if (!atomic_exchange(&k->frozen[fd], 0))
		return -EINVAL;
	atomic_fetch_add(&k->thaws[fd], 1);
	k->order[atomic_fetch_add(&k->calls, 1)] = fd;
	return 0;
}

static const struct freeze_ops ops = {
	.freeze = fake_freeze, .thaw = fake_thaw,
};

static void quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void blocked(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
	atomic_fetch_add(&k->said, 1);
	while (atomic_load(&k->log_blocks))
		poll(NULL, 0, 1);
}

static int setup(void **state)
{
	(void)state;
	k = mmap(NULL, sizeof(*k), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file.z = mmap(NULL, sizeof(*file.z), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file.fd = -1;
	frozen_clear(file.z);
	file.z->n = N;
	log_capture(quiet, NULL);
	return k == MAP_FAILED || file.z == MAP_FAILED;
}

static int teardown(void **state)
{
	(void)state;
	log_capture(NULL, NULL);
	munmap(k, sizeof(*k));
	munmap(file.z, sizeof(*file.z));
	return 0;
}

static unsigned sweep(enum freeze_who me, enum freeze_who other, bool dead,
		      bool force)
{
	const struct frozen_sweep s = {
		.me = me, .other = other, .other_dead = dead, .force = force,
		.fds = fds, .ops = &ops,
	};

	return frozen_sweep(file.z, &s);
}

static unsigned sweep_by_daemon(void)
{
	return sweep(FREEZE_BY_DAEMON, FREEZE_BY_GUARDIAN, false, false);
}

static void freeze_all(void)
{
	for (unsigned i = 0; i < N; i++)
		frozen_freeze(file.z, i, fds[i], &ops);
}

static enum freeze_state state_of(unsigned i)
{
	return frozen_state(&file.z->fs[i]);
}

/* The records */

/* The guardian took a foreign freeze for ours, just before ours began. */
static void a_freeze_behind_a_foreign_thaw_is_thawed(void **state)
{
	(void)state;
	k->thawed_before[1] = 1;
	freeze_all();
	assert_int_equal(k->frozen[0], 1);
	assert_int_equal(k->frozen[1], 0);
	assert_int_equal(state_of(1), FREEZE_THAWED);
}

/* Stopped between its claim and FITHAW. */
static void one_who_stands_still_is_not_waited_for(void **state)
{
	(void)state;
	freeze_all();
	atomic_store(&file.z->fs[2].state, FREEZE_THAWING |
		     FREEZE_BY_DAEMON << 8);
	file.z->fs[2].thaw_at_us = frozen_now_us();
	sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, false, true);
	assert_int_equal(k->frozen[2], 1);	/* it may be at it just now */
	file.z->fs[2].thaw_at_us = frozen_now_us() - 1500000;
	assert_int_equal(sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, false,
			       true), 0);
	assert_int_equal(k->frozen[2], 0);
}

static void what_is_frozen_last_is_thawed_first(void **state)
{
	(void)state;
	freeze_all();
	assert_int_equal(frozen_count(file.z), N);
	assert_int_equal(sweep_by_daemon(), 0);
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(k->order[i], N - 1 - i);
		assert_int_equal(state_of(i), FREEZE_THAWED);
		assert_int_equal(frozen_thawer(&file.z->fs[i]),
				 FREEZE_BY_DAEMON);
	}
}

/* vmbus-and-ic 7.28 */
static void what_somebody_else_froze_is_never_thawed(void **state)
{
	(void)state;
	k->frozen[1] = 1;
	freeze_all();
	assert_int_equal(state_of(1), FREEZE_FOREIGN);
	assert_int_equal(sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, true,
			       true), 0);
	assert_int_equal(k->thaws[1], 0);
	assert_int_equal(k->frozen[1], 1);
	assert_int_equal(k->thaws[0] + k->thaws[2] + k->thaws[3], 3);
}

static void after_a_sweep_nothing_freezes(void **state)
{
	(void)state;
	frozen_freeze(file.z, 0, 0, &ops);
	sweep_by_daemon();
	freeze_all();
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(k->frozen[i], 0);
	assert_int_equal(state_of(1), FREEZE_CANCELLED);
}

static void *sweep_thread(void *arg)
{
	(void)arg;
	sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, false, true);
	return NULL;
}

static void many_who_thaw_at_once_thaw_each_once(void **state)
{
	pthread_t t[8];

	(void)state;
	freeze_all();
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, sweep_thread,
						NULL), 0);
	sweep_by_daemon();
	for (unsigned i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(k->thaws[i], 1);
	assert_int_equal(frozen_count(file.z), 0);
}

static void *freeze_thread(void *arg)
{
	(void)arg;
	frozen_freeze(file.z, 0, 0, &ops);
	return NULL;
}

static pthread_t hang_in_freeze(void)
{
	pthread_t t;

	k->hold = 1;
	assert_int_equal(pthread_create(&t, NULL, freeze_thread, NULL), 0);
	while (!atomic_load(&k->inside))
		poll(NULL, 0, 1);
	return t;
}

static void a_freeze_that_returns_too_late_is_thawed_by_its_thread(void **state)
{
	pthread_t t = hang_in_freeze();

	(void)state;
	assert_int_equal(sweep_by_daemon(), 1);
	assert_int_equal(state_of(0), FREEZE_REVOKED);
	k->hold = 0;
	pthread_join(t, NULL);
	assert_int_equal(state_of(0), FREEZE_THAWED);
	assert_int_equal(k->frozen[0], 0);
}

static void too_early_a_thaw_is_handed_back(void **state)
{
	pthread_t t = hang_in_freeze();

	(void)state;
	/* The guardian, past its deadline: not frozen yet, so EINVAL. */
	assert_int_equal(sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, false,
			       true), 1);
	assert_int_equal(state_of(0), FREEZE_REVOKED);
	k->hold = 0;
	pthread_join(t, NULL);
	assert_int_equal(frozen_count(file.z), 0);
	assert_int_equal(k->frozen[0], 0);
}

static void a_late_freeze_that_fails_is_left_alone(void **state)
{
	pthread_t t = hang_in_freeze();

	(void)state;
	sweep_by_daemon();
	k->freeze_err[0] = EIO;
	k->hold = 0;
	pthread_join(t, NULL);
	assert_int_equal(state_of(0), FREEZE_FAILED);
	assert_int_equal(file.z->fs[0].error, EIO);
}

static void what_the_dead_had_begun_is_finished(void **state)
{
	(void)state;
	freeze_all();
	atomic_store(&file.z->fs[0].state,
		     FREEZE_THAWING | FREEZE_BY_DAEMON << 8);
	atomic_store(&file.z->fs[1].state, FREEZE_ASKING);
	atomic_store(&file.z->fs[2].state, FREEZE_REVOKED);
	k->frozen[2] = 0;		/* it never came to that */
	assert_int_equal(sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, true,
			       true), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(k->frozen[i], 0);
	assert_int_equal(frozen_thawer(&file.z->fs[2]), FREEZE_BY_NOBODY);
}

static void what_the_living_have_begun_is_not_touched(void **state)
{
	(void)state;
	freeze_all();
	atomic_store(&file.z->fs[0].state,
		     FREEZE_THAWING | FREEZE_BY_DAEMON << 8);
	file.z->fs[0].thaw_at_us = frozen_now_us();
	assert_int_equal(sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, false,
			       true), 1);
	assert_int_equal(k->thaws[0], 0);
}

static void a_thaw_that_fails_is_tried_again(void **state)
{
	(void)state;
	freeze_all();
	k->thaw_err[2] = EIO;
	assert_int_equal(sweep_by_daemon(), 1);
	assert_int_equal(state_of(2), FREEZE_STUCK);
	assert_int_equal(file.z->fs[2].error, EIO);
	k->thaw_err[2] = 0;
	assert_int_equal(sweep(FREEZE_BY_GUARDIAN, FREEZE_BY_DAEMON, false,
			       true), 0);
	assert_int_equal(k->frozen[2], 0);
}

static void a_thaw_by_somebody_else_is_noticed(void **state)
{
	(void)state;
	freeze_all();
	k->frozen[3] = 0;
	sweep_by_daemon();
	assert_int_equal(file.z->fs[3].error, EINVAL);
	assert_int_equal(file.z->fs[0].error, 0);
}

static void memory_that_is_not_ours_is_refused(void **state)
{
	struct frozen *z = file.z;

	(void)state;
	assert_int_equal(frozen_check(z), 0);
	z->version++;
	assert_int_equal(frozen_check(z), -EBADMSG);
	z->version--;
	z->n = FREEZE_MAX_FS + 1;
	assert_int_equal(frozen_check(z), -EBADMSG);
	z->n = N;
	memset(z->fs[1].path, 'x', sizeof(z->fs[1].path));
	assert_int_equal(frozen_check(z), -EBADMSG);
	z->fs[1].path[5] = '\0';
	atomic_store(&z->fs[2].state, FREEZE_N_STATES);
	assert_int_equal(frozen_check(z), -EBADMSG);
	atomic_store(&z->fs[2].state, FREEZE_NONE);
	z->boot_id[0] ^= 1;
	assert_int_equal(frozen_check(z), -ESTALE);
}

static void the_file_tells_who_lives(void **state)
{
	char path[] = "/tmp/frozen.XXXXXX";
	struct frozen_file a, b;
	int fd = mkstemp(path), status;
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(frozen_open(&a, path), 0);
	pid = fork();
	if (!pid)		/* locks are a process's: another has to look */
		_exit(frozen_open(&b, path) == -EAGAIN ? 0 : 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(frozen_worker(&a), 0);
	frozen_close(&a);
	unlink(path);
}

/* Forked, and its guardian killed before it could say so. */
static void a_worker_that_was_just_forked_is_known_to_live(void **state)
{
	char path[] = "/tmp/frozen.XXXXXX";
	struct frozen_file a, b;
	int fd = mkstemp(path);
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(frozen_open(&a, path), 0);
	assert_true(frozen_take_over(&a));
	pid = fork();
	while (!pid)
		pause();
	frozen_close(&a);
	assert_int_equal(frozen_open(&b, path), 0);
	assert_int_equal(frozen_worker(&b), 0);
	assert_false(frozen_take_over(&b));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(frozen_take_over(&b));
	frozen_close(&b);
	unlink(path);
}

/* The guardian */

static int send_arm(int sock, uint32_t ms)
{
	struct guardian_msg m = { .op = GUARDIAN_ARM, .ms = ms, .n = N };
	int none[FREEZE_MAX_FS];

	for (unsigned i = 0; i < N; i++)
		none[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return guardian_send(sock, &m, none);
}

/* 0 when that is what comes next. */
static int expect(int sock, enum guardian_op op)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	struct guardian_msg m;

	if (poll(&p, 1, 10000) != 1 || guardian_recv(sock, &m, NULL) != 1)
		return 98;
	return m.op == op ? 0 : 97;
}

static void arm(int sock, uint32_t ms)
{
	if (send_arm(sock, ms) < 0 || expect(sock, GUARDIAN_ARMED))
		_exit(99);
	freeze_all();
}

/* The guardian's descriptors have other numbers, and each thaws one. */
static int thaw_any(void *arg, int fd)
{
	(void)fd;
	atomic_fetch_add(&k->thawing, 1);
	while (atomic_load(&k->hold_thaw))
		poll(NULL, 0, 1);
	for (int i = N; i-- > 0;) {
		int err = fake_thaw(arg, i);

		if (err != -EINVAL)
			return err;
	}
	return -EINVAL;
}

static const struct freeze_ops any_ops = {
	.freeze = fake_freeze, .thaw = thaw_any,
};

static int dies_once(void *arg, int sock, unsigned life)
{
	(void)arg;
	if (life)
		_exit(frozen_count(file.z) ? 1 : file.z->worker_signal);
	arm(sock, 60000);
	raise(SIGKILL);
	return 1;
}

static int overstays(void *arg, int sock, unsigned life)
{
	(void)arg;
	(void)life;
	arm(sock, 50);
	_exit(expect(sock, GUARDIAN_THAWED));
}

/* The next freeze begins while the guardian is still at the last one: its yes
 * comes when it can keep it. */
static int hurries(void *arg, int sock, unsigned life)
{
	int err, unread = 0;

	(void)arg;
	(void)life;
	atomic_store(&k->hold_thaw, 1);
	arm(sock, 50);
	while (!atomic_load(&k->thawing))
		poll(NULL, 0, 1);
	if (send_arm(sock, 50) < 0)
		_exit(99);
	while (ioctl(sock, SIOCOUTQ, &unread) == 0 && unread)
		poll(NULL, 0, 1);
	atomic_store(&k->hold_thaw, 0);
	err = expect(sock, GUARDIAN_THAWED);
	if (!err)
		err = expect(sock, GUARDIAN_ARMED);
	if (err)
		_exit(err);
	frozen_clear(file.z);
	file.z->n = N;
	freeze_all();
	_exit(expect(sock, GUARDIAN_THAWED));
}

/* What could not be thawed can be by now, and the log still blocks. */
static int is_stuck(void *arg, int sock, unsigned life)
{
	int err;

	(void)arg;
	(void)life;
	for (unsigned i = 0; i < N; i++)
		k->thaw_err[i] = EIO;
	atomic_store(&k->log_blocks, 1);
	arm(sock, 50);
	for (int i = 0; i < 10000 && !atomic_load(&k->said); i++)
		poll(NULL, 0, 1);
	for (unsigned i = 0; i < N; i++)
		k->thaw_err[i] = 0;
	err = expect(sock, GUARDIAN_THAWED);
	atomic_store(&k->log_blocks, 0);
	_exit(err);
}

static int dies_always(void *arg, int sock, unsigned life)
{
	(void)arg;
	(void)sock;
	(void)life;
	raise(SIGKILL);
	return 0;
}

static int waits(void *arg, int sock, unsigned life)
{
	(void)arg;
	(void)life;
	arm(sock, 60000);
	atomic_store(&k->inside, 100);
	for (;;)
		pause();
	return 1;
}

static pid_t start_guardian(int (*worker)(void *, int, unsigned))
{
	const struct guardian_cfg cfg = {
		.file = &file, .ops = &any_ops, .worker = worker,
		.say_stuck_ms = 1,
	};
	pid_t pid = fork();

	if (!pid)
		_exit(guardian_run(&cfg));
	return pid;
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void all_thawed_once(void)
{
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(k->frozen[i], 0);
		assert_int_equal(k->thaws[i], 1);
		assert_int_equal(frozen_thawer(&file.z->fs[i]),
				 FREEZE_BY_GUARDIAN);
	}
}

/* vmbus-and-ic 7.31 */
static void a_killed_worker_is_thawed_for_and_started_again(void **state)
{
	(void)state;
	assert_int_equal(status_of(start_guardian(dies_once)), SIGKILL);
	all_thawed_once();
}

static void the_deadline_thaws_and_the_worker_is_told(void **state)
{
	(void)state;
	assert_int_equal(status_of(start_guardian(overstays)), 0);
	all_thawed_once();
}

static void armed_while_thawing_the_guardian_says_yes_afterwards(void **state)
{
	(void)state;
	assert_int_equal(status_of(start_guardian(hurries)), 0);
	assert_int_equal(frozen_count(file.z), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(k->thaws[i], 2);
}

static void a_log_that_blocks_keeps_the_guardian_from_nothing(void **state)
{
	(void)state;
	log_capture(blocked, NULL);
	assert_int_equal(status_of(start_guardian(is_stuck)), 0);
	all_thawed_once();
}

static void a_worker_that_always_dies_is_given_up(void **state)
{
	(void)state;
	assert_int_equal(status_of(start_guardian(dies_always)), EXIT_FAILURE);
}

static void told_to_end_the_guardian_thaws_first(void **state)
{
	pid_t pid = start_guardian(waits);

	(void)state;
	while (atomic_load(&k->inside) != 100)
		poll(NULL, 0, 1);
	kill(pid, SIGTERM);
	assert_int_equal(status_of(pid), 0);
	all_thawed_once();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_frozen_last_is_thawed_first),
		TEST(what_somebody_else_froze_is_never_thawed),
		TEST(after_a_sweep_nothing_freezes),
		TEST(many_who_thaw_at_once_thaw_each_once),
		TEST(a_freeze_that_returns_too_late_is_thawed_by_its_thread),
		TEST(too_early_a_thaw_is_handed_back),
		TEST(a_late_freeze_that_fails_is_left_alone),
		TEST(a_freeze_behind_a_foreign_thaw_is_thawed),
		TEST(one_who_stands_still_is_not_waited_for),
		TEST(what_the_dead_had_begun_is_finished),
		TEST(what_the_living_have_begun_is_not_touched),
		TEST(a_thaw_that_fails_is_tried_again),
		TEST(a_thaw_by_somebody_else_is_noticed),
		TEST(memory_that_is_not_ours_is_refused),
		TEST(the_file_tells_who_lives),
		TEST(a_worker_that_was_just_forked_is_known_to_live),
		TEST(a_killed_worker_is_thawed_for_and_started_again),
		TEST(the_deadline_thaws_and_the_worker_is_told),
		TEST(armed_while_thawing_the_guardian_says_yes_afterwards),
		TEST(a_log_that_blocks_keeps_the_guardian_from_nothing),
		TEST(a_worker_that_always_dies_is_given_up),
		TEST(told_to_end_the_guardian_thaws_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
