/* test/system/test_hn_traffic.c - the guest's data path between two real
 * stacks: hn0 in a network namespace, hn and the simulated host's channel in
 * this process, net0 in another namespace. TCP both ways and UDP over it, with
 * hosts that do things in different ways; every byte is compared.
 *
 *   client - hn0 - tap - hn - bus - host_hn - tap - net0 - server
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "endpoint/tap.h"
#include "hn/frame.h"
#include "hn/hn.h"
#include "hn/offload.h"
#include "host/host_hn.h"
#include "host/host_vmbus.h"
#include "need.h"
#include "vmbus/msg_wire.h"

enum {
	SKIP = 77, PORT = 5001, CHUNK = 65536, BUDGET = 64,
	BYTES = 24 << 20,		/* each way */
	RING = 512 << 10, RECV_BUF = 16 << 20, SEND_BUF = 8 << 20,
	PATIENCE_S = 20,
};

/* A host, and what must be seen when traffic has passed. */
static const struct trial {
	const char *name;
	struct host_hn_manners manners;
	uint32_t mtu;
	int family;
	bool whole;			/* all but the largest frames fit */
	bool joins;			/* segments that the host verified */
} trials[] = {
	{ "plain", { 0 }, 1500, AF_INET, false, true },
	{ "IPv6", { 0 }, 1500, AF_INET6, false, true },
	{ "large sections", { .section_size = 81920 }, 1500, AF_INET, true,
	  true },
	{ "no offloads", { .no_offloads = true }, 1500, AF_INET, false, true },
	{ "no offloads, IPv6", { .no_offloads = true }, 1500, AF_INET6, false,
	  true },
	{ "no checksum information", { .no_checksum = true }, 1500, AF_INET,
	  false, false },
	{ "local sums, whole slots", { .local_sums = true, .whole_slots = true,
	  .garbage = true }, 1500, AF_INET, false, true },
	{ "one message a send", { .max_messages = 1, .align_log2_plus_1 = 1 },
	  1500, AF_INET, false, true },
	{ "MTU 4000", { 0 }, 4000, AF_INET, false, true },
};

enum { N_TRIALS = sizeof(trials) / sizeof(trials[0]) };

struct rig {
	const struct trial *trial;
	struct loop *l;
	char dir[64], path[96];
	/* The host's side. */
	struct host_vmbus *h;
	struct host_offer *offer;
	struct channel *hc;
	struct host_hn *host;
	struct tap *net;
	uint8_t in[TAP_HDR + HOST_FRAME_MAX];
	/* The guest's side. */
	struct bus *b;
	struct hn *hn;
	struct tap *tap;
	bool up;
	unsigned left;			/* children */
};

/* Namespaces and interfaces ------------------------------------------------ */

static void write_setting(const char *interface, const char *name,
			  const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", interface,
		 name);
	fd = open(path, O_WRONLY);
	NEED(fd >= 0 && write(fd, value, strlen(value)) > 0);
	close(fd);
}

struct address6 {			/* struct in6_ifreq of linux/ipv6.h */
	struct in6_addr addr;
	uint32_t prefix;
	int ifindex;
};

