/* test/scenario/vss_random.c [SEED [STEPS]] - the VSS driver under whatever
 * comes, in any order: clients that answer, lie, die, stop reading and come
 * back, a host that asks, hurries, starts over and goes, and time.
 *
 * After each step:  nobody is told the end of a freeze before its beginning,
 *                   nor twice; the host is answered what it asked, once.
 * Now and then everybody is left in peace until no timer runs:
 *                   whoever was told FREEZE has been told the end, every
 *                   request is answered, the driver is IDLE or BROKEN.
 */
#include "vss_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "vss/vss_priv.h"

enum { MAX_APPS = 6, ROUND = 60 };

static uint64_t seed = 20261122;
static unsigned long steps = 60000;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

/* Clients --------------------------------------------------------------- */

static unsigned count_open(const struct vss_rig *g)
{
	unsigned n = 0;

	for (const struct client *c = g->apps; c; c = c->next)
		n += c->open;
	return n;
}

static struct client *any_client(struct vss_rig *g)
{
	unsigned i = rnd(count_open(g) + 1);

	for (struct client *c = g->apps; c; c = c->next)
		if (c->open && i-- == 0)
			return c;
	return g->fs.open ? &g->fs : NULL;
}

static void forget_the_dead(struct vss_rig *g)
{
	struct client **at = &g->apps;

	while (*at) {
		struct client *c = *at;

		if (c->open) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		free(c);
	}
}

static void dies(struct vss_rig *g, struct client *c)
{
	if (c == &g->fs)
		fs_dies(g);
	else
		app_dies(c);
	forget_the_dead(g);
}

static void comes(struct vss_rig *g)
{
	static unsigned number;
	char name[16];

	if (!g->fs.open) {
		fs_opens(g, rnd(3) ? VSS_FORM_RECORD : VSS_FORM_LINUX);
	} else if (count_open(g) < MAX_APPS) {
		snprintf(name, sizeof(name), "app%u", number++);
		app_opens(g, name, rnd(2));
	}
}

/* Something that is an answer only by accident. */
static void lies(struct client *c)
{
	struct hv_vss_record r = c->asked;

	if (c->form == VSS_FORM_LINUX)
		return;
	switch (rnd(4)) {
	case 0:
		r.opt = rnd(20);
		break;
	case 1:
		r.msgid -= rnd(4);
		break;
	case 2:
		r.opt = HV_VSS_ABORT;
		break;
	}
	r.status = rnd(3) * 0x100;
	for (size_t i = 0; i < sizeof(r.reserved); i++)
		r.reserved[i] = (uint8_t)rnd(256);
	client_sends(c, &r);
}

static void talks_nonsense(struct vss_rig *g, struct client *c)
{
	uint8_t junk[80] = { 3 };
	size_t len = rnd(VSS_RECORD_SIZE);

	if (len == VSS_LINUX_SIZE)
		len++;
	c->open = false;
	if (c == &g->fs)
		assert_int_not_equal(vss_daemon_message(g->vss, junk, len), 0);
	else
		assert_int_not_equal(vss_app_message(c->app, junk, len), 0);
	forget_the_dead(g);
	rig_settle(g);
}

static void client_acts(struct vss_rig *g)
{
	struct client *c = any_client(g);
	unsigned what = rnd(40);

	if (!c || what >= 38) {
		comes(g);
	} else if (what < 24) {
		says_yes(c);
	} else if (what < 27) {
		says_no(c, "no");
	} else if (what < 31) {
		lies(c);
	} else if (what < 33) {
		c->deaf = !c->deaf;
	} else if (what < 36) {
		dies(g, c);
	} else if (what < 37) {
		talks_nonsense(g, c);
	}
}

static void all_say_yes(struct vss_rig *g)
{
	for (struct client *c = g->apps; c; c = c->next)
		says_yes(c);
	if (g->fs.open)
		says_yes(&g->fs);
}

/* The host -------------------------------------------------------------- */

