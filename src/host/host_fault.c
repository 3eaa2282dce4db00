/* host/host_fault.c - the table of faults and how each is put on a message.
 *
 * Byte faults are applied in this order, whatever the order in the file:
 * fields, texts, patch, oversize, pad, truncate. A field fault overwrites the
 * field at its place; fields of a KVP record have a place that depends on the
 * operation, which is read from the message itself. */
#include "host/host_fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/host_ic_wire.h"
#include "host/host_kvp_wire.h"

enum kind {
	WHEN,		/* a number at an offset of struct host_fault */
	FIELD,		/* a number of `width` bytes in the message */
	VERSION,	/* "major.minor" in the message */
	STATUS,		/* a status name in the message */
	TEXT,		/* a spoilt text in a field of `width` bytes */
	PATCH,
	TRUNCATE,
};

/* at: a field whose place depends on the operation */
#define KVP_FIELD(f) (0x8000 + (size_t)(f))

static const struct row {
	const char *name;
	enum kind kind;
	size_t at;
	unsigned width;
	const char *about;
} rows[] = {
#define MEMBER(m) offsetof(struct host_fault, m), sizeof(uint32_t)
	{ "late-ms", WHEN, MEMBER(late_ms), "sent this much later" },
	{ "lost", WHEN, MEMBER(lost), "never sent, though the host waits" },
	{ "duplicate", WHEN, MEMBER(duplicate), "sent this often more" },
	{ "no-wait", WHEN, MEMBER(no_wait),
	  "sent although an answer is outstanding" },
	{ "no-interrupt", WHEN, MEMBER(no_interrupt),
	  "sent without ringing the doorbell" },
	{ "oversize", WHEN, MEMBER(oversize), "this many bytes more, declared" },
	{ "pad", WHEN, MEMBER(pad), "this many bytes more than declared" },
	{ "truncate", TRUNCATE, 0, 0, "cut to this many bytes" },
	{ "patch", PATCH, 0, 0, "{\"at\": offset, \"hex\": bytes}" },
	{ "pipe-kind", FIELD, 0, 4, "pipe header: kind, 1 is data" },
	{ "pipe-length", FIELD, 4, 4, "pipe header: bytes that follow" },
	{ "framework", VERSION, 8, 4, "IC header: framework version" },
	{ "type", FIELD, 12, 2, "IC header: message type" },
	{ "version", VERSION, 14, 4, "IC header: message version" },
	{ "body-length", FIELD, 18, 2, "IC header: bytes of body" },
	{ "status", STATUS, 20, 4, "IC header: status" },
	{ "xact", FIELD, 24, 1, "IC header: transaction id" },
	{ "flags", FIELD, 25, 1, "IC header: 1 transaction 2 request 4 response" },
	{ "reserved", FIELD, 26, 2, "IC header: reserved" },
	{ "framework-count", FIELD, 28, 2, "negotiation: frameworks declared" },
	{ "message-count", FIELD, 30, 2, "negotiation: versions declared" },
	{ "op", FIELD, 28, 1, "KVP, VSS: operation" },
	{ "pool", FIELD, 29, 1, "KVP: pool" },
	{ "index", FIELD, 32, 4, "KVP: index of ENUMERATE" },
	{ "value-type", FIELD, KVP_FIELD(HOST_KVP_TYPE), 4,
	  "KVP: type of the value" },
	{ "key-size", FIELD, KVP_FIELD(HOST_KVP_KEY_SIZE), 4,
	  "KVP: size of the key" },
	{ "value-size", FIELD, KVP_FIELD(HOST_KVP_VALUE_SIZE), 4,
	  "KVP: size of the value" },
	{ "key-text", TEXT, KVP_FIELD(HOST_KVP_KEY), KVP_KEY_SIZE,
	  "KVP: \"unterminated\", \"lone-surrogate\" or \"empty\"" },
	{ "value-text", TEXT, KVP_FIELD(HOST_KVP_VALUE), KVP_VALUE_SIZE,
	  "KVP: the same, of the value" },
	{ "ip-family", FIELD, 28 + 258, 1, "KVP below 5.0: address family" },
	{ "ip-v4-count", FIELD, 32, 4, "KVP 5.0: IPv4 addresses declared" },
	{ "ip-gateway-count", FIELD, 40, 4, "KVP 5.0: gateways declared" },
	{ "vss-reserved", FIELD, 32, 4, "VSS: reserved bytes of the header" },
	{ "backup-type", FIELD, 36, 4, "VSS: type of the backup" },
	{ "vss-flags", FIELD, 40, 4, "VSS: flags of freeze" },
	{ "lun-count", FIELD, 44, 4, "VSS: LUNs declared" },
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static const char *const texts[] = { "unterminated", "lone-surrogate",
				     "empty" };
enum { UNTERMINATED, LONE_SURROGATE, EMPTY, N_TEXTS };

/* Reading ---------------------------------------------------------------- */

static int parse_u32(uint32_t *v, const json_t *j)
{
	json_int_t n = json_integer_value(j);

	if (json_is_boolean(j)) {
		*v = json_is_true(j);
		return 0;
	}
	if (!json_is_integer(j) || n < 0 || n > UINT32_MAX)
		return -EINVAL;
	*v = (uint32_t)n;
	return 0;
}

static int parse_text(uint32_t *v, const json_t *j)
{
	for (uint32_t i = 0; json_is_string(j) && i < N_TEXTS; i++) {
		if (!strcmp(json_string_value(j), texts[i])) {
			*v = i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_field(uint32_t *v, enum kind kind, const json_t *j)
{
	const char *s = json_string_value(j);

	if (kind == TEXT)
		return parse_text(v, j);
	if (kind == STATUS && s)
		return host_status_parse(v, s);
	if (kind == VERSION)
		return s ? host_version_parse(v, s) : -EINVAL;
	return parse_u32(v, j);
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p = strchr(digits, c | 0x20);

	return c && p ? (int)(p - digits) : -1;
}

static int parse_hex(struct host_fault *f, const char *hex)
{
	size_t n = strlen(hex) / 2;

	if (strlen(hex) % 2 || n > HOST_FAULT_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(hex[2 * i]), lo = hex_digit(hex[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return -EINVAL;
		f->patch[i] = (uint8_t)(hi << 4 | lo);
	}
	f->patch_len = (uint32_t)n;
	return 0;
}

static int parse_patch(struct host_fault *f, const json_t *j)
{
	const char *hex = json_string_value(json_object_get(j, "hex"));

	if (!hex || json_object_size(j) != 2 ||
	    parse_u32(&f->patch_at, json_object_get(j, "at")) < 0)
		return -EINVAL;
	return parse_hex(f, hex);
}

static int parse_row(struct host_fault *f, unsigned row, const json_t *j)
{
	uint32_t *member;

	switch (rows[row].kind) {
	case WHEN:
		member = (uint32_t *)(void *)((char *)f + rows[row].at);
		return parse_u32(member, j);
	case TRUNCATE:
		if (parse_u32(&f->truncate, j) < 0 || f->truncate == UINT32_MAX)
			return -EINVAL;
		f->truncate++;
		return 0;
	case PATCH:
		return parse_patch(f, j);
	case FIELD:
	case VERSION:
	case STATUS:
	case TEXT:
		break;
	}
	if (f->n_set == HOST_FAULT_SETS)
		return -EINVAL;
	f->set[f->n_set].row = (uint8_t)row;
	return parse_field(&f->set[f->n_set++].value, rows[row].kind, j);
}

static int find_row(const char *name)
{
	for (int i = 0; i < N_ROWS; i++) {
		if (!strcmp(rows[i].name, name))
			return i;
	}
	return -EINVAL;
}

int host_fault_parse(struct host_fault *f, const json_t *json, char *err,
		     size_t err_len)
{
	const char *name;
	json_t *value;

	*f = (struct host_fault){ 0 };
	if (!json_is_object(json)) {
		snprintf(err, err_len, "a fault is an object");
		return -EINVAL;
	}
	json_object_foreach((json_t *)json, name, value) {
		int row = find_row(name);

		if (row < 0) {
			snprintf(err, err_len, "\"%s\": no such fault", name);
			return -EINVAL;
		}
		if (parse_row(f, (unsigned)row, value) < 0) {
			snprintf(err, err_len, "\"%s\": not a value for this "
				 "fault (%s)", name, rows[row].about);
			return -EINVAL;
		}
	}
	return 0;
}

/* splitmix64: any seed will do, 0 included. */
static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* Small, huge and boundary values find more than even ones do. */
static uint32_t random_value(uint64_t *seed)
{
	static const uint32_t edges[] = { 0, 1, 2, 3, 0x7f, 0xff, 0x1ff, 0x200,
		0x201, 0x7ff, 0x800, 0x801, 0x7fff, 0xffff, 0x7fffffff,
		0xffffffff };
	uint64_t r = next_random(seed);

	return r & 1 ? (uint32_t)(r >> 32) : edges[r >> 1 & 15];
}

void host_fault_random(struct host_fault *f, uint64_t *seed)
{
	unsigned row;

	do {
		row = (unsigned)(next_random(seed) % N_ROWS);
	} while (rows[row].kind == WHEN || rows[row].kind == PATCH);
	*f = (struct host_fault){ 0 };
	if (rows[row].kind == TRUNCATE) {
		f->truncate = 1 + (uint32_t)(next_random(seed) % 2608);
		return;
	}
	f->n_set = 1;
	f->set[0].row = (uint8_t)row;
	f->set[0].value = rows[row].kind == TEXT ?
		(uint32_t)(next_random(seed) % N_TEXTS) : random_value(seed);
}

/* Applying --------------------------------------------------------------- */

/* Where the row's field is in this message; its end when it has none. */
static size_t place_of(const struct row *row, const uint8_t *msg, size_t len)
{
	uint8_t op = len > HOST_IC_HEAD ? msg[HOST_IC_HEAD] : 0;
	size_t at;

	if (row->at < KVP_FIELD(0))
		return row->at;
	at = host_kvp_field_at(op, (enum host_kvp_field)(row->at - KVP_FIELD(0)));
	return at ? HOST_IC_HEAD + at : len;
}

static void spoil_text(uint8_t *field, unsigned width, uint32_t how)
{
	switch (how) {
	case UNTERMINATED:
		for (unsigned i = 0; i < width; i += 2) {
			field[i] = 'x';
			field[i + 1] = 0;
		}
		break;
	case LONE_SURROGATE:
		field[0] = 0x3d;
		field[1] = 0xd8;
		break;
	default:
		memset(field, 0, width);
	}
}

static void set_field(const struct row *row, uint32_t value, uint8_t *msg,
		      size_t len)
{
	size_t at = place_of(row, msg, len);
	struct wr w;

	if (at + row->width > len)
		return;			/* this message has no such field */
	w = wr_of(msg + at, row->width);
	if (row->kind == TEXT) {
		spoil_text(msg + at, row->width, value);
	} else if (row->kind == VERSION) {
		wr_le16(&w, HV_IC_MAJOR(value));
		wr_le16(&w, HV_IC_MINOR(value));
	} else if (row->width == 4) {
		wr_le32(&w, value);
	} else if (row->width == 2) {
		wr_le16(&w, (uint16_t)value);
	} else {
		wr_u8(&w, (uint8_t)value);
	}
}

static size_t grow(uint8_t *msg, size_t len, size_t cap, uint32_t by)
{
	size_t n = by > cap - len ? cap - len : by;

	memset(msg + len, 0xa5, n);
	return len + n;
}

/* More body, with both length fields keeping up as far as they reach. */
static size_t enlarge(uint8_t *msg, size_t len, size_t cap, uint32_t by)
{
	size_t n = grow(msg, len, cap, by);
	struct wr pipe = wr_of(msg + 4, 4), body = wr_of(msg + 18, 2);

	if (len < HOST_IC_HEAD)
		return n;
	wr_le32(&pipe, (uint32_t)(n - HV_IC_PIPE_HDR));
	wr_le16(&body, (uint16_t)(n - HOST_IC_HEAD));
	return n;
}

size_t host_fault_apply(const struct host_fault *f, uint8_t *msg, size_t len,
			size_t cap)
{
	for (unsigned i = 0; i < f->n_set; i++)
		set_field(&rows[f->set[i].row], f->set[i].value, msg, len);
	if (f->patch_at <= len && f->patch_len <= len - f->patch_at)
		memcpy(msg + f->patch_at, f->patch, f->patch_len);
	if (f->oversize)
		len = enlarge(msg, len, cap, f->oversize);
	if (f->pad)
		len = grow(msg, len, cap, f->pad);
	if (f->truncate && f->truncate - 1 < len)
		len = f->truncate - 1;
	return len;
}

bool host_fault_mangles(const struct host_fault *f)
{
	return f->n_set || f->patch_len || f->oversize || f->truncate;
}

void host_fault_list(FILE *out)
{
	for (unsigned i = 0; i < N_ROWS; i++)
		fprintf(out, "%-18s%s\n", rows[i].name, rows[i].about);
}
