/* vss/vss_app.c - the applications: any number, asked all at once.
 *
 * A round is one question to all of them. It is over, and the table hears of
 * it, when the last one has answered, died or been let pass; with CHECK and
 * FREEZE at the first no. THAW and ABORT go to those alone who were told
 * FREEZE, even if they said no to it.
 */
#include "vss/vss_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"

/* Is its answer part of the round in hand? */
static bool waited_for(const struct vss_app *app)
{
	const struct vss *v = app->party.vss;

	return app->party.asked && app->party.asked_id == v->msgid;
}

static bool in_round(const struct vss *v)
{
	return v->state == VSS_CHECK_APPS || v->state == VSS_FREEZE_APPS ||
	       v->state == VSS_THAW_APPS;
}

static bool any_waited_for(const struct vss *v)
{
	for (const struct vss_app *app = v->apps; app; app = app->next)
		if (waited_for(app))
			return true;
	return false;
}

static void judge(struct vss *v)
{
	bool waiting = any_waited_for(v);

	if (!in_round(v))
		return;
	if (v->app_no && (!waiting || v->state != VSS_THAW_APPS))
		vss_step(v, VSS_EV_APPS_NO);
	else if (!waiting)
		vss_step(v, VSS_EV_APPS_OK);
}

/* The snapshot is made when applications go on: what goes wrong then is the
 * operator's business, not the host's. */
static void refuse(struct vss_app *app, const char *why)
{
	struct vss *v = app->party.vss;

	v->app_no = true;
	if (v->state == VSS_THAW_APPS)
		log_warn("vss: application %s, told to go on: %s",
			 app->party.peer.name, why);
	else
		vss_fail(v, app->party.peer.name, why);
}

/* One that does not read is as good as silent. */
static void unreached(struct vss_app *app)
{
	struct vss *v = app->party.vss;
	const char *why = "could not be asked";

	if (v->cfg.silent_app_fails)
		refuse(app, why);
	else
		vss_let_pass(v, app->party.peer.name, why);
}

void vss_apps_ask(struct vss *v, unsigned opt, uint32_t answer_ms)
{
	v->app_no = false;
	for (struct vss_app *app = v->apps; app && !v->app_no; app = app->next)
		if (party_ask(&app->party, opt, answer_ms) < 0)
			unreached(app);
	judge(v);
}

/* One that turns out to be dead may have died before the snapshot. */
static void end_one(struct vss_app *app, unsigned opt, uint32_t answer_ms)
{
	int err = party_end(&app->party, opt, answer_ms);

	if (err == 0 || opt != HV_VSS_THAW)
		return;
	if (err == -EPIPE)
		vss_let_pass(app->party.vss, app->party.peer.name,
			     "it is gone");
	refuse(app, "could not be told");
}

void vss_apps_end(struct vss *v, unsigned opt, uint32_t answer_ms)
{
	v->app_no = false;
	for (struct vss_app *app = v->apps; app; app = app->next)
		if (app->party.frozen && !app->party.due)
			end_one(app, opt, answer_ms);
	judge(v);
}

static void silent(struct vss_app *app)
{
	struct vss *v = app->party.vss;
	const char *why = "no answer in time";

	party_lost(&app->party, VSS_SILENT);
	if (v->state == VSS_THAW_APPS || v->cfg.silent_app_fails)
		refuse(app, why);
	else
		vss_let_pass(v, app->party.peer.name, why);
}

/* The state's timer fired. */
void vss_apps_late(struct vss *v)
{
	for (struct vss_app *app = v->apps; app; app = app->next)
		if (waited_for(app))
			silent(app);
	judge(v);
}

void vss_apps_drop(struct vss *v)
{
	for (struct vss_app *app = v->apps; app; app = app->next)
		if (waited_for(app))
			party_drop(&app->party);
}

/* Coming and going ------------------------------------------------------- */

int vss_app_open(struct vss *v, const struct vss_peer *p, struct vss_app **app)
{
	struct vss_app **at = &v->apps;

	if (v->n_apps >= v->cfg.max_apps)
		return -EUSERS;
	*app = calloc(1, sizeof(**app));
	if (!*app)
		return -ENOMEM;
	party_init(&(*app)->party, v, p, ++v->last_party, VSS_FORM_RECORD);
	while (*at)
		at = &(*at)->next;
	*at = *app;
	v->n_apps++;
	return 0;
}

/* It held, or was to hold, while the snapshot was still to be made. In THAW_FS
 * the snapshot is made, but the death may be older than the news of it. */
static void died_holding(struct vss_app *app)
{
	struct vss *v = app->party.vss;
	const char *why = "it is gone";

	if (v->state != VSS_FREEZE_APPS && v->state != VSS_FREEZE_FS &&
	    v->state != VSS_FROZEN && v->state != VSS_THAW_FS)
		return;
	if (!v->cfg.dead_app_fails || v->state == VSS_THAW_FS) {
		vss_let_pass(v, app->party.peer.name, why);
		return;
	}
	refuse(app, why);
	if (!in_round(v))
		vss_step(v, VSS_EV_APPS_NO);
}

void vss_app_gone(struct vss_app *app)
{
	struct vss *v = app->party.vss;
	struct vss_app **at = &v->apps;

	party_lost(&app->party, VSS_GONE);
	while (*at != app)
		at = &(*at)->next;
	*at = app->next;
	v->n_apps--;
	if (app->party.frozen)
		died_holding(app);
	free(app);
	judge(v);
}

void vss_apps_free(struct vss *v)
{
	while (v->apps) {
		struct vss_app *app = v->apps;

		v->apps = app->next;
		free(app);
	}
}

/* Answers ---------------------------------------------------------------- */

static void on_answer(struct vss_app *app, bool yes, const char *why)
{
	struct vss *v = app->party.vss;
	bool counts = in_round(v) && waited_for(app);

	party_answered(&app->party, yes, why);
	if (!counts)
		return;
	if (!yes)
		refuse(app, why[0] ? why : "it said no");
	else if (v->state == VSS_FREEZE_APPS)
		v->work.n_held++;
	judge(v);
}

int vss_app_message(struct vss_app *app, const void *buf, size_t len)
{
	struct hv_vss_record r;
	char why[48];
	bool yes;
	int err;

	if (vss_record_get(&r, buf, len) < 0) {
		app->party.vss->stats.malformed++;
		vss_app_gone(app);
		return -EINVAL;
	}
	err = party_message(&app->party, &r, &yes, why);
	if (err > 0)
		on_answer(app, yes, why);
	return err > 0 ? 0 : err;
}

const struct vss_peer *vss_app_peer(const struct vss *v, unsigned i)
{
	const struct vss_app *app = v->apps;

	while (app && i--)
		app = app->next;
	return app ? &app->party.peer : NULL;
}
