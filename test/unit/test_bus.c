/* test/unit/test_bus.c - both ends of the bus in one loop: contact, offers,
 * opens, rescinds, guests and hosts that come and go, and peers that break the
 * rules of the socket. */
#include "vmbus/bus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/unix_socket.h"
#include "host/host_vmbus.h"
#include "vmbus/msg_wire.h"
#include "vmbus/ring.h"
#include "vmbus/shm_mem.h"

enum { RING = 16384, DEVICES = 2 };

/* The host's device, an echo. */
struct device {
	struct host_offer *offer;
	struct channel *c;
	unsigned opened, closed, got;
	int closed_err;
	bool again_when_closed;
};

/* The guest's driver. */
struct driver {
	uint32_t relid;			/* 0: not offered */
	uint32_t old_relid;
	struct channel *c;
	unsigned offered, rescinded, opened, got;
	int opened_err;
	bool open_on_offer;
};

struct rig {
	struct loop *l;
	char dir[64], path[96];
	struct host_vmbus *h;
	struct bus *b;
	uint32_t versions[4];
	unsigned n_versions;
	struct device dev[DEVICES];
	struct driver drv[DEVICES];
	unsigned guests, offers_done, violations;
	bool guest_there;
	uint32_t guest_version;
	char last_violation[128];
	enum bus_state states[64];
	unsigned n_states;
	bool free_bus_on_offer, drop_guest_on_open;
};

static const struct guid classes[DEVICES] = {
	{ { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 } },
	{ { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 } },
};

static struct rig *rig;			/* the callbacks' way to the whole */

/* Host. */

static void dev_opened(void *arg, struct channel *c)
{
	struct device *d = arg;

	assert_null(d->c);
	d->c = c;
	d->opened++;
	if (rig->drop_guest_on_open)
		host_vmbus_drop_guest(rig->h);
}

static void dev_closed(void *arg, int err)
{
	struct device *d = arg;

	assert_non_null(d->c);
	d->c = NULL;
	d->closed++;
	d->closed_err = err;
	if (d->again_when_closed)
		host_offer_again(d->offer);
}

static void dev_packet(void *arg, const struct packet *p)
{
	struct device *d = arg;

	d->got++;
	assert_int_equal(channel_send(d->c, p), 0);
}

static const struct host_offer_ops dev_ops = {
	dev_opened, dev_closed, dev_packet, NULL
};

static void on_guest(void *arg, bool connected, uint32_t version)
{
	(void)arg;
	assert_int_not_equal(connected, rig->guest_there);
	rig->guest_there = connected;
	rig->guests += connected;
	rig->guest_version = version;
}

static void on_violation(void *arg, const char *what)
{
	(void)arg;
	rig->violations++;
	snprintf(rig->last_violation, sizeof(rig->last_violation), "%s", what);
}

static const struct host_vmbus_ops host_ops = { on_guest, on_violation };

static void start_host(struct rig *g)
{
	struct host_vmbus_cfg cfg = { g->path, g->versions, g->n_versions };

	g->h = host_vmbus_new(g->l, &cfg, &host_ops, NULL);
	assert_non_null(g->h);
	for (unsigned i = 0; i < DEVICES; i++) {
		g->dev[i].c = NULL;
		g->dev[i].offer = host_offer_new(g->h, &classes[i],
						 &classes[i], true, &dev_ops,
						 &g->dev[i]);
	}
}

static void stop_host(struct rig *g)
{
	host_vmbus_free(g->h);
	g->h = NULL;
	g->guest_there = false;
	for (unsigned i = 0; i < DEVICES; i++)
		g->dev[i].c = NULL;
}

/* Guest. */

static struct driver *driver_of(uint32_t relid)
{
	for (unsigned i = 0; i < DEVICES; i++)
		if (rig->drv[i].relid == relid)
			return &rig->drv[i];
	fail_msg("no driver has relid %u", relid);
	return NULL;
}

static void drv_packet(void *arg, const struct packet *p)
{
	(void)p;
	((struct driver *)arg)->got++;
}

static void drv_broken(void *arg, int err)
{
	struct driver *d = arg;

	assert_int_equal(err, -EBADMSG);
	bus_close(rig->b, d->relid);
	d->c = NULL;
}

static const struct channel_ops drv_ops = { drv_packet, drv_broken, NULL };

static int open_channel(unsigned i)
{
	return bus_open(rig->b, rig->drv[i].relid, RING, 2 * RING, "user", 4,
			&drv_ops, &rig->drv[i]);
}

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	assert_true(rig->n_states < 64);
	rig->states[rig->n_states++] = s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	(void)arg;
	for (unsigned i = 0; i < DEVICES; i++) {
		struct driver *d = &rig->drv[i];

		if (!guid_equal(&o->class_id, &classes[i]))
			continue;
		assert_int_equal(d->relid, 0);
		assert_int_equal(o->pipe_mode, 4);
		d->relid = o->relid;
		d->offered++;
		if (d->open_on_offer)
			assert_int_equal(open_channel(i), 0);
	}
	if (rig->free_bus_on_offer) {
		bus_free(rig->b);
		rig->b = NULL;
	}
}

static void on_offers_done(void *arg)
{
	(void)arg;
	rig->offers_done++;
}

static void on_rescind(void *arg, uint32_t relid)
{
	struct driver *d = driver_of(relid);

	(void)arg;
	d->rescinded++;
	d->old_relid = relid;
	d->relid = 0;
	d->c = NULL;
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	struct driver *d = driver_of(relid);

	(void)arg;
	assert_int_equal(c == NULL, err < 0);
	d->opened++;
	d->opened_err = err;
	d->c = c;
}

static const struct bus_ops bus_ops = {
	on_state, on_offer, on_offers_done, on_rescind, on_opened
};

static void start_guest(struct rig *g)
{
	g->b = bus_shm_new(g->l, g->path, &bus_ops, NULL);
	assert_non_null(g->b);
}

static void stop_guest(struct rig *g)
{
	bus_free(g->b);
	g->b = NULL;
	for (unsigned i = 0; i < DEVICES; i++)
		g->drv[i].relid = 0;
}

static void settle(struct rig *g)
{
	unsigned turns = 0;

	while (loop_once(g->l, false) > 0)
		assert_true(++turns < 10000);
}

