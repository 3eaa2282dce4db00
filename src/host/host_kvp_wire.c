/* host/host_kvp_wire.c - see doc/wire/kvp.md for the tables this follows.
 *
 * The body starts with the operation and the pool. The rest is at offset 4,
 * except the string form of the IP operations, which starts at offset 2.
 * Sources: Linux include/uapi/linux/hyperv.h (hv_kvp_exchg_msg_value and
 * friends, packed as there), OpenVMM hyperv_ic_protocol (binary IP form). */
#include "host/host_kvp_wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf16.h"
#include "ic/hv_utilreg.h"

enum {	/* counts of the binary IP form */
	MAX_ADDRS = 64,
	MAX_GATEWAYS = 5,
	N_LISTS = 3,
};

enum {	/* body offsets and sizes of the IP forms */
	IP_STRING_AT = 2,
	IP_BINARY_AT = 4,
	IP_BINARY_END = 4 + 3712,
};

static bool is_ip(uint8_t op)
{
	return op == KVP_GET_IP_INFO || op == KVP_SET_IP_INFO;
}

static bool is_binary(uint32_t version)
{
	return HV_IC_MAJOR(version) >= 5;
}

/* {type, key size, value size, key, value} starts at 4, behind an index at 8;
 * DELETE has {key size, key}. */
size_t host_kvp_field_at(uint8_t op, enum host_kvp_field f)
{
	static const size_t in_record[] = { 0, 4, 8, 12, 12 + KVP_KEY_SIZE };

	if (op == KVP_DELETE)
		return f == HOST_KVP_KEY_SIZE ? 4 : f == HOST_KVP_KEY ? 8 : 0;
	if (op > KVP_ENUMERATE)
		return 0;
	return in_record[f] + (op == KVP_ENUMERATE ? 8 : 4);
}

/* Requests --------------------------------------------------------------- */

/* Text into a fixed field of zeros; returns its bytes, terminator included. */
static int put_text(struct wr *w, size_t field, const char *text)
{
	uint8_t *p = wr_room(w, field);
	ssize_t n;

	if (!p)
		return -EMSGSIZE;
	memset(p, 0, field);
	n = utf16_from_utf8(p, field, text);
	return (int)n;
}

static int parse_number(uint64_t *v, const char *text, uint64_t max)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*v = strtoull(text, &end, 10);
	return errno || *end || *v > max ? -EINVAL : 0;
}

/* The 2048-byte value field; returns the bytes used. */
static int put_value(struct wr *w, const struct host_kvp_item *it)
{
	struct wr sub;
	uint64_t v;
	int err;

	switch (it->type) {
	case KVP_TYPE_STRING:
	case KVP_TYPE_EXPAND_STRING:
		return put_text(w, KVP_VALUE_SIZE, it->value);
	case KVP_TYPE_U32:
	case KVP_TYPE_U64_LINUX:
	case KVP_TYPE_U64:
		err = parse_number(&v, it->value, it->type == KVP_TYPE_U32 ?
				   UINT32_MAX : UINT64_MAX);
		if (err < 0)
			return err;
		sub = *w;
		wr_zero(w, KVP_VALUE_SIZE);
		if (it->type == KVP_TYPE_U32)
			wr_le32(&sub, (uint32_t)v);
		else
			wr_le64(&sub, v);
		return it->type == KVP_TYPE_U32 ? 4 : 8;
	default:
		return -EINVAL;
	}
}

/* type, key size, value size, key, value; sizes are known only afterwards. */
static int put_record(struct wr *w, const struct host_kvp_item *it)
{
	struct wr sizes;
	int key, value;

	wr_le32(w, it->type);
	sizes = *w;
	wr_zero(w, 8);
	key = put_text(w, KVP_KEY_SIZE, it->key);
	if (key < 0)
		return key;
	value = put_value(w, it);
	if (value < 0)
		return value;
	wr_le32(&sizes, (uint32_t)key);
	wr_le32(&sizes, (uint32_t)value);
	return 0;
}

static int put_key_only(struct wr *w, const char *key)
{
	struct wr size = *w;
	int n;

	wr_zero(w, 4);
	n = put_text(w, KVP_KEY_SIZE, key);
	if (n < 0)
		return n;
	wr_le32(&size, (uint32_t)n);
	return 0;
}

