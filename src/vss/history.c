/* vss/history.c - two halves become a record, and the record is told.
 *
 *   part arrives -> pending, until its other half is there or `wait` is over
 *                -> record(): recent, log line, metrics, callback, unsaved
 *                -> the writer's thread: the file -> forgotten here
 *
 * `recent` are the records that were told lately, also those read from the
 * file at the start: what the driver tells again on each new connection is
 * found there and passed over, and a late half is joined with what was told.
 *
 * While held nothing of this happens: parts of the daemon are put into
 * pending, and release() goes on from there. Sockets are paused. */
#include "vss/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/ctl_watch.h"
#include "base/log.h"
#include "vss/history_file.h"
#include "vss/history_rec.h"
#include "vss/history_writer.h"
#include "vss/vss_metrics.h"

enum {
	KEEP = 1000,
	WAIT_MS = 30000,
	RETRY_MS = 30000,
	LEAVE_MS = 2000,
	RECENT = 128,
	PENDING_MAX = 128,	/* then the oldest is told as it is */
	UNSAVED_MAX = 1000,	/* lines kept when the disk takes none */
	METRICS_FILE_MAX = 1 << 20,
};

struct pending {
	struct pending *next;
	json_t *driver, *daemon;
	uint64_t due_ms;
};

struct history {
	struct loop *loop;
	struct history_cfg cfg;
	char *file, *metrics_file, boot[40];
	struct ctl_watch *watch;
	struct history_writer *writer;
	struct vss_metrics *metrics;
	struct pending *pending;	/* the oldest first */
	size_t n_pending;
	struct loop_timer due, retry;
	json_t *recent;			/* the latest last */
	char *unsaved[UNSAVED_MAX];	/* lines with their newline */
	size_t n_unsaved, lost;
	size_t lines;			/* in the file */
	uint64_t told;
	int driver_err, said_file, said_metrics;
	bool held, writing, lines_due, metrics_due;
};

/* Writing ----------------------------------------------------------------- */

