/* What status, dead and completion share: finding a workspace's state and talking to its live host.
 */
#ifndef MOLECULE_COMMANDS_LOCAL_STATE_H
#define MOLECULE_COMMANDS_LOCAL_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* `given`, else $STATE_DIRECTORY, else ~/.config/molecule/state. Yours to free. NULL: there is no
 * home directory, as reported on standard error. */
char *local_state_directory(const char *given);
/* <directory>/<id>.<ending>, the id normalized. Yours to free. */
char *local_state_path(const char *directory, const char *workspace_id, const char *ending);

/* The ids of the workspaces that have state there, sorted. A directory that cannot be read has
 * none. */
void local_state_each(const char *directory, void (*each)(const char *id, void *context),
                      void *context);

/* Whether there is any state of the workspace. false: `problem` says what is missing, and what
 * exists instead. */
bool local_state_exists(const char *directory, const char *workspace_id, char *problem,
                        size_t problem_size);

/* The ids of the workspaces that have state there, sorted; `*count` of them, at most `maximum`.
 * Each and the list are yours to free. NULL: the directory cannot be read, as errno says. */
char **local_state_list(const char *directory, size_t maximum, size_t *count);
void local_state_free_list(char **ids, size_t count);

/* Sends one request to the live host's control socket. NULL: no host answers (`*live` false), or it
 * answered with an error (`*live` true); `problem` says what. The answer is the caller's. */
json_t *local_state_ask(const char *directory, const char *workspace_id, json_t *request,
                        bool *live, char *problem, size_t problem_size);

#endif
