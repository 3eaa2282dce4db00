/* prog/utilsd_bus.c - what the host offers, each channel led to its driver.
 *
 * A service has a slot; the slot uses one of the channels that the host offers
 * of the service's class. A host may offer a class twice: the first one is
 * used, and the next one when that goes away. A ring that the host broke is
 * closed and opened again after a while, without the other services noticing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "utilsd.h"
#include "vmbus/bus.h"

enum {
	MAX_OFFERS = 64,
	REOPEN_MS = 1000,	/* a host that breaks rings must not keep us busy */
};

struct slot {
	struct utilsd_bus *bus;
	const struct utilsd_service *service;
	struct ic *ic;
	bool used;			/* by the channel relid: open, or */
	uint32_t relid;			/* ... being opened */
	struct loop_timer reopen;
};

struct offer {
	uint32_t relid;
	const struct ic_service *svc;
};

struct utilsd_bus {
	struct loop *loop;
	struct bus *bus;
	struct slot slots[UTILSD_SERVICES_MAX];
	unsigned n_slots;
	struct offer offers[MAX_OFFERS];	/* those that have a slot */
	unsigned n_offers;
};

static struct slot *slot_of_type(struct utilsd_bus *b, enum hv_ic_type type)
{
	for (unsigned i = 0; i < b->n_slots; i++)
		if (b->slots[i].service->type == type)
			return &b->slots[i];
	return NULL;
}

static struct slot *slot_of_channel(struct utilsd_bus *b, uint32_t relid)
{
	for (unsigned i = 0; i < b->n_slots; i++)
		if (b->slots[i].used && b->slots[i].relid == relid)
			return &b->slots[i];
	return NULL;
}

/* The channel ----------------------------------------------------------- */

static void on_packet(void *arg, const struct packet *p)
{
	struct slot *s = arg;

	ic_packet(s->ic, p);
}

static void on_writable(void *arg)
{
	struct slot *s = arg;

	ic_writable(s->ic);
}

/* The host broke the ring: close this channel, and open it again after a
 * while, which is how both sides begin anew. */
static void on_broken(void *arg, int err)
{
	struct slot *s = arg;

	log_err("%s: the host broke the ring (%s); channel %u is closed and will be opened again",
		s->service->name, strerror(-err), s->relid);
	ic_channel(s->ic, NULL);
	s->used = false;
	bus_close(s->bus->bus, s->relid);
	loop_timer_set(&s->reopen, REOPEN_MS);
}

static const struct channel_ops channel_ops = {
	.packet = on_packet, .broken = on_broken, .writable = on_writable,
};

/* The bus --------------------------------------------------------------- */

static void open_some_offer(void *arg)
{
	struct slot *s = arg;
	struct utilsd_bus *b = s->bus;

	for (unsigned i = 0; i < b->n_offers && !s->used; i++) {
		const struct offer *o = &b->offers[i];
		int err;

		if (o->svc->type != s->service->type)
			continue;
		err = bus_open(b->bus, o->relid, o->svc->ring_len,
			       o->svc->ring_len, NULL, 0, &channel_ops, s);
		if (err < 0) {
			log_err("%s: channel %u cannot be opened: %s",
				s->service->name, o->relid, strerror(-err));
			continue;
		}
		s->used = true;
		s->relid = o->relid;
	}
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	const struct ic_service *svc = ic_service_of(&o->class_id);
	const char *name = guid_service(&o->class_id);
	struct utilsd_bus *b = arg;
	struct slot *s = svc ? slot_of_type(b, svc->type) : NULL;
	char text[GUID_TEXT];

	if (!s || o->sub_index) {
		log_debug("channel %u: %s %s is not served here", o->relid,
			  name ? name : "unknown class",
			  guid_text(text, &o->class_id));
		return;
	}
	if (b->n_offers == MAX_OFFERS) {
		log_warn("channel %u: the host offers %s once too often",
			 o->relid, svc->name);
		return;
	}
	b->offers[b->n_offers++] = (struct offer){ o->relid, svc };
	log_info("%s: offered as channel %u", svc->name, o->relid);
	open_some_offer(s);
}

