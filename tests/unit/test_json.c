/* JSON <-> Lua, seen from Lua: each case is a chunk that has to return true. */
#include "script/json.h"

#include "base/memory.h"
#include "wire/jsonmemory.h"
#include "wire/reply.h"

#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static lua_State *open_state(void)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "json", luaopen_molecule_json, 1);
    lua_pop(L, 1);
    return L;
}

static void check(const char *chunk)
{
    lua_State *L = open_state();
    bool fine = luaL_dostring(L, chunk) == LUA_OK && lua_toboolean(L, -1);
    if (!fine)
        print_error("%s\n  -> %s\n", chunk, luaL_tolstring(L, -1, NULL));
    lua_close(L);
    assert_true(fine);
}

static void test_texts_that_nobody_else_has_are_overwritten(void **state)
{
    (void)state;
    json_t *shared = json_string("shared"), *inner = json_array(), *whole = json_object();
    json_array_append(inner, shared);
    json_array_append_new(inner, json_string("alone"));
    json_object_set(whole, "inner", inner);
    jsonmemory_wipe(whole); /* the array has another owner, and so have its texts */
    assert_string_equal(json_string_value(json_array_get(inner, 1)), "alone");
    whole = json_object();
    json_object_set_new(whole, "inner", inner);
    jsonmemory_wipe(whole);
    assert_string_equal(json_string_value(shared), "shared");
    jsonmemory_wipe(shared);
    jsonmemory_wipe(NULL);
}

static char *freed;       /* the block that is watched */
static char found_at_end; /* its first byte when it was freed */

static void free_watched(void *block)
{
    if (block && (char *)block == freed)
        found_at_end = *freed;
    free(block);
}

static void test_a_secret_is_gone_before_its_memory_is_free(void **state)
{
    (void)state;
    json_malloc_t take;
    json_free_t give_back;
    json_get_alloc_funcs(&take, &give_back);
    json_set_alloc_funcs(malloc, free_watched);
    json_t *value = json_pack("{s:[s]}", "tokens", "a secret");
    freed = (char *)json_string_value(json_array_get(json_object_get(value, "tokens"), 0));
    found_at_end = 'x';
    jsonmemory_wipe(value);
    json_set_alloc_funcs(take, give_back);
    assert_int_equal(found_at_end, '\0');
}

static void test_numbers_keep_their_kind(void **state)
{
    (void)state;
    check("local v = json.decode '[1, 1.0, 9007199254740993, -9223372036854775808]'"
          "return math.type(v[1]) == 'integer' and math.type(v[2]) == 'float' and v[3] == "
          "9007199254740993"
          " and json.encode(v) == '[1,1.0,9007199254740993,-9223372036854775808]'");
}

static void test_empty_lists_and_objects_stay_apart(void **state)
{
    (void)state;
    check("return json.encode(json.decode '{\"a\":[],\"b\":{}}', {sort = true}) == "
          "'{\"a\":[],\"b\":{}}'");
    check("return json.encode({}) == '{}' and json.encode(json.array {}) == '[]' and "
          "json.encode(json.array()) == '[]'");
}

static void test_null_is_a_value(void **state)
{
    (void)state;
    check("local v = json.decode '[null, {\"a\":null}]' return v[1] == json.null and v[2].a == "
          "json.null"
          " and json.encode(v) == '[null,{\"a\":null}]' and json.encode(nil) == 'null'");
}

static void test_any_value_is_a_document(void **state)
{
    (void)state;
    check("return json.decode '\"x\"' == 'x' and json.decode '5' == 5 and json.decode 'true' == "
          "true");
    check("return json.encode 'a\\0b' == '\"a\\\\u0000b\"' and json.decode '\"a\\\\u0000b\"' == "
          "'a\\0b'");
}

static void test_errors_are_values_with_a_place(void **state)
{
    (void)state;
    check("local v, m, c = json.decode '{\"a\":' return v == nil and m:find 'line 1' and c == "
          "'JSON'");
    check("local v, m, c = json.encode {parts = {{}, {data = print}}}"
          "return v == nil and m == 'parts[2].data: a function cannot be JSON' and c == 'JSON'");
    check("local v, m = json.encode(print) return m == 'a function cannot be JSON'");
    check("local v, m = json.encode {1, 2, x = 3} return m == 'a table with both list and named "
          "members cannot be JSON'");
    check(
        "local v, m = json.encode {a = {[1] = 1, [3] = 3}} return m:find '^a: a list with holes'");
    check("local v, m = json.encode {a = 0/0} return m:find '^a: .*nan'");
    check("local v, m = json.encode {1, math.huge} return m:find '^%[2%]: an infinite'");
    check("local v, m = json.encode {['a\\0'] = 1} return m:find 'NUL'");
    check("local v, m = json.encode {[1.5] = 1} return m:find 'both list and named'");
    check("local v, m = json.encode {io.stdout} return m:find '^%[1%]: a userdata'");
}

