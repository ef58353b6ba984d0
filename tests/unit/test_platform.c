#include "unit.h"

#include "wire/platform.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ID "7f1d0000-0000-4000-8000-000000000001"
#define PEER "c2d40000-0000-4000-8000-000000000002"

static struct platform opened(const char *url, const char *org_id)
{
    struct platform platform;
    const char *problem = NULL;
    if (!platform_open(&platform, url, ID, org_id, &problem))
        fail_msg("%s: %s", url, problem);
    return platform;
}

static bool has_header(const struct platform_request *request, const char *header)
{
    char *const *lines = platform_headers_lines(request->headers);
    while (*lines && strcmp(*lines, header) != 0)
        lines++;
    return *lines != NULL;
}

static bool mentions(const struct platform_request *request, const char *words)
{
    char *const *lines = platform_headers_lines(request->headers);
    while (*lines && !strstr(*lines, words))
        lines++;
    return *lines != NULL;
}

static void body_is(const struct platform_request *request, const char *expected)
{
    assert_non_null(request->body);
    json_t *got = json_loadb(request->body, request->body_length, 0, NULL),
           *wanted = json_loads(expected, 0, NULL);
    assert_non_null(got);
    assert_non_null(wanted);
    if (!json_equal(got, wanted))
        fail_msg("body is %s", request->body);
    json_decref(got);
    json_decref(wanted);
}

static void the_url_is_taken_as_operators_write_it(void **state)
{
    (void)state;
    static const struct {
        const char *url, *base, *origin;
        bool private;
    } cases[] = {
        {"https://api.example.com", "https://api.example.com", "https://api.example.com", true},
        {"https://api.example.com/", "https://api.example.com", "https://api.example.com", true},
        {"https://api.example.com/a/b//", "https://api.example.com/a/b", "https://api.example.com",
         true},
        {"HTTPS://API.Example.com:443/A", "https://api.example.com/A", "https://api.example.com",
         true},
        {"https://h:80", "https://h:80", "https://h:80", true},
        {"http://h:080/", "http://h", "http://h", false},
        {"http://h:443", "http://h:443", "http://h:443", false},
        {"http://h:", "http://h", "http://h", false},
        {"http://h/p:x@y", "http://h/p:x@y", "http://h", false},
        {"http://localhost:8080", "http://localhost:8080", "http://localhost:8080", true},
        {"http://LocalHost", "http://localhost", "http://localhost", true},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080", "http://127.0.0.1:8080", true},
        {"http://127.255.3.4", "http://127.255.3.4", "http://127.255.3.4", true},
        {"http://128.0.0.1", "http://128.0.0.1", "http://128.0.0.1", false},
        {"http://[::1]:8080/x", "http://[::1]:8080/x", "http://[::1]:8080", true},
        {"http://[0:0::1]", "http://[0:0::1]", "http://[0:0::1]", true},
        {"http://[2001:db8::1]", "http://[2001:db8::1]", "http://[2001:db8::1]", false},
        {"http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]",
         false},
        {"http://localhost.example.com", "http://localhost.example.com",
         "http://localhost.example.com", false},
        {"http://127.0.0.1.example.com", "http://127.0.0.1.example.com",
         "http://127.0.0.1.example.com", false},
        {"http://127.1", "http://127.1", "http://127.1", false}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct platform platform = opened(cases[i].url, NULL);
        assert_string_equal(platform.base_url, cases[i].base);
        assert_string_equal(platform.origin, cases[i].origin);
        if (platform_is_private(&platform) != cases[i].private)
            fail_msg("%s is taken for %s", cases[i].url, cases[i].private ? "public" : "private");
        platform_close(&platform);
    }
}