static int setup(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	g->l = loop_new(LOOP_VIRTUAL);
	snprintf(g->dir, sizeof(g->dir), "/tmp/test_bus.XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	snprintf(g->path, sizeof(g->path), "%s/host", g->dir);
	g->versions[0] = VMBUS_VERSION(5, 3);
	g->n_versions = 1;
	*state = rig = g;
	return 0;
}

static int teardown(void **state)
{
	struct rig *g = *state;

	bus_free(g->b);
	host_vmbus_free(g->h);
	loop_free(g->l);
	rmdir(g->dir);
	free(g);
	return 0;
}

/* Both ends up, all channels open. */
static void start_both(struct rig *g)
{
	start_host(g);
	for (unsigned i = 0; i < DEVICES; i++)
		g->drv[i].open_on_offer = true;
	start_guest(g);
	settle(g);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_non_null(g->drv[i].c);
}

/* A packet there and back. */
static void assert_echoes(struct rig *g, unsigned i)
{
	struct packet p = { .type = PACKET_INBAND, .len = 0 };
	unsigned before = g->drv[i].got;

	assert_non_null(g->drv[i].c);
	assert_int_equal(channel_send(g->drv[i].c, &p), 0);
	settle(g);
	assert_int_equal(g->drv[i].got, before + 1);
}

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Contact. */

static void offers_arrive_and_channels_open_and_echo(void **state)
{
	struct rig *g = *state;

	start_both(g);
	assert_int_equal(bus_state_get(g->b), BUS_UP);
	assert_int_equal(bus_version(g->b), VMBUS_VERSION(5, 3));
	assert_int_equal(g->guest_version, VMBUS_VERSION(5, 3));
	assert_int_equal(g->offers_done, 1);
	assert_int_equal(g->drv[0].offered, 1);
	assert_echoes(g, 0);
	assert_echoes(g, 1);
	assert_int_equal(g->violations, 0);
}

static void the_guest_finds_a_host_that_starts_later(void **state)
{
	struct rig *g = *state;

	start_guest(g);
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_DOWN);
	assert_int_equal(loop_once(g->l, false), 0);	/* nothing to do */
	start_host(g);
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_UP);
	assert_int_equal(g->states[0], BUS_CONTACT);
	assert_int_equal(g->states[1], BUS_UP);
}

static void even_if_its_directories_do_not_exist_yet(void **state)
{
	struct rig *g = *state;
	char dir[80], deeper[96];

	snprintf(dir, sizeof(dir), "%s/a", g->dir);
	snprintf(deeper, sizeof(deeper), "%s/a/b", g->dir);
	snprintf(g->path, sizeof(g->path), "%s/a/b/h", g->dir);
	start_guest(g);
	settle(g);
	assert_int_equal(mkdir(dir, 0755), 0);
	settle(g);
	assert_int_equal(mkdir(deeper, 0755), 0);
	settle(g);
	/* Gone again and made anew: the watch must follow. */
	assert_int_equal(rmdir(deeper), 0);
	settle(g);
	start_host(g);		/* makes the directory */
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_UP);
	stop_guest(g);
	stop_host(g);
	rmdir(deeper);
	rmdir(dir);
}

static void events_of_other_files_do_not_wake_the_guest_twice(void **state)
{
	struct rig *g = *state;
	char other[96];
	int fd;

	start_guest(g);
	settle(g);
	snprintf(other, sizeof(other), "%s/other", g->dir);
	fd = open(other, O_CREAT | O_WRONLY, 0600);
	settle(g);
	assert_int_equal(g->n_states, 0);
	assert_int_equal(loop_once(g->l, false), 0);
	close(fd);
	unlink(other);
}

static void a_host_that_was_killed_is_tried_again_with_delays(void **state)
{
	struct rig *g = *state;
	struct unix_listener u;

	/* A node that nobody serves. */
	assert_int_equal(unix_listen(&u, g->path, SOCK_SEQPACKET, 0600), 0);
	close(u.fd);
	start_guest(g);
	settle(g);
	loop_advance(g->l, 60000);
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_DOWN);
	start_host(g);			/* replaces the node: inotify, no delay */
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_UP);
}

static void versions_fall_back_from_high_to_low(void **state)
{
	static const uint32_t versions[] = {
		VMBUS_VERSION(5, 3), VMBUS_VERSION(5, 2), VMBUS_VERSION(5, 1),
		VMBUS_VERSION(5, 0), VMBUS_VERSION(4, 1), VMBUS_VERSION(4, 0),
		VMBUS_VERSION(3, 0), VMBUS_VERSION(2, 4), VMBUS_VERSION(1, 1),
		VMBUS_VERSION(0, 13),
	};
	struct rig *g = *state;

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		g->versions[0] = versions[i];
		start_host(g);
		start_guest(g);
		settle(g);
		assert_int_equal(bus_version(g->b), versions[i]);
		assert_int_equal(g->guest_version, versions[i]);
		stop_guest(g);
		settle(g);
		stop_host(g);
	}
}

static void the_best_common_version_is_taken(void **state)
{
	struct rig *g = *state;

	g->versions[0] = VMBUS_VERSION(4, 0);
	g->versions[1] = VMBUS_VERSION(5, 1);
	g->versions[2] = VMBUS_VERSION(2, 4);
	g->n_versions = 3;
	start_host(g);
	start_guest(g);
	settle(g);
	assert_int_equal(bus_version(g->b), VMBUS_VERSION(5, 1));
}

static void no_common_version_waits_for_another_host(void **state)
{
	struct rig *g = *state;

	g->versions[0] = VMBUS_VERSION(6, 0);
	start_host(g);
	start_guest(g);
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_DOWN);
	loop_advance(g->l, 600000);
	settle(g);
	assert_int_equal(g->n_states, 1);	/* and was not tried again */
	stop_host(g);
	g->versions[0] = VMBUS_VERSION(5, 3);
	start_host(g);
	settle(g);
	assert_int_equal(bus_state_get(g->b), BUS_UP);
}

static void a_second_guest_is_refused_until_the_first_leaves(void **state)
{
	struct rig *g = *state;
	struct bus *second;

	start_both(g);
	second = bus_shm_new(g->l, g->path, &bus_ops, NULL);
	settle(g);
	assert_int_equal(bus_state_get(second), BUS_DOWN);
	assert_echoes(g, 0);
	loop_advance(g->l, 20000);
	settle(g);
	assert_int_equal(bus_state_get(second), BUS_DOWN);
	stop_guest(g);
	settle(g);
	g->b = second;
	loop_advance(g->l, 20000);
	settle(g);
	assert_int_equal(bus_state_get(second), BUS_UP);
	assert_echoes(g, 0);
}

