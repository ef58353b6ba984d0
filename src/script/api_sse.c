/* core.sse(): a reader of server-sent events; reader:feed(bytes) -> list of {event, data, id}. */
#include "base/memory.h"
#include "script/api.h"
#include "script/vm.h"
#include "script/vm_memory.h"
#include "wire/sse.h"

#include <stdlib.h>
#include <string.h>

#define READER_METATABLE "molecule.sse.reader"
#define EVENT_MAXIMUM ((size_t)16 << 20)

/* What one feed brought, until it is pushed: a push may raise, and the reader must not be left in
 * the middle. */
struct pending {
    struct pending *next;
    char *event, *data, *id;
    size_t data_length;
};

struct reader {
    struct sse_reader sse;
    struct pending *first, **end;
    size_t pending_bytes;
    size_t charged; /* of what it holds, to the state */
    bool failed;
};

static size_t size_of(const struct reader *reader)
{
    return reader->sse.line.capacity + reader->sse.data.capacity + reader->sse.event.capacity +
           reader->sse.id.capacity + reader->pending_bytes;
}

/* The state is charged with what the reader holds now. */
static void settle(lua_State *L, struct reader *reader)
{
    vm_recharge(vm_of(L), &reader->charged, size_of(reader));
}

static void keep(const struct sse_event *event, void *context)
{
    struct reader *reader = context;
    struct pending *pending = memory_allocate(sizeof *pending);
    pending->event = memory_copy_text(event->event);
    pending->data = memory_copy(event->data, event->data_length);
    pending->data_length = event->data_length;
    pending->id = memory_copy_text(event->id);
    *reader->end = pending;
    reader->end = &pending->next;
    reader->pending_bytes += sizeof *pending + pending->data_length;
}

static void drop_first(struct reader *reader)
{
    struct pending *pending = reader->first;
    reader->first = pending->next;
    reader->pending_bytes -= sizeof *pending + pending->data_length;
    if (!reader->first)
        reader->end = &reader->first;
    free(pending->event);
    free(pending->data);
    free(pending->id);
    free(pending);
}

static void push_event(lua_State *L, const struct pending *pending)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, pending->event);
    lua_setfield(L, -2, "event");
    lua_pushlstring(L, pending->data, pending->data_length);
    lua_setfield(L, -2, "data");
    if (pending->id) {
        lua_pushstring(L, pending->id);
        lua_setfield(L, -2, "id");
    }
}

static int reader_feed(lua_State *L)
{
    struct reader *reader = luaL_checkudata(L, 1, READER_METATABLE);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    /* buffers double; a whole line is copied into the data, and the data into an event */
    size_t growth = (memchr(bytes, '\n', length) ? 5 : 2) * length;
    vm_charge(L, growth);
    reader->failed = reader->failed || !sse_feed(&reader->sse, bytes, length);
    vm_uncharge(vm_of(L), growth);
    settle(L, reader);
    if (reader->failed)
        return luaL_error(L, "an event is larger than %d MiB", (int)(EVENT_MAXIMUM >> 20));
    lua_newtable(L);
    for (lua_Integer i = 1; reader->first; i++) {
        push_event(L, reader->first);
        lua_rawseti(L, -2, i);
        drop_first(reader);
    }
    settle(L, reader);
    return 1;
}

static int reader_collect(lua_State *L)
{
    struct reader *reader = luaL_checkudata(L, 1, READER_METATABLE);
    while (reader->first)
        drop_first(reader);
    sse_close(&reader->sse);
    settle(L, reader);
    return 0;
}

static int api_sse(lua_State *L)
{
    struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
    *reader = (struct reader){0};
    reader->end = &reader->first;
    sse_open(&reader->sse, EVENT_MAXIMUM, keep, reader);
    luaL_setmetatable(L, READER_METATABLE);
    return 1;
}

void api_sse_install(lua_State *L)
{
    luaL_newmetatable(L, READER_METATABLE);
    lua_pushcfunction(L, reader_collect);
    lua_setfield(L, -2, "__gc");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, reader_feed);
    lua_setfield(L, -2, "feed");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, api_sse);
    lua_setfield(L, -2, "sse");
}
