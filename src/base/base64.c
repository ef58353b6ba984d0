#include "base/base64.h"

enum { BLANK = -1, PADDING = -2, WRONG = -3 };

size_t base64_encoded_length(size_t length)
{
    return (length + 2) / 3 * 4;
}

void base64_encode(const char *bytes, size_t length, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < length; at += 3) {
        size_t left = length - at;
        unsigned group = (unsigned)(unsigned char)bytes[at] << 16;
        group |= left > 1 ? (unsigned)(unsigned char)bytes[at + 1] << 8 : 0;
        group |= left > 2 ? (unsigned char)bytes[at + 2] : 0;
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *text++ = left > 2 ? digits[group & 63] : '=';
    }
}

static int value_of(char character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    switch (character) {
    case '+':
    case '-': return 62;
    case '/':
    case '_': return 63;
    case '=': return PADDING;
    case ' ':
    case '\t':
    case '\r':
    case '\n': return BLANK;
    default: return WRONG;
    }
}

size_t base64_decoded_maximum(size_t length)
{
    return length / 4 * 3 + 3;
}

/* From the first "=" on: as many as the last group of `digits` lacks, and blanks. Returns the
 * position of the first wrong byte, or `length`. */
static size_t check_padding(const char *text, size_t at, size_t length, size_t digits)
{
    size_t wanted = digits % 4 == 3 ? 1 : digits % 4 == 2 ? 2 : 0;
    for (; at < length; at++) {
        int value = value_of(text[at]);
        if (value == PADDING && wanted > 0)
            wanted--;
        else if (value != BLANK)
            return at;
    }
    return wanted > 0 ? length - 1 : length; /* "=" instead of "==" */
}

bool base64_decode(const char *text, size_t length, char *bytes, size_t *count, size_t *bad)
{
    unsigned group = 0;
    size_t at = 0, digits = 0;
    *count = 0;
    *bad = length;
    for (; at < length && value_of(text[at]) != PADDING; at++) {
        int value = value_of(text[at]);
        if (value == BLANK)
            continue;
        if (value < 0) {
            *bad = at;
            return false;
        }
        group = group << 6 | (unsigned)value;
        if (++digits % 4 != 1)
            bytes[(*count)++] = (char)(group >> (2 * (3 - (digits - 1) % 4)) & 255);
    }
    if (at < length)
        *bad = check_padding(text, at, length, digits);
    return *bad == length && digits % 4 != 1;
}
