/* host/host_tap_linux.c - see host_tap.h. One read and one write a frame: with
 * segments of up to 64 KiB whole that is few of them.
 *
 * Source: the kernel's Documentation/networking/tuntap.rst and virtio's
 * description of the network header. */
#include "host/host_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BURST = 64 };

struct host_tap {
	const struct host_tap_ops *ops;
	void *arg;
	int fd;
	struct loop_io *io;
	struct host_tap_stats stats;
	uint8_t buf[HOST_FRAME_TAG + HOST_FRAME_MAX];
};

/* In --------------------------------------------------------------------- */

/* What the header says, checked against the frame. */
static bool take_header(struct host_frame *f, const struct virtio_net_hdr *h)
{
	uint8_t gso = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	f->verified = h->flags & VIRTIO_NET_HDR_F_DATA_VALID;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if ((size_t)h->csum_start + h->csum_offset + 2 > f->len)
			return false;
		f->partial = true;
		f->sum_start = h->csum_start;
		f->sum_offset = h->csum_offset;
	}
	if (gso == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	f->mss = h->gso_size;
	return f->partial && f->mss && (gso == VIRTIO_NET_HDR_GSO_TCPV4 ||
					gso == VIRTIO_NET_HDR_GSO_TCPV6);
}

/* One frame: 0, or -errno when there is none now. */
static int read_one(struct host_tap *t)
{
	struct virtio_net_hdr h;
	struct iovec iov[] = {
		{ &h, sizeof(h) },
		{ t->buf + HOST_FRAME_TAG, HOST_FRAME_MAX },
	};
	ssize_t n = readv(t->fd, iov, 2);
	struct host_frame f = { .data = t->buf + HOST_FRAME_TAG };

	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(h) + HOST_FRAME_HDR) {
		t->stats.bad++;
		return 0;
	}
	f.len = (size_t)n - sizeof(h);
	if (!take_header(&f, &h)) {
		t->stats.bad++;
		return 0;
	}
	t->stats.in++;
	t->ops->frame(t->arg, &f);
	return 0;
}

static void on_readable(void *arg, unsigned events)
{
	struct host_tap *t = arg;
	unsigned n = 0;

	(void)events;
	while (n < BURST && read_one(t) == 0)
		n++;
	if (n)
		t->ops->batch_end(t->arg);
}

/* Out -------------------------------------------------------------------- */

static bool is_ipv6(const struct host_frame *f)
{
	size_t at = host_frame_tci(f) < 0 ? 12 : 16;

	return f->data[at] == 0x86 && f->data[at + 1] == 0xdd;
}

static void make_header(struct virtio_net_hdr *h, const struct host_frame *f)
{
	memset(h, 0, sizeof(*h));
	if (f->partial) {
		h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		h->csum_start = f->sum_start;
		h->csum_offset = f->sum_offset;
	} else if (f->verified) {
		h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	if (!f->mss)
		return;
	h->gso_type = is_ipv6(f) ? VIRTIO_NET_HDR_GSO_TCPV6 :
				   VIRTIO_NET_HDR_GSO_TCPV4;
	h->gso_size = f->mss;
	/* The TCP header's length is in the frame, which is whole. */
	h->hdr_len = (uint16_t)(f->sum_start +
				(f->data[f->sum_start + 12] >> 4) * 4);
}

void host_tap_send(struct host_tap *t, const struct host_frame *f)
{
	struct virtio_net_hdr h;
	const struct iovec iov[] = {
		{ &h, sizeof(h) }, { f->data, f->len },
	};

	make_header(&h, f);
	if (writev(t->fd, iov, 2) < 0)
		t->stats.lost++;	/* the interface is down, or full */
	else
		t->stats.out++;
}

int host_tap_carrier(struct host_tap *t, bool on)
{
	int value = on;

	return ioctl(t->fd, TUNSETCARRIER, &value) < 0 ? -errno : 0;
}

/* Life ------------------------------------------------------------------- */

static int open_tun(const char *name)
{
	const unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 |
				  TUN_F_TSO_ECN;
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd, err;

	if (!*name || strlen(name) >= sizeof(req.ifr_name)) {
		errno = EINVAL;
		return -1;
	}
	strcpy(req.ifr_name, name);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (ioctl(fd, TUNSETIFF, &req) == 0 &&
	    ioctl(fd, TUNSETOFFLOAD, offloads) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

struct host_tap *host_tap_new(struct loop *l, const char *name,
			      const struct host_tap_ops *ops, void *arg)
{
	struct host_tap *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ops = ops;
	t->arg = arg;
	t->fd = open_tun(name);
	if (t->fd < 0) {
		free(t);
		return NULL;
	}
	t->io = loop_io_new(l, t->fd, LOOP_READ, on_readable, t);
	if (!t->io) {
		host_tap_free(t);
		errno = ENOMEM;
		return NULL;
	}
	return t;
}

void host_tap_free(struct host_tap *t)
{
	if (!t)
		return;
	loop_io_free(t->io);
	close(t->fd);
	free(t);
}

const struct host_tap_stats *host_tap_stats_get(const struct host_tap *t)
{
	return &t->stats;
}
