/* prog/utilsd_vss.c - VSS: the driver, and the device files on which it meets
 * the file-system daemon and the applications.
 *
 *   hv_fsvss_dev    the daemon, in records of 64 bytes  \ one of them,
 *   hv_vss          the daemon, in hv_utils' 12 bytes   / one opener
 *   hv_appvss_dev   applications, any number up to the limit
 *
 * While something may be frozen nothing may be written to a file, and a log
 * line may end in one: lines are held from the moment when the daemon is told
 * to freeze until the driver knows that all is thawed. It knows by the daemon's
 * answer, or, when the daemon is gone, because its guardian's time is over;
 * so while lines are held, and only then, a timer looks again.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "utilsd.h"
#include "vss/vss_backup.h"

enum {
	WATCHERS_MAX = 8,
	LOOK_MS = 250,		/* while lines are held */
	BAD_MAX = 64,		/* useless messages in a row end a client */
	COMPLAIN_MS = 10000,	/* so often ... */
	COMPLAINTS_MAX = 10,	/* ... so many lines about applications */
};

struct node {
	const char *name;
	enum vss_form form;
	size_t max_msg;
	struct dev_ops ops;
};

/* A node that is open; its callbacks' argument. */
struct port {
	struct service *service;
	const struct node *node;
	struct dev *dev;
};

/* Whoever has one of the device files open. */
struct client {
	struct port *port;
	struct dev_client *dev;
	struct vss_app *app;		/* NULL: the daemon */
	pid_t pid;
	bool holding;			/* it said yes to FREEZE */
	unsigned bad;			/* useless messages in a row */
	struct client *next;
};

enum { NODE_FS, NODE_LINUX, NODE_APP, N_NODES };

struct service {
	struct loop *loop;
	struct vss *vss;
	struct vss_backups *backups;
	struct port ports[N_NODES];
	struct client *clients;
	const struct client *daemon;	/* for its form; NULL: none */
	unsigned max_apps;
	struct ctl_conn *watchers[WATCHERS_MAX];
	bool held;			/* log lines */
	struct loop_timer look;
	uint64_t complained_ms;		/* about applications: since when */
	unsigned complaints, left_out;	/* since then */
};

/* The log while something may be frozen ---------------------------------- */

static void hold_log(struct service *s)
{
	s->held = true;
	log_hold(true);
	loop_timer_set(&s->look, LOOK_MS);
}

static void on_look(void *arg)
{
	struct service *s = arg;

	if (vss_may_be_frozen(s->vss)) {
		loop_timer_set(&s->look, LOOK_MS);
		return;
	}
	s->held = false;
	log_hold(false);
}

/* What happened ---------------------------------------------------------- */

static void note_holding(const struct vss_event *e)
{
	struct client *c;

	if (!e->party || !e->party_id)
		return;
	c = e->party->arg;
	if (e->what == VSS_ANSWERED && e->opt == HV_VSS_FREEZE)
		c->holding = e->outcome == VSS_YES;
	else if (e->what == VSS_ASKED && e->opt != HV_VSS_FREEZE)
		c->holding = false;
}

static void on_event(void *arg, const struct vss_event *e)
{
	struct service *s = arg;

	if (e->what == VSS_ASKED && e->party && !e->party_id &&
	    e->opt == HV_VSS_FREEZE)
		hold_log(s);
	else if (s->held)
		loop_timer_set(&s->look, 0);	/* when the driver is done */
	note_holding(e);
	vss_backups_observe(s->backups, e);
}

/* A watcher that does not read is cut off by ctl, which tells on_unwatch(). */
static void on_ended(void *arg, json_t *backup)
{
	struct service *s = arg;

	for (unsigned i = 0; i < WATCHERS_MAX; i++)
		if (s->watchers[i])
			ctl_reply(s->watchers[i],
				  json_pack("{s:O}", "backup", backup));
}

/* Clients ---------------------------------------------------------------- */

static int send_to_client(void *arg, const void *buf, size_t len)
{
	struct client *c = arg;

	return dev_send(c->dev, buf, len);
}

/* Say what was wrong, and no more than that. */
static void send_error(struct dev_client *dev, uint64_t msgid, const char *why)
{
	struct hv_vss_record r = { .opt = HV_VSS_NONE, .status = HV_VSS_FAIL,
				   .msgid = msgid };
	uint8_t buf[VSS_RECORD_SIZE];

	vss_record_set_text(&r, why);
	vss_record_put(buf, &r);
	dev_send(dev, buf, sizeof(buf));
}

