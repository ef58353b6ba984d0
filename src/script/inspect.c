#include "script/inspect.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "script/embedded.h"
#include "script/loader.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAXIMUM ((size_t)16 << 20) /* bytes of a script */

struct inspection {
    struct script_findings *findings;
    const char *path, *text, *load_problem;
    size_t length;
    bool is_fleet;
};

/* NULL: errno says why. Yours to free. */
static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *text = memory_resize(NULL, FILE_MAXIMUM);
    *length = fread(text, 1, FILE_MAXIMUM, file);
    bool failed = ferror(file) || *length == FILE_MAXIMUM;
    int error = ferror(file) ? errno : EFBIG;
    fclose(file);
    if (failed) {
        free(text);
        errno = error;
        return NULL;
    }
    text = memory_resize(text, *length + 1);
    text[*length] = '\0';
    return text;
}

/* (word, list of words) -> the nearest, or nil */
static int find_nearest(lua_State *L)
{
    struct nearest nearest = {.word = luaL_checkstring(L, 1)};
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TSTRING; i++)
        nearest_offer(&nearest, lua_tostring(L, -1)); /* the list holds it */
    lua_pushstring(L, nearest.best);
    return 1;
}

/* (path) -> text, or nil */
static int read_beside(lua_State *L)
{
    size_t length;
    char *text = read_file(luaL_checkstring(L, 1), &length);
    if (!text)
        return 0;
    lua_pushlstring(L, text, length);
    free(text);
    return 1;
}

static int open_core(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, find_nearest);
    lua_setfield(L, -2, "nearest");
    return 1;
}

static char *text_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    char *text = memory_copy_text(lua_tostring(L, -1));
    lua_pop(L, 1);
    return text;
}

static int number_field(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    int number = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return number;
}

/* The list on top. */
static void take_findings(lua_State *L, struct script_findings *findings)
{
    size_t count = lua_rawlen(L, -1);
    findings->list = memory_allocate((count + 1) * sizeof *findings->list);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        struct script_finding *finding = &findings->list[i];
        *finding = (struct script_finding){
            .path = text_field(L, "path"),
            .line = number_field(L, "line"),
            .column = number_field(L, "column"),
            .length = number_field(L, "length"),
            .source = text_field(L, "source"),
            .text = text_field(L, "text"),
        };
        lua_getfield(L, -1, "level");
        finding->error = strcmp(luaL_checkstring(L, -1), "error") == 0;
        findings->errors += finding->error;
        findings->count++;
        lua_pop(L, 2);
    }
}

/* Pushes a function of lua/molecule/check.lua. */
static void push_function(lua_State *L, const char *name)
{
    luaL_openlibs(L);
    loader_install(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open_core);
    lua_setfield(L, -2, "molecule.check.core");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "molecule.check");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, name);
}

static int inspect(lua_State *L)
{
    const struct inspection *inspection = lua_touserdata(L, 1);
    const struct embedded_file *types = embedded_find("molecule/types.lua");
    push_function(L, "run");
    lua_pushstring(L, inspection->path);
    lua_pushlstring(L, inspection->text, inspection->length);
    lua_pushlstring(L, (const char *)types->data, types->length);
    lua_pushcfunction(L, read_beside);
    lua_pushstring(L, inspection->load_problem);
    lua_call(L, 5, 1);
    take_findings(L, inspection->findings);
    return 0;
}

static int ask_for_fleet(lua_State *L)
{
    struct inspection *inspection = lua_touserdata(L, 1);
    push_function(L, "is_fleet");
    lua_pushlstring(L, inspection->text, inspection->length);
    lua_call(L, 1, 1);
    inspection->is_fleet = lua_toboolean(L, -1);
    return 0;
}

/* Reads the file and calls `step` with a light userdata, in a new state. */
static bool run(struct inspection *inspection, lua_CFunction step, char *problem,
                size_t problem_size)
{
    char *text = read_file(inspection->path, &inspection->length);
    lua_State *L = text ? luaL_newstate() : NULL;
    if (!L) {
        snprintf(problem, problem_size, "%s", strerror(text ? ENOMEM : errno));
        free(text);
        return false;
    }
    inspection->text = text;
    lua_pushcfunction(L, step);
    lua_pushlightuserdata(L, inspection);
    bool done = lua_pcall(L, 1, 0, 0) == LUA_OK;
    if (!done)
        snprintf(problem, problem_size, "it cannot be inspected: %s", lua_tostring(L, -1));
    lua_close(L);
    free(text);
    return done;
}

bool script_inspect(struct script_findings *findings, const char *path, const char *load_problem,
                    char *problem, size_t problem_size)
{
    *findings = (struct script_findings){0};
    struct inspection inspection = {
        .findings = findings, .path = path, .load_problem = load_problem};
    if (run(&inspection, inspect, problem, problem_size))
        return true;
    script_findings_free(findings);
    return false;
}

void script_findings_free(struct script_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->list[i].path);
        free(findings->list[i].source);
        free(findings->list[i].text);
    }
    free(findings->list);
    *findings = (struct script_findings){0};
}

bool script_is_fleet(const char *path)
{
    char problem[256]; /* script_inspect says it again */
    struct inspection inspection = {.path = path};
    return run(&inspection, ask_for_fleet, problem, sizeof problem) && inspection.is_fleet;
}
