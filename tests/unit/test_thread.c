/* Threads wake each other late, but not too late; an errand comes back. */
#include "unit.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/thread.h"
#include "state/disk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define LONG_US 20000
#define PATIENCE_MS 5000

static struct thread sender, reader;
static uv_sem_t arrived, done, posted, unblocked;
static bool in_time;

static void take(struct task *task)
{
    uv_sem_post(&arrived);
    free(task);
}

static void post_to_reader(void)
{
    struct task *task = memory_allocate(sizeof *task);
    task->run = take;
    thread_post(&reader, task);
}

static void post_late(struct task *task)
{
    usleep(LONG_US);
    post_to_reader();
    free(task);
}

static void wait_until_it_arrived(struct task *task)
{
    int64_t until = clock_monotonic_ms() + PATIENCE_MS;
    while (!(in_time = uv_sem_trywait(&arrived) == 0) && clock_monotonic_ms() < until)
        usleep(1000);
    uv_sem_post(&done);
    free(task);
}

static void post_and_wait(struct task *task)
{
    post_to_reader();
    usleep(LONG_US);
    thread_wake_readers();
    wait_until_it_arrived(task);
}

static void post_and_block(struct task *task)
{
    post_to_reader();
    uv_sem_post(&posted);
    uv_sem_wait(&unblocked);
    free(task);
}

static void run_on_sender(void (*first)(struct task *task), void (*second)(struct task *task))
{
    void (*const runs[])(struct task * task) = {first, second};
    in_time = false;
    bool wake = false, ignored;
    for (size_t i = 0; i < COUNT(runs); i++) {
        struct task *task = memory_allocate(sizeof *task);
        task->run = runs[i];
        assert_true(queue_push(&sender.tasks, &task->item, i == 0 ? &wake : &ignored));
    }
    assert_true(wake);
    queue_wake(&sender.tasks); /* for both: one batch */
    uv_sem_wait(&done);
}

static void finish(struct task *task)
{
    free(task);
}

static void what_a_long_task_posts_arrives_before_the_next_task_is_done(void **state)
{
    (void)state;
    run_on_sender(post_late, wait_until_it_arrived);
    assert_true(in_time);
}

/* What it has posted itself waits for the end of its turn; what others post does not. */
static void nobody_waits_for_a_reader_that_a_blocked_thread_was_going_to_wake(void **state)
{
    (void)state;
    in_time = false;
    struct task *blocked = memory_allocate(sizeof *blocked);
    blocked->run = post_and_block;
    assert_true(thread_post(&sender, blocked));
    uv_sem_wait(&posted);
    post_to_reader();
    struct task *witness = memory_allocate(sizeof *witness);
    wait_until_it_arrived(witness);
    uv_sem_post(&unblocked);
    assert_true(in_time);
    uv_sem_wait(&arrived); /* the other one */
    uv_sem_wait(&done);
}

static void a_task_can_have_its_readers_woken_while_it_runs(void **state)
{
    (void)state;
    run_on_sender(post_and_wait, finish);
    assert_true(in_time);
}

static uv_thread_t worked_on, done_on;

static void note_work(void *context)
{
    worked_on = uv_thread_self();
    *(int *)context += 1;
}

static void note_done(void *context)
{
    done_on = uv_thread_self();
    *(int *)context *= 10;
    uv_sem_post(&done);
}

static void an_errand_runs_on_the_disk_thread_and_ends_on_its_own(void **state)
{
    (void)state;
    struct disk disk = {0};
    int steps = 1;
    assert_int_equal(disk_open(&disk), 0);
    disk_run(&disk, &reader, note_work, note_done, &steps);
    uv_sem_wait(&done);
    assert_int_equal(steps, 20);
    assert_true(uv_thread_equal(&worked_on, &disk.thread.id));
    assert_true(uv_thread_equal(&done_on, &reader.id));
    disk_close(&disk);
}

static int open_threads(void **state)
{
    (void)state;
    uv_sem_init(&arrived, 0);
    uv_sem_init(&done, 0);
    uv_sem_init(&posted, 0);
    uv_sem_init(&unblocked, 0);
    return thread_start(&sender, "sender", NULL, NULL) ||
           thread_start(&reader, "reader", NULL, NULL);
}

static int close_threads(void **state)
{
    (void)state;
    thread_close(&sender);
    thread_close(&reader);
    uv_sem_destroy(&arrived);
    uv_sem_destroy(&done);
    uv_sem_destroy(&posted);
    uv_sem_destroy(&unblocked);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_long_task_posts_arrives_before_the_next_task_is_done),
        cmocka_unit_test(nobody_waits_for_a_reader_that_a_blocked_thread_was_going_to_wake),
        cmocka_unit_test(a_task_can_have_its_readers_woken_while_it_runs),
        cmocka_unit_test(an_errand_runs_on_the_disk_thread_and_ends_on_its_own),
    };
    return cmocka_run_group_tests(tests, open_threads, close_threads);
}
