/* host/host_ctl_vss.c - backups on the control socket: one request, or a
 * snapshot as a stream of its steps with the verdict as the last line.
 *
 * Work that is to be done while the guest is frozen is the client's: it reads
 * that the hold has begun, does it, and says "vss-worked" on another
 * connection. A client that goes away takes its snapshot along: the host thaws.
 *
 * On the wire a guest says yes or no and nothing else. What it has to say
 * beyond that, why not, or how consistent, a guest with our daemon leaves in
 * two items of pool 1, outside the frozen time. They are read over KVP, if that
 * is there; what an item said before the snapshot is taken for old until some
 * patience is over. */
#include <errno.h>
#include <stdlib.h>

#include "host/host_ctl_state.h"
#include "host/host_json.h"

enum { WORDS_AGAIN_MS = 100, ERROR_PATIENCE_MS = 1000,
       RESULT_PATIENCE_MS = 500 };

static const char last_error[] = "VSS.LastError";
static const char last_result[] = "VSS.LastResult";

struct client {
	struct host_ctl *hc;
	struct ctl_conn *conn;		/* NULL: it left */
	uint64_t id;
	struct host_vss_snapshot *snapshot;	/* until its verdict */
	json_t *last_line;		/* until it is sent */
	/* The guest's words. */
	char *error_before, *result_before;	/* NULL: there was none */
	const char *wanted;		/* at the end; NULL: before it */
	struct loop_timer again;
	uint64_t until_ms;
};

/* Requests --------------------------------------------------------------- */

static void on_answer(void *arg, const struct host_vss_result *r)
{
	struct client *cl = arg;
	struct ctl_conn *c = cl->conn;
	json_t *j;

	free(cl);
	ctl_on_close(c, NULL, NULL);
	if (r->err < 0) {
		ctl_reply(c, host_ctl_ended(r->err));
		return;
	}
	j = json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "result", "answered",
		      "status", host_status_name(r->status), "took_ms",
		      (json_int_t)r->took_ms);
	host_json_vss_answer(j, r->msg, r->status);
	ctl_reply(c, j);
}

static void requester_left(void *arg, struct ctl_conn *c)
{
	struct client *cl = arg;

	(void)c;
	host_vss_forget(host_vss_of(cl->hc->host), cl);
	free(cl);
}

json_t *host_ctl_vss_request(void *hc, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *h = hc;
	struct host_vss_msg m;
	const char *bad = host_json_vss_msg(&m, r);
	struct client *cl;
	int err;

	if (bad)
		return host_ctl_bad_member(r, bad);
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return host_ctl_ended(-ENOMEM);
	cl->hc = h;
	cl->conn = c;
	err = host_vss_request(host_vss_of(h->host), &m, NULL, on_answer, cl);
	if (err == 0) {
		ctl_on_close(c, requester_left, cl);
		return NULL;
	}
	free(cl);
	return host_ctl_ended(err);
}

/* The guest's words ------------------------------------------------------ */

static void free_client(struct client *cl)
{
	host_kvp_forget(host_kvp_of(cl->hc->host), cl);
	loop_timer_cancel(&cl->again);
	json_decref(cl->last_line);
	free(cl->error_before);
	free(cl->result_before);
	free(cl);
}

/* The verdict is told; the connection may ask again. */
static void tell_verdict(struct client *cl)
{
	struct ctl_conn *c = cl->conn;
	json_t *line = cl->last_line;

	cl->last_line = NULL;
	ctl_on_close(c, NULL, NULL);
	free_client(cl);
	ctl_reply(c, line);
}

static char **before(struct client *cl, const char *key)
{
	return key == last_result ? &cl->result_before : &cl->error_before;
}

static void heard_before(void *arg, const struct host_kvp_result *r)
{
	struct client *cl = arg;
	const char *key = strcmp(r->msg->item.key, last_error) != 0 ?
		last_result : last_error;

	if (r->err == 0 && r->status == HV_S_OK && !*before(cl, key))
		*before(cl, key) = strdup(r->msg->item.value);
}

static int ask_word(struct client *cl, const char *key, host_kvp_done done)
{
	struct host_kvp_msg m = { .op = KVP_GET, .pool = KVP_POOL_GUEST };
	struct host_kvp *k = host_kvp_of(cl->hc->host);

	m.item.type = KVP_TYPE_STRING;
	strcpy(m.item.key, key);
	return host_kvp_request(k, &m, NULL, done, cl);
}

static void ask_again(void *arg);

static void heard(void *arg, const struct host_kvp_result *r)
{
	struct client *cl = arg;
	bool there = r->err == 0 && r->status == HV_S_OK;
	const char *old = *before(cl, cl->wanted);
	bool fresh = there && (!old || strcmp(old, r->msg->item.value) != 0);
	/* A guest that never left a result will hardly begin today. */
	bool hopeless = r->err < 0 ||
		(!there && cl->wanted == last_result && !old);

	if (!fresh && !hopeless &&
	    loop_now_ms(host_loop(cl->hc->host)) < cl->until_ms &&
	    !cl->hc->virtual_clock) {
		loop_timer_set(&cl->again, WORDS_AGAIN_MS);
		return;
	}
	if (there)
		json_object_set_new(cl->last_line, "guest",
				    json_string(r->msg->item.value));
	tell_verdict(cl);
}

