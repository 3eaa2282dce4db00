/* host/host_ctl.c - the commands of the control socket. A command that has to
 * wait for the guest leaves a `pending` behind, which replies when the answer
 * is there and is forgotten when its client goes away. */
#include <errno.h>
#include <stdlib.h>

#include "host/host_ctl_state.h"
#include "host/host_json.h"

struct pending {
	struct pending *next;
	struct host_ctl *hc;
	struct ctl_conn *conn;
	unsigned want;			/* of a wait: index into waits[], */
	enum host_ic_id ic;		/* ... and whose */
	bool waits, watches;
	struct host_kvp_watch watch;
	unsigned pools;			/* of a watch: bit a pool */
};

static bool is_ready(const struct host *h, enum host_ic_id id)
{
	return host_ic_state_get(host_ic_of(h, id)) == HOST_IC_READY;
}

/* Pending replies -------------------------------------------------------- */

static void drop(struct pending *p)
{
	struct host_kvp *k = host_kvp_of(p->hc->host);
	struct pending **at = &p->hc->pending;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	host_kvp_forget(k, p);
	if (p->watches)
		host_kvp_unwatch(k, &p->watch);
	free(p);
}

static void client_left(void *arg, struct ctl_conn *c)
{
	(void)c;
	drop(arg);
}

static struct pending *new_pending(struct host_ctl *hc, struct ctl_conn *c)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->hc = hc;
	p->conn = c;
	p->next = hc->pending;
	hc->pending = p;
	ctl_on_close(c, client_left, p);
	return p;
}

/* The reply, after which the connection may ask again. */
static void reply(struct pending *p, json_t *line)
{
	struct ctl_conn *c = p->conn;

	ctl_on_close(c, NULL, NULL);
	drop(p);
	ctl_reply(c, line);
}

json_t *host_ctl_refused(const char *result, const char *text)
{
	return json_pack("{s:s, s:s}", "error", text, "result", result);
}

json_t *host_ctl_ended(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return host_ctl_refused("timeout",
					"the guest did not answer in time");
	case -EBADMSG:
		return host_ctl_refused("malformed",
					"the guest's answer is malformed");
	case -ECANCELED:
		return host_ctl_refused("cancelled", "the channel was closed "
					"or negotiated anew meanwhile");
	case -ENOTCONN:
		return host_ctl_refused("not-ready", "no guest is ready");
	case -EOPNOTSUPP:
		return host_ctl_refused("refused", "this host has no IP "
					"operations below KVP 5.0");
	case -EMSGSIZE:
		return host_ctl_refused("refused", "too long: a key has 255 "
					"UTF-16 units, a value 1023, a list "
					"64 addresses");
	case -EILSEQ:
		return host_ctl_refused("refused", "not UTF-8");
	case -EINVAL:
		return host_ctl_refused("refused",
					"the value does not fit its type");
	case -ENOENT:
		return host_ctl_refused("refused", "there is no such item");
	default:
		return host_ctl_refused("refused", strerror(-err));
	}
}

static void on_answer(void *arg, const struct host_kvp_result *r)
{
	json_t *j;

	if (r->err < 0) {
		reply(arg, host_ctl_ended(r->err));
		return;
	}
	j = json_pack("{s:b, s:s, s:s, s:I}", "ok", 1, "result", "answered",
		      "status", host_status_name(r->status),
		      "took_ms", (json_int_t)r->took_ms);
	if (r->status == HV_S_OK && r->list)
		json_object_set_new(j, "items", host_json_list(r->list));
	if (r->status == HV_S_OK && r->msg && r->msg->op == KVP_GET)
		json_object_update_new(j, json_pack("{s:s, s:s, s:s}",
			"key", r->msg->item.key, "value", r->msg->item.value,
			"type", host_kvp_type_name(r->msg->item.type)));
	if (r->status == HV_S_OK && r->msg && r->msg->op == KVP_GET_IP_INFO)
		json_object_set_new(j, "ip", host_json_ip(&r->msg->ip));
	reply(arg, j);
}

/* Key-value commands ----------------------------------------------------- */

/* The request's member is not what it should be: say what it is. */
json_t *host_ctl_bad_member(const json_t *request, const char *member)
{
	const json_t *v = json_object_get(request, member);
	char *is = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT |
				  JSON_ENSURE_ASCII) : NULL;
	char text[160];

	if (is)
		snprintf(text, sizeof(text), "\"%s\" is wrong: %.80s", member,
			 is);
	else
		snprintf(text, sizeof(text), "\"%s\" is missing", member);
	free(is);
	return host_ctl_refused("refused", text);
}

