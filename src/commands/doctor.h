/* The checks of `molecule doctor`, for it and for `molecule report`. */
#ifndef MOLECULE_COMMANDS_DOCTOR_H
#define MOLECULE_COMMANDS_DOCTOR_H

#include "commands/errands.h"
#include "molecule/molecule.h"
#include "wire/platform.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(enumerator, name, what is looked at). The names are for programs, too: they stay. */
#define DOCTOR_CHECKS(X)                                                                         \
    X(DOCTOR_ADDRESS, "address", "--api-url: a URL, and one that a token may be sent to")        \
    X(DOCTOR_PROXY, "proxy", "the proxy that the environment names for it answers")              \
    X(DOCTOR_DNS, "dns", "the host's name has an address")                                       \
    X(DOCTOR_TCP, "tcp", "that takes connections")                                               \
    X(DOCTOR_TLS, "tls", "its certificate: trusted, for this host, valid for 14 days or more")   \
    X(DOCTOR_PLATFORM, "platform", "a Molecule platform answers there, and is well")             \
    X(DOCTOR_CLOCK, "clock", "this machine's clock and the platform's differ by 30 s at most")   \
    X(DOCTOR_TENANT, "tenant", "the platform's tenant guard lets us in (Origin, --org-id)")      \
    X(DOCTOR_WORKSPACE, "workspace", "the platform knows the workspace, and it is not removed")  \
    X(DOCTOR_DELIVERY, "delivery", "its messages are kept for polling")                          \
    X(DOCTOR_TOKEN, "token", "there is a token, and the platform takes it for the workspace")    \
    X(DOCTOR_RATE, "rate", "the platform's rate limit leaves room")                              \
    X(DOCTOR_STREAM, "stream", "the event stream, which makes answers fast")                     \
    X(DOCTOR_PEERS, "peers", "the workspaces that it may talk to")                               \
    X(DOCTOR_INBOX, "inbox", "its inbox can be read")                                            \
    X(DOCTOR_STATE, "state", "the state directory: there, ours, closed to others")               \
    X(DOCTOR_FILES, "files", "its file system locks, syncs and renames")                         \
    X(DOCTOR_DISK, "disk", "it has room")                                                        \
    X(DOCTOR_LOCK, "lock", "which process serves the workspace, and whether it answers")         \
    X(DOCTOR_CURSOR, "cursor", "the cursor file can be read")                                    \
    X(DOCTOR_LEDGER, "ledger", "the ledger is sound (PRAGMA quick_check), and of this platform") \
    X(DOCTOR_DESCRIPTORS, "descriptors", "the process may open enough files")                    \
    X(DOCTOR_SCRIPT, "script", "--script loads")                                                 \
    X(DOCTOR_UNIT, "unit", "the systemd unit molecule@<id>, where there is one")
enum doctor_check {
#define X(name, ...) name,
    DOCTOR_CHECKS(X)
#undef X
        DOCTOR_CHECK_COUNT
};

/* X(enumerator, word) */
#define DOCTOR_RESULTS(X)        \
    X(DOCTOR_UNKNOWN, "")        \
    X(DOCTOR_OK, "ok")           \
    X(DOCTOR_WARNING, "warning") \
    X(DOCTOR_FAILED, "failed")   \
    X(DOCTOR_SKIPPED, "skipped")
enum doctor_result {
#define X(name, word) name,
    DOCTOR_RESULTS(X)
#undef X
};

struct doctor {
    struct molecule_workspace_options workspace; /* id NULL: none was chosen */
    char *id, *given_token, *token_path;
    const char *ca_file;
    bool offline;
    bool quiet, colors; /* nothing is printed; in color */

    /* of the run */
    enum doctor_result results[DOCTOR_CHECK_COUNT];
    size_t counts[DOCTOR_SKIPPED + 1];
    json_t *list; /* [{name, result, text, fix}] in the order of the checks that were made */
    struct platform platform;
    char *token;
    char limit[32], left[32], reset[32]; /* of the last answer's X-RateLimit headers */
};

/* Fills `workspace`, also from the environment; `id` NULL: the one workspace of the directory. The
 * caller may set `offline`, `quiet`, `colors` and the script. false after saying what is wrong; in
 * any case doctor_close. */
bool doctor_open(struct doctor *doctor, const struct command *command,
                 const struct errands_given *given, const char *id, const char *directory);
void doctor_close(struct doctor *doctor);
/* Makes all checks, once. */
void doctor_examine(struct doctor *doctor);

/* For the checks. `fix` NULL: none is needed. */
void doctor_tell(struct doctor *doctor, enum doctor_check check, enum doctor_result result,
                 const char *fix, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Whether `needed` was fine; otherwise `check` is skipped. */
bool doctor_may(struct doctor *doctor, enum doctor_check check, enum doctor_check needed);
void doctor_check_connection(struct doctor *doctor);
void doctor_check_platform(struct doctor *doctor);
void doctor_check_machine(struct doctor *doctor);
void doctor_check_service(struct doctor *doctor);

#endif
