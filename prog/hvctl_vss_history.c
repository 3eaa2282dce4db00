/* prog/hvctl_vss_history.c - hvctl vss history and last.
 *
 * The history file is read directly, so these commands work when nothing runs.
 * hv_utilsd is asked for what it knows and the file does not have yet: the
 * daemon writes a record some moments after the backup's end, or not at all
 * when it is dead. */
#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/ctl.h"
#include "hvctl_vss.h"
#include "vss/history.h"
#include "vss/history_file.h"
#include "vss/history_rec.h"

enum {
	HISTORY_DEFAULT = 20,
	FIND_MOST = 100000,	/* records among which an id is looked for */
	CHECK_LEADS_S = 60,	/* a freeze so soon belongs to the check */
	PIPE_COLUMNS = 90,
};

/* Records ----------------------------------------------------------------- */

json_t *hvctl_vss_ask(struct hvctl *c, const char *program, const char *cmd)
{
	char path[CONF_PATH_MAX], name[64];
	json_t *reply = NULL;

	snprintf(name, sizeof(name), "%s.ctl", program);
	if (conf_path(path, c->conf.run_dir, name) < 0 ||
	    ctl_call(path, json_pack("{s:s}", "cmd", cmd), VSS_ANSWER_MS,
		     &reply) < 0)
		return NULL;
	return reply;
}

/* Put the driver's record where it belongs: nowhere if the file has it. */
static void merge(json_t *records, json_t *driver)
{
	json_t *known, *whole;
	size_t i;

	json_array_foreach(records, i, known) {
		if (!history_rec_match(known, driver))
			continue;
		if (history_rec_has_driver(known)) {
			if (history_int(known, "at_us") ==
			    history_int(driver, "at_us"))
				return;
		} else if (history_rec_fits(driver, known)) {
			whole = history_rec_join(driver, known);
			json_array_set_new(records, i, whole);
			return;
		}
	}
	json_array_append(records, driver);
}

static void merge_driver(struct hvctl *c, json_t *records)
{
	json_t *reply = hvctl_vss_ask(c, "hv_utilsd", "vss-backups");
	json_t *list = json_object_get(reply, "backups"), *foreign;
	size_t i;

	json_array_foreach(list, i, foreign) {
		json_t *rec = history_rec_clean(foreign);

		if (rec && history_rec_has_driver(rec))
			merge(records, rec);
		json_decref(rec);
	}
	json_decref(reply);
}

static int by_start(const void *a, const void *b)
{
	return strcmp(history_text(*(json_t *const *)a, "started"),
		      history_text(*(json_t *const *)b, "started"));
}

/* The last `most`, the oldest first. */
static json_t *sorted(json_t *records, size_t most)
{
	size_t n = json_array_size(records), skip = n > most ? n - most : 0;
	json_t **all = calloc(n + 1, sizeof(json_t *)), *out = json_array();

	for (size_t i = 0; all && i < n; i++)
		all[i] = json_array_get(records, i);
	if (all)
		qsort(all, n, sizeof(json_t *), by_start);
	for (size_t i = skip; all && i < n; i++)
		json_array_append(out, all[i]);
	free(all);
	json_decref(records);
	return out;
}

/* 0 and *records, or an exit code. */
static int load(struct hvctl *c, size_t most, json_t **records)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", c->conf.state_dir, HISTORY_FILE);
	*records = history_file_read(path, most, NULL);
	if (!*records && errno != ENOENT && errno != ENOTDIR)
		return hvctl_fail(errno == EACCES ? HVCTL_REFUSED : HVCTL_IO,
				  "%s: %s", hvctl_quote(path),
				  strerror(errno));
	if (!*records)
		*records = json_array();
	merge_driver(c, *records);
	*records = sorted(*records, most);
	return 0;
}

bool hvctl_vss_good(const json_t *rec)
{
	const char *result = history_text(rec, "result");

	return !strcmp(result, "application") ||
	       !strcmp(result, "file-system") || !strcmp(result, "checked");
}

/* history ----------------------------------------------------------------- */

static bool is_check(const json_t *rec)
{
	return !strcmp(history_text(rec, "result"), "checked");
}

/* Did the host go beyond asking? */
static bool is_backup(const json_t *rec)
{
	json_t *step, *host = json_object_get(rec, "host");
	size_t i;

	if (!history_rec_has_driver(rec))
		return true;
	json_array_foreach(host, i, step)
		if (!strcmp(history_text(step, "op"), "freeze"))
			return true;
	return false;
}

