/* prog/vss_db.c - the session's states, the same for every server. */
#include "vss_db.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vss/vss_devmsg.h"

enum { DEFAULT_MS = 10000, WHY_CAP = 128 };

enum state { DOWN, WORKING, HELD };

static const char *const state_names[] = {
	[DOWN] = "down", [WORKING] = "working", [HELD] = "held",
};

struct vss_db {
	struct vss_agent *a;
	const struct vss_db_backend *b;
	void *be;
	enum state state;
	struct hv_vss_record q;		/* in hand; opt 0: none */
	unsigned budget_ms;
	struct loop_timer timer;
	struct loop_io *io;
	int io_fd;
	struct vss_db_step step[VSS_DB_STEPS];
	size_t n_steps, at;
	bool connecting;
	uint64_t step_ms;		/* when this step began */
	uint64_t held_times;
	char trouble[WHY_CAP];		/* said when nothing is frozen */
};

static void go_on(struct vss_db *d, unsigned ready);

/* Ends -------------------------------------------------------------------- */

static void close_session(struct vss_db *d)
{
	loop_io_free(d->io);
	d->io = NULL;
	loop_timer_cancel(&d->timer);
	d->b->close(d->be);
	d->state = DOWN;
}

static void answer(struct vss_db *d, int status, const char *why)
{
	struct hv_vss_record q = d->q;

	d->q.opt = HV_VSS_NONE;
	if (q.opt != HV_VSS_NONE)
		client_answer(d->a->client, &q, status, why);
}

static void say_trouble(struct vss_db *d)
{
	char quoted[2 * WHY_CAP];

	if (d->trouble[0])
		log_warn("%s: %s", d->b->server, log_quote(quoted,
			 sizeof(quoted), d->trouble, strlen(d->trouble)));
	d->trouble[0] = '\0';
}

/* First line only: servers like to add hints. */
static void note_trouble(struct vss_db *d, const char *what, const char *why)
{
	snprintf(d->trouble, sizeof(d->trouble), "%s: %.*s", what,
		 (int)strcspn(why, "\n"), why);
}

static void note_step(struct vss_db *d, bool ok)
{
	uint64_t took = loop_now_ms(d->a->loop) - d->step_ms;
	const char *name = d->connecting ? "connect" : d->step[d->at].name;

	if (d->q.opt != HV_VSS_NONE && name)
		client_note(d->a->client, &d->q, name, ok ? HV_VSS_OK :
			    HV_VSS_FAIL, (uint32_t)took);
}

/* A reason has 47 bytes on its way; libpq begins with where it tried. */
static void shorten(char text[WHY_CAP], const char *why)
{
	const char *cause = strstr(why, " failed: ");
	const char *prefix = cause ? "cannot connect: " : "";

	why = cause ? cause + strlen(" failed: ") : why;
	if (cause && !strncmp(why, "FATAL:  ", 8))
		why += 8;
	snprintf(text, WHY_CAP, "%s%.*s", prefix, (int)strcspn(why, "\n"),
		 why);
}

/* What was tried did not work. The session goes, and all that it held. */
static void fail(struct vss_db *d, const char *why)
{
	char text[WHY_CAP];

	note_step(d, false);
	note_trouble(d, d->connecting ? "connecting" : d->at < d->n_steps ?
		     d->step[d->at].name : "session", why);
	if (d->connecting)
		shorten(text, why);
	else
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(why, "\n"),
			 why);
	close_session(d);
	answer(d, HV_VSS_FAIL, text);
	say_trouble(d);
}

/* Too late, or no longer wanted: end it on the server, too. */
static void give_up(struct vss_db *d)
{
	if (!d->connecting)
		d->b->cancel(d->be);
}

static void on_timer(void *arg)
{
	struct vss_db *d = arg;

	give_up(d);
	fail(d, "no answer from the server in time");
}

/* All steps are done. */
static void done(struct vss_db *d)
{
	char why[WHY_CAP] = "";

	if (d->b->judge(d->be, d->q.opt, why) < 0) {
		fail(d, why);
		return;
	}
	loop_timer_cancel(&d->timer);
	if (d->q.opt == HV_VSS_FREEZE) {
		d->state = HELD;
		d->held_times++;
		loop_io_want(d->io, LOOP_READ);
	} else {
		close_session(d);
	}
	answer(d, HV_VSS_OK, NULL);
	if (d->state == DOWN)
		say_trouble(d);
}

/* Steps ------------------------------------------------------------------- */

static int begin_step(struct vss_db *d)
{
	d->step_ms = loop_now_ms(d->a->loop);
	return d->b->send(d->be, d->step[d->at].sql);
}

static int finish_step(struct vss_db *d)
{
	note_step(d, true);
	if (d->connecting) {
		d->connecting = false;
		d->at = 0;
		d->n_steps = d->b->steps(d->be, d->q.opt, d->budget_ms,
					 d->step);
		assert(d->n_steps <= VSS_DB_STEPS);
	} else {
		d->at++;
	}
	return d->at < d->n_steps ? begin_step(d) : 1;
}

