#include "script/calls.h"

#include "base/base64.h"
#include "base/hash.h"
#include "base/memory.h"
#include "script/call_words.h"
#include "script/handler.h"
#include "script/vm.h"
#include "wire/jsontext.h"
#include "wire/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 32
#define SECRET_ROOM (CALLS_SEEN_MAXIMUM - CALLS_BODY_MAXIMUM)
#define CALL_COST 512 /* bytes, a guess at what a call takes besides its texts */

struct calls {
    json_t *list;
    size_t bytes;   /* kept so far, about */
    size_t dropped; /* further calls */
    bool record, observe;
};

struct calls *calls_open(bool record, bool observe)
{
    if (!record && !observe)
        return NULL;
    struct calls *calls = memory_allocate(sizeof *calls);
    calls->list = json_array();
    calls->record = record;
    calls->observe = observe;
    return calls;
}

static char *text_of(const struct calls *calls)
{
    size_t index;
    json_t *call;
    json_array_foreach (calls->list, index, call)
        if (!json_object_get(call, "duration_ms"))
            json_object_set_new(call, "unfinished", json_true());
    if (calls->dropped > 0)
        json_array_append_new(calls->list,
                              json_pack("{s:I}", "dropped", (json_int_t)calls->dropped));
    return jsontext_print(calls->list);
}

char *calls_take(struct calls *calls)
{
    if (!calls)
        return NULL;
    char *text = calls->record ? text_of(calls) : NULL;
    json_decref(calls->list);
    free(calls);
    return text;
}

/* --- questions --- */

static json_t *hidden(const char *text)
{
    char *shown = call_words_hide(text);
    json_t *string = json_string(shown);
    free(shown);
    return string;
}

/* The input itself may hold secrets; its digest tells whether it is the same. */
static void set_input(json_t *question, const char *bytes, size_t length)
{
    char digest[17];
    if (!bytes)
        return;
    snprintf(digest, sizeof digest, "%016" PRIx64, hash_bytes(bytes, length));
    json_object_set_new(question, "request_bytes", json_integer((json_int_t)length));
    json_object_set_new(question, "request_digest", json_string(digest));
}

json_t *calls_http(const char *method, const char *url, const char *body, size_t length)
{
    json_t *question = json_pack("{s:s, s:s}", "call", "http", "method", method);
    json_object_set_new(question, "url", hidden(url));
    set_input(question, body, length);
    return question;
}

json_t *calls_program(const char *call, char *const *argv, const char *input, size_t length)
{
    json_t *question = json_pack("{s:s}", "call", call), *list = json_array();
    bool secret = false; /* the argument before this one names one */
    for (; *argv; argv++) {
        size_t size = strlen(*argv);
        json_array_append_new(list, secret ? json_string("[hidden]") : hidden(*argv));
        secret = size > 1 && **argv == '-' && !strpbrk(*argv, "= ") &&
                 call_words_secret(*argv, size);
    }
    json_object_set_new(question, "argv", list);
    set_input(question, input, length);
    return question;
}

static char *join(const json_t *argv)
{
    char *text = memory_copy_text("");
    size_t index;
    json_t *word;
    json_array_foreach (argv, index, word) {
        const char *part = json_string_value(word);
        char *longer = memory_join(text, index > 0 ? " " : "", part ? part : "?");
        free(text);
        text = longer;
    }
    return text;
}

char *calls_describe(const json_t *question)
{
    const json_t *argv = json_object_get(question, "argv");
    const char *method = json_string_value(json_object_get(question, "method")),
               *url = json_string_value(json_object_get(question, "url")),
               *first = json_string_value(json_array_get(argv, 0)),
               *second = json_string_value(json_array_get(argv, 1)),
               *third = json_string_value(json_array_get(argv, 2));
    if (url)
        return memory_format("%s %s", method ? method : "?", url);
    bool is_shell = json_array_size(argv) == 3 && first && second && third &&
                    strcmp(first, "/bin/sh") == 0 && strcmp(second, "-c") == 0;
    return is_shell ? memory_copy_text(third) : join(argv);
}

static size_t size_of(const json_t *question)
{
    char *text = jsontext_print(question);
    size_t size = text ? strlen(text) : 0;
    free(text);
    return size + CALL_COST;
}

size_t calls_asked(const struct vm *vm, json_t *question)
{
    struct calls *calls = vm->running ? vm->running->calls : NULL;
    size_t size = calls ? size_of(question) : 0;
    if (!calls || calls->bytes + size > CALLS_BYTES_MAXIMUM ||
        json_array_size(calls->list) >= CALLS_COUNT_MAXIMUM) {
        if (calls)
            calls->dropped++;
        json_decref(question);
        return 0;
    }
    calls->bytes += size;
    json_array_append_new(calls->list, question);
    return json_array_size(calls->list);
}