static bool leads_to(const json_t *check, const json_t *backup)
{
	json_int_t from = history_int(check, "at_us");
	json_int_t to = history_int(backup, "at_us");

	return from >= 0 && to >= from &&
	       to - from <= (json_int_t)CHECK_LEADS_S * 1000000 &&
	       !strcmp(history_text(check, "boot"),
		       history_text(backup, "boot"));
}

/* Hosts check before each freeze. A check that went well and that its backup
 * followed says nothing that this does not. */
static void drop_checks(json_t *records)
{
	json_t *backup = NULL;

	for (size_t i = json_array_size(records); i-- > 0;) {
		json_t *rec = json_array_get(records, i);

		if (is_backup(rec))
			backup = rec;
		else if (is_check(rec) && backup && leads_to(rec, backup))
			json_array_remove(records, i);
	}
}

static void seconds(char out[32], json_int_t us)
{
	if (us < 0)
		strcpy(out, "-");
	else
		timeline_time(out, (double)us / 1000);
}

static size_t frozen_mounts(const json_t *rec)
{
	json_t *mounts = json_object_get(rec, "mounts"), *m;
	size_t i, n = 0;

	json_array_foreach(mounts, i, m)
		n += !strcmp(history_text(m, "outcome"), "thawed");
	return n;
}

static const char *const history_head[] = {
	"STARTED (UTC)", "RESULT", "TOOK", "FROZEN", "FS", "APPS", "ID", "WHY",
};
enum { HISTORY_COLUMNS = sizeof(history_head) / sizeof(history_head[0]) };

static const char *why_of(const json_t *rec)
{
	const char *why = history_text(rec, "why");

	if (!*why && !strcmp(history_text(rec, "result"), "file-system") &&
	    !json_array_size(json_object_get(rec, "applications")))
		return "no application takes part";
	return why;
}

static int add_history_row(struct hvctl_table *t, const json_t *rec)
{
	const char *by = history_text(json_object_get(rec, "window"),
				      "thawed_by");
	char took[32], frozen[64], fs[24], apps[24], when[24];
	const char *const row[] = {
		when, history_text(rec, "result"), took, frozen, fs, apps,
		history_text(rec, "id"), why_of(rec),
	};

	snprintf(when, sizeof(when), "%.19s", history_text(rec, "started"));
	if (strlen(when) == 19 && when[10] == 'T')
		when[10] = ' ';
	seconds(took, history_int(rec, "took_us"));
	seconds(frozen, history_int(json_object_get(rec, "window"),
				    "frozen_us"));
	if (!strcmp(by, "guardian"))
		strcat(frozen, " (guardian)");
	else if (!strcmp(by, "restart"))
		strcat(frozen, " (next start)");
	snprintf(fs, sizeof(fs), "%zu", frozen_mounts(rec));
	snprintf(apps, sizeof(apps), "%zu",
		 json_array_size(json_object_get(rec, "applications")));
	return hvctl_table_add(t, row);
}

static int print_history(json_t *records)
{
	struct hvctl_table t = { .n_columns = HISTORY_COLUMNS };
	json_t *rec;
	size_t i;
	int r = hvctl_table_add(&t, history_head);

	json_array_foreach(records, i, rec)
		if (!r)
			r = add_history_row(&t, rec);
	return r ? hvctl_fail(HVCTL_IO, "out of memory") :
		   hvctl_table_print(&t);
}

static int take_count(const char *text, size_t *n)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || !v ||
	    v > FIND_MOST)
		return hvctl_fail(HVCTL_USAGE, "%s is no number of backups",
				  hvctl_quote(text));
	*n = v;
	return 0;
}

int hvctl_vss_history(struct hvctl *c, int argc, char **argv)
{
	size_t n = HISTORY_DEFAULT;
	json_t *records;
	int r = argc ? take_count(argv[0], &n) : 0;
	bool all = c->all || c->json;

	if (!r)
		r = load(c, all ? n : FIND_MOST, &records);
	if (r)
		return r;
	if (!all) {
		drop_checks(records);
		records = sorted(records, n);
	}
	n = json_array_size(records);
	if (c->json)
		r = hvctl_print_json(json_incref(records), false);
	else if (n)
		r = print_history(records);
	json_decref(records);
	if (n || r)
		return r;
	return c->json ? HVCTL_ABSENT :
	       hvctl_fail(HVCTL_ABSENT, "no backup has been made yet");
}