static char *joined(const struct history *h)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	for (size_t i = 0; f && i < h->n_unsaved; i++)
		fputs(h->unsaved[i], f);
	if (f && fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* Give the writer what there is to write. */
static void write_some(struct history *h)
{
	struct history_job job = { 0 };

	if (h->held || h->writing || (!h->lines_due && !h->metrics_due))
		return;			/* the end of the job comes here */
	if (h->lines_due && h->n_unsaved) {
		job.lines = joined(h);
		job.n_lines = job.lines ? h->n_unsaved : 0;
		if (h->lines + h->n_unsaved > 2 * h->cfg.keep)
			job.trim = h->cfg.keep;
	}
	if (h->metrics_due)
		job.metrics = vss_metrics_text(h->metrics, h->said_file ?
					       h->n_unsaved : 0);
	h->lines_due = h->metrics_due = false;
	h->writing = history_writer_start(h->writer, &job);
	if (!h->writing) {
		free(job.lines);
		free(job.metrics);
	}
}

static void say_trouble(int *said, int err, const char *file, const char *fate)
{
	char quoted[256];

	if (*said == err)
		return;
	log_quote(quoted, sizeof(quoted), file, strlen(file));
	if (err)
		log_warn("cannot write %s: %s; %s", quoted, strerror(-err),
			 fate);
	else
		log_info("%s is written again", quoted);
	*said = err;
}

static void forget_lines(struct history *h, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(h->unsaved[i]);
	h->n_unsaved -= n;
	memmove(h->unsaved, h->unsaved + n,
		h->n_unsaved * sizeof(*h->unsaved));
}

static void on_written(void *arg, const struct history_done *d)
{
	struct history *h = arg;
	int before = h->said_file;

	h->writing = false;
	if (d->n_lines)
		say_trouble(&h->said_file, d->err, h->file,
			    "records stay in memory and are tried again");
	if (h->metrics_file)
		say_trouble(&h->said_metrics, d->metrics_err, h->metrics_file,
			    "the metrics are not up to date");
	if (d->err)
		loop_timer_set(&h->retry, RETRY_MS);
	else
		forget_lines(h, d->n_lines);
	h->lines = d->trimmed > 0 ? (size_t)d->trimmed :
		   h->lines + (d->err ? 0 : d->n_lines);
	if (before != h->said_file)	/* the metrics tell of it */
		h->metrics_due = h->metrics_file != NULL;
	write_some(h);
}

static void on_retry(void *arg)
{
	struct history *h = arg;

	h->lines_due = true;
	write_some(h);
}

static void queue_line(struct history *h, const json_t *rec)
{
	char *text = json_dumps(rec, JSON_COMPACT), *line;
	size_t len = text ? strlen(text) : 0;

	line = text ? realloc(text, len + 2) : NULL;
	if (!line) {
		free(text);
		h->lost++;
		return;
	}
	memcpy(line + len, "\n", 2);
	if (h->n_unsaved == UNSAVED_MAX) {
		h->lost++;
		if (h->writing) {	/* the oldest are in its hands */
			free(line);
			return;
		}
		forget_lines(h, 1);
	}
	h->unsaved[h->n_unsaved++] = line;
	h->lines_due = true;
}

/* Telling ----------------------------------------------------------------- */

static void remember(struct history *h, json_t *rec)
{
	json_t *old;
	size_t i;

	json_array_foreach(h->recent, i, old)
		if (history_rec_replaces(rec, old)) {
			json_array_remove(h->recent, i);
			break;
		}
	json_array_append(h->recent, rec);
	if (json_array_size(h->recent) > RECENT)
		json_array_remove(h->recent, 0);
}

static void log_record(const json_t *rec)
{
	const char *result = history_text(rec, "result");
	const char *by = history_text(json_object_get(rec, "window"),
				      "thawed_by");
	char line[1024];

	history_rec_sentence(line, sizeof(line), rec);
	if (!strcmp(result, "checked"))
		log_debug("%s", line);
	else if (!strcmp(result, "failed") || !strcmp(result, "interrupted") ||
		 !strcmp(by, "guardian") || !strcmp(by, "restart"))
		log_warn("%s", line);
	else
		log_info("%s", line);
}

/* Takes the reference. */
static void record(struct history *h, json_t *rec)
{
	if (!rec)
		return;			/* no memory */
	remember(h, rec);
	h->told++;
	log_record(rec);
	vss_metrics_add(h->metrics, rec);
	h->metrics_due = h->metrics_file != NULL;
	queue_line(h, rec);
	if (h->cfg.recorded)
		h->cfg.recorded(h->cfg.arg, rec);
	json_decref(rec);
	write_some(h);
}

/* Pending ----------------------------------------------------------------- */

static void pending_free(struct pending *p)
{
	json_decref(p->driver);
	json_decref(p->daemon);
	free(p);
}

static bool is_whole(const struct pending *p)
{
	return p->driver && (p->daemon || !history_rec_wants_daemon(p->driver));
}

/* Tell what is whole or has waited enough; with `all`, everything. */
static void tell_pending(struct history *h, bool all)
{
	struct pending **at = &h->pending, *p;

	while ((p = *at)) {
		if (!all && !is_whole(p) && loop_now_ms(h->loop) < p->due_ms &&
		    h->n_pending <= PENDING_MAX) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		h->n_pending--;
		record(h, history_rec_join(p->driver, p->daemon));
		pending_free(p);
	}
}

static void settle(struct history *h)
{
	uint64_t now = loop_now_ms(h->loop), first = UINT64_MAX;

	if (h->held)
		return;
	tell_pending(h, false);
	for (struct pending *p = h->pending; p; p = p->next)
		if (p->due_ms < first)
			first = p->due_ms;
	loop_timer_cancel(&h->due);
	if (h->pending)
		loop_timer_set(&h->due, first > now ? first - now : 0);
}

static void on_due(void *arg)
{
	settle(arg);
}

/* Ids of a driver that was started again are used again. */
static bool fits(const struct pending *p, const json_t *rec)
{
	bool driver = history_rec_has_driver(rec);

	if (driver && p->daemon)
		return history_rec_fits(rec, p->daemon);
	if (!driver && p->driver)
		return history_rec_fits(p->driver, rec);
	return true;
}

static struct pending *pending_of(struct history *h, const json_t *rec)
{
	struct pending **at = &h->pending;

	for (; *at; at = &(*at)->next)
		if (history_rec_match((*at)->driver ? (*at)->driver :
						      (*at)->daemon, rec) &&
		    fits(*at, rec))
			return *at;
	*at = calloc(1, sizeof(**at));
	if (*at) {
		(*at)->due_ms = loop_now_ms(h->loop) + h->cfg.wait_ms;
		h->n_pending++;
	}
	return *at;
}

/* Parts ------------------------------------------------------------------- */

static json_t *recent_of(const struct history *h, const json_t *rec)
{
	for (size_t i = json_array_size(h->recent); i > 0; i--) {
		json_t *r = json_array_get(h->recent, i - 1);

		if (history_rec_match(r, rec))
			return r;
	}
	return NULL;
}

static void fill_in_boot(const struct history *h, json_t *rec)
{
	if (!*history_text(rec, "boot"))
		json_object_set_new(rec, "boot", json_string(h->boot));
}

static void fill_in_times(json_t *rec)
{
	struct timespec now, mono;
	char text[64], whole[32];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	gmtime_r(&now.tv_sec, &tm);
	strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03uZ", whole,
		 (unsigned)(now.tv_nsec / 1000000) % 1000);
	if (!json_object_get(rec, "started"))
		json_object_set_new(rec, "started", json_string(text));
	if (!json_object_get(rec, "at_us"))
		json_object_set_new(rec, "at_us", json_integer(
			mono.tv_sec * 1000000LL + mono.tv_nsec / 1000));
}

