/* The HTTP server against raw sockets: one loop for both sides, which turns until something has
 * happened. A test that hangs is ended by ctest. */
#include "unit.h"

#include "base/log.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define HOST "Host: here\r\n"
#define GET "GET /a HTTP/1.1\r\n" HOST "\r\n"

struct site {
    uv_loop_t loop;
    struct http_server *server;
    int heads, requests, gone;
    bool refuse_heads, hold, stream;
    struct http_request *held;
    char seen[4096]; /* what the handler saw */
    char host[HOST_NAME_SIZE];
};

static void on_request(struct http_request *request, void *context)
{
    struct site *site = context;
    size_t length;
    const char *body = http_request_body(request, &length);
    const char *word = http_request_argument(request, "word");
    site->requests++;
    http_request_host(request, site->host);
    snprintf(site->seen, sizeof site->seen, "%s %s %s %s %.*s", http_request_method(request),
             http_request_path(request), http_request_client(request), word ? word : "-",
             (int)(length < 100 ? length : 100), body);
    site->held = request;
    if (site->stream)
        http_stream_begin(request, 200, NULL, 0);
    if (site->hold || site->stream)
        return;
    const char *path = http_request_path(request);
    http_request_answer(request,
                        &(struct http_answer){.status = 200, .body = path, .length = strlen(path)});
}

static bool on_head(struct http_request *request, void *context)
{
    struct site *site = context;
    size_t length;
    site->heads++;
    http_request_body(request, &length);
    assert_int_equal(length, 0);
    if (!site->refuse_heads)
        return true;
    http_request_answer(request, &(struct http_answer){.status = 401, .body = "no", .length = 2});
    return false;
}

static void on_gone(struct http_request *request, void *context)
{
    struct site *site = context;
    assert_non_null(http_request_id(request));
    site->gone++;
    site->held = NULL;
}

static void site_open(struct site *site, struct http_server_options options)
{
    char problem[256] = "";
    *site = (struct site){0};
    assert_int_equal(uv_loop_init(&site->loop), 0);
    options.on_request = on_request;
    options.on_gone = on_gone;
    options.context = site;
    site->server = http_server_open(&site->loop, &options, problem, sizeof problem);
    assert_string_equal(problem, "");
    assert_non_null(site->server);
}

static void site_close(struct site *site)
{
    http_server_close(site->server);
    uv_run(&site->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&site->loop), 0);
}

static void turn(struct site *site)
{
    uv_run(&site->loop, UV_RUN_NOWAIT);
    usleep(200);
}

static int dial(const struct site *site)
{
    struct sockaddr_in place = {.sin_family = AF_INET,
                                .sin_port = htons(http_server_port(site->server)),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof place), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void say_bytes(struct site *site, int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return; /* refused meanwhile */
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        }
        turn(site);
    }
}

static void say(struct site *site, int fd, const char *text)
{
    say_bytes(site, fd, text, strlen(text));
}

/* What arrives until `wanted` is in it, or the connection ends; then fd is -1 and closed. */
static char heard[1 << 16];
static const char *hear(struct site *site, int *fd, const char *wanted)
{
    size_t length = 0;
    heard[0] = 0;
    while (!wanted || !strstr(heard, wanted)) {
        turn(site);
        ssize_t size = recv(*fd, heard + length, sizeof heard - 1 - length, 0);
        if (size < 0 && errno == EAGAIN)
            continue;
        if (size <= 0) {
            if (size < 0)
                strcat(heard, "[reset]");
            close(*fd);
            *fd = -1;
            break;
        }
        length += (size_t)size;
        heard[length] = 0;
    }
    return heard;
}

static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

/* The status of an answer after which the connection ends. */
static int ending(struct site *site, const char *bytes, size_t length)
{
    int fd = dial(site);
    say_bytes(site, fd, bytes, length);
    int status = status_of(hear(site, &fd, NULL));
    assert_null(strstr(heard, "[reset]"));
    assert_int_equal(fd, -1);
    return status;
}

