/* test/unit/test_channel.c - two ends of a channel in one loop: delivery, flow
 * control, bounded work, needless signals, and a peer that breaks its ring. */
#include "vmbus/channel.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { RING = 8192 };

struct end {
	struct channel *c;
	int wake, peer;			/* eventfds */
	unsigned got, broken, writable;
	int err;
	uint64_t last_xact;
	size_t last_len;
	uint8_t last[64];
	void (*on_packet)(struct end *e, const struct packet *p);
	unsigned left;			/* for on_packet's use */
};

struct rig {
	struct loop *l;
	uint8_t *ring[2];		/* a writes 0, b writes 1 */
	struct end a, b;
};

static void ack(void *arg)
{
	struct end *e = arg;
	uint64_t n;

	assert_int_equal(read(e->wake, &n, 8), 8);
}

static void ring_bell(void *arg)
{
	struct end *e = arg;
	uint64_t one = 1;

	assert_int_equal(write(e->peer, &one, 8), 8);
}

static void on_packet(void *arg, const struct packet *p)
{
	struct end *e = arg;

	e->got++;
	e->last_xact = p->xact;
	e->last_len = p->len;
	memcpy(e->last, p->data, p->len < 64 ? p->len : 64);
	if (e->on_packet)
		e->on_packet(e, p);
}

static void on_broken(void *arg, int err)
{
	struct end *e = arg;

	e->broken++;
	e->err = err;
}

static void on_writable(void *arg)
{
	((struct end *)arg)->writable++;
}

static const struct channel_ops ops = { on_packet, on_broken, on_writable };

static void end_open(struct rig *g, struct end *e, uint8_t *tx, uint8_t *rx)
{
	struct channel_port port = {
		.tx = tx, .rx = rx, .tx_len = RING, .rx_len = RING,
		.wake_fd = e->wake, .ack = ack, .signal = ring_bell, .arg = e,
	};

	e->c = channel_new(g->l, &port, &ops, e);
	assert_non_null(e->c);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	g->l = loop_new(LOOP_VIRTUAL);
	for (int i = 0; i < 2; i++) {
		g->ring[i] = aligned_alloc(4096, RING);
		memset(g->ring[i], 0, RING);
	}
	g->a.wake = g->b.peer = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	g->b.wake = g->a.peer = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	end_open(g, &g->a, g->ring[0], g->ring[1]);
	end_open(g, &g->b, g->ring[1], g->ring[0]);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	channel_free(g->a.c);
	channel_free(g->b.c);
	close(g->a.wake);
	close(g->b.wake);
	free(g->ring[0]);
	free(g->ring[1]);
	loop_free(g->l);
	free(g);
	return 0;
}

/* Until nothing is ready. */
static unsigned settle(struct rig *g)
{
	unsigned turns = 0;

	while (loop_once(g->l, false) > 0)
		assert_true(++turns < 100000);
	return turns;
}

static int send_len(struct end *e, uint64_t xact, size_t len)
{
	static const uint8_t body[CHANNEL_PACKET_MAX] = "hello";
	struct packet p = { .type = PACKET_INBAND, .xact = xact,
			    .data = body, .len = len };

	return channel_send(e->c, &p);
}

static struct channel_stats stats(struct end *e)
{
	struct channel_stats s;

	channel_stats_get(e->c, &s);
	return s;
}

static void a_packet_arrives_whole(void **state)
{
	struct rig *g = *state;

	settle(g);
	assert_int_equal(send_len(&g->a, 77, 6), 0);
	settle(g);
	assert_int_equal(g->b.got, 1);
	assert_int_equal(g->b.last_xact, 77);
	assert_int_equal(g->b.last_len, 8);
	assert_memory_equal(g->b.last, "hello\0\0\0", 8);
	assert_int_equal(stats(&g->a).signals_sent, 1);
	assert_int_equal(stats(&g->b).signals_got, 1);
}

static void a_packet_sent_before_the_peer_opened_arrives(void **state)
{
	struct rig *g = *state;

	channel_free(g->b.c);
	assert_int_equal(send_len(&g->a, 1, 8), 0);
	end_open(g, &g->b, g->ring[1], g->ring[0]);
	settle(g);
	assert_int_equal(g->b.got, 1);
}

static void an_idle_channel_wakes_nobody(void **state)
{
	struct rig *g = *state;

	settle(g);
	assert_int_equal(loop_once(g->l, false), 0);
	assert_int_equal(stats(&g->a).signals_sent, 0);
	assert_int_equal(stats(&g->a).signals_got, 0);
}

static void a_packet_too_long_for_ever_is_refused(void **state)
{
	struct rig *g = *state;

	assert_int_equal(send_len(&g->a, 1, 4096 - 16 - 8 - 8), 0);
	settle(g);
	assert_int_equal(send_len(&g->a, 1, 4096 - 16 - 8), -EMSGSIZE);
	assert_int_equal(g->b.got, 1);
}

