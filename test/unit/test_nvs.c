/* test/unit/test_nvs.c - a network channel over a real bus and real shared
 * memory, against a host of a few lines that answers by hand. */
#include "hn/nvs.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rd.h"
#include "base/wr.h"
#include "host/host_vmbus.h"
#include "vmbus/msg_wire.h"

enum {
	RING = 65536, RECV_BUF = 1 << 20, SEND_BUF = 64 * 6144,
	SECTION = 1806, TIMEOUT_MS = 5000, MAX_LOG = 64,
};

/* What the host does otherwise than a good one. */
struct manners {
	uint32_t newest;		/* version it takes; 0: 6.1 */
	bool silent;			/* answers nothing */
	bool refuse_recv, refuse_send;
	uint32_t sections;		/* 0: as many as fit */
	bool short_answers;		/* cut to four bytes */
	bool hold;			/* keep completions of RNDIS back */
};

struct rig {
	struct loop *l;
	char dir[64], path[96];
	struct host_vmbus *h;
	struct host_offer *offer;
	struct channel *hc;
	struct manners m;
	uint32_t recv_gpadl, send_gpadl;
	uint32_t log[MAX_LOG];		/* types of what the guest sent */
	unsigned n_log;
	uint64_t held[MAX_LOG];
	unsigned n_held, completions;
	uint64_t last_completion;
	uint8_t got[256];		/* RNDIS bytes of the last send */
	uint32_t got_len, got_control;
	/* The guest. */
	struct bus *b;
	uint32_t relid;
	struct nvs *n;
	struct nvs_cfg cfg;
	unsigned ready, failed, messages, batches, sent, writable, vfs, paths;
	uint8_t msg[4096];
	size_t msg_len;
	bool control, vf, path_asked;
	uint32_t serial, last_status;
	enum nvs_path path_now;
	char why[96];
};

/* The host ---------------------------------------------------------------- */

static void reply(struct rig *g, uint64_t xact, const uint32_t *words,
		  unsigned n)
{
	uint8_t msg[40] = { 0 };
	struct wr w = wr_of(msg, sizeof(msg));
	struct packet p = { .type = PACKET_COMPLETION, .xact = xact,
			    .data = msg, .len = g->m.short_answers ? 4 : 40 };

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, words[i]);
	assert_int_equal(channel_send(g->hc, &p), 0);
}

static void host_rndis(struct rig *g, struct rd *r, uint64_t xact)
{
	const uint32_t done[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };
	uint32_t section;
	uint8_t *buf;
	size_t len;

	g->got_control = rd_le32(r);
	section = rd_le32(r);
	g->got_len = rd_le32(r);
	buf = host_offer_gpadl(g->offer, g->send_gpadl, &len);
	assert_non_null(buf);
	assert_true((size_t)section * 6144 + g->got_len <= len);
	memcpy(g->got, buf + (size_t)section * 6144,
	       g->got_len < sizeof(g->got) ? g->got_len : sizeof(g->got));
	if (g->m.hold)
		g->held[g->n_held++] = xact;
	else
		reply(g, xact, done, 2);
}

static void host_init(struct rig *g, struct rd *r, uint64_t xact)
{
	uint32_t v = rd_le32(r), newest = g->m.newest ? g->m.newest : NVS_V6_1;
	const uint32_t m[] = { NVS_INIT_COMPLETE, 0xffffffff, 34, v <= newest };

	reply(g, xact, m, 4);
}

static void host_recv_buf(struct rig *g, struct rd *r, uint64_t xact)
{
	size_t len = 0;
	uint32_t m[] = { NVS_RECV_BUF_COMPLETE, NVS_S_OK, 1, 0, SECTION, 0, 0 };

	g->recv_gpadl = rd_le32(r);
	assert_int_equal(rd_le16(r), 0xcafe);
	assert_non_null(host_offer_gpadl(g->offer, g->recv_gpadl, &len));
	m[1] = g->m.refuse_recv ? NVS_S_FAIL : NVS_S_OK;
	m[5] = g->m.sections ? g->m.sections : (uint32_t)(len / SECTION);
	reply(g, xact, m, 7);
}

static void host_send_buf(struct rig *g, struct rd *r, uint64_t xact)
{
	const uint32_t m[] = { NVS_SEND_BUF_COMPLETE,
			       g->m.refuse_send ? NVS_S_FAIL : NVS_S_OK, 6144 };

	g->send_gpadl = rd_le32(r);
	reply(g, xact, m, 3);
}

