#include "script/handler.h"

#include <lauxlib.h>
#include <stdlib.h>

/* --- resources --- */

void handler_attach(struct branch *branch, struct resource *resource)
{
    resource->owner = branch->handler;
    resource->branch = branch;
    resource->previous = NULL;
    resource->next = branch->resources;
    if (resource->next)
        resource->next->previous = resource;
    branch->resources = resource;
}

void handler_detach(struct resource *resource)
{
    if (!resource->owner)
        return;
    if (resource->previous)
        resource->previous->next = resource->next;
    else
        resource->branch->resources = resource->next;
    if (resource->next)
        resource->next->previous = resource->previous;
    resource->owner = NULL;
    resource->branch = NULL;
}

void branch_end_resources(struct branch *branch)
{
    while (branch->resources)
        branch->resources->end(branch->resources);
}

void branch_hand_over(struct branch *branch)
{
    while (branch->resources) {
        struct resource *resource = branch->resources;
        handler_detach(resource);
        handler_attach(branch->parent, resource);
    }
}

/* --- branches --- */

void branch_init(struct branch *branch, struct handler *handler)
{
    branch->handler = handler;
    branch->co_reference = branch->raised = LUA_NOREF;
}

const struct branch *branch_innermost(const struct handler *handler)
{
    const struct branch *branch = &handler->main;
    while (branch->parts && branch->parts->co)
        branch = branch->parts;
    return branch;
}

void branch_link(struct branch *branch, struct branch *parent)
{
    branch->parent = parent;
    branch->previous = parent->last_part;
    if (parent->last_part)
        parent->last_part->next = branch;
    else
        parent->parts = branch;
    parent->last_part = branch;
}

void branch_unlink(struct branch *branch)
{
    if (branch->previous)
        branch->previous->next = branch->next;
    else
        branch->parent->parts = branch->next;
    if (branch->next)
        branch->next->previous = branch->previous;
    else
        branch->parent->last_part = branch->previous;
}

struct branch *branch_in_step(struct branch *branch)
{
    while (branch && !branch->step)
        branch = branch->parent;
    return branch;
}

struct store_scope *branch_store(struct branch *branch)
{
    const struct branch *inside = branch_in_step(branch);
    return inside ? inside->step : &branch->handler->store;
}

bool branch_is_deferred(const struct branch *branch)
{
    if (branch->ready || (!branch->parts && !branch->deferral))
        return false;
    const struct branch *part = branch->parts;
    while (part && branch_is_deferred(part))
        part = part->next;
    return !part;
}

void branch_release(struct branch *branch)
{
    if (branch->deferral) {
        free(branch->deferral->reason);
        free(branch->deferral->key);
        free(branch->deferral);
    }
    free(branch->path);
    free(branch->traceback);
    free(branch->raised_traceback);
}

void handler_give_reply_to(struct handler *handler, struct script_outcome *outcome)
{
    outcome->reply_to = handler->reply_to;
    outcome->reply_hops = handler->reply_hops;
    handler->reply_to = NULL;
}

void handler_free(struct handler *handler)
{
    script_outcome_free(&handler->outcome);
    changes_free(handler->store.changes);
    branch_release(&handler->main);
    free(handler->misuse);
    free(handler->reply_to);
    free(handler);
}
