/* molecule check: what is wrong with a script, a backend's options or a fleet file, each mistake
 * with its place. Offline, and nothing of the script runs but what loading it runs. */
#include "commands/commands.h"

#include "base/memory.h"
#include "base/plural.h"
#include "base/terminal.h"
#include "commands/check.h"
#include "commands/fleet_plan.h"
#include "molecule/molecule.h"
#include "script/inspect.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAXIMUM 256
#define CHECKED_ID "00000000-0000-4000-8000-000000000000" /* of nobody: nothing is sent */

/* Lines like those of include/molecule/options.def. */
#define CHECK_OPTIONS(X)                                                                   \
    X(TEXT, backend, "backend", "check a backend and its options instead of a script",     \
      .letter = 'b', .argument = "NAME")                                                   \
    X(PAIRS, backend_option, "backend-opt", "as for connect; repeatable")                  \
    X(CHOICE, color, "color", "color the findings: on a terminal, unless NO_COLOR is set", \
      .argument = "auto|always|never", .standard = "auto")                                 \
    X(FLAG, sandbox, "sandbox", "load as connect --sandbox does")                          \
    X(FLAG, json, "json",                                                                  \
      "print JSON: {\"ok\": …, \"findings\": [{\"file\", \"line\", "                     \
      "\"column\", \"level\", \"text\"}]}")

struct check_options {
    CHECK_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct check_options, __VA_ARGS__),
    CHECK_OPTIONS(X)
#undef X
};

struct checking {
    struct molecule_workspace_options workspace; /* what each script is loaded with */
    const char *ca_file;
    struct molecule *molecule; /* NULL: not needed so far */
    json_t *findings;          /* of all files; NULL: they are printed */
    size_t errors, warnings;
    bool colors;
};

#define BOLD "\33[1m"
#define RED "\33[1;31m"
#define YELLOW "\33[1;33m"
#define GREEN "\33[1;32m"
#define PLAIN "\33[0m"

static const char *color(const struct checking *checking, const char *sequence)
{
    return checking->colors ? sequence : "";
}

/* --- what is shown --- */

/* The source line, and a mark below what is meant; terminal_print shows a tab as one blank. */
static void show_source(const struct checking *checking, const struct script_finding *finding)
{
    terminal_print(stdout, "    %s\n", finding->source);
    if (finding->column <= 0)
        return;
    struct {
        char text[1024];
        size_t length;
    } mark = {.length = 0};
    const char *at = finding->source;
    for (int i = 1; i < finding->column && *at && mark.length < sizeof mark.text / 2; i++) {
        mark.text[mark.length++] = ' ';
        for (at++; (*at & 0xc0) == 0x80;)
            at++;
    }
    mark.text[mark.length++] = '^';
    for (int i = 1; i < finding->length && mark.length < sizeof mark.text - 1; i++)
        mark.text[mark.length++] = '~';
    printf("    %s%.*s%s\n", color(checking, GREEN), (int)mark.length, mark.text,
           color(checking, PLAIN));
}

static void add_json(const struct checking *checking, const struct script_finding *finding)
{
    json_t *object = json_object();
    json_object_set_new(object, "file", json_string(finding->path));
    json_object_set_new(object, "line", finding->line ? json_integer(finding->line) : json_null());
    json_object_set_new(object, "column",
                        finding->column ? json_integer(finding->column) : json_null());
    json_object_set_new(object, "level", json_string(finding->error ? "error" : "warning"));
    json_object_set_new(object, "text", json_string(finding->text));
    json_array_append_new(checking->findings, object);
}

static void report(struct checking *checking, const struct script_finding *finding)
{
    checking->errors += finding->error;
    checking->warnings += !finding->error;
    if (checking->findings) {
        add_json(checking, finding);
        return;
    }
    char place[64] = "";
    if (finding->line && finding->column)
        snprintf(place, sizeof place, ":%d:%d", finding->line, finding->column);
    else if (finding->line)
        snprintf(place, sizeof place, ":%d", finding->line);
    /* the sequences are ours, the texts are not */
    fputs(color(checking, BOLD), stdout);
    terminal_print(stdout, "%s%s: ", finding->path, place);
    printf("%s%s:%s ", color(checking, finding->error ? RED : YELLOW),
           finding->error ? "error" : "warning", color(checking, PLAIN));
    terminal_print(stdout, "%s\n", finding->text);
    if (finding->source)
        show_source(checking, finding);
}

static void complain(struct checking *checking, const char *path, const char *text)
{
    report(checking,
           &(struct script_finding){.error = true, .path = (char *)path, .text = (char *)text});
}

/* --- what is checked --- */

/* NULL: `problem` says why. */
static struct molecule *open_host(struct checking *checking, char *problem, size_t problem_size)
{
    struct molecule_options host = {.workers = 1, .ca_file = checking->ca_file};
    if (!checking->molecule)
        checking->molecule = molecule_open(&host, problem, problem_size);
    return checking->molecule;
}

/* false: `problem` says why the agent does not load. */
static bool load(struct checking *checking, const char *path, char *problem, size_t problem_size)
{
    struct molecule_workspace_options workspace = checking->workspace;
    workspace.script = path;
    if (path)
        workspace.backend = NULL;
    struct molecule *molecule = open_host(checking, problem, problem_size);
    return molecule && molecule_load(molecule, &workspace, problem, problem_size);
}

