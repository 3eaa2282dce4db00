/* test/unit/test_kvpd_session.c - the daemon and a driver that the test plays
 * at the other end of the device's socket: well, badly, and not at all. */
#include "kvpd_session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "ic/hv_utilreg.h"
#include "pool_dir.h"

struct rig {
	struct pool_dir dir;
	struct loop *loop;
	struct kvpd *kvpd;
	struct kvpd_session *s;
	char device[108];	/* in a directory that need not exist */
	char parent[96];
	int listener, driver;	/* -1: none */
	uint8_t buf[KVP_DEVMSG_MAX + 64];
	size_t len;
	unsigned warnings;
};

static void on_line(void *arg, enum log_level level, const char *line)
{
	struct rig *g = arg;

	(void)line;
	g->warnings += level <= LOG_LEVEL_WARN;
}

static int setup(void **state)
{
	const struct kvpd_cfg cfg = { .no_sync = true };
	static struct rig g;
	struct kvpd_cfg c = cfg;
	unsigned failed;

	memset(&g, 0, sizeof(g));
	g.listener = g.driver = -1;
	pool_dir_make(&g.dir);
	c.state_dir = g.dir.path;
	g.kvpd = kvpd_new(&c, &failed);
	assert_non_null(g.kvpd);
	g.loop = loop_new(LOOP_VIRTUAL);
	snprintf(g.parent, sizeof(g.parent), "%s/run", g.dir.path);
	snprintf(g.device, sizeof(g.device), "%s/run/dev", g.dir.path);
	log_capture(on_line, &g);
	*state = &g;
	return 0;
}

static void driver_ends(struct rig *g)
{
	if (g->driver >= 0)
		close(g->driver);
	if (g->listener >= 0)
		close(g->listener);
	g->driver = g->listener = -1;
	unlink(g->device);
}

static int teardown(void **state)
{
	struct rig *g = *state;

	kvpd_session_free(g->s);
	kvpd_free(g->kvpd);
	loop_free(g->loop);
	driver_ends(g);
	rmdir(g->parent);
	pool_dir_remove(&g->dir);
	log_capture(NULL, NULL);
	return 0;
}

static void start(struct rig *g, enum kvp_form form)
{
	const struct kvpd_session_cfg cfg = {
		.devices = { g->device }, .n_devices = 1, .form = form,
	};

	g->s = kvpd_session_new(g->loop, &cfg, g->kvpd);
	assert_non_null(g->s);
}

static void serve(struct rig *g)
{
	while (loop_once(g->loop, false) > 0)
		;
}

static void make_node(struct rig *g)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	mkdir(g->parent, 0700);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", g->device);
	g->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(g->listener, (struct sockaddr *)&a, sizeof(a)),
			 0);
}

static void driver_listens(struct rig *g)
{
	make_node(g);
	assert_int_equal(listen(g->listener, 4), 0);
}

