/* Programs of scripts: how they end, what they inherit, and that a whole group can be killed. */
#include "unit.h"

#include "script/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct run {
    uv_loop_t loop;
    struct vm vm;
    struct subprocess subprocess;
    uv_pipe_t output;
    char text[256];
    size_t length;
    int exits, closes;
};

static void on_exit_status(void *owner)
{
    struct run *run = owner;
    run->exits++;
    subprocess_close(&run->subprocess.process);
}

static void on_closed(void *owner)
{
    ((struct run *)owner)->closes++;
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct run *run = subprocess_owner(handle);
    *buffer = uv_buf_init(run->text + run->length, (unsigned)(sizeof run->text - run->length - 1));
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    struct run *run = subprocess_owner(stream);
    if (length > 0)
        run->length += (size_t)length;
    else if (length < 0)
        subprocess_close(stream);
}

/* 0, or libuv's error. */
static int start(struct run *run, char *program, char *script, bool plain)
{
    char *argv[] = {program, (char *)"-c", script, NULL};
    *run = (struct run){0};
    assert_int_equal(uv_loop_init(&run->loop), 0);
    run->vm.loop = &run->loop;
    subprocess_init(&run->subprocess, run, on_exit_status, on_closed);
    subprocess_add_pipe(&run->subprocess, &run->loop, &run->output);
    int error = subprocess_start(
        &run->subprocess, &run->vm,
        &(struct subprocess_command){.argv = argv, .output = &run->output, .plain = plain});
    if (error == 0)
        uv_read_start((uv_stream_t *)&run->output, on_allocate, on_read);
    else
        subprocess_close(&run->output);
    return error;
}

static void finish(struct run *run)
{
    uv_run(&run->loop, UV_RUN_DEFAULT);
    assert_int_equal(run->closes, 1);
    assert_int_equal(run->subprocess.open_handles, 0);
    assert_int_equal(uv_loop_close(&run->loop), 0);
}

static void an_exit_code_is_told(void **state)
{
    (void)state;
    struct run run;
    assert_int_equal(start(&run, (char *)"/bin/sh", (char *)"echo said; exit 3", false), 0);
    assert_int_equal(run.vm.programs, 1);
    assert_true(run.subprocess.running);
    finish(&run);
    assert_int_equal(run.exits, 1);
    assert_false(run.subprocess.running);
    assert_int_equal(run.subprocess.code, 3);
    assert_int_equal(run.subprocess.signal, 0);
    assert_string_equal(run.text, "said\n");
    assert_int_equal(run.vm.programs, 1);
    subprocess_uncount(&run.subprocess);
    subprocess_uncount(&run.subprocess);
    assert_int_equal(run.vm.programs, 0);
}

static void a_plain_pipe_is_one_of_the_kernel(void **state)
{
    (void)state;
    struct run run;
    char *script = (char *)"test -p /dev/stdout && echo pipe || echo socket";
    assert_int_equal(start(&run, (char *)"/bin/sh", script, true), 0);
    finish(&run);
    assert_string_equal(run.text, "pipe\n");
    assert_int_equal(start(&run, (char *)"/bin/sh", script, false), 0);
    finish(&run);
    assert_string_equal(run.text, "socket\n");
}

static void a_program_that_is_missing_leaves_nothing(void **state)
{
    (void)state;
    for (int plain = 0; plain < 2; plain++) {
        struct run run;
        assert_int_equal(start(&run, (char *)"/nowhere/program", (char *)"", plain), UV_ENOENT);
        assert_int_equal(run.vm.programs, 0);
        subprocess_kill(&run.subprocess, SIGKILL); /* nobody */
        finish(&run);
        assert_int_equal(run.exits, 0);
    }
}

/* The output ends only when the sleeper, which has it too, is gone. */
static void a_whole_group_is_killed(void **state)
{
    (void)state;
    struct run run;
    assert_int_equal(start(&run, (char *)"/bin/sh", (char *)"sleep 1000 & echo up; wait", true), 0);
    while (run.length == 0)
        uv_run(&run.loop, UV_RUN_ONCE);
    assert_int_equal(getsid(run.subprocess.process.pid), run.subprocess.process.pid);
    subprocess_kill(&run.subprocess, SIGKILL);
    finish(&run);
    assert_int_equal(run.subprocess.code, -1);
    assert_int_equal(run.subprocess.signal, SIGKILL);
}

static void no_descriptor_is_inherited(void **state)
{
    (void)state;
    struct run run;
    int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
    char script[100];
    snprintf(script, sizeof script, "test -e /proc/self/fd/%d && echo open || echo closed", fd);
    assert_int_equal(start(&run, (char *)"/bin/sh", script, false), 0);
    finish(&run);
    assert_string_equal(run.text, "closed\n");
    close(fd);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exit_code_is_told),
        cmocka_unit_test(a_plain_pipe_is_one_of_the_kernel),
        cmocka_unit_test(a_program_that_is_missing_leaves_nothing),
        cmocka_unit_test(a_whole_group_is_killed),
        cmocka_unit_test(no_descriptor_is_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
