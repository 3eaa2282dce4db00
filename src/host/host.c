/* host/host.c - joins the bus, the components and the trace. Each component
 * is one row of ic_table and one struct dev; what is particular to a service is
 * in its own file, which the row's functions call. A service for which the
 * profile has no versions has a dev like the others and no offer. */
#include "host/host.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "host/host_vmbus.h"

struct dev {
	struct host *h;
	enum host_ic_id id;
	struct host_offer *offer;
	struct host_ic *ic;
	struct channel *channel;	/* NULL while closed */
	bool offered;
};

struct host {
	struct loop *loop;
	uint64_t start_ms;
	struct host_profile profile;
	char vm_name[64];
	struct host_trace *trace;
	struct host_vmbus *bus;
	struct dev dev[HOST_N_ICS];
	struct host_kvp *kvp;
	struct host_vss *vss;
	bool guest;
	uint32_t guest_version;
	uint64_t n_guests, n_violations;
	struct host_violation kept[HOST_VIOLATIONS];
	struct host_observer *observers;
};

static void kvp_ready(struct host *h)
{
	host_kvp_ready(h->kvp);
}

static void kvp_lost(struct host *h)
{
	host_kvp_lost(h->kvp);
}

static void kvp_connected(struct host *h)
{
	host_kvp_connected(h->kvp);
}

static void vss_lost(struct host *h)
{
	host_vss_lost(h->vss);
}

/* No real host's is known; a guest goes by the class. */
static const struct guid vss_instance = { {
	0x0d, 0x66, 0x48, 0x29, 0x27, 0xf2, 0x3f, 0x4c,
	0xa5, 0x9e, 0x31, 0x76, 0xb8, 0x5d, 0x4e, 0x05 } };

static const struct ic_row {
	const char *name;
	uint16_t type;
	const struct guid *class_id, *instance;
	size_t versions;		/* where they are in a profile */
	/* Each may be NULL. */
	void (*ready)(struct host *h);
	void (*lost)(struct host *h);
	void (*connected)(struct host *h);	/* a channel was opened anew */
} ic_table[HOST_N_ICS] = {
	[HOST_KVP] = { "kvp", HV_IC_KVP, &guid_class_kvp, &guid_instance_kvp,
		       offsetof(struct host_profile, kvp),
		       kvp_ready, kvp_lost, kvp_connected },
	[HOST_VSS] = { "vss", HV_IC_VSS, &guid_class_vss, &vss_instance,
		       offsetof(struct host_profile, vss),
		       NULL, vss_lost, NULL },
};

enum { RING_HEAD = 4096, RING_WRITE = 0, RING_READ = 4, RING_MASK = 8 };

uint64_t host_now_ms(const struct host *h)
{
	return loop_now_ms(h->loop) - h->start_ms;
}

/* Telling ---------------------------------------------------------------- */

static void changed(struct host *h)
{
	struct host_observer *o, *next;

	for (o = h->observers; o; o = next) {
		next = o->next;
		o->changed(o->arg);
	}
}

void host_observe(struct host *h, struct host_observer *o)
{
	o->next = h->observers;
	h->observers = o;
}

void host_unobserve(struct host *h, struct host_observer *o)
{
	struct host_observer **p = &h->observers;

	while (*p && *p != o)
		p = &(*p)->next;
	if (*p)
		*p = o->next;
}

static void add_violation(struct host *h, const char *ic, const char *text)
{
	struct host_violation *v = &h->kept[h->n_violations % HOST_VIOLATIONS];

	h->n_violations++;
	v->t_ms = host_now_ms(h);
	v->ic = ic;
	snprintf(v->text, sizeof(v->text), "%s", text);
	host_trace_event(h->trace, ic, "violation");
	changed(h);
}

const struct host_violation *host_violation_at(const struct host *h,
					       unsigned i)
{
	uint64_t first = h->n_violations > HOST_VIOLATIONS ?
		h->n_violations - HOST_VIOLATIONS : 0;

	if (first + i >= h->n_violations)
		return NULL;
	return &h->kept[(first + i) % HOST_VIOLATIONS];
}

