/* Unit tests of wire/a2a: what clients of A2A 1.0 and 0.3 say, and how they are answered. */
#include "unit.h"

#include "wire/a2a.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE(parts) "{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":" parts "}"
#define PARTS "[{\"text\":\"hi\"}]"
#define SEND "{\"message\":" MESSAGE(PARTS) "}"
#define CALL(method, params) \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\",\"params\":" params "}"
#define SEND_03                                                                                   \
    "{\"message\":{\"messageId\":\"m\",\"role\":\"user\",\"parts\":[{\"kind\":\"text\",\"text\":" \
    "\"hi\"}]}}"

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

/* `value` is what `expected` says; steals the value. */
static void same(json_t *value, const char *expected, const char *given)
{
    json_t *wanted = parse(expected);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!json_equal(value, wanted))
        fail_msg("%s: %s, not %s", given, text ? text : "nothing", expected);
    free(text);
    json_decref(value);
    json_decref(wanted);
}

static struct a2a_http rpc(const char *version, const char *body)
{
    return (struct a2a_http){.method = "POST",
                             .path = "/",
                             .content_type = "application/json",
                             .version = version,
                             .body = body,
                             .length = strlen(body)};
}

static void fails(const struct a2a_http *http, enum a2a_error error, const char *field)
{
    struct a2a_request request;
    struct a2a_problem problem;
    if (a2a_read(http, &request, &problem))
        fail_msg("%s %s: %s: accepted", http->method, http->path, http->body);
    if (problem.error != error || (field && strcmp(problem.field, field) != 0) || !problem.text[0])
        fail_msg("%s %s: %s: error %d at \"%s\": %s", http->method, http->path, http->body,
                 problem.error, problem.field, problem.text);
    a2a_request_free(&request);
}

static void reads(const struct a2a_http *http, enum a2a_operation operation, const char *params)
{
    struct a2a_request request;
    struct a2a_problem problem;
    if (!a2a_read(http, &request, &problem))
        fail_msg("%s %s: %s: %s", http->method, http->path, http->body, problem.text);
    assert_int_equal(request.operation, operation);
    same(json_incref(request.params), params, http->body ? http->body : http->path);
    a2a_request_free(&request);
}

static void every_path_leads_to_its_methods(void **state)
{
    (void)state;
    static const struct {
        const char *path, *methods;
    } cases[] = {{"", "POST"},
                 {"/", "POST"},
                 {"//", "POST"},
                 {"/message:send", "POST"},
                 {"/message:send/", "POST"},
                 {"/message:stream", "POST"},
                 {"/tasks", "GET"},
                 {"/tasks/", "GET"},
                 {"/tasks/x", "GET"},
                 {"/tasks/a:b", "GET"},
                 {"/tasks/x:cancel", "POST"},
                 {"/tasks/x:subscribe", "GET, POST"},
                 {"/tasks/x/pushNotificationConfigs", "GET, POST"},
                 {"/tasks/x/pushNotificationConfigs/c/", "GET, DELETE"},
                 {"/extendedAgentCard", "GET"},
                 {"/v1/message:send", "POST"},
                 {"/v1/tasks/x", "GET"},
                 {"/v1/tasks", "GET"},
                 {"/v1/card", "GET"},
                 {"/v1", NULL},
                 {"/v1/", NULL},
                 {"/card", NULL},
                 {"/v1/extendedAgentCard", NULL},
                 {"/tasks//x", NULL},
                 {"/tasks/x/other", NULL},
                 {"/tasks/x/pushNotificationConfigs/c/d", NULL},
                 {"/message:other", NULL},
                 {"/message:send/x", NULL},
                 {"/tenant/tasks/x", NULL},
                 {"/Tasks", NULL}};
    static const char *const methods[] = {"GET", "POST", "DELETE", "PUT", "HEAD", ""};
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (size_t m = 0; m < COUNT(methods); m++) {
            const char *allowed = "x";
            bool has = *methods[m] && cases[i].methods && strstr(cases[i].methods, methods[m]);
            if (a2a_routes(methods[m], cases[i].path, &allowed) != has)
                fail_msg("%s %s", methods[m], cases[i].path);
            if (!has && cases[i].methods)
                assert_string_equal(allowed, cases[i].methods);
            else
                assert_null(allowed);
        }
    }
}

static void the_media_type_is_checked_before_the_body_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        bool taken;
    } cases[] = {{"application/json", true},
                 {"Application/JSON; charset=utf-8", true},
                 {" application/a2a+json ;v=1", true},
                 {"application/jsonx", false},
                 {"text/plain", false},
                 {"", false},
                 {NULL, false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct a2a_http http = rpc("1.0", "{'not': 'JSON'}");
        http.content_type = cases[i].type;
        fails(&http, cases[i].taken ? A2A_PARSE : A2A_CONTENT_TYPE, "");
        http.path = "/message:send";
        fails(&http, cases[i].taken ? A2A_PARSE : A2A_CONTENT_TYPE, "");
    }
    struct a2a_http empty = {.method = "POST", .path = "/tasks/x:cancel", .version = "1.0"};
    reads(&empty, A2A_CANCEL, "{\"id\":\"x\"}");
}

static void a_frame_that_is_not_json_rpc_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum a2a_error error;
    } cases[] = {
        {"", A2A_PARSE},
        {"{", A2A_PARSE},
        {"{'a':1}", A2A_PARSE},
        {"{\"id\":NaN}", A2A_PARSE},
        {"{\"a\":\"\xff\"}", A2A_PARSE},
        {"{\"a\":\"\\ud800\"}", A2A_PARSE},
        {"{} x", A2A_PARSE},
        {"5", A2A_INVALID_REQUEST},
        {"[]", A2A_INVALID_REQUEST},
        {"[" CALL("SendMessage", SEND) "]", A2A_INVALID_REQUEST},
        {"{}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":\"1.0\",\"method\":\"SendMessage\"}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":2.0,\"method\":\"SendMessage\"}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\"}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"method\":7}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"\"}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"GetTask\"}", A2A_INVALID_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"GetTask\"}", A2A_INVALID_REQUEST},
        {CALL("Nonsense", "{}"), A2A_NO_METHOD},
        {CALL("nonsense/x", "{}"), A2A_NO_METHOD},
        {CALL("message/send", SEND_03), A2A_NO_METHOD},
        {CALL("SendMessage", "[]"), A2A_INVALID_PARAMS},
        {CALL("SendMessage", "5"), A2A_INVALID_PARAMS},
        {CALL("SendMessage", "null"), A2A_INVALID_PARAMS},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"SendMessage\"}", A2A_INVALID_PARAMS},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct a2a_http http = rpc("1.0", cases[i].body);
        fails(&http, cases[i].error, NULL);
    }
}