static void host_packet(void *arg, const struct packet *p)
{
	struct rig *g = arg;
	struct rd r = rd_of(p->data, p->len);
	uint32_t type = rd_le32(&r);

	if (p->type == PACKET_COMPLETION) {
		g->completions++;
		g->last_completion = p->xact;
		assert_int_equal(type, NVS_RNDIS_COMPLETE);
		return;
	}
	if (g->n_log < MAX_LOG)
		g->log[g->n_log++] = type;
	assert_true(p->len >= 40);
	if (g->m.silent)
		return;
	if (type == NVS_INIT)
		host_init(g, &r, p->xact);
	else if (type == NVS_RECV_BUF)
		host_recv_buf(g, &r, p->xact);
	else if (type == NVS_SEND_BUF)
		host_send_buf(g, &r, p->xact);
	else if (type == NVS_RNDIS)
		host_rndis(g, &r, p->xact);
}

static void host_opened(void *arg, struct channel *c)
{
	((struct rig *)arg)->hc = c;
}

static void host_closed(void *arg, int err)
{
	assert_int_equal(err, 0);
	((struct rig *)arg)->hc = NULL;
}

static const struct host_offer_ops offer_ops = {
	host_opened, host_closed, host_packet, NULL
};

static void on_guest(void *arg, bool connected, uint32_t version)
{
	(void)arg;
	(void)connected;
	(void)version;
}

static void on_violation(void *arg, const char *what)
{
	(void)arg;
	fail_msg("%s", what);
}

static const struct host_vmbus_ops host_ops = { on_guest, on_violation };

/* Ranges of the receive buffer, as one packet. */
static void deliver(struct rig *g, bool control, uint64_t xact,
		    const struct packet_xfer *x, unsigned n)
{
	uint8_t ranges[256], msg[40] = { NVS_RNDIS };
	struct wr w = wr_of(ranges, sizeof(ranges));
	struct packet p = {
		.type = PACKET_XFER_PAGES, .flags = PACKET_WANT_COMPLETION,
		.xact = xact, .ranges = ranges, .data = msg, .len = 40,
	};

	wr_le16(&w, 0xcafe);
	wr_le16(&w, 0x5a5a);
	wr_le32(&w, n);
	for (unsigned i = 0; i < n; i++) {
		wr_le32(&w, x[i].len);
		wr_le32(&w, x[i].offset);
	}
	p.ranges_len = w.len;
	msg[4] = control;
	assert_int_equal(channel_send(g->hc, &p), 0);
}

/* The guest --------------------------------------------------------------- */

static void on_ready(void *arg)
{
	((struct rig *)arg)->ready++;
}

static void on_failed(void *arg, const char *why)
{
	struct rig *g = arg;

	g->failed++;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static void on_rndis(void *arg, bool control, uint8_t *msg, size_t len)
{
	struct rig *g = arg;

	g->messages++;
	g->control = control;
	g->msg_len = len;
	memcpy(g->msg, msg, len < sizeof(g->msg) ? len : sizeof(g->msg));
}

static void on_batch_end(void *arg)
{
	((struct rig *)arg)->batches++;
}

static void on_sent(void *arg, uint32_t section, uint32_t status)
{
	struct rig *g = arg;

	(void)section;
	g->sent++;
	g->last_status = status;
}

static void on_nvs_writable(void *arg)
{
	((struct rig *)arg)->writable++;
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	struct rig *g = arg;

	g->vfs++;
	g->vf = present;
	g->serial = serial;
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	struct rig *g = arg;

	g->paths++;
	g->path_now = path;
	g->path_asked = asked;
}

static void chan_packet(void *arg, const struct packet *p)
{
	nvs_packet(((struct rig *)arg)->n, p);
}

static void chan_broken(void *arg, int err)
{
	(void)arg;
	fail_msg("ring broken: %d", err);
}

static void chan_writable(void *arg)
{
	nvs_writable(((struct rig *)arg)->n);
}

static const struct channel_ops chan_ops = {
	chan_packet, chan_broken, chan_writable
};

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	(void)s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	struct rig *g = arg;

	g->relid = o->relid;
	assert_int_equal(bus_open(g->b, o->relid, RING, RING, NULL, 0,
				  &chan_ops, g), 0);
}

static void on_done(void *arg)
{
	(void)arg;
}

static void on_rescind(void *arg, uint32_t relid)
{
	(void)relid;
	nvs_gone(((struct rig *)arg)->n);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	assert_int_equal(err, 0);
	nvs_open(((struct rig *)arg)->n, relid, c);
}

static const struct bus_ops bus_ops = {
	on_state, on_offer, on_done, on_rescind, on_opened
};

