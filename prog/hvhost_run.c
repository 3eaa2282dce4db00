/* prog/hvhost_run.c - hvhost run: a host in the foreground. Read what was
 * asked for, make the host, serve; undo in reverse. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "host/host_ctl.h"
#include "host/host_json.h"
#include "host/host_scenario.h"
#include "hvhost.h"

struct program {
	/* asked for */
	const char *dir, *profile_name, *scenario_path, *record, *vm_name;
	const char *items, *poll, *seed, *settle;
	uint64_t poll_s, seed_n, settle_ms;
	bool strict, lenient, virtual_clock, no_push, debug;
	/* made of it */
	struct host_profile profile;
	struct host_scenario *scenario;
	struct loop *loop;
	struct host_trace *trace;
	struct host *host;
	struct host_ctl *ctl;
	struct host_run *run;
	struct host_observer observer;
	int status;
	unsigned steps;
	/* as last said */
	bool guest;
	enum host_ic_state state[HOST_N_ICS];
	bool frozen;
	uint64_t frozen_at_ms;
	uint64_t violations;
};

/* Saying what happens ---------------------------------------------------- */

static void say_violations(struct program *p)
{
	uint64_t n = host_violations(p->host), kept = n < HOST_VIOLATIONS ?
		n : HOST_VIOLATIONS;
	char quoted[256];

	for (uint64_t i = n - p->violations < kept ? n - p->violations : kept;
	     i > 0; i--) {
		const struct host_violation *v =
			host_violation_at(p->host, (unsigned)(kept - i));

		log_warn("%s: the guest %s", v->ic ? v->ic : "vmbus",
			 log_quote(quoted, sizeof(quoted), v->text,
				   strlen(v->text)));
	}
	p->violations = n;
}

static void say_state(struct program *p, enum host_ic_id id)
{
	const struct host_ic *ic = host_ic_of(p->host, id);
	enum host_ic_state s = host_ic_state_get(ic);
	char framework[HOST_VERSION_TEXT], version[HOST_VERSION_TEXT];

	if (s == p->state[id])
		return;
	p->state[id] = s;
	if (s == HOST_IC_READY)
		log_info("%s: ready, framework %s, version %s",
			 host_ic_name(id),
			 host_version_text(framework, host_ic_framework(ic)),
			 host_version_text(version, host_ic_version(ic)));
	else
		log_info("%s: %s", host_ic_name(id), host_ic_state_name(s));
}

static void say_frozen(struct program *p)
{
	bool frozen = host_vss_frozen(host_vss_of(p->host), NULL);
	uint64_t now = host_now_ms(p->host);

	if (frozen == p->frozen)
		return;
	p->frozen = frozen;
	if (frozen) {
		p->frozen_at_ms = now;
		log_info("vss: the guest is frozen");
	} else {
		log_info("vss: the guest was frozen for %.3f s",
			 (double)(now - p->frozen_at_ms) / 1000);
	}
}

static void on_changed(void *arg)
{
	struct program *p = arg;
	char version[HOST_VERSION_TEXT];

	if (host_guest(p->host) != p->guest) {
		p->guest = host_guest(p->host);
		if (p->guest)
			log_info("a guest connected, VMBus %s",
				 host_version_text(version,
					host_guest_version(p->host)));
		else
			log_info("the guest is gone");
	}
	for (enum host_ic_id id = 0; id < HOST_N_ICS; id++)
		say_state(p, id);
	say_frozen(p);
	say_violations(p);
}

/* The scenario ----------------------------------------------------------- */

static void on_step(void *arg, const char *label, const char *text,
		    const char *why)
{
	struct program *p = arg;

	p->steps++;
	printf("%-8s %-48s %s%s\n", label, text, why ? "FAILED: " : "ok",
	       why ? why : "");
	fflush(stdout);
}

static void on_done(void *arg, bool passed)
{
	struct program *p = arg;

	printf("%s: %s after %u steps", host_scenario_name(p->scenario),
	       passed ? "passed" : "FAILED", p->steps);
	if (!passed)
		printf(" (seed %llu)", (unsigned long long)
		       host_run_seed(p->run));
	printf("\n");
	p->status = passed ? HVHOST_OK : HVHOST_NO;
	loop_stop(p->loop, 0);
}

