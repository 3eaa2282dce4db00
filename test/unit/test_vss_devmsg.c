/* test/unit/test_vss_devmsg.c - the VSS device messages in both forms. The
 * bytes are laid out by hand from FreeBSD's 64-byte record and Linux' struct
 * hv_vss_msg (doc/wire/vss.md). */
#include "vss/vss_devmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int get(struct hv_vss_record *r, const uint8_t *buf, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, buf, len);
	err = vss_record_get(r, copy, len);
	free(copy);
	return err;
}

/* FREEZE, 60 s to answer, 10 s frozen at most */
static const uint8_t freeze[VSS_RECORD_SIZE] = {
	0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,	/* opt, status */
	0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,	/* msgid */
	0x60, 0xea, 0x00, 0x00, 0x10, 0x27, 0x00, 0x00,	/* 60000, 10000 */
};

/* the answer: no, "disk full" */
static const uint8_t answer[VSS_RECORD_SIZE] = {
	0x02, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
	0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
	'd', 'i', 's', 'k', ' ', 'f', 'u', 'l', 'l',
};

/* NOTE: the hook "pg" took 258 ms for its freeze */
static const uint8_t note[VSS_RECORD_SIZE] = {
	0x11, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
	0x02, 0x00, 0x00, 0x00, 0x02, 0x01, 0x00, 0x00,
	'p', 'g',
};

static void a_question_has_its_budgets(void **state)
{
	uint32_t answer_ms, frozen_ms;
	struct hv_vss_record r;
	uint8_t buf[VSS_RECORD_SIZE];

	(void)state;
	assert_int_equal(get(&r, freeze, sizeof(freeze)), 0);
	assert_int_equal(r.opt, HV_VSS_FREEZE);
	assert_int_equal(r.status, HV_VSS_OK);
	assert_true(r.msgid == 0x1122334455667788);
	vss_record_budget(&r, &answer_ms, &frozen_ms);
	assert_int_equal(answer_ms, 60000);
	assert_int_equal(frozen_ms, 10000);

	memset(r.reserved, 0xff, sizeof(r.reserved));
	vss_record_set_budget(&r, 60000, 10000);
	vss_record_put(buf, &r);
	assert_memory_equal(buf, freeze, sizeof(freeze));
}

static void an_answer_has_its_reason(void **state)
{
	uint8_t buf[VSS_RECORD_SIZE];
	struct hv_vss_record r;
	char text[48];

	(void)state;
	assert_int_equal(get(&r, answer, sizeof(answer)), 0);
	assert_int_equal(r.status, HV_VSS_FAIL);
	vss_record_text(text, &r);
	assert_string_equal(text, "disk full");

	memset(r.reserved, 0xff, sizeof(r.reserved));
	vss_record_set_text(&r, "disk full");
	vss_record_put(buf, &r);
	assert_memory_equal(buf, answer, sizeof(answer));
}

static void a_note_has_phase_duration_and_name(void **state)
{
	uint8_t buf[VSS_RECORD_SIZE];
	uint32_t phase, took_ms;
	struct hv_vss_record r;
	char part[40];

	(void)state;
	assert_int_equal(get(&r, note, sizeof(note)), 0);
	assert_int_equal(r.opt, HV_VSS_NOTE);
	vss_record_note(&r, &phase, &took_ms, part);
	assert_int_equal(phase, HV_VSS_FREEZE);
	assert_int_equal(took_ms, 258);
	assert_string_equal(part, "pg");

	memset(r.reserved, 0xff, sizeof(r.reserved));
	vss_record_set_note(&r, HV_VSS_FREEZE, 258, "pg");
	vss_record_put(buf, &r);
	assert_memory_equal(buf, note, sizeof(note));
}

static void refuses_every_other_size(void **state)
{
	uint8_t buf[VSS_RECORD_SIZE + 8] = { 0 };
	struct hv_vss_record r;
	uint32_t status;
	uint8_t op;

	(void)state;
	for (size_t n = 0; n <= sizeof(buf); n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memset(copy, VSS_LINUX_REGISTER, n);
		assert_int_equal(get(&r, buf, n),
				 n == VSS_RECORD_SIZE ? 0 : -EMSGSIZE);
		assert_int_equal(vss_linux_get_answer(&status, copy, n),
				 n == VSS_LINUX_SIZE ? 0 : -EMSGSIZE);
		assert_int_equal(vss_linux_get_register(&op, copy, n),
				 n == VSS_LINUX_SIZE ? 0 : -EMSGSIZE);
		free(copy);
	}
}

