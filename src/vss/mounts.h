/* vss/mounts.h - parts of reading what is mounted, for tests and the fuzzer.
 * What others call is in vss/plan.h.
 */
#ifndef VSS_MOUNTS_H
#define VSS_MOUNTS_H

#include <stdio.h>

#include "vss/plan.h"

/* "7:3" */
bool mounts_parse_dev(dev_t *dev, const char *s);

/* Call layer with each directory that an overlay's options name. */
void mounts_overlay_layers(const char *options,
			   void (*layer)(void *arg, const char *path),
			   void *arg);

/* Add what one mountinfo lists; sysfs is looked up below root. ms must be
 * empty. 0 or -errno. */
int mounts_add_stream(struct mounts *ms, FILE *f, const char *root);

#endif
