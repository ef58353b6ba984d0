/* What the parts of an A2A message hold, whichever of the common spellings they use (contract
 * §2.4, §2.5). */
#ifndef MOLECULE_WIRE_PARTS_H
#define MOLECULE_WIRE_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* "text", "file" or "data": what `kind` or `type` of the part says, else what its members show
 * (A2A 1.0 names no kind: `text`, `raw` or `url`, `data`). NULL: none of these, or not an object.
 */
const char *parts_kind(const json_t *part);
bool parts_is(const json_t *part, const char *kind);

/* The text parts, concatenated. NULL: `parts` is not an array, or has no text. Yours to
 * free. */
char *parts_text(const json_t *parts, size_t *length);

/* Fills `*files` with an array of {name, mime_type, uri, size, bytes}, each key only where known;
 * NULL: no part is a file. false: out of memory. */
bool parts_files(const json_t *parts, json_t **files);

/* The same for one file: `{file: {...}}` or the members themselves. NULL: out of memory. It may
 * come back empty. */
json_t *parts_file(const json_t *source);

#endif
