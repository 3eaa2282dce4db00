/* base/log.h - what a program says to its operator.
 *
 * One line a call, without a newline; err and warn name the thing that failed
 * and what became of it. Libraries and codecs do not log: the dispatcher or
 * main() does, once. Text that came from outside is printed with log_quote()
 * so that it cannot forge lines or drive a terminal.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_sink {
	LOG_TO_AUTO,	/* the journal under systemd, a terminal or pipe in the
			 * foreground, else syslog */
	LOG_TO_STDERR,	/* "name: level: text" */
	LOG_TO_JOURNAL,	/* stderr with the "<priority>" prefix journald reads */
	LOG_TO_SYSLOG,	/* facility daemon */
};

/* ident must outlive the log. May be called again to change the settings. */
void log_open(const char *ident, enum log_sink sink, bool foreground,
	      enum log_level level);
void log_close(void);
bool log_enabled(enum log_level level);

/* Instead of a sink, hand each line to fn (tests); NULL undoes it. */
void log_capture(void (*fn)(void *arg, enum log_level level, const char *line),
		 void *arg);

/* Keep lines to ourselves, because writing one may block: to a frozen file
 * system, or to a logger that waits for one. While held, a line goes to a
 * buffer of LOG_HOLD_BYTES, whose pages are touched when holding begins; there
 * is no allocation and no system call. false gives out what was held, in order,
 * and then says how many lines did not fit. It does not nest: one false undoes
 * any number of true. log_close() gives out, too. One thread only. */
enum { LOG_HOLD_BYTES = 65536 };
void log_hold(bool hold);

void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_err(...)	log_line(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...)	log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)	log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Copy `text`, at most `len` bytes of it, to out with quotes around it, control
 * characters and invalid UTF-8 as \xNN, and "..." when it did not fit.
 * Returns out, for use as a printf argument. cap is at least 8. */
const char *log_quote(char *out, size_t cap, const char *text, size_t len);

#endif
