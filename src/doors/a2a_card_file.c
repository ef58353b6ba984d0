/* The agent card [1.0 §8]: what an agent says of itself, for everybody, with what caches need. */
#include "doors/a2a_private.h"

#include "base/clock.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CACHE_CONTROL "public, max-age=300"

static const char *const paths[] = {"/.well-known/agent-card.json", "/.well-known/agent.json"};

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* --- what the script says --- */

/* X(member, the type that it must have) */
#define CARD_MEMBERS(X)                 \
    X("version", JSON_STRING)           \
    X("documentation_url", JSON_STRING) \
    X("icon_url", JSON_STRING)          \
    X("provider", JSON_OBJECT)          \
    X("input_modes", JSON_ARRAY)        \
    X("output_modes", JSON_ARRAY)       \
    X("extensions", JSON_ARRAY)         \
    X("form", JSON_STRING)              \
    X("extended", JSON_OBJECT)

static bool is_texts(const json_t *list)
{
    size_t i;
    json_t *text;
    json_array_foreach (list, i, text)
        if (!json_is_string(text))
            return false;
    return true;
}

static bool check_said(const json_t *said, char *problem, size_t problem_size)
{
    static const struct {
        const char *name;
        json_type type;
    } members[] = {
#define X(name, type) {name, type},
        CARD_MEMBERS(X)
#undef X
    };
    static const char *const words[] = {"a table", "a list", "a string"};
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)said, key, value) {
        size_t i = 0;
        while (i < sizeof members / sizeof *members && strcmp(members[i].name, key) != 0)
            i++;
        if (i == sizeof members / sizeof *members) {
            snprintf(problem, problem_size, "the agent's card has the unknown field '%s'", key);
            return false;
        }
        bool empty = json_is_array(value) && json_array_size(value) == 0 &&
                     members[i].type == JSON_OBJECT;
        if (json_typeof(value) != members[i].type && !empty) {
            snprintf(problem, problem_size, "the agent's card.%s must be %s", key,
                     words[members[i].type]);
            return false;
        }
    }
    if (!is_texts(json_object_get(said, "input_modes")) ||
        !is_texts(json_object_get(said, "output_modes"))) {
        snprintf(problem, problem_size,
                 "the agent's card.input_modes and output_modes are lists of media types");
        return false;
    }
    return true;
}

/* --- the file --- */

static void set_modified(struct a2a_agent *agent)
{
    char text[64];
    struct tm parts;
    time_t now = clock_wall_ms() / 1000;
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    free(agent->card_modified);
    agent->card_modified = memory_copy_text(text);
}

static void set_tag(struct a2a_agent *agent)
{
    struct sha256_ctx sha;
    uint8_t digest[8];
    sha256_init(&sha);
    sha256_update(&sha, strlen(agent->card_text), (const uint8_t *)agent->card_text);
    sha256_digest(&sha, sizeof digest, digest);
    char text[2 * sizeof digest + 1];
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    free(agent->card_tag);
    agent->card_tag = memory_join("\"", text, "\"");
}

/* The card of the public, and above it what only those with a token see. */
static void set_extended(struct a2a_agent *agent, const json_t *extended)
{
    static const char *const names[][2] = {{"description", "description"},
                                           {"skills", "skills"},
                                           {"documentation_url", "documentationUrl"}};
    json_decref(agent->extended);
    agent->extended = NULL;
    if (!json_is_object(extended))
        return;
    agent->extended = json_copy(agent->card);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *value = json_object_get(extended, names[i][0]);
        if (value)
            json_object_set(agent->extended, names[i][1], value);
    }
}

json_t *a2a_card_of(const struct a2a_card_words *words, bool only_1_0, bool bearer, char *problem,
                    size_t problem_size)
{
    const json_t *said = words->said, *provider = json_object_get(said, "provider");
    const char *version = text_of(said, "version"), *form = text_of(said, "form");
    if (said && !check_said(said, problem, problem_size))
        return NULL;
    if (form && strcmp(form, "1.0") != 0 && strcmp(form, "all") != 0) {
        snprintf(problem, problem_size, "the agent's card.form is \"all\" or \"1.0\"");
        return NULL;
    }
    struct a2a_card card = {
        .url = words->url,
        .name = words->name,
        .description = words->description,
        .version = version ? version : MOLECULE_VERSION,
        .documentation_url = text_of(said, "documentation_url"),
        .icon_url = text_of(said, "icon_url"),
        .provider = json_is_object(provider) ? provider : NULL,
        .skills = words->skills,
        .input_modes = json_object_get(said, "input_modes"),
        .output_modes = json_object_get(said, "output_modes"),
        .extensions = json_object_get(said, "extensions"),
        .only_1_0 = only_1_0 || (form && strcmp(form, "1.0") == 0),
        .streaming = true,
        .push_notifications = true,
        .extended = json_is_object(json_object_get(said, "extended")),
        .bearer = bearer,
    };
    return a2a_card_build(&card);
}

