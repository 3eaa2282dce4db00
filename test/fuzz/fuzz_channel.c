/* test/fuzz/fuzz_channel.c - the whole guest side of a channel, ring, IC and
 * KVP driver, with a hostile host: it writes good and bad packets, rewrites
 * the rings' memory under the guest, lets time pass, and the daemon comes,
 * answers and dies in between. The input is a list of steps.
 *
 * Whatever happens, the guest may not send more answers than it got packets.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "kvp/kvp.h"
#include "vmbus/ring.h"

enum { RING = 20480, STEPS = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct loop *loop;
	uint8_t *rings;			/* the guest's tx, then its rx */
	struct ring_tx to_guest;
	struct ring_rx from_guest;
	int wake_fd;
	struct channel *channel;
	struct kvp *kvp;
	enum kvp_form form;
	bool daemon;
	struct kvp_msg asked;
	uint64_t put, answers;
	bool poked;			/* the rings were tampered with */
};

static void world_ack(void *arg)
{
	struct world *w = arg;
	eventfd_t n;

	eventfd_read(w->wake_fd, &n);
}

static void world_signal(void *arg)
{
	(void)arg;
}

static void on_packet(void *arg, const struct packet *p)
{
	struct world *w = arg;

	ic_packet(kvp_ic(w->kvp), p);
}

/* As hv_utilsd does: the driver hears that the channel is gone. */
static void on_broken(void *arg, int err)
{
	struct world *w = arg;

	(void)err;
	ic_channel(kvp_ic(w->kvp), NULL);
	channel_free(w->channel);
	w->channel = NULL;
}

static void on_writable(void *arg)
{
	struct world *w = arg;

	ic_writable(kvp_ic(w->kvp));
}

static void channel_open(struct world *w)
{
	static const struct channel_ops ops = { on_packet, on_broken,
						on_writable };
	const struct channel_port port = {
		.tx = w->rings, .rx = w->rings + RING,
		.tx_len = RING, .rx_len = RING, .wake_fd = w->wake_fd,
		.ack = world_ack, .signal = world_signal, .arg = w,
	};

	memset(w->rings, 0, 2 * RING);
	ring_tx_init(&w->to_guest, w->rings + RING, RING);
	ring_rx_init(&w->from_guest, w->rings, RING);
	w->channel = channel_new(w->loop, &port, &ops, w);
	if (!w->channel)
		abort();
	ic_channel(kvp_ic(w->kvp), w->channel);
	w->put = w->answers = 0;
	w->poked = false;
}

static int daemon_gets(void *arg, const void *buf, size_t len)
{
	struct world *w = arg;

	(void)kvp_devmsg_get_request(&w->asked, w->form, buf, len);
	return 0;
}

/* Steps ----------------------------------------------------------------- */

static const uint8_t *take(struct rd *r, size_t want, size_t *n)
{
	*n = want < r->left ? want : r->left;
	return rd_bytes(r, *n);
}

/* A packet as the input says it; a KVP body is filled up to its full size so
 * that requests are within reach. */
static void put_packet(struct world *w, struct rd *r)
{
	uint8_t payload[8192] = { 1, 0, 0, 0 };
	uint8_t desc[PACKET_DESC];
	size_t n, len = rd_u8(r) % 3 == 0 ? 7456 : 2608;
	const uint8_t *bytes = take(r, rd_le16(r) % 600, &n);
	struct packet p = { .type = PACKET_INBAND, .xact = rd_u8(r),
			    .data = payload, .len = len };
	struct iovec iov[2] = { { desc, sizeof(desc) }, { payload, len } };
	struct wr head = wr_of(payload + 4, 4);

	wr_le32(&head, (uint32_t)(len - 8));
	if (bytes && n)
		memcpy(payload + 8, bytes, n);
	packet_desc_put(desc, &p);
	if (ring_put(&w->to_guest, iov, 2) == 0) {
		w->put++;
		ring_publish(&w->to_guest);
	}
}

