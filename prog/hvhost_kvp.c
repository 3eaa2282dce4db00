/* prog/hvhost_kvp.c - hvhost kvp: key-value data from the host's side. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctl.h"
#include "hvhost.h"

enum { ASK_MS = 120000 };	/* the host gives up on the guest before */

/* The options of these verbs, of which each has some. */
struct opts {
	struct hvhost_args a;
	bool json;
	const char *pool, *type, *interval;
};

/* takes: the letters of the options that this verb has beside --dir. */
static int parse(struct opts *o, const struct options_text *t,
		 const char *takes, int least, int most, int argc, char **argv)
{
	const struct option_def all[] = {
		{ 0, "dir", "DIR", "where the host's sockets are", &o->a.dir },
		{ 'p', "pool", "POOL", "number or name: external, guest, auto,"
		  " auto-external", &o->pool },
		{ 't', "type", "TYPE", "string, expand-string, u32, u64 or "
		  "u64-linux", &o->type },
		{ 'i', "interval", "SECONDS", "of watching; default 10",
		  &o->interval },
		{ 'j', "json", NULL, "print JSON", &o->json },
	};
	struct option_def defs[sizeof(all) / sizeof(all[0]) + 1] = { { 0 } };
	unsigned n = 0;

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!all[i].letter || strchr(takes, all[i].letter))
			defs[n++] = all[i];
	return hvhost_parse(&o->a, t, defs, least, most, argc, argv);
}

static json_t *pool_json(const char *pool)
{
	char *end;
	long n = strtol(pool, &end, 10);

	return *end || end == pool ? json_string(pool) : json_integer(n);
}

static json_t *request(const char *cmd, const struct opts *o,
		       const char *default_pool)
{
	return json_pack("{s:s, s:o, s:s*}", "cmd", cmd, "pool",
			 pool_json(o->pool ? o->pool : default_pool), "type",
			 o->type);
}

/* Print text of the guest's so that it cannot drive the terminal. */
static void print_safe(const char *s)
{
	for (; s && *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			printf("\\x%02x", (unsigned char)*s);
		else
			putchar(*s);
	}
}

/* Columns as wide as the text shows, not as many bytes. */
static int columns(const char *s)
{
	int n = 0;

	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			n += 4;
		else if (((unsigned char)*s & 0xc0) != 0x80)
			n++;
	}
	return n;
}

static const char *text_of(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s ? s : "";
}

static int say_no(const json_t *reply, int code)
{
	if (code == HVHOST_NO)
		fprintf(stderr, "hvhost: the guest answered %s\n",
			text_of(reply, "status"));
	return code;
}

/* Ask, print with fn or as JSON. */
static int ask(const struct opts *o, json_t *req, void (*print)(const json_t *))
{
	int code;
	json_t *r = hvhost_ask(o->a.dir, req, ASK_MS, &code);

	if (!r)
		return code;
	if (o->json)
		hvhost_print_json(r);
	else if (code == HVHOST_OK && print)
		print(r);
	if (!o->json)
		say_no(r, code);
	json_decref(r);
	return code;
}

/* The verbs -------------------------------------------------------------- */

static void print_value(const json_t *r)
{
	print_safe(text_of(r, "value"));
	putchar('\n');
}

static int kvp_get(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp get", "KEY",
					"a value the guest has" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "pj", 1, 1, argc, argv);
	json_t *req;

	if (code)
		return code - 1;
	req = request("kvp-get", &o, "guest");
	json_object_set_new(req, "key", json_string(o.a.operand[0]));
	return ask(&o, req, print_value);
}

static void print_stored(const json_t *r)
{
	if (!strcmp(text_of(r, "result"), "stored"))
		printf("stored; no guest is connected\n");
}

static void print_removed(const json_t *r)
{
	if (!strcmp(text_of(r, "result"), "stored"))
		printf("removed; no guest is connected\n");
}

static int kvp_set(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp set", "KEY VALUE",
		"give the guest a value; pool 0 unless told otherwise" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "ptj", 2, 2, argc, argv);
	json_t *req;

	if (code)
		return code - 1;
	req = request("kvp-set", &o, "external");
	json_object_set_new(req, "key", json_string(o.a.operand[0]));
	json_object_set_new(req, "value", json_string(o.a.operand[1]));
	return ask(&o, req, print_stored);
}

static int kvp_del(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp del", "KEY",
		"take a value from the guest; pool 0 unless told otherwise" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "pj", 1, 1, argc, argv);
	json_t *req;

	if (code)
		return code - 1;
	req = request("kvp-del", &o, "external");
	json_object_set_new(req, "key", json_string(o.a.operand[0]));
	return ask(&o, req, print_removed);
}

static void print_list(const json_t *r)
{
	const json_t *items = json_object_get(r, "items"), *it;
	int width = 3;
	size_t i;

	json_array_foreach((json_t *)items, i, it) {
		int n = columns(text_of(it, "key"));

		width = n > width && n <= 48 ? n : width;
	}
	printf("%-*s  %-13s  %s\n", width, "KEY", "TYPE", "VALUE");
	json_array_foreach((json_t *)items, i, it) {
		int n = columns(text_of(it, "key"));

		print_safe(text_of(it, "key"));
		printf("%*s  %-13s  ", n < width ? width - n : 0, "",
		       text_of(it, "type"));
		print_safe(text_of(it, "value"));
		putchar('\n');
	}
}

static int kvp_list(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp list", "",
		"all of a pool, asked from the guest one by one" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "pj", 0, 0, argc, argv);

	if (code)
		return code - 1;
	return ask(&o, request("kvp-list", &o, "guest"), print_list);
}

