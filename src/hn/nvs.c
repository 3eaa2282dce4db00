/* hn/nvs.c - set-up, then packets.
 *
 * Set-up is a chain of questions with one outstanding at a time; each has the
 * xact id XACT_SETUP, and the state says which message its completion must
 * hold. A host may not know a version and still talk sense, so a refused INIT
 * leads to the next older version and anything else ends the attempt.
 *
 * Sends take a section of the send buffer each; the xact id of a send is its
 * section's index plus XACT_SECTION, so that a completion is checked by looking
 * whether that section is on its way.
 *
 * Completions that we owe for received packets must not get lost, or the host
 * runs out of receive sections: those for which the ring has no room wait in a
 * list as long as the host has sections. */
#include "hn/nvs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	XACT_SETUP = 1,
	XACT_PATH = 2,
	XACT_SECTION = 0x100,
	MAX_RANGES = 1024,		/* OpenVMM sends up to 375, 562 with RSC */
	MAX_SECTIONS = 16384,
	PAGE = 4096,
};

static const uint32_t versions[] = {
	NVS_V6_1, NVS_V6, NVS_V5, NVS_V4, NVS_V2, NVS_V1,
};

enum { N_VERSIONS = sizeof(versions) / sizeof(versions[0]) };

enum section_state { SECTION_FREE, SECTION_TAKEN, SECTION_SENT };

struct nvs {
	struct loop *loop;
	struct bus *bus;
	struct nvs_cfg cfg;
	struct nvs_ops ops;
	void *arg;
	struct channel *channel;
	uint32_t relid;
	enum nvs_state state;
	unsigned candidate;		/* index into versions[] */
	uint32_t version;
	struct loop_timer timeout;
	struct bus_gpadl *recv_buf, *send_buf;
	uint32_t section_size;		/* of a receive section */
	/* The send buffer. */
	uint32_t send_section_size, n_sections;
	uint8_t *sections;		/* enum section_state, one each */
	uint32_t *free_sections;	/* a stack */
	uint32_t n_free;
	bool starved;			/* somebody was told -EAGAIN */
	/* Completions owed, a ring of xact ids. */
	uint64_t *owed;
	uint32_t owed_first, n_owed, owed_cap;
	uint8_t *copy;			/* of one received message */
	bool switching;
	enum nvs_path path_asked;
	struct nvs_stats stats;
};

/* Ending ----------------------------------------------------------------- */

static void forget(struct nvs *n)
{
	loop_timer_cancel(&n->timeout);
	n->recv_buf = n->send_buf = NULL;
	free(n->sections);
	free(n->free_sections);
	free(n->owed);
	free(n->copy);
	n->sections = NULL;
	n->free_sections = NULL;
	n->owed = NULL;
	n->copy = NULL;
	n->n_sections = n->n_free = n->n_owed = 0;
	n->send_section_size = 0;
	n->channel = NULL;
	n->version = 0;
	n->switching = n->starved = false;
	n->state = NVS_CLOSED;
}

static void fail(struct nvs *n, const char *why)
{
	loop_timer_cancel(&n->timeout);
	n->state = NVS_FAILED;
	n->ops.failed(n->arg, why);
}

static void on_timeout(void *arg)
{
	struct nvs *n = arg;

	fail(n, n->state == NVS_NEGOTIATING ?
	     "the host does not answer the version request" :
	     "the host does not answer for the buffers");
}

/* Sending ---------------------------------------------------------------- */

static int send_msg(struct nvs *n, const uint8_t msg[NVS_MSG_SIZE],
		    uint64_t xact)
{
	const struct packet p = {
		.type = PACKET_INBAND,
		.flags = xact ? PACKET_WANT_COMPLETION : 0, .xact = xact,
		.data = msg, .len = NVS_MSG_SIZE,
	};

	return n->channel ? channel_send(n->channel, &p) : -ENOTCONN;
}

