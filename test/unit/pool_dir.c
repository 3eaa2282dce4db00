#include "pool_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void pool_dir_make(struct pool_dir *d)
{
	const char *tmp = getenv("TMPDIR");

	if (!tmp || strlen(tmp) > 40)
		tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(d->path, sizeof(d->path), "%.40s/test_pool.XXXXXX", tmp);
	assert_non_null(mkdtemp(d->path));
	snprintf(d->pool, sizeof(d->pool), "%s/.kvp_pool_1", d->path);
	snprintf(d->redo, sizeof(d->redo), "%s/.redo_pool_1", d->path);
}

void pool_dir_remove(struct pool_dir *d)
{
	DIR *dir = opendir(d->path);
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(d->path);
}

struct pool *pool_dir_open(struct pool_dir *d, enum pool_access access)
{
	struct pool_cfg cfg = { .dir = d->path, .id = KVP_POOL_GUEST,
				.access = access, .no_sync = true };
	struct pool *p = pool_open(&cfg);

	assert_non_null(p);
	return p;
}

uint8_t *file_read(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;

	*len = 0;
	if (fd < 0)
		return NULL;
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	data = malloc(*len ? *len : 1);
	assert_non_null(data);
	assert_int_equal(read(fd, data, *len), (ssize_t)*len);
	close(fd);
	return data;
}

static void put(const char *path, int flags, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

void file_write(const char *path, const void *data, size_t len)
{
	put(path, O_TRUNC, data, len);
}

void file_append(const char *path, const void *data, size_t len)
{
	put(path, O_APPEND, data, len);
}

void rec_make(uint8_t rec[KVP_RECORD_SIZE], const char *key,
	      const char *value)
{
	memset(rec, 0, KVP_RECORD_SIZE);
	memcpy(rec, key, strlen(key));
	memcpy(rec + KVP_KEY_SIZE, value, strlen(value));
}
