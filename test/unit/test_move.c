/* test_move.c - what is moved, in which order, and what a failure leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lagg/move.h"

enum { HN = 3, LAGG = 7, OTHER = 9, MAIN = 254, MAX_ITEMS = 16 };

static struct move_item items[MAX_ITEMS];
static struct move_snap snap;
static struct move_plan plan;
static char mine[] = "x";	/* the system's bytes, which nobody looks at */

static int begin(void **state)
{
	(void)state;
	memset(items, 0, sizeof(items));
	snap = (struct move_snap){
		.from = { HN, true, 1500 }, .to = { LAGG, true, 1500 },
		.items = items,
	};
	plan = (struct move_plan){ 0 };
	return 0;
}

static int end(void **state)
{
	(void)state;
	move_plan_free(&plan);
	return 0;
}

static struct move_item *put(enum move_kind kind, unsigned index)
{
	struct move_item *i = &items[snap.n++];

	*i = (struct move_item){ .kind = kind, .index = index, .family = 4,
				 .os = index == HN ? mine : NULL };
	return i;
}

/* 10.0.<net>.<host>/24 */
static struct move_item *put_addr(uint8_t net, uint8_t host)
{
	const uint8_t bytes[4] = { 10, 0, net, host };
	struct move_item *i = put(MOVE_ADDR, HN);

	memcpy(i->addr, bytes, 4);
	memcpy(i->net, bytes, 4);
	i->prefix = 24;
	return i;
}

static struct move_item *put_connected(unsigned index, uint8_t net)
{
	const uint8_t bytes[4] = { 10, 0, net, 0 };
	struct move_item *i = put(MOVE_ROUTE, index);

	memcpy(i->addr, bytes, 4);
	i->prefix = 24;
	i->table = MAIN;
	i->connected = true;
	return i;
}

static struct move_item *put_default(unsigned index, uint32_t metric)
{
	struct move_item *i = put(MOVE_ROUTE, index);

	i->table = MAIN;
	i->metric = metric;
	i->gateway = true;
	return i;
}

/* The plan's operations as a word, one letter each. */
static const char *word(enum move_way way)
{
	static const char letters[MOVE_N_OPS + 1] = "MUlnarjwRdAs";
	static char out[64];

	assert_int_equal(move_plan(&plan, &snap, way), 0);
	assert_true(plan.n < sizeof(out));
	for (size_t i = 0; i < plan.n; i++)
		out[i] = letters[plan.steps[i].op];
	out[plan.n] = '\0';
	return out;
}

static const struct move_step *step_of(enum move_op op,
				       const struct move_item *item)
{
	for (size_t i = 0; i < plan.n; i++)
		if (plan.steps[i].op == op && plan.steps[i].item == item)
			return &plan.steps[i];
	return NULL;
}

static void makes_before_it_breaks(void **state)
{
	(void)state;
	put_default(HN, 0);		/* told first, done last */
	put_addr(0, 1);
	put_connected(HN, 0);
	put(MOVE_NEIGH, HN);
	put(MOVE_GROUP, HN);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "lnarrjwRddAs");
	assert_ptr_equal(plan.steps[3].item, &items[2]);
	assert_ptr_equal(plan.steps[4].item, &items[0]);
	assert_true(step_of(MOVE_OP_ADDR, &items[1])->no_route);
	assert_true(step_of(MOVE_OP_ROUTE, &items[0])->replace);
}

static void has_nothing_to_do_with_nothing(void **state)
{
	(void)state;
	put_connected(OTHER, 0);
	put_default(OTHER, 0);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "");
}

static void makes_the_links_alike_first(void **state)
{
	(void)state;
	snap.to = (struct move_link){ LAGG, false, 9000 };
	put_addr(0, 1);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "MUlawRAs");
}

static void leaves_a_link_down_that_was_down(void **state)
{
	(void)state;
	snap.from.up = snap.to.up = false;
	put_addr(0, 1);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "lawRAs");
}

static void secondaries_come_last_and_go_first(void **state)
{
	const struct move_item *second, *first, *other;

	(void)state;
	put_addr(0, 2)->secondary = true;
	put_addr(0, 1);
	put_addr(1, 1);
	second = &items[0];
	first = &items[1];
	other = &items[2];
	assert_string_equal(word(MOVE_TO_AGGREGATE), "laaawRAAAs");
	assert_ptr_equal(plan.steps[1].item, first);
	assert_ptr_equal(plan.steps[2].item, other);
	assert_ptr_equal(plan.steps[3].item, second);
	assert_ptr_equal(plan.steps[6].item, second);
	assert_ptr_equal(plan.steps[7].item, other);
	assert_ptr_equal(plan.steps[8].item, first);
}

static void does_not_replace_what_may_be_anothers(void **state)
{
	(void)state;
	put_connected(HN, 0);
	put_connected(OTHER, 0);
	word(MOVE_TO_AGGREGATE);
	assert_false(step_of(MOVE_OP_ROUTE, &items[0])->replace);
	assert_null(step_of(MOVE_OP_ROUTE, &items[1]));
	assert_null(step_of(MOVE_OP_ROUTE_DEL, &items[1]));
}

static void another_metric_or_table_is_another_place(void **state)
{
	(void)state;
	put_default(HN, 0);
	put_default(OTHER, 100);
	put_default(OTHER, 0)->table = 77;
	put_default(OTHER, 0)->tos = 8;
	put_default(OTHER, 0)->family = 6;
	word(MOVE_TO_AGGREGATE);
	assert_true(step_of(MOVE_OP_ROUTE, &items[0])->replace);
}

