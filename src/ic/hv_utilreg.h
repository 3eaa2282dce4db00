/* ic/hv_utilreg.h - what the host defines for every integration component:
 * status codes, flags, message types and the transaction rules.
 *
 * Transactions: one request is outstanding at a time. A reply is an in-band
 * packet, never a completion, that echoes the transaction id of the request
 * and its VMBus id, carries HV_IC_TRANSACTION | HV_IC_RESPONSE, and is sent
 * exactly once: the host takes the next packet as the answer to whatever it
 * asked last, so a second reply would answer the next question.
 *
 * Sources: FreeBSD hv_utilreg.h and vmbus_icreg.h, Linux include/linux/hyperv.h.
 */
#ifndef IC_HV_UTILREG_H
#define IC_HV_UTILREG_H

/* Status codes: HRESULTs. */
#define HV_S_OK				0x00000000u
#define HV_E_FAIL			0x80004005u	/* general failure */
#define HV_S_CONT			0x80070103u	/* no more items; not found */
#define HV_ERROR_NOT_SUPPORTED		0x80070032u
#define HV_ERROR_MACHINE_LOCKED		0x800704F7u
#define HV_ERROR_DEVICE_NOT_CONNECTED	0x8007048Fu
#define HV_INVALIDARG			0x80070057u
#define HV_GUID_NOTFOUND		0x80041002u	/* no such adapter */

/* Flags of the IC header. */
enum {
	HV_IC_TRANSACTION = 1,
	HV_IC_REQUEST = 2,
	HV_IC_RESPONSE = 4,
};

/* Message types of the IC header. */
enum hv_ic_type {
	HV_IC_NEGOTIATE = 0,
	HV_IC_HEARTBEAT = 1,
	HV_IC_KVP = 2,
	HV_IC_SHUTDOWN = 3,
	HV_IC_TIMESYNC = 4,
	HV_IC_VSS = 5,
};

/* Sizes in bytes. */
enum {
	HV_IC_PIPE_HDR = 8,		/* u32 kind, u32 length */
	HV_IC_HDR = 20,			/* after the pipe header */
	HV_IC_PIPE_DATA = 1,		/* the only pipe kind an IC uses */
	HV_IC_PIPE_MAX = 16384,		/* pipe header excluded */
	HV_IC_MSG_MAX = 13312,		/* IC header included; OpenVMM's limit */
};

/* A version as the host counts: compare as one number. */
#define HV_IC_VERSION(major, minor)	((uint32_t)(major) << 16 | (minor))
#define HV_IC_MAJOR(v)			((uint16_t)((v) >> 16))
#define HV_IC_MINOR(v)			((uint16_t)(v))

#endif
