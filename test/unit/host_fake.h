/* test/unit/host_fake.h - a port that keeps what the host sends, and the few
 * lines of a guest that answers by hand. Headers are written byte by byte. */
#ifndef HOST_FAKE_H
#define HOST_FAKE_H

#include <assert.h>
#include <stdlib.h>

#include "host/host_ic.h"

enum { FAKE_SENT = 64 };

struct fake {
	struct loop *loop;
	struct host_ic *ic;
	unsigned n;			/* packets sent by the host */
	struct {
		size_t len;
		uint64_t xact;
		uint8_t bytes[20000];
	} *sent;
	int send_err;			/* instead of sending */
	unsigned ready, lost;
	char violation[160];
	unsigned violations;
};

static inline int fake_send(void *arg, const struct packet *p, bool quiet)
{
	struct fake *f = arg;

	(void)quiet;
	if (f->send_err)
		return f->send_err;
	assert(f->n < FAKE_SENT && p->len <= sizeof(f->sent->bytes));
	f->sent[f->n].len = p->len;
	f->sent[f->n].xact = p->xact;
	if (p->len)
		memcpy(f->sent[f->n].bytes, p->data, p->len);
	f->n++;
	return 0;
}

static inline void fake_violation(void *arg, const char *text)
{
	struct fake *f = arg;

	f->violations++;
	snprintf(f->violation, sizeof(f->violation), "%s", text);
}

static inline void fake_init(struct fake *f)
{
	*f = (struct fake){ .loop = loop_new(LOOP_VIRTUAL) };
	f->sent = calloc(FAKE_SENT, sizeof(*f->sent));
	assert(f->loop && f->sent);
}

static inline void fake_free(struct fake *f)
{
	host_ic_free(f->ic);
	loop_free(f->loop);
	free(f->sent);
}

static inline struct host_ic_cfg fake_cfg(bool strict, enum host_xact xact)
{
	return (struct host_ic_cfg){
		.name = "kvp", .type = 2,
		.framework = { 2, { 0x10000, 0x30000 } },
		.message = { 3, { 0x30000, 0x40000, 0x50000 } },
		.strict = strict, .xact = xact,
		.negotiate_ms = 60000, .answer_ms = 30000,
	};
}

static inline void fake_open(struct fake *f)
{
	host_ic_open(f->ic, &(struct host_ic_port){ fake_send, f });
}

/* Deliver n bytes as the payload of a packet, from an exact heap block. */
static inline void fake_deliver(struct fake *f, const uint8_t *msg, size_t n,
				uint64_t xact)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct packet p = { .type = PACKET_INBAND, .xact = xact,
			    .data = copy, .len = n };

	assert(copy);
	if (n)
		memcpy(copy, msg, n);
	host_ic_packet(f->ic, &p);
	free(copy);
}

/* 28 bytes of headers: type, versions as major bytes, body, status, xact. */
static inline void fake_head(uint8_t *m, uint8_t type, uint8_t framework,
			     uint8_t version, size_t body, uint32_t status,
			     uint8_t xact)
{
	memset(m, 0, 28);
	m[0] = 1;
	m[4] = (uint8_t)(body + 20);
	m[5] = (uint8_t)((body + 20) >> 8);
	m[8] = framework;
	m[12] = type;
	m[14] = version;
	m[18] = (uint8_t)body;
	m[19] = (uint8_t)(body >> 8);
	for (unsigned i = 0; i < 4; i++)
		m[20 + i] = (uint8_t)(status >> 8 * i);
	m[24] = xact;
	m[25] = 5;
}

static inline void fake_choose(struct fake *f, uint8_t framework,
			       uint8_t version)
{
	uint8_t m[44] = { 0 };

	fake_head(m, 0, 0, 0, 16, 0, 0);
	m[28] = m[30] = 1;
	m[36] = framework;
	m[40] = version;
	fake_deliver(f, m, sizeof(m), 0);
}

/* An answer of len bytes of body with this status. */
static inline void fake_answer(struct fake *f, uint8_t version,
			       const void *body, size_t len, uint32_t status,
			       uint8_t xact)
{
	uint8_t m[28 + 7428] = { 0 };

	fake_head(m, 2, 3, version, len, status, xact);
	if (len)
		memcpy(m + 28, body, len);
	fake_deliver(f, m, 28 + len, xact);
}

#endif
