/* test/unit/test_hn_tx.c - frames on their way into sections. The channel
 * under them is a few lines here: sections that run out when the test says
 * so. */
#include "hn/hn_tx.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rd.h"
#include "hn/frame.h"
#include "hn/offload.h"
#include "tcp_frames.h"

enum { SECTIONS = 64, BIG = 80 * 1024, SMALL = 6144 };

struct nvs {
	size_t size;
	uint8_t *mem[SECTIONS];		/* each of its own exact size */
	unsigned taken, put;		/* sections, in order */
	unsigned left;			/* how many may be taken yet */
	bool ring_full, closed;
	size_t sent[SECTIONS];		/* bytes */
	unsigned n_sent;
};

int nvs_section_get(struct nvs *n, uint8_t **mem, size_t *cap)
{
	if (n->closed)
		return -ENOTCONN;
	if (!n->left)
		return -EAGAIN;
	n->left--;
	n->mem[n->taken] = malloc(n->size);
	*mem = n->mem[n->taken];
	*cap = n->size;
	return (int)n->taken++;
}

void nvs_section_put(struct nvs *n, uint32_t section)
{
	assert_true(section < n->taken);
	n->put++;
}

int nvs_section_send(struct nvs *n, uint32_t section, size_t used,
		     bool control)
{
	if (n->closed)
		return -ENOTCONN;
	if (n->ring_full)
		return -EAGAIN;
	assert_false(control);
	assert_int_equal(section, n->n_sent);
	n->sent[n->n_sent++] = used;
	return 0;
}

size_t nvs_section_size(const struct nvs *n)
{
	return n->size;
}

struct rig {
	struct nvs n;
	struct rndis_nic nic;
	struct hn_tx *t;
	struct hn_tx_stats s;
};

static int set_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	g->n.size = SMALL;
	g->n.left = SECTIONS;
	g->nic = (struct rndis_nic){
		.mtu = 1500, .max_messages = 8, .max_transfer = 0xefffffff,
		.align = 8, .tx_checksum = true, .tso4 = true, .tso6 = true,
		.tso_max = 62780,
	};
	g->t = hn_tx_new(&g->n);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;

	hn_tx_free(g->t);
	for (unsigned i = 0; i < g->n.taken; i++)
		free(g->n.mem[i]);
	free(g);
	return 0;
}

static const struct vnet_hdr plain;

static bool put(struct rig *g, const struct vnet_hdr *h, const void *frame,
		size_t len)
{
	size_t cap;
	uint8_t *room = hn_tx_room(g->t, &cap);

	if (!room)
		return false;
	assert_true(cap >= OFFLOAD_VNET_HDR + len);
	vnet_put(room, h);
	memcpy(room + OFFLOAD_VNET_HDR, frame, len);
	hn_tx_put(g->t, OFFLOAD_VNET_HDR + len);
	return true;
}

/* Ethernet of a type that nobody looks into. */
static bool put_plain(struct rig *g, size_t len)
{
	static uint8_t f[FRAME_MAX];

	memset(f, 0x5a, len);
	memcpy(f, "\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5", FRAME_ETHER);
	return put(g, &plain, f, len);
}

static const struct hn_tx_stats *stats(struct rig *g)
{
	hn_tx_stats_get(g->t, &g->s);
	return &g->s;
}

/* The RNDIS messages in a section that was sent; lens of their frames. */
static unsigned messages(struct rig *g, unsigned section, size_t *lens,
			 struct rndis_meta *metas)
{
	const uint8_t *p = g->n.mem[section];
	size_t left = g->n.sent[section];
	unsigned n = 0;

	for (; left; n++) {
		struct rd r = rd_of(p + 4, 4);
		uint32_t said = rd_le32(&r);
		struct rndis_packet k;

		assert_int_equal(rndis_get_packet(&k, p, left), 0);
		assert_int_equal(said % 8, 0);
		lens[n] = k.len;
		if (metas)
			metas[n] = k.meta;
		p += said;
		left -= said;
	}
	return n;
}

