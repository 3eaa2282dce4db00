/* test/unit/test_tap.c - real interfaces, in a network namespace of the test's
 * own. Skipped where one cannot be made, or TAPs are denied. */
#include "endpoint/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIP = 77, FRAMES = 100, PROTO = 0x88b5 };

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

static short flags_of(const char *name)
{
	struct ifreq r = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	close(fd);
	return r.ifr_flags;
}

static bool carrier_of(const char *name)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GLINK };
	struct ifreq r = { .ifr_data = (void *)&v };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &r), 0);
	close(fd);
	return v.data;
}

/* A socket that sends and receives whole frames of PROTO on the interface. */
static int packet_socket(const struct tap *t)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_protocol = htons(PROTO),
		.sll_ifindex = tap_ifindex(t),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(PROTO));

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static const uint8_t frame[60] = {
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, PROTO >> 8, PROTO & 0xff, 42
};

static void makes_the_interface_and_says_its_name(void **state)
{
	struct tap *t = tap_open("hn0");
	char name[TAP_NAME_MAX];
	uint8_t got[6];

	(void)state;
	assert_non_null(t);
	assert_int_equal(tap_name(t, name), 0);
	assert_string_equal(name, "hn0");
	assert_int_equal(tap_ifindex(t), if_nametoindex("hn0"));
	assert_int_equal(tap_set_mac(t, mac), 0);
	assert_int_equal(tap_get_mac(t, got), 0);
	assert_memory_equal(got, mac, 6);
	assert_int_equal(tap_set_mtu(t, 9000), 0);
	assert_int_equal(tap_set_offloads(t, true, true, true), 0);
	assert_int_equal(tap_set_offloads(t, false, true, true), 0);
	tap_free(t);
	assert_int_equal(if_nametoindex("hn0"), 0);
}

static void refuses_names_that_are_none(void **state)
{
	static const char *const bad[] = { "", "hn%d", "0123456789abcdef" };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_null(tap_open(bad[i]));
		assert_int_equal(errno, EINVAL);
	}
}

static void one_at_a_time_has_it_open(void **state)
{
	struct tap *t = tap_open("hn0");

	(void)state;
	assert_non_null(t);
	assert_null(tap_open("hn0"));
	assert_int_equal(errno, EBUSY);
	tap_free(t);
}

static void a_persistent_one_outlives_us(void **state)
{
	struct tap *t = tap_open("hn0");
	unsigned index;

	(void)state;
	assert_int_equal(tap_set_persistent(t, true), 0);
	index = if_nametoindex("hn0");
	tap_free(t);
	assert_int_equal(if_nametoindex("hn0"), index);
	t = tap_open("hn0");
	assert_non_null(t);
	assert_int_equal(tap_ifindex(t), index);
	assert_int_equal(tap_set_persistent(t, false), 0);
	tap_free(t);
	assert_int_equal(if_nametoindex("hn0"), 0);
}

static void follows_a_rename(void **state)
{
	struct tap *t = tap_open("hn0");
	struct ifreq r = { .ifr_name = "hn0", .ifr_newname = "lagg0" };
	char name[TAP_NAME_MAX];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_int_equal(ioctl(fd, SIOCSIFNAME, &r), 0);
	close(fd);
	assert_int_equal(tap_name(t, name), 0);
	assert_string_equal(name, "lagg0");
	assert_int_equal(tap_set_mtu(t, 1400), 0);
	tap_free(t);
}

static void the_carrier_is_ours(void **state)
{
	struct tap *t = tap_open("hn0");

	(void)state;
	assert_int_equal(tap_set_carrier(t, false), 0);	/* also when down */
	assert_int_equal(tap_set_up(t, true), 0);
	assert_false(carrier_of("hn0"));
	assert_int_equal(tap_set_carrier(t, true), 0);
	assert_true(carrier_of("hn0"));
	assert_true(flags_of("hn0") & IFF_UP);
	assert_int_equal(tap_set_up(t, false), 0);
	assert_false(flags_of("hn0") & IFF_UP);
	tap_free(t);
}

