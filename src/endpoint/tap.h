/* endpoint/tap.h - a network interface of the guest whose other side is a
 * descriptor of ours: what the stack sends is read here, what is written here
 * the stack receives. Each frame has a virtio-net header of 10 bytes, little
 * endian, in front of it.
 *
 * The interface is known by its descriptor and not by its name, which others
 * may change. Needs CAP_NET_ADMIN. No thread, no allocation a frame.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/loop.h"

struct tap;

enum { TAP_NAME_MAX = 16, TAP_HDR = 10 };

/* Make the interface, or take one of that name that is there and that nobody
 * has open. NULL with errno set: EBUSY somebody has; EINVAL it is something
 * else, or no name for an interface; EPERM. */
struct tap *tap_open(const char *name);
/* One that somebody else opened and handed over: the descriptor becomes ours,
 * also when this fails. NULL with errno set: EINVAL it is no such interface. */
struct tap *tap_adopt(int fd);
/* It goes with its last descriptor, unless it is persistent. */
void tap_free(struct tap *t);			/* NULL is fine */

int tap_fd(const struct tap *t);		/* to hand over a copy of it */
/* Its name and index now. 0 or -errno. */
int tap_name(const struct tap *t, char name[TAP_NAME_MAX]);
int tap_ifindex(const struct tap *t);

/* Each 0 or -errno. */
int tap_set_persistent(struct tap *t, bool on);
int tap_set_mac(struct tap *t, const uint8_t mac[6]);
int tap_get_mac(const struct tap *t, uint8_t mac[6]);
int tap_set_mtu(struct tap *t, uint32_t mtu);
int tap_set_up(struct tap *t, bool up);
/* Also while the interface is down. */
int tap_set_carrier(struct tap *t, bool on);
/* Leave sums to us, and segments of TCP. */
int tap_set_offloads(struct tap *t, bool checksum, bool tso4, bool tso6);

/* One frame: its length with the header; -EAGAIN there is none, or no room
 * for one (lost then: the stack drops, as a NIC does); -EIO the interface is
 * down; -errno. */
ssize_t tap_read(struct tap *t, void *buf, size_t cap);
int tap_write(struct tap *t, const void *buf, size_t len);

struct tap_ops {
	/* Where the next frame goes, *cap bytes; NULL stops reading until
	 * tap_resume(). */
	uint8_t *(*room)(void *arg, size_t *cap);
	void (*frame)(void *arg, size_t len);
	/* No more frames for now. */
	void (*end)(void *arg);
};

/* Read in the loop: until nothing is left, at most `budget` frames a wake-up,
 * so that the loop's other descriptors have their turn. ops must outlive it.
 * The callbacks may do anything but free the tap. 0 or -ENOMEM. */
int tap_watch(struct tap *t, struct loop *l, unsigned budget,
	      const struct tap_ops *ops, void *arg);
void tap_unwatch(struct tap *t);		/* fine when it is not */
void tap_resume(struct tap *t);

#endif