static void requests_are_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){0});
    int fd = dial(&site);
    say(&site, fd,
        "GET /1 HTTP/1.1\r\n" HOST "\r\n"
        "POST /2?word=a%20b HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nxyz"
        "HEAD /3 HTTP/1.1\r\n" HOST "\r\n" GET);
    const char *answers = hear(&site, &fd, "\r\n\r\n/a");
    const char *first = strstr(answers, "\r\n\r\n/1"), *second = strstr(answers, "\r\n\r\n/2");
    assert_true(first && second && first < second);
    assert_null(strstr(answers, "\r\n\r\n/3"));
    assert_non_null(strstr(answers, "X-Request-Id: "));
    assert_non_null(strstr(answers, "Date: "));
    assert_int_equal(site.requests, 4);
    close(fd);
    site_close(&site);
}

#define LINE "POST /a HTTP/1.1\r\n"
static const struct {
    const char *bytes;
    size_t length;
    int status;
} attacks[] = {
#define ATTACK(bytes, status)           \
    {                                   \
        bytes, sizeof bytes - 1, status \
    }
    ATTACK(LINE HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ATTACK(LINE HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Content-Length: -3\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Content-Length: +3\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Content-Length: 0x3\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Content-Length: 3, 3\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Content-Length:\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Content-Length: 99999999999999999999999999\r\n\r\nabc", 413),
    ATTACK(LINE HOST "Content-Length: 9999999999999999\r\n\r\nabc", 413),
    ATTACK(LINE HOST "Content-Length: 3\0\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Transfer-Encoding: gzip\r\n\r\nabc", 400),
    ATTACK(LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding: \x0b"
                     "chunked\r\n\r\n0\r\n\r\n",
           400),
    ATTACK("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc", 413),
    ATTACK(LINE HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400),
    ATTACK(LINE HOST "X: a\r\n b\r\n\r\n", 400),
    ATTACK(LINE HOST " X: a\r\n\r\n", 400),
    ATTACK(LINE " X: a\r\n" HOST "\r\n", 400),
    ATTACK(LINE "Host: here\n\r\n", 400),
    ATTACK("GET /a HTTP/1.1\nHost: here\r\n\r\n", 400),
    ATTACK(LINE HOST "\n", 400),
    ATTACK(LINE HOST "X: a\rb\r\n\r\n", 400),
    ATTACK(LINE HOST "X: a\0b\r\n\r\n", 400),
    ATTACK(LINE HOST "X\0Y: a\r\n\r\n", 400),
    ATTACK(LINE HOST "\0X: a\r\n\r\n", 400),
    ATTACK(LINE HOST "X : a\r\n\r\n", 400),
    ATTACK(LINE HOST ": a\r\n\r\n", 400),
    ATTACK(LINE HOST "X\r\n\r\n", 400),
    ATTACK(LINE HOST "X(y): a\r\n\r\n", 400),
    ATTACK(LINE HOST "X: \x01\r\n\r\n", 400),
    ATTACK(LINE HOST "host: there\r\n\r\n", 400),
    ATTACK(LINE "Host: a/b\r\n\r\n", 400),
    ATTACK(LINE "\r\n", 400),
    ATTACK("GET /a\r\n\r\n", 400),
    ATTACK("GET\r\n\r\n", 0),
    ATTACK("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ATTACK("GET /a HTTP/1.2\r\n" HOST "\r\n", 400),
    ATTACK("GET /a HTTP/11\r\n" HOST "\r\n", 400),
    ATTACK("GET http://there/a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET http://here@there/a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET http://here%2ethere/a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET http://here%2fa HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET http://here:8%2fa HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET http:///a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET http://here/a HTTP/1.0\r\n\r\n", 400),
    ATTACK("GET ftp://here/a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET * HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("CONNECT here:80 HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET  /a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET /a  HTTP/1.1\r\n" HOST "\r\n", 0),
    ATTACK("GET /a\0b HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET /a?b\0c HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET /%00 HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("G\0T /a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("G@T /a HTTP/1.1\r\n" HOST "\r\n", 400),
    ATTACK("GET /a HTTP/1.1\r\n" HOST "Expect: a miracle\r\n\r\n", 417),
};

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){0});
    for (size_t i = 0; i < COUNT(attacks); i++) {
        int status = ending(&site, attacks[i].bytes, attacks[i].length);
        if (status != attacks[i].status)
            print_error("%d, not %d: %s\n%s\n", status, attacks[i].status, attacks[i].bytes, heard);
        assert_int_equal(status, attacks[i].status);
    }
    assert_int_equal(site.requests, 0);
    int fd = dial(&site); /* nothing else is harmed */
    say(&site, fd, GET);
    assert_int_equal(status_of(hear(&site, &fd, "\r\n\r\n/a")), 200);
    close(fd);
    site_close(&site);
}

static void a_refused_request_is_the_last_of_its_pipeline(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){0});
    int fd = dial(&site);
    say(&site, fd, GET "GET /b HTTP/1.1\nHost: here\r\n\r\n" GET);
    const char *answers = hear(&site, &fd, NULL);
    assert_non_null(strstr(answers, "\r\n\r\n/a"));
    assert_non_null(strstr(answers, "HTTP/1.1 400"));
    assert_int_equal(site.requests, 1);
    site_close(&site);
}

