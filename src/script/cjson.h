/* What scripts get as "cjson" and "cjson.safe": the functions of lua-cjson, written for a host that
 * must not crash. lua-cjson's own encoder ends the process at 2 GiB and keeps its buffers where no
 * memory limit counts them; here everything is Lua's. Integers stay integers, as in lua-cjson's
 * later releases. */
#ifndef MOLECULE_SCRIPT_CJSON_H
#define MOLECULE_SCRIPT_CJSON_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#define CJSON_DEPTH_MAXIMUM 1000 /* of tables in tables; lua-cjson's own default */

enum cjson_invalid { CJSON_REFUSE, CJSON_ALLOW, CJSON_NULL };

struct cjson_settings {
    int encode_depth, decode_depth, precision;
    bool sparse_convert;
    int sparse_ratio, sparse_safe;
    enum cjson_invalid encode_invalid; /* nan and infinite numbers */
    bool decode_invalid, keep_buffer;
    bool empty_as_array, escape_slash;
};

/* Addresses, as light userdata and registry keys. */
extern const char cjson_empty_array, cjson_array_metatable;

/* These push one string or value made of the value at index 1, or raise. */
void cjson_encode(lua_State *L, const struct cjson_settings *settings);
void cjson_decode(lua_State *L, const struct cjson_settings *settings);

int luaopen_molecule_cjson(lua_State *L);
int luaopen_molecule_cjson_safe(lua_State *L);

#endif