/* Life of a channel. */

static void a_closed_channel_opens_again(void **state)
{
	struct rig *g = *state;
	unsigned fds;

	start_both(g);
	fds = open_fds();
	for (unsigned n = 1; n <= 20; n++) {
		bus_close(g->b, g->drv[0].relid);
		bus_close(g->b, g->drv[0].relid);	/* fine */
		g->drv[0].c = NULL;
		assert_int_equal(open_channel(0), 0);	/* at once */
		assert_int_equal(open_channel(0), -EBUSY);
		settle(g);
		assert_int_equal(g->dev[0].closed, n);
		assert_int_equal(g->dev[0].closed_err, 0);
		assert_echoes(g, 0);
	}
	assert_echoes(g, 1);
	assert_int_equal(g->dev[1].closed, 0);
	assert_int_equal(g->violations, 0);
	assert_int_equal(open_fds(), fds);
}

static void an_open_that_is_closed_before_its_answer_is_undone(void **state)
{
	struct rig *g = *state;

	start_host(g);
	start_guest(g);
	settle(g);
	for (unsigned turns = 0; turns < 6; turns++) {
		assert_int_equal(open_channel(0), 0);
		for (unsigned n = 0; n < turns; n++)
			loop_once(g->l, true);
		if (g->drv[0].opened)
			break;
		bus_close(g->b, g->drv[0].relid);
		assert_int_equal(open_channel(0), 0);	/* waits its turn */
		assert_int_equal(open_channel(0), -EBUSY);
		bus_close(g->b, g->drv[0].relid);
		settle(g);
		assert_int_equal(g->drv[0].opened, 0);
		assert_null(g->dev[0].c);
	}
	assert_int_equal(g->violations, 0);
}

static void an_open_behind_an_abandoned_one_succeeds(void **state)
{
	struct rig *g = *state;

	start_host(g);
	start_guest(g);
	settle(g);
	assert_int_equal(open_channel(0), 0);
	bus_close(g->b, g->drv[0].relid);
	assert_int_equal(open_channel(0), 0);
	settle(g);
	assert_int_equal(g->drv[0].opened, 1);
	assert_echoes(g, 0);
	assert_int_equal(g->violations, 0);
}

static void a_refused_open_can_be_tried_again(void **state)
{
	struct rig *g = *state;

	start_host(g);
	host_offer_refuse(g->dev[0].offer, 0xc0000001);
	g->drv[0].open_on_offer = true;
	start_guest(g);
	settle(g);
	assert_int_equal(g->drv[0].opened_err, -ECONNREFUSED);
	assert_int_equal(g->dev[0].opened, 0);
	host_offer_refuse(g->dev[0].offer, 0);
	assert_int_equal(open_channel(0), 0);
	settle(g);
	assert_echoes(g, 0);
}

static void impossible_opens_are_refused_here(void **state)
{
	struct rig *g = *state;
	uint32_t relid;

	start_host(g);
	start_guest(g);
	settle(g);
	relid = g->drv[0].relid;
	assert_int_equal(bus_open(g->b, 999, RING, RING, NULL, 0, &drv_ops,
				  NULL), -ENOENT);
	assert_int_equal(bus_open(g->b, relid, 4096, RING, NULL, 0, &drv_ops,
				  NULL), -EINVAL);
	assert_int_equal(bus_open(g->b, relid, RING, RING + 8, NULL, 0,
				  &drv_ops, NULL), -EINVAL);
	assert_int_equal(bus_open(g->b, relid, RING, RING, "", 121, &drv_ops,
				  NULL), -EINVAL);
	bus_close(g->b, 999);
}

static void rescind_and_offer_again_twenty_times(void **state)
{
	struct rig *g = *state;
	unsigned fds;

	start_both(g);
	fds = open_fds();
	for (unsigned n = 1; n <= 20; n++) {
		uint32_t old = g->drv[0].relid;

		host_offer_rescind(g->dev[0].offer);
		assert_int_equal(g->dev[0].closed, n);
		if (n % 2)
			settle(g);	/* else again in the same moment */
		host_offer_again(g->dev[0].offer);
		settle(g);
		assert_int_equal(g->drv[0].rescinded, n);
		assert_int_equal(g->drv[0].offered, n + 1);
		assert_int_not_equal(g->drv[0].relid, old);
		assert_echoes(g, 0);
	}
	assert_echoes(g, 1);
	assert_int_equal(g->drv[1].rescinded, 0);
	assert_int_equal(g->violations, 0);
	assert_int_equal(open_fds(), fds);
}

static void a_rescind_at_any_moment_of_an_open_is_survived(void **state)
{
	struct rig *g = *state;

	start_host(g);
	start_guest(g);
	settle(g);
	for (unsigned turns = 0; turns < 8; turns++) {
		assert_int_equal(open_channel(0), 0);
		for (unsigned n = 0; n < turns && !g->drv[0].c; n++)
			loop_once(g->l, true);
		host_offer_rescind(g->dev[0].offer);
		settle(g);
		assert_int_equal(g->drv[0].relid, 0);
		assert_null(g->drv[0].c);
		assert_int_equal(g->drv[0].opened, turns + 1);
		host_offer_again(g->dev[0].offer);
		settle(g);
		assert_int_not_equal(g->drv[0].relid, 0);
	}
	assert_int_equal(g->violations, 0);
}

static void a_device_may_come_again_from_its_own_close(void **state)
{
	struct rig *g = *state;

	start_both(g);
	g->dev[0].again_when_closed = true;
	host_offer_rescind(g->dev[0].offer);
	settle(g);
	assert_int_equal(g->drv[0].offered, 2);
	assert_echoes(g, 0);
}

static void a_freed_offer_is_gone_and_its_relid_is_awaited(void **state)
{
	struct rig *g = *state;

	start_both(g);
	host_offer_free(g->dev[0].offer);
	assert_int_equal(g->dev[0].closed, 1);
	settle(g);
	assert_int_equal(g->drv[0].rescinded, 1);
	g->dev[0].offer = host_offer_new(g->h, &classes[0], &classes[0], true,
					 &dev_ops, &g->dev[0]);
	settle(g);
	assert_echoes(g, 0);
	assert_int_equal(g->violations, 0);
}

