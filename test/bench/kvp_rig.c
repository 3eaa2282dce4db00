/* test/bench/kvp_rig.c - see kvp_rig.h
 *
 * Debian's daemon comes to our device by way of test/peers/shim.c, so both
 * daemons are asked over the same ring, driver and socket.
 */
#include "kvp_rig.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "host/host.h"
#include "ic/hv_utilreg.h"

enum { WAIT_MS = 10000 };

#define STOCK_DAEMON	"peers/hyperv-daemons/usr/sbin/hv_kvp_daemon"

struct rig {
	char dir[64];			/* sockets, dev/, state/, log */
	pid_t utilsd, daemon;
	struct loop *loop;
	struct loop_timer patience;
	struct host *host;
	/* The request in hand. */
	bool answered;
	int err;
	uint32_t status;
};

static void path_of(char out[PATH_MAX], const char *dir, const char *name)
{
	snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

bool rig_debian_present(const char *build)
{
	char path[PATH_MAX];

	path_of(path, build, STOCK_DAEMON);
	return access(path, X_OK) == 0;
}

void rig_key(char key[HOST_KVP_KEY_TEXT], unsigned i)
{
	snprintf(key, HOST_KVP_KEY_TEXT, "bench-key-%05u", i);
}

/* The directory ----------------------------------------------------------- */

static int write_pool(const char *dir, unsigned records)
{
	char path[PATH_MAX], key[HOST_KVP_KEY_TEXT];
	FILE *f;

	path_of(path, dir, "state/.kvp_pool_0");
	f = fopen(path, "wb");
	if (!f)
		return -errno;
	for (unsigned i = 0; i < records; i++) {
		char record[KVP_RECORD_SIZE] = { 0 };

		rig_key(key, i);
		strcpy(record, key);
		strcpy(record + KVP_KEY_SIZE, "the value it starts with");
		fwrite(record, sizeof(record), 1, f);
	}
	return fclose(f) ? -errno : 0;
}

static int make_places(struct rig *r, const struct rig_cfg *cfg)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	if (snprintf(r->dir, sizeof(r->dir), "%s/rig.XXXXXX",
		     tmp ? tmp : "/tmp") >= (int)sizeof(r->dir)) {
		r->dir[0] = '\0';
		return -ENAMETOOLONG;
	}
	if (!mkdtemp(r->dir)) {
		r->dir[0] = '\0';
		return -errno;
	}
	path_of(path, r->dir, "state");
	if (mkdir(path, 0700) < 0)
		return -errno;
	return write_pool(r->dir, cfg->records);
}

/* The guest --------------------------------------------------------------- */

static pid_t start_utilsd(const char *build, const char *dir, const char *log)
{
	char program[PATH_MAX], run[PATH_MAX], host[PATH_MAX];
	char *argv[] = { program, (char *)"-n", (char *)"--run-dir", run,
			 (char *)"--host", host, NULL };

	path_of(program, build, "prog/hv_utilsd");
	snprintf(run, sizeof(run), "%s", dir);
	path_of(host, dir, "vmbus");
	return child_start(argv, NULL, log);
}

static pid_t start_ours(const char *build, const char *dir, const char *log,
			bool sync)
{
	char program[PATH_MAX], run[PATH_MAX], state[PATH_MAX];
	char *argv[] = { program, (char *)"-n", (char *)"--run-dir", run,
			 (char *)"--state-dir", state,
			 sync ? NULL : (char *)"--no-sync", NULL };

	path_of(program, build, "prog/hv_kvp_daemon");
	snprintf(run, sizeof(run), "%s", dir);
	path_of(state, dir, "state");
	return child_start(argv, NULL, log);
}

static pid_t start_debian(const char *build, const char *dir, const char *log)
{
	char program[PATH_MAX], shim[PATH_MAX], dev[PATH_MAX], state[PATH_MAX];
	char *argv[] = { program, (char *)"-n", NULL };
	char *env[] = { shim, dev, state, NULL };

	path_of(program, build, STOCK_DAEMON);
	snprintf(shim, sizeof(shim), "LD_PRELOAD=%s/test/peers/hvshim.so",
		 build);
	snprintf(dev, sizeof(dev), "HV_SHIM_DEV_DIR=%s/dev", dir);
	snprintf(state, sizeof(state), "HV_SHIM_STATE=%s/state", dir);
	return child_start(argv, env, log);
}

