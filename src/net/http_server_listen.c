/* The places where a server listens: addresses, unix sockets, and sockets that systemd opened. */
#include "net/http_server_request.h"

#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 511
#define ACCEPTED_AT_ONCE 64 /* then the loop has its turn */
#define INHERITED_FIRST 3   /* as sd_listen_fds(3) */
#define INHERITED_MOST 64

struct report {
    char *text;
    size_t size;
};

/* -1 */
__attribute__((format(printf, 2, 3))) static int refuse(struct report *report, const char *format,
                                                        ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(report->text, report->size, format, list);
    va_end(list);
    return -1;
}

static char *describe(int fd)
{
    struct sockaddr_storage place = {0};
    socklen_t size = sizeof place;
    char text[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, (struct sockaddr *)&place, &size) != 0)
        return memory_copy_text("?");
    if (place.ss_family == AF_UNIX)
        return memory_format("unix:%s", ((struct sockaddr_un *)&place)->sun_path);
    if (place.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (struct sockaddr_in6 *)&place;
        inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
        return memory_format("http://[%s]:%u", text, ntohs(six->sin6_port));
    }
    const struct sockaddr_in *four = (struct sockaddr_in *)&place;
    inet_ntop(AF_INET, &four->sin_addr, text, sizeof text);
    return memory_format("http://%s:%u", text, ntohs(four->sin_port));
}

static void add_place(struct http_server *server, int fd, const char *path)
{
    server->places = memory_resize(server->places,
                                   (server->place_count + 1) * sizeof *server->places);
    server->places[server->place_count++] = (struct http_place){
        .server = server, .fd = fd, .name = describe(fd), .path = memory_copy_text(path)};
}

/* ---- IP addresses ---- */

