/* test/scenario/host_files.c - run a scenario file of hvhost against our own
 * guest: bus, drivers and daemons in this process, on a clock that moves only
 * when the file says so. The file system's and an application's part of a
 * backup is played (vss_guest.h). What hvhost would print goes to stdout.
 *
 *   host_files [--seed N] FILE...
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host_scenario.h"
#include "ic/ic.h"
#include "kvp/kvp.h"
#include "kvp/kvpd.h"
#include "vss_guest.h"
#include "vmbus/bus.h"

/* One service of the guest's. */
struct service {
	struct rig *rig;
	const struct guid *class_id;
	const struct ic_service *svc;
	struct ic *ic;
	uint32_t relid;			/* of its offer; 0: none */
	bool reopen;			/* its channel broke */
};

enum { KVP, VSS, N_SERVICES };

struct rig {
	char dir[64], path[96];
	struct loop *loop;
	struct host *host;
	struct host_run *run;
	bool over, passed;
	/* the guest */
	struct bus *bus;
	struct service service[N_SERVICES];
	struct kvp *kvp;
	struct kvpd *kvpd;
	unsigned asked;			/* requests that the daemon has */
	struct kvp_msg requests[8];	/* the oldest first */
	struct vss_guest *vss;
};

/* Guest: channels -------------------------------------------------------- */

static void guest_packet(void *arg, const struct packet *p)
{
	struct service *s = arg;

	ic_packet(s->ic, p);
}

static void guest_broken(void *arg, int err)
{
	struct service *s = arg;

	(void)err;
	s->reopen = true;		/* not from inside its callback */
}

static void guest_writable(void *arg)
{
	struct service *s = arg;

	ic_writable(s->ic);
}

static const struct channel_ops channel_ops = {
	guest_packet, guest_broken, guest_writable,
};

/* Guest: bus ------------------------------------------------------------- */

static struct service *find(struct rig *g, uint32_t relid)
{
	for (unsigned i = 0; i < N_SERVICES; i++) {
		if (g->service[i].relid == relid)
			return &g->service[i];
	}
	return NULL;
}

static void open_service(struct service *s)
{
	bus_open(s->rig->bus, s->relid, s->svc->ring_len, s->svc->ring_len,
		 NULL, 0, &channel_ops, s);
}

static void on_state(void *arg, enum bus_state s)
{
	(void)arg;
	(void)s;
}

static void on_offer(void *arg, const struct bus_offer *o)
{
	struct rig *g = arg;

	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct service *s = &g->service[i];

		if (!guid_equal(&o->class_id, s->class_id))
			continue;
		s->relid = o->relid;
		open_service(s);
	}
}

static void on_offers_done(void *arg)
{
	(void)arg;
}

static void on_rescind(void *arg, uint32_t relid)
{
	struct service *s = find(arg, relid);

	if (!s)
		return;
	ic_channel(s->ic, NULL);
	s->relid = 0;
	s->reopen = false;
}

static void on_opened(void *arg, uint32_t relid, struct channel *c, int err)
{
	struct service *s = find(arg, relid);

	if (!s)
		return;
	if (c)
		ic_channel(s->ic, c);
	else if (err != -ECANCELED)
		s->reopen = true;
}

static const struct bus_ops bus_ops = {
	on_state, on_offer, on_offers_done, on_rescind, on_opened,
};

static bool open_again(struct rig *g)
{
	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct service *s = &g->service[i];

		if (!s->reopen || !s->relid)
			continue;
		s->reopen = false;
		ic_channel(s->ic, NULL);
		bus_close(g->bus, s->relid);
		open_service(s);
		return true;
	}
	return false;
}

/* Guest: daemon ---------------------------------------------------------- */

static int daemon_gets(void *arg, const void *buf, size_t len)
{
	struct rig *g = arg;

	if (g->asked == sizeof(g->requests) / sizeof(g->requests[0]))
		return -EAGAIN;
	kvp_devmsg_get_request(&g->requests[g->asked++], KVP_FORM_FREEBSD, buf,
			       len);
	return 0;
}

static bool daemon_answers(struct rig *g)
{
	struct kvp_msg m = g->requests[0];
	uint8_t buf[KVP_DEVMSG_MAX];

	if (!g->asked)
		return false;
	g->asked--;
	memmove(g->requests, g->requests + 1, g->asked * sizeof(m));
	kvpd_handle(g->kvpd, &m);
	kvp_devmsg_put_answer(buf, KVP_FORM_FREEBSD, &m);
	kvp_daemon_message(g->kvp, buf, kvp_devmsg_size(KVP_FORM_FREEBSD));
	return true;
}

static int start_daemon(struct rig *g)
{
	const struct kvpd_cfg cfg = { .state_dir = g->dir, .no_sync = true };
	const struct kvp_daemon d = { daemon_gets, g };
	uint8_t buf[KVP_DEVMSG_MAX];
	unsigned failed;

	g->kvpd = kvpd_new(&cfg, &failed);
	if (!g->kvpd || kvp_daemon_open(g->kvp, &d) < 0)
		return -1;
	kvp_devmsg_put_register(buf, KVP_FORM_FREEBSD);
	return kvp_daemon_message(g->kvp, buf,
				  kvp_devmsg_size(KVP_FORM_FREEBSD));
}

