/* Any bytes as the platform's answer to any call; the first three bytes choose call, status and
 * time. */
#include "fuzz.h"

#include "wire/jsontext.h"
#include "wire/repair.h"
#include "wire/reply.h"
#include "wire/result.h"
#include "wire/retry.h"

#include <string.h>

static void check_line(const char *text)
{
    for (size_t at = 0, size; text[at]; at += size) {
        size = repair_character(text + at, strlen(text + at));
        HOLDS(size > 0 && (unsigned char)text[at] >= ' ' && text[at] != 0x7f);
    }
}

static void check_readers(const char *body, size_t length)
{
    char text[200];
    for (size_t size = 1; size <= sizeof text; size += 33) {
        platform_error_text(body, length, text, size);
        HOLDS(strlen(text) < size);
        check_line(text);
    }
    struct platform_registered registered;
    platform_read_registered(body, length, &registered);
    free(registered.delivery_mode);
    free(registered.auth_token);
    free(registered.platform_inbound_secret);
    struct result result;
    json_t *value = jsontext_read(body, length, NULL, NULL);
    if (result_read(value, &result))
        HOLDS(!result.state || *result.state);
    result_free(&result);
    json_decref(value);
    reply_read_answer(true, body, length);
    reply_read_answer(false, body, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {0,   100, 200, 202, 204, 302, 400, 401, 403, 404, 408, 410,
                                   418, 425, 429, 500, 502, 503, 504, 520, 524, 599, 999, -1};
    if (size < 3)
        return 0;
    const char *body = (const char *)data + 3;
    size_t length = size - 3;
    char *words = malloc(length + 1);
    memcpy(words, body, length);
    words[length] = '\0';
    struct retry_answer answer = {
        .call = (enum platform_call)(data[0] % 6),
        .transport = (enum retry_transport)(data[0] / 6 % 3),
        .status = statuses[data[1] % (sizeof statuses / sizeof *statuses)],
        .body = body,
        .body_length = length,
        .retry_after = data[2] & 1 ? words : NULL,
        .since_sent_ms = data[2] & 2 ? 31000 : 10,
        .now_wall_ms = 1777777777777};
    if (answer.transport != RETRY_ANSWERED)
        answer.transport_error = words;
    struct retry_verdict verdict = retry_classify(&answer);
    HOLDS(verdict.floor_ms >= 0 && verdict.floor_ms <= RETRY_FLOOR_MAXIMUM_MS);
    HOLDS(*verdict.reason && strlen(verdict.reason) < RETRY_REASON_SIZE);
    check_line(verdict.reason);
    check_readers(body, length);
    free(words);
    return 0;
}
