#include "link/registration.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"
#include "base/random.h"
#include "base/timer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define REMEDY                                                                                     \
    "issue a token on the platform and put it into --token-file, which is re-read automatically, " \
    "or set MOLECULE_WORKSPACE_TOKEN; to accept one that the platform mints, start with "          \
    "--bootstrap and without a token"

static void attempt(struct registration *registration);

static void on_timer(uv_timer_t *timer)
{
    attempt(timer->data);
}

/* The token may have been minted for a workspace that was stopped meanwhile. */
static void proceed(struct registration *registration)
{
    if (registration->link->over)
        return;
    if (!registration->done) {
        registration->done = true;
        registration->registered(registration->context);
    }
    if (registration->outdated)
        registration_start(registration, true);
}

static void on_minted(void *context)
{
    proceed(context);
}

static void leave_queue(struct registration *registration)
{
    struct link *link = registration->link;
    start_queue_leave(&link->shared->starts, &registration->turn, link->budget.quiet_until_ms);
}

static void again_after(struct registration *registration, int64_t floor_ms, int64_t most_ms)
{
    int64_t delay = retry_next_delay(&registration->backoff, floor_ms, random_number());
    timer_arm(&registration->timer, on_timer, delay < most_ms ? delay : most_ms);
}

/* What it was minted for is not ours to know: it is dropped. The platform will refuse ours from now
 * on, and says so. */
static void leave_minted(struct registration *registration)
{
    log_error(LOG_TOKEN_MINTED_UNUSED, registration->link->options->id,
              "the platform minted a token, because every token of this workspace was revoked; it "
              "is not used without --bootstrap; " REMEDY);
    if (!registration->done)
        again_after(registration, 0, INT64_MAX);
}

/* A platform that did not know the id created a workspace with its default runtime (contract §12):
 * one that hosts agents itself will try to start a container for it. */
static void on_runtime(const struct call_answer *answer, void *context)
{
    const struct registration *registration = context;
    if (answer->verdict.class != RETRY_OK)
        return;
    json_t *about = json_loadb(answer->body, answer->body_length, JSON_ALLOW_NUL, NULL);
    const char *runtime = json_string_value(json_object_get(about, "runtime"));
    if (runtime && *runtime && strcmp(runtime, "external") != 0)
        log_warn(LOG_WORKSPACE_CREATED, registration->link->options->id,
                 "the platform did not know this id, and created it with the runtime %s instead of "
                 "external: a self-hosted platform may try to start a container for it and show it "
                 "as failed; instead, create it with POST /workspaces {\"name\": …, \"runtime\": "
                 "\"external\"} and connect with its id and token",
                 runtime);
    json_decref(about);
}

static void look_at_runtime(struct registration *registration)
{
    struct call_limits limits = {.timeout_ms = 10000, .response_maximum = 1024 * 1024};
    if (!call_busy(&registration->link->query))
        link_call(registration->link, &registration->link->query,
                  platform_workspace(&registration->link->platform,
                                     registration->link->token.current,
                                     registration->link->options->id),
                  &limits, on_runtime, registration);
}

static void succeeded(struct registration *registration, const struct call_answer *answer)
{
    struct platform_registered registered;
    retry_succeeded(&registration->backoff);
    registration->refusals = (struct retry_refusals){0};
    registration->failures = 0;
    platform_read_registered(answer->body, answer->body_length, &registered);
    log_hide(registered.auth_token);
    log_hide(registered.platform_inbound_secret);
    if (registered.auth_token && !registration->link->options->bootstrap) {
        leave_minted(registration);
    } else {
        inbound_secret_take(registration->link, registered.platform_inbound_secret);
        log_info(LOG_REGISTERED, registration->link->options->id,
                 "registered%s as %s, mode %s, at %s", registration->again ? " again" : "",
                 registration->name, registration->link->pushed ? "push" : "poll",
                 registration->link->platform.base_url);
        if (registered.auth_token) {
            token_accepted(registration->link);
            token_mint(registration->link, registered.auth_token, on_minted, registration);
        } else {
            proceed(registration);
        }
    }
    if (registered.auth_token && registration->link->options->bootstrap)
        look_at_runtime(registration);
    free(registered.delivery_mode);
    memory_wipe(registered.auth_token);
    memory_wipe(registered.platform_inbound_secret);
}

