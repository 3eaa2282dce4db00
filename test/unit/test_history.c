/* test/unit/test_history.c - the records of backups: two halves, one file. */
#include "vss/history.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/unix_socket.h"
#include "vss/history_file.h"
#include "vss/history_rec.h"
#include "vss/vss_metrics.h"

#include <cmocka.h>

struct rig {
	char dir[40], file[80], metrics[80], ctl[80];
	struct loop *l;
	struct history *h;
	struct unix_listener listener;
	int peer;
	unsigned recorded, warned, cannot;
	char said[2048];		/* the last line of the log */
};

static void on_log(void *arg, enum log_level level, const char *line)
{
	struct rig *g = arg;

	g->warned += level <= LOG_LEVEL_WARN;
	g->cannot += strncmp(line, "cannot write", 12) == 0;
	snprintf(g->said, sizeof(g->said), "%s", line);
}

static void on_recorded(void *arg, json_t *rec)
{
	struct rig *g = arg;

	(void)rec;
	g->recorded++;
}

static void open_history(struct rig *g, size_t keep)
{
	const struct history_cfg cfg = {
		.file = g->file, .metrics = g->metrics, .driver_ctl = g->ctl,
		.keep = keep, .wait_ms = 1000, .recorded = on_recorded,
		.arg = g,
	};

	g->h = history_new(g->l, &cfg);
	assert_non_null(g->h);
	loop_advance(g->l, 0);
}

static void connect_driver(struct rig *g)
{
	char buf[200];

	g->peer = unix_accept(&g->listener);
	assert_true(g->peer >= 0);
	assert_true(read(g->peer, buf, sizeof(buf)) > 0);
}

static int setup(void **state)
{
	static struct rig g;

	g = (struct rig){ .peer = -1 };
	strcpy(g.dir, "/tmp/test_history.XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	snprintf(g.file, sizeof(g.file), "%s/h.jsonl", g.dir);
	snprintf(g.metrics, sizeof(g.metrics), "%s/vss.prom", g.dir);
	snprintf(g.ctl, sizeof(g.ctl), "%s/ctl", g.dir);
	g.l = loop_new(LOOP_VIRTUAL);
	assert_non_null(g.l);
	assert_int_equal(unix_listen(&g.listener, g.ctl, SOCK_STREAM, 0600), 0);
	log_capture(on_log, &g);
	*state = &g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	history_free(g->h);
	log_capture(NULL, NULL);
	if (g->peer >= 0)
		close(g->peer);
	unix_unlisten(&g->listener);
	loop_free(g->l);
	unlink(g->file);
	unlink(g->metrics);
	return rmdir(g->dir);
}

/* What the two sides say -------------------------------------------------- */

static json_t *driver_says(const char *id, json_int_t at_us)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:i, s:s, s:[{s:s, s:I, s:i,"
			 " s:s}], s:[{s:s, s:I, s:i, s:s}]}",
			 "id", id, "boot", "b", "started",
			 "2026-01-02T03:04:05.678Z", "at_us", at_us, "took_us",
			 250000, "result", "application", "host", "op",
			 "freeze", "at_us", at_us, "took_us", 90000, "status",
			 "ok", "daemon", "opt", "freeze", "at_us", at_us,
			 "took_us", 80000, "outcome", "yes");
}

static json_t *daemon_says(const char *id)
{
	return json_pack("{s:s, s:s, s:I, s:[{s:s, s:s, s:s, s:s, s:i, s:s}],"
			 " s:{s:I, s:i, s:s}}",
			 "id", id, "boot", "b", "at_us", (json_int_t)150,
			 "mounts", "path", "/", "type", "ext4", "device",
			 "8:1", "action", "freeze", "freeze_us", 1500,
			 "outcome", "thawed", "window", "frozen_at_us",
			 (json_int_t)6, "frozen_us", 84000, "thawed_by",
			 "daemon");
}

/* A line of the driver's, and all that follows from it. */
static void send_line(struct rig *g, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);
	size_t len = strlen(text), at = 0;

	json_decref(line);
	text[len++] = '\n';
	while (at < len) {
		ssize_t n = write(g->peer, text + at, len - at);

		if (n > 0)
			at += (size_t)n;
		else
			assert_int_equal(errno, EAGAIN);
		loop_once(g->l, false);
	}
	free(text);
	while (loop_once(g->l, false) > 0)
		;
}

static void driver_part(struct rig *g, json_t *rec)
{
	send_line(g, json_pack("{s:o}", "backup", rec));
}

