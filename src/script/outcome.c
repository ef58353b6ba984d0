#include "script/outcome.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "script/json.h"
#include "script/json_state.h"
#include "wire/artifacts.h"
#include "wire/parts_plain.h"
#include "wire/served.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALLOWED                                                                     \
    "a string, {text=…}, {parts={…}}, nil, molecule.skip(), molecule.retry{}, " \
    "molecule.reject() or molecule.dead()"
#define RETRY_AFTER_MAXIMUM_S (366.0 * 86400)

const char outcome_verdict_key;

void outcome_fail(struct script_outcome *outcome, enum script_limit limit, char *reason,
                  char *traceback)
{
    script_outcome_free(outcome);
    outcome->kind = SCRIPT_FAILED;
    outcome->limit = limit;
    outcome->reason = reason;
    outcome->traceback = traceback;
}

static void set_text(lua_State *L, const char *key, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, key);
}

/* A value of the message's, from its tree or in place. */
static void set_json(lua_State *L, const char *key, const json_t *value, struct page_row plain)
{
    if (plain.bytes)
        json_push_slice(L, plain);
    else if (value)
        json_push(L, value);
    else
        return;
    lua_setfield(L, -2, key);
}

/* … a list, which is empty where there is none. */
static void set_list(lua_State *L, const char *key, const json_t *value, struct page_row plain)
{
    if (value || plain.bytes) {
        set_json(L, key, value, plain);
        return;
    }
    lua_newtable(L);
    json_push_array_metatable(L);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, key);
}

/* What parts_files makes a tree of. */
static void push_files(lua_State *L, struct page_row parts)
{
    struct page_row item, text, values[PARTS_FILE_NAMES];
    const char *at = NULL;
    lua_Integer count = 0;
    lua_newtable(L);
    json_push_array_metatable(L);
    lua_setmetatable(L, -2);
    while (slice_item(parts, &at, &item)) {
        if (parts_plain_look(item, &text) != PARTS_PLAIN_FILE)
            continue;
        parts_plain_file(item, values);
        lua_createtable(L, 0, PARTS_FILE_NAMES);
        for (size_t i = 0; i < PARTS_FILE_NAMES; i++) {
            if (!values[i].bytes)
                continue;
            json_push_slice(L, values[i]);
            lua_setfield(L, -2, parts_file_names[i]);
        }
        lua_rawseti(L, -2, ++count);
    }
}

/* The inner members over the outer ones; none is no metadata. */
static void set_metadata(lua_State *L, const struct message_plain *plain)
{
    if (!plain->outer.bytes && !plain->inner.bytes)
        return;
    luaL_checkstack(L, JSON_STACK_NEEDED, "JSON nested too deeply");
    lua_newtable(L);
    if (plain->outer.bytes)
        json_add_members(L, plain->outer, "history");
    if (plain->inner.bytes)
        json_add_members(L, plain->inner, NULL);
    lua_pushnil(L);
    if (lua_next(L, -2)) {
        lua_pop(L, 2);
        lua_setfield(L, -2, "metadata");
    } else {
        lua_pop(L, 1);
    }
}

void message_push(lua_State *L, const struct message *message)
{
    lua_createtable(L, 0, 18);
    set_text(L, "id", message->row_id);
    set_text(L, "message_id", message->message_id);
    lua_pushlstring(L, message->text, message->text_length);
    lua_setfield(L, -2, "text");
    set_text(L, "from", message->source_id ? message->source_id : "canvas");
    set_text(L, "conversation", message->conversation);
    set_text(L, "context_id", message->context_id);
    set_text(L, "task_id", message->task_id);
    if (message->served && !served_pushed(message)) {
        set_text(L, "principal", message->source_id);
        lua_createtable(L, 0, 2);
        set_text(L, "id", served_task_id(message));
        set_text(L, "context_id", message->context_id);
        lua_setfield(L, -2, "task");
    }
    set_text(L, "method", message->method);
    set_text(L, "in_reply_to", message->in_reply_to);
    set_text(L, "created_at", message->created_at);
    if (message->source_id) {
        lua_createtable(L, 0, 3);
        set_text(L, "id", message->source_id);
        set_text(L, "name", message->peer_name);
        set_text(L, "role", message->peer_role);
        lua_setfield(L, -2, "peer");
    }
    static const struct page_row none = {NULL, 0};
    set_list(L, "parts", message->parts, message->plain.parts);
    if (message->plain.files) {
        push_files(L, message->plain.parts);
        lua_setfield(L, -2, "files");
    } else {
        set_list(L, "files", message->files, none);
    }
    set_json(L, "metadata", message->metadata, none);
    set_metadata(L, &message->plain);
    set_json(L, "history", message->history, message->plain.history);
    lua_pushlstring(L, message->raw, message->raw_length);
    lua_setfield(L, -2, "raw");
}