/* A TCP frame of that many data bytes, to be cut at 1448. */
static uint8_t *large(size_t payload, struct vnet_hdr *h)
{
	uint8_t *f = calloc(1, AT_DATA + payload);

	memcpy(f, whole4, AT_DATA);
	frame_put_be16(f + 16, (uint16_t)(40 + payload));
	for (size_t i = 0; i < payload; i++)
		f[AT_DATA + i] = (uint8_t)(i * 7);
	*h = (struct vnet_hdr){ VNET_F_NEEDS_CSUM, VNET_GSO_TCPV4, AT_DATA,
				1448, 34, 16 };
	return f;
}

static void put_large(struct rig *g, size_t payload)
{
	struct vnet_hdr h;
	uint8_t *f = large(payload, &h);

	assert_true(put(g, &h, f, AT_DATA + payload));
	free(f);
}

static void several_frames_share_a_section(void **state)
{
	struct rig *g = *state;
	size_t lens[64];

	hn_tx_start(g->t, &g->nic);
	for (unsigned i = 0; i < 3; i++)
		assert_true(put_plain(g, 60 + i));
	assert_int_equal(g->n.n_sent, 0);
	hn_tx_flush(g->t);
	assert_int_equal(g->n.n_sent, 1);
	assert_int_equal(messages(g, 0, lens, NULL), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(lens[i], 60 + i);
	assert_int_equal(stats(g)->messages, 3);
	assert_int_equal(stats(g)->sends, 1);
	hn_tx_flush(g->t);			/* nothing there */
	assert_int_equal(g->n.n_sent, 1);
}

static void no_more_messages_than_the_host_takes(void **state)
{
	struct rig *g = *state;
	size_t lens[64];

	hn_tx_start(g->t, &g->nic);
	for (unsigned i = 0; i < 9; i++)
		put_plain(g, 60);
	hn_tx_flush(g->t);
	assert_int_equal(g->n.n_sent, 2);
	assert_int_equal(messages(g, 0, lens, NULL), 8);
	assert_int_equal(messages(g, 1, lens, NULL), 1);
}

static void a_section_goes_when_the_next_frame_does_not_fit(void **state)
{
	struct rig *g = *state;
	size_t lens[64];

	hn_tx_start(g->t, &g->nic);
	for (unsigned i = 0; i < 4; i++)
		put_plain(g, 1514);
	assert_int_equal(g->n.n_sent, 1);
	assert_int_equal(messages(g, 0, lens, NULL), 3);
	assert_true(g->n.sent[0] < SMALL);
}

static void bytes_in_one_transfer_are_the_hosts_to_limit(void **state)
{
	struct rig *g = *state;

	g->nic.max_transfer = 2000;
	hn_tx_start(g->t, &g->nic);
	put_plain(g, 1514);
	put_plain(g, 1514);
	assert_int_equal(g->n.n_sent, 1);
}

static void a_frame_waits_for_a_section(void **state)
{
	struct rig *g = *state;
	size_t lens[64];

	g->n.left = 0;
	hn_tx_start(g->t, &g->nic);
	assert_true(put_plain(g, 60));
	assert_false(put_plain(g, 61));
	assert_int_equal(stats(g)->waits, 1);
	g->n.left = 1;
	hn_tx_writable(g->t);
	assert_int_equal(g->n.n_sent, 1);	/* nobody else flushes it */
	assert_int_equal(messages(g, 0, lens, NULL), 1);
	assert_int_equal(lens[0], 60);
	g->n.left = 1;
	assert_true(put_plain(g, 61));
}

static void a_full_ring_keeps_the_section(void **state)
{
	struct rig *g = *state;
	size_t lens[64];

	hn_tx_start(g->t, &g->nic);
	g->n.ring_full = true;
	put_plain(g, 60);
	hn_tx_flush(g->t);
	assert_true(put_plain(g, 61));		/* there is room in it yet */
	hn_tx_flush(g->t);
	assert_int_equal(g->n.put, 0);
	g->n.ring_full = false;
	hn_tx_writable(g->t);
	assert_int_equal(g->n.n_sent, 1);
	assert_int_equal(messages(g, 0, lens, NULL), 2);
}

static void sums_are_left_to_a_host_that_makes_them(void **state)
{
	const struct vnet_hdr sum = { VNET_F_NEEDS_CSUM, 0, 0, 0, 34, 16 };
	struct rig *g = *state;
	struct rndis_meta m[64];
	size_t lens[64];

	hn_tx_start(g->t, &g->nic);
	put(g, &sum, first4, sizeof(first4));
	hn_tx_flush(g->t);
	assert_int_equal(messages(g, 0, lens, m), 1);
	assert_true(m[0].has_checksum);
	assert_int_equal(m[0].checksum,
			 RNDIS_TX_IPV4 | RNDIS_TX_TCP | 34 << 16);
}

/* 30 segments of 1448 in sections that take four each. */
static void large_frames_become_pieces_that_the_nic_cuts(void **state)
{
	struct rig *g = *state;
	struct rndis_meta m[64];
	size_t lens[64];

	hn_tx_start(g->t, &g->nic);
	put_large(g, 30 * 1448);
	hn_tx_flush(g->t);
	assert_int_equal(g->n.n_sent, 8);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(messages(g, i, lens, m), 1);
		assert_int_equal(lens[0], AT_DATA + (i < 7 ? 4 : 2) * 1448);
		assert_true(m[0].has_lso);
		assert_int_equal(m[0].lso & RNDIS_LSO_MSS_MAX, 1448);
	}
	assert_int_equal(stats(g)->cut, 1);
	assert_int_equal(stats(g)->pieces, 8);
	assert_int_equal(stats(g)->frames, 1);
}

