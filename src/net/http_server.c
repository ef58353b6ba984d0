/* The server: libmicrohttpd, driven from outside. Its epoll descriptor is watched by the loop, its
 * timeout feeds a timer. It does not wake itself when a connection is resumed, and has work left at
 * times without a ready socket; then an idle handle makes the loop's next turn run it. (A timer of
 * 0 ms would not do: restarted from its own callback it starves the loop.) What happens to a
 * request is in http_server_request.c, how it is answered in http_server_response.c. */
#include "net/http_server_request.h"

#include "base/memory.h"

#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* of a connection, besides its head: libmicrohttpd's record of a header or argument, and the head
 * of the answer */
#define HEADER_RECORD 64
#define ANSWER_HEAD 4096

#define SPARE_DESCRIPTORS 128 /* for everything else in the process */

/* ---- driving libmicrohttpd ---- */

static void on_again(uv_idle_t *again);

static void on_timeout(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uv_idle_start(&server->again, on_again);
}

static void run(struct http_server *server)
{
    uv_idle_stop(&server->again);
    uv_timer_stop(&server->timeout);
    (void)MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG milliseconds;
    if (MHD_get_timeout(server->daemon, &milliseconds) != MHD_YES)
        return;
    if (milliseconds == 0)
        uv_idle_start(&server->again, on_again);
    else
        uv_timer_start(&server->timeout, on_timeout, milliseconds, 0);
}

static void on_again(uv_idle_t *again)
{
    run(again->data);
}

void http_server_run_soon(struct http_server *server)
{
    if (!server->closing)
        uv_idle_start(&server->again, on_again);
}

static void on_readiness(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    run(handle->data);
}

/* ---- the server ---- */

static unsigned descriptor_limit(unsigned wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    rlim_t spare = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? SPARE_DESCRIPTORS : limit.rlim_cur / 2;
    return wanted < limit.rlim_cur - spare ? wanted : (unsigned)(limit.rlim_cur - spare);
}

#define FILL(limit, value)     \
    do {                       \
        if ((limit) == 0)      \
            (limit) = (value); \
    } while (0)

static void fill_limits(struct http_server_limits *limits)
{
    FILL(limits->head_bytes, 65536);
    FILL(limits->headers, 100);
    FILL(limits->body_bytes, HTTP_SERVER_BODY_MAXIMUM);
    FILL(limits->stream_bytes, HTTP_SERVER_STREAM_MAXIMUM);
    FILL(limits->connections, HTTP_SERVER_CONNECTIONS);
    FILL(limits->head_ms, 10000);
    FILL(limits->body_ms, 60000);
    FILL(limits->idle_ms, 75000);
    FILL(limits->kept_connections, HTTP_SERVER_KEPT);
    limits->connections = descriptor_limit(limits->connections);
}

static struct http_server *server_create(uv_loop_t *loop, const struct http_server_options *options)
{
    struct http_server *server = memory_allocate(sizeof *server);
    server->loop = loop;
    server->options = *options;
    server->options.address = NULL;
    server->options.listen = server->options.cors_origins = NULL;
    fill_limits(&server->options.limits);
    server->id_prefix = (uint32_t)random_number();
    server->access_log_name = memory_copy_text(options->access_log_name);
    server->cors_origins = memory_allocate((options->cors_origin_count + 1) *
                                           sizeof *server->cors_origins);
    for (size_t i = 0; i < options->cors_origin_count; i++)
        server->cors_origins[i] = memory_copy_text(options->cors_origins[i]);
    return server;
}

static void server_free(struct http_server *server)
{
    for (size_t i = 0; i < server->options.cors_origin_count; i++)
        free(server->cors_origins[i]);
    free(server->cors_origins);
    free(server->access_log_name);
    free(server->places);
    free(server);
}

static bool start_daemon(struct http_server *server)
{
    const struct http_server_limits *limits = &server->options.limits;
    size_t memory = limits->head_bytes + limits->headers * HEADER_RECORD + ANSWER_HEAD;
    unsigned idle = limits->idle_ms == HTTP_SERVER_UNLIMITED ? 0 : limits->idle_ms / 1000 + 1;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
        http_server_access, server, MHD_OPTION_URI_LOG_CALLBACK, http_server_target, server,
        MHD_OPTION_NOTIFY_COMPLETED, http_server_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        http_server_notify, server, MHD_OPTION_CONNECTION_LIMIT, limits->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, limits->per_client, MHD_OPTION_CONNECTION_TIMEOUT, idle,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
        MHD_OPTION_END);
    return server->daemon != NULL;
}

static int watch(struct http_server *server)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon,
                                                           MHD_DAEMON_INFO_EPOLL_FD);
    int result = info ? uv_poll_init(server->loop, &server->readiness, info->epoll_fd) : UV_ENOTSUP;
    if (result != 0)
        return result;
    uv_timer_init(server->loop, &server->timeout);
    uv_timer_init(server->loop, &server->sweep);
    uv_idle_init(server->loop, &server->again);
    server->open_handles = 4;
    server->readiness.data = server->timeout.data = server->sweep.data = server->again.data =
        server;
    uv_poll_start(&server->readiness, UV_READABLE, on_readiness);
    return http_server_accept_start(server);
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_options *options,
                                     char *problem, size_t problem_size)
{
    struct http_server *server = server_create(loop, options);
    if (!http_server_listen(server, options, problem, problem_size)) {
        http_server_unlisten(server);
        server_free(server);
        return NULL;
    }
    int result = 0;
    if (start_daemon(server) && (result = watch(server)) == 0)
        return server;
    if (!server->daemon)
        snprintf(problem, problem_size, "cannot start the HTTP server: %s", strerror(errno));
    else
        snprintf(problem, problem_size, "cannot watch the HTTP server: %s", uv_strerror(result));
    if (server->open_handles > 0) {
        http_server_close(server);
        return NULL;
    }
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    http_server_unlisten(server);
    server_free(server);
    return NULL;
}

void http_server_handle_closed(struct http_server *server)
{
    if (--server->open_handles == 0)
        server_free(server);
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    http_server_handle_closed(handle->data);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    server->closing = true;
    uv_close((uv_handle_t *)&server->readiness, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->timeout, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->sweep, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->again, on_server_handle_closed);
    http_server_unwatch_places(server);
    http_server_unlisten(server);
    http_server_lingers_close(server);
    for (struct http_request *request = server->requests; request; request = request->next) {
        request->held = false;
        request->aborted = true;
        http_server_wake(request);
    }
    MHD_stop_daemon(server->daemon);
}