/* Reading what was asked for --------------------------------------------- */

static int number(const char *option, const char *text, uint64_t most,
		  uint64_t *v)
{
	char *end;

	errno = 0;
	*v = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && !errno &&
	    *v <= most)
		return 0;
	fprintf(stderr, "hvhost run: --%s: '%s' is no whole number up to "
		"%llu\n", option, text, (unsigned long long)most);
	return -1;
}

static int read_numbers(struct program *p)
{
	p->settle_ms = 50;
	if ((p->poll && number("poll", p->poll, UINT32_MAX / 1000,
			       &p->poll_s) < 0) ||
	    (p->seed && number("seed", p->seed, UINT64_MAX,
			       &p->seed_n) < 0) ||
	    (p->settle && number("settle", p->settle, INT32_MAX,
				 &p->settle_ms) < 0))
		return -1;
	return 0;
}

static int choose_profile(struct program *p)
{
	const struct host_profile *found = &host_profiles[0];
	char err[400];

	if (p->scenario_path) {
		p->scenario = host_scenario_load(p->scenario_path, err,
						 sizeof(err));
		if (!p->scenario) {
			fprintf(stderr, "hvhost run: %s\n", err);
			return -1;
		}
		found = host_scenario_profile(p->scenario);
	}
	if (p->profile_name)
		found = host_profile_find(p->profile_name);
	if (!found) {
		fprintf(stderr, "hvhost run: no profile '%s' ('hvhost "
			"profiles' lists them)\n", p->profile_name);
		return -1;
	}
	p->profile = *found;
	if (p->strict || p->lenient)
		p->profile.strict = p->strict;
	if (p->no_push)
		p->profile.push = false;
	return 0;
}

static int load_items(struct program *p)
{
	json_error_t e;
	json_t *items = json_load_file(p->items, JSON_REJECT_DUPLICATES, &e);
	struct host_kvp_item it;
	json_t *j;
	size_t i;

	p->status = HVHOST_USAGE;	/* until all of them are good */
	if (!json_is_array(items)) {
		hvhost_bad_json(p->items, items ? NULL : &e, "a JSON array");
		json_decref(items);
		return -1;
	}
	json_array_foreach(items, i, j) {
		const char *bad = host_json_item(&it, j, true);

		if (bad || host_kvp_item_set(host_kvp_of(p->host), &it) < 0) {
			log_err("%s: item %zu: %s is missing or wrong",
				p->items, i + 1, bad ? bad : "the value");
			json_decref(items);
			return -1;
		}
	}
	json_decref(items);
	p->status = HVHOST_OK;
	return 0;
}

/* Making it -------------------------------------------------------------- */

/* The directory and what leads to it. */
static int make_dir(const char *path)
{
	char dir[HVHOST_PATH];

	snprintf(dir, sizeof(dir), "%s", path);
	for (char *slash = strchr(dir + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
			log_err("%s: %s", dir, strerror(errno));
			return -1;
		}
		*slash = '/';
	}
	return 0;
}

static int start_host(struct program *p)
{
	char bus[HVHOST_PATH], ctl[HVHOST_PATH];
	struct host_cfg cfg = {
		.profile = &p->profile, .path = bus,
		.vm_name = p->vm_name ? p->vm_name : "guest",
		.trace = p->trace,
	};

	cfg.poll_ms = (uint32_t)(p->poll_s * 1000);
	if (hvhost_path(bus, p->dir, "vmbus") < 0 ||
	    hvhost_path(ctl, p->dir, "ctl") < 0 || make_dir(bus) < 0)
		return -1;
	p->host = host_new(p->loop, &cfg);
	if (!p->host) {
		log_err("%s: %s", bus, errno == EADDRINUSE ?
			"another host is running there" : strerror(errno));
		return -1;
	}
	p->ctl = host_ctl_new(p->host, ctl, p->virtual_clock);
	if (!p->ctl) {
		log_err("%s: %s", ctl, strerror(errno));
		return -1;
	}
	p->observer = (struct host_observer){ on_changed, p, NULL };
	host_observe(p->host, &p->observer);
	log_info("%s, %s: guests connect to %s", p->profile.name,
		 p->profile.strict ? "strict" : "lenient", bus);
	return p->items ? load_items(p) : 0;
}

