/* vmbus/channel.c - reading and writing one open channel from the loop.
 *
 * The reader runs in rounds of at most CHANNEL_BURST packets with the peer's
 * signals masked. A round that finds the ring empty unmasks and looks once
 * more; one that does not, or whose second look finds something, asks the loop
 * for another round by watching `again`, a descriptor that is always readable.
 * So a peer that never stops sending cannot keep the loop from its timers.
 *
 * Packets sent inside callbacks are published at the end of the round, other
 * ones at once. Callbacks may free the channel: whoever calls one looks at
 * `gone` before touching the channel again.
 */
#include "vmbus/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmbus/ring.h"

struct channel {
	struct ring_tx tx;
	struct ring_rx rx;
	struct channel_port port;
	const struct channel_ops *ops;
	void *arg;
	struct loop_io *wake, *again;
	int again_fd;
	int err;		/* why it is broken, 0 = it is not */
	bool told;		/* ops->broken was called */
	bool paused;
	bool in_round;		/* publish later */
	bool expect_signal;	/* one may come for what we found ourselves */
	size_t blocked_len;	/* packet we wait for room for, 0 = none */
	bool *gone;		/* set when the channel is freed in a callback */
	struct channel_stats stats;
	uint8_t packet[CHANNEL_PACKET_MAX];	/* the copy that is looked at */
};

static void on_wake(void *arg, unsigned events);
static void on_again(void *arg, unsigned events);

struct channel *channel_new(struct loop *l, const struct channel_port *port,
			    const struct channel_ops *ops, void *arg)
{
	struct channel *c = calloc(1, sizeof(*c));
	int err = ENOMEM;

	if (!c)
		return NULL;
	c->port = *port;
	c->ops = ops;
	c->arg = arg;
	c->again_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->again_fd < 0) {
		err = errno;
		goto fail;
	}
	err = EINVAL;
	if (ring_tx_init(&c->tx, port->tx, port->tx_len) < 0 ||
	    ring_rx_init(&c->rx, port->rx, port->rx_len) < 0)
		goto fail;
	err = ENOMEM;
	c->wake = loop_io_new(l, port->wake_fd, LOOP_READ, on_wake, c);
	c->again = loop_io_new(l, c->again_fd, LOOP_READ, on_again, c);
	if (!c->wake || !c->again)
		goto fail;
	return c;
fail:
	channel_free(c);
	errno = err;
	return NULL;
}

void channel_free(struct channel *c)
{
	if (!c)
		return;
	if (c->gone)
		*c->gone = true;
	loop_io_free(c->wake);
	loop_io_free(c->again);
	if (c->again_fd >= 0)
		close(c->again_fd);
	free(c);
}

static void want_round(struct channel *c, bool want)
{
	loop_io_want(c->again, want ? LOOP_READ : 0);
}

/* Remember that the peer broke the rings. It is told from the loop, never from
 * inside a call of the owner's. */
static void break_channel(struct channel *c, int err)
{
	if (c->err)
		return;
	c->err = err;
	loop_io_want(c->wake, 0);
	want_round(c, true);
}

static void signal_if(struct channel *c, int wanted)
{
	if (wanted < 0) {
		break_channel(c, wanted);
	} else if (wanted) {
		c->stats.signals_sent++;
		c->port.signal(c->port.arg);
	}
}

/* The ring is full: ask for a signal, or find that there is room by now. */
static int wait_for_room(struct channel *c, size_t len)
{
	int room;

	signal_if(c, ring_publish(&c->tx));
	room = ring_block(&c->tx, len);
	if (room < 0)
		return room;
	if (room) {
		c->expect_signal = true;
		return 0;
	}
	c->blocked_len = len;
	c->stats.tx_full++;
	return -EAGAIN;
}

static int put(struct channel *c, const struct packet *p)
{
	uint8_t desc[PACKET_DESC];
	struct iovec iov[] = {
		{ desc, sizeof(desc) },
		{ (void *)p->ranges, p->ranges_len },
		{ (void *)p->data, p->len },
	};
	int err = packet_desc_put(desc, p);

	if (err < 0)
		return err;
	err = ring_put(&c->tx, iov, 3);
	if (err != -EAGAIN)
		return err;
	err = wait_for_room(c, packet_size(p));
	return err < 0 ? err : ring_put(&c->tx, iov, 3);
}