static void refused(struct registration *registration, const struct call_answer *answer)
{
    int64_t patience = registration->link->options->refusal_patience_ms, now = clock_monotonic_ms();
    const char *hint =
        registration->link->token.current
            ? "check that the token belongs to this workspace and was not revoked (--token-file, "
              "MOLECULE_WORKSPACE_TOKEN); " REMEDY
            : "the platform requires a token: give one with --token-file or "
              "MOLECULE_WORKSPACE_TOKEN";
    if (retry_refused(&registration->refusals, now, patience)) {
        log_error(LOG_REGISTRATION_REFUSED, registration->link->options->id,
                  "%s (%u times within %lld s, --refusal-patience); %s", answer->verdict.reason,
                  registration->refusals.count,
                  (long long)(now - registration->refusals.first_ms) / 1000, hint);
        registration->link->failed(registration->link->context, LINK_REFUSED);
        return;
    }
    log_warn(LOG_REGISTRATION_FAILING, registration->link->options->id, "%s; %s; retrying",
             answer->verdict.reason, hint);
    /* not a loop of reads: the timer runs during the reload */
    if (!registration->link->token.busy)
        token_reload(registration->link);
    int64_t left = registration->refusals.first_ms + patience - now;
    again_after(registration, 0,
                registration->refusals.count < RETRY_REFUSALS_LEAST ? INT64_MAX
                : left > 0                                          ? left + 1
                                                                    : 1);
}

/* A path is for a proxy in front of the platform; most who give one copied the address from their
 * browser. */
static const char *path_hint(const struct registration *registration)
{
    const struct platform *platform = &registration->link->platform;
    bool has_path = strcmp(platform->base_url, platform->origin) != 0;
    return has_path ? "; --api-url has a path: leave it out unless a proxy in front of the "
                      "platform needs it"
                    : "";
}

static void failed_for_now(struct registration *registration, const struct call_answer *answer)
{
    unsigned maximum = registration->link->options->register_attempts;
    /* what comes between two refusals may be their cause */
    registration->refusals = (struct retry_refusals){0};
    if (maximum && ++registration->failures >= maximum) {
        log_error(LOG_REGISTRATION_GAVE_UP, registration->link->options->id,
                  "%s; giving up after %u attempt%s (--register-attempts); is --api-url %s right, "
                  "and is it up?%s",
                  answer->verdict.reason, registration->failures, plural(registration->failures),
                  registration->link->platform.base_url, path_hint(registration));
        registration->link->failed(registration->link->context, LINK_FAILED);
        return;
    }
    log_warn(LOG_REGISTRATION_FAILING, registration->link->options->id, "%s%s; retrying",
             answer->verdict.reason, path_hint(registration));
    again_after(registration, answer->verdict.floor_ms, INT64_MAX);
}

/* The workspace is running: no failure here ends it, and the loops report their own. */
static void not_again(struct registration *registration, const struct call_answer *answer)
{
    if (answer->verdict.class == RETRY_TRANSIENT) {
        log_debug(LOG_REGISTRATION_FAILING, registration->link->options->id, "%s; retrying",
                  answer->verdict.reason);
        again_after(registration, answer->verdict.floor_ms, INT64_MAX);
    } else if (answer->verdict.class == RETRY_UNAUTHORIZED) {
        log_debug(LOG_REGISTRATION_FAILING, registration->link->options->id, "%s",
                  answer->verdict.reason);
    } else {
        log_warn(LOG_CARD_OUTDATED, registration->link->options->id,
                 "%s; the platform still shows the old name and description",
                 answer->verdict.reason);
    }
}

