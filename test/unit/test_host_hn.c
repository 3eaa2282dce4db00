/* test/unit/test_host_hn.c - the host's side of a network channel, against a
 * guest that says what a test wants it to, rightly or not. There is no bus: the
 * port keeps what the host sends. A guest as it should be is in
 * test_host_hn_guest.c. */
#include "host/host_hn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rd.h"
#include "base/wr.h"

enum {
	RECV_LEN = 256 * 1024, SEND_LEN = 64 * 1024, SECTION = 6144,
	SLOT = 1514 + 256 + 36, MAX_SENT = 4096, PAGE = 4096, PAGES = 4,
};

struct sent {
	uint16_t type, flags;
	uint64_t xact;
	size_t len;
	uint8_t data[104];
	unsigned n_ranges;
	uint16_t pageset;
	struct packet_xfer ranges[512];
};

struct rig {
	struct loop *l;
	struct host_hn *n;
	struct sent *sent;
	unsigned n_sent, full_after;	/* the ring takes that many more */
	bool full, paused;
	uint8_t *recv, *send;
	uint8_t pages[PAGES * PAGE];
	uint64_t xact;
	unsigned ups, downs, frames, rooms, violations, paths;
	enum nvs_path path;
	uint32_t filter;
	char why[160];
	uint8_t frame[70000];
	size_t frame_len;
	uint16_t mss;
	bool partial;
};

/* The port --------------------------------------------------------------- */

static int port_send(void *arg, const struct packet *p)
{
	struct rig *g = arg;
	struct sent *s = &g->sent[g->n_sent];
	int n;

	if (g->full)
		return -EAGAIN;
	assert_true(g->n_sent < MAX_SENT);
	memset(s, 0, sizeof(*s));
	s->type = p->type;
	s->flags = p->flags;
	s->xact = p->xact;
	s->len = p->len;
	if (p->len)
		memcpy(s->data, p->data, p->len);
	if (p->type == PACKET_XFER_PAGES) {
		n = packet_xfer_get(&s->pageset, s->ranges, 512, p);
		assert_true(n > 0);
		s->n_ranges = (unsigned)n;
	}
	g->n_sent++;
	return 0;
}

static void port_pause(void *arg, bool pause)
{
	((struct rig *)arg)->paused = pause;
}

static void *port_gpadl(void *arg, uint32_t handle, size_t *len)
{
	struct rig *g = arg;

	*len = handle == 1 ? RECV_LEN : handle == 2 ? SEND_LEN : 0;
	return handle == 1 ? g->recv : handle == 2 ? g->send : NULL;
}

static int port_read(void *arg, uint64_t addr, void *dst, size_t len)
{
	struct rig *g = arg;

	if (addr > sizeof(g->pages) || len > sizeof(g->pages) - addr)
		return -EFAULT;
	memcpy(dst, g->pages + addr, len);
	return 0;
}

/* The owner -------------------------------------------------------------- */

static void on_up(void *arg)
{
	((struct rig *)arg)->ups++;
}

static void on_down(void *arg)
{
	((struct rig *)arg)->downs++;
}

static void on_frame(void *arg, const struct host_frame *f)
{
	struct rig *g = arg;

	g->frames++;
	g->frame_len = f->len;
	g->mss = f->mss;
	g->partial = f->partial;
	assert_true(f->len <= sizeof(g->frame));
	memcpy(g->frame, f->data, f->len);
}

static void on_path(void *arg, enum nvs_path path)
{
	((struct rig *)arg)->paths++;
	((struct rig *)arg)->path = path;
}

static void on_filter(void *arg, uint32_t filter)
{
	((struct rig *)arg)->filter = filter;
}

static void on_room(void *arg)
{
	((struct rig *)arg)->rooms++;
}

static void on_violation(void *arg, const char *text)
{
	struct rig *g = arg;

	g->violations++;
	snprintf(g->why, sizeof(g->why), "%s", text);
}

static const struct host_hn_ops ops = {
	on_up, on_down, on_frame, on_path, on_filter, on_room, on_violation,
	NULL,
};

/* The guest -------------------------------------------------------------- */

static void packet(struct rig *g, uint16_t type, uint64_t xact, bool want,
		   const uint32_t *words, unsigned n)
{
	uint8_t msg[40] = { 0 };
	struct wr w = wr_of(msg, sizeof(msg));
	struct packet p = {
		.type = type, .flags = want ? PACKET_WANT_COMPLETION : 0,
		.xact = xact, .data = msg, .len = sizeof(msg),
	};

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, words[i]);
	host_hn_packet(g->n, &p);
}

