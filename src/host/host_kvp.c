/* host/host_kvp.c - theory of operation.
 *
 * A `job` is what somebody asked for: one request, a walk, or a push. Walks
 * and pushes send their next request when the last one was answered, so they
 * mix fairly with requests of others and stop at the first loss of the
 * channel. Jobs end exactly once, through end_job().
 *
 * The push follows host-behaviour: once per connection, facts (pool 3) first,
 * then items (pool 0), then SET_IP_INFO if one waits. The real order between
 * the pools is unverified. A new negotiation on an open channel does not push
 * again; a new channel does. */
#include "host/host_kvp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

enum { WALK_MAX = 1000000 };	/* an enumeration without an end */

enum job_kind { JOB_REQUEST, JOB_WALK, JOB_PUSH };

/* What somebody asked for. */
struct job {
	struct job *next;
	struct host_kvp *k;
	enum job_kind kind;
	host_kvp_done done;
	void *arg;
	uint64_t took_ms;
	bool mangled;			/* the guest got something else */
	uint32_t status;		/* JOB_PUSH: the first failure */
	uint32_t version;		/* agreed when it was asked */
	size_t at;			/* JOB_PUSH: requests sent */
	struct host_kvp_list list;	/* JOB_WALK, until it has ended */
	const struct host_kvp_list *result;
	struct host_kvp_msg msg;
};

struct host_kvp {
	struct loop *loop;
	struct host_ic *ic;
	struct host_kvp_cfg cfg;
	struct host_kvp_list items, facts, cache[2];
	struct host_kvp_ip *ip;		/* SET_IP_INFO that waits; may be NULL */
	bool ready, pushed;
	struct host_kvp_watch *watches;
	struct job *jobs;
	struct loop_timer poll;
	bool polling;			/* a walk of ours is under way */
};

/* Lists ------------------------------------------------------------------ */

static void entry_clear(struct host_kvp_entry *e)
{
	free(e->key);
	free(e->value);
}

static void list_clear(struct host_kvp_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		entry_clear(&l->e[i]);
	free(l->e);
	*l = (struct host_kvp_list){ 0 };
}

static int entry_fill(struct host_kvp_entry *e, uint32_t type, const char *key,
		      const char *value)
{
	*e = (struct host_kvp_entry){ type, strdup(key), strdup(value) };
	if (e->key && e->value)
		return 0;
	entry_clear(e);
	return -ENOMEM;
}

static int list_add(struct host_kvp_list *l, uint32_t type, const char *key,
		    const char *value)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		struct host_kvp_entry *e = reallocarray(l->e, cap, sizeof(*e));

		if (!e)
			return -ENOMEM;
		l->e = e;
		l->cap = cap;
	}
	if (entry_fill(&l->e[l->n], type, key, value) < 0)
		return -ENOMEM;
	l->n++;
	return 0;
}

static struct host_kvp_entry *list_find(const struct host_kvp_list *l,
					const char *key)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!strcmp(l->e[i].key, key))
			return &l->e[i];
	}
	return NULL;
}

/* Facts ------------------------------------------------------------------ */

/* A GUID that stays the same for a name, upper case as the host writes it. */
static void vm_id(char *out, size_t cap, const char *name)
{
	uint64_t h[2] = { 0xcbf29ce484222325u, 0x84222325cbf29ce4u };

	for (; *name; name++) {
		h[0] = (h[0] ^ (uint8_t)*name) * 0x100000001b3u;
		h[1] = (h[1] ^ (h[0] >> 7)) * 0x100000001b3u;
	}
	snprintf(out, cap, "%08X-%04X-4%03X-8%03X-%012llX",
		 (unsigned)(h[0] >> 32), (unsigned)(h[0] >> 16 & 0xffff),
		 (unsigned)(h[0] & 0xfff), (unsigned)(h[1] >> 48 & 0xfff),
		 (unsigned long long)(h[1] & 0xffffffffffff));
}

