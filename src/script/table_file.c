#include "script/table_file.h"

#include "base/clock.h"
#include "base/memory.h"
#include "script/json.h"
#include "wire/jsonmemory.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_MAXIMUM ((size_t)256 << 20)
#define CPU_MAXIMUM_MS 5000
#define HOOK_INSTRUCTIONS 10000

struct reading {
    const struct table_file *file;
    const struct table_kind *kind;
    const char *path;
    char problem[512];
    json_t *root;
    size_t memory_used;
    int64_t started_cpu_ms;
};

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct reading *reading = context;
    size_t before = block ? old_size : 0;
    if (new_size > before && reading->memory_used + (new_size - before) > MEMORY_MAXIMUM)
        return NULL;
    void *moved = new_size > 0 ? malloc(new_size) : NULL;
    if (new_size > 0 && !moved)
        return NULL;
    if (moved && block)
        memcpy(moved, block, before < new_size ? before : new_size);
    if (block)
        explicit_bzero(block, before); /* it may be a token */
    free(block);
    reading->memory_used += new_size - before;
    return moved;
}

static void on_count(lua_State *L, lua_Debug *where)
{
    const struct reading *reading;
    lua_getallocf(L, (void **)&reading);
    if (clock_thread_cpu_ms() - reading->started_cpu_ms <= CPU_MAXIMUM_MS)
        return;
    lua_getinfo(L, "Sl", where);
    luaL_error(L, "%s:%d: the %s runs for more than %d s", where->short_src, where->currentline,
               reading->kind->name, CPU_MAXIMUM_MS / 1000);
}

/* Removes what could read or change anything but the environment, and what could escape the time
 * limit. */
static void open_libraries(lua_State *L)
{
    static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                         {LUA_TABLIBNAME, luaopen_table},
                                         {LUA_STRLIBNAME, luaopen_string},
                                         {LUA_MATHLIBNAME, luaopen_math}};
    static const char *const removed[] = {"dofile",         "loadfile", "load",   "print",
                                          "collectgarbage", "pcall",    "xpcall", "setmetatable"};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++) {
        lua_pushnil(L);
        lua_setglobal(L, removed[i]);
    }
    luaopen_os(L);
    lua_newtable(L);
    lua_getfield(L, -2, "getenv");
    lua_setfield(L, -2, "getenv");
    lua_setglobal(L, LUA_OSLIBNAME);
    lua_pop(L, 1);
}

static int run(lua_State *L)
{
    struct reading *reading = lua_touserdata(L, 1);
    open_libraries(L);
    const char *chunk = lua_pushfstring(L, "@%s", reading->path);
    if (luaL_loadbufferx(L, reading->file->text, strlen(reading->file->text), chunk, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1))
        return luaL_error(L, "%s returns %s%s; it must return a table: %s", reading->path,
                          lua_isnil(L, -1) ? "" : "a ", luaL_typename(L, -1), reading->kind->shape);
    char why[256];
    reading->root = json_take(L, -1, why, sizeof why, NULL);
    if (!reading->root)
        snprintf(reading->problem, sizeof reading->problem, "%s: %s", reading->path, why);
    return 0;
}

static void run_lua(struct reading *reading)
{
    lua_State *L = lua_newstate(allocate, reading);
    if (!L) {
        snprintf(reading->problem, sizeof reading->problem, "not enough memory for a Lua state");
        return;
    }
    reading->started_cpu_ms = clock_thread_cpu_ms();
    lua_sethook(L, on_count, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, reading);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
                                                             : "an error that is not a string";
        snprintf(reading->problem, sizeof reading->problem, "%s", message);
    }
    lua_close(L);
}

bool table_file_run(struct table_file *file, const struct table_kind *kind, const char *path,
                    char *text, size_t length, char *problem, size_t problem_size)
{
    *file = (struct table_file){.text = text};
    if (strlen(text) != length) {
        snprintf(problem, problem_size, "the %s %s is not text", kind->name, path);
        return false;
    }
    struct reading reading = {.file = file, .kind = kind, .path = path};
    run_lua(&reading);
    file->root = reading.root;
    if (!file->root)
        snprintf(problem, problem_size, "%s", reading.problem);
    return file->root != NULL;
}

void table_file_free(struct table_file *file)
{
    jsonmemory_wipe(file->root);
    memory_wipe(file->text);
    *file = (struct table_file){0};
}

static bool is_part_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static const char *find_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = text; length > 0 && (at = strstr(at, word)); at++)
        if ((at == text || !is_part_of_word(at[-1])) && !is_part_of_word(at[length]))
            return at;
    return NULL;
}

unsigned table_file_line(const struct table_file *file, const char *after, const char *word)
{
    const char *from = after ? find_word(file->text, after) : NULL;
    const char *place = find_word(from ? from + strlen(after) : file->text, word);
    place = place ? place : from ? from : file->text;
    unsigned line = 1;
    for (const char *at = file->text; at < place; at++)
        line += *at == '\n';
    return line;
}
