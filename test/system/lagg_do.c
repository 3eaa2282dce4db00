/* lagg_do.c - owns an aggregate as hv_netd and hv_vfd do together, and does
 * what it is told, a line at a time; answers "ok ..." or "error NAME". For
 * test_lagg.py.
 *
 *   lagg_do HOST_NETNS HOST_TAP
 *
 * It carries the synthetic path: what is read from the guest's TAPs is written
 * to HOST_TAP in the other namespace, and the other way round to the TAP that
 * counts as receiver (lagg0's, or hn0's). As a driver has to, it drops what
 * comes back with our own source address.
 *
 * When told to watch, it leaves a VF that goes down or away at once. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "lagg/lagg.h"
#include "lagg/move_linux.h"
#include "lagg/nl_linux.h"
#include "lagg/tap_link_linux.h"

enum { FRAME = 65536 + 64, VNET_HDR = 12, MAX_TAPS = 4 };
enum { LOWER_UP = 0x10000 };	/* IFF_LOWER_UP, of <linux/if.h> */

static const struct lagg_ops *ops;
static struct lagg *lagg;
static struct move_hold *hold;
static char pin_root[128];
static uint8_t our_mac[6];
static bool clsact;

/* The synthetic path ------------------------------------------------------ */

static int host_tap;
static _Atomic int guest_taps[MAX_TAPS] = { -1, -1, -1, -1 };
static _Atomic int receiver = -1;

static void pump(int from, int to, bool to_guest)
{
	static uint8_t frame[FRAME];

	for (int i = 0; i < 64; i++) {
		ssize_t n = read(from, frame, sizeof(frame));
		const uint8_t *eth = frame + VNET_HDR;

		if (n < VNET_HDR + 14)
			return;
		if (to_guest && !memcmp(eth + 6, our_mac, 6))
			continue;
		if (to >= 0 && write(to, frame, (size_t)n) < 0)
			continue;
	}
}

static void *forward(void *arg)
{
	(void)arg;
	for (;;) {
		struct pollfd p[MAX_TAPS + 1] = { { host_tap, POLLIN, 0 } };

		for (int i = 0; i < MAX_TAPS; i++)
			p[i + 1] = (struct pollfd){ guest_taps[i], POLLIN, 0 };
		if (poll(p, MAX_TAPS + 1, 100) < 0)
			return NULL;
		if (p[0].revents)
			pump(host_tap, receiver, true);
		for (int i = 0; i < MAX_TAPS; i++)
			if (p[i + 1].revents & POLLIN)
				pump(p[i + 1].fd, host_tap, false);
	}
}

static int serve(int fd)
{
	for (int i = 0; i < MAX_TAPS; i++)
		if (guest_taps[i] < 0) {
			guest_taps[i] = fd;
			return 0;
		}
	return -ENOSPC;
}

static int open_host_tap(const char *netns, const char *name)
{
	int self = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(netns, O_RDONLY | O_CLOEXEC);
	int fd = -1;

	if (self < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		return -errno;
	fd = tap_link_make(name);
	if (fd == -EEXIST)		/* of an owner that was killed */
		fd = tap_link_open(name);
	if (setns(self, CLONE_NEWNET) < 0)
		return -errno;
	close(self);
	close(there);
	return fd;
}

/* Watching the VF --------------------------------------------------------- */

static unsigned watched;
static struct mnl_socket *events;

static int on_event(const struct nlmsghdr *h, void *arg)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);

	(void)arg;
	if ((unsigned)m->ifi_index != watched || !lagg)
		return MNL_CB_OK;
	if (h->nlmsg_type == RTM_DELLINK || !(m->ifi_flags & IFF_UP) ||
	    !(m->ifi_flags & LOWER_UP))
		ops->use(lagg, LAGG_SYNTHETIC);
	return MNL_CB_OK;
}

static void take_events(void)
{
	char buf[NL_BUF];
	ssize_t n = mnl_socket_recvfrom(events, buf, sizeof(buf));

	if (n > 0)
		mnl_cb_run(buf, (size_t)n, 0, 0, on_event, NULL);
}

static int watch(const char *name)
{
	watched = if_nametoindex(name);
	if (events)
		return 0;
	events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!events || mnl_socket_bind(events, RTMGRP_LINK, 0) < 0)
		return -errno;
	return 0;
}

/* Commands ---------------------------------------------------------------- */

static int say_status(void)
{
	struct lagg_status s;
	int err = ops->status(lagg, &s);

	if (err)
		return err;
	printf("ok index=%u hn=%u vf=%u path=%s how=\"%s\" tx_vf=%llu "
	       "tx_synthetic=%llu rx_vf=%llu rx_synthetic=%llu healed=%llu "
	       "echoes=%llu\n", s.ifindex, s.port[0], s.port[1],
	       s.path == LAGG_VF ? "vf" : "synthetic", s.how,
	       (unsigned long long)s.count.tx_vf.packets,
	       (unsigned long long)s.count.tx_synthetic.packets,
	       (unsigned long long)s.count.rx_vf.packets,
	       (unsigned long long)s.count.rx_synthetic.packets,
	       (unsigned long long)s.count.healed,
	       (unsigned long long)s.count.echoes);
	return 1;
}

static int choose(const char *want)
{
	struct lagg_reason why[LAGG_MAX_BACK_ENDS];
	enum lagg_choice c;
	size_t n;

	if (lagg_choice_parse(&c, want) < 0)
		return -EINVAL;
	ops = lagg_choose(lagg_back_ends, c, why, &n);
	printf(ops ? "ok" : "none");
	for (size_t i = 0; i < n; i++)
		printf(" %s%s: %s;", why[i].name, why[i].chosen ? "*" : "",
		       why[i].why);
	printf("\n");
	return 1;
}

