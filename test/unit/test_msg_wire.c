/* test/unit/test_msg_wire.c - control messages against bytes laid out by hand
 * from the structures of Linux include/linux/hyperv.h. */
#include "vmbus/msg_wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* struct vmbus_channel_offer_channel, 196 bytes. */
static const uint8_t offer[196] = {
	0x01, 0, 0, 0, 0, 0, 0, 0,
	/* 8: if_type, the KVP class */
	0xe7, 0xf4, 0xa0, 0xa9, 0x45, 0x5a, 0x96, 0x4d,
	0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6,
	/* 24: if_instance */
	0x19, 0xf9, 0x2f, 0x24, 0xdb, 0x07, 0x80, 0x41,
	0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55,
	/* 40: reserved1, reserved2 */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* 56: chn_flags, mmio_megabytes */
	0x11, 0x00, 0x02, 0x00,
	/* 60: pipe_mode, then 116 bytes of user data */
	0x04, 0x00, 0x00, 0x00,
	[180] = 0x03, 0x00, 0, 0,	/* sub_channel_index, reserved3 */
	[184] = 0x15, 0x00, 0x00, 0x00,	/* child_relid */
	[188] = 0, 0, 0x01, 0x00,	/* monitorid, flag, dedicated */
	[192] = 0x05, 0x10, 0x01, 0x00,	/* connection_id */
};

/* struct vmbus_channel_open_channel, 148 bytes. */
static const uint8_t open_channel[148] = {
	0x05, 0, 0, 0, 0, 0, 0, 0,
	0x15, 0, 0, 0,			/* child_relid */
	0x02, 0x01, 0, 0,		/* openid */
	0x07, 0, 0, 0x80,		/* ringbuffer_gpadlhandle */
	0x03, 0, 0, 0,			/* target_vp */
	0x40, 0, 0, 0,			/* downstream page offset */
	0xaa,				/* 28: userdata */
	[147] = 0xbb,
};

/* struct vmbus_channel_gpadl_header with three page numbers. */
static const uint8_t gpadl_header[52] = {
	0x08, 0, 0, 0, 0, 0, 0, 0,
	0x15, 0, 0, 0,			/* child_relid */
	0x07, 0, 0, 0x80,		/* gpadl */
	0x20, 0x00, 0x01, 0x00,		/* range_buflen 32, rangecount */
	0x00, 0x30, 0x00, 0x00,		/* byte_count */
	0x00, 0x00, 0x00, 0x00,		/* byte_offset */
	0x01, 0, 0, 0, 0, 0, 0, 0,
	0x02, 0, 0, 0, 0, 0, 0, 0,
	0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x08,
};

/* struct vmbus_channel_gpadl_body with one page number. */
static const uint8_t gpadl_body[24] = {
	0x09, 0, 0, 0, 0, 0, 0, 0,
	0x01, 0, 0, 0,			/* msgnumber */
	0x07, 0, 0, 0x80,		/* gpadl */
	0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0,
};

/* struct vmbus_channel_initiate_contact, 40 bytes. */
static const uint8_t contact[40] = {
	0x0e, 0, 0, 0, 0, 0, 0, 0,
	0x03, 0, 0x05, 0,		/* 5.3 */
	0x01, 0, 0, 0,			/* target_vcpu */
	0x02, 0, 0, 0, 0, 0, 0, 0,	/* msg_sint */
	0x00, 0x10, 0, 0, 0, 0, 0, 0,	/* monitor_page1 */
	0x00, 0x20, 0, 0, 0, 0, 0, 0x80,
};

/* struct vmbus_channel_version_response, 16 bytes. */
static const uint8_t version[16] = {
	0x0f, 0, 0, 0, 0, 0, 0, 0,
	0x01, 0x02, 0, 0,		/* supported, connection_state */
	0x04, 0, 0, 0,			/* msg_conn_id */
};

#define SMALL(name, type, ...)						\
	static const uint8_t name[] = { type, 0, 0, 0, 0, 0, 0, 0,	\
					__VA_ARGS__ }

SMALL(rescind, 2, 0x15, 0, 0, 0);
static const uint8_t request_offers[8] = { 3 };
static const uint8_t delivered[8] = { 4 };
SMALL(open_result, 6, 0x15, 0, 0, 0, 0x02, 0x01, 0, 0, 0x01, 0, 0, 0xc0);
SMALL(close_channel, 7, 0x15, 0, 0, 0);
SMALL(created, 10, 0x15, 0, 0, 0, 0x07, 0, 0, 0x80, 0x0d, 0, 0, 0xc0);
SMALL(teardown, 11, 0x15, 0, 0, 0, 0x07, 0, 0, 0x80);
SMALL(torndown, 12, 0x07, 0, 0, 0x80);
SMALL(released, 13, 0x15, 0, 0, 0);
static const uint8_t unload[8] = { 16 };
static const uint8_t unloaded[8] = { 17 };
SMALL(modify, 22, 0x15, 0, 0, 0, 0x02, 0, 0, 0);
SMALL(modified, 24, 0x15, 0, 0, 0, 0x01, 0, 0, 0xc0);

