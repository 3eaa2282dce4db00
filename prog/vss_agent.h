/* prog/vss_agent.h - the common main() of programs that take part in backups:
 * options, settings, log, background, a control socket, the driver's device,
 * ready, serve until SIGTERM, release what is held, end.
 */
#ifndef VSS_AGENT_H
#define VSS_AGENT_H

#include <hyperv/vss.h>
#include <jansson.h>
#include <stdbool.h>

#include "app/client.h"
#include "base/conf.h"
#include "base/loop.h"
#include "base/options.h"

struct vss_db;

struct vss_agent {
	const struct vss_agent_def *def;
	struct conf conf;
	struct loop *loop;
	struct client *client;
	const char *name;		/* of this instance, in histories */
	void *own;			/* the program's */
	struct vss_db *db;		/* of vss_db.h; NULL: none */
};

struct vss_agent_def {
	const char *program, *summary;
	const struct option_def *options;	/* beside the common ones */
	bool keeps_rights;		/* no sandbox: it runs others' programs */
	/* After the options were read and before the background: 0, or an
	 * exit code; what is wrong was logged. May be NULL. */
	int (*configure)(struct vss_agent *a);
	/* On the loop, before the device is opened: 0, or -errno, logged. */
	int (*start)(struct vss_agent *a);
	void (*asked)(struct vss_agent *a, const struct hv_vss_record *q);
	/* Release what is held; busy() says how long that takes. */
	void (*release)(struct vss_agent *a);
	bool (*busy)(struct vss_agent *a);
	void (*stop)(struct vss_agent *a);
	json_t *(*status)(struct vss_agent *a);	/* members, or NULL */
};

int vss_agent_main(const struct vss_agent_def *def, void *own, int argc,
		   char **argv);

/* Run fn in a child process that is given ten seconds, and do not wait: for
 * the blocking call that ends another one which hangs. */
void vss_agent_aside(void (*fn)(void *arg), void *arg);

#endif