static void give_addresses(struct tap *t, const char *name, uint8_t number)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct ifreq r = { 0 };
	struct address6 six = { .prefix = 64, .ifindex = tap_ifindex(t) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int fd6 = socket(AF_INET6, SOCK_DGRAM, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	a.sin_addr.s_addr = htonl(0x0a090000u + number);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	NEED(ioctl(fd, SIOCSIFADDR, &r) == 0);
	a.sin_addr.s_addr = htonl(0xffffff00u);
	memcpy(&r.ifr_netmask, &a, sizeof(a));
	NEED(ioctl(fd, SIOCSIFNETMASK, &r) == 0);
	six.addr.s6_addr[0] = 0xfd;
	six.addr.s6_addr[15] = number;
	NEED(ioctl(fd6, SIOCSIFADDR, &six) == 0);
	close(fd);
	close(fd6);
}

/* A namespace with one interface in it; the process is there afterwards. */
static struct tap *make_place(const char *name, uint8_t number)
{
	struct tap *t;

	if (unshare(CLONE_NEWNET) < 0) {
		printf("no network namespace: %s\n", strerror(errno));
		exit(SKIP);
	}
	t = tap_open(name);
	if (!t) {
		printf("no TAP: %s\n", strerror(errno));
		exit(SKIP);
	}
	write_setting(name, "accept_dad", "0");
	NEED(tap_set_up(t, true) == 0);
	give_addresses(t, name, number);
	NEED(tap_set_offloads(t, true, true, true) == 0);
	return t;
}

/* The host ----------------------------------------------------------------- */

static int port_send(void *arg, const struct packet *p)
{
	struct rig *g = arg;

	return g->hc ? channel_send(g->hc, p) : -ENOTCONN;
}

static void port_pause(void *arg, bool pause)
{
	struct rig *g = arg;

	if (g->hc)
		channel_pause(g->hc, pause);
}

static void *port_gpadl(void *arg, uint32_t handle, size_t *len)
{
	return host_offer_gpadl(((struct rig *)arg)->offer, handle, len);
}

static void host_opened(void *arg, struct channel *c)
{
	struct rig *g = arg;
	const struct host_hn_port port = {
		port_send, port_pause, port_gpadl, NULL, g,
	};

	g->hc = c;
	host_hn_open(g->host, &port);
}

static void host_closed(void *arg, int err)
{
	struct rig *g = arg;

	NEED(err == 0);
	host_hn_close(g->host);
	g->hc = NULL;
}

static void host_packet(void *arg, const struct packet *p)
{
	host_hn_packet(((struct rig *)arg)->host, p);
}

static void host_writable(void *arg)
{
	host_hn_writable(((struct rig *)arg)->host);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void on_host_path(void *arg, enum nvs_path path)
{
	(void)arg;
	(void)path;
}

static void on_filter(void *arg, uint32_t filter)
{
	(void)arg;
	(void)filter;
}

static void on_room(void *arg)
{
	tap_resume(((struct rig *)arg)->net);
}

static void on_violation(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "the host complains: %s\n", text);
	abort();
}

static uint8_t gso_type(const struct host_frame *f)
{
	size_t at = FRAME_TYPE_AT;

	if (host_frame_tci(f) >= 0)
		at += FRAME_VLAN_TAG;
	return frame_be16(f->data + at) == FRAME_IPV6 ? VNET_GSO_TCPV6 :
							VNET_GSO_TCPV4;
}

/* From the guest: into net0. */
static void on_host_frame(void *arg, const struct host_frame *f)
{
	static uint8_t buf[TAP_HDR + HOST_FRAME_MAX];
	struct rig *g = arg;
	struct vnet_hdr h = { 0 };

	NEED(f->len <= HOST_FRAME_MAX);
	if (f->partial) {
		h.flags = VNET_F_NEEDS_CSUM;
		h.csum_start = f->sum_start;
		h.csum_offset = f->sum_offset;
	}
	if (f->mss) {
		h.gso_type = gso_type(f);
		h.gso_size = f->mss;
	}
	vnet_put(buf, &h);
	memcpy(buf + TAP_HDR, f->data, f->len);
	NEED(tap_write(g->net, buf, TAP_HDR + f->len) == 0);
}

static uint8_t *net_room(void *arg, size_t *cap)
{
	struct rig *g = arg;

	*cap = sizeof(g->in);
	return g->in;
}

/* From net0: to the guest. */
static void net_frame(void *arg, size_t len)
{
	struct rig *g = arg;
	struct host_frame f = { .data = g->in + TAP_HDR, .len = len - TAP_HDR };
	struct vnet_hdr h;

	vnet_get(&h, g->in);
	f.partial = h.flags & VNET_F_NEEDS_CSUM;
	f.sum_start = h.csum_start;
	f.sum_offset = h.csum_offset;
	f.mss = h.gso_type ? h.gso_size : 0;
	host_hn_deliver(g->host, &f);
}

static void net_end(void *arg)
{
	host_hn_flush(((struct rig *)arg)->host);
}

static void on_guest(void *arg, bool connected, uint32_t version)
{
	(void)arg;
	(void)connected;
	(void)version;
}

static void start_host(struct rig *g)
{
	static const uint32_t versions[] = { VMBUS_VERSION(5, 3) };
	static const struct host_vmbus_ops bus_ops = { on_guest, on_violation };
	static const struct host_offer_ops offer_ops = {
		host_opened, host_closed, host_packet, host_writable,
	};
	static const struct host_hn_ops hn_ops = {
		nothing, nothing, on_host_frame, on_host_path, on_filter,
		on_room, on_violation, NULL,
	};
	static const struct tap_ops tap_ops = { net_room, net_frame, net_end };
	const struct host_vmbus_cfg bus = { g->path, versions, 1 };
	const struct host_hn_cfg cfg = {
		.name = "Network Adapter", .mac = { 2, 0, 0, 0, 0, 1 },
		.speed_bps = 10000000000u, .link_gap_ms = 5000,
		.manners = g->trial->manners,
	};

	g->h = host_vmbus_new(g->l, &bus, &bus_ops, g);
	g->host = host_hn_new(g->l, &cfg, &hn_ops, g);
	NEED(g->h && g->host);
	g->offer = host_offer_new(g->h, &guid_class_network,
				  &guid_class_network, false, &offer_ops, g);
	NEED(tap_set_mtu(g->net, g->trial->mtu) == 0);
	NEED(tap_watch(g->net, g->l, BUDGET, &tap_ops, g) == 0);
}

/* The guest ---------------------------------------------------------------- */

static void on_up(void *arg, const struct rndis_nic *nic)
{
	struct rig *g = arg;

	NEED(nic->mtu == g->trial->mtu);
	NEED(tap_set_mac(g->tap, nic->mac) == 0);
	NEED(tap_set_mtu(g->tap, nic->mtu) == 0);
	hn_set_up(g->hn, true);
	g->up = true;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	fprintf(stderr, "down: %s\n", why);
	abort();
}

static void on_link(void *arg, bool up)
{
	NEED(tap_set_carrier(((struct rig *)arg)->tap, up) == 0);
}

static void on_writable(void *arg)
{
	tap_resume(((struct rig *)arg)->tap);
}

static void on_vf(void *arg, bool present, uint32_t serial)
{
	(void)arg;
	(void)present;
	(void)serial;
}

static void on_path(void *arg, enum nvs_path path, bool asked)
{
	(void)arg;
	(void)path;
	(void)asked;
}

static int to_stack(void *arg, const void *buf, size_t len)
{
	return tap_write(((struct rig *)arg)->tap, buf, len);
}

static uint8_t *guest_room(void *arg, size_t *cap)
{
	return hn_room(((struct rig *)arg)->hn, cap);
}

static void guest_frame(void *arg, size_t len)
{
	hn_put(((struct rig *)arg)->hn, len);
}

static void guest_end(void *arg)
{
	hn_flush(((struct rig *)arg)->hn);
}

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	(void)s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	hn_offered(((struct rig *)arg)->hn, o->relid);
}

