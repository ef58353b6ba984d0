/* libmolecule as a program uses it that embeds the host. */
#include "unit.h"

#include "molecule/molecule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64], script[128], state[128];

static struct molecule_workspace_options make_workspace(void)
{
    struct molecule_workspace_options workspace;
    molecule_workspace_defaults(&workspace);
    workspace.id = "7f1d0c9e-3a52-4a0e-9d0b-6f2b1f3f8a11";
    workspace.api_url = "http://127.0.0.1:1";
    workspace.token = "a-token";
    workspace.script = script;
    workspace.state_directory = state;
    return workspace;
}

static struct molecule *open_host(void)
{
    char problem[256];
    struct molecule *molecule = molecule_open(&(struct molecule_options){0}, problem,
                                              sizeof problem);
    assert_non_null(molecule);
    return molecule;
}

static void a_host_that_never_ran_frees_the_scripts_it_has_loaded(void **context)
{
    (void)context;
    char problem[1024] = "";
    struct molecule_workspace_options workspace = make_workspace(), second = make_workspace();
    struct molecule *molecule = open_host();
    second.id = "no id";
    assert_int_equal(molecule_add(molecule, &workspace, problem, sizeof problem), MOLECULE_STOPPED);
    assert_int_equal(molecule_add(molecule, &second, problem, sizeof problem), MOLECULE_USAGE);
    assert_non_null(strstr(problem, "the workspace id"));
    molecule_close(molecule);
}

static void what_is_wrong_with_a_workspace_is_told_without_a_host(void **context)
{
    (void)context;
    char problem[1024] = "";
    struct molecule_workspace_options workspace = make_workspace();
    assert_true(molecule_check(&workspace, problem, sizeof problem));
    workspace.api_url = "htp://example.com";
    assert_false(molecule_check(&workspace, problem, sizeof problem));
    assert_non_null(strstr(problem, "htp://example.com"));
    workspace = make_workspace();
    workspace.token = NULL;
    assert_false(molecule_check(&workspace, problem, sizeof problem));
    assert_non_null(strstr(problem, "no token"));
    workspace = make_workspace();
    workspace.script = NULL;
    workspace.backend = "exek";
    assert_false(molecule_check(&workspace, problem, sizeof problem));
    assert_non_null(strstr(problem, "no backend \"exek\""));
}

static void a_number_out_of_bounds_is_refused_by_its_name(void **context)
{
    (void)context;
    char problem[1024] = "";
    struct molecule_workspace_options workspace = make_workspace();
    workspace.heartbeat_ms = 9;
    assert_false(molecule_check(&workspace, problem, sizeof problem));
    assert_non_null(strstr(problem, "heartbeat_ms must be between 10 and 80000 ms"));
    workspace = make_workspace();
    workspace.max_attempts = 0;
    assert_false(molecule_check(&workspace, problem, sizeof problem));
    assert_non_null(strstr(problem, "max_attempts must be between 1 and 1000"));
    workspace = make_workspace();
    workspace.reply_ttl_ms = -1;
    assert_false(molecule_check(&workspace, problem, sizeof problem));
    assert_non_null(strstr(problem, "reply_ttl_ms must be between 0 and 31536000000 ms"));
    workspace = make_workspace();
    workspace.concurrency = 0; /* what the script says */
    assert_true(molecule_check(&workspace, problem, sizeof problem));
}

static void a_rehearsal_without_an_id_is_refused(void **context)
{
    (void)context;
    struct molecule_workspace_options workspace = make_workspace();
    struct molecule *molecule = open_host();
    workspace.id = NULL;
    assert_int_equal(molecule_rehearse(molecule, &workspace), MOLECULE_USAGE);
    molecule_close(molecule);
}

static void two_agents_at_one_place_are_refused(void **context)
{
    (void)context;
    char problem[1024] = "";
    const char *place = "127.0.0.1:0";
    struct molecule_serve_options serve;
    struct molecule_workspace_options one = make_workspace(), other = make_workspace();
    struct molecule *molecule = open_host();
    molecule_serve_defaults(&serve);
    serve.listens = &place;
    serve.listen_count = 1;
    serve.no_auth = true;
    assert_true(molecule_serve(molecule, &serve, false, problem, sizeof problem));
    one.serve = other.serve = true;
    one.id = "one";
    other.id = "other";
    one.serve_host = "Example.org";
    other.serve_host = "no host";
    assert_int_equal(molecule_add(molecule, &one, problem, sizeof problem), MOLECULE_STOPPED);
    assert_int_equal(molecule_add(molecule, &other, problem, sizeof problem), MOLECULE_USAGE);
    assert_string_equal(problem, "serve_host is not the name of a host");
    other.serve_host = "example.org.";
    assert_int_not_equal(molecule_add(molecule, &other, problem, sizeof problem), MOLECULE_STOPPED);
    assert_non_null(strstr(problem, "one is already served at example.org/, where other would be"));
    other.id = "third";
    other.serve_path = "/third";
    assert_int_equal(molecule_add(molecule, &other, problem, sizeof problem), MOLECULE_STOPPED);
    molecule_close(molecule);
}

static void stop(void *molecule)
{
    molecule_stop(molecule);
}

static void a_function_is_called_within_the_run(void **context)
{
    (void)context;
    char problem[1024] = "";
    struct molecule_workspace_options workspace = make_workspace();
    struct molecule *molecule = open_host();
    workspace.register_attempts = 0;
    assert_int_equal(molecule_add(molecule, &workspace, problem, sizeof problem), MOLECULE_STOPPED);
    assert_true(molecule_call(molecule, stop, molecule));
    assert_int_equal(molecule_run(molecule), MOLECULE_STOPPED);
    molecule_close(molecule);
}

static int make_directory(void **context)
{
    (void)context;
    snprintf(directory, sizeof directory, "/tmp/molecule-library-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(script, sizeof script, "%s/agent.lua", directory);
    snprintf(state, sizeof state, "%s/state", directory);
    FILE *file = fopen(script, "w");
    if (!file)
        return -1;
    fputs("return function(msg) return msg.text end\n", file);
    return fclose(file);
}

static int remove_directory(void **context)
{
    (void)context;
    char command[160];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_never_ran_frees_the_scripts_it_has_loaded),
        cmocka_unit_test(what_is_wrong_with_a_workspace_is_told_without_a_host),
        cmocka_unit_test(a_number_out_of_bounds_is_refused_by_its_name),
        cmocka_unit_test(a_rehearsal_without_an_id_is_refused),
        cmocka_unit_test(two_agents_at_one_place_are_refused),
        cmocka_unit_test(a_function_is_called_within_the_run),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