static void a_hot_added_device_is_offered_at_once(void **state)
{
	struct rig *g = *state;

	start_both(g);
	host_offer_rescind(g->dev[1].offer);
	settle(g);
	host_offer_again(g->dev[1].offer);
	settle(g);
	assert_int_equal(g->offers_done, 1);
	assert_int_equal(g->drv[1].offered, 2);
}

/* Hosts and guests that come and go. */

static void a_host_that_drops_us_is_found_again_at_once(void **state)
{
	struct rig *g = *state;
	unsigned fds;

	start_both(g);
	fds = open_fds();
	for (unsigned n = 1; n <= 5; n++) {
		host_vmbus_drop_guest(g->h);
		settle(g);
		assert_int_equal(g->drv[0].rescinded, n);
		assert_int_equal(g->dev[0].closed, n);
		assert_int_equal(g->guests, n + 1);
		assert_echoes(g, 0);
		assert_echoes(g, 1);
	}
	assert_int_equal(g->violations, 0);
	assert_int_equal(open_fds(), fds);
}

static void a_host_that_drops_us_all_the_time_is_not_hammered(void **state)
{
	struct rig *g = *state;
	unsigned guests;

	start_both(g);
	for (unsigned n = 0; n < 20; n++) {
		host_vmbus_drop_guest(g->h);
		settle(g);
	}
	guests = g->guests;
	assert_true(guests < 15);
	assert_int_equal(bus_state_get(g->b), BUS_DOWN);
	loop_advance(g->l, 1000);
	settle(g);
	assert_int_equal(g->guests, guests + 1);
	assert_echoes(g, 0);
}

static void a_host_restart_rescinds_all_and_starts_over(void **state)
{
	struct rig *g = *state;
	unsigned fds;

	start_both(g);
	fds = open_fds();
	for (unsigned n = 1; n <= 20; n++) {
		stop_host(g);
		settle(g);
		assert_int_equal(bus_state_get(g->b), BUS_DOWN);
		assert_int_equal(g->drv[0].rescinded, n);
		assert_null(g->drv[0].c);
		g->n_states = 0;
		start_host(g);
		settle(g);
		assert_int_equal(g->n_states, 2);
		assert_int_equal(g->guests, n + 1);
		assert_echoes(g, 0);
		assert_echoes(g, 1);
	}
	assert_int_equal(open_fds(), fds);
}

static void a_guest_that_leaves_closes_its_channels(void **state)
{
	struct rig *g = *state;
	unsigned fds;

	start_host(g);
	fds = open_fds();
	for (unsigned n = 1; n <= 20; n++) {
		g->drv[0].open_on_offer = g->drv[1].open_on_offer = true;
		start_guest(g);
		settle(g);
		assert_echoes(g, 0);
		stop_guest(g);
		settle(g);
		assert_int_equal(g->dev[0].closed, n);
		assert_false(g->guest_there);
		assert_int_equal(open_fds(), fds);
	}
	assert_int_equal(g->violations, 0);
}

static void a_guest_started_anew_replaces_its_dead_self(void **state)
{
	struct rig *g = *state;

	start_both(g);
	stop_guest(g);			/* the host has not noticed yet */
	start_guest(g);
	settle(g);
	assert_int_equal(g->guests, 2);
	assert_echoes(g, 0);
}

static void the_bus_may_be_freed_in_a_callback(void **state)
{
	struct rig *g = *state;

	start_host(g);
	g->free_bus_on_offer = true;
	start_guest(g);
	settle(g);
	assert_null(g->b);
	assert_false(g->guest_there);
}

static void the_guest_may_be_dropped_in_a_callback(void **state)
{
	struct rig *g = *state;

	start_host(g);
	g->drv[0].open_on_offer = true;
	start_guest(g);
	g->drop_guest_on_open = true;
	while (!g->dev[0].closed)
		assert_true(loop_once(g->l, true) > 0);
	g->drop_guest_on_open = false;
	settle(g);
	assert_echoes(g, 0);
}

/* Shared memory beside the rings. */

static void note_done(void *arg, int err)
{
	*(int *)arg = err;
}

static void a_big_buffer_is_shared_page_by_page(void **state)
{
	struct rig *g = *state;
	size_t len = 31u << 20, got = 0;
	struct bus_gpadl *m;
	uint8_t *guest, *host;
	int done = 1;

	start_both(g);
	m = bus_gpadl_new(g->b, g->drv[0].relid, len, note_done, &done);
	assert_non_null(m);
	settle(g);
	assert_int_equal(done, 0);
	host = host_offer_gpadl(g->dev[0].offer, bus_gpadl_handle(m), &got);
	assert_non_null(host);
	assert_int_equal(got, len);
	guest = bus_gpadl_mem(m);
	for (size_t at = 0; at < len; at += 4096)
		guest[at] = (uint8_t)(at >> 12);
	for (size_t at = 0; at < len; at += 4096)
		assert_int_equal(host[at], (uint8_t)(at >> 12));
	/* It belongs to that device alone. */
	assert_null(host_offer_gpadl(g->dev[1].offer, bus_gpadl_handle(m),
				     &got));
	bus_gpadl_free(m);
	settle(g);
	assert_null(host_offer_gpadl(g->dev[0].offer, 3, &got));
	assert_echoes(g, 0);
	assert_int_equal(g->violations, 0);
}

static void buffers_go_with_their_offer_or_before_their_answer(void **state)
{
	struct rig *g = *state;
	int done = 1;

	start_both(g);
	assert_non_null(bus_gpadl_new(g->b, g->drv[0].relid, 1 << 20,
				      note_done, &done));
	settle(g);
	assert_int_equal(done, 0);
	host_offer_rescind(g->dev[0].offer);
	settle(g);
	host_offer_again(g->dev[0].offer);
	settle(g);
	done = 1;
	bus_gpadl_free(bus_gpadl_new(g->b, g->drv[0].relid, 1 << 20,
				     note_done, &done));
	settle(g);
	assert_int_equal(done, 1);
	assert_echoes(g, 0);
	assert_int_equal(g->violations, 0);
	assert_null(bus_gpadl_new(g->b, 999, 4096, note_done, &done));
	assert_int_equal(errno, ENOENT);
	assert_null(bus_gpadl_new(g->b, g->drv[0].relid, 32u << 20, note_done,
				  &done));
	assert_int_equal(errno, EINVAL);
}

