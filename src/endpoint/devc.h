/* endpoint/devc.h - open a driver's device file, whichever form it has: a
 * character device or a SOCK_SEQPACKET socket. The client half.
 */
#ifndef ENDPOINT_DEVC_H
#define ENDPOINT_DEVC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct devc {
	int fd;
	bool chardev;
};

/* Find out by stat(2) and open. 0; -ENOENT, -EACCES, -EBUSY; -ECONNREFUSED no
 * driver behind the socket; -ENOTSUP neither a device nor a socket. */
int devc_open(struct devc *d, const char *path);
void devc_close(struct devc *d);
/* One message. Bytes read; -EAGAIN nothing there; -EMSGSIZE longer than cap;
 * -EPIPE the driver closed. On sockets never blocks; hv_utils character
 * devices ignore O_NONBLOCK, so wait for POLLIN first. */
ssize_t devc_recv(struct devc *d, void *buf, size_t cap);
/* 0; -EAGAIN; -EPIPE; what write(2) says otherwise. */
int devc_send(struct devc *d, const void *buf, size_t len);

#endif
