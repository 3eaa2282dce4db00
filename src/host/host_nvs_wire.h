/* host/host_nvs_wire.h - the host's own reading and writing of NVSP messages.
 *
 * Written from the table of doc/wire/nvs.md and sharing nothing with the
 * guest's codec but the numbers that the host defines, so that a layout
 * mistake on one side fails instead of cancelling out. No state, no log; the
 * decoder says what is wrong in a few words because the host reports it.
 */
#ifndef HOST_NVS_WIRE_H
#define HOST_NVS_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "hn/nvs_reg.h"

/* What the host's messages are padded to: the answer to INIT is always short;
 * the others are short up to version 6 on some hosts, and long on all that
 * every guest can work with (DPDK refuses a short subchannel reply). */
enum { HOST_NVS_SHORT = 28, HOST_NVS_LONG = 40 };

/* What a guest sends. Numbers are as they came. */
struct host_nvs_msg {
	uint32_t type;			/* enum nvs_type */
	union {
		struct {
			uint32_t least, most;
		} init;
		struct {
			uint32_t major, minor;
		} ndis_version;
		struct {
			uint32_t frame;		/* MTU and Ethernet header */
			uint64_t caps;		/* NVS_CAP_* */
		} ndis_config;
		struct {
			uint32_t gpadl;
			uint16_t id;
		} buf;				/* RECV_BUF, SEND_BUF */
		struct {
			uint16_t id;
		} revoke;
		struct {
			uint32_t channel, section, used;
		} rndis;
		struct {
			uint32_t status;
		} rndis_complete;
		struct {
			uint32_t path;
		} data_path;
		struct {
			uint32_t oid;
		} oid_query;
		struct {
			uint32_t op, count;
		} subchannel;
	};
};

/* One message from a packet's payload, padding included. 0; -EBADMSG shorter
 * than its type needs, or -EOPNOTSUPP a type that guests do not send: *why. */
int host_nvs_get(struct host_nvs_msg *m, const void *buf, size_t len,
		 const char **why);

/* Each appends one message, padded to `size` bytes with zeros. */
void host_nvs_put_init(struct wr *w, uint32_t status);
/* One section at offset 0, `count` pieces of `size_each` bytes. */
void host_nvs_put_recv_buf(struct wr *w, size_t size, uint32_t status,
			   uint32_t size_each, uint32_t count);
void host_nvs_put_send_buf(struct wr *w, size_t size, uint32_t status,
			   uint32_t section_size);
void host_nvs_put_rndis(struct wr *w, size_t size, uint32_t channel);
void host_nvs_put_rndis_complete(struct wr *w, size_t size, uint32_t status);
void host_nvs_put_vf(struct wr *w, size_t size, uint32_t allocated,
		     uint32_t serial);
void host_nvs_put_data_path(struct wr *w, size_t size, uint32_t path);
void host_nvs_put_oid_query(struct wr *w, size_t size, uint32_t status);
void host_nvs_put_subchannel(struct wr *w, size_t size, uint32_t status,
			     uint32_t count);
/* offset: where the table is said to be; it is written at NVS_TABLE_AT. */
void host_nvs_put_indirection(struct wr *w, uint32_t offset,
			      const uint32_t entry[NVS_INDIRECTIONS]);

#endif
