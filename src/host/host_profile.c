/* host/host_profile.c - what is known of each host generation, number by
 * number. Tags: [Linux] include/linux/hyperv.h and the drivers beside it,
 * [OpenVMM] its hyperv_ic crates, [unverified] nobody has shown a trace.
 *
 * Times, for all: 60 s for a negotiation, seen on WS2016, the reason why
 * Linux delays its own answer by 55 s at most [Linux commit d7edd31b]; how
 * long a host waits for a KVP answer is [unverified]: 30 s is what the Linux
 * driver gives its daemon, so a host that waits less would see failures. */
#include "host/host_profile.h"

#define V(major, minor)	HV_IC_VERSION(major, minor)
#define LIST(...) { sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), \
		    { __VA_ARGS__ } }

enum { NEGOTIATE_MS = 60000, ANSWER_MS = 30000 };

/* VMBus versions by the release that brought them [Linux]: 0.13 WS2008,
 * 1.1 WS2008 R2, 2.4 Windows 8, 3.0 8.1 and WS2012 R2, 4.0 Windows 10 and
 * WS2016, 4.1 10 RS3, 5.0 and 5.1 RS4, 5.2 RS5 and WS2019, 5.3 WS2022. That a
 * host also accepts every older one is what upgrades rely on. */
#define VMBUS_3_0	V(0, 13), V(1, 1), V(2, 4), V(3, 0)
#define VMBUS_4_0	VMBUS_3_0, V(4, 0)
#define VMBUS_5_2	VMBUS_4_0, V(4, 1), V(5, 0), V(5, 1), V(5, 2)
#define VMBUS_5_3	VMBUS_5_2, V(5, 3)
#define VMBUS_6_0	VMBUS_5_3, V(6, 0)	/* [OpenVMM] */

/* Frameworks 1.0 and 3.0 are all that exist [OpenVMM]. KVP: 1.0 WS2008, 3.0
 * WS2008 R2, 4.0 WS2012; WS2012 R2 logs "expected 5" for a guest with 4.0,
 * so it offers 5.0. Whether newer hosts still offer 1.0, and the order, are
 * [unverified]: ascending is what OpenVMM sends. */
#define FRAMEWORKS	LIST(V(1, 0), V(3, 0))
#define KVP_CLOSED	LIST(V(1, 0), V(3, 0), V(4, 0), V(5, 0))

/* VSS: 4.0 Windows 8, 5.0 8.1, 6.0 Windows 10, 7.0 an update of that [OpenVMM
 * has the numbers and offers nothing]; which host offers which is
 * [unverified], as is the order. */
#define VSS_2012R2	LIST(V(4, 0), V(5, 0))
#define VSS_2016	LIST(V(4, 0), V(5, 0), V(6, 0))
#define VSS_CLOSED	LIST(V(4, 0), V(5, 0), V(6, 0), V(7, 0))

/* A backup. CHECK, FREEZE, THAW is what all guests see. Whether and where a
 * host asks for directly mapped disks and says that it is done, whether it
 * sends THAW after a FREEZE that failed, and what follows a failed THAW, is
 * [unverified]. Patience with FREEZE: a note of 2015 says ten minutes, the
 * Linux driver's own limit later became 15 to mirror the host; 30 s for all
 * else is that driver's, too. A backup that cannot be made with the guest
 * goes on offline [LIS]; for a FREEZE that was refused LIS accepts that as
 * well, here it fails unless told otherwise, so that it is noticed. */
#define STEPS(...) \
	.n_order = sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), \
	.order = { __VA_ARGS__ }
#define USUAL STEPS(HOST_VSS_CHECK, HOST_VSS_DM_INFO, HOST_VSS_FREEZE, \
		    HOST_VSS_HOLD, HOST_VSS_THAW, HOST_VSS_RECOVER, \
		    HOST_VSS_COMPLETE)
#define PATIENT .freeze_ms = 900000, .other_ms = 30000

