/* prog/hvhost_client.c - the verbs that ask a running host for something
 * other than key-value data. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctl.h"
#include "base/loop.h"
#include "base/pathwait.h"
#include "hvhost.h"

enum { ASK_MS = 5000 };

void hvhost_print_json(const json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	printf("\n");
}

void hvhost_bad_json(const char *path, const json_error_t *e,
		     const char *wanted)
{
	if (!e)
		fprintf(stderr, "hvhost: %s: not %s\n", path, wanted);
	else if (e->line < 0)		/* and the text names the file */
		fprintf(stderr, "hvhost: %s\n", e->text);
	else
		fprintf(stderr, "hvhost: %s:%d: %s\n", path, e->line, e->text);
}

static int code_of_error(int err)
{
	return err == -ETIMEDOUT ? HVHOST_TIMEOUT : HVHOST_UNREACHABLE;
}

int hvhost_unreachable(const char *path, int err)
{
	fprintf(stderr, "hvhost: %s: %s\n", path, err == -ETIMEDOUT ?
		"no answer in time" : err == -ENOENT || err == -ECONNREFUSED ?
		"no host is running there" : strerror(-err));
	return code_of_error(err);
}

int hvhost_code(const json_t *reply)
{
	const char *result = json_string_value(json_object_get(reply,
							       "result"));
	const char *status = json_string_value(json_object_get(reply,
							       "status"));

	if (json_is_true(json_object_get(reply, "ok")))
		return status && strcmp(status, "ok") != 0 ? HVHOST_NO :
							     HVHOST_OK;
	if (result && !strcmp(result, "timeout"))
		return HVHOST_TIMEOUT;
	return !result || !strcmp(result, "refused") ? HVHOST_REFUSED :
						       HVHOST_NO;
}

/* The reply if it is ok; else NULL, and said why. */
static json_t *taken(json_t *reply, int *code)
{
	*code = hvhost_code(reply);
	if (json_is_true(json_object_get(reply, "ok")))
		return reply;
	fprintf(stderr, "hvhost: %s\n",
		json_string_value(json_object_get(reply, "error")));
	json_decref(reply);
	return NULL;
}

json_t *hvhost_ask(const char *dir, json_t *request, int timeout_ms, int *code)
{
	char path[HVHOST_PATH];
	json_t *reply = NULL;
	int err;

	if (hvhost_path(path, dir, "ctl") < 0) {
		json_decref(request);
		*code = HVHOST_USAGE;
		return NULL;
	}
	err = ctl_call(path, request, timeout_ms, &reply);
	if (err < 0) {
		*code = hvhost_unreachable(path, err);
		return NULL;
	}
	return taken(reply, code);
}

/* A command that has nothing to tell but that it worked. */
static int simply(const char *dir, json_t *request, int timeout_ms)
{
	int code;

	json_decref(hvhost_ask(dir, request, timeout_ms, &code));
	return code;
}

/* status ----------------------------------------------------------------- */

static const char *text_of(const json_t *o, const char *member)
{
	const char *s = json_string_value(json_object_get(o, member));

	return s ? s : "-";
}

static long long number_of(const json_t *o, const char *member)
{
	return json_integer_value(json_object_get(o, member));
}

static void print_ics(const json_t *ics)
{
	const json_t *ic;
	size_t i;

	printf("\n%-10s %-12s %-9s %-8s %9s %10s %10s  %s\n", "SERVICE",
	       "STATE", "FRAMEWORK", "VERSION", "REQUESTS", "UNANSWERED",
	       "VIOLATIONS", "STATUS");
	json_array_foreach((json_t *)ics, i, ic) {
		const json_t *codes = json_object_get(ic, "health_codes");

		printf("%-10s %-12s %-9s %-8s %9lld %10lld %10lld  "
		       "%s (%lld, %lld)\n", text_of(ic, "name"),
		       json_is_true(json_object_get(ic, "offered")) ?
		       text_of(ic, "state") : "not offered",
		       text_of(ic, "framework"), text_of(ic, "version"),
		       number_of(ic, "requests"), number_of(ic, "unanswered"),
		       number_of(ic, "violations"), text_of(ic, "health_text"),
		       (long long)json_integer_value(json_array_get(codes, 0)),
		       (long long)json_integer_value(json_array_get(codes, 1)));
	}
}

