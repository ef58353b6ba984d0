/* Unit tests of wire/jsontext: a value's text is what jansson would write of it. */
#include "unit.h"

#include "base/decimal.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 88172645463325252u;

static uint64_t any(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static json_t *any_text(void)
{
    static const char *const pieces[] = {"plain text, longer than eight",
                                         "a",
                                         "\"",
                                         "\\",
                                         "/",
                                         "\n",
                                         "\r\t\b\f",
                                         "\x01\x1f\x7f",
                                         "é",
                                         "漢字",
                                         "🙂",
                                         "\xf4\x8f\xbf\xbf"};
    char text[512] = "";
    size_t length = 0;
    for (uint64_t i = any(6); i > 0; i--) {
        const char *piece = pieces[any(COUNT(pieces))];
        memcpy(text + length, piece, strlen(piece) + 1);
        length += strlen(piece);
        if (any(9) == 0)
            text[length++] = '\0';
    }
    return json_stringn(text, length);
}

static json_t *any_value(int depth)
{
    json_t *value;
    switch (any(depth > 0 ? 8 : 6)) {
    case 0: return json_null();
    case 1: return json_boolean(any(2));
    case 2: return json_integer((json_int_t)any(UINT64_MAX));
    case 3: return json_real((double)any(2000001) / 1000 - 1000);
    case 4: return json_real(1e-7 * (double)any(1000));
    case 5: return any_text();
    case 6:
        value = json_array();
        for (uint64_t i = any(5); i > 0; i--)
            json_array_append_new(value, any_value(depth - 1));
        return value;
    default:
        value = json_object();
        for (uint64_t i = any(5); i > 0; i--) {
            char key[64];
            snprintf(key, sizeof key, "key %d é \" \n", (int)any(20));
            json_object_set_new(value, key, any_value(depth - 1));
        }
        return value;
    }
}

static void a_value_is_written_as_jansson_writes_it(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        json_t *value = any_value(5);
        char *text = jsontext_print(value);
        char *expected = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        decimal_shorten(expected, strlen(expected));
        assert_string_equal(text, expected);
        assert_int_equal(jsontext_size(value), strlen(text));
        free(expected);
        free(text);
        json_decref(value);
    }
}

static void what_does_not_fit_has_its_size_told(void **state)
{
    (void)state;
    struct buffer buffer;
    size_t needed;
    json_t *value = json_pack("{s:s, s:[b, f]}", "a", "0123456789", "b", 1, 0.1);
    const char *expected = "{\"a\":\"0123456789\",\"b\":[true,0.1]}";
    buffer_init(&buffer, 12);
    assert_false(jsontext_write(value, &buffer, &needed));
    assert_int_equal(needed, strlen(expected));
    assert_true(buffer.length <= 12);
    buffer_free(&buffer);
    buffer_init(&buffer, strlen(expected));
    assert_true(jsontext_write(value, &buffer, &needed));
    assert_string_equal(buffer.data, expected);
    buffer_free(&buffer);
    json_decref(value);
}

static void what_is_no_utf8_is_not_written(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\x80", "a\xc3", "\xed\xa0\x80", "\xc0\x80",
                                        "\xf5\x80\x80\x80"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        json_t *text = json_string_nocheck(wrong[i]), *value = json_pack("[o, s]", text, "after");
        json_t *object = json_object();
        json_object_set_new_nocheck(object, wrong[i], json_true());
        assert_null(jsontext_print(value));
        assert_null(jsontext_print(object));
        assert_int_equal(jsontext_size(value), 0);
        json_decref(object);
        json_decref(value);
    }
    assert_null(jsontext_print(NULL));
    assert_int_equal(jsontext_size(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_value_is_written_as_jansson_writes_it),
                                       cmocka_unit_test(what_does_not_fit_has_its_size_told),
                                       cmocka_unit_test(what_is_no_utf8_is_not_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