static void the_version_is_what_the_header_says_and_absent_is_0_3(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        int as_old, as_new; /* -1: taken */
    } cases[] = {{NULL, -1, A2A_VERSION},
                 {"", -1, A2A_VERSION},
                 {" ", -1, A2A_VERSION},
                 {"0.3", -1, A2A_VERSION},
                 {"0.3.0", -1, A2A_VERSION},
                 {"1.0", A2A_NO_METHOD, -1},
                 {" 1.0 ", A2A_NO_METHOD, -1},
                 {"1.0.1", A2A_NO_METHOD, -1},
                 {"99.0", A2A_VERSION, A2A_VERSION},
                 {"1.00", A2A_VERSION, A2A_VERSION},
                 {"1", A2A_VERSION, A2A_VERSION},
                 {"0.2.6", A2A_VERSION, A2A_VERSION},
                 {"1.0x", A2A_VERSION, A2A_VERSION},
                 {"\xff", A2A_VERSION, A2A_VERSION}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct a2a_http old = rpc(cases[i].version, CALL("message/send", SEND_03));
        struct a2a_http new = rpc(cases[i].version, CALL("SendMessage", SEND));
        struct a2a_http rest = rpc(cases[i].version, SEND);
        rest.path = "/message:send";
        if (cases[i].as_old < 0)
            reads(&old, A2A_SEND, SEND);
        else
            fails(&old, (enum a2a_error)cases[i].as_old, "");
        if (cases[i].as_new < 0) {
            reads(&new, A2A_SEND, SEND);
            reads(&rest, A2A_SEND, SEND);
        } else {
            fails(&new, (enum a2a_error)cases[i].as_new, "");
            fails(&rest, A2A_VERSION, "");
        }
        rest.path = "/v1/message:send";
        rest.body = SEND_03;
        rest.length = strlen(SEND_03);
        reads(&rest, A2A_SEND, SEND);
    }
}

#define CONFIG "\"url\":\"https://x\",\"token\":\"k\""
#define AUTH "\"authentication\":{\"scheme\":\"Bearer\",\"credentials\":\"c\"}"

static const struct {
    const char *method;
    enum a2a_operation operation;
    const char *given, *taken; /* NULL: as given */
} taken[] = {
    {"SendMessage", A2A_SEND, SEND, NULL},
    {"SendStreamingMessage", A2A_STREAM, SEND, NULL},
    {"SendMessage", A2A_SEND,
     "{\"message\":" MESSAGE("[{\"text\":\"a\\u0000\"},{\"raw\":\"aGk=\",\"filename\":\"f\"},"
                             "{\"raw\":\"\"},{\"raw\":\"aGk\"},{\"raw\":\"_-8=\"},"
                             "{\"url\":\"u\",\"mediaType\":\"a/b\"},{\"data\":null},"
                             "{\"data\":[1,2.5],\"metadata\":{}}]") ",\"other\":1}",
     NULL},
    {"SendMessage", A2A_SEND,
     "{\"message\":{\"message_id\":\"m\",\"role\":1,\"context_id\":\"\",\"taskId\":null,"
     "\"parts\":[{\"text\":\"a\",\"data\":null,\"media_type\":\"t\"}]},"
     "\"configuration\":{\"history_length\":\"3\",\"return_immediately\":true,"
     "\"taskPushNotificationConfig\":{" CONFIG "," AUTH "}},\"metadata\":null}",
     "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\","
     "\"parts\":[{\"text\":\"a\",\"mediaType\":\"t\"}]},"
     "\"configuration\":{\"historyLength\":3,\"returnImmediately\":true,"
     "\"taskPushNotificationConfig\":{" CONFIG "," AUTH "}}}"},
    {"GetTask", A2A_GET, "{\"id\":\"x\",\"historyLength\":0}", NULL},
    {"GetTask", A2A_GET, "{\"id\":\"x\",\"history_length\":2.0}",
     "{\"id\":\"x\",\"historyLength\":2}"},
    {"ListTasks", A2A_LIST, "{}", NULL},
    {"ListTasks", A2A_LIST,
     "{\"context_id\":\"c\",\"status\":2,\"page_size\":\"100\",\"pageToken\":\"\","
     "\"status_timestamp_after\":\"2026-05-01T20:14:07Z\",\"include_artifacts\":false}",
     "{\"contextId\":\"c\",\"status\":\"TASK_STATE_WORKING\",\"pageSize\":100,"
     "\"statusTimestampAfter\":\"2026-05-01T20:14:07Z\",\"includeArtifacts\":false}"},
    {"ListTasks", A2A_LIST, "{\"status\":\"TASK_STATE_UNSPECIFIED\"}", "{}"},
    {"ListTasks", A2A_LIST, "{\"status\":0}", "{}"},
    {"CancelTask", A2A_CANCEL, "{\"id\":\"x\",\"metadata\":{\"a\":1}}", NULL},
    {"SubscribeToTask", A2A_SUBSCRIBE, "{\"id\":\"x\"}", NULL},
    {"CreateTaskPushNotificationConfig", A2A_CONFIG_CREATE,
     "{\"task_id\":\"t\",\"id\":\"c\"," CONFIG "}", "{\"taskId\":\"t\",\"id\":\"c\"," CONFIG "}"},
    {"GetTaskPushNotificationConfig", A2A_CONFIG_GET, "{\"taskId\":\"t\",\"id\":\"c\"}", NULL},
    {"ListTaskPushNotificationConfigs", A2A_CONFIG_LIST, "{\"taskId\":\"t\",\"pageSize\":0}",
     "{\"taskId\":\"t\"}"},
    {"DeleteTaskPushNotificationConfig", A2A_CONFIG_DELETE, "{\"taskId\":\"t\",\"id\":\"c\"}",
     NULL},
    {"GetExtendedAgentCard", A2A_EXTENDED_CARD, "{}", NULL},
};

static void the_parameters_of_1_0_are_taken_as_they_are_or_mended(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(taken); i++) {
        char body[2000];
        snprintf(body, sizeof body,
                 "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"%s\",\"params\":%s}",
                 taken[i].method, taken[i].given);
        struct a2a_http http = rpc("1.0", body);
        reads(&http, taken[i].operation, taken[i].taken ? taken[i].taken : taken[i].given);
    }
}

#define WITH(part) "{\"message\":" MESSAGE("[{\"text\":\"a\"}," part "]") "}"
#define SECOND "message.parts[1]"

