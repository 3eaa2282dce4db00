/* host/host_scenario.c - read a scenario file and check every word of it
 * before anything runs. A step is an object with exactly one verb, a member
 * that is named in `verbs`, and members that the verb allows. */
#include "host/host_scenario.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "host/host_json.h"
#include "host/host_scenario_step.h"

enum { REPEAT_MAX = 10000, DEPTH_MAX = 4, ORDER_MAX = 1000000 };

/* Where we are, for messages, and what went wrong. */
struct reader {
	struct host_scenario *s;
	const char *path;
	char *err;
	size_t err_len;
};

static int fail(struct reader *rd, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct reader *rd, const char *label, const char *fmt, ...)
{
	char what[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (label)
		snprintf(rd->err, rd->err_len, "%s: step %s: %s", rd->path,
			 label, what);
	else
		snprintf(rd->err, rd->err_len, "%s: %s", rd->path, what);
	return -EINVAL;
}

/* Verbs ------------------------------------------------------------------ */

/* Each reads what its verb takes from the step's object. `arg` is the value of
 * the verb's own member. NULL, or the name of the member that is wrong. */
typedef const char *read_fn(struct step *st, const json_t *o, const json_t *arg);

static const char *need_msg(struct step *st)
{
	if (!st->msg)
		st->msg = calloc(1, sizeof(*st->msg));
	return st->msg ? NULL : "memory";
}

static const char *read_u64(uint64_t *v, const json_t *j, const char *name)
{
	if (!json_is_integer(j) || json_integer_value(j) < 0)
		return name;
	*v = (uint64_t)json_integer_value(j);
	return NULL;
}

static const char *read_fault(struct step *st, const json_t *o)
{
	const json_t *j = json_object_get(o, "fault");
	char err[160];

	if (!j)
		return NULL;
	st->random_fault = json_is_string(j) &&
		!strcmp(json_string_value(j), "random");
	if (st->random_fault)
		return NULL;
	return host_fault_parse(&st->fault, j, err, sizeof(err)) < 0 ?
		"fault" : NULL;
}

static const struct {
	const char *name;
	enum step_kind kind;
	uint8_t op;
} dos[] = {
	{ "kvp-get", STEP_REQUEST, KVP_GET },
	{ "kvp-set", STEP_REQUEST, KVP_SET },
	{ "kvp-delete", STEP_REQUEST, KVP_DELETE },
	{ "kvp-enumerate", STEP_REQUEST, KVP_ENUMERATE },
	{ "kvp-get-ip", STEP_REQUEST, KVP_GET_IP_INFO },
	{ "kvp-set-ip", STEP_REQUEST, KVP_SET_IP_INFO },
	{ "kvp-list", STEP_WALK, 0 },
	{ "kvp-push", STEP_PUSH, 0 },
};

static const char *read_request(struct step *st, const json_t *o, uint8_t op)
{
	const json_t *index = json_object_get(o, "index");
	uint64_t v = 0;

	if (need_msg(st))
		return "memory";
	st->msg->op = op;
	if (op == KVP_GET_IP_INFO || op == KVP_SET_IP_INFO) {
		st->msg->pool = KVP_POOL_GUEST;
		return host_json_get_ip(&st->msg->ip, o);
	}
	if (host_json_pool(&st->msg->pool, o))
		return "pool";
	if (op == KVP_ENUMERATE) {
		if (!index || read_u64(&v, index, "index") || v > UINT32_MAX)
			return "index";
		st->msg->index = (uint32_t)v;
		return NULL;
	}
	return host_json_item(&st->msg->item, o, op == KVP_SET);
}

static void describe(struct step *st, const char *verb)
{
	const struct host_kvp_msg *m = st->msg;

	if (!m)
		snprintf(st->text, sizeof(st->text), "%s pool %u", verb,
			 st->pool);
	else if (m->op == KVP_ENUMERATE)
		snprintf(st->text, sizeof(st->text), "%s pool %u index %u",
			 verb, m->pool, m->index);
	else if (m->op < KVP_ENUMERATE)
		snprintf(st->text, sizeof(st->text), "%s pool %u %.40s", verb,
			 m->pool, m->item.key);
	else
		snprintf(st->text, sizeof(st->text), "%s %.40s", verb,
			 m->ip.adapter);
}

/* "vss-check" and so on; "vss-send" has its operation in "op". */
static const char *read_vss(struct step *st, const json_t *o, const char *name)
{
	json_t *copy = json_copy((json_t *)o);
	const char *bad;

	st->kind = STEP_VSS;
	st->ic = HOST_VSS;
	st->vss = calloc(1, sizeof(*st->vss));
	if (strcmp(name, "send") != 0)
		json_object_set_new(copy, "op", json_string(name));
	bad = st->vss ? host_json_vss_msg(st->vss, copy) : "memory";
	json_decref(copy);
	return bad && !strcmp(bad, "op") && strcmp(name, "send") != 0 ? "do" :
								       bad;
}

static const char *read_step_faults(struct step_snapshot *s, const json_t *o)
{
	const json_t *faults = json_object_get(o, "faults"), *j;
	const char *name;
	char err[160];

	if (faults && !json_is_object(faults))
		return "faults";
	json_object_foreach((json_t *)faults, name, j) {
		int step = host_vss_step_find(name);

		if (step < 0 || host_fault_parse(&s->cfg.fault[step], j, err,
						 sizeof(err)) < 0)
			return "faults";
	}
	return NULL;
}

static const char *read_snapshot(struct step *st, const json_t *o,
				 const struct host_vss_manner *how)
{
	struct step_snapshot *s = calloc(1, sizeof(*s));
	const char *bad;

	st->kind = STEP_SNAPSHOT;
	st->ic = HOST_VSS;
	st->snapshot = s;
	if (!s)
		return "memory";
	s->how = *how;
	bad = host_json_vss_manner(&s->how, o);
	if (!bad)
		bad = host_json_vss_snapshot(&s->cfg, o);
	if (!bad)
		bad = host_json_vss_luns(&s->msg, o);
	s->cfg.backup_type = s->msg.backup_type;
	s->cfg.n_luns = s->msg.n_luns;
	return bad ? bad : read_step_faults(s, o);
}

/* Of a snapshot under way. */
static const char *read_word(struct step *st, const json_t *o,
			     enum step_kind kind)
{
	const json_t *why = json_object_get(o, "failed");

	st->kind = kind;
	st->ic = HOST_VSS;
	st->why = json_string_value(why);
	return why && !st->why ? "failed" : NULL;
}

static const char *read_do_vss(struct step *st, const json_t *o,
			       const char *verb,
			       const struct host_vss_manner *how)
{
	const char *bad;

	if (!strcmp(verb, "vss-snapshot"))
		bad = read_snapshot(st, o, how);
	else if (!strcmp(verb, "vss-worked"))
		bad = read_word(st, o, STEP_WORKED);
	else if (!strcmp(verb, "vss-abandon"))
		bad = read_word(st, o, STEP_ABANDON);
	else
		bad = read_vss(st, o, verb + strlen("vss-"));
	snprintf(st->text, sizeof(st->text), "%s", verb);
	return bad ? bad : read_fault(st, o);
}

static const char *read_do(struct step *st, const json_t *o, const json_t *arg)
{
	const char *verb = json_string_value(arg), *why = "do";

	if (verb && !strncmp(verb, "vss-", 4))
		return read_do_vss(st, o, verb, st->how);
	for (size_t i = 0; verb && i < sizeof(dos) / sizeof(dos[0]); i++) {
		if (strcmp(dos[i].name, verb) != 0)
			continue;
		st->kind = dos[i].kind;
		why = NULL;
		if (st->kind == STEP_REQUEST)
			why = read_request(st, o, dos[i].op);
		else if (st->kind == STEP_WALK)
			why = host_json_pool(&st->pool, o);
		if (!why)
			why = read_fault(st, o);
		describe(st, verb);
		if (st->kind == STEP_PUSH)
			snprintf(st->text, sizeof(st->text), "%s", verb);
	}
	return why;
}

static const char *read_expect(struct step *st, const json_t *o,
			       const json_t *arg)
{
	(void)o;
	(void)arg;
	st->kind = STEP_EXPECT;
	return NULL;
}

static const char *read_advance(struct step *st, const json_t *o,
				const json_t *arg)
{
	(void)o;
	st->kind = STEP_ADVANCE;
	return read_u64(&st->value, arg, "advance-ms");
}

static const char *read_poll(struct step *st, const json_t *o,
			     const json_t *arg)
{
	(void)o;
	st->kind = STEP_POLL;
	return read_u64(&st->value, arg, "poll-ms");
}

static const char *read_ic(struct step *st, enum step_kind kind,
			   const json_t *arg, const char *verb)
{
	int id = json_is_string(arg) ? host_ic_find(json_string_value(arg)) :
		-ENOENT;

	if (id < 0)
		return verb;
	st->kind = kind;
	st->ic = (enum host_ic_id)id;
	return NULL;
}

static const char *read_wait(struct step *st, const json_t *o,
			     const json_t *arg)
{
	static const char *const names[] = {
		[WAIT_GUEST] = "guest", [WAIT_GONE] = "gone",
		[WAIT_OPEN] = "open", [WAIT_CLOSED] = "closed",
		[WAIT_READY] = "ready", [WAIT_PUSHED] = "pushed",
		[WAIT_IDLE] = "idle", [WAIT_FROZEN] = "frozen",
		[WAIT_THAWED] = "thawed",
	};

	const json_t *ic = json_object_get(o, "ic");

	if (ic && read_ic(st, STEP_WAIT, ic, "ic"))
		return "ic";
	st->kind = STEP_WAIT;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (json_is_string(arg) &&
		    !strcmp(names[i], json_string_value(arg))) {
			st->value = i;
			return NULL;
		}
	}
	return "wait";
}

