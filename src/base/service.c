/* base/service.c - becoming a daemon, and saying so. */
#include "base/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ready_fd = -1;	/* to the waiting parent */

/* The parent's part: one byte means ready, the end of the pipe means that the
 * child is gone. Whatever it had to say it said on stderr. */
__attribute__((noreturn)) static void wait_for_child(int fd)
{
	char byte;
	ssize_t n;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	_exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int service_background(void)
{
	int fd[2];
	pid_t child;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		int err = -errno;

		close(fd[0]);
		close(fd[1]);
		return err;
	}
	if (child) {
		close(fd[1]);
		wait_for_child(fd[0]);
	}
	close(fd[0]);
	ready_fd = fd[1];
	setsid();
	return chdir("/") < 0 ? -errno : 0;
}

static void let_parent_go(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	if (write(ready_fd, "r", 1) < 0) {
		/* the parent was killed: nobody waits */
	}
	close(ready_fd);
	ready_fd = -1;
}

static void tell_manager(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	int fd;

	if (n >= sizeof(a.sun_path))
		return;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&a,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

void service_ready(void)
{
	const char *manager = getenv("NOTIFY_SOCKET");

	if (ready_fd >= 0)
		let_parent_go();
	if (manager)
		tell_manager(manager);
}
