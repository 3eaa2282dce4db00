/* test/peers/shim.c - let unmodified Hyper-V daemons of others run on our
 * sockets, away from this machine's files.
 *
 * Preloaded (LD_PRELOAD) into such a daemon it answers these C library calls
 * itself, and leaves all others alone:
 *
 *   open of /dev/vmbus/NAME      connects to $HV_SHIM_DEV_DIR/NAME_dev, or
 *                                NAME, a SOCK_SEQPACKET socket: one read or
 *                                write is one message, as on the character
 *                                device
 *   paths below /var/lib/hyperv  go to $HV_SHIM_STATE instead
 *   popen, system                run nothing: helpers print nothing and fail
 *   ioctl FIFREEZE, FITHAW       are refused with EPERM whatever the daemon's
 *                                rights, so that none can freeze this machine;
 *                                but for file systems that lie on one of the
 *                                block devices in $HV_SHIM_FREEZE, separated
 *                                by commas (btrfs never does, by st_dev)
 *   access to /sys/dev/block     finds nothing when that is set: a loop device
 *                                passes for a disk, which else the stock
 *                                hv_vss_daemon leaves out
 *   syslog                       goes to standard error
 *
 * The first two variables must be set, or the daemon does not start.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define DEV_PREFIX	"/dev/vmbus/"
#define SYS_BLOCK	"/sys/dev/block/"
#define STATE_DIR	"/var/lib/hyperv"

/* The call as the next library has it: REAL(access)(path, mode). */
#define REAL(fn)	((__typeof__(&fn))dlsym(RTLD_NEXT, #fn))

enum { PATH_CAP = 4096 };

static char dev_dir[PATH_CAP];
static char state_dir[PATH_CAP];

static void need(char dir[PATH_CAP], const char *variable)
{
	const char *value = getenv(variable);

	if (!value || snprintf(dir, PATH_CAP, "%s", value) >= PATH_CAP) {
		dprintf(STDERR_FILENO, "shim: set %s\n", variable);
		_exit(2);
	}
}

__attribute__((constructor)) static void shim_init(void)
{
	need(dev_dir, "HV_SHIM_DEV_DIR");
	need(state_dir, "HV_SHIM_STATE");
}

/* Where path really goes; buf is used when that is elsewhere. A path too long
 * for buf goes nowhere. */
static const char *moved(const char *path, char buf[PATH_CAP])
{
	size_t n = strlen(STATE_DIR);

	if (strncmp(path, STATE_DIR, n) || (path[n] && path[n] != '/'))
		return path;
	if (snprintf(buf, PATH_CAP, "%s%s", state_dir, path + n) >= PATH_CAP)
		return "";
	return buf;
}

static int connect_socket(const char *name, const char *suffix)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int len = snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s%s",
			   dev_dir, name, suffix);
	int fd;

	if (len >= (int)sizeof(sun.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int connect_device(const char *name)
{
	int fd = connect_socket(name, "_dev");

	return fd < 0 && errno == ENOENT ? connect_socket(name, "") : fd;
}

static int shim_open(const char *path, int flags, mode_t mode)
{
	size_t n = strlen(DEV_PREFIX);
	char buf[PATH_CAP];

	if (!strncmp(path, DEV_PREFIX, n))
		return connect_device(path + n);
	return REAL(open64)(moved(path, buf), flags, mode);
}

/* The third argument of open(), which is there only when a file may be made. */
#define OPEN_MODE(flags, mode)						\
	do {								\
		va_list ap;						\
									\
		va_start(ap, flags);					\
		if ((flags) & (O_CREAT | __O_TMPFILE))			\
			(mode) = va_arg(ap, mode_t);			\
		va_end(ap);						\
	} while (0)

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;

	OPEN_MODE(flags, mode);
	return shim_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;

	OPEN_MODE(flags, mode);
	return shim_open(path, flags, mode);
}

/* What open() becomes in a fortified program when nothing is to be made. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	return shim_open(path, flags, 0);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return shim_open(path, flags, 0);
}

FILE *fopen(const char *path, const char *mode)
{
	char buf[PATH_CAP];

	return REAL(fopen64)(moved(path, buf), mode);
}

FILE *fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

int access(const char *path, int mode)
{
	char buf[PATH_CAP];

	if (getenv("HV_SHIM_FREEZE") &&
	    !strncmp(path, SYS_BLOCK, strlen(SYS_BLOCK))) {
		errno = ENOENT;
		return -1;
	}
	return REAL(access)(moved(path, buf), mode);
}

int mkdir(const char *path, mode_t mode)
{
	char buf[PATH_CAP];

	return REAL(mkdir)(moved(path, buf), mode);
}

int chmod(const char *path, mode_t mode)
{
	char buf[PATH_CAP];

	return REAL(chmod)(moved(path, buf), mode);
}

int unlink(const char *path)
{
	char buf[PATH_CAP];

	return REAL(unlink)(moved(path, buf));
}

FILE *popen(const char *command, const char *mode)
{
	(void)command;
	return REAL(fopen)("/dev/null", mode);
}

int pclose(FILE *f)
{
	fclose(f);
	return 1 << 8;			/* as a helper that exited with 1 */
}

int system(const char *command)
{
	(void)command;
	return 1 << 8;
}

static int lies_on(const struct stat *st, const char *device, size_t len)
{
	char path[PATH_CAP];
	struct stat disk;

	if (snprintf(path, sizeof(path), "%.*s", (int)len, device) >=
	    (int)sizeof(path) || stat(path, &disk) < 0)
		return 0;
	return S_ISBLK(disk.st_mode) && disk.st_rdev == st->st_dev;
}

/* Is it a file system that this test made? */
static int may_freeze(int fd)
{
	const char *at = getenv("HV_SHIM_FREEZE");
	struct stat st;

	if (!at || fstat(fd, &st) < 0)
		return 0;
	while (*at) {
		size_t len = strcspn(at, ",");

		if (lies_on(&st, at, len))
			return 1;
		at += len + (at[len] == ',');
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((request == FIFREEZE || request == FITHAW) && !may_freeze(fd)) {
		errno = EPERM;
		return -1;
	}
	return REAL(ioctl)(fd, request, arg);
}

void vsyslog(int priority, const char *format, va_list ap)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, ap);
	dprintf(STDERR_FILENO, "<%d>%s\n", LOG_PRI(priority), line);
}

void syslog(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsyslog(priority, format, ap);
	va_end(ap);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, format);
	vsyslog(priority, format, ap);
	va_end(ap);
}