#define SAY(g, want, ...) do {						      \
	const uint32_t words_[] = { __VA_ARGS__ };			      \
									      \
	packet(g, PACKET_INBAND, ++(g)->xact, want, words_,		      \
	       sizeof(words_) / 4);					      \
} while (0)

static uint32_t word(const struct sent *s, unsigned i)
{
	struct rd r = rd_of(s->data + i * 4, 4);

	return rd_le32(&r);
}

static struct sent *last(struct rig *g)
{
	assert_true(g->n_sent > 0);
	return &g->sent[g->n_sent - 1];
}

static struct rig *start(const struct host_hn_manners *m)
{
	struct host_hn_cfg cfg = {
		.name = "Network Adapter", .mac = { 0, 0x15, 0x5d, 1, 2, 3 },
		.speed_bps = 10000000000, .link_gap_ms = 5000, .manners = *m,
	};
	struct rig *g = calloc(1, sizeof(*g));
	struct host_hn_port port = {
		port_send, port_pause, port_gpadl, port_read, g,
	};

	assert_non_null(g);
	g->l = loop_new(LOOP_VIRTUAL);
	g->sent = calloc(MAX_SENT, sizeof(*g->sent));
	g->recv = calloc(1, RECV_LEN);
	g->send = calloc(1, SEND_LEN);
	g->n = host_hn_new(g->l, &cfg, &ops, g);
	host_hn_open(g->n, &port);
	return g;
}

static void stop(struct rig *g)
{
	host_hn_free(g->n);
	loop_free(g->l);
	free(g->sent);
	free(g->recv);
	free(g->send);
	free(g);
}

static void set_up(struct rig *g, uint32_t version)
{
	SAY(g, true, NVS_INIT, version, version);
	if (version >= NVS_V2)
		SAY(g, false, NVS_NDIS_CONFIG, 1514, 0, NVS_CAP_SRIOV, 0);
	SAY(g, false, NVS_NDIS_VERSION, 6, 30);
	SAY(g, true, NVS_RECV_BUF, 1, NVS_RECV_BUF_ID);
	SAY(g, true, NVS_SEND_BUF, 2, NVS_SEND_BUF_ID);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_READY);
}

/* Words into section i, then the message that names it. */
static void rndis(struct rig *g, uint32_t channel, const uint32_t *words,
		  unsigned n)
{
	struct wr w = wr_of(g->send, SECTION);

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, words[i]);
	SAY(g, true, NVS_RNDIS, channel, 0, n * 4);
}

#define CONTROL(g, ...) do {						      \
	const uint32_t words_[] = { __VA_ARGS__ };			      \
									      \
	rndis(g, NVS_RNDIS_CONTROL, words_, sizeof(words_) / 4);	      \
} while (0)

/* Everything that was sent to the guest is done with. */
static void complete_all(struct rig *g, unsigned from)
{
	unsigned n = g->n_sent;
	const uint32_t ok[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };

	for (unsigned i = from; i < n; i++) {
		if (g->sent[i].type == PACKET_XFER_PAGES)
			packet(g, PACKET_COMPLETION, g->sent[i].xact, false,
			       ok, 2);
	}
}

static void bring_up(struct rig *g, uint32_t version)
{
	unsigned from;

	set_up(g, version);
	from = g->n_sent;
	CONTROL(g, RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000);
	CONTROL(g, RNDIS_SET, 32, 2, RNDIS_OID_FILTER, 4, 20, 0, 0x0d);
	complete_all(g, from);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_UP);
	assert_int_equal(g->ups, 1);
	assert_int_equal(g->violations, 0);
	g->n_sent = 0;
}

static uint32_t answer(struct rig *g, unsigned i)
{
	struct rd r = rd_of(g->recv + last(g)->ranges[0].offset + i * 4, 4);

	return rd_le32(&r);
}

static int deliver(struct rig *g, uint8_t *data, size_t len)
{
	return host_hn_deliver(g->n, &(struct host_frame){ .data = data,
							   .len = len });
}

/* Claims: set-up --------------------------------------------------------- */

static void answers_the_set_up_of_every_version(void **state)
{
	static const uint32_t all[] = {
		NVS_V1, NVS_V2, NVS_V4, NVS_V5, NVS_V6, NVS_V6_1,
	};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct rig *g = start(&(struct host_hn_manners){ 0 });

		set_up(g, all[i]);
		assert_int_equal(host_hn_version(g->n), all[i]);
		assert_int_equal(g->n_sent, 3);
		assert_int_equal(g->sent[0].len, 28);
		assert_int_equal(word(&g->sent[0], 3), NVS_S_OK);
		assert_int_equal(g->sent[1].len, 40);
		assert_int_equal(word(&g->sent[1], 1), NVS_S_OK);
		assert_int_equal(word(&g->sent[1], 4), SLOT);
		assert_int_equal(word(&g->sent[1], 5), RECV_LEN / SLOT);
		assert_int_equal(word(&g->sent[2], 2), SECTION);
		stop(g);
	}
}

