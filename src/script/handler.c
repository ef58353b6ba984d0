#include "script/handler.h"

#include <stdlib.h>

void handler_attach(struct handler *handler, struct resource *resource)
{
    resource->owner = handler;
    resource->previous = NULL;
    resource->next = handler->resources;
    if (resource->next)
        resource->next->previous = resource;
    handler->resources = resource;
}

void handler_detach(struct resource *resource)
{
    if (!resource->owner)
        return;
    if (resource->previous)
        resource->previous->next = resource->next;
    else
        resource->owner->resources = resource->next;
    if (resource->next)
        resource->next->previous = resource->previous;
    resource->owner = NULL;
}

void handler_end_resources(struct handler *handler)
{
    while (handler->resources)
        handler->resources->end(handler->resources);
}

void handler_free(struct handler *handler)
{
    script_outcome_free(&handler->outcome);
    changes_free(handler->store.changes);
    free(handler->traceback);
    free(handler->misuse);
    free(handler);
}