static const struct {
    const char *method, *params, *field;
} wrong_params[] = {
    {"SendMessage", "{}", "message"},
    {"SendMessage", "{\"message\":null}", "message"},
    {"SendMessage", "{\"message\":[]}", "message"},
    {"SendMessage", "{\"message\":{}}", "message.messageId"},
    {"SendMessage", "{\"message\":{\"messageId\":\"\"}}", "message.messageId"},
    {"SendMessage", "{\"message\":{\"messageId\":7}}", "message.messageId"},
    {"SendMessage", "{\"message\":{\"messageId\":\"a\\u0000\"}}", "message.messageId"},
    {"SendMessage", "{\"message\":{\"messageId\":\"m\"}}", "message.role"},
    {"SendMessage", "{\"message\":{\"messageId\":\"m\",\"role\":\"user\"}}", "message.role"},
    {"SendMessage", "{\"message\":{\"messageId\":\"m\",\"role\":2}}", "message.role"},
    {"SendMessage", "{\"message\":{\"messageId\":\"m\",\"role\":99}}", "message.role"},
    {"SendMessage", "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\"}}", "message.parts"},
    {"SendMessage", "{\"message\":" MESSAGE("[]") "}", "message.parts"},
    {"SendMessage", "{\"message\":" MESSAGE("{}") "}", "message.parts"},
    {"SendMessage", WITH("7"), SECOND},
    {"SendMessage", WITH("{}"), SECOND},
    {"SendMessage", WITH("{\"kind\":\"text\"}"), SECOND},
    {"SendMessage", WITH("{\"text\":\"a\",\"url\":\"b\"}"), SECOND},
    {"SendMessage", WITH("{\"text\":\"a\",\"data\":7}"), SECOND},
    {"SendMessage", WITH("{\"text\":7}"), SECOND ".text"},
    {"SendMessage", WITH("{\"raw\":\"a\"}"), SECOND ".raw"},
    {"SendMessage", WITH("{\"raw\":\"aGk=a\"}"), SECOND ".raw"},
    {"SendMessage", WITH("{\"raw\":\"a$==\"}"), SECOND ".raw"},
    {"SendMessage", WITH("{\"raw\":\"===\"}"), SECOND ".raw"},
    {"SendMessage", WITH("{\"raw\":[]}"), SECOND ".raw"},
    {"SendMessage", WITH("{\"url\":{}}"), SECOND ".url"},
    {"SendMessage", WITH("{\"text\":\"a\",\"metadata\":[]}"), SECOND ".metadata"},
    {"SendMessage", "{\"message\":" MESSAGE(PARTS ",\"extensions\":\"x\"") "}",
     "message.extensions"},
    {"SendMessage", "{\"message\":" MESSAGE(PARTS ",\"extensions\":[\"x\",1]") "}",
     "message.extensions[1]"},
    {"SendMessage", "{\"message\":" MESSAGE(PARTS ",\"referenceTaskIds\":[\"\"]") "}",
     "message.referenceTaskIds[0]"},
    {"SendMessage", "{\"message\":" MESSAGE(PARTS) ",\"configuration\":7}", "configuration"},
    {"SendMessage",
     "{\"message\":" MESSAGE(PARTS) ",\"configuration\":{\"returnImmediately\":\"true\"}}",
     "configuration.returnImmediately"},
    {"SendMessage", "{\"message\":" MESSAGE(PARTS) ",\"configuration\":{\"historyLength\":-1}}",
     "configuration.historyLength"},
    {"SendMessage",
     "{\"message\":" MESSAGE(PARTS) ",\"configuration\":{\"taskPushNotificationConfig\":{}}}",
     "configuration.taskPushNotificationConfig.url"},
    {"SendMessage",
     "{\"message\":" MESSAGE(PARTS) ",\"configuration\":{\"taskPushNotificationConfig\":"
                                    "{\"url\":\"u\",\"authentication\":{}}}}",
     "configuration.taskPushNotificationConfig.authentication.scheme"},
    {"GetTask", "{}", "id"},
    {"GetTask", "{\"id\":\"x\",\"historyLength\":1.5}", "historyLength"},
    {"GetTask", "{\"id\":\"x\",\"historyLength\":1e300}", "historyLength"},
    {"GetTask", "{\"id\":\"x\",\"historyLength\":\"many\"}", "historyLength"},
    {"GetTask", "{\"id\":\"x\",\"historyLength\":99999999999999999999999}", "historyLength"},
    {"ListTasks", "{\"pageSize\":0}", "pageSize"},
    {"ListTasks", "{\"pageSize\":101}", "pageSize"},
    {"ListTasks", "{\"pageSize\":true}", "pageSize"},
    {"ListTasks", "{\"status\":\"working\"}", "status"},
    {"ListTasks", "{\"status\":9}", "status"},
    {"ListTasks", "{\"statusTimestampAfter\":\"yesterday\"}", "statusTimestampAfter"},
    {"ListTasks", "{\"includeArtifacts\":1}", "includeArtifacts"},
    {"CancelTask", "{\"metadata\":{}}", "id"},
    {"SubscribeToTask", "{\"id\":[]}", "id"},
    {"CreateTaskPushNotificationConfig", "{\"url\":\"u\"}", "taskId"},
    {"CreateTaskPushNotificationConfig", "{\"taskId\":\"t\"}", "url"},
    {"GetTaskPushNotificationConfig", "{\"taskId\":\"t\"}", "id"},
    {"DeleteTaskPushNotificationConfig", "{\"id\":\"t\"}", "taskId"},
    {"ListTaskPushNotificationConfigs", "{}", "taskId"},
};

static void a_wrong_parameter_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrong_params); i++) {
        char body[1000];
        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s}",
                 wrong_params[i].method, wrong_params[i].params);
        struct a2a_http http = rpc("1.0", body);
        fails(&http, A2A_INVALID_PARAMS, wrong_params[i].field);
    }
}

static const char *argument(void *context, const char *name)
{
    for (const char *const *pair = context; pair && *pair; pair += 2)
        if (strcmp(pair[0], name) == 0)
            return pair[1];
    return NULL;
}