static size_t unsaved(struct rig *g)
{
	json_t *s = history_status(g->h);
	size_t n = (size_t)history_int(s, "unsaved");

	json_decref(s);
	return n;
}

/* Until the writer has written it all. */
static void written(struct rig *g)
{
	while (unsaved(g))
		loop_once(g->l, true);
}

static json_t *in_file(struct rig *g, size_t n)
{
	json_t *all = history_file_read(g->file, 100000, NULL);

	assert_non_null(all);
	assert_int_equal(json_array_size(all), n);
	return all;
}

static void assert_whole(json_t *rec)
{
	assert_string_equal(history_text(rec, "result"), "application");
	assert_int_equal(json_array_size(json_object_get(rec, "mounts")), 1);
	assert_int_equal(json_array_size(json_object_get(rec, "host")), 1);
	assert_string_equal(history_text(json_object_get(rec, "window"),
					 "thawed_by"), "daemon");
}

/* Halves ------------------------------------------------------------------ */

static void the_halves_meet_the_driver_first(void **state)
{
	struct rig *g = *state;
	json_t *all;

	open_history(g, 0);
	connect_driver(g);
	driver_part(g, driver_says("7", 100));
	assert_int_equal(g->recorded, 0);
	history_part(g->h, daemon_says("7"));
	assert_int_equal(g->recorded, 1);
	written(g);
	all = in_file(g, 1);
	assert_whole(json_array_get(all, 0));
	json_decref(all);
	assert_string_equal(g->said, "backup 7: application-consistent, frozen "
			    "for 0.084 s, 1 file system frozen and thawed");
}

static void the_halves_meet_the_daemon_first(void **state)
{
	struct rig *g = *state;
	json_t *all;

	open_history(g, 0);
	connect_driver(g);
	history_part(g->h, daemon_says("7"));
	driver_part(g, driver_says("8", 90));	/* another's half */
	assert_int_equal(g->recorded, 0);
	driver_part(g, driver_says("7", 100));
	assert_int_equal(g->recorded, 1);
	written(g);
	all = in_file(g, 1);
	assert_whole(json_array_get(all, 0));
	json_decref(all);
}

static void a_backup_that_never_came_to_the_daemon_waits_for_nobody(void **state)
{
	struct rig *g = *state;
	json_t *rec = driver_says("9", 100);

	json_object_set_new(rec, "result", json_string("failed"));
	json_object_set_new(rec, "why", json_string("pg: \x1b[2J disk full"));
	json_object_del(rec, "daemon");
	open_history(g, 0);
	connect_driver(g);
	driver_part(g, rec);
	assert_int_equal(g->recorded, 1);
	written(g);
	assert_string_equal(g->said, "backup 9: failed: "
			    "\"pg: \\x1b[2J disk full\"");
}

static void without_the_driver_it_is_interrupted(void **state)
{
	struct rig *g = *state;
	json_t *all, *part = daemon_says("7");

	json_object_set_new(json_object_get(part, "window"), "thawed_by",
			    json_string("guardian"));
	open_history(g, 0);
	history_part(g->h, part);
	loop_advance(g->l, 999);
	assert_int_equal(g->recorded, 0);
	loop_advance(g->l, 1);
	assert_int_equal(g->recorded, 1);
	written(g);
	all = in_file(g, 1);
	assert_string_equal(history_text(json_array_get(all, 0), "result"),
			    "interrupted");
	json_decref(all);
	assert_non_null(strstr(g->said, "thawed by the guardian"));
	assert_int_equal(g->warned, 1);
}

static void without_the_daemon_the_driver_s_word_stands(void **state)
{
	struct rig *g = *state;
	json_t *all;

	open_history(g, 0);
	connect_driver(g);
	driver_part(g, driver_says("7", 100));
	loop_advance(g->l, 1000);
	written(g);
	all = in_file(g, 1);
	assert_string_equal(history_text(json_array_get(all, 0), "result"),
			    "application");
	json_decref(all);
}

static void a_half_that_comes_late_makes_it_whole(void **state)
{
	struct rig *g = *state;
	json_t *all;
	size_t lines;

	open_history(g, 0);
	connect_driver(g);
	history_part(g->h, daemon_says("7"));
	loop_advance(g->l, 1000);
	driver_part(g, driver_says("8", 200));
	loop_advance(g->l, 1000);
	driver_part(g, driver_says("7", 100));
	history_part(g->h, daemon_says("8"));
	written(g);
	all = history_file_read(g->file, 10, &lines);
	assert_int_equal(lines, 4);
	assert_int_equal(json_array_size(all), 2);
	assert_whole(json_array_get(all, 0));
	assert_whole(json_array_get(all, 1));
	json_decref(all);
}

