/* host/host_hn_data.c - receive slots, frames to the guest, sends of the guest.
 *
 * A slot is a fixed piece of the guest's receive buffer. Those of one packet
 * are chained; the packet's transaction id is its first slot, so that an id is
 * always below the number of slots (DPDK indexes an array by it), and the
 * guest's one completion gives the whole chain back. A completion that names
 * no packet on its way ends the channel, as on OpenVMM: the accounts of who
 * owns which slot would be wrong from then on.
 *
 * A send's bytes are copied from the send buffer (and, if the bus has
 * addresses, from the pages it names) into one private piece, and all that is
 * read is read there. It may hold several frames; one bad frame fails the send
 * but not those before it. */
#include "host/host_hn_priv.h"

#include <errno.h>
#include <stdlib.h>

enum {
	PAGE_SIZE = 4096,
	MAX_GPA_RANGES = 256,
	SECTION_SIZE = 6144,
	FRONT = 256,
	GARBAGE = 0x5a5a,
	RECV_BUF_ID = NVS_RECV_BUF_ID,
	MAX_SLOTS = 65536,
};

/* Slots ------------------------------------------------------------------ */

int host_hn_slots_new(struct host_hn *n, size_t buf_len)
{
	size_t count = buf_len / n->slot_size;
	uint32_t limit = n->cfg.manners.slots;

	if (count > MAX_SLOTS)
		count = MAX_SLOTS;
	if (limit && count > limit)
		count = limit;
	if (count <= HOST_HN_CONTROL_SLOTS)
		return -EINVAL;
	n->next_slot = calloc(count, sizeof(*n->next_slot));
	n->slots = calloc(count, sizeof(*n->slots));
	n->free_slots = calloc(count, sizeof(*n->free_slots));
	if (!n->next_slot || !n->slots || !n->free_slots) {
		host_hn_slots_free_all(n);
		return -ENOMEM;
	}
	n->n_slots = (uint32_t)count;
	n->control_free = (1u << HOST_HN_CONTROL_SLOTS) - 1;
	/* Lowest first: what a person sees in a dump is in order. */
	for (uint32_t i = n->n_slots; i-- > HOST_HN_CONTROL_SLOTS; )
		n->free_slots[n->n_free++] = i;
	return 0;
}

void host_hn_slots_free_all(struct host_hn *n)
{
	free(n->next_slot);
	free(n->slots);
	free(n->free_slots);
	n->next_slot = NULL;
	n->slots = NULL;
	n->free_slots = NULL;
	n->n_slots = n->n_free = n->n_batch = n->control_free = 0;
}

static uint32_t control_slot_get(struct host_hn *n)
{
	for (uint32_t i = 0; i < HOST_HN_CONTROL_SLOTS; i++) {
		if (n->control_free & 1u << i) {
			n->control_free &= ~(1u << i);
			n->slots[i] = SLOT_FILLED;
			return i;
		}
	}
	return HOST_HN_NO_SLOT;
}

static uint32_t data_slot_get(struct host_hn *n)
{
	uint32_t i;

	if (!n->n_free)
		return HOST_HN_NO_SLOT;
	i = n->free_slots[--n->n_free];
	n->slots[i] = SLOT_FILLED;
	return i;
}

static void slot_put(struct host_hn *n, uint32_t i)
{
	n->slots[i] = SLOT_FREE;
	if (i < HOST_HN_CONTROL_SLOTS)
		n->control_free |= 1u << i;
	else
		n->free_slots[n->n_free++] = i;
}

static void tell_room(struct host_hn *n)
{
	if (!n->starved || n->state != HOST_HN_UP)
		return;
	n->starved = false;
	if (n->ops->room)
		n->ops->room(n->arg);
}

void host_hn_slots_back(struct host_hn *n, uint64_t xact)
{
	uint32_t i = (uint32_t)xact, next;

	if (xact >= n->n_slots || n->slots[i] != SLOT_SENT) {
		host_hn_fail(n, "completed a packet that it was not sent");
		return;
	}
	for (; i != HOST_HN_NO_SLOT; i = next) {
		next = n->next_slot[i];
		slot_put(n, i);
	}
	tell_room(n);
}

uint32_t host_hn_slots_free(const struct host_hn *n)
{
	return n->n_free;
}

