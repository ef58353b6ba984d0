#include "commands/fleet_reading.h"

#include "base/memory.h"
#include "base/secret_file.h"
#include "commands/commands.h"
#include "commands/local_state.h"
#include "wire/jsonmemory.h"
#include "wire/platform.h"

#include <stdlib.h>
#include <string.h>

const struct table_kind fleet_kind = {"fleet file", "{defaults = {…}, workspaces = {…}}"};

void member_free(struct member *member)
{
    if (!member)
        return;
    member_free(member->successor);
    options_free(&command_connect, &member->options);
    jsonmemory_wipe(member->values);
    free(member->id);
    free(member->state_directory);
    memory_wipe(member->token);
    free(member->token_file);
    free(member);
}

void plan_free(struct plan *plan)
{
    while (plan->members) {
        struct member *member = plan->members;
        plan->members = member->next;
        member_free(member);
    }
    plan->count = 0;
}

/* Only one of the three ways to give a token counts: the workspace's own before the defaults'. */
static void merge(json_t *values, const json_t *own)
{
    static const char *const sources[] = {"token", "token_env", "token_file"};
    static const char *const answerers[] = {"script", "backend"};
    const char *key;
    json_t *value;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; json_object_get(own, sources[i]) && j < 3; j++)
            json_object_del(values, sources[j]);
    for (size_t i = 0; i < 2; i++)
        if (json_object_get(own, answerers[i]))
            json_object_del(values, answerers[1 - i]);
    const json_t *script = json_object_get(own, "script"),
                 *backend = json_object_get(own, "backend");
    if (script || (backend && !json_equal(backend, json_object_get(values, "backend"))))
        /* they belong to the backend of the defaults */
        json_object_del(values, "backend_options");
    json_object_foreach ((json_t *)own, key, value) {
        json_t *before = json_object_get(values, key);
        if (json_is_object(before) && json_is_object(value)) {
            json_t *both = json_copy(before);
            json_object_update(both, value);
            json_object_set_new(values, key, both);
        } else {
            json_object_set(values, key, value);
        }
    }
}

static bool check_keys(struct reading *reading, const char *where, const json_t *table,
                       bool workspace)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)table, key, value) {
        bool known = fleet_find_option(key) || strcmp(key, "token_env") == 0 ||
                     (workspace && strcmp(key, "id") == 0);
        if (!known)
            return fleet_complain_of_key(reading, where, key);
        bool of_one = strcmp(key, "token") == 0 || strcmp(key, "token_env") == 0;
        if (!workspace && of_one)
            return table_complain(
                &reading->source, where, key,
                "a token belongs to one workspace and cannot be a default; token_file = "
                "\"tokens/{id}\" can");
        const char *path = !workspace && strcmp(key, "token_file") == 0 ? json_string_value(value)
                                                                        : NULL;
        if (path && !strstr(path, "{id}") && !strstr(path, "%s"))
            return table_complain(&reading->source, where, key,
                                  "a default \"token_file\" needs {id} in its path, as in "
                                  "\"tokens/{id}\"; a token belongs to one workspace");
    }
    return true;
}

static bool fill(struct reading *reading, struct member *member, const json_t *own)
{
    const char *key;
    json_t *value, *given = member->values;
    merge(given, own);
    json_object_del(given, "id");
    member->values = json_copy(given); /* texts are put in place below */
    bool filled = true;
    json_object_foreach (given, key, value) {
        if (filled && strcmp(key, "token_env") != 0)
            filled = fleet_set_value(reading, member, key, value);
    }
    jsonmemory_wipe(given);
    return filled && fleet_take_token(reading, member);
}

static bool check_address(struct reading *reading, const struct member *member)
{
    const struct molecule_workspace_options *workspace = &member->options.workspace;
    const char *wrong = NULL;
    struct platform platform = {0};
    if (platform_open(&platform, workspace->api_url, member->id, workspace->org_id, &wrong) &&
        !platform_is_private(&platform) && !workspace->insecure_http)
        wrong = "it would send the token unencrypted to another machine; use https, or "
                "insecure_http = true if you mean it";
    platform_close(&platform);
    return !wrong || table_complain(&reading->source, NULL, workspace->api_url,
                                    "%s: api_url %s: %s", member->id, workspace->api_url, wrong);
}

/* What the options mean to the host. */
static bool finish(struct reading *reading, struct member *member)
{
    const json_t *directory = json_object_get(member->values, "state_dir");
    struct molecule_workspace_options *workspace = &member->options.workspace;
    char *problem = connect_find_problem(workspace, member->id);
    if (problem)
        table_complain(&reading->source, NULL, member->id, "%s: %s", member->id, problem);
    free(problem);
    if (problem)
        return false;
    member->state_directory = local_state_directory(directory ? json_string_value(directory)
                                                              : reading->defaults->state_directory);
    if (!member->state_directory)
        return table_complain(&reading->source, NULL, member->id,
                              "%s: no state directory: set state_dir", member->id);
    json_object_set_new(member->values, "id", json_string(member->id));
    workspace->id = member->id;
    workspace->state_directory = member->state_directory;
    workspace->token = member->token;
    workspace->token_file = member->token_file;
    if (!json_object_get(member->values, "register_attempts"))
        workspace->register_attempts = 0; /* nobody restarts one workspace of many */
    if (reading->defaults->api_url && !json_object_get(member->values, "api_url"))
        workspace->api_url = reading->defaults->api_url;
    return check_address(reading, member);
}

