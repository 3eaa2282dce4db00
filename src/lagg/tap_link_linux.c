#include "lagg/tap_link_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of Linux 6.2's <linux/if_tun.h>. */
enum { OFFLOAD_USO4 = 0x20, OFFLOAD_USO6 = 0x40 };
enum { VNET_HDR = 12 };

static int offloads(int fd)
{
	const unsigned tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 |
			     TUN_F_TSO_ECN;

	if (!ioctl(fd, TUNSETOFFLOAD, tcp | OFFLOAD_USO4 | OFFLOAD_USO6))
		return 0;
	return ioctl(fd, TUNSETOFFLOAD, tcp);
}

static int open_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static int attach(const char *name, int flags)
{
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI |
						IFF_VNET_HDR | flags) };
	const int hdr = VNET_HDR;
	int err, fd = open_tun();

	if (fd < 0)
		return fd;
	strncpy(r.ifr_name, name, sizeof(r.ifr_name) - 1);
	if (!ioctl(fd, TUNSETIFF, &r) && !ioctl(fd, TUNSETVNETHDRSZ, &hdr) &&
	    !offloads(fd) && !ioctl(fd, TUNSETPERSIST, 1))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int tap_link_make(const char *name)
{
	int fd;

	if (if_nametoindex(name))
		return -EEXIST;
	/* Somebody may have been faster: EXCL says EBUSY then. */
	fd = attach(name, IFF_TUN_EXCL);
	return fd == -EBUSY ? -EEXIST : fd;
}

int tap_link_open(const char *name)
{
	return attach(name, 0);
}

int tap_link_probe(void)
{
	unsigned features = 0;
	int err, fd = open_tun();

	if (fd < 0)
		return fd;
	err = ioctl(fd, TUNGETFEATURES, &features) < 0 ? -errno :
	      features & IFF_VNET_HDR ? 0 : -EOPNOTSUPP;
	close(fd);
	return err;
}
