/* How far a text can be taken as it is, in a JSON string or out of one: printable ASCII but for
 * quotes and backslashes. Eight bytes are looked at together. */
#ifndef MOLECULE_WIRE_PLAIN_H
#define MOLECULE_WIRE_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PLAIN_EACH(byte) (UINT64_MAX / 255 * (byte))

static inline bool plain_byte(unsigned char byte)
{
    return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

/* The first byte from `at` on that is not plain, or `end`. */
static inline const char *plain_end(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        uint64_t quote = word ^ PLAIN_EACH('"'), slash = word ^ PLAIN_EACH('\\');
        /* the highest bit of a byte is set where it is not plain; a borrow can only add more of
         * them above that */
        uint64_t other = word | (word - PLAIN_EACH(' ')) | (quote - PLAIN_EACH(1)) |
                         (slash - PLAIN_EACH(1));
        other &= PLAIN_EACH(0x80);
        if (other == 0)
            continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return at + __builtin_ctzll(other) / 8;
#else
        break;
#endif
    }
    while (at < end && plain_byte((unsigned char)*at))
        at++;
    return at;
}

#endif
