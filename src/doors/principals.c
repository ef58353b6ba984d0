#include "doors/principals.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/secret_file.h"

#include <ctype.h>
#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_MAXIMUM ((size_t)1 << 20)
#define LINE_USUAL 8192

struct token {
    char name[PRINCIPAL_NAME_MAXIMUM + 1];
    uint8_t digest[SHA256_DIGEST_SIZE];
};

/* A bucket that fills with time. */
struct budget {
    char name[PRINCIPAL_NAME_MAXIMUM + 1];
    double left;
    int64_t at_ms;
};

struct principals {
    char *path;
    unsigned per_minute;
    struct token *tokens;
    size_t count;
    struct budget *budgets;
    size_t budget_count;
};

static void digest_of(const char *token, size_t length, uint8_t digest[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, length, (const uint8_t *)token);
    sha256_digest(&sha, SHA256_DIGEST_SIZE, digest);
}

/* --- the file --- */

static bool is_name(const char *text, size_t length)
{
    if (length == 0 || length > PRINCIPAL_NAME_MAXIMUM || !isalnum((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
            return false;
    return true;
}

/* They mean others: the human of a platform, and whoever asks where no token is needed. */
static bool is_reserved(const char *text, size_t length)
{
    static const char *const names[] = {"canvas", PRINCIPAL_ANYONE};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == length && strncmp(text, names[i], length) == 0)
            return true;
    return false;
}

static const char blanks[] = " \t\r";

/* NULL: the line is taken, or has nothing; else what is wrong with it. */
static const char *take_line(struct principals *principals, char *line)
{
    line += strspn(line, blanks);
    if (*line == '\0' || *line == '#')
        return NULL;
    size_t name = strcspn(line, blanks);
    char *token = line + name + strspn(line + name, blanks);
    size_t length = strcspn(token, blanks);
    if (length == 0)
        return "it has one word; a line is a name and a token";
    if (token[length + strspn(token + length, blanks)] != '\0')
        return "it has more than two words; a line is a name and a token";
    if (!is_name(line, name))
        return "the name has other characters than letters, digits, . _ -, or is too long";
    if (is_reserved(line, name))
        return "\"canvas\" and \"anonymous\" cannot be names";
    if (length < PRINCIPAL_TOKEN_LEAST)
        return "the token is shorter than 16 characters";
    if (principals->count == PRINCIPALS_MAXIMUM)
        return "there are more than 1000 tokens";
    struct token *new = &principals->tokens[principals->count];
    snprintf(new->name, sizeof new->name, "%.*s", (int)name, line);
    digest_of(token, length, new->digest);
    for (size_t i = 0; i < principals->count; i++)
        if (memeql_sec(principals->tokens[i].digest, new->digest, SHA256_DIGEST_SIZE))
            return "the same token stands in an earlier line";
    principals->count++;
    token[length] = '\0';
    log_hide(token);
    return NULL;
}

static bool take_lines(struct principals *principals, FILE *file, const char *path, char *problem,
                       size_t problem_size)
{
    size_t room = LINE_USUAL, number = 0;
    char *line = memory_allocate(room); /* one that need not grow leaves no copies */
    const char *wrong = NULL;
    ssize_t length;
    while (!wrong && (length = getline(&line, &room, file)) >= 0) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        wrong = (size_t)length > FILE_MAXIMUM ? "it is too long" : take_line(principals, line);
    }
    explicit_bzero(line, room);
    free(line);
    if (wrong)
        snprintf(problem, problem_size, "%s:%zu: %s", path, number, wrong);
    else if (principals->count == 0)
        snprintf(problem, problem_size,
                 "%s has no token; a line of it is a name and a token, as \"alice "
                 "4f1c2b…\"",
                 path);
    return !wrong && principals->count > 0;
}

static bool read_file(struct principals *principals, char *problem, size_t problem_size)
{
    if (!secret_file_check(principals->path, "tokens", NULL, problem, problem_size))
        return false;
    FILE *file = fopen(principals->path, "re");
    if (!file) {
        snprintf(problem, problem_size, "--auth-token-file %s cannot be read: %s", principals->path,
                 strerror(errno));
        return false;
    }
    char buffer[BUFSIZ];
    setvbuf(file, buffer, _IOFBF, sizeof buffer);
    bool taken = take_lines(principals, file, principals->path, problem, problem_size);
    fclose(file);
    explicit_bzero(buffer, sizeof buffer);
    return taken;
}

static void free_tokens(struct token *tokens, size_t count)
{
    if (tokens)
        explicit_bzero(tokens, count * sizeof *tokens);
    free(tokens);
}

bool principals_reload(struct principals *principals, char *problem, size_t problem_size)
{
    if (!principals->path)
        return true;
    struct principals read = {.path = principals->path};
    read.tokens = memory_allocate(PRINCIPALS_MAXIMUM * sizeof *read.tokens);
    if (!read_file(&read, problem, problem_size)) {
        free_tokens(read.tokens, read.count);
        return false;
    }
    free_tokens(principals->tokens, principals->count);
    principals->tokens = read.tokens;
    principals->count = read.count;
    return true;
}

struct principals *principals_open(const char *path, unsigned per_minute, char *problem,
                                   size_t problem_size)
{
    struct principals *principals = memory_allocate(sizeof *principals);
    principals->path = memory_copy_text(path);
    principals->per_minute = per_minute;
    if (principals_reload(principals, problem, problem_size))
        return principals;
    principals_close(principals);
    return NULL;
}

void principals_close(struct principals *principals)
{
    if (!principals)
        return;
    free_tokens(principals->tokens, principals->count);
    free(principals->budgets);
    free(principals->path);
    free(principals);
}

bool principals_ask(const struct principals *principals)
{
    return principals->path;
}

size_t principals_count(const struct principals *principals)
{
    return principals->count;
}

/* --- who asks, and how often --- */

const char *principals_find(const struct principals *principals, const char *authorization)
{
    static const char scheme[] = "Bearer";
    const char *found = NULL;
    uint8_t digest[SHA256_DIGEST_SIZE];
    if (!principals->path)
        return PRINCIPAL_ANYONE;
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0 ||
        authorization[sizeof scheme - 1] != ' ')
        return NULL;
    const char *token = authorization + sizeof scheme - 1;
    token += strspn(token, " ");
    digest_of(token, strcspn(token, " "), digest);
    for (size_t i = 0; i < principals->count; i++)
        if (memeql_sec(principals->tokens[i].digest, digest, sizeof digest))
            found = principals->tokens[i].name;
    return found;
}

