/* test/bench/kvp_rig.c - see kvp_rig.h
 *
 * The rig stands where the driver does: it listens on hv_kvp_dev, takes the
 * daemon's registration and exchanges device messages with it. Debian's
 * daemon comes to the same socket by way of test/peers/shim.c, so both
 * daemons are asked over the same path with the same bytes.
 */
#include "kvp_rig.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "child.h"
#include "kvp/kvp_devmsg.h"

enum { WAIT_MS = 10000 };

#define STOCK_DAEMON	"peers/hyperv-daemons/usr/sbin/hv_kvp_daemon"

struct rig {
	char dir[64];			/* holds dev/, state/ and log */
	int listener, fd;
	enum kvp_form form;
	pid_t daemon;
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

void rig_key(char key[KVP_KEY_SIZE], unsigned i)
{
	snprintf(key, KVP_KEY_SIZE, "bench-key-%05u", i);
}

static int write_pool(const char *dir, unsigned records)
{
	char path[PATH_MAX];
	FILE *f;

	path_of(path, dir, "state/.kvp_pool_0");
	f = fopen(path, "wb");
	if (!f)
		return -errno;
	for (unsigned i = 0; i < records; i++) {
		char record[KVP_RECORD_SIZE] = { 0 };

		rig_key(record, i);
		strcpy(record + KVP_KEY_SIZE, "the value it starts with");
		fwrite(record, sizeof(record), 1, f);
	}
	return fclose(f) ? -errno : 0;
}

static int make_places(struct rig *r, unsigned records)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	if (snprintf(r->dir, sizeof(r->dir), "%s/kvp_rig.XXXXXX",
		     tmp ? tmp : "/tmp") >= (int)sizeof(r->dir))
		return -ENAMETOOLONG;
	if (!mkdtemp(r->dir)) {
		r->dir[0] = '\0';
		return -errno;
	}
	path_of(path, r->dir, "dev");
	if (mkdir(path, 0700) < 0)
		return -errno;
	path_of(path, r->dir, "state");
	if (mkdir(path, 0700) < 0)
		return -errno;
	return write_pool(r->dir, records);
}

static int listen_device(struct rig *r)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/dev/hv_kvp_dev",
		 r->dir);
	r->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (r->listener < 0 ||
	    bind(r->listener, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    listen(r->listener, 1) < 0)
		return -errno;
	return 0;
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

static pid_t start_ours(const char *build, const char *dir, const char *log, bool sync)
{
	char program[PATH_MAX], run[PATH_MAX], state[PATH_MAX];
	char *argv[] = { program, (char *)"-n", (char *)"--run-dir", run,
			 (char *)"--state-dir", state, sync ? NULL : (char *)"--no-sync", NULL };

	path_of(program, build, "prog/hv_kvp_daemon");
	snprintf(run, sizeof(run), "%s", dir);
	path_of(state, dir, "state");
	return child_start(argv, NULL, log);
}

static int wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, WAIT_MS);

	return n < 0 ? -errno : n ? 0 : -ETIMEDOUT;
}

static ssize_t receive(struct rig *r, uint8_t buf[KVP_DEVMSG_MAX])
{
	int err = wait_for(r->fd);
	ssize_t n = err ? err : recv(r->fd, buf, KVP_DEVMSG_MAX, 0);

	if (n < 0)
		return err ? err : -errno;
	return n ? n : -EPIPE;
}

static int take_registration(struct rig *r)
{
	uint8_t buf[KVP_DEVMSG_MAX], op;
	ssize_t n = wait_for(r->listener);

	if (n < 0)
		return (int)n;
	r->fd = accept(r->listener, NULL, NULL);
	if (r->fd < 0)
		return -errno;
	n = receive(r, buf);
	if (n < 0)
		return (int)n;
	if (kvp_devmsg_get_register(&r->form, &op, buf, (size_t)n) < 0)
		return -EPROTO;
	kvp_devmsg_put_version(buf, op, "bench");
	return send(r->fd, buf, KVP_DEVMSG_LINUX, MSG_NOSIGNAL) < 0 ? -errno
								     : 0;
}

struct rig *rig_new(const struct rig_cfg *cfg)
{
	struct rig *r = calloc(1, sizeof(*r));
	char log[PATH_MAX];
	int err;

	if (!r)
		return NULL;
	r->fd = r->listener = -1;
	err = make_places(r, cfg->records);
	if (!err)
		err = listen_device(r);
	if (err)
		goto fail;

	path_of(log, r->dir, "log");
	r->daemon = cfg->daemon == RIG_OURS ?
		start_ours(cfg->build, r->dir, log, cfg->sync) :
		start_debian(cfg->build, r->dir, log);
	err = r->daemon < 0 ? (int)r->daemon : take_registration(r);
	if (!err)
		return r;
fail:
	fprintf(stderr, "rig: %s\n", strerror(-err));
	rig_free(r);
	return NULL;
}

void rig_free(struct rig *r)
{
	if (!r)
		return;
	child_end(r->daemon);
	if (r->fd >= 0)
		close(r->fd);
	if (r->listener >= 0)
		close(r->listener);
	if (r->dir[0])
		tree_remove(r->dir);
	free(r);
}

int rig_ask(struct rig *r, const struct kvp_msg *request,
	    struct kvp_msg *answer)
{
	uint8_t buf[KVP_DEVMSG_MAX];
	ssize_t n;

	kvp_devmsg_put_request(buf, r->form, request);
	if (send(r->fd, buf, kvp_devmsg_size(r->form), MSG_NOSIGNAL) < 0)
		return -errno;
	n = receive(r, buf);
	if (n < 0)
		return (int)n;
	return kvp_devmsg_get_answer(answer, r->form, false, request, buf,
				     (size_t)n);
}

pid_t rig_daemon_pid(const struct rig *r)
{
	return r->daemon;
}