/* Both ------------------------------------------------------------------- */

static void settle(struct rig *g)
{
	unsigned turns = 0;

	while (loop_once(g->l, false) > 0)
		assert_true(++turns < 10000);
}

static const uint32_t versions_of_bus[] = { VMBUS_VERSION(5, 3) };

static struct rig *start(const struct manners *m)
{
	static const struct nvs_ops ops = {
		on_ready, on_failed, on_rndis, on_batch_end, on_sent,
		on_nvs_writable, on_vf, on_path,
	};
	struct rig *g = calloc(1, sizeof(*g));
	struct host_vmbus_cfg host = { g->path, versions_of_bus, 1 };

	g->l = loop_new(LOOP_VIRTUAL);
	g->m = *m;
	snprintf(g->dir, sizeof(g->dir), "/tmp/test_nvs.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/host", g->dir);
	g->h = host_vmbus_new(g->l, &host, &host_ops, g);
	assert_non_null(g->h);
	g->offer = host_offer_new(g->h, &guid_class_network,
				  &guid_class_network, false, &offer_ops, g);
	g->cfg = (struct nvs_cfg){ RECV_BUF, SEND_BUF, 1500, true, TIMEOUT_MS };
	g->b = bus_shm_new(g->l, g->path, &bus_ops, g);
	g->n = nvs_new(g->l, g->b, &g->cfg, &ops, g);
	settle(g);
	return g;
}

static void stop(struct rig *g)
{
	nvs_free(g->n);
	bus_free(g->b);
	settle(g);
	host_vmbus_free(g->h);
	loop_free(g->l);
	rmdir(g->dir);
	free(g);
}

static void say(struct rig *g, const uint32_t *words, unsigned n)
{
	uint8_t msg[40] = { 0 };
	struct wr w = wr_of(msg, sizeof(msg));
	struct packet p = { .type = PACKET_INBAND, .data = msg, .len = 40,
			    .flags = PACKET_WANT_COMPLETION,
			    .xact = 0x8000000000000000u };

	for (unsigned i = 0; i < n; i++)
		wr_le32(&w, words[i]);
	assert_int_equal(channel_send(g->hc, &p), 0);
	settle(g);
}

static uint8_t *recv_mem(struct rig *g)
{
	size_t len;

	return host_offer_gpadl(g->offer, g->recv_gpadl, &len);
}

/* Claims ----------------------------------------------------------------- */

static void sets_the_channel_up_in_order(void **state)
{
	static const uint32_t order[] = {
		NVS_INIT, NVS_NDIS_CONFIG, NVS_NDIS_VERSION, NVS_RECV_BUF,
		NVS_SEND_BUF,
	};
	struct rig *g = start(&(struct manners){ 0 });

	(void)state;
	assert_int_equal(g->ready, 1);
	assert_int_equal(nvs_version(g->n), NVS_V6_1);
	assert_int_equal(nvs_section_size(g->n), 6144);
	assert_int_equal(g->n_log, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(g->log[i], order[i]);
	stop(g);
}

static void takes_the_best_version_there_is(void **state)
{
	static const uint32_t all[] = { NVS_V1, NVS_V2, NVS_V4, NVS_V5, NVS_V6 };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct rig *g = start(&(struct manners){ .newest = all[i] });

		assert_int_equal(g->ready, 1);
		assert_int_equal(nvs_version(g->n), all[i]);
		stop(g);
	}
}

static void a_host_without_a_version_fails(void **state)
{
	struct rig *g = start(&(struct manners){ .newest = 1 });

	(void)state;
	assert_int_equal(g->failed, 1);
	assert_non_null(strstr(g->why, "version"));
	assert_int_equal(g->n_log, 6);
	stop(g);
}

static void a_silent_host_is_given_up(void **state)
{
	struct rig *g = start(&(struct manners){ .silent = true });

	(void)state;
	loop_advance(g->l, TIMEOUT_MS - 1);
	assert_int_equal(g->failed, 0);
	loop_advance(g->l, 1);
	assert_int_equal(g->failed, 1);
	assert_int_equal(nvs_state_get(g->n), NVS_FAILED);
	stop(g);
}

