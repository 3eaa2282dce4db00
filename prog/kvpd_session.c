/* prog/kvpd_session.c - one driver at a time.
 *
 *   WAITING     no device is open; watches, and a timer when there is
 *               something to try again
 *   OPEN        registered as far as we are concerned; the driver's version
 *               (Linux form) or its first request confirms it
 *
 * Requests are answered where they are read: the driver asks one at a time,
 * and the answer is one message that fits in any socket's buffer. If it
 * cannot be written the session is over, and the driver fails the request:
 * writing again could answer a later one. */
#include "kvpd_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "endpoint/devc.h"
#include "base/pathwait.h"

enum {
	RETRY_MIN_MS = 10,
	RETRY_MAX_MS = 30000,
	REFUSED_MAX_MS = 5000,	/* then a socket nobody serves is left alone */
};

struct kvpd_session {
	struct loop *loop;
	struct kvpd_session_cfg cfg;
	struct kvpd *d;
	struct pathwait *waits[KVPD_SESSION_DEVICES];
	struct loop_timer retry;
	unsigned retry_ms;		/* the next wait */
	struct devc dev;
	struct loop_io *io;		/* set in OPEN */
	const char *device;
	bool registered;
	char version[KVP_VERSION_SIZE];
	int said;			/* the last trouble that was logged */
	int said_failure;		/* the last failed request's */
	uint64_t opened, malformed;
};

static void start(struct kvpd_session *s);

/* WAITING ---------------------------------------------------------------- */

static void stop_waiting(struct kvpd_session *s)
{
	loop_timer_cancel(&s->retry);
	for (unsigned i = 0; i < s->cfg.n_devices; i++) {
		pathwait_free(s->waits[i]);
		s->waits[i] = NULL;
	}
}

static void on_appeared(void *arg)
{
	struct kvpd_session *s = arg;

	s->retry_ms = RETRY_MIN_MS;
	start(s);
}

static void watch(struct kvpd_session *s)
{
	for (unsigned i = 0; i < s->cfg.n_devices; i++)
		if (!s->waits[i])
			s->waits[i] = pathwait_new(s->loop, s->cfg.devices[i],
						  on_appeared, s);
}

static void try_later(struct kvpd_session *s)
{
	loop_timer_set(&s->retry, s->retry_ms);
	s->retry_ms *= 2;
	if (s->retry_ms > RETRY_MAX_MS)
		s->retry_ms = RETRY_MAX_MS;
}

/* Say it once, not at each try. */
static void say(struct kvpd_session *s, int err)
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

static void hang_up(struct kvpd_session *s)
{
	loop_io_free(s->io);
	s->io = NULL;
	devc_close(&s->dev);
	s->device = NULL;
	s->registered = false;
}

/* OPEN -> WAITING */
static void lost(struct kvpd_session *s, const char *doing, int err)
{
	if (err == -EPIPE)
		log_info("the driver at %s went away", s->device);
	else
		log_warn("%s at %s: %s; registering again", doing, s->device,
			 strerror(-err));
	hang_up(s);
	watch(s);
	try_later(s);
}

/* OPEN ------------------------------------------------------------------- */

static void on_version(struct kvpd_session *s, const uint8_t *buf, size_t len)
{
	char quoted[128];

	if (kvp_devmsg_get_version(s->version, buf, len) < 0)
		s->malformed++;
	s->registered = true;
	if (s->version[0])
		kvpd_set_version(s->d, s->version);
	log_info("registered with the driver at %s, version %s", s->device,
		 log_quote(quoted, sizeof(quoted), s->version,
			   strlen(s->version)));
}

/* key: what was asked for. */
static void log_request(const struct kvp_msg *m, const char *key)
{
	char quoted[256];

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	if (m->op == KVP_ENUMERATE)
		log_debug("ENUMERATE pool %u: record %u, status 0x%08x",
			  m->pool, m->index, m->status);
	else
		log_debug("%s pool %u: %s, status 0x%08x", kvp_op_name(m->op),
			  m->pool,
			  log_quote(quoted, sizeof(quoted), key, strlen(key)),
			  m->status);
}

