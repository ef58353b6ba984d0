#include "unit.h"

#include "base/buffer.h"
#include "tests/support/message_tree.h"
#include "wire/cron_run.h"
#include "wire/served.h"
#include "wire/envelope.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SELF "7f1d0000-0000-4000-8000-000000000001"
#define PEER "c2d40000-0000-4000-8000-000000000002"

static struct message *read_bytes(const char *row, size_t length)
{
    struct message *message = message_tree_read((struct page_row){row, length}, SELF);
    if (!message)
        fail_msg("read in place it is another message: %.*s", (int)length, row);
    assert_non_null(message->text);
    assert_non_null(message->raw);
    assert_true((message->kind == ENVELOPE_UNREADABLE) == (message->problem != NULL));
    return message;
}

static struct message *read_text(const char *row)
{
    return read_bytes(row, strlen(row));
}

static void string_is(const char *got, const char *expected)
{
    if (!expected) {
        if (got)
            fail_msg("is \"%s\", not absent", got);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, expected);
}

static void json_is(const json_t *value, const char *expected)
{
    if (!expected) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, expected);
    free(text);
}

#define CANVAS_ENVELOPE                                                                \
    "{\"jsonrpc\":\"2.0\",\"id\":\"a3\",\"method\":\"message/send\",\"params\":{\n   " \
    "\"message\":{\"role\":\"user\","                                                  \
    "\"messageId\":\"5b\",\"parts\":[{\"kind\":\"text\",\"text\":\"hello\"},"          \
    "{\"kind\":\"file\",\"file\":{\"name\":\"a.log\",\"mimeType\":\"text/"             \
    "plain\",\"uri\":\"workspace:/a.log\","                                            \
    "\"size\":812}}]},"                                                                \
    "\"metadata\":{\"history\":[{\"role\":\"user\",\"parts\":[]}],\"source\":\"canvas_user\"}}}"

static void what_a_human_typed_in_the_canvas_is_a_message(void **state)
{
    (void)state;
    struct message *message = read_text("{\"id\":\"0c1e\",\"workspace_id\":\"7f1d\",\"activity_"
                                        "type\":\"a2a_receive\",\"source_id\":null,"
                                        "\"target_id\":\"7f1d\",\"method\":\"message/"
                                        "send\",\"summary\":\"message/send (queued for poll)\","
                                        "\"duration_ms\":null,\"status\":\"ok\",\"error_detail\":"
                                        "null,\"created_at\":\"2026-05-01T20:14:07.123456Z\","
                                        "\"request_body\":" CANVAS_ENVELOPE " ,\"seq\":42}");
    assert_int_equal(message->kind, ENVELOPE_MESSAGE);
    string_is(message->row_id, "0c1e");
    string_is(message->source_id, NULL);
    string_is(message->created_at, "2026-05-01T20:14:07.123456Z");
    string_is(message->method, "message/send");
    string_is(message->message_id, "5b");
    string_is(message->context_id, NULL);
    string_is(message->task_id, NULL);
    string_is(message->conversation, "canvas");
    string_is(message->text, "hello");
    assert_int_equal(message->text_length, 5);
    assert_int_equal(json_array_size(message->parts), 2);
    json_is(message->files, "[{\"name\":\"a.log\",\"mime_type\":\"text/"
                            "plain\",\"uri\":\"workspace:/a.log\",\"size\":812}]");
    json_is(message->metadata, "{\"source\":\"canvas_user\"}");
    json_is(message->history, "[{\"role\":\"user\",\"parts\":[]}]");
    assert_null(message->echo);
    string_is(message->raw, CANVAS_ENVELOPE);
    assert_int_equal(message->raw_length, strlen(CANVAS_ENVELOPE));
    assert_int_equal(message->seq, 42);
    assert_false(message->repaired);
    assert_int_equal(message->hops, 0);
    message_free(message);
}

