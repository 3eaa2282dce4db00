/* test/scenario/rig.c - the whole KVP path in one process. */
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void end_signal(void *arg)
{
	struct rig_end *e = arg;

	assert_int_equal(eventfd_write(e->peer_fd, 1), 0);
}

static void end_ack(void *arg)
{
	struct rig_end *e = arg;
	eventfd_t n;

	eventfd_read(e->wake_fd, &n);
}

static struct channel *end_open(struct rig *g, struct rig_end *e, bool host,
				const struct channel_ops *ops)
{
	const struct channel_port port = {
		.tx = g->rings + (host ? RIG_RING : 0),
		.rx = g->rings + (host ? 0 : RIG_RING),
		.tx_len = RIG_RING, .rx_len = RIG_RING,
		.wake_fd = e->wake_fd,
		.ack = end_ack, .signal = end_signal, .arg = e,
	};
	struct channel *c = channel_new(g->loop, &port, ops, g);

	assert_non_null(c);
	return c;
}

/* The host's half ------------------------------------------------------- */

static void host_packet(void *arg, const struct packet *p)
{
	struct rig *g = arg;

	host_ic_packet(g->host_ic, p);
}

static void host_broken(void *arg, int err)
{
	(void)arg;
	fail_msg("the guest broke the ring: %s", strerror(-err));
}

static void host_writable(void *arg)
{
	struct rig *g = arg;

	host_ic_writable(g->host_ic);
}

static const struct channel_ops host_channel_ops = {
	host_packet, host_broken, host_writable
};

static int host_send(void *arg, const struct packet *p, bool quiet)
{
	struct rig *g = arg;

	(void)quiet;
	return channel_send(g->host.channel, p);
}

static void host_ready(void *arg)
{
	struct rig *g = arg;

	g->ready++;
	host_kvp_ready(g->host_kvp);
}

static void host_lost(void *arg)
{
	struct rig *g = arg;

	host_kvp_lost(g->host_kvp);
}

static void host_violation(void *arg, const char *text)
{
	struct rig *g = arg;

	g->violations++;
	snprintf(g->violation, sizeof(g->violation), "%s", text);
}

static void host_start(struct rig *g, const struct host_profile *p, bool push)
{
	const struct host_ic_cfg cfg = {
		.name = "kvp", .type = HV_IC_KVP,
		.framework = p->framework, .message = p->kvp,
		.strict = p->strict, .xact = p->xact,
		.negotiate_ms = p->negotiate_ms, .answer_ms = p->answer_ms,
	};
	const struct host_kvp_cfg kvp = {
		.push = push, .string_ip = p->string_ip, .vm_name = "rig",
	};
	static const struct host_ic_ops ops = {
		host_ready, host_lost, host_violation
	};

	g->host_ic = host_ic_new(g->loop, &cfg, &ops, g);
	assert_non_null(g->host_ic);
	g->host_kvp = host_kvp_new(g->loop, g->host_ic, &kvp);
	assert_non_null(g->host_kvp);
}

/* The driver ------------------------------------------------------------ */

static void guest_packet(void *arg, const struct packet *p)
{
	struct rig *g = arg;

	ic_packet(kvp_ic(g->kvp), p);
}

static void guest_broken(void *arg, int err)
{
	(void)arg;
	fail_msg("the host broke the ring: %s", strerror(-err));
}

static void guest_writable(void *arg)
{
	struct rig *g = arg;

	ic_writable(kvp_ic(g->kvp));
}

static const struct channel_ops guest_channel_ops = {
	guest_packet, guest_broken, guest_writable
};

static void guest_start(struct rig *g)
{
	const struct kvp_cfg cfg = {
		.timeout_ms = 2500, .set_ip_timeout_ms = 25000,
		.hold_ms = 50000,
	};

	g->kvp = kvp_new(g->loop, &cfg);
	assert_non_null(g->kvp);
}

/* Both ------------------------------------------------------------------ */

static void rings_open(struct rig *g)
{
	const struct host_ic_port port = { host_send, g };

	memset(g->rings, 0, 2 * RIG_RING);
	g->host.channel = end_open(g, &g->host, true, &host_channel_ops);
	g->guest.channel = end_open(g, &g->guest, false, &guest_channel_ops);
	ic_channel(kvp_ic(g->kvp), g->guest.channel);
	host_kvp_connected(g->host_kvp);
	host_ic_open(g->host_ic, &port);
}

