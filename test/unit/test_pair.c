/* test/unit/test_pair.c - which interface is the VF of which NIC. */
#include "lagg/pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAC_A { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x0a }
#define MAC_B { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x0b }

static const struct pair_cfg cfg = { 0 }, with_veth = { .veth = true };

static struct pair_nic nic(void)
{
	return (struct pair_nic){ .ifindex = 2, .mac = MAC_A };
}

static struct link hn(void)
{
	return (struct link){ .ifindex = 2, .name = "hn0", .kind = LINK_TAP,
			      .ethernet = true, .mac = MAC_A, .ours = true };
}

static struct link hardware(unsigned ifindex)
{
	return (struct link){ .ifindex = ifindex, .name = "enP1s0",
			      .kind = LINK_DEVICE, .ethernet = true,
			      .mac = MAC_A };
}

/* The VF among these, for a NIC that has none yet. */
static unsigned vf_among(const struct link *links, size_t n)
{
	struct pair_nic a = nic();

	pair_links(&a, 1, links, n, &cfg);
	return a.vf;
}

static unsigned vf_is(struct link l)
{
	return vf_among(&l, 1);
}

static enum pair_why why(struct pair_nic a, struct link l)
{
	return pair_why(&a, &l, &l, 1, &cfg);
}

/* One interface ------------------------------------------------------------ */

static void hardware_with_the_same_address_is_the_vf(void **state)
{
	(void)state;
	assert_int_equal(vf_is(hardware(5)), 5);
	assert_int_equal(why(nic(), hardware(5)), PAIR_MAC);
}

static void another_address_is_another_nics(void **state)
{
	static const uint8_t mac_b[] = MAC_B;

	(void)state;
	for (size_t i = 0; i < LINK_MAC; i++) {
		struct link l = hardware(5);

		l.mac[i] ^= 2;
		assert_int_equal(vf_is(l), 0);
		assert_int_equal(why(nic(), l), PAIR_NOT_OTHER_MAC);
	}
	for (int known = 0; known < 2; known++) {
		struct link l = hardware(5);

		memcpy(l.mac, mac_b, LINK_MAC);
		l.has_permanent = known;
		memcpy(l.permanent, mac_b, LINK_MAC);
		assert_int_equal(vf_is(l), 0);
	}
}

static void only_hardware_is_a_vf(void **state)
{
	static const enum link_kind kinds[] = {
		LINK_VETH, LINK_TAP, LINK_STACKED, LINK_OTHER,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct link l = hardware(5);

		l.kind = kinds[i];
		assert_int_equal(vf_is(l), 0);
		assert_int_equal(why(nic(), l), PAIR_NOT_HARDWARE);
	}
}

static void a_veth_is_one_where_that_is_set(void **state)
{
	struct link l = hardware(5);
	struct pair_nic a = nic();

	(void)state;
	l.kind = LINK_VETH;
	assert_int_equal(pair_links(&a, 1, &l, 1, &with_veth), 1);
	assert_int_equal(a.vf, 5);
	a = nic();
	l.kind = LINK_TAP;
	assert_int_equal(pair_links(&a, 1, &l, 1, &with_veth), 0);
	assert_int_equal(a.vf, 0);
}

static void our_own_interfaces_are_never_one(void **state)
{
	struct link l = hardware(5);

	(void)state;
	l.ours = true;
	assert_int_equal(vf_is(l), 0);
	assert_int_equal(vf_is(hardware(2)), 0);	/* hn0's own index */
	assert_int_equal(why(nic(), hn()), PAIR_NOT_OURS);
}

static void the_address_it_came_with_counts(void **state)
{
	static const uint8_t a[] = MAC_A, b[] = MAC_B;
	struct link l = hardware(5);

	(void)state;
	/* Somebody changed it: still the VF. */
	l.has_permanent = true;
	memcpy(l.permanent, a, LINK_MAC);
	memcpy(l.mac, b, LINK_MAC);
	assert_int_equal(vf_is(l), 5);
	/* Somebody gave it ours. */
	memcpy(l.permanent, b, LINK_MAC);
	memcpy(l.mac, a, LINK_MAC);
	assert_int_equal(vf_is(l), 0);
}

static void an_unknown_address_matches_nothing(void **state)
{
	struct pair_nic a = { .ifindex = 2 };
	struct link l = hardware(5);

	(void)state;
	memset(l.mac, 0, LINK_MAC);
	pair_links(&a, 1, &l, 1, &cfg);
	assert_int_equal(a.vf, 0);
	memset(l.mac, 0xff, LINK_MAC);
	memset(a.mac, 0xff, LINK_MAC);
	pair_links(&a, 1, &l, 1, &cfg);
	assert_int_equal(a.vf, 0);
	l = hardware(5);
	l.ethernet = false;
	assert_int_equal(vf_is(l), 0);
}

static void serial_numbers_agree_where_both_are_known(void **state)
{
	struct link l = hardware(5);
	struct pair_nic a = nic();

	(void)state;
	a.has_serial = true;
	a.serial = 77;
	assert_int_equal(why(a, l), PAIR_MAC);
	l.has_serial = true;
	l.serial = 78;
	assert_int_equal(why(a, l), PAIR_NOT_OTHER_SERIAL);
	assert_int_equal(why(nic(), l), PAIR_MAC);
	l.serial = 77;
	assert_int_equal(why(a, l), PAIR_SERIAL);
	l.mac[5]++;
	assert_int_equal(why(a, l), PAIR_NOT_OTHER_MAC);
}

static void somebody_elses_port_is_left_alone(void **state)
{
	struct link links[2] = { hardware(5), hn() };

	(void)state;
	links[0].master = 9;
	assert_int_equal(vf_among(links, 2), 0);	/* one we do not see */
	links[1] = hardware(9);
	links[1].kind = LINK_STACKED;
	assert_int_equal(vf_among(links, 2), 0);
	links[1].ours = true;				/* our lagg */
	assert_int_equal(vf_among(links, 2), 5);
}

