/* A request of either binding: headers, frame, version, parameters. */
#include "wire/a2a_private.h"

#include "wire/jsontext.h"
#include "wire/repair.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ID_MAXIMUM 1024 /* bytes; every event of a stream repeats the id */

static const struct {
    const char *names[2]; /* by enum a2a_version */
} methods[] = {
#define X(name, v1, v03) {{[A2A_0_3] = v03, [A2A_1_0] = v1}},
    A2A_OPERATIONS(X)
#undef X
};

void a2a_request_free(struct a2a_request *request)
{
    json_decref(request->id);
    json_decref(request->params);
    request->id = request->params = NULL;
}

/* Replaces what is no printable UTF-8, also a character that was cut. */
static void clean(char *text)
{
    for (size_t left = strlen(text), size; left > 0; text += size, left -= size) {
        size = repair_character(text, left);
        if (size == 0 || (unsigned char)*text < ' ' || *text == 0x7f) {
            *text = size == 0 ? '?' : ' ';
            size = 1;
        }
    }
}

bool a2a_fail(struct a2a_problem *problem, enum a2a_error error, const char *field,
              const char *format, ...)
{
    *problem = (struct a2a_problem){.error = error};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    clean(problem->text);
    snprintf(problem->field, sizeof problem->field, "%s", field);
    clean(problem->field);
    return false;
}

bool a2a_fail_memory(struct a2a_problem *problem)
{
    return a2a_fail(problem, A2A_INTERNAL, "", "out of memory");
}

/* --- headers --- */

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

/* The media type at the start of `text`, up to parameters, a comma or the end, is `type`. */
static bool is_type(const char *text, const char *type)
{
    while (is_blank(*text))
        text++;
    size_t length = strcspn(text, ";,");
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    return length == strlen(type) && strncasecmp(text, type, length) == 0;
}

#define TYPED "application/a2a+json" /* [1.0 §11.1] */

static bool accepts_typed(const char *accept)
{
    for (; accept; accept = strchr(accept, ','))
        if (is_type(accept += *accept == ',', TYPED))
            return true;
    return false;
}

static bool check_content_type(const struct a2a_http *http, struct a2a_problem *problem)
{
    const char *type = http->content_type;
    if (type && (is_type(type, "application/json") || is_type(type, TYPED)))
        return true;
    return a2a_fail(problem, A2A_CONTENT_TYPE, "", "Content-Type is \"%s\"; send application/json",
                    type ? type : "");
}

/* What A2A-Version says. Only Major.Minor counts [1.0 §3.6]. */
enum asked { ASKED_NOTHING, ASKED_0_3, ASKED_1_0, ASKED_OTHER };

static enum asked asked_version(const char *text)
{
    static const struct {
        const char *number;
        enum asked asked;
    } known[] = {{"0.3", ASKED_0_3}, {"1.0", ASKED_1_0}};
    while (text && is_blank(*text))
        text++;
    if (!text || !*text)
        return ASKED_NOTHING;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(text, known[i].number, 3) != 0)
            continue;
        const char *rest = text + 3;
        if (*rest == '.')
            rest += 1 + strspn(rest + 1, "0123456789");
        while (is_blank(*rest))
            rest++;
        if (!*rest)
            return known[i].asked;
    }
    return ASKED_OTHER;
}

static bool fail_version(const struct a2a_http *http, struct a2a_problem *problem)
{
    return a2a_fail(problem, A2A_VERSION, "",
                    "A2A version \"%s\" is not supported; send the header A2A-Version: 1.0, or 0.3",
                    http->version);
}

/* --- JSON --- */

/* An integer beyond 64 bits or a real number beyond a double is no reason to refuse a message: such
 * a number becomes a string of its digits, as everywhere in the program. NULL: not JSON. */
static json_t *read_body(const struct a2a_http *http, struct a2a_problem *problem)
{
    json_error_t error = {0};
    json_t *root = json_loadb(http->body ? http->body : "", http->length,
                              JSON_ALLOW_NUL | JSON_DECODE_ANY, &error);
    if (!root && json_error_code(&error) == json_error_numeric_overflow)
        root = jsontext_read(http->body, http->length, NULL, NULL);
    if (!root)
        a2a_fail(problem, A2A_PARSE, "", "the body is not JSON: %s, at byte %d",
                 error.text[0] ? error.text : "out of memory", error.position);
    return root;
}

/* Parameters of the dialect -> request->params, of 1.0 and checked. */
static bool take_params(json_t *params, struct a2a_request *request, struct a2a_problem *problem)
{
    if (request->version == A2A_0_3)
        request->params = a2a_v03_params(request->operation, params, problem);
    else
        request->params = json_incref(params);
    if (!request->params)
        return false;
    a2a_v1_mend(request->operation, request->params);
    return a2a_v1_check(request->operation, request->params, problem);
}

/* --- JSON-RPC --- */

static bool read_id(json_t *id, struct a2a_request *request, struct a2a_problem *problem)
{
    /* JSON-RPC 2.0 §4.1 does not answer a request without an id. Every A2A request has an answer,
     * and the conformance kit of 0.3 wants one here too, so it is an id of null. */
    if (!id || json_is_null(id))
        return true;
    if (!json_is_number(id) && !json_is_string(id))
        return a2a_fail(problem, A2A_INVALID_REQUEST, "id",
                        "\"id\" must be a string, a number or null");
    if (json_string_length(id) > ID_MAXIMUM)
        return a2a_fail(problem, A2A_INVALID_REQUEST, "id", "\"id\" is longer than %d bytes",
                        ID_MAXIMUM);
    request->id = json_incref(id);
    return true;
}

