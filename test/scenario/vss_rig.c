/* test/scenario/vss_rig.c - the whole VSS path in one process. */
#include "vss_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define V HV_IC_VERSION

const struct vss_cfg vss_rig_cfg = {
	.check_app_ms = 5000, .check_fs_ms = 10000,
	.freeze_app_ms = 60000, .freeze_fs_ms = 60000, .frozen_ms = 60000,
	.thaw_fs_ms = 10000, .thaw_app_ms = 10000,
	.host_freeze_ms = 600000, .host_other_ms = 30000,
	.max_apps = 256, .silent_app_fails = true, .hold_ms = 50000,
};

static void note(char *trace, size_t cap, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void note(char *trace, size_t cap, const char *fmt, ...)
{
	size_t n = strlen(trace);
	va_list ap;

	if (n && n + 1 < cap)
		trace[n++] = ' ';
	va_start(ap, fmt);
	vsnprintf(trace + n, cap - n, fmt, ap);
	va_end(ap);
}

#define TRACE(g, ...) note((g)->trace, sizeof((g)->trace), __VA_ARGS__)

static const char *opt_name(unsigned opt)
{
	static const char *const names[] = { "none", "check", "freeze", "thaw",
					     "abort" };

	return opt < 5 ? names[opt] : "?";
}

static const char *status_name(uint32_t status)
{
	static char other[16];

	if (status == HV_S_OK)
		return "ok";
	if (status == HV_E_FAIL)
		return "fail";
	snprintf(other, sizeof(other), "%08x", status);
	return other;
}

/* The observer ---------------------------------------------------------- */

#define EVENT(g, ...) note((g)->events_trace, sizeof((g)->events_trace), \
			   __VA_ARGS__)

static void observe(void *arg, const struct vss_event *e)
{
	struct vss_rig *g = arg;
	const char *who = !e->party ? "host" :
			  e->party_id ? e->party->name : "fs";

	assert_non_null(e->why);
	assert_non_null(e->part);
	assert_true(e->at_ms == loop_now_ms(g->loop));
	g->events++;
	g->last = *e;
	switch (e->what) {
	case VSS_HOST_ASKED:
		EVENT(g, "%s?", vss_op_name(e->op));
		break;
	case VSS_HOST_TOLD:
		EVENT(g, "%s=%s", vss_op_name(e->op), status_name(e->status));
		break;
	case VSS_ASKED:
		EVENT(g, "%s:%s", who, opt_name(e->opt));
		break;
	case VSS_ANSWERED:
		EVENT(g, "%s:%s=%s", who, opt_name(e->opt),
		      vss_outcome_name(e->outcome));
		break;
	case VSS_NOTED:
		EVENT(g, "%s:%s/%s=%s", who, opt_name(e->opt), e->part,
		      vss_outcome_name(e->outcome));
		break;
	case VSS_ENDED:
		EVENT(g, "[%s]", vss_result_name(e->result));
		g->ended++;
		g->last_ended = *e;
		snprintf(g->ended_why, sizeof(g->ended_why), "%s", e->why);
		break;
	}
}

/* Start and end --------------------------------------------------------- */

struct vss_rig *vss_rig_new_host(const struct vss_cfg *cfg,
				 const struct host_versions *versions)
{
	const struct host_ic_cfg host = {
		.name = "vss", .type = HV_IC_VSS,
		.framework = { 2, { V(3, 0), V(1, 0) } }, .message = *versions,
		.strict = true, .xact = HOST_XACT_COUNT,
		.negotiate_ms = 60000, .answer_ms = 600000,
	};
	struct vss_rig *g = calloc(1, sizeof(*g));

	g->loop = loop_new(LOOP_VIRTUAL);
	g->vss = vss_new(g->loop, cfg ? cfg : &vss_rig_cfg, observe, g);
	assert_non_null(g->vss);
	line_init(&g->line, g->loop, &host, vss_ic(g->vss));
	line_open(&g->line);
	return g;
}