static void ask_again(void *arg)
{
	struct client *cl = arg;

	if (ask_word(cl, cl->wanted, heard) < 0)
		tell_verdict(cl);	/* without words, then */
}

/* Snapshots -------------------------------------------------------------- */

static void on_progress(void *arg, const struct host_vss_took *t)
{
	struct client *cl = arg;
	json_t *j = host_json_vss_took(t);

	if (t->step == HOST_VSS_HOLD && !t->ended)
		json_object_set_new(j, "id", json_integer((json_int_t)cl->id));
	ctl_reply(cl->conn, j);		/* it may leave: client_left() */
}

/* Has the guest had a part in it that it could say something about? */
static bool guests_doing(const struct host_vss_verdict *v)
{
	if (v->outcome == HOST_VSS_PRODUCTION)
		return true;
	for (unsigned i = 0; i < v->n; i++) {
		if (v->step[i].err < 0 || v->step[i].status != HV_S_OK)
			return true;
	}
	return false;
}

static void on_verdict(void *arg, const struct host_vss_verdict *v)
{
	struct client *cl = arg;
	bool failed = v->outcome == HOST_VSS_FAILED ||
		v->outcome == HOST_VSS_OFFLINE;
	struct loop *l = host_loop(cl->hc->host);

	cl->snapshot = NULL;
	cl->last_line = host_json_vss_verdict(v);
	json_object_set_new(cl->last_line, "result", json_string("verdict"));
	cl->wanted = failed ? last_error : last_result;
	cl->until_ms = loop_now_ms(l) + (failed ? ERROR_PATIENCE_MS :
					 RESULT_PATIENCE_MS);
	if (guests_doing(v))
		ask_again(cl);
	else
		tell_verdict(cl);
}

static void client_left(void *arg, struct ctl_conn *c)
{
	struct client *cl = arg;

	(void)c;
	if (cl->snapshot)
		host_vss_abandon(cl->snapshot, "whoever asked for it is gone");
	free_client(cl);
}

static const char *read_snapshot(struct host_vss_snapshot_cfg *cfg,
				 struct host_vss_manner *how,
				 struct host_vss_msg *m, const json_t *r)
{
	const char *bad = host_json_vss_manner(how, r);

	if (!bad)
		bad = host_json_vss_snapshot(cfg, r);
	if (!bad)
		bad = host_json_vss_luns(m, r);
	cfg->how = how;
	cfg->n_luns = m->n_luns;
	cfg->luns = m->luns;
	cfg->backup_type = m->backup_type;
	return bad;
}

json_t *host_ctl_vss_snapshot(void *hc, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *h = hc;
	struct host_vss_manner how = host_profile_of(h->host)->backup;
	struct host_vss_snapshot_cfg cfg = { .progress = on_progress,
					     .done = on_verdict };
	struct host_vss_msg m = { 0 };
	const char *bad = read_snapshot(&cfg, &how, &m, r);
	struct client *cl;

	if (bad)
		return host_ctl_bad_member(r, bad);
	if (host_vss_running(host_vss_of(h->host)))
		return host_ctl_refused("refused",
					"another snapshot is being made");
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return host_ctl_ended(-ENOMEM);
	*cl = (struct client){ .hc = h, .conn = c, .id = ++h->snapshots };
	loop_timer_init(&cl->again, host_loop(h->host), ask_again, cl);
	(void)ask_word(cl, last_error, heard_before);
	(void)ask_word(cl, last_result, heard_before);
	ctl_on_close(c, client_left, cl);
	cfg.arg = cl;
	cl->snapshot = host_vss_snapshot(host_vss_of(h->host), &cfg);
	if (cl->snapshot)
		return NULL;
	ctl_on_close(c, NULL, NULL);
	free_client(cl);
	return host_ctl_ended(-ENOMEM);
}

json_t *host_ctl_vss_worked(void *hc, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *h = hc;
	struct host_vss_snapshot *s = host_vss_running(host_vss_of(h->host));
	const json_t *failed = json_object_get(r, "failed");
	const json_t *id = json_object_get(r, "id");

	(void)c;
	if (failed && !json_is_string(failed) && !json_is_null(failed))
		return host_ctl_bad_member(r, "failed");
	if (!json_is_integer(id))
		return host_ctl_bad_member(r, "id");
	if (!s || (uint64_t)json_integer_value(id) != h->snapshots ||
	    host_vss_at(s) != HOST_VSS_HOLD)
		return host_ctl_refused("refused", "nobody waits for that");
	host_vss_worked(s, json_string_value(failed));
	return json_object();
}