static void what_the_driver_tells_again_is_told_once(void **state)
{
	struct rig *g = *state;
	json_t *list = json_array(), *rec;

	open_history(g, 0);
	connect_driver(g);
	history_part(g->h, daemon_says("7"));
	driver_part(g, driver_says("7", 100));
	driver_part(g, driver_says("7", 100));
	written(g);
	history_free(g->h);		/* and after a restart */
	close(g->peer);
	open_history(g, 0);
	connect_driver(g);
	json_array_append_new(list, driver_says("7", 100));
	rec = driver_says("7", 9000000);	/* a driver that counts anew */
	json_object_del(rec, "daemon");
	json_array_append_new(list, rec);
	send_line(g, json_pack("{s:b, s:o}", "ok", 1, "backups", list));
	assert_int_equal(g->recorded, 2);
	written(g);
	json_decref(in_file(g, 2));
}

static void the_same_id_of_a_driver_started_anew_is_another_backup(void **state)
{
	struct rig *g = *state;
	json_t *all;

	open_history(g, 0);
	connect_driver(g);
	history_part(g->h, daemon_says("7"));
	driver_part(g, driver_says("7", 60000000));
	loop_advance(g->l, 1000);
	written(g);
	all = in_file(g, 2);
	assert_string_equal(history_text(json_array_get(all, 0), "result"),
			    "interrupted");
	assert_null(json_object_get(json_array_get(all, 1), "mounts"));
	json_decref(all);
}

static void parts_of_one_id_add_up(void **state)
{
	struct rig *g = *state;
	json_t *all;

	open_history(g, 0);
	history_part(g->h, json_pack("{s:s, s:s, s:s, s:[]}", "id", "7",
				     "boot", "b", "error", "/x cannot freeze",
				     "mounts"));
	history_part(g->h, daemon_says("7"));
	loop_advance(g->l, 1000);
	written(g);
	all = in_file(g, 1);
	assert_string_equal(history_text(json_array_get(all, 0), "why"),
			    "/x cannot freeze");
	assert_int_equal(json_array_size(json_object_get(
		json_array_get(all, 0), "mounts")), 1);
	json_decref(all);
}

/* The window -------------------------------------------------------------- */

static void nothing_happens_while_it_is_held(void **state)
{
	struct rig *g = *state;
	struct stat st;

	open_history(g, 0);
	connect_driver(g);
	g->said[0] = '\0';
	history_hold(g->h, 1000);
	assert_true(write(g->peer, "{\"backup\":{}}\n", 14) == 14);
	history_part(g->h, daemon_says("7"));
	unlink(g->metrics);
	loop_advance(g->l, 5000);
	while (loop_once(g->l, false) > 0)
		;
	assert_int_equal(g->recorded, 0);
	assert_int_equal(stat(g->file, &st), -1);
	assert_int_equal(stat(g->metrics, &st), -1);
	assert_string_equal(g->said, "");
	history_release(g->h);
	assert_int_equal(g->recorded, 1);
	written(g);
	json_decref(in_file(g, 1));
}

static void whoever_leaves_writes_what_is_waiting(void **state)
{
	struct rig *g = *state;

	open_history(g, 0);
	history_part(g->h, daemon_says("7"));
	history_hold(g->h, 0);
	history_free(g->h);
	g->h = NULL;
	json_decref(in_file(g, 1));
}

/* Foreign bytes ----------------------------------------------------------- */

static void a_hostile_driver_ends_in_nothing_but_bounds(void **state)
{
	static const char *const lines[] = {
		"{\"backup\":7}", "{\"backup\":null}", "{\"backups\":{}}",
		"{\"backups\":[1,[],{},{\"id\":4},{\"id\":\"\"}]}",
		"{\"backup\":{\"id\":\"1\",\"result\":\"interrupted\"}}",
		"{\"backup\":{\"id\":\"2\",\"result\":\"failed\",\"why\":[],"
		"\"host\":\"no\",\"daemon\":{\"opt\":1},\"applications\":[7,"
		"{\"steps\":[{\"opt\":7,\"at_us\":-1}],\"notes\":3}],"
		"\"at_us\":1.5,\"mounts\":[{\"path\":\"/forged\"}],"
		"\"evil\":true}}",
		"{\"error\":\"go away\\n<0>forged\"}",
	};
	struct rig *g = *state;
	json_t *all, *rec;

	open_history(g, 0);
	connect_driver(g);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		send_line(g, json_loads(lines[i], 0, NULL));
	assert_int_equal(g->recorded, 1);
	written(g);
	all = in_file(g, 1);
	rec = json_array_get(all, 0);
	assert_string_equal(history_text(rec, "id"), "2");
	assert_null(json_object_get(rec, "mounts"));
	assert_null(json_object_get(rec, "evil"));
	assert_null(json_object_get(rec, "why"));
	assert_null(strchr(g->said, '\n'));
	json_decref(all);
}