struct vss_rig *vss_rig_new(const struct vss_cfg *cfg)
{
	const struct host_versions versions = {
		5, { V(3, 0), V(4, 0), V(5, 0), V(6, 0), V(7, 0) }
	};

	return vss_rig_new_host(cfg, &versions);
}

void vss_rig_free(struct vss_rig *g)
{
	while (g->apps) {
		struct client *c = g->apps;

		g->apps = c->next;
		if (c->open)
			vss_app_gone(c->app);
		free(c);
	}
	if (g->line.host.channel)
		line_close(&g->line);
	line_free(&g->line);
	vss_free(g->vss);
	loop_free(g->loop);
	free(g);
}

void rig_settle(struct vss_rig *g)
{
	line_settle(g->loop);
}

void rig_advance(struct vss_rig *g, uint64_t ms)
{
	rig_settle(g);
	loop_advance(g->loop, ms);
	rig_settle(g);
}

/* The host -------------------------------------------------------------- */

struct question {
	struct vss_rig *rig;
	unsigned op;
};

static void host_done(void *arg, const struct host_ic_answer *a)
{
	struct question *q = arg;
	struct vss_rig *g = q->rig;

	g->answers++;
	g->err = a->err;
	g->status = a->status;
	g->body_len = a->body_len;
	if (a->err)
		g->failures++;
	else
		TRACE(g, "%s=%s", vss_op_name(q->op), status_name(a->status));
	if (a->body_len)
		memcpy(g->body, a->body, a->body_len);
	free(q);
}

void host_sends(struct vss_rig *g, const void *body, size_t len,
		const struct host_fault *f)
{
	struct question *q = malloc(sizeof(*q));

	q->rig = g;
	q->op = len ? *(const uint8_t *)body : 255;
	g->asked++;
	assert_int_equal(host_ic_ask(g->line.host_ic, body, len, f, host_done,
				     q), 0);
	rig_settle(g);
}

static size_t body_of(unsigned op, uint8_t body[32])
{
	memset(body, 0, 32);
	body[0] = (uint8_t)op;
	return op == VSS_CREATE || op == VSS_DELETE ? 24 : 12;
}

void host_asks(struct vss_rig *g, unsigned op)
{
	uint8_t body[32];
	size_t len = body_of(op, body);

	host_sends(g, body, len, NULL);
}

void host_asks_at_once(struct vss_rig *g, unsigned op)
{
	const struct host_fault f = { .no_wait = 1 };
	uint8_t body[32];
	size_t len = body_of(op, body);

	host_sends(g, body, len, &f);
}

void host_renegotiates(struct vss_rig *g)
{
	assert_int_equal(host_ic_negotiate(g->line.host_ic, NULL, NULL, NULL),
			 0);
	rig_settle(g);
}

/* Clients --------------------------------------------------------------- */

static int client_gets(void *arg, const void *buf, size_t len)
{
	struct client *c = arg;
	const uint8_t *b = buf;
	unsigned opt;

	if (c->dead)
		return -EPIPE;
	if (c->deaf)
		return -EAGAIN;
	c->got++;
	if (c->form == VSS_FORM_LINUX && len == VSS_LINUX_VERSION_SIZE)
		return 0;
	if (c->form == VSS_FORM_LINUX) {
		assert_int_equal(len, VSS_LINUX_SIZE);
		c->op = b[0];
		opt = b[0] == 2 ? HV_VSS_CHECK : b[0] == 5 ? HV_VSS_FREEZE :
							     HV_VSS_THAW;
	} else {
		assert_int_equal(vss_record_get(&c->asked, buf, len), 0);
		opt = c->asked.opt;
	}
	c->freezes += opt == HV_VSS_FREEZE;
	c->ends += opt == HV_VSS_THAW || opt == HV_VSS_ABORT;
	TRACE(c->rig, "%s:%s", c->name, opt_name(opt));
	return 0;
}

static struct vss_peer peer_of(struct client *c)
{
	struct vss_peer p = { .send = client_gets, .arg = c, .pid = 42 };