/* The sixteen items that have been seen; numbers as type 4 among them, since
 * a guest has to bear those too. The simulated system calls itself 10.0. */
static int add_facts(struct host_kvp *k, const char *vm_name)
{
	struct utsname u;
	char id[64];
	int err = 0;

	if (uname(&u) < 0)
		strcpy(u.nodename, "host");
	vm_id(id, sizeof(id), vm_name);
	const struct {
		uint32_t type;
		const char *key, *value;
	} facts[] = {
		{ KVP_TYPE_STRING, "HostName", u.nodename },
		{ KVP_TYPE_STRING, "HostingSystemEditionId", "8" },
		{ KVP_TYPE_STRING, "HostingSystemNestedLevel", "0" },
		{ KVP_TYPE_STRING, "HostingSystemOsMajor", "10" },
		{ KVP_TYPE_STRING, "HostingSystemOsMinor", "0" },
		{ KVP_TYPE_STRING, "HostingSystemProcessorArchitecture", "9" },
		{ KVP_TYPE_U32, "HostingSystemProcessorIdleStateMax", "0" },
		{ KVP_TYPE_U32, "HostingSystemProcessorThrottleMax", "100" },
		{ KVP_TYPE_U32, "HostingSystemProcessorThrottleMin", "5" },
		{ KVP_TYPE_STRING, "HostingSystemSpMajor", "0" },
		{ KVP_TYPE_STRING, "HostingSystemSpMinor", "0" },
		{ KVP_TYPE_STRING, "PhysicalHostName", u.nodename },
		{ KVP_TYPE_STRING, "PhysicalHostNameFullyQualified",
		  u.nodename },
		{ KVP_TYPE_STRING, "VirtualMachineDynamicMemoryBalancingEnabled",
		  "0" },
		{ KVP_TYPE_STRING, "VirtualMachineId", id },
		{ KVP_TYPE_STRING, "VirtualMachineName", vm_name },
	};
	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		if (err == 0)
			err = list_add(&k->facts, facts[i].type, facts[i].key,
				       facts[i].value);
	}
	return err;
}

/* Jobs ------------------------------------------------------------------- */

static struct job *new_job(struct host_kvp *k, enum job_kind kind,
			   host_kvp_done done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->k = k;
	j->kind = kind;
	j->done = done;
	j->arg = arg;
	j->version = host_ic_version(k->ic);
	j->result = &j->list;
	j->next = k->jobs;
	k->jobs = j;
	return j;
}

static void free_job(struct job *j)
{
	struct job **p = &j->k->jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	list_clear(&j->list);
	free(j);
}

static void end_job(struct job *j, int err, uint32_t status)
{
	struct host_kvp_result r = {
		.err = err, .status = status, .took_ms = j->took_ms,
		.msg = j->kind == JOB_REQUEST ? &j->msg : NULL,
		.list = j->kind == JOB_WALK ? j->result : NULL,
	};

	if (j->done)
		j->done(j->arg, &r);
	free_job(j);
}

static void answered(void *arg, const struct host_ic_answer *a);

static bool ip_refused(const struct host_kvp *k, uint8_t op)
{
	return (op == KVP_GET_IP_INFO || op == KVP_SET_IP_INFO) &&
	       !k->cfg.string_ip && HV_IC_MAJOR(host_ic_version(k->ic)) < 5;
}

/* Send the job's message as it is now. */
static int ask(struct job *j, const struct host_fault *f)
{
	uint8_t body[HOST_KVP_IP];
	struct wr w = wr_of(body, sizeof(body));
	int err;

	if (ip_refused(j->k, j->msg.op))
		return -EOPNOTSUPP;
	err = host_kvp_put(&w, &j->msg, j->version);
	if (err < 0)
		return err;
	return host_ic_ask(j->k->ic, body, w.len, f, answered, j);
}

