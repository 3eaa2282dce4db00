/* hn/nvs_reg.h - what the host defines for NVSP, the messages that set up a
 * synthetic network channel and describe what its packets carry.
 *
 * A message is u32 type and a body. Requests are padded: Hyper-V does not
 * answer one that is shorter than 32 bytes, and newer hosts use 40 themselves.
 * Received lengths are multiples of 8, so never compare them for equality.
 *
 * Sources: OpenVMM netvsp (protocol.rs), Linux hyperv_net.h, FreeBSD if_hnreg.h.
 */
#ifndef NVS_REG_H
#define NVS_REG_H

enum nvs_type {
	NVS_INIT = 1,			/* guest to host */
	NVS_INIT_COMPLETE = 2,
	NVS_NDIS_VERSION = 100,		/* not answered */
	NVS_RECV_BUF = 101,
	NVS_RECV_BUF_COMPLETE = 102,
	NVS_REVOKE_RECV_BUF = 103,	/* not answered */
	NVS_SEND_BUF = 104,
	NVS_SEND_BUF_COMPLETE = 105,
	NVS_REVOKE_SEND_BUF = 106,	/* not answered */
	NVS_RNDIS = 107,		/* both ways */
	NVS_RNDIS_COMPLETE = 108,	/* both ways */
	NVS_NDIS_CONFIG = 125,		/* from version 2 on; not answered */
	NVS_VF_ASSOCIATION = 128,	/* host to guest, from 4 on */
	NVS_SWITCH_DATA_PATH = 129,	/* both ways, from 4 on */
	NVS_OID_QUERY = 131,		/* from 5 on; nobody relies on it */
	NVS_OID_QUERY_COMPLETE = 132,
	NVS_SUBCHANNEL = 133,		/* from 5 on; the reply has this type too */
	NVS_INDIRECTION_TABLE = 134,	/* host to guest */
};

/* Versions, as one number they compare by. */
#define NVS_V1		0x00002u
#define NVS_V2		0x30002u
#define NVS_V4		0x40000u
#define NVS_V5		0x50000u
#define NVS_V6		0x60000u
#define NVS_V6_1	0x60001u

enum nvs_status {
	NVS_S_NONE = 0,
	NVS_S_OK = 1,			/* success is one, not zero */
	NVS_S_FAIL = 2,
	NVS_S_TOO_NEW = 3,
	NVS_S_TOO_OLD = 4,
	NVS_S_BAD_RNDIS = 5,
	NVS_S_BUSY = 6,
	NVS_S_VERSION = 7,
};

/* Capabilities of NVS_NDIS_CONFIG. */
enum {
	NVS_CAP_SRIOV = 1 << 2,
	NVS_CAP_8021Q = 1 << 3,
	NVS_CAP_RSC = 1 << 7,
};

/* NVS_RNDIS: what the RNDIS message is, and where. */
enum { NVS_RNDIS_DATA = 0, NVS_RNDIS_CONTROL = 1 };
#define NVS_NO_SECTION	0xffffffffu	/* in pages, not in the send buffer */

enum nvs_path { NVS_PATH_SYNTHETIC = 0, NVS_PATH_VF = 1 };

enum {
	NVS_SUBCHANNEL_ALLOCATE = 1,
	NVS_INDIRECTIONS = 16,		/* entries, always */
	NVS_TABLE_AT = 12,		/* where a right host puts them */
	NVS_MSG_SIZE = 40,		/* bytes, of everything we send */
	NVS_RECV_BUF_ID = 0xcafe,	/* the ids are only echoed */
	NVS_SEND_BUF_ID = 0xface,
	NVS_MAX_RECV_BUF = 31 << 20,	/* bytes */
	NVS_MAX_RECV_BUF_V2 = 15 << 20,	/* ... up to version 2 */
	NVS_ETHER_HDR = 14,		/* NDIS_CONFIG's mtu counts it */
};

#endif
