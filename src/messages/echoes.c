#include "messages/echoes.h"

#include "base/hash.h"
#include "base/memory.h"
#include "wire/jsontext.h"
#include "wire/slice.h"

#include <jansson.h>
#include <stdlib.h>

static void note_told(struct echoes *echoes, const char *text)
{
    if (echoes->count == ECHOES_MAXIMUM)
        echoes->overflowed = true;
    if (echoes->overflowed)
        return;
    if (echoes->count == echoes->capacity) {
        echoes->capacity = echoes->capacity ? echoes->capacity * 2 : 16;
        echoes->told = memory_resize(echoes->told, echoes->capacity * sizeof *echoes->told);
    }
    echoes->told[echoes->count++] = hash_text(text);
}

void echoes_told_body(struct echoes *echoes, const char *body, size_t length)
{
    struct page_row value, object = {.bytes = body, .length = length};
    if (!page_member(object, "message", &value))
        return;
    if (slice_is_string(value) && slice_sound(value)) {
        char *told = slice_text(value, &length);
        note_told(echoes, told);
        free(told);
        return;
    }
    json_t *text = jsontext_read(value.bytes, value.length, NULL, NULL);
    if (json_is_string(text))
        note_told(echoes, json_string_value(text));
    json_decref(text);
}

bool echoes_take(struct echoes *echoes, const char *text)
{
    uint64_t key = hash_text(text);
    for (size_t i = 0; i < echoes->count; i++)
        if (echoes->told[i] == key) {
            echoes->told[i] = echoes->told[--echoes->count];
            return true;
        }
    return echoes->overflowed;
}

bool echoes_say(struct echoes *echoes, int64_t now_ms)
{
    if (echoes->said_ms && now_ms - echoes->said_ms < ECHOES_SAY_EVERY_MS)
        return false;
    echoes->said_ms = now_ms ? now_ms : 1;
    return true;
}

void echoes_free(struct echoes *echoes)
{
    free(echoes->told);
    *echoes = (struct echoes){0};
}
