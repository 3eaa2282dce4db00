/* prog/hv_kvp_daemon.c - the KVP daemon: serves the requests that the KVP
 * driver hands over from the host. Parse, go to the background, open what
 * needs root, narrow rights, serve; undo in reverse. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/conf.h"
#include "base/ctl.h"
#include "base/log.h"
#include "base/options.h"
#include "base/sandbox.h"
#include "base/service.h"
#include "kvp/kvpd.h"
#include "kvpd_session.h"

struct options {
	bool debug, foreground, no_sync;
	const char *config, *device, *state_dir, *run_dir, *form_name;
	enum kvp_form form;
};

struct program {
	struct options o;
	struct conf conf;
	char ctl_path[CONF_PATH_MAX], socket_path[CONF_PATH_MAX];
	struct loop *loop;
	struct ctl *ctl;
	struct kvpd *kvpd;
	struct kvpd_session *session;
	uint64_t started_ms;
};

/* Control socket ---------------------------------------------------------- */

static json_t *requests_json(const struct kvpd_stats *st)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < KVP_N_OPS; i++)
		json_object_set_new(o, kvp_op_name(i), json_integer(
			(json_int_t)st->requests[i]));
	json_object_set_new(o, "unknown", json_integer(
		(json_int_t)st->requests[KVP_N_OPS]));
	return o;
}

static json_t *outcomes_json(const struct kvpd_stats *st)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < KVPD_N_OUTCOMES; i++)
		json_object_set_new(o, kvpd_outcome_name(i), json_integer(
			(json_int_t)st->outcomes[i]));
	return o;
}

static json_t *pools_json(struct kvpd *d)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < KVP_N_POOLS; i++) {
		ssize_t n = kvpd_count(d, i);

		json_array_append_new(a, n < 0 ?
			json_pack("{s:i, s:s, s:s}", "pool", i, "name",
				  kvp_pool_name(i), "error", strerror((int)-n)) :
			json_pack("{s:i, s:s, s:I}", "pool", i, "name",
				  kvp_pool_name(i), "records", (json_int_t)n));
	}
	return a;
}

static json_t *on_status(void *arg, struct ctl_conn *c, json_t *request)
{
	struct kvpd_session_info info;
	struct program *p = arg;
	struct kvpd_stats st;
	json_t *reply;

	(void)c;
	(void)request;
	kvpd_session_info_get(p->session, &info);
	kvpd_stats_get(p->kvpd, &st);
	reply = json_pack(
		"{s:s, s:s, s:I, s:s?, s:b, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o}",
		"program", "hv_kvp_daemon", "version", HV_VERSION,
		"uptime_ms",
		(json_int_t)(loop_now_ms(p->loop) - p->started_ms),
		"device", info.device,
		"registered", info.registered,
		"form", p->o.form == KVP_FORM_LINUX ? "linux" : "freebsd",
		"driver_version", info.version,
		"state_dir", p->conf.state_dir,
		"opened", (json_int_t)info.opened,
		"malformed", (json_int_t)info.malformed,
		"requests", requests_json(&st),
		"outcomes", outcomes_json(&st),
		"pools", pools_json(p->kvpd));
	/* a path need not be UTF-8, JSON must */
	return reply ? reply : ctl_error("the state cannot be told as JSON");
}

static json_t *on_auto(void *arg, struct ctl_conn *c, json_t *request)
{
	struct program *p = arg;
	json_t *items = json_array();
	struct kvp_msg m;

	(void)c;
	(void)request;
	for (uint32_t i = 0; kvpd_auto_at(p->kvpd, i, &m) == 0; i++)
		json_array_append_new(items, json_pack("{s:s, s:s}", "key",
			m.key, "value", m.value));
	return json_pack("{s:o}", "items", items);
}

static const struct ctl_command commands[] = {
	{ "status", on_status },
	{ "auto", on_auto },
	{ NULL, NULL },
};

/* Start ------------------------------------------------------------------- */

static int parse(struct options *o, int argc, char **argv)
{
	const struct option_def defs[] = {
		{ 'd', "debug", NULL, "log each request", &o->debug },
		{ 'n', "foreground", NULL, "stay in the foreground",
		  &o->foreground },
		{ 'c', "config", "FILE", "instead of " CONF_FILE, &o->config },
		{ 0, "device", "PATH", "the driver's device file or socket",
		  &o->device },
		{ 0, "form", "FORM", "its messages: linux (default) or freebsd",
		  &o->form_name },
		{ 0, "state-dir", "DIR", "where the pool files are",
		  &o->state_dir },
		{ 0, "run-dir", "DIR", "where sockets are", &o->run_dir },
		{ 0, "no-sync", NULL, "do not wait for the disk", &o->no_sync },
		{ 0 },
	};
	const struct options_text text = {
		"hv_kvp_daemon", "", "Serve the Hyper-V host's key-value "
		"requests.",
	};

	return options_parse(&text, defs, argc, argv, NULL);
}

static int parse_form(struct options *o)
{
	if (!o->form_name || !strcmp(o->form_name, "linux"))
		o->form = KVP_FORM_LINUX;
	else if (!strcmp(o->form_name, "freebsd"))
		o->form = KVP_FORM_FREEBSD;
	else
		return -EINVAL;
	return 0;
}

/* Paths given as options: absolute in the background, where we are in /. */
static int take_dir(char dst[CONF_PATH_MAX], const char *dir, bool foreground)
{
	int err = conf_take_path(dst, dir, !foreground);

	if (err < 0)
		log_err("%s: %s", dir, err == -ENAMETOOLONG ?
			"too long" : "must be an absolute path");
	return err;
}

