/* box_init.c - vssbox: a mount and process namespace that holds nothing but
 * file systems made for it, and its process 1. Started by vssbox.py.
 *
 *   vssbox start DIR STATUS CONTROL NET TYPE:IMAGE:PATH...
 *       DIR/root.tar fills the first image, which becomes the root. Says
 *       "pid N", then "ready", "skip WHY" or "error WHY" on the descriptor
 *       STATUS; ends what it holds when CONTROL reads end of file
 *   vssbox in PID STATUS PROGRAM ARGUMENT...
 *       run a program inside; says "pid N" with the number outside
 *   vssbox do PID VERB ARGUMENT...      box_do.c
 *   vssbox thaw DEVICE                  what a box killed by force left
 *
 * The order that safety rests on: the new mount namespace is made private
 * before anything is mounted; pivot_root; the old root is unmounted; we exec
 * ourselves from the image; and only when our own mountinfo lists what we
 * mounted and not one line more do we say "ready", before which nothing else
 * has run in here.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "box.h"

enum { MAX_DISKS = 48, SELF_MOUNTS = 5, END_MS = 10000 };

static int status_fd = -1;

static void __attribute__((format(printf, 2, 3), noreturn))
give_up(int status, const char *fmt, ...)
{
	int err = errno;
	va_list ap;

	dprintf(status_fd, status == BOX_SKIP ? "skip " : "error ");
	va_start(ap, fmt);
	vdprintf(status_fd, fmt, ap);
	va_end(ap);
	dprintf(status_fd, ": %s\n", strerror(err));
	_exit(status);
}

static void must(int r, const char *what)
{
	if (r < 0)
		give_up(EXIT_FAILURE, "%s", what);
}

/* Process 1, before the change of root. */

struct disk {
	char type[16], image[4096], path[256];
	char dev[24];
	int fd;
};

static struct disk disks[MAX_DISKS];
static size_t n_disks;
static const char *const self_mounts[SELF_MOUNTS][2] = {
	{ "/proc", "proc" }, { "/sys", "sysfs" }, { "/dev", "tmpfs" },
	{ "/run", "tmpfs" }, { "/tmp", "tmpfs" },
};

static void mkdirs(const char *path)
{
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", path);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(copy, 0755);
		*p = '/';
	}
	mkdir(copy, 0755);
}

static void disk_parse(struct disk *d, const char *spec)
{
	if (sscanf(spec, "%15[^:]:%4095[^:]:%255[^:]", d->type, d->image,
		   d->path) != 3) {
		errno = EINVAL;
		give_up(EXIT_FAILURE, "%s", spec);
	}
}

static void attach_disks(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		give_up(BOX_SKIP, "/dev/loop-control");
	for (size_t i = 0; i < n_disks; i++) {
		int n = box_loop_attach(control, "/dev", disks[i].image,
					&disks[i].fd);

		if (n < 0) {
			errno = -n;
			give_up(n == -EPERM || n == -EACCES || n == -ENOENT ?
				BOX_SKIP : EXIT_FAILURE, "no loop device");
		}
		snprintf(disks[i].dev, sizeof(disks[i].dev), "/dev/loop%d", n);
	}
	close(control);
}

static void run_outside_tool(const char *const argv[])
{
	pid_t pid = fork();
	int status;

	must(pid, "fork");
	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	must(waitpid(pid, &status, 0), "waitpid");
	errno = EIO;
	must(status == 0 ? 0 : -1, argv[0]);
}

static void mount_disk(const struct disk *d, const char *root)
{
	char target[8192];

	snprintf(target, sizeof(target), "%s%s", root, d->path);
	mkdirs(target);
	must(mount(d->dev, target, d->type, 0, NULL), d->path);
}

static void fill_root(const char *dir, const char *root)
{
	char tar[4096];

	snprintf(tar, sizeof(tar), "%s/root.tar", dir);
	run_outside_tool((const char *const[]){ "tar", "-xf", tar, "-C", root,
						NULL });
}