static int put_ip_strings(struct wr *w, const struct host_kvp_ip *ip)
{
	const struct {
		const char *text;
		size_t field;
	} lists[] = {
		{ ip->addrs, KVP_ADDRS_SIZE },
		{ ip->masks, KVP_MASKS_SIZE },
		{ ip->gateways, KVP_GATEWAYS_SIZE },
		{ ip->dns, KVP_DNS_SIZE },
	};
	int n = put_text(w, KVP_ADAPTER_SIZE, ip->adapter);

	wr_u8(w, ip->family);
	wr_u8(w, ip->dhcp);
	for (unsigned i = 0; i < 4 && n >= 0; i++)
		n = put_text(w, lists[i].field, lists[i].text);
	return n < 0 ? n : 0;
}

/* The next of a ';'-separated list in out; false at its end. Empty ones are
 * skipped. */
static bool list_next(const char **list, char *out, size_t cap)
{
	size_t n;

	while (**list == ';')
		(*list)++;
	n = strcspn(*list, ";");
	if (!n)
		return false;
	snprintf(out, cap, "%.*s", (int)n, *list);
	*list += n;
	return true;
}

/* One list split by family. */
struct split {
	unsigned n4, n6;
	uint8_t v4[MAX_ADDRS][4], v6[MAX_ADDRS][16];
};

static int split_add(struct split *s, unsigned max, const char *text)
{
	if (s->n4 < MAX_ADDRS && inet_pton(AF_INET, text, s->v4[s->n4]) == 1)
		return ++s->n4 > max ? -EMSGSIZE : 0;
	if (s->n6 < MAX_ADDRS && inet_pton(AF_INET6, text, s->v6[s->n6]) == 1)
		return ++s->n6 > max ? -EMSGSIZE : 0;
	return s->n4 == MAX_ADDRS || s->n6 == MAX_ADDRS ? -EMSGSIZE : -EINVAL;
}

static int split_list(struct split *s, unsigned max, const char *list)
{
	char one[64];
	int err = 0;

	*s = (struct split){ 0 };
	while (err == 0 && list_next(&list, one, sizeof(one)))
		err = split_add(s, max, one);
	return err;
}

/* Masks pair with addresses; v4 ones are dotted, v6 ones "64" or "/64". */
static int split_masks(uint8_t v4[MAX_ADDRS][4], uint32_t v6[MAX_ADDRS],
		       const struct host_kvp_ip *ip)
{
	const char *masks = ip->masks, *addrs = ip->addrs;
	unsigned n4 = 0, n6 = 0;
	char mask[64], addr[64];
	uint64_t bits;

	memset(v4, 0, MAX_ADDRS * sizeof(v4[0]));
	memset(v6, 0, MAX_ADDRS * sizeof(v6[0]));
	while (list_next(&addrs, addr, sizeof(addr)) &&
	       list_next(&masks, mask, sizeof(mask))) {
		if (!strchr(addr, ':')) {
			if (inet_pton(AF_INET, mask, v4[n4++]) != 1)
				return -EINVAL;
			continue;
		}
		if (parse_number(&bits, mask + (mask[0] == '/'), 128) < 0)
			return -EINVAL;
		v6[n6++] = (uint32_t)bits;
	}
	return 0;
}


static int put_ip_binary(struct wr *w, const struct host_kvp_ip *ip)
{
	struct split addrs, gateways, dns;
	uint8_t masks4[MAX_ADDRS][4];
	uint32_t bits6[MAX_ADDRS];
	int err = split_list(&addrs, MAX_ADDRS, ip->addrs);

	if (err == 0)
		err = split_masks(masks4, bits6, ip);
	if (err == 0)
		err = split_list(&gateways, MAX_GATEWAYS, ip->gateways);
	if (err == 0)
		err = split_list(&dns, MAX_ADDRS, ip->dns);
	if (err < 0)
		return err;
	wr_le32(w, addrs.n4);
	wr_le32(w, addrs.n6);
	wr_le32(w, gateways.n4);
	wr_le32(w, gateways.n6);
	wr_le32(w, dns.n4);
	wr_le32(w, dns.n6);
	err = put_text(w, KVP_ADAPTER_SIZE, ip->adapter);
	wr_u8(w, ip->family);
	wr_u8(w, ip->dhcp);
	wr_zero(w, 2);
	wr_bytes(w, addrs.v4, sizeof(addrs.v4));
	wr_bytes(w, addrs.v6, sizeof(addrs.v6));
	wr_bytes(w, masks4, sizeof(masks4));
	for (unsigned i = 0; i < MAX_ADDRS; i++)
		wr_le32(w, bits6[i]);
	wr_bytes(w, gateways.v4, MAX_GATEWAYS * 4);
	wr_bytes(w, gateways.v6, MAX_GATEWAYS * 16);
	wr_bytes(w, dns.v4, sizeof(dns.v4));
	wr_bytes(w, dns.v6, sizeof(dns.v6));
	for (unsigned i = 0; i < 2 * MAX_ADDRS; i++)
		wr_le16(w, i < addrs.n4 + addrs.n6 ? KVP_ORIGIN_STATIC : 0);
	return err < 0 ? err : 0;
}

