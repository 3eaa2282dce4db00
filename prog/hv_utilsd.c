/* prog/hv_utilsd.c - the integration components' drivers in user space.
 *
 * Joins what the layers leave open: a channel that the host offers, the row of
 * the service table that its class picks, the driver behind it, and the device
 * file on which the driver meets its daemon.
 *
 *   bus -> channel -> ic -> kvp -> hv_kvp_dev
 *
 * It parses host bytes, so once everything is open it gives up every right.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/conf.h"
#include "base/ctl.h"
#include "base/log.h"
#include "base/options.h"
#include "base/sandbox.h"
#include "base/service.h"
#include "endpoint/dev.h"
#include "kvp/kvp.h"
#include "vmbus/bus.h"

enum {
	MAX_OFFERS = 64,
	REOPEN_MS = 1000,	/* a host that breaks rings must not keep us busy */
};

struct options {
	bool debug, foreground;
	const char *config, *host, *run_dir;
};

/* A channel that the host offers and that one of our services could use. */
struct offer {
	uint32_t relid;
	const struct ic_service *svc;
	struct guid instance;
};

struct utilsd {
	struct conf conf;
	struct loop *loop;
	struct bus *bus;
	struct ctl *ctl;
	struct offer offers[MAX_OFFERS];
	unsigned n_offers;
	/* KVP: the driver, its channel, its device file. */
	struct kvp *kvp;
	const struct offer *kvp_offer;	/* the one in use, NULL: none */
	struct dev *kvp_dev;
	struct loop_timer reopen;
	uint64_t started_ms;
};

/* The channel ----------------------------------------------------------- */

static void on_packet(void *arg, const struct packet *p)
{
	struct utilsd *u = arg;

	ic_packet(kvp_ic(u->kvp), p);
}

static void on_writable(void *arg)
{
	struct utilsd *u = arg;

	ic_writable(kvp_ic(u->kvp));
}

/* The host broke the ring: close this channel, and open it again after a
 * while, which is how both sides begin anew. */
static void on_broken(void *arg, int err)
{
	struct utilsd *u = arg;
	uint32_t relid = u->kvp_offer->relid;

	log_err("kvp: the host broke the ring (%s); channel %u is closed and will be opened again",
		strerror(-err), relid);
	ic_channel(kvp_ic(u->kvp), NULL);
	u->kvp_offer = NULL;
	bus_close(u->bus, relid);
	loop_timer_set(&u->reopen, REOPEN_MS);
}

static const struct channel_ops channel_ops = {
	.packet = on_packet, .broken = on_broken, .writable = on_writable,
};

/* The bus --------------------------------------------------------------- */

/* A host may offer a service twice; the first one is used, and the next one
 * when that goes away. */
static void open_some_offer(void *arg)
{
	struct utilsd *u = arg;

	for (unsigned i = 0; i < u->n_offers && !u->kvp_offer; i++) {
		const struct offer *o = &u->offers[i];
		int err = bus_open(u->bus, o->relid, o->svc->ring_len,
				   o->svc->ring_len, NULL, 0, &channel_ops, u);

		if (err < 0)
			log_err("%s: channel %u cannot be opened: %s",
				o->svc->name, o->relid, strerror(-err));
		else
			u->kvp_offer = o;
	}
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	const struct ic_service *svc = ic_service_of(&o->class_id);
	const char *name = guid_service(&o->class_id);
	struct utilsd *u = arg;
	char text[GUID_TEXT];

	if (!svc || o->sub_index) {
		log_debug("channel %u: %s %s is not served here", o->relid,
			  name ? name : "unknown class",
			  guid_text(text, &o->class_id));
		return;
	}
	if (u->n_offers == MAX_OFFERS) {
		log_warn("channel %u: the host offers %s once too often",
			 o->relid, svc->name);
		return;
	}
	u->offers[u->n_offers++] = (struct offer){ o->relid, svc, o->instance };
	log_info("%s: offered as channel %u", svc->name, o->relid);
	open_some_offer(u);
}

