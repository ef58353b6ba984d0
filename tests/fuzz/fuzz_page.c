/* Any bytes as the body of a poll: rows lie within it, in order, apart from each other, and are cut
 * alike alone. */
#include "fuzz.h"

#include "wire/page.h"

#include <string.h>

static void check_members(struct page_row row)
{
    static const char *const keys[] = {"id", "request_body", "a"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct page_row value;
        if (!page_member(row, keys[i], &value))
            continue;
        HOLDS(value.length > 0 && value.bytes > row.bytes);
        HOLDS(value.bytes + value.length <= row.bytes + row.length);
    }
}

static void check_alone(struct page_row row)
{
    struct page page;
    const char *problem;
    char *body = malloc(row.length + 2);
    body[0] = '[';
    memcpy(body + 1, row.bytes, row.length);
    body[row.length + 1] = ']';
    HOLDS(page_cut(body, row.length + 2, &page, &problem));
    HOLDS(page.count == 1 && page.rows[0].length == row.length);
    page_free(&page);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data, *last = body, *problem = NULL;
    struct page page;
    check_members((struct page_row){body, size});
    bool cut = page_cut(body, size, &page, &problem);
    HOLDS(cut == !problem && (cut || page.count == 0));
    for (size_t i = 0; i < page.count; i++) {
        struct page_row row = page.rows[i];
        HOLDS(row.length > 0 && row.bytes > last && row.bytes + row.length < body + size);
        last = row.bytes + row.length - 1;
        check_members(row);
        if (i < 4)
            check_alone(row);
    }
    page_free(&page);
    return 0;
}
