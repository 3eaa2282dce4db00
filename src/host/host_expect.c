/* host/host_expect.c - what a scenario's "expect" may say: one row a member,
 * and a function that looks whether it is so. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/host_json.h"
#include "host/host_run_state.h"

enum verdict host_run_because(struct host_run *r, enum verdict v,
			      const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return v;
}

/* Each looks at one member of "expect". `res` is the request meant, which has
 * ended if `after` is set. */
typedef enum verdict look_fn(struct host_run *r, struct result *res,
			     const json_t *want);

static const char *result_name(const struct result *res)
{
	switch (res->err) {
	case 0:
		return "answered";
	case -ETIMEDOUT:
		return "timeout";
	case -EBADMSG:
		return "malformed";
	case -ECANCELED:
		return "cancelled";
	case -ENOTCONN:
		return "not-ready";
	case -EBUSY:
		return "busy";
	default:
		return strerror(-res->err);
	}
}

static enum verdict look_answered(struct host_run *r, struct result *res,
				  const json_t *want)
{
	bool answered = res->done && res->err == 0;

	if (answered == json_is_true(want))
		return OK;
	if (answered)
		return host_run_because(r, FAIL, "it was answered");
	return res->done ? host_run_because(r, FAIL, "not answered: %s",
					    result_name(res))
			 : host_run_because(r, WAIT, "no answer");
}

static enum verdict look_result(struct host_run *r, struct result *res,
				const json_t *want)
{
	const char *list = json_string_value(want), *name = result_name(res);
	const char *at = strstr(list, name);

	if (at)			/* "timeout|cancelled" allows either */
		return OK;
	return host_run_because(r, FAIL, "the request ended as %s, not %s",
				name, list);
}

static bool status_fits(uint32_t status, const char *want)
{
	uint32_t v;

	if (!strcmp(want, "any"))
		return true;
	if (!strcmp(want, "failure"))
		return status != HV_S_OK;
	return host_status_parse(&v, want) == 0 && v == status;
}

static enum verdict look_status(struct host_run *r, struct result *res,
				const json_t *want)
{
	const char *name = json_string_value(want);

	if (res->err < 0)
		return host_run_because(r, FAIL, "no answer: %s",
					result_name(res));
	if (status_fits(res->status, name))
		return OK;
	return host_run_because(r, FAIL, "status is %s, not %s",
				host_status_name(res->status), name);
}

static enum verdict look_text(struct host_run *r, struct result *res,
			      const json_t *want, const char *member)
{
	const json_t *have = json_object_get(res->item, member);

	if (have && json_equal(have, want))
		return OK;
	if (!have)
		return host_run_because(
			r, FAIL, "there is no %s: %s %s", member,
			result_name(res),
			res->err ? "" : host_status_name(res->status));
	return host_run_because(r, FAIL, "%s is \"%.80s\", not \"%.80s\"",
				member, json_string_value(have),
				json_string_value(want));
}

static enum verdict look_key(struct host_run *r, struct result *res,
			     const json_t *want)
{
	return look_text(r, res, want, "key");
}

static enum verdict look_value(struct host_run *r, struct result *res,
			       const json_t *want)
{
	return look_text(r, res, want, "value");
}

static enum verdict look_type(struct host_run *r, struct result *res,
			      const json_t *want)
{
	return look_text(r, res, want, "type");
}

static enum verdict look_count(struct host_run *r, struct result *res,
			       const json_t *want)
{
	json_int_t have = (json_int_t)json_array_size(res->items);

	if (res->items && have == json_integer_value(want))
		return OK;
	return res->items
		       ? host_run_because(r, FAIL, "%lld items, not %lld", have,
					  json_integer_value(want))
		       : host_run_because(
				 r, FAIL, "no list: %s %s", result_name(res),
				 res->err ? "" : host_status_name(res->status));
}