static void a_refused_version_is_not_the_end(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ .newest = NVS_V5,
							 .init_status = 7 });

	(void)state;
	SAY(g, true, NVS_INIT, NVS_V6_1, NVS_V6_1);
	assert_int_equal(word(last(g), 3), 7);
	SAY(g, true, NVS_INIT, 0x50001, NVS_V5);	/* by the first one */
	assert_int_equal(word(last(g), 3), 7);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_NEGOTIATING);
	set_up(g, NVS_V5);
	assert_int_equal(g->violations, 0);
	stop(g);
}

static void an_mtu_out_of_bounds_is_replaced(void **state)
{
	static const uint32_t sizes[][2] = {
		{ 1513, 1500 }, { 1514, 1500 }, { 9014, 9000 }, { 9216, 9202 },
		{ 9217, 1500 }, { 0, 1500 }, { 0xffffffff, 1500 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct rig *g = start(&(struct host_hn_manners){ 0 });

		SAY(g, true, NVS_INIT, NVS_V5, NVS_V5);
		SAY(g, false, NVS_NDIS_CONFIG, sizes[i][0], 0, 0, 0);
		SAY(g, true, NVS_RECV_BUF, 1, NVS_RECV_BUF_ID);
		assert_int_equal(host_hn_mtu(g->n), sizes[i][1]);
		assert_int_equal(word(last(g), 4), sizes[i][1] + 14 + 292);
		stop(g);
	}
}

static void refuses_a_set_up_out_of_order(void **state)
{
	static const struct {
		uint32_t version;
		uint32_t types[3];
	} wrong[] = {
		{ 0, { NVS_NDIS_VERSION } },
		{ 0, { NVS_RNDIS } },
		{ NVS_V5, { NVS_INIT } },
		{ NVS_V5, { NVS_RECV_BUF } },		/* no configuration */
		{ NVS_V1, { NVS_NDIS_CONFIG } },
		{ NVS_V5, { NVS_NDIS_CONFIG, NVS_NDIS_CONFIG } },
		{ NVS_V5, { NVS_NDIS_VERSION, NVS_NDIS_VERSION } },
		{ NVS_V5, { NVS_NDIS_CONFIG, NVS_RECV_BUF, NVS_RECV_BUF } },
		{ NVS_V5, { NVS_SEND_BUF, NVS_SEND_BUF } },
		{ NVS_V5, { NVS_NDIS_CONFIG, NVS_NDIS_VERSION, NVS_RNDIS } },
		{ NVS_V5, { NVS_SWITCH_DATA_PATH } },
		{ NVS_V5, { 200 } },
		{ NVS_V5, { NVS_VF_ASSOCIATION } },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct rig *g = start(&(struct host_hn_manners){ 0 });

		if (wrong[i].version)
			SAY(g, true, NVS_INIT, wrong[i].version, 0);
		for (unsigned k = 0; k < 3 && wrong[i].types[k]; k++)
			SAY(g, true, wrong[i].types[k],
			    wrong[i].types[k] == NVS_SEND_BUF ? 2 : 1, 0, 0);
		assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
		assert_int_equal(g->violations, 1);
		/* Dead to all that follows, but not for ever. */
		SAY(g, true, NVS_INIT, NVS_V5, NVS_V5);
		assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
		stop(g);
	}
}

static void rndis_may_begin_without_a_send_buffer(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	const uint32_t init[] = { RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000 };
	uint8_t ranges[32], msg[40] = { 0 };
	struct wr r = wr_of(ranges, sizeof(ranges)), w = wr_of(msg, 40);
	struct wr page = wr_of(g->pages + PAGE + 8, 24);
	struct packet p = { .type = PACKET_GPA_DIRECT, .xact = 9,
			    .flags = PACKET_WANT_COMPLETION, .ranges = ranges,
			    .ranges_len = 24, .data = msg, .len = 40 };

	(void)state;
	SAY(g, true, NVS_INIT, NVS_V6_1, NVS_V6_1);
	SAY(g, false, NVS_NDIS_CONFIG, 1514, 0, 0, 0);
	SAY(g, false, NVS_NDIS_VERSION, 6, 30);
	SAY(g, true, NVS_RECV_BUF, 1, NVS_RECV_BUF_ID);
	for (unsigned i = 0; i < 6; i++)
		wr_le32(&page, init[i]);
	wr_le32(&r, 0x99);			/* garbage */
	wr_le32(&r, 1);
	wr_le32(&r, 24);
	wr_le32(&r, 8);
	wr_le64(&r, 1);
	wr_le32(&w, NVS_RNDIS);
	wr_le32(&w, NVS_RNDIS_CONTROL);
	wr_le32(&w, NVS_NO_SECTION);
	host_hn_packet(g->n, &p);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_UP);
	assert_int_equal(g->violations, 0);
	SAY(g, true, NVS_RNDIS, NVS_RNDIS_DATA, 0, 100);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
	stop(g);
}

