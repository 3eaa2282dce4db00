/* prog/hv_utilsd.c - the integration components' drivers in user space.
 *
 * Joins what the layers leave open: a channel that the host offers, the
 * service whose class it is, the driver behind that, and the device files on
 * which the driver meets its clients.
 *
 *   bus -> channel -> ic -> kvp -> hv_kvp_dev
 *                       -> vss -> hv_fsvss_dev, hv_vss, hv_appvss_dev
 *
 * It parses host bytes, so once everything is open it gives up every right.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "base/ctl.h"
#include "base/log.h"
#include "base/options.h"
#include "base/sandbox.h"
#include "base/service.h"
#include "utilsd.h"

struct options {
	bool debug, foreground;
	const char *config, *host, *run_dir;
};

enum { KVP, VSS, N_SERVICES };

static const struct utilsd_service *const services[N_SERVICES] = {
	[KVP] = &utilsd_kvp, [VSS] = &utilsd_vss,
};

struct utilsd {
	struct conf conf;
	struct loop *loop;
	struct utilsd_bus *bus;
	struct ctl *ctl;
	void *state[N_SERVICES];	/* of each service */
	uint64_t started_ms;
};

/* Commands -------------------------------------------------------------- */

static json_t *cmd_status(void *arg, struct ctl_conn *c, json_t *request)
{
	struct utilsd *u = arg;
	uint64_t up_ms = loop_now_ms(u->loop) - u->started_ms;
	json_t *o = json_pack("{s:s, s:s, s:I}",
			      "program", "hv_utilsd", "version", HV_VERSION,
			      "uptime_ms", (json_int_t)up_ms);
	json_t *bus = utilsd_bus_status(u->bus);

	(void)c;
	(void)request;
	json_object_update(o, bus);
	json_decref(bus);
	for (unsigned i = 0; i < N_SERVICES; i++) {
		json_t *channel = utilsd_bus_channel(u->bus, services[i]);

		json_object_set_new(o, services[i]->name,
				    services[i]->status(u->state[i], channel));
	}
	return o;
}

static json_t *cmd_vss_backups(void *arg, struct ctl_conn *c, json_t *request)
{
	struct utilsd *u = arg;

	(void)c;
	(void)request;
	return utilsd_vss_backups(u->state[VSS]);
}

static json_t *cmd_vss_watch(void *arg, struct ctl_conn *c, json_t *request)
{
	struct utilsd *u = arg;

	(void)request;
	return utilsd_vss_watch(u->state[VSS], c);
}

static const struct ctl_command commands[] = {
	{ "status", cmd_status },
	{ "vss-backups", cmd_vss_backups },
	{ "vss-watch", cmd_vss_watch },
	{ NULL, NULL }
};

/* Paths and device files -------------------------------------------------- */

int utilsd_path(const struct conf *conf, char path[CONF_PATH_MAX],
		const char *name)
{
	int err = conf_path(path, conf->run_dir, name);

	if (err < 0)
		log_err("%s: too long for sockets below it", conf->run_dir);
	return err;
}

int utilsd_dev_open(struct dev **d, struct loop *l, const struct conf *conf,
		    const char *name, struct dev_cfg cfg,
		    const struct dev_ops *ops, void *arg)
{
	char path[CONF_PATH_MAX], in_dev[CONF_PATH_MAX];
	int err;

	snprintf(in_dev, sizeof(in_dev), "dev/%s", name);
	err = utilsd_path(conf, path, in_dev);
	if (err < 0)
		return err;
	cfg.path = path;
	*d = dev_new(l, &cfg, ops, arg);
	if (!*d) {
		err = -errno;
		log_err("%s: %s", path, strerror(-err));
	}
	return err;
}

/* Start and end --------------------------------------------------------- */

static int ctl_start(struct utilsd *u)
{
	char path[CONF_PATH_MAX];
	int err = utilsd_path(&u->conf, path, "hv_utilsd.ctl");

	if (err < 0)
		return err;
	u->ctl = ctl_new(u->loop, path, 0600, commands, u);
	if (!u->ctl) {
		err = -errno;
		log_err("%s: %s", path, err == -EADDRINUSE ?
			"another hv_utilsd is running" : strerror(-err));
	}
	return err;
}

