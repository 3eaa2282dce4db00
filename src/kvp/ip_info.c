/* kvp/ip_info.c - adapter ids, the choice of an interface, and what settings
 * may look like. Text only; what the system knows is in ip_info_linux.c. */
#include "kvp/ip_info.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adapter ids ------------------------------------------------------------ */

static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower(c) - 'a' + 10;
}

static bool parse_mac(const char *s, uint8_t mac[NETIF_MAC])
{
	if (strlen(s) != 17)
		return false;
	for (unsigned i = 0; i < NETIF_MAC; i++, s += 3) {
		if (!isxdigit((unsigned char)s[0]) ||
		    !isxdigit((unsigned char)s[1]))
			return false;
		if (i < NETIF_MAC - 1 && s[2] != ':' && s[2] != '-')
			return false;
		mac[i] = (uint8_t)(hex(s[0]) << 4 | hex(s[1]));
	}
	return true;
}

static bool parse_guid(const char *s, char guid[37])
{
	size_t len = strlen(s);

	if (len == 38 && s[0] == '{' && s[37] == '}')
		s++;
	else if (len != 36)
		return false;
	for (unsigned i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
		guid[i] = (char)tolower((unsigned char)s[i]);
	}
	guid[36] = '\0';
	return true;
}

enum ip_id ip_id_parse(const char *text, uint8_t mac[NETIF_MAC], char guid[37])
{
	if (parse_mac(text, mac))
		return IP_ID_MAC;
	return parse_guid(text, guid) ? IP_ID_GUID : IP_ID_NONE;
}

/* Which interface -------------------------------------------------------- */

static bool has_addrs(const struct netif_table *t, const struct netif *i)
{
	for (size_t a = 0; a < t->n_addrs; a++)
		if (t->addrs[a].index == i->index)
			return true;
	return false;
}

/* Masters above it; bounded, should the table be of two moments. */
static unsigned depth_below(const struct netif_table *t, const struct netif *i)
{
	unsigned n = 0;

	while (i && i->master && n < 8) {
		i = netif_by_index(t, i->master);
		n++;
	}
	return n;
}

static bool better(const struct netif_table *t, const struct netif *a,
		   const struct netif *b)
{
	unsigned da = depth_below(t, a), db = depth_below(t, b);

	if (has_addrs(t, a) != has_addrs(t, b))
		return has_addrs(t, a);
	if (da != db)
		return da < db;
	return a->index < b->index;
}

const struct netif *ip_info_choose(const struct netif_table *t,
				   const bool *match)
{
	const struct netif *best = NULL;

	for (size_t i = 0; i < t->n_ifs; i++) {
		const struct netif *c = match[i] ? &t->ifs[i] : NULL;

		for (unsigned up = 0; c && up < 8; up++) {
			if (!best || better(t, c, best))
				best = c;
			c = c->master ? netif_by_index(t, c->master) : NULL;
		}
	}
	return best;
}

/* -ENOENT, -EINVAL or 0 and *found. */
static int find(const struct netif_table *t, const char *adapter_id,
		const char *root, const struct netif **found)
{
	uint8_t mac[NETIF_MAC];
	char guid[37];
	bool *match;

	*found = NULL;
	match = calloc(t->n_ifs + 1, sizeof(*match));
	if (!match)
		return -ENOMEM;
	switch (ip_id_parse(adapter_id, mac, guid)) {
	case IP_ID_NONE:
		free(match);
		return -EINVAL;
	case IP_ID_MAC:
		for (size_t i = 0; i < t->n_ifs; i++)
			match[i] = t->ifs[i].has_mac &&
				   !memcmp(t->ifs[i].mac, mac, NETIF_MAC);
		break;
	case IP_ID_GUID:
		ip_info_match_guid(t, guid, root, match);
		break;
	}
	*found = ip_info_choose(t, match);
	free(match);
	return *found ? 0 : -ENOENT;
}

