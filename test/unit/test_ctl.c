/* test/unit/test_ctl.c - the control socket against polite and rude clients. */
#include "base/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/unix_socket.h"

#include <cmocka.h>

struct rig {
	char dir[32], path[64];
	struct loop *l;
	struct ctl *ctl;
	struct ctl_conn *owed;
	unsigned closed;
};

static json_t *cmd_echo(void *arg, struct ctl_conn *c, json_t *request)
{
	(void)arg;
	(void)c;
	return json_pack("{s:O}", "got", json_object_get(request, "text"));
}

static json_t *cmd_fail(void *arg, struct ctl_conn *c, json_t *request)
{
	(void)arg;
	(void)c;
	(void)request;
	return ctl_error("no such %s", "luck");
}

static void on_closed(void *arg, struct ctl_conn *c)
{
	struct rig *g = arg;

	assert_ptr_equal(c, g->owed);
	g->closed++;
	g->owed = NULL;
}

static json_t *cmd_later(void *arg, struct ctl_conn *c, json_t *request)
{
	struct rig *g = arg;

	(void)request;
	g->owed = c;
	ctl_on_close(c, on_closed, g);
	return NULL;
}

static const struct ctl_command commands[] = {
	{ "echo", cmd_echo }, { "fail", cmd_fail }, { "later", cmd_later },
	{ NULL, NULL }
};

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	strcpy(g->dir, "/tmp/test_ctl.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/a/ctl", g->dir);
	g->l = loop_new(LOOP_REAL);
	g->ctl = ctl_new(g->l, g->path, 0600, commands, g);
	assert_non_null(g->ctl);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;
	char sub[64];

	ctl_free(g->ctl);
	loop_free(g->l);
	snprintf(sub, sizeof(sub), "%s/a", g->dir);
	assert_int_equal(access(g->path, F_OK), -1);
	rmdir(sub);
	rmdir(g->dir);
	free(g);
	return 0;
}