/* The component's side --------------------------------------------------- */

static void ic_ready(void *arg)
{
	struct dev *d = arg;

	if (ic_table[d->id].ready)
		ic_table[d->id].ready(d->h);
	changed(d->h);
}

static void ic_lost(void *arg)
{
	struct dev *d = arg;

	if (ic_table[d->id].lost)
		ic_table[d->id].lost(d->h);
	changed(d->h);
}

static void ic_violation(void *arg, const char *text)
{
	struct dev *d = arg;

	add_violation(d->h, ic_table[d->id].name, text);
}

static const struct host_ic_ops ic_ops = { ic_ready, ic_lost, ic_violation };

/* The channel's side ----------------------------------------------------- */

/* Without its doorbell: pretend that the guest had masked it. The guest may
 * write the word at the same time; then it was awake anyway. */
static int send_quietly(struct dev *d, const struct packet *p)
{
	size_t len;
	uint8_t *ring = host_offer_ring(d->offer, true, &len);
	uint32_t *mask, was;
	int err;

	if (!ring)
		return -EPIPE;
	mask = (uint32_t *)(void *)(ring + RING_MASK);
	was = __atomic_exchange_n(mask, 1, __ATOMIC_SEQ_CST);
	err = channel_send(d->channel, p);
	__atomic_store_n(mask, was, __ATOMIC_SEQ_CST);
	return err;
}

static int port_send(void *arg, const struct packet *p, bool quiet)
{
	struct dev *d = arg;
	int err;

	if (!d->channel)
		return -EPIPE;
	err = quiet ? send_quietly(d, p) : channel_send(d->channel, p);
	if (err == 0)
		host_trace_packet(d->h->trace, ic_table[d->id].name, true, p);
	return err;
}

static void opened(void *arg, struct channel *c)
{
	struct dev *d = arg;
	const struct host_ic_port port = { port_send, d };

	d->channel = c;
	host_trace_event(d->h->trace, ic_table[d->id].name, "open");
	if (ic_table[d->id].connected)
		ic_table[d->id].connected(d->h);
	host_ic_open(d->ic, &port);
	changed(d->h);
}

static void closed(void *arg, int err)
{
	struct dev *d = arg;

	d->channel = NULL;
	host_trace_event(d->h->trace, ic_table[d->id].name, "close");
	host_ic_close(d->ic);
	if (err < 0)
		add_violation(d->h, ic_table[d->id].name,
			      "broke its channel");
	changed(d->h);
}

static void packet(void *arg, const struct packet *p)
{
	struct dev *d = arg;

	host_trace_packet(d->h->trace, ic_table[d->id].name, false, p);
	host_ic_packet(d->ic, p);
	changed(d->h);
}

static void writable(void *arg)
{
	struct dev *d = arg;

	host_ic_writable(d->ic);
}

static const struct host_offer_ops offer_ops = {
	opened, closed, packet, writable,
};

static void guest_changed(void *arg, bool connected, uint32_t version)
{
	struct host *h = arg;

	h->guest = connected;
	h->guest_version = connected ? version : 0;
	h->n_guests += connected;
	host_trace_event(h->trace, NULL, connected ? "guest" : "guest-gone");
	changed(h);
}

static void bus_violation(void *arg, const char *what)
{
	add_violation(arg, NULL, what);
}

static const struct host_vmbus_ops bus_ops = { guest_changed, bus_violation };

/* Life ------------------------------------------------------------------- */

static int add_ic(struct host *h, enum host_ic_id id)
{
	struct host_profile *p = &h->profile;
	const struct ic_row *row = &ic_table[id];
	struct dev *d = &h->dev[id];
	const struct host_ic_cfg cfg = {
		.name = row->name, .type = row->type,
		.framework = p->framework, .message = *host_ic_messages(p, id),
		.strict = p->strict, .xact = p->xact,
		.negotiate_ms = p->negotiate_ms, .answer_ms = p->answer_ms,
	};

	d->h = h;
	d->id = id;
	d->ic = host_ic_new(h->loop, &cfg, &ic_ops, d);
	return d->ic ? 0 : -1;
}