static void what_a_peer_sent_is_a_message_with_its_names(void **state)
{
    (void)state;
    struct message *message = read_text(
        "{\"id\":\"91\",\"source_id\":\"" PEER
        "\",\"method\":\"message/send\",\"peer_name\":\"Builder\","
        "\"peer_role\":\"ci\",\"created_at\":\"2026-05-01T20:15:00.5Z\",\"request_body\":{"
        "\"jsonrpc\":\"2.0\","
        "\"method\":\"message/"
        "send\",\"params\":{\"metadata\":{\"a\":1,\"b\":1},\"message\":{\"role\":\"user\","
        "\"messageId\":\"7e\",\"contextId\":\"ctx\",\"taskId\":\"t1\",\"metadata\":{\"b\":2,"
        "\"molecule\":{\"in_reply_to\":\"q1\",\"hops\":3}},"
        "\"parts\":[{\"type\":\"text\",\"text\":\"please \"},{\"kind\":\"data\",\"data\":{}},"
        "{\"kind\":\"text\",\"text\":\"check\"}]}}}}");
    assert_int_equal(message->kind, ENVELOPE_MESSAGE);
    string_is(message->source_id, PEER);
    string_is(message->peer_name, "Builder");
    string_is(message->peer_role, "ci");
    string_is(message->context_id, "ctx");
    string_is(message->task_id, "t1");
    string_is(message->conversation, PEER "/ctx");
    string_is(message->text, "please check");
    string_is(message->in_reply_to, "q1");
    assert_int_equal(message->hops, 3);
    json_is(message->metadata,
            "{\"a\":1,\"b\":2,\"molecule\":{\"in_reply_to\":\"q1\",\"hops\":3}}");
    assert_null(message->files);
    assert_null(message->history);
    assert_int_equal(message->seq, -1);
    message_free(message);
}

#define SENT \
    "\"request_body\":{\"method\":\"message/send\",\"params\":{\"message\":{\"parts\":[]}}}"

static void every_row_is_told_apart(void **state)
{
    static const struct {
        const char *members;
        enum envelope_kind kind;
    } cases[] = {
        {"\"source_id\":null,\"method\":\"message/send\"," SENT, ENVELOPE_MESSAGE},
        {"\"method\":\"message/stream\"," SENT, ENVELOPE_MESSAGE},
        {"\"source_id\":\"" PEER "\",\"method\":null," SENT, ENVELOPE_MESSAGE},
        {SENT, ENVELOPE_MESSAGE},
        {"\"method\":\"message/send\"", ENVELOPE_MESSAGE},
        {"\"method\":\"message/send\",\"response_body\":null,\"status\":\"ok\"", ENVELOPE_MESSAGE},
        {"\"method\":\"message/send\",\"status\":7,\"summary\":[],\"created_at\":{},\"seq\":\"x\"",
         ENVELOPE_MESSAGE},
        {"\"source_id\":null,\"method\":\"notify\",\"response_body\":{\"result\":\"hi\"}",
         ENVELOPE_ECHO},
        {"\"source_id\":\"" SELF "\",\"method\":\"notify\"", ENVELOPE_ECHO},
        {"\"source_id\":\"" PEER "\",\"method\":\"notify\"," SENT, ENVELOPE_MESSAGE},
        {"\"source_id\":\"" SELF "\",\"method\":\"message/send\"", ENVELOPE_SELF_REPORT},
        {"\"source_id\":\"7F1D0000-0000-4000-8000-000000000001\",\"method\":\"x\"",
         ENVELOPE_SELF_REPORT},
        {"\"source_id\":\"" SELF
         "\",\"method\":\"delegate_result\",\"request_body\":{\"delegation_id\":\"d\"},"
         "\"response_body\":{\"text\":\"done\"}",
         ENVELOPE_MESSAGE},
        {"\"source_id\":\"" PEER "\",\"method\":\"delegate_result\"," SENT, ENVELOPE_MESSAGE},
        {"\"source_id\":null,\"method\":\"chat_upload_receive\",\"request_body\":{\"file_id\":"
         "\"f\"}",
         ENVELOPE_UPLOAD},
        {"\"source_id\":\"" PEER "\",\"method\":\"chat_upload_receive\"," SENT, ENVELOPE_MESSAGE},
        {"\"source_id\":\"" PEER
         "\",\"method\":\"message/send\",\"response_body\":{\"result\":1}," SENT,
         ENVELOPE_ANSWERED},
        {"\"method\":\"message/send\",\"response_body\":\"\"", ENVELOPE_ANSWERED},
        {"\"method\":\"message/send\",\"status\":\"error\"", ENVELOPE_ANSWERED},
        {"\"method\":\"message/send\",\"summary\":\"message/send (queued: target busy)\"",
         ENVELOPE_QUEUED_BUSY},
        {"\"method\":\"tasks/send\"," SENT, ENVELOPE_MESSAGE},
        {"\"method\":\"initialize\"", ENVELOPE_EMPTY},
        {"\"method\":null", ENVELOPE_EMPTY},
        {"\"method\":null,\"request_body\":{\"method\":\"notify\"}", ENVELOPE_MESSAGE},
        {"\"method\":null,\"request_body\":{\"method\":17}", ENVELOPE_MESSAGE},
        {"\"method\":\"\"", ENVELOPE_EMPTY},
        {"\"method\":\"\"," SENT, ENVELOPE_MESSAGE},
        {"\"method\":\"SendMessage\"," SENT, ENVELOPE_MESSAGE},
        {"\"source_id\":\"" PEER
         "\",\"method\":\"initialize\",\"request_body\":{\"jsonrpc\":\"2.0\",\"params\":{}}",
         ENVELOPE_MESSAGE},
        {"\"source_id\":\"" PEER "\",\"method\":null,\"request_body\":null", ENVELOPE_EMPTY},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char row[1024];
        snprintf(row, sizeof row, "{\"id\":\"1\",%s}", cases[i].members);
        struct message *message = read_text(row);
        if (message->kind != cases[i].kind)
            fail_msg("%s: %s, not %s", row, envelope_kind_text(message->kind),
                     envelope_kind_text(cases[i].kind));
        string_is(message->row_id, "1");
        message_free(message);
    }
}

