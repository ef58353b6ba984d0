/* What `molecule dev` was given, in both of its processes. */
#ifndef MOLECULE_COMMANDS_DEV_OPTIONS_H
#define MOLECULE_COMMANDS_DEV_OPTIONS_H

#include "commands/dev_clients.h"
#include "molecule/molecule.h"

/* Lines like those of include/molecule/options.def. */
#define DEV_OPTIONS(X)                                                                             \
    X(NUMBER, port, "port", "port the emulator listens on, at 127.0.0.1; 0: any free port",        \
      .letter = 'p', .standard = "8080", .maximum = 65535)                                         \
    X(CHOICE, profile, "profile", "platform version to emulate", .argument = "t1|latest",          \
      .standard = "latest")                                                                        \
    X(FLAG, headless, "headless", "run the emulator alone, without a script")                      \
    X(FLAG, open, "open", "show the playground in a browser")                                      \
    X(TEXT, org_id, "org-id", "turn on the tenant guard for this organization", .argument = "ID")  \
    X(TEXT, admin_token, "admin-token",                                                            \
      "requests with \"Authorization: Bearer TOKEN\" may create, change and delete workspaces, "   \
      "and speak as the human in the canvas [off]",                                                \
      .argument = "TOKEN")                                                                         \
    X(NUMBER, rate_limit, "rate-limit", "requests a minute; -1: unlimited", .standard = "600",     \
      .minimum = -1, .maximum = 1000000000)                                                        \
    X(SECONDS, stale_seconds, "stale-seconds",                                                     \
      "mark a workspace awaiting_agent after this long without a heartbeat; 0: the profile's "     \
      "default; in seconds, or like 5m",                                                           \
      .standard = "0", .maximum = 86400)                                                           \
    X(TEXT, workspace_id, "workspace",                                                             \
      "the workspace that the script serves [a new one; with --state-dir always the same for the " \
      "same script]",                                                                              \
      .letter = 'w', .argument = "ID")                                                             \
    X(CHOICE, mode, "mode",                                                                        \
      "how messages come: poll: the host fetches them; push: the emulator posts them to the "      \
      "host, which listens on 127.0.0.1 at any free port",                                         \
      .argument = "poll|push", .standard = "poll")                                                 \
    X(DURATION, answer_within, "answer-within",                                                    \
      "with push: a message that takes longer is answered with \"the answer follows\", and the "   \
      "reply is shown in the canvas; 0: never",                                                    \
      .standard = "50s", .maximum = 3600000)                                                       \
    X(LIST, listen, "listen",                                                                      \
      "answer A2A clients there, too: 127.0.0.1:8090, [::1]:8090 or unix:PATH; port 0: any free "  \
      "port; repeatable [nowhere]",                                                                \
      .letter = 'l', .argument = "ADDR:PORT")                                                      \
    X(PATH, auth_token_file, "auth-token-file",                                                    \
      "with --listen: who may ask there: a line each, a name and a bearer token [everybody, on "   \
      "loopback addresses and unix sockets]",                                                      \
      .argument = "FILE")                                                                          \
    X(PATH, state_directory, "state-dir",                                                          \
      "keep the stored values, dead letters and unfinished messages there for the next run "       \
      "[deleted on exit]",                                                                         \
      .argument = "DIR")                                                                           \
    X(PATH, keep, "keep",                                                                          \
      "keep that there, and also the conversation, the peers and what the playground shows",       \
      .argument = "DIR")

struct dev_options {
    struct molecule_workspace_options workspace;
    struct molecule_options host;
    DEV_OPTIONS(MOLECULE_MEMBER)
    bool on_terminal; /* no option: a person sees what is printed */
};

bool dev_is_pushed(const struct dev_options *given);
struct dev_clients dev_clients_of(const struct dev_options *given);

#endif
