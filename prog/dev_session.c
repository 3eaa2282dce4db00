/* prog/dev_session.c - one driver at a time.
 *
 *   WAITING     no device is open; watches, and a timer when there is
 *               something to try again
 *   OPEN        the owner has registered and is told what can be read */
#include "dev_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/pathwait.h"

enum {
	RETRY_MIN_MS = 10,
	RETRY_MAX_MS = 30000,
	REFUSED_MAX_MS = 5000,	/* then a socket nobody serves is left alone */
};

struct dev_session {
	struct loop *loop;
	struct dev_session_cfg cfg;
	struct pathwait *waits[DEV_SESSION_DEVICES];
	struct loop_timer retry;
	unsigned retry_ms;		/* the next wait */
	struct devc dev;
	struct loop_io *io;		/* set in OPEN */
	const char *device;
	int said;			/* the last trouble that was logged */
	uint64_t opened;
	bool paused, put_off;
};

/* WAITING ---------------------------------------------------------------- */

static void stop_waiting(struct dev_session *s)
{
	loop_timer_cancel(&s->retry);
	for (unsigned i = 0; i < s->cfg.n_devices; i++) {
		pathwait_free(s->waits[i]);
		s->waits[i] = NULL;
	}
}

static void on_appeared(void *arg)
{
	struct dev_session *s = arg;

	s->retry_ms = RETRY_MIN_MS;
	dev_session_start(s);
}

static void watch(struct dev_session *s)
{
	for (unsigned i = 0; i < s->cfg.n_devices; i++)
		if (!s->waits[i])
			s->waits[i] = pathwait_new(s->loop, s->cfg.devices[i],
						  on_appeared, s);
}

static void try_later(struct dev_session *s)
{
	loop_timer_set(&s->retry, s->retry_ms);
	s->retry_ms *= 2;
	if (s->retry_ms > RETRY_MAX_MS)
		s->retry_ms = RETRY_MAX_MS;
}

/* Say it once, not at each try. */
static void say(struct dev_session *s, int err)
{
	if (s->said == err)
		return;
	s->said = err;
	if (err == -ENOENT)
		log_info("no driver yet (at %s%s); waiting",
			 s->cfg.devices[s->cfg.n_devices - 1],
			 s->cfg.n_devices > 1 ? " or the kernel's" : "");
	else if (err == -EBUSY)
		log_warn("another daemon has the driver; waiting for it to "
			 "end");
	else
		log_warn("cannot open the driver's device: %s; waiting",
			 strerror(-err));
}

static void hang_up(struct dev_session *s)
{
	loop_io_free(s->io);
	s->io = NULL;
	devc_close(&s->dev);
	s->device = NULL;
}

/* OPEN -> WAITING */
void dev_session_lost(struct dev_session *s, const char *doing, int err)
{
	if (err == -EPIPE)
		log_info("the driver at %s went away", s->device);
	else
		log_warn("%s at %s: %s; registering again", doing, s->device,
			 strerror(-err));
	hang_up(s);
	s->cfg.closed(s->cfg.arg);
	s->put_off = s->paused;
	if (s->paused)
		return;
	watch(s);
	try_later(s);
}

void dev_session_pause(struct dev_session *s, bool paused)
{
	s->paused = paused;
	if (paused || !s->put_off)
		return;
	s->put_off = false;
	watch(s);
	try_later(s);
}

/* OPEN ------------------------------------------------------------------- */

static void on_readable(void *arg, unsigned events)
{
	struct dev_session *s = arg;

	(void)events;
	s->cfg.readable(s->cfg.arg, &s->dev);
}

static int open_device(struct dev_session *s, const char *path)
{
	int err = devc_open(&s->dev, path);

	if (err)
		return err;
	err = s->cfg.opened(s->cfg.arg, &s->dev);
	if (!err) {
		s->io = loop_io_new(s->loop, s->dev.fd, LOOP_READ, on_readable,
				    s);
		err = s->io ? 0 : -ENOMEM;
	}
	if (err) {
		devc_close(&s->dev);
		return err;
	}
	s->device = path;
	s->opened++;
	log_debug("opened %s", path);
	return 0;
}

/* WAITING -> OPEN, if any device can be opened. Watch first: what appears
 * while we try is then not missed. */
void dev_session_start(struct dev_session *s)
{
	int err = -ENOENT;

	if (s->io)
		return;
	watch(s);
	for (unsigned i = 0; i < s->cfg.n_devices; i++) {
		int e = open_device(s, s->cfg.devices[i]);

		if (!e) {
			stop_waiting(s);
			return;
		}
		if (e != -ENOENT && e != -ENOTDIR)
			err = e;
	}
	say(s, err);
	if (err != -ENOENT &&
	    (err != -ECONNREFUSED || s->retry_ms < REFUSED_MAX_MS))
		try_later(s);
}

static void on_retry(void *arg)
{
	dev_session_start(arg);
}

void dev_session_heard(struct dev_session *s)
{
	s->said = 0;
}

void dev_session_works(struct dev_session *s)
{
	s->retry_ms = RETRY_MIN_MS;
}

struct devc *dev_session_dev(struct dev_session *s)
{
	return s->io ? &s->dev : NULL;
}

const char *dev_session_path(const struct dev_session *s)
{
	return s->device;
}

uint64_t dev_session_opened(const struct dev_session *s)
{
	return s->opened;
}

struct dev_session *dev_session_new(struct loop *l,
				    const struct dev_session_cfg *cfg)
{
	struct dev_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = l;
	s->cfg = *cfg;
	s->dev.fd = -1;
	s->retry_ms = RETRY_MIN_MS;
	loop_timer_init(&s->retry, l, on_retry, s);
	return s;
}

void dev_session_free(struct dev_session *s)
{
	if (!s)
		return;
	stop_waiting(s);
	if (s->io)
		hang_up(s);
	free(s);
}