/* A question of the set-up. The ring is empty then: no room is a fault. */
static void ask(struct nvs *n, const uint8_t msg[NVS_MSG_SIZE])
{
	if (send_msg(n, msg, XACT_SETUP) < 0) {
		fail(n, "the ring takes no set-up message");
		return;
	}
	loop_timer_set(&n->timeout, n->cfg.timeout_ms);
}

/* Set-up ----------------------------------------------------------------- */

static void ask_version(struct nvs *n)
{
	uint8_t msg[NVS_MSG_SIZE];

	nvs_put_init(msg, versions[n->candidate]);
	ask(n, msg);
}

static void on_recv_buf_shared(void *arg, int err)
{
	struct nvs *n = arg;
	uint8_t msg[NVS_MSG_SIZE];

	if (err < 0) {
		fail(n, "the host cannot use our receive buffer");
		return;
	}
	nvs_put_recv_buf(msg, bus_gpadl_handle(n->recv_buf));
	ask(n, msg);
}

static void on_send_buf_shared(void *arg, int err)
{
	struct nvs *n = arg;
	uint8_t msg[NVS_MSG_SIZE];

	if (err < 0) {
		fail(n, "the host cannot use our send buffer");
		return;
	}
	nvs_put_send_buf(msg, bus_gpadl_handle(n->send_buf));
	ask(n, msg);
}

static uint64_t capabilities(const struct nvs *n)
{
	uint64_t caps = NVS_CAP_8021Q;

	if (n->cfg.sriov && n->version >= NVS_V5)
		caps |= NVS_CAP_SRIOV;
	return caps;
}

static size_t recv_buf_len(const struct nvs *n)
{
	size_t max = n->version <= NVS_V2 ? NVS_MAX_RECV_BUF_V2 :
					    NVS_MAX_RECV_BUF;

	return n->cfg.recv_buf_len < max ? n->cfg.recv_buf_len : max;
}

/* NDIS config and version are told and not answered. */
static void share_buffers(struct nvs *n)
{
	uint8_t msg[NVS_MSG_SIZE];
	int err = 0;

	n->state = NVS_BUFFERS;
	if (n->version >= NVS_V2) {
		nvs_put_ndis_config(msg, n->cfg.mtu, capabilities(n));
		err = send_msg(n, msg, 0);
	}
	nvs_put_ndis_version(msg, n->version);
	if (!err)
		err = send_msg(n, msg, 0);
	n->recv_buf = err ? NULL : bus_gpadl_new(n->bus, n->relid,
						 recv_buf_len(n),
						 on_recv_buf_shared, n);
	if (!n->recv_buf)
		fail(n, "no memory for the receive buffer");
}

static void on_init_complete(struct nvs *n, const struct nvs_msg *m)
{
	if (m->init.status == NVS_S_OK) {
		n->version = versions[n->candidate];
		share_buffers(n);
	} else if (++n->candidate < N_VERSIONS) {
		ask_version(n);
	} else {
		fail(n, "the host speaks no version of NVSP that we know");
	}
}

static int new_receive_side(struct nvs *n, const struct nvs_msg *m)
{
	n->section_size = m->recv_buf.section_size;
	n->owed_cap = m->recv_buf.n_sections;
	n->owed = calloc(n->owed_cap, sizeof(*n->owed));
	n->copy = malloc(recv_buf_len(n));
	return n->owed && n->copy ? 0 : -ENOMEM;
}

static void on_recv_buf_complete(struct nvs *n, const struct nvs_msg *m)
{
	if (m->recv_buf.status != NVS_S_OK || new_receive_side(n, m) < 0) {
		fail(n, "the host refuses our receive buffer");
		return;
	}
	n->send_buf = bus_gpadl_new(n->bus, n->relid, n->cfg.send_buf_len,
				    on_send_buf_shared, n);
	if (!n->send_buf)
		fail(n, "no memory for the send buffer");
}

