/* test/unit/test_ic_wire.c - IC framing against bytes laid out by hand. */
#include "ic/ic_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t heartbeat[] = {
	0x01, 0x00, 0x00, 0x00, 0x1c, 0x00, 0x00, 0x00,	/* pipe: data, 28 */
	0x03, 0x00, 0x00, 0x00, 0x01, 0x00,		/* framework 3.0, type 1 */
	0x03, 0x00, 0x01, 0x00, 0x08, 0x00,		/* message 3.1, body 8 */
	0x05, 0x40, 0x00, 0x80, 0x05, 0x03, 0x00, 0x00,	/* E_FAIL, xact 5, flags 3 */
	0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,	/* sequence 42 */
};

/* The negotiation that a host opens with: frameworks 1.0 and 3.0, messages
 * 3.0, 4.0, 5.0, then 4 bytes of padding. */
static const uint8_t negotiate[] = {
	0x01, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x1c, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00,
	0x02, 0x00, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x01, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00,
	0x03, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00,
};

/* ... and the reply that chooses 3.0 and 5.0. */
static const uint8_t choice[] = {
	0x01, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x10, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00,
	0x01, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x03, 0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00,
};

/* Read from an exact-size copy, so that ASan sees a read past it. */
static int get(struct ic_hdr *h, struct rd *r, const uint8_t *bytes, size_t n,
	       uint8_t **copy)
{
	*copy = malloc(n ? n : 1);
	memcpy(*copy, bytes, n);
	*r = rd_of(*copy, n);
	return ic_hdr_get(h, r);
}

static void reads_every_field(void **state)
{
	struct ic_hdr h;
	struct rd r;
	uint8_t *copy;

	(void)state;
	assert_int_equal(get(&h, &r, heartbeat, sizeof(heartbeat), &copy), 0);
	assert_int_equal(h.framework, HV_IC_VERSION(3, 0));
	assert_int_equal(h.version, HV_IC_VERSION(3, 1));
	assert_int_equal(h.type, HV_IC_HEARTBEAT);
	assert_int_equal(h.body_len, 8);
	assert_int_equal(h.status, HV_E_FAIL);
	assert_int_equal(h.xact, 5);
	assert_int_equal(h.flags, HV_IC_TRANSACTION | HV_IC_REQUEST);
	assert_int_equal(r.left, 8);
	assert_int_equal(rd_le64(&r), 42);
	free(copy);
}

static void writes_what_was_laid_out_by_hand(void **state)
{
	const struct ic_hdr h = {
		.framework = HV_IC_VERSION(3, 0),
		.version = HV_IC_VERSION(3, 1), .type = HV_IC_HEARTBEAT,
		.body_len = 8, .status = HV_E_FAIL, .xact = 5, .flags = 3,
	};
	uint8_t buf[IC_WIRE_HDR];
	struct wr w = wr_of(buf, sizeof(buf));

	(void)state;
	ic_hdr_put(&w, &h, 28);
	assert_false(w.bad);
	assert_memory_equal(buf, heartbeat, sizeof(buf));
}

static void refuses_every_shorter_message(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(heartbeat); n++) {
		struct ic_hdr h;
		struct rd r;
		uint8_t *copy;
		int err = get(&h, &r, heartbeat, n, &copy);

		assert_int_equal(err, n < IC_WIRE_HDR ? -EBADMSG : -EMSGSIZE);
		assert_true(n < IC_WIRE_HDR || r.left == 0);
		free(copy);
	}
}

static void the_smallest_of_three_lengths_counts(void **state)
{
	uint8_t bad[sizeof(heartbeat)], *copy;
	struct ic_hdr h;
	struct rd r;

	(void)state;
	memcpy(bad, heartbeat, sizeof(bad));
	bad[4] = 0x1b;				/* the pipe: one byte less */
	assert_int_equal(get(&h, &r, bad, sizeof(bad), &copy), -EMSGSIZE);
	free(copy);
	bad[4] = 0x13;				/* less than the IC header */
	assert_int_equal(get(&h, &r, bad, sizeof(bad), &copy), -EBADMSG);
	free(copy);
	memcpy(bad, heartbeat, sizeof(bad));
	bad[18] = 9;				/* the body: one byte more */
	assert_int_equal(get(&h, &r, bad, sizeof(bad), &copy), -EMSGSIZE);
	free(copy);
	bad[18] = 3;				/* less than there is: fine */
	assert_int_equal(get(&h, &r, bad, sizeof(bad), &copy), 0);
	assert_int_equal(r.left, 3);
	free(copy);
	memcpy(bad, heartbeat, sizeof(bad));
	bad[0] = 2;				/* a partial pipe message */
	assert_int_equal(get(&h, &r, bad, sizeof(bad), &copy), -EBADMSG);
	free(copy);
}

