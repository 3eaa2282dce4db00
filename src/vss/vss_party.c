/* vss/vss_party.c - one who is asked: questions, answers, and the end that is
 * owed to whoever was told FREEZE.
 *
 * Record form: an answer names its question, so one to an old question is
 * known for what it is. Linux form: a daemon answers in order and says not
 * what, so answers that nobody waits for any longer are counted.
 *
 * A client that does not read cannot be told anything. If what it cannot be
 * told is the end of a freeze, that is kept and sent as soon as there is room;
 * until then it is asked nothing else.
 */
#include "vss/vss_priv.h"

#include <errno.h>
#include <string.h>

enum {
	RETRY_MS = 200,
	MAX_OWED = 4,		/* a daemon that owes more is stuck */
};

void party_init(struct party *p, struct vss *v, const struct vss_peer *peer,
		uint64_t id, enum vss_form form)
{
	memset(p, 0, sizeof(*p));
	p->vss = v;
	p->peer = *peer;
	p->id = id;
	p->form = form;
}

static void tell(struct party *p, enum vss_happening what, unsigned opt,
		 enum vss_outcome outcome, const char *why)
{
	vss_tell(p->vss, (struct vss_event){
		.what = what, .msgid = p->last_id, .opt = opt,
		.party = &p->peer, .party_id = p->id, .outcome = outcome,
		.took_ms = what == VSS_ANSWERED && outcome != VSS_UNREACHED ?
			loop_now_ms(p->vss->loop) - p->asked_ms : 0,
		.why = why,
	});
}

/* Asking ----------------------------------------------------------------- */

static int transmit(struct party *p, unsigned wire, uint64_t msgid,
		    uint32_t answer_ms)
{
	struct hv_vss_record r = { .opt = wire, .msgid = msgid };
	uint8_t buf[VSS_RECORD_SIZE];

	if (p->form == VSS_FORM_LINUX) {
		vss_linux_put_request(buf, wire);
		return p->peer.send(p->peer.arg, buf, VSS_LINUX_SIZE);
	}
	vss_record_set_budget(&r, answer_ms, wire == HV_VSS_FREEZE ?
			      p->vss->cfg.frozen_ms : 0);
	vss_record_put(buf, &r);
	return p->peer.send(p->peer.arg, buf, sizeof(buf));
}

static int ask(struct party *p, unsigned opt, uint64_t msgid,
	       uint32_t answer_ms)
{
	unsigned wire = opt == HV_VSS_ABORT && !p->knows_abort ? HV_VSS_THAW :
								 opt;
	int err;

	party_drop(p);
	err = transmit(p, wire, msgid, answer_ms);
	if (err < 0)
		return err;
	p->asked = opt;
	p->asked_wire = wire;
	p->asked_id = p->last_id = msgid;
	p->asked_ms = loop_now_ms(p->vss->loop);
	if (opt != HV_VSS_CHECK)
		p->frozen = opt == HV_VSS_FREEZE;
	tell(p, VSS_ASKED, opt, VSS_YES, "");
	return 0;
}

static int unreached(struct party *p, unsigned opt, int err)
{
	tell(p, VSS_ANSWERED, opt, VSS_UNREACHED,
	     err == -EPIPE ? "it is gone" : "it does not read");
	return err;
}

int party_ask(struct party *p, unsigned opt, uint32_t answer_ms)
{
	int err;

	if (p->due)
		party_retry_end(p);
	if (p->due || p->owed >= MAX_OWED)
		return unreached(p, opt, -EAGAIN);
	err = ask(p, opt, p->vss->msgid, answer_ms);
	return err < 0 ? unreached(p, opt, err) : 0;
}

int party_end(struct party *p, unsigned opt, uint32_t answer_ms)
{
	int err = ask(p, opt, p->vss->msgid, answer_ms);

	if (err == 0)
		return 0;
	p->due = opt;
	loop_timer_set(&p->vss->retry, RETRY_MS);
	return unreached(p, opt, err);
}

/* The msgid is a new one: the round it belonged to may be over. */
void party_retry_end(struct party *p)
{
	if (!p->due)
		return;
	if (ask(p, p->due, vss_next_msgid(p->vss), p->vss->cfg.thaw_app_ms) < 0)
		loop_timer_set(&p->vss->retry, RETRY_MS);
	else
		p->due = HV_VSS_NONE;
}

void party_drop(struct party *p)
{
	if (p->asked != HV_VSS_NONE && p->form == VSS_FORM_LINUX)
		p->owed++;
	p->asked = HV_VSS_NONE;
}

void party_lost(struct party *p, enum vss_outcome outcome)
{
	unsigned opt = p->asked ? p->asked : p->frozen ? HV_VSS_FREEZE : 0;

	if (opt)
		tell(p, VSS_ANSWERED, opt, outcome, "");
	party_drop(p);
}

/* Listening -------------------------------------------------------------- */

void party_answered(struct party *p, bool yes, const char *why)
{
	tell(p, VSS_ANSWERED, p->asked, yes ? VSS_YES : VSS_NO, why);
	p->asked = HV_VSS_NONE;
}

static int hello(struct party *p, const struct hv_vss_record *r)
{
	char name[48];

	vss_record_text(name, r);
	if (name[0])
		memcpy(p->peer.name, name, sizeof(name));
	p->knows_abort = true;
	return 0;
}

static int note(struct party *p, const struct hv_vss_record *r)
{
	uint32_t phase, took_ms;
	char part[40];

	vss_record_note(r, &phase, &took_ms, part);
	if (phase < HV_VSS_CHECK || phase > HV_VSS_ABORT) {
		p->vss->stats.malformed++;
		return -ESTALE;
	}
	if (!p->last_id || r->msgid != p->last_id) {
		p->vss->stats.stale++;
		return -ESTALE;
	}
	vss_tell(p->vss, (struct vss_event){
		.what = VSS_NOTED, .msgid = r->msgid, .opt = phase,
		.party = &p->peer, .party_id = p->id, .part = part,
		.outcome = r->status == HV_VSS_OK ? VSS_YES : VSS_NO,
		.took_ms = took_ms,
	});
	return 0;
}

int party_message(struct party *p, const struct hv_vss_record *r, bool *yes,
		  char why[48])
{
	if (r->opt == HV_VSS_HELLO)
		return hello(p, r);
	if (r->opt == HV_VSS_NOTE)
		return note(p, r);
	if (p->asked == HV_VSS_NONE || r->msgid != p->asked_id) {
		p->vss->stats.stale++;
		return -ESTALE;
	}
	if (r->opt != p->asked_wire) {
		p->vss->stats.malformed++;
		return -ESTALE;
	}
	*yes = r->status == HV_VSS_OK;
	why[0] = '\0';
	if (!*yes)
		vss_record_text(why, r);
	return 1;
}