static void without_a_nic_that_cuts_pieces_are_segments(void **state)
{
	struct rig *g = *state;
	struct rndis_meta m[64];
	size_t lens[64];

	g->nic.tso4 = g->nic.tx_checksum = false;
	hn_tx_start(g->t, &g->nic);
	put_large(g, 3 * 1448 + 1);
	hn_tx_flush(g->t);
	assert_int_equal(g->n.n_sent, 1);
	assert_int_equal(messages(g, 0, lens, m), 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(lens[i], AT_DATA + (i < 3 ? 1448 : 1));
		assert_false(m[i].has_lso || m[i].has_checksum);
	}
}

static void large_sections_take_large_frames_whole(void **state)
{
	struct rig *g = *state;
	struct rndis_meta m[64];
	size_t lens[64];

	g->n.size = BIG;
	hn_tx_start(g->t, &g->nic);
	put_large(g, 40 * 1448);
	hn_tx_flush(g->t);
	assert_int_equal(messages(g, 0, lens, m), 1);
	assert_int_equal(lens[0], AT_DATA + 40 * 1448);
	assert_true(m[0].has_lso);
	put_large(g, 45 * 1448);		/* more than the NIC cuts */
	hn_tx_flush(g->t);
	assert_int_equal(messages(g, 1, lens, m), 2);
	assert_int_equal(lens[0], AT_DATA + 43 * 1448);
	assert_int_equal(lens[1], AT_DATA + 2 * 1448);
}

/* The pieces, put together, are the payload: nothing is lost in the wait. */
static void cutting_goes_on_where_it_had_to_wait(void **state)
{
	struct rig *g = *state;
	struct vnet_hdr h;
	const size_t payload = 20 * 1448;
	uint8_t *f = large(payload, &h);
	size_t at = 0;

	hn_tx_start(g->t, &g->nic);
	g->n.left = 2;
	put(g, &h, f, AT_DATA + payload);
	while (g->n.n_sent < 5) {
		assert_false(put_plain(g, 60));
		g->n.left = 1;
		hn_tx_writable(g->t);
	}
	assert_int_equal(g->n.n_sent, 5);
	for (unsigned i = 0; i < 5; i++) {
		struct rndis_packet p;

		assert_int_equal(rndis_get_packet(&p, g->n.mem[i],
						  g->n.sent[i]), 0);
		assert_int_equal(frame_be32(p.frame + AT_SEQ),
				 frame_be32(f + AT_SEQ) + (uint32_t)at);
		assert_memory_equal(p.frame + AT_DATA, f + AT_DATA + at,
				    p.len - AT_DATA);
		at += p.len - AT_DATA;
	}
	assert_int_equal(at, payload);
	free(f);
}

