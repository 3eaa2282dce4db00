/* vss/vss_reg.h - what the host defines for volume snapshots: operations,
 * sizes and flags of the messages on the VSS channel.
 *
 * A message is the IC header's body: u8 operation, seven reserved bytes, then
 * what the operation brings along.
 *
 * Sources: Linux include/linux/hyperv.h (struct hv_vss_msg), FreeBSD
 * hv_snapshot.c, OpenVMM's hyperv_ic_protocol for operation 8 and the lists of
 * LUNs. Which host sends which operation when is in part unverified; hvhost(8)
 * has settings for that.
 */
#ifndef VSS_REG_H
#define VSS_REG_H

enum vss_op {
	VSS_CREATE = 0,		/* the old flow: a snapshot set in the guest */
	VSS_DELETE = 1,
	VSS_HOT_BACKUP = 2,	/* can you be backed up while running? */
	VSS_GET_DM_INFO = 3,	/* directly mapped disks */
	VSS_BU_COMPLETE = 4,	/* from message version 4.0 on */
	VSS_FREEZE = 5,		/* from 5.0 on, like the next two */
	VSS_THAW = 6,
	VSS_AUTO_RECOVER = 7,
	VSS_CLUSTER_INFO = 8,	/* from 6.0 on; not for us */
	VSS_N_OPS
};

/* The flags of the HOT_BACKUP reply: a backup while running is possible, no
 * recovery of the snapshot inside the guest is needed. Linux, FreeBSD and
 * macOS all answer this; what either bit means alone is unverified. */
enum { VSS_HOT_BACKUP_FLAGS = 0x00000005 };

/* Sizes and offsets in bytes, of the body. */
enum {
	VSS_HEADER_SIZE = 8,		/* operation and reserved bytes */
	VSS_FLAGS_AT = 8,		/* u32 in requests and replies */
	VSS_SMALL_SIZE = 12,		/* HOT_BACKUP, GET_DM_INFO, ... */
	VSS_SET_SIZE = 24,		/* CREATE, DELETE: a GUID behind 8 */
	VSS_FREEZE_TYPE_AT = 8,		/* u32 backup type */
	VSS_FREEZE_FLAGS_AT = 12,	/* u32 */
	VSS_FREEZE_LUNS_AT = 16,	/* u32 count, then the records */
	VSS_LUN_SIZE = 24,
	VSS_MAX_LUNS = 260,
	VSS_FREEZE_SIZE = 6260,
	VSS_AUTO_RECOVER_SIZE = 12500,	/* with as many shadow LUNs */
	VSS_CLUSTER_SIZE = 7320,
	VSS_MSG_MAX = VSS_AUTO_RECOVER_SIZE,
};

/* For people: "check" (HOT_BACKUP), "freeze", "create" ...; "unknown" out of
 * range. */
const char *vss_op_name(unsigned op);

#endif