int channel_send(struct channel *c, const struct packet *p)
{
	int err = c->err ? -EPIPE : put(c, p);

	if (err == -EBADMSG) {
		break_channel(c, err);
		return -EPIPE;
	}
	if (err < 0)
		return err;
	c->stats.tx_packets++;
	c->stats.tx_bytes += p->len;
	if (!c->in_round)
		signal_if(c, ring_publish(&c->tx));
	return 0;
}

void channel_pause(struct channel *c, bool pause)
{
	if (c->paused == pause)
		return;
	c->paused = pause;
	if (c->err)
		return;
	if (pause) {
		ring_mask(&c->rx);
	} else {
		c->expect_signal = true;
		want_round(c, true);
	}
}

void channel_stats_get(const struct channel *c, struct channel_stats *s)
{
	*s = c->stats;
}

/* Tell the owner about room, once. Returns whether there was news. */
static bool look_for_room(struct channel *c)
{
	int room;

	if (!c->blocked_len)
		return false;
	room = ring_fits(&c->tx, c->blocked_len);
	if (room < 0)
		break_channel(c, room);
	if (room <= 0)
		return false;
	ring_unblock(&c->tx);
	c->blocked_len = 0;
	if (c->ops->writable)
		c->ops->writable(c->arg);
	return true;
}

/* Deliver one packet. 1, 0 when the ring is empty, or -EBADMSG. */
static int deliver(struct channel *c)
{
	ssize_t len = ring_get(&c->rx, c->packet, sizeof(c->packet));
	struct packet p;

	if (len <= 0)
		return len ? -EBADMSG : 0;
	if (packet_get(&p, c->packet, (size_t)len) < 0)
		return -EBADMSG;
	c->stats.rx_packets++;
	c->stats.rx_bytes += p.len;
	c->ops->packet(c->arg, &p);
	return 1;
}

/* Up to a burst of packets. Returns how many; the round goes on unless the
 * channel is gone. *more: the ring may hold others. */
static unsigned read_burst(struct channel *c, const bool *gone, bool *more)
{
	unsigned n = 0;
	int got = 1;

	ring_mask(&c->rx);
	while (n < CHANNEL_BURST && !c->paused && !c->err) {
		got = deliver(c);
		if (got <= 0)
			break;
		n++;
		if (*gone)
			return n;
	}
	*more = got > 0;
	if (got < 0)
		break_channel(c, got);
	return n;
}

/* Give back what was read and show what was sent. Then sleep if the ring is
 * empty. Returns whether another round is needed. */
static bool end_round(struct channel *c, bool more)
{
	int found = 0;

	signal_if(c, ring_release(&c->rx));
	signal_if(c, ring_publish(&c->tx));
	if (c->paused)
		return false;
	if (more)
		return true;
	found = ring_unmask(&c->rx);
	if (found < 0)
		break_channel(c, found);
	if (found > 0) {
		ring_mask(&c->rx);
		c->expect_signal = true;
	}
	return found > 0;
}

static void report_broken(struct channel *c)
{
	want_round(c, false);
	if (c->told)
		return;
	c->told = true;
	c->ops->broken(c->arg, c->err);
}

/* A signal should bring packets or room. One that brought neither was needless
 * unless we had found by ourselves what it was sent for. */
static void judge_signal(struct channel *c, unsigned packets, bool room)
{
	if (packets && room)
		c->expect_signal = true;	/* one each, perhaps */
	else if (packets || room || c->paused)
		return;
	else if (c->expect_signal)
		c->expect_signal = false;
	else
		c->stats.signals_needless++;
}

static void run_round(struct channel *c, bool signalled)
{
	bool gone = false, more = false, room;
	unsigned n;

	if (c->err) {
		report_broken(c);
		return;
	}
	assert(!c->gone);		/* callbacks do not run the loop */
	c->gone = &gone;
	c->in_round = true;
	room = look_for_room(c);
	if (gone)
		return;
	n = read_burst(c, &gone, &more);
	if (gone)
		return;
	c->in_round = false;
	c->gone = NULL;
	if (signalled)
		judge_signal(c, n, room);
	else if (room)
		c->expect_signal = true;	/* on its way */
	if (!c->err)
		more = end_round(c, more);
	want_round(c, more || c->err);
}

static void on_wake(void *arg, unsigned events)
{
	struct channel *c = arg;

	(void)events;
	c->stats.signals_got++;
	c->port.ack(c->port.arg);
	run_round(c, true);
}

static void on_again(void *arg, unsigned events)
{
	(void)events;
	run_round(arg, false);
}
