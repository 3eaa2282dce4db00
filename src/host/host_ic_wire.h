/* host/host_ic_wire.h - the host's own reading and writing of integration
 * component messages: pipe header, IC header, negotiation body.
 *
 * Written from the tables of doc/wire/ic.md and sharing nothing with the
 * guest's codec, so that a layout mistake on one side fails instead of
 * cancelling out. No state, no log; a decoder says what is wrong in a
 * sentence because the host reports it to people.
 */
#ifndef HOST_IC_WIRE_H
#define HOST_IC_WIRE_H

#include <sys/types.h>

#include "base/rd.h"
#include "base/wr.h"
#include "ic/hv_utilreg.h"

enum { HOST_IC_HEAD = HV_IC_PIPE_HDR + HV_IC_HDR };	/* 28 bytes */

struct host_ic_msg {
	uint32_t pipe_kind;
	uint32_t pipe_len;	/* bytes after the pipe header */
	uint32_t framework;	/* HV_IC_VERSION() */
	uint32_t version;
	uint16_t type;		/* enum hv_ic_type */
	uint16_t body_len;	/* bytes */
	uint32_t status;
	uint8_t xact, flags;
	uint16_t reserved;
	const uint8_t *body;	/* inside the buffer that was read */
};

/* A list of versions, in the order in which it is sent. */
enum { HOST_IC_VERSIONS = 12 };
struct host_versions {
	unsigned n;
	uint32_t v[HOST_IC_VERSIONS];
};

/* What a guest chose. */
struct host_ic_choice {
	uint16_t n_framework, n_message;	/* 1 and 1 when it chose */
	uint32_t framework, message;
};

/* Read one message from a packet's payload of len bytes, padding included.
 * 0, or -EBADMSG and *why; m then holds what could be read. */
int host_ic_get(struct host_ic_msg *m, const void *buf, size_t len,
		const char **why);

/* Append the headers and the body m->body[0..body_len). pipe_len is computed,
 * pipe_kind and everything else taken as it is. */
void host_ic_put(struct wr *w, const struct host_ic_msg *m);

/* Append the body of a negotiation. */
void host_ic_put_versions(struct wr *w, const struct host_versions *framework,
			  const struct host_versions *message);

/* Read the body of a guest's reply to it. 0, or -EBADMSG: under 16 bytes. */
int host_ic_get_choice(struct host_ic_choice *c, const void *body, size_t len);

/* "3.0", or "none" for 0; returns out. */
enum { HOST_VERSION_TEXT = 12 };
char *host_version_text(char out[HOST_VERSION_TEXT], uint32_t version);
/* "3.0" as a number. 0, or -EINVAL. */
int host_version_parse(uint32_t *version, const char *text);

/* A status code's name for people and scenario files, "0x..." if it has none;
 * the answer may point to a static buffer that the next call overwrites. */
const char *host_status_name(uint32_t status);
/* The other way round; hexadecimal is read too. 0, or -EINVAL. */
int host_status_parse(uint32_t *status, const char *name);

#endif
