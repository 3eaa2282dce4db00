/* test/unit/test_mounts.c - what is found mounted, on systems laid out as
 * files below a temporary directory: proc, sys and run as the kernel and udev
 * show them. No path of a mount exists there: nothing may look at one. */
#include "vss/mounts.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char root[32];
	struct mounts ms;
	struct plan p;
};

static void put(const struct fixture *f, const char *path, const char *text)
{
	char full[512];
	FILE *out;

	snprintf(full, sizeof(full), "%s/%s", f->root, path);
	for (char *p = full + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(full, 0700);
	}
	out = fopen(full, "w");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static void own(const struct fixture *f, const char *mountinfo)
{
	put(f, "proc/self/mountinfo", mountinfo);
}

/* Another process; one that we may look into has a root. */
static void other(const struct fixture *f, int pid, const char *mountinfo,
		  bool open)
{
	char path[64], full[128];

	snprintf(path, sizeof(path), "proc/%d/mountinfo", pid);
	put(f, path, mountinfo);
	snprintf(full, sizeof(full), "%s/proc/%d/root", f->root, pid);
	if (open)
		assert_int_equal(symlink("/", full), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/mounts.XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	plan_free(&f->p);
	mounts_free(&f->ms);
	nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void look(struct fixture *f)
{
	assert_int_equal(mounts_read_below(&f->ms, f->root), 0);
	assert_int_equal(plan_make(&f->p, &f->ms, NULL, 0), 0);
}

static struct mount *by_dev(struct fixture *f, unsigned ma, unsigned mi)
{
	for (size_t i = 0; i < f->ms.n; i++)
		if (f->ms.m[i].dev == makedev(ma, mi))
			return &f->ms.m[i];
	fail_msg("no super block %u:%u", ma, mi);
	return NULL;
}

static const char *path(struct fixture *f, unsigned ma, unsigned mi)
{
	const char *p = by_dev(f, ma, mi)->path;

	return p ? p : "(none)";
}

static const struct plan_fs *planned(struct fixture *f, const char *where)
{
	for (size_t i = 0; i < f->p.n; i++)
		if (f->p.fs[i].mount->path &&
		    strcmp(f->p.fs[i].mount->path, where) == 0)
			return &f->p.fs[i];
	fail_msg("%s is not in the plan", where);
	return NULL;
}

static const char cloud[] =
	"24 31 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n"
	"25 31 0:23 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw\n"
	"26 31 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=1000k\n"
	"27 26 0:24 / /dev/pts rw,nosuid,noexec,relatime shared:3 - devpts devpts rw\n"
	"28 31 0:25 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,mode=755\n"
	"31 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,discard,errors=remount-ro\n"
	"29 24 0:6 / /sys/kernel/security rw - securityfs securityfs rw\n"
	"33 24 0:27 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n"
	"41 31 8:15 / /boot/efi rw,relatime shared:30 - vfat /dev/sda15 rw,fmask=0077\n";

static void debians_cloud_image(void **state)
{
	struct fixture *f = *state;

	own(f, cloud);
	look(f);
	assert_int_equal(f->ms.n, 9);
	assert_int_equal(f->p.n_freeze, 1);
	assert_int_equal(f->p.n_sync, 1);
	assert_int_equal(f->p.n_veto, 0);
	assert_string_equal(f->p.fs[0].mount->path, "/");
	assert_int_equal(f->p.fs[0].mount->id, 31);
	assert_int_equal(f->p.fs[0].mount->disk, makedev(8, 1));
	assert_string_equal(f->p.fs[1].mount->path, "/boot/efi");
	assert_true(by_dev(f, 8, 1)->root);
	assert_false(by_dev(f, 8, 1)->read_only);
}

static void containers_with_overlay_and_binds(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "30 21 8:17 / /var/lib/docker rw - xfs /dev/sdb1 rw,seclabel\n"
	    "40 30 0:50 / /var/lib/docker/overlay2/abc/merged rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A:/var/lib/docker/overlay2/l/B,upperdir=/var/lib/docker/overlay2/abc/diff,workdir=/var/lib/docker/overlay2/abc/work\n"
	    "41 21 8:17 /volumes/v/_data /srv/v rw - xfs /dev/sdb1 rw,seclabel\n");
	other(f, 4711,
	      "90 80 0:50 / / rw - overlay overlay rw,lowerdir=x,upperdir=y\n"
	      "91 90 8:17 /containers/1/hosts /etc/hosts rw - xfs /dev/sdb1 rw\n"
	      "92 90 0:60 / /proc rw - proc proc rw\n", true);
	look(f);
	assert_int_equal(f->p.n_freeze, 2);
	assert_int_equal(f->p.n_veto, 0);
	assert_string_equal(path(f, 8, 17), "/var/lib/docker");
	assert_int_equal(by_dev(f, 8, 17)->n_mounts, 2);
	assert_string_equal(by_dev(f, 8, 17)->paths[1], "/srv/v");
	assert_int_equal(by_dev(f, 0, 50)->n_backing, 1);
	assert_int_equal(by_dev(f, 0, 50)->backing[0], makedev(8, 17));
	assert_true(by_dev(f, 0, 60)->elsewhere);
	assert_false(by_dev(f, 0, 50)->root);
}

static void btrfs_subvolumes_are_one(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 0:30 /@ / rw - btrfs /dev/sda2 rw,space_cache=v2,subvol=/@\n"
	    "22 21 0:30 /@home /home rw - btrfs /dev/sda2 rw,subvol=/@home\n"
	    "23 21 0:30 /@snap /.snapshots ro - btrfs /dev/sda2 rw,subvol=/@snap\n");
	put(f, "sys/class/block/sda2/dev", "8:2\n");
	put(f, "sys/dev/block/8:2/partition", "2\n");
	look(f);
	assert_int_equal(f->ms.n, 1);
	assert_int_equal(f->p.n_freeze, 1);
	assert_string_equal(path(f, 0, 30), "/");
	assert_int_equal(by_dev(f, 0, 30)->disk, makedev(8, 2));
	assert_int_equal(by_dev(f, 0, 30)->n_mounts, 3);
	assert_false(by_dev(f, 0, 30)->read_only);
}

static void btrfs_lies_on_what_all_its_devices_lie_on(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 8:2 / /x rw - xfs /dev/sda2 rw\n"
	    "23 21 0:40 / /b rw - btrfs /dev/loop0 rw\n");
	put(f, "sys/class/block/loop0/dev", "7:0\n");
	put(f, "sys/dev/block/7:0/loop/backing_file", "/one.img\n");
	put(f, "sys/dev/block/7:1/loop/backing_file", "/x/two.img\n");
	put(f, "sys/fs/btrfs/features/raid1", "0\n");
	put(f, "sys/fs/btrfs/aaaa/devices/sdz/dev", "8:200\n");
	put(f, "sys/fs/btrfs/bbbb/devices/loop0/dev", "7:0\n");
	put(f, "sys/fs/btrfs/bbbb/devices/loop1/dev", "7:1\n");
	look(f);
	assert_int_equal(by_dev(f, 0, 40)->n_backing, 2);
	assert_string_equal(f->p.fs[0].mount->path, "/b");
}