static void failed(struct registration *registration, const struct call_answer *answer)
{
    if (registration->again) {
        not_again(registration, answer);
    } else if (answer->verdict.class == RETRY_UNAUTHORIZED) {
        refused(registration, answer);
    } else if (registration->link->pushed && registration->link->options->push_or_poll &&
               answer->verdict.class == RETRY_PERMANENT) {
        log_warn(LOG_PUSH_UNREACHABLE, registration->link->options->id,
                 "%s; polling instead (--mode auto)", answer->verdict.reason);
        registration->link->pushed = false;
        again_after(registration, 0, 0);
    } else if (answer->verdict.class == RETRY_PERMANENT || answer->verdict.class == RETRY_GONE) {
        log_error(LOG_REGISTRATION_REFUSED, registration->link->options->id,
                  "%s; the platform will not accept this registration%s", answer->verdict.reason,
                  path_hint(registration));
        registration->link->failed(registration->link->context, LINK_FAILED);
    } else {
        failed_for_now(registration, answer);
    }
}

static void on_answer(const struct call_answer *answer, void *context)
{
    struct registration *registration = context;
    if (registration->link->over)
        return;
    leave_queue(registration);
    if (!registration->again)
        link_away(registration->link,
                  answer->verdict.class == RETRY_OK ? NULL : answer->verdict.reason);
    if (answer->verdict.class == RETRY_OK)
        succeeded(registration, answer);
    else
        failed(registration, answer);
}

static void send_registration(struct registration *registration)
{
    struct call_limits limits = {.timeout_ms = 30000, .response_maximum = 1024 * 1024};
    registration->outdated = false;
    struct platform_card card = *registration->card;
    const struct link *link = registration->link;
    free(registration->name);
    registration->name = memory_copy_text(card.name);
    card.push_url = link->pushed ? link->options->public_url : NULL;
    link_call(registration->link, &registration->call,
              platform_register(&link->platform, link->token.current, &card), &limits, on_answer,
              registration);
}

/* Any answer but a refusal will do: the registration itself tells what is wrong. */
static void on_tried(const struct call_answer *answer, void *context)
{
    struct registration *registration = context;
    if (registration->link->over)
        return;
    if (answer->verdict.class != RETRY_UNAUTHORIZED) {
        send_registration(registration);
        return;
    }
    leave_queue(registration);
    if (!registration->again)
        link_away(registration->link, answer->verdict.reason);
    failed(registration, answer);
}

static void try_token(struct registration *registration)
{
    struct call_limits limits = {.timeout_ms = 10000, .response_maximum = 1024 * 1024};
    link_call(registration->link, &registration->call,
              platform_state(&registration->link->platform, registration->link->token.current),
              &limits, on_tried, registration);
}

static void attempt(struct registration *registration)
{
    uv_timer_stop(&registration->timer); /* of an earlier attempt that failed */
    if (call_busy(&registration->call))
        return;
    if (registration->link->token.busy) /* a new token is being read */
        timer_arm(&registration->timer, on_timer, 5);
    else if (registration->link->options->bootstrap)
        send_registration(registration);
    else
        try_token(registration);
}

void registration_changed(struct registration *registration)
{
    if (registration->link->running)
        registration_start(registration, true);
    else if (call_busy(&registration->call))
        /* an attempt that waits for its turn or its time will send the new card */
        registration->outdated = true;
}

static void on_turn(struct start_turn *turn)
{
    attempt((struct registration *)((char *)turn - offsetof(struct registration, turn)));
}

void registration_start(struct registration *registration, bool again)
{
    /* it may send the old card: registers again after its answer */
    if (call_busy(&registration->call)) {
        registration->outdated = true;
        return;
    }
    registration->again = again;
    registration->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = 60000};
    registration->turn.begin = on_turn;
    if (again)
        attempt(registration);
    else
        start_queue_take(&registration->link->shared->starts, &registration->turn);
}

void registration_close(struct registration *registration)
{
    leave_queue(registration);
    call_cancel(&registration->call);
    uv_timer_stop(&registration->timer);
    free(registration->name);
    registration->name = NULL;
}
