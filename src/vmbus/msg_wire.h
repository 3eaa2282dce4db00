/* vmbus/msg_wire.h - the control messages of VMBus, both directions: offers,
 * opens, guest memory lists (GPADLs), contact and versions.
 *
 * Shape:   u32 type, u32 padding, then the fields of that type, little endian.
 *          At most 240 bytes. A longer message than its type needs is fine,
 *          its tail is ignored; a shorter one is not.
 * Trust:   the decoder checks lengths, the receiver checks values.
 * Source:  Linux include/linux/hyperv.h, struct vmbus_channel_*; offsets are in
 *          doc/wire/vmbus.md.
 */
#ifndef VMBUS_MSG_WIRE_H
#define VMBUS_MSG_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "vmbus/guid.h"

enum vmbus_msg_type {
	VMBUS_MSG_OFFER = 1,			/* host -> guest */
	VMBUS_MSG_RESCIND = 2,			/* host -> guest */
	VMBUS_MSG_REQUEST_OFFERS = 3,		/* guest -> host */
	VMBUS_MSG_OFFERS_DELIVERED = 4,		/* host -> guest */
	VMBUS_MSG_OPEN = 5,			/* guest -> host */
	VMBUS_MSG_OPEN_RESULT = 6,		/* host -> guest */
	VMBUS_MSG_CLOSE = 7,			/* guest -> host */
	VMBUS_MSG_GPADL_HEADER = 8,		/* guest -> host */
	VMBUS_MSG_GPADL_BODY = 9,		/* guest -> host */
	VMBUS_MSG_GPADL_CREATED = 10,		/* host -> guest */
	VMBUS_MSG_GPADL_TEARDOWN = 11,		/* guest -> host */
	VMBUS_MSG_GPADL_TORNDOWN = 12,		/* host -> guest */
	VMBUS_MSG_RELID_RELEASED = 13,		/* guest -> host */
	VMBUS_MSG_CONTACT = 14,			/* guest -> host */
	VMBUS_MSG_VERSION = 15,			/* host -> guest */
	VMBUS_MSG_UNLOAD = 16,			/* guest -> host */
	VMBUS_MSG_UNLOADED = 17,		/* host -> guest */
	VMBUS_MSG_MODIFY = 22,			/* guest -> host */
	VMBUS_MSG_MODIFIED = 24,		/* host -> guest */
};

enum {
	VMBUS_MSG_MAX = 240,		/* bytes of a message */
	VMBUS_USER_MAX = 120,		/* bytes of user data, offer and open */
	VMBUS_PAGE = 4096,		/* bytes of a page in a GPADL */
	VMBUS_HEADER_PFNS = 26,		/* page numbers in a GPADL_HEADER */
	VMBUS_BODY_PFNS = 28,		/* and in a GPADL_BODY */
	VMBUS_GPADL_PFNS_MAX = 8190,	/* what range_buflen can say */
};

enum {	/* of an offer */
	VMBUS_OFFER_ENUMERATE = 0x1,
	VMBUS_OFFER_NAMED_PIPE = 0x10,
};

enum { VMBUS_PIPE_MESSAGE = 4 };	/* pipe mode of integration components */

/* major << 16 | minor */
#define VMBUS_VERSION(major, minor) ((uint32_t)(major) << 16 | (minor))

/* 64-bit page numbers as they stand in a message: little endian, unaligned.
 * They belong to the buffer the message was read from. */
struct vmbus_pfns {
	const uint8_t *le;
	unsigned n;
};

struct vmbus_msg {
	uint32_t type;			/* enum vmbus_msg_type */
	uint32_t relid;			/* of the types that name a channel */
	union {
		struct {
			struct guid class_id, instance;
			uint16_t flags;
			uint16_t mmio_mb;
			uint32_t pipe_mode;	/* if flags say named pipe */
			uint16_t sub_index;
			uint32_t connection_id;	/* for signals to the host */
		} offer;
		struct {
			uint32_t openid;	/* echoed by the result */
			uint32_t gpadl;		/* of both rings */
			uint32_t target_vp;
			uint32_t rx_page;	/* where the host->guest ring
						 * begins, in pages */
			uint8_t user[VMBUS_USER_MAX];
		} open;
		struct {
			uint32_t openid;
			uint32_t status;	/* 0, or an NTSTATUS */
		} open_result;
		struct {
			uint32_t gpadl;
			uint16_t range_len;	/* bytes of all ranges, their
						 * heads included */
			uint16_t ranges;
			uint32_t len, offset;	/* bytes, of the first range */
			struct vmbus_pfns pfns;	/* as many as are here */
		} gpadl_header;
		struct {
			uint32_t seq;		/* not every guest sets it */
			uint32_t gpadl;
			struct vmbus_pfns pfns;
		} gpadl_body;
		struct {
			uint32_t gpadl;
			uint32_t status;	/* CREATED only */
		} gpadl;		/* CREATED, TEARDOWN, TORNDOWN */
		struct {
			uint32_t version;
			uint32_t target_vcpu;
			uint64_t interrupt_page, monitor_page[2];
		} contact;
		struct {
			bool supported;
			uint8_t state;		/* 0 = connected */
			uint32_t connection_id;	/* from 5.0 on */
		} version;
		struct {
			uint32_t target_vp;	/* MODIFY */
			uint32_t status;	/* MODIFIED */
		} modify;
	};
};

/* Read one message of len bytes. 0; -EBADMSG too short, too long or crooked;
 * -EOPNOTSUPP a type that is not spoken here. */
int msg_get(struct vmbus_msg *m, const void *buf, size_t len);
/* Append a message. w goes bad when it does not fit; the type must be known. */
void msg_put(struct wr *w, const struct vmbus_msg *m);
/* For logs; "unknown" if it is. */
const char *msg_name(uint32_t type);

#endif
