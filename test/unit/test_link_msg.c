/* test/unit/test_link_msg.c - rtnetlink's link messages, laid out by hand after
 * the kernel's headers: nlmsghdr (16), ifinfomsg (16), attributes {length u16,
 * type u16, value, padding to 4}; and the slots of PCI devices. Little endian,
 * as the machines that we run on. */
#include "lagg/link_msg_linux.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lagg/link_slot_linux.h"

enum { TYPE = 4, FAMILY = 16, ARP_TYPE = 18, INDEX = 20, FLAGS = 24 };

#define MAC_ATTR(type)	0x0a, 0, type, 0, 0x00, 0x15, 0x5d, 1, 2, 0x0a, 0, 0

static const uint8_t device[] = {
	0x68, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 1, 0, 5, 0, 0, 0, 0x43, 0x10, 1, 0, 0xff, 0xff, 0xff, 0xff,
	0x0b, 0, 3, 0, 'e', 'n', 'P', '1', 's', '0', 0, 0,	/* name */
	8, 0, 4, 0, 0xdc, 5, 0, 0,				/* MTU 1500 */
	MAC_ATTR(1), MAC_ATTR(0x36),				/* now, first */
	0x11, 0, 0x38, 0, '0', '0', '0', '1', ':',		/* parent */
	'0', '0', ':', '0', '2', '.', '0', 0, 0, 0, 0,
	8, 0, 0x39, 0, 'p', 'c', 'i', 0,			/* its bus */
};

static const uint8_t port[] = {	/* a veth that is a port of interface 9 */
	0x54, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 1, 0, 6, 0, 0, 0, 0x03, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff,
	7, 0, 3, 0, 'v', '0', 0, 0,
	MAC_ATTR(1),
	8, 0, 10, 0, 9, 0, 0, 0,				/* master */
	0x18, 0, 18, 0,						/* info */
	9, 0, 1, 0, 'v', 'e', 't', 'h', 0, 0, 0, 0,		/* kind */
	8, 0, 2, 0, 0, 0, 0, 0,					/* data */
};

/* Read the message with one byte changed; 0 length: all of it. */
static int get(struct link_msg *m, const uint8_t *msg, size_t len, size_t at,
	       uint8_t value)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, msg, len);
	if (at < len)
		copy[at] = value;
	err = link_msg_get(m, copy, len);
	free(copy);
	return err;
}

#define GET(m, msg)		get(m, msg, sizeof(msg), sizeof(msg), 0)
#define GET_WITH(m, msg, at, v)	get(m, msg, sizeof(msg), at, v)

static void a_device_says_all_there_is(void **state)
{
	static const uint8_t mac[] = { 0x00, 0x15, 0x5d, 1, 2, 0x0a };
	struct link_msg m;

	(void)state;
	assert_int_equal(GET(&m, device), 0);
	assert_false(m.gone);
	assert_int_equal(m.link.ifindex, 5);
	assert_string_equal(m.link.name, "enP1s0");
	assert_int_equal(m.link.kind, LINK_DEVICE);
	assert_int_equal(m.link.mtu, 1500);
	assert_int_equal(m.link.master, 0);
	assert_true(m.link.ethernet && m.link.has_permanent);
	assert_memory_equal(m.link.mac, mac, LINK_MAC);
	assert_memory_equal(m.link.permanent, mac, LINK_MAC);
	assert_true(m.link.up && m.link.running);
	assert_string_equal(m.parent, "0001:00:02.0");
}

static void a_port_has_its_kind_and_master(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET(&m, port), 0);
	assert_int_equal(m.link.kind, LINK_VETH);
	assert_int_equal(m.link.master, 9);
	assert_true(m.link.up);
	assert_false(m.link.running);		/* its peer is down */
	assert_false(m.link.has_permanent);
	assert_string_equal(m.parent, "");
}

static void each_kind_is_told_apart(void **state)
{
	static const struct {
		const char *name;
		enum link_kind kind;
	} kinds[] = {
		{ "veth", LINK_VETH }, { "tun", LINK_TAP },
		{ "bond", LINK_STACKED }, { "team", LINK_STACKED },
		{ "vlan", LINK_STACKED }, { "vrf", LINK_STACKED },
		{ "sit", LINK_OTHER }, { "vet", LINK_OTHER },
	};
	uint8_t msg[sizeof(port)];
	struct link_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		size_t n = strlen(kinds[i].name);

		memcpy(msg, port, sizeof(port));
		memset(msg + 68, 0, 8);
		msg[64] = (uint8_t)(4 + n + 1);
		memcpy(msg + 68, kinds[i].name, n);
		if (n < 4)	/* the next attribute follows closer by 4 */
			memmove(msg + 72, msg + 76, 8);
		assert_int_equal(GET(&m, msg), 0);
		assert_int_equal(m.link.kind, kinds[i].kind);
	}
}