static json_t *request(struct host_ctl *hc, struct ctl_conn *c,
		       const struct host_kvp_msg *m)
{
	struct pending *p = new_pending(hc, c);
	int err = p ? host_kvp_request(host_kvp_of(hc->host), m, NULL,
				       on_answer, p) : -ENOMEM;

	if (err == 0)
		return NULL;
	if (p) {
		ctl_on_close(c, NULL, NULL);
		drop(p);
	}
	return host_ctl_ended(err);
}

static json_t *cmd_get(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_kvp_msg m = { .op = KVP_GET };
	const char *bad = host_json_pool(&m.pool, r);

	if (!bad)
		bad = host_json_item(&m.item, r, false);
	return bad ? host_ctl_bad_member(r, bad) : request(arg, c, &m);
}

static json_t *stored(void)
{
	return json_pack("{s:s}", "result", "stored");
}

/* Pool 0 is the administrator's: kept here, whoever listens. */
static json_t *cmd_set(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	struct host_kvp *k = host_kvp_of(hc->host);
	struct host_kvp_msg m = { .op = KVP_SET };
	const char *bad = host_json_pool(&m.pool, r);
	int err;

	if (!bad)
		bad = host_json_item(&m.item, r, true);
	if (bad)
		return host_ctl_bad_member(r, bad);
	if (m.pool == KVP_POOL_EXTERNAL) {
		err = host_kvp_item_set(k, &m.item);
		if (err < 0)
			return host_ctl_ended(err);
		if (!is_ready(hc->host, HOST_KVP))
			return stored();
	}
	return request(hc, c, &m);
}

static json_t *cmd_del(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	struct host_kvp_msg m = { .op = KVP_DELETE };
	const char *bad = host_json_pool(&m.pool, r);
	int err;

	if (!bad)
		bad = host_json_item(&m.item, r, false);
	if (bad)
		return host_ctl_bad_member(r, bad);
	if (m.pool == KVP_POOL_EXTERNAL) {
		err = host_kvp_item_delete(host_kvp_of(hc->host), m.item.key);
		if (!is_ready(hc->host, HOST_KVP))
			return err < 0 ? host_ctl_ended(err) : stored();
	}
	return request(hc, c, &m);
}

static json_t *cmd_list(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	struct host_kvp *k = host_kvp_of(hc->host);
	struct pending *p;
	uint8_t pool;
	int err;

	if (json_is_true(json_object_get(r, "items")))
		return json_pack("{s:s, s:o}", "result", "stored", "items",
				 host_json_list(host_kvp_items(k)));
	if (host_json_pool(&pool, r))
		return host_ctl_bad_member(r, "pool");
	p = new_pending(hc, c);
	err = p ? host_kvp_walk(k, pool, on_answer, p) : -ENOMEM;
	if (err == 0)
		return NULL;
	if (p) {
		ctl_on_close(c, NULL, NULL);
		drop(p);
	}
	return host_ctl_ended(err);
}

static json_t *cmd_push(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	struct pending *p;

	(void)r;
	if (!is_ready(hc->host, HOST_KVP))
		return host_ctl_ended(-ENOTCONN);
	p = new_pending(hc, c);
	if (!p)
		return host_ctl_ended(-ENOMEM);
	host_kvp_push(host_kvp_of(hc->host), on_answer, p);
	return NULL;
}

static json_t *cmd_ip_get(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_kvp_msg m = { .op = KVP_GET_IP_INFO,
				  .pool = KVP_POOL_GUEST };
	const char *bad = host_json_get_ip(&m.ip, r);

	return bad ? host_ctl_bad_member(r, bad) : request(arg, c, &m);
}

static json_t *cmd_ip_set(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_kvp_msg m = { .op = KVP_SET_IP_INFO,
				  .pool = KVP_POOL_GUEST };
	const char *bad = host_json_get_ip(&m.ip, r);

	return bad ? host_ctl_bad_member(r, bad) : request(arg, c, &m);
}

/* Watching --------------------------------------------------------------- */

