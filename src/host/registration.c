/* Registration: at the start bounded and strict, later (after 401s) once and quietly. */
#include "host/workspace.h"

#include "base/log.h"

#include <stdlib.h>

#define REFUSALS_MAXIMUM 3

static void attempt(struct workspace *workspace);

static void on_timer(uv_timer_t *timer)
{
    attempt(timer->data);
}

static void proceed(struct workspace *workspace)
{
    if (workspace->state == WORKSPACE_REGISTERING)
        workspace_registered(workspace);
}

static void succeeded(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct registration *registration = &workspace->registration;
    struct platform_registered registered;
    retry_succeeded(&registration->backoff);
    platform_read_registered(answer->body, answer->body_length, &registered);
    log_hide(registered.auth_token);
    log_hide(registered.platform_inbound_secret);
    log_info(workspace->settings.id, "registered%s as %s, mode poll, at %s", registration->again ? " again" : "",
             workspace->name, workspace->platform.base_url);
    if (registered.auth_token)
        token_accepted(workspace);
    if (registered.auth_token)
        token_mint(workspace, registered.auth_token, proceed);
    else
        proceed(workspace);
    free(registered.delivery_mode);
    free(registered.auth_token);
    free(registered.platform_inbound_secret);
}

static void again_after(struct workspace *workspace, int64_t floor_ms)
{
    struct registration *registration = &workspace->registration;
    workspace_arm(&registration->timer, on_timer, retry_next_delay(&registration->backoff, floor_ms, host_random()));
}

static void refused(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct registration *registration = &workspace->registration;
    const char *hint = workspace->token.current
        ? "check that the token belongs to this workspace and was not revoked (--token-file, MOLECULE_WORKSPACE_TOKEN)"
        : "the platform wants a token: give one with --token-file or MOLECULE_WORKSPACE_TOKEN";
    if (++registration->refused >= REFUSALS_MAXIMUM) {
        log_error(workspace->settings.id, "%s; %s", answer->verdict.reason, hint);
        workspace_fail(workspace, HOST_EXIT_REFUSED);
        return;
    }
    log_warn(workspace->settings.id, "%s; trying again (%u of %d)", answer->verdict.reason, registration->refused + 1,
             REFUSALS_MAXIMUM);
    /* not a loop of reads: the timer runs beside the reload */
    token_reload(workspace, NULL);
    again_after(workspace, 0);
}

static void failed_for_now(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct registration *registration = &workspace->registration;
    unsigned maximum = workspace->settings.register_attempts;
    if (maximum && registration->attempts >= maximum) {
        log_error(workspace->settings.id,
                  "%s; giving up after %u attempts (--register-attempts); is --api-url %s right, and is it up?",
                  answer->verdict.reason, registration->attempts, workspace->platform.base_url);
        workspace_fail(workspace, HOST_EXIT_FAILED);
        return;
    }
    log_warn(workspace->settings.id, "%s; trying again", answer->verdict.reason);
    again_after(workspace, answer->verdict.floor_ms);
}

/* The workspace is running: nothing of this ends it, and the loops report their own trouble. */
static void not_again(struct workspace *workspace, const struct exchange_answer *answer)
{
    if (answer->verdict.class == RETRY_TRANSIENT) {
        log_debug(workspace->settings.id, "%s; trying again", answer->verdict.reason);
        again_after(workspace, answer->verdict.floor_ms);
    } else if (answer->verdict.class == RETRY_UNAUTHORIZED) {
        log_debug(workspace->settings.id, "%s", answer->verdict.reason);
    } else {
        log_warn(workspace->settings.id, "%s; the platform shows the name and description of before", answer->verdict.reason);
    }
}

static void on_answer(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    if (workspace_over(workspace))
        return;
    turns_leave(workspace);
    if (answer->verdict.class == RETRY_OK) {
        succeeded(workspace, answer);
    } else if (workspace->registration.again) {
        not_again(workspace, answer);
    } else if (answer->verdict.class == RETRY_UNAUTHORIZED) {
        refused(workspace, answer);
    } else if (answer->verdict.class == RETRY_PERMANENT || answer->verdict.class == RETRY_GONE) {
        log_error(workspace->settings.id, "%s; the platform will not accept this registration", answer->verdict.reason);
        workspace_fail(workspace, HOST_EXIT_FAILED);
    } else {
        failed_for_now(workspace, answer);
    }
}

static void attempt(struct workspace *workspace)
{
    struct registration *registration = &workspace->registration;
    if (workspace->token.busy) { /* a new token is being read */
        workspace_arm(&registration->timer, on_timer, 5);
        return;
    }
    registration->attempts++;
    struct platform_card card = {.name = workspace->name, .description = workspace->description,
                                 .version = MOLECULE_VERSION, .skills = workspace->skills};
    struct exchange_limits limits = {.timeout_ms = 30000, .response_maximum = 1024 * 1024};
    exchange_start(&registration->exchange, &workspace->budget, workspace->host->client,
                   platform_register(&workspace->platform, workspace->token.current, &card), &limits, on_answer,
                   workspace);
}

void registration_start(struct workspace *workspace, bool again)
{
    struct registration *registration = &workspace->registration;
    if (exchange_busy(&registration->exchange))
        return;
    registration->again = again;
    registration->backoff = (struct retry_backoff){.base_ms = 500, .cap_ms = 60000};
    if (again)
        attempt(workspace);
    else
        turns_take(workspace);
}

void registration_begin(struct workspace *workspace)
{
    attempt(workspace);
}

void registration_close(struct workspace *workspace)
{
    exchange_cancel(&workspace->registration.exchange);
    uv_timer_stop(&workspace->registration.timer);
}