static void a_guest_that_wants_an_empty_answer_gets_one(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	SAY(g, true, NVS_INIT, NVS_V5, NVS_V5);
	SAY(g, true, NVS_NDIS_CONFIG, 1514, 0, 0, 0);
	assert_int_equal(last(g)->type, PACKET_COMPLETION);
	assert_int_equal(last(g)->len, 0);
	assert_int_equal(last(g)->xact, g->xact);
	stop(g);
}

/* Claims: control -------------------------------------------------------- */

static void completes_first_and_answers_then(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	set_up(g, NVS_V6_1);
	g->n_sent = 0;
	CONTROL(g, RNDIS_INITIALIZE, 24, 77, 1, 0, 0x4000);
	assert_int_equal(g->n_sent, 2);
	assert_int_equal(g->sent[0].type, PACKET_COMPLETION);
	assert_int_equal(word(&g->sent[0], 0), NVS_RNDIS_COMPLETE);
	assert_int_equal(g->sent[1].type, PACKET_XFER_PAGES);
	assert_int_equal(g->sent[1].pageset, 0xcafe);
	assert_int_equal(g->sent[1].n_ranges, 1);
	assert_int_equal(g->sent[1].ranges[0].len, 52);
	assert_int_equal(word(&g->sent[1], 1), NVS_RNDIS_CONTROL);
	assert_int_equal(answer(g, 0), 0x80000002);
	assert_int_equal(answer(g, 2), 77);
	assert_int_equal(answer(g, 8), 8);
	assert_int_equal(answer(g, 10), 3);
	stop(g);
}

static void knows_every_object_that_guests_ask_for(void **state)
{
	static const struct {
		uint32_t oid, len, value;
	} all[] = {
		{ RNDIS_OID_SUPPORTED, 96, RNDIS_OID_HARDWARE_STATUS },
		{ RNDIS_OID_HARDWARE_STATUS, 4, 0 },
		{ RNDIS_OID_MAX_FRAME, 4, 1500 },
		{ RNDIS_OID_LINK_SPEED, 4, 100000000 },
		{ RNDIS_OID_TX_SPACE, 4, 262144 },
		{ RNDIS_OID_VENDOR_ID, 4, 0x155d },
		{ RNDIS_OID_FILTER, 4, 0 },
		{ RNDIS_OID_TOTAL_SIZE, 4, 1514 },
		{ RNDIS_OID_MEDIA_STATUS, 4, 0 },
		{ RNDIS_OID_MAX_SEND, 4, 0xffffffff },
		{ RNDIS_OID_RSS_CAPS, 18, 0x00120288 },
		{ RNDIS_OID_MAX_LINK_SPEED, 16, 0x540be400 },
		{ RNDIS_OID_LINK_STATE, 40, 0x00280180 },
		{ RNDIS_OID_FRIENDLY_NAME, 512, 'N' | 'e' << 16 },
		{ RNDIS_OID_MAC_PERMANENT, 6, 0x015d1500 },
		{ RNDIS_OID_MAC, 6, 0x015d1500 },
		{ RNDIS_OID_OFFLOAD_CAPS, 156, 0x009c03a7 },
	};
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	bring_up(g, NVS_V6_1);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		unsigned from = g->n_sent;

		CONTROL(g, RNDIS_QUERY, 28, 100 + i, all[i].oid, 0, 20, 0);
		assert_int_equal(answer(g, 0), 0x80000004);
		assert_int_equal(answer(g, 2), 100 + i);
		assert_int_equal(answer(g, 3), RNDIS_S_OK);
		assert_int_equal(answer(g, 4), all[i].len);
		assert_int_equal(answer(g, 6), all[i].value);
		complete_all(g, from);
	}
	CONTROL(g, RNDIS_QUERY, 28, 1, 0x12345678, 0, 20, 0);
	assert_int_equal(answer(g, 3), RNDIS_S_NOT_SUPPORTED);
	CONTROL(g, RNDIS_SET, 28, 1, RNDIS_OID_MAX_FRAME, 0, 20, 0);
	assert_int_equal(answer(g, 3), RNDIS_S_NOT_SUPPORTED);
	assert_int_equal(g->violations, 0);
	stop(g);
}

