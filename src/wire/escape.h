/* The escape \uXXXX of JSON (RFC 8259 section 7), for everything here that reads JSON text. */
#ifndef MOLECULE_WIRE_ESCAPE_H
#define MOLECULE_WIRE_ESCAPE_H

/* The UTF-16 code unit of the escape whose backslash is at `at`; -1: `end` comes first. */
int escape_unit(const char *at, const char *end);

/* The code point that two surrogates stand for; -1: they are not a high one and a low one. */
int escape_pair(int high, int low);

/* Writes the code point as UTF-8, at most 4 bytes. Returns the position after it. */
char *escape_put_utf8(char *to, int code);

#endif