static void an_echo_and_a_delegation_keep_what_was_said(void **state)
{
    (void)state;
    struct message *message = read_text(
        "{\"id\":\"1\",\"method\":\"notify\",\"response_body\":{\"result\":\"hi\"}}");
    string_is(message->echo, "hi");
    string_is(message->raw, "");
    message_free(message);
    message = read_text(
        "{\"id\":\"1\",\"method\":\"message/send\",\"response_body\":{\"result\":\"hi\"}}");
    assert_null(message->echo);
    message_free(message);
}

static void a_staged_upload_names_its_file(void **state)
{
    (void)state;
    struct message *message = read_text(
        "{\"id\":\"1\",\"method\":\"chat_upload_receive\",\"summary\":\"uploaded\",\"request_"
        "body\":{\"file_id\":\"f\","
        "\"name\":\"a.png\",\"mimeType\":\"image/png\",\"size\":9,\"uri\":\"platform-pending:w/"
        "f\"}}");
    json_is(message->files, "[{\"name\":\"a.png\",\"mime_type\":\"image/"
                            "png\",\"uri\":\"platform-pending:w/f\",\"size\":9}]");
    string_is(message->text, "uploaded");
    message_free(message);
    message = read_text("{\"id\":\"1\",\"method\":\"chat_upload_receive\",\"request_body\":7}");
    assert_int_equal(message->kind, ENVELOPE_UPLOAD);
    assert_null(message->files);
    message_free(message);
}