static void reads_the_lists_of_a_negotiation(void **state)
{
	struct ic_versions v;
	struct ic_hdr h;
	struct rd r;
	uint8_t *copy;

	(void)state;
	assert_int_equal(get(&h, &r, negotiate, sizeof(negotiate), &copy), 0);
	assert_int_equal(ic_versions_get(&v, &r), 0);
	assert_int_equal(v.n_frameworks, 2);
	assert_int_equal(v.n_versions, 3);
	assert_int_equal(v.frameworks[1], HV_IC_VERSION(3, 0));
	assert_int_equal(v.versions[2], HV_IC_VERSION(5, 0));
	free(copy);
}

static void refuses_impossible_counts(void **state)
{
	static const struct {
		uint8_t at, value;
	} bad[] = { { 28, 0 }, { 30, 0 }, { 28, 101 }, { 30, 101 }, { 29, 0xff },
		    { 28, 3 }, { 30, 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint8_t bytes[sizeof(negotiate)], *copy;
		struct ic_versions v;
		struct ic_hdr h;
		struct rd r;

		memcpy(bytes, negotiate, sizeof(bytes));
		bytes[bad[i].at] = bad[i].value;
		assert_int_equal(get(&h, &r, bytes, sizeof(bytes), &copy), 0);
		assert_int_equal(ic_versions_get(&v, &r), -EBADMSG);
		free(copy);
	}
}

static void searches_the_whole_list_in_any_order(void **state)
{
	static const uint32_t own[] = { HV_IC_VERSION(5, 0),
		HV_IC_VERSION(4, 0), HV_IC_VERSION(3, 0) };
	static const uint32_t up[] = { HV_IC_VERSION(3, 0),
		HV_IC_VERSION(4, 0), HV_IC_VERSION(5, 0), HV_IC_VERSION(9, 0) };
	static const uint32_t down[] = { HV_IC_VERSION(9, 0),
		HV_IC_VERSION(4, 0), HV_IC_VERSION(3, 0) };
	static const uint32_t minor[] = { HV_IC_VERSION(5, 1),
		HV_IC_VERSION(4, 1) };

	(void)state;
	assert_int_equal(ic_version_choose(own, 3, up, 4), HV_IC_VERSION(5, 0));
	assert_int_equal(ic_version_choose(own, 3, down, 3),
			 HV_IC_VERSION(4, 0));
	assert_int_equal(ic_version_choose(own, 3, up, 1), HV_IC_VERSION(3, 0));
	assert_int_equal(ic_version_choose(own, 3, minor, 2), 0);
}

static void writes_the_choice(void **state)
{
	uint8_t buf[IC_CHOICE_BODY];
	struct wr w = wr_of(buf, sizeof(buf));

	(void)state;
	ic_choice_put(&w, HV_IC_VERSION(3, 0), HV_IC_VERSION(5, 0));
	assert_false(w.bad);
	assert_memory_equal(buf, choice + IC_WIRE_HDR, sizeof(buf));
	w = wr_of(buf, sizeof(buf));
	ic_choice_put(&w, HV_IC_VERSION(3, 0), 0);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_field),
		cmocka_unit_test(writes_what_was_laid_out_by_hand),
		cmocka_unit_test(refuses_every_shorter_message),
		cmocka_unit_test(the_smallest_of_three_lengths_counts),
		cmocka_unit_test(reads_the_lists_of_a_negotiation),
		cmocka_unit_test(refuses_impossible_counts),
		cmocka_unit_test(searches_the_whole_list_in_any_order),
		cmocka_unit_test(writes_the_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
