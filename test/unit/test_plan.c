/* test/unit/test_plan.c - what is done to a file system, and in which order.
 * The mounts are made by hand; how they are found is test_mounts.c's. */
#include "vss/plan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

enum { MAX = 16 };

struct list {
	struct mount m[MAX];
	struct mounts ms;
	struct plan p;
};

static struct mount *add(struct list *l, const char *path, const char *type,
			 const char *source)
{
	struct mount *m = &l->m[l->ms.n++];

	*m = (struct mount){
		.dev = makedev(8, (unsigned)l->ms.n),
		.disk = *source == '/' ? makedev(8, (unsigned)l->ms.n) : 0,
		.path = (char *)path, .type = (char *)type,
		.source = (char *)source, .options = (char *)"rw",
		.n_mounts = 1,
	};
	m->root = path && strcmp(path, "/") == 0;
	l->ms.m = l->m;
	return m;
}

static void lies_on(struct mount *m, const struct mount *on)
{
	m->backing[m->n_backing++] = on->dev;
}

static void make(struct list *l, const struct plan_rule *rules, size_t n)
{
	plan_free(&l->p);
	assert_int_equal(plan_make(&l->p, &l->ms, rules, n), 0);
}

static const struct plan_fs *of(const struct list *l, const struct mount *m)
{
	for (size_t i = 0; i < l->p.n; i++)
		if (l->p.fs[i].mount == m)
			return &l->p.fs[i];
	fail_msg("a mount is not in the plan");
	return NULL;
}