/* The driver's part, of a foreign process. */
static void driver_part(struct history *h, const json_t *foreign)
{
	json_t *rec = history_rec_clean(foreign), *known;
	struct pending *p;

	if (!rec || !history_rec_has_driver(rec)) {
		json_decref(rec);
		return;
	}
	/* These are the daemon's to tell. */
	json_object_del(rec, "mounts");
	json_object_del(rec, "window");
	fill_in_boot(h, rec);
	fill_in_times(rec);
	known = recent_of(h, rec);
	if (known && history_rec_has_driver(known) &&
	    history_int(known, "at_us") == history_int(rec, "at_us")) {
		json_decref(rec);
		return;
	}
	p = pending_of(h, rec);
	if (!p || p->driver) {
		json_decref(rec);
		return;
	}
	p->driver = rec;
	if (known && !history_rec_has_driver(known) && !p->daemon &&
	    history_rec_fits(rec, known))
		p->daemon = json_deep_copy(known);
	settle(h);
}

/* The words of vssd.h for what a record calls otherwise. */
static json_t *clean_part(const json_t *part)
{
	json_t *rec = history_rec_clean(part);
	json_t *window = json_object_get(rec, "window");
	json_t *by = json_object_get(part, "thawed_by");
	json_t *error = json_object_get(part, "error");

	if (rec && json_is_string(error) && !json_object_get(rec, "why"))
		json_object_set(rec, "why", error);
	if (window && json_is_string(by) &&
	    !json_object_get(window, "thawed_by"))
		json_object_set(window, "thawed_by", by);
	return rec;
}

void history_part(struct history *h, json_t *part)
{
	json_t *rec = clean_part(part), *known;
	struct pending *p;

	json_decref(part);
	if (!rec)
		return;
	fill_in_boot(h, rec);
	fill_in_times(rec);
	p = pending_of(h, rec);
	if (!p) {
		json_decref(rec);
		return;
	}
	known = p->driver ? NULL : recent_of(h, rec);
	if (known && history_rec_has_driver(known) &&
	    !history_rec_has_daemon(known) &&
	    history_rec_wants_daemon(known) && history_rec_fits(known, rec))
		p->driver = json_deep_copy(known);
	if (p->daemon) {		/* and when it began stays */
		json_object_del(rec, "started");
		json_object_del(rec, "at_us");
		json_object_update(p->daemon, rec);
		json_decref(rec);
	} else {
		p->daemon = rec;
	}
	settle(h);
}

static void on_line(void *arg, json_t *line)
{
	json_t *list = json_object_get(line, "backups"), *one;
	const char *error = history_text(line, "error");
	struct history *h = arg;
	char quoted[128];
	size_t i;

	if (json_object_get(line, "backup"))
		driver_part(h, json_object_get(line, "backup"));
	json_array_foreach(list, i, one)
		driver_part(h, one);
	if (json_object_get(line, "error"))
		log_warn("the driver does not tell about its backups: %s",
			 log_quote(quoted, sizeof(quoted), error,
				   strlen(error)));
}

static void on_driver(void *arg, int err)
{
	struct history *h = arg;

	h->driver_err = err;
	if (err == -EACCES)
		log_warn("no permission to ask the driver about backups; the "
			 "history will have the file systems' part only");
}

/* The window -------------------------------------------------------------- */

void history_hold(struct history *h, unsigned patience_ms)
{
	if (h->held)
		return;
	h->held = true;
	if (h->watch)
		ctl_watch_pause(h->watch, true);
	loop_timer_cancel(&h->due);
	loop_timer_cancel(&h->retry);
	history_writer_wait(h->writer, patience_ms);
}