static void every_answer_has_its_words(void **state)
{
	(void)state;
	for (enum pair_why w = 0; w < PAIR_N_WHY; w++)
		assert_non_null(pair_why_text(w));
}

/* Several ------------------------------------------------------------------ */

static void interfaces_that_were_there_first_are_found(void **state)
{
	struct link links[] = { hardware(1), hn() };

	(void)state;
	links[0].ifindex = 1;
	assert_int_equal(vf_among(links, 2), 1);
}

static void the_first_stays_and_the_second_is_reported(void **state)
{
	struct link links[] = { hardware(5), hardware(4), hn() };
	struct pair_nic a = nic();

	(void)state;
	assert_int_equal(pair_links(&a, 1, links, 1, &cfg), 1);
	assert_int_equal(a.vf, 5);
	assert_int_equal(a.spare, 0);
	assert_int_equal(pair_links(&a, 1, links, 3, &cfg), 0);
	assert_int_equal(a.vf, 5);
	assert_int_equal(a.spare, 4);
	/* When the first goes it is the second's turn. */
	assert_true(pair_links(&a, 1, links + 1, 2, &cfg));
	assert_int_equal(a.vf, 4);
	assert_int_equal(a.spare, 0);
	assert_true(pair_links(&a, 1, links + 2, 1, &cfg));
	assert_int_equal(a.vf, 0);
}

static void of_two_new_ones_the_serial_decides(void **state)
{
	struct link links[] = { hardware(4), hardware(5), hardware(6) };
	struct pair_nic a = nic();

	(void)state;
	assert_int_equal(vf_among(links, 3), 4);
	a.has_serial = true;
	a.serial = 3;
	links[1].has_serial = true;
	links[1].serial = 3;
	pair_links(&a, 1, links, 3, &cfg);
	assert_int_equal(a.vf, 5);
	assert_int_equal(a.spare, 4);
}

static void a_vf_that_ceases_to_match_is_let_go(void **state)
{
	struct link l = hardware(5);
	struct pair_nic a = nic();

	(void)state;
	a.vf = 5;
	l.mac[5]++;
	assert_int_equal(pair_links(&a, 1, &l, 1, &cfg), 1);
	assert_int_equal(a.vf, 0);

	a.vf = 5;
	l = hardware(5);
	l.master = 9;
	assert_int_equal(pair_links(&a, 1, &l, 1, &cfg), 1);
	assert_int_equal(a.vf, 0);
}

static void no_interface_is_the_vf_of_two(void **state)
{
	struct pair_nic two[] = { nic(), nic() };
	struct link links[] = { hardware(5), hardware(6) };

	(void)state;
	two[1].ifindex = 3;
	pair_links(two, 2, links, 1, &cfg);
	assert_int_equal(two[0].vf, 5);
	assert_int_equal(two[1].vf, 0);
	assert_int_equal(two[1].spare, 0);
	pair_links(two, 2, links, 2, &cfg);
	assert_int_equal(two[0].vf, 5);
	assert_int_equal(two[1].vf, 6);
	assert_int_equal(two[0].spare, 0);

	/* Serials tell NICs of one address apart, whoever is asked first. */
	two[0] = two[1] = nic();
	two[1].ifindex = 3;
	two[0].has_serial = two[1].has_serial = true;
	two[0].serial = links[1].serial = 20;
	two[1].serial = links[0].serial = 10;
	links[0].has_serial = links[1].has_serial = true;
	pair_links(two, 2, links, 2, &cfg);
	assert_int_equal(two[0].vf, 6);
	assert_int_equal(two[1].vf, 5);
}

static void a_crowd_with_one_address_holds_one_vf(void **state)
{
	struct link links[] = {
		hn(), hardware(3), hardware(4), hardware(6), hardware(7),
		hardware(8),
	};
	enum { N = sizeof(links) / sizeof(*links) };

	(void)state;
	links[1].kind = LINK_STACKED;		/* the lagg itself */
	links[1].ours = true;
	links[2].kind = LINK_STACKED;		/* a VLAN over the VF */
	links[4].kind = LINK_TAP;
	links[5].kind = LINK_OTHER;
	links[3].master = 3;
	/* In any order: each turned to the front once. */
	for (size_t turn = 0; turn < N; turn++) {
		struct link first = links[0];

		memmove(links, links + 1, (N - 1) * sizeof(*links));
		links[N - 1] = first;
		assert_int_equal(vf_among(links, N), 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hardware_with_the_same_address_is_the_vf),
		cmocka_unit_test(another_address_is_another_nics),
		cmocka_unit_test(only_hardware_is_a_vf),
		cmocka_unit_test(a_veth_is_one_where_that_is_set),
		cmocka_unit_test(our_own_interfaces_are_never_one),
		cmocka_unit_test(the_address_it_came_with_counts),
		cmocka_unit_test(an_unknown_address_matches_nothing),
		cmocka_unit_test(serial_numbers_agree_where_both_are_known),
		cmocka_unit_test(somebody_elses_port_is_left_alone),
		cmocka_unit_test(every_answer_has_its_words),
		cmocka_unit_test(interfaces_that_were_there_first_are_found),
		cmocka_unit_test(the_first_stays_and_the_second_is_reported),
		cmocka_unit_test(of_two_new_ones_the_serial_decides),
		cmocka_unit_test(a_vf_that_ceases_to_match_is_let_go),
		cmocka_unit_test(no_interface_is_the_vf_of_two),
		cmocka_unit_test(a_crowd_with_one_address_holds_one_vf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
