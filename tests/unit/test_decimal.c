/* Unit tests of base/decimal: numbers in JSON text have no more digits than they need. */
#include "unit.h"

#include "base/decimal.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void a_number_is_written_as_people_write_it(void **state)
{
    (void)state;
    static const struct {
        double number;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {0.7, "0.7"},
                 {-0.1, "-0.1"},
                 {5.0, "5.0"},
                 {0.3, "0.3"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e300, "1e300"},
                 {1.1e-7, "1.1e-7"},
                 {5e-324, "5e-324"},
                 {2.2250738585072014e-308, "2.2250738585072014e-308"},
                 {1.7976931348623157e308, "1.7976931348623157e308"},
                 {123456.789, "123456.789"},
                 {1e15, "1000000000000000.0"},
                 {1e22, "1e22"},
                 {9007199254740993.0, "9007199254740992.0"},
                 {3.141592653589793, "3.141592653589793"},
                 {0.0, "0.0"},
                 {-0.0, "-0.0"},
                 {100.25, "100.25"},
                 {4.35, "4.35"},
                 {1.0 / 3, "0.3333333333333333"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *value = json_real(cases[i].number);
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        size_t length = decimal_shorten(text, strlen(text));
        assert_string_equal(text, cases[i].text);
        assert_int_equal(length, strlen(text));
        char written[DECIMAL_SIZE];
        assert_int_equal(decimal_write(cases[i].number, written), length);
        assert_string_equal(written, text);
        free(text);
        json_decref(value);
    }
}

static void a_whole_number_is_written_whole(void **state)
{
    (void)state;
    static const int64_t cases[] = {0, 7, -7, 10, 1234567890123, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[DECIMAL_SIZE], expected[DECIMAL_SIZE];
        size_t length = (size_t)snprintf(expected, sizeof expected, "%lld", (long long)cases[i]);
        assert_int_equal(decimal_write_integer(cases[i], text), length);
        assert_string_equal(text, expected);
    }
    char text[DECIMAL_SIZE];
    assert_int_equal(decimal_write(INFINITY, text), 0);
    assert_int_equal(decimal_write(NAN, text), 0);
}

static void nothing_else_changes(void **state)
{
    (void)state;
    static const struct {
        const char *given, *expected;
    } cases[] = {{"", ""},
                 {"{}", "{}"},
                 {"\"0.10000000000000001\"", "\"0.10000000000000001\""},
                 {"[0.10000000000000001,\"a\\\"0.10000000000000001\\\\\",0.69999999999999996]",
                  "[0.1,\"a\\\"0.10000000000000001\\\\\",0.7]"},
                 {"{\"0.10000000000000001\":0.10000000000000001,\"b\":{\"c\":[true,null,false]}}",
                  "{\"0.10000000000000001\":0.1,\"b\":{\"c\":[true,null,false]}}"},
                 {"[12345678901234567890, -9223372036854775807,\n 1.5 ]",
                  "[12345678901234567890, -9223372036854775807,\n 1.5 ]"},
                 {"0.10000000000000001", "0.1"},
                 {"[1.2345678901234568e17]", "[1.2345678901234568e17]"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[256];
        snprintf(text, sizeof text, "%s", cases[i].given);
        assert_int_equal(decimal_shorten(text, strlen(text)), strlen(cases[i].expected));
        assert_string_equal(text, cases[i].expected);
    }
}

static void every_number_reads_back_the_same(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u;
    for (int i = 0; i < 400000; i++) {
        double number;
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint64_t bits = i % 4 == 0 ? seed >> 12 : seed; /* denormals, too */
        memcpy(&number, &bits, sizeof number);
        if (i % 4 == 1)
            number = (double)(int64_t)(seed % 2000001 - 1000000) / 1000; /* what people write */
        if (i % 4 == 2) /* around the places and sizes that are written in their own way */
            number = (double)(int64_t)(seed >> (seed % 60)) / pow(10, (double)(seed >> 8 & 15));
        if (!isfinite(number))
            continue;
        json_t *value = json_real(number);
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        size_t before = strlen(text), after = decimal_shorten(text, before);
        assert_true(after <= before);
        if (i % 4 == 1)
            assert_true(after <= strlen("-1000.001"));
        json_t *read = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_true(json_is_real(read));
        double again = json_real_value(read);
        assert_memory_equal(&again, &number, sizeof number);
        char written[DECIMAL_SIZE];
        size_t length = decimal_write(number, written);
        assert_int_equal(length, strlen(written));
        again = strtod(written, NULL);
        assert_memory_equal(&again, &number, sizeof number);
        if (fabs(number) >= DBL_MIN) /* else jansson's may have a digit too many */
            assert_string_equal(written, text);
        json_decref(read);
        json_decref(value);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_number_is_written_as_people_write_it),
                                       cmocka_unit_test(a_whole_number_is_written_whole),
                                       cmocka_unit_test(nothing_else_changes),
                                       cmocka_unit_test(every_number_reads_back_the_same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