static void mount_self(const char *root)
{
	for (size_t i = 0; i < SELF_MOUNTS; i++) {
		char target[8192];
		const char *type = self_mounts[i][1];

		snprintf(target, sizeof(target), "%s%s", root,
			 self_mounts[i][0]);
		mkdirs(target);
		must(mount(type, target, type,
			   strcmp(type, "sysfs") == 0 ? MS_RDONLY : 0,
			   strcmp(type, "tmpfs") == 0 ? "mode=755" : NULL),
		     target);
	}
}

static void make_node(const char *root, const char *name, mode_t mode, dev_t dev)
{
	char node[8192];

	snprintf(node, sizeof(node), "%s%s", root, name);
	must(mknod(node, mode, dev), node);
	chmod(node, mode & 07777);
}

static void make_dev(const char *root)
{
	char path[8192];

	make_node(root, "/dev/null", S_IFCHR | 0666, makedev(1, 3));
	make_node(root, "/dev/zero", S_IFCHR | 0666, makedev(1, 5));
	make_node(root, "/dev/urandom", S_IFCHR | 0666, makedev(1, 9));
	snprintf(path, sizeof(path), "%s/dev/shm", root);
	mkdir(path, 01777);
	chmod(path, 01777);
	snprintf(path, sizeof(path), "%s/tmp", root);
	chmod(path, 01777);
	for (size_t i = 0; i < n_disks; i++) {
		struct stat st;

		must(fstat(disks[i].fd, &st), disks[i].dev);
		make_node(root, disks[i].dev, S_IFBLK | 0600, st.st_rdev);
	}
}

static void change_root(const char *root)
{
	must(chdir(root), root);
	must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "the old root");
	must(chdir("/"), "/");
}

/* Nothing of the outside stays open: not a descriptor that leads back. */
static void own_stdio(void)
{
	int null = open("/dev/null", O_RDWR);

	must(null, "/dev/null");
	for (int fd = 0; fd < 3; fd++)
		must(dup2(null, fd), "stdio");
	if (null > 2)
		close(null);
}

static void loopback_up(void)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo" };

	if (s < 0)
		return;
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	ioctl(s, SIOCSIFFLAGS, &ifr);
	close(s);
}

/* The loop devices stay open, so that what is unmounted can be mounted again;
 * for reading, as a mounted device may not be open for writing everywhere. */
static void keep_devices(void)
{
	for (size_t i = 0; i < n_disks; i++) {
		int fd = open(disks[i].dev, O_RDONLY);

		must(fd, disks[i].dev);
		close(disks[i].fd);
		disks[i].fd = fd;
	}
}

static void serve_argv(char *argv[], int control)
{
	*argv++ = (char *)"vssbox";
	*argv++ = (char *)"serve";
	must(asprintf(argv++, "%d", status_fd), "asprintf");
	must(asprintf(argv++, "%d", control), "asprintf");
	for (const struct disk *d = disks; d < disks + n_disks; d++)
		must(asprintf(argv++, "%s:%s:%s", d->type, d->dev, d->path),
		     "asprintf");
	*argv = NULL;
}

static void __attribute__((noreturn))
become_init(const char *dir, int control, bool net)
{
	char root[4096];
	char *argv[MAX_DISKS + 8];

	if (unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
		    (net ? CLONE_NEWNET : 0)) < 0)
		give_up(BOX_SKIP, "no namespaces");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		give_up(BOX_SKIP, errno == EINVAL ?
			"the root directory is no mount point, as in a chroot" :
			"the mount table cannot be made private");
	snprintf(root, sizeof(root), "%s/mnt", dir);
	mkdirs(root);
	attach_disks();
	must(mount(disks[0].dev, root, disks[0].type, 0, NULL), "the root");
	fill_root(dir, root);
	for (size_t i = 1; i < n_disks; i++)
		mount_disk(&disks[i], root);
	mount_self(root);
	make_dev(root);
	change_root(root);
	own_stdio();
	keep_devices();
	if (net)
		loopback_up();
	sethostname("vssbox", 6);
	serve_argv(argv, control);
	execv("/usr/bin/vssbox", argv);
	give_up(EXIT_FAILURE, "/usr/bin/vssbox");
}

