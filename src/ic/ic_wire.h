/* ic/ic_wire.h - the guest's half of the integration-component framing: read
 * what a host sends, write what a guest answers. No state, no I/O.
 *
 * A message is the payload of an in-band packet: pipe header (8 bytes), IC
 * header (20), body. Offsets: doc/wire/ic.md.
 * Source: Linux include/linux/hyperv.h, vmbuspipe_hdr and icmsg_hdr.
 */
#ifndef IC_WIRE_H
#define IC_WIRE_H

#include "base/rd.h"
#include "base/wr.h"
#include "ic/hv_utilreg.h"

enum { IC_WIRE_HDR = HV_IC_PIPE_HDR + HV_IC_HDR };	/* bytes before the body */

struct ic_hdr {
	uint32_t framework, version;	/* HV_IC_VERSION(), 0.0 when negotiating */
	uint16_t type;			/* enum hv_ic_type */
	uint16_t body_len;		/* bytes, as the sender claims */
	uint32_t status;		/* HRESULT, 0 in requests */
	uint8_t xact;			/* echo it */
	uint8_t flags;
};

/* Read both headers. r is left at the body, cut to the smallest of what the
 * pipe header, the IC header and the packet allow.
 * 0; -EBADMSG not a pipe data message, or shorter than its headers: nothing
 * in h can be used; -EMSGSIZE the headers are whole but claim more bytes than
 * there are: h can be answered, the body cannot be used. */
int ic_hdr_get(struct ic_hdr *h, struct rd *r);

/* Write both headers for a body of h->body_len bytes that follows. pipe_len is
 * what the pipe header claims: at least HV_IC_HDR + body_len. */
void ic_hdr_put(struct wr *w, const struct ic_hdr *h, uint32_t pipe_len);

/* Negotiation: the body holds u16 framework count, u16 message count, u32
 * reserved, then both lists of {u16 major, u16 minor}. */
enum { IC_MAX_VERSIONS = 100 };	/* a list; Linux' limit too */

struct ic_versions {
	unsigned n_frameworks, n_versions;
	uint32_t frameworks[IC_MAX_VERSIONS], versions[IC_MAX_VERSIONS];
};

/* 0; -EBADMSG a count of 0 or above the limit, or a list past the end. */
int ic_versions_get(struct ic_versions *v, struct rd *body);

/* The first of own[] (best first) that is anywhere in list[]; 0 when none. */
uint32_t ic_version_choose(const uint32_t *own, unsigned n_own,
			   const uint32_t *list, unsigned n_list);

enum { IC_CHOICE_BODY = 16 };	/* bytes of the answer's body */

/* The answer's body: counts 1 and 1 and the choice; with either 0, counts 0
 * and 0, which is how a guest says that nothing suits it. */
void ic_choice_put(struct wr *w, uint32_t framework, uint32_t version);

#endif
