/* test/unit/test_kvp_wire.c - KVP bodies against bytes laid out by hand from
 * doc/wire/kvp.md. */
#include "kvp/kvp_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ic/hv_utilreg.h"

#include <cmocka.h>

#define V4 HV_IC_VERSION(4, 0)
#define V5 HV_IC_VERSION(5, 0)

/* Bytes at offsets, everything else zero. */
struct at {
	unsigned offset;
	const char *bytes;
	size_t n;
};

#define AT(offset, bytes) { offset, bytes, sizeof(bytes) - 1 }

static void lay(uint8_t *body, const struct at *a, size_t n)
{
	memset(body, 0, KVP_WIRE_MAX);
	for (size_t i = 0; i < n; i++)
		memcpy(body + a[i].offset, a[i].bytes, a[i].n);
}

#define LAY(body, ...) do {						\
	const struct at parts[] = { __VA_ARGS__ };			\
									\
	lay(body, parts, sizeof(parts) / sizeof(parts[0]));		\
} while (0)

/* Read from an exact-size copy, so that ASan sees a read past it. */
static int get(struct kvp_msg *m, uint32_t version, const uint8_t *body,
	       size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	int err;

	memcpy(exact, body, len);
	err = kvp_wire_get_request(m, version, exact, len);
	free(exact);
	return err;
}

static uint8_t body[KVP_WIRE_MAX];

static void reads_a_set(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\x01\x03"), AT(4, "\x01"), AT(8, "\x06"),
	    AT(12, "\x04"), AT(16, "a\0\xe9\0"), AT(528, "x\0"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_int_equal(m.op, KVP_SET);
	assert_int_equal(m.pool, 3);
	assert_string_equal(m.key, "a\xc3\xa9");
	assert_string_equal(m.value, "x");
}

static void integers_become_decimal_text(void **state)
{
	static const struct {
		const char type, size, *bytes, *text;
		int err;
	} cases[] = {
		{ 4, 4, "\xff\xff\xff\xff\0\0\0\0", "4294967295", 0 },
		{ 11, 8, "\xff\xff\xff\xff\xff\xff\xff\xff",
		  "18446744073709551615", 0 },
		{ 8, 8, "\x07\0\0\0\x01\0\0\0", "4294967303", 0 },
		{ 4, 8, "\0\0\0\0\0\0\0\0", NULL, -EBADMSG },
		{ 11, 4, "\0\0\0\0\0\0\0\0", NULL, -EBADMSG },
		{ 7, 4, "\0\0\0\0\0\0\0\0", NULL, -EPROTO },
		{ 0, 4, "\0\0\0\0\0\0\0\0", NULL, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kvp_msg m;

		LAY(body, AT(0, "\x01"), AT(8, "\x04"), AT(16, "k"),
		    { 4, &cases[i].type, 1 }, { 12, &cases[i].size, 1 },
		    { 528, cases[i].bytes, 8 });
		assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE),
				 cases[i].err);
		if (!cases[i].err)
			assert_string_equal(m.value, cases[i].text);
	}
}

static void reads_delete_enumerate_and_get(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\x02"), AT(4, "\x04"), AT(8, "k"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_string_equal(m.key, "k");
	assert_int_equal(get(&m, V4, body, 520), 0);	/* without the tail */
	LAY(body, AT(0, "\x03\x01"), AT(4, "\x04\x03\x02\x01"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_int_equal(m.index, 0x01020304);
	LAY(body, AT(0, "\x00\x02"), AT(8, "\x04"), AT(16, "g"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_string_equal(m.key, "g");
	assert_string_equal(m.value, "");
}

static void a_size_counts_whether_it_counts_the_terminator_or_not(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\x02"), AT(4, "\x02"), AT(8, "k\0z"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_string_equal(m.key, "k");
	LAY(body, AT(0, "\x02"), AT(4, "\x06"), AT(8, "k\0\0\0z"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_string_equal(m.key, "k");
}

static void impossible_sizes_are_refused(void **state)
{
	static const struct {
		const char size[4];
		int err;
	} sizes[] = {
		{ "\x03", -EBADMSG }, { "\0", -EBADMSG },
		{ "\x02\x02", -EBADMSG }, { "\xff\xff\xff\xff", -EBADMSG },
		{ "\xfe\xff\xff\xff", -EBADMSG }, { "\0\x02", 0 },
	};
	struct kvp_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		LAY(body, AT(0, "\x02"), { 4, sizes[i].size, 4 }, AT(8, "k"));
		assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE),
				 sizes[i].err);
		LAY(body, AT(0, "\x01"), AT(4, "\x01"), AT(8, "\x04"),
		    AT(16, "k"), { 12, sizes[i].size, 4 }, AT(528, "v"));
		if (i == 1 || i == 2)		/* an empty value; 514 bytes */
			assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE),
					 0);
		else
			assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE),
					 sizes[i].err);
	}
}