/* Broken rings. */

static void a_ring_the_guest_broke_costs_that_channel_only(void **state)
{
	struct rig *g = *state;
	uint8_t *ring;
	size_t len;

	start_both(g);
	ring = host_offer_ring(g->dev[0].offer, false, &len);
	assert_int_equal(len, RING);
	memcpy(ring, &(uint32_t){ 12 }, 4);	/* the guest's write index */
	channel_send(g->drv[1].c, &(struct packet){ .type = PACKET_INBAND });
	/* Only a bell makes the host look. */
	channel_send(g->drv[0].c, &(struct packet){ .type = PACKET_INBAND });
	memcpy(ring, &(uint32_t){ 12 }, 4);
	settle(g);
	assert_int_equal(g->dev[0].closed, 1);
	assert_int_equal(g->dev[0].closed_err, -EBADMSG);
	assert_int_equal(g->violations, 1);
	assert_null(host_offer_ring(g->dev[0].offer, false, &len));
	assert_echoes(g, 1);
	/* The guest closes and opens again, and all is well. */
	bus_close(g->b, g->drv[0].relid);
	assert_int_equal(open_channel(0), 0);
	settle(g);
	assert_echoes(g, 0);
	assert_int_equal(g->dev[0].closed, 1);
	assert_int_equal(g->violations, 1);
}

static void a_ring_the_host_broke_costs_that_channel_only(void **state)
{
	struct rig *g = *state;
	uint8_t *ring;
	size_t len;

	start_both(g);
	ring = host_offer_ring(g->dev[0].offer, true, &len);
	assert_int_equal(len, 2 * RING);
	memcpy(ring, &(uint32_t){ 0xfffffff8 }, 4);
	host_offer_kick(g->dev[0].offer);
	settle(g);
	assert_null(g->drv[0].c);		/* drv_broken() closed it */
	assert_int_equal(g->dev[0].closed, 1);
	assert_echoes(g, 1);
	assert_int_equal(open_channel(0), 0);
	settle(g);
	assert_echoes(g, 0);
}

/* Guests that break the socket's rules: raw messages. */

static int dial(struct rig *g)
{
	int fd = unix_connect(g->path, SOCK_SEQPACKET | SOCK_NONBLOCK);

	assert_true(fd >= 0);
	settle(g);
	return fd;
}

static void send_raw(struct rig *g, int fd, const void *buf, size_t len,
		     const int *fds, size_t n_fds)
{
	struct iovec iov = { (void *)buf, len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), len);
	settle(g);
}

static void send_m(struct rig *g, int fd, const struct vmbus_msg *m,
		   const int *fds, size_t n_fds)
{
	uint8_t buf[VMBUS_MSG_MAX];
	struct wr w = wr_of(buf, sizeof(buf));

	msg_put(&w, m);
	send_raw(g, fd, buf, w.len, fds, n_fds);
}

static void send_t(struct rig *g, int fd, uint32_t type, uint32_t relid)
{
	send_m(g, fd, &(struct vmbus_msg){ .type = type, .relid = relid },
	       NULL, 0);
}

/* The next message; its type, 0 when there is none, -1 when it is over. */
static int recv_m(int fd, struct vmbus_msg *m)
{
	static uint8_t buf[VMBUS_MSG_MAX];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	assert_int_equal(msg_get(m, buf, (size_t)n), 0);
	return (int)m->type;
}

/* Connected, offered; relids of the two devices are 1 and 2. */
static int raw_guest(struct rig *g)
{
	struct vmbus_msg m = { .type = VMBUS_MSG_CONTACT };
	int fd;

	if (!g->h)
		start_host(g);
	fd = dial(g);
	m.contact.version = VMBUS_VERSION(5, 3);
	send_m(g, fd, &m, NULL, 0);
	send_t(g, fd, VMBUS_MSG_REQUEST_OFFERS, 0);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_VERSION);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_OFFER);
	g->drv[0].relid = m.relid;
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_OFFER);
	g->drv[1].relid = m.relid;
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_OFFERS_DELIVERED);
	return fd;
}

static int sealed(size_t len, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

enum { ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static struct vmbus_msg header_of(struct rig *g, uint32_t handle,
				  const uint64_t *pfns, unsigned n)
{
	struct vmbus_msg m = {
		.type = VMBUS_MSG_GPADL_HEADER,
		.relid = g->drv[0].relid,
		.gpadl_header = {
			.gpadl = handle,
			.range_len = (uint16_t)(8 + 8 * n),
			.ranges = 1,
			.len = n * 4096,
			.pfns = { (const uint8_t *)pfns, n },
		},
	};

	return m;
}

/* The status with which the host answers this memory. */
static uint32_t gpadl_status(struct rig *g, int fd, uint32_t handle,
			     const uint64_t *pfns, unsigned n, const int *mem,
			     unsigned n_mem)
{
	struct vmbus_msg m = header_of(g, handle, pfns, n);

	send_m(g, fd, &m, mem, n_mem);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_GPADL_CREATED);
	assert_int_equal(m.gpadl.gpadl, handle);
	return m.gpadl.status;
}

static const uint64_t four[] = { 0, 1, 2, 3 };

static void memory_must_be_sealed_and_big_enough(void **state)
{
	static const uint64_t beyond[] = { 0, 1, 2, 4 };
	static const uint64_t far[] = { 0, 1, 2, 1ull << 52 };
	struct rig *g = *state;
	int good = sealed(16384, ALL_SEALS);
	int open_end = sealed(16384, F_SEAL_GROW | F_SEAL_SEAL);
	int unsealed = sealed(16384, 0);
	int readonly = sealed(16384, ALL_SEALS | F_SEAL_WRITE);
	int file = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int fd = raw_guest(g);
	unsigned fds;

	fds = open_fds();
	assert_int_not_equal(gpadl_status(g, fd, 1, four, 4, &unsealed, 1), 0);
	assert_string_equal(g->last_violation, "memory that is not sealed");
	assert_int_not_equal(gpadl_status(g, fd, 2, four, 4, &open_end, 1), 0);
	assert_int_not_equal(gpadl_status(g, fd, 3, four, 4, &readonly, 1), 0);
	assert_int_not_equal(gpadl_status(g, fd, 4, four, 4, &file, 1), 0);
	assert_int_not_equal(gpadl_status(g, fd, 5, beyond, 4, &good, 1), 0);
	assert_int_not_equal(gpadl_status(g, fd, 6, far, 4, &good, 1), 0);
	assert_int_not_equal(gpadl_status(g, fd, 7, four, 4, NULL, 0), 0);
	assert_int_not_equal(gpadl_status(g, fd, 8, four, 4,
					  (int[]){ good, good }, 2), 0);
	assert_int_equal(g->violations, 8);
	assert_int_equal(open_fds(), fds);
	assert_int_equal(gpadl_status(g, fd, 9, four, 4, &good, 1), 0);
	assert_true(g->guest_there);
	close(fd);
	settle(g);
	assert_int_equal(open_fds(), fds - 2);
	close(good);
	close(open_end);
	close(unsealed);
	close(readonly);
	close(file);
}

static void pages_are_mapped_in_the_order_of_their_list(void **state)
{
	static const uint64_t shuffled[] = { 3, 1, 2, 0 };
	struct rig *g = *state;
	int mem = sealed(16384, ALL_SEALS);
	int fd = raw_guest(g);
	uint8_t *host;
	size_t len;

	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pwrite(mem, &(uint8_t){ (uint8_t)(10 + i) }, 1,
					i * 4096), 1);
	assert_int_equal(gpadl_status(g, fd, 1, shuffled, 4, &mem, 1), 0);
	host = host_offer_gpadl(g->dev[0].offer, 1, &len);
	assert_int_equal(len, 16384);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(host[i * 4096], 10 + shuffled[i]);
	close(mem);
	close(fd);
}