static const struct {
    const char *method, *path, *query[9], *body;
    enum a2a_operation operation;
    const char *params, *wrong; /* `wrong`: the field; then params is NULL */
} http_cases[] = {
    {"GET", "/tasks/x", {0}, NULL, A2A_GET, "{\"id\":\"x\"}", NULL},
    {"GET",
     "/tasks/a:b/",
     {"historyLength", "0"},
     NULL,
     A2A_GET,
     "{\"id\":\"a:b\",\"historyLength\":0}",
     NULL},
    {"GET", "/tasks/x", {"historyLength", "-1"}, NULL, A2A_GET, NULL, "historyLength"},
    {"GET", "/tasks/x", {"historyLength", "1x"}, NULL, A2A_GET, NULL, "historyLength"},
    {"GET",
     "/tasks/x",
     {"historyLength", "99999999999999999999"},
     NULL,
     A2A_GET,
     NULL,
     "historyLength"},
    {"GET", "/tasks/x", {"historyLength", ""}, NULL, A2A_GET, "{\"id\":\"x\"}", NULL},
    {"GET", "/tasks/\xff", {0}, NULL, A2A_GET, NULL, "id"},
    {"GET",
     "/tasks",
     {"contextId", "c", "status", "TASK_STATE_FAILED", "pageSize", "5", "includeArtifacts", "true"},
     NULL,
     A2A_LIST,
     "{\"contextId\":\"c\",\"status\":\"TASK_STATE_FAILED\",\"pageSize\":5,"
     "\"includeArtifacts\":true}",
     NULL},
    {"GET", "/tasks", {"includeArtifacts", "yes"}, NULL, A2A_LIST, NULL, "includeArtifacts"},
    {"GET", "/tasks", {"pageSize", "101"}, NULL, A2A_LIST, NULL, "pageSize"},
    {"GET", "/tasks", {"pageToken", "\xff"}, NULL, A2A_LIST, NULL, "pageToken"},
    {"GET", "/tasks", {"statusTimestampAfter", "x"}, NULL, A2A_LIST, NULL, "statusTimestampAfter"},
    {"GET",
     "/v1/tasks",
     {"status", "input-required"},
     NULL,
     A2A_LIST,
     "{\"status\":\"TASK_STATE_INPUT_REQUIRED\"}",
     NULL},
    {"GET", "/v1/tasks", {"status", "TASK_STATE_WORKING"}, NULL, A2A_LIST, NULL, "status"},
    {"POST",
     "/tasks/x:cancel",
     {0},
     "{\"id\":\"y\",\"metadata\":{}}",
     A2A_CANCEL,
     "{\"id\":\"x\",\"metadata\":{}}",
     NULL},
    {"POST", "/tasks/x:cancel", {0}, "[]", A2A_CANCEL, NULL, ""},
    {"GET", "/tasks/x:subscribe", {0}, NULL, A2A_SUBSCRIBE, "{\"id\":\"x\"}", NULL},
    {"POST", "/tasks/x:subscribe", {0}, NULL, A2A_SUBSCRIBE, "{\"id\":\"x\"}", NULL},
    {"POST", "/message:send", {0}, SEND, A2A_SEND, SEND, NULL},
    {"POST", "/message:stream", {0}, SEND, A2A_STREAM, SEND, NULL},
    {"POST", "/message:send", {0}, "{}", A2A_SEND, NULL, "message"},
    {"POST", "/message:send", {0}, NULL, A2A_SEND, NULL, "message"},
    {"POST",
     "/tasks/t/pushNotificationConfigs",
     {0},
     "{\"taskId\":\"u\"," CONFIG "}",
     A2A_CONFIG_CREATE,
     "{\"taskId\":\"t\"," CONFIG "}",
     NULL},
    {"POST",
     "/v1/tasks/t/pushNotificationConfigs",
     {0},
     "{\"taskId\":\"t\",\"pushNotificationConfig\":{\"id\":\"c\"," CONFIG "}}",
     A2A_CONFIG_CREATE,
     "{\"taskId\":\"t\",\"id\":\"c\"," CONFIG "}",
     NULL},
    {"GET",
     "/tasks/t/pushNotificationConfigs",
     {"pageSize", "3"},
     NULL,
     A2A_CONFIG_LIST,
     "{\"taskId\":\"t\",\"pageSize\":3}",
     NULL},
    {"GET",
     "/tasks/t/pushNotificationConfigs/c",
     {0},
     NULL,
     A2A_CONFIG_GET,
     "{\"taskId\":\"t\",\"id\":\"c\"}",
     NULL},
    {"DELETE",
     "/v1/tasks/t/pushNotificationConfigs/c",
     {0},
     NULL,
     A2A_CONFIG_DELETE,
     "{\"taskId\":\"t\",\"id\":\"c\"}",
     NULL},
    {"GET", "/extendedAgentCard", {0}, NULL, A2A_EXTENDED_CARD, "{}", NULL},
    {"GET", "/v1/card", {0}, NULL, A2A_EXTENDED_CARD, "{}", NULL},
};

static void an_http_request_has_its_parameters_in_path_query_and_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(http_cases); i++) {
        struct a2a_http http = {.method = http_cases[i].method,
                                .path = http_cases[i].path,
                                .content_type = http_cases[i].body ? "application/json" : NULL,
                                .version = "1.0",
                                .argument = argument,
                                .context = (void *)http_cases[i].query,
                                .body = http_cases[i].body,
                                .length = http_cases[i].body ? strlen(http_cases[i].body) : 0};
        if (http_cases[i].params)
            reads(&http, http_cases[i].operation, http_cases[i].params);
        else
            fails(&http, A2A_INVALID_PARAMS, http_cases[i].wrong);
    }
    struct a2a_http nowhere = {.method = "GET", .path = "/x", .version = "1.0"};
    fails(&nowhere, A2A_NO_METHOD, "");
}

#define SEND_03_WITH(parts, configuration)                                                      \
    "{\"message\":{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":" parts \
    "}" configuration "}"

