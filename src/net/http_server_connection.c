/* A connection: what its client must do by when, and how it ends.
 *
 * libmicrohttpd knows only a time without any byte, so deadlines are ours: one timer looks at all
 * connections. And it closes a socket at once, which makes the kernel answer bytes that are still
 * on their way with an RST that overtakes the answer. A duplicate of the socket then reads on for a
 * moment (struct http_linger). */
#include "net/http_server_request.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 2000
#define LINGER_BYTES ((size_t)16 << 20)
#define LINGERING_MOST 256
#define SWEEP_LEAST_MS 5
#define SWEEP_MOST_MS 500

/* ---- after the end ---- */

struct http_linger {
    struct http_server *server;
    struct http_linger *previous, *next;
    uv_poll_t readiness;
    int fd;
    uint64_t deadline_ms;
    size_t bytes;
};

static void on_linger_closed(uv_handle_t *handle)
{
    struct http_linger *linger = handle->data;
    struct http_server *server = linger->server;
    close(linger->fd);
    server->linger_count--;
    http_server_accept_pause(server, false);
    free(linger);
    http_server_handle_closed(server);
}

static void linger_end(struct http_linger *linger)
{
    if (linger->next)
        linger->next->previous = linger->previous;
    if (linger->previous)
        linger->previous->next = linger->next;
    else
        linger->server->lingering = linger->next;
    uv_close((uv_handle_t *)&linger->readiness, on_linger_closed);
}

static void on_late_bytes(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct http_linger *linger = handle->data;
    char bytes[16384];
    ssize_t length = recv(linger->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length > 0)
        linger->bytes += (size_t)length;
    if (length <= 0 || linger->bytes > LINGER_BYTES)
        linger_end(linger);
}

static void linger_begin(struct http_server *server, int socket)
{
    int fd = fcntl(socket, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return;
    struct http_linger *linger = memory_allocate(sizeof *linger);
    if (uv_poll_init(server->loop, &linger->readiness, fd) != 0) {
        close(fd);
        free(linger);
        return;
    }
    linger->server = server;
    linger->fd = fd;
    linger->readiness.data = linger;
    linger->deadline_ms = uv_now(server->loop) + LINGER_MS;
    linger->next = server->lingering;
    if (linger->next)
        linger->next->previous = linger;
    server->lingering = linger;
    server->linger_count++;
    server->open_handles++;
    uv_poll_start(&linger->readiness, UV_READABLE, on_late_bytes);
}

void http_server_lingers_close(struct http_server *server)
{
    while (server->lingering)
        linger_end(server->lingering);
}

/* ---- refusing ---- */

void http_connection_refuse(struct http_connection *connection, unsigned status)
{
    struct http_request *request = connection->request;
    char text[512], body[128];
    int length = snprintf(body, sizeof body, "{\"error\":\"%s\"}", http_status_text(status));
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n%s%s%s\r\n%s",
                        status, MHD_get_reason_phrase_for(status), length,
                        request ? "X-Request-Id: " : "", request ? request->id : "",
                        request ? "\r\n" : "", body);
    (void)send(connection->fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    connection->refused = true;
    if (request)
        request->status = status;
}

/* ---- deadlines ---- */

static unsigned limit_of(const struct http_server_limits *limits, enum http_awaited awaited)
{
    switch (awaited) {
    case AWAITED_HEAD: return limits->head_ms;
    case AWAITED_BODY: return limits->body_ms;
    case AWAITED_NEXT: return limits->idle_ms;
    case AWAITED_NOTHING: break;
    }
    return HTTP_SERVER_UNLIMITED;
}

void http_connection_await(struct http_connection *connection, enum http_awaited awaited)
{
    unsigned limit = limit_of(&connection->server->options.limits, awaited);
    connection->awaited = awaited;
    connection->deadline_ms = limit == HTTP_SERVER_UNLIMITED
                                  ? UINT64_MAX
                                  : uv_now(connection->server->loop) + limit;
}

static void expire(struct http_connection *connection)
{
    if (connection->awaited != AWAITED_NEXT)
        http_connection_refuse(connection, MHD_HTTP_REQUEST_TIMEOUT);
    connection->awaited = AWAITED_NOTHING;
    connection->deadline_ms = UINT64_MAX;
    (void)shutdown(connection->fd, SHUT_RD); /* libmicrohttpd sees an end, and closes */
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    for (struct http_connection *one = server->connections, *next; one; one = next) {
        next = one->next;
        if (one->deadline_ms <= now)
            expire(one);
    }
    for (struct http_linger *one = server->lingering, *next; one; one = next) {
        next = one->next;
        if (one->deadline_ms <= now)
            linger_end(one);
    }
    if (server->connection_count + server->linger_count < server->options.limits.connections)
        http_server_accept_pause(server, false); /* descriptors may have come back */
    if (!server->connections && !server->lingering && !server->full)
        uv_timer_stop(timer);
}

static void start_sweeping(struct http_server *server)
{
    const struct http_server_limits *limits = &server->options.limits;
    unsigned period = SWEEP_MOST_MS * 8,
             each[] = {limits->head_ms, limits->body_ms, limits->idle_ms};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (each[i] < period)
            period = each[i];
    period /= 8;
    if (period < SWEEP_LEAST_MS)
        period = SWEEP_LEAST_MS;
    if (!uv_is_active((uv_handle_t *)&server->sweep))
        uv_timer_start(&server->sweep, on_sweep, period, period);
}

/* ---- begin and end ---- */

static void connection_end(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        server->connections = connection->next;
    server->connection_count--;
    if (connection->kept)
        server->kept_count--;
    http_server_accept_pause(server, false);
    free(connection);
}

void http_connection_add(struct http_server *server, int fd, const struct sockaddr *address,
                         socklen_t size)
{
    struct http_connection *connection = memory_allocate(sizeof *connection);
    connection->server = server;
    connection->fd = fd;
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                  connection->client, sizeof connection->client);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                  connection->client, sizeof connection->client);
    else
        snprintf(connection->client, sizeof connection->client, "unix");
    http_connection_await(connection, AWAITED_HEAD);
    connection->next = server->connections;
    if (connection->next)
        connection->next->previous = connection;
    server->connections = connection;
    server->connection_count++;
    start_sweeping(server);
    server->adding = connection;
    (void)MHD_add_connection(server->daemon, fd, address, size);
    if (server->adding)
        connection_end(connection); /* refused and closed: per_client */
    server->adding = NULL;
    http_server_run_soon(server);
}

void http_server_notify(void *context, struct MHD_Connection *handle, void **slot,
                        enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *slot = server->adding;
        server->adding->handle = handle;
        server->adding = NULL;
        return;
    }
    struct http_connection *connection = *slot;
    if (!connection)
        return;
    int unread = 0;
    if (!server->closing && !connection->reset && server->linger_count < LINGERING_MOST &&
        (connection->refused || (ioctl(connection->fd, FIONREAD, &unread) == 0 && unread > 0)))
        linger_begin(server, connection->fd);
    connection_end(connection);
}