static struct vmbus_msg open_of(struct rig *g, uint32_t handle,
				uint32_t rx_page)
{
	return (struct vmbus_msg){
		.type = VMBUS_MSG_OPEN,
		.relid = g->drv[0].relid,
		.open = { .openid = 5, .gpadl = handle, .rx_page = rx_page },
	};
}

static uint32_t open_status(struct rig *g, int fd, uint32_t handle,
			    uint32_t rx_page, const int *fds, unsigned n)
{
	struct vmbus_msg m = open_of(g, handle, rx_page);

	send_m(g, fd, &m, fds, n);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_OPEN_RESULT);
	assert_int_equal(m.open_result.openid, 5);
	return m.open_result.status;
}

static void opens_need_two_eventfds_and_room_for_two_rings(void **state)
{
	struct rig *g = *state;
	int mem = sealed(16384, ALL_SEALS);
	int a = eventfd(0, EFD_CLOEXEC), b = eventfd(0, EFD_CLOEXEC);
	int pair[2], both[2] = { a, b };
	int fd = raw_guest(g);
	unsigned fds;

	assert_int_equal(pipe(pair), 0);
	assert_int_equal(gpadl_status(g, fd, 1, four, 4, &mem, 1), 0);
	fds = open_fds();
	assert_int_not_equal(open_status(g, fd, 1, 2, NULL, 0), 0);
	assert_int_not_equal(open_status(g, fd, 1, 2, &a, 1), 0);
	assert_int_not_equal(open_status(g, fd, 1, 2, pair, 2), 0);
	assert_int_not_equal(open_status(g, fd, 1, 2, (int[]){ a, mem }, 2), 0);
	assert_int_not_equal(open_status(g, fd, 7, 2, both, 2), 0);
	assert_int_not_equal(open_status(g, fd, 1, 0, both, 2), 0);
	assert_int_not_equal(open_status(g, fd, 1, 1, both, 2), 0);
	assert_int_not_equal(open_status(g, fd, 1, 3, both, 2), 0);
	assert_int_not_equal(open_status(g, fd, 1, 0xfffffffe, both, 2), 0);
	assert_int_equal(open_fds(), fds);
	assert_true(g->guest_there);
	assert_int_equal(open_status(g, fd, 1, 2, both, 2), 0);
	assert_int_equal(g->dev[0].opened, 1);
	close(fd);
	settle(g);
	assert_int_equal(g->dev[0].closed, 1);
	close(mem);
	close(a);
	close(b);
	close(pair[0]);
	close(pair[1]);
}

static void surplus_descriptors_are_closed(void **state)
{
	struct rig *g = *state;
	int fd = raw_guest(g), extra[4];
	unsigned fds;

	for (int i = 0; i < 4; i++)
		extra[i] = eventfd(0, EFD_CLOEXEC);
	fds = open_fds();
	for (unsigned n = 0; n < 50; n++)
		send_m(g, fd, &(struct vmbus_msg){ .type = VMBUS_MSG_MODIFY },
		       extra, 2);
	assert_int_equal(open_fds(), fds);
	assert_true(g->guest_there);
	/* More than any message has: no message. */
	send_m(g, fd, &(struct vmbus_msg){ .type = VMBUS_MSG_MODIFY }, extra,
	       4);
	assert_false(g->guest_there);
	close(fd);
	for (int i = 0; i < 4; i++)
		close(extra[i]);
}

/* Every wrong step ends the connection, and the next guest is served. */

static void step_open_unknown(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_OPEN, 77);
}

static void step_close_closed(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_CLOSE, g->drv[0].relid);
}

static void step_open_on_open(struct rig *g, int fd)
{
	int mem = sealed(16384, ALL_SEALS);
	int both[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	struct vmbus_msg m = open_of(g, 1, 2);

	assert_int_equal(gpadl_status(g, fd, 1, four, 4, &mem, 1), 0);
	assert_int_equal(open_status(g, fd, 1, 2, both, 2), 0);
	assert_non_null(g->dev[0].c);
	send_m(g, fd, &m, both, 2);
	assert_null(g->dev[0].c);
	close(mem);
	close(both[0]);
	close(both[1]);
}

static void step_release_open(struct rig *g, int fd)
{
	int mem = sealed(16384, ALL_SEALS);
	int both[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };

	assert_int_equal(gpadl_status(g, fd, 1, four, 4, &mem, 1), 0);
	assert_int_equal(open_status(g, fd, 1, 2, both, 2), 0);
	send_t(g, fd, VMBUS_MSG_RELID_RELEASED, g->drv[0].relid);
	close(mem);
	close(both[0]);
	close(both[1]);
}

static void step_teardown_of_open_rings(struct rig *g, int fd)
{
	int mem = sealed(16384, ALL_SEALS);
	int both[2] = { eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };
	struct vmbus_msg m = { .type = VMBUS_MSG_GPADL_TEARDOWN,
			       .relid = g->drv[0].relid,
			       .gpadl = { .gpadl = 1 } };

	assert_int_equal(gpadl_status(g, fd, 1, four, 4, &mem, 1), 0);
	assert_int_equal(open_status(g, fd, 1, 2, both, 2), 0);
	send_m(g, fd, &m, NULL, 0);
	close(mem);
	close(both[0]);
	close(both[1]);
}

static void step_teardown_of_nothing(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_GPADL_TEARDOWN, g->drv[0].relid);
}

