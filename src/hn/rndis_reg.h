/* hn/rndis_reg.h - what the host defines for RNDIS: the control messages of a
 * synthetic NIC, and the header in front of each Ethernet frame.
 *
 * Every message begins with u32 type and u32 length of the whole. Offsets in
 * a message count from its byte 8; those in packet information from the
 * record's own beginning.
 *
 * Sources: OpenVMM netvsp (rndisprot.rs), Linux hyperv_net.h, FreeBSD's rndis
 * headers.
 */
#ifndef RNDIS_REG_H
#define RNDIS_REG_H

enum rndis_type {
	RNDIS_PACKET = 1,
	RNDIS_INITIALIZE = 2,
	RNDIS_HALT = 3,			/* not answered */
	RNDIS_QUERY = 4,
	RNDIS_SET = 5,
	RNDIS_RESET = 6,
	RNDIS_INDICATE = 7,		/* host to guest */
	RNDIS_KEEPALIVE = 8,
};
#define RNDIS_COMPLETE	0x80000000u	/* or'ed to the type of what it answers */

/* Status of completions and indications. */
#define RNDIS_S_OK			0x00000000u
#define RNDIS_S_MEDIA_CONNECT		0x4001000bu
#define RNDIS_S_MEDIA_DISCONNECT	0x4001000cu
#define RNDIS_S_LINK_SPEED		0x40010013u	/* u32, 100 bit/s */
#define RNDIS_S_NETWORK_CHANGE		0x40010018u	/* u32: 1 possible ... */
#define RNDIS_S_OFFLOAD_CONFIG		0x40020006u
#define RNDIS_S_FAIL			0xc0000001u
#define RNDIS_S_NOT_SUPPORTED		0xc00000bbu
#define RNDIS_S_INVALID_DATA		0xc0010015u
#define RNDIS_S_INVALID_OID		0xc0010017u

/* Object ids. */
#define RNDIS_OID_SUPPORTED		0x00010101u	/* a list of u32 */
#define RNDIS_OID_HARDWARE_STATUS	0x00010102u	/* u32, 0: ready */
#define RNDIS_OID_MEDIA_SUPPORTED	0x00010103u	/* u32, 0: 802.3 */
#define RNDIS_OID_MEDIA_IN_USE		0x00010104u
#define RNDIS_OID_MAX_FRAME		0x00010106u	/* u32, no header */
#define RNDIS_OID_LINK_SPEED		0x00010107u	/* u32, 100 bit/s */
#define RNDIS_OID_TX_SPACE		0x00010108u	/* u32, bytes */
#define RNDIS_OID_VENDOR_ID		0x0001010cu
#define RNDIS_OID_FILTER		0x0001010eu	/* u32, RNDIS_FILTER_* */
#define RNDIS_OID_TOTAL_SIZE		0x00010111u	/* u32, with header */
#define RNDIS_OID_MEDIA_STATUS		0x00010114u	/* u32, 0: connected */
#define RNDIS_OID_MAX_SEND		0x00010115u	/* u32, packets */
#define RNDIS_OID_LAYER_ADDRESSES	0x00010118u	/* set */
#define RNDIS_OID_RSS_CAPS		0x00010203u
#define RNDIS_OID_RSS			0x00010204u
#define RNDIS_OID_MAX_LINK_SPEED	0x00010206u	/* u64 each way, bit/s */
#define RNDIS_OID_LINK_STATE		0x00010207u	/* 40 bytes */
#define RNDIS_OID_CONFIG		0x0001021bu	/* set a named value */
#define RNDIS_OID_FRIENDLY_NAME		0x00020216u	/* UTF-16 */
#define RNDIS_OID_MAC_PERMANENT		0x01010101u	/* 6 bytes */
#define RNDIS_OID_MAC			0x01010102u
#define RNDIS_OID_MULTICAST_LIST	0x01010103u	/* set */
#define RNDIS_OID_MULTICAST_MAX		0x01010104u	/* u32 */
#define RNDIS_OID_OFFLOAD		0xfc01020cu	/* set */
#define RNDIS_OID_OFFLOAD_CAPS		0xfc01020du	/* query */

enum {
	RNDIS_FILTER_DIRECTED = 1,
	RNDIS_FILTER_MULTICAST = 2,
	RNDIS_FILTER_ALL_MULTICAST = 4,
	RNDIS_FILTER_BROADCAST = 8,
	RNDIS_FILTER_PROMISCUOUS = 0x20,
};

/* Per-packet information: records of u32 size, type and data offset. */
enum rndis_ppi {
	RNDIS_PPI_CHECKSUM = 0,		/* differs by direction */
	RNDIS_PPI_LSO = 2,		/* guest to host */
	RNDIS_PPI_VLAN = 6,
	RNDIS_PPI_HASH_VALUE = 8,
	RNDIS_PPI_HASH_INFO = 9,
};

/* Checksum word, guest to host: what the host is to compute. */
enum {
	RNDIS_TX_IPV4 = 1 << 0,
	RNDIS_TX_IPV6 = 1 << 1,
	RNDIS_TX_TCP = 1 << 2,
	RNDIS_TX_UDP = 1 << 3,
	RNDIS_TX_IP_HEADER = 1 << 4,
	RNDIS_TX_L4_SHIFT = 16,		/* ten bits, from the frame's start */
	RNDIS_TX_L4_MAX = 1023,
};

/* Checksum word, host to guest: what the host has verified. */
enum {
	RNDIS_RX_TCP_BAD = 1 << 0,
	RNDIS_RX_UDP_BAD = 1 << 1,
	RNDIS_RX_IP_BAD = 1 << 2,
	RNDIS_RX_TCP_OK = 1 << 3,
	RNDIS_RX_UDP_OK = 1 << 4,
	RNDIS_RX_IP_OK = 1 << 5,
	/* Verified, but the bytes are no valid sum: from a local sender. */
	RNDIS_RX_TCP_VALUE_INVALID = 1 << 7,
	RNDIS_RX_IP_VALUE_INVALID = 1 << 8,
};

/* LSO word, version 2. */
enum {
	RNDIS_LSO_MSS_MAX = (1 << 20) - 1,
	RNDIS_LSO_L4_SHIFT = 20,	/* ten bits */
	RNDIS_LSO_V2 = 1 << 30,
};
#define RNDIS_LSO_IPV6	(1u << 31)

/* Sizes in bytes. */
enum {
	RNDIS_HDR = 8,			/* type and length */
	RNDIS_PACKET_HDR = 44,
	RNDIS_PPI_HDR = 12,
	RNDIS_PPI_WORD = 16,		/* a record with one u32 */
	RNDIS_PACKET_OVERHEAD = RNDIS_PACKET_HDR + 4 * RNDIS_PPI_WORD,
	RNDIS_REQUEST_HDR = 28,		/* QUERY and SET, before the data */
	RNDIS_INITIALIZE_SIZE = 24,
	RNDIS_SHORT_SIZE = 12,		/* HALT, KEEPALIVE */
	RNDIS_CONTROL_MAX = 4096,	/* what we ever send or take */
};

#endif
