/* host/host_trace.h - what went over the channels, as text: one JSON object a
 * line, the first line naming the format. hvhost-scenario(5) describes it.
 *
 *   {"trace": "hyperv-ic", "version": 1, "profile": "ws2022", ...}
 *   {"t_ms": 12, "ch": "kvp", "event": "open"}
 *   {"t_ms": 12, "ch": "kvp", "dir": "h2g", "type": 6, "flags": 0, "xact": 0,
 *    "len": 56, "hex": "0100..."}
 *
 * hex leaves out the zero bytes at the end; len counts them.
 */
#ifndef HOST_TRACE_H
#define HOST_TRACE_H

#include <stdio.h>

#include "base/loop.h"
#include "vmbus/packet.h"

struct host_trace;

/* Write a new trace to path, replacing what is there. NULL with errno set. */
struct host_trace *host_trace_create(struct loop *l, const char *path,
				     const char *profile);
/* 0, or -errno: it was not written whole. NULL is fine, everywhere. */
int host_trace_close(struct host_trace *t);
void host_trace_packet(struct host_trace *t, const char *ch, bool to_guest,
		       const struct packet *p);
/* ch is NULL for what concerns the whole guest. */
void host_trace_event(struct host_trace *t, const char *ch, const char *event);

enum { HOST_TRACE_NAME = 32 };

struct host_trace_line {
	unsigned number;		/* in the file, from 1 */
	uint64_t t_ms;
	char ch[HOST_TRACE_NAME];	/* "" for the whole guest */
	char event[HOST_TRACE_NAME];	/* "" for a packet */
	bool to_guest;
	uint16_t type, flags;
	uint64_t xact;
	uint8_t *data;
	size_t len;
};

struct host_trace_file {
	char profile[HOST_TRACE_NAME];
	size_t n, cap;
	struct host_trace_line *lines;
};

/* Read a whole trace. 0, or -errno (-EINVAL: not a trace) and a sentence with
 * file and line in err. */
int host_trace_read(struct host_trace_file *f, const char *path, char *err,
		    size_t err_len);
void host_trace_free(struct host_trace_file *f);

/* A line a packet or event, decoded as far as it makes sense. `request` is the
 * last packet to the guest on this channel, for the answers that do not say
 * what they answer; may be NULL. */
void host_trace_print(FILE *out, const struct host_trace_line *l,
		      const struct host_trace_line *request);

#endif