static void on_rescind(void *arg, uint32_t relid)
{
	struct utilsd_bus *b = arg;
	struct slot *s = slot_of_channel(b, relid);
	unsigned i = 0;

	while (i < b->n_offers && b->offers[i].relid != relid)
		i++;
	if (i == b->n_offers)
		return;
	log_info("%s: channel %u is gone", b->offers[i].svc->name, relid);
	b->n_offers--;
	memmove(&b->offers[i], &b->offers[i + 1],
		(b->n_offers - i) * sizeof(b->offers[0]));
	if (!s)
		return;
	s->used = false;
	ic_channel(s->ic, NULL);
	open_some_offer(s);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	struct slot *s = slot_of_channel(arg, relid);

	if (err < 0) {
		log_err("channel %u: the host refused to open it: %s", relid,
			strerror(-err));
		s->used = false;	/* until the host offers it anew */
		return;
	}
	ic_channel(s->ic, c);
}

/* What the host has, it has said: a service that it does not offer is no
 * reason to wait. */
static void on_offers_done(void *arg)
{
	struct utilsd_bus *b = arg;

	if (!b->n_offers)
		log_info("vmbus: the host offers nothing that is served here");
}

static const char *state_name(enum bus_state s)
{
	switch (s) {
	case BUS_DOWN:
		return "no host";
	case BUS_CONTACT:
		return "making contact";
	case BUS_UP:
		return "up";
	}
	return "?";
}

static void on_state(void *arg, enum bus_state s)
{
	struct utilsd_bus *b = arg;
	uint32_t v = bus_version(b->bus);

	if (s == BUS_UP)
		log_info("vmbus: up, version %u.%u, %s", v >> 16, v & 0xffff,
			 bus_where(b->bus));
	else
		log_info("vmbus: %s, %s", state_name(s), bus_where(b->bus));
}

static const struct bus_ops bus_ops = {
	.state = on_state, .offer = on_offer, .offers_done = on_offers_done,
	.rescind = on_rescind, .opened = on_opened,
};

/* Start and end --------------------------------------------------------- */

struct utilsd_bus *utilsd_bus_new(struct loop *l)
{
	struct utilsd_bus *b = calloc(1, sizeof(*b));

	if (b)
		b->loop = l;
	return b;
}

void utilsd_bus_serve(struct utilsd_bus *b, const struct utilsd_service *s,
		      struct ic *ic)
{
	struct slot *slot = &b->slots[b->n_slots++];

	slot->bus = b;
	slot->service = s;
	slot->ic = ic;
	loop_timer_init(&slot->reopen, b->loop, open_some_offer, slot);
}

int utilsd_bus_start(struct utilsd_bus *b, const char *host_path)
{
	b->bus = bus_shm_new(b->loop, host_path, &bus_ops, b);
	return b->bus ? 0 : -errno;
}

void utilsd_bus_free(struct utilsd_bus *b)
{
	if (!b)
		return;
	if (b->bus)
		bus_free(b->bus);
	for (unsigned i = 0; i < b->n_slots; i++)
		loop_timer_cancel(&b->slots[i].reopen);
	free(b);
}

/* Status ---------------------------------------------------------------- */

static json_t *version_json(uint32_t v)
{
	return v ? json_sprintf("%u.%u", HV_IC_MAJOR(v), HV_IC_MINOR(v)) :
		   json_null();
}

json_t *utilsd_bus_status(const struct utilsd_bus *b)
{
	return json_pack("{s:s, s:s, s:o}",
			 "host", bus_where(b->bus),
			 "vmbus", state_name(bus_state_get(b->bus)),
			 "vmbus_version", version_json(bus_version(b->bus)));
}

json_t *utilsd_bus_channel(const struct utilsd_bus *b,
			   const struct utilsd_service *s)
{
	const struct slot *slot = b->slots;
	struct ic_stats i;

	while (slot->service != s)
		slot++;
	ic_stats_get(slot->ic, &i);
	return json_pack("{s:b, s:o, s:o, s:b, s:I}",
			 "channel", slot->used,
			 "framework", version_json(ic_framework(slot->ic)),
			 "version", version_json(ic_version(slot->ic)),
			 "negotiation_held", ic_holding(slot->ic),
			 "negotiations", (json_int_t)i.negotiations);
}