/* -EPIPE: the client left, and p with it. */
static int send_change(struct pending *p, unsigned pool,
		       enum host_kvp_change what,
		       const struct host_kvp_entry *e)
{
	static const char *const names[] = { "added", "changed", "removed" };

	if (!(p->pools & 1u << pool))
		return 0;
	return ctl_reply(p->conn, json_pack("{s:s, s:i, s:s, s:s}", "change",
					    names[what], "pool", pool,
					    "key", e->key, "value", e->value));
}

static void on_change(void *arg, unsigned pool, enum host_kvp_change what,
		      const struct host_kvp_entry *e)
{
	send_change(arg, pool, what, e);
}

/* What is known already comes first, as added. */
static int send_known(struct pending *p)
{
	const struct host_kvp *k = host_kvp_of(p->hc->host);
	int err = 0;

	for (unsigned pool = 1; pool <= 2; pool++) {
		const struct host_kvp_list *l = host_kvp_cache(k, pool);

		for (size_t i = 0; i < l->n && err == 0; i++)
			err = send_change(p, pool, HOST_KVP_ADDED, &l->e[i]);
	}
	return err;
}

static json_t *cmd_watch(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	const json_t *ms = json_object_get(r, "poll_ms");
	struct pending *p;
	uint8_t pool = 0;

	if (!json_is_integer(ms) || json_integer_value(ms) < 1 ||
	    json_integer_value(ms) > UINT32_MAX)
		return host_ctl_bad_member(r, "poll_ms");
	if (json_object_get(r, "pool") &&
	    (host_json_pool(&pool, r) || pool < 1 || pool > 2))
		return host_ctl_refused("refused",
					"only pools 1 and 2 are watched");
	p = new_pending(hc, c);
	if (!p)
		return host_ctl_ended(-ENOMEM);
	p->pools = pool ? 1u << pool : 6;
	p->watch = (struct host_kvp_watch){ on_change, p, NULL };
	p->watches = true;
	host_kvp_watch(host_kvp_of(hc->host), &p->watch);
	if (send_known(p) == 0)
		host_kvp_poll(host_kvp_of(hc->host),
			      (uint32_t)json_integer_value(ms));
	return NULL;
}

static int which_ic(const json_t *r)
{
	const char *name = json_string_value(json_object_get(r, "ic"));

	return name ? host_ic_find(name) : -ENOENT;
}

/* Waiting ---------------------------------------------------------------- */

static bool is_guest(const struct host *h, enum host_ic_id id)
{
	(void)id;
	return host_guest(h);
}

static bool is_gone(const struct host *h, enum host_ic_id id)
{
	(void)id;
	return !host_guest(h);
}

static bool is_idle(const struct host *h, enum host_ic_id id)
{
	return !host_ic_busy(host_ic_of(h, id));
}

static bool is_pushed(const struct host *h, enum host_ic_id id)
{
	(void)id;
	return host_kvp_pushed(host_kvp_of(h));
}

static bool is_frozen(const struct host *h, enum host_ic_id id)
{
	(void)id;
	return host_vss_frozen(host_vss_of(h), NULL);
}

static bool is_thawed(const struct host *h, enum host_ic_id id)
{
	return !is_frozen(h, id);
}

static const struct {
	const char *name;
	bool (*is)(const struct host *h, enum host_ic_id id);
} waits[] = {
	{ "guest", is_guest }, { "gone", is_gone }, { "open", host_ic_opened },
	{ "ready", is_ready }, { "pushed", is_pushed }, { "idle", is_idle },
	{ "frozen", is_frozen }, { "thawed", is_thawed },
};

enum { N_WAITS = sizeof(waits) / sizeof(waits[0]) };

static void on_host_changed(void *arg)
{
	struct host_ctl *hc = arg;
	struct pending *p, *next;

	for (p = hc->pending; p; p = next) {
		next = p->next;
		if (p->waits && waits[p->want].is(hc->host, p->ic))
			reply(p, json_pack("{s:b}", "ok", 1));
	}
}

static json_t *cmd_wait(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	const char *what = json_string_value(json_object_get(r, "for"));
	int id = json_object_get(r, "ic") ? which_ic(r) : HOST_KVP;
	struct pending *p;

	if (id < 0)
		return host_ctl_bad_member(r, "ic");
	for (unsigned i = 0; what && i < N_WAITS; i++) {
		if (strcmp(waits[i].name, what) != 0)
			continue;
		if (waits[i].is(hc->host, (enum host_ic_id)id))
			return json_object();
		p = new_pending(hc, c);
		if (!p)
			return host_ctl_ended(-ENOMEM);
		p->waits = true;
		p->want = i;
		p->ic = (enum host_ic_id)id;
		return NULL;
	}
	return host_ctl_bad_member(r, "for");
}