static void a_link_that_goes_is_gone(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET_WITH(&m, device, TYPE, 0x11), 0);
	assert_true(m.gone);
	assert_int_equal(m.link.ifindex, 5);
}

static void what_bridges_say_of_their_ports_is_not_ours(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET_WITH(&m, device, FAMILY, 7), -ENOMSG);
	assert_int_equal(GET_WITH(&m, device, TYPE, 0x14), -ENOMSG);
}

static void a_wireless_event_says_nothing_of_the_link(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET_WITH(&m, port, 54, 11), -ENOMSG);	/* master's */
}

static void loopback_and_other_media_are_no_ethernet(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET_WITH(&m, device, FLAGS, 0x4b), 0);
	assert_int_equal(m.link.kind, LINK_OTHER);
	assert_int_equal(GET_WITH(&m, device, ARP_TYPE, 32), 0);
	assert_false(m.link.ethernet);
	assert_false(m.link.has_permanent);
}

static void a_parent_elsewhere_than_on_pci_is_none(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET_WITH(&m, device, 100, 'x'), 0);
	assert_string_equal(m.parent, "");
}

static void refuses_every_shorter_message(void **state)
{
	struct link_msg m;

	(void)state;
	for (size_t n = 0; n < sizeof(device); n++)
		assert_int_equal(get(&m, device, n, n, 0), -EBADMSG);
}

static void refuses_what_cannot_be(void **state)
{
	struct link_msg m;

	(void)state;
	assert_int_equal(GET_WITH(&m, device, INDEX, 0), -EBADMSG);
	assert_int_equal(GET_WITH(&m, device, INDEX + 3, 0x80), -EBADMSG);
	assert_int_equal(GET_WITH(&m, device, 0, 0x1c), -EBADMSG);
	assert_int_equal(GET_WITH(&m, device, 0, 0x67), -EBADMSG);
	assert_int_equal(GET_WITH(&m, device, 34, 0x7e), -EBADMSG); /* no name */
	assert_int_equal(GET_WITH(&m, device, 42, 'x'), -EBADMSG);  /* no NUL */
	assert_int_equal(GET_WITH(&m, device, 44, 6), -EBADMSG);    /* MTU u16 */
}

static void no_byte_of_it_can_do_harm(void **state)
{
	struct link_msg m;

	(void)state;
	for (size_t at = 0; at < sizeof(port); at++)
		for (unsigned v = 0; v < 256; v++)
			if (!GET_WITH(&m, port, at, (uint8_t)v))
				assert_in_range(strlen(m.link.name), 0, 15);
}

/* Slots -------------------------------------------------------------------- */

static void make_slot(const char *dir, const char *slot, const char *address)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, slot);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/address", dir, slot);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(address, f);
	fclose(f);
}

static void remove_slot(const char *dir, const char *slot)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/address", dir, slot);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/%s", dir, slot);
	assert_int_equal(rmdir(path), 0);
}

static void the_slots_name_is_the_hosts_number(void **state)
{
	static const char *const slots[][2] = {
		{ "4000000000", "0001:00:02\n" }, { "5000000000", "0001:00:03\n" },
		{ "7-1", "0001:00:04\n" }, { "9", "" },
	};
	enum { N = sizeof(slots) / sizeof(*slots) };
	char dir[] = "/tmp/test_link_msg.XXXXXX";
	uint32_t serial;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < N; i++)
		make_slot(dir, slots[i][0], slots[i][1]);
	assert_true(link_slot_serial(dir, "0001:00:02.0", &serial));
	assert_int_equal(serial, 4000000000u);
	assert_false(link_slot_serial(dir, "0001:00:03.0", &serial));
	assert_false(link_slot_serial(dir, "0001:00:04.0", &serial));
	assert_false(link_slot_serial(dir, "0001:00:021.0", &serial));
	assert_false(link_slot_serial(dir, "0001:00:05.0", &serial));
	assert_false(link_slot_serial(dir, "", &serial));
	assert_int_equal(serial, 0);
	for (size_t i = 0; i < N; i++)
		remove_slot(dir, slots[i][0]);
	assert_int_equal(rmdir(dir), 0);
	assert_false(link_slot_serial(dir, "0001:00:02.0", &serial));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_says_all_there_is),
		cmocka_unit_test(a_port_has_its_kind_and_master),
		cmocka_unit_test(each_kind_is_told_apart),
		cmocka_unit_test(a_link_that_goes_is_gone),
		cmocka_unit_test(what_bridges_say_of_their_ports_is_not_ours),
		cmocka_unit_test(a_wireless_event_says_nothing_of_the_link),
		cmocka_unit_test(loopback_and_other_media_are_no_ethernet),
		cmocka_unit_test(a_parent_elsewhere_than_on_pci_is_none),
		cmocka_unit_test(refuses_every_shorter_message),
		cmocka_unit_test(refuses_what_cannot_be),
		cmocka_unit_test(no_byte_of_it_can_do_harm),
		cmocka_unit_test(the_slots_name_is_the_hosts_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