int ip_info_find(const char *adapter_id, const char *root,
		 char name[NETIF_NAME])
{
	const struct netif *i;
	struct netif_table t;
	int err = netif_read(&t, 0);

	if (!err)
		err = find(&t, adapter_id, root, &i);
	if (!err && name)
		memcpy(name, i->name, NETIF_NAME);
	netif_free(&t);
	return err;
}

/* GET -------------------------------------------------------------------- */

static void mask_text(char *out, size_t cap, const struct netif_addr *a)
{
	uint32_t bits = a->prefix ? 0xffffffffu << (32 - a->prefix % 33) : 0;
	struct in_addr in = { .s_addr = htonl(bits) };

	if (a->family == 6)
		snprintf(out, cap, "/%u", a->prefix);
	else
		inet_ntop(AF_INET, &in, out, (socklen_t)cap);
}

/* The address and its mask, both or neither. */
static bool add_addr(struct kvp_ip *ip, const struct netif_addr *a)
{
	char addr[INET6_ADDRSTRLEN], mask[INET_ADDRSTRLEN];
	size_t had = strlen(ip->addrs);

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->addr, addr,
		  sizeof(addr));
	mask_text(mask, sizeof(mask), a);
	if (!list_append(ip->addrs, IP_LIST_MAX, addr))
		return false;
	if (!list_append(ip->masks, IP_LIST_MAX, mask)) {
		ip->addrs[had] = '\0';
		return false;
	}
	ip->family |= a->family == 4 ? KVP_IP_V4 : KVP_IP_V6;
	return true;
}

static void add_addrs(struct kvp_ip *ip, const struct netif_table *t,
		      const struct netif *i)
{
	for (unsigned family = 4; family <= 6; family += 2)
		for (size_t a = 0; a < t->n_addrs; a++)
			if (t->addrs[a].index == i->index &&
			    t->addrs[a].family == family &&
			    !add_addr(ip, &t->addrs[a]))
				return;
}

static int by_metric(const void *va, const void *vb)
{
	const struct netif_route *a = va, *b = vb;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return (a->metric > b->metric) - (a->metric < b->metric);
}

static void add_gateways(struct kvp_ip *ip, struct netif_table *t,
			 const struct netif *i)
{
	if (t->n_routes)
		qsort(t->routes, t->n_routes, sizeof(*t->routes), by_metric);
	for (size_t r = 0; r < t->n_routes; r++) {
		char gw[INET6_ADDRSTRLEN];

		if (t->routes[r].index != i->index)
			continue;
		inet_ntop(t->routes[r].gw_family == 4 ? AF_INET : AF_INET6,
			  t->routes[r].gw, gw, sizeof(gw));
		if (!list_append(ip->gateways, IP_GATEWAYS_MAX, gw))
			return;
	}
}

int ip_info_get(struct kvp_ip *ip, const char *root)
{
	const struct netif *i;
	struct netif_table t;
	int err = netif_read(&t, NETIF_ROUTES);

	if (!err)
		err = find(&t, ip->adapter_id, root, &i);
	if (err) {
		netif_free(&t);
		return err;
	}
	ip->family = KVP_IP_NONE;
	ip->addrs[0] = ip->masks[0] = ip->gateways[0] = ip->dns[0] = '\0';
	add_addrs(ip, &t, i);
	add_gateways(ip, &t, i);
	ip->dhcp = ip_info_dhcp(&t, i, root);
	ip_info_dns(ip->dns, IP_LIST_MAX, root);
	netif_free(&t);
	return 0;
}

/* SET: is it sound? ------------------------------------------------------ */

enum { TOKEN = 64 };		/* longest address text and NUL, generously */

/* The next non-empty element of a ';'-list. 1; 0 at the end; -EINVAL when it
 * is longer than any address. */