/* A full disk fails every request; one line tells as much as thousands. */
static void log_failure(struct kvpd_session *s, const struct kvp_msg *m,
			int err)
{
	if (err && err != s->said_failure)
		log_err("%s in pool %s failed: %s", kvp_op_name(m->op),
			kvp_pool_name(m->pool), strerror(-err));
	s->said_failure = err;
}

/* Whatever the driver sent, it waits for an answer. */
static void answer(struct kvpd_session *s, struct kvp_msg *m, bool sound)
{
	size_t len = kvp_devmsg_size(s->cfg.form);
	uint8_t buf[KVP_DEVMSG_MAX];
	char key[KVP_KEY_SIZE] = "";
	int err = 0;

	if (sound && m->op < KVP_N_OPS)
		memcpy(key, m->op < KVP_GET_IP_INFO ? m->key : m->ip.adapter_id,
		       KVP_ADAPTER_SIZE);
	key[KVP_ADAPTER_SIZE - 1] = '\0';
	if (sound)
		err = kvpd_handle(s->d, m);
	else
		kvpd_refuse(s->d, m);
	s->malformed += !sound;
	log_request(m, key);
	log_failure(s, m, err);
	kvp_devmsg_put_answer(buf, s->cfg.form, m);
	err = devc_send(&s->dev, buf, len);
	if (err)
		lost(s, "writing an answer", err);
	else
		s->retry_ms = RETRY_MIN_MS;
}

static void on_readable(void *arg, unsigned events)
{
	struct kvpd_session *s = arg;
	uint8_t buf[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_N_OPS };
	ssize_t n = devc_recv(&s->dev, buf, kvp_devmsg_size(s->cfg.form));

	(void)events;
	if (n == -EAGAIN)
		return;
	if (n < 0 && n != -EMSGSIZE) {
		lost(s, "reading a request", (int)n);
		return;
	}
	s->said = 0;
	/* Later on 100 is an operation like any other the host may invent. */
	if (!s->registered && n > 0 && buf[0] == KVP_OP_REGISTER1) {
		on_version(s, buf, (size_t)n);
		return;
	}
	s->registered = true;
	answer(s, &m, n > 0 && !kvp_devmsg_get_request(&m, s->cfg.form, buf,
						       (size_t)n));
}

static int register_with(struct kvpd_session *s)
{
	uint8_t buf[KVP_DEVMSG_MAX];

	kvp_devmsg_put_register(buf, s->cfg.form);
	return devc_send(&s->dev, buf, kvp_devmsg_size(s->cfg.form));
}

static int open_device(struct kvpd_session *s, const char *path)
{
	int err = devc_open(&s->dev, path);

	if (err)
		return err;
	err = register_with(s);
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
	s->version[0] = '\0';
	s->opened++;
	/* FreeBSD's driver says nothing to a registration. */
	s->registered = s->cfg.form == KVP_FORM_FREEBSD;
	log_debug("opened %s", path);
	return 0;
}

/* WAITING -> OPEN, if any device can be opened. Watch first: what appears
 * while we try is then not missed. */
static void start(struct kvpd_session *s)
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
	start(arg);
}

struct kvpd_session *kvpd_session_new(struct loop *l,
				      const struct kvpd_session_cfg *cfg,
				      struct kvpd *d)
{
	struct kvpd_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->loop = l;
	s->cfg = *cfg;
	s->d = d;
	s->dev.fd = -1;
	s->retry_ms = RETRY_MIN_MS;
	loop_timer_init(&s->retry, l, on_retry, s);
	start(s);
	return s;
}

void kvpd_session_free(struct kvpd_session *s)
{
	if (!s)
		return;
	stop_waiting(s);
	if (s->io)
		hang_up(s);
	free(s);
}

void kvpd_session_info_get(const struct kvpd_session *s,
			   struct kvpd_session_info *info)
{
	*info = (struct kvpd_session_info){
		.device = s->device,
		.registered = s->registered,
		.version = s->version,
		.opened = s->opened,
		.malformed = s->malformed,
	};
}