static void each_type_has_its_default(void **state)
{
	static const struct {
		const char *type, *source, *reason;
		enum plan_action action;
	} cases[] = {
		{ "ext4", "/dev/sda1", "journalling", PLAN_FREEZE },
		{ "xfs", "/dev/sda1", "journalling", PLAN_FREEZE },
		{ "btrfs", "/dev/sda1", "copy-on-write", PLAN_FREEZE },
		{ "bcachefs", "/dev/sda1", "copy-on-write", PLAN_FREEZE },
		{ "ext2", "/dev/sda1", "can be frozen", PLAN_FREEZE },
		{ "tmpfs", "tmpfs", "in memory only", PLAN_SKIP },
		{ "proc", "proc", "no storage", PLAN_SKIP },
		{ "devpts", "devpts", "no storage", PLAN_SKIP },
		{ "nfs4", "server:/export",
		  "not a file system of this machine's disks", PLAN_SKIP },
		{ "cifs", "//server/share",
		  "not a file system of this machine's disks", PLAN_SKIP },
		{ "9p", "hostshare",
		  "not a file system of this machine's disks", PLAN_SKIP },
		{ "squashfs", "/dev/loop3", "read-only", PLAN_SKIP },
		{ "overlay", "overlay",
		  "lies on others, which have their own lines", PLAN_SKIP },
		{ "fuse.sshfs", "user@host:",
		  "served by a program, stored elsewhere", PLAN_SKIP },
		{ "newpseudo", "none", "no device behind it", PLAN_SKIP },
		{ "exfat", "/dev/sdb1",
		  "writable, and exfat cannot be frozen", PLAN_VETO },
		{ "ntfs3", "/dev/sdb1",
		  "writable, and ntfs3 cannot be frozen", PLAN_VETO },
		{ "fuseblk", "/dev/sdb1",
		  "writable, and fuseblk cannot be frozen", PLAN_VETO },
		{ "vfat", "/dev/sdb1",
		  "writable, and vfat cannot be frozen", PLAN_VETO },
		{ "zfs", "tank/data", "ZFS cannot be frozen from outside",
		  PLAN_VETO },
		{ "ext", "/dev/sdb1", "writable, and ext cannot be frozen",
		  PLAN_VETO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct list l = { 0 };
		struct mount *m = add(&l, "/mnt", cases[i].type,
				      cases[i].source);

		make(&l, NULL, 0);
		assert_string_equal(of(&l, m)->reason, cases[i].reason);
		assert_int_equal(of(&l, m)->action, cases[i].action);
		plan_free(&l.p);
	}
}

static void a_read_only_one_is_left_alone(void **state)
{
	struct list l = { 0 };

	(void)state;
	add(&l, "/a", "ext4", "/dev/sda1")->read_only = true;
	add(&l, "/b", "exfat", "/dev/sdb1")->read_only = true;
	make(&l, NULL, 0);
	assert_int_equal(l.p.n_freeze + l.p.n_veto, 0);
	assert_string_equal(l.p.fs[0].reason, "read-only");
	plan_free(&l.p);
}

static void the_efi_partition_is_flushed(void **state)
{
	static const char *const paths[] = { "/boot/efi", "/efi", "/boot" };
	struct list l = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		add(&l, paths[i], "vfat", "/dev/sda1");
	add(&l, "/esp", "vfat", "/dev/sda2")->efi = true;
	make(&l, NULL, 0);
	assert_int_equal(l.p.n_sync, 4);
	assert_string_equal(l.p.fs[0].reason, "EFI system partition");
	plan_free(&l.p);
}

static void what_cannot_be_reached_vetoes(void **state)
{
	struct list l = { 0 };
	struct mount *here = add(&l, NULL, "ext4", "/dev/sda1");
	struct mount *there = add(&l, NULL, "ext4", "/dev/sda2");
	const struct plan_rule skip = { PLAN_BY_SOURCE, "/dev/sda?",
					PLAN_SKIP };

	(void)state;
	there->elsewhere = true;
	make(&l, NULL, 0);
	assert_int_equal(l.p.n_veto, 2);
	assert_string_equal(of(&l, here)->reason,
			    "covered by other mounts: out of reach");
	assert_string_equal(of(&l, there)->reason,
			    "only in another mount namespace: out of reach");
	make(&l, &skip, 1);
	assert_int_equal(l.p.n_veto, 0);
	plan_free(&l.p);
}

static void the_first_rule_that_fits_decides(void **state)
{
	static const struct plan_rule rules[] = {
		{ PLAN_BY_PATH, "/srv/*", PLAN_SKIP },
		{ PLAN_BY_TYPE, "ext*", PLAN_SYNC },
		{ PLAN_BY_SOURCE, "/dev/mapper/vg-*", PLAN_VETO },
		{ PLAN_BY_TYPE, "*", PLAN_FREEZE },
	};
	struct list l = { 0 };
	struct mount *a = add(&l, "/srv/a", "ext4", "/dev/sda1");
	struct mount *b = add(&l, "/srv/a/b", "ext4", "/dev/sda2");
	struct mount *c = add(&l, "/c", "xfs", "/dev/mapper/vg-c");
	struct mount *d = add(&l, "/d", "exfat", "/dev/sdb1");

	(void)state;
	make(&l, rules, 4);
	assert_int_equal(of(&l, a)->action, PLAN_SKIP);
	assert_string_equal(of(&l, a)->reason, "rule: path /srv/*");
	assert_int_equal(of(&l, b)->action, PLAN_SYNC);
	assert_int_equal(of(&l, c)->action, PLAN_VETO);
	assert_int_equal(of(&l, d)->action, PLAN_FREEZE);
	assert_string_equal(of(&l, d)->reason, "rule: type *");
	plan_free(&l.p);
}

static void a_path_rule_fits_any_of_the_mount_points(void **state)
{
	static const struct plan_rule rule = { PLAN_BY_PATH, "/far/away",
					       PLAN_SKIP };
	char *paths[] = { (char *)"/a", (char *)"/far/away" };
	struct list l = { 0 };
	struct mount *m = add(&l, "/a", "ext4", "/dev/sda1");

	(void)state;
	m->paths = paths;
	m->n_mounts = 2;
	make(&l, &rule, 1);
	assert_int_equal(of(&l, m)->action, PLAN_SKIP);
	plan_free(&l.p);
}

static void the_configurations_rules_are_taken_in_order(void **state)
{
	struct conf_rules *conf = calloc(1, sizeof(*conf));
	struct plan_rule rules[CONF_RULES_MAX];

	(void)state;
	conf->n = 2;
	conf->rule[0] = (struct conf_rule){ 1, 1, "ext?" };
	conf->rule[1] = (struct conf_rule){ 3, 2, "/dev/x" };
	assert_int_equal(plan_rules(rules, conf), 2);
	assert_int_equal(rules[0].action, PLAN_SYNC);
	assert_int_equal(rules[0].by, PLAN_BY_TYPE);
	assert_string_equal(rules[0].pattern, "ext?");
	assert_int_equal(rules[1].action, PLAN_VETO);
	assert_int_equal(rules[1].by, PLAN_BY_SOURCE);
	free(conf);
}

static void the_root_is_alone_and_last(void **state)
{
	struct list l = { 0 };
	struct mount *root = add(&l, "/", "ext4", "/dev/sda1");

	(void)state;
	add(&l, "/home", "xfs", "/dev/sda2");
	add(&l, "/var", "btrfs", "/dev/sda3");
	make(&l, NULL, 0);
	assert_int_equal(l.p.levels, 2);
	assert_ptr_equal(l.p.fs[2].mount, root);
	assert_int_equal(l.p.fs[2].level, 0);
	assert_int_equal(l.p.fs[0].level, 1);
	assert_int_equal(l.p.fs[1].level, 1);
	plan_free(&l.p);
}

static void what_lies_on_another_comes_before_it(void **state)
{
	struct list l = { 0 };
	struct mount *root = add(&l, "/", "ext4", "/dev/sda1");
	struct mount *disk = add(&l, "/disk", "xfs", "/dev/sdb1");
	struct mount *loop = add(&l, "/a-loop", "ext4", "/dev/loop0");
	struct mount *deep = add(&l, "/z-deep", "btrfs", "/dev/loop1");

	(void)state;
	lies_on(loop, disk);
	lies_on(deep, loop);
	make(&l, NULL, 0);
	assert_int_equal(l.p.levels, 4);
	assert_ptr_equal(l.p.fs[0].mount, deep);
	assert_ptr_equal(l.p.fs[1].mount, loop);
	assert_ptr_equal(l.p.fs[2].mount, disk);
	assert_ptr_equal(l.p.fs[3].mount, root);
	plan_free(&l.p);
}

static void what_the_root_lies_on_comes_after_it(void **state)
{
	struct list l = { 0 };
	struct mount *host = add(&l, "/host", "ext4", "/dev/sda1");
	struct mount *root = add(&l, "/", "ext4", "/dev/loop0");
	struct mount *home = add(&l, "/home", "ext4", "/dev/sda2");

	(void)state;
	lies_on(root, host);
	make(&l, NULL, 0);
	assert_int_equal(l.p.levels, 3);
	assert_ptr_equal(l.p.fs[0].mount, home);
	assert_ptr_equal(l.p.fs[1].mount, root);
	assert_ptr_equal(l.p.fs[2].mount, host);
	plan_free(&l.p);
}

static void order_passes_through_what_is_not_frozen(void **state)
{
	struct list l = { 0 };
	struct mount *disk = add(&l, "/disk", "ext4", "/dev/sdb1");
	struct mount *overlay = add(&l, "/merged", "overlay", "overlay");
	struct mount *loop = add(&l, "/loop", "ext4", "/dev/loop0");

	(void)state;
	lies_on(overlay, disk);
	lies_on(loop, overlay);
	make(&l, NULL, 0);
	assert_int_equal(l.p.levels, 2);
	assert_ptr_equal(l.p.fs[0].mount, loop);
	assert_ptr_equal(l.p.fs[1].mount, disk);
	assert_int_equal(l.p.fs[0].level, 1);
	plan_free(&l.p);
}

static void a_circle_is_refused(void **state)
{
	struct list l = { 0 };
	struct mount *a = add(&l, "/a", "ext4", "/dev/loop0");
	struct mount *b = add(&l, "/b", "ext4", "/dev/loop1");

	(void)state;
	lies_on(a, b);
	lies_on(b, a);
	assert_int_equal(plan_make(&l.p, &l.ms, NULL, 0), -ELOOP);
	assert_null(l.p.fs);
}

static void confinement_names_what_breaks_it(void **state)
{
	static const struct plan_rule sync = { PLAN_BY_PATH, "/b", PLAN_SYNC };
	struct list l = { 0 };
	struct mount *a = add(&l, "/a", "ext4", "/dev/loop0");
	struct mount *b = add(&l, "/b", "ext4", "/dev/loop1");
	dev_t disks[2] = { a->disk, b->disk };

	(void)state;
	add(&l, "/tmp", "tmpfs", "tmpfs");
	make(&l, &sync, 1);
	assert_null(plan_outside(&l.p, disks, 2));
	assert_ptr_equal(plan_outside(&l.p, disks, 1)->mount, b);
	assert_ptr_equal(plan_outside(&l.p, disks, 0)->mount, a);
	b->disk = 0;			/* no device: nobody's */
	disks[0] = 0;
	assert_non_null(plan_outside(&l.p, disks, 2));
	plan_free(&l.p);
}

static json_t *described(struct list *l, const char *want)
{
	json_t *j;

	make(l, NULL, 0);
	j = plan_json(&l->p);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "summary")),
			    want);
	plan_free(&l->p);
	return j;
}

