/* host/host_ic.c - theory of operation.
 *
 * Everything sent is a `req` in one list: negotiations, requests and their
 * injected copies. A request is QUEUED, perhaps DELAYED (a late fault, or a
 * full ring), then SENT until it is answered, its limit passes, or the
 * channel or the negotiation ends it. The next QUEUED one is sent when none
 * is DELAYED or SENT; a fault with no_wait is sent at once.
 *
 * Which request does an answer answer? While a negotiation is outstanding
 * only a reply of type 0 counts; other types are stale, from before it, and
 * dropped. With transaction ids all 0 it is the oldest outstanding request,
 * as a host that checks nothing else would say: a guest that answers twice
 * shifts every answer. With counting ids it is the one with that id, and an
 * answer with the id of a request we gave up on is late, not wrong.
 *
 * A strict host fails the service at the first malformed answer, until the
 * guest opens the channel again or we negotiate again; a lenient one fails
 * that request and goes on. Both note a violation.
 *
 * Sources: OpenVMM hyperv_ic (which checks are fatal), Linux drivers/hv
 * (what guests send). */
#include "host/host_ic.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

enum {
	MSG_CAP = 20000,		/* oversize faults included */
	XACT_AT = 24,			/* offset of the transaction id */
};

enum req_state { QUEUED, DELAYED, SENT };

struct req {
	struct req *next;
	enum req_state state;
	bool negotiation;
	bool copy;			/* injected; sent with the one before */
	bool counted;			/* it really went out */
	int send_err;
	uint8_t xact;
	struct host_fault fault;
	host_ic_done done;
	void *arg;
	struct host_ic *ic;
	struct loop_timer timer;	/* its delay, then its limit */
	uint64_t sent_ms;
	uint32_t limit_ms;
	size_t len;
	uint8_t msg[];
};

struct host_ic {
	struct loop *loop;
	struct host_ic_cfg cfg;
	const struct host_ic_ops *ops;
	void *arg;
	struct host_ic_port port;
	enum host_ic_state state;
	bool was_ready;			/* since the last open */
	bool refused;			/* SILENT because nothing suited */
	bool unresponsive;		/* the last request was not answered */
	uint32_t framework, version;
	uint8_t last_xact;
	uint64_t owed;			/* answers to requests we gave up on */
	struct req *reqs;
	struct host_versions offer_framework, offer_message;
	struct host_fault offer_fault;
	struct host_ic_stats stats;
	uint8_t buf[MSG_CAP];
};

