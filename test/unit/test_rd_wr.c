/* test/unit/test_rd_wr.c - the bounds-checked readers and writers. */
#include "base/rd.h"
#include "base/wr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8,
				 9, 10, 11, 12, 13, 14, 15 };

static void reads_little_endian_fields_in_order(void **state)
{
	struct rd r = rd_of(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_le16(&r), 0x0302);
	assert_int_equal(rd_le32(&r), 0x07060504);
	assert_true(rd_le64(&r) == 0x0f0e0d0c0b0a0908);
	assert_false(r.bad);
	assert_int_equal(r.left, 0);
}

static void a_read_past_the_end_stays_bad_and_gives_zero(void **state)
{
	struct rd r = rd_of(bytes, 3);
	uint8_t copy[4] = { 9, 9, 9, 9 };

	(void)state;
	assert_int_equal(rd_le16(&r), 0x0201);
	rd_copy(&r, copy, sizeof(copy));
	assert_true(r.bad);
	assert_memory_equal(copy, "\0\0\0\0", 4);
	assert_int_equal(rd_u8(&r), 0);
	assert_null(rd_bytes(&r, 0));
}

static void writes_what_the_reader_reads(void **state)
{
	uint8_t buf[15];
	struct wr w = wr_of(buf, sizeof(buf));

	(void)state;
	wr_u8(&w, 1);
	wr_le16(&w, 0x0302);
	wr_le32(&w, 0x07060504);
	wr_le64(&w, 0x0f0e0d0c0b0a0908);
	assert_false(w.bad);
	assert_int_equal(w.len, sizeof(buf));
	assert_memory_equal(buf, bytes, sizeof(buf));
}

static void a_write_past_the_end_changes_nothing(void **state)
{
	uint8_t buf[4] = { 7, 7, 7, 7 };
	struct wr w = wr_of(buf, 3);

	(void)state;
	wr_le32(&w, 0);
	assert_true(w.bad);
	assert_int_equal(w.len, 0);
	wr_u8(&w, 0);
	assert_memory_equal(buf, "\7\7\7\7", 4);
}

static void nothing_at_all_is_fine(void **state)
{
	struct rd r = rd_of(NULL, 0);
	struct wr w = wr_of(NULL, 0);

	(void)state;
	rd_skip(&r, 0);
	wr_zero(&w, 0);
	assert_false(r.bad || w.bad);
	rd_skip(&r, 1);
	wr_zero(&w, 1);
	assert_true(r.bad && w.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_little_endian_fields_in_order),
		cmocka_unit_test(a_read_past_the_end_stays_bad_and_gives_zero),
		cmocka_unit_test(writes_what_the_reader_reads),
		cmocka_unit_test(a_write_past_the_end_changes_nothing),
		cmocka_unit_test(nothing_at_all_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
