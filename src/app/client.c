/* app/client.c - waits for the driver's device, then for its questions.
 *
 * Watches the paths at which the device may appear, and tries again with
 * growing pauses where it is there and cannot be opened. Nothing is logged
 * between a FREEZE and its end: somebody's log may be frozen. */
#include "app/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pathwait.h"

#define CHARDEV "/dev/hv_appvss_dev"

enum {
	MAX_PATHS = 2,
	PATH_CAP = 256,
	RETRY_MIN_MS = 10,
	RETRY_MAX_MS = 5000,
};

struct client {
	struct loop *loop;
	char name[HV_VSS_TEXT_MAX + 1];
	char path[MAX_PATHS][PATH_CAP];
	unsigned n_paths;
	void (*asked)(void *arg, const struct hv_vss_record *q);
	void *arg;
	struct hv_vss *vss;		/* NULL: waiting for a driver */
	struct loop_io *io;
	struct pathwait *waits[MAX_PATHS];
	struct loop_timer retry;
	unsigned retry_ms;
	int said;			/* the last trouble that was logged */
	bool said_reason;		/* ... and the driver's complaint */
};

static void start(struct client *c);

/* Waiting ---------------------------------------------------------------- */

static void stop_waiting(struct client *c)
{
	loop_timer_cancel(&c->retry);
	for (unsigned i = 0; i < c->n_paths; i++) {
		pathwait_free(c->waits[i]);
		c->waits[i] = NULL;
	}
}

static void on_appeared(void *arg)
{
	struct client *c = arg;

	c->retry_ms = RETRY_MIN_MS;
	start(c);
}

static void on_retry(void *arg)
{
	start(arg);
}

static void watch(struct client *c)
{
	for (unsigned i = 0; i < c->n_paths; i++)
		if (!c->waits[i])
			c->waits[i] = pathwait_new(c->loop, c->path[i],
						   on_appeared, c);
}

static void try_later(struct client *c)
{
	loop_timer_set(&c->retry, c->retry_ms);
	c->retry_ms *= 2;
	if (c->retry_ms > RETRY_MAX_MS)
		c->retry_ms = RETRY_MAX_MS;
}

static void say(struct client *c, int err)
{
	if (c->said == err)
		return;
	c->said = err;
	if (err == -ENOENT)
		log_info("no driver yet (at %s); waiting",
			 c->path[c->n_paths - 1]);
	else
		log_warn("%s; waiting", hv_vss_strerror(err));
}

/* Connected -------------------------------------------------------------- */

static void lost(struct client *c)
{
	loop_io_free(c->io);
	c->io = NULL;
	hv_vss_close(c->vss);
	c->vss = NULL;
	watch(c);
	try_later(c);
}

static void say_reason(struct client *c)
{
	const char *reason = hv_vss_reason(c->vss);

	if (*reason && !c->said_reason)
		log_warn("the driver closed the device: %s; trying again",
			 reason);
	c->said_reason |= *reason != '\0';
}

static void on_readable(void *arg, unsigned events)
{
	struct client *c = arg;
	struct hv_vss_record q;
	int r = hv_vss_read(c->vss, &q);

	(void)events;
	if (r == 1) {
		c->retry_ms = RETRY_MIN_MS;
		c->said = 0;
		c->said_reason = false;
	} else if (r < 0) {
		/* Not in the middle of a backup: a log may be frozen. */
		if (q.opt != HV_VSS_ABORT)
			say_reason(c);
		lost(c);
	}
	if (r == 1 || (r < 0 && q.opt == HV_VSS_ABORT))
		c->asked(c->arg, &q);
}

static int open_device(struct client *c, const char *path)
{
	int r = hv_vss_open(&c->vss, path, c->name);

	if (r < 0)
		return r;
	c->io = loop_io_new(c->loop, hv_vss_fd(c->vss), LOOP_READ, on_readable,
			    c);
	if (!c->io) {
		hv_vss_close(c->vss);
		c->vss = NULL;
		return -ENOMEM;
	}
	log_debug("opened %s", path);
	return 0;
}

/* Watch first: what appears while we try is then not missed. */
static void start(struct client *c)
{
	int err = -ENOENT;

	if (c->vss)
		return;
	watch(c);
	for (unsigned i = 0; i < c->n_paths; i++) {
		int r = open_device(c, c->path[i]);

		if (r == 0) {
			stop_waiting(c);
			return;
		}
		if (r != -ENOENT && r != -ENOTDIR)
			err = r;
	}
	say(c, err);
	if (err != -ENOENT)
		try_later(c);
}

/* For the owner ---------------------------------------------------------- */

static int take_paths(struct client *c, const struct client_cfg *cfg)
{
	int n;

	if (cfg->device) {
		n = snprintf(c->path[0], PATH_CAP, "%s", cfg->device);
		c->n_paths = 1;
	} else {
		strcpy(c->path[0], CHARDEV);
		n = snprintf(c->path[1], PATH_CAP, "%s/dev/hv_appvss_dev",
			     cfg->run_dir);
		c->n_paths = 2;
	}
	return n < PATH_CAP ? 0 : -ENAMETOOLONG;
}

struct client *client_new(struct loop *l, const struct client_cfg *cfg,
			  void (*asked)(void *arg,
					const struct hv_vss_record *q),
			  void *arg)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (take_paths(c, cfg) < 0) {
		free(c);
		errno = ENAMETOOLONG;
		return NULL;
	}
	c->loop = l;
	snprintf(c->name, sizeof(c->name), "%s", cfg->name);
	c->asked = asked;
	c->arg = arg;
	c->retry_ms = RETRY_MIN_MS;
	loop_timer_init(&c->retry, l, on_retry, c);
	start(c);
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	stop_waiting(c);
	loop_io_free(c->io);
	hv_vss_close(c->vss);
	free(c);
}

void client_answer(struct client *c, const struct hv_vss_record *q, int status,
		   const char *why)
{
	if (c->vss)
		(void)hv_vss_answer(c->vss, q, status, why);
}

void client_note(struct client *c, const struct hv_vss_record *q,
		 const char *part, int status, uint32_t took_ms)
{
	if (c->vss)
		(void)hv_vss_note(c->vss, q, part, status, took_ms);
}

void client_reset(struct client *c)
{
	if (c->vss)
		lost(c);
}

bool client_connected(const struct client *c)
{
	return c->vss != NULL;
}
