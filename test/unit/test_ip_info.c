/* test/unit/test_ip_info.c - which addresses are told, which interface an
 * adapter id means, and what settings may look like. The tables are made by
 * hand; what the kernel says is the system test's. */
#include "kvp/ip_info.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX = 128 };

struct table {
	struct netif ifs[MAX];
	struct netif_addr addrs[MAX];
	struct netif_table t;
};

static struct table *new_table(void)
{
	struct table *x = calloc(1, sizeof(*x));

	x->t.ifs = x->ifs;
	x->t.addrs = x->addrs;
	return x;
}

static struct netif *add_if(struct table *x, unsigned index, const char *name,
			    enum netif_kind kind)
{
	struct netif *i = &x->ifs[x->t.n_ifs++];

	*i = (struct netif){ .index = index, .kind = kind, .up = true,
			     .has_mac = true };
	snprintf(i->name, sizeof(i->name), "%s", name);
	return i;
}

static struct netif_addr *add_addr(struct table *x, unsigned index,
				   const char *text)
{
	struct netif_addr *a = &x->addrs[x->t.n_addrs++];

	*a = (struct netif_addr){ .index = index };
	a->family = strchr(text, ':') ? 6 : 4;
	a->prefix = a->family == 6 ? 64 : 24;
	assert_int_equal(inet_pton(a->family == 6 ? AF_INET6 : AF_INET, text,
				   a->addr), 1);
	return a;
}

static const char *list(struct table *x, unsigned family,
			enum netif_link_local ll, bool virtual_too)
{
	const struct netif_choice choice = { ll, virtual_too };
	static char out[1024];

	netif_list(out, IP_LIST_MAX, &x->t, family, &choice);
	return out;
}

/* Addresses ---------------------------------------------------------------- */

/* vmbus-and-ic 7.19: order arbitrary, every container listed;
 * freebsd-behaviour 6.22: loopback and link-local listed */
static void addresses_are_ordered_and_filtered(void **state)
{
	struct table *x = new_table();

	(void)state;
	add_if(x, 1, "lo", NETIF_LOOPBACK);
	add_if(x, 2, "docker0", NETIF_VIRTUAL);
	add_if(x, 9, "eth1", NETIF_MACHINE);
	add_if(x, 3, "eth0", NETIF_MACHINE);
	add_if(x, 4, "eth2", NETIF_MACHINE)->up = false;
	add_addr(x, 1, "127.0.0.1");
	add_addr(x, 2, "172.17.0.1");
	add_addr(x, 9, "10.0.1.1");
	add_addr(x, 3, "169.254.7.7");
	add_addr(x, 3, "10.0.0.2");
	add_addr(x, 3, "10.0.0.1");
	add_addr(x, 4, "10.9.9.9");
	add_addr(x, 1, "::1");
	add_addr(x, 2, "fd99::1");
	add_addr(x, 3, "fe80::1");
	add_addr(x, 9, "fd00::1");
	add_addr(x, 9, "2001:db8::9");
	add_addr(x, 3, "2001:db8::3:1")->temporary = true;
	add_addr(x, 3, "2001:db8::3");
	add_addr(x, 3, "2001:db8::dead")->unusable = true;

	assert_string_equal(list(x, 4, NETIF_LL_IF_ALONE, false),
			    "10.0.0.2;10.0.0.1;10.0.1.1");
	assert_string_equal(list(x, 4, NETIF_LL_ALWAYS, true),
		"10.0.0.2;10.0.0.1;10.0.1.1;172.17.0.1;169.254.7.7");
	assert_string_equal(list(x, 6, NETIF_LL_NEVER, false),
		"2001:db8::3;2001:db8::9;2001:db8::3:1;fd00::1");
	assert_string_equal(list(x, 6, NETIF_LL_ALWAYS, true),
		"2001:db8::3;2001:db8::9;2001:db8::3:1;fd00::1;fd99::1;fe80::1");
	free(x);
}

