/* lagg/lagg.c - which back end makes the aggregate, and why.
 *
 * The setting names one, or leaves it to us: then the first that can work. A
 * back end that was named and cannot work is not replaced by another: who asks
 * for bonding has a reason. */
#include "lagg/lagg.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const choices[] = {
	[LAGG_AUTO] = "auto", [LAGG_BPF] = "bpf", [LAGG_BONDING] = "bonding",
};

static const struct lagg_ops *consider(const struct lagg_ops *ops,
				       enum lagg_choice want,
				       const struct lagg_ops *chosen,
				       struct lagg_reason *r)
{
	*r = (struct lagg_reason){ .name = ops->name };
	if (want != LAGG_AUTO && want != ops->kind) {
		snprintf(r->why, sizeof(r->why), "the setting is %s",
			 choices[want]);
	} else if (chosen) {
		snprintf(r->why, sizeof(r->why), "%s comes first",
			 chosen->name);
	} else if (!ops->probe(r->why)) {
		r->chosen = true;
		return ops;
	}
	return chosen;
}

const struct lagg_ops *lagg_choose(const struct lagg_ops *const *from,
				   enum lagg_choice want,
				   struct lagg_reason why[LAGG_MAX_BACK_ENDS],
				   size_t *n_why)
{
	const struct lagg_ops *chosen = NULL;

	for (*n_why = 0; from[*n_why]; ++*n_why) {
		assert(*n_why < LAGG_MAX_BACK_ENDS);
		chosen = consider(from[*n_why], want, chosen, &why[*n_why]);
	}
	return chosen;
}

int lagg_choice_parse(enum lagg_choice *c, const char *text)
{
	for (size_t i = 0; i < sizeof(choices) / sizeof(*choices); i++)
		if (!strcmp(text, choices[i])) {
			*c = (enum lagg_choice)i;
			return 0;
		}
	return -EINVAL;
}
