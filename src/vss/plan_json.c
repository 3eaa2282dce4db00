/* vss/plan_json.c - the plan for programs, and in one sentence for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/utf16.h"
#include "vss/plan.h"

/* JSON strings are UTF-8; a path is any bytes. */
static json_t *text(const char *s)
{
	char *copy;
	json_t *j;

	if (utf8_valid(s, strlen(s)))
		return json_string(s);
	copy = strdup(s);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	j = json_string(copy);
	free(copy);
	return j;
}

static json_t *fs_json(const struct plan_fs *fs, size_t order)
{
	const struct mount *m = fs->mount;
	json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:i}",
			      "path", m->path ? text(m->path) : json_null(),
			      "type", text(m->type), "source", text(m->source),
			      "options", text(m->options),
			      "action", plan_action_name(fs->action),
			      "reason", text(fs->reason),
			      "mounts", (int)m->n_mounts);
	char disk[32];

	snprintf(disk, sizeof(disk), "%u:%u", major(m->disk), minor(m->disk));
	json_object_set_new(j, "disk", m->disk ? json_string(disk)
					       : json_null());
	json_object_set_new(j, "order", order ? json_integer((json_int_t)order)
					      : json_null());
	json_object_set_new(j, "level", order ? json_integer(fs->level)
					      : json_null());
	if (!m->path && m->paths && m->n_mounts)
		json_object_set_new(j, "mounted_at", text(m->paths[0]));
	if (fs->pseudo)
		json_object_set_new(j, "pseudo", json_true());
	if (m->elsewhere)
		json_object_set_new(j, "elsewhere", json_true());
	return j;
}

static const char *path_of(const struct plan_fs *fs)
{
	return fs->mount->path ? fs->mount->path :
	       fs->mount->n_mounts && fs->mount->paths ? fs->mount->paths[0] :
	       fs->mount->source;
}

static void summary(char *out, size_t cap, const struct plan *p)
{
	const char *s = p->n_freeze == 1 ? "" : "s";
	char synced[64] = "";

	if (p->n_veto) {
		const struct plan_fs *fs = p->fs;

		while (fs->action != PLAN_VETO)
			fs++;
		snprintf(out, cap, "A backup would be refused: %s%s (%s).",
			 path_of(fs), p->n_veto > 1 ? " and others" : "",
			 fs->reason);
		return;
	}
	if (p->n_sync)
		snprintf(synced, sizeof(synced), ", flush %zu more", p->n_sync);
	if (!p->n_freeze)
		snprintf(out, cap, "A backup would freeze nothing%s.", synced);
	else
		snprintf(out, cap, "A backup would freeze %zu file system%s in "
			 "%zu step%s%s, and be consistent.", p->n_freeze, s,
			 p->levels, p->levels == 1 ? "" : "s", synced);
}

json_t *plan_json(const struct plan *p)
{
	json_t *list = json_array();
	char sentence[4096 + 256];

	summary(sentence, sizeof(sentence), p);
	for (size_t i = 0; i < p->n; i++)
		if (p->fs[i].action == PLAN_VETO)
			json_array_append_new(list, fs_json(&p->fs[i], 0));
	for (size_t i = 0; i < p->n; i++)
		if (p->fs[i].action != PLAN_VETO)
			json_array_append_new(list, fs_json(&p->fs[i],
				p->fs[i].action == PLAN_FREEZE ? i + 1 : 0));
	return json_pack("{s:b, s:o, s:o}", "consistent", p->n_veto == 0,
			 "summary", text(sentence), "file_systems", list);
}
