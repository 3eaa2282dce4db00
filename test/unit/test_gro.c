/* test/unit/test_gro.c - segments that were laid out by hand become the frame
 * that they were cut from, and nothing else becomes anything. */
#include "hn/gro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tcp_frames.h"

enum { MAX_OUT = 32, KEEP = 128 };

struct rig {
	struct gro *g;
	struct {
		struct vnet_hdr h;
		uint8_t frame[KEEP];
		size_t len;
		unsigned n;
	} out[MAX_OUT];
	unsigned n_out;
};

static void emit(void *arg, uint8_t *buf, size_t len, unsigned n)
{
	struct rig *r = arg;
	size_t keep;

	assert_true(r->n_out < MAX_OUT && len > OFFLOAD_VNET_HDR);
	len -= OFFLOAD_VNET_HDR;
	keep = len < KEEP ? len : KEEP;
	vnet_get(&r->out[r->n_out].h, buf);
	memcpy(r->out[r->n_out].frame, buf + OFFLOAD_VNET_HDR, keep);
	r->out[r->n_out].len = len;
	r->out[r->n_out++].n = n;
}

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->g = gro_new(emit, r);
	*state = r;
	return r->g ? 0 : -1;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	gro_free(r->g);
	free(r);
	return 0;
}

/* In exact-size memory of its own. */
static bool put(struct rig *r, const uint8_t *frame, size_t len, int tci)
{
	uint8_t *f = malloc(len ? len : 1);
	bool taken;

	memcpy(f, frame, len);
	taken = gro_take(r->g, f, len, tci);
	free(f);
	return taken;
}

static void fix_ip_sum(uint8_t *f)
{
	struct frame_layers y;

	assert_int_equal(frame_layers(&y, f, 56, FRAME_TYPE_AT), 0);
	frame_make_ip_sum(&y, f);
}

static void joins_what_was_cut(void **state)
{
	struct rig *r = *state;

	assert_true(put(r, first4, sizeof(first4), -1));
	assert_true(put(r, second4, sizeof(second4), -1));
	assert_int_equal(r->n_out, 0);
	assert_true(put(r, third4, sizeof(third4), -1));
	assert_int_equal(r->n_out, 1);		/* PSH: at once */
	assert_int_equal(r->out[0].n, 3);
	assert_int_equal(r->out[0].len, sizeof(whole4));
	assert_memory_equal(r->out[0].frame, whole4, sizeof(whole4));
	assert_int_equal(r->out[0].h.flags, VNET_F_NEEDS_CSUM);
	assert_int_equal(r->out[0].h.gso_type, VNET_GSO_TCPV4);
	assert_int_equal(r->out[0].h.gso_size, 2);
	assert_int_equal(r->out[0].h.csum_start, 34);
	gro_flush(r->g);
	assert_int_equal(r->n_out, 1);
}

static void joins_ipv6(void **state)
{
	struct rig *r = *state;

	assert_true(put(r, first6, sizeof(first6), -1));
	assert_true(put(r, second6, sizeof(second6), -1));
	assert_int_equal(r->n_out, 1);
	assert_memory_equal(r->out[0].frame, whole6, sizeof(whole6));
	assert_int_equal(r->out[0].h.gso_type, VNET_GSO_TCPV6);
}

/* Alone it is the same frame, and its sum is to be made. */
static void a_lone_segment_stays_what_it_is(void **state)
{
	struct rig *r = *state;

	assert_true(put(r, first4, sizeof(first4), -1));
	gro_flush(r->g);
	assert_int_equal(r->n_out, 1);
	assert_int_equal(r->out[0].n, 1);
	assert_int_equal(r->out[0].len, sizeof(first4));
	assert_memory_equal(r->out[0].frame, first4, sizeof(first4));
	assert_int_equal(r->out[0].h.gso_type, VNET_GSO_NONE);
	assert_int_equal(r->out[0].h.flags, VNET_F_NEEDS_CSUM);
}

static void the_tag_goes_back_in_front(void **state)
{
	struct rig *r = *state;

	put(r, first4, sizeof(first4), 7);
	put(r, second4, sizeof(second4), 7);
	put(r, third4, sizeof(third4), 8);	/* another VLAN: another one */
	gro_flush(r->g);
	assert_int_equal(r->n_out, 2);
	assert_memory_equal(r->out[1].frame + 12, "\x81\x00\x00\x07\x08\x00", 6);
	assert_int_equal(r->out[1].h.csum_start, 38);
	assert_int_equal(r->out[1].h.hdr_len, 58);
	assert_int_equal(r->out[1].n, 2);
	assert_int_equal(r->out[0].n, 1);	/* PSH */
}

/* A change at one offset of the second segment, and it is not joined. */
static void differing_segments_stay_apart(void **state)
{
	static const unsigned at[] = { 0, 6, AT_TOS, AT_TTL, AT_SEQ + 3, AT_ACK,
				       AT_WINDOW };
	struct rig *r = *state;

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint8_t other[sizeof(second4)];

		memcpy(other, second4, sizeof(other));
		other[at[i]] ^= 4;
		fix_ip_sum(other);
		r->n_out = 0;
		assert_true(put(r, first4, sizeof(first4), -1));
		assert_true(put(r, other, sizeof(other), -1));
		assert_int_equal(r->n_out, 1);	/* the first one, first */
		assert_memory_equal(r->out[0].frame, first4, sizeof(first4));
		gro_flush(r->g);
		assert_int_equal(r->n_out, 2);
	}
}