/* last -------------------------------------------------------------------- */

/* Columns to draw in, and whether block characters will do. */
static size_t columns(bool *utf8)
{
	struct winsize ws;

	setlocale(LC_CTYPE, "");
	*utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!isatty(STDOUT_FILENO))
		return PIPE_COLUMNS;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_col)
		return 80;
	if (ws.ws_col < TIMELINE_WIDTH_MIN)
		*utf8 = false;
	return ws.ws_col;
}

/* Milliseconds, with all the digits that are known. */
static void exact(char out[32], const json_t *o, const char *key)
{
	json_int_t us = history_int(o, key);

	if (us < 0)
		strcpy(out, "-");
	else if (us % 1000)
		snprintf(out, 32, "%.3f", (double)us / 1000);
	else
		snprintf(out, 32, "%lld", (long long)us / 1000);
}

enum { WHO, CHECK, FLUSH, FREEZE, FROZEN, THAW, OUTCOME, TIMES };

static int add_times_row(struct hvctl_table *t, char cell[TIMES][32],
			 const char *who, const char *outcome)
{
	const char *const row[TIMES] = {
		who, cell[CHECK], cell[FLUSH], cell[FREEZE], cell[FROZEN],
		cell[THAW], outcome,
	};

	return hvctl_table_add(t, row);
}

static void no_times(char cell[TIMES][32])
{
	for (int i = 0; i < TIMES; i++)
		strcpy(cell[i], "-");
}

/* Steps of the host ("op", "status") or of others ("opt", "outcome"). */
static int add_steps_row(struct hvctl_table *t, const char *who,
			 const json_t *steps, const char *opt,
			 const char *outcome)
{
	char cell[TIMES][32], said[160] = "";
	json_t *step;
	size_t i;

	no_times(cell);
	json_array_foreach(steps, i, step) {
		const char *is = history_text(step, opt);
		const char *how = history_text(step, outcome);
		int at = !strcmp(is, "check") ? CHECK :
			 !strcmp(is, "freeze") ? FREEZE : THAW;

		exact(cell[at], step, "took_us");
		if (strcmp(how, "ok") && strcmp(how, "yes"))
			snprintf(said, sizeof(said), "%s: %s%s%s", is, how,
				 *history_text(step, "why") ? ", " : "",
				 history_text(step, "why"));
	}
	return add_times_row(t, cell, who, *said ? said : "yes");
}

static int add_mount_row(struct hvctl_table *t, const json_t *m)
{
	const char *path = history_text(m, "path");
	char cell[TIMES][32], who[300], said[300];

	no_times(cell);
	exact(cell[FLUSH], m, "flush_us");
	exact(cell[FREEZE], m, "freeze_us");
	exact(cell[FROZEN], m, "frozen_us");
	exact(cell[THAW], m, "thaw_us");
	snprintf(who, sizeof(who), "%.200s (%.60s)", *path ? path :
		 history_text(m, "source"), history_text(m, "type"));
	snprintf(said, sizeof(said), "%s%s%s", history_text(m, "outcome"),
		 *history_text(m, "why") ? ": " : "",
		 history_text(m, "why"));
	return add_times_row(t, cell, who, said);
}

/* All that one part noted, in one row. */
static int add_note_row(struct hvctl_table *t, const json_t *notes, size_t at)
{
	const char *part = history_text(json_array_get(notes, at), "part");
	json_t *same = json_array();
	char who[200];
	int r = 0;

	for (size_t i = 0; i < json_array_size(notes); i++) {
		json_t *n = json_array_get(notes, i);

		if (strcmp(history_text(n, "part"), part))
			continue;
		if (i < at)
			break;		/* has its row already */
		json_array_append(same, n);
	}
	snprintf(who, sizeof(who), "  %.100s", part);
	if (json_array_size(same))
		r = add_steps_row(t, who, same, "phase", "outcome");
	json_decref(same);
	return r;
}

static int add_app_rows(struct hvctl_table *t, const json_t *app)
{
	json_t *notes = json_object_get(app, "notes");
	char who[200];
	int r;

	snprintf(who, sizeof(who), "%.100s (pid %lld)",
		 history_text(app, "name"),
		 (long long)history_int(app, "pid"));
	r = add_steps_row(t, who, json_object_get(app, "steps"), "opt",
			  "outcome");
	for (size_t i = 0; !r && i < json_array_size(notes); i++)
		r = add_note_row(t, notes, i);
	return r;
}

