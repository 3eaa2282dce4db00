/* vss/vss_devmsg.h - the messages on the VSS device files, in both forms.
 *
 *   record   FreeBSD's 64 bytes (hyperv/vss.h): hv_fsvss_dev, hv_appvss_dev
 *   Linux    hv_utils' 12 bytes, on hv_vss: operation or status, then flags;
 *            a daemon registers, and answers carry no id
 *
 * Both sides of the devices share this codec; foreign bytes are never laid
 * over a struct.
 */
#ifndef VSS_DEVMSG_H
#define VSS_DEVMSG_H

#include <stddef.h>
#include <stdint.h>

#include "hyperv/vss.h"

enum {
	VSS_RECORD_SIZE = 64,
	VSS_LINUX_SIZE = 12,
	VSS_LINUX_VERSION_SIZE = 4,	/* the driver's answer to REGISTER1 */
	VSS_LINUX_REGISTER = 128,	/* legacy: not answered */
	VSS_LINUX_REGISTER1 = 129,
};

enum vss_form { VSS_FORM_RECORD, VSS_FORM_LINUX };

/* 0; -EMSGSIZE not 64 bytes long. Nothing else is judged. */
int vss_record_get(struct hv_vss_record *r, const void *buf, size_t len);
void vss_record_put(uint8_t buf[VSS_RECORD_SIZE], const struct hv_vss_record *r);

/* The reserved bytes. Text is read NUL-terminated whatever is in there, with
 * bytes that are not UTF-8 or not printable replaced by '?'; it is written
 * cut at a character. */
void vss_text_get(char *out, const void *field, size_t cap);	/* up to cap - 1 */
void vss_record_text(char out[48], const struct hv_vss_record *r);
void vss_record_set_text(struct hv_vss_record *r, const char *text);
void vss_record_budget(const struct hv_vss_record *r, uint32_t *answer_ms,
		       uint32_t *frozen_ms);
void vss_record_set_budget(struct hv_vss_record *r, uint32_t answer_ms,
			   uint32_t frozen_ms);
/* NOTE: phase, duration, the part's name. */
void vss_record_note(const struct hv_vss_record *r, uint32_t *phase,
		     uint32_t *took_ms, char part[40]);
void vss_record_set_note(struct hv_vss_record *r, uint32_t phase,
			 uint32_t took_ms, const char *part);

/* Linux form. opt is CHECK, FREEZE or THAW (ABORT becomes THAW). */
void vss_linux_put_request(uint8_t buf[VSS_LINUX_SIZE], unsigned opt);
/* 0 and the status (HV_S_OK ...); -EMSGSIZE. */
int vss_linux_get_answer(uint32_t *status, const void *buf, size_t len);
/* 0 and REGISTER or REGISTER1; -EMSGSIZE; -EINVAL no registration. */
int vss_linux_get_register(uint8_t *op, const void *buf, size_t len);
void vss_linux_put_version(uint8_t buf[VSS_LINUX_VERSION_SIZE]);

#endif