/* The program's name; it is foreign text. */
static void program_name(char name[48], pid_t pid)
{
	char path[40], line[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	if (f)
		fclose(f);
	vss_text_get(name, line[0] ? line : "unknown", 48);
}

static struct vss_peer peer_of(struct client *c)
{
	struct vss_peer p = { .send = send_to_client, .arg = c, .pid = c->pid,
			      .uid = dev_client_uid(c->dev) };

	program_name(p.name, c->pid);
	return p;
}

static struct client *client_new(struct port *port, struct dev_client *dev)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->port = port;
	c->dev = dev;
	c->pid = dev_client_pid(dev);
	c->next = port->service->clients;
	port->service->clients = c;
	dev_client_set(dev, c);
	return c;
}

/* The driver has forgotten it already. */
static void client_free(struct client *c)
{
	struct service *s = c->port->service;
	struct client **at = &s->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	if (s->daemon == c)
		s->daemon = NULL;
	free(c);
}

/* The daemon's device files ----------------------------------------------- */

static int on_daemon_open(void *arg, struct dev_client *dev)
{
	struct port *port = arg;
	struct client *c = client_new(port, dev);
	struct vss_peer p;
	int err;

	if (!c)
		return -ENOMEM;
	p = peer_of(c);
	err = vss_daemon_open(port->service->vss, &p, port->node->form);
	if (err < 0) {
		log_warn("%s: process %d is refused, another daemon is there",
			 port->node->name, (int)c->pid);
		client_free(c);
		return err;
	}
	port->service->daemon = c;
	return 0;
}

static void on_daemon_message(void *arg, struct dev_client *dev,
			      const uint8_t *buf, size_t len)
{
	struct client *c = dev_client_get(dev);
	struct port *port = arg;

	if (vss_daemon_message(port->service->vss, buf, len) == 0)
		return;
	log_warn("%s: process %d sent %zu bytes that are no message; closed",
		 port->node->name, (int)c->pid, len);
	client_free(c);
	dev_client_close(dev);
}

static void on_daemon_closed(void *arg, struct dev_client *dev)
{
	struct client *c = dev_client_get(dev);
	struct port *port = arg;

	log_info("%s: process %d closed it", port->node->name, (int)c->pid);
	vss_daemon_gone(port->service->vss);
	client_free(c);
}

/* The applications' device file ------------------------------------------- */

/* Anybody may come and go as often as he likes, and the log has an end. */
static bool may_complain(struct service *s)
{
	uint64_t now = loop_now_ms(s->loop);

	if (now - s->complained_ms >= COMPLAIN_MS) {
		if (s->left_out)
			log_warn("hv_appvss_dev: %u more lines like these were left out",
				 s->left_out);
		s->complained_ms = now;
		s->complaints = s->left_out = 0;
	}
	if (s->complaints < COMPLAINTS_MAX) {
		s->complaints++;
		return true;
	}
	s->left_out++;
	return false;
}

static int refuse_app(struct service *s, struct dev_client *dev, int err)
{
	char why[48];

	if (err == -EUSERS)
		snprintf(why, sizeof(why), "%u applications have it open already",
			 s->max_apps);
	else
		snprintf(why, sizeof(why), "%s", strerror(-err));
	send_error(dev, 0, why);
	if (may_complain(s))
		log_warn("hv_appvss_dev: process %d is refused: %s",
			 (int)dev_client_pid(dev), why);
	return err;
}

static int on_app_open(void *arg, struct dev_client *dev)
{
	struct port *port = arg;
	struct client *c = client_new(port, dev);
	struct vss_peer p;
	int err;

	if (!c)
		return refuse_app(port->service, dev, -ENOMEM);
	p = peer_of(c);
	err = vss_app_open(port->service->vss, &p, &c->app);
	if (err < 0) {
		client_free(c);
		return refuse_app(port->service, dev, err);
	}
	log_debug("hv_appvss_dev: process %d opened it", (int)c->pid);
	return 0;
}

static void close_bad_app(struct client *c, const char *why)
{
	struct dev_client *dev = c->dev;

	if (may_complain(c->port->service))
		log_warn("hv_appvss_dev: process %d sent %s; closed",
			 (int)c->pid, why);
	client_free(c);
	dev_client_close(dev);
}

static void on_app_message(void *arg, struct dev_client *dev,
			   const uint8_t *buf, size_t len)
{
	struct client *c = dev_client_get(dev);
	int err = vss_app_message(c->app, buf, len);
	struct hv_vss_record r;

	(void)arg;
	if (err == 0) {
		c->bad = 0;
		return;
	}
	if (err != -ESTALE) {
		send_error(dev, 0, "a message is 64 bytes");
		close_bad_app(c, "what is no record");
		return;
	}
	if (vss_record_get(&r, buf, len) == 0)
		send_error(dev, r.msgid, "that answers no open question");
	if (++c->bad < BAD_MAX)
		return;
	vss_app_gone(c->app);
	close_bad_app(c, "answers to no question, again and again");
}

