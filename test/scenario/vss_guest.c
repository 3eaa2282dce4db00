/* test/scenario/vss_guest.c - questions are queued as they come and answered
 * from the main loop, because a driver must not be called from inside its own
 * call. A late answer waits for a timer. */
#include "vss_guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vss/vss.h"

enum { QUEUE = 16, N_OPTS = 5, LIMITS_MS = 400000 };

enum what { YES, NO, NEVER, DIE, LATE };

struct party {
	struct vss_guest *g;
	bool fs, there;
	struct vss_app *app;
	struct { enum what what; uint32_t late_ms; } does[N_OPTS];
	unsigned n;
	struct hv_vss_record queue[QUEUE];
	struct hv_vss_record late;	/* the answer that waits */
	struct loop_timer timer;
	bool holds;			/* was told FREEZE and not the end */
	bool frozen;			/* and said yes to it */
	unsigned ends;			/* that came to no beginning */
};

struct vss_guest {
	struct loop *loop;
	struct vss *vss;
	struct party fs, app;
};

/* Being asked ------------------------------------------------------------- */

static void note(struct party *p, const struct hv_vss_record *r)
{
	bool end = r->opt == HV_VSS_THAW || r->opt == HV_VSS_ABORT;

	if (r->opt == HV_VSS_FREEZE)
		p->holds = true;
	if (!end)
		return;
	if (!p->holds && !p->fs)	/* the daemon may be told twice */
		p->ends++;
	p->holds = p->frozen = false;
}

static int asked(void *arg, const void *buf, size_t len)
{
	struct party *p = arg;

	if (p->n == QUEUE)
		return -EAGAIN;
	if (vss_record_get(&p->queue[p->n], buf, len) < 0)
		return -EPIPE;
	note(p, &p->queue[p->n++]);
	return 0;
}

/* Coming and going -------------------------------------------------------- */

static void come(struct party *p)
{
	struct vss_peer peer = { .send = asked, .arg = p, .pid = 1 };

	snprintf(peer.name, sizeof(peer.name), p->fs ? "fs" : "app");
	if (p->there)
		return;
	p->there = (p->fs ? vss_daemon_open(p->g->vss, &peer, VSS_FORM_RECORD) :
		    vss_app_open(p->g->vss, &peer, &p->app)) == 0;
}

/* Whoever dies lets go of what it held. */
static void leave(struct party *p)
{
	if (!p->there)
		return;
	p->there = false;
	p->n = 0;
	p->holds = p->frozen = false;
	loop_timer_cancel(&p->timer);
	if (p->fs)
		vss_daemon_gone(p->g->vss);
	else
		vss_app_gone(p->app);
}

/* Answering --------------------------------------------------------------- */

static void answer(struct party *p, const struct hv_vss_record *r)
{
	uint8_t buf[VSS_RECORD_SIZE];
	int err;

	if (r->opt == HV_VSS_FREEZE && r->status == HV_VSS_OK && p->holds)
		p->frozen = true;
	vss_record_put(buf, r);
	err = p->fs ? vss_daemon_message(p->g->vss, buf, sizeof(buf)) :
		      vss_app_message(p->app, buf, sizeof(buf));
	if (err < 0 && err != -ESTALE)
		p->there = false;
}

static void late_is_due(void *arg)
{
	struct party *p = arg;

	answer(p, &p->late);
}

static void act(struct party *p, struct hv_vss_record r)
{
	unsigned opt = r.opt == HV_VSS_ABORT ? HV_VSS_THAW : r.opt;

	memset(r.reserved, 0, sizeof(r.reserved));
	r.status = HV_VSS_OK;
	switch (opt < N_OPTS ? p->does[opt].what : YES) {
	case NEVER:
		return;
	case DIE:
		leave(p);
		return;
	case LATE:
		p->late = r;
		loop_timer_set(&p->timer, p->does[opt].late_ms);
		return;
	case NO:
		r.status = HV_VSS_FAIL;
		vss_record_set_text(&r, "the scenario says no");
		break;
	case YES:
		break;
	}
	if (opt == HV_VSS_FREEZE && r.status != HV_VSS_OK && p->fs)
		p->holds = false;	/* it rolled back itself */
	answer(p, &r);
}

