/* test/unit/test_kvp_devmsg.c - the device message in both forms. The bytes
 * are laid out by hand at the offsets of Linux' struct hv_kvp_msg and
 * FreeBSD's hv_kvp_msg (doc/wire/kvp.md). */
#include "kvp/kvp_devmsg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ic/hv_utilreg.h"

static const enum kvp_form forms[] = { KVP_FORM_LINUX, KVP_FORM_FREEBSD };

#define PUT(buf, off, text) memcpy((buf) + (off), text, sizeof(text))
#define LE32(buf, off, b0, b1, b2, b3) \
	memcpy((buf) + (off), (uint8_t[]){ b0, b1, b2, b3 }, 4)

/* What a request looks like to the daemon, from a block of exactly len. */
static int get_request(struct kvp_msg *m, enum kvp_form form,
		       const uint8_t *buf, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, buf, len);
	err = kvp_devmsg_get_request(m, form, copy, len);
	free(copy);
	return err;
}

static int get_answer(struct kvp_msg *a, enum kvp_form form, bool legacy,
		      const struct kvp_msg *request, const uint8_t *buf,
		      size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	memcpy(copy, buf, len);
	err = kvp_devmsg_get_answer(a, form, legacy, request, copy, len);
	free(copy);
	return err;
}

/* SET pool 0, "Größe" (7 bytes and NUL) = "42" */
static void golden_set(uint8_t g[KVP_DEVMSG_MAX])
{
	memset(g, 0, KVP_DEVMSG_MAX);
	LE32(g, 0, 1, 0, 0, 0);
	LE32(g, 4, 1, 0, 0, 0);
	LE32(g, 8, 8, 0, 0, 0);
	LE32(g, 12, 3, 0, 0, 0);
	PUT(g, 16, "Gr\xc3\xb6\xc3\x9f" "e");
	PUT(g, 528, "42");
}

static void golden_ip(uint8_t g[KVP_DEVMSG_MAX], uint8_t op)
{
	memset(g, 0, KVP_DEVMSG_MAX);
	LE32(g, 0, op, 1, 0, 0);
	PUT(g, 4, "00:15:5D:01:02:03");
	g[260] = 3;
	g[261] = 1;
	PUT(g, 262, "10.0.0.1;fd00::1");
	PUT(g, 2310, "255.255.255.0;/64");
	PUT(g, 4358, "10.0.0.254");
	PUT(g, 5382, "10.0.0.53");
}

static void a_set_has_upstreams_layout_in_both_forms(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX], got[KVP_DEVMSG_MAX];

	(void)state;
	golden_set(want);
	for (int f = 0; f < 2; f++) {
		size_t n = kvp_devmsg_size(forms[f]);
		struct kvp_msg m = { .op = KVP_SET, .pool = 0 }, back;

		strcpy(m.key, "Gr\xc3\xb6\xc3\x9f" "e");
		strcpy(m.value, "42");
		memset(got, 0xee, sizeof(got));
		kvp_devmsg_put_request(got, forms[f], &m);
		assert_memory_equal(got, want, n);
		assert_int_equal(get_request(&back, forms[f], want, n), 0);
		assert_int_equal(back.op, KVP_SET);
		assert_string_equal(back.key, m.key);
		assert_string_equal(back.value, "42");
	}
}

static void the_freebsd_form_leaves_the_last_two_bytes_alone(void **state)
{
	uint8_t got[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_ENUMERATE, .pool = 1 };

	(void)state;
	assert_int_equal(kvp_devmsg_size(KVP_FORM_LINUX), 7432);
	assert_int_equal(kvp_devmsg_size(KVP_FORM_FREEBSD), 7430);
	memset(got, 0xee, sizeof(got));
	kvp_devmsg_put_request(got, KVP_FORM_FREEBSD, &m);
	kvp_devmsg_put_answer(got, KVP_FORM_FREEBSD, &m);
	kvp_devmsg_put_register(got, KVP_FORM_FREEBSD);
	assert_int_equal(got[7429], 0);
	assert_int_equal(got[7430], 0xee);
	assert_int_equal(got[7431], 0xee);
}