static void on_app_closed(void *arg, struct dev_client *dev)
{
	struct client *c = dev_client_get(dev);

	(void)arg;
	log_debug("hv_appvss_dev: process %d closed it", (int)c->pid);
	vss_app_gone(c->app);
	client_free(c);
}

static const struct node nodes[N_NODES] = {
	[NODE_FS] = { "hv_fsvss_dev", VSS_FORM_RECORD, VSS_RECORD_SIZE,
		      { on_daemon_open, on_daemon_message, on_daemon_closed } },
	[NODE_LINUX] = { "hv_vss", VSS_FORM_LINUX, VSS_LINUX_SIZE,
			 { on_daemon_open, on_daemon_message,
			   on_daemon_closed } },
	[NODE_APP] = { "hv_appvss_dev", VSS_FORM_RECORD, VSS_RECORD_SIZE,
		       { on_app_open, on_app_message, on_app_closed } },
};

/* Commands ---------------------------------------------------------------- */

static void on_unwatch(void *arg, struct ctl_conn *conn)
{
	struct service *s = arg;

	for (unsigned i = 0; i < WATCHERS_MAX; i++)
		if (s->watchers[i] == conn)
			s->watchers[i] = NULL;
}

json_t *utilsd_vss_backups(void *state)
{
	struct service *s = state;

	return json_pack("{s:o}", "backups", vss_backups_json(s->backups));
}

json_t *utilsd_vss_watch(void *state, struct ctl_conn *conn)
{
	struct service *s = state;

	for (unsigned i = 0; i < WATCHERS_MAX; i++) {
		if (s->watchers[i])
			continue;
		s->watchers[i] = conn;
		ctl_keep(conn);
		ctl_on_close(conn, on_unwatch, s);
		return NULL;
	}
	return ctl_error("%d watch already", WATCHERS_MAX);
}

/* Status ------------------------------------------------------------------ */

static json_t *requests_json(const struct vss_stats *v)
{
	json_t *o = json_object();

	for (unsigned op = 0; op < VSS_N_OPS; op++)
		json_object_set_new(o, vss_op_name(op),
				    json_integer((json_int_t)v->requests[op]));
	json_object_set_new(o, "unknown", json_integer(
				(json_int_t)v->requests[VSS_N_OPS]));
	return o;
}

static json_t *daemon_json(const struct service *s)
{
	const struct vss_peer *p = vss_daemon_peer(s->vss);

	if (!p || !s->daemon)
		return json_null();
	return json_pack("{s:s, s:i, s:s}", "name", p->name, "pid", (int)p->pid,
			 "form", s->daemon->port->node->form == VSS_FORM_LINUX ?
			 "linux" : "record");
}

static json_t *applications_json(const struct service *s)
{
	json_t *list = json_array();
	const struct vss_peer *p;

	for (unsigned i = 0; (p = vss_app_peer(s->vss, i)); i++) {
		const struct client *c = p->arg;

		json_array_append_new(list, json_pack(
			"{s:s, s:i, s:I, s:b}", "name", p->name,
			"pid", (int)p->pid, "uid", (json_int_t)p->uid,
			"holding", c->holding));
	}
	return list;
}

static json_t *counters_json(const struct service *s)
{
	struct vss_stats v;
	struct ic_stats i;
	uint64_t refused, dropped;

	ic_stats_get(vss_ic(s->vss), &i);
	vss_stats_get(s->vss, &v);
	refused = v.refused + i.refused;
	dropped = i.dropped + v.malformed;
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}}",
			 "requests", requests_json(&v),
			 "refused", (json_int_t)refused,
			 "no_daemon", (json_int_t)v.no_daemon,
			 "late_answers", (json_int_t)v.stale,
			 "dropped", (json_int_t)dropped,
			 "windows_missed", (json_int_t)v.window,
			 "results", "application", (json_int_t)v.app_ok,
			 "file_system", (json_int_t)v.app_fs,
			 "failed", (json_int_t)v.app_failed);
}

/* In short: it has its whole record when it ends. */
static json_t *backup_json(const struct service *s)
{
	json_t *r = vss_backups_current(s->backups), *o;
	json_int_t began_us = json_integer_value(json_object_get(r, "at_us"));

	if (!r)
		return json_null();
	o = json_pack("{s:O, s:O, s:O, s:I}",
		      "id", json_object_get(r, "id"), "began_with",
		      json_object_get(json_array_get(json_object_get(r, "host"),
						     0), "op"),
		      "started", json_object_get(r, "started"), "running_ms",
		      (json_int_t)loop_now_ms(s->loop) - began_us / 1000);
	json_decref(r);
	return o;
}