static void link_local_is_told_when_there_is_no_other(void **state)
{
	struct table *x = new_table();

	(void)state;
	add_if(x, 2, "eth0", NETIF_MACHINE);
	add_if(x, 3, "docker0", NETIF_VIRTUAL);
	add_addr(x, 2, "fe80::1");
	add_addr(x, 2, "169.254.1.1");
	add_addr(x, 3, "172.17.0.1");
	add_addr(x, 3, "fd99::1");
	assert_string_equal(list(x, 6, NETIF_LL_IF_ALONE, false), "fe80::1");
	assert_string_equal(list(x, 4, NETIF_LL_IF_ALONE, false),
			    "169.254.1.1");
	assert_string_equal(list(x, 6, NETIF_LL_NEVER, false), "");
	free(x);
}

static void virtual_interfaces_are_told_when_there_is_no_other(void **state)
{
	struct table *x = new_table();

	(void)state;
	add_if(x, 1, "lo", NETIF_LOOPBACK);
	add_if(x, 2, "host0", NETIF_VIRTUAL);
	add_addr(x, 1, "127.0.0.1");
	add_addr(x, 2, "10.0.0.1");
	assert_string_equal(list(x, 4, NETIF_LL_IF_ALONE, false), "10.0.0.1");
	free(x);
}

/* vmbus-and-ic 7.19: cut at 2048 bytes in the middle of an address */
static void a_long_list_ends_with_a_whole_address(void **state)
{
	struct table *x = new_table();
	const struct netif_choice choice = { NETIF_LL_NEVER, false };
	char out[IP_LIST_MAX + 1], *last;
	size_t left;

	(void)state;
	add_if(x, 2, "eth0", NETIF_MACHINE);
	for (unsigned i = 0; i < 100; i++) {
		char text[64];

		snprintf(text, sizeof(text), "2001:db8:1111:2222:3333:4444:"
			 "5555:%x", 0x1000 + i);
		add_addr(x, 2, text);
	}
	left = netif_list(out, sizeof(out) - 1, &x->t, 6, &choice);
	/* 38 bytes and a separator each: 26 fit in 1022 */
	assert_int_equal(left, 100 - 26);
	assert_int_equal(strlen(out), 26 * 38 + 25);
	last = strrchr(out, ';') + 1;
	assert_int_equal(strlen(last), 38);
	free(x);
}

/* Adapters ----------------------------------------------------------------- */

static void adapter_ids_are_read_in_any_case_and_whole(void **state)
{
	static const uint8_t want[] = { 0, 0x15, 0x5d, 0xab, 0xcd, 0xef };
	static const char *const none[] = {
		"", "0", "00:15:5D:AB:CD", "00:15:5D:AB:CD:E", "00155DABCDEF",
		"00:15:5D:AB:CD:EF:", "00:15:5D:AB:CD:EF0", "00:15:5D:AB:CD:EG",
		"00 15 5D AB CD EF", "{f8615163-df3e-46c5-913f-f2d2f965ed0e",
		"f8615163-df3e-46c5-913f-f2d2f965ed0e}",
		"f8615163-df3e-46c5-913f-f2d2f965ed0",
		"f8615163df3e-46c5-913f-f2d2f965ed0e-", "hn1",
	};
	uint8_t mac[NETIF_MAC];
	char guid[37];

	(void)state;
	assert_int_equal(ip_id_parse("00:15:5D:AB:CD:EF", mac, guid), IP_ID_MAC);
	assert_memory_equal(mac, want, 6);
	memset(mac, 0, 6);
	assert_int_equal(ip_id_parse("00-15-5d-ab-cd-ef", mac, guid), IP_ID_MAC);
	assert_memory_equal(mac, want, 6);
	assert_int_equal(ip_id_parse("{F8615163-DF3E-46c5-913F-F2D2F965ED0E}",
				     mac, guid), IP_ID_GUID);
	assert_string_equal(guid, "f8615163-df3e-46c5-913f-f2d2f965ed0e");
	assert_int_equal(ip_id_parse(guid, mac, guid), IP_ID_GUID);
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_int_equal(ip_id_parse(none[i], mac, guid), IP_ID_NONE);
}

