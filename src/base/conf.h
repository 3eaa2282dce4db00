/* base/conf.h - the settings of all programs: /etc/hyperv/hvtools.conf, then
 * every file of hvtools.conf.d beside it in the order of their names; later ones win.
 *
 * One table in conf.c says each key's section, type, range and default;
 * hvtools.conf(5) and the installed example follow it. A key, section or value
 * that the table does not know is an error with file and line. No file at all
 * is fine.
 */
#ifndef BASE_CONF_H
#define BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>

/* /etc/hyperv/hvtools.conf, unless the build's sysconfdir is another. */
#define CONF_FILE	HV_SYSCONFDIR "/hyperv/hvtools.conf"

enum {
	CONF_PATH_MAX = 108,	/* what a Unix socket's address holds */
	CONF_NAME_MAX = 33,	/* what Linux allows a group's name */
	CONF_PATTERN_MAX = 128,	/* inih's lines end at 200 */
	CONF_RULES_MAX = 64,
};

/* One line of [vss-rules], "ACTION = BY PATTERN". The numbers are the order of
 * the words in conf.c, which is that of the enums in vss/plan.h. */
struct conf_rule {
	unsigned action;		/* freeze, sync-only, skip, veto */
	unsigned by;			/* path, type, source */
	char pattern[CONF_PATTERN_MAX];
};

/* In the order of the files and their lines: the first that fits decides. */
struct conf_rules {
	struct conf_rule rule[CONF_RULES_MAX];
	unsigned n;
};

struct conf {
	char run_dir[CONF_PATH_MAX];	/* sockets and device nodes */
	char state_dir[CONF_PATH_MAX];	/* pool files */
	char vmbus_host[CONF_PATH_MAX];	/* the simulated host's socket */
	unsigned log_level;		/* enum log_level */

	unsigned kvp_timeout_ms;	/* for the daemon's answer */
	unsigned kvp_set_ip_timeout_ms;
	unsigned kvp_negotiation_hold_ms;
	unsigned kvp_device_mode;	/* of hv_kvp_dev */
	bool kvp_sync;			/* changes survive power loss */
	unsigned kvp_lock_timeout_ms;	/* for other users of a pool file */
	unsigned kvp_external_mode;	/* of pool 0's file */
	unsigned kvp_pool_mode;		/* of the others' */
	unsigned kvp_link_local;	/* addresses: 0 never, 1 if alone, 2 all */
	bool kvp_virtual_interfaces;	/* report bridges and containers too */

	/* VSS: what each step of a backup may take, of applications (app) and
	 * of the file-system daemon (fs); vss/vss.h says how they add up. */
	unsigned vss_check_app_ms, vss_check_fs_ms;
	unsigned vss_freeze_app_ms, vss_freeze_fs_ms;
	unsigned vss_frozen_ms;		/* the frozen window */
	unsigned vss_thaw_fs_ms, vss_thaw_app_ms;
	unsigned vss_host_freeze_ms;	/* the host's patience for FREEZE, */
	unsigned vss_host_other_ms;	/* ... and for all else */
	unsigned vss_negotiation_hold_ms;
	unsigned vss_max_apps;
	unsigned vss_silent_app_fails;	/* no answer in time; 0 or 1 */
	unsigned vss_dead_app_fails;	/* gone while it held; 0 or 1 */
	unsigned vss_device_mode;	/* of hv_fsvss_dev and hv_vss */
	unsigned vss_app_device_mode;	/* of hv_appvss_dev */
	char vss_app_device_group[CONF_NAME_MAX];	/* "": as it comes */
	unsigned vss_history_size;	/* records kept in the file */
	char vss_metrics_file[CONF_PATH_MAX];	/* "": in run_dir */
	char vss_hooks_dir[CONF_PATH_MAX];
	/* "": qemu-ga.d and open-vm-tools.d in vss_hooks_dir */
	char vss_hooks_qemu_ga_dir[CONF_PATH_MAX];
	char vss_hooks_open_vm_tools_dir[CONF_PATH_MAX];
	unsigned vss_hooks_unsafe_skipped;	/* 0 or 1 */
	unsigned vss_hooks_timeout_ms;	/* of one hook in one phase */
	struct conf_rules vss_rules;
};

void conf_defaults(struct conf *c);

/* Defaults, then the files. path NULL: CONF_FILE. 0, or -errno and a text for
 * the operator in err: "FILE:LINE: what is wrong". */
int conf_load(struct conf *c, const char *path, char *err, size_t err_cap);

/* dir/name into out; -ENAMETOOLONG when it does not fit in a socket address. */
int conf_path(char out[CONF_PATH_MAX], const char *dir, const char *name);

/* A path of the command line, if there is one (NULL leaves dst alone), in place
 * of a setting. absolute: it has to be, as for who goes to the background and
 * is in / then. 0; -ENAMETOOLONG; -EINVAL not absolute. */
int conf_take_path(char dst[CONF_PATH_MAX], const char *path, bool absolute);

#endif
