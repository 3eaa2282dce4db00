/* hn/frame.c - see frame.h. The sum of a pseudo header is kept as the
 * complement's complement, folded to 16 bits. */
#include "hn/frame.h"

#include <errno.h>
#include <string.h>

enum {
	IPV4_LEAST = 20, IPV6_HDR = 40,
	TCP_SUM_AT = 16, UDP_SUM_AT = 6,
	UDP_HDR = 8,
	FRAGMENT = 0x3fff,		/* more of them, or not the first */
	TCP_LEN_AT = 12,
};

/* In whatever order this machine has bytes: pairs that are swapped sum to a
 * swapped sum (RFC 1071, 2.B). As it goes over the wire. */
static uint16_t add_words(const uint8_t *p, size_t words)
{
	uint64_t sum = 0;
	uint32_t word;
	uint16_t out;
	uint8_t raw[2];

	for (; words; p += sizeof(word), words--) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	out = frame_fold((uint32_t)sum);
	memcpy(raw, &out, sizeof(raw));
	return frame_be16(raw);
}

uint32_t frame_add(uint32_t sum, const uint8_t *p, size_t len)
{
	sum += add_words(p, len / 4);
	for (p += len / 4 * 4, len %= 4; len > 1; p += 2, len -= 2)
		sum += frame_be16(p);
	return len ? sum + (uint32_t)(p[0] << 8) : sum;
}

uint16_t frame_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static int find_ipv4(struct frame_layers *y, const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + y->ip;
	size_t room = len - y->ip, hdr, total;

	if (room < IPV4_LEAST || ip[0] >> 4 != 4)
		return -EINVAL;
	hdr = (size_t)(ip[0] & 15) * 4;
	total = frame_be16(ip + 2);
	if (hdr < IPV4_LEAST || hdr > room)
		return -EINVAL;
	y->proto = frame_be16(ip + 6) & FRAGMENT ? 0 : ip[9];
	y->l4 = y->ip + hdr;
	y->end = total >= hdr && total <= room ? y->ip + total : len;
	return 0;
}

/* Extension headers are passed over, but for those that hide what follows. */
static int find_ipv6(struct frame_layers *y, const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + y->ip;
	size_t room = len - y->ip, payload, at = IPV6_HDR;
	uint8_t next;

	if (room < IPV6_HDR || ip[0] >> 4 != 6)
		return -EINVAL;
	payload = frame_be16(ip + 4);
	y->end = payload && IPV6_HDR + payload <= room ?
		 y->ip + IPV6_HDR + payload : len;
	next = ip[6];
	while (next == 0 || next == 43 || next == 60) {
		if (at + 8 > room)
			return -EINVAL;
		next = ip[at];
		at += ((size_t)ip[at + 1] + 1) * 8;
	}
	if (at > room)
		return -EINVAL;
	y->proto = next;
	y->l4 = y->ip + at;
	return 0;
}

int frame_layers(struct frame_layers *y, const uint8_t *f, size_t len,
		 size_t type_at)
{
	size_t l4_least;
	int err;

	*y = (struct frame_layers){ .ip = type_at + 2 };
	if (len < y->ip)
		return -EINVAL;
	y->ipv6 = frame_be16(f + type_at) == FRAME_IPV6;
	if (!y->ipv6 && frame_be16(f + type_at) != FRAME_IPV4)
		return -EINVAL;
	err = y->ipv6 ? find_ipv6(y, f, len) : find_ipv4(y, f, len);
	if (err)
		return err;
	if (y->proto != FRAME_TCP && y->proto != FRAME_UDP)
		y->proto = 0;
	l4_least = y->proto == FRAME_TCP ? FRAME_TCP_LEAST : UDP_HDR;
	if (y->proto && y->l4 + l4_least > y->end)
		return -EINVAL;
	return 0;
}

size_t frame_sum_at(const struct frame_layers *y)
{
	return y->l4 + (y->proto == FRAME_TCP ? TCP_SUM_AT : UDP_SUM_AT);
}

size_t frame_tcp_len(const struct frame_layers *y, const uint8_t *f)
{
	size_t n = (size_t)(f[y->l4 + TCP_LEN_AT] >> 4) * 4;

	return n >= FRAME_TCP_LEAST && y->l4 + n <= y->end ? n : 0;
}

uint32_t frame_pseudo(const struct frame_layers *y, const uint8_t *f,
		      size_t len)
{
	const uint8_t *ip = f + y->ip;
	uint32_t ends = y->ipv6 ? frame_add(0, ip + 8, 32) :
				  frame_add(0, ip + 12, 8);

	return ends + y->proto + (uint32_t)(len >> 16) +
	       (uint32_t)(len & 0xffff);
}

void frame_make_sum(const struct frame_layers *y, uint8_t *f)
{
	size_t n = y->end - y->l4, at = frame_sum_at(y);
	uint16_t sum;

	frame_put_be16(f + at, 0);
	sum = (uint16_t)~frame_fold(frame_add(frame_pseudo(y, f, n),
					      f + y->l4, n));
	/* UDP calls a missing sum zero. */
	frame_put_be16(f + at, !sum && y->proto == FRAME_UDP ? 0xffff : sum);
}

void frame_make_ip_sum(const struct frame_layers *y, uint8_t *f)
{
	uint8_t *ip = f + y->ip;

	frame_put_be16(ip + 10, 0);
	frame_put_be16(ip + 10,
		       (uint16_t)~frame_fold(frame_add(0, ip, y->l4 - y->ip)));
}
