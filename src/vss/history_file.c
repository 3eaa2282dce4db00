/* vss/history_file.c - lines in a file, whole or not there. */
#include "vss/history_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unix_socket.h"
#include "vss/history_rec.h"

enum {
	FILE_MODE = 0640,
	READ_MAX = 256 << 20,	/* bytes at the end that are looked at */
	TAIL = 4096,
};

/* Writing ----------------------------------------------------------------- */

static int lock_file(int fd, struct stat *st)
{
	if (flock(fd, LOCK_EX) < 0 || fstat(fd, st) < 0)
		return -errno;
	return S_ISREG(st->st_mode) ? 0 : -ENOTSUP;
}

/* Open and lock; the file that path names once we have the lock. Neither a link
 * nor a pipe that somebody put there. */
static int open_locked(const char *path, int flags)
{
	for (;;) {
		int fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW |
			      O_NONBLOCK, FILE_MODE);
		struct stat ours = { 0 }, there;
		int err;

		if (fd < 0)
			return -errno;
		err = lock_file(fd, &ours);
		if (err) {
			close(fd);
			return err;
		}
		if (stat(path, &there) == 0 && there.st_ino == ours.st_ino &&
		    there.st_dev == ours.st_dev)
			return fd;
		close(fd);		/* renamed over meanwhile */
	}
}

/* Where the last whole line ends. */
static off_t end_of_lines(int fd, off_t size)
{
	char buf[TAIL];

	while (size > 0) {
		size_t n = size < TAIL ? (size_t)size : TAIL;
		ssize_t got = pread(fd, buf, n, size - (off_t)n);
		char *nl;

		if (got != (ssize_t)n)
			return got < 0 ? -errno : -EIO;
		nl = memrchr(buf, '\n', n);
		if (nl)
			return size - (off_t)n + (nl - buf) + 1;
		size -= (off_t)n;
	}
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Behind the last whole line; what could not be written whole goes again. */
static int append(int fd, const char *text, size_t len)
{
	struct stat st;
	off_t end;
	int err;

	if (fstat(fd, &st) < 0)
		return -errno;
	end = end_of_lines(fd, st.st_size);
	if (end < 0)
		return (int)end;
	if (end != st.st_size && ftruncate(fd, end) < 0)
		return -errno;
	if (lseek(fd, end, SEEK_SET) < 0)
		return -errno;
	err = write_all(fd, text, len);
	if (!err && fdatasync(fd) < 0)
		err = -errno;
	if (err < 0 && ftruncate(fd, end) < 0)
		err = -errno;
	return err;
}

int history_file_append(const char *path, const char *text, size_t len)
{
	int fd = open_locked(path, O_CREAT);
	int err;

	if (fd == -ENOENT) {
		err = make_parent_dirs(path, 0755);
		if (err < 0)
			return err;
		fd = open_locked(path, O_CREAT);
	}
	if (fd < 0)
		return fd;
	err = append(fd, text, len);
	close(fd);
	return err;
}

static int sync_dir(const char *path)
{
	char dir[4096];
	char *slash;
	int fd, err = 0;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[1] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		err = -errno;
	close(fd);
	return err;
}

int history_file_replace(const char *path, const char *text, size_t len,
			 mode_t mode, bool sync)
{
	char tmp[4096];
	int fd, err;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	/* A link somebody put there is not followed, nor its target written. */
	if (unlink(tmp) < 0 && errno != ENOENT)
		return -errno;
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	err = write_all(fd, text, len);
	if (!err && sync && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (err < 0)
		unlink(tmp);
	return err < 0 || !sync ? err : sync_dir(path);
}

/* Reading ----------------------------------------------------------------- */

/* The file's end, at most READ_MAX bytes. */
static int read_end(int fd, char **text, size_t *len)
{
	struct stat st;
	off_t from;
	size_t size, done = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	from = st.st_size > READ_MAX ? st.st_size - READ_MAX : 0;
	size = (size_t)(st.st_size - from);
	*text = malloc(size + 1);
	if (!*text)
		return -ENOMEM;
	while (done < size) {
		ssize_t n = pread(fd, *text + done, size - done,
				  from + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;		/* it was cut meanwhile */
		done += (size_t)n;
	}
	*len = done;
	return 0;
}

static size_t count_lines(const char *text, size_t len)
{
	const char *nl, *at = text;
	size_t n = 0;

	while (at && (nl = memchr(at, '\n', len - (size_t)(at - text)))) {
		n++;
		at = nl + 1;
	}
	return n;
}

int history_file_trim(const char *path, size_t keep)
{
	int fd = open_locked(path, 0), err;
	char *text = NULL;
	size_t len = 0, n, skip, at = 0;

	if (fd < 0)
		return fd;
	err = read_end(fd, &text, &len);
	while (!err && len && text[len - 1] != '\n')
		len--;
	n = err ? 0 : count_lines(text, len);
	skip = n > keep ? n - keep : 0;
	for (size_t i = 0; i < skip; i++)
		at = (size_t)((char *)memchr(text + at, '\n', len - at) -
			      text) + 1;
	if (!err && skip)
		err = history_file_replace(path, text + at, len - at,
					   FILE_MODE, true);
	free(text);
	close(fd);
	return err < 0 ? err : (int)(n - skip);
}

struct reading {
	json_t *found;		/* the latest first */
	json_t *by_key;		/* the same, to find one */
};

/* Add a record, unless a later line tells it better. */
static void take_record(struct reading *r, json_t *rec)
{
	char key[2 * HISTORY_TEXT_MAX + 2];
	const json_t *later;

	snprintf(key, sizeof(key), "%s %s", history_text(rec, "boot"),
		 history_text(rec, "id"));
	later = json_object_get(r->by_key, key);
	if (later && history_rec_replaces(later, rec))
		return;
	json_array_append(r->found, rec);
	json_object_set(r->by_key, key, rec);
}

static void take_line(struct reading *r, const char *line, size_t len)
{
	json_t *foreign = json_loadb(line, len, 0, NULL);
	json_t *rec = history_rec_clean(foreign);

	if (rec)
		take_record(r, rec);
	json_decref(rec);
	json_decref(foreign);
}

static json_t *reversed(json_t *a)
{
	json_t *out = json_array();

	for (size_t i = json_array_size(a); i > 0; i--)
		json_array_append(out, json_array_get(a, i - 1));
	json_decref(a);
	return out;
}

json_t *history_file_read(const char *path, size_t most, size_t *lines)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;
	struct reading r = { NULL, NULL };
	char *text = NULL;
	size_t len = 0;

	err = fd < 0 ? -errno : read_end(fd, &text, &len);
	if (fd >= 0)
		close(fd);
	if (err < 0) {
		errno = -err;
		return NULL;
	}
	while (len && text[len - 1] != '\n')
		len--;			/* a torn line, or one being written */
	if (lines)
		*lines = count_lines(text, len);
	r.found = json_array();
	r.by_key = json_object();
	while (len && json_array_size(r.found) < most) {
		const char *nl = memrchr(text, '\n', len - 1);
		size_t from = nl ? (size_t)(nl - text) + 1 : 0;

		take_line(&r, text + from, len - 1 - from);
		len = from;
	}
	free(text);
	json_decref(r.by_key);
	return reversed(r.found);
}