/* With DF the identification means nothing; without it must count. */
static void a_wrong_identification_matters_without_df(void **state)
{
	struct rig *r = *state;
	uint8_t a[sizeof(first4)], b[sizeof(second4)];

	memcpy(a, first4, sizeof(a));
	memcpy(b, second4, sizeof(b));
	b[AT_ID] = 3;
	fix_ip_sum(b);
	put(r, a, sizeof(a), -1);
	put(r, b, sizeof(b), -1);
	gro_flush(r->g);
	assert_int_equal(r->n_out, 1);
	a[AT_DF] = b[AT_DF] = 0;
	fix_ip_sum(a);
	fix_ip_sum(b);
	put(r, a, sizeof(a), -1);
	put(r, b, sizeof(b), -1);
	gro_flush(r->g);
	assert_int_equal(r->n_out, 3);
}

/* SYN, FIN, RST, URG, bare ACKs: what came before goes first. */
static void what_the_stack_must_see_is_not_taken(void **state)
{
	static const uint8_t flags[] = { 0x12, 0x11, 0x14, 0x30, 0x90, 0x50 };
	struct rig *r = *state;
	uint8_t f[sizeof(second4)];

	memcpy(f, second4, sizeof(f));
	for (unsigned i = 0; i < sizeof(flags); i++) {
		r->n_out = 0;
		f[AT_FLAGS] = flags[i];
		assert_true(put(r, first4, sizeof(first4), -1));
		assert_false(put(r, f, sizeof(f), -1));
		assert_int_equal(r->n_out, 1);
	}
	memcpy(f, second4, sizeof(f));
	f[17] = 40;				/* no data */
	fix_ip_sum(f);
	assert_true(put(r, first4, sizeof(first4), -1));
	assert_false(put(r, f, sizeof(f), -1));
	assert_int_equal(r->n_out, 2);
}

static void a_bad_ip_sum_is_not_made_good(void **state)
{
	struct rig *r = *state;
	uint8_t f[sizeof(first4)];

	memcpy(f, first4, sizeof(f));
	f[AT_IP_SUM] ^= 1;
	assert_false(put(r, f, sizeof(f), -1));
	assert_int_equal(r->n_out, 0);
}

static void a_longer_segment_begins_anew(void **state)
{
	struct rig *r = *state;
	uint8_t f[58];

	memcpy(f, second4, sizeof(second4));
	memcpy(f + sizeof(second4), "xx", 2);
	f[17] = 44;
	fix_ip_sum(f);
	put(r, first4, sizeof(first4), -1);
	assert_true(put(r, f, sizeof(f), -1));
	assert_int_equal(r->n_out, 1);
	gro_flush(r->g);
	assert_int_equal(r->out[1].len, sizeof(f));
}

static void many_connections_find_their_places(void **state)
{
	struct rig *r = *state;
	uint8_t f[sizeof(first4)];

	for (unsigned i = 0; i < 12; i++) {	/* more than there are places */
		memcpy(f, first4, sizeof(f));
		f[AT_PORT] = (uint8_t)i;
		assert_true(put(r, f, sizeof(f), -1));
	}
	assert_int_equal(r->n_out, 4);
	gro_flush(r->g);
	assert_int_equal(r->n_out, 12);
}

/* 1000 bytes each until the IP length would run over. */
static void a_frame_ends_before_its_length_runs_over(void **state)
{
	struct rig *r = *state;
	uint8_t f[AT_DATA + 1000] = { 0 };

	memcpy(f, first4, AT_DATA);
	frame_put_be16(f + 16, 1040);
	for (uint32_t i = 0; i < 70; i++) {
		frame_put_be32(f + AT_SEQ, i * 1000);
		frame_put_be16(f + AT_ID, (uint16_t)i);
		fix_ip_sum(f);
		assert_true(put(r, f, sizeof(f), -1));
	}
	gro_flush(r->g);
	assert_int_equal(r->n_out, 2);
	assert_int_equal(r->out[0].n, 65);
	assert_int_equal(r->out[0].len, AT_DATA + 65000);
	assert_int_equal(r->out[1].n, 5);
}

static void every_shorter_frame_is_left_alone(void **state)
{
	struct rig *r = *state;

	for (size_t n = 0; n <= AT_DATA; n++)
		assert_false(put(r, first4, n, -1));
	assert_int_equal(r->n_out, 0);
}

#define CLAIM(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(joins_what_was_cut),
		CLAIM(joins_ipv6),
		CLAIM(a_lone_segment_stays_what_it_is),
		CLAIM(the_tag_goes_back_in_front),
		CLAIM(differing_segments_stay_apart),
		CLAIM(a_wrong_identification_matters_without_df),
		CLAIM(what_the_stack_must_see_is_not_taken),
		CLAIM(a_bad_ip_sum_is_not_made_good),
		CLAIM(a_longer_segment_begins_anew),
		CLAIM(many_connections_find_their_places),
		CLAIM(a_frame_ends_before_its_length_runs_over),
		CLAIM(every_shorter_frame_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