static void a_row_whose_envelope_is_no_object_is_still_readable(void **state)
{
    (void)state;
    static const struct {
        const char *body, *raw;
    } cases[] = {{",\"request_body\":\"text {\\\"params\\\":1}\"", "\"text {\\\"params\\\":1}\""},
                 {",\"request_body\":12.50", "12.50"},
                 {",\"request_body\":null", "null"},
                 {"", ""},
                 {",\"request_body\":[1, 2]", "[1, 2]"},
                 {",\"request_body\":true", "true"},
                 {",\"request_body\":{}", "{}"},
                 {",\"request_body\":{\"params\":{\"message\":7}}", "{\"params\":{\"message\":7}}"},
                 {",\"request_body\":{\"params\":{\"message\":{\"parts\":\"x\"}}}",
                  "{\"params\":{\"message\":{\"parts\":\"x\"}}}"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char row[512];
        snprintf(row, sizeof row,
                 "{\"id\":\"1\",\"method\":\"message/send\",\"summary\":\"said so\"%s}",
                 cases[i].body);
        struct message *message = read_text(row);
        assert_int_equal(message->kind, ENVELOPE_MESSAGE);
        string_is(message->text, "said so");
        string_is(message->raw, cases[i].raw);
        assert_null(message->parts);
        assert_null(message->files);
        assert_null(message->metadata);
        message_free(message);
    }
}

static void the_text_is_found_wherever_parts_may_stand(void **state)
{
    (void)state;
#define TEXT(t) "[{\"kind\":\"text\",\"text\":\"" t "\"}]"
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{\"params\":{\"message\":{\"parts\":" TEXT("a") "},\"parts\":" TEXT(
             "b") "},\"parts\":" TEXT("c") "}",
         "a"},
        {"{\"params\":{\"message\":{\"parts\":[]},\"parts\":" TEXT("b") "},\"parts\":" TEXT(
             "c") "}",
         "b"},
        {"{\"params\":{},\"parts\":" TEXT("c") "}", "c"},
        {"{\"parts\":[]}", "fallback"},
        {"{\"parts\":[{\"kind\":\"file\",\"file\":{\"uri\":\"u\"}}]}", ""},
        {"{\"parts\":[{\"kind\":\"text\"},{\"kind\":\"text\",\"text\":7},4,null,[],{\"text\":7},{"
         "\"data\":{\"text\":\"no\"}}]}",
         ""},
        {"{\"params\":{\"message\":{\"parts\":[{\"text\":\"un\"},{\"kind\":null,\"text\":\"told\"}]"
         "}}}",
         "untold"},
        {"{\"params\":{\"message\":{\"parts\":[\"no\",{\"type\":\"input_text\",\"text\":\"words\"}]"
         "}}}",
         "words"},
        {"{\"params\":{\"message\":{\"parts\":[{\"kind\":\"data\",\"text\":\"no\",\"data\":1}]}}}",
         ""},
        {"{\"params\":{\"message\":{\"content\":\"alone\"}}}", "alone"},
        {"{\"params\":{\"message\":{\"content\":[{\"text\":\"listed\"}]}}}", "listed"},
        {"{\"params\":{\"message\":{\"parts\":[],\"content\":[{\"text\":\"listed\"}]}}}", "listed"},
        {"{\"message\":{\"role\":\"ROLE_USER\",\"parts\":[{\"text\":\"rest\"}]}}", "rest"},
        {"{\"parts\":[{\"kind\":\"text\",\"text\":\"\xc3\xa9\"},{\"type\":\"text\",\"text\":"
         "\"\\u00e9\"}]}",
         "\xc3\xa9\xc3\xa9"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char row[512];
        snprintf(row, sizeof row,
                 "{\"id\":\"1\",\"method\":\"message/"
                 "send\",\"summary\":\"fallback\",\"request_body\":%s}",
                 cases[i].body);
        struct message *message = read_text(row);
        string_is(message->text, cases[i].text);
        message_free(message);
    }
}

static void files_are_found_in_every_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *part, *file;
    } cases[] = {{"{\"kind\":\"file\",\"file\":{\"uri\":\"u\",\"name\":\"n\",\"mimeType\":\"m\","
                  "\"size\":1}}",
                  "{\"name\":\"n\",\"mime_type\":\"m\",\"uri\":\"u\",\"size\":1}"},
                 {"{\"type\":\"file\",\"file\":{\"bytes\":\"QQ==\",\"mime_type\":\"m\"}}",
                  "{\"mime_type\":\"m\",\"bytes\":\"QQ==\"}"},
                 {"{\"kind\":\"file\",\"uri\":\"u\",\"mediaType\":\"m\",\"name\":\"n\"}",
                  "{\"name\":\"n\",\"mime_type\":\"m\",\"uri\":\"u\"}"},
                 {"{\"kind\":\"file\",\"mime_type\":\"m\",\"data\":\"QQ==\"}",
                  "{\"mime_type\":\"m\",\"bytes\":\"QQ==\"}"},
                 {"{\"kind\":\"file\",\"file\":7,\"uri\":8,\"size\":\"9\"}", "{}"},
                 {"{\"raw\":\"QQ==\",\"filename\":\"n\",\"mediaType\":\"m\"}",
                  "{\"name\":\"n\",\"mime_type\":\"m\",\"bytes\":\"QQ==\"}"},
                 {"{\"url\":\"u\",\"filename\":\"n\",\"media_type\":\"m\"}",
                  "{\"name\":\"n\",\"mime_type\":\"m\",\"uri\":\"u\"}"},
                 {"{\"file\":{\"fileWithUri\":\"u\",\"mediaType\":\"m\"},\"filename\":\"n\"}",
                  "{\"mime_type\":\"m\",\"uri\":\"u\",\"name\":\"n\"}"},
                 {"{\"file\":{\"file_with_bytes\":\"QQ==\"}}", "{\"bytes\":\"QQ==\"}"},
                 {"{\"type\":\"input_file\",\"filename\":\"n\",\"data\":\"QQ==\"}",
                  "{\"name\":\"n\",\"bytes\":\"QQ==\"}"},
                 {"{\"filename\":\"n\",\"data\":\"QQ==\"}", "{\"name\":\"n\",\"bytes\":\"QQ==\"}"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char row[512], expected[512];
        snprintf(row, sizeof row,
                 "{\"id\":\"1\",\"method\":\"message/send\",\"request_body\":{\"parts\":[%s]}}",
                 cases[i].part);
        snprintf(expected, sizeof expected, "[%s]", cases[i].file);
        struct message *message = read_text(row);
        json_t *files = json_loads(expected, 0, NULL); /* the order of members is of no use */
        if (!json_equal(message->files, files))
            fail_msg("%s is another file", cases[i].part);
        json_decref(files);
        message_free(message);
    }
}

