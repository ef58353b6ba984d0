/* Any bytes as what a client sends, in two pieces whose border the first byte gives: no request is
 * handed over whose head has a NUL or a bare LF, each ends exactly once, and what comes back is
 * HTTP. */
#include "fuzz.h"

#include "net/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BODY_MAXIMUM 4096

static uv_loop_t loop;
static struct http_server *server;
static struct sockaddr_un place;
static int handed, heads;
static struct http_request *streaming;

static bool on_head(struct http_request *request, void *context)
{
    (void)context;
    heads++;
    if (!http_request_header(request, "Refuse"))
        return true;
    http_request_answer(request, &(struct http_answer){.status = 401, .body = "no", .length = 2});
    return false;
}

static void on_request(struct http_request *request, void *context)
{
    (void)context;
    size_t length;
    const char *body = http_request_body(request, &length);
    const char *path = http_request_path(request);
    HOLDS(length <= BODY_MAXIMUM && strlen(http_request_method(request)) > 0);
    HOLDS(path[0] == '/' || path[0] == '*');
    HOLDS(http_request_id(request)[0] && http_request_client(request)[0]);
    (void)http_request_argument(request, "a");
    handed++;
    if (path[1] != 's') {
        http_request_answer(request,
                            &(struct http_answer){.status = 200, .body = body, .length = length});
        return;
    }
    http_stream_begin(request, 200, NULL, 0);
    http_stream_send(request, path, strlen(path));
    if (path[2]) {
        http_stream_end(request);
        return;
    }
    HOLDS(!streaming);
    streaming = request;
}

static void on_gone(struct http_request *request, void *context)
{
    (void)context;
    if (streaming == request)
        streaming = NULL;
}

static void finish(void)
{
    http_server_close(server);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    *strrchr(place.sun_path, '/') = 0;
    rmdir(place.sun_path);
}

static void start(void)
{
    static const char *const origins[] = {"https://a"};
    char problem[256];
    static char listen[128] = "unix:/tmp/fuzz-http-XXXXXX"; /* TCP would run out of ports */
    const char *const listens[] = {listen};
    HOLDS(mkdtemp(listen + strlen("unix:")));
    atexit(finish);
    strcat(listen, "/socket");
    place.sun_family = AF_UNIX;
    strcpy(place.sun_path, listen + strlen("unix:"));
    struct http_server_options options = {.listen = listens,
                                          .listen_count = 1,
                                          .limits = {.head_bytes = 4096,
                                                     .headers = 20,
                                                     .body_bytes = BODY_MAXIMUM,
                                                     .head_ms = 500,
                                                     .body_ms = 500},
                                          .trust_proxy = true,
                                          .cors_origins = origins,
                                          .cors_origin_count = 1,
                                          .on_head = on_head,
                                          .on_request = on_request,
                                          .on_gone = on_gone};
    HOLDS(uv_loop_init(&loop) == 0);
    server = http_server_open(&loop, &options, problem, sizeof problem);
    HOLDS(server);
}

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    HOLDS(fd >= 0 && connect(fd, (struct sockaddr *)&place, sizeof place) == 0);
    HOLDS(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* true: the connection has ended */
static bool hear(int fd, char *heard, size_t room, size_t *length)
{
    char rest[4096];
    bool full = *length == room;
    ssize_t size = recv(fd, full ? rest : heard + *length, full ? sizeof rest : room - *length, 0);
    if (size > 0 && !full)
        *length += (size_t)size;
    return size == 0 || (size < 0 && errno != EAGAIN);
}

/* Lines before a request that are empty or begin with a NUL: libmicrohttpd skips them. */
static size_t skipped(const char *bytes, size_t size)
{
    size_t at = 0;
    while (at < size && (bytes[at] == 0 || bytes[at] == '\n' ||
                         (bytes[at] == '\r' && at + 1 < size && bytes[at + 1] == '\n'))) {
        const char *end = memchr(bytes + at, '\n', size - at);
        if (!end)
            return size;
        at = (size_t)(end + 1 - bytes);
    }
    return at;
}

/* Within two bytes of a NUL, or of a colon that begins a line, libmicrohttpd's line ends cannot be
 * told from CR LF (net/http_server.h). */
static bool is_blurred(const char *bytes, size_t size, size_t at)
{
    size_t first = at > 2 ? at - 2 : 0;
    for (size_t i = first; i < size && i <= at + 2; i++)
        if (bytes[i] == 0 || (bytes[i] == ':' && i > 0 && bytes[i - 1] == '\n'))
            return true;
    return false;
}

static bool head_is_clean(const char *bytes, size_t size)
{
    size_t begin = skipped(bytes, size);
    const char *end = memmem(bytes + begin, size - begin, "\r\n\r\n", 4);
    size_t until = end ? (size_t)(end - bytes) : size;
    for (size_t i = begin; i < until; i++) {
        size_t near = i > 2 ? i - 2 : 0, room = size - near < 5 ? size - near : 5;
        if (bytes[i] == 0)
            return memchr(bytes + near, '\n', room); /* else the head may end here */
        if (bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r'))
            return is_blurred(bytes, size, i);
    }
    return end;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (!server)
        start();
    const char *bytes = (const char *)data + 1;
    char heard[64];
    size_t length = 0, sent = 0, border = data[0] < size - 1 ? data[0] : size - 1;
    bool closed = false, over = false;
    handed = heads = 0;
    int turns = 0; /* since all was sent: an end together with bytes may be seen only in time */
    for (int fd = dial(); !over;) {
        size_t until = sent < border ? border : size - 1;
        ssize_t part = until > sent ? send(fd, bytes + sent, until - sent, MSG_NOSIGNAL) : 0;
        if (part > 0)
            sent += (size_t)part;
        bool all = sent == size - 1 || (part < 0 && errno != EAGAIN);
        if (!closed && all && ++turns > 4) {
            closed = true;
            shutdown(fd, SHUT_WR);
        }
        uv_run(&loop, UV_RUN_NOWAIT);
        over = hear(fd, heard, sizeof heard, &length);
        if (over)
            close(fd);
    }
    HOLDS(length == 0 || (length >= 9 && memcmp(heard, "HTTP/1.1 ", 9) == 0));
    HOLDS(handed == 0 || head_is_clean(bytes, size - 1));
    HOLDS(handed <= heads);
    for (int i = 0; i < 1000 && streaming; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    HOLDS(!streaming);
    return 0;
}
