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

/* What these functions go by, for parts_plain.c. */

/* "text", "file" or "data" of a name like "text", "Text" or "input_text"; NULL: of no other. */
const char *parts_known_kind(const char *text, size_t length);

/* A part without a kind that has one of them is a file. */
#define PARTS_FILE_PLACES 9
extern const char *const parts_file_places[PARTS_FILE_PLACES];

enum parts_file_name {
    PARTS_FILE_NAME,
    PARTS_FILE_MIME_TYPE,
    PARTS_FILE_URI,
    PARTS_FILE_SIZE, /* a number; the others are strings */
    PARTS_FILE_BYTES,
    PARTS_FILE_NAMES
};
extern const char *const parts_file_names[PARTS_FILE_NAMES];

/* What members of a file are called, and what they are; the earlier ones have precedence. */
#define PARTS_FILE_SPELLINGS 17
extern const char *const parts_file_spellings[PARTS_FILE_SPELLINGS];
extern const enum parts_file_name parts_file_meanings[PARTS_FILE_SPELLINGS];

#endif