static void on_rescind(void *arg, uint32_t relid)
{
	struct utilsd *u = arg;
	unsigned i = 0;

	while (i < u->n_offers && u->offers[i].relid != relid)
		i++;
	if (i == u->n_offers)
		return;
	log_info("%s: channel %u is gone", u->offers[i].svc->name, relid);
	if (u->kvp_offer == &u->offers[i]) {
		u->kvp_offer = NULL;
		ic_channel(kvp_ic(u->kvp), NULL);
	} else if (u->kvp_offer > &u->offers[i]) {
		u->kvp_offer--;		/* it moves up with the others */
	}
	u->n_offers--;
	memmove(&u->offers[i], &u->offers[i + 1],
		(u->n_offers - i) * sizeof(u->offers[0]));
	open_some_offer(u);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	struct utilsd *u = arg;

	if (err < 0) {
		log_err("channel %u: the host refused to open it: %s", relid,
			strerror(-err));
		u->kvp_offer = NULL;	/* until the host offers it anew */
		return;
	}
	ic_channel(kvp_ic(u->kvp), c);
}

/* What the host has, it has said: a service that it does not offer is no
 * reason to wait. */
static void on_offers_done(void *arg)
{
	struct utilsd *u = arg;

	if (!u->n_offers)
		log_info("vmbus: the host offers nothing that is served here");
}

static const char *bus_state_name(enum bus_state s)
{
	switch (s) {
	case BUS_DOWN:
		return "no host";
	case BUS_CONTACT:
		return "making contact";
	case BUS_UP:
		return "up";
	}
	return "?";
}

static void on_bus_state(void *arg, enum bus_state s)
{
	struct utilsd *u = arg;
	uint32_t v = bus_version(u->bus);

	if (s == BUS_UP)
		log_info("vmbus: up, version %u.%u, %s", v >> 16, v & 0xffff,
			 bus_where(u->bus));
	else
		log_info("vmbus: %s, %s", bus_state_name(s), bus_where(u->bus));
}

static const struct bus_ops bus_ops = {
	.state = on_bus_state, .offer = on_offer,
	.offers_done = on_offers_done, .rescind = on_rescind,
	.opened = on_opened,
};

/* The device file ------------------------------------------------------- */

static int send_to_daemon(void *arg, const void *buf, size_t len)
{
	return dev_send(arg, buf, len);
}

static int on_dev_open(void *arg, struct dev_client *c)
{
	const struct kvp_daemon d = { .send = send_to_daemon, .arg = c };
	struct utilsd *u = arg;
	int err = kvp_daemon_open(u->kvp, &d);

	if (err < 0)
		log_warn("hv_kvp_dev: process %d is refused, another has it open",
			 (int)dev_client_pid(c));
	return err;
}

static void on_dev_message(void *arg, struct dev_client *c, const uint8_t *buf,
			   size_t len)
{
	struct utilsd *u = arg;

	if (kvp_daemon_message(u->kvp, buf, len) < 0) {
		log_warn("hv_kvp_dev: process %d sent %zu bytes that are no registration",
			 (int)dev_client_pid(c), len);
		dev_client_close(c);
	}
}

static void on_dev_closed(void *arg, struct dev_client *c)
{
	struct utilsd *u = arg;

	log_info("hv_kvp_dev: process %d closed it", (int)dev_client_pid(c));
	kvp_daemon_gone(u->kvp);
}

static const struct dev_ops dev_ops = {
	.opened = on_dev_open, .message = on_dev_message,
	.closed = on_dev_closed,
};

/* Status ---------------------------------------------------------------- */

static json_t *version_json(uint32_t v)
{
	return v ? json_sprintf("%u.%u", HV_IC_MAJOR(v), HV_IC_MINOR(v)) :
		   json_null();
}

static json_t *kvp_requests_json(const struct kvp_stats *s)
{
	json_t *o = json_object();

	for (unsigned op = 0; op < KVP_N_OPS; op++)
		json_object_set_new(o, kvp_op_name(op),
				    json_integer((json_int_t)s->requests[op]));
	json_object_set_new(o, "unknown", json_integer(
				(json_int_t)s->requests[KVP_N_OPS]));
	return o;
}

