/* prog/kvpd_session.c - registered as far as we are concerned once the device
 * is open; the driver's version (Linux form) or its first request confirms it.
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

struct kvpd_session {
	struct dev_session *session;
	enum kvp_form form;
	struct kvpd *d;
	bool registered;
	char version[KVP_VERSION_SIZE];
	int said_failure;		/* the last failed request's */
	uint64_t malformed;
};

static void on_version(struct kvpd_session *s, const uint8_t *buf, size_t len)
{
	char quoted[128];

	if (kvp_devmsg_get_version(s->version, buf, len) < 0)
		s->malformed++;
	s->registered = true;
	if (s->version[0])
		kvpd_set_version(s->d, s->version);
	log_info("registered with the driver at %s, version %s",
		 dev_session_path(s->session),
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
static void answer(struct kvpd_session *s, struct devc *dev, struct kvp_msg *m,
		   bool sound)
{
	size_t len = kvp_devmsg_size(s->form);
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
	kvp_devmsg_put_answer(buf, s->form, m);
	err = devc_send(dev, buf, len);
	if (err)
		dev_session_lost(s->session, "writing an answer", err);
	else
		dev_session_works(s->session);
}

static void on_readable(void *arg, struct devc *dev)
{
	struct kvpd_session *s = arg;
	uint8_t buf[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_N_OPS };
	ssize_t n = devc_recv(dev, buf, kvp_devmsg_size(s->form));

	if (n == -EAGAIN)
		return;
	if (n < 0 && n != -EMSGSIZE) {
		dev_session_lost(s->session, "reading a request", (int)n);
		return;
	}
	dev_session_heard(s->session);
	/* Later on 100 is an operation like any other the host may invent. */
	if (!s->registered && n > 0 && buf[0] == KVP_OP_REGISTER1) {
		on_version(s, buf, (size_t)n);
		return;
	}
	s->registered = true;
	answer(s, dev, &m, n > 0 && !kvp_devmsg_get_request(&m, s->form, buf,
						       (size_t)n));
}

static int on_opened(void *arg, struct devc *dev)
{
	struct kvpd_session *s = arg;
	uint8_t buf[KVP_DEVMSG_MAX];

	s->version[0] = '\0';
	/* FreeBSD's driver says nothing to a registration. */
	s->registered = s->form == KVP_FORM_FREEBSD;
	kvp_devmsg_put_register(buf, s->form);
	return devc_send(dev, buf, kvp_devmsg_size(s->form));
}

static void on_closed(void *arg)
{
	struct kvpd_session *s = arg;

	s->registered = false;
}

struct kvpd_session *kvpd_session_new(struct loop *l,
				      const struct kvpd_session_cfg *cfg,
				      struct kvpd *d)
{
	struct kvpd_session *s = calloc(1, sizeof(*s));
	struct dev_session_cfg dc = {
		.n_devices = cfg->n_devices, .opened = on_opened,
		.readable = on_readable, .closed = on_closed, .arg = s,
	};

	if (!s)
		return NULL;
	memcpy(dc.devices, cfg->devices, sizeof(dc.devices));
	s->form = cfg->form;
	s->d = d;
	s->session = dev_session_new(l, &dc);
	if (!s->session) {
		free(s);
		return NULL;
	}
	dev_session_start(s->session);
	return s;
}

void kvpd_session_free(struct kvpd_session *s)
{
	if (!s)
		return;
	dev_session_free(s->session);
	free(s);
}

void kvpd_session_info_get(const struct kvpd_session *s,
			   struct kvpd_session_info *info)
{
	*info = (struct kvpd_session_info){
		.device = dev_session_path(s->session),
		.registered = dev_session_path(s->session) && s->registered,
		.version = s->version,
		.opened = dev_session_opened(s->session),
		.malformed = s->malformed,
	};
}