static unsigned chosen(struct table *x, const bool *match)
{
	const struct netif *i = ip_info_choose(&x->t, match);

	return i ? i->index : 0;
}

static void of_several_with_the_mac_the_one_with_addresses(void **state)
{
	const bool both[MAX] = { true, true }, none[MAX] = { false };
	struct table *x = new_table();

	(void)state;
	add_if(x, 2, "vf0", NETIF_MACHINE);
	add_if(x, 3, "eth0", NETIF_MACHINE);
	assert_int_equal(chosen(x, none), 0);
	assert_int_equal(chosen(x, both), 2);
	add_addr(x, 3, "10.0.0.1");
	assert_int_equal(chosen(x, both), 3);
	free(x);
}

static void a_bond_above_stands_for_its_ports(void **state)
{
	const bool hn[MAX] = { true }, all[MAX] = { true, true, true };
	struct table *x = new_table();

	(void)state;
	add_if(x, 2, "hn0", NETIF_MACHINE)->master = 7;
	add_if(x, 4, "vf0", NETIF_MACHINE)->master = 7;
	add_if(x, 7, "lagg0", NETIF_MACHINE);
	assert_int_equal(chosen(x, hn), 7);
	add_addr(x, 7, "10.0.0.1");
	assert_int_equal(chosen(x, hn), 7);
	assert_int_equal(chosen(x, all), 7);
	/* before hn0's address has moved up, hn0 has it */
	x->addrs[0].index = 2;
	assert_int_equal(chosen(x, all), 2);
	free(x);
}

static void masters_in_a_circle_end(void **state)
{
	const bool all[MAX] = { true, true };
	struct table *x = new_table();

	(void)state;
	add_if(x, 2, "a", NETIF_MACHINE)->master = 3;
	add_if(x, 3, "b", NETIF_MACHINE)->master = 2;
	assert_true(chosen(x, all) >= 2);
	free(x);
}

/* Files -------------------------------------------------------------------- */

static int make_root(void **state)
{
	char *root = strdup("/tmp/test_ip_info.XXXXXX");

	assert_non_null(mkdtemp(root));
	*state = root;
	return 0;
}

