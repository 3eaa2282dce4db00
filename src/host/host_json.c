/* host/host_json.c */
#include "host/host_json.h"

#include <errno.h>
#include <stdlib.h>

/* Reading ---------------------------------------------------------------- */

const char *host_json_pool(uint8_t *pool, const json_t *object)
{
	const json_t *j = json_object_get(object, "pool");
	const char *name = json_string_value(j);

	if (json_is_integer(j) && json_integer_value(j) >= 0 &&
	    json_integer_value(j) <= UINT8_MAX) {
		*pool = (uint8_t)json_integer_value(j);
		return NULL;
	}
	for (uint8_t i = 0; name && i < KVP_N_POOLS; i++) {
		if (!strcmp(kvp_pool_name(i), name)) {
			*pool = i;
			return NULL;
		}
	}
	return "pool";
}

static int copy_text(char *dst, size_t cap, const json_t *j)
{
	const char *s = json_string_value(j);

	/* An embedded NUL would end the text early without a word. */
	if (!s || json_string_length(j) != strlen(s) || strlen(s) >= cap)
		return -EINVAL;
	memcpy(dst, s, strlen(s) + 1);
	return 0;
}

static int copy_value(struct host_kvp_item *it, const json_t *j)
{
	if (json_is_integer(j) && json_integer_value(j) >= 0) {
		snprintf(it->value, sizeof(it->value), "%lld",
			 (long long)json_integer_value(j));
		return 0;
	}
	return copy_text(it->value, sizeof(it->value), j);
}

const char *host_json_item(struct host_kvp_item *it, const json_t *object,
			   bool need_value)
{
	const json_t *value = json_object_get(object, "value");
	const json_t *type = json_object_get(object, "type");
	const char *name = json_string_value(type);

	it->type = KVP_TYPE_STRING;
	if (copy_text(it->key, sizeof(it->key),
		      json_object_get(object, "key")) < 0)
		return "key";
	if ((value || need_value) && copy_value(it, value) < 0)
		return "value";
	if (type && (!name || host_kvp_type_parse(&it->type, name) < 0))
		return "type";
	return NULL;
}

/* An array of texts, or one text with ';' between them, as a ';'-list. */
static int copy_list(char *dst, const json_t *j)
{
	const json_t *e;
	size_t i, n = 0;

	dst[0] = '\0';
	if (!j)
		return 0;
	if (json_is_string(j))
		return copy_text(dst, HOST_KVP_LIST_TEXT, j);
	if (!json_is_array(j))
		return -EINVAL;
	json_array_foreach((json_t *)j, i, e) {
		const char *s = json_string_value(e);

		if (!s || n + strlen(s) + 2 > HOST_KVP_LIST_TEXT)
			return -EINVAL;
		n += (size_t)snprintf(dst + n, HOST_KVP_LIST_TEXT - n, "%s%s",
				      i ? ";" : "", s);
	}
	return 0;
}

const char *host_json_get_ip(struct host_kvp_ip *ip, const json_t *object)
{
	const json_t *family = json_object_get(object, "family");

	*ip = (struct host_kvp_ip){ .family = KVP_IP_V4 | KVP_IP_V6 };
	if (copy_text(ip->adapter, sizeof(ip->adapter),
		      json_object_get(object, "adapter")) < 0)
		return "adapter";
	if (family && (!json_is_integer(family) ||
		       json_integer_value(family) < 0 ||
		       json_integer_value(family) > UINT8_MAX))
		return "family";
	if (family)
		ip->family = (uint8_t)json_integer_value(family);
	ip->dhcp = json_is_true(json_object_get(object, "dhcp"));
	if (copy_list(ip->addrs, json_object_get(object, "addresses")) < 0)
		return "addresses";
	if (copy_list(ip->masks, json_object_get(object, "masks")) < 0)
		return "masks";
	if (copy_list(ip->gateways, json_object_get(object, "gateways")) < 0)
		return "gateways";
	if (copy_list(ip->dns, json_object_get(object, "dns")) < 0)
		return "dns";
	return NULL;
}

const char *host_json_versions(struct host_versions *v, const json_t *array,
			       const char *name)
{
	const json_t *e;
	size_t i;

	v->n = 0;
	if (!json_is_array(array) ||
	    json_array_size(array) > HOST_IC_VERSIONS)
		return name;
	json_array_foreach((json_t *)array, i, e) {
		const char *s = json_string_value(e);

		if (!s || host_version_parse(&v->v[v->n++], s) < 0)
			return name;
	}
	return NULL;
}