static json_t *status(void *arg, json_t *channel)
{
	struct service *s = arg;
	json_t *o = json_pack("{s:s, s:o}", "state",
			      vss_state_name(vss_state_get(s->vss)),
			      "daemon", daemon_json(s));
	json_t *counters = counters_json(s);

	json_object_update(o, channel);
	json_object_update(o, counters);
	json_decref(channel);
	json_decref(counters);
	json_object_set_new(o, "applications", applications_json(s));
	json_object_set_new(o, "backup", backup_json(s));
	return o;
}

/* Start and end ----------------------------------------------------------- */

static struct vss_cfg cfg_of(const struct conf *conf)
{
	return (struct vss_cfg){
		.check_app_ms = conf->vss_check_app_ms,
		.check_fs_ms = conf->vss_check_fs_ms,
		.freeze_app_ms = conf->vss_freeze_app_ms,
		.freeze_fs_ms = conf->vss_freeze_fs_ms,
		.frozen_ms = conf->vss_frozen_ms,
		.thaw_fs_ms = conf->vss_thaw_fs_ms,
		.thaw_app_ms = conf->vss_thaw_app_ms,
		.host_freeze_ms = conf->vss_host_freeze_ms,
		.host_other_ms = conf->vss_host_other_ms,
		.max_apps = conf->vss_max_apps,
		.silent_app_fails = conf->vss_silent_app_fails,
		.dead_app_fails = conf->vss_dead_app_fails,
		.hold_ms = conf->vss_negotiation_hold_ms,
	};
}

/* gid of the applications' device file; false: no such group. */
static bool find_group(const struct conf *conf, gid_t *gid)
{
	const struct group *g = getgrnam(conf->vss_app_device_group);

	if (g)
		*gid = g->gr_gid;
	return g != NULL;
}

static int check(const struct conf *conf, char *err, size_t err_cap)
{
	const struct vss_cfg cfg = cfg_of(conf);
	char what[256];
	gid_t gid;

	if (conf->vss_app_device_group[0] && !find_group(conf, &gid)) {
		snprintf(err, err_cap,
			 "[vss] application-device-group: there is no group %s",
			 conf->vss_app_device_group);
		return -ENOENT;
	}
	if (vss_cfg_check(&cfg, what, sizeof(what)) == 0)
		return 0;
	snprintf(err, err_cap, "[vss] %s", what);
	return -ERANGE;
}

static int open_nodes(struct service *s, const struct conf *conf)
{
	int err = 0;

	for (unsigned i = 0; i < N_NODES && !err; i++) {
		struct dev_cfg dev = { .mode = conf->vss_device_mode,
				       .max_msg = nodes[i].max_msg };

		if (i == NODE_APP) {
			dev.mode = conf->vss_app_device_mode;
			dev.set_group = conf->vss_app_device_group[0] &&
				find_group(conf, &dev.group);
			dev.max_clients = s->max_apps + 1;
		}
		s->ports[i] = (struct port){ s, &nodes[i], NULL };
		err = utilsd_dev_open(&s->ports[i].dev, s->loop, conf,
				      nodes[i].name, dev, &nodes[i].ops,
				      &s->ports[i]);
	}
	return err;
}

static int start(void **state, struct loop *l, const struct conf *conf)
{
	const struct vss_cfg cfg = cfg_of(conf);
	struct service *s = calloc(1, sizeof(*s));

	*state = s;
	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->max_apps = cfg.max_apps;
	loop_timer_init(&s->look, l, on_look, s);
	s->backups = vss_backups_new(on_ended, s);
	s->vss = vss_new(l, &cfg, on_event, s);
	if (!s->backups || !s->vss)
		return -ENOMEM;
	return open_nodes(s, conf);
}

/* Clients read the end of file, and make an abort of it. */
static void stop(void *arg)
{
	struct service *s = arg;

	if (!s)
		return;
	for (unsigned i = 0; i < N_NODES; i++)
		dev_free(s->ports[i].dev);
	vss_free(s->vss);
	vss_backups_free(s->backups);
	loop_timer_cancel(&s->look);
	while (s->clients) {
		struct client *c = s->clients;

		s->clients = c->next;
		free(c);
	}
	free(s);
}

static struct ic *service_ic(void *arg)
{
	struct service *s = arg;

	return vss_ic(s->vss);
}

const struct utilsd_service utilsd_vss = {
	.name = "vss", .type = HV_IC_VSS, .check = check, .start = start,
	.stop = stop, .ic = service_ic, .status = status,
};
