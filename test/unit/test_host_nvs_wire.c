/* test/unit/test_host_nvs_wire.c - the host's reading and writing of NVSP,
 * against bytes laid out by hand from doc/wire/nvs.md. */
#include "host/host_nvs_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LE32(v)								      \
	(uint8_t)(v), (uint8_t)((v) >> 8), (uint8_t)((v) >> 16),	      \
	(uint8_t)((v) >> 24)

/* What guests send, without their padding, and how short they may be. */
static const uint8_t init[] = { LE32(1), LE32(0x60001), LE32(0x60000) };
static const uint8_t ndis_version[] = { LE32(100), LE32(6), LE32(30) };
static const uint8_t ndis_config[] = {
	LE32(125), LE32(1514), LE32(0x99999999),
	0x0c, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
};
static const uint8_t recv_buf[] = { LE32(101), LE32(0xe1e10), 0xfe, 0xca };
static const uint8_t send_buf[] = { LE32(104), LE32(0xe1e11), 0xce, 0xfa };
static const uint8_t revoke_recv[] = { LE32(103), 0xfe, 0xca };
static const uint8_t rndis[] = { LE32(107), LE32(1), LE32(3), LE32(200) };
static const uint8_t rndis_complete[] = { LE32(108), LE32(5) };
static const uint8_t data_path[] = { LE32(129), LE32(1) };
static const uint8_t oid[] = { LE32(131), LE32(0x77777777), LE32(0x10107) };
static const uint8_t subchannel[] = { LE32(133), LE32(1), LE32(7) };

static const struct {
	const uint8_t *bytes;
	size_t len;
} all[] = {
	{ init, sizeof(init) }, { ndis_version, sizeof(ndis_version) },
	{ ndis_config, sizeof(ndis_config) }, { recv_buf, sizeof(recv_buf) },
	{ send_buf, sizeof(send_buf) }, { revoke_recv, sizeof(revoke_recv) },
	{ rndis, sizeof(rndis) }, { rndis_complete, sizeof(rndis_complete) },
	{ data_path, sizeof(data_path) }, { oid, sizeof(oid) },
	{ subchannel, sizeof(subchannel) },
};

enum { N_ALL = sizeof(all) / sizeof(all[0]) };

static int get(struct host_nvs_msg *m, const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	const char *why = NULL;
	int err;

	assert_non_null(copy);
	if (n)
		memcpy(copy, bytes, n);
	err = host_nvs_get(m, copy, n, &why);
	assert_true((err == 0) == (why == NULL));
	free(copy);
	return err;
}

static void reads_what_guests_send(void **state)
{
	struct host_nvs_msg m;

	(void)state;
	assert_int_equal(get(&m, init, sizeof(init)), 0);
	assert_int_equal(m.init.least, NVS_V6_1);
	assert_int_equal(m.init.most, NVS_V6);
	assert_int_equal(get(&m, ndis_version, sizeof(ndis_version)), 0);
	assert_int_equal(m.ndis_version.major, 6);
	assert_int_equal(m.ndis_version.minor, 30);
	assert_int_equal(get(&m, ndis_config, sizeof(ndis_config)), 0);
	assert_int_equal(m.ndis_config.frame, 1514);
	assert_int_equal(m.ndis_config.caps, 0x10000000c);
	assert_int_equal(get(&m, recv_buf, sizeof(recv_buf)), 0);
	assert_int_equal(m.buf.gpadl, 0xe1e10);
	assert_int_equal(m.buf.id, 0xcafe);
	assert_int_equal(get(&m, revoke_recv, sizeof(revoke_recv)), 0);
	assert_int_equal(m.revoke.id, 0xcafe);
}

static void reads_what_a_ready_guest_sends(void **state)
{
	struct host_nvs_msg m;

	(void)state;
	assert_int_equal(get(&m, rndis, sizeof(rndis)), 0);
	assert_int_equal(m.rndis.channel, NVS_RNDIS_CONTROL);
	assert_int_equal(m.rndis.section, 3);
	assert_int_equal(m.rndis.used, 200);
	assert_int_equal(get(&m, rndis_complete, sizeof(rndis_complete)), 0);
	assert_int_equal(m.rndis_complete.status, 5);
	assert_int_equal(get(&m, data_path, sizeof(data_path)), 0);
	assert_int_equal(m.data_path.path, NVS_PATH_VF);
	assert_int_equal(get(&m, oid, sizeof(oid)), 0);
	assert_int_equal(m.oid_query.oid, 0x10107);
	assert_int_equal(get(&m, subchannel, sizeof(subchannel)), 0);
	assert_int_equal(m.subchannel.op, 1);
	assert_int_equal(m.subchannel.count, 7);
}