/* Upstream's daemon copies "value size" bytes of the value. */
static void a_get_has_room_for_the_value(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX] = { 0 }, got[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_GET, .pool = 3 }, back;

	(void)state;
	LE32(want, 0, 0, 3, 0, 0);
	LE32(want, 4, 1, 0, 0, 0);
	LE32(want, 8, 2, 0, 0, 0);
	LE32(want, 12, 0, 8, 0, 0);	/* 2048 */
	PUT(want, 16, "k");
	strcpy(m.key, "k");
	kvp_devmsg_put_request(got, KVP_FORM_LINUX, &m);
	assert_memory_equal(got, want, sizeof(want));

	LE32(want, 12, 0, 0, 0, 0);	/* and stock drivers say 0 */
	assert_int_equal(get_request(&back, KVP_FORM_LINUX, want, 7432), 0);
	assert_string_equal(back.key, "k");
	assert_int_equal(back.pool, 3);
}

static void a_delete_has_upstreams_layout(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX] = { 0 }, got[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_DELETE, .pool = 1 }, back;

	(void)state;
	LE32(want, 0, 2, 1, 0, 0);
	LE32(want, 4, 4, 0, 0, 0);
	PUT(want, 8, "key");
	strcpy(m.key, "key");
	kvp_devmsg_put_request(got, KVP_FORM_FREEBSD, &m);
	assert_memory_equal(got, want, 7430);
	assert_int_equal(get_request(&back, KVP_FORM_FREEBSD, want, 7430), 0);
	assert_string_equal(back.key, "key");
}

static void an_enumerate_has_upstreams_layout(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX] = { 0 }, got[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_ENUMERATE, .pool = 2,
			     .index = 0x01020304 }, back;

	(void)state;
	LE32(want, 0, 3, 2, 0, 0);
	LE32(want, 4, 4, 3, 2, 1);
	kvp_devmsg_put_request(got, KVP_FORM_LINUX, &m);
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(get_request(&back, KVP_FORM_LINUX, want, 7432), 0);
	assert_int_equal(back.index, 0x01020304);

	/* the answer: status instead of the header, then the record at 8 */
	memset(want, 0, sizeof(want));
	LE32(want, 4, 4, 3, 2, 1);
	LE32(want, 8, 1, 0, 0, 0);
	LE32(want, 12, 7, 0, 0, 0);
	LE32(want, 16, 6, 0, 0, 0);
	PUT(want, 20, "OSName");
	PUT(want, 532, "Linux");
	strcpy(m.key, "OSName");
	strcpy(m.value, "Linux");
	kvp_devmsg_put_answer(got, KVP_FORM_LINUX, &m);
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(get_answer(&back, KVP_FORM_LINUX, false, &m, want,
				    7432), 0);
	assert_int_equal(back.status, HV_S_OK);
	assert_string_equal(back.key, "OSName");
	assert_string_equal(back.value, "Linux");
}

static void a_get_is_answered_with_key_and_value(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX] = { 0 }, got[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_GET, .pool = 1 }, back;

	(void)state;
	LE32(want, 4, 1, 0, 0, 0);
	LE32(want, 8, 2, 0, 0, 0);
	LE32(want, 12, 6, 0, 0, 0);
	PUT(want, 16, "k");
	PUT(want, 528, "value");
	strcpy(m.key, "k");
	strcpy(m.value, "value");
	kvp_devmsg_put_answer(got, KVP_FORM_LINUX, &m);
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(get_answer(&back, KVP_FORM_LINUX, false, &m, want,
				    7432), 0);
	assert_string_equal(back.value, "value");
}

static void ip_information_has_upstreams_layout(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX], got[KVP_DEVMSG_MAX];

	(void)state;
	for (int f = 0; f < 2; f++) {
		size_t n = kvp_devmsg_size(forms[f]);
		struct kvp_msg m, back;

		golden_ip(want, KVP_SET_IP_INFO);
		assert_int_equal(get_request(&m, forms[f], want, n), 0);
		assert_string_equal(m.ip.adapter_id, "00:15:5D:01:02:03");
		assert_int_equal(m.ip.family, KVP_IP_V4 | KVP_IP_V6);
		assert_true(m.ip.dhcp);
		assert_string_equal(m.ip.addrs, "10.0.0.1;fd00::1");
		assert_string_equal(m.ip.masks, "255.255.255.0;/64");
		assert_string_equal(m.ip.gateways, "10.0.0.254");
		assert_string_equal(m.ip.dns, "10.0.0.53");
		kvp_devmsg_put_request(got, forms[f], &m);
		assert_memory_equal(got, want, n);

		m.op = KVP_GET_IP_INFO;
		m.status = HV_S_OK;
		LE32(want, 0, 0, 0, 0, 0);
		kvp_devmsg_put_answer(got, forms[f], &m);
		assert_memory_equal(got, want, n);
		assert_int_equal(get_answer(&back, forms[f], false, &m, want,
					    n), 0);
		assert_string_equal(back.ip.dns, "10.0.0.53");
	}
}

