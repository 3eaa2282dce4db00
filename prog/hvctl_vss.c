/* prog/hvctl_vss.c - backups: what the next one would do. */
#include <errno.h>
#include <string.h>

#include "base/ctl.h"
#include "hvctl_vss.h"
#include "plan_table.h"

enum { ANSWER_MS = 10000 };

static int not_reached(int r)
{
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		return hvctl_fail(HVCTL_UNREACHABLE,
				  "hv_vss_daemon is not running: until it does, the host's backups are not consistent\n"
				  "hvctl: hv_vss_daemon --plan shows the plan without it");
	case -EACCES:
		return hvctl_fail(HVCTL_REFUSED,
				  "no permission to ask hv_vss_daemon");
	case -ETIMEDOUT:
		return hvctl_fail(HVCTL_UNREACHABLE,
				  "hv_vss_daemon does not answer; it says nothing while file systems are frozen");
	default:
		return hvctl_fail(HVCTL_UNREACHABLE, "hv_vss_daemon: %s",
				  strerror(-r));
	}
}

static int vss_plan(struct hvctl *c, int argc, char **argv)
{
	char path[CONF_PATH_MAX];
	json_t *reply = NULL;
	int r = conf_path(path, c->conf.run_dir, "hv_vss_daemon.ctl");

	(void)argc;
	(void)argv;
	if (!r)
		r = ctl_call(path, json_pack("{s:s}", "cmd", "plan"),
			     ANSWER_MS, &reply);
	if (r < 0)
		return not_reached(r);
	if (!json_object_get(reply, "file_systems")) {
		const char *why = json_string_value(json_object_get(reply,
								    "error"));

		r = hvctl_fail(HVCTL_IO, "hv_vss_daemon: %s",
			       why ? hvctl_show(why) : "no plan in its answer");
		json_decref(reply);
		return r;
	}
	json_object_del(reply, "ok");
	return plan_table_print(reply, c->json);
}

const struct hvctl_command hvctl_vss_commands[] = {
	{ "vss plan", "", "what a backup would do, and why", 0, 0, vss_plan },
	{ "vss status", "", "who takes part, and how the last backup went", 0, 0,
	  hvctl_vss_status },
	{ "vss history", "[N]", "the last backups, 20 or N", 0, 1,
	  hvctl_vss_history },
	{ "vss last", "[ID]", "who did what when in the last backup, or in ID",
	  0, 1, hvctl_vss_last },
	{ "vss hold", "[-- COMMAND]", "hold something still in backups", 0, -1,
	  hvctl_vss_hold },
	{ 0 },
};