static void a_loop_on_a_loop(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 7:0 / /one rw - ext4 /dev/loop0 rw\n"
	    "23 21 7:1 / /a\\040two rw - xfs /dev/loop1 rw\n"
	    "24 21 259:0 / /part rw - ext4 /dev/loop2p1 rw\n");
	put(f, "sys/dev/block/7:0/loop/backing_file", "/srv/one.img\n");
	put(f, "sys/dev/block/7:1/loop/backing_file", "/one/two.img (deleted)\n");
	put(f, "sys/devices/loop2/loop/backing_file", "/a two/three.img\n");
	put(f, "sys/devices/loop2/loop2p1/partition", "1\n");

	char link[96];

	snprintf(link, sizeof(link), "%s/sys/dev/block/259:0", f->root);
	assert_int_equal(symlink("../../devices/loop2/loop2p1", link), 0);
	look(f);
	assert_int_equal(f->p.levels, 4);
	assert_string_equal(f->p.fs[0].mount->path, "/part");
	assert_string_equal(f->p.fs[1].mount->path, "/a two");
	assert_string_equal(f->p.fs[2].mount->path, "/one");
	assert_string_equal(f->p.fs[3].mount->path, "/");
}

static void lvm_over_a_loop_and_a_disk(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 8:2 / /img rw - ext4 /dev/sda2 rw\n"
	    "23 21 253:1 / /lv rw - xfs /dev/mapper/vg-lv rw\n");
	put(f, "sys/dev/block/253:1/slaves/sdb/dev", "8:16\n");
	put(f, "sys/dev/block/253:1/slaves/dm-0/dev", "253:0\n");
	put(f, "sys/dev/block/253:0/slaves/loop7/dev", "7:7\n");
	put(f, "sys/dev/block/7:7/loop/backing_file", "/img/pv\n");
	look(f);
	assert_int_equal(by_dev(f, 253, 1)->n_backing, 1);
	assert_int_equal(by_dev(f, 253, 1)->backing[0], makedev(8, 2));
	assert_string_equal(f->p.fs[0].mount->path, "/lv");
}

