/* test/unit/test_host_ic_wire.c - the host's reading and writing of IC
 * messages, against bytes laid out by hand from doc/wire/ic.md. */
#include "host/host_ic_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Host: frameworks 1.0 and 3.0, messages 3.0, 4.0 and 5.0. */
static const uint8_t negotiate[] = {
	0x01, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00,	/* pipe: 48 bytes */
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00,		/* 0.0, type 0 */
	0x00, 0x00, 0x00, 0x00, 0x1c, 0x00,		/* 0.0, body 28 */
	0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00,	/* ok, xact 0, flags 3 */
	0x02, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00,	/* counts 2, 3 */
	0x01, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
	0x03, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00,
	0x05, 0x00, 0x00, 0x00,
};

/* Guest: 3.0 and 5.0, the minimal form; 4 bytes of ring padding. */
static const uint8_t choice[] = {
	0x01, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x05, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
	0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

/* A message with a different value in every field. */
static const uint8_t every_field[] = {
	0x01, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00,	/* pipe: 24 bytes */
	0x03, 0x00, 0x01, 0x00, 0x02, 0x00,		/* 3.1, type 2 */
	0x05, 0x00, 0x04, 0x00, 0x04, 0x00,		/* 5.4, body 4 */
	0x03, 0x01, 0x07, 0x80, 0x2a, 0x05, 0x07, 0x06,	/* end, 42, 5, 0x607 */
	0xde, 0xad, 0xbe, 0xef,
};

static int get_exact(struct host_ic_msg *m, const uint8_t *bytes, size_t n,
		     const char **why)
{
	uint8_t *copy = malloc(n ? n : 1);
	int err;

	assert_non_null(copy);
	if (n)
		memcpy(copy, bytes, n);
	err = host_ic_get(m, copy, n, why);
	m->body = err == 0 ? bytes + (m->body - copy) : NULL;
	free(copy);
	return err;
}

static void writes_a_negotiation_byte_for_byte(void **state)
{
	const struct host_versions fw = { 2, { 0x10000, 0x30000 } };
	const struct host_versions msg = { 3, { 0x30000, 0x40000, 0x50000 } };
	struct host_ic_msg m = { .pipe_kind = 1, .flags = 3 };
	uint8_t body[64], out[128];
	struct wr b = wr_of(body, sizeof(body)), w = wr_of(out, sizeof(out));

	(void)state;
	host_ic_put_versions(&b, &fw, &msg);
	m.body = body;
	m.body_len = (uint16_t)b.len;
	host_ic_put(&w, &m);
	assert_false(b.bad || w.bad);
	assert_int_equal(w.len, sizeof(negotiate));
	assert_memory_equal(out, negotiate, sizeof(negotiate));
}

static void reads_a_choice(void **state)
{
	struct host_ic_choice c;
	struct host_ic_msg m;
	const char *why;

	(void)state;
	assert_int_equal(get_exact(&m, choice, sizeof(choice), &why), 0);
	assert_int_equal(m.flags, 5);
	assert_int_equal(host_ic_get_choice(&c, m.body, m.body_len), 0);
	assert_int_equal(c.n_framework, 1);
	assert_int_equal(c.n_message, 1);
	assert_int_equal(c.framework, 0x30000);
	assert_int_equal(c.message, 0x50000);
}

static void reads_and_writes_each_field_at_its_place(void **state)
{
	struct host_ic_msg m;
	uint8_t out[64];
	struct wr w = wr_of(out, sizeof(out));
	const char *why;

	(void)state;
	assert_int_equal(get_exact(&m, every_field, sizeof(every_field), &why),
			 0);
	assert_int_equal(m.framework, 0x30001);
	assert_int_equal(m.type, 2);
	assert_int_equal(m.version, 0x50004);
	assert_int_equal(m.body_len, 4);
	assert_int_equal(m.status, HV_S_CONT);
	assert_int_equal(m.xact, 42);
	assert_int_equal(m.flags, 5);
	assert_int_equal(m.reserved, 0x607);
	assert_int_equal(m.body[0], 0xde);
	host_ic_put(&w, &m);
	assert_int_equal(w.len, sizeof(every_field));
	assert_memory_equal(out, every_field, sizeof(every_field));
}

static void refuses_every_shorter_message_and_says_why(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(every_field); n++) {
		struct host_ic_msg m;
		const char *why = NULL;

		assert_int_equal(get_exact(&m, every_field, n, &why), -EBADMSG);
		assert_non_null(why);
	}
}

static void refuses_impossible_lengths_and_kinds(void **state)
{
	static const struct {
		size_t at;
		uint8_t v;
	} flaws[] = {
		{ 0, 2 },	/* pipe kind */
		{ 4, 25 },	/* pipe length beyond the packet */
		{ 4, 19 },	/* ... below the header */
		{ 5, 0x40 },	/* ... over every limit */
		{ 18, 5 },	/* body beyond the message */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
		uint8_t copy[sizeof(every_field)];
		struct host_ic_msg m;
		const char *why = NULL;

		memcpy(copy, every_field, sizeof(copy));
		copy[flaws[i].at] = flaws[i].v;
		assert_int_equal(get_exact(&m, copy, sizeof(copy), &why),
				 -EBADMSG);
		assert_non_null(why);
	}
}

static void refuses_a_choice_under_16_bytes(void **state)
{
	struct host_ic_choice c;

	(void)state;
	assert_int_equal(host_ic_get_choice(&c, choice + 28, 15), -EBADMSG);
}

static void names_of_versions_and_statuses_read_back(void **state)
{
	char text[HOST_VERSION_TEXT];
	uint32_t v;

	(void)state;
	assert_int_equal(host_version_parse(&v, "3.1"), 0);
	assert_int_equal(v, 0x30001);
	assert_string_equal(host_version_text(text, v), "3.1");
	assert_int_equal(host_version_parse(&v, "3"), -EINVAL);
	assert_int_equal(host_version_parse(&v, "3.70000"), -EINVAL);
	assert_int_equal(host_version_parse(&v, "-3.0"), -EINVAL);
	assert_int_equal(host_status_parse(&v, "no-more-items"), 0);
	assert_int_equal(v, 0x80070103);
	assert_int_equal(host_status_parse(&v, "0x80041002"), 0);
	assert_string_equal(host_status_name(v), "no-such-adapter");
	assert_string_equal(host_status_name(0x12), "0x00000012");
	assert_int_equal(host_status_parse(&v, "0x"), -EINVAL);
	assert_int_equal(host_status_parse(&v, "okay"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_a_negotiation_byte_for_byte),
		cmocka_unit_test(reads_a_choice),
		cmocka_unit_test(reads_and_writes_each_field_at_its_place),
		cmocka_unit_test(refuses_every_shorter_message_and_says_why),
		cmocka_unit_test(refuses_impossible_lengths_and_kinds),
		cmocka_unit_test(refuses_a_choice_under_16_bytes),
		cmocka_unit_test(names_of_versions_and_statuses_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
