/* test/unit/test_hookrun.c - hooks through a backup: real scripts that write
 * down how they were called. */
#include "app/hookrun.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "vss/vss_devmsg.h"

struct rig {
	char dir[40], state[64], qemu[64], vmware[64], text[4096];
	struct loop *loop;
	struct hookrun *run;
	struct hookrun_cfg cfg;
	unsigned answers, notes;
	struct hv_vss_record answered;
	int status;
	char why[128], note[256];
	char log[8192];
	bool logged_while_held;
};

/* Scripts: they append "NAME PHASE" to calls and do what is said. */
static void script(const struct rig *g, const char *name, const char *body)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\necho \"${0##*/} $*\" >>%s/calls\n%s\n", g->dir,
		body);
	fclose(f);
	assert_int_equal(chmod(path, 0755), 0);
}

static const char *calls(struct rig *g)
{
	char path[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/calls", g->dir);
	f = fopen(path, "r");
	if (f) {
		n = fread(g->text, 1, sizeof(g->text) - 1, f);
		fclose(f);
		unlink(path);
	}
	g->text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		if (g->text[i] == '\n')
			g->text[i] = ',';
	return g->text;
}

static void on_answer(void *arg, const struct hv_vss_record *q, int status,
		      const char *why)
{
	struct rig *g = arg;

	g->answers++;
	g->answered = *q;
	g->status = status;
	snprintf(g->why, sizeof(g->why), "%s", why ? why : "");
}

static void on_note(void *arg, const struct hv_vss_record *q,
		    const char *part, int status, uint32_t took_ms)
{
	struct rig *g = arg;
	size_t n = strlen(g->note);

	(void)took_ms;
	g->notes++;
	snprintf(g->note + n, sizeof(g->note) - n, "%s %s %d,", part,
		 hv_vss_opt_name(q->opt), status);
}

static void on_log(void *arg, enum log_level level, const char *line)
{
	struct rig *g = arg;
	size_t n = strlen(g->log);

	(void)level;
	if (g->run && !hookrun_idle(g->run))
		g->logged_while_held = true;
	snprintf(g->log + n, sizeof(g->log) - n, "%s\n", line);
}

static const struct hookrun_ops ops = { on_answer, on_note };

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	strcpy(g->dir, "/tmp/test_hookrun.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->state, sizeof(g->state), "%s/.frozen", g->dir);
	snprintf(g->qemu, sizeof(g->qemu), "%s/qemu-ga.d", g->dir);
	snprintf(g->vmware, sizeof(g->vmware), "%s/open-vm-tools.d", g->dir);
	assert_int_equal(mkdir(g->qemu, 0755), 0);
	assert_int_equal(mkdir(g->vmware, 0755), 0);
	g->cfg = (struct hookrun_cfg){
		.dir = { g->dir, g->qemu, g->vmware },
		.state_path = g->state,
		.timeout_ms = 20000,
		.grace_ms = 20000,
		.owner = geteuid(),
	};
	g->loop = loop_new(LOOP_REAL);
	g->run = hookrun_new(g->loop, &g->cfg, &ops, g);
	assert_non_null(g->run);
	log_capture(on_log, g);
	*state = g;
	return 0;
}

/* As if it had ended; what it still has to say it says then. */
static void drop(struct rig *g)
{
	struct hookrun *run = g->run;

	g->run = NULL;
	hookrun_free(run);
}

static int teardown(void **state)
{
	struct rig *g = *state;
	char cmd[80];

	drop(g);
	loop_free(g->loop);
	log_capture(NULL, NULL);
	assert_false(g->logged_while_held);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", g->dir);
	assert_int_equal(system(cmd), 0);
	free(g);
	return 0;
}

/* With other settings. */
static void again(struct rig *g)
{
	drop(g);
	g->run = hookrun_new(g->loop, &g->cfg, &ops, g);
	assert_non_null(g->run);
}

static void ask(struct rig *g, unsigned opt)
{
	struct hv_vss_record q = { .opt = opt, .msgid = 7 };

	hookrun_ask(g->run, &q);
}

static void until_answered(struct rig *g, unsigned n)
{
	while (g->answers < n)
		assert_true(loop_once(g->loop, true) >= 0);
}

static void until_idle(struct rig *g)
{
	while (!hookrun_idle(g->run))
		assert_true(loop_once(g->loop, true) >= 0);
}

/* Ask, and wait for the answer's status. */
static int tell(struct rig *g, unsigned opt)
{
	unsigned n = g->answers + 1;

	ask(g, opt);
	until_answered(g, n);
	assert_int_equal(g->answered.opt, opt);
	return g->status;
}

static bool written_down(const struct rig *g)
{
	return access(g->state, F_OK) == 0;
}

static void without_hooks_all_is_well(void **state)
{
	struct rig *g = *state;

	assert_int_equal(tell(g, HV_VSS_CHECK), HV_VSS_OK);
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
}

static void hooks_run_in_order_and_back_in_reverse(void **state)
{
	struct rig *g = *state;

	script(g, "20-b", "");
	script(g, "10-a", "echo said by a");
	script(g, "qemu-ga.d/q", "");
	script(g, "open-vm-tools.d/v", "");
	assert_int_equal(tell(g, HV_VSS_CHECK), HV_VSS_OK);
	assert_string_equal(calls(g), "10-a check,20-b check,");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	assert_string_equal(calls(g),
		"10-a freeze,20-b freeze,q freeze,v freeze,");
	assert_true(written_down(g));
	assert_int_equal(hookrun_held(g->run), 4);
	g->note[0] = '\0';
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
	assert_string_equal(calls(g), "v thaw,q thaw,20-b thaw,10-a thaw,");
	assert_string_equal(g->note,
		"v thaw 0,q thaw 0,20-b thaw 0,10-a thaw 0,");
	assert_false(written_down(g));
	assert_non_null(strstr(g->log, "hook 10-a: \"said by a\""));
}

static void an_abort_is_told_as_each_kind_knows_it(void **state)
{
	struct rig *g = *state;

	script(g, "n", "");
	script(g, "qemu-ga.d/q", "");
	script(g, "open-vm-tools.d/v", "");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	calls(g);
	assert_int_equal(tell(g, HV_VSS_ABORT), HV_VSS_OK);
	assert_string_equal(calls(g), "v freezeFail,q thaw,n fail,");
}

static void a_failed_freeze_is_rolled_back_with_the_hooks_name(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "");
	script(g, "20-b", "[ $1 != freeze ]");
	script(g, "30-c", "");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_FAIL);
	assert_string_equal(g->why, "hook 20-b: exit status 1");
	assert_int_equal(tell(g, HV_VSS_ABORT), HV_VSS_OK);
	/* b was begun, so b is told; c was not */
	assert_string_equal(calls(g),
		"10-a freeze,20-b freeze,20-b fail,10-a fail,");
	assert_string_equal(g->note, "10-a freeze 0,20-b freeze 1,"
			    "20-b abort 0,10-a abort 0,");
	assert_true(hookrun_idle(g->run));
	assert_false(written_down(g));
}