static void refused_and_impossible_buffers_fail(void **state)
{
	static const struct manners bad[] = {
		{ .refuse_recv = true }, { .refuse_send = true },
		{ .sections = RECV_BUF / SECTION + 1 },
		{ .short_answers = true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rig *g = start(&bad[i]);

		assert_int_equal(g->failed, 1);
		assert_int_equal(g->ready, 0);
		stop(g);
	}
}

static void hands_on_each_message_and_completes_once(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });
	const struct packet_xfer x[] = { { 10, 0 }, { 20, SECTION } };

	(void)state;
	memset(recv_mem(g) + SECTION, 0x77, 20);
	deliver(g, false, 42, x, 2);
	settle(g);
	assert_int_equal(g->messages, 2);
	assert_int_equal(g->msg_len, 20);
	assert_int_equal(g->msg[19], 0x77);
	assert_false(g->control);
	assert_int_equal(g->batches, 1);
	assert_int_equal(g->completions, 1);
	assert_int_equal(g->last_completion, 42);
	stop(g);
}

/* A host that does not read: our ring holds 960 completions of 64 bytes each,
 * and the rest waits. */
static void completions_wait_for_room_and_none_is_lost(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });
	const struct packet_xfer x = { 10, 0 };
	struct nvs_stats s;

	(void)state;
	channel_pause(g->hc, true);
	for (unsigned i = 0; i < 1200; i++) {
		deliver(g, false, i, &x, 1);
		if (i % 100 == 99)
			settle(g);
	}
	assert_int_equal(g->messages, 1200);
	assert_int_equal(g->completions, 0);
	channel_pause(g->hc, false);
	settle(g);
	assert_int_equal(g->completions, 1200);
	assert_int_equal(g->last_completion, 1199);
	nvs_stats_get(g->n, &s);
	assert_int_equal(s.bad, 0);
	stop(g);
}

static void ranges_outside_the_buffer_are_refused(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });
	const struct packet_xfer x[] = {
		{ 1, RECV_BUF }, { RECV_BUF + 1, 0 }, { 0xffffffff, 1 },
		{ 0, 0 }, { 4, RECV_BUF - 3 }, { 4, RECV_BUF - 4 },
	};
	struct nvs_stats s;

	(void)state;
	deliver(g, true, 7, x, 6);
	settle(g);
	nvs_stats_get(g->n, &s);
	assert_int_equal(s.bad, 5);
	assert_int_equal(g->messages, 1);	/* the last one is fine */
	assert_true(g->control);
	assert_int_equal(g->completions, 1);	/* its section is free again */
	stop(g);
}

static void sends_what_lies_in_a_section(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });
	uint8_t *mem;
	size_t cap;
	int i = nvs_section_get(g->n, &mem, &cap);

	(void)state;
	assert_true(i >= 0);
	assert_int_equal(cap, 6144);
	memcpy(mem, "a control message", 17);
	assert_int_equal(nvs_section_send(g->n, (uint32_t)i, 17, true), 0);
	settle(g);
	assert_int_equal(g->got_len, 17);
	assert_int_equal(g->got_control, 1);
	assert_memory_equal(g->got, "a control message", 17);
	assert_int_equal(g->sent, 1);
	assert_int_equal(g->last_status, NVS_S_OK);
	stop(g);
}

static void sections_run_out_and_come_back(void **state)
{
	struct rig *g = start(&(struct manners){ .hold = true });
	const uint32_t done[] = { NVS_RNDIS_COMPLETE, NVS_S_FAIL };
	struct nvs_stats s;
	unsigned n = 0;
	uint8_t *mem;
	size_t cap;
	int i;

	(void)state;
	while ((i = nvs_section_get(g->n, &mem, &cap)) >= 0) {
		assert_int_equal(nvs_section_send(g->n, (uint32_t)i, 4, false),
				 0);
		n++;
	}
	assert_int_equal(i, -EAGAIN);
	assert_int_equal(n, SEND_BUF / 6144);
	settle(g);
	assert_int_equal(g->writable, 0);
	reply(g, g->held[0], done, 2);
	settle(g);
	assert_int_equal(g->writable, 1);
	assert_int_equal(g->last_status, NVS_S_FAIL);
	assert_true(nvs_section_get(g->n, &mem, &cap) >= 0);
	nvs_stats_get(g->n, &s);
	assert_int_equal(s.tx_failed, 1);
	stop(g);
}

