/* test/unit/test_hooks.c - which hooks are found, and which may be run. */
#include "app/hooks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
	char dir[40];
	struct hooks hs;
	char why[160];
};

static const char *in(const struct rig *g, const char *name)
{
	static char path[4][128];
	static unsigned n;
	char *p = path[n++ % 4];

	snprintf(p, 128, "%s/%s", g->dir, name);
	return p;
}

static void make(const struct rig *g, const char *name, mode_t mode)
{
	FILE *f = fopen(in(g, name), "w");

	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(in(g, name), mode), 0);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	strcpy(g->dir, "/tmp/test_hooks.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;
	char cmd[80];

	hooks_free(&g->hs);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", g->dir);
	assert_int_equal(system(cmd), 0);
	free(g);
	return 0;
}

static int find(struct rig *g)
{
	return hooks_find(&g->hs, g->dir, HOOK_NATIVE, geteuid(), NULL);
}

static int check(struct rig *g, const char *name)
{
	g->why[0] = '\0';
	return hook_path_check(in(g, name), geteuid(), g->why,
			       sizeof(g->why));
}

static void each_kind_is_called_as_its_authors_expect(void **state)
{
	(void)state;
	assert_string_equal(hook_argument(HOOK_NATIVE, HOOK_CHECK), "check");
	assert_string_equal(hook_argument(HOOK_NATIVE, HOOK_FAIL), "fail");
	assert_null(hook_argument(HOOK_QEMU_GA, HOOK_CHECK));
	assert_string_equal(hook_argument(HOOK_QEMU_GA, HOOK_FREEZE),
			    "freeze");
	assert_string_equal(hook_argument(HOOK_QEMU_GA, HOOK_FAIL), "thaw");
	assert_null(hook_argument(HOOK_OPEN_VM_TOOLS, HOOK_CHECK));
	assert_string_equal(hook_argument(HOOK_OPEN_VM_TOOLS, HOOK_THAW),
			    "thaw");
	assert_string_equal(hook_argument(HOOK_OPEN_VM_TOOLS, HOOK_FAIL),
			    "freezeFail");
	assert_int_equal(hook_kind_parse("open-vm-tools"), HOOK_OPEN_VM_TOOLS);
	assert_int_equal(hook_kind_parse("other"), -EINVAL);
}

static void hooks_come_in_the_order_of_their_names(void **state)
{
	struct rig *g = *state;
	unsigned left_out = 0;

	make(g, "20-b", 0755);
	make(g, "10-a", 0700);
	make(g, "30-c.sh", 0755);
	make(g, "40-no-hook", 0644);
	make(g, "10-a.dpkg-old", 0755);
	make(g, "10-a~", 0755);
	make(g, ".hidden", 0755);
	make(g, "README", 0755);
	assert_int_equal(mkdir(in(g, "qemu-ga.d"), 0755), 0);
	assert_int_equal(hooks_find(&g->hs, g->dir, HOOK_NATIVE, geteuid(),
				    &left_out), 0);
	assert_int_equal(g->hs.n, 3);
	assert_string_equal(g->hs.h[0].name, "10-a");
	assert_string_equal(g->hs.h[1].name, "20-b");
	assert_string_equal(g->hs.h[2].name, "30-c.sh");
	assert_string_equal(g->hs.h[2].refused, "");
	assert_int_equal(left_out, 1);
}

static void a_missing_directory_has_no_hooks(void **state)
{
	struct rig *g = *state;

	assert_int_equal(hooks_find(&g->hs, in(g, "none"), HOOK_QEMU_GA,
				    geteuid(), NULL), 0);
	make(g, "file", 0755);
	assert_int_equal(hooks_find(&g->hs, in(g, "file"), HOOK_QEMU_GA,
				    geteuid(), NULL), -ENOTDIR);
	assert_int_equal(g->hs.n, 0);
}

