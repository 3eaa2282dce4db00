/* kvp/netif.c - which of the machine's addresses are worth telling. */
#include "kvp/netif.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

const struct netif *netif_by_index(const struct netif_table *t, unsigned index)
{
	for (size_t i = 0; i < t->n_ifs; i++)
		if (t->ifs[i].index == index)
			return &t->ifs[i];
	return NULL;
}

bool list_append(char *list, size_t limit, const char *text)
{
	size_t have = strlen(list), more = strlen(text);

	if (have + (have ? 1 : 0) + more > limit)
		return false;
	if (have)
		list[have++] = ';';
	memcpy(list + have, text, more + 1);
	return true;
}

enum reach { REACH_GLOBAL, REACH_ULA, REACH_LINK };

static enum reach reach_of(const struct netif_addr *a)
{
	if (a->family == 4)
		return a->addr[0] == 169 && a->addr[1] == 254 ? REACH_LINK
							      : REACH_GLOBAL;
	if (a->addr[0] == 0xfe && (a->addr[1] & 0xc0) == 0x80)
		return REACH_LINK;
	return (a->addr[0] & 0xfe) == 0xfc ? REACH_ULA : REACH_GLOBAL;
}

struct candidate {
	const struct netif_addr *a;
	enum reach reach;
	enum netif_kind kind;
};

static int order(int a, int b)
{
	return (a > b) - (a < b);
}

static int compare(const void *va, const void *vb)
{
	const struct candidate *x = va, *y = vb;
	int c;

	if ((c = order((int)x->reach, (int)y->reach)))
		return c;
	if ((c = order((int)x->kind, (int)y->kind)))
		return c;
	if ((c = order(x->a->temporary, y->a->temporary)))
		return c;
	if (x->a->index != y->a->index)
		return x->a->index < y->a->index ? -1 : 1;
	return (x->a > y->a) - (x->a < y->a);	/* as the kernel has them */
}

/* An address that somebody else could reach us at. */
static bool is_candidate(const struct netif_table *t,
			 const struct netif_addr *a, enum netif_kind *kind)
{
	const struct netif *i = netif_by_index(t, a->index);

	if (!i || !i->up || i->kind == NETIF_LOOPBACK || a->unusable)
		return false;
	*kind = i->kind;
	return true;
}

/* Has an interface of the machine's own any address at all? */
static bool has_own(const struct netif_table *t)
{
	enum netif_kind kind;

	for (size_t i = 0; i < t->n_addrs; i++)
		if (is_candidate(t, &t->addrs[i], &kind) &&
		    kind == NETIF_MACHINE)
			return true;
	return false;
}

static size_t collect(struct candidate *c, const struct netif_table *t,
		      unsigned family, const struct netif_choice *choice)
{
	bool virtual_too = choice->virtual_interfaces || !has_own(t);
	bool further = false;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < t->n_addrs; i++) {
		struct candidate x = { .a = &t->addrs[i] };

		if (x.a->family != family || !is_candidate(t, x.a, &x.kind))
			continue;
		if (x.kind == NETIF_VIRTUAL && !virtual_too)
			continue;
		x.reach = reach_of(x.a);
		further |= x.reach != REACH_LINK;
		c[n++] = x;
	}
	for (size_t i = 0; i < n; i++)
		if (c[i].reach != REACH_LINK ||
		    choice->link_local == NETIF_LL_ALWAYS ||
		    (choice->link_local == NETIF_LL_IF_ALONE && !further))
			c[kept++] = c[i];
	return kept;
}

size_t netif_list(char *out, size_t limit, const struct netif_table *t,
		  unsigned family, const struct netif_choice *choice)
{
	struct candidate *c = calloc(t->n_addrs + 1, sizeof(*c));
	size_t n, i;

	out[0] = '\0';
	if (!c)
		return t->n_addrs;
	n = collect(c, t, family, choice);
	qsort(c, n, sizeof(*c), compare);
	for (i = 0; i < n; i++) {
		char text[INET6_ADDRSTRLEN];

		inet_ntop(family == 4 ? AF_INET : AF_INET6, c[i].a->addr, text,
			  sizeof(text));
		if (!list_append(out, limit, text))
			break;
	}
	free(c);
	return n - i;
}