static bool has_item(const json_t *items, const json_t *want)
{
	const json_t *it;
	size_t i;

	json_array_foreach((json_t *)items, i, it) {
		const char *member;
		json_t *v;
		bool same = true;

		json_object_foreach((json_t *)want, member, v)
			same = same && json_equal(json_object_get(it, member),
						  v);
		if (same)
			return true;
	}
	return false;
}

/* Each of these is in the list, with the members that are named. */
static enum verdict look_items(struct host_run *r, struct result *res,
			       const json_t *want)
{
	const json_t *w;
	size_t i;

	json_array_foreach((json_t *)want, i, w) {
		if (!has_item(res->items, w))
			return host_run_because(
				r, FAIL,
				"item %zu (\"%.80s\") is not "
				"in the list",
				i + 1,
				json_string_value(json_object_get(w, "key")));
	}
	return OK;
}

static enum verdict look_ip(struct host_run *r, struct result *res,
			    const json_t *want)
{
	const char *member;
	json_t *v;

	if (!res->ip)
		return host_run_because(
			r, FAIL, "no IP information: %s %s", result_name(res),
			res->err ? "" : host_status_name(res->status));
	json_object_foreach((json_t *)want, member, v) {
		if (!json_equal(json_object_get(res->ip, member), v))
			return host_run_because(r, FAIL, "\"%s\" differs",
						member);
	}
	return OK;
}

/* A member of what a backup's request or snapshot came to. */
static enum verdict look_verdict(struct host_run *r, struct result *res,
				 const json_t *want, const char *member)
{
	const json_t *have = json_object_get(res->verdict, member);
	char *is;

	if (have && json_equal(have, want))
		return OK;
	if (!have)
		return host_run_because(r, FAIL, "there is no %s: %s", member,
					res->err ? result_name(res) :
					host_status_name(res->status));
	is = json_dumps(have, JSON_ENCODE_ANY | JSON_COMPACT);
	host_run_because(r, FAIL, "%s is %.160s", member, is ? is : "?");
	free(is);
	return FAIL;
}

static enum verdict look_flags(struct host_run *r, struct result *res,
			       const json_t *want)
{
	return look_verdict(r, res, want, "flags");
}

static enum verdict look_outcome(struct host_run *r, struct result *res,
				 const json_t *want)
{
	return look_verdict(r, res, want, "outcome");
}

static enum verdict look_steps(struct host_run *r, struct result *res,
			       const json_t *want)
{
	return look_verdict(r, res, want, "steps");
}

static enum verdict look_why(struct host_run *r, struct result *res,
			     const json_t *want)
{
	const char *why = json_string_value(json_object_get(res->verdict,
							    "why"));

	if (why && strstr(why, json_string_value(want)))
		return OK;
	return host_run_because(r, FAIL, "why is \"%.160s\"",
				why ? why : "nothing");
}

static enum verdict look_frozen(struct host_run *r, struct result *res,
				const json_t *want)
{
	bool frozen = host_vss_frozen(host_vss_of(r->host), NULL);

	(void)res;
	if (frozen == json_is_true(want))
		return OK;
	return host_run_because(r, WAIT, frozen ? "the guest is frozen" :
				"the guest is not frozen");
}

static enum verdict look_took(struct host_run *r, struct result *res,
			      const json_t *want)
{
	if ((json_int_t)res->took_ms <= json_integer_value(want))
		return OK;
	return host_run_because(r, FAIL, "it took %llu ms, over %lld",
				(unsigned long long)res->took_ms,
				json_integer_value(want));
}

static enum verdict look_number(struct host_run *r, uint64_t have,
				const json_t *want, const char *what)
{
	json_int_t w = json_integer_value(want);

	if (have == (uint64_t)w)
		return OK;
	return host_run_because(r, have < (uint64_t)w ? WAIT : FAIL,
				"%s: %llu, not %lld", what,
				(unsigned long long)have, w);
}

static enum verdict look_violations(struct host_run *r, struct result *res,
				    const json_t *want)
{
	(void)res;
	return look_number(r, host_violations(r->host), want, "violations");
}

