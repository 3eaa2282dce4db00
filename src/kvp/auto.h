/* kvp/auto.h - the automatic items: facts about this machine that the host
 * reads from pool 2. None is stored; each is found out when it is asked for,
 * without DNS and without running anything, so a change is seen at once.
 *
 * Indices 0 to 9 are upstream's, in upstream's order, and always there, an
 * unknown value being empty. Those behind are there when they have a value.
 */
#ifndef KVP_AUTO_H
#define KVP_AUTO_H

#include <stdbool.h>
#include <stdint.h>

#include "kvp/kvp_reg.h"
#include "kvp/netif.h"

enum { AUTO_N_FIXED = 10 };

struct auto_cfg {
	const char *root;	/* before /etc and /usr; NULL: none (tests) */
	struct netif_choice addresses;
};

struct auto_item {
	char key[KVP_KEY_SIZE];
	char value[KVP_VALUE_SIZE];
};

/* Item number index; version is the driver's. 0, or -ENOENT past the last. */
int auto_at(const struct auto_cfg *cfg, const char *version, uint32_t index,
	    struct auto_item *item);
/* The item with this key. 0, or -ENOENT. */
int auto_get(const struct auto_cfg *cfg, const char *version, const char *key,
	     struct auto_item *item);

/* Parts, for tests. */

/* Value of NAME= in os-release text: quotes and backslashes undone, the last
 * of several wins. 0; -ENOENT no such name; -EINVAL a quote is left open or
 * the value does not fit. */
int os_release_get(const char *text, const char *name, char *value, size_t cap);
/* Part 0 or 1 of a version, "12.5" -> "12", "5"; "" when there is none. */
void version_part(char *out, size_t cap, const char *version, unsigned part);
/* The host's full name out of the texts of hosts(5) and resolv.conf(5), each
 * of which may be "": the name of a hosts line that lists `host` and is host
 * plus a domain, else host plus the resolver's domain, else host. */
void auto_fqdn(char *out, size_t cap, const char *host, const char *hosts,
	       const char *resolv);

#endif
