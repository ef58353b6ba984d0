/* JSON text into Lua values, without anything in between. */
#include "script/cjson.h"
#include "script/vm.h"
#include "script/vm_limits.h"
#include "wire/escape.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY 1024    /* values between two looks at the limits */
#define NUMBER_MAXIMUM 400 /* letters of a number */

struct decoding {
    lua_State *L;
    const struct cjson_settings *settings;
    const char *start, *at, *end;
    char *scratch; /* a userdata's: a string's bytes while its escapes are resolved */
    size_t values;
};

static void fail(const struct decoding *in, const char *expected, const char *found)
{
    luaL_error(in->L, "Expected %s but found %s at character %d", expected, found,
               (int)(in->at - in->start) + 1);
}

static void skip_space(struct decoding *in)
{
    while (in->at < in->end && strchr(" \t\r\n", *in->at) && *in->at)
        in->at++;
}

static bool take(struct decoding *in, char wanted)
{
    skip_space(in);
    if (in->at >= in->end || *in->at != wanted)
        return false;
    in->at++;
    return true;
}

static bool starts_word(const struct decoding *in, const char *word)
{
    size_t length = strlen(word);
    return (size_t)(in->end - in->at) >= length && memcmp(in->at, word, length) == 0;
}

static bool starts_number(const struct decoding *in)
{
    return in->at < in->end && (*in->at == '-' || (*in->at >= '0' && *in->at <= '9'));
}

/* What stands where something else was expected, in lua-cjson's words. */
static const char *found_at(const struct decoding *in)
{
    static const struct {
        const char *start, *token;
    } tokens[] = {{"{", "T_OBJ_BEGIN"}, {"}", "T_OBJ_END"},    {"[", "T_ARR_BEGIN"},
                  {"]", "T_ARR_END"},   {"\"", "T_STRING"},    {",", "T_COMMA"},
                  {":", "T_COLON"},     {"true", "T_BOOLEAN"}, {"false", "T_BOOLEAN"},
                  {"null", "T_NULL"}};
    if (in->at >= in->end)
        return "T_END";
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (starts_word(in, tokens[i].start))
            return tokens[i].token;
    return starts_number(in) ? "T_NUMBER" : "invalid token";
}

/* --- strings --- */

/* `at` is on the backslash, as in all errors of an escape. */
static char *take_code(struct decoding *in, char *to)
{
    int code = escape_unit(in->at, in->end);
    bool paired = code >= 0xd800 && code <= 0xdfff;
    if (paired)
        code = escape_pair(code, escape_unit(in->at + 6, in->end));
    if (code < 0)
        fail(in, "value", "invalid unicode escape code");
    in->at += paired ? 12 : 6;
    return escape_put_utf8(to, code);
}

static char *take_escape(struct decoding *in, char *to)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    char letter = in->end - in->at >= 2 ? in->at[1] : '\0';
    if (letter == 'u')
        return take_code(in, to);
    for (const char *at = escapes; *at; at += 2)
        if (*at == letter) {
            in->at += 2;
            *to++ = at[1];
            return to;
        }
    fail(in, "value", "invalid escape code");
    return to;
}

/* After the opening quote: pushes the string. Unescaped, it is never longer. As in lua-cjson, a
 * control character other than U+0000 stands for itself: backends do send them. */
static void push_string(struct decoding *in)
{
    char *to = in->scratch;
    for (;;) {
        const char *from = in->at;
        while (in->at < in->end && *in->at != '"' && *in->at != '\\' && *in->at != '\0')
            in->at++;
        memcpy(to, from, (size_t)(in->at - from));
        to += in->at - from;
        if (in->at >= in->end || *in->at == '\0')
            fail(in, "value", "unexpected end of string");
        if (*in->at == '"')
            break;
        to = take_escape(in, to);
    }
    in->at++;
    lua_pushlstring(in->L, in->scratch, (size_t)(to - in->scratch));
}

/* --- other values --- */

