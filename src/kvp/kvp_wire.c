/* kvp/kvp_wire.c - KVP requests and answers as the host sees them; the binary
 * IP form is in kvp_wire_ip.c. */
#include "kvp/kvp_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/rd.h"
#include "base/utf16.h"
#include "base/wr.h"
#include "ic/hv_utilreg.h"
#include "kvp/kvp_wire_ip.h"

/* A text field of `room` bytes of which `size` count. */
static int get_text(char *dst, size_t cap, struct rd *r, uint32_t size,
		    size_t room)
{
	const uint8_t *p = rd_bytes(r, room);
	ssize_t n;

	if (!p || size > room || size % 2)
		return -EBADMSG;
	n = utf16_to_utf8(dst, cap, p, size, UTF16_STRICT);
	return n < 0 ? (int)n : 0;
}

static int get_key(struct kvp_msg *m, struct rd *r, uint32_t size)
{
	int err = get_text(m->key, sizeof(m->key), r, size, KVP_KEY_SIZE);

	if (!err && !m->key[0])
		return -EBADMSG;
	return err;
}

/* Integers become decimal text; both numbers that are around for 64 bits. */
static int get_value(struct kvp_msg *m, struct rd *r, uint32_t type,
		     uint32_t size)
{
	struct rd field = rd_of(rd_bytes(r, KVP_VALUE_SIZE), KVP_VALUE_SIZE);

	if (r->bad)
		return -EBADMSG;
	switch (type) {
	case KVP_TYPE_STRING:
	case KVP_TYPE_EXPAND_STRING:
		return get_text(m->value, sizeof(m->value), &field, size,
				KVP_VALUE_SIZE);
	case KVP_TYPE_U32:
		snprintf(m->value, sizeof(m->value), "%u", rd_le32(&field));
		return size == 4 ? 0 : -EBADMSG;
	case KVP_TYPE_U64:
	case KVP_TYPE_U64_LINUX:
		snprintf(m->value, sizeof(m->value), "%llu",
			 (unsigned long long)rd_le64(&field));
		return size == 8 ? 0 : -EBADMSG;
	default:
		return -EPROTO;
	}
}

/* GET and SET share a record; GET has no value yet. */
static int get_record(struct kvp_msg *m, struct rd *r)
{
	uint32_t type, key_size, value_size;
	int err;

	rd_skip(r, 2);
	type = rd_le32(r);
	key_size = rd_le32(r);
	value_size = rd_le32(r);
	err = get_key(m, r, key_size);
	if (!err && m->op == KVP_SET)
		err = get_value(m, r, type, value_size);
	return err;
}

static int get_delete(struct kvp_msg *m, struct rd *r)
{
	uint32_t key_size;

	rd_skip(r, 2);
	key_size = rd_le32(r);
	return get_key(m, r, key_size);
}

/* Its record is the answer's: without room for that it cannot be answered. */
static int get_enumerate(struct kvp_msg *m, struct rd *r)
{
	rd_skip(r, 2);
	m->index = rd_le32(r);
	rd_skip(r, 12 + KVP_KEY_SIZE + KVP_VALUE_SIZE);
	return r->bad ? -EBADMSG : 0;
}

static int get_ip_strings(struct kvp_ip *ip, struct rd *r)
{
	const struct {
		char *text;
		size_t room;
	} lists[] = {
		{ ip->addrs, KVP_ADDRS_SIZE }, { ip->masks, KVP_MASKS_SIZE },
		{ ip->gateways, KVP_GATEWAYS_SIZE }, { ip->dns, KVP_DNS_SIZE },
	};
	int err = get_text(ip->adapter_id, sizeof(ip->adapter_id), r,
			   KVP_ADAPTER_SIZE, KVP_ADAPTER_SIZE);

	ip->family = rd_u8(r);
	ip->dhcp = rd_u8(r) != 0;
	for (unsigned i = 0; i < 4 && !err; i++)
		err = get_text(lists[i].text, lists[i].room, r,
			       (uint32_t)lists[i].room, lists[i].room);
	return err;
}

