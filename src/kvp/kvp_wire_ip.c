/* kvp/kvp_wire_ip.c - the binary IP form of KVP 5.0. */
#include "kvp/kvp_wire_ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "base/wr.h"

enum { MAX_ADDRS = 64, MAX_GATEWAYS = 5, MAX_DNS = 64 };

/* One kind of list in both families: where its arrays are. */
static const struct ip_list {
	unsigned count_at;		/* u32 v4, then u32 v6 */
	unsigned max;
	unsigned v4_at, v6_at;
} list_addrs = { 0, MAX_ADDRS, 284, 540 },
  list_gateways = { 8, MAX_GATEWAYS, 2076, 2096 },
  list_dns = { 16, MAX_DNS, 2176, 2432 };

enum {
	ADAPTER_AT = 24, FAMILY_AT = 280, DHCP_AT = 281,
	MASK4_AT = 1564, PREFIX6_AT = 1820, ORIGIN_AT = 3456,
};

/* A ';'-separated text under construction. */
struct text {
	char *at;
	size_t cap, len;
	bool full;
};

static struct text text_of(char *at, size_t cap)
{
	at[0] = '\0';
	return (struct text){ .at = at, .cap = cap };
}

static void text_add(struct text *t, const char *item)
{
	int n = snprintf(t->at + t->len, t->cap - t->len, "%s%s",
			 t->len ? ";" : "", item);

	if (n < 0 || (size_t)n >= t->cap - t->len) {
		t->at[t->len] = '\0';
		t->full = true;
		return;
	}
	t->len += (size_t)n;
}

static uint32_t le32_at(const uint8_t *b, unsigned at)
{
	struct rd r = rd_of(b + at, 4);

	return rd_le32(&r);
}

static void put_le32(uint8_t *b, unsigned at, uint32_t v)
{
	struct wr w = wr_of(b + at, 4);

	wr_le32(&w, v);
}

static int get_list(struct text *t, const uint8_t *b, const struct ip_list *l)
{
	uint32_t n4 = le32_at(b, l->count_at);
	uint32_t n6 = le32_at(b, l->count_at + 4);
	char item[INET6_ADDRSTRLEN];

	if (n4 > l->max || n6 > l->max)
		return -EBADMSG;
	for (unsigned i = 0; i < n4; i++)
		text_add(t, inet_ntop(AF_INET, b + l->v4_at + 4 * i, item,
				      sizeof(item)));
	for (unsigned i = 0; i < n6; i++)
		text_add(t, inet_ntop(AF_INET6, b + l->v6_at + 16 * i, item,
				      sizeof(item)));
	return t->full ? -EMSGSIZE : 0;
}

/* Masks pair with the addresses by position. */
static int get_masks(struct text *t, const uint8_t *b)
{
	uint32_t n4 = le32_at(b, list_addrs.count_at);
	uint32_t n6 = le32_at(b, list_addrs.count_at + 4);
	char item[INET_ADDRSTRLEN];

	for (unsigned i = 0; i < n4; i++)
		text_add(t, inet_ntop(AF_INET, b + MASK4_AT + 4 * i, item,
				      sizeof(item)));
	for (unsigned i = 0; i < n6; i++) {
		uint32_t prefix = le32_at(b, PREFIX6_AT + 4 * i);

		if (prefix > 128)
			return -EBADMSG;
		snprintf(item, sizeof(item), "/%u", prefix);
		text_add(t, item);
	}
	return t->full ? -EMSGSIZE : 0;
}

int kvp_wire_ip_get(struct kvp_ip *ip, struct rd *r)
{
	const uint8_t *b = rd_bytes(r, KVP_WIRE_IP_BINARY);
	struct text addrs = text_of(ip->addrs, sizeof(ip->addrs));
	struct text masks = text_of(ip->masks, sizeof(ip->masks));
	struct text gateways = text_of(ip->gateways, sizeof(ip->gateways));
	struct text dns = text_of(ip->dns, sizeof(ip->dns));
	ssize_t n;
	int err;

	if (!b)
		return -EBADMSG;
	n = utf16_to_utf8(ip->adapter_id, sizeof(ip->adapter_id), b + ADAPTER_AT,
			  KVP_ADAPTER_SIZE, UTF16_STRICT);
	if (n < 0)
		return (int)n;
	ip->family = b[FAMILY_AT];
	ip->dhcp = b[DHCP_AT] != 0;
	err = get_list(&addrs, b, &list_addrs);
	if (!err)
		err = get_masks(&masks, b);
	if (!err)
		err = get_list(&gateways, b, &list_gateways);
	if (!err)
		err = get_list(&dns, b, &list_dns);
	return err;
}