static const struct {
    const char *method;
    enum a2a_operation operation;
    const char *given, *taken;
} old_params[] = {
    {"message/send", A2A_SEND,
     SEND_03_WITH(
         "[{\"kind\":\"text\",\"text\":\"hi\"}]",
         ",\"configuration\":{\"blocking\":true,\"historyLength\":0,"
         "\"acceptedOutputModes\":[\"a/b\"],\"pushNotificationConfig\":{\"id\":\"c\"," CONFIG
         ",\"authentication\":{\"schemes\":[\"Bearer\",\"Basic\"],"
         "\"credentials\":\"c\"}}},\"metadata\":{\"a\":1}"),
     "{\"message\":" MESSAGE(PARTS) ",\"configuration\":{\"returnImmediately\":false,"
                                    "\"acceptedOutputModes\":[\"a/b\"],"
                                    "\"taskPushNotificationConfig\":{\"id\":\"c\"," CONFIG "," AUTH
                                    "}},\"metadata\":{\"a\":1}}"},
    {"message/stream", A2A_STREAM,
     SEND_03_WITH("[{\"type\":\"text\",\"text\":\"hi\"}]",
                  ",\"configuration\":{\"blocking\":false,\"historyLength\":4}"),
     "{\"message\":" MESSAGE(
         PARTS) ",\"configuration\":{\"returnImmediately\":true,\"historyLength\":4}}"},
    {"message/send", A2A_SEND,
     "{\"message\":{\"messageId\":\"m\",\"role\":\"agent\",\"taskId\":null,\"contextId\":\"c\","
     "\"parts\":[{\"text\":\"hi\"}]},\"configuration\":null}",
     "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"contextId\":\"c\","
     "\"parts\":[{\"text\":\"hi\"}]}}"},
    {"message/send", A2A_SEND,
     SEND_03_WITH("[{\"kind\":\"file\",\"file\":{\"fileWithBytes\":\"aGk=\",\"name\":\"f\","
                  "\"mimeType\":\"a/b\"},\"metadata\":{\"x\":1}},"
                  "{\"kind\":\"file\",\"file\":{\"fileWithUri\":\"u\"}},"
                  "{\"kind\":\"data\",\"data\":{\"a\":1}}]",
                  ""),
     "{\"message\":" MESSAGE("[{\"raw\":\"aGk=\",\"filename\":\"f\",\"mediaType\":\"a/b\","
                             "\"metadata\":{\"x\":1}},{\"url\":\"u\"},{\"data\":{\"a\":1}}]") "}"},
    {"message/send", A2A_SEND,
     "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"content\":[{\"text\":\"hi\"}]}"
     "}",
     SEND},
    {"tasks/get", A2A_GET, "{\"id\":\"x\",\"historyLength\":2}",
     "{\"id\":\"x\",\"historyLength\":2}"},
    {"tasks/get", A2A_GET, "{\"id\":\"x\",\"historyLength\":0}", "{\"id\":\"x\"}"},
    {"tasks/list", A2A_LIST, "{\"status\":\"auth-required\",\"contextId\":\"c\"}",
     "{\"status\":\"TASK_STATE_AUTH_REQUIRED\",\"contextId\":\"c\"}"},
    {"tasks/cancel", A2A_CANCEL, "{\"id\":\"x\"}", "{\"id\":\"x\"}"},
    {"tasks/resubscribe", A2A_SUBSCRIBE, "{\"id\":\"x\"}", "{\"id\":\"x\"}"},
    {"tasks/pushNotificationConfig/set", A2A_CONFIG_CREATE,
     "{\"taskId\":\"t\",\"pushNotificationConfig\":{" CONFIG "}}",
     "{\"taskId\":\"t\",\"id\":\"t\"," CONFIG "}"},
    {"tasks/pushNotificationConfig/get", A2A_CONFIG_GET, "{\"id\":\"t\"}",
     "{\"taskId\":\"t\",\"id\":\"t\"}"},
    {"tasks/pushNotificationConfig/get", A2A_CONFIG_GET,
     "{\"id\":\"t\",\"pushNotificationConfigId\":\"c\"}", "{\"taskId\":\"t\",\"id\":\"c\"}"},
    {"tasks/pushNotificationConfig/list", A2A_CONFIG_LIST, "{\"id\":\"t\"}", "{\"taskId\":\"t\"}"},
    {"tasks/pushNotificationConfig/delete", A2A_CONFIG_DELETE,
     "{\"id\":\"t\",\"pushNotificationConfigId\":\"c\"}", "{\"taskId\":\"t\",\"id\":\"c\"}"},
    {"agent/getAuthenticatedExtendedCard", A2A_EXTENDED_CARD, "{}", "{}"},
};

static const char *const old_wrong[] = {
    "{\"\":\"not_a_dict\"}",
    "{\"message\":{\"parts\":\"invalid\"}}",
    "{\"message\":7}",
    "[]",
    SEND_03_WITH("[]", ""),
    SEND_03_WITH("[{\"type\":\"unsupported_type\",\"text\":\"a\"}]", ""),
    SEND_03_WITH("[7]", ""),
    SEND_03_WITH("[{\"kind\":\"file\",\"file\":{}}]", ""),
    SEND_03_WITH("[{\"kind\":\"file\",\"file\":{\"bytes\":\"a\",\"uri\":\"b\"}}]", ""),
    SEND_03_WITH("[{\"kind\":\"file\"}]", ""),
    SEND_03_WITH("[{\"kind\":\"data\"}]", ""),
    SEND_03_WITH("[{\"kind\":\"text\",\"text\":7}]", ""),
    SEND_03_WITH(PARTS, ",\"configuration\":7"),
    SEND_03_WITH(PARTS, ",\"configuration\":{\"blocking\":7}"),
    SEND_03_WITH(PARTS, ",\"configuration\":{\"historyLength\":\"a\"}"),
    SEND_03_WITH(PARTS, ",\"configuration\":{\"pushNotificationConfig\":7}"),
    "{\"message\":{\"messageId\":\"m\",\"role\":\"robot\",\"parts\":" PARTS "}}",
    "{\"message\":{\"role\":\"user\",\"parts\":" PARTS "}}",
    "{\"message\":{\"messageId\":\"m\",\"parts\":" PARTS "}}"};

static void the_parameters_of_0_3_become_those_of_1_0(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(old_params); i++) {
        char body[2000];
        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s}",
                 old_params[i].method, old_params[i].given);
        struct a2a_http http = rpc(NULL, body);
        reads(&http, old_params[i].operation, old_params[i].taken);
    }
    for (size_t i = 0; i < COUNT(old_wrong); i++) {
        char body[1000];
        snprintf(body, sizeof body, CALL("message/send", "%s"), old_wrong[i]);
        struct a2a_http http = rpc(NULL, body);
        fails(&http, A2A_INVALID_PARAMS, NULL);
    }
}