/* The service that the expectation in hand is about. */
static const struct host_ic_stats *stats(const struct host_run *r)
{
	return host_ic_stats_get(host_ic_of(r->host, r->about));
}

static enum verdict look_unanswered(struct host_run *r, struct result *res,
				    const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->unanswered, want, "unanswered");
}

static enum verdict look_negotiations(struct host_run *r, struct result *res,
				      const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->negotiations, want, "negotiations");
}

static enum verdict look_late(struct host_run *r, struct result *res,
			      const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->late, want, "late answers");
}

static enum verdict look_stale(struct host_run *r, struct result *res,
			       const json_t *want)
{
	(void)res;
	return look_number(r, stats(r)->stale, want, "stale answers");
}

static enum verdict look_name(struct host_run *r, const char *have,
			      const json_t *want, const char *what)
{
	if (!strcmp(have, json_string_value(want)))
		return OK;
	return host_run_because(r, WAIT, "%s is %s, not %s", what, have,
				json_string_value(want));
}

static enum verdict look_state(struct host_run *r, struct result *res,
			       const json_t *want)
{
	(void)res;
	return look_name(r, host_ic_state_name(host_ic_state_get(
			 host_ic_of(r->host, r->about))), want,
			 host_ic_name(r->about));
}

static enum verdict look_health(struct host_run *r, struct result *res,
				const json_t *want)
{
	(void)res;
	return look_name(r, host_health(r->host, r->about).name, want,
			 "the service's status");
}

static enum verdict look_version(struct host_run *r, struct result *res,
				 const json_t *want)
{
	char v[HOST_VERSION_TEXT];

	(void)res;
	return look_name(r, host_version_text(v, host_ic_version(
			 host_ic_of(r->host, r->about))), want, "the version");
}

static enum verdict look_framework(struct host_run *r, struct result *res,
				   const json_t *want)
{
	char v[HOST_VERSION_TEXT];

	(void)res;
	return look_name(r, host_version_text(v, host_ic_framework(
			 host_ic_of(r->host, r->about))), want,
			 "the framework");
}

static enum verdict look_guest(struct host_run *r, struct result *res,
			       const json_t *want)
{
	(void)res;
	return look_name(r, host_guest(r->host) ? "connected" : "gone", want,
			 "the guest");
}

/* "of" and "ic" are read before any other member; here they are nothing to
 * look at. */
static enum verdict look_of(struct host_run *r, struct result *res,
			    const json_t *want)
{
	(void)r;
	(void)res;
	(void)want;
	return OK;
}

/* `after`: only when the request has ended. Text, whole numbers, ... are what
 * the member's value must be. */
static const struct look {
	const char *name;
	look_fn *fn;
	bool needs_result, after;
	json_type type;
} looks[] = {
	{ "of", look_of, true, false, JSON_STRING },
	{ "ic", look_of, false, false, JSON_STRING },
	{ "answered", look_answered, true, false, JSON_TRUE },
	{ "result", look_result, true, true, JSON_STRING },
	{ "status", look_status, true, true, JSON_STRING },
	{ "key", look_key, true, true, JSON_STRING },
	{ "value", look_value, true, true, JSON_STRING },
	{ "type", look_type, true, true, JSON_STRING },
	{ "count", look_count, true, true, JSON_INTEGER },
	{ "items", look_items, true, true, JSON_ARRAY },
	{ "ip", look_ip, true, true, JSON_OBJECT },
	{ "flags", look_flags, true, true, JSON_INTEGER },
	{ "outcome", look_outcome, true, true, JSON_STRING },
	{ "why", look_why, true, true, JSON_STRING },
	{ "steps", look_steps, true, true, JSON_ARRAY },
	{ "frozen", look_frozen, false, false, JSON_TRUE },
	{ "took-at-most-ms", look_took, true, true, JSON_INTEGER },
	{ "violations", look_violations, false, false, JSON_INTEGER },
	{ "unanswered", look_unanswered, false, false, JSON_INTEGER },
	{ "negotiations", look_negotiations, false, false, JSON_INTEGER },
	{ "late", look_late, false, false, JSON_INTEGER },
	{ "stale", look_stale, false, false, JSON_INTEGER },
	{ "state", look_state, false, false, JSON_STRING },
	{ "health", look_health, false, false, JSON_STRING },
	{ "version", look_version, false, false, JSON_STRING },
	{ "framework", look_framework, false, false, JSON_STRING },
	{ "guest", look_guest, false, false, JSON_STRING },
};

