/* test/bench/child.c - see child.h */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_MS = 3000 };

static _Noreturn void run(char *const argv[], char *const env[],
			  const char *log)
{
	int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (out < 0 || in < 0 || dup2(in, STDIN_FILENO) < 0 ||
	    dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(127);
	for (; env && *env; env++)
		putenv(*env);
	execv(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

pid_t child_start(char *const argv[], char *const env[], const char *log)
{
	pid_t pid = fork();

	if (pid == 0)
		run(argv, env, log);
	return pid < 0 ? -errno : pid;
}

/* Does it end within the time it is given? */
static int ends(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int ended = fd >= 0 && poll(&p, 1, END_MS) == 1;

	if (fd >= 0)
		close(fd);
	return ended;
}

void child_end(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	if (!ends(pid))
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	remove(path);
	return 0;
}

void tree_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
