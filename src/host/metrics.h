/* The numbers of a running host, as Prometheus reads them: text format 0.0.4 or OpenMetrics 1.0.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://prometheus.io/docs/specs/om/open_metrics_spec/
 *
 * No label's value comes from a sender. Each workspace has its series while there are at most
 * METRICS_WORKSPACES of them; of more, only sums are told, in which what a workspace counted stays
 * when it has left. docs/monitoring.md lists the metrics. */
#ifndef MOLECULE_HOST_METRICS_H
#define MOLECULE_HOST_METRICS_H

#include <stdbool.h>
#include <stddef.h>

#define METRICS_WORKSPACES 100

struct host;

/* The whole text; yours to free. On the network thread. */
char *metrics_text(struct host *host, bool openmetrics, size_t *length);

#endif
