/* prog/vss_db.h - hold a database server still over a freeze, through a
 * session that stays open from FREEZE to its end.
 *
 *   DOWN      no session
 *   WORKING   connecting, or statements under way; a timer runs
 *   HELD      all statements of FREEZE are done; the session is watched
 *
 * A session is opened for each CHECK and each FREEZE. Whatever goes wrong, the
 * session is closed, and with it goes all that it held. Nothing here waits for
 * the server, so that an end is heard while a statement hangs.
 *
 * A server that ends the session while it holds ends our part in the backup:
 * the driver's device is closed, and the driver decides by its policy.
 */
#ifndef VSS_DB_H
#define VSS_DB_H

#include <stdbool.h>
#include <stddef.h>

#include "vss_agent.h"

enum { VSS_DB_STEPS = 8 };

struct vss_db_step {
	const char *name;	/* for the history */
	char sql[256];
};

/* A server's protocol. No call blocks. be is the backend's own. */
struct vss_db_backend {
	const char *server;			/* "PostgreSQL" */
	int (*connect)(void *be);		/* begin: 0, or -EIO */
	int (*send)(void *be, const char *sql);	/* begin: 0, or -EIO */
	/* Go on with what was begun; ready, *want: LOOP_READ, LOOP_WRITE.
	 * 1 done; 0 wait; -EIO failed. */
	int (*go_on)(void *be, unsigned ready, unsigned *want);
	int (*fd)(void *be);
	const char *(*error)(void *be);
	/* The server shall end the statement under way. */
	void (*cancel)(void *be);
	void (*close)(void *be);		/* also when not open */
	/* What to do; called with a session. How many steps. */
	size_t (*steps)(void *be, unsigned opt, unsigned ms,
			struct vss_db_step step[VSS_DB_STEPS]);
	/* After the steps of a CHECK or FREEZE: 0, or -EPERM and why. */
	int (*judge)(void *be, unsigned opt, char why[128]);
};

/* Begin, on the agent's loop; be is handed to the backend's calls. 0, or
 * -ENOMEM, logged. */
int vss_db_start(struct vss_agent *a, const struct vss_db_backend *b, void *be);

/* The other calls of struct vss_agent_def, ready to be its members. */
void vss_db_asked(struct vss_agent *a, const struct hv_vss_record *q);
void vss_db_release(struct vss_agent *a);
bool vss_db_busy(struct vss_agent *a);
void vss_db_stop(struct vss_agent *a);		/* also when not started */
json_t *vss_db_status(struct vss_agent *a);

#endif
