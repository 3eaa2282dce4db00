/* vss/vss_metrics.h - the records of backups as numbers, in Prometheus' text
 * format, for node_exporter's textfile collector. No files here.
 *
 * Counters are taken over from the text that a predecessor left, so that a
 * restart, which may be the very thing to see, does not hide what it counted.
 */
#ifndef VSS_METRICS_H
#define VSS_METRICS_H

#include <jansson.h>
#include <stddef.h>

struct vss_metrics;

struct vss_metrics *vss_metrics_new(void);	/* NULL: no memory */
void vss_metrics_free(struct vss_metrics *m);	/* NULL is fine */

/* Counters of a text made by vss_metrics_text(); lines that it does not know
 * are passed over. */
void vss_metrics_load(struct vss_metrics *m, const char *text, size_t len);

/* A record that was made just now; told once more (the other half came), it is
 * not counted again. */
void vss_metrics_add(struct vss_metrics *m, const json_t *rec);
/* A record of before: gauges only. */
void vss_metrics_recall(struct vss_metrics *m, const json_t *rec);

/* NUL-terminated, to be freed; NULL: no memory. unsaved: records that could
 * not be written to the history yet. */
char *vss_metrics_text(const struct vss_metrics *m, size_t unsaved);

#endif