static int add_offer(struct host *h, enum host_ic_id id)
{
	struct dev *d = &h->dev[id];

	if (!host_ic_messages(&h->profile, id)->n)
		return 0;
	d->offer = host_offer_new(h->bus, ic_table[id].class_id,
				  ic_table[id].instance, true, &offer_ops, d);
	d->offered = d->offer != NULL;
	return d->offer ? 0 : -1;
}

struct host *host_new(struct loop *l, const struct host_cfg *cfg)
{
	struct host *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return NULL;
	h->loop = l;
	h->start_ms = loop_now_ms(l);
	h->profile = *cfg->profile;
	h->trace = cfg->trace;
	snprintf(h->vm_name, sizeof(h->vm_name), "%s", cfg->vm_name);
	const struct host_vmbus_cfg bus = {
		.path = cfg->path, .versions = h->profile.vmbus.v,
		.n_versions = h->profile.vmbus.n,
	};
	const struct host_kvp_cfg kvp = {
		.push = h->profile.push, .string_ip = h->profile.string_ip,
		.vm_name = h->vm_name, .poll_ms = cfg->poll_ms,
	};

	errno = ENOMEM;
	for (unsigned id = 0; id < HOST_N_ICS; id++) {
		if (add_ic(h, (enum host_ic_id)id) < 0)
			goto fail;
	}
	h->kvp = host_kvp_new(l, h->dev[HOST_KVP].ic, &kvp);
	h->vss = host_vss_new(l, h->dev[HOST_VSS].ic, &h->profile.backup);
	if (!h->kvp || !h->vss)
		goto fail;
	h->bus = host_vmbus_new(l, &bus, &bus_ops, h);
	if (!h->bus)
		goto fail;
	for (unsigned id = 0; id < HOST_N_ICS; id++) {
		if (add_offer(h, (enum host_ic_id)id) < 0)
			goto fail;
	}
	return h;
fail:
	err = errno;
	host_free(h);
	errno = err;
	return NULL;
}

void host_free(struct host *h)
{
	if (!h)
		return;
	h->observers = NULL;
	h->trace = NULL;	/* our own end is nothing the guest did */
	for (unsigned i = 0; i < HOST_N_ICS; i++) {
		if (h->dev[i].offer)
			host_offer_free(h->dev[i].offer);
	}
	if (h->bus)
		host_vmbus_free(h->bus);
	host_kvp_free(h->kvp);
	host_vss_free(h->vss);
	for (unsigned i = 0; i < HOST_N_ICS; i++)
		host_ic_free(h->dev[i].ic);
	free(h);
}

/* Looking ---------------------------------------------------------------- */

struct loop *host_loop(const struct host *h)
{
	return h->loop;
}

const struct host_profile *host_profile_of(const struct host *h)
{
	return &h->profile;
}

const char *host_vm_name(const struct host *h)
{
	return h->vm_name;
}

struct host_ic *host_ic_of(const struct host *h, enum host_ic_id id)
{
	return h->dev[id].ic;
}

struct host_kvp *host_kvp_of(const struct host *h)
{
	return h->kvp;
}

struct host_vss *host_vss_of(const struct host *h)
{
	return h->vss;
}

const char *host_ic_name(enum host_ic_id id)
{
	return ic_table[id].name;
}

const struct guid *host_ic_class(enum host_ic_id id)
{
	return ic_table[id].class_id;
}

const struct guid *host_ic_instance(enum host_ic_id id)
{
	return ic_table[id].instance;
}

int host_ic_find(const char *name)
{
	for (int i = 0; i < HOST_N_ICS; i++) {
		if (!strcmp(ic_table[i].name, name))
			return i;
	}
	return -ENOENT;
}

struct host_versions *host_ic_messages(struct host_profile *p,
				       enum host_ic_id id)
{
	return (void *)((char *)p + ic_table[id].versions);
}

bool host_ic_offered(const struct host *h, enum host_ic_id id)
{
	return h->dev[id].offered;
}