/* A slot's memory: looked up each time, for it is the guest's to take away. */
static uint8_t *slot_mem(struct host_hn *n, uint32_t i)
{
	size_t len = 0, at = (size_t)i * n->slot_size;
	uint8_t *mem = n->port.gpadl(n->port.arg, n->recv_gpadl, &len);

	return mem && at + n->slot_size <= len ? mem + at : NULL;
}

/* Packets to the guest --------------------------------------------------- */

static void chain(struct host_hn *n, const uint32_t *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		n->slots[slots[i]] = i ? SLOT_BEHIND : SLOT_SENT;
		n->next_slot[slots[i]] = i + 1 < count ? slots[i + 1] :
							 HOST_HN_NO_SLOT;
	}
}

static int send_slots(struct host_hn *n, uint32_t channel,
		      const uint32_t *slots, const uint32_t *lens,
		      uint32_t count)
{
	uint8_t ranges[8 + HOST_HN_RANGES * 8], msg[HOST_NVS_LONG];
	struct wr r = wr_of(ranges, sizeof(ranges));
	struct wr w = wr_of(msg, sizeof(msg));
	struct packet p = {
		.type = PACKET_XFER_PAGES, .flags = PACKET_WANT_COMPLETION,
		.xact = slots[0], .ranges = ranges, .data = msg,
	};
	int err;

	wr_le16(&r, RECV_BUF_ID);
	wr_le16(&r, n->cfg.manners.garbage ? GARBAGE : 0);
	wr_le32(&r, count);
	for (uint32_t i = 0; i < count; i++) {
		wr_le32(&r, lens[i]);
		wr_le32(&r, slots[i] * n->slot_size);
	}
	host_nvs_put_rndis(&w, host_hn_msg_size(n), channel);
	p.ranges_len = r.len;
	p.len = w.len;
	err = n->port.send(n->port.arg, &p);
	if (!err)
		chain(n, slots, count);
	return err;
}

int host_hn_put_answer(struct host_hn *n, const struct host_hn_answer *a)
{
	uint32_t slot, len = (uint32_t)a->len;
	uint8_t *mem;
	int err;

	if (!n->n_slots)
		return -EAGAIN;
	slot = control_slot_get(n);
	if (slot == HOST_HN_NO_SLOT)
		return -EAGAIN;
	mem = slot_mem(n, slot);
	if (!mem || a->len > n->slot_size) {
		slot_put(n, slot);
		return -EMSGSIZE;	/* it goes nowhere */
	}
	memcpy(mem, a->bytes, a->len);
	err = send_slots(n, NVS_RNDIS_CONTROL, &slot, &len, 1);
	if (err)
		slot_put(n, slot);
	return err;
}

void host_hn_flush(struct host_hn *n)
{
	int err;

	if (!n->n_batch)
		return;
	err = send_slots(n, NVS_RNDIS_DATA, n->batch, n->batch_len, n->n_batch);
	if (err == -EAGAIN)
		return;			/* as soon as there is room */
	if (err) {
		for (uint32_t i = 0; i < n->n_batch; i++)
			slot_put(n, n->batch[i]);
	} else {
		n->stats.batches++;
	}
	n->n_batch = 0;
	tell_room(n);
}

static uint32_t rx_checksum(const struct host_hn *n, const struct host_frame *f)
{
	bool udp = f->sum_offset == 6;
	uint32_t word = RNDIS_RX_IP_OK;

	word |= udp && !n->cfg.manners.udp_as_tcp ? RNDIS_RX_UDP_OK :
						    RNDIS_RX_TCP_OK;
	if (f->partial && n->cfg.manners.local_sums)
		word |= RNDIS_RX_TCP_VALUE_INVALID;
	return f->partial || f->verified ? word : 0;
}

/* The frame without its tag, its sum complete, to where it belongs. */
static void write_frame(struct host_hn *n, uint8_t *to,
			const struct host_frame *f, size_t tag)
{
	size_t at = (size_t)f->sum_start + f->sum_offset - tag;
	uint16_t sum;

	memcpy(to, f->data, 12);
	memcpy(to + 12, f->data + 12 + tag, f->len - 12 - tag);
	if (!f->partial || n->cfg.manners.local_sums)
		return;
	sum = host_frame_sum(f);
	to[at] = (uint8_t)(sum >> 8);
	to[at + 1] = (uint8_t)sum;
}

