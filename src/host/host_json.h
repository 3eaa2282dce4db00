/* host/host_json.h - the host's things as JSON, for the control socket and for
 * scenario files: one spelling for both.
 *
 *   item  {"key": "k", "value": "v", "type": "string"}   type may be left out
 *   ip    {"adapter": "...", "family": 3, "dhcp": true, "addresses": [...],
 *          "masks": [...], "gateways": [...], "dns": [...]}
 *   pool  1 or "guest"
 *
 * Readers return NULL, or the name of the member that is missing or wrong.
 */
#ifndef HOST_JSON_H
#define HOST_JSON_H

#include "host/host.h"

const char *host_json_pool(uint8_t *pool, const json_t *object);
/* value may be absent, as in requests to get it. */
const char *host_json_item(struct host_kvp_item *it, const json_t *object,
			   bool need_value);
const char *host_json_get_ip(struct host_kvp_ip *ip, const json_t *object);
const char *host_json_versions(struct host_versions *v, const json_t *array,
			       const char *name);

/* Writers return a new reference, NULL when out of memory. */
json_t *host_json_entry(const struct host_kvp_entry *e);
json_t *host_json_list(const struct host_kvp_list *l);
json_t *host_json_ip(const struct host_kvp_ip *ip);
json_t *host_json_status(const struct host *h);

#endif