/* Debian's daemon gives up when the device is not there yet, so it is started
 * when the guest's drivers have opened their channel. */
static int start_daemon(struct rig *r, const struct rig_cfg *cfg,
			const char *log)
{
	r->daemon = cfg->daemon == RIG_OURS ?
		start_ours(cfg->build, r->dir, log, cfg->sync) :
		start_debian(cfg->build, r->dir, log);
	return r->daemon < 0 ? (int)r->daemon : 0;
}

/* The host ---------------------------------------------------------------- */

static void on_patience(void *arg)
{
	(void)arg;			/* loop_once() returns, that is all */
}

/* The default host generation, strict, and silent until it is told to ask. */
static int start_host(struct rig *r)
{
	struct host_profile profile = host_profiles[0];
	char path[PATH_MAX];
	const struct host_cfg cfg = {
		.profile = &profile, .path = path, .vm_name = "bench",
	};

	path_of(path, r->dir, "vmbus");
	profile.strict = true;
	profile.push = false;
	profile.negotiate_ms = profile.answer_ms = WAIT_MS;
	r->loop = loop_new(LOOP_REAL);
	if (!r->loop)
		return -errno;
	loop_timer_init(&r->patience, r->loop, on_patience, r);
	r->host = host_new(r->loop, &cfg);
	return r->host ? 0 : -errno;
}

/* Serve until the guest has opened its channel, or until it may be asked. */
static int wait_for(struct rig *r, enum host_ic_state state)
{
	const struct host_ic *ic = host_ic_of(r->host, HOST_KVP);
	int err = 0;

	loop_timer_set(&r->patience, WAIT_MS);
	while (host_ic_state_get(ic) < state && err >= 0)
		err = r->patience.set ? loop_once(r->loop, true) : -ETIMEDOUT;
	loop_timer_cancel(&r->patience);
	return err < 0 ? err : 0;
}

static void complain(const struct rig *r, int err)
{
	char path[PATH_MAX], line[512];
	FILE *f;

	fprintf(stderr, "rig: %s; the guest's log:\n", strerror(-err));
	path_of(path, r->dir, "log");
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "    %s", line);
	if (f)
		fclose(f);
}

struct rig *rig_new(const struct rig_cfg *cfg)
{
	struct rig *r = calloc(1, sizeof(*r));
	char log[PATH_MAX];
	int err;

	if (!r)
		return NULL;
	err = make_places(r, cfg);
	if (!err)
		err = start_host(r);
	path_of(log, r->dir, "log");
	if (!err) {
		r->utilsd = start_utilsd(cfg->build, r->dir, log);
		err = r->utilsd < 0 ? (int)r->utilsd : 0;
	}
	if (!err)
		err = wait_for(r, HOST_IC_NEGOTIATING);
	if (!err)
		err = start_daemon(r, cfg, log);
	if (!err)
		err = wait_for(r, HOST_IC_READY);
	if (!err)
		return r;
	complain(r, err);
	rig_free(r);
	return NULL;
}

void rig_free(struct rig *r)
{
	if (!r)
		return;
	child_end(r->daemon);
	child_end(r->utilsd);
	host_free(r->host);
	if (r->loop)
		loop_free(r->loop);
	if (r->dir[0])
		tree_remove(r->dir);
	free(r);
}

static void on_answer(void *arg, const struct host_kvp_result *result)
{
	struct rig *r = arg;

	r->answered = true;
	r->err = result->err;
	r->status = result->status;
}

int rig_ask(struct rig *r, const struct host_kvp_msg *m)
{
	int err;

	r->answered = false;
	err = host_kvp_request(host_kvp_of(r->host), m, NULL, on_answer, r);
	while (err >= 0 && !r->answered)
		err = loop_once(r->loop, true);
	if (err < 0 || r->err)
		return err < 0 ? err : r->err;
	if (r->status == HV_S_OK)
		return 0;
	fprintf(stderr, "rig: %s answered with %#x\n", kvp_op_name(m->op),
		r->status);
	return -EIO;
}

pid_t rig_utilsd_pid(const struct rig *r)
{
	return r->utilsd;
}

pid_t rig_daemon_pid(const struct rig *r)
{
	return r->daemon;
}