static void test_cycles_and_depth_are_bounded(void **state)
{
    (void)state;
    check("local t = {} t.a = {b = {t}} local v, m = json.encode(t) return m == 'a.b[1]: a table "
          "that contains itself cannot "
          "be JSON'");
    check("local s = {} local v = json.encode {s, s} return v == '[{},{}]'");
    check("local t = {} for _ = 1, 300 do t = {t} end local v, m = json.encode(t) return m:find "
          "'200 tables deep'");
    check("local t = {} for _ = 1, 199 do t = {t} end return json.encode(t) ~= nil");
    check("return json.decode(('['):rep(5000)) == nil");
}

static void test_bad_text_is_repaired(void **state)
{
    (void)state;
    check("return json.encode {'a\\255b'} == '[\"a\\u{FFFD}b\"]' and json.encode {['\\xC3'] = 1} "
          "== '{\"\\u{FFFD}\":1}'");
    check("return json.encode '\\xED\\xA0\\x80' == '\"\\u{FFFD}\\u{FFFD}\\u{FFFD}\"' and "
          "json.encode 'é€😀' == '\"é€😀\"'");
    check("return json.encode '\\xF0\\x9F\\x98' == '\"\\u{FFFD}\\u{FFFD}\\u{FFFD}\"' and "
          "json.encode '\\xC0\\x80' == "
          "'\"\\u{FFFD}\\u{FFFD}\"'");
}

static void test_text_that_models_emit_is_read_with_its_broken_characters_mended(void **state)
{
    (void)state;
    check("return json.decode [[\"a\\ud83d b\"]] == 'a\\u{FFFD} b' and json.decode "
          "'{\"a\":\"\\xff\"}'.a == '\\u{FFFD}'");
    check("return json.decode '[\"two\\nlines\"]'[1] == 'two\\nlines'");
    check("local v, m, c = json.decode('[\"\\xff\"]', {strict = true}) return v == nil and m:find "
          "'line 1' and c == 'JSON'");
    check("return json.decode('[1]', {strict = true})[1] == 1 and not pcall(json.decode, '1', 1)");
    check("local v, m, c = json.decode [[{\"a\": \"\\ud83d\", ]] return v == nil and m:find 'line "
          "1' and c == 'JSON'");
}

static void test_no_key_swallows_another(void **state)
{
    (void)state;
    check("local v, m, c = json.encode {a = {['\\xff'] = 1, ['\\xfe'] = 2}}"
          "return v == nil and m == 'a.\\u{FFFD}: two keys would become this one' and c == 'JSON'");
    check("local v, m = json.encode {['\\xff'] = 1, ['\\u{FFFD}'] = 2} return v == nil and m:find "
          "'two keys'");
    check("return json.encode {['\\xff'] = 1, a = {['\\xff'] = 1}} ~= nil");
}

static void test_layout_is_chosen(void **state)
{
    (void)state;
    check("return json.encode({b = 1, a = {2}}, {indent = 2, sort = true}) == '{\\n  \"a\": [\\n   "
          " 2\\n  ],\\n  \"b\": 1\\n}'");
    check("return not pcall(json.encode, 1, {indent = 99})");
}

/* What json_take must survive: a metatable that raises is never asked. */
static void test_metamethods_are_not_run(void **state)
{
    (void)state;
    check("local t = setmetatable({x = 1}, {__index = error, __pairs = error, __len = error})"
          "return json.encode(t) == '{\"x\":1}'");
}

struct quota {
    size_t left;
};

static void *meter(void *context, void *block, size_t old_size, size_t size)
{
    struct quota *quota = context;
    if (size == 0) {
        free(block);
        return NULL;
    }
    if ((!block || size > old_size) && quota->left-- == 0) {
        quota->left = 0;
        return NULL;
    }
    return realloc(block, size);
}

static int round_trip(lua_State *L)
{
    luaL_requiref(L, "json", luaopen_molecule_json, 1);
    if (luaL_dostring(
            L, "return json.encode(json.decode '{\"a\":[1,2,{\"b\":\"text\"}],\"c\":null}')") !=
        LUA_OK)
        return lua_error(L);
    return 1;
}

/* Every allocation of Lua fails once; under ASan a leaked json_t shows. */
static void test_no_memory_raises_and_leaks_nothing(void **state)
{
    (void)state;
    bool done = false;
    for (size_t allowed = 0; !done && allowed < 5000; allowed++) {
        struct quota quota = {allowed};
        lua_State *L = lua_newstate(meter, &quota);
        if (!L)
            continue;
        lua_pushcfunction(L, round_trip);
        done = lua_pcall(L, 0, 0, 0) == LUA_OK;
        quota.left = SIZE_MAX;
        lua_close(L);
    }
    assert_true(done);
}