/* Writing ---------------------------------------------------------------- */

json_t *host_json_entry(const struct host_kvp_entry *e)
{
	return json_pack("{s:s, s:s, s:s}", "key", e->key, "value", e->value,
			 "type", host_kvp_type_name(e->type));
}

json_t *host_json_list(const struct host_kvp_list *l)
{
	json_t *array = json_array();

	for (size_t i = 0; i < l->n; i++)
		json_array_append_new(array, host_json_entry(&l->e[i]));
	return array;
}

static json_t *split(const char *list)
{
	json_t *array = json_array();

	while (*list) {
		size_t n = strcspn(list, ";");

		if (n)
			json_array_append_new(array, json_stringn(list, n));
		list += n + (list[n] == ';');
	}
	return array;
}

json_t *host_json_ip(const struct host_kvp_ip *ip)
{
	return json_pack("{s:s, s:i, s:b, s:o, s:o, s:o, s:o, s:o}",
			 "adapter", ip->adapter, "family", ip->family,
			 "dhcp", ip->dhcp, "addresses", split(ip->addrs),
			 "masks", split(ip->masks),
			 "gateways", split(ip->gateways),
			 "dns", split(ip->dns), "origins", split(ip->origins));
}

static json_t *version(uint32_t v)
{
	char text[HOST_VERSION_TEXT];

	return v ? json_string(host_version_text(text, v)) : json_null();
}

static json_t *ic_status(const struct host *h, enum host_ic_id id)
{
	const struct host_ic *ic = host_ic_of(h, id);
	const struct host_ic_stats *s = host_ic_stats_get(ic);
	struct host_ic_health health = host_health(h, id);

	return json_pack(
		"{s:s, s:b, s:b, s:s, s:o, s:o, s:s, s:s, s:[i,i], s:I, s:I,"
		" s:I, s:I, s:I, s:I, s:I}",
		"name", host_ic_name(id), "offered", host_ic_offered(h, id),
		"open", host_ic_opened(h, id),
		"state", host_ic_state_name(host_ic_state_get(ic)),
		"framework", version(host_ic_framework(ic)),
		"version", version(host_ic_version(ic)),
		"health", health.name, "health_text", health.text,
		"health_codes", health.code[0], health.code[1],
		"negotiations", (json_int_t)s->negotiations,
		"requests", (json_int_t)s->requests,
		"answered", (json_int_t)s->answered,
		"unanswered", (json_int_t)s->unanswered,
		"late", (json_int_t)s->late, "stale", (json_int_t)s->stale,
		"violations", (json_int_t)s->violations);
}

static json_t *violations(const struct host *h)
{
	const struct host_violation *v;
	json_t *array = json_array();

	for (unsigned i = 0; (v = host_violation_at(h, i)); i++)
		json_array_append_new(array, json_pack("{s:I, s:s, s:s}",
			"t_ms", (json_int_t)v->t_ms, "ic", v->ic ? v->ic :
			"vmbus", "text", v->text));
	return array;
}

json_t *host_json_status(const struct host *h)
{
	const struct host_profile *p = host_profile_of(h);
	const struct host_kvp *k = host_kvp_of(h);
	json_t *ics = json_array();

	for (enum host_ic_id id = 0; id < HOST_N_ICS; id++)
		json_array_append_new(ics, ic_status(h, id));
	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:o, s:I, s:o, s:I, s:o,"
			 " s:{s:b, s:I, s:I, s:I}, s:o}",
			 "vm", host_vm_name(h), "profile", p->name,
			 "personality", p->strict ? "strict" : "lenient",
			 "time_ms", (json_int_t)host_now_ms(h),
			 "guest", host_guest(h),
			 "vmbus", version(host_guest_version(h)),
			 "guests", (json_int_t)host_guests(h), "ics", ics,
			 "violations", (json_int_t)host_violations(h),
			 "last_violations", violations(h),
			 "kvp", "pushed", host_kvp_pushed(k),
			 "items", (json_int_t)host_kvp_items(k)->n,
			 "guest_items", (json_int_t)host_kvp_cache(k, 1)->n,
			 "auto_items", (json_int_t)host_kvp_cache(k, 2)->n,
			 "vss", host_json_vss_status(h));
}