/* "NetworkAddress" and "021122AABBcc" in UTF-16. */
static void takes_another_mac(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	const char *name = "NetworkAddress", *mac = "021122AABBcc";
	struct wr w;

	(void)state;
	bring_up(g, NVS_V6_1);
	w = wr_of(g->send, SECTION);
	for (unsigned i = 0; i < 12; i++)
		wr_le32(&w, ((const uint32_t[]){ RNDIS_SET, 100, 1,
			RNDIS_OID_CONFIG, 72, 20, 0, 20, 28, 2, 48, 24 })[i]);
	for (unsigned i = 0; i < 14; i++)
		wr_le16(&w, (uint8_t)name[i]);
	for (unsigned i = 0; i < 12; i++)
		wr_le16(&w, (uint8_t)mac[i]);
	SAY(g, true, NVS_RNDIS, NVS_RNDIS_CONTROL, 0, 100);
	assert_int_equal(answer(g, 3), RNDIS_S_OK);
	assert_memory_equal(host_hn_mac(g->n), "\x02\x11\x22\xaa\xbb\xcc", 6);
	stop(g);
}

static void breaking_rndis_ends_the_channel(void **state)
{
	static const uint32_t wrong[][6] = {
		{ RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000 },	/* again */
		{ RNDIS_RESET, 24 }, { RNDIS_INDICATE, 24 },
		{ RNDIS_QUERY, 24 }, { RNDIS_KEEPALIVE, 25 }, { 0 },
	};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct rig *g = start(&(struct host_hn_manners){ 0 });

		bring_up(g, NVS_V5);
		rndis(g, NVS_RNDIS_CONTROL, wrong[i], 6);
		assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
		assert_int_equal(g->violations, 1);
		assert_int_equal(g->downs, 1);
		stop(g);
	}
}

static void answers_wait_for_slots_but_not_for_ever(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	unsigned n = 0;

	(void)state;
	bring_up(g, NVS_V6_1);
	for (; n < 20; n++)
		CONTROL(g, RNDIS_KEEPALIVE, 12, n);
	for (unsigned i = 0, answers = 0; i < g->n_sent; i++) {
		answers += g->sent[i].type == PACKET_XFER_PAGES;
		assert_true(answers <= 16);
	}
	complete_all(g, 0);
	assert_int_equal(answer(g, 2), 19);
	while (host_hn_state_get(g->n) == HOST_HN_UP) {
		CONTROL(g, RNDIS_QUERY, 28, n, RNDIS_OID_FRIENDLY_NAME, 0, 20,
			0);
		assert_true(++n < 1000);
		g->n_sent = 1;
	}
	assert_non_null(strstr(g->why, "answers"));
	stop(g);
}

static void halt_ends_rndis_and_revoke_the_rest(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	uint8_t frame[60] = { 0 };

	(void)state;
	bring_up(g, NVS_V6_1);
	CONTROL(g, RNDIS_HALT, 12, 5);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_HALTED);
	assert_int_equal(g->downs, 1);
	assert_int_equal(last(g)->type, PACKET_COMPLETION);
	assert_int_equal(deliver(g, frame, 60), -ENETDOWN);
	SAY(g, false, NVS_REVOKE_RECV_BUF, 0xcafe);
	SAY(g, false, NVS_REVOKE_SEND_BUF, 0xface);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_OVER);
	assert_int_equal(g->violations, 0);
	host_hn_close(g->n);
	assert_int_equal(g->downs, 1);
	stop(g);
}

/* Claims: frames to the guest -------------------------------------------- */

static void batches_frames_into_one_packet(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	uint8_t a[60], b[1514];

	(void)state;
	bring_up(g, NVS_V6_1);
	memset(a, 0x11, sizeof(a));
	memset(b, 0x22, sizeof(b));
	assert_int_equal(deliver(g, a, sizeof(a)), 0);
	assert_int_equal(deliver(g, b, sizeof(b)), 0);
	assert_int_equal(g->n_sent, 0);
	host_hn_flush(g->n);
	assert_int_equal(g->n_sent, 1);
	assert_int_equal(last(g)->n_ranges, 2);
	assert_int_equal(last(g)->xact, 16);	/* the first behind control's */
	assert_int_equal(last(g)->ranges[0].offset, 16 * SLOT);
	assert_int_equal(last(g)->ranges[0].len, 316);
	assert_int_equal(last(g)->ranges[1].offset, 17 * SLOT);
	assert_memory_equal(g->recv + 17 * SLOT + 256, b, sizeof(b));
	assert_int_equal(deliver(g, b, 1515), -EMSGSIZE);
	assert_int_equal(deliver(g, b, 13), -EMSGSIZE);
	stop(g);
}