static const char *read_rescind(struct step *st, const json_t *o,
				const json_t *arg)
{
	(void)o;
	return read_ic(st, STEP_RESCIND, arg, "rescind");
}

static const char *read_offer(struct step *st, const json_t *o,
			      const json_t *arg)
{
	const char *why = read_ic(st, STEP_OFFER, arg, "offer");

	return why ? why : read_fault(st, o);
}

static const char *read_kick(struct step *st, const json_t *o,
			     const json_t *arg)
{
	(void)o;
	return read_ic(st, STEP_KICK, arg, "kick");
}

/* Lists that a step or the file gives instead of the profile's. */
static const char *read_lists(const json_t *o, struct host_versions *framework,
			      struct host_versions *message, bool *any)
{
	const json_t *f = json_object_get(o, "frameworks");
	const json_t *m = json_object_get(o, "versions");
	const char *why = NULL;

	*any = f || m;
	if (f)
		why = host_json_versions(framework, f, "frameworks");
	if (m && !why)
		why = host_json_versions(message, m, "versions");
	return why;
}

static const char *read_negotiate(struct step *st, const json_t *o,
				  const json_t *arg)
{
	const char *why = read_ic(st, STEP_NEGOTIATE, arg, "renegotiate");

	if (!why)
		why = read_lists(o, &st->framework, &st->message,
				 &st->has_versions);
	return why ? why : read_fault(st, o);
}

