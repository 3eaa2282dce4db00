/* prog/hvctl_status.c - ask each program how it is.
 *
 * Which members a program puts into its answer is its own affair: what is added
 * there shows up here. A member is a line; an object with parts of its own is
 * a block of lines, a list one line an entry; what ends in _ms is a time. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ctl.h"
#include "hvctl.h"

enum { ANSWER_MS = 3000, TEXT_SIZE = 4096 };

static const char *const programs[] = {
	"hv_utilsd", "hv_kvp_daemon", "hv_vss_daemon",
};
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

/* Text of one cell; it stays a string when it is full. */
struct text { size_t len; char s[TEXT_SIZE]; };

static void add(struct text *t, const char *s)
{
	int n = snprintf(t->s + t->len, sizeof(t->s) - t->len, "%s", s);

	t->len += (size_t)n;
	if (t->len >= sizeof(t->s))
		t->len = sizeof(t->s) - 1;
}

static bool is_time(const char *key)
{
	size_t n = strlen(key);

	return n > 3 && !strcmp(key + n - 3, "_ms");
}

/* A member's name for people: "uptime_ms" is uptime, "late_answers" two words;
 * GET_IP_INFO is a name already. */
static void add_name(struct text *t, const char *key)
{
	size_t from = t->len;

	add(t, hvctl_show(key));
	if (is_time(key) && t->s[t->len - 1] == 's')
		t->len -= 3;
	t->s[t->len] = '\0';
	for (char *c = t->s + from; *c; c++)
		if (*c == '_' && c[1] >= 'a' && c[1] <= 'z')
			*c = ' ';
}

/* The two largest units say enough. */
static void add_time(struct text *t, long long ms)
{
	long long s = ms / 1000;
	char out[64];

	if (ms < 10000)
		snprintf(out, sizeof(out), "%.1f s", (double)ms / 1000);
	else if (s < 60)
		snprintf(out, sizeof(out), "%lld s", s);
	else if (s < 3600)
		snprintf(out, sizeof(out), "%lld min %lld s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, sizeof(out), "%lld h %lld min", s / 3600,
			 s / 60 % 60);
	else
		snprintf(out, sizeof(out), "%lld days %lld h", s / 86400,
			 s / 3600 % 24);
	add(t, out);
}

static void add_scalar(struct text *t, const char *key, const json_t *v)
{
	char number[48];

	switch (json_typeof(v)) {
	case JSON_STRING:
		add(t, *json_string_value(v) ?
		       hvctl_show(json_string_value(v)) : "-");
		break;
	case JSON_INTEGER:
		if (is_time(key)) {
			add_time(t, (long long)json_integer_value(v));
			break;
		}
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

/* In one line: "GET 2, SET 3"; lists in brackets. */
static void add_value(struct text *t, const char *of, json_t *v, int depth)
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
			add_name(t, key);
			add(t, " ");
			add_value(t, key, member, depth + 1);
			first = false;
		}
	} else if (json_is_array(v)) {
		add(t, "[");
		json_array_foreach(v, i, member) {
			add(t, first ? "" : "; ");
			add_value(t, of, member, depth + 1);
			first = false;
		}
		add(t, "]");
	} else {
		add_scalar(t, of, v);
	}
}

static bool is_list_of_objects(const json_t *v)
{
	return json_is_object(json_array_get(v, 0));
}

/* An object that does not fit in a line has lines of its own. */
static bool has_parts(json_t *v)
{
	const char *key;
	json_t *member;

	json_object_foreach(v, key, member)
		if (json_is_object(member) || json_is_array(member))
			return true;
	return false;
}

static int name_width(json_t *o)
{
	const char *key;
	size_t width = 0;
	json_t *v;

	json_object_foreach(o, key, v) {
		struct text t = { 0 };

		add_name(&t, key);
		if (t.len > width && t.len < 40 && !has_parts(v))
			width = t.len;
	}
	return (int)width;
}

/* What stands in column `at` of a list's entry: "records 3". */
static void add_column(struct text *t, json_t *entry, size_t at)
{
	const char *key;
	json_t *v;

	json_object_foreach(entry, key, v)
		if (!at--) {
			add_name(t, key);
			add(t, " ");
			add_value(t, key, v, 1);
			return;
		}
}

static int column_width(json_t *list, size_t at)
{
	size_t width = 0, i;
	json_t *entry;

	json_array_foreach(list, i, entry) {
		struct text t = { 0 };

		add_column(&t, entry, at);
		if (t.len > width)
			width = t.len;
	}
	return (int)width;
}

/* One line an entry, what is in the same place below each other. */
static void print_list(int indent, int width, const char *name, json_t *list)
{
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry) {
		size_t n = json_object_size(entry);

		printf("%*s%-*s", indent, "", width, i ? "" : name);
		for (size_t at = 0; at < n; at++) {
			struct text t = { 0 };

			add_column(&t, entry, at);
			printf("  %-*s", at + 1 < n ? column_width(list, at) : 0,
			       t.s);
		}
		putchar('\n');
	}
}

void hvctl_print_members(int indent, json_t *o)
{
	int width = name_width(o);
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v) {
		struct text name = { 0 }, value = { 0 };

		add_name(&name, key);
		if (has_parts(v) && indent < 8) {
			printf("%*s%s\n", indent, "", name.s);
			hvctl_print_members(indent + 2, v);
		} else if (is_list_of_objects(v)) {
			print_list(indent, width, name.s, v);
		} else {
			add_value(&value, key, v, 0);
			printf("%*s%-*s  %s\n", indent, "", width, name.s,
			       value.s);
		}
	}
}

static void print_program(const char *program, const char *why, json_t *reply)
{
	printf("%-14s %s\n", program, why ? why : "running");
	json_object_del(reply, "program");
	hvctl_print_members(2, reply);
}

int hvctl_status(struct hvctl *c, int argc, char **argv)
{
	json_t *all = json_object();
	bool any = false;
	int r = HVCTL_DONE;

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
		r = hvctl_print_json(json_incref(all), false);
	json_decref(all);
	return any ? r : HVCTL_UNREACHABLE;
}