static void a_url_that_cannot_be_used_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *url, *words;
    } cases[] = {{"", "http"},
                 {"api.example.com", "http"},
                 {"ftp://h", "http"},
                 {"http:/h", "http"},
                 {"httpx://h", "http"},
                 {"http://", "no host"},
                 {"https:///x", "no host"},
                 {"http://:80", "no host"},
                 {"http://h?x=1", "query"},
                 {"http://h/p?x", "query"},
                 {"http://h#f", "fragment"},
                 {"http://u:p@h", "credentials"},
                 {"http://u@h/", "credentials"},
                 {"http://h:0", "port"},
                 {"http://h:65536", "port"},
                 {"http://h:8o80", "port"},
                 {"http://h:99999999999", "port"},
                 {"http://h:-1", "port"},
                 {"http://a b", "character"},
                 {" http://h", "character"},
                 {"http://h\r\nX: y", "character"},
                 {"http://h\\x", "character"},
                 {"http://h\x7f", "character"},
                 {"http://m\xc3\xbcnchen.de", "xn--"},
                 {"http://a%41b", "host"},
                 {"http://[::1", "host"},
                 {"http://[]", "host"},
                 {"http://[::1]x", "host"},
                 {"http://[zz]", "host"},
                 {"http://[fe80::1%25lo]", "host"},
                 {"http://::1", "no host"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct platform platform;
        const char *problem = NULL;
        if (platform_open(&platform, cases[i].url, ID, NULL, &problem))
            fail_msg("%s was taken", cases[i].url);
        assert_non_null(problem);
        if (!strstr(problem, cases[i].words))
            fail_msg("%s: says \"%s\", not \"%s\"", cases[i].url, problem, cases[i].words);
        assert_null(platform.base_url);
        platform_close(&platform);
    }
    char longest[4096] = "http://";
    memset(longest + 7, 'a', sizeof longest - 8);
    struct platform platform;
    const char *problem;
    assert_false(platform_open(&platform, longest, ID, NULL, &problem));
    assert_false(platform_open(&platform, "http://h", "../x", NULL, &problem));
    assert_false(platform_open(&platform, "http://h", ID, "a\r\nb", &problem));
    assert_true(platform_open(&platform, "http://h", NULL, NULL, &problem));
    assert_null(platform_workspace(&platform, NULL, platform.workspace_id).url);
    platform_close(&platform);
}

static void only_ids_that_are_safe_in_a_path_are_valid(void **state)
{
    (void)state;
    static const char *const valid[] = {"a", "7", ID, "ws_1.x-Y", "a.."};
    static const char *const invalid[] = {"",    ".",   "..",       "-a",   "_a",  "a/b",
                                          "a b", "a\n", "\xc3\xa9", "a%2f", "../a"};
    for (size_t i = 0; i < COUNT(valid); i++)
        assert_true(platform_valid_id(valid[i]));
    for (size_t i = 0; i < COUNT(invalid); i++)
        assert_false(platform_valid_id(invalid[i]));
    assert_false(platform_valid_id(NULL));
    char id[130];
    memset(id, 'a', sizeof id);
    id[128] = '\0';
    assert_true(platform_valid_id(id));
    id[128] = 'a';
    id[129] = '\0';
    assert_false(platform_valid_id(id));
}

static void only_a_uuid_is_lower_cased(void **state)
{
    (void)state;
    char uuid[] = "7F1D0000-0000-4000-8000-00000000000A", other[] = "My-Laptop";
    platform_normalise_id(uuid);
    platform_normalise_id(other);
    assert_string_equal(uuid, "7f1d0000-0000-4000-8000-00000000000a");
    assert_string_equal(other, "My-Laptop");
}

static void a_registration_says_who_we_are_and_that_we_poll(void **state)
{
    (void)state;
    struct platform platform = opened("https://h/base/", "org-1");
    json_t *skills = json_loads("[{\"id\":\"s\",\"name\":\"S\"}]", 0, NULL);
    struct platform_card card = {
        .name = "my-laptop\xff", .description = "d", .version = "1", .skills = skills};
    struct platform_request request = platform_register(&platform, "secret", &card);
    assert_int_equal(request.call, PLATFORM_REGISTER);
    assert_string_equal(request.method, "POST");
    assert_string_equal(request.url, "https://h/base/registry/register");
    assert_true(has_header(&request, "Authorization: Bearer secret"));
    assert_true(has_header(&request, "Origin: https://h"));
    assert_true(has_header(&request, "Accept: application/json"));
    assert_true(has_header(&request, "Content-Type: application/json"));
    assert_true(has_header(&request, "X-Molecule-Org-Id: org-1"));
    body_is(&request,
            "{\"id\":\"" ID
            "\",\"delivery_mode\":\"poll\",\"agent_card\":{\"name\":\"my-laptop\xef\xbf\xbd\","
            "\"description\":\"d\",\"version\":\"1\",\"skills\":[{\"id\":\"s\",\"name\":\"S\"}]}}");
    platform_request_free(&request);

    request = platform_register(&platform, NULL, &(struct platform_card){.name = "n"});
    assert_false(mentions(&request, "Authorization"));
    body_is(&request,
            "{\"id\":\"" ID "\",\"delivery_mode\":\"poll\",\"agent_card\":{\"name\":\"n\"}}");
    platform_request_free(&request);
    json_decref(skills);
    platform_close(&platform);
}

