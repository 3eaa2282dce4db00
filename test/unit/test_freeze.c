/* test/unit/test_freeze.c - a freeze from its start to its end, on directories
 * of the test's own and with a kernel that the test plays: quick, failing,
 * taken by somebody else, hanging. Nothing real is frozen. */
#include "vss/freeze.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 4, CALLS = 256 };

/* One file system of the played kernel, known by its directory's inode. */
struct fake {
	ino_t ino;
	int sync_err, freeze_err, thaw_err;
	atomic_int hang_sync, hang_freeze;
	atomic_int frozen, thaws;
};

struct rig {
	char dir[32];
	struct mount mounts[N];
	struct plan_fs fs[N];
	struct plan plan;
	struct frozen z;
	struct loop *loop;
	struct freeze *f;
	struct fake k[N];
	char order[CALLS];		/* 's', 'f', 't' */
	atomic_int calls;
	int events[4];
	unsigned n_events;
	char why[160];
};

static struct rig g;

static struct fake *fake_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		for (unsigned i = 0; i < N; i++)
			if (g.k[i].ino == st.st_ino)
				return &g.k[i];
	abort();
}

static void note(char what)
{
	int at = atomic_fetch_add(&g.calls, 1);

	if (at < CALLS)
		g.order[at] = what;
}

static void hang(atomic_int *while_set)
{
	while (atomic_load(while_set))
		poll(NULL, 0, 1);
}

static int fake_sync(void *arg, int fd)
{
	struct fake *k = fake_of(fd);

	(void)arg;
	note('s');
	hang(&k->hang_sync);
	return -k->sync_err;
}

static int fake_freeze(void *arg, int fd)
{
	struct fake *k = fake_of(fd);

	(void)arg;
	note('f');
	hang(&k->hang_freeze);
	if (k->freeze_err)
		return -k->freeze_err;
	return atomic_exchange(&k->frozen, 1) ? -EBUSY : 0;
}

static int fake_thaw(void *arg, int fd)
{
	struct fake *k = fake_of(fd);

	(void)arg;
	note('t');
	if (k->thaw_err)
		return -k->thaw_err;
	if (!atomic_exchange(&k->frozen, 0))
		return -EINVAL;
	atomic_fetch_add(&k->thaws, 1);
	return 0;
}

static const struct freeze_ops ops = {
	.sync = fake_sync, .freeze = fake_freeze, .thaw = fake_thaw,
};

static void on_event(void *arg, enum freeze_event ev, const char *why)
{
	(void)arg;
	assert_true(g.n_events < 4);
	g.events[g.n_events++] = (int)ev;
	snprintf(g.why, sizeof(g.why), "%s", why);
}

/* Two levels: 0, 1 and 2 lie on 3; 2 is only flushed. */
static void make_plan(unsigned i)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%u", g.dir, i);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(stat(path, &st), 0);
	g.k[i].ino = st.st_ino;
	g.mounts[i].dev = st.st_dev;
	g.mounts[i].path = strdup(path);
	g.mounts[i].source = g.mounts[i].type = (char *)"fake";
	g.fs[i].mount = &g.mounts[i];
	g.fs[i].action = i == 2 ? PLAN_SYNC : PLAN_FREEZE;
	g.fs[i].level = i != 3;
}

static int setup(void **state)
{
	struct freeze_cfg cfg = {
		.z = &g.z, .ops = &ops, .guardian = -1, .event = on_event,
	};

	(void)state;
	memset(&g, 0, sizeof(g));
	strcpy(g.dir, "/tmp/freeze.XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	for (unsigned i = 0; i < N; i++)
		make_plan(i);
	g.plan = (struct plan){ .fs = g.fs, .n = N, .n_freeze = 3,
				.n_sync = 1, .levels = 2 };
	g.loop = loop_new(LOOP_VIRTUAL);
	cfg.loop = g.loop;
	g.f = freeze_new(&cfg);
	return !g.f;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < N; i++) {
		atomic_store(&g.k[i].hang_sync, 0);
		atomic_store(&g.k[i].hang_freeze, 0);
	}
	while (freeze_hanging(g.f))
		loop_once(g.loop, true);
	freeze_free(g.f);
	loop_free(g.loop);
	for (unsigned i = 0; i < N; i++) {
		rmdir(g.mounts[i].path);
		free(g.mounts[i].path);
	}
	rmdir(g.dir);
	return 0;
}

static void begin(void)
{
	assert_int_equal(freeze_start(g.f, &g.plan, 7, 1000, 2000), 0);
}

static void until_events(unsigned n)
{
	while (g.n_events < n)
		assert_true(loop_once(g.loop, true) >= 0);
}

static void until_phase(enum freeze_phase p)
{
	while (freeze_phase_get(g.f) != p)
		assert_true(loop_once(g.loop, true) >= 0);
}

static void until_state(unsigned i, enum freeze_state s)
{
	while (frozen_state(&g.z.fs[i]) != s)
		loop_once(g.loop, false);
}