static int listen_address(const char *address, uint16_t port, struct report *report)
{
    struct sockaddr_storage place = {0};
    socklen_t size = sizeof(struct sockaddr_in);
    if (uv_ip4_addr(address, port, (struct sockaddr_in *)&place) != 0) {
        size = sizeof(struct sockaddr_in6);
        if (uv_ip6_addr(address, port, (struct sockaddr_in6 *)&place) != 0)
            return refuse(report, "%s is not an IP address", address);
    }
    int on = 1;
    int fd = socket(place.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        (place.ss_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(fd, (struct sockaddr *)&place, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    if (errno == EADDRINUSE)
        refuse(report, "%s:%u is in use by another program", address, port);
    else
        refuse(report, "cannot listen on %s:%u: %s", address, port, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* "127.0.0.1:8080" or "[::1]:8080" */
static int listen_text(const char *text, struct report *report)
{
    char address[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    if (!colon || colon[1] < '0' || colon[1] > '9' || *end || port > UINT16_MAX)
        return refuse(report,
                      "cannot listen on \"%s\": it must be ADDRESS:PORT, unix:/PATH or "
                      "systemd",
                      text);
    size_t length = (size_t)(colon - text);
    if (length == 0)
        return refuse(report, "cannot listen on \"%s\": say on which address, such as 127.0.0.1%s",
                      text, text);
    bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
    if (bracketed) {
        text++;
        length -= 2;
    }
    if (length >= sizeof address || (!bracketed && memchr(text, ':', length)))
        return refuse(report,
                      "cannot listen on \"%s\": an IPv6 address needs brackets, such as "
                      "[::1]:8080",
                      text);
    memcpy(address, text, length);
    address[length] = 0;
    return listen_address(address, (uint16_t)port, report);
}

/* ---- unix sockets ---- */

/* Removes a socket that nobody listens on; false: the path is taken. */
static bool clear_path(const struct sockaddr_un *place, struct report *report)
{
    struct stat status;
    if (lstat(place->sun_path, &status) != 0)
        return true; /* bind says what is wrong */
    if (!S_ISSOCK(status.st_mode)) {
        refuse(report, "cannot listen on unix:%s: the file exists and is not a socket",
               place->sun_path);
        return false;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = probe < 0 ? -1 : connect(probe, (const struct sockaddr *)place, sizeof *place);
    int error = errno;
    if (probe >= 0)
        close(probe);
    if (result == 0 || error == EAGAIN) {
        refuse(report, "unix:%s is in use by another program", place->sun_path);
        return false;
    }
    if (error == ECONNREFUSED && unlink(place->sun_path) == 0)
        return true;
    refuse(report, "cannot listen on unix:%s: %s", place->sun_path, strerror(error));
    return false;
}

static int listen_unix(const char *path, struct report *report)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    if (path[0] != '/')
        return refuse(report, "cannot listen on unix:%s: the path must start with a slash", path);
    if (strlen(path) >= sizeof place.sun_path)
        return refuse(report, "cannot listen on unix:%s: the path has more than %zu bytes", path,
                      sizeof place.sun_path - 1);
    snprintf(place.sun_path, sizeof place.sun_path, "%s", path);
    if (!clear_path(&place, report))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0117); /* nobody may connect before a chmod */
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&place, sizeof place) == 0;
    int error = errno;
    umask(mask);
    errno = error;
    if (bound && listen(fd, BACKLOG) == 0)
        return fd;
    refuse(report, "cannot listen on unix:%s: %s", path, strerror(errno));
    if (bound)
        unlink(path);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- socket activation ---- */

static bool accepts_connections(int fd)
{
    int type = 0, accepting = 0;
    socklen_t size = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &size) == 0 && accepting;
}

static bool take_inherited(struct http_server *server, struct report *report)
{
    const char *process = getenv("LISTEN_PID"), *number = getenv("LISTEN_FDS");
    long count = number ? strtol(number, NULL, 10) : 0;
    bool ours = process && strtol(process, NULL, 10) == (long)getpid();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!ours || count < 1 || count > INHERITED_MOST) {
        refuse(report, "cannot listen on \"systemd\": this process was not given any socket "
                       "(LISTEN_FDS)");
        return false;
    }
    for (int fd = INHERITED_FIRST; fd < INHERITED_FIRST + count; fd++) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
            fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || !accepts_connections(fd)) {
            refuse(report,
                   "cannot listen on \"systemd\": descriptor %d is not a listening stream "
                   "socket",
                   fd);
            return false;
        }
        add_place(server, fd, NULL);
    }
    return true;
}

bool http_server_listen(struct http_server *server, const struct http_server_options *options,
                        char *problem, size_t problem_size)
{
    struct report report = {problem, problem_size};
    if (options->listen_count == 0) {
        int fd = listen_address(options->address ? options->address : "127.0.0.1", options->port,
                                &report);
        if (fd >= 0)
            add_place(server, fd, NULL);
        return fd >= 0;
    }
    for (size_t i = 0; i < options->listen_count; i++) {
        const char *text = options->listen[i];
        if (strcmp(text, "systemd") == 0) {
            if (!take_inherited(server, &report))
                return false;
            continue;
        }
        const char *path = strncmp(text, "unix:", 5) == 0 ? text + 5 : NULL;
        int fd = path ? listen_unix(path, &report) : listen_text(text, &report);
        if (fd < 0)
            return false;
        add_place(server, fd, path);
    }
    return true;
}

/* ---- accepting ---- */

static void on_clients(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    struct http_place *place = handle->data;
    struct http_server *server = place->server;
    for (int i = 0; i < ACCEPTED_AT_ONCE; i++) {
        if (server->connection_count + server->linger_count >= server->options.limits.connections) {
            http_server_accept_pause(server, true);
            return;
        }
        struct sockaddr_storage client = {0};
        socklen_t size = sizeof client;
        int fd = accept4(place->fd, (struct sockaddr *)&client, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                http_server_accept_pause(server, true);
            return;
        }
        http_connection_add(server, fd, (struct sockaddr *)&client, size);
    }
}

void http_server_accept_pause(struct http_server *server, bool pause)
{
    if (server->closing || server->full == pause)
        return;
    server->full = pause;
    for (size_t i = 0; i < server->place_count; i++) {
        if (pause)
            uv_poll_stop(&server->places[i].readiness);
        else
            uv_poll_start(&server->places[i].readiness, UV_READABLE, on_clients);
    }
}

int http_server_accept_start(struct http_server *server)
{
    for (size_t i = 0; i < server->place_count; i++) {
        struct http_place *place = &server->places[i];
        int result = uv_poll_init(server->loop, &place->readiness, place->fd);
        if (result != 0)
            return result;
        place->readiness.data = place;
        place->watched = true;
        server->open_handles++;
        uv_poll_start(&place->readiness, UV_READABLE, on_clients);
    }
    return 0;
}

static void on_place_closed(uv_handle_t *handle)
{
    struct http_place *place = handle->data;
    http_server_handle_closed(place->server);
}

void http_server_unwatch_places(struct http_server *server)
{
    for (size_t i = 0; i < server->place_count; i++)
        if (server->places[i].watched)
            uv_close((uv_handle_t *)&server->places[i].readiness, on_place_closed);
}

void http_server_unlisten(struct http_server *server)
{
    for (size_t i = 0; i < server->place_count; i++) {
        struct http_place *place = &server->places[i];
        close(place->fd);
        if (place->path)
            unlink(place->path);
        free(place->path);
        free(place->name);
        place->path = place->name = NULL;
    }
}

bool http_server_place(const struct http_server *server, size_t index, char *text, size_t size)
{
    if (index >= server->place_count)
        return false;
    snprintf(text, size, "%s", server->places[index].name);
    return true;
}

uint16_t http_server_port(const struct http_server *server)
{
    const char *name = server->places[0].name, *colon = strrchr(name, ':');
    return strncmp(name, "http:", 5) == 0 ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}
