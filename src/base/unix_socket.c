/* base/unix_socket.c - Unix sockets with a path. */
#include "base/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONNECT_S = 3 };		/* a peer that accepts nothing is stuck */

static int address_of(struct sockaddr_un *a, const char *path)
{
	if (strlen(path) >= sizeof(a->sun_path))
		return -ENAMETOOLONG;
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	memcpy(a->sun_path, path, strlen(path));
	return 0;
}

int unix_connect(const char *path, int type)
{
	const struct timeval patience = { .tv_sec = CONNECT_S };
	struct sockaddr_un a;
	int err = address_of(&a, path);
	int fd;

	if (err < 0)
		return err;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		err = errno == EAGAIN && !(type & SOCK_NONBLOCK) ? -ETIMEDOUT :
								   -errno;
		close(fd);
		return err;
	}
	return fd;
}

int make_parent_dirs(const char *path, mode_t mode)
{
	char dir[4096];

	if (snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return -ENAMETOOLONG;
	for (char *p = strchr(dir + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		/* Asked first: on a frozen file system even a mkdir() that is
		 * about to say EEXIST waits. */
		if (access(dir, F_OK) < 0 && mkdir(dir, mode) < 0 &&
		    errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

/* A node that nobody listens on is left over from a process that was killed. */
static int remove_stale(const char *path, int type)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = unix_connect(path, type | SOCK_NONBLOCK);
	if (fd >= 0) {
		close(fd);
		return -EADDRINUSE;
	}
	if (fd != -ECONNREFUSED)
		return fd == -ENOENT ? 0 : -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_node(struct unix_listener *u, const struct sockaddr_un *a,
		     mode_t mode)
{
	mode_t old = umask(0777);	/* nobody may connect before chmod */
	int bound = bind(u->fd, (const struct sockaddr *)a, sizeof(*a));
	int err = bound < 0 ? -errno : 0;
	struct stat st;

	umask(old);
	if (err < 0)
		return err;
	if (lstat(u->path, &st) < 0 || listen(u->fd, 16) < 0 ||
	    chmod(u->path, mode) < 0) {
		err = -errno;
		unlink(u->path);
		return err;
	}
	u->ino = st.st_ino;
	return 0;
}

int unix_listen(struct unix_listener *u, const char *path, int type,
		mode_t mode)
{
	struct sockaddr_un a;
	int err = address_of(&a, path);

	if (err < 0)
		return err;
	memcpy(u->path, a.sun_path, sizeof(u->path));
	err = make_parent_dirs(path, 0755);
	if (!err)
		err = remove_stale(path, type);
	if (err < 0)
		return err;
	u->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return -errno;
	err = bind_node(u, &a, mode);
	if (err < 0)
		close(u->fd);
	return err;
}

void unix_unlisten(struct unix_listener *u)
{
	struct stat st;

	if (lstat(u->path, &st) == 0 && st.st_ino == u->ino)
		unlink(u->path);
	close(u->fd);
}

int unix_accept(struct unix_listener *u)
{
	int fd = accept4(u->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}