static void on_rescind(void *arg, uint32_t relid)
{
	(void)relid;
	hn_rescinded(((struct rig *)arg)->hn);
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	(void)relid;
	hn_opened(((struct rig *)arg)->hn, c, err);
}

static void start_guest(struct rig *g)
{
	static const struct bus_ops bus_ops = {
		on_state, on_offer, nothing, on_rescind, on_opened,
	};
	static const struct hn_ops ops = {
		on_up, on_down, on_link, on_writable, on_vf, on_path,
	};
	static const struct tap_ops tap_ops = {
		guest_room, guest_frame, guest_end,
	};
	const struct hn_cfg cfg = {
		RING, { RECV_BUF, SEND_BUF, g->trial->mtu, true, 5000 },
	};
	const struct hn_rx_sink sink = { to_stack, g };

	g->b = bus_shm_new(g->l, g->path, &bus_ops, g);
	g->hn = hn_new(g->l, g->b, &cfg, &ops, g);
	NEED(g->b && g->hn);
	hn_set_sink(g->hn, &sink);
	NEED(tap_watch(g->tap, g->l, BUDGET, &tap_ops, g) == 0);
}

/* Traffic, in processes of its own ----------------------------------------- */

static socklen_t address(struct sockaddr_storage *s, int family, uint8_t number)
{
	struct sockaddr_in *a = (struct sockaddr_in *)s;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)s;

	memset(s, 0, sizeof(*s));
	s->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		a->sin_port = htons(PORT);
		a->sin_addr.s_addr = htonl(0x0a090000u + number);
		return sizeof(*a);
	}
	a6->sin6_port = htons(PORT);
	a6->sin6_addr.s6_addr[0] = 0xfd;
	a6->sin6_addr.s6_addr[15] = number;
	return sizeof(*a6);
}