static void what_cannot_be_sent_is_counted_by_reason(void **state)
{
	const struct vnet_hdr udp = { VNET_F_NEEDS_CSUM, 5, 42, 1448, 34, 6 };
	const struct vnet_hdr past = { VNET_F_NEEDS_CSUM, 0, 0, 0, 900, 16 };
	struct rig *g = *state;
	size_t cap;

	put_plain(g, 60);			/* not started */
	assert_int_equal(stats(g)->not_running, 1);
	hn_tx_start(g->t, &g->nic);
	put_plain(g, 7000);
	assert_int_equal(stats(g)->oversize, 1);
	put(g, &udp, first4, sizeof(first4));
	assert_int_equal(stats(g)->unsupported, 1);
	put(g, &past, first4, sizeof(first4));
	assert_int_equal(stats(g)->bad, 1);
	assert_non_null(hn_tx_room(g->t, &cap));
	hn_tx_put(g->t, 23);
	assert_int_equal(stats(g)->bad, 2);
	hn_tx_flush(g->t);
	assert_int_equal(g->n.n_sent, 0);
	assert_int_equal(stats(g)->frames, 0);
}

static void the_largest_mtu_fits(void **state)
{
	struct rig *g = *state;
	uint32_t mtu;

	hn_tx_start(g->t, &g->nic);
	mtu = hn_tx_mtu_max(g->t);
	assert_true(mtu > 5900 && mtu < SMALL);
	put_plain(g, mtu + FRAME_ETHER + FRAME_VLAN_TAG);
	assert_int_equal(stats(g)->oversize, 0);
	put_plain(g, mtu + FRAME_ETHER + FRAME_VLAN_TAG + 1);
	assert_int_equal(stats(g)->oversize, 1);
}

static void a_stop_drops_what_waits(void **state)
{
	struct rig *g = *state;

	hn_tx_start(g->t, &g->nic);
	put_plain(g, 60);
	g->n.left = 0;
	for (unsigned i = 0; i < 8; i++)
		put_plain(g, 60);
	assert_false(put_plain(g, 60));
	hn_tx_stop(g->t);
	assert_int_equal(stats(g)->not_running, 1);	/* eight have left */
	assert_true(put_plain(g, 60));
	hn_tx_writable(g->t);
	hn_tx_flush(g->t);
	assert_int_equal(g->n.n_sent, 1);
}

static void a_channel_that_ended_loses_the_frame_and_no_more(void **state)
{
	struct rig *g = *state;

	hn_tx_start(g->t, &g->nic);
	put_plain(g, 60);
	g->n.closed = true;
	hn_tx_flush(g->t);
	assert_int_equal(g->n.put, 1);
	put_plain(g, 60);
	assert_int_equal(stats(g)->not_running, 1);
	assert_true(put_plain(g, 60));
}

#define CLAIM(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(several_frames_share_a_section),
		CLAIM(no_more_messages_than_the_host_takes),
		CLAIM(a_section_goes_when_the_next_frame_does_not_fit),
		CLAIM(bytes_in_one_transfer_are_the_hosts_to_limit),
		CLAIM(a_frame_waits_for_a_section),
		CLAIM(a_full_ring_keeps_the_section),
		CLAIM(sums_are_left_to_a_host_that_makes_them),
		CLAIM(large_frames_become_pieces_that_the_nic_cuts),
		CLAIM(without_a_nic_that_cuts_pieces_are_segments),
		CLAIM(large_sections_take_large_frames_whole),
		CLAIM(cutting_goes_on_where_it_had_to_wait),
		CLAIM(what_cannot_be_sent_is_counted_by_reason),
		CLAIM(the_largest_mtu_fits),
		CLAIM(a_stop_drops_what_waits),
		CLAIM(a_channel_that_ended_loses_the_frame_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
