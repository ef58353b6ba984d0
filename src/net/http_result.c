/* What comes back: headers and body as they arrive, and in the end a result. */
#include "net/http_exchange.h"

#include "base/clock.h"
#include "net/http_trouble.h"

#include <string.h>

/* bytes of response headers; a platform needs a few hundred */
#define HEADERS_MAXIMUM (256 * 1024)

int http_result_progress(void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                         curl_off_t up)
{
    (void)down_total;
    (void)up_total;
    struct http_exchange *exchange = context;
    if (down == 0 && up < (curl_off_t)exchange->request_length)
        exchange->sent_at_ms = clock_awake_ms() + 1;
    return 0;
}

size_t http_result_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    size_t length = size * count;
    if (exchange->on_data) {
        exchange->too_large = exchange->received + length > exchange->response_maximum;
        if (exchange->too_large)
            return 0;
        if (!exchange->on_data(exchange->context, bytes, length))
            return CURL_WRITEFUNC_PAUSE;
        exchange->received += length;
        return length;
    }
    if (buffer_append(&exchange->body, bytes, length))
        return length;
    exchange->too_large = true;
    return 0;
}

/* "303 See Other" is followed by a GET, whatever the method was; libcurl would keep a method name
 * it was given. */
static void forget_method_after_303(struct http_exchange *exchange, const char *line, size_t length)
{
    bool is_status_line = length > 5 && memcmp(line, "HTTP/", 5) == 0;
    if (is_status_line && exchange->general && http_status(exchange) == 303)
        curl_easy_setopt(exchange->easy, CURLOPT_CUSTOMREQUEST, NULL);
}

size_t http_result_header(char *bytes, size_t size, size_t count, void *context)
{
    struct http_exchange *exchange = context;
    forget_method_after_303(exchange, bytes, size * count);
    if (size * count > 7 && memcmp(bytes, "HTTP/2 ", 7) == 0 && exchange->socket != CURL_SOCKET_BAD)
        http_sockets_note_multiplexed(exchange->client, exchange->socket);
    exchange->header_bytes += size * count;
    exchange->header_flood = exchange->header_bytes > HEADERS_MAXIMUM;
    return exchange->header_flood ? 0 : size * count;
}

static enum http_progress progress_of(struct http_exchange *exchange, CURLcode code)
{
    if (code == CURLE_OK)
        return HTTP_ANSWERED;
    curl_off_t uploaded = 0;
    long request_size = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    curl_easy_getinfo(exchange->easy, CURLINFO_REQUEST_SIZE, &request_size);
    bool sent = exchange->sends > 0 && request_size > 0 &&
                uploaded >= (curl_off_t)exchange->request_length;
    return sent || exchange->sends > 1 ? HTTP_NO_ANSWER : HTTP_NOT_SENT;
}

static const char *code_text(const struct http_exchange *exchange, CURLcode code)
{
    if (exchange->too_large)
        return "TOO_LARGE";
    if (exchange->forbidden)
        return "FORBIDDEN";
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return "TIMEOUT";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return "RESOLVE";
    case CURLE_COULDNT_CONNECT: return "CONNECT";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PEER_FAILED_VERIFICATION: return "TLS";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return "URL";
    case CURLE_TOO_MANY_REDIRECTS: return "REDIRECTS";
    default: return "NETWORK";
    }
}

void http_result_finish(struct http_exchange *exchange, CURLcode code)
{
    if (exchange->stale && code == CURLE_ABORTED_BY_CALLBACK) {
        http_exchange_start_again(exchange);
        return;
    }
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    /* time while the process was stopped does not count */
    int64_t now = clock_awake_ms() + 1;
    struct http_result result = {
        .progress = progress_of(exchange, code),
        .status = (int)status,
        .body = exchange->body.data ? exchange->body.data : "",
        .body_length = exchange->body.length,
        .too_large = exchange->too_large,
        .cannot_connect = exchange->sends == 0,
        .since_sent_ms = exchange->sent_at_ms ? now - exchange->sent_at_ms : 0,
        .unacknowledged = code != CURLE_OK && status == 0 && exchange->held && exchange->not_ended,
        .exchange = exchange,
    };
    result.code = code == CURLE_OK ? NULL : code_text(exchange, code);
    if (code != CURLE_OK)
        result.error = exchange->forbidden      ? exchange->refusal
                       : exchange->header_flood ? "response headers too large"
                       : exchange->too_large    ? "response too large"
                       : exchange->repeated     ? "the connection closed before the answer came"
                       : exchange->error[0]     ? http_trouble_explain(exchange->error)
                                                : curl_easy_strerror(code);
    *exchange->client->addresses_failed = result.cannot_connect && code != CURLE_OK;
    exchange->callback(&result, exchange->context);
    http_exchange_release(exchange);
}

const char *http_header(const struct http_result *result, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(result->exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return NULL;
    return header->value;
}

void http_each_header(const struct http_result *result,
                      void (*each)(const char *name, const char *value, void *context),
                      void *context)
{
    for (struct curl_header *header = NULL;
         (header = curl_easy_nextheader(result->exchange->easy, CURLH_HEADER, -1, header));)
        each(header->name, header->value, context);
}

int http_status(const struct http_exchange *exchange)
{
    long status = 0;
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *http_content_type(const struct http_exchange *exchange)
{
    char *type = NULL;
    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type);
    return type;
}
