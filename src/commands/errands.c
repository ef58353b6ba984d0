#include "commands/errands.h"

#include "base/secret_file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/terminal.h"
#include "commands/connect_options.h"
#include "commands/local_state.h"
#include "wire/platform.h"

#include <stdlib.h>

/* false after saying what is wrong with it. */
static bool take_token(struct errands *errands, const struct command *command)
{
    const char *text = getenv("MOLECULE_WORKSPACE_TOKEN"), *wrong = NULL;
    if (text && *text && !errands->workspace.token_file) {
        errands->token = connect_take_token(text, &wrong);
        log_hide(errands->token);
    }
    secret_wipe_variable("MOLECULE_WORKSPACE_TOKEN");
    errands->workspace.token = errands->token;
    if (wrong && !errands->token)
        options_complain(command, "the token of MOLECULE_WORKSPACE_TOKEN %s", wrong);
    return !wrong || errands->token;
}

int errands_open(struct errands *errands, const struct command *command, const char *id,
                 const struct errands_given *given)
{
    char problem[1024];
    struct molecule_options host = {.workers = 1, .ca_file = given->ca_file};
    *errands = (struct errands){.id = memory_copy_text(id)};
    platform_normalise_id(errands->id);
    molecule_workspace_defaults(&errands->workspace);
    errands->workspace.id = errands->id;
    if (given->api_url)
        errands->workspace.api_url = given->api_url;
    errands->workspace.token_file = given->token_file;
    errands->workspace.org_id = given->org_id;
    errands->workspace.insecure_http = given->insecure_http;
    errands->state_directory = local_state_directory(given->state_directory);
    errands->workspace.state_directory = errands->state_directory;
    if (!errands->state_directory || !take_token(errands, command)) {
        errands_close(errands);
        return 2;
    }
    errands->molecule = molecule_open(&host, problem, sizeof problem);
    if (errands->molecule)
        return 0;
    terminal_print(stderr, "molecule %s: %s\n", command->name, problem);
    errands_close(errands);
    return 1;
}

void errands_close(struct errands *errands)
{
    if (errands->molecule)
        molecule_close(errands->molecule);
    memory_wipe(errands->token);
    free(errands->state_directory);
    free(errands->id);
}
