/* How much memory jansson takes for one conversion, counted on this thread, and refused beyond a
 * maximum: what a script hands over may be a few tables that are billions of values when written
 * out. */
#ifndef MOLECULE_WIRE_JSONMEMORY_H
#define MOLECULE_WIRE_JSONMEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Once per process, before any other use of jansson. */
void jsonmemory_install(void);
/* From here on this thread's conversions may take so many bytes together. Not nested. */
void jsonmemory_begin(size_t most);
/* Counts no more. What was taken and not freed again; `refused`: something did not fit. */
size_t jsonmemory_end(bool *refused);

#endif