static void slots_run_out_and_come_back(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ .slots = 20 });
	uint8_t f[60] = { 0 };

	(void)state;
	bring_up(g, NVS_V6_1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(deliver(g, f, 60), 0);
	assert_int_equal(host_hn_slots_free(g->n), 0);
	assert_int_equal(deliver(g, f, 60), -ENOBUFS);	/* which flushes */
	assert_int_equal(g->n_sent, 1);
	assert_int_equal(last(g)->n_ranges, 4);
	assert_int_equal(deliver(g, f, 60), -ENOBUFS);
	complete_all(g, 0);
	assert_int_equal(g->rooms, 1);
	assert_int_equal(host_hn_slots_free(g->n), 4);
	assert_int_equal(deliver(g, f, 60), 0);
	assert_int_equal(host_hn_stats_get(g->n)->dropped_full, 2);
	stop(g);
}

static void a_wrong_completion_ends_the_channel(void **state)
{
	static const uint64_t ids[] = {
		0, 17, 18, 20, UINT64_MAX, 0x100000010,
	};
	const uint32_t ok[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };

	(void)state;
	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct rig *g = start(&(struct host_hn_manners){ .slots = 20 });
		uint8_t f[60] = { 0 };

		bring_up(g, NVS_V6_1);
		deliver(g, f, 60);
		deliver(g, f, 60);
		host_hn_flush(g->n);		/* 16, and 17 behind it */
		packet(g, PACKET_COMPLETION, ids[i], false, ok, 2);
		assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
		stop(g);
	}
}

static void a_full_ring_keeps_the_batch(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	uint8_t f[60] = { 0 };

	(void)state;
	bring_up(g, NVS_V6_1);
	g->full = true;
	deliver(g, f, 60);
	host_hn_flush(g->n);
	deliver(g, f, 60);
	host_hn_flush(g->n);
	assert_int_equal(g->n_sent, 0);
	g->full = false;
	host_hn_writable(g->n);
	assert_int_equal(g->n_sent, 1);
	assert_int_equal(last(g)->n_ranges, 2);
	stop(g);
}

static void the_filter_is_a_gate(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	uint8_t f[60] = { 0 };

	(void)state;
	bring_up(g, NVS_V6_1);
	assert_int_equal(g->filter, 0x0d);
	CONTROL(g, RNDIS_SET, 32, 2, RNDIS_OID_FILTER, 4, 20, 0, 0);
	assert_int_equal(deliver(g, f, 60), -ENETDOWN);
	CONTROL(g, RNDIS_SET, 32, 2, RNDIS_OID_FILTER, 4, 20, 0, 1);
	assert_int_equal(deliver(g, f, 60), 0);
	assert_int_equal(host_hn_stats_get(g->n)->dropped_down, 1);
	stop(g);
}

static void odd_hosts_lay_frames_out_oddly(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){
		.whole_slots = true, .front = 257, .garbage = true,
		.no_checksum = true });
	uint8_t f[60];

	(void)state;
	memset(f, 0x33, sizeof(f));
	bring_up(g, NVS_V6_1);
	deliver(g, f, 60);
	host_hn_flush(g->n);
	assert_int_equal(last(g)->ranges[0].len, SLOT + 1);
	assert_int_equal(answer(g, 1), SLOT + 1);
	assert_int_equal(answer(g, 2), 249);
	assert_int_equal(answer(g, 8), 0);
	assert_int_equal(answer(g, 9), 0x5a5a);
	assert_memory_equal(g->recv + last(g)->ranges[0].offset + 257, f, 60);
	stop(g);
}

/* Claims: frames of the guest -------------------------------------------- */

static void takes_all_frames_of_a_send(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	uint32_t two[2 * 26] = { RNDIS_PACKET, 104, 36, 60 };

	(void)state;
	memcpy(two + 26, two, 16);
	bring_up(g, NVS_V6_1);
	rndis(g, NVS_RNDIS_DATA, two, 52);
	assert_int_equal(g->frames, 2);
	assert_int_equal(g->frame_len, 60);
	assert_int_equal(g->n_sent, 1);
	assert_int_equal(last(g)->xact, g->xact);
	assert_int_equal(word(last(g), 1), NVS_S_OK);
	two[26 + 3] = 61;
	rndis(g, NVS_RNDIS_DATA, two, 52);
	assert_int_equal(g->frames, 3);		/* the one before it counts */
	assert_int_equal(word(last(g), 1), NVS_S_FAIL);
	assert_int_equal(g->violations, 1);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_UP);
	stop(g);
}