bool principals_have(const struct principals *principals, const char *name)
{
    bool found = !principals->path;
    for (size_t i = 0; i < principals->count && !found; i++)
        found = strcmp(principals->tokens[i].name, name) == 0;
    return found;
}

static struct budget *budget_of(struct principals *principals, const char *name, double most,
                                int64_t now_ms)
{
    for (size_t i = 0; i < principals->budget_count; i++)
        if (strcmp(principals->budgets[i].name, name) == 0)
            return &principals->budgets[i];
    principals->budgets = memory_resize(principals->budgets, (principals->budget_count + 1) *
                                                                 sizeof *principals->budgets);
    struct budget *budget = &principals->budgets[principals->budget_count++];
    *budget = (struct budget){.left = most, .at_ms = now_ms};
    snprintf(budget->name, sizeof budget->name, "%s", name);
    return budget;
}

unsigned principals_wait(struct principals *principals, const char *name, int64_t now_ms)
{
    if (principals->per_minute == 0)
        return 0;
    double per_ms = principals->per_minute / 60000.0, most = principals->per_minute / 6.0;
    most = most < 1 ? 1 : most;
    struct budget *budget = budget_of(principals, name, most, now_ms);
    budget->left += (double)(now_ms - budget->at_ms) * per_ms;
    budget->left = budget->left > most ? most : budget->left;
    budget->at_ms = now_ms;
    if (budget->left >= 1) {
        budget->left -= 1;
        return 0;
    }
    return (unsigned)((1 - budget->left) / per_ms / 1000) + 1;
}
