/* vss/vssd_report.c - see vssd_report.h. Strings come from the mount table and
 * need not be UTF-8, JSON must be: what is not becomes '?'. */
#include "vss/vssd_report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/utf16.h"

static void set(json_t *o, const char *key, const char *text)
{
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", text ? text : "");
	if (!utf8_valid(copy, strlen(copy)))
		for (char *c = copy; *c; c++)
			if (*c & 0x80)
				*c = '?';
	json_object_set_new(o, key, json_string(copy));
}

static void set_us(json_t *o, const char *key, uint64_t us)
{
	json_object_set_new(o, key, json_integer((json_int_t)us));
}

/* A step's duration, if the step was made. */
static void set_took(json_t *o, const char *key, uint64_t from, uint64_t to)
{
	if (from && to >= from)
		set_us(o, key, to - from);
}

static void set_device(json_t *o, unsigned ma, unsigned mi)
{
	char text[32];

	snprintf(text, sizeof(text), "%u:%u", ma, mi);
	set(o, "device", text);
}

static json_t *planned(const struct plan_fs *p)
{
	const struct mount *m = p->mount;
	json_t *o = json_object();

	set(o, "path", m->path ? m->path : "");
	set(o, "source", m->source);
	set(o, "type", m->type);
	set_device(o, major(m->dev), minor(m->dev));
	set(o, "action", plan_action_name(p->action));
	set(o, "reason", p->reason);
	if (p->action == PLAN_FREEZE)
		json_object_set_new(o, "level", json_integer(p->level));
	return o;
}

static json_t *recorded(const struct frozen_fs *fs)
{
	json_t *o = json_object();

	set(o, "path", fs->path);
	set(o, "source", fs->source);
	set(o, "type", fs->type);
	set_device(o, fs->major, fs->minor);
	set(o, "action", plan_action_name(fs->sync_only ? PLAN_SYNC :
					  PLAN_FREEZE));
	if (!fs->sync_only)
		json_object_set_new(o, "level", json_integer(fs->level));
	return o;
}

static const char *outcome(const struct frozen_fs *fs, bool held)
{
	switch (frozen_state(fs)) {
	case FREEZE_THAWED:
		return held ? "thawed" : "rolled-back";
	case FREEZE_FOREIGN:
		return "foreign";
	case FREEZE_FAILED:
		return "failed";
	case FREEZE_ASKING:
	case FREEZE_FROZEN:
	case FREEZE_REVOKED:
	case FREEZE_THAWING:
	case FREEZE_STUCK:
		return "stuck";
	case FREEZE_NONE:
	case FREEZE_CANCELLED:
	case FREEZE_N_STATES:
		break;
	}
	return NULL;
}

static void set_why(json_t *o, const struct frozen_fs *fs)
{
	enum freeze_state s = frozen_state(fs);

	if (s == FREEZE_THAWED && fs->error == EINVAL)
		set(o, "why", "somebody else thawed it");
	else if (s == FREEZE_THAWED && frozen_thawer(fs) == FREEZE_BY_NOBODY)
		set(o, "why", "it never came to be frozen");
	else if (s == FREEZE_FOREIGN)
		set(o, "why", "somebody else had frozen it");
	else if (fs->error)
		set(o, "why", strerror(fs->error));
}

static void add_steps(json_t *o, const struct frozen_fs *fs, bool held)
{
	const char *what = fs->sync_only ?
		(fs->flush_done_us ? "synced" : "failed") : outcome(fs, held);

	set_took(o, "flush_us", fs->flush_at_us, fs->flush_done_us);
	if (fs->freeze_at_us)
		set_us(o, "freeze_at_us", fs->freeze_at_us);
	set_took(o, "freeze_us", fs->freeze_at_us, fs->freeze_done_us);
	set_took(o, "frozen_us", fs->freeze_done_us, fs->thaw_at_us);
	set_took(o, "thaw_us", fs->thaw_at_us, fs->thaw_done_us);
	if (what)
		set(o, "outcome", what);
	if (!fs->sync_only)
		set_why(o, fs);
}

static bool touched(enum plan_action a)
{
	return a == PLAN_FREEZE || a == PLAN_SYNC;
}

static json_t *mounts(const struct frozen *z, const struct plan *p, bool held)
{
	json_t *a = json_array();
	unsigned at = 0;

	for (size_t i = 0; p && i < p->n; i++) {
		json_t *o = planned(&p->fs[i]);

		if (!touched(p->fs[i].action))
			set(o, "outcome", p->fs[i].action == PLAN_VETO ?
			    "vetoed" : "skipped");
		else if (at < z->n)
			add_steps(o, &z->fs[at++], held);
		json_array_append_new(a, o);
	}
	for (; !p && at < z->n; at++) {
		json_t *o = recorded(&z->fs[at]);

		add_steps(o, &z->fs[at], held);
		json_array_append_new(a, o);
	}
	return a;
}

/* The whole of it: from the first FIFREEZE to the last FITHAW. */
static json_t *window(const struct frozen *z)
{
	uint64_t flush = 0, last = 0;
	enum freeze_who who = FREEZE_BY_NOBODY;
	json_t *o = json_object();

	for (unsigned i = 0; i < z->n; i++) {
		const struct frozen_fs *fs = &z->fs[i];

		if (fs->flush_done_us > flush)
			flush = fs->flush_done_us;
		if (fs->thaw_done_us > last)
			last = fs->thaw_done_us;
		if (frozen_thawer(fs) > who)
			who = frozen_thawer(fs);
	}
	set_us(o, "frozen_at_us", z->window_us);
	set_took(o, "frozen_us", z->window_us, last);
	set_took(o, "flush_us", z->begun_us, flush);
	if (who != FREEZE_BY_NOBODY)
		set(o, "thawed_by", freeze_who_name(who));
	return o;
}

static json_t *head(uint64_t msgid, const char *why)
{
	json_t *o = json_object();
	char id[24];

	snprintf(id, sizeof(id), "%" PRIu64, msgid);
	set(o, "id", id);
	if (why[0])
		set(o, "why", why);
	return o;
}

json_t *vssd_report_freeze(const struct frozen *z, const struct plan *p,
			   bool held, const char *why)
{
	json_t *o = head(z->msgid, why);

	set(o, "boot", z->boot_id);
	set_us(o, "at_us", z->begun_us);
	json_object_set_new(o, "mounts", mounts(z, p, held));
	if (z->window_us)
		json_object_set_new(o, "window", window(z));
	return o;
}

json_t *vssd_report_plan(uint64_t msgid, const struct plan *p, const char *why)
{
	json_t *o = head(msgid, why);
	json_t *a = json_array();

	for (size_t i = 0; i < p->n; i++) {
		json_t *m = planned(&p->fs[i]);

		if (p->fs[i].action == PLAN_VETO)
			set(m, "outcome", "vetoed");
		json_array_append_new(a, m);
	}
	json_object_set_new(o, "mounts", a);
	return o;
}