/* Make the directories of root/name, write the file. */
static void put(const char *root, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void drop(const char *root, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s%s", root, name);
	while (strlen(path) > strlen(root)) {
		remove(path);
		*strrchr(path, '/') = '\0';
	}
}

static int remove_root(void **state)
{
	int err = rmdir(*state);

	free(*state);
	return err;
}

static const char *dns(const char *root)
{
	static char out[IP_LIST_MAX + 1];

	ip_info_dns(out, IP_LIST_MAX, root);
	return out;
}

static void dns_servers_are_the_resolvers(void **state)
{
	const char *root = *state;

	assert_string_equal(dns(root), "");
	put(root, "/etc/resolv.conf", "# nameserver 9.9.9.9\n"
	    "search a.b\nnameserver 10.0.0.53\n"
	    "nameserver\tfe80::53%eth0 \nnameserver rubbish\nnameserver\n"
	    "options rotate\nnameserver fd00::53");
	assert_string_equal(dns(root), "10.0.0.53;fe80::53;fd00::53");
	drop(root, "/etc/resolv.conf");
}

static void behind_systemds_stub_are_the_real_servers(void **state)
{
	const char *root = *state;

	put(root, "/etc/resolv.conf", "nameserver 127.0.0.53\n");
	assert_string_equal(dns(root), "127.0.0.53");
	put(root, "/run/systemd/resolve/resolv.conf",
	    "nameserver 10.0.0.53\nnameserver 10.0.0.54\n");
	assert_string_equal(dns(root), "10.0.0.53;10.0.0.54");
	put(root, "/etc/resolv.conf", "nameserver 10.1.1.1\n");
	assert_string_equal(dns(root), "10.1.1.1");
	drop(root, "/run/systemd/resolve/resolv.conf");
	drop(root, "/etc/resolv.conf");
}

/* vmbus-and-ic 7.17, freebsd-behaviour 6.17: eth1 also matched eth10 */
static void a_guid_is_found_whole_and_in_any_case(void **state)
{
	static const char wanted[] = "f8615163-df3e-46c5-913f-f2d2f965ed0e";
	struct table *x = new_table();
	bool match[MAX] = { false };

	add_if(x, 2, "eth1", NETIF_MACHINE);
	add_if(x, 3, "eth10", NETIF_MACHINE);
	add_if(x, 4, "eth2", NETIF_MACHINE);
	put(*state, "/sys/class/net/eth1/device/device_id",
	    "{f8615163-df3e-46c5-913f-f2d2f965ed0f}\n");
	put(*state, "/sys/class/net/eth10/device/device_id",
	    "{F8615163-df3e-46c5-913f-f2d2f965ed0e}\n");
	ip_info_match_guid(&x->t, wanted, *state, match);
	assert_false(match[0]);
	assert_true(match[1]);
	assert_false(match[2]);
	drop(*state, "/sys/class/net/eth1/device/device_id");
	drop(*state, "/sys/class/net/eth10/device/device_id");
	free(x);
}

/* freebsd-behaviour 6.21: always hn0's */
static void dhcp_is_decided_by_the_interfaces_own_lease(void **state)
{
	static const char lease[] = "lease {\n  fixed-address 10.0.0.9;\n}\n"
		"lease {\n  interface \"eth0\";\n  fixed-address 10.0.0.1;\n}\n";
	struct table *x = new_table();
	const char *root = *state;

	add_if(x, 2, "eth0", NETIF_MACHINE);
	add_if(x, 3, "eth1", NETIF_MACHINE);
	add_addr(x, 2, "10.0.0.1");
	add_addr(x, 3, "10.0.1.1");
	add_addr(x, 2, "2001:db8::1")->dynamic = true;
	assert_false(ip_info_dhcp(&x->t, &x->ifs[0], root));

	put(root, "/var/lib/dhcp/dhclient.eth0.leases", lease);
	assert_true(ip_info_dhcp(&x->t, &x->ifs[0], root));
	assert_false(ip_info_dhcp(&x->t, &x->ifs[1], root));
	/* the file outlives its use: the address is another one now */
	inet_pton(AF_INET, "10.0.0.2", x->addrs[0].addr);
	assert_false(ip_info_dhcp(&x->t, &x->ifs[0], root));
	drop(root, "/var/lib/dhcp/dhclient.eth0.leases");

	put(root, "/var/lib/NetworkManager/internal-1-2-eth1.lease",
	    "# private\nADDRESS=10.0.1.1\n");
	assert_true(ip_info_dhcp(&x->t, &x->ifs[1], root));
	drop(root, "/var/lib/NetworkManager/internal-1-2-eth1.lease");
	put(root, "/run/systemd/netif/leases/3", "ADDRESS=10.0.1.1\n");
	assert_true(ip_info_dhcp(&x->t, &x->ifs[1], root));
	assert_false(ip_info_dhcp(&x->t, &x->ifs[0], root));
	drop(root, "/run/systemd/netif/leases/3");

	x->addrs[0].dynamic = true;
	assert_true(ip_info_dhcp(&x->t, &x->ifs[0], root));
	free(x);
}

/* Settings ----------------------------------------------------------------- */

static struct kvp_ip sound(void)
{
	return (struct kvp_ip){
		.adapter_id = "{f8615163-df3e-46c5-913f-f2d2f965ed0e}",
		.family = KVP_IP_V4 | KVP_IP_V6,
		.addrs = "10.0.0.1;fd00::1;",
		.masks = "255.255.255.0;64",
		.gateways = "10.0.0.254;fe80::1",
		.dns = "10.0.0.53;fd00::53;",
	};
}

static void assert_refused(const struct kvp_ip *ip, const char *part)
{
	char why[128];

	assert_int_equal(ip_info_check(ip, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, part));
}

static void accepts_what_hosts_send(void **state)
{
	struct kvp_ip ip = sound();
	char why[128];

	(void)state;
	assert_int_equal(ip_info_check(&ip, why, sizeof(why)), 0);
	strcpy(ip.masks, "24;/64");
	assert_int_equal(ip_info_check(&ip, why, sizeof(why)), 0);
	ip = (struct kvp_ip){ .adapter_id = "00-15-5d-01-02-03", .dhcp = true };
	assert_int_equal(ip_info_check(&ip, why, sizeof(why)), 0);
}

static void refuses_addresses_and_masks_that_are_none(void **state)
{
	static const char *const addrs[] = {
		"10.0.0;fd00::1", "10.0.0.256;fd00::1", "10.0.0.1;fd00::g",
		"10.0.0.1/24;fd00::1", "$(reboot);fd00::1", "10.0.0.1,fd00::1",
		"10.0.0.1", "10.0.0.1;fd00::1;10.0.0.2", "01.0.0.1;fd00::1",
	};
	static const char *const masks[] = {
		"255.0.255.0;64", "33;64", "24;129", "24;/", "24;255.0.0.0",
		"255.255.255.0", "-1;64", "24;0x40", "24; ;64;1",
	};
	struct kvp_ip ip;

	(void)state;
	for (size_t i = 0; i < sizeof(addrs) / sizeof(*addrs); i++) {
		ip = sound();
		strcpy(ip.addrs, addrs[i]);
		assert_refused(&ip, "address");
	}
	for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++) {
		ip = sound();
		strcpy(ip.masks, masks[i]);
		assert_refused(&ip, "mask");
	}
}

