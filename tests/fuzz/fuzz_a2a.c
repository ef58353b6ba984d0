/* Any bytes as the request of an A2A client; the first two bytes choose method, path and headers.
 * Whatever comes of it can be answered in every way. */
#include "fuzz.h"

#include "wire/a2a.h"
#include "wire/repair.h"

#include <string.h>

static const char *const methods[] = {"POST", "GET", "DELETE", "PUT"};
static const char *const paths[] = {"/",
                                    "/message:send",
                                    "/message:stream",
                                    "/tasks",
                                    "/tasks/x",
                                    "/tasks/x:cancel",
                                    "/tasks/x:subscribe",
                                    "/tasks/x/pushNotificationConfigs",
                                    "/tasks/x/pushNotificationConfigs/c",
                                    "/extendedAgentCard",
                                    "/v1/message:send",
                                    "/v1/tasks",
                                    "/v1/tasks/x/pushNotificationConfigs",
                                    "/v1/card",
                                    "", /* the path is from the input */
                                    "/"};
static const char *const versions[] = {"1.0", NULL, "0.3", "1.0.7"};
static const char *const types[] = {"application/json", "application/a2a+json; x=y", NULL,
                                    "text/plain"};

/* Every query parameter is the input. */
static const char *argument(void *context, const char *name)
{
    return strlen(name) % 2 ? context : NULL;
}

/* The answer is JSON in UTF-8, in one line, alone or as the data of an event. */
static void check_text(struct a2a_text text)
{
    bool event = strcmp(text.content_type, "text/event-stream") == 0;
    const char *json = event ? strstr(text.bytes, "data: ") : text.bytes;
    HOLDS(json && text.bytes[text.length] == '\0' && text.status >= 200);
    json += event ? strlen("data: ") : 0;
    size_t length = text.length - (size_t)(json - text.bytes);
    if (event) {
        HOLDS(length > 2 && memcmp(json + length - 2, "\n\n", 2) == 0);
        length -= 2;
    }
    HOLDS(!memchr(json, '\n', length));
    json_t *value = json_loadb(json, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    HOLDS(value);
    json_decref(value);
    free(text.bytes);
}

static void write_all(struct a2a_request *request, const json_t *value,
                      const struct a2a_problem *problem)
{
    for (int form = 0; form < 4; form++) {
        request->version = form & 1 ? A2A_1_0 : A2A_0_3;
        request->binding = form & 2 ? A2A_HTTP_JSON : A2A_JSON_RPC;
        for (enum a2a_operation operation = A2A_SEND; operation <= A2A_EXTENDED_CARD; operation++) {
            request->operation = operation;
            check_text(a2a_write_result(request, value));
        }
        check_text(a2a_write_problem(request, problem));
        check_text(a2a_write_stream_problem(request, problem));
        check_text(a2a_write_event(request, value, form & 1));
        check_text(a2a_write_notification(request->version, value, value));
    }
}

/* 1.0 -> 0.3 -> 1.0 */
static void check_round_trip(const json_t *params)
{
    struct a2a_problem problem;
    const json_t *message = json_object_get(params, "message");
    json_t *old = a2a_v03_message(message), *back = a2a_v03_read_message(old, &problem);
    HOLDS(old && back);
    HOLDS(json_array_size(json_object_get(back, "parts")) ==
          json_array_size(json_object_get(message, "parts")));
    json_t *again = a2a_v03_message(back);
    HOLDS(json_equal(old, again));
    json_decref(old);
    json_decref(back);
    json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t length = size - 2;
    char *body = malloc(length + 1);
    memcpy(body, data + 2, length);
    body[length] = '\0';
    const char *path = paths[data[0] / 4 % 16];
    struct a2a_http http = {.method = methods[data[0] % 4],
                            .path = *path ? path : body,
                            .version = data[1] & 64 ? body : versions[data[1] % 4],
                            .content_type = types[data[1] / 4 % 4],
                            .accept = data[1] & 16 ? body : NULL,
                            .argument = data[1] & 32 ? argument : NULL,
                            .context = body,
                            .body = body,
                            .length = length};
    struct a2a_request request;
    struct a2a_problem problem;
    bool read = a2a_read(&http, &request, &problem);
    if (read) {
        HOLDS(a2a_v1_check(request.operation, request.params, &problem));
        if (request.operation == A2A_SEND || request.operation == A2A_STREAM)
            check_round_trip(request.params);
    } else {
        HOLDS(problem.text[0] && strlen(problem.text) < A2A_PROBLEM_SIZE);
        check_text(a2a_write_problem(&request, &problem));
    }
    json_t *any = json_loadb(body, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (read || any)
        write_all(&request, read ? request.params : any, &problem);
    json_decref(any);
    a2a_request_free(&request);
    free(body);
    return 0;
}