/* The rest --------------------------------------------------------------- */

static json_t *cmd_status(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;

	(void)c;
	(void)r;
	return host_json_status(hc->host);
}

/* Do something to the component that the request names. */
static json_t *to_ic(struct host_ctl *hc, const json_t *r,
		     int (*fn)(struct host *h, enum host_ic_id id),
		     const char *already)
{
	int id = which_ic(r), err;

	if (id < 0)
		return host_ctl_bad_member(r, "ic");
	err = fn(hc->host, (enum host_ic_id)id);
	if (err == -ENOTCONN)
		return host_ctl_refused("not-ready", "its channel is not open");
	if (err == -EOPNOTSUPP)
		return host_ctl_refused("refused",
					"this host does not have it");
	return err < 0 ? host_ctl_refused("refused", already) : json_object();
}

static json_t *cmd_rescind(void *arg, struct ctl_conn *c, json_t *r)
{
	(void)c;
	return to_ic(arg, r, host_rescind, "it is not offered");
}

static json_t *cmd_offer(void *arg, struct ctl_conn *c, json_t *r)
{
	(void)c;
	return to_ic(arg, r, host_offer, "it is offered already");
}

static int negotiate(struct host *h, enum host_ic_id id)
{
	return host_ic_negotiate(host_ic_of(h, id), NULL, NULL, NULL);
}

static json_t *cmd_renegotiate(void *arg, struct ctl_conn *c, json_t *r)
{
	(void)c;
	return to_ic(arg, r, negotiate, "it cannot negotiate now");
}

static json_t *cmd_restart(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;

	(void)c;
	(void)r;
	host_restart(hc->host);
	return json_object();
}

static json_t *cmd_advance(void *arg, struct ctl_conn *c, json_t *r)
{
	struct host_ctl *hc = arg;
	const json_t *ms = json_object_get(r, "ms");

	(void)c;
	if (!hc->virtual_clock)
		return host_ctl_refused("refused",
					"this host runs on the real clock");
	if (!json_is_integer(ms) || json_integer_value(ms) < 0)
		return host_ctl_bad_member(r, "ms");
	loop_advance(host_loop(hc->host), (uint64_t)json_integer_value(ms));
	return json_pack("{s:I}", "time_ms",
			 (json_int_t)host_now_ms(hc->host));
}

static const struct ctl_command commands[] = {
	{ "status", cmd_status },
	{ "kvp-get", cmd_get },
	{ "kvp-set", cmd_set },
	{ "kvp-del", cmd_del },
	{ "kvp-list", cmd_list },
	{ "kvp-push", cmd_push },
	{ "kvp-watch", cmd_watch },
	{ "kvp-ip-get", cmd_ip_get },
	{ "kvp-ip-set", cmd_ip_set },
	{ "vss-request", host_ctl_vss_request },
	{ "vss-snapshot", host_ctl_vss_snapshot },
	{ "vss-worked", host_ctl_vss_worked },
	{ "wait", cmd_wait },
	{ "rescind", cmd_rescind },
	{ "offer", cmd_offer },
	{ "renegotiate", cmd_renegotiate },
	{ "restart", cmd_restart },
	{ "clock-advance", cmd_advance },
	{ NULL, NULL },
};

struct host_ctl *host_ctl_new(struct host *h, const char *path,
			      bool virtual_clock)
{
	struct host_ctl *hc = calloc(1, sizeof(*hc));

	if (!hc)
		return NULL;
	hc->host = h;
	hc->virtual_clock = virtual_clock;
	hc->ctl = ctl_new(host_loop(h), path, 0600, commands, hc);
	if (!hc->ctl) {
		free(hc);
		return NULL;
	}
	hc->observer = (struct host_observer){ on_host_changed, hc, NULL };
	host_observe(h, &hc->observer);
	return hc;
}

void host_ctl_free(struct host_ctl *hc)
{
	if (!hc)
		return;
	host_unobserve(hc->host, &hc->observer);
	ctl_free(hc->ctl);		/* drops what is pending, by client_left */
	free(hc);
}