static void chunks_make_a_body(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.limits = {.body_bytes = 10}});
    static const char fits[] = LINE HOST
        "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n" GET;
    assert_int_equal(ending(&site, fits, sizeof fits - 1), 200);
    assert_string_equal(site.seen, "POST /a 127.0.0.1 - abcde");
    assert_int_equal(site.requests, 1); /* what follows chunks is not read */
    static const char large[] = LINE HOST
        "Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n";
    assert_int_equal(ending(&site, large, sizeof large - 1), 413);
    static const char announced[] = LINE HOST "Content-Length: 11\r\n\r\n";
    assert_int_equal(ending(&site, announced, sizeof announced - 1), 413);
    assert_int_equal(site.requests, 1);
    site_close(&site);
}

static int head_of(struct site *site, size_t bytes, size_t headers)
{
    char *head = malloc(bytes + headers * 16 + 256), *end = head;
    end += sprintf(end, "GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n");
    for (size_t i = 2; i < headers; i++)
        end += sprintf(end, "X: y\r\n");
    size_t rest = bytes - (size_t)(end - head) - strlen("Long: \r\n\r\n");
    end += sprintf(end, "Long: ");
    memset(end, 'a', rest);
    strcpy(end + rest, "\r\n\r\n");
    int status = ending(site, head, strlen(head));
    free(head);
    return status;
}

static void heads_have_a_limit(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){0});
    assert_int_equal(head_of(&site, 65536, 90), 200);
    assert_int_equal(head_of(&site, 65537, 3), 431);
    assert_int_equal(head_of(&site, 200000, 3), 431);
    assert_int_equal(head_of(&site, 4096, 99), 200);
    assert_int_equal(head_of(&site, 4096, 101), 431);
    site_close(&site);
    site_open(&site, (struct http_server_options){.limits = {.head_bytes = 1024, .headers = 8}});
    assert_int_equal(head_of(&site, 1024, 4), 200);
    assert_int_equal(head_of(&site, 1025, 4), 431);
    site_close(&site);
}

static void slow_clients_are_ended(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){
                         .limits = {.head_ms = 60, .body_ms = 60, .idle_ms = 60}});
    static const char *const begun[] = {"GET /a HT", GET "GET /", "\r\n\r\n",
                                        LINE HOST "Content-Length: 5\r\n\r\na"};
    static const int statuses[] = {408, 200, 408, 408};
    for (size_t i = 0; i < COUNT(begun); i++) {
        int fd = dial(&site);
        bool dripping = true;
        say(&site, fd, begun[i]);
        int answers = 0;
        heard[0] = 0;
        while (dripping) { /* a byte at a time, for ever */
            turn(&site);
            ssize_t size = recv(fd, heard + answers, sizeof heard - 1 - (size_t)answers, 0);
            if (size > 0)
                answers += (int)size;
            dripping = size > 0 || (size < 0 && errno == EAGAIN);
        }
        heard[answers] = 0;
        assert_int_equal(status_of(heard), statuses[i]);
        close(fd);
    }
    site_close(&site);
}

