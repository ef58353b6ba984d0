/* JSON that our parser refuses but a script can still use: a copy in which a lone surrogate escape
 * or a byte that is not UTF-8 became U+FFFD, an integer outside 64 bits became a string of its
 * digits, a real number that overflows a double became a string, and an unescaped control character
 * inside a string became its \u escape. Everything else is copied as it is; text that is not JSON
 * at all stays that way. Also what outgoing text must pass. */
#ifndef MOLECULE_WIRE_REPAIR_H
#define MOLECULE_WIRE_REPAIR_H

#include <stdbool.h>
#include <stddef.h>

/* The size of the character that `text` begins with, strictly as UTF-8 defines it; 0: it begins
 * with none. */
size_t repair_character(const char *text, size_t length);

/* The repaired copy, NUL-terminated, yours to free; never NULL. */
char *repair_json(const char *text, size_t length, size_t *repaired_length);

/* A copy of UTF-8 text for the platform: invalid bytes become U+FFFD, U+0000 is removed (the
 * platform's database cannot store it and loses the whole message, contract §1.10). Yours to free;
 * never NULL. */
char *repair_text(const char *text, size_t length, size_t *repaired_length);

#endif
