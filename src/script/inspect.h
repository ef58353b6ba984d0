/* What is wrong with a script, as far as can be told without running it: lua/molecule/check.lua, in
 * a separate state. */
#ifndef MOLECULE_SCRIPT_INSPECT_H
#define MOLECULE_SCRIPT_INSPECT_H

#include <stdbool.h>
#include <stddef.h>

struct script_finding {
    bool error; /* false: a warning */
    char *path;
    int line;           /* 0: unknown */
    int column, length; /* in characters, from 1; 0: unknown */
    char *source;       /* the line; NULL: unknown */
    char *text;
};

struct script_findings {
    struct script_finding *list; /* in the order of their places */
    size_t count, errors;
};

/* `load_problem`: what loading it said; NULL: it loads. false: the file cannot be read, `problem`
 * says why, without the path. */
bool script_inspect(struct script_findings *findings, const char *path, const char *load_problem,
                    char *problem, size_t problem_size);
void script_findings_free(struct script_findings *findings);

/* The file returns a table with `workspaces` and no `handle`: it is a fleet file and not an agent.
 */
bool script_is_fleet(const char *path);

#endif