static void a_head_is_shown_before_the_body(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.on_head = on_head});
    int fd = dial(&site);
    say(&site, fd, LINE HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(status_of(hear(&site, &fd, "\r\n\r\n")), 100);
    assert_int_equal(site.heads, 1);
    assert_int_equal(site.requests, 0);
    say(&site, fd, "abc");
    assert_int_equal(status_of(hear(&site, &fd, "\r\n\r\n/a")), 200);
    assert_int_equal(site.requests, 1);
    site.refuse_heads = true;
    say(&site, fd, GET GET); /* without a body the connection stays */
    assert_int_equal(status_of(hear(&site, &fd, "no")), 401);
    say(&site, fd, LINE HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    hear(&site, &fd, NULL);
    assert_null(strstr(heard, "100 Continue"));
    assert_int_equal(site.requests, 1);
    site_close(&site);
}

static void a_client_need_not_wait_for_100(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.on_head = on_head});
    for (int half = 0; half < 2; half++) {
        int fd = dial(&site);
        say(&site, fd, LINE HOST "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc");
        if (half)
            shutdown(fd, SHUT_WR);
        hear(&site, &fd, half ? NULL : "\r\n\r\n/a");
        assert_string_equal(site.seen, "POST /a 127.0.0.1 - abc");
        close(fd);
    }
    site_close(&site);
}

static void a_client_that_still_sends_gets_the_answer(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.on_head = on_head});
    site.refuse_heads = true;
    int fd = dial(&site);
    char *body = calloc(1, 4 << 20);
    say(&site, fd, LINE HOST "Content-Length: 4194304\r\n\r\n");
    say_bytes(&site, fd, body, 4 << 20);
    free(body);
    assert_int_equal(status_of(hear(&site, &fd, NULL)), 401);
    assert_null(strstr(heard, "[reset]"));
    site_close(&site);
}

static void a_client_that_leaves_during_its_body_is_gone(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.on_head = on_head});
    int fd = dial(&site);
    say(&site, fd, LINE HOST "Content-Length: 3\r\n\r\na");
    while (site.heads == 0)
        turn(&site);
    close(fd);
    while (site.gone == 0)
        turn(&site);
    assert_int_equal(site.requests, 0);
    site_close(&site);
}

static void streams_end_with_their_reader(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.limits = {.stream_bytes = 8 << 20}});
    site.stream = true;
    int fd = dial(&site);
    say(&site, fd, GET);
    while (!site.held)
        turn(&site);
    assert_true(http_stream_send(site.held, "hello", 5));
    hear(&site, &fd, "hello");
    close(fd);
    while (site.gone == 0)
        turn(&site);

    fd = dial(&site); /* one that does not read */
    say(&site, fd, GET);
    while (!site.held)
        turn(&site);
    static char piece[65536];
    memset(piece, 'x', sizeof piece);
    while (site.held && http_stream_send(site.held, piece, sizeof piece))
        turn(&site);
    while (site.gone == 1)
        turn(&site);
    close(fd);

    fd = dial(&site); /* leaves while much waits for it */
    say(&site, fd, GET);
    while (!site.held)
        turn(&site);
    for (int i = 0; i < 120; i++)
        assert_true(http_stream_send(site.held, piece, sizeof piece));
    for (int i = 0; i < 100; i++)
        turn(&site);
    close(fd);
    while (site.gone == 2)
        turn(&site);

    fd = dial(&site); /* all of it arrives */
    say(&site, fd, GET);
    while (!site.held)
        turn(&site);
    for (int i = 0; i < 40; i++)
        assert_true(http_stream_send(site.held, piece, 1000));
    http_stream_send(site.held, "END", 3);
    http_stream_end(site.held);
    assert_non_null(strstr(hear(&site, &fd, NULL), "END\r\n0\r\n\r\n"));
    assert_int_equal(site.gone, 3);
    site_close(&site);
}