static json_t *kvp_json(struct utilsd *u)
{
	struct ic *ic = kvp_ic(u->kvp);
	enum kvp_state state = kvp_state_get(u->kvp);
	struct ic_stats i;
	struct kvp_stats s;
	uint64_t refused, dropped;

	ic_stats_get(ic, &i);
	kvp_stats_get(u->kvp, &s);
	refused = s.refused + i.refused;
	dropped = i.dropped + s.malformed;
	return json_pack(
		"{s:s, s:s?, s:b, s:o, s:o, s:b, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
		"daemon", kvp_state_name(state), "form",
		state == KVP_NO_DAEMON ? NULL :
		kvp_form_get(u->kvp) == KVP_FORM_LINUX ? "linux" : "freebsd",
		"channel", u->kvp_offer != NULL,
		"framework", version_json(ic_framework(ic)),
		"version", version_json(ic_version(ic)),
		"negotiation_held", ic_holding(ic),
		"negotiations", (json_int_t)i.negotiations,
		"requests", kvp_requests_json(&s),
		"answered", (json_int_t)s.answered,
		"refused", (json_int_t)refused,
		"no_daemon", (json_int_t)s.no_daemon,
		"timeouts", (json_int_t)s.timeouts,
		"late_answers", (json_int_t)s.stale,
		"dropped", (json_int_t)dropped);
}

static json_t *cmd_status(void *arg, struct ctl_conn *c, json_t *request)
{
	struct utilsd *u = arg;
	uint64_t up_ms = loop_now_ms(u->loop) - u->started_ms;

	(void)c;
	(void)request;
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:o}",
			 "program", "hv_utilsd", "version", HV_VERSION,
			 "uptime_ms", (json_int_t)up_ms,
			 "host", bus_where(u->bus),
			 "vmbus", bus_state_name(bus_state_get(u->bus)),
			 "vmbus_version", version_json(bus_version(u->bus)),
			 "kvp", kvp_json(u));
}

static const struct ctl_command commands[] = {
	{ "status", cmd_status },
	{ NULL, NULL }
};

/* Start and end --------------------------------------------------------- */

static int path_in_run_dir(const struct utilsd *u, char path[CONF_PATH_MAX],
			   const char *name)
{
	int err = conf_path(path, u->conf.run_dir, name);

	if (err < 0)
		log_err("%s: too long for sockets below it", u->conf.run_dir);
	return err;
}

static int kvp_start(struct utilsd *u)
{
	const struct kvp_cfg cfg = {
		.timeout_ms = u->conf.kvp_timeout_ms,
		.set_ip_timeout_ms = u->conf.kvp_set_ip_timeout_ms,
		.hold_ms = u->conf.kvp_negotiation_hold_ms,
	};
	char path[CONF_PATH_MAX];
	struct dev_cfg dev = {
		.path = path,
		.mode = u->conf.kvp_device_mode,
		.max_msg = KVP_DEVMSG_MAX,
	};
	int err = path_in_run_dir(u, path, "dev/hv_kvp_dev");

	if (err < 0)
		return err;
	u->kvp = kvp_new(u->loop, &cfg);
	if (!u->kvp)
		return -ENOMEM;
	u->kvp_dev = dev_new(u->loop, &dev, &dev_ops, u);
	if (!u->kvp_dev) {
		err = -errno;
		log_err("%s: %s", path, strerror(-err));
	}
	return err;
}

static int ctl_start(struct utilsd *u)
{
	char path[CONF_PATH_MAX];
	int err = path_in_run_dir(u, path, "hv_utilsd.ctl");

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

static int bus_start(struct utilsd *u)
{
	u->bus = bus_shm_new(u->loop, u->conf.vmbus_host, &bus_ops, u);
	return u->bus ? 0 : -errno;
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

static int serve(struct utilsd *u)
{
	int err;

	u->loop = loop_new(LOOP_REAL);
	if (!u->loop)
		return -errno;
	u->started_ms = loop_now_ms(u->loop);
	loop_timer_init(&u->reopen, u->loop, open_some_offer, u);
	err = loop_stop_on_signals(u->loop);
	if (!err)
		err = ctl_start(u);
	if (!err)
		err = kvp_start(u);
	if (!err)
		err = bus_start(u);
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
	if (u->bus)
		bus_free(u->bus);
	dev_free(u->kvp_dev);
	kvp_free(u->kvp);
	ctl_free(u->ctl);
	loop_free(u->loop);
}

/* A path given as an option: absolute in the background, where we are in /. */
static int take_path(char dst[CONF_PATH_MAX], const char *path,
		     bool foreground)
{
	if (!path)
		return 0;
	if (strlen(path) >= CONF_PATH_MAX || (!foreground && path[0] != '/')) {
		fprintf(stderr, "hv_utilsd: %s: %s\n", path,
			strlen(path) >= CONF_PATH_MAX ?
			"too long for a socket" : "must be an absolute path");
		return -EINVAL;
	}
	strcpy(dst, path);
	return 0;
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
