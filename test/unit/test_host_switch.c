/* test/unit/test_host_switch.c - who gets which frame, through which leg. */
#include "host/host_switch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { OUT, A, B, N_PORTS, LEN = 60 };

struct end {
	struct rig *g;
	char name[8];			/* "a", "a'" is the VF of a */
	struct host_port *port;
	enum nvs_path leg;
};

struct rig {
	struct loop *l;
	struct host_switch *s;
	struct end ends[N_PORTS][2];
	char got[128];
	unsigned flushes;
};

static const uint8_t macs[N_PORTS][6] = {
	{ 2, 0, 0, 0, 0, 0x99 }, { 2, 0, 0, 0, 0, 0x0a }, { 2, 0, 0, 0, 0, 0x0b },
};
static const uint8_t all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t group[6] = { 1, 0, 0x5e, 0, 0, 1 };
static const uint8_t elsewhere[6] = { 2, 0, 0, 0, 0, 0x55 };

static void on_frame(void *arg, const struct host_frame *f)
{
	struct end *e = arg;

	(void)f;
	strcat(e->g->got, e->name);
	strcat(e->g->got, " ");
}

static void on_flush(void *arg)
{
	((struct end *)arg)->g->flushes++;
}

static const struct host_leg_ops ops = { on_frame, on_flush };

static void leg(struct rig *g, unsigned port, enum nvs_path path, bool there)
{
	struct end *e = &g->ends[port][path];

	host_port_leg(e->port, path, there ? &ops : NULL, e);
}

static struct rig *start(const struct host_port_cfg *like)
{
	static const char *const names[] = { "out", "a", "b" };
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->l = loop_new(LOOP_VIRTUAL);
	g->s = host_switch_new(g->l);
	for (unsigned i = N_PORTS; i-- > 0; ) {
		struct host_port_cfg cfg = *like;

		cfg.name = names[i];
		cfg.nic = i != OUT;
		memcpy(cfg.mac, macs[i], 6);
		for (unsigned k = 0; k < 2; k++) {
			g->ends[i][k].g = g;
			snprintf(g->ends[i][k].name, 8, "%s%s", names[i],
				 k ? "'" : "");
		}
		g->ends[i][0].port = g->ends[i][1].port =
			host_port_new(g->s, &cfg);
		leg(g, i, NVS_PATH_SYNTHETIC, true);
	}
	return g;
}

static void stop(struct rig *g)
{
	host_switch_free(g->s);
	loop_free(g->l);
	free(g);
}

static const char *from_leg(struct rig *g, unsigned port, enum nvs_path path,
			    const uint8_t *to, const uint8_t *from)
{
	uint8_t data[LEN] = { 0 };

	memcpy(data, to, 6);
	memcpy(data + 6, from, 6);
	g->got[0] = '\0';
	host_port_input(g->ends[port][0].port, path,
			&(struct host_frame){ .data = data, .len = LEN });
	return g->got;
}

static const char *send(struct rig *g, unsigned port, const uint8_t *to)
{
	return from_leg(g, port, NVS_PATH_SYNTHETIC, to, macs[port]);
}

static const struct host_port_stats *stats(struct rig *g, unsigned port)
{
	return host_port_stats_get(g->ends[port][0].port);
}

static void nics_are_known_and_others_learnt(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	assert_string_equal(send(g, A, macs[B]), "b ");
	assert_string_equal(send(g, OUT, macs[A]), "a ");
	assert_string_equal(send(g, A, macs[OUT]), "out ");
	assert_int_equal(stats(g, A)->flooded, 0);
	assert_string_equal(send(g, A, elsewhere), "out ");
	assert_int_equal(stats(g, A)->flooded, 1);
	from_leg(g, OUT, NVS_PATH_SYNTHETIC, all, elsewhere);
	assert_string_equal(send(g, A, elsewhere), "out ");
	assert_int_equal(stats(g, A)->flooded, 1);
	assert_string_equal(send(g, OUT, elsewhere), "");
	stop(g);
}

static void groups_go_to_everybody_else(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	assert_string_equal(send(g, A, all), "out b ");
	assert_string_equal(send(g, OUT, group), "a b ");
	assert_string_equal(send(g, A, macs[A]), "");
	stop(g);
}

static void what_is_silent_is_forgotten(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	send(g, OUT, all);
	loop_advance(g->l, 300 * 1000);
	send(g, A, macs[OUT]);
	assert_int_equal(stats(g, A)->flooded, 0);
	loop_advance(g->l, 1);
	send(g, A, macs[OUT]);
	assert_int_equal(stats(g, A)->flooded, 1);
	stop(g);
}

