#include "link/token.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"
#include "link/link.h"
#include "state/atomic_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAXIMUM 8192

/* instead of an errno */
#define SEVERAL_WORDS (-1)
#define REFUSED (-2)

static const char *describe_error(int error)
{
    return error == REFUSED ? "may be read by other users, which --strict refuses; chmod 600 it"
           : error == SEVERAL_WORDS ? "holds several words in its first line; it must be the token "
                                      "alone, without \"Bearer\""
           : error                  ? strerror(error)
                                    : "is empty";
}

/* One line, trimmed; NULL if that leaves nothing. `id`: the workspace's, of a file that was named;
 * NULL: a file of the state directory, which must not be a link. */
static char *read_token(const char *path, const char *id, int *error)
{
    size_t length;
    char problem[1024];
    *error = REFUSED;
    if (path && id && !secret_file_check(path, "a token", id, problem, sizeof problem))
        return NULL;
    *error = 0;
    char *bytes = !path ? NULL
                  : id  ? atomic_file_read(path, TOKEN_MAXIMUM, &length, error)
                        : atomic_file_read_own(path, TOKEN_MAXIMUM, &length, error);
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

static void say_unreadable(const char *id, const char *path, int error)
{
    log_error(LOG_TOKEN_FILE_FAILING, id, "the token file %s %s%s", path,
              error > 0 ? "cannot be read: " : "", describe_error(error));
}

static void use(struct token *token, char *value, bool kept)
{
    log_hide(value);
    memory_wipe(token->current);
    token->current = value;
    token->using_kept = kept;
}

void token_open(struct link *link)
{
    struct token *token = &link->token;
    const struct molecule_workspace_options *options = link->options;
    int error = 0;
    token->kept_path = memory_format("%s/%s.token", options->state_directory, options->id);
    token->configured = memory_copy_text(options->token);
    char *value = memory_copy_text(options->token);
    if (!value && options->token_file) {
        value = read_token(options->token_file, options->id, &error);
        if (!value)
            say_unreadable(options->id, options->token_file, error);
    }
    bool kept = false;
    if (!value && !options->token_file) {
        value = read_token(token->kept_path, NULL, &error);
        kept = value != NULL;
    }
    if (value)
        use(token, value, kept);
}

void token_close(struct link *link)
{
    struct token *token = &link->token;
    memory_wipe(token->current);
    memory_wipe(token->configured);
    free(token->kept_path);
}

char *token_read(const struct molecule_workspace_options *options, char *problem,
                 size_t problem_size)
{
    int error = 0;
    *problem = '\0';
    char *kept_path = memory_format("%s/%s.token", options->state_directory, options->id);
    char *found = options->token ? memory_copy_text(options->token)
                                 : read_token(options->token_file ? options->token_file : kept_path,
                                              options->token_file ? options->id : NULL, &error);
    if (!found && options->token_file)
        snprintf(problem, problem_size, "there is no token in %s: it %s%s", options->token_file,
                 error > 0 ? "cannot be read: " : "", describe_error(error));
    free(kept_path);
    return found;
}

bool token_exists(const struct molecule_workspace_options *options, char *problem,
                  size_t problem_size)
{
    char *found = token_read(options, problem, problem_size);
    bool exists = found != NULL;
    memory_wipe(found);
    return exists;
}

bool token_available(const struct link *link)
{
    return link->token.current != NULL;
}

/* A task for the disk thread and back. */
struct token_work {
    struct link *link;
    void (*then)(void *context); /* NULL: nothing follows */
    void *context;
    char *id, *token_file, *kept_path, *minted;
    char *from_file, *from_kept; /* what was read */
    int file_error;
    bool written;
    char problem[512];
};

static void free_work(struct token_work *work)
{
    free(work->id);
    free(work->token_file);
    free(work->kept_path);
    memory_wipe(work->minted);
    memory_wipe(work->from_file);
    memory_wipe(work->from_kept);
    free(work);
}

static struct token_work *make_work(struct link *link)
{
    struct token_work *work = memory_allocate(sizeof *work);
    work->link = link;
    work->kept_path = memory_copy_text(link->token.kept_path);
    link->token.busy = true;
    return work;
}

static void work_read(void *context)
{
    struct token_work *work = context;
    int error;
    work->from_file = read_token(work->token_file, work->id, &work->file_error);
    work->from_kept = read_token(work->kept_path, NULL, &error);
}

/* The first of the sources, in order of preference, that is not what was just refused. */
static void work_read_done(void *context)
{
    struct token_work *work = context;
    struct link *link = work->link;
    struct token *token = &link->token;
    bool unreadable = work->token_file && !work->from_file;
    if (unreadable && !token->unreadable)
        say_unreadable(work->id, work->token_file, work->file_error);
    token->unreadable = unreadable;
    char *candidates[] = {work->from_file, token->configured, work->from_kept};
    for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
        if (!candidates[i] || (token->current && strcmp(candidates[i], token->current) == 0))
            continue;
        log_info(LOG_TOKEN_TRIED, link->options->id, "trying the token %s instead",
                 i == 0   ? "now in the token file"
                 : i == 1 ? "that was configured"
                          : "that the platform minted earlier");
        use(token, memory_copy_text(candidates[i]), i == 2);
        break;
    }
    token->busy = false;
    free_work(work);
}

