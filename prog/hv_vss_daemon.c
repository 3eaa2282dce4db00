/* prog/hv_vss_daemon.c - the file-system agent of backups: plans, flushes,
 * freezes and thaws what the VSS driver asks for.
 *
 *   main: options, recovery of what an earlier life left frozen
 *     -> guardian (this process from then on; vss/guardian.h)
 *          -> worker: session with the driver, plan, freeze, history
 *
 * Recovery comes first and may mount; after it nobody here does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/ctl.h"
#include "base/log.h"
#include "base/options.h"
#include "base/sandbox.h"
#include "base/service.h"
#include "base/unix_socket.h"
#include "dev_session.h"
#include "plan_table.h"
#include "vss/guardian.h"
#include "vss/history.h"
#include "vss/history_rec.h"
#include "vss/thaw_left.h"
#include "vss/vss_devmsg.h"
#include "vss/vssd.h"
#include "vss_last_error.h"

enum {
	MAX_CONFINE = 64,
	HISTORY_PATIENCE_MS = 1000,
	ORPHAN_TRIES = 200,		/* of 10 ms */
	CTL_TRIES = 100,
	STACK_BYTES = 256 << 10,
};

struct options {
	bool debug, foreground, plan, thaw_left;
	const char *config, *device, *state_dir, *run_dir, *confine;
};

struct program {
	struct options o;
	struct conf conf;
	char ctl_path[CONF_PATH_MAX], socket_path[CONF_PATH_MAX];
	char frozen_path[CONF_PATH_MAX], driver_ctl[CONF_PATH_MAX];
	char history_path[CONF_PATH_MAX], metrics_path[CONF_PATH_MAX];
	struct plan_rule rules[CONF_RULES_MAX];
	size_t n_rules;
	dev_t confine[MAX_CONFINE];
	size_t n_confine;
	struct frozen_file file;
	int oom_adj;			/* what we were started with */
	/* The worker's. */
	struct loop *loop;
	struct ctl *ctl;
	struct history *history;
	struct vss_last_error *last_error;
	struct vssd *vssd;
	struct dev_session *session;
	uint64_t started_ms, malformed;
	int guardian;
	bool alone;
};

/* Control socket ----------------------------------------------------------- */

static json_t *on_status(void *arg, struct ctl_conn *c, json_t *request)
{
	struct program *p = arg;
	json_t *reply;

	(void)c;
	(void)request;
	reply = json_pack("{s:s, s:s, s:I, s:s?, s:b, s:I, s:I, s:b, s:b, s:o, s:o}",
		"program", "hv_vss_daemon", "version", HV_VERSION,
		"uptime_ms",
		(json_int_t)(loop_now_ms(p->loop) - p->started_ms),
		"device", dev_session_path(p->session),
		"registered", dev_session_path(p->session) != NULL,
		"opened", (json_int_t)dev_session_opened(p->session),
		"malformed", (json_int_t)p->malformed,
		"confined", p->n_confine > 0,
		"survives_kill", p->file.persistent,
		"freeze", vssd_status_json(p->vssd),
		"history", history_status(p->history));
	return reply ? reply : ctl_error("the state cannot be told as JSON");
}

static json_t *on_plan(void *arg, struct ctl_conn *c, json_t *request)
{
	struct program *p = arg;

	(void)c;
	(void)request;
	return vssd_plan_json(p->vssd);
}

static const struct ctl_command commands[] = {
	{ "status", on_status },
	{ "plan", on_plan },
	{ NULL, NULL },
};

/* The driver ----------------------------------------------------------------- */

static ssize_t receive(struct devc *dev, uint8_t buf[VSS_RECORD_SIZE])
{
	struct hv_vss_record r;

	if (!dev->chardev)
		return devc_recv(dev, buf, VSS_RECORD_SIZE);
	memset(&r, 0, sizeof(r));
	if (ioctl(dev->fd, IOCHVVSSREAD, &r) < 0)
		return errno == EINTR || errno == EAGAIN ? -EAGAIN : -EPIPE;
	if (r.status)			/* it was taken back meanwhile */
		return -EAGAIN;
	vss_record_put(buf, &r);
	return VSS_RECORD_SIZE;
}

static int transmit(struct devc *dev, const void *buf, size_t len)
{
	struct hv_vss_record r;

	if (!dev->chardev)
		return devc_send(dev, buf, len);
	vss_record_get(&r, buf, len);
	return ioctl(dev->fd, IOCHVVSSWRITE, &r) < 0 ? -EPIPE : 0;
}

