/* base/log.c - lines to stderr, the journal or syslog. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/utf16.h"

enum { LINE_MAX_BYTES = 2048 };

static struct {
	const char *ident;
	enum log_sink sink;
	enum log_level level;
	void (*capture)(void *arg, enum log_level level, const char *line);
	void *capture_arg;
} log_state = { .ident = "hv", .sink = LOG_TO_STDERR, .level = LOG_LEVEL_INFO };

/* Lines that wait, one behind the other: a byte of level, text, NUL. */
static struct {
	bool on;
	size_t used;
	unsigned lost;
	char lines[LOG_HOLD_BYTES];
} held;

static const struct {
	const char *name;
	int priority;			/* of syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERR] = { "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};

/* systemd sets JOURNAL_STREAM for a service whose stderr is the journal. */
static enum log_sink choose_sink(bool foreground)
{
	if (getenv("JOURNAL_STREAM"))
		return LOG_TO_JOURNAL;
	return foreground ? LOG_TO_STDERR : LOG_TO_SYSLOG;
}

void log_open(const char *ident, enum log_sink sink, bool foreground,
	      enum log_level level)
{
	log_close();
	log_state.ident = ident;
	log_state.level = level;
	log_state.sink = sink == LOG_TO_AUTO ? choose_sink(foreground) : sink;
	if (log_state.sink == LOG_TO_SYSLOG)
		openlog(ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_close(void)
{
	log_hold(false);
	if (log_state.sink == LOG_TO_SYSLOG)
		closelog();
	log_state.sink = LOG_TO_STDERR;
}

bool log_enabled(enum log_level level)
{
	return level <= log_state.level;
}

void log_capture(void (*fn)(void *arg, enum log_level level, const char *line),
		 void *arg)
{
	log_state.capture = fn;
	log_state.capture_arg = arg;
}

/* One write a line, so that lines of several processes do not mix. */
static void write_stderr(const char *prefix, const char *text)
{
	char line[LINE_MAX_BYTES + 128];
	int n = snprintf(line, sizeof(line), "%s%s\n", prefix, text);
	ssize_t done;

	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	done = write(STDERR_FILENO, line, (size_t)n);
	(void)done;			/* nowhere to complain to */
}

static void deliver(enum log_level level, const char *text)
{
	char prefix[96];

	if (log_state.capture) {
		log_state.capture(log_state.capture_arg, level, text);
		return;
	}
	switch (log_state.sink) {
	case LOG_TO_SYSLOG:
		syslog(levels[level].priority, "%s", text);
		return;
	case LOG_TO_JOURNAL:
		snprintf(prefix, sizeof(prefix), "<%d>", levels[level].priority);
		break;
	case LOG_TO_AUTO:
	case LOG_TO_STDERR:
		snprintf(prefix, sizeof(prefix), "%s: %s: ", log_state.ident,
			 levels[level].name);
		break;
	}
	write_stderr(prefix, text);
}

/* Once one line did not fit none does, so that no hole is in the middle. */
static void keep(enum log_level level, const char *text)
{
	size_t len = strlen(text) + 1;

	if (held.lost || 1 + len > sizeof(held.lines) - held.used) {
		held.lost++;
		return;
	}
	held.lines[held.used++] = (char)level;
	memcpy(held.lines + held.used, text, len);
	held.used += len;
}

static void give_out(void)
{
	for (size_t at = 0; at < held.used;
	     at += 1 + strlen(held.lines + at + 1) + 1)
		deliver((enum log_level)held.lines[at], held.lines + at + 1);
	if (held.lost)
		log_warn("%u more lines were lost while lines could not be written",
			 held.lost);
}

void log_hold(bool hold)
{
	if (hold == held.on)
		return;
	held.on = hold;
	if (!hold) {
		give_out();
		return;
	}
	held.used = 0;
	held.lost = 0;
	memset(held.lines, 0, sizeof(held.lines));
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (!log_enabled(level) && !log_state.capture)
		return;
	va_start(ap, fmt);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is started,
	 * the analyser of clang 14 loses track of it when files are many */
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (held.on)
		keep(level, text);
	else
		deliver(level, text);
}

static bool is_plain(const char *s, size_t n)
{
	return n > 1 || ((unsigned char)*s >= 0x20 && *s != 0x7f && *s != '"' &&
			 *s != '\\');
}

/* Bytes of the UTF-8 character at s, 0 when it is none. */
static size_t char_len(const char *s, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (utf8_valid(s, n))
			return n;
	return 0;
}

const char *log_quote(char *out, size_t cap, const char *text, size_t len)
{
	size_t at = 0, used = 0;

	out[used++] = '"';
	while (at < len && text[at] != '\0') {
		size_t n = char_len(text + at, len - at);
		bool plain = n > 0 && is_plain(text + at, n);
		size_t need = plain ? n : 4;

		if (used + need + sizeof("...\"") > cap)
			break;
		if (plain)
			memcpy(out + used, text + at, n);
		else
			snprintf(out + used, 5, "\\x%02x",
				 (unsigned char)text[at]);
		used += need;
		at += plain ? n : 1;
	}
	snprintf(out + used, cap - used, "%s\"",
		 at < len && text[at] != '\0' ? "..." : "");
	return out;
}