static void a_failed_check_refuses_and_freezes_nothing(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "exit 3");
	script(g, "20-b", "");
	assert_int_equal(tell(g, HV_VSS_CHECK), HV_VSS_FAIL);
	assert_string_equal(g->why, "hook 10-a: exit status 3");
	assert_string_equal(calls(g), "10-a check,");
	assert_true(hookrun_idle(g->run));
}

static void a_hook_out_of_time_is_killed_with_all_its_processes(void **state)
{
	struct rig *g = *state;

	g->cfg.timeout_ms = 300;
	g->cfg.grace_ms = 100;
	again(g);
	/* neither it nor its child heeds SIGTERM */
	script(g, "10-slow", "[ $1 = freeze ] || exit 0\n"
	       "trap '' TERM\n(trap '' TERM; exec tail -f /dev/null) &\n"
	       "echo $! >${0%/*}/.child\nwait; wait");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_FAIL);
	assert_string_equal(g->why, "hook 10-slow: out of time");
	until_idle(g);
	assert_string_equal(calls(g), "10-slow freeze,10-slow fail,");
	/* the child is gone, or a zombie that init has not seen yet */
	assert_int_equal(chdir(g->dir), 0);
	assert_int_equal(system("! grep -qs '^State:.[RSDT]' "
				"/proc/$(cat .child)/status"), 0);
	assert_int_equal(chdir("/"), 0);
}

