/* vss/vss_backup.h - the driver's record of each backup: what the host asked,
 * what each application and the daemon did, how it ended. JSON as
 * doc/history.md lays it down; the daemon adds the mounts (vss/history.h).
 *
 * Keeps the last VSS_BACKUPS of them in memory. Texts from clients are
 * untrusted and stored as JSON strings of at most 47 bytes; parties and notes
 * of one backup are limited, and what is left out is counted.
 */
#ifndef VSS_BACKUP_H
#define VSS_BACKUP_H

#include <jansson.h>

#include "vss/vss.h"

enum { VSS_BACKUPS = 64 };

struct vss_backups;

/* ended is called with each record as it ends (a borrowed reference). NULL
 * when out of memory. */
struct vss_backups *vss_backups_new(void (*ended)(void *arg, json_t *backup),
				    void *arg);
void vss_backups_free(struct vss_backups *b);		/* NULL is fine */

/* The driver's observer. */
void vss_backups_observe(void *b, const struct vss_event *e);

/* The oldest first; a new reference to an array. */
json_t *vss_backups_json(const struct vss_backups *b);
/* The one in hand, not ended yet: a new reference, or NULL. */
json_t *vss_backups_current(const struct vss_backups *b);

#endif