static const char *read_refuse(struct step *st, const json_t *o,
			       const json_t *arg)
{
	(void)o;
	st->kind = STEP_REFUSE;
	return read_u64(&st->value, arg, "refuse-open");
}

static const char *read_ring(struct step *st, const json_t *o,
			     const json_t *arg)
{
	static const char *const names[] = {
		[HOST_RING_WRITE_INDEX] = "write-index",
		[HOST_RING_READ_INDEX] = "read-index",
		[HOST_RING_DESC_LEN] = "descriptor-length",
		[HOST_RING_DESC_OFFSET] = "descriptor-offset",
	};

	const json_t *ic = json_object_get(o, "ic");

	if (ic && read_ic(st, STEP_RING, ic, "ic"))
		return "ic";
	st->kind = STEP_RING;
	for (unsigned i = 0; json_is_string(arg) && i < 4; i++) {
		if (!strcmp(names[i], json_string_value(arg))) {
			st->ring = (enum host_ring_fault)i;
			return read_u64(&st->value, json_object_get(o, "value"),
					"value");
		}
	}
	return "ring";
}

static const char *read_restart(struct step *st, const json_t *o,
				const json_t *arg)
{
	(void)o;
	st->kind = STEP_RESTART;
	return json_is_true(arg) ? NULL : "restart";
}

static const char *read_item_set(struct step *st, const json_t *o,
				 const json_t *arg)
{
	(void)o;
	st->kind = STEP_ITEM_SET;
	if (need_msg(st))
		return "memory";
	return host_json_item(&st->msg->item, arg, true) ? "item-set" : NULL;
}

static const char *read_item_delete(struct step *st, const json_t *o,
				    const json_t *arg)
{
	const char *key = json_string_value(arg);

	(void)o;
	st->kind = STEP_ITEM_DELETE;
	if (!key || need_msg(st) || strlen(key) >= sizeof(st->msg->item.key))
		return "item-delete";
	strcpy(st->msg->item.key, key);
	return NULL;
}

