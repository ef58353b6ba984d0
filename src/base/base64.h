/* Base64 (RFC 4648 §4). */
#ifndef MOLECULE_BASE_BASE64_H
#define MOLECULE_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* How long `length` bytes are as text, without a NUL. */
size_t base64_encoded_length(size_t length);
/* `text` has room for base64_encoded_length(length). */
void base64_encode(const char *bytes, size_t length, char *text);

/* An upper bound for the bytes that a text of that length decodes to. */
size_t base64_decoded_maximum(size_t length);
/* `bytes` has room for base64_decoded_maximum(length) and *count of them are written. Blanks and
 * line ends are skipped, "-" and "_" are taken for "+" and "/", the "=" at the end may be missing.
 * false: *bad is the position of the error, or `length` if the text ends too early. */
bool base64_decode(const char *text, size_t length, char *bytes, size_t *count, size_t *bad);

#endif
