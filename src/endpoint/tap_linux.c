/* endpoint/tap_linux.c - /dev/net/tun. Requests about the interface itself go
 * through a socket and by name; the name is asked for each time, since an
 * interface may be renamed under us (and is, when the aggregate takes the
 * place of one that has a configuration). */
#include "endpoint/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct tap {
	int fd, ctl_fd;
	struct loop_io *io;
	unsigned budget;
	const struct tap_ops *ops;
	void *arg;
};

/* Opening ------------------------------------------------------------------ */

/* A header of our size and byte order, and reads that do not wait. */
static int prepare(int fd)
{
	const int size = TAP_HDR, little = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &size) < 0 ||
	    ioctl(fd, TUNSETVNETLE, &little) < 0)
		return -errno;
	return 0;
}

/* Takes fd over. */
static struct tap *tap_new(int fd)
{
	struct tap *t = calloc(1, sizeof(*t));
	int err;

	if (!t) {
		close(fd);
		return NULL;
	}
	t->fd = fd;
	t->ctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = t->ctl_fd < 0 ? -errno : prepare(fd);
	if (err < 0) {
		tap_free(t);
		errno = -err;
		return NULL;
	}
	return t;
}

static int attach(int fd, const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	memcpy(r.ifr_name, name, strlen(name) + 1);
	return ioctl(fd, TUNSETIFF, &r) < 0 ? -errno : 0;
}

struct tap *tap_open(const char *name)
{
	int fd, err;

	/* The kernel takes a "%d" for a wish. */
	if (!*name || strlen(name) >= IFNAMSIZ || strchr(name, '%')) {
		errno = EINVAL;
		return NULL;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	err = attach(fd, name);
	if (err < 0) {
		close(fd);
		errno = -err;
		return NULL;
	}
	return tap_new(fd);
}

struct tap *tap_adopt(int fd)
{
	const short want = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq r = { 0 };

	if (ioctl(fd, TUNGETIFF, &r) < 0 || (r.ifr_flags & want) != want) {
		close(fd);
		errno = EINVAL;
		return NULL;
	}
	return tap_new(fd);
}

void tap_free(struct tap *t)
{
	if (!t)
		return;
	tap_unwatch(t);
	if (t->ctl_fd >= 0)
		close(t->ctl_fd);
	close(t->fd);
	free(t);
}

/* The interface ------------------------------------------------------------ */

int tap_fd(const struct tap *t)
{
	return t->fd;
}

/* A request that names the interface. */
static int named(const struct tap *t, struct ifreq *r)
{
	*r = (struct ifreq){ 0 };
	if (ioctl(t->fd, TUNGETIFF, r) < 0)
		return -errno;
	memset(&r->ifr_ifru, 0, sizeof(r->ifr_ifru));
	return 0;
}

static int ask(const struct tap *t, unsigned long what, struct ifreq *r)
{
	return ioctl(t->ctl_fd, what, r) < 0 ? -errno : 0;
}

int tap_name(const struct tap *t, char name[TAP_NAME_MAX])
{
	struct ifreq r;
	int err = named(t, &r);

	_Static_assert((int)TAP_NAME_MAX == (int)IFNAMSIZ, "a name's size");
	memcpy(name, r.ifr_name, TAP_NAME_MAX);
	return err;
}

int tap_ifindex(const struct tap *t)
{
	struct ifreq r;
	int err = named(t, &r);

	if (!err)
		err = ask(t, SIOCGIFINDEX, &r);
	return err ? err : r.ifr_ifindex;
}

int tap_set_persistent(struct tap *t, bool on)
{
	return ioctl(t->fd, TUNSETPERSIST, on ? 1UL : 0UL) < 0 ? -errno : 0;
}

int tap_set_mac(struct tap *t, const uint8_t mac[6])
{
	struct ifreq r;
	int err = named(t, &r);

	if (err)
		return err;
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	return ask(t, SIOCSIFHWADDR, &r);
}

int tap_get_mac(const struct tap *t, uint8_t mac[6])
{
	struct ifreq r;
	int err = named(t, &r);

	if (!err)
		err = ask(t, SIOCGIFHWADDR, &r);
	if (!err)
		memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	return err;
}

int tap_set_mtu(struct tap *t, uint32_t mtu)
{
	struct ifreq r;
	int err = named(t, &r);

	if (err)
		return err;
	r.ifr_mtu = (int)mtu;
	return ask(t, SIOCSIFMTU, &r);
}

int tap_set_up(struct tap *t, bool up)
{
	struct ifreq r;
	int err = named(t, &r);

	if (!err)
		err = ask(t, SIOCGIFFLAGS, &r);
	if (err)
		return err;
	if (up)
		r.ifr_flags |= IFF_UP;
	else
		r.ifr_flags &= (short)~IFF_UP;
	return ask(t, SIOCSIFFLAGS, &r);
}

int tap_set_carrier(struct tap *t, bool on)
{
	const int carrier = on;

	return ioctl(t->fd, TUNSETCARRIER, &carrier) < 0 ? -errno : 0;
}

int tap_set_offloads(struct tap *t, bool checksum, bool tso4, bool tso6)
{
	unsigned long what = checksum ? TUN_F_CSUM : 0;

	if (checksum && tso4)
		what |= TUN_F_TSO4;
	if (checksum && tso6)
		what |= TUN_F_TSO6;
	if (checksum && (tso4 || tso6))
		what |= TUN_F_TSO_ECN;
	return ioctl(t->fd, TUNSETOFFLOAD, what) < 0 ? -errno : 0;
}

/* Frames ------------------------------------------------------------------- */

ssize_t tap_read(struct tap *t, void *buf, size_t cap)
{
	ssize_t n = read(t->fd, buf, cap);

	return n < 0 ? -errno : n;
}

int tap_write(struct tap *t, const void *buf, size_t len)
{
	return write(t->fd, buf, len) < 0 ? -errno : 0;
}

/* An interface that is deleted reads as an error for ever: no more of that. */
static void read_frames(void *arg, unsigned events)
{
	struct tap *t = arg;
	ssize_t n = 0;

	(void)events;
	for (unsigned i = 0; i < t->budget && t->io; i++) {
		size_t cap;
		uint8_t *buf = t->ops->room(t->arg, &cap);

		n = buf ? tap_read(t, buf, cap) : -ENOBUFS;
		if (n < 0)
			break;
		t->ops->frame(t->arg, (size_t)n);
	}
	if (n < 0 && n != -EAGAIN && n != -EINTR && t->io)
		loop_io_want(t->io, 0);
	if (t->io)
		t->ops->end(t->arg);
}

int tap_watch(struct tap *t, struct loop *l, unsigned budget,
	      const struct tap_ops *ops, void *arg)
{
	tap_unwatch(t);
	t->budget = budget;
	t->ops = ops;
	t->arg = arg;
	t->io = loop_io_new(l, t->fd, LOOP_READ, read_frames, t);
	return t->io ? 0 : -ENOMEM;
}

void tap_unwatch(struct tap *t)
{
	loop_io_free(t->io);
	t->io = NULL;
}

void tap_resume(struct tap *t)
{
	if (t->io)
		loop_io_want(t->io, LOOP_READ);
}
