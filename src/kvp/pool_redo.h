/* kvp/pool_redo.h - the redo journal beside a pool file.
 *
 * Shape:   one header of 512 bytes, then, while a change is under way, the
 *          bytes it replaces (pre) and the bytes it puts there (post). See
 *          doc/wire/pool.md. The header also says which state of the pool
 *          file was the last that a user of this journal made.
 * Locks:   none here; the caller holds the pool's: exclusive for everything
 *          that writes, at least shared for the rest.
 * Trust:   a journal may hold any bytes. What its checksums do not cover, or
 *          what is not possible, counts as no journal.
 */
#ifndef KVP_POOL_REDO_H
#define KVP_POOL_REDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvp/kvp_reg.h"

enum {
	POOL_REDO_HEADER = 512,
	/* Kept allocated, so that replacing a value works on a full disk. */
	POOL_REDO_KEEP = POOL_REDO_HEADER + 2 * KVP_RECORD_SIZE,
};

/* One change: pre_len bytes at `offset` become post_len others and the file's
 * size goes from old_size to new_size. A change of size reaches to the end of
 * the file in both states. offset is a record's, post_len whole records. */
struct redo {
	bool pending;		/* else only the next three are meant */
	uint64_t epoch;		/* see pool.c; unique while records stay put */
	uint64_t mtime_ns;	/* the pool file's after the change */
	uint64_t new_size;
	uint64_t ino;		/* the pool file's */
	bool shift;		/* post is pre without its first record */
	uint64_t offset, old_size, pre_len, post_len;
	uint32_t body_crc;
};

/* Make record number `recno` of the new state. 0, or -errno. */
typedef int (*redo_post_fn)(void *arg, uint32_t recno,
			    uint8_t rec[KVP_RECORD_SIZE]);

/* What a pending change comes to, given what the pool file holds now. */
enum redo_verdict {
	REDO_LEAVE,		/* somebody else changed the file since */
	REDO_FORWARD,		/* write post, then set the size */
	REDO_BACK,		/* write pre: others have appended behind it */
};

/* Read and check the header. 1; 0 there is none that is valid; -errno. */
int redo_load(int fd, struct redo *t);
/* Do the checksums of the images hold? 1, 0 or -errno. */
int redo_body_ok(int fd, const struct redo *t);

/* Write header and images; pre comes from pool_fd, post from `post` unless
 * t->shift. Sets t->pending and t->body_crc. 0 or -errno. No syncing. */
int redo_store(int fd, struct redo *t, int pool_fd, redo_post_fn post,
	       void *arg);
/* Nothing is under way any more: wipe the images. */
int redo_clear(int fd, const struct redo *t);

/* Compare the pool file, `size` bytes long, with the images, and say what to
 * do and which size it has after that. */
int redo_judge(int fd, const struct redo *t, int pool_fd, uint64_t size,
	       enum redo_verdict *v, uint64_t *size_after);
/* Write post (or, back, pre) over the pool file and give it its size. Room is
 * taken before the first byte is written. 0 or -errno. */
int redo_apply(int fd, const struct redo *t, int pool_fd, bool back,
	       uint64_t size, uint64_t size_after);

/* Where an image stands in the journal. */
static inline uint64_t redo_image_at(const struct redo *t, bool post)
{
	if (!post)
		return POOL_REDO_HEADER;
	return POOL_REDO_HEADER + (t->shift ? KVP_RECORD_SIZE : t->pre_len);
}

#endif
