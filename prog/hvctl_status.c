/* prog/hvctl_status.c - ask each program how it is.
 *
 * Which members a program puts into its answer is its own affair: objects
 * become lines, lists one line an entry, so that what is added there shows up
 * here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ctl.h"
#include "hvctl.h"

enum { ANSWER_MS = 3000, TEXT_SIZE = 4096 };

static const char *const programs[] = { "hv_utilsd", "hv_kvp_daemon" };
enum { N_PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

static const char *trouble(int r)
{
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "not running";
	case -ETIMEDOUT:
		return "does not answer";
	case -EACCES:
		return "no permission to ask";
	default:
		return strerror(-r);
	}
}

/* Ask; *reply is a new reference, or NULL and the reason is returned. */
static const char *ask(struct hvctl *c, const char *program, json_t **reply)
{
	char path[CONF_PATH_MAX], name[64];
	int r;

	*reply = NULL;
	snprintf(name, sizeof(name), "%s.ctl", program);
	r = conf_path(path, c->conf.run_dir, name);
	if (r == 0)
		r = ctl_call(path, json_pack("{s:s}", "cmd", "status"),
			     ANSWER_MS, reply);
	return r < 0 ? trouble(r) : NULL;
}

/* A text buffer that stays a string when it is full. */
struct text { size_t len; char s[TEXT_SIZE]; };

static void add(struct text *t, const char *s)
{
	int n = snprintf(t->s + t->len, sizeof(t->s) - t->len, "%s", s);

	t->len += (size_t)n;
	if (t->len >= sizeof(t->s))
		t->len = sizeof(t->s) - 1;
}

static void add_scalar(struct text *t, const json_t *v)
{
	char number[48];

	switch (json_typeof(v)) {
	case JSON_STRING:
		add(t, hvctl_show(json_string_value(v)));
		break;
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(v));
		add(t, number);
		break;
	case JSON_REAL:
		snprintf(number, sizeof(number), "%g", json_real_value(v));
		add(t, number);
		break;
	case JSON_TRUE:
		add(t, "yes");
		break;
	case JSON_FALSE:
		add(t, "no");
		break;
	case JSON_NULL:
		add(t, "-");
		break;
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
}

/* One line: "records 3, name guest"; lists in brackets. */
static void add_value(struct text *t, json_t *v, int depth)
{
	bool first = true;
	const char *key;
	json_t *member;
	size_t i;

	if (depth > 3) {
		add(t, "...");
	} else if (json_is_object(v)) {
		json_object_foreach(v, key, member) {
			add(t, first ? "" : ", ");
			add(t, hvctl_show(key));
			add(t, " ");
			add_value(t, member, depth + 1);
			first = false;
		}
	} else if (json_is_array(v)) {
		add(t, "[");
		json_array_foreach(v, i, member) {
			add(t, first ? "" : "; ");
			add_value(t, member, depth + 1);
			first = false;
		}
		add(t, "]");
	} else {
		add_scalar(t, v);
	}
}

static void print_line(int width, const char *key, json_t *v)
{
	struct text t = { 0 };

	add_value(&t, v, 0);
	printf("  %-*s  %s\n", width, key, t.s);
}

static void print_member(int width, const char *key, json_t *v)
{
	json_t *entry;
	size_t i;

	if (!json_is_array(v) || !json_is_object(json_array_get(v, 0))) {
		print_line(width, hvctl_show(key), v);
		return;
	}
	json_array_foreach(v, i, entry)
		print_line(width, i ? "" : hvctl_show(key), entry);
}

static void print_program(const char *program, const char *why, json_t *reply)
{
	const char *key;
	int width = 0;
	json_t *v;

	printf("%-14s %s\n", program, why ? why : "running");
	json_object_foreach(reply, key, v)
		if ((int)strlen(key) > width && strlen(key) < 40)
			width = (int)strlen(key);
	json_object_foreach(reply, key, v)
		print_member(width, key, v);
}

int hvctl_status(struct hvctl *c, int argc, char **argv)
{
	json_t *all = json_object();
	bool any = false;

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < N_PROGRAMS; i++) {
		json_t *reply;
		const char *why = ask(c, programs[i], &reply);

		any |= !why;
		json_object_del(reply, "ok");
		if (!c->json) {
			print_program(programs[i], why, reply);
			json_decref(reply);
			continue;
		}
		if (!reply)
			reply = json_pack("{s:s}", "error", why);
		json_object_set_new(reply, "running", json_boolean(!why));
		json_object_set_new(all, programs[i], reply);
	}
	if (c->json)
		hvctl_print_json(json_incref(all), false);
	json_decref(all);
	return any ? HVCTL_DONE : HVCTL_UNREACHABLE;
}
