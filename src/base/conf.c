/* base/conf.c - the table of settings, and inih to read them. */
#include "base/conf.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

enum conf_type {
	CONF_PATH,		/* absolute; empty where that is the default */
	CONF_NAME,		/* a word, or empty */
	CONF_BOOL,
	CONF_INT,
	CONF_MSEC,		/* "5s", "250ms", "1min"; stored in ms */
	CONF_MODE,		/* octal */
	CONF_CHOICE,		/* one of `choices`, stored as its index */
	CONF_RULE,		/* added to a struct conf_rules; no default */
};

struct conf_key {
	const char *section, *name;
	enum conf_type type;
	size_t offset;			/* into struct conf */
	const char *dflt;
	unsigned min, max;		/* INT; MSEC: ms; MODE: max is the bits
					 * allowed */
	const char *choices;		/* CHOICE: separated by '|' */
};

#define AT(member) offsetof(struct conf, member)

/* In the order of the enums in vss/plan.h. */
#define RULE_ACTIONS	"freeze|sync-only|skip|veto"
#define RULE_BY		"path|type|source"

static const struct conf_key keys[] = {
	{ "paths", "run-dir", CONF_PATH, AT(run_dir), "/run/hyperv", 0, 0, NULL },
	{ "paths", "state-dir", CONF_PATH, AT(state_dir), "/var/lib/hyperv",
	  0, 0, NULL },
	{ "log", "level", CONF_CHOICE, AT(log_level), "info", 0, 0,
	  "error|warning|info|debug" },
	{ "vmbus", "host", CONF_PATH, AT(vmbus_host), "/run/hyperv/host/vmbus",
	  0, 0, NULL },
	/* The host's own patience is unknown; OpenVMM's client gives up at 3 s. */
	{ "kvp", "request-timeout", CONF_MSEC, AT(kvp_timeout_ms), "2500ms",
	  100, 30000, NULL },
	{ "kvp", "set-ip-timeout", CONF_MSEC, AT(kvp_set_ip_timeout_ms), "25s",
	  100, 30000, NULL },
	/* Hosts give up on a negotiation after 60 s; Linux answers at 55. */
	{ "kvp", "negotiation-hold", CONF_MSEC, AT(kvp_negotiation_hold_ms),
	  "50s", 0, 55000, NULL },
	{ "kvp", "device-mode", CONF_MODE, AT(kvp_device_mode), "0600",
	  0, 0666, NULL },
	{ "kvp", "sync", CONF_BOOL, AT(kvp_sync), "yes", 0, 0, NULL },
	{ "kvp", "lock-timeout", CONF_MSEC, AT(kvp_lock_timeout_ms), "2s",
	  10, 30000, NULL },
	{ "kvp", "external-pool-mode", CONF_MODE, AT(kvp_external_mode), "0600",
	  0, 0666, NULL },
	{ "kvp", "pool-mode", CONF_MODE, AT(kvp_pool_mode), "0644",
	  0, 0666, NULL },
	{ "kvp", "link-local-addresses", CONF_CHOICE, AT(kvp_link_local),
	  "if-alone", 0, 0, "never|if-alone|always" },
	{ "kvp", "virtual-interfaces", CONF_BOOL, AT(kvp_virtual_interfaces),
	  "no", 0, 0, NULL },

	{ "vss", "check-application-timeout", CONF_MSEC, AT(vss_check_app_ms),
	  "5s", 100, 600000, NULL },
	{ "vss", "check-timeout", CONF_MSEC, AT(vss_check_fs_ms), "10s",
	  100, 600000, NULL },
	{ "vss", "freeze-application-timeout", CONF_MSEC,
	  AT(vss_freeze_app_ms), "60s", 100, 3600000, NULL },
	{ "vss", "freeze-timeout", CONF_MSEC, AT(vss_freeze_fs_ms), "60s",
	  100, 3600000, NULL },
	{ "vss", "frozen-window", CONF_MSEC, AT(vss_frozen_ms), "60s",
	  100, 3600000, NULL },
	{ "vss", "thaw-timeout", CONF_MSEC, AT(vss_thaw_fs_ms), "10s",
	  100, 600000, NULL },
	{ "vss", "thaw-application-timeout", CONF_MSEC, AT(vss_thaw_app_ms),
	  "10s", 100, 600000, NULL },
	/* Linux answers a FREEZE after 15 min and all else after 30 s; there
	 * is a report of hosts that wait 10 min for a FREEZE. */
	{ "vss", "host-freeze-limit", CONF_MSEC, AT(vss_host_freeze_ms),
	  "600s", 1000, 3600000, NULL },
	{ "vss", "host-limit", CONF_MSEC, AT(vss_host_other_ms), "30s",
	  1000, 3600000, NULL },
	{ "vss", "negotiation-hold", CONF_MSEC, AT(vss_negotiation_hold_ms),
	  "50s", 0, 55000, NULL },
	{ "vss", "max-applications", CONF_INT, AT(vss_max_apps), "256",
	  1, 4096, NULL },
	{ "vss", "silent-application", CONF_CHOICE, AT(vss_silent_app_fails),
	  "fail", 0, 0, "go-on|fail" },
	{ "vss", "dead-application", CONF_CHOICE, AT(vss_dead_app_fails),
	  "go-on", 0, 0, "go-on|fail" },
	{ "vss", "device-mode", CONF_MODE, AT(vss_device_mode), "0600",
	  0, 0666, NULL },
	{ "vss", "application-device-mode", CONF_MODE,
	  AT(vss_app_device_mode), "0600", 0, 0666, NULL },
	{ "vss", "application-device-group", CONF_NAME,
	  AT(vss_app_device_group), "", 0, 0, NULL },
	{ "vss", "history-size", CONF_INT, AT(vss_history_size), "1000",
	  1, 100000, NULL },
	{ "vss", "metrics-file", CONF_PATH, AT(vss_metrics_file), "",
	  0, 0, NULL },
	{ "vss", "hooks-dir", CONF_PATH, AT(vss_hooks_dir),
	  "/etc/hyperv/vss.d", 0, 0, NULL },
	{ "vss", "hooks-qemu-ga-dir", CONF_PATH, AT(vss_hooks_qemu_ga_dir), "",
	  0, 0, NULL },
	{ "vss", "hooks-open-vm-tools-dir", CONF_PATH,
	  AT(vss_hooks_open_vm_tools_dir), "", 0, 0, NULL },
	{ "vss", "hooks-unsafe", CONF_CHOICE, AT(vss_hooks_unsafe_skipped),
	  "fail", 0, 0, "fail|skip" },
	{ "vss", "hooks-timeout", CONF_MSEC, AT(vss_hooks_timeout_ms), "30s",
	  100, 3600000, NULL },

	{ "vss-rules", "freeze", CONF_RULE, AT(vss_rules), NULL, 0, 0, NULL },
	{ "vss-rules", "sync-only", CONF_RULE, AT(vss_rules), NULL, 0, 0, NULL },
	{ "vss-rules", "skip", CONF_RULE, AT(vss_rules), NULL, 0, 0, NULL },
	{ "vss-rules", "veto", CONF_RULE, AT(vss_rules), NULL, 0, 0, NULL },
};

enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

static int parse_bool(bool *out, const char *v)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (unsigned i = 0; i < 4; i++) {
		if (!strcasecmp(v, yes[i]) || !strcasecmp(v, no[i])) {
			*out = !strcasecmp(v, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_msec(unsigned *out, const char *v, const struct conf_key *k)
{
	static const struct {
		const char *unit;
		unsigned ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "", 1000 },
		      { "min", 60000 } };
	unsigned long n;
	char *end;

	if (*v < '0' || *v > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(v, &end, 10);
	while (*end == ' ')
		end++;
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (errno || n > k->max / units[i].ms ||
		    n * units[i].ms < k->min)
			return -ERANGE;
		*out = (unsigned)n * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

static int parse_mode(unsigned *out, const char *v, const struct conf_key *k)
{
	unsigned long n;
	char *end;

	if (*v < '0' || *v > '7')
		return -EINVAL;
	n = strtoul(v, &end, 8);
	if (*end || n & ~(unsigned long)k->max)
		return -EINVAL;
	*out = (unsigned)n;
	return 0;
}

static int parse_int(unsigned *out, const char *v, const struct conf_key *k)
{
	unsigned long n;
	char *end;

	if (*v < '0' || *v > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(v, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || n < k->min || n > k->max)
		return -ERANGE;
	*out = (unsigned)n;
	return 0;
}

/* v is len bytes long. */
static int find_choice(unsigned *out, const char *v, size_t len,
		       const char *choices)
{
	unsigned i = 0;

	for (const char *c = choices; c; c = strchr(c, '|'), i++) {
		if (*c == '|')
			c++;
		if (!strncmp(c, v, len) && (c[len] == '|' || !c[len])) {
			*out = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_choice(unsigned *out, const char *v, const char *choices)
{
	return find_choice(out, v, strlen(v), choices);
}

static int parse_name(char *out, const char *v)
{
	if (strlen(v) >= CONF_NAME_MAX)
		return -ENAMETOOLONG;
	if (strpbrk(v, " \t/"))
		return -EINVAL;
	memcpy(out, v, strlen(v) + 1);
	return 0;
}

/* "type ntfs3": the pattern is all that follows the first word. */
static int parse_rule(struct conf_rules *rules, const char *action,
		      const char *v)
{
	struct conf_rule *r = &rules->rule[rules->n];
	size_t word = strcspn(v, " \t");
	const char *pattern = v + word + strspn(v + word, " \t");

	if (rules->n == CONF_RULES_MAX)
		return -ENOSPC;
	if (!*pattern || find_choice(&r->by, v, word, RULE_BY) < 0)
		return -EINVAL;
	if (strlen(pattern) >= CONF_PATTERN_MAX)
		return -ENAMETOOLONG;
	if (parse_choice(&r->action, action, RULE_ACTIONS) < 0)
		abort();		/* our own table is wrong */
	memcpy(r->pattern, pattern, strlen(pattern) + 1);
	rules->n++;
	return 0;
}

static int parse_path(char *out, const char *v, const struct conf_key *k)
{
	if (v[0] != '/' && (v[0] || k->dflt[0]))
		return -EINVAL;
	if (strlen(v) >= CONF_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(out, v, strlen(v) + 1);
	return 0;
}

static int parse_value(struct conf *c, const struct conf_key *k, const char *v)
{
	void *at = (char *)c + k->offset;

	switch (k->type) {
	case CONF_PATH:
		return parse_path(at, v, k);
	case CONF_NAME:
		return parse_name(at, v);
	case CONF_BOOL:
		return parse_bool(at, v);
	case CONF_INT:
		return parse_int(at, v, k);
	case CONF_MSEC:
		return parse_msec(at, v, k);
	case CONF_MODE:
		return parse_mode(at, v, k);
	case CONF_CHOICE:
		return parse_choice(at, v, k->choices);
	case CONF_RULE:
		return parse_rule(at, k->name, v);
	}
	return -EINVAL;
}

/* What a key takes, for an error message. */
static const char *expected(const struct conf_key *k, char *out, size_t cap)
{
	switch (k->type) {
	case CONF_PATH:
		snprintf(out, cap, "an absolute path under %d bytes",
			 CONF_PATH_MAX);
		break;
	case CONF_NAME:
		snprintf(out, cap, "a name under %d bytes", CONF_NAME_MAX);
		break;
	case CONF_BOOL:
		return "yes or no";
	case CONF_INT:
		snprintf(out, cap, "a number of %u to %u", k->min, k->max);
		break;
	case CONF_MSEC:
		snprintf(out, cap, "a time of %u to %u ms, like 500ms or 2s",
			 k->min, k->max);
		break;
	case CONF_MODE:
		snprintf(out, cap, "octal permissions within %04o", k->max);
		break;
	case CONF_CHOICE:
		snprintf(out, cap, "one of %s", k->choices);
		break;
	case CONF_RULE:
		snprintf(out, cap,
			 "one of %s and a pattern under %d bytes, %d rules at most",
			 RULE_BY, CONF_PATTERN_MAX, CONF_RULES_MAX);
		break;
	}
	return out;
}

void conf_defaults(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	for (unsigned i = 0; i < N_KEYS; i++)
		if (keys[i].dflt && parse_value(c, &keys[i], keys[i].dflt) < 0)
			abort();	/* our own table is wrong */
}

struct reading {
	struct conf *conf;
	char what[256];			/* the first error, without its place */
};

/* inih's handler: 1 fine, 0 an error on this line. */
static int on_setting(void *user, const char *section, const char *name,
		      const char *value)
{
	struct reading *r = user;
	bool section_known = false;
	char q[96], e[96];

	for (unsigned i = 0; i < N_KEYS; i++) {
		if (strcmp(keys[i].section, section) != 0)
			continue;
		section_known = true;
		if (strcmp(keys[i].name, name) != 0)
			continue;
		if (parse_value(r->conf, &keys[i], value) == 0)
			return 1;
		if (!r->what[0])
			snprintf(r->what, sizeof(r->what),
				 "%s = %s is not %s", name,
				 log_quote(q, sizeof(q), value, strlen(value)),
				 expected(&keys[i], e, sizeof(e)));
		return 0;
	}
	if (r->what[0])
		return 0;
	if (section_known)
		snprintf(r->what, sizeof(r->what), "unknown key %s in [%s]",
			 log_quote(q, sizeof(q), name, strlen(name)), section);
	else
		snprintf(r->what, sizeof(r->what), "unknown section %s",
			 log_quote(q, sizeof(q), section, strlen(section)));
	return 0;
}

/* optional: a file that is not there is fine. */
static int load_file(struct conf *c, const char *path, bool optional, char *err,
		     size_t err_cap)
{
	struct reading r = { .conf = c };
	FILE *f = fopen(path, "re");
	int line;

	if (!f) {
		int e = errno;

		if (optional && (e == ENOENT || e == ENOTDIR))
			return 0;
		snprintf(err, err_cap, "%s: %s", path, strerror(e));
		return -e;
	}
	line = ini_parse_file(f, on_setting, &r);
	fclose(f);
	if (!line)
		return 0;
	snprintf(err, err_cap, "%s:%d: %s", path, line,
		 r.what[0] ? r.what : "neither [section] nor key = value");
	return -EINVAL;
}

static int is_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 5 &&
	       !strcmp(e->d_name + n - 5, ".conf");
}

static int load_dir(struct conf *c, const char *dir, char *err, size_t err_cap)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_conf, alphasort), rc = 0;

	if (n < 0)
		return 0;		/* no such directory: nothing to add */
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];

		if (!rc && snprintf(path, sizeof(path), "%s/%s", dir,
				    names[i]->d_name) < (int)sizeof(path))
			rc = load_file(c, path, false, err, err_cap);
		free(names[i]);
	}
	free(names);
	return rc;
}

int conf_load(struct conf *c, const char *path, char *err, size_t err_cap)
{
	char dir[PATH_MAX];
	int rc;

	conf_defaults(c);
	rc = load_file(c, path ? path : CONF_FILE, !path, err, err_cap);
	if (rc < 0)
		return rc;
	snprintf(dir, sizeof(dir), "%s.d", path ? path : CONF_FILE);
	return load_dir(c, dir, err, err_cap);
}

int conf_path(char out[CONF_PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, CONF_PATH_MAX, "%s/%s", dir, name);

	return n >= CONF_PATH_MAX ? -ENAMETOOLONG : 0;
}

int conf_take_path(char dst[CONF_PATH_MAX], const char *path, bool absolute)
{
	if (!path)
		return 0;
	if (strlen(path) >= CONF_PATH_MAX)
		return -ENAMETOOLONG;
	if (absolute && path[0] != '/')
		return -EINVAL;
	strcpy(dst, path);
	return 0;
}
