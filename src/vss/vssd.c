/* vss/vssd.c - see vssd.h.
 *
 *   IDLE -> FREEZING -> FROZEN -> (THAWING) -> SETTLING -> IDLE
 *
 * vss/freeze.h has the steps within; here is who asked, and who has to be
 * told. A question is answered once. An ABORT takes the place of the question
 * in hand: the driver waits for the ABORT's answer then and for no other.
 *
 * SETTLING: the driver has its answer, yet a file system still hangs in
 * FIFREEZE or FITHAW. We stay quiet and busy until that is over, so that what
 * is reported is how it ended. */
#include "vss/vssd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vss/vss_devmsg.h"
#include "vss/vssd_report.h"

enum {
	ANSWER_MS = 60000,	/* if the driver does not say */
	FROZEN_MS = 60000,
	SETTLE_MS = 100,
};

struct vssd {
	struct vssd_cfg cfg;
	struct freeze *freeze;
	struct mounts ms;
	struct plan plan;
	bool planned;
	struct hv_vss_record q;		/* in hand; opt 0: none */
	uint64_t msgid;			/* of the FREEZE */
	bool busy, quiet, held, alone, ended;
	bool lost;			/* we thawed unasked: THAW has to fail */
	char why[160];			/* of the freeze in hand, or lost */
	struct loop_timer settle;
	uint64_t checks, freezes, refused, lost_count;
};

/* The plan ----------------------------------------------------------------- */

static void drop_plan(struct vssd *d)
{
	if (d->planned) {
		plan_free(&d->plan);
		mounts_free(&d->ms);
	}
	d->planned = false;
}

static int make_plan(struct vssd *d)
{
	int err;

	drop_plan(d);
	memset(&d->ms, 0, sizeof(d->ms));
	memset(&d->plan, 0, sizeof(d->plan));
	err = d->cfg.read_mounts(&d->ms);
	if (err)
		return err;
	err = plan_make(&d->plan, &d->ms, d->cfg.rules, d->cfg.n_rules);
	if (err) {
		mounts_free(&d->ms);
		return err;
	}
	d->planned = true;
	return 0;
}

static const char *path_of(const struct plan_fs *p)
{
	return p->mount->path ? p->mount->path : p->mount->source;
}

static const struct plan_fs *outside(const struct vssd *d)
{
	return d->cfg.confined ? plan_outside(&d->plan, d->cfg.confine,
					      d->cfg.n_confine) : NULL;
}

/* May it be done? 0, or -EPERM and why. */
static int judge_plan(const struct vssd *d, char *why, size_t cap)
{
	const struct plan_fs *out = outside(d);

	if (out) {
		snprintf(why, cap, "%s: outside of --confine", path_of(out));
		return -EPERM;
	}
	for (size_t i = 0; i < d->plan.n; i++) {
		const struct plan_fs *p = &d->plan.fs[i];

		if (p->action != PLAN_VETO)
			continue;
		snprintf(why, cap, "%s: %s", path_of(p), p->reason);
		return -EPERM;
	}
	if (d->plan.n_freeze + d->plan.n_sync > FREEZE_MAX_FS) {
		snprintf(why, cap, "more than %d file systems to freeze",
			 FREEZE_MAX_FS);
		return -E2BIG;
	}
	return 0;
}

static int plan_and_judge(struct vssd *d, char *why, size_t cap)
{
	const char *hanging = freeze_hanging(d->freeze);
	int err;

	if (hanging) {
		snprintf(why, cap, "%s: still hangs from before", hanging);
		return -EBUSY;
	}
	err = make_plan(d);
	if (err) {
		snprintf(why, cap, "no plan: %s", strerror(-err));
		return err;
	}
	return judge_plan(d, why, cap);
}

/* Answers ------------------------------------------------------------------ */

static void send_record(struct vssd *d, const struct hv_vss_record *r)
{
	uint8_t buf[VSS_RECORD_SIZE];

	vss_record_put(buf, r);
	d->cfg.send(d->cfg.arg, buf, sizeof(buf));
}

static void answer(struct vssd *d, const struct hv_vss_record *q,
		   const char *why)
{
	struct hv_vss_record r = {
		.opt = q->opt, .msgid = q->msgid,
		.status = why[0] ? HV_VSS_FAIL : HV_VSS_OK,
	};

	vss_record_set_text(&r, why);
	send_record(d, &r);
}

/* Nobody asked, and yet it is over. */
static void tell_lost(struct vssd *d)
{
	const struct hv_vss_record q = {
		.opt = HV_VSS_ABORT, .msgid = d->msgid,
	};

	answer(d, &q, d->why);
}

