/* test/unit/tcp_frames.h - one TCP frame of five data bytes and the segments of
 * at most two that it is cut into, laid out by hand from RFC 791, 8200 and
 * 9293; IP sums and sums of pseudo headers were computed apart.
 *
 * The sequence number and the identification run over on the way.
 */
#ifndef TEST_UNIT_TCP_FRAMES_H
#define TEST_UNIT_TCP_FRAMES_H

#include <stdint.h>

#define ETH4	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00
#define ETH6	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd
#define IP4(len, id, sum) \
	0x45, 0, 0, len, id, 0x40, 0, 64, 6, sum, 10, 0, 0, 1, 10, 0, 0, 2
#define IP6(len) \
	0x60, 0, 0, 0, 0, len, 6, 64, \
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, \
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2
#define TCP(seq, flags, sum) \
	0, 1, 0, 2, seq, 0, 0, 0, 9, 0x50, flags, 1, 0, sum, 0, 0
#define BYTES2(a, b)		a, b
#define BYTES4(a, b, c, d)	a, b, c, d

enum { F_FIN = 1, F_PSH = 8, F_ACK = 0x10, F_CWR = 0x80 };

/* The last two lines of each are TCP and data; the sums hold the pseudo
 * header's. */
static const uint8_t whole4[59] = {
	ETH4, IP4(45, BYTES2(0xff, 0xfe), BYTES2(0x26, 0xca)),
	TCP(BYTES4(0xff, 0xff, 0xff, 0xfe), F_ACK | F_PSH, BYTES2(0x14, 0x22)),
	'a', 'b', 'c', 'd', 'e',
};
static const uint8_t first4[56] = {
	ETH4, IP4(42, BYTES2(0xff, 0xfe), BYTES2(0x26, 0xcd)),
	TCP(BYTES4(0xff, 0xff, 0xff, 0xfe), F_ACK, BYTES2(0x14, 0x1f)),
	'a', 'b',
};
static const uint8_t second4[56] = {
	ETH4, IP4(42, BYTES2(0xff, 0xff), BYTES2(0x26, 0xcc)),
	TCP(BYTES4(0, 0, 0, 0), F_ACK, BYTES2(0x14, 0x1f)), 'c', 'd',
};
static const uint8_t third4[55] = {
	ETH4, IP4(41, BYTES2(0, 0), BYTES2(0x26, 0xcd)),
	TCP(BYTES4(0, 0, 0, 2), F_ACK | F_PSH, BYTES2(0x14, 0x1e)), 'e',
};

static const uint8_t whole6[77] = {
	ETH6, IP6(23),
	TCP(BYTES4(0, 0, 0, 7), F_ACK | F_PSH, BYTES2(0xfa, 0x21)),
	'x', 'y', 'z',
};
static const uint8_t first6[76] = {
	ETH6, IP6(22),
	TCP(BYTES4(0, 0, 0, 7), F_ACK, BYTES2(0xfa, 0x20)), 'x', 'y',
};
static const uint8_t second6[75] = {
	ETH6, IP6(21),
	TCP(BYTES4(0, 0, 0, 9), F_ACK | F_PSH, BYTES2(0xfa, 0x1f)), 'z',
};

enum {		/* offsets in the frames over IPv4 */
	AT_TOS = 15, AT_ID = 18, AT_DF = 20, AT_TTL = 22, AT_IP_SUM = 24,
	AT_PORT = 34, AT_SEQ = 38, AT_ACK = 42, AT_FLAGS = 47, AT_WINDOW = 48,
	AT_SUM = 50, AT_DATA = 54,
};

#endif