static void text_is_made_safe_to_print(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "\xf0\x9f\x90\xa7!", "\xf0\x9f\x90\xa7!" },
		{ "a\nb\x1b[2Jc\x7f", "a?b?[2Jc?" },
		{ "\xc2\x9b" "1m", "?1m" },		/* C1 */
		{ "\xff\xfe\xc3", "???" },
		{ "\xed\xa0\x80", "???" },		/* a surrogate */
		{ "\xc0\xaf", "??" },			/* overlong */
		{ "half \xf0\x9f\x90", "half ???" },
	};
	struct hv_vss_record r;
	char text[48];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&r, 0, sizeof(r));
		memcpy(r.reserved, cases[i].in, strlen(cases[i].in));
		vss_record_text(text, &r);
		assert_string_equal(text, cases[i].out);
	}
}

static void text_without_an_end_ends(void **state)
{
	struct hv_vss_record r;
	uint32_t phase, took_ms;
	char text[48], part[40];

	(void)state;
	memset(&r, 'x', sizeof(r));
	vss_record_text(text, &r);
	assert_int_equal(strlen(text), HV_VSS_TEXT_MAX);
	vss_record_note(&r, &phase, &took_ms, part);
	assert_int_equal(strlen(part), HV_VSS_NOTE_TEXT_MAX);
}

static void long_text_is_cut_at_a_character(void **state)
{
	char longer[101], text[48], part[40];
	uint32_t phase, took_ms;
	struct hv_vss_record r;

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		memset(longer, 'a', sizeof(longer));
		for (size_t i = lead; i + 4 < sizeof(longer); i += 4)
			memcpy(longer + i, "\xf0\x9f\x90\xa7", 4);
		longer[100] = '\0';
		vss_record_set_text(&r, longer);
		vss_record_text(text, &r);
		assert_null(strchr(text, '?'));
		assert_int_equal(strlen(text), 44 + lead);
		vss_record_set_note(&r, HV_VSS_THAW, 1, longer);
		vss_record_note(&r, &phase, &took_ms, part);
		assert_null(strchr(part, '?'));
		assert_true(strlen(part) > 35);
	}
}

/* Linux' struct hv_vss_msg: operation, seven reserved bytes, flags. */
static void the_linux_form_has_linux_operations(void **state)
{
	static const struct {
		unsigned opt;
		uint8_t op;
	} cases[] = {
		{ HV_VSS_CHECK, 2 }, { HV_VSS_FREEZE, 5 }, { HV_VSS_THAW, 6 },
		{ HV_VSS_ABORT, 6 },
	};
	uint8_t buf[VSS_LINUX_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint8_t golden[VSS_LINUX_SIZE] = { cases[i].op };

		memset(buf, 0xff, sizeof(buf));
		vss_linux_put_request(buf, cases[i].opt);
		assert_memory_equal(buf, golden, sizeof(golden));
	}
}

static void a_linux_answer_is_a_status(void **state)
{
	static const uint8_t fail[VSS_LINUX_SIZE] = {
		0x05, 0x40, 0x00, 0x80,
	};
	uint32_t status;

	(void)state;
	assert_int_equal(vss_linux_get_answer(&status, fail, sizeof(fail)), 0);
	assert_int_equal(status, 0x80004005);
}

static void a_linux_daemon_registers_and_is_told_so(void **state)
{
	static const uint8_t version[] = { 129, 0, 0, 0 };
	uint8_t buf[VSS_LINUX_SIZE] = { 129 }, op;

	(void)state;
	assert_int_equal(vss_linux_get_register(&op, buf, sizeof(buf)), 0);
	assert_int_equal(op, VSS_LINUX_REGISTER1);
	buf[0] = 128;
	assert_int_equal(vss_linux_get_register(&op, buf, sizeof(buf)), 0);
	assert_int_equal(op, VSS_LINUX_REGISTER);
	buf[0] = 100;			/* key-value pairs' registration */
	assert_int_equal(vss_linux_get_register(&op, buf, sizeof(buf)),
			 -EINVAL);
	vss_linux_put_version(buf);
	assert_memory_equal(buf, version, sizeof(version));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_has_its_budgets),
		cmocka_unit_test(an_answer_has_its_reason),
		cmocka_unit_test(a_note_has_phase_duration_and_name),
		cmocka_unit_test(refuses_every_other_size),
		cmocka_unit_test(text_is_made_safe_to_print),
		cmocka_unit_test(text_without_an_end_ends),
		cmocka_unit_test(long_text_is_cut_at_a_character),
		cmocka_unit_test(the_linux_form_has_linux_operations),
		cmocka_unit_test(a_linux_answer_is_a_status),
		cmocka_unit_test(a_linux_daemon_registers_and_is_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