static void text_may_hold_nul_and_other_names_do_not(void **state)
{
    (void)state;
    struct message *message = read_text(
        "{\"id\":\"1\",\"method\":\"message/"
        "send\",\"request_body\":{\"params\":{\"message\":{\"messageId\":\"a\\u0000b\","
        "\"contextId\":\"\\u0000\",\"parts\":[{\"kind\":\"text\",\"text\":\"x\\u0000y\"}]}}}}");
    assert_int_equal(message->text_length, 3);
    assert_memory_equal(message->text, "x\0y", 4);
    string_is(message->message_id, "ab");
    string_is(message->context_id, NULL);
    string_is(message->conversation, "canvas");
    message_free(message);
}

static void integers_keep_their_64_bits(void **state)
{
    (void)state;
    struct message *message = read_text(
        "{\"id\":\"1\",\"method\":\"message/send\",\"seq\":9223372036854775807,\"request_body\":"
        "{\"params\":{\"metadata\":{\"n\":9007199254740993}}}}");
    assert_true(message->seq == INT64_MAX);
    json_is(message->metadata, "{\"n\":9007199254740993}");
    message_free(message);
}

static void a_broken_row_is_repaired_and_its_raw_bytes_are_not(void **state)
{
    (void)state;
#define BROKEN                                                              \
    "{\"parts\":[{\"kind\":\"text\",\"text\":\"a\\ud800b\xff\nc\"}],\"n\":" \
    "123456789012345678901234}"
    struct message *message = read_text(
        "{\"id\":\"1\",\"method\":\"message/send\",\"request_body\":" BROKEN "}");
    assert_int_equal(message->kind, ENVELOPE_MESSAGE);
    assert_true(message->repaired);
    string_is(message->text, "a\xef\xbf\xbd"
                             "b\xef\xbf\xbd\nc");
    string_is(message->raw, BROKEN);
    message_free(message);
}

