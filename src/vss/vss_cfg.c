/* vss/vss_cfg.c - the driver's settings against the host's patience, and the
 * names of what people are shown. */
#include "vss/vss.h"

#include <errno.h>
#include <stdio.h>

/* What we may need must be less than what the host waits. Settings are named
 * as in hvtools.conf(5). */
static int below(unsigned long sum_ms, const char *ours, unsigned host_ms,
		 const char *hosts, char *err, size_t err_cap)
{
	if (sum_ms < host_ms)
		return 0;
	snprintf(err, err_cap,
		 "%s make %lu.%03lu s; that must be less than %s, %u.%03u s",
		 ours, sum_ms / 1000, sum_ms % 1000, hosts, host_ms / 1000,
		 host_ms % 1000);
	return -ERANGE;
}

int vss_cfg_check(const struct vss_cfg *c, char *err, size_t err_cap)
{
	int bad = below((unsigned long)c->check_app_ms + c->check_fs_ms,
			"check-application-timeout and check-timeout",
			c->host_other_ms, "host-limit", err, err_cap);

	/* A freeze that fails late is rolled back before the host is told. */
	if (!bad)
		bad = below((unsigned long)c->freeze_app_ms + c->freeze_fs_ms +
				c->thaw_fs_ms,
			    "freeze-application-timeout, freeze-timeout and thaw-timeout",
			    c->host_freeze_ms, "host-freeze-limit", err,
			    err_cap);
	if (!bad)
		bad = below((unsigned long)c->thaw_fs_ms + c->thaw_app_ms,
			    "thaw-timeout and thaw-application-timeout",
			    c->host_other_ms, "host-limit", err, err_cap);
	return bad;
}

const char *vss_state_name(enum vss_state s)
{
	static const char *const names[VSS_N_STATES] = {
		[VSS_IDLE] = "idle",
		[VSS_CHECK_APPS] = "asking applications",
		[VSS_CHECK_FS] = "asking the daemon",
		[VSS_FREEZE_APPS] = "applications flush",
		[VSS_FREEZE_FS] = "file systems freeze",
		[VSS_FROZEN] = "frozen",
		[VSS_THAW_FS] = "file systems thaw",
		[VSS_THAW_APPS] = "applications go on",
		[VSS_ABORT_FS] = "giving up",
		[VSS_BREAK_FS] = "giving up, frozen",
		[VSS_BROKEN] = "given up",
	};

	return s < VSS_N_STATES ? names[s] : "unknown";
}

const char *vss_event_name(enum vss_event_kind e)
{
	static const char *const names[VSS_N_EVENTS] = {
		[VSS_EV_CHECK] = "check", [VSS_EV_FREEZE] = "freeze",
		[VSS_EV_THAW] = "thaw", [VSS_EV_NOBODY] = "nobody",
		[VSS_EV_APPS_OK] = "applications yes",
		[VSS_EV_APPS_NO] = "applications no",
		[VSS_EV_FS_OK] = "file systems yes",
		[VSS_EV_FS_NO] = "file systems no",
		[VSS_EV_FS_GONE] = "daemon gone", [VSS_EV_LATE] = "late",
		[VSS_EV_WINDOW] = "window over", [VSS_EV_CANCEL] = "cancel",
		[VSS_EV_RESET] = "reset",
	};

	return e < VSS_N_EVENTS ? names[e] : "unknown";
}

const char *vss_outcome_name(enum vss_outcome o)
{
	switch (o) {
	case VSS_YES:
		return "yes";
	case VSS_NO:
		return "no";
	case VSS_SILENT:
		return "silent";
	case VSS_GONE:
		return "gone";
	case VSS_UNREACHED:
		return "unreached";
	}
	return "unknown";
}

const char *vss_result_name(enum vss_result r)
{
	switch (r) {
	case VSS_CHECKED:
		return "checked";
	case VSS_APP_CONSISTENT:
		return "application";
	case VSS_FS_CONSISTENT:
		return "file-system";
	case VSS_FAILED:
		return "failed";
	}
	return "unknown";
}
