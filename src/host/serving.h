/* An agent that is served (molecule serve): its tasks, its place on the server, its webhooks. */
#ifndef MOLECULE_HOST_SERVING_H
#define MOLECULE_HOST_SERVING_H

#include "molecule/options.h"

#include <stdbool.h>
#include <stddef.h>

struct host;
struct script_agent;
struct serving;
struct workspace;
struct platform_card;

/* What a workspace needs of the server. The journal must have been loaded. NULL: `problem` says why
 * not. */
struct serving *serving_open(struct workspace *workspace, char *problem, size_t problem_size);
/* What the script says of itself. false: `problem` says what is wrong with it. */
bool serving_describe(struct serving *serving, const struct platform_card *card,
                      const struct script_agent *agent, char *problem, size_t problem_size);
/* No task begins any more. NULL is fine in all of these. */
void serving_drain(struct serving *serving);
/* After the journal, before the dispatch. */
void serving_close(struct serving *serving);
void serving_free(struct serving *serving);

#endif
