/* prog/dev_session.h - a daemon's connection to its driver's device file:
 * waits for it, opens it, and starts over when it goes away.
 *
 * While the driver is not there nothing runs: its coming is seen by inotify.
 * A driver that can be seen and not used (another daemon has it, it hangs up
 * on us) is tried again after a time that doubles up to half a minute.
 */
#ifndef PROG_DEV_SESSION_H
#define PROG_DEV_SESSION_H

#include <stdint.h>

#include "base/loop.h"
#include "endpoint/devc.h"

enum { DEV_SESSION_DEVICES = 3 };

struct dev_session;

struct dev_session_cfg {
	/* Tried in this order; the first that can be opened is used. They
	 * must outlive the session. */
	const char *devices[DEV_SESSION_DEVICES];
	unsigned n_devices;
	/* A device was opened: register with it. 0, or -errno: it is of no
	 * use. */
	int (*opened)(void *arg, struct devc *dev);
	/* There is something to receive. */
	void (*readable)(void *arg, struct devc *dev);
	/* It was closed; dev_session_lost() had the reason. */
	void (*closed)(void *arg);
	void *arg;
};

/* NULL with errno set. Opens nothing yet: dev_session_start(). */
struct dev_session *dev_session_new(struct loop *l,
				    const struct dev_session_cfg *cfg);
void dev_session_free(struct dev_session *s);		/* NULL is fine */
void dev_session_start(struct dev_session *s);

/* The open device, NULL: none; its path, NULL: none. */
struct devc *dev_session_dev(struct dev_session *s);
const char *dev_session_path(const struct dev_session *s);
uint64_t dev_session_opened(const struct dev_session *s);

/* The driver is of no use any more; doing is for the log. */
void dev_session_lost(struct dev_session *s, const char *doing, int err);
/* It works: the next pauses are short again. heard: it has said something. */
void dev_session_heard(struct dev_session *s);
void dev_session_works(struct dev_session *s);

/* Paused, a driver that is lost is not waited for or opened, which looks up
 * paths and allocates; going on does that then. */
void dev_session_pause(struct dev_session *s, bool paused);

#endif
