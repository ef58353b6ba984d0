#include "script/numeral.h"

#include <ctype.h>
#include <string.h>

struct scan {
    const char *bytes;
    size_t length, at, kept;
    char *text;
    bool too_long;
};

/* Takes the next character if it is one of `set`. */
static bool accept(struct scan *scan, const char *set)
{
    if (scan->at == scan->length || !scan->bytes[scan->at] || !strchr(set, scan->bytes[scan->at]))
        return false;
    scan->too_long = scan->too_long || scan->kept + 1 >= NUMERAL_SIZE;
    if (scan->too_long)
        return false;
    scan->text[scan->kept++] = scan->bytes[scan->at++];
    return true;
}

static int accept_digits(struct scan *scan, bool hexadecimal)
{
    int count = 0;
    while (accept(scan, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789"))
        count++;
    return count;
}

bool numeral_scan(const char *bytes, size_t length, bool ended, char *text, size_t *used)
{
    struct scan scan = {.bytes = bytes, .length = length, .text = text};
    bool hexadecimal = false;
    int digits = 0;
    while (scan.at < length && isspace((unsigned char)bytes[scan.at]))
        scan.at++;
    accept(&scan, "+-");
    if (accept(&scan, "0")) {
        hexadecimal = accept(&scan, "xX");
        digits = !hexadecimal;
    }
    digits += accept_digits(&scan, hexadecimal);
    if (accept(&scan, "."))
        digits += accept_digits(&scan, hexadecimal);
    if (digits > 0 && accept(&scan, hexadecimal ? "pP" : "eE")) {
        accept(&scan, "+-");
        accept_digits(&scan, false);
    }
    text[scan.too_long ? 0 : scan.kept] = '\0';
    *used = scan.at;
    return ended || scan.at < length;
}