static void completions_of_nothing_free_nothing(void **state)
{
	struct rig *g = start(&(struct manners){ .hold = true });
	const uint32_t done[] = { NVS_RNDIS_COMPLETE, NVS_S_OK };
	struct nvs_stats s;
	uint8_t *mem;
	size_t cap;
	int i = nvs_section_get(g->n, &mem, &cap);

	(void)state;
	reply(g, 0x100 + (uint64_t)i, done, 2);	/* taken, not sent */
	reply(g, 0x100 + 63, done, 2);		/* never taken */
	reply(g, 0x100 + 64, done, 2);		/* none of ours */
	reply(g, UINT64_MAX, done, 2);
	reply(g, 1, done, 2);			/* the set-up is over */
	reply(g, 2, done, 2);			/* no switch was asked for */
	settle(g);
	nvs_stats_get(g->n, &s);
	assert_int_equal(s.stray, 6);
	assert_int_equal(g->sent, 0);
	assert_int_equal(nvs_state_get(g->n), NVS_READY);
	stop(g);
}

static void the_path_switches_when_the_host_confirms(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });
	struct packet p = { .type = PACKET_COMPLETION, .xact = 2, .data = NULL,
			    .len = 0 };

	(void)state;
	assert_int_equal(nvs_switch_path(g->n, NVS_PATH_VF), 0);
	assert_int_equal(nvs_switch_path(g->n, NVS_PATH_VF), -EALREADY);
	settle(g);
	assert_int_equal(g->log[g->n_log - 1], NVS_SWITCH_DATA_PATH);
	assert_int_equal(g->paths, 0);
	assert_int_equal(channel_send(g->hc, &p), 0);	/* an empty completion */
	settle(g);
	assert_int_equal(g->paths, 1);
	assert_int_equal(g->path_now, NVS_PATH_VF);
	assert_true(g->path_asked);
	say(g, (const uint32_t[]){ NVS_SWITCH_DATA_PATH, 0 }, 2);
	assert_int_equal(g->path_now, NVS_PATH_SYNTHETIC);
	assert_false(g->path_asked);
	stop(g);
}

static void an_old_host_has_one_path(void **state)
{
	struct rig *g = start(&(struct manners){ .newest = NVS_V2 });

	(void)state;
	assert_int_equal(nvs_switch_path(g->n, NVS_PATH_VF), -EOPNOTSUPP);
	stop(g);
}

static void hears_of_the_vf_and_never_answers(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });

	(void)state;
	say(g, (const uint32_t[]){ NVS_VF_ASSOCIATION, 1, 77 }, 3);
	assert_int_equal(g->vfs, 1);
	assert_true(g->vf);
	assert_int_equal(g->serial, 77);
	say(g, (const uint32_t[]){ NVS_VF_ASSOCIATION, 0, 77 }, 3);
	assert_false(g->vf);
	say(g, (const uint32_t[]){ NVS_VF_ASSOCIATION, 9, 77 }, 3);
	assert_int_equal(g->vfs, 2);
	assert_int_equal(g->completions, 0);
	stop(g);
}

static void takes_its_buffers_back_in_order(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });

	(void)state;
	nvs_close(g->n);
	settle(g);
	assert_int_equal(g->log[g->n_log - 2], NVS_REVOKE_RECV_BUF);
	assert_int_equal(g->log[g->n_log - 1], NVS_REVOKE_SEND_BUF);
	assert_int_equal(nvs_section_get(g->n, &(uint8_t *){ NULL },
					 &(size_t){ 0 }), -ENOTCONN);
	stop(g);
}

static void lives_through_a_rescind(void **state)
{
	struct rig *g = start(&(struct manners){ 0 });

	(void)state;
	for (unsigned i = 2; i < 12; i++) {
		host_offer_rescind(g->offer);
		settle(g);
		assert_int_equal(nvs_state_get(g->n), NVS_CLOSED);
		g->n_log = 0;
		host_offer_again(g->offer);
		settle(g);
		assert_int_equal(g->ready, i);
	}
	stop(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_the_channel_up_in_order),
		cmocka_unit_test(takes_the_best_version_there_is),
		cmocka_unit_test(a_host_without_a_version_fails),
		cmocka_unit_test(a_silent_host_is_given_up),
		cmocka_unit_test(refused_and_impossible_buffers_fail),
		cmocka_unit_test(hands_on_each_message_and_completes_once),
		cmocka_unit_test(completions_wait_for_room_and_none_is_lost),
		cmocka_unit_test(ranges_outside_the_buffer_are_refused),
		cmocka_unit_test(sends_what_lies_in_a_section),
		cmocka_unit_test(sections_run_out_and_come_back),
		cmocka_unit_test(completions_of_nothing_free_nothing),
		cmocka_unit_test(the_path_switches_when_the_host_confirms),
		cmocka_unit_test(an_old_host_has_one_path),
		cmocka_unit_test(hears_of_the_vf_and_never_answers),
		cmocka_unit_test(takes_its_buffers_back_in_order),
		cmocka_unit_test(lives_through_a_rescind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