static int put_ip(struct wr *w, const struct host_kvp_msg *m, uint32_t version)
{
	if (!is_binary(version))
		return put_ip_strings(w, &m->ip);
	wr_zero(w, IP_BINARY_AT - IP_STRING_AT);
	return put_ip_binary(w, &m->ip);
}

int host_kvp_put(struct wr *w, const struct host_kvp_msg *m, uint32_t version)
{
	size_t size = is_ip(m->op) ? HOST_KVP_IP : HOST_KVP_FIXED;
	size_t start = w->len;
	int err = 0;

	wr_u8(w, m->op);
	wr_u8(w, m->pool);
	if (is_ip(m->op)) {
		err = put_ip(w, m, version);
	} else {
		wr_zero(w, 2);
		if (m->op == KVP_ENUMERATE)
			wr_le32(w, m->index);
		else if (m->op == KVP_DELETE)
			err = put_key_only(w, m->item.key);
		else if (m->op == KVP_GET || m->op == KVP_SET)
			err = put_record(w, &m->item);
	}
	if (err < 0)
		return err;
	wr_zero(w, size - (w->len - start));
	return w->bad ? -EMSGSIZE : 0;
}

/* Answers ---------------------------------------------------------------- */

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EBADMSG;
}

/* A field of `field` bytes of which `size` count. */
static int get_text(char *dst, size_t cap, struct rd *r, size_t field,
		    uint32_t size, bool strict, const char **why)
{
	const uint8_t *p = rd_bytes(r, field);
	ssize_t n;

	if (!p || size > field)
		return bad(why, "a size beyond its field");
	if (strict && size % 2)
		return bad(why, "an odd size of UTF-16 text");
	if (strict && (size < 2 || p[size - 1] || p[size - 2]))
		return bad(why, "text without a terminator in its size");
	n = utf16_to_utf8(dst, cap, p, size,
			  strict ? UTF16_STRICT : UTF16_REPLACE);
	return n < 0 ? bad(why, "text that is not UTF-16") : 0;
}

static int get_number(struct host_kvp_item *it, struct rd *r, uint32_t size,
		      bool strict, const char **why)
{
	size_t want = it->type == KVP_TYPE_U32 ? 4 : 8;
	uint64_t v;

	if (strict && it->type == KVP_TYPE_U64_LINUX)
		return bad(why, "value type 8");
	if (size != want)
		return bad(why, "an integer of the wrong size");
	v = want == 4 ? rd_le32(r) : rd_le64(r);
	snprintf(it->value, sizeof(it->value), "%llu", (unsigned long long)v);
	return 0;
}

static int get_value(struct host_kvp_item *it, struct rd *r, uint32_t size,
		     bool strict, const char **why)
{
	switch (it->type) {
	case KVP_TYPE_STRING:
	case KVP_TYPE_EXPAND_STRING:
		return get_text(it->value, sizeof(it->value), r, KVP_VALUE_SIZE,
				size, strict, why);
	case KVP_TYPE_U32:
	case KVP_TYPE_U64_LINUX:
	case KVP_TYPE_U64:
		return get_number(it, r, size, strict, why);
	default:
		return bad(why, "an unknown value type");
	}
}

static int get_record(struct host_kvp_item *it, struct rd *r, bool skip_key,
		      bool strict, const char **why)
{
	uint32_t key_size, value_size;

	it->type = rd_le32(r);
	key_size = rd_le32(r);
	value_size = rd_le32(r);
	if (skip_key)
		rd_skip(r, KVP_KEY_SIZE);
	else if (get_text(it->key, sizeof(it->key), r, KVP_KEY_SIZE, key_size,
			  strict, why) < 0)
		return -EBADMSG;
	return get_value(it, r, value_size, strict, why);
}

