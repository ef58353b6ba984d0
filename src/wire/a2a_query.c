/* HTTP+JSON: the parameters of a request from its path, its query [1.0 §11.5] and its body. What
 * the path says wins. */
#include "wire/a2a_private.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum query_type { QUERY_TEXT, QUERY_STATE, QUERY_NUMBER, QUERY_BOOLEAN };

static const struct query {
    enum a2a_operation operation;
    const char *name;
    enum query_type type;
} queries[] = {
    {A2A_GET, "historyLength", QUERY_NUMBER},
    {A2A_LIST, "contextId", QUERY_TEXT},
    {A2A_LIST, "status", QUERY_STATE},
    {A2A_LIST, "pageSize", QUERY_NUMBER},
    {A2A_LIST, "pageToken", QUERY_TEXT},
    {A2A_LIST, "historyLength", QUERY_NUMBER},
    {A2A_LIST, "statusTimestampAfter", QUERY_TEXT},
    {A2A_LIST, "includeArtifacts", QUERY_BOOLEAN},
    {A2A_CONFIG_LIST, "pageSize", QUERY_NUMBER},
    {A2A_CONFIG_LIST, "pageToken", QUERY_TEXT},
};

/* NULL: the text is not of the type. */
static json_t *convert(const struct query *query, enum a2a_version version, const char *text)
{
    if (query->type == QUERY_BOOLEAN)
        return strcmp(text, "true") == 0    ? json_true()
               : strcmp(text, "false") == 0 ? json_false()
                                            : NULL;
    if (query->type == QUERY_NUMBER) {
        size_t digits = strspn(text + (*text == '-'), "0123456789");
        bool whole = digits > 0 && digits < 16 && !text[(*text == '-') + digits];
        return whole ? json_integer(strtoll(text, NULL, 10)) : NULL;
    }
    if (query->type == QUERY_STATE && version == A2A_0_3)
        text = a2a_v03_read_state(text);
    return text ? json_string(text) : NULL; /* NULL too if it is not UTF-8 */
}

static bool read_query(const struct a2a_http *http, const struct a2a_route *route, json_t *params,
                       struct a2a_problem *problem)
{
    static const char *const types[] = {"a text", "a task state", "a whole number",
                                        "true or false"};
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        const struct query *query = &queries[i];
        if (query->operation != route->operation || !http->argument)
            continue;
        const char *text = http->argument(http->context, query->name);
        if (!text || !*text)
            continue;
        json_t *value = convert(query, route->version, text);
        if (!value)
            return a2a_fail(problem, A2A_INVALID_PARAMS, query->name,
                            "the query parameter %s must be %s", query->name, types[query->type]);
        if (json_object_set_new(params, query->name, value) != 0)
            return a2a_fail_memory(problem);
    }
    return true;
}

static bool put_id(json_t *params, const char *name, const char *text, size_t length,
                   struct a2a_problem *problem)
{
    json_t *value = text ? json_stringn(text, length) : NULL;
    if (!text)
        return true;
    if (!value)
        return a2a_fail(problem, A2A_INVALID_PARAMS, name, "the id in the path is not UTF-8");
    return json_object_set_new(params, name, value) == 0 || a2a_fail_memory(problem);
}

static bool has_config(enum a2a_operation operation)
{
    return operation == A2A_CONFIG_CREATE || operation == A2A_CONFIG_GET ||
           operation == A2A_CONFIG_LIST || operation == A2A_CONFIG_DELETE;
}

/* Only what has a body of its own differs in 0.3. */
static json_t *read_body(const struct a2a_route *route, json_t *body, struct a2a_problem *problem)
{
    bool sends = route->operation == A2A_SEND || route->operation == A2A_STREAM;
    if (body && !json_is_object(body)) {
        a2a_fail(problem, A2A_INVALID_PARAMS, "", "the body must be a JSON object");
        return NULL;
    }
    if (!body)
        body = json_object();
    else if (route->version == A2A_0_3 && (sends || route->operation == A2A_CONFIG_CREATE))
        body = a2a_v03_params(route->operation, body, problem);
    else
        json_incref(body);
    return body;
}

json_t *a2a_query(const struct a2a_http *http, const struct a2a_route *route, json_t *body,
                  struct a2a_problem *problem)
{
    const char *id = has_config(route->operation) ? "taskId" : "id";
    *problem = (struct a2a_problem){.error = A2A_INTERNAL, .text = "out of memory"};
    json_t *params = read_body(route, body, problem);
    if (params && put_id(params, id, route->id, route->id_length, problem) &&
        put_id(params, "id", route->config, route->config_length, problem) &&
        read_query(http, route, params, problem))
        return params;
    json_decref(params);
    return NULL;
}