static void host_acts(struct vss_rig *g)
{
	static const uint8_t ops[] = {
		VSS_HOT_BACKUP, VSS_FREEZE, VSS_FREEZE, VSS_FREEZE, VSS_THAW,
		VSS_THAW, VSS_GET_DM_INFO, VSS_BU_COMPLETE, 99,
	};
	unsigned what = rnd(30), op = ops[rnd(sizeof(ops))];

	if (what == 0) {
		host_renegotiates(g);
	} else if (what == 1) {
		line_close(&g->line);
		rig_settle(g);
		line_open(&g->line);
		rig_settle(g);
	} else if (host_ic_state_get(g->line.host_ic) != HOST_IC_READY) {
		rig_advance(g, 1000);
	} else if (what < 6 && g->asked - g->answers < 6) {
		host_asks_at_once(g, op);
	} else if (!host_ic_busy(g->line.host_ic)) {
		host_asks(g, op);
	}
}

/* What must hold --------------------------------------------------------- */

static void check_client(const struct client *c)
{
	if (c->ends > c->freezes || c->freezes > c->ends + 1)
		fail_msg("%s: told FREEZE %u times and its end %u times",
			 c->name, c->freezes, c->ends);
}

static void check(struct vss_rig *g)
{
	for (struct client *c = g->apps; c; c = c->next)
		check_client(c);
	/* A request in haste is noted; an answer nobody asked for is not. */
	if (g->line.violations &&
	    !strstr(g->line.violation, "what nobody asked"))
		g->line.violations = 0;
	if (g->line.violations)
		fail_msg("the host: %s", g->line.violation);
	g->trace[0] = g->events_trace[0] = '\0';
}

/* Everybody reads, nobody answers any more, time passes. */
static void leave_in_peace(struct vss_rig *g)
{
	enum vss_state s;

	for (struct client *c = g->apps; c; c = c->next)
		c->deaf = false;
	g->fs.deaf = false;
	for (unsigned i = 0; i < 20; i++)
		rig_advance(g, 60000);
	check(g);
	s = vss_state_get(g->vss);
	if (s != VSS_IDLE && s != VSS_BROKEN)
		fail_msg("stuck: %s", vss_state_name(s));
	for (struct client *c = g->apps; c; c = c->next)
		if (c->freezes != c->ends)
			fail_msg("%s was not told the end", c->name);
	if (g->fs.open && g->vss->fs.frozen)
		fail_msg("the daemon was not told the end");
	if (g->asked != g->answers)
		fail_msg("%u requests, %u answers", g->asked, g->answers);
	if (vss_may_be_frozen(g->vss) && g->fs.form == VSS_FORM_RECORD)
		fail_msg("still frozen, it says");
}

static void run(const struct vss_cfg *cfg)
{
	struct vss_rig *g = vss_rig_new(cfg);
	struct vss_stats s;

	comes(g);
	for (unsigned long i = 1; i <= steps / 2; i++) {
		unsigned what = rnd(20);

		if (what < 4)
			all_say_yes(g);
		else if (what < 13)
			client_acts(g);
		else if (what < 18)
			host_acts(g);
		else
			rig_advance(g, rnd(6) ? rnd(3000) : rnd(70000));
		check(g);
		if (i % ROUND == 0)
			leave_in_peace(g);
	}
	leave_in_peace(g);
	vss_stats_get(g->vss, &s);
	print_message("%u requests, backups: %llu application, %llu file-system, %llu failed\n",
		      g->asked, (unsigned long long)s.app_ok,
		      (unsigned long long)s.app_fs,
		      (unsigned long long)s.app_failed);
	assert_true(steps < 10000 || (s.app_ok && s.app_fs && s.app_failed));
	vss_rig_free(g);
}

static void nothing_is_ever_left_frozen_or_unanswered(void **state)
{
	(void)state;
	print_message("seed %llu, %lu steps\n", (unsigned long long)seed,
		      steps);
	run(&vss_rig_cfg);
}

static void nor_with_the_other_policies(void **state)
{
	struct vss_cfg cfg = vss_rig_cfg;

	(void)state;
	cfg.silent_app_fails = false;
	cfg.dead_app_fails = true;
	run(&cfg);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_ever_left_frozen_or_unanswered),
		cmocka_unit_test(nor_with_the_other_policies),
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0) | 1;
	if (argc > 2)
		steps = strtoul(argv[2], NULL, 0);
	log_open("scenario", LOG_TO_STDERR, true, LOG_LEVEL_ERR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