static int make(const char *name, const char *mtu, bool restore)
{
	struct lagg_cfg cfg = { .mtu = (uint32_t)atoi(mtu),
				.pin_root = pin_root, .clsact = clsact };
	int err, tap;

	if (!ops || lagg)
		return -EINVAL;
	snprintf(cfg.name, sizeof(cfg.name), "%s", name);
	memcpy(cfg.mac, our_mac, 6);
	err = restore ? ops->restore(&lagg, &cfg) : ops->create(&lagg, &cfg);
	if (err)
		return err;
	tap = ops->tap(lagg);
	return tap < 0 ? 0 : serve(dup(tap));
}

static enum lagg_path path_of(const char *text)
{
	return strcmp(text, "vf") ? LAGG_SYNTHETIC : LAGG_VF;
}

/* hn0, as hv_netd has it. */
static int make_hn(const char *name)
{
	struct nl *nl = nl_open();
	struct nl_link l;
	int err, fd = tap_link_make(name);

	if (fd < 0)
		return fd;
	receiver = fd;
	err = nl_link_get(nl, &l, 0, name);
	if (!err)
		err = nl_link_dress(nl, l.index, our_mac, 0, "");
	nl_close(nl);
	return err ? err : serve(fd);
}

static bool refuse;		/* the caller's part of the next move */

static int receive_by(void *arg, bool on)
{
	static int before;
	const enum move_way *way = arg;

	if (refuse)
		return -EIO;
	if (on)
		before = receiver;
	receiver = on ? guest_taps[*way == MOVE_TO_AGGREGATE] : before;
	return 0;
}

static int move(const char *from, const char *to, const char *way)
{
	struct move_cfg cfg = {
		.from = if_nametoindex(from), .to = if_nametoindex(to),
		.way = strcmp(way, "back") ? MOVE_TO_AGGREGATE : MOVE_BACK,
		.receive = receive_by, .arg = &cfg.way,
	};
	struct move_report r;
	int err = move_links(&cfg, &hold, &r);

	refuse = false;
	if (err) {
		printf("error %s at %s\n", strerrorname_np(-err), r.failed);
		return 1;
	}
	printf("ok steps=%zu stuck=%zu\n", r.steps, r.n_stuck);
	return 1;
}

static int run(char *line)
{
	char *w[5] = { "", "", "", "", "" };
	int n = 0;

	for (char *p = strtok(line, " \n"); p && n < 5; p = strtok(NULL, " \n"))
		w[n++] = p;
	if (!strcmp(w[0], "choose"))
		return choose(w[1]);
	if (!strcmp(w[0], "hn"))
		return make_hn(w[1]);
	if (!strcmp(w[0], "create") || !strcmp(w[0], "restore"))
		return make(w[1], w[2], w[0][0] == 'r');
	if (!strcmp(w[0], "clsact")) {
		clsact = true;
		return 0;
	}
	if (!strcmp(w[0], "refuse")) {
		refuse = true;
		return 0;
	}
	if (!strcmp(w[0], "receive")) {
		receiver = guest_taps[atoi(w[1])];
		return 0;
	}
	if (!strcmp(w[0], "move"))
		return move(w[1], w[2], w[3]);
	if (!strcmp(w[0], "swap"))
		return move_swap_names(if_nametoindex(w[1]),
				       if_nametoindex(w[2]));
	if (!lagg)
		return -ENOENT;
	if (!strcmp(w[0], "add"))
		return ops->add(lagg, path_of(w[1]), if_nametoindex(w[2]));
	if (!strcmp(w[0], "remove"))
		return ops->remove(lagg, path_of(w[1]));
	if (!strcmp(w[0], "use"))
		return ops->use(lagg, path_of(w[1]));
	if (!strcmp(w[0], "rebase"))
		return ops->rebase(lagg, if_nametoindex(w[1]));
	if (!strcmp(w[0], "watch"))
		return watch(w[1]);
	if (!strcmp(w[0], "status"))
		return say_status();
	if (!strcmp(w[0], "destroy"))
		ops->destroy(lagg);
	else if (!strcmp(w[0], "leave"))
		ops->leave(lagg);
	else
		return -EINVAL;
	lagg = NULL;
	return 0;
}

static bool command(void)
{
	char line[256];
	int err;

	if (!fgets(line, sizeof(line), stdin))
		return false;
	err = run(line);
	if (err < 0)
		printf("error %s\n", strerrorname_np(-err));
	else if (!err)
		puts("ok");
	fflush(stdout);
	return true;
}

/* Losses of the path are measured, so it should not wait for others' work;
 * where that is not allowed, the budgets still hold. */
static void hurry(void)
{
	const struct sched_param p = { .sched_priority = 10 };

	sched_setscheduler(0, SCHED_FIFO, &p);
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc != 5 || sscanf(argv[4], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx",
				our_mac, our_mac + 1, our_mac + 2, our_mac + 3,
				our_mac + 4, our_mac + 5) != 6)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setvbuf(stdin, NULL, _IONBF, 0);
	snprintf(pin_root, sizeof(pin_root), "%s", argv[3]);
	host_tap = open_host_tap(argv[1], argv[2]);
	if (host_tap < 0) {
		printf("error %s\n", strerrorname_np(-host_tap));
		return 1;
	}
	hurry();
	pthread_create(&thread, NULL, forward, NULL);
	puts("ok");
	fflush(stdout);
	for (;;) {
		struct pollfd p[2] = {
			{ STDIN_FILENO, POLLIN, 0 },
			{ events ? mnl_socket_get_fd(events) : -1, POLLIN, 0 },
		};

		if (poll(p, 2, -1) < 0)
			return 1;
		if (p[1].revents)
			take_events();
		if (p[0].revents && !command())
			return 0;
	}
}
