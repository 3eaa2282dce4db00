/* test_lagg_bond.c - what is said to the bonding driver, against bytes laid out
 * by hand from linux/netlink.h, rtnetlink.h and if_link.h (little endian). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lagg/lagg_bond_msg_linux.h"
#include "lagg/lagg_linux.h"

static char buf[BOND_MSG] __attribute__((aligned(4)));

#define IS(h, bytes)							\
	do {								\
		assert_int_equal((h)->nlmsg_len, sizeof(bytes));	\
		assert_memory_equal(h, bytes, sizeof(bytes));		\
	} while (0)

static int begin(void **state)
{
	(void)state;
	memset(buf, 0xee, sizeof(buf));
	return 0;
}

static const struct lagg_cfg cfg = {
	.name = "lagg0", .mac = { 0x00, 0x15, 0x5d, 1, 2, 3 }, .mtu = 9000,
	.poll_ms = 50,
};

static const uint8_t create[] = {
	0x6c, 0, 0, 0, 16, 0, 0x00, 0x06, 0, 0, 0, 0, 0, 0, 0, 0,
			/* 108 bytes, RTM_NEWLINK, CREATE|EXCL */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	/* ifinfomsg */
	10, 0, 3, 0, 'l', 'a', 'g', 'g', '0', 0, 0, 0,		/* IFNAME */
	10, 0, 1, 0, 0x00, 0x15, 0x5d, 1, 2, 3, 0, 0,		/* ADDRESS */
	8, 0, 4, 0, 0x28, 0x23, 0, 0,				/* MTU 9000 */
	44, 0, 18, 0x80,					/* LINKINFO { */
	9, 0, 1, 0, 'b', 'o', 'n', 'd', 0, 0, 0, 0,		/*  KIND */
	28, 0, 2, 0x80,						/*  DATA { */
	5, 0, 1, 0, 1, 0, 0, 0,				/*   MODE 1 */
	8, 0, 3, 0, 50, 0, 0, 0,				/*   MIIMON 50 */
	5, 0, 17, 0, 1, 0, 0, 0,		/*   ALL_SLAVES_ACTIVE 1 */
};

static void creates_an_active_backup_bond(void **state)
{
	(void)state;
	IS(bond_msg_create(buf, &cfg), create);
}

static void polls_each_100_ms_and_keeps_the_mtu_unless_told(void **state)
{
	struct lagg_cfg c = cfg;
	struct nlmsghdr *h;

	(void)state;
	c.mtu = 0;
	c.poll_ms = 0;
	h = bond_msg_create(buf, &c);
	assert_int_equal(h->nlmsg_len, sizeof(create) - 8);
	assert_int_equal(buf[sizeof(create) - 8 - 12], 100);
}

static void makes_a_link_a_port(void **state)
{
	static const uint8_t bytes[] = {
		0x28, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		8, 0, 10, 0, 0x2c, 1, 0, 0,			/* MASTER 300 */
	};

	(void)state;
	IS(bond_msg_port(buf, 7, 300), bytes);
}

static void lets_a_port_go(void **state)
{
	static const uint8_t bytes[] = {
		0x28, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		8, 0, 10, 0, 0, 0, 0, 0,
	};

	(void)state;
	IS(bond_msg_port(buf, 7, 0), bytes);
}

static void names_the_active_port(void **state)
{
	static const uint8_t bytes[] = {
		0x3c, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		28, 0, 18, 0x80,				/* LINKINFO { */
		9, 0, 1, 0, 'b', 'o', 'n', 'd', 0, 0, 0, 0,	/*  KIND */
		12, 0, 2, 0x80,					/*  DATA { */
		8, 0, 2, 0, 7, 0, 0, 0,			/*   ACTIVE_SLAVE */
	};

	(void)state;
	IS(bond_msg_active(buf, 9, 7), bytes);
}

/* An address that no link may have: so nothing is made. */
static void probes_with_a_groups_address(void **state)
{
	const uint8_t *p;

	(void)state;
	bond_msg_probe(buf);
	p = (const uint8_t *)buf + 32 + 12;
	assert_int_equal(p[0], 10);
	assert_int_equal(p[2], 1);
	assert_int_equal(p[4] & 1, 1);
}

static void the_probe_gives_a_reason_either_way(void **state)
{
	char why[LAGG_WHY] = "";
	int err = lagg_bonding_ops.probe(why);

	(void)state;
	assert_true(err <= 0);
	assert_string_not_equal(why, "");
	print_message("bonding here: %s\n", why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(creates_an_active_backup_bond, begin),
		cmocka_unit_test_setup(
			polls_each_100_ms_and_keeps_the_mtu_unless_told,
			begin),
		cmocka_unit_test_setup(makes_a_link_a_port, begin),
		cmocka_unit_test_setup(lets_a_port_go, begin),
		cmocka_unit_test_setup(names_the_active_port, begin),
		cmocka_unit_test_setup(probes_with_a_groups_address, begin),
		cmocka_unit_test(the_probe_gives_a_reason_either_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
