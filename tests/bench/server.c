#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAXIMUM (64 * 1024) /* one request: a reply is a few hundred bytes */
#define EVENTS 256

struct connection {
    int descriptor;
    char *input, *output;
    size_t input_length, output_length, output_sent, output_capacity;
    void (*sent)(void *context, int64_t began_ns);
    void *context;
    bool waits_to_write, broken;
};

static struct server_handlers handlers;
static int poll_descriptor, listening, timer, signals;

int64_t server_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void check(bool fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static void watch(int descriptor, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    check(epoll_ctl(poll_descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
}

static void close_connection(struct connection *connection)
{
    handlers.closed(connection);
    close(connection->descriptor);
    free(connection->input);
    free(connection->output);
    free(connection);
}

static void wait_to_write(struct connection *connection, bool waits)
{
    if (connection->waits_to_write == waits)
        return;
    connection->waits_to_write = waits;
    struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0), .data.ptr = connection};
    check(epoll_ctl(poll_descriptor, EPOLL_CTL_MOD, connection->descriptor, &event) == 0,
          "epoll_ctl");
}

static void flush_output(struct connection *connection)
{
    while (connection->output_sent < connection->output_length) {
        int64_t began = server_now_ns();
        ssize_t count = send(connection->descriptor, connection->output + connection->output_sent,
                             connection->output_length - connection->output_sent, MSG_NOSIGNAL);
        if (count < 0) {
            connection->broken = errno != EAGAIN;
            wait_to_write(connection, !connection->broken);
            return;
        }
        connection->output_sent += (size_t)count;
        if (connection->output_sent == connection->output_length && connection->sent) {
            connection->sent(connection->context, began);
            connection->sent = NULL;
        }
    }
    connection->output_sent = connection->output_length = 0;
    wait_to_write(connection, false);
}

static void append(struct connection *connection, const char *bytes, size_t length)
{
    size_t needed = connection->output_length + length;
    if (needed > connection->output_capacity) {
        connection->output_capacity = needed * 2;
        connection->output = realloc(connection->output, connection->output_capacity);
        check(connection->output, "realloc");
    }
    memcpy(connection->output + connection->output_length, bytes, length);
    connection->output_length = needed;
}

void server_answer(struct connection *connection, int status, const char *body, size_t length,
                   void (*sent)(void *context, int64_t began_ns), void *context)
{
    char head[192];
    int size = snprintf(head, sizeof head,
                        "HTTP/1.1 %d %s\r\nContent-Type: application/json; charset=utf-8\r\n"
                        "X-RateLimit-Limit: unlimited\r\nContent-Length: %zu\r\n\r\n",
                        status, status == 200 ? "OK" : "Not Found", length);
    append(connection, head, (size_t)size);
    append(connection, body, length);
    connection->sent = sent;
    connection->context = context;
    flush_output(connection);
}

void server_stream(struct connection *connection)
{
    static const char head[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        "Transfer-Encoding: chunked\r\n\r\n";
    append(connection, head, sizeof head - 1);
}

void server_chunk(struct connection *connection, const char *bytes, size_t length)
{
    char size[24];
    append(connection, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", length));
    append(connection, bytes, length);
    append(connection, "\r\n", 2);
    flush_output(connection);
}

static size_t body_length_of(const char *head, size_t length)
{
    static const char name[] = "\r\ncontent-length:";
    for (const char *at = head; (at = memchr(at, '\r', length - (size_t)(at - head))); at++)
        if (strncasecmp(at, name, sizeof name - 1) == 0)
            return strtoul(at + sizeof name - 1, NULL, 10);
    return 0;
}

/* Handles the request at the start of the input, if it is whole; returns its length, or 0. */
static size_t handle_one(struct connection *connection, int64_t read_ns)
{
    char *end = memmem(connection->input, connection->input_length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - connection->input) + 4;
    size_t body = body_length_of(connection->input, head);
    if (body > INPUT_MAXIMUM - head) {
        connection->broken = true;
        return 0;
    }
    if (connection->input_length < head + body)
        return 0;
    char *target = memchr(connection->input, ' ', head);
    char *target_end = target ? memchr(target + 1, ' ', (size_t)(end - target - 1)) : NULL;
    if (!target_end) {
        connection->broken = true;
        return 0;
    }
    *target_end = '\0';
    struct request request = {.post = connection->input[0] == 'P',
                              .target = target + 1,
                              .body = end + 4,
                              .body_length = body,
                              .whole = connection->input,
                              .whole_length = head + body,
                              .read_ns = read_ns};
    handlers.request(connection, &request);
    return head + body;
}

static void read_input(struct connection *connection)
{
    ssize_t count = recv(connection->descriptor, connection->input + connection->input_length,
                         INPUT_MAXIMUM - connection->input_length, 0);
    if (count <= 0) {
        connection->broken = count == 0 || errno != EAGAIN;
        return;
    }
    int64_t now = server_now_ns();
    connection->input_length += (size_t)count;
    for (size_t used; connection->input_length > 0 && (used = handle_one(connection, now)) > 0;) {
        connection->input_length -= used;
        memmove(connection->input, connection->input + used, connection->input_length);
    }
    if (connection->input_length == INPUT_MAXIMUM)
        connection->broken = true;
}

static void accept_all(void)
{
    for (int descriptor;
         (descriptor = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct connection *connection = calloc(1, sizeof *connection);
        check(connection, "calloc");
        connection->descriptor = descriptor;
        connection->input = malloc(INPUT_MAXIMUM);
        check(connection->input, "malloc");
        int one = 1;
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(descriptor, EPOLLIN, connection);
    }
}

static void take_ready(struct connection *connection, uint32_t events)
{
    if (events & EPOLLOUT)
        flush_output(connection);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_input(connection);
    if (connection->broken)
        close_connection(connection);
}

int server_open(const struct server_handlers *given)
{
    handlers = *given;
    poll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    check(bind(listening, (struct sockaddr *)&address, size) == 0 && listen(listening, 4096) == 0,
          "listen");
    check(getsockname(listening, (struct sockaddr *)&address, &size) == 0, "getsockname");
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_CLOEXEC);
    check(poll_descriptor >= 0 && timer >= 0 && signals >= 0, "server");
    watch(listening, EPOLLIN, &listening);
    watch(timer, EPOLLIN, &timer);
    watch(signals, EPOLLIN, &signals);
    return ntohs(address.sin_port);
}

void server_every(int64_t microseconds)
{
    struct timespec every = {.tv_sec = microseconds / 1000000,
                             .tv_nsec = microseconds % 1000000 * 1000};
    check(timerfd_settime(timer, 0, &(struct itimerspec){.it_interval = every, .it_value = every},
                          NULL) == 0,
          "timer");
}

void server_run(void)
{
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll_descriptor, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            void *data = events[i].data.ptr;
            uint64_t times;
            if (data == &signals)
                return;
            if (data == &listening)
                accept_all();
            else if (data != &timer)
                take_ready(data, events[i].events);
            else if (read(timer, &times, sizeof times) == (ssize_t)sizeof times && handlers.tick)
                handlers.tick();
        }
        handlers.settled();
    }
}
