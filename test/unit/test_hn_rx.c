/* test/unit/test_hn_rx.c - data messages become frames behind a virtio-net
 * header. */
#include "hn/hn_rx.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hn/offload.h"
#include "hn/rndis_wire.h"
#include "tcp_frames.h"

enum { MAX_OUT = 16, KEEP = 128 };

struct rig {
	struct hn_rx *r;
	struct {
		struct vnet_hdr h;
		uint8_t frame[KEEP];
		size_t len;
	} out[MAX_OUT];
	unsigned n_out, other;
	int result;
};

static int sink(void *arg, const void *buf, size_t len)
{
	struct rig *g = arg;

	assert_true(g->n_out < MAX_OUT && len <= KEEP + OFFLOAD_VNET_HDR);
	vnet_get(&g->out[g->n_out].h, buf);
	g->out[g->n_out].len = len - OFFLOAD_VNET_HDR;
	memcpy(g->out[g->n_out].frame,
	       (const uint8_t *)buf + OFFLOAD_VNET_HDR, len - OFFLOAD_VNET_HDR);
	g->n_out++;
	return g->result;
}

static int other_sink(void *arg, const void *buf, size_t len)
{
	(void)buf;
	(void)len;
	((struct rig *)arg)->other++;
	return 0;
}

static int set_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));
	const struct hn_rx_sink s = { sink, g };

	g->r = hn_rx_new();
	hn_rx_set_sink(g->r, &s);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *g = *state;

	hn_rx_free(g->r);
	free(g);
	return 0;
}

/* In exact-size memory of its own. */
static void message(struct rig *g, const struct rndis_meta *m,
		    const uint8_t *frame, size_t len)
{
	uint8_t head[RNDIS_PACKET_OVERHEAD], *msg;
	size_t pad;
	int hdr = rndis_put_packet(head, sizeof(head), m, len, 0, &pad);

	assert_true(hdr > 0);
	msg = malloc((size_t)hdr + len);
	memcpy(msg, head, (size_t)hdr);
	memcpy(msg + hdr, frame, len);
	hn_rx_message(g->r, msg, (size_t)hdr + len);
	free(msg);
}

static const struct rndis_meta nothing;
static const struct rndis_meta good = {
	.has_checksum = true, .checksum = RNDIS_RX_TCP_OK | RNDIS_RX_IP_OK,
};

static void hands_on_a_frame_as_it_is(void **state)
{
	struct rig *g = *state;
	struct hn_rx_stats s;

	message(g, &nothing, first4, sizeof(first4));
	assert_int_equal(g->n_out, 1);
	assert_int_equal(g->out[0].len, sizeof(first4));
	assert_memory_equal(g->out[0].frame, first4, sizeof(first4));
	assert_int_equal(g->out[0].h.flags, 0);
	hn_rx_stats_get(g->r, &s);
	assert_int_equal(s.frames, 1);
	assert_int_equal(s.bytes, sizeof(first4));
}

static void puts_the_vlan_tag_back(void **state)
{
	const struct rndis_meta tagged = { .has_vlan = true, .vlan = 0x6007 };
	struct rig *g = *state;

	message(g, &tagged, first4, sizeof(first4));
	assert_int_equal(g->out[0].len, sizeof(first4) + 4);
	assert_memory_equal(g->out[0].frame, first4, 12);
	assert_memory_equal(g->out[0].frame + 12, "\x81\x00\x60\x07\x08\x00", 6);
}

static void joins_the_segments_of_a_batch(void **state)
{
	struct rig *g = *state;
	struct hn_rx_stats s;

	message(g, &good, first4, sizeof(first4));
	message(g, &good, second4, sizeof(second4));
	assert_int_equal(g->n_out, 0);
	hn_rx_batch_end(g->r);
	assert_int_equal(g->n_out, 1);
	assert_int_equal(g->out[0].h.gso_type, VNET_GSO_TCPV4);
	hn_rx_stats_get(g->r, &s);
	assert_int_equal(s.frames, 2);
	assert_int_equal(s.joined, 1);
}

/* What the host did not verify may be wrong, and must not overtake. */
static void unverified_segments_are_not_joined(void **state)
{
	const struct rndis_meta bad = {
		.has_checksum = true,
		.checksum = RNDIS_RX_TCP_BAD | RNDIS_RX_IP_OK,
	};
	struct rig *g = *state;

	message(g, &good, first4, sizeof(first4));
	message(g, &bad, second4, sizeof(second4));
	assert_int_equal(g->n_out, 2);
	assert_memory_equal(g->out[0].frame, first4, sizeof(first4));
	assert_memory_equal(g->out[1].frame, second4, sizeof(second4));
	assert_int_equal(g->out[1].h.flags, 0);
}

static void our_own_frames_come_back_in_vain(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct rig *g = *state;
	struct hn_rx_stats s;

	hn_rx_set_mac(g->r, mac);
	message(g, &nothing, first4, sizeof(first4));
	assert_int_equal(g->n_out, 0);
	hn_rx_stats_get(g->r, &s);
	assert_int_equal(s.echoes, 1);
	hn_rx_set_mac(g->r, NULL);
	message(g, &nothing, first4, sizeof(first4));
	assert_int_equal(g->n_out, 1);
}

static void the_sink_can_be_another_one(void **state)
{
	struct rig *g = *state;
	const struct hn_rx_sink s = { other_sink, g };
	struct hn_rx_stats stats;

	message(g, &good, first4, sizeof(first4));
	hn_rx_set_sink(g->r, &s);
	assert_int_equal(g->n_out, 1);		/* what came before */
	message(g, &nothing, second4, sizeof(second4));
	assert_int_equal(g->other, 1);
	hn_rx_set_sink(g->r, NULL);
	message(g, &nothing, third4, sizeof(third4));
	hn_rx_stats_get(g->r, &stats);
	assert_int_equal(stats.no_sink, 1);
	assert_int_equal(stats.frames, 2);
}

static void a_sink_that_fails_is_counted(void **state)
{
	struct rig *g = *state;
	struct hn_rx_stats s;

	g->result = -EIO;
	message(g, &good, first4, sizeof(first4));
	message(g, &good, second4, sizeof(second4));
	hn_rx_batch_end(g->r);
	hn_rx_stats_get(g->r, &s);
	assert_int_equal(s.refused, 2);
	assert_int_equal(s.frames, 0);
}

static void refuses_what_holds_no_frame(void **state)
{
	struct rig *g = *state;
	struct hn_rx_stats s;

	message(g, &nothing, first4, 13);	/* less than Ethernet */
	for (size_t n = 0; n < RNDIS_PACKET_HDR + 1; n++) {
		uint8_t *msg = calloc(1, n + 1);

		msg[0] = RNDIS_PACKET;
		hn_rx_message(g->r, msg, n);
		free(msg);
	}
	hn_rx_stats_get(g->r, &s);
	assert_int_equal(s.bad, 1 + RNDIS_PACKET_HDR + 1);
	assert_int_equal(g->n_out, 0);
}

#define CLAIM(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(hands_on_a_frame_as_it_is),
		CLAIM(puts_the_vlan_tag_back),
		CLAIM(joins_the_segments_of_a_batch),
		CLAIM(unverified_segments_are_not_joined),
		CLAIM(our_own_frames_come_back_in_vain),
		CLAIM(the_sink_can_be_another_one),
		CLAIM(a_sink_that_fails_is_counted),
		CLAIM(refuses_what_holds_no_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