static void push_both_ways(lua_State *L, const char *text)
{
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    struct page_row slice = {text, strlen(text)};
    assert_true(slice_sound(slice));
    json_push(L, value);
    lua_setglobal(L, "one");
    json_push_slice(L, slice);
    lua_setglobal(L, "other");
    json_decref(value);
}

static void test_a_text_read_in_place_is_the_same_value(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]",
        "{}",
        "[ 1 , [ ] , { } , null , true , false , -0 , 1.0 , 1E+5 ]",
        "[1,2,3,4,5,6,7,8]",
        "[1,2,3,4,5,6,7,8,9,10,[11,12,13,14,15,16,17,18,19]]",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":[],\"a\":0}",
        "{\"a\":[1],\"a\":{\"b\":\"last\"},\"\":\" { [ , : ] } \"}",
        "[\"\\u0000\\ud83d\\ude00\\\\\\\"\\/\\b\\f\\n\\r\\t\\u00e9\\u20ac\",\"\xe2\x82\xac\",\"\"]",
        "[-123456789012345678,999999999999999999,0.1,2.2250738585072014e-30]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_State *L = open_state();
        push_both_ways(L, texts[i]);
        if (luaL_dostring(L, "local options = {sort = true} "
                             "return json.encode(one, options) == json.encode(other, options)") !=
                LUA_OK ||
            !lua_toboolean(L, -1))
            fail_msg("%s is not the same", texts[i]);
        lua_close(L);
    }
}

/* The reply on top of the stack, a table with parts and perhaps a text, as a body. NULL: `problem`.
 */
static char *build_body(lua_State *L, const struct message *message, bool plainly, char *problem)
{
    struct reply reply = {0};
    struct reply_request request;
    if (lua_getfield(L, -1, "text") == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &reply.text_length);
        reply.text = memory_copy(text, reply.text_length);
    }
    lua_pop(L, 1);
    lua_getfield(L, -1, "parts");
    if (plainly)
        reply.plain_parts = json_write_parts(L, -1, &reply.plain_text);
    else
        reply.parts = json_take(L, -1, problem, 256, NULL);
    lua_pop(L, 1);
    char *body = NULL;
    if ((reply.plain_parts || reply.parts) &&
        reply_build(message, &reply, "/reply", &request, problem, 256)) {
        body = memory_copy(request.body, request.body_length);
        reply_request_free(&request);
    }
    reply_free(&reply);
    return body;
}

/* Both ways make the same of the reply that the chunk returns. true: it was written directly. */
static bool builds_alike(lua_State *L, const struct message *message)
{
    char problem[256] = "";
    char *expected = build_body(L, message, false, problem);
    char *body = build_body(L, message, true, problem);
    bool direct = body != NULL;
    if (direct && (!expected || strcmp(body, expected) != 0))
        fail_msg("%s\nis not\n%s (%s)", body, expected ? expected : "refused", problem);
    free(body);
    free(expected);
    return direct;
}

static void test_parts_written_directly_are_the_same_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *chunk;
        bool direct;
    } cases[] = {
        {"{parts = {{kind = 'text', text = 'a\\n\\t\\1\\127\\\"\\\\/é'}}}", true},
        {"{text = 'first', parts = {{kind = 'data', data = {1, 2.5, 1e300, 0.1, -0.0, 1/3}}}}",
         true},
        {"{text = 'no', parts = {{kind = 'text', text = 'yes'}, {kind = 'data', data = {}}}}",
         true},
        {"{text = 'tab\\t', parts = {{kind = 'data', data = json.array {}, a = json.null}}}", true},
        {"{text = '\\0', parts = {{kind = 'data', data = true}}}", true},
        {"{text = '\\xff', parts = {{kind = 'data', data = {x = {y = math.mininteger}}}}}", true},
        {"{parts = {{kind = 'text', text = ''}, {kind = 'text', text = 'b'}}}", true},
        {"{parts = {{kind = 'text', text = ''}}}", false},
        {"{parts = {{kind = 'text', text = 'a\\0'}}}", false},
        {"{parts = {{kind = 'text', text = '\\xff'}}}", false},
        {"{parts = {{kind = 'text', text = 1}}}", false},
        {"{parts = {{kind = 'text'}}}", false},
        {"{parts = {{kind = 'text', type = 'text', text = 'a'}}}", false},
        {"{parts = {{text = 'a'}}}", false},
        {"{parts = {{kind = 'file', file = {uri = 'u'}}}}", false},
        {"{parts = {{kind = 'data', data = 0/0}}}", false},
        {"{parts = {{kind = 'data', data = print}}}", false},
        {"{parts = {{kind = 'data', data = {1, nil, 3}}}}", false},
        {"{parts = {{kind = 'data', data = {1, x = 3}}}}", false},
        {"{parts = {{kind = 'data', ['a\\0'] = 1}}}", false},
        {"{parts = {{kind = 'data', ['\\xff'] = 1}}}", false},
        {"{parts = {{kind = 'data', 1}}}", false},
        {"{parts = {{kind = 'data', data = ('x'):rep(70000)}}}", false},
        {"{parts = {kind = 'data', data = 1}}", false},
        {"{parts = {}}", false}};
    const struct message peer = {.row_id = "r", .message_id = "m", .source_id = "s", .hops = 1},
                         canvas = {.row_id = "r"},
                         odd = {.row_id = "r", .source_id = "s", .context_id = "c\t"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lua_State *L = open_state();
        char chunk[256];
        snprintf(chunk, sizeof chunk, "return %s", cases[i].chunk);
        assert_int_equal(luaL_dostring(L, chunk), LUA_OK);
        if (builds_alike(L, &peer) != cases[i].direct)
            fail_msg("%s %s directly", chunk, cases[i].direct ? "is not written" : "is written");
        builds_alike(L, &canvas);
        builds_alike(L, &odd);
        lua_close(L);
    }
}

