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

enum { CONF_PATH_MAX = 108 };	/* what a Unix socket's address holds */

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
};

void conf_defaults(struct conf *c);

/* Defaults, then the files. path NULL: CONF_FILE. 0, or -errno and a text for
 * the operator in err: "FILE:LINE: what is wrong". */
int conf_load(struct conf *c, const char *path, char *err, size_t err_cap);

/* dir/name into out; -ENAMETOOLONG when it does not fit in a socket address. */
int conf_path(char out[CONF_PATH_MAX], const char *dir, const char *name);

#endif
