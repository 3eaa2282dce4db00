/* prog/hvctl_vss_status.c - hvctl vss status: what somebody wants to know at a
 * glance. All the numbers are in hvctl status, and in the JSON. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hvctl_vss.h"
#include "vss/history_rec.h"

enum { APPS_SHOWN = 6 };

/* What the programs said; NULL where one did not. */
struct answers {
	json_t *utils, *daemon, *plan, *last;
	json_t *driver;			/* part of utils */
	const json_t *serves;		/* part of driver: who freezes */
};

static json_t *ask(struct hvctl *c, const char *program, const char *cmd)
{
	json_t *reply = hvctl_vss_ask(c, program, cmd);

	json_object_del(reply, "ok");
	json_object_del(reply, "program");
	return reply;
}

static int gather(struct hvctl *c, struct answers *a)
{
	const json_t *serves;

	a->utils = ask(c, "hv_utilsd", "status");
	a->daemon = ask(c, "hv_vss_daemon", "status");
	a->plan = a->daemon ? ask(c, "hv_vss_daemon", "plan") : NULL;
	a->driver = json_object_get(a->utils, "vss");
	serves = json_object_get(a->driver, "daemon");
	a->serves = json_is_object(serves) ? serves : NULL;
	return hvctl_vss_find_last(c, &a->last);
}

static void release(struct answers *a)
{
	json_decref(a->utils);
	json_decref(a->daemon);
	json_decref(a->plan);
	json_decref(a->last);
}

static void line(const char *what, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void line(const char *what, const char *fmt, ...)
{
	va_list ap;

	printf("%-14s", what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static void print_driver(const struct answers *a)
{
	const char *version = history_text(a->driver, "version");

	if (!a->utils)
		line("driver", "hv_utilsd does not answer");
	else if (!a->driver)
		line("driver", "hv_utilsd without backups");
	else if (!json_is_true(json_object_get(a->driver, "channel")))
		line("driver", "no host offers backups");
	else if (json_is_true(json_object_get(a->driver, "negotiation_held")))
		line("driver", "the host is there, and waits for a daemon");
	else if (!*version)
		line("driver", "the host is there, versions are not agreed yet");
	else
		line("driver", "%s, VSS %s",
		     hvctl_show(history_text(a->driver, "state")),
		     hvctl_show(version));
}

/* What the daemon has to say that is not as it should be. */
static void print_trouble(const struct answers *a)
{
	json_t *freeze = json_object_get(a->daemon, "freeze");
	json_int_t unsaved = history_int(json_object_get(a->daemon, "history"),
					 "unsaved");
	const char *phase = history_text(freeze, "phase");
	const char *hanging = history_text(freeze, "hanging");

	if (*phase && strcmp(phase, "idle"))
		printf(", %s", hvctl_show(phase));
	if (*hanging)
		printf(", waits for %s", hvctl_show(hanging));
	if (unsaved > 1)
		printf(", %lld records not saved", (long long)unsaved);
	if (json_is_true(json_object_get(a->daemon, "confined")))
		printf(", confined");
}

static void print_daemon(const struct answers *a)
{
	const char *name = history_text(a->serves, "name");

	if (!a->serves) {
		line("daemon", a->daemon ?
		     "hv_vss_daemon runs, and has no driver" :
		     "none, so the host's backups are not consistent");
		return;
	}
	printf("%-14s%s (pid %lld)", "daemon",
	       *name ? hvctl_show(name) : "one without a name",
	       (long long)history_int(a->serves, "pid"));
	if (a->daemon)
		print_trouble(a);
	else
		printf(", does not answer");
	putchar('\n');
}

static void print_apps(const struct answers *a)
{
	json_t *apps = json_object_get(a->driver, "applications"), *app;
	size_t i, n = json_array_size(apps);

	printf("%-14s", "applications");
	if (!n)
		printf("%s", a->driver ? "none takes part" : "not known");
	json_array_foreach(apps, i, app) {
		if (i == APPS_SHOWN) {
			printf(" and %zu more", n - i);
			break;
		}
		printf("%s%s (pid %lld%s)", i ? ", " : "",
		       hvctl_show(history_text(app, "name")),
		       (long long)history_int(app, "pid"),
		       json_is_true(json_object_get(app, "holding")) ?
		       ", holding" : "");
	}
	putchar('\n');
}

static void print_last(const json_t *rec)
{
	const char *started = history_text(rec, "started");
	char sentence[1024], when[24];

	if (!rec) {
		line("last backup", "none yet");
		return;
	}
	snprintf(when, sizeof(when), "%.19s", started);
	if (strlen(when) == 19 && when[10] == 'T')
		when[10] = ' ';
	line("last backup", "%s UTC, %s", hvctl_show(when),
	     history_rec_sentence(sentence, sizeof(sentence), rec));
}

static void print_plan(const struct answers *a)
{
	const char *summary = history_text(a->plan, "summary");
	const char *error = history_text(a->plan, "error");

	if (*summary)
		line("next backup", "%s", hvctl_show(summary));
	else
		line("next backup", "not known%s%s", *error ? ": " : "",
		     *error ? hvctl_show(error) : "");
}

int hvctl_vss_status(struct hvctl *c, int argc, char **argv)
{
	struct answers a = { 0 };
	int r = gather(c, &a);

	(void)argc;
	(void)argv;
	if (!r && c->json) {
		r = hvctl_print_json(json_pack(
			"{s:O?, s:O?, s:O?, s:O?}", "driver", a.driver,
			"daemon", a.daemon, "last", a.last, "plan", a.plan),
			false);
	} else if (!r) {
		print_driver(&a);
		print_daemon(&a);
		print_apps(&a);
		print_last(a.last);
		print_plan(&a);
	}
	if (!r && (!a.utils || (!a.serves && !a.daemon)))
		r = HVCTL_UNREACHABLE;
	else if (!r && ((a.last && !hvctl_vss_good(a.last)) ||
			json_is_false(json_object_get(a.plan, "consistent"))))
		r = HVCTL_ABSENT;
	release(&a);
	return r;
}