static void an_unreadable_row_gives_its_id_so_that_the_cursor_can_move(void **state)
{
    (void)state;
    static const struct {
        const char *row, *id, *words;
    } cases[] = {{"{\"id\":\"1\",\"request_body\":{oops}}", "1", "at byte"},
                 {"{\"request_body\":{oops},\"id\":\"\\u0031\"}", "1", "at byte"},
                 {"{\"request_body\":{oops},\"id\":1}", NULL, "at byte"},
                 {"{\"id\":\"1\",\"source_id\":7,\"method\":\"message/send\"}", "1", "source_id"},
                 {"{\"method\":\"message/send\"}", NULL, "no id"},
                 {"{\"id\":null}", NULL, "no id"},
                 {"{\"id\":7}", NULL, "no id"},
                 {"{\"id\":\"\"}", NULL, "no id"},
                 {"{\"id\":\"a\\u0000b\"}", NULL, "no id"},
                 {"{\"id\":{\"id\":\"1\"}}", NULL, "no id"},
                 {"null", NULL, "not a JSON object"},
                 {"[]", NULL, "not a JSON object"},
                 {"\"id\"", NULL, "not a JSON object"},
                 {"7", NULL, "not a JSON object"},
                 {"oops", NULL, ""},
                 {"", NULL, ""},
                 {"{\"id\":\"1\"", NULL, ""}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message *message = read_text(cases[i].row);
        assert_int_equal(message->kind, ENVELOPE_UNREADABLE);
        string_is(message->row_id, cases[i].id);
        if (!strstr(message->problem, cases[i].words))
            fail_msg("%s: says %s", cases[i].row, message->problem);
        message_free(message);
    }
    struct message *message = read_text(cases[0].row);
    string_is(message->raw, "{oops}");
    message_free(message);
    message = envelope_read((struct page_row){NULL, 0}, NULL);
    assert_int_equal(message->kind, ENVELOPE_UNREADABLE);
    message_free(message);
    message_free(NULL);
}

static char *nested(size_t levels)
{
    struct buffer row;
    buffer_init(&row, SIZE_MAX / 2);
    buffer_append_text(&row, "{\"id\":\"deep\",\"method\":\"message/send\",\"request_body\":");
    for (size_t i = 0; i < levels; i++)
        buffer_append_char(&row, '[');
    for (size_t i = 0; i < levels; i++)
        buffer_append_char(&row, ']');
    buffer_append_char(&row, '}');
    return buffer_take(&row);
}

static void a_row_nested_too_deeply_is_unreadable_and_nothing_worse(void **state)
{
    (void)state;
    static const struct {
        size_t levels;
        enum envelope_kind kind;
    } cases[] = {{1000, ENVELOPE_MESSAGE},
                 {2048, ENVELOPE_MESSAGE},
                 {2049, ENVELOPE_UNREADABLE},
                 {1000000, ENVELOPE_UNREADABLE}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *row = nested(cases[i].levels);
        struct message *message = read_text(row);
        assert_int_equal(message->kind, cases[i].kind);
        string_is(message->row_id, "deep");
        assert_int_equal(message->raw_length, 2 * cases[i].levels);
        message_free(message);
        free(row);
    }
}

