/* hn/hn.c - see hn.h.
 *
 * The link that is told is the host's, but for three cases in which it is
 * down: the NIC is not up, the VF carries the traffic (hidden), or the host
 * said that the network behind it may be another one. Then whoever watches the
 * link (DHCP clients) must see it go down and come back: 5 s later the host is
 * asked, and its answer is told.
 *
 * An MTU is agreed on at set-up and at no other time: to change it, all ends in
 * order (HALT, buffers revoked, channel closed) and begins anew. */
#include "hn/hn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hn/hn_tx.h"

struct hn {
	struct loop *loop;
	struct bus *bus;
	struct hn_cfg cfg;
	struct hn_ops ops;
	void *arg;
	enum hn_state state;
	uint32_t relid;
	struct nvs *nvs;
	struct rndis *rndis;
	struct hn_tx *tx;
	struct hn_rx *rx;
	struct rndis_nic nic;
	struct loop_timer retry, change;
	unsigned retry_ms;
	const char *why;
	bool admin_up, promiscuous;
	uint32_t filter;		/* asked for since it is up */
	bool link_said, hidden;
	bool changing;			/* until the host answered */
	uint64_t ups, failures, rescinds, early;
};

/* Link and filter ---------------------------------------------------------- */

static void tell_link(struct hn *h)
{
	bool up = h->state == HN_UP && h->nic.link_up && !h->hidden &&
		  !h->changing;

	if (up == h->link_said)
		return;
	h->link_said = up;
	h->ops.link(h->arg, up);
}

static void on_link(void *arg, bool up)
{
	struct hn *h = arg;

	h->nic.link_up = up;
	if (!h->change.set)
		h->changing = false;	/* or else the pause goes on */
	tell_link(h);
}

static void on_network_change(void *arg)
{
	struct hn *h = arg;

	h->changing = true;
	loop_timer_set(&h->change, HN_NETWORK_CHANGE_MS);
	tell_link(h);
}

static void on_change_over(void *arg)
{
	struct hn *h = arg;

	rndis_query_link(h->rndis);
}

static uint32_t wanted_filter(const struct hn *h)
{
	if (h->promiscuous)
		return RNDIS_FILTER_PROMISCUOUS;
	return h->admin_up ? RNDIS_FILTER_DIRECTED |
			     RNDIS_FILTER_ALL_MULTICAST |
			     RNDIS_FILTER_BROADCAST : 0;
}

static void set_filter(struct hn *h)
{
	uint32_t filter = wanted_filter(h);

	if (h->state != HN_UP || filter == h->filter)
		return;
	h->filter = filter;
	rndis_set_filter(h->rndis, filter);
}

/* Ending ------------------------------------------------------------------- */

/* Everything above the channel. True: it was up. */
static bool stop_nic(struct hn *h, bool orderly)
{
	bool was_up = h->state == HN_UP;

	loop_timer_cancel(&h->retry);
	loop_timer_cancel(&h->change);
	h->changing = false;
	hn_tx_stop(h->tx);
	hn_rx_batch_end(h->rx);
	rndis_stop(h->rndis, orderly && was_up);
	return was_up;
}

static void close_channel(struct hn *h)
{
	nvs_close(h->nvs);
	bus_close(h->bus, h->relid);
}

static void go_down(struct hn *h, enum hn_state to, const char *why,
		    bool was_up)
{
	h->state = to;
	h->why = why;
	h->filter = 0;
	tell_link(h);
	if (was_up)
		h->ops.down(h->arg, why);
}

/* The host, the ring or the machine: try again later. */
static void lose(struct hn *h, const char *why)
{
	bool was_up = stop_nic(h, false);

	close_channel(h);
	h->failures++;
	loop_timer_set(&h->retry, h->retry_ms);
	h->retry_ms = h->retry_ms * 2 < HN_RETRY_MAX_MS ? h->retry_ms * 2 :
							  HN_RETRY_MAX_MS;
	go_down(h, HN_WAITING, why, was_up);
}

static void on_failed(void *arg, const char *why)
{
	lose(arg, why);
}

/* The channel -------------------------------------------------------------- */

static void on_packet(void *arg, const struct packet *p)
{
	nvs_packet(((struct hn *)arg)->nvs, p);
}

static void on_broken(void *arg, int err)
{
	(void)err;
	lose(arg, "the host broke the ring");
}

static void on_channel_writable(void *arg)
{
	nvs_writable(((struct hn *)arg)->nvs);
}

static const struct channel_ops channel_ops = {
	on_packet, on_broken, on_channel_writable
};

static void open_channel(struct hn *h)
{
	h->state = HN_OPENING;
	if (bus_open(h->bus, h->relid, h->cfg.ring_len, h->cfg.ring_len, NULL,
		     0, &channel_ops, h) < 0)
		lose(h, "the channel cannot be opened");
}

static void on_retry(void *arg)
{
	open_channel(arg);
}

