/* kvp/kvp_devmsg.h - the message of the device file hv_kvp_dev, in its two
 * forms. Both have a 4-byte header {u8 operation, u8 pool, u16 pad} which in
 * answers is the u32 status, then the body at offset 4; they differ in size,
 * in how a daemon registers, and in nothing else.
 *
 *            bytes  registers with              the driver answers
 *   Linux     7432  operation 100 (or 4)        same operation, version at 4
 *   FreeBSD   7430  operation 4                 nothing
 *
 * Source: Linux include/uapi/linux/hyperv.h struct hv_kvp_msg (packed, padded
 * to 7432); FreeBSD hv_kvp.h. Offsets: doc/wire/kvp.md.
 */
#ifndef KVP_DEVMSG_H
#define KVP_DEVMSG_H

#include <stddef.h>

#include "kvp/kvp_msg.h"

enum kvp_form { KVP_FORM_LINUX, KVP_FORM_FREEBSD };

enum {
	KVP_DEVMSG_LINUX = 7432,	/* bytes */
	KVP_DEVMSG_FREEBSD = 7430,
	KVP_DEVMSG_MAX = KVP_DEVMSG_LINUX,
	KVP_OP_REGISTER = 4,		/* FreeBSD, and Linux' legacy form */
	KVP_OP_REGISTER1 = 100,		/* Linux, with IP support */
	KVP_VERSION_SIZE = 512,		/* the driver's version string */
};

/* Message length of a form in bytes. */
size_t kvp_devmsg_size(enum kvp_form form);

/* The driver's side ------------------------------------------------------ */

/* Is this a registration, and in which form? *op gets the operation to echo.
 * 0, or -EINVAL. */
int kvp_devmsg_get_register(enum kvp_form *form, uint8_t *op,
			    const void *buf, size_t len);
/* The Linux form's reply to a registration; version is cut to fit. */
void kvp_devmsg_put_version(uint8_t buf[KVP_DEVMSG_LINUX], uint8_t op,
			    const char *version);
/* A request for the daemon; fills kvp_devmsg_size(form) bytes. */
void kvp_devmsg_put_request(uint8_t buf[KVP_DEVMSG_MAX], enum kvp_form form,
			    const struct kvp_msg *m);
/* The daemon's answer to `request`. The answer does not say what it answers,
 * so op, pool and index are taken from the request. Accepts at least
 * kvp_devmsg_size(form) bytes. Legacy: with register operation 4 in the Linux
 * form an empty key in an ENUMERATE answer means "no more".
 * 0, or -EBADMSG: too short, a string unterminated or not UTF-8. */
int kvp_devmsg_get_answer(struct kvp_msg *answer, enum kvp_form form,
			  bool legacy, const struct kvp_msg *request,
			  const void *buf, size_t len);

/* The daemon's side ------------------------------------------------------ */

/* A registration; fills kvp_devmsg_size(form) bytes. */
void kvp_devmsg_put_register(uint8_t buf[KVP_DEVMSG_MAX], enum kvp_form form);
/* The Linux form's reply to it: the driver's version string. 0, or -EBADMSG. */
int kvp_devmsg_get_version(char version[KVP_VERSION_SIZE], const void *buf,
			   size_t len);
/* A request. Operation and pool are passed on whatever their value, with the
 * body empty for an unknown operation. 0, or -EBADMSG: wrong length, a size
 * field past its string, a string unterminated or not UTF-8; m then still has
 * op, pool and index, so that the daemon can refuse it. */
int kvp_devmsg_get_request(struct kvp_msg *m, enum kvp_form form,
			   const void *buf, size_t len);
/* The answer (m->status, and key/value/ip as the operation has it). */
void kvp_devmsg_put_answer(uint8_t buf[KVP_DEVMSG_MAX], enum kvp_form form,
			   const struct kvp_msg *m);

#endif
