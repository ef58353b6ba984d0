#include "script/api_errors.h"

#include "base/memory.h"
#include "script/handler.h"
#include "script/loader.h"
#include "script/vm.h"

#include <stdarg.h>
#include <stdlib.h>

static int raise_at_script(lua_State *L, const char *text)
{
    lua_Debug frame;
    for (int level = 0; lua_getstack(L, level, &frame); level++) {
        lua_getinfo(L, "Sl", &frame);
        if (frame.currentline > 0 && !loader_is_embedded(frame.source)) {
            lua_pushfstring(L, "%s:%d: %s", frame.short_src, frame.currentline, text);
            break;
        }
    }
    return lua_error(L);
}

int api_misuse(lua_State *L, const char *format, ...)
{
    struct handler *handler = vm_of(L)->running;
    va_list arguments;
    va_start(arguments, format);
    const char *text = lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    if (handler) {
        free(handler->misuse);
        handler->misuse = memory_copy_text(text);
    }
    return raise_at_script(L, text);
}

int api_raise(lua_State *L, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const char *text = lua_pushvfstring(L, format, arguments);
    va_end(arguments);
    return raise_at_script(L, text);
}

int api_refuse_quota(lua_State *L, const char *problem)
{
    luaL_pushfail(L);
    lua_pushstring(L, problem);
    lua_pushliteral(L, "QUOTA");
    return 3;
}
