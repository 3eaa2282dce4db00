/* test/unit/test_dev.c - the socket form of a device file. */
#include "endpoint/dev.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unix_socket.h"

#include <cmocka.h>

struct rig {
	char dir[32], path[64];
	struct loop *l;
	struct dev *d;
	struct dev_client *client;
	unsigned opened, messages, closed;
	size_t last_len;
	bool close_on_message;
};

static int on_opened(void *arg, struct dev_client *c)
{
	struct rig *g = arg;

	if (g->client) {
		dev_send(c, "taken", 5);
		return -EBUSY;
	}
	assert_int_equal(dev_client_pid(c), getpid());
	assert_int_equal(dev_client_uid(c), getuid());
	g->client = c;
	g->opened++;
	return 0;
}

static void on_message(void *arg, struct dev_client *c, const uint8_t *buf,
		       size_t len)
{
	struct rig *g = arg;

	assert_ptr_equal(c, g->client);
	g->messages++;
	g->last_len = len;
	if (g->close_on_message) {
		g->client = NULL;
		dev_client_close(c);
	} else {
		assert_int_equal(dev_send(c, buf, len), 0);
	}
}

static void on_closed(void *arg, struct dev_client *c)
{
	struct rig *g = arg;

	assert_ptr_equal(c, g->client);
	g->client = NULL;
	g->closed++;
}

static int setup(void **state)
{
	static const struct dev_ops ops = { on_opened, on_message, on_closed };
	struct rig *g = calloc(1, sizeof(*g));
	const struct dev_cfg cfg = {
		.path = g->path, .mode = 0640, .set_group = true,
		.group = geteuid() ? getegid() : 12345, .max_msg = 100,
		.max_clients = 2,
	};

	strcpy(g->dir, "/tmp/test_dev.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/node", g->dir);
	g->l = loop_new(LOOP_REAL);
	g->d = dev_new(g->l, &cfg, &ops, g);
	assert_non_null(g->d);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	dev_free(g->d);
	loop_free(g->l);
	assert_int_equal(rmdir(g->dir), 0);
	free(g);
	return 0;
}

static int open_client(struct rig *g)
{
	unsigned before = g->opened;
	int fd = unix_connect(g->path, SOCK_SEQPACKET);

	assert_true(fd >= 0);
	while (g->opened == before)
		loop_once(g->l, true);
	return fd;
}

static void one_packet_is_one_message_both_ways(void **state)
{
	struct rig *g = *state;
	int fd = open_client(g);
	char buf[200];

	assert_int_equal(send(fd, "one", 3, 0), 3);
	assert_int_equal(send(fd, "three", 5, 0), 5);
	while (g->messages < 2)
		loop_once(g->l, true);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 3);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "three", 5);
	close(fd);
	while (!g->closed)
		loop_once(g->l, true);
}

static void the_node_has_its_mode_and_group(void **state)
{
	struct rig *g = *state;
	struct stat st;

	assert_int_equal(stat(g->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_gid, geteuid() ? getegid() : 12345);
}

static void serve_what_is_there(struct rig *g)
{
	while (loop_once(g->l, false) > 0)
		;
}

static void a_refused_client_reads_why_and_the_end(void **state)
{
	struct rig *g = *state;
	int first = open_client(g), second;
	char buf[8];

	second = unix_connect(g->path, SOCK_SEQPACKET);
	assert_int_equal(send(second, "hello", 5, 0), 5);
	serve_what_is_there(g);
	assert_int_equal(recv(second, buf, sizeof(buf), 0), 5);
	assert_memory_equal(buf, "taken", 5);
	assert_int_equal(recv(second, buf, sizeof(buf), 0), 0);
	assert_non_null(g->client);
	close(second);
	close(first);
}

/* One that is refused makes room at once. */
static void no_more_than_max_clients_are_kept(void **state)
{
	struct rig *g = *state;
	int first = open_client(g);
	char buf[8];

	for (int i = 0; i < 100; i++) {
		int fd = unix_connect(g->path, SOCK_SEQPACKET);

		assert_true(fd >= 0);
		serve_what_is_there(g);
		assert_int_equal(recv(fd, buf, sizeof(buf), 0), 5);
		close(fd);
	}
	close(first);
}

static void a_message_too_long_ends_the_client(void **state)
{
	struct rig *g = *state;
	int fd = open_client(g);
	char big[101] = "";

	assert_int_equal(send(fd, big, 100, 0), 100);
	while (!g->messages)
		loop_once(g->l, true);
	assert_int_equal(send(fd, big, 101, 0), 101);
	while (!g->closed)
		loop_once(g->l, true);
	assert_int_equal(g->messages, 1);
	close(fd);
}

static void the_owner_may_close_inside_a_message(void **state)
{
	struct rig *g = *state;
	int fd = open_client(g);
	char byte;

	g->close_on_message = true;
	send(fd, "x", 1, 0);
	while (!g->messages)
		loop_once(g->l, true);
	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	assert_int_equal(g->closed, 0);
	close(fd);
	g->close_on_message = false;
	close(open_client(g));
}

static void a_client_that_does_not_read_is_told_of_not_waited_for(void **state)
{
	struct rig *g = *state;
	int fd = open_client(g), err = 0;
	char msg[100] = "";

	for (int i = 0; i < 100000 && !err; i++)
		err = dev_send(g->client, msg, sizeof(msg));
	assert_int_equal(err, -EAGAIN);
	close(fd);
	assert_int_equal(dev_send(g->client, msg, sizeof(msg)), -EPIPE);
}

static void a_live_node_is_not_taken_over(void **state)
{
	static const struct dev_ops ops = { on_opened, on_message, on_closed };
	struct rig *g = *state;
	const struct dev_cfg cfg = { .path = g->path, .max_msg = 1 };

	assert_null(dev_new(g->l, &cfg, &ops, g));
	assert_int_equal(errno, EADDRINUSE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_packet_is_one_message_both_ways),
		T(the_node_has_its_mode_and_group),
		T(a_refused_client_reads_why_and_the_end),
		T(no_more_than_max_clients_are_kept),
		T(a_message_too_long_ends_the_client),
		T(the_owner_may_close_inside_a_message),
		T(a_client_that_does_not_read_is_told_of_not_waited_for),
		T(a_live_node_is_not_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