#define GOLDEN(name) { name, sizeof(name), #name }

static const struct {
	const uint8_t *bytes;
	size_t len;
	const char *name;
} golden[] = {
	GOLDEN(offer), GOLDEN(rescind), GOLDEN(request_offers),
	GOLDEN(delivered), GOLDEN(open_channel), GOLDEN(open_result),
	GOLDEN(close_channel), GOLDEN(gpadl_header), GOLDEN(gpadl_body),
	GOLDEN(created), GOLDEN(teardown), GOLDEN(torndown), GOLDEN(released),
	GOLDEN(contact), GOLDEN(version), GOLDEN(unload), GOLDEN(unloaded),
	GOLDEN(modify), GOLDEN(modified),
};

enum { N_GOLDEN = sizeof(golden) / sizeof(golden[0]) };

static int get_exact(struct vmbus_msg *m, const uint8_t *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	int err;

	memcpy(copy, bytes, n);
	err = msg_get(m, copy, n);
	free(copy);
	return err;
}

static void every_message_reads_and_writes_back_to_its_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_GOLDEN; i++) {
		uint8_t *out = malloc(golden[i].len);
		struct wr w = wr_of(out, golden[i].len);
		struct vmbus_msg m;

		assert_int_equal(msg_get(&m, golden[i].bytes, golden[i].len),
				 0);
		msg_put(&w, &m);
		assert_false(w.bad);
		assert_int_equal(w.len, golden[i].len);
		assert_memory_equal(out, golden[i].bytes, golden[i].len);
		free(out);
	}
}

static void refuses_every_shorter_message(void **state)
{
	struct vmbus_msg m;

	(void)state;
	for (size_t i = 0; i < N_GOLDEN; i++) {
		/* A page list may be cut between page numbers. */
		bool list = golden[i].bytes[0] == 8 || golden[i].bytes[0] == 9;
		size_t head = golden[i].bytes[0] == 8 ? 28 : 16;

		for (size_t n = 0; n < golden[i].len; n++) {
			bool cut_ok = list && n >= head && (n - head) % 8 == 0;

			assert_int_equal(get_exact(&m, golden[i].bytes, n),
					 cut_ok ? 0 : -EBADMSG);
		}
	}
}

static void ignores_a_tail_but_not_one_over_the_limit(void **state)
{
	uint8_t buf[VMBUS_MSG_MAX + 1] = { 2 };
	struct vmbus_msg m;

	(void)state;
	assert_int_equal(get_exact(&m, buf, VMBUS_MSG_MAX), 0);
	assert_int_equal(get_exact(&m, buf, VMBUS_MSG_MAX + 1), -EBADMSG);
}

static void refuses_types_that_are_not_spoken(void **state)
{
	static const uint8_t types[] = { 0, 18, 19, 20, 21, 23, 25, 255 };
	uint8_t buf[VMBUS_MSG_MAX] = { 0 };
	struct vmbus_msg m;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		buf[0] = types[i];
		assert_int_equal(get_exact(&m, buf, sizeof(buf)), -EOPNOTSUPP);
		assert_string_equal(msg_name(types[i]), "unknown");
	}
	buf[0] = 2;
	buf[3] = 1;			/* the type has 32 bits */
	assert_int_equal(get_exact(&m, buf, sizeof(buf)), -EOPNOTSUPP);
}

static void reads_the_fields_of_an_offer(void **state)
{
	struct vmbus_msg m;

	(void)state;
	assert_int_equal(get_exact(&m, offer, sizeof(offer)), 0);
	assert_int_equal(m.type, VMBUS_MSG_OFFER);
	assert_true(guid_equal(&m.offer.class_id, &guid_class_kvp));
	assert_true(guid_equal(&m.offer.instance, &guid_instance_kvp));
	assert_int_equal(m.offer.flags, VMBUS_OFFER_NAMED_PIPE |
			 VMBUS_OFFER_ENUMERATE);
	assert_int_equal(m.offer.mmio_mb, 2);
	assert_int_equal(m.offer.pipe_mode, VMBUS_PIPE_MESSAGE);
	assert_int_equal(m.offer.sub_index, 3);
	assert_int_equal(m.relid, 0x15);
	assert_int_equal(m.offer.connection_id, 0x11005);
}

