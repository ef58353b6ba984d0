#include "link/batch.h"

#include "base/memory.h"
#include "base/shared.h"

#include <stdlib.h>
#include <string.h>

void batch_add(struct batch *batch, struct message *message, const struct page_row *row)
{
    message_shed_large(message, *row);
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 16;
        batch->rows = memory_resize(batch->rows, batch->capacity * sizeof *batch->rows);
    }
    batch->rows[batch->count++] = (struct batch_row){
        .message = message,
        .row = shared_copy(row->bytes, row->length),
        .length = row->length,
    };
}

bool batch_has(const struct batch *batch, size_t first_count, const char *row_id)
{
    for (size_t i = 0; row_id && i < first_count; i++) {
        const char *other = batch->rows[i].message->row_id;
        if (other && strcmp(other, row_id) == 0)
            return true;
    }
    return false;
}

void batch_reverse(struct batch *batch)
{
    for (size_t i = 0, j = batch->count; i + 1 < j; i++) {
        struct batch_row moved = batch->rows[i];
        batch->rows[i] = batch->rows[--j];
        batch->rows[j] = moved;
    }
}

void batch_cut(struct batch *batch, size_t count)
{
    while (batch->count > count) {
        struct batch_row *last = &batch->rows[--batch->count];
        message_free(last->message);
        shared_release(last->row);
    }
}

void batch_clear(struct batch *batch)
{
    batch_cut(batch, 0);
    free(batch->rows);
    batch->rows = NULL;
    batch->capacity = 0;
}