static unsigned frozen_now(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N; i++)
		n += (unsigned)atomic_load(&g.k[i].frozen);
	return n;
}

static void flushes_all_freezes_by_level_and_thaws(void **state)
{
	(void)state;
	begin();
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_HELD);
	assert_int_equal(frozen_now(), 3);
	assert_null(strchr(strchr(g.order, 'f'), 's'));	/* no flush after */
	assert_true(g.z.fs[3].freeze_at_us > g.z.fs[0].freeze_at_us);
	assert_true(g.z.fs[3].freeze_at_us > g.z.fs[1].freeze_at_us);
	assert_int_equal(g.z.fs[2].freeze_at_us, 0);
	assert_int_equal(freeze_thaw(g.f), 0);
	until_events(2);
	assert_int_equal(g.events[1], FREEZE_EV_THAWED);
	assert_string_equal(g.why, "");
	assert_int_equal(frozen_now(), 0);
	assert_int_equal(freeze_thaw(g.f), -EALREADY);
}

/* vmbus-and-ic 7.26 */
static void what_another_lies_on_waits_until_that_is_frozen(void **state)
{
	(void)state;
	g.mounts[1].backing[0] = g.mounts[3].dev;
	g.mounts[1].n_backing = 1;
	g.k[1].hang_freeze = 1;
	begin();
	until_state(0, FREEZE_FROZEN);
	until_state(1, FREEZE_ASKING);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(frozen_state(&g.z.fs[3]), FREEZE_NONE);
		poll(NULL, 0, 1);
		loop_once(g.loop, false);
	}
	g.k[1].hang_freeze = 0;
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_HELD);
	assert_true(g.z.fs[3].freeze_at_us >= g.z.fs[1].freeze_done_us);
}

/* vmbus-and-ic 7.28; freebsd-behaviour 6.34 */
static void a_failure_rolls_back_what_was_frozen(void **state)
{
	(void)state;
	g.k[3].freeze_err = EIO;	/* the last of all */
	begin();
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "/3: cannot be frozen: Input/output"));
	assert_int_equal(frozen_now(), 0);
	assert_int_equal(g.k[0].thaws + g.k[1].thaws, 2);
	g.k[3].freeze_err = 0;
	begin();			/* and the next one works */
	until_events(2);
	assert_int_equal(g.events[1], FREEZE_EV_HELD);
}

static void what_somebody_else_froze_is_named_and_left(void **state)
{
	(void)state;
	g.k[1].frozen = 1;
	begin();
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "/1: frozen by somebody else"));
	assert_int_equal(g.k[1].frozen, 1);
	assert_int_equal(frozen_now(), 1);
}

static void a_flush_that_fails_freezes_nothing(void **state)
{
	(void)state;
	g.k[2].sync_err = EIO;
	begin();
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "/2: cannot be flushed"));
	assert_null(strchr(g.order, 'f'));
}

static void a_flush_that_hangs_is_given_up(void **state)
{
	(void)state;
	g.k[1].hang_sync = 1;
	begin();
	until_phase(FREEZE_PH_FLUSH);
	/* The others flush on meanwhile, and are not to blame. */
	for (unsigned i = 0; i < N; i++)
		while (!g.z.fs[i].flush_done_us && i != 1)
			loop_once(g.loop, false);
	while (atomic_load(&g.calls) < 2 * N)
		loop_once(g.loop, false);
	loop_advance(g.loop, 900);
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "/1: flushing takes too long"));
	assert_null(strchr(g.order, 'f'));
	assert_non_null(freeze_hanging(g.f));
	assert_int_equal(freeze_start(g.f, &g.plan, 8, 1000, 2000), -EBUSY);
	g.k[1].hang_sync = 0;
	while (freeze_hanging(g.f))
		loop_once(g.loop, true);
	begin();
	until_events(2);
	assert_int_equal(g.events[1], FREEZE_EV_HELD);
}

static void a_freeze_that_hangs_keeps_none_of_the_others(void **state)
{
	(void)state;
	g.k[1].hang_freeze = 1;
	begin();
	until_phase(FREEZE_PH_FREEZE);
	until_state(0, FREEZE_FROZEN);
	until_state(1, FREEZE_ASKING);
	loop_advance(g.loop, 1000);
	/* The thaw waits for the one that hangs, but thaws the others. */
	while (frozen_now())
		loop_once(g.loop, false);
	assert_int_equal(freeze_phase_get(g.f), FREEZE_PH_THAW);
	loop_advance(g.loop, 5000);
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "/1: freezing takes too long"));
	assert_non_null(freeze_hanging(g.f));
	g.k[1].hang_freeze = 0;		/* it freezes now, and thaws at once */
	while (freeze_hanging(g.f))
		loop_once(g.loop, true);
	assert_int_equal(g.k[1].thaws, 1);
	assert_int_equal(frozen_now(), 0);
}

