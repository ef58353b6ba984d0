/* The names of spans' attributes: of OpenTelemetry's semantic conventions, and our own where those
 * have none. The conventions for generative AI (gen_ai.*) are not stable; nothing else in the code
 * knows them.
 * https://opentelemetry.io/docs/specs/semconv/gen-ai/
 * https://opentelemetry.io/docs/specs/semconv/http/ */
#ifndef MOLECULE_WIRE_OTLP_NAMES_H
#define MOLECULE_WIRE_OTLP_NAMES_H

#include "base/trace.h"

static const char *const otlp_names[TRACE_ATTRIBUTE_COUNT] = {
    [TRACE_WORKSPACE] = "molecule.workspace.id",
    [TRACE_ROW] = "messaging.message.id",
    [TRACE_OUTCOME] = "molecule.outcome",
    [TRACE_ATTEMPT] = "molecule.attempt",
    [TRACE_RESULT] = "molecule.result",
    [TRACE_STEP] = "molecule.step",
    [TRACE_METHOD] = "http.request.method",
    [TRACE_URL] = "url.full",
    [TRACE_STATUS] = "http.response.status_code",
    [TRACE_PEER] = "molecule.peer.id",
    [TRACE_CODE] = "error.type",
    [TRACE_MODEL] = "gen_ai.request.model",
    [TRACE_PROVIDER] = "gen_ai.provider.name",
    [TRACE_OPERATION] = "gen_ai.operation.name",
    [TRACE_INPUT_TOKENS] = "gen_ai.usage.input_tokens",
    [TRACE_OUTPUT_TOKENS] = "gen_ai.usage.output_tokens",
    [TRACE_COMMAND] = "process.command_line",
};

#endif
