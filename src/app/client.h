/* app/client.h - an application's session with the VSS driver, on a loop:
 * opens hv_appvss_dev as soon as there is one, opens it again after the driver
 * went away, and hands over each question.
 *
 * A driver that goes away while a FREEZE has no end yet is an ABORT to the
 * owner, whose answer then goes nowhere.
 */
#ifndef APP_CLIENT_H
#define APP_CLIENT_H

#include <hyperv/vss.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct client;

struct client_cfg {
	const char *name;	/* that histories show */
	const char *device;	/* NULL: /dev/hv_appvss_dev, or the socket */
	const char *run_dir;	/* ... below this */
};

/* asked() gets each question. It is answered by client_answer(), at once or
 * later; a THAW or ABORT that comes in between takes its place. Strings are
 * copied. NULL with errno set. */
struct client *client_new(struct loop *l, const struct client_cfg *cfg,
			  void (*asked)(void *arg,
					const struct hv_vss_record *q),
			  void *arg);
void client_free(struct client *c);		/* NULL is fine */

/* As hv_vss_answer() and hv_vss_note(). What cannot be delivered is dropped:
 * the driver knows best whom it misses, and this is no time for a log. */
void client_answer(struct client *c, const struct hv_vss_record *q, int status,
		   const char *why);
void client_note(struct client *c, const struct hv_vss_record *q,
		 const char *part, int status, uint32_t took_ms);

/* Close the device, as if we had died, and open it again. For an application
 * that lost its hold: nothing is handed over for that. */
void client_reset(struct client *c);

bool client_connected(const struct client *c);

#endif
