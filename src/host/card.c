#include "host/card.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_NAME "molecule"
#define DEFAULT_DESCRIPTION "a Lua agent hosted by molecule"

void card_free(struct platform_card *card)
{
    free((char *)card->name);
    free((char *)card->description);
    json_decref((json_t *)card->skills);
    json_decref((json_t *)card->more);
    *card = (struct platform_card){0};
}

bool card_take(struct platform_card *card, const struct molecule_workspace_options *options,
               const struct script_agent *agent)
{
    const char *standard = options->serve ? options->id : DEFAULT_NAME;
    const char *name = options->name ? options->name : agent->name ? agent->name : standard;
    const char *description = options->description ? options->description
                              : agent->description ? agent->description
                                                   : DEFAULT_DESCRIPTION;
    bool changed = !card->name || strcmp(card->name, name) != 0 ||
                   strcmp(card->description, description) != 0 ||
                   (agent->skills ? !json_equal(card->skills, agent->skills)
                                  : card->skills != NULL);
    struct platform_card next = {
        .name = memory_copy_text(name),
        .description = memory_copy_text(description),
        .version = MOLECULE_VERSION,
        .skills = agent->skills ? json_deep_copy(agent->skills) : NULL,
        .more = agent->card ? json_deep_copy(agent->card) : NULL,
        .named = options->name || agent->name,
    };
    card_free(card);
    *card = next;
    return changed;
}
