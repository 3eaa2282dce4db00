/* vss/history_writer.h - a thread that writes the history's files, so that a
 * file system that does not answer keeps only the thread.
 */
#ifndef VSS_HISTORY_WRITER_H
#define VSS_HISTORY_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"

struct history_writer;

/* What to write; texts are the writer's from then on. */
struct history_job {
	char *lines;		/* to append to the history, or NULL */
	size_t n_lines;
	size_t trim;		/* then keep that many lines; 0: all */
	char *metrics;		/* the whole metrics file, or NULL */
};

struct history_done {
	int err;		/* of the lines: 0 or -errno */
	size_t n_lines;		/* that were in the job */
	int trimmed;		/* lines kept, -errno, or 0: not asked to */
	int metrics_err;
};

/* done is called from the loop. metrics may be NULL. NULL with errno set. */
struct history_writer *history_writer_new(struct loop *l, const char *file,
	const char *metrics,
	void (*done)(void *arg, const struct history_done *d), void *arg);
/* Waits for a job in hand, for patience_ms; then leaves the thread behind,
 * which frees what it holds when it comes back. NULL is fine. */
void history_writer_free(struct history_writer *w, unsigned patience_ms);

/* One job at a time: false, and the job stays the caller's, while one is in
 * hand or its end was not told yet. */
bool history_writer_start(struct history_writer *w,
			  const struct history_job *job);
/* Wait until the thread is idle, at most that long. Is it? */
bool history_writer_wait(struct history_writer *w, unsigned patience_ms);
/* If a job has ended, call done now instead of from the loop. */
void history_writer_reap(struct history_writer *w);

#endif
