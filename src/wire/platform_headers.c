#include "wire/platform_headers.h"

#include "base/memory.h"
#include "wire/platform.h"

#include <stdlib.h>
#include <string.h>

#define LINES_MAXIMUM 8

struct platform_headers {
    size_t owners;
    char *lines[LINES_MAXIMUM]; /* NULL-terminated; into `text` */
    char *text;
    size_t size, length; /* of text */
};

static void append(struct platform_headers *headers, const char *text, bool clean)
{
    for (; *text; text++)
        if (clean || ((unsigned char)*text >= 0x20 && *text != 0x7f))
            headers->text[headers->length++] = *text;
}

/* `name` includes the separator before the value. */
static void add(struct platform_headers *headers, size_t *count, const char *name,
                const char *value)
{
    if (!value || !*value)
        return;
    headers->lines[(*count)++] = headers->text + headers->length;
    append(headers, name, true);
    append(headers, value, false);
    headers->text[headers->length++] = '\0';
}

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

static struct platform_headers *build(const struct platform *platform, const char *token,
                                      const char *accept, const char *type, const char *boundary,
                                      const char *workspace_id)
{
    const struct {
        const char *name, *value;
    } each[] = {
        {"Authorization: Bearer ", token},
        {"Origin: ", platform->origin},
        {"Accept: ", accept},
        {"X-Molecule-Org-Id: ", platform->org_id},
        {"Content-Type: ", type},
        {"Content-Type: multipart/form-data; boundary=", boundary},
        {"X-Workspace-ID: ", workspace_id},
    };
    struct platform_headers *headers = memory_allocate(sizeof *headers);
    headers->owners = 1;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        headers->size += strlen(each[i].name) + length_of(each[i].value) + 1;
    headers->text = memory_allocate(headers->size);
    size_t count = 0;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        add(headers, &count, each[i].name, each[i].value);
    return headers;
}

static struct platform_headers *build_set(const struct platform *platform, const char *token,
                                          enum platform_header_set set)
{
    bool posts = set == PLATFORM_HEADERS_POST || set == PLATFORM_HEADERS_PEER;
    return build(platform, token,
                 set == PLATFORM_HEADERS_EVENTS ? "text/event-stream" : "application/json",
                 posts ? "application/json" : NULL, NULL,
                 set == PLATFORM_HEADERS_PEER ? platform->workspace_id : NULL);
}

static bool is_for(const struct platform_header_cache *cache, const char *token)
{
    return token && cache->token ? strcmp(token, cache->token) == 0 : token == cache->token;
}

struct platform_headers *platform_headers_take(const struct platform *platform, const char *token,
                                               enum platform_header_set set)
{
    struct platform_header_cache *cache = platform->headers;
    if (!is_for(cache, token)) {
        platform_headers_forget(cache);
        cache->token = memory_copy_text(token);
    }
    if (!cache->sets[set])
        cache->sets[set] = build_set(platform, token, set);
    cache->sets[set]->owners++;
    return cache->sets[set];
}

struct platform_headers *platform_headers_of_upload(const struct platform *platform,
                                                    const char *token, const char *boundary)
{
    return build(platform, token, "application/json", NULL, boundary, NULL);
}

char *const *platform_headers_lines(const struct platform_headers *headers)
{
    return headers->lines;
}

void platform_headers_release(struct platform_headers *headers)
{
    if (!headers || --headers->owners > 0)
        return;
    explicit_bzero(headers->text, headers->size); /* one of them holds the token */
    free(headers->text);
    free(headers);
}

void platform_headers_forget(struct platform_header_cache *cache)
{
    for (size_t i = 0; i < PLATFORM_HEADERS_SETS; i++) {
        platform_headers_release(cache->sets[i]);
        cache->sets[i] = NULL;
    }
    memory_wipe(cache->token);
    cache->token = NULL;
}