static void hops_stay_within_an_int(void **state)
{
    (void)state;
    static const struct {
        const char *hops;
        int expected;
    } cases[] = {{"-5", 0}, {"9223372036854775807", 2147483647}, {"\"3\"", 0}, {"1.5", 0},
                 {"7", 7},  {"99999999999999999999", 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char row[256];
        snprintf(
            row, sizeof row,
            "{\"id\":\"1\",\"request_body\":{\"params\":{\"message\":{\"metadata\":{\"molecule\":"
            "{\"hops\":%s}}}}}}",
            cases[i].hops);
        struct message *message = read_text(row);
        assert_int_equal(message->hops, cases[i].expected);
        message_free(message);
    }
}

static void an_ordinary_message_is_read_in_place_and_any_other_as_a_tree(void **state)
{
    (void)state;
#define WITH_TEXT(t) "{\"parts\":[{\"kind\":\"text\",\"text\":\"" t "\"}]}"
    static const struct {
        const char *row;
        bool in_place;
    } cases[] = {
        {"{\"id\":\"1\",\"request_body\":" WITH_TEXT("a \\ud83d\\ude00 \\u0000 \xc3\xa9") "}",
         true},
        {" { \"id\" : \"1\" , \"request_body\" : { \"parts\" : [ { \"text\" : \"b\" } , 4 ] } } ",
         true},
        {"{\"id\":\"1\",\"request_body\":{},\"request_body\":" WITH_TEXT("last") "}", true},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[],\"parts\":[{\"text\":\"a\",\"text\":\"b\"}]}"
         "}",
         true},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[{\"kind\":\"data\",\"data\":1e5}]}}", true},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[{\"kind\":\"data\",\"data\":1e500}]}}", false},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[{\"kind\":\"data\",\"data\":01}]}}", false},
        {"{\"id\":\"1\",\"request_body\":" WITH_TEXT("\\ud83d") "}", false},
        {"{\"id\":\"1\",\"request_body\":" WITH_TEXT("\\ude00") "}", false},
        {"{\"id\":\"1\",\"request_body\":" WITH_TEXT("\xff") "}", false},
        {"{\"id\":\"1\",\"request_body\":" WITH_TEXT("\n") "}", false},
        {"{\"id\":\"1\",\"request_body\":" WITH_TEXT("\\x") "}", false},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[{\"kind\":\"file\",\"file\":{}}]}}", true},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[{\"kind\":\"f\\u0069le\",\"file\":{}}]}}",
         false},
        {"{\"id\":\"1\",\"request_body\":{\"parts\":[{\"k\\u0069nd\":\"text\",\"text\":\"a\"}]}}",
         false},
        {"{\"id\":\"1\",\"status\":\"err\\u006fr\",\"request_body\":" WITH_TEXT("a") "}", false},
        {"{\"id\":\"1\",\"response_body\":{},\"request_body\":" WITH_TEXT("a") "}", true},
        {"{\"id\":\"1\",\"response_body\":{\"result\":\"a\\u0000b\"},\"method\":\"notify\","
         "\"request_body\":" WITH_TEXT("a") "}",
         true},
        {"{\"id\":\"1\",\"response_body\":{\"result\":1},\"method\":\"notify\",\"request_"
         "body\":" WITH_TEXT("a") "}",
         true},
        {"{\"id\":\"1\",\"method\":\"delegate_result\",\"request_body\":" WITH_TEXT("a") "}",
         false},
        {"{\"id\":\"1\",\"method\":\"notify\",\"request_body\":" WITH_TEXT("a") "}", true},
        {"{\"id\":\"1\",\"seq\":9223372036854775807,\"request_body\":" WITH_TEXT("a") "}", false},
        {"{\"id\":\"1\",\"seq\":-0.0,\"request_body\":" WITH_TEXT("a") "}", true}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        message_free(read_text(cases[i].row)); /* both ways agree */
        struct message *message = envelope_read(
            (struct page_row){cases[i].row, strlen(cases[i].row)}, SELF);
        if ((message->plain.parts.bytes != NULL) != cases[i].in_place)
            fail_msg("%s %s read in place", cases[i].row, cases[i].in_place ? "is not" : "is");
        json_t *parts = message_parts(message);
        assert_true(json_equal(parts, message->parts) || message->plain.parts.bytes || !parts);
        json_decref(parts);
        message_shed(message);
        assert_null(message->plain.parts.bytes);
        message_restore(message, (struct page_row){cases[i].row, strlen(cases[i].row)}, SELF);
        assert_int_equal(message->plain.parts.bytes != NULL, cases[i].in_place);
        message_free(message);
    }
}

static long allocations_left = -1;

static void *failing_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    if (allocations_left > 0)
        allocations_left--;
    return malloc(size);
}

static void a_parser_without_memory_says_so_and_leaks_nothing(void **state)
{
    (void)state;
    static const char row[] = "{\"id\":\"1\",\"source_id\":\"" PEER
                              "\",\"method\":\"message/send\",\"request_body\":" CANVAS_ENVELOPE ","
                              "\"seq\":1}";
    json_set_alloc_funcs(failing_malloc, free);
    bool whole = false;
    for (long allowed = 0; allowed < 1000 && !whole; allowed++) {
        allocations_left = allowed;
        struct message *message = envelope_read_tree((struct page_row){row, sizeof row - 1}, SELF);
        whole = message->kind == ENVELOPE_MESSAGE;
        if (!whole) {
            assert_int_equal(message->kind, ENVELOPE_UNREADABLE);
            assert_non_null(message->problem);
            string_is(message->raw, CANVAS_ENVELOPE);
        }
        message_free(message);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(whole);
}

static void a_run_of_a_schedule_is_a_message_that_no_row_of_the_platform_can_be(void **state)
{
    (void)state;
    struct cron_run run = {
        .name = "a \"b\" ü", .spec = "0 8 * * *", .zone = "Europe/Berlin", .at_s = 1774746000};
    char id[UUID_TEXT_SIZE], other[UUID_TEXT_SIZE];
    char *row = cron_run_row(&run);
    struct page_row bytes = {row, strlen(row)};
    assert_true(cron_run_is(bytes));
    struct message *read = ledger_row_read(bytes, SELF);
    cron_run_id(&run, id);
    assert_int_equal(read->kind, ENVELOPE_MESSAGE);
    assert_string_equal(read->row_id, id);
    assert_string_equal(read->source_id, "cron/a \"b\" ü");
    assert_string_equal(read->conversation, "cron/a \"b\" ü");
    assert_string_equal(read->created_at, "2026-03-29T01:00:00.000Z");
    assert_int_equal(json_integer_value(json_object_get(read->run, "scheduled_at")), 1774746000);
    message_free(read);
    free(row);
    run.at_s++;
    cron_run_id(&run, other);
    assert_string_not_equal(id, other);
    static const char peers[] = "{\"id\":\"x\",\"source_id\":\"" PEER
                                "\",\"method\":\"cron\",\"molecule_cron\":{\"name\":\"a\"}}";
    assert_false(cron_run_is((struct page_row){peers, strlen(peers)}));
    read = ledger_row_read((struct page_row){peers, strlen(peers)}, SELF);
    assert_null(read->run);
    message_free(read);
}

static void a_damaged_run_of_a_schedule_is_unreadable(void **state)
{
    (void)state;
    static const char *const rows[] = {"{\"molecule_cron\":", "{\"molecule_cron\":{}}",
                                       "{\"molecule_cron\":{\"name\":5},\"id\":\"x\"}"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message *read = cron_run_read((struct page_row){rows[i], strlen(rows[i])});
        assert_int_equal(read->kind, ENVELOPE_UNREADABLE);
        assert_non_null(read->problem);
        assert_null(read->run);
        message_free(read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_human_typed_in_the_canvas_is_a_message),
        cmocka_unit_test(what_a_peer_sent_is_a_message_with_its_names),
        cmocka_unit_test(every_row_is_told_apart),
        cmocka_unit_test(a_run_of_a_schedule_is_a_message_that_no_row_of_the_platform_can_be),
        cmocka_unit_test(a_damaged_run_of_a_schedule_is_unreadable),
        cmocka_unit_test(an_echo_and_a_delegation_keep_what_was_said),
        cmocka_unit_test(a_staged_upload_names_its_file),
        cmocka_unit_test(a_row_whose_envelope_is_no_object_is_still_readable),
        cmocka_unit_test(the_text_is_found_wherever_parts_may_stand),
        cmocka_unit_test(files_are_found_in_every_spelling),
        cmocka_unit_test(text_may_hold_nul_and_other_names_do_not),
        cmocka_unit_test(integers_keep_their_64_bits),
        cmocka_unit_test(a_broken_row_is_repaired_and_its_raw_bytes_are_not),
        cmocka_unit_test(an_unreadable_row_gives_its_id_so_that_the_cursor_can_move),
        cmocka_unit_test(a_row_nested_too_deeply_is_unreadable_and_nothing_worse),
        cmocka_unit_test(hops_stay_within_an_int),
        cmocka_unit_test(an_ordinary_message_is_read_in_place_and_any_other_as_a_tree),
        cmocka_unit_test(a_parser_without_memory_says_so_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
