#include "lagg/lagg_linux.h"

#include <stddef.h>

/* Ours notices a VF that is gone at once, bonding at its next poll. */
const struct lagg_ops *const lagg_back_ends[] = {
	&lagg_bpf_ops, &lagg_bonding_ops, NULL,
};
