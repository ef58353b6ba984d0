#include "commands/dev_host.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "molecule/molecule.h"
#include "wire/jsontext.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORDERS "MOLECULE_DEV_HOST" /* in the environment of the process */
#define REPORT_FD 3
#define AGAIN_MS 100
#define QUICK_MS 5000
#define QUICK_MAXIMUM 3
/* one that was killed, and does not load the script any more */
#define MENDED_LOOK_MS 200
#define MENDED_ANYWAY 50 /* looks, though the script's file is the same: a module may be mended */

extern char **environ;

/* --- in the process --- */

bool dev_host_is_one(struct dev_host_orders *orders, int *fd)
{
    static json_t *told; /* for the life of the process */
    const char *text = getenv(ORDERS);
    told = text ? json_loads(text, 0, NULL) : NULL;
    unsetenv(ORDERS); /* also one that somebody else has set: it is no option */
    pid_t parent = (pid_t)json_integer_value(json_object_get(told, "parent"));
    if (!told || parent != getppid())
        return false;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* without its emulator it has nothing to do */
    if (parent != getppid())
        _exit(1); /* that has ended meanwhile */
    fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
    *fd = REPORT_FD;
    *orders = (struct dev_host_orders){
        .url = json_string_value(json_object_get(told, "url")),
        .workspace_id = json_string_value(json_object_get(told, "workspace")),
        .state_directory = json_string_value(json_object_get(told, "state")),
        .script = json_string_value(json_object_get(told, "script")),
        .served_as = json_string_value(json_object_get(told, "served_as")),
        .again = json_is_true(json_object_get(told, "again")),
    };
    return true;
}

/* --- in the one that starts it --- */

/* The environment with the orders in it; the array is yours to free, and its last text. */
static char **make_environment(const struct dev_host *host)
{
    const struct dev_host_orders *orders = &host->orders;
    json_t *told = json_pack("{s:i, s:s, s:s, s:s, s:s?, s:s?, s:b}", "parent", (int)getpid(),
                             "url", orders->url, "workspace", orders->workspace_id, "state",
                             orders->state_directory, "script", orders->script, "served_as",
                             orders->served_as, "again", host->again_count > 0);
    char *text = told ? jsontext_print(told) : NULL;
    json_decref(told);
    size_t count = 0;
    while (environ[count])
        count++;
    char **list = memory_allocate((count + 2) * sizeof *list);
    memcpy(list, environ, count * sizeof *list);
    list[count] = memory_format(ORDERS "=%s", text ? text : "");
    free(text);
    return list;
}

static void free_environment(char **list)
{
    size_t last = 0;
    while (list[last + 1])
        last++;
    free(list[last]);
    free(list);
}

static void on_ended(uv_process_t *process, int64_t status, int number);

static int spawn(struct dev_host *host, int report_fd)
{
    char **environment = make_environment(host);
    uv_stdio_container_t files[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        {.flags = UV_INHERIT_FD, .data.fd = report_fd},
    };
    uv_process_options_t options = {
        .file = "/proc/self/exe",
        .args = host->argv,
        .env = environment,
        .exit_cb = on_ended,
        .stdio = files,
        .stdio_count = sizeof files / sizeof *files,
        .flags = UV_PROCESS_DETACHED, /* signals of the terminal are for this process */
    };
    int error = uv_spawn(&host->loop, &host->process, &options);
    free_environment(environment);
    return error;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct dev_host *host = poll->data;
    if (status < 0 || !dev_report_drain(&host->report))
        uv_poll_stop(poll);
}

static void set_running(struct dev_host *host, bool running)
{
    uv_mutex_lock(&host->mutex); /* other threads ask for it */
    host->running = running;
    uv_mutex_unlock(&host->mutex);
}

static void end_process(struct dev_host *host)
{
    dev_report_drain(&host->report);
    uv_close((uv_handle_t *)&host->readable, NULL);
    dev_report_attach(&host->report, -1);
}

static void finish(struct dev_host *host, int code)
{
    host->code = code;
    uv_stop(&host->loop);
}

/* A negative libuv error where it cannot be started. */
static int start_with(struct dev_host *host, const int ends[2])
{
    host->process.data = host;
    int error = spawn(host, ends[1]);
    if (error < 0) {
        uv_close((uv_handle_t *)&host->process, NULL);
        return error;
    }
    set_running(host, true);
    host->started_ms = uv_now(&host->loop);
    uv_poll_init(&host->loop, &host->readable, ends[0]);
    host->readable.data = host;
    dev_report_attach(&host->report, ends[0]);
    uv_poll_start(&host->readable, UV_READABLE | UV_DISCONNECT, on_readable);
    return 0;
}

/* false: said why not. */
static bool start(struct dev_host *host)
{
    int ends[2], error = pipe2(ends, O_CLOEXEC) == 0 ? 0 : -errno;
    if (error == 0) {
        error = start_with(host, ends);
        close(ends[1]);
        if (error < 0)
            close(ends[0]);
    }
    if (error < 0)
        terminal_print(stderr, "molecule dev: cannot start the host: %s\n", uv_strerror(error));
    return error == 0;
}

static void on_again(uv_timer_t *timer)
{
    struct dev_host *host = timer->data;
    if (host->stopping) {
        finish(host, 0);
        return;
    }
    host->again_count++;
    if (start(host))
        host->changed(host->context, true, NULL);
    else
        finish(host, 1);
}

