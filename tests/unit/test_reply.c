#include "unit.h"

#include "base/uuid.h"
#include "wire/reply.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PEER "c2d40000-0000-4000-8000-000000000002"

static struct message from_peer(void)
{
    return (struct message){.kind = ENVELOPE_MESSAGE,
                            .row_id = "row-1",
                            .source_id = PEER,
                            .message_id = "7e",
                            .context_id = "ctx",
                            .hops = 2};
}

static struct message from_canvas(void)
{
    return (struct message){.kind = ENVELOPE_MESSAGE, .row_id = "row-1", .message_id = "5b"};
}

static struct reply saying(char *text)
{
    return (struct reply){.text = text, .text_length = text ? strlen(text) : 0};
}

/* The body that answers `message` with the parts given as JSON, and perhaps a text. */
static json_t *build(struct message message, char *text, const char *parts)
{
    struct reply reply = saying(text);
    struct reply_request request;
    char problem[256] = "";
    reply.parts = parts ? json_loads(parts, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL) : NULL;
    assert_true(!parts || reply.parts);
    if (!reply_build(&message, &reply, "/reply", &request, problem, sizeof problem))
        fail_msg("not built: %s", problem);
    json_t *body = json_loadb(request.body, request.body_length, 0, NULL);
    assert_non_null(body);
    assert_true(request.to_canvas == !message.source_id);
    json_decref(reply.parts);
    reply_request_free(&request);
    return body;
}

static void json_is(json_t *got, const char *expected)
{
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(wanted);
    if (!json_equal(got, wanted))
        fail_msg("is %s, not %s", text ? text : "nothing", expected);
    free(text);
    json_decref(wanted);
}

static void refuses(struct message message, char *text, const char *parts, const char *words)
{
    struct reply reply = saying(text);
    struct reply_request request;
    char problem[256] = "";
    reply.parts = parts ? json_loads(parts, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL) : NULL;
    if (reply_build(&message, &reply, "/reply", &request, problem, sizeof problem))
        fail_msg("%s was built", parts ? parts : text);
    if (!strstr(problem, words))
        fail_msg("says \"%s\", not \"%s\"", problem, words);
    assert_null(request.body);
    assert_null(request.target);
    json_decref(reply.parts);
}

static void a_peer_is_answered_with_a_message_of_its_own(void **state)
{
    (void)state;
    struct message message = from_peer();
    struct reply reply = saying("answer");
    struct reply_request request;
    char problem[256] = "", id[UUID_TEXT_SIZE], expected[1024];
    uuid_of_name("row-1/reply", id);
    assert_true(reply_build(&message, &reply, "/reply", &request, problem, sizeof problem));
    assert_false(request.to_canvas);
    assert_string_equal(request.target, PEER);
    assert_string_equal(request.id, id);
    assert_int_equal(request.body_length, strlen(request.body));
    snprintf(expected, sizeof expected,
             "{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"message/"
             "send\",\"params\":{\"message\":{\"role\":\"user\","
             "\"messageId\":\"%s\",\"parts\":[{\"kind\":\"text\",\"text\":\"answer\"}],"
             "\"contextId\":\"ctx\","
             "\"metadata\":{\"molecule\":{\"in_reply_to\":\"7e\",\"hops\":3}}}}}",
             id, id);
    json_t *body = json_loads(request.body, 0, NULL);
    json_is(body, expected);
    json_decref(body);
    reply_request_free(&request);
}

static void the_same_reply_has_the_same_bytes_and_another_purpose_another_id(void **state)
{
    (void)state;
    struct message message = from_peer();
    struct reply reply = saying("answer");
    struct reply_request first, second, other;
    char problem[256];
    assert_true(reply_build(&message, &reply, "/reply", &first, problem, sizeof problem));
    assert_true(reply_build(&message, &reply, "/reply", &second, problem, sizeof problem));
    assert_true(reply_build(&message, &reply, "/error", &other, problem, sizeof problem));
    assert_string_equal(first.body, second.body);
    assert_string_equal(first.id, second.id);
    assert_string_not_equal(first.id, other.id);
    reply_request_free(&first);
    reply_request_free(&second);
    reply_request_free(&other);
}

static void what_the_message_lacked_is_left_out(void **state)
{
    (void)state;
    struct message message = from_peer();
    message.context_id = message.message_id = NULL;
    message.hops = INT_MAX;
    json_t *body = build(message, "a", NULL);
    json_t *said = json_object_get(json_object_get(body, "params"), "message");
    assert_null(json_object_get(said, "contextId"));
    json_is(json_object_get(said, "metadata"),
            "{\"molecule\":{\"in_reply_to\":\"row-1\",\"hops\":2147483647}}");
    json_decref(body);
}

