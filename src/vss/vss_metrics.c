/* vss/vss_metrics.c - numbers about backups. One table has all metrics that
 * are a number by themselves; those with labels are written by hand below. */
#include "vss/vss_metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vss/history_rec.h"

enum result { APPLICATION, FILE_SYSTEM, FAILED, INTERRUPTED, N_RESULTS };

static const char *const result_names[] = {
	[APPLICATION] = "application", [FILE_SYSTEM] = "file-system",
	[FAILED] = "failed", [INTERRUPTED] = "interrupted",
};

enum number {
	VETOES, GUARDIAN_THAWS, FROZEN_TOTAL, FROZEN_MAX,
	LAST_TIME, LAST_SUCCESS, LAST_TOOK, LAST_FROZEN, LAST_FLUSH, LAST_APPS,
	N_NUMBERS
};

static const struct {
	const char *name, *help;
	bool counter;
	bool always;		/* also when nothing is known: 0 */
} numbers[] = {
	[VETOES] = { "hyperv_vss_vetoes_total",
		"File systems that refused a backup.", true, true },
	[GUARDIAN_THAWS] = { "hyperv_vss_guardian_thaws_total",
		"Backups after which the guardian, or the next start, had to "
		"thaw.", true, true },
	[FROZEN_TOTAL] = { "hyperv_vss_frozen_seconds_total",
		"Time that file systems were frozen.", true, true },
	[FROZEN_MAX] = { "hyperv_vss_frozen_seconds_max",
		"The longest that file systems were frozen.", false, true },
	[LAST_TIME] = { "hyperv_vss_last_backup_timestamp_seconds",
		"When the last backup began.", false, false },
	[LAST_SUCCESS] = { "hyperv_vss_last_success_timestamp_seconds",
		"When the last backup that did not fail began.", false, false },
	[LAST_TOOK] = { "hyperv_vss_last_backup_duration_seconds",
		"From the host's first request to the last answer.", false,
		false },
	[LAST_FROZEN] = { "hyperv_vss_last_backup_frozen_seconds",
		"From the first file system's freeze to the last one's thaw.",
		false, false },
	[LAST_FLUSH] = { "hyperv_vss_last_backup_flush_seconds",
		"Flushing before the freeze, while all still ran.", false,
		false },
	[LAST_APPS] = { "hyperv_vss_last_backup_applications",
		"Applications that were asked to hold.", false, false },
};

struct vss_metrics {
	double value[N_NUMBERS];
	bool known[N_NUMBERS];
	double backups[N_RESULTS];
	int last;			/* enum result, or -1 */
	json_t *mounts;			/* the last backup's; may be NULL */
	json_t *counted;		/* the record counted last */
};

struct vss_metrics *vss_metrics_new(void)
{
	struct vss_metrics *m = calloc(1, sizeof(*m));

	if (m)
		m->last = -1;
	return m;
}

void vss_metrics_free(struct vss_metrics *m)
{
	if (!m)
		return;
	json_decref(m->mounts);
	json_decref(m->counted);
	free(m);
}

/* Records ----------------------------------------------------------------- */

static void set(struct vss_metrics *m, enum number n, double value)
{
	m->value[n] = value;
	m->known[n] = true;
}

static void set_us(struct vss_metrics *m, enum number n, json_int_t us)
{
	m->known[n] = false;
	if (us >= 0)
		set(m, n, (double)us / 1e6);
}

static int result_of(const json_t *rec)
{
	const char *result = history_text(rec, "result");

	for (int i = 0; i < N_RESULTS; i++)
		if (!strcmp(result, result_names[i]))
			return i;
	return -1;
}

static size_t vetoes(const json_t *rec)
{
	json_t *mount, *mounts = json_object_get(rec, "mounts");
	size_t i, n = 0;

	json_array_foreach(mounts, i, mount)
		n += !strcmp(history_text(mount, "outcome"), "vetoed");
	return n;
}

static bool thawed_by_other(const json_t *rec)
{
	const char *by = history_text(json_object_get(rec, "window"),
				      "thawed_by");

	return !strcmp(by, "guardian") || !strcmp(by, "restart");
}

static double frozen_seconds(const json_t *rec)
{
	json_int_t us = history_int(json_object_get(rec, "window"),
				    "frozen_us");

	return us < 0 ? 0 : (double)us / 1e6;
}

void vss_metrics_recall(struct vss_metrics *m, const json_t *rec)
{
	const json_t *window = json_object_get(rec, "window");
	double started = history_rec_started(rec);
	int result = result_of(rec);

	if (result < 0)
		return;			/* a check, or nothing we know */
	m->last = result;
	if (started >= 0) {
		set(m, LAST_TIME, started);
		if (result == APPLICATION || result == FILE_SYSTEM)
			set(m, LAST_SUCCESS, started);
	}
	set_us(m, LAST_TOOK, history_int(rec, "took_us"));
	set_us(m, LAST_FROZEN, history_int(window, "frozen_us"));
	set_us(m, LAST_FLUSH, history_int(window, "flush_us"));
	set(m, LAST_APPS, (double)json_array_size(
		json_object_get(rec, "applications")));
	if (frozen_seconds(rec) > m->value[FROZEN_MAX])
		set(m, FROZEN_MAX, frozen_seconds(rec));
	json_decref(m->mounts);
	m->mounts = json_incref(json_object_get(rec, "mounts"));
}

