/* prog/vss_last_error.h - how the last backup went, for the host to see: items
 * in the pool that the host reads (KVP pool 1). The VSS channel itself has no
 * room for it.
 *
 *   VSS.LastError    why it failed; gone at the next success
 *   VSS.LastResult   "application" or "file-system", and when that one began:
 *                    the last that did not fail
 *
 * The pool is a file, and its file system may not answer; a thread of its own
 * writes it.
 */
#ifndef PROG_VSS_LAST_ERROR_H
#define PROG_VSS_LAST_ERROR_H

#include <stdbool.h>

#define VSS_LAST_ERROR	"VSS.LastError"
#define VSS_LAST_RESULT	"VSS.LastResult"

struct vss_last_error;

/* state_dir must outlive it. NULL: no memory, no thread. */
struct vss_last_error *vss_last_error_new(const char *state_dir);
/* Waits for a write in hand, not for long. NULL is fine. */
void vss_last_error_free(struct vss_last_error *e);

/* why NULL: no error. */
void vss_last_error_set(struct vss_last_error *e, const char *why);
/* result: "application", "file-system"; started: RFC 3339, UTC. */
void vss_last_error_result(struct vss_last_error *e, const char *result,
			   const char *started);
/* Hold: write nothing. Waits for a write in hand, but not long. */
void vss_last_error_hold(struct vss_last_error *e, bool hold);

#endif