static void put_raw(struct world *w, struct rd *r)
{
	size_t n;
	const uint8_t *bytes = take(r, (rd_le16(r) % 64u + 2) * 8, &n);
	struct iovec iov = { (void *)(uintptr_t)bytes, n & ~(size_t)7 };

	if (bytes && iov.iov_len >= 16 &&
	    ring_put(&w->to_guest, &iov, 1) == 0) {
		w->put++;
		w->poked = true;	/* lengths may lie */
		ring_publish(&w->to_guest);
	}
}

static void poke(struct world *w, struct rd *r)
{
	size_t n, at = rd_le32(r) % (2 * RING - 64);
	const uint8_t *bytes = take(r, rd_u8(r) % 64, &n);

	w->poked = true;
	if (bytes && n)
		memcpy(w->rings + at, bytes, n);
}

static void poke_index(struct world *w, struct rd *r)
{
	static const unsigned at[] = { 0, 4, 8, 12, 64 };
	unsigned which = rd_u8(r);
	uint32_t v = rd_le32(r);

	w->poked = true;
	memcpy(w->rings + (which & 8 ? RING : 0) + at[which % 5], &v, 4);
}

static void daemon_step(struct world *w, struct rd *r)
{
	const struct kvp_daemon d = { daemon_gets, w };
	uint8_t buf[KVP_DEVMSG_MAX] = { 0 };
	unsigned what = rd_u8(r);
	const uint8_t *bytes;
	size_t n;

	if (!w->daemon) {
		w->form = what % 2 ? KVP_FORM_LINUX : KVP_FORM_FREEBSD;
		kvp_devmsg_put_register(buf, w->form);
		w->daemon = kvp_daemon_open(w->kvp, &d) == 0 &&
			kvp_daemon_message(w->kvp, buf,
					   kvp_devmsg_size(w->form)) == 0;
	} else if (what < 16) {
		kvp_daemon_gone(w->kvp);
		w->daemon = false;
	} else {
		kvp_devmsg_put_answer(buf, w->form, &w->asked);
		bytes = take(r, what % 64, &n);
		if (bytes && n)
			memcpy(buf, bytes, n);
		kvp_daemon_message(w->kvp, buf, kvp_devmsg_size(w->form));
	}
}

static void read_answers(struct world *w)
{
	static uint8_t buf[CHANNEL_PACKET_MAX];

	for (unsigned i = 0; i < 32; i++) {
		if (ring_get(&w->from_guest, buf, sizeof(buf)) <= 0)
			break;
		w->answers++;
	}
	ring_release(&w->from_guest);
	if (!w->poked && w->answers > w->put)
		abort();
}

static void step(struct world *w, struct rd *r)
{
	switch (rd_u8(r) % 8) {
	case 0:
	case 1:
		put_packet(w, r);
		break;
	case 2:
		put_raw(w, r);
		break;
	case 3:
		poke(w, r);
		break;
	case 4:
		poke_index(w, r);
		break;
	case 5:
		daemon_step(w, r);
		break;
	case 6:
		read_answers(w);
		break;
	case 7:
		loop_advance(w->loop, rd_u8(r) * 250u);
		break;
	}
	eventfd_write(w->wake_fd, 1);
	for (unsigned i = 0; i < 4; i++)
		loop_once(w->loop, false);
	if (!w->channel)
		channel_open(w);
}

static void keep_quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct kvp_cfg cfg = { 2500, 25000, 50000 };
	struct rd r = rd_of(data, size);
	struct world w = { 0 };

	log_capture(keep_quiet, NULL);
	w.loop = loop_new(LOOP_VIRTUAL);
	w.wake_fd = eventfd(0, EFD_NONBLOCK);
	w.rings = mmap(NULL, 2 * RING, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	w.kvp = kvp_new(w.loop, &cfg);
	channel_open(&w);
	for (unsigned i = 0; i < STEPS && r.left; i++)
		step(&w, &r);
	ic_channel(kvp_ic(w.kvp), NULL);
	channel_free(w.channel);
	kvp_free(w.kvp);
	munmap(w.rings, 2 * RING);
	close(w.wake_fd);
	loop_free(w.loop);
	return 0;
}