static void a_failure_carries_its_status_and_no_body(void **state)
{
	uint8_t want[KVP_DEVMSG_MAX] = { 0 }, got[KVP_DEVMSG_MAX];
	struct kvp_msg m = { .op = KVP_ENUMERATE, .status = HV_S_CONT }, back;

	(void)state;
	LE32(want, 0, 0x03, 0x01, 0x07, 0x80);
	strcpy(m.key, "left over");
	kvp_devmsg_put_answer(got, KVP_FORM_LINUX, &m);
	assert_memory_equal(got, want, sizeof(want));
	memset(want + 4, 0xff, sizeof(want) - 4);	/* nobody may look */
	assert_int_equal(get_answer(&back, KVP_FORM_LINUX, false, &m, want,
				    7432), 0);
	assert_int_equal(back.status, HV_S_CONT);
	assert_string_equal(back.key, "");
}

static void registers_in_the_form_its_bytes_say(void **state)
{
	uint8_t buf[KVP_DEVMSG_MAX], op;
	enum kvp_form form;

	(void)state;
	kvp_devmsg_put_register(buf, KVP_FORM_LINUX);
	assert_int_equal(buf[0], 100);
	assert_int_equal(kvp_devmsg_get_register(&form, &op, buf, 7432), 0);
	assert_int_equal(form, KVP_FORM_LINUX);
	assert_int_equal(op, 100);
	assert_int_equal(kvp_devmsg_get_register(&form, &op, buf, 7430),
			 -EINVAL);

	kvp_devmsg_put_register(buf, KVP_FORM_FREEBSD);
	assert_int_equal(buf[0], 4);
	assert_int_equal(kvp_devmsg_get_register(&form, &op, buf, 7430), 0);
	assert_int_equal(form, KVP_FORM_FREEBSD);
	assert_int_equal(kvp_devmsg_get_register(&form, &op, buf, 7432), 0);
	assert_int_equal(form, KVP_FORM_LINUX);	/* the legacy daemon */
	assert_int_equal(op, 4);

	for (unsigned o = 0; o < 256; o++) {
		buf[0] = (uint8_t)o;
		assert_int_equal(kvp_devmsg_get_register(&form, &op, buf, 7432),
				 o == 4 || o == 100 ? 0 : -EINVAL);
	}
}

static void refuses_every_shorter_registration(void **state)
{
	uint8_t buf[KVP_DEVMSG_MAX], op;
	enum kvp_form form;

	(void)state;
	kvp_devmsg_put_register(buf, KVP_FORM_FREEBSD);
	for (size_t n = 0; n < 7432; n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, buf, n);
		assert_int_equal(kvp_devmsg_get_register(&form, &op, copy, n),
				 n == 7430 ? 0 : -EINVAL);
		free(copy);
	}
}

