/* hn/hn_rx.c - see hn_rx.h. A frame is handed on from where it lies: the RNDIS
 * header in front of it is longer than the virtio-net header and the VLAN tag
 * that take its place. */
#include "hn/hn_rx.h"

#include <stdlib.h>
#include <string.h>

#include "hn/gro.h"
#include "hn/offload.h"

_Static_assert((int)RNDIS_PACKET_HDR >= (int)GRO_ROOM,
	       "what goes in front of a frame needs room");

enum { MAC = 6, SOURCE = 6 };

struct hn_rx {
	struct gro *gro;
	struct hn_rx_sink sink;
	bool has_mac;
	uint8_t mac[MAC];
	struct hn_rx_stats stats;
};

static void hand_on(void *arg, uint8_t *buf, size_t len, unsigned n)
{
	struct hn_rx *r = arg;

	if (!r->sink.frame) {
		r->stats.no_sink += n;
	} else if (r->sink.frame(r->sink.arg, buf, len) < 0) {
		r->stats.refused += n;
	} else {
		r->stats.frames += n;
		r->stats.joined += n - 1;
		r->stats.bytes += len - OFFLOAD_VNET_HDR;
	}
}

static void hand_on_alone(struct hn_rx *r, uint8_t *frame, size_t len,
			  const struct rndis_meta *m)
{
	struct vnet_hdr h;

	offload_to_guest(&h, frame, len, m);
	if (m->has_vlan) {
		frame = offload_push_vlan(frame, m->vlan);
		len += FRAME_VLAN_TAG;
	}
	vnet_put(frame - OFFLOAD_VNET_HDR, &h);
	hand_on(r, frame - OFFLOAD_VNET_HDR, len + OFFLOAD_VNET_HDR, 1);
}

static bool is_echo(const struct hn_rx *r, const uint8_t *frame)
{
	return r->has_mac && memcmp(frame + SOURCE, r->mac, MAC) == 0;
}

/* What nobody verified could belong to a connection that is being gathered. */
static bool joined(struct hn_rx *r, const uint8_t *frame, size_t len,
		   const struct rndis_meta *m)
{
	if (offload_verified(m))
		return gro_take(r->gro, frame, len, m->has_vlan ? m->vlan : -1);
	gro_flush(r->gro);
	return false;
}

void hn_rx_message(struct hn_rx *r, uint8_t *msg, size_t len)
{
	struct rndis_packet p;
	uint8_t *frame;

	if (rndis_get_packet(&p, msg, len) < 0 || p.len < FRAME_ETHER ||
	    p.len > FRAME_MAX) {
		r->stats.bad++;
		return;
	}
	frame = msg + (p.frame - msg);
	if (is_echo(r, frame))
		r->stats.echoes++;
	else if (!joined(r, frame, p.len, &p.meta))
		hand_on_alone(r, frame, p.len, &p.meta);
}

void hn_rx_batch_end(struct hn_rx *r)
{
	gro_flush(r->gro);
}

void hn_rx_set_mac(struct hn_rx *r, const uint8_t mac[6])
{
	r->has_mac = mac != NULL;
	if (mac)
		memcpy(r->mac, mac, MAC);
}

void hn_rx_set_sink(struct hn_rx *r, const struct hn_rx_sink *sink)
{
	gro_flush(r->gro);
	r->sink = sink ? *sink : (struct hn_rx_sink){ 0 };
}

struct hn_rx *hn_rx_new(void)
{
	struct hn_rx *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->gro = gro_new(hand_on, r);
	if (!r->gro) {
		free(r);
		return NULL;
	}
	return r;
}

void hn_rx_free(struct hn_rx *r)
{
	if (!r)
		return;
	gro_free(r->gro);
	free(r);
}

void hn_rx_stats_get(const struct hn_rx *r, struct hn_rx_stats *s)
{
	*s = r->stats;
}