static void step_second_request_for_offers(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_REQUEST_OFFERS, 0);
}

static void step_release_unknown(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_RELID_RELEASED, 77);
}

static void step_host_message(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_RESCIND, 1);
}

static void step_same_handle_twice(struct rig *g, int fd)
{
	int mem = sealed(16384, ALL_SEALS);
	struct vmbus_msg m = header_of(g, 1, four, 4);

	assert_int_equal(gpadl_status(g, fd, 1, four, 4, &mem, 1), 0);
	send_m(g, fd, &m, &mem, 1);
	close(mem);
}

static void step_body_of_nothing(struct rig *g, int fd)
{
	struct vmbus_msg m = { .type = VMBUS_MSG_GPADL_BODY };

	m.gpadl_body.pfns = (struct vmbus_pfns){ (const void *)four, 4 };
	send_m(g, fd, &m, NULL, 0);
}

static void step_too_many_pages(struct rig *g, int fd)
{
	struct vmbus_msg m = header_of(g, 1, four, 4);

	m.gpadl_header.range_len = 8 + 8 * 3;
	send_m(g, fd, &m, NULL, 0);
}

static void step_no_pages(struct rig *g, int fd)
{
	struct vmbus_msg m = header_of(g, 1, four, 0);

	send_m(g, fd, &m, NULL, 0);
}

static void step_unfinished_lists(struct rig *g, int fd)
{
	for (uint32_t i = 1; i <= 17; i++) {
		struct vmbus_msg m = header_of(g, i, four, 4);

		m.gpadl_header.range_len = 65528;
		send_m(g, fd, &m, NULL, 0);
	}
}

static void step_garbage(struct rig *g, int fd)
{
	send_raw(g, fd, "garbage", 7, NULL, 0);
}

static void step_oversize(struct rig *g, int fd)
{
	uint8_t buf[VMBUS_MSG_MAX + 1] = { VMBUS_MSG_MODIFY };

	send_raw(g, fd, buf, sizeof(buf), NULL, 0);
}

static void a_guest_that_breaks_the_order_loses_its_connection(void **state)
{
	static void (*const steps[])(struct rig *g, int fd) = {
		step_open_unknown, step_close_closed, step_open_on_open,
		step_release_open, step_teardown_of_open_rings,
		step_teardown_of_nothing, step_second_request_for_offers,
		step_release_unknown, step_host_message,
		step_same_handle_twice, step_body_of_nothing,
		step_too_many_pages, step_no_pages, step_unfinished_lists,
		step_garbage, step_oversize,
	};
	struct rig *g = *state;
	unsigned fds;

	start_host(g);
	fds = open_fds();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		int fd = raw_guest(g);

		steps[i](g, fd);
		assert_int_equal(g->violations, i + 1);
		assert_false(g->guest_there);
		close(fd);
		settle(g);
		assert_int_equal(open_fds(), fds);
	}
	for (unsigned i = 0; i < DEVICES; i++) {
		g->drv[i].relid = 0;
		g->drv[i].open_on_offer = true;
	}
	start_guest(g);
	settle(g);
	assert_echoes(g, 0);
}

static void offers_are_for_those_who_made_contact(void **state)
{
	struct rig *g = *state;
	int fd;

	start_host(g);
	fd = dial(g);
	send_t(g, fd, VMBUS_MSG_REQUEST_OFFERS, 0);
	assert_int_equal(g->violations, 1);
	assert_int_equal(recv_m(fd, &(struct vmbus_msg){ 0 }), -1);
	close(fd);
}

static void a_relid_is_not_used_again_before_it_is_released(void **state)
{
	struct rig *g = *state;
	int fd = raw_guest(g);
	struct vmbus_msg m = { 0 };

	host_offer_rescind(g->dev[0].offer);
	host_offer_again(g->dev[0].offer);
	settle(g);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_RESCIND);
	assert_int_equal(recv_m(fd, &m), 0);	/* no offer yet */
	/* An open and a close of what is rescinded are ignored. */
	send_t(g, fd, VMBUS_MSG_OPEN, g->drv[0].relid);
	send_t(g, fd, VMBUS_MSG_CLOSE, g->drv[0].relid);
	assert_int_equal(recv_m(fd, &m), 0);
	send_t(g, fd, VMBUS_MSG_RELID_RELEASED, g->drv[0].relid);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_OFFER);
	assert_int_not_equal(m.relid, g->drv[0].relid);
	assert_int_not_equal(m.relid, g->drv[1].relid);
	assert_int_equal(g->violations, 0);
	close(fd);
}

static void unload_forgets_all_and_contact_starts_over(void **state)
{
	struct rig *g = *state;
	int fd = raw_guest(g);
	struct vmbus_msg m = { .type = VMBUS_MSG_CONTACT };

	send_t(g, fd, VMBUS_MSG_UNLOAD, 0);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_UNLOADED);
	assert_false(g->guest_there);
	m = (struct vmbus_msg){ .type = VMBUS_MSG_CONTACT };
	m.contact.version = VMBUS_VERSION(5, 3);
	send_m(g, fd, &m, NULL, 0);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_VERSION);
	assert_true(m.version.supported);
	send_t(g, fd, VMBUS_MSG_REQUEST_OFFERS, 0);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_OFFER);
	assert_int_equal(g->violations, 0);
	close(fd);
}

/* Hosts that break the socket's rules. */

static int raw_host(struct rig *g, struct unix_listener *u)
{
	int fd;

	assert_int_equal(unix_listen(u, g->path, SOCK_SEQPACKET, 0600), 0);
	start_guest(g);
	fd = unix_accept(u);
	assert_true(fd >= 0);
	settle(g);
	return fd;
}