bool host_ic_opened(const struct host *h, enum host_ic_id id)
{
	return h->dev[id].channel != NULL;
}

/* A disabled component still shows OK on the host (seen by LIS). */
struct host_ic_health host_health(const struct host *h, enum host_ic_id id)
{
	if (!h->dev[id].offered)
		return (struct host_ic_health){ { 2, 2 }, "disabled",
						"disabled" };
	return host_ic_health_get(h->dev[id].ic);
}

bool host_guest(const struct host *h)
{
	return h->guest;
}

uint32_t host_guest_version(const struct host *h)
{
	return h->guest_version;
}

uint64_t host_guests(const struct host *h)
{
	return h->n_guests;
}

uint64_t host_violations(const struct host *h)
{
	return h->n_violations;
}

/* Acting ----------------------------------------------------------------- */

int host_rescind(struct host *h, enum host_ic_id id)
{
	struct dev *d = &h->dev[id];

	if (!d->offer)
		return -EOPNOTSUPP;
	if (!d->offered)
		return -EALREADY;
	d->offered = false;
	host_trace_event(h->trace, ic_table[id].name, "rescind");
	host_offer_rescind(d->offer);
	changed(h);
	return 0;
}

int host_offer(struct host *h, enum host_ic_id id)
{
	struct dev *d = &h->dev[id];

	if (!d->offer)
		return -EOPNOTSUPP;
	if (d->offered)
		return -EALREADY;
	d->offered = true;
	host_trace_event(h->trace, ic_table[id].name, "offer");
	host_offer_again(d->offer);
	changed(h);
	return 0;
}

void host_refuse(struct host *h, enum host_ic_id id, uint32_t status)
{
	if (!h->dev[id].offer)
		return;
	host_trace_event(h->trace, ic_table[id].name, "refuse");
	host_offer_refuse(h->dev[id].offer, status);
}

void host_restart(struct host *h)
{
	host_trace_event(h->trace, NULL, "restart");
	host_vmbus_drop_guest(h->bus);
	changed(h);
}

void host_kick(struct host *h, enum host_ic_id id)
{
	if (h->dev[id].offer)
		host_offer_kick(h->dev[id].offer);
}

static void store32(uint8_t *p, uint32_t v)
{
	__atomic_store_n((uint32_t *)(void *)p, v, __ATOMIC_RELEASE);
}

/* A packet of 24 bytes and its trailer, one of its two sizes being a lie. */
static void put_lie(uint8_t *ring, size_t len, enum host_ring_fault f,
		    uint16_t value)
{
	uint32_t wr = __atomic_load_n((uint32_t *)(void *)(ring + RING_WRITE),
				      __ATOMIC_ACQUIRE);
	uint32_t size = (uint32_t)(len - RING_HEAD);
	uint8_t raw[32] = { PACKET_INBAND, 0, 2, 0, 3, 0 };
	struct wr w = wr_of(raw + (f == HOST_RING_DESC_LEN ? 4 : 2), 2);

	wr_le16(&w, value);
	for (uint32_t i = 0; i < sizeof(raw); i++)
		ring[RING_HEAD + (wr + i) % size] = raw[i];
	store32(ring + RING_WRITE, (wr + (uint32_t)sizeof(raw)) % size);
}

int host_ring_fault(struct host *h, enum host_ic_id id, enum host_ring_fault f,
		    uint32_t value)
{
	struct dev *d = &h->dev[id];
	size_t len;
	uint8_t *ring = d->channel ? host_offer_ring(d->offer, true, &len) :
		NULL;

	if (!ring)
		return -ENOTCONN;
	host_trace_event(h->trace, ic_table[id].name, "ring-fault");
	switch (f) {
	case HOST_RING_WRITE_INDEX:
		store32(ring + RING_WRITE, value);
		break;
	case HOST_RING_READ_INDEX:
		store32(ring + RING_READ, value);
		break;
	case HOST_RING_DESC_LEN:
	case HOST_RING_DESC_OFFSET:
		put_lie(ring, len, f, (uint16_t)value);
	}
	host_offer_kick(d->offer);
	return 0;
}
