/* libcurl says which sockets it wants to hear of, and when it wants to be called; libuv does the
 * waiting. */
#include "net/http_exchange.h"

#include "base/memory.h"
#include "net/public_address.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACKNOWLEDGE_MS 60000 /* for bytes that the other side does not acknowledge */

struct socket_slot {
    struct watched_socket *watched; /* NULL: not watched */
    /* a request went over it: libcurl reports when it closes it, unlike one that is still being
     * connected */
    bool established;
    /* libcurl has it open, unless it closed it silently while connecting */
    bool opened;
    bool multiplexed; /* HTTP/2 is spoken on it */
    /* waits to know whether the other side has its bytes; NULL: none */
    struct http_exchange *sending;
    int local_port; /* 0: not looked up */
};

/* libuv's view of one socket of libcurl's. While libcurl keeps a connection to the platform for
 * later, it stays watched for reading, which is what the next request will begin with: so a request
 * on a kept connection costs no epoll_ctl. */
struct watched_socket {
    uv_poll_t poll;
    curl_socket_t socket;
    struct http_client *client;
    int events;
    int local_port;
    bool idle; /* libcurl does not want events: it is among the client's `kept` */
    struct watched_socket *next, *previous;
};

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static struct socket_slot *get_slot(struct http_client *client, curl_socket_t socket)
{
    if ((size_t)socket >= client->socket_count) {
        size_t count = (size_t)socket + 16;
        client->sockets = memory_resize(client->sockets, count * sizeof *client->sockets);
        memset(client->sockets + client->socket_count, 0,
               (count - client->socket_count) * sizeof *client->sockets);
        client->socket_count = count;
    }
    return &client->sockets[socket];
}

static void leave_kept(struct watched_socket *watched)
{
    if (!watched->idle)
        return;
    watched->idle = false;
    if (watched->previous)
        watched->previous->next = watched->next;
    else
        watched->client->kept = watched->next;
    if (watched->next)
        watched->next->previous = watched->previous;
    watched->next = watched->previous = NULL;
}

static void enter_kept(struct watched_socket *watched)
{
    struct http_client *client = watched->client;
    if (watched->idle)
        return;
    watched->idle = true;
    watched->next = client->kept;
    if (client->kept)
        client->kept->previous = watched;
    client->kept = watched;
}

typedef int name_reader(int socket, struct sockaddr *address, socklen_t *size);

static int read_port(curl_socket_t socket, name_reader *read)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    if (read(socket, (struct sockaddr *)&address, &size) != 0)
        return -1;
    return address.ss_family == AF_INET    ? ntohs(((struct sockaddr_in *)&address)->sin_port)
           : address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port)
                                           : -1;
}

curl_socket_t http_sockets_kept(const struct http_client *client, int local_port)
{
    struct watched_socket *kept = client->kept;
    while (kept && kept->local_port != local_port)
        kept = kept->next;
    return kept ? kept->socket : CURL_SOCKET_BAD;
}

curl_socket_t http_sockets_find(struct http_client *client, int local_port, int remote_port)
{
    for (size_t i = 0; i < client->socket_count; i++) {
        struct socket_slot *slot = &client->sockets[i];
        if (!slot->opened)
            continue;
        if (slot->local_port == 0)
            slot->local_port = read_port((curl_socket_t)i, getsockname);
        if (slot->local_port == local_port &&
            read_port((curl_socket_t)i, getpeername) == remote_port)
            return (curl_socket_t)i;
    }
    return CURL_SOCKET_BAD;
}

void http_sockets_note_multiplexed(struct http_client *client, curl_socket_t socket)
{
    get_slot(client, socket)->multiplexed = true;
}

bool http_sockets_multiplexed(const struct http_client *client, curl_socket_t socket)
{
    return (size_t)socket < client->socket_count && client->sockets[socket].multiplexed;
}

static void unwatch(struct socket_slot *slot)
{
    struct watched_socket *watched = slot->watched;
    slot->watched = NULL;
    slot->established = false;
    if (!watched)
        return;
    leave_kept(watched);
    uv_poll_stop(&watched->poll);
    uv_close((uv_handle_t *)&watched->poll, free_handle);
}

/* A socket of the same number was closed silently. */
static void note_opened(struct http_client *client, curl_socket_t socket)
{
    struct socket_slot *slot = get_slot(client, socket);
    unwatch(slot);
    *slot = (struct socket_slot){.opened = true};
}

curl_socket_t http_sockets_open_one(void *context, curlsocktype purpose,
                                    struct curl_sockaddr *address)
{
    (void)purpose;
    if (!http_destination_reached(context, public_address(&address->addr)))
        return CURL_SOCKET_BAD;
    curl_socket_t opened = socket(address->family, address->socktype | SOCK_CLOEXEC,
                                  address->protocol);
    struct http_client *client = ((struct http_exchange *)context)->client;
    if (opened == CURL_SOCKET_BAD)
        return opened;
    /* systems without this option wait longer */
    unsigned int acknowledge_ms = ACKNOWLEDGE_MS;
    (void)setsockopt(opened, IPPROTO_TCP, TCP_USER_TIMEOUT, &acknowledge_ms, sizeof acknowledge_ms);
    note_opened(client, opened);
    return opened;
}

