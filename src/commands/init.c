/* molecule init: the files of a new agent, from an example. */
#include "commands/init.h"
#include "commands/commands.h"

#include "base/memory.h"
#include "base/nearest.h"
#include "base/terminal.h"
#include "script/embedded.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAXIMUM 64 /* bytes: it becomes the name of a unit of systemd */

/* Lines like those of include/molecule/options.def. */
#define INIT_OPTIONS(X)                                                                            \
    X(TEXT, template_name, "template", "what the agent does [asked for on a terminal, else echo]", \
      .letter = 't', .argument = "echo|ops|llm|webhook|approval")                                  \
    X(FLAG, force, "force", "overwrite files that exist", .letter = 'f')

struct init_options {
    INIT_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct init_options, __VA_ARGS__),
    INIT_OPTIONS(X)
#undef X
};

static const struct template
{
    const char *name, *about;
}
templates[] = {
    {"echo", "says back what it hears: the smallest agent"},
    {"ops", "answers status, disk and uptime for an operator"},
    {"llm", "answers with a language model (OPENAI_API_KEY, or any compatible service)"},
    {"webhook", "hands every message to a web service"},
    {"approval", "asks a human before it restarts a service"},
};
#define TEMPLATE_COUNT (sizeof templates / sizeof *templates)

/* What is written: a name, where @NAME@ is the agent's, and the embedded file that it comes from,
 * where %s is the template's. */
static const struct made_file {
    const char *name, *source;
} made_files[] = {
    {"agent.lua", "examples/%s.lua"},
    {"agent_spec.lua", "examples/%s_spec.lua"},
    {".molecule/types.lua", "molecule/types.lua"},
    {".luarc.json", "molecule/templates/luarc.json.txt"},
    {".luacheckrc", "molecule/templates/luacheckrc.txt"},
    {".gitignore", "molecule/templates/gitignore.txt"},
    {"env.example", "molecule/templates/env.example.txt"},
    {"README.md", "molecule/templates/README.md.txt"},
    {"@NAME@.service", "molecule/templates/agent.service.txt"},
};
#define FILE_COUNT (sizeof made_files / sizeof *made_files)

struct making {
    const struct command *command;
    const char *directory;
    char name[NAME_MAXIMUM + 1];
    const struct template *template;
};

/* --- texts --- */

/* Every `word` of the text is replaced. Takes the text. */
static char *replace(char *text, const char *word, const char *by)
{
    for (char *at = text; (at = strstr(at, word));) {
        size_t before = (size_t)(at - text);
        char *replaced = memory_format("%.*s%s%s", (int)before, text, by, at + strlen(word));
        free(text);
        text = replaced;
        at = text + before + strlen(by);
    }
    return text;
}

static const struct embedded_file *source_of(const struct making *making,
                                             const struct made_file *file)
{
    char *name = replace(memory_copy_text(file->source), "%s", making->template->name);
    const struct embedded_file *found = embedded_find(name);
    free(name);
    return found;
}

static char *path_of(const struct making *making, const struct made_file *file)
{
    char *name = replace(memory_copy_text(file->name), "@NAME@", making->name);
    char *path = memory_join(making->directory, "/", name);
    free(name);
    return path;
}

/* Of the directory, as far as a unit's name may have it. */
static void name_agent(struct making *making)
{
    char *whole = realpath(making->directory, NULL);
    const char *slash = whole ? strrchr(whole, '/') : NULL, *from = slash ? slash + 1 : "";
    size_t length = 0;
    for (; *from && length < NAME_MAXIMUM; from++)
        if (isalnum((unsigned char)*from) || strchr("-_.", *from))
            making->name[length++] = *from;
        else if (length > 0 && making->name[length - 1] != '-')
            making->name[length++] = '-';
    making->name[length] = '\0';
    if (length == 0 || *making->name == '.' || *making->name == '-')
        snprintf(making->name, sizeof making->name, "agent");
    free(whole);
}

/* --- questions --- */

static const struct template *find_template(const char *name)
{
    for (size_t i = 0; i < TEMPLATE_COUNT; i++)
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    return NULL;
}

/* NULL after saying what is wrong. */
static const struct template *ask_template(void)
{
    char line[64];
    printf("What shall the agent do?\n");
    for (size_t i = 0; i < TEMPLATE_COUNT; i++)
        printf("  %zu  %-8s %s\n", i + 1, templates[i].name, templates[i].about);
    printf("A number or a name [1]: ");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) {
        printf("\n");
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    char *end;
    long number = strtol(line, &end, 10);
    if (!*line)
        return &templates[0];
    if (end != line && !*end && number >= 1 && number <= (long)TEMPLATE_COUNT)
        return &templates[number - 1];
    const struct template *found = find_template(line);
    if (!found)
        terminal_print(stderr, "molecule init: there is no template \"%s\"; nothing was written\n",
                       line);
    return found;
}

