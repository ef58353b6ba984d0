#include "commands/commands.h"
#include "net/versions.h"
#include "script/embedded.h"

#include <stdio.h>

/* A line like those of include/molecule/options.def. */
#define VERSION_OPTIONS(X)                                                          \
    X(FLAG, sbom, "sbom",                                                           \
      "print the software bill of materials of this build instead: the libraries, " \
      "their packages, versions and licenses, as CycloneDX 1.5 JSON")

struct version_options {
    VERSION_OPTIONS(MOLECULE_MEMBER)
};

static const struct option options[] = {
#define X(...) OPTION_ROW(struct version_options, __VA_ARGS__),
    VERSION_OPTIONS(X)
#undef X
};

static int run(const struct command *command, int argc, char **argv)
{
    const char *positionals[1];
    size_t count;
    struct version_options given = {0};
    enum options_result result = options_parse(command, argc, argv, &given, positionals, &count);
    if (result != OPTIONS_PARSED)
        return result == OPTIONS_HELP ? 0 : 2;
    if (given.sbom) {
        const struct embedded_file *sbom = embedded_find("molecule/sbom.json");
        fwrite(sbom->data, 1, sbom->length, stdout);
        return 0;
    }
    char libraries[512];
    versions_describe(libraries, sizeof libraries);
    printf("molecule %s\ncommit %s\n%s\n", MOLECULE_VERSION, versions_commit, libraries);
    return 0;
}

const struct command command_version = {
    .name = "version",
    .group = COMMAND_LOOK,
    .usage = "[options]",
    .summary = "print the versions of molecule and of the libraries in use",
    .description =
        "Prints the version of molecule, the commit it was built from, and the versions of "
        "the libraries it runs with.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run,
};