static void what_is_written_is_received(void **state)
{
	struct tap *t = tap_open("hn0");
	uint8_t buf[TAP_HDR + sizeof(frame)] = { 0 }, got[128];
	int fd;

	(void)state;
	memcpy(buf + TAP_HDR, frame, sizeof(frame));
	assert_int_equal(tap_write(t, buf, sizeof(buf)), -EIO);	/* down */
	assert_int_equal(tap_set_up(t, true), 0);
	fd = packet_socket(t);
	assert_int_equal(tap_write(t, buf, sizeof(buf)), 0);
	assert_int_equal(recv(fd, got, sizeof(got), 0), sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	close(fd);
	tap_free(t);
}

static void an_adopted_one_works_the_same(void **state)
{
	struct tap *t = tap_open("hn0"), *other;
	char name[TAP_NAME_MAX];

	(void)state;
	other = tap_adopt(dup(tap_fd(t)));
	assert_non_null(other);
	tap_free(t);
	assert_int_equal(tap_name(other, name), 0);
	assert_string_equal(name, "hn0");
	tap_free(other);
	assert_null(tap_adopt(open("/dev/null", O_RDWR)));
	assert_int_equal(errno, EINVAL);
}

/* Reading in the loop ------------------------------------------------------ */

struct reader {
	struct tap *t;
	uint8_t buf[2048];
	unsigned frames, ends, ours, most, since_end, room;
};

static uint8_t *on_room(void *arg, size_t *cap)
{
	struct reader *r = arg;

	*cap = sizeof(r->buf);
	if (!r->room)
		return NULL;
	r->room--;
	return r->buf;
}

static void on_frame(void *arg, size_t len)
{
	struct reader *r = arg;

	r->frames++;
	r->ours += len == TAP_HDR + sizeof(frame) &&
		   memcmp(r->buf + TAP_HDR, frame, sizeof(frame)) == 0;
	if (++r->since_end > r->most)
		r->most = r->since_end;
}

static void on_end(void *arg)
{
	struct reader *r = arg;

	r->ends++;
	r->since_end = 0;
}

static const struct tap_ops ops = { on_room, on_frame, on_end };

/* Wait for the stack, which may have frames of its own to send. */
static void read_all(struct loop *l, struct reader *r)
{
	while (r->ours < FRAMES)
		assert_true(loop_once(l, true) > 0);
}

static void reads_to_the_end_within_its_budget(void **state)
{
	struct loop *l = loop_new(LOOP_REAL);
	struct reader r = { .t = tap_open("hn0"), .room = 100000 };
	int fd;

	(void)state;
	assert_int_equal(tap_set_up(r.t, true), 0);
	fd = packet_socket(r.t);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(send(fd, frame, sizeof(frame), 0),
				 sizeof(frame));
	assert_int_equal(tap_watch(r.t, l, 16, &ops, &r), 0);
	read_all(l, &r);
	assert_int_equal(r.most, 16);
	assert_true(r.ends >= FRAMES / 16);
	tap_unwatch(r.t);
	tap_free(r.t);
	close(fd);
	loop_free(l);
}

static void without_room_frames_wait_in_the_stack(void **state)
{
	struct loop *l = loop_new(LOOP_REAL);
	struct reader r = { .t = tap_open("hn0"), .room = 10 };
	int fd;

	(void)state;
	assert_int_equal(tap_set_up(r.t, true), 0);
	fd = packet_socket(r.t);
	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(send(fd, frame, sizeof(frame), 0),
				 sizeof(frame));
	assert_int_equal(tap_watch(r.t, l, 64, &ops, &r), 0);
	loop_once(l, true);
	assert_int_equal(r.frames, 10);
	assert_int_equal(loop_once(l, false), 0);	/* it sleeps */
	r.room = 100000;
	tap_resume(r.t);
	read_all(l, &r);
	tap_free(r.t);
	close(fd);
	loop_free(l);
}

/* A namespace, and a TAP in it? */
static bool allowed(void)
{
	struct tap *t;

	if (unshare(CLONE_NEWNET) < 0) {
		printf("skipped: no network namespace: %s\n", strerror(errno));
		return false;
	}
	t = tap_open("probe");
	if (!t) {
		printf("skipped: no TAP: %s\n", strerror(errno));
		return false;
	}
	tap_free(t);
	return true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_the_interface_and_says_its_name),
		cmocka_unit_test(refuses_names_that_are_none),
		cmocka_unit_test(one_at_a_time_has_it_open),
		cmocka_unit_test(a_persistent_one_outlives_us),
		cmocka_unit_test(follows_a_rename),
		cmocka_unit_test(the_carrier_is_ours),
		cmocka_unit_test(what_is_written_is_received),
		cmocka_unit_test(an_adopted_one_works_the_same),
		cmocka_unit_test(reads_to_the_end_within_its_budget),
		cmocka_unit_test(without_room_frames_wait_in_the_stack),
	};

	if (!allowed())
		return SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
