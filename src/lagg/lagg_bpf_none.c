/* lagg/lagg_bpf_none.c - instead of lagg_bpf_linux.c where the machine that
 * built us had no compiler for bpf, or no libbpf. */
#include <errno.h>
#include <stdio.h>

#include "lagg/lagg_linux.h"

static int none_probe(char why[LAGG_WHY])
{
	snprintf(why, LAGG_WHY, "left out when this was built");
	return -ENOSYS;
}

static int none_make(struct lagg **l, const struct lagg_cfg *cfg)
{
	(void)l;
	(void)cfg;
	return -ENOSYS;
}

const struct lagg_ops lagg_bpf_ops = {
	.name = "bpf", .kind = LAGG_BPF, .probe = none_probe,
	.create = none_make, .restore = none_make,
};