static const struct template *choose_template(const struct command *command, const char *given)
{
    if (!given)
        return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? ask_template() : &templates[0];
    const struct template *found = find_template(given);
    struct nearest nearest = {.word = given};
    for (size_t i = 0; i < TEMPLATE_COUNT; i++)
        nearest_offer(&nearest, templates[i].name);
    if (!found)
        options_complain(command,
                         "there is no template \"%s\"%s%s%s; there are echo, ops, llm, webhook "
                         "and approval",
                         given, nearest.best ? "; did you mean \"" : "",
                         nearest.best ? nearest.best : "", nearest.best ? "\"?" : "");
    return found;
}

/* --- files --- */

/* 0, or 2 after naming every file that is in the way; nothing has been written. */
static int look_for_files(const struct making *making)
{
    int code = 0;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char *path = path_of(making, &made_files[i]);
        struct stat status;
        if (source_of(making, &made_files[i]) && lstat(path, &status) == 0) {
            terminal_print(stderr, "molecule init: %s exists\n", path);
            code = 2;
        }
        free(path);
    }
    if (code)
        terminal_print(stderr, "molecule init: nothing was written; --force overwrites them\n");
    return code;
}

static bool make_directory(const char *path)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool written = file && fputs(text, file) >= 0;
    if (file && fclose(file) != 0)
        written = false;
    else if (!file && fd >= 0)
        close(fd);
    return written;
}

static bool write_file(const struct making *making, const struct made_file *file)
{
    const struct embedded_file *source = source_of(making, file);
    if (!source)
        return true; /* this template has no such file */
    char *path = path_of(making, file), *script = memory_join(making->template->name, ".lua"),
         *spec = memory_join(making->template->name, "_spec.lua");
    char *text = replace(memory_copy(source->data, source->length), "@NAME@", making->name);
    text = replace(replace(replace(text, "examples/", ""), spec, "agent_spec.lua"), script,
                   "agent.lua");
    bool written = write_text(path, text);
    if (written)
        terminal_print(stdout, "  %s\n", path);
    else
        terminal_print(stderr, "molecule init: %s: %s\n", path, strerror(errno));
    free(text);
    free(spec);
    free(script);
    free(path);
    return written;
}

static int write_all(const struct making *making)
{
    char *types = memory_join(making->directory, "/.molecule");
    bool written = make_directory(types);
    if (!written)
        terminal_print(stderr, "molecule init: %s: %s\n", types, strerror(errno));
    free(types);
    for (size_t i = 0; written && i < FILE_COUNT; i++)
        written = write_file(making, &made_files[i]);
    return written ? 0 : 1;
}

static void say_next(const struct making *making)
{
    bool here = strcmp(making->directory, ".") == 0;
    terminal_print(stdout,
                   "\nNext:\n%s%s%s"
                   "  molecule dev agent.lua       talk to it; it reloads when you save the "
                   "file\n"
                   "  molecule try agent.lua hi    send it a message, and see the answer\n"
                   "  molecule check               find mistakes without running it\n"
                   "  molecule test                run agent_spec.lua\n"
                   "README.md says how to connect it to a platform.\n",
                   here ? "" : "  cd ", here ? "" : making->directory, here ? "" : "\n");
}

const char *init_find_agent(void)
{
    const char *agent = made_files[0].name;
    struct making making = {.directory = ".", .template = &templates[0]};
    char line[16];
    if (access(agent, F_OK) == 0)
        return agent;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return NULL;
    printf("There is no %s here. Write one that says back what it hears? [Y/n] ", agent);
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin) || *line == 'n' || *line == 'N')
        return NULL;
    return write_file(&making, &made_files[0]) ? agent : NULL;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct init_options given = {0};
    const char *directory = ".";
    size_t count;
    enum options_result parsed = options_parse(command, argc, argv, &given, &directory, &count);
    if (parsed != OPTIONS_PARSED)
        return parsed == OPTIONS_HELP ? 0 : 2;
    struct making making = {.command = command, .directory = count > 0 ? directory : "."};
    making.template = choose_template(command, given.template_name);
    if (!making.template)
        return 2;
    if (!make_directory(making.directory)) {
        terminal_print(stderr, "molecule init: %s: %s\n", making.directory, strerror(errno));
        return 1;
    }
    name_agent(&making);
    int code = given.force ? 0 : look_for_files(&making);
    if (code == 0)
        code = write_all(&making);
    if (code == 0)
        say_next(&making);
    return code;
}

const struct command command_init = {
    .name = "init",
    .usage = "[DIR] [options]",
    .summary = "write the files of a new agent",
    .description = "Writes into DIR (default: here; created if missing): agent.lua and its spec, "
                   "what editors need to\n"
                   "complete the API, an example of the environment, a README and a unit for "
                   "systemd. Files that exist\n"
                   "are not overwritten without --force: then nothing is written.\n\n"
                   "Templates: echo (the smallest agent), ops (commands for an operator), llm (a "
                   "language model), webhook\n"
                   "(a web service answers), approval (a human agrees first).\n\n"
                   "Exit codes: 0 written, 1 a file cannot be written, 2 wrong usage, or files are "
                   "in the way.",
    .examples = "  molecule init\n"
                "  molecule init my-agent --template ops",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .positional_maximum = 1,
    .run = run,
};