static void connections_are_limited(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.limits = {.per_client = 2}});
    int fds[3];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial(&site);
        say(&site, fds[i], GET);
        hear(&site, &fds[i], "\r\n\r\n/a");
    }
    fds[2] = dial(&site);
    hear(&site, &fds[2], NULL);
    assert_int_equal(fds[2], -1);
    close(fds[0]);
    close(fds[1]);
    site_close(&site);

    site_open(&site,
              (struct http_server_options){.limits = {.connections = 1, .kept_connections = 1}});
    fds[0] = dial(&site);
    say(&site, fds[0], GET);
    hear(&site, &fds[0], "\r\n\r\n/a");
    fds[1] = dial(&site);
    say(&site, fds[1], GET);
    assert_int_equal(site.requests, 1); /* waits */
    close(fds[0]);
    assert_int_equal(status_of(hear(&site, &fds[1], "\r\n\r\n/a")), 200);
    close(fds[1]);
    site_close(&site);
}

static void proxies_are_believed_only_on_request(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *client;
    } cases[] = {
        {"X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n", "2.2.2.2"},
        {"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: ::2\r\n", "::2"},
        {"X-Forwarded-For: 2.2.2.2:80\r\n", "2.2.2.2"},
        {"X-Forwarded-For: <script>\r\n", "127.0.0.1"},
        {"Forwarded: for=1.1.1.1, for=\"[::3]:80\";proto=http\r\n", "::3"},
        {"Forwarded: proto=http\r\n", "127.0.0.1"},
    };
    for (int trust = 0; trust < 2; trust++) {
        struct site site;
        site_open(&site, (struct http_server_options){.trust_proxy = trust});
        int fd = dial(&site);
        for (size_t i = 0; i < COUNT(cases); i++) {
            char text[512], seen[128];
            snprintf(text, sizeof text, "GET /a HTTP/1.1\r\n" HOST "X-Request-Id: <a.1>\r\n%s\r\n",
                     cases[i].headers);
            say(&site, fd, text);
            hear(&site, &fd, "\r\n\r\n/a");
            snprintf(seen, sizeof seen, "GET /a %s - ", trust ? cases[i].client : "127.0.0.1");
            assert_string_equal(site.seen, seen);
            assert_int_equal(strstr(heard, "X-Request-Id: a.1\r\n") != NULL, trust);
        }
        close(fd);
        site_close(&site);
    }
}

static void the_host_is_told_without_case_port_and_last_dot(void **state)
{
    (void)state;
    static const struct {
        const char *target, *headers, *host, *believed; /* NULL: as `host` */
    } cases[] = {
        {"/a", "Host: Example.ORG.:8080\r\n", "example.org", NULL},
        {"/a", "Host: a-1.example\r\n", "a-1.example", NULL},
        {"/a", "Host: a..example\r\n", "", NULL},
        {"/a", "Host: -a.example\r\n", "", NULL},
        {"/a", "Host: [::1]:8080\r\n", "", NULL},
        {"/a", "Host:\r\n", "", NULL},
        {"http://HERE:80/a", HOST, "here", NULL},
        {"https://here./a", HOST, "here", NULL},
        {"/a", HOST "X-Forwarded-Host: evil, Proxy:443\r\n", "here", "proxy"},
        {"/a", HOST "X-Forwarded-Host: one\r\nX-Forwarded-Host: two\r\n", "here", "two"},
        {"/a", HOST "X-Forwarded-Host: <script>\r\n", "here", ""},
        {"/a", HOST "Forwarded: host=a, for=b;host=\"Proxy.:443\";proto=http\r\n", "here", "proxy"},
        {"/a", HOST "Forwarded: for=b; xhost=c\r\n", "here", NULL},
        {"/a", HOST "Forwarded: for=\"a;host=evil\";host=proxy\r\n", "here", "proxy"},
        {"/a", HOST "Forwarded: host=a, for=\"b, host=evil\"\r\n", "here", NULL},
        {"/a", HOST "X-Forwarded-Host: proxy evil\r\n", "here", ""},
        {"/a", "Host: here;x\r\n", "", NULL},
        {"http://[::1]:80/a", "Host: [::1]:80\r\n", "", NULL},
        {"http://my_host/a", "Host: MY_host\r\n", "", NULL},
    };
    for (int trust = 0; trust < 2; trust++) {
        struct site site;
        site_open(&site, (struct http_server_options){.trust_proxy = trust});
        int fd = dial(&site);
        for (size_t i = 0; i < COUNT(cases); i++) {
            char text[512];
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n%s\r\n", cases[i].target,
                     cases[i].headers);
            say(&site, fd, text);
            hear(&site, &fd, "\r\n\r\n/a");
            assert_string_equal(site.host,
                                trust && cases[i].believed ? cases[i].believed : cases[i].host);
        }
        close(fd);
        site_close(&site);
    }
}

