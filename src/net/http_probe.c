#include "net/http_probe.h"

#include "base/clock.h"
#include "base/memory.h"
#include "net/http_trouble.h"
#include "net/http_trust.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define HEAD_MAXIMUM (256 * 1024)
#define PROXY_WORDS "Uses proxy env variable " /* libcurl's, followed by NAME == 'URL' */

struct taking {
    struct http_probe *probe;
    bool stream;
};

static size_t take_head(char *bytes, size_t size, size_t count, void *context)
{
    struct http_probe *probe = ((struct taking *)context)->probe;
    bool good = probe->head.length > 9 && probe->head.data[9] == '2';
    if (((struct taking *)context)->stream && good && size * count <= 2)
        return 0; /* the empty line after it */
    if (size * count >= 5 && strncmp(bytes, "HTTP/", 5) == 0)
        buffer_clear(&probe->head); /* the answer before was a proxy's, or 100 */
    return buffer_append(&probe->head, bytes, size * count) ? size * count : 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_probe *probe = ((struct taking *)context)->probe;
    size_t all = size * count, room = probe->body.maximum - probe->body.length;
    buffer_append(&probe->body, bytes, all < room ? all : room);
    return all <= room ? all : 0; /* the rest is not needed */
}

/* Without user and password. */
static void take_proxy(struct http_probe *probe, const char *words, size_t length)
{
    char *line = memory_copy(words, length), *name = line + strlen(PROXY_WORDS),
         *url = strstr(line, " == '");
    if (url) {
        *url = '\0';
        url += strlen(" == '");
        url[strcspn(url, "'\n")] = '\0';
        char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
        size_t kept = at && scheme ? (size_t)(scheme + 3 - url) : 0;
        snprintf(probe->proxy, sizeof probe->proxy, "%.*s%s", (int)kept, url, at ? at + 1 : url);
        snprintf(probe->proxy_variable, sizeof probe->proxy_variable, "%s", name);
    }
    free(line);
}

static int take_words(CURL *easy, curl_infotype type, char *words, size_t length, void *context)
{
    (void)easy;
    if (type == CURLINFO_TEXT && length > strlen(PROXY_WORDS) &&
        strncmp(words, PROXY_WORDS, strlen(PROXY_WORDS)) == 0)
        take_proxy(((struct taking *)context)->probe, words, length);
    return 0;
}

static bool reached(CURL *easy, CURLINFO stage)
{
    curl_off_t us = 0;
    return curl_easy_getinfo(easy, stage, &us) == CURLE_OK && us > 0;
}

/* A time that ran out, or a connection that broke: by what came before. */
static enum http_probe_end judge_stage(CURL *easy, const char *url, bool proxied)
{
    if (!reached(easy, CURLINFO_NAMELOOKUP_TIME_T))
        return proxied ? HTTP_PROBE_PROXY : HTTP_PROBE_NAME;
    if (!reached(easy, CURLINFO_CONNECT_TIME_T))
        return proxied ? HTTP_PROBE_PROXY : HTTP_PROBE_CONNECT;
    if (strncasecmp(url, "https:", 6) == 0 && !reached(easy, CURLINFO_APPCONNECT_TIME_T))
        return proxied ? HTTP_PROBE_PROXY : HTTP_PROBE_TLS;
    return HTTP_PROBE_SILENT;
}

static enum http_probe_end judge(CURL *easy, CURLcode code, const char *url, bool proxied)
{
    switch (code) {
    case CURLE_OK: return HTTP_PROBE_ANSWERED;
    case CURLE_UNSUPPORTED_PROTOCOL: /* or an answer that is not HTTP */
        return reached(easy, CURLINFO_CONNECT_TIME_T) ? HTTP_PROBE_SILENT : HTTP_PROBE_URL;
    case CURLE_URL_MALFORMAT: return HTTP_PROBE_URL;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY: return HTTP_PROBE_PROXY;
    case CURLE_COULDNT_RESOLVE_HOST: return proxied ? HTTP_PROBE_PROXY : HTTP_PROBE_NAME;
    case CURLE_COULDNT_CONNECT: return proxied ? HTTP_PROBE_PROXY : HTTP_PROBE_CONNECT;
    case CURLE_SSL_CACERT_BADFILE: return HTTP_PROBE_TRUST;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER: return HTTP_PROBE_TLS;
    default: return judge_stage(easy, url, proxied);
    }
}

static void prepare(CURL *easy, const struct http_probe_request *request, struct taking *taking)
{
    curl_easy_setopt(easy, CURLOPT_URL, request->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)request->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_head);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, taking);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, taking);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, take_words);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, taking);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, taking->probe->error);
}

static struct curl_slist *list_headers(char *const *headers)
{
    struct curl_slist *list = curl_slist_append(NULL, "User-Agent: molecule/" MOLECULE_VERSION);
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    return list;
}

