/* host/host_replay.h - play a trace's host against a live guest and compare
 * what the guest says with what it said then.
 *
 * Order counts, times do not: each packet is sent when everything before it
 * in the trace has happened again. Compared is what a guest of the same kind
 * would say anywhere; masked is what belongs to a place or a moment:
 *
 *   packet     type, VMBus transaction id
 *   IC header  type, versions, status, transaction id, transaction and
 *              response flags; not the length (guests pad differently)
 *   negotiate  both chosen versions
 *   pool 0, 3  key, type and value
 *   pool 2     key and type; values are facts about the machine
 *   pool 1     that there is a record; its keys carry boot times and ids
 *   IP         that it can be read
 *   backups    the flags of check and dm-info
 */
#ifndef HOST_REPLAY_H
#define HOST_REPLAY_H

#include "host/host_trace.h"

struct host_replay;

struct host_replay_cfg {
	const char *path;		/* the bus' socket */
	const struct host_trace_file *trace;	/* must outlive it */
	unsigned patience_ms;		/* with the guest, for each event */
	/* Something differs; line is that of the trace, 0: behind its end. */
	void (*differs)(void *arg, unsigned line, const char *text);
	void (*done)(void *arg, unsigned differences, bool complete);
	void *arg;
};

/* NULL with errno set. */
struct host_replay *host_replay_new(struct loop *l,
				    const struct host_replay_cfg *cfg);
void host_replay_free(struct host_replay *r);	/* NULL is fine */

/* Does this packet differ from the one in the trace? request: the packet to
 * the guest before it on the channel, or NULL. True with a sentence. */
bool host_replay_differs(char *text, size_t text_len,
			 const struct host_trace_line *was,
			 const struct host_trace_line *request,
			 const struct packet *now);

#endif