static void on_ready(void *arg, unsigned events)
{
	struct vss_db *d = arg;

	if (d->state == WORKING) {
		go_on(d, events);
		return;
	}
	/* HELD, and the server has something to say: it ends the session. */
	note_trouble(d, "session", "ended while it held");
	close_session(d);
	client_reset(d->a->client);
}

/* libpq changes its descriptor while it connects. */
static int watch(struct vss_db *d, unsigned want)
{
	int fd = d->b->fd(d->be);

	if (d->io && d->io_fd == fd) {
		loop_io_want(d->io, want);
		return 0;
	}
	loop_io_free(d->io);
	d->io = loop_io_new(d->a->loop, fd, want, on_ready, d);
	d->io_fd = fd;
	return d->io ? 0 : -EIO;
}

static void go_on(struct vss_db *d, unsigned ready)
{
	unsigned want = LOOP_READ;
	int r, last = 0;

	/* Steps may finish at once; 1 from finish_step(): that was the last. */
	do {
		r = d->b->go_on(d->be, ready, &want);
		ready = 0;
		if (r == 1)
			last = r = finish_step(d);
		else
			last = -1;
	} while (last == 0);
	if (r >= 0 && watch(d, r ? LOOP_READ : want) < 0)
		r = -EIO;
	if (r < 0)
		fail(d, d->b->error(d->be));
	else if (r == 1)
		done(d);
}

/* Questions --------------------------------------------------------------- */

static void set_time(struct vss_db *d, const struct hv_vss_record *q)
{
	uint32_t answer_ms, frozen_ms;

	vss_record_budget(q, &answer_ms, &frozen_ms);
	d->budget_ms = answer_ms ? answer_ms - answer_ms / 8 : DEFAULT_MS;
	loop_timer_set(&d->timer, d->budget_ms);
}

static void begin(struct vss_db *d, const struct hv_vss_record *q)
{
	if (d->state != DOWN) {
		client_answer(d->a->client, q, HV_VSS_FAIL, "still busy");
		return;
	}
	d->q = *q;
	d->state = WORKING;
	d->connecting = true;
	d->step_ms = loop_now_ms(d->a->loop);
	set_time(d, q);
	if (d->b->connect(d->be) < 0)
		fail(d, d->b->error(d->be));
	else
		go_on(d, 0);
}

static void end_hold(struct vss_db *d, const struct hv_vss_record *q)
{
	d->q = *q;
	d->state = WORKING;
	set_time(d, q);
	d->at = 0;
	d->n_steps = d->b->steps(d->be, q->opt, d->budget_ms, d->step);
	if (d->n_steps == 0)
		done(d);
	else if (begin_step(d) < 0)
		fail(d, d->b->error(d->be));
	else
		go_on(d, 0);
}

static void end(struct vss_db *d, const struct hv_vss_record *q)
{
	if (d->state == HELD) {
		end_hold(d, q);
		return;
	}
	if (d->state == WORKING) {
		give_up(d);
		close_session(d);
		d->q.opt = HV_VSS_NONE;
	}
	client_answer(d->a->client, q, HV_VSS_OK, NULL);
	say_trouble(d);
}

void vss_db_asked(struct vss_agent *a, const struct hv_vss_record *q)
{
	struct vss_db *d = a->db;

	switch (q->opt) {
	case HV_VSS_CHECK:
	case HV_VSS_FREEZE:
		begin(d, q);
		break;
	case HV_VSS_THAW:
	case HV_VSS_ABORT:
		end(d, q);
		break;
	default:
		client_answer(a->client, q, HV_VSS_FAIL, "unknown question");
	}
}

/* For the program --------------------------------------------------------- */

int vss_db_start(struct vss_agent *a, const struct vss_db_backend *b, void *be)
{
	struct vss_db *d = calloc(1, sizeof(*d));

	if (!d) {
		log_err("out of memory");
		return -ENOMEM;
	}
	d->a = a;
	d->b = b;
	d->be = be;
	loop_timer_init(&d->timer, a->loop, on_timer, d);
	a->db = d;
	return 0;
}

void vss_db_stop(struct vss_agent *a)
{
	if (a->db)
		close_session(a->db);
	free(a->db);
	a->db = NULL;
}

void vss_db_release(struct vss_agent *a)
{
	const struct hv_vss_record q = { .opt = HV_VSS_ABORT };

	if (a->db->state != DOWN)
		end(a->db, &q);
}

bool vss_db_busy(struct vss_agent *a)
{
	return a->db->state != DOWN;
}

json_t *vss_db_status(struct vss_agent *a)
{
	const struct vss_db *d = a->db;

	return json_pack("{s:s, s:s, s:I}", "server", d->b->server, "state",
			 state_names[d->state], "held_times",
			 (json_int_t)d->held_times);
}