/* The next item of a ';'-separated list; false at its end. Empty ones are
 * passed over, as a list may end with its separator. An item that is longer
 * than any address becomes "?", which is none. */
static bool next_item(const char **list, char item[INET6_ADDRSTRLEN])
{
	size_t n;

	*list += strspn(*list, ";");
	n = strcspn(*list, ";");
	if (!n)
		return false;
	if (n < INET6_ADDRSTRLEN)
		snprintf(item, INET6_ADDRSTRLEN, "%.*s", (int)n, *list);
	else
		strcpy(item, "?");
	*list += n;
	return true;
}

/* Store one address in the array of its family; returns AF_INET, AF_INET6,
 * 0 when the array is full, or -EINVAL. */
static int put_addr(uint8_t *b, const struct ip_list *l, uint32_t n[2],
		    const char *item)
{
	uint8_t raw[16];

	if (inet_pton(AF_INET, item, raw) == 1) {
		if (n[0] == l->max)
			return 0;
		memcpy(b + l->v4_at + 4 * n[0]++, raw, 4);
		return AF_INET;
	}
	if (inet_pton(AF_INET6, item, raw) == 1) {
		if (n[1] == l->max)
			return 0;
		memcpy(b + l->v6_at + 16 * n[1]++, raw, 16);
		return AF_INET6;
	}
	return -EINVAL;
}

static void put_counts(uint8_t *b, const struct ip_list *l, const uint32_t n[2])
{
	put_le32(b, l->count_at, n[0]);
	put_le32(b, l->count_at + 4, n[1]);
}

static int put_list(uint8_t *b, const struct ip_list *l, const char *list,
		    bool *cut)
{
	char item[INET6_ADDRSTRLEN];
	uint32_t n[2] = { 0, 0 };

	while (next_item(&list, item)) {
		int family = put_addr(b, l, n, item);

		if (family < 0)
			return family;
		if (!family)
			*cut = true;
	}
	put_counts(b, l, n);
	return 0;
}

/* The mask that goes with address number i of its family. */
static int put_mask(uint8_t *b, int family, uint32_t i, const char *mask)
{
	unsigned long prefix;
	char *end;

	if (family == AF_INET)
		return inet_pton(AF_INET, mask, b + MASK4_AT + 4 * i) == 1 ?
			0 : -EINVAL;
	if (mask[0] == '/')
		mask++;
	prefix = strtoul(mask, &end, 10);
	if (end == mask || *end || prefix > 128)
		return -EINVAL;
	put_le32(b, PREFIX6_AT + 4 * i, (uint32_t)prefix);
	return 0;
}

static int put_addrs_and_masks(uint8_t *b, const struct kvp_ip *ip, bool *cut)
{
	char item[INET6_ADDRSTRLEN], mask[INET6_ADDRSTRLEN];
	const char *addrs = ip->addrs, *masks = ip->masks;
	uint32_t n[2] = { 0, 0 };

	while (next_item(&addrs, item)) {
		int family = put_addr(b, &list_addrs, n, item);

		if (family < 0 || !next_item(&masks, mask))
			return -EINVAL;
		if (!family) {
			*cut = true;
			continue;
		}
		if (put_mask(b, family, n[family == AF_INET6] - 1, mask) < 0)
			return -EINVAL;
	}
	put_counts(b, &list_addrs, n);
	/* DHCP speaks for IPv4 only; how a v6 address came about the text does
	 * not say. */
	for (uint32_t i = 0; i < n[0] + n[1]; i++)
		b[ORIGIN_AT + 2 * i] = i >= n[0] ? KVP_ORIGIN_UNKNOWN :
			ip->dhcp ? KVP_ORIGIN_OTHER : KVP_ORIGIN_STATIC;
	return 0;
}

int kvp_wire_ip_put(uint8_t *at, size_t len, const struct kvp_ip *ip,
		    bool *cut)
{
	int err;

	if (len < KVP_WIRE_IP_BINARY)
		return -EBADMSG;
	memset(at, 0, len);
	if (utf16_from_utf8(at + ADAPTER_AT, KVP_ADAPTER_SIZE,
			    ip->adapter_id) < 0)
		return -EINVAL;
	at[FAMILY_AT] = ip->family;
	at[DHCP_AT] = ip->dhcp;
	err = put_addrs_and_masks(at, ip, cut);
	if (!err)
		err = put_list(at, &list_gateways, ip->gateways, cut);
	if (!err)
		err = put_list(at, &list_dns, ip->dns, cut);
	return err;
}