/* Whoever hears nothing for so long has lost. */
static int new_socket(int family, int type)
{
	const struct timeval patience = { PATIENCE_S, 0 };
	int fd = socket(family, type, 0);

	NEED(fd >= 0);
	if (type == SOCK_STREAM)	/* BBR paces, and makes this a wait */
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
	NEED(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			sizeof(patience)) == 0);
	NEED(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
			sizeof(patience)) == 0);
	return fd;
}

/* No period that any segment size divides. */
static void pattern(uint8_t *p, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((at + i) % 251);
}

static void send_stream(int fd)
{
	static uint8_t buf[CHUNK];

	for (size_t at = 0; at < BYTES; at += CHUNK) {
		pattern(buf, at, CHUNK);
		NEED(send(fd, buf, CHUNK, MSG_NOSIGNAL) == CHUNK);
	}
}

static void receive_stream(int fd)
{
	static uint8_t buf[CHUNK], want[CHUNK];

	for (size_t at = 0; at < BYTES; at += CHUNK) {
		NEED(recv(fd, buf, CHUNK, MSG_WAITALL) == CHUNK);
		pattern(want, at, CHUNK);
		NEED(memcmp(buf, want, CHUNK) == 0);
	}
}

/* 8000 bytes are several fragments. */
static const size_t datagrams[] = { 1, 17, 1000, 1472, 8000 };

enum { N_DATAGRAMS = sizeof(datagrams) / sizeof(datagrams[0]) };

static void server(int family, int tcp, int udp)
{
	static uint8_t buf[CHUNK];
	struct sockaddr_storage from;
	socklen_t len;
	int fd;

	for (unsigned i = 0; i < N_DATAGRAMS; i++) {
		ssize_t n;

		len = sizeof(from);
		n = recvfrom(udp, buf, sizeof(buf), 0,
			     (struct sockaddr *)&from, &len);
		NEED(n == (ssize_t)datagrams[i] && family == from.ss_family);
		NEED(sendto(udp, buf, (size_t)n, 0, (struct sockaddr *)&from,
			    len) == n);
	}
	fd = accept(tcp, NULL, NULL);
	NEED(fd >= 0);
	receive_stream(fd);
	send_stream(fd);
	NEED(recv(fd, buf, 1, 0) == 0);
}

static void client(int family)
{
	static uint8_t buf[CHUNK], want[CHUNK];
	struct sockaddr_storage to;
	socklen_t len = address(&to, family, 2);
	int udp = new_socket(family, SOCK_DGRAM);
	int tcp = new_socket(family, SOCK_STREAM);

	for (unsigned i = 0; i < N_DATAGRAMS; i++) {
		size_t n = datagrams[i];

		pattern(want, i, n);
		NEED(sendto(udp, want, n, 0, (struct sockaddr *)&to, len) ==
		     (ssize_t)n);
		NEED(recv(udp, buf, sizeof(buf), 0) == (ssize_t)n);
		NEED(memcmp(buf, want, n) == 0);
	}
	NEED(connect(tcp, (struct sockaddr *)&to, len) == 0);
	send_stream(tcp);
	receive_stream(tcp);
}

static void on_child(void *arg, unsigned events)
{
	struct rig *g = arg;
	int status;

	(void)events;
	while (g->left && waitpid(-1, &status, WNOHANG) > 0) {
		NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		g->left--;
	}
}

/* A descriptor that is readable when the child has ended. */
static struct loop_io *spawn(struct rig *g, int ns, int tcp, int udp)
{
	pid_t pid = fork();
	int fd;

	NEED(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		NEED(setns(ns, CLONE_NEWNET) == 0);
		if (tcp >= 0)
			server(g->trial->family, tcp, udp);
		else
			client(g->trial->family);
		_exit(0);
	}
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	NEED(fd >= 0);
	g->left++;
	return loop_io_new(g->l, fd, LOOP_READ, on_child, g);
}

