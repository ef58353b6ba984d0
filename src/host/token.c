/* The token: from --token, the environment or a file; else the one the platform minted at the first
 * registration. */
#include "host/workspace.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "state/atomic_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAXIMUM 8192

#define SEVERAL_WORDS (-1) /* instead of an errno */

static const char *describe_error(int error)
{
    return error == SEVERAL_WORDS ? "holds several words in its first line; it must be the token "
                                    "alone, without \"Bearer\""
           : error                ? strerror(error)
                                  : "is empty";
}

/* One line, blanks around it removed; NULL if that leaves nothing. `own`: a file of the state
 * directory; others may be links. */
static char *read_token(const char *path, bool own, int *error)
{
    size_t length;
    char *bytes = !path ? NULL
                  : own ? atomic_file_read_own(path, TOKEN_MAXIMUM, &length, error)
                        : atomic_file_read(path, TOKEN_MAXIMUM, &length, error);
    if (!bytes)
        return NULL;
    size_t start = strspn(bytes, " \t\r\n"), size = strcspn(bytes + start, " \t\r\n");
    size_t after = start + size + strspn(bytes + start + size, " \t");
    bool several = bytes[after] && !strchr("\r\n", bytes[after]);
    char *token = size > 0 && !several ? memory_copy(bytes + start, size) : NULL;
    explicit_bzero(bytes, length);
    free(bytes);
    *error = several ? SEVERAL_WORDS : 0;
    return token;
}

static void use(struct token *token, char *value, bool kept)
{
    log_hide(value);
    memory_wipe(token->current);
    token->current = value;
    token->using_kept = kept;
}

void token_open(struct workspace *workspace)
{
    struct token *token = &workspace->token;
    const struct molecule_workspace_options *settings = &workspace->settings;
    int error = 0;
    token->kept_path = memory_format("%s/%s.token", settings->state_directory, settings->id);
    token->configured = memory_copy_text(settings->token);
    char *value = memory_copy_text(settings->token);
    if (!value && settings->token_file) {
        value = read_token(settings->token_file, false, &error);
        if (!value)
            log_error(settings->id, "the token file %s %s%s", settings->token_file,
                      error > 0 ? "cannot be read: " : "", describe_error(error));
    }
    bool kept = false;
    if (!value && !settings->token_file) {
        value = read_token(token->kept_path, true, &error);
        kept = value != NULL;
    }
    if (value)
        use(token, value, kept);
}

void token_close(struct workspace *workspace)
{
    struct token *token = &workspace->token;
    memory_wipe(token->current);
    memory_wipe(token->configured);
    free(token->kept_path);
}

bool token_exists(const struct molecule_workspace_options *settings, char *problem,
                  size_t problem_size)
{
    int error = 0;
    *problem = '\0';
    char *kept_path = memory_format("%s/%s.token", settings->state_directory, settings->id);
    char *found = settings->token
                      ? memory_copy_text(settings->token)
                      : read_token(settings->token_file ? settings->token_file : kept_path,
                                   !settings->token_file, &error);
    bool exists = found != NULL;
    if (!exists && settings->token_file)
        snprintf(problem, problem_size, "there is no token in %s: it %s%s", settings->token_file,
                 error > 0 ? "cannot be read: " : "", describe_error(error));
    memory_wipe(found);
    free(kept_path);
    return exists;
}

bool token_available(const struct workspace *workspace)
{
    return workspace->token.current != NULL;
}

/* A task for the disk thread and back. */
struct token_work {
    struct workspace *workspace;
    void (*then)(struct workspace *workspace);
    char *token_file, *kept_path, *minted;
    char *from_file, *from_kept; /* what was read */
    bool written;
    char problem[512];
};

static void free_work(struct token_work *work)
{
    free(work->token_file);
    free(work->kept_path);
    memory_wipe(work->minted);
    memory_wipe(work->from_file);
    memory_wipe(work->from_kept);
    free(work);
}

static struct token_work *make_work(struct workspace *workspace,
                                    void (*then)(struct workspace *workspace))
{
    struct token_work *work = memory_allocate(sizeof *work);
    work->workspace = workspace;
    work->then = then;
    work->kept_path = memory_copy_text(workspace->token.kept_path);
    workspace->token.busy = true;
    return work;
}

static void work_read(void *context)
{
    struct token_work *work = context;
    int error;
    work->from_file = read_token(work->token_file, false, &error);
    work->from_kept = read_token(work->kept_path, true, &error);
}