/* The end of a freeze ------------------------------------------------------- */

static void be_quiet(struct vssd *d, bool on)
{
	if (d->quiet != on)
		d->cfg.quiet(d->cfg.arg, on);
	d->quiet = on;
}

static void report(struct vssd *d, json_t *r)
{
	if (d->cfg.report)
		d->cfg.report(d->cfg.arg, r);
	else
		json_decref(r);
}

static void last_error(struct vssd *d, const char *why)
{
	if (d->cfg.last_error)
		d->cfg.last_error(d->cfg.arg, why[0] ? why : NULL);
}

static void settled(void *arg)
{
	struct vssd *d = arg;

	if (frozen_count(d->cfg.z)) {
		loop_timer_set(&d->settle, SETTLE_MS);
		return;
	}
	loop_timer_cancel(&d->settle);
	d->ended = false;
	be_quiet(d, false);
	report(d, vssd_report_freeze(d->cfg.z, &d->plan, d->held, d->why));
	atomic_store(&d->cfg.z->told, 1);
	last_error(d, d->why);
	d->busy = false;
	if (d->alone && d->cfg.alone)
		d->cfg.alone(d->cfg.arg);
}

/* The driver is told first: it has a host and applications waiting. */
static void ended(struct vssd *d, const char *why)
{
	snprintf(d->why, sizeof(d->why), "%s", why);
	d->ended = true;
	loop_timer_set(&d->settle, 0);
}

static void on_refused(struct vssd *d, const char *why)
{
	d->refused++;
	ended(d, why);
	if (d->q.opt == HV_VSS_FREEZE)
		answer(d, &d->q, why[0] ? why : "not frozen");
	else if (d->q.opt)		/* given up: what counts is the thaw */
		answer(d, &d->q, frozen_count(d->cfg.z) ? why : "");
	d->q.opt = HV_VSS_NONE;
}

static void on_lost(struct vssd *d, const char *why)
{
	d->lost_count++;
	ended(d, why);
	if (d->q.opt)			/* asked in the same moment */
		answer(d, &d->q, why);
	else
		tell_lost(d);
	d->lost = !d->q.opt;
	d->q.opt = HV_VSS_NONE;
}

static void on_event(void *arg, enum freeze_event ev, const char *why)
{
	struct vssd *d = arg;

	switch (ev) {
	case FREEZE_EV_HELD:
		d->held = true;
		answer(d, &d->q, "");
		d->q.opt = HV_VSS_NONE;
		break;
	case FREEZE_EV_REFUSED:
		on_refused(d, why);
		break;
	case FREEZE_EV_THAWED:
		ended(d, why);
		if (d->q.opt)
			answer(d, &d->q, why);
		d->q.opt = HV_VSS_NONE;
		break;
	case FREEZE_EV_LOST:
		on_lost(d, why);
		break;
	case FREEZE_EV_ALONE:
		d->alone = true;
		if (!d->busy && d->cfg.alone)
			d->cfg.alone(d->cfg.arg);
		break;
	}
}

/* Questions ----------------------------------------------------------------- */

static void refuse(struct vssd *d, const struct hv_vss_record *q,
		   const char *why)
{
	d->refused++;
	answer(d, q, why);
	if (d->planned)
		report(d, vssd_report_plan(q->msgid, &d->plan, why));
	last_error(d, why);
}

/* The driver may be quicker with its next question than our timer. */
static bool is_busy(struct vssd *d)
{
	if (d->busy && d->ended)
		settled(d);
	return d->busy;
}

static void on_check(struct vssd *d, const struct hv_vss_record *q)
{
	char why[160] = "";

	d->checks++;
	if (is_busy(d)) {
		answer(d, q, "a backup is in hand");
	} else if (plan_and_judge(d, why, sizeof(why)) < 0) {
		refuse(d, q, why);
	} else {
		answer(d, q, "");
	}
}

static void on_freeze(struct vssd *d, const struct hv_vss_record *q)
{
	uint32_t answer_ms, frozen_ms;
	char why[160] = "";
	int err;

	d->freezes++;
	if (is_busy(d)) {
		answer(d, q, "a backup is in hand");
		return;
	}
	d->lost = d->held = d->ended = false;
	if (plan_and_judge(d, why, sizeof(why)) < 0) {
		refuse(d, q, why);
		return;
	}
	vss_record_budget(q, &answer_ms, &frozen_ms);
	d->q = *q;
	d->msgid = q->msgid;
	d->busy = true;
	be_quiet(d, true);
	err = freeze_start(d->freeze, &d->plan, q->msgid,
			   answer_ms ? answer_ms : ANSWER_MS,
			   frozen_ms ? frozen_ms : FROZEN_MS);
	if (!err)
		return;
	be_quiet(d, false);
	d->busy = false;
	d->q.opt = HV_VSS_NONE;
	snprintf(why, sizeof(why), "cannot begin: %s", strerror(-err));
	refuse(d, q, why);
}

