/* Webhooks of many tasks: who is posted to when, and that their number costs nothing. */
#include "unit.h"

#include "base/memory.h"
#include "doors/webhooks.h"
#include "journal/journal.h"
#include "net/http_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct fixture {
    uv_loop_t loop;
    struct http_client *client;
    struct webhooks *webhooks;
    size_t done;
};

static void on_done(void *context, int64_t sequence)
{
    (void)sequence;
    ((struct fixture *)context)->done++;
}

static void open_all(struct fixture *fixture)
{
    static const char *const allowed[] = {"127.0.0.1"};
    char problem[200];
    fixture->done = 0;
    uv_loop_init(&fixture->loop);
    fixture->client = http_client_open(&fixture->loop, &(struct http_client_options){0});
    const struct webhooks_env env = {.agent_id = "agent",
                                     .loop = &fixture->loop,
                                     .client = fixture->client,
                                     .allowed = allowed,
                                     .allowed_count = 1,
                                     .give_up_ms = 1000,
                                     .done = on_done,
                                     .context = fixture};
    fixture->webhooks = webhooks_open(&env, problem, sizeof problem);
    assert_non_null(fixture->webhooks);
}

static void close_all(struct fixture *fixture)
{
    webhooks_close(fixture->webhooks);
    http_client_close(fixture->client);
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_loop_close(&fixture->loop);
}

static void post(struct fixture *fixture, size_t task, const char *config)
{
    struct journal_notification *notification = memory_allocate(sizeof *notification);
    notification->sequence = webhooks_next(fixture->webhooks);
    notification->task_id = memory_format("task-%zu", task);
    notification->config = memory_format("{\"id\":\"%s\",\"url\":\"http://127.0.0.1:9/%s\"}",
                                         config, config);
    notification->type = memory_copy_text("application/json");
    notification->body = memory_copy_text("{}");
    notification->length = 2;
    webhooks_post(fixture->webhooks, notification);
}

static double spent(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Two notifications for each of so many tasks, which are then forgotten: CPU seconds. */
static double cost(size_t tasks)
{
    struct fixture fixture;
    open_all(&fixture);
    double before = spent();
    for (size_t i = 0; i < 2 * tasks; i++)
        post(&fixture, i % tasks, "a");
    for (size_t i = 0; i < tasks; i++) {
        char task_id[40];
        snprintf(task_id, sizeof task_id, "task-%zu", i);
        webhooks_forget(fixture.webhooks, task_id, "a");
    }
    double took = spent() - before;
    assert_int_equal(fixture.done, 2 * tasks);
    close_all(&fixture);
    return took;
}

static void test_their_number_costs_nothing(void **state)
{
    (void)state;
    cost(1000); /* whatever is done once */
    double few = cost(2500), many = cost(20000);
    /* eight times as many take eight times as long; if each looked at all others: 64 times */
    assert_true(many < 24 * few);
}

static void test_forgets_one_config(void **state)
{
    (void)state;
    struct fixture fixture;
    open_all(&fixture);
    for (size_t i = 0; i < 3; i++) {
        post(&fixture, 1, "a");
        post(&fixture, 1, "b");
        post(&fixture, 2, "a");
    }
    webhooks_forget(fixture.webhooks, "task-1", "a");
    assert_int_equal(fixture.done, 3);
    webhooks_forget(fixture.webhooks, "task-1", "a");
    webhooks_forget(fixture.webhooks, "task-3", "a");
    assert_int_equal(fixture.done, 3);
    webhooks_forget(fixture.webhooks, "task-2", "a");
    webhooks_forget(fixture.webhooks, "task-1", "b");
    assert_int_equal(fixture.done, 9);
    close_all(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forgets_one_config),
        cmocka_unit_test(test_their_number_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
