/* base/unix_socket.h - listen on and connect to Unix sockets with a path.
 * All descriptors are non-blocking on the listening side, and close-on-exec.
 */
#ifndef BASE_UNIX_SOCKET_H
#define BASE_UNIX_SOCKET_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct unix_listener {
	int fd;
	ino_t ino;		/* of the node, so that we remove only our own */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* Create the path's directories (0755) where missing, replace a socket that
 * nobody serves, listen. type is SOCK_STREAM or SOCK_SEQPACKET. 0 or -errno:
 * -EADDRINUSE somebody serves it; -EEXIST the path is no socket;
 * -ENAMETOOLONG over 107 bytes. */
int unix_listen(struct unix_listener *u, const char *path, int type,
		mode_t mode);
void unix_unlisten(struct unix_listener *u);	/* close, remove the node */
/* A connection, or -errno (-EAGAIN: the client left again). */
int unix_accept(struct unix_listener *u);

/* A connection, or -errno. It blocks unless type has SOCK_NONBLOCK, but neither
 * connecting nor sending for long: -ETIMEDOUT after seconds, when the peer
 * accepts nobody, and -EAGAIN from a send that nobody takes. */
int unix_connect(const char *path, int type);

/* Make the directories above the last '/' of path. 0 or -errno. */
int make_parent_dirs(const char *path, mode_t mode);

#endif