static void accept_daemon(struct rig *g)
{
	struct timeval tv = { .tv_sec = 10 };	/* for a test that hangs */

	g->driver = accept(g->listener, NULL, NULL);
	assert_true(g->driver >= 0);
	setsockopt(g->driver, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static void driver_reads(struct rig *g)
{
	ssize_t n = recv(g->driver, g->buf, sizeof(g->buf), 0);

	assert_true(n > 0);
	g->len = (size_t)n;
}

static void driver_writes(struct rig *g, const void *buf, size_t len)
{
	assert_int_equal(send(g->driver, buf, len, MSG_NOSIGNAL), len);
	serve(g);
}

static void driver_registers(struct rig *g, enum kvp_form form)
{
	uint8_t version[KVP_DEVMSG_LINUX], op;
	enum kvp_form got;

	accept_daemon(g);
	driver_reads(g);
	assert_int_equal(kvp_devmsg_get_register(&got, &op, g->buf, g->len), 0);
	assert_int_equal(got, form);
	if (form == KVP_FORM_FREEBSD)
		return;
	kvp_devmsg_put_version(version, op, "3.1");
	driver_writes(g, version, sizeof(version));
}

static struct kvp_msg ask(struct rig *g, enum kvp_form form,
			  struct kvp_msg request)
{
	size_t size = kvp_devmsg_size(form);
	uint8_t buf[KVP_DEVMSG_MAX];
	struct kvp_msg answer;

	kvp_devmsg_put_request(buf, form, &request);
	driver_writes(g, buf, size);
	driver_reads(g);
	assert_int_equal(g->len, size);
	assert_int_equal(kvp_devmsg_get_answer(&answer, form, false, &request,
					       g->buf, g->len), 0);
	return answer;
}

static void assert_serving(struct rig *g, enum kvp_form form)
{
	struct kvp_msg m = { .op = KVP_SET, .pool = 0, .key = "k",
			     .value = "v" };

	assert_int_equal(ask(g, form, m).status, HV_S_OK);
	m.op = KVP_GET;
	assert_string_equal(ask(g, form, m).value, "v");
	m = (struct kvp_msg){ .op = KVP_ENUMERATE, .index = 1 };
	assert_int_equal(ask(g, form, m).status, HV_S_CONT);
}

static struct kvpd_session_info info(struct rig *g)
{
	struct kvpd_session_info i;

	kvpd_session_info_get(g->s, &i);
	return i;
}

static void serves_in_the_linux_form(void **state)
{
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	assert_false(info(g).registered);
	driver_registers(g, KVP_FORM_LINUX);
	assert_true(info(g).registered);
	assert_string_equal(info(g).version, "3.1");
	assert_serving(g, KVP_FORM_LINUX);
}

static void serves_in_the_freebsd_form(void **state)
{
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_FREEBSD);
	driver_registers(g, KVP_FORM_FREEBSD);
	assert_true(info(g).registered);
	assert_serving(g, KVP_FORM_FREEBSD);
}

static void waits_for_the_driver_without_a_timer(void **state)
{
	struct rig *g = *state;

	start(g, KVP_FORM_LINUX);		/* not even the directory */
	serve(g);
	loop_advance(g->loop, 3600 * 1000);
	assert_null(info(g).device);
	driver_listens(g);
	serve(g);
	driver_registers(g, KVP_FORM_LINUX);
	assert_serving(g, KVP_FORM_LINUX);
}

static void follows_a_directory_that_is_made_again(void **state)
{
	struct rig *g = *state;

	start(g, KVP_FORM_LINUX);
	for (unsigned i = 0; i < 3; i++) {
		mkdir(g->parent, 0700);
		serve(g);
		rmdir(g->parent);
		serve(g);
	}
	driver_listens(g);
	serve(g);
	driver_registers(g, KVP_FORM_LINUX);
}

static void a_node_that_nobody_serves_yet_is_tried_again(void **state)
{
	struct rig *g = *state;

	start(g, KVP_FORM_LINUX);
	make_node(g);				/* bound, not listening */
	serve(g);
	assert_null(info(g).device);
	assert_int_equal(listen(g->listener, 4), 0);
	loop_advance(g->loop, 10);
	driver_registers(g, KVP_FORM_LINUX);
	assert_serving(g, KVP_FORM_LINUX);
}

static void a_node_that_nobody_ever_serves_is_left_alone(void **state)
{
	struct rig *g = *state;
	unsigned warnings;

	make_node(g);
	start(g, KVP_FORM_LINUX);
	loop_advance(g->loop, 60 * 1000);
	warnings = g->warnings;
	assert_int_equal(warnings, 1);
	assert_int_equal(listen(g->listener, 4), 0);
	loop_advance(g->loop, 24 * 3600 * 1000);
	assert_null(info(g).device);		/* no timer was left */
	assert_int_equal(chmod(g->device, 0600), 0);	/* a sign of life */
	serve(g);
	driver_registers(g, KVP_FORM_LINUX);
}

static void registers_again_when_the_driver_comes_back(void **state)
{
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	for (unsigned i = 1; i <= 5; i++) {
		driver_registers(g, KVP_FORM_LINUX);
		assert_serving(g, KVP_FORM_LINUX);
		assert_int_equal(info(g).opened, i);
		driver_ends(g);
		serve(g);
		assert_null(info(g).device);
		assert_false(info(g).registered);
		driver_listens(g);
		serve(g);
	}
}

static void send_request(struct rig *g)
{
	const struct kvp_msg m = { .op = KVP_SET, .pool = 1, .key = "k",
				   .value = "v" };
	uint8_t buf[KVP_DEVMSG_MAX];

	kvp_devmsg_put_request(buf, KVP_FORM_LINUX, &m);
	assert_int_equal(send(g->driver, buf, KVP_DEVMSG_LINUX, MSG_NOSIGNAL),
			 KVP_DEVMSG_LINUX);
}

/* freebsd-behaviour 6.16: an answer that failed was written again for ever */
static void a_driver_that_vanishes_in_mid_request_is_registered_anew(void **state)
{
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	driver_registers(g, KVP_FORM_LINUX);
	send_request(g);
	close(g->driver);		/* before the daemon looked at it */
	serve(g);
	assert_null(info(g).device);
	loop_advance(g->loop, 10);
	driver_registers(g, KVP_FORM_LINUX);
	assert_serving(g, KVP_FORM_LINUX);
}

/* freebsd-behaviour 6.16, tight retry: the time between tries doubles */
static void a_driver_that_hangs_up_at_once_is_not_hammered(void **state)
{
	struct rig *g = *state;
	uint64_t opened;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	for (unsigned i = 0; i < 60; i++) {
		accept_daemon(g);
		close(g->driver);
		g->driver = -1;
		serve(g);
		opened = info(g).opened;
		while (info(g).opened == opened)
			loop_advance(g->loop, 10);
	}
	/* 10 + 20 + ... + 20480 ms, then 30 s each */
	assert_true(loop_now_ms(g->loop) > 45ull * 30000);
}

static void assert_refused(struct rig *g, const void *buf, size_t len)
{
	uint32_t status;

	driver_writes(g, buf, len);
	driver_reads(g);
	assert_int_equal(g->len, KVP_DEVMSG_LINUX);
	memcpy(&status, g->buf, 4);
	assert_int_not_equal(status, HV_S_OK);
}

static void every_malformed_message_is_answered(void **state)
{
	static const size_t sizes[] = { 1, 3, 4, 100, 7430, 7431, 7433, 7490 };
	uint8_t buf[7500] = { KVP_SET };
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	driver_registers(g, KVP_FORM_LINUX);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		assert_refused(g, buf, sizes[i]);
	memset(buf + 8, 0xff, 4);			/* hostile key size */
	assert_refused(g, buf, KVP_DEVMSG_LINUX);
	memset(buf + 4, 'x', sizeof(buf) - 4);		/* nothing terminated */
	assert_refused(g, buf, KVP_DEVMSG_LINUX);
	for (unsigned op = 0; op < 256; op++) {
		buf[0] = (uint8_t)op;
		if (op == KVP_ENUMERATE)
			continue;
		assert_refused(g, buf, KVP_DEVMSG_LINUX);
	}
	assert_int_equal(info(g).malformed, sizeof(sizes) / sizeof(*sizes) + 1 +
			 1 + 5);
	assert_serving(g, KVP_FORM_LINUX);
	assert_int_equal(info(g).opened, 1);
}

/* A host may invent operation 100: only the first message is a registration's
 * reply. */
static void operation_100_of_a_host_is_answered(void **state)
{
	uint8_t buf[KVP_DEVMSG_LINUX];
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	driver_registers(g, KVP_FORM_LINUX);
	kvp_devmsg_put_version(buf, 100, "evil");
	assert_refused(g, buf, sizeof(buf));
	assert_string_equal(info(g).version, "3.1");
}

static void what_is_no_device_is_not_opened(void **state)
{
	struct rig *g = *state;

	mkdir(g->parent, 0700);
	file_write(g->device, "x", 1);
	start(g, KVP_FORM_LINUX);
	loop_advance(g->loop, 1000);
	assert_null(info(g).device);
	unlink(g->device);
	driver_listens(g);
	serve(g);
	driver_registers(g, KVP_FORM_LINUX);
}

/* vmbus-and-ic 7.9: any error with a pool file ended the daemon */
static void a_broken_pool_fails_requests_and_is_logged_once(void **state)
{
	const struct kvp_msg m = { .op = KVP_SET, .pool = 1, .key = "k" };
	struct rig *g = *state;

	driver_listens(g);
	start(g, KVP_FORM_LINUX);
	driver_registers(g, KVP_FORM_LINUX);
	assert_int_equal(remove(g->dir.pool), 0);
	assert_int_equal(mkdir(g->dir.pool, 0700), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(ask(g, KVP_FORM_LINUX, m).status, HV_E_FAIL);
	assert_int_equal(g->warnings, 1);
	assert_int_equal(rmdir(g->dir.pool), 0);
	assert_int_equal(ask(g, KVP_FORM_LINUX, m).status, HV_S_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(serves_in_the_linux_form),
		TEST(serves_in_the_freebsd_form),
		TEST(waits_for_the_driver_without_a_timer),
		TEST(follows_a_directory_that_is_made_again),
		TEST(a_node_that_nobody_serves_yet_is_tried_again),
		TEST(a_node_that_nobody_ever_serves_is_left_alone),
		TEST(registers_again_when_the_driver_comes_back),
		TEST(a_driver_that_vanishes_in_mid_request_is_registered_anew),
		TEST(a_driver_that_hangs_up_at_once_is_not_hammered),
		TEST(every_malformed_message_is_answered),
		TEST(operation_100_of_a_host_is_answered),
		TEST(what_is_no_device_is_not_opened),
		TEST(a_broken_pool_fails_requests_and_is_logged_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
