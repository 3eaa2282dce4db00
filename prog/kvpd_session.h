/* prog/kvpd_session.h - joins kvp/kvpd.h to a driver's device file, which
 * prog/dev_session.h waits for: registers and answers.
 */
#ifndef PROG_KVPD_SESSION_H
#define PROG_KVPD_SESSION_H

#include "base/loop.h"
#include "kvp/kvp_devmsg.h"
#include "kvp/kvpd.h"
#include "dev_session.h"

struct kvpd_session;

struct kvpd_session_cfg {
	/* Tried in this order; the first that can be opened is used. They
	 * must outlive the session. */
	const char *devices[DEV_SESSION_DEVICES];
	unsigned n_devices;
	enum kvp_form form;
};

struct kvpd_session_info {
	const char *device;	/* NULL: none is open */
	bool registered;	/* the driver has answered, or asked something */
	const char *version;	/* of the driver, "" if it does not say */
	uint64_t opened;	/* times that a device was opened */
	uint64_t malformed;	/* messages that were none */
};

/* NULL with errno set. */
struct kvpd_session *kvpd_session_new(struct loop *l,
				      const struct kvpd_session_cfg *cfg,
				      struct kvpd *d);
void kvpd_session_free(struct kvpd_session *s);		/* NULL is fine */
void kvpd_session_info_get(const struct kvpd_session *s,
			   struct kvpd_session_info *info);

#endif
