/* udp_probe.c - numbered datagrams both ways between two network namespaces,
 * and what became of them.
 *
 *   udp_probe NETNS_A ADDRESS_A NETNS_B ADDRESS_B PORT INTERVAL_US
 *
 * Says "ready" when the first ones have arrived both ways. Ends when its
 * standard input does: stops sending, waits until nothing arrives any more,
 * and prints for a->b and b->a: sent, lost, twice, late (overtaken), and the
 * longest gap between two arrivals in microseconds. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SEQ = 1 << 20, QUIET_MS = 300, ROOM = 4 << 20 };

static struct side {
	int fd;
	struct sockaddr_storage addr;
	socklen_t len;
	uint32_t sent;		/* by this side */
	uint32_t got, twice, late, last;
	uint64_t last_us, gap_us;
	uint8_t seen[MAX_SEQ / 8];
} sides[2];

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void make_side(struct side *s, const char *netns, const char *text,
		      const char *port)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
					.ai_socktype = SOCK_DGRAM };
	const int room = ROOM;
	struct addrinfo *a;
	int ns = open(netns, O_RDONLY);

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		fail(netns);
	close(ns);
	if (getaddrinfo(text, port, &hints, &a))
		fail(text);
	memcpy(&s->addr, a->ai_addr, a->ai_addrlen);
	s->len = a->ai_addrlen;
	s->fd = socket(a->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (s->fd < 0 || bind(s->fd, a->ai_addr, a->ai_addrlen) < 0)
		fail(text);
	freeaddrinfo(a);
}

static void send_one(struct side *from, const struct side *to)
{
	uint32_t seq = from->sent;

	if (seq >= MAX_SEQ)
		return;
	/* What the socket itself refuses was not lost on the way. */
	if (sendto(from->fd, &seq, sizeof(seq), 0,
		   (const struct sockaddr *)&to->addr, to->len) > 0)
		from->sent++;
}

static void take_all(struct side *s)
{
	uint32_t seq;

	while (recv(s->fd, &seq, sizeof(seq), 0) == sizeof(seq)) {
		uint64_t now = now_us();

		if (seq >= MAX_SEQ)
			continue;
		if (s->seen[seq / 8] & (1 << seq % 8)) {
			s->twice++;
			continue;
		}
		s->seen[seq / 8] |= (uint8_t)(1 << seq % 8);
		if (s->got && seq < s->last)
			s->late++;
		else
			s->last = seq;
		if (s->got && now - s->last_us > s->gap_us)
			s->gap_us = now - s->last_us;
		s->last_us = now;
		s->got++;
	}
}

static int make_timer(long us)
{
	const struct itimerspec t = { { us / 1000000, us % 1000000 * 1000 },
				      { us / 1000000, us % 1000000 * 1000 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	if (fd < 0 || timerfd_settime(fd, 0, &t, NULL) < 0)
		fail("timer");
	return fd;
}

static bool round_trip(int timer, int input)
{
	struct pollfd p[4] = {
		{ sides[0].fd, POLLIN, 0 }, { sides[1].fd, POLLIN, 0 },
		{ timer, POLLIN, 0 }, { input, POLLIN, 0 },
	};
	uint64_t ticks;
	int n = poll(p, 4, timer < 0 ? QUIET_MS : -1);

	if (n <= 0)
		return false;
	take_all(&sides[0]);
	take_all(&sides[1]);
	if (timer >= 0 && read(timer, &ticks, sizeof(ticks)) > 0) {
		send_one(&sides[0], &sides[1]);
		send_one(&sides[1], &sides[0]);
	}
	return !p[3].revents;
}

static void print(const char *way, const struct side *from,
		  const struct side *to)
{
	printf("%s %u %u %u %u %" PRIu64 "\n", way, from->sent,
	       from->sent - to->got, to->twice, to->late, to->gap_us);
}

int main(int argc, char **argv)
{
	const struct sched_param high = { .sched_priority = 5 };
	bool ready = false;
	int timer;

	if (argc != 7)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setscheduler(0, SCHED_FIFO, &high);
	make_side(&sides[0], argv[1], argv[2], argv[5]);
	make_side(&sides[1], argv[3], argv[4], argv[5]);
	timer = make_timer(strtol(argv[6], NULL, 10));
	while (round_trip(timer, STDIN_FILENO))
		if (!ready && sides[0].got && sides[1].got) {
			ready = true;
			puts("ready");
			fflush(stdout);
		}
	while (round_trip(-1, -1))
		;
	print("a->b", &sides[0], &sides[1]);
	print("b->a", &sides[1], &sides[0]);
	return 0;
}
