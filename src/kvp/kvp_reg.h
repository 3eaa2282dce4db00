/* kvp/kvp_reg.h - what the host defines for key-value exchange: operations,
 * pools, types and field sizes. Sources: Linux include/uapi/linux/hyperv.h,
 * FreeBSD hv_kvp.h, OpenVMM hyperv_ic_protocol (binary IP form).
 */
#ifndef KVP_REG_H
#define KVP_REG_H

enum kvp_op {
	KVP_GET = 0,
	KVP_SET = 1,
	KVP_DELETE = 2,
	KVP_ENUMERATE = 3,
	KVP_GET_IP_INFO = 4,
	KVP_SET_IP_INFO = 5,
	KVP_N_OPS
};

enum kvp_pool_id {
	KVP_POOL_EXTERNAL = 0,		/* host administrator -> guest */
	KVP_POOL_GUEST = 1,		/* guest programs -> host */
	KVP_POOL_AUTO = 2,		/* computed facts about the guest */
	KVP_POOL_AUTO_EXTERNAL = 3,	/* host's facts about itself -> guest */
	KVP_POOL_AUTO_INTERNAL = 4,	/* a file exists; never on the wire */
	KVP_N_POOLS
};

enum kvp_value_type {
	KVP_TYPE_STRING = 1,
	KVP_TYPE_EXPAND_STRING = 2,
	KVP_TYPE_U32 = 4,
	KVP_TYPE_U64_LINUX = 8,		/* what Linux' header says */
	KVP_TYPE_U64 = 11,		/* REG_QWORD, what Windows sends */
};

enum {	/* address families of the IP messages */
	KVP_IP_NONE = 0,
	KVP_IP_V4 = 1,
	KVP_IP_V6 = 2,
};

enum {	/* origin of an address in the binary IP form */
	KVP_ORIGIN_UNKNOWN = 0,
	KVP_ORIGIN_OTHER = 1,		/* DHCP, autoconfiguration */
	KVP_ORIGIN_STATIC = 2,
};

/* Field sizes in bytes, terminator included. On the wire the fields hold
 * UTF-16LE, in device messages and pool files UTF-8. */
enum {
	KVP_KEY_SIZE = 512,
	KVP_VALUE_SIZE = 2048,
	KVP_ADAPTER_SIZE = 256,
	KVP_ADDRS_SIZE = 2048,
	KVP_MASKS_SIZE = 2048,
	KVP_GATEWAYS_SIZE = 1024,
	KVP_DNS_SIZE = 2048,
	KVP_RECORD_SIZE = KVP_KEY_SIZE + KVP_VALUE_SIZE,	/* a pool record */
};

/* The service's name for people; "?" when out of range. */
static inline const char *kvp_op_name(unsigned op)
{
	static const char *const names[KVP_N_OPS] = {
		"GET", "SET", "DELETE", "ENUMERATE", "GET_IP_INFO",
		"SET_IP_INFO",
	};

	return op < KVP_N_OPS ? names[op] : "?";
}

static inline const char *kvp_pool_name(unsigned pool)
{
	static const char *const names[KVP_N_POOLS] = {
		"external", "guest", "auto", "auto-external", "auto-internal",
	};

	return pool < KVP_N_POOLS ? names[pool] : "?";
}

#endif
