/* base/service.h - becoming a daemon, and saying so.
 *
 * In the background the process that was started waits until its child says
 * ready and then exits 0, or exits 1 when the child ends before: whoever
 * started the daemon knows whether it runs.
 */
#ifndef BASE_SERVICE_H
#define BASE_SERVICE_H

/* Go to the background. Call before threads, loops and descriptors exist.
 * 0 in the child; -errno when that is not possible. */
int service_background(void);

/* Initialised and serving: tell the waiting parent, and the service manager
 * where there is one (sd_notify's READY=1). */
void service_ready(void);

#endif
