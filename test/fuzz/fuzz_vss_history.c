/* test/fuzz/fuzz_vss_history.c - a line of a history file, or of the driver's:
 * whatever it says, what is taken over is bounded, taken over once more it is
 * the same, and it can be told, counted and drawn. */
#include "vss/history_rec.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hvctl_vss.h"
#include "vss/vss_metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stays_the_same(const json_t *rec)
{
	json_t *again = history_rec_clean(rec);

	if (!json_equal(again, rec) ||
	    json_dumpb(rec, NULL, 0, JSON_COMPACT) > HISTORY_LINE_MAX)
		abort();
	json_decref(again);
}

static void can_be_told(const json_t *rec)
{
	char line[300];

	history_rec_sentence(line, sizeof(line), rec);
	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			abort();
	if (strlen(line) >= sizeof(line))
		abort();
}

static void can_be_counted(const json_t *rec)
{
	struct vss_metrics *m = vss_metrics_new();
	char *text;

	vss_metrics_add(m, rec);
	vss_metrics_add(m, rec);
	text = vss_metrics_text(m, 0);
	vss_metrics_load(m, text, strlen(text));
	free(text);
	vss_metrics_free(m);
}

static void can_be_drawn(const json_t *rec)
{
	struct timeline t;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (hvctl_timeline_make(&t, rec) < 0)
		abort();
	timeline_text(&t, f, 80, true);
	timeline_text(&t, f, 60, false);
	timeline_svg(&t, f);
	timeline_clear(&t);
	fclose(f);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 && text[i] != '\n')
			abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *foreign = json_loadb((const char *)data, size, 0, NULL);
	json_t *rec = history_rec_clean(foreign), *joined;

	if (rec) {
		stays_the_same(rec);
		can_be_told(rec);
		can_be_counted(rec);
		can_be_drawn(rec);
		joined = history_rec_join(rec, foreign);
		can_be_drawn(joined);
		json_decref(joined);
	}
	json_decref(rec);
	json_decref(foreign);
	return 0;
}
