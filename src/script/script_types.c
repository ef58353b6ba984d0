#include "script/script_types.h"

#include <stdlib.h>

const struct script_job script_no_message;

const char *script_outcome_text(enum script_outcome_kind kind)
{
    static const char *const texts[] = {
#define X(name, text) text,
        SCRIPT_OUTCOMES(X)
#undef X
    };
    return texts[kind];
}

void script_outcome_free(struct script_outcome *outcome)
{
    reply_free(&outcome->reply);
    free(outcome->reason);
    free(outcome->traceback);
    changes_free(outcome->changes);
    free(outcome->calls);
    free(outcome->asks);
    free(outcome->reply_to);
    *outcome = (struct script_outcome){.retry_after_ms = -1};
}

const char *script_ask_text(enum script_ask_kind kind)
{
    static const char *const texts[] = {
#define X(name, text) text,
        SCRIPT_ASKS(X)
#undef X
    };
    return texts[kind];
}
