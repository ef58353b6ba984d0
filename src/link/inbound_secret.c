#include "link/inbound_secret.h"

#include "base/log.h"
#include "base/memory.h"
#include "link/link.h"
#include "state/atomic_file.h"

#include <fcntl.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SECRET_MAXIMUM 4096

static char *read_kept(const char *path)
{
    char bytes[SECRET_MAXIMUM];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, bytes, sizeof bytes) : -1;
    if (file >= 0)
        close(file);
    char *secret = length > 0 && length < (ssize_t)sizeof bytes ? memory_copy(bytes, (size_t)length)
                                                                : NULL;
    explicit_bzero(bytes, sizeof bytes);
    return secret;
}

void inbound_secret_open(struct link *link)
{
    const struct molecule_workspace_options *options = link->options;
    if (!options->push)
        return;
    link->inbound.path = memory_format("%s/%s.inbound", options->state_directory, options->id);
    link->inbound.current = read_kept(link->inbound.path);
    log_hide(link->inbound.current);
}

void inbound_secret_close(struct link *link)
{
    memory_wipe(link->inbound.current);
    free(link->inbound.path);
    link->inbound = (struct inbound_secret){0};
}

struct writing {
    struct link *link;
    char *path, *secret;
    bool written;
    char problem[512];
};

static void work_write(void *context)
{
    struct writing *writing = context;
    writing->written = atomic_file_write(writing->path, writing->secret, strlen(writing->secret),
                                         writing->problem, sizeof writing->problem);
}

static void write_it(struct link *link);

static void work_write_done(void *context)
{
    struct writing *writing = context;
    struct link *link = writing->link;
    bool outdated = link->inbound.current && strcmp(link->inbound.current, writing->secret) != 0;
    if (!writing->written)
        log_warn(LOG_INBOUND_SECRET_UNSAVED, link->options->id,
                 "the platform's inbound secret could not be kept: %s; after a restart the "
                 "platform is not known until it has answered the registration",
                 writing->problem);
    link->inbound.busy = false;
    memory_wipe(writing->secret);
    free(writing->path);
    free(writing);
    if (outdated && !link->over)
        write_it(link);
}

static void write_it(struct link *link)
{
    struct writing *writing = memory_allocate(sizeof *writing);
    writing->link = link;
    writing->path = memory_copy_text(link->inbound.path);
    writing->secret = memory_copy_text(link->inbound.current);
    link->inbound.busy = true;
    disk_run(link->shared->disk, link->shared->network, work_write, work_write_done, writing);
}

void inbound_secret_take(struct link *link, const char *secret)
{
    struct inbound_secret *inbound = &link->inbound;
    if (!inbound->path || !secret || !*secret || strlen(secret) >= SECRET_MAXIMUM ||
        (inbound->current && strcmp(inbound->current, secret) == 0))
        return;
    memory_wipe(inbound->current);
    inbound->current = memory_copy_text(secret);
    log_hide(inbound->current);
    if (!inbound->busy)
        write_it(link);
}

static void digest_of(const char *text, size_t length, uint8_t digest[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx sha;
    sha256_init(&sha);
    sha256_update(&sha, length, (const uint8_t *)text);
    sha256_digest(&sha, SHA256_DIGEST_SIZE, digest);
}

/* Digests are compared, so that the time tells neither the length nor a beginning. */
bool inbound_secret_matches(const struct inbound_secret *secret, const char *authorization)
{
    static const char scheme[] = "Bearer ";
    uint8_t given[SHA256_DIGEST_SIZE], expected[SHA256_DIGEST_SIZE];
    if (!secret->current || !authorization ||
        strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    authorization += sizeof scheme - 1;
    authorization += strspn(authorization, " ");
    digest_of(authorization, strcspn(authorization, " "), given);
    digest_of(secret->current, strlen(secret->current), expected);
    return memeql_sec(given, expected, sizeof given);
}
