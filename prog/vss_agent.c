/* prog/vss_agent.c - the frame around an application of the driver's.
 *
 * A program that is told to end while something is held releases that first;
 * then the device is closed, and the driver knows. */
#include "vss_agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "app/proc.h"
#include "base/ctl.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/service.h"

enum { MAX_OPTIONS = 24, ASIDE_SECONDS = 10 };

struct frame {
	struct vss_agent a;
	bool debug, foreground;
	const char *config, *device, *run_dir, *name;
	struct ctl *ctl;
	uint64_t started_ms;
};

void vss_agent_aside(void (*fn)(void *arg), void *arg)
{
	pid_t child = proc_fork();

	if (child > 0)
		waitpid(child, NULL, 0);
	if (child != 0)
		return;
	if (fork() != 0)
		_exit(0);		/* the grandchild is nobody's zombie */
	alarm(ASIDE_SECONDS);
	fn(arg);
	_exit(0);
}

/* Control socket ---------------------------------------------------------- */

static json_t *on_status(void *arg, struct ctl_conn *c, json_t *request)
{
	struct frame *f = arg;
	json_t *more = f->a.def->status ? f->a.def->status(&f->a) : NULL;
	json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:b}",
		"program", f->a.def->program, "version", HV_VERSION,
		"name", f->a.name, "uptime_ms",
		(json_int_t)(loop_now_ms(f->a.loop) - f->started_ms),
		"connected", client_connected(f->a.client));

	(void)c;
	(void)request;
	if (more)
		json_object_update(o, more);
	json_decref(more);
	return o ? o : ctl_error("the state cannot be told as JSON");
}

static const struct ctl_command commands[] = {
	{ "status", on_status },
	{ NULL, NULL },
};

/* It also keeps a second instance of the same name from running. Users who
 * may not create it in the run directory go without. */
static int open_ctl(struct frame *f)
{
	char name[96], path[CONF_PATH_MAX];

	snprintf(name, sizeof(name), "%s.ctl", f->a.name);
	if (strchr(name, '/') || conf_path(path, f->a.conf.run_dir, name) < 0) {
		log_err("%s: not good for a socket's name", name);
		return EX_USAGE;
	}
	f->ctl = ctl_new(f->a.loop, path, 0600, commands, f);
	if (f->ctl)
		return 0;
	if (errno == EACCES || errno == EROFS) {
		log_info("%s: %s; going on without a control socket", path,
			 strerror(errno));
		return 0;
	}
	if (errno == EADDRINUSE)
		log_err("another %s is running (it answers on %s)", f->a.name,
			path);
	else
		log_err("%s: %s", path, strerror(errno));
	return errno == EADDRINUSE ? EX_UNAVAILABLE : EXIT_FAILURE;
}

/* Start ------------------------------------------------------------------- */

static int parse(struct frame *f, int argc, char **argv)
{
	const struct option_def common[] = {
		{ 'd', "debug", NULL, "log each step", &f->debug },
		{ 'n', "foreground", NULL, "stay in the foreground",
		  &f->foreground },
		{ 'c', "config", "FILE", "instead of " CONF_FILE, &f->config },
		{ 0, "device", "PATH", "the driver's device file or socket",
		  &f->device },
		{ 0, "run-dir", "DIR", "where sockets are", &f->run_dir },
		{ 0, "name", "NAME", "what histories call this instance",
		  &f->name },
	};
	enum { N_COMMON = sizeof(common) / sizeof(common[0]) };
	struct option_def defs[MAX_OPTIONS] = { { 0 } };
	const struct options_text text = {
		f->a.def->program, "", f->a.def->summary,
	};
	size_t n = N_COMMON;

	memcpy(defs, common, sizeof(common));
	for (const struct option_def *o = f->a.def->options;
	     o && o->name && n < MAX_OPTIONS - 1; o++)
		defs[n++] = *o;
	return options_parse(&text, defs, argc, argv, NULL);
}