static void a_full_ring_says_again_and_later_writable_once(void **state)
{
	struct rig *g = *state;
	unsigned sent = 0;

	settle(g);
	channel_pause(g->b.c, true);
	while (send_len(&g->a, sent, 1000) == 0)
		sent++;
	assert_int_equal(sent, 3);
	assert_int_equal(send_len(&g->a, sent, 1000), -EAGAIN);
	settle(g);
	assert_int_equal(g->b.got, 0);
	assert_int_equal(g->a.writable, 0);
	channel_pause(g->b.c, false);
	settle(g);
	assert_int_equal(g->b.got, 3);
	assert_int_equal(g->a.writable, 1);
	assert_int_equal(stats(&g->b).signals_sent, 1);
	assert_int_equal(send_len(&g->a, sent, 1000), 0);
	settle(g);
	assert_int_equal(g->b.got, 4);
	assert_int_equal(g->a.writable, 1);
	assert_int_equal(stats(&g->a).signals_needless, 0);
	assert_int_equal(stats(&g->b).signals_needless, 0);
}

static void echo(struct end *e, const struct packet *p)
{
	struct packet reply = { .type = PACKET_COMPLETION, .xact = p->xact };

	assert_int_equal(channel_send(e->c, &reply), 0);
}

static void answers_of_one_round_are_signalled_once(void **state)
{
	struct rig *g = *state;

	settle(g);
	g->b.on_packet = echo;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(send_len(&g->a, i, 8), 0);
	settle(g);
	assert_int_equal(g->a.got, 20);
	assert_int_equal(g->a.last_xact, 19);
	assert_int_equal(stats(&g->b).signals_sent, 1);
	assert_int_equal(stats(&g->a).signals_sent, 1);
}

/* Keep the peer's ring filled: a peer that never stops. */
static void send_another(struct end *e, const struct packet *p)
{
	(void)p;
	if (!e->left)
		return;
	e->left--;
	assert_int_equal(channel_send(e->c, &(struct packet){
			 .type = PACKET_INBAND }), 0);
}

static void count_turn(void *arg, unsigned events)
{
	(void)events;
	++*(unsigned *)arg;
}

static void a_busy_peer_leaves_the_loop_its_turn(void **state)
{
	struct rig *g = *state;
	unsigned turns = 0, before;
	int ready = eventfd(1, EFD_CLOEXEC);
	struct loop_io *io;

	settle(g);
	io = loop_io_new(g->l, ready, LOOP_READ, count_turn, &turns);
	g->a.on_packet = g->b.on_packet = send_another;
	g->a.left = g->b.left = 5000;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_len(&g->a, i, 8), 0);
	while (g->a.got + g->b.got < 10100) {
		before = g->a.got + g->b.got;
		loop_once(g->l, true);
		/* Each end: one round when woken, one asked for again. */
		assert_true(g->a.got + g->b.got - before <= 4 * CHANNEL_BURST);
	}
	assert_true(turns > 10100 / (4 * CHANNEL_BURST));
	loop_io_free(io);
	close(ready);
}

static void needless_signals_are_counted(void **state)
{
	struct rig *g = *state;

	settle(g);
	for (unsigned i = 1; i <= 5; i++) {
		ring_bell(&g->a);
		settle(g);
		assert_int_equal(stats(&g->b).signals_needless, i);
	}
	assert_int_equal(send_len(&g->a, 1, 8), 0);
	settle(g);
	assert_int_equal(stats(&g->b).signals_needless, 5);
	assert_int_equal(stats(&g->b).signals_got, 6);
}

static void a_paused_channel_reads_nothing_and_forgets_nothing(void **state)
{
	struct rig *g = *state;

	settle(g);
	channel_pause(g->b.c, true);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send_len(&g->a, i, 8), 0);
	settle(g);
	assert_int_equal(g->b.got, 0);
	channel_pause(g->b.c, false);
	settle(g);
	assert_int_equal(g->b.got, 5);
	assert_int_equal(stats(&g->b).signals_needless, 0);
}

static void pause_self(struct end *e, const struct packet *p)
{
	(void)p;
	channel_pause(e->c, true);
}

static void pausing_inside_a_callback_stops_after_that_packet(void **state)
{
	struct rig *g = *state;

	settle(g);
	g->b.on_packet = pause_self;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send_len(&g->a, i, 8), 0);
	for (unsigned i = 1; i <= 5; i++) {
		settle(g);
		assert_int_equal(g->b.got, i);
		channel_pause(g->b.c, false);
	}
	settle(g);
	assert_int_equal(g->b.got, 5);
}

static void free_self(struct end *e, const struct packet *p)
{
	(void)p;
	channel_free(e->c);
	e->c = NULL;
}

static void a_callback_may_free_the_channel(void **state)
{
	struct rig *g = *state;

	settle(g);
	g->b.on_packet = free_self;
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(send_len(&g->a, i, 8), 0);
	settle(g);
	assert_int_equal(g->b.got, 1);
}

static void poke(uint8_t *ring, size_t at, uint32_t v)
{
	memcpy(ring + at, &v, 4);
}

