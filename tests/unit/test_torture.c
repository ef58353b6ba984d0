/* Memory that runs out, at every allocation: while a row becomes a message, while a script handles
 * it, while its outcome becomes a reply. Every time there is a clear outcome, nothing leaks, and
 * what was not refused is whole. */
#include "unit.h"

#include "base/memory.h"
#include "script/agent.h"
#include "script/handler_run.h"
#include "script/vm_open.h"
#include "wire/envelope.h"
#include "wire/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 4000    /* allocations that fail, one by one */
#define LUA_STEP 192 /* bytes */
#define LUA_MOST (1 << 20)

static const char row_text[] =
    "{\"id\":\"7f1d0c9e-0000-4000-8000-000000000001\",\"activity_type\":\"a2a_receive\",\"method\":"
    "\"message/send\","
    "\"source_id\":\"7f1d0c9e-0000-4000-8000-00000000000a\",\"summary\":\"s\",\"peer_name\":\"p\","
    "\"request_body\":{"
    "\"jsonrpc\":\"2.0\",\"method\":\"message/"
    "send\",\"params\":{\"metadata\":{\"a\":[1,2.5,null],\"history\":[{\"x\":\"y\"}]},"
    "\"message\":{\"messageId\":\"m\",\"contextId\":\"c\",\"metadata\":{\"b\":{\"c\":\"d\"},"
    "\"molecule\":{\"hops\":2}},"
    "\"parts\":[{\"kind\":\"text\",\"text\":\"hello\"},{\"kind\":\"file\",\"file\":{\"uri\":\"u\","
    "\"name\":\"n\"}}]}}}}";

/* ---- jansson's allocator ---- */

static long allocations, fail_at;
/* here only: a script's texts are freed past it, and leaks are the sanitizer's to find */
static long outstanding;

static void *allocate(size_t size)
{
    if (++allocations == fail_at)
        return NULL;
    outstanding++;
    return malloc(size);
}

static void release(void *block)
{
    outstanding -= block != NULL;
    free(block);
}

/* The n-th allocation from now fails; 0: none. */
static void fail_json(long n)
{
    allocations = 0;
    fail_at = n;
}

static bool has_failed(void)
{
    return fail_at > 0 && allocations >= fail_at;
}

static struct message *read_message(void)
{
    return envelope_read_tree((struct page_row){row_text, sizeof row_text - 1}, "self");
}

static void check_whole(const struct message *message)
{
    assert_int_equal(message->kind, ENVELOPE_MESSAGE);
    assert_string_equal(message->text, "hello");
    assert_string_equal(message->message_id, "m");
    assert_string_equal(message->conversation, "7f1d0c9e-0000-4000-8000-00000000000a/c");
    assert_int_equal(json_array_size(message->parts), 2);
    assert_int_equal(json_array_size(message->files), 1);
    assert_int_equal(json_object_size(message->metadata), 3);
    assert_int_equal(json_array_size(message->history), 1);
    assert_int_equal(message->hops, 2);
}

static void a_row_becomes_a_whole_message_or_says_why_not(void **state)
{
    (void)state;
    long n = 0;
    do {
        fail_json(++n);
        struct message *message = read_message();
        bool failed = has_failed();
        fail_json(0);
        if (message->kind == ENVELOPE_UNREADABLE) {
            assert_true(failed);
            assert_true(message->problem && *message->problem);
        } else {
            check_whole(message);
        }
        message_free(message);
        assert_int_equal(outstanding, 0);
        if (!failed)
            break;
    } while (n < MOST);
    assert_in_range(n, 20, MOST - 1);
}

