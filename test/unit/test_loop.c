/* test/unit/test_loop.c - timers on both clocks, descriptors, freeing inside
 * callbacks. */
#include "base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

struct note {
	char order[16];
	unsigned n;
	struct loop_timer a, b, c;
	struct loop_io *io;
	struct loop *l;
};

static void fire_a(void *arg)
{
	struct note *n = arg;

	n->order[n->n++] = 'a';
}

static void fire_b(void *arg)
{
	struct note *n = arg;

	n->order[n->n++] = 'b';
	if (n->n < 3)
		loop_timer_set(&n->b, 0);
}

static void fire_c(void *arg)
{
	struct note *n = arg;

	n->order[n->n++] = 'c';
	loop_timer_cancel(&n->a);
}

static struct note setup(enum loop_clock clock)
{
	struct note n = { .l = loop_new(clock) };

	assert_non_null(n.l);
	return n;
}

static void init_timers(struct note *n)
{
	loop_timer_init(&n->a, n->l, fire_a, n);
	loop_timer_init(&n->b, n->l, fire_b, n);
	loop_timer_init(&n->c, n->l, fire_c, n);
}

static void virtual_timers_fire_in_order_and_only_when_moved(void **state)
{
	struct note n = setup(LOOP_VIRTUAL);

	(void)state;
	init_timers(&n);
	loop_timer_set(&n.a, 20);
	loop_timer_set(&n.c, 30);
	loop_timer_set(&n.b, 10);
	loop_once(n.l, false);
	assert_int_equal(n.n, 0);
	loop_advance(n.l, 9);
	assert_int_equal(n.n, 0);
	loop_advance(n.l, 21);
	assert_string_equal(n.order, "bbbac");
	assert_int_equal(loop_now_ms(n.l), 30);
	loop_free(n.l);
}

static void a_callback_may_cancel_a_timer_due_at_the_same_moment(void **state)
{
	struct note n = setup(LOOP_VIRTUAL);

	(void)state;
	init_timers(&n);
	loop_timer_set(&n.c, 5);
	loop_timer_set(&n.a, 5);
	loop_advance(n.l, 5);
	assert_string_equal(n.order, "c");
	loop_free(n.l);
}

static void moving_a_set_timer_leaves_one(void **state)
{
	struct note n = setup(LOOP_VIRTUAL);

	(void)state;
	init_timers(&n);
	loop_timer_set(&n.a, 5);
	loop_timer_set(&n.a, 50);
	loop_advance(n.l, 49);
	assert_int_equal(n.n, 0);
	loop_advance(n.l, 100);
	assert_string_equal(n.order, "a");
	loop_free(n.l);
}

static void a_real_timer_wakes_the_loop(void **state)
{
	struct note n = setup(LOOP_REAL);

	(void)state;
	init_timers(&n);
	loop_timer_set(&n.a, 1);
	while (!n.n)
		assert_true(loop_once(n.l, true) >= 0);
	assert_string_equal(n.order, "a");
	loop_free(n.l);
}

static void free_own_io(void *arg, unsigned events)
{
	struct note *n = arg;

	assert_int_equal(events, LOOP_READ);
	n->order[n->n++] = 'r';
	loop_io_free(n->io);
}

static void an_io_may_free_itself(void **state)
{
	struct note n = setup(LOOP_REAL);
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	n.io = loop_io_new(n.l, fd[0], LOOP_READ, free_own_io, &n);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_once(n.l, true), 1);
	assert_int_equal(loop_once(n.l, false), 0);
	assert_string_equal(n.order, "r");
	close(fd[0]);
	close(fd[1]);
	loop_free(n.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(virtual_timers_fire_in_order_and_only_when_moved),
		cmocka_unit_test(a_callback_may_cancel_a_timer_due_at_the_same_moment),
		cmocka_unit_test(moving_a_set_timer_leaves_one),
		cmocka_unit_test(a_real_timer_wakes_the_loop),
		cmocka_unit_test(an_io_may_free_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