static void refuses_every_shorter_message(void **state)
{
	struct host_nvs_msg m;

	(void)state;
	for (unsigned i = 0; i < N_ALL; i++) {
		for (size_t n = 0; n < all[i].len; n++)
			assert_int_equal(get(&m, all[i].bytes, n), -EBADMSG);
	}
}

static void refuses_what_only_hosts_send(void **state)
{
	static const uint32_t types[] = { 0, 2, 102, 105, 128, 134, 0xffffffff };
	struct host_nvs_msg m;

	(void)state;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		uint8_t msg[40] = { LE32(types[i]) };

		assert_int_equal(get(&m, msg, sizeof(msg)), -EOPNOTSUPP);
	}
}

/* The message that `put` wrote is `want`, then zeros up to `size` bytes. */
static void assert_written(const struct wr *w, const uint8_t *out,
			   const uint8_t *want, size_t len, size_t size)
{
	assert_false(w->bad);
	assert_int_equal(w->len, size);
	assert_memory_equal(out, want, len);
	for (size_t i = len; i < size; i++)
		assert_int_equal(out[i], 0);
}

#define WRITES(size, put, ...) do {					      \
	static const uint8_t want[] = { __VA_ARGS__ };			      \
	uint8_t out[128];						      \
	struct wr w = wr_of(out, sizeof(out));				      \
									      \
	memset(out, 0xee, sizeof(out));					      \
	put;								      \
	assert_written(&w, out, want, sizeof(want), size);		      \
} while (0)

static void writes_the_answers_of_the_set_up(void **state)
{
	(void)state;
	WRITES(28, host_nvs_put_init(&w, NVS_S_OK),
	       LE32(2), LE32(0xffffffffu), LE32(34), LE32(1));
	WRITES(28, host_nvs_put_recv_buf(&w, 28, NVS_S_OK, 1806, 580),
	       LE32(102), LE32(1), LE32(1), LE32(0), LE32(1806), LE32(580),
	       LE32(1047480));
	WRITES(40, host_nvs_put_send_buf(&w, 40, NVS_S_FAIL, 6144),
	       LE32(105), LE32(2), LE32(6144));
	WRITES(40, host_nvs_put_subchannel(&w, 40, NVS_S_OK, 3),
	       LE32(133), LE32(1), LE32(3));
	WRITES(40, host_nvs_put_oid_query(&w, 40, NVS_S_FAIL),
	       LE32(132), LE32(2), LE32(0));
}

static void writes_what_it_says_when_it_is_ready(void **state)
{
	(void)state;
	WRITES(40, host_nvs_put_rndis(&w, 40, NVS_RNDIS_CONTROL),
	       LE32(107), LE32(1), LE32(0xffffffffu), LE32(0));
	WRITES(28, host_nvs_put_rndis_complete(&w, 28, NVS_S_BAD_RNDIS),
	       LE32(108), LE32(5));
	WRITES(40, host_nvs_put_vf(&w, 40, 1, 0x01020304),
	       LE32(128), LE32(1), 4, 3, 2, 1);
	WRITES(40, host_nvs_put_data_path(&w, 40, NVS_PATH_VF),
	       LE32(129), LE32(1));
	WRITES(76, host_nvs_put_indirection(&w, 12, (const uint32_t[]){
			0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 5 }),
	       LE32(134), LE32(16), LE32(12),
	       LE32(0), LE32(1), LE32(2), LE32(3), LE32(0), LE32(1), LE32(2),
	       LE32(3), LE32(0), LE32(1), LE32(2), LE32(3), LE32(0), LE32(1),
	       LE32(2), LE32(5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_guests_send),
		cmocka_unit_test(reads_what_a_ready_guest_sends),
		cmocka_unit_test(refuses_every_shorter_message),
		cmocka_unit_test(refuses_what_only_hosts_send),
		cmocka_unit_test(writes_the_answers_of_the_set_up),
		cmocka_unit_test(writes_what_it_says_when_it_is_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
