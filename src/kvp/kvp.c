/* kvp/kvp.c - one host request at a time, answered by the daemon or by us.
 *
 * The daemon's answers do not say what they answer, and a daemon slower than
 * the timeout still sends its own in the end. But it works in order: so `owed`
 * counts the answers that it owes to requests the host has been told no about,
 * and that many are thrown away before one counts again. A daemon that owes
 * MAX_OWED is taken for stuck, and asked nothing more until it speaks. */
#include "kvp/kvp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "kvp/kvp_wire.h"

enum { MAX_OWED = 4 };

/* What the Linux form tells a daemon that registers; it reports it to the host
 * as IntegrationServicesVersion. */
static const char driver_version[] = HV_VERSION;

struct kvp {
	struct loop *loop;
	struct kvp_cfg cfg;
	struct ic *ic;
	enum kvp_state state;
	struct kvp_daemon daemon;
	bool open;			/* somebody has the device */
	bool registered;
	bool legacy;			/* Linux form with operation 4 */
	enum kvp_form form;
	unsigned owed;
	struct loop_timer timeout;
	/* The request in hand, while ASKED. */
	uint64_t ticket;
	struct kvp_msg request;
	uint8_t body[KVP_WIRE_MAX];	/* the host's bytes, then the answer's */
	size_t body_len;
	struct kvp_stats stats;
};

enum kvp_event {
	KVP_EV_REGISTER,	/* a daemon registered */
	KVP_EV_REQUEST,		/* the host asks */
	KVP_EV_REPLY,		/* the daemon's answer to what was asked */
	KVP_EV_TIMEOUT,		/* ... did not come */
	KVP_EV_GONE,		/* the daemon is gone */
	KVP_EV_RESET,		/* the host started over */
	KVP_N_EVENTS
};

static void ask_daemon(struct kvp *k);
static void fail_no_daemon(struct kvp *k);
static void fail_timeout(struct kvp *k);
static void answer_host(struct kvp *k);
static void forget_request(struct kvp *k);

/* An empty cell cannot happen, or means nothing in that state. */
static const struct {
	bool legal;
	enum kvp_state next;
	void (*act)(struct kvp *k);
} kvp_fsm[KVP_N_STATES][KVP_N_EVENTS] = {
	[KVP_NO_DAEMON] = {
		[KVP_EV_REGISTER] = { true, KVP_READY, NULL },
		[KVP_EV_REQUEST] = { true, KVP_NO_DAEMON, fail_no_daemon },
		[KVP_EV_GONE] = { true, KVP_NO_DAEMON, NULL },
		[KVP_EV_RESET] = { true, KVP_NO_DAEMON, NULL },
	},
	[KVP_READY] = {
		[KVP_EV_REQUEST] = { true, KVP_ASKED, ask_daemon },
		[KVP_EV_GONE] = { true, KVP_NO_DAEMON, NULL },
		[KVP_EV_RESET] = { true, KVP_READY, NULL },
	},
	[KVP_ASKED] = {
		[KVP_EV_REPLY] = { true, KVP_READY, answer_host },
		[KVP_EV_TIMEOUT] = { true, KVP_READY, fail_timeout },
		[KVP_EV_GONE] = { true, KVP_NO_DAEMON, fail_no_daemon },
		[KVP_EV_RESET] = { true, KVP_READY, forget_request },
	},
};

static void step(struct kvp *k, enum kvp_event ev)
{
	enum kvp_state from = k->state;

	if (!kvp_fsm[from][ev].legal)
		return;
	k->state = kvp_fsm[from][ev].next;
	if (kvp_fsm[from][ev].act)
		kvp_fsm[from][ev].act(k);
}

/* Answer the request in hand, whose body may have been filled in. */
static void reply(struct kvp *k, uint32_t status)
{
	loop_timer_cancel(&k->timeout);
	ic_reply(k->ic, k->ticket, status, k->body, k->body_len);
}

static void fail_no_daemon(struct kvp *k)
{
	k->stats.no_daemon++;
	reply(k, HV_E_FAIL);
}

static void fail_timeout(struct kvp *k)
{
	k->owed++;
	k->stats.timeouts++;
	log_warn("kvp: no answer to %s from the daemon in time; the host was told it failed",
		 kvp_op_name(k->request.op));
	reply(k, HV_E_FAIL);
}

/* The answer will come and answer nothing. */
static void forget_request(struct kvp *k)
{
	loop_timer_cancel(&k->timeout);
	k->owed++;
}

static void ask_daemon(struct kvp *k)
{
	uint8_t buf[KVP_DEVMSG_MAX];
	bool set_ip = k->request.op == KVP_SET_IP_INFO;
	int err = -EAGAIN;

	if (k->owed < MAX_OWED) {
		kvp_devmsg_put_request(buf, k->form, &k->request);
		err = k->daemon.send(k->daemon.arg, buf,
				     kvp_devmsg_size(k->form));
	}
	if (err < 0) {
		k->state = KVP_READY;	/* nothing was asked after all */
		k->stats.timeouts++;
		reply(k, HV_E_FAIL);
		return;
	}
	loop_timer_set(&k->timeout, set_ip ? k->cfg.set_ip_timeout_ms :
					     k->cfg.timeout_ms);
}

/* k->request holds the answer by now. */
static void answer_host(struct kvp *k)
{
	uint32_t status = k->request.status;
	bool cut;
	int err = kvp_wire_put_answer(k->body, k->body_len, ic_version(k->ic),
				      &k->request, &cut);

	if (err < 0) {
		log_warn("kvp: the daemon's answer to %s cannot be sent: %s",
			 kvp_op_name(k->request.op), strerror(-err));
		status = HV_E_FAIL;
	}
	k->stats.cut += cut;
	k->stats.answered++;
	reply(k, status);
}

