/* host/host_switch.c - learning, forwarding.
 *
 * Addresses of NICs are known from their ports and cannot be learnt away. The
 * others are in a table of fixed size, one place an address by its hash: an
 * address that loses its place is flooded until it is heard again, as is one
 * that was silent for five minutes.
 *
 * Flooding reaches guests only with frames to groups: a NIC without
 * `other_macs` has no use for a unicast that is not its own. */
#include "host/host_switch.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES = 1024, AGE_MS = 300 * 1000, LEGS = 2 };

struct leg {
	const struct host_leg_ops *ops;
	void *arg;
	bool dirty;			/* got frames since the last flush */
};

struct host_port {
	struct host_port *next;
	struct host_switch *s;
	struct host_port_cfg cfg;
	struct leg legs[LEGS];
	enum nvs_path path;
	struct host_port_stats stats;
};

struct place {
	struct host_port *port;		/* NULL: empty */
	uint8_t mac[HOST_FRAME_MAC];
	uint64_t heard_ms;
};

struct host_switch {
	struct loop *loop;
	struct host_port *ports;
	struct place places[PLACES];
};

static bool is_group(const uint8_t *mac)
{
	return mac[0] & 1;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, HOST_FRAME_MAC) == 0;
}

/* Addresses ---------------------------------------------------------------- */

static struct place *place_of(struct host_switch *s, const uint8_t *mac)
{
	uint32_t h = 2166136261u;	/* FNV-1a */

	for (unsigned i = 0; i < HOST_FRAME_MAC; i++)
		h = (h ^ mac[i]) * 16777619u;
	return &s->places[(h ^ h >> 16) % PLACES];
}

static struct host_port *nic_of(const struct host_switch *s, const uint8_t *mac)
{
	struct host_port *p = s->ports;

	while (p && !(p->cfg.nic && same(p->cfg.mac, mac)))
		p = p->next;
	return p;
}

static struct host_port *find(struct host_switch *s, const uint8_t *mac)
{
	struct host_port *nic = nic_of(s, mac);
	const struct place *at = place_of(s, mac);

	if (nic)
		return nic;
	if (!at->port || !same(at->mac, mac) ||
	    loop_now_ms(s->loop) - at->heard_ms > AGE_MS)
		return NULL;
	return at->port;
}

/* false: the port may not send from there. */
static bool learn(struct host_port *p, const uint8_t *mac)
{
	struct host_port *nic = nic_of(p->s, mac);
	struct place *at = place_of(p->s, mac);

	if (is_group(mac) || (nic && nic != p))
		return false;
	if (nic)
		return true;
	if (p->cfg.nic && !p->cfg.other_macs)
		return false;
	at->port = p;
	memcpy(at->mac, mac, HOST_FRAME_MAC);
	at->heard_ms = loop_now_ms(p->s->loop);
	return true;
}

static void unlearn(struct host_port *p)
{
	for (unsigned i = 0; i < PLACES; i++) {
		if (p->s->places[i].port == p)
			p->s->places[i].port = NULL;
	}
}

/* Forwarding --------------------------------------------------------------- */

static enum nvs_path leg_for(const struct host_port *p,
			     const struct host_frame *f)
{
	if (p->path == NVS_PATH_SYNTHETIC)
		return NVS_PATH_SYNTHETIC;
	if (p->cfg.groups_synthetic && is_group(f->data))
		return NVS_PATH_SYNTHETIC;
	if (p->cfg.first_synthetic && host_frame_is_syn(f))
		return NVS_PATH_SYNTHETIC;
	return NVS_PATH_VF;
}

static void output(struct host_port *p, const struct host_frame *f)
{
	enum nvs_path to = leg_for(p, f);
	struct leg *leg = &p->legs[to];

	if (!leg->ops) {
		p->stats.lost++;
		return;
	}
	p->stats.out[to]++;
	leg->dirty = true;
	leg->ops->frame(leg->arg, f);
}

static void flood(struct host_port *from, const struct host_frame *f)
{
	bool group = is_group(f->data);
	struct host_port *next;

	for (struct host_port *p = from->s->ports; p; p = next) {
		next = p->next;
		if (p != from && (group || !p->cfg.nic || p->cfg.other_macs))
			output(p, f);
	}
}

void host_port_input(struct host_port *p, enum nvs_path leg,
		     const struct host_frame *f)
{
	const uint8_t *to = f->data, *from = f->data + HOST_FRAME_MAC;
	struct host_port *dst;

	if (f->len < HOST_FRAME_HDR || !learn(p, from)) {
		p->stats.refused++;
		return;
	}
	p->stats.in[leg]++;
	dst = is_group(to) ? NULL : find(p->s, to);
	if (dst == p)
		return;			/* it is on this side already */
	if (dst) {
		output(dst, f);
		return;
	}
	p->stats.flooded++;
	flood(p, f);
}

void host_port_input_end(struct host_port *p)
{
	for (struct host_port *q = p->s->ports; q; q = q->next) {
		for (unsigned i = 0; i < LEGS; i++) {
			struct leg *leg = &q->legs[i];

			if (!leg->dirty)
				continue;
			leg->dirty = false;
			if (leg->ops->flush)
				leg->ops->flush(leg->arg);
		}
	}
}

/* Life --------------------------------------------------------------------- */

struct host_switch *host_switch_new(struct loop *l)
{
	struct host_switch *s = calloc(1, sizeof(*s));

	if (s)
		s->loop = l;
	return s;
}

void host_switch_free(struct host_switch *s)
{
	if (!s)
		return;
	while (s->ports) {
		struct host_port *p = s->ports;

		s->ports = p->next;
		free(p);
	}
	free(s);
}

struct host_port *host_port_new(struct host_switch *s,
				const struct host_port_cfg *cfg)
{
	struct host_port *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->s = s;
	p->cfg = *cfg;
	p->next = s->ports;
	s->ports = p;
	return p;
}

void host_port_free(struct host_port *p)
{
	struct host_port **at;

	if (!p)
		return;
	unlearn(p);
	for (at = &p->s->ports; *at != p; )
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

void host_port_leg(struct host_port *p, enum nvs_path leg,
		   const struct host_leg_ops *ops, void *arg)
{
	p->legs[leg] = (struct leg){ .ops = ops, .arg = arg };
}

void host_port_steer(struct host_port *p, enum nvs_path path)
{
	p->path = path;
}

const struct host_port_stats *host_port_stats_get(const struct host_port *p)
{
	return &p->stats;
}