static void refuses_every_shorter_body(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\x01"), AT(4, "\x01"), AT(8, "\x04"), AT(16, "k"),
	    AT(12, "\x04"), AT(528, "v"));
	for (size_t n = 0; n < 2576; n++)
		assert_int_equal(get(&m, V4, body, n), -EBADMSG);
	assert_int_equal(get(&m, V4, body, 2576), 0);
	LAY(body, AT(0, "\x03"));
	for (size_t n = 0; n < KVP_WIRE_EXCHANGE; n++)
		assert_int_equal(get(&m, V4, body, n), -EBADMSG);
	LAY(body, AT(0, "\x05"));
	for (size_t n = 0; n < KVP_WIRE_IP; n += 13) {
		assert_int_equal(get(&m, V4, body, n), -EBADMSG);
		if (n < 4 + 3712)
			assert_int_equal(get(&m, V5, body, n), -EBADMSG);
	}
}

static void text_that_needs_more_room_than_a_record_has_is_refused(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\x02"), AT(4, "\xfe\x01"));
	for (unsigned i = 0; i < 254; i++)
		memcpy(body + 8 + 2 * i, "\x2d\x4e", 2);	/* U+4E2D */
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), -EMSGSIZE);
	memset(body + 8 + 2 * 170, 0, 2);	/* 170 of them are 510 bytes */
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), 0);
	assert_int_equal(strlen(m.key), 510);
}

static void lone_surrogates_are_refused(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\x02"), AT(4, "\x06"), AT(8, "k\0\x00\xd8"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_EXCHANGE), -EILSEQ);
}

static void an_enumerate_answer_has_sizes_that_count_the_terminator(void **state)
{
	struct kvp_msg m = { .op = KVP_ENUMERATE };
	uint8_t want[KVP_WIRE_MAX];
	bool cut;

	(void)state;
	strcpy(m.key, "OS");
	strcpy(m.value, "\xf0\x9f\x90\xa7");
	LAY(want, AT(8, "\x01"), AT(12, "\x06"), AT(16, "\x06"),
	    AT(20, "O\0S\0"), AT(532, "\x3d\xd8\x27\xdc"));
	memset(body, 0xee, sizeof(body));
	memset(body, 0, 8);
	assert_int_equal(kvp_wire_put_answer(body, KVP_WIRE_EXCHANGE, V4, &m,
					     &cut), 0);
	assert_false(cut);
	assert_memory_equal(body, want, KVP_WIRE_EXCHANGE);
}

static void a_get_answer_goes_where_the_request_had_its_value(void **state)
{
	struct kvp_msg m = { .op = KVP_GET };
	bool cut;

	(void)state;
	strcpy(m.key, "k");
	strcpy(m.value, "v");
	LAY(body, AT(0, "\0\1"), AT(8, "\4"), AT(16, "k"));
	assert_int_equal(kvp_wire_put_answer(body, 2576, V5, &m, &cut), 0);
	assert_memory_equal(body, "\0\1\0\0\1\0\0\0\4\0\0\0\4\0\0\0k\0\0", 19);
	assert_memory_equal(body + 528, "v\0\0", 3);
	assert_int_equal(kvp_wire_put_answer(body, 2575, V5, &m, &cut),
			 -EBADMSG);
}