static void devices_below_themselves_end(void **state)
{
	struct fixture *f = *state;

	own(f, "21 1 253:1 / / rw - ext4 /dev/dm-1 rw\n");
	put(f, "sys/dev/block/253:1/slaves/dm-1/dev", "253:1\n");
	look(f);
	assert_int_equal(by_dev(f, 253, 1)->n_backing, 0);
}

static void udev_knows_an_efi_partition(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:2 / / rw - ext4 /dev/sda2 rw\n"
	    "22 21 8:1 / /esp rw - vfat /dev/sda1 rw\n"
	    "23 21 8:17 / /media/stick rw - vfat /dev/sdb1 rw\n");
	put(f, "run/udev/data/b8:1", "S:disk/by-label/EFI\n"
	    "E:ID_PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b\n");
	put(f, "run/udev/data/b8:17",
	    "E:ID_PART_ENTRY_TYPE=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7\n");
	look(f);
	assert_int_equal(planned(f, "/esp")->action, PLAN_SYNC);
	assert_int_equal(planned(f, "/media/stick")->action, PLAN_VETO);
}

static void a_dead_network_mount_is_not_looked_at(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 0:44 / /net rw - nfs4 dead.example:/x rw,vers=4.2,hard\n"
	    "23 22 7:0 / /net/loop rw - ext4 /dev/loop0 rw\n");
	put(f, "sys/dev/block/7:0/loop/backing_file", "/net/x.img\n");
	look(f);
	assert_int_equal(planned(f, "/net")->action, PLAN_SKIP);
	assert_int_equal(planned(f, "/net/loop")->mount->backing[0],
			 makedev(0, 44));
}

static void a_covered_mount_is_reached_by_another_path(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 8:2 / /a rw - ext4 /dev/sda2 rw\n"
	    "23 22 0:90 / /a rw - tmpfs tmpfs rw\n"
	    "24 21 8:2 /deep/dir /some/where/else rw - ext4 /dev/sda2 rw\n");
	look(f);
	assert_string_equal(path(f, 8, 2), "/some/where/else");
	assert_int_equal(by_dev(f, 8, 2)->id, 24);
	assert_int_equal(by_dev(f, 8, 2)->n_mounts, 2);
	assert_string_equal(path(f, 0, 90), "/a");
}