static void the_drivers_time_is_the_hooks_time(void **state)
{
	struct hv_vss_record q = { .opt = HV_VSS_FREEZE, .msgid = 7 };
	struct rig *g = *state;

	script(g, "10-slow", "[ $1 = freeze ] || exit 0\n"
	       "exec tail -f /dev/null");
	vss_record_set_budget(&q, 400, 1000);
	hookrun_ask(g->run, &q);
	until_answered(g, 1);
	assert_string_equal(g->why, "hook 10-slow: out of time");
}

static void an_abort_stops_the_hook_that_runs(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "");
	script(g, "20-slow", "[ $1 = freeze ] || exit 0\n"
	       "exec tail -f /dev/null");
	script(g, "30-c", "");
	ask(g, HV_VSS_FREEZE);
	while (!strstr(g->note, "10-a freeze 0"))
		assert_true(loop_once(g->loop, true) >= 0);
	assert_int_equal(tell(g, HV_VSS_ABORT), HV_VSS_OK);
	assert_non_null(strstr(calls(g), "20-slow fail,10-a fail,"));
	assert_int_equal(g->answers, 1);
	assert_true(hookrun_idle(g->run));
}

static void a_failing_thaw_keeps_none_from_thawing(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "");
	script(g, "20-b", "[ $1 != thaw ]");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	calls(g);
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
	assert_string_equal(calls(g), "20-b thaw,10-a thaw,");
	assert_non_null(strstr(g->note, "20-b thaw 1,10-a thaw 0,"));
}

static void a_name_cannot_forge_lines_of_the_log(void **state)
{
	struct rig *g = *state;
	char path[64];

	script(g, "10-\nhv_x: \033[2J", "");
	snprintf(path, sizeof(path), "%s/10-\nhv_x: \033[2J", g->dir);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(tell(g, HV_VSS_CHECK), HV_VSS_FAIL);
	assert_non_null(strstr(g->log, "/10-?hv_x: ?[2J is writable"));
	assert_int_equal(unlink(path), 0);
}

static void an_unsafe_hook_refuses_the_backup_unless_it_is_skipped(void **state)
{
	struct rig *g = *state;
	char path[64];

	script(g, "10-open", "");
	script(g, "20-b", "");
	snprintf(path, sizeof(path), "%s/10-open", g->dir);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(tell(g, HV_VSS_CHECK), HV_VSS_FAIL);
	assert_string_equal(g->why, "hook 10-open is not safe to run");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_FAIL);
	assert_string_equal(calls(g), "");
	assert_non_null(strstr(g->log, "10-open is writable for others"));

	g->cfg.unsafe_skipped = true;
	again(g);
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
	assert_string_equal(calls(g), "20-b freeze,20-b thaw,");
}

static void what_cannot_be_run_is_a_failure_with_its_name(void **state)
{
	struct rig *g = *state;
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "printf '#!/none\\n' >%s/10-x && "
		 "chmod 755 %s/10-x", g->dir, g->dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_FAIL);
	assert_string_equal(g->why, "hook 10-x: exit status 126");
	until_idle(g);
	assert_non_null(strstr(g->log, "No such file"));
}

static void hooks_have_a_clean_environment_and_no_input(void **state)
{
	struct rig *g = *state;

	setenv("SECRET", "x", 1);
	script(g, "10-a", "[ -z \"$SECRET\" ] && [ \"$PWD\" = / ] && "
	       "! read line && [ ! -e /proc/self/fd/3 ]");
	assert_int_equal(tell(g, HV_VSS_CHECK), HV_VSS_OK);
	unsetenv("SECRET");
}