static bool take_id(struct reading *reading, struct member *member, const json_t *entry,
                    size_t number)
{
    const char *id = json_is_string(entry) ? json_string_value(entry)
                                           : json_string_value(json_object_get(entry, "id"));
    const json_t *value = json_is_string(entry) ? entry : json_object_get(entry, "id");
    if (!id)
        return table_complain(&reading->source, NULL, "workspaces",
                              "workspaces, number %zu: its \"id\" is missing", number);
    if (strlen(id) != json_string_length(value) || !platform_valid_id(id))
        return table_complain(
            &reading->source, NULL, id,
            "\"%s\" cannot be a workspace id: letters, digits, dots, dashes and underscores, at "
            "most 128, beginning with a letter or digit",
            id);
    member->id = memory_copy_text(id);
    platform_normalise_id(member->id);
    if (json_object_get(reading->seen, member->id))
        return table_complain(&reading->source, id, id, "%s is given twice", id);
    json_object_set_new(reading->seen, member->id, json_true());
    return true;
}

/* NULL after saying what is wrong. */
static struct member *make_member(struct reading *reading, const json_t *defaults,
                                  const json_t *entry, size_t number)
{
    struct member *member = memory_allocate(sizeof *member);
    options_set_defaults(&command_connect, &member->options);
    member->values = defaults ? json_copy((json_t *)defaults) : json_object();
    if (options_from_environment(&command_connect, &member->options) != 0) {
        table_complain(&reading->source, NULL, NULL, "an environment variable is invalid");
    } else if (!json_is_string(entry) && !json_is_object(entry)) {
        table_complain(&reading->source, NULL, "workspaces",
                       "workspaces, number %zu is neither a table nor an id", number);
    } else if (take_id(reading, member, entry, number) &&
               (!json_is_object(entry) || check_keys(reading, member->id, entry, true)) &&
               fill(reading, member, json_is_object(entry) ? entry : NULL) &&
               finish(reading, member)) {
        return member;
    }
    member_free(member);
    return NULL;
}

static bool read_root(struct reading *reading)
{
    const json_t *root = reading->source.file->root, *defaults = json_object_get(root, "defaults");
    const json_t *list = json_object_get(root, "workspaces");
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)root, key, value) {
        if (strcmp(key, "defaults") != 0 && strcmp(key, "workspaces") != 0)
            return table_complain(
                &reading->source, NULL, key,
                "unknown key \"%s\"; the keys are \"defaults\" and \"workspaces\"", key);
    }
    if (json_is_array(defaults) && json_array_size(defaults) == 0)
        defaults = NULL;
    if (defaults && !json_is_object(defaults))
        return table_complain(&reading->source, NULL, "defaults",
                              "\"defaults\" must be a table of options");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return table_complain(&reading->source, NULL, "workspaces",
                              "\"workspaces\" must be a list with at least one workspace");
    if (defaults && !check_keys(reading, "defaults", defaults, false))
        return false;
    struct member **end = &reading->plan->members;
    for (size_t i = 0; i < json_array_size(list); i++) {
        *end = make_member(reading, defaults, json_array_get(list, i), i + 1);
        if (!*end)
            return false;
        end = &(*end)->next;
        reading->plan->count++;
    }
    return true;
}

/* Whether the file, if it has tokens, and the token files are for us alone. */
static bool check_secrets(const struct reading *reading)
{
    const struct table_source *source = &reading->source;
    bool has_token = false;
    for (const struct member *member = reading->plan->members; member; member = member->next) {
        char problem[1024];
        has_token = has_token || json_object_get(member->values, "token");
        if (member->token_file &&
            secret_file_refused(member->token_file, "a token", problem, sizeof problem))
            return table_complain(source, member->id, "token_file", "%s: %s", member->id, problem);
    }
    return !has_token ||
           secret_file_check(source->path, "tokens", NULL, source->problem, source->problem_size);
}

bool plan_take(struct plan *plan, const struct table_file *file, const char *path,
               const struct plan_defaults *defaults, char *problem, size_t problem_size)
{
    struct reading reading = {
        .plan = plan,
        .defaults = defaults,
        .seen = json_object(),
        .source = {.file = file,
                   .path = path,
                   .directory = table_directory(path),
                   .problem = problem,
                   .problem_size = problem_size},
    };
    *plan = (struct plan){0};
    bool taken = read_root(&reading) && check_secrets(&reading);
    if (!taken)
        plan_free(plan);
    json_decref(reading.seen);
    free(reading.source.directory);
    return taken;
}

bool plan_read(struct plan *plan, const char *path, const struct plan_defaults *defaults,
               char *problem, size_t problem_size)
{
    struct table_file file;
    bool taken = table_read(&file, &fleet_kind, path, problem, problem_size) &&
                 plan_take(plan, &file, path, defaults, problem, problem_size);
    table_file_free(&file);
    return taken;
}
