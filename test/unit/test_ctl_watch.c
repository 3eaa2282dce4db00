/* test/unit/test_ctl_watch.c - following a control socket that comes, talks,
 * lies and goes. */
#include "base/ctl_watch.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unix_socket.h"

#include <cmocka.h>

enum { LINES = 64 };

struct rig {
	char dir[32], path[64];
	struct loop *l;
	struct unix_listener listener;
	int peer;
	struct ctl_watch *w;
	unsigned n;
	json_int_t got[LINES];
	int state;
	unsigned changes;
	bool free_it, pause_it;
};

static void on_line(void *arg, json_t *line)
{
	struct rig *g = arg;

	assert_true(g->n < LINES);
	g->got[g->n++] = json_integer_value(json_object_get(line, "n"));
	if (g->pause_it)
		ctl_watch_pause(g->w, true);
	if (g->free_it) {
		ctl_watch_free(g->w);
		g->w = NULL;
	}
}

static void on_state(void *arg, int err)
{
	struct rig *g = arg;

	g->state = err;
	g->changes++;
}

static const char *const commands[] = { "list", "watch", NULL };

static void watch(struct rig *g, size_t line_max)
{
	const struct ctl_watch_cfg cfg = {
		.path = g->path, .commands = commands, .line = on_line,
		.state = on_state, .arg = g, .line_max = line_max,
	};

	g->w = ctl_watch_new(g->l, &cfg);
	assert_non_null(g->w);
	loop_advance(g->l, 0);
}

static void serve(struct rig *g)
{
	assert_int_equal(unix_listen(&g->listener, g->path, SOCK_STREAM, 0600),
			 0);
}

static void stop_serving(struct rig *g)
{
	unix_unlisten(&g->listener);
	g->listener.fd = -1;
}

/* The request lines that the connection began with. */
static void take(struct rig *g)
{
	static const char want[] = "{\"cmd\":\"list\"}\n{\"cmd\":\"watch\"}\n";
	char buf[200] = "";

	g->peer = unix_accept(&g->listener);
	assert_true(g->peer >= 0);
	assert_int_equal(read(g->peer, buf, sizeof(buf) - 1), strlen(want));
	assert_string_equal(buf, want);
}

static void say_bytes(struct rig *g, const char *bytes, size_t len)
{
	assert_int_equal(write(g->peer, bytes, len), (ssize_t)len);
	loop_once(g->l, true);
}

static void say(struct rig *g, const char *text)
{
	say_bytes(g, text, strlen(text));
}

static int setup(void **state)
{
	static struct rig g;

	g = (struct rig){ .peer = -1, .state = 99, .listener.fd = -1 };
	strcpy(g.dir, "/tmp/test_ctlw.XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	snprintf(g.path, sizeof(g.path), "%s/ctl", g.dir);
	g.l = loop_new(LOOP_VIRTUAL);
	assert_non_null(g.l);
	*state = &g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	ctl_watch_free(g->w);
	if (g->peer >= 0)
		close(g->peer);
	if (g->listener.fd >= 0)
		stop_serving(g);
	loop_free(g->l);
	return rmdir(g->dir);
}

static void asks_at_once_and_hands_out_line_by_line(void **state)
{
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	take(g);
	assert_int_equal(g->state, 0);
	assert_true(ctl_watch_connected(g->w));
	say(g, "{\"n\":1}\n{\"n\":2}\n{\"n\"");
	assert_int_equal(g->n, 2);
	say(g, ":3}\n");
	assert_int_equal(g->n, 3);
	assert_int_equal(g->got[2], 3);
}

static void a_line_may_come_byte_by_byte(void **state)
{
	static const char text[] = "{\"n\":7}\n{\"n\":8}\n";
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	take(g);
	for (size_t i = 0; i < strlen(text); i++)
		say_bytes(g, text + i, 1);
	assert_int_equal(g->n, 2);
	assert_int_equal(g->got[1], 8);
}

static void waits_for_a_program_that_is_not_there_yet(void **state)
{
	struct rig *g = *state;

	watch(g, 0);
	assert_int_equal(g->state, -ENOENT);
	serve(g);
	loop_once(g->l, true);		/* the path appeared */
	loop_advance(g->l, 0);
	take(g);
	assert_int_equal(g->state, 0);
	assert_int_equal(g->changes, 2);
}

static void connects_again_when_the_program_comes_back(void **state)
{
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	take(g);
	stop_serving(g);
	close(g->peer);
	loop_once(g->l, true);
	assert_int_equal(g->state, -EPIPE);
	assert_false(ctl_watch_connected(g->w));
	serve(g);
	loop_advance(g->l, 1000);
	take(g);
	assert_int_equal(g->state, 0);
	say(g, "{\"n\":5}\n");
	assert_int_equal(g->got[0], 5);
}

static void what_is_no_json_ends_the_connection_not_us(void **state)
{
	static const char *const bad[] = {
		"hello\n", "[]\n", "{\"n\":1\n", "\n", "3\n", "{\"a\xff\":1}\n",
	};
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		take(g);
		say(g, bad[i]);
		assert_int_equal(g->state, -EPROTO);
		assert_false(ctl_watch_connected(g->w));
		close(g->peer);
		loop_advance(g->l, 60000);
	}
	take(g);
	assert_int_equal(g->n, 0);
}

