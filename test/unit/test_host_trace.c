/* test/unit/test_host_trace.c - traces written, read and printed, and the
 * masks with which a replay compares. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host_replay.h"
#include "host_fake.h"

static char path[] = "/tmp/test_host_trace.XXXXXX";

static int make_file(void **state)
{
	int fd;

	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void write_text(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void what_was_written_is_read_back(void **state)
{
	static const uint8_t bytes[] = { 1, 0, 0xfe, 0, 0 };
	struct packet p = { .type = 6, .flags = 1, .xact = 7, .data = bytes,
			    .len = sizeof(bytes) };
	struct loop *l = loop_new(LOOP_VIRTUAL);
	struct host_trace *t;
	struct host_trace_file f;
	char err[200];

	(void)state;
	loop_advance(l, 1000);
	t = host_trace_create(l, path, "odd");
	assert_non_null(t);
	host_trace_event(t, NULL, "guest");
	loop_advance(l, 12);
	host_trace_event(t, "kvp", "open");
	host_trace_packet(t, "kvp", true, &p);
	assert_int_equal(host_trace_close(t), 0);
	assert_int_equal(host_trace_read(&f, path, err, sizeof(err)), 0);
	assert_string_equal(f.profile, "odd");
	assert_int_equal(f.n, 3);
	assert_string_equal(f.lines[0].event, "guest");
	assert_string_equal(f.lines[0].ch, "");
	assert_int_equal(f.lines[1].t_ms, 12);
	assert_true(f.lines[2].to_guest);
	assert_int_equal(f.lines[2].number, 4);
	assert_int_equal(f.lines[2].flags, 1);
	assert_int_equal(f.lines[2].xact, 7);
	assert_int_equal(f.lines[2].len, sizeof(bytes));
	assert_memory_equal(f.lines[2].data, bytes, sizeof(bytes));
	host_trace_free(&f);
	loop_free(l);
}

#define FIRST "{\"trace\": \"hyperv-ic\", \"version\": 1}\n"

static void a_file_that_is_no_trace_is_named_with_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} bad[] = {
		{ "hello\n", 1 },
		{ "{\"trace\": \"hyperv-ic\", \"version\": 2}\n", 1 },
		{ FIRST "{}\n", 2 },
		{ FIRST "{\"t_ms\": 1, \"event\": \"open\"}\n{\"t_ms\": 1}\n",
		  3 },
		{ FIRST "{\"t_ms\": 1, \"dir\": \"h2g\", \"len\": 1, "
		  "\"hex\": \"0\"}\n", 2 },
		{ FIRST "{\"t_ms\": 1, \"dir\": \"h2g\", \"len\": 1, "
		  "\"hex\": \"0000\"}\n", 2 },
		{ FIRST "{\"t_ms\": 1, \"dir\": \"h2g\", \"len\": -1, "
		  "\"hex\": \"\"}\n", 2 },
		{ FIRST "{\"t_ms\": 1, \"dir\": \"h2g\", \"len\": 1, "
		  "\"hex\": \"zz\"}\n", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct host_trace_file f;
		char err[200], where[100];

		write_text(bad[i].text);
		assert_int_equal(host_trace_read(&f, path, err, sizeof(err)),
				 -EINVAL);
		snprintf(where, sizeof(where), "%s:%u:", path, bad[i].line);
		assert_memory_equal(err, where, strlen(where));
	}
}

/* A request and an answer of pool `pool`: {op, pool} and a record. */
struct pair {
	uint8_t asked[28 + 2580], was[28 + 2580], now[28 + 2580];
	struct host_trace_line request, then;
	struct packet packet;
};

static void record(uint8_t *m, uint8_t key, uint8_t value)
{
	uint8_t *body = m + 28;

	body[8] = 1;
	body[12] = body[16] = 4;
	body[20] = key;
	body[532] = value;
}

static void make_pair(struct pair *p, uint8_t pool)
{
	*p = (struct pair){ 0 };
	fake_head(p->asked, 2, 3, 5, 2580, 0, 1);
	p->asked[28] = 3;
	p->asked[29] = pool;
	fake_head(p->was, 2, 3, 5, 2580, 0, 1);
	fake_head(p->now, 2, 3, 5, 2580, 0, 1);
	record(p->was, 'k', 'v');
	record(p->now, 'k', 'v');
	p->request = (struct host_trace_line){ .data = p->asked,
					       .len = sizeof(p->asked) };
	p->then = (struct host_trace_line){ .type = 6, .data = p->was,
					    .len = sizeof(p->was) };
	p->packet = (struct packet){ .type = 6, .data = p->now,
				     .len = sizeof(p->now) };
}

static bool differs(struct pair *p)
{
	char text[240] = "";
	bool d = host_replay_differs(text, sizeof(text), &p->then,
				     &p->request, &p->packet);

	assert_true(d == (text[0] != '\0'));
	return d;
}

static void equal_answers_do_not_differ(void **state)
{
	struct pair p;

	(void)state;
	make_pair(&p, 0);
	assert_false(differs(&p));
	p.packet.len -= 8;		/* a guest that pads less */
	p.now[18] = 0x0c;		/* body 2572 */
	p.now[4] = 0x20;
	assert_false(differs(&p));
}