static void a_reply_is_whole_or_says_why_not(void **state)
{
    (void)state;
    struct message *message = read_message();
    long n = 0, before = outstanding;
    size_t whole = 0;
    bool failed;
    do {
        fail_json(0);
        struct reply reply = {
            .text = memory_copy_text("answer"),
            .text_length = 6,
            .parts = json_pack("[{s:s, s:{s:i}}]", "kind", "data", "data", "a", 1)};
        struct reply_request request = {0};
        char problem[256] = "";
        fail_json(whole ? ++n : 0);
        bool built = reply_build(message, &reply, "/reply", &request, problem, sizeof problem);
        failed = has_failed();
        fail_json(0);
        assert_true(built || (failed && *problem));
        if (!whole)
            whole = request.body_length;
        if (built) {
            assert_int_equal(request.body_length, whole);
            reply_request_free(&request);
        }
        reply_free(&reply);
        assert_int_equal(outstanding, before);
    } while ((failed || n == 0) && n < MOST);
    assert_in_range(n, 10, MOST - 1);
    message_free(message);
}

/* ---- scripts ---- */

struct script_case {
    const char *source;
    enum script_outcome_kind kind; /* when there is memory enough */
    const char *text;              /* of the reply, or in the reason */
};

static const struct script_case cases[] = {
    {"local json = require 'molecule'.json\n"
     "return function(msg)\n"
     "  local value = assert(json.decode(msg.raw))\n"
     "  value.again = json.decode(json.encode(msg.metadata))\n"
     "  return {text = msg.text .. #json.encode(value), parts = {{kind = 'data', data = value}}}\n"
     "end",
     SCRIPT_REPLIED, "hello"},
    {"return function(msg) local t = {} for i = 1, 200 do t[i] = msg.text .. i end return "
     "table.concat(t) end",
     SCRIPT_REPLIED, "hello1hello2"},
    {"local function deep(n) if n == 0 then error('it ' .. 'broke') end return (deep(n - 1)) end\n"
     "return function() deep(50) end",
     SCRIPT_FAILED, "it broke"},
    {"return function(msg) error(setmetatable({}, {__tostring = function() return ('x'):rep(100) "
     ".. msg.text end})) end",
     SCRIPT_FAILED, "xxhello"},
    {"local molecule = require 'molecule'\n"
     "return function(msg) return molecule.retry {after = 5, reason = 'later, ' .. msg.text} end",
     SCRIPT_RETRY, "later"},
    {"return function(msg) return nil, 'no ' .. msg.text end", SCRIPT_FAILED, "no hello"},
    {"return function(msg) return coroutine.wrap(function() coroutine.yield(msg.parts[1].text .. "
     "'!') end)() end",
     SCRIPT_REPLIED, "hello!"},
    {"return function() return {parts = {{kind = 'text', text = 5, f = print}}} end", SCRIPT_FAILED,
     "cannot be sent"}};

struct run {
    uv_loop_t loop;
    struct turns turns;
    struct lane lane;
    struct vm *vm;
    char path[64];
    struct molecule_workspace_options options;
    struct script_settings settings;
    struct script_outcome outcome;
    bool finished;
};

static void on_finished(struct handler *handler)
{
    struct run *run = handler->context;
    run->outcome = handler->outcome;
    handler->outcome = (struct script_outcome){0};
    run->finished = true;
    handler_free(handler);
}

static void start(struct run *run, lua_CFunction body, struct script_job *job)
{
    struct handler *handler = memory_allocate(sizeof *handler);
    handler->outcome.retry_after_ms = -1;
    handler->finished = on_finished;
    handler->context = run;
    handler->job = job;
    run->finished = false;
    handler_start_now(run->vm, handler, body, 0, 0);
    assert_true(run->finished); /* none of these scripts waits */
}

/* false: the agent did not load; then there is a reason. */
static bool open_run(struct run *run, const char *source, size_t memory_limit)
{
    *run = (struct run){.path = "/tmp/molecule-torture-XXXXXX"};
    int fd = mkstemp(run->path);
    assert_true(fd >= 0 && write(fd, source, strlen(source)) == (ssize_t)strlen(source));
    close(fd);
    uv_loop_init(&run->loop);
    turns_open(&run->turns, &run->loop);
    run->lane.turns = &run->turns;
    run->options = (struct molecule_workspace_options){.id = "w", .script = run->path};
    run->settings.options = &run->options;
    run->vm = vm_open(&run->loop, "w", memory_limit);
    if (!run->vm)
        return false;
    run->vm->settings = &run->settings;
    run->vm->lane = &run->lane;
    start(run, agent_load_body, NULL);
    bool loaded = run->outcome.kind != SCRIPT_FAILED;
    assert_true(loaded || (run->outcome.reason && *run->outcome.reason));
    script_outcome_free(&run->outcome);
    return loaded;
}