static char *copy_string(lua_State *L, int index, size_t *length)
{
    /* already a string: no conversion, nothing raised */
    const char *text = lua_tolstring(L, index, length);
    return memory_copy(text, *length);
}

/* A raw field of the table at `index`; pushes it and returns its type. */
static int raw_field(lua_State *L, int index, const char *key)
{
    index = lua_absindex(L, index);
    /* lua_pushstring could run out of memory and raise, so look through the table instead: these
     * are small */
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), key) == 0) {
            lua_remove(L, -2);
            return lua_type(L, -1);
        }
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    return LUA_TNIL;
}

static void wrong_type(struct script_outcome *outcome, char *what)
{
    outcome_fail(outcome, SCRIPT_LIMIT_NONE,
                 memory_format("the handler returned %s; allowed are " ALLOWED, what), NULL);
    outcome->hopeless = true; /* another run would repeat what it has done, and fail the same way */
    free(what);
}

static enum script_outcome_kind verdict_kind(const char *kind)
{
    return strcmp(kind, "retry") == 0    ? SCRIPT_RETRY
           : strcmp(kind, "dead") == 0   ? SCRIPT_DEAD
           : strcmp(kind, "reject") == 0 ? SCRIPT_REJECTED
           : strcmp(kind, "failed") == 0 ? SCRIPT_FAILED
                                         : SCRIPT_SKIPPED;
}

/* molecule.skip, retry, reject and dead: {kind=…, reason=…, after=…, hold=…} with our metatable
 * (lua/molecule/init.lua); and of the backends (lua/molecule/backend.lua) "failed": an error that
 * the next attempt would only repeat. */