static void a_heartbeat_sends_every_field_each_time(void **state)
{
    (void)state;
    struct platform platform = opened("http://localhost", "");
    struct platform_request request = platform_heartbeat(
        &platform, "t", &(struct platform_beat){.error_rate = NAN});
    assert_string_equal(request.url, "http://localhost/registry/heartbeat");
    body_is(&request, "{\"workspace_id\":\"" ID
                      "\",\"error_rate\":0.0,\"sample_error\":\"\",\"active_tasks\":0,"
                      "\"uptime_seconds\":0,\"current_task\":\"\",\"runtime_state\":\"\"}");
    assert_false(mentions(&request, "Org-Id"));
    platform_request_free(&request);

    struct platform_beat beat = {.error_rate = 7,
                                 .sample_error = "a\xff",
                                 .active_tasks = 3,
                                 .uptime_seconds = 1LL << 40,
                                 .current_task = "\"q\"",
                                 .wedged = true};
    request = platform_heartbeat(&platform, "t", &beat);
    body_is(&request, "{\"workspace_id\":\"" ID
                      "\",\"error_rate\":1.0,\"sample_error\":\"a\xef\xbf\xbd\",\"active_tasks\":3,"
                      "\"uptime_seconds\":1099511627776,\"current_task\":\"\\\"q\\\"\",\"runtime_"
                      "state\":\"wedged\"}");
    platform_request_free(&request);
    platform_close(&platform);
}

static void a_poll_asks_by_cursor_or_by_window_never_both(void **state)
{
    (void)state;
#define POLL "http://h/workspaces/" ID "/activity?type=a2a_receive&include=peer_info&limit="
    static const struct {
        struct platform_fetch fetch;
        const char *url;
    } cases[] = {
        {{.limit = 100}, POLL "100"},
        {{.limit = 0}, POLL "1"},
        {{.limit = 501}, POLL "500"},
        {{.limit = 500, .since_secs = 30}, POLL "500&since_secs=30"},
        {{.limit = 500, .since_secs = -1}, POLL "500"},
        {{.limit = 1, .since_id = "abc-1", .since_secs = 30}, POLL "1&since_id=abc-1"},
        {{.limit = 1, .since_id = "a&b=c d/\xc3\xa9"}, POLL "1&since_id=a%26b%3Dc%20d%2F%C3%A9"},
        {{.limit = 1, .before_ts = "2026-05-01T20:14:07.1+02:00"},
         POLL "1&before_ts=2026-05-01T20%3A14%3A07.1%2B02%3A00"}};
    struct platform platform = opened("http://h", NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct platform_request request = platform_activity(&platform, "t", &cases[i].fetch);
        assert_string_equal(request.url, cases[i].url);
        assert_string_equal(request.method, "GET");
        assert_null(request.body);
        assert_false(has_header(&request, "Content-Type: application/json"));
        assert_true(has_header(&request, "Origin: http://h"));
        platform_request_free(&request);
    }
    platform_close(&platform);
}

static void replies_go_to_the_peer_or_to_our_own_canvas(void **state)
{
    (void)state;
    struct platform platform = opened("http://h", "org");
    struct platform_request request = platform_a2a(&platform, "t\r\n", PEER, "{\"a\":\0}", 7);
    assert_string_equal(request.url, "http://h/workspaces/" PEER "/a2a");
    assert_true(has_header(&request, "X-Workspace-ID: " ID));
    assert_true(has_header(&request, "Authorization: Bearer t"));
    assert_int_equal(request.body_length, 7);
    assert_memory_equal(request.body, "{\"a\":\0}", 8);
    platform_request_free(&request);

    request = platform_notify(&platform, "t", "{}", 2);
    assert_string_equal(request.url, "http://h/workspaces/" ID "/notify");
    assert_int_equal(request.call, PLATFORM_NOTIFY);
    platform_request_free(&request);

    request = platform_workspace(&platform, "t", platform.workspace_id);
    assert_string_equal(request.url, "http://h/workspaces/" ID);
    platform_request_free(&request);

    assert_null(platform_a2a(&platform, "t", "..", "{}", 2).url);
    assert_null(platform_a2a(&platform, "t", "a/b", "{}", 2).url);
    assert_null(platform_a2a(&platform, "t", NULL, "{}", 2).url);
    platform_close(&platform);
}

static void a_registrations_answer_gives_its_token(void **state)
{
    (void)state;
    static const char full[] =
        "{\"status\":\"registered\",\"delivery_mode\":\"poll\",\"auth_token\":\"t\","
        "\"platform_inbound_secret\":\"s\"}";
    struct platform_registered registered;
    assert_true(platform_read_registered(full, sizeof full - 1, &registered));
    assert_string_equal(registered.delivery_mode, "poll");
    assert_string_equal(registered.auth_token, "t");
    assert_string_equal(registered.platform_inbound_secret, "s");
    free(registered.delivery_mode);
    free(registered.auth_token);
    free(registered.platform_inbound_secret);
    assert_true(
        platform_read_registered("{\"auth_token\":7,\"delivery_mode\":\"\"}", 35, &registered));
    assert_null(registered.auth_token);
    assert_null(registered.delivery_mode);
    static const char *const others[] = {"", "[]", "null", "<html>", "{\"auth_token\":\"t"};
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(platform_read_registered(others[i], strlen(others[i]), &registered));
}