static void only_a_pipe_has_a_pipe_mode(void **state)
{
	uint8_t copy[sizeof(offer)];
	struct vmbus_msg m;

	(void)state;
	memcpy(copy, offer, sizeof(copy));
	copy[56] = 1;
	assert_int_equal(get_exact(&m, copy, sizeof(copy)), 0);
	assert_int_equal(m.offer.pipe_mode, 0);
}

static void reads_the_fields_of_an_open(void **state)
{
	struct vmbus_msg m;

	(void)state;
	assert_int_equal(get_exact(&m, open_channel, sizeof(open_channel)), 0);
	assert_int_equal(m.relid, 0x15);
	assert_int_equal(m.open.openid, 0x102);
	assert_int_equal(m.open.gpadl, 0x80000007);
	assert_int_equal(m.open.target_vp, 3);
	assert_int_equal(m.open.rx_page, 64);
	assert_int_equal(m.open.user[0], 0xaa);
	assert_int_equal(m.open.user[119], 0xbb);
}

static void reads_page_lists(void **state)
{
	struct vmbus_msg m;
	struct rd r;

	(void)state;
	assert_int_equal(msg_get(&m, gpadl_header, sizeof(gpadl_header)), 0);
	assert_int_equal(m.gpadl_header.gpadl, 0x80000007);
	assert_int_equal(m.gpadl_header.range_len, 32);
	assert_int_equal(m.gpadl_header.ranges, 1);
	assert_int_equal(m.gpadl_header.len, 12288);
	assert_int_equal(m.gpadl_header.offset, 0);
	assert_int_equal(m.gpadl_header.pfns.n, 3);
	r = rd_of(m.gpadl_header.pfns.le + 16, 8);
	assert_true(rd_le64(&r) == 0x0899aabbccddeeffull);

	assert_int_equal(msg_get(&m, gpadl_body, sizeof(gpadl_body)), 0);
	assert_int_equal(m.gpadl_body.seq, 1);
	assert_int_equal(m.gpadl_body.gpadl, 0x80000007);
	assert_int_equal(m.gpadl_body.pfns.n, 1);
}

static void the_longest_page_lists_fill_a_message(void **state)
{
	static uint8_t pfns[VMBUS_BODY_PFNS * 8];
	uint8_t out[VMBUS_MSG_MAX];
	struct vmbus_msg m = { .type = VMBUS_MSG_GPADL_HEADER };
	struct wr w = wr_of(out, sizeof(out));

	(void)state;
	m.gpadl_header.pfns = (struct vmbus_pfns){ pfns, VMBUS_HEADER_PFNS };
	msg_put(&w, &m);
	assert_false(w.bad);
	assert_true(VMBUS_MSG_MAX - w.len < 8);
	m = (struct vmbus_msg){ .type = VMBUS_MSG_GPADL_BODY };
	m.gpadl_body.pfns = (struct vmbus_pfns){ pfns, VMBUS_BODY_PFNS };
	w = wr_of(out, sizeof(out));
	msg_put(&w, &m);
	assert_false(w.bad);
	assert_int_equal(w.len, VMBUS_MSG_MAX);
}

static void reads_contact_and_version(void **state)
{
	struct vmbus_msg m;

	(void)state;
	assert_int_equal(get_exact(&m, contact, sizeof(contact)), 0);
	assert_int_equal(m.contact.version, VMBUS_VERSION(5, 3));
	assert_int_equal(m.contact.target_vcpu, 1);
	assert_int_equal(m.contact.interrupt_page, 2);
	assert_int_equal(m.contact.monitor_page[0], 0x1000);
	assert_true(m.contact.monitor_page[1] == 0x8000000000002000ull);
	assert_int_equal(get_exact(&m, version, sizeof(version)), 0);
	assert_true(m.version.supported);
	assert_int_equal(m.version.state, 2);
	assert_int_equal(m.version.connection_id, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_reads_and_writes_back_to_its_bytes),
		cmocka_unit_test(refuses_every_shorter_message),
		cmocka_unit_test(ignores_a_tail_but_not_one_over_the_limit),
		cmocka_unit_test(refuses_types_that_are_not_spoken),
		cmocka_unit_test(reads_the_fields_of_an_offer),
		cmocka_unit_test(only_a_pipe_has_a_pipe_mode),
		cmocka_unit_test(reads_the_fields_of_an_open),
		cmocka_unit_test(reads_page_lists),
		cmocka_unit_test(the_longest_page_lists_fill_a_message),
		cmocka_unit_test(reads_contact_and_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
