/* core.base64_encode(bytes) -> text; core.base64_decode(text) -> bytes, or nil and what is wrong
 * with it. In Lua, a file would take many times its size. */
#include "base/base64.h"
#include "script/api.h"

static int api_base64_encode(lua_State *L)
{
    size_t length;
    const char *bytes = luaL_checklstring(L, 1, &length);
    luaL_Buffer text;
    size_t encoded = base64_encoded_length(length);
    base64_encode(bytes, length, luaL_buffinitsize(L, &text, encoded));
    luaL_pushresultsize(&text, encoded);
    return 1;
}

static int api_base64_decode(lua_State *L)
{
    size_t length, count, bad;
    const char *text = luaL_checklstring(L, 1, &length);
    luaL_Buffer bytes;
    if (base64_decode(text, length, luaL_buffinitsize(L, &bytes, base64_decoded_maximum(length)),
                      &count, &bad)) {
        luaL_pushresultsize(&bytes, count);
        return 1;
    }
    luaL_pushfail(L);
    if (bad < length)
        lua_pushfstring(L, "not base64 at byte %I of %I", (LUAI_UACINT)bad + 1,
                        (LUAI_UACINT)length);
    else
        lua_pushfstring(L, "base64 that ends too early, after %I bytes", (LUAI_UACINT)length);
    return 2;
}

void api_base64_install(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"base64_encode", api_base64_encode}, {"base64_decode", api_base64_decode}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
