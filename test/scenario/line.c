/* test/scenario/line.c - one service's way through one process. */
#include "line.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void end_signal(void *arg)
{
	struct line_end *e = arg;

	assert_int_equal(eventfd_write(e->peer_fd, 1), 0);
}

static void end_ack(void *arg)
{
	struct line_end *e = arg;
	eventfd_t n;

	eventfd_read(e->wake_fd, &n);
}

static struct channel *end_open(struct line *l, struct line_end *e, bool host,
				const struct channel_ops *ops)
{
	const struct channel_port port = {
		.tx = l->rings + (host ? LINE_RING : 0),
		.rx = l->rings + (host ? 0 : LINE_RING),
		.tx_len = LINE_RING, .rx_len = LINE_RING,
		.wake_fd = e->wake_fd,
		.ack = end_ack, .signal = end_signal, .arg = e,
	};
	struct channel *c = channel_new(l->loop, &port, ops, l);

	assert_non_null(c);
	return c;
}

/* The host's end -------------------------------------------------------- */

static void host_packet(void *arg, const struct packet *p)
{
	struct line *l = arg;

	host_ic_packet(l->host_ic, p);
}

static void host_broken(void *arg, int err)
{
	(void)arg;
	fail_msg("the guest broke the ring: %s", strerror(-err));
}

static void host_writable(void *arg)
{
	struct line *l = arg;

	host_ic_writable(l->host_ic);
}

static int host_send(void *arg, const struct packet *p, bool quiet)
{
	struct line *l = arg;

	(void)quiet;
	return channel_send(l->host.channel, p);
}

static void host_ready(void *arg)
{
	struct line *l = arg;

	l->ready++;
	if (l->on_ready)
		l->on_ready(l->arg);
}

static void host_lost(void *arg)
{
	struct line *l = arg;

	if (l->on_lost)
		l->on_lost(l->arg);
}

static void host_violation(void *arg, const char *text)
{
	struct line *l = arg;

	l->violations++;
	snprintf(l->violation, sizeof(l->violation), "%s", text);
}

/* The guest's end ------------------------------------------------------- */

static void guest_packet(void *arg, const struct packet *p)
{
	struct line *l = arg;

	ic_packet(l->ic, p);
}

static void guest_broken(void *arg, int err)
{
	(void)arg;
	fail_msg("the host broke the ring: %s", strerror(-err));
}

static void guest_writable(void *arg)
{
	struct line *l = arg;

	ic_writable(l->ic);
}

/* Both ------------------------------------------------------------------ */

void line_open(struct line *l)
{
	static const struct channel_ops host_ops = {
		host_packet, host_broken, host_writable
	};
	static const struct channel_ops guest_ops = {
		guest_packet, guest_broken, guest_writable
	};
	const struct host_ic_port port = { host_send, l };

	memset(l->rings, 0, 2 * LINE_RING);
	l->host.channel = end_open(l, &l->host, true, &host_ops);
	l->guest.channel = end_open(l, &l->guest, false, &guest_ops);
	ic_channel(l->ic, l->guest.channel);
	host_ic_open(l->host_ic, &port);
}

void line_close(struct line *l)
{
	host_ic_close(l->host_ic);
	ic_channel(l->ic, NULL);
	channel_free(l->host.channel);
	channel_free(l->guest.channel);
	end_ack(&l->host);
	end_ack(&l->guest);
}

void line_init(struct line *l, struct loop *loop,
	       const struct host_ic_cfg *cfg, struct ic *ic)
{
	static const struct host_ic_ops ops = {
		host_ready, host_lost, host_violation
	};

	memset(l, 0, sizeof(*l));
	l->loop = loop;
	l->ic = ic;
	l->rings = mmap(NULL, 2 * LINE_RING, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(l->rings, MAP_FAILED);
	l->host.wake_fd = l->guest.peer_fd = eventfd(0, EFD_NONBLOCK);
	l->guest.wake_fd = l->host.peer_fd = eventfd(0, EFD_NONBLOCK);
	l->host_ic = host_ic_new(loop, cfg, &ops, l);
	assert_non_null(l->host_ic);
}

void line_free(struct line *l)
{
	host_ic_free(l->host_ic);
	close(l->host.wake_fd);
	close(l->guest.wake_fd);
	munmap(l->rings, 2 * LINE_RING);
}

void line_settle(struct loop *loop)
{
	/* A round may make the next one ready; an idle one ends it. */
	for (int idle = 0, i = 0; idle < 2; i++) {
		assert_true(i < 100000);
		loop_advance(loop, 0);
		idle = loop_once(loop, false) > 0 ? 0 : idle + 1;
	}
}
