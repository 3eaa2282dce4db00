/* ic/ic.c - negotiation, transactions and their order.
 *
 * Packets become requests in a queue; the head of the queue is the one being
 * worked on. What cannot be given to the service (too early, too short, wrong
 * type) takes its place in the queue all the same, with its verdict, so that
 * answers leave in the order in which the host asked: hosts match them by
 * order alone. A negotiation empties the queue: the host has started over.
 *
 * When the ring has no room for a reply the request stays at the head, marked
 * answered, until the channel is writable. When the queue is full the channel
 * is paused; a host that respects the rules never gets there.
 */
#include "ic/ic.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_QUEUE = 8 };

enum request_state {
	REQUEST_WAITING,	/* not at the head yet */
	REQUEST_ASKED,		/* the service is at work */
	REQUEST_ANSWERED,	/* reply is laid over body, ring had no room */
};

struct request {
	struct request *next;
	enum request_state state;
	uint64_t ticket;
	uint64_t packet_xact;
	struct ic_hdr hdr;
	bool refused;			/* hdr.status says why */
	size_t len;			/* of the reply: headers and body */
	uint8_t payload[];
};

struct ic {
	struct loop *loop;
	const struct ic_service *svc;
	struct ic_ops ops;
	void *arg;
	struct channel *channel;
	uint32_t framework, version;
	struct request *queue;
	unsigned n_queue;
	uint64_t next_ticket;
	bool stepping;
	struct request *held;		/* a negotiation that waits for ready() */
	unsigned hold_ms;
	struct loop_timer hold;
	struct ic_stats stats;
};

static void release_held(void *arg);

struct ic *ic_new(struct loop *l, const struct ic_service *svc,
		  unsigned hold_ms, const struct ic_ops *ops, void *arg)
{
	struct ic *ic = calloc(1, sizeof(*ic));

	if (!ic)
		return NULL;
	ic->loop = l;
	ic->svc = svc;
	ic->ops = *ops;
	ic->arg = arg;
	ic->hold_ms = hold_ms;
	ic->next_ticket = 1;
	loop_timer_init(&ic->hold, l, release_held, ic);
	return ic;
}

static struct request *queue_pop(struct ic *ic)
{
	struct request *q = ic->queue;

	ic->queue = q->next;
	if (ic->n_queue-- == MAX_QUEUE && ic->channel)
		channel_pause(ic->channel, false);
	return q;
}

static void forget(struct ic *ic)
{
	loop_timer_cancel(&ic->hold);
	free(ic->held);
	ic->held = NULL;
	while (ic->queue)
		free(queue_pop(ic));
}

/* Forget everything this connection had begun, and tell the service. */
static void start_over(struct ic *ic)
{
	bool negotiated = ic->version != 0;

	forget(ic);
	ic->framework = ic->version = 0;
	if (negotiated)
		ic->ops.reset(ic->arg);
}

void ic_free(struct ic *ic)
{
	if (!ic)
		return;
	ic->channel = NULL;		/* may be freed already */
	forget(ic);
	free(ic);
}

void ic_channel(struct ic *ic, struct channel *c)
{
	ic->channel = NULL;		/* the old one may be freed already */
	start_over(ic);
	ic->channel = c;
}

/* Put q's payload, which is the reply by now, into the ring. */
static int send_reply(struct ic *ic, struct request *q)
{
	struct wr w = wr_of(q->payload, q->len);
	struct packet p = {
		.type = PACKET_INBAND,
		.xact = q->packet_xact,
		.data = q->payload,
		.len = q->len,
	};
	int err;

	if (!(q->hdr.flags & HV_IC_TRANSACTION)) {
		ic->stats.dropped++;	/* nobody waits for an answer */
		return 0;
	}
	q->hdr.flags = HV_IC_TRANSACTION | HV_IC_RESPONSE;
	ic_hdr_put(&w, &q->hdr, (uint32_t)(q->len - HV_IC_PIPE_HDR));
	assert(!w.bad);
	err = channel_send(ic->channel, &p);
	if (err == -EAGAIN)
		return err;
	if (!err)
		ic->stats.replies++;
	return 0;			/* a broken channel is reported by itself */
}

/* The host did not wait for the answer that the service is working on. */
static void tell_queued(struct ic *ic)
{
	struct request *q = ic->queue;

	if (ic->ops.queued && q && q->state == REQUEST_ASKED && q->next)
		ic->ops.queued(ic->arg);
}

/* Serve the head of the queue until somebody has to be waited for. */
static void step(struct ic *ic)
{
	if (ic->stepping)
		return;			/* a reply from inside request() */
	ic->stepping = true;
	while (ic->queue && ic->channel) {
		struct request *q = ic->queue;

		if (q->state == REQUEST_WAITING && !q->refused) {
			q->state = REQUEST_ASKED;
			ic->stats.requests++;
			ic->ops.request(ic->arg, q->ticket,
					rd_of(q->payload + IC_WIRE_HDR,
					      q->hdr.body_len));
			tell_queued(ic);
			continue;
		}
		if (q->state == REQUEST_ASKED || send_reply(ic, q) < 0)
			break;
		if (ic->queue == q)	/* sending may find the channel dead */
			free(queue_pop(ic));
	}
	ic->stepping = false;
}

