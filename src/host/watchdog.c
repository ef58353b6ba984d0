#include "host/watchdog.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define EVERY_MS 1000
#define SLACK_MS 5000 /* beyond --cpu-limit: the hook would have ended Lua code by then */

static void on_alive(void *context)
{
    struct watchdog *watchdog = context;
    watchdog->ping_sent_ms = 0;
    if (watchdog->wedged) {
        log_info(LOG_SCRIPT_RESPONDING, watchdog->options->id, "the script is responding again");
        watchdog->wedged = false;
        watchdog->changed(watchdog->context);
    }
}

static void ping(struct watchdog *watchdog)
{
    /* 0 means no ping; a suspended process is not stuck */
    watchdog->ping_sent_ms = clock_awake_ms() + 1;
    script_ping(watchdog->script, on_alive, watchdog);
}

static void name_place(const struct watchdog_culprit *culprit, char *text, size_t size)
{
    const struct message *message = culprit->message;
    if (message)
        snprintf(text, size, "with message %s from %s%s", message->row_id,
                 message->source_id ? message->source_id : "the canvas",
                 culprit->naming ? " (in conversation(msg))" : "");
    else
        snprintf(text, size, "outside any message: in a timer, in its start or its stop");
}

static void say_wedged(struct watchdog *watchdog, const struct watchdog_culprit *culprit,
                       int64_t silent_ms)
{
    const char *id = watchdog->options->id;
    char place[400];
    name_place(culprit, place, sizeof place);
    bool in_lua = script_call(culprit->script).in_lua;
    if (culprit->script == watchdog->script && in_lua)
        log_error(LOG_SCRIPT_BUSY, id,
                  "the script has been running Lua code for %lld s %s without waiting or returning "
                  "(--cpu-limit %lld s); heartbeats continue",
                  (long long)silent_ms / 1000, place,
                  (long long)culprit->options->cpu_limit_ms / 1000);
    else if (culprit->script == watchdog->script)
        log_error(LOG_SCRIPT_STUCK, id,
                  "the script has been stuck in C code for %lld s %s, and cannot be interrupted; "
                  "heartbeats continue%s",
                  (long long)silent_ms / 1000, place,
                  watchdog->options->stuck_after_ms ? "" : " (--stuck-after 0: forever)");
    else
        log_error(LOG_SCRIPT_BLOCKED, id,
                  "its messages have been waiting for %lld s: the script of workspace %s, on the "
                  "same worker, %s; heartbeats continue",
                  (long long)silent_ms / 1000, culprit->options->id,
                  in_lua ? "is running Lua code without waiting or returning"
                         : "is stuck in C code");
    watchdog->wedged = true;
    watchdog->changed(watchdog->context);
}

static void end_stuck(struct watchdog *watchdog, const struct watchdog_culprit *culprit)
{
    log_error(LOG_SCRIPT_STUCK_EXIT, watchdog->options->id,
              "still stuck after %lld s (--stuck-after): exiting with code 75, so that the "
              "supervisor restarts it; %s%s will be redelivered",
              (long long)watchdog->options->stuck_after_ms / 1000,
              culprit->message ? "message " : "unfinished work",
              culprit->message ? culprit->message->row_id : "");
    watchdog->stuck(watchdog->context);
}

/* How long the worker has been in one call without an answer to the ping; 0 while it is in Lua code
 * that a limit will end. */
static int64_t silence(const struct watchdog *watchdog, const struct watchdog_culprit *culprit)
{
    int64_t silent = clock_awake_ms() - watchdog->ping_sent_ms;
    struct script_call call = script_call(culprit->script);
    if (call.will_end)
        return 0;
    return call.ms > 0 && call.ms < silent ? call.ms : silent;
}

/* It may rest only once the worker has shown that it is alive. */
static bool may_rest(const struct watchdog *watchdog)
{
    return !watchdog->wedged && !watchdog->ping_sent_ms && !script_has_timers(watchdog->script) &&
           watchdog->may_rest(watchdog->context);
}

static void on_timer(uv_timer_t *timer)
{
    struct watchdog *watchdog = timer->data;
    int64_t stuck_after_ms = watchdog->options->stuck_after_ms;
    struct watchdog_culprit culprit = {0};
    if (!watchdog->script || may_rest(watchdog)) {
        uv_timer_stop(timer);
        return;
    }
    thread_look(watchdog->network); /* for what the worker finished before it got stuck */
    if (!watchdog->ping_sent_ms) {
        ping(watchdog);
        return;
    }
    watchdog->find_culprit(watchdog->context, &culprit);
    int64_t silent = silence(watchdog, &culprit);
    int64_t patience = culprit.options->cpu_limit_ms + SLACK_MS;
    if (stuck_after_ms && patience >= stuck_after_ms)
        patience = stuck_after_ms / 2; /* the platform is told before the exit */
    if (!watchdog->wedged && silent >= patience)
        say_wedged(watchdog, &culprit, silent);
    if (stuck_after_ms && silent >= stuck_after_ms)
        end_stuck(watchdog, &culprit);
}

void watchdog_look(struct watchdog *watchdog)
{
    if (!watchdog->ping_sent_ms)
        ping(watchdog);
    watchdog_start(watchdog);
}

void watchdog_start(struct watchdog *watchdog)
{
    if (!uv_is_active((uv_handle_t *)&watchdog->timer))
        uv_timer_start(&watchdog->timer, on_timer, EVERY_MS, EVERY_MS);
}

void watchdog_stop(struct watchdog *watchdog)
{
    uv_timer_stop(&watchdog->timer);
}