static int listening(int family, int type)
{
	struct sockaddr_storage at;
	socklen_t len = address(&at, family, 2);
	const int on = 1;
	int fd = new_socket(family, type);

	NEED(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	NEED(bind(fd, (struct sockaddr *)&at, len) == 0);
	NEED(type != SOCK_STREAM || listen(fd, 1) == 0);
	return fd;
}

/* Trials ------------------------------------------------------------------- */

static uint64_t counter(struct rig *g, const char *name)
{
	struct hn_counter c[HN_COUNTERS];
	unsigned i = 0;

	hn_counters_get(g->hn, c);
	while (i < HN_COUNTERS && strcmp(c[i].name, name) != 0)
		i++;
	NEED(i < HN_COUNTERS);
	return c[i].value;
}

static void check(struct rig *g)
{
	static const char *const none[] = {
		"tx_failed_by_host", "tx_dropped_bad", "tx_dropped_oversize",
		"tx_dropped_unsupported", "rx_dropped_bad", "control_bad",
		"channel_bad", "channel_stray_completions", "failures",
	};

	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		if (counter(g, none[i]))
			fprintf(stderr, "%s\n", none[i]);
		NEED(counter(g, none[i]) == 0);
	}
	NEED(counter(g, "tx_cut") > 0);
	/* The host's NIC cuts less than 64 KiB: two pieces of the largest. */
	NEED(!g->trial->whole ||
	     counter(g, "tx_cut_pieces") <= 2 * counter(g, "tx_cut"));
	NEED(g->trial->joins == (counter(g, "rx_joined") > 0));
}

/* Single connections at full speed: for the reader of the log. */
static void say(struct rig *g, uint64_t ms)
{
	const uint64_t mbit = 2ull * BYTES * 8 / 1000 / (ms ? ms : 1);

	printf("%-26s %5llu Mbit/s, %llu cut, %llu of %llu joined, %llu dropped by the host\n",
	       g->trial->name, (unsigned long long)mbit,
	       (unsigned long long)counter(g, "tx_cut"),
	       (unsigned long long)counter(g, "rx_joined"),
	       (unsigned long long)counter(g, "rx_packets"),
	       (unsigned long long)host_hn_stats_get(g->host)->dropped_full);
}

static void traffic(struct rig *g, int guest_ns, int net_ns)
{
	int tcp = listening(g->trial->family, SOCK_STREAM);
	int udp = listening(g->trial->family, SOCK_DGRAM);
	struct loop_io *a = spawn(g, net_ns, tcp, udp);
	struct loop_io *b = spawn(g, guest_ns, -1, -1);
	uint64_t from = loop_now_ms(g->l);

	close(tcp);
	close(udp);
	while (g->left)
		NEED(loop_once(g->l, true) >= 0);
	say(g, loop_now_ms(g->l) - from);
	loop_io_free(a);
	loop_io_free(b);
}

static void run(struct rig *g, int guest_ns, int net_ns)
{
	g->l = loop_new(LOOP_REAL);
	snprintf(g->dir, sizeof(g->dir), "/tmp/test_hn_traffic.XXXXXX");
	NEED(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/host", g->dir);
	start_host(g);
	start_guest(g);
	while (!g->up)
		NEED(loop_once(g->l, true) >= 0);
	traffic(g, guest_ns, net_ns);
	check(g);
	tap_unwatch(g->tap);
	tap_unwatch(g->net);
	hn_free(g->hn);
	bus_free(g->b);
	while (g->hc)
		NEED(loop_once(g->l, true) >= 0);
	host_vmbus_free(g->h);
	host_hn_free(g->host);
	loop_free(g->l);
	rmdir(g->dir);
}

int main(void)
{
	struct tap *guest, *net;
	int guest_ns, net_ns;

	setvbuf(stdout, NULL, _IOLBF, 0);
	guest = make_place("hn0", 1);
	guest_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	net = make_place("net0", 2);
	net_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	NEED(guest_ns >= 0 && net_ns >= 0);
	for (unsigned i = 0; i < N_TRIALS; i++) {
		struct rig *g = calloc(1, sizeof(*g));

		g->trial = &trials[i];
		g->tap = guest;
		g->net = net;
		run(g, guest_ns, net_ns);
		free(g);
	}
	tap_free(guest);
	tap_free(net);
	return 0;
}
