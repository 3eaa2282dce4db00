/* test/unit/pool_dir.h - a directory of pool files made for one test, and
 * files in it laid out by hand. */
#ifndef TEST_POOL_DIR_H
#define TEST_POOL_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "kvp/pool.h"

struct pool_dir {
	char path[64];		/* below TMPDIR, /dev/shm or /tmp */
	char pool[96];		/* pool 1's file */
	char redo[96];		/* its journal */
};

void pool_dir_make(struct pool_dir *d);
void pool_dir_remove(struct pool_dir *d);

/* Pool 1, without syncing unless asked for. Fails the test on error. */
struct pool *pool_dir_open(struct pool_dir *d, enum pool_access access);

/* Whole files. Reading returns a heap block of exactly *len bytes; NULL and 0
 * when there is no such file. */
uint8_t *file_read(const char *path, size_t *len);
void file_write(const char *path, const void *data, size_t len);
void file_append(const char *path, const void *data, size_t len);

/* A record as any other program would write it. */
void rec_make(uint8_t rec[KVP_RECORD_SIZE], const char *key,
	      const char *value);

#endif