static void a_line_without_end_ends_the_connection(void **state)
{
	static char much[4096];
	struct rig *g = *state;

	memset(much, ' ', sizeof(much));
	serve(g);
	watch(g, 10000);
	take(g);
	for (unsigned i = 0; i < 3; i++)
		say_bytes(g, much, sizeof(much));
	assert_int_equal(g->state, -EMSGSIZE);
}

static void a_paused_watch_reads_nothing(void **state)
{
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	take(g);
	ctl_watch_pause(g->w, true);
	assert_int_equal(write(g->peer, "{\"n\":1}\n", 8), 8);
	assert_int_equal(loop_once(g->l, false), 0);
	assert_int_equal(g->n, 0);
	ctl_watch_pause(g->w, false);
	loop_once(g->l, true);
	assert_int_equal(g->n, 1);
}

static void pausing_from_a_line_keeps_the_lines_behind_it(void **state)
{
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	take(g);
	g->pause_it = true;
	say(g, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
	assert_int_equal(g->n, 1);
	g->pause_it = false;
	ctl_watch_pause(g->w, false);
	assert_int_equal(g->n, 3);
	assert_int_equal(g->got[2], 3);
	say(g, "{\"n\":4}\n");
	assert_int_equal(g->n, 4);
}

static void a_paused_watch_connects_nowhere(void **state)
{
	struct rig *g = *state;

	watch(g, 0);
	ctl_watch_pause(g->w, true);
	serve(g);
	loop_once(g->l, false);
	loop_advance(g->l, 60000);
	assert_int_equal(unix_accept(&g->listener), -EAGAIN);
	ctl_watch_pause(g->w, false);
	loop_advance(g->l, 0);
	take(g);
}

static void may_be_freed_by_its_own_line(void **state)
{
	struct rig *g = *state;

	serve(g);
	watch(g, 0);
	take(g);
	g->free_it = true;
	say(g, "{\"n\":1}\n{\"n\":2}\n");
	assert_int_equal(g->n, 1);
	assert_null(g->w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(asks_at_once_and_hands_out_line_by_line),
		TEST(a_line_may_come_byte_by_byte),
		TEST(waits_for_a_program_that_is_not_there_yet),
		TEST(connects_again_when_the_program_comes_back),
		TEST(what_is_no_json_ends_the_connection_not_us),
		TEST(a_line_without_end_ends_the_connection),
		TEST(a_paused_watch_reads_nothing),
		TEST(pausing_from_a_line_keeps_the_lines_behind_it),
		TEST(a_paused_watch_connects_nowhere),
		TEST(may_be_freed_by_its_own_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