void history_release(struct history *h)
{
	if (!h->held)
		return;
	h->held = false;
	settle(h);
	write_some(h);
	if (h->watch)
		ctl_watch_pause(h->watch, false);
}

/* ------------------------------------------------------------------------ */

static void read_boot_id(char *out, size_t cap)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, cap - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* What a predecessor counted. */
static void load_metrics(struct history *h)
{
	int fd = open(h->metrics_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW |
		      O_NONBLOCK);
	struct stat st;
	char *text = NULL;
	ssize_t n = 0;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_size <= METRICS_FILE_MAX)
		text = malloc((size_t)st.st_size + 1);
	if (text)
		n = read(fd, text, (size_t)st.st_size);
	if (n > 0)
		vss_metrics_load(h->metrics, text, (size_t)n);
	free(text);
	close(fd);
}

static void load_records(struct history *h)
{
	json_t *old = history_file_read(h->file, RECENT, &h->lines), *rec;
	size_t i;

	if (!old && errno != ENOENT)
		say_trouble(&h->said_file, -errno, h->file,
			    "what it holds is not known");
	json_array_foreach(old, i, rec) {
		json_array_append(h->recent, rec);
		vss_metrics_recall(h->metrics, rec);
	}
	json_decref(old);
}

static const char *const driver_commands[] = { "vss-backups", "vss-watch",
					       NULL };

static int start(struct history *h)
{
	const struct ctl_watch_cfg watch = {
		.path = h->cfg.driver_ctl, .commands = driver_commands,
		.line = on_line, .state = on_driver, .arg = h,
	};

	h->file = strdup(h->cfg.file);
	if (h->cfg.metrics && *h->cfg.metrics)
		h->metrics_file = strdup(h->cfg.metrics);
	h->metrics = vss_metrics_new();
	h->recent = json_array();
	if (!h->file || !h->metrics || !h->recent ||
	    (!h->metrics_file && h->cfg.metrics && *h->cfg.metrics))
		return -ENOMEM;
	h->writer = history_writer_new(h->loop, h->file, h->metrics_file,
				       on_written, h);
	if (!h->writer)
		return -errno;
	if (h->metrics_file)
		load_metrics(h);
	load_records(h);
	if (!h->cfg.driver_ctl)
		return 0;
	h->watch = ctl_watch_new(h->loop, &watch);
	return h->watch ? 0 : -ENOMEM;
}

struct history *history_new(struct loop *l, const struct history_cfg *cfg)
{
	struct history *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return NULL;
	h->loop = l;
	h->cfg = *cfg;
	h->driver_err = -ENOTCONN;
	if (!h->cfg.keep)
		h->cfg.keep = KEEP;
	if (!h->cfg.wait_ms)
		h->cfg.wait_ms = WAIT_MS;
	loop_timer_init(&h->due, l, on_due, h);
	loop_timer_init(&h->retry, l, on_retry, h);
	read_boot_id(h->boot, sizeof(h->boot));
	err = start(h);
	if (!err) {
		h->metrics_due = h->metrics_file != NULL;
		write_some(h);
		return h;
	}
	history_free(h);
	errno = -err;
	return NULL;
}

/* What is left is written, if the disk answers soon. */
static void leave(struct history *h)
{
	h->held = false;
	tell_pending(h, true);
	for (int i = 0; i < 2 && h->writing; i++)
		if (history_writer_wait(h->writer, LEAVE_MS))
			history_writer_reap(h->writer);
}

void history_free(struct history *h)
{
	if (!h)
		return;
	ctl_watch_free(h->watch);
	if (h->writer)
		leave(h);
	loop_timer_cancel(&h->due);
	loop_timer_cancel(&h->retry);
	history_writer_free(h->writer, LEAVE_MS);
	while (h->pending) {
		struct pending *next = h->pending->next;

		pending_free(h->pending);
		h->pending = next;
	}
	forget_lines(h, h->n_unsaved);
	vss_metrics_free(h->metrics);
	json_decref(h->recent);
	free(h->file);
	free(h->metrics_file);
	free(h);
}

json_t *history_status(const struct history *h)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}",
			 "records", (json_int_t)h->told,
			 "waiting", (json_int_t)h->n_pending,
			 "unsaved", (json_int_t)h->n_unsaved,
			 "lost", (json_int_t)h->lost,
			 "driver", h->driver_err ? strerror(-h->driver_err) :
						   "connected",
			 "file", h->file);
}