/* Bytes used of the slot. */
static uint32_t fill_slot(struct host_hn *n, uint8_t *mem,
			  const struct host_frame *f)
{
	const struct host_hn_manners *m = &n->cfg.manners;
	int tci = host_frame_tci(f);
	size_t tag = tci < 0 ? 0 : HOST_FRAME_TAG;
	struct host_rndis_frame rf = {
		.has_sum = !m->no_checksum, .sum = rx_checksum(n, f),
		.has_vlan = tci >= 0, .vlan = (uint16_t)tci,
		.len = f->len - tag,
	};
	const struct host_rndis_room room = {
		.front = m->front ? m->front : FRONT,
		.length = m->whole_slots ? n->slot_size : 0,
		.reserved = m->garbage ? GARBAGE : 0,
	};
	struct wr w = wr_of(mem, n->slot_size);
	uint8_t *to = host_rndis_put_frame(&w, &rf, &room);

	if (!to)
		return 0;
	write_frame(n, to, f, tag);
	return m->whole_slots ? n->slot_size : (uint32_t)w.len;
}

static int no_room(struct host_hn *n)
{
	n->starved = true;
	n->stats.dropped_full++;
	return -ENOBUFS;
}

static int deliver_one(void *arg, const struct host_frame *f)
{
	struct host_hn *n = arg;
	size_t tag = host_frame_tci(f) < 0 ? 0 : HOST_FRAME_TAG;
	uint32_t slot, used = 0;
	uint8_t *mem;

	if (f->len < HOST_FRAME_HDR || f->len - tag > n->frame_max) {
		n->stats.dropped_size++;
		return -EMSGSIZE;
	}
	if (n->n_batch == HOST_HN_RANGES)
		host_hn_flush(n);
	if (n->n_batch == HOST_HN_RANGES)
		return no_room(n);
	slot = data_slot_get(n);
	if (slot == HOST_HN_NO_SLOT) {
		host_hn_flush(n);
		return no_room(n);
	}
	mem = slot_mem(n, slot);
	if (mem)
		used = fill_slot(n, mem, f);
	if (!used) {
		slot_put(n, slot);
		return no_room(n);
	}
	n->batch[n->n_batch] = slot;
	n->batch_len[n->n_batch++] = used;
	n->stats.to_guest++;
	n->stats.to_guest_bytes += f->len;
	return 0;
}

int host_hn_deliver(struct host_hn *n, const struct host_frame *f)
{
	if (n->state != HOST_HN_UP || !n->filter) {
		n->stats.dropped_down++;
		return -ENETDOWN;
	}
	return host_frame_segment(f, deliver_one, n);
}

/* Sends of the guest ----------------------------------------------------- */

/* The bytes in the send buffer, to n->copy. Their number, or -EFAULT. */
static int copy_section(struct host_hn *n, const struct host_nvs_msg *m)
{
	uint32_t size = n->cfg.manners.section_size;
	uint64_t at;
	size_t len = 0;
	const uint8_t *mem;

	if (m->rndis.section == NVS_NO_SECTION)
		return 0;
	size = size ? size : SECTION_SIZE;
	at = (uint64_t)m->rndis.section * size;
	mem = n->port.gpadl(n->port.arg, n->send_gpadl, &len);
	if (!mem || m->rndis.used > size || m->rndis.used > HOST_HN_SEND_MAX ||
	    at + m->rndis.used > len)
		return -EFAULT;
	memcpy(n->copy, mem + at, m->rndis.used);
	return (int)m->rndis.used;
}

/* One range, page by page. */
static int copy_range(struct host_hn *n, const struct packet_gpa *g, size_t at)
{
	struct rd pfns = rd_of(g->pfns, (size_t)g->n_pfns * 8);
	uint32_t offset = g->offset, left = g->len;

	while (left) {
		uint64_t pfn = rd_le64(&pfns);
		uint32_t len = PAGE_SIZE - offset < left ? PAGE_SIZE - offset :
							   left;

		if (pfns.bad || pfn > UINT64_MAX / PAGE_SIZE ||
		    n->port.read(n->port.arg, pfn * PAGE_SIZE + offset,
				 n->copy + at, len) < 0)
			return -EFAULT;
		at += len;
		left -= len;
		offset = 0;
	}
	return 0;
}