static void long_text_is_cut_at_a_whole_character(void **state)
{
	struct kvp_msg m = { .op = KVP_ENUMERATE };
	bool cut;

	(void)state;
	strcpy(m.key, "k");
	memset(m.value, 'v', 1022);
	strcpy(m.value + 1022, "\xf0\x9f\x90\xa7" "tail");	/* 2 units */
	assert_int_equal(kvp_wire_put_answer(body, KVP_WIRE_EXCHANGE, V4, &m,
					     &cut), 0);
	assert_true(cut);
	assert_memory_equal(body + 16, "\xfe\x07\0\0", 4);	/* 1023 units */
	assert_memory_equal(body + 532 + 2 * 1021, "v\0\0\0\0\0", 6);
}

static void an_error_answer_touches_nothing(void **state)
{
	struct kvp_msg m = { .op = KVP_GET, .status = HV_S_CONT };
	uint8_t before[KVP_WIRE_MAX];
	bool cut;

	(void)state;
	memset(body, 0x5a, sizeof(body));
	memcpy(before, body, sizeof(body));
	strcpy(m.value, "secret");
	assert_int_equal(kvp_wire_put_answer(body, KVP_WIRE_EXCHANGE, V4, &m,
					     &cut), 0);
	assert_memory_equal(body, before, sizeof(body));
}

static void reads_the_string_form_of_ip_info(void **state)
{
	struct kvp_msg m;

	(void)state;
	LAY(body, AT(0, "\5\1"), AT(2, "{\0a\0}\0"), AT(258, "\3\1"),
	    AT(260, "1\0.\0002\0.\0003\0.\0004\0;\0:\0:\0001\0"),
	    AT(2308, "m\0"), AT(4356, "g\0"), AT(5380, "d\0"));
	assert_int_equal(get(&m, V4, body, KVP_WIRE_IP), 0);
	assert_string_equal(m.ip.adapter_id, "{a}");
	assert_int_equal(m.ip.family, 3);
	assert_true(m.ip.dhcp);
	assert_string_equal(m.ip.addrs, "1.2.3.4;::1");
	assert_string_equal(m.ip.masks, "m");
	assert_string_equal(m.ip.gateways, "g");
	assert_string_equal(m.ip.dns, "d");
}

#define V6_1 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"

/* The binary form of two addresses, a gateway of each family, one server. */
static void lay_binary(uint8_t *b)
{
	LAY(b, AT(0, "\4\1"), AT(4, "\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0"),
	    AT(4 + 24, "0\0A\0"), AT(4 + 280, "\3\0"),
	    AT(4 + 284, "\xc0\0\2\7"), AT(4 + 540, V6_1),
	    AT(4 + 1564, "\xff\xff\xff\x80"), AT(4 + 1820, "\x40"),
	    AT(4 + 2076, "\xc0\0\2\1"), AT(4 + 2096, V6_1),
	    AT(4 + 2176, "\xc0\0\2\x35"), AT(4 + 3456, "\2"));
}

static void reads_the_binary_form_of_ip_info(void **state)
{
	struct kvp_msg m;

	(void)state;
	lay_binary(body);
	assert_int_equal(get(&m, V5, body, KVP_WIRE_IP), 0);
	assert_string_equal(m.ip.adapter_id, "0A");
	assert_string_equal(m.ip.addrs, "192.0.2.7;2001:db8::1");
	assert_string_equal(m.ip.masks, "255.255.255.128;/64");
	assert_string_equal(m.ip.gateways, "192.0.2.1;2001:db8::1");
	assert_string_equal(m.ip.dns, "192.0.2.53");
}