static void assert_b_breaks(struct rig *g)
{
	settle(g);
	ring_bell(&g->a);
	settle(g);
	assert_int_equal(g->b.broken, 1);
	assert_int_equal(g->b.err, -EBADMSG);
	assert_int_equal(send_len(&g->b, 1, 8), -EPIPE);
	ring_bell(&g->a);
	settle(g);
	assert_int_equal(g->b.broken, 1);	/* said once, and no spinning */
	assert_int_equal(loop_once(g->l, false), 0);
}

static void an_impossible_index_breaks_the_channel(void **state)
{
	struct rig *g = *state;

	poke(g->ring[0], 0, 4096);
	assert_b_breaks(g);
}

static void an_impossible_packet_breaks_the_channel(void **state)
{
	struct rig *g = *state;

	poke(g->ring[0], 4096, 6 | 1u << 16);	/* payload inside descriptor */
	poke(g->ring[0], 4100, 2);
	poke(g->ring[0], 0, 24);
	assert_b_breaks(g);
	assert_int_equal(g->b.got, 0);
}

static void packets_before_the_broken_one_are_delivered(void **state)
{
	struct rig *g = *state;

	channel_pause(g->b.c, true);
	assert_int_equal(send_len(&g->a, 1, 8), 0);
	poke(g->ring[0], 4096 + 32, 0);
	poke(g->ring[0], 4096 + 36, 0);
	poke(g->ring[0], 0, 64);
	channel_pause(g->b.c, false);
	assert_b_breaks(g);
	assert_int_equal(g->b.got, 1);
}

static void sending_over_a_broken_ring_tells_the_owner_later(void **state)
{
	struct rig *g = *state;

	settle(g);
	poke(g->ring[1], 4, 3);		/* a's read index in b's ring */
	poke(g->ring[1], 8, 0);
	assert_int_equal(send_len(&g->b, 1, 8), 0);
	assert_int_equal(g->b.broken, 0);
	assert_int_equal(send_len(&g->b, 1, 8), -EPIPE);
	settle(g);
	assert_int_equal(g->b.broken, 1);
}

static void a_broken_channel_harms_no_other(void **state)
{
	struct rig *g = *state, *other;
	void *o;

	setup(&o);
	other = o;
	poke(g->ring[0], 0, 4);
	assert_b_breaks(g);
	settle(other);
	assert_int_equal(send_len(&other->a, 1, 8), 0);
	settle(other);
	assert_int_equal(other->b.got, 1);
	teardown(&o);
}

/* Both directions full of packets, both sides blocking: by the rules alone
 * everything arrives, and no signal is needless. */

static void pump(struct end *e)
{
	while (e->left) {
		int err = send_len(e, e->left, 16 + e->left * 40503u % 1500);

		if (err == -EAGAIN)
			return;
		assert_int_equal(err, 0);
		e->left--;
	}
}

static void pump_writable(void *arg)
{
	struct end *e = arg;

	e->writable++;
	pump(e);
}

static const struct channel_ops flood_ops = {
	on_packet, on_broken, pump_writable
};

static void floods_in_both_directions_arrive_without_needless_signals(
	void **state)
{
	struct rig *g = *state;

	channel_free(g->a.c);
	channel_free(g->b.c);
	for (int i = 0; i < 2; i++) {
		struct end *e = i ? &g->b : &g->a;
		struct channel_port port = {
			.tx = g->ring[i], .rx = g->ring[!i],
			.tx_len = RING, .rx_len = RING,
			.wake_fd = e->wake, .ack = ack, .signal = ring_bell,
			.arg = e,
		};

		e->c = channel_new(g->l, &port, &flood_ops, e);
		e->left = 100000;
	}
	pump(&g->a);
	pump(&g->b);
	while (g->a.got < 100000 || g->b.got < 100000)
		assert_true(loop_once(g->l, false) > 0);	/* no stall */
	settle(g);
	assert_true(g->a.writable > 1000);
	assert_int_equal(stats(&g->a).signals_needless, 0);
	assert_int_equal(stats(&g->b).signals_needless, 0);
	assert_int_equal(g->a.broken + g->b.broken, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_packet_arrives_whole),
		TEST(a_packet_sent_before_the_peer_opened_arrives),
		TEST(an_idle_channel_wakes_nobody),
		TEST(a_packet_too_long_for_ever_is_refused),
		TEST(a_full_ring_says_again_and_later_writable_once),
		TEST(answers_of_one_round_are_signalled_once),
		TEST(a_busy_peer_leaves_the_loop_its_turn),
		TEST(needless_signals_are_counted),
		TEST(a_paused_channel_reads_nothing_and_forgets_nothing),
		TEST(pausing_inside_a_callback_stops_after_that_packet),
		TEST(a_callback_may_free_the_channel),
		TEST(an_impossible_index_breaks_the_channel),
		TEST(an_impossible_packet_breaks_the_channel),
		TEST(packets_before_the_broken_one_are_delivered),
		TEST(sending_over_a_broken_ring_tells_the_owner_later),
		TEST(a_broken_channel_harms_no_other),
		TEST(floods_in_both_directions_arrive_without_needless_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
