/* lagg/link_slot_linux.h - the host's number for a PCI device.
 *
 * The host numbers the PCI devices that it gives to a guest, and announces a VF
 * by that number; the kernel's driver names the device's slot by it.
 */
#ifndef LAGG_LINK_SLOT_LINUX_H
#define LAGG_LINK_SLOT_LINUX_H

#include <stdbool.h>
#include <stdint.h>

#define LINK_SLOTS "/sys/bus/pci/slots"

/* Of a device as "0001:00:02.0", by a directory like LINK_SLOTS. false: it has
 * no slot, or one that has another kind of name; *serial is 0. */
bool link_slot_serial(const char *slots, const char *device, uint32_t *serial);

#endif
