/* host/host_replay.c - walk through the trace; wait where the guest has to do
 * something, act where the host did. It uses the bus directly: nothing of
 * host_ic.c takes part, so whatever a host once sent can be sent again. */
#include "host/host_replay.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "host/host.h"
#include "host/host_vmbus.h"

enum { QUEUE = 64 };

/* A packet of the guest's that the trace has not come to yet. */
struct got {
	uint16_t type;
	uint64_t xact;
	size_t len;
	uint8_t *data;
};

/* One service; without an offer unless the trace speaks of it. */
struct line {
	struct host_replay *r;
	struct host_offer *offer;
	struct channel *channel;
	const struct host_trace_line *request;
	struct got queue[QUEUE];
	unsigned queued;
};

struct host_replay {
	struct loop *loop;
	struct host_replay_cfg cfg;
	struct host_vmbus *bus;
	struct line line[HOST_N_ICS];
	bool guest, over, walking;
	size_t at;			/* in the trace */
	unsigned differences;
	struct loop_timer patience;
};

/* Comparing -------------------------------------------------------------- */

static bool say(char *text, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool say(char *text, size_t len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, len, fmt, ap);
	va_end(ap);
	return true;
}

static bool headers_differ(char *text, size_t len, const struct host_ic_msg *a,
			   const struct host_ic_msg *b)
{
	enum { FLAGS = HV_IC_TRANSACTION | HV_IC_RESPONSE };
	char status[16];

	if (a->type != b->type)
		return say(text, len, "message type: %u then, %u now", a->type,
			   b->type);
	if (a->framework != b->framework || a->version != b->version)
		return say(text, len, "versions: %08x %08x then, %08x %08x now",
			   a->framework, a->version, b->framework, b->version);
	if (a->status != b->status) {
		snprintf(status, sizeof(status), "%s",
			 host_status_name(a->status));
		return say(text, len, "status: %s then, %s now", status,
			   host_status_name(b->status));
	}
	if (a->xact != b->xact)
		return say(text, len, "transaction id: %u then, %u now",
			   a->xact, b->xact);
	if ((a->flags & FLAGS) != (b->flags & FLAGS))
		return say(text, len, "flags: %u then, %u now", a->flags,
			   b->flags);
	return false;
}

static bool choices_differ(char *text, size_t len, const struct host_ic_msg *a,
			   const struct host_ic_msg *b)
{
	struct host_ic_choice x, y;

	if (host_ic_get_choice(&x, a->body, a->body_len) < 0)
		return false;		/* nothing to compare with */
	if (host_ic_get_choice(&y, b->body, b->body_len) < 0)
		return say(text, len, "the choice is under 16 bytes");
	if (x.n_framework != y.n_framework || x.n_message != y.n_message)
		return say(text, len, "counts: %u, %u then, %u, %u now",
			   x.n_framework, x.n_message, y.n_framework,
			   y.n_message);
	if (x.framework != y.framework || x.message != y.message)
		return say(text, len, "chosen: %08x %08x then, %08x %08x now",
			   x.framework, x.message, y.framework, y.message);
	return false;
}

static bool items_differ(char *text, size_t len, const struct host_kvp_msg *a,
			 const struct host_kvp_msg *b)
{
	if (a->pool == KVP_POOL_GUEST)
		return false;
	if (a->op == KVP_ENUMERATE && strcmp(a->item.key, b->item.key) != 0)
		return say(text, len, "key: %.60s then, %.60s now",
			   a->item.key, b->item.key);
	if (a->item.type != b->item.type)
		return say(text, len, "type of %.60s: %u then, %u now",
			   a->item.key, a->item.type, b->item.type);
	if (a->pool != KVP_POOL_AUTO &&
	    strcmp(a->item.value, b->item.value) != 0)
		return say(text, len, "value of %.60s: %.60s then, %.60s now",
			   a->item.key, a->item.value, b->item.value);
	return false;
}

static bool kvp_differs(char *text, size_t len, const struct host_ic_msg *a,
			const struct host_ic_msg *b,
			const struct host_ic_msg *asked)
{
	struct host_kvp_msg x = { 0 }, y;
	struct rd r = rd_of(asked->body, asked->body_len);
	const char *why = "";

	x.op = rd_u8(&r);
	x.pool = rd_u8(&r);
	y = x;
	if (a->status != HV_S_OK ||
	    host_kvp_get(&x, a->body, a->body_len, a->version, false,
			 &why) < 0)
		return false;		/* statuses were compared */
	if (host_kvp_get(&y, b->body, b->body_len, b->version, false,
			 &why) < 0)
		return say(text, len, "%s", why);
	if (x.op == KVP_GET || x.op == KVP_ENUMERATE)
		return items_differ(text, len, &x, &y);
	return false;
}

