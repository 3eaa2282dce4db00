/* prog/plan_table.c - see plan_table.h. */
#include "plan_table.h"

#include <stdio.h>

#include "hvctl.h"

static const char *text(const json_t *fs, const char *key)
{
	const char *s = json_string_value(json_object_get(fs, key));

	return s ? s : "";
}

static int add_row(struct hvctl_table *t, const json_t *fs)
{
	const json_t *order = json_object_get(fs, "order");
	const char *path = text(fs, "path");
	char number[24] = "-", covered[4200];

	if (json_is_integer(order))
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(order));
	snprintf(covered, sizeof(covered), "%s (out of reach)",
		 text(fs, "mounted_at"));
	return hvctl_table_add(t, (const char *const[]){
		number, *path ? path : covered,
		text(fs, "type"), text(fs, "source"), text(fs, "action"),
		text(fs, "reason") });
}

int plan_table_print(json_t *plan, bool json)
{
	static const char *const head[] = { "ORDER", "PATH", "TYPE", "SOURCE",
					    "ACTION", "REASON" };
	struct hvctl_table t = { .n_columns = 6 };
	int result = json_is_true(json_object_get(plan, "consistent")) ?
		     HVCTL_DONE : HVCTL_ABSENT;
	const char *sentence;
	json_t *fs;
	size_t i, pseudo = 0;
	int r;

	if (json) {
		r = hvctl_print_json(plan, false);
		return r ? r : result;
	}
	hvctl_table_add(&t, head);
	json_array_foreach(json_object_get(plan, "file_systems"), i, fs) {
		if (json_is_true(json_object_get(fs, "pseudo")))
			pseudo++;
		else
			add_row(&t, fs);
	}
	r = hvctl_table_print(&t);
	if (pseudo)
		printf("and %zu that store nothing (proc and the like)\n",
		       pseudo);
	sentence = text(plan, "summary");
	printf("\n%s\n", hvctl_show(sentence));
	json_decref(plan);
	return r ? r : result;
}