static void a_target_in_absolute_form_has_its_path(void **state)
{
    (void)state;
    static const char *const targets[][2] = {{"http://here/a/b?word=c", "/a/b"},
                                             {"http://here", "/"},
                                             {"http://here?word=c", "/"},
                                             {"http://here:80/", "/"}};
    struct site site;
    site_open(&site, (struct http_server_options){0});
    int fd = dial(&site);
    for (size_t i = 0; i < COUNT(targets); i++) {
        char text[512], seen[128];
        bool has_word = strchr(targets[i][0], '?');
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i][0]);
        say(&site, fd, text);
        hear(&site, &fd, "\r\n\r\n/");
        snprintf(seen, sizeof seen, "GET %s 127.0.0.1 %s ", targets[i][1], has_word ? "c" : "-");
        assert_string_equal(site.seen, seen);
    }
    close(fd);
    site_close(&site);
}

static void other_origins_are_let_in_by_name(void **state)
{
    (void)state;
    const char *origins[] = {"https://one", "https://two"};
    struct site site;
    site_open(&site, (struct http_server_options){.cors_origins = origins, .cors_origin_count = 2});
    int fd = dial(&site);
    say(&site, fd,
        "OPTIONS /a HTTP/1.1\r\n" HOST
        "Origin: https://two\r\nAccess-Control-Request-Method: POST\r\n\r\n");
    hear(&site, &fd, "\r\n\r\n");
    assert_int_equal(status_of(heard), 204);
    assert_non_null(strstr(heard, "Access-Control-Allow-Origin: https://two\r\n"));
    assert_non_null(strstr(heard, "Vary: Origin\r\n"));
    assert_non_null(strstr(heard, "Last-Event-ID"));
    assert_int_equal(site.requests, 0);
    say(&site, fd, "GET /a HTTP/1.1\r\n" HOST "Origin: https://one\r\n\r\n");
    assert_non_null(strstr(hear(&site, &fd, "\r\n\r\n/a"), "Allow-Origin: https://one\r\n"));
    say(&site, fd, "GET /a HTTP/1.1\r\n" HOST "Origin: https://evil\r\n\r\n");
    assert_null(strstr(hear(&site, &fd, "\r\n\r\n/a"), "Access-Control"));
    close(fd);
    site_close(&site);
}

/* ---- places ---- */

static void expect_problem(const char *place, const char *part)
{
    uv_loop_t loop;
    char problem[256] = "";
    uv_loop_init(&loop);
    struct http_server_options options = {.listen = &place, .listen_count = 1};
    assert_null(http_server_open(&loop, &options, problem, sizeof problem));
    if (!strstr(problem, part))
        print_error("%s\n", problem);
    assert_non_null(strstr(problem, part));
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void places_are_told_and_refused(void **state)
{
    (void)state;
    char directory[] = "/tmp/http-server-XXXXXX", path[64], place[80], text[128];
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(place, sizeof place, "unix:%s", path);
    const char *places[] = {"127.0.0.1:0", place};
    struct site site;
    site_open(&site, (struct http_server_options){.listen = places, .listen_count = 2});
    assert_true(http_server_place(site.server, 0, text, sizeof text));
    assert_memory_equal(text, "http://127.0.0.1:", 17);
    assert_true(http_server_place(site.server, 1, text, sizeof text));
    assert_string_equal(text, place);
    assert_false(http_server_place(site.server, 2, text, sizeof text));
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
    expect_problem(place, "in use by another program");
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(site.server));
    expect_problem(taken, "in use by another program");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    say(&site, fd, GET);
    hear(&site, &fd, "\r\n\r\n/a");
    assert_string_equal(site.seen, "GET /a unix - ");
    close(fd);
    site_close(&site);
    assert_int_equal(access(path, F_OK), -1);

    fd = socket(AF_UNIX, SOCK_STREAM, 0); /* nobody listens on it */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    site_open(&site, (struct http_server_options){.listen = &places[1], .listen_count = 1});
    site_close(&site);
    fclose(fopen(path, "w"));
    expect_problem(place, "is not a socket");
    unlink(path);
    rmdir(directory);

    expect_problem(":8080", "say on which address");
    expect_problem("::1:8080", "brackets");
    expect_problem("8080", "ADDRESS:PORT");
    expect_problem("127.0.0.1:99999", "ADDRESS:PORT");
    expect_problem("localhost:80", "localhost is not an IP address");
    expect_problem("unix:relative", "slash");
    expect_problem("systemd", "LISTEN_FDS");
}