int host_kvp_request(struct host_kvp *k, const struct host_kvp_msg *m,
		     const struct host_fault *f, host_kvp_done done, void *arg)
{
	struct job *j = new_job(k, JOB_REQUEST, done, arg);
	int err;

	if (!j)
		return -ENOMEM;
	j->msg = *m;
	j->mangled = f && host_fault_mangles(f);
	err = ask(j, f);
	if (err < 0)
		free_job(j);
	return err;
}

/* Walks ------------------------------------------------------------------ */

int host_kvp_walk(struct host_kvp *k, unsigned pool, host_kvp_done done,
		  void *arg)
{
	struct job *j = new_job(k, JOB_WALK, done, arg);
	int err;

	if (!j)
		return -ENOMEM;
	j->msg.op = KVP_ENUMERATE;
	j->msg.pool = (uint8_t)pool;
	err = ask(j, NULL);
	if (err < 0)
		free_job(j);
	return err;
}

static void tell(struct host_kvp *k, unsigned pool, enum host_kvp_change what,
		 const struct host_kvp_entry *e)
{
	struct host_kvp_watch *w, *next;

	for (w = k->watches; w; w = next) {
		next = w->next;
		w->fn(w->arg, pool, what, e);
	}
}

/* Say what differs. Keys may repeat: the n-th of a key pairs with the n-th.
 * Polled pools hold tens of keys; pairing by position first keeps the usual
 * case, nothing moved, linear. */
static bool same_at(const struct host_kvp_list *l, size_t i,
		    const struct host_kvp_entry *e)
{
	return i < l->n && !strcmp(l->e[i].key, e->key);
}

static void tell_new(struct host_kvp *k, unsigned pool,
		     const struct host_kvp_list *was,
		     const struct host_kvp_list *now)
{
	for (size_t i = 0; i < now->n; i++) {
		const struct host_kvp_entry *e = &now->e[i];
		const struct host_kvp_entry *old = same_at(was, i, e) ?
			&was->e[i] : list_find(was, e->key);

		if (!old)
			tell(k, pool, HOST_KVP_ADDED, e);
		else if (strcmp(old->value, e->value) != 0)
			tell(k, pool, HOST_KVP_CHANGED, e);
	}
}

static void tell_gone(struct host_kvp *k, unsigned pool,
		      const struct host_kvp_list *was,
		      const struct host_kvp_list *now)
{
	for (size_t i = 0; i < was->n; i++) {
		if (!same_at(now, i, &was->e[i]) &&
		    !list_find(now, was->e[i].key))
			tell(k, pool, HOST_KVP_REMOVED, &was->e[i]);
	}
}

static void walk_ended(struct job *j)
{
	unsigned pool = j->msg.pool;
	struct host_kvp *k = j->k;
	struct host_kvp_list *cache, was;

	if (pool != KVP_POOL_GUEST && pool != KVP_POOL_AUTO) {
		end_job(j, 0, HV_S_OK);
		return;
	}
	cache = &k->cache[pool - 1];
	was = *cache;
	*cache = j->list;
	j->list = (struct host_kvp_list){ 0 };
	j->result = cache;
	tell_new(k, pool, &was, cache);
	tell_gone(k, pool, &was, cache);
	list_clear(&was);
	end_job(j, 0, HV_S_OK);
}

static void walk_step(struct job *j, uint32_t status)
{
	const struct host_kvp_item *it = &j->msg.item;
	int err;

	if (status == HV_S_CONT) {
		walk_ended(j);
		return;
	}
	if (status != HV_S_OK) {
		end_job(j, 0, status);
		return;
	}
	err = list_add(&j->list, it->type, it->key, it->value);
	if (err == 0 && ++j->msg.index > WALK_MAX)
		err = -ELOOP;
	if (err == 0)
		err = ask(j, NULL);
	if (err < 0)
		end_job(j, err, 0);
}

/* Pushes ----------------------------------------------------------------- */

static void load(struct host_kvp_item *it, const struct host_kvp_entry *e)
{
	it->type = e->type;
	snprintf(it->key, sizeof(it->key), "%s", e->key);
	snprintf(it->value, sizeof(it->value), "%s", e->value);
}

