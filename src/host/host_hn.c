/* host/host_hn.c - the channel: set-up, what waits to be told, the link.
 *
 * The set-up follows OpenVMM: versions are compared for equality with the
 * first number alone; from version 2 on the configuration comes before the
 * receive buffer; NDIS version and receive buffer are mandatory, the send
 * buffer is not: RNDIS may begin without one. A second message of the set-up,
 * or one out of order, ends the channel. A refused version does not.
 *
 * What cannot be sent because the ring is full waits, in this order:
 * completions, then other NVSP messages, then control answers, then frames. While HOST_HN_OUTSTANDING completions are owed the guest's ring
 * is not read, so that no guest can make the host remember more.
 *
 * Sources: OpenVMM netvsp (lib.rs, buffers.rs, rx_bufs.rs). */
#include "host/host_hn_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
	SECTION_SIZE = 6144,
	FRAME_MIN = 1514, FRAME_MAX = 9216,	/* what a guest may configure */
	DEFAULT_FRONT = 256, TAIL = 36,		/* of a slot, around its frame */
	WRONG_TABLE_AT = 40,	/* where some hosts have it, whatever they say */
};
/* Transaction ids of what the host says by itself. */
#define XACT_VF		0x8000000000000000u
#define XACT_PATH	0x8000000000000001u

void host_hn_violation(struct host_hn *n, const char *text)
{
	n->stats.violations++;
	n->ops->violation(n->arg, text);
}

/* The only writer of n->state. */
static void enter(struct host_hn *n, enum host_hn_state s)
{
	enum host_hn_state was = n->state;

	n->state = s;
	if (was != HOST_HN_UP && s == HOST_HN_UP)
		n->ops->up(n->arg);
	else if (was == HOST_HN_UP && s != HOST_HN_UP)
		n->ops->down(n->arg);
}

void host_hn_fail(struct host_hn *n, const char *text)
{
	host_hn_violation(n, text);
	enter(n, HOST_HN_FAILED);
}

size_t host_hn_msg_size(const struct host_hn *n)
{
	return n->cfg.manners.short_messages && n->version < NVS_V6_1 ?
	       HOST_NVS_SHORT : HOST_NVS_LONG;
}

static int send_to_guest(struct host_hn *n, uint16_t type, bool reply,
			 uint64_t xact, const uint8_t *msg, size_t len)
{
	const struct packet p = {
		.type = type, .flags = reply ? PACKET_WANT_COMPLETION : 0,
		.xact = xact, .data = msg, .len = len,
	};

	return n->port.send(n->port.arg, &p);
}

/* One channel: all entries are 0. */
static void send_table(struct host_hn *n)
{
	const uint32_t entry[NVS_INDIRECTIONS] = { 0 };
	bool wrong = n->cfg.manners.table == HOST_HN_TABLE_WRONG;
	uint8_t msg[WRONG_TABLE_AT + sizeof(entry)] = { 0 };
	struct wr w = wr_of(msg, sizeof(msg));

	host_nvs_put_indirection(&w, wrong ? 0 : NVS_TABLE_AT, entry);
	/* It is advice: a guest whose ring is full does without. */
	send_to_guest(n, PACKET_INBAND, false, 0, msg,
		      wrong ? sizeof(msg) : w.len);
}

void host_hn_up(struct host_hn *n)
{
	n->told_link = n->link;
	if (n->cfg.manners.table && n->version >= NVS_V5)
		send_table(n);
	enter(n, HOST_HN_UP);
}

/* What lies in slots stays there until the guest gives them back. */
void host_hn_halt(struct host_hn *n)
{
	n->filter = 0;
	enter(n, HOST_HN_HALTED);
}

/* What waits ------------------------------------------------------------- */

static int send_done(struct host_hn *n, const struct host_hn_done *d)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));

	host_nvs_put_rndis_complete(&w, host_hn_msg_size(n), d->status);
	return send_to_guest(n, PACKET_COMPLETION, false, d->xact, msg, w.len);
}

static void drop_first_done(struct host_hn *n)
{
	n->first_done = (n->first_done + 1) % HOST_HN_DONE_CAP;
	n->n_done--;
	if (n->paused && n->n_done < HOST_HN_OUTSTANDING) {
		n->paused = false;
		n->port.pause(n->port.arg, false);
	}
}

static int pump_done(struct host_hn *n)
{
	while (n->n_done) {
		const struct host_hn_done *d = &n->done[n->first_done];
		uint64_t now = loop_now_ms(n->loop);

		if (d->due_ms > now) {
			loop_timer_set(&n->done_timer, d->due_ms - now);
			return 0;
		}
		if (send_done(n, d) == -EAGAIN)
			return -EAGAIN;
		drop_first_done(n);
	}
	return 0;
}