static void violation(struct host_ic *ic, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void violation(struct host_ic *ic, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ic->stats.violations++;
	ic->ops->violation(ic->arg, text);
}

/* The only writer of ic->state. Entering READY is reported by agree(). */
static void enter(struct host_ic *ic, enum host_ic_state s)
{
	bool lost = ic->state == HOST_IC_READY && s != HOST_IC_READY;

	ic->state = s;
	if (s != HOST_IC_READY)
		ic->framework = ic->version = 0;
	if (lost)
		ic->ops->lost(ic->arg);
}

/* Requests --------------------------------------------------------------- */

static void append(struct host_ic *ic, struct req *r)
{
	struct req **p = &ic->reqs;

	while (*p)
		p = &(*p)->next;
	*p = r;
}

static void take(struct host_ic *ic, struct req *r)
{
	struct req **p = &ic->reqs;

	while (*p != r)
		p = &(*p)->next;
	*p = r->next;
	loop_timer_cancel(&r->timer);
}

/* Out of the list, told how it ended, freed. */
static void finish(struct host_ic *ic, struct req *r, struct host_ic_answer *a)
{
	take(ic, r);
	if (r->state == SENT)
		a->took_ms = loop_now_ms(ic->loop) - r->sent_ms;
	if (r->done)
		r->done(r->arg, a);
	free(r);
}

static void finish_err(struct host_ic *ic, struct req *r, int err)
{
	struct host_ic_answer a = { .err = err };

	finish(ic, r, &a);
}

/* Only what is there now: callbacks may ask again. */
static void cancel_all(struct host_ic *ic)
{
	struct req *old = ic->reqs;

	ic->reqs = NULL;
	while (old) {
		struct req *r = old;
		struct host_ic_answer a = { .err = -ECANCELED };

		old = r->next;
		loop_timer_cancel(&r->timer);
		if (r->done)
			r->done(r->arg, &a);
		free(r);
	}
}

static bool any_in_flight(const struct host_ic *ic)
{
	for (const struct req *r = ic->reqs; r; r = r->next) {
		if (r->state != QUEUED)
			return true;
	}
	return false;
}

/* Sending never calls anybody back: an error is told by the timer. */
static void transmit(struct host_ic *ic, struct req *r)
{
	struct packet p = {
		.type = PACKET_INBAND,
		.xact = r->xact,	/* so that an echo of it shows */
		.data = r->msg,
		.len = r->len,
	};
	int err = 0;

	if (!r->fault.lost)
		err = ic->port.send(ic->port.arg, &p, r->fault.no_interrupt);
	if (err == -EAGAIN)
		return;			/* host_ic_writable() tries again */
	r->state = SENT;
	r->send_err = err;
	r->counted = !err && !r->fault.lost;
	r->sent_ms = loop_now_ms(ic->loop);
	if (r->negotiation)
		ic->stats.negotiations++;
	else
		ic->stats.requests++;
	loop_timer_set(&r->timer, err ? 0 : r->limit_ms);
}

/* A request, and with it the copies that were injected behind it. */
static void start(struct host_ic *ic, struct req *r)
{
	do {
		r->state = DELAYED;
		if (r->fault.late_ms)
			loop_timer_set(&r->timer, r->fault.late_ms);
		else
			transmit(ic, r);
		r = r->next;
	} while (r && r->copy && r->state == QUEUED);
}

static void pump(struct host_ic *ic)
{
	struct req *r = ic->reqs;

	if (ic->state == HOST_IC_READY && r && !any_in_flight(ic))
		start(ic, r);
}

static void start_no_wait(struct host_ic *ic)
{
	for (struct req *r = ic->reqs; r; r = r->next) {
		if (r->state == QUEUED && r->fault.no_wait)
			start(ic, r);
	}
}

static void limit_passed(struct host_ic *ic, struct req *r)
{
	bool negotiation = r->negotiation;

	if (r->counted) {
		ic->stats.unanswered++;
		ic->owed++;
	}
	if (!negotiation)
		ic->unresponsive = true;
	finish_err(ic, r, r->send_err ? r->send_err : -ETIMEDOUT);
	if (negotiation && ic->state == HOST_IC_NEGOTIATING)
		enter(ic, HOST_IC_SILENT);
	pump(ic);
}

static void timer_fired(void *arg)
{
	struct req *r = arg;

	if (r->state == DELAYED)
		transmit(r->ic, r);
	else
		limit_passed(r->ic, r);
}

static struct req *new_req(struct host_ic *ic, const uint8_t *msg, size_t len,
			   const struct host_fault *f)
{
	struct req *r = calloc(1, sizeof(*r) + len);

	if (!r)
		return NULL;
	r->ic = ic;
	r->fault = f ? *f : (struct host_fault){ 0 };
	r->len = len;
	if (len)
		memcpy(r->msg, msg, len);
	loop_timer_init(&r->timer, ic->loop, timer_fired, r);
	return r;
}

static uint8_t next_xact(struct host_ic *ic)
{
	if (ic->cfg.xact == HOST_XACT_ZERO)
		return 0;
	ic->last_xact = ic->last_xact == UINT8_MAX ? 1 : ic->last_xact + 1;
	return ic->last_xact;
}

/* Frame a body in ic->buf and let the fault have it; its length, 0 if it does
 * not fit. */
static size_t frame(struct host_ic *ic, struct host_ic_msg *m,
		    const struct host_fault *f)
{
	struct wr w = wr_of(ic->buf, sizeof(ic->buf));

	m->pipe_kind = HV_IC_PIPE_DATA;
	m->flags = HV_IC_TRANSACTION | HV_IC_REQUEST;
	host_ic_put(&w, m);
	if (w.bad)
		return 0;
	return f ? host_fault_apply(f, ic->buf, w.len, sizeof(ic->buf)) :
		   w.len;
}

/* The message in ic->buf, and its injected copies, which nobody waits for but
 * which the guest has to answer all the same. */
static int enqueue(struct host_ic *ic, size_t len, const struct req *like)
{
	for (uint32_t i = 0; i <= like->fault.duplicate; i++) {
		struct req *r = new_req(ic, ic->buf, len, &like->fault);

		if (!r)
			return -ENOMEM;
		r->negotiation = like->negotiation;
		r->limit_ms = like->limit_ms;
		/* A fault may have changed it; the echo is of what was sent. */
		r->xact = len > XACT_AT ? ic->buf[XACT_AT] : 0;
		r->copy = i > 0;
		if (i == 0) {
			r->done = like->done;
			r->arg = like->arg;
		}
		append(ic, r);
	}
	return 0;
}

int host_ic_ask_within(struct host_ic *ic, uint32_t limit_ms, const void *body,
		       size_t len, const struct host_fault *f,
		       host_ic_done done, void *arg)
{
	struct host_ic_msg m = {
		.framework = ic->framework, .version = ic->version,
		.type = ic->cfg.type, .body = body,
		.body_len = (uint16_t)len,
	};
	struct req like = { .done = done, .arg = arg, .limit_ms = limit_ms };
	bool no_wait = f && f->no_wait;
	size_t n;
	int err;

	if (ic->state != HOST_IC_READY &&
	    !(no_wait && ic->state != HOST_IC_CLOSED))
		return -ENOTCONN;
	if (len > HV_IC_MSG_MAX - HV_IC_HDR)
		return -EMSGSIZE;
	m.xact = next_xact(ic);
	n = frame(ic, &m, f);
	if (f)
		like.fault = *f;
	err = enqueue(ic, n, &like);
	if (err < 0)
		return err;
	if (no_wait)
		start_no_wait(ic);
	pump(ic);
	return 0;
}

int host_ic_ask(struct host_ic *ic, const void *body, size_t len,
		const struct host_fault *f, host_ic_done done, void *arg)
{
	return host_ic_ask_within(ic, ic->cfg.answer_ms, body, len, f, done,
				  arg);
}

/* Negotiation ------------------------------------------------------------ */

int host_ic_negotiate(struct host_ic *ic, const struct host_versions *framework,
		      const struct host_versions *message,
		      const struct host_fault *f)
{
	uint8_t body[8 + 4 * 2 * HOST_IC_VERSIONS];
	struct wr w = wr_of(body, sizeof(body));
	struct host_ic_msg m = { .body = body };
	struct req like = { .negotiation = true,
			    .limit_ms = ic->cfg.negotiate_ms };

	if (ic->state == HOST_IC_CLOSED)
		return -ENOTCONN;
	ic->offer_framework = framework ? *framework : ic->cfg.framework;
	ic->offer_message = message ? *message : ic->cfg.message;
	ic->refused = false;
	enter(ic, HOST_IC_NEGOTIATING);
	cancel_all(ic);
	host_ic_put_versions(&w, &ic->offer_framework, &ic->offer_message);
	m.body_len = (uint16_t)w.len;
	if (f)
		like.fault = *f;
	like.fault.no_wait = 1;
	if (enqueue(ic, frame(ic, &m, f), &like) < 0)
		return -ENOMEM;
	start_no_wait(ic);
	return 0;
}

void host_ic_offer(struct host_ic *ic, const struct host_versions *framework,
		   const struct host_versions *message,
		   const struct host_fault *f)
{
	if (framework)
		ic->cfg.framework = *framework;
	if (message)
		ic->cfg.message = *message;
	ic->offer_fault = f ? *f : (struct host_fault){ 0 };
}

static bool offered(const struct host_versions *list, uint32_t v)
{
	for (unsigned i = 0; i < list->n; i++) {
		if (list->v[i] == v)
			return true;
	}
	return false;
}

static uint32_t newest(const struct host_versions *list)
{
	uint32_t best = 0;

	for (unsigned i = 0; i < list->n; i++)
		best = list->v[i] > best ? list->v[i] : best;
	return best;
}

/* A malformed answer: note it, and strictly give the service up. */
static void malformed(struct host_ic *ic, struct req *r, const char *why)
{
	violation(ic, "sent %s", why);
	if (r)
		finish_err(ic, r, -EBADMSG);
	if (ic->cfg.strict) {
		enter(ic, HOST_IC_FAILED);
		cancel_all(ic);
	} else if (ic->state == HOST_IC_NEGOTIATING) {
		enter(ic, HOST_IC_SILENT);
	}
}

void host_ic_malformed(struct host_ic *ic, const char *why)
{
	malformed(ic, NULL, why);
}

static const char *flags_wrong(const struct host_ic_msg *m)
{
	if (!(m->flags & HV_IC_TRANSACTION))
		return "a reply without the transaction flag";
	if (!(m->flags & HV_IC_RESPONSE))
		return "a reply without the response flag";
	return NULL;
}

static void agree(struct host_ic *ic, const struct host_ic_choice *c)
{
	char v[HOST_VERSION_TEXT];

	if (!offered(&ic->offer_framework, c->framework))
		violation(ic, "chose framework %s, which was not offered",
			  host_version_text(v, c->framework));
	if (!offered(&ic->offer_message, c->message))
		violation(ic, "chose message version %s, which was not offered",
			  host_version_text(v, c->message));
	enter(ic, HOST_IC_READY);
	ic->framework = c->framework;
	ic->version = c->message;
	ic->was_ready = true;
	ic->refused = ic->unresponsive = false;
	ic->ops->ready(ic->arg);
	pump(ic);
}

static void negotiated(struct host_ic *ic, struct req *r,
		       const struct host_ic_msg *m)
{
	const char *why = flags_wrong(m);
	struct host_ic_choice c;

	if (!why && m->xact != r->xact)
		why = "a negotiation reply with another transaction id";
	if (!why && host_ic_get_choice(&c, m->body, m->body_len) < 0)
		why = "a negotiation reply under 16 bytes";
	if (why) {
		malformed(ic, r, why);
		return;
	}
	if (m->status != HV_S_OK)
		violation(ic, "sent status 0x%08x in a negotiation reply",
			  m->status);
	finish_err(ic, r, 0);
	if (ic->state != HOST_IC_NEGOTIATING) {
		pump(ic);		/* the answer to an injected copy */
		return;
	}
	if (c.n_framework == 1 && c.n_message == 1) {
		agree(ic, &c);
		return;
	}
	ic->refused = true;
	enter(ic, HOST_IC_SILENT);
}

/* Answers ---------------------------------------------------------------- */

static struct req *find_sent(struct host_ic *ic, bool negotiation, int xact)
{
	struct req *r = ic->reqs;

	while (r && (r->state != SENT || r->negotiation != negotiation ||
		     (xact >= 0 && r->xact != xact)))
		r = r->next;
	return r;
}

static void unasked(struct host_ic *ic, const struct host_ic_msg *m)
{
	if (ic->owed) {
		ic->owed--;
		ic->stats.late++;
		return;
	}
	violation(ic, "answered (type %u, transaction %u) what nobody asked",
		  m->type, m->xact);
}

/* What OpenVMM does not look at, and a correct guest gets right anyway. */
static void check_header(struct host_ic *ic, const struct host_ic_msg *m)
{
	if (m->type != ic->cfg.type)
		violation(ic, "answered with message type %u", m->type);
	if (m->framework != ic->framework || m->version != ic->version)
		violation(ic, "answered with versions that were not agreed");
	if (m->reserved)
		violation(ic, "answered with reserved bytes set");
}

static void answered(struct host_ic *ic, const struct host_ic_msg *m,
		     uint64_t vmbus_xact)
{
	bool count = ic->cfg.xact == HOST_XACT_COUNT;
	struct req *r = find_sent(ic, false, count ? m->xact : -1);
	struct host_ic_answer a = { .status = m->status, .body = m->body,
				    .body_len = m->body_len };
	const char *why = flags_wrong(m);

	if (!r) {
		unasked(ic, m);
		return;
	}
	if (!why && m->xact != r->xact)
		why = "a reply with another transaction id";
	if (why) {
		malformed(ic, r, why);
		pump(ic);
		return;
	}
	if (!host_fault_mangles(&r->fault))
		check_header(ic, m);
	if (vmbus_xact != r->xact)
		violation(ic, "answered VMBus transaction %u with %llu",
			  r->xact, (unsigned long long)vmbus_xact);
	ic->stats.answered++;
	ic->unresponsive = false;
	finish(ic, r, &a);
	pump(ic);
}

void host_ic_packet(struct host_ic *ic, const struct packet *p)
{
	const char *why = NULL;
	struct host_ic_msg m;
	struct req *r;

	if (ic->state == HOST_IC_CLOSED || ic->state == HOST_IC_FAILED)
		return;
	if (p->type != PACKET_INBAND) {
		violation(ic, "answered with a packet of type %u", p->type);
		return;
	}
	if (host_ic_get(&m, p->data, p->len, &why) < 0) {
		malformed(ic, find_sent(ic, false, -1), why);
		pump(ic);
		return;
	}
	r = find_sent(ic, true, -1);
	if (m.type == HV_IC_NEGOTIATE && r)
		negotiated(ic, r, &m);
	else if (ic->state == HOST_IC_NEGOTIATING && m.type != HV_IC_NEGOTIATE)
		ic->stats.stale++;
	else
		answered(ic, &m, p->xact);
}

/* Life ------------------------------------------------------------------- */

struct host_ic *host_ic_new(struct loop *l, const struct host_ic_cfg *cfg,
			    const struct host_ic_ops *ops, void *arg)
{
	struct host_ic *ic = calloc(1, sizeof(*ic));

	if (!ic)
		return NULL;
	ic->loop = l;
	ic->cfg = *cfg;
	ic->ops = ops;
	ic->arg = arg;
	return ic;
}

void host_ic_free(struct host_ic *ic)
{
	if (!ic)
		return;
	while (ic->reqs) {
		struct req *r = ic->reqs;

		take(ic, r);
		free(r);
	}
	free(ic);
}

void host_ic_open(struct host_ic *ic, const struct host_ic_port *port)
{
	struct host_fault f = ic->offer_fault;

	assert(ic->state == HOST_IC_CLOSED);
	ic->port = *port;
	ic->was_ready = ic->refused = ic->unresponsive = false;
	ic->owed = 0;
	enter(ic, HOST_IC_NEGOTIATING);
	ic->offer_fault = (struct host_fault){ 0 };
	host_ic_negotiate(ic, NULL, NULL, &f);
}

void host_ic_close(struct host_ic *ic)
{
	enter(ic, HOST_IC_CLOSED);
	cancel_all(ic);
}

void host_ic_writable(struct host_ic *ic)
{
	for (struct req *r = ic->reqs; r; r = r->next) {
		if (r->state == DELAYED && !r->timer.set)
			transmit(ic, r);
	}
}

/* State ------------------------------------------------------------------ */

enum host_ic_state host_ic_state_get(const struct host_ic *ic)
{
	return ic->state;
}

const char *host_ic_state_name(enum host_ic_state s)
{
	static const char *const names[] = {
		[HOST_IC_CLOSED] = "closed",
		[HOST_IC_NEGOTIATING] = "negotiating",
		[HOST_IC_SILENT] = "silent",
		[HOST_IC_READY] = "ready",
		[HOST_IC_FAILED] = "failed",
	};

	return names[s];
}

bool host_ic_busy(const struct host_ic *ic)
{
	return ic->reqs != NULL;
}

uint32_t host_ic_framework(const struct host_ic *ic)
{
	return ic->framework;
}

uint32_t host_ic_version(const struct host_ic *ic)
{
	return ic->version;
}

bool host_ic_strict(const struct host_ic *ic)
{
	return ic->cfg.strict;
}

const struct host_ic_stats *host_ic_stats_get(const struct host_ic *ic)
{
	return &ic->stats;
}

/* Source: Msvm_*Component.OperationalStatus in the WMI reference. Which code
 * a closed host shows for a channel that the guest closed is unverified. */
struct host_ic_health host_ic_health_get(const struct host_ic *ic)
{
	switch (ic->state) {
	case HOST_IC_READY:
		if (ic->unresponsive)
			return (struct host_ic_health){ { 13, 32783 },
				"lost", "lost communication: timed out" };
		if (ic->version < newest(&ic->offer_message))
			return (struct host_ic_health){ { 3, 32775 },
				"degraded", "works with an older protocol" };
		return (struct host_ic_health){ { 2, 2 }, "ok", "OK" };
	case HOST_IC_SILENT:
		if (ic->refused)
			return (struct host_ic_health){ { 7, 32775 },
				"mismatch", "no compatible protocol" };
		return (struct host_ic_health){ { 12, 32783 }, "no-contact",
			"no contact: no good answer to the negotiation" };
	case HOST_IC_FAILED:
		return (struct host_ic_health){ { 13, 32784 }, "failed",
			"lost communication: a malformed answer" };
	case HOST_IC_CLOSED:
	case HOST_IC_NEGOTIATING:
		break;
	}
	if (ic->was_ready)
		return (struct host_ic_health){ { 13, 32784 }, "lost",
			"lost communication: the guest closed the channel" };
	return (struct host_ic_health){ { 12, 2 }, "no-contact", "no contact" };
}
