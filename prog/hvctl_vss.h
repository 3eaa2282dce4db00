/* prog/hvctl_vss.h - hvctl vss: what its files share. */
#ifndef HVCTL_VSS_H
#define HVCTL_VSS_H

#include "hvctl.h"
#include "timeline.h"

int hvctl_vss_history(struct hvctl *c, int argc, char **argv);
int hvctl_vss_last(struct hvctl *c, int argc, char **argv);
int hvctl_vss_status(struct hvctl *c, int argc, char **argv);

/* The drawing of a cleaned record (vss/history_rec.h). 0, or -1: no memory. */
int hvctl_timeline_make(struct timeline *t, const json_t *rec);

#endif
