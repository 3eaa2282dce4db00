/* test/system/test_links.c - the table of links follows what happens, in a
 * network namespace of its own. Its interfaces are veths and a bridge, changed
 * by ip(8). */
#include "lagg/links.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIP = 77, TOO_LONG_MS = 20000, MAX_SEEN = 64 };

struct rig {
	struct loop *l;
	struct links *t;
	struct loop_timer late;
	unsigned complete;
	/* What changed() was told since the last command. */
	struct seen {
		bool was, is;
		struct link link;	/* is, or was if it is gone */
	} seen[MAX_SEEN];
	size_t n_seen;
	char ours[LINK_NAME];
};

static void on_changed(void *arg, const struct link *was,
		       const struct link *is)
{
	struct rig *g = arg;

	if (g->n_seen < MAX_SEEN)
		g->seen[g->n_seen++] = (struct seen){
			was, is, is ? *is : *was,
		};
}

static void on_complete(void *arg)
{
	struct rig *g = arg;

	g->complete++;
}

static bool on_ours(void *arg, const struct link *l)
{
	const struct rig *g = arg;

	return !strcmp(l->name, g->ours);
}

static void on_late(void *arg)
{
	(void)arg;
	fail_msg("nothing was told for %d ms", TOO_LONG_MS);
}

static const struct links_ops ops = {
	.changed = on_changed, .complete = on_complete, .ours = on_ours,
};

/* The word list is one program and its arguments; no shell. */
static void run(const char *words)
{
	char copy[256], *argv[24], *at = copy;
	size_t n = 0;
	int status;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", words);
	while ((argv[n] = strsep(&at, " ")))
		n++;
	pid = fork();
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("%s: status %d", words, status);
}

static const struct link *by_name(const struct rig *g, const char *name)
{
	size_t n;
	const struct link *all = links_all(g->t, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	return NULL;
}

#define WAIT_FOR(g, what)						\
	do {								\
		loop_timer_set(&(g)->late, TOO_LONG_MS);		\
		while (!(what))						\
			assert_true(loop_once((g)->l, true) >= 0);	\
		loop_timer_cancel(&(g)->late);				\
	} while (0)

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	run("ip link add vf0 address 00:15:5d:01:02:0a mtu 1400 type veth peer "
	    "name far0");
	g->l = loop_new(LOOP_REAL);
	loop_timer_init(&g->late, g->l, on_late, g);
	g->t = links_new(g->l, &ops, g);
	assert_non_null(g->t);
	assert_false(links_complete(g->t));
	WAIT_FOR(g, g->complete);
	g->n_seen = 0;
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	if (by_name(g, "far0"))
		run("ip link del far0");
	links_free(g->t);
	loop_free(g->l);
	free(g);
	return 0;
}

/* The claims --------------------------------------------------------------- */

static void what_was_there_first_is_in_the_table(void **state)
{
	static const uint8_t mac[] = { 0x00, 0x15, 0x5d, 1, 2, 0x0a };
	struct rig *g = *state;
	const struct link *l = by_name(g, "vf0");

	assert_true(links_complete(g->t));
	assert_non_null(l);
	assert_ptr_equal(l, links_find(g->t, l->ifindex));
	assert_int_equal(l->kind, LINK_VETH);
	assert_true(l->ethernet);
	assert_memory_equal(l->mac, mac, LINK_MAC);
	assert_int_equal(l->mtu, 1400);
	assert_false(l->up || l->running || l->ours || l->has_serial);
	assert_int_equal(by_name(g, "lo")->kind, LINK_OTHER);
}

static void up_and_down_are_told_as_they_come(void **state)
{
	struct rig *g = *state;

	run("ip link set far0 up");
	run("ip link set vf0 up");
	WAIT_FOR(g, by_name(g, "vf0")->running);
	g->n_seen = 0;
	run("ip link set vf0 down");
	WAIT_FOR(g, g->n_seen);
	/* The first that is told is enough to know. */
	assert_string_equal(g->seen[0].link.name, "vf0");
	assert_false(g->seen[0].link.up);
	assert_false(g->seen[0].link.running);
}

static void a_lost_signal_is_told_while_it_is_up(void **state)
{
	struct rig *g = *state;

	run("ip link set far0 up");
	run("ip link set vf0 up");
	WAIT_FOR(g, by_name(g, "vf0")->running);
	run("ip link set far0 down");
	WAIT_FOR(g, !by_name(g, "vf0")->running);
	assert_true(by_name(g, "vf0")->up);
}

static void what_is_torn_out_is_gone(void **state)
{
	struct rig *g = *state;
	unsigned ifindex = by_name(g, "vf0")->ifindex;

	run("ip link del vf0");
	WAIT_FOR(g, !by_name(g, "vf0") && !by_name(g, "far0"));
	assert_null(links_find(g->t, ifindex));
	assert_false(g->seen[g->n_seen - 1].is);
	assert_true(g->seen[g->n_seen - 1].was);
}