/* One that is due at once goes before those that are not. */
void host_hn_complete(struct host_hn *n, uint64_t xact, uint32_t status,
		      bool at_once)
{
	struct host_hn_done d = { .xact = xact, .status = status };
	unsigned at;

	if (!at_once)
		d.due_ms = loop_now_ms(n->loop) + n->cfg.manners.complete_ms;
	assert(n->n_done < HOST_HN_DONE_CAP);
	if (at_once) {
		n->first_done = (n->first_done + HOST_HN_DONE_CAP - 1) %
				HOST_HN_DONE_CAP;
		at = n->first_done;
	} else {
		at = (n->first_done + n->n_done) % HOST_HN_DONE_CAP;
	}
	n->done[at] = d;
	n->n_done++;
	if (n->n_done >= HOST_HN_OUTSTANDING && !n->paused) {
		n->paused = true;
		n->port.pause(n->port.arg, true);
	}
}

static int send_note(struct host_hn *n, const struct host_hn_note *o)
{
	return send_to_guest(n, o->type, o->want, o->xact, o->msg, o->len);
}

static int pump_notes(struct host_hn *n)
{
	while (n->n_notes) {
		if (send_note(n, &n->notes[0]) == -EAGAIN)
			return -EAGAIN;
		n->n_notes--;
		memmove(n->notes, n->notes + 1,
			n->n_notes * sizeof(n->notes[0]));
	}
	return 0;
}

/* msg may be empty. */
static void note(struct host_hn *n, uint16_t type, uint64_t xact,
		 const uint8_t *msg, size_t len)
{
	struct host_hn_note *o = &n->notes[n->n_notes];

	if (n->n_notes == HOST_HN_NOTES) {
		host_hn_fail(n, "does not read what it is told");
		return;
	}
	*o = (struct host_hn_note){
		.type = type, .want = type == PACKET_INBAND, .xact = xact,
		.len = len,
	};
	if (len)
		memcpy(o->msg, msg, len);
	n->n_notes++;
	host_hn_pump(n);
}

static int pump_answers(struct host_hn *n)
{
	while (n->answers) {
		struct host_hn_answer *a = n->answers;

		if (host_hn_put_answer(n, a) == -EAGAIN)
			return -EAGAIN;
		n->answers = a->next;
		n->answers_len -= a->len;
		free(a);
	}
	return 0;
}

static bool talks(const struct host_hn *n)
{
	return n->state != HOST_HN_CLOSED && n->state != HOST_HN_FAILED &&
	       n->state != HOST_HN_OVER;
}

void host_hn_pump(struct host_hn *n)
{
	if (!talks(n) || pump_done(n) < 0 || pump_notes(n) < 0 ||
	    pump_answers(n) < 0)
		return;
	host_hn_flush(n);
}

static void done_due(void *arg)
{
	host_hn_pump(arg);
}

/* Set-up ----------------------------------------------------------------- */

static void reply(struct host_hn *n, const struct packet *p, const uint8_t *msg,
		  size_t len)
{
	if (!(p->flags & PACKET_WANT_COMPLETION)) {
		host_hn_violation(n, "asked without asking for an answer");
		return;
	}
	note(n, PACKET_COMPLETION, p->xact, msg, len);
}

static bool serves(const struct host_hn *n, uint32_t version)
{
	static const uint32_t all[] = {
		NVS_V1, NVS_V2, NVS_V4, NVS_V5, NVS_V6, NVS_V6_1,
	};
	uint32_t newest = n->cfg.manners.newest;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i] == version)
			return !newest || version <= newest;
	}
	return false;
}

static void on_init(struct host_hn *n, const struct host_nvs_msg *m,
		    const struct packet *p)
{
	bool ok = serves(n, m->init.least);
	uint8_t msg[HOST_NVS_SHORT];
	struct wr w = wr_of(msg, sizeof(msg));

	host_nvs_put_init(&w, ok ? NVS_S_OK : n->cfg.manners.init_status);
	reply(n, p, msg, w.len);
	if (!ok)
		return;
	n->version = m->init.least;
	enter(n, HOST_HN_SETTING_UP);
}

/* Some guests (UEFI) ask for an answer to what has none: an empty one. */
static void on_told(struct host_hn *n, const struct packet *p)
{
	if (p->flags & PACKET_WANT_COMPLETION)
		reply(n, p, NULL, 0);
}