static void each_header_field_counts(void **state)
{
	static const size_t at[] = { 8, 12, 14, 20, 24 };
	struct pair p;

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		make_pair(&p, 0);
		p.now[at[i]] ^= 1;
		assert_true(differs(&p));
	}
	make_pair(&p, 0);
	p.now[25] = 1;
	assert_true(differs(&p));
	make_pair(&p, 0);
	p.packet.xact = 9;
	assert_true(differs(&p));
}

static void what_belongs_to_a_machine_is_masked(void **state)
{
	static const struct {
		uint8_t pool;
		bool key_counts, value_counts;
	} rules[] = {
		{ 0, true, true }, { 1, false, false }, { 2, true, false },
		{ 3, true, true },
	};
	struct pair p;

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		make_pair(&p, rules[i].pool);
		p.now[28 + 20] = 'K';
		assert_int_equal(differs(&p), rules[i].key_counts);
		make_pair(&p, rules[i].pool);
		p.now[28 + 532] = 'V';
		assert_int_equal(differs(&p), rules[i].value_counts);
	}
}

static void another_choice_differs(void **state)
{
	struct pair p;

	(void)state;
	make_pair(&p, 0);
	fake_head(p.was, 0, 0, 0, 16, 0, 0);
	fake_head(p.now, 0, 0, 0, 16, 0, 0);
	p.was[28] = p.was[30] = p.now[28] = p.now[30] = 1;
	p.was[40] = 5;
	p.now[40] = 5;
	assert_false(differs(&p));
	p.now[40] = 4;
	assert_true(differs(&p));
}

static void print(char *out, size_t cap, const struct host_trace_line *l,
		  const struct host_trace_line *request)
{
	FILE *f = fmemopen(out, cap, "w");

	assert_non_null(f);
	host_trace_print(f, l, request);
	fclose(f);
}

static void a_packet_prints_as_what_it_means(void **state)
{
	char out[300];
	struct pair p;

	(void)state;
	make_pair(&p, 1);
	p.request.to_guest = true;
	p.request.type = 6;
	print(out, sizeof(out), &p.request, NULL);
	assert_non_null(strstr(out, "->  ENUMERATE pool 1 index 0 [xact 1"));
	p.was[28 + 532] = 0x1b;		/* an escape would reach the terminal */
	print(out, sizeof(out), &p.then, &p.request);
	assert_non_null(strstr(out, "<-  ENUMERATE pool 1 index 0: ok \"k\" = "
			       "\"\\x1b\" (string)"));
	p.was[20] = 3;
	p.was[21] = 1;
	p.was[22] = 7;
	p.was[23] = 0x80;
	print(out, sizeof(out), &p.then, &p.request);
	assert_non_null(strstr(out, ": no-more-items ["));
	p.then.len = 5;
	print(out, sizeof(out), &p.then, &p.request);
	assert_non_null(strstr(out, "too short"));
}

/* A freeze with two LUNs, or a check whose answer has flags 5. */
static void make_vss_pair(struct pair *p, uint8_t op)
{
	size_t body = op == 5 ? 6260 : 12;

	*p = (struct pair){ 0 };
	body = body > sizeof(p->asked) - 28 ? sizeof(p->asked) - 28 : body;
	fake_head(p->asked, 5, 3, 7, body, 0, 1);
	fake_head(p->was, 5, 3, 7, 12, 0, 1);
	fake_head(p->now, 5, 3, 7, 12, 0, 1);
	p->asked[28] = p->was[28] = p->now[28] = op;
	p->was[36] = p->now[36] = 5;
	if (op == 5)
		p->asked[28 + 16] = 2;
	p->request = (struct host_trace_line){ .data = p->asked, .type = 6,
					       .len = 28 + body,
					       .to_guest = true };
	p->then = (struct host_trace_line){ .type = 6, .data = p->was,
					    .len = 40 };
	p->packet = (struct packet){ .type = 6, .data = p->now, .len = 40 };
}

static void backups_print_and_compare_too(void **state)
{
	char out[300];
	struct pair p;

	(void)state;
	make_vss_pair(&p, 2);
	print(out, sizeof(out), &p.request, NULL);
	assert_non_null(strstr(out, "->  check [xact 1"));
	print(out, sizeof(out), &p.then, &p.request);
	assert_non_null(strstr(out, "<-  check: ok flags 0x5 ["));
	assert_false(differs(&p));
	p.now[36] = 4;
	assert_true(differs(&p));
	make_vss_pair(&p, 5);
	print(out, sizeof(out), &p.request, NULL);
	assert_non_null(strstr(out, "->  freeze type 0 flags 0x0, 2 LUNs ["));
	p.asked[28 + 17] = 9;
	print(out, sizeof(out), &p.request, NULL);
	assert_non_null(strstr(out, "->  freeze (more LUNs than"));
	p.now[36] = 4;
	assert_false(differs(&p));	/* not freeze's to say */
	p.now[20] = 5;
	assert_true(differs(&p));
	make_vss_pair(&p, 77);
	print(out, sizeof(out), &p.request, NULL);
	assert_non_null(strstr(out, "->  operation 77 ["));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_read_back,
						make_file, remove_file),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_no_trace_is_named_with_its_line,
			make_file, remove_file),
		cmocka_unit_test(equal_answers_do_not_differ),
		cmocka_unit_test(each_header_field_counts),
		cmocka_unit_test(what_belongs_to_a_machine_is_masked),
		cmocka_unit_test(another_choice_differs),
		cmocka_unit_test(a_packet_prints_as_what_it_means),
		cmocka_unit_test(backups_print_and_compare_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
