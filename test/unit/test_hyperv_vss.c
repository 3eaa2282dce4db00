/* test/unit/test_hyperv_vss.c - the library as an application sees it, with
 * the test as the driver. */
#include <hyperv/vss.h>

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

enum { ID = 0x11223344 };

struct rig {
	char dir[32], dev_dir[40], path[64];
	int listener, driver;
	struct hv_vss *v;
	unsigned calls[5];		/* by option */
	int say;			/* what the handlers return */
	const char *why;
};

static void listen_at(struct rig *g)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	strcpy(a.sun_path, g->path);
	g->listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(g->listener, (struct sockaddr *)&a, sizeof(a)),
			 0);
	assert_int_equal(listen(g->listener, 4), 0);
}

static struct hv_vss_record take(struct rig *g)
{
	struct hv_vss_record r;
	uint8_t buf[128];

	assert_int_equal(recv(g->driver, buf, sizeof(buf), 0), 64);
	memcpy(&r, buf, 64);
	return r;
}

static void ask(struct rig *g, unsigned opt, uint64_t id)
{
	struct hv_vss_record r = { .opt = opt, .msgid = id };

	assert_int_equal(send(g->driver, &r, sizeof(r), 0), sizeof(r));
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	strcpy(g->dir, "/tmp/test_hyperv_vss.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->dev_dir, sizeof(g->dev_dir), "%s/dev", g->dir);
	assert_int_equal(mkdir(g->dev_dir, 0755), 0);
	snprintf(g->path, sizeof(g->path), "%s/hv_appvss_dev", g->dev_dir);
	listen_at(g);
	assert_int_equal(hv_vss_open(&g->v, g->path, "the database"), 0);
	g->driver = accept(g->listener, NULL, NULL);
	assert_true(g->driver >= 0);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	hv_vss_close(g->v);
	close(g->listener);
	if (g->driver >= 0)
		close(g->driver);
	unlink(g->path);
	rmdir(g->dev_dir);
	rmdir(g->dir);
	free(g);
	return 0;
}

static void hang_up(struct rig *g)
{
	close(g->driver);
	g->driver = -1;
}

static void opening_says_who_we_are(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record r = take(g);

	assert_int_equal(r.opt, HV_VSS_HELLO);
	assert_string_equal((char *)r.reserved, "the database");
}

static void the_name_is_the_programs_unless_given(void **state)
{
	struct rig *g = *state;
	struct hv_vss *other;

	take(g);
	hang_up(g);
	assert_int_equal(hv_vss_open(&other, g->path, NULL), 0);
	g->driver = accept(g->listener, NULL, NULL);
	assert_string_equal((char *)take(g).reserved, "test_hyperv_vss");
	hv_vss_close(other);
}

static void the_socket_is_found_below_the_run_dir(void **state)
{
	struct rig *g = *state;
	struct hv_vss *other;

	if (access("/dev/hv_appvss_dev", F_OK) == 0)
		skip();
	setenv("HYPERV_RUN_DIR", g->dir, 1);
	assert_int_equal(hv_vss_open(&other, NULL, NULL), 0);
	hv_vss_close(other);
	setenv("HYPERV_RUN_DIR", "/nonexistent", 1);
	assert_int_equal(hv_vss_open(&other, NULL, NULL), -ENOENT);
	assert_null(other);
	unsetenv("HYPERV_RUN_DIR");
}

static void says_why_it_cannot_open(void **state)
{
	struct rig *g = *state;
	struct hv_vss *other;

	close(g->listener);
	assert_int_equal(hv_vss_open(&other, g->path, NULL), -ECONNREFUSED);
	unlink(g->path);
	assert_int_equal(hv_vss_open(&other, g->path, NULL), -ENOENT);
	assert_null(other);
	listen_at(g);
}

static void a_question_is_answered_once(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record q, a;

	take(g);
	assert_int_equal(hv_vss_read(g->v, &q), 0);
	ask(g, HV_VSS_CHECK, ID);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	assert_int_equal(q.opt, HV_VSS_CHECK);
	assert_int_equal(q.msgid, ID);
	assert_int_equal(hv_vss_answer(g->v, &q, 2, NULL), -EINVAL);
	assert_int_equal(hv_vss_answer(g->v, &q, HV_VSS_OK, "unused"), 0);
	a = take(g);
	assert_int_equal(a.opt, HV_VSS_CHECK);
	assert_int_equal(a.status, HV_VSS_OK);
	assert_int_equal(a.msgid, ID);
	assert_int_equal(a.reserved[0], 0);
	assert_int_equal(hv_vss_answer(g->v, &q, HV_VSS_OK, NULL), -ESTALE);
}

static void an_answer_that_comes_after_the_next_question_is_stale(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record freeze, end;

	take(g);
	ask(g, HV_VSS_FREEZE, ID);
	ask(g, HV_VSS_ABORT, ID);
	assert_int_equal(hv_vss_read(g->v, &freeze), 1);
	assert_int_equal(hv_vss_read(g->v, &end), 1);
	assert_int_equal(hv_vss_answer(g->v, &freeze, HV_VSS_OK, NULL),
			 -ESTALE);
	assert_int_equal(hv_vss_answer(g->v, &end, HV_VSS_OK, NULL), 0);
	assert_int_equal(take(g).opt, HV_VSS_ABORT);
}

static void a_reason_is_cut_at_a_character(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record q, a;

	take(g);
	ask(g, HV_VSS_FREEZE, ID);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	assert_int_equal(hv_vss_answer(g->v, &q, HV_VSS_FAIL,
		"1234567890123456789012345678901234567890123456\xc3\xa4"), 0);
	a = take(g);
	assert_int_equal(a.status, HV_VSS_FAIL);
	assert_string_equal((char *)a.reserved,
			    "1234567890123456789012345678901234567890123456");
}

static void a_note_tells_part_phase_and_time(void **state)
{
	struct hv_vss_record q = { .opt = HV_VSS_FREEZE, .msgid = ID }, n;
	struct rig *g = *state;

	take(g);
	assert_int_equal(hv_vss_note(g->v, &q, NULL, HV_VSS_OK, 1), -EINVAL);
	assert_int_equal(hv_vss_note(g->v, &q, "10-cache", HV_VSS_FAIL,
				     0x01020304), 0);
	n = take(g);
	assert_int_equal(n.opt, HV_VSS_NOTE);
	assert_int_equal(n.status, HV_VSS_FAIL);
	assert_int_equal(n.msgid, ID);
	assert_memory_equal(n.reserved, "\x02\0\0\0\x04\x03\x02\x01", 8);
	assert_string_equal((char *)n.reserved + 8, "10-cache");
}

static void messages_of_another_size_are_passed_over(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record q;
	char big[100] = { 0 };

	assert_int_equal(send(g->driver, big, 63, 0), 63);
	assert_int_equal(send(g->driver, big, 100, 0), 100);
	ask(g, HV_VSS_CHECK, ID);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	assert_int_equal(q.opt, HV_VSS_CHECK);
}

static void a_complaint_is_no_question(void **state)
{
	struct hv_vss_record c = { .opt = HV_VSS_NONE,
				   .status = HV_VSS_FAIL }, q;
	struct rig *g = *state;

	assert_string_equal(hv_vss_reason(g->v), "");
	strcpy((char *)c.reserved, "too many \033 are here");
	assert_int_equal(send(g->driver, &c, sizeof(c), 0), sizeof(c));
	assert_int_equal(hv_vss_read(g->v, &q), 0);
	assert_string_equal(hv_vss_reason(g->v), "too many ? are here");
	assert_int_equal(send(g->driver, &c, sizeof(c), 0), sizeof(c));
	ask(g, HV_VSS_CHECK, ID);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	assert_int_equal(q.opt, HV_VSS_CHECK);
}

static void a_driver_that_goes_away_aborts_a_hold_once(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record q;

	ask(g, HV_VSS_FREEZE, ID);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	assert_int_equal(hv_vss_answer(g->v, &q, HV_VSS_OK, NULL), 0);
	hang_up(g);
	assert_int_equal(hv_vss_read(g->v, &q), -EPIPE);
	assert_int_equal(q.opt, HV_VSS_ABORT);
	assert_int_equal(q.msgid, ID);
	assert_int_equal(hv_vss_answer(g->v, &q, HV_VSS_OK, NULL), -EPIPE);
	assert_int_equal(hv_vss_read(g->v, &q), -EPIPE);
	assert_int_equal(q.opt, HV_VSS_NONE);
}

static void a_driver_that_goes_away_after_the_end_aborts_nothing(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record q;

	ask(g, HV_VSS_FREEZE, ID);
	ask(g, HV_VSS_THAW, ID + 1);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	assert_int_equal(hv_vss_read(g->v, &q), 1);
	hang_up(g);
	assert_int_equal(hv_vss_read(g->v, &q), -EPIPE);
	assert_int_equal(q.opt, HV_VSS_NONE);
}

/* hv_vss_serve() --------------------------------------------------------- */

static int called(void *arg, const struct hv_vss_record *q, char why[48])
{
	struct rig *g = arg;

	g->calls[q->opt]++;
	if (g->why)
		strcpy(why, g->why);
	return g->say;
}

static const struct hv_vss_handler all = { called, called, called, called };
static const struct hv_vss_handler no_abort = { .thaw = called };

static void serves_each_question_by_its_handler(void **state)
{
	struct rig *g = *state;

	take(g);
	assert_int_equal(hv_vss_serve(g->v, &all, g, 0), 0);
	for (unsigned opt = HV_VSS_CHECK; opt <= HV_VSS_ABORT; opt++) {
		ask(g, opt, ID);
		assert_int_equal(hv_vss_serve(g->v, &all, g, 1000), 1);
		assert_int_equal(g->calls[opt], 1);
		assert_int_equal(take(g).status, HV_VSS_OK);
	}
}

static void a_handler_that_refuses_gives_a_reason(void **state)
{
	struct rig *g = *state;
	struct hv_vss_record a;

	take(g);
	g->say = -ENOSPC;
	ask(g, HV_VSS_FREEZE, ID);
	assert_int_equal(hv_vss_serve(g->v, &all, g, 1000), 1);
	a = take(g);
	assert_int_equal(a.status, HV_VSS_FAIL);
	assert_string_equal((char *)a.reserved, "No space left on device");
	g->why = "a job is running";
	ask(g, HV_VSS_CHECK, ID);
	assert_int_equal(hv_vss_serve(g->v, &all, g, 1000), 1);
	assert_string_equal((char *)take(g).reserved, "a job is running");
}

static void without_handlers_the_answer_is_yes(void **state)
{
	static const struct hv_vss_handler none;
	struct rig *g = *state;

	take(g);
	ask(g, HV_VSS_FREEZE, ID);
	assert_int_equal(hv_vss_serve(g->v, &none, NULL, 1000), 1);
	assert_int_equal(take(g).status, HV_VSS_OK);
	ask(g, 77, ID);
	assert_int_equal(hv_vss_serve(g->v, &none, NULL, 1000), 1);
	assert_int_equal(take(g).status, HV_VSS_FAIL);
}

static void an_abort_without_a_handler_is_a_thaw(void **state)
{
	struct rig *g = *state;

	take(g);
	ask(g, HV_VSS_ABORT, ID);
	assert_int_equal(hv_vss_serve(g->v, &no_abort, g, 1000), 1);
	assert_int_equal(g->calls[HV_VSS_ABORT], 1);
}

static void the_end_of_the_driver_calls_abort_if_something_is_held(void **state)
{
	struct rig *g = *state;

	ask(g, HV_VSS_FREEZE, ID);
	assert_int_equal(hv_vss_serve(g->v, &all, g, 1000), 1);
	hang_up(g);
	assert_int_equal(hv_vss_serve(g->v, &all, g, 1000), -EPIPE);
	assert_int_equal(g->calls[HV_VSS_ABORT], 1);
	assert_int_equal(hv_vss_serve(g->v, &all, g, 1000), -EPIPE);
	assert_int_equal(g->calls[HV_VSS_ABORT], 1);
}

static void options_and_errors_have_names(void **state)
{
	(void)state;
	assert_string_equal(hv_vss_opt_name(HV_VSS_CHECK), "check");
	assert_string_equal(hv_vss_opt_name(HV_VSS_ABORT), "abort");
	assert_string_equal(hv_vss_opt_name(99), "unknown");
	assert_non_null(strstr(hv_vss_strerror(-EPIPE), "went away"));
	assert_string_equal(hv_vss_strerror(-ENOMEM), strerror(ENOMEM));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(opening_says_who_we_are),
		TEST(the_name_is_the_programs_unless_given),
		TEST(the_socket_is_found_below_the_run_dir),
		TEST(says_why_it_cannot_open),
		TEST(a_question_is_answered_once),
		TEST(an_answer_that_comes_after_the_next_question_is_stale),
		TEST(a_reason_is_cut_at_a_character),
		TEST(a_note_tells_part_phase_and_time),
		TEST(messages_of_another_size_are_passed_over),
		TEST(a_complaint_is_no_question),
		TEST(a_driver_that_goes_away_aborts_a_hold_once),
		TEST(a_driver_that_goes_away_after_the_end_aborts_nothing),
		TEST(serves_each_question_by_its_handler),
		TEST(a_handler_that_refuses_gives_a_reason),
		TEST(without_handlers_the_answer_is_yes),
		TEST(an_abort_without_a_handler_is_a_thaw),
		TEST(the_end_of_the_driver_calls_abort_if_something_is_held),
		cmocka_unit_test(options_and_errors_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