static void on_ndis_config(struct host_hn *n, const struct host_nvs_msg *m,
			   const struct packet *p)
{
	uint32_t max = m->ndis_config.frame;

	if (n->version < NVS_V2 || n->has_config || n->has_recv) {
		host_hn_fail(n, "configured NDIS twice, late or too early");
		return;
	}
	n->has_config = true;
	n->caps = m->ndis_config.caps;
	n->frame_max = max >= FRAME_MIN && max <= FRAME_MAX ? max : FRAME_MIN;
	on_told(n, p);
}

static void on_ndis_version(struct host_hn *n, const struct host_nvs_msg *m,
			    const struct packet *p)
{
	(void)m;
	if (n->has_ndis) {
		host_hn_fail(n, "told its NDIS version twice");
		return;
	}
	n->has_ndis = true;
	on_told(n, p);
}

/* RNDIS may begin. */
static bool set_up(const struct host_hn *n)
{
	return n->has_ndis && n->has_recv &&
	       (n->has_config || n->version < NVS_V2);
}

static void try_ready(struct host_hn *n)
{
	if (n->state == HOST_HN_SETTING_UP && set_up(n) && n->has_send)
		enter(n, HOST_HN_READY);
}

static uint32_t slot_size(const struct host_hn *n)
{
	uint32_t front = n->cfg.manners.front;

	return (front > DEFAULT_FRONT ? front : DEFAULT_FRONT) + n->frame_max +
	       TAIL;
}

static bool take_recv_buf(struct host_hn *n, const struct host_nvs_msg *m)
{
	size_t len = 0;

	if (n->cfg.manners.refuse_recv_buf)
		return false;
	if (!n->port.gpadl(n->port.arg, m->buf.gpadl, &len)) {
		host_hn_violation(n, "named a receive buffer that is none");
		return false;
	}
	n->slot_size = slot_size(n);
	n->recv_gpadl = m->buf.gpadl;
	return host_hn_slots_new(n, len) == 0;
}

static void on_recv_buf(struct host_hn *n, const struct host_nvs_msg *m,
			const struct packet *p)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));

	if (n->has_recv || (n->version >= NVS_V2 && !n->has_config)) {
		host_hn_fail(n, "gave a receive buffer twice or too early");
		return;
	}
	n->has_recv = take_recv_buf(n, m);
	host_nvs_put_recv_buf(&w, host_hn_msg_size(n),
			      n->has_recv ? NVS_S_OK : NVS_S_FAIL,
			      n->slot_size, n->n_slots);
	reply(n, p, msg, w.len);
	try_ready(n);
}

static uint32_t section_size(const struct host_hn *n)
{
	uint32_t size = n->cfg.manners.section_size;

	return size ? size : SECTION_SIZE;
}

static void on_send_buf(struct host_hn *n, const struct host_nvs_msg *m,
			const struct packet *p)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));
	size_t len = 0;

	if (n->has_send) {
		host_hn_fail(n, "gave a send buffer twice");
		return;
	}
	n->has_send = !n->cfg.manners.refuse_send_buf;
	if (!n->port.gpadl(n->port.arg, m->buf.gpadl, &len)) {
		host_hn_violation(n, "named a send buffer that is none");
		n->has_send = false;
	}
	n->send_gpadl = m->buf.gpadl;
	host_nvs_put_send_buf(&w, host_hn_msg_size(n),
			      n->has_send ? NVS_S_OK : NVS_S_FAIL,
			      section_size(n));
	reply(n, p, msg, w.len);
	try_ready(n);
}

/* Afterwards ------------------------------------------------------------- */

static void on_revoke(struct host_hn *n, const struct host_nvs_msg *m,
		      const struct packet *p)
{
	(void)m;
	on_told(n, p);
	enter(n, HOST_HN_OVER);
}

static void on_rndis(struct host_hn *n, const struct host_nvs_msg *m,
		     const struct packet *p)
{
	if (n->state == HOST_HN_SETTING_UP && set_up(n))
		enter(n, HOST_HN_READY);	/* without a send buffer */
	if (n->state == HOST_HN_SETTING_UP)
		host_hn_fail(n, "began RNDIS before the set-up was done");
	else
		host_hn_send(n, m, p);
}

static void on_path(struct host_hn *n, const struct host_nvs_msg *m,
		    const struct packet *p)
{
	if (n->version < NVS_V4 || m->data_path.path > NVS_PATH_VF) {
		host_hn_fail(n, "asked for a data path that cannot be");
		return;
	}
	if (n->path_asked) {
		host_hn_violation(n, "asked for a path while it had asked");
		on_told(n, p);
		return;
	}
	n->path_asked = true;
	n->path_wants_reply = p->flags & PACKET_WANT_COMPLETION;
	n->path_xact = p->xact;
	n->ops->path(n->arg, m->data_path.path ? NVS_PATH_VF :
						 NVS_PATH_SYNTHETIC);
}