static int new_send_side(struct nvs *n, uint32_t section_size)
{
	size_t count = n->cfg.send_buf_len / section_size;

	n->n_sections = (uint32_t)(count < MAX_SECTIONS ? count : MAX_SECTIONS);
	n->sections = calloc(n->n_sections, sizeof(*n->sections));
	n->free_sections = calloc(n->n_sections, sizeof(*n->free_sections));
	if (!n->sections || !n->free_sections)
		return -ENOMEM;
	for (uint32_t i = 0; i < n->n_sections; i++)
		n->free_sections[i] = n->n_sections - 1 - i;
	n->n_free = n->n_sections;
	n->send_section_size = section_size;
	return 0;
}

static void on_send_buf_complete(struct nvs *n, const struct nvs_msg *m)
{
	uint32_t size = m->send_buf.section_size;

	if (m->send_buf.status != NVS_S_OK || !size ||
	    size > n->cfg.send_buf_len || new_send_side(n, size) < 0) {
		fail(n, "the host gives us no send buffer");
		return;
	}
	n->state = NVS_READY;
	n->ops.ready(n->arg);
}

/* Where is the answer X of the set-up handled? In this row, when it is X's
 * turn; nothing else is an answer then. */
static const struct setup_row {
	uint32_t type;
	void (*fn)(struct nvs *n, const struct nvs_msg *m);
} setup_rows[] = {
	{ NVS_INIT_COMPLETE, on_init_complete },
	{ NVS_RECV_BUF_COMPLETE, on_recv_buf_complete },
	{ NVS_SEND_BUF_COMPLETE, on_send_buf_complete },
};

/* What was asked last; NULL while nothing is. */
static const struct setup_row *awaited(const struct nvs *n)
{
	if (!n->timeout.set)
		return NULL;
	if (n->state == NVS_NEGOTIATING)
		return &setup_rows[0];
	return n->send_buf ? &setup_rows[2] : &setup_rows[1];
}

static void on_setup_answer(struct nvs *n, const struct packet *p)
{
	const struct setup_row *row = awaited(n);
	struct nvs_msg m;

	if (!row) {
		n->stats.stray++;
		return;
	}
	loop_timer_cancel(&n->timeout);
	if (nvs_get(&m, p->data, p->len, n->version,
		    n->recv_buf ? recv_buf_len(n) : 0) == 0 &&
	    m.type == row->type) {
		row->fn(n, &m);
	} else {
		n->stats.bad++;
		fail(n, "the host's answer to the set-up is malformed");
	}
}

/* Receiving -------------------------------------------------------------- */

static int send_completion(struct nvs *n, uint64_t xact)
{
	uint8_t msg[NVS_MSG_SIZE];
	const struct packet p = {
		.type = PACKET_COMPLETION, .xact = xact,
		.data = msg, .len = NVS_MSG_SIZE,
	};

	nvs_put_rndis_complete(msg, NVS_S_OK);
	return n->channel ? channel_send(n->channel, &p) : -ENOTCONN;
}

/* One a packet, not one a range: the host counts sections by it. */
static void complete(struct nvs *n, uint64_t xact)
{
	if (!n->n_owed && send_completion(n, xact) == 0)
		return;
	if (n->n_owed == n->owed_cap) {
		n->stats.bad++;		/* more packets than it has sections */
		return;
	}
	n->owed[(n->owed_first + n->n_owed++) % n->owed_cap] = xact;
}

static void send_owed(struct nvs *n)
{
	while (n->n_owed &&
	       send_completion(n, n->owed[n->owed_first]) == 0) {
		n->owed_first = (n->owed_first + 1) % n->owed_cap;
		n->n_owed--;
	}
}

/* A callback may close the channel: then there is no receive buffer left. */
static void receive(struct nvs *n, bool control, const struct packet_xfer *x)
{
	const uint8_t *buf;

	if (!n->recv_buf)
		return;
	if (!x->len || x->len > recv_buf_len(n) ||
	    x->offset > recv_buf_len(n) - x->len) {
		n->stats.bad++;
		return;
	}
	buf = bus_gpadl_mem(n->recv_buf);
	memcpy(n->copy, buf + x->offset, x->len);
	n->stats.rx_messages++;
	n->ops.rndis(n->arg, control, n->copy, x->len);
}