static void a_part_comes_back_from_0_3_as_it_was(void **state)
{
    (void)state;
    static const struct {
        const char *part, *old;
    } cases[] = {
        {"{\"text\":\"a\\u0000\"}", "{\"kind\":\"text\",\"text\":\"a\\u0000\"}"},
        {"{\"text\":\"\",\"metadata\":{\"a\":1}}",
         "{\"kind\":\"text\",\"text\":\"\",\"metadata\":{\"a\":1}}"},
        {"{\"raw\":\"aGk=\",\"filename\":\"f\",\"mediaType\":\"a/b\"}",
         "{\"kind\":\"file\",\"file\":{\"bytes\":\"aGk=\",\"name\":\"f\",\"mimeType\":\"a/b\"}}"},
        {"{\"url\":\"u\"}", "{\"kind\":\"file\",\"file\":{\"uri\":\"u\"}}"},
        {"{\"data\":{\"value\":1}}", "{\"kind\":\"data\",\"data\":{\"value\":1}}"},
        {"{\"data\":[1]}", "{\"kind\":\"data\",\"data\":{\"value\":[1]},"
                           "\"metadata\":{\"data_part_compat\":true}}"},
        {"{\"data\":null}", "{\"kind\":\"data\",\"data\":{\"value\":null},"
                            "\"metadata\":{\"data_part_compat\":true}}"},
        {"{\"data\":\"x\",\"metadata\":{\"a\":1}}",
         "{\"kind\":\"data\",\"data\":{\"value\":\"x\"},"
         "\"metadata\":{\"a\":1,\"data_part_compat\":true}}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct a2a_problem problem;
        json_t *part = parse(cases[i].part), *old = a2a_v03_part(part);
        same(json_incref(old), cases[i].old, cases[i].part);
        same(a2a_v03_read_part(old, &problem), cases[i].part, cases[i].old);
        json_decref(old);
        json_decref(part);
    }
    json_t *message = parse("{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"contextId\":\"c\","
                            "\"taskId\":\"t\",\"parts\":" PARTS ",\"metadata\":{\"a\":1},"
                            "\"extensions\":[\"x\"],\"referenceTaskIds\":[\"r\"]}");
    struct a2a_problem problem;
    json_t *old = a2a_v03_message(message), *back = a2a_v03_read_message(old, &problem);
    assert_string_equal(json_string_value(json_object_get(old, "kind")), "message");
    assert_string_equal(json_string_value(json_object_get(old, "role")), "agent");
    assert_true(json_equal(back, message));
    json_decref(back);
    json_decref(old);
    json_decref(message);
}

/* What is written, without a frame; `expected` is a whole answer. */
static void writes(struct a2a_text text, int status, const char *type, const char *expected)
{
    assert_int_equal(text.length, strlen(text.bytes));
    assert_int_equal(text.status, status);
    assert_string_equal(text.content_type, type);
    bool event = strcmp(type, "text/event-stream") == 0;
    if (event) {
        assert_string_equal(text.bytes, expected);
    } else {
        json_t *value = json_loads(text.bytes, JSON_DECODE_ANY, NULL);
        same(value, expected, text.bytes);
    }
    free(text.bytes);
}

#define FRAME(rest) "{\"jsonrpc\":\"2.0\",\"id\":7," rest "}"
#define JSON "application/json"
#define STATUS(state) "{\"state\":\"" state "\",\"timestamp\":\"2026-05-01T20:14:07.000Z\"}"
#define TASK "{\"id\":\"t\",\"contextId\":\"c\",\"status\":" STATUS("TASK_STATE_WORKING") "}"
#define TASK_03 \
    "{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\",\"status\":" STATUS("working") "}"

static void a_result_has_the_form_of_its_version_and_binding(void **state)
{
    (void)state;
    static const struct {
        enum a2a_operation operation;
        const char *result, *old;
    } cases[] = {
        {A2A_SEND, "{\"task\":" TASK "}", TASK_03},
        {A2A_SEND, "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"parts\":[]}}",
         "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"agent\",\"parts\":[]}"},
        {A2A_GET, TASK, TASK_03},
        {A2A_CANCEL, TASK, TASK_03},
        {A2A_GET,
         "{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_FAILED\",\"message\":" MESSAGE(
             PARTS) "},\"artifacts\":[{\"artifactId\":\"a\",\"name\":\"n\",\"parts\":[{\"url\":"
                    "\"u\"}]}],\"history\":[" MESSAGE(PARTS) "],\"metadata\":{\"a\":1}}",
         "{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":\"failed\",\"message\":"
         "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":"
         "[{\"kind\":\"text\",\"text\":\"hi\"}]}},\"artifacts\":[{\"artifactId\":\"a\","
         "\"name\":\"n\",\"parts\":[{\"kind\":\"file\",\"file\":{\"uri\":\"u\"}}]}],"
         "\"history\":[{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":"
         "[{\"kind\":\"text\",\"text\":\"hi\"}]}],\"metadata\":{\"a\":1}}"},
        {A2A_LIST, "{\"tasks\":[" TASK "],\"nextPageToken\":\"\",\"pageSize\":1,\"totalSize\":1}",
         "{\"tasks\":[" TASK_03 "],\"nextPageToken\":\"\",\"pageSize\":1,\"totalSize\":1}"},
        {A2A_CONFIG_GET, "{\"taskId\":\"t\",\"id\":\"c\"," CONFIG "," AUTH "}",
         "{\"taskId\":\"t\",\"pushNotificationConfig\":{\"id\":\"c\"," CONFIG
         ",\"authentication\":{\"schemes\":[\"Bearer\"],\"credentials\":\"c\"}}}"},
        {A2A_CONFIG_LIST, "{\"configs\":[{\"taskId\":\"t\",\"id\":\"c\",\"url\":\"u\"}]}",
         "[{\"taskId\":\"t\",\"pushNotificationConfig\":{\"id\":\"c\",\"url\":\"u\"}}]"},
        {A2A_CONFIG_DELETE, "{}", "null"},
        {A2A_EXTENDED_CARD, "{\"name\":\"x\"}", "{\"name\":\"x\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char framed[2000];
        json_t *result = parse(cases[i].result);
        struct a2a_request request = {.operation = cases[i].operation, .version = A2A_1_0};
        request.binding = A2A_HTTP_JSON;
        writes(a2a_write_result(&request, result), 200, JSON, cases[i].result);
        request.typed = true;
        writes(a2a_write_result(&request, result), 200, "application/a2a+json", cases[i].result);
        request.binding = A2A_JSON_RPC;
        snprintf(framed, sizeof framed, "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":%s}",
                 cases[i].result);
        writes(a2a_write_result(&request, result), 200, JSON, framed);
        request.version = A2A_0_3;
        request.id = json_integer(7);
        snprintf(framed, sizeof framed, FRAME("\"result\":%s"), cases[i].old);
        writes(a2a_write_result(&request, result), 200, JSON, framed);
        json_decref(request.id);
        json_decref(result);
    }
}

static void every_state_and_event_has_its_name_in_0_3(void **state)
{
    (void)state;
    static const char *const states[][2] = {
        {"TASK_STATE_SUBMITTED", "submitted"}, {"TASK_STATE_WORKING", "working"},
        {"TASK_STATE_COMPLETED", "completed"}, {"TASK_STATE_FAILED", "failed"},
        {"TASK_STATE_CANCELED", "canceled"},   {"TASK_STATE_INPUT_REQUIRED", "input-required"},
        {"TASK_STATE_REJECTED", "rejected"},   {"TASK_STATE_AUTH_REQUIRED", "auth-required"},
        {"TASK_STATE_UNSPECIFIED", "unknown"}};
    for (size_t i = 0; i < COUNT(states); i++) {
        char given[200], expected[300];
        snprintf(given, sizeof given,
                 "{\"statusUpdate\":{\"taskId\":\"t\",\"contextId\":\"c\",\"status\":"
                 "{\"state\":\"%s\"}}}",
                 states[i][0]);
        snprintf(expected, sizeof expected,
                 "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"final\":%s,"
                 "\"status\":{\"state\":\"%s\"}}",
                 i % 2 ? "true" : "false", states[i][1]);
        json_t *event = parse(given);
        same(a2a_v03_event(event, i % 2), expected, given);
        json_decref(event);
    }
    json_t *event = parse("{\"artifactUpdate\":{\"taskId\":\"t\",\"contextId\":\"c\",\"append\":"
                          "true,\"lastChunk\":false,\"artifact\":{\"artifactId\":\"a\","
                          "\"parts\":" PARTS "}}}");
    same(a2a_v03_event(event, true),
         "{\"kind\":\"artifact-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"append\":true,"
         "\"lastChunk\":false,\"artifact\":{\"artifactId\":\"a\",\"parts\":"
         "[{\"kind\":\"text\",\"text\":\"hi\"}]}}",
         "artifactUpdate");
    json_decref(event);
}

static void an_event_is_one_line_and_a_blank_one(void **state)
{
    (void)state;
    json_t *task = parse("{\"task\":{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}}");
    struct a2a_request request = {.operation = A2A_STREAM, .version = A2A_1_0};
    struct a2a_problem problem = {.error = A2A_INTERNAL, .text = "two\nlines"};
    writes(a2a_write_event(&request, task, false), 200, "text/event-stream",
           "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{\"task\":{\"id\":\"t\","
           "\"status\":{\"state\":\"TASK_STATE_WORKING\"}}}}\n\n");
    writes(a2a_write_stream_problem(&request, &problem), 200, "text/event-stream",
           "event: error\ndata: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
           "\"message\":\"two\\nlines\"}}\n\n");
    request.version = A2A_0_3;
    writes(a2a_write_stream_problem(&request, &problem), 200, "text/event-stream",
           "data: {\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
           "\"message\":\"two\\nlines\"}}\n\n");
    request.version = A2A_1_0;
    request.binding = A2A_HTTP_JSON;
    writes(a2a_write_event(&request, task, false), 200, "text/event-stream",
           "data: {\"task\":{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}}\n\n");
    writes(a2a_write_notification(A2A_1_0, task, NULL), 200, "application/a2a+json",
           "{\"task\":{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}}");
    writes(a2a_write_notification(A2A_0_3, NULL, json_object_get(task, "task")), 200, JSON,
           "{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":\"working\"}}");
    json_decref(task);
}

static void every_error_has_its_code_status_and_reason(void **state)
{
    (void)state;
    static const struct {
        int code, status;
        const char *rpc, *reason;
    } errors[] = {
#define X(name, code, status, rpc, reason) {code, status, rpc, reason},
        A2A_ERRORS(X)
#undef X
    };
    for (size_t i = 0; i < COUNT(errors); i++) {
        char expected[700], info[300] = "";
        struct a2a_problem problem = {.error = (enum a2a_error)i, .text = "why", .task_id = "t"};
        struct a2a_request request = {.version = A2A_0_3, .id = json_integer(7)};
        int rpc_status = errors[i].status == 429 || errors[i].status == 503 ? errors[i].status
                                                                            : 200;
        if (*errors[i].reason)
            snprintf(info, sizeof info,
                     "[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"%s\","
                     "\"domain\":\"a2a-protocol.org\",\"metadata\":{\"taskId\":\"t\"}}]",
                     errors[i].reason);
        snprintf(expected, sizeof expected, FRAME("\"error\":{\"code\":%d,\"message\":\"why\"}"),
                 errors[i].code);
        writes(a2a_write_problem(&request, &problem), rpc_status, JSON, expected);
        request.version = A2A_1_0;
        snprintf(expected, sizeof expected,
                 FRAME("\"error\":{\"code\":%d,\"message\":\"why\"%s%s}"), errors[i].code,
                 *info ? ",\"data\":" : "", info);
        writes(a2a_write_problem(&request, &problem), rpc_status, JSON, expected);
        request.binding = A2A_HTTP_JSON;
        request.typed = true;
        snprintf(expected, sizeof expected,
                 "{\"error\":{\"code\":%d,\"status\":\"%s\",\"message\":\"why\"%s%s}}",
                 errors[i].status, errors[i].rpc, *info ? ",\"details\":" : "", info);
        writes(a2a_write_problem(&request, &problem), errors[i].status, JSON, expected);
        json_decref(request.id);
    }
    struct a2a_request request = {.version = A2A_1_0, .id = json_string("\"x")};
    struct a2a_problem problem = {
        .error = A2A_INVALID_PARAMS, .text = "id is missing", .field = "id"};
    writes(a2a_write_problem(&request, &problem), 200, JSON,
           "{\"jsonrpc\":\"2.0\",\"id\":\"\\\"x\",\"error\":{\"code\":-32602,\"message\":"
           "\"id is missing\",\"data\":[{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\","
           "\"fieldViolations\":[{\"field\":\"id\",\"description\":\"id is missing\"}]}]}}");
    json_decref(request.id);
}

/* The id and the version of a request that failed are known as far as it was read. */
static void a_refusal_answers_in_the_form_of_the_request(void **state)
{
    (void)state;
    static const struct {
        const char *version, *body;
        enum a2a_version answered;
        bool has_id;
    } cases[] = {{NULL, "{", A2A_0_3, false},
                 {"1.0", "{", A2A_1_0, false},
                 {"9.0", "{", A2A_1_0, false},
                 {NULL, CALL("SendMessage", SEND), A2A_1_0, true},
                 {NULL, CALL("x/y", "{}"), A2A_0_3, true},
                 {"9.0", CALL("message/send", SEND_03), A2A_1_0, true},
                 {"1.0", CALL("GetTask", "{}"), A2A_1_0, true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct a2a_http http = rpc(cases[i].version, cases[i].body);
        struct a2a_request request;
        struct a2a_problem problem;
        assert_false(a2a_read(&http, &request, &problem));
        assert_int_equal(request.version, cases[i].answered);
        assert_int_equal(request.id != NULL, cases[i].has_id);
        a2a_request_free(&request);
    }
    struct a2a_http http = {.method = "GET", .path = "/tasks/x", .version = "1.0"};
    static const struct {
        const char *accept;
        bool typed;
    } accepts[] = {{NULL, false},
                   {"*/*", false},
                   {"application/json", false},
                   {"application/a2a+json", true},
                   {"application/json, application/a2a+json;q=0.5", true},
                   {"text/event-stream,application/A2A+JSON", true},
                   {",", false}};
    for (size_t i = 0; i < COUNT(accepts); i++) {
        struct a2a_request request;
        struct a2a_problem problem;
        http.accept = accepts[i].accept;
        assert_true(a2a_read(&http, &request, &problem));
        assert_int_equal(request.typed, accepts[i].typed);
        a2a_request_free(&request);
    }
}

static void hostile_input_ends_in_a_plain_refusal(void **state)
{
    (void)state;
    size_t depth = 100000;
    char *deep = malloc(depth + 1);
    memset(deep, '[', depth);
    deep[depth] = '\0';
    struct a2a_http http = rpc("1.0", deep);
    fails(&http, A2A_PARSE, "");
    free(deep);
    char method[3000];
    snprintf(method, sizeof method, "{\"jsonrpc\":\"2.0\",\"method\":\"%01000d\xc3\xa9\\u0001\"}",
             0);
    http = rpc("1.0", method);
    fails(&http, A2A_NO_METHOD, "");
    char long_id[3000];
    snprintf(long_id, sizeof long_id,
             "{\"jsonrpc\":\"2.0\",\"id\":\"%01100d\",\"method\":\"GetTask\"}", 0);
    http = rpc("1.0", long_id);
    fails(&http, A2A_INVALID_REQUEST, "id");
    char task[600];
    snprintf(task, sizeof task, CALL("GetTask", "{\"id\":\"%0257d\"}"), 0);
    http = rpc("1.0", task);
    fails(&http, A2A_INVALID_PARAMS, "id");
    /* a number beyond what we hold is a text, not an error */
    http = rpc("1.0", CALL("SendMessage", "{\"message\":" MESSAGE(
                                              "[{\"data\":123456789012345678901234567890}]") "}"));
    reads(&http, A2A_SEND,
          "{\"message\":" MESSAGE("[{\"data\":\"123456789012345678901234567890\"}]") "}");
    http = rpc("1.0", "{\"jsonrpc\":\"2.0\",\"method\":\"GetTask\",\"params\":{\"id\":\"a\"},"
                      "\"params\":{\"id\":\"b\"}}");
    reads(&http, A2A_GET, "{\"id\":\"b\"}");
}

static void one_card_is_read_by_both_versions(void **state)
{
    (void)state;
    struct a2a_card card = {.url = "https://x/a2a", .name = "n", .bearer = true, .streaming = true};
    json_t *built = a2a_card_build(&card);
    same(
        built,
        "{\"name\":\"n\",\"description\":\"n\",\"version\":\"0\",\"supportedInterfaces\":["
        "{\"url\":\"https://x/a2a\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"},"
        "{\"url\":\"https://x/a2a\",\"protocolBinding\":\"HTTP+JSON\",\"protocolVersion\":\"1.0\"},"
        "{\"url\":\"https://x/a2a\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"0.3\"}],"
        "\"capabilities\":{\"streaming\":true,\"pushNotifications\":false,"
        "\"extendedAgentCard\":false},\"securitySchemes\":{\"bearer\":{\"type\":\"http\","
        "\"scheme\":\"Bearer\",\"httpAuthSecurityScheme\":{\"scheme\":\"Bearer\"}}},"
        "\"securityRequirements\":[{\"schemes\":{\"bearer\":{\"list\":[]}}}],"
        "\"security\":[{\"bearer\":[]}],\"defaultInputModes\":[\"text/plain\"],"
        "\"defaultOutputModes\":[\"text/plain\"],\"skills\":[{\"id\":\"messages\",\"name\":\"n\","
        "\"description\":\"n\",\"tags\":[\"messages\"]}],\"url\":\"https://x/a2a\","
        "\"preferredTransport\":\"JSONRPC\",\"protocolVersion\":\"0.3.0\","
        "\"additionalInterfaces\":[{\"url\":\"https://x/a2a\",\"transport\":\"JSONRPC\"}],"
        "\"supportsAuthenticatedExtendedCard\":false}",
        "the least card");
    json_t *skills = parse("[{\"id\":\"s\",\"name\":\"S\",\"description\":\"d\",\"tags\":[]}]");
    json_t *modes = parse("[\"a/b\"]"), *provider = parse("{\"organization\":\"o\",\"url\":\"u\"}");
    card = (struct a2a_card){.url = "u",
                             .skills = skills,
                             .input_modes = modes,
                             .provider = provider,
                             .extensions = modes,
                             .icon_url = "i"};
    built = a2a_card_build(&card);
    assert_true(json_equal(json_object_get(built, "skills"), skills));
    assert_true(json_equal(json_object_get(built, "defaultInputModes"), modes));
    assert_null(json_object_get(built, "securitySchemes"));
    assert_null(json_object_get(built, "documentationUrl"));
    json_decref(built);
    card.only_1_0 = card.bearer = true;
    built = a2a_card_build(&card);
    assert_null(json_object_get(built, "url"));
    assert_null(json_object_get(built, "security"));
    same(json_incref(json_object_get(built, "securitySchemes")),
         "{\"bearer\":{\"httpAuthSecurityScheme\":{\"scheme\":\"Bearer\"}}}", "only 1.0");
    json_decref(built);
    json_decref(skills);
    json_decref(modes);
    json_decref(provider);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_leads_to_its_methods),
        cmocka_unit_test(the_media_type_is_checked_before_the_body_is_read),
        cmocka_unit_test(a_frame_that_is_not_json_rpc_is_refused),
        cmocka_unit_test(the_version_is_what_the_header_says_and_absent_is_0_3),
        cmocka_unit_test(the_parameters_of_1_0_are_taken_as_they_are_or_mended),
        cmocka_unit_test(a_wrong_parameter_is_named),
        cmocka_unit_test(an_http_request_has_its_parameters_in_path_query_and_body),
        cmocka_unit_test(the_parameters_of_0_3_become_those_of_1_0),
        cmocka_unit_test(a_part_comes_back_from_0_3_as_it_was),
        cmocka_unit_test(a_result_has_the_form_of_its_version_and_binding),
        cmocka_unit_test(every_state_and_event_has_its_name_in_0_3),
        cmocka_unit_test(an_event_is_one_line_and_a_blank_one),
        cmocka_unit_test(every_error_has_its_code_status_and_reason),
        cmocka_unit_test(a_refusal_answers_in_the_form_of_the_request),
        cmocka_unit_test(hostile_input_ends_in_a_plain_refusal),
        cmocka_unit_test(one_card_is_read_by_both_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