static void a_huge_record_is_cut_and_says_so(void **state)
{
	json_t *rec = driver_says("7", 100), *apps = json_array(), *clean;
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + HISTORY_TEXT_MAX - 1, "\xc3\xa9", 2);
	for (unsigned i = 0; i < 1000; i++)
		json_array_append_new(apps, json_pack("{s:s, s:[]}", "name",
						      text, "steps"));
	json_object_set_new(rec, "applications", apps);
	json_object_set_new(rec, "why", json_string(text));
	clean = history_rec_clean(rec);
	assert_non_null(clean);
	assert_int_equal(strlen(history_text(clean, "why")),
			 HISTORY_TEXT_MAX - 1);
	assert_true(json_dumpb(clean, NULL, 0, JSON_COMPACT) <=
		    HISTORY_LINE_MAX);
	assert_true(history_int(clean, "left_out") >= 1000 - HISTORY_APPS_MAX);
	json_decref(clean);
	json_decref(rec);
}

/* The file ---------------------------------------------------------------- */

static void put_file(struct rig *g, const char *text, size_t len)
{
	int fd = open(g->file, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static void links_and_pipes_are_not_written_to(void **state)
{
	static const char line[] = "{\"id\":\"1\",\"result\":\"failed\"}\n";
	struct rig *g = *state;
	char other[300];
	struct stat st;

	snprintf(other, sizeof(other), "%s.other", g->file);
	put_file(g, "", 0);
	assert_int_equal(rename(g->file, other), 0);
	assert_int_equal(symlink(other, g->file), 0);
	assert_int_equal(history_file_append(g->file, line, strlen(line)),
			 -ELOOP);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(other);
	unlink(g->file);
	assert_int_equal(mkfifo(g->file, 0600), 0);
	assert_int_equal(history_file_append(g->file, line, strlen(line)),
			 -ENOTSUP);
	unlink(g->file);
}

static void a_torn_line_is_passed_over_and_cut_off(void **state)
{
	static const char first[] = "{\"id\":\"1\",\"result\":\"failed\"}\n";
	static const char second[] = "{\"id\":\"2\",\"result\":\"failed\"}\n";
	static const char third[] = "{\"id\":\"3\",\"result\":\"failed\"}\n";
	struct rig *g = *state;
	char text[200];
	json_t *all;

	for (size_t torn = 0; torn < strlen(second); torn++) {
		size_t len = strlen(first) + torn;

		memcpy(text, first, strlen(first));
		memcpy(text + strlen(first), second, torn);
		put_file(g, text, len);
		json_decref(in_file(g, 1));
		assert_int_equal(history_file_append(g->file, third,
						     strlen(third)), 0);
		all = in_file(g, 2);
		assert_string_equal(history_text(json_array_get(all, 1), "id"),
				    "3");
		json_decref(all);
	}
}

static void lines_that_are_no_records_do_not_hide_the_others(void **state)
{
	static const char text[] =
		"rubbish\n\n[]\n{\"id\":\"1\",\"result\":\"failed\"}\n"
		"{\"id\":7}\n\xff\xfe\n\0\n{\"id\":\"2\"}\n{\"id\":\"2";
	struct rig *g = *state;

	put_file(g, text, sizeof(text) - 1);
	json_decref(in_file(g, 2));
}

static void ten_thousand_records_stay_within_bounds(void **state)
{
	enum { KEEP = 500, N = 10000 };
	struct rig *g = *state;
	char id[16];
	json_t *all;
	size_t lines;

	open_history(g, KEEP);
	for (unsigned i = 1; i <= N; i++) {
		json_t *rec = daemon_says("0");

		snprintf(id, sizeof(id), "%u", i);
		json_object_set_new(rec, "id", json_string(id));
		history_part(g->h, rec);
		if (i % 100 == 0) {	/* told as they are */
			loop_advance(g->l, 1000);
			written(g);
		}
	}
	all = history_file_read(g->file, N, &lines);
	assert_in_range(lines, KEEP, 2 * KEEP);
	assert_int_equal(json_array_size(all), lines);
	assert_string_equal(history_text(json_array_get(all, lines - 1), "id"),
			    "10000");
	json_decref(all);
}

static void a_full_disk_is_said_once_and_tried_again(void **state)
{
	const struct rlimit none = { 0, RLIM_INFINITY };
	struct rlimit old;
	struct rig *g = *state;

	open_history(g, 0);
	loop_once(g->l, true);		/* the first metrics */
	getrlimit(RLIMIT_FSIZE, &old);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	for (unsigned i = 0; i < 3; i++) {
		history_part(g->h, daemon_says(i == 0 ? "1" : i == 1 ? "2" :
					       "3"));
		loop_advance(g->l, 1000);
		loop_once(g->l, true);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(unsaved(g), 3);
	assert_int_equal(g->cannot, 2);	/* the file, and the metrics */
	loop_advance(g->l, 30000);
	written(g);
	json_decref(in_file(g, 3));
}

/* Metrics ----------------------------------------------------------------- */

static void the_metrics_are_these(void **state)
{
	static const char want[] =
#include "test_history_metrics.h"
	struct vss_metrics *m = vss_metrics_new();
	json_t *driver = driver_says("7", 100), *daemon = daemon_says("7");
	json_t *rec = history_rec_join(driver, daemon);
	char *text;

	(void)state;
	json_object_set_new(json_array_get(json_object_get(rec, "mounts"), 0),
			    "path", json_string("/a \"b\"\\c\nd"));
	vss_metrics_add(m, rec);
	vss_metrics_add(m, rec);	/* told again: counted once */
	text = vss_metrics_text(m, 2);
	assert_string_equal(text, want);
	free(text);
	vss_metrics_free(m);
	json_decref(driver);
	json_decref(daemon);
	json_decref(rec);
}

static void counters_go_on_after_a_restart(void **state)
{
	struct vss_metrics *m = vss_metrics_new();
	json_t *rec = daemon_says("7");
	char *text;

	(void)state;
	json_object_set_new(json_object_get(rec, "window"), "thawed_by",
			    json_string("restart"));
	json_object_set_new(rec, "result", json_string("interrupted"));
	vss_metrics_add(m, rec);
	text = vss_metrics_text(m, 0);
	vss_metrics_free(m);
	m = vss_metrics_new();
	vss_metrics_load(m, text, strlen(text));
	vss_metrics_load(m, "hyperv_vss_vetoes_total nan\nx\n{} 3\n", 37);
	free(text);
	vss_metrics_add(m, rec);
	text = vss_metrics_text(m, 0);
	assert_non_null(strstr(text, "\nhyperv_vss_guardian_thaws_total 2\n"));
	assert_non_null(strstr(text, "{result=\"interrupted\"} 2\n"));
	assert_non_null(strstr(text, "\nhyperv_vss_vetoes_total 0\n"));
	free(text);
	vss_metrics_free(m);
	json_decref(rec);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_halves_meet_the_driver_first),
		TEST(the_halves_meet_the_daemon_first),
		TEST(a_backup_that_never_came_to_the_daemon_waits_for_nobody),
		TEST(without_the_driver_it_is_interrupted),
		TEST(without_the_daemon_the_driver_s_word_stands),
		TEST(a_half_that_comes_late_makes_it_whole),
		TEST(what_the_driver_tells_again_is_told_once),
		TEST(the_same_id_of_a_driver_started_anew_is_another_backup),
		TEST(parts_of_one_id_add_up),
		TEST(nothing_happens_while_it_is_held),
		TEST(whoever_leaves_writes_what_is_waiting),
		TEST(a_hostile_driver_ends_in_nothing_but_bounds),
		cmocka_unit_test(a_huge_record_is_cut_and_says_so),
		TEST(links_and_pipes_are_not_written_to),
		TEST(a_torn_line_is_passed_over_and_cut_off),
		TEST(lines_that_are_no_records_do_not_hide_the_others),
		TEST(ten_thousand_records_stay_within_bounds),
		TEST(a_full_disk_is_said_once_and_tried_again),
		cmocka_unit_test(the_metrics_are_these),
		cmocka_unit_test(counters_go_on_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