static bool good_path(const char *path, bool foreground)
{
	if (path && !foreground && path[0] != '/') {
		log_err("%s: must be an absolute path", path);
		return false;
	}
	return true;
}

static int configure(struct frame *f)
{
	char err[512];

	if (conf_load(&f->a.conf, f->config, err, sizeof(err)) < 0) {
		log_err("%s", err);
		return EX_CONFIG;
	}
	if (!good_path(f->run_dir, f->foreground) ||
	    !good_path(f->device, f->foreground))
		return EX_USAGE;
	if (f->run_dir && strlen(f->run_dir) >= CONF_PATH_MAX) {
		log_err("%s: too long", f->run_dir);
		return EX_USAGE;
	}
	if (f->run_dir)
		strcpy(f->a.conf.run_dir, f->run_dir);
	if (f->debug)
		f->a.conf.log_level = LOG_LEVEL_DEBUG;
	f->a.name = f->name ? f->name : f->a.def->program;
	return f->a.def->configure ? f->a.def->configure(&f->a) : 0;
}

static int narrow_rights(const struct frame *f)
{
	const struct sandbox box = { .may_exec = true };
	int err = f->a.def->keeps_rights ? 0 : sandbox_enter(&box);

	if (err == -ENOSYS) {
		log_warn("this kernel has no seccomp filters; going on "
			 "without");
		return 0;
	}
	if (err)
		log_err("narrowing rights: %s", strerror(-err));
	return err;
}

static void on_asked(void *arg, const struct hv_vss_record *q)
{
	struct frame *f = arg;

	f->a.def->asked(&f->a, q);
}

static int open_client(struct frame *f)
{
	const struct client_cfg cfg = {
		.name = f->a.name,
		.device = f->device,
		.run_dir = f->a.conf.run_dir,
	};

	f->a.client = client_new(f->a.loop, &cfg, on_asked, f);
	if (!f->a.client)
		log_err("session: %s", strerror(errno));
	return f->a.client ? 0 : -1;
}

static void release(struct frame *f)
{
	f->a.def->release(&f->a);
	while (f->a.def->busy(&f->a) && loop_once(f->a.loop, true) >= 0)
		;
}

static int serve(struct frame *f)
{
	int status = EXIT_FAILURE, r;

	f->a.loop = loop_new(LOOP_REAL);
	if (!f->a.loop || loop_stop_on_signals(f->a.loop) < 0) {
		log_err("event loop: %s", strerror(errno));
		goto free_loop;
	}
	f->started_ms = loop_now_ms(f->a.loop);
	r = open_ctl(f);
	if (r) {
		status = r;
		goto free_loop;
	}
	if (f->a.def->start(&f->a) < 0)
		goto free_ctl;
	if (narrow_rights(f) < 0 || open_client(f) < 0)
		goto stop;

	service_ready();
	status = loop_run(f->a.loop) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	release(f);
	client_free(f->a.client);
stop:
	f->a.def->stop(&f->a);
free_ctl:
	ctl_free(f->ctl);
free_loop:
	loop_free(f->a.loop);
	return status;
}

int vss_agent_main(const struct vss_agent_def *def, void *own, int argc,
		   char **argv)
{
	struct frame f = { .a = { .def = def, .own = own } };
	int r = parse(&f, argc, argv);

	if (r)
		return r > 0 ? EXIT_SUCCESS : r == -EIO ? EX_IOERR : EX_USAGE;
	log_open(def->program, LOG_TO_AUTO, true, LOG_LEVEL_INFO);
	r = configure(&f);
	if (r)
		return r < 0 ? EXIT_SUCCESS : r;
	umask(022);
	if (!f.foreground && service_background() < 0) {
		log_err("cannot go to the background");
		return EXIT_FAILURE;
	}
	log_open(def->program, LOG_TO_AUTO, f.foreground,
		 (enum log_level)f.a.conf.log_level);
	r = serve(&f);
	log_close();
	return r;
}