static void an_error_is_told_in_the_platforms_own_words(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text;
    } cases[] = {{"", ""},
                 {" \r\n", ""},
                 {"{\"error\":\"missing workspace auth token\"}", "missing workspace auth token"},
                 {"{\"error\":\"talk_to_user_disabled\",\"hint\":\"turn it on\"}",
                  "talk_to_user_disabled: turn it on"},
                 {"{\"error\":{\"code\":-32000,\"message\":\"no\"}}", "no"},
                 {"{\"error\":\"two\\nlines\\t\\u0000\\u001b[31m\\u009b\"}", "two lines ??[31m?"},
                 {"{\"error\":\"a\\ud800\"}", "a\xef\xbf\xbd"},
                 {"404 page not found\n", "404 page not found"},
                 {"a\xff  b\x01", "a? b?"},
                 {"{\"message\":\"m\"}", "{\"message\":\"m\"}"},
                 {"{\"error\":7}", "{\"error\":7}"},
                 {"{\"error\":\"\"}", "{\"error\":\"\"}"},
                 {"{\"error\":\"cut", "{\"error\":\"cut"},
                 {"[1, 2]", "[1, 2]"},
                 {"<!DOCTYPE html><html>\n<head><title>502 Bad "
                  "Gateway</title><style>a{}</style></head><body>\n<h1>Sorry</h1></body>",
                  "502 Bad Gateway Sorry"},
                 {"<script>if (a<b) { x = \"</p>\"; }</script >after<SCRIPT></Script>!", "after !"},
                 {"<script>never closed", ""},
                 {"<p", ""},
                 {"<>x", "x"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        platform_error_text(cases[i].body, strlen(cases[i].body), text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_long_error_is_cut_between_characters(void **state)
{
    (void)state;
    char text[8];
    platform_error_text("{\"error\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}", 22, text, 8);
    assert_string_equal(text, "\xc3\xa9\xc3\xa9\xc3\xa9");
    platform_error_text("abcdefghij", 10, text, 8);
    assert_string_equal(text, "abcdefg");
    platform_error_text("abcdefghij", 10, text, 1);
    assert_string_equal(text, "");
    text[0] = 'x';
    platform_error_text("abcdefghij", 10, text, 0);
    assert_int_equal(text[0], 'x');
    platform_error_text(NULL, 0, text, 8);
    assert_string_equal(text, "");
}

static long allocations_left;

static void *failing_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static void without_memory_there_is_no_half_request(void **state)
{
    (void)state;
    struct platform platform = opened("http://h", NULL);
    struct platform_card card = {.name = "n", .description = "d", .version = "1"};
    bool registered = false, beaten = false;
    json_set_alloc_funcs(failing_malloc, free);
    for (long allowed = 0; allowed < 500 && !(registered && beaten); allowed++) {
        allocations_left = allowed;
        struct platform_request request = platform_register(&platform, "t", &card);
        registered = request.url != NULL;
        assert_true(registered == (request.body != NULL));
        platform_request_free(&request);
        allocations_left = allowed;
        request = platform_heartbeat(&platform, "t", &(struct platform_beat){0});
        beaten = request.url != NULL;
        assert_true(beaten == (request.body != NULL));
        platform_request_free(&request);
    }
    json_set_alloc_funcs(malloc, free);
    assert_true(registered && beaten);
    platform_close(&platform);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_url_is_taken_as_operators_write_it),
        cmocka_unit_test(a_url_that_cannot_be_used_is_refused_with_the_reason),
        cmocka_unit_test(only_ids_that_are_safe_in_a_path_are_valid),
        cmocka_unit_test(only_a_uuid_is_lower_cased),
        cmocka_unit_test(a_registration_says_who_we_are_and_that_we_poll),
        cmocka_unit_test(a_heartbeat_sends_every_field_each_time),
        cmocka_unit_test(a_poll_asks_by_cursor_or_by_window_never_both),
        cmocka_unit_test(replies_go_to_the_peer_or_to_our_own_canvas),
        cmocka_unit_test(a_registrations_answer_gives_its_token),
        cmocka_unit_test(an_error_is_told_in_the_platforms_own_words),
        cmocka_unit_test(a_long_error_is_cut_between_characters),
        cmocka_unit_test(without_memory_there_is_no_half_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