static int get_list(char *dst, struct rd *r, size_t field, bool strict,
		    const char **why)
{
	const uint8_t *p = rd_bytes(r, field);
	size_t n = 0;

	while (n < field && (p[n] || p[n + 1]))
		n += 2;
	if (strict && n == field)
		return bad(why, "an IP list without a terminator");
	if (utf16_to_utf8(dst, HOST_KVP_LIST_TEXT, p, n,
			  strict ? UTF16_STRICT : UTF16_REPLACE) < 0)
		return bad(why, "an IP list that is not UTF-16");
	return 0;
}

static int get_ip_strings(struct host_kvp_ip *ip, struct rd *r, bool strict,
			  const char **why)
{
	rd_skip(r, KVP_ADAPTER_SIZE);
	ip->family = rd_u8(r);
	ip->dhcp = rd_u8(r);
	ip->origins[0] = '\0';
	if (get_list(ip->addrs, r, KVP_ADDRS_SIZE, strict, why) < 0 ||
	    get_list(ip->masks, r, KVP_MASKS_SIZE, strict, why) < 0 ||
	    get_list(ip->gateways, r, KVP_GATEWAYS_SIZE, strict, why) < 0 ||
	    get_list(ip->dns, r, KVP_DNS_SIZE, strict, why) < 0)
		return -EBADMSG;
	return 0;
}

static void list_add(char *list, const char *text)
{
	size_t n = strlen(list);

	snprintf(list + n, HOST_KVP_LIST_TEXT - n, "%s%s", n ? ";" : "", text);
}

/* n addresses of a family from an array of max. */
static void list_addrs(char *list, struct rd *r, int family, uint32_t n,
		       unsigned max)
{
	size_t width = family == AF_INET ? 4 : 16;
	char text[INET6_ADDRSTRLEN];

	for (unsigned i = 0; i < max; i++) {
		const uint8_t *p = rd_bytes(r, width);

		if (i < n && p)
			list_add(list, inet_ntop(family, p, text, sizeof(text)));
	}
}

static void list_bits(char *list, struct rd *r, uint32_t n)
{
	char text[16];

	for (unsigned i = 0; i < MAX_ADDRS; i++) {
		uint32_t bits = rd_le32(r);

		snprintf(text, sizeof(text), "%u", bits);
		if (i < n)
			list_add(list, text);
	}
}

static void list_origins(char *list, struct rd *r, uint32_t n)
{
	static const char *const names[] = { "unknown", "other", "static" };

	for (uint32_t i = 0; i < n; i++) {
		uint16_t o = rd_le16(r);

		list_add(list, o < 3 ? names[o] : "?");
	}
}

static int get_ip_binary(struct host_kvp_ip *ip, struct rd *r,
			 const char **why)
{
	uint32_t n[2 * N_LISTS];

	for (unsigned i = 0; i < 2 * N_LISTS; i++) {
		n[i] = rd_le32(r);
		if (n[i] > (i / 2 == 1 ? MAX_GATEWAYS : MAX_ADDRS))
			return bad(why, "a count of addresses above its array");
	}
	rd_skip(r, KVP_ADAPTER_SIZE);
	ip->family = rd_u8(r);
	ip->dhcp = rd_u8(r);
	rd_skip(r, 2);
	ip->addrs[0] = ip->masks[0] = ip->gateways[0] = ip->dns[0] = '\0';
	ip->origins[0] = '\0';
	list_addrs(ip->addrs, r, AF_INET, n[0], MAX_ADDRS);
	list_addrs(ip->addrs, r, AF_INET6, n[1], MAX_ADDRS);
	list_addrs(ip->masks, r, AF_INET, n[0], MAX_ADDRS);
	list_bits(ip->masks, r, n[1]);
	list_addrs(ip->gateways, r, AF_INET, n[2], MAX_GATEWAYS);
	list_addrs(ip->gateways, r, AF_INET6, n[3], MAX_GATEWAYS);
	list_addrs(ip->dns, r, AF_INET, n[4], MAX_ADDRS);
	list_addrs(ip->dns, r, AF_INET6, n[5], MAX_ADDRS);
	list_origins(ip->origins, r, n[0] + n[1]);
	return 0;
}