/* The file's time of change; 0: no such file, or no script. */
static int64_t changed_at(const struct dev_host *host)
{
    struct stat file;
    if (!host->orders.script || stat(host->orders.script, &file) != 0)
        return 0;
    return (int64_t)file.st_mtim.tv_sec * 1000000000 + file.st_mtim.tv_nsec;
}

static void on_look(uv_timer_t *timer)
{
    struct dev_host *host = timer->data;
    if (!host->stopping && changed_at(host) == host->broken_ns && ++host->looks < MENDED_ANYWAY)
        return;
    uv_timer_stop(timer);
    on_again(timer);
}

static void await_mending(struct dev_host *host, int code)
{
    char *why = memory_format(
        "the host ended with code %d; it starts again when the script changes", code);
    host->broken_ns = changed_at(host);
    host->looks = 0;
    host->changed(host->context, false, why);
    free(why);
    uv_timer_start(&host->again, on_look, MENDED_LOOK_MS, MENDED_LOOK_MS);
}

/* While it was to stop. */
static void end_by_signal(struct dev_host *host, int number)
{
    bool early = number == SIGTERM || number == SIGINT; /* before it could handle these */
    if (!early)
        terminal_print(stderr, "molecule dev: the host ended by signal %d (%s)\n", number,
                       strsignal(number));
    finish(host, early ? 0 : 1);
}

static void start_again(struct dev_host *host, int number)
{
    uv_update_time(&host->loop);
    bool quick = uv_now(&host->loop) - host->started_ms < QUICK_MS;
    host->quick_deaths = host->killed ? 0 : quick ? host->quick_deaths + 1 : 1;
    bool again = host->quick_deaths < QUICK_MAXIMUM;
    char *what = host->killed
                     ? memory_copy_text("the host was killed")
                     : memory_format("the host ended by signal %d (%s)", number, strsignal(number));
    char *why = memory_format("%s%s", what, again ? "; it starts again" : "");
    host->killed = false;
    host->changed(host->context, false, why);
    if (again) {
        uv_timer_start(&host->again, on_again, AGAIN_MS, 0);
    } else {
        terminal_print(stderr, "molecule dev: %s %d times in a row; giving up\n", what,
                       QUICK_MAXIMUM);
        finish(host, 1);
    }
    free(why);
    free(what);
}

static void on_ended(uv_process_t *process, int64_t status, int number)
{
    struct dev_host *host = process->data;
    set_running(host, false);
    end_process(host);
    uv_close((uv_handle_t *)process, NULL);
    if (number == 0 && status == MOLECULE_USAGE && host->again_count > 0 && !host->stopping) {
        await_mending(host, (int)status);
        return;
    }
    if (number == 0)
        finish(host, (int)status);
    else if (host->stopping && !host->killed)
        end_by_signal(host, number);
    else
        start_again(host, number);
}

static void stop(struct dev_host *host, int number)
{
    host->stopping = true;
    if (host->running)
        uv_process_kill(&host->process, number);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct dev_host *host = handle->data;
    if (number != SIGHUP)
        stop(host, number);
    else if (host->running)
        uv_process_kill(&host->process, SIGHUP);
}

static void on_asked(uv_async_t *async)
{
    struct dev_host *host = async->data;
    uv_mutex_lock(&host->mutex);
    bool stop_it = host->stop, kill_it = host->kill;
    host->stop = host->kill = false;
    uv_mutex_unlock(&host->mutex);
    if (stop_it)
        stop(host, SIGTERM);
    if (kill_it && host->running && !host->stopping) {
        host->killed = true;
        uv_process_kill(&host->process, SIGKILL);
    }
}

static bool ask(struct dev_host *host, bool *what)
{
    uv_mutex_lock(&host->mutex);
    *what = true;
    bool running = host->running;
    uv_mutex_unlock(&host->mutex);
    uv_async_send(&host->asked);
    return running;
}

void dev_host_stop(struct dev_host *host)
{
    ask(host, &host->stop);
}

bool dev_host_kill(struct dev_host *host)
{
    return ask(host, &host->kill);
}

bool dev_host_open(struct dev_host *host, char *problem, size_t problem_size)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    int error = uv_loop_init(&host->loop);
    if (error < 0) {
        snprintf(problem, problem_size, "cannot open an event loop: %s", uv_strerror(error));
        return false;
    }
    uv_mutex_init(&host->mutex);
    uv_async_init(&host->loop, &host->asked, on_asked);
    host->asked.data = host;
    uv_timer_init(&host->loop, &host->again);
    host->again.data = host;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&host->loop, &host->signals[i]);
        host->signals[i].data = host;
        uv_signal_start(&host->signals[i], on_signal, numbers[i]);
    }
    dev_report_open(&host->report);
    return true;
}

int dev_host_run(struct dev_host *host)
{
    if (!start(host))
        return 1;
    uv_run(&host->loop, UV_RUN_DEFAULT);
    return host->code;
}

void dev_host_close(struct dev_host *host)
{
    uv_close((uv_handle_t *)&host->asked, NULL);
    uv_close((uv_handle_t *)&host->again, NULL);
    for (size_t i = 0; i < sizeof host->signals / sizeof *host->signals; i++)
        uv_close((uv_handle_t *)&host->signals[i], NULL);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    uv_loop_close(&host->loop);
    uv_mutex_destroy(&host->mutex);
    dev_report_close(&host->report);
}
