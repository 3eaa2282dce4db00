/* host/host_frame.c - headers, sums (RFC 1071), TCP segmentation.
 *
 * The guest's hn/offload.c does related work the other way round; nothing is
 * shared, for the reason given in host_nvs_wire.h. */
#include "host/host_frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum {
	TYPE_TAG = 0x8100, TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86dd,
	IPV4_MIN = 20, IPV6_LEN = 40, TCP_MIN = 20, UDP_LEN = 8,
	TCP = 6, UDP = 17,
	TCP_FIN = 1, TCP_SYN = 2, TCP_PSH = 8, TCP_CWR = 0x80,
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void set16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void set32(uint8_t *p, uint32_t v)
{
	set16(p, v >> 16);
	set16(p + 2, v & 0xffff);
}

/* Sums ------------------------------------------------------------------- */

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* In the machine's byte order, eight at a time: the order of bytes comes out
 * right when the folded sum's two are swapped. */
static uint64_t add(uint64_t sum, const uint8_t *p, size_t len)
{
	uint64_t all = 0, v;

	for (; len >= sizeof(v); p += sizeof(v), len -= sizeof(v)) {
		memcpy(&v, p, sizeof(v));
		all += (v & 0xffffffff) + (v >> 32);
	}
	v = 0;
	memcpy(&v, p, len);		/* the rest, padded with zeros */
	all += (v & 0xffffffff) + (v >> 32);
	return sum + be16toh(fold(all));
}

/* Headers ---------------------------------------------------------------- */

/* A whole TCP or UDP packet in a frame. Offsets from the frame's start. */
struct layers {
	bool ipv6;
	uint8_t proto;
	size_t ip, l4, payload;
};

static bool find_l4(struct layers *y, const struct host_frame *f)
{
	size_t room = f->len - y->l4, len = UDP_LEN;

	if (y->proto == TCP) {
		if (room < TCP_MIN)
			return false;
		len = (size_t)(f->data[y->l4 + 12] >> 4) * 4;
		if (len < TCP_MIN)
			return false;
	} else if (y->proto != UDP) {
		return false;
	}
	y->payload = y->l4 + len;
	return len <= room;
}

static bool find_ipv4(struct layers *y, const struct host_frame *f)
{
	const uint8_t *ip = f->data + y->ip;
	size_t room = f->len - y->ip, len;

	if (room < IPV4_MIN || ip[0] >> 4 != 4)
		return false;
	len = (size_t)(ip[0] & 15) * 4;
	if (len < IPV4_MIN || len > room || get16(ip + 6) & 0x3fff)
		return false;
	y->proto = ip[9];
	y->l4 = y->ip + len;
	return true;
}

static bool find_ipv6(struct layers *y, const struct host_frame *f)
{
	const uint8_t *ip = f->data + y->ip;
	size_t room = f->len - y->ip, at = IPV6_LEN;

	if (room < IPV6_LEN || ip[0] >> 4 != 6)
		return false;
	y->proto = ip[6];
	while (y->proto == 0 || y->proto == 43 || y->proto == 60) {
		if (at + 8 > room)
			return false;
		y->proto = ip[at];
		at += ((size_t)ip[at + 1] + 1) * 8;
	}
	y->l4 = y->ip + at;
	return at <= room;
}

static bool find(struct layers *y, const struct host_frame *f)
{
	uint16_t type;

	*y = (struct layers){ .ip = HOST_FRAME_HDR };
	if (f->len < HOST_FRAME_HDR)
		return false;
	type = get16(f->data + 12);
	if (type == TYPE_TAG) {
		y->ip += HOST_FRAME_TAG;
		if (f->len < y->ip)
			return false;
		type = get16(f->data + 16);
	}
	y->ipv6 = type == TYPE_IPV6;
	if (type != TYPE_IPV4 && type != TYPE_IPV6)
		return false;
	return (y->ipv6 ? find_ipv6(y, f) : find_ipv4(y, f)) && find_l4(y, f);
}

/* The pseudo header's sum for len bytes of TCP or UDP. */
static uint16_t pseudo(const struct layers *y, const uint8_t *data, size_t len)
{
	uint64_t sum = y->ipv6 ? add(0, data + y->ip + 8, 32) :
				 add(0, data + y->ip + 12, 8);

	return fold(sum + y->proto + len);
}

static size_t sum_offset(const struct layers *y)
{
	return y->proto == TCP ? 16 : 6;
}

/* Length and, in IPv4, the header's sum. */
static void set_ip_length(const struct layers *y, uint8_t *data, size_t len)
{
	uint8_t *ip = data + y->ip;

	if (y->ipv6) {
		set16(ip + 4, len - y->ip - IPV6_LEN);
		return;
	}
	set16(ip + 2, len - y->ip);
	set16(ip + 10, 0);
	set16(ip + 10, (uint16_t)~fold(add(0, ip, y->l4 - y->ip)));
}

/* Tags ------------------------------------------------------------------- */

