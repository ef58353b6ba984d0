/* molecule peers: the workspaces that a workspace may talk to. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/terminal.h"
#include "commands/errands.h"
#include "wire/jsontext.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PEERS_OPTIONS(X)                                                         \
    ERRAND_OPTIONS(X)                                                            \
    X(TEXT, query, "query", "only those with this in their name", .letter = 'q', \
      .argument = "TEXT")                                                        \
    X(FLAG, json, "json", "print the platform's JSON")

struct peers_options {
    PEERS_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct peers_options, __VA_ARGS__),
    PEERS_OPTIONS(X)
#undef X
};

static const char *text_of(const json_t *peer, const char *key)
{
    const char *text = json_string_value(json_object_get(peer, key));
    return text ? text : "";
}

static void print_list(const char *list, bool as_json)
{
    json_t *peers = jsontext_read(list, strlen(list), NULL, NULL); /* an array */
    size_t i;
    json_t *peer;
    if (as_json) {
        json_dumpf(peers, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        printf("\n");
    } else {
        json_array_foreach (peers, i, peer)
            terminal_print(stdout, "%-36s  %-8s  %s%s%s\n", text_of(peer, "id"),
                           text_of(peer, "status"), text_of(peer, "name"),
                           *text_of(peer, "role") ? ", " : "", text_of(peer, "role"));
    }
    json_decref(peers);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct peers_options given = {0};
    const char *id = NULL;
    size_t count;
    char problem[1024], *list;
    enum options_result parsed = options_parse(command, argc, argv, &given, &id, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    if (count < 1)
        return options_complain(command, "missing workspace id: molecule peers <workspace-id>");
    struct errands errands;
    int code = errands_open(&errands, command, id,
                            &(struct errands_given){given.api_url, given.token_file, given.org_id,
                                                    given.ca_file, given.state_directory,
                                                    given.insecure_http});
    if (code != 0)
        return code;
    bool listed = molecule_peers(errands.molecule, &errands.workspace, given.query, &list, problem,
                                 sizeof problem);
    if (listed)
        print_list(list, given.json);
    else
        terminal_print(stderr, "molecule peers: %s\n", problem);
    free(list);
    errands_close(&errands);
    return listed ? 0 : 1;
}

const struct command command_peers = {
    .name = "peers",
    .group = COMMAND_LOOK,
    .usage = "<workspace-id> [options]",
    .summary = "list the workspaces that a workspace may talk to",
    .description = "Asks the platform with the workspace's own token, and prints a line for each "
                   "peer: id, status, name and\n"
                   "role. Changes nothing; a host that serves the workspace is not disturbed.\n\n"
                   "Exit codes: 0 listed, 1 failed, 2 wrong usage.",
    .examples = "  molecule peers 7f1d0c9e-…\n"
                "  molecule peers 7f1d0c9e-… --query weather",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 1,
    .run = run,
};
