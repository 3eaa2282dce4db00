/* vss/vss_fs.c - the file-system daemon: one, in either form.
 *
 * When it had to thaw by itself (its deadline passed, its guardian stepped in)
 * it says so unasked: an ABORT that failed, with the msgid of the FREEZE. It
 * will answer a THAW that was under way all the same, so nothing but FROZEN
 * waits for that message.
 */
#include "vss/vss_priv.h"

#include <errno.h>

#include "base/log.h"

static const char who[] = "file systems";

/* Debian's daemon thaws when it is told to, and never else. */
static void told_to_freeze(struct vss *v)
{
	uint64_t now = loop_now_ms(v->loop);

	v->freeze_id = v->msgid;
	v->freeze_ms = now;
	v->frozen_until_ms = UINT64_MAX;
	if (v->fs.form == VSS_FORM_RECORD)
		v->frozen_until_ms = now + v->cfg.freeze_fs_ms +
			v->cfg.frozen_ms + v->cfg.thaw_fs_ms;
}

static void known_thawed(struct vss *v)
{
	v->freeze_id = 0;
	v->frozen_until_ms = 0;
}

void vss_fs_ask(struct vss *v, unsigned opt, uint32_t answer_ms)
{
	bool end = opt == HV_VSS_THAW || opt == HV_VSS_ABORT;
	int err = end ? party_end(&v->fs, opt, answer_ms) :
			party_ask(&v->fs, opt, answer_ms);

	if (err < 0) {
		vss_step_fail(v, VSS_EV_FS_NO, who,
			      "the daemon could not be asked");
		return;
	}
	if (opt == HV_VSS_FREEZE)
		told_to_freeze(v);
}

void vss_fs_late(struct vss *v)
{
	party_lost(&v->fs, VSS_SILENT);
	vss_step_fail(v, VSS_EV_LATE, who, "no answer from the daemon in time");
}

/* Coming and going ------------------------------------------------------- */

static void registered(struct vss *v)
{
	v->fs_registered = true;
	known_thawed(v);	/* a daemon sees to that before it comes */
	log_info("vss: a file-system daemon registered (%s form)",
		 v->fs.form == VSS_FORM_LINUX ? "Linux" : "record");
	ic_release(v->ic);
}

int vss_daemon_open(struct vss *v, const struct vss_peer *p,
		    enum vss_form form)
{
	if (v->fs_open)
		return -EBUSY;
	v->fs_open = true;
	party_init(&v->fs, v, p, 0, form);
	if (form == VSS_FORM_RECORD)
		registered(v);
	return 0;
}

/* Its guardian thaws now, if something is frozen. */
void vss_daemon_gone(struct vss *v)
{
	uint64_t soon = loop_now_ms(v->loop) + v->cfg.thaw_fs_ms;

	if (!v->fs_open)
		return;
	party_lost(&v->fs, VSS_GONE);
	if (v->frozen_until_ms > soon)
		v->frozen_until_ms = soon;
	v->fs_open = v->fs_registered = false;
	v->fs.frozen = false;
	v->fs.due = HV_VSS_NONE;
	v->freeze_id = 0;
	vss_step_fail(v, VSS_EV_FS_GONE, who, "the daemon is gone");
}

/* Answers ---------------------------------------------------------------- */

/* What an answer says about the file systems: a FREEZE that failed was rolled
 * back. */
static void learn(struct vss *v, unsigned opt, bool yes)
{
	if (opt == HV_VSS_FREEZE && !yes)
		v->fs.frozen = false;
	if (opt != HV_VSS_CHECK && yes == (opt != HV_VSS_FREEZE))
		known_thawed(v);
}

/* Nobody waits for it any longer; that all is thawed is good to know. */
static void learn_late(struct vss *v, bool yes)
{
	if (yes && v->fs.asked_wire != HV_VSS_FREEZE)
		learn(v, v->fs.asked_wire, true);
}

static void on_answer(struct vss *v, bool yes, const char *why)
{
	learn(v, v->fs.asked, yes);
	party_answered(&v->fs, yes, why);
	if (yes)
		vss_step(v, VSS_EV_FS_OK);
	else
		vss_step_fail(v, VSS_EV_FS_NO, who,
			      why[0] ? why : "the daemon said no");
}

static bool thawed_by_itself(const struct vss *v, const struct hv_vss_record *r)
{
	return v->freeze_id && r->msgid == v->freeze_id &&
	       r->opt == HV_VSS_ABORT && r->status != HV_VSS_OK &&
	       v->state != VSS_FREEZE_FS;
}

static void on_thawed(struct vss *v, const struct hv_vss_record *r)
{
	uint64_t now = loop_now_ms(v->loop);
	char why[48];

	vss_record_text(why, r);
	vss_tell(v, (struct vss_event){
		.what = VSS_ANSWERED, .msgid = r->msgid, .opt = HV_VSS_ABORT,
		.party = &v->fs.peer, .outcome = VSS_NO, .why = why,
		.took_ms = now - v->freeze_ms,
	});
	known_thawed(v);
	if (v->state != VSS_FROZEN)
		return;
	v->fs.frozen = false;
	if (now - v->freeze_ms >= v->cfg.frozen_ms)
		v->stats.window++;
	vss_step_fail(v, VSS_EV_FS_NO, who,
		      why[0] ? why : "the daemon had to thaw");
}

static int on_record(struct vss *v, const void *buf, size_t len)
{
	struct hv_vss_record r;
	char why[48];
	bool yes;

	if (vss_record_get(&r, buf, len) < 0)
		return -EINVAL;
	if (thawed_by_itself(v, &r))
		on_thawed(v, &r);
	else if (party_message(&v->fs, &r, &yes, why) > 0)
		on_answer(v, yes, why);
	else if (r.msgid == v->fs.last_id && r.opt == v->fs.asked_wire)
		learn_late(v, r.status == HV_VSS_OK);
	return 0;
}

static int on_linux_register(struct vss *v, const void *buf, size_t len)
{
	uint8_t version[VSS_LINUX_VERSION_SIZE], op;

	if (vss_linux_get_register(&op, buf, len) < 0)
		return -EINVAL;
	vss_linux_put_version(version);
	if (op == VSS_LINUX_REGISTER1 &&
	    v->fs.peer.send(v->fs.peer.arg, version, sizeof(version)) < 0)
		return -EPIPE;
	registered(v);
	return 0;
}

static int on_linux(struct vss *v, const void *buf, size_t len)
{
	struct party *p = &v->fs;
	uint32_t status;

	if (!v->fs_registered)
		return on_linux_register(v, buf, len);
	if (vss_linux_get_answer(&status, buf, len) < 0)
		return -EINVAL;
	if (p->owed) {
		p->owed--;
		v->stats.stale++;
		if (!p->owed && !p->asked)
			learn_late(v, status == 0);
	} else if (p->asked == HV_VSS_NONE) {
		v->stats.malformed++;
	} else {
		on_answer(v, status == 0, "");
	}
	return 0;
}

int vss_daemon_message(struct vss *v, const void *buf, size_t len)
{
	int err = v->fs.form == VSS_FORM_LINUX ? on_linux(v, buf, len) :
						 on_record(v, buf, len);

	if (err < 0) {
		v->stats.malformed++;
		vss_daemon_gone(v);
	}
	return err;
}

const struct vss_peer *vss_daemon_peer(const struct vss *v)
{
	return v->fs_registered ? &v->fs.peer : NULL;
}

bool vss_may_be_frozen(const struct vss *v)
{
	return v->frozen_until_ms > loop_now_ms(v->loop);
}