static void on_xfer(struct nvs *n, const struct packet *p)
{
	static struct packet_xfer x[MAX_RANGES];	/* one thread a loop */
	struct nvs_msg m;
	uint16_t set;
	int count = packet_xfer_get(&set, x, MAX_RANGES, p);

	if (n->state != NVS_READY || count < 0 || set != NVS_RECV_BUF_ID ||
	    nvs_get(&m, p->data, p->len, n->version, 0) < 0 ||
	    m.type != NVS_RNDIS) {
		n->stats.bad++;
		return;
	}
	n->stats.rx_packets++;
	for (int i = 0; i < count; i++)
		receive(n, m.rndis.control, &x[i]);
	if (n->ops.batch_end)
		n->ops.batch_end(n->arg);
	if (n->channel && n->owed && (p->flags & PACKET_WANT_COMPLETION))
		complete(n, p->xact);
}

static void on_path_answer(struct nvs *n)
{
	n->switching = false;
	n->ops.path(n->arg, n->path_asked, true);
}

static void on_sent(struct nvs *n, uint64_t xact, const struct packet *p)
{
	uint32_t section = (uint32_t)(xact - XACT_SECTION);
	struct nvs_msg m;
	bool starved = n->starved;

	if (xact - XACT_SECTION >= n->n_sections ||
	    n->sections[section] != SECTION_SENT) {
		n->stats.stray++;
		return;
	}
	if (nvs_get(&m, p->data, p->len, n->version, 0) < 0 ||
	    m.type != NVS_RNDIS_COMPLETE)
		m.rndis_complete.status = NVS_S_FAIL;	/* free it all the same */
	n->stats.tx_failed += m.rndis_complete.status != NVS_S_OK;
	nvs_section_put(n, section);
	n->starved = false;
	n->ops.sent(n->arg, section, m.rndis_complete.status);
	if (starved && n->channel)
		n->ops.writable(n->arg);
}

static void on_completion(struct nvs *n, const struct packet *p)
{
	if (p->xact == XACT_SETUP)
		on_setup_answer(n, p);
	else if (p->xact == XACT_PATH && n->switching)
		on_path_answer(n);
	else if (p->xact >= XACT_SECTION)
		on_sent(n, p->xact, p);
	else
		n->stats.stray++;
}

/* What a host says by itself. Nobody waits for an answer to these, not even
 * where it asks for one. */
static void on_inband(struct nvs *n, const struct packet *p)
{
	struct nvs_msg m;
	int err = nvs_get(&m, p->data, p->len, n->version, 0);

	if (err == -EOPNOTSUPP || n->state != NVS_READY) {
		n->stats.unknown++;
	} else if (err < 0) {
		n->stats.bad++;
	} else if (m.type == NVS_VF_ASSOCIATION) {
		n->ops.vf(n->arg, m.vf.present, m.vf.serial);
	} else if (m.type == NVS_SWITCH_DATA_PATH) {
		n->ops.path(n->arg, m.data_path.path, false);
	} else if (m.type != NVS_INDIRECTION_TABLE) {
		n->stats.unknown++;	/* one channel, nothing to spread over */
	}
}

void nvs_packet(struct nvs *n, const struct packet *p)
{
	if (n->state == NVS_CLOSED || n->state == NVS_FAILED)
		return;
	switch (p->type) {
	case PACKET_COMPLETION:
		on_completion(n, p);
		break;
	case PACKET_XFER_PAGES:
		on_xfer(n, p);
		break;
	case PACKET_INBAND:
		on_inband(n, p);
		break;
	default:
		n->stats.unknown++;
	}
}

void nvs_writable(struct nvs *n)
{
	send_owed(n);
	if (n->starved && n->state == NVS_READY && !n->n_owed) {
		n->starved = false;
		n->ops.writable(n->arg);
	}
}

/* Life ------------------------------------------------------------------- */

