/* test/bench/bench_idle.c - what the guest's services cost when nobody asks
 * anything: resident memory, and wake-ups, of which there should be none.
 *
 * Each has served a request before, so that what is made at first use is in
 * the figures. A wake-up is a context switch of any of its threads.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "kvp_rig.h"

enum { IDLE_MS = 5000, RESIDENT_MAX_KIB = 4096 };
#define SETTLE_NS	10000000000u

/* A number from a "Name:\t123 kB" line of a status file; added to *sum. */
static int add_field(const char *path, const char *name, unsigned long *sum)
{
	FILE *f = fopen(path, "r");
	size_t len = strlen(name);
	char line[256];
	int found = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, len) || line[len] != ':')
			continue;
		*sum += strtoul(line + len + 1, NULL, 10);
		found = 1;
	}
	if (f)
		fclose(f);
	return found ? 0 : -ENOENT;
}

static int resident_kib(pid_t pid, unsigned long *kib)
{
	char path[64];

	*kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	return add_field(path, "VmRSS", kib);
}

static int wakeups(pid_t pid, unsigned long *n)
{
	char path[PATH_MAX];
	struct dirent *e;
	int err = 0;
	DIR *d;

	*n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && !err && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status",
			 (int)pid, e->d_name);
		err = add_field(path, "voluntary_ctxt_switches", n);
	}
	if (!d)
		return -errno;
	closedir(d);
	return err;
}

/* Is it waiting, and not still on its way there from the last request? */
static int settled(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(f);
	return state == 'S';
}

static int settle(pid_t pid)
{
	uint64_t end = bench_now_ns() + SETTLE_NS;
	int is;

	while (!(is = settled(pid)) && bench_now_ns() < end)
		sched_yield();
	return is < 0 ? is : is ? 0 : -ETIMEDOUT;
}

/* Let the time pass, unless the process ends meanwhile. */
static int watch_idle(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = fd < 0 ? -1 : poll(&p, 1, IDLE_MS);

	if (fd >= 0)
		close(fd);
	return n ? -ESRCH : 0;
}

static void print_resident(const char *who, unsigned long ours, double peer)
{
	char name[64];

	snprintf(name, sizeof(name), "%s, resident when idle", who);
	bench_print(&(struct bench_row) {
		.name = name, .unit = "KiB", .ours = (double)ours,
		.peer = peer,
		.peer_name = isnan(peer) ? NULL : "Debian hv_kvp_daemon",
		.ratio = BENCH_NONE, .sense = "<=", .bar = RESIDENT_MAX_KIB,
	});
}

static void print_wakeups(const char *who, unsigned long n)
{
	char name[64];

	snprintf(name, sizeof(name), "%s, wake-ups in %d s idle", who,
		 IDLE_MS / 1000);
	bench_print(&(struct bench_row) {
		.name = name, .unit = "times", .ours = (double)n,
		.peer = BENCH_NONE, .ratio = BENCH_NONE,
		.sense = "<=", .bar = 0,
	});
}

/* One request, so that everything that is made once has been made. */
static int warm_up(struct rig *r)
{
	struct host_kvp_msg m = { .op = KVP_GET, .pool = KVP_POOL_EXTERNAL,
				  .item.type = KVP_TYPE_STRING };

	rig_key(m.item.key, 0);
	return rig_ask(r, &m);
}

/* Debian's daemon with the same pool, or BENCH_NONE. */
static double debian_kib(const char *build)
{
	struct rig_cfg cfg = { .build = build, .daemon = RIG_DEBIAN,
			       .records = 10 };
	struct rig *r = rig_debian_present(build) ? rig_new(&cfg) : NULL;
	double result = BENCH_NONE;
	unsigned long kib;

	if (r && !warm_up(r) && !resident_kib(rig_daemon_pid(r), &kib))
		result = (double)kib;
	rig_free(r);
	return result;
}

static int measure(struct rig *r, double peer_kib)
{
	struct {
		const char *name;
		pid_t pid;
		unsigned long before, after, kib;
	} who[] = {
		{ "hv_utilsd", rig_utilsd_pid(r), 0, 0, 0 },
		{ "hv_kvp_daemon", rig_daemon_pid(r), 0, 0, 0 },
	};
	int err = warm_up(r);

	for (unsigned i = 0; !err && i < 2; i++)
		err = settle(who[i].pid);
	for (unsigned i = 0; !err && i < 2; i++)
		err = wakeups(who[i].pid, &who[i].before);
	if (!err)
		err = watch_idle(who[1].pid);
	for (unsigned i = 0; !err && i < 2; i++)
		err = wakeups(who[i].pid, &who[i].after);
	for (unsigned i = 0; !err && i < 2; i++)
		err = resident_kib(who[i].pid, &who[i].kib);
	if (err)
		return err;
	print_resident(who[0].name, who[0].kib, BENCH_NONE);
	print_resident(who[1].name, who[1].kib, peer_kib);
	for (unsigned i = 0; i < 2; i++)
		print_wakeups(who[i].name, who[i].after - who[i].before);
	return 0;
}

int main(int argc, char **argv)
{
	struct rig_cfg cfg = { .build = argv[1], .sync = true, .records = 10 };
	struct rig *r;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_idle BUILD\n");
		return 2;
	}
	r = rig_new(&cfg);
	err = r ? measure(r, debian_kib(argv[1])) : -EIO;
	if (err)
		fprintf(stderr, "bench_idle: %s\n", strerror(-err));
	rig_free(r);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
