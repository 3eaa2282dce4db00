/* prog/hvctl_vss.h - hvctl vss: what its files share. */
#ifndef HVCTL_VSS_H
#define HVCTL_VSS_H

#include "hvctl.h"
#include "timeline.h"

int hvctl_vss_history(struct hvctl *c, int argc, char **argv);
int hvctl_vss_last(struct hvctl *c, int argc, char **argv);
int hvctl_vss_status(struct hvctl *c, int argc, char **argv);

enum { VSS_ANSWER_MS = 3000 };

/* What a program's control socket answers; NULL: it does not. */
json_t *hvctl_vss_ask(struct hvctl *c, const char *program, const char *cmd);
/* 0 and the last backup, NULL if there is none; or an exit code. */
int hvctl_vss_find_last(struct hvctl *c, json_t **rec);
/* Did it go well? */
bool hvctl_vss_good(const json_t *rec);

/* The drawing of a cleaned record (vss/history_rec.h). 0, or -1: no memory. */
int hvctl_timeline_make(struct timeline *t, const json_t *rec);

#endif