static void on_oid_query(struct host_hn *n, const struct host_nvs_msg *m,
			 const struct packet *p)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));

	(void)m;
	host_nvs_put_oid_query(&w, host_hn_msg_size(n), NVS_S_FAIL);
	reply(n, p, msg, w.len);
}

/* This host has one channel a NIC. */
static void on_subchannel(struct host_hn *n, const struct host_nvs_msg *m,
			  const struct packet *p)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));
	bool ok = m->subchannel.op == NVS_SUBCHANNEL_ALLOCATE;

	host_nvs_put_subchannel(&w, HOST_NVS_LONG, ok ? NVS_S_OK : NVS_S_FAIL,
				0);
	reply(n, p, msg, w.len);
}

#define IN(s)	(1u << HOST_HN_##s)

static const struct {
	uint32_t type;
	unsigned in;			/* the states in which it may come */
	void (*fn)(struct host_hn *n, const struct host_nvs_msg *m,
		   const struct packet *p);
} handlers[] = {
	{ NVS_INIT, IN(NEGOTIATING), on_init },
	{ NVS_NDIS_CONFIG, IN(SETTING_UP), on_ndis_config },
	{ NVS_NDIS_VERSION, IN(SETTING_UP), on_ndis_version },
	{ NVS_RECV_BUF, IN(SETTING_UP), on_recv_buf },
	{ NVS_SEND_BUF, IN(SETTING_UP), on_send_buf },
	{ NVS_RNDIS, IN(SETTING_UP) | IN(READY) | IN(UP), on_rndis },
	{ NVS_SWITCH_DATA_PATH, IN(READY) | IN(UP) | IN(HALTED), on_path },
	{ NVS_OID_QUERY, IN(READY) | IN(UP), on_oid_query },
	{ NVS_SUBCHANNEL, IN(READY) | IN(UP), on_subchannel },
	{ NVS_REVOKE_RECV_BUF, IN(SETTING_UP) | IN(READY) | IN(UP) | IN(HALTED),
	  on_revoke },
	{ NVS_REVOKE_SEND_BUF, IN(SETTING_UP) | IN(READY) | IN(UP) | IN(HALTED),
	  on_revoke },
};

static void on_message(struct host_hn *n, const struct packet *p)
{
	struct host_nvs_msg m;
	const char *why = NULL;

	if (host_nvs_get(&m, p->data, p->len, &why) < 0) {
		host_hn_fail(n, why);
		return;
	}
	for (unsigned i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (handlers[i].type == m.type &&
		    handlers[i].in & 1u << n->state) {
			handlers[i].fn(n, &m, p);
			return;
		}
	}
	host_hn_fail(n, "sent an NVSP message out of order");
}

/* Answers to what we say by ourselves are neither needed nor wrong. */
static void on_completion(struct host_hn *n, const struct packet *p)
{
	struct host_nvs_msg m;
	const char *why = NULL;

	if (p->xact == XACT_VF || p->xact == XACT_PATH)
		return;
	if (host_nvs_get(&m, p->data, p->len, &why) < 0 ||
	    m.type != NVS_RNDIS_COMPLETE)
		host_hn_fail(n, "completed something with something else");
	else
		host_hn_slots_back(n, p->xact);
}

void host_hn_packet(struct host_hn *n, const struct packet *p)
{
	if (!talks(n))
		return;
	if (p->type == PACKET_COMPLETION)
		on_completion(n, p);
	else if (p->type == PACKET_INBAND || p->type == PACKET_GPA_DIRECT)
		on_message(n, p);
	else
		host_hn_fail(n, "sent a packet of a type that guests do not");
	host_hn_pump(n);
}

void host_hn_writable(struct host_hn *n)
{
	host_hn_pump(n);
}

/* VF --------------------------------------------------------------------- */

bool host_hn_takes_vf(const struct host_hn *n)
{
	return n->state == HOST_HN_UP && n->version >= NVS_V4 &&
	       n->caps & NVS_CAP_SRIOV;
}

void host_hn_vf(struct host_hn *n, bool present, uint32_t serial)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));

	if (!host_hn_takes_vf(n))
		return;
	host_nvs_put_vf(&w, host_hn_msg_size(n), present, serial);
	note(n, PACKET_INBAND, XACT_VF, msg, w.len);
}