static const struct look *find_look(const char *name)
{
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		if (!strcmp(looks[i].name, name))
			return &looks[i];
	}
	return NULL;
}

const char *host_run_check_expect(const json_t *expect)
{
	const char *member;
	json_t *v;

	if (!json_is_object(expect))
		return "expect";
	json_object_foreach((json_t *)expect, member, v) {
		const struct look *l = find_look(member);
		json_type t = json_typeof(v);
		uint32_t status;

		if (!l || (t == JSON_FALSE ? JSON_TRUE : t) != l->type)
			return member;
		if (!strcmp(member, "status") &&
		    strcmp(json_string_value(v), "any") != 0 &&
		    strcmp(json_string_value(v), "failure") != 0 &&
		    host_status_parse(&status, json_string_value(v)) < 0)
			return member;
		if (!strcmp(member, "ic") &&
		    host_ic_find(json_string_value(v)) < 0)
			return member;
	}
	return NULL;
}

static struct result *meant(struct host_run *r, const json_t *expect)
{
	const char *of = json_string_value(json_object_get(expect, "of"));
	struct result *res = r->results;

	while (of && res && strcmp(res->as, of) != 0)
		res = res->next;
	return res;
}

static enum verdict look_at(struct host_run *r, struct result *res,
			    const char *member, const json_t *want)
{
	const struct look *l = find_look(member);

	if (l->needs_result && !res)
		return host_run_because(r, FAIL, "no such request was made");
	if (l->after && !res->done)
		return host_run_because(r, WAIT, "no answer");
	return l->fn(r, res, want);
}

enum verdict host_run_expect(struct host_run *r, const json_t *expect)
{
	struct result *res = meant(r, expect);
	const json_t *ic = json_object_get(expect, "ic");
	enum verdict all = OK;
	const char *member;
	json_t *want;

	r->about = ic ? (enum host_ic_id)host_ic_find(json_string_value(ic)) :
		r->s->ic;
	json_object_foreach((json_t *)expect, member, want) {
		enum verdict v = look_at(r, res, member, want);

		if (v == FAIL)
			return FAIL;
		if (v == WAIT)
			all = WAIT;
	}
	return all;
}

static uint64_t all_unanswered(const struct host *h)
{
	uint64_t n = 0;

	for (enum host_ic_id id = 0; id < HOST_N_ICS; id++)
		n += host_ic_stats_get(host_ic_of(h, id))->unanswered;
	return n;
}

/* What the whole run is held to, unless the file says otherwise. */
enum verdict host_run_require(struct host_run *r)
{
	const json_t *v = json_object_get(r->s->require, "violations");
	const json_t *u = json_object_get(r->s->require, "unanswered");
	uint64_t violations = v ? (uint64_t)json_integer_value(v) : 0;
	uint64_t unanswered = u ? (uint64_t)json_integer_value(u) : 0;
	uint64_t were = all_unanswered(r->host);
	const struct host_violation *last = host_violation_at(r->host, 0);

	if (!json_is_null(v) && host_violations(r->host) != violations)
		return host_run_because(
			r, FAIL,
			"%llu violations, not %llu; the first:"
			" %s",
			(unsigned long long)host_violations(r->host),
			(unsigned long long)violations,
			last ? last->text : "none");
	if (!json_is_null(u) && were != unanswered)
		return host_run_because(
			r, FAIL, "%llu unanswered, not %llu",
			(unsigned long long)were,
			(unsigned long long)unanswered);
	return OK;
}
