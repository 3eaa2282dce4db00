/* kvp/pool_io.h - whole reads and writes at a place in a file. */
#ifndef KVP_POOL_IO_H
#define KVP_POOL_IO_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "kvp/kvp_reg.h"

/* What is moved at once when many records are; on the stack. */
enum { POOL_CHUNK = 8 * KVP_RECORD_SIZE };

/* Bytes read, fewer than len only at the end of the file, or -errno. */
static inline ssize_t pool_pread(int fd, void *buf, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
				  (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* 0, or -errno; then any part may have been written. */
static inline int pool_pwrite(int fd, const void *buf, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)buf + done, len - done,
				   (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static inline uint64_t pool_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t pool_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