static void print_violations(const json_t *list)
{
	const json_t *v;
	size_t i;

	if (json_array_size(list))
		printf("\nThe guest\n");
	json_array_foreach((json_t *)list, i, v)
		printf("  %10.3f  %-6s %s\n",
		       (double)number_of(v, "t_ms") / 1000, text_of(v, "ic"),
		       text_of(v, "text"));
}

static void print_status(const json_t *r)
{
	const json_t *kvp = json_object_get(r, "kvp");

	printf("%-10s %s\n", "machine", text_of(r, "vm"));
	printf("%-10s %s, %s\n", "host", text_of(r, "profile"),
	       text_of(r, "personality"));
	if (json_is_true(json_object_get(r, "guest")))
		printf("%-10s connected, VMBus %s\n", "guest",
		       text_of(r, "vmbus"));
	else
		printf("%-10s none (%lld so far)\n", "guest",
		       number_of(r, "guests"));
	printf("%-10s %lld stored by the administrator, %s; %lld guest and "
	       "%lld auto items known\n", "items", number_of(kvp, "items"),
	       json_is_true(json_object_get(kvp, "pushed")) ? "pushed" :
	       "not pushed", number_of(kvp, "guest_items"),
	       number_of(kvp, "auto_items"));
	print_ics(json_object_get(r, "ics"));
	print_violations(json_object_get(r, "last_violations"));
}

int hvhost_status(int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	bool json = false;
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the host's sockets are", &a.dir },
		{ 'j', "json", NULL, "all of it, for programs", &json },
		{ 0 },
	};
	const struct options_text text = {
		"hvhost status", "", "the guest and each service it uses",
	};
	int code = hvhost_parse(&a, &text, defs, 0, 0, argc, argv);
	json_t *r;

	if (code)
		return code - 1;
	r = hvhost_ask(a.dir, json_pack("{s:s}", "cmd", "status"), ASK_MS,
		       &code);
	if (r && json)
		hvhost_print_json(r);
	else if (r)
		print_status(r);
	json_decref(r);
	return code;
}

/* wait ------------------------------------------------------------------- */

enum { TIME_IS_OVER, APPEARED };

static void on_time_over(void *arg)
{
	loop_stop(arg, TIME_IS_OVER);
}

static void on_appeared(void *arg)
{
	loop_stop(arg, APPEARED);
}

/* Does nobody listen there yet? A socket that is being made is there before
 * it listens, and before its owner may connect; both end in a change of its
 * mode. */
static bool not_yet(int err, bool waited)
{
	return err == -ENOENT || err == -ENOTDIR || err == -ECONNREFUSED ||
	       (err == -EACCES && waited);
}

/* ctl_call() to a host that may only be starting. */
static int call_when_there(const char *path, json_t *request, int timeout_ms,
			   json_t **reply)
{
	struct loop *l = loop_new(LOOP_REAL);
	struct pathwait *w = l ? pathwait_new(l, path, on_appeared, l) : NULL;
	struct loop_timer timer;
	int err = w ? 0 : -errno;
	bool waited = false;

	if (w) {
		loop_timer_init(&timer, l, on_time_over, l);
		loop_timer_set(&timer, (uint64_t)timeout_ms);
	}
	while (w) {
		uint64_t now = loop_now_ms(l);

		err = ctl_call(path, json_incref(request), timer.due_ms > now ?
			       (int)(timer.due_ms - now) : 0, reply);
		if (!not_yet(err, waited) || loop_run(l) != APPEARED)
			break;
		waited = true;
	}
	if (w)
		loop_timer_cancel(&timer);
	pathwait_free(w);
	if (l)
		loop_free(l);
	json_decref(request);
	return err;
}

static bool is_state(const char *name)
{
	static const char *const states[] = {
		"guest", "open", "ready", "pushed", "idle", "gone", "frozen",
		"thawed",
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(states[i], name))
			return true;
	fprintf(stderr, "hvhost wait: no state '%s'; there are guest, open, "
		"ready, pushed, idle, gone, frozen and thawed\n", name);
	return false;
}

/* Time is over: say how far the service is. */
static int gave_up(const char *path, const char *state, const char *service)
{
	json_t *reply = NULL, *ic;
	const char *is = "not known to this host";
	size_t i;

	if (ctl_call(path, json_pack("{s:s}", "cmd", "status"), ASK_MS,
		     &reply) < 0)
		return hvhost_unreachable(path, -ETIMEDOUT);
	json_array_foreach(json_object_get(reply, "ics"), i, ic)
		if (!strcmp(text_of(ic, "name"), service))
			is = json_is_true(json_object_get(ic, "offered")) ?
			     text_of(ic, "state") : "not offered";
	fprintf(stderr, "hvhost wait: not %s in time; %s, %s is %s\n", state,
		json_is_true(json_object_get(reply, "guest")) ?
		"a guest is connected" : "no guest is connected", service, is);
	json_decref(reply);
	return HVHOST_TIMEOUT;
}