static void read_result(CURL *easy, CURLcode code, const char *url, struct http_probe *probe)
{
    const char *address = NULL;
    long status = 0, port = 0;
    probe->answered_ms = clock_wall_ms();
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    if (address && *address)
        snprintf(probe->address, sizeof probe->address,
                 strchr(address, ':') ? "[%s]:%ld" : "%s:%ld", address, port);
    probe->status = (int)status;
    bool enough = status > 0 && code == CURLE_WRITE_ERROR; /* the rest was refused */
    probe->end = judge(easy, enough ? CURLE_OK : code, url, *probe->proxy);
    if (probe->end == HTTP_PROBE_ANSWERED)
        *probe->error = '\0';
    else if (!*probe->error)
        snprintf(probe->error, sizeof probe->error, "%s", curl_easy_strerror(code));
    if (probe->end == HTTP_PROBE_TLS || probe->end == HTTP_PROBE_SILENT) {
        char *plain = memory_copy_text(probe->error);
        snprintf(probe->error, sizeof probe->error, "%s", http_trouble_explain(plain));
        free(plain);
    }
}

void http_probe(const struct http_probe_request *request, struct http_probe *probe)
{
    *probe = (struct http_probe){.end = HTTP_PROBE_URL};
    buffer_init(&probe->head, HEAD_MAXIMUM);
    buffer_init(&probe->body, request->maximum);
    CURL *easy = curl_easy_init();
    if (!easy) {
        snprintf(probe->error, sizeof probe->error, "libcurl cannot be used");
        return;
    }
    struct http_trust trust;
    struct curl_slist *headers = list_headers(request->headers);
    struct taking taking = {probe, request->stream};
    http_trust_open(&trust, request->ca_file, false);
    prepare(easy, request, &taking);
    http_trust_apply(&trust, easy);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    read_result(easy, curl_easy_perform(easy), request->url, probe);
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
    http_trust_close(&trust);
}

void http_probe_free(struct http_probe *probe)
{
    buffer_free(&probe->head);
    buffer_free(&probe->body);
}

bool http_probe_header(const struct http_probe *probe, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    bool found = false;
    for (const char *line = probe->head.data; line && *line;) {
        size_t end = strcspn(line, "\r\n");
        if (end > length && strncasecmp(line, name, length) == 0 && line[length] == ':') {
            size_t start = length + 1 + strspn(line + length + 1, " \t");
            snprintf(value, size, "%.*s", start < end ? (int)(end - start) : 0, line + start);
            found = true;
        }
        line += end + strspn(line + end, "\r\n");
    }
    return found;
}

int64_t http_probe_date_s(const struct http_probe *probe)
{
    char text[64];
    time_t date = http_probe_header(probe, "Date", text, sizeof text) ? curl_getdate(text, NULL)
                                                                      : -1;
    return date > 0 ? (int64_t)date : 0;
}

/* --- certificates --- */

/* OpenSSL's "Dec  1 12:00:00 2026 GMT", GnuTLS's "2026-12-01 12:00:00 GMT". */
static int64_t read_time(const char *text)
{
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &parts);
    time_t time = end ? timegm(&parts) : curl_getdate(text, NULL);
    return time > 0 ? (int64_t)time : 0;
}

static void take_line(struct http_certificate *certificate, const char *line)
{
    static const struct {
        const char *name;
        size_t offset, size;
    } texts[] = {
#define TEXT(name, member) \
    {name ":", offsetof(struct http_certificate, member), sizeof certificate->member}
        TEXT("Subject", subject),
        TEXT("Issuer", issuer),
        TEXT("X509v3 Subject Alternative Name", names),
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strncmp(line, texts[i].name, strlen(texts[i].name)) == 0)
            snprintf((char *)certificate + texts[i].offset, texts[i].size, "%s",
                     line + strlen(texts[i].name));
    if (strncmp(line, "Start date:", 11) == 0)
        certificate->begins_s = read_time(line + 11);
    else if (strncmp(line, "Expire date:", 12) == 0)
        certificate->expires_s = read_time(line + 12);
}

bool http_probe_certificate(const char *url, int64_t timeout_ms,
                            struct http_certificate *certificate)
{
    *certificate = (struct http_certificate){0};
    CURL *easy = curl_easy_init();
    if (!easy)
        return false;
    struct curl_certinfo *info = NULL;
    struct http_trust trust;
    http_trust_open(&trust, NULL, false);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (trust.no_proxy)
        curl_easy_setopt(easy, CURLOPT_NOPROXY, trust.no_proxy);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    /* only to look at it */
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_perform(easy);
    bool shown = curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) == CURLE_OK && info &&
                 info->num_of_certs > 0;
    for (struct curl_slist *line = shown ? info->certinfo[0] : NULL; line; line = line->next)
        take_line(certificate, line->data);
    curl_easy_cleanup(easy);
    http_trust_close(&trust);
    return shown;
}