/* The daemon was stopped meanwhile: a refusal without a reason is a yes. */
static void what_is_frozen_too_late_is_refused_with_a_reason(void **state)
{
	(void)state;
	begin();
	until_phase(FREEZE_PH_FREEZE);
	while (frozen_now() < 3)
		poll(NULL, 0, 1);
	poll(NULL, 0, 10);		/* most times the threads are idle then */
	assert_int_equal(freeze_phase_get(g.f), FREEZE_PH_FREEZE);
	loop_advance(g.loop, 1000);
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "freezing takes too long"));
	assert_int_equal(frozen_now(), 0);
}

static void it_can_be_given_up_while_it_freezes(void **state)
{
	(void)state;
	g.k[0].hang_freeze = 1;
	begin();
	until_phase(FREEZE_PH_FREEZE);
	until_state(0, FREEZE_ASKING);
	assert_int_equal(freeze_thaw(g.f), 0);
	g.k[0].hang_freeze = 0;
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_int_equal(frozen_now(), 0);
}

/* vmbus-and-ic 7.31; freebsd-behaviour 6.36 */
static void a_window_that_nobody_closes_is_closed(void **state)
{
	(void)state;
	begin();
	until_events(1);
	loop_advance(g.loop, 1500);
	assert_int_equal(frozen_now(), 3);
	loop_advance(g.loop, 500);
	until_events(2);
	assert_int_equal(g.events[1], FREEZE_EV_LOST);
	assert_string_equal(g.why, "frozen for longer than 2000 ms");
	assert_int_equal(frozen_now(), 0);
}

static void a_thaw_that_fails_is_told(void **state)
{
	(void)state;
	begin();
	until_events(1);
	g.k[0].thaw_err = EIO;
	freeze_thaw(g.f);
	until_state(0, FREEZE_STUCK);
	until_state(1, FREEZE_THAWED);
	until_state(3, FREEZE_THAWED);
	loop_advance(g.loop, 5000);
	until_events(2);
	assert_int_equal(g.events[1], FREEZE_EV_THAWED);
	assert_non_null(strstr(g.why, "/0: cannot be thawed"));
	assert_int_equal(frozen_count(&g.z), 1);
	g.k[0].thaw_err = 0;
}

static void what_is_mounted_there_by_now_is_not_touched(void **state)
{
	(void)state;
	g.mounts[0].dev++;
	begin();
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_REFUSED);
	assert_non_null(strstr(g.why, "something else is mounted there now"));
	assert_int_equal(g.calls, 0);
}

static void one_at_a_time_and_not_too_many(void **state)
{
	struct plan many = g.plan;

	(void)state;
	many.n_freeze = FREEZE_MAX_FS + 1;
	assert_int_equal(freeze_start(g.f, &many, 1, 1000, 1000), -E2BIG);
	begin();
	assert_int_equal(freeze_start(g.f, &g.plan, 8, 1000, 1000), -EBUSY);
	until_events(1);
}

/* A thread that is late may look at its path when the daemon has another plan,
 * or ends. */
static void the_plan_may_be_gone_when_it_has_begun(void **state)
{
	struct plan_fs *fs = malloc(sizeof(g.fs));
	struct mount *mounts = malloc(sizeof(g.mounts));
	struct plan plan = g.plan;

	(void)state;
	assert_true(fs && mounts);
	memcpy(fs, g.fs, sizeof(g.fs));
	memcpy(mounts, g.mounts, sizeof(g.mounts));
	for (unsigned i = 0; i < N; i++) {
		fs[i].mount = &mounts[i];
		mounts[i].path = strdup(g.mounts[i].path);
	}
	plan.fs = fs;
	assert_int_equal(freeze_start(g.f, &plan, 7, 1000, 2000), 0);
	for (unsigned i = 0; i < N; i++) {
		memset(mounts[i].path, 'x', strlen(mounts[i].path));
		free(mounts[i].path);
	}
	free(mounts);
	free(fs);
	until_events(1);
	assert_int_equal(g.events[0], FREEZE_EV_HELD);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flushes_all_freezes_by_level_and_thaws),
		TEST(what_another_lies_on_waits_until_that_is_frozen),
		TEST(a_failure_rolls_back_what_was_frozen),
		TEST(what_somebody_else_froze_is_named_and_left),
		TEST(a_flush_that_fails_freezes_nothing),
		TEST(a_flush_that_hangs_is_given_up),
		TEST(a_freeze_that_hangs_keeps_none_of_the_others),
		TEST(what_is_frozen_too_late_is_refused_with_a_reason),
		TEST(it_can_be_given_up_while_it_freezes),
		TEST(a_window_that_nobody_closes_is_closed),
		TEST(a_thaw_that_fails_is_told),
		TEST(what_is_mounted_there_by_now_is_not_touched),
		TEST(one_at_a_time_and_not_too_many),
		TEST(the_plan_may_be_gone_when_it_has_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
