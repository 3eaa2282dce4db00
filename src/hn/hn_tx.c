/* hn/hn_tx.c - one section is open at a time and filled message by message.
 *
 * Which frames fit: hosts give sections of 6144 bytes, frames to be cut into
 * segments have up to 64 KiB, and a driver in user space cannot name pages by
 * physical address, which is how kernels send those. So such a frame becomes
 * pieces of as many segments as fit a section. Each is itself to be segmented,
 * by the host's NIC; without one that does, a piece is one segment. A host
 * that gives sections of more than 64 KiB gets most frames whole.
 *
 * A frame lies in memory of ours, is looked at and changed there, and is
 * copied into the section last: the host may write into the send buffer.
 *
 * `next` is the message that waits for room; while it is there the caller has
 * to wait too. */
#include "hn/hn_tx.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hn/offload.h"
#include "hn/segment.h"

enum { NO_SECTION = -1 };

struct hn_tx {
	struct nvs *nvs;
	bool running;
	struct rndis_nic nic;
	struct hn_tx_stats stats;
	uint8_t *buf, *piece;		/* header and frame; a part of it */
	/* The open section. */
	int section;
	uint8_t *mem;
	size_t cap, used;
	unsigned messages;
	bool flushing;			/* it is to go as soon as it can */
	/* What waits for a place in it. */
	struct {
		bool there;
		struct rndis_meta meta;
		uint8_t *frame;
		size_t len;
	} next;
	struct segment cut;
	bool cutting;
};

/* The section -------------------------------------------------------------- */

static void close_section(struct hn_tx *t)
{
	t->section = NO_SECTION;
	t->used = t->messages = 0;
	t->flushing = false;
}

static int send_section(struct hn_tx *t)
{
	int err;

	if (t->section == NO_SECTION)
		return 0;
	err = nvs_section_send(t->nvs, (uint32_t)t->section, t->used, false);
	if (err == -EAGAIN)
		return err;
	if (err < 0)
		nvs_section_put(t->nvs, (uint32_t)t->section);
	else
		t->stats.sends++;
	close_section(t);
	return err;
}

static int open_section(struct hn_tx *t)
{
	int i = nvs_section_get(t->nvs, &t->mem, &t->cap);

	if (i < 0)
		return i;
	if (t->cap > t->nic.max_transfer)
		t->cap = t->nic.max_transfer;
	t->section = i;
	return 0;
}

/* A section is never filled to its last byte: hosts may not take that. */
static bool fits(const struct hn_tx *t, size_t len)
{
	return t->used + len < t->cap && t->messages < t->nic.max_messages;
}

static int make_room(struct hn_tx *t, size_t len)
{
	int err;

	if (t->section != NO_SECTION && !fits(t, len)) {
		err = send_section(t);
		if (err < 0)
			return err;
	}
	return t->section == NO_SECTION ? open_section(t) : 0;
}

/* Put the waiting message there. 0, -EAGAIN, or -errno: it is lost. */
static int place_next(struct hn_tx *t)
{
	uint8_t head[RNDIS_PACKET_OVERHEAD], *p;
	size_t pad, len = t->next.len;
	int hdr = rndis_put_packet(head, sizeof(head), &t->next.meta, len,
				   t->nic.align, &pad);
	int err;

	assert(hdr > 0);
	err = make_room(t, (size_t)hdr + len + pad);
	if (err < 0)
		return err;
	if (!fits(t, (size_t)hdr + len + pad))
		return -EMSGSIZE;
	p = t->mem + t->used;
	memcpy(p, head, (size_t)hdr);
	memcpy(p + hdr, t->next.frame, len);
	memset(p + hdr + len, 0, pad);
	t->used += (size_t)hdr + len + pad;
	t->messages++;
	t->stats.messages++;
	return 0;
}

/* Frames ------------------------------------------------------------------- */

static size_t frame_max(size_t section, const struct rndis_nic *nic)
{
	size_t cap = section < nic->max_transfer ? section : nic->max_transfer;
	size_t over = RNDIS_PACKET_OVERHEAD + nic->align;

	return cap > over ? cap - over : 0;
}

/* In bytes of a frame; what lies beyond is cut or dropped. */
static size_t section_frame_max(const struct hn_tx *t)
{
	return frame_max(nvs_section_size(t->nvs), &t->nic);
}

static bool nic_cuts(const struct hn_tx *t, const struct vnet_hdr *h)
{
	return (h->gso_type & ~VNET_GSO_ECN) == VNET_GSO_TCPV6 ? t->nic.tso6 :
								 t->nic.tso4;
}

static void count_drop(struct hn_tx *t, int err)
{
	if (err == -EOPNOTSUPP)
		t->stats.unsupported++;
	else if (err == -EMSGSIZE)
		t->stats.oversize++;
	else if (err == -EINVAL)
		t->stats.bad++;
	else
		t->stats.not_running++;
}