static int on_opened(void *arg, struct devc *dev)
{
	struct hv_vss_record r = { .opt = HV_VSS_HELLO };
	uint8_t buf[VSS_RECORD_SIZE];
	int err;

	(void)arg;
	if (dev->chardev)
		return 0;		/* opening it is the registration */
	vss_record_set_text(&r, "hv_vss_daemon");
	vss_record_put(buf, &r);
	err = devc_send(dev, buf, sizeof(buf));
	if (!err)
		log_info("registered with the driver");
	return err;
}

static void on_readable(void *arg, struct devc *dev)
{
	uint8_t buf[VSS_RECORD_SIZE];
	struct program *p = arg;
	ssize_t n = receive(dev, buf);

	if (n == -EAGAIN)
		return;
	if (n < 0 && n != -EMSGSIZE) {
		dev_session_lost(p->session, "reading a request", (int)n);
		return;
	}
	dev_session_heard(p->session);
	if (n < 0 || vssd_message(p->vssd, buf, (size_t)n) < 0)
		p->malformed++;
	else
		dev_session_works(p->session);
}

static void on_closed(void *arg)
{
	struct program *p = arg;

	vssd_driver_gone(p->vssd);
}

static int on_send(void *arg, const void *buf, size_t len)
{
	struct program *p = arg;
	struct devc *dev = dev_session_dev(p->session);
	int err = dev ? transmit(dev, buf, len) : -EPIPE;

	if (err && dev)
		dev_session_lost(p->session, "writing an answer", err);
	return err;
}

/* Something may be frozen, or not any more. */
static void on_quiet(void *arg, bool on)
{
	struct program *p = arg;

	dev_session_pause(p->session, on);
	ctl_hold(p->ctl, on);
	vss_last_error_hold(p->last_error, on);
	if (on)
		history_hold(p->history, HISTORY_PATIENCE_MS);
	log_hold(on);
	if (!on)
		history_release(p->history);
}

static void on_report(void *arg, json_t *report)
{
	struct program *p = arg;

	history_part(p->history, report);
}

static void on_last_error(void *arg, const char *why)
{
	struct program *p = arg;

	vss_last_error_set(p->last_error, why);
}

static void on_recorded(void *arg, json_t *record)
{
	const char *result = history_text(record, "result");
	struct program *p = arg;

	if (!strcmp(result, "application") || !strcmp(result, "file-system"))
		vss_last_error_result(p->last_error, result,
				      history_text(record, "started"));
}

static void on_alone(void *arg)
{
	struct program *p = arg;

	log_err("the guardian died; all is thawed, ending");
	p->alone = true;
	loop_stop(p->loop, EXIT_FAILURE);
}

/* The worker ------------------------------------------------------------------ */

static void set_oom_adj(int adj)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", adj);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, (size_t)n) < 0)
		log_debug("oom_score_adj stays as it is");
	close(fd);
}