static void read_verdict(lua_State *L, int index, struct script_outcome *outcome)
{
    size_t length;
    raw_field(L, index, "kind");
    outcome->kind = verdict_kind(lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
    outcome->hopeless = outcome->kind == SCRIPT_FAILED;
    lua_pop(L, 1);
    if (raw_field(L, index, "reason") == LUA_TSTRING)
        outcome->reason = copy_string(L, -1, &length);
    lua_pop(L, 1);
    if (raw_field(L, index, "after") == LUA_TNUMBER) {
        double after = lua_tonumber(L, -1);
        if (after >= 0 && after <= RETRY_AFTER_MAXIMUM_S)
            outcome->retry_after_ms = (int64_t)(after * 1000);
    }
    lua_pop(L, 1);
    raw_field(L, index, "hold");
    outcome->hold = lua_toboolean(L, -1);
    lua_pop(L, 1);
}

static bool is_empty(const json_t *value)
{
    return json_is_array(value) ? json_array_size(value) == 0
                                : json_is_object(value) && json_object_size(value) == 0;
}

/* The list on top of the stack; an empty one counts as none. false: it cannot be sent, and the
 * outcome says so. */
static bool take_parts(lua_State *L, struct script_outcome *outcome)
{
    char problem[512];
    outcome->reply.plain_parts = json_write_parts(L, -1, &outcome->reply.plain_text);
    if (outcome->reply.plain_parts)
        return true;
    json_t *parts = json_take(L, -1, problem, sizeof problem, NULL);
    if (parts && is_empty(parts)) {
        json_decref(parts);
        return true;
    }
    outcome->reply.parts = parts;
    if (json_is_array(parts))
        return true;
    wrong_type(outcome, parts ? memory_copy_text("a table whose `parts` is not a list")
                              : memory_format("`parts` that cannot be sent: %s", problem));
    return false;
}

/* true: a field of the table is nearly one that a reply has, and the outcome says so. */
static bool has_mistyped(lua_State *L, int index, struct script_outcome *outcome)
{
    static const char *const known[] = {"text", "parts", "files", "artifacts", "as_message"};
    bool found = false;
    lua_pushnil(L);
    while (!found && lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            continue;
        struct nearest nearest = {.word = lua_tostring(L, -1)};
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            nearest_offer(&nearest, known[i]);
        found = nearest.best && nearest.distance > 0;
        if (found)
            wrong_type(outcome,
                       memory_format("a table with the unknown field '%s' (did you mean '%s'?)",
                                     nearest.word, nearest.best));
    }
    lua_settop(L, lua_gettop(L) - (found ? 1 : 0));
    return found;
}

/* The list of artifacts on top of the stack. false: it cannot be sent, and the outcome says so. */
static bool take_artifacts(lua_State *L, struct script_outcome *outcome)
{
    char problem[512];
    json_t *artifacts = json_take(L, -1, problem, sizeof problem, NULL);
    if (artifacts && is_empty(artifacts)) {
        json_decref(artifacts);
        return true;
    }
    if (artifacts && artifacts_take(artifacts, &outcome->reply.artifacts, problem, sizeof problem))
        return true;
    wrong_type(outcome, memory_format("`artifacts` that cannot be sent: %s", problem));
    return false;
}

/* What only a task of an A2A client tells apart; pushes nothing. */
static bool read_task_fields(lua_State *L, int index, struct script_outcome *outcome)
{
    bool taken = true;
    int type = raw_field(L, index, "artifacts");
    if (type == LUA_TTABLE)
        taken = take_artifacts(L, outcome);
    else if (type != LUA_TNIL)
        wrong_type(outcome,
                   memory_format("a table whose `artifacts` is a %s", lua_typename(L, type)));
    lua_pop(L, 1);
    raw_field(L, index, "as_message");
    outcome->reply.as_message = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return taken && (type == LUA_TTABLE || type == LUA_TNIL);
}

static void read_reply(lua_State *L, int index, struct script_outcome *outcome)
{
    int text_type = raw_field(L, index, "text");
    if (text_type == LUA_TSTRING)
        outcome->reply.text = copy_string(L, -1, &outcome->reply.text_length);
    lua_pop(L, 1);
    if (text_type != LUA_TSTRING && text_type != LUA_TNIL) {
        wrong_type(outcome,
                   memory_format("a table whose `text` is a %s", lua_typename(L, text_type)));
        return;
    }
    int parts_type = raw_field(L, index, "parts");
    bool taken = parts_type != LUA_TTABLE || take_parts(L, outcome);
    lua_pop(L, 1);
    if (!taken)
        return;
    if (parts_type != LUA_TTABLE && parts_type != LUA_TNIL) {
        wrong_type(outcome,
                   memory_format("a table whose `parts` is a %s", lua_typename(L, parts_type)));
        return;
    }
    if (!read_task_fields(L, index, outcome) || has_mistyped(L, index, outcome))
        return;
    bool has_artifacts = raw_field(L, index, "artifacts") == LUA_TTABLE;
    lua_pop(L, 1);
    if (text_type == LUA_TNIL && parts_type == LUA_TNIL && !has_artifacts) {
        wrong_type(outcome, memory_copy_text("a table without `text` or `parts`"));
        return;
    }
    bool replies = outcome->reply.artifacts || outcome->reply.parts || outcome->reply.plain_parts ||
                   outcome->reply.text_length > 0;
    outcome->kind = replies ? SCRIPT_REPLIED : SCRIPT_NO_REPLY;
}

bool outcome_is_verdict(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &outcome_verdict_key);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

void outcome_read(lua_State *L, int first, struct script_outcome *outcome)
{
    script_outcome_free(outcome);
    if (!lua_checkstack(L, 10)) {
        outcome_fail(outcome, SCRIPT_LIMIT_MEMORY,
                     memory_copy_text("no memory to read what the handler returned"), NULL);
        return;
    }
    switch (lua_type(L, first)) {
    case LUA_TNONE:
    case LUA_TNIL:
        /* `return nil, "why"`: Lua's way to report a failure, passed on from a call that failed */
        if (lua_type(L, first + 1) == LUA_TSTRING) {
            size_t length;
            outcome_fail(outcome, SCRIPT_LIMIT_NONE, copy_string(L, first + 1, &length), NULL);
            return;
        }
        outcome->kind = SCRIPT_NO_REPLY;
        return;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, first)) { /* "done", as passed on from os.execute */
            outcome->kind = SCRIPT_NO_REPLY;
            return;
        }
        wrong_type(outcome, memory_copy_text("false"));
        return;
    case LUA_TSTRING:
        outcome->reply.text = copy_string(L, first, &outcome->reply.text_length);
        outcome->kind = outcome->reply.text_length > 0 ? SCRIPT_REPLIED : SCRIPT_NO_REPLY;
        return;
    case LUA_TTABLE:
        if (outcome_is_verdict(L, first))
            read_verdict(L, first, outcome);
        else
            read_reply(L, first, outcome);
        return;
    default: wrong_type(outcome, memory_format("a %s", luaL_typename(L, first)));
    }
}

char *outcome_describe(const struct script_outcome *outcome)
{
    return memory_format("%s%s%s", outcome->reason ? outcome->reason : "it failed",
                         outcome->traceback ? "\n" : "",
                         outcome->traceback ? outcome->traceback : "");
}