static void a_socket_of_systemd_is_taken(void **state)
{
    (void)state;
    int saved = fcntl(3, F_DUPFD_CLOEXEC, 10);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 5), 0);
    if (fd != 3) {
        assert_int_equal(dup2(fd, 3), 3);
        close(fd);
    }
    char process[32];
    snprintf(process, sizeof process, "%d", (int)getpid());
    setenv("LISTEN_PID", process, 1);
    setenv("LISTEN_FDS", "1", 1);
    const char *place = "systemd";
    struct site site;
    site_open(&site, (struct http_server_options){.listen = &place, .listen_count = 1});
    assert_null(getenv("LISTEN_FDS"));
    assert_int_equal(fcntl(3, F_GETFD), FD_CLOEXEC);
    int client = dial(&site);
    say(&site, client, GET);
    assert_int_equal(status_of(hear(&site, &client, "\r\n\r\n/a")), 200);
    close(client);
    site_close(&site);
    if (saved >= 0) {
        dup2(saved, 3);
        close(saved);
    }
}

/* ---- the log ---- */

static char logged[512];
static bool keep_line(enum log_level level, const char *subject, const char *text)
{
    (void)level;
    snprintf(logged, sizeof logged, "%s: %s", subject, text);
    return true;
}

static void requests_are_logged(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, (struct http_server_options){.access_log_name = "a2a"});
    log_set_level(LOG_LEVEL_DEBUG);
    log_set_sink(keep_line);
    int fd = dial(&site);
    say(&site, fd, "GET /a%0ab HTTP/1.1\r\n" HOST "\r\n");
    hear(&site, &fd, "\r\n\r\n/a");
    while (!logged[0])
        turn(&site);
    log_set_sink(NULL);
    log_set_level(LOG_LEVEL_INFO);
    const char *begin = "a2a: GET /a\\x0ab 200 4 bytes ";
    assert_memory_equal(logged, begin, strlen(begin));
    assert_non_null(strstr(logged, " 127.0.0.1 "));
    close(fd);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_in_order),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(a_refused_request_is_the_last_of_its_pipeline),
        cmocka_unit_test(chunks_make_a_body),
        cmocka_unit_test(heads_have_a_limit),
        cmocka_unit_test(slow_clients_are_ended),
        cmocka_unit_test(a_head_is_shown_before_the_body),
        cmocka_unit_test(a_client_need_not_wait_for_100),
        cmocka_unit_test(a_client_that_still_sends_gets_the_answer),
        cmocka_unit_test(a_client_that_leaves_during_its_body_is_gone),
        cmocka_unit_test(streams_end_with_their_reader),
        cmocka_unit_test(connections_are_limited),
        cmocka_unit_test(proxies_are_believed_only_on_request),
        cmocka_unit_test(the_host_is_told_without_case_port_and_last_dot),
        cmocka_unit_test(a_target_in_absolute_form_has_its_path),
        cmocka_unit_test(other_origins_are_let_in_by_name),
        cmocka_unit_test(places_are_told_and_refused),
        cmocka_unit_test(a_socket_of_systemd_is_taken),
        cmocka_unit_test(requests_are_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
