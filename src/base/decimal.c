/* A number of up to 15 digits reads back from its double by 15 digits; only a denormal may need
 * fewer. So at most three attempts find the shortest form. */
#include "base/decimal.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_DIGITS 15 /* of any double */
#define ALL_DIGITS 17
#define NUMBER_SIZE 40 /* bytes of a number as it is written here */

/* Significant digits: 0.00120 has three. Zeros at the end of a whole number count. */
static size_t count_digits(const char *number, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length && number[i] != 'e' && number[i] != 'E'; i++)
        count += number[i] >= '0' && number[i] <= '9' && (count > 0 || number[i] != '0');
    return count;
}

static bool is_fractional(const char *number, size_t length)
{
    bool exponent = memchr(number, 'e', length) || memchr(number, 'E', length);
    const char *point = memchr(number, '.', length);
    return exponent || (point && !(point + 2 == number + length && point[1] == '0'));
}

/* As jansson has it: 1e+300 as 1e300, and 1.5e-07 as 1.5e-7. */
static void settle(char *text)
{
    char *exponent = strchr(text, 'e');
    if (!exponent)
        return;
    char *digits = exponent + 1 + (exponent[1] == '-' || exponent[1] == '+'),
         *kept = exponent + 1 + (exponent[1] == '-');
    digits += strspn(digits, "0");
    memmove(kept, digits, strlen(digits) + 1);
}

/* Writes the shorter form to `to`, at most as long as the number; its length. */
static size_t shorten_one(const char *number, size_t length, char *to)
{
    char text[NUMBER_SIZE];
    double value = length < NUMBER_SIZE ? strtod(number, NULL) : 0;
    if (!isfinite(value) || length >= NUMBER_SIZE || count_digits(number, length) <= EXACT_DIGITS ||
        !is_fractional(number, length))
        goto unchanged;
    for (int digits = fabs(value) < DBL_MIN ? 1 : EXACT_DIGITS; digits < ALL_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) != value)
            continue;
        settle(text);
        size_t size = strlen(text);
        if (size >= length)
            break;
        memcpy(to, text, size);
        return size;
    }
unchanged:
    memmove(to, number, length);
    return length;
}

static size_t write_digits(uint64_t whole, size_t least, char *to)
{
    char digits[24];
    size_t count = 0;
    for (; whole > 0 || count < least; whole /= 10)
        digits[count++] = (char)('0' + whole % 10);
    for (size_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

size_t decimal_write_integer(int64_t value, char text[DECIMAL_SIZE])
{
    size_t length = value < 0;
    text[0] = '-';
    length += write_digits(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1, text + length);
    text[length] = '\0';
    return length;
}

/* Most numbers that people write have few places. 0: this one has more, or an exponent. Of a whole
 * part and places that are 15 digits together the division reads back the same as the text does. */
static size_t write_few_places(double value, char *text)
{
    double size = fabs(value), scale = 10;
    if (size < 1e-4 || size >= 1e9)
        return 0;
    for (size_t places = 1; places <= 6; places++, scale *= 10) {
        double all = rint(size * scale);
        if (all / scale != size)
            continue;
        uint64_t whole = (uint64_t)all / (uint64_t)scale, rest = (uint64_t)all % (uint64_t)scale;
        size_t length = value < 0;
        text[0] = '-';
        length += write_digits(whole, 1, text + length);
        text[length++] = '.';
        length += write_digits(rest, places, text + length);
        text[length] = '\0';
        return length;
    }
    return 0;
}

size_t decimal_write(double value, char text[DECIMAL_SIZE])
{
    if (!isfinite(value))
        return 0;
    size_t length = write_few_places(value, text);
    if (length > 0)
        return length;
    if (fabs(value) < 1e17 && value == rint(value))
        return (size_t)snprintf(text, DECIMAL_SIZE, "%.1f", value);
    for (int digits = fabs(value) < DBL_MIN ? 1 : EXACT_DIGITS; digits <= ALL_DIGITS; digits++) {
        snprintf(text, DECIMAL_SIZE, "%.*g", digits, value);
        if (digits == ALL_DIGITS || strtod(text, NULL) == value)
            break;
    }
    settle(text);
    return strlen(text);
}

/* The string that begins at `at` ends before the result. */
static size_t skip_string(const char *text, size_t at, size_t length)
{
    for (at++; at < length && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at < length ? at + 1 : length;
}

size_t decimal_shorten(char *text, size_t length)
{
    size_t from = 0, to = 0;
    if (length == 0 || !memchr(text, '.', length))
        return length;
    while (from < length) {
        size_t start = from;
        if (text[from] == '"') {
            from = skip_string(text, from, length);
        } else if (text[from] == '-' || (text[from] >= '0' && text[from] <= '9')) {
            from += strspn(text + from, "+-.0123456789eE");
            to += shorten_one(text + start, from - start, text + to);
            continue;
        } else {
            from += strcspn(text + from, "\"-0123456789");
            from += from == start;
        }
        if (to < start)
            memmove(text + to, text + start, from - start);
        to += from - start;
    }
    text[to] = '\0';
    return to;
}