static int set_next(struct hn_tx *t, uint8_t *frame, size_t len,
		    const struct vnet_hdr *h)
{
	int err = offload_to_host(&t->next.meta, &frame, &len, h,
				  t->nic.tx_checksum);

	if (err < 0)
		return err;
	t->next.frame = frame;
	t->next.len = len;
	t->next.there = true;
	return 0;
}

static int begin_cutting(struct hn_tx *t, const uint8_t *frame, size_t len,
			 const struct vnet_hdr *h, size_t max)
{
	int err = segment_begin(&t->cut, frame, len, h, max, nic_cuts(t, h));

	if (err < 0)
		return err;
	t->cutting = true;
	t->stats.cut++;
	return 0;
}

static int take_frame(struct hn_tx *t, uint8_t *frame, size_t len,
		      const struct vnet_hdr *h)
{
	size_t max = section_frame_max(t);
	bool gso = h->gso_type != VNET_GSO_NONE;

	if (gso && t->nic.tso_max && max > t->nic.tso_max)
		max = t->nic.tso_max;
	if (gso && (len > max || !nic_cuts(t, h)))
		return begin_cutting(t, frame, len, h, max);
	return len > max ? -EMSGSIZE : set_next(t, frame, len, h);
}

/* The next piece of what is being cut becomes the next message. */
static void cut_on(struct hn_tx *t)
{
	struct vnet_hdr h;
	size_t len = t->cutting ? segment_next(&t->cut, t->piece, &h) : 0;
	int err = len ? set_next(t, t->piece, len, &h) : 0;

	t->cutting = len && !err;
	if (err < 0)			/* TCP begins where no LSO can say */
		count_drop(t, err);
	else
		t->stats.pieces += len > 0;
}

/* Go on until nothing waits or there is no room. */
static void drive(struct hn_tx *t)
{
	int err;

	if (!t->next.there)
		cut_on(t);
	while (t->next.there) {
		err = place_next(t);
		if (err == -EAGAIN)
			return;
		t->next.there = false;
		if (err < 0) {
			t->cutting = false;
			count_drop(t, err);
		}
		cut_on(t);
	}
}

uint8_t *hn_tx_room(struct hn_tx *t, size_t *cap)
{
	if (t->next.there)
		return NULL;
	*cap = OFFLOAD_VNET_HDR + FRAME_MAX;
	return t->buf;
}

static void count_frame(struct hn_tx *t, size_t len)
{
	t->stats.frames++;
	t->stats.bytes += len;
}

void hn_tx_put(struct hn_tx *t, size_t len)
{
	struct vnet_hdr h;
	int err;

	assert(!t->next.there && len <= OFFLOAD_VNET_HDR + FRAME_MAX);
	if (!t->running) {
		t->stats.not_running++;
		return;
	}
	if (len < OFFLOAD_VNET_HDR + FRAME_ETHER) {
		t->stats.bad++;
		return;
	}
	len -= OFFLOAD_VNET_HDR;
	vnet_get(&h, t->buf);
	err = take_frame(t, t->buf + OFFLOAD_VNET_HDR, len, &h);
	if (err < 0) {
		count_drop(t, err);
		return;
	}
	count_frame(t, len);
	drive(t);
	t->stats.waits += t->next.there;
}

void hn_tx_flush(struct hn_tx *t)
{
	if (t->running)
		t->flushing = send_section(t) == -EAGAIN;
}

/* What waited is not followed by a flush of the caller's. */
void hn_tx_writable(struct hn_tx *t)
{
	bool waited = t->next.there;

	if (!t->running)
		return;
	if (waited)
		drive(t);
	if (t->flushing || (waited && !t->next.there))
		hn_tx_flush(t);
}

/* Life --------------------------------------------------------------------- */

struct hn_tx *hn_tx_new(struct nvs *n)
{
	struct hn_tx *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->nvs = n;
	t->section = NO_SECTION;
	t->buf = malloc(OFFLOAD_VNET_HDR + FRAME_MAX);
	t->piece = malloc(FRAME_MAX);
	if (!t->buf || !t->piece) {
		hn_tx_free(t);
		return NULL;
	}
	return t;
}

void hn_tx_free(struct hn_tx *t)
{
	if (!t)
		return;
	free(t->buf);
	free(t->piece);
	free(t);
}

void hn_tx_start(struct hn_tx *t, const struct rndis_nic *nic)
{
	t->nic = *nic;
	t->running = true;
}

void hn_tx_stop(struct hn_tx *t)
{
	t->stats.not_running += t->next.there + t->messages;
	t->running = t->next.there = t->cutting = false;
	close_section(t);
}

uint32_t hn_tx_mtu_max(const struct hn_tx *t)
{
	size_t max = section_frame_max(t), over = FRAME_ETHER + FRAME_VLAN_TAG;

	return max > over ? (uint32_t)(max - over) : 0;
}

void hn_tx_stats_get(const struct hn_tx *t, struct hn_tx_stats *s)
{
	*s = t->stats;
}
