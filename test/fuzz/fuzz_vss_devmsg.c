/* test/fuzz/fuzz_vss_devmsg.c - a client's message on a VSS device file, in
 * both forms. What is read of it as text must be text, and come out the same
 * after it was written and read again. */
#include "vss/vss_devmsg.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void must_be_text(const char *s, size_t cap)
{
	size_t n = strnlen(s, cap);

	need(n < cap && utf8_valid(s, n));
	for (size_t i = 0; i < n; i++)
		need((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
}

static void check_text(const struct hv_vss_record *r)
{
	struct hv_vss_record again;
	char text[48], back[48];

	vss_record_text(text, r);
	must_be_text(text, sizeof(text));
	vss_record_set_text(&again, text);
	vss_record_text(back, &again);
	need(!strcmp(text, back));
}

static void check_note(const struct hv_vss_record *r)
{
	uint32_t phase, took_ms, phase_again, took_again;
	struct hv_vss_record again;
	char part[40], back[40];

	vss_record_note(r, &phase, &took_ms, part);
	must_be_text(part, sizeof(part));
	vss_record_set_note(&again, phase, took_ms, part);
	vss_record_note(&again, &phase_again, &took_again, back);
	need(phase == phase_again && took_ms == took_again);
	need(!strcmp(part, back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[VSS_RECORD_SIZE], op;
	struct hv_vss_record r;
	uint32_t status;

	if (vss_record_get(&r, data, size) == 0) {
		vss_record_put(again, &r);
		need(!memcmp(again, data, size));
		check_text(&r);
		check_note(&r);
	}
	(void)vss_linux_get_answer(&status, data, size);
	(void)vss_linux_get_register(&op, data, size);
	return 0;
}
