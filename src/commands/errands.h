/* What `molecule peers` and `molecule send` have in common: whose errand it is, and the host that
 * runs it. */
#ifndef MOLECULE_COMMANDS_ERRANDS_H
#define MOLECULE_COMMANDS_ERRANDS_H

#include "commands/options.h"
#include "molecule/molecule.h"

#define ERRAND_OPTIONS(X)                                                                    \
    X(TEXT, api_url, "api-url", "address of the platform", .argument = "URL",                \
      .environment = "MOLECULE_API_URL", .standard = "http://localhost:8080")                \
    X(PATH, token_file, "token-file", "file with the workspace's token", .argument = "FILE", \
      .environment = "MOLECULE_WORKSPACE_TOKEN_FILE")                                        \
    X(TEXT, org_id, "org-id", "as for connect", .argument = "ID",                            \
      .environment = "MOLECULE_ORG_ID")                                                      \
    X(PATH, state_directory, "state-dir", "as for connect: where a minted token is kept",    \
      .argument = "DIR", .environment = "MOLECULE_STATE_DIR")                                \
    X(PATH, ca_file, "ca-file", "as for connect", .argument = "FILE")                        \
    X(FLAG, insecure_http, "insecure-http", "as for connect")

struct errands_given {
    const char *api_url, *token_file, *org_id, *ca_file, *state_directory;
    bool insecure_http;
};

struct errands {
    struct molecule *molecule;
    struct molecule_workspace_options workspace;
    char *id, *state_directory, *token;
};

/* 0, or an exit code after saying what is wrong. Takes MOLECULE_WORKSPACE_TOKEN, which a token file
 * beats. */
int errands_open(struct errands *errands, const struct command *command, const char *id,
                 const struct errands_given *given);
void errands_close(struct errands *errands);

#endif