static void refuses_what_is_of_the_other_family(void **state)
{
	struct kvp_ip ip = sound();

	(void)state;
	ip.family = KVP_IP_V4;
	assert_refused(&ip, "address 2 is of the other family");
	ip.family = 4;
	assert_refused(&ip, "family");
	ip = sound();
	strcpy(ip.addrs, "10.0.0.1");
	strcpy(ip.masks, "24");
	ip.family = KVP_IP_V4;
	assert_refused(&ip, "gateway 2 is of the other family");
	ip = sound();
	strcpy(ip.dns, "10.0.0.53;ns.example.org");
	assert_refused(&ip, "DNS server 2");
}

/* vmbus-and-ic 7.15: tokens of 2048 bytes went into 46 bytes of stack */
static void refuses_elements_longer_than_any_address(void **state)
{
	struct kvp_ip ip = sound();

	(void)state;
	memset(ip.addrs, '1', sizeof(ip.addrs) - 1);
	assert_refused(&ip, "too long");
	ip = sound();
	memset(ip.masks, '1', sizeof(ip.masks) - 1);
	assert_refused(&ip, "too long");
	ip = sound();
	memset(ip.gateways, '1', sizeof(ip.gateways) - 1);
	assert_refused(&ip, "gateway 1");
	ip = sound();
	memset(ip.dns, '1', sizeof(ip.dns) - 1);
	assert_refused(&ip, "DNS server 1");
}

#define FILES(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_ordered_and_filtered),
		cmocka_unit_test(link_local_is_told_when_there_is_no_other),
		cmocka_unit_test(virtual_interfaces_are_told_when_there_is_no_other),
		cmocka_unit_test(a_long_list_ends_with_a_whole_address),
		cmocka_unit_test(adapter_ids_are_read_in_any_case_and_whole),
		cmocka_unit_test(of_several_with_the_mac_the_one_with_addresses),
		cmocka_unit_test(a_bond_above_stands_for_its_ports),
		cmocka_unit_test(masters_in_a_circle_end),
		FILES(dns_servers_are_the_resolvers),
		FILES(behind_systemds_stub_are_the_real_servers),
		FILES(a_guid_is_found_whole_and_in_any_case),
		FILES(dhcp_is_decided_by_the_interfaces_own_lease),
		cmocka_unit_test(accepts_what_hosts_send),
		cmocka_unit_test(refuses_addresses_and_masks_that_are_none),
		cmocka_unit_test(refuses_what_is_of_the_other_family),
		cmocka_unit_test(refuses_elements_longer_than_any_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