static void parts_go_out_with_their_kind_alone(void **state)
{
    (void)state;
    static const struct {
        const char *given, *sent;
        char *text;
    } cases[] = {
        {"[{\"type\":\"text\",\"text\":\"a\"}]", "[{\"kind\":\"text\",\"text\":\"a\"}]", NULL},
        {"[{\"type\":\"x\",\"kind\":\"text\",\"text\":\"a\"}]",
         "[{\"kind\":\"text\",\"text\":\"a\"}]", NULL},
        {"[{\"text\":\"a\"},{\"data\":{\"n\":1}},{\"file\":{\"uri\":\"u\"}},{\"uri\":\"u\"}]",
         "[{\"kind\":\"text\",\"text\":\"a\"},{\"kind\":\"data\",\"data\":{\"n\":1}},{\"kind\":"
         "\"file\",\"file\":{"
         "\"uri\":\"u\"}},"
         "{\"kind\":\"file\",\"uri\":\"u\"}]",
         NULL},
        {"[{\"kind\":\"file\",\"file\":{\"uri\":\"u\"}}]",
         "[{\"kind\":\"text\",\"text\":\"see\"},{\"kind\":\"file\",\"file\":{\"uri\":\"u\"}}]",
         "see"},
        {"[{\"url\":\"u\",\"filename\":\"n\",\"mediaType\":\"m\"},{\"raw\":\"QQ==\",\"metadata\":{}"
         "}]",
         "[{\"kind\":\"file\",\"file\":{\"uri\":\"u\",\"name\":\"n\",\"mimeType\":\"m\"}},"
         "{\"kind\":\"file\",\"file\":{\"bytes\":\"QQ==\"},\"metadata\":{}}]",
         NULL},
        {"[{\"kind\":\"text\",\"text\":\"own\"}]", "[{\"kind\":\"text\",\"text\":\"own\"}]",
         "not this"},
        {"[]", "[{\"kind\":\"text\",\"text\":\"t\"}]", "t"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *body = build(from_peer(), cases[i].text, cases[i].given);
        json_is(
            json_object_get(json_object_get(json_object_get(body, "params"), "message"), "parts"),
            cases[i].sent);
        json_decref(body);
    }
    json_t *body = build(
        from_peer(), NULL,
        "[{\"kind\":\"data\",\"data\":[{\"a\":\"b\\u0000c\"},1,2.5,null,true,[],{}]}]");
    json_is(json_object_get(json_object_get(json_object_get(body, "params"), "message"), "parts"),
            "[{\"kind\":\"data\",\"data\":[{\"a\":\"bc\"},1,2.5,null,true,[],{}]}]");
    json_decref(body);
}

static void broken_text_is_repaired_on_its_way_out(void **state)
{
    (void)state;
    struct message message = from_canvas();
    struct reply reply = {.text = "a\0b\xff", .text_length = 4};
    struct reply_request request;
    char problem[256];
    assert_true(reply_build(&message, &reply, "/reply", &request, problem, sizeof problem));
    assert_string_equal(request.body, "{\"message\":\"ab\xef\xbf\xbd\"}");
    reply_request_free(&request);

    /* strings and keys made without jansson's own check */
    json_t *part = json_object(), *data = json_object();
    json_object_set_new_nocheck(data, "k\xff", json_string_nocheck("v\xff"));
    json_object_set_new(part, "data", data);
    reply = (struct reply){.parts = json_array()};
    json_array_append_new(reply.parts, part);
    message = from_peer();
    assert_true(reply_build(&message, &reply, "/reply", &request, problem, sizeof problem));
    assert_non_null(strstr(request.body, "{\"k\xef\xbf\xbd\":\"v\xef\xbf\xbd\"}"));
    reply_request_free(&request);
    reply_free(&reply);
}

static void the_canvas_gets_text_and_what_files_it_can_show(void **state)
{
    (void)state;
#define FILE_A                                                                              \
    "{\"kind\":\"file\",\"file\":{\"uri\":\"u:a\",\"name\":\"a.png\",\"mimeType\":\"image/" \
    "png\",\"size\":9}}"
#define FILE_B "{\"type\":\"file\",\"uri\":\"u:b\",\"name\":\"b.txt\"}"
#define SENT_A "{\"uri\":\"u:a\",\"name\":\"a.png\",\"mimeType\":\"image/png\",\"size\":9}"
#define SENT_B "{\"uri\":\"u:b\",\"name\":\"b.txt\"}"
    static const struct {
        char *text;
        const char *parts, *body;
    } cases[] = {{"hi", NULL, "{\"message\":\"hi\"}"},
                 {NULL, "[{\"kind\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]",
                  "{\"message\":\"ab\"}"},
                 {"hi", "[" FILE_A "," FILE_B "]",
                  "{\"message\":\"hi\",\"attachments\":[" SENT_A "," SENT_B "]}"},
                 {NULL, "[" FILE_A "," FILE_B "]",
                  "{\"message\":\"a.png, b.txt\",\"attachments\":[" SENT_A "," SENT_B "]}"},
                 {NULL, "[{\"kind\":\"text\",\"text\":\"\"}," FILE_B "]",
                  "{\"message\":\"b.txt\",\"attachments\":[" SENT_B "]}"},
                 {"hi", "[{\"kind\":\"file\",\"uri\":\"u\"},{\"kind\":\"data\",\"data\":1}]",
                  "{\"message\":\"hi\"}"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *body = build(from_canvas(), cases[i].text, cases[i].parts);
        json_is(body, cases[i].body);
        json_decref(body);
    }
}

static void a_reply_that_cannot_be_sent_says_why(void **state)
{
    (void)state;
    refuses(from_peer(), NULL, NULL, "empty");
    refuses(from_peer(), "", NULL, "empty");
    refuses(from_peer(), NULL, "[]", "empty");
    refuses(from_peer(), NULL, "[{\"kind\":\"text\",\"text\":\"\"}]", "empty");
    refuses(from_peer(), NULL, "[{\"kind\":\"text\",\"text\":\"\\u0000\"}]", "empty");
    refuses(from_canvas(), NULL, NULL, "empty");
    refuses(from_canvas(), NULL, "[{\"kind\":\"data\",\"data\":1}]", "neither");
    refuses(from_canvas(), NULL,
            "[{\"kind\":\"file\",\"file\":{\"bytes\":\"QQ==\",\"name\":\"n\"}}]", "neither");
    refuses(from_peer(), NULL, "{\"kind\":\"text\"}", "not an array");
    refuses(from_peer(), NULL, "[{\"text\":\"a\"},\"b\"]", "part 2 of the reply is not an object");
    refuses(from_peer(), NULL, "[{\"kind\":\"text\"}]",
            "part 1 of the reply is a text part without a text");
    refuses(from_peer(), NULL, "[{\"name\":\"x\"}]", "has no kind");
    struct message nameless = from_peer();
    nameless.row_id = NULL;
    refuses(nameless, "a", NULL, "no id");
}

static void a_reply_nested_without_end_is_refused(void **state)
{
    (void)state;
    char parts[4096] = "[{\"data\":";
    size_t length = strlen(parts);
    memset(parts + length, '[', 1000);
    memset(parts + length + 1000, ']', 1000);
    memcpy(parts + length + 2000, "}]", 3);
    refuses(from_peer(), NULL, parts, "nested");
}

static void a_reply_may_be_as_large_as_the_platform_takes_and_no_larger(void **state)
{
    (void)state;
    const size_t around = strlen("{\"message\":\"\"}");
    char *text = malloc(REPLY_BODY_MAXIMUM + 2);
    memset(text, 'x', REPLY_BODY_MAXIMUM + 2);
    struct message message = from_canvas();
    struct reply reply = {.text = text, .text_length = REPLY_BODY_MAXIMUM - around};
    struct reply_request request;
    char problem[256] = "";
    assert_true(reply_build(&message, &reply, "/reply", &request, problem, sizeof problem));
    assert_int_equal(request.body_length, REPLY_BODY_MAXIMUM);
    reply_request_free(&request);

    reply.text_length++;
    assert_false(reply_build(&message, &reply, "/reply", &request, problem, sizeof problem));
    assert_string_equal(problem,
                        "the reply is 1048577 bytes as JSON, the platform takes at most 1048576");
    reply.text_length = REPLY_BODY_MAXIMUM + 1;
    assert_false(reply_build(&message, &reply, "/reply", &request, problem, sizeof problem));
    assert_string_equal(problem,
                        "the reply's text is 1048577 bytes, the platform takes at most 1048576");
    free(text);
}

static void the_platforms_answer_to_a_reply_is_understood(void **state)
{
    (void)state;
    static const struct {
        bool to_canvas;
        const char *body;
        enum reply_answer answer;
    } cases[] = {
        {false, "{\"status\":\"queued\",\"delivery_mode\":\"poll\",\"method\":\"message/send\"}",
         REPLY_ANSWER_QUEUED},
        {false, "{\"status\":\"queued\",\"delivery_mode\":\"push-async\"}", REPLY_ANSWER_QUEUED},
        {false, "{\"queued\":true,\"queue_id\":\"q\",\"queue_depth\":1}", REPLY_ANSWER_QUEUED},
        {false, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}", REPLY_ANSWER_RESULT},
        {false, "{\"result\":null}", REPLY_ANSWER_RESULT},
        {false, "{\"result\":\"\\ud800\"}", REPLY_ANSWER_RESULT},
        {false, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"m\"}}",
         REPLY_ANSWER_ERROR},
        {false, "{\"result\":null,\"error\":{\"code\":1}}", REPLY_ANSWER_ERROR},
        {false, "{\"result\":{},\"error\":null}", REPLY_ANSWER_RESULT},
        {false, "{\"error\":\"text\"}", REPLY_ANSWER_ERROR},
        {false, "{\"error\":null}", REPLY_ANSWER_STRANGE},
        {false, "{\"queued\":false}", REPLY_ANSWER_STRANGE},
        {false, "{\"status\":\"sent\"}", REPLY_ANSWER_STRANGE},
        {false, "{}", REPLY_ANSWER_STRANGE},
        {false, "", REPLY_ANSWER_STRANGE},
        {false, "null", REPLY_ANSWER_STRANGE},
        {false, "[]", REPLY_ANSWER_STRANGE},
        {false, "<html>", REPLY_ANSWER_STRANGE},
        {false, "{\"result\":", REPLY_ANSWER_STRANGE},
        {true, "{\"status\":\"sent\"}", REPLY_ANSWER_SENT},
        {true, "{\"status\":\"queued\"}", REPLY_ANSWER_STRANGE},
        {true, "{\"result\":1}", REPLY_ANSWER_STRANGE},
        {true, "", REPLY_ANSWER_STRANGE},
        {true, "<html>", REPLY_ANSWER_STRANGE}};
    for (size_t i = 0; i < COUNT(cases); i++)
        if (reply_read_answer(cases[i].to_canvas, cases[i].body, strlen(cases[i].body)) !=
            cases[i].answer)
            fail_msg("%s is misunderstood", cases[i].body);
}

static long allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void without_memory_no_half_reply_is_built(void **state)
{
    (void)state;
    json_t *parts = json_loads("[{\"type\":\"data\",\"data\":{\"a\":[1,\"b\"]}}," FILE_A "]", 0,
                               NULL);
    struct message messages[] = {from_peer(), from_canvas()};
    for (size_t i = 0; i < COUNT(messages); i++) {
        struct reply reply = {.text = "t", .text_length = 1, .parts = parts};
        struct reply_request request;
        bool built = false;
        for (long allowed = 0; allowed < 500 && !built; allowed++) {
            char problem[256] = "";
            allocations_left = allowed;
            json_set_alloc_funcs(failing_malloc, free);
            built = reply_build(&messages[i], &reply, "/reply", &request, problem, sizeof problem);
            json_set_alloc_funcs(malloc, free);
            assert_true(built == (request.body != NULL));
            assert_true(built == !*problem);
        }
        assert_true(built);
        reply_request_free(&request);
    }
    json_decref(parts);
}

/* The sender chooses its context. */
static void a_context_that_leaves_no_room_does_not_leave_half_a_body(void **state)
{
    (void)state;
    char *context = malloc(REPLY_BODY_MAXIMUM + 1);
    memset(context, 'c', REPLY_BODY_MAXIMUM);
    context[REPLY_BODY_MAXIMUM] = '\0';
    struct message message = from_peer();
    message.context_id = context;
    refuses(message, "hello", NULL, "bytes as JSON, the platform takes at most");
    free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_answered_with_a_message_of_its_own),
        cmocka_unit_test(the_same_reply_has_the_same_bytes_and_another_purpose_another_id),
        cmocka_unit_test(what_the_message_lacked_is_left_out),
        cmocka_unit_test(parts_go_out_with_their_kind_alone),
        cmocka_unit_test(broken_text_is_repaired_on_its_way_out),
        cmocka_unit_test(the_canvas_gets_text_and_what_files_it_can_show),
        cmocka_unit_test(a_reply_that_cannot_be_sent_says_why),
        cmocka_unit_test(a_reply_nested_without_end_is_refused),
        cmocka_unit_test(a_reply_may_be_as_large_as_the_platform_takes_and_no_larger),
        cmocka_unit_test(the_platforms_answer_to_a_reply_is_understood),
        cmocka_unit_test(without_memory_no_half_reply_is_built),
        cmocka_unit_test(a_context_that_leaves_no_room_does_not_leave_half_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
