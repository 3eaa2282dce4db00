/* hn/nvs_wire.h - NVSP messages, as bytes and as struct nvs_msg; the guest's
 * half. No state, no channel, no log. Layouts: doc/wire/nvs.md.
 */
#ifndef NVS_WIRE_H
#define NVS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hn/nvs_reg.h"

/* What a host sends. Numbers are as they came, checked only where it says so. */
struct nvs_msg {
	uint32_t type;
	union {
		struct {
			uint32_t status;	/* NVS_S_OK: the version is taken */
		} init;
		/* One section at offset 0, count * size within the buffer that
		 * nvs_get() was told of: checked. */
		struct {
			uint32_t status;
			uint32_t section_size, n_sections;
		} recv_buf;
		struct {
			uint32_t status;
			uint32_t section_size;	/* 0: there is no send buffer */
		} send_buf;
		struct {
			bool control;
		} rndis;
		struct {
			uint32_t status;
		} rndis_complete;
		struct {
			bool present;
			uint32_t serial;
		} vf;
		struct {
			enum nvs_path path;	/* checked */
		} data_path;
		struct {
			uint32_t status, count;
		} subchannel;
		struct {
			uint32_t entry[NVS_INDIRECTIONS];
		} indirection;
	};
};

/* recv_buf_len: of the receive buffer that was offered, 0 if none was; version:
 * what was negotiated, 0 before. An empty message (len 0) is the completion of
 * a data path switch and nothing else: callers look at that themselves.
 * 0; -EMSGSIZE shorter than its type needs (msg->type is set if it has one);
 * -EPROTO numbers that cannot be; -EOPNOTSUPP a type that is not for guests. */
int nvs_get(struct nvs_msg *m, const void *buf, size_t len, uint32_t version,
	    size_t recv_buf_len);

/* Each writes NVS_MSG_SIZE bytes, the padding zero. */
void nvs_put_init(uint8_t out[NVS_MSG_SIZE], uint32_t version);
/* The NDIS version that fits the NVSP version. */
void nvs_put_ndis_version(uint8_t out[NVS_MSG_SIZE], uint32_t version);
/* mtu without the Ethernet header, bytes; caps: NVS_CAP_*. */
void nvs_put_ndis_config(uint8_t out[NVS_MSG_SIZE], uint32_t mtu, uint64_t caps);
void nvs_put_recv_buf(uint8_t out[NVS_MSG_SIZE], uint32_t gpadl);
void nvs_put_send_buf(uint8_t out[NVS_MSG_SIZE], uint32_t gpadl);
void nvs_put_revoke_recv_buf(uint8_t out[NVS_MSG_SIZE]);
void nvs_put_revoke_send_buf(uint8_t out[NVS_MSG_SIZE]);
/* section: NVS_NO_SECTION, or the index of the send section in which `used`
 * bytes of RNDIS messages lie. */
void nvs_put_rndis(uint8_t out[NVS_MSG_SIZE], bool control, uint32_t section,
		   uint32_t used);
void nvs_put_rndis_complete(uint8_t out[NVS_MSG_SIZE], uint32_t status);
void nvs_put_switch_data_path(uint8_t out[NVS_MSG_SIZE], enum nvs_path path);
void nvs_put_subchannel(uint8_t out[NVS_MSG_SIZE], uint32_t count);

const char *nvs_type_name(uint32_t type);	/* "init" ..., "unknown" */

#endif
