/* test/fuzz/fuzz_pool.c - a pool file and a journal of any bytes: reading,
 * repairing and changing never crash and always end.
 *
 * Byte 0: bit 0, give the journal right checksums, so that its fields are
 * reached; bit 1, multiply its sizes and offset by 2560. Then the length of
 * the journal, two bytes, low one first; the journal; the rest is the pool
 * file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "kvp/pool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 512, RECORDS_AT_MOST = 64 };

static char dir[64], pool_path[96], redo_path[96];

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void remove_dir(void)
{
	unlink(pool_path);
	unlink(redo_path);
	rmdir(dir);
}

static void make_dir(void)
{
	if (dir[0])
		return;
	snprintf(dir, sizeof(dir), "%s/fuzz_pool.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	need(mkdtemp(dir));
	snprintf(pool_path, sizeof(pool_path), "%s/.kvp_pool_1", dir);
	snprintf(redo_path, sizeof(redo_path), "%s/.redo_pool_1", dir);
	atexit(remove_dir);
}

static void put_file(const char *path, const uint8_t *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	need(fd >= 0);
	need(write(fd, data, len) == (ssize_t)len);
	close(fd);
}

static uint64_t get_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 8; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static void put_le(uint8_t *p, uint64_t v, int n)
{
	for (int i = 0; i < n; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

static void make_valid(uint8_t *j, size_t len, bool scale)
{
	uint64_t pre, post, body;

	memcpy(j, "HVREDO1", 8);
	for (int at = 40; scale && at < 80; at += 8)
		put_le(j + at, j[at] * (uint64_t)KVP_RECORD_SIZE, 8);
	pre = get_le64(j + 64);
	post = j[8] & 2 ? 0 : get_le64(j + 72);
	body = pre + post;
	if (pre <= len && post <= len && body <= len - HEADER)
		put_le(j + 12, crc32(0, j + HEADER, (uInt)body), 4);
	put_le(j + 508, crc32(0, j, 508), 4);
}

static void read_all(struct pool *p)
{
	ssize_t n = pool_count(p);
	struct pool_kv kv;

	need(n >= 0 || n == -EFBIG);
	for (uint32_t i = 0; n >= 0 && i < n && i < RECORDS_AT_MOST; i++) {
		need(pool_at(p, i, &kv) == 0);
		if (kv.key[0])
			need(pool_get(p, kv.key, kv.value) == 0);
	}
	if (n >= 0)
		need(pool_at(p, (uint32_t)n, &kv) == -ENOENT);
}

static void change(struct pool *p)
{
	static const struct pool_kv two[2] = { { "a", "1" }, { "b", "2" } };
	char value[KVP_VALUE_SIZE + 1];
	ssize_t n = pool_count(p);

	if (n < 0)
		return;
	need(pool_set(p, "a", "x") == 0);
	need(pool_get(p, "a", value) == 0 && !strcmp(value, "x"));
	need(pool_append(p, "a", "y") == 0);
	need(pool_delete(p, "a") == 0);
	need(pool_import(p, two, 2, false) == 0);
	need(pool_get(p, "b", value) == 0 && !strcmp(value, "2"));
	need(pool_count(p) > 0);
}

static void use(enum pool_access access, void (*fn)(struct pool *p))
{
	struct pool_cfg cfg = { .dir = dir, .id = 1, .access = access,
				.no_sync = true };
	struct pool *p = pool_open(&cfg);

	need(p);
	fn(p);
	pool_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len, have;
	uint8_t *redo;

	if (size < 3)
		return 0;
	make_dir();
	len = (size_t)data[1] | (size_t)data[2] << 8;
	have = len < size - 3 ? len : size - 3;
	redo = calloc(1, len + 1);
	need(redo);
	memcpy(redo, data + 3, have);
	if (data[0] & 1 && len >= HEADER)
		make_valid(redo, len, data[0] & 2);
	put_file(redo_path, redo, len);
	put_file(pool_path, data + 3 + have, size - 3 - have);
	free(redo);

	use(POOL_READ, read_all);
	use(POOL_WRITE, read_all);
	use(POOL_WRITE, change);
	use(POOL_READ, read_all);
	return 0;
}
