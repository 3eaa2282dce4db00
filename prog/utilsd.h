/* prog/utilsd.h - the parts of hv_utilsd and what they know of each other.
 *
 *   hv_utilsd.c     options, order of start and end, control socket
 *   utilsd_bus.c    channels that the host offers, each led to its driver
 *   utilsd_kvp.c    KVP: the driver and hv_kvp_dev
 *   utilsd_vss.c    VSS: the driver, hv_fsvss_dev, hv_vss and hv_appvss_dev
 *
 * A service is a driver together with its device files. It knows nothing of
 * channels; the bus knows of a service no more than its type and its ic.
 */
#ifndef PROG_UTILSD_H
#define PROG_UTILSD_H

#include <jansson.h>

#include "base/conf.h"
#include "base/ctl.h"
#include "base/loop.h"
#include "endpoint/dev.h"
#include "ic/ic.h"

struct utilsd_service {
	const char *name;		/* for people, and in the status */
	enum hv_ic_type type;		/* picks the row of ic_services.c */
	/* 0, or -errno and a text for the operator: the settings contradict
	 * each other. May be NULL. */
	int (*check)(const struct conf *conf, char *err, size_t err_cap);
	/* 0 and *state, to be stopped whatever is returned; -errno, logged. */
	int (*start)(void **state, struct loop *l, const struct conf *conf);
	void (*stop)(void *state);	/* NULL is fine */
	struct ic *(*ic)(void *state);
	/* Members of the status; the channel's are given. */
	json_t *(*status)(void *state, json_t *channel);
};

extern const struct utilsd_service utilsd_kvp, utilsd_vss;

/* The control socket's vss-backups and vss-watch, given the service's state. */
json_t *utilsd_vss_backups(void *state);
json_t *utilsd_vss_watch(void *state, struct ctl_conn *conn);

/* Channels ----------------------------------------------------------------- */

enum { UTILSD_SERVICES_MAX = 8 };

struct utilsd_bus;

/* NULL when out of memory. */
struct utilsd_bus *utilsd_bus_new(struct loop *l);
void utilsd_bus_free(struct utilsd_bus *b);		/* NULL is fine */
/* Before the start: lead channels of this service's type to ic. */
void utilsd_bus_serve(struct utilsd_bus *b, const struct utilsd_service *s,
		      struct ic *ic);
int utilsd_bus_start(struct utilsd_bus *b, const char *host_path);

/* {host, vmbus, vmbus_version}, and of one service {channel, framework,
 * version, negotiation_held, negotiations}. */
json_t *utilsd_bus_status(const struct utilsd_bus *b);
json_t *utilsd_bus_channel(const struct utilsd_bus *b,
			   const struct utilsd_service *s);

/* Device files ------------------------------------------------------------- */

/* RUN_DIR/dev/NAME; cfg->path is filled in. 0; -errno, logged. */
int utilsd_dev_open(struct dev **d, struct loop *l, const struct conf *conf,
		    const char *name, struct dev_cfg cfg,
		    const struct dev_ops *ops, void *arg);
/* RUN_DIR/NAME. 0; -ENAMETOOLONG, logged. */
int utilsd_path(const struct conf *conf, char path[CONF_PATH_MAX],
		const char *name);

#endif
