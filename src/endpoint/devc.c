/* endpoint/devc.c - the client half of a driver's device file.
 *
 * stat(2) tells the two forms apart. Both carry one message a call; they
 * differ in how the end looks: a socket reads as empty, the hv_utils devices
 * give EBADF and CUSE devices ENODEV once their driver is going away. All of
 * that is -EPIPE to the caller. */
#include "endpoint/devc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int open_chardev(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int open_socket(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	/* A full backlog is a driver that will get round to us. */
	err = errno == EAGAIN ? -EBUSY : -errno;
	close(fd);
	return err;
}

int devc_open(struct devc *d, const char *path)
{
	struct stat st;
	int fd;

	d->fd = -1;
	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) && !S_ISSOCK(st.st_mode))
		return -ENOTSUP;
	d->chardev = S_ISCHR(st.st_mode);
	fd = d->chardev ? open_chardev(path) : open_socket(path);
	if (fd < 0)
		return fd;
	d->fd = fd;
	return 0;
}

void devc_close(struct devc *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static int to_err(int e)
{
	switch (e) {
	case EINTR:
	case EWOULDBLOCK:
		return -EAGAIN;
	case EBADF:
	case ENODEV:
	case ENXIO:
	case ECONNRESET:
		return -EPIPE;
	default:
		return -e;
	}
}

ssize_t devc_recv(struct devc *d, void *buf, size_t cap)
{
	ssize_t n;

	if (d->chardev)
		n = read(d->fd, buf, cap);
	else
		n = recv(d->fd, buf, cap, MSG_TRUNC);
	if (n < 0)
		return to_err(errno);
	if (n == 0)
		return -EPIPE;
	return (size_t)n > cap ? -EMSGSIZE : n;
}

int devc_send(struct devc *d, const void *buf, size_t len)
{
	ssize_t n;

	if (d->chardev)
		n = write(d->fd, buf, len);
	else
		n = send(d->fd, buf, len, MSG_NOSIGNAL);
	if (n < 0)
		return to_err(errno);
	return (size_t)n == len ? 0 : -EIO;	/* messages go whole or not */
}