static int wait_for(const char *dir, const char *state, const char *service,
		    int timeout_ms)
{
	char path[HVHOST_PATH];
	json_t *reply = NULL;
	int err, code;

	if (hvhost_path(path, dir, "ctl") < 0)
		return HVHOST_USAGE;
	err = call_when_there(path, json_pack("{s:s, s:s, s:s}", "cmd", "wait",
					      "for", state, "ic", service),
			      timeout_ms, &reply);
	if (err == -ETIMEDOUT)
		return gave_up(path, state, service);
	if (err < 0)
		return hvhost_unreachable(path, err);
	json_decref(taken(reply, &code));
	return code;
}

int hvhost_wait(int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	const char *timeout = "60";
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the host's sockets are", &a.dir },
		{ 't', "timeout", "SECONDS", "how long; default 60", &timeout },
		{ 0 },
	};
	const struct options_text text = {
		"hvhost wait", "guest|open|ready|pushed|idle|gone|frozen|thawed "
		"[SERVICE]",
		"wait for the host to be there and the guest to get that far;"
		" with kvp unless told otherwise",
	};
	int code = hvhost_parse(&a, &text, defs, 1, 2, argc, argv);
	double seconds;
	char *end;

	if (code)
		return code - 1;
	if (!is_state(a.operand[0]))
		return HVHOST_USAGE;
	seconds = strtod(timeout, &end);
	if (*end || end == timeout || !(seconds >= 0) || seconds > 1e6) {
		fprintf(stderr, "hvhost wait: '%s' is no time in seconds\n",
			timeout);
		return HVHOST_USAGE;
	}
	return wait_for(a.dir, a.operand[0], a.n > 1 ? a.operand[1] : "kvp",
			(int)(seconds * 1000));
}

/* One operand, or none ---------------------------------------------------- */

static int of_service(const char *cmd, const char *program,
		      const char *summary, int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the host's sockets are", &a.dir },
		{ 0 },
	};
	const struct options_text text = { program, "SERVICE", summary };
	int code = hvhost_parse(&a, &text, defs, 1, 1, argc, argv);

	if (code)
		return code - 1;
	return simply(a.dir, json_pack("{s:s, s:s}", "cmd", cmd, "ic",
				       a.operand[0]), ASK_MS);
}

int hvhost_rescind(int argc, char **argv)
{
	return of_service("rescind", "hvhost rescind",
			  "take a service's device away", argc, argv);
}

int hvhost_offer(int argc, char **argv)
{
	return of_service("offer", "hvhost offer",
			  "offer a rescinded service again", argc, argv);
}

int hvhost_renegotiate(int argc, char **argv)
{
	return of_service("renegotiate", "hvhost renegotiate",
			  "negotiate anew on the open channel", argc, argv);
}

int hvhost_restart(int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the host's sockets are", &a.dir },
		{ 0 },
	};
	const struct options_text text = {
		"hvhost restart", "", "lose the guest without a word",
	};
	int code = hvhost_parse(&a, &text, defs, 0, 0, argc, argv);

	if (code)
		return code - 1;
	return simply(a.dir, json_pack("{s:s}", "cmd", "restart"), ASK_MS);
}

int hvhost_clock(int argc, char **argv)
{
	struct hvhost_args a = { 0 };
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the host's sockets are", &a.dir },
		{ 0 },
	};
	const struct options_text text = {
		"hvhost clock", "advance MS", "move the virtual clock",
	};
	int code = hvhost_parse(&a, &text, defs, 2, 2, argc, argv);
	long long ms;
	char *end;

	if (code)
		return code - 1;
	ms = strtoll(a.operand[1], &end, 10);
	if (strcmp(a.operand[0], "advance") != 0 || *end || ms < 0 ||
	    end == a.operand[1]) {
		fprintf(stderr, "usage: hvhost clock advance MS\n");
		return HVHOST_USAGE;
	}
	return simply(a.dir, json_pack("{s:s, s:I}", "cmd", "clock-advance",
				       "ms", (json_int_t)ms), ASK_MS);
}
