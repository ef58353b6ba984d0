/* Registration: at the start bounded and strict, later (after 401s, or with another card) once and
 * quietly.
 *
 * A platform that finds no live token of a workspace mints one for whoever registers it. Without
 * --bootstrap that is not ours to have: the token is tried first (GET …/state), and with one that
 * the platform does not accept nothing is registered. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/plural.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define REMEDY                                                                                    \
    "issue a token on the platform and put it into --token-file, which is read again by itself, " \
    "or give it with "                                                                            \
    "MOLECULE_WORKSPACE_TOKEN; to take one that the platform mints, start with --bootstrap and "  \
    "without a token"

static void attempt(struct workspace *workspace);

static void on_timer(uv_timer_t *timer)
{
    attempt(timer->data);
}

static void proceed(struct workspace *workspace)
{
    if (workspace->state == WORKSPACE_REGISTERING)
        workspace_registered(workspace);
    if (workspace->registration.outdated)
        registration_start(workspace, true);
}

static void again_after(struct workspace *workspace, int64_t floor_ms, int64_t most_ms)
{
    struct registration *registration = &workspace->registration;
    int64_t delay = retry_next_delay(&registration->backoff, floor_ms, host_random());
    workspace_arm(&registration->timer, on_timer, delay < most_ms ? delay : most_ms);
}

/* What it was minted for is not ours to know: it is dropped. The platform will refuse ours from now
 * on, and says so. */
static void leave_minted(struct workspace *workspace)
{
    log_error(
        workspace->settings.id,
        "the platform minted a token, since every token of this workspace was revoked; without "
        "--bootstrap it is not used; " REMEDY);
    if (workspace->state == WORKSPACE_REGISTERING)
        again_after(workspace, 0, INT64_MAX);
}

/* A platform that did not know the id has made a workspace of it, of its own kind (contract §12):
 * one that hosts agents itself will try to start a container for it. */
static void on_runtime(const struct exchange_answer *answer, void *context)
{
    const struct workspace *workspace = context;
    if (answer->verdict.class != RETRY_OK)
        return;
    json_t *about = json_loadb(answer->body, answer->body_length, JSON_ALLOW_NUL, NULL);
    const char *runtime = json_string_value(json_object_get(about, "runtime"));
    if (runtime && *runtime && strcmp(runtime, "external") != 0)
        log_warn(workspace->settings.id,
                 "the platform did not know this id, and created it with the runtime %s instead of "
                 "external: a self-hosted platform may try to start a container for it and show it "
                 "as failed; better create it "
                 "with POST /workspaces {\"name\": …, \"runtime\": \"external\"} and connect with "
                 "its id and token",
                 runtime);
    json_decref(about);
}

static void look_at_runtime(struct workspace *workspace)
{
    struct exchange_limits limits = {.timeout_ms = 10000, .response_maximum = 1024 * 1024};
    if (!exchange_busy(&workspace->query))
        exchange_start(&workspace->query, &workspace->budget, workspace->host->client,
                       platform_workspace(&workspace->platform, workspace->token.current,
                                          workspace->settings.id),
                       &limits, on_runtime, workspace);
}

static void succeeded(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct registration *registration = &workspace->registration;
    struct platform_registered registered;
    retry_succeeded(&registration->backoff);
    registration->refusals = (struct retry_refusals){0};
    registration->failures = 0;
    platform_read_registered(answer->body, answer->body_length, &registered);
    log_hide(registered.auth_token);
    log_hide(registered.platform_inbound_secret);
    if (registered.auth_token && !workspace->settings.bootstrap) {
        leave_minted(workspace);
    } else {
        log_info(workspace->settings.id, "registered%s as %s, mode poll, at %s",
                 registration->again ? " again" : "", registration->name,
                 workspace->platform.base_url);
        if (registered.auth_token) {
            token_accepted(workspace);
            token_mint(workspace, registered.auth_token, proceed);
        } else {
            proceed(workspace);
        }
    }
    if (registered.auth_token && workspace->settings.bootstrap)
        look_at_runtime(workspace);
    free(registered.delivery_mode);
    memory_wipe(registered.auth_token);
    memory_wipe(registered.platform_inbound_secret);
}

static void refused(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct registration *registration = &workspace->registration;
    int64_t patience = workspace->settings.refusal_patience_ms, now = clock_monotonic_ms();
    const char *hint =
        workspace->token.current
            ? "check that the token belongs to this workspace and was not revoked (--token-file, "
              "MOLECULE_WORKSPACE_TOKEN); " REMEDY
            : "the platform wants a token: give one with --token-file or MOLECULE_WORKSPACE_TOKEN";
    if (retry_refused(&registration->refusals, now, patience)) {
        log_error(workspace->settings.id, "%s (%u times within %lld s, --refusal-patience); %s",
                  answer->verdict.reason, registration->refusals.count,
                  (long long)(now - registration->refusals.first_ms) / 1000, hint);
        workspace_fail(workspace, HOST_EXIT_REFUSED);
        return;
    }
    log_warn(workspace->settings.id, "%s; %s; retrying", answer->verdict.reason, hint);
    /* not a loop of reads: the timer runs beside the reload */
    if (!workspace->token.busy)
        token_reload(workspace, NULL);
    int64_t left = registration->refusals.first_ms + patience - now;
    again_after(workspace, 0,
                registration->refusals.count < RETRY_REFUSALS_LEAST ? INT64_MAX
                : left > 0                                          ? left + 1
                                                                    : 1);
}

/* A path is for a proxy in front of the platform; most who give one have taken the address from
 * their browser. */
