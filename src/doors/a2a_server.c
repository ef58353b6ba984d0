/* HTTP requests on their way to an agent, and its answers on their way back. */
#include "doors/a2a_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_MS 15000                     /* proxies close streams that are silent for a minute */
#define STREAM_MAXIMUM ((size_t)40 << 20) /* the largest event, and one that waits */

static void on_beat(uv_timer_t *timer)
{
    static const char comment[] = ": still here\n\n";
    struct a2a_server *server = timer->data;
    for (struct a2a_exchange *each = server->exchanges; each; each = each->next) {
        if (each->streaming && each->silent && each->http)
            (void)http_stream_send(each->http, comment, sizeof comment - 1);
        each->silent = true;
    }
}

/* --- requests --- */

/* Words for whoever is no A2A client, or has no token. */
void a2a_answer_plainly(struct http_request *http, const struct a2a_agent *agent, int status,
                        const char *name, const char *value, const char *words)
{
    struct http_header headers[] = {{"Content-Type", "application/json"}, {name, value}};
    char body[300];
    int length = snprintf(body, sizeof body, "{\"error\":\"%s\"}\n", words);
    if (agent)
        a2a_tell(agent->server, agent, http,
                 &(struct a2a_told){.status = status, .bytes = body, .length = (size_t)length});
    http_request_answer(http, &(struct http_answer){.status = status,
                                                    .headers = headers,
                                                    .header_count = name ? 2 : 1,
                                                    .body = body,
                                                    .length = (size_t)length});
}

static const char *below(const struct a2a_agent *agent, const char *path)
{
    size_t length = strlen(agent->path);
    bool inside = strncmp(path, agent->path, length) == 0 &&
                  (path[length] == '\0' || path[length] == '/');
    return !inside ? NULL : path[length] ? path + length : "/";
}

/* The one with the longest path; of two with the same path the one with a host. */
static struct a2a_agent *find_agent(const struct a2a_server *server, struct http_request *http)
{
    struct a2a_agent *found = NULL;
    const char *path = http_request_path(http);
    char host[HOST_NAME_SIZE];
    http_request_host(http, host);
    for (struct a2a_agent *each = server->agents; each; each = each->next) {
        if ((each->host && strcmp(each->host, host) != 0) || !below(each, path))
            continue;
        size_t length = strlen(each->path), longest = found ? strlen(found->path) : 0;
        if (!found || length > longest || (length == longest && each->host))
            found = each;
    }
    return found;
}

/* No agent is where it was looked for. */
static void answer_missing(const struct a2a_server *server, struct http_request *http)
{
    char host[HOST_NAME_SIZE];
    bool knows_host = !server->agents;
    http_request_host(http, host);
    for (const struct a2a_agent *each = server->agents; each && !knows_host; each = each->next)
        knows_host = !each->host || strcmp(each->host, host) == 0;
    if (knows_host)
        a2a_answer_plainly(http, NULL, 404, NULL, NULL, "there is no agent here");
    else /* RFC 9110 §15.5.20 */
        a2a_answer_plainly(http, NULL, 421, NULL, NULL,
                           "no agent here has the host that the request names");
}

static bool may_ask(struct a2a_server *server, const struct a2a_agent *agent,
                    struct http_request *http)
{
    const char *principal = principals_find(server->principals,
                                            http_request_header(http, "Authorization"));
    if (!principal) {
        bool given = http_request_header(http, "Authorization");
        a2a_answer_plainly(http, agent, 401, "WWW-Authenticate",
                           given ? "Bearer realm=\"molecule\", error=\"invalid_token\""
                                 : "Bearer realm=\"molecule\"",
                           given ? "the token is not valid here" : "a bearer token is needed");
        return false;
    }
    unsigned seconds = principals_wait(server->principals, principal, clock_monotonic_ms());
    if (seconds > 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", seconds);
        a2a_answer_plainly(http, agent, 429, "Retry-After", text, "too many requests");
        return false;
    }
    return true;
}