static void test_any_parts_written_directly_are_the_same_bytes(void **state)
{
    (void)state;
    static const char chunk[] =
        "math.randomseed(7)\n"
        "local pick = math.random\n"
        "local pieces = {'a', '\"', '\\\\', '\\n', '\\t', '\\r', '\\8', '\\12', '\\1', '\\31', "
        "'\\127', '/', 'é', '€', '😀', '{', ' , ', '1.50', '12345678'}\n"
        "local function text()\n"
        "  local list = {}\n"
        "  for i = 1, pick(0, 9) do list[i] = pieces[pick(#pieces)] end\n"
        "  return table.concat(list)\n"
        "end\n"
        "local function value(depth)\n"
        "  local kind = pick(depth > 4 and 6 or 8)\n"
        "  if kind == 1 then return text() end\n"
        "  if kind == 2 then return pick(0) >> pick(0, 63) end\n"
        "  if kind == 3 then return (pick() - 0.5) * 10.0 ^ pick(-320, 300) end\n"
        "  if kind == 4 then return pick(1000) / 8 end\n"
        "  if kind == 5 then return pick(2) == 1 end\n"
        "  if kind == 6 then return json.null end\n"
        "  local table = kind == 7 and json.array {} or {}\n"
        "  for i = 1, pick(0, 4) do table[kind == 7 and i or text()] = value(depth + 1) end\n"
        "  return table\n"
        "end\n"
        "return function()\n"
        "  local reply = {text = pick(2) == 1 and text() or nil, parts = {}}\n"
        "  for i = 1, pick(3) do\n"
        "    reply.parts[i] = pick(3) == 1 and {kind = 'text', text = text(), more = value(1)}\n"
        "      or {kind = 'data', data = value(1), text = pick(2) == 1 and value(1) or nil}\n"
        "  end\n"
        "  return reply\n"
        "end\n";
    const struct message peer = {.row_id = "r", .source_id = "s", .context_id = "é\n\"", .hops = 1},
                         canvas = {.row_id = "r"};
    lua_State *L = open_state();
    assert_int_equal(luaL_dostring(L, chunk), LUA_OK);
    size_t direct = 0;
    for (int i = 0; i < 3000; i++) {
        lua_pushvalue(L, -1);
        assert_int_equal(lua_pcall(L, 0, 1, 0), LUA_OK);
        direct += builds_alike(L, &peer);
        builds_alike(L, &canvas);
        lua_pop(L, 1);
    }
    assert_true(direct > 2000);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_that_nobody_else_has_are_overwritten),
        cmocka_unit_test(test_a_secret_is_gone_before_its_memory_is_free),
        cmocka_unit_test(test_numbers_keep_their_kind),
        cmocka_unit_test(test_empty_lists_and_objects_stay_apart),
        cmocka_unit_test(test_null_is_a_value),
        cmocka_unit_test(test_any_value_is_a_document),
        cmocka_unit_test(test_errors_are_values_with_a_place),
        cmocka_unit_test(test_cycles_and_depth_are_bounded),
        cmocka_unit_test(test_bad_text_is_repaired),
        cmocka_unit_test(test_text_that_models_emit_is_read_with_its_broken_characters_mended),
        cmocka_unit_test(test_no_key_swallows_another),
        cmocka_unit_test(test_layout_is_chosen),
        cmocka_unit_test(test_metamethods_are_not_run),
        cmocka_unit_test(test_no_memory_raises_and_leaks_nothing),
        cmocka_unit_test(test_a_text_read_in_place_is_the_same_value),
        cmocka_unit_test(test_parts_written_directly_are_the_same_bytes),
        cmocka_unit_test(test_any_parts_written_directly_are_the_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
