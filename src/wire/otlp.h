/* Spans as OTLP/HTTP JSON, which /v1/traces takes (OpenTelemetry Protocol 1.x, JSON Protobuf
 * encoding: ids in lower-case hexadecimal, times as decimal strings of nanoseconds).
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding No I/O. */
#ifndef MOLECULE_WIRE_OTLP_H
#define MOLECULE_WIRE_OTLP_H

#include "base/trace.h"

#include <stddef.h>

/* Who tells it: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES ("k=v,k=v", percent-encoded values;
 * NULL: none). */
struct otlp_resource {
    const char *service, *attributes, *version;
};

/* The request's body; yours to free. NULL: out of memory. */
char *otlp_encode(const struct otlp_resource *resource, const struct trace_kept *spans,
                  size_t *length);

/* "%20" becomes a blank, in place. A zero byte ends the text. */
void otlp_decode_percent(char *text);

#endif