curl_socket_t http_sockets_send(struct http_client *client, struct http_exchange *exchange,
                                int local_port, int remote_port)
{
    curl_socket_t socket = http_sockets_kept(client, local_port);
    if (socket == CURL_SOCKET_BAD)
        socket = http_sockets_find(client, local_port, remote_port);
    if (socket != CURL_SOCKET_BAD)
        get_slot(client, socket)->sending = exchange;
    return socket;
}

void http_sockets_sent(struct http_client *client, const struct http_exchange *exchange)
{
    curl_socket_t socket = exchange->sent_over;
    if (socket != CURL_SOCKET_BAD && client->sockets[socket].sending == exchange)
        client->sockets[socket].sending = NULL;
}

/* What the kernel still holds for the other side: written to the socket, not acknowledged. A reset
 * connection proves nothing: whoever reset it is there, and may have the bytes. */
static void note_unacknowledged(struct http_exchange *exchange, curl_socket_t socket)
{
    int held = 0, error = 0;
    struct tcp_info info = {0};
    socklen_t size = sizeof info, error_size = sizeof error;
    exchange->held = ioctl(socket, SIOCOUTQ, &held) == 0 && held > 0;
    bool alive = getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                 info.tcpi_state == TCP_ESTABLISHED;
    bool given_up = getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &error_size) == 0 &&
                    error == ETIMEDOUT;
    exchange->not_ended = alive || given_up;
}

int http_sockets_close_one(void *context, curl_socket_t socket)
{
    struct socket_slot *slot = get_slot(context, socket);
    if (slot->sending)
        note_unacknowledged(slot->sending, socket);
    unwatch(slot);
    *slot = (struct socket_slot){0};
    return close(socket);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct watched_socket *watched = poll->data;
    struct http_client *client = watched->client;
    /* the server closed it, or sent something unasked: examined before its next use */
    if (watched->idle) {
        uv_poll_stop(poll);
        watched->events = 0;
        return;
    }
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) | (status < 0 ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(client->multi, watched->socket, flags, &running);
    http_read_messages(client);
}

static void watch(struct watched_socket *watched, int events)
{
    if (watched->events == events)
        return;
    watched->events = events;
    uv_poll_start(&watched->poll, events, on_socket_ready);
}

static struct watched_socket *add_socket(struct http_client *client, curl_socket_t socket)
{
    struct watched_socket *watched = memory_allocate(sizeof *watched);
    watched->socket = socket;
    watched->client = client;
    if (uv_poll_init_socket(client->loop, &watched->poll, socket) < 0) {
        free(watched);
        return NULL;
    }
    watched->poll.data = watched;
    get_slot(client, socket)->watched = watched;
    return watched;
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *assigned)
{
    (void)assigned;
    struct http_client *client = context;
    struct socket_slot *slot = get_slot(client, socket);
    struct watched_socket *watched = slot->watched;
    struct http_exchange *exchange = NULL;
    if (client->keep_addresses && !slot->established &&
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&exchange) == CURLE_OK && exchange &&
        what != CURL_POLL_REMOVE)
        slot->established = exchange->sends > 0;
    if (what == CURL_POLL_REMOVE) {
        if (watched && slot->established) {
            if (watched->local_port == 0)
                watched->local_port = read_port(socket, getsockname);
            enter_kept(watched);
            watch(watched, UV_READABLE);
        } else {
            unwatch(slot);
        }
        return 0;
    }
    if (!watched && !(watched = add_socket(client, socket)))
        return -1;
    leave_kept(watched);
    watch(watched,
          (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0));
    return 0;
}

static void call_libcurl(struct http_client *client)
{
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    http_read_messages(client);
}

static void on_timeout(uv_timer_t *timer)
{
    call_libcurl(timer->data);
}

static void on_soon(uv_idle_t *soon)
{
    uv_idle_stop(soon);
    call_libcurl(soon->data);
}

/* While a server floods it, libcurl keeps asking to be called at once, after 100 reads of
 * BUFFERSIZE each. A timer of 0 started by a timer runs in the same turn of libuv's loop, which
 * would then do nothing else. */
static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    struct http_client *client = context;
    uv_timer_stop(client->timer);
    uv_idle_stop(client->soon);
    if (timeout_ms == 0)
        uv_idle_start(client->soon, on_soon);
    else if (timeout_ms > 0)
        uv_timer_start(client->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

void http_sockets_open(struct http_client *client)
{
    client->timer = memory_allocate(sizeof *client->timer);
    client->soon = memory_allocate(sizeof *client->soon);
    uv_timer_init(client->loop, client->timer);
    uv_idle_init(client->loop, client->soon);
    client->timer->data = client->soon->data = client;
}

void http_sockets_attach(struct http_client *client, CURLM *multi)
{
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client);
}

void http_sockets_close(struct http_client *client)
{
    for (size_t i = 0; i < client->socket_count; i++)
        unwatch(&client->sockets[i]);
    free(client->sockets);
    uv_close((uv_handle_t *)client->timer, free_handle);
    uv_close((uv_handle_t *)client->soon, free_handle);
}
