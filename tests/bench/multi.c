/* What libcurl alone can do: the same request again and again through its multi interface,
 * connections kept alive, so many in flight. Usage: bench_multi URL REQUEST-FILE IN-FLIGHT COUNT
 * REQUEST-FILE is a request as it came to a server, head and body: its headers and its body are
 * sent (Host, Content-Length and the like are libcurl's own). Prints requests a second, and the
 * time of one request from before it was given to libcurl until its answer was read: median and
 * 99th percentile, in microseconds. */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define REQUEST_MAXIMUM (64 * 1024)
#define IN_FLIGHT_MAXIMUM 256

struct slot {
    CURL *easy;
    int64_t began_ns;
};

static char request[REQUEST_MAXIMUM + 1];
static int64_t *times;
static long wanted, started, finished;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static size_t ignore(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

/* Cuts the request into its headers and its body. */
static struct curl_slist *cut_request(char **body)
{
    struct curl_slist *headers = NULL;
    char *line = strstr(request, "\r\n"), *end = strstr(request, "\r\n\r\n");
    if (!line || !end)
        return NULL;
    *body = end + 4;
    while (line < end) {
        char *next = strstr(line + 2, "\r\n");
        *next = '\0';
        if (strncasecmp(line + 2, "Host:", 5) != 0 &&
            strncasecmp(line + 2, "Content-Length:", 15) != 0)
            headers = curl_slist_append(headers, line + 2);
        line = next;
    }
    return curl_slist_append(headers, "Expect:");
}

static void start(CURLM *multi, struct slot *slot)
{
    started++;
    slot->began_ns = now_ns();
    curl_multi_add_handle(multi, slot->easy);
}

static bool take_finished(CURLM *multi)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        struct slot *slot = NULL;
        long status = 0;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        if (message->data.result != CURLE_OK || status != 200) {
            fprintf(stderr, "bench_multi: %s, status %ld\n",
                    curl_easy_strerror(message->data.result), status);
            return false;
        }
        times[finished++] = now_ns() - slot->began_ns;
        curl_multi_remove_handle(multi, slot->easy);
        if (started < wanted)
            start(multi, slot);
    }
    return true;
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return a < b ? -1 : a > b;
}

static bool run(CURLM *multi, struct slot *slots, int in_flight)
{
    for (int i = 0; i < in_flight && started < wanted; i++)
        start(multi, &slots[i]);
    while (finished < wanted) {
        int running;
        curl_multi_perform(multi, &running);
        if (!take_finished(multi))
            return false;
        if (finished < wanted)
            curl_multi_poll(multi, NULL, 0, 10000, NULL);
    }
    return true;
}

int main(int count, char **arguments)
{
    FILE *file = count == 5 ? fopen(arguments[2], "rb") : NULL;
    int in_flight = count == 5 ? atoi(arguments[3]) : 0;
    wanted = count == 5 ? atol(arguments[4]) : 0;
    if (!file || in_flight < 1 || in_flight > IN_FLIGHT_MAXIMUM || wanted < 1) {
        fprintf(stderr, "usage: bench_multi URL REQUEST-FILE IN-FLIGHT COUNT\n");
        return 2;
    }
    size_t length = fread(request, 1, REQUEST_MAXIMUM, file);
    fclose(file);
    char *body = NULL;
    struct curl_slist *headers = cut_request(&body);
    times = calloc((size_t)wanted, sizeof *times);
    CURLM *multi = curl_multi_init();
    if (!headers || !times || !multi)
        return 1;
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)in_flight);
    struct slot slots[IN_FLIGHT_MAXIMUM] = {0};
    for (int i = 0; i < in_flight; i++) {
        CURL *easy = slots[i].easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, arguments[1]);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, &slots[i]);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)(length - (size_t)(body - request)));
    }
    int64_t began = now_ns();
    bool fine = run(multi, slots, in_flight);
    double seconds = (double)(now_ns() - began) / 1e9;
    qsort(times, (size_t)finished, sizeof *times, by_value);
    if (fine)
        printf("%.1f %.1f %.1f\n", (double)finished / seconds, (double)times[finished / 2] / 1e3,
               (double)times[finished * 99 / 100] / 1e3);
    for (int i = 0; i < in_flight; i++)
        curl_easy_cleanup(slots[i].easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    free(times);
    return fine ? 0 : 1;
}