static const char *read_guest(struct step *st, const json_t *o,
			      const json_t *arg)
{
	(void)o;
	st->kind = STEP_GUEST;
	st->guest = arg;
	return json_is_object(arg) ? NULL : "guest";
}

/* The first one that a step has is its verb: "expect" comes last, because it
 * may stand beside the others. */
static const struct verb {
	const char *name;
	read_fn *read;
	const char *members;		/* that it allows, spaces around each */
} verbs[] = {
	{ "do", read_do, " pool key value type index adapter family dhcp "
	  "addresses masks gateways dns as fault faults op set flags luns "
	  "backup-type order offline freeze-ms other-ms thaw-refused "
	  "thaw-unanswered thaw-again hold-ms work work-ms no-thaw failed " },
	{ "advance-ms", read_advance, " " },
	{ "wait", read_wait, " ic " },
	{ "rescind", read_rescind, " " },
	{ "offer", read_offer, " fault " },
	{ "renegotiate", read_negotiate, " frameworks versions fault " },
	{ "refuse-open", read_refuse, " " },
	{ "kick", read_kick, " " },
	{ "ring", read_ring, " value ic " },
	{ "restart", read_restart, " " },
	{ "item-set", read_item_set, " " },
	{ "item-delete", read_item_delete, " " },
	{ "poll-ms", read_poll, " " },
	{ "guest", read_guest, " " },
	{ "expect", read_expect, " " },
};

enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static bool allowed(const struct verb *v, const char *member)
{
	char padded[64];

	if (!strcmp(member, v->name) || !strcmp(member, "expect") ||
	    !strcmp(member, "note") || !strcmp(member, "within-ms"))
		return true;
	snprintf(padded, sizeof(padded), " %s ", member);
	return strstr(v->members, padded) != NULL;
}

/* Steps ------------------------------------------------------------------ */