/* What the host's items look like from inside, for files that read pool 1. */
static int fill_pool_1(const struct rig *g)
{
	const struct pool_cfg cfg = { .dir = g->dir, .id = KVP_POOL_GUEST,
				      .access = POOL_WRITE, .no_sync = true };
	struct pool *p = pool_open(&cfg);
	int err = p ? 0 : -1;

	if (err == 0)
		err = pool_append(p, "first", "1");
	if (err == 0)
		err = pool_append(p, "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x98\x8a");
	if (err == 0)
		err = pool_append(p, "twice", "a");
	if (err == 0)
		err = pool_append(p, "twice", "b");
	pool_close(p);
	return err;
}

static void add_service(struct rig *g, unsigned i, const struct guid *class_id,
			struct ic *ic)
{
	g->service[i] = (struct service){
		.rig = g, .class_id = class_id,
		.svc = ic_service_of(class_id), .ic = ic,
	};
}

static int start_guest(struct rig *g)
{
	const struct kvp_cfg cfg = { .timeout_ms = 2500,
				     .set_ip_timeout_ms = 25000,
				     .hold_ms = 50000 };

	g->kvp = kvp_new(g->loop, &cfg);
	if (!g->kvp || start_daemon(g) < 0 || fill_pool_1(g) < 0)
		return -1;
	add_service(g, KVP, &guid_class_kvp, kvp_ic(g->kvp));
	add_service(g, VSS, &guid_class_vss, vss_guest_ic(g->vss));
	g->bus = bus_shm_new(g->loop, g->path, &bus_ops, g);
	return g->bus ? 0 : -1;
}

/* Host ------------------------------------------------------------------- */

static void on_step(void *arg, const char *label, const char *text,
		    const char *why)
{
	(void)arg;
	printf("  %-8s %-48s %s%s\n", label, text, why ? "FAILED: " : "ok",
	       why ? why : "");
}

static void on_done(void *arg, bool passed)
{
	struct rig *g = arg;

	g->over = true;
	g->passed = passed;
}

static void on_guest(void *arg, const json_t *guest)
{
	struct rig *g = arg;

	vss_guest_be(g->vss, guest);
}

static int start_host(struct rig *g, const struct host_scenario *s,
		      uint64_t seed)
{
	const struct host_cfg cfg = {
		.profile = host_scenario_profile(s), .path = g->path,
		.vm_name = "rig",
	};
	const struct host_run_cfg run = { .step = on_step, .done = on_done,
					  .guest = on_guest, .seed = seed,
					  .arg = g };

	g->host = host_new(g->loop, &cfg);
	if (!g->host)
		return -1;
	g->run = host_run_new(g->host, s, true, &run);
	return g->run ? 0 : -1;
}

/* All parties are in this loop: when nothing is ready and nobody has work left
 * over, nothing will happen until time passes. */
static void serve(struct rig *g)
{
	while (!g->over) {
		if (loop_once(g->loop, false) > 0 || daemon_answers(g) ||
		    vss_guest_answers(g->vss) || open_again(g) ||
		    host_run_idle(g->run))
			continue;
		loop_advance(g->loop, 0);	/* what is due now */
		if (!g->over && loop_once(g->loop, false) == 0)
			loop_once(g->loop, true);	/* patience runs out */
	}
}

static int remove_entry(const char *path, const struct stat *st, int flag,
			struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void print_violations(const struct rig *g)
{
	const struct host_violation *v;

	for (unsigned i = 0; g->host && (v = host_violation_at(g->host, i));
	     i++)
		printf("  violation: %s\n", v->text);
}

static bool run_file(const char *file, uint64_t seed)
{
	struct host_scenario *s;
	struct rig g = { .dir = "/tmp/host_files.XXXXXX" };
	char err[400];

	s = host_scenario_load(file, err, sizeof(err));
	if (!s) {
		printf("%s\n", err);
		return false;
	}
	printf("%s\n", host_scenario_name(s));
	if (!mkdtemp(g.dir))
		return false;
	snprintf(g.path, sizeof(g.path), "%s/vmbus", g.dir);
	g.loop = loop_new(LOOP_VIRTUAL);
	g.vss = vss_guest_new(g.loop);
	if (start_host(&g, s, seed) < 0 || start_guest(&g) < 0)
		printf("  cannot start: %s\n", strerror(errno));
	else
		serve(&g);
	if (g.passed && !vss_guest_comes_to_rest(g.vss))
		g.passed = false;
	if (!g.passed) {
		print_violations(&g);
		printf("  --seed %llu\n", g.run ? (unsigned long long)
		       host_run_seed(g.run) : 0);
	}
	bus_free(g.bus);
	kvp_free(g.kvp);
	vss_guest_free(g.vss);
	kvpd_free(g.kvpd);
	host_run_free(g.run);
	host_free(g.host);
	loop_free(g.loop);
	host_scenario_free(s);
	nftw(g.dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	return g.passed;
}

int main(int argc, char **argv)
{
	bool seeded = argc > 2 && !strcmp(argv[1], "--seed");
	uint64_t seed = seeded ? strtoull(argv[2], NULL, 0) : 0;
	bool all = argc > 1;

	for (int i = seeded ? 3 : 1; i < argc; i++)
		all = run_file(argv[i], seed) && all;
	return all ? 0 : 1;
}