/* THAW and ABORT. */
static void on_thaw(struct vssd *d, const struct hv_vss_record *q)
{
	if (freeze_thaw(d->freeze) == 0) {
		d->q = *q;
		return;
	}
	if (d->lost && q->opt == HV_VSS_THAW)
		answer(d, q, d->why);
	else if (frozen_count(d->cfg.z))
		answer(d, q, "a file system still hangs");
	else
		answer(d, q, "");
	d->lost = false;
}

int vssd_message(struct vssd *d, const void *buf, size_t len)
{
	struct hv_vss_record q;
	int err = vss_record_get(&q, buf, len);

	if (err)
		return -EINVAL;
	switch (q.opt) {
	case HV_VSS_CHECK:
		on_check(d, &q);
		break;
	case HV_VSS_FREEZE:
		on_freeze(d, &q);
		break;
	case HV_VSS_THAW:
	case HV_VSS_ABORT:
		on_thaw(d, &q);
		break;
	default:
		answer(d, &q, "unknown request");
		break;
	}
	return 0;
}

void vssd_driver_gone(struct vssd *d)
{
	d->q.opt = HV_VSS_NONE;
	d->lost = false;
	freeze_thaw(d->freeze);
}

bool vssd_busy(const struct vssd *d)
{
	return d->busy;
}

/* --------------------------------------------------------------------------- */

struct vssd *vssd_new(const struct vssd_cfg *cfg)
{
	struct vssd *d = calloc(1, sizeof(*d));
	struct freeze_cfg fc = {
		.loop = cfg->loop, .z = cfg->z, .ops = cfg->ops,
		.guardian = cfg->guardian, .event = on_event, .arg = d,
	};

	if (!d)
		return NULL;
	d->cfg = *cfg;
	loop_timer_init(&d->settle, cfg->loop, settled, d);
	d->freeze = freeze_new(&fc);
	if (d->freeze)
		return d;
	free(d);
	return NULL;
}

void vssd_free(struct vssd *d)
{
	if (!d)
		return;
	loop_timer_cancel(&d->settle);
	freeze_free(d->freeze);
	if (d->busy && !frozen_count(d->cfg.z)) {
		be_quiet(d, false);
		report(d, vssd_report_freeze(d->cfg.z, &d->plan, d->held,
					     d->ended ? d->why :
					     "the daemon was told to end"));
		atomic_store(&d->cfg.z->told, 1);
	}
	drop_plan(d);
	free(d);
}

void vssd_report_left(struct vssd *d)
{
	struct frozen *z = d->cfg.z;
	char why[64] = "the daemon and its guardian were killed";
	bool held = z->n > 0;

	if (frozen_check(z) < 0 || !z->n || atomic_load(&z->told))
		return;
	for (unsigned i = 0; i < z->n; i++)
		if (!z->fs[i].sync_only && !z->fs[i].freeze_done_us)
			held = false;
	if (z->worker_signal)
		snprintf(why, sizeof(why), "the daemon was killed by signal %d",
			 z->worker_signal);
	report(d, vssd_report_freeze(z, NULL, held, why));
	atomic_store(&z->told, 1);
	last_error(d, why);
}

int vssd_confinement(struct vssd *d, char *why, size_t cap)
{
	const struct plan_fs *out;
	int err = make_plan(d);

	if (err) {
		snprintf(why, cap, "no plan: %s", strerror(-err));
		return err;
	}
	out = outside(d);
	if (!out)
		return 0;
	snprintf(why, cap, "%s (%s) is outside of --confine", path_of(out),
		 out->mount->source);
	return -EPERM;
}

json_t *vssd_plan_json(struct vssd *d)
{
	int err = d->busy ? -EBUSY : make_plan(d);

	if (err)
		return json_pack("{s:s}", "error", strerror(-err));
	return plan_json(&d->plan);
}

json_t *vssd_status_json(const struct vssd *d)
{
	const char *hanging = freeze_hanging(d->freeze);

	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:s?}",
		"phase", freeze_phase_name(freeze_phase_get(d->freeze)),
		"busy", d->busy,
		"checks", (json_int_t)d->checks,
		"freezes", (json_int_t)d->freezes,
		"refused", (json_int_t)d->refused,
		"lost", (json_int_t)d->lost_count,
		"hanging", hanging);
}
