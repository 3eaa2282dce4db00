/* test/fuzz/hostile.c - a host that does whatever the input says. */
#include "hostile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static void hostile_ack(void *arg)
{
	struct hostile *h = arg;
	eventfd_t n;

	eventfd_read(h->wake_fd, &n);
}

static void hostile_signal(void *arg)
{
	(void)arg;
}

static void on_packet(void *arg, const struct packet *p)
{
	struct hostile *h = arg;

	ic_packet(h->ic, p);
}

/* As hv_utilsd does: the driver hears that the channel is gone. */
static void on_broken(void *arg, int err)
{
	struct hostile *h = arg;

	(void)err;
	ic_channel(h->ic, NULL);
	channel_free(h->channel);
	h->channel = NULL;
}

static void on_writable(void *arg)
{
	struct hostile *h = arg;

	ic_writable(h->ic);
}

static void channel_open(struct hostile *h)
{
	static const struct channel_ops ops = { on_packet, on_broken,
						on_writable };
	const struct channel_port port = {
		.tx = h->rings, .rx = h->rings + HOSTILE_RING,
		.tx_len = HOSTILE_RING, .rx_len = HOSTILE_RING,
		.wake_fd = h->wake_fd,
		.ack = hostile_ack, .signal = hostile_signal, .arg = h,
	};

	memset(h->rings, 0, 2 * HOSTILE_RING);
	ring_tx_init(&h->to_guest, h->rings + HOSTILE_RING, HOSTILE_RING);
	ring_rx_init(&h->from_guest, h->rings, HOSTILE_RING);
	h->channel = channel_new(h->loop, &port, &ops, h);
	if (!h->channel)
		abort();
	ic_channel(h->ic, h->channel);
	h->put = h->answers = 0;
	h->poked = false;
}

/* Steps ----------------------------------------------------------------- */

const uint8_t *take(struct rd *r, size_t want, size_t *n)
{
	*n = want < r->left ? want : r->left;
	return rd_bytes(r, *n);
}

/* A packet as the input says it, filled up with zeros to a message's full size
 * so that requests are within reach. */
static void put_packet(struct hostile *h, struct rd *r)
{
	uint8_t payload[HOSTILE_MAX] = { 1, 0, 0, 0 };
	uint8_t desc[PACKET_DESC];
	size_t n, len = h->sizes[rd_u8(r) % 3 == 0];
	const uint8_t *bytes = take(r, rd_le16(r) % 600, &n);
	struct packet p = { .type = PACKET_INBAND, .xact = rd_u8(r),
			    .data = payload, .len = len };
	struct iovec iov[2] = { { desc, sizeof(desc) }, { payload, len } };
	struct wr head = wr_of(payload + 4, 4);

	wr_le32(&head, (uint32_t)(len - 8));
	if (bytes && n)
		memcpy(payload + 8, bytes, n);
	packet_desc_put(desc, &p);
	if (ring_put(&h->to_guest, iov, 2) == 0) {
		h->put++;
		ring_publish(&h->to_guest);
	}
}

static void put_raw(struct hostile *h, struct rd *r)
{
	size_t n;
	const uint8_t *bytes = take(r, (rd_le16(r) % 64u + 2) * 8, &n);
	struct iovec iov = { (void *)(uintptr_t)bytes, n & ~(size_t)7 };

	if (bytes && iov.iov_len >= 16 &&
	    ring_put(&h->to_guest, &iov, 1) == 0) {
		h->put++;
		h->poked = true;	/* lengths may lie */
		ring_publish(&h->to_guest);
	}
}

static void poke(struct hostile *h, struct rd *r)
{
	size_t n, at = rd_le32(r) % (2 * HOSTILE_RING - 64);
	const uint8_t *bytes = take(r, rd_u8(r) % 64, &n);

	h->poked = true;
	if (bytes && n)
		memcpy(h->rings + at, bytes, n);
}

static void poke_index(struct hostile *h, struct rd *r)
{
	static const unsigned at[] = { 0, 4, 8, 12, 64 };
	unsigned which = rd_u8(r);
	uint32_t v = rd_le32(r);

	h->poked = true;
	memcpy(h->rings + (which & 8 ? HOSTILE_RING : 0) + at[which % 5], &v, 4);
}

static void read_answers(struct hostile *h)
{
	static uint8_t buf[CHANNEL_PACKET_MAX];

	for (unsigned i = 0; i < 32; i++) {
		if (ring_get(&h->from_guest, buf, sizeof(buf)) <= 0)
			break;
		h->answers++;
	}
	ring_release(&h->from_guest);
	if (!h->poked && h->answers > h->put)
		abort();
}

static void step(struct hostile *h, struct rd *r,
		 void (*clients)(void *arg, struct rd *r), void *arg)
{
	switch (rd_u8(r) % 8) {
	case 0:
	case 1:
		put_packet(h, r);
		break;
	case 2:
		put_raw(h, r);
		break;
	case 3:
		poke(h, r);
		break;
	case 4:
		poke_index(h, r);
		break;
	case 5:
		clients(arg, r);
		break;
	case 6:
		read_answers(h);
		break;
	case 7:
		loop_advance(h->loop, rd_u8(r) * 250u);
		break;
	}
	eventfd_write(h->wake_fd, 1);
	for (unsigned i = 0; i < 4; i++)
		loop_once(h->loop, false);
	if (!h->channel)
		channel_open(h);
}

static void keep_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

void hostile_init(struct hostile *h)
{
	log_capture(keep_quiet, NULL);
	memset(h, 0, sizeof(*h));
	h->loop = loop_new(LOOP_VIRTUAL);
	h->wake_fd = eventfd(0, EFD_NONBLOCK);
	h->rings = mmap(NULL, 2 * HOSTILE_RING, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void hostile_start(struct hostile *h, struct ic *ic, size_t small, size_t large)
{
	h->ic = ic;
	h->sizes[0] = small;
	h->sizes[1] = large;
	channel_open(h);
}

void hostile_run(struct hostile *h, struct rd *r,
		 void (*clients)(void *arg, struct rd *r), void *arg)
{
	for (unsigned i = 0; i < HOSTILE_STEPS && r->left; i++)
		step(h, r, clients, arg);
}

void hostile_stop(struct hostile *h)
{
	ic_channel(h->ic, NULL);
	channel_free(h->channel);
}

void hostile_free(struct hostile *h)
{
	munmap(h->rings, 2 * HOSTILE_RING);
	close(h->wake_fd);
	loop_free(h->loop);
}
