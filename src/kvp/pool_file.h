/* kvp/pool_file.h - one pool file and its journal: locked, looked at, changed,
 * by record number and without any idea of keys.
 *
 * Every use is begin, look or commit, end. What begin finds out is in the
 * struct until end. Owner: struct pool, or whoever declares one; one thread at
 * a time.
 */
#ifndef KVP_POOL_FILE_H
#define KVP_POOL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "kvp/pool.h"
#include "kvp/pool_redo.h"

enum { POOL_RECORDS_MAX = 1 << 20 };	/* 2.5 GiB; far past any host's limit */

struct pool_file {
	struct pool_cfg cfg;
	char *dir, *path, *redo_path;
	int fd, redo_fd;	/* negative: not open */
	dev_t dev;
	ino_t ino;		/* of fd */
	unsigned generation;	/* new with every file, and every repair */

	/* From begin to end. */
	struct stat st;
	struct redo redo;	/* the journal's header; all zero without one */
	bool known;		/* nobody but us has changed the file last */
	bool overlay;		/* see the file through the journal's change */
	bool overlay_back;
	uint64_t size;		/* as we see it */
};

/* ns since 1970, now and as stat(2) has it. */
uint64_t pool_file_now_ns(void);
uint64_t pool_file_ns(struct timespec ts);

/* 0, or -errno, and then there is nothing to close. */
int pool_file_open(struct pool_file *f, const struct pool_cfg *cfg);
void pool_file_close(struct pool_file *f);

/* Lock the file, to change it or only to look, and repair it if need be.
 * 0, or -errno as in pool.h, and then it is not locked. */
int pool_file_begin(struct pool_file *f, bool change);
void pool_file_end(struct pool_file *f);

/* Whole records in the file. */
uint32_t pool_file_count(const struct pool_file *f);
/* Records as they stand; zeros past the end. 0 or -errno. */
int pool_file_read(struct pool_file *f, uint32_t first, size_t count,
		   uint8_t *buf);
/* Call fn for records [first, end) in order until it returns nonzero, which
 * is returned; 0, or -errno of reading. */
int pool_file_walk(struct pool_file *f, uint32_t first, uint32_t end,
		   int (*fn)(void *arg, uint32_t recno, const uint8_t *rec),
		   void *arg);

/* Make a change, whose place, lengths and sizes the caller has put in t; the
 * rest is filled in. `moved`: records change their numbers. New records come
 * from `post` unless t->shift. 0, and it is made and durable; or -errno, and
 * the file is as it was. */
int pool_file_commit(struct pool_file *f, struct redo *t, bool moved,
		     redo_post_fn post, void *arg);

#endif