void token_reload(struct link *link)
{
    struct token_work *work = make_work(link);
    work->id = memory_copy_text(link->options->id);
    work->token_file = memory_copy_text(link->options->token_file);
    disk_run(link->shared->disk, link->shared->network, work_read, work_read_done, work);
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
    struct link *link = work->link;
    if (work->written)
        log_info(LOG_TOKEN_MINTED, link->options->id,
                 "the platform minted a token; it is kept in %s", work->kept_path);
    else
        log_error(LOG_TOKEN_UNSAVED, link->options->id,
                  "the platform minted a token, but it could not be saved: %s; it works until this "
                  "process exits, then issue a new one on the platform",
                  work->problem);
    link->token.busy = false;
    work->then(work->context);
    free_work(work);
}

void token_mint(struct link *link, const char *minted, void (*then)(void *context), void *context)
{
    use(&link->token, memory_copy_text(minted), true);
    struct token_work *work = make_work(link);
    work->then = then;
    work->context = context;
    work->minted = memory_copy_text(minted);
    disk_run(link->shared->disk, link->shared->network, work_write, work_write_done, work);
}

void token_accepted(struct link *link)
{
    if (link->token.refused >= 3)
        log_info(LOG_TOKEN_ACCEPTED, link->options->id, "the platform accepts our token again");
    link->token.refused = 0;
    link->token.removed = (struct retry_refusals){0};
}

int64_t token_floor_ms(const struct link *link)
{
    return link->token.refused <= 1 ? 250 : link->token.refused <= 3 ? 2000 : 10000;
}

/* Is the workspace itself gone? Then there is nothing to wait for. */
static void on_query(const struct call_answer *answer, void *context)
{
    struct link *link = context;
    if (answer->status != 410)
        return;
    int64_t patience = link->options->refusal_patience_ms;
    if (answer->verdict.from_platform &&
        retry_refused(&link->token.removed, clock_monotonic_ms(), patience)) {
        log_error(LOG_WORKSPACE_REMOVED, link->options->id,
                  "this workspace was removed on the platform; nothing left to serve");
        link->failed(link->context, LINK_REFUSED);
    }
}

void token_refused(struct link *link, const struct call_answer *answer)
{
    struct token *token = &link->token;
    unsigned count = ++token->refused;
    if (count == 1)
        log_warn(LOG_TOKEN_REFUSED, link->options->id, "%s; re-reading the token and continuing",
                 answer->verdict.reason);
    else if (count == 3 || count % 20 == 0)
        log_error(LOG_TOKEN_REFUSED, link->options->id,
                  "%s (%u times in a row); check the token on the platform, put a new one into the "
                  "token file, or restart with --token-file%s",
                  answer->verdict.reason, count,
                  link->options->bootstrap
                      ? ""
                      : "; without --bootstrap the platform is not asked to mint one");
    if (link->over)
        return;
    if (!token->busy)
        token_reload(link);
    if (count % 20 == 3)
        link->register_again(link->context);
    int64_t now = clock_monotonic_ms();
    if (count >= 3 && now >= token->next_query_ms && !call_busy(&link->query)) {
        token->next_query_ms = now + link->options->refusal_patience_ms / RETRY_REFUSALS_LEAST;
        struct call_limits limits = {.timeout_ms = 10000, .response_maximum = 1024 * 1024};
        link_call(link, &link->query,
                  platform_workspace(&link->platform, token->current, link->options->id), &limits,
                  on_query, link);
    }
}