/* The next message of a push, false when all is sent. */
static bool push_load(struct job *j)
{
	struct host_kvp *k = j->k;
	size_t at = j->at++;

	j->msg = (struct host_kvp_msg){ .op = KVP_SET };
	if (at < k->facts.n) {
		j->msg.pool = KVP_POOL_AUTO_EXTERNAL;
		load(&j->msg.item, &k->facts.e[at]);
		return true;
	}
	at -= k->facts.n;
	if (at < k->items.n) {
		j->msg.pool = KVP_POOL_EXTERNAL;
		load(&j->msg.item, &k->items.e[at]);
		return true;
	}
	if (!k->ip || ip_refused(k, KVP_SET_IP_INFO))
		return false;
	j->msg = (struct host_kvp_msg){ .op = KVP_SET_IP_INFO, .pool = 1 };
	j->msg.ip = *k->ip;
	free(k->ip);		/* a host does not repeat it */
	k->ip = NULL;
	return true;
}

static void push_step(struct job *j)
{
	int err;

	if (!push_load(j)) {
		j->k->pushed = true;
		end_job(j, 0, j->status);
		return;
	}
	err = ask(j, NULL);
	if (err < 0)
		end_job(j, err, 0);
}

static void push_answered(struct job *j, const struct host_ic_answer *a)
{
	if (j->status == HV_S_OK)
		j->status = a->err == -ETIMEDOUT ? HV_E_FAIL : a->status;
	push_step(j);		/* a host goes on with the next item */
}

int host_kvp_push(struct host_kvp *k, host_kvp_done done, void *arg)
{
	struct job *j;

	if (host_ic_state_get(k->ic) != HOST_IC_READY)
		return -ENOTCONN;
	j = new_job(k, JOB_PUSH, done, arg);
	if (!j)
		return -ENOMEM;
	push_step(j);
	return 0;
}

/* Answers ---------------------------------------------------------------- */

static void answered(void *arg, const struct host_ic_answer *a)
{
	struct job *j = arg;
	struct host_kvp *k = j->k;
	const char *why = NULL;
	int err = a->err;

	j->took_ms += a->took_ms;
	if (err == 0 && a->status == HV_S_OK &&
	    host_kvp_get(&j->msg, a->body, a->body_len, j->version,
			 host_ic_strict(k->ic), &why) < 0) {
		if (!j->mangled)
			host_ic_malformed(k->ic, why);
		err = -EBADMSG;
	}
	if (j->kind == JOB_PUSH && (err == 0 || err == -ETIMEDOUT))
		push_answered(j, a);
	else if (err < 0 || j->kind != JOB_WALK)
		end_job(j, err, a->status);
	else
		walk_step(j, a->status);
}

void host_kvp_forget(struct host_kvp *k, const void *arg)
{
	for (struct job *j = k->jobs; j; j = j->next) {
		if (j->arg == arg)
			j->done = NULL;
	}
}

/* Items ------------------------------------------------------------------ */

/* Would it go over the wire? */
static int check(const struct host_kvp_item *it)
{
	struct host_kvp_msg m = { .op = KVP_SET };
	uint8_t body[HOST_KVP_FIXED];
	struct wr w = wr_of(body, sizeof(body));

	m.item = *it;
	return it->key[0] ? host_kvp_put(&w, &m, 0) : -EINVAL;
}

int host_kvp_item_set(struct host_kvp *k, const struct host_kvp_item *it)
{
	struct host_kvp_entry *e, fresh;
	int err = check(it);

	if (err < 0)
		return err;
	e = list_find(&k->items, it->key);
	if (!e)
		return list_add(&k->items, it->type, it->key, it->value);
	if (entry_fill(&fresh, it->type, it->key, it->value) < 0)
		return -ENOMEM;
	entry_clear(e);
	*e = fresh;
	return 0;
}