static void writes_the_binary_form_of_ip_info(void **state)
{
	struct kvp_msg m = { .op = KVP_GET_IP_INFO };
	uint8_t want[KVP_WIRE_MAX];
	bool cut;

	(void)state;
	lay_binary(want);
	strcpy(m.ip.adapter_id, "0A");
	m.ip.family = 3;
	strcpy(m.ip.addrs, "192.0.2.7;2001:db8::1;");
	strcpy(m.ip.masks, "255.255.255.128;/64;");
	strcpy(m.ip.gateways, "192.0.2.1;2001:db8::1;");
	strcpy(m.ip.dns, "192.0.2.53");
	memset(body, 0xee, sizeof(body));
	memcpy(body, "\4\1\0\0", 4);
	assert_int_equal(kvp_wire_put_answer(body, KVP_WIRE_IP, V5, &m, &cut),
			 0);
	assert_false(cut);
	assert_memory_equal(body, want, KVP_WIRE_IP);
}

static void counts_past_their_arrays_are_refused(void **state)
{
	static const struct {
		unsigned at;
		char count;
	} bad[] = { { 0, 65 }, { 4, 65 }, { 8, 6 }, { 12, 6 }, { 16, 65 },
		    { 20, 65 }, { 3, -1 } };
	struct kvp_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		lay_binary(body);
		body[4 + bad[i].at] = (uint8_t)bad[i].count;
		assert_int_equal(get(&m, V5, body, KVP_WIRE_IP), -EBADMSG);
	}
	lay_binary(body);
	body[4 + 1820] = 129;			/* no such prefix */
	assert_int_equal(get(&m, V5, body, KVP_WIRE_IP), -EBADMSG);
}

static void addresses_that_are_none_are_refused(void **state)
{
	static const char *const bad[][2] = {
		{ "300.0.0.1", "255.0.0.0" }, { "192.0.2.1", "/33x" },
		{ "2001:db8::1", "/129" }, { "192.0.2.1", "" },
		{ "192.0.2.1;192.0.2.2", "255.0.0.0" },
		{ "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
		  "/64" },
	};
	bool cut;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct kvp_msg m = { .op = KVP_GET_IP_INFO };

		strcpy(m.ip.addrs, bad[i][0]);
		strcpy(m.ip.masks, bad[i][1]);
		assert_int_equal(kvp_wire_put_answer(body, KVP_WIRE_IP, V5, &m,
						     &cut), -EINVAL);
	}
}

static void gateways_past_the_fifth_are_left_out(void **state)
{
	struct kvp_msg m = { .op = KVP_GET_IP_INFO };
	bool cut;

	(void)state;
	strcpy(m.ip.gateways, "10.0.0.1;10.0.0.2;10.0.0.3;10.0.0.4;10.0.0.5;"
	       "10.0.0.6;::1");
	assert_int_equal(kvp_wire_put_answer(body, KVP_WIRE_IP, V5, &m, &cut),
			 0);
	assert_true(cut);
	assert_int_equal(body[4 + 8], 5);
	assert_int_equal(body[4 + 12], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_set),
		cmocka_unit_test(integers_become_decimal_text),
		cmocka_unit_test(reads_delete_enumerate_and_get),
		cmocka_unit_test(a_size_counts_whether_it_counts_the_terminator_or_not),
		cmocka_unit_test(impossible_sizes_are_refused),
		cmocka_unit_test(refuses_every_shorter_body),
		cmocka_unit_test(text_that_needs_more_room_than_a_record_has_is_refused),
		cmocka_unit_test(lone_surrogates_are_refused),
		cmocka_unit_test(an_enumerate_answer_has_sizes_that_count_the_terminator),
		cmocka_unit_test(a_get_answer_goes_where_the_request_had_its_value),
		cmocka_unit_test(long_text_is_cut_at_a_whole_character),
		cmocka_unit_test(an_error_answer_touches_nothing),
		cmocka_unit_test(reads_the_string_form_of_ip_info),
		cmocka_unit_test(reads_the_binary_form_of_ip_info),
		cmocka_unit_test(writes_the_binary_form_of_ip_info),
		cmocka_unit_test(counts_past_their_arrays_are_refused),
		cmocka_unit_test(addresses_that_are_none_are_refused),
		cmocka_unit_test(gateways_past_the_fifth_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
