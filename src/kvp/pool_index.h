/* kvp/pool_index.h - from a key's hash to the records that may have the key.
 *
 * Holds hashes, never keys or values: who finds a record number here still
 * compares the key in the file. Keys may repeat, and so may hashes.
 */
#ifndef KVP_POOL_INDEX_H
#define KVP_POOL_INDEX_H

#include <stddef.h>
#include <stdint.h>

enum { POOL_INDEX_NONE = UINT32_MAX };

struct pool_index {
	uint64_t *hash;		/* of each record, in file order */
	uint32_t *slot;		/* open addressing: smallest record, plus one */
	uint32_t n, cap;	/* records; room in hash[] */
	uint32_t n_slots;	/* a power of two, or 0 */
};

/* Good for keys and for whole records; not against forged collisions, which
 * cost time and nothing else. */
uint64_t pool_index_hash(const void *data, size_t len);

/* The next record, number ix->n, has this hash. 0, or -ENOMEM. */
int pool_index_add(struct pool_index *ix, uint64_t hash);
/* Take record number i out; those behind it move up. Cost: all records. */
void pool_index_remove(struct pool_index *ix, uint32_t i);
/* Forget all records and give the memory back. */
void pool_index_clear(struct pool_index *ix);

/* The first record with this hash, or POOL_INDEX_NONE. */
uint32_t pool_index_first(const struct pool_index *ix, uint64_t hash);
/* The next one after record i; cost: the records between. */
uint32_t pool_index_next(const struct pool_index *ix, uint64_t hash,
			 uint32_t i);

#endif
