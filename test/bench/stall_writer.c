/* stall_writer RESULT DIRECTORY... - steady writers, and how long one of them
 * had to wait.
 *
 * In each directory FILES files are written to in turn, 4 KiB at a time, one
 * write a millisecond and directory, round and round, by a process of its own;
 * nothing is synced. RESULT, on a file system that is not frozen, is mapped:
 * one u64 a directory, the longest write(2) in nanoseconds since whoever
 * measures has set it to zero.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 4, BLOCK = 4096, BLOCKS = 1024, MAX_DIRS = 64 };

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void open_all(int fds[FILES], const char *dir)
{
	char path[4096];

	for (int i = 0; i < FILES; i++) {
		if (snprintf(path, sizeof(path), "%s/steady%d", dir, i) >=
		    (int)sizeof(path))
			exit(EXIT_FAILURE);
		fds[i] = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fds[i] < 0)
			die(path);
	}
}

/* A clock that ticks once a millisecond; what it ticked while nobody looked is
 * one tick. */
static int metronome(void)
{
	const struct itimerspec ms = { { 0, 1000000 }, { 0, 1000000 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (fd < 0 || timerfd_settime(fd, 0, &ms, NULL) < 0)
		die("timerfd");
	return fd;
}

static void next_tick(int fd)
{
	uint64_t ticks;

	if (read(fd, &ticks, sizeof(ticks)) != sizeof(ticks))
		die("timerfd");
}

static _Noreturn void write_for_ever(const char *dir, _Atomic uint64_t *worst)
{
	static char block[BLOCK];
	int fds[FILES], pace = metronome();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	open_all(fds, dir);
	for (unsigned n = 0;; n++) {
		off_t at = (off_t)(n / FILES % BLOCKS) * BLOCK;
		uint64_t took, start = now_ns();

		memset(block, (int)n, sizeof(block));
		if (pwrite(fds[n % FILES], block, BLOCK, at) != BLOCK)
			die(dir);
		took = now_ns() - start;
		if (took > atomic_load(worst))
			atomic_store(worst, took);
		next_tick(pace);
	}
}

static _Atomic uint64_t *map_result(const char *path, int n)
{
	size_t size = (size_t)n * sizeof(uint64_t);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die(path);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die(path);
	return at;
}

int main(int argc, char **argv)
{
	_Atomic uint64_t *worst;

	if (argc < 3 || argc - 2 > MAX_DIRS)
		return 2;
	worst = map_result(argv[1], argc - 2);
	for (int i = 2; i < argc; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0)
			write_for_ever(argv[i], &worst[i - 2]);
	}
	wait(NULL);
	return EXIT_FAILURE;		/* none of them should end */
}
