/* kvp/pool_lock.c - take two locks at once without ever blocking.
 *
 * The locks are tried one after the other and both let go when the second one
 * is taken, so programs that take them in the other order cannot dead-lock
 * with us. Between tries we sleep, shortly at first, because the usual holder
 * is done within microseconds.
 */
#include "kvp/pool_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_FIRST_NS = 20000, PAUSE_LAST_NS = 2000000 };

int64_t pool_lock_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int ofd_lock(int fd, short type)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	return 0;
}

static int try_both(int fd, bool exclusive)
{
	int r = ofd_lock(fd, exclusive ? F_WRLCK : F_RDLCK);

	if (r < 0)
		return r;
	if (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0) {
		r = -errno;
		ofd_lock(fd, F_UNLCK);
	}
	return r;
}

int pool_lock(int fd, bool exclusive, int64_t deadline_ms)
{
	struct timespec pause = { .tv_nsec = PAUSE_FIRST_NS };
	int r;

	while ((r = try_both(fd, exclusive)) == -EAGAIN || r == -EINTR) {
		if (pool_lock_now_ms() >= deadline_ms)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < PAUSE_LAST_NS)
			pause.tv_nsec *= 2;
	}
	return r;
}

void pool_unlock(int fd)
{
	flock(fd, LOCK_UN);
	ofd_lock(fd, F_UNLCK);
}