static void the_version_is_at_4_and_is_cut_to_fit(void **state)
{
	uint8_t want[KVP_DEVMSG_LINUX] = { 0 }, got[KVP_DEVMSG_LINUX];
	char version[KVP_VERSION_SIZE], longer[600];

	(void)state;
	want[0] = 100;
	PUT(want, 4, "3.1");
	kvp_devmsg_put_version(got, 100, "3.1");
	assert_memory_equal(got, want, sizeof(want));
	assert_int_equal(kvp_devmsg_get_version(version, want, 7432), 0);
	assert_string_equal(version, "3.1");
	assert_int_equal(kvp_devmsg_get_version(version, want, 7431), -EBADMSG);
	want[0] = 3;
	assert_int_equal(kvp_devmsg_get_version(version, want, 7432), -EBADMSG);
	want[0] = 4;
	memset(want + 4, 'x', KVP_VERSION_SIZE);
	assert_int_equal(kvp_devmsg_get_version(version, want, 7432), -EBADMSG);

	memset(longer, 'v', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	kvp_devmsg_put_version(got, 4, longer);
	assert_int_equal(got[4 + 510], 'v');
	assert_int_equal(got[4 + 511], 0);
	assert_int_equal(got[4 + 512], 0);
}

static void refuses_every_other_length_of_request(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX + 1] = { 0 };
	struct kvp_msg m;

	(void)state;
	golden_set(g);
	for (int f = 0; f < 2; f++)
		for (size_t n = 0; n <= sizeof(g); n++) {
			if (n == kvp_devmsg_size(forms[f]))
				continue;
			assert_int_equal(get_request(&m, forms[f], g, n),
					 -EBADMSG);
			assert_int_equal(m.op, n ? KVP_SET : 0);
		}
}

static void refuses_every_shorter_answer(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX] = { 0 };
	struct kvp_msg m = { .op = KVP_GET }, a;

	(void)state;
	for (int f = 0; f < 2; f++)
		for (size_t n = 0; n < kvp_devmsg_size(forms[f]); n++) {
			assert_int_equal(get_answer(&a, forms[f], false, &m, g,
						    n), -EBADMSG);
			assert_int_equal(a.status, HV_E_FAIL);
		}
}

static void refuses_sizes_past_their_field_and_keeps_the_header(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX];
	struct kvp_msg m;

	(void)state;
	golden_set(g);
	LE32(g, 8, 1, 2, 0, 0);			/* 513 */
	assert_int_equal(get_request(&m, KVP_FORM_LINUX, g, 7432), -EBADMSG);
	assert_int_equal(m.op, KVP_SET);
	assert_string_equal(m.key, "");
	golden_set(g);
	LE32(g, 12, 1, 8, 0, 0);		/* 2049 */
	assert_int_equal(get_request(&m, KVP_FORM_LINUX, g, 7432), -EBADMSG);
	assert_string_equal(m.value, "");
	golden_set(g);
	LE32(g, 12, 0xff, 0xff, 0xff, 0xff);
	assert_int_equal(get_request(&m, KVP_FORM_LINUX, g, 7432), -EBADMSG);
}

static void refuses_unterminated_text(void **state)
{
	static const struct { uint8_t op; unsigned at, len; } fields[] = {
		{ KVP_GET, 16, 512 }, { KVP_SET, 16, 512 },
		{ KVP_SET, 528, 2048 }, { KVP_DELETE, 8, 512 },
		{ KVP_SET_IP_INFO, 4, 256 }, { KVP_SET_IP_INFO, 262, 2048 },
		{ KVP_SET_IP_INFO, 2310, 2048 }, { KVP_SET_IP_INFO, 4358, 1024 },
		{ KVP_SET_IP_INFO, 5382, 2048 }, { KVP_GET_IP_INFO, 4, 256 },
	};
	uint8_t g[KVP_DEVMSG_MAX];
	struct kvp_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		memset(g, 0, sizeof(g));
		g[0] = fields[i].op;
		memset(g + fields[i].at, 'x', fields[i].len);
		assert_int_equal(get_request(&m, KVP_FORM_FREEBSD, g, 7430),
				 -EBADMSG);
		g[fields[i].at + fields[i].len - 1] = 0;
		assert_int_equal(get_request(&m, KVP_FORM_FREEBSD, g, 7430), 0);
	}
}

static void refuses_text_that_is_not_utf8(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX];
	struct kvp_msg m, a;

	(void)state;
	golden_set(g);
	PUT(g, 528, "\xe9");
	LE32(g, 12, 2, 0, 0, 0);
	assert_int_equal(get_request(&m, KVP_FORM_LINUX, g, 7432), -EBADMSG);
	m.op = KVP_GET;
	LE32(g, 0, 0, 0, 0, 0);
	assert_int_equal(get_answer(&a, KVP_FORM_LINUX, false, &m, g, 7432),
			 -EBADMSG);
	assert_int_equal(a.status, HV_E_FAIL);
}