/* The test was killed, and cannot do it any more. */
static void remove_images(const char *dir)
{
	char path[8192];

	for (size_t i = 0; i < n_disks; i++)
		unlink(disks[i].image);
	snprintf(path, sizeof(path), "%s/root.tar", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/mnt", dir);
	rmdir(path);
	rmdir(dir);
}

/* argv: DIR STATUS CONTROL NET DISK... */
static int cmd_start(int argc, char **argv)
{
	if (argc < 5 || argc - 4 > MAX_DISKS)
		return 2;
	status_fd = atoi(argv[1]);

	int control = atoi(argv[2]);
	bool net = strcmp(argv[3], "net") == 0;

	for (int i = 4; i < argc; i++)
		disk_parse(&disks[n_disks++], argv[i]);
	if (unshare(CLONE_NEWPID) < 0)
		give_up(BOX_SKIP, "no namespaces");

	pid_t test = getppid();
	pid_t pid = fork();

	must(pid, "fork");
	if (pid == 0) {
		setsid();
		become_init(argv[0], control, net);
	}
	dprintf(status_fd, "pid %d\n", (int)pid);
	close(status_fd);
	close(control);
	/* What is mounted in here is process 1's business alone. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);

	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	if (getppid() != test)
		remove_images(argv[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* Process 1, inside. */

static bool expected(const char *path, const char *type, const char *source,
		     bool seen[MAX_DISKS + SELF_MOUNTS])
{
	for (size_t i = 0; i < n_disks; i++)
		if (!seen[i] && strcmp(path, disks[i].path) == 0 &&
		    strcmp(type, disks[i].type) == 0 &&
		    strcmp(source, disks[i].image) == 0)
			return seen[i] = true;
	for (size_t i = 0; i < SELF_MOUNTS; i++)
		if (!seen[MAX_DISKS + i] &&
		    strcmp(path, self_mounts[i][0]) == 0 &&
		    strcmp(type, self_mounts[i][1]) == 0)
			return seen[MAX_DISKS + i] = true;
	return false;
}

/* Every line one of ours, and as many lines as we have mounted. */
static void verify_mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool seen[MAX_DISKS + SELF_MOUNTS] = { false };
	char line[8192], path[256], type[64], source[256];
	size_t lines = 0;

	if (!f)
		give_up(EXIT_FAILURE, "mountinfo");
	while (fgets(line, sizeof(line), f)) {
		char *dash = strstr(line, " - ");

		errno = EXDEV;
		if (!dash ||
		    sscanf(line, "%*d %*d %*s %*s %255s", path) != 1 ||
		    sscanf(dash, " - %63s %255s", type, source) != 2 ||
		    !expected(path, type, source, seen))
			give_up(EXIT_FAILURE, "not ours: %s", line);
		lines++;
	}
	fclose(f);
	errno = EXDEV;
	must(lines == n_disks + SELF_MOUNTS ? 0 : -1, "number of mounts");
}

static void thaw_in_child(const char *name)
{
	char dev[300];

	if (fork() != 0)
		return;
	snprintf(dev, sizeof(dev), "/dev/%s", name);
	_exit(box_thaw_device(dev) < 0);
}

/* Side by side: one that lies on another has to wait for that. */
static void thaw_all(void)
{
	DIR *d = opendir("/dev");

	for (struct dirent *e; d && (e = readdir(d)); )
		if (strncmp(e->d_name, "loop", 4) == 0)
			thaw_in_child(e->d_name);
	if (d)
		closedir(d);
}

/* Wait until there is no child left. Those that entered from outside are not
 * our children; the kernel ends them with us. */
static void reap_all(const sigset_t *chld)
{
	struct timespec wait = { .tv_nsec = 50000000 };

	for (int i = 0; i < END_MS / 50; i++) {
		pid_t pid;

		while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
			;
		if (pid < 0)
			return;
		sigtimedwait(chld, NULL, &wait);
	}
}

static void umount_all(void)
{
	for (size_t i = n_disks; i > 1; i--)
		while (umount2(disks[i - 1].path, MNT_DETACH) == 0)
			;
}

static void end_box(const sigset_t *chld)
{
	for (int round = 0; round < 2; round++) {	/* a freeze under way */
		kill(-1, SIGKILL);
		thaw_all();
		reap_all(chld);
	}
	umount_all();
}

/* argv: STATUS CONTROL DISK... */
static int cmd_serve(int argc, char **argv)
{
	sigset_t chld;

	if (argc < 3 || argc - 2 > MAX_DISKS || getpid() != 1)
		return 2;
	status_fd = atoi(argv[0]);

	struct pollfd p = { .fd = atoi(argv[1]), .events = POLLIN };

	for (int i = 2; i < argc; i++)
		disk_parse(&disks[n_disks++], argv[i]);
	verify_mounts();
	for (size_t i = 0; i < n_disks; i++)
		dprintf(status_fd, "disk %s\n", disks[i].image);
	dprintf(status_fd, "ready\n");
	close(status_fd);
	fcntl(p.fd, F_SETFD, FD_CLOEXEC);

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);

	struct pollfd ps[2] = { p, { .fd = signalfd(-1, &chld, SFD_CLOEXEC),
				     .events = POLLIN } };

	while (!ps[0].revents) {
		struct signalfd_siginfo si;

		if (poll(ps, 2, -1) > 0 && ps[1].revents &&
		    read(ps[1].fd, &si, sizeof(si)) > 0)
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
	}
	close(ps[1].fd);
	end_box(&chld);
	return 0;
}