static void a_hook_that_others_can_write_is_refused(void **state)
{
	struct rig *g = *state;

	make(g, "ours", 0755);
	make(g, "groups", 0775);
	make(g, "worlds", 0757);
	assert_int_equal(find(g), 0);
	assert_int_equal(g->hs.n, 3);
	assert_non_null(strstr(g->hs.h[0].refused, "groups is writable"));
	assert_string_equal(g->hs.h[1].refused, "");
	assert_non_null(strstr(g->hs.h[2].refused, "worlds is writable"));
}

static void a_directory_that_others_can_write_spoils_what_is_in_it(void **state)
{
	struct rig *g = *state;

	assert_int_equal(mkdir(in(g, "d"), 0755), 0);
	make(g, "d/hook", 0755);
	assert_int_equal(check(g, "d/hook"), 0);
	assert_int_equal(chmod(in(g, "d"), 0775), 0);
	assert_int_equal(check(g, "d/hook"), -EPERM);
	assert_non_null(strstr(g->why, "/d is writable for others"));
}

static void another_users_hook_is_refused(void **state)
{
	struct rig *g = *state;

	if (geteuid() != 0)
		skip();
	make(g, "hook", 0755);
	assert_int_equal(chown(in(g, "hook"), 12345, 0), 0);
	assert_int_equal(check(g, "hook"), -EPERM);
	assert_non_null(strstr(g->why, "hook is not root's"));
	assert_int_equal(chown(in(g, "hook"), 0, 0), 0);
	assert_int_equal(chown(g->dir, 12345, 0), 0);
	assert_int_equal(check(g, "hook"), -EPERM);
	assert_int_equal(chown(g->dir, 0, 0), 0);
}

static void a_link_is_as_safe_as_all_that_it_leads_through(void **state)
{
	struct rig *g = *state;

	assert_int_equal(mkdir(in(g, "safe"), 0755), 0);
	assert_int_equal(mkdir(in(g, "open"), 0755), 0);
	make(g, "safe/target", 0755);
	assert_int_equal(symlink("safe/target", in(g, "relative")), 0);
	assert_int_equal(symlink(in(g, "safe/target"), in(g, "absolute")), 0);
	assert_int_equal(symlink("../safe/../safe/target",
				 in(g, "open/step")), 0);
	assert_int_equal(symlink("open/step", in(g, "through")), 0);
	assert_int_equal(check(g, "relative"), 0);
	assert_int_equal(check(g, "absolute"), 0);
	assert_int_equal(check(g, "through"), 0);
	/* the link in there could be another one tomorrow */
	assert_int_equal(chmod(in(g, "open"), 0777), 0);
	assert_int_equal(check(g, "through"), -EPERM);
	assert_non_null(strstr(g->why, "/open is writable"));
	assert_int_equal(chmod(in(g, "safe/target"), 0775), 0);
	assert_int_equal(check(g, "relative"), -EPERM);
}

static void links_that_lead_nowhere_or_round_are_refused(void **state)
{
	struct rig *g = *state;

	assert_int_equal(symlink("b", in(g, "a")), 0);
	assert_int_equal(symlink("a", in(g, "b")), 0);
	assert_int_equal(symlink("none", in(g, "dangling")), 0);
	assert_int_equal(check(g, "a"), -ELOOP);
	assert_int_equal(check(g, "dangling"), -ENOENT);
	assert_int_equal(hook_path_check("relative", geteuid(), g->why,
					 sizeof(g->why)), -EINVAL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_called_as_its_authors_expect),
		TEST(hooks_come_in_the_order_of_their_names),
		TEST(a_missing_directory_has_no_hooks),
		TEST(a_hook_that_others_can_write_is_refused),
		TEST(a_directory_that_others_can_write_spoils_what_is_in_it),
		TEST(another_users_hook_is_refused),
		TEST(a_link_is_as_safe_as_all_that_it_leads_through),
		TEST(links_that_lead_nowhere_or_round_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
