/* test/fuzz/fuzz_mounts.c - a mount table of any content: whoever may mount
 * chooses its paths, sources and options. And what is made of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vss/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(const struct plan *p)
{
	for (size_t i = 1; i < p->n_freeze; i++)
		if (p->fs[i].level > p->fs[i - 1].level)
			abort();
	for (size_t i = 0; i < p->n_freeze; i++)
		if (!p->fs[i].mount->path || p->fs[i].level >= p->levels)
			abort();
}

static void note_layer(void *arg, const char *path)
{
	*(size_t *)arg += strlen(path);
}

static void overlay(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	size_t total = 0;
	dev_t dev;

	if (!text)
		return;
	mounts_overlay_layers(text, note_layer, &total);
	if (total > strlen(text))
		abort();
	mounts_parse_dev(&dev, text);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mounts ms = { 0 };
	struct plan p;
	FILE *f;

	if (!size)
		return 0;
	overlay(data, size);
	f = fmemopen((void *)data, size, "r");
	if (!f)
		return 0;
	if (mounts_add_stream(&ms, f, "/nowhere") == 0 &&
	    plan_make(&p, &ms, NULL, 0) == 0) {
		check_order(&p);
		json_decref(plan_json(&p));
		plan_free(&p);
	}
	mounts_free(&ms);
	fclose(f);
	return 0;
}