static int print_times(const json_t *rec)
{
	static const char *const head[TIMES] = {
		"MILLISECONDS", "CHECK", "FLUSH", "FREEZE", "FROZEN", "THAW",
		"OUTCOME",
	};
	json_t *apps = json_object_get(rec, "applications"), *one;
	json_t *mounts = json_object_get(rec, "mounts");
	struct hvctl_table t = { .n_columns = TIMES };
	int r = hvctl_table_add(&t, head);
	size_t i;

	if (!r && json_object_get(rec, "host"))
		r = add_steps_row(&t, "host", json_object_get(rec, "host"),
				  "op", "status");
	json_array_foreach(apps, i, one)
		if (!r)
			r = add_app_rows(&t, one);
	if (!r && json_array_size(json_object_get(rec, "daemon")))
		r = add_steps_row(&t, "hv_vss_daemon",
				  json_object_get(rec, "daemon"), "opt",
				  "outcome");
	json_array_foreach(mounts, i, one)
		if (!r && strcmp(history_text(one, "action"), "skip"))
			r = add_mount_row(&t, one);
	return r ? hvctl_fail(HVCTL_IO, "out of memory") :
		   hvctl_table_print(&t);
}

static void print_rest(const json_t *rec)
{
	json_t *mounts = json_object_get(rec, "mounts"), *m;
	size_t i, skipped = 0;

	json_array_foreach(mounts, i, m)
		skipped += !strcmp(history_text(m, "action"), "skip");
	if (skipped)
		printf("\n%zu other%s left alone; hvctl vss plan says why.\n",
		       skipped, skipped == 1 ? " was" : "s were");
	if (history_int(rec, "left_out") > 0)
		printf("\n%lld entries more than a record holds are not "
		       "shown.\n", (long long)history_int(rec, "left_out"));
}

static int write_svg(const struct timeline *t, const char *path)
{
	FILE *f = fopen(path, "we");
	int err;

	if (!f)
		return hvctl_fail(errno == EACCES ? HVCTL_REFUSED : HVCTL_IO,
				  "%s: %s", hvctl_quote(path),
				  strerror(errno));
	timeline_svg(t, f);
	err = ferror(f) | fclose(f);
	return err ? hvctl_fail(HVCTL_IO, "cannot write %s",
				hvctl_quote(path)) : 0;
}

static int draw(struct hvctl *c, const json_t *rec)
{
	struct timeline t;
	bool utf8;
	size_t width = columns(&utf8);
	int r;

	if (hvctl_timeline_make(&t, rec) < 0)
		return hvctl_fail(HVCTL_IO, "out of memory");
	r = c->svg ? write_svg(&t, c->svg) : 0;
	if (!r) {
		timeline_text(&t, stdout, width, utf8);
		putchar('\n');
		r = print_times(rec);
		print_rest(rec);
	}
	timeline_clear(&t);
	return r;
}

/* The last backup, or the last one with this id. Checks count when there is
 * nothing else, or when named. */
static const json_t *find(const json_t *records, const char *id)
{
	const json_t *check = NULL;

	for (size_t i = json_array_size(records); i > 0; i--) {
		const json_t *rec = json_array_get(records, i - 1);

		if (id ? !strcmp(history_text(rec, "id"), id) :
		    !is_check(rec))
			return rec;
		if (!id && !check)
			check = rec;
	}
	return check;
}

int hvctl_vss_last(struct hvctl *c, int argc, char **argv)
{
	const json_t *rec;
	json_t *records;
	int r = load(c, FIND_MOST, &records);

	if (r)
		return r;
	rec = find(records, argc ? argv[0] : NULL);
	if (!rec)
		r = argc ? hvctl_fail(HVCTL_ABSENT, "no backup %s is known",
				      hvctl_quote(argv[0])) :
			   hvctl_fail(HVCTL_ABSENT,
				      "no backup has been made yet");
	else if (c->json)
		r = hvctl_print_json(json_deep_copy(rec), false);
	else
		r = draw(c, rec);
	if (!r && !hvctl_vss_good(rec))
		r = HVCTL_ABSENT;
	json_decref(records);
	return r;
}

int hvctl_vss_find_last(struct hvctl *c, json_t **rec)
{
	json_t *records;
	int r = load(c, FIND_MOST, &records);

	*rec = NULL;
	if (r)
		return r;
	*rec = json_incref((json_t *)find(records, NULL));
	json_decref(records);
	return 0;
}