void hn_offered(struct hn *h, uint32_t relid)
{
	assert(h->state == HN_ABSENT);
	h->relid = relid;
	h->retry_ms = HN_RETRY_MS;
	open_channel(h);
}

void hn_opened(struct hn *h, struct channel *c, int err)
{
	if (err < 0) {
		lose(h, "the host refuses the channel");
		return;
	}
	h->state = HN_SETUP;
	nvs_open(h->nvs, h->relid, c);
}

void hn_rescinded(struct hn *h)
{
	bool was_up;

	if (h->state == HN_ABSENT)
		return;
	/* Nothing can be sent any more; what waits would only be tried. */
	nvs_gone(h->nvs);
	was_up = stop_nic(h, false);
	h->rescinds++;
	go_down(h, HN_ABSENT, "the host took the NIC back", was_up);
}

/* Up ----------------------------------------------------------------------- */

static void on_ready(void *arg)
{
	rndis_start(((struct hn *)arg)->rndis);
}

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct hn *h = arg;
	uint32_t max;

	h->state = HN_UP;
	h->nic = *nic;
	h->ups++;
	h->retry_ms = HN_RETRY_MS;
	hn_tx_start(h->tx, nic);
	max = hn_tx_mtu_max(h->tx);
	if (h->nic.mtu > max)
		h->nic.mtu = max;
	hn_rx_set_mac(h->rx, h->nic.mac);
	h->ops.up(h->arg, &h->nic);
	set_filter(h);
	tell_link(h);
}

/* Control goes in the send buffer too. */
static int send_control(void *arg, const void *msg, size_t len)
{
	struct hn *h = arg;
	uint8_t *mem;
	size_t cap;
	int err, i = nvs_section_get(h->nvs, &mem, &cap);

	if (i < 0)
		return i;
	err = len <= cap ? 0 : -EMSGSIZE;
	if (!err) {
		memcpy(mem, msg, len);
		err = nvs_section_send(h->nvs, (uint32_t)i, len, true);
	}
	if (err < 0)
		nvs_section_put(h->nvs, (uint32_t)i);
	return err;
}

static void on_rndis(void *arg, bool control, uint8_t *msg, size_t len)
{
	struct hn *h = arg;

	if (control)
		rndis_message(h->rndis, msg, len);
	else if (h->state == HN_UP)
		hn_rx_message(h->rx, msg, len);
	else
		h->early++;
}

static void on_batch_end(void *arg)
{
	hn_rx_batch_end(((struct hn *)arg)->rx);
}

static void on_sent(void *arg, uint32_t section, uint32_t status)
{
	(void)arg;
	(void)section;
	(void)status;
}

/* Control first: frames would take every section there is. */
static void on_writable(void *arg)
{
	struct hn *h = arg;

	rndis_writable(h->rndis);
	hn_tx_writable(h->tx);
	h->ops.writable(h->arg);
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	struct hn *h = arg;

	h->ops.vf(h->arg, present, serial);
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	struct hn *h = arg;

	h->ops.path(h->arg, path, asked);
}

/* What its user wants ------------------------------------------------------ */

void hn_set_up(struct hn *h, bool up)
{
	h->admin_up = up;
	set_filter(h);
}

void hn_set_promiscuous(struct hn *h, bool on)
{
	h->promiscuous = on;
	set_filter(h);
}

void hn_hide_link(struct hn *h, bool hide)
{
	if (hide == h->hidden)
		return;
	h->hidden = hide;
	tell_link(h);
	if (!hide && !h->change.set)
		rndis_query_link(h->rndis);
}

int hn_set_mtu(struct hn *h, uint32_t mtu)
{
	bool was_up;

	if (mtu < HN_MTU_MIN || mtu > HN_MTU_MAX)
		return -EINVAL;
	h->cfg.nvs.mtu = mtu;
	nvs_set_mtu(h->nvs, mtu);
	if (h->state == HN_ABSENT || h->state == HN_WAITING)
		return 0;
	was_up = stop_nic(h, true);
	close_channel(h);
	open_channel(h);
	if (was_up)
		go_down(h, h->state, "another MTU is agreed on", true);
	return 0;
}

int hn_switch_path(struct hn *h, enum nvs_path path)
{
	return nvs_switch_path(h->nvs, path);
}

void hn_set_sink(struct hn *h, const struct hn_rx_sink *sink)
{
	hn_rx_set_sink(h->rx, sink);
}

uint8_t *hn_room(struct hn *h, size_t *cap)
{
	return hn_tx_room(h->tx, cap);
}

void hn_put(struct hn *h, size_t len)
{
	hn_tx_put(h->tx, len);
}

void hn_flush(struct hn *h)
{
	hn_tx_flush(h->tx);
}

/* For people --------------------------------------------------------------- */