static bool vss_differs(char *text, size_t len, const struct host_ic_msg *a,
			const struct host_ic_msg *b,
			const struct host_ic_msg *asked)
{
	static struct host_vss_msg x, y;	/* large; one thread */
	struct rd r = rd_of(asked->body, asked->body_len);
	const char *why = "";

	x = y = (struct host_vss_msg){ .op = rd_u8(&r) };
	if (a->status != HV_S_OK ||
	    host_vss_get(&x, a->body, a->body_len, false, &why) < 0)
		return false;		/* statuses were compared */
	if (host_vss_get(&y, b->body, b->body_len, false, &why) < 0)
		return say(text, len, "%s", why);
	if (x.flags != y.flags)
		return say(text, len, "flags of %s: 0x%x then, 0x%x now",
			   host_vss_op_name(x.op), x.flags, y.flags);
	return false;
}

bool host_replay_differs(char *text, size_t text_len,
			 const struct host_trace_line *was,
			 const struct host_trace_line *request,
			 const struct packet *now)
{
	struct host_ic_msg a, b, asked;
	const char *why = "";

	if (was->type != now->type || was->xact != now->xact)
		return say(text, text_len, "packet type and transaction: %u, "
			   "%llu then, %u, %llu now", was->type,
			   (unsigned long long)was->xact, now->type,
			   (unsigned long long)now->xact);
	if (host_ic_get(&a, was->data, was->len, &why) < 0)
		return false;
	if (host_ic_get(&b, now->data, now->len, &why) < 0)
		return say(text, text_len, "%s", why);
	if (headers_differ(text, text_len, &a, &b))
		return true;
	if (a.type == HV_IC_NEGOTIATE)
		return choices_differ(text, text_len, &a, &b);
	if (!request ||
	    host_ic_get(&asked, request->data, request->len, &why) < 0)
		return false;
	if (a.type == HV_IC_KVP)
		return kvp_differs(text, text_len, &a, &b, &asked);
	return a.type == HV_IC_VSS &&
		vss_differs(text, text_len, &a, &b, &asked);
}

/* Walking ---------------------------------------------------------------- */

static void differs(struct host_replay *r, unsigned line, const char *text)
{
	r->differences++;
	r->cfg.differs(r->cfg.arg, line, text);
}

static bool any_queued(const struct host_replay *r)
{
	for (unsigned i = 0; i < HOST_N_ICS; i++) {
		if (r->line[i].queued)
			return true;
	}
	return false;
}

static void finish(struct host_replay *r, bool complete)
{
	r->over = true;
	loop_timer_cancel(&r->patience);
	if (complete && any_queued(r))
		differs(r, 0, "the guest sent more than it did then");
	r->cfg.done(r->cfg.arg, r->differences, complete);
}

static bool send_line(struct line *c, const struct host_trace_line *l)
{
	const struct packet p = {
		.type = l->type, .flags = l->flags, .xact = l->xact,
		.data = l->data, .len = l->len,
	};

	if (!c->channel || channel_send(c->channel, &p) < 0)
		return false;		/* no room: packet() comes back */
	c->request = l;
	return true;
}

static bool compare_line(struct line *c, const struct host_trace_line *l)
{
	struct got g = c->queue[0];
	struct packet now = { .type = g.type, .xact = g.xact, .data = g.data,
			      .len = g.len };
	char text[240];

	if (!c->queued)
		return false;
	c->queued--;
	memmove(c->queue, c->queue + 1, c->queued * sizeof(g));
	if (host_replay_differs(text, sizeof(text), l, c->request, &now))
		differs(c->r, l->number, text);
	free(g.data);
	return true;
}

/* True when it has happened, or is nothing that can happen again. */
static bool do_guest_event(struct host_replay *r, const char *event)
{
	if (!strcmp(event, "guest"))
		return r->guest;
	if (!strcmp(event, "guest-gone"))
		return !r->guest;
	if (!strcmp(event, "restart"))
		host_vmbus_drop_guest(r->bus);
	return true;
}

static bool do_event(struct line *c, const char *event)
{
	if (!strcmp(event, "open"))
		return c->channel != NULL;
	if (!strcmp(event, "close"))
		return c->channel == NULL;
	if (!strcmp(event, "rescind"))
		host_offer_rescind(c->offer);
	else if (!strcmp(event, "offer"))
		host_offer_again(c->offer);
	return true;
}

