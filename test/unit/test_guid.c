/* test/unit/test_guid.c - text form, byte order, known classes. */
#include "vmbus/guid.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The bytes that a kernel's modalias shows for the KVP class. */
static const struct guid kvp_bytes = { {
	0xe7, 0xf4, 0xa0, 0xa9, 0x45, 0x5a, 0x96, 0x4d,
	0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6,
} };
/* And those of the network class, from a channel offer. */
static const struct guid net_bytes = { {
	0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46,
	0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e,
} };
static const char kvp_text[] = "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6";

static void known_classes_have_the_bytes_of_the_wire(void **state)
{
	(void)state;
	assert_memory_equal(&guid_class_kvp, &kvp_bytes, 16);
	assert_memory_equal(&guid_class_network, &net_bytes, 16);
}

static void text_is_lower_case_without_braces(void **state)
{
	char text[GUID_TEXT];

	(void)state;
	assert_string_equal(guid_text(text, &kvp_bytes), kvp_text);
}

static void reads_any_case_with_or_without_braces(void **state)
{
	static const char *const forms[] = {
		"a9a0f4e7-5a45-4d96-b827-8a841e8c03e6",
		"A9A0F4E7-5A45-4D96-B827-8A841E8C03E6",
		"{a9a0f4e7-5A45-4d96-b827-8a841e8c03e6}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct guid g = { { 0 } };

		assert_int_equal(guid_parse(&g, forms[i]), 0);
		assert_true(guid_equal(&g, &kvp_bytes));
	}
}

static void refuses_every_shorter_or_longer_text(void **state)
{
	struct guid g;

	(void)state;
	for (size_t n = 0; n < strlen(kvp_text); n++) {
		char *copy = strndup(kvp_text, n);

		assert_int_equal(guid_parse(&g, copy), -EINVAL);
		free(copy);
	}
	assert_int_equal(guid_parse(&g,
		"a9a0f4e7-5a45-4d96-b827-8a841e8c03e60"), -EINVAL);
	assert_int_equal(guid_parse(&g,
		"{a9a0f4e7-5a45-4d96-b827-8a841e8c03e6"), -EINVAL);
	assert_int_equal(guid_parse(&g,
		"a9a0f4e7-5a45-4d96-b827-8a841e8c03e6}"), -EINVAL);
	assert_int_equal(guid_parse(&g,
		"a9a0f4e7x5a45-4d96-b827-8a841e8c03e6"), -EINVAL);
	assert_int_equal(guid_parse(&g,
		"g9a0f4e7-5a45-4d96-b827-8a841e8c03e6"), -EINVAL);
}

static void a_refused_text_leaves_the_guid_alone(void **state)
{
	struct guid g = kvp_bytes;

	(void)state;
	assert_int_equal(guid_parse(&g, "11111111-2222"), -EINVAL);
	assert_true(guid_equal(&g, &kvp_bytes));
}

static void names_the_services_and_no_other(void **state)
{
	struct guid other = kvp_bytes;

	(void)state;
	assert_string_equal(guid_service(&guid_class_kvp), "kvp");
	assert_string_equal(guid_service(&guid_class_vss), "vss");
	assert_string_equal(guid_service(&guid_class_shutdown), "shutdown");
	assert_string_equal(guid_service(&guid_class_heartbeat), "heartbeat");
	assert_string_equal(guid_service(&guid_class_timesync), "timesync");
	assert_string_equal(guid_service(&guid_class_network), "network");
	other.b[15]++;
	assert_null(guid_service(&other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_classes_have_the_bytes_of_the_wire),
		cmocka_unit_test(text_is_lower_case_without_braces),
		cmocka_unit_test(reads_any_case_with_or_without_braces),
		cmocka_unit_test(refuses_every_shorter_or_longer_text),
		cmocka_unit_test(a_refused_text_leaves_the_guid_alone),
		cmocka_unit_test(names_the_services_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