static void nobody_takes_the_address_of_a_nic(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	assert_string_equal(from_leg(g, OUT, 0, macs[B], macs[A]), "");
	assert_string_equal(from_leg(g, B, 0, all, macs[A]), "");
	assert_string_equal(from_leg(g, B, 0, all, elsewhere), "");
	assert_string_equal(from_leg(g, OUT, 0, all, group), "");
	assert_int_equal(stats(g, B)->refused, 2);
	assert_int_equal(stats(g, OUT)->refused, 2);
	assert_string_equal(send(g, OUT, macs[A]), "a ");
	stop(g);
	g = start(&(struct host_port_cfg){ .other_macs = true });
	assert_string_equal(from_leg(g, B, 0, all, elsewhere), "out a ");
	assert_string_equal(send(g, A, elsewhere), "b ");
	assert_string_equal(from_leg(g, B, 0, all, macs[A]), "");
	stop(g);
}

static void one_leg_carries_it_all(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	leg(g, A, NVS_PATH_VF, true);
	assert_string_equal(send(g, OUT, macs[A]), "a ");
	host_port_steer(g->ends[A][0].port, NVS_PATH_VF);
	assert_string_equal(send(g, OUT, macs[A]), "a' ");
	assert_string_equal(send(g, OUT, all), "a' b ");
	/* Either leg may send; nothing comes back through the other. */
	assert_string_equal(from_leg(g, A, NVS_PATH_VF, all, macs[A]),
			    "out b ");
	assert_string_equal(from_leg(g, A, NVS_PATH_SYNTHETIC, macs[B],
				     macs[A]), "b ");
	assert_int_equal(stats(g, A)->out[NVS_PATH_VF], 2);
	host_port_steer(g->ends[A][0].port, NVS_PATH_SYNTHETIC);
	assert_string_equal(send(g, OUT, macs[A]), "a ");
	stop(g);
}

static void a_nic_leaves_some_to_the_synthetic_leg(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){
		.groups_synthetic = true, .first_synthetic = true });
	uint8_t syn[54] = { 0 };

	(void)state;
	leg(g, A, NVS_PATH_VF, true);
	host_port_steer(g->ends[A][0].port, NVS_PATH_VF);
	assert_string_equal(send(g, OUT, all), "a b ");
	assert_string_equal(send(g, OUT, group), "a b ");
	assert_string_equal(send(g, OUT, macs[A]), "a' ");
	memcpy(syn, macs[A], 6);
	memcpy(syn + 6, macs[OUT], 6);
	memcpy(syn + 12, "\x08\0\x45\0\0\x28\0\0\0\0\x40\x06", 12);
	syn[46] = 0x50;
	syn[47] = 2;
	g->got[0] = '\0';
	host_port_input(g->ends[OUT][0].port, 0,
			&(struct host_frame){ .data = syn, .len = 54 });
	assert_string_equal(g->got, "a ");
	syn[47] = 0x10;
	g->got[0] = '\0';
	host_port_input(g->ends[OUT][0].port, 0,
			&(struct host_frame){ .data = syn, .len = 54 });
	assert_string_equal(g->got, "a' ");
	stop(g);
}

static void a_leg_that_is_not_there_loses(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	host_port_steer(g->ends[A][0].port, NVS_PATH_VF);
	assert_string_equal(send(g, OUT, macs[A]), "");
	assert_int_equal(stats(g, A)->lost, 1);
	stop(g);
}

static void flushes_each_leg_that_got_something_once(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	send(g, A, macs[B]);
	send(g, A, all);
	host_port_input_end(g->ends[A][0].port);
	assert_int_equal(g->flushes, 2);	/* b and out */
	host_port_input_end(g->ends[A][0].port);
	assert_int_equal(g->flushes, 2);
	send(g, A, all);
	leg(g, OUT, NVS_PATH_SYNTHETIC, false);
	host_port_input_end(g->ends[A][0].port);
	assert_int_equal(g->flushes, 3);
	stop(g);
}

static void a_port_that_goes_is_forgotten(void **state)
{
	struct rig *g = start(&(struct host_port_cfg){ 0 });

	(void)state;
	from_leg(g, OUT, 0, all, elsewhere);
	host_port_free(g->ends[OUT][0].port);
	assert_string_equal(send(g, A, elsewhere), "");
	assert_string_equal(send(g, A, all), "b ");
	stop(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nics_are_known_and_others_learnt),
		cmocka_unit_test(groups_go_to_everybody_else),
		cmocka_unit_test(what_is_silent_is_forgotten),
		cmocka_unit_test(nobody_takes_the_address_of_a_nic),
		cmocka_unit_test(one_leg_carries_it_all),
		cmocka_unit_test(a_nic_leaves_some_to_the_synthetic_leg),
		cmocka_unit_test(a_leg_that_is_not_there_loses),
		cmocka_unit_test(flushes_each_leg_that_got_something_once),
		cmocka_unit_test(a_port_that_goes_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