static bool answer_one(struct party *p)
{
	struct hv_vss_record r = p->queue[0];

	if (!p->there || !p->n)
		return false;
	p->n--;
	memmove(p->queue, p->queue + 1, p->n * sizeof(r));
	act(p, r);
	return true;
}

bool vss_guest_answers(struct vss_guest *g)
{
	return answer_one(&g->fs) || answer_one(&g->app);
}

/* What the file says ------------------------------------------------------ */

static void be(struct party *p, const json_t *say)
{
	static const char *const whats[] = { "yes", "no", "never", "gone" };
	static const char *const opts[] = { "none", "check", "freeze", "thaw" };

	for (unsigned opt = HV_VSS_CHECK; opt <= HV_VSS_THAW; opt++) {
		const json_t *j = json_object_get(say, opts[opt]);

		for (unsigned i = 0; json_is_string(j) && i < 4; i++) {
			if (!strcmp(whats[i], json_string_value(j)))
				p->does[opt].what = (enum what)i;
		}
		if (!json_is_integer(j))
			continue;
		p->does[opt].what = LATE;
		p->does[opt].late_ms = (uint32_t)json_integer_value(j);
	}
}

static void be_there(struct party *p, const json_t *there)
{
	if (json_is_true(there))
		come(p);
	else if (there)
		leave(p);
}

void vss_guest_be(struct vss_guest *g, const json_t *guest)
{
	be(&g->fs, json_object_get(guest, "fs"));
	be(&g->app, json_object_get(guest, "app"));
	be_there(&g->fs, json_object_get(guest, "fs-there"));
	be_there(&g->app, json_object_get(guest, "app-there"));
}

/* The end ------------------------------------------------------------------ */

static bool rests(const struct party *p)
{
	if (p->there && (p->holds || p->ends))
		printf("  the %s: %s\n", p->fs ? "daemon" : "application",
		       p->frozen ? "is left frozen" : p->holds ?
		       "was not told how it ended" :
		       "was told an end without a beginning");
	return !p->there || (!p->holds && !p->ends);
}

bool vss_guest_comes_to_rest(struct vss_guest *g)
{
	unsigned quiet = 0;

	loop_advance(g->loop, LIMITS_MS);
	while (quiet < 2) {
		loop_advance(g->loop, 0);
		quiet = loop_once(g->loop, false) > 0 ||
			vss_guest_answers(g) ? 0 : quiet + 1;
	}
	if (vss_may_be_frozen(g->vss))
		printf("  the driver believes that something is frozen\n");
	return rests(&g->fs) && rests(&g->app) && !vss_may_be_frozen(g->vss);
}

/* Life -------------------------------------------------------------------- */

struct ic *vss_guest_ic(struct vss_guest *g)
{
	return vss_ic(g->vss);
}

struct vss_guest *vss_guest_new(struct loop *l)
{
	const struct vss_cfg cfg = {
		.check_app_ms = 5000, .check_fs_ms = 5000,
		.freeze_app_ms = 60000, .freeze_fs_ms = 60000,
		.frozen_ms = 60000, .thaw_fs_ms = 10000, .thaw_app_ms = 10000,
		.host_freeze_ms = 600000, .host_other_ms = 30000,
		.max_apps = 16, .silent_app_fails = true, .hold_ms = 50000,
	};
	struct vss_guest *g = calloc(1, sizeof(*g));

	g->loop = l;
	g->vss = vss_new(l, &cfg, NULL, NULL);
	g->fs = (struct party){ .g = g, .fs = true };
	g->app = (struct party){ .g = g };
	loop_timer_init(&g->fs.timer, l, late_is_due, &g->fs);
	loop_timer_init(&g->app.timer, l, late_is_due, &g->app);
	come(&g->fs);
	return g;
}

void vss_guest_free(struct vss_guest *g)
{
	if (!g)
		return;
	leave(&g->fs);
	leave(&g->app);
	vss_free(g->vss);
	free(g);
}