static void much_output_is_cut_and_blocks_nobody(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "head -c 1000000 /dev/zero | tr '\\0' x; "
	       "printf '\\nfoo\\033[1m'");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
	assert_non_null(strstr(g->log, "... and more"));
	assert_null(strchr(g->log, '\033'));
}

/* As after kill -9: another runner finds the file. */
static void what_a_killed_runner_left_is_ended_by_the_next(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "");
	script(g, "open-vm-tools.d/v", "");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	calls(g);
	again(g);
	assert_int_equal(hookrun_recover(g->run), 2);
	until_idle(g);
	assert_string_equal(calls(g), "v freezeFail,10-a fail,");
	assert_false(written_down(g));
	assert_int_equal(hookrun_recover(g->run), 0);
}

static void a_list_that_others_could_write_is_not_believed(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	calls(g);
	assert_int_equal(chmod(g->state, 0666), 0);
	again(g);
	assert_int_equal(hookrun_recover(g->run), -EPERM);
	assert_string_equal(calls(g), "");
}

static void a_freeze_while_held_is_refused_and_changes_nothing(void **state)
{
	struct rig *g = *state;

	script(g, "10-a", "");
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_OK);
	assert_int_equal(tell(g, HV_VSS_FREEZE), HV_VSS_FAIL);
	assert_string_equal(g->why, "hooks are still busy");
	assert_int_equal(hookrun_held(g->run), 1);
	assert_int_equal(tell(g, HV_VSS_THAW), HV_VSS_OK);
	assert_string_equal(calls(g), "10-a freeze,10-a thaw,");
}

static volatile sig_atomic_t *terminated;	/* seen by children, too */

static void on_sigterm(int sig)
{
	(void)sig;
	*terminated = 1;
}

/* A child that still has our handlers would tell our loop to end. */
static void stopping_a_hook_does_not_look_like_our_own_end(void **state)
{
	struct sigaction sa = { .sa_handler = on_sigterm }, before;
	struct rig *g = *state;

	terminated = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(terminated != MAP_FAILED);
	sigaction(SIGTERM, &sa, &before);
	script(g, "10-a", "");
	for (unsigned i = 0; i < 100; i++) {
		ask(g, HV_VSS_FREEZE);
		/* at another moment of the child's beginning each time */
		for (volatile unsigned n = 0; n < i * 2000; n++)
			;
		assert_int_equal(tell(g, HV_VSS_ABORT), HV_VSS_OK);
	}
	sigaction(SIGTERM, &before, NULL);
	assert_int_equal(*terminated, 0);
	munmap((void *)terminated, 4096);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(without_hooks_all_is_well),
		TEST(hooks_run_in_order_and_back_in_reverse),
		TEST(an_abort_is_told_as_each_kind_knows_it),
		TEST(a_failed_freeze_is_rolled_back_with_the_hooks_name),
		TEST(a_failed_check_refuses_and_freezes_nothing),
		TEST(a_hook_out_of_time_is_killed_with_all_its_processes),
		TEST(the_drivers_time_is_the_hooks_time),
		TEST(an_abort_stops_the_hook_that_runs),
		TEST(a_failing_thaw_keeps_none_from_thawing),
		TEST(a_name_cannot_forge_lines_of_the_log),
		TEST(an_unsafe_hook_refuses_the_backup_unless_it_is_skipped),
		TEST(what_cannot_be_run_is_a_failure_with_its_name),
		TEST(hooks_have_a_clean_environment_and_no_input),
		TEST(much_output_is_cut_and_blocks_nobody),
		TEST(what_a_killed_runner_left_is_ended_by_the_next),
		TEST(a_list_that_others_could_write_is_not_believed),
		TEST(stopping_a_hook_does_not_look_like_our_own_end),
		TEST(a_freeze_while_held_is_refused_and_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
