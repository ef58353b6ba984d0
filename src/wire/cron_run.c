#include "wire/cron_run.h"

#include "base/clock.h"
#include "base/memory.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define MARK "{\"molecule_cron\":" /* the platform's rows begin differently */

void cron_run_id(const struct cron_run *run, char id[UUID_TEXT_SIZE])
{
    char *name = memory_format("cron/%s/%lld", run->name, (long long)run->at_s);
    uuid_of_name(name, id);
    free(name);
}

char *cron_run_row(const struct cron_run *run)
{
    char id[UUID_TEXT_SIZE], when[CLOCK_TEXT_SIZE];
    cron_run_id(run, id);
    clock_format(run->at_s * 1000, when);
    json_t *said = json_pack("{s:s, s:s, s:s, s:I}", "name", run->name, "spec", run->spec,
                             "timezone", run->zone, "scheduled_at", (json_int_t)run->at_s);
    json_t *row = json_pack("{s:o, s:s, s:s}", "molecule_cron", said, "id", id, "created_at", when);
    char *text = row ? jsontext_print(row) : NULL;
    json_decref(row);
    if (!text)
        abort(); /* no memory, as base/memory.h: the texts are valid UTF-8 */
    return text;
}

bool cron_run_is(struct page_row row)
{
    return row.length > strlen(MARK) && memcmp(row.bytes, MARK, strlen(MARK)) == 0;
}

static char *copy(const json_t *object, const char *key)
{
    return memory_copy_text(json_string_value(json_object_get(object, key)));
}

struct message *cron_run_read(struct page_row row)
{
    struct message *message = memory_allocate(sizeof *message);
    json_t *parsed = json_loadb(row.bytes, row.length, 0, NULL);
    json_t *run = json_object_get(parsed, "molecule_cron");
    const char *name = json_string_value(json_object_get(run, "name"));
    message->seq = -1;
    message->text = memory_copy_text("");
    message->raw = memory_copy_text("");
    message->row_id = copy(parsed, "id");
    message->created_at = copy(parsed, "created_at");
    message->method = memory_copy_text("cron");
    if (message->row_id && message->created_at && name) {
        message->run = json_incref(run);
        message->source_id = memory_join("cron", "/", name);
        message->conversation = memory_copy_text(message->source_id);
        message->unanswerable = true;
    } else {
        message->kind = ENVELOPE_UNREADABLE;
        message->problem = memory_copy_text("it is a damaged run of a schedule");
    }
    json_decref(parsed);
    return message;
}