static void sends_from_nowhere_fail(void **state)
{
	static const uint32_t wrong[][2] = {
		{ SEND_LEN / SECTION, 6144 },	/* begins inside, ends not */
		{ 11, 60 }, { 0xfffffffe, 60 }, { 0, 6145 }, { 0, 0 },
		{ NVS_NO_SECTION, 0 }, { 5, 0xffffffff },
	};
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	bring_up(g, NVS_V6_1);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		SAY(g, true, NVS_RNDIS, NVS_RNDIS_DATA, wrong[i][0],
		    wrong[i][1]);
		assert_int_equal(word(last(g), 1), NVS_S_FAIL);
		assert_int_equal(g->violations, i + 1);
	}
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_UP);
	stop(g);
}

static void late_completions_stop_the_guest(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ .complete_ms = 10 });
	const uint32_t one[26] = { RNDIS_PACKET, 104, 36, 60 };

	(void)state;
	bring_up(g, NVS_V6_1);
	for (unsigned i = 0; i < 1023; i++)
		rndis(g, NVS_RNDIS_DATA, one, 26);
	assert_false(g->paused);
	rndis(g, NVS_RNDIS_DATA, one, 26);
	assert_true(g->paused);
	assert_int_equal(g->n_sent, 0);
	loop_advance(g->l, 9);
	assert_int_equal(g->n_sent, 0);
	loop_advance(g->l, 1);
	assert_int_equal(g->n_sent, 1024);
	assert_false(g->paused);
	stop(g);
}

static void a_full_ring_keeps_completions(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });
	const uint32_t one[26] = { RNDIS_PACKET, 104, 36, 60 };

	(void)state;
	bring_up(g, NVS_V6_1);
	g->full = true;
	SAY(g, true, NVS_SUBCHANNEL, NVS_SUBCHANNEL_ALLOCATE, 3);
	rndis(g, NVS_RNDIS_DATA, one, 26);
	host_hn_vf(g->n, true, 7);
	g->full = false;
	host_hn_writable(g->n);
	assert_int_equal(g->n_sent, 3);
	assert_int_equal(g->sent[0].type, PACKET_COMPLETION);
	assert_int_equal(word(&g->sent[0], 0), NVS_RNDIS_COMPLETE);
	assert_int_equal(word(&g->sent[1], 0), NVS_SUBCHANNEL);
	assert_int_equal(word(&g->sent[1], 2), 0);	/* one has to do */
	assert_int_equal(word(&g->sent[2], 0), NVS_VF_ASSOCIATION);
	stop(g);
}

static void a_guest_that_reads_nothing_is_given_up(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	bring_up(g, NVS_V6_1);
	g->full = true;
	for (unsigned i = 0; i < 16; i++)
		SAY(g, true, NVS_OID_QUERY, 0, RNDIS_OID_LINK_SPEED);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_UP);
	host_hn_vf(g->n, true, 7);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
	stop(g);
}

/* Claims: link, VF ------------------------------------------------------- */

static unsigned count(struct rig *g, uint32_t status)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_sent; i++) {
		struct rd r = rd_of(g->recv + g->sent[i].ranges[0].offset, 12);

		if (g->sent[i].type != PACKET_XFER_PAGES ||
		    rd_le32(&r) != RNDIS_INDICATE)
			continue;
		rd_skip(&r, 4);
		n += rd_le32(&r) == status;
	}
	return n;
}

static void link_changes_keep_their_distance(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	bring_up(g, NVS_V6_1);
	host_hn_link(g->n, true);
	assert_int_equal(g->n_sent, 0);
	host_hn_link(g->n, false);
	host_hn_link(g->n, true);
	host_hn_link(g->n, false);
	host_hn_link(g->n, true);
	assert_int_equal(count(g, RNDIS_S_MEDIA_DISCONNECT), 1);
	assert_int_equal(count(g, RNDIS_S_MEDIA_CONNECT), 0);
	loop_advance(g->l, 4999);
	assert_int_equal(count(g, RNDIS_S_MEDIA_CONNECT), 0);
	loop_advance(g->l, 1);
	assert_int_equal(count(g, RNDIS_S_MEDIA_CONNECT), 1);
	loop_advance(g->l, 20000);
	assert_int_equal(g->n_sent, 2);
	host_hn_network_change(g->n, 2);
	assert_int_equal(count(g, RNDIS_S_NETWORK_CHANGE), 1);
	stop(g);
}