void host_hn_path_done(struct host_hn *n)
{
	if (!n->path_asked)
		return;
	n->path_asked = false;
	if (n->path_wants_reply && talks(n))
		note(n, PACKET_COMPLETION, n->path_xact, NULL, 0);
}

void host_hn_path_notice(struct host_hn *n)
{
	uint8_t msg[HOST_NVS_LONG];
	struct wr w = wr_of(msg, sizeof(msg));

	if (!host_hn_takes_vf(n))
		return;
	host_nvs_put_data_path(&w, host_hn_msg_size(n), NVS_PATH_SYNTHETIC);
	note(n, PACKET_INBAND, XACT_PATH, msg, w.len);
}

/* Link ------------------------------------------------------------------- */

static void tell_link(struct host_hn *n)
{
	if (n->state != HOST_HN_UP)
		return;			/* it asks when it comes up */
	n->told_link = n->link;
	host_hn_indicate(n, n->link ? RNDIS_S_MEDIA_CONNECT :
				      RNDIS_S_MEDIA_DISCONNECT, NULL, 0);
	n->say_again = n->link && n->cfg.manners.connect_twice;
	loop_timer_set(&n->link_timer, n->cfg.link_gap_ms);
}

static void link_gap_over(void *arg)
{
	struct host_hn *n = arg;

	if (n->link != n->told_link) {
		tell_link(n);
	} else if (n->say_again && n->state == HOST_HN_UP) {
		n->say_again = false;
		host_hn_indicate(n, RNDIS_S_MEDIA_CONNECT, NULL, 0);
	}
}

void host_hn_link(struct host_hn *n, bool connected)
{
	n->link = connected;
	if (!n->link_timer.set && n->link != n->told_link)
		tell_link(n);
}

/* Life ------------------------------------------------------------------- */

static void forget(struct host_hn *n)
{
	loop_timer_cancel(&n->done_timer);
	loop_timer_cancel(&n->link_timer);
	while (n->answers) {
		struct host_hn_answer *a = n->answers;

		n->answers = a->next;
		free(a);
	}
	host_hn_slots_free_all(n);
	n->answers_len = 0;
	n->n_done = n->n_notes = 0;
	n->has_config = n->has_ndis = n->has_recv = n->has_send = false;
	n->paused = n->path_asked = n->starved = n->say_again = false;
	n->version = 0;
	n->caps = 0;
	n->frame_max = FRAME_MIN;
	host_hn_rndis_reset(n);
}

struct host_hn *host_hn_new(struct loop *l, const struct host_hn_cfg *cfg,
			    const struct host_hn_ops *ops, void *arg)
{
	struct host_hn *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->copy = malloc(HOST_HN_SEND_MAX);
	if (!n->copy) {
		free(n);
		return NULL;
	}
	n->loop = l;
	n->cfg = *cfg;
	n->ops = ops;
	n->arg = arg;
	n->link = n->told_link = true;
	loop_timer_init(&n->done_timer, l, done_due, n);
	loop_timer_init(&n->link_timer, l, link_gap_over, n);
	forget(n);
	return n;
}

void host_hn_free(struct host_hn *n)
{
	if (!n)
		return;
	forget(n);
	free(n->copy);
	free(n);
}

void host_hn_open(struct host_hn *n, const struct host_hn_port *port)
{
	assert(n->state == HOST_HN_CLOSED);
	n->port = *port;
	enter(n, HOST_HN_NEGOTIATING);
}

void host_hn_close(struct host_hn *n)
{
	enter(n, HOST_HN_CLOSED);
	forget(n);
}

enum host_hn_state host_hn_state_get(const struct host_hn *n)
{
	return n->state;
}

const char *host_hn_state_name(enum host_hn_state s)
{
	static const char *const names[] = {
		[HOST_HN_CLOSED] = "closed",
		[HOST_HN_NEGOTIATING] = "negotiating",
		[HOST_HN_SETTING_UP] = "setting-up",
		[HOST_HN_READY] = "ready",
		[HOST_HN_UP] = "up",
		[HOST_HN_HALTED] = "halted",
		[HOST_HN_OVER] = "over",
		[HOST_HN_FAILED] = "failed",
	};

	return names[s];
}

uint32_t host_hn_version(const struct host_hn *n)
{
	return n->version;
}

uint32_t host_hn_filter(const struct host_hn *n)
{
	return n->filter;
}

uint32_t host_hn_mtu(const struct host_hn *n)
{
	return n->frame_max - HOST_FRAME_HDR;
}

const uint8_t *host_hn_mac(const struct host_hn *n)
{
	return n->mac;
}

const struct host_hn_stats *host_hn_stats_get(const struct host_hn *n)
{
	return &n->stats;
}