/* What a record adds to the counters; sign -1 takes it back. */
static void count(struct vss_metrics *m, const json_t *rec, int sign)
{
	int result = result_of(rec);

	if (result >= 0)
		m->backups[result] += sign;
	m->value[VETOES] += sign * (double)vetoes(rec);
	m->value[GUARDIAN_THAWS] += sign * thawed_by_other(rec);
	m->value[FROZEN_TOTAL] += sign * frozen_seconds(rec);
}

void vss_metrics_add(struct vss_metrics *m, const json_t *rec)
{
	if (m->counted && history_rec_replaces(rec, m->counted))
		count(m, m->counted, -1);
	count(m, rec, 1);
	json_decref(m->counted);
	m->counted = json_deep_copy(rec);
	vss_metrics_recall(m, rec);
}

/* A predecessor's text ---------------------------------------------------- */

static void load_line(struct vss_metrics *m, const char *line)
{
	char name[96], label[32];
	double value;

	if (sscanf(line, "hyperv_vss_backups_total{result=\"%31[a-z-]\"} %lf",
		   label, &value) == 2) {
		for (int i = 0; i < N_RESULTS; i++)
			if (!strcmp(label, result_names[i]) && value >= 0)
				m->backups[i] = value;
		return;
	}
	if (sscanf(line, "%95[a-z_] %lf", name, &value) != 2 || !(value >= 0))
		return;
	for (int i = 0; i < N_NUMBERS; i++)
		if (!strcmp(name, numbers[i].name) && numbers[i].always)
			set(m, (enum number)i, value);
}

void vss_metrics_load(struct vss_metrics *m, const char *text, size_t len)
{
	char *copy = strndup(text, len), *rest = copy, *line;

	while (copy && (line = strsep(&rest, "\n")))
		load_line(m, line);
	free(copy);
}

/* The text ---------------------------------------------------------------- */

static void head(FILE *f, const char *name, const char *help, bool counter)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
		counter ? "counter" : "gauge");
}

static void put_numbers(FILE *f, const struct vss_metrics *m)
{
	for (int i = 0; i < N_NUMBERS; i++) {
		if (!m->known[i] && !numbers[i].always)
			continue;
		head(f, numbers[i].name, numbers[i].help, numbers[i].counter);
		fprintf(f, "%s %.15g\n", numbers[i].name, m->value[i]);
	}
}

static void put_results(FILE *f, const struct vss_metrics *m)
{
	head(f, "hyperv_vss_backups_total", "Backups by their result.", true);
	for (int i = 0; i < N_RESULTS; i++)
		fprintf(f, "hyperv_vss_backups_total{result=\"%s\"} %.15g\n",
			result_names[i], m->backups[i]);
	if (m->last < 0)
		return;
	head(f, "hyperv_vss_last_backup_result",
	     "1 for the result of the last backup.", false);
	for (int i = 0; i < N_RESULTS; i++)
		fprintf(f, "hyperv_vss_last_backup_result{result=\"%s\"} %d\n",
			result_names[i], i == m->last);
}

static void put_label(FILE *f, const char *name, const char *value)
{
	fprintf(f, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', f);
		if (*value == '\n')
			fputs("\\n", f);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

static const struct {
	const char *name, *member, *help;
} mount_numbers[] = {
	{ "hyperv_vss_mount_flush_seconds", "flush_us",
	  "Flushing this file system in the last backup." },
	{ "hyperv_vss_mount_freeze_seconds", "freeze_us",
	  "Freezing this file system in the last backup." },
	{ "hyperv_vss_mount_frozen_seconds", "frozen_us",
	  "How long this file system was frozen in the last backup." },
};

/* The same labels twice would make the whole file invalid. */
static bool seen_before(json_t *mounts, size_t at, const json_t *mount)
{
	for (size_t i = 0; i < at; i++) {
		json_t *other = json_array_get(mounts, i);

		if (!strcmp(history_text(other, "path"),
			    history_text(mount, "path")) &&
		    !strcmp(history_text(other, "device"),
			    history_text(mount, "device")))
			return true;
	}
	return false;
}

static void put_mount_number(FILE *f, const struct vss_metrics *m, size_t n)
{
	bool any = false;
	json_t *mount;
	size_t i;

	json_array_foreach(m->mounts, i, mount) {
		json_int_t us = history_int(mount, mount_numbers[n].member);

		if (us < 0 || seen_before(m->mounts, i, mount))
			continue;
		if (!any)
			head(f, mount_numbers[n].name, mount_numbers[n].help,
			     false);
		any = true;
		fprintf(f, "%s{", mount_numbers[n].name);
		put_label(f, "mountpoint", history_text(mount, "path"));
		fputc(',', f);
		put_label(f, "device", history_text(mount, "device"));
		fputc(',', f);
		put_label(f, "fstype", history_text(mount, "type"));
		fprintf(f, "} %.15g\n", (double)us / 1e6);
	}
}

char *vss_metrics_text(const struct vss_metrics *m, size_t unsaved)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	put_results(f, m);
	put_numbers(f, m);
	for (size_t i = 0; i < sizeof(mount_numbers) /
	     sizeof(mount_numbers[0]); i++)
		put_mount_number(f, m, i);
	head(f, "hyperv_vss_history_unsaved",
	     "Records that could not be written to the history yet.", false);
	fprintf(f, "hyperv_vss_history_unsaved %zu\n", unsaved);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