static int next_token(const char **list, char token[TOKEN])
{
	size_t len;

	*list += strspn(*list, "; ");
	len = strcspn(*list, ";");
	if (!len)
		return 0;
	if (len >= TOKEN)
		return -EINVAL;
	memcpy(token, *list, len);
	token[len] = '\0';
	*list += len;
	while (len && token[len - 1] == ' ')
		token[--len] = '\0';
	return 1;
}

/* 4, 6, or 0 when it is no address. */
static unsigned family_of(const char *token)
{
	uint8_t buf[16];

	if (inet_pton(AF_INET, token, buf) == 1)
		return 4;
	return inet_pton(AF_INET6, token, buf) == 1 ? 6 : 0;
}

static bool is_length(const char *s, unsigned max)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < 3 && isdigit((unsigned char)s[i]); i++)
		n = n * 10 + (unsigned)(s[i] - '0');
	return i && !s[i] && n <= max;
}

static bool is_mask(const char *token, unsigned family)
{
	struct in_addr in;
	uint32_t gap;

	if (family == 4 && inet_pton(AF_INET, token, &in) == 1) {
		gap = ~ntohl(in.s_addr);
		return (gap & (gap + 1)) == 0;	/* ones, then zeros */
	}
	return is_length(token + (token[0] == '/'), family == 4 ? 32 : 128);
}

/* Say why, give -EINVAL. */
#define COMPLAIN(why, cap, ...) \
	((void)snprintf(why, cap, __VA_ARGS__), -EINVAL)

static bool family_allowed(const struct kvp_ip *ip, unsigned family)
{
	return !ip->family ||
	       ip->family & (family == 4 ? KVP_IP_V4 : KVP_IP_V6);
}

static int check_addresses(const struct kvp_ip *ip, char *why, size_t cap)
{
	const char *addrs = ip->addrs, *masks = ip->masks;
	char addr[TOKEN], mask[TOKEN];

	for (unsigned n = 1;; n++) {
		int a = next_token(&addrs, addr), m = next_token(&masks, mask);
		unsigned family;

		if (a < 0 || m < 0)
			return COMPLAIN(why, cap,
					"address or mask %u is too long", n);
		if (a != m)
			return COMPLAIN(why, cap,
					"addresses and masks do not pair up");
		if (!a)
			return 0;
		family = family_of(addr);
		if (!family)
			return COMPLAIN(why, cap, "address %u is none", n);
		if (!family_allowed(ip, family))
			return COMPLAIN(why, cap,
					"address %u is of the other family", n);
		if (!is_mask(mask, family))
			return COMPLAIN(why, cap, "mask %u is none", n);
	}
}

static int check_servers(const char *list, const char *what,
			 const struct kvp_ip *families, char *why, size_t cap)
{
	char token[TOKEN];

	for (unsigned n = 1;; n++) {
		int t = next_token(&list, token);
		unsigned family = t > 0 ? family_of(token) : 0;

		if (!t)
			return 0;
		if (!family)
			return COMPLAIN(why, cap, "%s %u is no address", what,
					n);
		if (families && !family_allowed(families, family))
			return COMPLAIN(why, cap, "%s %u is of the other family",
					what, n);
	}
}

int ip_info_check(const struct kvp_ip *ip, char *why, size_t cap)
{
	uint8_t mac[NETIF_MAC];
	char guid[37];
	int err;

	why[0] = '\0';
	if (ip_id_parse(ip->adapter_id, mac, guid) == IP_ID_NONE)
		return COMPLAIN(why, cap, "the adapter is no GUID and no MAC");
	if (ip->family & ~(KVP_IP_V4 | KVP_IP_V6))
		return COMPLAIN(why, cap, "unknown family %u", ip->family);
	err = check_addresses(ip, why, cap);
	if (!err)
		err = check_servers(ip->gateways, "gateway", ip, why, cap);
	/* Names may be resolved over the other family. */
	if (!err)
		err = check_servers(ip->dns, "DNS server", NULL, why, cap);
	return err;
}