static void on_timeout(void *arg)
{
	step(arg, KVP_EV_TIMEOUT);
}

/* What the host is told about a request that cannot be read. */
static uint32_t refusal(const struct kvp_msg *m, int err)
{
	log_warn("kvp: the host's %s for pool %u is malformed: %s",
		 kvp_op_name(m->op), m->pool, strerror(-err));
	return err == -ENOTSUP ? HV_ERROR_NOT_SUPPORTED : HV_INVALIDARG;
}

static void on_request(void *arg, uint64_t ticket, struct rd body)
{
	struct kvp *k = arg;
	int err;

	k->ticket = ticket;
	k->body_len = body.left < sizeof(k->body) ? body.left : sizeof(k->body);
	memcpy(k->body, body.p, k->body_len);
	err = kvp_wire_get_request(&k->request, ic_version(k->ic), k->body,
				   k->body_len);
	k->stats.requests[k->request.op < KVP_N_OPS ? k->request.op :
						      KVP_N_OPS]++;
	if (err < 0) {
		k->stats.refused++;
		ic_reply(k->ic, ticket, refusal(&k->request, err), NULL, 0);
		return;
	}
	step(k, KVP_EV_REQUEST);
}

static void on_negotiated(void *arg, uint32_t version)
{
	(void)arg;
	log_info("kvp: the host speaks version %u.%u", HV_IC_MAJOR(version),
		 HV_IC_MINOR(version));
}

static void on_reset(void *arg)
{
	step(arg, KVP_EV_RESET);
}

static bool on_ready(void *arg)
{
	struct kvp *k = arg;

	return k->state != KVP_NO_DAEMON;
}

struct kvp *kvp_new(struct loop *l, const struct kvp_cfg *cfg)
{
	static const struct ic_ops ops = {
		.negotiated = on_negotiated, .request = on_request,
		.reset = on_reset, .ready = on_ready,
	};
	struct kvp *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->loop = l;
	k->cfg = *cfg;
	loop_timer_init(&k->timeout, l, on_timeout, k);
	k->ic = ic_new(l, ic_service_of(&guid_class_kvp), cfg->hold_ms, &ops,
		       k);
	if (k->ic)
		return k;
	free(k);
	return NULL;
}

void kvp_free(struct kvp *k)
{
	if (!k)
		return;
	loop_timer_cancel(&k->timeout);
	ic_free(k->ic);
	free(k);
}

struct ic *kvp_ic(struct kvp *k)
{
	return k->ic;
}

int kvp_daemon_open(struct kvp *k, const struct kvp_daemon *d)
{
	if (k->open)
		return -EBUSY;
	k->open = true;
	k->daemon = *d;
	return 0;
}

void kvp_daemon_gone(struct kvp *k)
{
	k->open = k->registered = false;
	k->owed = 0;
	step(k, KVP_EV_GONE);
}

static int on_register(struct kvp *k, const void *buf, size_t len)
{
	uint8_t version[KVP_DEVMSG_LINUX], op;
	int err = kvp_devmsg_get_register(&k->form, &op, buf, len);

	if (err < 0)
		return err;
	k->legacy = k->form == KVP_FORM_LINUX && op == KVP_OP_REGISTER;
	if (k->form == KVP_FORM_LINUX) {
		kvp_devmsg_put_version(version, op, driver_version);
		err = k->daemon.send(k->daemon.arg, version, sizeof(version));
		if (err < 0)
			return -EPIPE;
	}
	k->registered = true;
	log_info("kvp: a daemon registered (%s form)",
		 k->form == KVP_FORM_LINUX ? "Linux" : "FreeBSD");
	step(k, KVP_EV_REGISTER);
	ic_release(k->ic);
	return 0;
}

/* An answer, or a late one, or nothing that was asked for. */
static void on_answer(struct kvp *k, const void *buf, size_t len)
{
	struct kvp_msg answer;

	if (k->owed) {
		k->owed--;
		k->stats.stale++;
		return;
	}
	if (k->state != KVP_ASKED) {
		k->stats.malformed++;
		return;
	}
	if (kvp_devmsg_get_answer(&answer, k->form, k->legacy, &k->request, buf,
				  len) < 0) {
		log_warn("kvp: the daemon's answer to %s is malformed",
			 kvp_op_name(k->request.op));
		k->stats.malformed++;
		k->request.status = HV_E_FAIL;
	} else {
		k->request = answer;
	}
	step(k, KVP_EV_REPLY);
}

int kvp_daemon_message(struct kvp *k, const void *buf, size_t len)
{
	int err = 0;

	if (k->registered)
		on_answer(k, buf, len);
	else
		err = on_register(k, buf, len);
	if (err < 0)
		kvp_daemon_gone(k);
	return err;
}

enum kvp_state kvp_state_get(const struct kvp *k)
{
	return k->state;
}

const char *kvp_state_name(enum kvp_state s)
{
	static const char *const names[KVP_N_STATES] = {
		[KVP_NO_DAEMON] = "no daemon", [KVP_READY] = "ready",
		[KVP_ASKED] = "asked the daemon",
	};

	return names[s];
}

enum kvp_form kvp_form_get(const struct kvp *k)
{
	return k->form;
}

void kvp_stats_get(const struct kvp *k, struct kvp_stats *s)
{
	*s = k->stats;
}
