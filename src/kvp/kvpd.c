/* kvp/kvpd.c - the daemon's answers, by a table: operation to function. A
 * function returns the status for the host; what went wrong underneath is
 * kept for the caller's log. */
#include "kvp/kvpd.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/utf16.h"
#include "ic/hv_utilreg.h"
#include "kvp/ip_info.h"

struct kvpd {
	struct pool *pools[KVP_N_POOLS];
	const char *dir;
	struct auto_cfg auto_items;
	char version[KVP_VALUE_SIZE];
	struct kvpd_stats stats;
	int error;			/* behind the HV_E_FAIL being answered */
};

void kvpd_free(struct kvpd *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < KVP_N_POOLS; i++)
		pool_close(d->pools[i]);
	free(d);
}

struct kvpd *kvpd_new(const struct kvpd_cfg *cfg, unsigned *failed_pool)
{
	struct kvpd *d = calloc(1, sizeof(*d));
	mode_t external = cfg->external_mode ? cfg->external_mode : 0600;

	*failed_pool = 0;
	if (!d)
		return NULL;
	d->auto_items = cfg->auto_items;
	d->dir = cfg->state_dir ? cfg->state_dir : POOL_DIR;
	kvpd_set_version(d, HV_VERSION);
	for (unsigned i = 0; i < KVP_N_POOLS; i++) {
		const struct pool_cfg pool = {
			.dir = cfg->state_dir,
			.id = i,
			.access = POOL_WRITE,
			.no_sync = cfg->no_sync,
			.lock_timeout_ms = cfg->lock_timeout_ms,
			.mode = i == KVP_POOL_EXTERNAL ? external
						       : cfg->pool_mode,
		};

		d->pools[i] = pool_open(&pool);
		if (!d->pools[i]) {
			int err = errno;

			*failed_pool = i;
			kvpd_free(d);
			errno = err;
			return NULL;
		}
	}
	return d;
}

void kvpd_set_version(struct kvpd *d, const char *version)
{
	snprintf(d->version, sizeof(d->version), "%s", version);
}

/* Text of a pool file, which other programs write as they please: a field may
 * be full to its last byte and need not be UTF-8. Cut it to leave room for the
 * NUL and put '?' for what is no character. */
static void to_text(char *dst, size_t cap, const char *src)
{
	size_t n = 0;

	while (*src) {
		size_t len = 1;

		while (len < 4 && (src[len] & 0xc0) == 0x80)
			len++;
		if (!utf8_valid(src, len))
			len = 0;
		if (n + (len ? len : 1) >= cap)
			break;
		if (len)
			memcpy(dst + n, src, len);
		else
			dst[n] = '?';
		n += len ? len : 1;
		src += len ? len : 1;
	}
	dst[n] = '\0';
}

static uint32_t to_status(struct kvpd *d, int err)
{
	switch (err) {
	case 0:
		return HV_S_OK;
	case -ENOENT:
		return HV_S_CONT;
	case -EINVAL:
	case -EMSGSIZE:
	case -EILSEQ:
		return HV_INVALIDARG;
	default:
		d->error = err;
		return HV_E_FAIL;
	}
}

/* Keys and values --------------------------------------------------------- */

static uint32_t get_auto(struct kvpd *d, struct kvp_msg *m)
{
	struct auto_item item;
	int err = auto_get(&d->auto_items, d->version, m->key, &item);

	if (!err)
		memcpy(m->value, item.value, sizeof(m->value));
	return to_status(d, err);
}

static uint32_t do_get(struct kvpd *d, struct kvp_msg *m)
{
	char value[KVP_VALUE_SIZE + 1];
	int err;

	if (!m->key[0])
		return HV_INVALIDARG;
	if (m->pool == KVP_POOL_AUTO)
		return get_auto(d, m);
	err = pool_get(d->pools[m->pool], m->key, value);
	if (!err)
		to_text(m->value, sizeof(m->value), value);
	return to_status(d, err);
}

static uint32_t do_set(struct kvpd *d, struct kvp_msg *m)
{
	if (!m->key[0])
		return HV_INVALIDARG;
	if (m->pool == KVP_POOL_AUTO)
		return HV_ERROR_NOT_SUPPORTED;
	return to_status(d, pool_set(d->pools[m->pool], m->key, m->value));
}

static uint32_t do_delete(struct kvpd *d, struct kvp_msg *m)
{
	if (!m->key[0])
		return HV_INVALIDARG;
	if (m->pool == KVP_POOL_AUTO)
		return HV_ERROR_NOT_SUPPORTED;
	return to_status(d, pool_delete(d->pools[m->pool], m->key));
}

int kvpd_auto_at(struct kvpd *d, uint32_t index, struct kvp_msg *m)
{
	struct auto_item item;
	int err = auto_at(&d->auto_items, d->version, index, &item);

	if (err)
		return err;
	memcpy(m->key, item.key, sizeof(m->key));
	memcpy(m->value, item.value, sizeof(m->value));
	return 0;
}

static uint32_t do_enumerate(struct kvpd *d, struct kvp_msg *m)
{
	struct pool_kv kv;
	int err;

	if (m->pool == KVP_POOL_AUTO)
		return to_status(d, kvpd_auto_at(d, m->index, m));
	err = pool_at(d->pools[m->pool], m->index, &kv);
	if (!err) {
		to_text(m->key, sizeof(m->key), kv.key);
		to_text(m->value, sizeof(m->value), kv.value);
	}
	return to_status(d, err);
}