static void push_number(struct decoding *in)
{
    char text[NUMBER_MAXIMUM + 1], *end;
    size_t length = 0;
    bool integer = true, plain = true;
    while (in->at + length < in->end && length < NUMBER_MAXIMUM && in->at[length] &&
           strchr("+-.0123456789abcdefABCDEFxXnNiIpPtTyY", in->at[length])) {
        char letter = text[length] = in->at[length];
        integer = integer && ((letter >= '0' && letter <= '9') || (letter == '-' && length == 0));
        plain = plain && (integer || strchr("+-.eE0123456789", letter));
        length++;
    }
    text[length] = '\0';
    const char *digits = text + (*text == '-');
    bool leading_zero = digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
    const char *problem = starts_number(in) ? "invalid number" : found_at(in);
    if (!in->settings->decode_invalid && (!plain || leading_zero || *text == '+'))
        fail(in, "value", problem);
    double number = strtod(text, &end);
    if (length == 0 || end == text)
        fail(in, "value", problem);
    in->at += end - text;
    if (integer && *end == '\0' && lua_stringtonumber(in->L, text))
        return;
    lua_pushnumber(in->L, number);
}

static bool take_word(struct decoding *in, const char *word)
{
    if (!starts_word(in, word))
        return false;
    in->at += strlen(word);
    return true;
}

static void push_value(struct decoding *in, int depth);

static void enter(struct decoding *in, int depth)
{
    if (depth > in->settings->decode_depth)
        luaL_error(in->L, "Found too many nested data structures (%d)", depth);
    luaL_checkstack(in->L, LUA_MINSTACK, "Found too many nested data structures");
}

static void push_list(struct decoding *in, int depth)
{
    enter(in, depth);
    lua_newtable(in->L);
    if (take(in, ']'))
        return;
    for (lua_Integer i = 1;; i++) {
        push_value(in, depth);
        lua_rawseti(in->L, -2, i);
        if (take(in, ']'))
            return;
        if (!take(in, ','))
            fail(in, "comma or array end", found_at(in));
    }
}

static void push_object(struct decoding *in, int depth)
{
    enter(in, depth);
    lua_newtable(in->L);
    if (take(in, '}'))
        return;
    for (;;) {
        if (!take(in, '"'))
            fail(in, "object key string", found_at(in));
        push_string(in);
        if (!take(in, ':'))
            fail(in, "colon", found_at(in));
        push_value(in, depth);
        lua_rawset(in->L, -3);
        if (take(in, '}'))
            return;
        if (!take(in, ','))
            fail(in, "comma or object end", found_at(in));
    }
}

static void push_value(struct decoding *in, int depth)
{
    if (++in->values % LOOK_EVERY == 0 && vm_expired(vm_of(in->L)))
        luaL_error(in->L, "it took too long to decode");
    if (take(in, '"'))
        push_string(in);
    else if (take(in, '{'))
        push_object(in, depth + 1);
    else if (take(in, '['))
        push_list(in, depth + 1);
    else if (take_word(in, "true"))
        lua_pushboolean(in->L, true);
    else if (take_word(in, "false"))
        lua_pushboolean(in->L, false);
    else if (take_word(in, "null"))
        lua_pushlightuserdata(in->L, NULL);
    else
        push_number(in);
}

void cjson_decode(lua_State *L, const struct cjson_settings *settings)
{
    size_t length;
    lua_settop(L, 1);
    const char *text = lua_tolstring(L, 1, &length);
    struct decoding in = {
        .L = L, .settings = settings, .start = text, .at = text, .end = text + length};
    if (length >= 2 && (!text[0] || !text[1]))
        luaL_error(L, "JSON parser does not support UTF-16 or UTF-32");
    in.scratch = lua_newuserdatauv(L, length + 1, 0);
    push_value(&in, 0);
    skip_space(&in);
    if (in.at < in.end)
        fail(&in, "the end", found_at(&in));
}