static void check_script(struct checking *checking, const char *path)
{
    char problem[4096], unreadable[1024];
    struct script_findings findings;
    bool loads = access(path, R_OK) != 0 || load(checking, path, problem, sizeof problem);
    if (!script_inspect(&findings, path, loads ? NULL : problem, unreadable, sizeof unreadable)) {
        complain(checking, path, unreadable);
        return;
    }
    for (size_t i = 0; i < findings.count; i++)
        report(checking, &findings.list[i]);
    script_findings_free(&findings);
}

/* "fleet.lua:3: …" */
static void complain_of_fleet(struct checking *checking, const char *path, const char *problem)
{
    size_t length = strlen(path);
    char *end = NULL;
    long line = strncmp(problem, path, length) == 0 && problem[length] == ':'
                    ? strtol(problem + length + 1, &end, 10)
                    : 0;
    bool placed = line > 0 && line < INT_MAX && strncmp(end, ": ", 2) == 0;
    report(checking, &(struct script_finding){.error = true,
                                              .path = (char *)path,
                                              .line = placed ? (int)line : 0,
                                              .text = (char *)(placed ? end + 2 : problem)});
}

/* Its own mistakes, and those of its scripts. */
static void check_fleet(struct checking *checking, const char *path)
{
    char problem[1024];
    struct plan plan = {0};
    struct plan_defaults defaults = {NULL, NULL};
    if (!plan_read(&plan, path, &defaults, problem, sizeof problem)) {
        complain_of_fleet(checking, path, problem);
        return;
    }
    for (const struct member *member = plan.members; member; member = member->next)
        if (member->options.workspace.script)
            check_script(checking, member->options.workspace.script);
    plan_free(&plan);
}

static void check_backend(struct checking *checking)
{
    char problem[4096];
    if (load(checking, NULL, problem, sizeof problem))
        return;
    problem[strcspn(problem, "\n")] = '\0'; /* the traceback has frames of the backend alone */
    complain(checking, checking->workspace.backend, problem);
}

/* The exit code. */
static int finish(struct checking *checking)
{
    if (checking->findings) {
        json_t *all = json_pack("{s:b, s:O}", "ok", checking->errors == 0, "findings",
                                checking->findings);
        json_dumpf(all, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(all);
    } else if (checking->errors + checking->warnings > 0) {
        printf("%zu error%s, %zu warning%s\n", checking->errors, plural(checking->errors),
               checking->warnings, plural(checking->warnings));
    } else {
        printf("no mistakes found\n");
    }
    if (checking->molecule)
        molecule_close(checking->molecule);
    json_decref(checking->findings);
    return checking->errors > 0 ? 2 : 0;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct check_options given = {0};
    const char *paths[FILES_MAXIMUM];
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, paths, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    struct checking checking = {.findings = given.json ? json_array() : NULL,
                                .colors = terminal_colors(STDOUT_FILENO, given.color)};
    molecule_workspace_defaults(&checking.workspace);
    checking.workspace.id = CHECKED_ID;
    checking.workspace.backend = given.backend;
    checking.workspace.backend_options = given.backend_options;
    checking.workspace.backend_option_count = given.backend_option_count;
    checking.workspace.sandbox = given.sandbox;
    if (count == 0 && !given.backend)
        paths[count++] = "agent.lua";
    if (given.backend)
        check_backend(&checking);
    for (size_t i = 0; i < count; i++) {
        if (script_is_fleet(paths[i]))
            check_fleet(&checking, paths[i]);
        else
            check_script(&checking, paths[i]);
    }
    options_free(command, &given);
    return finish(&checking);
}

int check_workspaces(const struct molecule_workspace_options *const *workspaces, size_t count,
                     bool online, const char *ca_file)
{
    char problem[1024];
    struct checking checking = {.ca_file = ca_file, .colors = terminal_colors(STDOUT_FILENO, NULL)};
    for (size_t i = 0; i < count; i++) {
        const char *script = workspaces[i]->script, *before = checking.workspace.script;
        bool same = script && before && strcmp(script, before) == 0;
        checking.workspace = *workspaces[i];
        if (script && !same)
            check_script(&checking, script);
        else if (!script)
            check_backend(&checking);
        if (!online)
            continue;
        struct molecule *molecule = open_host(&checking, problem, sizeof problem);
        if (!molecule || !molecule_probe(molecule, workspaces[i], problem, sizeof problem))
            complain(&checking, workspaces[i]->id, problem);
    }
    return finish(&checking);
}

const struct command command_check = {
    .name = "check",
    .usage = "[FILE...] [options]",
    .summary = "find mistakes in a script or a fleet file, without running it",
    .description =
        "Loads each script (default: agent.lua) without its `start`, and looks at what it uses: "
        "syntax, fields of the\n"
        "agent's table, names that molecule, msg and ctx do not have, globals that nobody sets, "
        "handlers that return\n"
        "nothing useful; and the modules beside it that it requires. Needs no network, no token "
        "and no account.\n\n"
        "Exit codes: 0 no errors (there may be warnings), 2 errors.",
    .examples = "  molecule check\n"
                "  molecule check agent.lua fleet.lua\n"
                "  molecule check --backend openai --backend-opt model=gpt-5",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = FILES_MAXIMUM,
    .run = run,
};
