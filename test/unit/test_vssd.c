/* test/unit/test_vssd.c - what the daemon says to CHECK, with a mount table
 * that the test makes up. Nothing is opened, flushed or frozen. */
#include "vss/vssd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "vss/vss_devmsg.h"

static struct {
	unsigned n_mounts;
	unsigned answers;
	struct hv_vss_record r;
	char why[48];
} g;

static int many_mounts(struct mounts *ms)
{
	ms->m = calloc(g.n_mounts, sizeof(*ms->m));
	assert_non_null(ms->m);
	ms->n = g.n_mounts;
	for (unsigned i = 0; i < g.n_mounts; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/nowhere/%u", i);
		ms->m[i].dev = ms->m[i].disk = makedev(7, i);
		ms->m[i].path = strdup(path);
		ms->m[i].source = strdup("/dev/none");
		ms->m[i].type = strdup("ext4");
		ms->m[i].options = strdup("rw");
	}
	return 0;
}

static int on_send(void *arg, const void *buf, size_t len)
{
	(void)arg;
	assert_int_equal(vss_record_get(&g.r, buf, len), 0);
	vss_record_text(g.why, &g.r);
	g.answers++;
	return 0;
}

static uint32_t check_with(unsigned n_mounts)
{
	struct hv_vss_record q = { .opt = HV_VSS_CHECK, .msgid = 5 };
	static struct frozen z;
	struct vssd_cfg cfg = { .z = &z, .guardian = -1,
				.read_mounts = many_mounts, .send = on_send };
	uint8_t buf[VSS_RECORD_SIZE];
	struct vssd *d;

	memset(&g, 0, sizeof(g));
	g.n_mounts = n_mounts;
	cfg.loop = loop_new(LOOP_VIRTUAL);
	d = vssd_new(&cfg);
	assert_non_null(d);
	vss_record_put(buf, &q);
	assert_int_equal(vssd_message(d, buf, sizeof(buf)), 0);
	vssd_free(d);
	loop_free(cfg.loop);
	assert_int_equal(g.answers, 1);
	assert_int_equal(g.r.opt, HV_VSS_CHECK);
	assert_int_equal(g.r.msgid, 5);
	return g.r.status;
}

static void more_than_can_be_frozen_is_refused_at_check(void **state)
{
	(void)state;
	assert_int_equal(check_with(FREEZE_MAX_FS), HV_VSS_OK);
	assert_int_equal(check_with(FREEZE_MAX_FS + 1), HV_VSS_FAIL);
	assert_string_equal(g.why, "more than 128 file systems to freeze");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_than_can_be_frozen_is_refused_at_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