int ic_reply(struct ic *ic, uint64_t ticket, uint32_t status, const void *body,
	     size_t len)
{
	struct request *q = ic->queue;

	if (!q || q->ticket != ticket || q->state != REQUEST_ASKED) {
		ic->stats.stale++;
		return -ESTALE;
	}
	if (len > q->hdr.body_len)
		return -EMSGSIZE;
	if (len)
		memcpy(q->payload + IC_WIRE_HDR, body, len);
	q->hdr.status = status;
	q->state = REQUEST_ANSWERED;
	step(ic);
	return 0;
}

/* Choose versions and answer. The reply keeps the request's length and says in
 * its header that 16 bytes of the body count, as Linux does. */
static void negotiate(struct ic *ic, struct request *q)
{
	struct rd body = rd_of(q->payload + IC_WIRE_HDR, q->hdr.body_len);
	struct wr w = wr_of(q->payload + IC_WIRE_HDR, q->len - IC_WIRE_HDR);
	const struct ic_service *s = ic->svc;
	uint32_t framework = 0, version = 0;
	unsigned nf = 0, nv = 0;
	struct ic_versions v;

	while (s->frameworks[nf])
		nf++;
	while (s->versions[nv])
		nv++;
	if (ic_versions_get(&v, &body) == 0) {
		framework = ic_version_choose(s->frameworks, nf, v.frameworks,
					      v.n_frameworks);
		version = ic_version_choose(s->versions, nv, v.versions,
					    v.n_versions);
	}
	ic_choice_put(&w, framework, version);
	q->hdr.body_len = IC_CHOICE_BODY;
	q->hdr.status = HV_S_OK;
	if (framework && version) {
		ic->framework = framework;
		ic->version = version;
		ic->stats.negotiations++;
	}
	/* An idle ring has room; if it has not, the host broke its own rules
	 * and will have to negotiate again. */
	if (send_reply(ic, q) < 0)
		ic->framework = ic->version = 0;
	free(q);
	if (ic->version)
		ic->ops.negotiated(ic->arg, ic->version);
}

static void release_held(void *arg)
{
	struct ic *ic = arg;
	struct request *q = ic->held;

	if (!q)
		return;
	loop_timer_cancel(&ic->hold);
	ic->held = NULL;
	negotiate(ic, q);
}

void ic_release(struct ic *ic)
{
	release_held(ic);
}

static void on_negotiate(struct ic *ic, struct request *q)
{
	start_over(ic);
	if (ic->ops.ready && !ic->ops.ready(ic->arg) && ic->hold_ms) {
		ic->held = q;
		loop_timer_set(&ic->hold, ic->hold_ms);
		return;
	}
	negotiate(ic, q);
}

/* What is wrong with a request before its service sees it; HV_S_OK: nothing. */
static uint32_t verdict(const struct ic *ic, const struct ic_hdr *h, int err)
{
	if (err == -EMSGSIZE || h->body_len < ic->svc->body_min)
		return HV_INVALIDARG;
	if (h->type != ic->svc->type)
		return HV_ERROR_NOT_SUPPORTED;
	if (!ic->version)
		return HV_E_FAIL;
	return HV_S_OK;
}

static void enqueue(struct ic *ic, struct request *q)
{
	struct request **at = &ic->queue;

	while (*at)
		at = &(*at)->next;
	*at = q;
	q->ticket = ic->next_ticket++;
	if (++ic->n_queue == MAX_QUEUE)
		channel_pause(ic->channel, true);
	tell_queued(ic);
	step(ic);
}

/* Keep the message, with room for any answer to a negotiation. */
static struct request *request_new(const struct ic_hdr *h, uint64_t packet_xact,
				   const struct rd *body)
{
	size_t room = body->left > IC_CHOICE_BODY ? body->left : IC_CHOICE_BODY;
	struct request *q = calloc(1, sizeof(*q) + IC_WIRE_HDR + room);

	if (!q)
		return NULL;
	q->len = IC_WIRE_HDR + room;
	q->hdr = *h;
	q->hdr.body_len = (uint16_t)body->left;
	q->packet_xact = packet_xact;
	memcpy(q->payload + IC_WIRE_HDR, body->p, body->left);
	return q;
}

void ic_packet(struct ic *ic, const struct packet *p)
{
	struct rd r = rd_of(p->data, p->len);
	struct request *q;
	struct ic_hdr h;
	int err;

	err = p->type == PACKET_INBAND ? ic_hdr_get(&h, &r) : -EBADMSG;
	if (err == -EBADMSG || (h.flags & HV_IC_RESPONSE)) {
		ic->stats.dropped++;
		return;
	}
	q = request_new(&h, p->xact, &r);
	if (!q) {
		ic->stats.dropped++;
		return;
	}
	if (h.type == HV_IC_NEGOTIATE) {
		on_negotiate(ic, q);
		return;
	}
	q->hdr.status = verdict(ic, &q->hdr, err);
	q->refused = q->hdr.status != HV_S_OK;
	ic->stats.refused += q->refused;
	enqueue(ic, q);
}

void ic_writable(struct ic *ic)
{
	step(ic);
}

uint32_t ic_framework(const struct ic *ic)
{
	return ic->framework;
}

uint32_t ic_version(const struct ic *ic)
{
	return ic->version;
}

bool ic_holding(const struct ic *ic)
{
	return ic->held != NULL;
}

void ic_stats_get(const struct ic *ic, struct ic_stats *s)
{
	*s = ic->stats;
}