static int narrow_rights(bool worker)
{
	/* SYS_ADMIN: FIFREEZE, FITHAW. DAC_READ_SEARCH: mount points below
	 * directories that are closed to us. SYS_PTRACE: to see what other
	 * mount namespaces have mounted (/proc/PID/root). */
	static const int caps[] = {
		CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE,
	};
	const struct sandbox box = {
		.caps = caps, .n_caps = 3,
		.may_exec = !worker,	/* the guardian forks workers */
		.may_thread = true,
	};
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

static struct vssd *open_vssd(struct program *p)
{
	const struct vssd_cfg cfg = {
		.loop = p->loop,
		.z = p->file.z,
		.ops = &freeze_ops_real,
		.guardian = p->guardian,
		.rules = p->rules,
		.n_rules = p->n_rules,
		.confine = p->confine,
		.n_confine = p->n_confine,
		.confined = p->o.confine != NULL,
		.read_mounts = mounts_read,
		.send = on_send,
		.quiet = on_quiet,
		.report = on_report,
		.last_error = on_last_error,
		.alone = on_alone,
		.arg = p,
	};

	return vssd_new(&cfg);
}

static struct history *open_history(struct program *p)
{
	const struct history_cfg cfg = {
		.file = p->history_path,
		.metrics = p->metrics_path,
		.driver_ctl = p->driver_ctl,
		.keep = p->conf.vss_history_size,
		.recorded = on_recorded, .arg = p,
	};

	return history_new(p->loop, &cfg);
}

static struct dev_session *open_session(struct program *p)
{
	struct dev_session_cfg cfg = {
		.devices = { "/dev/hv_fsvss_dev", p->socket_path },
		.n_devices = 2,
		.opened = on_opened, .readable = on_readable,
		.closed = on_closed, .arg = p,
	};

	if (p->o.device) {
		cfg.devices[0] = p->o.device;
		cfg.n_devices = 1;
	}
	return dev_session_new(p->loop, &cfg);
}

/* Nobody of an earlier life is left, yet the kernel may still be closing what
 * the last one had open. */
static int open_ctl(struct program *p)
{
	const struct timespec moment = { .tv_nsec = 10000000 };

	for (unsigned i = 0; i < CTL_TRIES; i++) {
		p->ctl = ctl_new(p->loop, p->ctl_path, 0600, commands, p);
		if (p->ctl)
			return 0;
		if (errno != EADDRINUSE)
			return -errno;
		nanosleep(&moment, NULL);
	}
	errno = EADDRINUSE;
	return -EADDRINUSE;
}

static int open_all(struct program *p)
{
	p->loop = loop_new(LOOP_REAL);
	if (!p->loop || loop_stop_on_signals(p->loop) < 0)
		return -ENOMEM;
	p->started_ms = loop_now_ms(p->loop);
	if (open_ctl(p) < 0)
		return -errno;
	p->last_error = vss_last_error_new(p->conf.state_dir);
	p->history = open_history(p);
	p->session = open_session(p);
	p->vssd = open_vssd(p);
	return p->last_error && p->history && p->session && p->vssd ? 0 :
	       -ENOMEM;
}

/* Thaw before anything else ends. */
static void close_all(struct program *p)
{
	vssd_free(p->vssd);
	dev_session_free(p->session);
	history_free(p->history);
	vss_last_error_free(p->last_error);
	ctl_free(p->ctl);
	loop_free(p->loop);
}

/* Confined, the very first plan must fit. */
static int check_confinement(struct program *p)
{
	char why[256];

	if (!p->o.confine || vssd_confinement(p->vssd, why, sizeof(why)) == 0)
		return 0;
	log_err("refusing to start: %s", why);
	return -EPERM;
}

static void tell_ready(struct program *p)
{
	const struct guardian_msg m = { .op = GUARDIAN_READY };

	service_ready();
	guardian_send(p->guardian, &m, NULL);
}

/* What lies around is locked, and thus used, with the rest: one arena for
 * malloc(), and stacks of a size that our threads need. */
static void keep_small(void)
{
	pthread_attr_t a;

	mallopt(M_ARENA_MAX, 1);
	if (pthread_attr_init(&a))
		return;
	if (!pthread_attr_setstacksize(&a, STACK_BYTES))
		pthread_setattr_default_np(&a);
	pthread_attr_destroy(&a);
}

static int worker(void *arg, int guardian, unsigned life)
{
	struct program *p = arg;
	int status = EXIT_FAILURE, err;

	set_oom_adj(p->oom_adj);
	keep_small();
	p->guardian = guardian;
	err = open_all(p);
	if (err) {
		log_err("cannot begin: %s", strerror(-err));
		goto out;
	}
	vssd_report_left(p->vssd);
	if (check_confinement(p) < 0) {
		status = EX_CONFIG;
		goto out;
	}
	if (narrow_rights(true) < 0)
		goto out;
	dev_session_start(p->session);
	if (life == 0)
		tell_ready(p);
	status = loop_run(p->loop) < 0 || p->alone ? EXIT_FAILURE :
		 EXIT_SUCCESS;
out:
	close_all(p);
	log_close();
	return status;
}

/* Recovery --------------------------------------------------------------------- */

/* arg: errors are to be told, too; it is not tried again. */
static void on_left(void *arg, const struct frozen_fs *fs, int err)
{
	char path[sizeof(fs->path)], source[sizeof(fs->source)];

	log_quote(path, sizeof(path), fs->path, sizeof(fs->path));
	log_quote(source, sizeof(source), fs->source, sizeof(fs->source));
	if (err && arg)
		log_err("%s (%s) was left frozen and cannot be thawed: %s; "
			"free it with `fsfreeze --unfreeze`, or by a reboot",
			path, source, strerror(-err));
	else if (!err && frozen_thawer(fs) != FREEZE_BY_NOBODY)
		log_warn("%s (%s) was left frozen; thawed", path, source);
}

static void thaw_once(struct program *p, bool over, bool last)
{
	const struct thaw_left t = {
		.ops = &freeze_ops_real, .over = over, .said = on_left,
		.arg = last ? p : NULL,
	};

	if (frozen_count(p->file.z))
		thaw_left(p->file.z, &t);
}

/* The log may be on what is frozen, and nothing is thawed while we wait for
 * it; a process of its own can wait. */
static void warn_apart(const struct program *p, pid_t pid)
{
	if (fork())
		return;
	close(p->file.fd);		/* it says who lives */
	log_hold(false);
	log_warn("process %d of an earlier life hangs while it freezes; "
		 "waiting for it, to thaw what it leaves", (int)pid);
	_exit(EXIT_SUCCESS);
}

/* A worker that has lost its guardian thaws by itself, tells the history and
 * ends; one that is stopped or hangs does not, and is ended. What it had under
 * way may come to be frozen until it is gone, however long that takes. Returns
 * whether it is. */
static bool end_orphan(struct program *p)
{
	const struct timespec moment = { .tv_nsec = 10000000 };

	for (unsigned i = 0; !frozen_take_over(&p->file); i++) {
		pid_t pid = frozen_worker(&p->file);

		if (i >= 2 * ORPHAN_TRIES && !frozen_count(p->file.z))
			return false;
		if (i == ORPHAN_TRIES && pid > 0)
			kill(pid, SIGKILL);
		if (i == 2 * ORPHAN_TRIES)
			warn_apart(p, pid);
		thaw_once(p, false, false);
		nanosleep(&moment, NULL);
	}
	return true;
}

/* What there is to say may go to what is frozen still: it waits. 0 or an exit
 * code. */
static int recover(struct program *p)
{
	bool over;

	if (frozen_check(p->file.z) < 0)
		frozen_clear(p->file.z);
	log_hold(true);
	thaw_once(p, false, false);
	over = end_orphan(p);
	thaw_once(p, over, true);
	log_hold(false);
	if (p->o.thaw_left)
		return frozen_count(p->file.z) ? EXIT_FAILURE : 0;
	if (over)
		return 0;
	log_err("process %d of an earlier life hangs in the kernel, with "
		"nothing frozen; cannot begin before it ends",
		(int)frozen_worker(&p->file));
	return EX_UNAVAILABLE;
}

static int open_frozen(struct program *p)
{
	int err = make_parent_dirs(p->frozen_path, 0755);

	if (!err)
		err = frozen_open(&p->file, p->frozen_path);
	if (err == -EAGAIN) {
		log_err("another hv_vss_daemon is running (it holds %s)",
			p->frozen_path);
		return EX_UNAVAILABLE;
	}
	if (err) {
		log_err("%s: %s", p->frozen_path, strerror(-err));
		return EXIT_FAILURE;
	}
	if (!p->file.persistent)
		log_warn("%s is not on a tmpfs: if this daemon and its guardian "
			 "are both killed, nobody knows what is frozen",
			 p->conf.run_dir);
	return recover(p);
}

/* Start ------------------------------------------------------------------------ */

static int parse(struct options *o, int argc, char **argv)
{
	const struct option_def defs[] = {
		{ 'd', "debug", NULL, "log each request", &o->debug },
		{ 'n', "foreground", NULL, "stay in the foreground",
		  &o->foreground },
		{ 'c', "config", "FILE", "instead of " CONF_FILE, &o->config },
		{ 0, "device", "PATH", "the driver's device file or socket",
		  &o->device },
		{ 0, "state-dir", "DIR", "where the history is", &o->state_dir },
		{ 0, "run-dir", "DIR", "where sockets are", &o->run_dir },
		{ 0, "confine", "LIST", "freeze nothing but what is on these "
		  "block devices", &o->confine },
		{ 0, "plan", NULL, "show what a backup would do, and exit",
		  &o->plan },
		{ 0, "thaw-left", NULL, "thaw what an earlier life left, and "
		  "exit", &o->thaw_left },
		{ 0 },
	};
	const struct options_text text = {
		"hv_vss_daemon", "", "Freeze and thaw file systems for backups "
		"that the Hyper-V host makes.",
	};

	return options_parse(&text, defs, argc, argv, NULL);
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

static int take_confine(struct program *p)
{
	char list[4096], *at, *save = NULL;
	struct stat st;

	if (!p->o.confine)
		return 0;
	if (snprintf(list, sizeof(list), "%s", p->o.confine) >=
	    (int)sizeof(list))
		return -E2BIG;
	for (at = strtok_r(list, ",", &save); at;
	     at = strtok_r(NULL, ",", &save)) {
		if (p->n_confine == MAX_CONFINE || stat(at, &st) < 0 ||
		    !S_ISBLK(st.st_mode)) {
			log_err("--confine %s: not a block device, or too many",
				at);
			return -EINVAL;
		}
		p->confine[p->n_confine++] = st.st_rdev;
	}
	return 0;
}

static int make_paths(struct program *p)
{
	const char *run = p->conf.run_dir;

	if (conf_path(p->ctl_path, run, "hv_vss_daemon.ctl") < 0 ||
	    conf_path(p->socket_path, run, "dev/hv_fsvss_dev") < 0 ||
	    conf_path(p->frozen_path, run, "hv_vss_daemon.frozen") < 0 ||
	    conf_path(p->driver_ctl, run, "hv_utilsd.ctl") < 0 ||
	    conf_path(p->metrics_path, run, HISTORY_METRICS) < 0 ||
	    conf_path(p->history_path, p->conf.state_dir, HISTORY_FILE) < 0)
		return -ENAMETOOLONG;
	if (p->conf.vss_metrics_file[0])
		strcpy(p->metrics_path, p->conf.vss_metrics_file);
	return 0;
}

/* Everything that the operator can get wrong. */
static int configure(struct program *p)
{
	char err[512];

	if (conf_load(&p->conf, p->o.config, err, sizeof(err)) < 0) {
		log_err("%s", err);
		return EX_CONFIG;
	}
	if (take_dir(p->conf.state_dir, p->o.state_dir, p->o.foreground) < 0 ||
	    take_dir(p->conf.run_dir, p->o.run_dir, p->o.foreground) < 0 ||
	    take_confine(p) < 0)
		return EX_USAGE;
	if (p->o.device && !p->o.foreground && p->o.device[0] != '/') {
		log_err("%s: must be an absolute path", p->o.device);
		return EX_USAGE;
	}
	if (make_paths(p) < 0) {
		log_err("%s: too long", p->conf.run_dir);
		return EX_USAGE;
	}
	p->n_rules = plan_rules(p->rules, &p->conf.vss_rules);
	if (p->o.debug)
		p->conf.log_level = LOG_LEVEL_DEBUG;
	return 0;
}

static int show_plan(struct program *p)
{
	struct mounts ms = { 0 };
	struct plan plan = { 0 };
	int err = mounts_read(&ms);

	if (!err)
		err = plan_make(&plan, &ms, p->rules, p->n_rules);
	if (err) {
		log_err("no plan: %s", strerror(-err));
		return EXIT_FAILURE;
	}
	err = plan_table_print(plan_json(&plan), false);
	plan_free(&plan);
	mounts_free(&ms);
	return err;
}

/* While we have the right to: not the first to be killed when memory is
 * short, and all of it may be locked. */
static void harden(struct program *p)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	FILE *f = fopen("/proc/self/oom_score_adj", "re");

	if (!f || fscanf(f, "%d", &p->oom_adj) != 1)
		p->oom_adj = 0;
	if (f)
		fclose(f);
	set_oom_adj(-1000);
	if (setrlimit(RLIMIT_MEMLOCK, &all) < 0)
		log_debug("memory may not be locked");
}

static int serve(struct program *p)
{
	const struct guardian_cfg cfg = {
		.file = &p->file, .ops = &freeze_ops_real,
		.worker = worker, .arg = p,
	};

	harden(p);
	if (narrow_rights(false) < 0)
		return EXIT_FAILURE;
	return guardian_run(&cfg);
}

int main(int argc, char **argv)
{
	static struct program p;	/* the guardian touches no heap */
	int r = parse(&p.o, argc, argv);

	if (r)
		return r > 0 ? EXIT_SUCCESS : EX_USAGE;
	log_open("hv_vss_daemon", LOG_TO_AUTO, true, LOG_LEVEL_INFO);
	r = configure(&p);
	if (r)
		return r;
	if (p.o.plan)
		return show_plan(&p);
	umask(022);
	if (!p.o.foreground && !p.o.thaw_left && service_background() < 0) {
		log_err("cannot go to the background");
		return EXIT_FAILURE;
	}
	log_open("hv_vss_daemon", LOG_TO_AUTO, p.o.foreground || p.o.thaw_left,
		 p.conf.log_level);
	r = open_frozen(&p);
	if (!r && !p.o.thaw_left)
		r = serve(&p);
	frozen_close(&p.file);
	log_close();
	return r;
}