static bool do_line(struct host_replay *r, const struct host_trace_line *l)
{
	int id = host_ic_find(l->ch);

	if (!l->ch[0])
		return do_guest_event(r, l->event);
	if (id < 0)
		return true;		/* a service that nobody here knows */
	if (l->event[0])
		return do_event(&r->line[id], l->event);
	return l->to_guest ? send_line(&r->line[id], l) :
			     compare_line(&r->line[id], l);
}

/* Rescinding calls back while we are in the middle of a line. */
static void walk(struct host_replay *r)
{
	const struct host_trace_file *t = r->cfg.trace;

	if (r->walking)
		return;
	r->walking = true;
	while (!r->over && r->at < t->n && do_line(r, &t->lines[r->at])) {
		r->at++;
		loop_timer_set(&r->patience, r->cfg.patience_ms);
	}
	r->walking = false;
	if (!r->over && r->at == t->n)
		finish(r, true);
}

static void waited_too_long(void *arg)
{
	struct host_replay *r = arg;

	differs(r, r->cfg.trace->lines[r->at].number,
		"this did not happen again");
	finish(r, false);
}

/* The bus ---------------------------------------------------------------- */

static void opened(void *arg, struct channel *channel)
{
	struct line *c = arg;

	c->channel = channel;
	walk(c->r);
}

static void closed(void *arg, int err)
{
	struct line *c = arg;

	(void)err;
	c->channel = NULL;
	walk(c->r);
}

static void packet(void *arg, const struct packet *p)
{
	struct line *c = arg;
	struct got *g = &c->queue[c->queued];

	if (c->r->over || c->queued == QUEUE)
		return;
	g->type = p->type;
	g->xact = p->xact;
	g->len = p->len;
	g->data = malloc(p->len + 1);
	if (!g->data)
		return;
	if (p->len)
		memcpy(g->data, p->data, p->len);
	c->queued++;
	walk(c->r);
}

static void writable(void *arg)
{
	struct line *c = arg;

	walk(c->r);
}

static void guest(void *arg, bool connected, uint32_t version)
{
	struct host_replay *r = arg;

	(void)version;
	r->guest = connected;
	for (unsigned i = 0; !connected && i < HOST_N_ICS; i++)
		r->line[i].channel = NULL;
	walk(r);
}

static void violation(void *arg, const char *what)
{
	struct host_replay *r = arg;

	if (!r->over)
		differs(r, r->at < r->cfg.trace->n ?
			r->cfg.trace->lines[r->at].number : 0, what);
}

static const struct host_offer_ops offer_ops = {
	opened, closed, packet, writable,
};
static const struct host_vmbus_ops bus_ops = { guest, violation };

static bool in_trace(const struct host_trace_file *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!strcmp(t->lines[i].ch, name))
			return true;
	}
	return false;
}

static int add_offers(struct host_replay *r)
{
	for (enum host_ic_id id = 0; id < HOST_N_ICS; id++) {
		struct line *c = &r->line[id];

		c->r = r;
		if (!in_trace(r->cfg.trace, host_ic_name(id)))
			continue;
		c->offer = host_offer_new(r->bus, host_ic_class(id),
					  host_ic_instance(id), true,
					  &offer_ops, c);
		if (!c->offer)
			return -1;
	}
	return 0;
}

struct host_replay *host_replay_new(struct loop *l,
				    const struct host_replay_cfg *cfg)
{
	const struct host_profile *p = host_profile_find(cfg->trace->profile);
	struct host_replay *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return NULL;
	if (!p)
		p = &host_profiles[0];
	r->loop = l;
	r->cfg = *cfg;
	loop_timer_init(&r->patience, l, waited_too_long, r);
	const struct host_vmbus_cfg bus = {
		.path = cfg->path, .versions = p->vmbus.v,
		.n_versions = p->vmbus.n,
	};
	r->bus = host_vmbus_new(l, &bus, &bus_ops, r);
	if (r->bus && add_offers(r) == 0) {
		loop_timer_set(&r->patience, r->cfg.patience_ms);
		return r;
	}
	err = errno;
	host_replay_free(r);
	errno = err;
	return NULL;
}

void host_replay_free(struct host_replay *r)
{
	if (!r)
		return;
	r->over = true;
	loop_timer_cancel(&r->patience);
	for (unsigned i = 0; i < HOST_N_ICS; i++) {
		if (r->line[i].offer)
			host_offer_free(r->line[i].offer);
	}
	if (r->bus)
		host_vmbus_free(r->bus);
	for (unsigned i = 0; i < HOST_N_ICS; i++) {
		struct line *c = &r->line[i];

		while (c->queued)
			free(c->queue[--c->queued].data);
	}
	free(r);
}