static void a_mount_below_a_cover_is_out_of_reach(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 8:2 / /a rw - ext4 /dev/sda2 rw\n"
	    "23 22 8:3 / /a/b rw - ext4 /dev/sda3 rw\n"
	    "24 22 0:90 / /a rw - tmpfs tmpfs rw\n"		/* covers 22 */
	    "25 21 8:4 / /c/d rw - ext4 /dev/sda4 rw\n"
	    "26 21 0:91 / /c rw - tmpfs tmpfs rw\n"		/* hides 25 */
	    "27 25 8:5 / /c/d/e rw - ext4 /dev/sda5 rw\n"
	    "28 21 8:6 / /cc rw - ext4 /dev/sda6 rw\n");
	look(f);
	assert_string_equal(path(f, 8, 2), "(none)");
	assert_string_equal(path(f, 8, 3), "(none)");
	assert_string_equal(path(f, 8, 4), "(none)");
	assert_string_equal(path(f, 8, 5), "(none)");
	assert_string_equal(path(f, 8, 6), "/cc");
	assert_string_equal(path(f, 0, 91), "/c");
	assert_int_equal(f->p.n_veto, 4);
	assert_true(by_dev(f, 8, 1)->root);
}

static void a_root_on_top_of_the_first_one(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "1 1 0:2 / / rw - rootfs rootfs rw\n"
	    "21 1 8:1 / / ro - ext4 /dev/sda1 rw\n"
	    "22 21 8:2 / /usr ro - ext4 /dev/sda2 ro,data=ordered\n");
	look(f);
	assert_true(by_dev(f, 8, 1)->root);
	assert_false(by_dev(f, 0, 2)->root);
	/* A read-only mount is not a read-only super block. */
	assert_int_equal(planned(f, "/")->action, PLAN_FREEZE);
	assert_int_equal(planned(f, "/usr")->action, PLAN_SKIP);
}

static void the_whole_of_it_is_preferred_to_a_bound_part(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 8:2 /etc/file /f rw - ext4 /dev/sda2 rw\n"
	    "23 21 8:2 / /long/way/down rw - ext4 /dev/sda2 rw\n"
	    "24 21 8:2 / /short rw - ext4 /dev/sda2 rw\n");
	look(f);
	assert_string_equal(path(f, 8, 2), "/short");
	assert_int_equal(f->p.n_freeze, 2);
}

static const char elsewhere[] =
	"500 400 8:1 / / rw - ext4 /dev/sda1 rw\n"
	"501 500 8:33 / /private rw - xfs /dev/sdc1 rw\n";

