#include "inbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void inbox_open(struct inbox *inbox, uint32_t workspace, uint32_t peers)
{
    *inbox = (struct inbox){.workspace = workspace, .peers = peers};
    inbox->latest = calloc(peers + 1, sizeof *inbox->latest);
    if (!inbox->latest)
        abort();
}

void inbox_close(struct inbox *inbox)
{
    free(inbox->marks);
    free(inbox->latest);
}

void inbox_add(struct inbox *inbox, uint32_t count, int64_t now_ns)
{
    uint32_t visible = inbox->visible + count;
    if (visible >= inbox->capacity) {
        inbox->capacity = visible * 2 + 16;
        inbox->marks = realloc(inbox->marks, inbox->capacity * sizeof *inbox->marks);
        if (!inbox->marks)
            abort();
    }
    for (uint32_t row = inbox->visible + 1; row <= visible; row++)
        inbox->marks[row] = (struct inbox_mark){.visible_ns = now_ns};
    inbox->visible = visible;
}

void inbox_workspace_id(uint32_t workspace, char id[INBOX_ID_SIZE])
{
    snprintf(id, INBOX_ID_SIZE, "%08" PRIx32 "-0000-4000-8000-000000000001", workspace);
}

uint32_t inbox_workspace_of(const char *id)
{
    char *end;
    unsigned long workspace = strtoul(id, &end, 16);
    return end == id + 8 && *end == '-' ? (uint32_t)workspace : UINT32_MAX;
}

int64_t inbox_row_of(const struct inbox *inbox, const char *id)
{
    if (strlen(id) < INBOX_ID_SIZE - 1 || inbox_workspace_of(id) != inbox->workspace)
        return -1;
    unsigned long row = strtoul(id + 24, NULL, 16);
    return row <= inbox->visible ? (int64_t)row : -1;
}

/* Rows are stamped a microsecond apart, from the start of the process. */
static const char *created_at(uint32_t row)
{
    static time_t began, written = -1;
    static char second[32], text[48];
    if (began == 0)
        began = time(NULL);
    time_t now = began + row / 1000000;
    if (now != written) {
        struct tm parts;
        strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now, &parts));
        written = now;
    }
    snprintf(text, sizeof text, "%s.%06uZ", second, (unsigned)(row % 1000000));
    return text;
}

/* Platform contract 2.1 to 2.3: keys in alphabetical order, the envelope's shortest first. */
static size_t write_row(const struct inbox *inbox, uint32_t row, char *bytes)
{
    char workspace[INBOX_ID_SIZE], source[INBOX_ID_SIZE + 2] = "null";
    inbox_workspace_id(inbox->workspace, workspace);
    if (inbox->peers > 0)
        snprintf(source, sizeof source, "\"%08" PRIx32 "-0000-4000-9000-000000000002\"",
                 row % inbox->peers);
    return (size_t)snprintf(
        bytes, INBOX_ROW_MAXIMUM,
        "{\"activity_type\":\"a2a_receive\",\"created_at\":\"%s\",\"duration_ms\":null,\"error_"
        "detail\":null,"
        "\"id\":\"%08" PRIx32 "-0000-4000-a000-%012" PRIx32 "\",\"method\":\"message/send\","
        "\"request_body\":{\"id\":\"%08" PRIx32 "-1111-4000-b000-%012" PRIx32
        "\",\"method\":\"message/send\","
        "\"params\":{\"message\":{\"role\":\"user\",\"parts\":[{\"kind\":\"text\","
        "\"text\":\"please check the build #%" PRIu32 ":%" PRIu32 " and tell what you found\"}],"
        "\"messageId\":\"%08" PRIx32 "-2222-4000-b000-%012" PRIx32 "\"}},\"jsonrpc\":\"2.0\"},"
        "\"source_id\":%s,\"status\":\"ok\",\"summary\":\"message/send \\u2192 My Laptop (queued "
        "for poll)\","
        "\"target_id\":\"%s\",\"workspace_id\":\"%s\"}",
        created_at(row), inbox->workspace, row, inbox->workspace, row, inbox->workspace, row,
        inbox->workspace, row, source, workspace, workspace);
}

size_t inbox_page(struct inbox *inbox, int64_t after, uint32_t limit, char *page)
{
    bool newest_first = after < 0;
    uint32_t from = newest_first ? (inbox->visible > limit ? inbox->visible - limit : 0)
                                 : (uint32_t)after;
    uint32_t count = inbox->visible - from < limit ? inbox->visible - from : limit;
    size_t length = 0;
    page[length++] = '[';
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            page[length++] = ',';
        length += write_row(inbox, newest_first ? from + count - i : from + 1 + i, page + length);
    }
    page[length++] = ']';
    inbox->page_first = from + 1;
    inbox->page_count = count;
    return length;
}

void inbox_page_sent(struct inbox *inbox, int64_t now_ns, struct inbox_tally *tally)
{
    for (uint32_t i = 0; i < inbox->page_count; i++)
        if (inbox->marks[inbox->page_first + i].sent_ns == 0)
            inbox->marks[inbox->page_first + i].sent_ns = now_ns;
    if (inbox->page_count > 0 && tally->first_sent_ns == 0)
        tally->first_sent_ns = now_ns;
}

bool inbox_replied(struct inbox *inboxes, uint32_t count, const char *body, size_t length,
                   int64_t now_ns, struct inbox_tally *tally)
{
    const char *mark = memchr(body, '#', length);
    unsigned workspace, row;
    char text[32] = "";
    if (mark)
        memcpy(text, mark,
               (size_t)(body + length - mark) < sizeof text - 1 ? (size_t)(body + length - mark)
                                                                : sizeof text - 1);
    if (sscanf(text, "#%u:%u", &workspace, &row) != 2 || workspace >= count || row == 0 ||
        row > inboxes[workspace].visible) {
        tally->unknown++;
        return false;
    }
    struct inbox *inbox = &inboxes[workspace];
    struct inbox_mark *at = &inbox->marks[row];
    uint32_t *latest = &inbox->latest[inbox->peers > 0 ? row % inbox->peers : 0];
    tally->replies++;
    if (at->replies++ > 0) {
        tally->duplicates++;
        return true;
    }
    tally->distinct++;
    tally->out_of_order += row < *latest;
    *latest = row;
    at->replied_ns = now_ns;
    tally->last_reply_ns = now_ns;
    return true;
}
