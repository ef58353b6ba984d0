/* How much memory jansson takes for one conversion, counted on this thread, and refused beyond a
 * maximum: a few tables of a script may be billions of values when written out. */
#ifndef MOLECULE_WIRE_JSONMEMORY_H
#define MOLECULE_WIRE_JSONMEMORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Once per process, before any other use of jansson. */
void jsonmemory_install(void);
/* From now on this thread's conversions may take this many bytes together. Not nested. */
void jsonmemory_begin(size_t most);
/* Stops counting. Returns what was taken and not freed; `refused`: something did not fit. */
size_t jsonmemory_end(bool *refused);

/* json_decref for what may hold secrets: texts that nobody else has are overwritten. NULL is fine.
 */
void jsonmemory_wipe(json_t *value);

#endif