/* false: neither version has it. */
static bool find_method(const char *name, enum a2a_version *version, enum a2a_operation *operation)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        for (enum a2a_version v = A2A_0_3; v <= A2A_1_0; v++) {
            if (strcmp(name, methods[i].names[v]) == 0) {
                *version = v;
                *operation = (enum a2a_operation)i;
                return true;
            }
        }
    }
    return false;
}

/* An absent header is 0.3 [1.0 §3.6.2]. So a method of 1.0 without it is refused, as the SDKs do:
 * the client would get answers whose form it has not agreed to. */
static bool choose_method(const struct a2a_http *http, const char *name,
                          struct a2a_request *request, struct a2a_problem *problem)
{
    enum asked asked = asked_version(http->version);
    enum a2a_version of_method;
    if (asked == ASKED_OTHER)
        return fail_version(http, problem);
    if (!find_method(name, &of_method, &request->operation))
        return a2a_fail(problem, A2A_NO_METHOD, "", "there is no method \"%s\"", name);
    if (of_method == request->version)
        return true;
    if (of_method == A2A_0_3)
        return a2a_fail(problem, A2A_NO_METHOD, "", "\"%s\" is a method of A2A 0.3; 1.0 has \"%s\"",
                        name, methods[request->operation].names[A2A_1_0]);
    request->version = A2A_1_0; /* the form of the error that its client reads */
    return a2a_fail(problem, A2A_VERSION, "",
                    "\"%s\" is a method of A2A 1.0; send the header A2A-Version: 1.0", name);
}

static bool read_call(const struct a2a_http *http, json_t *root, struct a2a_request *request,
                      struct a2a_problem *problem)
{
    if (json_is_array(root))
        return a2a_fail(problem, A2A_INVALID_REQUEST, "", "batches are not supported");
    if (!json_is_object(root))
        return a2a_fail(problem, A2A_INVALID_REQUEST, "", "a request is a JSON object");
    if (!read_id(json_object_get(root, "id"), request, problem))
        return false;
    const char *version = json_string_value(json_object_get(root, "jsonrpc"));
    const json_t *method = json_object_get(root, "method");
    if (!version || strcmp(version, "2.0") != 0)
        return a2a_fail(problem, A2A_INVALID_REQUEST, "jsonrpc", "\"jsonrpc\" must be \"2.0\"");
    if (json_string_length(method) == 0)
        return a2a_fail(problem, A2A_INVALID_REQUEST, "method", "\"method\" must be a string");
    if (!choose_method(http, json_string_value(method), request, problem))
        return false;
    json_t *params = json_object_get(root, "params");
    json_t *empty = !params || json_is_null(params) ? json_object() : NULL;
    bool taken = take_params(empty ? empty : params, request, problem);
    json_decref(empty);
    return taken;
}

static bool read_rpc(const struct a2a_http *http, struct a2a_request *request,
                     struct a2a_problem *problem)
{
    if (!check_content_type(http, problem))
        return false;
    json_t *root = read_body(http, problem);
    bool understood = root && read_call(http, root, request, problem);
    json_decref(root);
    return understood;
}

/* --- HTTP+JSON --- */

/* Below /v1 the path is 0.3's, whatever the header says. The other paths are 1.0's alone, and
 * without the header that would be 0.3 [1.0 §3.6.2], which does not have them: refused, as the SDKs
 * do. The conformance kit always sends the header. */
static bool check_version(const struct a2a_http *http, const struct a2a_route *route,
                          struct a2a_problem *problem)
{
    enum asked asked = asked_version(http->version);
    if (route->version == A2A_0_3 || asked == ASKED_1_0)
        return true;
    if (asked == ASKED_OTHER)
        return fail_version(http, problem);
    return a2a_fail(problem, A2A_VERSION, "",
                    "this path is of A2A 1.0; send the header A2A-Version: 1.0 (0.3 is below /v1)");
}

static bool read_http(const struct a2a_http *http, const struct a2a_route *route,
                      struct a2a_request *request, struct a2a_problem *problem)
{
    bool has_body = strcmp(http->method, "POST") == 0 && http->length > 0;
    if (has_body && !check_content_type(http, problem))
        return false;
    if (!check_version(http, route, problem))
        return false;
    json_t *body = has_body ? read_body(http, problem) : NULL;
    if (has_body && !body)
        return false;
    request->params = a2a_query(http, route, body, problem);
    json_decref(body);
    if (!request->params)
        return false;
    a2a_v1_mend(route->operation, request->params);
    return a2a_v1_check(route->operation, request->params, problem);
}

bool a2a_read(const struct a2a_http *http, struct a2a_request *request, struct a2a_problem *problem)
{
    struct a2a_route route;
    const char *allowed;
    *request = (struct a2a_request){0};
    *problem = (struct a2a_problem){0};
    bool known = a2a_route(http->method, http->path, &route, &allowed);
    request->binding = route.binding;
    request->operation = route.operation;
    if (route.binding == A2A_JSON_RPC) {
        enum asked asked = asked_version(http->version);
        request->version = asked == ASKED_NOTHING || asked == ASKED_0_3 ? A2A_0_3 : A2A_1_0;
    } else {
        request->version = route.version;
        request->typed = accepts_typed(http->accept) ||
                         (http->content_type && is_type(http->content_type, TYPED));
    }
    if (!known)
        return a2a_fail(problem, A2A_NO_METHOD, "", "%s %s is not a path of A2A", http->method,
                        http->path);
    return route.binding == A2A_JSON_RPC ? read_rpc(http, request, problem)
                                         : read_http(http, &route, request, problem);
}
