/* test/unit/test_pathwait.c - hearing of a path that appears. */
#include "base/pathwait.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	char dir[40];
	struct loop *l;
	struct pathwait *w;
	unsigned heard;
	bool free_it;
};

static void on_path(void *arg)
{
	struct rig *g = arg;

	g->heard++;
	if (g->free_it) {
		pathwait_free(g->w);
		g->w = NULL;
	}
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	strcpy(g->dir, "/tmp/test_pathwait.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	assert_int_equal(chdir(g->dir), 0);
	g->l = loop_new(LOOP_REAL);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	pathwait_free(g->w);
	loop_free(g->l);
	unlink("file");
	unlink("a/b/file");
	rmdir("a/b");
	rmdir("a");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(g->dir), 0);
	free(g);
	return 0;
}

static void watch(struct rig *g, const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	g->w = pathwait_new(g->l, path, on_path, g);
	assert_non_null(g->w);
}

static void touch(const char *name)
{
	int fd = open(name, O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void drain(struct rig *g)
{
	while (loop_once(g->l, false) > 0)
		;
}

static void a_file_that_appears_is_heard_of(void **state)
{
	struct rig *g = *state;

	watch(g, "file");
	touch("a.file");
	touch("files");
	drain(g);
	assert_int_equal(g->heard, 0);
	touch("file");
	drain(g);
	assert_true(g->heard > 0);
	unlink("a.file");
	unlink("files");
}

static void directories_that_do_not_exist_yet_are_followed(void **state)
{
	struct rig *g = *state;

	watch(g, "a/b/file");
	mkdir("a", 0700);
	drain(g);
	mkdir("a/b", 0700);
	drain(g);
	assert_int_equal(g->heard, 0);
	touch("a/b/file");
	drain(g);
	assert_true(g->heard > 0);
}

static void all_of_it_at_once_is_heard_of_too(void **state)
{
	struct rig *g = *state;

	watch(g, "a/b/file");
	mkdir("a", 0700);
	mkdir("a/b", 0700);
	touch("a/b/file");
	drain(g);
	assert_true(g->heard > 0);
}

static void a_directory_that_goes_and_comes_back_is_followed(void **state)
{
	struct rig *g = *state;

	mkdir("a", 0700);
	mkdir("a/b", 0700);
	watch(g, "a/b/file");
	rmdir("a/b");
	rmdir("a");
	drain(g);
	mkdir("a", 0700);
	drain(g);
	mkdir("a/b", 0700);
	touch("a/b/file");
	drain(g);
	assert_true(g->heard > 0);
}

static void a_relative_path_is_relative_to_here(void **state)
{
	struct rig *g = *state;

	g->w = pathwait_new(g->l, "file", on_path, g);
	touch("file");
	drain(g);
	assert_true(g->heard > 0);
}

static void it_may_be_freed_when_it_is_heard_of(void **state)
{
	struct rig *g = *state;

	g->free_it = true;
	watch(g, "file");
	touch("file");
	drain(g);
	assert_int_equal(g->heard, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_file_that_appears_is_heard_of),
		T(directories_that_do_not_exist_yet_are_followed),
		T(all_of_it_at_once_is_heard_of_too),
		T(a_directory_that_goes_and_comes_back_is_followed),
		T(a_relative_path_is_relative_to_here),
		T(it_may_be_freed_when_it_is_heard_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