static void rings_close(struct rig *g)
{
	host_ic_close(g->host_ic);
	ic_channel(kvp_ic(g->kvp), NULL);
	channel_free(g->host.channel);
	channel_free(g->guest.channel);
	end_ack(&g->host);
	end_ack(&g->guest);
}

void rig_reopen(struct rig *g)
{
	rings_close(g);
	rings_open(g);
	rig_settle(g);
}

struct rig *rig_new(const char *profile, bool push)
{
	const struct host_profile *p = profile ? host_profile_find(profile) :
						 &host_profiles[0];
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(p);
	g->loop = loop_new(LOOP_VIRTUAL);
	g->rings = mmap(NULL, 2 * RIG_RING, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(g->rings, MAP_FAILED);
	g->host.wake_fd = g->guest.peer_fd = eventfd(0, EFD_NONBLOCK);
	g->guest.wake_fd = g->host.peer_fd = eventfd(0, EFD_NONBLOCK);
	guest_start(g);
	host_start(g, p, push);
	rings_open(g);
	return g;
}

void rig_free(struct rig *g)
{
	rings_close(g);
	kvp_free(g->kvp);
	host_kvp_free(g->host_kvp);
	host_ic_free(g->host_ic);
	close(g->host.wake_fd);
	close(g->guest.wake_fd);
	munmap(g->rings, 2 * RIG_RING);
	loop_free(g->loop);
	free(g);
}

void rig_settle(struct rig *g)
{
	/* A round may make the next one ready; an idle one ends it. */
	for (int idle = 0, i = 0; idle < 2; i++) {
		assert_true(i < 100000);
		loop_advance(g->loop, 0);
		idle = loop_once(g->loop, false) > 0 ? 0 : idle + 1;
	}
}

void rig_advance(struct rig *g, uint64_t ms)
{
	rig_settle(g);
	loop_advance(g->loop, ms);
	rig_settle(g);
}

/* The daemon ------------------------------------------------------------ */

static int daemon_gets(void *arg, const void *buf, size_t len)
{
	struct rig *g = arg;

	if (g->daemon_deaf)
		return -EAGAIN;
	g->asked++;
	assert_int_equal(len, kvp_devmsg_size(g->form));
	kvp_devmsg_get_request(&g->request, g->form, buf, len);
	return 0;
}

void rig_daemon_opens(struct rig *g)
{
	const struct kvp_daemon d = { daemon_gets, g };

	assert_int_equal(kvp_daemon_open(g->kvp, &d), 0);
}

void rig_daemon_registers(struct rig *g, enum kvp_form form)
{
	uint8_t buf[KVP_DEVMSG_MAX];

	rig_daemon_opens(g);
	g->form = form;
	kvp_devmsg_put_register(buf, form);
	assert_int_equal(kvp_daemon_message(g->kvp, buf, kvp_devmsg_size(form)),
			 0);
	g->asked = 0;			/* the version string does not count */
	rig_settle(g);
}

void rig_daemon_replies(struct rig *g, uint32_t status, const char *key,
			const char *value)
{
	uint8_t buf[KVP_DEVMSG_MAX];
	struct kvp_msg m = g->request;

	m.status = status;
	if (key)
		strcpy(m.key, key);
	if (value)
		strcpy(m.value, value);
	kvp_devmsg_put_answer(buf, g->form, &m);
	assert_int_equal(kvp_daemon_message(g->kvp, buf,
					    kvp_devmsg_size(g->form)), 0);
	rig_settle(g);
}

void rig_daemon_dies(struct rig *g)
{
	kvp_daemon_gone(g->kvp);
	rig_settle(g);
}

/* The host -------------------------------------------------------------- */

static void host_done(void *arg, const struct host_kvp_result *r)
{
	struct rig *g = arg;

	g->answers++;
	g->err = r->err;
	g->status = r->status;
	if (r->msg)
		g->answer = *r->msg;
}

void rig_host_sends(struct rig *g, const struct host_kvp_msg *m,
		    const struct host_fault *f)
{
	assert_int_equal(host_kvp_request(g->host_kvp, m, f, host_done, g), 0);
	rig_settle(g);
}

void rig_host_asks(struct rig *g, unsigned op, unsigned pool, const char *key,
		   const char *value, const struct host_fault *f)
{
	struct host_kvp_msg m = { .op = (uint8_t)op, .pool = (uint8_t)pool };

	m.item.type = KVP_TYPE_STRING;
	if (key)
		strcpy(m.item.key, key);
	if (value)
		strcpy(m.item.value, value);
	rig_host_sends(g, &m, f);
}
