/* What parts.h tells of a part, of a part in place (wire/slice.h). */
#ifndef MOLECULE_WIRE_PARTS_PLAIN_H
#define MOLECULE_WIRE_PARTS_PLAIN_H

#include "wire/parts.h"
#include "wire/slice.h"

enum parts_plain {
    PARTS_PLAIN_TEXT, /* a text part that has a text */
    PARTS_PLAIN_FILE,
    PARTS_PLAIN_OTHER,
    PARTS_PLAIN_UNUSUAL /* its kind has escapes: only parts.h knows */
};
/* `*text` is set for a text part. */
enum parts_plain parts_plain_look(struct page_row part, struct page_row *text);

/* The members of a file part, as parts_file makes them; of no bytes where there is none. */
void parts_plain_file(struct page_row part, struct page_row values[PARTS_FILE_NAMES]);

#endif