/* Linux' hv_kvp_daemon fills in the text of an ENUMERATE and nothing else. */
static void an_answer_is_its_text_whatever_its_sizes(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX] = { 0 };
	struct kvp_msg m = { .op = KVP_ENUMERATE }, a;

	(void)state;
	PUT(g, 20, "greeting");
	PUT(g, 532, "hello");
	assert_int_equal(get_answer(&a, KVP_FORM_LINUX, false, &m, g, 7432),
			 0);
	assert_string_equal(a.key, "greeting");
	assert_string_equal(a.value, "hello");
}

/* FreeBSD 13, vmbus 3: sizes that are wrong for anything but ASCII. */
static void a_size_without_the_nul_does_not_shorten_the_key(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX];
	struct kvp_msg m;

	(void)state;
	golden_set(g);
	LE32(g, 8, 2, 0, 0, 0);
	assert_int_equal(get_request(&m, KVP_FORM_FREEBSD, g, 7430), 0);
	assert_string_equal(m.key, "Gr\xc3\xb6\xc3\x9f" "e");
	LE32(g, 8, 0, 0, 0, 0);
	assert_int_equal(get_request(&m, KVP_FORM_FREEBSD, g, 7430), 0);
	assert_string_equal(m.key, "");
}

static void passes_unknown_operations_on_without_a_body(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX];
	struct kvp_msg m;

	(void)state;
	memset(g, 0xff, sizeof(g));
	assert_int_equal(get_request(&m, KVP_FORM_LINUX, g, 7432), 0);
	assert_int_equal(m.op, 255);
	assert_int_equal(m.pool, 255);
	assert_string_equal(m.key, "");
}

static void a_legacy_daemon_ends_an_enumeration_with_an_empty_key(void **state)
{
	uint8_t g[KVP_DEVMSG_MAX] = { 0 };
	struct kvp_msg m = { .op = KVP_ENUMERATE, .pool = 1 }, a;

	(void)state;
	LE32(g, 0, 3, 1, 0, 0);		/* its header is the request's */
	assert_int_equal(get_answer(&a, KVP_FORM_LINUX, true, &m, g, 7432), 0);
	assert_int_equal(a.status, HV_S_CONT);
	LE32(g, 12, 2, 0, 0, 0);
	LE32(g, 16, 2, 0, 0, 0);
	PUT(g, 20, "k");
	PUT(g, 532, "v");
	assert_int_equal(get_answer(&a, KVP_FORM_LINUX, true, &m, g, 7432), 0);
	assert_int_equal(a.status, HV_S_OK);
	assert_string_equal(a.value, "v");
	m.op = KVP_GET_IP_INFO;
	assert_int_equal(get_answer(&a, KVP_FORM_LINUX, true, &m, g, 7432), 0);
	assert_int_equal(a.status, HV_ERROR_NOT_SUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_has_upstreams_layout_in_both_forms),
		cmocka_unit_test(the_freebsd_form_leaves_the_last_two_bytes_alone),
		cmocka_unit_test(a_get_has_room_for_the_value),
		cmocka_unit_test(a_delete_has_upstreams_layout),
		cmocka_unit_test(an_enumerate_has_upstreams_layout),
		cmocka_unit_test(a_get_is_answered_with_key_and_value),
		cmocka_unit_test(ip_information_has_upstreams_layout),
		cmocka_unit_test(a_failure_carries_its_status_and_no_body),
		cmocka_unit_test(registers_in_the_form_its_bytes_say),
		cmocka_unit_test(refuses_every_shorter_registration),
		cmocka_unit_test(the_version_is_at_4_and_is_cut_to_fit),
		cmocka_unit_test(refuses_every_other_length_of_request),
		cmocka_unit_test(refuses_every_shorter_answer),
		cmocka_unit_test(refuses_sizes_past_their_field_and_keeps_the_header),
		cmocka_unit_test(refuses_unterminated_text),
		cmocka_unit_test(refuses_text_that_is_not_utf8),
		cmocka_unit_test(an_answer_is_its_text_whatever_its_sizes),
		cmocka_unit_test(a_size_without_the_nul_does_not_shorten_the_key),
		cmocka_unit_test(passes_unknown_operations_on_without_a_body),
		cmocka_unit_test(a_legacy_daemon_ends_an_enumeration_with_an_empty_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
