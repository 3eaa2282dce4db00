/* test/scenario/rig.c - the whole KVP path in one process. */
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void host_ready(void *arg)
{
	struct rig *g = arg;

	host_kvp_ready(g->host_kvp);
}

static void host_lost(void *arg)
{
	struct rig *g = arg;

	host_kvp_lost(g->host_kvp);
}

static void guest_start(struct rig *g)
{
	const struct kvp_cfg cfg = {
		.timeout_ms = 2500, .set_ip_timeout_ms = 25000,
		.hold_ms = 50000,
	};

	g->kvp = kvp_new(g->loop, &cfg);
	assert_non_null(g->kvp);
}

static void host_start(struct rig *g, const struct host_profile *p, bool push)
{
	const struct host_ic_cfg cfg = {
		.name = "kvp", .type = HV_IC_KVP,
		.framework = p->framework, .message = p->kvp,
		.strict = p->strict, .xact = p->xact,
		.negotiate_ms = p->negotiate_ms, .answer_ms = p->answer_ms,
	};
	const struct host_kvp_cfg kvp = {
		.push = push, .string_ip = p->string_ip, .vm_name = "rig",
	};

	line_init(&g->line, g->loop, &cfg, kvp_ic(g->kvp));
	g->line.on_ready = host_ready;
	g->line.on_lost = host_lost;
	g->line.arg = g;
	g->host_kvp = host_kvp_new(g->loop, g->line.host_ic, &kvp);
	assert_non_null(g->host_kvp);
}

static void rig_open(struct rig *g)
{
	host_kvp_connected(g->host_kvp);
	line_open(&g->line);
}

void rig_reopen(struct rig *g)
{
	line_close(&g->line);
	rig_open(g);
	rig_settle(g);
}

struct rig *rig_new(const char *profile, bool push)
{
	const struct host_profile *p = profile ? host_profile_find(profile) :
						 &host_profiles[0];
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(p);
	g->loop = loop_new(LOOP_VIRTUAL);
	guest_start(g);
	host_start(g, p, push);
	rig_open(g);
	return g;
}

void rig_free(struct rig *g)
{
	line_close(&g->line);
	host_kvp_free(g->host_kvp);
	line_free(&g->line);
	kvp_free(g->kvp);
	loop_free(g->loop);
	free(g);
}

void rig_settle(struct rig *g)
{
	line_settle(g->loop);
}

void rig_advance(struct rig *g, uint64_t ms)
{
	rig_settle(g);
	loop_advance(g->loop, ms);
	rig_settle(g);
}

/* The daemon ------------------------------------------------------------ */

static int daemon_gets(void *arg, const void *buf, size_t len)
{
	struct rig *g = arg;

	if (g->daemon_deaf)
		return -EAGAIN;
	g->asked++;
	assert_int_equal(len, kvp_devmsg_size(g->form));
	kvp_devmsg_get_request(&g->request, g->form, buf, len);
	return 0;
}

void rig_daemon_opens(struct rig *g)
{
	const struct kvp_daemon d = { daemon_gets, g };

	assert_int_equal(kvp_daemon_open(g->kvp, &d), 0);
}

void rig_daemon_registers(struct rig *g, enum kvp_form form)
{
	uint8_t buf[KVP_DEVMSG_MAX];

	rig_daemon_opens(g);
	g->form = form;
	kvp_devmsg_put_register(buf, form);
	assert_int_equal(kvp_daemon_message(g->kvp, buf, kvp_devmsg_size(form)),
			 0);
	g->asked = 0;			/* the version string does not count */
	rig_settle(g);
}

void rig_daemon_replies(struct rig *g, uint32_t status, const char *key,
			const char *value)
{
	uint8_t buf[KVP_DEVMSG_MAX];
	struct kvp_msg m = g->request;

	m.status = status;
	if (key)
		strcpy(m.key, key);
	if (value)
		strcpy(m.value, value);
	kvp_devmsg_put_answer(buf, g->form, &m);
	assert_int_equal(kvp_daemon_message(g->kvp, buf,
					    kvp_devmsg_size(g->form)), 0);
	rig_settle(g);
}

void rig_daemon_dies(struct rig *g)
{
	kvp_daemon_gone(g->kvp);
	rig_settle(g);
}

/* The host -------------------------------------------------------------- */

static void host_done(void *arg, const struct host_kvp_result *r)
{
	struct rig *g = arg;

	g->answers++;
	g->err = r->err;
	g->status = r->status;
	if (r->msg)
		g->answer = *r->msg;
}

void rig_host_sends(struct rig *g, const struct host_kvp_msg *m,
		    const struct host_fault *f)
{
	assert_int_equal(host_kvp_request(g->host_kvp, m, f, host_done, g), 0);
	rig_settle(g);
}

void rig_host_asks(struct rig *g, unsigned op, unsigned pool, const char *key,
		   const char *value, const struct host_fault *f)
{
	struct host_kvp_msg m = { .op = (uint8_t)op, .pool = (uint8_t)pool };

	m.item.type = KVP_TYPE_STRING;
	if (key)
		strcpy(m.item.key, key);
	if (value)
		strcpy(m.item.value, value);
	rig_host_sends(g, &m, f);
}
