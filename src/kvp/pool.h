/* kvp/pool.h - one KVP pool: a file of key-value records that this program
 * shares with others it does not know.
 *
 * Shape:    an array of 2560-byte records, key 512 then value 2048, UTF-8,
 *           NUL-padded; no header; file order is enumeration order; keys may
 *           repeat; a trailing partial record is not a record.
 * Sharing:  every operation holds both lock kinds that exist in the wild (an
 *           fcntl lock, as an open-file-description lock, and flock), shared
 *           for reads, exclusive for changes. What others changed meanwhile,
 *           or replaced by another file, is seen by the next operation.
 * Safety:   a change is first written whole to a redo journal beside the
 *           file; kill -9 or power loss at any byte leaves the old state or
 *           the new one, and a change that was reported done stays done.
 * Cost:     get, set and a step of an enumeration do not grow with the number
 *           of records; a delete moves the records behind it once.
 *
 * Text:     what we store is checked; what others stored may be any bytes, and
 *           is handed out up to its first NUL.
 * Threads:  one at a time for each struct pool; any number of those may be
 *           open on one file.
 *
 * Errors, beyond those of a function: -ETIMEDOUT a lock was not to be had in
 * time; -EBUSY somebody changes the file without any lock; -EFBIG more than
 * 2^20 records; -EACCES a change with POOL_READ; -EACCES, -EROFS, -ENOSPC,
 * -EIO as the file system says; -ENOENT the file is gone (READ). After an error
 * the pool is as it was and remains usable.
 */
#ifndef KVP_POOL_H
#define KVP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kvp/kvp_reg.h"

#define POOL_DIR	"/var/lib/hyperv"

struct pool;

enum pool_access { POOL_READ, POOL_WRITE };

struct pool_cfg {
	const char *dir;		/* NULL: POOL_DIR */
	unsigned id;			/* enum kvp_pool_id */
	enum pool_access access;	/* WRITE creates directory and file */
	bool no_sync;		/* changes survive kill -9, not power loss */
	unsigned lock_timeout_ms;	/* 0: 2000 */
	mode_t mode;			/* of a created file; 0: 0644 */
};

struct pool_kv {
	char key[KVP_KEY_SIZE + 1];	/* a stored key may fill its field */
	char value[KVP_VALUE_SIZE + 1];
};

/* NULL with errno set: EINVAL an impossible id; ENOENT no such file (READ). */
struct pool *pool_open(const struct pool_cfg *cfg);
void pool_close(struct pool *p);		/* NULL is fine */

/* The first record with this key. 0; -ENOENT; -EINVAL empty key. value may be
 * NULL. */
int pool_get(struct pool *p, const char *key, char value[KVP_VALUE_SIZE + 1]);
/* Record number index. 0; -ENOENT past the end. */
int pool_at(struct pool *p, uint32_t index, struct pool_kv *kv);
/* Records in the file, or -errno. */
ssize_t pool_count(struct pool *p);

/* Replace the value of the first record with this key, or append one.
 * 0; -EINVAL empty key; -EMSGSIZE key over 511 or value over 2047 bytes;
 * -EILSEQ not UTF-8. */
int pool_set(struct pool *p, const char *key, const char *value);
/* Always append, as reporters that repeat a key do. Errors as pool_set(). */
int pool_append(struct pool *p, const char *key, const char *value);
/* Remove the first record with this key. 0; -ENOENT; -EINVAL empty key. */
int pool_delete(struct pool *p, const char *key);
/* All of kv[0..n) as one change: pool_set() for each in order, or (replace)
 * these records instead of everything there was. All or nothing. */
int pool_import(struct pool *p, const struct pool_kv *kv, size_t n,
		bool replace);

/* Every record, in order, under one lock: fn must not wait for anything nor
 * use p, and returns false to stop. 0, or -errno. */
int pool_each(struct pool *p, bool (*fn)(void *arg, const struct pool_kv *kv),
	      void *arg);

#endif