struct nvs *nvs_new(struct loop *l, struct bus *b, const struct nvs_cfg *cfg,
		    const struct nvs_ops *ops, void *arg)
{
	struct nvs *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->loop = l;
	n->bus = b;
	n->cfg = *cfg;
	n->ops = *ops;
	n->arg = arg;
	loop_timer_init(&n->timeout, l, on_timeout, n);
	return n;
}

void nvs_free(struct nvs *n)
{
	if (!n)
		return;
	nvs_close(n);
	free(n);
}

void nvs_set_mtu(struct nvs *n, uint32_t mtu)
{
	n->cfg.mtu = mtu;
}

void nvs_open(struct nvs *n, uint32_t relid, struct channel *c)
{
	nvs_close(n);
	n->channel = c;
	n->relid = relid;
	n->candidate = 0;
	n->state = NVS_NEGOTIATING;
	ask_version(n);
}

static void revoke(struct nvs *n)
{
	uint8_t msg[NVS_MSG_SIZE];

	if (n->recv_buf) {
		nvs_put_revoke_recv_buf(msg);
		send_msg(n, msg, 0);
	}
	if (n->send_buf) {
		nvs_put_revoke_send_buf(msg);
		send_msg(n, msg, 0);
	}
}

void nvs_close(struct nvs *n)
{
	if (n->channel)
		revoke(n);
	bus_gpadl_free(n->recv_buf);
	bus_gpadl_free(n->send_buf);
	forget(n);
}

void nvs_gone(struct nvs *n)
{
	forget(n);
}

/* Sections --------------------------------------------------------------- */

int nvs_section_get(struct nvs *n, uint8_t **mem, size_t *cap)
{
	uint8_t *buf;
	uint32_t i;

	if (n->state != NVS_READY)
		return -ENOTCONN;
	if (!n->n_free) {
		n->starved = true;
		return -EAGAIN;
	}
	i = n->free_sections[--n->n_free];
	n->sections[i] = SECTION_TAKEN;
	buf = bus_gpadl_mem(n->send_buf);
	*mem = buf + (size_t)i * n->send_section_size;
	*cap = n->send_section_size;
	return (int)i;
}

void nvs_section_put(struct nvs *n, uint32_t section)
{
	n->sections[section] = SECTION_FREE;
	n->free_sections[n->n_free++] = section;
}

int nvs_section_send(struct nvs *n, uint32_t section, size_t used,
		     bool control)
{
	uint8_t msg[NVS_MSG_SIZE];
	int err;

	nvs_put_rndis(msg, control, section, (uint32_t)used);
	err = send_msg(n, msg, XACT_SECTION + (uint64_t)section);
	if (err == -EAGAIN)
		n->starved = true;
	if (err < 0)
		return err;
	n->sections[section] = SECTION_SENT;
	n->stats.tx_packets++;
	return 0;
}

int nvs_switch_path(struct nvs *n, enum nvs_path path)
{
	uint8_t msg[NVS_MSG_SIZE];
	int err;

	if (n->state != NVS_READY)
		return -ENOTCONN;
	if (n->version < NVS_V4)
		return -EOPNOTSUPP;
	if (n->switching)
		return -EALREADY;
	nvs_put_switch_data_path(msg, path);
	err = send_msg(n, msg, XACT_PATH);
	if (err < 0)
		return err;
	n->switching = true;
	n->path_asked = path;
	return 0;
}

enum nvs_state nvs_state_get(const struct nvs *n)
{
	return n->state;
}

const char *nvs_state_name(enum nvs_state s)
{
	switch (s) {
	case NVS_CLOSED: return "closed";
	case NVS_NEGOTIATING: return "negotiating";
	case NVS_BUFFERS: return "sharing buffers";
	case NVS_READY: return "ready";
	case NVS_FAILED: return "failed";
	}
	return "?";
}

uint32_t nvs_version(const struct nvs *n)
{
	return n->version;
}

size_t nvs_section_size(const struct nvs *n)
{
	return n->send_section_size;
}

void nvs_stats_get(const struct nvs *n, struct nvs_stats *s)
{
	*s = n->stats;
}
