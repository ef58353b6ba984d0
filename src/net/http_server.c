/* The server: libmicrohttpd, driven from outside. Its epoll descriptor is watched by the loop, its
 * timeout feeds a timer. It does not wake itself when a connection is resumed, and has work left at
 * times without a ready socket; then an idle handle makes the loop's next turn run it. (A timer of
 * 0 ms would not do: restarted from its own callback it starves the loop.) What happens to a
 * request is in http_server_request.c, how it is answered in http_server_response.c. */
#include "net/http_server_request.h"

#include "base/memory.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* bytes for a connection's head and buffers; larger heads get 431 */
#define CONNECTION_MEMORY 262144

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

/* A listening socket, or -1 with the problem told. */
static int listen_on(const struct http_server_options *options, uint16_t *port, char *problem,
                     size_t problem_size)
{
    const char *address = options->address ? options->address : "127.0.0.1";
    struct sockaddr_storage place = {0};
    socklen_t size = sizeof(struct sockaddr_in);
    if (uv_ip4_addr(address, options->port, (struct sockaddr_in *)&place) != 0) {
        size = sizeof(struct sockaddr_in6);
        if (uv_ip6_addr(address, options->port, (struct sockaddr_in6 *)&place) != 0) {
            snprintf(problem, problem_size, "%s is not an IP address", address);
            return -1;
        }
    }
    int on = 1;
    int fd = socket(place.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&place, size) != 0 || listen(fd, 511) != 0 ||
        getsockname(fd, (struct sockaddr *)&place, &size) != 0) {
        if (errno == EADDRINUSE)
            snprintf(problem, problem_size, "%s:%u is in use by another program", address,
                     options->port);
        else
            snprintf(problem, problem_size, "cannot listen on %s:%u: %s", address, options->port,
                     strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(place.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&place)->sin6_port
                                              : ((struct sockaddr_in *)&place)->sin_port);
    return fd;
}

struct http_server *http_server_open(uv_loop_t *loop, const struct http_server_options *options,
                                     char *problem, size_t problem_size)
{
    uint16_t port = 0;
    int fd = listen_on(options, &port, problem, problem_size);
    if (fd < 0)
        return NULL;
    struct http_server *server = memory_allocate(sizeof *server);
    server->options = *options;
    server->options.address = NULL;
    server->loop = loop;
    server->port = port;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, http_server_access, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, http_server_completed, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_SERVER_CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_END);
    if (!server->daemon) {
        snprintf(problem, problem_size, "cannot start the HTTP server: %s", strerror(errno));
        close(fd);
        free(server);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon,
                                                           MHD_DAEMON_INFO_EPOLL_FD);
    int result = info ? uv_poll_init(loop, &server->readiness, info->epoll_fd) : UV_ENOTSUP;
    if (result != 0) {
        snprintf(problem, problem_size, "cannot watch the HTTP server: %s", uv_strerror(result));
        MHD_stop_daemon(server->daemon);
        free(server);
        return NULL;
    }
    uv_timer_init(loop, &server->timeout);
    uv_idle_init(loop, &server->again);
    server->open_handles = 3;
    server->readiness.data = server->timeout.data = server->again.data = server;
    uv_poll_start(&server->readiness, UV_READABLE, on_readiness);
    return server;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles == 0)
        free(server);
}

void http_server_close(struct http_server *server)
{
    if (!server)
        return;
    server->closing = true;
    uv_close((uv_handle_t *)&server->readiness, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->timeout, on_server_handle_closed);
    uv_close((uv_handle_t *)&server->again, on_server_handle_closed);
    for (struct http_request *request = server->requests; request; request = request->next) {
        request->held = false;
        request->aborted = true;
        http_server_wake(request);
    }
    MHD_stop_daemon(server->daemon);
}