static void close_run(struct run *run)
{
    if (run->vm)
        vm_close(run->vm);
    uv_close((uv_handle_t *)&run->turns.idle, NULL);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    uv_loop_close(&run->loop);
    unlink(run->path);
}

static void handle(struct run *run, struct message *message)
{
    struct script_job job = {.message = message, .attempt = 1};
    start(run, agent_handle_body, &job);
}

/* What is not a failure for want of memory is what the script meant. */
static void check_outcome(const struct script_case *expected, const struct script_outcome *outcome,
                          bool short_of_memory)
{
    const char *text = outcome->kind == SCRIPT_REPLIED ? outcome->reply.text : outcome->reason;
    if (outcome->kind == SCRIPT_FAILED)
        assert_true(outcome->reason && *outcome->reason);
    if (outcome->kind == SCRIPT_FAILED &&
        (short_of_memory || outcome->limit == SCRIPT_LIMIT_MEMORY))
        return;
    if (outcome->kind != expected->kind)
        print_error("%s: %s\n", script_outcome_text(outcome->kind), text ? text : "nothing");
    assert_int_equal(outcome->kind, expected->kind);
    if (!text || !strstr(text, expected->text))
        print_error("\"%s\" instead of \"%s\"\n", text ? text : "nothing", expected->text);
    assert_true(text && strstr(text, expected->text));
}

static void a_script_short_of_json_memory_fails_clearly(void **state)
{
    (void)state;
    struct message *message = read_message();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct run run;
        bool failed;
        long n = 0;
        assert_true(open_run(&run, cases[i].source, 0));
        do {
            fail_json(++n);
            handle(&run, message);
            failed = has_failed();
            fail_json(0);
            check_outcome(&cases[i], &run.outcome, failed);
            script_outcome_free(&run.outcome);
        } while (failed && n < MOST);
        assert_false(failed);
        close_run(&run);
    }
    message_free(message);
}

static void a_script_short_of_lua_memory_fails_clearly(void **state)
{
    (void)state;
    struct message *message = read_message();
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool hit = true;
        for (size_t more = 0; hit && more < LUA_MOST; more += LUA_STEP) {
            /* a state that ran into its limit is not used again: what it was about to make is half
               made */
            struct run run;
            assert_true(open_run(&run, cases[i].source, 0));
            lua_gc(run.vm->L, LUA_GCCOLLECT);
            run.vm->memory_limit = run.vm->memory_used + more;
            handle(&run, message);
            hit = run.vm->memory_hit;
            check_outcome(&cases[i], &run.outcome, hit);
            script_outcome_free(&run.outcome);
            close_run(&run);
        }
        assert_false(hit);
    }
    message_free(message);
}

static void a_state_without_memory_is_none_and_says_so(void **state)
{
    (void)state;
    bool loaded = false;
    for (size_t limit = 1; !loaded && limit < LUA_MOST; limit += 997) {
        struct run run;
        loaded = open_run(&run, cases[0].source, limit);
        close_run(&run);
    }
    assert_true(loaded);
}

int main(void)
{
    json_set_alloc_funcs(allocate, release);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_becomes_a_whole_message_or_says_why_not),
        cmocka_unit_test(a_reply_is_whole_or_says_why_not),
        cmocka_unit_test(a_script_short_of_json_memory_fails_clearly),
        cmocka_unit_test(a_script_short_of_lua_memory_fails_clearly),
        cmocka_unit_test(a_state_without_memory_is_none_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