void hn_status_get(const struct hn *h, struct hn_status *s)
{
	*s = (struct hn_status){
		.state = h->state, .why = h->why ? h->why : "",
		.version = nvs_version(h->nvs),
		.section = nvs_section_size(h->nvs),
		.filter = h->filter, .link = h->link_said,
		.link_hidden = h->hidden, .network_change = h->changing,
		.ups = h->ups, .failures = h->failures,
		.rescinds = h->rescinds,
	};
}

const char *hn_state_name(enum hn_state s)
{
	switch (s) {
	case HN_ABSENT: return "absent";
	case HN_OPENING: return "opening";
	case HN_SETUP: return "setting up";
	case HN_UP: return "up";
	case HN_WAITING: return "waiting to try again";
	}
	return "?";
}

const struct rndis_nic *hn_nic(const struct hn *h)
{
	return h->state == HN_UP ? &h->nic : NULL;
}

struct parts {
	struct hn_tx_stats t;
	struct hn_rx_stats r;
	struct nvs_stats n;
};

static void list(struct hn_counter c[HN_COUNTERS], const struct hn *h,
		 const struct parts *p)
{
	const struct hn_counter all[] = {
		{ "tx_packets", p->t.frames },
		{ "tx_bytes", p->t.bytes },
		{ "tx_messages", p->t.messages },
		{ "tx_sends", p->t.sends },
		{ "tx_cut", p->t.cut },
		{ "tx_cut_pieces", p->t.pieces },
		{ "tx_waits", p->t.waits },
		{ "tx_failed_by_host", p->n.tx_failed },
		{ "tx_dropped_bad", p->t.bad },
		{ "tx_dropped_oversize", p->t.oversize },
		{ "tx_dropped_unsupported", p->t.unsupported },
		{ "tx_dropped_not_up", p->t.not_running },
		{ "rx_packets", p->r.frames },
		{ "rx_bytes", p->r.bytes },
		{ "rx_joined", p->r.joined },
		{ "rx_batches", p->n.rx_packets },
		{ "rx_dropped_bad", p->r.bad },
		{ "rx_dropped_echo", p->r.echoes },
		{ "rx_dropped_by_interface", p->r.refused },
		{ "rx_dropped_no_interface", p->r.no_sink },
		{ "rx_dropped_not_up", h->early },
		{ "control_bad", rndis_bad(h->rndis) },
		{ "channel_bad", p->n.bad },
		{ "channel_unknown", p->n.unknown },
		{ "channel_stray_completions", p->n.stray },
		{ "set_ups", h->ups },
		{ "failures", h->failures },
	};

	_Static_assert(sizeof(all) / sizeof(all[0]) == HN_COUNTERS,
		       "as many as hn.h says");
	memcpy(c, all, sizeof(all));
}

void hn_counters_get(const struct hn *h, struct hn_counter c[HN_COUNTERS])
{
	struct parts p;

	hn_tx_stats_get(h->tx, &p.t);
	hn_rx_stats_get(h->rx, &p.r);
	nvs_stats_get(h->nvs, &p.n);
	list(c, h, &p);
}

/* Life --------------------------------------------------------------------- */

static int make_parts(struct hn *h)
{
	static const struct nvs_ops nvs_ops = {
		on_ready, on_failed, on_rndis, on_batch_end, on_sent,
		on_writable, on_vf, on_path,
	};
	static const struct rndis_ops rndis_ops = {
		send_control, on_up, on_failed, on_link, on_network_change,
	};

	h->nvs = nvs_new(h->loop, h->bus, &h->cfg.nvs, &nvs_ops, h);
	h->rndis = rndis_new(h->loop, h->cfg.nvs.timeout_ms, &rndis_ops, h);
	h->tx = h->nvs ? hn_tx_new(h->nvs) : NULL;
	h->rx = hn_rx_new();
	return h->nvs && h->rndis && h->tx && h->rx ? 0 : -ENOMEM;
}

static void free_parts(struct hn *h)
{
	rndis_free(h->rndis);
	hn_tx_free(h->tx);
	hn_rx_free(h->rx);
	nvs_free(h->nvs);
	free(h);
}

struct hn *hn_new(struct loop *l, struct bus *b, const struct hn_cfg *cfg,
		  const struct hn_ops *ops, void *arg)
{
	struct hn *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->loop = l;
	h->bus = b;
	h->cfg = *cfg;
	h->ops = *ops;
	h->arg = arg;
	h->retry_ms = HN_RETRY_MS;
	loop_timer_init(&h->retry, l, on_retry, h);
	loop_timer_init(&h->change, l, on_change_over, h);
	if (make_parts(h) < 0) {
		free_parts(h);
		return NULL;
	}
	return h;
}

void hn_free(struct hn *h)
{
	if (!h)
		return;
	hn_set_sink(h, NULL);
	stop_nic(h, true);
	if (h->state != HN_ABSENT)
		close_channel(h);
	free_parts(h);
}