/* Before the body is read. false: it has its answer. */
static bool on_head(struct http_request *http, void *context)
{
    struct a2a_server *server = context;
    const char *path = http_request_path(http), *method = http_request_method(http), *allowed;
    const struct a2a_agent *agent = find_agent(server, http);
    if (server->draining && agent && agent->push) {
        http_request_reset(http); /* so that the platform sends it again */
        return false;
    }
    if (server->draining) {
        a2a_answer_plainly(http, agent, 503, "Retry-After", "5", "the agent is stopping");
        return false;
    }
    if (!agent) {
        answer_missing(server, http);
        return false;
    }
    path = below(agent, path);
    if (a2a_answer_card(server, http, agent, path))
        return false;
    if (agent->push)
        return a2a_push_head(agent, http, path);
    if (!a2a_routes(method, path, &allowed)) {
        if (allowed)
            a2a_answer_plainly(http, agent, 405, "Allow", allowed, "this path has no such method");
        else
            a2a_answer_plainly(http, agent, 404, NULL, NULL, "this path is no part of A2A");
        return false;
    }
    return may_ask(server, agent, http);
}

static const char *argument(void *context, const char *name)
{
    return http_request_argument(context, name);
}

static struct a2a_exchange *open_exchange(struct a2a_server *server, struct http_request *http)
{
    struct a2a_exchange *exchange = memory_allocate(sizeof *exchange);
    const char *principal = principals_find(server->principals,
                                            http_request_header(http, "Authorization"));
    exchange->agent = find_agent(server, http);
    exchange->server = server;
    exchange->http = http;
    exchange->began_ms = clock_monotonic_ms();
    snprintf(exchange->principal, sizeof exchange->principal, "%s", principal ? principal : "");
    exchange->next = server->exchanges;
    if (exchange->next)
        exchange->next->previous = exchange;
    server->exchanges = exchange;
    http_request_set_data(http, exchange);
    return exchange;
}

static void carry_out(struct a2a_exchange *exchange, struct http_request *http)
{
    struct a2a_agent *agent = exchange->agent;
    const char *version = http_request_header(http, "A2A-Version"), *missing;
    struct a2a_http about = {.method = http_request_method(http),
                             .path = below(agent, http_request_path(http)),
                             .content_type = http_request_header(http, "Content-Type"),
                             .accept = http_request_header(http, "Accept"),
                             .version = version ? version
                                                : http_request_argument(http, "A2A-Version"),
                             .argument = argument,
                             .context = http};
    about.body = http_request_body(http, &about.length);
    if (agent->push) {
        a2a_push_operate(exchange, about.body, about.length);
        return;
    }
    if (!a2a_read(&about, &exchange->request, &exchange->problem)) {
        a2a_refuse_with(exchange, &exchange->problem);
        return;
    }
    const char *named = http_request_header(
        http, exchange->request.version == A2A_0_3 ? "X-A2A-Extensions" : "A2A-Extensions");
    exchange->extensions = a2a_extensions(agent, named, &missing);
    if (missing)
        a2a_refuse(exchange, A2A_EXTENSION_REQUIRED, NULL,
                   "this agent requires the extension %.200s", missing);
    else if (!agent->card)
        a2a_refuse(exchange, A2A_UNAVAILABLE, NULL, "the agent is starting; try again");
    else
        a2a_operate(exchange);
}

static void on_request(struct http_request *http, void *context)
{
    struct a2a_server *server = context;
    struct a2a_exchange *exchange = open_exchange(server, http);
    if (!*exchange->principal || !exchange->agent) { /* tokens were read again meanwhile */
        a2a_answer_plainly(http, exchange->agent, 401, "WWW-Authenticate", "Bearer",
                           "the token is no longer valid");
        exchange->http = NULL;
        a2a_exchange_end(exchange);
        return;
    }
    carry_out(exchange, http);
}

static void on_gone(struct http_request *http, void *context)
{
    struct a2a_exchange *exchange = http_request_data(http);
    (void)context;
    if (exchange)
        a2a_exchange_end(exchange);
}