static int services_start(struct utilsd *u)
{
	int err = 0;

	u->bus = utilsd_bus_new(u->loop);
	if (!u->bus)
		return -ENOMEM;
	for (unsigned i = 0; i < N_SERVICES && !err; i++) {
		err = services[i]->start(&u->state[i], u->loop, &u->conf);
		if (!err)
			utilsd_bus_serve(u->bus, services[i],
					 services[i]->ic(u->state[i]));
	}
	return err;
}

/* It needs no right at all from here on: a host that takes it over gets a
 * process that owns a few sockets. */
static int narrow_rights(void)
{
	const struct sandbox box = { 0 };
	int err = sandbox_enter(&box);

	if (err == -ENOSYS) {
		log_warn("this kernel has no seccomp filters; going on without");
		return 0;
	}
	return err;
}

/* Each application is a descriptor. */
static void raise_descriptor_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int serve(struct utilsd *u)
{
	int err;

	raise_descriptor_limit();
	u->loop = loop_new(LOOP_REAL);
	if (!u->loop)
		return -errno;
	u->started_ms = loop_now_ms(u->loop);
	err = loop_stop_on_signals(u->loop);
	if (!err)
		err = ctl_start(u);
	if (!err)
		err = services_start(u);
	if (!err)
		err = utilsd_bus_start(u->bus, u->conf.vmbus_host);
	if (!err)
		err = narrow_rights();
	if (err < 0)
		return err;
	service_ready();
	log_info("serving");
	return loop_run(u->loop);
}

static void stop(struct utilsd *u)
{
	ctl_free(u->ctl);
	utilsd_bus_free(u->bus);
	for (unsigned i = N_SERVICES; i--; )
		services[i]->stop(u->state[i]);
	loop_free(u->loop);
}

/* A path given as an option: absolute in the background, where we are in /. */
static int take_path(char dst[CONF_PATH_MAX], const char *path,
		     bool foreground)
{
	int err = conf_take_path(dst, path, !foreground);

	if (err < 0)
		fprintf(stderr, "hv_utilsd: %s: %s\n", path,
			err == -ENAMETOOLONG ? "too long for a socket" :
			"must be an absolute path");
	return err;
}

/* Settings: the file, then what the command line says. 0 or an exit code. */
static int settle(struct utilsd *u, const struct options *o)
{
	char err[512];

	if (conf_load(&u->conf, o->config, err, sizeof(err)) < 0) {
		fprintf(stderr, "hv_utilsd: %s\n", err);
		return EX_CONFIG;
	}
	if (take_path(u->conf.run_dir, o->run_dir, o->foreground) < 0 ||
	    take_path(u->conf.vmbus_host, o->host, o->foreground) < 0)
		return EX_USAGE;
	for (unsigned i = 0; i < N_SERVICES; i++) {
		if (!services[i]->check ||
		    services[i]->check(&u->conf, err, sizeof(err)) == 0)
			continue;
		fprintf(stderr, "hv_utilsd: %s\n", err);
		return EX_CONFIG;
	}
	log_open("hv_utilsd", LOG_TO_AUTO, o->foreground,
		 o->debug ? LOG_LEVEL_DEBUG : u->conf.log_level);
	return 0;
}

int main(int argc, char **argv)
{
	static struct utilsd u;
	struct options o = { 0 };
	const struct option_def defs[] = {
		{ 'd', "debug", NULL, "log in detail", &o.debug },
		{ 'n', "foreground", NULL, "stay in the foreground",
		  &o.foreground },
		{ 'c', "config", "FILE", "instead of " CONF_FILE, &o.config },
		{ 0, "host", "SOCKET", "the simulated host's socket", &o.host },
		{ 0, "run-dir", "DIR", "where sockets are made", &o.run_dir },
		{ 0, NULL, NULL, NULL, NULL }
	};
	const struct options_text text = {
		"hv_utilsd", "", "The drivers of Hyper-V's integration components."
	};
	int err = options_parse(&text, defs, argc, argv, NULL);

	if (err)
		return err < 0 ? EX_USAGE : EXIT_SUCCESS;
	err = settle(&u, &o);
	if (err)
		return err;
	if (!o.foreground) {
		err = service_background();
		if (err < 0) {
			log_err("cannot go to the background: %s", strerror(-err));
			return EXIT_FAILURE;
		}
	}
	err = serve(&u);
	stop(&u);
	if (err < 0)
		log_err("ending: %s", strerror(-err));
	log_close();
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
