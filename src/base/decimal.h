/* Numbers in JSON text as people write them: jansson writes a double with 17 digits, so 0.1 as
 * 0.10000000000000001. */
#ifndef MOLECULE_BASE_DECIMAL_H
#define MOLECULE_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define DECIMAL_SIZE 40 /* of any number that is written here, with its NUL */

/* A double in the fewest digits that read back the same, always with a fraction or an exponent, as
 * jansson would write it: 0.1, 5.0, 1e300. Its length; 0: it is infinite or no number. */
size_t decimal_write(double value, char text[DECIMAL_SIZE]);

size_t decimal_write_integer(int64_t value, char text[DECIMAL_SIZE]);

/* Gives every number with a fraction or an exponent the fewest digits that read back the same. In
 * place: it gets shorter or stays as it is. `text` is well-formed JSON with a NUL after it, which
 * moves along. The new length. */
size_t decimal_shorten(char *text, size_t length);

#endif