/* Everything that the operator can get wrong. */
static int configure(struct program *p)
{
	char err[512];

	if (parse_form(&p->o) < 0) {
		log_err("--form %s: it is linux or freebsd", p->o.form_name);
		return EX_USAGE;
	}
	if (conf_load(&p->conf, p->o.config, err, sizeof(err)) < 0) {
		log_err("%s", err);
		return EX_CONFIG;
	}
	if (take_dir(p->conf.state_dir, p->o.state_dir, p->o.foreground) < 0 ||
	    take_dir(p->conf.run_dir, p->o.run_dir, p->o.foreground) < 0)
		return EX_USAGE;
	if (p->o.device && !p->o.foreground && p->o.device[0] != '/') {
		log_err("%s: must be an absolute path", p->o.device);
		return EX_USAGE;
	}
	if (conf_path(p->ctl_path, p->conf.run_dir, "hv_kvp_daemon.ctl") < 0 ||
	    conf_path(p->socket_path, p->conf.run_dir, "dev/hv_kvp_dev") < 0) {
		log_err("%s: too long", p->conf.run_dir);
		return EX_USAGE;
	}
	if (p->o.no_sync)
		p->conf.kvp_sync = false;
	if (p->o.debug)
		p->conf.log_level = LOG_LEVEL_DEBUG;
	return 0;
}

/* The control socket is also what keeps a second daemon from running. */
static int open_ctl(struct program *p)
{
	p->ctl = ctl_new(p->loop, p->ctl_path, 0600, commands, p);
	if (p->ctl)
		return 0;
	if (errno == EADDRINUSE)
		log_err("another hv_kvp_daemon is running (it answers on %s)",
			p->ctl_path);
	else
		log_err("%s: %s", p->ctl_path, strerror(errno));
	return errno == EADDRINUSE ? EX_UNAVAILABLE : EXIT_FAILURE;
}

static int open_pools(struct program *p)
{
	const struct kvpd_cfg cfg = {
		.state_dir = p->conf.state_dir,
		.no_sync = !p->conf.kvp_sync,
		.lock_timeout_ms = p->conf.kvp_lock_timeout_ms,
		.external_mode = (mode_t)p->conf.kvp_external_mode,
		.pool_mode = (mode_t)p->conf.kvp_pool_mode,
		.auto_items.addresses = {
			.link_local =
				(enum netif_link_local)p->conf.kvp_link_local,
			.virtual_interfaces = p->conf.kvp_virtual_interfaces,
		},
	};
	unsigned failed;

	p->kvpd = kvpd_new(&cfg, &failed);
	if (p->kvpd)
		return 0;
	log_err("%s/.kvp_pool_%u: %s", p->conf.state_dir, failed,
		strerror(errno));
	return -1;
}

/* The kernel's driver before ours; a device node before a socket. */
static int open_session(struct program *p)
{
	struct kvpd_session_cfg cfg = {
		.devices = { "/dev/vmbus/hv_kvp", "/dev/hv_kvp_dev",
			     p->socket_path },
		.n_devices = 3,
		.form = p->o.form,
	};

	if (p->o.device) {
		cfg.devices[0] = p->o.device;
		cfg.n_devices = 1;
	}
	p->session = kvpd_session_new(p->loop, &cfg, p->kvpd);
	if (!p->session)
		log_err("session: %s", strerror(errno));
	return p->session ? 0 : -1;
}

/* No capability is needed: the devices and pools belong to our user. */
static int narrow_rights(void)
{
	const struct sandbox box = { 0 };
	int err = sandbox_enter(&box);

	if (err == -ENOSYS) {
		log_warn("this kernel has no seccomp filters; going on "
			 "without");
		return 0;
	}
	if (err)
		log_err("narrowing rights: %s", strerror(-err));
	return err;
}

static int serve(struct program *p)
{
	int status = EXIT_FAILURE, busy;

	p->loop = loop_new(LOOP_REAL);
	if (!p->loop || loop_stop_on_signals(p->loop) < 0) {
		log_err("event loop: %s", strerror(errno));
		goto free_loop;
	}
	p->started_ms = loop_now_ms(p->loop);
	busy = open_ctl(p);
	if (busy) {
		status = busy;
		goto free_loop;
	}
	if (open_pools(p) < 0)
		goto free_ctl;
	if (open_session(p) < 0)
		goto free_pools;
	if (narrow_rights() < 0)
		goto free_session;

	service_ready();
	status = loop_run(p->loop) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

free_session:
	kvpd_session_free(p->session);
free_pools:
	kvpd_free(p->kvpd);
free_ctl:
	ctl_free(p->ctl);
free_loop:
	loop_free(p->loop);
	return status;
}

int main(int argc, char **argv)
{
	struct program p = { 0 };
	int r = parse(&p.o, argc, argv);

	if (r)
		return r > 0 ? EXIT_SUCCESS : EX_USAGE;
	log_open("hv_kvp_daemon", LOG_TO_AUTO, true, LOG_LEVEL_INFO);
	r = configure(&p);
	if (r)
		return r;
	umask(022);
	if (!p.o.foreground && service_background() < 0) {
		log_err("cannot go to the background");
		return EXIT_FAILURE;
	}
	log_open("hv_kvp_daemon", LOG_TO_AUTO, p.o.foreground,
		 p.conf.log_level);
	r = serve(&p);
	log_close();
	return r;
}