/* The first of the sources, in order of preference, that is not what was just refused. */
static void work_read_done(void *context)
{
    struct token_work *work = context;
    struct workspace *workspace = work->workspace;
    struct token *token = &workspace->token;
    char *candidates[] = {work->from_file, token->configured, work->from_kept};
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        if (!candidates[i] || (token->current && strcmp(candidates[i], token->current) == 0))
            continue;
        log_info(workspace->settings.id, "trying the token %s instead",
                 i == 0   ? "that now stands in the token file"
                 : i == 1 ? "that was configured"
                          : "that the platform minted for us earlier");
        use(token, memory_copy_text(candidates[i]), i == 2);
        break;
    }
    token->busy = false;
    if (work->then)
        work->then(workspace);
    free_work(work);
}

void token_reload(struct workspace *workspace, void (*then)(struct workspace *workspace))
{
    struct token_work *work = make_work(workspace, then);
    work->token_file = memory_copy_text(workspace->settings.token_file);
    host_on_disk(workspace->host, work_read, work_read_done, work);
}

static void work_write(void *context)
{
    struct token_work *work = context;
    work->written = atomic_file_write(work->kept_path, work->minted, strlen(work->minted),
                                      work->problem, sizeof work->problem);
}

static void work_write_done(void *context)
{
    struct token_work *work = context;
    struct workspace *workspace = work->workspace;
    if (work->written)
        log_info(workspace->settings.id, "the platform minted a token; it is kept in %s",
                 work->kept_path);
    else
        log_error(workspace->settings.id,
                  "the platform minted a token, but it could not be kept: %s; it works until this "
                  "process ends, then a "
                  "new one must be issued on the platform",
                  work->problem);
    workspace->token.busy = false;
    work->then(workspace);
    free_work(work);
}

void token_mint(struct workspace *workspace, const char *minted,
                void (*then)(struct workspace *workspace))
{
    use(&workspace->token, memory_copy_text(minted), true);
    struct token_work *work = make_work(workspace, then);
    work->minted = memory_copy_text(minted);
    host_on_disk(workspace->host, work_write, work_write_done, work);
}

void token_accepted(struct workspace *workspace)
{
    if (workspace->token.refused >= 3)
        log_info(workspace->settings.id, "the platform accepts our token again");
    workspace->token.refused = 0;
    workspace->token.removed = (struct retry_refusals){0};
}

int64_t token_floor_ms(const struct workspace *workspace)
{
    return workspace->token.refused <= 1 ? 250 : workspace->token.refused <= 3 ? 2000 : 10000;
}

/* Is the workspace itself gone? Then there is nothing to wait for. */
static void on_query(const struct exchange_answer *answer, void *context)
{
    struct workspace *workspace = context;
    if (answer->status != 410)
        return;
    int64_t patience = workspace->settings.refusal_patience_ms;
    if (answer->verdict.from_platform &&
        retry_refused(&workspace->token.removed, clock_monotonic_ms(), patience)) {
        log_error(workspace->settings.id,
                  "this workspace was removed on the platform; nothing left to serve");
        workspace_fail(workspace, HOST_EXIT_REFUSED);
    }
}

void token_refused(struct workspace *workspace, const struct exchange_answer *answer)
{
    struct token *token = &workspace->token;
    unsigned count = ++token->refused;
    if (count == 1)
        log_warn(workspace->settings.id, "%s; re-reading the token and continuing",
                 answer->verdict.reason);
    else if (count == 3 || count % 20 == 0)
        log_error(workspace->settings.id,
                  "%s (%u times in a row); check the token on the platform, put a new one into the "
                  "token file, or stop "
                  "and start with --token-file%s",
                  answer->verdict.reason, count,
                  workspace->settings.bootstrap
                      ? ""
                      : "; without --bootstrap the platform is not asked to mint one");
    if (workspace_over(workspace))
        return;
    if (!token->busy)
        token_reload(workspace, NULL);
    if (count % 20 == 3)
        registration_start(workspace, true);
    int64_t now = clock_monotonic_ms();
    if (count >= 3 && now >= token->next_query_ms && !exchange_busy(&workspace->query)) {
        token->next_query_ms = now + workspace->settings.refusal_patience_ms / RETRY_REFUSALS_LEAST;
        struct exchange_limits limits = {.timeout_ms = 10000, .response_maximum = 1024 * 1024};
        exchange_start(
            &workspace->query, &workspace->budget, workspace->host->client,
            platform_workspace(&workspace->platform, token->current, workspace->settings.id),
            &limits, on_query, workspace);
    }
}