static int start_scenario(struct program *p)
{
	struct host_run_cfg cfg = { .step = on_step, .done = on_done,
				    .arg = p };

	cfg.seed = p->seed_n;
	cfg.settle_ms = (unsigned)p->settle_ms;
	p->run = host_run_new(p->host, p->scenario, p->virtual_clock, &cfg);
	if (!p->run)
		return -1;
	p->status = HVHOST_NO;		/* until it has passed */
	return 0;
}

static int serve(struct program *p)
{
	int err;

	p->loop = loop_new(p->virtual_clock ? LOOP_VIRTUAL : LOOP_REAL);
	if (!p->loop || loop_stop_on_signals(p->loop) < 0) {
		log_err("no event loop: %s", strerror(errno));
		return HVHOST_REFUSED;
	}
	if (p->record) {
		p->trace = host_trace_create(p->loop, p->record,
					     p->profile.name);
		if (!p->trace) {
			log_err("%s: %s", p->record, strerror(errno));
			return HVHOST_REFUSED;
		}
	}
	if (start_host(p) < 0 || (p->scenario && start_scenario(p) < 0))
		return p->status ? p->status : HVHOST_REFUSED;
	err = loop_run(p->loop);
	if (err < 0)
		log_err("event loop: %s", strerror(-err));
	return err < 0 ? HVHOST_REFUSED : p->status;
}

static int undo(struct program *p, int status)
{
	int err;

	host_run_free(p->run);
	host_ctl_free(p->ctl);
	host_free(p->host);
	err = host_trace_close(p->trace);
	if (err < 0) {
		log_err("%s: %s", p->record, strerror(-err));
		status = HVHOST_REFUSED;
	}
	if (p->loop)
		loop_free(p->loop);
	host_scenario_free(p->scenario);
	log_close();
	return status;
}

int hvhost_run(int argc, char **argv)
{
	struct program p = { 0 };
	const struct option_def defs[] = {
		{ 0, "dir", "DIR", "where the sockets are", &p.dir },
		{ 'p', "profile", "NAME", "host generation", &p.profile_name },
		{ 0, "strict", NULL, "judge answers as OpenVMM does",
		  &p.strict },
		{ 0, "lenient", NULL, "understand what can be understood",
		  &p.lenient },
		{ 0, "virtual-clock", NULL, "time moves on command only",
		  &p.virtual_clock },
		{ 0, "vm-name", "NAME", "the machine's name, told to the guest",
		  &p.vm_name },
		{ 0, "items", "FILE", "administrator's items, a JSON array",
		  &p.items },
		{ 0, "poll", "SECONDS", "walk pools 1 and 2 so often",
		  &p.poll },
		{ 0, "no-push", NULL, "send no items at connect", &p.no_push },
		{ 's', "scenario", "FILE", "run this, then exit",
		  &p.scenario_path },
		{ 0, "seed", "N", "of a scenario's random faults", &p.seed },
		{ 0, "settle", "MS", "quiet before a virtual clock moves",
		  &p.settle },
		{ 'r', "record", "FILE", "write a trace", &p.record },
		{ 'd', "debug", NULL, "say more", &p.debug },
		{ 0 },
	};
	const struct options_text text = {
		"hvhost run", "", "be a simulated Hyper-V host",
	};
	struct hvhost_args a;
	int code = hvhost_parse(&a, &text, defs, 0, 0, argc, argv);

	if (code)
		return code - 1;
	if (p.strict && p.lenient) {
		fprintf(stderr, "hvhost run: strict or lenient, not both\n");
		return HVHOST_USAGE;
	}
	if (read_numbers(&p) < 0)
		return HVHOST_USAGE;
	if (choose_profile(&p) < 0) {
		host_scenario_free(p.scenario);
		return HVHOST_USAGE;
	}
	log_open("hvhost", LOG_TO_AUTO, true,
		 p.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	return undo(&p, serve(&p));
}
