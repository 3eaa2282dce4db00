/* test/unit/test_host_kvp_wire.c - the host's reading and writing of KVP
 * bodies, against bytes placed by hand from the tables of doc/wire/kvp.md. */
#include "host/host_kvp_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { V4 = 0x40000, V5 = 0x50000 };

/* Place bytes given as a string literal at an offset. */
#define AT(buf, off, lit) memcpy((buf) + (off), lit, sizeof(lit) - 1)

static size_t put(uint8_t *out, const struct host_kvp_msg *m, uint32_t version)
{
	struct wr w = wr_of(out, HOST_KVP_IP);

	assert_int_equal(host_kvp_put(&w, m, version), 0);
	return w.len;
}

static int put_err(const struct host_kvp_msg *m, uint32_t version)
{
	uint8_t out[HOST_KVP_IP];
	struct wr w = wr_of(out, sizeof(out));

	return host_kvp_put(&w, m, version);
}

static void a_set_of_a_string_byte_for_byte(void **state)
{
	struct host_kvp_msg m = { .op = KVP_SET, .pool = 3, .item = {
		.type = KVP_TYPE_STRING, .key = "ab", .value = "\xc3\xa9" } };
	uint8_t want[2580] = { 0 }, got[HOST_KVP_IP];

	(void)state;
	AT(want, 0, "\1\3\0\0" "\1\0\0\0" "\6\0\0\0" "\4\0\0\0" "a\0b\0");
	AT(want, 528, "\xe9\0");
	assert_int_equal(put(got, &m, V4), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void integers_are_binary_in_the_value_field(void **state)
{
	struct host_kvp_msg m = { .op = KVP_SET, .item = {
		.type = KVP_TYPE_U32, .key = "n", .value = "4294967295" } };
	uint8_t got[HOST_KVP_IP];

	(void)state;
	put(got, &m, V4);
	assert_memory_equal(got + 4, "\4\0\0\0" "\4\0\0\0" "\4\0\0\0", 12);
	assert_memory_equal(got + 528, "\xff\xff\xff\xff\0\0\0\0", 8);
	m.item.type = KVP_TYPE_U64;
	strcpy(m.item.value, "72623859790382856");
	put(got, &m, V4);
	assert_memory_equal(got + 4, "\13\0\0\0" "\4\0\0\0" "\10\0\0\0", 12);
	assert_memory_equal(got + 528, "\10\7\6\5\4\3\2\1", 8);
	strcpy(m.item.value, "12x");
	assert_int_equal(put_err(&m, V4), -EINVAL);
	m.item.type = KVP_TYPE_U32;
	strcpy(m.item.value, "4294967296");
	assert_int_equal(put_err(&m, V4), -EINVAL);
	m.item.type = 7;
	assert_int_equal(put_err(&m, V4), -EINVAL);
}

static void delete_and_enumerate_byte_for_byte(void **state)
{
	struct host_kvp_msg del = { .op = KVP_DELETE, .item.key = "k" };
	struct host_kvp_msg enu = { .op = KVP_ENUMERATE, .pool = 1,
				    .index = 0x01020304 };
	uint8_t want[2580] = { 0 }, got[HOST_KVP_IP];

	(void)state;
	AT(want, 0, "\2\0\0\0" "\4\0\0\0" "k\0");
	assert_int_equal(put(got, &del, V5), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	memset(want, 0, sizeof(want));
	AT(want, 0, "\3\1\0\0" "\4\3\2\1");
	assert_int_equal(put(got, &enu, V5), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

static void a_key_may_have_255_units_and_a_value_1023(void **state)
{
	struct host_kvp_msg m = { .op = KVP_SET,
				  .item.type = KVP_TYPE_STRING };
	uint8_t got[HOST_KVP_IP];

	(void)state;
	memset(m.item.key, 'k', 255);
	memset(m.item.value, 'v', 1023);
	put(got, &m, V4);
	assert_memory_equal(got + 8, "\0\2\0\0" "\0\10\0\0", 8);
	m.item.key[255] = 'k';
	assert_int_equal(put_err(&m, V4), -EMSGSIZE);
	m.item.key[255] = '\0';
	m.item.value[1023] = 'v';
	assert_int_equal(put_err(&m, V4), -EMSGSIZE);
}

static const struct host_kvp_ip an_ip = {
	.adapter = "{a}", .family = 3, .dhcp = true,
	.addrs = "10.1.2.3;fe80::1;10.1.2.4", .masks = "255.0.0.0;/64;255.255.0.0",
	.gateways = "10.0.0.1;fe80::2", .dns = "1.2.3.4;2001:db8::8",
};

static void set_ip_in_the_string_form_byte_for_byte(void **state)
{
	struct host_kvp_msg m = { .op = KVP_SET_IP_INFO, .pool = 1 };
	uint8_t want[7428] = { 0 }, got[HOST_KVP_IP];

	(void)state;
	m.ip = an_ip;
	strcpy(m.ip.addrs, "10.1");
	strcpy(m.ip.masks, "/8");
	strcpy(m.ip.gateways, "g");
	strcpy(m.ip.dns, "d");
	AT(want, 0, "\5\1" "{\0a\0}\0");
	AT(want, 258, "\3\1" "1\0" "0\0" ".\0" "1\0");
	AT(want, 2308, "/\0" "8\0");
	AT(want, 4356, "g\0");
	AT(want, 5380, "d\0");
	assert_int_equal(put(got, &m, V4), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
}

/* The binary form of an_ip, at body offset 4. */
static void binary_ip(uint8_t *body)
{
	uint8_t *ip = body + 4;

	AT(ip, 0, "\2\0\0\0" "\1\0\0\0" "\1\0\0\0" "\1\0\0\0" "\1\0\0\0"
	   "\1\0\0\0");
	AT(ip, 24, "{\0a\0}\0");
	AT(ip, 280, "\3\1\0\0");
	AT(ip, 284, "\12\1\2\3" "\12\1\2\4");
	AT(ip, 540, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1");
	AT(ip, 1564, "\xff\0\0\0" "\xff\xff\0\0");
	AT(ip, 1820, "\x40\0\0\0");
	AT(ip, 2076, "\12\0\0\1");
	AT(ip, 2096, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\2");
	AT(ip, 2176, "\1\2\3\4");
	AT(ip, 2432, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\x8");
	AT(ip, 3456, "\2\0\2\0\2\0");
}

static void set_ip_in_the_binary_form_byte_for_byte(void **state)
{
	struct host_kvp_msg m = { .op = KVP_SET_IP_INFO, .pool = 1 };
	uint8_t want[7428] = { 0 }, got[HOST_KVP_IP];

	(void)state;
	m.ip = an_ip;
	AT(want, 0, "\5\1");
	binary_ip(want);
	assert_int_equal(put(got, &m, V5), sizeof(want));
	assert_memory_equal(got, want, sizeof(want));
	strcpy(m.ip.gateways, "1.1.1.1;1.1.1.2;1.1.1.3;1.1.1.4;1.1.1.5;1.1.1.6");
	assert_int_equal(put_err(&m, V5), -EMSGSIZE);
	strcpy(m.ip.gateways, "one");
	assert_int_equal(put_err(&m, V5), -EINVAL);
}

static int get(struct host_kvp_msg *m, const uint8_t *body, size_t len,
	       uint32_t version, bool strict)
{
	uint8_t *copy = malloc(len ? len : 1);
	const char *why = NULL;
	int err;

	assert_non_null(copy);
	if (len)
		memcpy(copy, body, len);
	err = host_kvp_get(m, copy, len, version, strict, &why);
	assert_true(err == 0 || why);
	free(copy);
	return err;
}

static void reads_the_binary_ip_form(void **state)
{
	struct host_kvp_msg m = { .op = KVP_GET_IP_INFO };
	uint8_t body[7428] = { 0 };

	(void)state;
	binary_ip(body);
	assert_int_equal(get(&m, body, 3716, V5, true), 0);
	assert_string_equal(m.ip.addrs, "10.1.2.3;10.1.2.4;fe80::1");
	assert_string_equal(m.ip.masks, "255.0.0.0;255.255.0.0;64");
	assert_string_equal(m.ip.gateways, "10.0.0.1;fe80::2");
	assert_string_equal(m.ip.dns, "1.2.3.4;2001:db8::8");
	assert_string_equal(m.ip.origins, "static;static;static");
	assert_int_equal(m.ip.family, 3);
	assert_true(m.ip.dhcp);
	assert_int_equal(get(&m, body, 3715, V5, true), -EBADMSG);
}

static void refuses_counts_of_addresses_above_their_arrays(void **state)
{
	static const uint8_t max[] = { 64, 64, 5, 5, 64, 64 };

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct host_kvp_msg m = { .op = KVP_GET_IP_INFO };
		uint8_t body[7428] = { 0 };

		body[4 + 4 * i] = max[i];
		assert_int_equal(get(&m, body, sizeof(body), V5, true), 0);
		body[4 + 4 * i]++;
		assert_int_equal(get(&m, body, sizeof(body), V5, true),
				 -EBADMSG);
		assert_int_equal(get(&m, body, sizeof(body), V5, false),
				 -EBADMSG);
	}
}

static void reads_the_string_ip_form(void **state)
{
	struct host_kvp_msg m = { .op = KVP_GET_IP_INFO };
	uint8_t body[7428] = { 0 };

	(void)state;
	AT(body, 258, "\1\1" "1\0" ".\0" "2\0");
	AT(body, 2308, "m\0");
	AT(body, 4356, "g\0;\0");
	AT(body, 5380, "d\0");
	assert_int_equal(get(&m, body, sizeof(body), V4, true), 0);
	assert_string_equal(m.ip.addrs, "1.2");
	assert_string_equal(m.ip.masks, "m");
	assert_string_equal(m.ip.gateways, "g;");
	assert_string_equal(m.ip.dns, "d");
	memset(body + 260, 'x', 2048);
	assert_int_equal(get(&m, body, sizeof(body), V4, true), -EBADMSG);
	assert_int_equal(get(&m, body, sizeof(body) - 1, V4, true), -EBADMSG);
}

/* ENUMERATE answered with "K" = "val", then bytes changed for one flaw. */
static void an_answer(uint8_t body[2580])
{
	memset(body, 0, 2580);
	AT(body, 0, "\3\1\0\0" "\7\0\0\0" "\1\0\0\0" "\4\0\0\0" "\10\0\0\0"
	   "K\0");
	AT(body, 532, "v\0a\0l\0");
}

static void reads_an_enumerated_record(void **state)
{
	struct host_kvp_msg m = { .op = KVP_ENUMERATE };
	uint8_t body[2580];

	(void)state;
	an_answer(body);
	assert_int_equal(get(&m, body, sizeof(body), V4, true), 0);
	assert_string_equal(m.item.key, "K");
	assert_string_equal(m.item.value, "val");
	AT(body, 8, "\13\0\0\0" "\4\0\0\0" "\10\0\0\0");
	AT(body, 532, "\xff\xff\xff\xff\xff\xff\xff\xff");
	assert_int_equal(get(&m, body, sizeof(body), V4, true), 0);
	assert_string_equal(m.item.value, "18446744073709551615");
}

static void reads_a_got_value_and_leaves_the_key(void **state)
{
	struct host_kvp_msg m = { .op = KVP_GET, .item.key = "asked" };
	uint8_t body[2576] = { 0 };

	(void)state;
	AT(body, 4, "\1\0\0\0" "\0\0\0\0" "\4\0\0\0");
	AT(body, 528, "\x3d\xd8\x0a\xde");
	body[12] = 6;			/* a pair and a terminator */
	assert_int_equal(get(&m, body, sizeof(body), V4, true), 0);
	assert_string_equal(m.item.key, "asked");
	assert_string_equal(m.item.value, "\xf0\x9f\x98\x8a");
}

static void a_strict_host_refuses_what_openvmm_refuses(void **state)
{
	static const struct {
		size_t at;
		uint8_t v;
		bool lenient_too;	/* nobody could understand it */
	} flaws[] = {
		{ 12, 3, false },	/* odd key size */
		{ 12, 0, false },	/* no terminator counted */
		{ 12, 2, false },	/* size ends before the terminator */
		{ 13, 3, true },	/* key size 772 */
		{ 16, 7, false },	/* odd value size */
		{ 17, 9, true },	/* value size above 2048 */
		{ 21, 0xd8, false },	/* lone surrogate in the key */
		{ 533, 0xdc, false },	/* lone surrogate in the value */
		{ 8, 3, true },		/* value type 3 */
		{ 8, 8, false },	/* value type 8 with size 8 */
		{ 8, 4, true },		/* u32 of 8 bytes */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
		struct host_kvp_msg m = { .op = KVP_ENUMERATE };
		uint8_t body[2580];

		an_answer(body);
		body[flaws[i].at] = flaws[i].v;
		assert_int_equal(get(&m, body, sizeof(body), V4, true),
				 -EBADMSG);
		assert_int_equal(get(&m, body, sizeof(body), V4, false),
				 flaws[i].lenient_too ? -EBADMSG : 0);
	}
}

static void a_short_body_is_refused_strictly_and_read_leniently(void **state)
{
	struct host_kvp_msg m = { .op = KVP_ENUMERATE };
	uint8_t body[2580];

	(void)state;
	an_answer(body);
	for (size_t n = 0; n < sizeof(body); n += 7)
		assert_int_equal(get(&m, body, n, V4, true), -EBADMSG);
	assert_int_equal(get(&m, body, 540, V4, false), 0);
	assert_string_equal(m.item.value, "val");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_of_a_string_byte_for_byte),
		cmocka_unit_test(integers_are_binary_in_the_value_field),
		cmocka_unit_test(delete_and_enumerate_byte_for_byte),
		cmocka_unit_test(a_key_may_have_255_units_and_a_value_1023),
		cmocka_unit_test(set_ip_in_the_string_form_byte_for_byte),
		cmocka_unit_test(set_ip_in_the_binary_form_byte_for_byte),
		cmocka_unit_test(reads_the_binary_ip_form),
		cmocka_unit_test(refuses_counts_of_addresses_above_their_arrays),
		cmocka_unit_test(reads_the_string_ip_form),
		cmocka_unit_test(reads_an_enumerated_record),
		cmocka_unit_test(reads_a_got_value_and_leaves_the_key),
		cmocka_unit_test(a_strict_host_refuses_what_openvmm_refuses),
		cmocka_unit_test(a_short_body_is_refused_strictly_and_read_leniently),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
