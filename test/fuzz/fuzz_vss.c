/* test/fuzz/fuzz_vss.c - the whole guest side of VSS, ring, IC and driver, with
 * a hostile host and clients that are no better: they come, answer, lie, stop
 * reading and die. The input is a list of steps.
 *
 * Whoever was told to freeze is told the end, once, and nobody else; left in
 * peace, the driver comes to rest.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"
#include "vss/vss.h"

enum { N_APPS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
	struct vss_app *app;		/* NULL: not there; the daemon */
	bool deaf;
	enum vss_form form;
	struct hv_vss_record asked;
	unsigned freezes, ends;
};

struct world {
	struct hostile host;
	struct vss *vss;
	bool daemon;
	struct client fs, apps[N_APPS];
};

static void need(bool ok)
{
	if (!ok)
		abort();
}

static int client_gets(void *arg, const void *buf, size_t len)
{
	struct client *c = arg;

	if (c->deaf)
		return -EAGAIN;
	if (c->form == VSS_FORM_LINUX)
		return 0;
	need(vss_record_get(&c->asked, buf, len) == 0);
	c->freezes += c->asked.opt == HV_VSS_FREEZE;
	c->ends += c->asked.opt == HV_VSS_THAW || c->asked.opt == HV_VSS_ABORT;
	if (c->app)
		need(c->ends <= c->freezes && c->freezes <= c->ends + 1);
	return 0;
}

/* The last question as an answer, some of its bytes replaced. */
static size_t message(const struct client *c, uint8_t buf[80], struct rd *r,
		      unsigned what)
{
	size_t n, len = c->form == VSS_FORM_LINUX ? VSS_LINUX_SIZE :
						    VSS_RECORD_SIZE;
	const uint8_t *bytes;

	memset(buf, 0, 80);
	if (c->form == VSS_FORM_RECORD)
		vss_record_put(buf, &c->asked);
	bytes = take(r, what & 16 ? rd_u8(r) % 65 : 0, &n);
	if (bytes && n)
		memcpy(buf, bytes, n);
	return what & 32 ? n : len;
}

static void daemon_step(struct world *w, struct rd *r, unsigned what)
{
	const struct vss_peer p = { .send = client_gets, .arg = &w->fs };
	uint8_t buf[80] = { VSS_LINUX_REGISTER1 };

	if (!w->daemon) {
		w->fs = (struct client){ .form = what & 8 ? VSS_FORM_LINUX :
							    VSS_FORM_RECORD };
		w->daemon = vss_daemon_open(w->vss, &p, w->fs.form) == 0;
		if (what & 8)
			w->daemon = !vss_daemon_message(w->vss, buf,
							VSS_LINUX_SIZE);
	} else if (what & 128) {
		vss_daemon_gone(w->vss);
		w->daemon = false;
	} else {
		size_t len = message(&w->fs, buf, r, what);

		w->daemon = vss_daemon_message(w->vss, buf, len) == 0;
	}
}

static void app_step(struct world *w, struct rd *r, unsigned what)
{
	struct client *c = &w->apps[what % N_APPS];
	const struct vss_peer p = { .send = client_gets, .arg = c };
	uint8_t buf[80];

	if (!c->app) {
		*c = (struct client){ 0 };
		(void)vss_app_open(w->vss, &p, &c->app);
	} else if (what & 64) {
		c->deaf = !c->deaf;
	} else if (what & 128) {
		vss_app_gone(c->app);
		c->app = NULL;
	} else {
		size_t len = message(c, buf, r, what);

		/* -EINVAL alone means that it has been forgotten. */
		if (len != VSS_RECORD_SIZE) {
			need(vss_app_message(c->app, buf, len) < 0);
			c->app = NULL;
		} else {
			(void)vss_app_message(c->app, buf, len);
		}
	}
}

static void clients_step(void *arg, struct rd *r)
{
	unsigned what = rd_u8(r);

	if (what % 8 < N_APPS)
		app_step(arg, r, what);
	else
		daemon_step(arg, r, what);
}

static void leave_in_peace(struct world *w)
{
	enum vss_state s;

	for (unsigned i = 0; i < N_APPS; i++)
		w->apps[i].deaf = false;
	for (unsigned i = 0; i < 20; i++)
		loop_advance(w->host.loop, 60000);
	s = vss_state_get(w->vss);
	need(s == VSS_IDLE || s == VSS_BROKEN);
	for (unsigned i = 0; i < N_APPS; i++)
		need(!w->apps[i].app ||
		     w->apps[i].freezes == w->apps[i].ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vss_cfg cfg = {
		.check_app_ms = 500, .check_fs_ms = 1000,
		.freeze_app_ms = 6000, .freeze_fs_ms = 6000,
		.frozen_ms = 6000, .thaw_fs_ms = 1000, .thaw_app_ms = 1000,
		.max_apps = N_APPS, .silent_app_fails = size % 2,
		.dead_app_fails = size % 4 / 2, .hold_ms = 5000,
	};
	struct rd r = rd_of(data, size);
	struct world w = { 0 };

	hostile_init(&w.host);
	w.vss = vss_new(w.host.loop, &cfg, NULL, NULL);
	hostile_start(&w.host, vss_ic(w.vss), 48, 12528);
	hostile_run(&w.host, &r, clients_step, &w);
	leave_in_peace(&w);
	hostile_stop(&w.host);
	leave_in_peace(&w);
	vss_free(w.vss);
	hostile_free(&w.host);
	return 0;
}
