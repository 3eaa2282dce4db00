/* vss/history_file.h - the file of records, one JSON object a line.
 *
 * A line is written in one piece and counts from its newline on: what a crash
 * left of a torn one is passed over by readers and cut off by the next writer.
 * The file may be renamed over at any time; writers lock it (flock).
 * Blocking calls.
 */
#ifndef VSS_HISTORY_FILE_H
#define VSS_HISTORY_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Append whole lines, on the disk when this returns. 0 or -errno (-ENOSPC:
 * nothing of it is there). Makes the file (0640) and its directory. */
int history_file_append(const char *path, const char *text, size_t len);

/* Keep the last `keep` lines: a new file takes the old one's place in one
 * step. Returns lines kept, or -errno, and then nothing has changed. */
int history_file_trim(const char *path, size_t keep);

/* The last `most` records, oldest first, cleaned (history_rec_clean()), of a
 * backup told twice the last account. A new array, or NULL with errno set
 * (ENOENT: no file yet). *lines (may be NULL): whole lines in the file. */
json_t *history_file_read(const char *path, size_t most, size_t *lines);

/* Write text to a temporary file beside path, then rename it: readers see the
 * old or the new. 0 or -errno. */
int history_file_replace(const char *path, const char *text, size_t len,
			 mode_t mode, bool sync);

#endif
