/* vss/vss_devmsg.c - the VSS device messages' fields, one function a
 * direction. No state, no socket, no log.
 *
 * Text in a record comes from whoever may open the device and ends in logs,
 * histories and terminals, so what is read here is always NUL-terminated,
 * valid UTF-8 without control characters.
 */
#include "vss/vss_devmsg.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/rd.h"
#include "base/utf16.h"
#include "base/wr.h"
#include "vss/vss_reg.h"

enum { RESERVED = sizeof(((struct hv_vss_record *)0)->reserved) };

_Static_assert(RESERVED == HV_VSS_TEXT_MAX + 1, "a reason and its NUL");
_Static_assert(sizeof(struct hv_vss_record) == VSS_RECORD_SIZE, "no padding");

/* Records ---------------------------------------------------------------- */

int vss_record_get(struct hv_vss_record *r, const void *buf, size_t len)
{
	struct rd in = rd_of(buf, len);

	if (len != VSS_RECORD_SIZE)
		return -EMSGSIZE;
	r->opt = rd_le32(&in);
	r->status = rd_le32(&in);
	r->msgid = rd_le64(&in);
	rd_copy(&in, r->reserved, RESERVED);
	return 0;
}

void vss_record_put(uint8_t buf[VSS_RECORD_SIZE], const struct hv_vss_record *r)
{
	struct wr w = wr_of(buf, VSS_RECORD_SIZE);

	wr_le32(&w, r->opt);
	wr_le32(&w, r->status);
	wr_le64(&w, r->msgid);
	wr_bytes(&w, r->reserved, RESERVED);
	assert(!w.bad);
}

/* Text ------------------------------------------------------------------- */

/* Bytes of the whole, valid character at s, or 0. */
static size_t char_len(const char *s, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (utf8_valid(s, n))
			return n;
	return 0;
}

/* C0, DEL and C1. */
static bool is_control(const char *s, size_t n)
{
	const unsigned char *c = (const unsigned char *)s;

	return n == 1 ? c[0] < 0x20 || c[0] == 0x7f :
			n == 2 && c[0] == 0xc2 && c[1] < 0xa0;
}

void vss_text_get(char *out, const void *field, size_t cap)
{
	const char *s = field;
	size_t left = strnlen(s, cap - 1), n;

	for (; left; s += n, left -= n) {
		n = char_len(s, left);
		if (!n || is_control(s, n)) {
			*out++ = '?';
			n = n ? n : 1;
			continue;
		}
		memcpy(out, s, n);
		out += n;
	}
	*out = '\0';
}

static void put_text(uint8_t *field, const char *text, size_t cap)
{
	size_t n = strnlen(text, cap);

	if (n == cap) {
		n--;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	}
	memset(field, 0, cap);
	memcpy(field, text, n);
}

void vss_record_text(char out[48], const struct hv_vss_record *r)
{
	vss_text_get(out, r->reserved, RESERVED);
}

void vss_record_set_text(struct hv_vss_record *r, const char *text)
{
	put_text(r->reserved, text, RESERVED);
}

/* Numbers ---------------------------------------------------------------- */

static void get_numbers(const struct hv_vss_record *r, uint32_t *a, uint32_t *b)
{
	struct rd in = rd_of(r->reserved, RESERVED);

	*a = rd_le32(&in);
	*b = rd_le32(&in);
}

static void put_numbers(struct hv_vss_record *r, uint32_t a, uint32_t b)
{
	struct wr w = wr_of(r->reserved, RESERVED);

	wr_le32(&w, a);
	wr_le32(&w, b);
}

void vss_record_budget(const struct hv_vss_record *r, uint32_t *answer_ms,
		       uint32_t *frozen_ms)
{
	get_numbers(r, answer_ms, frozen_ms);
}

void vss_record_set_budget(struct hv_vss_record *r, uint32_t answer_ms,
			   uint32_t frozen_ms)
{
	memset(r->reserved, 0, RESERVED);
	put_numbers(r, answer_ms, frozen_ms);
}

void vss_record_note(const struct hv_vss_record *r, uint32_t *phase,
		     uint32_t *took_ms, char part[40])
{
	vss_text_get(part, r->reserved + 8, HV_VSS_NOTE_TEXT_MAX + 1);
	get_numbers(r, phase, took_ms);
}

void vss_record_set_note(struct hv_vss_record *r, uint32_t phase,
			 uint32_t took_ms, const char *part)
{
	put_text(r->reserved + 8, part, HV_VSS_NOTE_TEXT_MAX + 1);
	put_numbers(r, phase, took_ms);
}

/* Linux form ------------------------------------------------------------- */

void vss_linux_put_request(uint8_t buf[VSS_LINUX_SIZE], unsigned opt)
{
	memset(buf, 0, VSS_LINUX_SIZE);
	buf[0] = opt == HV_VSS_CHECK ? VSS_HOT_BACKUP :
		 opt == HV_VSS_FREEZE ? VSS_FREEZE : VSS_THAW;
}

int vss_linux_get_answer(uint32_t *status, const void *buf, size_t len)
{
	struct rd in = rd_of(buf, len);

	if (len != VSS_LINUX_SIZE)
		return -EMSGSIZE;
	*status = rd_le32(&in);
	return 0;
}

int vss_linux_get_register(uint8_t *op, const void *buf, size_t len)
{
	struct rd in = rd_of(buf, len);

	if (len != VSS_LINUX_SIZE)
		return -EMSGSIZE;
	*op = rd_u8(&in);
	return *op == VSS_LINUX_REGISTER || *op == VSS_LINUX_REGISTER1 ? 0 :
								       -EINVAL;
}

void vss_linux_put_version(uint8_t buf[VSS_LINUX_VERSION_SIZE])
{
	struct wr w = wr_of(buf, VSS_LINUX_VERSION_SIZE);

	wr_le32(&w, VSS_LINUX_REGISTER1);
}
