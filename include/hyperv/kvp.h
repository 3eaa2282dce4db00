/* hyperv/kvp.h - exchange key-value pairs with the Hyper-V host.
 *
 * The host and its guest share pools of key-value pairs. In the guest each is
 * a file below /var/lib/hyperv, which the key-value daemon, this library and
 * other programs use together:
 *
 *   0 external        the host's administrator writes, the guest reads
 *   1 guest           guest programs write, the host reads
 *   2 auto            facts about the guest; computed by the daemon, no file
 *   3 auto-external   facts about the host; the host writes, the guest reads
 *   4 auto-internal   not in use
 *
 * Every call locks the file against all its other users, of whatever kind,
 * and sees what they did before. A change is whole or not there, also after a
 * kill or a loss of power, and is on the disk when the call returns.
 *
 * Text:     NUL-terminated UTF-8. A key has 1 to 511 bytes, a value 0 to 2047.
 *           The host counts UTF-16 units: it takes 255 and 1023 of them. Some
 *           of its readers stop at 1024 bytes of value. What other programs
 *           wrote may be up to 512 and 2048 bytes of anything.
 * Errors:   0 or a count, or a negative errno value; hv_kvp_error() then has
 *           a text that names what was wrong.
 *             -EINVAL     no such pool; an empty key
 *             -EMSGSIZE   key or value too long
 *             -EILSEQ     key or value is not UTF-8
 *             -ENOENT     no such key, record or directory
 *             -EACCES     not allowed; the handle is only for reading
 *             -ETIMEDOUT  another program holds the file locked (2 s)
 *             -ENOSPC, -EROFS, -EIO, ... what the file system says; a change
 *                         that failed was not made
 * Threads:  one thread at a time for each handle; any number of handles, also
 *           on one pool. Do not use a handle on both sides of a fork().
 *
 * Link with `pkg-config --libs hyperv`. hyperv_kvp(3) has an example.
 */
#ifndef HYPERV_KVP_H
#define HYPERV_KVP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hv_kvp_pool {
	HV_KVP_EXTERNAL = 0,
	HV_KVP_GUEST = 1,
	HV_KVP_AUTO = 2,
	HV_KVP_AUTO_EXTERNAL = 3,
	HV_KVP_AUTO_INTERNAL = 4,
};

enum {
	HV_KVP_KEY_MAX = 511,		/* bytes, for keys that we write */
	HV_KVP_VALUE_MAX = 2047,
	HV_KVP_KEY_SIZE = 513,		/* buffers for what we read */
	HV_KVP_VALUE_SIZE = 2049,
};

/* Flags of hv_kvp_open(). */
enum {
	HV_KVP_READ = 0,
	HV_KVP_WRITE = 1,	/* creates directory and file where missing */
	HV_KVP_NO_SYNC = 2,	/* changes survive a kill, not a power loss */
};

struct hv_kvp;			/* a pool in use */
struct hv_kvp_watch;

struct hv_kvp_item {
	char key[HV_KVP_KEY_SIZE];
	char value[HV_KVP_VALUE_SIZE];
};

/* Pools by name ("guest") or number ("1"). The number, or -EINVAL. */
int hv_kvp_pool_parse(const char *text);
/* The name; NULL for an impossible number. The string is constant. */
const char *hv_kvp_pool_name(unsigned pool);

/* What the last failed call of this thread was about; valid until its next
 * failure. Text from outside is quoted and safe for a terminal. */
const char *hv_kvp_error(void);

/* Use a pool. state_dir NULL: /var/lib/hyperv. For reading, a missing file is
 * an empty pool, a missing directory is -ENOENT. 0 and *out, which
 * hv_kvp_close() ends; or an error and *out NULL. */
int hv_kvp_open(struct hv_kvp **out, unsigned pool, unsigned flags,
		const char *state_dir);
void hv_kvp_close(struct hv_kvp *h);		/* NULL is fine */

/* The value of the first record with this key. value may be NULL. */
int hv_kvp_get(struct hv_kvp *h, const char *key,
	       char value[HV_KVP_VALUE_SIZE]);
/* Replace the value of the first record with this key, or append one. */
int hv_kvp_set(struct hv_kvp *h, const char *key, const char *value);
/* Append a record even if there is one with this key. */
int hv_kvp_append(struct hv_kvp *h, const char *key, const char *value);
/* Remove the first record with this key; those behind it move up. */
int hv_kvp_delete(struct hv_kvp *h, const char *key);

/* Records by number, in file order, from 0. -ENOENT past the end. Between two
 * calls others may change the file; hv_kvp_list() sees one state of it. */
int hv_kvp_at(struct hv_kvp *h, uint32_t index, struct hv_kvp_item *item);
/* The number of records. */
ssize_t hv_kvp_count(struct hv_kvp *h);
/* All records. free(*items), also when *n is 0. */
int hv_kvp_list(struct hv_kvp *h, struct hv_kvp_item **items, size_t *n);

/* All of these as one change, or none: hv_kvp_set() for each in order, or with
 * `replace` nonzero these records instead of all that were there. */
int hv_kvp_import(struct hv_kvp *h, const struct hv_kvp_item *items, size_t n,
		  int replace);

/* Watching --------------------------------------------------------------- */

enum hv_kvp_change_kind {
	HV_KVP_IS_SET,		/* a record is new or has a new value */
	HV_KVP_IS_DELETED,	/* a record is gone; others may have its key */
};

struct hv_kvp_change {
	enum hv_kvp_change_kind kind;
	struct hv_kvp_item item;	/* when deleted: its last value */
};

/* Watch a pool from now on. The file need not exist yet, the directory must. */
int hv_kvp_watch_open(struct hv_kvp_watch **out, unsigned pool,
		      const char *state_dir);
void hv_kvp_watch_close(struct hv_kvp_watch *w);	/* NULL is fine */
/* A descriptor to poll for reading: then call hv_kvp_watch_next() until it
 * returns 0. It belongs to the watch. */
int hv_kvp_watch_fd(const struct hv_kvp_watch *w);
/* The next change: 1 and *c; 0 there is none now; or an error, after
 * which the next call tries again. Does not wait for changes. Found by
 * comparing two states of the file: a value set twice in between is one
 * change, one set and deleted is none. Deletions come before settings. */
int hv_kvp_watch_next(struct hv_kvp_watch *w, struct hv_kvp_change *c);

#ifdef __cplusplus
}
#endif

#endif
