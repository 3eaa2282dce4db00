/* host/host_json.h - the host's things as JSON, for the control socket and for
 * scenario files: one spelling for both.
 *
 *   item  {"key": "k", "value": "v", "type": "string"}   type may be left out
 *   ip    {"adapter": "...", "family": 3, "dhcp": true, "addresses": [...],
 *          "masks": [...], "gateways": [...], "dns": [...]}
 *   pool  1 or "guest"
 *   luns  2: so many of a made-up controller; or [{"bus": 1, "controller":
 *         GUID, "port": 0, "target": 0, "lun": 1}]
 *
 * How a snapshot is made, every member as the profile has it if left out:
 *   order ["check", "freeze", ...], freeze-ms, other-ms, thaw-refused,
 *   thaw-unanswered, thaw-again, offline "never", "check" or "freeze";
 *   and for this one: hold-ms, work, work-ms, no-thaw
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

/* An operation "op" by name or number, "set", "backup-type", "flags", luns. */
const char *host_json_vss_msg(struct host_vss_msg *m, const json_t *object);
const char *host_json_vss_luns(struct host_vss_msg *m, const json_t *object);
const char *host_json_vss_manner(struct host_vss_manner *how,
				 const json_t *object);
const char *host_json_vss_snapshot(struct host_vss_snapshot_cfg *cfg,
				   const json_t *object);

/* Writers return a new reference, NULL when out of memory. */
json_t *host_json_vss_took(const struct host_vss_took *t);
json_t *host_json_vss_verdict(const struct host_vss_verdict *v);
json_t *host_json_vss_status(const struct host *h);
/* What a good answer says beyond its status, into object. */
void host_json_vss_answer(json_t *object, const struct host_vss_msg *m,
			  uint32_t status);
json_t *host_json_entry(const struct host_kvp_entry *e);
json_t *host_json_list(const struct host_kvp_list *l);
json_t *host_json_ip(const struct host_kvp_ip *ip);
json_t *host_json_status(const struct host *h);

#endif