int host_frame_tci(const struct host_frame *f)
{
	if (f->len < HOST_FRAME_HDR + HOST_FRAME_TAG ||
	    get16(f->data + 12) != TYPE_TAG)
		return -1;
	return get16(f->data + 14);
}

void host_frame_push_tag(struct host_frame *f, uint16_t tci)
{
	f->data -= HOST_FRAME_TAG;
	f->len += HOST_FRAME_TAG;
	memmove(f->data, f->data + HOST_FRAME_TAG, 12);
	set16(f->data + 12, TYPE_TAG);
	set16(f->data + 14, tci);
	f->sum_start = (uint16_t)(f->sum_start + HOST_FRAME_TAG);
}

/* What is left to the NIC ------------------------------------------------ */

static void set_partial(struct host_frame *f, const struct layers *y)
{
	f->partial = true;
	f->sum_start = (uint16_t)y->l4;
	f->sum_offset = (uint16_t)sum_offset(y);
}

int host_frame_leave_sum(struct host_frame *f)
{
	struct layers y;

	if (f->len > HOST_FRAME_MAX || !find(&y, f))
		return -EINVAL;
	set_partial(f, &y);
	return 0;
}

int host_frame_leave_segments(struct host_frame *f, uint32_t mss, bool ipv6)
{
	struct layers y;

	if (!mss || mss > UINT16_MAX || f->len > HOST_FRAME_MAX ||
	    !find(&y, f) || y.proto != TCP || y.ipv6 != ipv6 ||
	    f->len - y.ip > UINT16_MAX)
		return -EINVAL;
	set_partial(f, &y);
	set_ip_length(&y, f->data, f->len);
	set16(f->data + y.l4 + sum_offset(&y),
	      pseudo(&y, f->data, f->len - y.l4));
	f->mss = f->len - y.payload > mss ? (uint16_t)mss : 0;
	return 0;
}

void host_frame_make_ip_sum(struct host_frame *f)
{
	struct layers y = { .ip = HOST_FRAME_HDR };
	uint8_t *ip = f->data + y.ip;

	if (f->len < HOST_FRAME_HDR || get16(f->data + 12) != TYPE_IPV4 ||
	    !find_ipv4(&y, f))
		return;
	set16(ip + 10, 0);
	set16(ip + 10, (uint16_t)~fold(add(0, ip, y.l4 - y.ip)));
}

uint16_t host_frame_sum(const struct host_frame *f)
{
	uint16_t sum = (uint16_t)~fold(add(0, f->data + f->sum_start,
					   f->len - f->sum_start));

	/* In UDP zero means "no sum"; TCP takes both for zero. */
	return sum ? sum : 0xffff;
}

/* Segments --------------------------------------------------------------- */

/* Headers of the segment that begins `at` bytes into the payload and ends with
 * the frame `s`, which holds a copy of the whole frame's headers. */
static void finish_segment(const struct layers *y, struct host_frame *s,
			   size_t at, unsigned n, bool last)
{
	uint8_t *tcp = s->data + y->l4;

	if (!y->ipv6)
		set16(s->data + y->ip + 4, get16(s->data + y->ip + 4) + n);
	set_ip_length(y, s->data, s->len);
	set32(tcp + 4, get32(tcp + 4) + (uint32_t)at);
	if (!last)
		tcp[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
	if (n)
		tcp[13] &= (uint8_t)~TCP_CWR;
	set16(tcp + 16, pseudo(y, s->data, s->len - y->l4));
	set16(tcp + 16, host_frame_sum(s));
}

static int cut(const struct host_frame *f, const struct layers *y,
	       int (*fn)(void *arg, const struct host_frame *f), void *arg)
{
	uint8_t buf[HOST_FRAME_MAX];
	size_t all = f->len - y->payload, at = 0;

	for (unsigned n = 0; at < all; n++) {
		size_t len = all - at < f->mss ? all - at : f->mss;
		struct host_frame s = {
			.data = buf, .len = y->payload + len, .verified = true,
			.sum_start = (uint16_t)y->l4, .sum_offset = 16,
		};
		int err;

		memcpy(buf, f->data, y->payload);
		memcpy(buf + y->payload, f->data + y->payload + at, len);
		finish_segment(y, &s, at, n, at + len == all);
		err = fn(arg, &s);
		if (err)
			return err;
		at += len;
	}
	return 0;
}

int host_frame_segment(const struct host_frame *f,
		       int (*fn)(void *arg, const struct host_frame *f),
		       void *arg)
{
	struct layers y;

	if (!f->mss)
		return fn(arg, f);
	if (f->len > HOST_FRAME_MAX || !find(&y, f) || y.proto != TCP)
		return -EINVAL;
	return cut(f, &y, fn, arg);
}

bool host_frame_is_syn(const struct host_frame *f)
{
	struct layers y;

	return find(&y, f) && y.proto == TCP && f->data[y.l4 + 13] & TCP_SYN;
}