	snprintf(p.name, sizeof(p.name), "%s", c->name);
	return p;
}

static void hello(struct client *c)
{
	struct hv_vss_record r = { .opt = HV_VSS_HELLO };

	vss_record_set_text(&r, c->name);
	assert_int_equal(client_sends(c, &r), 0);
}

void fs_opens(struct vss_rig *g, enum vss_form form)
{
	const uint8_t registration[VSS_LINUX_SIZE] = { VSS_LINUX_REGISTER1 };
	struct vss_peer p;

	g->fs = (struct client){ .rig = g, .name = "fs", .form = form,
				 .open = true };
	p = peer_of(&g->fs);
	assert_int_equal(vss_daemon_open(g->vss, &p, form), 0);
	if (form == VSS_FORM_LINUX)
		assert_int_equal(vss_daemon_message(g->vss, registration,
						    sizeof(registration)), 0);
	else
		hello(&g->fs);
	rig_settle(g);
}

void fs_dies(struct vss_rig *g)
{
	g->fs.open = false;
	vss_daemon_gone(g->vss);
	rig_settle(g);
}

struct client *app_opens(struct vss_rig *g, const char *name, bool says_hello)
{
	struct client *c = calloc(1, sizeof(*c)), **at = &g->apps;
	struct vss_peer p;

	c->rig = g;
	c->open = true;
	snprintf(c->name, sizeof(c->name), "%s", name);
	p = peer_of(c);
	assert_int_equal(vss_app_open(g->vss, &p, &c->app), 0);
	while (*at)
		at = &(*at)->next;
	*at = c;
	if (says_hello)
		hello(c);
	return c;
}

void app_dies(struct client *c)
{
	c->open = false;
	vss_app_gone(c->app);
	rig_settle(c->rig);
}

struct client *app_of(struct vss_rig *g, const char *name)
{
	struct client *c = g->apps;

	while (c && strcmp(c->name, name) != 0)
		c = c->next;
	assert_non_null(c);
	return c;
}

int client_sends(struct client *c, const struct hv_vss_record *r)
{
	uint8_t buf[VSS_RECORD_SIZE];
	int err;

	vss_record_put(buf, r);
	err = c->app ? vss_app_message(c->app, buf, sizeof(buf)) :
		       vss_daemon_message(c->rig->vss, buf, sizeof(buf));
	rig_settle(c->rig);
	return err;
}

static int answers_in_linux_form(struct client *c, int status)
{
	const uint32_t code = status ? HV_E_FAIL : HV_S_OK;
	uint8_t buf[VSS_LINUX_SIZE] = {
		(uint8_t)code, (uint8_t)(code >> 8), (uint8_t)(code >> 16),
		(uint8_t)(code >> 24),
	};
	int err = vss_daemon_message(c->rig->vss, buf, sizeof(buf));

	rig_settle(c->rig);
	return err;
}

int answers(struct client *c, int status, const char *why)
{
	struct hv_vss_record r = c->asked;

	if (c->form == VSS_FORM_LINUX)
		return answers_in_linux_form(c, status);
	r.status = (uint32_t)status;
	memset(r.reserved, 0, sizeof(r.reserved));
	if (why)
		vss_record_set_text(&r, why);
	return client_sends(c, &r);
}

int says_yes(struct client *c)
{
	return answers(c, HV_VSS_OK, NULL);
}

int says_no(struct client *c, const char *why)
{
	return answers(c, HV_VSS_FAIL, why);
}

/* What was seen --------------------------------------------------------- */

void expect(struct vss_rig *g, const char *trace)
{
	assert_string_equal(g->trace, trace);
	g->trace[0] = '\0';
}

void expect_events(struct vss_rig *g, const char *trace)
{
	assert_string_equal(g->events_trace, trace);
	g->events_trace[0] = '\0';
}

void expect_state(struct vss_rig *g, enum vss_state s)
{
	assert_string_equal(vss_state_name(vss_state_get(g->vss)),
			    vss_state_name(s));
}
