/* test/unit/test_host_tap.c - a TAP in a network namespace of the test's own,
 * seen from the other side by a packet socket. */
#include "host/host_tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAYLOAD = 4000, TCP_FRAME = 14 + 20 + 20 + PAYLOAD };

struct rig {
	struct loop *l;
	struct host_tap *tap;
	int sock;
	unsigned frames, ends;
	struct host_frame last;
	uint8_t data[HOST_FRAME_MAX];
};

static void on_frame(void *arg, const struct host_frame *f)
{
	struct rig *g = arg;

	if (f->data[12] == 0x86)
		return;			/* the stack's own IPv6 greetings */
	g->frames++;
	g->last = *f;
	memcpy(g->data, f->data, f->len);
	g->last.data = g->data;
}

static void on_end(void *arg)
{
	((struct rig *)arg)->ends++;
}

static const struct host_tap_ops ops = { on_frame, on_end };

static void up(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(req.ifr_name, name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	close(fd);
}

/* Frames with a virtio-net header in front, as the TAP has them. */
static int packet_socket(const char *name)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
			htons(ETH_P_ALL));
	int on = 1;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on,
				    sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	*state = g;
	assert_non_null(g);
	g->l = loop_new(LOOP_REAL);
	g->tap = host_tap_new(g->l, "out0", &ops, g);
	assert_non_null(g->tap);
	up("out0");
	g->sock = packet_socket("out0");
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	close(g->sock);
	host_tap_free(g->tap);
	loop_free(g->l);
	free(g);
	return 0;
}

/* A namespace of our own, and TAPs in it: not everybody may. */
static bool can_run(void)
{
	struct loop *l = loop_new(LOOP_REAL);
	struct host_tap *t = unshare(CLONE_NEWNET) < 0 ? NULL :
			     host_tap_new(l, "probe0", &ops, NULL);
	bool can = t != NULL;

	if (!can)
		fprintf(stderr, "skipped: no TAP in a network namespace: %s\n",
			strerror(errno));
	host_tap_free(t);
	loop_free(l);
	return can;
}

static size_t tcp(uint8_t *f)
{
	memset(f, 0, TCP_FRAME);
	memcpy(f, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0", 14);
	memcpy(f + 14, "\x45\0\0\0\0\x01\x40\0\x40\x06\0\0", 12);
	memcpy(f + 26, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	f[46] = 0x50;
	f[47] = 0x10;
	for (unsigned i = 0; i < PAYLOAD; i++)
		f[54 + i] = (uint8_t)(i * 3);
	return TCP_FRAME;
}

static struct host_frame gso(uint8_t *data)
{
	struct host_frame f = { .data = data, .len = tcp(data) };

	assert_int_equal(host_frame_leave_segments(&f, 1000, false), 0);
	return f;
}

static void wait_for_frame(struct rig *g)
{
	unsigned before = g->frames;

	while (g->frames == before)
		loop_once(g->l, true);
}

static void segments_leave_as_they_are(void **state)
{
	struct rig *g = *state;
	static uint8_t data[HOST_FRAME_MAX], got[HOST_FRAME_MAX];
	struct host_frame f = gso(data);
	struct virtio_net_hdr h = { 0 };
	struct iovec iov[] = { { &h, sizeof(h) }, { got, sizeof(got) } };
	ssize_t n;

	host_tap_send(g->tap, &f);
	assert_int_equal(host_tap_stats_get(g->tap)->lost, 0);
	do {
		n = readv(g->sock, iov, 2);	/* there, or never */
		assert_true(n > 0);
	} while (got[12] == 0x86);
	assert_int_equal((size_t)n - sizeof(h), f.len);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, 1000);
	assert_int_equal(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 1);
	assert_memory_equal(got, data, f.len);
}

static void segments_come_as_they_are(void **state)
{
	struct rig *g = *state;
	static uint8_t data[HOST_FRAME_MAX];
	struct host_frame f = gso(data);
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1000,
		.hdr_len = 54, .csum_start = 34, .csum_offset = 16,
	};
	struct iovec iov[] = { { &h, sizeof(h) }, { data, f.len } };

	assert_int_equal(writev(g->sock, iov, 2), sizeof(h) + f.len);
	wait_for_frame(g);
	assert_int_equal(g->last.len, f.len);
	assert_int_equal(g->last.mss, 1000);
	assert_true(g->last.partial);
	assert_int_equal(g->last.sum_start, 34);
	assert_memory_equal(g->data, data, f.len);
	assert_true(g->ends > 0);
}

static void plain_frames_go_both_ways(void **state)
{
	struct rig *g = *state;
	uint8_t data[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
	struct virtio_net_hdr h = { 0 };
	struct iovec iov[] = { { &h, sizeof(h) }, { data, sizeof(data) } };

	assert_int_equal(writev(g->sock, iov, 2), sizeof(h) + sizeof(data));
	wait_for_frame(g);
	assert_int_equal(g->last.len, sizeof(data));
	assert_false(g->last.partial);
	assert_int_equal(g->last.mss, 0);
	host_tap_send(g->tap, &(struct host_frame){ .data = data,
						    .len = sizeof(data) });
	assert_int_equal(host_tap_stats_get(g->tap)->lost, 0);
	assert_int_equal(host_tap_carrier(g->tap, false), 0);
	assert_int_equal(host_tap_carrier(g->tap, true), 0);
}

static void names_that_are_none_are_refused(void **state)
{
	struct rig *g = *state;

	assert_null(host_tap_new(g->l, "", &ops, g));
	assert_int_equal(errno, EINVAL);
	assert_null(host_tap_new(g->l, "a-name-of-16-byte", &ops, g));
	assert_int_equal(errno, EINVAL);
	assert_null(host_tap_new(g->l, "out0", &ops, g));
	assert_int_equal(errno, EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(segments_leave_as_they_are,
						setup, teardown),
		cmocka_unit_test_setup_teardown(segments_come_as_they_are,
						setup, teardown),
		cmocka_unit_test_setup_teardown(plain_frames_go_both_ways,
						setup, teardown),
		cmocka_unit_test_setup_teardown(names_that_are_none_are_refused,
						setup, teardown),
	};

	if (!can_run())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