/* Addresses --------------------------------------------------------------- */

/* Upstream answers HV_E_FAIL to GET_IP_INFO and HV_GUID_NOTFOUND to
 * SET_IP_INFO for an adapter it does not have; we say what is the matter to
 * both. The host does not look into an answer with any error. */
static uint32_t adapter_status(struct kvpd *d, int err)
{
	return err == -ENOENT ? HV_GUID_NOTFOUND : to_status(d, err);
}

static uint32_t do_get_ip(struct kvpd *d, struct kvp_msg *m)
{
	return adapter_status(d, ip_info_get(&m->ip, d->auto_items.root));
}

static void log_settings(const struct kvp_ip *ip, const char *name)
{
	char addrs[256], masks[256], gateways[256], dns[256];

	log_info("IP settings for %s: addresses %s masks %s gateways %s "
		 "DNS %s DHCP %s", name,
		 log_quote(addrs, sizeof(addrs), ip->addrs, strlen(ip->addrs)),
		 log_quote(masks, sizeof(masks), ip->masks, strlen(ip->masks)),
		 log_quote(gateways, sizeof(gateways), ip->gateways,
			   strlen(ip->gateways)),
		 log_quote(dns, sizeof(dns), ip->dns, strlen(ip->dns)),
		 ip->dhcp ? "on" : "off");
}

/* The host sends its settings once; an operator wants to see them even though
 * nobody applies them. */
static uint32_t do_set_ip(struct kvpd *d, struct kvp_msg *m)
{
	char why[128], name[NETIF_NAME], id[KVP_ADAPTER_SIZE * 4];
	int err = ip_info_check(&m->ip, why, sizeof(why));

	log_quote(id, sizeof(id), m->ip.adapter_id, strlen(m->ip.adapter_id));
	if (err) {
		log_settings(&m->ip, id);
		log_info("IP settings refused: %s", why);
		return HV_INVALIDARG;
	}
	err = ip_info_find(m->ip.adapter_id, d->auto_items.root, name);
	log_settings(&m->ip, err ? id : name);
	if (err) {
		log_info("IP settings refused: no adapter %s", id);
		return adapter_status(d, err);
	}
	log_info("IP settings not applied: not supported");
	return HV_ERROR_NOT_SUPPORTED;
}

/* Dispatch ---------------------------------------------------------------- */

static const struct {
	uint32_t (*fn)(struct kvpd *d, struct kvp_msg *m);
	bool uses_pool;			/* else any pool number will do */
} ops[KVP_N_OPS] = {
	[KVP_GET] = { do_get, true },
	[KVP_SET] = { do_set, true },
	[KVP_DELETE] = { do_delete, true },
	[KVP_ENUMERATE] = { do_enumerate, true },
	[KVP_GET_IP_INFO] = { do_get_ip, false },
	[KVP_SET_IP_INFO] = { do_set_ip, false },
};

static void count(struct kvpd *d, const struct kvp_msg *m)
{
	enum kvpd_outcome o = KVPD_REFUSED;

	if (m->status == HV_S_OK)
		o = KVPD_OK;
	else if (m->status == HV_S_CONT || m->status == HV_GUID_NOTFOUND)
		o = KVPD_NOT_FOUND;
	else if (m->status == HV_E_FAIL)
		o = KVPD_FAILED;
	d->stats.outcomes[o]++;
	d->stats.requests[m->op < KVP_N_OPS ? m->op : KVP_N_OPS]++;
}

int kvpd_handle(struct kvpd *d, struct kvp_msg *m)
{
	d->error = 0;
	if (m->op >= KVP_N_OPS)
		m->status = HV_ERROR_NOT_SUPPORTED;
	else if (ops[m->op].uses_pool && m->pool >= KVP_N_POOLS)
		m->status = HV_INVALIDARG;
	else
		m->status = ops[m->op].fn(d, m);
	count(d, m);
	return d->error;
}

void kvpd_refuse(struct kvpd *d, struct kvp_msg *m)
{
	m->status = m->op < KVP_N_OPS ? HV_INVALIDARG : HV_ERROR_NOT_SUPPORTED;
	count(d, m);
}

void kvpd_stats_get(const struct kvpd *d, struct kvpd_stats *s)
{
	*s = d->stats;
}

const char *kvpd_outcome_name(enum kvpd_outcome o)
{
	static const char *const names[] = {
		[KVPD_OK] = "ok", [KVPD_NOT_FOUND] = "not_found",
		[KVPD_REFUSED] = "refused", [KVPD_FAILED] = "failed",
	};

	assert(o < KVPD_N_OUTCOMES);
	return names[o];
}

/* By the file's size: whoever looks at our state must not make us wait for a
 * lock while the host waits for us. */
ssize_t kvpd_count(struct kvpd *d, unsigned pool)
{
	struct kvp_msg m;
	uint32_t n = 0;
	char path[4096];
	struct stat st;

	assert(pool < KVP_N_POOLS);
	if (pool != KVP_POOL_AUTO) {
		snprintf(path, sizeof(path), "%s/.kvp_pool_%u", d->dir, pool);
		return stat(path, &st) < 0 ? -errno
					   : st.st_size / KVP_RECORD_SIZE;
	}
	while (kvpd_auto_at(d, n, &m) == 0)
		n++;
	return (ssize_t)n;
}
