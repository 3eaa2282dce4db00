/* base/ctl.h - the control socket that every program answers on: JSON, one
 * object a line, over a Unix stream socket.
 *
 *   request   {"cmd": "status", ...}
 *   reply     {"ok": true, ...}  or  {"ok": false, "error": "for people"}
 *   stream    some commands keep the connection and send further lines
 *
 * A request line is at most CTL_LINE_MAX bytes. Clients are untrusted; the
 * socket's mode decides who may connect.
 */
#ifndef BASE_CTL_H
#define BASE_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"

enum { CTL_LINE_MAX = 65536 };

struct ctl;
struct ctl_conn;

/* One command. Return a new reference: the reply's members, "ok" is added
 * ({"error": ...} makes it false); or NULL: the handler replies later with
 * ctl_reply(), or streams. */
struct ctl_command {
	const char *name;
	json_t *(*fn)(void *arg, struct ctl_conn *c, json_t *request);
};

/* commands ends with a NULL name. NULL with errno set. */
struct ctl *ctl_new(struct loop *l, const char *path, mode_t mode,
		    const struct ctl_command *commands, void *arg);
void ctl_free(struct ctl *c);			/* NULL is fine */

/* Held, it accepts nobody and reads nothing: no request is served, and nothing
 * allocates for one. They wait. */
void ctl_hold(struct ctl *c, bool hold);

/* Send a line and drop the reference to it. 0, or -EPIPE: the client left or
 * does not read; the connection is then closed. */
int ctl_reply(struct ctl_conn *c, json_t *line);
/* Called when the client leaves, however it leaves; for streams and for
 * replies still owed. */
void ctl_on_close(struct ctl_conn *c, void (*fn)(void *arg, struct ctl_conn *c),
		  void *arg);
/* It streams: never closed to make room for another client. */
void ctl_keep(struct ctl_conn *c);
json_t *ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The client's side, blocking. */

/* Connect, ask, wait for one line. 0 and *reply (a new reference); -errno:
 * -ENOENT/-ECONNREFUSED nobody there, -ETIMEDOUT, -EPROTO no JSON. */
int ctl_call(const char *path, json_t *request, int timeout_ms,
	     json_t **reply);		/* drops the reference to request */
/* For streams: a connected descriptor, then a line at a time. */
struct ctl_stream {
	int fd;
	char *buf;		/* bytes read and not yet given out */
	size_t len, cap;
	size_t scanned;		/* bytes known to hold no newline */
};

int ctl_stream_open(struct ctl_stream *s, const char *path, json_t *request);
/* timeout_ms -1 waits for ever. Errors as ctl_call(); -EPIPE at the end. */
int ctl_stream_next(struct ctl_stream *s, int timeout_ms, json_t **line);
void ctl_stream_close(struct ctl_stream *s);

#endif