static void found_in_another_namespace_only(void **state)
{
	struct fixture *f = *state;
	static const struct plan_rule rule = { PLAN_BY_PATH, "/private",
					       PLAN_SYNC };

	own(f, "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	other(f, 1, "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n", true);
	other(f, 77, elsewhere, true);
	other(f, 78, elsewhere, true);
	other(f, 79, "", true);			/* a zombie */
	look(f);
	assert_int_equal(f->ms.n, 2);
	assert_true(by_dev(f, 8, 33)->elsewhere);
	assert_non_null(strstr(path(f, 8, 33), "/root/private"));
	assert_int_equal(by_dev(f, 8, 33)->id, 501);
	assert_int_equal(f->p.n_freeze, 2);

	plan_free(&f->p);
	assert_int_equal(plan_make(&f->p, &f->ms, &rule, 1), 0);
	assert_int_equal(f->p.n_sync, 1);
}

static void a_namespace_that_is_closed_to_us_vetoes(void **state)
{
	struct fixture *f = *state;

	own(f, "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	other(f, 77, elsewhere, false);
	look(f);
	assert_string_equal(path(f, 8, 33), "(none)");
	assert_int_equal(f->p.n_veto, 1);
	assert_string_equal(f->p.fs[1].reason,
			    "only in another mount namespace: out of reach");
}

static void covered_here_and_reached_elsewhere(void **state)
{
	struct fixture *f = *state;

	own(f,
	    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	    "22 21 8:33 / /a rw - xfs /dev/sdc1 rw\n"
	    "23 22 0:80 / /a rw - tmpfs tmpfs rw\n");
	other(f, 77, elsewhere, true);
	look(f);
	assert_string_equal(path(f, 8, 33), "/proc/77/root/private");
	assert_true(by_dev(f, 8, 33)->elsewhere);
	assert_int_equal(f->p.n_veto, 0);
}

static void two_thousand_mounts(void **state)
{
	enum { N = 2000 };
	struct fixture *f = *state;
	char *text = malloc(N * 128);
	size_t n = 0;

	n += (size_t)sprintf(text, "10 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	for (int i = 0; i < N; i++)
		n += (size_t)sprintf(text + n, "%d %d 9:%d / /m%d/%s rw - ext4 /dev/md%d rw\n",
				     i + 100, i % 2 ? i + 99 : 10, i + 1,
				     i - i % 2, i % 2 ? "x/y" : "x", i);
	own(f, text);
	free(text);
	look(f);
	assert_int_equal(f->ms.n, N + 1);
	assert_int_equal(f->p.n_freeze, N + 1);
	assert_int_equal(f->p.levels, 2);
	assert_string_equal(f->p.fs[N].mount->path, "/");
}

static void no_mountinfo_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mounts_read_below(&f->ms, f->root), -ENOENT);
	assert_int_equal(f->ms.n, 0);
}

static void note_layer(void *arg, const char *layer)
{
	strcat(arg, "[");
	strcat(arg, layer);
	strcat(arg, "]");
}

static void layers_of_an_overlay(void **state)
{
	char out[256] = "";

	(void)state;
	mounts_overlay_layers("rw,lowerdir=/a:/b\\:c:/d\\,e,upperdir=/u:x,workdir=/w,index=off",
			      note_layer, out);
	assert_string_equal(out, "[/a][/b:c][/d,e][/u][x]");
	*out = '\0';
	mounts_overlay_layers("ro,lowerdir+=/a,lowerdir+=/b,datadir+=/c",
			      note_layer, out);
	assert_string_equal(out, "[/a][/b][/c]");
	*out = '\0';
	mounts_overlay_layers("lowerdir=", note_layer, out);
	assert_string_equal(out, "[]");
}

static void device_numbers(void **state)
{
	dev_t dev = 0;

	(void)state;
	assert_true(mounts_parse_dev(&dev, "259:1048575"));
	assert_int_equal(dev, makedev(259, 1048575));
	assert_false(mounts_parse_dev(&dev, ""));
	assert_false(mounts_parse_dev(&dev, "7"));
	assert_false(mounts_parse_dev(&dev, "-1:2"));
	assert_false(mounts_parse_dev(&dev, "7:1x"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(debians_cloud_image),
		TEST(containers_with_overlay_and_binds),
		TEST(btrfs_subvolumes_are_one),
		TEST(btrfs_lies_on_what_all_its_devices_lie_on),
		TEST(a_loop_on_a_loop),
		TEST(lvm_over_a_loop_and_a_disk),
		TEST(devices_below_themselves_end),
		TEST(udev_knows_an_efi_partition),
		TEST(a_dead_network_mount_is_not_looked_at),
		TEST(a_covered_mount_is_reached_by_another_path),
		TEST(a_mount_below_a_cover_is_out_of_reach),
		TEST(a_root_on_top_of_the_first_one),
		TEST(the_whole_of_it_is_preferred_to_a_bound_part),
		TEST(found_in_another_namespace_only),
		TEST(a_namespace_that_is_closed_to_us_vetoes),
		TEST(covered_here_and_reached_elsewhere),
		TEST(two_thousand_mounts),
		TEST(no_mountinfo_is_an_error),
		cmocka_unit_test(layers_of_an_overlay),
		cmocka_unit_test(device_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