static void the_json_says_it_in_a_sentence(void **state)
{
	struct list l = { 0 };
	json_t *j, *fs;

	(void)state;
	add(&l, "/", "ext4", "/dev/sda1");
	add(&l, "/home\xff", "xfs", "/dev/sda2");
	add(&l, "/efi", "vfat", "/dev/sda3");
	j = described(&l, "A backup would freeze 2 file systems in 2 steps, flush 1 more, and be consistent.");
	assert_true(json_is_true(json_object_get(j, "consistent")));
	fs = json_array_get(json_object_get(j, "file_systems"), 0);
	assert_int_equal(json_integer_value(json_object_get(fs, "order")), 1);
	assert_string_equal(json_string_value(json_object_get(fs, "path")),
			    "/home?");
	json_decref(j);

	add(&l, "/usb", "exfat", "/dev/sdb1");
	j = described(&l, "A backup would be refused: /usb (writable, and exfat cannot be frozen).");
	assert_true(json_is_false(json_object_get(j, "consistent")));
	fs = json_array_get(json_object_get(j, "file_systems"), 0);
	assert_string_equal(json_string_value(json_object_get(fs, "action")),
			    "veto");
	assert_true(json_is_null(json_object_get(fs, "order")));
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_has_its_default),
		cmocka_unit_test(a_read_only_one_is_left_alone),
		cmocka_unit_test(the_efi_partition_is_flushed),
		cmocka_unit_test(what_cannot_be_reached_vetoes),
		cmocka_unit_test(the_first_rule_that_fits_decides),
		cmocka_unit_test(a_path_rule_fits_any_of_the_mount_points),
		cmocka_unit_test(the_configurations_rules_are_taken_in_order),
		cmocka_unit_test(the_root_is_alone_and_last),
		cmocka_unit_test(what_lies_on_another_comes_before_it),
		cmocka_unit_test(what_the_root_lies_on_comes_after_it),
		cmocka_unit_test(order_passes_through_what_is_not_frozen),
		cmocka_unit_test(a_circle_is_refused),
		cmocka_unit_test(confinement_names_what_breaks_it),
		cmocka_unit_test(the_json_says_it_in_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