static void a_rename_is_the_same_link(void **state)
{
	struct rig *g = *state;
	unsigned ifindex = by_name(g, "vf0")->ifindex;

	run("ip link set vf0 name enP1s0");
	WAIT_FOR(g, by_name(g, "enP1s0"));
	assert_int_equal(by_name(g, "enP1s0")->ifindex, ifindex);
	assert_null(by_name(g, "vf0"));
	assert_true(g->seen[0].was && g->seen[0].is);
}

static void address_and_mtu_are_followed(void **state)
{
	struct rig *g = *state;

	run("ip link set vf0 address 00:15:5d:01:02:0b");
	WAIT_FOR(g, by_name(g, "vf0")->mac[5] == 0x0b);
	run("ip link set vf0 mtu 9000");
	WAIT_FOR(g, by_name(g, "vf0")->mtu == 9000);
}

static void a_port_that_leaves_its_bridge_is_not_gone(void **state)
{
	struct rig *g = *state;

	run("ip link add br0 type bridge");
	run("ip link set vf0 master br0");
	WAIT_FOR(g, by_name(g, "vf0")->master);
	assert_int_equal(by_name(g, "vf0")->master,
			 by_name(g, "br0")->ifindex);
	assert_int_equal(by_name(g, "br0")->kind, LINK_STACKED);
	run("ip link set vf0 nomaster");
	WAIT_FOR(g, by_name(g, "vf0") && !by_name(g, "vf0")->master);
	run("ip link del br0");
	WAIT_FOR(g, !by_name(g, "br0"));
	for (size_t i = 0; i < g->n_seen; i++)
		assert_true(g->seen[i].is ||
			    !strcmp(g->seen[i].link.name, "br0"));
}

/* A process that is in a network namespace of its own until it is killed. */
static pid_t elsewhere(void)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static void one_that_moves_to_another_namespace_is_gone(void **state)
{
	struct rig *g = *state;
	pid_t pid = elsewhere();
	char words[64];

	snprintf(words, sizeof(words), "ip link set vf0 netns %d", (int)pid);
	run(words);
	WAIT_FOR(g, !by_name(g, "vf0"));
	assert_non_null(by_name(g, "far0"));
	kill(pid, SIGKILL);		/* and its interfaces with it */
	waitpid(pid, NULL, 0);
	WAIT_FOR(g, !by_name(g, "far0"));
}

static void ours_are_marked_and_asked_for_again(void **state)
{
	struct rig *g = *state;

	strcpy(g->ours, "far0");
	links_ask_ours(g->t);
	assert_true(by_name(g, "far0")->ours);
	assert_false(by_name(g, "vf0")->ours);
	assert_int_equal(g->n_seen, 1);
	run("ip link set far0 mtu 1300");
	WAIT_FOR(g, by_name(g, "far0")->mtu == 1300);
	assert_true(by_name(g, "far0")->ours);
}

/* More than its socket holds, and one that goes and one that comes unseen. */
static void what_was_missed_is_read_anew(void **state)
{
	struct rig *g = *state;
	struct links_stats s;
	FILE *f = popen("ip -batch -", "w");

	assert_non_null(f);
	fputs("link add late0 type veth peer name late1\n", f);
	for (int i = 0; i < 3000; i++)
		fprintf(f, "link set far0 mtu %d\n", 1000 + i % 2);
	fputs("link del vf0\nlink add vf1 mtu 1234 type veth peer name far1\n",
	      f);
	assert_int_equal(pclose(f), 0);
	WAIT_FOR(g, g->complete == 2);
	links_stats_get(g->t, &s);
	assert_int_not_equal(s.overruns, 0);
	assert_true(links_complete(g->t));
	assert_null(by_name(g, "vf0"));
	assert_null(by_name(g, "far0"));
	assert_non_null(by_name(g, "late0"));
	assert_int_equal(by_name(g, "vf1")->mtu, 1234);
	assert_int_equal(s.bad, 0);
	run("ip link del vf1");
	run("ip link del late0");
	WAIT_FOR(g, !by_name(g, "far1") && !by_name(g, "late1"));
}

int main(void)
{
#define IN_A_RIG(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		IN_A_RIG(what_was_there_first_is_in_the_table),
		IN_A_RIG(up_and_down_are_told_as_they_come),
		IN_A_RIG(a_lost_signal_is_told_while_it_is_up),
		IN_A_RIG(what_is_torn_out_is_gone),
		IN_A_RIG(a_rename_is_the_same_link),
		IN_A_RIG(address_and_mtu_are_followed),
		IN_A_RIG(a_port_that_leaves_its_bridge_is_not_gone),
		IN_A_RIG(one_that_moves_to_another_namespace_is_gone),
		IN_A_RIG(ours_are_marked_and_asked_for_again),
		IN_A_RIG(what_was_missed_is_read_anew),
	};

	if (unshare(CLONE_NEWNET) < 0) {
		printf("no network namespace of one's own: %s\n",
		       strerror(errno));
		return SKIP;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