/* The least body that a strict host reads. */
static size_t body_min(uint8_t op, uint32_t version)
{
	if (op == KVP_GET_IP_INFO)
		return is_binary(version) ? IP_BINARY_END : HOST_KVP_IP;
	return host_kvp_field_at(op, HOST_KVP_VALUE) + KVP_VALUE_SIZE;
}

/* A copy with zeros behind it, so that short bodies read as empty fields. */
struct whole {
	uint8_t bytes[HOST_KVP_IP];
};

static struct rd whole_of(struct whole *w, const void *body, size_t len,
			  size_t at)
{
	struct rd r = rd_of(w->bytes, sizeof(w->bytes));

	memset(w->bytes, 0, sizeof(w->bytes));
	if (len)
		memcpy(w->bytes, body,
		       len < sizeof(w->bytes) ? len : sizeof(w->bytes));
	rd_skip(&r, at);
	return r;
}

static int get_ip(struct host_kvp_msg *m, const void *body, size_t len,
		  uint32_t version, bool strict, const char **why)
{
	struct whole whole;
	struct rd r = whole_of(&whole, body, len, is_binary(version) ?
			       IP_BINARY_AT : IP_STRING_AT);

	return is_binary(version) ? get_ip_binary(&m->ip, &r, why) :
				    get_ip_strings(&m->ip, &r, strict, why);
}

int host_kvp_get(struct host_kvp_msg *m, const void *body, size_t len,
		 uint32_t version, bool strict, const char **why)
{
	struct whole whole;
	struct rd r;

	if (m->op != KVP_GET && m->op != KVP_ENUMERATE &&
	    m->op != KVP_GET_IP_INFO)
		return 0;		/* judged by the status alone */
	if (strict && len < body_min(m->op, version))
		return bad(why, "a body shorter than its structure");
	if (m->op == KVP_GET_IP_INFO)
		return get_ip(m, body, len, version, strict, why);
	r = whole_of(&whole, body, len, host_kvp_field_at(m->op, HOST_KVP_TYPE));
	/* The key of a GET is the one we asked for, whatever comes back. */
	return get_record(&m->item, &r, m->op == KVP_GET, strict, why);
}

static void peek_adapter(struct host_kvp_ip *ip, const uint8_t *body,
			 uint32_t version)
{
	size_t at = is_binary(version) ? IP_BINARY_AT + 24 : IP_STRING_AT;

	if (utf16_to_utf8(ip->adapter, sizeof(ip->adapter), body + at,
			  KVP_ADAPTER_SIZE, UTF16_REPLACE) < 0)
		ip->adapter[0] = '\0';
}

int host_kvp_peek(struct host_kvp_msg *m, const void *body, size_t len,
		  uint32_t version, const char **why)
{
	struct whole whole;
	struct rd r = whole_of(&whole, body, len, 4);

	if (is_ip(m->op)) {
		peek_adapter(&m->ip, whole.bytes, version);
		return get_ip(m, body, len, version, false, why);
	}
	if (m->op == KVP_ENUMERATE)
		m->index = rd_le32(&r);
	if (m->op == KVP_DELETE) {
		uint32_t size = rd_le32(&r);

		return get_text(m->item.key, sizeof(m->item.key), &r,
				KVP_KEY_SIZE, size, false, why);
	}
	return m->op <= KVP_ENUMERATE ?
		get_record(&m->item, &r, false, false, why) : 0;
}

/* Names ------------------------------------------------------------------ */

static const struct {
	uint32_t type;
	const char *name;
} type_names[] = {
	{ KVP_TYPE_STRING, "string" },
	{ KVP_TYPE_EXPAND_STRING, "expand-string" },
	{ KVP_TYPE_U32, "u32" },
	{ KVP_TYPE_U64_LINUX, "u64-linux" },
	{ KVP_TYPE_U64, "u64" },
};

const char *host_kvp_type_name(uint32_t type)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
		if (type_names[i].type == type)
			return type_names[i].name;
	}
	return "?";
}

int host_kvp_type_parse(uint32_t *type, const char *name)
{
	for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
		if (!strcmp(type_names[i].name, name)) {
			*type = type_names[i].type;
			return 0;
		}
	}
	return -EINVAL;
}
