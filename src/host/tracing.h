/* Sends spans (base/trace.h) to an OpenTelemetry collector, if OTEL_EXPORTER_OTLP_ENDPOINT or
 * OTEL_EXPORTER_OTLP_TRACES_ENDPOINT says where: OTLP/HTTP in JSON, in batches, without ever making
 * anything else wait. What cannot be sent is dropped and counted. The variables are those of
 * https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/, as
 * docs/tracing.md lists them. On the network thread. */
#ifndef MOLECULE_HOST_TRACING_H
#define MOLECULE_HOST_TRACING_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct tracing;

/* `*tracing` NULL: none is wanted. false: a variable is wrong, and `problem` says how. */
bool tracing_open(struct tracing **tracing, uv_loop_t *loop, const char *ca_file, char *problem,
                  size_t problem_size);
/* Sends what is left, for at most two seconds: runs the loop. NULL is fine. */
void tracing_flush(struct tracing *tracing);
/* The loop has to turn once more. NULL is fine. */
void tracing_close(struct tracing *tracing);

#endif
