/* vss/vss.h - the VSS driver: leads the host's backup through the guest.
 *
 *   host -> ic -> vss -> applications (hv_appvss_dev), then
 *                     -> the file-system daemon (hv_fsvss_dev)
 *   and back in reverse: the daemon thaws first, then the applications
 *
 * CHECK and FREEZE go to the applications first, THAW to the file systems
 * first. The host gets one answer to each request, in bounded time. Whoever
 * was told to freeze is told how it ended, once: THAW when the host thawed
 * what was frozen, ABORT in every other case. The rows of vss/vss_fsm.def are
 * the whole of it.
 *
 * The driver knows its clients as functions to send with; who listens where
 * is prog/hv_utilsd.c's business. What happened is told to an observer, from
 * which vss/vss_backup.h builds the record of each backup.
 */
#ifndef VSS_H
#define VSS_H

#include <sys/types.h>

#include "base/loop.h"
#include "ic/ic.h"
#include "vss/vss_devmsg.h"
#include "vss/vss_wire.h"

struct vss;
struct vss_app;

enum vss_state {
	VSS_IDLE, VSS_CHECK_APPS, VSS_CHECK_FS, VSS_FREEZE_APPS, VSS_FREEZE_FS,
	VSS_FROZEN, VSS_THAW_FS, VSS_THAW_APPS, VSS_ABORT_FS, VSS_BREAK_FS,
	VSS_BROKEN,
	VSS_N_STATES
};

enum vss_event_kind {
	VSS_EV_CHECK, VSS_EV_FREEZE, VSS_EV_THAW, VSS_EV_NOBODY,
	VSS_EV_APPS_OK, VSS_EV_APPS_NO, VSS_EV_FS_OK, VSS_EV_FS_NO,
	VSS_EV_FS_GONE, VSS_EV_LATE, VSS_EV_WINDOW, VSS_EV_CANCEL,
	VSS_EV_RESET,
	VSS_N_EVENTS
};

/* Milliseconds. The sums that must stay below the host's patience are checked
 * by vss_cfg_check(). */
struct vss_cfg {
	unsigned check_app_ms, check_fs_ms;
	unsigned freeze_app_ms;		/* to flush and hold */
	unsigned freeze_fs_ms;		/* to flush and freeze */
	unsigned frozen_ms;		/* the window */
	unsigned thaw_fs_ms, thaw_app_ms;
	unsigned host_freeze_ms;	/* the host's own limits: FREEZE, */
	unsigned host_other_ms;		/* ... and all else */
	unsigned max_apps;
	bool silent_app_fails;		/* policies: no answer in time; */
	bool dead_app_fails;		/* ... gone after it was told FREEZE */
	unsigned hold_ms;		/* negotiation waits for the daemon */
};

/* 0, or -ERANGE with a text for the operator that names both numbers:
 * applications + file systems (+ rolling back) < the host's limit, for check,
 * freeze and thaw each. */
int vss_cfg_check(const struct vss_cfg *cfg, char *err, size_t err_cap);

/* A client's end of its device file. */
struct vss_peer {
	/* 0; -EAGAIN it does not read; -EPIPE it is gone. */
	int (*send)(void *arg, const void *buf, size_t len);
	void *arg;
	pid_t pid;			/* 0: not known */
	uid_t uid;
	char name[48];			/* until it says HELLO; its program */
};

/* What the observer is told, as it happens, in order. Strings are valid
 * during the call. Do not call back into the driver. */
enum vss_happening {
	VSS_HOST_ASKED,		/* op; a backup may begin here */
	VSS_HOST_TOLD,		/* op, status, why */
	VSS_ASKED,		/* party: opt */
	VSS_ANSWERED,		/* party: opt, outcome, why, took_ms */
	VSS_NOTED,		/* party: opt (phase), part, outcome, took_ms */
	VSS_ENDED,		/* the backup or check in hand is over: result */
};

enum vss_outcome {
	VSS_YES, VSS_NO,	/* what it said */
	VSS_SILENT,		/* nothing in time */
	VSS_GONE,		/* it closed, or died */
	VSS_UNREACHED,		/* it could not be asked */
};

enum vss_result {
	VSS_CHECKED,		/* asked only whether it could */
	VSS_APP_CONSISTENT,	/* every application held */
	VSS_FS_CONSISTENT,	/* none was there, or one was let pass */
	VSS_FAILED,
};

struct vss_event {
	enum vss_happening what;
	uint64_t at_ms;			/* the loop's clock */
	uint64_t msgid;			/* of the question in hand */
	unsigned op;			/* enum vss_op */
	unsigned opt;			/* enum hv_vss_opt */
	uint32_t status;		/* HV_S_OK ... */
	const struct vss_peer *party;	/* NULL: the host */
	uint64_t party_id;		/* unlike any other since start; 0: the daemon */
	enum vss_outcome outcome;
	enum vss_result result;
	uint64_t took_ms;
	const char *why;		/* "" where nothing is to be said */
	const char *part;
};

struct vss_stats {
	uint64_t requests[VSS_N_OPS + 1];	/* last: unknown */
	uint64_t refused;		/* the host's fault: malformed, unknown */
	uint64_t no_daemon;
	uint64_t app_ok, app_fs, app_failed;	/* backups, by result */
	uint64_t stale;			/* answers that came too late */
	uint64_t malformed;		/* clients' messages of no use */
	uint64_t window;		/* the host never thawed */
};

/* observe may be NULL. NULL when out of memory. */
struct vss *vss_new(struct loop *l, const struct vss_cfg *cfg,
		    void (*observe)(void *arg, const struct vss_event *e),
		    void *arg);
void vss_free(struct vss *v);			/* NULL is fine */
struct ic *vss_ic(struct vss *v);

/* The file-system daemon. Record form: opening registers; Linux form: its
 * registration does. 0; -EBUSY there is one already. */
int vss_daemon_open(struct vss *v, const struct vss_peer *p,
		    enum vss_form form);
/* -EINVAL (no record, no registration) or -EPIPE: close it; the driver has
 * forgotten it already. */
int vss_daemon_message(struct vss *v, const void *buf, size_t len);
void vss_daemon_gone(struct vss *v);

/* Applications, any number up to max_apps. 0; -EUSERS too many; -ENOMEM. An
 * application is asked from the next CHECK or FREEZE on, and told the end of
 * what it was told the beginning of. */
int vss_app_open(struct vss *v, const struct vss_peer *p, struct vss_app **app);
/* -EINVAL: close it; the driver has forgotten it already. -ESTALE: an answer
 * to no question; the client may stay. */
int vss_app_message(struct vss_app *app, const void *buf, size_t len);
void vss_app_gone(struct vss_app *app);

enum vss_state vss_state_get(const struct vss *v);
const char *vss_state_name(enum vss_state s);
const char *vss_event_name(enum vss_event_kind e);
const char *vss_outcome_name(enum vss_outcome o);	/* "yes" ... */
const char *vss_result_name(enum vss_result r);	/* "application" ... */
/* The registered daemon, or NULL; the i-th application, or NULL. */
const struct vss_peer *vss_daemon_peer(const struct vss *v);
const struct vss_peer *vss_app_peer(const struct vss *v, unsigned i);
/* Is something frozen, or may it still be? Then nobody should write to a file
 * system, a log for instance. */
bool vss_may_be_frozen(const struct vss *v);
void vss_stats_get(const struct vss *v, struct vss_stats *s);

#endif
