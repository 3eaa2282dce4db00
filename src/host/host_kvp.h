/* host/host_kvp.h - what a host does with key-value exchange: ask the guest,
 * push items at it, keep the administrator's, and watch what the guest says.
 *
 *   items    pool 0, the administrator's: kept here, sent when they change
 *            and again at every connect
 *   facts    pool 3, about this host: sent at connect
 *   caches   pools 1 and 2 as last enumerated
 */
#ifndef HOST_KVP_H
#define HOST_KVP_H

#include "host/host_ic.h"
#include "host/host_kvp_wire.h"

struct host_kvp;

/* Items in the order in which they came. */
struct host_kvp_list {
	size_t n, cap;
	struct host_kvp_entry {
		uint32_t type;			/* enum kvp_value_type */
		char *key, *value;
	} *e;
};

struct host_kvp_result {
	int err;			/* of struct host_ic_answer */
	uint32_t status;		/* the guest's; of a walk: 0 at its end */
	const struct host_kvp_msg *msg;	/* request and answer; NULL for walks */
	const struct host_kvp_list *list;	/* of a walk */
	uint64_t took_ms;
};
/* Everything in the result is valid during the call. */
typedef void (*host_kvp_done)(void *arg, const struct host_kvp_result *r);

enum host_kvp_change { HOST_KVP_ADDED, HOST_KVP_CHANGED, HOST_KVP_REMOVED };

/* Told what polling and walking find. Lives inside its owner. */
struct host_kvp_watch {
	void (*fn)(void *arg, unsigned pool, enum host_kvp_change what,
		   const struct host_kvp_entry *e);
	void *arg;
	struct host_kvp_watch *next;
};

struct host_kvp_cfg {
	bool push;			/* facts and items at connect */
	bool string_ip;			/* IP operations below KVP 5.0 too */
	const char *vm_name;		/* among the facts */
	uint32_t poll_ms;		/* period of walks over 1 and 2; 0: none */
};

/* The ic must outlive it. NULL when out of memory. */
struct host_kvp *host_kvp_new(struct loop *l, struct host_ic *ic,
			      const struct host_kvp_cfg *cfg);
void host_kvp_free(struct host_kvp *k);		/* NULL is fine */

/* Its ic is ready; is so no longer; its channel was opened anew. */
void host_kvp_ready(struct host_kvp *k);
void host_kvp_lost(struct host_kvp *k);
void host_kvp_connected(struct host_kvp *k);

/* One request. done may be NULL, else is called exactly once, not from here.
 * f may be NULL. 0, or as host_ic_ask() and host_kvp_put(); -EOPNOTSUPP: this
 * host has no IP operations at the version agreed. */
int host_kvp_request(struct host_kvp *k, const struct host_kvp_msg *m,
		     const struct host_fault *f, host_kvp_done done, void *arg);
/* Enumerate a pool to its end. Updates the cache of pools 1 and 2. */
int host_kvp_walk(struct host_kvp *k, unsigned pool, host_kvp_done done,
		  void *arg);
/* Send facts, items and the pending SET_IP_INFO. done gets the first failure,
 * or status 0; with nothing to send it is called from here. */
int host_kvp_push(struct host_kvp *k, host_kvp_done done, void *arg);

/* Whoever has this arg is not called any more: it goes away. */
void host_kvp_forget(struct host_kvp *k, const void *arg);

/* The administrator's items. Storing does not send: request a SET or DELETE
 * for that. 0; -ENOMEM; -EMSGSIZE, -EINVAL, -EILSEQ as host_kvp_put();
 * -ENOENT nothing to delete. */
int host_kvp_item_set(struct host_kvp *k, const struct host_kvp_item *it);
int host_kvp_item_delete(struct host_kvp *k, const char *key);
const struct host_kvp_list *host_kvp_items(const struct host_kvp *k);
const struct host_kvp_list *host_kvp_facts(const struct host_kvp *k);
const struct host_kvp_list *host_kvp_cache(const struct host_kvp *k,
					   unsigned pool);	/* 1 or 2 */
/* Send this SET_IP_INFO once, after the push of the next connect. */
void host_kvp_ip_at_connect(struct host_kvp *k, const struct host_kvp_ip *ip);

void host_kvp_poll(struct host_kvp *k, uint32_t period_ms);	/* 0: stop */
void host_kvp_watch(struct host_kvp *k, struct host_kvp_watch *w);
void host_kvp_unwatch(struct host_kvp *k, struct host_kvp_watch *w);

bool host_kvp_pushed(const struct host_kvp *k);	/* on this connection */

#endif