static void some_hosts_say_connected_twice(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){
		.connect_twice = true });

	(void)state;
	bring_up(g, NVS_V6_1);
	host_hn_link(g->n, false);
	loop_advance(g->l, 5000);
	host_hn_link(g->n, true);
	assert_int_equal(count(g, RNDIS_S_MEDIA_CONNECT), 1);
	loop_advance(g->l, 5000);
	assert_int_equal(count(g, RNDIS_S_MEDIA_CONNECT), 2);
	loop_advance(g->l, 50000);
	assert_int_equal(count(g, RNDIS_S_MEDIA_CONNECT), 2);
	stop(g);
}

static void a_vf_is_told_to_who_can_have_one(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	set_up(g, NVS_V6_1);
	assert_false(host_hn_takes_vf(g->n));	/* not yet */
	CONTROL(g, RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000);
	assert_true(host_hn_takes_vf(g->n));
	host_hn_vf(g->n, true, 0xab12);
	assert_int_equal(last(g)->type, PACKET_INBAND);
	assert_int_equal(last(g)->flags, PACKET_WANT_COMPLETION);
	assert_int_equal(last(g)->xact, 0x8000000000000000u);
	assert_int_equal(word(last(g), 1), 1);
	assert_int_equal(word(last(g), 2), 0xab12);
	stop(g);
	g = start(&(struct host_hn_manners){ 0 });
	set_up(g, NVS_V2);
	CONTROL(g, RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000);
	assert_false(host_hn_takes_vf(g->n));
	stop(g);
}

static void a_path_is_asked_for_and_confirmed(void **state)
{
	struct rig *g = start(&(struct host_hn_manners){ 0 });

	(void)state;
	bring_up(g, NVS_V6_1);
	SAY(g, true, NVS_SWITCH_DATA_PATH, 1);
	assert_int_equal(g->paths, 1);
	assert_int_equal(g->path, NVS_PATH_VF);
	assert_int_equal(g->n_sent, 0);
	SAY(g, true, NVS_SWITCH_DATA_PATH, 0);	/* impatient */
	assert_int_equal(g->paths, 1);
	assert_int_equal(g->violations, 1);
	g->n_sent = 0;
	host_hn_path_done(g->n);
	assert_int_equal(last(g)->type, PACKET_COMPLETION);
	assert_int_equal(last(g)->len, 0);
	assert_int_equal(last(g)->xact, g->xact - 1);
	host_hn_path_notice(g->n);
	assert_int_equal(last(g)->xact, 0x8000000000000001u);
	assert_int_equal(word(last(g), 0), NVS_SWITCH_DATA_PATH);
	g->n_sent = 0;
	SAY(g, false, NVS_SWITCH_DATA_PATH, 0);	/* wants no answer */
	host_hn_path_done(g->n);
	assert_int_equal(g->n_sent, 0);
	SAY(g, true, NVS_SWITCH_DATA_PATH, 2);
	assert_int_equal(host_hn_state_get(g->n), HOST_HN_FAILED);
	stop(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_the_set_up_of_every_version),
		cmocka_unit_test(a_refused_version_is_not_the_end),
		cmocka_unit_test(an_mtu_out_of_bounds_is_replaced),
		cmocka_unit_test(refuses_a_set_up_out_of_order),
		cmocka_unit_test(rndis_may_begin_without_a_send_buffer),
		cmocka_unit_test(a_guest_that_wants_an_empty_answer_gets_one),
		cmocka_unit_test(completes_first_and_answers_then),
		cmocka_unit_test(knows_every_object_that_guests_ask_for),
		cmocka_unit_test(takes_another_mac),
		cmocka_unit_test(breaking_rndis_ends_the_channel),
		cmocka_unit_test(answers_wait_for_slots_but_not_for_ever),
		cmocka_unit_test(halt_ends_rndis_and_revoke_the_rest),
		cmocka_unit_test(batches_frames_into_one_packet),
		cmocka_unit_test(slots_run_out_and_come_back),
		cmocka_unit_test(a_wrong_completion_ends_the_channel),
		cmocka_unit_test(a_full_ring_keeps_the_batch),
		cmocka_unit_test(the_filter_is_a_gate),
		cmocka_unit_test(odd_hosts_lay_frames_out_oddly),
		cmocka_unit_test(takes_all_frames_of_a_send),
		cmocka_unit_test(sends_from_nowhere_fail),
		cmocka_unit_test(late_completions_stop_the_guest),
		cmocka_unit_test(a_full_ring_keeps_completions),
		cmocka_unit_test(a_guest_that_reads_nothing_is_given_up),
		cmocka_unit_test(link_changes_keep_their_distance),
		cmocka_unit_test(some_hosts_say_connected_twice),
		cmocka_unit_test(a_vf_is_told_to_who_can_have_one),
		cmocka_unit_test(a_path_is_asked_for_and_confirmed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
