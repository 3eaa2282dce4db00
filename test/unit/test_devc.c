/* test/unit/test_devc.c - the client half of a device file. */
#include "endpoint/devc.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	char dir[32], path[64];
	int listener, driver;
	struct devc d;
};

static int setup(void **state)
{
	static struct rig g;

	g = (struct rig){ .listener = -1, .driver = -1, .d.fd = -1 };
	strcpy(g.dir, "/tmp/test_devc.XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	snprintf(g.path, sizeof(g.path), "%s/dev", g.dir);
	*state = &g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	devc_close(&g->d);
	if (g->listener >= 0)
		close(g->listener);
	if (g->driver >= 0)
		close(g->driver);
	unlink(g->path);
	return rmdir(g->dir);
}

static void bind_node(struct rig *g)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strcpy(a.sun_path, g->path);
	g->listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(g->listener, (struct sockaddr *)&a, sizeof(a)),
			 0);
}

static void connect_driver(struct rig *g)
{
	bind_node(g);
	assert_int_equal(listen(g->listener, 1), 0);
	assert_int_equal(devc_open(&g->d, g->path), 0);
	assert_false(g->d.chardev);
	g->driver = accept(g->listener, NULL, NULL);
	assert_true(g->driver >= 0);
}

static void says_why_it_cannot_open(void **state)
{
	struct rig *g = *state;
	char longer[200];
	FILE *f;

	assert_int_equal(devc_open(&g->d, g->path), -ENOENT);
	f = fopen(g->path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(devc_open(&g->d, g->path), -ENOTSUP);
	unlink(g->path);
	bind_node(g);
	assert_int_equal(devc_open(&g->d, g->path), -ECONNREFUSED);
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(devc_open(&g->d, longer), -ENOTSUP);
	assert_int_equal(g->d.fd, -1);
	devc_close(&g->d);
}

static void a_character_device_is_known_by_stat(void **state)
{
	struct rig *g = *state;
	char buf[8];

	assert_int_equal(devc_open(&g->d, "/dev/null"), 0);
	assert_true(g->d.chardev);
	assert_int_equal(devc_send(&g->d, "message", 7), 0);
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), -EPIPE);
}

static void carries_one_message_a_call(void **state)
{
	struct rig *g = *state;
	char buf[8];

	connect_driver(g);
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), -EAGAIN);
	assert_int_equal(send(g->driver, "one", 3, 0), 3);
	assert_int_equal(send(g->driver, "three", 5, 0), 5);
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), 3);
	assert_memory_equal(buf, "one", 3);
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), 5);
	assert_int_equal(devc_send(&g->d, "answer", 6), 0);
	assert_int_equal(recv(g->driver, buf, sizeof(buf), 0), 6);
}

static void an_oversize_message_is_dropped_and_the_next_is_whole(void **state)
{
	char buf[8], big[100] = "big";
	struct rig *g = *state;

	connect_driver(g);
	assert_int_equal(send(g->driver, big, sizeof(big), 0), sizeof(big));
	assert_int_equal(send(g->driver, "next", 4, 0), 4);
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), -EMSGSIZE);
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "next", 4);
}

static void a_driver_that_closed_is_a_broken_pipe(void **state)
{
	struct rig *g = *state;
	char buf[8];

	connect_driver(g);
	close(g->driver);
	g->driver = -1;
	assert_int_equal(devc_recv(&g->d, buf, sizeof(buf)), -EPIPE);
	assert_int_equal(devc_send(&g->d, "x", 1), -EPIPE);
}

static void a_driver_that_does_not_read_is_not_waited_for(void **state)
{
	static const char message[7432];
	struct rig *g = *state;
	int err = 0;

	connect_driver(g);
	for (unsigned i = 0; i < 10000 && !err; i++)
		err = devc_send(&g->d, message, sizeof(message));
	assert_int_equal(err, -EAGAIN);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(says_why_it_cannot_open),
		TEST(a_character_device_is_known_by_stat),
		TEST(carries_one_message_a_call),
		TEST(an_oversize_message_is_dropped_and_the_next_is_whole),
		TEST(a_driver_that_closed_is_a_broken_pipe),
		TEST(a_driver_that_does_not_read_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
