#include "wire/parts_plain.h"

#include <string.h>

/* A2A 1.0 has no `kind`: the member that is present tells. */
static enum parts_plain look_at_content(struct page_row part, struct page_row text)
{
    static const char *const names[] = {"data", "filename", "fileName"};
    struct page_row places[PARTS_FILE_PLACES], values[3];
    if (slice_is_string(text))
        return PARTS_PLAIN_TEXT;
    page_members(part, parts_file_places, PARTS_FILE_PLACES, places);
    for (size_t i = 0; i < PARTS_FILE_PLACES; i++)
        if (places[i].bytes)
            return PARTS_PLAIN_FILE;
    page_members(part, names, 3, values);
    bool named = values[1].bytes || values[2].bytes;
    return slice_is_string(values[0]) && named ? PARTS_PLAIN_FILE : PARTS_PLAIN_OTHER;
}

enum parts_plain parts_plain_look(struct page_row part, struct page_row *text)
{
    static const char *const names[] = {"kind", "type", "text"};
    struct page_row members[3];
    if (!slice_is_object(part))
        return PARTS_PLAIN_OTHER;
    page_members(part, names, 3, members);
    *text = members[2];
    for (size_t i = 0; i < 2; i++) {
        if (!slice_is_string(members[i]))
            continue;
        if (!slice_is_plain(members[i]))
            return PARTS_PLAIN_UNUSUAL;
        const char *kind = parts_known_kind(members[i].bytes + 1, members[i].length - 2);
        if (kind && *kind == 't')
            return slice_is_string(*text) ? PARTS_PLAIN_TEXT : PARTS_PLAIN_OTHER;
        if (kind)
            return *kind == 'f' ? PARTS_PLAIN_FILE : PARTS_PLAIN_OTHER;
    }
    return look_at_content(part, *text);
}

static void add_members(struct page_row source, struct page_row values[PARTS_FILE_NAMES])
{
    struct page_row found[PARTS_FILE_SPELLINGS];
    page_members(source, parts_file_spellings, PARTS_FILE_SPELLINGS, found);
    for (size_t i = 0; i < PARTS_FILE_SPELLINGS; i++) {
        enum parts_file_name name = parts_file_meanings[i];
        bool fits = name == PARTS_FILE_SIZE ? slice_is_number(found[i]) : slice_is_string(found[i]);
        if (fits && !values[name].bytes)
            values[name] = found[i];
    }
}

void parts_plain_file(struct page_row part, struct page_row values[PARTS_FILE_NAMES])
{
    struct page_row nested;
    memset(values, 0, PARTS_FILE_NAMES * sizeof *values);
    if (page_member(part, "file", &nested) && slice_is_object(nested))
        add_members(nested, values);
    add_members(part, values);
}