bool a2a_agent_describe(struct a2a_agent *agent, const char *name, const char *description,
                        const json_t *skills, const json_t *said, char *problem,
                        size_t problem_size)
{
    char *url = a2a_agent_url(agent);
    const struct a2a_card_words words = {url, name, description, skills, said};
    json_t *built = a2a_card_of(&words, agent->server->only_1_0,
                                principals_ask(agent->server->principals), problem, problem_size);
    free(url);
    if (!built)
        return false;
    bool changed = !agent->card || !json_equal(agent->card, built);
    json_decref(agent->card);
    agent->card = built;
    free(agent->card_text);
    agent->card_text = jsontext_print(built);
    if (changed) {
        set_tag(agent);
        set_modified(agent);
    }
    set_extended(agent, json_object_get(said, "extended"));
    return true;
}

/* --- its answer --- */

static bool is_known(const struct http_request *http, const struct a2a_agent *agent)
{
    const char *tags = http_request_header(http, "If-None-Match"),
               *since = http_request_header(http, "If-Modified-Since");
    if (tags)
        return strcmp(tags, "*") == 0 || strstr(tags, agent->card_tag);
    return since && strcmp(since, agent->card_modified) == 0;
}

bool a2a_answer_card(struct a2a_server *server, struct http_request *http,
                     const struct a2a_agent *agent, const char *path)
{
    if (strcmp(path, paths[0]) != 0 && strcmp(path, paths[1]) != 0)
        return false;
    const char *method = http_request_method(http);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        struct http_header allow = {"Allow", "GET, HEAD"};
        a2a_tell(server, agent, http, &(struct a2a_told){.status = 405});
        http_request_answer(
            http, &(struct http_answer){.status = 405, .headers = &allow, .header_count = 1});
        return true;
    }
    struct http_header headers[] = {{"Content-Type", "application/json"},
                                    {"Cache-Control", CACHE_CONTROL},
                                    {"ETag", agent->card_tag},
                                    {"Last-Modified", agent->card_modified}};
    struct http_answer answer = {.status = 304, .headers = headers + 1, .header_count = 3};
    if (!agent->card) {
        answer = (struct http_answer){.status = 503};
    } else if (!is_known(http, agent)) {
        answer.status = 200;
        answer.headers = headers;
        answer.header_count = 4;
        answer.body = agent->card_text;
        answer.length = strlen(agent->card_text);
    }
    a2a_tell(server, agent, http,
             &(struct a2a_told){answer.status, answer.body, answer.length, .began_ms = 0});
    http_request_answer(http, &answer);
    return true;
}

/* --- extensions --- */

static bool is_named(const char *header, const char *uri)
{
    size_t length = strlen(uri);
    for (const char *at = header; at && *at;) {
        at += strspn(at, " ,\t");
        size_t word = strcspn(at, ", \t");
        if (word == length && strncmp(at, uri, length) == 0)
            return true;
        at += word;
    }
    return false;
}

char *a2a_extensions(const struct a2a_agent *agent, const char *header, const char **missing)
{
    size_t i;
    json_t *extension;
    char *named = NULL;
    const json_t *all = json_object_get(json_object_get(agent->card, "capabilities"), "extensions");
    *missing = NULL;
    json_array_foreach (all, i, extension) {
        const char *uri = text_of(extension, "uri");
        if (uri && is_named(header, uri)) {
            char *longer = named ? memory_join(named, ", ", uri) : memory_copy_text(uri);
            free(named);
            named = longer;
        } else if (uri && json_is_true(json_object_get(extension, "required"))) {
            *missing = uri;
        }
    }
    return named;
}
