/* What handlers say of messages that came in through a door: it goes to the message's task. */
#include "messages/host_call.h"

#include "base/memory.h"
#include "messages/door.h"
#include "messages/questions.h"
#include "wire/served.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void on_said(void *context, const char *problem, const char *code)
{
    struct host_call *call = context;
    call->recording = false;
    if (problem)
        host_call_fail(call, problem, code);
    else
        host_call_answer(call, memory_copy_text("true"), strlen("true"));
}

static void say(struct host_call *call, const struct message *message, struct door_saying saying)
{
    const struct door *door = call->calls->door;
    const struct script_ask *ask = call->ask;
    /* after molecule.retry what it says is new */
    char *branch = memory_format("%u/%s", ask->retries, ask->branch ? ask->branch : "");
    saying.branch = branch;
    saying.number = call->ask->number;
    saying.then = on_said;
    saying.context = call;
    call->recording = true;
    door->say(door->context, message, &saying);
    free(branch);
}

static const struct message *message_of(const struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    const struct inbox_entry *entry = call->calls->door && ask->row_id
                                          ? inbox_find_running(call->calls->inbox, ask->row_id)
                                          : NULL;
    return entry && entry->message->served && !served_pushed(entry->message) ? entry->message
                                                                             : NULL;
}

static bool asks_sender(const struct host_call *call, const struct message *message)
{
    const struct script_ask *ask = call->ask;
    return ask->kind == SCRIPT_ASK_SEND && ask->question.purpose && ask->key &&
           strcasecmp(ask->key, message->source_id) == 0;
}

bool host_call_says(struct host_call *call)
{
    const struct script_ask *ask = call->ask;
    const struct message *message = message_of(call);
    if (!message)
        return false;
    if (asks_sender(call, message)) {
        struct question *question = questions_find(call->calls->questions, ask->row_id,
                                                   ask->question.key);
        if (question)
            question->begun = true;
        say(call, message,
            (struct door_saying){.kind = DOOR_QUESTION,
                                 .reply = &ask->reply,
                                 .key = ask->question.key,
                                 .authorization = question && question->authorization});
        return true;
    }
    if (ask->kind != SCRIPT_ASK_NOTIFY || ask->question.purpose)
        return false;
    say(call, message, (struct door_saying){.kind = DOOR_PROGRESS, .reply = &ask->reply});
    return true;
}

void host_call_artifact(struct host_call *call)
{
    const struct message *message = message_of(call);
    json_t *piece = json_loadb(call->ask->text, call->ask->text_length, JSON_ALLOW_NUL, NULL);
    if (!message)
        host_call_fail(call, "the message came with no task: only A2A clients have some",
                       "NO_TASK");
    else if (!piece)
        host_call_fail(call, "out of memory", "UNAVAILABLE");
    else
        say(call, message, (struct door_saying){.kind = DOOR_ARTIFACT, .artifact = piece});
    json_decref(piece);
}