/* --- the server --- */

static const char default_place[] = A2A_STANDARD_PLACE;

static bool is_local(const char *place)
{
    return strncmp(place, "http://127.", 11) == 0 || strncmp(place, "http://[::1]", 12) == 0 ||
           strncmp(place, "unix:", 5) == 0;
}

/* Whoever reaches a public address must have a token. */
static bool check_places(const struct a2a_server *server,
                         const struct molecule_serve_options *options, char *problem,
                         size_t problem_size)
{
    char place[300];
    for (size_t i = 0; http_server_place(server->http, i, place, sizeof place); i++) {
        if (!options->no_auth || options->insecure_no_auth || is_local(place))
            continue;
        snprintf(problem, problem_size,
                 "%s can be reached by others, and --no-auth lets everybody ask: give "
                 "--auth-token-file, or --insecure-no-auth",
                 place);
        return false;
    }
    return true;
}

static bool open_http(struct a2a_server *server, const struct molecule_serve_options *options,
                      char *problem, size_t problem_size)
{
    const char *standard = default_place;
    struct http_server_options settings = {
        .listen = options->listen_count ? options->listens : &standard,
        .listen_count = options->listen_count ? options->listen_count : 1,
        .limits = {.head_bytes = 16384,
                   .body_bytes = options->max_body ? options->max_body : A2A_BODY_MAXIMUM,
                   .stream_bytes = STREAM_MAXIMUM,
                   .connections = options->max_connections},
        .trust_proxy = options->trust_proxy,
        .cors_origins = options->cors_origins,
        .cors_origin_count = options->cors_origin_count,
        .access_log_name = "serve",
        .on_head = on_head,
        .on_request = on_request,
        .on_gone = on_gone,
        .context = server,
    };
    server->http = http_server_open(server->loop, &settings, problem, problem_size);
    return server->http && check_places(server, options, problem, problem_size);
}

/* Where clients reach it: as the operator says, else where it listens. */
static void set_url(struct a2a_server *server, const char *public_url)
{
    char place[300];
    (void)http_server_place(server->http, 0, place, sizeof place);
    server->url = memory_copy_text(public_url                        ? public_url
                                   : strncmp(place, "unix:", 5) == 0 ? "http://localhost"
                                                                     : place);
    size_t length = strlen(server->url);
    while (length > 0 && server->url[length - 1] == '/')
        server->url[--length] = '\0';
}

static void say_places(const struct a2a_server *server)
{
    char place[300];
    for (size_t i = 0; http_server_place(server->http, i, place, sizeof place); i++)
        log_info(LOG_SERVER_LISTENING, NULL, "listening at %s", place);
}

struct a2a_server *a2a_server_open(uv_loop_t *loop, const struct molecule_serve_options *options,
                                   bool pushed, char *problem, size_t problem_size)
{
    bool open = pushed || options->no_auth || options->insecure_no_auth;
    if (!open && !options->auth_token_file) {
        snprintf(problem, problem_size,
                 "who may ask? give --auth-token-file FILE (a line each: name token), or --no-auth "
                 "to let everybody ask who reaches this machine's loopback address");
        return NULL;
    }
    struct a2a_server *server = memory_allocate(sizeof *server);
    server->loop = loop;
    server->principals = principals_open(open ? NULL : options->auth_token_file,
                                         options->rate_limit, problem, problem_size);
    uv_timer_init(loop, &server->beat);
    server->beat.data = server;
    uv_unref((uv_handle_t *)&server->beat);
    if (!server->principals || !open_http(server, options, problem, problem_size)) {
        a2a_server_close(server);
        return NULL;
    }
    server->only_1_0 = !options->card_of_all;
    set_url(server, options->public_url);
    uv_timer_start(&server->beat, on_beat, BEAT_MS, BEAT_MS);
    say_places(server);
    return server;
}