static const struct verb *find_verb(const json_t *o)
{
	for (unsigned i = 0; i < N_VERBS; i++) {
		if (json_object_get(o, verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

static int check_members(struct reader *rd, const struct verb *v, json_t *o,
			 const char *label)
{
	const char *member;
	json_t *j;

	json_object_foreach(o, member, j) {
		if (!allowed(v, member))
			return fail(rd, label, "\"%s\" does not go with "
				    "\"%s\"", member, v->name);
	}
	return 0;
}

/* Why a fault was refused is worth more than that it was. */
static int fail_member(struct reader *rd, const char *label, const json_t *o,
		       const char *member)
{
	struct host_fault ignored;
	char err[160];

	if (!strcmp(member, "fault") &&
	    host_fault_parse(&ignored, json_object_get(o, "fault"), err,
			     sizeof(err)) < 0)
		return fail(rd, label, "fault: %s", err);
	return fail(rd, label, "\"%s\" is missing or wrong", member);
}

static int fill_step(struct reader *rd, struct step *st, json_t *o,
		     const char *label)
{
	const struct verb *v = find_verb(o);
	const json_t *within = json_object_get(o, "within-ms");
	const json_t *note = json_object_get(o, "note");
	const char *why;

	if (!v)
		return fail(rd, label, "no verb");
	if (check_members(rd, v, o, label) < 0)
		return -EINVAL;
	snprintf(st->text, sizeof(st->text), "%s", v->name);
	st->ic = rd->s->ic;
	st->how = &rd->s->profile.backup;
	why = v->read(st, o, json_object_get(o, v->name));
	if (!why && within)
		why = read_u64(&st->within_ms, within, "within-ms");
	if (why)
		return fail_member(rd, label, o, why);
	snprintf(st->as, sizeof(st->as), "%s",
		 json_string_value(json_object_get(o, "as")) ?
		 json_string_value(json_object_get(o, "as")) : "");
	if (json_is_string(note))
		snprintf(st->text, sizeof(st->text), "%s",
			 json_string_value(note));
	st->expect = json_object_get(o, "expect");
	why = st->expect ? host_run_check_expect(st->expect) : NULL;
	if (why)
		return fail(rd, label, "expect: \"%s\" is unknown or wrong",
			    why);
	return 0;
}

static struct step *new_step(struct host_scenario *s)
{
	if (s->n_steps == s->cap_steps) {
		size_t cap = s->cap_steps ? 2 * s->cap_steps : 16;
		struct step *st = reallocarray(s->steps, cap, sizeof(*st));

		if (!st)
			return NULL;
		s->steps = st;
		s->cap_steps = cap;
	}
	s->steps[s->n_steps] = (struct step){ 0 };
	return &s->steps[s->n_steps++];
}

static int add_order(struct reader *rd, size_t step, const char *label)
{
	struct host_scenario *s = rd->s;

	if (s->n_order == ORDER_MAX)
		return fail(rd, label, "too many steps");
	if (s->n_order == s->cap_order) {
		size_t cap = s->cap_order ? 2 * s->cap_order : 16;
		struct order *o = reallocarray(s->order, cap, sizeof(*o));

		if (!o)
			return fail(rd, label, "no memory");
		s->order = o;
		s->cap_order = cap;
	}
	s->order[s->n_order].step = step;
	snprintf(s->order[s->n_order++].label, STEP_LABEL, "%s", label);
	return 0;
}

static int read_steps(struct reader *rd, const json_t *steps,
		      const char *prefix, unsigned depth);

/* {"repeat": n, "steps": [...]}: read once, ordered n times. */
static int read_repeat(struct reader *rd, json_t *o, const char *label,
		       unsigned depth)
{
	json_int_t n = json_integer_value(json_object_get(o, "repeat"));
	size_t first = rd->s->n_order, per_round;
	char prefix[STEP_LABEL];

	if (n < 1 || n > REPEAT_MAX || depth == DEPTH_MAX)
		return fail(rd, label, "\"repeat\" is wrong or too deep");
	snprintf(prefix, sizeof(prefix), "%.20s.", label);
	if (read_steps(rd, json_object_get(o, "steps"), prefix, depth + 1) < 0)
		return -EINVAL;
	per_round = rd->s->n_order - first;
	for (json_int_t i = 1; i < n; i++) {
		for (size_t k = 0; k < per_round; k++) {
			struct order again = rd->s->order[first + k];

			if (add_order(rd, again.step, again.label) < 0)
				return -EINVAL;
		}
	}
	return 0;
}

static int read_steps(struct reader *rd, const json_t *steps,
		      const char *prefix, unsigned depth)
{
	json_t *o;
	size_t i;

	if (!json_is_array(steps))
		return fail(rd, NULL, "\"steps\" is missing or no array");
	json_array_foreach((json_t *)steps, i, o) {
		char label[STEP_LABEL];
		struct step *st;
		int err;

		snprintf(label, sizeof(label), "%.16s%u", prefix,
			 (unsigned)(i + 1) % 100000);
		if (json_object_get(o, "repeat")) {
			err = read_repeat(rd, o, label, depth);
		} else {
			st = new_step(rd->s);
			err = st ? fill_step(rd, st, o, label) :
				fail(rd, label, "no memory");
			if (err == 0)
				err = add_order(rd, rd->s->n_steps - 1, label);
		}
		if (err < 0)
			return err;
	}
	return 0;
}

/* The file --------------------------------------------------------------- */

static const char *read_limits(struct host_scenario *s)
{
	static const struct {
		const char *name;
		size_t at;
	} limits[] = {
		{ "negotiate-ms", offsetof(struct host_scenario,
					   profile.negotiate_ms) },
		{ "answer-ms", offsetof(struct host_scenario,
					profile.answer_ms) },
		{ "poll-ms", offsetof(struct host_scenario, poll_ms) },
	};

	for (unsigned i = 0; i < 3; i++) {
		const json_t *j = json_object_get(s->doc, limits[i].name);
		uint64_t v = 0;

		if (!j)
			continue;
		if (read_u64(&v, j, "") || v > UINT32_MAX)
			return limits[i].name;
		*(uint32_t *)(void *)((char *)s + limits[i].at) = (uint32_t)v;
	}
	return NULL;
}

/* The service that steps and expectations mean unless they name one. */
static const char *read_service(struct host_scenario *s)
{
	const json_t *ic = json_object_get(s->doc, "ic");
	int id = HOST_KVP;

	if (ic)
		id = json_is_string(ic) ? host_ic_find(json_string_value(ic)) :
			-ENOENT;
	if (id < 0)
		return "ic";
	s->ic = (enum host_ic_id)id;
	return NULL;
}

static const char *read_profile(struct host_scenario *s)
{
	const json_t *name = json_object_get(s->doc, "profile");
	const json_t *how = json_object_get(s->doc, "personality");
	const json_t *push = json_object_get(s->doc, "push");
	const struct host_profile *p = &host_profiles[0];
	const char *why;
	bool any;

	if (name)
		p = json_is_string(name) ?
			host_profile_find(json_string_value(name)) : NULL;
	if (!p)
		return "profile";
	s->profile = *p;
	if (how && (!json_is_string(how) ||
		    (strcmp(json_string_value(how), "strict") != 0 &&
		     strcmp(json_string_value(how), "lenient") != 0)))
		return "personality";
	if (how)
		s->profile.strict = !strcmp(json_string_value(how), "strict");
	if (push && !json_is_boolean(push))
		return "push";
	if (push)
		s->profile.push = json_is_true(push);
	why = read_lists(s->doc, &s->profile.framework,
			 host_ic_messages(&s->profile, s->ic), &any);
	if (!why)
		why = host_json_vss_manner(&s->profile.backup,
					   json_object_get(s->doc, "backup"));
	return why ? why : read_limits(s);
}

static const char *read_items(struct host_scenario *s)
{
	struct host_kvp_item it;
	struct host_kvp_ip ip;
	const json_t *j;
	size_t i;

	s->items = json_object_get(s->doc, "items");
	if (s->items && !json_is_array(s->items))
		return "items";
	json_array_foreach((json_t *)s->items, i, j) {
		if (host_json_item(&it, j, true))
			return "items";
	}
	s->ip_at_connect = json_object_get(s->doc, "ip-at-connect");
	if (s->ip_at_connect && host_json_get_ip(&ip, s->ip_at_connect))
		return "ip-at-connect";
	return NULL;
}

static const char *read_require(struct host_scenario *s)
{
	const char *member;
	json_t *j;

	s->require = json_object_get(s->doc, "require");
	json_object_foreach((json_t *)s->require, member, j) {
		if ((strcmp(member, "violations") != 0 &&
		     strcmp(member, "unanswered") != 0) ||
		    (!json_is_integer(j) && !json_is_null(j)))
			return "require";
	}
	return NULL;
}

static const char *check_file(const json_t *doc)
{
	static const char known[] = " name about ic profile personality seed "
		"frameworks versions push poll-ms answer-ms negotiate-ms items "
		"ip-at-connect backup guest require steps ";
	const char *member;
	char padded[64];
	json_t *j;

	if (!json_is_object(doc))
		return "the object";
	json_object_foreach((json_t *)doc, member, j) {
		snprintf(padded, sizeof(padded), " %s ", member);
		if (!strstr(known, padded))
			return member;
	}
	return NULL;
}

static int read_file(struct reader *rd)
{
	struct host_scenario *s = rd->s;
	const json_t *seed = json_object_get(s->doc, "seed");
	const char *why = check_file(s->doc);

	if (why)
		return fail(rd, NULL, "\"%s\" is no member of a scenario", why);
	s->name = json_string_value(json_object_get(s->doc, "name"));
	s->seed = 1;
	why = s->name ? read_service(s) : "name";
	if (!why)
		why = read_profile(s);
	if (!why && seed)
		why = read_u64(&s->seed, seed, "seed");
	if (!why)
		why = read_items(s);
	s->guest = json_object_get(s->doc, "guest");
	if (!why && s->guest && !json_is_object(s->guest))
		why = "guest";
	if (!why)
		why = read_require(s);
	if (why)
		return fail(rd, NULL, "\"%s\" is missing or wrong", why);
	return read_steps(rd, json_object_get(s->doc, "steps"), "", 0);
}

struct host_scenario *host_scenario_load(const char *path, char *err,
					 size_t err_len)
{
	struct reader rd = { calloc(1, sizeof(*rd.s)), path, err, err_len };
	json_error_t e;

	if (!rd.s) {
		fail(&rd, NULL, "no memory");
		return NULL;
	}
	rd.s->doc = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
	if (!rd.s->doc) {
		if (e.line < 0)		/* and the text names the file */
			snprintf(err, err_len, "%s", e.text);
		else
			snprintf(err, err_len, "%s:%d: %s", path, e.line,
				 e.text);
	} else if (read_file(&rd) == 0) {
		return rd.s;
	}
	host_scenario_free(rd.s);
	return NULL;
}

void host_scenario_free(struct host_scenario *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_steps; i++) {
		free(s->steps[i].msg);
		free(s->steps[i].vss);
		free(s->steps[i].snapshot);
	}
	free(s->steps);
	free(s->order);
	json_decref(s->doc);
	free(s);
}

const char *host_scenario_name(const struct host_scenario *s)
{
	return s->name;
}

const struct host_profile *host_scenario_profile(const struct host_scenario *s)
{
	return &s->profile;
}