const struct host_profile host_profiles[] = {
	{
		.name = "ws2022",
		.about = "Windows Server 2022: the newest documented VMBus",
		.vmbus = LIST(VMBUS_5_3),
		.framework = FRAMEWORKS, .kvp = KVP_CLOSED,
		.vss = VSS_CLOSED,
		/* Ids of the closed host are [unverified]; counting ones
		 * show a late answer for what it is. */
		.xact = HOST_XACT_COUNT,
		.string_ip = true, .push = true,
		.negotiate_ms = NEGOTIATE_MS, .answer_ms = ANSWER_MS,
		.backup = { USUAL, PATIENT, .offline = HOST_VSS_NO_CHECK },
	}, {
		.name = "ws2012r2",
		.about = "Windows Server 2012 R2: VMBus 3.0, KVP up to 5.0",
		.vmbus = LIST(VMBUS_3_0),
		.framework = FRAMEWORKS, .kvp = KVP_CLOSED,
		.vss = VSS_2012R2,
		.xact = HOST_XACT_COUNT,
		.string_ip = true, .push = true,
		.negotiate_ms = NEGOTIATE_MS, .answer_ms = ANSWER_MS,
		.backup = { USUAL, .freeze_ms = 600000, .other_ms = 30000,
			    .offline = HOST_VSS_NO_CHECK },
	}, {
		.name = "ws2016",
		.about = "Windows Server 2016: VMBus 4.0, patience of 60 s",
		.vmbus = LIST(VMBUS_4_0),
		.framework = FRAMEWORKS, .kvp = KVP_CLOSED,
		.vss = VSS_2016,
		.xact = HOST_XACT_COUNT,
		.string_ip = true, .push = true,
		.negotiate_ms = NEGOTIATE_MS, .answer_ms = ANSWER_MS,
		.backup = { USUAL, PATIENT, .offline = HOST_VSS_NO_CHECK },
	}, {
		.name = "ws2019",
		.about = "Windows Server 2019: VMBus 5.2",
		.vmbus = LIST(VMBUS_5_2),
		.framework = FRAMEWORKS, .kvp = KVP_CLOSED,
		.vss = VSS_CLOSED,
		.xact = HOST_XACT_COUNT,
		.string_ip = true, .push = true,
		.negotiate_ms = NEGOTIATE_MS, .answer_ms = ANSWER_MS,
		.backup = { USUAL, PATIENT, .offline = HOST_VSS_NO_CHECK },
	}, {
		.name = "azure",
		.about = "Azure: as ws2022, host items not pushed",
		.vmbus = LIST(VMBUS_5_3),
		.framework = FRAMEWORKS, .kvp = KVP_CLOSED,
		.vss = VSS_CLOSED,
		.xact = HOST_XACT_COUNT,
		/* Which items Azure pushes is [unverified]. */
		.string_ip = true, .push = false,
		.negotiate_ms = NEGOTIATE_MS, .answer_ms = ANSWER_MS,
		.backup = { USUAL, PATIENT, .offline = HOST_VSS_NO_CHECK },
	}, {
		.name = "openvmm",
		.about = "OpenVMM: strict, transaction id 0, IP needs KVP 5.0",
		.vmbus = LIST(VMBUS_6_0),
		.framework = FRAMEWORKS,		/* [OpenVMM] */
		.kvp = LIST(V(3, 0), V(4, 0), V(5, 0)),	/* [OpenVMM] */
		.vss = { 0 },				/* [OpenVMM] */
		.strict = true, .xact = HOST_XACT_ZERO,	/* [OpenVMM] */
		.string_ip = false,			/* [OpenVMM] */
		.push = true,
		/* [OpenVMM] waits for ever for both; ten minutes stand for
		 * that here, so that a missing answer is still seen. */
		.negotiate_ms = 600000, .answer_ms = 600000,
		.backup = { USUAL, PATIENT, .offline = HOST_VSS_NO_CHECK },
	}, {
		.name = "odd",
		.about = "no real host: descending lists, versions nobody knows",
		.vmbus = LIST(V(5, 3), V(9, 9), V(4, 0), V(3, 0)),
		.framework = LIST(V(7, 1), V(3, 1), V(3, 0), V(1, 0)),
		.kvp = LIST(V(9, 0), V(5, 7), V(5, 0), V(4, 1), V(4, 0),
			    V(3, 0)),
		.vss = LIST(V(8, 1), V(7, 0), V(5, 3), V(5, 0), V(4, 0)),
		.xact = HOST_XACT_COUNT,
		.string_ip = true, .push = true,
		.negotiate_ms = NEGOTIATE_MS, .answer_ms = ANSWER_MS,
		.backup = { STEPS(HOST_VSS_DM_INFO, HOST_VSS_CHECK,
				  HOST_VSS_FREEZE, HOST_VSS_HOLD,
				  HOST_VSS_COMPLETE, HOST_VSS_THAW),
			    .freeze_ms = 600000, .other_ms = 30000,
			    .thaw_refused = true, .thaw_unanswered = true,
			    .thaw_again = 1, .offline = HOST_VSS_NO_FREEZE },
	},
	{ .name = NULL },
};

const struct host_profile *host_profile_find(const char *name)
{
	for (const struct host_profile *p = host_profiles; p->name; p++) {
		if (!strcmp(p->name, name))
			return p;
	}
	return NULL;
}