bool a2a_agent_asks(const struct a2a_agent *agent)
{
    return principals_ask(agent->server->principals);
}

const char *a2a_server_url(const struct a2a_server *server)
{
    return server->url;
}

void a2a_server_drain(struct a2a_server *server)
{
    if (server)
        server->draining = true;
}

static void on_beat_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void a2a_server_close(struct a2a_server *server)
{
    if (!server)
        return;
    while (server->agents)
        a2a_server_remove(server->agents);
    http_server_close(server->http);
    a2a_exchanges_free(server);
    principals_close(server->principals);
    free(server->url);
    uv_close((uv_handle_t *)&server->beat, on_beat_closed);
}

/* Whose token is no more. */
static void end_revoked(struct a2a_server *server)
{
    struct a2a_exchange *next;
    for (struct a2a_exchange *each = server->exchanges; each; each = next) {
        next = each->next;
        if (each->http && !each->agent->push &&
            !principals_have(server->principals, each->principal))
            a2a_refuse(each, A2A_UNAVAILABLE, NULL, "the token is no longer valid");
    }
}

void a2a_server_reload(struct a2a_server *server)
{
    char problem[500];
    if (!server)
        return;
    if (principals_reload(server->principals, problem, sizeof problem)) {
        log_debug(LOG_PRINCIPALS_READ, NULL, "the tokens were read again");
        end_revoked(server);
    } else {
        log_error(LOG_PRINCIPALS_REJECTED, NULL, "%s; the tokens that were known stay", problem);
    }
}

bool a2a_server_add(struct a2a_server *server, struct a2a_agent *agent,
                    const struct a2a_agent **other)
{
    for (*other = server->agents; *other; *other = (*other)->next) {
        bool same_host = agent->host && (*other)->host ? strcmp(agent->host, (*other)->host) == 0
                                                       : agent->host == (*other)->host;
        if (same_host && strcmp(agent->path, (*other)->path) == 0)
            return false;
    }
    agent->server = server;
    agent->next = server->agents;
    server->agents = agent;
    return true;
}

/* With the scheme and the port of the server's URL. */
char *a2a_agent_url(const struct a2a_agent *agent)
{
    const char *url = agent->server->url, *scheme_end = strstr(url, "://");
    if (!agent->host || !scheme_end)
        return memory_join(url, agent->path);
    const char *authority = scheme_end + 3, *port = authority + strcspn(authority, "/");
    while (port > authority && strchr("0123456789", port[-1]))
        port--;
    bool has_port = port > authority && port[-1] == ':';
    return memory_format("%.*s%s%.*s%s", (int)(authority - url), url, agent->host,
                         has_port ? (int)strcspn(port, "/") + 1 : 0, has_port ? port - 1 : "",
                         agent->path);
}

/* Those that the journal still has are given up with it. */
static void end_exchanges(struct a2a_server *server, const struct a2a_agent *agent)
{
    struct a2a_exchange *next;
    for (struct a2a_exchange *each = server->exchanges; each; each = next) {
        next = each->next;
        if (each->agent != agent || !each->http)
            continue;
        if (agent->push)
            a2a_push_postpone(each);
        else
            a2a_refuse(each, A2A_UNAVAILABLE, NULL, "the agent is stopping; ask again");
    }
}

void a2a_agent_dismiss(struct a2a_agent *agent)
{
    if (agent->server)
        end_exchanges(agent->server, agent);
}

void a2a_server_remove(struct a2a_agent *agent)
{
    struct a2a_server *server = agent->server;
    if (!server)
        return;
    end_exchanges(server, agent);
    struct a2a_agent **link = &server->agents;
    while (*link != agent)
        link = &(*link)->next;
    *link = agent->next;
    agent->server = NULL;
    json_decref(agent->card);
    json_decref(agent->extended);
    free(agent->card_text);
    free(agent->card_tag);
    free(agent->card_modified);
    agent->card = agent->extended = NULL;
    agent->card_text = agent->card_tag = agent->card_modified = NULL;
}
