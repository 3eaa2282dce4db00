/* vmbus/guid.h - the 16-byte identifiers of VMBus devices.
 *
 * On the wire and here: Windows byte order, the first three fields little
 * endian. As text: lower case, without braces; braces and any case are read.
 */
#ifndef VMBUS_GUID_H
#define VMBUS_GUID_H

#include <stdbool.h>
#include <stdint.h>

struct guid { uint8_t b[16]; };

enum { GUID_TEXT = 37 };	/* bytes of text, NUL included */

/* xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx into out[GUID_TEXT]; returns out. */
char *guid_text(char out[GUID_TEXT], const struct guid *g);
/* 0, or -EINVAL when text is not one GUID, with or without braces. */
int guid_parse(struct guid *g, const char *text);
bool guid_equal(const struct guid *a, const struct guid *b);

/* The service a class GUID stands for ("kvp", "vss", ...), NULL if unknown. */
const char *guid_service(const struct guid *class_id);

/* Source: Linux include/linux/hyperv.h, HV_*_GUID. */
extern const struct guid guid_class_kvp, guid_class_vss, guid_class_shutdown,
	guid_class_heartbeat, guid_class_timesync, guid_class_network;
extern const struct guid guid_instance_kvp;

#endif