int host_kvp_item_delete(struct host_kvp *k, const char *key)
{
	struct host_kvp_entry *e = list_find(&k->items, key);
	size_t behind;

	if (!e)
		return -ENOENT;
	entry_clear(e);
	k->items.n--;
	behind = k->items.n - (size_t)(e - k->items.e);
	memmove(e, e + 1, behind * sizeof(*e));
	return 0;
}

const struct host_kvp_list *host_kvp_items(const struct host_kvp *k)
{
	return &k->items;
}

const struct host_kvp_list *host_kvp_facts(const struct host_kvp *k)
{
	return &k->facts;
}

const struct host_kvp_list *host_kvp_cache(const struct host_kvp *k,
					   unsigned pool)
{
	return &k->cache[pool - 1];
}

void host_kvp_ip_at_connect(struct host_kvp *k, const struct host_kvp_ip *ip)
{
	if (!k->ip)
		k->ip = malloc(sizeof(*ip));
	if (k->ip)
		*k->ip = *ip;
}

/* Polling ---------------------------------------------------------------- */

static void poll_next(struct host_kvp *k)
{
	k->polling = false;
	if (k->ready && k->cfg.poll_ms)
		loop_timer_set(&k->poll, k->cfg.poll_ms);
}

static void polled_auto(void *arg, const struct host_kvp_result *r)
{
	(void)r;
	poll_next(arg);
}

static void polled_guest(void *arg, const struct host_kvp_result *r)
{
	struct host_kvp *k = arg;

	if (r->err < 0 ||
	    host_kvp_walk(k, KVP_POOL_AUTO, polled_auto, k) < 0)
		poll_next(k);
}

static void poll_now(void *arg)
{
	struct host_kvp *k = arg;

	k->polling = true;
	if (host_kvp_walk(k, KVP_POOL_GUEST, polled_guest, k) < 0)
		poll_next(k);
}

void host_kvp_poll(struct host_kvp *k, uint32_t period_ms)
{
	k->cfg.poll_ms = period_ms;
	loop_timer_cancel(&k->poll);
	if (period_ms && k->ready && !k->polling)
		loop_timer_set(&k->poll, 0);
}

void host_kvp_watch(struct host_kvp *k, struct host_kvp_watch *w)
{
	w->next = k->watches;
	k->watches = w;
}

void host_kvp_unwatch(struct host_kvp *k, struct host_kvp_watch *w)
{
	struct host_kvp_watch **p = &k->watches;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
}

/* Life ------------------------------------------------------------------- */

struct host_kvp *host_kvp_new(struct loop *l, struct host_ic *ic,
			      const struct host_kvp_cfg *cfg)
{
	struct host_kvp *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->loop = l;
	k->ic = ic;
	k->cfg = *cfg;
	loop_timer_init(&k->poll, l, poll_now, k);
	if (add_facts(k, cfg->vm_name) < 0) {
		host_kvp_free(k);
		return NULL;
	}
	return k;
}

void host_kvp_free(struct host_kvp *k)
{
	if (!k)
		return;
	loop_timer_cancel(&k->poll);
	while (k->jobs)
		free_job(k->jobs);
	list_clear(&k->items);
	list_clear(&k->facts);
	list_clear(&k->cache[0]);
	list_clear(&k->cache[1]);
	free(k->ip);
	free(k);
}

void host_kvp_connected(struct host_kvp *k)
{
	k->pushed = false;
}

void host_kvp_ready(struct host_kvp *k)
{
	k->ready = true;
	if (k->cfg.push && !k->pushed)
		host_kvp_push(k, NULL, NULL);
	if (k->cfg.poll_ms && !k->polling)
		loop_timer_set(&k->poll, k->cfg.poll_ms);
}

void host_kvp_lost(struct host_kvp *k)
{
	k->ready = false;
	loop_timer_cancel(&k->poll);
}

bool host_kvp_pushed(const struct host_kvp *k)
{
	return k->pushed && host_ic_state_get(k->ic) != HOST_IC_CLOSED;
}