/* From outside into a box. */

static int enter(const char *pid)
{
	static const char *const kinds[] = { "net", "ipc", "uts", "mnt", "pid" };
	int fds[5];

	for (size_t i = 0; i < 5; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, kinds[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < 5; i++)
		if (setns(fds[i], 0) < 0)
			return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

/* As much of a status as a parent can pass on. */
static int pass_on(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

/* argv: PID STATUS PROGRAM... */
static int cmd_in(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	status_fd = atoi(argv[1]);
	fcntl(status_fd, F_SETFD, FD_CLOEXEC);
	must(-(enter(argv[0]) < 0), "entering");

	pid_t pid = fork();

	must(pid, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("PATH", "/usr/sbin:/usr/bin", 1);
		setenv("HOME", "/root", 1);
		unsetenv("TMPDIR");
		execvp(argv[2], argv + 2);
		give_up(127, "%s", argv[2]);
	}
	dprintf(status_fd, "pid %d\n", (int)pid);
	close(status_fd);
	for (int sig = SIGHUP; sig <= SIGTERM; sig++)
		signal(sig, SIG_IGN);		/* the test signals the program */
	return pass_on(pid);
}

/* argv: PID VERB... */
static int cmd_do(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);

	int control = open("/dev/loop-control", O_RDWR);	/* for "loop" */
	int err = enter(argv[0]);

	if (err < 0 || control < 0) {
		fprintf(stderr, "entering: %s\n", strerror(-err));
		return EXIT_FAILURE;
	}

	pid_t pid = fork();

	if (pid < 0)
		return EXIT_FAILURE;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(control, 3);
		_exit(box_do(argc - 1, argv + 1));
	}
	return pass_on(pid);
}

static int cmd_thaw(int argc, char **argv)
{
	return argc == 1 && box_thaw_device(argv[0]) >= 0 ? 0 : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "start", cmd_start }, { "serve", cmd_serve },
		{ "in", cmd_in }, { "do", cmd_do }, { "thaw", cmd_thaw },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands);
	     i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2);
	fprintf(stderr, "usage: see the top of box_init.c\n");
	return 2;
}
