/* kvp/pool_index.c - a hash of every record in file order, and a table which
 * leads from a hash to the smallest record that has it.
 *
 * Only the smallest record of a hash is in the table, so repeated keys, which
 * reporters write by the hundred, do not lengthen a search. Taking a record
 * out renumbers all behind it; the table is then built anew from the array,
 * no slower than the file's own records can be moved.
 */
#include "kvp/pool_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64 };

static uint64_t mix(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

uint64_t pool_index_hash(const void *data, size_t len)
{
	uint64_t h = 0x9e3779b97f4a7c15u ^ len, word;
	const uint8_t *p = data;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = mix(h ^ word);
	}
	word = 0;
	if (len)
		memcpy(&word, p, len);
	return mix(h ^ word);
}

/* The slot with this hash, or the empty one where it belongs. */
static uint32_t find_slot(const struct pool_index *ix, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & (ix->n_slots - 1);

	while (ix->slot[i] && ix->hash[ix->slot[i] - 1] != hash)
		i = (i + 1) & (ix->n_slots - 1);
	return i;
}

static void fill_slots(struct pool_index *ix)
{
	memset(ix->slot, 0, ix->n_slots * sizeof(*ix->slot));
	for (uint32_t r = 0; r < ix->n; r++) {
		uint32_t i = find_slot(ix, ix->hash[r]);

		if (!ix->slot[i])
			ix->slot[i] = r + 1;
	}
}

static int grow(struct pool_index *ix)
{
	uint32_t cap = ix->cap ? ix->cap * 2 : SLOTS_MIN / 2;
	uint64_t *hash = reallocarray(ix->hash, cap, sizeof(*hash));
	uint32_t *slot;

	if (!hash)
		return -ENOMEM;
	ix->hash = hash;
	slot = reallocarray(ix->slot, (size_t)cap * 2, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	ix->slot = slot;
	ix->cap = cap;
	ix->n_slots = cap * 2;
	fill_slots(ix);
	return 0;
}

int pool_index_add(struct pool_index *ix, uint64_t hash)
{
	uint32_t i;
	int r;

	if (ix->n == ix->cap && (r = grow(ix)) < 0)
		return r;
	i = find_slot(ix, hash);
	ix->hash[ix->n++] = hash;
	if (!ix->slot[i])
		ix->slot[i] = ix->n;
	return 0;
}

void pool_index_remove(struct pool_index *ix, uint32_t i)
{
	ix->n--;
	memmove(ix->hash + i, ix->hash + i + 1,
		(ix->n - i) * sizeof(*ix->hash));
	fill_slots(ix);
}

void pool_index_clear(struct pool_index *ix)
{
	free(ix->hash);
	free(ix->slot);
	memset(ix, 0, sizeof(*ix));
}

uint32_t pool_index_first(const struct pool_index *ix, uint64_t hash)
{
	uint32_t found = ix->n ? ix->slot[find_slot(ix, hash)] : 0;

	return found ? found - 1 : POOL_INDEX_NONE;
}

uint32_t pool_index_next(const struct pool_index *ix, uint64_t hash,
			 uint32_t i)
{
	while (++i < ix->n)
		if (ix->hash[i] == hash)
			return i;
	return POOL_INDEX_NONE;
}