static int get_ip(struct kvp_msg *m, struct rd *r, uint32_t version)
{
	if (version < HV_IC_VERSION(5, 0))
		return get_ip_strings(&m->ip, r);
	rd_skip(r, 2);
	return kvp_wire_ip_get(&m->ip, r);
}

int kvp_wire_get_request(struct kvp_msg *m, uint32_t version, const void *body,
			 size_t len)
{
	struct rd r = rd_of(body, len);

	memset(m, 0, sizeof(*m));
	m->op = rd_u8(&r);
	m->pool = rd_u8(&r);
	if (r.bad)
		return -EBADMSG;
	switch (m->op) {
	case KVP_GET:
	case KVP_SET:
		return get_record(m, &r);
	case KVP_DELETE:
		return get_delete(m, &r);
	case KVP_ENUMERATE:
		return get_enumerate(m, &r);
	case KVP_GET_IP_INFO:
	case KVP_SET_IP_INFO:
		return get_ip(m, &r, version);
	default:
		return -ENOTSUP;
	}
}

/* Fill a field of `room` bytes; returns the bytes used, terminator included.
 * The rest is zero: nothing of the request or of longer text shows through. */
static uint32_t put_text(uint8_t *field, size_t room, const char *text,
			 bool *cut)
{
	char part[KVP_VALUE_SIZE];
	size_t n = strlen(text);
	ssize_t used;

	memset(field, 0, room);
	used = utf16_from_utf8(field, room, text);
	while (used == -EMSGSIZE && n) {
		/* Back to the start of a character: a unit is at least one
		 * byte of UTF-8, so begin with what could fit at all. */
		n = n > room / 2 * 3 ? room / 2 * 3 : n - 1;
		while (n && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		memcpy(part, text, n);
		part[n] = '\0';
		*cut = true;
		used = utf16_from_utf8(field, room, part);
	}
	return used < 0 ? 0 : (uint32_t)used;
}

/* The record at `at`: type, both sizes, key, value. */
static void put_record(uint8_t *at, const struct kvp_msg *m, bool *cut)
{
	uint32_t key_size = put_text(at + 12, KVP_KEY_SIZE, m->key, cut);
	uint32_t value_size = put_text(at + 12 + KVP_KEY_SIZE, KVP_VALUE_SIZE,
				       m->value, cut);
	struct wr w = wr_of(at, 12);

	wr_le32(&w, KVP_TYPE_STRING);
	wr_le32(&w, key_size);
	wr_le32(&w, value_size);
}

static void put_ip_strings(uint8_t *at, const struct kvp_ip *ip, bool *cut)
{
	put_text(at, KVP_ADAPTER_SIZE, ip->adapter_id, cut);
	at[256] = ip->family;
	at[257] = ip->dhcp;
	put_text(at + 258, KVP_ADDRS_SIZE, ip->addrs, cut);
	put_text(at + 2306, KVP_MASKS_SIZE, ip->masks, cut);
	put_text(at + 4354, KVP_GATEWAYS_SIZE, ip->gateways, cut);
	put_text(at + 5378, KVP_DNS_SIZE, ip->dns, cut);
}

int kvp_wire_put_answer(void *body, size_t len, uint32_t version,
			const struct kvp_msg *m, bool *cut)
{
	bool binary = version >= HV_IC_VERSION(5, 0);
	uint8_t *b = body;

	*cut = false;
	if (m->status != HV_S_OK)
		return 0;
	if (m->op == KVP_GET && len >= 2576)
		put_record(b + 4, m, cut);
	else if (m->op == KVP_ENUMERATE && len >= KVP_WIRE_EXCHANGE)
		put_record(b + 8, m, cut);
	else if (m->op == KVP_GET_IP_INFO && binary && len > 4)
		return kvp_wire_ip_put(b + 4, len - 4, &m->ip, cut);
	else if (m->op == KVP_GET_IP_INFO && !binary && len >= KVP_WIRE_IP)
		put_ip_strings(b + 2, &m->ip, cut);
	else if (m->op == KVP_GET || m->op == KVP_ENUMERATE ||
		 m->op == KVP_GET_IP_INFO)
		return -EBADMSG;
	return 0;
}
