/* The members of a fleet: attached to the host, replaced, dismissed. */
#include "commands/fleet.h"

#include "base/log.h"
#include "commands/fleet_limits.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *left, const void *right)
{
    return strcmp(((const struct member *)left)->id, ((const struct member *)right)->id);
}

static struct member *find(const struct fleet *fleet, const char *id)
{
    struct member wanted = {.id = (char *)id};
    struct member **found = tfind(&wanted, &fleet->tree, compare);
    return found ? *found : NULL;
}

enum molecule_result fleet_attach(struct fleet *fleet, struct member *member)
{
    char problem[1024];
    enum molecule_result result = molecule_add(fleet->molecule, &member->options.workspace, problem,
                                               sizeof problem);
    member->attached = result == MOLECULE_STOPPED;
    if (!member->attached)
        log_error(LOG_WORKSPACE_NOT_STARTED, member->id,
                  "%s; the others continue; SIGHUP retries this one", problem);
    return result;
}

/* Adds the member to the fleet. */
static void enter(struct fleet *fleet, struct member *member)
{
    member->next = fleet->plan.members;
    fleet->plan.members = member;
    if (!tsearch(member, &fleet->tree, compare))
        abort(); /* no memory, as base/memory.h */
}

/* Its slot in the list becomes the successor's, if it has one. */
static void leave(struct fleet *fleet, struct member *member)
{
    struct member **link = &fleet->plan.members;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    tdelete(member, &fleet->tree, compare);
    struct member *successor = member->successor;
    member->successor = NULL;
    member_free(member);
    if (successor && molecule_stops(fleet->molecule)) {
        member_free(successor);
    } else if (successor) {
        enter(fleet, successor);
        fleet_attach(fleet, successor);
    }
}

void fleet_on_ended(void *context, const char *id, enum molecule_result result)
{
    struct fleet *fleet = context;
    struct member *member = find(fleet, id);
    if (!member)
        return;
    member->attached = false;
    if (member->leaving)
        leave(fleet, member);
    else if (result != MOLECULE_STOPPED)
        log_error(LOG_WORKSPACE_DISABLED, id, "disabled until SIGHUP or the next start");
}

static void dismiss(struct fleet *fleet, struct member *member)
{
    if (member->leaving)
        return;
    member->leaving = true;
    if (!member->attached)
        leave(fleet, member);
    else
        molecule_remove(fleet->molecule, member->id);
}

struct tally {
    size_t added, removed, changed, kept, again;
};

/* What cannot start must not end what is running. */
static bool may_change(const struct member *member)
{
    char problem[1024];
    bool fine = molecule_check(&member->options.workspace, problem, sizeof problem);
    if (!fine)
        log_error(LOG_FLEET_OPTIONS_REJECTED, member->id,
                  "new options rejected, keeping the previous ones: %s", problem);
    return fine;
}

/* Ends members that changed; their successors wait for that. */
static void take_changes(struct fleet *fleet, struct plan *fresh, struct tally *tally)
{
    struct member **link = &fresh->members;
    while (*link) {
        struct member *member = *link, *before = find(fleet, member->id);
        if (!before) {
            link = &member->next;
            continue;
        }
        *link = member->next;
        before->planned = true;
        bool same = !before->leaving && json_equal(before->values, member->values);
        if (same || (before->attached && !before->leaving && !may_change(member))) {
            member_free(member);
            continue;
        }
        tally->changed++;
        member->planned = true;
        member_free(before->successor);
        before->successor = member;
        dismiss(fleet, before);
    }
}

static void remove_others(struct fleet *fleet, struct tally *tally)
{
    struct member *next;
    for (struct member *member = fleet->plan.members; member; member = next) {
        next = member->next;
        if (member->planned)
            continue;
        member_free(member->successor);
        member->successor = NULL;
        tally->removed += !member->leaving;
        dismiss(fleet, member);
    }
}

/* Members that stay reload their scripts; newly attached ones load theirs anyway. */
static void attach_missing(struct fleet *fleet, struct tally *tally)
{
    for (struct member *member = fleet->plan.members; member; member = member->next) {
        if (member->attached && !member->leaving) {
            tally->kept++;
            molecule_reload_one(fleet->molecule, member->id);
        }
        if (member->attached)
            continue;
        tally->again++;
        fleet_attach(fleet, member);
    }
}

void fleet_take_plan(struct fleet *fleet, struct plan fresh)
{
    struct tally tally = {0};
    for (struct member *member = fleet->plan.members; member; member = member->next)
        member->planned = false;
    take_changes(fleet, &fresh, &tally);
    remove_others(fleet, &tally);
    attach_missing(fleet, &tally);
    fleet_raise_limit(fleet->plan.count + fresh.count);
    while (fresh.members) {
        struct member *member = fresh.members;
        fresh.members = member->next;
        enter(fleet, member);
        fleet_attach(fleet, member);
        tally.added++;
    }
    log_info(LOG_FLEET_RELOADED, NULL,
             "fleet file reloaded: %zu new, %zu removed, %zu restarted with new options, %zu "
             "retried, %zu unchanged (scripts reloaded)",
             tally.added, tally.removed, tally.changed, tally.again, tally.kept);
}

void fleet_open(struct fleet *fleet)
{
    for (struct member *member = fleet->plan.members; member; member = member->next)
        if (!tsearch(member, &fleet->tree, compare))
            abort(); /* no memory, as base/memory.h */
}

static void keep_leaf(void *member)
{
    (void)member;
}

void fleet_close(struct fleet *fleet)
{
    tdestroy(fleet->tree, keep_leaf);
    plan_free(&fleet->plan);
}