/* What lies in pages, behind `at` bytes. The total, or -EFAULT. */
static int copy_pages(struct host_hn *n, const struct packet *p, int at)
{
	struct packet_gpa g[MAX_GPA_RANGES];
	int count;

	if (p->type != PACKET_GPA_DIRECT)
		return at;
	count = packet_gpa_get(g, MAX_GPA_RANGES, p);
	if (count < 0 || !n->port.read)
		return -EFAULT;
	for (int i = 0; i < count; i++) {
		if (g[i].len > (uint32_t)(HOST_HN_SEND_MAX - at) ||
		    copy_range(n, &g[i], (size_t)at) < 0)
			return -EFAULT;
		at += (int)g[i].len;
	}
	return at;
}

static int gather(struct host_hn *n, const struct host_nvs_msg *m,
		  const struct packet *p)
{
	int len = copy_section(n, m);

	return len < 0 ? len : copy_pages(n, p, len);
}

/* What the guest's information asks the NIC to do. */
static int take_offloads(struct host_frame *f, const struct host_rndis_frame *r)
{
	const uint32_t l4 = RNDIS_TX_TCP | RNDIS_TX_UDP;

	if (r->has_lso)
		return host_frame_leave_segments(f, r->mss, r->lso_ipv6);
	if (r->has_sum && r->sum & RNDIS_TX_IP_HEADER)
		host_frame_make_ip_sum(f);
	return r->has_sum && r->sum & l4 ? host_frame_leave_sum(f) : 0;
}

/* One frame of a send, whose bytes are n->copy's and ours to change. */
static const char *take_frame(struct host_hn *n,
			      const struct host_rndis_frame *r)
{
	struct host_frame f = {
		.data = n->copy + (r->data - n->copy), .len = r->len,
	};

	if (f.len < HOST_FRAME_HDR)
		return "sent a frame shorter than its header";
	if (take_offloads(&f, r) < 0)
		return "asked for sums or segments that cannot be made";
	if (!f.mss && f.len > (size_t)n->frame_max + HOST_FRAME_TAG)
		return "sent a frame longer than its MTU";
	if (r->has_vlan)
		host_frame_push_tag(&f, r->vlan);
	n->stats.from_guest++;
	n->stats.from_guest_bytes += f.len;
	n->ops->frame(n->arg, &f);
	return NULL;
}

static const char *take_frames(struct host_hn *n, size_t len)
{
	const uint8_t *p = n->copy;

	while (len) {
		struct host_rndis_frame r;
		const char *why = NULL;
		int used = host_rndis_get_frame(&r, p, len, &why);

		if (used >= 0)
			why = take_frame(n, &r);
		if (why)
			return why;
		/* The frame's owner may have closed the channel. */
		if (n->state != HOST_HN_UP)
			return NULL;
		p += used;
		len -= (size_t)used;
	}
	return NULL;
}

static void on_data(struct host_hn *n, const struct packet *p, size_t len)
{
	const char *why = n->state != HOST_HN_UP ?
		"sent a frame before it was up" : take_frames(n, len);

	if (n->ops->batch_end)
		n->ops->batch_end(n->arg);
	if (why) {
		n->stats.bad_frames++;
		host_hn_violation(n, why);
	}
	if (n->state != HOST_HN_CLOSED && n->state != HOST_HN_FAILED)
		host_hn_complete(n, p->xact, why ? NVS_S_FAIL : NVS_S_OK,
				 false);
}

/* The completion goes first: the guest's request has been copied. */
static void on_control(struct host_hn *n, const struct packet *p, size_t len)
{
	host_hn_complete(n, p->xact, NVS_S_OK, true);
	host_hn_pump(n);
	host_hn_control(n, n->copy, len);
}

void host_hn_send(struct host_hn *n, const struct host_nvs_msg *m,
		  const struct packet *p)
{
	bool control = m->rndis.channel == NVS_RNDIS_CONTROL;
	int len;

	n->stats.sends++;
	if (!(p->flags & PACKET_WANT_COMPLETION)) {
		host_hn_violation(n, "sent RNDIS without asking for completion");
		return;
	}
	if (m->rndis.section != NVS_NO_SECTION && !n->has_send) {
		host_hn_fail(n, "sent from a buffer that it has not given");
		return;
	}
	len = gather(n, m, p);
	if (len > 0 && control) {
		on_control(n, p, (size_t)len);
	} else if (len > 0) {
		on_data(n, p, (size_t)len);
	} else {
		host_hn_violation(n, "sent RNDIS from where nothing is");
		host_hn_complete(n, p->xact, NVS_S_FAIL, true);
	}
}