static const char *path_hint(const struct workspace *workspace)
{
    bool has_path = strcmp(workspace->platform.base_url, workspace->platform.origin) != 0;
    return has_path ? "; --api-url has a path: leave it out unless a proxy in front of the "
                      "platform wants it"
                    : "";
}

static void failed_for_now(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct registration *registration = &workspace->registration;
    unsigned maximum = workspace->settings.register_attempts;
    /* what comes between two refusals may be why */
    registration->refusals = (struct retry_refusals){0};
    if (maximum && ++registration->failures >= maximum) {
        log_error(workspace->settings.id,
                  "%s; giving up after %u attempt%s (--register-attempts); is --api-url %s right, "
                  "and is it up?%s",
                  answer->verdict.reason, registration->failures, plural(registration->failures),
                  workspace->platform.base_url, path_hint(workspace));
        workspace_fail(workspace, HOST_EXIT_FAILED);
        return;
    }
    log_warn(workspace->settings.id, "%s%s; retrying", answer->verdict.reason,
             path_hint(workspace));
    again_after(workspace, answer->verdict.floor_ms, INT64_MAX);
}

/* The workspace is running: nothing of this ends it, and the loops report their own trouble. */
static void not_again(struct workspace *workspace, const struct exchange_answer *answer)
{
    if (answer->verdict.class == RETRY_TRANSIENT) {
        log_debug(workspace->settings.id, "%s; retrying", answer->verdict.reason);
        again_after(workspace, answer->verdict.floor_ms, INT64_MAX);
    } else if (answer->verdict.class == RETRY_UNAUTHORIZED) {
        log_debug(workspace->settings.id, "%s", answer->verdict.reason);
    } else {
        log_warn(workspace->settings.id,
                 "%s; the platform still shows the old name and description",
                 answer->verdict.reason);
    }
}

static void failed(struct workspace *workspace, const struct exchange_answer *answer)
{
    if (workspace->registration.again) {
        not_again(workspace, answer);
    } else if (answer->verdict.class == RETRY_UNAUTHORIZED) {
        refused(workspace, answer);
    } else if (answer->verdict.class == RETRY_PERMANENT || answer->verdict.class == RETRY_GONE) {
        log_error(workspace->settings.id, "%s; the platform will not accept this registration%s",
                  answer->verdict.reason, path_hint(workspace));
        workspace_fail(workspace, HOST_EXIT_FAILED);
    } else {
        failed_for_now(workspace, answer);
    }
}

static void on_answer(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    if (workspace_over(workspace))
        return;
    start_queue_leave(workspace);
    if (!workspace->registration.again)
        workspace_away(workspace,
                       answer->verdict.class == RETRY_OK ? NULL : answer->verdict.reason);
    if (answer->verdict.class == RETRY_OK)
        succeeded(workspace, answer);
    else
        failed(workspace, answer);
}

static void send_registration(struct workspace *workspace)
{
    struct registration *registration = &workspace->registration;
    struct platform_card card = {.name = workspace->name,
                                 .description = workspace->description,
                                 .version = MOLECULE_VERSION,
                                 .skills = workspace->skills};
    struct exchange_limits limits = {.timeout_ms = 30000, .response_maximum = 1024 * 1024};
    registration->outdated = false;
    free(registration->name);
    registration->name = memory_copy_text(workspace->name);
    exchange_start(&registration->exchange, &workspace->budget, workspace->host->client,
                   platform_register(&workspace->platform, workspace->token.current, &card),
                   &limits, on_answer, workspace);
}

/* Whatever it says but a refusal: the registration itself tells what is wrong. */
static void on_tried(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    if (workspace_over(workspace))
        return;
    if (answer->verdict.class != RETRY_UNAUTHORIZED) {
        send_registration(workspace);
        return;
    }
    start_queue_leave(workspace);
    if (!workspace->registration.again)
        workspace_away(workspace, answer->verdict.reason);
    failed(workspace, answer);
}

static void try_token(struct workspace *workspace)
{
    struct exchange_limits limits = {.timeout_ms = 10000, .response_maximum = 1024 * 1024};
    exchange_start(&workspace->registration.exchange, &workspace->budget, workspace->host->client,
                   platform_state(&workspace->platform, workspace->token.current), &limits,
                   on_tried, workspace);
}

static void attempt(struct workspace *workspace)
{
    struct registration *registration = &workspace->registration;
    uv_timer_stop(&registration->timer); /* of an attempt before that failed */
    if (exchange_busy(&registration->exchange))
        return;
    if (workspace->token.busy) /* a new token is being read */
        workspace_arm(&registration->timer, on_timer, 5);
    else if (workspace->settings.bootstrap)
        send_registration(workspace);
    else
        try_token(workspace);
}

void registration_changed(struct workspace *workspace)
{
    struct registration *registration = &workspace->registration;
    if (workspace->state == WORKSPACE_RUNNING)
        registration_start(workspace, true);
    else if (exchange_busy(&registration->exchange))
        /* an attempt that waits for its turn or its time will say what is new */
        registration->outdated = true;
}

void registration_start(struct workspace *workspace, bool again)
{
    struct registration *registration = &workspace->registration;
    /* what it says may be of before: once more when it has its answer */
    if (exchange_busy(&registration->exchange)) {
        registration->outdated = true;
        return;
    }
    registration->again = again;
    registration->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = 60000};
    if (again)
        attempt(workspace);
    else
        start_queue_take(workspace);
}

void registration_begin(struct workspace *workspace)
{
    attempt(workspace);
}

void registration_close(struct workspace *workspace)
{
    exchange_cancel(&workspace->registration.exchange);
    uv_timer_stop(&workspace->registration.timer);
    free(workspace->registration.name);
    workspace->registration.name = NULL;
}