/* Send text on a fresh connection; the caller closes it. */
static int say(struct rig *g, const char *text)
{
	int fd = unix_connect(g->path, SOCK_STREAM);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* Serve until a whole line has come back. */
static void hear(struct rig *g, int fd, char *line, size_t cap)
{
	size_t n = 0;

	while (n + 1 < cap && (!n || line[n - 1] != '\n')) {
		ssize_t got;

		loop_once(g->l, false);
		got = recv(fd, line + n, 1, MSG_DONTWAIT);
		if (got < 0) {
			assert_int_equal(errno, EAGAIN);
			continue;
		}
		assert_int_equal(got, 1);
		n++;
	}
	line[n] = '\0';
}

static void expect(struct rig *g, const char *request, const char *reply)
{
	char line[512];
	int fd = say(g, request);

	hear(g, fd, line, sizeof(line));
	assert_string_equal(line, reply);
	close(fd);
}

static void answers_each_request_with_one_line(void **state)
{
	expect(*state, "{\"cmd\":\"echo\",\"text\":\"hi\"}\n",
	       "{\"got\":\"hi\",\"ok\":true}\n");
	expect(*state, "{\"cmd\":\"fail\"}\n",
	       "{\"error\":\"no such luck\",\"ok\":false}\n");
}

static void bad_requests_get_an_error_that_names_them(void **state)
{
	char line[512];
	int fd;

	expect(*state, "{\"cmd\":\"dance\"}\n",
	       "{\"error\":\"unknown command \\\"dance\\\"\",\"ok\":false}\n");
	expect(*state, "[1]\n",
	       "{\"error\":\"not a JSON object: \",\"ok\":false}\n");
	expect(*state, "{}\n",
	       "{\"error\":\"no \\\"cmd\\\" in the request\",\"ok\":false}\n");
	fd = say(*state, "nonsense\n");
	hear(*state, fd, line, sizeof(line));
	assert_non_null(strstr(line, "\"ok\":false"));
	close(fd);
}

static void requests_in_pieces_and_in_one_piece_are_the_same(void **state)
{
	struct rig *g = *state;
	char line[128];
	int fd = say(g, "{\"cmd\":\"echo\",");

	loop_once(g->l, true);
	assert_true(write(fd, "\"text\":1}\n{\"cmd\":\"fail\"}\n", 25) == 25);
	hear(g, fd, line, sizeof(line));
	assert_string_equal(line, "{\"got\":1,\"ok\":true}\n");
	hear(g, fd, line, sizeof(line));
	assert_string_equal(line, "{\"error\":\"no such luck\",\"ok\":false}\n");
	close(fd);
}

static void a_reply_may_come_later(void **state)
{
	struct rig *g = *state;
	char line[128];
	int fd = say(g, "{\"cmd\":\"later\"}\n");

	while (!g->owed)
		loop_once(g->l, true);
	assert_int_equal(ctl_reply(g->owed, json_pack("{s:i}", "n", 1)), 0);
	hear(g, fd, line, sizeof(line));
	assert_string_equal(line, "{\"n\":1,\"ok\":true}\n");
	close(fd);
	while (!g->closed)
		loop_once(g->l, true);
}

static void a_client_that_leaves_is_noticed_once(void **state)
{
	struct rig *g = *state;
	int fd = say(g, "{\"cmd\":\"later\"}\n");

	while (!g->owed)
		loop_once(g->l, true);
	close(fd);
	while (!g->closed)
		loop_once(g->l, true);
	assert_int_equal(g->closed, 1);
}

static void requests_behind_one_that_is_answered_later_are_answered(void **state)
{
	struct rig *g = *state;
	char line[128];
	int fd = say(g, "{\"cmd\":\"later\"}\n{\"cmd\":\"fail\"}\n");

	while (!g->owed)
		loop_once(g->l, true);
	assert_int_equal(ctl_reply(g->owed, json_pack("{s:i}", "n", 1)), 0);
	hear(g, fd, line, sizeof(line));
	assert_string_equal(line, "{\"n\":1,\"ok\":true}\n");
	hear(g, fd, line, sizeof(line));
	assert_string_equal(line, "{\"error\":\"no such luck\",\"ok\":false}\n");
	close(fd);
	while (!g->closed)
		loop_once(g->l, true);
}

enum { MANY = 100 };

static void connections_left_open_keep_nobody_out(void **state)
{
	struct rig *g = *state;
	int fd[MANY], owed = say(g, "{\"cmd\":\"later\"}\n");
	char line[128];

	while (!g->owed)
		loop_once(g->l, true);
	for (int i = 0; i < MANY; i++) {
		fd[i] = unix_connect(g->path, SOCK_STREAM);
		assert_true(fd[i] >= 0);
		loop_once(g->l, false);
	}
	expect(g, "{\"cmd\":\"echo\",\"text\":3}\n", "{\"got\":3,\"ok\":true}\n");
	/* Whoever waits for an answer is not in the way. */
	assert_non_null(g->owed);
	assert_int_equal(ctl_reply(g->owed, json_pack("{s:i}", "n", 1)), 0);
	hear(g, owed, line, sizeof(line));
	assert_string_equal(line, "{\"n\":1,\"ok\":true}\n");
	close(owed);
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	while (!g->closed)
		loop_once(g->l, true);
}

static void a_server_that_accepts_nobody_keeps_nobody_waiting(void **state)
{
	struct rig *g = *state;
	int fd[MANY], n = 0, last;
	json_t *reply;

	do {
		last = unix_connect(g->path, SOCK_STREAM | SOCK_NONBLOCK);
		if (last >= 0)
			fd[n++] = last;
	} while (last >= 0 && n < MANY);
	assert_int_equal(last, -EAGAIN);
	assert_null(ctl_new(g->l, g->path, 0600, commands, g));
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(ctl_call(g->path, json_object(), 1, &reply),
			 -ETIMEDOUT);
	while (n)
		close(fd[--n]);
}

static void an_endless_line_ends_the_connection(void **state)
{
	struct rig *g = *state;
	int fd = unix_connect(g->path, SOCK_STREAM);
	char junk[4096], byte;
	ssize_t n;

	memset(junk, 'x', sizeof(junk));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		n = send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			break;
		loop_once(g->l, false);
		n = recv(fd, &byte, 1, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
	}
	close(fd);
	expect(g, "{\"cmd\":\"echo\",\"text\":2}\n", "{\"got\":2,\"ok\":true}\n");
}

static void a_client_that_never_reads_is_cut_off(void **state)
{
	struct rig *g = *state;
	int fd = say(g, "{\"cmd\":\"later\"}\n");
	char *big = malloc(65536);

	while (!g->owed)
		loop_once(g->l, true);
	memset(big, 'y', 65535);
	big[65535] = '\0';
	for (int i = 0; i < 200 && g->owed; i++)
		if (ctl_reply(g->owed, json_pack("{s:s}", "b", big)) < 0)
			break;
	assert_int_equal(g->closed, 1);
	free(big);
	close(fd);
}

static void a_second_server_does_not_take_a_live_socket(void **state)
{
	struct rig *g = *state;

	assert_null(ctl_new(g->l, g->path, 0600, commands, g));
	assert_int_equal(errno, EADDRINUSE);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct rig *g = *state;
	struct unix_listener dead;
	char path[80];
	struct ctl *second;

	snprintf(path, sizeof(path), "%s/a/stale", g->dir);
	assert_int_equal(unix_listen(&dead, path, SOCK_STREAM, 0600), 0);
	close(dead.fd);			/* as kill -9 leaves it */
	second = ctl_new(g->l, path, 0600, commands, g);
	assert_non_null(second);
	ctl_free(second);
}

static void a_file_in_the_way_is_left_alone(void **state)
{
	struct rig *g = *state;
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "%s/a/file", g->dir);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_null(ctl_new(g->l, path, 0600, commands, g));
	assert_int_equal(errno, EEXIST);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(answers_each_request_with_one_line),
		T(bad_requests_get_an_error_that_names_them),
		T(requests_in_pieces_and_in_one_piece_are_the_same),
		T(a_reply_may_come_later),
		T(a_client_that_leaves_is_noticed_once),
		T(requests_behind_one_that_is_answered_later_are_answered),
		T(connections_left_open_keep_nobody_out),
		T(a_server_that_accepts_nobody_keeps_nobody_waiting),
		T(an_endless_line_ends_the_connection),
		T(a_client_that_never_reads_is_cut_off),
		T(a_second_server_does_not_take_a_live_socket),
		T(a_stale_socket_is_replaced),
		T(a_file_in_the_way_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
