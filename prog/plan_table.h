/* prog/plan_table.h - the plan of a backup, for people: hvctl vss plan and
 * hv_vss_daemon --plan print the same. */
#ifndef PLAN_TABLE_H
#define PLAN_TABLE_H

#include <jansson.h>
#include <stdbool.h>

/* Print what plan_json() made, as a table or as it is; drops the reference.
 * HVCTL_DONE a backup would be consistent, HVCTL_ABSENT it would be refused,
 * HVCTL_IO. */
int plan_table_print(json_t *plan, bool json);

#endif