static void never_deletes_a_route_with_others_next_hops(void **state)
{
	struct move_item *r;

	(void)state;
	r = put_default(0, 0);
	r->os = mine;
	put_default(OTHER, 0);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "lrRs");
	assert_true(step_of(MOVE_OP_ROUTE, r)->replace);
}

/* Which of the two a person had is known from the route that is there. */
static void an_address_without_its_route_stays_without(void **state)
{
	(void)state;
	put_addr(0, 1);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "lawRAs");
	assert_false(plan.steps[1].no_route);
	move_plan_free(&plan);
	items[0].no_route = true;
	word(MOVE_TO_AGGREGATE);
	assert_true(plan.steps[1].no_route);
	move_plan_free(&plan);
	word(MOVE_BACK);
	assert_true(plan.steps[1].no_route);
}

static void connected_routes_make_themselves_on_the_way_back(void **state)
{
	(void)state;
	put_addr(0, 1)->no_route = true;
	put_connected(HN, 0);
	put_connected(HN, 5);		/* of no address: carried */
	put_default(HN, 0);
	put(MOVE_GROUP, HN);
	assert_string_equal(word(MOVE_BACK), "larrwRdddAs");
	assert_false(step_of(MOVE_OP_ADDR, &items[0])->no_route);
	assert_null(step_of(MOVE_OP_ROUTE, &items[1]));
	assert_non_null(step_of(MOVE_OP_ROUTE_DEL, &items[1]));
	assert_non_null(step_of(MOVE_OP_ROUTE, &items[2]));
}

static void prefixes_are_compared_by_bits(void **state)
{
	struct move_item *a, *r;

	(void)state;
	a = put_addr(0, 0x81);
	a->prefix = 25;
	r = put_connected(HN, 0);
	r->prefix = 25;
	word(MOVE_TO_AGGREGATE);
	assert_false(step_of(MOVE_OP_ADDR, a)->no_route);
	move_plan_free(&plan);
	r->addr[3] = 0x80;
	word(MOVE_TO_AGGREGATE);
	assert_true(step_of(MOVE_OP_ADDR, a)->no_route);
}

/* Running ---------------------------------------------------------------- */

static struct fake {
	size_t fail_at, n;
	int already;		/* the step that changes nothing */
	char log[64];
} fake;

static int fake_apply(void *arg, const struct move_step *step)
{
	struct fake *f = arg;
	size_t at = (size_t)(step - plan.steps);

	if (at == f->fail_at)
		return -EPERM;
	f->log[f->n++] = (char)('a' + at);
	return (int)at == f->already ? 0 : 1;
}

static void fake_undo(void *arg, const struct move_step *step)
{
	struct fake *f = arg;

	f->log[f->n++] = (char)('A' + (step - plan.steps));
}

static const struct move_ops fakes = { fake_apply, fake_undo };

static void runs_in_order(void **state)
{
	size_t failed;

	(void)state;
	put_addr(0, 1);
	word(MOVE_TO_AGGREGATE);
	fake = (struct fake){ .fail_at = 99, .already = -1 };
	assert_int_equal(move_run(&plan, &fakes, &fake, &failed), 0);
	assert_int_equal(failed, plan.n);
	assert_string_equal(fake.log, "abcdef");
}

static void undoes_backwards_what_was_done_wherever_it_fails(void **state)
{
	static const char *const logs[] = {
		"", "aA", "abBA", "abcCBA", "abcdDCBA", "abcdeEDCBA",
	};

	(void)state;
	put_addr(0, 1);
	word(MOVE_TO_AGGREGATE);
	assert_int_equal(plan.n, 6);
	for (size_t i = 0; i < 6; i++) {
		size_t failed;

		fake = (struct fake){ .fail_at = i, .already = -1 };
		assert_int_equal(move_run(&plan, &fakes, &fake, &failed),
				 -EPERM);
		assert_int_equal(failed, i);
		assert_string_equal(fake.log, logs[i]);
	}
}

/* A gateway needs the route that leads to it, on the way back as well. */
static void undoes_routes_in_their_own_order(void **state)
{
	size_t failed;

	(void)state;
	put_default(HN, 0);
	put_connected(HN, 0);
	put_addr(0, 1);
	assert_string_equal(word(MOVE_TO_AGGREGATE), "larrwRddAs");
	fake = (struct fake){ .fail_at = 8, .already = -1 };
	assert_int_equal(move_run(&plan, &fakes, &fake, &failed), -EPERM);
	assert_string_equal(fake.log, "abcdefghHGFECDBA");
	/* and gateways are deleted first, so that they come back last */
	assert_ptr_equal(plan.steps[6].item, &items[0]);
	assert_ptr_equal(plan.steps[7].item, &items[1]);
}

static void does_not_undo_what_was_so_before(void **state)
{
	size_t failed;

	(void)state;
	put_addr(0, 1);
	word(MOVE_TO_AGGREGATE);
	fake = (struct fake){ .fail_at = 3, .already = 1 };
	assert_int_equal(move_run(&plan, &fakes, &fake, &failed), -EPERM);
	assert_string_equal(fake.log, "abcCA");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		T(makes_before_it_breaks),
		T(has_nothing_to_do_with_nothing),
		T(makes_the_links_alike_first),
		T(leaves_a_link_down_that_was_down),
		T(secondaries_come_last_and_go_first),
		T(does_not_replace_what_may_be_anothers),
		T(another_metric_or_table_is_another_place),
		T(never_deletes_a_route_with_others_next_hops),
		T(an_address_without_its_route_stays_without),
		T(connected_routes_make_themselves_on_the_way_back),
		T(prefixes_are_compared_by_bits),
		T(runs_in_order),
		T(undoes_backwards_what_was_done_wherever_it_fails),
		T(undoes_routes_in_their_own_order),
		T(does_not_undo_what_was_so_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