static int kvp_items(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp items", "",
		"the administrator's items, as this host keeps them" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "j", 0, 0, argc, argv);

	if (code)
		return code - 1;
	return ask(&o, json_pack("{s:s, s:b}", "cmd", "kvp-list", "items", 1),
		   print_list);
}

static int kvp_push(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp push", "",
		"send the host's and the administrator's items again" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "j", 0, 0, argc, argv);

	if (code)
		return code - 1;
	return ask(&o, json_pack("{s:s}", "cmd", "kvp-push"), NULL);
}

/* ip --------------------------------------------------------------------- */

static void print_array(const char *what, const json_t *array)
{
	const json_t *e;
	size_t i;

	printf("%-10s", what);
	json_array_foreach((json_t *)array, i, e) {
		putchar(' ');
		print_safe(json_string_value(e));
	}
	putchar('\n');
}

static void print_ip(const json_t *r)
{
	static const char *const lists[] = { "addresses", "masks", "gateways",
					     "dns", "origins" };
	const json_t *ip = json_object_get(r, "ip");

	printf("%-10s %s\n", "dhcp",
	       json_is_true(json_object_get(ip, "dhcp")) ? "yes" : "no");
	for (unsigned i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		print_array(lists[i], json_object_get(ip, lists[i]));
}

static int kvp_ip(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp ip", "MAC",
		"an interface's addresses, by its MAC" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "j", 1, 1, argc, argv);

	if (code)
		return code - 1;
	return ask(&o, json_pack("{s:s, s:s}", "cmd", "kvp-ip-get", "adapter",
				 o.a.operand[0]), print_ip);
}

static int kvp_set_ip(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp set-ip", "FILE",
		"send SET_IP_INFO as a JSON file says, - is standard input" };
	struct opts o = { 0 };
	int code = parse(&o, &t, "j", 1, 1, argc, argv);
	const char *path = o.a.operand[0];
	json_error_t e;
	json_t *ip;

	if (code)
		return code - 1;
	ip = strcmp(path, "-") != 0 ? json_load_file(path, 0, &e) :
		json_loadf(stdin, 0, &e);
	if (!json_is_object(ip)) {
		hvhost_bad_json(path, ip ? NULL : &e, "a JSON object");
		json_decref(ip);
		return HVHOST_USAGE;
	}
	json_object_set_new(ip, "cmd", json_string("kvp-ip-set"));
	return ask(&o, ip, NULL);
}

/* watch ------------------------------------------------------------------ */

static void print_change(const json_t *line, bool json)
{
	if (json) {
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		printf("%-8s pool %lld  ", text_of(line, "change"),
		       (long long)json_integer_value(json_object_get(line,
								     "pool")));
		print_safe(text_of(line, "key"));
		printf(" = ");
		print_safe(text_of(line, "value"));
		putchar('\n');
	}
	fflush(stdout);
}

static int watch_lines(struct ctl_stream *s, bool json)
{
	json_t *line;
	int err, code = HVHOST_OK;

	while (code == HVHOST_OK) {
		err = ctl_stream_next(s, -1, &line);
		if (err < 0) {
			fprintf(stderr, "hvhost: the host is gone\n");
			return HVHOST_UNREACHABLE;
		}
		code = hvhost_code(line);
		if (code == HVHOST_OK)
			print_change(line, json);
		else
			fprintf(stderr, "hvhost: %s\n", text_of(line, "error"));
		json_decref(line);
	}
	return code;
}

static int kvp_watch(int argc, char **argv)
{
	const struct options_text t = { "hvhost kvp watch", "",
		"poll pools 1 and 2 and print what changes" };
	struct opts o = { .interval = "10" };
	static struct ctl_stream s;
	char path[HVHOST_PATH];
	double seconds;
	json_t *req;
	char *end;
	int err, code = parse(&o, &t, "pij", 0, 0, argc, argv);

	if (code)
		return code - 1;
	seconds = strtod(o.interval, &end);
	if (*end || !(seconds >= 0.001) || seconds > 1e6) {
		fprintf(stderr, "hvhost kvp watch: '%s' is no interval\n",
			o.interval);
		return HVHOST_USAGE;
	}
	if (hvhost_path(path, o.a.dir, "ctl") < 0)
		return HVHOST_USAGE;
	req = json_pack("{s:s, s:I}", "cmd", "kvp-watch", "poll_ms",
			(json_int_t)(seconds * 1000));
	if (o.pool)
		json_object_set_new(req, "pool", pool_json(o.pool));
	err = ctl_stream_open(&s, path, req);
	if (err < 0)
		return hvhost_unreachable(path, err);
	code = watch_lines(&s, o.json);
	ctl_stream_close(&s);
	return code;
}

static const struct hvhost_verb verbs[] = {
	{ "get", "KEY", "a value of the guest's; pool 1 unless told", kvp_get },
	{ "set", "KEY VALUE", "give the guest a value; pool 0 unless told",
	  kvp_set },
	{ "del", "KEY", "take it back", kvp_del },
	{ "list", "", "all of a pool, in the guest's order", kvp_list },
	{ "items", "", "the administrator's items", kvp_items },
	{ "push", "", "send all that is sent at connect", kvp_push },
	{ "watch", "", "poll pools 1 and 2, print changes", kvp_watch },
	{ "ip", "MAC", "an interface's addresses", kvp_ip },
	{ "set-ip", "FILE", "give an interface addresses", kvp_set_ip },
	{ NULL, NULL, NULL, NULL },
};

int hvhost_kvp(int argc, char **argv)
{
	return hvhost_dispatch("hvhost kvp", "key-value data from the host's "
			       "side", verbs, argc, argv);
}