static void agree(struct rig *g, int fd)
{
	struct vmbus_msg m;

	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_CONTACT);
	m = (struct vmbus_msg){ .type = VMBUS_MSG_VERSION };
	m.version.supported = true;
	send_m(g, fd, &m, NULL, 0);
	assert_int_equal(recv_m(fd, &m), VMBUS_MSG_REQUEST_OFFERS);
}

static void lie_offer_before_contact(struct rig *g, int fd)
{
	send_t(g, fd, VMBUS_MSG_OFFER, 1);
}

static void lie_same_relid_twice(struct rig *g, int fd)
{
	agree(g, fd);
	send_t(g, fd, VMBUS_MSG_OFFER, 1);
	send_t(g, fd, VMBUS_MSG_OFFER, 1);
}

static void lie_version_again(struct rig *g, int fd)
{
	agree(g, fd);
	send_t(g, fd, VMBUS_MSG_VERSION, 0);
}

static void lie_garbage(struct rig *g, int fd)
{
	agree(g, fd);
	send_raw(g, fd, "x", 1, NULL, 0);
}

static void lie_offers_without_end(struct rig *g, int fd)
{
	agree(g, fd);
	for (uint32_t i = 1; i <= 2049; i++)
		send_t(g, fd, VMBUS_MSG_OFFER, i);
}

static void quiet_rescind(void *arg, uint32_t relid)
{
	(void)arg;
	(void)relid;
}

static void a_host_that_breaks_the_order_is_left_and_tried_again(void **state)
{
	static void (*const lies[])(struct rig *g, int fd) = {
		lie_offer_before_contact, lie_same_relid_twice,
		lie_version_again, lie_garbage, lie_offers_without_end,
	};
	static const struct bus_ops quiet = {
		on_state, on_offer, on_offers_done, quiet_rescind, on_opened
	};
	struct rig *g = *state;
	struct unix_listener u;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int fd, again;

		assert_int_equal(unix_listen(&u, g->path, SOCK_SEQPACKET,
					     0600), 0);
		g->n_states = 0;
		g->b = bus_shm_new(g->l, g->path, &quiet, NULL);
		fd = unix_accept(&u);
		settle(g);
		lies[i](g, fd);
		assert_int_equal(bus_state_get(g->b), BUS_DOWN);
		assert_int_equal(unix_accept(&u), -EAGAIN);
		loop_advance(g->l, 200);
		again = unix_accept(&u);
		assert_true(again >= 0);
		close(again);
		close(fd);
		stop_guest(g);
		unix_unlisten(&u);
	}
}

static void answers_that_nobody_asked_for_are_ignored(void **state)
{
	struct rig *g = *state;
	struct unix_listener u;
	int fd = raw_host(g, &u);

	agree(g, fd);
	send_t(g, fd, VMBUS_MSG_OPEN_RESULT, 1);
	send_t(g, fd, VMBUS_MSG_GPADL_CREATED, 1);
	send_t(g, fd, VMBUS_MSG_GPADL_TORNDOWN, 1);
	send_t(g, fd, VMBUS_MSG_RESCIND, 1);
	send_t(g, fd, VMBUS_MSG_UNLOADED, 1);
	send_t(g, fd, VMBUS_MSG_OPEN, 1);
	assert_int_equal(bus_state_get(g->b), BUS_UP);
	close(fd);
	unix_unlisten(&u);
}

static void two_hosts_do_not_share_a_path(void **state)
{
	struct rig *g = *state;
	struct host_vmbus_cfg cfg = { g->path, g->versions, 1 };

	start_both(g);
	assert_null(host_vmbus_new(g->l, &cfg, &host_ops, NULL));
	assert_int_equal(errno, EADDRINUSE);
	settle(g);
	assert_echoes(g, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offers_arrive_and_channels_open_and_echo),
		TEST(the_guest_finds_a_host_that_starts_later),
		TEST(even_if_its_directories_do_not_exist_yet),
		TEST(events_of_other_files_do_not_wake_the_guest_twice),
		TEST(a_host_that_was_killed_is_tried_again_with_delays),
		TEST(versions_fall_back_from_high_to_low),
		TEST(the_best_common_version_is_taken),
		TEST(no_common_version_waits_for_another_host),
		TEST(a_second_guest_is_refused_until_the_first_leaves),
		TEST(a_closed_channel_opens_again),
		TEST(an_open_that_is_closed_before_its_answer_is_undone),
		TEST(an_open_behind_an_abandoned_one_succeeds),
		TEST(a_refused_open_can_be_tried_again),
		TEST(impossible_opens_are_refused_here),
		TEST(rescind_and_offer_again_twenty_times),
		TEST(a_rescind_at_any_moment_of_an_open_is_survived),
		TEST(a_device_may_come_again_from_its_own_close),
		TEST(a_freed_offer_is_gone_and_its_relid_is_awaited),
		TEST(a_hot_added_device_is_offered_at_once),
		TEST(a_host_that_drops_us_is_found_again_at_once),
		TEST(a_host_that_drops_us_all_the_time_is_not_hammered),
		TEST(a_host_restart_rescinds_all_and_starts_over),
		TEST(a_guest_that_leaves_closes_its_channels),
		TEST(a_guest_started_anew_replaces_its_dead_self),
		TEST(the_bus_may_be_freed_in_a_callback),
		TEST(the_guest_may_be_dropped_in_a_callback),
		TEST(a_big_buffer_is_shared_page_by_page),
		TEST(buffers_go_with_their_offer_or_before_their_answer),
		TEST(a_ring_the_guest_broke_costs_that_channel_only),
		TEST(a_ring_the_host_broke_costs_that_channel_only),
		TEST(memory_must_be_sealed_and_big_enough),
		TEST(pages_are_mapped_in_the_order_of_their_list),
		TEST(opens_need_two_eventfds_and_room_for_two_rings),
		TEST(surplus_descriptors_are_closed),
		TEST(a_guest_that_breaks_the_order_loses_its_connection),
		TEST(offers_are_for_those_who_made_contact),
		TEST(a_relid_is_not_used_again_before_it_is_released),
		TEST(unload_forgets_all_and_contact_starts_over),
		TEST(a_host_that_breaks_the_order_is_left_and_tried_again),
		TEST(answers_that_nobody_asked_for_are_ignored),
		TEST(two_hosts_do_not_share_a_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
