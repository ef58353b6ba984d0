/* The characters of a numeral, as read "n" of a Lua file takes them. */
#ifndef MOLECULE_SCRIPT_NUMERAL_H
#define MOLECULE_SCRIPT_NUMERAL_H

#include <stdbool.h>
#include <stddef.h>

#define NUMERAL_SIZE 201 /* Lua's own maximum of 200, and a NUL */

/* Skips blanks and takes the longest prefix that can be a numeral. `text`: what was taken ("" if it
 * is longer than the maximum); `used`: how many bytes that was, blanks included. false: the numeral
 * may continue past these bytes, and more may come (`ended` is false). */
bool numeral_scan(const char *bytes, size_t length, bool ended, char *text, size_t *used);

#endif