json_t *calls_steps(void)
{
    return json_pack("{s:s}", "call", CALLS_STEPS);
}

/* --- results --- */

struct calls_result calls_answered(const struct handler *handler, size_t number)
{
    struct calls *calls = handler ? handler->calls : NULL;
    return (struct calls_result){
        .calls = calls, .json = calls && number ? json_array_get(calls->list, number - 1) : NULL};
}

void calls_set(const struct calls_result *result, const char *name, json_t *value)
{
    if (result->json)
        json_object_set_new(result->json, name, value);
    else
        json_decref(value);
}

void calls_set_text(const struct calls_result *result, const char *name, const char *text)
{
    size_t length;
    if (!result->json)
        return;
    char *shown = call_words_hide_answer(text, strlen(text), &length);
    char *valid = repair_text(shown, length, &length);
    json_object_set_new(result->json, name, json_string(valid));
    result->calls->bytes += length;
    free(valid);
    free(shown);
}

static json_t *base64_of(const char *bytes, size_t length)
{
    size_t size = base64_encoded_length(length);
    char *text = memory_allocate(size + 1);
    base64_encode(bytes, length, text);
    json_t *string = json_stringn(text, size);
    free(text);
    return string;
}

static void set_cut(const struct calls_result *result, const char *name, size_t all)
{
    char cut[NAME_SIZE];
    snprintf(cut, sizeof cut, "%s_cut", name);
    json_object_set_new(result->json, cut, json_integer((json_int_t)all));
}

/* At most `room`; a character that is cut in two would make it look like bytes. */
static size_t cut_at(const char *bytes, size_t length, size_t room)
{
    if (length <= room)
        return length;
    while (room > 0 && ((unsigned char)bytes[room] & 0xc0) == 0x80)
        room--;
    return room;
}

void calls_set_bytes(const struct calls_result *result, const char *name, const char *bytes,
                     size_t length, size_t all)
{
    char encoded[NAME_SIZE];
    size_t room = CALLS_BODY_MAXIMUM, kept;
    if (!result->json)
        return;
    if (result->calls->bytes + room > CALLS_BYTES_MAXIMUM)
        room = result->calls->bytes < CALLS_BYTES_MAXIMUM
                   ? CALLS_BYTES_MAXIMUM - result->calls->bytes
                   : 0;
    /* beyond the limit, so that a secret that is cut in two is hidden, too */
    size_t looked_at = length < room + SECRET_ROOM ? length : room + SECRET_ROOM;
    char *shown = call_words_hide_answer(bytes, looked_at, &kept);
    bool cut = looked_at < all || kept > room;
    if (cut)
        kept = cut_at(shown, kept, room);
    json_t *text = json_stringn(shown, kept);
    snprintf(encoded, sizeof encoded, "%s_base64", name);
    json_object_set_new(result->json, text ? name : encoded, text ? text : base64_of(shown, kept));
    if (cut)
        set_cut(result, name, all);
    result->calls->bytes += kept;
    free(shown);
}

char *calls_end(const struct calls_result *result, int64_t took_ms)
{
    if (!result->json)
        return NULL;
    json_object_set_new(result->json, "duration_ms", json_integer(took_ms));
    return result->calls->observe ? jsontext_print(result->json) : NULL;
}

/* --- recorded results --- */

char *calls_get_bytes(const json_t *call, const char *name, size_t *length)
{
    char encoded[NAME_SIZE];
    size_t bad;
    const json_t *text = json_object_get(call, name);
    *length = json_string_length(text);
    if (json_is_string(text))
        return memory_copy(json_string_value(text), *length);
    snprintf(encoded, sizeof encoded, "%s_base64", name);
    text = json_object_get(call, encoded);
    size_t size = json_string_length(text);
    char *bytes = json_is_string(text) ? memory_allocate(base64_decoded_maximum(size) + 1) : NULL;
    if (!bytes || base64_decode(json_string_value(text), size, bytes, length, &bad))
        return bytes;
    free(bytes);
    return NULL;
}

const char *calls_missing(const json_t *call)
{
    if (json_object_get(call, "unfinished"))
        return "it had no result when the recorded handler ended";
    if (json_object_get(call, "body_cut") || json_object_get(call, "stdout_cut") ||
        json_object_get(call, "stderr_cut"))
        return "its answer was too long to be recorded whole";
    return NULL;
}
